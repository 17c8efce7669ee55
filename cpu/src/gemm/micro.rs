//! The innermost loops: one tile of C held in registers while `k` runs.

use crate::simd::{Kernel, Simd};

/// How often a run of terms is repeated within one sum, and where the next one lies.
#[derive(Clone, Copy)]
pub(crate) struct Runs {
    /// How many there are.
    pub count: usize,
    /// From one to the next in A.
    pub a: usize,
    /// From one to the next in B.
    pub b: usize,
}

impl Runs {
    /// No repetition.
    pub const ONE: Runs = Runs { count: 1, a: 0, b: 0 };
}

/// Tiles of a product, one below the other: where they read, where they write.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// How many tiles.
    pub tiles: usize,
    /// Terms of every sum, in one run of memory.
    pub k: usize,
    /// Runs of `k` terms in a sum: the rows of a window.
    pub runs: Runs,
    /// Runs of runs: the images of a batch.
    pub outer: Runs,
    /// First element of the rows of A.
    pub a: *const f32,
    /// From a row of A to the next.
    pub a_row: usize,
    /// From a column of A to the next.
    pub a_column: usize,
    /// First element of the columns of B, which lie next to each other.
    pub b: *const f32,
    /// From a row of B to the next.
    pub b_row: usize,
    /// First element of the tile in C.
    pub c: *mut f32,
    /// From a row of C to the next.
    pub c_row: usize,
    /// Columns of the last vector that exist, 1 to `LANES`.
    pub last: usize,
    /// Whether the tile is added to what C holds.
    pub accumulate: bool,
    /// One value a column to add, or null.
    pub bias: *const f32,
    /// Whether negative results become zero.
    pub relu: bool,
}

/// Rows of a tile of 1, 2, 3 and 4 vectors' width: as many accumulators as leave registers for a row of B and one
/// value of A, and in one row at least 8 (two multiply-add units, four cycles each). Loops over more than 12 rows are not
/// unrolled, and then the sums are not held in registers: 24 rows of one vector of AVX-512 took six times as long.
pub(crate) const fn tile_rows<S: Simd>(vectors: usize) -> usize {
    match (S::REGISTERS, vectors) {
        (32.., 1) => 12,
        (32.., 2) => 12,
        (32.., 3) => 8,
        (32.., _) => 6,
        (16.., 1) => 12,
        (16.., 2) => 6,
        (16.., 3) => 3, // four rows fill all 16 registers, and the compiler spills one
        (16.., _) => 2,
        (_, 1) => 6,
        (_, _) => 2,
    }
}

/// How many vectors wide the next tile is where `left` vectors of a row of C remain.
#[inline(always)]
pub(crate) const fn tile_vectors<S: Simd>(rows: usize, left: usize) -> usize {
    match (S::REGISTERS, left) {
        (_, 1 | 2) => left,
        (32.., 5) => 3,
        (32.., _) => {
            if left < 4 {
                left
            } else {
                4
            }
        }
        (16.., 3) => 3,
        (16.., _) if rows <= 2 => 4,
        _ => 2,
    }
}

/// Terms from which on C is asked for before they are summed.
const FAR: usize = 128;
/// Floats of a line of the first-level cache.
pub(super) const LINE: usize = 16;

/// Rows of the highest tile of any set.
const MOST_ROWS: usize = 12;

/// The same pointer, of which the compiler knows nothing. Else it walks from row to row by additions that wait for
/// each other, which takes longer than the arithmetic.
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block)] // no memory is touched: there is no instruction
fn opaque(p: *const f32) -> *const f32 {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let p = {
        let mut same = p;
        // SAFETY: no instruction at all; the operand only makes the compiler forget where the pointer came from.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) same, options(pure, nomem, nostack, preserves_flags));
        }
        same
    };
    p
}

/// Asks for the cache line at `p`, which will be read and written.
#[inline(always)]
fn fetch(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this family has the instruction, and it reads nothing: any address will do.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Neighbouring tiles of `ROWS` rows and `VECTORS` vectors; `PARTIAL` where the last vector of B must not be read
/// whole.
struct Tiles<'a, const ROWS: usize, const VECTORS: usize, const PARTIAL: bool>(&'a Tile);

impl<const ROWS: usize, const VECTORS: usize, const PARTIAL: bool> Kernel
    for Tiles<'_, ROWS, VECTORS, PARTIAL>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let t = self.0;
        let (a_row, a_column, b_row, c_row) = (t.a_row, t.a_column, t.b_row, t.c_row);
        // SAFETY: the driver made the tile from operands whose sizes `gemm` has checked; packed panels are padded.
        // The pointers go past the end after the last step only, and are not read there.
        unsafe {
            for tile in 0..t.tiles {
                let mut sums = [[s.zero(); VECTORS]; ROWS];
                if t.k >= FAR {
                    // The sums meet C long after this: by then it lies in the first-level cache.
                    let c = t.c.wrapping_add(tile * ROWS * c_row);
                    for i in 0..ROWS {
                        for j in 0..VECTORS * S::LANES / LINE {
                            fetch(c.wrapping_add(i * c_row + j * LINE));
                        }
                    }
                }
                let (mut outer_a, mut outer_b) = (t.a.wrapping_add(tile * ROWS * a_row), t.b);
                for _ in 0..t.outer.count {
                    let (mut run_a, mut run_b) = (outer_a, outer_b);
                    for _ in 0..t.runs.count {
                        // One pointer for three rows, which the addressing of x86 reaches from it.
                        let mut a = [run_a; MOST_ROWS / 3];
                        for i in 0..ROWS.div_ceil(3) {
                            a[i] = opaque(run_a.wrapping_add(3 * i * a_row));
                        }
                        let mut b = run_b;
                        for _ in 0..t.k {
                            let mut row = [s.zero(); VECTORS];
                            for j in 0..VECTORS {
                                row[j] = if PARTIAL && j + 1 == VECTORS {
                                    s.load_partial(b.add(j * S::LANES), t.last)
                                } else {
                                    s.load(b.add(j * S::LANES))
                                };
                            }
                            for i in 0..ROWS {
                                let x = s.splat(*a[i / 3].add(i % 3 * a_row));
                                for j in 0..VECTORS {
                                    sums[i][j] = s.mul_add(x, row[j], sums[i][j]);
                                }
                            }
                            for i in 0..ROWS.div_ceil(3) {
                                a[i] = a[i].wrapping_add(a_column);
                            }
                            b = b.wrapping_add(b_row);
                        }
                        run_a = run_a.wrapping_add(t.runs.a);
                        run_b = run_b.wrapping_add(t.runs.b);
                    }
                    outer_a = outer_a.wrapping_add(t.outer.a);
                    outer_b = outer_b.wrapping_add(t.outer.b);
                }
                // Short loops of constant length, one thing each: they unroll, and the sums stay in registers.
                let c = t.c.wrapping_add(tile * ROWS * c_row);
                if t.accumulate {
                    for i in 0..ROWS {
                        for j in 0..VECTORS - 1 {
                            sums[i][j] = s.add(s.load(c.add(i * c_row + j * S::LANES)), sums[i][j]);
                        }
                    }
                    let c = c.add((VECTORS - 1) * S::LANES);
                    for i in 0..ROWS {
                        let old = s.load_partial(c.add(i * c_row), t.last);
                        sums[i][VECTORS - 1] = s.add(old, sums[i][VECTORS - 1]);
                    }
                }
                if !t.bias.is_null() {
                    for j in 0..VECTORS - 1 {
                        let bias = s.load(t.bias.add(j * S::LANES));
                        for i in 0..ROWS {
                            sums[i][j] = s.add(sums[i][j], bias);
                        }
                    }
                    let bias = s.load_partial(t.bias.add((VECTORS - 1) * S::LANES), t.last);
                    for i in 0..ROWS {
                        sums[i][VECTORS - 1] = s.add(sums[i][VECTORS - 1], bias);
                    }
                }
                if t.relu {
                    for i in 0..ROWS {
                        for j in 0..VECTORS {
                            sums[i][j] = s.max(s.zero(), sums[i][j]);
                        }
                    }
                }
                for i in 0..ROWS {
                    for j in 0..VECTORS - 1 {
                        s.store(c.add(i * c_row + j * S::LANES), sums[i][j]);
                    }
                }
                let c = c.add((VECTORS - 1) * S::LANES);
                if t.last == S::LANES {
                    for i in 0..ROWS {
                        s.store(c.add(i * c_row), sums[i][VECTORS - 1]);
                    }
                } else {
                    for i in 0..ROWS {
                        s.store_partial(c.add(i * c_row), sums[i][VECTORS - 1], t.last);
                    }
                }
            }
        }
    }
}

/// Computes `rows` rows of a panel, which `t` describes from its first row on, in all but equal tiles: 8 rows in
/// tiles of at most 6 are 4 and 4, not 6 and 2, because a tile of few rows leaves the processor waiting.
#[inline(always)]
pub(crate) fn panel<S: Simd>(s: S, rows: usize, vectors: usize, partial: bool, mut t: Tile) {
    let count = rows.div_ceil(tile_rows::<S>(vectors));
    let (height, higher) = (rows / count, rows % count);
    t.tiles = higher;
    tiles(s, height + 1, vectors, partial, &t);
    t.a = t.a.wrapping_add(higher * (height + 1) * t.a_row);
    t.c = t.c.wrapping_add(higher * (height + 1) * t.c_row);
    t.tiles = count - higher;
    tiles(s, height, vectors, partial, &t);
}

/// Computes `rows` rows of `columns` columns with B where it lies; `t` describes the first panel.
#[inline(always)]
pub(crate) fn panels<S: Simd>(s: S, rows: usize, columns: usize, t: &Tile) {
    let mut done = 0;
    while done < columns {
        let left = columns - done;
        let vectors = tile_vectors::<S>(rows, left.div_ceil(S::LANES));
        let width = vectors * S::LANES;
        let mut t = *t;
        t.b = t.b.wrapping_add(done);
        t.c = t.c.wrapping_add(done);
        if !t.bias.is_null() {
            t.bias = t.bias.wrapping_add(done);
        }
        t.last = if left >= width { S::LANES } else { left - (vectors - 1) * S::LANES };
        panel(s, rows, vectors, t.last < S::LANES, t);
        done += width;
    }
}

/// Computes neighbouring tiles of `rows <= tile_rows(vectors)` rows.
#[inline(always)]
fn tiles<S: Simd>(s: S, rows: usize, vectors: usize, partial: bool, t: &Tile) {
    if t.tiles == 0 {
        return;
    }
    match vectors {
        1 => rows_of::<S, 1>(s, rows, partial, t),
        2 => rows_of::<S, 2>(s, rows, partial, t),
        3 if const { S::REGISTERS >= 16 } => rows_of::<S, 3>(s, rows, partial, t),
        4 if const { S::REGISTERS >= 16 } => rows_of::<S, 4>(s, rows, partial, t),
        _ => unreachable!("tile_vectors gives no more"),
    }
}

#[inline(always)]
fn rows_of<S: Simd, const VECTORS: usize>(s: S, rows: usize, partial: bool, t: &Tile) {
    // The conditions are constants, so kernels that a set never uses are not even compiled.
    macro_rules! choose {
        ($($n:literal)*) => {$(
            if const { $n <= tile_rows::<S>(VECTORS) } {
                if rows == $n {
                    // SAFETY: `s` proves that the processor has the set.
                    return unsafe {
                        if partial {
                            s.entry::<Tiles<'_, $n, VECTORS, true>>()(Tiles(t))
                        } else {
                            s.entry::<Tiles<'_, $n, VECTORS, false>>()(Tiles(t))
                        }
                    };
                }
            }
        )*};
    }
    choose!(1 2 3 4 5 6 7 8 9 10 11 12);
    unreachable!("tile_rows gives no more");
}
