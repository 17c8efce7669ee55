//! Settings of any kind, by the name of their preset.

use std::path::Path;

use super::team::TeamSettings;
use super::teams::TEAMS;
use super::{PRESETS, Settings};
use crate::Device;
use crate::error::{Error, Result, nearest};
use crate::program::Summary;
use crate::run::config;
use crate::train::Trainer;
use crate::train::dqn::Dqn;
use crate::train::hierarchy::HierarchicalDqn;
use crate::train::ppo::Ppo;

/// A trainer that can say what its programs are made of.
pub trait Learner: Trainer {
    /// What the program of one learning shard is made of, and how many such shards there are.
    fn learning(&self) -> (Summary, usize);
}

impl Learner for Ppo {
    fn learning(&self) -> (Summary, usize) {
        Ppo::learning(self)
    }
}

impl Learner for Dqn {
    fn learning(&self) -> (Summary, usize) {
        Dqn::learning(self)
    }
}

impl Learner for HierarchicalDqn {
    fn learning(&self) -> (Summary, usize) {
        HierarchicalDqn::learning(self)
    }
}

/// The settings of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// SRMT or one of its ablations on maps, by PPO.
    Pathfinding(Box<Settings>),
    /// A team put together from parts, in any world.
    Team(Box<TeamSettings>),
}

/// Names of all presets with a line about each.
pub fn presets() -> Vec<(&'static str, &'static str)> {
    let maps = PRESETS.iter().map(|p| (p.name, p.summary));
    maps.chain(TEAMS.iter().map(|p| (p.name, p.summary))).collect()
}

impl Plan {
    /// The settings of a preset.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn preset(name: &str) -> Result<Plan> {
        if let Some(preset) = PRESETS.iter().find(|p| p.name == name) {
            return Ok(Plan::Pathfinding(Box::new((preset.settings)())));
        }
        if let Some(preset) = TEAMS.iter().find(|p| p.name == name) {
            return Ok(Plan::Team(Box::new((preset.settings)())));
        }
        let names: Vec<&str> = presets().into_iter().map(|(name, _)| name).collect();
        let hint = nearest(name, names.iter().copied()).map(|n| format!("did you mean `{n}`? "));
        let (hint, names) = (hint.unwrap_or_default(), names.join(", "));
        Err(Error::Usage(format!("unknown preset `{name}`: {hint}There are {names}")))
    }

    /// The settings of a preset with items `key=value` over them.
    ///
    /// # Errors
    /// An unknown name or key, a value of the wrong type.
    pub fn with_items(name: &str, items: &[String]) -> Result<Plan> {
        Self::changed(name, config::Changes::new(), items)
    }

    /// The settings in a file, over those of the preset that it names, with items `key=value` over both.
    ///
    /// # Errors
    /// An unreadable file, an unknown key (with the nearest right one), a value of the wrong type.
    pub fn load(path: &Path, items: &[String]) -> Result<Plan> {
        let mut changes = config::Changes::new();
        changes.file(path)?;
        let preset = changes.take_text("preset")?.unwrap_or_else(|| "bottleneck".to_string());
        Self::changed(&preset, changes, items)
    }

    fn changed(preset: &str, mut changes: config::Changes, items: &[String]) -> Result<Plan> {
        let base = Self::preset(preset)?;
        for item in items {
            changes.item(item)?;
        }
        if changes.take_text("preset")?.is_some() {
            return Err(Error::config("preset", "is chosen by its name, not among the settings"));
        }
        Ok(match base {
            Plan::Pathfinding(base) => Plan::Pathfinding(Box::new(changes.apply(base.as_ref())?)),
            Plan::Team(base) => Plan::Team(Box::new(base.apply(&changes)?)),
        })
    }

    /// The settings as a complete configuration file.
    ///
    /// # Errors
    /// A value that TOML has no form for.
    pub fn to_toml(&self) -> Result<String> {
        match self {
            Plan::Pathfinding(settings) => config::to_toml(settings.as_ref()),
            Plan::Team(settings) => config::to_toml(settings.as_ref()),
        }
    }

    /// Checks what can be checked before anything is made.
    ///
    /// # Errors
    /// The first setting out of range.
    pub fn check(&self) -> Result<()> {
        match self {
            Plan::Pathfinding(settings) => settings.check(),
            Plan::Team(settings) => settings.check(),
        }
    }

    /// The trainer, ready for its first step.
    ///
    /// # Errors
    /// Settings out of range, maps that cannot be read, or what the device reports.
    pub fn trainer(&self, device: &Device) -> Result<Box<dyn Learner>> {
        match self {
            Plan::Pathfinding(settings) => Ok(Box::new(settings.trainer(device)?)),
            Plan::Team(settings) => settings.trainer(device),
        }
    }

    /// The preset that the settings started from.
    pub fn name(&self) -> &str {
        match self {
            Plan::Pathfinding(settings) => &settings.preset,
            Plan::Team(settings) => &settings.preset,
        }
    }

    /// The seed of parameters, worlds and actions.
    pub fn seed(&self) -> u64 {
        match self {
            Plan::Pathfinding(settings) => settings.seed,
            Plan::Team(settings) => settings.seed,
        }
    }

    /// The seed, which may be changed.
    pub fn seed_mut(&mut self) -> &mut u64 {
        match self {
            Plan::Pathfinding(settings) => &mut settings.seed,
            Plan::Team(settings) => &mut settings.seed,
        }
    }

    /// Agent-steps of the whole run, which may be changed.
    pub fn steps_mut(&mut self) -> &mut u64 {
        match self {
            Plan::Pathfinding(settings) => &mut settings.steps,
            Plan::Team(settings) => &mut settings.steps,
        }
    }

    /// Agent-steps of the whole run.
    pub fn steps(&self) -> u64 {
        match self {
            Plan::Pathfinding(settings) => settings.steps,
            Plan::Team(settings) => settings.steps,
        }
    }

    /// Agent-steps between checkpoints.
    pub fn checkpoint_every(&self) -> u64 {
        match self {
            Plan::Pathfinding(settings) => settings.checkpoint_every,
            Plan::Team(settings) => settings.checkpoint_every,
        }
    }

    /// The device's name, which may be changed.
    pub fn device_mut(&mut self) -> &mut String {
        match self {
            Plan::Pathfinding(settings) => &mut settings.device,
            Plan::Team(settings) => &mut settings.device,
        }
    }

    /// The device's name.
    pub fn device(&self) -> &str {
        match self {
            Plan::Pathfinding(settings) => &settings.device,
            Plan::Team(settings) => &settings.device,
        }
    }
}
