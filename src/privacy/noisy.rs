//! Noisy gradients (DP-SGD, Abadi et al. 2016, arXiv 1607.00133, algorithm 1), where the gradients of shards meet.

use super::{Plan, positive};
use crate::error::{Error, Result};
use crate::nn::initial::Stream;
use crate::train::reduce::{Gradients, Reduce};

/// Clips the gradient of each shard, leaves each out with the same chance, adds noise once, and divides by the number of
/// shards that take part on average. The unit of privacy is a shard: with as many learning shards as worlds it is what one
/// world showed in a rollout. Whether shards are different people's is for the caller to see to.
///
/// Draws come from `seed` and the number of the update, so that a training that goes on after a stop draws as it would have.
///
/// ```
/// use std::sync::Arc;
/// use synod::preset::Settings;
/// use synod::privacy::{Noisy, Plan};
///
/// let items = ["learner.rollout=2".to_string(), "learner.learning_shards=4".to_string()];
/// let mut trainer = Settings::with_items("lever-commnet", &items)?.trainer(&synod::Device::cpu())?;
/// trainer.set_reduce(Arc::new(Noisy::new(Plan { noise: 1.0, rate: 0.5, steps: 100 }, 0.1, 7)?))?;
/// trainer.step()?;
/// # Ok::<(), synod::Error>(())
/// ```
pub struct Noisy {
    plan: Plan,
    clip: f64,
    seed: u64,
}

impl Noisy {
    /// The gradients of a plan, each clipped to the norm `clip`.
    ///
    /// # Errors
    /// Numbers out of range.
    pub fn new(plan: Plan, clip: f64, seed: u64) -> Result<Self> {
        plan.check()?;
        positive("clip", clip)?;
        Ok(Noisy { plan, clip, seed })
    }
}

impl Reduce for Noisy {
    /// # Errors
    /// More updates than the plan has steps: what was promised would be spent.
    fn reduce(&self, gradients: &Gradients<'_>, total: &mut [f32]) -> Result<()> {
        if gradients.update >= self.plan.steps {
            let steps = self.plan.steps;
            return Err(Error::Usage(format!("the plan's {steps} steps of noisy gradients are used up")));
        }
        let name =
            gradients.of.bytes().fold(0u64, |key, byte| key.wrapping_mul(31).wrapping_add(byte.into()));
        let key = self.seed ^ gradients.update.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name.rotate_left(32);
        let mut stream = Stream::new(key);
        let shards = gradients.shards.len() as f64;
        let mut sum = vec![0.0f64; total.len()];
        for shard in gradients.shards {
            let drawn = stream.uniform() < self.plan.rate;
            // A shard's gradient is its part of a mean over all.
            let norm = shards * shard.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            if !norm.is_finite() {
                // Not hidden by being left out: a loss that is not finite stops the training.
                total.fill(f32::NAN);
                return Ok(());
            }
            if drawn {
                let scale = shards * (self.clip / norm).min(1.0);
                sum.iter_mut().zip(*shard).for_each(|(sum, x)| *sum += scale * f64::from(*x));
            }
        }
        let expected = shards * self.plan.rate;
        let deviation = self.plan.noise * self.clip;
        for (total, sum) in total.iter_mut().zip(sum) {
            *total = ((sum + deviation * stream.normal()) / expected) as f32;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(plan: Plan, clip: f64, update: u64, shards: &[&[f32]]) -> Vec<f32> {
        let mut total = vec![9.0; shards[0].len()];
        let gradients = Gradients { of: "agent", update, shards };
        Noisy::new(plan, clip, 3).unwrap().reduce(&gradients, &mut total).unwrap();
        total
    }

    #[test]
    fn noise_has_the_deviation_of_the_plan_whatever_gradients_there_are() {
        let zeros = vec![0.0f32; 200_000];
        let plan = Plan { noise: 1.5, rate: 0.5, steps: 10 };
        let out = noisy(plan, 0.2, 4, &[&zeros, &zeros]);
        let square = out.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / out.len() as f64;
        // Of two shards one is expected: 1.5 x 0.2 / 1.
        assert!((square.sqrt() / 0.3 - 1.0).abs() < 0.01, "{}", square.sqrt());
        assert_eq!(out, noisy(plan, 0.2, 4, &[&zeros, &zeros]));
        assert_ne!(out, noisy(plan, 0.2, 5, &[&zeros, &zeros]));
    }

    /// With next to no noise and all drawn it is the mean of clipped gradients.
    #[test]
    fn what_is_long_is_clipped_and_what_is_short_is_kept() {
        let plan = Plan { noise: 1e-9, rate: 1.0, steps: 1 };
        // Shards' parts of a mean over two: gradients of (6, 8) and (0.3, 0).
        let out = noisy(plan, 1.0, 0, &[&[3.0, 4.0], &[0.15, 0.0]]);
        for (found, expected) in out.iter().zip([(0.6 + 0.3) / 2.0, 0.8 / 2.0]) {
            assert!((found - expected as f32).abs() < 1e-6, "{out:?}");
        }
    }

    #[test]
    fn shards_are_drawn_at_their_rate() {
        let plan = Plan { noise: 1e-9, rate: 0.3, steps: 100_000 };
        let drawn = (0..2_000).filter(|update| noisy(plan, 1.0, *update, &[&[1.0], &[0.0]])[0] > 0.1).count();
        assert!((520..680).contains(&drawn), "{drawn}");
    }

    #[test]
    fn a_plan_that_is_used_up_stops_the_training_and_nan_is_not_hidden() {
        let noise = Noisy::new(Plan { noise: 1.0, rate: 0.5, steps: 5 }, 1.0, 0).unwrap();
        let spent = Gradients { of: "agent", update: 5, shards: &[&[0.0]] };
        assert!(noise.reduce(&spent, &mut [0.0]).unwrap_err().to_string().contains("5 steps"));
        let mut total = [0.0];
        noise.reduce(&Gradients { of: "agent", update: 0, shards: &[&[f32::NAN]] }, &mut total).unwrap();
        assert!(total[0].is_nan());
        assert!(Noisy::new(Plan { noise: 1.0, rate: 0.5, steps: 5 }, 0.0, 0).is_err());
    }
}
