//! Sums and extremes of integers, exact over the whole range of the type; sums wrap around.
//!
//! Limit: memory. What is reduced is brought last first, so that rows lie side by side. GPU: a workgroup a row.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let counts = g.constant_u32([2, 3], &[1, 2, 3, 4, 5, 6]);
//! let mut program = Device::cpu().compile(&g, &[counts.sum(&[-1]), counts.max(&[0])])?;
//! let outputs = program.run(&[])?;
//! assert_eq!((outputs.u32(0), outputs.u32(1)), (&[6, 15][..], &[4, 5, 6][..]));
//! # Ok::<(), synod_engine::Error>(())
//! ```

use super::movement::{check_rank, only};
use super::reduce::Reduction;
use crate::cpu::for_each_chunk_mut;
use crate::error::Result;
use crate::graph::{Binding, CpuCall, Cut, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, WithoutElements};
use crate::shape::{DType, Shape, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &["integer_sum", "integer_max", "integer_min"];

const SHADER: &str = include_str!("../../shaders/integer_reduce.wgsl");

/// Elements that one task of the pool reads.
const TASK: usize = 32 * 1024;

/// Reduces every row of integers `[.., n]` to one: `[..]`.
#[derive(Debug, Clone)]
pub struct IntegerReduce(pub Reduction);

impl Op for IntegerReduce {
    fn name(&self) -> &'static str {
        match self.0 {
            Reduction::Sum => "integer_sum",
            Reduction::Maximum => "integer_max",
            Reduction::Minimum => "integer_min",
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let operand = only(operands)?;
        if operand.dtype == DType::F32 || operand.shape.is_empty() {
            return Err("takes integers [.., n]".into());
        }
        Ok(vec![TensorType { shape: operand.shape.leading(1).into(), dtype: operand.dtype }])
    }

    fn without_elements(&self) -> WithoutElements {
        match self.0 {
            Reduction::Sum => WithoutElements::Zeros,
            Reduction::Maximum | Reduction::Minimum => WithoutElements::NothingOnly,
        }
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (of, x) = (call.inputs[0].of, call.inputs[0].u32());
        let n = of.shape.last().copied().unwrap_or(1);
        let fold: fn(&[u32]) -> u32 = match (self.0, of.dtype) {
            (Reduction::Sum, _) => |row| row.iter().fold(0, |sum, x| sum.wrapping_add(*x)),
            (Reduction::Maximum, DType::I32) => |row| signed(row).max().unwrap_or(0) as u32,
            (Reduction::Maximum, _) => |row| row.iter().copied().max().unwrap_or(0),
            (Reduction::Minimum, DType::I32) => |row| signed(row).min().unwrap_or(0) as u32,
            (Reduction::Minimum, _) => |row| row.iter().copied().min().unwrap_or(0),
        };
        let parallel = call.parallel.above(x.len(), 8 * TASK);
        for_each_chunk_mut(parallel, call.outputs[0].u32(), 1, TASK.div_ceil(n), |range, out| {
            for (row, out) in x[range.start * n..range.end * n].chunks_exact(n).zip(out) {
                *out = fold(row);
            }
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let of = &call.operands[0];
        let (rows, n) = (call.outputs[0].elements(), of.shape.last().copied().unwrap_or(1));
        Ok(Launch {
            shader: SHADER.into(),
            entry: "reduce",
            constants: vec![
                ("KIND", f64::from(self.0 as u8)),
                ("SIGNED", f64::from(u8::from(of.dtype == DType::I32))),
            ],
            bindings: vec![Binding::Input(0), Binding::Output(0)],
            parameters: vec![rows as u32, n as u32],
            workgroups: call.groups(rows, 1),
        }
        .into())
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        Cut::along(&outputs[0].shape, &[operands[0].shape.leading(1)], 1)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operands[0].elements() as u64
    }
}

fn signed(row: &[u32]) -> impl Iterator<Item = i32> {
    row.iter().map(|&x| x as i32)
}

impl<'g> Tensor<'g> {
    /// Reduces integers over `axes`, sorted indices.
    pub(super) fn reduce_integers(self, reduction: Reduction, axes: &[usize]) -> Tensor<'g> {
        let shape = self.shape();
        let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
        let out: Shape = kept.iter().map(|&axis| shape[axis]).collect::<Vec<_>>().into();
        let n: usize = axes.iter().map(|&axis| shape[axis]).product();
        let rows = self.transpose(&[&kept[..], axes].concat()).reshape([&out[..], &[n]].concat());
        self.graph().apply_one(IntegerReduce(reduction), &[rows])
    }
}
