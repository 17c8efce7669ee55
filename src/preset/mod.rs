//! Presets: complete settings that put an agent, a world and a trainer together, and what is done with a trained one
//! afterwards (evaluation, pictures). The command line only parses words and prints; what they mean is decided here, so
//! that a program which embeds synod can do the same.

pub mod choice;
pub mod compare;
mod episode;
mod evaluate;
mod filming;
mod inspect;
mod plan;
mod team;
mod teams;

pub use episode::{record, record_team};
pub use evaluate::{Evaluation, Row, Watch, evaluate, mean};
pub use filming::{Episode, film_episode};
pub use inspect::{Inspected, Inspection, inspect};
pub use plan::{Learner, Plan, presets};
pub use team::{Algorithm, Measure, TeamSettings};

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Device;
use crate::agent::Policy;
use crate::agent::srmt::{Srmt, SrmtConfig};
use crate::env::VecEnv;
use crate::env::pathfinding::{OnTarget, Pathfinding, PathfindingConfig, Planner, Rewards, Source};
use crate::error::{Error, Result, nearest};
use crate::optim::Schedule;
use crate::run::{checkpoint, folder};
use crate::train::ppo::{Ppo, PpoConfig};

/// Everything about a training run. Written as `config.toml`, it runs again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The preset that these settings started from.
    pub preset: String,
    /// The seed of parameters, worlds and actions.
    pub seed: u64,
    /// Agent-steps of the whole run.
    pub steps: u64,
    /// Agent-steps between checkpoints.
    pub checkpoint_every: u64,
    /// Where it runs: `auto`, `cpu` or `gpu`.
    pub device: String,
    /// Give every agent parameters of its own; otherwise all share one set.
    pub separate_parameters: bool,
    /// The network.
    pub agent: SrmtConfig,
    /// The worlds to train in.
    pub world: PathfindingConfig,
    /// The trainer.
    pub ppo: PpoConfig,
}

/// A preset's name and what it is, in a line.
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it trains.
    pub summary: &'static str,
    settings: fn() -> Settings,
}

/// The presets of pathfinding; [`presets`] has all.
pub const PRESETS: [Preset; 4] = [
    Preset {
        name: "bottleneck",
        summary: "two SRMT agents learn to let each other pass in a corridor (dense reward)",
        settings: bottleneck,
    },
    Preset {
        name: "bottleneck-sparse",
        summary: "the same task, paid only at the goal, with the paper's settings",
        settings: bottleneck_sparse,
    },
    Preset {
        name: "mazes",
        summary: "16 SRMT agents run errands in generated mazes (lifelong), sized for two CPU cores",
        settings: mazes,
    },
    Preset {
        name: "lifelong",
        summary: "the paper's 9-million-parameter network for lifelong pathfinding; wants a large GPU",
        settings: lifelong,
    },
];

impl Settings {
    /// The settings of a preset.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn preset(name: &str) -> Result<Settings> {
        match PRESETS.iter().find(|p| p.name == name) {
            Some(preset) => Ok((preset.settings)()),
            None => {
                let names = PRESETS.map(|p| p.name);
                let hint = nearest(name, names).map(|n| format!("did you mean `{n}`? "));
                let hint = hint.unwrap_or_default();
                let names = names.join(", ");
                Err(Error::Usage(format!("unknown preset `{name}`: {hint}There are {names}")))
            }
        }
    }

    /// Checks what can be checked before anything is made.
    ///
    /// # Errors
    /// The first setting out of range.
    pub fn check(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::config("steps", "at least 1"));
        }
        if self.checkpoint_every == 0 {
            return Err(Error::config("checkpoint_every", "at least 1"));
        }
        self.world.check()?;
        self.ppo.check(self.world.worlds)
    }

    /// The network with initial parameters.
    ///
    /// # Errors
    /// Sizes out of range, or no room on the device.
    pub fn policy(&self, device: &Device) -> Result<Srmt> {
        let side = 2 * self.world.radius + 1;
        let lanes = self.separate_parameters.then_some(self.world.agents);
        Srmt::new(device, self.agent, &[3, side, side], crate::env::pathfinding::ACTIONS, lanes, self.seed)
    }

    /// The network with the parameters of a run's checkpoint.
    ///
    /// # Errors
    /// A damaged checkpoint, or one of another network.
    pub fn trained_policy(&self, device: &Device, run: &Path) -> Result<Srmt> {
        trained(self.policy(device)?, run)
    }

    /// The trainer, ready for its first step.
    ///
    /// # Errors
    /// Settings out of range, maps that cannot be read, or what the device reports.
    pub fn trainer(&self, device: &Device) -> Result<Ppo> {
        self.check()?;
        let world = PathfindingConfig { seed: self.seed, ..self.world.clone() };
        let environment: Box<dyn VecEnv> = Box::new(Pathfinding::new(world)?);
        let policy = Box::new(self.policy(device)?);
        Ppo::new(device, policy, environment, self.ppo.clone(), self.steps, self.seed)
    }
}

/// Fewer worlds and more updates than one batch of the authors', and episodes of 128 steps (theirs: 512) that do not end
/// together: worlds that all wait at the same door teach the same thing. The policy may move by 0.02 nats in an update
/// (theirs: 0.008), and the bound of the adapted learning rate goes down, since a last update at a high rate can undo
/// much. So does the weight of the entropy: at the end of a corridor of a thousand cells two agents have to do the right
/// thing some thousand times in a row.
fn bottleneck() -> Settings {
    Settings {
        preset: "bottleneck".into(),
        seed: 0,
        steps: 4_000_000,
        checkpoint_every: 250_000,
        device: "auto".into(),
        separate_parameters: false,
        agent: SrmtConfig::bottleneck(),
        world: PathfindingConfig {
            max_episode_steps: 128,
            spread_first_episodes: true,
            rewards: Rewards::Dense,
            ..PathfindingConfig::bottleneck(256)
        },
        ppo: PpoConfig {
            // With the paper's 8 some seeds never learn to follow their path: too little of what a goal pays reaches the
            // steps that led to it.
            rollout: 16,
            minibatches: 8,
            kl_target: 0.02,
            schedule: Schedule::Linear { last: 0.02 },
            entropy_schedule: Schedule::Linear { last: 0.0 },
            ..PpoConfig::default()
        },
    }
}

fn bottleneck_sparse() -> Settings {
    let base = bottleneck();
    let world = PathfindingConfig { rewards: Rewards::Sparse, ..base.world };
    Settings { preset: "bottleneck-sparse".into(), world, ..base }
}

fn mazes() -> Settings {
    Settings {
        preset: "mazes".into(),
        // From 18 M to 30 M throughput with 8 agents still rises by three in a thousand.
        steps: 30_000_000,
        agent: SrmtConfig { features: 64, ..SrmtConfig::bottleneck() },
        world: PathfindingConfig {
            worlds: 32,
            agents: 16,
            radius: 5,
            max_episode_steps: 128,
            spread_first_episodes: true,
            on_target: OnTarget::Restart,
            observation: crate::env::pathfinding::Observation::PlannedPath,
            planner: Planner::Follower,
            // The paper pays each step along the path and nothing for the goal; agents of this size then learn to go
            // to and fro on it.
            rewards: Rewards::DirectionalNegative,
            source: Source::Maze { size: [17, 21], wall_components: [2, 8], density: [0.25, 0.75] },
            ..PathfindingConfig::default()
        },
        ppo: PpoConfig {
            rollout: 8,
            minibatches: 4,
            learning_rate: 2.2e-4,
            gamma: 0.9756,
            entropy_coefficient: 0.015,
            ..bottleneck().ppo
        },
        ..bottleneck()
    }
}

fn lifelong() -> Settings {
    let base = mazes();
    Settings {
        preset: "lifelong".into(),
        steps: 1_000_000_000,
        checkpoint_every: 10_000_000,
        agent: SrmtConfig::lifelong(),
        world: PathfindingConfig {
            agents: 64,
            worlds: 64,
            max_episode_steps: 512,
            planner: Planner::Shortest,
            rewards: Rewards::Lifelong,
            source: Source::Maze { size: [65, 65], wall_components: [2, 8], density: [0.25, 0.75] },
            ..base.world
        },
        ..base
    }
}

/// A policy with the parameters of a run's checkpoint.
pub(crate) fn trained<P: Policy>(policy: P, run: &Path) -> Result<P> {
    let path = folder::checkpoint_of(run);
    let checkpoint = checkpoint::read_part(&path, "agent/")?;
    checkpoint
        .check_architecture(&policy.architecture())
        .and_then(|()| checkpoint.check_finite())
        .and_then(|()| policy.parameters().load("agent", &checkpoint))
        .map_err(|e| Error::file(&path, None, e.to_string()))?;
    Ok(policy)
}
