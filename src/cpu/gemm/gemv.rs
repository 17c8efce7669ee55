//! Products of a matrix and a vector: nothing is used twice, so nothing is tiled; memory is read in its own order.

use super::driver::Product;
use super::epilogue::Curve;
use super::{Activation, Kind};
use crate::cpu::simd::Simd;

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

/// Results kept on the stack between the sums and the epilogue.
const BLOCK: usize = 64;

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
    let mut sums = [0.0; BLOCK];
    for start in (0..v.outputs).step_by(BLOCK) {
        let count = BLOCK.min(v.outputs - start);
        // SAFETY: `gemm` has checked the sizes of the operands and of C.
        unsafe {
            let matrix = v.matrix.wrapping_add(start * v.output_step);
            let sums = &mut sums[..count];
            if v.output_step == 1 {
                along_outputs(s, &v, matrix, sums);
            } else {
                along_terms(s, &v, matrix, sums);
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
///
/// # Safety
/// The view and `matrix` must describe memory that can be read.
#[inline(always)]
unsafe fn along_outputs<S: Simd>(s: S, v: &View, matrix: *const f32, sums: &mut [f32]) {
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

/// Neighbouring terms lie next to each other: lanes are parts of one sum.
///
/// # Safety
/// The view and `matrix` must describe memory that can be read.
#[inline(always)]
unsafe fn along_terms<S: Simd>(s: S, v: &View, matrix: *const f32, sums: &mut [f32]) {
    let mut j = 0;
    while j < sums.len() {
        let from = matrix.wrapping_add(j * v.output_step);
        // SAFETY: the caller vouches for the memory; as many outputs as are asked for are left.
        unsafe {
            if sums.len() - j >= 4 {
                let four = dots::<S, 4>(s, v, from);
                sums[j..j + 4].copy_from_slice(&four);
                j += 4;
            } else {
                sums[j] = dots::<S, 1>(s, v, from)[0];
                j += 1;
            }
        }
    }
}

/// `COUNT` inner products with `x`; the order of each sum is the same for every `COUNT`.
///
/// # Safety
/// As [`along_terms`].
#[inline(always)]
unsafe fn dots<S: Simd, const COUNT: usize>(s: S, v: &View, matrix: *const f32) -> [f32; COUNT] {
    let mut sums = [s.zero(); COUNT];
    let mut more = [s.zero(); COUNT];
    let mut t = 0;
    // SAFETY: the caller vouches for `terms` values of x and of every column.
    unsafe {
        while t + 2 * S::LANES <= v.terms {
            let (x0, x1) = (terms_of_x(s, v, t, S::LANES), terms_of_x(s, v, t + S::LANES, S::LANES));
            for i in 0..COUNT {
                let column = matrix.add(i * v.output_step + t);
                sums[i] = s.mul_add(x0, s.load(column), sums[i]);
                more[i] = s.mul_add(x1, s.load(column.add(S::LANES)), more[i]);
            }
            t += 2 * S::LANES;
        }
        while t < v.terms {
            let lanes = S::LANES.min(v.terms - t);
            let x = terms_of_x(s, v, t, lanes);
            for i in 0..COUNT {
                let column = matrix.add(i * v.output_step + t);
                let column = if lanes == S::LANES { s.load(column) } else { s.load_partial(column, lanes) };
                sums[i] = s.mul_add(x, column, sums[i]);
            }
            t += lanes;
        }
    }
    let mut out = [0.0; COUNT];
    if COUNT == 4 {
        let all: [S::V; 4] = [
            s.add(sums[0], more[0]),
            s.add(sums[1 % COUNT], more[1 % COUNT]),
            s.add(sums[2 % COUNT], more[2 % COUNT]),
            s.add(sums[3 % COUNT], more[3 % COUNT]),
        ];
        out.copy_from_slice(&s.reduce_add_4(all));
    } else {
        for i in 0..COUNT {
            out[i] = s.reduce_add(s.add(sums[i], more[i]));
        }
    }
    out
}

/// `lanes` terms of x from `t` on.
///
/// # Safety
/// As [`along_terms`]; the terms must exist.
#[inline(always)]
unsafe fn terms_of_x<S: Simd>(s: S, v: &View, t: usize, lanes: usize) -> S::V {
    // SAFETY: the caller vouches for the terms.
    unsafe {
        if v.x_step == 1 {
            let x = v.x.add(t);
            return if lanes == S::LANES { s.load(x) } else { s.load_partial(x, lanes) };
        }
        let mut values = [0.0; 16];
        for (i, value) in values[..lanes].iter_mut().enumerate() {
            *value = *v.x.add((t + i) * v.x_step);
        }
        s.load_slice(&values)
    }
}
