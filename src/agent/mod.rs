//! Agents: how an observation becomes an action, one file an agent. An agent is its parameters and one function that
//! unrolls it over time; acting (one step) and learning (a rollout) are two programs made from that function. How it
//! learns lives in `train`.
//!
//! ```
//! use synod::agent::{AgentConfig, Policy};
//! use synod::env::WorldConfig;
//! let world = WorldConfig::named("simple_spread")?.with_worlds(4).build(0)?;
//! let agent = AgentConfig::named("team")?;
//! let policy = agent.policy(&synod::Device::cpu(), world.spec(), false, 7)?;
//! println!("{}: {} parameters", policy.architecture(), policy.parameters().count());
//! # Ok::<(), synod::Error>(())
//! ```

pub mod actors;
mod body;
mod config;
pub mod core;
pub mod counterfactual;
pub mod encoder;
pub mod hierarchy;
pub mod importance;
pub mod kinds;
pub mod neighbours;
mod ports;
mod recall;
pub mod slots;
pub mod srmt;
pub mod table;
mod talk;
pub mod team;
mod unroll;

pub use config::{AgentConfig, AgentSettings, Agents};

pub use crate::comm::Mode;
pub use crate::memory::StatePart;

use crate::Device;
use crate::action::Bounded;
use crate::comm::Neighbours;
use crate::env::AgentKind;
use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::nn::{Parameters, Weights};
use crate::op::message::Edges;
use crate::program::Program;

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
    /// Who hears whom, one graph over the agents for each step and world (leading dimensions `[time, worlds]`), where
    /// [`Policy::neighbours`] asks for it.
    pub edges: Option<Edges<'g>>,
    /// `[time, worlds, state]`: the state of each world, where [`Policy::world_state`] asks for it.
    pub world: Option<Tensor<'g>>,
    /// Keys of random numbers, u32 `[time, worlds, 2]`, one for each step of each world, for noise of the network's own: in
    /// channels, relaxed choices, dropout. Draw by [`drawn`](crate::comm::drawn) from keys that
    /// [`keys`](crate::comm::keys) or `fold_in` make of them. Acting has others at every step; learning from what was just
    /// done has those with which it was done, so that the same words are said again; learning from a replay has fresh
    /// ones. A program whose network draws nothing has no input for them.
    pub key: Tensor<'g>,
    /// What the network is unrolled for.
    pub mode: Mode,
}

impl<'g> Sequence<'g> {
    /// The inputs `observations`, `ages`, `present` and, where the policy wants them, `edges`, `world state` and
    /// `noise key` of a program over `[time, agents, worlds]`. [`neighbours::fill`] fills the edges, [`fill_noise`] the
    /// key.
    pub fn input(
        graph: &'g Graph,
        policy: &dyn Policy,
        [time, agents, worlds]: [usize; 3],
        observation: &[usize],
        mode: Mode,
    ) -> Self {
        let lanes = [time, agents, worlds];
        Sequence {
            observations: graph.input("observations", [&lanes, observation].concat()),
            ages: graph.input("ages", lanes),
            present: graph.input("present", lanes),
            edges: policy
                .neighbours()
                .map(|n| Edges::input(graph, "edges", &[time, worlds], agents, n.most(agents))),
            world: policy.world_state().map(|size| graph.input(WORLD_STATE, [time, worlds, size])),
            key: graph.input_u32(NOISE_KEY, [time, worlds, 2]),
            mode,
        }
    }

    /// `[time, agents, worlds, numbers]`: the observations as rows.
    pub(crate) fn flat(&self) -> Tensor<'g> {
        let lanes = self.present.shape();
        let numbers = self.observations.shape().get(3..).unwrap_or_default().iter().product();
        self.observations.reshape([&lanes[..], &[numbers]].concat())
    }

    /// Whether it may be looked at what happens: it is a single step.
    pub(crate) fn watched(&self) -> bool {
        self.present.shape().first() == Some(&1)
    }

    /// The steps from `first` on, `count` of them.
    pub fn steps(&self, first: usize, count: usize) -> Self {
        let cut = |x: Tensor<'g>| x.slice(0, first, count);
        Sequence {
            observations: cut(self.observations),
            ages: cut(self.ages),
            present: cut(self.present),
            edges: self.edges.map(|e| Edges {
                offsets: cut(e.offsets),
                sources: cut(e.sources),
                transposed_offsets: cut(e.transposed_offsets),
                destinations: cut(e.destinations),
                edges: cut(e.edges),
            }),
            world: self.world.map(cut),
            key: cut(self.key),
            mode: self.mode,
        }
    }
}

/// The input of programs that takes the key of a network's own noise.
pub const NOISE_KEY: &str = "noise key";

/// Gives a program over `worlds` worlds, whose network draws random numbers, a key for each step and world.
pub fn fill_noise(program: &mut Program, worlds: usize, key: impl Fn(usize, usize) -> [u32; 2]) {
    if let Some(input) = program.find_input_u32(NOISE_KEY) {
        for (lane, to) in input.chunks_exact_mut(2).enumerate() {
            to.copy_from_slice(&key(lane / worlds.max(1), lane % worlds.max(1)));
        }
    }
}

/// The key of a network's own noise in a world at a step of acting, under the seed and the counter of steps that make the
/// actions' keys.
pub fn noise_key([seed, step]: [u64; 2], world: usize) -> [u32; 2] {
    mixed_key([seed ^ 0x6e6f_6973_6500, step], world as u64)
}

/// A key of the generator that no other seed, counter or shard shares, up to a chance of 2^-64.
pub(crate) fn mixed_key([seed, counter]: [u64; 2], shard: u64) -> [u32; 2] {
    let mut z =
        seed ^ counter.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ shard.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    [z as u32, (z >> 32) as u32]
}

/// The inputs `state0`, `state1` and so on of a program over `[agents, worlds]`: the recurrent state at its first step, in
/// the order of [`Policy::state`].
pub fn state_inputs<'g>(
    graph: &'g Graph,
    policy: &dyn Policy,
    [agents, worlds]: [usize; 2],
) -> Vec<Tensor<'g>> {
    let parts = policy.state();
    let shape = |part: &StatePart| [&[agents, worlds], &part.shape[..]].concat();
    parts.iter().enumerate().map(|(i, part)| graph.input(&format!("state{i}"), shape(part))).collect()
}

/// The input `masks` `[lanes.., options]` of programs, where options are at times not allowed.
pub fn masks_input<'g>(
    graph: &'g Graph,
    masked: bool,
    kind: &AgentKind,
    lanes: &[usize],
) -> Option<Tensor<'g>> {
    let options = kind.actions.options();
    (masked && options > 0).then(|| graph.input("masks", [lanes, &[options]].concat()))
}

/// The input of programs that takes the worlds' states.
pub const WORLD_STATE: &str = "world state";

/// What an agent makes of a [`Sequence`].
pub struct Unrolled<'g> {
    /// `[time, agents, worlds, parameters]`: what stands for a distribution over actions
    /// ([`ActionSpace::distribution`](crate::action::ActionSpace::distribution)); for one choice these are
    /// log-probabilities up to a constant, or, for an agent that learns by Q-learning, the values of its options.
    pub parameters: Tensor<'g>,
    /// `[time, agents, worlds]`: the critic's value of each observation.
    pub values: Tensor<'g>,
    /// The recurrent state after the last step, in the order of [`Policy::state`].
    pub state: Vec<Tensor<'g>>,
    /// For pictures, in inference of one step: `[agents, worlds, heads, agents]`, how much each agent attends to
    /// each agent's memory; `None` where the agent has no such thing.
    pub attention: Option<Tensor<'g>>,
    /// A number that the loss grows by, where the network has something to pay for (edges of a learned graph); `None` where it
    /// has not.
    pub price: Option<Tensor<'g>>,
}

/// What a policy shifts and scales of what some of its agents see: `(x - mean) scale`, held to -10 to 10. Whoever trains
/// it writes both numbers by statistics of what was seen; until then they are 0 and 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// The agents.
    pub agents: std::ops::Range<usize>,
    /// Which numbers of an observation, in the order of the means.
    pub columns: Vec<usize>,
    /// Where the means begin in the parameters' flat vector, one for each column.
    pub mean: usize,
    /// Where the scales begin, likewise.
    pub scale: usize,
}

/// An agent with a stochastic policy (or action values), a critic and perhaps a recurrent state.
pub trait Policy: Send + Sync {
    /// One line that says which network this is; checkpoints of another architecture are refused by it.
    fn architecture(&self) -> String;

    /// Its parameters.
    fn parameters(&self) -> &Parameters;

    /// Its recurrent state; empty where it has none. A state starts as zeros.
    fn state(&self) -> Vec<StatePart>;

    /// How its graph of neighbours is made from observations; `None` where it has no use for one.
    fn neighbours(&self) -> Option<&Neighbours> {
        None
    }

    /// Numbers of the world's state that its critic looks at; `None` where the critic sees what the agent sees.
    fn world_state(&self) -> Option<usize> {
        None
    }

    /// What its numbers for continuous actions with bounds stand for.
    fn bounded(&self) -> Bounded {
        Bounded::Gaussian
    }

    /// Takes notice that it learns no more and is on `device`: what follows from its parameters alone is worked out once, and
    /// actors that are made later need less (edges that a learned graph has cut are left out). Its actions stay.
    ///
    /// # Errors
    /// What the device reports.
    fn settle(&mut self, _device: &Device) -> Result<()> {
        Ok(())
    }

    /// Independent runs that it was learned in, side by side: world `w` is played by what run `w % seeds` learned.
    fn seeds(&self) -> usize {
        1
    }

    /// Whether its agents tell each other anything.
    fn talks(&self) -> bool {
        false
    }

    /// The parts of its state in which each number is the importance of a slot of a memory that agents share, which is in
    /// use where it is above 0.
    fn slot_importances(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Bytes of the memory that the agents of a world share, codes counted as they can be kept; 0 where they share none.
    fn memory_bytes(&self) -> usize {
        0
    }

    /// Who hears whom when it acts, as pairs (speaker, hearer), where that is a fixed graph; `None` where all may hear all.
    fn links(&self) -> Option<&[(u32, u32)]> {
        None
    }

    /// What it normalises of what its agents see; empty where it takes observations as they are.
    fn normalised(&self) -> Vec<Normalised> {
        Vec::new()
    }

    /// The critic of what each option would be worth, where one stands beside it.
    fn counterfactual(&self) -> Option<&counterfactual::Counterfactual> {
        None
    }

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
