//! Agents with a memory that all of them share and none of their own: what they see and what they read of it, joined, goes
//! to an actor and a critic. It is a [`Team`] of these parts: the memory itself stands in
//! [`memory`](crate::memory), and everything that a team can do besides is a matter of `agent.kind = "team"`.
//!
//! ```
//! use synod::agent::slots::SharedMemoryConfig;
//! let team = SharedMemoryConfig::default().team();
//! assert_eq!((team.features, team.memory.name()), (128, "slots"));
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::core::{CoreConfig, NoCore};
use super::encoder::EncoderConfig;
use super::team::{Team, TeamConfig};
use super::{AgentSettings, Policy};
use crate::Device;
use crate::env::Spec;
use crate::error::Result;
use crate::memory::{MemoryConfig, SlotsConfig};
use crate::registry::Member;

/// The settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SharedMemoryConfig {
    /// Features of every layer.
    #[schemars(range(min = 1, max = 8192))]
    pub features: usize,
    /// Layers of the encoder.
    #[schemars(range(min = 1, max = 64))]
    pub layers: usize,
    /// The observation is joined by the number of the agent.
    pub identity: bool,
    /// A memory of the agent's own beside the shared one.
    pub core: CoreConfig,
    /// The memory that agents share; `none` is the same agent without it.
    pub memory: MemoryConfig,
}

impl Default for SharedMemoryConfig {
    /// 1,024 slots of 256 numbers.
    fn default() -> Self {
        SharedMemoryConfig {
            features: 128,
            layers: 1,
            identity: false,
            core: CoreConfig::new(NoCore {}),
            memory: MemoryConfig::new(SlotsConfig::default()),
        }
    }
}

impl SharedMemoryConfig {
    /// The parts that it is made of.
    pub fn team(&self) -> TeamConfig {
        TeamConfig {
            features: self.features,
            encoder: EncoderConfig::Linear { layers: self.layers },
            identity: self.identity,
            core: self.core.clone(),
            memory: self.memory.clone(),
            ..TeamConfig::default()
        }
    }
}

impl Member for SharedMemoryConfig {
    const NAME: &'static str = "slots";
    const SUMMARY: &'static str = "agents that read and write slots of a memory that all share";
}

impl AgentSettings for SharedMemoryConfig {
    fn policy(&self, device: &Device, spec: &Spec, separate: bool, seed: u64) -> Result<Box<dyn Policy>> {
        crate::schema::check("agent", self)?;
        Ok(Box::new(Team::new(device, &self.team(), spec, separate, seed)?))
    }

    fn parts(&self, _: &[usize]) -> Option<TeamConfig> {
        Some(self.team())
    }
}
