//! Differential privacy: what noise is worth, and how much of it a promise takes. Nothing here knows of agents or trainers but
//! [`Noisy`], which puts clipping and noise where the gradients of the shards of a batch meet.
//!
//! A mechanism is (epsilon, delta)-private if what it gives out is, whoever's data are added or removed, at most `e^epsilon`
//! times as probable as before, up to a chance of delta. The mechanism here is Gaussian: a sum of which each part has at
//! most the norm `clip` gets noise of deviation `noise * clip`. One use of it is [`gaussian`], many with the privacy that
//! lies in drawing who takes part are an [`Plan`], whose epsilon two accountants give: [`rdp`], an upper bound that is
//! quick, and [`loss`], as near to the truth as its grid.
//!
//! ```
//! use synod::privacy::{Plan, gaussian};
//! // Noise of deviation sensitivity / epsilon is not what it is often said to be: 4.38 and not 1.
//! assert!((gaussian::epsilon(1.0, 1e-5)? - 4.377).abs() < 1e-3);
//! assert!((gaussian::noise(1.0, 1e-5)? - 3.7306).abs() < 1e-4);
//! let plan = Plan { noise: 1.1, rate: 256.0 / 60_000.0, steps: 14_062 };
//! let spent = plan.spent(1e-5)?;
//! assert!((spent.rdp - 2.5966).abs() < 1e-3 && (spent.loss - 2.3817).abs() < 1e-3);
//! # Ok::<(), synod::Error>(())
//! ```

pub mod gaussian;
pub mod loss;
mod noisy;
pub mod rdp;

pub use noisy::Noisy;

use crate::error::{Error, Result};

/// The most steps that are accounted for.
const MOST_STEPS: u64 = 1 << 40;

/// A training by noisy gradients: in each of so many steps everybody's data are drawn with the same chance, independently of
/// all others (Poisson sampling), each part of the sum is clipped, and noise is added once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// The noise's deviation, in units of the norm that parts are clipped to.
    pub noise: f64,
    /// The chance of being drawn in a step.
    pub rate: f64,
    /// Steps.
    pub steps: u64,
}

/// What a plan spends at some delta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// Epsilon by the accountant of Rényi divergences: an upper bound.
    pub rdp: f64,
    /// Epsilon by the distribution of the privacy loss.
    pub loss: f64,
}

impl Plan {
    /// Refuses what is no plan.
    ///
    /// # Errors
    /// The first number out of range, with what was expected.
    pub fn check(&self) -> Result<()> {
        positive("noise", self.noise)?;
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            return Err(Error::Usage(format!("rate: expected over 0 and at most 1, got {}", self.rate)));
        }
        if self.steps == 0 || self.steps > MOST_STEPS {
            return Err(Error::Usage(format!("steps: expected 1 to {MOST_STEPS}, got {}", self.steps)));
        }
        Ok(())
    }

    /// The epsilon that it spends at `delta`, by both accountants.
    ///
    /// # Errors
    /// Numbers out of range, or a loss that no grid holds.
    pub fn spent(&self, delta: f64) -> Result<Spent> {
        Ok(Spent { rdp: rdp::epsilon(self, delta)?, loss: loss::epsilon(self, delta)? })
    }

    /// The least noise with which the plan, its own apart, spends no more than `epsilon` at `delta` by the distribution of the
    /// privacy loss, to a thousandth.
    ///
    /// # Errors
    /// Numbers out of range, or an epsilon that no noise up to 10^6 gives.
    pub fn noise_for(&self, epsilon: f64, delta: f64) -> Result<f64> {
        positive("epsilon", epsilon)?;
        let spends = |noise: f64| loss::epsilon(&Plan { noise, ..*self }, delta);
        let (mut low, mut high) = (0.2, 1.0);
        while spends(high)? > epsilon {
            (low, high) = (high, high * 2.0);
            if high > 1e6 {
                return Err(Error::Usage(format!(
                    "epsilon: {epsilon} would take noise of over a million clips"
                )));
            }
        }
        while high / low > 1.001 {
            let middle = (low * high).sqrt();
            // Where a loss is too large for any grid the noise is too small by far.
            match spends(middle) {
                Ok(spent) if spent <= epsilon => high = middle,
                _ => low = middle,
            }
        }
        Ok(high)
    }
}

/// Refuses a delta that is no chance.
fn check_delta(delta: f64) -> Result<()> {
    match delta > 0.0 && delta < 1.0 {
        true => Ok(()),
        false => Err(Error::Usage(format!("delta: expected over 0 and below 1, got {delta}"))),
    }
}

/// Refuses a number that is not above 0.
fn positive(name: &str, value: f64) -> Result<()> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err(Error::Usage(format!("{name}: expected a number above 0, got {value}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of public accountants: epsilon at delta 1e-5 by Rényi divergences and by the loss's distribution.
    const VECTORS: [(f64, f64, u64, f64, f64); 5] = [
        (0.01, 4.0, 10_000, 1.0355, 0.9470),
        (256.0 / 60_000.0, 1.1, 14_062, 2.5966, 2.3817),
        (256.0 / 60_000.0, 1.3, 3_515, 0.9544, 0.8645),
        (1.0, 1.0, 1, 4.7285, 4.3772),
        (1.0, 5.0, 50, 7.0774, 6.5730),
    ];

    #[test]
    fn accountants_agree_with_public_ones() {
        for (rate, noise, steps, rdp, loss) in VECTORS {
            let spent = Plan { noise, rate, steps }.spent(1e-5).unwrap();
            assert!((spent.rdp / rdp - 1.0).abs() < 1e-3, "{rate} {noise} {steps}: {spent:?}, not {rdp}");
            assert!((spent.loss / loss - 1.0).abs() < 1e-3, "{rate} {noise} {steps}: {spent:?}, not {loss}");
        }
    }

    /// Without drawing, many uses are one with less noise, whose delta has a closed form.
    #[test]
    fn compositions_of_gaussians_are_gaussian() {
        for (noise, steps) in [(3.0, 7u64), (8.0, 100), (0.9, 2)] {
            let exact = gaussian::epsilon(noise / (steps as f64).sqrt(), 1e-6).unwrap();
            let found = loss::epsilon(&Plan { noise, rate: 1.0, steps }, 1e-6).unwrap();
            assert!((found / exact - 1.0).abs() < 1e-3, "{noise} {steps}: {found}, not {exact}");
        }
    }

    #[test]
    fn noise_for_an_epsilon_spends_it() {
        let plan = Plan { noise: 1.0, rate: 0.1, steps: 100 };
        for epsilon in [0.5, 4.0] {
            let noise = plan.noise_for(epsilon, 1e-5).unwrap();
            let spent = loss::epsilon(&Plan { noise, ..plan }, 1e-5).unwrap();
            assert!(spent <= epsilon && spent > 0.99 * epsilon, "{epsilon}: {noise} spends {spent}");
        }
        // One use of everybody's data is the Gaussian mechanism.
        let once = Plan { noise: 1.0, rate: 1.0, steps: 1 }.noise_for(1.0, 1e-5).unwrap();
        assert!((once / 3.7306 - 1.0).abs() < 2e-3, "{once}");
    }

    #[test]
    fn numbers_that_are_no_plan_are_refused_by_name() {
        let plan = Plan { noise: 1.0, rate: 0.1, steps: 10 };
        let message = |plan: Plan, delta: f64| plan.spent(delta).unwrap_err().to_string();
        for noise in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(message(Plan { noise, ..plan }, 1e-5).contains("noise"));
        }
        for rate in [0.0, 1.5, f64::NAN] {
            assert!(message(Plan { rate, ..plan }, 1e-5).contains("rate"));
        }
        assert!(message(Plan { steps: 0, ..plan }, 1e-5).contains("steps"));
        for delta in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(message(plan, delta).contains("delta"));
        }
        assert!(plan.noise_for(0.0, 1e-5).unwrap_err().to_string().contains("epsilon"));
        // So little noise that nothing is kept: an error that says so, and no endless work.
        assert!(loss::epsilon(&Plan { noise: 1e-6, rate: 1.0, steps: 1 << 30 }, 1e-5).is_err());
    }
}
