//! Several vectors side by side, so that a processor has more than one chain of operations to work on.

use super::{Arithmetic, Simd};

/// Vectors worked on at once.
const COUNT: usize = 4;

/// Four vectors of a set as one, each operation on all four before the next. An elementary function is one long chain in
/// which every step waits for the one before (four cycles for a product); a processor's window holds some sixty steps of
/// such chains in the order of the program, and finds too few of them ready. With four chains woven together it does:
/// a GELU takes a fifth less time.
#[derive(Clone, Copy, Debug)]
pub struct Interleaved<S>(pub S);

/// One operation on each of the four vectors of its arguments.
macro_rules! each {
    ($($name:ident$(<$constant:ident>)?($($argument:ident: $from:ident),+) -> $to:ident;)+) => {$(
        #[inline(always)]
        fn $name$(<const $constant: i32>)?(self, $($argument: Self::$from),+) -> Self::$to {
            [
                self.0.$name$(::<$constant>)?($($argument[0]),+),
                self.0.$name$(::<$constant>)?($($argument[1]),+),
                self.0.$name$(::<$constant>)?($($argument[2]),+),
                self.0.$name$(::<$constant>)?($($argument[3]),+),
            ]
        }
    )+};
}

impl<S: Simd> Arithmetic for Interleaved<S> {
    const LANES: usize = COUNT * S::LANES;
    type V = [S::V; COUNT];
    type I = [S::I; COUNT];
    type M = [S::M; COUNT];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [self.0.splat(x); COUNT]
    }
    #[inline(always)]
    fn zero(self) -> Self::V {
        [self.0.zero(); COUNT]
    }
    #[inline(always)]
    fn int_splat(self, x: i32) -> Self::I {
        [self.0.int_splat(x); COUNT]
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        let mut v = self.zero();
        for i in 0..COUNT {
            // SAFETY: the caller vouches for all lanes.
            v[i] = unsafe { self.0.load(p.add(i * S::LANES)) };
        }
        v
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::V) {
        for i in 0..COUNT {
            // SAFETY: the caller vouches for all lanes.
            unsafe { self.0.store(p.add(i * S::LANES), v[i]) };
        }
    }
    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> Self::V {
        let mut v = self.zero();
        for i in 0..COUNT {
            let before = n.min(i * S::LANES);
            // SAFETY: `before` and what is read from there lie within the `n` values that the caller vouches for.
            v[i] = unsafe { self.0.load_partial(p.add(before), S::LANES.min(n - before)) };
        }
        v
    }
    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, v: Self::V, n: usize) {
        for i in 0..COUNT {
            let before = n.min(i * S::LANES);
            // SAFETY: as for `load_partial`.
            unsafe { self.0.store_partial(p.add(before), v[i], S::LANES.min(n - before)) };
        }
    }
    #[inline(always)]
    fn any(self, m: Self::M) -> bool {
        self.0.any(m[0]) || self.0.any(m[1]) || self.0.any(m[2]) || self.0.any(m[3])
    }

    each! {
        add(a: V, b: V) -> V;
        sub(a: V, b: V) -> V;
        mul(a: V, b: V) -> V;
        div(a: V, b: V) -> V;
        min(a: V, b: V) -> V;
        max(a: V, b: V) -> V;
        copysign(a: V, b: V) -> V;
        mul_add(a: V, b: V, c: V) -> V;
        neg_mul_add(a: V, b: V, c: V) -> V;
        neg(a: V) -> V;
        abs(a: V) -> V;
        sqrt(a: V) -> V;
        round(a: V) -> V;
        floor(a: V) -> V;
        lt(a: V, b: V) -> M;
        le(a: V, b: V) -> M;
        eq(a: V, b: V) -> M;
        mask_and(a: M, b: M) -> M;
        mask_or(a: M, b: M) -> M;
        select(m: M, yes: V, no: V) -> V;
        to_bits(a: V) -> I;
        from_bits(a: I) -> V;
        to_int(a: V) -> I;
        to_float(a: I) -> V;
        int_add(a: I, b: I) -> I;
        int_sub(a: I, b: I) -> I;
        int_and(a: I, b: I) -> I;
        int_or(a: I, b: I) -> I;
        int_xor(a: I, b: I) -> I;
        shift_left<N>(a: I) -> I;
        shift_right<N>(a: I) -> I;
    }
}
