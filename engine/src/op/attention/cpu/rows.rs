//! One query and head at a time: the scores of a block of keys, their softmax, the weighted sum of the values. For few
//! queries or small heads, where packing matrices does not pay.

use super::{Backward, Change, Gradients, Part, Raise, largest};
use crate::cpu::simd::{Kernel, Simd};

/// Keys that are scored before they are used: their scores stay in the first-level cache.
const BLOCK: usize = 256;

pub(super) struct Forward<'a> {
    pub part: Part<'a>,
    pub out: &'a mut [f32],
    pub rows: &'a mut [f32],
}

/// `x . y_j` for the rows `y_j`, `stride` apart, that start at each of `scores.len()` places of `y`.
#[inline(always)]
fn products<S: Simd>(s: S, x: &[f32], y: &[f32], stride: usize, scores: &mut [f32]) {
    let (dim, n) = (x.len(), scores.len());
    assert!(n == 0 || y.len() >= (n - 1) * stride + dim);
    let (x, y) = (x.as_ptr(), y.as_ptr());
    let whole = dim / S::LANES * S::LANES;
    let mut j = 0;
    while j < n {
        let count = 4.min(n - j);
        let mut sums = [s.zero(); 4];
        let mut i = 0;
        while i < 4 {
            // The last group repeats its last key, so that four are always summed at once.
            let row = (j + i).min(n - 1) * stride;
            let mut d = 0;
            // SAFETY: `d + LANES <= dim` or `dim - d` elements are left of rows that lie within `y`, see above.
            unsafe {
                while d < whole {
                    sums[i] = s.mul_add(s.load(x.add(d)), s.load(y.add(row + d)), sums[i]);
                    d += S::LANES;
                }
                if d < dim {
                    let (a, b) = (s.load_partial(x.add(d), dim - d), s.load_partial(y.add(row + d), dim - d));
                    sums[i] = s.mul_add(a, b, sums[i]);
                }
            }
            i += 1;
        }
        let four = s.reduce_add_4(sums);
        let mut i = 0;
        while i < count {
            scores[j + i] = four[i];
            i += 1;
        }
        j += 4;
    }
}

/// Multiplies scores by the scale; those of masked keys become minus infinity.
#[inline(always)]
fn scale_and_mask<S: Simd>(s: S, part: &Part<'_>, i: usize, first: usize, scores: &mut [f32]) {
    let scale = s.splat(part.plan.scale());
    let mut j = 0;
    while j < scores.len() {
        let x = &mut scores[j..];
        s.store_slice(x, s.mul(scale, s.load_slice(x)));
        j += S::LANES;
    }
    if part.mask.is_some() {
        let mut j = 0;
        while j < scores.len() {
            if !part.open(i, first + j) {
                scores[j] = f32::NEG_INFINITY;
            }
            j += 1;
        }
    }
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let plan = self.part.plan;
        let (dim, features) = (plan.dim, plan.features());
        let mut scores = [0f32; BLOCK];
        let mut i = 0;
        while i < self.part.count {
            let keys = self.part.visible(i);
            let mut h = 0;
            while h < plan.heads {
                let at = i * features + h * dim;
                let q = &self.part.q[at..at + dim];
                let out = &mut self.out[at..at + dim];
                out.fill(0.0);
                let (mut most, mut sum) = (f32::NEG_INFINITY, 0f32);
                let mut first = 0;
                // Online softmax over blocks of keys (Milakov and Gimelshein 2018).
                while first < keys {
                    let n = BLOCK.min(keys - first);
                    let scores = &mut scores[..n];
                    let start = first * features + h * dim;
                    products(s, q, &self.part.k[start..], features, scores);
                    scale_and_mask(s, &self.part, i, first, scores);
                    let new = most.max(largest(s, scores));
                    if new > f32::NEG_INFINITY {
                        let kept = if most > f32::NEG_INFINITY { (most - new).exp() } else { 0.0 };
                        sum = sum * kept + Raise { x: scores, scale: 1.0, shift: new }.run(s);
                        most = new;
                        weigh(s, scores, &self.part.v[start..], features, kept, out);
                    } else if scores.iter().any(|x| x.is_nan()) {
                        // There are keys, but no score that is a number.
                        sum = f32::NAN;
                        out.fill(f32::NAN);
                    }
                    first += n;
                }
                let nothing = if sum == 0.0 { self.part.without_weights(i) } else { 0.0 };
                let factor = if sum == 0.0 { nothing } else { 1.0 / sum };
                let mut d = 0;
                while d < dim {
                    out[d] *= factor;
                    d += 1;
                }
                self.rows[i * plan.heads + h] = if sum == 0.0 { nothing } else { most + sum.ln() };
                h += 1;
            }
            i += 1;
        }
    }
}

/// `out <- kept out + sum_j weights_j v_j`.
#[inline(always)]
fn weigh<S: Simd>(s: S, weights: &[f32], v: &[f32], stride: usize, kept: f32, out: &mut [f32]) {
    let (dim, n) = (out.len(), weights.len());
    assert!(n == 0 || v.len() >= (n - 1) * stride + dim);
    let mut d = 0;
    while d < dim {
        let count = S::LANES.min(dim - d);
        let mut sums = [s.mul(s.load_slice(&out[d..]), s.splat(kept)), s.zero()];
        let v = v[d..].as_ptr();
        let mut j = 0;
        // SAFETY: rows of `dim` elements lie within `v`, see above.
        unsafe {
            if count == S::LANES {
                while j + 2 <= n {
                    sums[0] = s.mul_add(s.splat(weights[j]), s.load(v.add(j * stride)), sums[0]);
                    sums[1] = s.mul_add(s.splat(weights[j + 1]), s.load(v.add((j + 1) * stride)), sums[1]);
                    j += 2;
                }
            }
            while j < n {
                sums[0] = s.mul_add(s.splat(weights[j]), s.load_partial(v.add(j * stride), count), sums[0]);
                j += 1;
            }
        }
        s.store_slice(&mut out[d..], s.add(sums[0], sums[1]));
        d += S::LANES;
    }
}

pub(super) struct Step<'a> {
    pub call: Backward<'a>,
    pub gradients: Gradients<'a>,
}

impl Kernel for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Backward { part, out, rows, d_out } = self.call;
        let Gradients { dq, dk, dv } = self.gradients;
        let plan = part.plan;
        let (dim, features, scale) = (plan.dim, plan.features(), plan.scale());
        let (mut weights, mut d_scores) = ([0f32; BLOCK], [0f32; BLOCK]);
        let mut i = 0;
        while i < part.count {
            let keys = part.visible(i);
            let mut h = 0;
            while h < plan.heads {
                let at = i * features + h * dim;
                let (q, c) = (&part.q[at..at + dim], &d_out[at..at + dim]);
                let mut delta = [0f32; 1];
                products(s, c, &out[at..at + dim], features, &mut delta);
                let logarithm = rows[i * plan.heads + h];
                let mut first = 0;
                while first < keys {
                    let n = BLOCK.min(keys - first);
                    let (weights, d_scores) = (&mut weights[..n], &mut d_scores[..n]);
                    let start = first * features + h * dim;
                    products(s, q, &part.k[start..], features, weights);
                    scale_and_mask(s, &part, i, first, weights);
                    products(s, c, &part.v[start..], features, d_scores);
                    let (scores, changes) = (&mut *weights, &mut *d_scores);
                    Change { scores, changes, logarithm, delta: delta[0], scale: 1.0, slope: scale }.run(s);
                    let mut d = 0;
                    while d < dim {
                        let count = S::LANES.min(dim - d);
                        let (x, y) = (s.load_slice(&q[d..]), s.load_slice(&c[d..]));
                        let mut sum = s.load_slice(&dq[at + d..at + dim]);
                        let mut j = 0;
                        while j < n {
                            let row = start + j * features + d;
                            let (change, weight) = (s.splat(d_scores[j]), s.splat(weights[j]));
                            sum = s.mul_add(change, s.load_slice(&part.k[row..row + count]), sum);
                            let of_k = &mut dk[row..row + count];
                            s.store_slice(of_k, s.mul_add(change, x, s.load_slice(of_k)));
                            let of_v = &mut dv[row..row + count];
                            s.store_slice(of_v, s.mul_add(weight, y, s.load_slice(of_v)));
                            j += 1;
                        }
                        s.store_slice(&mut dq[at + d..at + dim], sum);
                        d += S::LANES;
                    }
                    first += n;
                }
                h += 1;
            }
            i += 1;
        }
    }
}
