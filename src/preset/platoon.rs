//! Platoons.

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::kinds::KindsConfig;
use crate::agent::team::{Critic, TeamConfig};
use crate::comm::{Combine, Communication, CommunicatorConfig, Hearers, Silence};
use crate::env::platoon::{PlatoonConfig, RegulatorConfig, RoadConfig, Task};
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// Four vehicles that see the errors of all. A rollout is an episode; what is learned is the mean of the actions, whose
/// deviation shrinks by itself, since nothing pays for entropy.
pub(super) fn regulator() -> Settings {
    let world = PlatoonConfig {
        worlds: 128,
        trucks: 0,
        cars: 4,
        emergency: 0,
        step: 0.25,
        max_episode_steps: 24,
        task: Task::Regulator(RegulatorConfig::default()),
    };
    let agent = TeamConfig {
        encoder: EncoderConfig::Linear { layers: 2 },
        critic: Critic::Own,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: 24,
        epochs: 8,
        minibatches: 4,
        learning_rate: 5e-4,
        schedule: Schedule::Linear { last: 0.02 },
        gamma: 1.0,
        entropy_coefficient: 0.0,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    Settings { steps: 12_000_000, ..Settings::new(world, agent, learner) }
}

/// Trucks, cars and emergency vehicles, each kind with a network of its own, whose emergency vehicles talk to all
/// others or do not. Nobody sees what comes from behind.
pub(super) fn road(talks: bool) -> Settings {
    let world = PlatoonConfig {
        task: Task::Road(Box::new(RoadConfig { sight_behind: 0.0, ..RoadConfig::default() })),
        ..PlatoonConfig::default()
    };
    let hear = ["truck", "car"].map(|hears| ["emergency".to_string(), hears.to_string()]).to_vec();
    let communication = match talks {
        true => Communication::new(CommunicatorConfig {
            message: 8,
            hidden: 64,
            hearers: Hearers::Kinds { hear },
            combine: Combine::Sum,
            ..CommunicatorConfig::default()
        }),
        false => Communication::new(Silence {}),
    };
    let team = TeamConfig {
        encoder: EncoderConfig::Linear { layers: 2 },
        identity: false,
        communication,
        critic: Critic::Central,
        ..TeamConfig::default()
    };
    let agent = KindsConfig { team, ..KindsConfig::default() };
    let learner = PpoConfig {
        rollout: 45,
        epochs: 4,
        minibatches: 4,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.0 },
        gamma: 0.98,
        entropy_coefficient: 0.003,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    Settings { steps: 8_000_000, ..Settings::new(world, agent, learner) }
}
