//! Attention on processors. Three kernels, chosen by the sizes alone: `blocks` for heads of four features (teams of small
//! agents), `wide` on products of matrices for long lanes, `rows` for the rest.
//!
//! Lanes are independent. In the gradient, lanes that share an operand add to one gradient: they stay in one task, in
//! order, so that the sum does not depend on the number of threads.

mod blocks;
mod rows;
mod wide;

use super::Plan;
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::{Parallel, for_each_chunk};

/// Multiply-adds of a task of the pool, 20 to 100 us.
const TASK: usize = 1 << 18;
/// Multiply-adds from which the pool is used.
const POOL_WORK: usize = 1 << 20;
/// Queries that a task of long lanes takes at a time.
const QUERIES: usize = 64;

/// What the gradient is computed from.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub mask: Option<&'a [f32]>,
    pub out: &'a [f32],
    pub rows: &'a [f32],
    pub d_out: &'a [f32],
}

/// Some queries of one lane and all it attends to. Slices start at the lane (keys) or at the first query (the rest).
#[derive(Clone, Copy)]
struct Part<'a> {
    plan: &'a Plan,
    /// Number of the first query, and how many there are.
    first: usize,
    count: usize,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    mask: Option<&'a [f32]>,
}

/// The outputs of a part, with the gradient's other operands.
#[derive(Clone, Copy)]
struct Backward<'a> {
    part: Part<'a>,
    out: &'a [f32],
    rows: &'a [f32],
    d_out: &'a [f32],
}

/// The gradients of a part's queries, and of its lane's keys and values, which are added to.
struct Gradients<'a> {
    dq: &'a mut [f32],
    dk: &'a mut [f32],
    dv: &'a mut [f32],
}

impl Plan {
    fn features(&self) -> usize {
        self.heads * self.dim
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    fn count(&self) -> usize {
        self.lanes.iter().map(|d| d[0]).product()
    }

    /// Where lane `index` starts in q, k, v and the mask.
    fn offsets(&self, index: usize) -> [usize; 4] {
        let mut rest = index;
        let mut at = [0; 4];
        for dimension in self.lanes.iter().rev() {
            let i = rest % dimension[0];
            rest /= dimension[0];
            for (at, stride) in at.iter_mut().zip(&dimension[1..]) {
                *at += i * stride;
            }
        }
        at
    }

    /// How many keys query `i` may see.
    #[inline(always)]
    fn visible(&self, i: usize) -> usize {
        if self.causal { (i + 1 + self.tk).saturating_sub(self.tq).min(self.tk) } else { self.tk }
    }

    /// Multiply-adds of the scores of a lane.
    fn work(&self) -> usize {
        self.tq * self.tk * self.features()
    }

    fn kernel(&self) -> Which {
        if self.dim == 4 && self.tk <= blocks::MOST_KEYS {
            Which::Blocks
        } else if self.tq >= 16 && self.tk >= 16 && self.dim >= 8 && self.tq * self.tk * self.dim >= 16 * 1024
        {
            Which::Wide
        } else {
            Which::Rows
        }
    }

    /// Queries `first..first + count` of lane `lane`.
    fn part<'a>(
        &'a self,
        [q, k, v]: [&'a [f32]; 3],
        mask: Option<&'a [f32]>,
        lane: usize,
        first: usize,
        count: usize,
    ) -> Part<'a> {
        let at = self.offsets(lane);
        let features = self.features();
        Part {
            plan: self,
            first,
            count,
            q: &q[at[0] + first * features..][..count * features],
            k: &k[at[1]..][..self.tk * features],
            v: &v[at[2]..][..self.tk * features],
            mask: mask.map(|m| &m[at[3] + first * self.mask[0]..]),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Which {
    Blocks,
    Wide,
    Rows,
}

impl Part<'_> {
    /// Whether query `i` of the part may attend to key `j`, as far as the mask says.
    #[inline(always)]
    fn open(&self, i: usize, j: usize) -> bool {
        match self.mask {
            Some(mask) => mask[i * self.plan.mask[0] + j * self.plan.mask[1]] != 0.0,
            None => true,
        }
    }

    /// How many keys query `i` of the part may see.
    #[inline(always)]
    fn visible(&self, i: usize) -> usize {
        self.plan.visible(self.first + i)
    }
}

#[allow(clippy::too_many_arguments)] // operands and outputs of the op
pub(super) fn forward(
    plan: &Plan,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    mask: Option<&[f32]>,
    out: &mut [f32],
    rows: &mut [f32],
    parallel: Parallel,
) {
    let features = plan.features();
    let which = plan.kernel();
    // Long lanes are cut into blocks of queries as well.
    let block = if 2 * plan.work() > TASK { QUERIES } else { plan.tq };
    let blocks = plan.tq.div_ceil(block);
    let items = plan.count() * blocks;
    let chunk = TASK.div_ceil(2 * plan.work().div_ceil(blocks).max(1));
    let parallel = parallel.above(2 * plan.work() * plan.count(), POOL_WORK);
    let (out, rows) = (SharedPointer(out.as_mut_ptr()), SharedPointer(rows.as_mut_ptr()));
    let part_of = |item: usize| {
        let (lane, first) = (item / blocks, item % blocks * block);
        let count = block.min(plan.tq - first);
        let part = plan.part([q, k, v], mask, lane, first, count);
        let row = lane * plan.tq + first;
        // SAFETY: every item has its own rows of the outputs.
        unsafe {
            let out = std::slice::from_raw_parts_mut(out.get().add(row * features), count * features);
            let rows = std::slice::from_raw_parts_mut(rows.get().add(row * plan.heads), count * plan.heads);
            (part, out, rows)
        }
    };
    for_each_chunk(parallel, items, chunk, |range| {
        let mut scratch = blocks::Scratch::new();
        for item in range {
            let (part, out, rows) = part_of(item);
            match which {
                Which::Blocks => dispatch(blocks::Forward { part, out, rows, scratch: &mut scratch }),
                Which::Rows => dispatch(rows::Forward { part, out, rows }),
                Which::Wide => wide::forward(&part, out, rows),
            }
        }
    });
}

pub(super) fn backward(
    plan: &Plan,
    given: &Given<'_>,
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
    parallel: Parallel,
) {
    let features = plan.features();
    let which = plan.kernel();
    let apart = plan.lanes.iter().take_while(|d| d[1] > 0 && d[2] > 0 && d[3] > 0).count();
    let groups: usize = plan.lanes[..apart].iter().map(|d| d[0]).product();
    let lanes = plan.count() / groups;
    let sizes = [dq.len() / groups, dk.len() / groups, dv.len() / groups];
    let chunk = TASK.div_ceil(5 * plan.work() * lanes);
    let parallel = parallel.above(5 * plan.work() * plan.count(), POOL_WORK);
    let gradients = [dq, dk, dv].map(|d| SharedPointer(d.as_mut_ptr()));
    for_each_chunk(parallel, groups, chunk, |range| {
        let mut scratch = blocks::Scratch::new();
        for group in range {
            // SAFETY: a group owns its part of each gradient.
            let [dq, dk, dv] = [0, 1, 2].map(|i| unsafe {
                std::slice::from_raw_parts_mut(gradients[i].get().add(group * sizes[i]), sizes[i])
            });
            dq.fill(0.0);
            dk.fill(0.0);
            dv.fill(0.0);
            let start = plan.offsets(group * lanes);
            for lane in group * lanes..(group + 1) * lanes {
                let part = plan.part([given.q, given.k, given.v], given.mask, lane, 0, plan.tq);
                let row = lane * plan.tq;
                let call = Backward {
                    part,
                    out: &given.out[row * features..][..plan.tq * features],
                    rows: &given.rows[row * plan.heads..][..plan.tq * plan.heads],
                    d_out: &given.d_out[row * features..][..plan.tq * features],
                };
                let at = plan.offsets(lane);
                let gradients = Gradients {
                    dq: &mut dq[at[0] - start[0]..][..plan.tq * features],
                    dk: &mut dk[at[1] - start[1]..][..plan.tk * features],
                    dv: &mut dv[at[2] - start[2]..][..plan.tk * features],
                };
                match which {
                    Which::Blocks => dispatch(blocks::Step { call, gradients, scratch: &mut scratch }),
                    Which::Rows => dispatch(rows::Step { call, gradients }),
                    Which::Wide => wide::backward(&call, gradients),
                }
            }
        }
    });
}

/// The largest element; minus infinity where there is none.
#[inline(always)]
fn largest<S: Simd>(s: S, x: &[f32]) -> f32 {
    let (mut most, mut j) = (s.splat(f32::NEG_INFINITY), 0);
    while j + S::LANES <= x.len() {
        most = s.max(most, s.load_slice(&x[j..]));
        j += S::LANES;
    }
    let mut highest = s.reduce_max(most);
    while j < x.len() {
        highest = if x[j] > highest { x[j] } else { highest };
        j += 1;
    }
    highest
}

/// `x <- exp(x - shift)`; gives the sum.
struct Raise<'a> {
    x: &'a mut [f32],
    shift: f32,
}

impl Kernel for Raise<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let (shift, mut total, mut j) = (s.splat(self.shift), s.zero(), 0);
        let n = self.x.len();
        while j + S::LANES <= n {
            let p = crate::cpu::vector_math::exp(s, s.sub(s.load_slice(&self.x[j..]), shift));
            s.store_slice(&mut self.x[j..], p);
            total = s.add(total, p);
            j += S::LANES;
        }
        if j < n {
            let rest = &mut self.x[j..];
            let p = crate::cpu::vector_math::exp(s, s.sub(s.load_slice(rest), shift));
            s.store_slice(rest, p);
            total = s.add(total, s.load_slice(rest));
        }
        s.reduce_add(total)
    }
}
