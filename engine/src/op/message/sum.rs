//! Sums and means of messages.
//!
//! Limit: memory. An edge reads a row of `d` floats for `d` additions: 4 bytes an operation, from whatever cache the
//! rows of `x` fit into; each row of the result is written once.

use std::ops::Range;

use super::super::lanes::{common_lead, stretch, with_lead};
use super::{Dispatch, Edges, POOL_WORK, Rows, Side, TASK, check_types, last, last_but_one, part};
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Op, Tensor, VjpCall};
use crate::shape::TensorType;

/// What a message is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Nothing: a sum.
    One,
    /// The number of edges of the node that it arrives at: a mean.
    Own,
    /// The number of edges of the node that it comes from: the gradient of a mean.
    Other,
}

/// `out_i = sum of x_j` over the edges `j -> i`. Nodes without edges get 0.
///
/// Operands: `x` `[.., m, d]`, then offsets `[.., n + 1]` and ends `[.., e]` of the nodes' edges, then the same of the
/// transposed graph, `[.., m + 1]` and `[.., e]`. Output `[.., n, d]`. Its gradient is the same op on the transposed
/// graph.
#[derive(Debug, Clone)]
pub struct MessageSum {
    /// What a message is divided by.
    pub scale: Scale,
}

impl Op for MessageSum {
    fn name(&self) -> &'static str {
        "message_sum"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, offsets, ends, other_offsets, other_ends] = operands else {
            return Err("takes x, and offsets and ends of both orders".into());
        };
        check_types(operands, 4)?;
        let lead = common_lead(operands.iter().zip([2, 1, 1, 1, 1]))?;
        if last(other_offsets) != last_but_one(x) + 1 || last(ends) != last(other_ends) {
            return Err("x must have a row for every node of the edges' arrays".into());
        }
        if last(offsets) < 2 {
            return Err("there are no nodes".into());
        }
        Ok(vec![TensorType::f32(with_lead(&lead, &[last(offsets) - 1, last(x)]))])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let [x, offsets, ends, other_offsets, other_ends] = [0, 1, 2, 3, 4].map(|i| call.operands[i]);
        let scale = match self.scale {
            Scale::One => Scale::One,
            Scale::Own => Scale::Other,
            Scale::Other => Scale::Own,
        };
        let operands = [call.cotangent(0), other_offsets, other_ends, offsets, ends];
        let dx = x.graph().apply_one(MessageSum { scale }, &operands);
        Ok(vec![Some(dx.sum_to(x.shape())), None, None, None, None])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let [x, offsets, ends, other_offsets, other_ends] = [0, 1, 2, 3, 4].map(|i| call.inputs[i]);
        let of = call.outputs[0].of;
        let lead = of.shape.leading(2);
        let (nodes, channels) = (last_but_one(of), last(of));
        let side = Side::checked("message_sum", offsets, ends, last_but_one(x.of), lead)?;
        let other = match self.scale {
            Scale::Other => Some(Side::checked("message_sum", other_offsets, other_ends, nodes, lead)?),
            _ => None,
        };
        let out = SharedPointer(call.outputs[0].f32().as_mut_ptr());
        for lane in 0..lead.iter().product() {
            let (rows, x) = (side.rows(lane), part(&x, 2, lead, lane));
            let others = other.map(|o| o.rows(lane).offsets);
            let parallel = call.parallel.above(rows.ends.len() * channels, POOL_WORK);
            for_each_chunk(parallel, nodes, TASK, |range| {
                let out = out.get().wrapping_add(lane * nodes * channels);
                dispatch(Gather { rows, x, channels, scale: self.scale, others, range, out });
            });
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let of = &call.outputs[0];
        let lead = of.shape.leading(2);
        let numbers = [
            last_but_one(of),
            last(of),
            lead.iter().product(),
            last_but_one(&call.operands[0]),
            last(&call.operands[2]),
            self.scale as usize,
        ];
        Ok(Dispatch {
            entry: "message_sum",
            floats: &[Binding::Input(0)],
            rows: [1, 2],
            extra: Some(Binding::Input(3)),
            out: Binding::Output(0),
            numbers: &numbers,
            maps: &[(0, 2), (1, 1), (2, 1), (3, 1)],
            lead,
            items: of.elements(),
        }
        .launch(call)
        .into())
    }

    fn operations(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        let lanes: usize = outputs[0].shape.leading(2).iter().product();
        (lanes * last(&operands[2]) * last(&outputs[0])) as u64
    }
}

struct Gather<'a> {
    rows: Rows<'a>,
    x: &'a [f32],
    channels: usize,
    scale: Scale,
    others: Option<&'a [u32]>,
    range: Range<usize>,
    out: *mut f32,
}

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let channels = self.channels;
        let mut node = self.range.start;
        while node < self.range.end {
            let edges = self.rows.of(node);
            let own = match self.scale {
                Scale::Own => 1.0 / edges.len().max(1) as f32,
                _ => 1.0,
            };
            let ends = &self.rows.ends[edges];
            let mut column = 0;
            while column < channels {
                // Four vectors at a time hide the latency of the additions.
                let width = (channels - column).min(4 * S::LANES);
                let mut sums = [s.zero(); 4];
                for &end in ends {
                    let row = &self.x[end as usize * channels + column..][..width];
                    let weight = match self.others {
                        Some(o) => 1.0 / (o[end as usize + 1] - o[end as usize]).max(1) as f32,
                        None => 1.0,
                    };
                    let weight = s.splat(weight);
                    if width == 4 * S::LANES {
                        let mut v = 0;
                        while v < 4 {
                            // SAFETY: the row has four vectors.
                            let value = unsafe { s.load(row.as_ptr().add(v * S::LANES)) };
                            sums[v] = s.mul_add(value, weight, sums[v]);
                            v += 1;
                        }
                    } else {
                        let mut v = 0;
                        while v * S::LANES < width {
                            sums[v] = s.mul_add(s.load_slice(&row[v * S::LANES..]), weight, sums[v]);
                            v += 1;
                        }
                    }
                }
                let own = s.splat(own);
                let mut v = 0;
                while v * S::LANES < width {
                    let count = S::LANES.min(width - v * S::LANES);
                    // SAFETY: this task alone writes the rows of its nodes; `count` columns are left.
                    unsafe {
                        let out = self.out.add(node * channels + column + v * S::LANES);
                        s.store_partial(out, s.mul(sums[v], own), count);
                    }
                    v += 1;
                }
                column += width;
            }
            node += 1;
        }
    }
}

impl<'g> Tensor<'g> {
    /// `out_i = sum of self_j` over the edges `j -> i`: `[.., m, d]` to `[.., n, d]`. Nodes without in-edges get 0.
    pub fn message_sum(self, edges: Edges<'g>) -> Tensor<'g> {
        message_sum(self, edges, Scale::One)
    }

    /// The mean in place of the sum of [`Tensor::message_sum`].
    pub fn message_mean(self, edges: Edges<'g>) -> Tensor<'g> {
        message_sum(self, edges, Scale::Own)
    }
}

fn message_sum<'g>(x: Tensor<'g>, edges: Edges<'g>, scale: Scale) -> Tensor<'g> {
    let mut operands = [x, edges.offsets, edges.sources, edges.transposed_offsets, edges.destinations];
    stretch(&mut operands, &[2, 1, 1, 1, 1]);
    x.graph().apply_one(MessageSum { scale }, &operands)
}
