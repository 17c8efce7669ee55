//! Cutting tensors apart and putting them together: slices, splits, concatenation, padding and repetition.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.constant([5], &[0.0, 1.0, 2.0, 3.0, 4.0]);
//! let parts = x.split(0, &[2, 3]);
//! let turned = g.concat(&[parts[1], parts[0]], 0);
//! let mut program = Device::cpu().compile(&g, &[turned, x.slice(0, 1, 2).pad(0, 1, 0)])?;
//! let outputs = program.run(&[])?;
//! assert_eq!(outputs.f32(0), [2.0, 3.0, 4.0, 0.0, 1.0]);
//! assert_eq!(outputs.f32(1), [0.0, 1.0, 2.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use super::movement::{Rows, SHADER, check_rank, copy_rows, only, strided_launch};
use crate::error::{Error, Result};
use crate::graph::{
    Binding, CpuCall, Cut, GpuCall, GpuPlan, Graph, Launch, MOST_OUTPUTS, Op, Tensor, VjpCall,
    WithoutElements,
};
use crate::shape::{DType, Shape, TensorType};

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["slice", "split", "concat", "pad"];

/// Elements above, along and below an axis.
pub(super) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

fn with_size(of: &TensorType, axis: usize, size: usize) -> TensorType {
    let mut shape = of.shape.to_vec();
    shape[axis] = size;
    TensorType { shape: shape.into(), dtype: of.dtype }
}

/// Halves along the dimensions above `axis`, which the operands share.
pub(super) fn above(operands: &[TensorType], axis: usize, outputs: usize) -> Vec<Cut> {
    let leads: Vec<&[usize]> = operands.iter().map(|of| &of.shape[..axis]).collect();
    Cut::along(leads[0], &leads, outputs)
}

/// Elements `start .. start + length` along `axis`. Costs nothing where all dimensions before the axis are 1.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Along which dimension.
    pub axis: usize,
    /// The first element.
    pub start: usize,
    /// How many.
    pub length: usize,
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let operand = only(operands)?;
        match operand.shape.get(self.axis) {
            Some(&size) if self.start.checked_add(self.length).is_some_and(|end| end <= size) => {
                Ok(vec![with_size(operand, self.axis, self.length)])
            }
            _ => Err(format!(
                "has no {} elements from {} on along axis {}",
                self.length, self.start, self.axis
            )),
        }
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let size = call.operands[0].shape()[self.axis];
        let after = size - self.start - self.length;
        Ok(vec![call.cotangents[0].map(|c| c.pad(self.axis as isize, self.start, after))])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (outer, size, inner) = around(call.inputs[0].shape(), self.axis);
        let source = Rows { start: self.start * inner, stride: size * inner };
        let target = Rows { start: 0, stride: self.length * inner };
        let rows = (outer, self.length * inner);
        copy_rows(call.parallel, rows, (call.inputs[0].u32(), source), (call.outputs[0].u32(), target));
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (outer, size, inner) = around(&call.operands[0].shape, self.axis);
        let length = self.length * inner;
        let dimensions = [(outer, size * inner, length), (length, 1, 1)];
        Ok(strided_launch(call, 0, &dimensions, (self.start * inner, 0), 0).into())
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        above(operands, self.axis, 1)
    }

    fn alias(&self, operands: &[TensorType]) -> Option<usize> {
        let (outer, _, inner) = around(&operands[0].shape, self.axis);
        (outer == 1).then_some(self.start * inner)
    }
}

/// Consecutive pieces along an axis, of the given sizes, as one output each. Its gradient is one concatenation, where
/// the gradients of slices would have to be padded and added.
#[derive(Debug, Clone)]
pub struct Split {
    /// Along which dimension.
    pub axis: usize,
    /// Sizes of the pieces, which together make up the dimension.
    pub sizes: Vec<usize>,
}

impl Op for Split {
    fn name(&self) -> &'static str {
        "split"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let operand = only(operands)?;
        let total = self.sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
        let fits = total.is_some() && operand.shape.get(self.axis).copied() == total;
        if !fits || self.sizes.is_empty() || self.sizes.contains(&0) {
            return Err(format!("pieces of {:?} do not make up axis {}", self.sizes, self.axis));
        }
        Ok(self.sizes.iter().map(|&size| with_size(operand, self.axis, size)).collect())
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let gradients: Vec<Tensor<'g>> = (0..self.sizes.len()).map(|i| call.cotangent(i)).collect();
        Ok(vec![Some(call.operands[0].graph().concat(&gradients, self.axis as isize))])
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let mut start = 0;
        let piece = |size: &usize| {
            start += size;
            operands[0].slice(self.axis as isize, start - size, *size)
        };
        Some(self.sizes.iter().map(piece).collect())
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (outer, size, inner) = around(call.inputs[0].shape(), self.axis);
        let from = call.inputs[0].u32();
        let mut start = 0;
        for (output, &length) in call.outputs.iter_mut().zip(&self.sizes) {
            let source = Rows { start, stride: size * inner };
            let target = Rows { start: 0, stride: length * inner };
            copy_rows(call.parallel, (outer, length * inner), (from, source), (output.u32(), target));
            start += length * inner;
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (outer, size, inner) = around(&call.operands[0].shape, self.axis);
        let (mut plan, mut start) = (GpuPlan::default(), 0);
        for (i, piece) in self.sizes.iter().enumerate() {
            let length = piece * inner;
            let dimensions = [(outer, size * inner, length), (length, 1, 1)];
            plan.launches.push(strided_launch(call, 0, &dimensions, (start, 0), i));
            start += length;
        }
        Ok(plan)
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        above(operands, self.axis, self.sizes.len())
    }
}

/// Tensors one after another along `axis`; all other dimensions are equal.
#[derive(Debug, Clone)]
pub struct Concat(pub usize);

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let Some(first) = operands.first() else { return Err("takes at least one operand".into()) };
        if self.0 >= first.shape.len() {
            return Err(format!("there is no axis {}", self.0));
        }
        let mut size = 0usize;
        for operand in operands {
            let fits = operand.dtype == first.dtype
                && operand.shape.len() == first.shape.len()
                && (0..first.shape.len()).all(|i| i == self.0 || operand.shape[i] == first.shape[i]);
            if !fits {
                return Err(format!("the operands differ elsewhere than along axis {}", self.0));
            }
            size = size.checked_add(operand.shape[self.0]).ok_or("the sum of the sizes overflows")?;
        }
        Ok(vec![with_size(first, self.0, size)])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Others
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let c = call.cotangent(0);
        let sizes: Vec<usize> = call.operands.iter().map(|t| t.shape()[self.0]).collect();
        if call.wanted.iter().all(|&w| w) {
            return Ok(c.split(self.0 as isize, &sizes).into_iter().map(Some).collect());
        }
        let mut start = 0;
        Ok(sizes
            .iter()
            .zip(call.wanted)
            .map(|(&size, &wanted)| {
                start += size;
                wanted.then(|| c.slice(self.0 as isize, start - size, size))
            })
            .collect())
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (outer, size, inner) = around(call.outputs[0].shape(), self.0);
        let mut start = 0;
        for input in call.inputs {
            let length = input.shape()[self.0] * inner;
            let source = Rows { start: 0, stride: length };
            let target = Rows { start, stride: size * inner };
            let out = call.outputs[0].u32();
            copy_rows(call.parallel, (outer, length), (input.u32(), source), (out, target));
            start += length;
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (outer, size, inner) = around(&call.outputs[0].shape, self.0);
        let (mut plan, mut start) = (GpuPlan::default(), 0);
        for (i, operand) in call.operands.iter().enumerate() {
            let length = operand.shape[self.0] * inner;
            let dimensions = [(outer, length, size * inner), (length, 1, 1)];
            plan.launches.push(strided_launch(call, i, &dimensions, (0, start), 0));
            start += length;
        }
        Ok(plan)
    }

    fn concatenates(&self, output: &TensorType) -> bool {
        around(&output.shape, self.0).0 == 1
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        above(operands, self.0, 1)
    }
}

/// Zeros before and after along an axis.
#[derive(Debug, Clone)]
pub struct Pad {
    /// Along which dimension.
    pub axis: usize,
    /// Zeros before.
    pub before: usize,
    /// Zeros after.
    pub after: usize,
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let operand = only(operands)?;
        let Some(&size) = operand.shape.get(self.axis) else {
            return Err(format!("there is no axis {}", self.axis));
        };
        let padded = size.checked_add(self.before).and_then(|s| s.checked_add(self.after));
        Ok(vec![with_size(operand, self.axis, padded.ok_or("the padded size overflows")?)])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Zeros
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let size = call.operands[0].shape()[self.axis];
        Ok(vec![call.cotangents[0].map(|c| c.slice(self.axis as isize, self.before, size))])
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let (x, of) = (operands[0], operands[0].tensor_type());
        let zeros = |size: usize| x.graph().full(with_size(&of, self.axis, size).shape, 0.0);
        let mut parts = vec![x];
        if self.before > 0 {
            parts.insert(0, zeros(self.before));
        }
        if self.after > 0 {
            parts.push(zeros(self.after));
        }
        (of.dtype == DType::F32).then(|| vec![x.graph().concat(&parts, self.axis as isize)])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (outer, size, inner) = around(call.inputs[0].shape(), self.axis);
        let (before, length) = (self.before * inner, size * inner);
        let width = before + length + self.after * inner;
        let out = call.outputs[0].u32();
        for row in out.chunks_mut(width) {
            row[..before].fill(0);
            row[before + length..].fill(0);
        }
        let source = Rows { start: 0, stride: length };
        let target = Rows { start: before, stride: width };
        copy_rows(call.parallel, (outer, length), (call.inputs[0].u32(), source), (out, target));
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (_, size, inner) = around(&call.operands[0].shape, self.axis);
        let elements = call.outputs[0].elements();
        let padded = call.outputs[0].shape[self.axis];
        Ok(Launch {
            shader: SHADER.into(),
            entry: "pad",
            constants: Vec::new(),
            bindings: vec![Binding::Input(0), Binding::Output(0)],
            parameters: [elements, inner, self.before, size, padded].map(|v| v as u32).to_vec(),
            workgroups: call.groups(elements, 256),
        }
        .into())
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        above(operands, self.axis, 1)
    }
}

impl Graph {
    /// Tensors one after another along `axis` (negative ones count from the end). All other dimensions are equal.
    pub fn concat<'g>(&'g self, tensors: &[Tensor<'g>], axis: isize) -> Tensor<'g> {
        match tensors {
            [] => self.fail(Error::Graph("concat was given no tensors".into())),
            [single] => single.axis("concat", axis).map_or(*single, |_| *single),
            [first, ..] => match first.axis("concat", axis) {
                Some(axis) => self.apply_one(Concat(axis), tensors),
                None => *first,
            },
        }
    }

    /// Tensors of one shape side by side along a new dimension at `axis` (negative ones count from the end of the
    /// result's dimensions).
    pub fn stack<'g>(&'g self, tensors: &[Tensor<'g>], axis: isize) -> Tensor<'g> {
        let Some(first) = tensors.first() else {
            return self.fail(Error::Graph("stack was given no tensors".into()));
        };
        let shape = first.shape();
        let mut longer = shape.to_vec();
        longer.push(1);
        let Some(at) = Shape::from(longer).axis(axis) else {
            return first.refuse("stack", format!("{axis} is not an axis of the result"));
        };
        if let Some(other) = tensors.iter().find(|t| t.shape() != shape) {
            return other.refuse("stack", format!("the first tensor is {:?}", shape));
        }
        let mut unit = shape.to_vec();
        unit.insert(at, 1);
        let parts: Vec<Tensor<'g>> = tensors.iter().map(|t| t.reshape(&unit)).collect();
        self.concat(&parts, at as isize)
    }
}

impl<'g> Tensor<'g> {
    /// Elements `start .. start + length` along `axis` (negative ones count from the end).
    pub fn slice(self, axis: isize, start: usize, length: usize) -> Tensor<'g> {
        match self.axis("slice", axis) {
            Some(axis) if start == 0 && self.shape()[axis] == length => self,
            Some(axis) => self.graph().apply_one(Slice { axis, start, length }, &[self]),
            None => self,
        }
    }

    /// Consecutive pieces along `axis`, of `sizes` that together make up the dimension.
    pub fn split(self, axis: isize, sizes: &[usize]) -> Vec<Tensor<'g>> {
        let Some(axis) = self.axis("split", axis) else { return vec![self; sizes.len()] };
        if sizes == [self.shape()[axis]] {
            return vec![self];
        }
        if sizes.contains(&0) {
            // A kernel writes no piece without elements.
            let mut start = 0usize;
            let piece = |&size: &usize| {
                start = start.saturating_add(size);
                self.slice(axis as isize, start - size, size)
            };
            let pieces = sizes.iter().map(piece).collect();
            if start != self.shape()[axis] {
                self.refuse("split", format!("pieces of {sizes:?} do not make up axis {axis}"));
            }
            return pieces;
        }
        if sizes.len() > MOST_OUTPUTS {
            // More pieces than an op may have outputs: first coarse ones.
            let chunks: Vec<&[usize]> = sizes.chunks(sizes.len().div_ceil(2)).collect();
            let coarse: Vec<usize> = chunks
                .iter()
                .map(|sizes| sizes.iter().fold(0, |sum: usize, size| sum.saturating_add(*size)))
                .collect();
            let coarse = self.split(axis as isize, &coarse);
            return coarse.iter().zip(chunks).flat_map(|(x, sizes)| x.split(axis as isize, sizes)).collect();
        }
        let mut pieces = self.graph().apply(Split { axis, sizes: sizes.to_vec() }, &[self]);
        // After a mistake the graph gives handles that stand for nothing, in a number of its own.
        pieces.resize(sizes.len(), self);
        pieces
    }

    /// Zeros before and after along `axis` (negative ones count from the end).
    pub fn pad(self, axis: isize, before: usize, after: usize) -> Tensor<'g> {
        match self.axis("pad", axis) {
            Some(_) if before == 0 && after == 0 => self,
            Some(axis) => self.graph().apply_one(Pad { axis, before, after }, &[self]),
            None => self,
        }
    }

    /// This tensor `count` times, one after another along `axis` (negative ones count from the end).
    pub fn repeat(self, axis: isize, count: usize) -> Tensor<'g> {
        let Some(axis) = self.axis("repeat", axis) else { return self };
        let shape = self.shape();
        let (mut unit, mut wide, mut flat) = (shape.to_vec(), shape.to_vec(), shape.to_vec());
        unit.insert(axis, 1);
        wide.insert(axis, count);
        match flat[axis].checked_mul(count) {
            Some(size) => flat[axis] = size,
            None => return self.refuse("repeat", format!("{count} times is too many")),
        }
        self.reshape(unit).broadcast_to(wide).reshape(flat)
    }
}
