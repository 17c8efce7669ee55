//! Agents that move about a plane and talk.

use super::base;
use crate::agent::communication::Communication;
use crate::agent::neighbours::Neighbours;
use crate::agent::team::{Recurrent, TeamConfig};
use crate::env::WorldConfig;
use crate::env::gridworld::GridworldConfig;
use crate::env::traffic_junction::TrafficJunctionConfig;
use crate::optim::Schedule;
use crate::preset::team::{Algorithm, TeamSettings};
use crate::train::ppo::PpoConfig;

pub(super) fn grid(name: &str, communication: Communication) -> TeamSettings {
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
    let agent = TeamConfig {
        identity: false,
        recurrent: Recurrent::Gru,
        communication,
        heads: 4,
        residual: communication.needs_neighbours(),
        neighbours: Neighbours { positions: vec![window, window + 1], radius: 0.0, nearest: 4, itself: true },
        ..TeamConfig::default()
    };
    let settings = base(name, WorldConfig::Gridworld(world), agent);
    TeamSettings {
        steps: 5_000_000,
        algorithm: Algorithm::Ppo,
        ppo: PpoConfig {
            rollout: 32,
            epochs: 2,
            minibatches: 4,
            learning_rate: 1e-3,
            schedule: Schedule::Linear { last: 0.0 },
            gamma: 0.98,
            learning_shards: 2,
            acting_shards: 2,
            ..settings.ppo
        },
        ..settings
    }
}

/// A rollout is an episode; what a car meets depends on the next few steps only.
pub(super) fn junction(name: &str, communication: Communication, rounds: usize) -> TeamSettings {
    let world = TrafficJunctionConfig { worlds: 128, ..TrafficJunctionConfig::easy() };
    let agent = TeamConfig {
        features: 64,
        identity: false,
        recurrent: Recurrent::Lstm,
        communication,
        rounds,
        ..TeamConfig::default()
    };
    let settings = base(name, WorldConfig::TrafficJunction(world), agent);
    TeamSettings {
        steps: 8_000_000,
        algorithm: Algorithm::Ppo,
        ppo: PpoConfig {
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
            ..settings.ppo
        },
        ..settings
    }
}
