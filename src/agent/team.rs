//! Teams put together from parts: an encoder, a recurrent core, rounds of communication, heads. Each part is a setting,
//! and everything combines.
//!
//! ```text
//! observation -> encoder -> [recurrent core] -> [communication, several rounds] -> action values or logits
//! ```
//!
//! With [`TeamConfig::talk_first`] communication comes before the core. What is said at a step is heard within the same
//! step. The head is a plain or a dueling one (Wang et al. 2016); a critic stands beside it for trainers that want one.
//! Without communication and core this is DQN's network, with a core DRQN's (Hausknecht and Stone 2015).

use serde::{Deserialize, Serialize};

use super::communication::{Communication, Heard, Hearing, Layer};
use super::neighbours::Neighbours;
use super::{Policy, Sequence, StatePart, Unrolled};
use crate::Device;
use crate::action::{ActionSpace, Bounded};
use crate::env::{AgentKind, Spec};
use crate::error::{Error, Result, within};
use crate::graph::{Graph, Tensor};
use crate::nn::{Builder, Gru, Linear, Lstm, Parameters, RELU_GAIN, Weights};

/// A recurrent core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recurrent {
    /// The agent sees the present only.
    None,
    /// A gated recurrent unit.
    Gru,
    /// Long short-term memory.
    Lstm,
}

/// What the critic sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Critic {
    /// What the actor makes of things: one network, two heads.
    Shared,
    /// What the agent sees, by a network of its own.
    Own,
    /// The state of the world (and the agent's number, with [`TeamConfig::identity`]), by a network of its own: MAPPO
    /// (Yu et al. 2022, arXiv 2103.01955). For learning only; acting never needs it.
    Central,
}

impl Critic {
    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Critic::Shared => "shared",
            Critic::Own => "own",
            Critic::Central => "central",
        }
    }
}

/// The parts of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamConfig {
    /// Features of every layer.
    pub features: usize,
    /// Layers of the encoder, each a linear map and a ReLU.
    pub layers: usize,
    /// The observation is joined by the number of the agent, as a row with a one, so that agents with the same
    /// parameters can act apart.
    pub identity: bool,
    /// The recurrent core.
    pub recurrent: Recurrent,
    /// How agents talk.
    pub communication: Communication,
    /// Rounds of communication, each with weights of its own.
    pub rounds: usize,
    /// Heads of attention; must divide the features.
    pub heads: usize,
    /// TarMAC lets in what is heard through a gate.
    pub gated: bool,
    /// What an agent makes of what it hears is added to what it had. Without it rounds over a graph in which all hear
    /// all leave agents without a difference between them.
    pub residual: bool,
    /// Agents talk before the recurrent core, not after it.
    pub talk_first: bool,
    /// The head is the sum of a value and of advantages.
    pub dueling: bool,
    /// What the critic sees, for trainers that want one.
    pub critic: Critic,
    /// Who is a neighbour, for communication over graphs.
    pub neighbours: Neighbours,
    /// What continuous actions with bounds are drawn from: `gaussian` (worlds hold them to the bounds) or `tanh` (squashed
    /// between them).
    pub bounded: Bounded,
}

impl Default for TeamConfig {
    fn default() -> Self {
        TeamConfig {
            features: 64,
            layers: 1,
            identity: true,
            recurrent: Recurrent::None,
            communication: Communication::None,
            rounds: 1,
            heads: 1,
            gated: false,
            residual: false,
            talk_first: false,
            dueling: false,
            critic: Critic::Shared,
            neighbours: Neighbours { positions: vec![0, 1], radius: 0.0, nearest: 8, itself: true },
            bounded: Bounded::Gaussian,
        }
    }
}

impl TeamConfig {
    /// Checks every setting against what agents see.
    ///
    /// # Errors
    /// The first setting out of range.
    pub fn check(&self, kind: &AgentKind, separate: bool) -> Result<()> {
        let numbers = [
            ("features", self.features, 1, 8192),
            ("layers", self.layers, 1, 64),
            ("rounds", self.rounds, 1, 64),
            ("heads", self.heads, 1, 1024),
            ("neighbours.nearest", self.neighbours.nearest, 0, 1 << 20),
        ];
        for (key, value, low, high) in numbers {
            within(format!("agent.{key}"), value, low, high)?;
        }
        if !self.features.is_multiple_of(self.heads) {
            let message = format!("a divisor of agent.features ({}), got {}", self.features, self.heads);
            return Err(Error::config("agent.heads", message));
        }
        if self.communication.needs_neighbours() {
            self.neighbours.check(kind.observation.iter().product())?;
            if separate {
                return Err(Error::config(
                    "separate_parameters",
                    format!("agents on graphs ({}) share their parameters", self.communication.name()),
                ));
            }
        }
        Ok(())
    }
}

enum Core {
    None,
    Gru(Gru),
    Lstm(Lstm),
}

/// An encoder and a recurrent core.
struct Trunk {
    encoder: Vec<Linear>,
    core: Core,
}

impl Trunk {
    fn new(builder: &mut Builder, config: &TeamConfig, inputs: usize) -> Trunk {
        let features = config.features;
        let encoder = builder.within("encoder", |b| {
            (0..config.layers)
                .map(|i| {
                    let inputs = if i == 0 { inputs } else { features };
                    Linear::new(b, &i.to_string(), inputs, features, RELU_GAIN)
                })
                .collect()
        });
        let core = match config.recurrent {
            Recurrent::None => Core::None,
            Recurrent::Gru => Core::Gru(Gru::new(builder, "gru", features, features)),
            Recurrent::Lstm => Core::Lstm(Lstm::new(builder, "lstm", features, features)),
        };
        Trunk { encoder, core }
    }

    /// Observations `[time, agents, worlds, numbers]` to features.
    fn encode<'g>(&self, weights: &Weights<'g>, observations: Tensor<'g>) -> Tensor<'g> {
        self.encoder.iter().fold(observations, |x, layer| layer.forward(weights, x).relu())
    }

    /// The core over features `[time, agents, worlds, features]`, and the state after the last step. With `separate`
    /// every agent has weights of its own.
    fn recur<'g>(
        &self,
        weights: &Weights<'g>,
        x: Tensor<'g>,
        ages: Tensor<'g>,
        separate: bool,
        state: &[Tensor<'g>],
    ) -> (Tensor<'g>, Vec<Tensor<'g>>) {
        let shape = x.shape();
        let (time, agents, worlds, features) = (shape[0], shape[1], shape[2], shape[3]);
        let resets = ages.equal(weights.graph().scalar(0.0));
        // With weights of their own agents are lanes and come first; else they are so many more rows.
        let (inputs, resets, rows) = if separate {
            (x.transpose(&[1, 0, 2, 3]), resets.transpose(&[1, 0, 2]), vec![agents, worlds])
        } else {
            let rows = agents * worlds;
            (x.reshape([time, rows, features]), resets.reshape([time, rows]), vec![rows])
        };
        let axis = isize::from(separate);
        let before = |i: usize| state[i].reshape([&rows[..], &[features]].concat());
        let back = |y: Tensor<'g>| {
            if separate { y.transpose(&[1, 0, 2, 3]) } else { y.reshape([time, agents, worlds, features]) }
        };
        let last = |y: Tensor<'g>| y.slice(axis, time - 1, 1).reshape([agents, worlds, features]);
        match &self.core {
            Core::None => (x, Vec::new()),
            Core::Gru(layer) => {
                let hidden = layer.forward(weights, inputs, before(0), Some(resets));
                (back(hidden), vec![last(hidden)])
            }
            Core::Lstm(layer) => {
                let out = layer.forward(weights, inputs, [before(0), before(1)], Some(resets));
                (back(out.hidden), vec![last(out.hidden), last(out.cells)])
            }
        }
    }
}

/// The network with its parameters.
pub struct Team {
    config: TeamConfig,
    observation: Vec<usize>,
    agents: usize,
    actions: ActionSpace,
    separate: bool,
    trunk: Trunk,
    /// The critic's, where it has one of its own.
    judge: Option<Trunk>,
    /// Numbers of the world's state that a central critic sees.
    world_state: usize,
    talk: Vec<Box<dyn Layer>>,
    actor: Linear,
    dueling: Option<Linear>,
    critic: Linear,
    parameters: Parameters,
}

impl Team {
    /// A network for the agents of such worlds, its initial parameters drawn from `seed`; with `separate`, each agent has
    /// parameters of its own.
    ///
    /// # Errors
    /// Several kinds of agent, settings out of range ([`TeamConfig::check`]), or no room on the device.
    pub fn new(device: &Device, config: &TeamConfig, spec: &Spec, separate: bool, seed: u64) -> Result<Self> {
        let kind = spec.only_kind("a team")?;
        config.check(kind, separate)?;
        if config.critic == Critic::Central && spec.state == 0 {
            let message = "own or shared: the state of this world is not known";
            return Err(Error::config("agent.critic", message));
        }
        if config.dueling {
            kind.actions.one_choice("a dueling head")?;
        }
        let features = config.features;
        let mut builder = match separate {
            true => Builder::with_lanes(seed, kind.count),
            false => Builder::new(seed),
        };
        let number = if config.identity { kind.count } else { 0 };
        let seen = kind.observation.iter().product::<usize>() + number;
        let trunk = Trunk::new(&mut builder, config, seen);
        let talk = (0..config.rounds)
            .filter_map(|i| {
                let name = format!("{}{i}", config.communication.name());
                config.communication.layer(&mut builder, &name, features, config.heads, config.gated)
            })
            .collect();
        // Near 0 at first: an even policy, or values that no action stands out by.
        let actor = Linear::new(&mut builder, "actor", features, kind.actions.parameters(), 0.01);
        let dueling = config.dueling.then(|| Linear::new(&mut builder, "dueling", features, 1, 0.01));
        let critic = Linear::new(&mut builder, "critic", features, 1, 1.0);
        let viewed = match config.critic {
            Critic::Shared => None,
            Critic::Own => Some(seen),
            Critic::Central => Some(spec.state + number),
        };
        let judge = viewed.map(|inputs| builder.within("judge", |b| Trunk::new(b, config, inputs)));
        Ok(Team {
            config: config.clone(),
            observation: kind.observation.clone(),
            agents: kind.count,
            actions: kind.actions.clone(),
            separate,
            trunk,
            judge,
            world_state: spec.state,
            talk,
            actor,
            dueling,
            critic,
            parameters: builder.build(device)?,
        })
    }

    /// The parts of the network.
    pub fn config(&self) -> &TeamConfig {
        &self.config
    }

    /// `x` `[time, agents, worlds, numbers]` joined by the number of the agent, where that is wanted.
    fn identified<'g>(&self, graph: &'g Graph, x: Tensor<'g>) -> Tensor<'g> {
        if !self.config.identity {
            return x;
        }
        let shape = x.shape();
        let mut identity = vec![0.0; self.agents * self.agents];
        (0..self.agents).for_each(|i| identity[i * self.agents + i] = 1.0);
        let identity = graph.constant([1, self.agents, 1, self.agents], &identity);
        graph.concat(&[x, identity.broadcast_to([shape[0], shape[1], shape[2], self.agents])], 3)
    }

    /// What the critic's own network makes of its view, and its state after the last step.
    fn judge<'g>(
        &self,
        weights: &Weights<'g>,
        trunk: &Trunk,
        sequence: Sequence<'g>,
        seen: Tensor<'g>,
        state: &[Tensor<'g>],
    ) -> Result<(Tensor<'g>, Vec<Tensor<'g>>)> {
        let graph = weights.graph();
        let view = match (self.config.critic, sequence.world) {
            (Critic::Central, Some(world)) => {
                let shape = sequence.present.shape();
                let size = world.shape()[2];
                let all = world.reshape([shape[0], 1, shape[2], size]);
                self.identified(graph, all.broadcast_to([shape[0], shape[1], shape[2], size]))
            }
            (Critic::Central, None) => {
                return Err(Error::Graph("a central critic needs the state of the world".into()));
            }
            _ => seen,
        };
        let x = trunk.encode(weights, view);
        Ok(trunk.recur(weights, x, sequence.ages, self.separate, state))
    }

    /// All rounds of communication: the features after the last, and what each round made, watched where a single step
    /// is looked at. What nobody says otherwise are the features that a round was given.
    fn talk<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        mut x: Tensor<'g>,
    ) -> Result<(Tensor<'g>, Vec<Heard<'g>>)> {
        let shape = sequence.present.shape();
        let here = sequence.present.reshape([&shape[..], &[1]].concat());
        let mut rounds = Vec::with_capacity(self.talk.len());
        for layer in &self.talk {
            let watch = shape[0] == 1;
            let hearing = Hearing { present: sequence.present, edges: sequence.edges, watch };
            let mut heard = layer.exchange(weights, x, hearing)?;
            heard.said = heard.said.or(watch.then_some(x));
            // The absent neither hear nor say anything.
            let features = if self.config.residual { x + heard.features } else { heard.features };
            heard.features = features * here;
            x = heard.features;
            rounds.push(heard);
        }
        Ok((x, rounds))
    }

    /// As [`Policy::unroll`], with what every round of communication made, in their order. For a single step its
    /// attention, gates and messages are there where the way of communicating has them.
    ///
    /// # Errors
    /// As there.
    pub fn watch<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<(Unrolled<'g>, Vec<Heard<'g>>)> {
        let graph = weights.graph();
        let shape = sequence.observations.shape();
        let fits = shape.len() == 3 + self.observation.len() && shape[3..] == self.observation[..];
        let known = shape.len() < 2 || shape[1] == self.agents || !(self.config.identity || self.separate);
        if !fits || !known || state.len() != self.state().len() {
            return Err(Error::Graph(format!(
                "this team of {} takes observations [time, agents, worlds, {:?}] and {} parts of state, and was given \
                 {shape:?} and {}",
                self.agents,
                self.observation,
                self.state().len(),
                state.len()
            )));
        }
        let size = self.observation.iter().product::<usize>();
        let lanes = [shape[0], shape[1], shape[2], size];
        let seen = self.identified(graph, sequence.observations.reshape(lanes));
        let mut x = self.trunk.encode(weights, seen);
        graph.check()?;
        let (own, others) = state.split_at(state.len() / if self.judge.is_some() { 2 } else { 1 });
        let mut rounds = Vec::new();
        if self.config.talk_first {
            (x, rounds) = self.talk(weights, sequence, x)?;
        }
        let (mut x, mut state) = self.trunk.recur(weights, x, sequence.ages, self.separate, own);
        if !self.config.talk_first {
            (x, rounds) = self.talk(weights, sequence, x)?;
        }
        let mut parameters = self.actor.forward(weights, x);
        if let Some(value) = &self.dueling {
            let lanes = [&shape[..3], &[1]].concat();
            parameters = value.forward(weights, x) + parameters - parameters.mean(&[-1]).reshape(lanes);
        }
        let judged = match &self.judge {
            None => x,
            Some(trunk) => {
                let (judged, after) = self.judge(weights, trunk, sequence, seen, others)?;
                state.extend(after);
                judged
            }
        };
        let values = self.critic.forward(weights, judged).reshape(&shape[..3]);
        let attention = rounds.last().and_then(|heard| heard.attention).map(|a| a.reshape(&a.shape()[1..]));
        Ok((Unrolled { parameters, values, state, attention }, rounds))
    }
}

impl Policy for Team {
    fn architecture(&self) -> String {
        let c = &self.config;
        let recurrent = match c.recurrent {
            Recurrent::None => "none",
            Recurrent::Gru => "gru",
            Recurrent::Lstm => "lstm",
        };
        format!(
            "team features={} layers={} recurrent={recurrent} communication={} rounds={} heads={} gated={} \
             {}talk_first={} dueling={} critic={} identity={} separate={} observation={:?} actions={}{}",
            c.features,
            c.layers,
            c.communication.name(),
            c.rounds,
            c.heads,
            c.gated,
            // Networks without it are called what they were called before there was a choice.
            if c.residual { "residual=true " } else { "" },
            c.talk_first,
            c.dueling,
            c.critic.name(),
            if c.identity { self.agents } else { 0 },
            if self.separate { self.agents } else { 0 },
            self.observation,
            self.actions,
            if self.bounded() == Bounded::Tanh { " bounded=tanh" } else { "" }
        )
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn bounded(&self) -> Bounded {
        self.config.bounded
    }

    fn state(&self) -> Vec<StatePart> {
        let names: &[&str] = match (self.config.recurrent, &self.judge) {
            (Recurrent::None, _) => &[],
            (Recurrent::Gru, None) => &["hidden"],
            (Recurrent::Gru, Some(_)) => &["hidden", "critic hidden"],
            (Recurrent::Lstm, None) => &["hidden", "cell"],
            (Recurrent::Lstm, Some(_)) => &["hidden", "cell", "critic hidden", "critic cell"],
        };
        names.iter().map(|name| StatePart { name, shape: vec![self.config.features] }).collect()
    }

    fn neighbours(&self) -> Option<&Neighbours> {
        self.config.communication.needs_neighbours().then_some(&self.config.neighbours)
    }

    fn world_state(&self) -> Option<usize> {
        (self.config.critic == Critic::Central).then_some(self.world_state)
    }

    fn unroll<'g>(
        &self,
        _: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        Ok(self.watch(weights, sequence, state)?.0)
    }
}
