//! Sums, means and extremes over axes.

use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall};
use crate::op::movement::only;
use crate::shape::{DType, Shape, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &["sum", "max"];

/// WGSL of the reduction kernels.
pub(crate) const SHADER: &str = include_str!("../../shaders/reduce.wgsl");

/// What a reduction keeps of the elements it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// The largest.
    Maximum,
}

/// Reduces over `axes` (sorted indices); the reduced dimensions are left out of the output.
#[derive(Debug, Clone)]
pub struct Reduce {
    /// What is kept.
    pub reduction: Reduction,
    /// Over which dimensions.
    pub axes: Vec<usize>,
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
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let operand = only(operands)?;
        if operand.dtype != DType::F32 {
            return Err("takes an f32 operand".into());
        }
        if self.axes.iter().any(|&a| a >= operand.shape.len()) {
            return Err(format!("has no axes {:?}", self.axes));
        }
        let kept: Vec<usize> =
            (0..operand.shape.len()).filter(|i| !self.axes.contains(i)).map(|i| operand.shape[i]).collect();
        Ok(vec![TensorType::f32(kept)])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (x, y, c) = (call.operands[0], call.outputs[0], call.cotangent(0));
        let shape = x.shape();
        let kept = self.with_ones(&shape);
        let c = c.reshape(&kept).broadcast_to(&shape);
        Ok(vec![Some(match self.reduction {
            Reduction::Sum => c,
            // Equal maxima share the gradient evenly, as in JAX.
            Reduction::Maximum => {
                let hit = x.equal(y.reshape(&kept));
                let axes: Vec<isize> = self.axes.iter().map(|&a| a as isize).collect();
                let count = hit.sum(&axes).reshape(&kept);
                c * hit / count
            }
        })])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        let shape = call.inputs[0].of.shape.clone();
        let x = call.inputs[0].f32();
        let out = call.outputs[0].f32();
        let mut strides = vec![0usize; shape.len()];
        let mut stride = 1;
        for i in (0..shape.len()).rev() {
            if !self.axes.contains(&i) {
                strides[i] = stride;
                stride *= shape[i];
            }
        }
        out.fill(if self.reduction == Reduction::Sum { 0.0 } else { f32::NEG_INFINITY });
        let mut index = vec![0usize; shape.len()];
        for &value in x {
            let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
            out[at] = match self.reduction {
                Reduction::Sum => out[at] + value,
                Reduction::Maximum => out[at].max(value),
            };
            for i in (0..shape.len()).rev() {
                index[i] += 1;
                if index[i] < shape[i] {
                    break;
                }
                index[i] = 0;
            }
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let elements = call.outputs[0].elements();
        Ok(Launch {
            shader: SHADER.into(),
            entry: "reduce",
            constants: Vec::new(),
            bindings: vec![Binding::Input(0), Binding::Output(0)],
            parameters: vec![elements as u32],
            workgroups: call.groups(elements, 256),
        }
        .into())
    }
}

impl<'g> Tensor<'g> {
    fn reduce(self, reduction: Reduction, axes: &[isize]) -> Tensor<'g> {
        match self.axes("reduce", axes) {
            Some(axes) => self.graph().apply_one(Reduce { reduction, axes }, &[self]),
            None => self,
        }
    }

    /// The sum over `axes` (negative ones count from the end), which are left out of the result.
    pub fn sum(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduction::Sum, axes)
    }

    /// The sum of all elements.
    pub fn sum_all(self) -> Tensor<'g> {
        let axes: Vec<isize> = (0..self.shape().len() as isize).collect();
        self.sum(&axes)
    }

    /// The mean over `axes`, which are left out of the result.
    pub fn mean(self, axes: &[isize]) -> Tensor<'g> {
        let sum = self.sum(axes);
        sum * (sum.shape().elements() as f32 / self.shape().elements() as f32)
    }

    /// The mean of all elements.
    pub fn mean_all(self) -> Tensor<'g> {
        self.sum_all() * (1.0 / self.shape().elements() as f32)
    }

    /// The maximum over `axes`, which are left out of the result. Equal maxima share the gradient.
    pub fn max(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduction::Maximum, axes)
    }
}
