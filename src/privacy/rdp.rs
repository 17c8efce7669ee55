//! The accountant of Rényi divergences (Mironov, Talwar and Zhang 2019, arXiv 1908.10530): the divergence of order alpha of
//! one step, times the number of steps, and the epsilon that follows from it (Canonne, Kamath and Steinke 2020,
//! arXiv 2004.00010, proposition 12), at the best of many orders.

use super::gaussian::log_erfc;
use super::{Plan, check_delta};
use crate::error::Result;

/// Orders that are tried.
fn orders() -> impl Iterator<Item = f64> {
    let fine = (1..100).map(|i| 1.0 + f64::from(i) / 10.0);
    fine.chain((11..64).map(f64::from)).chain([80.0, 96.0, 128.0, 192.0, 256.0, 384.0, 512.0, 1024.0])
}

/// An upper bound of the epsilon that a plan spends at `delta`.
///
/// # Errors
/// Numbers out of range.
pub fn epsilon(plan: &Plan, delta: f64) -> Result<f64> {
    plan.check()?;
    check_delta(delta)?;
    let of = |order: f64| {
        let spent = plan.steps as f64 * divergence(plan.noise, plan.rate, order);
        spent + ((order - 1.0) / order).ln() - (delta.ln() + order.ln()) / (order - 1.0)
    };
    Ok(orders().map(of).filter(|epsilon| !epsilon.is_nan()).fold(f64::INFINITY, f64::min).max(0.0))
}

/// The Rényi divergence of some order of one step.
pub fn divergence(noise: f64, rate: f64, order: f64) -> f64 {
    if rate >= 1.0 {
        return order / (2.0 * noise * noise);
    }
    let log = if order.fract() == 0.0 { whole(noise, rate, order) } else { between(noise, rate, order) };
    log / (order - 1.0)
}

fn log_add(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if small == f64::NEG_INFINITY { large } else { large + (small - large).exp().ln_1p() }
}

/// `log(e^a - e^b)`, and minus infinity where that is not above 0.
fn log_subtract(a: f64, b: f64) -> f64 {
    if b == f64::NEG_INFINITY {
        a
    } else if a <= b {
        f64::NEG_INFINITY
    } else {
        a + (-(b - a).exp()).ln_1p()
    }
}

/// `log A` of a whole order, by its binomial sum (there, section 3.3).
fn whole(noise: f64, rate: f64, order: f64) -> f64 {
    let mut sum = f64::NEG_INFINITY;
    let mut log_binomial = 0.0;
    let mut k = 0.0;
    while k <= order {
        let term = log_binomial
            + k * rate.ln()
            + (order - k) * (-rate).ln_1p()
            + (k * k - k) / (2.0 * noise * noise);
        sum = log_add(sum, term);
        log_binomial += (order - k).ln() - (k + 1.0).ln();
        k += 1.0;
    }
    sum
}

/// `log A` of an order between, by two series that end where nothing is left to add (there, section 3.3).
fn between(noise: f64, rate: f64, order: f64) -> f64 {
    let (mut below, mut above) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let (mut log_coefficient, mut is_negative) = (0.0f64, false);
    let middle = noise * noise * (1.0 / rate - 1.0).ln() + 0.5;
    let half = -std::f64::consts::LN_2;
    let width = std::f64::consts::SQRT_2 * noise;
    for i in 0..10_000 {
        let i = f64::from(i);
        let j = order - i;
        let (here, there) = (rate.ln(), (-rate).ln_1p());
        let exponent = |k: f64| (k * k - k) / (2.0 * noise * noise);
        let first =
            log_coefficient + i * here + j * there + exponent(i) + half + log_erfc((i - middle) / width);
        let second =
            log_coefficient + j * here + i * there + exponent(j) + half + log_erfc((middle - j) / width);
        if is_negative {
            (below, above) = (log_subtract(below, first), log_subtract(above, second));
        } else {
            (below, above) = (log_add(below, first), log_add(above, second));
        }
        if i > order && first.max(second) < -30.0 {
            break;
        }
        let factor = (order - i) / (i + 1.0);
        log_coefficient += factor.abs().ln();
        is_negative ^= factor < 0.0;
    }
    log_add(below, above)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The divergence by its integral, `E_Q[(P / Q)^order]`, with P the mixture and Q the normal distribution.
    fn integral(noise: f64, rate: f64, order: f64) -> f64 {
        let (step, mut sum) = (1e-3, 0.0);
        let mut x = -40.0 * noise;
        while x < 40.0 * noise + 2.0 * order {
            let density = (-0.5 * (x / noise).powi(2)).exp() / (noise * (2.0 * std::f64::consts::PI).sqrt());
            let ratio = 1.0 - rate + rate * ((2.0 * x - 1.0) / (2.0 * noise * noise)).exp();
            if density > 0.0 {
                sum += step * (density.ln() + order * ratio.ln()).exp();
            }
            x += step;
        }
        sum.ln() / (order - 1.0)
    }

    #[test]
    fn divergences_are_those_of_the_integral() {
        for (noise, rate) in [(1.1, 0.01), (2.0, 0.2), (4.0, 0.7)] {
            for order in [1.3, 2.0, 2.7, 5.0, 7.9] {
                let (found, exact) = (divergence(noise, rate, order), integral(noise, rate, order));
                assert!((found / exact - 1.0).abs() < 1e-5, "{noise} {rate} {order}: {found}, not {exact}");
            }
        }
    }
}
