//! Fusion. Bias and activation go into the kernel of the product they follow; elementwise ops of one shape that feed
//! one another become one kernel.
//!
//! Elementwise clusters are found by levels: an edge between two elementwise nodes of one shape keeps the level, every
//! other edge raises it. Any path between two nodes of one level then runs inside that level, so that joining
//! connected nodes of one level and shape never makes a cycle.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::compile::{Work, WorkNode};
use crate::graph::{Op, Scalar, Source, ValueId};
use crate::op::fused::{Argument, Fused, Instruction};
use crate::shape::{DType, Shape};

/// Instructions in one fused kernel; more would only lengthen its register file.
const LONGEST: usize = 48;
/// Operands and outputs of one fused kernel.
pub(super) const MOST_BUFFERS: usize = 60;

fn scalar_of(node: &WorkNode) -> Option<Scalar> {
    match &node.source {
        Source::Op(op) if node.outputs.len() == 1 && node.outputs[0].dtype == DType::F32 => op.scalar(),
        _ => None,
    }
}

/// Rewrites `activation(product(..) + bias)` into one op where the product has a kernel for it.
pub(super) fn epilogues(work: &mut Work) {
    let uses = work.uses();
    let mut consumer: HashMap<ValueId, u32> = HashMap::new();
    for (&id, node) in &work.nodes {
        for value in &node.inputs {
            consumer.insert(*value, id);
        }
    }
    // The only reader of a value, if there is exactly one and it is a node.
    let only_consumer = |value: ValueId| match uses.get(&value) {
        Some(1) => consumer.get(&value).copied(),
        _ => None,
    };
    let products: Vec<u32> = work.nodes.keys().copied().collect();
    for id in products {
        let Source::Op(op) = &work.nodes[&id].source else { continue };
        let op = op.clone();
        let of = work.nodes[&id].outputs[0].clone();
        let mut inputs = work.nodes[&id].inputs.clone();
        let (mut at, mut bias) = (id, None);
        if let Some(next) = only_consumer(ValueId { node: at, output: 0 })
            && scalar_of(&work.nodes[&next]) == Some(Scalar::Add)
            && work.nodes[&next].outputs[0] == of
        {
            let node = &work.nodes[&next];
            let other = if node.inputs[0].node == at { node.inputs[1] } else { node.inputs[0] };
            let other_type = &work.nodes[&other.node].outputs[other.output as usize];
            if other.node != at
                && of.shape.last() == other_type.shape.last()
                && other_type.shape.len() == 1
                && op.with_epilogue(true, None).is_some()
            {
                bias = Some(other);
                at = next;
            }
        }
        let mut activation = None;
        if let Some(next) = only_consumer(ValueId { node: at, output: 0 })
            && let Some(scalar) = scalar_of(&work.nodes[&next])
            && scalar.arity() == 1
            && work.nodes[&next].outputs[0] == of
            && op.with_epilogue(bias.is_some(), Some(scalar)).is_some()
        {
            activation = Some(scalar);
            at = next;
        }
        if at == id {
            continue;
        }
        if let Some(fused) = op.with_epilogue(bias.is_some(), activation) {
            inputs.extend(bias);
            work.nodes.insert(at, WorkNode { source: Source::Op(fused), inputs, outputs: vec![of] });
        }
    }
}

/// Replaces every elementwise node by a fused kernel; with `fuse`, one for as many nodes as belong together.
pub(super) fn elementwise(work: &mut Work, fuse: bool, buffers_a_kernel: usize) {
    let nodes = &work.nodes;
    let is_member = |id: u32| scalar_of(&nodes[&id]).is_some();
    let shape_of = |id: u32| -> &Shape { &nodes[&id].outputs[0].shape };
    let joins = |from: u32, to: u32| is_member(from) && is_member(to) && shape_of(from) == shape_of(to);

    let order: Vec<u32> = nodes.keys().copied().collect();
    let mut level = levels(work, &order, joins);
    // A cheap node whose readers all come later moves up to them: computing a mask where it is used costs less than
    // keeping it. Only nodes with one operand, so that no more is kept alive than before.
    let mut readers: HashMap<u32, Vec<u32>> = HashMap::new();
    for (&id, node) in nodes {
        for value in &node.inputs {
            readers.entry(value.node).or_default().push(id);
        }
    }
    let roots: HashSet<u32> = work.roots.iter().map(|v| v.node).collect();
    let is_root = |id: u32| roots.contains(&id);
    for (&id, node) in nodes.iter().rev() {
        let live_operands = node.inputs.iter().filter(|v| immediate(work, **v).is_none()).count();
        let own_readers = readers.get(&id).map_or(&[][..], |r| r);
        if is_member(id)
            && !is_root(id)
            && live_operands <= 1
            && !own_readers.is_empty()
            && own_readers.iter().all(|&r| joins(id, r))
            && let Some(lowest) = own_readers.iter().map(|r| level[r]).min()
        {
            let own = level[&id].max(lowest);
            level.insert(id, own);
        }
    }

    let clusters = clusters(nodes, &order, &level, joins, if fuse { LONGEST } else { 1 });

    let uses_outside = |members: &[u32], id: u32| {
        is_root(id) || readers.get(&id).is_some_and(|r| r.iter().any(|reader| !members.contains(reader)))
    };
    let mut replacements = Vec::new();
    let mut stack: Vec<Vec<u32>> = clusters;
    while let Some(mut members) = stack.pop() {
        members.sort_unstable();
        let built = build(work, &members, |id| uses_outside(&members, id));
        if members.len() > 1 && built.inputs.len() + built.outputs.len() > buffers_a_kernel {
            // In node order a prefix never reads from what follows it.
            let rest = members.split_off(members.len() / 2);
            stack.push(members);
            stack.push(rest);
            continue;
        }
        replacements.push(built);
    }
    let mut renamed: HashMap<ValueId, ValueId> = HashMap::new();
    for built in replacements {
        // The fused node takes the number of its last member, so that it stands after all its operands.
        let Some(&last) = built.outputs.last() else { continue };
        for (i, &id) in built.outputs.iter().enumerate() {
            renamed.insert(ValueId { node: id, output: 0 }, ValueId { node: last, output: i as u32 });
        }
        let outputs = built.outputs.iter().map(|id| work.nodes[id].outputs[0].clone()).collect();
        let fused: Arc<dyn Op> = Arc::new(built.op);
        work.nodes.insert(last, WorkNode { source: Source::Op(fused), inputs: built.inputs, outputs });
    }
    work.rename(&renamed);
}

/// The level of every node: an edge between two that may join keeps it, every other edge raises it. What needs no kernel
/// (an input, a constant, a view of one) comes before everything, and edges from it raise nothing. `order` is a topological
/// one.
pub(super) fn levels(work: &Work, order: &[u32], joins: impl Fn(u32, u32) -> bool) -> BTreeMap<u32, usize> {
    let mut level: BTreeMap<u32, usize> = BTreeMap::new();
    let mut given: HashSet<u32> = HashSet::new();
    for id in order {
        let node = &work.nodes[id];
        let needs_no_kernel = match &node.source {
            Source::Op(op) => {
                given.contains(&node.inputs.first().map_or(*id, |v| v.node))
                    && op.alias(&work.operands(node)).is_some()
            }
            _ => true,
        };
        if needs_no_kernel {
            given.insert(*id);
        }
        let made = node.inputs.iter().filter(|v| !given.contains(&v.node));
        let highest = made.map(|v| level[&v.node] + usize::from(!joins(v.node, *id))).max().unwrap_or(0);
        level.insert(*id, highest);
    }
    level
}

/// Members (nodes that may join themselves) of one level that are connected, at most `longest` together.
pub(super) fn clusters(
    nodes: &BTreeMap<u32, WorkNode>,
    order: &[u32],
    level: &BTreeMap<u32, usize>,
    joins: impl Fn(u32, u32) -> bool,
    longest: usize,
) -> Vec<Vec<u32>> {
    let mut cluster: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut home: HashMap<u32, u32> = HashMap::new();
    for &id in order {
        if !joins(id, id) {
            continue;
        }
        home.insert(id, id);
        cluster.insert(id, vec![id]);
        for value in &nodes[&id].inputs {
            if !joins(value.node, id) || level[&value.node] != level[&id] {
                continue;
            }
            let (from, to) = (home[&value.node], home[&id]);
            if from == to || cluster[&from].len() + cluster[&to].len() > longest {
                continue;
            }
            let moved = cluster.remove(&from).unwrap_or_default();
            for member in &moved {
                home.insert(*member, to);
            }
            cluster.entry(to).or_default().extend(moved);
        }
    }
    // A cluster that was cut because it grew too long may feed a cluster that feeds it: those are taken apart.
    apart_where_cyclic(nodes, cluster, &home)
}

/// Takes clusters apart into single nodes as long as some cluster depends on itself through others.
fn apart_where_cyclic(
    nodes: &BTreeMap<u32, WorkNode>,
    cluster: BTreeMap<u32, Vec<u32>>,
    home: &HashMap<u32, u32>,
) -> Vec<Vec<u32>> {
    let group = |id: u32| home.get(&id).copied().unwrap_or(id);
    // From a group to one that reads from it, each pair once.
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut waiting: HashMap<u32, usize> = HashMap::new();
    for (&id, node) in nodes {
        let own = group(id);
        waiting.entry(own).or_default();
        edges.extend(node.inputs.iter().map(|v| (group(v.node), own)).filter(|(from, to)| from != to));
    }
    edges.sort_unstable();
    edges.dedup();
    for (_, to) in &edges {
        *waiting.entry(*to).or_default() += 1;
    }
    let mut ready: Vec<u32> = waiting.iter().filter(|(_, needs)| **needs == 0).map(|(&g, _)| g).collect();
    while let Some(done) = ready.pop() {
        waiting.remove(&done);
        let first = edges.partition_point(|(from, _)| *from < done);
        for (_, to) in edges[first..].iter().take_while(|(from, _)| *from == done) {
            if let Some(needs) = waiting.get_mut(to) {
                *needs -= 1;
                if *needs == 0 {
                    ready.push(*to);
                }
            }
        }
    }
    cluster
        .into_iter()
        .flat_map(|(name, members)| match waiting.contains_key(&name) {
            true => members.into_iter().map(|m| vec![m]).collect(),
            false => vec![members],
        })
        .collect()
}

struct Built {
    op: Fused,
    inputs: Vec<ValueId>,
    /// Members whose values are needed outside, in order.
    outputs: Vec<u32>,
}

/// The value of a constant scalar.
fn immediate(work: &Work, value: ValueId) -> Option<f32> {
    let node = &work.nodes[&value.node];
    match &node.source {
        Source::Constant(bits) if node.outputs[0].dtype == DType::F32 && bits.len() == 1 => {
            Some(f32::from_bits(bits[0]))
        }
        _ => None,
    }
}

fn build(work: &Work, members: &[u32], needed_outside: impl Fn(u32) -> bool) -> Built {
    let mut inputs: Vec<ValueId> = Vec::new();
    let mut instructions = Vec::new();
    let mut register: HashMap<u32, usize> = HashMap::new();
    for &id in members {
        let node = &work.nodes[&id];
        let mut arguments = [Argument::Immediate(0.0); 3];
        for (argument, value) in arguments.iter_mut().zip(&node.inputs) {
            *argument = if let Some(&r) = register.get(&value.node) {
                Argument::Register(r)
            } else if let Some(x) = immediate(work, *value) {
                Argument::Immediate(x)
            } else {
                let position = inputs.iter().position(|v| v == value).unwrap_or_else(|| {
                    inputs.push(*value);
                    inputs.len() - 1
                });
                Argument::Operand(position)
            };
        }
        register.insert(id, instructions.len());
        instructions.push(Instruction { function: scalar_of(node).unwrap_or(Scalar::Identity), arguments });
    }
    let outputs: Vec<u32> = members.iter().copied().filter(|&id| needed_outside(id)).collect();
    let shape = work.nodes[&members[0]].outputs[0].shape.clone();
    let op = Fused::new(instructions, outputs.iter().map(|id| register[id]).collect(), shape);
    Built { op, inputs, outputs }
}
