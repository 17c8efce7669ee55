//! COMA's settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Credit;
use super::variance::variances;
use crate::Device;
use crate::action::ActionSpace;
use crate::agent::Policy;
use crate::agent::counterfactual::Counterfactual;
use crate::env::{Spec, VecEnv};
use crate::error::Result;
use crate::optim::Schedule;
use crate::registry::Member;
use crate::schema;
use crate::train::Trainer;
use crate::train::config::{LearnerSettings, Making};
use crate::train::ppo::{Ppo, PpoConfig};
use crate::train::rates::Rates;

/// The settings of COMA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ComaConfig {
    /// Steps of a rollout, of which the last is learned from only where it ends an episode: what it leads to is valued
    /// by what is done there.
    #[schemars(range(min = 2, max = 1 << 20))]
    pub rollout: usize,
    /// Adam's learning rate at the start.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// How the learning rate goes down over training.
    pub schedule: Schedule,
    /// Adam's epsilon.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub adam_epsilon: f32,
    /// Factors of the learning rate for parts of the agent and for its critic (`rates.counterfactual = 2`), named as
    /// `--only` does; 0 freezes one.
    pub rates: Rates,
    /// Discount of a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f32,
    /// Lambda of the critic's targets, TD(lambda).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub td_lambda: f32,
    /// Updates between copies of the critic into the one that its targets come from.
    #[schemars(range(min = 1, max = 1u64 << 40))]
    pub target_every: u64,
    /// Hidden layers of the critic; without any it is linear in the state and in what the others do.
    #[schemars(range(min = 0, max = 64))]
    pub critic_layers: usize,
    /// Features of its hidden layers.
    #[schemars(range(min = 1, max = 8192))]
    pub critic_features: usize,
    /// Advantages are shifted and scaled to mean 0 and deviation 1 over the rollout.
    pub normalise_advantages: bool,
    /// Weight of the critic's loss.
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

impl Default for ComaConfig {
    fn default() -> Self {
        ComaConfig {
            rollout: 32,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            adam_epsilon: 1e-5,
            rates: Rates::default(),
            gamma: 0.99,
            td_lambda: 0.8,
            target_every: 200,
            critic_layers: 2,
            critic_features: 128,
            normalise_advantages: false,
            value_coefficient: 0.5,
            entropy_coefficient: 0.01,
            entropy_schedule: Schedule::Constant,
            max_gradient_norm: 10.0,
            learning_shards: 0,
            acting_shards: 0,
        }
    }
}

impl Member for ComaConfig {
    const NAME: &'static str = "coma";
    const SUMMARY: &'static str =
        "counterfactual policy gradients: a central critic says what each agent's own action added";
}

impl LearnerSettings for ComaConfig {
    fn check(&self, worlds: usize) -> Result<()> {
        schema::check("learner", self)?;
        self.as_ppo().resolved(worlds).map(|_| ())
    }

    fn takes(&self, actions: &ActionSpace) -> bool {
        actions.one_choice("a counterfactual critic").is_ok()
    }

    fn policy(&self, making: &Making<'_>, spec: &Spec) -> Result<Box<dyn Policy>> {
        Ok(Box::new(self.agent(making, spec)?))
    }

    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        schema::check("learner", self)?;
        let spec = world.spec().clone();
        let agent = self.agent(making, &spec)?;
        let credit = Credit::new(making.device, &agent, &spec, self.rollout, self.target_every)?;
        let mut ppo =
            Ppo::new(making.device, Box::new(agent), world, self.as_ppo(), making.steps, making.seed)?;
        ppo.set_credit(credit);
        Ok(Box::new(ppo))
    }

    fn measures(
        &self,
        device: &Device,
        policy: &dyn Policy,
        worlds: &dyn Fn(usize) -> Result<Box<dyn VecEnv>>,
        seed: u64,
    ) -> Result<Vec<(&'static str, f64)>> {
        variances(device, policy, worlds, self.gamma, seed)
    }
}

impl ComaConfig {
    /// The agent and its critic.
    fn agent(&self, making: &Making<'_>, spec: &Spec) -> Result<Counterfactual> {
        let agent = making.agent.policy(making.device, spec, making.separate_parameters, making.seed)?;
        let sizes = [self.critic_layers, self.critic_features];
        let agent = Counterfactual::new(making.device, agent, spec, sizes, making.seed)?;
        making.inherit(&agent)?;
        Ok(agent)
    }

    /// The settings with which PPO takes one plain step of policy gradient a rollout.
    fn as_ppo(&self) -> PpoConfig {
        PpoConfig {
            rollout: self.rollout,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            adam_epsilon: self.adam_epsilon,
            rates: self.rates.clone(),
            gamma: self.gamma,
            gae_lambda: self.td_lambda,
            normalise_advantages: self.normalise_advantages,
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
