// Scalar functions that WGSL lacks, or whose built-in is not exact enough or overflows.

// Infinities and NaN cannot be written as literals, and a bitcast of a constant is refused: the bits go through a
// variable.
fn not_finite(bits: u32) -> f32 {
    var b = bits;
    return bitcast<f32>(b);
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
    return 0.5 * x * (1.0 + tanh_(0.7978846 * (x + 0.044715 * x * x * x)));
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

// The built-in is undefined for bases below 0; whole exponents are allowed there, as in C.
fn pow_(x: f32, y: f32) -> f32 {
    if (y == 0.0) { return 1.0; }
    if (x == 0.0) { return select(not_finite(0x7f800000u), 0.0, y > 0.0); }
    let magnitude = pow(abs(x), y);
    if (x > 0.0) { return magnitude; }
    if (fract(y) != 0.0) { return not_finite(0x7fc00000u); }
    return select(magnitude, -magnitude, (i32(y) & 1) != 0);
}

