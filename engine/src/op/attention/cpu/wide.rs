//! Long lanes: scores and sums as products of matrices, for one head and blocks of queries and keys whose scores stay in
//! the second-level cache.

use std::cell::Cell;

use super::{Backward, Change, Part, QUERIES, Raise, largest};
use crate::cpu::Parallel;
use crate::cpu::gemm::{Epilogue, Matrix, Panels, gemm};
use crate::cpu::simd::{Kernel, Simd, dispatch};

/// Keys of a block: with the queries of one, 64 KiB of scores.
const KEYS: usize = 256;
/// Queries that pass a block of keys one block after another: its panels are packed once for all of them.
pub(super) const SPAN: usize = 4 * QUERIES;

/// Memory that a thread keeps for its next call.
#[derive(Default)]
pub(super) struct Scratch {
    scores: Vec<f32>,
    changes: Vec<f32>,
    /// Outputs of a span, `[queries, dim]`, or the change of a block of queries.
    pub block: Vec<f32>,
    /// Logarithms of a span, `[queries]`.
    pub logarithms: Vec<f32>,
    /// The change of a block of keys, `[keys, dim]`.
    pub dk: Vec<f32>,
    /// The change of a block of values, `[keys, dim]`.
    pub dv: Vec<f32>,
    /// Panels of a block's keys and values, as they are and turned.
    panels: [Vec<f32>; 3],
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Scratch {
    /// Calls `body` with this thread's memory, grown to what heads of `dim` features need.
    pub fn with(dim: usize, body: impl FnOnce(&mut Scratch)) {
        let mut scratch = SCRATCH.take();
        let Scratch { scores, changes, block, logarithms, dk, dv, panels: [turned, keys, values] } =
            &mut scratch;
        let (across, along) = (Panels::room(dim, KEYS), Panels::room(KEYS, dim));
        let rooms = [scores, changes, block, logarithms, dk, dv, turned, keys, values];
        let blocks = [QUERIES * KEYS, QUERIES * KEYS, SPAN * dim, SPAN, KEYS * dim, KEYS * dim];
        let sizes = blocks.into_iter().chain([across, across.max(along), across.max(along)]);
        for (room, size) in rooms.into_iter().zip(sizes) {
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

/// The right side of products: where it lies, or packed where several blocks of rows pass it.
enum Right<'a> {
    There(Matrix<'a>),
    Packed(Panels<'a>),
}

impl<'a> Right<'a> {
    /// `b` of `[k, n]`.
    fn new(k: usize, n: usize, b: Matrix<'a>, room: &'a mut [f32], packed: bool) -> Self {
        // The callers make room enough: nothing is lost where they did not.
        match packed.then(|| Panels::pack(k, n, b, room, Parallel::Serial)) {
            Some(Ok(panels)) => Right::Packed(panels),
            _ => Right::There(b),
        }
    }

    /// `c <- a b`, or `c <- c + a b`, with `a` of `[m, k]` and `c` of rows of `n`.
    fn product(&self, [m, n, k]: [usize; 3], a: Matrix, c: &mut [f32], accumulate: bool) {
        let fits = match self {
            Right::There(b) => gemm(m, n, k, a, *b, c, n, accumulate, Epilogue::NONE),
            Right::Packed(panels) => panels.multiply(m, a, c, n, accumulate, None),
        };
        // The callers cut operands and result to fit.
        debug_assert!(fits.is_ok(), "{fits:?}");
    }
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

/// Head `h` of a part of at most `SPAN` queries (`QUERIES` where they see different keys), into the scratch's block and
/// logarithms.
pub(super) fn forward(part: &Part<'_>, h: usize, scratch: &mut Scratch) {
    let plan = part.plan;
    let (dim, features, scale, m) = (plan.dim, plan.features(), plan.scale(), part.count);
    let Scratch { scores, block, logarithms, panels: [turned, _, values], .. } = scratch;
    let (mut most, mut sums) = ([f32::NEG_INFINITY; SPAN], [0f32; SPAN]);
    // The last query sees most.
    let keys = part.visible(m - 1);
    if keys == 0 {
        block[..m * dim].fill(0.0);
    }
    for first in (0..keys).step_by(KEYS) {
        let n = KEYS.min(keys - first);
        let key = first * features + h * dim;
        let (k, v) = (head(&part.k[key..], features).transposed(), head(&part.v[key..], features));
        let turned = Right::new(dim, n, k, turned, m > QUERIES);
        let values = Right::new(n, dim, v, values, m > QUERIES);
        for start in (0..m).step_by(QUERIES) {
            let count = QUERIES.min(m - start);
            let queries = head(&part.q[start * features + h * dim..], features);
            turned.product([count, n, dim], queries, scores, false);
            for i in start..start + count {
                let row = &mut scores[(i - start) * n..][..n];
                let new = most[i].max(scale * dispatch(Hide { part: *part, i, first, scores: row }));
                if new == f32::NEG_INFINITY {
                    // No key, or no score that is a number.
                    let weight = if row.iter().any(|x| x.is_nan()) { f32::NAN } else { 0.0 };
                    row.fill(weight);
                    sums[i] += weight;
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
            values.product([count, dim, n], weights, &mut block[start * dim..], first > 0);
        }
    }
    for i in 0..m {
        let nothing = if sums[i] == 0.0 { part.without_weights(i) } else { 0.0 };
        let factor = if sums[i] == 0.0 { nothing } else { 1.0 / sums[i] };
        block[i * dim..][..dim].iter_mut().for_each(|y| *y *= factor);
        logarithms[i] = if sums[i] == 0.0 { nothing } else { most[i] + sums[i].ln() };
    }
}

/// The gradient of head `h` of a lane, a block of keys after another: what each adds to the changes of queries goes to
/// `add_queries` (first row, rows, values), what changes its keys and values to `add_keys` (first row, rows, of keys, of
/// values).
pub(super) fn backward(
    call: &Backward<'_>,
    h: usize,
    scratch: &mut Scratch,
    add_queries: impl Fn(usize, usize, &[f32]),
    add_keys: impl Fn(usize, usize, &[f32], &[f32]),
) {
    let Backward { part, out, rows, d_out } = *call;
    let plan = part.plan;
    let (dim, features, scale) = (plan.dim, plan.features(), plan.scale());
    let Scratch { scores, changes, block: dq, dk, dv, panels: [turned, of_keys, of_values], .. } = scratch;
    // Queries that see different keys have blocks of different widths.
    let packed = !plan.causal && plan.tq > QUERIES;
    for first in (0..plan.tk).step_by(KEYS) {
        let most = KEYS.min(plan.tk - first);
        let key = first * features + h * dim;
        let (k, v) = (head(&part.k[key..], features), head(&part.v[key..], features));
        let turned = Right::new(dim, most, k.transposed(), turned, packed);
        let values = Right::new(dim, most, v.transposed(), of_values, packed);
        let keys = Right::new(most, dim, k, of_keys, packed);
        dk[..most * dim].fill(0.0);
        dv[..most * dim].fill(0.0);
        for start in (0..plan.tq).step_by(QUERIES) {
            let m = QUERIES.min(plan.tq - start);
            let n = part.visible(start + m - 1).saturating_sub(first).min(most);
            if n == 0 {
                continue;
            }
            let at = start * features + h * dim;
            let (q, c) = (head(&part.q[at..], features), head(&d_out[at..], features));
            turned.product([m, n, dim], q, scores, false);
            values.product([m, n, dim], c, changes, false);
            for i in 0..m {
                let scores = &mut scores[i * n..(i + 1) * n];
                if part.mask.is_some() || plan.causal {
                    dispatch(Hide { part, i: start + i, first, scores });
                }
                let changes = &mut changes[i * n..(i + 1) * n];
                let logarithm = rows[(start + i) * plan.heads + h];
                let row = at + i * features;
                let delta = out[row..row + dim].iter().zip(&d_out[row..row + dim]).map(|(y, c)| y * c).sum();
                dispatch(Change { scores, changes, logarithm, delta, scale, slope: scale });
            }
            let (p, ds) = (Matrix::row_major(scores, n), Matrix::row_major(changes, n));
            Right::There(c).product([n, dim, m], p.transposed(), dv, true);
            Right::There(q).product([n, dim, m], ds.transposed(), dk, true);
            keys.product([m, dim, n], ds, dq, false);
            add_queries(start, m, dq);
        }
        add_keys(first, most, dk, dv);
    }
}
