//! One use of the Gaussian mechanism, exactly (Balle and Wang 2018, arXiv 1805.06530, theorem 8): noise of deviation
//! `noise` on a sum of sensitivity 1 is (epsilon, delta)-private where
//!
//! ```text
//! delta = Phi(1 / (2 noise) - epsilon noise) - e^epsilon Phi(-1 / (2 noise) - epsilon noise)
//! ```

use super::{check_delta, positive};
use crate::error::{Error, Result};

/// The distribution function of the normal distribution.
pub(super) fn phi(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

/// The logarithm of erfc, also where erfc itself is beyond the range of numbers.
pub(super) fn log_erfc(x: f64) -> f64 {
    if x < 25.0 {
        return libm::erfc(x).ln();
    }
    // The first terms of its asymptotic series.
    let square = x * x;
    -square - x.ln() - 0.5 * std::f64::consts::PI.ln() + (-0.5 / square + 0.75 / (square * square)).ln_1p()
}

/// The delta at an epsilon.
pub fn delta(noise: f64, epsilon: f64) -> f64 {
    let (a, b) = (0.5 / noise, epsilon * noise);
    let second = epsilon - std::f64::consts::LN_2 + log_erfc((a + b) / std::f64::consts::SQRT_2);
    (phi(a - b) - second.exp()).max(0.0)
}

/// The epsilon that noise gives at a delta.
///
/// # Errors
/// Numbers out of range.
pub fn epsilon(noise: f64, wanted: f64) -> Result<f64> {
    positive("noise", noise)?;
    check_delta(wanted)?;
    // At this epsilon the loss is over by far more than its deviation.
    let most = 0.5 / (noise * noise) + 40.0 / noise;
    if !most.is_finite() {
        return Err(Error::Usage(format!("noise: {noise} keeps nothing private")));
    }
    Ok(least(0.0, most, |epsilon| delta(noise, epsilon) <= wanted))
}

/// The least noise that is (epsilon, delta)-private.
///
/// # Errors
/// Numbers out of range.
pub fn noise(epsilon: f64, wanted: f64) -> Result<f64> {
    positive("epsilon", epsilon)?;
    check_delta(wanted)?;
    let mut high = 1.0;
    while delta(high, epsilon) > wanted && high < 1e150 {
        high *= 2.0;
    }
    Ok(least(0.0, high, |noise| noise > 0.0 && delta(noise, epsilon) <= wanted))
}

/// The least number of a range from which on `holds` does, which holds at its end.
pub(super) fn least(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if holds(low) {
        return low;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        match holds(middle) {
            true => high = middle,
            false => low = middle,
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_what_the_closed_form_gives() {
        for (epsilon, expected) in [(0.1, 30.75), (0.5, 7.032), (1.0, 3.7306), (2.0, 1.994), (8.0, 0.600)] {
            let found = noise(epsilon, 1e-5).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-3, "{epsilon}: {found}, not {expected}");
            assert!((super::epsilon(found, 1e-5).unwrap() / epsilon - 1.0).abs() < 1e-9);
        }
    }

    /// Deviation sensitivity / epsilon, as is often written, does not keep the promise of that epsilon.
    #[test]
    fn noise_of_sensitivity_over_epsilon_is_not_private_as_claimed() {
        let found = epsilon(1.0, 1e-5).unwrap();
        assert!((found - 4.377).abs() < 1e-3, "{found}");
        assert!(delta(1.0, 1.0) > 0.1);
    }

    #[test]
    fn the_tail_of_erfc_goes_on_where_numbers_end() {
        for x in [5.0, 20.0, 24.9] {
            let (near, far) = (log_erfc(x), {
                let square: f64 = x * x;
                -square - x.ln() - 0.5 * std::f64::consts::PI.ln()
                    + (-0.5 / square + 0.75 / (square * square)).ln_1p()
            });
            assert!((near - far).abs() < 2.0 / x.powi(6), "{x}: {near} {far}");
        }
        assert!(log_erfc(1e3) < -9.9e5);
    }
}
