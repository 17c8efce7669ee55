//! State space models as cores: some layers of one model over another, each a linear recurrence whose whole sequence is
//! one scan, and which an agent carries on step by step.
//!
//! They run from the first step to the last only: what comes later an agent cannot know when it acts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Core, CoreSettings, Remembered};
use crate::agent::{Sequence, StatePart};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{
    Builder, DiagonalSsm, Lru, Mamba, Ring, S5, StateSpace, StateSpaceBlock, StateSpaceOutput, Weights,
};
use crate::registry::Member;
use crate::schema;

/// Which state space model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// A model of its own for every feature (Gu, Gupta, Goel and Ré 2022).
    S4d,
    /// One state for all features, from HiPPO's matrix (Smith et al. 2023).
    S5,
    /// The linear recurrent unit: factors on a ring, sizes of 0.9 to 0.999 at the start (Orvieto et al. 2023).
    Lru,
    /// Steps, inputs and readouts chosen by what is seen, behind a convolution (Gu and Dao 2023).
    Mamba,
}

impl Model {
    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Model::S4d => "s4d",
            Model::S5 => "s5",
            Model::Lru => "lru",
            Model::Mamba => "mamba",
        }
    }

    /// Its usual number of states.
    fn states(self) -> usize {
        match self {
            Model::S4d | Model::Mamba => 16,
            Model::S5 | Model::Lru => 32,
        }
    }
}

/// State space models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SsmConfig {
    /// Which model: `s4d`, `s5`, `lru` or `mamba`.
    pub model: Model,
    /// Layers, each with a norm before the model, a gate behind it, and what it was given added.
    #[schemars(range(min = 1, max = 64))]
    pub layers: usize,
    /// States: of `s5` and `lru` complex ones for all features together, of `s4d` real ones for each feature, of `mamba` real
    /// ones for each of twice as many inner features. 0 for 32 (`s5`, `lru`) or 16.
    #[schemars(range(min = 0, max = 256))]
    pub states: usize,
}

impl Default for SsmConfig {
    fn default() -> Self {
        SsmConfig { model: Model::S5, layers: 2, states: 0 }
    }
}

impl SsmConfig {
    /// The number of states that is meant.
    fn states(&self) -> usize {
        if self.states == 0 { self.model.states() } else { self.states }
    }

    fn layer(&self, builder: &mut Builder, features: usize) -> Box<dyn StateSpace> {
        let (name, states) = (self.model.name(), self.states());
        match self.model {
            Model::S4d => Box::new(DiagonalSsm::new(builder, name, features, states)),
            Model::S5 => Box::new(S5::new(builder, name, features, states)),
            Model::Lru => Box::new(Lru::new(builder, name, features, states, Ring::default())),
            Model::Mamba => Box::new(Mamba::new(builder, name, features, states)),
        }
    }
}

impl Member for SsmConfig {
    const NAME: &'static str = "ssm";
    const SUMMARY: &'static str = "state space models: S5, S4D, LRU or Mamba";
}

impl CoreSettings for SsmConfig {
    fn core(&self, builder: &mut Builder, features: usize) -> Option<Box<dyn Core>> {
        let separate = builder.has_lanes();
        // Mamba has a gate of its own.
        let gated = self.model != Model::Mamba;
        let block = |b: &mut Builder, i: usize| {
            StateSpaceBlock::new(b, &i.to_string(), features, gated, |b| self.layer(b, features))
        };
        let layers = builder.within("ssm", |b| (0..self.layers).map(|i| block(b, i)).collect());
        Some(Box::new(Layers { layers, separate }))
    }

    fn describe(&self) -> String {
        format!("model={} layers={} states={}", self.model.name(), self.layers, self.states())
    }

    fn check(&self, _: usize) -> Result<()> {
        schema::check("agent.core", self)
    }
}

struct Layers {
    layers: Vec<StateSpaceBlock>,
    /// Every agent has weights of its own.
    separate: bool,
}

impl Core for Layers {
    fn state(&self) -> Vec<StatePart> {
        let part =
            |i: usize, (name, shape): (&str, Vec<usize>)| StatePart { name: format!("{name}{i}"), shape };
        let of = |(i, layer): (usize, &StateSpaceBlock)| {
            layer.state().into_iter().map(|own| part(i, own)).collect::<Vec<_>>()
        };
        self.layers.iter().enumerate().flat_map(of).collect()
    }

    fn run<'g>(
        &self,
        weights: &Weights<'g>,
        x: Tensor<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Remembered<'g> {
        let resets = sequence.ages.equal(weights.graph().scalar(0.0));
        // Time comes behind the lanes. Agents with weights of their own are the second dimension.
        let separate = self.separate;
        let turned = |x: Tensor<'g>| match separate {
            true => x.swap(0, 1),
            false => x,
        };
        let order = if separate { [2, 1, 0, 3] } else { [1, 2, 0, 3] };
        let back = if separate { [2, 1, 0, 3] } else { [2, 0, 1, 3] };
        let resets = resets.transpose(&order[..3]);
        let (mut features, mut left) = (x.transpose(&order), state);
        let mut after = Vec::new();
        for layer in &self.layers {
            let (own, others) = left.split_at(layer.state().len().min(left.len()));
            left = others;
            let own: Vec<Tensor<'g>> = own.iter().map(|part| turned(*part)).collect();
            let StateSpaceOutput { outputs, state } = layer.forward(weights, features, &own, Some(resets));
            features = outputs;
            after.extend(state.into_iter().map(turned));
        }
        Remembered { features: features.transpose(&back), state: after, attention: None }
    }
}
