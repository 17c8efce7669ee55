//! The gradient of attention over in-edges.
//!
//! Limit: memory. Every row of `x` and of the cotangent is read once an edge: by destination for the scores, by source
//! for `x`.

use std::ops::Range;

use super::super::lanes::with_lead;
use super::attention::{MessageAttention, Scores};
use super::weighted::WeightedSum;
use super::{Dispatch, POOL_WORK, Rows, Side, TASK, last, last_but_one, part};
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Op, Tensor, VjpCall, through_decomposition};
use crate::shape::TensorType;

/// The gradient of [`MessageAttention`].
///
/// Operands: the cotangent of the output, the weights, their cotangent where there is one, then the operands of the
/// forward op. Outputs, with all leading dimensions: gradients of `x` and of the scores.
#[derive(Debug, Clone)]
pub struct MessageAttentionGradient {
    pub(super) forward: MessageAttention,
    pub(super) of_weights: bool,
}

impl MessageAttentionGradient {
    /// Where the operands of the forward op start.
    fn start(&self) -> usize {
        2 + usize::from(self.of_weights)
    }

    fn nodes_scores(&self) -> bool {
        matches!(self.forward.scores, Scores::Nodes { .. })
    }
}

impl Op for MessageAttentionGradient {
    fn name(&self) -> &'static str {
        "message_attention_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let start = self.start();
        if operands.len() < start {
            return Err("takes a cotangent, weights and the operands of message_attention".into());
        }
        let forward = self.forward.infer(&operands[start..])?;
        if operands[0] != forward[0] || operands[1..start].iter().any(|t| *t != forward[1]) {
            return Err("the cotangents must be like the outputs of message_attention".into());
        }
        let lead = forward[0].shape.leading(2);
        let full = |t: &TensorType| TensorType::f32(with_lead(lead, &[last_but_one(t), last(t)]));
        Ok(operands[start..][..1 + self.forward.scores.operands()].iter().map(full).collect())
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let start = self.start();
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let outputs = self.infer(&types).ok()?;
        let mut own = operands[start..].to_vec();
        for (operand, of) in own.iter_mut().zip(&outputs) {
            *operand = operand.broadcast_to(&of.shape);
        }
        let plain = self.forward.decompose(&own)?;
        let call = VjpCall {
            operands: &own,
            outputs: &plain,
            cotangents: &[Some(operands[0]), self.of_weights.then(|| operands[2])],
            wanted: &vec![true; own.len()],
        };
        let gradients = through_decomposition(&plain, &call).ok()?;
        let g = operands[0].graph();
        Some(
            gradients
                .iter()
                .zip(&outputs)
                .map(|(d, of)| d.unwrap_or_else(|| g.full(&of.shape, 0.0)))
                .collect(),
        )
    }

    fn cpu_scratch(&self, operands: &[TensorType], _outputs: &[TensorType]) -> usize {
        if self.nodes_scores() { operands[1].elements() } else { 0 }
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let start = self.start();
        let at = start + self.forward.arrays();
        let (c, w, x) = (call.inputs[0], call.inputs[1], call.inputs[start]);
        let lead = c.of.shape.leading(2);
        let (nodes, channels) = (last_but_one(c.of), last(c.of));
        let (edges, heads) = (last_but_one(w.of), last(w.of));
        let others = last_but_one(x.of);
        let name = "message_attention_gradient";
        let side = Side::checked(name, call.inputs[at], call.inputs[at + 1], others, lead)?;
        let transposed = Side::checked(name, call.inputs[at + 2], call.inputs[at + 3], nodes, lead)?;
        let indices = Side::checked(name, call.inputs[at + 2], call.inputs[at + 4], edges, lead)?;
        let pointers = [0, 1, 2].map(|i| match call.outputs.get_mut(i) {
            Some(output) => SharedPointer(output.f32().as_mut_ptr()),
            None => SharedPointer(std::ptr::null_mut()),
        });
        // Gradients of the edges' scores: the last output, or scratch memory.
        let of_edges =
            if self.nodes_scores() { SharedPointer(call.scratch.as_mut_ptr()) } else { pointers[1] };
        for lane in 0..lead.iter().product() {
            let (rows, back, index) = (side.rows(lane), transposed.rows(lane), indices.rows(lane).ends);
            let slices = [c, w, x].map(|input| part(&input, 2, lead, lane));
            let [c, w, x] = slices;
            let cw = self.of_weights.then(|| part(&call.inputs[2], 2, lead, lane));
            let scores = [1, 2]
                .map(|i| part(&call.inputs[start + i.min(self.forward.scores.operands())], 2, lead, lane));
            let parallel = call.parallel.above(rows.ends.len() * (2 * channels + 8 * heads), POOL_WORK);
            let dz = SharedPointer(of_edges.get().wrapping_add(lane * edges * heads));
            for_each_chunk(parallel, nodes, TASK, |range| {
                let (first, last) = (rows.offsets[range.start] as usize, rows.offsets[range.end] as usize);
                // SAFETY: the edges of these nodes are this task's alone, and lie below `edges` (checked).
                let dz = unsafe {
                    std::slice::from_raw_parts_mut(dz.get().add(first * heads), (last - first) * heads)
                };
                let at_destinations = pointers[2].get().wrapping_add(lane * nodes * heads);
                dispatch(ScoreGradient {
                    scores: self.forward.scores,
                    values: scores,
                    rows,
                    heads,
                    range,
                    channels,
                    c,
                    w,
                    x,
                    cw,
                    dz,
                    at_destinations,
                });
            });
            let used = rows.offsets[nodes] as usize;
            // SAFETY: nothing else is at work on this lane's part of the buffer.
            let dz = unsafe { std::slice::from_raw_parts_mut(dz.get(), edges * heads) };
            dz[used * heads..].fill(0.0);
            let dz = &*dz;
            for_each_chunk(parallel, others, TASK, |range| {
                let dx = pointers[0].get().wrapping_add(lane * others * channels);
                let width = channels / heads;
                let nodes = range.clone();
                dispatch(WeightedSum {
                    rows: back,
                    index: Some(index),
                    weights: w,
                    x: c,
                    heads,
                    width,
                    range,
                    out: dx,
                });
                if self.nodes_scores() {
                    for node in nodes {
                        let start = (lane * others + node) * heads;
                        // SAFETY: this task alone writes the rows of its nodes.
                        let row =
                            unsafe { std::slice::from_raw_parts_mut(pointers[1].get().add(start), heads) };
                        row.fill(0.0);
                        for k in back.of(node) {
                            let from = &dz[index[k] as usize * heads..][..heads];
                            row.iter_mut().zip(from).for_each(|(sum, d)| *sum += d);
                        }
                    }
                }
            });
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let start = self.start();
        let at = start + self.forward.arrays();
        let (c, w, x) = (&call.operands[0], &call.operands[1], &call.operands[start]);
        let lead = c.shape.leading(2);
        let lanes: usize = lead.iter().product();
        let (nodes, channels) = (last_but_one(c), last(c));
        let (edges, heads) = (last_but_one(w), last(w));
        let others = last_but_one(x);
        let nodes_scores = self.nodes_scores();
        let dz = if nodes_scores { Binding::Scratch(0) } else { Binding::Output(1) };
        let of_weights = if self.of_weights { 2 } else { 1 };
        let softmax = Dispatch {
            entry: "attention_scores_gradient",
            floats: &[0, 1, start, of_weights].map(Binding::Input),
            rows: [at, at + 1],
            extra: None,
            out: dz,
            numbers: &[nodes, channels, lanes, others, edges, heads, usize::from(self.of_weights)],
            maps: &[(start, 2), (at, 1), (at + 1, 1)],
            lead,
            items: lanes * nodes * heads,
        };
        let values = Dispatch {
            entry: "attention_sum_indexed",
            floats: &[Binding::Input(0), Binding::Input(1)],
            rows: [at + 2, at + 3],
            extra: Some(Binding::Input(at + 4)),
            out: Binding::Output(0),
            numbers: &[others, channels, lanes, nodes, edges, heads],
            maps: &[(0, 2), (at + 2, 1), (at + 3, 1), (at + 4, 1)],
            lead,
            items: lanes * others * channels,
        };
        let mut launches = vec![softmax.launch(call), values.launch(call)];
        if let Scores::Nodes { negative_slope } = self.forward.scores {
            let destinations = Dispatch {
                entry: "attention_destinations_gradient",
                floats: &[start + 1, start + 2].map(Binding::Input),
                rows: [at, at + 1],
                extra: Some(dz),
                out: Binding::Output(2),
                numbers: &[nodes, heads, lanes, others, edges, 0, negative_slope.to_bits() as usize],
                maps: &[(start + 1, 2), (at, 1), (at + 1, 1), (start + 2, 2)],
                lead,
                items: lanes * nodes * heads,
            };
            let sources = Dispatch {
                entry: "attention_sources_gradient",
                floats: &[Binding::ScratchRead(0)],
                rows: [at + 2, at + 4],
                extra: None,
                out: Binding::Output(1),
                numbers: &[others, heads, lanes, nodes, edges],
                maps: &[(at, 1), (at + 2, 1), (at + 4, 1)],
                lead,
                items: lanes * others * heads,
            };
            launches.extend([destinations.launch(call), sources.launch(call)]);
        }
        Ok(GpuPlan { launches, scratch: if nodes_scores { vec![w.elements()] } else { Vec::new() } })
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        let lanes: usize = operands[0].shape.leading(2).iter().product();
        let (edges, heads) = (last_but_one(&operands[1]), last(&operands[1]));
        (lanes * edges * (4 * last(&operands[0]) + 8 * heads)) as u64
    }
}

struct ScoreGradient<'a> {
    scores: Scores,
    values: [&'a [f32]; 2],
    rows: Rows<'a>,
    heads: usize,
    range: Range<usize>,
    channels: usize,
    c: &'a [f32],
    w: &'a [f32],
    x: &'a [f32],
    cw: Option<&'a [f32]>,
    /// Gradients of the scores of the edges of `range`.
    dz: &'a mut [f32],
    /// `[nodes, heads]`, for scores of nodes.
    at_destinations: *mut f32,
}

impl Kernel for ScoreGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (heads, channels) = (self.heads, self.channels);
        let width = channels / heads;
        let first = self.rows.offsets[self.range.start] as usize;
        for node in self.range {
            let edges = self.rows.of(node);
            let dz = &mut self.dz[(edges.start - first) * heads..(edges.end - first) * heads];
            for (row, edge) in dz.chunks_exact_mut(heads).zip(edges.clone()) {
                let x = &self.x[self.rows.ends[edge] as usize * channels..][..channels];
                let c = &self.c[node * channels..][..channels];
                let mut h = 0;
                while h < heads {
                    let (c, x) = (&c[h * width..][..width], &x[h * width..][..width]);
                    let mut sum = s.zero();
                    let mut i = 0;
                    while i < width {
                        sum = s.mul_add(s.load_slice(&c[i..]), s.load_slice(&x[i..]), sum);
                        i += S::LANES;
                    }
                    // Along a masked edge, which has no weight, nothing is looked at.
                    row[h] = if self.w[edge * heads + h] == 0.0 { 0.0 } else { s.reduce_add(sum) };
                    h += 1;
                }
            }
            // From here on the heads of an edge are the lanes of a vector.
            let mut h = 0;
            while h < heads {
                let count = S::LANES.min(heads - h);
                let mut total = s.zero();
                let mut at = h;
                for edge in edges.clone() {
                    let mut dw = s.load_slice(&dz[at..][..count]);
                    if let Some(cw) = self.cw {
                        dw = s.add(dw, s.load_slice(&cw[edge * heads + h..][..count]));
                        s.store_slice(&mut dz[at..][..count], dw);
                    }
                    total = s.mul_add(s.load_slice(&self.w[edge * heads + h..][..count]), dw, total);
                    at += heads;
                }
                let destination = match self.scores {
                    Scores::Nodes { .. } => s.load_slice(&self.values[1][node * heads + h..][..count]),
                    Scores::Edges => s.zero(),
                };
                let mut at_destination = s.zero();
                at = h;
                for edge in edges.clone() {
                    let w = s.load_slice(&self.w[edge * heads + h..][..count]);
                    let mut d = s.mul(w, s.sub(s.load_slice(&dz[at..][..count]), total));
                    if let Scores::Nodes { negative_slope } = self.scores {
                        let source = self.rows.ends[edge] as usize * heads + h;
                        let z = s.add(s.load_slice(&self.values[0][source..][..count]), destination);
                        d = s.select(s.gt(z, s.zero()), d, s.mul(d, s.splat(negative_slope)));
                        at_destination = s.add(at_destination, d);
                    }
                    s.store_slice(&mut dz[at..][..count], d);
                    at += heads;
                }
                if matches!(self.scores, Scores::Nodes { .. }) {
                    // SAFETY: this task alone writes the rows of its nodes; `count` heads are left.
                    unsafe {
                        s.store_partial(self.at_destinations.add(node * heads + h), at_destination, count)
                    };
                }
                h += S::LANES;
            }
        }
    }
}
