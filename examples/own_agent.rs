//! An agent of one's own with the whole command line around it: fixed random features (an extreme learning machine,
//! Huang et al. 2006) under a linear policy and a linear critic. It learns under any learner, in any world.
//!
//! ```sh
//! cargo run --release --example own_agent -- train two-step-vdn --set agent=random_features
//! cargo run --release --example own_agent -- train spread-ippo --set agent=random_features --steps 1e6
//! ```

use std::process::ExitCode;

use synod::agent::{AgentSettings, Agents, Policy, Sequence, StatePart, Unrolled};
use synod::env::Spec;
use synod::nn::{Builder, Linear, Parameters, Weights};
use synod::registry::{Family, Kind, Member};
use synod::schemars::JsonSchema;
use synod::serde::{Deserialize, Serialize};
use synod::{Device, Error, Graph, Result, Tensor, schema};

/// The settings, which are a table `[agent]` with `kind = "random_features"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "synod::serde", default, deny_unknown_fields)]
#[schemars(crate = "synod::schemars")]
struct RandomFeatures {
    /// How many features.
    #[schemars(range(min = 1, max = 8192))]
    features: usize,
}

impl Default for RandomFeatures {
    fn default() -> Self {
        RandomFeatures { features: 256 }
    }
}

impl Member for RandomFeatures {
    const NAME: &'static str = "random_features";
    const SUMMARY: &'static str = "linear policy and critic over fixed random features";
}

impl AgentSettings for RandomFeatures {
    fn policy(&self, device: &Device, spec: &Spec, separate: bool, seed: u64) -> Result<Box<dyn Policy>> {
        schema::check("agent", self)?;
        let kind = spec.only_kind("an agent of random features")?;
        if separate {
            return Err(Error::config("separate_parameters", "false: random features are shared"));
        }
        let seen = kind.observation.iter().product();
        let mut builder = Builder::new(seed);
        let layers = Machine {
            features: Linear::new(&mut builder, "features", seen, self.features, 1.0),
            actor: Linear::new(&mut builder, "actor", self.features, kind.actions.parameters(), 0.01),
            critic: Linear::new(&mut builder, "critic", self.features, 1, 1.0),
            size: (seen, self.features, kind.actions.to_string()),
            parameters: builder.build(device)?,
        };
        Ok(Box::new(layers))
    }
}

struct Machine {
    features: Linear,
    actor: Linear,
    critic: Linear,
    size: (usize, usize, String),
    parameters: Parameters,
}

impl Policy for Machine {
    fn architecture(&self) -> String {
        let (seen, features, actions) = &self.size;
        format!("random features={features} observation={seen} actions={actions}")
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn state(&self) -> Vec<StatePart> {
        Vec::new()
    }

    fn unroll<'g>(
        &self,
        _: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        _: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        let shape = sequence.observations.shape();
        let seen = sequence.observations.reshape([shape[0], shape[1], shape[2], self.size.0]);
        // Detached: nothing flows into the features, which stay as they were drawn.
        let x = self.features.forward(weights, seen).tanh().detach();
        let parameters = self.actor.forward(weights, x);
        let values = self.critic.forward(weights, x).reshape(&shape[..3]);
        Ok(Unrolled { parameters, values, state: Vec::new(), attention: None, price: None })
    }
}

fn main() -> ExitCode {
    synod::command::main_with(|| Agents::registry().register(Kind::<Agents>::of::<RandomFeatures>()))
}
