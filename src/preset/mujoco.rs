//! Bodies of MuJoCo by a single agent.

use super::Settings;
use crate::action::Bounded;
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::{Critic, TeamConfig};
use crate::env::mujoco::{Body, MujocoConfig, Task};
use crate::optim::Schedule;
use crate::train::meta::{Estimator, MetaConfig, Objective};
use crate::train::off_policy::OffPolicyConfig;
use crate::train::ppo::PpoConfig;
use crate::train::sac::SacConfig;

/// CleanRL's `ppo_continuous_action`: batches of 2048 steps, 10 epochs of minibatches of 64, two layers of 64, deviations that
/// do not depend on what is seen, observations normalised. A minibatch here is whole worlds, of which there are 32 in place
/// of one; rewards are not scaled, but values are normalised.
pub(super) fn ppo(body: Body) -> Settings {
    let world = MujocoConfig { worlds: 32, body, ..MujocoConfig::default() };
    let agent = TeamConfig {
        features: 64,
        encoder: EncoderConfig::Tanh { layers: 2 },
        identity: false,
        critic: Critic::Own,
        normalise: true,
        own_deviation: true,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: 64,
        epochs: 10,
        minibatches: 32,
        learning_rate: 3e-4,
        schedule: Schedule::Linear { last: 0.0 },
        advantage_epsilon: 1e-3,
        normalise_values: true,
        entropy_coefficient: 0.0,
        learning_shards: 1,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    Settings { steps: 1_000_000, ..Settings::new(world, agent, learner) }
}

/// Haarnoja et al. 2018 (arXiv 1812.05905), as CleanRL's `sac_continuous_action` has it, but for one update in
/// every eight steps: 8 worlds make a step each, and one batch is learned from.
pub(super) fn half_cheetah_sac() -> Settings {
    let world = MujocoConfig { worlds: 8, ..MujocoConfig::default() };
    let agent = TeamConfig {
        features: 256,
        encoder: EncoderConfig::Linear { layers: 2 },
        identity: false,
        bounded: Bounded::Tanh,
        ..TeamConfig::default()
    };
    let learner = OffPolicyConfig {
        rollout: 1,
        updates: 1,
        batch: 256,
        replay: 1_000_000,
        warmup: 10_000,
        learning_rate: 3e-4,
        critic_learning_rate: 1e-3,
        critic_features: 256,
        critic_layers: 2,
        target_rate: 0.005,
        ..SacConfig::default().0
    };
    Settings { steps: 1_000_000, ..Settings::new(world, agent, SacConfig(learner)) }
}

/// Finn et al. 2017, section 5.3: HalfCheetah runs forwards or backwards, which it has to find out from what it is paid; ten
/// episodes of 200 steps to adapt by, and ten after it, of 20 tasks at once.
pub(super) fn half_cheetah_maml() -> Settings {
    let world = MujocoConfig {
        worlds: 20,
        max_episode_steps: 200,
        task: Task::Direction,
        episodes: 20,
        ..MujocoConfig::default()
    };
    let agent = TeamConfig {
        features: 100,
        encoder: EncoderConfig::Tanh { layers: 2 },
        identity: false,
        own_deviation: true,
        ..TeamConfig::default()
    };
    let learner = MetaConfig {
        objective: Objective::Reinforcement,
        shots: 10,
        inner_rate: 0.1,
        estimator: Estimator::Lvc,
        epochs: 5,
        max_gradient_norm: 1.0,
        batches: 1,
        judged_tasks: 20,
        ..MetaConfig::default()
    };
    Settings { steps: 8_000_000, ..Settings::new(world, agent, learner) }
}
