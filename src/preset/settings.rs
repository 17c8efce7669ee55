//! Everything about a run: which world, which agent, which learner, each a table of its own kind.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::judge::Judge;
use super::named;
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
use crate::train::{
    Inherited, LearnerConfig, LearnerSettings, Learners, Making, Taken, Trainer, check_actions,
    check_normalised,
};

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
    /// Checkpoints hold what the learner keeps to learn from again, so that a run goes on from one exactly; without it they
    /// are small, and a run that goes on begins with an empty replay.
    pub save_replay: bool,
    /// Agent-steps between evaluations while it trains; 0 for none. Presets that say nothing else have a twentieth of their
    /// steps. That takes 3 % of the time of training or less: 0.1 % in `lever-commnet`, 0.6 % in `bottleneck`, 1.3 % in
    /// `mazes`, 2.6 % in `taxi-hierarchical`.
    pub eval_every: u64,
    /// Episodes of such an evaluation, the same ones each time, played as `synod eval` does; 0 for none.
    #[schemars(range(max = 1_048_576))]
    pub eval_episodes: usize,
    /// A run, or a checkpoint file, whose agent's weights it starts from; `none` to draw its own.
    pub init_from: Option<PathBuf>,
    /// Of these weights only those whose names begin so (`encoder`); `none` for all, of the same network.
    pub init_only: Option<String>,
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
            save_replay: true,
            eval_every: 0,
            eval_episodes: 32,
            init_from: None,
            init_only: None,
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
        named::find(name)
    }

    /// The settings of a preset with items `key=value` over them.
    ///
    /// # Errors
    /// An unknown name or key, a value of the wrong type.
    pub fn with_items(name: &str, items: &[String]) -> Result<Settings> {
        Self::changed(Self::preset(name)?, config::Changes::new(), items)
    }

    /// These settings with items `key=value` over them.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type.
    pub fn with(&self, items: &[String]) -> Result<Settings> {
        Self::changed(self.clone(), config::Changes::new(), items)
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
        // The name of a kind may stand for the table that is of it.
        let parts =
            [("world", base.world.name()), ("agent", base.agent.name()), ("learner", base.learner.name())];
        for (table, own) in parts {
            let chosen = changes.text_of(&format!("{table}.kind")).or_else(|| changes.text_of(table));
            let name = chosen.unwrap_or(own).to_string();
            changes.let_stand(&name, table);
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
        if !self.save_replay && !self.learner.keeps_replay() {
            let message = format!("true: `{}` keeps nothing to learn from again", self.learner.name());
            return Err(Error::config("save_replay", message));
        }
        if self.init_only.is_some() && self.init_from.is_none() {
            return Err(Error::config("init_only", "`none`: it does nothing without init_from"));
        }
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

    fn making<'a>(&'a self, device: &'a Device, inherited: Option<&'a Inherited>) -> Making<'a> {
        Making {
            device,
            agent: &self.agent,
            separate_parameters: self.separate_parameters,
            goals: self.world.goals(),
            steps: self.steps,
            seed: self.seed,
            save_replay: self.save_replay,
            inherited,
        }
    }

    /// The weights that it starts from.
    fn inherited(&self) -> Result<Option<Inherited>> {
        let Some(from) = &self.init_from else { return Ok(None) };
        let path = folder::checkpoint_at(from);
        let checkpoint = checkpoint::read_part(&path, "agent/")?;
        Ok(Some(Inherited::new(&path, checkpoint, self.init_only.as_deref())))
    }

    /// What its agent takes of another run's weights; `None` where it draws all.
    ///
    /// # Errors
    /// A damaged checkpoint, or one whose weights do not fit.
    pub fn taken(&self, device: &Device) -> Result<Option<Taken>> {
        match self.inherited()? {
            Some(inherited) => inherited.check(self.policy(device)?.as_ref()).map(Some),
            None => Ok(None),
        }
    }

    /// What evaluates the run while it trains; `None` where the settings want nothing of the kind.
    ///
    /// # Errors
    /// As [`Settings::policy`], or a trainer whose checkpoints do not hold what acts.
    pub fn judge(&self, device: &Device, trainer: &dyn Trainer) -> Result<Option<Judge>> {
        if self.eval_every == 0 || self.eval_episodes == 0 {
            return Ok(None);
        }
        let judge = Judge::new(device, self)?;
        judge.take(&trainer.save_agent()?).map_err(|e| {
            Error::config("eval_every", format!("0: this learner's checkpoints do not hold what acts ({e})"))
        })?;
        Ok(Some(judge))
    }

    /// The trainer, ready for its first step.
    ///
    /// # Errors
    /// Settings out of range, maps that cannot be read, or what the device reports.
    pub fn trainer(&self, device: &Device) -> Result<Box<dyn Trainer>> {
        self.check()?;
        self.trainer_in(device, self.worlds(&self.world, self.seed)?)
    }

    /// As [`Settings::trainer`], in worlds that are there already.
    ///
    /// # Errors
    /// As there.
    pub fn trainer_in(&self, device: &Device, worlds: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        self.check()?;
        check_actions(&self.learner, worlds.spec())?;
        check_normalised(&self.learner, &self.agent)?;
        let inherited = self.inherited()?;
        self.learner.trainer(&self.making(device, inherited.as_ref()), worlds)
    }

    /// What acts, with initial parameters.
    ///
    /// # Errors
    /// Sizes out of range, or no room on the device.
    pub fn policy(&self, device: &Device) -> Result<Box<dyn Policy>> {
        let world = self.judging_worlds(1, self.seed)?;
        check_actions(&self.learner, world.spec())?;
        self.learner.policy(&self.making(device, None), world.spec())
    }

    /// What acts, with the parameters of a run's checkpoint, or of a checkpoint file. The settings need not be the run's:
    /// what they say of worlds may differ where the network is the same.
    ///
    /// # Errors
    /// A damaged checkpoint, or one of another network; for another number of agents, why that makes it another.
    pub fn trained_policy(&self, device: &Device, run: &Path) -> Result<Box<dyn Policy>> {
        let mut policy = self.policy(device)?;
        match take_parameters(policy.as_ref(), run) {
            Ok(()) => policy.settle(device).map(|()| policy),
            Err(error) => Err(self.other_agents(run).unwrap_or(error)),
        }
    }

    /// Why an agent stands for a fixed number of them, as far as settings alone say so.
    pub(super) fn counts_agents(&self) -> Option<&'static str> {
        if self.separate_parameters {
            return Some("each has parameters of its own (separate_parameters = true)");
        }
        let sees_which = self.agent.parts(&[]).is_some_and(|parts| parts.identity);
        sees_which.then_some("each sees which of them it is (agent.identity = true)")
    }

    /// Why the network of a run cannot act for the agents of these settings, where those are more or fewer.
    fn other_agents(&self, run: &Path) -> Option<Error> {
        let file = folder::checkpoint_at(run);
        let trained = Settings::load(&folder::config_of(file.parent()?), &[]).ok()?;
        let (before, now) =
            (trained.judging_worlds(1, trained.seed).ok()?, self.judging_worlds(1, self.seed).ok()?);
        let (before, now) = (before.spec(), now.spec());
        let ([was], [is]) = (&before.kinds[..], &now.kinds[..]) else { return None };
        if was.count == is.count {
            return None;
        }
        let reason = match trained.counts_agents() {
            Some(reason) => reason.to_string(),
            None if was.observation != is.observation => {
                format!("an agent then sees {:?} numbers, not {:?}", is.observation, was.observation)
            }
            None if was.actions != is.actions => {
                format!("an agent then has {} actions, not {}", is.actions, was.actions)
            }
            None if before.state != now.state => format!(
                "its critic then sees {} numbers of the world's state, not {}",
                now.state, before.state
            ),
            None => return None,
        };
        Some(other_number(was.count, is.count, &reason))
    }

    /// The same run with another number of agents in its worlds.
    ///
    /// # Errors
    /// The world has no such setting, or no place for so many.
    pub fn with_agents(&self, agents: usize) -> Result<Settings> {
        let settings = Settings { world: self.world.with_agents(agents)?, ..self.clone() };
        settings.world.check()?;
        Ok(settings)
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

/// Refuses another number of agents than a network was trained with.
pub(super) fn other_number(trained: usize, wanted: usize, reason: &str) -> Error {
    Error::Usage(format!("a network trained for {trained} agents cannot act for {wanted}: {reason}"))
}

/// Takes the parameters of a run's checkpoint, or of a checkpoint file, into a policy of the same architecture.
pub(super) fn take_parameters(policy: &dyn Policy, run: &Path) -> Result<()> {
    let path = folder::checkpoint_at(run);
    let checkpoint = checkpoint::read_part(&path, "agent/")?;
    checkpoint
        .check_architecture(&policy.architecture())
        .and_then(|()| checkpoint.check_finite())
        .and_then(|()| policy.parameters().load("agent", &checkpoint))
        .map_err(|e| Error::file(&path, None, e.to_string()))
}
