//! Machines of a job shop that learn to dispatch.

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::{Critic, TeamConfig};
use crate::env::job_shop::{JobShopConfig, Rule, Source};
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// Random instances of the sizes of ft06 and la01 to la05, a fresh one for every episode; one network for all machines of
/// all sizes. What two dispatch rules would make of an option is shown with it: without that the same network stays
/// further behind. Rewards are small parts of the least makespan: advantages of a thousandth are no noise.
pub(super) fn job_shop() -> Settings {
    let source = Source::Random { sizes: vec![[6, 6], [10, 5]], durations: [1, 99], alternatives: 1 };
    let world = JobShopConfig {
        worlds: 64,
        source,
        jobs: 10,
        machines: 6,
        may_wait: true,
        foresight: vec![Rule::Mwkr, Rule::Mor],
        ..JobShopConfig::default()
    };
    let agent = TeamConfig {
        features: 64,
        encoder: EncoderConfig::Linear { layers: 2 },
        identity: false,
        critic: Critic::Shared,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: 64,
        epochs: 4,
        minibatches: 4,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.05 },
        gamma: 1.0,
        gae_lambda: 0.95,
        advantage_epsilon: 1e-3,
        entropy_coefficient: 0.03,
        entropy_schedule: Schedule::Linear { last: 0.0 },
        learning_shards: 1,
        acting_shards: 1,
        ..PpoConfig::default()
    };
    Settings { steps: 8_000_000, ..Settings::new(world, agent, learner) }
}
