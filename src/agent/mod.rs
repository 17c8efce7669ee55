//! Agents: how an observation becomes an action, one file an agent. An agent is its parameters and one function that
//! unrolls it over time; acting (one step) and learning (a rollout) are two programs made from that function. How it
//! learns lives in `train`.

pub mod actors;
pub mod srmt;

use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::nn::{Parameters, Weights};

/// What an agent is shown over `time` steps of `worlds` worlds with `agents` agents each. Agents stand before worlds: so
/// agents with parameters of their own are lanes of one program.
#[derive(Clone, Copy)]
pub struct Sequence<'g> {
    /// `[time, agents, worlds, observation...]`.
    pub observations: Tensor<'g>,
    /// `[time, agents, worlds]`: steps since the agent's episode began; 0 at its first observation, where nothing of
    /// its recurrent state counts any more.
    pub ages: Tensor<'g>,
    /// `[time, agents, worlds]`: 1 where the agent is in its world, 0 where it has left it.
    pub present: Tensor<'g>,
}

/// What an agent makes of a [`Sequence`].
pub struct Unrolled<'g> {
    /// `[time, agents, worlds, actions]`: log-probabilities up to a constant.
    pub logits: Tensor<'g>,
    /// `[time, agents, worlds]`: the critic's value of each observation.
    pub values: Tensor<'g>,
    /// The recurrent state after the last step, in the order of [`Policy::state`].
    pub state: Vec<Tensor<'g>>,
    /// For pictures, in inference of one step: `[agents, worlds, heads, agents]`, how much each agent attends to
    /// each agent's memory; `None` where the agent has no such thing.
    pub attention: Option<Tensor<'g>>,
}

/// A part of an agent's recurrent state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePart {
    /// Its name in checkpoints.
    pub name: &'static str,
    /// Its shape for one agent; for all it is `[agents, worlds, shape...]`.
    pub shape: Vec<usize>,
}

/// An agent with a stochastic policy over discrete actions, a critic and perhaps a recurrent state.
pub trait Policy: Send + Sync {
    /// One line that says which network this is; checkpoints of another architecture are refused by it.
    fn architecture(&self) -> String;

    /// Its parameters.
    fn parameters(&self) -> &Parameters;

    /// Its recurrent state; empty where it has none. A state starts as zeros.
    fn state(&self) -> Vec<StatePart>;

    /// Unrolls it from `state` over a sequence. Gradients flow through time.
    ///
    /// # Errors
    /// The sequence does not fit the network.
    fn unroll<'g>(
        &self,
        graph: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>>;
}
