//! Products of few columns, or of few rows, whose sums run along contiguous memory on both sides: inner products of
//! rows of A with columns of B, lanes along `k`. A policy's head of 2 to 4 actions would leave most lanes of a tile
//! idle; a few rows times a transposed matrix would spend their time on packing it.

use super::Activation;
use super::driver::{Product, curve};
use crate::simd::{Kernel, Simd};
use std::cell::RefCell;

/// Rows that pass before the activation is applied.
const BLOCK_ROWS: usize = 64;
/// Sums shorter than this are not worth the addition across lanes at their end.
const LEAST_TERMS: usize = 32;

thread_local! {
    /// Columns of B, copied where they are not contiguous.
    static COLUMNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Whether a product is better computed this way.
pub(super) fn takes(p: &Product) -> bool {
    let few_columns = p.n <= 4 && p.m >= 4;
    let few_rows = p.m <= 8 && p.b_row == 1;
    p.a_column == 1 && p.k >= LEAST_TERMS && (few_columns || few_rows)
}

/// Computes a product that [`takes`] accepts.
#[inline(always)]
pub(super) fn run<S: Simd>(s: S, p: Product) {
    if p.b_row == 1 {
        return s.call(Dots { p, b: p.b, b_column: p.b_column });
    }
    COLUMNS.with_borrow_mut(|columns| {
        if columns.len() < p.n * p.k {
            columns.resize(p.n * p.k, 0.0);
        }
        for (j, column) in columns.chunks_exact_mut(p.k).take(p.n).enumerate() {
            for (t, x) in column.iter_mut().enumerate() {
                // SAFETY: `gemm` has checked the size of B.
                *x = unsafe { *p.b.add(t * p.b_row + j * p.b_column) };
            }
        }
        s.call(Dots { p, b: columns.as_ptr(), b_column: p.k });
    });
}

/// The product with contiguous columns of B.
struct Dots {
    p: Product,
    b: *const f32,
    b_column: usize,
}

impl Kernel for Dots {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Dots { p, .. } = self;
        for start in (0..p.m).step_by(BLOCK_ROWS) {
            let end = p.m.min(start + BLOCK_ROWS);
            let mut column = 0;
            while column < p.n {
                let columns = 4.min(p.n - column);
                let mut row = start;
                // Two rows keep eight sums going, enough to hide the latency of the additions.
                while row < end {
                    let rows = 2.min(end - row);
                    match (rows, columns) {
                        (2, 4) => self.square::<S, 2, 4>(s, row, column),
                        (2, 3) => self.square::<S, 2, 3>(s, row, column),
                        (2, 2) => self.square::<S, 2, 2>(s, row, column),
                        (2, _) => self.square::<S, 2, 1>(s, row, column),
                        (_, 4) => self.square::<S, 1, 4>(s, row, column),
                        (_, 3) => self.square::<S, 1, 3>(s, row, column),
                        (_, 2) => self.square::<S, 1, 2>(s, row, column),
                        (_, _) => self.square::<S, 1, 1>(s, row, column),
                    }
                    row += rows;
                }
                column += columns;
            }
            let c = p.c.wrapping_add(start * p.c_row);
            curve(s, p.activation, c, end - start, p.n, p.c_row);
        }
    }
}

impl Dots {
    /// `ROWS` rows of A with `COLUMNS` columns of B. The order of each sum is the same in every such square.
    #[inline(always)]
    fn square<S: Simd, const ROWS: usize, const COLUMNS: usize>(&self, s: S, row: usize, column: usize) {
        let p = &self.p;
        let mut sums = [[s.zero(); 4]; ROWS];
        // SAFETY: `gemm` has checked the sizes of A and C, `run` has made those of B.
        unsafe {
            let a = p.a.add(row * p.a_row);
            let b = self.b.add(column * self.b_column);
            let whole = p.k - p.k % S::LANES;
            let mut t = 0;
            while t < whole {
                let mut x = [s.zero(); ROWS];
                for i in 0..ROWS {
                    x[i] = s.load(a.add(i * p.a_row + t));
                }
                for j in 0..COLUMNS {
                    let y = s.load(b.add(j * self.b_column + t));
                    for i in 0..ROWS {
                        sums[i][j] = s.mul_add(x[i], y, sums[i][j]);
                    }
                }
                t += S::LANES;
            }
            if t < p.k {
                let lanes = p.k - t;
                for j in 0..COLUMNS {
                    let y = s.load_partial(b.add(j * self.b_column + t), lanes);
                    for i in 0..ROWS {
                        let x = s.load_partial(a.add(i * p.a_row + t), lanes);
                        sums[i][j] = s.mul_add(x, y, sums[i][j]);
                    }
                }
            }
            for i in 0..ROWS {
                let totals = s.reduce_add_4(sums[i]);
                let c = p.c.add((row + i) * p.c_row + column);
                for j in 0..COLUMNS {
                    let mut sum = totals[j];
                    if p.accumulate {
                        sum += *c.add(j);
                    }
                    if !p.bias.is_null() {
                        sum += *p.bias.add(column + j);
                    }
                    if p.activation == Activation::Relu && sum < 0.0 {
                        sum = 0.0;
                    }
                    *c.add(j) = sum;
                }
            }
        }
    }
}
