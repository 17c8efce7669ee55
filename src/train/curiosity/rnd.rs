//! Random network distillation (Burda et al. 2019).

use super::{Assessed, Module, Seen};
use crate::Device;
use crate::error::Result;
use crate::nn::{Activation, Builder, Mlp, Parameters, Weights};

/// The bonus of an observation is how far a trained network is from a random one that never changes: large where it was
/// seldom trained. Observations are whitened and held to +-5.
pub(super) struct Rnd {
    target: Mlp,
    fixed: Parameters,
    predictor: Mlp,
    parameters: Parameters,
}

impl Rnd {
    pub fn new(device: &Device, observation: usize, features: usize, seed: u64) -> Result<Self> {
        let mlp = |builder: &mut Builder, sizes: &[usize]| {
            Mlp::new(builder, "network", sizes, Activation::Relu, std::f32::consts::SQRT_2)
        };
        let mut builder = Builder::new(seed ^ 0x0072_6e64);
        let target = mlp(&mut builder, &[observation, features, features]);
        let fixed = builder.build(device)?;
        let mut builder = Builder::new(seed ^ 0x7072_6e64);
        let predictor = mlp(&mut builder, &[observation, features, features, features]);
        let parameters = builder.build(device)?;
        Ok(Rnd { target, fixed, predictor, parameters })
    }
}

impl Module for Rnd {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn fixed(&self) -> Option<&Parameters> {
        Some(&self.fixed)
    }

    fn whitens(&self) -> bool {
        true
    }

    fn assess<'g>(&self, weights: &Weights<'g>, seen: Seen<'g>) -> Result<Assessed<'g>> {
        let fixed = self.fixed.weights(weights.graph());
        let goal = self.target.forward(&fixed, seen.next);
        let error = (self.predictor.forward(weights, seen.next) - goal).square().mean(&[-1]);
        Ok(Assessed { bonus: error, loss: error })
    }
}
