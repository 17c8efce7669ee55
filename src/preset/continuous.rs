//! Continuous control by a single agent.

use super::Settings;
use crate::action::Bounded;
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::{Critic, TeamConfig};
use crate::env::lqr::LqrConfig;
use crate::env::pendulum::PendulumConfig;
use crate::optim::Schedule;
use crate::train::exploration::Noise;
use crate::train::off_policy::OffPolicyConfig;
use crate::train::ppo::PpoConfig;
use crate::train::sac::SacConfig;
use crate::train::td3::Td3Config;

/// A network whose actions lie between their bounds by themselves.
fn actor(features: usize) -> TeamConfig {
    let encoder = EncoderConfig::Linear { layers: 2 };
    TeamConfig { features, encoder, identity: false, bounded: Bounded::Tanh, ..TeamConfig::default() }
}

/// A rollout is an episode. What is learned is the mean of the action; its deviation shrinks by itself, since nothing pays
/// for entropy.
pub(super) fn lqr_ppo() -> Settings {
    let encoder = EncoderConfig::Linear { layers: 2 };
    let agent = TeamConfig { encoder, identity: false, critic: Critic::Own, ..TeamConfig::default() };
    let learner = PpoConfig {
        rollout: 25,
        epochs: 8,
        minibatches: 4,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.05 },
        gamma: 1.0,
        entropy_coefficient: 0.0,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    Settings { steps: 400_000, ..Settings::new(LqrConfig::two_carts(), agent, learner) }
}

/// Eight regulators at once, an update for every four steps.
fn lqr(learner: OffPolicyConfig) -> (LqrConfig, TeamConfig, OffPolicyConfig) {
    let world = LqrConfig { worlds: 8, ..LqrConfig::two_carts() };
    let learner = OffPolicyConfig {
        updates: 2,
        // No more than the last tenth: what flew far off costs so much that all else is lost beside it.
        replay: 30_000,
        warmup: 2_000,
        learning_rate: 1e-3,
        critic_learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.02 },
        gamma: 1.0,
        critic_features: 64,
        ..learner
    };
    (world, actor(64), learner)
}

/// The critic learns ten times as fast as the actor: one that follows the noise of a critic which knows nothing yet ends where
/// it pushes as hard as it can, and is long on its way back.
pub(super) fn lqr_td3() -> Settings {
    let (world, agent, learner) = lqr(Td3Config::default().0);
    let learner = OffPolicyConfig {
        learning_rate: 3e-4,
        critic_learning_rate: 3e-3,
        target_noise: 0.05,
        target_noise_limit: 0.1,
        noise: Noise::Gaussian { deviation: 0.2 },
        noise_schedule: Schedule::Linear { last: 0.1 },
        ..learner
    };
    Settings { steps: 200_000, ..Settings::new(world, agent, Td3Config(learner)) }
}

pub(super) fn lqr_sac() -> Settings {
    let (world, agent, learner) = lqr(SacConfig::default().0);
    Settings { steps: 200_000, ..Settings::new(world, agent, SacConfig(learner)) }
}

/// One pendulum, an update a step.
fn pendulum(learner: OffPolicyConfig) -> (PendulumConfig, TeamConfig, OffPolicyConfig) {
    let world = PendulumConfig { worlds: 1, ..PendulumConfig::default() };
    let learner = OffPolicyConfig {
        replay: 20_000,
        batch: 128,
        learning_rate: 1e-3,
        critic_learning_rate: 1e-3,
        critic_features: 128,
        learning_shards: 1,
        ..learner
    };
    (world, actor(128), learner)
}

pub(super) fn pendulum_td3() -> Settings {
    let (world, agent, learner) = pendulum(Td3Config::default().0);
    let learner = OffPolicyConfig { noise: Noise::Gaussian { deviation: 0.1 }, ..learner };
    Settings { steps: 20_000, ..Settings::new(world, agent, Td3Config(learner)) }
}

pub(super) fn pendulum_sac() -> Settings {
    let (world, agent, learner) = pendulum(SacConfig::default().0);
    Settings { steps: 20_000, ..Settings::new(world, agent, SacConfig(learner)) }
}
