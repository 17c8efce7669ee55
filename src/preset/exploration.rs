//! Worlds whose pay is hard to find: curiosity and goals.

use super::Settings;
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::TeamConfig;
use crate::env::chain::ChainConfig;
use crate::env::deep_sea::DeepSeaConfig;
use crate::env::gridworld::GridworldConfig;
use crate::env::taxi::TaxiConfig;
use crate::optim::Schedule;
use crate::train::curiosity::{CuriosityConfig, IcmConfig, RndConfig};
use crate::train::dqn::DqnConfig;
use crate::train::hierarchy::HierarchyConfig;

/// Deeper features of cells never seen shrink with those of the others, and nothing is new any more.
pub(super) fn icm() -> CuriosityConfig {
    CuriosityConfig::Icm(IcmConfig { layers: 1, learning_rate: 3e-4, ..IcmConfig::default() })
}

/// With a rate of 3e-4 the whole sea stays new for long, and some seeds find nothing in time.
pub(super) fn rnd(learning_rate: f32) -> CuriosityConfig {
    CuriosityConfig::Rnd(RndConfig { learning_rate, ..RndConfig::default() })
}

fn curious(rollout: usize, curiosity: CuriosityConfig) -> DqnConfig {
    DqnConfig {
        rollout,
        updates: 4,
        batch: 64,
        n_step: 3,
        replay: 100_000,
        warmup: 2_000,
        learning_rate: 1e-3,
        target_every: 100,
        epsilon_start: 0.05,
        epsilon_end: 0.01,
        epsilon_fraction: 0.2,
        curiosity,
        learning_shards: 1,
        ..DqnConfig::default()
    }
}

/// Few worlds: with one policy they would all go the same way.
pub(super) fn deep_sea(curiosity: CuriosityConfig) -> Settings {
    let world = DeepSeaConfig { worlds: 4, ..DeepSeaConfig::default() };
    let agent = TeamConfig { identity: false, ..TeamConfig::default() };
    Settings { steps: 400_000, ..Settings::new(world, agent, curious(20, curiosity)) }
}

/// The target is 22 cells away at least, and obstacles, the same in all episodes, stand in the way.
pub(super) fn sparse(curiosity: CuriosityConfig) -> Settings {
    let world = GridworldConfig {
        worlds: 4,
        agents: 1,
        targets: 1,
        width: 12,
        height: 12,
        density: 0.3,
        corners: true,
        layout_seed: 1,
        radius: 1,
        coordinates: true,
        project_targets: false,
        shaping: 0.0,
        max_episode_steps: 48,
        ..GridworldConfig::default()
    };
    let agent = TeamConfig { identity: false, ..TeamConfig::default() };
    Settings { steps: 400_000, ..Settings::new(world, agent, curious(24, curiosity)) }
}

fn taxi_parts() -> (TaxiConfig, TeamConfig, DqnConfig) {
    let world = TaxiConfig { worlds: 16, ..TaxiConfig::default() };
    let encoder = EncoderConfig::Linear { layers: 2 };
    let agent = TeamConfig { features: 128, encoder, identity: false, ..TeamConfig::default() };
    let learner = DqnConfig {
        rollout: 4,
        updates: 4,
        batch: 64,
        replay: 100_000,
        warmup: 5_000,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.05 },
        target_every: 100,
        epsilon_end: 0.05,
        epsilon_fraction: 0.8,
        learning_shards: 1,
        ..DqnConfig::default()
    };
    (world, agent, learner)
}

pub(super) fn taxi() -> Settings {
    let (world, agent, learner) = taxi_parts();
    Settings { steps: 400_000, ..Settings::new(world, agent, learner) }
}

pub(super) fn taxi_hierarchical() -> Settings {
    let (world, agent, plain) = taxi_parts();
    let learner = HierarchyConfig {
        pretraining: 0.5,
        // Goals alone would let the worker try what is not possible, which the manager then pays for.
        extrinsic: 0.05,
        worker: DqnConfig {
            gamma: 0.9,
            huber: 1.0,
            target_every: 200,
            epsilon_fraction: 0.4,
            ..plain.clone()
        },
        manager: DqnConfig {
            replay: 10_000,
            warmup: 1_000,
            epsilon_start: 0.5,
            epsilon_fraction: 0.5,
            ..plain
        },
        ..HierarchyConfig::default()
    };
    Settings { steps: 400_000, ..Settings::new(world, agent, learner) }
}

pub(super) fn chain_hierarchical() -> Settings {
    let world = ChainConfig { worlds: 16, ..ChainConfig::default() };
    let agent = TeamConfig { features: 32, identity: false, ..TeamConfig::default() };
    let level = DqnConfig {
        rollout: 4,
        batch: 32,
        replay: 5_000,
        warmup: 500,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.05 },
        target_every: 50,
        epsilon_end: 0.1,
        epsilon_fraction: 0.5,
        learning_shards: 1,
        ..DqnConfig::default()
    };
    let worker = DqnConfig { gamma: 0.9, ..level.clone() };
    let learner = HierarchyConfig { every: 100, worker, manager: level, ..HierarchyConfig::default() };
    // An evaluation takes as long as training for 4,000 steps.
    Settings { steps: 100_000, eval_every: 50_000, ..Settings::new(world, agent, learner) }
}
