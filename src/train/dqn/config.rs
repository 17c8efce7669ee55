//! The settings of Q-learning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dqn;
use crate::action::ActionSpace;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::env::{Spec, VecEnv};
use crate::error::{Error, Result, within};
use crate::optim::Schedule;
use crate::registry::Member;
use crate::schema;
use crate::train::Trainer;
use crate::train::config::{LearnerSettings, Making, idle, parts};
use crate::train::curiosity::CuriosityConfig;
use crate::train::drawn::Window;
use crate::train::mixer::Mixing;
use crate::train::rates::Rates;

/// The settings of Q-learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DqnConfig {
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
    /// Steps of all worlds together before the first update.
    #[schemars(range(min = 0))]
    pub warmup: usize,
    /// Draw sequences by their error (Schaul et al. 2016).
    pub prioritised: bool,
    /// The power of the error.
    #[schemars(range(min = 0.0, max = 1e2))]
    pub priority_alpha: f32,
    /// How far weights make up for uneven drawing, at the start; it rises to 1 over training.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub priority_beta: f32,
    /// Adam's learning rate at the start.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// How it goes down over training.
    pub schedule: Schedule,
    /// Adam's epsilon.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub adam_epsilon: f32,
    /// Factors of the learning rate for parts of the agent, named as `--only` does (`rates.encoder = 0.1`); 0 freezes one.
    pub rates: Rates,
    /// The gradient's norm is clipped to this.
    #[schemars(range(min = 0.0))]
    pub max_gradient_norm: f32,
    /// Discount of a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f32,
    /// Choose the next action by the learning network and value it by the target network (van Hasselt et al. 2016).
    pub double: bool,
    /// Errors beyond this count by their size and not their square; 0 for squares throughout.
    #[schemars(range(min = 0.0))]
    pub huber: f32,
    /// Updates between those of the target network.
    #[schemars(range(min = 1))]
    pub target_every: usize,
    /// How far the target network then moves to the learning one: 1 for a copy.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub target_rate: f32,
    /// The chance of a random action at first.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon_start: f32,
    /// The chance of a random action in the end.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon_end: f32,
    /// The share of the training over which it goes from one to the other.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon_fraction: f32,
    /// How agents' values become the team's.
    pub mixer: Mixing,
    /// Rewards of the agents' own, beside those of the worlds.
    pub curiosity: CuriosityConfig,
    /// Shards of an update. Part of the result: sums are taken shard by shard.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub learning_shards: usize,
    /// Shards of the worlds while acting; must divide the number of worlds.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub acting_shards: usize,
}

impl Default for DqnConfig {
    fn default() -> Self {
        DqnConfig {
            rollout: 4,
            updates: 1,
            batch: 64,
            sequence: 1,
            burn_in: 0,
            stored_state: true,
            n_step: 1,
            replay: 50_000,
            warmup: 1_000,
            prioritised: false,
            priority_alpha: 0.6,
            priority_beta: 0.4,
            learning_rate: 5e-4,
            schedule: Schedule::Constant,
            adam_epsilon: 1e-8,
            rates: Rates::default(),
            max_gradient_norm: 10.0,
            gamma: 0.99,
            double: true,
            huber: 0.0,
            target_every: 200,
            target_rate: 1.0,
            epsilon_start: 1.0,
            epsilon_end: 0.05,
            epsilon_fraction: 0.2,
            mixer: Mixing::None,
            curiosity: CuriosityConfig::None,
            learning_shards: 2,
            acting_shards: 1,
        }
    }
}

impl Member for DqnConfig {
    const NAME: &'static str = "dqn";
    const SUMMARY: &'static str = "deep Q-learning: the heads are the values of actions";
}

impl LearnerSettings for DqnConfig {
    fn check(&self, worlds: usize) -> Result<()> {
        self.check(worlds)
    }

    fn takes(&self, actions: &ActionSpace) -> bool {
        actions.one_choice("it").is_ok()
    }

    fn policy(&self, making: &Making<'_>, spec: &Spec) -> Result<Box<dyn Policy>> {
        let observation = spec.kinds.first().map_or(&[][..], |kind| &kind.observation);
        if making.agent.has_critic_apart(observation) {
            return Err(Error::config("agent.critic", "shared: Q-learning has no critic"));
        }
        making.policy(spec)
    }

    fn curiosity(&self) -> &CuriosityConfig {
        &self.curiosity
    }

    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        let policy = self.policy(making, world.spec())?;
        let mut trainer = Dqn::new(making.device, policy, world, self.clone(), making.steps, making.seed)?;
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

impl DqnConfig {
    /// Steps of a drawn sequence: those that warm up, those that are learned from, and those that are bootstrapped from.
    pub fn length(&self) -> usize {
        self.window().length()
    }

    /// The same, each for itself.
    pub(in crate::train) fn window(&self) -> Window {
        Window { burn_in: self.burn_in, sequence: self.sequence, n_step: self.n_step }
    }

    /// Checks every setting against the number of worlds.
    ///
    /// # Errors
    /// The first setting out of range, with what was expected.
    pub fn check(&self, worlds: usize) -> Result<()> {
        self.check_at("learner", worlds)
    }

    /// The same for settings that stand at another place of a configuration.
    pub(in crate::train) fn check_at(&self, at: &str, worlds: usize) -> Result<()> {
        schema::check(at, self)?;
        within(format!("{at}.warmup"), self.warmup, 0, self.replay)?;
        let shards = format!("{at}.learning_shards");
        parts(&shards, &format!("{at}.batch"), self.batch, self.learning_shards, 1)?;
        let shards = format!("{at}.acting_shards");
        parts(&shards, "the number of worlds", worlds, self.acting_shards, 1)?;
        let default = DqnConfig::default();
        if !self.prioritised {
            let reason = "without priorities";
            let (alpha, beta) = (format!("{at}.priority_alpha"), format!("{at}.priority_beta"));
            idle(&alpha, self.priority_alpha, default.priority_alpha, reason)?;
            idle(&beta, self.priority_beta, default.priority_beta, reason)?;
        }
        Ok(())
    }

    /// The chance of a random action at `progress` (0 at the start of training, 1 at its end).
    pub fn epsilon(&self, progress: f64) -> f32 {
        let share = match self.epsilon_fraction {
            0.0 => 1.0,
            fraction => (progress as f32 / fraction).clamp(0.0, 1.0),
        };
        self.epsilon_start + (self.epsilon_end - self.epsilon_start) * share
    }
}
