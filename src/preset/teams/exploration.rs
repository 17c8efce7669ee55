//! Worlds whose pay is hard to find: curiosity and goals.

use super::base;
use crate::agent::team::TeamConfig;
use crate::env::WorldConfig;
use crate::env::chain::ChainConfig;
use crate::env::deep_sea::DeepSeaConfig;
use crate::env::gridworld::GridworldConfig;
use crate::env::taxi::TaxiConfig;
use crate::optim::Schedule;
use crate::preset::team::{Algorithm, TeamSettings};
use crate::train::curiosity::{CuriosityConfig, CuriosityKind};
use crate::train::dqn::DqnConfig;
use crate::train::hierarchy::HierarchyConfig;

pub(super) fn deep_sea(name: &str, kind: CuriosityKind) -> TeamSettings {
    // Few worlds: with one policy they would all go the same way.
    let world = DeepSeaConfig { worlds: 4, ..DeepSeaConfig::default() };
    let agent = TeamConfig { identity: false, ..TeamConfig::default() };
    TeamSettings {
        steps: 400_000,
        curiosity: CuriosityConfig {
            kind,
            // Deeper features of cells never seen shrink with those of the others, and nothing is new any more.
            layers: 1,
            learning_rate: 3e-4,
            ..CuriosityConfig::default()
        },
        dqn: DqnConfig {
            rollout: 20,
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
            learning_shards: 1,
            ..DqnConfig::default()
        },
        ..base(name, WorldConfig::DeepSea(world), agent)
    }
}

/// The target is 22 cells away at least, and obstacles, the same in all episodes, stand in the way.
pub(super) fn sparse(name: &str, kind: CuriosityKind) -> TeamSettings {
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
    let settings = deep_sea(name, kind);
    TeamSettings {
        world: WorldConfig::Gridworld(world),
        dqn: DqnConfig { rollout: 24, ..settings.dqn },
        ..settings
    }
}

pub(super) fn taxi() -> TeamSettings {
    let world = TaxiConfig { worlds: 16, ..TaxiConfig::default() };
    let agent = TeamConfig { features: 128, layers: 2, identity: false, ..TeamConfig::default() };
    TeamSettings {
        steps: 400_000,
        dqn: DqnConfig {
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
        },
        ..base("taxi-dqn", WorldConfig::Taxi(world), agent)
    }
}

pub(super) fn taxi_hierarchical() -> TeamSettings {
    let settings = taxi();
    TeamSettings {
        preset: "taxi-hierarchical".into(),
        algorithm: Algorithm::Hierarchical,
        dqn: DqnConfig {
            gamma: 0.9,
            huber: 1.0,
            target_every: 200,
            epsilon_fraction: 0.4,
            ..settings.dqn.clone()
        },
        hierarchy: HierarchyConfig {
            pretraining: 0.5,
            // Goals alone would let the worker try what is not possible, which the manager then pays for.
            extrinsic: 0.05,
            manager: DqnConfig {
                replay: 10_000,
                warmup: 1_000,
                epsilon_start: 0.5,
                epsilon_fraction: 0.5,
                ..settings.dqn.clone()
            },
            ..HierarchyConfig::default()
        },
        ..settings
    }
}

pub(super) fn chain_hierarchical() -> TeamSettings {
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
    TeamSettings {
        steps: 100_000,
        algorithm: Algorithm::Hierarchical,
        dqn: DqnConfig { gamma: 0.9, ..level.clone() },
        hierarchy: HierarchyConfig { every: 100, manager: level, ..HierarchyConfig::default() },
        ..base("chain-hierarchical", WorldConfig::Chain(world), agent)
    }
}
