//! Unlike agents with networks of their own: a team is a set of parts, one a kind of agent, each with its own encoder,
//! core, heads, sizes and parameters, and one policy over all of them.
//!
//! Worlds with several kinds are stepped as one kind ([`Uniform`](crate::env::uniform::Uniform)): that is how arrays are
//! laid out, and so every trainer takes them. The networks know nothing of it: each part is given the columns that its
//! kind sees, in their shape, and gives the numbers that its kind's actions need. What pads its heads to the common width
//! is constant, and carries no gradient.
//!
//! ```
//! use synod::agent::kinds::KindsConfig;
//! use synod::agent::team::TeamConfig;
//! use synod::agent::{AgentConfig, Policy};
//! use synod::env::WorldConfig;
//! use synod::env::uniform::Uniform;
//! let world = Uniform::of(WorldConfig::named("simple_tag")?.with_worlds(2).build(0)?)?;
//! let prey = TeamConfig { features: 32, ..TeamConfig::default() };
//! let kinds = KindsConfig { own: [("agent".to_string(), prey)].into(), ..KindsConfig::default() };
//! let policy = AgentConfig::new(kinds).policy(&synod::Device::cpu(), world.spec(), false, 7)?;
//! println!("{}", policy.architecture());
//! # Ok::<(), synod::Error>(())
//! ```

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::recall::Recall;
use super::talk::Talk;
use super::team::{Critic, Part, Team, TeamConfig};
use super::{AgentSettings, Policy, Sequence};
use crate::Device;
use crate::action::ActionSpace;
use crate::comm::{Communication, Company, Silence};
use crate::env::{AgentKind, Spec};
use crate::error::{Error, Result, nearest};
use crate::graph::Tensor;
use crate::memory::{MemoryConfig, NoMemory};
use crate::nn::Builder;
use crate::registry::Member;
use crate::schema::{self, moved};

/// The settings of a team with a network for each kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KindsConfig {
    /// The network of every kind that has no settings of its own, and how all kinds talk and what memory they share: what is
    /// said, heard and recalled has its `features`, whatever those of the kinds.
    pub team: TeamConfig,
    /// Settings of single kinds by their names, over those of a team: `agent.own.speaker.features = 32`.
    pub own: BTreeMap<String, TeamConfig>,
}

impl Member for KindsConfig {
    const NAME: &'static str = "kinds";
    const SUMMARY: &'static str = "a network of its own for each kind of agent";
}

impl AgentSettings for KindsConfig {
    fn policy(&self, device: &Device, spec: &Spec, separate: bool, seed: u64) -> Result<Box<dyn Policy>> {
        Ok(Box::new(Team::of_kinds(device, self, spec, separate, seed)?))
    }

    fn team(&self, device: &Device, spec: &Spec, separate: bool, seed: u64) -> Result<Option<Team>> {
        Team::of_kinds(device, self, spec, separate, seed).map(Some)
    }

    fn has_critic_apart(&self, _: &[usize]) -> bool {
        self.own.values().chain([&self.team]).any(|parts| parts.critic != Critic::Shared)
    }

    fn normalises(&self) -> bool {
        self.own.values().chain([&self.team]).any(|parts| parts.normalise)
    }

    fn said(&self) -> usize {
        let memory = |parts: &TeamConfig| parts.core.said(parts.features);
        let most = self.own.values().chain([&self.team]).map(memory).max().unwrap_or(0);
        let team = &self.team;
        let talk = team.rounds.saturating_mul(team.communication.said(team.features));
        most.saturating_add(talk).saturating_add(team.memory.said(team.features))
    }
}

impl Team {
    /// Networks for the kinds of agents of such worlds, their initial parameters drawn from `seed`. They talk as
    /// `config.team` says.
    ///
    /// # Errors
    /// Settings for a kind that there is not, a way to talk of a single kind's own, or as [`Team::new`] for one of them; agents
    /// of one kind with parameters of their own.
    pub fn of_kinds(
        device: &Device,
        config: &KindsConfig,
        spec: &Spec,
        separate: bool,
        seed: u64,
    ) -> Result<Self> {
        let all = spec.only_kind("a team of several kinds")?;
        if separate {
            let message = "false: each kind has a network of its own, and agents of a kind share it";
            return Err(Error::config("separate_parameters", message));
        }
        let members = all.unlike();
        config.check_names(members)?;
        schema::check("agent.team", &config.team)?;
        for (name, own) in &config.own {
            schema::check(&format!("agent.own.{name}"), own)?;
        }
        let width: usize = all.observation.iter().product();
        let flat = |kind: &AgentKind| kind.observation.iter().product::<usize>();
        let common = match all.members.len() {
            0 => width,
            count => members.iter().map(flat).max().unwrap_or(0) + count,
        };
        let behind = width - common.min(width);
        let mut builder = Builder::new(seed);
        let mut parts: Vec<Part> = Vec::with_capacity(members.len());
        let (mut first, mut first_state) = (0, 0);
        for member in members {
            // All talk and remember together, which is no affair of a single kind.
            let own = TeamConfig {
                communication: Communication::new(Silence {}),
                memory: MemoryConfig::new(NoMemory {}),
                rounds: 1,
                residual: false,
                talk_first: false,
                ..config.own.get(&member.name).unwrap_or(&config.team).clone()
            };
            let shape = match behind {
                0 => member.observation.clone(),
                behind => vec![flat(member) + behind],
            };
            let kind = AgentKind { observation: shape, ..member.clone() };
            let own_spec = Spec { kinds: vec![kind], ..spec.clone() };
            let at = match config.own.contains_key(&member.name) {
                true => format!("agent.own.{}.", member.name),
                false => "agent.team.".to_string(),
            };
            moved(own.check(&own_spec, false), "agent.", &at)?;
            let made = builder.within(&member.name, |b| Body::new(b, &own, &own_spec, false, |_| ()));
            let (body, ()) = moved(made, "agent.", &at)?;
            let states = body.state().len();
            let (agents, space) = ([first, member.count], member.actions.clone());
            parts.push(Part { body, agents, own: flat(member), space, first_state });
            (first, first_state) = (first + member.count, first_state + states);
        }
        moved(config.team.check_common(spec, false), "agent.", "agent.team.")?;
        let names = members.iter().map(|member| member.name.as_str());
        let networks: Vec<_> =
            names.zip(&parts).map(|(name, part)| (name, part.agents, part.body.config.features)).collect();
        let company = Company::of(spec, config.team.features)?;
        let talk = Talk::new(&mut builder, &config.team, &company, &networks);
        let recall = Recall::new(&mut builder, &config.team, &company, &networks);
        Ok(Team {
            config: config.team.clone(),
            parts,
            kinds: true,
            talk,
            recall,
            space: all.actions.clone(),
            common,
            observation: all.observation.clone(),
            agents: all.count,
            parameters: builder.build(device)?,
        })
    }

    /// What a part sees of a sequence over all agents.
    pub(super) fn view<'g>(&self, part: &Part, sequence: Sequence<'g>) -> Sequence<'g> {
        if !self.kinds {
            return sequence;
        }
        let [first, count] = part.agents;
        let graph = sequence.present.graph();
        let agents = |x: Tensor<'g>| x.slice(1, first, count);
        let shape = sequence.observations.shape();
        let width: usize = self.observation.iter().product();
        let rows = agents(sequence.observations.reshape([shape[0], shape[1], shape[2], width]));
        let own = rows.slice(3, 0, part.own);
        let seen = match width - self.common.min(width) {
            0 => own,
            behind => graph.concat(&[own, rows.slice(3, self.common, behind)], 3),
        };
        Sequence {
            observations: seen.reshape([&[shape[0], count, shape[2]], &part.body.observation[..]].concat()),
            ages: agents(sequence.ages),
            present: agents(sequence.present),
            ..sequence
        }
    }

    /// The numbers for a kind's actions as those for the common ones. Options that the kind lacks are closed by masks;
    /// floats that it lacks have a distribution that never changes.
    pub(super) fn widen<'g>(&self, space: &ActionSpace, parameters: Tensor<'g>) -> Tensor<'g> {
        let graph = parameters.graph();
        let (own, all) = (space.floats(), self.space.floats());
        if !self.kinds || own == all {
            let missing = self.space.parameters() - space.parameters();
            return if missing == 0 { parameters } else { parameters.pad(-1, 0, missing) };
        }
        let [means, deviations] = [0, own].map(|at| parameters.slice(-1, at, own).pad(-1, 0, all - own));
        graph.concat(&[means, deviations], -1)
    }
}

impl KindsConfig {
    /// Refuses settings of kinds that there are not, and ways to talk of a kind's own.
    fn check_names(&self, members: &[AgentKind]) -> Result<()> {
        let names = || members.iter().map(|member| member.name.as_str());
        for (name, own) in &self.own {
            if names().all(|known| known != name.as_str()) {
                let hint = nearest(name, names()).map(|near| format!("; did you mean `{near}`?"));
                let (known, hint) = (names().collect::<Vec<_>>().join(", "), hint.unwrap_or_default());
                let message = format!("the kinds of this world are {known}{hint}");
                return Err(Error::config(format!("agent.own.{name}"), message));
            }
            let (silent, defaults) = (TeamConfig::default(), [own.rounds, usize::from(own.residual)]);
            if own.communication != silent.communication || defaults != [1, 0] || own.talk_first {
                let message = "none: all kinds talk together, as agent.team says";
                return Err(Error::config(format!("agent.own.{name}.communication"), message));
            }
            if own.memory != silent.memory {
                let message = "none: all kinds share one memory, agent.team.memory";
                return Err(Error::config(format!("agent.own.{name}.memory"), message));
            }
            if own.bounded != self.team.bounded {
                let message = "`bounded` is the same for all kinds: agent.team.bounded";
                return Err(Error::config(format!("agent.own.{name}"), message));
            }
        }
        Ok(())
    }
}
