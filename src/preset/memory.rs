//! Agents that share a memory.

use super::Settings;
use crate::agent::slots::SharedMemoryConfig;
use crate::env::recall::RecallConfig;
use crate::memory::{MemoryConfig, SlotsConfig};
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// What one agent was shown is asked of another, among so many other facts.
pub(super) fn recall(others: usize) -> Settings {
    let memory = SlotsConfig { memory_size: 64, memory_dim: 64, heads: 4, ..SlotsConfig::default() };
    let agent = SharedMemoryConfig {
        features: 64,
        memory: MemoryConfig::new(memory),
        ..SharedMemoryConfig::default()
    };
    let learner = PpoConfig {
        rollout: others + 2,
        epochs: 1,
        minibatches: 2,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.05 },
        // An answer is paid at once.
        gamma: 0.0,
        gae_lambda: 0.0,
        ..PpoConfig::default()
    };
    Settings {
        steps: 4_000_000,
        ..Settings::new(RecallConfig { others, ..RecallConfig::default() }, agent, learner)
    }
}
