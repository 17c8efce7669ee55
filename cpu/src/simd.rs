//! One vector instruction set behind a trait, and the choice of the best one when the program runs.
//!
//! A kernel is a value that implements [`Kernel`]: its `run` is generic over the instruction set and is marked
//! `#[inline(always)]`, as is everything it calls down to the intrinsics. [`dispatch`] finds out once what the
//! processor has and enters `run` through a function compiled for that set, so the whole kernel is compiled for it.
//!
//! ```
//! use synod_cpu::simd::{Kernel, Simd, dispatch};
//!
//! struct Sum<'a>(&'a [f32]);
//! impl Kernel for Sum<'_> {
//!     type Output = f32;
//!     #[inline(always)]
//!     fn run<S: Simd>(self, s: S) -> f32 {
//!         let mut total = s.zero();
//!         for chunk in self.0.chunks(S::LANES) {
//!             total = s.add(total, s.load_slice(chunk));
//!         }
//!         s.reduce_add(total)
//!     }
//! }
//! assert_eq!(dispatch(Sum(&[1.0; 100])), 100.0);
//! ```
//!
//! A closure is a function of its own and is not compiled for the instruction set: use plain loops in kernels.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod interleaved;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use interleaved::Interleaved;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;

mod sealed {
    /// Implemented by the instruction sets of this module alone.
    pub trait Sealed {}
    impl Sealed for super::Portable {}
    #[cfg(target_arch = "x86_64")]
    impl Sealed for super::Avx2 {}
    #[cfg(target_arch = "x86_64")]
    impl Sealed for super::Avx512 {}
    #[cfg(target_arch = "aarch64")]
    impl Sealed for super::Neon {}
    impl<S: super::Simd> Sealed for super::Interleaved<S> {}
}

/// The operations lane by lane of one instruction set on vectors of [`Arithmetic::LANES`] 32-bit lanes: what elementary
/// functions are written for. `V` holds `f32`, `I` holds `i32` with wrapping arithmetic, `M` one truth value a lane.
///
/// Sealed: kernels read and write memory by what [`Arithmetic::LANES`] and the operations say, so only the sets of this
/// module implement it.
#[allow(missing_docs)] // the plain arithmetic says what it does by its name
#[allow(clippy::wrong_self_convention)] // `self` is the instruction set, not the value that is converted
pub trait Arithmetic: sealed::Sealed + Copy + Send + Sync + 'static {
    /// Lanes of a vector.
    const LANES: usize;
    type V: Copy;
    type I: Copy;
    type M: Copy;

    fn splat(self, x: f32) -> Self::V;
    fn zero(self) -> Self::V;
    /// Reads `LANES` values; no alignment is asked for.
    ///
    /// # Safety
    /// `p` must be valid for reading `LANES` values.
    unsafe fn load(self, p: *const f32) -> Self::V;
    /// Writes `LANES` values; no alignment is asked for.
    ///
    /// # Safety
    /// `p` must be valid for writing `LANES` values.
    unsafe fn store(self, p: *mut f32, v: Self::V);
    /// Reads the first `n <= LANES` values and sets the other lanes to zero.
    ///
    /// # Safety
    /// `p` must be valid for reading `n` values.
    unsafe fn load_partial(self, p: *const f32, n: usize) -> Self::V;
    /// Writes the first `n <= LANES` lanes.
    ///
    /// # Safety
    /// `p` must be valid for writing `n` values.
    unsafe fn store_partial(self, p: *mut f32, v: Self::V, n: usize);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn neg(self, a: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the processor can (everywhere but [`Portable`]).
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a * b`, rounded once where the processor can.
    fn neg_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a < b ? a : b`, hence `b` where either is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a > b ? a : b`, hence `b` where either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn abs(self, a: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    /// To the nearest integer, halves to even.
    fn round(self, a: Self::V) -> Self::V;
    fn floor(self, a: Self::V) -> Self::V;

    /// `a < b`; false where either is NaN.
    fn lt(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a <= b`; false where either is NaN.
    fn le(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a == b`; false where either is NaN.
    fn eq(self, a: Self::V, b: Self::V) -> Self::M;
    fn mask_and(self, a: Self::M, b: Self::M) -> Self::M;
    fn mask_or(self, a: Self::M, b: Self::M) -> Self::M;
    /// Lanes of `yes` where `m` is true, of `no` elsewhere.
    fn select(self, m: Self::M, yes: Self::V, no: Self::V) -> Self::V;
    /// Whether any lane is true.
    fn any(self, m: Self::M) -> bool;

    fn to_bits(self, a: Self::V) -> Self::I;
    fn from_bits(self, a: Self::I) -> Self::V;
    fn int_splat(self, x: i32) -> Self::I;
    fn int_add(self, a: Self::I, b: Self::I) -> Self::I;
    fn int_sub(self, a: Self::I, b: Self::I) -> Self::I;
    fn int_and(self, a: Self::I, b: Self::I) -> Self::I;
    fn int_or(self, a: Self::I, b: Self::I) -> Self::I;
    fn int_xor(self, a: Self::I, b: Self::I) -> Self::I;
    /// Shifts left by `N` bits.
    fn shift_left<const N: i32>(self, a: Self::I) -> Self::I;
    /// Shifts right by `N` bits and copies the sign in.
    fn shift_right<const N: i32>(self, a: Self::I) -> Self::I;
    /// To the nearest integer, halves to even; anything out of range gives an arbitrary value.
    fn to_int(self, a: Self::V) -> Self::I;
    fn to_float(self, a: Self::I) -> Self::V;

    /// `a > b`; false where either is NaN.
    #[inline(always)]
    fn gt(self, a: Self::V, b: Self::V) -> Self::M {
        self.lt(b, a)
    }
    /// `a >= b`; false where either is NaN.
    #[inline(always)]
    fn ge(self, a: Self::V, b: Self::V) -> Self::M {
        self.le(b, a)
    }
    /// The magnitude of `a` with the sign of `b`.
    #[inline(always)]
    fn copysign(self, a: Self::V, b: Self::V) -> Self::V {
        let sign = self.int_and(self.to_bits(b), self.int_splat(i32::MIN));
        self.from_bits(self.int_or(self.to_bits(self.abs(a)), sign))
    }
    /// Reads up to `LANES` values of a slice and sets the other lanes to zero.
    #[inline(always)]
    fn load_slice(self, x: &[f32]) -> Self::V {
        // SAFETY: both reads stay within the slice.
        unsafe {
            if x.len() >= Self::LANES {
                self.load(x.as_ptr())
            } else {
                self.load_partial(x.as_ptr(), x.len())
            }
        }
    }
    /// Writes up to `LANES` lanes, as many as the slice has room for.
    #[inline(always)]
    fn store_slice(self, x: &mut [f32], v: Self::V) {
        // SAFETY: both writes stay within the slice.
        unsafe {
            if x.len() >= Self::LANES {
                self.store(x.as_mut_ptr(), v)
            } else {
                self.store_partial(x.as_mut_ptr(), v, x.len())
            }
        }
    }
}

/// One instruction set: [`Arithmetic`] with what goes across the lanes of a vector, and calls of kernels.
///
/// A value of the implementing type proves that the processor has the set: it can be had only from
/// [`dispatch`] and [`dispatch_on`], which is why the arithmetic here is safe to call.
pub trait Simd: Arithmetic {
    /// Vector registers of the processor: how many accumulators a kernel may hold.
    const REGISTERS: usize;
    /// The set itself.
    const ISA: Isa;

    /// Runs a kernel as a function of its own, compiled for the same set: keeps large kernels of many variants
    /// apart, each with the registers to itself.
    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves that the processor has the set.
        unsafe { self.entry::<K>()(kernel) }
    }
    /// The function that [`Simd::call`] runs, to choose once and call often. Safe to call because `self` proves that
    /// the processor has the set.
    fn entry<K: Kernel>(self) -> unsafe fn(K) -> K::Output;

    /// The sum of the lanes by halves (lane `i` with lane `i + LANES / 2`, and so on), always in this order.
    fn reduce_add(self, a: Self::V) -> f32;
    /// [`Simd::reduce_add`] of four vectors.
    #[inline(always)]
    fn reduce_add_4(self, a: [Self::V; 4]) -> [f32; 4] {
        [self.reduce_add(a[0]), self.reduce_add(a[1]), self.reduce_add(a[2]), self.reduce_add(a[3])]
    }
    /// Writes the transpose of a square of `LANES` rows and columns: row `i` of it, at `to + i * to_row`, is column
    /// `i` of what lies at `from + j * from_row`.
    ///
    /// # Safety
    /// All rows must be valid for reading and writing.
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        for i in 0..Self::LANES {
            for j in 0..Self::LANES {
                // SAFETY: the caller vouches for the rows.
                unsafe { *to.add(i * to_row + j) = *from.add(j * from_row + i) };
            }
        }
    }
    /// Takes the vectors as rows of blocks of four lanes and transposes each block: lane `4 b + j` of the result's vector
    /// `i` is lane `4 b + i` of `a[j]`.
    #[inline(always)]
    fn transpose_blocks(self, a: [Self::V; 4]) -> [Self::V; 4] {
        let (mut from, mut to) = ([[0f32; 16]; 4], [[0f32; 16]; 4]);
        for j in 0..4 {
            self.store_slice(&mut from[j][..Self::LANES], a[j]);
        }
        for i in 0..4 {
            for j in 0..4 {
                for block in 0..Self::LANES / 4 {
                    to[i][4 * block + j] = from[j][4 * block + i];
                }
            }
        }
        [self.load_slice(&to[0]), self.load_slice(&to[1]), self.load_slice(&to[2]), self.load_slice(&to[3])]
    }
    /// Lane `I` of every block of four, in all four lanes of the block.
    #[inline(always)]
    fn splat_in_blocks<const I: i32>(self, a: Self::V) -> Self::V {
        let mut lanes = [0f32; 16];
        self.store_slice(&mut lanes[..Self::LANES], a);
        for block in 0..Self::LANES / 4 {
            let x = lanes[4 * block + I as usize];
            for j in 0..4 {
                lanes[4 * block + j] = x;
            }
        }
        self.load_slice(&lanes)
    }
    /// The greatest lane, by halves; which value comes out where a lane is NaN is not specified but repeatable.
    fn reduce_max(self, a: Self::V) -> f32;
}

/// Work that can be compiled for any instruction set.
pub trait Kernel {
    /// What the work gives back.
    type Output;
    /// Does the work. Mark the implementation, and the functions it calls, `#[inline(always)]`.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust on arrays of four, compiled for the baseline of the target.
    Portable,
    /// AVX2 with FMA: eight lanes, 16 registers.
    Avx2,
    /// AVX-512F: 16 lanes, 32 registers.
    Avx512,
    /// NEON (64-bit Arm): four lanes, 32 registers.
    Neon,
}

impl Isa {
    /// Every set, the best last.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512];

    /// Whether this machine has the set.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f") && Isa::Avx2.is_available(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// The name that `SYNOD_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }

    /// The set in use: the one named by the environment variable `SYNOD_ISA` (`portable`, `avx2`, `avx512` or
    /// `neon`) where the machine has it, else the best that the machine has. Found out once.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let available = || Isa::ALL.into_iter().filter(|isa| isa.is_available());
            let best = available().next_back().unwrap_or(Isa::Portable);
            let Ok(wanted) = std::env::var("SYNOD_ISA") else { return best };
            available().find(|isa| isa.name().eq_ignore_ascii_case(&wanted)).unwrap_or_else(|| {
                tracing::warn!(
                    "SYNOD_ISA={wanted} is not a set that this machine has; {} is used",
                    best.name()
                );
                best
            })
        })
    }
}

/// Runs a kernel on the best instruction set of the machine ([`Isa::best`]).
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_on(Isa::best(), kernel)
}

/// Runs a kernel on a given instruction set, on [`Portable`] where the machine lacks it.
#[inline]
pub fn dispatch_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        // SAFETY: the guards say that the processor has the set.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if isa.is_available() => unsafe { avx512::enter(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 if isa.is_available() => unsafe { avx2::enter(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon if isa.is_available() => unsafe { neon::enter(kernel) },
        _ => portable::enter(kernel),
    }
}

#[cfg(test)]
mod tests;
