//! What agents see in units of its own: mean 0 and deviation 1 by the statistics of all that training has shown. The numbers
//! that observations are shifted and scaled by are the agent's ([`Normalised`]), saved and loaded with it; the statistics
//! that they come from are the trainer's.

use super::Checkpoint;
use super::TensorData;
use super::experience::Experience;
use super::moments::Moments;
use crate::agent::{Normalised, Policy};
use crate::error::{Error, Result};

/// The least variance that is divided by.
const LEAST: f64 = 1e-8;

/// Running statistics of what each part of a policy sees.
pub(super) struct Normaliser {
    parts: Vec<(Normalised, Vec<Moments>)>,
}

impl Normaliser {
    /// Statistics for a policy; `None` where it takes observations as they are.
    pub fn new(policy: &dyn Policy) -> Option<Self> {
        let parts = policy.normalised();
        let of_part = |part: Normalised| {
            let moments = vec![Moments::default(); part.columns.len()];
            (part, moments)
        };
        (!parts.is_empty()).then(|| Normaliser { parts: parts.into_iter().map(of_part).collect() })
    }

    /// Takes in what a rollout showed, and has the policy go by it from now on. What was done before was done by the old
    /// numbers: this belongs behind the learning from that rollout.
    ///
    /// # Errors
    /// The device is lost.
    pub fn absorb(&mut self, policy: &dyn Policy, experience: &Experience) -> Result<()> {
        let flat = policy.parameters().flat();
        let mut values = flat.read()?;
        let width = experience.observation;
        for (part, moments) in &mut self.parts {
            let lanes: Vec<usize> = (0..experience.weights.len())
                .filter(|lane| {
                    let agent = lane / experience.worlds % experience.agents;
                    part.agents.contains(&agent) && experience.weights[*lane] > 0.0
                })
                .collect();
            for (i, (column, moments)) in part.columns.iter().zip(moments).enumerate() {
                let seen = lanes.iter().map(|lane| f64::from(experience.observations[lane * width + column]));
                moments.add(seen);
                values[part.mean + i] = moments.mean as f32;
                values[part.scale + i] = (1.0 / (moments.deviation().powi(2) + LEAST).sqrt()) as f32;
            }
        }
        flat.write(&values)
    }

    /// Writes the statistics into a checkpoint.
    ///
    /// # Errors
    /// None that sizes do not forbid.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        for (i, (_, moments)) in self.parts.iter().enumerate() {
            let numbers: Vec<f64> = moments.iter().flat_map(Moments::numbers).collect();
            checkpoint.insert(name(i), TensorData::f64(&[moments.len(), 3], &numbers)?);
        }
        Ok(())
    }

    /// Takes up what [`Normaliser::save`] wrote.
    ///
    /// # Errors
    /// A tensor is missing, or none of such statistics.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        for (i, (_, moments)) in self.parts.iter_mut().enumerate() {
            let numbers = checkpoint.tensor(&name(i))?.to_f64()?;
            if numbers.len() != 3 * moments.len() {
                let (found, own) = (numbers.len(), 3 * moments.len());
                return Err(Error::Usage(format!("`{}` has {found} numbers, not {own}", name(i))));
            }
            for (own, numbers) in moments.iter_mut().zip(numbers.chunks_exact(3)) {
                *own = Moments::of(numbers)?;
            }
        }
        Ok(())
    }
}

fn name(part: usize) -> String {
    format!("trainer/observations{part}")
}
