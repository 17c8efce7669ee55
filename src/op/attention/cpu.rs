//! Attention on processors.

use super::Plan;
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::{Parallel, for_each_chunk, vector_math};

/// Keys that are scored before they are used: their scores stay in the first-level cache.
const BLOCK: usize = 256;
/// Multiply-adds of a task of the pool, about 100 us.
const TASK: usize = 1 << 20;

/// What the gradient is computed from.
pub(super) struct Given<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub mask: Option<&'a [f32]>,
    pub out: &'a [f32],
    pub rows: &'a [f32],
    pub d_out: &'a [f32],
}

impl Plan {
    fn features(&self) -> usize {
        self.heads * self.dim
    }

    fn count(&self) -> usize {
        self.lanes.iter().map(|d| d[0]).product()
    }

    /// Where lane `index` starts in q, k, v and the mask.
    #[inline(always)]
    fn offsets(&self, index: usize) -> [usize; 4] {
        let mut rest = index;
        let mut at = [0; 4];
        let mut d = self.lanes.len();
        while d > 0 {
            d -= 1;
            let dimension = &self.lanes[d];
            let i = rest % dimension[0];
            rest /= dimension[0];
            let mut o = 0;
            while o < 4 {
                at[o] += i * dimension[o + 1];
                o += 1;
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
    // Long lanes are cut into blocks of queries as well.
    let block = TASK.div_ceil(2 * plan.tk * plan.features()).clamp(16, plan.tq.max(16));
    let blocks = plan.tq.div_ceil(block);
    let items = plan.count() * blocks;
    let chunk = TASK.div_ceil(2 * plan.work().div_ceil(blocks).max(1));
    let parallel = parallel.above(2 * plan.work() * plan.count(), 2 * TASK);
    let (out, rows) = (SharedPointer(out.as_mut_ptr()), SharedPointer(rows.as_mut_ptr()));
    for_each_chunk(parallel, items, chunk, |range| {
        dispatch(Forward { plan, q, k, v, mask, out: out.get(), rows: rows.get(), range, blocks, block });
    });
}

struct Forward<'a> {
    plan: &'a Plan,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    mask: Option<&'a [f32]>,
    out: *mut f32,
    rows: *mut f32,
    range: std::ops::Range<usize>,
    blocks: usize,
    block: usize,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let plan = self.plan;
        let features = plan.features();
        let mut item = self.range.start;
        while item < self.range.end {
            let (lane, part) = (item / self.blocks, item % self.blocks);
            let [q, k, v, mask] = plan.offsets(lane);
            let last = plan.tq.min((part + 1) * self.block);
            let mut i = part * self.block;
            while i < last {
                let row = lane * plan.tq + i;
                let mut h = 0;
                while h < plan.heads {
                    let head = Head {
                        q: self.q[q + i * features + h * plan.dim..].as_ptr(),
                        k: self.k[k + h * plan.dim..].as_ptr(),
                        v: self.v[v + h * plan.dim..].as_ptr(),
                        mask: self.mask.map(|m| m[mask + i * plan.mask[0]..].as_ptr()),
                        keys: plan.visible(i),
                    };
                    // SAFETY: offsets come from the shapes of the operands, and every row of the outputs belongs to
                    // one item.
                    unsafe {
                        let out = self.out.add(row * features + h * plan.dim);
                        let rows = self.rows.add(row * plan.heads + h);
                        forward_row(s, plan, &head, out, rows);
                    }
                    h += 1;
                }
                i += 1;
            }
            item += 1;
        }
    }
}

/// One query of one head and the keys and values it sees.
struct Head {
    q: *const f32,
    k: *const f32,
    v: *const f32,
    mask: Option<*const f32>,
    keys: usize,
}

/// Scores of keys `first..first + n` into `scores`, minus infinity where masked.
///
/// # Safety
/// The pointers of `head` are valid for `plan`, and `scores` for `n` values.
#[inline(always)]
unsafe fn score<S: Simd>(
    s: S,
    plan: &Plan,
    head: &Head,
    x: *const f32,
    y: *const f32,
    first: usize,
    n: usize,
    scores: *mut f32,
) {
    let features = plan.features();
    let mut j = 0;
    while j < n {
        // SAFETY: the caller vouches for the pointers.
        unsafe { *scores.add(j) = dot(s, x, y.add((first + j) * features), plan.dim) };
        j += 1;
    }
    let _ = head;
}

/// The dot product of `n` elements.
///
/// # Safety
/// Both are valid for `n` values.
#[inline(always)]
unsafe fn dot<S: Simd>(s: S, x: *const f32, y: *const f32, n: usize) -> f32 {
    let mut sum = s.zero();
    let mut d = 0;
    // SAFETY: the caller vouches for `n` values.
    unsafe {
        while d + S::LANES <= n {
            sum = s.mul_add(s.load(x.add(d)), s.load(y.add(d)), sum);
            d += S::LANES;
        }
        if d < n {
            sum = s.mul_add(s.load_partial(x.add(d), n - d), s.load_partial(y.add(d), n - d), sum);
        }
    }
    s.reduce_add(sum)
}

/// Multiplies scores by the scale and sets masked ones to minus infinity.
///
/// # Safety
/// The mask is valid for the keys and `scores` for `n` values.
#[inline(always)]
unsafe fn scale_and_mask(plan: &Plan, head: &Head, first: usize, n: usize, scale: f32, scores: *mut f32) {
    let mut j = 0;
    while j < n {
        // SAFETY: the caller vouches for the pointers.
        unsafe {
            let hidden = match head.mask {
                Some(mask) => *mask.add((first + j) * plan.mask[1]) == 0.0,
                None => false,
            };
            let at = scores.add(j);
            *at = if hidden { f32::NEG_INFINITY } else { *at * scale };
        }
        j += 1;
    }
}

/// One row of one head: online softmax (Milakov and Gimelshein 2018) over blocks of keys.
///
/// # Safety
/// The pointers are valid for the sizes of `plan`.
#[inline(always)]
unsafe fn forward_row<S: Simd>(s: S, plan: &Plan, head: &Head, out: *mut f32, rows: *mut f32) {
    let (dim, features) = (plan.dim, plan.features());
    let scale = 1.0 / (dim as f32).sqrt();
    let mut scores = [0f32; BLOCK];
    let (mut most, mut sum) = (f32::NEG_INFINITY, 0f32);
    let mut d = 0;
    // SAFETY: the caller vouches for the pointers; `scores` holds a block.
    unsafe {
        while d < dim {
            *out.add(d) = 0.0;
            d += 1;
        }
        let mut first = 0;
        while first < head.keys {
            let n = BLOCK.min(head.keys - first);
            score(s, plan, head, head.q, head.k, first, n, scores.as_mut_ptr());
            scale_and_mask(plan, head, first, n, scale, scores.as_mut_ptr());
            let mut highest = f32::NEG_INFINITY;
            let mut j = 0;
            while j < n {
                highest = highest.max(scores[j]);
                j += 1;
            }
            if highest == f32::NEG_INFINITY {
                first += n;
                continue;
            }
            let new = most.max(highest);
            let kept = if most == f32::NEG_INFINITY { 0.0 } else { (most - new).exp() };
            let (mut total, shift) = (s.zero(), s.splat(new));
            let mut j = 0;
            while j < n {
                let count = S::LANES.min(n - j);
                let at = scores.as_mut_ptr().add(j);
                let x = s.load_partial(at, count);
                let p = vector_math::exp(s, s.sub(x, shift));
                s.store_partial(at, p, count);
                total = s.add(total, s.load_partial(at, count));
                j += S::LANES;
            }
            sum = sum * kept + s.reduce_add(total);
            most = new;
            let mut d = 0;
            while d < dim {
                let count = S::LANES.min(dim - d);
                let mut acc = s.mul(s.load_partial(out.add(d), count), s.splat(kept));
                let mut j = 0;
                while j < n {
                    let v = s.load_partial(head.v.add((first + j) * features + d), count);
                    acc = s.mul_add(s.splat(scores[j]), v, acc);
                    j += 1;
                }
                s.store_partial(out.add(d), acc, count);
                d += S::LANES;
            }
            first += n;
        }
        if sum > 0.0 {
            let factor = 1.0 / sum;
            let mut d = 0;
            while d < dim {
                *out.add(d) *= factor;
                d += 1;
            }
            *rows = most + sum.ln();
        } else {
            *rows = 0.0;
        }
    }
}

pub(super) fn backward(
    plan: &Plan,
    given: &Given<'_>,
    dq: &mut [f32],
    dk: &mut [f32],
    dv: &mut [f32],
    parallel: Parallel,
) {
    // Lanes that share an operand add to one gradient: they stay in one task, in order.
    let apart = plan.lanes.iter().take_while(|d| d[1] > 0 && d[2] > 0 && d[3] > 0).count();
    let groups: usize = plan.lanes[..apart].iter().map(|d| d[0]).product();
    let lanes = plan.count() / groups;
    let sizes = [dq.len() / groups, dk.len() / groups, dv.len() / groups];
    let chunk = TASK.div_ceil(5 * plan.work() * lanes);
    let parallel = parallel.above(5 * plan.work() * plan.count(), 2 * TASK);
    let gradients = [dq, dk, dv].map(|d| SharedPointer(d.as_mut_ptr()));
    for_each_chunk(parallel, groups, chunk, |range| {
        let [dq, dk, dv] = gradients.map(SharedPointer::get);
        // SAFETY: a group owns its part of each gradient.
        unsafe {
            for (start, size) in [dq, dk, dv].into_iter().zip(sizes) {
                std::slice::from_raw_parts_mut(start.add(range.start * size), range.len() * size).fill(0.0);
            }
        }
        let range = range.start * lanes..range.end * lanes;
        dispatch(Backward { plan, given, dq, dk, dv, range });
    });
}

struct Backward<'a> {
    plan: &'a Plan,
    given: &'a Given<'a>,
    dq: *mut f32,
    dk: *mut f32,
    dv: *mut f32,
    range: std::ops::Range<usize>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (plan, given) = (self.plan, self.given);
        let features = plan.features();
        let mut lane = self.range.start;
        while lane < self.range.end {
            let [q, k, v, mask] = plan.offsets(lane);
            let mut i = 0;
            while i < plan.tq {
                let row = lane * plan.tq + i;
                let mut h = 0;
                while h < plan.heads {
                    let at = h * plan.dim;
                    let head = Head {
                        q: given.q[q + i * features + at..].as_ptr(),
                        k: given.k[k + at..].as_ptr(),
                        v: given.v[v + at..].as_ptr(),
                        mask: given.mask.map(|m| m[mask + i * plan.mask[0]..].as_ptr()),
                        keys: plan.visible(i),
                    };
                    let out = given.out[row * features + at..].as_ptr();
                    let d_out = given.d_out[row * features + at..].as_ptr();
                    let rows = given.rows[row * plan.heads + h];
                    // SAFETY: offsets come from the shapes of the operands; the gradients of this lane belong to this
                    // task.
                    unsafe {
                        let dq = self.dq.add(q + i * features + at);
                        let (dk, dv) = (self.dk.add(k + at), self.dv.add(v + at));
                        backward_row(s, plan, &head, out, d_out, rows, [dq, dk, dv]);
                    }
                    h += 1;
                }
                i += 1;
            }
            lane += 1;
        }
    }
}

/// One row of one head: adds to the gradients of its query and of all keys and values.
///
/// # Safety
/// The pointers are valid for the sizes of `plan`.
#[inline(always)]
unsafe fn backward_row<S: Simd>(
    s: S,
    plan: &Plan,
    head: &Head,
    out: *const f32,
    d_out: *const f32,
    rows: f32,
    [dq, dk, dv]: [*mut f32; 3],
) {
    let (dim, features) = (plan.dim, plan.features());
    let scale = 1.0 / (dim as f32).sqrt();
    let (mut p, mut ds) = ([0f32; BLOCK], [0f32; BLOCK]);
    // SAFETY: the caller vouches for the pointers; the arrays hold a block.
    unsafe {
        let delta = s.splat(dot(s, out, d_out, dim));
        let mut first = 0;
        while first < head.keys {
            let n = BLOCK.min(head.keys - first);
            score(s, plan, head, head.q, head.k, first, n, p.as_mut_ptr());
            scale_and_mask(plan, head, first, n, scale, p.as_mut_ptr());
            score(s, plan, head, d_out, head.v, first, n, ds.as_mut_ptr());
            let mut j = 0;
            while j < n {
                let count = S::LANES.min(n - j);
                let (at_p, at_ds) = (p.as_mut_ptr().add(j), ds.as_mut_ptr().add(j));
                let weight = vector_math::exp(s, s.sub(s.load_partial(at_p, count), s.splat(rows)));
                let d = s.mul(s.mul(weight, s.sub(s.load_partial(at_ds, count), delta)), s.splat(scale));
                s.store_partial(at_p, weight, count);
                s.store_partial(at_ds, d, count);
                j += S::LANES;
            }
            let mut d = 0;
            while d < dim {
                let count = S::LANES.min(dim - d);
                let (q, c) = (s.load_partial(head.q.add(d), count), s.load_partial(d_out.add(d), count));
                let mut of_q = s.load_partial(dq.add(d), count);
                let mut j = 0;
                while j < n {
                    let at = (first + j) * features + d;
                    let (d_score, weight) = (s.splat(ds[j]), s.splat(p[j]));
                    of_q = s.mul_add(d_score, s.load_partial(head.k.add(at), count), of_q);
                    let (of_k, of_v) = (dk.add(at), dv.add(at));
                    s.store_partial(of_k, s.mul_add(d_score, q, s.load_partial(of_k, count)), count);
                    s.store_partial(of_v, s.mul_add(weight, c, s.load_partial(of_v, count)), count);
                    j += 1;
                }
                s.store_partial(dq.add(d), of_q, count);
                d += S::LANES;
            }
            first += n;
        }
    }
}
