//! PPO's settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Ppo;
use crate::env::VecEnv;
use crate::error::Result;
use crate::optim::Schedule;
use crate::registry::Member;
use crate::schema;
use crate::train::Trainer;
use crate::train::config::{LearnerSettings, Making, idle, parts};
use crate::train::curiosity::CuriosityConfig;
use crate::train::influence::InfluenceConfig;
use crate::train::rates::Rates;

/// The settings of PPO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PpoConfig {
    /// Steps of a rollout, and so how far gradients reach through time.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub rollout: usize,
    /// Passes over a rollout.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub epochs: usize,
    /// Minibatches of a pass; must divide the number of worlds. 0 for as many as do, up to 4.
    pub minibatches: usize,
    /// Adam's learning rate at the start.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// How the learning rate (where it adapts, its upper bound) goes down over training.
    pub schedule: Schedule,
    /// Adapt the learning rate so that the policy moves by this divergence (in nats) in an iteration; 0 for not.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub kl_target: f32,
    /// The upper bound of an adapted learning rate.
    #[schemars(range(min = 1e-6, max = 1.0))]
    pub highest_learning_rate: f32,
    /// Adam's epsilon.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub adam_epsilon: f32,
    /// Factors of the learning rate for parts of the agent, named as `--only` does (`rates.encoder = 0.1`); 0 freezes one.
    pub rates: Rates,
    /// Discount of a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f32,
    /// Lambda of generalised advantage estimation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gae_lambda: f32,
    /// How far the ratio of probabilities may move from 1 before its gradient stops.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub clip: f32,
    /// How far a value may move from the old one before its gradient stops; 0 for no limit.
    #[schemars(range(min = 0.0))]
    pub value_clip: f32,
    /// Advantages are shifted and scaled to mean 0 and deviation 1 over the minibatch.
    pub normalise_advantages: bool,
    /// Advantages are divided by their deviation over the minibatch and this, in units of reward: what is much smaller
    /// counts as noise. With a mere trace (1e-5 or so, against a division by zero) the errors of a critic that has
    /// nothing to predict yet are blown up to the size of a signal: the policy drifts with them, its entropy falls, and
    /// since its divergence stays small an adapted learning rate rises to its bound. The default suits worlds that pay
    /// about 1 for what is wanted.
    #[schemars(range(min = 1e-12))]
    pub advantage_epsilon: f32,
    /// The critic learns returns of mean 0 and deviation 1 by their statistics so far (Yu et al. 2022, arXiv 2103.01955), so
    /// that it does not matter how much worlds pay. What it says is then in these units, and so is value_clip.
    pub normalise_values: bool,
    /// Weight of the value loss.
    #[schemars(range(min = 0.0))]
    pub value_coefficient: f32,
    /// Weight of the entropy bonus at the start.
    #[schemars(range(min = 0.0))]
    pub entropy_coefficient: f32,
    /// How the weight of the entropy bonus goes down over training.
    pub entropy_schedule: Schedule,
    /// The gradient's norm is clipped to this.
    #[schemars(range(min = 0.0))]
    pub max_gradient_norm: f32,
    /// Rewards of the agents' own, beside those of the worlds.
    pub curiosity: CuriosityConfig,
    /// Rewards for being listened to.
    pub influence: InfluenceConfig,
    /// Shards of a minibatch while learning; 0 for as many as divide its worlds, up to 4. Part of the result: sums are
    /// taken shard by shard.
    pub learning_shards: usize,
    /// Shards of the worlds while acting; must divide the number of worlds. 0 for as many as do, up to 4.
    pub acting_shards: usize,
}

impl Default for PpoConfig {
    fn default() -> Self {
        PpoConfig {
            rollout: 32,
            epochs: 4,
            minibatches: 0,
            learning_rate: 5e-4,
            schedule: Schedule::Constant,
            kl_target: 0.0,
            highest_learning_rate: 4e-3,
            adam_epsilon: 1e-5,
            rates: Rates::default(),
            gamma: 0.99,
            gae_lambda: 0.95,
            clip: 0.2,
            value_clip: 0.0,
            normalise_advantages: true,
            advantage_epsilon: 0.05,
            normalise_values: false,
            value_coefficient: 0.5,
            entropy_coefficient: 0.01,
            entropy_schedule: Schedule::Constant,
            max_gradient_norm: 0.5,
            curiosity: CuriosityConfig::None,
            influence: InfluenceConfig::default(),
            learning_shards: 0,
            acting_shards: 0,
        }
    }
}

impl Member for PpoConfig {
    const NAME: &'static str = "ppo";
    const SUMMARY: &'static str =
        "proximal policy optimisation, for actions of every kind: the heads give a distribution over them";
}

impl LearnerSettings for PpoConfig {
    fn normalises(&self) -> bool {
        true
    }

    fn check(&self, worlds: usize) -> Result<()> {
        self.resolved(worlds).map(|_| ())
    }

    fn curiosity(&self) -> &CuriosityConfig {
        &self.curiosity
    }

    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        let policy = self.policy(making, world.spec())?;
        Ok(Box::new(Ppo::new(making.device, policy, world, self.clone(), making.steps, making.seed)?))
    }
}

impl PpoConfig {
    /// One plain step of policy gradient a rollout. Ratios of probabilities are those of the parameters that acted, 1
    /// but for rounding, so that any width of PPO's clip leaves them alone.
    pub fn one_step() -> Self {
        PpoConfig {
            epochs: 1,
            minibatches: 1,
            clip: 1e3,
            value_clip: 0.0,
            normalise_advantages: false,
            ..PpoConfig::default()
        }
    }

    /// The SRMT paper's settings for the bottleneck task (arXiv 2501.13200, table 1), but for what advantages are divided
    /// by and a bound on the adapted learning rate.
    pub fn srmt() -> Self {
        PpoConfig {
            rollout: 8,
            epochs: 1,
            minibatches: 16,
            learning_rate: 1.3e-4,
            kl_target: 0.008,
            adam_epsilon: 1e-6,
            gamma: 0.9716,
            value_clip: 1.0,
            entropy_coefficient: 0.0156,
            max_gradient_norm: 4.0,
            learning_shards: 4,
            acting_shards: 4,
            ..Self::default()
        }
    }

    /// The settings with numbers in place of what is left open, checked against the number of worlds.
    ///
    /// # Errors
    /// The first setting out of range, with what was expected.
    pub fn resolved(&self, worlds: usize) -> Result<PpoConfig> {
        schema::check("learner", self)?;
        let of = "the number of worlds";
        let minibatches = parts("learner.minibatches", of, worlds, self.minibatches, 4)?;
        let (batch, name) = (worlds / minibatches, "the worlds of a minibatch");
        let learning_shards = parts("learner.learning_shards", name, batch, self.learning_shards, 4)?;
        let acting_shards = parts("learner.acting_shards", of, worlds, self.acting_shards, 4)?;
        if self.influence.weight == 0.0 {
            let default = InfluenceConfig::default().samples;
            idle(
                "learner.influence.samples",
                self.influence.samples,
                default,
                "where learner.influence.weight is 0",
            )?;
        }
        if self.kl_target == 0.0 {
            let default = PpoConfig::default().highest_learning_rate;
            let reason = "where learner.kl_target is 0";
            idle("learner.highest_learning_rate", self.highest_learning_rate, default, reason)?;
        }
        if !self.normalise_advantages {
            let default = PpoConfig::default().advantage_epsilon;
            let reason = "where learner.normalise_advantages is false";
            idle("learner.advantage_epsilon", self.advantage_epsilon, default, reason)?;
        }
        Ok(PpoConfig { minibatches, learning_shards, acting_shards, ..self.clone() })
    }
}
