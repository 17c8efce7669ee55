// Division rounded down, and what it leaves, with the sign of the divisor; by 0 both are 0.

fn divide_u32(x: u32, y: u32) -> u32 {
    if (y == 0u) { return 0u; }
    return x / y;
}

fn modulo_u32(x: u32, y: u32) -> u32 {
    if (y == 0u) { return 0u; }
    return x % y;
}

fn divide_i32(x: i32, y: i32) -> i32 {
    if (y == 0) { return 0; }
    // The least number by -1 wraps around to itself.
    if (y == -1) { return 0 - x; }
    let quotient = x / y;
    let rest = x - quotient * y;
    return select(quotient, quotient - 1, rest != 0 && (rest < 0) != (y < 0));
}

fn modulo_i32(x: i32, y: i32) -> i32 {
    if (y == 0) { return 0; }
    return x - divide_i32(x, y) * y;
}
