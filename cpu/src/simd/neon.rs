//! NEON of 64-bit Arm.

use super::{Arithmetic, Isa, Kernel, Simd};
use std::arch::aarch64::*;

/// Four lanes of NEON.
#[derive(Clone, Copy, Debug)]
pub struct Neon(());

/// Runs the kernel compiled for NEON.
///
/// # Safety
/// The processor must have NEON.
#[inline(never)]
#[target_feature(enable = "neon")]
pub(super) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon(()))
}

// SAFETY of every `unsafe` below that names no other reason: a `Neon` exists only where `enter` was called, whose
// caller vouches for the instruction set.
impl Arithmetic for Neon {
    const LANES: usize = 4;
    type V = float32x4_t;
    type I = int32x4_t;
    type M = uint32x4_t;
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> float32x4_t {
        // SAFETY: see above; the caller vouches for the pointer.
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: float32x4_t) {
        // SAFETY: see above; the caller vouches for the pointer.
        unsafe { vst1q_f32(p, v) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> float32x4_t {
        debug_assert!(n <= 4);
        let mut lanes = [0.0f32; 4];
        for (i, lane) in lanes.iter_mut().enumerate() {
            if i < n {
                // SAFETY: the caller vouches for the first `n` values.
                *lane = unsafe { *p.add(i) };
            }
        }
        // SAFETY: see above; the array holds four values.
        unsafe { vld1q_f32(lanes.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, v: float32x4_t, n: usize) {
        debug_assert!(n <= 4);
        let mut lanes = [0.0f32; 4];
        // SAFETY: see above; the array holds four values.
        unsafe { vst1q_f32(lanes.as_mut_ptr(), v) }
        for (i, lane) in lanes.iter().enumerate() {
            if i < n {
                // SAFETY: the caller vouches for the first `n` values.
                unsafe { *p.add(i) = *lane };
            }
        }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    fn zero(self) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn neg(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vnegq_f32(a) }
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vfmsq_f32(c, a, b) }
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn abs(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vabsq_f32(a) }
    }
    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vsqrtq_f32(a) }
    }
    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vrndnq_f32(a) }
    }
    #[inline(always)]
    fn floor(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vrndmq_f32(a) }
    }
    #[inline(always)]
    fn lt(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vcltq_f32(a, b) }
    }
    #[inline(always)]
    fn le(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vcleq_f32(a, b) }
    }
    #[inline(always)]
    fn eq(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vceqq_f32(a, b) }
    }
    #[inline(always)]
    fn mask_and(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vandq_u32(a, b) }
    }
    #[inline(always)]
    fn mask_or(self, a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        // SAFETY: see above.
        unsafe { vorrq_u32(a, b) }
    }
    #[inline(always)]
    fn select(self, m: uint32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vbslq_f32(m, yes, no) }
    }
    #[inline(always)]
    fn any(self, m: uint32x4_t) -> bool {
        // SAFETY: see above.
        unsafe { vmaxvq_u32(m) != 0 }
    }
    #[inline(always)]
    fn to_bits(self, a: float32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vreinterpretq_s32_f32(a) }
    }
    #[inline(always)]
    fn from_bits(self, a: int32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vreinterpretq_f32_s32(a) }
    }
    #[inline(always)]
    fn int_splat(self, x: i32) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_s32(x) }
    }
    #[inline(always)]
    fn int_add(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vaddq_s32(a, b) }
    }
    #[inline(always)]
    fn int_sub(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vsubq_s32(a, b) }
    }
    #[inline(always)]
    fn int_and(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vandq_s32(a, b) }
    }
    #[inline(always)]
    fn int_or(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vorrq_s32(a, b) }
    }
    #[inline(always)]
    fn int_xor(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { veorq_s32(a, b) }
    }
    #[inline(always)]
    fn shift_left<const N: i32>(self, a: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vshlq_s32(a, vdupq_n_s32(N)) }
    }
    #[inline(always)]
    fn shift_right<const N: i32>(self, a: int32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vshlq_s32(a, vdupq_n_s32(-N)) }
    }
    #[inline(always)]
    fn to_int(self, a: float32x4_t) -> int32x4_t {
        // SAFETY: see above.
        unsafe { vcvtnq_s32_f32(a) }
    }
    #[inline(always)]
    fn to_float(self, a: int32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vcvtq_f32_s32(a) }
    }
}

// SAFETY: as above.
impl Simd for Neon {
    const REGISTERS: usize = 32;
    const ISA: Isa = Isa::Neon;

    #[inline(always)]
    fn entry<K: Kernel>(self) -> unsafe fn(K) -> K::Output {
        enter::<K>
    }
    #[inline(always)]
    fn reduce_add(self, a: float32x4_t) -> f32 {
        // SAFETY: see above.
        unsafe {
            let x = vadd_f32(vget_low_f32(a), vget_high_f32(a));
            vget_lane_f32::<0>(x) + vget_lane_f32::<1>(x)
        }
    }
    #[inline(always)]
    fn transpose_blocks(self, a: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: see above.
        unsafe {
            let (p, q) = (vzip1q_f32(a[0], a[2]), vzip2q_f32(a[0], a[2]));
            let (r, t) = (vzip1q_f32(a[1], a[3]), vzip2q_f32(a[1], a[3]));
            [vzip1q_f32(p, r), vzip2q_f32(p, r), vzip1q_f32(q, t), vzip2q_f32(q, t)]
        }
    }
    #[inline(always)]
    fn splat_in_blocks<const I: i32>(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_laneq_f32::<I>(a) }
    }
    #[inline(always)]
    fn reduce_max(self, a: float32x4_t) -> f32 {
        // SAFETY: see above.
        unsafe { vmaxvq_f32(a) }
    }
}
