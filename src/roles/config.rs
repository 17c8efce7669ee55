//! The list of roles, and the settings of one of any kind.

use super::adapter::AdapterConfig;
use super::coordinator::CoordinatorConfig;
use super::environment::EnvironmentConfig;
use super::meta_learner::MetaConfig;
use super::role::Role;
use super::state_modeller::StateConfig;
use super::workshop::Opening;
use crate::error::Result;
use crate::registry::{Kind, Table, family};

/// How work is given to roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every role has the same share of the agent-steps, always.
    Fixed,
    /// The coordinator shares them out by what each role's work has come to.
    Emergent,
}

/// What a role is given beside its own settings.
#[derive(Clone)]
pub struct RoleMaking {
    /// Opens a workshop for it.
    pub workshop: Opening,
    /// The seed of everything that it draws.
    pub seed: u64,
    /// Agent-steps of the whole run.
    pub budget: u64,
    /// How work is given out.
    pub mode: Mode,
    /// Those who are given work, and whether it is for the tasks that count in the end.
    pub workers: Vec<(String, bool)>,
}

impl RoleMaking {
    /// The agent-steps of a role where all that work have as many.
    pub fn even_share(&self) -> u64 {
        self.budget / self.workers.len().max(1) as u64
    }
}

/// Settings of a role, and what they build.
pub trait RoleSettings: Table {
    /// Whether it is given agent-steps to use. It then answers every [`Drawn`](super::messages::Drawn) for it with a
    /// [`Done`](super::messages::Done).
    fn works(&self) -> bool {
        true
    }

    /// Whether it works on the tasks that count in the end, and not on those that one only learns from.
    fn on_target(&self) -> bool {
        false
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// The first that is out of range.
    fn check(&self) -> Result<()>;

    /// The role, as it is at the start of a run. Its name is that of its kind.
    ///
    /// # Errors
    /// As [`RoleSettings::check`], or what the workshop reports.
    fn role(&self, making: &RoleMaking) -> Result<Box<dyn Role>>;
}

/// Every role of this crate.
const ROLES: &[Kind<Roles>] = &[
    Kind::<Roles>::of::<MetaConfig>(),
    Kind::<Roles>::of::<AdapterConfig>(),
    Kind::<Roles>::of::<StateConfig>(),
    Kind::<Roles>::of::<EnvironmentConfig>(),
    Kind::<Roles>::of::<CoordinatorConfig>(),
];

family! {
    /// The settings of a role of any kind, told apart by `kind`.
    RoleConfig, Roles = "role", RoleSettings, ROLES
}
