//! IC3Net's gated communication (Singh, Jain and Sukhbaatar 2019).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommunicationSettings, Company, Heard, Hearing, Layer, mean_of_others};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, Weights};
use crate::registry::Member;

/// [`CommNet`](super::CommNet) in which each agent has a hard gate of 0 or 1: what it says is heard only where the gate
/// is open.
///
/// The paper draws the gate as an action and learns it by REINFORCE. Here it opens where its probability is above one
/// half, and gradients pass it as if it were that probability (the straight-through estimator, Bengio et al. 2013), so
/// that it learns under every trainer.
pub struct Ic3Net {
    own: Linear,
    heard: Linear,
    gate: Linear,
}

impl Ic3Net {
    /// Over so many features.
    pub fn new(builder: &mut Builder, name: &str, features: usize) -> Self {
        builder.within(name, |b| Ic3Net {
            own: Linear::new(b, "own", features, features, 1.0),
            heard: Linear::without_bias(b, "heard", features, features, 1.0),
            gate: Linear::new(b, "gate", features, 1, 1.0),
        })
    }

    /// The gates of features `[time, agents, worlds, features]`: 0 or 1, `[time, agents, worlds, 1]`.
    pub fn gates<'g>(&self, weights: &Weights<'g>, features: Tensor<'g>) -> Tensor<'g> {
        let chance = self.gate.forward(weights, features).sigmoid();
        let half = chance.graph().scalar(0.5);
        // Exactly 0 or 1: `chance - chance` is 0 whatever the rounding.
        chance.greater(half) + (chance - chance.detach())
    }
}

/// The settings of [`Ic3Net`]: none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ic3NetConfig {}

impl Member for Ic3NetConfig {
    const NAME: &'static str = "ic3net";
    const SUMMARY: &'static str = "CommNet with a gate that each speaker opens or shuts (IC3Net)";
}

impl CommunicationSettings for Ic3NetConfig {
    fn layer(&self, builder: &mut Builder, name: &str, company: &Company) -> Option<Box<dyn Layer>> {
        Some(Box::new(Ic3Net::new(builder, name, company.features)))
    }

    fn said(&self, features: usize) -> usize {
        features + 1
    }
}

impl Layer for Ic3Net {
    fn exchange<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        hearing: Hearing<'g>,
    ) -> Result<Heard<'g>> {
        let gates = self.gates(weights, features);
        let said = features * gates;
        let heard = mean_of_others(said, hearing.present);
        let next = (self.own.forward(weights, features) + self.heard.forward(weights, heard)).tanh();
        let watched = |x: Tensor<'g>| hearing.watch.then_some(x);
        Ok(Heard { gates: watched(gates), said: watched(said), ..next.into() })
    }
}
