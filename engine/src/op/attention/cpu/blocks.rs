//! Heads of four features: a vector holds two heads (AVX2), four (AVX-512) or one (NEON), each in a block of four lanes.
//!
//! Products of a query with four keys, transposed within blocks and summed, are the scores of four keys of every head of
//! the vector; a score spread over its block weighs a value. Nothing is turned in memory, and the scores of a query stay in
//! the first-level cache. For two queries and ten keys of four heads that is about 500 vector operations a lane, and
//! about 1.5 KiB read and written: limited by memory where lanes do not fit in the cache.

use super::{Backward, Gradients, Part};
use crate::cpu::simd::{Kernel, Simd};
use crate::cpu::vector_math;

/// Keys whose scores are held at once.
pub(super) const MOST_KEYS: usize = 256;
const GROUPS: usize = MOST_KEYS / 4;
/// Stands for minus infinity where differences are taken; no score comes near it.
const LOWEST: f32 = f32::MIN / 4.0;

/// Working memory of a task.
pub(super) struct Scratch {
    /// Added to the scores of keys: 0, or minus infinity where a key must not be seen; a group of four keys in every
    /// block.
    bias: [f32; GROUPS * 16],
    scores: [f32; GROUPS * 16],
}

impl Scratch {
    pub(super) fn new() -> Self {
        Scratch { bias: [0.0; GROUPS * 16], scores: [0.0; GROUPS * 16] }
    }

    /// The bias of query `i` for its first `keys` keys, up to a whole group. Gives what the query gets where all its weights
    /// are 0, as [`Part::without_weights`] does.
    #[inline(always)]
    fn fill<S: Simd>(&mut self, part: &Part<'_>, i: usize, keys: usize) -> f32 {
        let mut nothing = 0.0;
        let mut j = 0;
        while j < keys.next_multiple_of(4) {
            let open = j < keys && part.open(i, j);
            let bias = if open { 0.0 } else { f32::NEG_INFINITY };
            nothing = if open { f32::NAN } else { nothing };
            let at = j / 4 * S::LANES + j % 4;
            let mut block = 0;
            while block < S::LANES {
                self.bias[at + block] = bias;
                block += 4;
            }
            j += 1;
        }
        nothing
    }

    /// Whether the bias of every query is the same.
    #[inline(always)]
    fn is_shared(part: &Part<'_>) -> bool {
        !part.plan.causal && (part.mask.is_none() || part.plan.mask[0] == 0)
    }
}

/// `x . y_j` of the keys of group `group`, for every head of the vector: rows `y_j` of `features` elements, of which
/// `lanes` count. Keys from `keys` on repeat the last one.
///
/// # Safety
/// `y` must be valid for `keys` rows.
#[inline(always)]
unsafe fn products<S: Simd>(
    s: S,
    x: S::V,
    y: *const f32,
    [group, keys]: [usize; 2],
    features: usize,
    lanes: usize,
) -> S::V {
    let mut four = [s.zero(); 4];
    let mut i = 0;
    while i < 4 {
        let j = (4 * group + i).min(keys - 1);
        // SAFETY: the caller vouches for the rows.
        four[i] = s.mul(x, unsafe { read(s, y.add(j * features), lanes) });
        i += 1;
    }
    let [a, b, c, d] = s.transpose_blocks(four);
    s.add(s.add(a, b), s.add(c, d))
}

/// # Safety
/// `p` must be valid for `lanes` values.
#[inline(always)]
unsafe fn read<S: Simd>(s: S, p: *const f32, lanes: usize) -> S::V {
    // SAFETY: the caller vouches for it.
    unsafe { if lanes == S::LANES { s.load(p) } else { s.load_partial(p, lanes) } }
}

/// # Safety
/// `p` must be valid for `lanes` values.
#[inline(always)]
unsafe fn write<S: Simd>(s: S, p: *mut f32, x: S::V, lanes: usize) {
    // SAFETY: the caller vouches for it.
    unsafe { if lanes == S::LANES { s.store(p, x) } else { s.store_partial(p, x, lanes) } }
}

/// The four lanes of every block, each spread over its block.
#[inline(always)]
fn spread<S: Simd>(s: S, x: S::V) -> [S::V; 4] {
    [
        s.splat_in_blocks::<0>(x),
        s.splat_in_blocks::<1>(x),
        s.splat_in_blocks::<2>(x),
        s.splat_in_blocks::<3>(x),
    ]
}

/// The sum of every block, spread over it.
#[inline(always)]
fn block_sum<S: Simd>(s: S, x: S::V) -> S::V {
    let [a, b, c, d] = spread(s, x);
    s.add(s.add(a, b), s.add(c, d))
}

pub(super) struct Forward<'a> {
    pub part: Part<'a>,
    pub out: &'a mut [f32],
    pub rows: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { part, out, rows, scratch } = self;
        let plan = part.plan;
        let features = plan.features();
        let scale = s.splat(plan.scale());
        let shared = Scratch::is_shared(&part);
        let mut nothing = 0.0;
        if shared {
            nothing = scratch.fill::<S>(&part, 0, plan.tk);
        }
        let mut i = 0;
        while i < part.count {
            let keys = part.visible(i);
            if !shared {
                nothing = scratch.fill::<S>(&part, i, keys);
            }
            let groups = keys.div_ceil(4);
            let mut at = 0;
            while at < features {
                let lanes = S::LANES.min(features - at);
                // SAFETY: rows of `features` elements lie within the operands, and `at + lanes <= features`.
                unsafe {
                    let x = s.mul(scale, read(s, part.q.as_ptr().add(i * features + at), lanes));
                    let (k, v) = (part.k.as_ptr().add(at), part.v.as_ptr().add(at));
                    let mut most = s.splat(LOWEST);
                    let mut g = 0;
                    while g < groups {
                        let score = products(s, x, k, [g, keys], features, lanes);
                        let score = s.add(score, s.load(scratch.bias.as_ptr().add(g * S::LANES)));
                        s.store(scratch.scores.as_mut_ptr().add(g * S::LANES), score);
                        most = s.max(most, score);
                        g += 1;
                    }
                    let [a, b, c, d] = spread(s, most);
                    let most = s.max(s.max(a, b), s.max(c, d));
                    let (mut sum, mut total) = (s.zero(), s.zero());
                    let mut g = 0;
                    while g < groups {
                        let weight = vector_math::exp(
                            s,
                            s.sub(s.load(scratch.scores.as_ptr().add(g * S::LANES)), most),
                        );
                        sum = s.add(sum, weight);
                        let weights = spread(s, weight);
                        let count = 4.min(keys - 4 * g);
                        let mut r = 0;
                        while r < count {
                            let value = read(s, v.add((4 * g + r) * features), lanes);
                            total = s.mul_add(weights[r], value, total);
                            r += 1;
                        }
                        g += 1;
                    }
                    let sum = block_sum(s, sum);
                    // NaN is not 0.
                    let (none, nothing) = (s.eq(sum, s.zero()), s.splat(nothing));
                    let safe = s.select(none, s.splat(1.0), sum);
                    let result = s.select(none, nothing, s.div(total, safe));
                    write(s, out.as_mut_ptr().add(i * features + at), result, lanes);
                    let logarithm = s.select(none, nothing, s.add(most, vector_math::ln(s, safe)));
                    let mut spaced = [0f32; 16];
                    s.store(spaced.as_mut_ptr(), logarithm);
                    let mut h = 0;
                    while h < lanes / 4 {
                        rows[i * plan.heads + at / 4 + h] = spaced[4 * h];
                        h += 1;
                    }
                }
                at += S::LANES;
            }
            i += 1;
        }
    }
}

pub(super) struct Step<'a> {
    pub call: Backward<'a>,
    pub gradients: Gradients<'a>,
    pub scratch: &'a mut Scratch,
}

impl Kernel for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Backward { part, out, rows, d_out } = self.call;
        let Gradients { dq, dk, dv } = self.gradients;
        let scratch = self.scratch;
        let plan = part.plan;
        let features = plan.features();
        let scale = s.splat(plan.scale());
        let shared = Scratch::is_shared(&part);
        if shared {
            scratch.fill::<S>(&part, 0, plan.tk);
        }
        let mut i = 0;
        while i < part.count {
            let keys = part.visible(i);
            if !shared {
                scratch.fill::<S>(&part, i, keys);
            }
            let groups = keys.div_ceil(4);
            let mut at = 0;
            while at < features {
                let lanes = S::LANES.min(features - at);
                let row = i * features + at;
                let mut spaced = [0f32; 16];
                let mut h = 0;
                while h < lanes / 4 {
                    spaced[4 * h] = rows[i * plan.heads + at / 4 + h];
                    h += 1;
                }
                // SAFETY: rows of `features` elements lie within operands and gradients, and `at + lanes <= features`.
                unsafe {
                    let logarithm = s.splat_in_blocks::<0>(s.load(spaced.as_ptr()));
                    let x = s.mul(scale, read(s, part.q.as_ptr().add(row), lanes));
                    let c = read(s, d_out.as_ptr().add(row), lanes);
                    let delta = block_sum(s, s.mul(c, read(s, out.as_ptr().add(row), lanes)));
                    let (k, v) = (part.k.as_ptr().add(at), part.v.as_ptr().add(at));
                    let (of_k, of_v) = (dk.as_mut_ptr().add(at), dv.as_mut_ptr().add(at));
                    let mut of_q = s.zero();
                    let mut g = 0;
                    while g < groups {
                        let score = products(s, x, k, [g, keys], features, lanes);
                        let score = s.add(score, s.load(scratch.bias.as_ptr().add(g * S::LANES)));
                        let weight = vector_math::exp(s, s.sub(score, logarithm));
                        let change = s.sub(products(s, c, v, [g, keys], features, lanes), delta);
                        // Without the scale: the query has it for the keys, the sum gets it for the query.
                        let change = s.mul(weight, change);
                        let (weights, changes) = (spread(s, weight), spread(s, change));
                        let count = 4.min(keys - 4 * g);
                        let mut r = 0;
                        while r < count {
                            let j = (4 * g + r) * features;
                            of_q = s.mul_add(changes[r], read(s, k.add(j), lanes), of_q);
                            let sum = s.mul_add(changes[r], x, read(s, of_k.add(j), lanes));
                            write(s, of_k.add(j), sum, lanes);
                            let sum = s.mul_add(weights[r], c, read(s, of_v.add(j), lanes));
                            write(s, of_v.add(j), sum, lanes);
                            r += 1;
                        }
                        g += 1;
                    }
                    let of_q = s.mul_add(scale, of_q, read(s, dq.as_ptr().add(row), lanes));
                    write(s, dq.as_mut_ptr().add(row), of_q, lanes);
                }
                at += S::LANES;
            }
            i += 1;
        }
    }
}
