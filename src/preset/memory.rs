//! Agents that share a memory.

use super::Settings;
use crate::agent::slots::SharedMemoryConfig;
use crate::env::recall::RecallConfig;
use crate::memory::{Groups, MemoryConfig, SlotsConfig};
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// What one agent was shown is asked of another, among so many other facts.
pub(super) fn recall(others: usize) -> Settings {
    let memory_size = (2 * others).max(64);
    let memory = SlotsConfig { memory_size, memory_dim: 64, heads: 1, ..SlotsConfig::default() };
    let steps = if others > 16 { 4_000_000 } else { 600_000 };
    settings(RecallConfig { worlds: 32, others, ..RecallConfig::default() }, memory, steps)
}

/// Facts of eight groups and of all: a level of slots for each group below that of all, or as many slots in one.
pub(super) fn groups(levels: bool) -> Settings {
    let (groups, group_slots) = (8, 8);
    let world = RecallConfig { worlds: 8, agents: 64, others: 3, groups, ..RecallConfig::default() };
    let memory = SlotsConfig { memory_dim: 64, heads: 1, ..SlotsConfig::default() };
    let memory = match levels {
        true => SlotsConfig { memory_size: 8, group_slots, groups: Groups::Given { groups }, ..memory },
        false => SlotsConfig { memory_size: 8 + groups * group_slots, ..memory },
    };
    settings(world, memory, 3_000_000)
}

fn settings(world: RecallConfig, memory: SlotsConfig, steps: u64) -> Settings {
    let agent = SharedMemoryConfig {
        features: 64,
        memory: MemoryConfig::new(memory),
        ..SharedMemoryConfig::default()
    };
    let learner = PpoConfig {
        // A whole episode, so that gradients reach whoever wrote.
        rollout: world.others + 2,
        epochs: 1,
        // What is learned comes of the number of updates, not of their size: two worlds are enough for one.
        minibatches: world.worlds / 2,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.05 },
        // An answer is paid at once.
        gamma: 0.0,
        gae_lambda: 0.0,
        ..PpoConfig::default()
    };
    Settings { steps, ..Settings::new(world, agent, learner) }
}
