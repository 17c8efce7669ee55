//! AVX2 with FMA.

use super::{Arithmetic, Isa, Kernel, Simd};
use std::arch::x86_64::*;

/// Eight lanes of AVX2 with FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

/// Runs the kernel compiled for AVX2.
///
/// # Safety
/// The processor must have AVX2 and FMA.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

/// Sixteen words of which the window at `8 - n` starts with `n` set ones.
static WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The lanes added by halves down to four.
///
/// # Safety
/// The processor must have the set.
#[inline(always)]
unsafe fn half_sum(x: __m256) -> __m128 {
    // SAFETY: the caller vouches for the set.
    unsafe { _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x)) }
}

/// Transposes eight rows of eight.
///
/// # Safety
/// The processor must have AVX2, the rows must be valid for reading and writing.
#[inline(always)]
pub(super) unsafe fn transpose_8(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
    // SAFETY: the caller vouches for the set and the rows.
    unsafe {
        // Rows i and i + 4 side by side, so that the shuffles within halves suffice.
        macro_rules! pair {
            ($i:literal, $half:ident) => {{
                let low = _mm_loadu_ps(from.add($i * from_row + 4 * $half));
                let high = _mm_loadu_ps(from.add(($i + 4) * from_row + 4 * $half));
                _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
            }};
        }
        for half in 0..2 {
            let (r0, r1, r2, r3) = (pair!(0, half), pair!(1, half), pair!(2, half), pair!(3, half));
            let (a, b) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
            let (c, d) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
            let to = to.add(4 * half * to_row);
            _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(a, c));
            _mm256_storeu_ps(to.add(to_row), _mm256_shuffle_ps::<0xee>(a, c));
            _mm256_storeu_ps(to.add(2 * to_row), _mm256_shuffle_ps::<0x44>(b, d));
            _mm256_storeu_ps(to.add(3 * to_row), _mm256_shuffle_ps::<0xee>(b, d));
        }
    }
}

// SAFETY of every `unsafe` below that names no other reason: an `Avx2` exists only where `enter` was called, whose
// caller vouches for the instruction set.
impl Arithmetic for Avx2 {
    const LANES: usize = 8;
    type V = __m256;
    type I = __m256i;
    type M = __m256;
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn zero(self) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m256 {
        // SAFETY: see above; the caller vouches for the pointer.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m256) {
        // SAFETY: see above; the caller vouches for the pointer.
        unsafe { _mm256_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, p: *const f32, n: usize) -> __m256 {
        debug_assert!(n <= 8);
        // SAFETY: see above; a masked load touches the first `n` values only, which the caller vouches for, and
        // the window lies within the table.
        unsafe {
            let mask = _mm256_loadu_si256(WINDOW.as_ptr().add(8 - n.min(8)).cast());
            _mm256_maskload_ps(p, mask)
        }
    }
    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, v: __m256, n: usize) {
        debug_assert!(n <= 8);
        // By halves: the masked store of AVX2 takes tens of cycles on AMD's processors.
        // SAFETY: see above; `n` values in all are written, which the caller vouches for.
        unsafe {
            if n >= 8 {
                return _mm256_storeu_ps(p, v);
            }
            let (mut low, mut p) = (_mm256_castps256_ps128(v), p);
            if n & 4 != 0 {
                _mm_storeu_ps(p, low);
                low = _mm256_extractf128_ps::<1>(v);
                p = p.add(4);
            }
            if n & 2 != 0 {
                _mm_storel_pd(p.cast(), _mm_castps_pd(low));
                low = _mm_movehl_ps(low, low);
                p = p.add(2);
            }
            if n & 1 != 0 {
                _mm_store_ss(p, low);
            }
        }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn neg(self, a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_xor_ps(a, _mm256_set1_ps(-0.0)) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn floor(self, a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_floor_ps(a) }
    }

    #[inline(always)]
    fn lt(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn le(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_cmp_ps::<_CMP_LE_OQ>(a, b) }
    }
    #[inline(always)]
    fn eq(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    fn mask_and(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_and_ps(a, b) }
    }
    #[inline(always)]
    fn mask_or(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_or_ps(a, b) }
    }
    #[inline(always)]
    fn select(self, m: __m256, yes: __m256, no: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_blendv_ps(no, yes, m) }
    }
    #[inline(always)]
    fn any(self, m: __m256) -> bool {
        // SAFETY: see above.
        unsafe { _mm256_movemask_ps(m) != 0 }
    }

    #[inline(always)]
    fn to_bits(self, a: __m256) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_castps_si256(a) }
    }
    #[inline(always)]
    fn from_bits(self, a: __m256i) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_castsi256_ps(a) }
    }
    #[inline(always)]
    fn int_splat(self, x: i32) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi32(x) }
    }
    #[inline(always)]
    fn int_add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    fn int_sub(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_sub_epi32(a, b) }
    }
    #[inline(always)]
    fn int_and(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_and_si256(a, b) }
    }
    #[inline(always)]
    fn int_or(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_or_si256(a, b) }
    }
    #[inline(always)]
    fn int_xor(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_xor_si256(a, b) }
    }
    #[inline(always)]
    fn shift_left<const N: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_slli_epi32::<N>(a) }
    }
    #[inline(always)]
    fn shift_right<const N: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_srai_epi32::<N>(a) }
    }
    #[inline(always)]
    fn to_int(self, a: __m256) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_cvtps_epi32(a) }
    }
    #[inline(always)]
    fn to_float(self, a: __m256i) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_cvtepi32_ps(a) }
    }
}

// SAFETY: as above.
impl Simd for Avx2 {
    const REGISTERS: usize = 16;
    const ISA: Isa = Isa::Avx2;

    #[inline(always)]
    fn entry<K: Kernel>(self) -> unsafe fn(K) -> K::Output {
        enter::<K>
    }

    #[inline(always)]
    fn reduce_add(self, a: __m256) -> f32 {
        // SAFETY: see above.
        unsafe {
            let x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }
    #[inline(always)]
    fn reduce_add_4(self, a: [__m256; 4]) -> [f32; 4] {
        let mut out = [0.0; 4];
        // SAFETY: see above. The order is that of `reduce_add`: lane 0 with 2 and 1 with 3, then both.
        unsafe {
            let (x, y, z, w) = (half_sum(a[0]), half_sum(a[1]), half_sum(a[2]), half_sum(a[3]));
            let xy = _mm_add_ps(_mm_unpacklo_ps(x, y), _mm_unpackhi_ps(x, y));
            let zw = _mm_add_ps(_mm_unpacklo_ps(z, w), _mm_unpackhi_ps(z, w));
            _mm_storeu_ps(out.as_mut_ptr(), _mm_add_ps(_mm_movelh_ps(xy, zw), _mm_movehl_ps(zw, xy)));
        }
        out
    }
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: see above; the caller vouches for the rows.
        unsafe { transpose_8(from, from_row, to, to_row) }
    }
    #[inline(always)]
    fn transpose_blocks(self, a: [__m256; 4]) -> [__m256; 4] {
        // SAFETY: see above.
        unsafe {
            let (p, q) = (_mm256_unpacklo_ps(a[0], a[1]), _mm256_unpackhi_ps(a[0], a[1]));
            let (r, t) = (_mm256_unpacklo_ps(a[2], a[3]), _mm256_unpackhi_ps(a[2], a[3]));
            [
                _mm256_shuffle_ps::<0x44>(p, r),
                _mm256_shuffle_ps::<0xee>(p, r),
                _mm256_shuffle_ps::<0x44>(q, t),
                _mm256_shuffle_ps::<0xee>(q, t),
            ]
        }
    }
    #[inline(always)]
    fn splat_in_blocks<const I: i32>(self, a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe {
            match I {
                0 => _mm256_permute_ps::<0x00>(a),
                1 => _mm256_permute_ps::<0x55>(a),
                2 => _mm256_permute_ps::<0xaa>(a),
                _ => _mm256_permute_ps::<0xff>(a),
            }
        }
    }
    #[inline(always)]
    fn reduce_max(self, a: __m256) -> f32 {
        // SAFETY: see above.
        unsafe {
            let x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }
}
