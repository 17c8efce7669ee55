//! A graph becomes a list of steps over planned memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use super::concatenation::{Concatenations, copy_parts};
use super::empty;
use super::fit::{self, Fits};
use super::fuse;
use super::plan::{self, Interval};
use super::rows;
use super::verify;
use super::{CompileOptions, Summary};
use crate::error::Result;
use crate::graph::{Graph, Op, Source, Tensor, ValueId, Variable};
use crate::shape::TensorType;

/// What a value lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    /// An input of the program.
    Input(usize),
    /// A constant of the program.
    Constant(usize),
    /// A variable of the program.
    Variable(usize),
    /// A planned buffer, by the number of the value.
    Buffer(usize),
}

/// A value's memory: `elements` of four bytes from `offset` on.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub root: Root,
    pub offset: usize,
    pub of: TensorType,
}

/// One kernel.
#[derive(Debug)]
pub(crate) struct Step {
    pub op: Arc<dyn Op>,
    pub inputs: Vec<Location>,
    pub outputs: Vec<Location>,
    pub input_types: Vec<TensorType>,
    pub output_types: Vec<TensorType>,
}

/// A planned buffer: its size, and the steps between which it holds a value.
#[derive(Debug, Clone)]
pub(crate) struct Buffer {
    pub elements: usize,
    pub first: usize,
    pub last: usize,
}

/// Everything about a program that does not depend on an executor.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub steps: Vec<Step>,
    pub inputs: Vec<(String, TensorType)>,
    /// Inputs of the graph that nothing needs. What is given for them is checked and left.
    pub ignored: Vec<(String, TensorType)>,
    pub constants: Vec<Arc<[u32]>>,
    pub variables: Vec<Variable>,
    pub buffers: Vec<Buffer>,
    /// Offsets of the buffers in one arena, in elements, and the arena's length.
    pub offsets: Vec<usize>,
    pub arena: usize,
    pub outputs: Vec<(Location, TensorType)>,
    /// Which variable becomes which value.
    pub assignments: Vec<(usize, Location)>,
}

/// A node of the graph that is being rewritten.
#[derive(Debug, Clone)]
pub(super) struct WorkNode {
    pub source: Source,
    pub inputs: Vec<ValueId>,
    pub outputs: Vec<TensorType>,
}

/// The graph that is being rewritten: only what the roots need, by node number.
pub(super) struct Work {
    pub nodes: BTreeMap<u32, WorkNode>,
    /// Values that must exist at the end.
    pub roots: Vec<ValueId>,
}

impl Work {
    /// How often each value is read, by nodes or as a root.
    pub fn uses(&self) -> HashMap<ValueId, usize> {
        let mut uses = HashMap::new();
        for value in self.nodes.values().flat_map(|n| &n.inputs).chain(&self.roots) {
            *uses.entry(*value).or_insert(0) += 1;
        }
        uses
    }

    /// Reads other values in place of some.
    pub fn rename(&mut self, renamed: &HashMap<ValueId, ValueId>) {
        for value in self.nodes.values_mut().flat_map(|node| &mut node.inputs).chain(&mut self.roots) {
            if let Some(new) = renamed.get(value) {
                *value = *new;
            }
        }
    }

    /// The types of a node's operands.
    pub fn operands(&self, node: &WorkNode) -> Vec<TensorType> {
        node.inputs.iter().map(|v| self.nodes[&v.node].outputs[v.output as usize].clone()).collect()
    }

    /// Leaves out what no root needs.
    pub fn sweep(&mut self) {
        let mut needed = std::collections::HashSet::new();
        let mut stack: Vec<u32> = self.roots.iter().map(|v| v.node).collect();
        while let Some(node) = stack.pop() {
            if needed.insert(node) {
                stack.extend(self.nodes[&node].inputs.iter().map(|v| v.node));
            }
        }
        self.nodes.retain(|id, _| needed.contains(id));
    }
}

/// What is compiled for.
pub(crate) struct Target<'a> {
    /// A CPU: the last step writes to the variables themselves where it can, and chains of ops go through the caches row
    /// by row.
    pub on_cpu: bool,
    /// Operands and outputs of a fused elementwise kernel, at most.
    pub buffers_a_kernel: usize,
    /// Elements at whose multiples a kernel's output may start.
    pub alignment: usize,
    /// Whether ops fit: those that do not are cut or decomposed. Nobody is asked where there is none.
    pub fits: Option<&'a Fits<'a>>,
}

/// Compiles what `outputs` and the graph's assignments need.
pub(crate) fn compile(
    graph: &Graph,
    outputs: &[Tensor<'_>],
    options: CompileOptions,
    target: &Target<'_>,
) -> Result<Compiled> {
    let &Target { on_cpu, buffers_a_kernel, alignment, fits } = target;
    graph.check()?;
    if outputs.iter().any(|t| !std::ptr::eq(t.graph(), graph)) {
        return Err(crate::Error::Graph("an output belongs to another graph".into()));
    }
    let assignments = graph.assignments();
    let mut work = Work {
        nodes: graph
            .nodes()
            .iter()
            .enumerate()
            .map(|(i, n)| {
                (
                    i as u32,
                    WorkNode {
                        source: n.source.clone(),
                        inputs: n.inputs.clone(),
                        outputs: n.outputs.clone(),
                    },
                )
            })
            .collect(),
        roots: outputs.iter().map(|t| t.id()).chain(assignments.iter().map(|(_, v)| *v)).collect(),
    };
    work.sweep();
    verify::claims(&work)?;
    if empty::leave_out(&mut work) {
        work.sweep();
    }
    if let Some(fits) = fits {
        fit::fit(&mut work, fits, alignment);
        work.sweep();
    }
    if options.fusion {
        fuse::epilogues(&mut work);
        work.sweep();
    }
    fuse::elementwise(&mut work, options.fusion, buffers_a_kernel);
    work.sweep();
    if options.fusion && on_cpu {
        rows::chains(&mut work);
        work.sweep();
    }
    copy_roots_that_may_change(&mut work, if on_cpu { outputs.len() } else { 0 });
    if let Some(fits) = fits {
        copy_parts(&mut work, |of| of.elements() > fits.binding);
        // Copies may be as large as what they are copies of.
        fit::fit(&mut work, fits, alignment);
        work.sweep();
    }

    let order = schedule(&work);
    let mut compiled = Compiled {
        steps: Vec::new(),
        inputs: Vec::new(),
        ignored: Vec::new(),
        constants: Vec::new(),
        variables: Vec::new(),
        buffers: Vec::new(),
        offsets: Vec::new(),
        arena: 0,
        outputs: Vec::new(),
        assignments: Vec::new(),
    };
    let concatenations = Concatenations::new(&work, &order, alignment);
    // The buffer of every value that is computed, or of the outermost concatenation in which that is done.
    let mut buffers: HashMap<ValueId, usize> = HashMap::new();
    let mut places: HashMap<ValueId, Location> = HashMap::new();
    for id in order {
        let node = &work.nodes[&id];
        let value = |output: usize| ValueId { node: id, output: output as u32 };
        let leaf = |root| Location { root, offset: 0, of: node.outputs[0].clone() };
        match &node.source {
            Source::Input(name) => {
                compiled.inputs.push((name.clone(), node.outputs[0].clone()));
                places.insert(value(0), leaf(Root::Input(compiled.inputs.len() - 1)));
            }
            Source::Constant(bits) => {
                compiled.constants.push(bits.clone());
                places.insert(value(0), leaf(Root::Constant(compiled.constants.len() - 1)));
            }
            Source::Variable(variable) => {
                let index = variable_index(&mut compiled, variable);
                places.insert(value(0), leaf(Root::Variable(index)));
            }
            Source::Op(op) => {
                let inputs: Vec<Location> = node.inputs.iter().map(|v| places[v].clone()).collect();
                let input_types = work.operands(node);
                if let Some(offset) = op.alias(&input_types) {
                    let (root, base) = (inputs[0].root, inputs[0].offset);
                    let of = node.outputs[0].clone();
                    places.insert(value(0), Location { root, offset: base + offset, of });
                    continue;
                }
                if concatenations.is_done(id) {
                    let (whole, offset) = concatenations.place(value(0));
                    let (root, of) = (Root::Buffer(buffers[&whole]), node.outputs[0].clone());
                    places.insert(value(0), Location { root, offset, of });
                    continue;
                }
                let step = compiled.steps.len();
                let mut outputs = Vec::new();
                for (i, of) in node.outputs.iter().enumerate() {
                    let (whole, offset) = concatenations.place(value(i));
                    let elements = work.nodes[&whole.node].outputs[whole.output as usize].elements();
                    let buffer = *buffers.entry(whole).or_insert_with(|| {
                        compiled.buffers.push(Buffer { elements, first: step, last: step });
                        compiled.buffers.len() - 1
                    });
                    compiled.buffers[buffer].last = step;
                    outputs.push(Location { root: Root::Buffer(buffer), offset, of: of.clone() });
                    places.insert(value(i), outputs[i].clone());
                }
                for input in &inputs {
                    if let Root::Buffer(buffer) = input.root {
                        compiled.buffers[buffer].last = step;
                    }
                }
                let output_types = node.outputs.clone();
                compiled.steps.push(Step { op: op.clone(), inputs, outputs, input_types, output_types });
            }
        }
    }
    for node in graph.nodes().iter() {
        if let Source::Input(name) = &node.source
            && compiled.inputs.iter().all(|(needed, _)| needed != name)
        {
            compiled.ignored.push((name.clone(), node.outputs[0].clone()));
        }
    }
    let roots = std::mem::take(&mut work.roots);
    let end = compiled.steps.len();
    for root in &roots {
        if let Root::Buffer(buffer) = places[root].root {
            compiled.buffers[buffer].last = end;
        }
    }
    for (root, tensor) in roots.iter().zip(outputs) {
        compiled.outputs.push((places[root].clone(), tensor.tensor_type()));
    }
    for (root, (variable, _)) in roots[outputs.len()..].iter().zip(&assignments) {
        let index = variable_index(&mut compiled, variable);
        compiled.assignments.push((index, places[root].clone()));
    }
    if on_cpu {
        write_variables_in_place(&mut compiled);
    }
    let intervals: Vec<Interval> = compiled
        .buffers
        .iter()
        .map(|b| Interval { elements: b.elements, first: b.first, last: b.last })
        .collect();
    (compiled.offsets, compiled.arena) = plan::offsets(&intervals);
    verify::sound(&compiled)?;
    Ok(compiled)
}

/// Lets the last step write its outputs into the variables that take them, in place of a copy afterwards. A variable
/// that the step itself reads must be an operand that the op can take in one place with that output. Only the last
/// step: were a later one to fail, the variables would have to be as before.
fn write_variables_in_place(compiled: &mut Compiled) {
    let Some((last, _)) = compiled.steps.split_last_mut() else { return };
    let assigned: Vec<Root> = compiled.assignments.iter().map(|(_, source)| source.root).collect();
    for (variable, source) in &mut compiled.assignments {
        let Root::Buffer(buffer) = source.root else { continue };
        // What other assignments copy from must stay where they look for it.
        let shared = assigned.iter().filter(|root| **root == source.root).count() > 1;
        let Some(output) = last.outputs.iter().position(|o| o.root == source.root) else { continue };
        let all = compiled.buffers[buffer].elements;
        let whole =
            source.offset == 0 && source.of.elements() == all && last.outputs[output].of.elements() == all;
        let read_later = compiled.outputs.iter().any(|(o, _)| o.root == source.root);
        let own = Root::Variable(*variable);
        let operand = last.inputs.iter().position(|i| i.root == own);
        let suits = match operand {
            None => true,
            Some(i) => {
                let alone = last.inputs.iter().filter(|x| x.root == own).count() == 1;
                let same = last.inputs[i].offset == 0 && last.inputs[i].of == last.outputs[output].of;
                alone && same && last.op.in_place().contains(&(i, output))
            }
        };
        if !whole || shared || read_later || !suits {
            continue;
        }
        let place = Location { root: own, ..last.outputs[output].clone() };
        source.root = own;
        last.outputs[output] = place;
        compiled.buffers[buffer].elements = 0;
    }
}

fn variable_index(compiled: &mut Compiled, variable: &Variable) -> usize {
    match compiled.variables.iter().position(|v| v.id() == variable.id()) {
        Some(index) => index,
        None => {
            compiled.variables.push(variable.clone());
            compiled.variables.len() - 1
        }
    }
}

/// Outputs and assigned values that lie in a variable would be read after that variable has changed: they are copied. So are
/// the first `read_in_place` roots, outputs that are read where they lie, where they lie in an input.
fn copy_roots_that_may_change(work: &mut Work, read_in_place: usize) {
    let mut next = work.nodes.keys().next_back().map_or(0, |id| id + 1);
    let mut copies: HashMap<ValueId, ValueId> = HashMap::new();
    for i in 0..work.roots.len() {
        let root = work.roots[i];
        if let Some(copy) = copies.get(&root) {
            work.roots[i] = *copy;
            continue;
        }
        let mut at = root;
        loop {
            let node = &work.nodes[&at.node];
            match &node.source {
                Source::Op(op) => match op.alias(&work.operands(node)) {
                    Some(_) => at = node.inputs[0],
                    None => break,
                },
                Source::Input(_) if i >= read_in_place => break,
                Source::Variable(_) | Source::Input(_) => {
                    let of = work.nodes[&root.node].outputs[root.output as usize].clone();
                    let copy: Arc<dyn Op> = Arc::new(crate::op::movement::Copy);
                    let node = WorkNode { source: Source::Op(copy), inputs: vec![root], outputs: vec![of] };
                    work.nodes.insert(next, node);
                    work.roots[i] = ValueId { node: next, output: 0 };
                    copies.insert(root, work.roots[i]);
                    next += 1;
                    break;
                }
                _ => break,
            }
        }
    }
}

/// A topological order that stays as near as it can to the order in which the graph was built.
pub(super) fn schedule(work: &Work) -> Vec<u32> {
    let mut waiting: HashMap<u32, usize> = HashMap::new();
    let mut consumers: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut ready = BinaryHeap::new();
    for (&id, node) in &work.nodes {
        let mut producers: Vec<u32> = node.inputs.iter().map(|v| v.node).collect();
        producers.sort_unstable();
        producers.dedup();
        for &producer in &producers {
            consumers.entry(producer).or_default().push(id);
        }
        waiting.insert(id, producers.len());
        if producers.is_empty() {
            ready.push(Reverse(id));
        }
    }
    let mut order = Vec::with_capacity(work.nodes.len());
    while let Some(Reverse(id)) = ready.pop() {
        order.push(id);
        for &consumer in consumers.get(&id).map_or(&[][..], |c| c) {
            if let Some(count) = waiting.get_mut(&consumer) {
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(consumer));
                }
            }
        }
    }
    order
}

impl Compiled {
    pub fn summary(&self) -> Summary {
        let mut kernels: BTreeMap<String, usize> = BTreeMap::new();
        // What each step begins with more than the one before it had, which may be less.
        let mut change = vec![0i64; self.steps.len() + 3];
        for step in &self.steps {
            *kernels.entry(step.op.name().to_string()).or_default() += 1;
        }
        for buffer in &self.buffers {
            let bytes = 4 * buffer.elements as i64;
            change[buffer.first] += bytes;
            change[buffer.last + 1] -= bytes;
        }
        let live = change.iter().scan(0, |live, change| {
            *live += change;
            Some(*live as u64)
        });
        Summary {
            steps: self.steps.len(),
            kernels: kernels.into_iter().collect(),
            dispatches: 0,
            levels: 0,
            planned_bytes: 4 * self.arena as u64,
            live_bytes: live.max().unwrap_or(0),
            operations: self.steps.iter().fold(0, |sum, step| {
                sum.saturating_add(step.op.operations(&step.input_types, &step.output_types))
            }),
        }
    }
}
