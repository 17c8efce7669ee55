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

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::core::{Core, CoreConfig, NoCore, Remembered};
use super::encoder::{Encoder, EncoderConfig};
use super::{AgentSettings, Policy, Sequence, StatePart, Unrolled};
use crate::Device;
use crate::action::{ActionSpace, Bounded};
use crate::comm::{Communication, Heard, Hearing, Layer, Neighbours, Silence};
use crate::env::{AgentKind, Spec};
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::nn::{Builder, Linear, Parameters, Weights};
use crate::registry::Member;
use crate::schema;

/// What the critic sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TeamConfig {
    /// Features of every layer.
    #[schemars(range(min = 1, max = 8192))]
    pub features: usize,
    /// From observations to features.
    pub encoder: EncoderConfig,
    /// The observation is joined by the number of the agent, as a row with a one, so that agents with the same
    /// parameters can act apart.
    pub identity: bool,
    /// The recurrent core.
    pub core: CoreConfig,
    /// How agents talk.
    pub communication: Communication,
    /// Rounds of communication, each with weights of its own.
    #[schemars(range(min = 1, max = 64))]
    pub rounds: usize,
    /// What an agent makes of what it hears is added to what it had. Without it rounds over a graph in which all hear
    /// all leave agents without a difference between them.
    pub residual: bool,
    /// Agents talk before the recurrent core, not after it.
    pub talk_first: bool,
    /// The head is the sum of a value and of advantages.
    pub dueling: bool,
    /// What the critic sees, for trainers that want one.
    pub critic: Critic,
    /// What continuous actions with bounds are drawn from: `gaussian` (worlds hold them to the bounds) or `tanh` (squashed
    /// between them).
    pub bounded: Bounded,
}

impl Default for TeamConfig {
    fn default() -> Self {
        TeamConfig {
            features: 64,
            encoder: EncoderConfig::Linear { layers: 1 },
            identity: true,
            core: CoreConfig::new(NoCore {}),
            communication: Communication::new(Silence {}),
            rounds: 1,
            residual: false,
            talk_first: false,
            dueling: false,
            critic: Critic::Shared,
            bounded: Bounded::Gaussian,
        }
    }
}

impl TeamConfig {
    /// Checks every setting against what agents see.
    ///
    /// # Errors
    /// The first setting out of range, or without an effect.
    pub fn check(&self, kind: &AgentKind, separate: bool) -> Result<()> {
        schema::check("agent", self)?;
        self.encoder.check(&kind.observation)?;
        self.core.check(self.features)?;
        self.communication.check(self.features, kind.observation.iter().product())?;
        let name = self.communication.name();
        if name == Silence::NAME {
            for (key, set) in
                [("rounds", self.rounds != 1), ("residual", self.residual), ("talk_first", self.talk_first)]
            {
                if set {
                    let message = "its default: it does nothing where agent.communication is `none`";
                    return Err(Error::config(format!("agent.{key}"), message));
                }
            }
        }
        if self.bounded != Bounded::Gaussian && kind.actions.floats() == 0 {
            let message = "`gaussian`: it does nothing where no action is continuous";
            return Err(Error::config("agent.bounded", message));
        }
        if self.dueling && kind.actions.one_choice("a dueling head").is_err() {
            let message = format!("false: a dueling head is for one discrete choice, not {}", kind.actions);
            return Err(Error::config("agent.dueling", message));
        }
        if self.bounded != Bounded::default() && kind.actions.floats() == 0 {
            let message = "its default: it does nothing where no action is continuous";
            return Err(Error::config("agent.bounded", message));
        }
        if self.communication.neighbours().is_some() && separate {
            return Err(Error::config(
                "separate_parameters",
                format!("agents on graphs ({name}) share their parameters"),
            ));
        }
        Ok(())
    }

    /// Numbers that an agent lets others have in a step: messages of all rounds, and its memory.
    pub fn said(&self) -> usize {
        let messages = self.rounds.saturating_mul(self.communication.said(self.features));
        messages.saturating_add(self.core.said(self.features))
    }
}

impl Member for TeamConfig {
    const NAME: &'static str = "team";
    const SUMMARY: &'static str = "any encoder, recurrent core, communication and critic put together";
}

impl AgentSettings for TeamConfig {
    fn policy(&self, device: &Device, spec: &Spec, separate: bool, seed: u64) -> Result<Box<dyn Policy>> {
        Ok(Box::new(Team::new(device, self, spec, separate, seed)?))
    }

    fn parts(&self, _: &[usize]) -> Option<TeamConfig> {
        Some(self.clone())
    }
}

/// An encoder and a recurrent core.
struct Trunk {
    encoder: Encoder,
    core: Option<Box<dyn Core>>,
}

impl Trunk {
    /// For observations of that shape, joined by so many `more` numbers.
    fn new(builder: &mut Builder, config: &TeamConfig, observation: &[usize], more: usize) -> Trunk {
        let features = config.features;
        let encoder =
            builder.within("encoder", |b| Encoder::new(b, config.encoder, observation, more, features));
        let core = builder.within("core", |b| config.core.core(b, features));
        Trunk { encoder, core }
    }

    /// The core over features `[time, agents, worlds, features]`, where there is one.
    fn recur<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Remembered<'g> {
        match &self.core {
            Some(core) => core.run(weights, features, sequence, state),
            None => Remembered { features, state: Vec::new(), attention: None },
        }
    }

    fn state(&self) -> Vec<StatePart> {
        self.core.as_ref().map_or(Vec::new(), |core| core.state())
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
        let mut builder = match separate {
            true => Builder::with_lanes(seed, kind.count),
            false => Builder::new(seed),
        };
        let plan = Self::plan(&mut builder, config, spec, separate)?;
        Ok(plan(builder.build(device)?))
    }

    /// Declares the parameters of such a network among others; it is whole when all are built.
    ///
    /// # Errors
    /// As [`Team::new`].
    pub(super) fn plan(
        builder: &mut Builder,
        config: &TeamConfig,
        spec: &Spec,
        separate: bool,
    ) -> Result<impl FnOnce(Parameters) -> Team + use<>> {
        let kind = spec.only_kind("a team")?;
        config.check(kind, separate)?;
        if config.critic == Critic::Central && spec.state == 0 {
            let message = "own or shared: the state of this world is not known";
            return Err(Error::config("agent.critic", message));
        }
        let features = config.features;
        let number = if config.identity { kind.count } else { 0 };
        let trunk = Trunk::new(builder, config, &kind.observation, number);
        let talk = (0..config.rounds)
            .filter_map(|i| {
                let name = format!("{}{i}", config.communication.name());
                config.communication.layer(builder, &name, features)
            })
            .collect();
        // Near 0 at first: an even policy, or values that no action stands out by.
        let actor = Linear::new(builder, "actor", features, kind.actions.parameters(), 0.01);
        let dueling = config.dueling.then(|| Linear::new(builder, "dueling", features, 1, 0.01));
        let critic = Linear::new(builder, "critic", features, 1, 1.0);
        let viewed = match config.critic {
            Critic::Shared => None,
            Critic::Own => Some(&kind.observation[..]),
            Critic::Central => Some(&[spec.state][..]),
        };
        let judge = viewed.map(|seen| builder.within("judge", |b| Trunk::new(b, config, seen, number)));
        let (config, kind, world_state) = (config.clone(), kind.clone(), spec.state);
        Ok(move |parameters| Team {
            config,
            observation: kind.observation,
            agents: kind.count,
            actions: kind.actions,
            separate,
            trunk,
            judge,
            world_state,
            talk,
            actor,
            dueling,
            critic,
            parameters,
        })
    }

    /// The parts of the network.
    pub fn config(&self) -> &TeamConfig {
        &self.config
    }

    /// The number of each agent as a row with a one, `[time, agents, worlds, agents]`, where that is wanted.
    fn identities<'g>(&self, graph: &'g Graph, [time, worlds]: [usize; 2]) -> Option<Tensor<'g>> {
        let agents = self.agents;
        self.config.identity.then(|| {
            let mut identity = vec![0.0; agents * agents];
            (0..agents).for_each(|i| identity[i * agents + i] = 1.0);
            let identity = graph.constant([1, agents, 1, agents], &identity);
            identity.broadcast_to([time, agents, worlds, agents])
        })
    }

    /// What the critic's own network makes of its view, and its state after the last step.
    fn judge<'g>(
        &self,
        weights: &Weights<'g>,
        trunk: &Trunk,
        sequence: Sequence<'g>,
        identities: Option<Tensor<'g>>,
        state: &[Tensor<'g>],
    ) -> Result<Remembered<'g>> {
        let view = match (self.config.critic, sequence.world) {
            (Critic::Central, Some(world)) => {
                let shape = sequence.present.shape();
                let size = world.shape()[2];
                let all = world.reshape([shape[0], 1, shape[2], size]);
                all.broadcast_to([shape[0], shape[1], shape[2], size])
            }
            (Critic::Central, None) => {
                return Err(Error::Graph("a central critic needs the state of the world".into()));
            }
            _ => sequence.observations,
        };
        let x = trunk.encoder.forward(weights, view, identities);
        Ok(trunk.recur(weights, x, sequence, state))
    }

    /// All rounds of communication, a key for each: the features after the last, and what each round made, watched where a
    /// single step is looked at. What nobody says otherwise are the features that a round was given.
    fn talk<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        keys: &[Tensor<'g>],
        mut x: Tensor<'g>,
    ) -> Result<(Tensor<'g>, Vec<Heard<'g>>)> {
        let shape = sequence.present.shape();
        let here = sequence.present.reshape([&shape[..], &[1]].concat());
        let mut rounds = Vec::with_capacity(self.talk.len());
        for (layer, key) in self.talk.iter().zip(keys) {
            let watch = shape[0] == 1;
            let Sequence { present, edges, mode, .. } = sequence;
            let hearing = Hearing { present, edges, watch, key: *key, mode };
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
        let identities = self.identities(graph, [shape[0], shape[2]]);
        let mut x = self.trunk.encoder.forward(weights, sequence.observations, identities);
        graph.check()?;
        // For the two cores, and for each round of communication.
        let keys = sequence.key.split_key(2 + self.talk.len());
        let keys: Vec<_> = (0..2 + self.talk.len()).map(|i| keys.slice(0, i, 1).reshape([2])).collect();
        let (own, others) = state.split_at(self.trunk.state().len());
        let mut rounds = Vec::new();
        if self.config.talk_first {
            (x, rounds) = self.talk(weights, sequence, &keys[2..], x)?;
        }
        let remembered = self.trunk.recur(weights, x, Sequence { key: keys[0], ..sequence }, own);
        let mut state = remembered.state;
        x = remembered.features;
        if !self.config.talk_first {
            (x, rounds) = self.talk(weights, sequence, &keys[2..], x)?;
        }
        let mut parameters = self.actor.forward(weights, x);
        if let Some(value) = &self.dueling {
            let lanes = [&shape[..3], &[1]].concat();
            parameters = value.forward(weights, x) + parameters - parameters.mean(&[-1]).reshape(lanes);
        }
        let judged = match &self.judge {
            None => x,
            Some(trunk) => {
                let sequence = Sequence { key: keys[1], ..sequence };
                let judged = self.judge(weights, trunk, sequence, identities, others)?;
                state.extend(judged.state);
                judged.features
            }
        };
        let values = self.critic.forward(weights, judged).reshape(&shape[..3]);
        let heard = rounds.last().and_then(|heard| heard.attention).map(|a| a.reshape(&a.shape()[1..]));
        let attention = heard.or(remembered.attention);
        Ok((Unrolled { parameters, values, state, attention }, rounds))
    }
}

impl Policy for Team {
    fn architecture(&self) -> String {
        let c = &self.config;
        let described = |name: &str, how: String| match how.is_empty() {
            true => name.to_string(),
            false => format!("{name}({how})"),
        };
        format!(
            "team features={} encoder={} core={} communication={} rounds={} residual={} talk_first={} dueling={} \
             critic={} identity={} separate={} observation={:?} actions={}{}",
            c.features,
            c.encoder.describe(),
            described(c.core.name(), c.core.describe()),
            described(c.communication.name(), c.communication.describe()),
            c.rounds,
            c.residual,
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
        let mut state = self.trunk.state();
        let judge = self.judge.iter().flat_map(Trunk::state);
        state.extend(judge.map(|part| StatePart { name: format!("critic {}", part.name), ..part }));
        state
    }

    fn neighbours(&self) -> Option<&Neighbours> {
        self.config.communication.neighbours()
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
