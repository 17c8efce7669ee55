//! Rows by index, and the sum of rows into the places that indices say: each is the other's gradient.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let rows = g.constant([3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
//! let picked = rows.gather(g.constant_u32([2], &[2, 0]));
//! let mut program = Device::cpu().compile(&g, &[picked])?;
//! assert_eq!(program.run(&[])?.f32(0), [4.0, 5.0, 0.0, 1.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use super::movement::{RowMap, check_rank};
use crate::cpu::for_each_chunk;
use crate::cpu::pool::SharedPointer;
use crate::error::{Error, Result};
use crate::graph::{
    Binding, CpuCall, CpuInput, Cut, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, WithoutElements,
};
use crate::shape::{DType, Shape, TensorType, list};

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["gather", "scatter_add"];

/// WGSL of the kernels that take indices.
pub(crate) const SHADER: &str =
    concat!(include_str!("../../shaders/special.wgsl"), include_str!("../../shaders/gather.wgsl"));

/// Elements that one task of the pool moves.
const TASK: usize = 32 * 1024;

/// The last of the parameters of kernels that are launched once.
pub(super) const NO_PIECE: [u32; 4] = [0; 4];

/// Checks that every index is below `size`.
pub(crate) fn check_indices(op: &dyn Op, inputs: &[CpuInput<'_>], which: usize, size: usize) -> Result<()> {
    let indices = inputs[which].u32();
    // The largest alone is looked for: that loop is vectorised.
    let largest = indices.iter().fold(0, |a, &b| a.max(b));
    if (largest as usize) < size {
        return Ok(());
    }
    let types: Vec<TensorType> = inputs.iter().map(|i| i.of.clone()).collect();
    Err(Error::Shape {
        op: op.name().to_string(),
        operands: list(&types),
        message: format!("index {largest} is not below {size}"),
    })
}

/// The row maps of two operands for a shader.
pub(crate) fn maps(op: &dyn Op, call: &GpuCall<'_>, target: &[usize], own: &[&[usize]]) -> Result<Vec<u32>> {
    let mut parameters = Vec::new();
    for lead in own {
        let map = RowMap::new(target, lead).parameters();
        parameters.extend(map.ok_or_else(|| call.limit(op, "separate leading dimensions", 5, 4))?);
    }
    Ok(parameters)
}

/// The leading dimensions that both lists broadcast to.
pub(crate) fn lead_of(a: &[usize], b: &[usize]) -> Result<Shape, String> {
    Shape::from(a).broadcast(&Shape::from(b)).ok_or_else(|| "the leading dimensions do not broadcast".into())
}

fn with_last(lead: &Shape, last: &[usize]) -> Shape {
    [&lead[..], last].concat().into()
}

/// Operands `x [.., rows, features]` and indices `[.., n]`; output `[.., n, features]`, the rows that the indices name.
/// An index that is no row is an error on the CPU and reads the last row on a GPU.
#[derive(Debug, Clone)]
pub struct Gather;

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let [x, indices] = operands else { return Err("takes a tensor and indices".into()) };
        if indices.dtype != DType::U32 {
            return Err("the indices must be u32".into());
        }
        if x.shape.len() < 2 || indices.shape.is_empty() {
            return Err("takes [.., rows, features] and indices [.., n]".into());
        }
        let lead = lead_of(x.shape.leading(2), indices.shape.leading(1))?;
        let last = [indices.shape[indices.shape.len() - 1], x.shape[x.shape.len() - 1]];
        Ok(vec![TensorType { shape: with_last(&lead, &last), dtype: x.dtype }])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (x, indices) = (call.operands[0], call.operands[1]);
        let shape = x.shape();
        let rows = shape[shape.len() - 2];
        Ok(vec![call.cotangents[0].map(|c| c.scatter_add(indices, rows).sum_to(shape)), None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (x, indices) = (call.inputs[0], call.inputs[1]);
        let (rank, rows) = (x.shape().len(), x.shape()[x.shape().len() - 2]);
        let (features, n) = (x.shape()[rank - 1], indices.shape()[indices.shape().len() - 1]);
        check_indices(self, call.inputs, 1, rows)?;
        let lead = call.outputs[0].of.shape.leading(2);
        let x_map = RowMap::new(lead, x.of.shape.leading(2));
        let index_map = RowMap::new(lead, indices.of.shape.leading(1));
        let (x, indices) = (x.u32(), indices.u32());
        let batches: usize = lead.iter().product();
        let out = call.outputs[0].u32();
        let parallel = call.parallel.above(out.len(), 8 * TASK);
        crate::cpu::for_each_chunk_mut(parallel, out, features, TASK.div_ceil(features), |range, out| {
            let mut position = range.start;
            let mut out = out.chunks_exact_mut(features);
            while position < range.end {
                let (batch, first) = (position / n, position % n);
                let last = n.min(first + range.end - position);
                debug_assert!(batch < batches);
                let table = &x[x_map.at(batch) * rows * features..][..rows * features];
                let start = index_map.at(batch) * n;
                for &index in &indices[start + first..start + last] {
                    if let Some(out) = out.next() {
                        let source = &table[index as usize * features..][..features];
                        if features < 16 {
                            for (o, i) in out.iter_mut().zip(source) {
                                *o = *i;
                            }
                        } else {
                            out.copy_from_slice(source);
                        }
                    }
                }
                position += last - first;
            }
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (x, indices) = (&call.operands[0].shape, &call.operands[1].shape);
        let elements = call.outputs[0].elements();
        let (n, features) = (indices[indices.len() - 1], x[x.len() - 1]);
        let rows = x[x.len() - 2];
        let mut parameters = [elements, n, features, rows].map(|v| v as u32).to_vec();
        let lead = call.outputs[0].shape.leading(2);
        parameters.extend(maps(self, call, lead, &[x.leading(2), indices.leading(1)])?);
        parameters.extend(NO_PIECE);
        Ok(Launch {
            shader: SHADER.into(),
            entry: "gather",
            constants: Vec::new(),
            bindings: vec![Binding::Input(0), Binding::Input(1), Binding::Output(0)],
            parameters,
            workgroups: call.groups(elements, 256),
        }
        .into())
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        let table = [operands[0].shape.leading(2), &[1]].concat();
        Cut::along(outputs[0].shape.leading(1), &[&table, &operands[1].shape], 1)
    }
}

/// Operands `values [.., n, features]` and indices `[.., n]`; output `[.., rows, features]`: row `r` is the sum of
/// the values whose index is `r`, in their order, and zero where there are none. An index that is no row is an error
/// on the CPU and is left out on a GPU.
#[derive(Debug, Clone)]
pub struct ScatterAdd {
    /// Rows of the output.
    pub rows: usize,
}

/// Ranges of rows that are summed by tasks of their own where there is one batch only.
const BANDS: usize = 8;
/// Values that are added one after another to a sum of their own: a sum that has grown large would swallow them.
const BLOCK: usize = 4 * 1024;
/// Values that a launch adds up: a software adapter ends its loops after 65,535 rounds.
const PIECE: usize = 32 * 1024;

impl ScatterAdd {
    /// Values of a block, so many that adding up the blocks costs no more than adding up the values.
    fn block(&self) -> usize {
        self.rows.max(BLOCK)
    }
}

impl Op for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let [values, indices] = operands else { return Err("takes values and indices".into()) };
        if indices.dtype != DType::U32 || values.dtype != DType::F32 {
            return Err("takes f32 values and u32 indices".into());
        }
        let (rank, index_rank) = (values.shape.len(), indices.shape.len());
        if rank < 2 || index_rank < 1 || values.shape[rank - 2] != indices.shape[index_rank - 1] {
            return Err("takes values [.., n, features] and indices [.., n]".into());
        }
        let lead = lead_of(values.shape.leading(2), indices.shape.leading(1))?;
        Ok(vec![TensorType::f32(with_last(&lead, &[self.rows, values.shape[rank - 1]]))])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Zeros
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (values, indices) = (call.operands[0], call.operands[1]);
        Ok(vec![call.cotangents[0].map(|c| c.gather(indices).sum_to(values.shape())), None])
    }

    fn cpu_scratch(&self, operands: &[TensorType], outputs: &[TensorType]) -> usize {
        let n = operands[1].shape.last().copied().unwrap_or(1);
        if n > self.block() { outputs[0].elements() } else { 0 }
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (values, indices) = (call.inputs[0], call.inputs[1]);
        let n = indices.shape()[indices.shape().len() - 1];
        let features = values.shape()[values.shape().len() - 1];
        check_indices(self, call.inputs, 1, self.rows)?;
        let lead = call.outputs[0].of.shape.leading(2);
        let value_map = RowMap::new(lead, values.of.shape.leading(2));
        let index_map = RowMap::new(lead, indices.of.shape.leading(1));
        let (values, indices) = (values.f32(), indices.u32());
        let batches: usize = lead.iter().product();
        let parallel = call.parallel.above(batches * n * features, 8 * TASK);
        let rows = self.rows;
        // Every task owns the rows it writes and goes through the values in their order.
        let bands = if batches == 1 && n * features > 8 * TASK { BANDS.min(rows) } else { 1 };
        let band = rows.div_ceil(bands);
        let out = SharedPointer(call.outputs[0].f32().as_mut_ptr());
        let scratch = SharedPointer(call.scratch.as_mut_ptr());
        let block = self.block();
        for_each_chunk(parallel, batches * bands, TASK.div_ceil(n * features), |range| {
            for task in range {
                let batch = task / bands;
                let (first, last) = (task % bands * band, rows.min((task % bands + 1) * band));
                if first >= last {
                    continue;
                }
                let (start, length) = ((batch * rows + first) * features, (last - first) * features);
                // SAFETY: rows `first..last` of this batch lie within the output and belong to this task alone.
                let out = unsafe { std::slice::from_raw_parts_mut(out.get().add(start), length) };
                out.fill(0.0);
                let values = &values[value_map.at(batch) * n * features..][..n * features];
                let indices = &indices[index_map.at(batch) * n..][..n];
                let mut blocks = values.chunks(block * features).zip(indices.chunks(block));
                let add = |to: &mut [f32], (values, indices): (&[f32], &[u32])| {
                    for (value, &index) in values.chunks_exact(features).zip(indices) {
                        let index = index as usize;
                        if first <= index && index < last {
                            let target = &mut to[(index - first) * features..][..features];
                            for (o, v) in target.iter_mut().zip(value) {
                                *o += v;
                            }
                        }
                    }
                };
                blocks.next().into_iter().for_each(|first| add(out, first));
                for next in blocks {
                    // SAFETY: where there are several blocks there is scratch memory of the output's size, cut alike.
                    let sums = unsafe { std::slice::from_raw_parts_mut(scratch.get().add(start), length) };
                    sums.fill(0.0);
                    add(sums, next);
                    for (o, sum) in out.iter_mut().zip(sums) {
                        *o += *sum;
                    }
                }
            }
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (values, indices) = (&call.operands[0].shape, &call.operands[1].shape);
        let (n, features) = (indices[indices.len() - 1], values[values.len() - 1]);
        let lead = call.outputs[0].shape.leading(2);
        let rows = lead.iter().product::<usize>() * self.rows;
        let mut parameters = [rows, n, features, self.rows].map(|v| v as u32).to_vec();
        parameters.extend(maps(self, call, lead, &[values.leading(2), indices.leading(1)])?);
        let launch = |first: usize| Launch {
            shader: SHADER.into(),
            entry: "scatter_add",
            constants: Vec::new(),
            bindings: vec![Binding::Input(0), Binding::Input(1), Binding::Output(0)],
            parameters: [&parameters[..], &[first as u32, n.min(first + PIECE) as u32, 0, 0]].concat(),
            workgroups: call.groups(rows * features.div_ceil(256), 1),
        };
        Ok(GpuPlan { launches: (0..n).step_by(PIECE).map(launch).collect(), scratch: Vec::new() })
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        let (values, indices) = (&operands[0].shape, &operands[1].shape);
        let leads = [values.leading(2), indices.leading(1)];
        let terms = [(&values[..], values.len() - 2), (&indices[..], indices.len() - 1)];
        [Cut::along(outputs[0].shape.leading(2), &leads, 1), Cut::across(&terms)].concat()
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operands[0].elements() as u64
    }
}

impl<'g> Tensor<'g> {
    /// Rows of `[.., rows, features]` by `indices [.., n]`: `[.., n, features]`. Leading dimensions broadcast; one
    /// table for all (`[rows, features]`) is how embeddings are looked up.
    pub fn gather(self, indices: Tensor<'g>) -> Tensor<'g> {
        let (shape, of) = (self.shape(), indices.shape());
        if of.len() > 1 && shape.len() >= 2 && shape.leading(2).iter().all(|&d| d == 1) {
            // One table: one long list of indices, so that the gradient is one sum and not one a batch.
            let flat = [of.elements()];
            let features = shape[shape.len() - 1];
            let table = self.reshape([shape[shape.len() - 2], features]);
            let rows = self.graph().apply_one(Gather, &[table, indices.reshape(flat)]);
            let Ok(lead) = lead_of(shape.leading(2), of.leading(1)) else { return rows };
            return rows.reshape(with_last(&lead, &[of[of.len() - 1], features]));
        }
        self.graph().apply_one(Gather, &[self, indices])
    }

    /// Sums rows `[.., n, features]` into `[.., rows, features]`: row `r` is the sum of those whose index in
    /// `indices [.., n]` is `r`, in their order. Leading dimensions broadcast.
    pub fn scatter_add(self, indices: Tensor<'g>, rows: usize) -> Tensor<'g> {
        self.graph().apply_one(ScatterAdd { rows }, &[self, indices])
    }
}
