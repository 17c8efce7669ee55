//! Teams put together from parts: an encoder, a recurrent core, rounds of communication, heads. Each part is a setting,
//! and everything combines.
//!
//! ```text
//! observation -> encoder -> [read memory] -> [recurrent core] -> [communication, several rounds] -> action values or logits
//!                                                                                              -> [write memory]
//! ```
//!
//! With [`TeamConfig::talk_first`] communication comes before the core. What is said at a step is heard within the same
//! step. The head is a plain or a dueling one (Wang et al. 2016); a critic stands beside it for trainers that want one.
//! Without communication and core this is DQN's network, with a core DRQN's (Hausknecht and Stone 2015).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::{Body, SEEN_MEAN, SEEN_SCALE, described};
use super::core::{CoreConfig, NoCore};
use super::encoder::EncoderConfig;
use super::recall::Recall;
use super::talk::Talk;
use super::{AgentSettings, Normalised, Policy, Sequence, StatePart, Unrolled};
use crate::Device;
use crate::action::{ActionSpace, Bounded};
use crate::comm::{Communication, CommunicatorConfig, Company, Neighbours, Silence};
use crate::env::Spec;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::memory::{MemoryConfig, NoMemory};
use crate::nn::{Builder, Parameters, RELU_GAIN, Weights};
use crate::registry::Member;
use crate::schema;

pub use super::unroll::Watched;

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

/// How large weights are at first: factors of orthogonal ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gains {
    /// Of the layers of encoders.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub encoder: f32,
    /// Of the last layer: near 0 for an even policy, or values that no action stands out by.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub actor: f32,
}

impl Default for Gains {
    /// What keeps the variance through a ReLU, and near 0.
    fn default() -> Self {
        Gains { encoder: RELU_GAIN, actor: 0.01 }
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
    /// The memory that agents share: read before the core, written after it.
    pub memory: MemoryConfig,
    /// The head is the sum of a value and of advantages.
    pub dueling: bool,
    /// What the critic sees, for trainers that want one.
    pub critic: Critic,
    /// Observations are shifted and scaled to mean 0 and deviation 1 by the statistics of all that was seen in training,
    /// and held to 10 deviations; the numbers are kept with the agent. What a central critic sees stays as it is.
    pub normalise: bool,
    /// Deviations of continuous actions are numbers of their own that are learned, and do not depend on what is seen.
    pub own_deviation: bool,
    /// What continuous actions with bounds are drawn from: `gaussian` (worlds hold them to the bounds) or `tanh` (squashed
    /// between them).
    pub bounded: Bounded,
    /// How large weights are at first.
    pub gains: Gains,
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
            memory: MemoryConfig::new(NoMemory {}),
            dueling: false,
            critic: Critic::Shared,
            normalise: false,
            own_deviation: false,
            bounded: Bounded::Gaussian,
            gains: Gains::default(),
        }
    }
}

impl TeamConfig {
    /// Checks every setting against what agents see.
    ///
    /// # Errors
    /// The first setting out of range, or without an effect.
    pub fn check(&self, spec: &Spec, separate: bool) -> Result<()> {
        let kind = spec.only_kind("a team")?;
        schema::check("agent", self)?;
        self.encoder.check(&kind.observation)?;
        self.core.check(self.features)?;
        self.check_common(spec, separate)?;
        if self.bounded != Bounded::Gaussian && kind.actions.floats() == 0 {
            let message = "`gaussian`: it does nothing where no action is continuous";
            return Err(Error::config("agent.bounded", message));
        }
        if self.own_deviation && (kind.actions.floats() == 0 || kind.actions.integers() > 0) {
            let message = format!("false: it is for continuous actions alone, not {}", kind.actions);
            return Err(Error::config("agent.own_deviation", message));
        }
        if self.dueling && kind.actions.one_choice("a dueling head").is_err() {
            let message = format!("false: a dueling head is for one discrete choice, not {}", kind.actions);
            return Err(Error::config("agent.dueling", message));
        }
        Ok(())
    }

    /// Checks what the agents of worlds have in common: how they talk, and their memory.
    pub(super) fn check_common(&self, spec: &Spec, separate: bool) -> Result<()> {
        let company = Company::of(spec, self.features)?;
        self.memory.check(&company)?;
        self.communication.check(&company)?;
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
        if self.communication.delay() > 0 {
            if self.rounds != 1 {
                let message = "1: what is said at a step is heard at another, once";
                return Err(Error::config("agent.rounds", message));
            }
            if self.talk_first {
                let message = "false: over steps agents hear before their core and speak after it";
                return Err(Error::config("agent.talk_first", message));
            }
        }
        let shared = self.communication.neighbours().is_some() || name == CommunicatorConfig::NAME;
        if shared && separate {
            return Err(Error::config(
                "separate_parameters",
                format!("agents that talk by `{name}` share their parameters"),
            ));
        }
        Ok(())
    }

    /// Numbers that an agent lets others have in a step: messages of all rounds, and its memory.
    pub fn said(&self) -> usize {
        let messages = self.rounds.saturating_mul(self.communication.said(self.features));
        let kept = self.core.said(self.features).saturating_add(self.memory.said(self.features));
        messages.saturating_add(kept)
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

/// The agents of one kind: their network, and where they and their numbers stand in the common arrays.
pub(super) struct Part {
    pub body: Body,
    /// The first of its agents, and how many there are.
    pub agents: [usize; 2],
    /// Numbers that it sees of its own; what stands behind the common columns (last actions) it sees too.
    pub own: usize,
    pub space: ActionSpace,
    /// The part of the common state that is its first.
    pub first_state: usize,
}

/// A team with its parameters: of one kind of agent, or of several with a network each ([`Team::of_kinds`]).
pub struct Team {
    pub(super) config: TeamConfig,
    pub(super) parts: Vec<Part>,
    /// Whether the parts are kinds of agent.
    pub(super) kinds: bool,
    pub(super) talk: Talk,
    pub(super) recall: Option<Recall>,
    /// The actions of all parts as one.
    pub(super) space: ActionSpace,
    /// The first columns of an observation: those of the widest kind, with the marks of the kinds; and the shape of all.
    pub(super) common: usize,
    pub(super) observation: Vec<usize>,
    pub(super) agents: usize,
    pub(super) parameters: Parameters,
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
        config.check(spec, separate)?;
        let company = Company::of(spec, config.features)?;
        let agents = [0, kind.count];
        // One network, whatever kinds there are.
        let networks = [(&kind.name[..], agents, config.features)];
        let common = |b: &mut Builder| {
            (Talk::new(b, config, &company, &networks), Recall::new(b, config, &company, &networks))
        };
        let (body, (talk, recall)) = Body::new(&mut builder, config, spec, separate, common)?;
        let own = kind.observation.iter().product();
        let space = kind.actions.clone();
        Ok(Team {
            config: config.clone(),
            parts: vec![Part { body, agents, own, space: space.clone(), first_state: 0 }],
            kinds: false,
            talk,
            recall,
            space,
            common: own,
            observation: kind.observation.clone(),
            agents: kind.count,
            parameters: builder.build(device)?,
        })
    }

    /// The parts of the network; of several kinds those that all have in common.
    pub fn config(&self) -> &TeamConfig {
        &self.config
    }

    /// Who hears whom in a round, as pairs (speaker, hearer) sorted by the second, where that never changes and is not simply all.
    pub fn links(&self, round: usize) -> Option<&[(u32, u32)]> {
        self.talk.layers().get(round).and_then(|layer| layer.links())
    }

    /// Names of the levels of its shared memory, and the slots of each; empty where it has none.
    pub fn memory_levels(&self) -> Vec<(String, usize)> {
        self.recall.as_ref().map_or(Vec::new(), |recall| recall.levels(self.agents))
    }
}

impl Policy for Team {
    fn architecture(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(|part| part.body.architecture()).collect();
        let memory = match &self.recall {
            Some(_) => {
                format!(" memory={}", described(self.config.memory.name(), self.config.memory.describe()))
            }
            None => String::new(),
        };
        if !self.kinds {
            return parts.concat() + &memory;
        }
        let (c, way) = (&self.config, &self.config.communication);
        let talk = match self.talk.rounds() {
            0 => String::new(),
            rounds => format!(
                " talking by {} rounds={rounds} features={} residual={} talk_first={}",
                described(way.name(), way.describe()),
                c.features,
                c.residual,
                c.talk_first
            ),
        };
        format!("kinds [{}]{talk}{memory}", parts.join("; "))
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn bounded(&self) -> Bounded {
        self.config.bounded
    }

    /// Of several kinds each part of the state has room for all agents; those of other kinds hold zeros there. What is said
    /// and not yet heard comes behind, and the shared memory last.
    fn state(&self) -> Vec<StatePart> {
        let named = |(index, part): (usize, &Part)| {
            let name = move |state: StatePart| match self.kinds {
                true => StatePart { name: format!("{index} {}", state.name), ..state },
                false => state,
            };
            part.body.state().into_iter().map(name).collect::<Vec<_>>()
        };
        let memory = self.recall.iter().flat_map(Recall::state);
        self.parts.iter().enumerate().flat_map(named).chain(self.talk.state()).chain(memory).collect()
    }

    fn neighbours(&self) -> Option<&Neighbours> {
        self.config.communication.neighbours()
    }

    fn normalised(&self) -> Vec<Normalised> {
        // Parts declare theirs in their order.
        let places = |end: &'static str| {
            self.parameters.extents().filter(move |(name, ..)| name.ends_with(end)).map(|(_, at, _)| at)
        };
        let width: usize = self.observation.iter().product();
        let parts = self.parts.iter().filter(|part| part.body.config.normalise);
        parts
            .zip(places(SEEN_MEAN).zip(places(SEEN_SCALE)))
            .map(|(part, (mean, scale))| {
                let [first, count] = part.agents;
                let behind = if self.kinds { self.common.min(width)..width } else { 0..0 };
                let columns = (0..part.own).chain(behind).collect();
                Normalised { agents: first..first + count, columns, mean, scale }
            })
            .collect()
    }

    fn world_state(&self) -> Option<usize> {
        self.parts.iter().find_map(|part| part.body.world_state())
    }

    fn settle(&mut self, device: &Device) -> Result<()> {
        let parameters = self.parameters.clone();
        self.talk.layers_mut().iter_mut().try_for_each(|layer| layer.settle(device, &parameters))
    }

    fn talks(&self) -> bool {
        self.talk.rounds() > 0
    }

    fn links(&self) -> Option<&[(u32, u32)]> {
        Team::links(self, 0)
    }

    fn memory_bytes(&self) -> usize {
        let numbers = self.observation.iter().product();
        self.config.memory.bytes(&Company::alike(self.agents, self.config.features, numbers))
    }

    fn slot_importances(&self) -> Vec<usize> {
        let Some(recall) = &self.recall else { return Vec::new() };
        let all = self.state().len();
        let first = all - recall.state().len();
        recall.importances().iter().map(|part| first + part).collect()
    }

    fn unroll<'g>(
        &self,
        _: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        Ok(self.watch(weights, sequence, state)?.unrolled)
    }
}
