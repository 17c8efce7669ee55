//! The accountant of the privacy loss itself: the distribution of `log P(x) / Q(x)` of one step on a grid, as often added to
//! itself as there are steps by a Fourier transform (Koskela, Jälkö and Honkela 2020, arXiv 1906.03049; Gopi, Lee and
//! Wutschitz 2021, arXiv 2106.02848), in both directions: someone's data taken away, and added.
//!
//! Losses are rounded to the nearest point, which moves no mean by more than the grid is fine; the grid is a fiftieth of
//! the loss's own deviation or less.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

use super::gaussian::{least, phi};
use super::{Plan, check_delta, rdp};
use crate::error::{Error, Result};

/// Points of a grid at most.
const MOST_POINTS: usize = 1 << 24;

/// The epsilon that a plan spends at `delta`.
///
/// # Errors
/// Numbers out of range, or a loss that the largest grid does not hold.
pub fn epsilon(plan: &Plan, delta: f64) -> Result<f64> {
    plan.check()?;
    check_delta(delta)?;
    let bound = rdp::epsilon(plan, delta)?;
    let mut worst = 0.0f64;
    for removed in [true, false] {
        let sum = Sum::new(plan, removed, bound)?;
        worst = worst.max(least(0.0, sum.reach, |epsilon| sum.delta(epsilon) <= delta));
    }
    Ok(worst)
}

/// The distribution of the sum of all steps' losses: the chance of `k step` for k from 0 on, and from the end backwards those
/// below 0.
struct Sum {
    chances: Vec<f64>,
    step: f64,
    reach: f64,
}

impl Sum {
    fn new(plan: &Plan, removed: bool, bound: f64) -> Result<Sum> {
        let reach = (3.0 * bound + 6.0).min(1e6);
        // A loss has about this deviation where all is smooth.
        let deviation = ((1.0 / (plan.noise * plan.noise)).exp_m1().min(1e12)).sqrt() * plan.rate;
        let step = (deviation / 50.0).clamp(1e-7, 1e-3);
        let wanted = (2.0 * reach / step).ceil();
        if !wanted.is_finite() || wanted > MOST_POINTS as f64 {
            let Plan { noise, rate, steps } = plan;
            return Err(Error::Usage(format!(
                "the privacy loss of {steps} steps with noise {noise} and rate {rate} is too large to be accounted for \
                 (epsilon about {bound:.3})"
            )));
        }
        let points = (wanted as usize).next_power_of_two();
        let reach = points as f64 * step / 2.0;
        let mut values = vec![Complex::new(0.0, 0.0); points];
        let half = (points / 2) as i64;
        let mut below = cumulative(plan, removed, (-half as f64 - 0.5) * step);
        for k in -half..half {
            let up_to = cumulative(plan, removed, (k as f64 + 0.5) * step);
            values[k.rem_euclid(points as i64) as usize].re = (up_to - below).max(0.0);
            below = up_to;
        }
        let mut planner = FftPlanner::new();
        planner.plan_fft_forward(points).process(&mut values);
        // Powers of complex numbers by their logarithm lose digits where steps are many: squared instead.
        values.iter_mut().for_each(|value| *value = power(*value, plan.steps));
        planner.plan_fft_inverse(points).process(&mut values);
        let chances = values.iter().map(|value| (value.re / points as f64).max(0.0)).collect();
        Ok(Sum { chances, step, reach })
    }

    /// `E[(1 - e^(epsilon - loss))+]`.
    fn delta(&self, epsilon: f64) -> f64 {
        let first = (epsilon / self.step).ceil().max(0.0) as usize;
        let losses = self.chances.len() / 2;
        (first..losses)
            .map(|k| -(epsilon - k as f64 * self.step).exp_m1() * self.chances[k])
            .filter(|part| *part > 0.0)
            .sum()
    }
}

fn power(mut base: Complex<f64>, mut exponent: u64) -> Complex<f64> {
    let mut product = Complex::new(1.0, 0.0);
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    product
}

/// The chance that one step's loss is at most `at`: of `log((1 - q) + q e^((2x - 1) / (2 noise^2)))` with x from the mixture
/// where someone's data are taken away, and of minus that with x from the normal distribution where they are added.
fn cumulative(plan: &Plan, removed: bool, at: f64) -> f64 {
    let (noise, rate) = (plan.noise, plan.rate);
    // Where the loss of the first kind is `loss`; minus infinity where it is always above.
    let place = |loss: f64| {
        let inside = (loss.exp_m1() + rate) / rate;
        if inside <= 0.0 { f64::NEG_INFINITY } else { noise * noise * inside.ln() + 0.5 }
    };
    if removed {
        let x = place(at);
        (1.0 - rate) * phi(x / noise) + rate * phi((x - 1.0) / noise)
    } else {
        phi(-place(-at) / noise)
    }
}
