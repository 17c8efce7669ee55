//! Agents beside whom stands a critic of what each of their options would be worth, given what the others do (COMA,
//! Foerster et al. 2018, arXiv 1705.08926, figure 1c). The critic is for learning alone; acting never asks it. What is
//! made of its answers lives in `train::coma`.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::preset("speaker-listener-coma")?;
//! let policy = settings.policy(&synod::Device::cpu())?;
//! assert!(policy.counterfactual().is_some());
//! # Ok::<(), synod::Error>(())
//! ```

use super::{Policy, Sequence, StatePart, Unrolled};
use crate::Device;
use crate::action::{Action, ActionSpace, Bounded};
use crate::comm::Neighbours;
use crate::env::Spec;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::nn::{Activation, Builder, Mlp, Parameters, Weights};

/// The critic's parameters are named by this.
const CRITIC: &str = "counterfactual";

/// An agent with its counterfactual critic, as one policy.
pub struct Counterfactual {
    agent: Box<dyn Policy>,
    critic: Mlp,
    shape: String,
    space: ActionSpace,
    agents: usize,
    /// Numbers of the world's state; 0 where there is none, and what all agents see stands in for it.
    state: usize,
    /// The agent's parameters, then those of the critic. A copy: the agent keeps its own.
    parameters: Parameters,
}

impl Counterfactual {
    /// The agent with a critic of so many hidden layers of so many features; without any it is linear.
    ///
    /// # Errors
    /// Agents of several kinds, actions that are not one discrete choice, or no room on the device.
    pub fn new(
        device: &Device,
        agent: Box<dyn Policy>,
        spec: &Spec,
        [layers, features]: [usize; 2],
        seed: u64,
    ) -> Result<Self> {
        let kind = spec.only_kind("a counterfactual critic")?;
        let (agents, options) = (kind.count, kind.actions.one_choice("a counterfactual critic")?);
        let own: usize = kind.observation.iter().product();
        let view = if spec.state > 0 { spec.state + own } else { agents * own };
        let mut builder = Builder::after(agent.parameters(), seed ^ 0x636f_6d61)?;
        // What is seen, what all others do, and whose values are asked for.
        let mut sizes = vec![view + agents * options + agents];
        sizes.extend(vec![features; layers]);
        sizes.push(options);
        let critic = builder.common(|b| Mlp::new(b, CRITIC, &sizes, Activation::Relu, 1.0));
        let parameters = builder.build(device)?;
        let space = kind.actions.clone();
        let shape = format!("{sizes:?}");
        Ok(Counterfactual { agent, critic, shape, space, agents, state: spec.state, parameters })
    }

    /// What each option of each agent is worth, `[time, agents, worlds, options]`, given what the others do of the
    /// actions of all.
    ///
    /// # Errors
    /// Actions of another space, or a sequence without the world's state where the worlds have one.
    pub fn values<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: &Sequence<'g>,
        actions: Action<'g>,
    ) -> Result<Tensor<'g>> {
        let graph = weights.graph();
        let lanes = sequence.present.shape();
        let [time, agents, worlds] = [lanes[0], lanes[1], lanes[2]];
        if agents != self.agents {
            let own = self.agents;
            return Err(Error::Graph(format!("a counterfactual critic of {own} agents was shown {agents}")));
        }
        let for_all = |x: Tensor<'g>| {
            let numbers = x.shape()[2];
            x.reshape([time, 1, worlds, numbers]).broadcast_to([time, agents, worlds, numbers])
        };
        let own = sequence.flat();
        let mut parts = match (self.state, sequence.world) {
            (0, _) => {
                let numbers = agents * own.shape()[3];
                vec![for_all(own.transpose(&[0, 2, 1, 3]).reshape([time, worlds, numbers]))]
            }
            (_, Some(state)) => vec![for_all(state), own],
            (_, None) => {
                return Err(Error::Graph("a counterfactual critic needs the state of the world".into()));
            }
        };
        let done = actions.features(&self.space)?;
        let options = done.shape()[3];
        let all = done.transpose(&[0, 2, 1, 3]).reshape([time, 1, worlds, agents, options]);
        // One's own action is what is asked about.
        let mut others = vec![1.0; agents * agents];
        (0..agents).for_each(|agent| others[agent * agents + agent] = 0.0);
        let others = graph.constant([1, agents, 1, agents, 1], &others);
        let wide = [time, agents, worlds, agents, options];
        let others = all.broadcast_to(wide) * others.broadcast_to(wide);
        parts.push(others.reshape([time, agents, worlds, agents * options]));
        let who = graph.eye(agents, agents).reshape([1, agents, 1, agents]);
        parts.push(who.broadcast_to([time, agents, worlds, agents]));
        Ok(self.critic.forward(weights, graph.concat(&parts, 3)))
    }

    /// Of such values the one of what was done, `[time, agents, worlds]`.
    ///
    /// # Errors
    /// As [`Counterfactual::values`].
    pub fn taken<'g>(&self, values: Tensor<'g>, actions: Action<'g>) -> Result<Tensor<'g>> {
        let lanes = &values.shape()[..3];
        Ok((values * actions.features(&self.space)?).sum(&[-1]).reshape(lanes))
    }
}

impl Policy for Counterfactual {
    fn architecture(&self) -> String {
        format!("{} {CRITIC}={}", self.agent.architecture(), self.shape)
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn state(&self) -> Vec<StatePart> {
        self.agent.state()
    }

    fn neighbours(&self) -> Option<&Neighbours> {
        self.agent.neighbours()
    }

    fn world_state(&self) -> Option<usize> {
        if self.state > 0 { Some(self.state) } else { self.agent.world_state() }
    }

    fn bounded(&self) -> Bounded {
        self.agent.bounded()
    }

    fn settle(&mut self, device: &Device) -> Result<()> {
        let own = self.agent.parameters().flat();
        let learned = self.parameters.flat().read()?;
        own.write(&learned[..own.tensor_type().elements()].to_vec())?;
        self.agent.settle(device)
    }

    fn talks(&self) -> bool {
        self.agent.talks()
    }

    fn slot_importances(&self) -> Vec<usize> {
        self.agent.slot_importances()
    }

    fn memory_bytes(&self) -> usize {
        self.agent.memory_bytes()
    }

    fn links(&self) -> Option<&[(u32, u32)]> {
        self.agent.links()
    }

    fn counterfactual(&self) -> Option<&Counterfactual> {
        Some(self)
    }

    fn unroll<'g>(
        &self,
        graph: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        let own = self.agent.parameters();
        let tensors = weights.tensors();
        let tensors = tensors.get(..own.iter().count()).unwrap_or_default().to_vec();
        self.agent.unroll(graph, &own.weights(graph).with(tensors)?, sequence, state)
    }
}
