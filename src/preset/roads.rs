//! Roads.

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::TeamConfig;
use crate::env::roads::{ControlConfig, Driver, Plan, RoadsConfig};
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// The junction of all of these presets: 252 vehicles an hour on each of four roads of one lane.
fn world() -> RoadsConfig {
    RoadsConfig::default()
}

/// All vehicles by one network, which sees what each of them sees.
pub(super) fn junction() -> Settings {
    let agent =
        TeamConfig { encoder: EncoderConfig::Linear { layers: 2 }, identity: false, ..TeamConfig::default() };
    let learner = PpoConfig {
        rollout: 40,
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
    Settings { steps: 3_000_000, ..Settings::new(world(), agent, learner) }
}

/// Vehicles driven by rules. The network has one option and learns nothing: a step of training makes the run that is
/// evaluated.
fn ruled(control: ControlConfig) -> Settings {
    let world = RoadsConfig { agents: 64, worlds: 8, driver: Driver::Rules, control, ..world() };
    let agent = TeamConfig { features: 8, identity: false, ..TeamConfig::default() };
    let learner = PpoConfig { rollout: 1, epochs: 1, learning_rate: 0.0, ..PpoConfig::default() };
    Settings { steps: 512, eval_episodes: 0, ..Settings::new(world, agent, learner) }
}

pub(super) fn signals() -> Settings {
    ruled(ControlConfig::Signals {
        plan: Plan::Arms,
        cycle: 0.0,
        amber: 3.0,
        clearance: 1.0,
        saturation_flow: 1450.0,
    })
}

pub(super) fn reservation() -> Settings {
    ruled(ControlConfig::Reservation { buffer: 0.4, range: 100.0 })
}

pub(super) fn gaps() -> Settings {
    ruled(ControlConfig::Open)
}
