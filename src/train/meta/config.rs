//! The settings of meta-learning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::{Adaptable, adaptable};
use super::measure::measures;
use super::trainer::Meta;
use crate::Device;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::env::{Spec, VecEnv, memory};
use crate::error::{Error, Result};
use crate::optim::Schedule;
use crate::registry::Member;
use crate::schema;
use crate::train::Trainer;
use crate::train::config::{LearnerSettings, Making, idle, parts};

/// How the start is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By the gradient of what adapted agents do, through the steps of adaptation (Finn et al. 2017, arXiv 1703.03400).
    Maml,
    /// The same with the gradient taken as if a step of adaptation were an addition of constants: first order (there, section
    /// 5.2).
    Fomaml,
    /// Towards what adapted agents have become (Nichol et al. 2018, arXiv 1803.02999, algorithm 2).
    Reptile,
    /// As `maml`, where only the last layer adapts (Raghu et al. 2020, arXiv 1909.09157).
    Anil,
    /// As `maml`, where each parameter has a rate of adaptation that is learned too (Li et al. 2017, arXiv 1707.09835).
    MetaSgd,
}

/// What agents learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// From what the world says would have been right: squared error of continuous numbers, negative log-likelihood of
    /// choices.
    Supervised,
    /// From what it pays.
    Reinforcement,
}

/// What the gradient by which agents adapt to what they are paid is made of, so that its own gradient is right too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Loaded DiCE (Farquhar et al. 2019, arXiv 1909.10549, equation 11): unbiased at every order.
    Dice,
    /// The low variance curvature estimator (Rothfuss et al. 2019, arXiv 1810.06784, equation 7): second derivatives without
    /// the products of different steps, of far less variance and with a bias that is none at a local optimum.
    Lvc,
}

/// The settings of meta-learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetaConfig {
    /// How the start is learned.
    pub method: Method,
    /// What agents learn from.
    pub objective: Objective,
    /// Examples, or episodes where agents learn from what they are paid, by which an agent adapts to a task. The agents of a
    /// world, each with examples of its own, share them: it must divide by their number.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub shots: usize,
    /// Those that an adapted agent is judged by, of which the start learns; 0 for as many as `shots`.
    #[schemars(range(max = 1 << 16))]
    pub query: usize,
    /// Steps of adaptation. Those of one task go along the same examples; episodes are played anew for each.
    #[schemars(range(min = 1, max = 64))]
    pub inner_steps: usize,
    /// The rate of a step of adaptation; with `meta_sgd` the one that all parameters begin with.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub inner_rate: f32,
    /// What steps of adaptation from episodes are made of.
    pub estimator: Estimator,
    /// Adam's learning rate at the start.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// How the learning rate goes down over training.
    pub schedule: Schedule,
    /// Adam's epsilon.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub adam_epsilon: f32,
    /// The gradient's norm is clipped to this.
    #[schemars(range(min = 0.0))]
    pub max_gradient_norm: f32,
    /// Discount of a step, where agents learn from what they are paid.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f32,
    /// Lambda of generalised advantage estimation against a baseline that is fitted to each task.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gae_lambda: f32,
    /// Steps of the optimiser along the same episodes: more than one is ProMP (Rothfuss et al. 2019) without its penalty.
    #[schemars(range(min = 1, max = 256))]
    pub epochs: usize,
    /// How far the ratio of probabilities of what adapted agents did may go from 1 (PPO's objective).
    #[schemars(range(min = 0.0, max = 1e6))]
    pub clip: f32,
    /// Batches of tasks between two reports.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub batches: usize,
    /// Tasks by which `eval` judges.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub judged_tasks: usize,
    /// Shards of the tasks while learning; 0 for as many as divide them, up to 5. Part of the result: sums are taken shard by
    /// shard.
    pub learning_shards: usize,
}

impl Default for MetaConfig {
    /// MAML of second order with the settings of its regression.
    fn default() -> Self {
        MetaConfig {
            method: Method::Maml,
            objective: Objective::Supervised,
            shots: 10,
            query: 0,
            inner_steps: 1,
            inner_rate: 0.01,
            estimator: Estimator::Dice,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            adam_epsilon: 1e-8,
            max_gradient_norm: 1e3,
            gamma: 0.99,
            gae_lambda: 1.0,
            epochs: 1,
            clip: 0.2,
            batches: 100,
            judged_tasks: 1000,
            learning_shards: 0,
        }
    }
}

impl Member for MetaConfig {
    const NAME: &'static str = "meta";
    const SUMMARY: &'static str =
        "a start from which few examples of a task are enough: MAML, FOMAML, Reptile, ANIL, Meta-SGD";
}

impl MetaConfig {
    /// Examples or episodes that adapted agents are judged by.
    pub(super) fn query(&self) -> usize {
        if self.query == 0 { self.shots } else { self.query }
    }

    /// Batches by which an agent adapts: the same one again and again, or one for each step.
    pub(super) fn supports(&self) -> usize {
        match self.objective {
            Objective::Supervised => 1,
            Objective::Reinforcement => self.inner_steps,
        }
    }

    /// The number of shards of so many tasks.
    pub(super) fn shards(&self, tasks: usize) -> Result<usize> {
        parts("learner.learning_shards", "the tasks", tasks, self.learning_shards, 5)
    }

    /// Steps or episodes of a world in which its agents together have the examples or play the episodes by which they adapt,
    /// and those by which they are judged.
    ///
    /// # Errors
    /// The agents cannot share them evenly.
    pub(super) fn each(&self, agents: usize) -> Result<[usize; 2]> {
        let share = |(key, count): (&str, usize)| {
            if count.is_multiple_of(agents.max(1)) {
                return Ok(count / agents.max(1));
            }
            let message =
                format!("a multiple of the agents of a world ({agents}), which share them; got {count}");
            Err(Error::config(format!("learner.{key}"), message))
        };
        Ok([share(("shots", self.shots))?, share(("query", self.query()))?])
    }

    /// Steps of one of them.
    pub(super) fn unit(&self, spec: &Spec) -> usize {
        match self.objective {
            Objective::Supervised => 1,
            Objective::Reinforcement => spec.limit as usize,
        }
    }

    /// Checks that worlds have what it needs of them.
    ///
    /// # Errors
    /// The setting that does not go with them.
    pub(super) fn check_worlds(&self, world: &dyn VecEnv) -> Result<()> {
        let spec = world.spec();
        let agents = spec.agents();
        let [shots, query] = self.each(agents)?;
        if spec.masked {
            let message = "a world where every action is allowed at every step";
            return Err(Error::config("world.kind", message));
        }
        match self.objective {
            Objective::Supervised => {
                let mut known = vec![false; agents.saturating_mul(spec.worlds)];
                world
                    .answers(&mut spec.actions(), &mut known)
                    .map_err(|e| Error::config("learner.objective", format!("reinforcement: {e}")))?;
                if shots + query > spec.limit as usize {
                    let (limit, need) = (spec.limit, shots + query);
                    let message = format!(
                        "examples of at most {limit} steps, after which an episode is over; these take {need}"
                    );
                    return Err(Error::config("learner.shots", message));
                }
            }
            Objective::Reinforcement => {
                let played = (shots * self.supports() + query) as u32;
                let lasts = world.task_episodes();
                if lasts != played {
                    let message = format!(
                        "{played} for these shots, query and inner_steps: a task is the same for {lasts} episodes"
                    );
                    return Err(Error::config("world.episodes", message));
                }
                if spec.limit > 100_000 {
                    let message = "a world whose episodes are over after 100,000 steps at the latest";
                    return Err(Error::config("world.kind", message));
                }
            }
        }
        let numbers: usize =
            spec.kinds.iter().map(|k| k.observation.iter().product::<usize>() * k.count).sum();
        let bytes =
            [shots * self.supports() + query, self.unit(spec), spec.worlds, numbers, size_of::<f32>()];
        let bytes = bytes.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        memory::require("learner.shots", bytes)?;
        Ok(())
    }
}

impl LearnerSettings for MetaConfig {
    fn check(&self, worlds: usize) -> Result<()> {
        schema::check("learner", self)?;
        self.shards(worlds)?;
        let default = MetaConfig::default();
        if self.objective == Objective::Supervised {
            let reason = "where agents learn from what is right";
            idle("learner.estimator", self.estimator, default.estimator, reason)?;
            idle("learner.gamma", self.gamma, default.gamma, reason)?;
            idle("learner.gae_lambda", self.gae_lambda, default.gae_lambda, reason)?;
            idle("learner.epochs", self.epochs, default.epochs, reason)?;
            idle("learner.clip", self.clip, default.clip, reason)?;
        }
        if self.method == Method::Reptile && self.epochs != 1 {
            let message = "1: Reptile goes once towards what an adapted agent has become";
            return Err(Error::config("learner.epochs", message));
        }
        Ok(())
    }

    fn policy(&self, making: &Making<'_>, spec: &Spec) -> Result<Box<dyn Policy>> {
        let agent = adaptable(making, spec)?;
        let policy: Box<dyn Policy> = match self.method {
            Method::MetaSgd => Box::new(Adaptable::new(making.device, agent, self.inner_rate)?),
            _ => agent,
        };
        making.inherit(policy.as_ref())?;
        Ok(policy)
    }

    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        self.check_worlds(world.as_ref())?;
        let policy = self.policy(making, world.spec())?;
        Ok(Box::new(Meta::new(making.device, policy, world, self.clone(), making.steps, making.seed)?))
    }

    fn trains_the_agent_itself(&self) -> bool {
        self.method != Method::MetaSgd
    }

    fn measures(
        &self,
        device: &Device,
        policy: &dyn Policy,
        worlds: &dyn Fn(usize) -> Result<Box<dyn VecEnv>>,
        seed: u64,
    ) -> Result<Vec<(&'static str, f64)>> {
        measures(self, device, policy, worlds, seed)
    }

    fn choice(&self, greedy: bool) -> Choice {
        match (self.objective, greedy) {
            (Objective::Reinforcement, false) => Choice::Sample,
            _ => Choice::Greedy,
        }
    }
}
