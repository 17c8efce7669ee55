//! Between the two element types. No gradient passes.

use super::movement::only;
use super::select::rows_launch;
use crate::error::Result;
use crate::graph::{CpuCall, Cut, GpuCall, GpuPlan, Op, Tensor, VjpCall};
use crate::shape::{DType, TensorType};

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["to_f32", "to_u32"];

/// The same numbers in another element type: `u32` to the nearest `f32`; `f32` to `u32` by cutting off the fraction,
/// held within what `u32` can say (NaN is 0).
#[derive(Debug, Clone)]
pub struct Cast(pub DType);

impl Op for Cast {
    fn name(&self) -> &'static str {
        match self.0 {
            DType::F32 => "to_f32",
            DType::U32 => "to_u32",
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let operand = only(operands)?;
        if operand.dtype == self.0 {
            return Err(format!("the operand is {} already", self.0));
        }
        Ok(vec![TensorType { shape: operand.shape.clone(), dtype: self.0 }])
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        match self.0 {
            DType::F32 => {
                for (out, &x) in call.outputs[0].f32().iter_mut().zip(call.inputs[0].u32()) {
                    *out = x as f32;
                }
            }
            DType::U32 => {
                for (out, &x) in call.outputs[0].u32().iter_mut().zip(call.inputs[0].f32()) {
                    *out = x as u32;
                }
            }
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        Ok(rows_launch(call, self.name(), call.outputs[0].elements(), 1))
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        Cut::along(&outputs[0].shape, &[&operands[0].shape], 1)
    }
}

impl<'g> Tensor<'g> {
    /// The nearest floats (exact up to 2^24).
    pub fn to_f32(self) -> Tensor<'g> {
        if self.dtype() == DType::F32 { self } else { self.graph().apply_one(Cast(DType::F32), &[self]) }
    }

    /// Unsigned integers: the fraction is cut off, what is out of range becomes the nearest bound, NaN becomes 0.
    pub fn to_u32(self) -> Tensor<'g> {
        if self.dtype() == DType::U32 { self } else { self.graph().apply_one(Cast(DType::U32), &[self]) }
    }
}
