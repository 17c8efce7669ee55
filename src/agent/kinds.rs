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

use super::team::{Critic, Team, TeamConfig};
use super::{AgentSettings, Policy, Sequence, StatePart, Unrolled};
use crate::Device;
use crate::action::{ActionSpace, Bounded};
use crate::env::{AgentKind, Spec};
use crate::error::{Error, Result, nearest};
use crate::graph::{Graph, Tensor};
use crate::nn::{Builder, Parameters, Weights};
use crate::registry::Member;

/// The settings of a team with a network for each kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KindsConfig {
    /// The network of every kind that has no settings of its own.
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
        Ok(Box::new(Kinds::new(device, self, spec, separate, seed)?))
    }

    fn has_critic_apart(&self, _: &[usize]) -> bool {
        self.own.values().chain([&self.team]).any(|parts| parts.critic != Critic::Shared)
    }

    fn said(&self) -> usize {
        self.own.values().chain([&self.team]).map(TeamConfig::said).max().unwrap_or(0)
    }
}

/// The network of one kind, and where its agents and their numbers stand in the common arrays.
struct Part {
    team: Team,
    /// The first of its agents, and how many there are.
    agents: [usize; 2],
    /// Numbers that it sees of its own; what stands behind the common columns (last actions) it sees too.
    own: usize,
    /// The shape of what it sees.
    shape: Vec<usize>,
    space: ActionSpace,
    /// The part of the common state that is its first.
    first_state: usize,
}

/// A policy made of a network for each kind.
pub struct Kinds {
    parts: Vec<Part>,
    agents: usize,
    /// Columns of an observation: those of the widest kind with the marks of the kinds, and all.
    common: usize,
    width: usize,
    /// The actions of all kinds as one.
    space: ActionSpace,
    bounded: Bounded,
    parameters: Parameters,
}

impl Kinds {
    /// Networks for the agents of such worlds, their initial parameters drawn from `seed`.
    ///
    /// # Errors
    /// Settings for a kind that there is not, or as [`Team::new`] for one of them; communication over graphs, which would
    /// need a graph over all kinds; agents of one kind with parameters of their own.
    pub fn new(
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
        let members = if all.members.is_empty() { std::slice::from_ref(all) } else { &all.members[..] };
        let names = || members.iter().map(|member| member.name.as_str());
        if let Some(unknown) = config.own.keys().find(|name| names().all(|known| known != name.as_str())) {
            let hint = nearest(unknown, names()).map(|near| format!("; did you mean `{near}`?"));
            let (known, hint) = (names().collect::<Vec<_>>().join(", "), hint.unwrap_or_default());
            let message = format!("the kinds of this world are {known}{hint}");
            return Err(Error::config(format!("agent.own.{unknown}"), message));
        }
        let width: usize = all.observation.iter().product();
        let flat = |kind: &AgentKind| kind.observation.iter().product::<usize>();
        let common = match all.members.len() {
            0 => width,
            count => members.iter().map(flat).max().unwrap_or(0) + count,
        };
        let behind = width - common.min(width);
        let mut builder = Builder::new(seed);
        let mut planned = Vec::with_capacity(members.len());
        let bounded = config.team.bounded;
        for member in members {
            let own = config.own.get(&member.name).unwrap_or(&config.team);
            let at = |message: &str| Error::config(format!("agent.own.{}", member.name), message);
            if own.communication.neighbours().is_some() {
                return Err(at("communication over graphs would need a graph over all kinds"));
            }
            if own.bounded != bounded {
                return Err(at("`bounded` is the same for all kinds: agent.team.bounded"));
            }
            let shape = match behind {
                0 => member.observation.clone(),
                behind => vec![flat(member) + behind],
            };
            let kind = AgentKind { observation: shape.clone(), ..member.clone() };
            let own_spec = Spec { kinds: vec![kind], ..spec.clone() };
            let plan = builder.within(&member.name, |b| Team::plan(b, own, &own_spec, false))?;
            planned.push((plan, member, shape));
        }
        let parameters = builder.build(device)?;
        let (mut first, mut first_state) = (0, 0);
        let parts = planned
            .into_iter()
            .map(|(plan, member, shape)| {
                let team = plan(parameters.clone());
                let part = Part {
                    agents: [first, member.count],
                    own: flat(member),
                    shape,
                    space: member.actions.clone(),
                    first_state,
                    team,
                };
                first += member.count;
                first_state += part.team.state().len();
                part
            })
            .collect();
        let space = all.actions.clone();
        Ok(Kinds { parts, agents: all.count, common, width, space, bounded, parameters })
    }

    /// What a part sees of a sequence over all agents.
    fn view<'g>(&self, part: &Part, sequence: Sequence<'g>, index: usize) -> Sequence<'g> {
        let [first, count] = part.agents;
        let graph = sequence.present.graph();
        let agents = |x: Tensor<'g>| x.slice(1, first, count);
        let shape = sequence.observations.shape();
        let rows = agents(sequence.observations.reshape([shape[0], shape[1], shape[2], self.width]));
        let own = rows.slice(3, 0, part.own);
        let seen = match self.width - self.common.min(self.width) {
            0 => own,
            behind => graph.concat(&[own, rows.slice(3, self.common, behind)], 3),
        };
        Sequence {
            observations: seen.reshape([&[shape[0], count, shape[2]], &part.shape[..]].concat()),
            ages: agents(sequence.ages),
            present: agents(sequence.present),
            // Noise of its own.
            key: sequence.key.fold_in(graph.constant_u32([], &[index as u32])),
            ..sequence
        }
    }

    /// The numbers for a kind's actions as those for the common ones. Options that the kind lacks are closed by masks;
    /// floats that it lacks have a distribution that never changes.
    fn widen<'g>(&self, space: &ActionSpace, parameters: Tensor<'g>) -> Tensor<'g> {
        let graph = parameters.graph();
        let (own, all) = (space.floats(), self.space.floats());
        if own == all {
            return parameters.pad(-1, 0, self.space.parameters() - space.parameters());
        }
        let [means, deviations] = [0, own].map(|at| parameters.slice(-1, at, own).pad(-1, 0, all - own));
        graph.concat(&[means, deviations], -1)
    }
}

impl Policy for Kinds {
    fn architecture(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(|part| part.team.architecture()).collect();
        format!("kinds [{}]", parts.join("; "))
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Each part of the state has room for all agents; those of other kinds hold zeros there.
    fn state(&self) -> Vec<StatePart> {
        let named = |(index, part): (usize, &Part)| {
            let name = move |state: StatePart| StatePart { name: format!("{index} {}", state.name), ..state };
            part.team.state().into_iter().map(name).collect::<Vec<_>>()
        };
        self.parts.iter().enumerate().flat_map(named).collect()
    }

    fn world_state(&self) -> Option<usize> {
        self.parts.iter().find_map(|part| part.team.world_state())
    }

    fn bounded(&self) -> Bounded {
        self.bounded
    }

    fn unroll<'g>(
        &self,
        graph: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        let shape = sequence.observations.shape();
        let numbers: usize = shape.get(3..).unwrap_or_default().iter().product();
        if shape.len() < 4 || shape[1] != self.agents || numbers != self.width {
            return Err(Error::Graph(format!(
                "these kinds are {} agents that see {} numbers, and were given {shape:?}",
                self.agents, self.width
            )));
        }
        let (mut parameters, mut values, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for (index, part) in self.parts.iter().enumerate() {
            let [first, count] = part.agents;
            let own = state.iter().skip(part.first_state).take(part.team.state().len());
            let own: Vec<Tensor<'g>> = own.map(|x| x.slice(0, first, count)).collect();
            let unrolled = part.team.unroll(graph, weights, self.view(part, sequence, index), &own)?;
            parameters.push(self.widen(&part.space, unrolled.parameters));
            values.push(unrolled.values);
            let room = |x: &Tensor<'g>| x.pad(0, first, self.agents - first - count);
            after.extend(unrolled.state.iter().map(room));
        }
        Ok(Unrolled {
            parameters: graph.concat(&parameters, 1),
            values: graph.concat(&values, 1),
            state: after,
            attention: None,
        })
    }
}
