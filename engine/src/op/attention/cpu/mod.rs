//! Attention on processors. Three kernels, chosen by the sizes alone: `blocks` for heads of four features (teams of small
//! agents), `wide` on products of matrices for long lanes, `rows` for the rest. `careful` does again what a hidden key that is
//! not finite has spoilt.
//!
//! Lanes are independent. In the gradient, lanes that share an operand add to one gradient: they stay in one task, in
//! order, so that the sum does not depend on the number of threads.

mod blocks;
mod careful;
mod rows;
mod wide;

use super::Plan;
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Arithmetic, Interleaved, Kernel, Simd, dispatch};
use crate::cpu::{Parallel, for_each_chunk, vector_math};

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

    /// Whether a query may not see some keys.
    fn hides(&self, mask: Option<&[f32]>) -> bool {
        self.causal || mask.is_some()
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

    /// What a query gets whose weights are all 0: nothing where it sees no key, else NaN, since every score it has is minus
    /// infinity.
    fn without_weights(&self, i: usize) -> f32 {
        if (0..self.visible(i)).any(|j| self.open(i, j)) { f32::NAN } else { 0.0 }
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
    let wide = which == Which::Wide;
    // Long lanes are cut into blocks of queries as well, and into heads where each is worth a task.
    let block = match which {
        Which::Wide if !plan.causal => wide::SPAN,
        Which::Blocks | Which::Rows if 2 * plan.work() <= TASK => plan.tq,
        _ => QUERIES,
    };
    let blocks = plan.tq.div_ceil(block);
    let heads = if wide { plan.heads } else { 1 };
    let items = plan.count() * blocks * heads;
    let chunk = TASK.div_ceil(2 * plan.work().div_ceil(blocks * heads).max(1));
    let parallel = parallel.above(2 * plan.work() * plan.count(), POOL_WORK);
    let hides = plan.hides(mask);
    let (out, rows) = (SharedPointer(out.as_mut_ptr()), SharedPointer(rows.as_mut_ptr()));
    let part_of = |item: usize| {
        let (lane, first) = (item / blocks, item % blocks * block);
        let count = block.min(plan.tq - first);
        (plan.part([q, k, v], mask, lane, first, count), lane * plan.tq + first)
    };
    if wide {
        for_each_chunk(parallel, items, chunk, |range| {
            for item in range {
                // The blocks of one head follow each other: its keys and values stay in the cache.
                let (lane, h, first) = (item / (heads * blocks), item / blocks % heads, item % blocks);
                let (part, row) = part_of(lane * blocks + first);
                let dim = plan.dim;
                wide::Scratch::with(dim, |scratch| {
                    wide::forward(&part, h, scratch);
                    for i in 0..part.count {
                        let own = &mut scratch.block[i * dim..][..dim];
                        if hides && careful::holds_nan(own) {
                            scratch.logarithms[i] = careful::forward(&part, i, h, own);
                        }
                        // SAFETY: every item has its own head of its own rows of the outputs.
                        unsafe {
                            let to = out.get().add((row + i) * features + h * dim);
                            to.copy_from_nonoverlapping(scratch.block[i * dim..][..dim].as_ptr(), dim);
                            *rows.get().add((row + i) * heads + h) = scratch.logarithms[i];
                        }
                    }
                });
            }
        });
        return;
    }
    for_each_chunk(parallel, items, chunk, |range| {
        let mut scratch = blocks::Scratch::new();
        for item in range {
            let (part, row) = part_of(item);
            let count = part.count;
            // SAFETY: every item has its own rows of the outputs.
            let (out, rows) = unsafe {
                let out = std::slice::from_raw_parts_mut(out.get().add(row * features), count * features);
                let rows = rows.get().add(row * plan.heads);
                (out, std::slice::from_raw_parts_mut(rows, count * plan.heads))
            };
            match which {
                Which::Blocks => dispatch(blocks::Forward {
                    part,
                    out: &mut *out,
                    rows: &mut *rows,
                    scratch: &mut scratch,
                }),
                Which::Rows | Which::Wide => {
                    dispatch(rows::Forward { part, out: &mut *out, rows: &mut *rows })
                }
            }
            if hides && careful::holds_nan(out) {
                for (head, (out, row)) in out.chunks_exact_mut(plan.dim).zip(rows).enumerate() {
                    *row = careful::forward(&part, head / plan.heads, head % plan.heads, out);
                }
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
    let heads = if which == Which::Wide { plan.heads } else { 1 };
    let chunk = TASK.div_ceil(5 * plan.work() * lanes / heads);
    let parallel = parallel.above(5 * plan.work() * plan.count(), POOL_WORK);
    let hides = plan.hides(given.mask);
    let gradients = [dq, dk, dv].map(|d| SharedPointer(d.as_mut_ptr()));
    let head_of = |group: usize, h: usize| {
        [0, 1, 2].map(|i| OneHead {
            first: gradients[i].get().wrapping_add(group * sizes[i] + h * plan.dim),
            dim: plan.dim,
            stride: features,
            count: sizes[i] / features,
        })
    };
    let call_of = |lane: usize| {
        let row = lane * plan.tq;
        Backward {
            part: plan.part([given.q, given.k, given.v], given.mask, lane, 0, plan.tq),
            out: &given.out[row * features..][..plan.tq * features],
            rows: &given.rows[row * plan.heads..][..plan.tq * plan.heads],
            d_out: &given.d_out[row * features..][..plan.tq * features],
        }
    };
    if which == Which::Wide {
        for_each_chunk(parallel, groups * heads, chunk, |range| {
            for item in range {
                let (group, h) = (item / heads, item % heads);
                let gradients = head_of(group, h);
                let own = group * lanes..(group + 1) * lanes;
                one_head(plan, own.clone(), h, call_of, gradients);
                if hides && gradients[0].holds_nan() {
                    one_head_carefully(plan, own, h, call_of, gradients);
                }
            }
        });
        return;
    }
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
                let call = call_of(lane);
                let at = plan.offsets(lane);
                let gradients = Gradients {
                    dq: &mut dq[at[0] - start[0]..][..plan.tq * features],
                    dk: &mut dk[at[1] - start[1]..][..plan.tk * features],
                    dv: &mut dv[at[2] - start[2]..][..plan.tk * features],
                };
                match which {
                    Which::Blocks => dispatch(blocks::Step { call, gradients, scratch: &mut scratch }),
                    Which::Rows | Which::Wide => dispatch(rows::Step { call, gradients }),
                }
            }
            // Whatever a hidden key has spoilt, it has spoilt the gradient of the queries too.
            if hides && careful::holds_nan(dq) {
                for h in 0..plan.heads {
                    let own = group * lanes..(group + 1) * lanes;
                    one_head_carefully(plan, own, h, call_of, head_of(group, h));
                }
            }
        }
    });
}

/// One head of all rows of a group's gradient. Other heads of the same rows belong to other tasks.
#[derive(Clone, Copy)]
struct OneHead {
    first: *mut f32,
    dim: usize,
    stride: usize,
    count: usize,
}

impl OneHead {
    /// Calls `change` on the head of `count` rows from `row` on.
    fn rows(self, row: usize, count: usize, mut change: impl FnMut(usize, &mut [f32])) {
        assert!(row + count <= self.count);
        for i in 0..count {
            // SAFETY: within the group's rows, see above; the head belongs to the one task that made this value.
            let head =
                unsafe { std::slice::from_raw_parts_mut(self.first.add((row + i) * self.stride), self.dim) };
            change(i, head);
        }
    }

    fn holds_nan(self) -> bool {
        let mut found = false;
        self.rows(0, self.count, |_, x| found |= careful::holds_nan(x));
        found
    }

    /// Adds `[count, dim]` to the rows from `row` on.
    fn add(self, row: usize, count: usize, values: &[f32]) {
        let dim = self.dim;
        self.rows(row, count, |i, to| to.iter_mut().zip(&values[i * dim..]).for_each(|(x, y)| *x += y));
    }
}

/// Head `h` of the gradient of the lanes of a group.
fn one_head<'a>(
    plan: &'a Plan,
    lanes: std::ops::Range<usize>,
    h: usize,
    call_of: impl Fn(usize) -> Backward<'a>,
    [dq, dk, dv]: [OneHead; 3],
) {
    let start = plan.offsets(lanes.start);
    for d in [dq, dk, dv] {
        d.rows(0, d.count, |_, x| x.fill(0.0));
    }
    for lane in lanes {
        let call = call_of(lane);
        let at = plan.offsets(lane);
        let row = |i: usize| (at[i] - start[i]) / plan.features();
        wide::Scratch::with(plan.dim, |scratch| {
            wide::backward(
                &call,
                h,
                scratch,
                |first, count, values| dq.add(row(0) + first, count, values),
                |first, count, keys, values| {
                    dk.add(row(1) + first, count, keys);
                    dv.add(row(2) + first, count, values);
                },
            );
        });
    }
}

/// [`one_head`], by [`careful`].
fn one_head_carefully<'a>(
    plan: &'a Plan,
    lanes: std::ops::Range<usize>,
    h: usize,
    call_of: impl Fn(usize) -> Backward<'a>,
    [dq, dk, dv]: [OneHead; 3],
) {
    let start = plan.offsets(lanes.start);
    for d in [dq, dk, dv] {
        d.rows(0, d.count, |_, x| x.fill(0.0));
    }
    for lane in lanes {
        let at = plan.offsets(lane);
        let row = |i: usize| (at[i] - start[i]) / plan.features();
        careful::backward(
            &call_of(lane),
            h,
            |i, values| dq.add(row(0) + i, 1, values),
            |j, keys, values| {
                dk.add(row(1) + j, 1, keys);
                dv.add(row(2) + j, 1, values);
            },
        );
    }
}

/// The largest element; minus infinity where there is none. NaN is overlooked, or is it.
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

/// `x <- exp(scale x - shift)`; gives the sum.
struct Raise<'a> {
    x: &'a mut [f32],
    scale: f32,
    shift: f32,
}

impl Kernel for Raise<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let x = self.x.as_mut_ptr();
        // SAFETY: the slice's own elements, in place.
        unsafe { vector_math::exp_and_sum(s, x, x, self.x.len(), self.scale, self.shift) }
    }
}

/// Scores become weights, and changes of weights those of scores: `p <- exp(scale p - logarithm)`,
/// `d <- slope p (d - delta)`.
struct Change<'a> {
    scores: &'a mut [f32],
    changes: &'a mut [f32],
    logarithm: f32,
    delta: f32,
    scale: f32,
    /// What changes of scores are multiplied by.
    slope: f32,
}

impl Kernel for Change<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (woven, n) = (Interleaved(s), self.scores.len().min(self.changes.len()));
        let mut j = 0;
        while j + Interleaved::<S>::LANES <= n {
            self.step(woven, j);
            j += Interleaved::<S>::LANES;
        }
        while j < n {
            self.step(s, j);
            j += S::LANES;
        }
    }
}

impl Change<'_> {
    #[inline(always)]
    fn step<A: Arithmetic>(&mut self, a: A, j: usize) {
        let (p, d) = (&mut self.scores[j..], &mut self.changes[j..]);
        let shifted = a.mul_add(a.load_slice(p), a.splat(self.scale), a.splat(-self.logarithm));
        let weight = vector_math::exp(a, shifted);
        let change = a.mul(a.mul(weight, a.sub(a.load_slice(d), a.splat(self.delta))), a.splat(self.slope));
        a.store_slice(p, weight);
        a.store_slice(d, change);
    }
}
