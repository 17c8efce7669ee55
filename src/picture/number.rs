//! Numbers as people read them.

/// `950`, `12.3 k`, `2.00 M`
pub fn short(number: f64) -> String {
    let (value, unit) = match number.abs() {
        n if n < 1e3 => return format!("{number:.0}"),
        n if n < 1e6 => (number / 1e3, "k"),
        n if n < 1e9 => (number / 1e6, "M"),
        _ => (number / 1e9, "G"),
    };
    format!("{} {unit}", significant(value))
}

/// Three significant digits, in plain notation where that is short.
pub fn significant(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".into(),
        _ if !value.is_finite() => value.to_string(),
        _ if !(1e-4..1e7).contains(&size) => format!("{value:.2e}"),
        _ => {
            // Rounding may carry into one more digit (9.996 -> 10.0).
            let digits = 2 - size.log10().floor() as i32;
            let rounded = format!("{value:.*}", digits.clamp(0, 6) as usize);
            let carried = rounded
                .trim_start_matches('-')
                .parse::<f64>()
                .is_ok_and(|r| r.log10() >= f64::from(3 - digits));
            if carried { format!("{value:.*}", (digits - 1).clamp(0, 6) as usize) } else { rounded }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in
            [(0.0, "0"), (0.9, "1"), (950.0, "950"), (12345.0, "12.3 k"), (2e6, "2.00 M"), (3.5e10, "35.0 G")]
        {
            assert_eq!(short(number), text);
        }
        for (number, text) in [
            (0.0, "0"),
            (0.51349, "0.513"),
            (-12.345, "-12.3"),
            (9.996, "10.0"),
            (0.09999, "0.100"),
            (123456.7, "123457"),
            (1e-9, "1.00e-9"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(significant(number), text);
        }
    }
}
