//! Between the element types. No gradient passes.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.constant([2], &[1.7, -2.0]).to_i32();
//! let mut program = Device::cpu().compile(&g, &[x])?;
//! assert_eq!(program.run(&[])?.i32(0), [1, -2]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use super::movement::{copy_cpu, copy_gpu, only};
use super::select::rows_launch;
use crate::error::Result;
use crate::graph::{CpuCall, Cut, GpuCall, GpuPlan, Op, Tensor, VjpCall, WithoutElements};
use crate::shape::{DType, TensorType};

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["to_f32", "to_u32", "to_i32"];

/// The same numbers in another element type: integers to the nearest `f32`; `f32` to integers by cutting off the fraction,
/// held within what the type can say (NaN is 0); between the integer types by their bits, which costs nothing.
#[derive(Debug, Clone)]
pub struct Cast(pub DType);

impl Op for Cast {
    fn name(&self) -> &'static str {
        match self.0 {
            DType::F32 => "to_f32",
            DType::U32 => "to_u32",
            DType::I32 => "to_i32",
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let operand = only(operands)?;
        if operand.dtype == self.0 {
            return Err(format!("the operand is {} already", self.0));
        }
        Ok(vec![TensorType { shape: operand.shape.clone(), dtype: self.0 }])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (x, out) = (call.inputs[0], &mut call.outputs[0]);
        match (x.of.dtype, self.0) {
            (DType::U32, DType::F32) => map(x.u32(), out.f32(), |x| x as f32),
            (DType::I32, DType::F32) => map(x.i32(), out.f32(), |x| x as f32),
            (DType::F32, DType::U32) => map(x.f32(), out.u32(), |x| x as u32),
            (DType::F32, DType::I32) => map(x.f32(), out.i32(), |x| x as i32),
            _ => copy_cpu(call),
        }
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let entry = match (call.operands[0].dtype, self.0) {
            (DType::U32, DType::F32) => "f32_of_u32",
            (DType::I32, DType::F32) => "f32_of_i32",
            (DType::F32, DType::U32) => "u32_of_f32",
            (DType::F32, DType::I32) => "i32_of_f32",
            _ => return copy_gpu(call),
        };
        Ok(rows_launch(call, entry, call.outputs[0].elements(), 1))
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        Cut::along(&outputs[0].shape, &[&operands[0].shape], 1)
    }

    fn alias(&self, operands: &[TensorType]) -> Option<usize> {
        let integers = |of: DType| matches!(of, DType::U32 | DType::I32);
        (integers(operands[0].dtype) && integers(self.0)).then_some(0)
    }
}

fn map<A: Copy, B>(x: &[A], out: &mut [B], f: impl Fn(A) -> B) -> Result<()> {
    out.iter_mut().zip(x).for_each(|(out, &x)| *out = f(x));
    Ok(())
}

impl<'g> Tensor<'g> {
    fn cast(self, to: DType) -> Tensor<'g> {
        if self.dtype() == to { self } else { self.graph().apply_one(Cast(to), &[self]) }
    }

    /// The nearest floats (exact up to 2^24).
    pub fn to_f32(self) -> Tensor<'g> {
        self.cast(DType::F32)
    }

    /// Unsigned integers: of floats the fraction is cut off, what is out of range becomes the nearest bound, NaN becomes 0;
    /// of signed integers the bits, so that -1 becomes the largest.
    pub fn to_u32(self) -> Tensor<'g> {
        self.cast(DType::U32)
    }

    /// Signed integers: of floats the fraction is cut off, what is out of range becomes the nearest bound, NaN becomes 0; of
    /// unsigned integers the bits, so that the largest becomes -1.
    pub fn to_i32(self) -> Tensor<'g> {
        self.cast(DType::I32)
    }
}
