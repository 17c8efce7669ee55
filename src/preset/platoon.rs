//! Platoons.

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::kinds::KindsConfig;
use crate::agent::team::{Critic, TeamConfig};
use crate::comm::{Combine, Communication, CommunicatorConfig, Hearers, Silence};
use crate::env::platoon::{PlatoonConfig, RegulatorConfig, RoadConfig, Task};
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// Three vehicles that see the errors of all. A rollout is an episode. What is learned is the mean of the actions; without a
/// bonus for entropy at first their deviation shrinks before the mean is found.
pub(super) fn regulator() -> Settings {
    let world = PlatoonConfig {
        worlds: 128,
        trucks: 0,
        cars: 3,
        emergency: 0,
        step: 0.5,
        max_episode_steps: 12,
        task: Task::Regulator(RegulatorConfig::default()),
    };
    let agent = TeamConfig {
        encoder: EncoderConfig::Linear { layers: 2 },
        critic: Critic::Central,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: 12,
        epochs: 8,
        minibatches: 4,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.02 },
        gamma: 1.0,
        gae_lambda: 0.9,
        entropy_coefficient: 0.03,
        entropy_schedule: Schedule::Linear { last: 0.0 },
        // Costs are large numbers, and so is the critic's gradient: with less it would leave none to the actor.
        max_gradient_norm: 20.0,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    Settings { steps: 4_000_000, ..Settings::new(world, agent, learner) }
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
