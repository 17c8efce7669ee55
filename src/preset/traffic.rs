//! Agents that move about a plane and talk.

use super::Settings;
use crate::agent::core::{CoreConfig, GruConfig, LstmConfig};
use crate::agent::team::TeamConfig;
use crate::comm::Neighbours;
use crate::comm::{Communication, GatV2Config};
use crate::env::gridworld::GridworldConfig;
use crate::env::traffic_junction::TrafficJunctionConfig;
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// With graph attention over the nearest, or without a word.
pub(super) fn grid(talks: bool) -> Settings {
    let world = GridworldConfig {
        agents: 5,
        targets: 5,
        density: 0.2,
        radius: 2,
        coordinates: true,
        ..GridworldConfig::default()
    };
    // Numbers of the observation that say where an agent is: the last two.
    let window = 3 * 5 * 5;
    let neighbours =
        Neighbours { positions: vec![window, window + 1], radius: 0.0, nearest: 4, itself: true };
    let silent = TeamConfig { identity: false, core: CoreConfig::new(GruConfig {}), ..TeamConfig::default() };
    let agent = match talks {
        true => TeamConfig {
            communication: Communication::new(GatV2Config { heads: 4, neighbours }),
            residual: true,
            ..silent
        },
        false => silent,
    };
    let learner = PpoConfig {
        rollout: 32,
        epochs: 2,
        minibatches: 4,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.0 },
        gamma: 0.98,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    Settings { steps: 5_000_000, ..Settings::new(world, agent, learner) }
}

/// A rollout is an episode; what a car meets depends on the next few steps only.
pub(super) fn junction(communication: Communication, rounds: usize) -> Settings {
    let world = TrafficJunctionConfig { worlds: 128, ..TrafficJunctionConfig::easy() };
    let agent = TeamConfig {
        features: 64,
        identity: false,
        core: CoreConfig::new(LstmConfig {}),
        communication,
        rounds,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: 21,
        epochs: 4,
        minibatches: 4,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.0 },
        gamma: 0.95,
        // A collision pays -10: the critic's errors are large numbers.
        value_coefficient: 0.02,
        // With less, all cars soon only drive: a first one that brakes is hit from behind, and nobody tries again.
        entropy_coefficient: 0.3,
        entropy_schedule: Schedule::Linear { last: 0.0 },
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    Settings { steps: 8_000_000, ..Settings::new(world, agent, learner) }
}
