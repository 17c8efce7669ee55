//! Unlike agents that run a factory together.

use super::Settings;
use crate::agent::core::{CoreConfig, GruConfig, NoCore};
use crate::agent::encoder::EncoderConfig;
use crate::agent::kinds::KindsConfig;
use crate::agent::team::{Critic, TeamConfig};
use crate::comm::{Combine, Communication, CommunicatorConfig, Silence};
use crate::env::factory::FactoryConfig;
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// A rollout is an episode. What is said at a step is heard at the same step; all kinds have networks of their own and one
/// space of messages. Without talk actuators remember what they did: all that can be had is a good sequence.
pub(super) fn factory(world: FactoryConfig, talks: bool, steps: u64) -> Settings {
    let team = TeamConfig {
        features: 64,
        encoder: EncoderConfig::Linear { layers: 2 },
        core: if talks { CoreConfig::new(NoCore {}) } else { CoreConfig::new(GruConfig {}) },
        communication: match talks {
            true => Communication::new(CommunicatorConfig { combine: Combine::Sum, ..Default::default() }),
            false => Communication::new(Silence {}),
        },
        critic: Critic::Central,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: world.horizon,
        epochs: 4,
        minibatches: 8,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.0 },
        gamma: 0.97,
        gae_lambda: 0.9,
        // With .1 what is learned follows the fading of the bonus; with .01 a run stayed at .83 of the optimum.
        entropy_coefficient: 0.05,
        entropy_schedule: Schedule::Linear { last: 0.0 },
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    let agent = KindsConfig { team, ..KindsConfig::default() };
    Settings { steps, ..Settings::new(world, agent, learner) }
}
