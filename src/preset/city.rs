//! Traffic management: signals and cars.

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::kinds::KindsConfig;
use crate::agent::team::TeamConfig;
use crate::env::roads::Stages;
use crate::env::traffic::{Cars, SignalConfig, TrafficConfig};
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// The city of all of these presets: sixteen junctions at four fifths of what signals let through.
fn world() -> TrafficConfig {
    TrafficConfig {
        worlds: 16,
        demand: 270.0,
        step: 2.5,
        ticks: 5,
        max_episode_steps: 480,
        ..TrafficConfig::default()
    }
}

/// One network for all signals and one for all cars; each sees what is around it.
pub(super) fn learned() -> Settings {
    let world =
        TrafficConfig { cars: Cars::Agents, stages: Stages::Axes, vehicles: 192, worlds: 4, ..world() };
    let team =
        TeamConfig { encoder: EncoderConfig::Linear { layers: 2 }, identity: false, ..TeamConfig::default() };
    let learner = PpoConfig {
        rollout: 48,
        epochs: 4,
        minibatches: 2,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.0 },
        gamma: 0.98,
        gae_lambda: 0.9,
        normalise_values: true,
        entropy_coefficient: 0.002,
        entropy_schedule: Schedule::Linear { last: 0.0 },
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    let agent = KindsConfig { team, ..KindsConfig::default() };
    // An episode is long: a few of them show where training is.
    Settings { steps: 16_000_000, eval_episodes: 4, ..Settings::new(world, agent, learner) }
}

/// Signals that go by rules. The network has one option and learns nothing: a step of training makes the run that is
/// evaluated.
pub(super) fn ruled(signals: SignalConfig, stages: Stages) -> Settings {
    let world = TrafficConfig { signals, stages, worlds: 2, ..world() };
    let agent = TeamConfig { features: 8, identity: false, ..TeamConfig::default() };
    let learner = PpoConfig { rollout: 1, epochs: 1, learning_rate: 0.0, ..PpoConfig::default() };
    Settings { steps: 32, eval_episodes: 0, ..Settings::new(world, agent, learner) }
}

pub(super) fn fixed() -> Settings {
    ruled(SignalConfig::Fixed { cycle: 60.0, saturation_flow: 1450.0 }, Stages::Axes)
}

pub(super) fn actuated() -> Settings {
    ruled(SignalConfig::Actuated { gap: 4.5, longest: 60.0 }, Stages::Axes)
}

pub(super) fn max_pressure() -> Settings {
    ruled(SignalConfig::MaxPressure { interval: 10.0 }, Stages::Axes)
}
