//! The intrinsic curiosity module (Pathak et al. 2017).

use super::{Assessed, Module, Seen};
use crate::Device;
use crate::action::{ActionSpace, Bounded};
use crate::error::Result;
use crate::nn::{Activation, Builder, Mlp, Parameters, Weights};

/// Features `phi` are learned by telling the action from two successive ones (the inverse model, which gives a
/// distribution over the agent's actions, for continuous ones a Gaussian), and the bonus is how
/// wrongly the next features are foretold (the forward model): `eta / 2 |phi^(s') - phi(s')|^2` (equation 6). The loss is
/// `(1 - beta) L_inverse + beta L_forward` (equation 7); gradients reach `phi` from both.
pub(super) struct Icm {
    features: Mlp,
    inverse: Mlp,
    forward: Mlp,
    beta: f32,
    space: ActionSpace,
    parameters: Parameters,
}

impl Icm {
    pub fn new(
        device: &Device,
        observation: usize,
        space: &ActionSpace,
        features: usize,
        layers: usize,
        beta: f32,
        seed: u64,
    ) -> Result<Self> {
        let mut builder = Builder::new(seed ^ 0x0069_636d);
        let mut mlp =
            |name: &str, sizes: &[usize]| Mlp::new(&mut builder, name, sizes, Activation::Relu, 1.0);
        let encoder: Vec<usize> =
            std::iter::once(observation).chain(std::iter::repeat_n(features, layers)).collect();
        Ok(Icm {
            features: mlp("features", &encoder),
            inverse: mlp("inverse", &[2 * features, features, space.parameters()]),
            forward: mlp("forward", &[features + space.options() + space.floats(), features, features]),
            beta,
            space: space.clone(),
            parameters: builder.build(device)?,
        })
    }
}

impl Module for Icm {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Rows with a single one, as grids give them, would else leave what was never seen with the smallest features.
    fn whitens(&self) -> bool {
        true
    }

    fn assess<'g>(&self, weights: &Weights<'g>, seen: Seen<'g>) -> Result<Assessed<'g>> {
        let graph = weights.graph();
        let last = seen.now.shape().len() as isize - 1;
        let now = self.features.forward(weights, seen.now);
        let next = self.features.forward(weights, seen.next);
        let parameters = self.inverse.forward(weights, graph.concat(&[now, next], last));
        let inverse =
            -self.space.distribution(parameters, None, Bounded::Gaussian)?.log_probability(seen.actions)?;
        let foretold = self.forward.forward(weights, graph.concat(&[now, seen.acted], last));
        let wrong = (foretold - next).square().sum(&[-1]) * 0.5;
        Ok(Assessed { bonus: wrong, loss: inverse * (1.0 - self.beta) + wrong * self.beta })
    }
}
