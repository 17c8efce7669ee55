// Scalar functions that WGSL lacks, or whose built-in is not exact enough or overflows. Stands behind special.wgsl.

// The built-ins may give the other operand where one is NaN, which would hide that a computation has diverged.
fn max_(x: f32, y: f32) -> f32 {
    return select(select(max(x, y), y, is_nan(y)), x, is_nan(x));
}

fn min_(x: f32, y: f32) -> f32 {
    return select(select(min(x, y), y, is_nan(y)), x, is_nan(x));
}

fn sign_(x: f32) -> f32 {
    return select(sign(x), x, is_nan(x));
}

// exp(x) - 1 without cancellation: a series near 0.
fn expm1_(x: f32) -> f32 {
    if (abs(x) < 0.35) {
        return x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666668 + x * (0.008333334
            + x * (0.0013888889 + x * 0.00019841270))))));
    }
    return exp(x) - 1.0;
}

// The built-in overflows to NaN for large arguments on some drivers.
fn tanh_(x: f32) -> f32 {
    let e = expm1_(-2.0 * abs(x));
    let t = -e / (e + 2.0);
    return select(t, -t, x < 0.0);
}

fn sigmoid_(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(1.0, e, x < 0.0) / (1.0 + e);
}

// log(1 + e) for small e by a series, so that the tail of softplus keeps its digits.
fn softplus_(x: f32) -> f32 {
    let e = exp(-abs(x));
    let small = e * (1.0 - e * (0.5 - e * (0.33333334 - e * 0.25)));
    return max(x, 0.0) + select(log(1.0 + e), small, e < 0.02);
}

fn gelu_(x: f32) -> f32 {
    let y = 0.5 * x * (1.0 + tanh_(0.7978846 * (x + 0.044715 * x * x * x)));
    // Minus infinity times 0 would be NaN.
    return select(y, 0.0, x < -20.0);
}

// The built-ins are only required to be good within [-pi, pi].
fn reduce_angle(x: f32) -> f32 {
    let k = round(x * 0.15915494);
    // 2 pi as the sum of two floats.
    return fma(k, 0.00000017484556, fma(k, -6.2831855, x));
}

fn sin_(x: f32) -> f32 {
    return sin(reduce_angle(x));
}

fn cos_(x: f32) -> f32 {
    return cos(reduce_angle(x));
}

// As in C (IEEE 754-2019, 9.2.1). The built-in is undefined for bases below 0, and at 0 and infinity its logarithm
// times the exponent may be NaN.
fn pow_(x: f32, y: f32) -> f32 {
    if (y == 0.0 || x == 1.0) { return 1.0; }
    if (is_nan(x) || is_nan(y)) { return not_finite(0x7fc00000u); }
    // The usual exponents are exact, and cost nothing where they are constants.
    if (y == 1.0) { return x; }
    if (y == 2.0) { return x * x; }
    if (y == -1.0) { return 1.0 / x; }
    let base = abs(x);
    let infinity = not_finite(0x7f800000u);
    let whole = floor(y) == y;
    var magnitude: f32;
    if (base == 1.0 && whole) {
        magnitude = 1.0;
    } else if (base == 0.0 || base == infinity || abs(y) == infinity) {
        magnitude = select(0.0, infinity, (base > 1.0) == (y > 0.0));
    } else if (x < 0.0 && !whole) {
        return not_finite(0x7fc00000u);
    } else {
        magnitude = pow(base, y);
    }
    // From 2^24 on all floats are even.
    let odd = whole && abs(y) < 16777216.0 && (i32(y) & 1) != 0;
    return select(magnitude, -magnitude, odd && (bitcast<u32>(x) >> 31u) != 0u);
}

// log(1 + x): near 0 what 1 + x rounds away is added back, with a series where the logarithm itself is inexact.
fn log1p_(x: f32) -> f32 {
    if (abs(x) < 0.1) {
        return x * (1.0 - x * (0.5 - x * (0.33333334 - x * (0.25 - x * (0.2 - x * (0.16666667
            - x * (0.14285715 - x * 0.125)))))));
    }
    return log(1.0 + x);
}

// As the CPU has it: a series up to 475 / 512, from there on one minus an exponential.
fn erf_(x: f32) -> f32 {
    let t = abs(x);
    let s = x * x;
    if (t > 0.9277344) {
        let u = min(t, 4.0);
        let p = -0.12871751 + u * (-0.6348467 + u * (-0.10677788 + u * (0.024254622 + u * (-0.0038839644
            + u * (0.00038319713 - u * 0.000017285347)))));
        let y = 1.0 - exp(u * p - u);
        return select(y, -y, x < 0.0);
    }
    return x + x * (0.12837917 + s * (-0.37612534 + s * (0.112819925 + s * (-0.026768135 + s * (0.0049911923
        - s * 0.0005967617)))));
}

// The magnitude of a with the sign bit of b.
fn copysign_(a: f32, b: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(a) & 0x7fffffffu) | (bitcast<u32>(b) & 0x80000000u));
}

// x - n y by long division of the digits, which is exact whatever the quotient; with the sign of y. The built-in
// remainder is not required to be.
fn modulo_(x: f32, y: f32) -> f32 {
    let a = bitcast<u32>(x) & 0x7fffffffu;
    let b = bitcast<u32>(y) & 0x7fffffffu;
    if (a >= 0x7f800000u || b > 0x7f800000u || b == 0u) { return not_finite(0x7fc00000u); }
    var rest = a;
    if (a >= b) {
        // Digits and exponents; those of denormals as if they had the least exponent.
        var of_a = i32(max(a >> 23u, 1u));
        let of_b = i32(max(b >> 23u, 1u));
        var digits = (a & 0x7fffffu) | select(0u, 0x800000u, a >= 0x800000u);
        let divisor = (b & 0x7fffffu) | select(0u, 0x800000u, b >= 0x800000u);
        digits %= divisor;
        for (; of_a > of_b && digits != 0u; of_a--) {
            digits = (digits << 1u) % divisor;
        }
        // Back to a float with the exponent of y.
        rest = 0u;
        if (digits != 0u) {
            var exponent = of_b;
            for (; digits < 0x800000u && exponent > 1; exponent--) { digits <<= 1u; }
            rest = select(digits, (digits & 0x7fffffu) | (u32(exponent) << 23u), digits >= 0x800000u);
        }
    }
    if (rest == 0u) { return copysign_(0.0, y); }
    let apart = ((bitcast<u32>(x) ^ bitcast<u32>(y)) >> 31u) != 0u;
    if (b == 0x7f800000u && apart) { return y; }
    let r = copysign_(bitcast<f32>(rest), x);
    return select(r, r + y, apart);
}

// The arc tangent on [0, 1] by polynomials on two halves (Cephes), then the octants. The built-in may be off by 4096 units
// in the last place and is not defined at zeros and infinities.
fn atan2_(y: f32, x: f32) -> f32 {
    if (is_nan(x) || is_nan(y)) { return not_finite(0x7fc00000u); }
    let a = abs(x);
    let b = abs(y);
    let large = max(a, b);
    let least = min(a, b);
    var ratio = select(least / large, 0.0, large == 0.0);
    if (least == large && large != 0.0) { ratio = 1.0; }
    if (large == not_finite(0x7f800000u) && least != large) { ratio = 0.0; }
    var start = 0.0;
    if (ratio > 0.41421357) {
        start = 0.7853982;
        ratio = (ratio - 1.0) / (ratio + 1.0);
    }
    let s = ratio * ratio;
    var angle = start + (ratio + ratio * s * (-0.33332949 + s * (0.19977711 + s * (-0.13877685 + s * 0.080537446))));
    if (b > a) { angle = 1.5707964 - angle; }
    if ((bitcast<u32>(x) >> 31u) != 0u) { angle = 3.1415927 - angle; }
    return copysign_(angle, y);
}
