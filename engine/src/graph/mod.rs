//! Traced graphs: [`Graph`], the [`Tensor`] handles that stand for its values, the contract of an [`Op`], variables,
//! and reverse-mode differentiation whose result is again a graph. What single ops compute lives in `op`; what runs a
//! graph lives in `program`.

mod contract;
mod gradient;
mod variable;

use std::any::{Any, TypeId};
use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub(crate) use contract::is_own;
pub use contract::{
    Binding, ByRows, CpuCall, CpuInput, CpuOutput, Cut, GpuCall, GpuLimits, GpuPlan, Halves, Launch, Op,
    Scalar, VjpCall, WithoutElements,
};
pub(crate) use gradient::through_decomposition;
pub use variable::{CpuStorage, Data, Variable, VariableStorage};

use crate::error::{Error, Result};
use crate::shape::{self, DType, Shape, TensorType};

/// One of a node's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ValueId {
    pub node: u32,
    pub output: u32,
}

/// Where a node's values come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Given by the caller at every run.
    Input(String),
    /// Fixed when the graph was built: the bits of every element.
    Constant(Arc<[u32]>),
    /// Lives on the device and outlasts programs.
    Variable(Variable),
    /// Computed.
    Op(Arc<dyn Op>),
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub source: Source,
    pub inputs: Vec<ValueId>,
    pub outputs: Vec<TensorType>,
}

/// What tells a node from others: the type of the op (of what stands for one), its text, its operands.
type Key = (TypeId, String, Vec<ValueId>);

/// Outputs of one op at most.
pub(crate) const MOST_OUTPUTS: usize = 64;

#[derive(Default)]
struct Inner {
    nodes: Vec<Node>,
    /// Equal nodes are one node: the same op on the same operands is never computed twice.
    known: HashMap<Key, u32>,
    assignments: Vec<(Variable, ValueId)>,
    failure: Option<Error>,
}

/// A computation under construction.
///
/// Expressions never fail on the spot, so that maths reads as maths: the first mistake (shapes that do not fit, say)
/// is kept, and comes back from [`Graph::check`], [`Graph::grad`] and from compilation.
///
/// ```
/// use synod_engine::{Device, Graph};
/// # fn main() -> synod_engine::Result<()> {
/// let g = Graph::new();
/// let x = g.input("x", [2, 3]);
/// let loss = (x.tanh() * 3.0).sum_all();
/// let dx = g.grad(loss, &[x])?[0];
/// let mut program = Device::cpu().compile(&g, &[loss, dx])?;
/// let outputs = program.run(&[("x", &[0.0f32; 6])])?;
/// assert_eq!(outputs.f32(1), [3.0; 6]);
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct Graph {
    inner: RefCell<Inner>,
}

/// A value in a [`Graph`]. A handle of two words: copying it copies nothing.
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    graph: &'g Graph,
    id: ValueId,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tensor of floats that the caller gives at every run.
    pub fn input(&self, name: &str, shape: impl Into<Shape>) -> Tensor<'_> {
        self.input_of(name, TensorType::f32(shape))
    }

    /// A tensor of unsigned integers that the caller gives at every run.
    pub fn input_u32(&self, name: &str, shape: impl Into<Shape>) -> Tensor<'_> {
        self.input_of(name, TensorType::u32(shape))
    }

    /// A tensor of signed integers that the caller gives at every run.
    pub fn input_i32(&self, name: &str, shape: impl Into<Shape>) -> Tensor<'_> {
        self.input_of(name, TensorType::i32(shape))
    }

    pub(crate) fn input_of(&self, name: &str, of: TensorType) -> Tensor<'_> {
        let known = self.inner.borrow().nodes.iter().enumerate().find_map(|(i, node)| match &node.source {
            Source::Input(n) if n == name => Some((i as u32, node.outputs[0].clone())),
            _ => None,
        });
        if let Some((node, declared)) = known {
            if declared != of {
                return self
                    .fail(Error::Graph(format!("input `{name}` is declared as {declared} and as {of}")));
            }
            return self.tensor(ValueId { node, output: 0 });
        }
        self.leaf(Source::Input(name.to_string()), of)
    }

    /// The value that `variable` has at the start of a run. The same tensor for the same variable.
    pub fn variable(&self, variable: &Variable) -> Tensor<'_> {
        let key = (TypeId::of::<Variable>(), variable.id().to_string(), Vec::new());
        if let Some(&node) = self.inner.borrow().known.get(&key) {
            return self.tensor(ValueId { node, output: 0 });
        }
        let tensor = self.leaf(Source::Variable(variable.clone()), variable.tensor_type().clone());
        self.inner.borrow_mut().known.insert(key, tensor.id.node);
        tensor
    }

    /// A scalar that never changes. What changes between runs is an input or a variable.
    pub fn scalar(&self, value: f32) -> Tensor<'_> {
        self.constant([], &[value])
    }

    /// A tensor of floats that never changes, in row-major order.
    pub fn constant(&self, shape: impl Into<Shape>, values: &[f32]) -> Tensor<'_> {
        self.constant_of(TensorType::f32(shape), bytemuck::cast_slice(values))
    }

    /// A tensor of unsigned integers that never changes, in row-major order.
    pub fn constant_u32(&self, shape: impl Into<Shape>, values: &[u32]) -> Tensor<'_> {
        self.constant_of(TensorType::u32(shape), values)
    }

    /// A tensor of signed integers that never changes, in row-major order.
    pub fn constant_i32(&self, shape: impl Into<Shape>, values: &[i32]) -> Tensor<'_> {
        self.constant_of(TensorType::i32(shape), bytemuck::cast_slice(values))
    }

    fn constant_of(&self, of: TensorType, bits: &[u32]) -> Tensor<'_> {
        if of.elements() != bits.len() {
            return self.fail(Error::Graph(format!("a constant {of} was given {} elements", bits.len())));
        }
        // Only short constants are worth a look-up.
        let key =
            (bits.len() <= 16).then(|| (TypeId::of::<TensorType>(), format!("{of} {bits:?}"), Vec::new()));
        if let Some(&node) = key.as_ref().and_then(|k| self.inner.borrow().known.get(k).copied()).as_ref() {
            return self.tensor(ValueId { node, output: 0 });
        }
        let tensor = self.leaf(Source::Constant(bits.into()), of);
        if let Some(key) = key {
            self.inner.borrow_mut().known.insert(key, tensor.id.node);
        }
        tensor
    }

    /// A tensor filled with `value`.
    pub fn full(&self, shape: impl Into<Shape>, value: f32) -> Tensor<'_> {
        self.scalar(value).broadcast_to(shape)
    }

    fn leaf(&self, source: Source, of: TensorType) -> Tensor<'_> {
        if self.failed() {
            return self.poison();
        }
        if let Err(message) = check_size(&of) {
            return self.fail(Error::Graph(message));
        }
        let mut inner = self.inner.borrow_mut();
        inner.nodes.push(Node { source, inputs: Vec::new(), outputs: vec![of] });
        let node = inner.nodes.len() as u32 - 1;
        drop(inner);
        self.tensor(ValueId { node, output: 0 })
    }

    /// Applies an op and gives all its outputs. This is how ops of other crates enter a graph.
    pub fn apply<'g>(&'g self, op: impl Op, operands: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        self.apply_shared(Arc::new(op), operands)
    }

    /// Applies an op with one output (and gives the first where it has more).
    pub fn apply_one<'g>(&'g self, op: impl Op, operands: &[Tensor<'g>]) -> Tensor<'g> {
        self.apply(op, operands)[0]
    }

    /// Keeps an error unless these are tensors of this graph; says whether they are.
    fn owns(&self, what: &str, tensors: &[Tensor<'_>]) -> bool {
        let strangers = tensors.iter().filter(|t| !std::ptr::eq(t.graph, self));
        let mut all = true;
        for stranger in strangers {
            all = false;
            // Both graphs are marked: whichever is compiled reports it.
            let message = format!("{what} was given tensors of two graphs");
            stranger.graph.fail(Error::Graph(message.clone()));
            self.fail(Error::Graph(message));
        }
        all
    }

    pub(crate) fn apply_shared<'g>(&'g self, op: Arc<dyn Op>, operands: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        if !self.owns(op.name(), operands) || self.failed() {
            // As many handles as the op may have outputs; nothing is computed from them.
            return vec![self.poison(); MOST_OUTPUTS];
        }
        let inputs: Vec<ValueId> = operands.iter().map(|t| t.id).collect();
        let any: &dyn Any = op.as_ref();
        let key = (any.type_id(), format!("{} {:?}", op.name(), op), inputs.clone());
        let known = self.inner.borrow().known.get(&key).copied();
        let node = match known {
            Some(node) => node,
            None => {
                let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
                let outputs = match infer(op.as_ref(), &types) {
                    Ok(outputs) => outputs,
                    Err(message) => {
                        let op = op.name().to_string();
                        self.fail(Error::Shape { op, operands: shape::list(&types), message });
                        return vec![self.poison(); MOST_OUTPUTS];
                    }
                };
                let mut inner = self.inner.borrow_mut();
                inner.nodes.push(Node { source: Source::Op(op), inputs, outputs });
                let node = inner.nodes.len() as u32 - 1;
                inner.known.insert(key, node);
                node
            }
        };
        let outputs = self.inner.borrow().nodes[node as usize].outputs.len() as u32;
        (0..outputs).map(|output| self.tensor(ValueId { node, output })).collect()
    }

    /// At the end of a run, after every value has been computed, `variable` becomes `value`.
    /// A later assignment to the same variable replaces an earlier one.
    pub fn assign<'g>(&'g self, variable: &Variable, value: Tensor<'g>) {
        if !self.owns(&format!("assign to `{}`", variable.name()), &[value]) || self.failed() {
            return;
        }
        if value.tensor_type() != *variable.tensor_type() {
            self.fail(Error::Shape {
                op: format!("assign to `{}`", variable.name()),
                operands: value.tensor_type().to_string(),
                message: format!("the variable is {}", variable.tensor_type()),
            });
            return;
        }
        let mut inner = self.inner.borrow_mut();
        inner.assignments.retain(|(known, _)| known.id() != variable.id());
        inner.assignments.push((variable.clone(), value.id));
    }

    /// The first mistake made while building, if any.
    ///
    /// # Errors
    /// That mistake, with the op and the shapes.
    pub fn check(&self) -> Result<()> {
        match &self.inner.borrow().failure {
            None => Ok(()),
            Some(error) => Err(duplicate(error)),
        }
    }

    /// Number of nodes so far; a measure of size for tests and reports.
    pub fn len(&self) -> usize {
        self.inner.borrow().nodes.len()
    }

    /// Whether nothing was built yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps `error` unless there is an earlier one, and gives a tensor that stands for nothing.
    pub(crate) fn fail(&self, error: Error) -> Tensor<'_> {
        let mut inner = self.inner.borrow_mut();
        if inner.failure.is_none() {
            inner.failure = Some(error);
        }
        drop(inner);
        self.poison()
    }

    fn failed(&self) -> bool {
        self.inner.borrow().failure.is_some()
    }

    fn poison(&self) -> Tensor<'_> {
        let mut inner = self.inner.borrow_mut();
        if inner.nodes.is_empty() {
            let zero = Source::Constant(Arc::new([0]));
            inner.nodes.push(Node { source: zero, inputs: Vec::new(), outputs: vec![TensorType::f32([])] });
        }
        drop(inner);
        self.tensor(ValueId { node: 0, output: 0 })
    }

    pub(crate) fn tensor(&self, id: ValueId) -> Tensor<'_> {
        Tensor { graph: self, id }
    }

    pub(crate) fn nodes(&self) -> Ref<'_, Vec<Node>> {
        Ref::map(self.inner.borrow(), |inner| &inner.nodes)
    }

    pub(crate) fn assignments(&self) -> Vec<(Variable, ValueId)> {
        self.inner.borrow().assignments.clone()
    }
}

impl<'g> Tensor<'g> {
    /// The graph this value belongs to.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// Shape and element type.
    pub fn tensor_type(&self) -> TensorType {
        self.graph.inner.borrow().nodes[self.id.node as usize].outputs[self.id.output as usize].clone()
    }

    /// Sizes of the dimensions.
    pub fn shape(&self) -> Shape {
        self.tensor_type().shape
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.tensor_type().dtype
    }

    pub(crate) fn id(&self) -> ValueId {
        self.id
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}.{}: {}", self.id.node, self.id.output, self.tensor_type())
    }
}

fn check_size(of: &TensorType) -> Result<(), String> {
    match of.shape.checked_elements() {
        None => Err(format!("{of} has more than {} elements", shape::MAXIMUM_ELEMENTS)),
        Some(_) => Ok(()),
    }
}

/// The types of an op's outputs, none of which is too large; without elements only where the op says what becomes of that.
fn infer(op: &dyn Op, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
    let empty = |of: &&TensorType| of.elements() == 0;
    let way = op.without_elements();
    let refuse = |of: &TensorType| Err(format!("{of} has no elements"));
    let none = operands.iter().find(empty);
    match none {
        Some(of) if way == WithoutElements::Refused => return refuse(of),
        _ => {}
    }
    let outputs = op.infer(operands)?;
    if !(1..=MOST_OUTPUTS).contains(&outputs.len()) {
        return Err(format!("has {} outputs, not 1 to {MOST_OUTPUTS}", outputs.len()));
    }
    outputs.iter().try_for_each(check_size)?;
    match outputs.iter().find(empty) {
        Some(of) if way == WithoutElements::Refused => return refuse(of),
        _ => {}
    }
    match outputs.iter().find(|of| of.elements() > 0) {
        Some(of) if way == WithoutElements::NothingOnly && none.is_some() => {
            Err(format!("{of} cannot be made of nothing"))
        }
        _ => Ok(outputs),
    }
}

/// Mistakes made while building are kept and reported as often as asked; only these variants are ever kept.
fn duplicate(error: &Error) -> Error {
    match error {
        Error::Shape { op, operands, message } => {
            Error::Shape { op: op.clone(), operands: operands.clone(), message: message.clone() }
        }
        Error::NoGradient { op, message } => Error::NoGradient { op: op.clone(), message: message.clone() },
        other => Error::Graph(match other {
            Error::Graph(message) => message.clone(),
            other => other.to_string(),
        }),
    }
}
