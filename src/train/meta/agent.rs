//! Agents that adapt: a step of adaptation as a graph, and rates of it that are learned.

use super::config::{MetaConfig, Method};
use crate::Device;
use crate::action::Bounded;
use crate::agent::{Policy, Sequence, StatePart, Unrolled};
use crate::env::Spec;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::nn::initial::Initial;
use crate::nn::{Builder, Parameters, Weights};
use crate::train::config::Making;

/// What the names of rates of adaptation begin with.
const RATE: &str = "inner_rate/";

/// What ANIL adapts: parameters whose names begin so.
const LAST_LAYER: &str = "actor";

/// The agent, where it can be in tasks side by side.
///
/// # Errors
/// Kinds of agent that differ, parameters of their own, or parts that look beyond one agent and one step.
pub(super) fn adaptable(making: &Making<'_>, spec: &Spec) -> Result<Box<dyn Policy>> {
    spec.only_kind("meta-learning")?;
    let refuse = |key: &str, message: &str| Err(Error::config(key, message));
    if making.separate_parameters {
        return refuse("separate_parameters", "false: what is adapted to a task is one network");
    }
    if making.agent.parts(&[]).is_some_and(|parts| parts.identity) {
        return refuse(
            "agent.identity",
            "false: the agents of a world are the examples of a task, not roles in it",
        );
    }
    let policy = making.agent.policy(making.device, spec, false, making.seed)?;
    if policy.talks() || policy.neighbours().is_some() || policy.memory_bytes() > 0 {
        return refuse("agent.communication", "`none`, without a shared memory: tasks are learned apart");
    }
    if !policy.state().is_empty() {
        return refuse("agent.core", "`none`: what is remembered of a task is in the parameters");
    }
    if policy.world_state().is_some() {
        return refuse("agent.critic", "own or shared: no critic is learned");
    }
    Ok(policy)
}

/// An agent with a rate of adaptation for each of its parameters (Meta-SGD).
pub(super) struct Adaptable {
    agent: Box<dyn Policy>,
    /// The agent's, then the rates. A copy: the agent keeps its own.
    parameters: Parameters,
}

impl Adaptable {
    pub fn new(device: &Device, agent: Box<dyn Policy>, rate: f32) -> Result<Self> {
        let mut builder = Builder::after(agent.parameters(), 0)?;
        for (name, shape) in agent.parameters().iter() {
            builder.parameter(&format!("{RATE}{name}"), shape.clone(), Initial::Constant(rate));
        }
        Ok(Adaptable { parameters: builder.build(device)?, agent })
    }
}

impl Policy for Adaptable {
    fn architecture(&self) -> String {
        format!("{} with rates of adaptation", self.agent.architecture())
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn state(&self) -> Vec<StatePart> {
        self.agent.state()
    }

    fn bounded(&self) -> Bounded {
        self.agent.bounded()
    }

    fn unroll<'g>(
        &self,
        graph: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        // Its own parameters come first, so that its layers find them.
        self.agent.unroll(graph, weights, sequence, state)
    }
}

/// Which parameters adapt, and by which rates.
pub(super) struct Adaptation {
    /// Parameters that adapt, and where the rate of each stands, where it is one.
    adapted: Vec<(usize, Option<usize>)>,
    first_order: bool,
}

impl Adaptation {
    /// # Errors
    /// Nothing adapts.
    pub fn new(config: &MetaConfig, parameters: &Parameters) -> Result<Self> {
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
        let adapts = |name: &&str| match config.method {
            Method::Anil => name.starts_with(LAST_LAYER),
            _ => !name.starts_with(RATE),
        };
        let rate = |name: &str| names.iter().position(|other| other.strip_prefix(RATE) == Some(name));
        let adapted: Vec<_> = names
            .iter()
            .enumerate()
            .filter(|(_, name)| adapts(name))
            .map(|(index, name)| (index, rate(name)))
            .collect();
        if adapted.is_empty() {
            let message = format!("another method: no parameter's name begins with `{LAST_LAYER}`");
            return Err(Error::config("learner.method", message));
        }
        let first_order = matches!(config.method, Method::Fomaml | Method::Reptile);
        Ok(Adaptation { adapted, first_order })
    }

    /// The weights after a step down a loss of which each lane's part is its own, at `rate` `[]` where they have no rates
    /// of their own.
    ///
    /// # Errors
    /// An op on the way has no gradient.
    pub fn step<'g>(&self, weights: &Weights<'g>, loss: Tensor<'g>, rate: Tensor<'g>) -> Result<Weights<'g>> {
        let mut tensors = weights.tensors().to_vec();
        let own: Vec<Tensor<'g>> = self.adapted.iter().map(|(index, _)| tensors[*index]).collect();
        let gradients = weights.graph().grad_or_zeros(loss, &own)?;
        for ((index, own_rate), gradient) in self.adapted.iter().zip(gradients) {
            let gradient = if self.first_order { gradient.detach() } else { gradient };
            let rate = own_rate.map_or(rate, |at| weights.tensors()[at]);
            tensors[*index] = tensors[*index] - gradient * rate;
        }
        weights.with(tensors)
    }
}
