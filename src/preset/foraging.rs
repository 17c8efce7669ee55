//! Players that load food together (level-based foraging).

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::TeamConfig;
use crate::env::foraging::ForagingConfig;
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// Two players and two foods that both are needed for, seen from so far (0: everywhere). A food pays each a quarter, and
/// at first is hardly ever loaded.
pub(super) fn cooperative(sight: usize, steps: u64) -> Settings {
    let world = ForagingConfig { worlds: 128, sight, cooperative: true, ..ForagingConfig::default() };
    let agent =
        TeamConfig { features: 64, encoder: EncoderConfig::Linear { layers: 2 }, ..TeamConfig::default() };
    let learner = PpoConfig {
        rollout: 32,
        epochs: 4,
        minibatches: 4,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.05 },
        gamma: 0.99,
        gae_lambda: 0.95,
        advantage_epsilon: 1e-2,
        entropy_coefficient: 0.01,
        learning_shards: 1,
        acting_shards: 1,
        ..PpoConfig::default()
    };
    Settings { steps, ..Settings::new(world, agent, learner) }
}
