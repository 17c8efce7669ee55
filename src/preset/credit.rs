//! Credit among many: counterfactual policy gradients.

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::TeamConfig;
use crate::env::bits::BitsConfig;
use crate::env::mpe::SimpleSpeakerListenerConfig;
use crate::optim::Schedule;
use crate::train::Rates;
use crate::train::coma::ComaConfig;

/// The critic alone learns, so that bits stay even and variances are those of the formulas. It is linear, as the game
/// is.
pub(super) fn bits() -> Settings {
    let agent = TeamConfig { features: 8, identity: false, ..TeamConfig::default() };
    let learner = ComaConfig {
        rollout: 2,
        learning_rate: 2e-2,
        schedule: Schedule::Linear { last: 0.0 },
        rates: Rates::from_iter([("encoder", 0.0), ("actor", 0.0), ("critic", 0.0)]),
        critic_layers: 0,
        learning_shards: 2,
        acting_shards: 2,
        ..ComaConfig::default()
    };
    let steps = 64 * 64 * 2 * 600;
    // The measures are of the critic, which is asked once, at the end.
    Settings {
        steps,
        eval_every: steps,
        eval_episodes: 1,
        ..Settings::new(BitsConfig::default(), agent, learner)
    }
}

/// A rollout is an episode, its 25 steps and the one that says what is done after them.
pub(super) fn speaker_listener() -> Settings {
    let world = SimpleSpeakerListenerConfig { worlds: 64, ..SimpleSpeakerListenerConfig::default() };
    let agent =
        TeamConfig { features: 64, encoder: EncoderConfig::Linear { layers: 2 }, ..TeamConfig::default() };
    let learner = ComaConfig {
        rollout: 26,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.0 },
        gamma: 0.95,
        target_every: 20,
        normalise_advantages: true,
        // With less of it some seeds settle on one way to go before the critic knows better.
        entropy_coefficient: 0.03,
        entropy_schedule: Schedule::Linear { last: 0.0 },
        learning_shards: 2,
        acting_shards: 2,
        ..ComaConfig::default()
    };
    Settings { steps: 5_000_000, ..Settings::new(world, agent, learner) }
}
