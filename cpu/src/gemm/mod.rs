//! The single-precision product of matrices, `C = activation(A B + bias)` or `C = activation(C + A B + bias)`.
//!
//! A and B may have any strides, which covers transposes and slices; C is row-major. What lives here: the check of
//! the operands and the cutting into pieces (this file), the loops and the packing (`driver`), tiles in registers
//! (`micro`), products with a vector (`gemv`) or of few rows or columns (`dots`), bias and activation (`epilogue`). Sums run over `k` in blocks of a
//! fixed length whatever the tiles, the pieces and the threads are, so the result is the same to the bit.
//!
//! The plan of the loops is that of Goto and van de Geijn, *Anatomy of High-Performance Matrix Multiplication*
//! (2008), less the packing that does not pay at the sizes of small networks.

mod dots;
mod driver;
mod epilogue;
mod gemv;
pub(super) mod micro;
#[cfg(test)]
mod tests;

use super::pool::{Parallel, SharedPointer, for_each_chunk};
use super::simd::{Isa, dispatch_on};
use crate::{Misfit, Result};
use driver::{BLOCK_COLUMNS, BLOCK_K, LEAST_ROWS, PIECE_ROWS, Pack, Piece, Product};
pub use epilogue::{Activation, Curve, Epilogue};
use std::cell::Cell;

/// Multiply-adds above which the pool is used where it may be.
const POOL_WORK: usize = 600_000;
/// Pieces of a large product for each thread.
const PIECES: usize = 4;
/// Elements from which on packing is shared.
const PACK_WORK: usize = 1 << 16;
/// Multiply-adds of a piece at least.
const PIECE_WORK: usize = 200_000;

/// A matrix to read: element `(i, j)` is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Where the elements lie.
    pub data: &'a [f32],
    /// From one row to the next.
    pub row_stride: usize,
    /// From one column to the next.
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Of no elements.
    const NOTHING: Matrix<'static> = Matrix { data: &[], row_stride: 0, column_stride: 0 };

    /// A row-major matrix of rows of `columns` elements.
    pub fn row_major(data: &'a [f32], columns: usize) -> Self {
        Matrix { data, row_stride: columns, column_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Matrix { data: self.data, row_stride: self.column_stride, column_stride: self.row_stride }
    }
}

/// Many products of one size: how many, and how far apart the operands of neighbours lie (0 where they share one).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Number of products.
    pub count: usize,
    /// From one A to the next.
    pub a: usize,
    /// From one B to the next.
    pub b: usize,
    /// From one C to the next; may be less than a row's length where the rows interleave (heads of attention).
    pub c: usize,
    /// From one bias to the next.
    pub bias: usize,
}

/// `c = activation(a b + bias)`, `a` of `[m, k]`, `b` of `[k, n]`, `c` row-major `[m, n]` with rows `ldc` apart; the
/// product is added to what `c` holds where `accumulate` is set. One thread.
///
/// ```
/// use synod_cpu::gemm::{Epilogue, Matrix, gemm};
///
/// let (a, b, mut c) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0], [0.0; 2]);
/// let (a, b) = (Matrix::row_major(&a, 2), Matrix::row_major(&b, 1));
/// gemm(2, 1, 2, a, b, &mut c, 1, false, Epilogue::NONE)?;
/// assert_eq!(c, [17.0, 39.0]);
/// # Ok::<(), synod_cpu::Misfit>(())
/// ```
///
/// # Errors
/// [`Misfit`] where an operand is too short for its sizes and strides, or where neither A nor B holds as many as `k`
/// elements: sums may run over elements that lie in one place, but only over as many as are there in the other operand.
#[allow(clippy::too_many_arguments)] // the sizes and operands of the product, as in BLAS
pub fn gemm(
    m: usize,
    n: usize,
    k: usize,
    a: Matrix,
    b: Matrix,
    c: &mut [f32],
    ldc: usize,
    accumulate: bool,
    epilogue: Epilogue,
) -> Result<()> {
    let batch = Batch { count: 1, ..Batch::default() };
    gemm_batched(batch, m, n, k, a, b, c, ldc, accumulate, epilogue, Parallel::Serial)
}

/// [`gemm`] for every member of a batch, on the pool where `parallel` allows and the work is worth it. The result is
/// the same to the bit as that of one thread.
///
/// # Errors
/// As [`gemm`], and where the products of the batch would overlap in `c`.
#[allow(clippy::too_many_arguments)] // as gemm
pub fn gemm_batched(
    batch: Batch,
    m: usize,
    n: usize,
    k: usize,
    a: Matrix,
    b: Matrix,
    c: &mut [f32],
    ldc: usize,
    accumulate: bool,
    epilogue: Epilogue,
    parallel: Parallel,
) -> Result<()> {
    gemm_on(Isa::best(), batch, m, n, k, a, b, c, ldc, accumulate, epilogue, parallel)
}

/// [`gemm_batched`] on a given instruction set.
#[allow(clippy::too_many_arguments)] // as gemm
fn gemm_on(
    isa: Isa,
    mut batch: Batch,
    mut m: usize,
    n: usize,
    k: usize,
    mut a: Matrix,
    mut b: Matrix,
    c: &mut [f32],
    ldc: usize,
    accumulate: bool,
    epilogue: Epilogue,
    parallel: Parallel,
) -> Result<()> {
    check(&batch, (m, n, k), &a, &b, c.len(), ldc, &epilogue)?;
    if batch.count == 0 || m == 0 || n == 0 {
        return Ok(());
    }
    if k == 0 {
        // Nothing is read: steps that were not checked lead nowhere.
        (a, b) = (Matrix::NOTHING, Matrix::NOTHING);
        (batch.a, batch.b) = (0, 0);
    }
    // Members that share B and lie one after the other are the rows of one product.
    let one_bias = epilogue.bias.is_none() || batch.bias == 0;
    if batch.count > 1
        && m > 1
        && batch.b == 0
        && one_bias
        && batch.a == m * a.row_stride
        && batch.c == m * ldc
    {
        m *= batch.count;
        batch.count = 1;
    }
    let mut product = Product {
        kind: Kind::Tiles,
        m,
        n,
        k,
        a: a.data.as_ptr(),
        a_row: a.row_stride,
        a_column: a.column_stride,
        b: b.data.as_ptr(),
        b_row: b.row_stride,
        b_column: b.column_stride,
        c: c.as_mut_ptr(),
        c_row: ldc,
        accumulate,
        bias: epilogue.bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
        activation: epilogue.activation,
    };
    product.kind = match gemv::kind(&product) {
        Some(kind) => kind,
        None if dots::takes(&product) => Kind::Dots,
        None => Kind::Tiles,
    };
    let work = m.saturating_mul(n).saturating_mul(k.max(1));
    if parallel.above(work.saturating_mul(batch.count), POOL_WORK) == Parallel::Serial {
        for i in 0..batch.count {
            dispatch_on(isa, member(product, &batch, i));
        }
    } else if batch.count > 1 {
        let lots = batch.count.div_ceil(2 * PIECES * rayon::current_num_threads());
        for_each_chunk(parallel, batch.count, lots.max(PIECE_WORK.div_ceil(work)), |range| {
            range.for_each(|i| dispatch_on(isa, member(product, &batch, i)));
        });
    } else {
        in_pieces(isa, product);
    }
    Ok(())
}

/// A matrix B packed once for many products with few rows each: the steps of a recurrent layer.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    k: usize,
    n: usize,
    packed: &'a [f32],
}

impl<'a> Panels<'a> {
    /// Floats that the panels of a `[k, n]` matrix take; `usize::MAX`, which no slice has, where that is out of range.
    pub fn room(k: usize, n: usize) -> usize {
        driver::padded(n).saturating_mul(k)
    }

    /// Packs `b` into `room`, which has at least [`Panels::room`] floats.
    ///
    /// # Errors
    /// As [`gemm`].
    pub fn pack(k: usize, n: usize, b: Matrix, room: &'a mut [f32], parallel: Parallel) -> Result<Self> {
        if room.len() < Self::room(k, n) || !fits(b.data.len(), k, n, b) {
            return Err(Misfit(format!("gemm: no panels of [{k}, {n}] from {} floats", b.data.len())));
        }
        if k == 0 {
            return Ok(Panels { k, n, packed: room });
        }
        let p = Self::product(k, n, Some(b));
        for part in p.parts() {
            let packed = SharedPointer(room[part.start(&p)..].as_mut_ptr());
            let parallel = parallel.above(k * n, PACK_WORK);
            for_each_chunk(parallel, part.blocks(&p), 1, |blocks| {
                blocks.for_each(|index| dispatch_on(Isa::best(), Pack { p, part, index, packed }));
            });
        }
        Ok(Panels { k, n, packed: room })
    }

    /// Panels that [`Panels::pack`] has written before.
    pub fn of(k: usize, n: usize, packed: &'a [f32]) -> Self {
        Panels { k, n, packed }
    }

    /// `c = a b + bias`, or `c = c + a b + bias`, with `a` of `[m, k]`. One thread.
    ///
    /// # Errors
    /// As [`gemm`].
    pub fn multiply(
        &self,
        m: usize,
        a: Matrix,
        c: &mut [f32],
        ldc: usize,
        accumulate: bool,
        bias: Option<&[f32]>,
    ) -> Result<()> {
        let Panels { k, n, packed } = *self;
        let whole = packed.len() >= Self::room(k, n)
            && fits(a.data.len(), m, k, a)
            && fits(c.len(), m, n, Matrix { data: &[], row_stride: ldc, column_stride: 1 })
            && (m <= 1 || ldc >= n)
            && bias.is_none_or(|bias| bias.len() >= n);
        if !whole {
            return Err(Misfit(format!("gemm: operands too short for m {m}, n {n}, k {k}, ldc {ldc}")));
        }
        if m == 0 {
            return Ok(());
        }
        let a = if k == 0 { Matrix::NOTHING } else { a };
        let p = Product {
            a: a.data.as_ptr(),
            a_row: a.row_stride,
            a_column: a.column_stride,
            c: c.as_mut_ptr(),
            c_row: ldc,
            accumulate,
            bias: bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
            ..Self::product(k, n, None)
        };
        for part in p.parts() {
            let packed = &packed[part.start(&p)..];
            for row in (0..m).step_by(PIECE_ROWS) {
                let rows = PIECE_ROWS.min(m - row);
                dispatch_on(Isa::best(), Piece { p, part, packed, row, rows });
            }
        }
        Ok(())
    }

    /// What panels depend on. The number of rows, which decides their width, is always that of a whole piece.
    fn product(k: usize, n: usize, b: Option<Matrix>) -> Product {
        let (b, b_row, b_column) =
            b.map_or((std::ptr::null(), 0, 0), |b| (b.data.as_ptr(), b.row_stride, b.column_stride));
        Product {
            kind: Kind::Tiles,
            m: PIECE_ROWS,
            n,
            k,
            a: std::ptr::null(),
            a_row: 0,
            a_column: 0,
            b,
            b_row,
            b_column,
            c: std::ptr::null_mut(),
            c_row: 0,
            accumulate: false,
            bias: std::ptr::null(),
            activation: Activation::None,
        }
    }
}

/// Whether `len` elements hold a matrix of these sizes and strides.
fn fits(len: usize, rows: usize, columns: usize, matrix: Matrix) -> bool {
    let last = |count: usize, stride: usize| (count - 1).checked_mul(stride);
    rows == 0
        || columns == 0
        || last(rows, matrix.row_stride)
            .zip(last(columns, matrix.column_stride))
            .and_then(|(r, c)| r.checked_add(c))
            .is_some_and(|end| end < len)
}

/// The way a product is computed. Chosen for the whole, before it is cut into pieces: each has its own order of
/// summation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A row of A with a matrix.
    RowVector,
    /// A matrix with a column of B.
    ColumnVector,
    /// Rows of A with columns of B, both contiguous.
    Dots,
    /// Tiles of C.
    Tiles,
}

/// The product of one member of a batch.
fn member(mut p: Product, batch: &Batch, i: usize) -> Product {
    p.a = p.a.wrapping_add(i * batch.a);
    p.b = p.b.wrapping_add(i * batch.b);
    p.c = p.c.wrapping_add(i * batch.c);
    if !p.bias.is_null() {
        p.bias = p.bias.wrapping_add(i * batch.bias);
    }
    p
}

/// One large product on the pool: pieces of C, or blocks of `k` where C is small and the sums are long.
fn in_pieces(isa: Isa, p: Product) {
    let blocks = p.k.div_ceil(BLOCK_K);
    if p.kind == Kind::Tiles && p.m * p.n <= 64 * 1024 && blocks >= 8 && blocks * 16 * 1024 > p.m * p.n {
        return split_terms(isa, &p);
    }
    if p.kind == Kind::Tiles && p.packs_b() {
        return with_shared_panels(isa, p);
    }
    // How they are cut changes no sum.
    let columns = if p.m < 48 { 64 } else { p.n };
    let across = p.n.div_ceil(columns);
    let pieces = (PIECES * rayon::current_num_threads()).div_ceil(across);
    let rows = PIECE_WORK
        .div_ceil(columns.min(p.n).saturating_mul(p.k.max(1)))
        .max(p.m.div_ceil(pieces))
        .next_multiple_of(24);
    let down = p.m.div_ceil(rows);
    for_each_chunk(Parallel::Pool, across * down, 1, |range| {
        for i in range {
            let (row, column) = (i / across * rows, i % across * columns);
            let mut q = p;
            q.m = rows.min(p.m - row);
            q.n = columns.min(p.n - column);
            q.a = p.a.wrapping_add(row * p.a_row);
            q.b = p.b.wrapping_add(column * p.b_column);
            q.c = p.c.wrapping_add(row * p.c_row + column);
            if !p.bias.is_null() {
                q.bias = p.bias.wrapping_add(column);
            }
            dispatch_on(isa, q);
        }
    });
}

/// A product whose B is packed: once for all threads, by all, and then passed by pieces of rows.
fn with_shared_panels(isa: Isa, p: Product) {
    let even = p.m.div_ceil(PIECES * rayon::current_num_threads());
    let height = even.next_multiple_of(LEAST_ROWS).min(PIECE_ROWS);
    p.with_packed(|packed| {
        for part in p.parts() {
            let to = SharedPointer(packed.as_mut_ptr());
            for_each_chunk(Parallel::Pool, part.blocks(&p), 1, |blocks| {
                blocks.for_each(|index| dispatch_on(isa, Pack { p, part, index, packed: to }));
            });
            let packed = &*packed;
            for_each_chunk(Parallel::Pool, p.m, height, |rows| {
                dispatch_on(isa, Piece { p, part, packed, row: rows.start, rows: rows.len() });
            });
        }
    });
}

thread_local! {
    /// Partial sums of `split_terms`, kept for the next run.
    static PARTIAL: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Blocks of `k` side by side into partial sums, which are then added in order: what one thread does one after the
/// other, hence the same bits.
fn split_terms(isa: Isa, p: &Product) {
    let size = p.m * p.n;
    let blocks = p.k.div_ceil(BLOCK_K);
    let wave = (4 * 1024 * 1024 / size).clamp(2, 64);
    let mut partial = PARTIAL.take();
    if partial.len() < wave.min(blocks) * size {
        partial.resize(wave.min(blocks) * size, 0.0);
    }
    for start in (0..blocks).step_by(wave) {
        let count = wave.min(blocks - start);
        for_each_chunk_of(&mut partial[..count * size], size, |i, part| {
            let term = (start + i) * BLOCK_K;
            let mut q = *p;
            q.k = BLOCK_K.min(p.k - term);
            q.a = p.a.wrapping_add(term * p.a_column);
            q.b = p.b.wrapping_add(term * p.b_row);
            q.c = part.as_mut_ptr();
            q.c_row = p.n;
            q.accumulate = false;
            q.bias = std::ptr::null();
            q.activation = Activation::None;
            dispatch_on(isa, q);
        });
        let c = SharedPointer(p.c);
        let last = start + count == blocks;
        let sums = &partial;
        for_each_chunk(Parallel::Pool, p.m, (16 * 1024 / p.n).max(1), |rows| {
            for i in rows {
                // SAFETY: each row of C belongs to one piece, and its size was checked.
                let row = unsafe { std::slice::from_raw_parts_mut(c.get().add(i * p.c_row), p.n) };
                if start == 0 && !p.accumulate {
                    row.copy_from_slice(&sums[i * p.n..][..p.n]);
                }
                for block in usize::from(start == 0 && !p.accumulate)..count {
                    let part = &sums[block * size + i * p.n..][..p.n];
                    row.iter_mut().zip(part).for_each(|(c, x)| *c += x);
                }
                if last {
                    if !p.bias.is_null() {
                        // SAFETY: the bias has `n` values.
                        let bias = unsafe { std::slice::from_raw_parts(p.bias, p.n) };
                        row.iter_mut().zip(bias).for_each(|(c, x)| *c += x);
                    }
                    dispatch_on(isa, Curve { activation: p.activation, x: row });
                }
            }
        });
    }
    PARTIAL.set(partial);
}

/// Calls `body` on the pieces of `width` of a slice, on the pool.
fn for_each_chunk_of(out: &mut [f32], width: usize, body: impl Fn(usize, &mut [f32]) + Sync + Send) {
    super::pool::for_each_chunk_mut(Parallel::Pool, out, width, 1, |range, part| body(range.start, part));
}

/// Refuses operands that are too short.
fn check(
    batch: &Batch,
    (m, n, k): (usize, usize, usize),
    a: &Matrix,
    b: &Matrix,
    c: usize,
    ldc: usize,
    epilogue: &Epilogue,
) -> Result<()> {
    if batch.count == 0 || m == 0 || n == 0 {
        return Ok(());
    }
    let last = batch.count - 1;
    let fault =
        |what: &str| Err(Misfit(format!("gemm: {what} for m {m}, n {n}, k {k}, batch {batch:?}, ldc {ldc}")));
    let fits = |len: usize, steps: [(usize, usize); 3]| {
        let end = steps
            .iter()
            .try_fold(1usize, |end, &(count, stride)| end.checked_add(count.checked_mul(stride)?));
        end.is_some_and(|end| end <= len)
    };
    // Packed panels have a block of columns for every term.
    if k > a.data.len().max(b.data.len()) || k > isize::MAX as usize / size_of::<f32>() / BLOCK_COLUMNS {
        return fault("neither A nor B has as many terms");
    }
    if k > 0 && !fits(a.data.len(), [(m - 1, a.row_stride), (k - 1, a.column_stride), (last, batch.a)]) {
        return fault("A is too short");
    }
    if k > 0 && !fits(b.data.len(), [(k - 1, b.row_stride), (n - 1, b.column_stride), (last, batch.b)]) {
        return fault("B is too short");
    }
    if !fits(c, [(m - 1, ldc), (n - 1, 1), (last, batch.c)]) {
        return fault("C is too short");
    }
    if !epilogue.bias.is_none_or(|bias| fits(bias.len(), [(n - 1, 1), (last, batch.bias), (0, 0)])) {
        return fault("the bias is too short");
    }
    // Members one after the other, or rows of the members in turn. The products cannot overflow: C holds them.
    let apart = batch.c >= (m - 1) * ldc + n || batch.c >= n && (m == 1 || ldc >= last * batch.c + n);
    if m > 1 && ldc < n || last > 0 && !apart {
        return fault("the rows of C overlap");
    }
    Ok(())
}
