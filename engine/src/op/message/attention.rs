//! Attention over in-edges, as in graph attention networks.
//!
//! Limit: memory. An edge reads a row of `heads * d` floats for twice as many operations, and `heads` scores; its
//! weights, `4 * heads` bytes, are all that the gradient needs beyond the operands.

use std::ops::Range;

use super::super::lanes::{common_lead, stretch, with_lead};
use super::attention_gradient::MessageAttentionGradient;
use super::edge::{End, spread};
use super::weighted::WeightedSum;
use super::{Dispatch, Edges, POOL_WORK, Rows, Side, TASK, check_types, last, last_but_one, part};
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::vector_math as vm;
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Op, Tensor, VjpCall};
use crate::shape::TensorType;

/// Where the scores of edges come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scores {
    /// `leaky_relu(source_scores_j + destination_scores_i)`, as in GAT (Velickovic et al. 2018, equation 3).
    Nodes {
        /// What a negative sum is multiplied by.
        negative_slope: f32,
    },
    /// Given for every edge, as in GATv2 (Brody et al. 2022, equation 7).
    Edges,
}

impl Scores {
    pub(super) fn operands(self) -> usize {
        match self {
            Scores::Nodes { .. } => 2,
            Scores::Edges => 1,
        }
    }
}

/// `out_i = sum of w_ij x_j` over the edges `j -> i`, with `w` the softmax of the edges' scores over the in-edges of
/// `i`, for every head apart. Nodes without in-edges, or with all of them masked, get 0.
///
/// Operands: `x` `[.., m, heads * d]`; scores, `[.., m, heads]` and `[.., n, heads]` of sources and destinations or
/// `[.., e, heads]` of edges; where `mask` is set `[.., e]`, 0 where an edge does not count (no gradient passes); the
/// five arrays of [`Edges`]. Values of edges stand in the order of `sources`. Outputs: `[.., n, heads * d]` and the
/// weights `[.., e, heads]`, 0 behind the last edge.
#[derive(Debug, Clone)]
pub struct MessageAttention {
    /// Where scores come from.
    pub scores: Scores,
    /// Whether some edges are masked.
    pub mask: bool,
}

impl MessageAttention {
    /// How many dimensions of each operand are not leading ones.
    fn tails(&self) -> Vec<usize> {
        let mut tails = vec![2; 1 + self.scores.operands()];
        tails.resize(tails.len() + usize::from(self.mask) + 5, 1);
        tails
    }

    /// The first of the five arrays.
    pub(super) fn arrays(&self) -> usize {
        1 + self.scores.operands() + usize::from(self.mask)
    }
}

impl Op for MessageAttention {
    fn name(&self) -> &'static str {
        "message_attention"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let at = self.arrays();
        if operands.len() != at + 5 {
            return Err("takes x, scores, a mask where it has one, and the five arrays of edges".into());
        }
        check_types(operands, 5)?;
        let lead = common_lead(operands.iter().zip(self.tails()))?;
        let x = &operands[0];
        let [offsets, ends, other_offsets, other_ends, edges] = &operands[at..] else {
            return Err("takes five arrays of edges".into());
        };
        let (n, e) = (last(offsets).saturating_sub(1), last(ends));
        if n == 0 || last(other_offsets) != last_but_one(x) + 1 || last(other_ends) != e || last(edges) != e {
            return Err("x must have a row for every node of the edges' arrays".into());
        }
        let heads = last(&operands[1]);
        let rows: &[usize] = match self.scores {
            Scores::Nodes { .. } => &[last_but_one(x), n],
            Scores::Edges => &[e],
        };
        for (scores, &rows) in operands[1..].iter().zip(rows) {
            if last_but_one(scores) != rows || last(scores) != heads {
                return Err(format!("scores must be [.., {rows}, {heads}]"));
            }
        }
        if !last(x).is_multiple_of(heads) {
            return Err(format!("{heads} heads do not divide the channels of x"));
        }
        if self.mask && last(&operands[at - 1]) != e {
            return Err(format!("the mask must be [.., {e}]"));
        }
        Ok(vec![
            TensorType::f32(with_lead(&lead, &[n, last(x)])),
            TensorType::f32(with_lead(&lead, &[e, heads])),
        ])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let at = self.arrays();
        let mut operands = vec![call.cotangent(0), call.outputs[1]];
        operands.extend(call.cotangents[1]);
        operands.extend(call.operands);
        let op = MessageAttentionGradient { forward: self.clone(), of_weights: call.cotangents[1].is_some() };
        let out = call.operands[0].graph().apply(op, &operands);
        let count = 1 + self.scores.operands();
        let mut gradients: Vec<Option<Tensor<'g>>> =
            (0..count).map(|i| Some(out[i].sum_to(call.operands[i].shape()))).collect();
        gradients.resize(at + 5, None);
        Ok(gradients)
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let x = operands[0];
        let g = x.graph();
        let at = self.arrays();
        let edges = Edges::of(&operands[at..]);
        let (zero, one) = (g.scalar(0.0), g.scalar(1.0));
        let scores = match self.scores {
            Scores::Nodes { negative_slope } => {
                let z =
                    spread(operands[1], edges, End::Source) + spread(operands[2], edges, End::Destination);
                z.greater(zero).select(z, z * negative_slope)
            }
            Scores::Edges => operands[1],
        };
        // 1 for edges that are there and not masked.
        let nodes = edges.offsets.shape();
        let mut keep = spread(g.full([nodes[nodes.len() - 1] - 1, 1], 1.0), edges, End::Destination);
        if self.mask {
            let mask = operands[at - 1];
            keep = mask.reshape(with_lead(&mask.shape(), &[1])).select(keep, zero);
        }
        let scores = keep.select(scores, g.scalar(f32::MIN));
        let highest = edges.max_at_destinations(scores.detach());
        let exponentials = keep.select((scores - spread(highest, edges, End::Destination)).exp(), zero);
        let sums = spread(edges.sum_at_destinations(exponentials), edges, End::Destination);
        let weights = exponentials / sums.select(sums, one);
        let messages = spread(x, edges, End::Source);
        let (shape, heads) = (messages.shape(), last(&scores.tensor_type()));
        let (lead, e) = (shape.leading(2), last_but_one(&messages.tensor_type()));
        let by_head = with_lead(lead, &[e, heads, shape[shape.len() - 1] / heads]);
        let of = weights.shape();
        let weighted = messages.reshape(by_head) * weights.reshape(with_lead(&of, &[1]));
        let of = weighted.shape();
        let out =
            edges.sum_at_destinations(weighted.reshape(with_lead(of.leading(2), &[shape[shape.len() - 1]])));
        // Operands that only some outputs depend on may have more leading dimensions than the others.
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let full = self.infer(&types).ok()?;
        Some(vec![out.broadcast_to(&full[0].shape), weights.broadcast_to(&full[1].shape)])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let at = self.arrays();
        let x = call.inputs[0];
        let (of, of_weights) = (call.outputs[0].of, call.outputs[1].of);
        let lead = of.shape.leading(2);
        let (nodes, channels) = (last_but_one(of), last(of));
        let (edges, heads) = (last_but_one(of_weights), last(of_weights));
        let (offsets, ends) = (call.inputs[at], call.inputs[at + 1]);
        let side = Side::checked("message_attention", offsets, ends, last_but_one(x.of), lead)?;
        let [out, weights] = [0, 1].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        for lane in 0..lead.iter().product() {
            let rows = side.rows(lane);
            let scores = [1, 2].map(|i| part(&call.inputs[i.min(self.scores.operands())], 2, lead, lane));
            let mask = self.mask.then(|| part(&call.inputs[at - 1], 1, lead, lane));
            let x = part(&x, 2, lead, lane);
            let weights = SharedPointer(weights.get().wrapping_add(lane * edges * heads));
            let parallel = call.parallel.above(rows.ends.len() * (channels + 8 * heads), POOL_WORK);
            for_each_chunk(parallel, nodes, TASK, |range| {
                let (first, last) = (rows.offsets[range.start] as usize, rows.offsets[range.end] as usize);
                // SAFETY: the edges of these nodes are this task's alone, and lie below `edges` (checked).
                let own = unsafe {
                    std::slice::from_raw_parts_mut(weights.get().add(first * heads), (last - first) * heads)
                };
                let range_of = range.clone();
                dispatch(Softmax {
                    scores: self.scores,
                    values: scores,
                    mask,
                    rows,
                    heads,
                    range: range_of,
                    out: own,
                });
                // SAFETY: as above; only what this task wrote is read.
                let written = unsafe { std::slice::from_raw_parts(weights.get().cast_const(), last * heads) };
                let out = out.get().wrapping_add(lane * nodes * channels);
                let width = channels / heads;
                dispatch(WeightedSum { rows, index: None, weights: written, x, heads, width, range, out });
            });
            let used = rows.offsets[nodes] as usize;
            call.outputs[1].f32()[(lane * edges + used) * heads..(lane + 1) * edges * heads].fill(0.0);
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let at = self.arrays();
        let (of, of_weights) = (&call.outputs[0], &call.outputs[1]);
        let lead = of.shape.leading(2);
        let lanes: usize = lead.iter().product();
        let (nodes, channels) = (last_but_one(of), last(of));
        let (edges, heads) = (last_but_one(of_weights), last(of_weights));
        let others = last_but_one(&call.operands[0]);
        let slope = match self.scores {
            Scores::Nodes { negative_slope } => negative_slope.to_bits() as usize,
            Scores::Edges => 0,
        };
        let flags = usize::from(self.scores == Scores::Edges) + 2 * usize::from(self.mask);
        let last_score = self.scores.operands();
        let mask = if self.mask { at - 1 } else { 1 };
        let mask_tail = if self.mask { 1 } else { 2 };
        let weights = Dispatch {
            entry: "attention_weights",
            floats: &[Binding::Input(1), Binding::Input(last_score), Binding::Input(mask)],
            rows: [at, at + 1],
            extra: None,
            out: Binding::Output(1),
            numbers: &[nodes, heads, lanes, others, edges, flags, slope],
            maps: &[(1, 2), (at, 1), (at + 1, 1), (last_score, 2), (mask, mask_tail)],
            lead,
            items: lanes * nodes * heads,
        };
        let sum = Dispatch {
            entry: "attention_sum",
            floats: &[Binding::Input(0)],
            rows: [at, at + 1],
            extra: Some(Binding::Output(1)),
            out: Binding::Output(0),
            numbers: &[nodes, channels, lanes, others, edges, heads],
            maps: &[(0, 2), (at, 1), (at + 1, 1)],
            lead,
            items: lanes * nodes * channels,
        };
        Ok(GpuPlan { launches: vec![weights.launch(call), sum.launch(call)], scratch: Vec::new() })
    }

    fn operations(&self, _operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        let lanes: usize = outputs[0].shape.leading(2).iter().product();
        let (edges, heads) = (last_but_one(&outputs[1]), last(&outputs[1]));
        (lanes * edges * (2 * last(&outputs[0]) + 16 * heads)) as u64
    }
}

struct Softmax<'a> {
    scores: Scores,
    values: [&'a [f32]; 2],
    mask: Option<&'a [f32]>,
    rows: Rows<'a>,
    heads: usize,
    range: Range<usize>,
    /// Weights of the edges of `range`.
    out: &'a mut [f32],
}

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let heads = self.heads;
        let first = self.rows.offsets[self.range.start] as usize;
        let lowest = s.splat(f32::NEG_INFINITY);
        for node in self.range {
            let edges = self.rows.of(node);
            let out = &mut self.out[(edges.start - first) * heads..(edges.end - first) * heads];
            // The heads of an edge are the lanes of a vector.
            let mut h = 0;
            while h < heads {
                let count = S::LANES.min(heads - h);
                let destination = match self.scores {
                    Scores::Nodes { .. } => s.load_slice(&self.values[1][node * heads + h..][..count]),
                    Scores::Edges => s.zero(),
                };
                let mut highest = lowest;
                let mut at = h;
                for edge in edges.clone() {
                    let masked = matches!(self.mask, Some(mask) if mask[edge] == 0.0);
                    let score = match self.scores {
                        _ if masked => lowest,
                        Scores::Edges => s.load_slice(&self.values[0][edge * heads + h..][..count]),
                        Scores::Nodes { negative_slope } => {
                            let source = self.rows.ends[edge] as usize * heads + h;
                            let z = s.add(s.load_slice(&self.values[0][source..][..count]), destination);
                            s.select(s.gt(z, s.zero()), z, s.mul(z, s.splat(negative_slope)))
                        }
                    };
                    highest = s.max(highest, score);
                    s.store_slice(&mut out[at..][..count], score);
                    at += heads;
                }
                // All masked: every exponent is minus infinity, and every weight 0.
                let highest = s.select(s.eq(highest, lowest), s.zero(), highest);
                at = h;
                while at < out.len() {
                    let score = s.load_slice(&out[at..][..count]);
                    s.store_slice(&mut out[at..][..count], s.sub(score, highest));
                    at += heads;
                }
                h += S::LANES;
            }
            let exponents = out.as_mut_ptr();
            // SAFETY: the slice's own elements, in place.
            unsafe { vm::exp_over(s, exponents, exponents, out.len()) };
            h = 0;
            while h < heads {
                let count = S::LANES.min(heads - h);
                let mut sum = s.zero();
                let mut at = h;
                while at < out.len() {
                    sum = s.add(sum, s.load_slice(&out[at..][..count]));
                    at += heads;
                }
                let scale = s.select(s.eq(sum, s.zero()), s.zero(), s.div(s.splat(1.0), sum));
                at = h;
                while at < out.len() {
                    let weight = s.mul(s.load_slice(&out[at..][..count]), scale);
                    s.store_slice(&mut out[at..][..count], weight);
                    at += heads;
                }
                h += S::LANES;
            }
        }
    }
}

impl<'g> Tensor<'g> {
    /// Attention over in-edges with scores of nodes, as in GAT (Velickovic et al. 2018): `self` is `[.., m, heads * d]`,
    /// `source_scores` `[.., m, heads]`, `destination_scores` `[.., n, heads]`, `mask` `[.., e]` in the order of
    /// `edges.sources` (0: the edge does not count). Gives `[.., n, heads * d]` and the weights `[.., e, heads]`; see
    /// [`MessageAttention`].
    pub fn message_attention(
        self,
        source_scores: Tensor<'g>,
        destination_scores: Tensor<'g>,
        edges: Edges<'g>,
        negative_slope: f32,
        mask: Option<Tensor<'g>>,
    ) -> (Tensor<'g>, Tensor<'g>) {
        attend(self, &[source_scores, destination_scores], Scores::Nodes { negative_slope }, edges, mask)
    }

    /// [`Tensor::message_attention`] with scores `[.., e, heads]` for every edge, in the order of `edges.sources`, as
    /// GATv2 (Brody et al. 2022) needs them.
    pub fn message_attention_scored(
        self,
        edge_scores: Tensor<'g>,
        edges: Edges<'g>,
        mask: Option<Tensor<'g>>,
    ) -> (Tensor<'g>, Tensor<'g>) {
        attend(self, &[edge_scores], Scores::Edges, edges, mask)
    }
}

fn attend<'g>(
    x: Tensor<'g>,
    scores: &[Tensor<'g>],
    of: Scores,
    edges: Edges<'g>,
    mask: Option<Tensor<'g>>,
) -> (Tensor<'g>, Tensor<'g>) {
    let op = MessageAttention { scores: of, mask: mask.is_some() };
    let mut operands = vec![x];
    operands.extend(scores);
    operands.extend(mask);
    operands.extend(edges.arrays());
    stretch(&mut operands, &op.tails());
    let out = x.graph().apply(op, &operands);
    (out[0], out[1])
}
