//! The settings of learning in two levels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HierarchicalDqn;
use crate::action::ActionSpace;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::agent::hierarchy::Hierarchy;
use crate::env::goals::{Goal, Goals};
use crate::env::{Spec, VecEnv};
use crate::error::{Error, Result};
use crate::registry::Member;
use crate::schema;
use crate::train::Trainer;
use crate::train::config::{LearnerSettings, Making};
use crate::train::curiosity::CuriosityConfig;
use crate::train::dqn::DqnConfig;
use crate::train::mixer::Mixing;

/// The settings of learning in two levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HierarchyConfig {
    /// Goals without a meaning of their own; 0 for the goals that the world names.
    #[schemars(range(min = 0, max = 4096))]
    pub goals: usize,
    /// The most steps for which a goal is set.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub every: usize,
    /// The share of the training in which goals are set at random and the worker alone learns (the paper's first phase);
    /// the manager's schedules run over the rest.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub pretraining: f32,
    /// What reaching its goal pays the worker.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub intrinsic: f32,
    /// What a reward of the world counts for the worker; the manager has them whole.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub extrinsic: f32,
    /// The worker's Q-learning, which also says how long a rollout is.
    pub worker: DqnConfig,
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
            worker: DqnConfig { learning_shards: 1, ..DqnConfig::default() },
            manager: DqnConfig { replay: 10_000, learning_shards: 1, ..DqnConfig::default() },
        }
    }
}

impl Member for HierarchyConfig {
    const NAME: &'static str = "hierarchical";
    const SUMMARY: &'static str =
        "Q-learning in two levels: a manager sets goals, a worker acts towards them";
}

impl LearnerSettings for HierarchyConfig {
    fn check(&self, worlds: usize) -> Result<()> {
        self.check(worlds)
    }

    fn takes(&self, actions: &ActionSpace) -> bool {
        actions.one_choice("it").is_ok()
    }

    fn policy(&self, making: &Making<'_>, spec: &Spec) -> Result<Box<dyn Policy>> {
        Ok(Box::new(self.agent(making, spec)?))
    }

    fn trains_the_agent_itself(&self) -> bool {
        false
    }

    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        let agent = self.agent(making, world.spec())?;
        let mut trainer = HierarchicalDqn::new(making.device, agent, world, self, making.steps, making.seed)?;
        trainer.set_saves_replay(making.save_replay);
        Ok(Box::new(trainer))
    }

    fn keeps_replay(&self) -> bool {
        true
    }

    /// The best action.
    fn choice(&self, _greedy: bool) -> Choice {
        Choice::EpsilonGreedy
    }
}

impl HierarchyConfig {
    /// Two levels of the parts that the agent is made of.
    fn agent(&self, making: &Making<'_>, spec: &Spec) -> Result<Hierarchy> {
        let shape = spec.kinds.first().map_or(&[][..], |kind| &kind.observation);
        let Some(parts) = making.agent.parts(shape) else {
            let message = "`team`: the levels of a hierarchy are made of a team's parts";
            return Err(Error::config("agent.kind", message));
        };
        let goals = self.goals(making.goals.clone(), shape.iter().product())?;
        let separate = making.separate_parameters;
        let agent = Hierarchy::new(making.device, &parts, spec, goals, self.every, separate, making.seed)?;
        if let Some(inherited) = making.inherited {
            inherited.check(&agent)?;
            inherited.load("agent/manager", agent.manager().parameters())?;
            inherited.load("agent/worker", agent.worker().parameters())?;
            agent.gather()?;
        }
        Ok(agent)
    }

    /// Checks every setting, those of the worker among them.
    ///
    /// # Errors
    /// The first setting out of range.
    pub fn check(&self, worlds: usize) -> Result<()> {
        schema::check("learner", self)?;
        if !(0.0..1.0).contains(&self.pretraining) {
            let message = format!("0 to less than 1, got {}", self.pretraining);
            return Err(Error::config("learner.pretraining", message));
        }
        if self.goals > 0 && self.extrinsic == 0.0 {
            let message = "more than 0 where goals have no meaning: nothing else pays the worker";
            return Err(Error::config("learner.extrinsic", message));
        }
        one_level("learner.worker", &self.worker, worlds)?;
        one_level("learner.manager", &self.manager, worlds)
    }

    /// The goals that these settings ask for, in a world that names `named`.
    ///
    /// # Errors
    /// The world names none and the settings give no number.
    pub fn goals(&self, named: Vec<Goal>, observation: usize) -> Result<Goals> {
        match (self.goals, named.is_empty()) {
            (0, true) => {
                Err(Error::config("learner.goals", "a number: this world names no goals of its own"))
            }
            (0, false) => Goals::named(named, observation),
            (count, _) => Goals::unnamed(count),
        }
    }
}

/// A level learns from single transitions, drawn evenly.
fn one_level(at: &str, config: &DqnConfig, worlds: usize) -> Result<()> {
    config.check_at(at, worlds)?;
    let fixed = [
        ("sequence", config.sequence, 1),
        ("burn_in", config.burn_in, 0),
        ("n_step", config.n_step, 1),
        ("learning_shards", config.learning_shards, 1),
    ];
    for (key, value, only) in fixed {
        if value != only {
            let message = format!("{only} for levels of a hierarchy, got {value}");
            return Err(Error::config(format!("{at}.{key}"), message));
        }
    }
    if config.prioritised {
        return Err(Error::config(format!("{at}.prioritised"), "false for levels of a hierarchy"));
    }
    if config.mixer != Mixing::None {
        return Err(Error::config(format!("{at}.mixer.kind"), "`none` for levels of a hierarchy"));
    }
    if config.curiosity != CuriosityConfig::None {
        let message = "`none`: goals pay the worker of a hierarchy, and the worlds its manager";
        return Err(Error::config(format!("{at}.curiosity.kind"), message));
    }
    Ok(())
}
