//! Fused multi-head attention (Vaswani et al. 2017) and its gradient. The scores are never written to memory: the
//! forward pass keeps the log-sum-exp of every row, from which the gradient computes them again (Dao et al. 2022).
//!
//! What lives here: the ops and their shape rules. Kernels for processors live in `cpu`,
//! how the shader is launched in `gpu`, the plain form in `plain`.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! // One query over two keys, of which it may attend to the second only.
//! let query = g.constant([1, 2], &[1.0, 0.0]);
//! let keys = g.constant([2, 2], &[5.0, 0.0, 0.0, 5.0]);
//! let values = g.constant([2, 2], &[1.0, 2.0, 3.0, 4.0]);
//! let mask = g.constant([1, 2], &[0.0, 1.0]);
//! let heard = query.attention(keys, values, 1, Some(mask), false);
//! let mut program = Device::cpu().compile(&g, &[heard])?;
//! assert_eq!(program.run(&[])?.f32(0), [3.0, 4.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

mod cpu;
mod gpu;
mod plain;

use crate::error::{Error, Result};
use crate::graph::{CpuCall, Cut, GpuCall, GpuPlan, Op, Tensor, VjpCall, WithoutElements};
use crate::shape::{DType, Shape, TensorType};

/// Names of the ops of this family.
pub const NAMES: &[&str] = &["attention", "attention_gradient"];

/// Attention of `heads` heads: operands `q` of `[.., tq, heads * dim]`, `k` and `v` of `[.., tk, heads * dim]` and, with
/// `mask`, a mask that broadcasts to `[.., tq, tk]` and is not 0 where a query may attend to a key. Leading dimensions
/// are broadcast without a copy. Outputs: `[.., tq, heads * dim]`, and the log-sum-exp of the scaled scores of every
/// row, `[.., tq, heads]`.
///
/// For each head: `softmax(q k^T / sqrt(dim)) v`. A query that may attend to nothing gets zeros, and 0 for its
/// log-sum-exp. With `causal`, query `i` sees keys up to `i + tk - tq`.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Number of heads.
    pub heads: usize,
    /// Whether a query sees no keys after its own place.
    pub causal: bool,
    /// Whether there is a mask operand.
    pub mask: bool,
}

/// The gradients of [`Attention`] with respect to `q`, `k` and `v`, in their own shapes, from `q`, `k`, `v`, the mask
/// where there is one, the two outputs, and the cotangent of the first output.
///
/// With `P` the attention weights: `dV = P^T dO`, `dS = P (dO V^T - rowsum(dO O)) / sqrt(dim)`, `dQ = dS K`,
/// `dK = dS^T Q`.
#[derive(Debug, Clone)]
pub struct AttentionGradient(pub Attention);

/// An op's plain form as an op, for gradients by way of it.
#[derive(Debug, Clone)]
struct ByDecomposition(Attention);

/// Sizes, and how lanes (leading dimensions) are laid out.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub heads: usize,
    pub dim: usize,
    pub tq: usize,
    pub tk: usize,
    pub causal: bool,
    /// Leading dimensions after merging, innermost last: size, and the strides of q, k, v and the mask in elements
    /// (0 where they are broadcast).
    pub lanes: Vec<[usize; 5]>,
    /// Strides of the mask along queries and keys.
    pub mask: [usize; 2],
}

fn lead(shape: &Shape) -> Shape {
    Shape::from(shape.leading(2))
}

impl Attention {
    fn types(&self, operands: &[TensorType]) -> Result<(Shape, Shape), String> {
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        let (q, k, v) = (&operands[0].shape, &operands[1].shape, &operands[2].shape);
        if [q, k, v].iter().any(|s| s.len() < 2) {
            return Err("takes queries, keys and values of [.., time, features]".into());
        }
        let features = q[q.len() - 1];
        if k[k.len() - 1] != features || v[v.len() - 1] != features {
            return Err("queries, keys and values must have as many features".into());
        }
        if self.heads == 0 || features % self.heads != 0 {
            return Err(format!("{features} features cannot be cut into {} heads", self.heads));
        }
        let (tq, tk) = (q[q.len() - 2], k[k.len() - 2]);
        if v[v.len() - 2] != tk {
            return Err(format!("there are {tk} keys and {} values", v[v.len() - 2]));
        }
        let unfit = "the leading dimensions do not broadcast";
        let mut all = lead(q).broadcast(&lead(k)).and_then(|s| s.broadcast(&lead(v))).ok_or(unfit)?;
        if self.mask {
            let mask = &operands[3].shape;
            all = all.broadcast(&lead(mask)).ok_or(unfit)?;
            let mut whole = all.to_vec();
            whole.extend([tq, tk]);
            if mask.broadcast_strides(&whole.clone().into()).is_none() {
                return Err(format!("the mask does not broadcast to {whole:?}"));
            }
        }
        let (mut out, mut rows) = (all.to_vec(), all.to_vec());
        out.extend([tq, features]);
        rows.extend([tq, self.heads]);
        Ok((out.into(), rows.into()))
    }

    /// Along the leading dimensions of the output `out`, or along queries that do not count keys before them. What comes
    /// behind attention's own operands has all these dimensions.
    fn halves(&self, operands: &[TensorType], out: &Shape, outputs: usize) -> Vec<Cut> {
        let own = if self.causal { 2 } else { 1 };
        let keys: Vec<Vec<usize>> =
            operands[1..3].iter().map(|of| [of.shape.leading(2), &[1][own - 1..]].concat()).collect();
        let leads: Vec<&[usize]> = operands
            .iter()
            .enumerate()
            .map(|(i, of)| if i == 1 || i == 2 { &keys[i - 1][..] } else { of.shape.leading(own) })
            .collect();
        Cut::along(out.leading(own), &leads, outputs)
    }

    /// The layout for operands that [`Op::infer`] has accepted.
    pub(crate) fn plan(&self, q: &Shape, k: &Shape, v: &Shape, mask: Option<&Shape>, out: &Shape) -> Plan {
        let rank = out.len() - 2;
        let (tq, features) = (out[rank], out[rank + 1]);
        let tk = k[k.len() - 2];
        let leading = lead(out);
        let strides = |of: &Shape, size: usize| -> Vec<usize> {
            let strides = lead(of).broadcast_strides(&leading).unwrap_or_else(|| vec![0; rank]);
            strides.into_iter().map(|s| s * size).collect()
        };
        let whole: Shape = [&leading[..], &[tq, tk]].concat().into();
        let of_mask = mask.and_then(|m| m.broadcast_strides(&whole)).unwrap_or_else(|| vec![0; rank + 2]);
        let (sq, sk, sv) = (strides(q, tq * features), strides(k, tk * features), strides(v, tk * features));
        let mut plan = Plan {
            heads: self.heads,
            dim: features / self.heads,
            tq,
            tk,
            causal: self.causal,
            lanes: Vec::new(),
            mask: [of_mask[rank], of_mask[rank + 1]],
        };
        for i in (0..rank).rev() {
            let size = leading[i];
            if size == 1 {
                continue;
            }
            let d = [size, sq[i], sk[i], sv[i], of_mask[i]];
            // Lanes that attend to the same keys are more queries of one lane (agents that read one memory).
            let rows_follow = d[1] == plan.tq * features && d[2] == 0 && d[3] == 0;
            let mask_follows = d[4] == plan.tq * plan.mask[0];
            if plan.lanes.is_empty() && !self.causal && rows_follow && mask_follows {
                plan.tq *= size;
                continue;
            }
            match plan.lanes.last_mut() {
                Some(inner) if (1..5).all(|o| d[o] == inner[0] * inner[o]) => inner[0] *= size,
                _ => plan.lanes.push(d),
            }
        }
        plan.lanes.reverse();
        plan
    }

    fn plan_of(&self, operands: &[&Shape], out: &Shape) -> Plan {
        self.plan(operands[0], operands[1], operands[2], self.mask.then(|| operands[3]), out)
    }

    fn operands(&self) -> usize {
        3 + usize::from(self.mask)
    }
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != self.operands() {
            return Err(format!("takes {} operands", self.operands()));
        }
        let (out, rows) = self.types(operands)?;
        Ok(vec![TensorType::f32(out), TensorType::f32(rows)])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Zeros
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        if call.cotangents[1].is_some() {
            return ByDecomposition(self.clone()).vjp(call);
        }
        let mut operands = call.operands.to_vec();
        operands.extend([call.outputs[0], call.outputs[1], call.cotangent(0)]);
        let gradients = call.outputs[0].graph().apply(AttentionGradient(self.clone()), &operands);
        let mut gradients: Vec<_> = gradients[..3].iter().map(|&d| Some(d)).collect();
        gradients.resize(self.operands(), None);
        Ok(gradients)
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        self.halves(operands, &outputs[0].shape, 2)
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        Some(plain::forward(self, operands))
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let shapes: Vec<&Shape> = call.inputs.iter().map(|i| &i.of.shape).collect();
        let plan = self.plan_of(&shapes, &call.outputs[0].of.shape);
        let [out, rows] = call.outputs else {
            return Err(Error::Graph("attention: two outputs are needed".into()));
        };
        let mask = self.mask.then(|| call.inputs[3].f32());
        let [q, k, v] = [0, 1, 2].map(|i| call.inputs[i].f32());
        cpu::forward(&plan, q, k, v, mask, out.f32(), rows.f32(), call.parallel);
        Ok(())
    }

    fn gpu_rounds(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        let shapes: Vec<&Shape> = operands.iter().map(|t| &t.shape).collect();
        gpu::forward_rounds(&self.plan_of(&shapes, &outputs[0].shape))
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let shapes: Vec<&Shape> = call.operands.iter().map(|t| &t.shape).collect();
        gpu::forward(self, &self.plan_of(&shapes, &call.outputs[0].shape), call)
    }

    fn operations(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        4 * outputs[0].elements() as u64 * keys(operands)
    }
}

fn keys(operands: &[TensorType]) -> u64 {
    let k = &operands[1].shape;
    k[k.len() - 2] as u64
}

impl Op for ByDecomposition {
    fn name(&self) -> &'static str {
        "attention"
    }
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        self.0.infer(operands)
    }
    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        self.0.decompose(operands)
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        self.0.cpu(call)
    }
    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        self.0.gpu(call)
    }
}

impl Op for AttentionGradient {
    fn name(&self) -> &'static str {
        "attention_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let own = self.0.operands();
        if operands.len() != own + 3 {
            return Err(format!("takes {} operands", own + 3));
        }
        let (out, rows) = self.0.types(&operands[..own])?;
        if operands[own].shape != out || operands[own + 1].shape != rows || operands[own + 2].shape != out {
            return Err("the outputs and the cotangent do not have the shapes of attention's outputs".into());
        }
        Ok(operands[..3].to_vec())
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Zeros
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        let halves = self.0.halves(operands, &operands[self.0.operands()].shape, 3);
        halves.into_iter().map(|cut| cut.of_gradient(3)).collect()
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        // The outputs of the forward pass are computed anew from the other operands, on which they depend.
        Some(plain::gradient(&self.0, &operands[..self.0.operands()], operands[self.0.operands() + 2]))
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let own = self.0.operands();
        let shapes: Vec<&Shape> = call.inputs[..own].iter().map(|i| &i.of.shape).collect();
        let plan = self.0.plan_of(&shapes, &call.inputs[own].of.shape);
        let [dq, dk, dv] = call.outputs else {
            return Err(Error::Graph("attention_gradient: three outputs are needed".into()));
        };
        let mask = self.0.mask.then(|| call.inputs[3].f32());
        let [q, k, v, out, rows, d_out] = [0, 1, 2, own, own + 1, own + 2].map(|i| call.inputs[i].f32());
        let given = cpu::Given { q, k, v, mask, out, rows, d_out };
        cpu::backward(&plan, &given, dq.f32(), dk.f32(), dv.f32(), call.parallel);
        Ok(())
    }

    fn gpu_rounds(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        let shapes: Vec<&Shape> = operands.iter().map(|t| &t.shape).collect();
        gpu::backward_rounds(&self.0.plan_of(&shapes, &operands[self.0.operands()].shape))
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let shapes: Vec<&Shape> = call.operands.iter().map(|t| &t.shape).collect();
        gpu::backward(self, &self.0.plan_of(&shapes, &call.operands[self.0.operands()].shape), call)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        10 * operands[self.0.operands()].elements() as u64 * keys(operands)
    }
}

impl<'g> Tensor<'g> {
    /// Attention of these queries `[.., tq, heads * dim]` over `keys` and `values` `[.., tk, heads * dim]`, as
    /// [`Attention`] states it: `[.., tq, heads * dim]`. The mask broadcasts to `[.., tq, tk]` and holds 1 where a query
    /// may attend to a key, else 0; no gradient passes through it. A query that may attend to nothing gets zeros.
    pub fn attention(
        self,
        keys: Tensor<'g>,
        values: Tensor<'g>,
        heads: usize,
        mask: Option<Tensor<'g>>,
        causal: bool,
    ) -> Tensor<'g> {
        self.attention_with_log_sum_exp(keys, values, heads, mask, causal).0
    }

    /// [`Tensor::attention`], and the log-sum-exp of the scaled scores of every row, `[.., tq, heads]`.
    pub fn attention_with_log_sum_exp(
        self,
        keys: Tensor<'g>,
        values: Tensor<'g>,
        heads: usize,
        mask: Option<Tensor<'g>>,
        causal: bool,
    ) -> (Tensor<'g>, Tensor<'g>) {
        let mut operands = vec![self, keys, values];
        operands.extend(mask);
        let op = Attention { heads, causal, mask: mask.is_some() };
        let outputs = self.graph().apply(op, &operands);
        (outputs[0], outputs[1])
    }

    /// The attention weights themselves, `[.., heads, tq, tk]`, in plain ops: for pictures. Rows sum to 1, or to 0 where
    /// a query may attend to nothing.
    pub fn attention_weights(
        self,
        keys: Tensor<'g>,
        heads: usize,
        mask: Option<Tensor<'g>>,
        causal: bool,
    ) -> Tensor<'g> {
        let op = Attention { heads, causal, mask: mask.is_some() };
        let mut types = vec![self.tensor_type(), keys.tensor_type(), keys.tensor_type()];
        types.extend(mask.map(|m| m.tensor_type()));
        match op.types(&types) {
            Ok(_) => plain::weights(&op, self, keys, mask).0,
            Err(message) => self.refuse("attention_weights", message),
        }
    }
}
