//! Sums, means and extremes over axes.
//!
//! Whatever the axes are, the work is a few passes over `[outer, reduced, inner]`, each of which adds up rows
//! (`inner` is 1) or columns. Long reductions are cut into pieces of a fixed length whose results the next pass
//! reduces, so that the order of every sum depends on shapes alone and rounding errors grow slowly. All passes are
//! limited by memory: every element is read once.
//!
//! The CPU kernels stand in `cpu`; passes, the GPU launches and the op itself stand here.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.constant([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
//! let mut program = Device::cpu().compile(&g, &[x.sum(&[0]), x.mean(&[-1]), x.max(&[0, 1])])?;
//! let outputs = program.run(&[])?;
//! assert_eq!((outputs.f32(0), outputs.f32(1)), (&[5.0, 7.0, 9.0][..], &[2.0, 5.0][..]));
//! assert_eq!(outputs.scalar(2), 6.0);
//! # Ok::<(), synod_engine::Error>(())
//! ```

mod cpu;

use crate::error::Result;
use crate::graph::{
    Binding, CpuCall, Cut, GpuCall, GpuPlan, Halves, Launch, Op, Scalar, Tensor, VjpCall, WithoutElements,
};
use crate::op::group::with_groups;
use crate::op::movement::{MAXIMUM_RANK, check_rank, only};
use crate::shape::{DType, Shape, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &["sum", "max", "min"];

/// WGSL of the reduction kernels.
pub(crate) const SHADER: &str =
    concat!(include_str!("../../../shaders/special.wgsl"), include_str!("../../../shaders/reduce.wgsl"));

/// What a reduction keeps of the elements it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// The largest; NaN where one is NaN.
    Maximum,
    /// The smallest; NaN where one is NaN.
    Minimum,
}

/// Reduces over `axes` (sorted indices); the reduced dimensions are left out of the output.
#[derive(Debug, Clone)]
pub struct Reduce {
    /// What is kept.
    pub reduction: Reduction,
    /// Over which dimensions.
    pub axes: Vec<usize>,
}

/// One pass: `outer` times `reduced` rows of `inner` elements; every `piece` rows become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pass {
    pub outer: usize,
    pub reduced: usize,
    pub inner: usize,
    pub piece: usize,
}

impl Pass {
    fn pieces(&self) -> usize {
        self.reduced.div_ceil(self.piece)
    }
    fn outputs(&self) -> usize {
        self.outer * self.pieces() * self.inner
    }
}

/// Each group of axes takes at least one pass and each pass at least halves the elements, of which there are less
/// than 2^31.
const MOST_PASSES: usize = 32;

/// The passes of a reduction, in order.
pub(crate) struct Passes {
    list: [Pass; MOST_PASSES],
    count: usize,
}

impl Passes {
    /// `piece` gives the longest piece for an `inner` size.
    pub fn new(shape: &[usize], axes: &[usize], piece: fn(usize) -> usize) -> Passes {
        // Neighbouring dimensions that are both reduced or both kept count as one.
        let mut groups = [(1usize, false); MAXIMUM_RANK];
        let mut count = 0;
        for (i, &size) in shape.iter().enumerate() {
            let reduced = axes.contains(&i);
            if size == 1 {
                continue;
            }
            if count > 0 && groups[count - 1].1 == reduced {
                groups[count - 1].0 *= size;
            } else {
                groups[count] = (size, reduced);
                count += 1;
            }
        }
        let groups = &mut groups[..count];
        let mut passes = Passes { list: [Pass::default(); MOST_PASSES], count: 0 };
        // The largest group first: what it leaves to the others is the least.
        while let Some((at, &(size, _))) = groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.1 && group.0 > 1)
            .max_by_key(|(i, group)| (group.0, *i))
        {
            let outer: usize = groups[..at].iter().map(|g| g.0).product();
            let inner: usize = groups[at + 1..].iter().map(|g| g.0).product();
            let pass = Pass { outer, reduced: size, inner, piece: piece(inner).max(2) };
            groups[at].0 = pass.pieces();
            passes.list[passes.count] = pass;
            passes.count += 1;
            if passes.count == MOST_PASSES {
                break;
            }
        }
        passes
    }

    pub fn list(&self) -> &[Pass] {
        &self.list[..self.count]
    }

    /// Elements of the two buffers between passes: even passes but the last write the first, odd ones the second.
    fn between(&self) -> [usize; 2] {
        let of = |i: usize| if i + 1 < self.count { self.list[i].outputs() } else { 0 };
        [of(0), of(1)]
    }
}

/// The longest piece on a GPU: a workgroup of 256 invocations adds 64 elements each.
fn gpu_piece(inner: usize) -> usize {
    if inner == 1 { 16 * 1024 } else { 512 }
}

/// Dispatches that reduce operand `input` into output `output`; scratch buffers are numbered from
/// `plan.scratch.len()` on.
pub(crate) fn reduce_gpu(
    call: &GpuCall<'_>,
    plan: &mut GpuPlan,
    reduction: Reduction,
    (source, shape, axes): (Binding, &[usize], &[usize]),
    target: Binding,
) {
    let passes = Passes::new(shape, axes, gpu_piece);
    let buffers = [plan.scratch.len(), plan.scratch.len() + 1];
    let (count, between) = (passes.list().len(), passes.between());
    plan.scratch.extend(between.iter().take_while(|&&elements| elements > 0));
    if count == 0 {
        // Nothing is reduced: one element a row.
        let rows: usize = shape.iter().product();
        let pass = Pass { outer: rows, reduced: 1, inner: 1, piece: 1 };
        plan.launches.push(launch(call, reduction, &pass, source, target));
        return;
    }
    for (i, pass) in passes.list().iter().enumerate() {
        let from = if i == 0 { source } else { Binding::ScratchRead(buffers[(i - 1) % 2]) };
        let to = if i + 1 == count { target } else { Binding::Scratch(buffers[i % 2]) };
        plan.launches.push(launch(call, reduction, pass, from, to));
    }
}

fn launch(call: &GpuCall<'_>, reduction: Reduction, pass: &Pass, from: Binding, to: Binding) -> Launch {
    let (entry, groups) = if pass.inner > 1 {
        ("columns", pass.outer * pass.pieces() * pass.inner.div_ceil(32))
    } else if pass.reduced <= 32 {
        ("short_rows", pass.outer.div_ceil(256))
    } else {
        ("rows", pass.outer * pass.pieces())
    };
    Launch {
        shader: with_groups(call, SHADER),
        entry,
        constants: vec![("KIND", reduction as u32 as f64)],
        bindings: vec![from, to],
        parameters: [pass.outer, pass.reduced, pass.inner, pass.piece].map(|v| v as u32).to_vec(),
        workgroups: call.groups(groups, 1),
    }
}

impl Reduce {
    fn with_ones(&self, shape: &Shape) -> Shape {
        shape
            .iter()
            .enumerate()
            .map(|(i, &d)| if self.axes.contains(&i) { 1 } else { d })
            .collect::<Vec<_>>()
            .into()
    }
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self.reduction {
            Reduction::Sum => "sum",
            Reduction::Maximum => "max",
            Reduction::Minimum => "min",
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let operand = only(operands)?;
        if operand.dtype != DType::F32 {
            return Err("takes f32 operands".into());
        }
        if self.axes.iter().any(|&a| a >= operand.shape.len()) {
            return Err(format!("has no axes {:?}", self.axes));
        }
        let kept: Vec<usize> =
            (0..operand.shape.len()).filter(|i| !self.axes.contains(i)).map(|i| operand.shape[i]).collect();
        Ok(vec![TensorType::f32(kept)])
    }

    fn without_elements(&self) -> WithoutElements {
        match self.reduction {
            Reduction::Sum => WithoutElements::Zeros,
            Reduction::Maximum | Reduction::Minimum => WithoutElements::NothingOnly,
        }
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (x, y, c) = (call.operands[0], call.outputs[0], call.cotangent(0));
        let shape = x.shape();
        let kept = self.with_ones(&shape);
        let c = c.reshape(&kept).broadcast_to(&shape);
        Ok(vec![Some(match self.reduction {
            Reduction::Sum => c,
            // Equal extremes share the gradient evenly, as in JAX.
            Reduction::Maximum | Reduction::Minimum => {
                let hit = x.equal(y.reshape(&kept));
                let axes: Vec<isize> = self.axes.iter().map(|&a| a as isize).collect();
                let count = hit.sum(&axes).reshape(&kept);
                c * hit / count
            }
        })])
    }

    fn cpu_scratch(&self, operands: &[TensorType], _outputs: &[TensorType]) -> usize {
        cpu::scratch(&operands[0].shape, &self.axes)
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let x = (call.inputs[0].f32(), call.inputs[0].shape(), &self.axes[..]);
        cpu::reduce(call.parallel, self.reduction, x, call.outputs[0].f32(), call.scratch);
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let mut plan = GpuPlan::default();
        let source = (Binding::Input(0), &call.operands[0].shape[..], &self.axes[..]);
        reduce_gpu(call, &mut plan, self.reduction, source, Binding::Output(0));
        Ok(plan)
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        let shape = &operands[0].shape;
        let Some(axis) = shape.iter().position(|size| *size > 1) else { return Vec::new() };
        let together = match self.reduction {
            Reduction::Sum => Scalar::Add,
            Reduction::Maximum => Scalar::Maximum,
            Reduction::Minimum => Scalar::Minimum,
        };
        let outputs = match self.axes.contains(&axis) {
            true => Halves::Meet(together),
            false => Halves::Follow(axis - self.axes.iter().filter(|reduced| **reduced < axis).count()),
        };
        vec![Cut { operands: vec![Some(axis)], outputs: vec![outputs] }]
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operands[0].elements() as u64
    }

    fn alias(&self, operands: &[TensorType]) -> Option<usize> {
        // Over dimensions of size 1 there is nothing to reduce.
        self.axes.iter().all(|&a| operands[0].shape[a] == 1).then_some(0)
    }
}

/// The mean of as many numbers as `count` from their sum.
fn mean_of<'g>(sum: Tensor<'g>, count: usize) -> Tensor<'g> {
    match count {
        // A compiler of shaders may take 0 / 0 for something else.
        0 => sum + f32::NAN,
        _ => sum / count as f32,
    }
}

impl<'g> Tensor<'g> {
    fn reduce(self, reduction: Reduction, axes: &[isize]) -> Tensor<'g> {
        match self.axes("reduce", axes) {
            Some(axes) if axes.is_empty() => self,
            Some(axes) if self.dtype() != DType::F32 => self.reduce_integers(reduction, &axes),
            Some(axes) => self.graph().apply_one(Reduce { reduction, axes }, &[self]),
            None => self,
        }
    }

    /// The sum over `axes` (negative ones count from the end), which are left out of the result. Of integers it wraps
    /// around.
    pub fn sum(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduction::Sum, axes)
    }

    /// The sum of all elements.
    pub fn sum_all(self) -> Tensor<'g> {
        let axes: Vec<isize> = (0..self.shape().len() as isize).collect();
        self.sum(&axes)
    }

    /// The mean over `axes`, which are left out of the result; NaN over no elements.
    pub fn mean(self, axes: &[isize]) -> Tensor<'g> {
        let Some(indices) = self.axes("reduce", axes) else { return self };
        let shape = self.shape();
        mean_of(self.sum(axes), indices.iter().map(|&axis| shape[axis]).product())
    }

    /// The mean of all elements.
    pub fn mean_all(self) -> Tensor<'g> {
        mean_of(self.sum_all(), self.shape().elements())
    }

    /// The maximum over `axes`, which are left out of the result; NaN where an element is NaN. Equal maxima share the
    /// gradient.
    pub fn max(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduction::Maximum, axes)
    }

    /// The minimum over `axes`, which are left out of the result; NaN where an element is NaN. Equal minima share the
    /// gradient.
    pub fn min(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduction::Minimum, axes)
    }
}
