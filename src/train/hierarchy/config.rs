//! The settings of learning in two levels.

use serde::{Deserialize, Serialize};

use crate::env::goals::{Goal, Goals};
use crate::error::{Error, Result, within};
use crate::train::dqn::DqnConfig;
use crate::train::mixer::Mixing;

/// The settings of learning in two levels, beside those of the worker's Q-learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HierarchyConfig {
    /// Goals without a meaning of their own; 0 for the goals that the world names.
    pub goals: usize,
    /// The most steps for which a goal is set.
    pub every: usize,
    /// The share of the training in which goals are set at random and the worker alone learns (the paper's first phase);
    /// the manager's schedules run over the rest.
    pub pretraining: f32,
    /// What reaching its goal pays the worker.
    pub intrinsic: f32,
    /// What a reward of the world counts for the worker; the manager has them whole.
    pub extrinsic: f32,
    /// The manager's Q-learning. `updates` are those after each rollout, `batch`, `replay` and `warmup` count options,
    /// `gamma` is the discount of one step of the world. Of the others those count that the level can have.
    pub manager: DqnConfig,
}

impl Default for HierarchyConfig {
    fn default() -> Self {
        HierarchyConfig {
            goals: 0,
            every: 20,
            pretraining: 0.0,
            intrinsic: 1.0,
            extrinsic: 0.0,
            manager: DqnConfig { replay: 10_000, learning_shards: 1, ..DqnConfig::default() },
        }
    }
}

impl HierarchyConfig {
    /// Checks every setting, those of the worker among them.
    ///
    /// # Errors
    /// The first setting out of range.
    pub fn check(&self, worker: &DqnConfig, worlds: usize) -> Result<()> {
        for (key, value, low, high) in [("goals", self.goals, 0, 4096), ("every", self.every, 1, 1 << 20)] {
            within(format!("hierarchy.{key}"), value, low, high)?;
        }
        if !(0.0..1.0).contains(&self.pretraining) {
            let message = format!("0 to less than 1, got {}", self.pretraining);
            return Err(Error::config("hierarchy.pretraining", message));
        }
        for (key, value) in [("intrinsic", self.intrinsic), ("extrinsic", self.extrinsic)] {
            within(format!("hierarchy.{key}"), value, 0.0, 1e6)?;
        }
        if self.goals > 0 && self.extrinsic == 0.0 {
            let message = "more than 0 where goals have no meaning: nothing else pays the worker";
            return Err(Error::config("hierarchy.extrinsic", message));
        }
        one_level(worker, worlds)?;
        // The same settings at another place.
        one_level(&self.manager, worlds).map_err(|error| match error {
            Error::Config { key, message } => {
                let key = key.strip_prefix("dqn.").unwrap_or(&key).to_string();
                Error::config(
                    format!("hierarchy.manager.{key}"),
                    message.replace("dqn.", "hierarchy.manager."),
                )
            }
            other => other,
        })
    }

    /// The goals that these settings ask for, in a world that names `named`.
    ///
    /// # Errors
    /// The world names none and the settings give no number.
    pub fn goals(&self, named: Vec<Goal>, observation: usize) -> Result<Goals> {
        match (self.goals, named.is_empty()) {
            (0, true) => {
                Err(Error::config("hierarchy.goals", "a number: this world names no goals of its own"))
            }
            (0, false) => Goals::named(named, observation),
            (count, _) => Goals::unnamed(count),
        }
    }
}

/// A level learns from single transitions, drawn evenly.
fn one_level(config: &DqnConfig, worlds: usize) -> Result<()> {
    config.check(worlds)?;
    let fixed = [
        ("sequence", config.sequence, 1),
        ("burn_in", config.burn_in, 0),
        ("n_step", config.n_step, 1),
        ("learning_shards", config.learning_shards, 1),
    ];
    for (key, value, only) in fixed {
        if value != only {
            let message = format!("{only} for levels of a hierarchy, got {value}");
            return Err(Error::config(format!("dqn.{key}"), message));
        }
    }
    if config.prioritised {
        return Err(Error::config("dqn.prioritised", "false for levels of a hierarchy"));
    }
    if config.mixer != Mixing::None {
        return Err(Error::config("dqn.mixer", "`none` for levels of a hierarchy"));
    }
    Ok(())
}
