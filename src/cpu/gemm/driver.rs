//! The loops around the tiles: blocks of columns, of `k`, of rows; what is packed and when.

use super::epilogue::Curve;
use super::micro::{Runs, Tile, panel, tile_vectors};
use super::{Activation, Kind, dots, gemv};
use crate::cpu::simd::{Kernel, Simd};
use std::cell::RefCell;

/// Terms that are summed in registers before C is touched. Part of the order of summation: never chosen by the
/// number of threads.
pub(super) const BLOCK_K: usize = 256;
/// Rows of A that pass a panel of B together at least; a multiple of every tile's height.
const BLOCK_ROWS: usize = 24;
/// Elements of A that pass a panel of B together at most where that is more: half of a first-level cache.
const BLOCK_A: usize = 4096;
/// Columns of B that are packed at once: with `BLOCK_K` rows a quarter of a megabyte, half of a small L2 cache.
const BLOCK_COLUMNS: usize = 256;

/// Elements of a block of B above which packing it pays where many rows pass: rows of B far apart fall into few
/// sets of the first-level cache and throw each other out.
const PACK_B: usize = 4096;

/// Elements of a block of A at most, for its copy.
const PACK_A: usize = if BLOCK_A > BLOCK_ROWS * BLOCK_K { BLOCK_A } else { BLOCK_ROWS * BLOCK_K };

/// One product with checked operands, as pointers.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub kind: Kind,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: *const f32,
    pub a_row: usize,
    pub a_column: usize,
    pub b: *const f32,
    pub b_row: usize,
    pub b_column: usize,
    pub c: *mut f32,
    pub c_row: usize,
    pub accumulate: bool,
    pub bias: *const f32,
    pub activation: Activation,
}

// SAFETY: pieces of a product that go to other threads write to disjoint parts of C and only read the rest.
unsafe impl Send for Product {}
// SAFETY: as above.
unsafe impl Sync for Product {}

thread_local! {
    /// Packed panels: made once a thread, grown to the largest block.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Kernel for Product {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let p = self;
        if p.m == 0 || p.n == 0 {
            return;
        }
        match p.kind {
            Kind::RowVector | Kind::ColumnVector => return gemv::run(s, p),
            Kind::Dots => return dots::run(s, p),
            Kind::Tiles => {}
        }
        // Reading B where it lies costs nothing when it stays in the first-level cache or passes only a few times.
        let pack_b = p.b_column != 1 || (p.m > 2 * BLOCK_ROWS && p.k.min(BLOCK_K) * p.n > PACK_B);
        let block_columns = if pack_b { BLOCK_COLUMNS } else { p.n };
        let blocks_k = p.k.div_ceil(BLOCK_K).max(1);
        for column in (0..p.n).step_by(block_columns) {
            let columns = block_columns.min(p.n - column);
            for block in 0..blocks_k {
                let (start, last) = (block * BLOCK_K, block + 1 == blocks_k);
                let q = Block {
                    columns,
                    terms: BLOCK_K.min(p.k - start),
                    a: p.a.wrapping_add(start * p.a_column),
                    b: p.b.wrapping_add(start * p.b_row + column * p.b_column),
                    c: p.c.wrapping_add(column),
                    accumulate: p.accumulate || block > 0,
                    bias: if last && !p.bias.is_null() {
                        p.bias.wrapping_add(column)
                    } else {
                        std::ptr::null()
                    },
                    activation: if last { p.activation } else { Activation::None },
                };
                if pack_b {
                    SCRATCH.with_borrow_mut(|scratch| {
                        let size = q.terms * columns.next_multiple_of(S::LANES);
                        if scratch.len() < size + PACK_A {
                            scratch.resize(size + PACK_A, 0.0);
                        }
                        let (panels, rows) = scratch.split_at_mut(size);
                        s.call(PackB { p, q, out: panels });
                        // Elements of A whose distance is a large power of two share few sets of the first-level
                        // cache, and those far apart few entries of the table of pages.
                        let rows_apart = p.a_column == 1 && p.a_row > q.terms && p.a_row.is_multiple_of(256);
                        let terms_apart = p.a_row == 1 && p.a_column >= 256;
                        let pack_a = q.terms > 0 && columns >= 128 && (rows_apart || terms_apart);
                        let rows = pack_a.then_some(rows);
                        s.call(Rows { p, q, packed: Some(panels), left: rows });
                    });
                } else {
                    s.call(Rows { p, q, packed: None, left: None });
                }
            }
        }
    }
}

/// One block of columns and of `k`.
#[derive(Clone, Copy)]
struct Block {
    columns: usize,
    terms: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    accumulate: bool,
    bias: *const f32,
    activation: Activation,
}

/// Copies a block of B into panels as wide as the tiles, padded with zeros.
struct PackB<'a> {
    p: Product,
    q: Block,
    out: &'a mut [f32],
}

impl Kernel for PackB<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let PackB { p, q, out } = self;
        let mut done = 0;
        while done < q.columns {
            let vectors = tile_vectors::<S>(p.m, (q.columns - done).div_ceil(S::LANES));
            let width = vectors * S::LANES;
            let real = width.min(q.columns - done);
            let panel = &mut out[done * q.terms..(done + width) * q.terms];
            let from = q.b.wrapping_add(done * p.b_column);
            // SAFETY: `terms` rows of `real` columns lie within B, whose size `gemm` has checked.
            unsafe {
                if p.b_column == 1 {
                    for (t, row) in panel.chunks_exact_mut(width).enumerate() {
                        let from = from.add(t * p.b_row);
                        for j in (0..real).step_by(S::LANES) {
                            let v = if real - j >= S::LANES {
                                s.load(from.add(j))
                            } else {
                                s.load_partial(from.add(j), real - j)
                            };
                            s.store_slice(&mut row[j..j + S::LANES], v);
                        }
                    }
                } else {
                    let whole = if p.b_row == 1 { q.terms - q.terms % S::LANES } else { 0 };
                    let squares = if whole > 0 { real - real % S::LANES } else { 0 };
                    for t in (0..whole).step_by(S::LANES) {
                        for j in (0..squares).step_by(S::LANES) {
                            let to = panel[t * width + j..].as_mut_ptr();
                            s.transpose(from.add(t + j * p.b_column), p.b_column, to, width);
                        }
                    }
                    for (t, row) in panel.chunks_exact_mut(width).enumerate() {
                        let from = from.add(t * p.b_row);
                        let first = if t < whole { squares } else { 0 };
                        for (j, out) in row.iter_mut().enumerate().skip(first) {
                            *out = if j < real { *from.add(j * p.b_column) } else { 0.0 };
                        }
                    }
                }
            }
            done += width;
        }
    }
}

/// All rows of one block.
struct Rows<'a> {
    p: Product,
    q: Block,
    packed: Option<&'a [f32]>,
    /// Where rows of A are copied next to each other before they pass the panels.
    left: Option<&'a mut [f32]>,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Rows { p, q, packed, mut left } = self;
        let many = p.n > 2 * S::LANES;
        let block_rows = if many { (BLOCK_A / q.terms.max(1) / 24 * 24).max(BLOCK_ROWS) } else { p.m };
        let mut row = 0;
        while row < p.m {
            let rows = even_share(p.m - row, block_rows);
            let (mut a, mut a_row, mut a_column) = (q.a.wrapping_add(row * p.a_row), p.a_row, p.a_column);
            if let Some(copy) = &mut left {
                // In the order in which they lie: rows of terms, or terms of rows.
                let (runs, length, step) =
                    if a_column == 1 { (rows, q.terms, a_row) } else { (q.terms, rows, a_column) };
                for (i, to) in copy.chunks_exact_mut(length).take(runs).enumerate() {
                    // SAFETY: these rows and terms lie within A, whose size `gemm` has checked.
                    to.copy_from_slice(unsafe { std::slice::from_raw_parts(a.add(i * step), length) });
                }
                (a_row, a_column) = if a_column == 1 { (length, 1) } else { (1, length) };
                a = copy.as_ptr();
            }
            let mut done = 0;
            while done < q.columns {
                let rest = q.columns - done;
                let vectors = tile_vectors::<S>(p.m, rest.div_ceil(S::LANES));
                let width = vectors * S::LANES;
                let last = if rest >= width { S::LANES } else { rest - (vectors - 1) * S::LANES };
                let (b, b_row) = match packed {
                    Some(panels) => (panels[done * q.terms..].as_ptr(), width),
                    None => (q.b.wrapping_add(done), p.b_row),
                };
                let partial = packed.is_none() && last < S::LANES;
                let t = Tile {
                    tiles: 0,
                    k: q.terms,
                    runs: Runs::ONE,
                    outer: Runs::ONE,
                    a,
                    a_row,
                    a_column,
                    b,
                    b_row,
                    c: q.c.wrapping_add(row * p.c_row + done),
                    c_row: p.c_row,
                    last,
                    accumulate: q.accumulate,
                    bias: if q.bias.is_null() { q.bias } else { q.bias.wrapping_add(done) },
                    relu: q.activation == Activation::Relu,
                };
                panel(s, rows, vectors, partial, t);
                done += width;
            }
            curve(s, q.activation, q.c.wrapping_add(row * p.c_row), rows, q.columns, p.c_row);
            row += rows;
        }
    }
}

/// Applies an activation that takes a pass of its own to rows that were just written.
#[inline(always)]
pub(super) fn curve<S: Simd>(s: S, f: Activation, c: *mut f32, rows: usize, columns: usize, c_row: usize) {
    if !f.is_curved() {
        return;
    }
    // SAFETY: the rows of C were just written by the caller.
    unsafe {
        if columns == c_row {
            s.call(Curve { activation: f, x: std::slice::from_raw_parts_mut(c, rows * columns) });
        } else {
            for i in 0..rows {
                s.call(Curve { activation: f, x: std::slice::from_raw_parts_mut(c.add(i * c_row), columns) });
            }
        }
    }
}

/// The first of the shares of `left` things in as few lots of at most `most` as there can be, all but equal.
#[inline(always)]
fn even_share(left: usize, most: usize) -> usize {
    left.div_ceil(left.div_ceil(most))
}
