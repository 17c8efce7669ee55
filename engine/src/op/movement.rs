//! Ops that move elements and compute nothing: copies, reshapes, and what stops a gradient.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.input("x", [2, 3]);
//! let loss = (x.reshape([6]).detach() * x.reshape([6])).sum_all();
//! let gradient = g.grad(loss, &[x])?[0]; // none through the detached half
//! let mut program = Device::cpu().compile(&g, &[gradient])?;
//! assert_eq!(program.run(&[("x", &[3.0f32; 6])])?.f32(0), [3.0; 6]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use crate::cpu::pool::SharedPointer;
use crate::cpu::{Parallel, for_each_chunk};
use crate::error::{Error, Result};
use crate::graph::{Binding, CpuCall, Cut, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, WithoutElements};
use crate::shape::{Shape, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &["copy", "reshape", "detach"];

/// WGSL of all movement kernels.
pub(crate) const SHADER: &str = include_str!("../../shaders/movement.wgsl");

/// The one operand of an op that takes one.
pub(crate) fn only(operands: &[TensorType]) -> Result<&TensorType, String> {
    match operands {
        [operand] => Ok(operand),
        _ => Err("takes one operand".into()),
    }
}

/// The most dimensions that ops with a plan of their own (transposition, reduction, gathering) take.
pub(crate) const MAXIMUM_RANK: usize = 16;

/// Refuses operands of more dimensions than [`MAXIMUM_RANK`].
pub(crate) fn check_rank(operands: &[TensorType]) -> Result<(), String> {
    match operands.iter().any(|t| t.shape.len() > MAXIMUM_RANK) {
        true => Err(format!("takes at most {MAXIMUM_RANK} dimensions")),
        false => Ok(()),
    }
}

/// How the leading dimensions of an operand are read when they are broadcast: sizes and strides (in whatever stands
/// behind each leading index), those that behave alike merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowMap {
    dimensions: [(usize, usize); MAXIMUM_RANK],
    rank: usize,
}

impl RowMap {
    /// For leading dimensions `own` that broadcast to `target`.
    pub fn new(target: &[usize], own: &[usize]) -> RowMap {
        let mut map = RowMap { dimensions: [(1, 0); MAXIMUM_RANK], rank: 0 };
        let mut strides = [0; MAXIMUM_RANK];
        let (lead, mut step) = (target.len() - own.len(), 1);
        for i in (0..own.len()).rev() {
            strides[lead + i] = if own[i] == 1 { 0 } else { step };
            step *= own[i];
        }
        for (&size, &stride) in target.iter().zip(&strides) {
            if size == 1 {
                continue;
            }
            if map.rank > 0 {
                let (outer, outer_stride) = &mut map.dimensions[map.rank - 1];
                if *outer_stride == stride * size {
                    *outer *= size;
                    *outer_stride = stride;
                    continue;
                }
            }
            map.dimensions[map.rank] = (size, stride);
            map.rank += 1;
        }
        map
    }

    /// Where index `row` of the target lies in the operand.
    #[inline(always)]
    pub fn at(&self, mut row: usize) -> usize {
        if self.rank == 1 {
            return row * self.dimensions[0].1;
        }
        let mut at = 0;
        for &(size, stride) in self.dimensions[..self.rank].iter().rev() {
            at += row % size * stride;
            row /= size;
        }
        at
    }

    /// For shaders: the rank, three words of nothing, then `(size, stride, 0, 0)` for each of four dimensions.
    /// `None` where there are more.
    pub fn parameters(&self) -> Option<Vec<u32>> {
        if self.rank > 4 {
            return None;
        }
        let mut parameters = vec![self.rank as u32, 0, 0, 0];
        for &(size, stride) in &self.dimensions[..4] {
            parameters.extend([size as u32, stride as u32, 0, 0]);
        }
        Some(parameters)
    }
}

/// Elements that one task of the pool copies.
const COPY_TASK: usize = 64 * 1024;

/// Rows of equal length, `stride` elements apart, from element `start` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub start: usize,
    pub stride: usize,
}

/// Copies `count` rows of `length` elements. Limited by memory: every element is read and written once.
pub(crate) fn copy_rows(
    parallel: Parallel,
    (count, length): (usize, usize),
    (from, source): (&[u32], Rows),
    (to, target): (&mut [u32], Rows),
) {
    if count == 0 || length == 0 {
        return;
    }
    assert!(source.start + (count - 1) * source.stride + length <= from.len());
    assert!(target.start + (count - 1) * target.stride + length <= to.len());
    assert!(count == 1 || target.stride >= length);
    let to = SharedPointer(to.as_mut_ptr());
    let parallel = parallel.above(count * length, 4 * COPY_TASK);
    let (count, length, source, target) = match count {
        // One long row is cut into pieces so that it can be shared out.
        1 if length > COPY_TASK => {
            let whole = length / COPY_TASK;
            let rest = length - whole * COPY_TASK;
            let done = whole * COPY_TASK;
            // SAFETY: within the row, whose bounds were checked; the pieces below end where this begins.
            unsafe {
                let out = to.get().add(target.start + done);
                std::ptr::copy_nonoverlapping(from.as_ptr().add(source.start + done), out, rest);
            }
            let rows = |start| Rows { start, stride: COPY_TASK };
            (whole, COPY_TASK, rows(source.start), rows(target.start))
        }
        _ => (count, length, source, target),
    };
    for_each_chunk(parallel, count, COPY_TASK.div_ceil(length), |range| {
        for row in range {
            let at = source.start + row * source.stride;
            let row_in = &from[at..at + length];
            // SAFETY: the target's bounds were checked above; rows do not overlap and each belongs to one piece.
            let row_out = unsafe {
                let out = to.get().add(target.start + row * target.stride);
                std::slice::from_raw_parts_mut(out, length)
            };
            if length < 16 {
                // Shorter than a call of memcpy takes.
                for (o, i) in row_out.iter_mut().zip(row_in) {
                    *o = *i;
                }
            } else {
                row_out.copy_from_slice(row_in);
            }
        }
    });
}

/// A copy on a GPU between two strided layouts: one `(size, input stride, output stride)` a dimension, and the
/// elements at which both start. Only elements that the dimensions reach are written. Limited by memory.
pub(crate) fn strided_launch(
    call: &GpuCall<'_>,
    input: usize,
    dimensions: &[(usize, usize, usize)],
    (input_start, output_start): (usize, usize),
    output: usize,
) -> Launch {
    let elements: usize = dimensions.iter().map(|d| d.0).product();
    let mut parameters =
        vec![elements as u32, input_start as u32, output_start as u32, dimensions.len() as u32];
    for i in 0..MAXIMUM_RANK {
        let (size, input_stride, output_stride) = dimensions.get(i).copied().unwrap_or((1, 0, 0));
        parameters.extend([size as u32, input_stride as u32, output_stride as u32, 0]);
    }
    Launch {
        shader: SHADER.into(),
        entry: "strided",
        constants: Vec::new(),
        bindings: vec![Binding::Input(input), Binding::Output(output)],
        parameters,
        workgroups: call.groups(elements, 256),
    }
}

/// An op that is computed by nothing: its output lies where its operand lies.
pub(super) fn copy_cpu(call: &mut CpuCall<'_>) -> Result<()> {
    let input = call.inputs[0].u32();
    let all = Rows { start: 0, stride: 0 };
    copy_rows(call.parallel, (1, input.len()), (input, all), (call.outputs[0].u32(), all));
    Ok(())
}

pub(super) fn copy_gpu(call: &GpuCall<'_>) -> Result<GpuPlan> {
    let elements = call.outputs[0].elements();
    Ok(Launch {
        shader: SHADER.into(),
        entry: "copy",
        constants: Vec::new(),
        bindings: vec![Binding::Input(0), Binding::Output(0)],
        parameters: vec![elements as u32],
        workgroups: call.groups(elements, 256),
    }
    .into())
}

/// A copy, where one is needed for its own sake.
#[derive(Debug, Clone)]
pub struct Copy;

impl Op for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![only(operands)?.clone()])
    }
    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![call.cotangents[0]])
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        copy_cpu(call)
    }
    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        copy_gpu(call)
    }
    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        Cut::along(&outputs[0].shape, &[&operands[0].shape], 1)
    }
}

/// The same elements in another shape. Costs nothing.
#[derive(Debug, Clone)]
pub struct Reshape(pub Shape);

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let operand = only(operands)?;
        if operand.elements() != self.0.elements() {
            return Err(format!("has not as many elements as {:?}", self.0));
        }
        Ok(vec![TensorType { shape: self.0.clone(), dtype: operand.dtype }])
    }
    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![call.cotangents[0].map(|c| c.reshape(call.operands[0].shape()))])
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        copy_cpu(call)
    }
    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        copy_gpu(call)
    }
    fn alias(&self, _operands: &[TensorType]) -> Option<usize> {
        Some(0)
    }
}

/// The same value, through which no gradient passes. Costs nothing.
#[derive(Debug, Clone)]
pub struct Detach;

impl Op for Detach {
    fn name(&self) -> &'static str {
        "detach"
    }
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![only(operands)?.clone()])
    }
    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        copy_cpu(call)
    }
    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        copy_gpu(call)
    }
    fn alias(&self, _operands: &[TensorType]) -> Option<usize> {
        Some(0)
    }
}

impl<'g> Tensor<'g> {
    /// The same elements in row-major order, in another shape of as many elements.
    pub fn reshape(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let shape = shape.into();
        if self.shape() == shape {
            return self;
        }
        self.graph().apply_one(Reshape(shape), &[self])
    }

    /// The same value, through which no gradient passes.
    pub fn detach(self) -> Tensor<'g> {
        self.graph().apply_one(Detach, &[self])
    }

    /// One axis that may be counted from the end, as an index.
    pub(crate) fn axis(self, op: &str, axis: isize) -> Option<usize> {
        let found = self.shape().axis(axis);
        if found.is_none() {
            self.refuse(op, format!("{axis} is not one of its axes"));
        }
        found
    }

    /// Marks the graph as wrong because of this tensor, for methods that find a mistake before any op does.
    pub(crate) fn refuse(self, op: &str, message: String) -> Tensor<'g> {
        let operands = self.tensor_type().to_string();
        self.graph().fail(Error::Shape { op: op.to_string(), operands, message })
    }

    /// Axes that may be counted from the end, as sorted indices without repetition.
    pub(crate) fn axes(self, op: &str, axes: &[isize]) -> Option<Vec<usize>> {
        let shape = self.shape();
        let mut found = Vec::with_capacity(axes.len());
        for &axis in axes {
            match shape.axis(axis) {
                Some(index) if !found.contains(&index) => found.push(index),
                _ => {
                    self.refuse(op, format!("axes {axes:?} are not distinct axes of it"));
                    return None;
                }
            }
        }
        found.sort_unstable();
        Some(found)
    }
}
