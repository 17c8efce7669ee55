//! Attention and its gradient in plain ops: what the fused kernels compute, differentiable as often as wanted.

use super::Attention;
use crate::graph::Tensor;

/// `[.., t, heads * dim]` as `[.., heads, t, dim]`.
fn split<'g>(x: Tensor<'g>, heads: usize) -> Tensor<'g> {
    let mut shape = x.shape().to_vec();
    let features = shape.pop().unwrap_or(1);
    shape.extend([heads, features / heads]);
    x.reshape(shape).swap(-3, -2)
}

/// The inverse of [`split`].
fn join(x: Tensor<'_>) -> Tensor<'_> {
    let x = x.swap(-3, -2);
    let shape = x.shape();
    let mut joined = shape.leading(2).to_vec();
    joined.push(shape[shape.len() - 2] * shape[shape.len() - 1]);
    x.reshape(joined)
}

/// The weights `[.., heads, tq, tk]`, and the log-sum-exp `[.., heads, tq, 1]`.
pub(super) fn weights<'g>(
    op: &Attention,
    q: Tensor<'g>,
    k: Tensor<'g>,
    mask: Option<Tensor<'g>>,
) -> (Tensor<'g>, Tensor<'g>) {
    let g = q.graph();
    let (q, k) = (split(q, op.heads), split(k, op.heads));
    let (of_q, of_k) = (q.shape(), k.shape());
    let (tq, tk, dim) = (of_q[of_q.len() - 2], of_k[of_k.len() - 2], of_q[of_q.len() - 1]);
    let scores = q.matmul_with(k, false, true) * (1.0 / (dim as f32).sqrt());
    let mut visible = mask.map(|mask| {
        let mut shape = mask.shape().to_vec();
        while shape.len() < 2 {
            shape.insert(0, 1);
        }
        shape.insert(shape.len() - 2, 1);
        mask.reshape(shape)
    });
    if op.causal {
        let row = |i: usize| (0..tk).map(move |j| f32::from(u8::from(j + tq <= i + tk)));
        let triangle = g.constant([tq, tk], &(0..tq).flat_map(row).collect::<Vec<f32>>());
        visible = Some(visible.map_or(triangle, |v| v * triangle));
    }
    let keep = |x: Tensor<'g>, other: f32| match visible {
        Some(visible) => visible.select(x, g.scalar(other)),
        None => x,
    };
    let scores = keep(scores, -1e30);
    let column = |x: Tensor<'g>| {
        let mut shape = x.shape().to_vec();
        shape.push(1);
        x.reshape(shape)
    };
    let most = column(scores.max(&[-1]).detach());
    let raised = keep((scores - most).exp(), 0.0);
    let sum = column(raised.sum(&[-1]));
    // Where there is no key; NaN is not 0.
    let none = sum.equal(g.scalar(0.0));
    let safe = none.select(g.scalar(1.0), sum);
    (raised / safe, none.select(g.scalar(0.0), safe.log() + most))
}

/// Both outputs of attention.
pub(super) fn forward<'g>(op: &Attention, operands: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let (weights, rows) = weights(op, operands[0], operands[1], operands.get(3).copied());
    let out = weights.matmul(split(operands[2], op.heads));
    // Values alone may bring leading dimensions that scores do not have.
    let out = join(out);
    let rows = rows.swap(-3, -2);
    let shape = rows.shape();
    let mut of_rows = out.shape().leading(2).to_vec();
    of_rows.extend([shape[shape.len() - 3], shape[shape.len() - 2]]);
    let rows = rows.reshape(shape.leading(1)).broadcast_to(of_rows);
    vec![out, rows]
}

/// The gradients of q, k and v from the cotangent of the first output.
pub(super) fn gradient<'g>(
    op: &Attention,
    operands: &[Tensor<'g>],
    cotangent: Tensor<'g>,
) -> Vec<Tensor<'g>> {
    let [q, k, v] = [operands[0], operands[1], operands[2]];
    let (p, _) = weights(op, q, k, operands.get(3).copied());
    let c = split(cotangent, op.heads);
    let dim = q.shape()[q.shape().len() - 1] / op.heads;
    let dp = c.matmul_with(split(v, op.heads), false, true);
    let delta = (p * dp).sum(&[-1]);
    let mut column = delta.shape().to_vec();
    column.push(1);
    let ds = p * (dp - delta.reshape(column)) * (1.0 / (dim as f32).sqrt());
    let dq = ds.matmul(split(k, op.heads));
    let dk = ds.matmul_with(split(q, op.heads), true, false);
    let dv = p.matmul_with(c, true, false);
    [(dq, q), (dk, k), (dv, v)].map(|(d, of)| join(d).sum_to(of.shape())).to_vec()
}
