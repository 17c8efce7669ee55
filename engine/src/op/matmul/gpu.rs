//! Which kernel a product of matrices gets on a GPU, and how it is launched.
//!
//! Every kernel takes all transposes, lanes with their strides, sizes that are no multiple of anything, a bias and an
//! activation. All but [`Kernel::Thin`] cut long sums into parts where the output alone would not fill a device, and
//! add the parts in order in a second launch. No kernel needs more than the 256 invocations and 16 KiB of workgroup
//! memory that every device of WebGPU has.
//!
//! Floats read from memory by a multiply-add (two operations), where all sizes fit; a read of workgroup memory is of
//! four floats. "Memory" is the bytes of workgroup memory at most, with both operands by terms.
//!
//! | kernel | a workgroup computes | from device memory | reads of workgroup memory | memory | for |
//! |---|---|---|---|---|---|
//! | `Thin` | 64 elements | 2 (mostly from the cache) | - | 0 | sums of up to four terms; few elements of a short sum |
//! | `Vectors` | 16 KiB of the matrix at a time, for up to 4 vectors | 1 / vectors | - | 4 to 16 KiB | one row or column: acting, value heads |
//! | `Tile8` | 16 lanes of 8 x 8 | 1/4 | 1/8 | 12 KiB | a small product an agent |
//! | `Tile16` | 4 lanes of 16 x 16 | 1/8 | 1/8 | 10 KiB | the same |
//! | `Tile32` | 32 x 32 | 1/16 | 1/8 | 9 KiB | up to 32 on a side, and where larger tiles would be too few |
//! | `Tall`, `Wide` | 128 x 16, 16 x 128 | 9/128 | 1/8 | 11.3 KiB | many rows to a few actions, and its gradient |
//! | `Tile64` | 64 x 64 | 1/32 | 1/8 | 10 KiB | the middle |
//! | `Tile128` | 128 x 128 | 1/64 | 1/16 | 12 KiB | large products |
//!
//! What limits them: a card with 10 to 20 operations a byte of its memory (an H100 in f32: 67 TFLOP/s over 3.35 TB/s,
//! 20) needs a float read for 40 to 80 operations, that is 20 to 40 multiply-adds, to be busy. `Thin` and `Vectors` are
//! limited by memory whatever they do (`Vectors` reads its matrix once, which is the least). The tiles up to 32 lean on
//! the cache that neighbouring tiles share, and are limited by latency: they have few invocations, and exist so that
//! small work is spread over more of the device. `Tile64` is limited by reads of workgroup memory: two vectors for 16
//! multiply-adds, where a card delivers about 32 floats and computes 128 multiply-adds a clock, so that half of the peak
//! is in reach, and more where invocations that read the same are served at once. `Tile128` reads four vectors for 64
//! multiply-adds, which is the balance; its 64 sums an invocation leave room for 256 to 512 invocations on a processor
//! of 65 536 registers.

use super::template::expand;
use super::{Matmul, Plan};
use crate::error::{Error, Result};
use crate::graph::{GpuCall, GpuLimits, GpuPlan, Op};
use crate::op::product::{LANE_DIMENSIONS, OWN, Product, Tile, splits};

const COMMON: &str = concat!(
    include_str!("../../../shaders/special.wgsl"),
    include_str!("../../../shaders/elementwise.wgsl"),
    include_str!("../../../shaders/product.wgsl"),
);
const ACCESS: &str = include_str!("../../../shaders/matmul.wgsl");
const THIN: &str = include_str!("../../../shaders/matmul_thin.wgsl");
const TILE: &str = include_str!("../../../shaders/matmul_tile.wgsl");
const VECTORS: &str = include_str!("../../../shaders/matmul_gemv.wgsl");

/// Vectors that [`Kernel::Vectors`] takes.
const MOST_VECTORS: usize = 4;
/// Terms from which on it pays to share a sum between invocations.
const SHARED: usize = 32;
/// Terms up to which every element is best computed on its own.
const FEW_TERMS: usize = 4;
/// Workgroups below which a smaller tile makes better use of a device.
const ENOUGH: usize = 48;
/// Workgroups that tiles of 128 x 128 must come to, and the parts of a sum that may count for it: parts of so large a
/// tile are costly to add.
const ENOUGH_LARGE: usize = 128;
const PARTS_OF_LARGE: usize = 4;

/// A kernel for products of matrices on a GPU. [`Kernel::choose`] picks one; see the table in the source of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// One invocation an element.
    Thin,
    /// Up to four rows times a matrix, or a matrix times up to four columns, sums shared by invocations.
    Vectors,
    /// Tiles of 8 x 8, those of 16 lanes in a workgroup.
    Tile8,
    /// Tiles of 16 x 16, those of 4 lanes in a workgroup.
    Tile16,
    /// Tiles of 32 x 32.
    Tile32,
    /// Tiles of 128 x 16.
    Tall,
    /// Tiles of 16 x 128.
    Wide,
    /// Tiles of 64 x 64.
    Tile64,
    /// Tiles of 128 x 128.
    Tile128,
}

/// How a tile is shared out: blocks of 4 x 4 along each side of what an invocation holds, invocations down and across,
/// terms of a step, lanes of a workgroup.
struct Shares {
    quads: usize,
    down: usize,
    across: usize,
    step: usize,
    lanes: usize,
}

impl Shares {
    fn tile(&self) -> Tile {
        let side = 4 * self.quads;
        Tile { sides: [side * self.down, side * self.across], step: self.step, lanes: self.lanes }
    }

    fn invocations(&self) -> usize {
        self.down * self.across * self.lanes
    }

    /// Bytes of workgroup memory, with both operands by terms.
    fn bytes(&self) -> usize {
        let tile = self.tile();
        16 * (self.step / 4 + 1) * (tile.sides[0] + tile.sides[1]) * self.lanes
    }
}

impl Kernel {
    /// All of them.
    pub const ALL: [Kernel; 9] = [
        Kernel::Thin,
        Kernel::Vectors,
        Kernel::Tile8,
        Kernel::Tile16,
        Kernel::Tile32,
        Kernel::Tall,
        Kernel::Wide,
        Kernel::Tile64,
        Kernel::Tile128,
    ];

    fn shares(self) -> Option<Shares> {
        let (quads, down, across, step, lanes) = match self {
            Kernel::Thin | Kernel::Vectors => return None,
            Kernel::Tile8 => (1, 2, 2, 8, 16),
            Kernel::Tile16 => (1, 4, 4, 16, 4),
            Kernel::Tile32 => (1, 8, 8, 32, 1),
            Kernel::Tall => (1, 32, 4, 16, 1),
            Kernel::Wide => (1, 4, 32, 16, 1),
            Kernel::Tile64 => (1, 16, 16, 16, 1),
            Kernel::Tile128 => (2, 16, 16, 8, 1),
        };
        Some(Shares { quads, down, across, step, lanes })
    }

    /// Whether it can compute products of `[m, k]` and `[k, n]` on such a device.
    pub fn fits(self, m: usize, n: usize, limits: &GpuLimits) -> bool {
        let (invocations, bytes) = match self.shares() {
            Some(shares) => (shares.invocations(), shares.bytes()),
            None if self == Kernel::Thin => (64, 0),
            None => (256, 4096 * m.min(n)),
        };
        let small = self != Kernel::Vectors || m.min(n) <= MOST_VECTORS;
        small && invocations <= limits.invocations as usize && bytes <= limits.workgroup_bytes as usize
    }

    /// The kernel for `lanes` products of `[m, k]` and `[k, n]`. A function of the sizes and the limits only.
    pub fn choose(m: usize, n: usize, k: usize, lanes: usize, limits: &GpuLimits) -> Kernel {
        let (short, long) = (m.min(n), m.max(n));
        // With long sums cut as they will be.
        let workgroups = |kernel: Kernel, most: usize| {
            let tiles: usize = kernel.shares().map_or(0, |s| s.tile().count(m, n, lanes).iter().product());
            tiles * splits(tiles, k).min(most)
        };
        // Four of the next smaller tiles must not do with less than three quarters of the work.
        let full = |side: usize| {
            let area = |side: usize| m.next_multiple_of(side) * n.next_multiple_of(side);
            3 * area(side) <= 4 * area(side / 2)
        };
        let kernel = match () {
            () if k <= FEW_TERMS || (short <= MOST_VECTORS && k < SHARED) => Kernel::Thin,
            () if short <= MOST_VECTORS => Kernel::Vectors,
            () if long <= 8 => Kernel::Tile8,
            () if long <= 16 => Kernel::Tile16,
            () if long <= 32 => Kernel::Tile32,
            () if short <= 16 && m > n => Kernel::Tall,
            () if short <= 16 => Kernel::Wide,
            () if short <= 32 => Kernel::Tile32,
            () if full(128) && workgroups(Kernel::Tile128, PARTS_OF_LARGE) >= ENOUGH_LARGE => Kernel::Tile128,
            () if workgroups(Kernel::Tile64, usize::MAX) >= ENOUGH => Kernel::Tile64,
            () => Kernel::Tile32,
        };
        let smaller = [kernel, Kernel::Tile64, Kernel::Tile32];
        smaller.into_iter().find(|kernel| kernel.fits(m, n, limits)).unwrap_or(Kernel::Thin)
    }
}

/// An operand as kernels see it: whether terms lie side by side, from line to line, and whether four elements are read
/// at a time.
struct Lines {
    by_terms: bool,
    pitch: usize,
    vector: bool,
}

/// An operand of `lines` x `side`, where `side` elements lie side by side.
fn lines(by_terms: bool, side: usize) -> Lines {
    Lines { by_terms, pitch: side, vector: side.is_multiple_of(4) }
}

/// How the product is launched.
pub(super) fn launches(op: &Matmul, plan: &Plan, call: &GpuCall<'_>) -> Result<GpuPlan> {
    let Plan { m, n, k, ref batch } = *plan;
    if batch.len() > LANE_DIMENSIONS {
        let (needed, most) = (batch.len() as u64, LANE_DIMENSIONS as u64);
        return Err(call.limit(op, "leading dimensions that cannot be merged", needed, most));
    }
    let lanes = batch.iter().map(|d| d[0]).product();
    let kernel = match op.kernel {
        Some(kernel) if kernel.fits(m, n, call.limits) => kernel,
        Some(kernel) => {
            let name = op.name();
            return Err(Error::Graph(format!("{name}: {kernel:?} does not fit [{m}, {k}] x [{k}, {n}]")));
        }
        None => Kernel::choose(m, n, k, lanes, call.limits),
    };
    let (ta, tb) = (op.transpose_a, op.transpose_b);
    let launch = Launching { op, call, lanes, plan };
    match kernel {
        Kernel::Thin => {
            let [a_row, a_term] = if ta { [1, m] } else { [k, 1] };
            let [b_term, b_column] = if tb { [1, k] } else { [n, 1] };
            let product = launch.product([0, 1], [1, 1], [a_row, a_term, b_term, b_column]);
            let text = [COMMON, &expand(ACCESS, &[]), THIN].concat();
            Ok(product.simple(call, text.into(), "thin", 64).into())
        }
        Kernel::Vectors => launch.vectors(ta, tb),
        _ => match kernel.shares() {
            Some(shares) => launch.tiles(&shares, ta, tb),
            None => Err(Error::Graph(format!("{}: {kernel:?} has no tiles", op.name()))),
        },
    }
}

struct Launching<'a, 'c> {
    op: &'a Matmul,
    plan: &'a Plan,
    call: &'a GpuCall<'c>,
    lanes: usize,
}

impl Launching<'_, '_> {
    /// The product with these operands as first and second, these elements from line to line, and what the kernel needs.
    fn product(&self, operands: [usize; 2], pitches: [usize; 2], needs: [usize; 4]) -> Product {
        let Plan { m, n, k, ref batch } = *self.plan;
        let mut own = [[0u32; 4]; OWN];
        own[0] = [pitches[0], pitches[1], self.lanes, batch.len()].map(|x| x as u32);
        own[1] = needs.map(|x| x as u32);
        for (own, dimension) in own[2..].iter_mut().zip(batch) {
            let strides = operands.map(|operand| dimension[1 + operand]);
            *own = [dimension[0], strides[0], strides[1], 0].map(|x| x as u32);
        }
        let (bias, activation) = (self.op.bias, self.op.activation);
        Product { m, n, k, lanes: self.lanes, bias, activation, operands, own }
    }

    fn tiles(&self, shares: &Shares, ta: bool, tb: bool) -> Result<GpuPlan> {
        let Plan { m, n, k, .. } = *self.plan;
        let a = if ta { lines(false, m) } else { lines(true, k) };
        let b = if tb { lines(true, k) } else { lines(false, n) };
        let tile = shares.tile();
        let (invocations, vectors) =
            (shares.down * shares.across, tile.sides.map(|side| side * shares.step / 4));
        let number = |x: usize| x as u32;
        let values = [
            ("QUADS", number(shares.quads)),
            ("DOWN", number(shares.down)),
            ("ACROSS", number(shares.across)),
            ("STEP", number(shares.step)),
            ("LANES", number(shares.lanes)),
            ("a_by_terms", a.by_terms.into()),
            ("b_by_terms", b.by_terms.into()),
            ("a_vector", a.vector.into()),
            ("b_vector", b.vector.into()),
            ("out_vector", (!b.by_terms && b.vector).into()),
            ("loads_a", number(vectors[0].div_ceil(invocations))),
            ("loads_b", number(vectors[1].div_ceil(invocations))),
            ("a_partly", (vectors[0] % invocations > 0).into()),
            ("b_partly", (vectors[1] % invocations > 0).into()),
        ];
        let text = expand(&[COMMON, ACCESS, TILE].concat(), &values);
        let product = self.product([0, 1], [a.pitch, b.pitch], [0; 4]);
        product.tiled(self.op, self.call, (text.into(), "tile"), Vec::new(), tile)
    }

    fn vectors(&self, ta: bool, tb: bool) -> Result<GpuPlan> {
        let Plan { m, n, k, .. } = *self.plan;
        // The side with fewer is that of the vectors: rows of the first operand, or columns of the second.
        let columns = n < m;
        let (count, outputs) = if columns { (n, m) } else { (m, n) };
        let vectors_by_terms = if columns { tb } else { !ta };
        let matrix_by_terms = if columns { !ta } else { tb };
        // A single vector lies side by side however it is called.
        let by_terms = vectors_by_terms || count == 1;
        let a = lines(by_terms, if by_terms { k } else { count });
        let b = lines(matrix_by_terms, if matrix_by_terms { k } else { outputs });
        let strands = (k / 4).next_power_of_two().clamp(8, 32);
        let values = [
            ("STRANDS", strands as u32),
            ("VECTORS", count as u32),
            ("a_by_terms", a.by_terms.into()),
            ("b_by_terms", b.by_terms.into()),
            ("a_vector", (a.vector && a.by_terms).into()),
            ("b_vector", b.vector.into()),
        ];
        let text = expand(&[COMMON, ACCESS, VECTORS].concat(), &values);
        let wide = 4 * 256 / strands;
        let tile =
            Tile { sides: if columns { [wide, count] } else { [count, wide] }, step: 4 * strands, lanes: 1 };
        let needs = match columns {
            true => [outputs, 1, count, 1],
            false => [outputs, outputs, 1, 0],
        };
        let operands = if columns { [1, 0] } else { [0, 1] };
        let product = self.product(operands, [a.pitch, b.pitch], needs);
        product.tiled(self.op, self.call, (text.into(), "gemv"), Vec::new(), tile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GpuLimits = GpuLimits {
        binding_bytes: 128 << 20,
        storage_buffers: 8,
        workgroups: 65_535,
        invocations: 256,
        workgroup_bytes: 16 * 1024,
        subgroups: false,
        subgroup_size: 0,
        rounds: u64::MAX,
    };

    #[test]
    fn shapes_get_the_kernel_that_suits_them() {
        use Kernel::*;
        for (m, n, k, lanes, kernel) in [
            // Acting: one row, a few rows, a value head, a head of one for many rows.
            (1, 256, 256, 1, Vectors),
            (4, 512, 256, 1, Vectors),
            (1, 64, 64, 64, Vectors),
            (8192, 1, 64, 1, Vectors),
            (1, 64, 16, 64, Thin),
            // Outer products.
            (256, 256, 1, 1, Thin),
            // Weights of their own for every agent.
            (8, 8, 8, 1000, Tile8),
            (16, 5, 64, 64, Tile16),
            (32, 32, 32, 64, Tile32),
            (64, 64, 64, 64, Tile64),
            // Many rows to a few actions, and the gradient of that weight.
            (8192, 5, 64, 1, Tall),
            (5, 8192, 64, 1, Wide),
            (64, 5, 8192, 1, Tall),
            // Layers of small networks and their gradients.
            (8192, 64, 64, 1, Tile64),
            (64, 64, 8192, 1, Tile32),
            (256, 256, 8192, 1, Tile64),
            (1024, 32, 64, 1, Tile32),
            // Squares.
            (64, 64, 64, 1, Tile32),
            (256, 256, 256, 1, Tile32),
            (512, 512, 512, 1, Tile64),
            (1024, 1024, 1024, 1, Tile128),
            (2048, 2048, 2048, 1, Tile128),
            // Tiles of 128 would be two thirds empty.
            (130, 130, 64, 64, Tile64),
        ] {
            assert_eq!(Kernel::choose(m, n, k, lanes, &LIMITS), kernel, "{lanes} x [{m}, {n}, {k}]");
        }
    }

    #[test]
    fn a_kernel_that_the_device_cannot_run_is_not_chosen() {
        let poor = GpuLimits { invocations: 128, workgroup_bytes: 10 * 1024, ..LIMITS };
        for (m, n, k) in [(1, 256, 256), (8, 8, 8), (8192, 5, 64), (300, 300, 300), (2048, 2048, 2048)] {
            let kernel = Kernel::choose(m, n, k, 1, &poor);
            assert!(kernel.fits(m, n, &poor), "{kernel:?} for [{m}, {n}, {k}]");
        }
        assert_eq!(Kernel::choose(2048, 2048, 2048, 1, &poor), Kernel::Tile32);
        for kernel in Kernel::ALL {
            assert!(kernel.fits(4, 4, &LIMITS), "{kernel:?} needs more than every device has");
            assert_eq!(kernel.fits(5, 5, &LIMITS), kernel != Kernel::Vectors);
        }
    }
}
