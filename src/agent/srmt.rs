//! SRMT as its authors put it together (Sagirova, Kuratov and Burtsev, arXiv 2501.13200): a small residual encoder, a
//! core, an actor and a critic. It is a [`Team`] of these parts: the core itself stands in `agent::core`, and everything
//! that a team can do besides is a matter of `agent.kind = "team"`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentSettings;
use super::core::{CoreConfig, SrmtCoreConfig};
use super::encoder::EncoderConfig;
use super::team::{Team, TeamConfig};
use crate::Device;
use crate::agent::Policy;
use crate::env::Spec;
use crate::error::Result;
use crate::registry::Member;
use crate::schema;

/// The sizes of the network. Where a world shows no `[channels, height, width]`, linear layers take the place of the
/// encoder's convolutions, as many as it would have without the second of each block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SrmtConfig {
    /// Channels of the encoder (F).
    #[schemars(range(min = 1, max = 1024))]
    pub channels: usize,
    /// Residual blocks of the encoder (R).
    #[schemars(range(min = 0, max = 63))]
    pub blocks: usize,
    /// Features of encodings and memories (H).
    #[schemars(range(min = 1, max = 8192))]
    pub features: usize,
    /// The core: `srmt`, or for the ablations `rmt`, `attention`, `gru`, `none`.
    pub core: CoreConfig,
}

impl Default for SrmtConfig {
    /// [`SrmtConfig::bottleneck`].
    fn default() -> Self {
        Self::bottleneck()
    }
}

impl SrmtConfig {
    /// The paper's network for the bottleneck task.
    pub fn bottleneck() -> Self {
        let core = CoreConfig::new(SrmtCoreConfig::default());
        SrmtConfig { channels: 8, blocks: 1, features: 16, core }
    }

    /// The paper's network for lifelong pathfinding.
    pub fn lifelong() -> Self {
        let core = CoreConfig::new(SrmtCoreConfig { heads: 8, ..SrmtCoreConfig::default() });
        SrmtConfig { channels: 64, blocks: 8, features: 512, core }
    }

    /// The parts that it is made of, in a world that shows observations of that shape.
    pub fn team(&self, observation: &[usize]) -> TeamConfig {
        TeamConfig {
            features: self.features,
            encoder: match observation.len() {
                3 => EncoderConfig::Convolutional { channels: self.channels, blocks: self.blocks },
                _ => EncoderConfig::Linear { layers: self.blocks.saturating_add(1) },
            },
            identity: false,
            core: self.core.clone(),
            ..TeamConfig::default()
        }
    }
}

impl Member for SrmtConfig {
    const NAME: &'static str = "srmt";
    const SUMMARY: &'static str = "SRMT's network: residual encoder, shared recurrent memory transformer";
}

impl AgentSettings for SrmtConfig {
    fn policy(&self, device: &Device, spec: &Spec, separate: bool, seed: u64) -> Result<Box<dyn Policy>> {
        schema::check("agent", self)?;
        let kind = spec.only_kind("a team")?;
        Ok(Box::new(Team::new(device, &self.team(&kind.observation), spec, separate, seed)?))
    }

    fn parts(&self, observation: &[usize]) -> Option<TeamConfig> {
        Some(self.team(observation))
    }
}
