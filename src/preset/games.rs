//! Small games with known answers.

use super::Settings;
use crate::agent::core::{CoreConfig, GruConfig, SsmConfig};
use crate::agent::team::TeamConfig;
use crate::comm::{CommNetConfig, Communication};
use crate::env::lever::LeverConfig;
use crate::env::matrix_game::MatrixGameConfig;
use crate::env::repeat_previous::RepeatPreviousConfig;
use crate::env::switch::SwitchConfig;
use crate::optim::Schedule;
use crate::train::dqn::DqnConfig;
use crate::train::mixer::Mixing;
use crate::train::ppo::PpoConfig;
use crate::train::supervised::SupervisedConfig;

/// The paper's data are random: epsilon stays at 1.
pub(super) fn two_step(mixer: Mixing) -> Settings {
    let world = MatrixGameConfig { worlds: 8, ..MatrixGameConfig::two_step() };
    let learner = DqnConfig {
        rollout: 2,
        batch: 32,
        replay: 500,
        warmup: 64,
        target_every: 50,
        learning_rate: 2e-3,
        epsilon_end: 1.0,
        mixer,
        ..DqnConfig::default()
    };
    let agent = TeamConfig { features: 32, ..TeamConfig::default() };
    Settings { steps: 50_000, ..Settings::new(world, agent, learner) }
}

pub(super) fn matrix(game: MatrixGameConfig) -> Settings {
    let world = MatrixGameConfig { worlds: 8, ..game };
    let agent = TeamConfig { features: 32, identity: false, ..TeamConfig::default() };
    let learner = DqnConfig {
        rollout: 5,
        batch: 32,
        replay: 10_000,
        warmup: 200,
        target_every: 50,
        learning_rate: 1e-3,
        epsilon_fraction: 0.5,
        ..DqnConfig::default()
    };
    Settings {
        steps: 200_000,
        // A run takes a second, an evaluation a fiftieth of that.
        eval_every: 100_000,
        separate_parameters: true,
        ..Settings::new(world, agent, learner)
    }
}

pub(super) fn repeat() -> Settings {
    let world = RepeatPreviousConfig { worlds: 16, ..RepeatPreviousConfig::default() };
    let agent = TeamConfig {
        features: 64,
        identity: false,
        core: CoreConfig::new(GruConfig {}),
        dueling: true,
        ..TeamConfig::default()
    };
    let learner = DqnConfig {
        rollout: 52,
        batch: 16,
        sequence: 51,
        replay: 50_000,
        warmup: 2_000,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.1 },
        gamma: 0.0,
        target_every: 50,
        epsilon_end: 0.02,
        epsilon_fraction: 0.5,
        ..DqnConfig::default()
    };
    // An evaluation takes as long as training for 5,000 steps.
    Settings { steps: 600_000, eval_every: 100_000, ..Settings::new(world, agent, learner) }
}

pub(super) fn lever() -> Settings {
    let world = LeverConfig { worlds: 256, ..LeverConfig::default() };
    let agent = TeamConfig {
        features: 128,
        identity: false,
        communication: Communication::new(CommNetConfig {}),
        rounds: 2,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: 2,
        epochs: 2,
        minibatches: 2,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.05 },
        entropy_coefficient: 0.01,
        entropy_schedule: Schedule::Linear { last: 0.0 },
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    Settings { steps: 8_000_000, ..Settings::new(world, agent, learner) }
}

/// Six days and a closing step fit a rollout of six: who tells ends the episode earlier.
pub(super) fn switch(lamp: bool) -> Settings {
    let world = SwitchConfig { worlds: 32, lamp, ..SwitchConfig::default() };
    let agent = TeamConfig { features: 64, core: CoreConfig::new(GruConfig {}), ..TeamConfig::default() };
    let learner = DqnConfig {
        rollout: 6,
        updates: 2,
        batch: 64,
        sequence: 6,
        replay: 20_000,
        warmup: 1_000,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.05 },
        gamma: 1.0,
        target_every: 100,
        epsilon_end: 0.02,
        epsilon_fraction: 0.3,
        acting_shards: 2,
        ..DqnConfig::default()
    };
    Settings {
        steps: 6_000_000,
        // What chance made of an action is known to nobody else.
        show_last_action: true,
        ..Settings::new(world, agent, learner)
    }
}

/// The symbol of 31 steps ago (POPGym's medium task), from right answers: 1,500 updates by 32 episodes of 104 steps.
pub(super) fn repeat_supervised(core: CoreConfig) -> Settings {
    let (world, agent) = repeat_long(core);
    let steps = 1_500 * 32 * 104;
    Settings { steps, eval_every: 500_000, ..Settings::new(world, agent, SupervisedConfig::default()) }
}

/// The same by reward alone.
pub(super) fn repeat_ppo() -> Settings {
    let (world, agent) = repeat_long(CoreConfig::new(SsmConfig::default()));
    let learner = PpoConfig {
        rollout: 104,
        minibatches: 4,
        learning_rate: 1e-3,
        // An answer is paid at once.
        gamma: 0.0,
        gae_lambda: 0.0,
        // An answer is paid 1/73.
        advantage_epsilon: 1e-4,
        max_gradient_norm: 1.0,
        ..PpoConfig::default()
    };
    Settings { steps: 1_500_000, eval_every: 250_000, ..Settings::new(world, agent, learner) }
}

fn repeat_long(core: CoreConfig) -> (RepeatPreviousConfig, TeamConfig) {
    let world = RepeatPreviousConfig { worlds: 32, lag: 31, ..RepeatPreviousConfig::default() };
    (world, TeamConfig { features: 64, identity: false, core, ..TeamConfig::default() })
}
