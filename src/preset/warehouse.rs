//! Robots in a warehouse (RWARE).

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::TeamConfig;
use crate::env::warehouse::{LayoutSource, WarehouseConfig};
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// Independent PPO with parameters that all robots share, which see what is around them and remember nothing
/// (`agent.core=gru` is better, and several times slower). A delivery is rare: advantages of a hundredth are no noise.
/// With a bonus of .003 for entropy, or half the learning rate, fewer shelves are delivered in as many steps.
pub(super) fn rware(layout: LayoutSource, agents: usize, steps: u64) -> Settings {
    let world =
        WarehouseConfig { worlds: 64, agents, layout, normalised_coordinates: true, ..Default::default() };
    let agent = TeamConfig {
        features: 64,
        encoder: EncoderConfig::Linear { layers: 2 },
        identity: false,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: 64,
        epochs: 4,
        minibatches: 4,
        learning_rate: 2e-3,
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
