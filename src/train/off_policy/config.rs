//! The settings of actor-critics that learn from a replay, and how the algorithms become learners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OffPolicy;
use crate::action::{ActionSpace, Bounded};
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::env::{Spec, VecEnv};
use crate::error::{Error, Result, within};
use crate::optim::Schedule;
use crate::schema;
use crate::train::Trainer;
use crate::train::config::{Making, idle, parts};
use crate::train::drawn::Window;
use crate::train::exploration::Noise;
use crate::train::mixer::Mixing;
use crate::train::rates::Rates;

/// What the critic of an agent sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// What the agent sees and does.
    Own,
    /// The state of the world (where it has none of its own, what all agents see) and what all do.
    Central,
}

/// What drawing actions is worth beside what they pay (Haarnoja et al. 2018, arXiv 1812.05905).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Entropy {
    /// Nothing: the policy is deterministic.
    None,
    /// A nat is worth `temperature`.
    Fixed {
        /// What a nat is worth.
        #[schemars(range(min = 0.0, max = 1e3))]
        temperature: f32,
    },
    /// What keeps the entropy at a target on average (section 5).
    Learned {
        /// What a nat is worth at first.
        #[schemars(range(min = 1e-6, max = 1e3))]
        temperature: f32,
        /// The target, in nats for each number of an action.
        #[schemars(range(min = -10.0, max = 10.0))]
        target: f32,
        /// The temperature's learning rate, as a factor of the actor's.
        #[schemars(range(min = 0.0, max = 1e3))]
        rate: f32,
    },
}

/// The settings of actor-critics that learn from a replay. What each algorithm has by default stands in its own file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OffPolicyConfig {
    /// Steps that every world makes between learning.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub rollout: usize,
    /// Updates after each rollout.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub updates: usize,
    /// Sequences of an update.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub batch: usize,
    /// Steps of a sequence that are learned from; 1 for single transitions.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub sequence: usize,
    /// Steps before these that only warm up the recurrent state (Kapturowski et al. 2019).
    #[schemars(range(min = 0, max = 1 << 16))]
    pub burn_in: usize,
    /// Sequences start with the recurrent state that the agent had then; otherwise with zeros.
    pub stored_state: bool,
    /// Steps of rewards in a target before it bootstraps.
    #[schemars(range(min = 1, max = 1 << 10))]
    pub n_step: usize,
    /// Steps of all worlds together that are kept, rounded up to whole rollouts.
    #[schemars(range(min = 1, max = 1u64 << 36))]
    pub replay: usize,
    /// Steps of all worlds together before the first update, in which continuous actions are drawn evenly.
    #[schemars(range(min = 0))]
    pub warmup: usize,
    /// Adam's learning rate for the actor at the start.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// Adam's learning rate for the critic at the start.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub critic_learning_rate: f32,
    /// How both go down over training.
    pub schedule: Schedule,
    /// Adam's epsilon.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub adam_epsilon: f32,
    /// Factors of the learning rate for parts of the actor, named as `--only` does (`rates.encoder = 0.1`); 0 freezes one.
    pub rates: Rates,
    /// The gradients' norms are clipped to this.
    #[schemars(range(min = 0.0))]
    pub max_gradient_norm: f32,
    /// Discount of a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f32,
    /// How far the targets move to what learns at each of the actor's updates.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub target_rate: f32,
    /// What a critic sees.
    pub critic: View,
    /// Features of the critic's layers.
    #[schemars(range(min = 1, max = 8192))]
    pub critic_features: usize,
    /// The critic's layers before its value.
    #[schemars(range(min = 1, max = 64))]
    pub critic_layers: usize,
    /// Two critics, of which targets take the lesser value (Fujimoto et al. 2018).
    pub twins: bool,
    /// How the critics' values of single agents become the team's (Peng et al. 2021).
    pub mixer: Mixing,
    /// An actor is asked what it would do where all others do what they would do now; otherwise what they did then.
    pub together: bool,
    /// Updates of the critic for each of the actor's.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub actor_every: usize,
    /// The deviation of the noise on the target's continuous actions, in half widths between their bounds.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub target_noise: f32,
    /// Where that noise is cut off.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub target_noise_limit: f32,
    /// The noise on continuous actions while learning.
    pub noise: Noise,
    /// How it goes down over training.
    pub noise_schedule: Schedule,
    /// What the mean square of the numbers that stand for a policy costs.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub regularisation: f32,
    /// The temperature of relaxed choices, through which gradients reach those of discrete actions.
    #[schemars(range(min = 1e-3, max = 1e3))]
    pub relaxation: f32,
    /// What drawing actions is worth.
    pub entropy: Entropy,
    /// Shards of an update. Part of the result: sums are taken shard by shard.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub learning_shards: usize,
    /// Shards of the worlds while acting; must divide the number of worlds.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub acting_shards: usize,
}

impl OffPolicyConfig {
    /// What the algorithms have in common: a critic, a deterministic actor, single transitions.
    pub(in crate::train) fn common() -> Self {
        OffPolicyConfig {
            rollout: 1,
            updates: 1,
            batch: 256,
            sequence: 1,
            burn_in: 0,
            stored_state: true,
            n_step: 1,
            replay: 1_000_000,
            warmup: 1_000,
            learning_rate: 1e-3,
            critic_learning_rate: 1e-3,
            schedule: Schedule::Constant,
            adam_epsilon: 1e-8,
            rates: Rates::default(),
            max_gradient_norm: 10.0,
            gamma: 0.99,
            target_rate: 0.005,
            critic: View::Own,
            critic_features: 64,
            critic_layers: 2,
            twins: false,
            mixer: Mixing::None,
            together: false,
            actor_every: 1,
            target_noise: 0.0,
            target_noise_limit: 0.0,
            noise: Noise::Gaussian { deviation: 0.1 },
            noise_schedule: Schedule::Constant,
            regularisation: 0.0,
            relaxation: 1.0,
            entropy: Entropy::None,
            learning_shards: 2,
            acting_shards: 1,
        }
    }

    /// The steps of a drawn sequence.
    pub(super) fn window(&self) -> Window {
        Window { burn_in: self.burn_in, sequence: self.sequence, n_step: self.n_step }
    }

    /// Checks every setting against the number of worlds.
    ///
    /// # Errors
    /// The first setting out of range or without an effect, with what was expected.
    pub fn check(&self, worlds: usize) -> Result<()> {
        schema::check("learner", self)?;
        within("learner.warmup", self.warmup, 0, self.replay)?;
        parts("learner.learning_shards", "learner.batch", self.batch, self.learning_shards, 1)?;
        parts("learner.acting_shards", "the number of worlds", worlds, self.acting_shards, 1)?;
        if self.entropy != Entropy::None {
            let reason = "where a policy's actions are drawn";
            idle("learner.noise", self.noise, Noise::None, reason)?;
            idle("learner.target_noise", self.target_noise, 0.0, reason)?;
            if self.mixer != Mixing::None {
                let message = "`none`: of what drawing actions is worth each agent has its own";
                return Err(Error::config("learner.mixer.kind", message));
            }
        }
        if self.mixer != Mixing::None && self.critic == View::Central {
            let message = "own: what is mixed are values of what single agents see and do";
            return Err(Error::config("learner.critic", message));
        }
        if self.together && self.critic == View::Own {
            idle("learner.together", true, false, "where a critic sees what its own agent does")?;
        }
        Ok(())
    }

    /// What acts: an agent whose continuous actions lie between bounds by themselves.
    pub(in crate::train) fn policy(&self, making: &Making<'_>, spec: &Spec) -> Result<Box<dyn Policy>> {
        let kind = spec.only_kind("an actor-critic")?;
        if making.agent.has_critic_apart(&kind.observation) {
            return Err(Error::config("agent.critic", "shared: the critic is `learner.critic`"));
        }
        let policy = making.policy(spec)?;
        if kind.actions.floats() > 0 && policy.bounded() != Bounded::Tanh {
            let message = "tanh: a gradient of what actions are worth would drive them beyond any bound";
            return Err(Error::config("agent.bounded", message));
        }
        Ok(policy)
    }

    pub(in crate::train) fn trainer(
        &self,
        making: &Making<'_>,
        world: Box<dyn VecEnv>,
    ) -> Result<Box<dyn Trainer>> {
        let policy = self.policy(making, world.spec())?;
        let mut trainer = OffPolicy::new(
            making.device,
            policy,
            world,
            self.clone(),
            (making.steps, making.seed, making.separate_parameters),
        )?;
        trainer.set_saves_replay(making.save_replay);
        Ok(Box::new(trainer))
    }

    /// How agents act while they learn.
    pub(super) fn exploring(&self) -> Choice {
        match self.entropy {
            Entropy::None => Choice::SampleOptions,
            _ => Choice::Sample,
        }
    }
}

/// Whether all of an action is continuous, between finite bounds.
pub(in crate::train) fn bounded(actions: &ActionSpace) -> bool {
    let bounds = actions.bounds();
    actions.integers() == 0 && !bounds.is_empty() && all_finite(&bounds)
}

/// Whether what is continuous of an action lies between finite bounds.
pub(in crate::train) fn discrete_or_bounded(actions: &ActionSpace) -> bool {
    all_finite(&actions.bounds())
}

fn all_finite(bounds: &[[f32; 2]]) -> bool {
    bounds.iter().flatten().all(|bound| bound.is_finite())
}

/// A learner that is these settings with other defaults: `off_policy!(Td3Config, "td3", "a line", takes)`.
macro_rules! off_policy {
    ($config:ident, $name:literal, $summary:literal, $takes:path) => {
        impl crate::registry::Member for $config {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
        }

        impl crate::train::config::LearnerSettings for $config {
            fn check(&self, worlds: usize) -> crate::Result<()> {
                self.0.check(worlds)
            }

            fn takes(&self, actions: &crate::action::ActionSpace) -> bool {
                $takes(actions)
            }

            fn policy(
                &self,
                making: &crate::train::Making<'_>,
                spec: &crate::env::Spec,
            ) -> crate::Result<Box<dyn crate::agent::Policy>> {
                self.0.policy(making, spec)
            }

            fn trainer(
                &self,
                making: &crate::train::Making<'_>,
                world: Box<dyn crate::env::VecEnv>,
            ) -> crate::Result<Box<dyn crate::train::Trainer>> {
                self.0.trainer(making, world)
            }

            fn keeps_replay(&self) -> bool {
                true
            }

            /// The best action.
            fn choice(&self, _greedy: bool) -> crate::agent::actors::Choice {
                crate::agent::actors::Choice::Greedy
            }
        }
    };
}
pub(in crate::train) use off_policy;
