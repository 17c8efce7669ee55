//! Values in units of their own: the critic learns returns of mean 0 and deviation 1, whatever worlds pay.

use crate::error::Result;
use crate::train::moments::Moments;
use crate::train::rollout::Experience;

/// The least deviation that returns are divided by.
const LEAST: f64 = 1e-6;

/// What the critic's values are in units of reward, by the mean and deviation of all returns so far (Yu et al. 2022, arXiv
/// 2103.01955, section 5.1).
#[derive(Default)]
pub(super) struct ValueScale(Moments);

impl ValueScale {
    /// Advantages and returns as [`Experience::advantages`], of a critic whose values are scaled; the returns are scaled
    /// too, by statistics that have them already. Also gives the mean value, in units of reward.
    pub fn advantages(
        &mut self,
        experience: &mut Experience,
        gamma: f32,
        lambda: f32,
    ) -> Result<(Vec<f32>, Vec<f32>, f64)> {
        if self.0.count == 0.0 {
            // Nothing is known of the scale yet: returns without a critic tell of it first.
            let own = std::mem::take(&mut experience.values);
            experience.values = vec![0.0; own.len()];
            let returns = experience.advantages(gamma, lambda).map(|(_, returns)| returns);
            experience.values = own;
            self.add(experience, &returns?);
        }
        let (mean, deviation) = self.units();
        let paid: Vec<f32> =
            experience.values.iter().map(|v| (f64::from(*v) * deviation + mean) as f32).collect();
        let value = paid.iter().map(|v| f64::from(*v)).sum::<f64>() / paid.len() as f64;
        let own = std::mem::replace(&mut experience.values, paid);
        let found = experience.advantages(gamma, lambda);
        // What values were is also what a limit on their change goes by.
        experience.values = own;
        let (advantages, mut returns) = found?;
        self.add(experience, &returns);
        let (mean, deviation) = self.units();
        returns.iter_mut().for_each(|r| *r = ((f64::from(*r) - mean) / deviation) as f32);
        Ok((advantages, returns, value))
    }

    /// Takes in the returns of the steps that count.
    fn add(&mut self, experience: &Experience, returns: &[f32]) {
        let lived = returns.iter().zip(&experience.weights).filter(|(_, weight)| **weight > 0.0);
        self.0.add(lived.map(|(value, _)| f64::from(*value)));
    }

    fn units(&self) -> (f64, f64) {
        (self.0.mean, self.0.deviation().max(LEAST))
    }

    pub fn numbers(&self) -> [f64; 3] {
        self.0.numbers()
    }

    pub fn take(&mut self, numbers: &[f64]) -> Result<()> {
        self.0 = Moments::of(numbers)?;
        Ok(())
    }
}
