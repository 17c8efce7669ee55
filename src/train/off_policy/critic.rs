//! Critics of what agents do: networks from what is seen and done to a value.

use super::config::{OffPolicyConfig, View};
use crate::Device;
use crate::env::Spec;
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, Parameters, RELU_GAIN, Weights};

/// One network: linear layers with ReLUs between them, the first of which is the sum of three, over what is seen, what is
/// done, and whose value it is.
struct Network {
    seen: Linear,
    done: Linear,
    number: Option<Linear>,
    inner: Vec<Linear>,
    last: Linear,
}

/// A critic, or two that are trained alike from other parameters (Fujimoto et al. 2018).
pub(super) struct Critics {
    networks: Vec<Network>,
    view: View,
    agents: usize,
    parameters: Parameters,
}

impl Critics {
    /// For the agents of such worlds, whose states are of so many numbers; with `separate` parameters of its own for each
    /// agent's values.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(
        device: &Device,
        config: &OffPolicyConfig,
        spec: &Spec,
        state: usize,
        separate: bool,
        seed: u64,
    ) -> Result<Self> {
        let kind = &spec.kinds[0];
        let agents = kind.count;
        let observation: usize = kind.observation.iter().product();
        let action = kind.actions.options() + kind.actions.floats();
        let (seen, done) = match config.critic {
            View::Own => (observation, action),
            View::Central => (if state == 0 { agents * observation } else { state }, agents * action),
        };
        let seed = seed ^ 0x6372_6974_6963;
        let mut builder = if separate { Builder::with_lanes(seed, agents) } else { Builder::new(seed) };
        let features = config.critic_features;
        let mut network = |index: usize| {
            builder.within(&index.to_string(), |b| Network {
                seen: Linear::new(b, "seen", seen, features, RELU_GAIN),
                done: Linear::without_bias(b, "done", done, features, RELU_GAIN),
                number: (agents > 1 && !separate)
                    .then(|| Linear::without_bias(b, "number", agents, features, RELU_GAIN)),
                inner: (1..config.critic_layers)
                    .map(|i| Linear::new(b, &format!("inner/{i}"), features, features, RELU_GAIN))
                    .collect(),
                last: Linear::new(b, "last", features, 1, 0.1),
            })
        };
        let networks = (0..if config.twins { 2 } else { 1 }).map(&mut network).collect();
        Ok(Critics { networks, view: config.critic, agents, parameters: builder.build(device)? })
    }

    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What agents do as critics take it. `actions` are `[steps, agents, batch, numbers]`; `changed`, where it is given, is
    /// what each agent is asked about instead of its own, while the others do what they did.
    pub fn done<'g>(&self, actions: Tensor<'g>, changed: Option<Tensor<'g>>) -> Tensor<'g> {
        let View::Central = self.view else { return changed.unwrap_or(actions) };
        let shape = actions.shape();
        let (steps, agents, batch, numbers) = (shape[0], shape[1], shape[2], shape[3]);
        let together =
            |x: Tensor<'g>| x.transpose(&[0, 2, 1, 3]).reshape([steps, 1, batch, agents * numbers]);
        let all = together(actions);
        let Some(changed) = changed else { return all };
        // Of agent `i`'s row its own numbers are those changed.
        let graph = actions.graph();
        let mut own = vec![0.0f32; agents * agents * numbers];
        for i in 0..agents {
            own[(i * agents + i) * numbers..][..numbers].fill(1.0);
        }
        let own = graph.constant([1, agents, 1, agents * numbers], &own);
        all + (together(changed) - all) * own
    }

    /// Values `[steps, agents, batch]` by each network. What is seen is `[steps, agents or 1, batch, numbers]`,
    /// `done` is from [`Critics::done`].
    pub fn values<'g>(&self, weights: &Weights<'g>, seen: Tensor<'g>, done: Tensor<'g>) -> Vec<Tensor<'g>> {
        let graph = weights.graph();
        let shape = seen.shape();
        let (steps, batch) = (shape[0], shape[2]);
        // Parameters of each agent's own are lanes along the second dimension.
        let wide = |x: Tensor<'g>| {
            let last = x.shape()[3];
            if weights.lanes().is_some() { x.broadcast_to([steps, self.agents, batch, last]) } else { x }
        };
        let (seen, done) = (wide(seen), wide(done));
        let of = |network: &Network| {
            let mut x = network.seen.forward(weights, seen) + network.done.forward(weights, done);
            if let Some(number) = &network.number {
                let eye = graph.eye(self.agents, self.agents).reshape([1, self.agents, 1, self.agents]);
                x = x + number.forward(weights, eye);
            }
            x = x.relu();
            for layer in &network.inner {
                x = layer.forward(weights, x).relu();
            }
            network.last.forward(weights, x).reshape([steps, self.agents, batch])
        };
        self.networks.iter().map(of).collect()
    }
}
