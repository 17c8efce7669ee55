//! Products of a matrix and a vector: nothing is used twice, so nothing is tiled; memory is read in its own order.

use super::driver::Product;
use super::epilogue::Curve;
use super::{Activation, Kind};
use crate::simd::{Kernel, Simd};
use std::cell::RefCell;

/// Whether a product has a vector for an operand and an order of memory that can be read by vectors, and which.
pub(super) fn kind(p: &Product) -> Option<Kind> {
    if p.m == 1 && (p.b_row == 1 || p.b_column == 1) {
        Some(Kind::RowVector)
    } else if p.n == 1 && (p.a_row == 1 || p.a_column == 1) {
        Some(Kind::ColumnVector)
    } else {
        None
    }
}

thread_local! {
    /// The vector, copied where its elements are not next to each other.
    static X: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Results kept on the stack between the sums and the epilogue.
const BLOCK: usize = 64;
/// The same where rows of the matrix are read as they lie.
const LONG_BLOCK: usize = 512;
/// Rows of the matrix that are read at once, and how far apart they lie at least: from nearer ones the first-level cache
/// fetches by itself what a few columns need.
const ROWS: usize = 8;
const APART: usize = 128;

/// `y[j] = sum over p of x[p] * matrix[p, j]`.
struct View {
    outputs: usize,
    terms: usize,
    x: *const f32,
    x_step: usize,
    matrix: *const f32,
    term_step: usize,
    output_step: usize,
    y: *mut f32,
    y_step: usize,
}

/// Computes a product of a kind that [`kind`] gave.
#[inline(always)]
pub(super) fn run<S: Simd>(s: S, p: Product) {
    let of_row = p.kind == Kind::RowVector;
    let v = if of_row {
        View {
            outputs: p.n,
            terms: p.k,
            x: p.a,
            x_step: p.a_column,
            matrix: p.b,
            term_step: p.b_row,
            output_step: p.b_column,
            y: p.c,
            y_step: 1,
        }
    } else {
        View {
            outputs: p.m,
            terms: p.k,
            x: p.b,
            x_step: p.b_row,
            matrix: p.a,
            term_step: p.a_column,
            output_step: p.a_row,
            y: p.c,
            y_step: p.c_row,
        }
    };
    if v.output_step != 1 && v.x_step != 1 {
        return X.with_borrow_mut(|x| {
            x.clear();
            // SAFETY: `gemm` has checked the size of the vector.
            x.extend((0..v.terms).map(|t| unsafe { *v.x.add(t * v.x_step) }));
            blocks(s, p, View { x: x.as_ptr(), x_step: 1, ..v });
        });
    }
    blocks(s, p, v);
}

/// All outputs, in blocks.
#[inline(always)]
fn blocks<S: Simd>(s: S, p: Product, v: View) {
    // What a product is cut into has the rows of the whole, so that the order of the sums does not depend on it.
    let long = v.output_step == 1 && v.term_step >= APART && v.terms >= ROWS;
    match long {
        true => blocks_of::<S, LONG_BLOCK>(s, p, v, true),
        false => blocks_of::<S, BLOCK>(s, p, v, false),
    }
}

#[inline(always)]
fn blocks_of<S: Simd, const LENGTH: usize>(s: S, p: Product, v: View, long: bool) {
    let of_row = p.kind == Kind::RowVector;
    let mut sums = [0.0; LENGTH];
    for start in (0..v.outputs).step_by(LENGTH) {
        let count = LENGTH.min(v.outputs - start);
        // SAFETY: `gemm` has checked the sizes of the operands and of C.
        unsafe {
            let matrix = v.matrix.wrapping_add(start * v.output_step);
            let sums = &mut sums[..count];
            if long {
                s.call(AlongRows { v: &v, matrix, sums });
            } else if v.output_step == 1 {
                s.call(AlongOutputs { v: &v, matrix, sums });
            } else {
                s.call(AlongTerms { v: &v, matrix, sums });
            }
            let y = v.y.wrapping_add(start * v.y_step);
            for (j, sum) in sums.iter_mut().enumerate() {
                if p.accumulate {
                    *sum += *y.add(j * v.y_step);
                }
                if !p.bias.is_null() {
                    *sum += *p.bias.add(if of_row { start + j } else { 0 });
                }
            }
            if p.activation != Activation::None {
                s.call(Curve { activation: p.activation, x: sums });
            }
            for (j, sum) in sums.iter().enumerate() {
                *y.add(j * v.y_step) = *sum;
            }
        }
    }
}

/// Neighbouring outputs lie next to each other: sums are lanes.
struct AlongOutputs<'a> {
    v: &'a View,
    matrix: *const f32,
    sums: &'a mut [f32],
}

impl Kernel for AlongOutputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AlongOutputs { v, matrix, sums } = self;
        let mut j = 0;
        while sums.len() - j >= 4 * S::LANES {
            // Two chains of four vectors: even and odd terms.
            let mut even = [s.zero(); 4];
            let mut odd = [s.zero(); 4];
            // SAFETY: the caller vouches for the memory; `4 * LANES` outputs are left.
            unsafe {
                let mut row = matrix.wrapping_add(j);
                let mut t = 0;
                while t + 2 <= v.terms {
                    let (x0, x1) = (s.splat(*v.x.add(t * v.x_step)), s.splat(*v.x.add((t + 1) * v.x_step)));
                    let next = row.add(v.term_step);
                    for i in 0..4 {
                        even[i] = s.mul_add(x0, s.load(row.add(i * S::LANES)), even[i]);
                        odd[i] = s.mul_add(x1, s.load(next.add(i * S::LANES)), odd[i]);
                    }
                    row = row.wrapping_add(2 * v.term_step);
                    t += 2;
                }
                if t < v.terms {
                    let x = s.splat(*v.x.add(t * v.x_step));
                    for i in 0..4 {
                        even[i] = s.mul_add(x, s.load(row.add(i * S::LANES)), even[i]);
                    }
                }
            }
            for i in 0..4 {
                s.store_slice(&mut sums[j + i * S::LANES..], s.add(even[i], odd[i]));
            }
            j += 4 * S::LANES;
        }
        while j < sums.len() {
            let lanes = S::LANES.min(sums.len() - j);
            let mut even = s.zero();
            let mut odd = s.zero();
            for t in 0..v.terms {
                // SAFETY: the caller vouches for the memory; `lanes` outputs are left.
                unsafe {
                    let x = s.splat(*v.x.add(t * v.x_step));
                    let row = matrix.wrapping_add(j + t * v.term_step);
                    let row = if lanes == S::LANES { s.load(row) } else { s.load_partial(row, lanes) };
                    if t % 2 == 0 {
                        even = s.mul_add(x, row, even);
                    } else {
                        odd = s.mul_add(x, row, odd);
                    }
                }
            }
            s.store_slice(&mut sums[j..j + lanes], s.add(even, odd));
            j += lanes;
        }
    }
}

/// As [`AlongOutputs`], a few whole rows at a time: long runs of memory, which the processor fetches ahead.
struct AlongRows<'a> {
    v: &'a View,
    matrix: *const f32,
    sums: &'a mut [f32],
}

impl Kernel for AlongRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AlongRows { v, matrix, sums } = self;
        for first in (0..v.terms).step_by(ROWS) {
            let count = ROWS.min(v.terms - first);
            let rows = matrix.wrapping_add(first * v.term_step);
            let mut x = [s.zero(); ROWS];
            for i in 0..count {
                // SAFETY: the caller vouches for the values.
                x[i] = s.splat(unsafe { *v.x.add((first + i) * v.x_step) });
            }
            let mut j = 0;
            while j < sums.len() {
                let lanes = S::LANES.min(sums.len() - j);
                let mut sum = if first == 0 { s.zero() } else { s.load_slice(&sums[j..j + lanes]) };
                // SAFETY: the caller vouches for the rows; `lanes` outputs are left.
                unsafe {
                    if count == ROWS && lanes == S::LANES {
                        for i in 0..ROWS {
                            sum = s.mul_add(x[i], s.load(rows.add(i * v.term_step + j)), sum);
                        }
                    } else {
                        for i in 0..count {
                            let row = s.load_partial(rows.add(i * v.term_step + j), lanes);
                            sum = s.mul_add(x[i], row, sum);
                        }
                    }
                }
                s.store_slice(&mut sums[j..j + lanes], sum);
                j += S::LANES;
            }
        }
    }
}

/// Neighbouring terms lie next to each other: lanes are parts of one sum.
struct AlongTerms<'a> {
    v: &'a View,
    matrix: *const f32,
    sums: &'a mut [f32],
}

impl Kernel for AlongTerms<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AlongTerms { v, matrix, sums } = self;
        let (terms, step) = (v.terms, v.output_step);
        let mut column = matrix;
        let mut fours = sums.chunks_exact_mut(4);
        // SAFETY: the caller vouches for `terms` values of x and of as many columns as there are sums.
        unsafe {
            for four in &mut fours {
                four.copy_from_slice(&s.reduce_add_4(dots::<S, 4>(s, terms, v.x, column, step)));
                column = column.wrapping_add(4 * step);
            }
            for one in fours.into_remainder() {
                *one = s.reduce_add(dots::<S, 1>(s, terms, v.x, column, step)[0]);
                column = column.wrapping_add(step);
            }
        }
    }
}

/// `COUNT` inner products of `x` with neighbouring columns, not yet added up across lanes; the order of each sum is
/// the same for every `COUNT`.
///
/// # Safety
/// x and the columns must have `terms` values each.
#[inline(always)]
unsafe fn dots<S: Simd, const COUNT: usize>(
    s: S,
    terms: usize,
    x: *const f32,
    column: *const f32,
    step: usize,
) -> [S::V; COUNT] {
    let mut even = [s.zero(); COUNT];
    let mut odd = [s.zero(); COUNT];
    let mut t = 0;
    // SAFETY: the caller vouches for the values.
    unsafe {
        while t + 2 * S::LANES <= terms {
            let (x0, x1) = (s.load(x.add(t)), s.load(x.add(t + S::LANES)));
            for i in 0..COUNT {
                even[i] = s.mul_add(x0, s.load(column.add(i * step + t)), even[i]);
                odd[i] = s.mul_add(x1, s.load(column.add(i * step + t + S::LANES)), odd[i]);
            }
            t += 2 * S::LANES;
        }
        while t < terms {
            let lanes = S::LANES.min(terms - t);
            let x = s.load_partial(x.add(t), lanes);
            for i in 0..COUNT {
                even[i] = s.mul_add(x, s.load_partial(column.add(i * step + t), lanes), even[i]);
            }
            t += lanes;
        }
    }
    for i in 0..COUNT {
        even[i] = s.add(even[i], odd[i]);
    }
    even
}
