//! The particle worlds.

use super::base;
use crate::agent::team::{Critic, Recurrent, TeamConfig};
use crate::env::WorldConfig;
use crate::env::mpe::SimpleSpreadConfig;
use crate::optim::Schedule;
use crate::preset::team::{Algorithm, TeamSettings};
use crate::train::dqn::DqnConfig;
use crate::train::mixer::Mixing;
use crate::train::ppo::PpoConfig;

/// A rollout is an episode, its 25 steps and the one that values the last observation.
pub(super) fn spread(name: &str, mixer: Mixing) -> TeamSettings {
    let world = SimpleSpreadConfig { worlds: 32, ..SimpleSpreadConfig::default() };
    let agent = TeamConfig { recurrent: Recurrent::Gru, ..TeamConfig::default() };
    TeamSettings {
        steps: 3_000_000,
        dqn: DqnConfig {
            rollout: 26,
            updates: 4,
            batch: 32,
            sequence: 25,
            replay: 130_000,
            warmup: 3_000,
            learning_rate: if mixer == Mixing::Qmix { 5e-3 } else { 1e-2 },
            schedule: Schedule::Linear { last: 0.0 },
            gamma: 0.9,
            target_every: 200,
            epsilon_fraction: 0.1,
            mixer,
            mixer_scale: 0.01,
            learning_shards: 2,
            acting_shards: 2,
            ..DqnConfig::default()
        },
        ..base(name, WorldConfig::SimpleSpread(world), agent)
    }
}

/// JaxMARL's sizes: 16 worlds, rollouts of 128 steps, four passes in four minibatches.
pub(super) fn spread_ppo(name: &str, critic: Critic) -> TeamSettings {
    let world = SimpleSpreadConfig { worlds: 16, ..SimpleSpreadConfig::default() };
    let central = critic == Critic::Central;
    let agent = TeamConfig {
        features: if central { 128 } else { 64 },
        layers: if central { 1 } else { 2 },
        recurrent: if central { Recurrent::Gru } else { Recurrent::None },
        critic,
        ..TeamConfig::default()
    };
    let settings = base(name, WorldConfig::SimpleSpread(world), agent);
    TeamSettings {
        steps: if central { 3_000_000 } else { 30_000_000 },
        algorithm: Algorithm::Ppo,
        ppo: PpoConfig {
            rollout: 128,
            epochs: 4,
            minibatches: 4,
            learning_rate: if central { 2e-3 } else { 1e-3 },
            schedule: Schedule::Linear { last: 0.0 },
            learning_shards: 2,
            acting_shards: 2,
            ..settings.ppo
        },
        ..settings
    }
}

/// Unlike agents. Those that play against each other share neither parameters nor a critic.
pub(super) fn particles(name: &str, world: WorldConfig, critic: Critic) -> TeamSettings {
    let agent = TeamConfig { features: 64, layers: 2, critic, ..TeamConfig::default() };
    let settings = base(name, world, agent);
    TeamSettings {
        steps: 5_000_000,
        separate_parameters: critic == Critic::Own,
        algorithm: Algorithm::Ppo,
        ppo: PpoConfig {
            rollout: 26,
            epochs: 4,
            minibatches: 4,
            learning_rate: 1e-3,
            schedule: Schedule::Linear { last: 0.0 },
            gamma: 0.95,
            learning_shards: 2,
            acting_shards: 2,
            ..settings.ppo
        },
        ..settings
    }
}
