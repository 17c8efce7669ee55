//! Order along an axis: reversed, and rolled around.

use super::movement::{check_rank, only, strided_launch};
use super::slice::{above, around};
use crate::cpu::for_each_chunk_mut;
use crate::error::Result;
use crate::graph::{CpuCall, Cut, GpuCall, GpuPlan, Op, Tensor, VjpCall, WithoutElements};
use crate::shape::TensorType;

/// The ops of this file.
pub(super) const NAMES: &[&str] = &["flip"];

/// Elements that one task of the pool moves.
const TASK: usize = 32 * 1024;

/// The elements along an axis from the last to the first.
#[derive(Debug, Clone)]
pub struct Flip {
    /// Along which dimension.
    pub axis: usize,
}

impl Op for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let operand = only(operands)?;
        match self.axis < operand.shape.len() {
            true => Ok(vec![operand.clone()]),
            false => Err(format!("there is no axis {}", self.axis)),
        }
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![call.cotangents[0].map(|c| c.flip(self.axis as isize))])
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        // For devices on which the axis is too long: its halves change places.
        let (x, axis) = (operands[0], self.axis as isize);
        let size = x.shape()[self.axis];
        let pieces = match size {
            0 | 1 => return Some(vec![x]),
            _ => x.split(axis, &[size / 2, size - size / 2]),
        };
        Some(vec![x.graph().concat(&[pieces[1].flip(axis), pieces[0].flip(axis)], axis)])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (_, size, inner) = around(call.inputs[0].shape(), self.axis);
        let from = call.inputs[0].u32();
        let parallel = call.parallel.above(from.len(), 8 * TASK);
        for_each_chunk_mut(parallel, call.outputs[0].u32(), inner, TASK.div_ceil(inner), |range, out| {
            for (row, out) in range.zip(out.chunks_exact_mut(inner)) {
                let source = row - row % size + (size - 1 - row % size);
                out.copy_from_slice(&from[source * inner..][..inner]);
            }
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let (outer, size, inner) = around(&call.operands[0].shape, self.axis);
        // Rows of the operand go backwards in the output: the stride wraps around, as offsets in the shader do.
        let backwards = 0usize.wrapping_sub(inner);
        let dimensions = [(outer, size * inner, size * inner), (size, inner, backwards), (inner, 1, 1)];
        Ok(strided_launch(call, 0, &dimensions, (0, (size - 1) * inner), 0).into())
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        above(operands, self.axis, 1)
    }

    fn alias(&self, operands: &[TensorType]) -> Option<usize> {
        (operands[0].shape[self.axis] == 1).then_some(0)
    }
}

impl<'g> Tensor<'g> {
    /// The elements along `axis` (negative ones count from the end) from the last to the first.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let x = g.input("x", [4]);
    /// let mut program = Device::cpu().compile(&g, &[x.flip(0), x.roll(0, 1)])?;
    /// let outputs = program.run(&[("x", &[1.0f32, 2.0, 3.0, 4.0])])?;
    /// assert_eq!(outputs.f32(0), [4.0, 3.0, 2.0, 1.0]);
    /// assert_eq!(outputs.f32(1), [4.0, 1.0, 2.0, 3.0]);
    /// # Ok(()) }
    /// ```
    pub fn flip(self, axis: isize) -> Tensor<'g> {
        match self.axis("flip", axis) {
            Some(axis) => self.graph().apply_one(Flip { axis }, &[self]),
            None => self,
        }
    }

    /// The elements along `axis` (negative ones count from the end) moved `shift` places on; what is moved over the end
    /// comes in again at the start. A negative shift moves them back.
    pub fn roll(self, axis: isize, shift: isize) -> Tensor<'g> {
        let Some(index) = self.axis("roll", axis) else { return self };
        let (axis, size) = (index as isize, self.shape()[index]);
        if size == 0 {
            return self;
        }
        let shift = shift.rem_euclid(size as isize) as usize;
        if shift == 0 {
            return self;
        }
        let pieces = [self.slice(axis, size - shift, shift), self.slice(axis, 0, size - shift)];
        self.graph().concat(&pieces, axis)
    }
}
