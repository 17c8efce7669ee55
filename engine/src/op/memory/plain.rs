//! The gradient of memory writes in plain ops, unrolled over the agents: differentiable as often as wanted.

use super::Plan;
use crate::graph::Tensor;
use crate::op::softmax::keep_last;
use crate::shape::Shape;

/// The five gradients from the operands, the slots that were taken and the two cotangents.
pub(super) fn gradient<'g>(plan: &Plan, operands: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let g = operands[0].graph();
    let full = plan.full();
    let [memory, importance, candidates, gates, importances] =
        [0, 1, 2, 3, 4].map(|i| operands[i].broadcast_to(&full[i]));
    // One more class for those who took no slot; it is cut off again.
    let chosen = operands[5].one_hot(plan.slots + 1).slice(-1, 0, plan.slots);
    let lanes = &plan.lanes;
    let rank = lanes.len() as isize;
    let with = |last: &[usize]| Shape::from([&lanes[..], last].concat());
    // Agent i's candidate as [.., 1, features], its slot as [.., slots], its gate and importance as [.., 1].
    let candidate = |i: usize| candidates.slice(rank, i, 1);
    let slot = |i: usize| chosen.slice(rank, i, 1).reshape(with(&[plan.slots]));
    let gate = |i: usize| gates.slice(rank, i, 1);
    let rank_of = |i: usize| importances.slice(rank, i, 1);

    let (mut m, mut r) = (memory, importance);
    let mut found = Vec::with_capacity(plan.agents);
    for i in 0..plan.agents {
        found.push((m, r));
        let share = slot(i) * gate(i);
        m = m + keep_last(share) * (candidate(i) - m);
        r = r + share * (rank_of(i) - r);
    }
    let (mut d, mut e) = (operands[6], operands[7]);
    let mut parts: [Vec<Tensor<'g>>; 3] = Default::default();
    for i in (0..plan.agents).rev() {
        let (m, r) = found[i];
        let (taken, share) = (slot(i), slot(i) * gate(i));
        parts[0].push((keep_last(share) * d).sum(&[rank]));
        let of_gate = (d * (candidate(i) - m)).sum(&[-1]) + e * (rank_of(i) - r);
        parts[1].push((taken * of_gate).sum(&[-1]));
        parts[2].push((share * e).sum(&[-1]));
        d = d - keep_last(share) * d;
        e = e - share * e;
    }
    let [of_candidates, of_gates, of_importances] = parts.map(|mut part| {
        part.reverse();
        g.stack(&part, rank)
    });
    vec![d, e, of_candidates, of_gates, of_importances]
}
