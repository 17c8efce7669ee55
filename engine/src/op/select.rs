//! One of many along the last axis: picking it by index, finding the largest, and writing an index as ones and zeros.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let values = g.constant([2, 3], &[1.0, 9.0, 3.0, 7.0, 5.0, 6.0]);
//! let best = values.argmax();
//! let mut program = Device::cpu().compile(&g, &[best, values.take_along_last(best), best.one_hot(3)])?;
//! let outputs = program.run(&[])?;
//! assert_eq!((outputs.u32(0), outputs.f32(1)), (&[1, 0][..], &[9.0, 7.0][..]));
//! assert_eq!(outputs.f32(2), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use super::gather::{NO_PIECE, SHADER, check_indices, lead_of, maps};
use super::movement::{RowMap, check_rank, only};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, Cut, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, WithoutElements};
use crate::shape::{DType, Shape, TensorType};

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["take_along_last", "put_along_last", "one_hot", "argmax"];

fn last(shape: &Shape) -> usize {
    shape.last().copied().unwrap_or(1)
}

/// Operands `x [.., n]` and indices `[..]`; output `[..]`: of every row the element that its index names. An index
/// that is none is an error on the CPU and reads the last element on a GPU.
#[derive(Debug, Clone)]
pub struct TakeAlongLast;

impl Op for TakeAlongLast {
    fn name(&self) -> &'static str {
        "take_along_last"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let [x, indices] = operands else { return Err("takes a tensor and indices".into()) };
        if indices.dtype != DType::U32 || x.shape.is_empty() {
            return Err("takes [.., n] and u32 indices [..]".into());
        }
        let shape = lead_of(x.shape.leading(1), &indices.shape)?;
        Ok(vec![TensorType { shape, dtype: x.dtype }])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (x, indices) = (call.operands[0], call.operands[1]);
        let shape = x.shape();
        let size = last(&shape);
        let back = |c: Tensor<'g>| c.graph().apply_one(PutAlongLast { size }, &[c, indices]).sum_to(shape);
        Ok(vec![call.cotangents[0].map(back), None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (x, indices) = (call.inputs[0], call.inputs[1]);
        let n = last(&x.of.shape);
        check_indices(self, call.inputs, 1, n)?;
        let lead = &call.outputs[0].of.shape;
        let x_map = RowMap::new(lead, x.of.shape.leading(1));
        let index_map = RowMap::new(lead, &indices.of.shape);
        let (x, indices) = (x.u32(), indices.u32());
        for (i, out) in call.outputs[0].u32().iter_mut().enumerate() {
            *out = x[x_map.at(i) * n + indices[index_map.at(i)] as usize];
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (x, indices) = (&call.operands[0].shape, &call.operands[1].shape);
        let lead = &call.outputs[0].shape;
        let elements = lead.elements();
        let mut parameters = vec![elements as u32, last(x) as u32, 1, 1];
        parameters.extend(maps(self, call, lead, &[x.leading(1), indices])?);
        Ok(along_last(call, "take_along_last", elements, parameters))
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        let leads = [operands[0].shape.leading(1), &operands[1].shape];
        Cut::along(&outputs[0].shape, &leads, 1)
    }
}

/// Operands `values [..]` and indices `[..]`; output `[.., size]`: every value where its index says, zeros elsewhere.
#[derive(Debug, Clone)]
pub struct PutAlongLast {
    /// The last dimension of the output.
    pub size: usize,
}

impl Op for PutAlongLast {
    fn name(&self) -> &'static str {
        "put_along_last"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let [values, indices] = operands else { return Err("takes values and indices".into()) };
        if indices.dtype != DType::U32 {
            return Err("the indices must be u32".into());
        }
        let mut shape = lead_of(&values.shape, &indices.shape)?.to_vec();
        shape.push(self.size);
        Ok(vec![TensorType { shape: shape.into(), dtype: values.dtype }])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (values, indices) = (call.operands[0], call.operands[1]);
        let back = |c: Tensor<'g>| c.take_along_last(indices).sum_to(values.shape());
        Ok(vec![call.cotangents[0].map(back), None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        check_indices(self, call.inputs, 1, self.size)?;
        let (values, indices) = (call.inputs[0], call.inputs[1]);
        let lead = call.outputs[0].of.shape.leading(1);
        let value_map = RowMap::new(lead, &values.of.shape);
        let index_map = RowMap::new(lead, &indices.of.shape);
        let (values, indices) = (values.u32(), indices.u32());
        for (i, row) in call.outputs[0].u32().chunks_exact_mut(self.size).enumerate() {
            row.fill(0);
            row[indices[index_map.at(i)] as usize] = values[value_map.at(i)];
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let elements = call.outputs[0].elements();
        let mut parameters = vec![elements as u32, self.size as u32, 1, 1];
        let own = [&call.operands[0].shape[..], &call.operands[1].shape];
        parameters.extend(maps(self, call, call.outputs[0].shape.leading(1), &own)?);
        Ok(along_last(call, "put_along_last", elements, parameters))
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        let leads = [&operands[0].shape[..], &operands[1].shape];
        Cut::along(outputs[0].shape.leading(1), &leads, 1)
    }
}

fn along_last(call: &GpuCall<'_>, entry: &'static str, elements: usize, mut parameters: Vec<u32>) -> GpuPlan {
    parameters.extend(NO_PIECE);
    Launch {
        shader: SHADER.into(),
        entry,
        constants: Vec::new(),
        bindings: vec![Binding::Input(0), Binding::Input(1), Binding::Output(0)],
        parameters,
        workgroups: call.groups(elements, 256),
    }
    .into()
}

/// A dispatch of one operand and one output with the parameters `(elements, n)`, one invocation an element.
pub(super) fn rows_launch(call: &GpuCall<'_>, entry: &'static str, elements: usize, n: usize) -> GpuPlan {
    Launch {
        shader: SHADER.into(),
        entry,
        constants: Vec::new(),
        bindings: vec![Binding::Input(0), Binding::Output(0)],
        parameters: vec![elements as u32, n as u32],
        workgroups: call.groups(elements, 256),
    }
    .into()
}

/// Indices `[..]` as rows `[.., classes]` of zeros with a one where the index says. An index that is no class is an
/// error on the CPU and gives a row of zeros on a GPU.
#[derive(Debug, Clone)]
pub struct OneHot {
    /// The last dimension of the output.
    pub classes: usize,
}

impl Op for OneHot {
    fn name(&self) -> &'static str {
        "one_hot"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let indices = only(operands)?;
        if indices.dtype != DType::U32 {
            return Err("the indices must be u32".into());
        }
        let mut shape = indices.shape.to_vec();
        shape.push(self.classes);
        Ok(vec![TensorType::f32(shape)])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        check_indices(self, call.inputs, 0, self.classes)?;
        let out = call.outputs[0].f32();
        out.fill(0.0);
        for (row, &index) in out.chunks_exact_mut(self.classes).zip(call.inputs[0].u32()) {
            row[index as usize] = 1.0;
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        Ok(rows_launch(call, "one_hot", call.outputs[0].elements(), self.classes))
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        Cut::along(&operands[0].shape, &[&operands[0].shape], 1)
    }
}

/// Elements of a row from which on a workgroup of a GPU looks for its largest.
const LONG: usize = 1024;

/// The index of the largest element of every row `[.., n]`, the first of equals. NaN is never the largest; of nothing but
/// NaN it is 0.
#[derive(Debug, Clone)]
pub struct Argmax;

/// The index of the largest, see [`Argmax`].
fn first_largest(row: &[f32]) -> usize {
    // Minus infinity is larger than NaN.
    let mut best = row.iter().position(|value| !value.is_nan()).unwrap_or(0);
    let mut largest = row[best];
    for (i, &value) in row.iter().enumerate().skip(best + 1) {
        if value > largest {
            (best, largest) = (i, value);
        }
    }
    best
}

impl Op for Argmax {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let operand = only(operands)?;
        if operand.dtype != DType::F32 || operand.shape.is_empty() {
            return Err("takes f32 [.., n]".into());
        }
        Ok(vec![TensorType::u32(operand.shape.leading(1))])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let n = last(&call.inputs[0].of.shape);
        let x = call.inputs[0].f32();
        let work = x.len();
        let parallel = call.parallel.above(work, 256 * 1024);
        let chunk = (32 * 1024usize).div_ceil(n);
        crate::cpu::for_each_chunk_mut(parallel, call.outputs[0].u32(), 1, chunk, |range, out| {
            for (row, out) in x[range.start * n..range.end * n].chunks_exact(n).zip(out) {
                *out = first_largest(row) as u32;
            }
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (rows, n) = (call.outputs[0].elements(), last(&call.operands[0].shape));
        let launch = rows_launch(call, "argmax", rows, n);
        if n < LONG {
            return Ok(launch);
        }
        let long = |launch| Launch { entry: "argmax_long", workgroups: call.groups(rows, 1), ..launch };
        Ok(GpuPlan { launches: launch.launches.into_iter().map(long).collect(), ..launch })
    }

    fn cuts(&self, _operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        Cut::along(&outputs[0].shape, &[&outputs[0].shape], 1)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operands[0].elements() as u64
    }
}

impl<'g> Tensor<'g> {
    /// Of every row of `[.., n]` the element that `indices [..]` names (an action's log-probability, say): `[..]`.
    /// Leading dimensions broadcast.
    pub fn take_along_last(self, indices: Tensor<'g>) -> Tensor<'g> {
        self.graph().apply_one(TakeAlongLast, &[self, indices])
    }

    /// Every value of `[..]` in a row of `size` zeros, where `indices [..]` says: `[.., size]`.
    pub fn put_along_last(self, indices: Tensor<'g>, size: usize) -> Tensor<'g> {
        self.graph().apply_one(PutAlongLast { size }, &[self, indices])
    }

    /// Indices as rows of zeros with a one: `[..]` of u32 becomes `[.., classes]` of f32.
    pub fn one_hot(self, classes: usize) -> Tensor<'g> {
        self.graph().apply_one(OneHot { classes }, &[self])
    }

    /// The index of the largest element along the last axis, the first of equals: u32 `[..]`. No gradient passes.
    pub fn argmax(self) -> Tensor<'g> {
        self.graph().apply_one(Argmax, &[self])
    }
}
