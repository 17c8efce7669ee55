//! Ops that move elements and compute nothing: copies, reshapes, and what stops a gradient.

use crate::error::{Error, Result};
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall};
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

/// An op that is computed by nothing: its output lies where its operand lies.
fn copy_cpu(call: &mut CpuCall<'_>) -> Result<()> {
    let input = call.inputs[0].u32();
    call.outputs[0].u32().copy_from_slice(input);
    Ok(())
}

fn copy_gpu(call: &GpuCall<'_>) -> Result<GpuPlan> {
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
    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![call.cotangents[0]])
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        copy_cpu(call)
    }
    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        copy_gpu(call)
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
    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![call.cotangents[0].map(|c| c.reshape(call.operands[0].shape()))])
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
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
    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
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
