//! Plain Rust, for processors without a set of their own here, and to test the others against.

use super::{Arithmetic, Isa, Kernel, Simd};

/// Four lanes in plain Rust: as many as the baselines of most processors hold in a register, and so few that the compiler
/// keeps kernels short (with eight, two thirds of all machine code of the kernels was this set's). Multiplication and
/// addition round apart: without an instruction for it, rounding once costs a call to a library for every lane; what would
/// be such a call too (rounding) is done by adding a large number.
#[derive(Clone, Copy, Debug)]
pub struct Portable(());

/// Four lanes, aligned so that the compiler can use vectors where the target has them.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
pub struct Lanes<T>([T; 4]);

/// 2^23, from which on floats are integers.
const WHOLE: f32 = 8_388_608.0;

// Spelt out, since `array::from_fn` costs the compiler a hundred times as much.
macro_rules! each {
    ($a:expr, |$x:ident| $body:expr) => {{
        let [a, b, c, d] = $a.0;
        Lanes([
            {
                let $x = a;
                $body
            },
            {
                let $x = b;
                $body
            },
            {
                let $x = c;
                $body
            },
            {
                let $x = d;
                $body
            },
        ])
    }};
}

macro_rules! zip {
    ($a:expr, $b:expr, |$x:ident, $y:ident| $body:expr) => {{
        let ([a, b, c, d], [e, f, g, h]) = ($a.0, $b.0);
        Lanes([
            {
                let ($x, $y) = (a, e);
                $body
            },
            {
                let ($x, $y) = (b, f);
                $body
            },
            {
                let ($x, $y) = (c, g);
                $body
            },
            {
                let ($x, $y) = (d, h);
                $body
            },
        ])
    }};
}

/// Runs a kernel: every processor has this set.
#[inline(never)]
pub(super) fn enter<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Portable(()))
}

impl Arithmetic for Portable {
    const LANES: usize = 4;
    type V = Lanes<f32>;
    type I = Lanes<i32>;
    type M = Lanes<bool>;
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Lanes<f32> {
        // SAFETY: the caller vouches for four values.
        Lanes(unsafe { p.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Lanes<f32>) {
        // SAFETY: the caller vouches for four values.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(v.0) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> Lanes<f32> {
        debug_assert!(n <= 4);
        let mut lanes = [0.0; 4];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: the caller vouches for `n` values.
            *lane = unsafe { *p.add(i) };
        }
        Lanes(lanes)
    }
    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, v: Lanes<f32>, n: usize) {
        debug_assert!(n <= 4);
        for (i, lane) in v.0.into_iter().enumerate().take(n) {
            // SAFETY: the caller vouches for `n` values.
            unsafe { *p.add(i) = lane };
        }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Lanes<f32> {
        Lanes([x; 4])
    }
    #[inline(always)]
    fn zero(self) -> Lanes<f32> {
        Lanes([0.0; 4])
    }
    #[inline(always)]
    fn add(self, a: Lanes<f32>, b: Lanes<f32>) -> Lanes<f32> {
        zip!(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Lanes<f32>, b: Lanes<f32>) -> Lanes<f32> {
        zip!(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Lanes<f32>, b: Lanes<f32>) -> Lanes<f32> {
        zip!(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Lanes<f32>, b: Lanes<f32>) -> Lanes<f32> {
        zip!(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn neg(self, a: Lanes<f32>) -> Lanes<f32> {
        each!(a, |a| -a)
    }
    #[inline(always)]
    fn mul_add(self, a: Lanes<f32>, b: Lanes<f32>, c: Lanes<f32>) -> Lanes<f32> {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Lanes<f32>, b: Lanes<f32>, c: Lanes<f32>) -> Lanes<f32> {
        self.sub(c, self.mul(a, b))
    }
    #[inline(always)]
    fn min(self, a: Lanes<f32>, b: Lanes<f32>) -> Lanes<f32> {
        zip!(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: Lanes<f32>, b: Lanes<f32>) -> Lanes<f32> {
        zip!(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn abs(self, a: Lanes<f32>) -> Lanes<f32> {
        each!(a, |a| a.abs())
    }
    #[inline(always)]
    fn sqrt(self, a: Lanes<f32>) -> Lanes<f32> {
        each!(a, |a| a.sqrt())
    }
    #[inline(always)]
    fn round(self, a: Lanes<f32>) -> Lanes<f32> {
        each!(a, |a| {
            let whole = WHOLE.copysign(a);
            if a.abs() < WHOLE { ((a + whole) - whole).copysign(a) } else { a }
        })
    }
    #[inline(always)]
    fn floor(self, a: Lanes<f32>) -> Lanes<f32> {
        let rounded = self.round(a);
        zip!(rounded, a, |rounded, a| if rounded > a { rounded - 1.0 } else { rounded })
    }
    #[inline(always)]
    fn lt(self, a: Lanes<f32>, b: Lanes<f32>) -> Lanes<bool> {
        zip!(a, b, |a, b| a < b)
    }
    #[inline(always)]
    fn le(self, a: Lanes<f32>, b: Lanes<f32>) -> Lanes<bool> {
        zip!(a, b, |a, b| a <= b)
    }
    #[inline(always)]
    fn eq(self, a: Lanes<f32>, b: Lanes<f32>) -> Lanes<bool> {
        zip!(a, b, |a, b| a == b)
    }
    #[inline(always)]
    fn mask_and(self, a: Lanes<bool>, b: Lanes<bool>) -> Lanes<bool> {
        zip!(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn mask_or(self, a: Lanes<bool>, b: Lanes<bool>) -> Lanes<bool> {
        zip!(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn select(self, m: Lanes<bool>, yes: Lanes<f32>, no: Lanes<f32>) -> Lanes<f32> {
        let chosen = zip!(yes, no, |yes, no| (yes, no));
        zip!(m, chosen, |m, chosen| if m { chosen.0 } else { chosen.1 })
    }
    #[inline(always)]
    fn any(self, m: Lanes<bool>) -> bool {
        m.0[0] | m.0[1] | m.0[2] | m.0[3]
    }
    #[inline(always)]
    fn to_bits(self, a: Lanes<f32>) -> Lanes<i32> {
        each!(a, |a| a.to_bits() as i32)
    }
    #[inline(always)]
    fn from_bits(self, a: Lanes<i32>) -> Lanes<f32> {
        each!(a, |a| f32::from_bits(a as u32))
    }
    #[inline(always)]
    fn int_splat(self, x: i32) -> Lanes<i32> {
        Lanes([x; 4])
    }
    #[inline(always)]
    fn int_add(self, a: Lanes<i32>, b: Lanes<i32>) -> Lanes<i32> {
        zip!(a, b, |a, b| a.wrapping_add(b))
    }
    #[inline(always)]
    fn int_sub(self, a: Lanes<i32>, b: Lanes<i32>) -> Lanes<i32> {
        zip!(a, b, |a, b| a.wrapping_sub(b))
    }
    #[inline(always)]
    fn int_and(self, a: Lanes<i32>, b: Lanes<i32>) -> Lanes<i32> {
        zip!(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn int_or(self, a: Lanes<i32>, b: Lanes<i32>) -> Lanes<i32> {
        zip!(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn int_xor(self, a: Lanes<i32>, b: Lanes<i32>) -> Lanes<i32> {
        zip!(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn shift_left<const N: i32>(self, a: Lanes<i32>) -> Lanes<i32> {
        each!(a, |a| a << N)
    }
    #[inline(always)]
    fn shift_right<const N: i32>(self, a: Lanes<i32>) -> Lanes<i32> {
        each!(a, |a| a >> N)
    }
    #[inline(always)]
    fn to_int(self, a: Lanes<f32>) -> Lanes<i32> {
        each!(self.round(a), |a| a as i32)
    }
    #[inline(always)]
    fn to_float(self, a: Lanes<i32>) -> Lanes<f32> {
        each!(a, |a| a as f32)
    }
}

impl Simd for Portable {
    const REGISTERS: usize = 8;
    const ISA: Isa = Isa::Portable;

    #[inline(always)]
    fn entry<K: Kernel>(self) -> unsafe fn(K) -> K::Output {
        enter::<K>
    }
    #[inline(always)]
    fn reduce_add(self, a: Lanes<f32>) -> f32 {
        let [a, b, c, d] = a.0;
        (a + c) + (b + d)
    }
    #[inline(always)]
    fn reduce_max(self, a: Lanes<f32>) -> f32 {
        a.0.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
