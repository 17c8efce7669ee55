//! Everything about a run: which world, which agent, which learner, each a table of its own kind.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list;
use crate::Device;
use crate::agent::actors::Choice;
use crate::agent::{AgentConfig, AgentSettings, Agents, Policy};
use crate::env::last_action::LastAction;
use crate::env::uniform::Uniform;
use crate::env::{VecEnv, WorldConfig, WorldSettings, Worlds};
use crate::error::{Error, Result};
use crate::registry::{Family, Member};
use crate::run::{checkpoint, config, folder};
use crate::schema;
use crate::train::{LearnerConfig, LearnerSettings, Learners, Making, Trainer};

/// The preset of settings that stand for themselves.
pub const CUSTOM: &str = "custom";

/// Everything about a training run. Written as `config.toml`, it runs again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The preset that these settings started from; `custom` where they stand for themselves.
    pub preset: String,
    /// The seed of parameters, worlds and actions.
    pub seed: u64,
    /// Agent-steps of the whole run.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Agent-steps between checkpoints.
    #[schemars(range(min = 1))]
    pub checkpoint_every: u64,
    /// Where it runs: `auto`, `cpu` or `gpu`.
    pub device: String,
    /// Give every agent parameters of its own; otherwise all share one set.
    pub separate_parameters: bool,
    /// Agents see what they last did, beside what their world shows them.
    pub show_last_action: bool,
    /// The worlds to train in.
    pub world: WorldConfig,
    /// The agent: how an observation becomes an action.
    pub agent: AgentConfig,
    /// How it learns.
    pub learner: LearnerConfig,
}

impl Settings {
    /// Settings of these three parts, for a short run.
    ///
    /// ```
    /// use synod::preset::Settings;
    /// use synod::{agent::team::TeamConfig, env::lever::LeverConfig, train::ppo::PpoConfig};
    /// let settings = Settings::new(LeverConfig::default(), TeamConfig::default(), PpoConfig::default());
    /// let mut trainer = settings.trainer(&synod::Device::cpu())?;
    /// println!("{:?}", trainer.step()?);
    /// # Ok::<(), synod::Error>(())
    /// ```
    pub fn new<W, A, L>(world: W, agent: A, learner: L) -> Self
    where
        W: Member + WorldSettings,
        A: Member + AgentSettings,
        L: Member + LearnerSettings,
    {
        Self::of(WorldConfig::new(world), AgentConfig::new(agent), LearnerConfig::new(learner))
    }

    fn of(world: WorldConfig, agent: AgentConfig, learner: LearnerConfig) -> Self {
        Settings {
            preset: CUSTOM.into(),
            seed: 0,
            steps: 100_000,
            checkpoint_every: 1_000_000,
            device: "auto".into(),
            separate_parameters: false,
            show_last_action: false,
            world,
            agent,
            learner,
        }
    }

    /// The settings of a preset.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn preset(name: &str) -> Result<Settings> {
        list::find(name)
    }

    /// The settings of a preset with items `key=value` over them.
    ///
    /// # Errors
    /// An unknown name or key, a value of the wrong type.
    pub fn with_items(name: &str, items: &[String]) -> Result<Settings> {
        Self::changed(Self::preset(name)?, config::Changes::new(), items)
    }

    /// The settings in a file, over those of the preset that it names, with items `key=value` over both. A file that
    /// names none says which kinds of world, agent and learner it means, and what it leaves out are their defaults.
    ///
    /// # Errors
    /// An unreadable file, an unknown key (with the nearest right one), a value of the wrong type.
    pub fn load(path: &Path, items: &[String]) -> Result<Settings> {
        let mut changes = config::Changes::new();
        changes.file(path)?;
        let base = match changes.take_text("preset")?.as_deref() {
            None | Some(CUSTOM) => Self::of(
                kind::<Worlds>(&changes, path)?,
                kind::<Agents>(&changes, path)?,
                kind::<Learners>(&changes, path)?,
            ),
            Some(name) => Self::preset(name)?,
        };
        Self::changed(base, changes, items)
    }

    fn changed(base: Settings, mut changes: config::Changes, items: &[String]) -> Result<Settings> {
        for item in items {
            changes.item(item)?;
        }
        if changes.take_text("preset")?.is_some() {
            return Err(Error::config("preset", "is chosen by its name, not among the settings"));
        }
        changes.apply(&base)
    }

    /// The settings as a complete configuration file.
    ///
    /// # Errors
    /// A value that TOML has no form for.
    pub fn to_toml(&self) -> Result<String> {
        config::to_toml(self)
    }

    /// Checks what can be checked before anything is made.
    ///
    /// # Errors
    /// The first setting out of range.
    pub fn check(&self) -> Result<()> {
        schema::check("", self)?;
        self.world.check()?;
        self.learner.check(self.world.worlds())
    }

    /// Worlds as the agents see them. Agents of several kinds are made alike ([`Uniform`]).
    ///
    /// # Errors
    /// As [`WorldSettings::build`].
    pub fn worlds(&self, world: &WorldConfig, seed: u64) -> Result<Box<dyn VecEnv>> {
        let worlds = Uniform::of(world.build(seed)?)?;
        Ok(if self.show_last_action { Box::new(LastAction::new(worlds)?) } else { worlds })
    }

    /// So many of the worlds that trained agents are judged in.
    ///
    /// # Errors
    /// As [`WorldSettings::build`].
    pub fn judging_worlds(&self, count: usize, seed: u64) -> Result<Box<dyn VecEnv>> {
        let world = self.world.after_curriculum().unwrap_or_else(|| self.world.clone());
        self.worlds(&world.with_worlds(count), seed)
    }

    fn making<'a>(&'a self, device: &'a Device) -> Making<'a> {
        Making {
            device,
            agent: &self.agent,
            separate_parameters: self.separate_parameters,
            goals: self.world.goals(),
            steps: self.steps,
            seed: self.seed,
        }
    }

    /// The trainer, ready for its first step.
    ///
    /// # Errors
    /// Settings out of range, maps that cannot be read, or what the device reports.
    pub fn trainer(&self, device: &Device) -> Result<Box<dyn Trainer>> {
        self.check()?;
        let worlds = self.worlds(&self.world, self.seed)?;
        self.learner.trainer(&self.making(device), worlds)
    }

    /// What acts, with initial parameters.
    ///
    /// # Errors
    /// Sizes out of range, or no room on the device.
    pub fn policy(&self, device: &Device) -> Result<Box<dyn Policy>> {
        let world = self.judging_worlds(1, self.seed)?;
        self.learner.policy(&self.making(device), world.spec())
    }

    /// What acts, with the parameters of a run's checkpoint.
    ///
    /// # Errors
    /// A damaged checkpoint, or one of another network.
    pub fn trained_policy(&self, device: &Device, run: &Path) -> Result<Box<dyn Policy>> {
        let policy = self.policy(device)?;
        take_parameters(policy.as_ref(), run)?;
        Ok(policy)
    }

    /// How trained agents act: Q-learners take their best action, policies draw theirs unless `greedy`.
    pub fn choice(&self, greedy: bool) -> Choice {
        self.learner.choice(greedy)
    }
}

/// The default settings of the kind that the file names for a family's table.
fn kind<F: Family>(changes: &config::Changes, path: &Path) -> Result<crate::registry::Tagged<F>> {
    let keys = [F::WHAT.to_string(), format!("{}.kind", F::WHAT)];
    match keys.iter().find_map(|key| changes.text_of(key)) {
        Some(name) => crate::registry::Tagged::named(name),
        None => {
            let message = format!("is missing in {}, which names no preset either", path.display());
            Err(Error::config(format!("{}.kind", F::WHAT), message))
        }
    }
}

/// Takes the parameters of a run's checkpoint into a policy of the same architecture.
pub(super) fn take_parameters(policy: &dyn Policy, run: &Path) -> Result<()> {
    let path = folder::checkpoint_of(run);
    let checkpoint = checkpoint::read_part(&path, "agent/")?;
    checkpoint
        .check_architecture(&policy.architecture())
        .and_then(|()| checkpoint.check_finite())
        .and_then(|()| policy.parameters().load("agent", &checkpoint))
        .map_err(|e| Error::file(&path, None, e.to_string()))
}
