//! Long lanes: scores and sums as products of matrices, for one head and blocks of queries and keys whose scores stay in
//! the second-level cache.

use std::cell::Cell;

use super::{Backward, Change, Part, QUERIES, Raise, largest};
use crate::cpu::gemm::{Epilogue, Matrix, gemm};
use crate::cpu::simd::{Kernel, Simd, dispatch};

/// Keys of a block: with the queries of one, 64 KiB of scores.
const KEYS: usize = 256;

/// Memory that a thread keeps for its next call.
#[derive(Default)]
pub(super) struct Scratch {
    scores: Vec<f32>,
    changes: Vec<f32>,
    /// The block's output, `[queries, dim]`, or the change of its queries.
    pub block: Vec<f32>,
    /// The block's logarithms, `[queries]`.
    pub logarithms: Vec<f32>,
    /// The change of a lane's keys, `[keys, dim]`.
    pub dk: Vec<f32>,
    /// The change of a lane's values, `[keys, dim]`.
    pub dv: Vec<f32>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Scratch {
    /// Calls `body` with this thread's memory, grown to what `part` needs.
    pub fn with(part: &Part<'_>, body: impl FnOnce(&mut Scratch)) {
        let mut scratch = SCRATCH.take();
        let (keys, dim) = (part.plan.tk, part.plan.dim);
        let Scratch { scores, changes, block, logarithms, dk, dv } = &mut scratch;
        let sizes = [QUERIES * KEYS, QUERIES * KEYS, QUERIES * dim, QUERIES, keys * dim, keys * dim];
        for (room, size) in [scores, changes, block, logarithms, dk, dv].into_iter().zip(sizes) {
            if room.len() < size {
                room.resize(size, 0.0);
            }
        }
        body(&mut scratch);
        SCRATCH.set(scratch);
    }
}

/// Rows of one head: elements `0..dim` of rows `stride` apart.
fn head(data: &[f32], stride: usize) -> Matrix<'_> {
    Matrix::row_major(data, stride)
}

/// `c <- a b`, or `c <- c + a b`, with `c` of rows of `n`.
fn product(m: usize, n: usize, k: usize, [a, b]: [Matrix<'_>; 2], c: &mut [f32], accumulate: bool) {
    // The callers cut operands and result to fit.
    let fits = gemm(m, n, k, a, b, c, n, accumulate, Epilogue::NONE);
    debug_assert!(fits.is_ok(), "{fits:?}");
}

/// A row of scores before they are scaled: sets those that are masked, or after the query's own place, to minus infinity.
/// Gives the largest.
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
        let seen = part.visible(i).saturating_sub(first).min(scores.len());
        let (seen, unseen) = scores.split_at_mut(seen);
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

/// Head `h` of a part of at most `QUERIES` queries, into the scratch's block and logarithms.
pub(super) fn forward(part: &Part<'_>, h: usize, scratch: &mut Scratch) {
    let plan = part.plan;
    let (dim, features, scale, m) = (plan.dim, plan.features(), plan.scale(), part.count);
    let Scratch { scores, block, logarithms, .. } = scratch;
    let (mut most, mut sums) = ([f32::NEG_INFINITY; QUERIES], [0f32; QUERIES]);
    // The last query of the block sees most.
    let keys = part.visible(m - 1);
    if keys == 0 {
        block[..m * dim].fill(0.0);
    }
    for first in (0..keys).step_by(KEYS) {
        let n = KEYS.min(keys - first);
        let key = first * features + h * dim;
        let queries = head(&part.q[h * dim..], features);
        let turned = head(&part.k[key..], features).transposed();
        product(m, n, dim, [queries, turned], scores, false);
        for i in 0..m {
            let row = &mut scores[i * n..(i + 1) * n];
            let new = most[i].max(scale * dispatch(Hide { part: *part, i, first, scores: row }));
            if new == f32::NEG_INFINITY {
                row.fill(0.0);
                continue;
            }
            let kept = (most[i] - new).exp();
            sums[i] = sums[i] * kept + dispatch(Raise { x: row, scale, shift: new });
            most[i] = new;
            if first > 0 {
                block[i * dim..][..dim].iter_mut().for_each(|y| *y *= kept);
            }
        }
        let weights = Matrix::row_major(scores, n);
        let values = head(&part.v[key..], features);
        product(m, dim, n, [weights, values], block, first > 0);
    }
    for i in 0..m {
        let factor = if sums[i] > 0.0 { 1.0 / sums[i] } else { 0.0 };
        block[i * dim..][..dim].iter_mut().for_each(|y| *y *= factor);
        logarithms[i] = if sums[i] > 0.0 { most[i] + sums[i].ln() } else { 0.0 };
    }
}

/// Head `h` of queries `start..start + m` of a lane: their change goes into the scratch's block, and what they add to the
/// changes of keys and values is added there.
pub(super) fn backward(call: &Backward<'_>, h: usize, start: usize, m: usize, scratch: &mut Scratch) {
    let Backward { part, out, rows, d_out } = *call;
    let plan = part.plan;
    let (dim, features, scale) = (plan.dim, plan.features(), plan.scale());
    let Scratch { scores, changes, block: dq, dk, dv, .. } = scratch;
    let at = start * features + h * dim;
    let mut deltas = [0f32; QUERIES];
    for (i, delta) in deltas[..m].iter_mut().enumerate() {
        let row = at + i * features;
        *delta = out[row..row + dim].iter().zip(&d_out[row..row + dim]).map(|(y, c)| y * c).sum();
    }
    let keys = part.visible(start + m - 1);
    if keys == 0 {
        dq[..m * dim].fill(0.0);
    }
    for first in (0..keys).step_by(KEYS) {
        let n = KEYS.min(keys - first);
        let key = first * features + h * dim;
        let (q, c) = (head(&part.q[at..], features), head(&d_out[at..], features));
        let (k, v) = (head(&part.k[key..], features), head(&part.v[key..], features));
        product(m, n, dim, [q, k.transposed()], scores, false);
        product(m, n, dim, [c, v.transposed()], changes, false);
        for i in 0..m {
            let scores = &mut scores[i * n..(i + 1) * n];
            if part.mask.is_some() || plan.causal {
                dispatch(Hide { part, i: start + i, first, scores });
            }
            let changes = &mut changes[i * n..(i + 1) * n];
            let logarithm = rows[(start + i) * plan.heads + h];
            dispatch(Change { scores, changes, logarithm, delta: deltas[i], scale, slope: scale });
        }
        let (p, ds) = (Matrix::row_major(scores, n), Matrix::row_major(changes, n));
        product(n, dim, m, [p.transposed(), c], &mut dv[first * dim..], true);
        product(n, dim, m, [ds.transposed(), q], &mut dk[first * dim..], true);
        product(m, dim, n, [ds, k], dq, first > 0);
    }
}
