//! Elementary functions, a vector at a time.
//!
//! Each function is written for vectors (`exp(s, x)`, for use inside kernels) and for slices (`exp_into(x, out)`,
//! `exp_in_place(x)`). Arguments are reduced to a short interval, where a polynomial stands for the function. The
//! polynomials were fitted for this file by Remez's exchange, minimising the relative error of the whole function
//! on its interval; that error is given beside each. Infinities, NaN, zeros and denormals give what IEEE 754 and C
//! ask for. Largest errors found against f64, over all f32 arguments where a function says so, are in units in the
//! last place (ULP).
//!
//! ```
//! use synod_cpu::vector_math::{tanh_into, pow_into};
//! let (x, mut y) = ([-1.0, 0.0, 1.0], [0.0; 3]);
//! tanh_into(&x, &mut y);
//! assert!((y[0] + y[2]).abs() < 1e-6 && y[1] == 0.0);
//! pow_into(&[3.0], 2.0, &mut y[..1]);
//! assert!((y[0] - 9.0).abs() < 1e-5);
//! ```

use super::simd::{Arithmetic, Interleaved, Kernel, Simd, dispatch};

/// Lanes of the widest vector that a function is written for: four of AVX-512.
const WIDEST: usize = 64;

/// `x^0 c[0] + x^1 c[1] + ...` by Horner's rule.
#[inline(always)]
fn polynomial<S: Arithmetic, const N: usize>(s: S, x: S::V, c: [f32; N]) -> S::V {
    let mut sum = s.splat(c[N - 1]);
    for i in (0..N - 1).rev() {
        sum = s.mul_add(sum, x, s.splat(c[i]));
    }
    sum
}

/// 1.5 * 2^23: added to a number below 2^22 it rounds it to an integer, whose bits are then the low bits of the sum.
const ROUNDER: f32 = 12_582_912.0;
/// ln 2 in two parts, the first of so few bits that its products with integers up to 2^14 are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// `(exp(r) - 1 - r) / r^2` for `|r| <= ln 2 / 2`; relative error of `exp` 2^-28.3.
const EXP: [f32; 5] = [0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_717, 0.001_381_46];
/// `2^r` for `|r| <= 1 / 2`; relative error 2^-25.9.
const EXP2: [f32; 7] =
    [1.0, std::f32::consts::LN_2, 0.240_226_48, 0.055_503_324, 0.009_618_438, 0.001_339_893_9, 1.535_331e-4];

/// `(n, r)` with `x = n ln 2 + r` and `|r| <= ln 2 / 2`; `n` is an integer, and `n + BIAS` comes as the low bits of the
/// third value: with a bias of 127, shifted into the place of the exponent, they are `2^n`.
#[inline(always)]
fn split_by_ln_2<S: Arithmetic, const BIAS: i32>(s: S, x: S::V) -> (S::V, S::V, S::I) {
    let rounder = s.splat(ROUNDER + BIAS as f32);
    let shifted = s.mul_add(x, s.splat(std::f32::consts::LOG2_E), rounder);
    let n = s.sub(shifted, rounder);
    let r = s.neg_mul_add(n, s.splat(LN_2_HIGH), x);
    (n, s.neg_mul_add(n, s.splat(LN_2_LOW), r), s.to_bits(shifted))
}

/// `2^(BIAS - 127) exp(x)`, where `x / ln 2 + BIAS` is within 1 to 254; infinite from 254.5 to 255.5. NaN passes.
#[inline(always)]
fn exp_shifted<S: Arithmetic, const BIAS: i32>(s: S, x: S::V) -> S::V {
    let (_, r, n) = split_by_ln_2::<S, BIAS>(s, x);
    let p = s.mul_add(s.mul(r, r), polynomial(s, r, EXP), r);
    let p = s.add(p, s.splat(1.0));
    s.mul(p, s.from_bits(s.shift_left::<23>(n)))
}

/// `exp(x)`, within 1.02 ULP (1.010 at worst over all arguments).
#[inline(always)]
pub fn exp<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // Beyond these the result is 0 or infinite. The constants come first so that NaN passes.
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let (_, r, bits) = split_by_ln_2::<S, 0>(s, x);
    let p = s.mul_add(s.mul(r, r), polynomial(s, r, EXP), r);
    let p = s.add(p, s.splat(1.0));
    // 2^n in two factors: n may be -150 or 128, which no exponent holds. Only the last product rounds.
    let n = s.int_sub(bits, s.int_splat(ROUNDER.to_bits() as i32));
    let half = s.shift_right::<1>(n);
    let rest = s.int_sub(n, half);
    s.mul(s.mul(p, power_of_two(s, half)), power_of_two(s, rest))
}

/// `2^n` for `-126 <= n <= 127`.
#[inline(always)]
fn power_of_two<S: Arithmetic>(s: S, n: S::I) -> S::V {
    s.from_bits(s.shift_left::<23>(s.int_add(n, s.int_splat(127))))
}

/// `exp(x) - 1`, within 2 ULP.
#[inline(always)]
pub fn expm1<S: Arithmetic>(s: S, x: S::V) -> S::V {
    let clamped = s.min(s.splat(89.0), s.max(s.splat(-20.0), x));
    let (_, r, bits) = split_by_ln_2::<S, 0>(s, clamped);
    let p = s.mul_add(s.mul(r, r), polynomial(s, r, EXP), r);
    // 2^n p + (2^n - 1), all halved because 2^128 is out of range.
    let n = s.int_sub(bits, s.int_splat(ROUNDER.to_bits() as i32 + 1));
    let scale = power_of_two(s, n);
    let y = s.mul_add(scale, p, s.sub(scale, s.splat(0.5)));
    // Below 2^-25 the square is out of sight, and the sign of zero is kept.
    s.select(s.lt(s.abs(x), s.splat(2.980_232_2e-8)), x, s.add(y, y))
}

/// Hyperbolic tangent, within 3 ULP: `y / (y + 2)` with `y = exp(2 x) - 1`.
#[inline(always)]
pub fn tanh<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // It is 1 from 9.02 on. NaN passes.
    let twice = s.min(s.splat(20.0), s.max(s.splat(-20.0), s.add(x, x)));
    let (_, r, bits) = split_by_ln_2::<S, 127>(s, twice);
    let p = s.mul_add(s.mul(r, r), polynomial(s, r, EXP), r);
    let scale = s.from_bits(s.shift_left::<23>(bits));
    let y = s.mul_add(scale, p, s.sub(scale, s.splat(1.0)));
    // The sign of zero is lost on the way.
    s.copysign(s.div(y, s.add(y, s.splat(2.0))), x)
}

/// `1 / (1 + exp(-x))`, within 3 ULP.
#[inline(always)]
pub fn sigmoid<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // Numerator and denominator times 2^-23, so that exp(-x) may be so large that the quotient is denormal; then it is
    // infinite.
    let minus = s.min(s.splat(104.6), s.max(s.splat(-71.0), s.neg(x)));
    let scale = s.splat(f32::EPSILON);
    s.div(scale, s.add(scale, exp_shifted::<S, { 127 - 23 }>(s, minus)))
}

/// The tangent form of the Gaussian error linear unit, `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`
/// (Hendrycks and Gimpel, *Gaussian Error Linear Units*, 2016), as `x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))`,
/// which loses nothing where the tangent is near -1. Within 3 ULP wherever the result is a normal number, on
/// processors with fused multiply-adds; within 170 ULP (2e-5) on others.
///
/// The exponential magnifies the rounding of its argument: so the argument, taken to the base 2, is kept in two parts.
#[inline(always)]
pub fn gelu<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // `-2 sqrt(2 / pi) / ln 2`, the first part of so few bits that a sum with it can be undone, and that times 0.044715.
    const LINEAR: [f32; 2] = [-2.302_246, 3.789_560_7e-5];
    const CUBIC: [f32; 2] = [-0.102_943_24, 2.016_198_3e-9];
    // Below it the result is denormal, above 9.6 it is x.
    let x = s.max(s.splat(-10.13), x);
    let near = s.min(s.splat(9.6), x);
    let (cubic, linear) = (s.splat(CUBIC[0]), s.splat(LINEAR[0]));
    // What rounding adds to each product and sum.
    let square = s.mul(near, near);
    let square_over = s.neg_mul_add(near, near, square);
    let factor = s.mul_add(square, cubic, linear);
    let factor_over = s.neg_mul_add(square, cubic, s.sub(factor, linear));
    let rest = s.mul_add(square, s.splat(CUBIC[1]), s.splat(LINEAR[1]));
    let factor_low = s.neg_mul_add(square_over, cubic, s.sub(rest, factor_over));
    let power = s.mul(near, factor);
    let power_over = s.neg_mul_add(near, factor, power);
    // 2^-2 keeps the exponential finite where the result is normal.
    let rounder = s.splat(ROUNDER + 125.0);
    let shifted = s.add(power, rounder);
    let r = s.mul_add(near, factor_low, s.sub(power, s.sub(shifted, rounder)));
    let p = polynomial(s, s.sub(r, power_over), EXP2);
    let exponential = s.mul(p, s.from_bits(s.shift_left::<23>(s.to_bits(shifted))));
    let scale = s.splat(0.25);
    s.div(s.mul(x, scale), s.add(scale, exponential))
}

/// `(ln(1 + f) - f + f^2 / 2) / f^3` for `sqrt(1 / 2) <= 1 + f <= sqrt(2)`; relative error of `ln` 2^-30.3.
const LN: [f32; 9] = [
    0.333_333_13,
    -0.250_000_1,
    0.200_021_19,
    -0.166_679_96,
    0.142_195_52,
    -0.124_055_885,
    0.118_881_606,
    -0.116_756_54,
    0.067_466_47,
];

/// Natural logarithm, within 2 ULP; negative arguments give NaN, zeros minus infinity.
#[inline(always)]
pub fn ln<S: Arithmetic>(s: S, x: S::V) -> S::V {
    let tiny = s.lt(x, s.splat(f32::MIN_POSITIVE));
    let normal = s.select(tiny, s.mul(x, s.splat(8_388_608.0)), x);
    let bits = s.to_bits(normal);
    // Exponent and mantissa with the mantissa from sqrt(1 / 2) to sqrt(2).
    let exponent = s.shift_right::<23>(s.int_sub(bits, s.int_splat(0x3f35_04f3)));
    let mantissa = s.from_bits(s.int_sub(bits, s.shift_left::<23>(exponent)));
    let e = s.sub(s.to_float(exponent), s.select(tiny, s.splat(23.0), s.zero()));
    let f = s.sub(mantissa, s.splat(1.0));
    let square = s.mul(f, f);
    let y = s.mul(s.mul(square, f), polynomial(s, f, LN));
    let y = s.mul_add(e, s.splat(LN_2_LOW), y);
    let y = s.neg_mul_add(square, s.splat(0.5), y);
    let y = s.mul_add(e, s.splat(LN_2_HIGH), s.add(f, y));
    let infinity = s.splat(f32::INFINITY);
    let y = s.select(s.eq(x, infinity), x, y);
    let y = s.select(s.eq(x, s.zero()), s.splat(f32::NEG_INFINITY), y);
    // Negative or NaN: neither greater nor equal to zero.
    s.select(s.ge(x, s.zero()), y, s.splat(f32::NAN))
}

/// `ln(1 + exp(x))`, within 3 ULP.
#[inline(always)]
pub fn softplus<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // max(x, 0) + ln(1 + t) with t = exp(-|x|) <= 1. What 1 + t rounds away is added back to first order.
    let t = exp(s, s.neg(s.abs(x)));
    let one = s.splat(1.0);
    let u = s.add(one, t);
    let lost = s.div(s.sub(t, s.sub(u, one)), u);
    s.add(s.max(s.zero(), x), s.add(ln(s, u), lost))
}

/// `ln(1 + x)`, within 3 ULP; arguments below -1 give NaN, -1 minus infinity.
#[inline(always)]
pub fn log1p<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // What 1 + x rounds away is added back to first order, as in `softplus`.
    let u = s.add(s.splat(1.0), x);
    let lost = s.div(s.sub(x, s.sub(u, s.splat(1.0))), u);
    let y = ln(s, u);
    // At -1 and infinity nothing is lost, but the quotient is NaN. Below 2^-25 the square is out of sight, and the sign of
    // zero is kept.
    let ends = s.mask_or(s.eq(u, s.zero()), s.eq(u, s.splat(f32::INFINITY)));
    let y = s.select(ends, y, s.add(y, lost));
    s.select(s.lt(s.abs(x), s.splat(2.980_232_2e-8)), x, y)
}

/// `(erf(x) - x) / x` as a polynomial of `x^2` for `|x| <= 475 / 512`; relative error of `erf` 2^-25.
const ERF: [f32; 6] =
    [0.128_379_17, -0.376_125_34, 0.112_819_925, -0.026_768_135, 0.004_991_192_3, -0.000_596_761_7];
/// `(-ln(1 - erf(t)) - t) / t`, up to its sign, as a polynomial of `t` from `475 / 512` to where `erf` is 1.
const ERF_TAIL: [f32; 7] = [
    -0.128_717_51,
    -0.634_846_7,
    -0.106_777_88,
    0.024_254_622,
    -0.003_883_964_4,
    0.000_383_197_13,
    -0.000_017_285_347,
];

/// The error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to `x`, within 2 ULP.
#[inline(always)]
pub fn erf<S: Arithmetic>(s: S, x: S::V) -> S::V {
    let t = s.abs(x);
    let near = s.mul_add(polynomial(s, s.mul(x, x), ERF), x, x);
    // Beyond 4 it is 1. NaN is not below and keeps to the series.
    let far = s.min(s.splat(4.0), t);
    let power = s.mul_add(polynomial(s, far, ERF_TAIL), far, s.neg(far));
    let far = s.copysign(s.sub(s.splat(1.0), exp(s, power)), x);
    s.select(s.gt(t, s.splat(0.927_734_4)), far, near)
}

/// pi / 2 in four parts, of which the first three have exact products with the integers that occur.
const HALF_PI: [f32; 4] = [1.570_312_5, 4.837_513e-4, 7.549_533_6e-8, 2.563_344e-12];
/// Arguments above this go lane by lane to the standard library: the reduction above would lose too much.
const SIN_LIMIT: f32 = 8192.0;
/// `(sin(r) - r) / r^3` as a polynomial of `r^2` for `|r| <= pi / 4`; relative error of `sin` 2^-28.
const SIN: [f32; 3] = [-0.166_666_55, 0.008_332_16, -0.000_195_152_18];
/// `(cos(r) - 1 + r^2 / 2) / r^4` as a polynomial of `r^2` for `|r| <= pi / 4`; relative error of `cos` 2^-33.
const COS: [f32; 3] = [0.041_666_646, -0.001_388_731_5, 2.443_308_2e-5];

/// `sin(x + quarters pi / 2)`.
#[inline(always)]
fn sin_from<S: Arithmetic>(s: S, x: S::V, quarters: i32) -> S::V {
    let shifted = s.mul_add(x, s.splat(std::f32::consts::FRAC_2_PI), s.splat(ROUNDER));
    let n = s.sub(shifted, s.splat(ROUNDER));
    let r = s.neg_mul_add(n, s.splat(HALF_PI[0]), x);
    let r = s.neg_mul_add(n, s.splat(HALF_PI[1]), r);
    let r = s.neg_mul_add(n, s.splat(HALF_PI[2]), r);
    let r = s.neg_mul_add(n, s.splat(HALF_PI[3]), r);
    let square = s.mul(r, r);
    let sin = s.mul_add(s.mul(polynomial(s, square, SIN), square), r, r);
    let cos = s.mul_add(s.mul(polynomial(s, square, COS), square), square, s.splat(1.0));
    let cos = s.neg_mul_add(square, s.splat(0.5), cos);
    let quadrant = s.int_add(s.to_bits(shifted), s.int_splat(quarters));
    let odd = s.gt(s.to_float(s.int_and(quadrant, s.int_splat(1))), s.splat(0.5));
    let sign = s.shift_left::<30>(s.int_and(quadrant, s.int_splat(2)));
    let y = s.select(odd, cos, sin);
    s.from_bits(s.int_xor(s.to_bits(y), sign))
}

/// Puts `function` in the lanes of `y` where `x` is too large, infinite or NaN for the reduction.
#[inline(always)]
fn mend_large<S: Arithmetic>(s: S, x: S::V, y: S::V, function: fn(f32) -> f32) -> S::V {
    // An all-ones exponent makes infinity and NaN large as well.
    let magnitude = s.int_and(s.to_bits(x), s.int_splat(i32::MAX));
    let over = s.int_sub(s.int_splat(SIN_LIMIT.to_bits() as i32), magnitude);
    let large = s.lt(s.to_float(over), s.zero());
    if !s.any(large) {
        return y;
    }
    let (mut xs, mut ys) = ([0.0f32; WIDEST], [0.0f32; WIDEST]);
    s.store_slice(&mut xs, x);
    s.store_slice(&mut ys, y);
    for (x, y) in xs.into_iter().zip(&mut ys) {
        if x.is_nan() || x.abs() > SIN_LIMIT {
            *y = function(x);
        }
    }
    s.load_slice(&ys)
}

/// Sine of an angle in radians, within 3 ULP (arguments over 8192 by the standard library).
#[inline(always)]
pub fn sin<S: Arithmetic>(s: S, x: S::V) -> S::V {
    let y = sin_from(s, x, 0);
    // Keeps the sign of zero; the cube is out of sight there.
    let y = s.select(s.lt(s.abs(x), s.splat(2.4e-4)), x, y);
    mend_large(s, x, y, f32::sin)
}

/// Cosine of an angle in radians, within 3 ULP (arguments over 8192 by the standard library).
#[inline(always)]
pub fn cos<S: Arithmetic>(s: S, x: S::V) -> S::V {
    mend_large(s, x, sin_from(s, x, 1), f32::cos)
}

/// A function of two numbers lane by lane.
#[inline(always)]
fn lane_by_lane<S: Arithmetic>(s: S, x: S::V, y: S::V, function: fn(f32, f32) -> f32) -> S::V {
    let (mut xs, mut ys) = ([0.0f32; WIDEST], [0.0f32; WIDEST]);
    s.store_slice(&mut xs, x);
    s.store_slice(&mut ys, y);
    for (x, y) in xs[..S::LANES].iter_mut().zip(ys) {
        *x = function(*x, y);
    }
    s.load_slice(&xs)
}

/// `x^y` lane by lane by the standard library: powers need more digits of the logarithm than vectors of f32 hold.
#[inline(always)]
pub fn pow<S: Arithmetic>(s: S, x: S::V, y: S::V) -> S::V {
    lane_by_lane(s, x, y, f32::powf)
}

/// The angle in radians from the positive half of the first axis to the point `(x, y)`, lane by lane by the standard
/// library.
#[inline(always)]
pub fn atan2<S: Arithmetic>(s: S, y: S::V, x: S::V) -> S::V {
    lane_by_lane(s, y, x, f32::atan2)
}

/// `x - n y` for the whole number `n` that gives it the sign of `y` and a magnitude below that of `y`, lane by lane.
#[inline(always)]
pub fn modulo<S: Arithmetic>(s: S, x: S::V, y: S::V) -> S::V {
    lane_by_lane(s, x, y, modulo_of)
}

/// [`modulo`] of two numbers: exact but for one rounding where their signs differ; a remainder of 0 has the sign of `y`.
pub fn modulo_of(x: f32, y: f32) -> f32 {
    let rest = x % y;
    if rest == 0.0 {
        0f32.copysign(y)
    } else if (rest < 0.0) != (y < 0.0) {
        rest + y
    } else {
        rest
    }
}

macro_rules! over_slices {
    ($($function:ident $over:ident $kernel:ident $into:ident $in_place:ident;)*) => {$(
        struct $kernel {
            x: *const f32,
            out: *mut f32,
            len: usize,
        }

        impl Kernel for $kernel {
            type Output = ();

            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                // SAFETY: both slices have `len` values; they are the same or apart.
                unsafe { $over(s, self.x, self.out, self.len) }
            }
        }

        #[doc = concat!("[`", stringify!($function), "`] of every element: vectors four at a time, one at a time, then what is left.")]
        ///
        /// # Safety
        /// `x` must be valid for reading and `out` for writing `len` values, and they must be the same or apart.
        #[inline(always)]
        pub unsafe fn $over<S: Simd>(s: S, x: *const f32, out: *mut f32, len: usize) {
            let woven = Interleaved(s);
            let mut i = 0;
            // SAFETY: no vector goes beyond `len`, and each is read before it is written.
            unsafe {
                while i + Interleaved::<S>::LANES <= len {
                    woven.store(out.add(i), $function(woven, woven.load(x.add(i))));
                    i += Interleaved::<S>::LANES;
                }
                while i + S::LANES <= len {
                    s.store(out.add(i), $function(s, s.load(x.add(i))));
                    i += S::LANES;
                }
                if i < len {
                    let y = $function(s, s.load_partial(x.add(i), len - i));
                    s.store_partial(out.add(i), y, len - i);
                }
            }
        }

        #[doc = concat!("[`", stringify!($function), "`] of every element of `x` into `out`, as far as the shorter of them goes.")]
        pub fn $into(x: &[f32], out: &mut [f32]) {
            debug_assert_eq!(x.len(), out.len());
            dispatch($kernel { x: x.as_ptr(), out: out.as_mut_ptr(), len: x.len().min(out.len()) });
        }

        #[doc = concat!("[`", stringify!($function), "`] of every element of `x` in place.")]
        pub fn $in_place(x: &mut [f32]) {
            dispatch($kernel { x: x.as_ptr(), out: x.as_mut_ptr(), len: x.len() });
        }
    )*};
}

over_slices! {
    exp exp_over ExpKernel exp_into exp_in_place;
    expm1 expm1_over Expm1Kernel expm1_into expm1_in_place;
    ln ln_over LnKernel ln_into ln_in_place;
    log1p log1p_over Log1pKernel log1p_into log1p_in_place;
    erf erf_over ErfKernel erf_into erf_in_place;
    tanh tanh_over TanhKernel tanh_into tanh_in_place;
    sigmoid sigmoid_over SigmoidKernel sigmoid_into sigmoid_in_place;
    gelu gelu_over GeluKernel gelu_into gelu_in_place;
    softplus softplus_over SoftplusKernel softplus_into softplus_in_place;
    sin sin_over SinKernel sin_into sin_in_place;
    cos cos_over CosKernel cos_into cos_in_place;
}

/// `exp(scale x - shift)` of one vector, written to `out`.
///
/// # Safety
/// `x` must be valid for reading and `out` for writing a vector.
#[inline(always)]
unsafe fn exp_shifted_by<A: Arithmetic>(a: A, x: *const f32, out: *mut f32, scale: f32, shift: f32) -> A::V {
    // SAFETY: the caller vouches for both.
    unsafe {
        let y = exp(a, a.mul_add(a.load(x), a.splat(scale), a.splat(-shift)));
        a.store(out, y);
        y
    }
}

/// `out <- exp(scale x - shift)` for every element; gives the sum of the results: the numerators and the denominator of
/// a softmax.
///
/// # Safety
/// `x` must be valid for reading and `out` for writing `len` values, and they must be the same or apart.
#[inline(always)]
pub unsafe fn exp_and_sum<S: Simd>(
    s: S,
    x: *const f32,
    out: *mut f32,
    len: usize,
    scale: f32,
    shift: f32,
) -> f32 {
    let woven = Interleaved(s);
    let (mut totals, mut i) = (woven.zero(), 0);
    // SAFETY: no vector goes beyond `len`, and each is read before it is written.
    unsafe {
        while i + Interleaved::<S>::LANES <= len {
            totals = woven.add(totals, exp_shifted_by(woven, x.add(i), out.add(i), scale, shift));
            i += Interleaved::<S>::LANES;
        }
        let mut total = s.add(s.add(totals[0], totals[1]), s.add(totals[2], totals[3]));
        while i + S::LANES <= len {
            total = s.add(total, exp_shifted_by(s, x.add(i), out.add(i), scale, shift));
            i += S::LANES;
        }
        if i < len {
            let rest = s.load_partial(x.add(i), len - i);
            let y = exp(s, s.mul_add(rest, s.splat(scale), s.splat(-shift)));
            s.store_partial(out.add(i), y, len - i);
            // Lanes past the end are zero when they are read again.
            total = s.add(total, s.load_partial(out.add(i), len - i));
        }
        s.reduce_add(total)
    }
}

/// `x^exponent` of every element by the standard library.
pub fn pow_into(x: &[f32], exponent: f32, out: &mut [f32]) {
    debug_assert_eq!(x.len(), out.len());
    if exponent == 2.0 {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = x * x);
    } else {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = x.powf(exponent));
    }
}

#[cfg(test)]
mod tests;
