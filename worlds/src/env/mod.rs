//! Worlds: what agents act in. A world module steps many worlds of many agents at once over flat arrays that the
//! caller owns. Nothing here knows of networks, trainers, the terminal or the disk (maps excepted).
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! for (name, about) in WorldConfig::kinds() {
//!     println!("{name}: {about}");
//! }
//! let mut env = WorldConfig::named("matrix_game")?.with_worlds(8).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true; 8], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?;
//! assert_eq!(out.rewards, [11.0; 16]); // climbing: both choose the first row and column
//! # Ok::<(), synod_worlds::Error>(())
//! ```

pub mod bits;
pub mod chain;
mod config;
pub mod congestion;
pub mod deep_sea;
pub mod drawing;
pub mod factory;
pub mod foraging;
pub mod goals;
pub mod gridworld;
pub mod job_shop;
pub mod last_action;
pub mod lever;
pub mod lewis;
pub mod lqr;
pub mod matrix_game;
pub mod memory;
pub mod mixture;
pub mod mpe;
pub mod mujoco;
pub mod noise;
pub mod pathfinding;
pub mod penalty;
pub mod pendulum;
mod plane;
pub mod planted;
pub mod platoon;
pub mod point_navigation;
pub mod recall;
pub mod repeat_previous;
mod riccati;
pub mod roads;
pub mod signals;
pub mod sinusoid;
pub mod spoken;
pub mod switch;
pub mod taxi;
pub mod traffic;
pub mod traffic_junction;
pub mod uniform;
pub mod vectorised;
pub mod vmas;
pub mod warehouse;

pub use config::{WorldConfig, WorldSettings, Worlds};
pub use drawing::Drawing;
pub use pathfinding::Pcg64;

use serde::{Deserialize, Serialize};

use crate::action::{ActionSpace, Actions};
use crate::error::{Error, Result};

/// One kind of agent in a world: how many of them a world has, what each sees and what each can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentKind {
    /// A name for logs and pictures.
    pub name: String,
    /// Agents of this kind in each world.
    pub count: usize,
    /// Shape of one agent's observation, e.g. `[3, 11, 11]`.
    pub observation: Vec<usize>,
    /// What each can do.
    pub actions: ActionSpace,
    /// The kinds that it is made of, where unlike agents were made alike ([`uniform::Uniform`]), in the order of its
    /// agents; else none.
    #[serde(default)]
    pub members: Vec<AgentKind>,
}

impl AgentKind {
    /// So many agents that see observations of that shape and can do so much.
    pub fn new(name: &str, count: usize, observation: &[usize], actions: ActionSpace) -> Self {
        let (name, observation) = (name.to_owned(), observation.to_vec());
        AgentKind { name, count, observation, actions, members: Vec::new() }
    }

    /// The kinds that it is made of, or itself where it is one alone.
    pub fn unlike(&self) -> &[AgentKind] {
        if self.members.is_empty() { std::slice::from_ref(self) } else { &self.members }
    }

    /// A kind with flat observations of so many numbers and one choice of so many options.
    pub fn discrete(name: &str, count: usize, observation: usize, options: usize) -> Self {
        Self::new(name, count, &[observation], ActionSpace::Discrete(options))
    }
}

/// Something about a world, as an agent's own place in it goes, that takes one of a few values: what the instruments of
/// communication look for in what agents say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is called.
    pub name: String,
    /// The values that it takes: 0 to one less than this.
    pub values: usize,
}

impl Fact {
    /// A fact of that name with so many values.
    pub fn new(name: &str, values: usize) -> Self {
        Fact { name: name.to_owned(), values }
    }
}

/// The sizes of a vectorised environment. They never change during its life.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Kinds of agent, in the order of every array.
    pub kinds: Vec<AgentKind>,
    /// Numbers in one world's state for a centralised critic; 0 where there is none.
    pub state: usize,
    /// Whether actions are at times not allowed. Where not, [`Buffers::masks`] holds ones for ever.
    pub masked: bool,
    /// The step after which an episode is over at the latest; `u32::MAX` where that is not known.
    pub limit: u32,
}

impl Spec {
    /// Agents in one world, of all kinds.
    pub fn agents(&self) -> usize {
        self.kinds.iter().fold(0, |sum, kind| sum.saturating_add(kind.count))
    }

    /// The only kind of agent.
    ///
    /// # Errors
    /// There are others, which `user` has no place for.
    pub fn only_kind(&self, user: &str) -> Result<&AgentKind> {
        match &self.kinds[..] {
            [kind] => Ok(kind),
            kinds => Err(Error::Usage(format!("{user} takes one kind of agent, not {}", kinds.len()))),
        }
    }

    /// Length of [`Buffers::observations`]: for each kind a block `[worlds, count, observation...]`.
    pub fn observation_length(&self) -> usize {
        let each = |k: &AgentKind| product(&[&[self.worlds, k.count], &k.observation[..]].concat());
        self.kinds.iter().map(each).fold(0, usize::saturating_add)
    }

    /// Length of [`Buffers::masks`]: for each kind a block `[worlds, count, options]`.
    pub fn mask_length(&self) -> usize {
        self.length(ActionSpace::options)
    }

    /// The lengths of [`Actions::discrete`] and [`Actions::continuous`]: for each kind a block `[worlds, count, integers]`,
    /// and a block `[worlds, count, floats]`.
    pub fn action_lengths(&self) -> [usize; 2] {
        [self.length(ActionSpace::integers), self.length(ActionSpace::floats)]
    }

    /// Actions of the right lengths, all zeros; empty ones, which no environment takes, for more than 2^36 numbers.
    pub fn actions(&self) -> Actions {
        Actions::of_lengths(self.action_lengths())
    }

    /// The sum over kinds of `[worlds, count, each]`.
    fn length(&self, each: impl Fn(&ActionSpace) -> usize) -> usize {
        let block = |k: &AgentKind| product(&[self.worlds, k.count, each(&k.actions)]);
        self.kinds.iter().map(block).fold(0, usize::saturating_add)
    }
}

/// `usize::MAX` where it is out of range.
fn product(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |all, size| all.saturating_mul(*size))
}

/// Elements of a buffer at most.
const MOST: usize = 1 << 36;

/// What a step writes. The caller owns it and reuses it.
#[derive(Debug, Clone, Default)]
pub struct Buffers {
    /// For each kind a block `[worlds, count, observation...]`, one after another.
    pub observations: Vec<f32>,
    /// For each kind a block `[worlds, count, options]`: 1 where an option may be taken, else 0. Where an action has several
    /// discrete parts their options follow one another.
    pub masks: Vec<f32>,
    /// `[worlds, agents]`.
    pub rewards: Vec<f32>,
    /// `[worlds, agents]`: the agent's own episode ended here by the rules of the world (no bootstrap).
    pub terminated: Vec<bool>,
    /// `[worlds, agents]`: the episode was cut off here by a limit of steps (bootstrap from the last observation).
    pub truncated: Vec<bool>,
    /// `[worlds, agents]`: the agent takes part in the coming step. An agent that has finished does not until its
    /// world is reset, or until the world brings it back (a new car in a slot of the traffic junction); its action is
    /// ignored and its reward is 0.
    pub active: Vec<bool>,
    /// `[worlds]`: the episode is over; the world waits for a reset.
    pub ended: Vec<bool>,
    /// `[worlds, state]`.
    pub state: Vec<f32>,
}

impl Buffers {
    /// Buffers of the right lengths for `spec`; empty ones, which no environment takes, for more than 2^36 elements.
    pub fn new(spec: &Spec) -> Self {
        let lengths = [
            product(&[spec.worlds, spec.agents()]),
            spec.observation_length(),
            spec.mask_length(),
            product(&[spec.worlds, spec.state]),
        ];
        if lengths.iter().any(|length| *length > MOST) {
            return Buffers::default();
        }
        let [lanes, observations, masks, state] = lengths;
        Buffers {
            observations: vec![0.0; observations],
            masks: vec![1.0; masks],
            rewards: vec![0.0; lanes],
            terminated: vec![false; lanes],
            truncated: vec![false; lanes],
            active: vec![true; lanes],
            ended: vec![false; spec.worlds],
            state: vec![0.0; state],
        }
    }

    /// Checks every length against `spec`.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self, spec: &Spec) -> Result<()> {
        let lanes = product(&[spec.worlds, spec.agents()]);
        let lengths = [
            ("observations", self.observations.len(), spec.observation_length()),
            ("masks", self.masks.len(), spec.mask_length()),
            ("rewards", self.rewards.len(), lanes),
            ("terminated", self.terminated.len(), lanes),
            ("truncated", self.truncated.len(), lanes),
            ("active", self.active.len(), lanes),
            ("ended", self.ended.len(), spec.worlds),
            ("state", self.state.len(), product(&[spec.worlds, spec.state])),
        ];
        match lengths.iter().find(|(_, got, expected)| got != expected) {
            Some((name, got, expected)) => {
                Err(Error::Usage(format!("buffers: {name} has {got} entries, expected {expected}")))
            }
            None => Ok(()),
        }
    }
}

/// What one finished episode of one world amounted to.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeReport {
    /// The world.
    pub world: usize,
    /// What the world's instance is called, e.g. `bottleneck-12` or a map's file name; empty where all are alike.
    pub label: String,
    /// Agents in the world.
    pub agents: usize,
    /// Numbers by name, e.g. `csr`, `isr`, `soc`, `makespan`, `throughput`, `length`, `return` (the mean over agents; where a
    /// world is published with their sum, that).
    pub values: Vec<(&'static str, f64)>,
}

impl EpisodeReport {
    /// The value of that name, where this report has it.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

/// Many worlds stepped at once.
///
/// A world that has ended is not restarted by itself: the caller first has the chance to value the last observation
/// (a truncated episode needs that) and then calls [`VecEnv::reset`] with that world marked.
/// The outcome depends on the seed alone, never on the number of threads.
pub trait VecEnv: Send {
    /// The sizes of everything.
    fn spec(&self) -> &Spec;

    /// Starts a new episode in every world `w` with `which[w]`, and writes that world's rows of `out` (observations,
    /// masks, active, ended, state; rewards and ends are cleared). Other worlds' rows are left as they are.
    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()>;

    /// Steps every world that has not ended with `actions` (for each kind a block `[worlds, count, ..]`, see [`Actions`])
    /// and writes every row of `out`. A world that has ended stays as it is, with no reward. Floats beyond their bounds
    /// count as the bound.
    ///
    /// # Errors
    /// Lengths that are not those of the spec; an option that does not exist or a float that is not finite, where the
    /// agent takes part in the step.
    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()>;

    /// The episodes that ended since the last call, in a fixed order.
    fn take_reports(&mut self) -> Vec<EpisodeReport>;

    /// Everything that a later [`VecEnv::load`] needs to go on exactly from here.
    fn save(&self) -> Vec<u8>;

    /// Goes on from what [`VecEnv::save`] gave. The bytes are not trusted.
    ///
    /// # Errors
    /// The bytes are cut short, or belong to an environment of other sizes.
    fn load(&mut self, bytes: &[u8]) -> Result<()>;

    /// The worlds that this one stands around, where it does: what it has no answer of its own to, of the questions below,
    /// they are asked.
    fn inner(&self) -> Option<&dyn VecEnv> {
        None
    }

    /// What a world looks like now, where worlds of this kind draw themselves; `None` too before its first reset, or
    /// where there is no such world. Nothing is drawn unless it is asked for here.
    fn draw(&self, world: usize) -> Option<Drawing> {
        self.inner()?.draw(world)
    }

    /// The facts that each agent has a value of; empty where the world names none.
    fn facts(&self) -> Vec<Fact> {
        self.inner().map_or_else(Vec::new, VecEnv::facts)
    }

    /// The value of each of [`VecEnv::facts`] for an agent of a world now, in their order; `None` where it has none (another
    /// kind of agent has it). Agents are counted through all kinds.
    fn fact_values(&self, world: usize, agent: usize) -> Vec<Option<u32>> {
        match self.inner() {
            Some(inner) => inner.fact_values(world, agent),
            None => vec![None; self.facts().len()],
        }
    }

    /// Who has to hear whom, as pairs (speaker, hearer) of agents counted through all kinds, where the world knows it: what a
    /// graph that agents learn is judged by.
    fn useful_links(&self) -> Option<Vec<(u32, u32)>> {
        self.inner()?.useful_links()
    }

    /// For each agent the probabilities of its options in the only equilibrium, where the world knows it and all steps
    /// are alike: what policies are judged by.
    fn equilibrium(&self) -> Option<Vec<Vec<f64>>> {
        self.inner()?.equilibrium()
    }

    /// Writes what each agent would rightly do now, where the world knows it, as actions are laid out for a step: what
    /// supervised learning learns. `known` `[worlds, agents]` is whether there is such an answer for the agent; where not its
    /// action is left as it is.
    ///
    /// # Errors
    /// Worlds of this kind do not say what is right, or arrays of other lengths.
    fn answers(&self, actions: &mut Actions, known: &mut [bool]) -> Result<()> {
        match self.inner() {
            Some(inner) => inner.answers(actions, known),
            None => Err(Error::Usage("this world does not say what would be right".into())),
        }
    }

    /// Episodes that follow one another in a world before it draws another task (a goal, a function): what an agent can find
    /// out in one it can use in the next. 1 where each episode is a task of its own.
    fn task_episodes(&self) -> u32 {
        self.inner().map_or(1, VecEnv::task_episodes)
    }

    /// What an agent's actions are called: the options of its choices, one choice after another, then its continuous
    /// numbers; empty where they have numbers only. Agents are counted through all kinds.
    fn action_names(&self, agent: usize) -> Vec<String> {
        self.inner().map_or_else(Vec::new, |inner| inner.action_names(agent))
    }

    /// What an agent is called: its kind, with a number where there are several of it. Agents are counted through all
    /// kinds.
    fn agent_name(&self, agent: usize) -> String {
        if let Some(inner) = self.inner() {
            return inner.agent_name(agent);
        }
        let mut number = agent;
        for kind in &self.spec().kinds {
            match kind.count {
                1 if number == 0 => return kind.name.clone(),
                count if number < count => return format!("{} {number}", kind.name),
                count => number -= count,
            }
        }
        format!("agent {agent}")
    }
}
