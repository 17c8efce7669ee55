//! Maxima of messages. Equal maxima share the gradient evenly, as those of `max` do.
//!
//! Limit: memory, as for sums: 4 bytes an edge and channel. The gradient reads two rows an edge.

use std::ops::Range;

use super::super::lanes::{common_lead, stretch, with_lead};
use super::{Dispatch, Edges, POOL_WORK, Rows, Side, TASK, check_types, last, last_but_one, part};
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Op, Tensor, VjpCall};
use crate::shape::TensorType;

/// `out_i = max of x_j` over the edges `j -> i`, channel by channel. Nodes without edges get 0.
///
/// Operands: `x` `[.., m, d]`, then the five arrays of [`Edges`]. Outputs: the maxima `[.., n, d]` and how many edges
/// have them `[.., n, d]` (floats, through which no gradient passes).
#[derive(Debug, Clone)]
pub struct MessageMax;

/// The derivative of [`MessageMax`] along a direction, and its transpose, both of which are linear in `v`.
///
/// `out_i = sum of v_j` over those edges `j -> i` whose `x_j` is the maximum `y_i`, divided by their number; transposed
/// `out_j = sum of v_i / number_i` over the same edges. Operands: `v`, `x` `[.., m, d]`, `y` and the numbers
/// `[.., n, d]`, the five arrays.
#[derive(Debug, Clone)]
pub struct MessageSelect {
    /// Whether values go from destinations to sources.
    pub transposed: bool,
}

const TAILS: [usize; 5] = [1; 5];

impl Op for MessageMax {
    fn name(&self) -> &'static str {
        "message_max"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, offsets, ends, other_offsets, other_ends, edges] = operands else {
            return Err("takes x and the five arrays of edges".into());
        };
        check_types(operands, 5)?;
        let lead = common_lead(operands.iter().zip([2].into_iter().chain(TAILS)))?;
        if last(other_offsets) != last_but_one(x) + 1
            || [other_ends, edges].iter().any(|a| last(a) != last(ends))
            || last(offsets) < 2
        {
            return Err("x must have a row for every node of the edges' arrays".into());
        }
        Ok(vec![TensorType::f32(with_lead(&lead, &[last(offsets) - 1, last(x)])); 2])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let mut gradients = vec![None; 6];
        if let Some(c) = call.cotangents[0] {
            let x = call.operands[0];
            let operands = [&[c, x, call.outputs[0], call.outputs[1]], &call.operands[1..]].concat();
            let dx = x.graph().apply_one(MessageSelect { transposed: true }, &operands);
            gradients[0] = Some(dx.sum_to(x.shape()));
        }
        Ok(gradients)
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let [x, offsets, ends] = [0, 1, 2].map(|i| call.inputs[i]);
        let of = call.outputs[0].of;
        let lead = of.shape.leading(2);
        let (nodes, channels) = (last_but_one(of), last(of));
        let side = Side::checked("message_max", offsets, ends, last_but_one(x.of), lead)?;
        let [out, number] = [0, 1].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        for lane in 0..lead.iter().product() {
            let (rows, x) = (side.rows(lane), part(&x, 2, lead, lane));
            let parallel = call.parallel.above(rows.ends.len() * channels, POOL_WORK);
            for_each_chunk(parallel, nodes, TASK, |range| {
                let [out, number] = [out, number].map(|p| p.get().wrapping_add(lane * nodes * channels));
                dispatch(Maximum { rows, x, channels, range, out, number });
            });
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let of = &call.outputs[0];
        let lead = of.shape.leading(2);
        let others = last_but_one(&call.operands[0]);
        let numbers = [last_but_one(of), last(of), lead.iter().product(), others, last(&call.operands[2])];
        Ok(Dispatch {
            entry: "message_max",
            floats: &[Binding::Input(0)],
            rows: [1, 2],
            extra: Some(Binding::Output(1)),
            out: Binding::Output(0),
            numbers: &numbers,
            maps: &[(0, 2), (1, 1), (2, 1)],
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

struct Maximum<'a> {
    rows: Rows<'a>,
    x: &'a [f32],
    channels: usize,
    range: Range<usize>,
    out: *mut f32,
    number: *mut f32,
}

impl Kernel for Maximum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let channels = self.channels;
        let one = s.splat(1.0);
        for node in self.range {
            let ends = &self.rows.ends[self.rows.of(node)];
            let mut column = 0;
            while column < channels {
                let count = S::LANES.min(channels - column);
                let row = |end: u32| end as usize * channels + column;
                let (mut best, mut number) = (s.zero(), s.zero());
                if let Some((&first, rest)) = ends.split_first() {
                    best = s.load_slice(&self.x[row(first)..][..count]);
                    number = one;
                    for &end in rest {
                        let value = s.load_slice(&self.x[row(end)..][..count]);
                        number = s.select(s.eq(value, best), s.add(number, one), number);
                        let higher = s.lt(best, value);
                        number = s.select(higher, one, number);
                        best = s.select(higher, value, best);
                        // The NaN of a diverged computation must stay visible.
                        best = s.select(s.eq(value, value), best, value);
                    }
                }
                // SAFETY: this task alone writes the rows of its nodes; `count` columns are left.
                unsafe {
                    s.store_partial(self.out.add(node * channels + column), best, count);
                    s.store_partial(self.number.add(node * channels + column), number, count);
                }
                column += count;
            }
        }
    }
}

impl MessageSelect {
    /// Rows of the result, given those of `x` and `y`.
    fn nodes(&self, operands: &[TensorType]) -> usize {
        last_but_one(&operands[if self.transposed { 1 } else { 2 }])
    }

    /// Operands that hold the offsets and ends of the result's nodes.
    fn side(&self) -> [usize; 2] {
        if self.transposed { [6, 7] } else { [4, 5] }
    }
}

impl Op for MessageSelect {
    fn name(&self) -> &'static str {
        "message_select"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != 9 {
            return Err("takes v, x, y, numbers and the five arrays of edges".into());
        }
        check_types(operands, 5)?;
        let lead = common_lead(operands.iter().zip([2; 4].into_iter().chain(TAILS)))?;
        let forward = MessageMax.infer(&[&operands[1..2], &operands[4..]].concat())?;
        let like = if self.transposed { &forward[0].shape } else { &operands[1].shape };
        let tail = |t: &TensorType| (last_but_one(t), last(t));
        let same = |t: &TensorType| tail(t) == tail(&forward[0]);
        if !same(&operands[2]) || !same(&operands[3]) || tail(&operands[0]) != tail(&TensorType::f32(like)) {
            return Err("y and the numbers must be what message_max gave, and v like x or y".into());
        }
        Ok(vec![TensorType::f32(with_lead(&lead, &[self.nodes(operands), last(&operands[1])]))])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let v = call.operands[0];
        let op = MessageSelect { transposed: !self.transposed };
        let operands = [&[call.cotangent(0)], &call.operands[1..]].concat();
        let dv = v.graph().apply_one(op, &operands);
        // Which edges are chosen does not change under a small change of x.
        let mut gradients = vec![None; 9];
        gradients[0] = Some(dv.sum_to(v.shape()));
        Ok(gradients)
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let [v, x, y, numbers] = [0, 1, 2, 3].map(|i| call.inputs[i]);
        let of = call.outputs[0].of;
        let lead = of.shape.leading(2);
        let (nodes, channels) = (last_but_one(of), last(of));
        let [offsets, ends] = self.side().map(|i| call.inputs[i]);
        let others = last_but_one(v.of);
        let side = Side::checked("message_select", offsets, ends, others, lead)?;
        let out = SharedPointer(call.outputs[0].f32().as_mut_ptr());
        for lane in 0..lead.iter().product() {
            let rows = side.rows(lane);
            let [v, x, y, numbers] = [v, x, y, numbers].map(|input| part(&input, 2, lead, lane));
            let parallel = call.parallel.above(2 * rows.ends.len() * channels, POOL_WORK);
            let (own, other) = if self.transposed { (x, y) } else { (y, x) };
            for_each_chunk(parallel, nodes, TASK, |range| {
                let out = out.get().wrapping_add(lane * nodes * channels);
                let transposed = self.transposed;
                dispatch(Select { transposed, rows, v, own, other, numbers, channels, range, out });
            });
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let of = &call.outputs[0];
        let lead = of.shape.leading(2);
        let [offsets, ends] = self.side();
        let numbers = [
            last_but_one(of),
            last(of),
            lead.iter().product(),
            last_but_one(&call.operands[0]),
            last(&call.operands[ends]),
            usize::from(self.transposed),
        ];
        Ok(Dispatch {
            entry: "message_select",
            floats: &[0, 1, 2, 3].map(Binding::Input),
            rows: [offsets, ends],
            extra: None,
            out: Binding::Output(0),
            numbers: &numbers,
            maps: &[(0, 2), (offsets, 1), (ends, 1), (1, 2), (2, 2), (3, 2)],
            lead,
            items: of.elements(),
        }
        .launch(call)
        .into())
    }

    fn operations(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        let lanes: usize = outputs[0].shape.leading(2).iter().product();
        2 * (lanes * last(&operands[5]) * last(&outputs[0])) as u64
    }
}

struct Select<'a> {
    transposed: bool,
    rows: Rows<'a>,
    v: &'a [f32],
    own: &'a [f32],
    other: &'a [f32],
    numbers: &'a [f32],
    channels: usize,
    range: Range<usize>,
    out: *mut f32,
}

impl Kernel for Select<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let channels = self.channels;
        let one = s.splat(1.0);
        for node in self.range {
            let ends = &self.rows.ends[self.rows.of(node)];
            let mut column = 0;
            while column < channels {
                let count = S::LANES.min(channels - column);
                let at = node * channels + column;
                let own = s.load_slice(&self.own[at..][..count]);
                let mut sum = s.zero();
                for &end in ends {
                    let from = end as usize * channels + column;
                    let chosen = s.eq(own, s.load_slice(&self.other[from..][..count]));
                    let mut value = s.load_slice(&self.v[from..][..count]);
                    if self.transposed {
                        let number = s.load_slice(&self.numbers[from..][..count]);
                        value = s.div(value, s.max(number, one));
                    }
                    sum = s.add(sum, s.select(chosen, value, s.zero()));
                }
                if !self.transposed {
                    sum = s.div(sum, s.max(s.load_slice(&self.numbers[at..][..count]), one));
                }
                // SAFETY: this task alone writes the rows of its nodes; `count` columns are left.
                unsafe { s.store_partial(self.out.add(at), sum, count) };
                column += count;
            }
        }
    }
}

impl<'g> Tensor<'g> {
    /// `out_i = max of self_j` over the edges `j -> i`: `[.., m, d]` to `[.., n, d]`. Nodes without in-edges get 0;
    /// equal maxima share the gradient.
    pub fn message_max(self, edges: Edges<'g>) -> Tensor<'g> {
        let mut operands = vec![self];
        operands.extend(edges.arrays());
        stretch(&mut operands, &[2, 1, 1, 1, 1, 1]);
        self.graph().apply(MessageMax, &operands)[0]
    }
}
