//! Advantage actor-critic (A2C), the synchronous form of A3C (Mnih et al. 2016, arXiv 1602.01783): one step of the optimiser
//! a rollout, along `log_probability * advantage - value_coefficient * (value - return)^2 + entropy_coefficient * entropy`.
//!
//! It is PPO with one epoch of one minibatch, in which no ratio of probabilities has moved from 1 and nothing is clipped
//! (Huang et al. 2022, "A2C is a special case of PPO", arXiv 2205.09123, section 3), and that is how it is made: the
//! trainer is [`Ppo`], with settings of which only those are left that mean something here.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("climbing", &["learner=a2c".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! assert_eq!(trainer.step()?.updates, 1);
//! # Ok::<(), synod::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Trainer;
use super::config::{LearnerSettings, Making};
use super::ppo::{Ppo, PpoConfig};
use super::rates::Rates;
use crate::env::VecEnv;
use crate::error::Result;
use crate::optim::Schedule;
use crate::registry::Member;
use crate::schema;

/// The settings of A2C.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct A2cConfig {
    /// Steps of a rollout, and so how far gradients reach through time.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub rollout: usize,
    /// Adam's learning rate at the start.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// How the learning rate goes down over training.
    pub schedule: Schedule,
    /// Adam's epsilon.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub adam_epsilon: f32,
    /// Factors of the learning rate for parts of the agent, named as `--only` does (`rates.encoder = 0.1`); 0 freezes one.
    pub rates: Rates,
    /// Discount of a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f32,
    /// Lambda of generalised advantage estimation; with 1 returns are the discounted rewards of the rollout and the value
    /// of where it ends.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gae_lambda: f32,
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
    /// Shards of a rollout's worlds while learning; 0 for as many as divide them, up to 4. Part of the result: sums are
    /// taken shard by shard.
    pub learning_shards: usize,
    /// Shards of the worlds while acting; must divide the number of worlds. 0 for as many as do, up to 4.
    pub acting_shards: usize,
}

impl Default for A2cConfig {
    fn default() -> Self {
        A2cConfig {
            rollout: 8,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            adam_epsilon: 1e-5,
            rates: Rates::default(),
            gamma: 0.99,
            gae_lambda: 1.0,
            value_coefficient: 0.5,
            entropy_coefficient: 0.01,
            entropy_schedule: Schedule::Constant,
            max_gradient_norm: 0.5,
            learning_shards: 0,
            acting_shards: 0,
        }
    }
}

impl Member for A2cConfig {
    const NAME: &'static str = "a2c";
    const SUMMARY: &'static str = "advantage actor-critic: one plain policy gradient step a rollout";
}

impl LearnerSettings for A2cConfig {
    fn normalises(&self) -> bool {
        true
    }

    fn check(&self, worlds: usize) -> Result<()> {
        schema::check("learner", self)?;
        self.as_ppo().resolved(worlds).map(|_| ())
    }

    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        schema::check("learner", self)?;
        let policy = self.policy(making, world.spec())?;
        Ok(Box::new(Ppo::new(making.device, policy, world, self.as_ppo(), making.steps, making.seed)?))
    }
}

impl A2cConfig {
    /// The settings with which PPO is this.
    pub fn as_ppo(&self) -> PpoConfig {
        PpoConfig {
            rollout: self.rollout,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            adam_epsilon: self.adam_epsilon,
            rates: self.rates.clone(),
            gamma: self.gamma,
            gae_lambda: self.gae_lambda,
            value_coefficient: self.value_coefficient,
            entropy_coefficient: self.entropy_coefficient,
            entropy_schedule: self.entropy_schedule,
            max_gradient_norm: self.max_gradient_norm,
            learning_shards: self.learning_shards,
            acting_shards: self.acting_shards,
            ..PpoConfig::one_step()
        }
    }
}
