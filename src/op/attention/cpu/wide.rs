//! Long lanes: scores and sums as products of matrices, for blocks of queries and keys whose scores stay in the
//! second-level cache.

use super::{Backward, Gradients, Part, QUERIES, Raise, largest};
use crate::cpu::gemm::{Epilogue, Matrix, gemm};
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::vector_math;

/// Keys of a block.
const KEYS: usize = 256;
/// Scores of a block of queries and keys: 64 KiB.
type Scores = [f32; QUERIES * KEYS];

/// Rows of one head: elements `0..dim` of rows `stride` apart.
fn head(data: &[f32], stride: usize) -> Matrix<'_> {
    Matrix::row_major(data, stride)
}

/// `c <- a b`, or `c <- c + a b`.
fn product(
    m: usize,
    n: usize,
    k: usize,
    [a, b]: [Matrix<'_>; 2],
    c: &mut [f32],
    ldc: usize,
    accumulate: bool,
) {
    // The callers cut operands and result to fit.
    let fits = gemm(m, n, k, a, b, c, ldc, accumulate, Epilogue::NONE);
    debug_assert!(fits.is_ok(), "{fits:?}");
}

/// Rows of the scores: scales them and sets those that are masked, or after the query's own place, to minus infinity.
struct Hide<'a> {
    part: Part<'a>,
    i: usize,
    first: usize,
    scores: &'a mut [f32],
}

impl Kernel for Hide<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let Hide { part, i, first, scores } = self;
        let scale = s.splat(part.plan.scale());
        let seen = part.visible(i).saturating_sub(first).min(scores.len());
        let (seen, unseen) = scores.split_at_mut(seen);
        let mut j = 0;
        while j < seen.len() {
            let x = &mut seen[j..];
            s.store_slice(x, s.mul(scale, s.load_slice(x)));
            j += S::LANES;
        }
        if part.mask.is_some() {
            for (j, x) in seen.iter_mut().enumerate() {
                if !part.open(i, first + j) {
                    *x = f32::NEG_INFINITY;
                }
            }
        }
        unseen.fill(f32::NEG_INFINITY);
        largest(s, seen)
    }
}

pub(super) fn forward(part: &Part<'_>, out: &mut [f32], rows: &mut [f32]) {
    let plan = part.plan;
    let (dim, features) = (plan.dim, plan.features());
    let mut scores: Scores = [0.0; QUERIES * KEYS];
    for h in 0..plan.heads {
        for start in (0..part.count).step_by(QUERIES) {
            let m = QUERIES.min(part.count - start);
            let (mut most, mut sums) = ([f32::NEG_INFINITY; QUERIES], [0f32; QUERIES]);
            let at = start * features + h * dim;
            // The last query of the block sees most.
            let keys = part.visible(start + m - 1);
            if keys == 0 {
                for i in 0..m {
                    out[at + i * features..][..dim].fill(0.0);
                }
            }
            for first in (0..keys).step_by(KEYS) {
                let n = KEYS.min(keys - first);
                let key = first * features + h * dim;
                let queries = head(&part.q[at..], features);
                let turned = head(&part.k[key..], features).transposed();
                product(m, n, dim, [queries, turned], &mut scores, n, false);
                for i in 0..m {
                    let row = &mut scores[i * n..(i + 1) * n];
                    let new = most[i].max(dispatch(Hide { part: *part, i: start + i, first, scores: row }));
                    if new == f32::NEG_INFINITY {
                        row.fill(0.0);
                        continue;
                    }
                    let kept = (most[i] - new).exp();
                    sums[i] = sums[i] * kept + dispatch(Raise { x: row, shift: new });
                    most[i] = new;
                    if first > 0 {
                        out[at + i * features..][..dim].iter_mut().for_each(|y| *y *= kept);
                    }
                }
                let weights = Matrix::row_major(&scores, n);
                let values = head(&part.v[key..], features);
                product(m, dim, n, [weights, values], &mut out[at..], features, first > 0);
            }
            for i in 0..m {
                let factor = if sums[i] > 0.0 { 1.0 / sums[i] } else { 0.0 };
                out[at + i * features..][..dim].iter_mut().for_each(|y| *y *= factor);
                rows[(start + i) * plan.heads + h] = if sums[i] > 0.0 { most[i] + sums[i].ln() } else { 0.0 };
            }
        }
    }
}

/// A row's weights from its scores, and the change of its scores from that of its weights.
struct Change<'a> {
    scores: &'a mut [f32],
    changes: &'a mut [f32],
    logarithm: f32,
    delta: f32,
    scale: f32,
}

impl Kernel for Change<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (logarithm, delta, scale) = (s.splat(self.logarithm), s.splat(self.delta), s.splat(self.scale));
        let mut j = 0;
        while j < self.scores.len() {
            let (p, d) = (&mut self.scores[j..], &mut self.changes[j..]);
            let weight = vector_math::exp(s, s.sub(s.load_slice(p), logarithm));
            let change = s.mul(s.mul(weight, s.sub(s.load_slice(d), delta)), scale);
            s.store_slice(p, weight);
            s.store_slice(d, change);
            j += S::LANES;
        }
    }
}

pub(super) fn backward(call: &Backward<'_>, gradients: Gradients<'_>) {
    let Backward { part, out, rows, d_out } = *call;
    let Gradients { dq, dk, dv } = gradients;
    let plan = part.plan;
    let (dim, features, scale) = (plan.dim, plan.features(), plan.scale());
    let (mut scores, mut changes): (Scores, Scores) = ([0.0; QUERIES * KEYS], [0.0; QUERIES * KEYS]);
    for h in 0..plan.heads {
        for start in (0..part.count).step_by(QUERIES) {
            let m = QUERIES.min(part.count - start);
            let at = start * features + h * dim;
            let mut deltas = [0f32; QUERIES];
            for (i, delta) in deltas[..m].iter_mut().enumerate() {
                let row = at + i * features;
                *delta = out[row..row + dim].iter().zip(&d_out[row..row + dim]).map(|(y, c)| y * c).sum();
            }
            let keys = part.visible(start + m - 1);
            for first in (0..keys).step_by(KEYS) {
                let n = KEYS.min(keys - first);
                let key = first * features + h * dim;
                let (q, c) = (head(&part.q[at..], features), head(&d_out[at..], features));
                let (k, v) = (head(&part.k[key..], features), head(&part.v[key..], features));
                product(m, n, dim, [q, k.transposed()], &mut scores, n, false);
                product(m, n, dim, [c, v.transposed()], &mut changes, n, false);
                for i in 0..m {
                    let scores = &mut scores[i * n..(i + 1) * n];
                    dispatch(Hide { part, i: start + i, first, scores });
                    let changes = &mut changes[i * n..(i + 1) * n];
                    let logarithm = rows[(start + i) * plan.heads + h];
                    dispatch(Change { scores, changes, logarithm, delta: deltas[i], scale });
                }
                let (p, ds) = (Matrix::row_major(&scores, n), Matrix::row_major(&changes, n));
                product(n, dim, m, [p.transposed(), c], &mut dv[key..], features, true);
                product(n, dim, m, [ds.transposed(), q], &mut dk[key..], features, true);
                product(m, dim, n, [ds, k], &mut dq[at..], features, true);
            }
        }
    }
}
