//! The CPU kernels of reductions.

use super::{Pass, Passes, Reduction};
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::{Parallel, for_each_chunk};

/// How two numbers become one.
trait Fold {
    const IDENTITY: f32;
    /// Whether a number may be met twice.
    const IDEMPOTENT: bool;
    fn vector<S: Simd>(s: S, a: S::V, b: S::V) -> S::V;
    fn lanes<S: Simd>(s: S, a: S::V) -> f32;
    /// In double precision, which costs nothing where blocks are joined.
    fn one(a: f64, b: f32) -> f64;
}

struct Sum;
struct Maximum;
struct Minimum;

impl Fold for Sum {
    const IDENTITY: f32 = 0.0;
    const IDEMPOTENT: bool = false;
    #[inline(always)]
    fn vector<S: Simd>(s: S, a: S::V, b: S::V) -> S::V {
        s.add(a, b)
    }
    #[inline(always)]
    fn lanes<S: Simd>(s: S, a: S::V) -> f32 {
        s.reduce_add(a)
    }
    #[inline(always)]
    fn one(a: f64, b: f32) -> f64 {
        a + f64::from(b)
    }
}

impl Fold for Maximum {
    const IDENTITY: f32 = f32::NEG_INFINITY;
    const IDEMPOTENT: bool = true;
    #[inline(always)]
    fn vector<S: Simd>(s: S, a: S::V, b: S::V) -> S::V {
        // `max` gives `b` where either is NaN; a NaN in `a` has to be kept by hand.
        s.select(s.eq(a, a), s.max(a, b), a)
    }
    #[inline(always)]
    fn lanes<S: Simd>(s: S, a: S::V) -> f32 {
        if s.reduce_add(s.sub(a, a)) == 0.0 {
            return s.reduce_max(a);
        }
        let mut lanes = [f32::NEG_INFINITY; 16];
        s.store_slice(&mut lanes[..S::LANES], a);
        let mut best = f64::NEG_INFINITY;
        for lane in lanes {
            best = Self::one(best, lane);
        }
        best as f32
    }
    #[inline(always)]
    fn one(a: f64, b: f32) -> f64 {
        let b = f64::from(b);
        if b > a || b.is_nan() { b } else { a }
    }
}

impl Fold for Minimum {
    const IDENTITY: f32 = f32::INFINITY;
    const IDEMPOTENT: bool = true;
    #[inline(always)]
    fn vector<S: Simd>(s: S, a: S::V, b: S::V) -> S::V {
        s.select(s.eq(a, a), s.min(a, b), a)
    }
    #[inline(always)]
    fn lanes<S: Simd>(s: S, a: S::V) -> f32 {
        -Maximum::lanes(s, s.neg(a))
    }
    #[inline(always)]
    fn one(a: f64, b: f32) -> f64 {
        let b = f64::from(b);
        if b < a || b.is_nan() { b } else { a }
    }
}

/// Elements of a row that are added up in single precision, 64 lanes at a time.
const BLOCK: usize = 1024;

#[inline(always)]
fn row<S: Simd, F: Fold>(s: S, x: &[f32]) -> f32 {
    let mut total = f64::from(F::IDENTITY);
    if x.len() < S::LANES {
        for &value in x {
            total = F::one(total, value);
        }
        return total as f32;
    }
    for block in x.chunks(BLOCK) {
        let mut accumulators = [s.splat(F::IDENTITY); 4];
        let mut at = 0;
        while at + 4 * S::LANES <= block.len() {
            for (i, accumulator) in accumulators.iter_mut().enumerate() {
                *accumulator = F::vector(s, *accumulator, s.load_slice(&block[at + i * S::LANES..]));
            }
            at += 4 * S::LANES;
        }
        while at + S::LANES <= block.len() {
            accumulators[0] = F::vector(s, accumulators[0], s.load_slice(&block[at..]));
            at += S::LANES;
        }
        let rest = block.len() - at;
        if rest > 0 && F::IDEMPOTENT && block.len() >= S::LANES {
            let last = s.load_slice(&block[block.len() - S::LANES..]);
            accumulators[1] = F::vector(s, accumulators[1], last);
        } else if rest > 0 && F::IDEMPOTENT {
            for &value in &block[at..] {
                total = F::one(total, value);
            }
        } else if rest > 0 {
            accumulators[1] = F::vector(s, accumulators[1], s.load_slice(&block[at..]));
        }
        let low = F::vector(s, accumulators[0], accumulators[1]);
        let high = F::vector(s, accumulators[2], accumulators[3]);
        total = F::one(total, F::lanes(s, F::vector(s, low, high)));
    }
    total as f32
}

/// Folds `rows` rows of `out.len()` elements, `stride` apart, into `out`: eight rows at a time by a tree.
#[inline(always)]
fn rows_into<S: Simd, F: Fold>(s: S, x: &[f32], rows: usize, stride: usize, out: &mut [f32]) {
    let width = out.len();
    let mut r = 0;
    while r < rows {
        let eight = r + 8 <= rows;
        let mut c = 0;
        while c < width {
            let end = width.min(c + S::LANES);
            let mut sum = s.load_slice(&x[r * stride + c..r * stride + end]);
            if eight {
                let line = |i: usize| &x[(r + i) * stride + c..(r + i) * stride + end];
                let a = F::vector(s, sum, s.load_slice(line(1)));
                let b = F::vector(s, s.load_slice(line(2)), s.load_slice(line(3)));
                let d = F::vector(s, s.load_slice(line(4)), s.load_slice(line(5)));
                let e = F::vector(s, s.load_slice(line(6)), s.load_slice(line(7)));
                sum = F::vector(s, F::vector(s, a, b), F::vector(s, d, e));
            }
            if r > 0 {
                sum = F::vector(s, s.load_slice(&out[c..end]), sum);
            }
            s.store_slice(&mut out[c..end], sum);
            c = end;
        }
        r += if eight { 8 } else { 1 };
    }
}

/// Width up to which several short rows are read as one wide row.
const NARROW: usize = 32;
/// Floats of such a wide row.
const WIDE: usize = 128;

#[inline(always)]
fn columns<S: Simd, F: Fold>(s: S, x: &[f32], rows: usize, stride: usize, out: &mut [f32]) {
    let width = out.len();
    let times = if width <= NARROW && stride == width { WIDE / width } else { 1 };
    if times < 2 || rows < 2 * times {
        return rows_into::<S, F>(s, x, rows, stride, out);
    }
    let mut wide = [0f32; WIDE];
    let wide = &mut wide[..times * width];
    let whole = rows / times;
    rows_into::<S, F>(s, x, whole, times * width, wide);
    for (c, o) in out.iter_mut().enumerate() {
        let mut total = f64::from(F::IDENTITY);
        for i in 0..times {
            total = F::one(total, wide[i * width + c]);
        }
        for r in whole * times..rows {
            total = F::one(total, x[r * width + c]);
        }
        *o = total as f32;
    }
}

/// Columns that one task reduces.
const BAND: usize = 4096;
/// Elements that one task of the pool reads.
const TASK: usize = 32 * 1024;

/// The longest piece on the CPU: a row of 32 Ki elements, or as many short rows, but not so many that rounding shows.
pub(super) fn piece(inner: usize) -> usize {
    if inner == 1 { TASK } else { (TASK / inner).clamp(64, 2048) }
}

struct Range<'a, F> {
    pass: &'a Pass,
    x: &'a [f32],
    out: SharedPointer,
    range: std::ops::Range<usize>,
    fold: std::marker::PhantomData<F>,
}

impl<F: Fold> Kernel for Range<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pass { reduced, inner, piece, .. } = *self.pass;
        let (pieces, bands) = (self.pass.pieces(), inner.div_ceil(BAND));
        for task in self.range {
            let (block, band) = (task / bands, task % bands);
            let (o, first) = (block / pieces, block % pieces * piece);
            let rows = piece.min(reduced - first);
            let start = (o * reduced + first) * inner + band * BAND;
            let width = BAND.min(inner - band * BAND);
            let x = &self.x[start..start + (rows - 1) * inner + width];
            // SAFETY: `block * inner + band * BAND + width` is within the pass's output, and tasks write apart.
            let out = unsafe {
                std::slice::from_raw_parts_mut(self.out.get().add(block * inner + band * BAND), width)
            };
            if inner == 1 {
                out[0] = row::<S, F>(s, x);
            } else {
                columns::<S, F>(s, x, rows, inner, out);
            }
        }
    }
}

fn run_pass<F: Fold + Sync>(parallel: Parallel, pass: &Pass, x: &[f32], out: &mut [f32]) {
    let work = pass.outer * pass.reduced * pass.inner;
    let parallel = parallel.above(work, 16 * TASK);
    let tasks = pass.outer * pass.pieces() * pass.inner.div_ceil(BAND);
    let each = work.div_ceil(tasks);
    let out = SharedPointer(out.as_mut_ptr());
    for_each_chunk(parallel, tasks, TASK.div_ceil(each), |range| {
        dispatch(Range::<F> { pass, x, out, range, fold: std::marker::PhantomData });
    });
}

/// Reduces `x` of `shape` over `axes` into `out`. `scratch` holds what [`scratch`] says.
pub(super) fn reduce(
    parallel: Parallel,
    reduction: Reduction,
    (x, shape, axes): (&[f32], &[usize], &[usize]),
    out: &mut [f32],
    scratch: &mut [f32],
) {
    let passes = Passes::new(shape, axes, piece);
    let run = |pass: &Pass, x: &[f32], out: &mut [f32]| match reduction {
        Reduction::Sum => run_pass::<Sum>(parallel, pass, x, out),
        Reduction::Maximum => run_pass::<Maximum>(parallel, pass, x, out),
        Reduction::Minimum => run_pass::<Minimum>(parallel, pass, x, out),
    };
    let (mut even, mut odd) = scratch.split_at_mut(passes.between()[0]);
    let Some((last, before)) = passes.list().split_last() else {
        out.copy_from_slice(x);
        return;
    };
    for (i, pass) in before.iter().enumerate() {
        // Even passes write to the one buffer and read from the other.
        run(pass, if i == 0 { x } else { &*odd }, &mut even[..pass.outputs()]);
        std::mem::swap(&mut even, &mut odd);
    }
    run(last, if before.is_empty() { x } else { &*odd }, out);
}

/// Floats of scratch memory that [`reduce`] needs.
pub(super) fn scratch(shape: &[usize], axes: &[usize]) -> usize {
    Passes::new(shape, axes, piece).between().iter().sum()
}
