//! Products of matrices over leading batch dimensions, with transposes, bias and activation.
//!
//! One op computes `activation(op(a) op(b) + bias)`; bias and activation get in by fusion. Where the second operand
//! has no batch of its own (a weight) the leading dimensions of the first are merged into its rows, so that a layer
//! over any number of lanes is one large product, and so is the gradient of its weight.
//!
//! The op, its gradient and its CPU path are here; `gpu` chooses among the kernels of a GPU, whose WGSL `template`
//! expands.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let a = g.input("a", [5, 2, 3]); // five at once
//! let b = g.input("b", [3, 4]);
//! let mut program = Device::cpu().compile(&g, &[a.matmul(b)])?;
//! let outputs = program.run(&[("a", &[1.0f32; 30]), ("b", &[2.0f32; 12])])?;
//! assert_eq!(outputs.f32(0), [6.0; 40]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

mod gpu;
mod template;

use std::sync::Arc;

use crate::cpu::gemm::{Activation, Batch, Epilogue, Matrix, gemm_batched};
use crate::error::{Error, Result};
use crate::graph::{CpuCall, Cut, GpuCall, GpuPlan, Halves, Op, Scalar, Tensor, VjpCall, WithoutElements};
use crate::shape::{DType, Shape, TensorType};

pub use gpu::Kernel;

/// Names of the ops of this family.
pub const NAMES: &[&str] = &["matmul"];

/// `op(a) op(b)` for `a` of `[.., m, k]` (`[.., k, m]` where transposed) and `b` of `[.., k, n]` (`[.., n, k]`).
/// Leading dimensions are broadcast against one another.
#[derive(Debug, Clone, Default)]
pub struct Matmul {
    transpose_a: bool,
    transpose_b: bool,
    bias: bool,
    activation: Option<Scalar>,
    kernel: Option<Kernel>,
}

impl Matmul {
    /// The product of the operands, each transposed in its last two dimensions first where so asked.
    pub fn new(transpose_a: bool, transpose_b: bool) -> Self {
        Matmul { transpose_a, transpose_b, ..Matmul::default() }
    }

    /// The same product with this kernel on a GPU, whatever its sizes; for measurements and tests. Compilation fails
    /// where the kernel does not fit (see [`Kernel::fits`]). Gradients get the kernel that suits their sizes.
    pub fn with_kernel(self, kernel: Kernel) -> Self {
        Matmul { kernel: Some(kernel), ..self }
    }
}

/// Sizes and strides of a batched product, after what can be merged was merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Leading dimensions that are left: size, and the strides of `a`, `b` and the output. Innermost last.
    pub batch: Vec<[usize; 4]>,
}

/// The last two dimensions, exchanged where transposed.
fn rows_and_columns(shape: &Shape, transposed: bool) -> (usize, usize) {
    let (r, c) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    if transposed { (c, r) } else { (r, c) }
}

/// The lead that two operands broadcast to.
fn broadcast_lead(a: &Shape, b: &Shape) -> Option<Shape> {
    Shape::from(a.leading(2)).broadcast(&Shape::from(b.leading(2)))
}

impl Matmul {
    pub(crate) fn plan(&self, a: &Shape, b: &Shape) -> Option<Plan> {
        let (m, k) = rows_and_columns(a, self.transpose_a);
        let (_, n) = rows_and_columns(b, self.transpose_b);
        let lead = broadcast_lead(a, b)?;
        let strides = |of: &Shape| Shape::from(of.leading(2)).broadcast_strides(&lead);
        let (a_strides, b_strides) = (strides(a)?, strides(b)?);
        let own = lead.strides();
        let mut plan = Plan { m, n, k, batch: Vec::new() };
        for i in (0..lead.len()).rev() {
            if lead[i] == 1 {
                continue;
            }
            let dimension = [lead[i], a_strides[i] * m * k, b_strides[i] * k * n, own[i] * m * n];
            // Rows that follow one another in `a` and in the output, and meet one `b`, are rows of one product.
            if plan.batch.is_empty() && !self.transpose_a && dimension[2] == 0 && dimension[1] == plan.m * k {
                plan.m *= lead[i];
                continue;
            }
            match plan.batch.last_mut() {
                Some(inner) if (1..4).all(|o| dimension[o] == inner[0] * inner[o]) => inner[0] *= lead[i],
                _ => plan.batch.push(dimension),
            }
        }
        plan.batch.reverse();
        // A loop over the outer dimensions costs nothing next to a long inner batch.
        Some(plan)
    }
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != 2 + usize::from(self.bias) {
            return Err(format!("takes {} operands", 2 + usize::from(self.bias)));
        }
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        let (a, b) = (&operands[0].shape, &operands[1].shape);
        if a.len() < 2 || b.len() < 2 {
            return Err("takes operands of at least two dimensions".into());
        }
        let (m, k) = rows_and_columns(a, self.transpose_a);
        let (k_of_b, n) = rows_and_columns(b, self.transpose_b);
        if k != k_of_b {
            return Err(format!(
                "the sums run over {k} terms in the first operand and {k_of_b} in the second"
            ));
        }
        if self.bias && *operands[2].shape != [n] {
            return Err(format!("the bias must have the shape [{n}]"));
        }
        let lead = broadcast_lead(a, b).ok_or("the leading dimensions do not broadcast")?;
        let mut shape = lead.to_vec();
        shape.extend([m, n]);
        Ok(vec![TensorType::f32(shape)])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Zeros
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        if self.bias || self.activation.is_some() {
            let message = "bias and activation are fused after differentiation".into();
            return Err(Error::NoGradient { op: "matmul".into(), message });
        }
        let (a, b, c) = (call.operands[0], call.operands[1], call.cotangent(0));
        let (ta, tb) = (self.transpose_a, self.transpose_b);
        let of_a = call.wanted[0].then(|| {
            let full = if ta { b.matmul_with(c, tb, true) } else { c.matmul_with(b, false, !tb) };
            full.sum_to(a.shape())
        });
        let of_b = call.wanted[1].then(|| {
            // The sum over lanes that share `b` is part of the product's own sum, wherever rows can be merged.
            let (a, c, short) = match ta {
                true => (a, c, b.shape()),
                false => merge_rows(a, c, &b.shape()),
            };
            let full = if tb { c.matmul_with(a, true, ta) } else { a.matmul_with(c, !ta, false) };
            full.sum_to(short).reshape(b.shape())
        });
        Ok(vec![of_a, of_b])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (a, b) = (call.inputs[0], call.inputs[1]);
        let plan = self
            .plan(&a.of.shape, &b.of.shape)
            .ok_or_else(|| Error::Graph("matmul: the leading dimensions do not broadcast".into()))?;
        let Plan { m, n, k, .. } = plan;
        let out = call.outputs[0].f32();
        let bias = self.bias.then(|| call.inputs[2].f32());
        let epilogue = Epilogue::new(bias, activation(self.activation));
        let (inner, outer) = match plan.batch.split_last() {
            Some((inner, outer)) => (*inner, outer),
            None => ([1, 0, 0, 0], &[][..]),
        };
        let rounds: usize = outer.iter().map(|d| d[0]).product();
        for round in 0..rounds {
            let mut rest = round;
            let mut at = [0usize; 3];
            for dimension in outer.iter().rev() {
                let index = rest % dimension[0];
                rest /= dimension[0];
                for (offset, stride) in at.iter_mut().zip(&dimension[1..]) {
                    *offset += index * stride;
                }
            }
            let (a, b) = (&a.f32()[at[0]..], &b.f32()[at[1]..]);
            let a =
                if self.transpose_a { Matrix::row_major(a, m).transposed() } else { Matrix::row_major(a, k) };
            let b =
                if self.transpose_b { Matrix::row_major(b, k).transposed() } else { Matrix::row_major(b, n) };
            let batch = Batch { count: inner[0], a: inner[1], b: inner[2], c: inner[3], bias: 0 };
            gemm_batched(batch, m, n, k, a, b, &mut out[at[2]..], n, false, epilogue, call.parallel)?;
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = self
            .plan(&call.operands[0].shape, &call.operands[1].shape)
            .ok_or_else(|| Error::Graph("matmul: the leading dimensions do not broadcast".into()))?;
        gpu::launches(self, &plan, call)
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        let (a, b) = (&operands[0].shape, &operands[1].shape);
        let own = if self.transpose_a { 2 } else { 1 };
        let of_b = [b.leading(2), &[1][own - 1..]].concat();
        let leads = [a.leading(own), &of_b, &[]];
        let mut cuts = Cut::along(outputs[0].shape.leading(own), &leads[..operands.len()], 1);
        // One row of B transposed, or one term of A transposed: rows of the operand are entries of the output.
        let ones = |shape: &[usize]| shape.iter().all(|size| *size == 1);
        let rank = outputs[0].shape.len();
        if self.transpose_b && ones(b.leading(2)) && ones(outputs[0].shape.leading(1)) {
            let bias = (operands.len() > 2).then_some(Some(0));
            let operands = [None, Some(b.len() - 2)].into_iter().chain(bias).collect();
            cuts.push(Cut { operands, outputs: vec![Halves::Follow(rank - 1)] });
        }
        if self.transpose_a && ones(a.leading(1)) && ones(outputs[0].shape.leading(2)) {
            let cut = [Some(a.len() - 1), None, None][..operands.len()].to_vec();
            cuts.push(Cut { operands: cut, outputs: vec![Halves::Follow(rank - 2)] });
        }
        // The terms of one matrix: a sum over two halves. With a bias or an activation it is no mere sum.
        if !self.bias && self.activation.is_none() {
            let term_of_b = b.len() - if self.transpose_b { 1 } else { 2 };
            cuts.extend(Cut::across(&[(a, a.len() - own), (b, term_of_b)]));
        }
        cuts
    }

    fn with_epilogue(&self, bias: bool, activation: Option<Scalar>) -> Option<Arc<dyn Op>> {
        let known =
            matches!(activation, None | Some(Scalar::Relu | Scalar::Tanh | Scalar::Sigmoid | Scalar::Gelu));
        let plain = !self.bias && self.activation.is_none();
        (known && plain).then(|| Arc::new(Matmul { bias, activation, ..self.clone() }) as Arc<dyn Op>)
    }

    fn operations(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        let (_, k) = rows_and_columns(&operands[0].shape, self.transpose_a);
        2 * k as u64 * outputs[0].elements() as u64
    }
}

/// An activation as the kernels of products name it.
pub(crate) fn activation(function: Option<Scalar>) -> Activation {
    match function {
        Some(Scalar::Relu) => Activation::Relu,
        Some(Scalar::Tanh) => Activation::Tanh,
        Some(Scalar::Sigmoid) => Activation::Sigmoid,
        Some(Scalar::Gelu) => Activation::Gelu,
        _ => Activation::None,
    }
}

/// `a` of `[.., m, k]` and `c` of `[.., m, n]` with those innermost leading dimensions merged into `m` along which
/// an operand of shape `b` is shared, and the shape of `b` without those.
fn merge_rows<'g>(a: Tensor<'g>, c: Tensor<'g>, b: &Shape) -> (Tensor<'g>, Tensor<'g>, Shape) {
    let (of_a, of_c) = (a.shape(), c.shape());
    let rank = of_c.len();
    let size = |shape: &Shape, i: usize| match (i + shape.len()).checked_sub(rank) {
        Some(at) => shape[at],
        None => 1,
    };
    let (mut keep, mut rows) = (rank - 2, of_c[rank - 2]);
    while keep > 0 && size(b, keep - 1) == 1 && size(&of_a, keep - 1) == of_c[keep - 1] {
        keep -= 1;
        rows *= of_c[keep];
    }
    let with = |shape: &Shape, rows: usize| -> Shape {
        let lead = (0..keep).map(|i| size(shape, i));
        lead.chain([rows, shape[shape.len() - 1]]).collect::<Vec<_>>().into()
    };
    (a.reshape(with(&of_a, rows)), c.reshape(with(&of_c, rows)), with(b, b[b.len() - 2]))
}

impl<'g> Tensor<'g> {
    /// The product of matrices `[.., m, k] x [.., k, n] -> [.., m, n]`. Leading dimensions are broadcast; a second
    /// operand without any (a weight) makes it one product over all rows of the first.
    pub fn matmul(self, other: Tensor<'g>) -> Tensor<'g> {
        self.matmul_with(other, false, false)
    }

    /// [`Tensor::matmul`] of operands whose last two dimensions are exchanged first where so asked, without a copy:
    /// with `transpose_a` the first is `[.., k, m]`, with `transpose_b` the second is `[.., n, k]`.
    pub fn matmul_with(self, other: Tensor<'g>, transpose_a: bool, transpose_b: bool) -> Tensor<'g> {
        self.graph().apply_one(Matmul::new(transpose_a, transpose_b), &[self, other])
    }
}
