//! The list of agents, and the settings of one of any kind.

use super::Policy;
use super::kinds::KindsConfig;
use super::slots::SharedMemoryConfig;
use super::srmt::SrmtConfig;
use super::table::TableConfig;
use super::team::{Critic, Team, TeamConfig};
use crate::Device;
use crate::env::Spec;
use crate::error::Result;
use crate::registry::{Kind, Table, family};

/// Settings of an agent, and what they build.
pub trait AgentSettings: Table {
    /// The agent for worlds of these sizes, its initial parameters drawn from `seed`; with `separate`, each agent of a
    /// world has parameters of its own.
    ///
    /// # Errors
    /// Settings out of range, worlds that it is not made for, or no room on the device.
    fn policy(&self, device: &Device, spec: &Spec, separate: bool, seed: u64) -> Result<Box<dyn Policy>>;

    /// The parts of the team that it is, where it is one, in worlds that show observations of that shape: for what is
    /// built from such parts (levels of a hierarchy) or looks into them.
    fn parts(&self, _observation: &[usize]) -> Option<TeamConfig> {
        None
    }

    /// The team that it is, where it can be looked into.
    ///
    /// # Errors
    /// As [`AgentSettings::policy`].
    fn team(&self, device: &Device, spec: &Spec, separate: bool, seed: u64) -> Result<Option<Team>> {
        let shape = spec.kinds.first().map_or(&[][..], |kind| &kind.observation);
        self.parts(shape).map(|parts| Team::new(device, &parts, spec, separate, seed)).transpose()
    }

    /// Whether a critic learns from more than the agents' heads: what Q-learning has no use for.
    fn has_critic_apart(&self, observation: &[usize]) -> bool {
        self.parts(observation).is_some_and(|parts| parts.critic != Critic::Shared)
    }

    /// Whether it shifts and scales what it sees by statistics that its learner has to gather.
    fn normalises(&self) -> bool {
        self.parts(&[]).is_some_and(|parts| parts.normalise)
    }

    /// Numbers that an agent lets others have in a step: messages of all rounds, and its memory.
    fn said(&self) -> usize {
        self.parts(&[]).map_or(0, |parts| parts.said())
    }
}

/// Every agent of this crate.
const AGENTS: &[Kind<Agents>] = &[
    Kind::<Agents>::of::<TeamConfig>(),
    Kind::<Agents>::of::<SrmtConfig>(),
    Kind::<Agents>::of::<SharedMemoryConfig>(),
    Kind::<Agents>::of::<KindsConfig>(),
    Kind::<Agents>::of::<TableConfig>(),
];

family! {
    /// The settings of an agent of any kind, told apart by `kind`.
    AgentConfig, Agents = "agent", AgentSettings, AGENTS
}
