//! Parts of a tensor by index, along any axis: rows by number, every so-many-th element, the diagonal of a matrix, and
//! rows written over.

use super::gather::{SHADER, check_indices};
use super::movement::{check_rank, only};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, Cut, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall};
use crate::shape::{DType, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &["written_by"];

/// Indices that a launch looks at: a software adapter ends its loops after 65,535 rounds.
const PIECE: usize = 32 * 1024;

/// Which of `rows` old rows and `n` new ones stands in each place after the new ones were written where `indices [.., n]`
/// say, one after the other: u32 `[.., rows]`, the row's own number where it stays, and `rows + i` where row `i` of the new
/// ones was the last to be written there. An index that is no row is an error on the CPU and is left out on a GPU.
#[derive(Debug, Clone)]
pub struct WrittenBy {
    /// Old rows.
    pub rows: usize,
}

impl Op for WrittenBy {
    fn name(&self) -> &'static str {
        "written_by"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let indices = only(operands)?;
        if indices.dtype != DType::U32 || indices.shape.is_empty() {
            return Err("takes u32 indices [.., n]".into());
        }
        let mut shape = indices.shape.to_vec();
        if let Some(last) = shape.last_mut() {
            *last = self.rows;
        }
        Ok(vec![TensorType::u32(shape)])
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        check_indices(self, call.inputs, 0, self.rows)?;
        let n = call.inputs[0].shape().last().copied().unwrap_or(1);
        let lists = call.inputs[0].u32().chunks_exact(n);
        for (places, indices) in call.outputs[0].u32().chunks_exact_mut(self.rows).zip(lists) {
            for (row, place) in places.iter_mut().enumerate() {
                *place = row as u32;
            }
            for (i, &index) in indices.iter().enumerate() {
                places[index as usize] = (self.rows + i) as u32;
            }
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let n = call.operands[0].shape.last().copied().unwrap_or(1);
        let elements = call.outputs[0].elements();
        let launch = |first: usize| Launch {
            shader: SHADER.into(),
            entry: "written_by",
            constants: Vec::new(),
            bindings: vec![Binding::Input(0), Binding::Output(0)],
            parameters: [elements, self.rows, n, first, n.min(first + PIECE)].map(|v| v as u32).to_vec(),
            workgroups: call.groups(elements, 256),
        };
        Ok(GpuPlan { launches: (0..n).step_by(PIECE).map(launch).collect(), scratch: Vec::new() })
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        let lead = operands[0].shape.leading(1);
        Cut::along(lead, &[lead], 1)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operands[0].elements() as u64
    }
}

impl<'g> Tensor<'g> {
    /// The elements along `axis` (negative ones count from the end) that `indices`, u32 `[n]`, name, in their order and as
    /// often as they are named: the size along the axis becomes `n`. An index that is out of range is an error on the CPU
    /// and reads the last element on a GPU.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let y = g.input("x", [2, 3]).index_select(1, g.constant_u32([2], &[2, 0]));
    /// let mut program = Device::cpu().compile(&g, &[y])?;
    /// let outputs = program.run(&[("x", &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])])?;
    /// assert_eq!(outputs.f32(0), [3.0, 1.0, 6.0, 4.0]);
    /// # Ok(()) }
    /// ```
    pub fn index_select(self, axis: isize, indices: Tensor<'g>) -> Tensor<'g> {
        let Some(axis) = self.axis("index_select", axis) else { return self };
        let (mut shape, of) = (self.shape().to_vec(), indices.shape());
        let [n] = of[..] else { return indices.refuse("index_select", "takes indices [n]".into()) };
        let outer: usize = shape[..axis].iter().product();
        let inner: usize = shape[axis + 1..].iter().product();
        let rows = self.reshape([outer, shape[axis], inner]).gather(indices);
        shape[axis] = n;
        rows.reshape(shape)
    }

    /// `length` elements along `axis` (negative ones count from the end), the first of them number `start` and each
    /// `step` after the one before.
    pub fn strided_slice(self, axis: isize, start: usize, length: usize, step: usize) -> Tensor<'g> {
        let Some(index) = self.axis("strided_slice", axis) else { return self };
        let (axis, shape) = (index as isize, self.shape());
        let size = shape[index];
        let reach = length.checked_sub(1).map_or(Some(0), |last| last.checked_mul(step)?.checked_add(1));
        let fits = reach.and_then(|reach| reach.checked_add(start)).is_some_and(|end| end <= size);
        if step == 0 || !fits {
            let message =
                format!("has no {length} elements from {start} on, {step} apart, along axis {axis}");
            return self.refuse("strided_slice", message);
        }
        if step == 1 || length <= 1 {
            return self.slice(axis, start, length);
        }
        // Whole steps: the last may reach over the end.
        let all = length * step;
        let within = all.min(size - start);
        let whole = self.slice(axis, start, within).pad(axis, 0, all - within);
        let (mut steps, mut picked) = (shape.to_vec(), shape.to_vec());
        steps[index] = step;
        steps.insert(index, length);
        picked[index] = length;
        whole.reshape(steps).slice(axis + 1, 0, 1).reshape(picked)
    }

    /// The diagonal of each matrix `[.., rows, columns]`: elements `(i, i)`, `[.., min(rows, columns)]`.
    pub fn diagonal(self) -> Tensor<'g> {
        let shape = self.shape();
        let [ref lead @ .., rows, columns] = shape[..] else {
            return self.refuse("diagonal", "takes [.., rows, columns]".into());
        };
        let flat = [lead, &[rows * columns]].concat();
        self.reshape(flat).strided_slice(-1, 0, rows.min(columns), columns + 1)
    }

    /// This tensor `[.., rows, features]` with `values [.., n, features]` written over the rows that `indices`, u32
    /// `[.., n]`, name; where several name a row, the last is kept. Leading dimensions broadcast. Values that were written
    /// over get no gradient.
    pub fn scatter_set(self, indices: Tensor<'g>, values: Tensor<'g>) -> Tensor<'g> {
        let (shape, of) = (self.shape(), values.shape());
        let ([.., rows, features], [.., n, width]) = (&shape[..], &of[..]) else {
            return self
                .refuse("scatter_set", "takes [.., rows, features] and values [.., n, features]".into());
        };
        if features != width || indices.shape().last() != Some(n) {
            return values.refuse("scatter_set", format!("the rows are {shape:?}, the indices {indices:?}"));
        }
        let (lead, other) = (crate::shape::Shape::from(shape.leading(2)), of.leading(2).into());
        let Some(lead) = lead.broadcast(&other) else {
            return values.refuse("scatter_set", format!("the leading dimensions of {shape:?} do not fit"));
        };
        let wide = |x: Tensor<'g>, rows: usize| x.broadcast_to([&lead[..], &[rows, *features]].concat());
        if *n == 0 {
            return wide(self, *rows);
        }
        let all = self.graph().concat(&[wide(self, *rows), wide(values, *n)], -2);
        let chosen = self.graph().apply_one(WrittenBy { rows: *rows }, &[indices]);
        all.gather(chosen)
    }
}
