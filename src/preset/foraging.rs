//! Players that load food together (level-based foraging).

use super::Settings;
use crate::agent::core::{CoreConfig, GruConfig, NoCore};
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::TeamConfig;
use crate::env::foraging::ForagingConfig;
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// What players see.
pub(super) enum Sight {
    /// The whole field.
    Everything,
    /// So many cells in each direction; they have to look for the food, and for each other, and to remember.
    Near(usize),
}

/// Two players and two foods that both are needed for. A food pays each a quarter, and at first is hardly ever loaded:
/// with a third of the bonus for entropy players learn to eat one food and stay there.
pub(super) fn cooperative(sight: Sight, steps: u64) -> Settings {
    let (sight, core, entropy_coefficient) = match sight {
        Sight::Everything => (0, CoreConfig::new(NoCore {}), 0.04),
        Sight::Near(cells) => (cells, CoreConfig::new(GruConfig {}), 0.03),
    };
    let world = ForagingConfig { worlds: 128, sight, cooperative: true, ..ForagingConfig::default() };
    let agent = TeamConfig {
        features: 64,
        encoder: EncoderConfig::Linear { layers: 2 },
        core,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: 32,
        epochs: 4,
        minibatches: 4,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.05 },
        gamma: 0.99,
        gae_lambda: 0.95,
        advantage_epsilon: 1e-2,
        entropy_coefficient,
        entropy_schedule: Schedule::Linear { last: 0.0 },
        learning_shards: 1,
        acting_shards: 1,
        ..PpoConfig::default()
    };
    Settings { steps, ..Settings::new(world, agent, learner) }
}
