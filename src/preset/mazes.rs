//! SRMT on maps: bottlenecks and mazes.

use super::Settings;
use crate::agent::srmt::SrmtConfig;
use crate::env::pathfinding::{Observation, OnTarget, PathfindingConfig, Planner, Rewards, Source};
use crate::optim::Schedule;
use crate::train::ppo::PpoConfig;

/// Fewer worlds and more updates than one batch of the authors', and episodes of 128 steps (theirs: 512) that do not end
/// together: worlds that all wait at the same door teach the same thing. The policy may move by 0.02 nats in an update
/// (theirs: 0.008), and the bound of the adapted learning rate goes down, since a last update at a high rate can undo
/// much. So does the weight of the entropy: at the end of a corridor of a thousand cells two agents have to do the right
/// thing some thousand times in a row.
pub(super) fn bottleneck(rewards: Rewards) -> Settings {
    let world = PathfindingConfig {
        max_episode_steps: 128,
        spread_first_episodes: true,
        rewards,
        ..PathfindingConfig::bottleneck(256)
    };
    Settings {
        // With 4 M one seed of twenty, paid densely, still fails in three short corridors of a hundred.
        steps: if rewards == Rewards::Dense { 6_000_000 } else { 4_000_000 },
        checkpoint_every: 250_000,
        ..Settings::new(world, SrmtConfig::bottleneck(), ppo())
    }
}

fn ppo() -> PpoConfig {
    PpoConfig {
        // With the paper's 8 some seeds never learn to follow their path: too little of what a goal pays reaches the
        // steps that led to it.
        rollout: 16,
        minibatches: 8,
        kl_target: 0.02,
        schedule: Schedule::Linear { last: 0.02 },
        entropy_schedule: Schedule::Linear { last: 0.0 },
        ..PpoConfig::srmt()
    }
}

fn maze(side: [usize; 2]) -> PathfindingConfig {
    PathfindingConfig {
        worlds: 32,
        agents: 16,
        radius: 5,
        max_episode_steps: 128,
        spread_first_episodes: true,
        on_target: OnTarget::Restart,
        observation: Observation::PlannedPath,
        planner: Planner::Follower,
        // The paper pays each step along the path and nothing for the goal; agents of this size then learn to go
        // to and fro on it.
        rewards: Rewards::DirectionalNegative,
        source: Source::Maze { size: side, wall_components: [2, 8], density: [0.25, 0.75] },
        ..PathfindingConfig::default()
    }
}

fn maze_ppo() -> PpoConfig {
    PpoConfig {
        rollout: 8,
        minibatches: 4,
        learning_rate: 2.2e-4,
        gamma: 0.9756,
        entropy_coefficient: 0.015,
        ..ppo()
    }
}

pub(super) fn mazes() -> Settings {
    Settings {
        // From 18 M to 30 M throughput with 8 agents still rises by three in a thousand.
        steps: 30_000_000,
        checkpoint_every: 250_000,
        ..Settings::new(maze([17, 21]), SrmtConfig { features: 64, ..SrmtConfig::bottleneck() }, maze_ppo())
    }
}

pub(super) fn lifelong() -> Settings {
    let world = PathfindingConfig {
        agents: 64,
        worlds: 64,
        max_episode_steps: 512,
        planner: Planner::Shortest,
        rewards: Rewards::Lifelong,
        ..maze([65, 65])
    };
    Settings {
        steps: 1_000_000_000,
        checkpoint_every: 10_000_000,
        ..Settings::new(world, SrmtConfig::lifelong(), maze_ppo())
    }
}
