//! What an op is: its shape rule, its gradient, its CPU kernel, its GPU launch. One implementation of [`Op`] states
//! all of them in one place; ops of other crates implement the same trait.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use super::Tensor;
use crate::cpu::Parallel;
use crate::error::{Error, Result};
use crate::shape::{self, TensorType};

/// Keeps [`Op::home`] from being written anew elsewhere: nobody else can name it.
mod private {
    #[allow(missing_debug_implementations)]
    pub struct Token;
}

/// Whether an op is one of this package, whose kernels are known to keep within their operands where these are as
/// [`Op::infer`] says.
pub(crate) fn is_own(op: &dyn Op) -> bool {
    op.home(private::Token).starts_with(concat!(env!("CARGO_CRATE_NAME"), "::"))
}

/// An op. Its type, name and `Debug` text are its identity: two ops of one type that print alike compute alike.
///
/// What an op says of itself is checked when a program is compiled, so that a wrong answer is an error and not memory
/// that belongs to others; kernels of other packages run with the checks of safe Rust and of WGSL.
pub trait Op: Debug + Send + Sync + Any {
    /// The name in errors and in the registry, e.g. `matmul`.
    fn name(&self) -> &'static str;

    /// Output types for operand types.
    ///
    /// # Errors
    /// The rule that the operands break, in words; the caller adds the op's name and the operands.
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String>;

    /// Gradients of the operands, built from ops; `None` for an operand through which no derivative passes (indices,
    /// comparisons). The default differentiates [`Op::decompose`].
    ///
    /// # Errors
    /// [`Error::NoGradient`] where there is neither a rule nor a decomposition.
    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        match self.decompose(call.operands) {
            Some(outputs) => super::gradient::through_decomposition(&outputs, call).map_err(|e| match e {
                Error::Graph(message) => Error::Graph(format!("{}: {message}", self.name())),
                other => other,
            }),
            None => Err(Error::NoGradient {
                op: self.name().to_string(),
                message: "it has neither a gradient rule nor a decomposition".into(),
            }),
        }
    }

    /// The same outputs from plainer ops. A fused op needs it so that its gradient's gradient exists.
    fn decompose<'g>(&self, _operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        None
    }

    /// Floats of scratch memory that [`Op::cpu`] needs.
    fn cpu_scratch(&self, _operands: &[TensorType], _outputs: &[TensorType]) -> usize {
        0
    }

    /// Pairs of an operand and an output of equal type that [`Op::cpu`] can take in one place: where it is given an
    /// operand without elements, it finds them in that output, and replaces them.
    fn in_place(&self) -> &'static [(usize, usize)] {
        &[]
    }

    /// Computes on the CPU. The outputs' former content is arbitrary, but for those of [`Op::in_place`].
    ///
    /// # Errors
    /// Operand values that make no sense (an index out of range).
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()>;

    /// How to compute on a GPU, as plain data.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device is too small and the work cannot be split.
    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan>;

    /// Rounds of loops that one invocation of [`Op::gpu`] goes through, where sizes that are common in use make them many. Over
    /// [`GpuLimits::rounds`] the op is replaced by smaller or plainer ones where it can be, and is an error where not.
    fn gpu_rounds(&self, _operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        0
    }

    /// For an op that maps elements to elements: the function. Chains of these are fused.
    fn scalar(&self) -> Option<Scalar> {
        None
    }

    /// What the op makes of operands without elements, and whether its outputs may have none. Its kernels never meet one:
    /// a program leaves them out.
    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Refused
    }

    /// Whether output 0 is operand 0 with another shape, so that nothing need be computed; with the offset in
    /// elements at which it starts.
    fn alias(&self, _operands: &[TensorType]) -> Option<usize> {
        None
    }

    /// This op with `+ bias[n]` (the added operand comes last) and then `activation` applied to its only output, where
    /// it has a kernel for that.
    fn with_epilogue(&self, _bias: bool, _activation: Option<Scalar>) -> Option<Arc<dyn Op>> {
        None
    }

    /// How to compute some rows of the last dimension (of output 0) alone, where rows do not depend on each other: chains
    /// of such ops go through the cache a block of rows at a time.
    fn by_rows(&self, _operands: &[TensorType], _outputs: &[TensorType]) -> Option<ByRows> {
        None
    }

    /// Whether this output is the operands one after another in memory, so that they may be computed where they are to lie.
    fn concatenates(&self, _output: &TensorType) -> bool {
        false
    }

    /// In which ways the op falls into two halves, best first, for devices that cannot bind all of an operand or an output at
    /// once. Elementwise ops are cut along their first dimension.
    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        if self.scalar().is_none() {
            return Vec::new();
        }
        let leads: Vec<&[usize]> = operands.iter().map(|of| &of.shape[..]).collect();
        Cut::along(&outputs[0].shape, &leads, outputs.len())
    }

    /// This op for outputs of these types, where it keeps their shape in itself.
    fn resized(&self, _outputs: &[TensorType]) -> Option<Arc<dyn Op>> {
        None
    }

    /// The path of the type that implements the op, which no implementation can change.
    #[doc(hidden)]
    fn home(&self, _: private::Token) -> &'static str {
        std::any::type_name::<Self>()
    }

    /// Floating-point operations of one execution, for reports.
    fn operations(&self, _operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        outputs.iter().fold(0, |sum, of| sum.saturating_add(of.elements() as u64))
    }
}

/// See [`Op::without_elements`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutElements {
    /// They are an error, in operands and outputs.
    Refused,
    /// Only outputs that have none themselves can be made of them.
    NothingOnly,
    /// Outputs that have elements are zeros: sums of nothing.
    Zeros,
    /// The output is that of the other operands.
    Others,
}

/// See [`Op::by_rows`].
#[derive(Debug, Clone)]
pub struct ByRows {
    /// Computes any number of rows on the CPU. Its outputs are `[rows, width]`.
    pub op: Arc<dyn Op>,
    /// Which operands it is given as `[rows, width]`, row by row with the outputs; the others it is given whole.
    pub sliced: Vec<bool>,
}

/// See [`Op::cuts`]: each half is the same op on a part of some operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Along which dimension each operand is cut, all of one size there; `None` where both halves read it whole. All
    /// dimensions before it are 1, so that halves are views.
    pub operands: Vec<Option<usize>>,
    /// What becomes of the halves' outputs.
    pub outputs: Vec<Halves>,
}

/// How an output follows from those of two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halves {
    /// One after the other along this dimension, before which all dimensions are 1.
    Follow(usize),
    /// By a function of two numbers, element by element: each half is a part of a sum, say.
    Meet(Scalar),
}

impl Cut {
    /// For an op that does the same for all indices of the dimensions `lead`, with which each of its `outputs` begins: along
    /// the first of them that is longer than 1. `operands` are the operands' dimensions that are broadcast to those;
    /// none for an operand that all indices share. Empty where no dimension is longer than 1.
    pub fn along(lead: &[usize], operands: &[&[usize]], outputs: usize) -> Vec<Cut> {
        let Some(axis) = lead.iter().position(|size| *size > 1) else { return Vec::new() };
        let cut = |own: &&[usize]| {
            let at = (axis + own.len()).checked_sub(lead.len())?;
            (own[at] == lead[axis]).then_some(at)
        };
        let operands = operands.iter().map(cut).collect();
        vec![Cut { operands, outputs: vec![Halves::Follow(axis); outputs] }]
    }

    /// With outputs that are gradients of the first operands: one that is cut has gradients that follow one another, and one
    /// that both halves read gets the sum of theirs.
    pub fn of_gradient(self, outputs: usize) -> Cut {
        let half = |cut: &Option<usize>| cut.map_or(Halves::Meet(Scalar::Add), Halves::Follow);
        Cut { outputs: self.operands[..outputs].iter().map(half).collect(), ..self }
    }

    /// Along one dimension of each operand over which the op adds up. Empty where halves are no views.
    pub fn across(axes: &[(&[usize], usize)]) -> Vec<Cut> {
        if axes.iter().any(|(shape, axis)| shape[..*axis].iter().any(|size| *size != 1)) {
            return Vec::new();
        }
        let operands = axes.iter().map(|(_, axis)| Some(*axis)).collect();
        vec![Cut { operands, outputs: vec![Halves::Meet(Scalar::Add)] }]
    }
}

/// A function of one to three numbers, applied to each element. Comparisons give 1.0 or 0.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is named by the function it is.
pub enum Scalar {
    Identity,
    Negate,
    Exp,
    Log,
    /// `log(1 + x)`.
    Log1p,
    Tanh,
    Sigmoid,
    Relu,
    Gelu,
    Softplus,
    Sqrt,
    Sin,
    Cos,
    /// The error function.
    Erf,
    Expm1,
    Abs,
    Sign,
    Floor,
    /// To the nearest whole number, halves to the even one.
    Round,
    Reciprocal,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    /// The remainder with the sign of the divisor.
    Modulo,
    /// The angle of the point whose second coordinate comes first.
    Atan2,
    Maximum,
    Minimum,
    Less,
    LessEqual,
    Equal,
    /// The second where the first is not 0, else the third.
    Select,
}

impl Scalar {
    /// Number of operands.
    pub fn arity(self) -> usize {
        match self {
            Scalar::Select => 3,
            Scalar::Add
            | Scalar::Subtract
            | Scalar::Multiply
            | Scalar::Divide
            | Scalar::Power
            | Scalar::Modulo
            | Scalar::Atan2
            | Scalar::Maximum
            | Scalar::Minimum
            | Scalar::Less
            | Scalar::LessEqual
            | Scalar::Equal => 2,
            _ => 1,
        }
    }
}

/// What [`Op::vjp`] works from.
pub struct VjpCall<'a, 'g> {
    /// The operands.
    pub operands: &'a [Tensor<'g>],
    /// The outputs.
    pub outputs: &'a [Tensor<'g>],
    /// For each output the gradient of the loss, `None` where the loss does not depend on it.
    pub cotangents: &'a [Option<Tensor<'g>>],
    /// For each operand whether its gradient is asked for; the others may be `None`.
    pub wanted: &'a [bool],
}

impl<'g> VjpCall<'_, 'g> {
    /// The gradient of output `i`, zeros where the loss does not depend on it.
    pub fn cotangent(&self, i: usize) -> Tensor<'g> {
        self.cotangents[i].unwrap_or_else(|| self.outputs[i].graph().full(self.outputs[i].shape(), 0.0))
    }
}

/// An operand on the CPU.
#[derive(Clone, Copy)]
pub struct CpuInput<'a> {
    pub(crate) bits: &'a [u32],
    /// Its type.
    pub of: &'a TensorType,
}

/// An output on the CPU.
pub struct CpuOutput<'a> {
    pub(crate) bits: &'a mut [u32],
    /// Its type.
    pub of: &'a TensorType,
}

impl<'a> CpuInput<'a> {
    /// The elements as floats.
    pub fn f32(&self) -> &'a [f32] {
        bytemuck::cast_slice(self.bits)
    }
    /// The elements as signed integers.
    pub fn i32(&self) -> &'a [i32] {
        bytemuck::cast_slice(self.bits)
    }
    /// The elements as unsigned integers, or their bits.
    pub fn u32(&self) -> &'a [u32] {
        self.bits
    }
    /// Sizes of the dimensions.
    pub fn shape(&self) -> &'a [usize] {
        &self.of.shape
    }
}

impl CpuOutput<'_> {
    /// The elements as floats.
    pub fn f32(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.bits)
    }
    /// The elements as signed integers.
    pub fn i32(&mut self) -> &mut [i32] {
        bytemuck::cast_slice_mut(self.bits)
    }
    /// The elements as unsigned integers, or their bits.
    pub fn u32(&mut self) -> &mut [u32] {
        self.bits
    }
    /// Sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.of.shape
    }
}

/// What [`Op::cpu`] works on.
pub struct CpuCall<'a> {
    /// The operands.
    pub inputs: &'a [CpuInput<'a>],
    /// The outputs.
    pub outputs: &'a mut [CpuOutput<'a>],
    /// As many floats as [`Op::cpu_scratch`] asked for, of arbitrary content.
    pub scratch: &'a mut [f32],
    /// Whether the kernel may split its work over threads.
    pub parallel: Parallel,
    /// Whether it was made for an op of this package.
    pub(crate) own: bool,
}

impl CpuCall<'_> {
    /// Refuses a call that another package's op hands on: kernels of this package rely on operands and outputs that their own
    /// shape rule has accepted.
    pub(crate) fn expect_own(&self) -> Result<()> {
        match self.own {
            true => Ok(()),
            false => Err(Error::Graph("a kernel was given the call of an op of another package".into())),
        }
    }
}

/// What a GPU offers, as far as kernels choose by it.
#[derive(Debug, Clone)]
pub struct GpuLimits {
    /// Bytes of one storage binding.
    pub binding_bytes: u64,
    /// Storage buffers of one dispatch.
    pub storage_buffers: u32,
    /// Workgroups along each dimension of a dispatch.
    pub workgroups: u32,
    /// Invocations of one workgroup.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Whether subgroup operations are there.
    pub subgroups: bool,
    /// Invocations of a subgroup, at most.
    pub subgroup_size: u32,
    /// Rounds that all loops of an invocation may take together: Mesa's llvmpipe ends them there without a word.
    pub rounds: u64,
}

impl GpuLimits {
    /// Workgroups for `items` invocations in groups of `size`, folded into two dimensions where one is too short.
    /// The kernel's index is `(group.y * groups.x + group.x) * size + local`.
    pub fn groups(&self, items: usize, size: usize) -> [u32; 3] {
        let groups = items.div_ceil(size).max(1) as u64;
        let limit = u64::from(self.workgroups);
        if groups <= limit {
            return [groups as u32, 1, 1];
        }
        let rows = groups.div_ceil(limit);
        [groups.div_ceil(rows) as u32, rows as u32, 1]
    }
}

/// What [`Op::gpu`] works from.
pub struct GpuCall<'a> {
    /// Operand types.
    pub operands: &'a [TensorType],
    /// Output types.
    pub outputs: &'a [TensorType],
    /// What the device offers.
    pub limits: &'a GpuLimits,
}

impl GpuCall<'_> {
    /// [`GpuLimits::groups`] of the device.
    pub fn groups(&self, items: usize, size: usize) -> [u32; 3] {
        self.limits.groups(items, size)
    }

    /// The error for something that the device has too little of.
    pub fn limit(&self, op: &dyn Op, what: &str, needed: u64, limit: u64) -> Error {
        Error::Limit {
            op: op.name().to_string(),
            what: what.to_string(),
            needed,
            limit,
            operands: shape::list(self.operands),
        }
    }
}

/// Dispatches that compute an op, in order, and the scratch buffers they share.
#[derive(Debug, Clone, Default)]
pub struct GpuPlan {
    /// Dispatches in order.
    pub launches: Vec<Launch>,
    /// Elements (four bytes each) of every scratch buffer.
    pub scratch: Vec<usize>,
}

impl From<Launch> for GpuPlan {
    fn from(launch: Launch) -> Self {
        GpuPlan { launches: vec![launch], scratch: Vec::new() }
    }
}

/// One dispatch.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The WGSL text. Equal texts, entries and constants share one pipeline.
    pub shader: Cow<'static, str>,
    /// The entry point.
    pub entry: &'static str,
    /// Values of the shader's `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// What `@group(0) @binding(i)` is. Operands are bound `read`, everything else `read_write`.
    pub bindings: Vec<Binding>,
    /// The content of `var<uniform>` at the binding after the last of `bindings`; no such binding where it is empty.
    /// Floats go in by their bits.
    pub parameters: Vec<u32>,
    /// Workgroups along x, y, z.
    pub workgroups: [u32; 3],
}

/// A buffer of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// An operand.
    Input(usize),
    /// An output.
    Output(usize),
    /// A scratch buffer of the plan, written by it.
    Scratch(usize),
    /// A scratch buffer that this dispatch only reads (bound `read`).
    ScratchRead(usize),
}
