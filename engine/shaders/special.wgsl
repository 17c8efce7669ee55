// Numbers that are not finite, for kernels that this file is joined with.

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

