//! The loops around the tiles: blocks of columns, of `k`, of rows; what is packed and when.

use super::epilogue::Curve;
use super::micro::{LINE, Runs, Tile, panel, tile_vectors};
use super::{Activation, Kind, dots, gemv};
use crate::pool::SharedPointer;
use crate::simd::{Kernel, Simd};
use std::cell::Cell;

/// Terms that are summed in registers before C is touched. Part of the order of summation: never chosen by the
/// number of threads.
pub(super) const BLOCK_K: usize = 256;
/// Rows of A that pass a panel of B together at least; a multiple of every tile's height.
const BLOCK_ROWS: usize = 24;
/// Elements of A that pass a panel of B together at most where that is more: half of a first-level cache.
const BLOCK_A: usize = 4096;
/// Columns of B that rows of A pass one after another: with `BLOCK_K` rows a quarter of a megabyte, half of a small
/// second-level cache. A multiple of every set's vectors.
pub(super) const BLOCK_COLUMNS: usize = 256;
/// Rows of a piece at most. A copy of `BLOCK_K` terms of them and a block of B stay in the second-level cache.
pub(super) const PIECE_ROWS: usize = 8 * BLOCK_ROWS;
/// Rows of a piece at least.
pub(super) const LEAST_ROWS: usize = BLOCK_ROWS;

/// Elements of a block of B above which packing it pays where many rows pass: rows of B far apart fall into few
/// sets of the first-level cache and throw each other out.
const PACK_B: usize = 4096;
/// Elements of B that are packed before rows pass them, about: they stay in a third-level cache.
const PACKED_B: usize = 1 << 20;
/// Terms of a block from which on copying its rows of A pays, and panels of B are kept for all of them.
const LONG: usize = 128;
/// Floats by which copied rows of A are moved against each other: those of a tile then lie in different banks.
const SKEW: usize = 2;
/// Floats of the widest vector; packed rows are padded to it.
const WIDEST: usize = 16;

/// One product with checked operands, as pointers. Only `gemm_on` and `Panels` make one, of slices that they have checked
/// and that outlive it; a part of one stays within it. That is the reason of all unsafe code below and in the modules
/// beside this one.
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
    /// Packed panels of B: made once a thread, grown to the largest part.
    static PACKED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    /// Copied rows of A.
    static COPIED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Columns of B that are packed together, over all terms.
#[derive(Clone, Copy)]
pub(super) struct Part {
    column: usize,
    columns: usize,
}

impl Product {
    /// Whether rows of A pass packed panels of B. Reading B where it lies costs nothing when it stays in the
    /// first-level cache or passes only a few times.
    pub fn packs_b(&self) -> bool {
        self.b_column != 1 || (self.m > 2 * BLOCK_ROWS && self.k.min(BLOCK_K) * self.n > PACK_B)
    }

    /// The parts of B that are packed one after another.
    pub fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let n = self.n;
        let width = (PACKED_B / self.k.max(1) / BLOCK_COLUMNS).max(1) * BLOCK_COLUMNS;
        (0..n).step_by(width).map(move |column| Part { column, columns: width.min(n - column) })
    }

    /// Calls `body` with this thread's room for the packed panels of the largest part.
    pub fn with_packed(&self, body: impl FnOnce(&mut [f32])) {
        let width = self.parts().next().map_or(0, |part| padded(part.columns));
        let mut packed = PACKED.take();
        if packed.len() < width * self.k {
            packed.resize(width * self.k, 0.0);
        }
        body(&mut packed);
        PACKED.set(packed);
    }

    fn blocks_k(&self) -> usize {
        self.k.div_ceil(BLOCK_K).max(1)
    }
}

/// Columns of a part with their padding.
pub(super) fn padded(columns: usize) -> usize {
    columns.checked_next_multiple_of(WIDEST).unwrap_or(usize::MAX)
}

impl Part {
    /// Where the part starts among panels of all of B. All parts but the last have whole blocks.
    pub fn start(self, p: &Product) -> usize {
        self.column * p.k
    }

    /// Blocks of terms and columns, each packed by itself.
    pub fn blocks(self, p: &Product) -> usize {
        self.columns.div_ceil(BLOCK_COLUMNS) * p.blocks_k()
    }

    /// A block, and where its panels lie among the packed ones.
    fn block(self, p: &Product, index: usize) -> (Block, usize) {
        let across = self.columns.div_ceil(BLOCK_COLUMNS);
        let (start, done) = (index / across * BLOCK_K, index % across * BLOCK_COLUMNS);
        let block = Block::new(p, start, self.column + done, BLOCK_COLUMNS.min(self.columns - done));
        (block, start * padded(self.columns) + done * block.terms)
    }
}

/// Packs one block of a part. `packed` is the whole part's room, of which only the block's panels are written.
pub(super) struct Pack {
    pub p: Product,
    pub part: Part,
    pub index: usize,
    pub packed: SharedPointer,
}

impl Kernel for Pack {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (q, at) = self.part.block(&self.p, self.index);
        let size = q.terms * q.columns.next_multiple_of(S::LANES);
        // SAFETY: `with_packed` made room for all blocks, which lie apart from each other; each is packed by one caller.
        let out = unsafe { std::slice::from_raw_parts_mut(self.packed.get().add(at), size) };
        s.call(PackB { p: self.p, q, out });
    }
}

/// Some rows of the product with a packed part of B.
pub(super) struct Piece<'a> {
    pub p: Product,
    pub part: Part,
    pub packed: &'a [f32],
    pub row: usize,
    /// At most `PIECE_ROWS`.
    pub rows: usize,
}

impl Kernel for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Piece { p, part, packed, row, rows } = self;
        let across = part.columns.div_ceil(BLOCK_COLUMNS);
        let mut copied = COPIED.take();
        for index in 0..part.blocks(&p) {
            let (q, at) = part.block(&p, index);
            let left = Left::new(&p, &q, row, rows, part.columns, &mut copied, index % across == 0);
            let panels = &packed[at..at + q.terms * q.columns.next_multiple_of(S::LANES)];
            s.call(Rows { p, q, row, rows, packed: Some(panels), left });
        }
        COPIED.set(copied);
    }
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
        if p.packs_b() {
            return p.with_packed(|packed| {
                for part in p.parts() {
                    for index in 0..part.blocks(&p) {
                        s.call(Pack { p, part, index, packed: SharedPointer(packed.as_mut_ptr()) });
                    }
                    let mut row = 0;
                    while row < p.m {
                        let rows = even_share(p.m - row, PIECE_ROWS);
                        s.call(Piece { p, part, packed, row, rows });
                        row += rows;
                    }
                }
            });
        }
        let mut copied = COPIED.take();
        let mut row = 0;
        while row < p.m {
            let rows = even_share(p.m - row, PIECE_ROWS);
            for block in 0..p.blocks_k() {
                let q = Block::new(&p, block * BLOCK_K, 0, p.n);
                let left = Left::new(&p, &q, row, rows, p.n, &mut copied, true);
                s.call(Rows { p, q, row, rows, packed: None, left });
            }
            row += rows;
        }
        COPIED.set(copied);
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

impl Block {
    fn new(p: &Product, start: usize, column: usize, columns: usize) -> Block {
        let last = start + BLOCK_K >= p.k;
        let bias = if last && !p.bias.is_null() { p.bias.wrapping_add(column) } else { std::ptr::null() };
        Block {
            columns,
            terms: BLOCK_K.min(p.k - start),
            a: p.a.wrapping_add(start * p.a_column),
            b: p.b.wrapping_add(start * p.b_row + column * p.b_column),
            c: p.c.wrapping_add(column),
            accumulate: p.accumulate || start > 0,
            bias,
            activation: if last { p.activation } else { Activation::None },
        }
    }
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

/// Rows of A, where they lie or where they were copied to.
#[derive(Clone, Copy)]
struct Left {
    a: *const f32,
    row: usize,
    column: usize,
}

impl Left {
    /// `rows` rows of A from `row` on, for a block that `columns` columns pass; copied to `room` where that pays and they
    /// are not there yet (`fresh`).
    #[inline(always)]
    fn new(
        p: &Product,
        q: &Block,
        row: usize,
        rows: usize,
        columns: usize,
        room: &mut Vec<f32>,
        fresh: bool,
    ) -> Left {
        let a = q.a.wrapping_add(row * p.a_row);
        // Rows of a tile whose distance is a multiple of a cache line are read from one bank of the first-level cache,
        // one after the other; those that are a large power of two apart share few of its sets as well, and terms far
        // apart few entries of the table of pages.
        let rows_apart = p.a_column == 1 && p.a_row.is_multiple_of(LINE) && q.terms >= LONG;
        let terms_apart = p.a_row == 1 && p.a_column >= 256;
        if q.terms == 0 || columns < 128 || !(rows_apart || terms_apart) {
            return Left { a, row: p.a_row, column: p.a_column };
        }
        // In the order in which they lie: rows of terms, or terms of rows.
        let (runs, length, step, apart) = match p.a_column {
            1 => (rows, q.terms, p.a_row, q.terms.next_multiple_of(LINE) + SKEW),
            _ => (q.terms, rows, p.a_column, rows),
        };
        if fresh {
            if room.len() < PIECE_ROWS * (BLOCK_K + SKEW) {
                room.resize(PIECE_ROWS * (BLOCK_K + SKEW), 0.0);
            }
            for (i, to) in room.chunks_exact_mut(apart).take(runs).enumerate() {
                // SAFETY: these rows and terms lie within A, whose size `gemm` has checked.
                let from = unsafe { std::slice::from_raw_parts(a.add(i * step), length) };
                to[..length].copy_from_slice(from);
            }
        }
        let (row, column) = if p.a_column == 1 { (apart, 1) } else { (1, apart) };
        Left { a: room.as_ptr(), row, column }
    }
}

/// `rows` rows of one block, from `row` on.
struct Rows<'a> {
    p: Product,
    q: Block,
    row: usize,
    rows: usize,
    packed: Option<&'a [f32]>,
    /// The first of the rows.
    left: Left,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Rows { p, q, row: first, rows: all, packed, left } = self;
        // Long panels fill most of the first-level cache: they stay there while all rows stream past them from the second.
        // Short ones leave room for a block of rows, which stays while panels pass.
        let stream = packed.is_some() && q.terms >= LONG;
        let many = !stream && p.n > 2 * S::LANES;
        let block_rows = if many { (BLOCK_A / q.terms.max(1) / 24 * 24).max(BLOCK_ROWS) } else { all };
        let mut past = 0;
        while past < all {
            let (row, rows) = (first + past, even_share(all - past, block_rows));
            let a = left.a.wrapping_add(past * left.row);
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
                    a_row: left.row,
                    a_column: left.column,
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
            past += rows;
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
