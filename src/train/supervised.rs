//! Supervised learning: worlds that say what would have been right ([`VecEnv::answers`]) are learned from that, without a
//! reward. One step of Adam a rollout, by the cross entropy of discrete choices with the right ones and the squared error of
//! continuous numbers ([`Distribution::error`]); steps without an answer count for nothing. Gradients flow through the whole
//! rollout, and the recurrent state is carried from one to the next.
//!
//! The worlds go on by what the agents do, so that they learn what is right where they themselves get to (the last step of
//! DAgger: Ross, Gordon and Bagnell 2011, arXiv 1011.0686); or by the answers, which is behavioural cloning
//! ([`SupervisedConfig::follow_answers`]).
//!
//! [`Distribution::error`]: crate::action::Distribution::error
//!
//! ```
//! use synod::preset::Settings;
//! let items = ["world.lag=3".to_string(), "world.worlds=4".to_string()];
//! let settings = Settings::with_items("repeat-s5", &items)?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! let report = trainer.step()?;
//! // An episode of 52 steps in four worlds; the first three steps have no answer.
//! assert_eq!((report.steps, report.updates), (4 * 52, 1));
//! assert!(report.value("right").is_some_and(|right| (0.0..=1.0).contains(&right)));
//! # Ok::<(), synod::Error>(())
//! ```
//!
//! Numbers are learned as choices are:
//!
//! ```
//! use synod::agent::team::TeamConfig;
//! use synod::env::sinusoid::SinusoidConfig;
//! use synod::preset::Settings;
//! use synod::train::supervised::SupervisedConfig;
//! let settings =
//!     Settings::new(SinusoidConfig::default(), TeamConfig::default(), SupervisedConfig::default());
//! let report = settings.trainer(&synod::Device::cpu())?.step()?;
//! assert!(report.value("loss/answers").is_some_and(|error| error > 0.0));
//! # Ok::<(), synod::Error>(())
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{LearnerSettings, Making, parts};
use super::rates::Rates;
use super::reduce::{Descent, Loss, Reduce};
use super::rollout::Rollout;
use super::{
    Checkpoint, Report, TensorData, Trainer, agent_checkpoint, episodes, finite, shard_counts, statistics,
    take_up,
};
use crate::Device;
use crate::action::Action;
use crate::agent::actors::Choice;
use crate::agent::{Mode, Policy, Sequence, masks_input, neighbours, state_inputs};
use crate::env::{Spec, VecEnv};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::optim::{Optimiser, Rule, Schedule};
use crate::program::{Program, Summary};
use crate::registry::Member;
use crate::schema;

/// Statistics of a rollout, in the order in which the program gives them.
const STATISTICS: [&str; 2] = ["loss/answers", "right"];
/// Steps of a rollout of worlds that do not say how long their episodes are.
const ROLLOUT: usize = 32;

/// The settings of supervised learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupervisedConfig {
    /// Steps of a rollout, and so how far gradients reach through time; 0 for an episode, where the world says how long
    /// that is, else for 32.
    #[schemars(range(min = 0, max = 1 << 20))]
    pub rollout: usize,
    /// The worlds go on by the answers, where there is one, and not by what the agents do.
    pub follow_answers: bool,
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
    /// The gradient's norm is clipped to this.
    #[schemars(range(min = 0.0))]
    pub max_gradient_norm: f32,
    /// Shards of a rollout's worlds while learning; 0 for as many as divide them, up to 4. Part of the result: sums are
    /// taken shard by shard.
    pub learning_shards: usize,
    /// Shards of the worlds while acting; must divide the number of worlds. 0 for as many as do, up to 4.
    pub acting_shards: usize,
}

impl Default for SupervisedConfig {
    fn default() -> Self {
        SupervisedConfig {
            rollout: 0,
            follow_answers: false,
            learning_rate: 2e-3,
            schedule: Schedule::Constant,
            adam_epsilon: 1e-8,
            rates: Rates::default(),
            max_gradient_norm: 1.0,
            learning_shards: 0,
            acting_shards: 0,
        }
    }
}

impl Member for SupervisedConfig {
    const NAME: &'static str = "supervised";
    const SUMMARY: &'static str =
        "the right answers of worlds that say them: cross entropy, or squared error of numbers";
}

impl SupervisedConfig {
    /// The shards that act and those that learn.
    fn shards(&self, worlds: usize) -> Result<[usize; 2]> {
        schema::check("learner", self)?;
        let of = "the number of worlds";
        let learning = parts("learner.learning_shards", of, worlds, self.learning_shards, 4)?;
        Ok([parts("learner.acting_shards", of, worlds, self.acting_shards, 4)?, learning])
    }
}

impl LearnerSettings for SupervisedConfig {
    fn check(&self, worlds: usize) -> Result<()> {
        self.shards(worlds).map(|_| ())
    }

    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        let policy = self.policy(making, world.spec())?;
        Ok(Box::new(Supervised::new(making.device, policy, world, self, making.steps, making.seed)?))
    }

    /// What they hold most probable is their answer.
    fn choice(&self, _greedy: bool) -> Choice {
        Choice::Greedy
    }
}

/// Supervised learning for one kind of agent.
pub struct Supervised {
    config: SupervisedConfig,
    device: Device,
    policy: Box<dyn Policy>,
    rollout: Rollout,
    spec: Spec,
    descent: Descent,
    time: usize,
    budget: u64,
    steps: u64,
}

impl Supervised {
    /// A trainer for `policy` in `environment`. `budget` is the number of agent-steps that schedules end at.
    ///
    /// # Errors
    /// Worlds that do not say what is right, settings out of range, or what compilation reports.
    pub fn new(
        device: &Device,
        policy: Box<dyn Policy>,
        environment: Box<dyn VecEnv>,
        config: &SupervisedConfig,
        budget: u64,
        seed: u64,
    ) -> Result<Self> {
        let spec = environment.spec().clone();
        let [acting, learning] = config.shards(spec.worlds)?;
        let (acting, learning) = shard_counts(device, acting, learning);
        let time = match (config.rollout, spec.limit) {
            (0, u32::MAX) => ROLLOUT,
            (0, limit) => limit.clamp(1, 1 << 20) as usize,
            (steps, _) => steps,
        };
        let choice = Choice::Sample;
        let mut rollout =
            Rollout::exploring(device, policy.as_ref(), environment, time, acting, seed, choice)?;
        rollout.keep_answers(config.follow_answers).map_err(|error| match error {
            Error::Usage(reason) => Error::config("learner.kind", format!("another: {reason}")),
            other => other,
        })?;
        let rule = Rule::adam(config.adam_epsilon);
        let optimisers = config.rates.optimisers("learner.rates", device, &[policy.parameters()], rule)?;
        let descent = Descent::new(
            device,
            "agent",
            optimisers,
            learning,
            loss(policy.as_ref(), &spec, time, learning),
        )?;
        let (config, device) = (config.clone(), device.clone());
        Ok(Supervised { config, device, policy, rollout, spec, descent, time, budget, steps: 0 })
    }
}

/// Builds the loss of one of so many shards of a rollout, with the [`STATISTICS`].
fn loss<'a>(
    policy: &'a dyn Policy,
    spec: &'a Spec,
    time: usize,
    shards: usize,
) -> impl for<'g> Fn(&'g Graph, &[Optimiser]) -> Result<Loss<'g>> + 'a {
    let (agents, worlds, kind) = (spec.agents(), spec.worlds / shards, &spec.kinds[0]);
    move |graph, optimisers| {
        let lanes = [time, agents, worlds];
        let weights = policy.parameters().weights(graph);
        let sequence = Sequence::input(graph, policy, lanes, &kind.observation, Mode::Learning);
        let state = state_inputs(graph, policy, [agents, worlds]);
        let unrolled = policy.unroll(graph, &weights, sequence, &state)?;
        let masks = masks_input(graph, spec.masked, kind, &lanes);
        let of = kind.actions.distribution(unrolled.parameters, masks, policy.bounded())?;
        let answers = Action::input(graph, &kind.actions, &lanes);
        let share = graph.input("shares", lanes);
        let error = (of.error(answers)? * share).sum_all();
        // All choices of an action at once.
        let right = match (of.mode().discrete, answers.discrete) {
            (Some(chosen), Some(answers)) => {
                let same = chosen.to_f32().equal(answers.to_f32()).min(&[-1]).reshape(lanes);
                (same * share).sum_all()
            }
            _ => graph.scalar(0.0),
        };
        let mut loss = error.reshape([]);
        if let Some(price) = unrolled.price {
            // All shards together pay it once.
            loss = loss + price.reshape([]) / shards as f32;
        }
        let gradient = optimisers[0].gradient(loss, &weights)?;
        let statistics = graph.concat(&[error.reshape([1]), right.reshape([1])], 0);
        Ok(Loss { gradient, outputs: vec![statistics] })
    }
}

impl Trainer for Supervised {
    fn learning(&self) -> Option<(Summary, usize)> {
        Some((self.descent.summary(), self.descent.count()))
    }

    fn set_reduce(&mut self, reduce: Arc<dyn Reduce>) -> Result<()> {
        let loss = loss(self.policy.as_ref(), &self.spec, self.time, self.descent.count());
        self.descent.set_reduce(&self.device, reduce, loss)
    }

    fn step(&mut self) -> Result<Report> {
        let progress = self.steps as f64 / self.budget.max(1) as f64;
        self.rollout.collect()?;
        let experience = self.rollout.experience();
        self.steps += (experience.time * experience.agents * experience.worlds) as u64;
        let counts = |lane: usize| experience.weights[lane] * experience.answered[lane];
        let count: f32 = (0..experience.weights.len()).map(counts).sum();
        let mut values = Vec::new();
        let learning_rate = self.config.learning_rate * self.config.schedule.factor(progress);
        // Without an answer there is nothing to learn.
        if count > 0.0 {
            let each = experience.worlds / self.descent.count();
            let policy = self.policy.as_ref();
            let fill = |shard: usize, program: &mut Program| -> Result<()> {
                let worlds: Vec<usize> = (shard * each..(shard + 1) * each).collect();
                experience.fill_answers(program, &worlds)?;
                neighbours::fill(program, policy, [experience.time, experience.agents, each])?;
                let shares = program.input_mut("shares")?;
                for (row, shares) in shares.chunks_exact_mut(each).enumerate() {
                    for (share, world) in shares.iter_mut().zip(&worlds) {
                        *share = counts(row * experience.worlds + world) / count;
                    }
                }
                Ok(())
            };
            let steps = self.steps;
            let look = |shards: &[Program]| statistics(shards, &STATISTICS, steps);
            let limit = self.config.max_gradient_norm;
            let ([error, right], norm) = self.descent.step(learning_rate, limit, fill, look)?;
            finite("gradient", norm, steps)?;
            values.push((STATISTICS[0].to_string(), error));
            if self.spec.kinds[0].actions.integers() > 0 {
                values.push((STATISTICS[1].to_string(), right));
            }
            values.push(("gradient_norm".into(), norm));
        }
        values.push(("answered".into(), f64::from(count) / experience.weights.len() as f64));
        values.push(("learning_rate".into(), f64::from(learning_rate)));
        let ended = episodes(&self.rollout.take_reports());
        let values = ended.into_iter().chain(values).collect();
        Ok(Report { steps: self.steps, updates: self.descent.updates(), values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = self.save_agent()?;
        self.descent.save(&mut checkpoint)?;
        self.rollout.save(&mut checkpoint)?;
        checkpoint.insert("trainer/steps", TensorData::u64(&[1], &[self.steps])?);
        Ok(checkpoint)
    }

    fn save_agent(&self) -> Result<Checkpoint> {
        agent_checkpoint(self.policy.as_ref())
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.check_architecture(&self.policy.architecture())?;
        take_up(self, checkpoint, |trainer, from| {
            trainer.rollout.load(from)?;
            trainer.policy.parameters().load("agent", from)?;
            trainer.descent.load(from)?;
            trainer.steps = from.counter("trainer/steps")?;
            Ok(())
        })
    }
}
