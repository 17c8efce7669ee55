// Scalar functions that WGSL lacks, or whose built-in is not exact enough or overflows.

// Infinities and NaN cannot be written as literals, and a bitcast of a constant is refused: the bits go through a
// variable.
fn not_finite(bits: u32) -> f32 {
    var b = bits;
    return bitcast<f32>(b);
}

// By the bits: compilers may take it that no float is NaN.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

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
