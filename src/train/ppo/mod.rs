//! Proximal policy optimisation (Schulman et al. 2017) for teams of agents with recurrent state.
//!
//! An iteration is a rollout and then some epochs over it in minibatches of whole worlds: a minibatch holds every
//! step and every agent of its worlds, so that gradients flow through time and between the agents that read one
//! another's memories. Each minibatch is cut into a fixed number of shards; a thread runs a whole program on its shard,
//! the gradients are summed in a fixed order, and one optimiser step follows. A network with noise of its own
//! gets the keys with which its agents acted: what was said is said again, so that the ratio of probabilities is that of two
//! networks and not of two draws. The loss stands in `program`, the settings in `config`.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("spread-ippo", &["learner.rollout=8".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! let report = trainer.step()?;
//! assert!(report.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

mod config;
mod program;
mod values;

pub use config::PpoConfig;

use std::sync::Arc;

use super::coma::Credit;
use super::curiosity::Curiosity;
use super::influence::Influence;
use super::normaliser::Normaliser;
use super::reduce::{Descent, Loss, Reduce};
use super::rollout::{Experience, Rollout};
use super::{
    Checkpoint, Report, TensorData, Trainer, agent_checkpoint, episodes, finite, shard_counts, statistics,
    take_up,
};
use crate::Device;
use crate::agent::{Policy, mixed_key, neighbours};
use crate::env::{Spec, VecEnv};
use crate::error::Result;
use crate::graph::Graph;
use crate::nn::initial::Stream;
use crate::optim::{KlAdaptive, Optimiser, Rule};
use crate::program::{Program, Summary};
use program::{STATISTICS, loss};
use values::ValueScale;

/// PPO for one kind of agent.
pub struct Ppo {
    config: PpoConfig,
    device: Device,
    policy: Box<dyn Policy>,
    rollout: Rollout,
    spec: Spec,
    descent: Descent,
    curiosity: Option<Curiosity>,
    influence: Option<Influence>,
    values: Option<ValueScale>,
    normaliser: Option<Normaliser>,
    credit: Option<Credit>,
    learning_rate: f32,
    budget: u64,
    steps: u64,
    iteration: u64,
    seed: u64,
}

impl Ppo {
    /// A trainer for `policy` in `environment`. `budget` is the number of agent-steps that schedules end at.
    ///
    /// # Errors
    /// Settings out of range, or what compilation reports.
    pub fn new(
        device: &Device,
        policy: Box<dyn Policy>,
        environment: Box<dyn VecEnv>,
        config: PpoConfig,
        budget: u64,
        seed: u64,
    ) -> Result<Self> {
        let spec = environment.spec().clone();
        let config = config.resolved(spec.worlds)?;
        let (acting, learning) = shard_counts(device, config.acting_shards, config.learning_shards);
        let rollout = Rollout::new(device, policy.as_ref(), environment, config.rollout, acting, seed)?;
        let rule = Rule::adam(config.adam_epsilon);
        let optimisers = config.rates.optimisers("learner.rates", device, &[policy.parameters()], rule)?;
        let loss = shard_loss(&config, policy.as_ref(), &spec, learning);
        let descent = Descent::new(device, "agent", optimisers, learning, loss)?;
        let learning_rate = config.learning_rate;
        let lanes = [config.rollout, spec.agents(), spec.worlds];
        let curiosity =
            Curiosity::new(device, &config.curiosity, &spec.kinds[0], lanes, None, config.gamma, seed)?;
        let influence = Influence::new(device, &config.influence, policy.as_ref(), &spec, seed)?;
        let device = device.clone();
        let values = config.normalise_values.then(ValueScale::default);
        let normaliser = Normaliser::new(policy.as_ref());
        let (steps, iteration) = (0, 0);
        Ok(Ppo {
            config,
            device,
            policy,
            rollout,
            spec,
            descent,
            curiosity,
            influence,
            values,
            normaliser,
            credit: None,
            learning_rate,
            budget,
            steps,
            iteration,
            seed,
        })
    }

    /// Has agents learn by what a counterfactual critic says of their own actions, in place of advantages by what all
    /// were paid. The policy has to have that critic.
    pub fn set_credit(&mut self, credit: Credit) {
        self.credit = Some(credit);
    }

    /// The agent that learns.
    pub fn policy(&self) -> &dyn Policy {
        self.policy.as_ref()
    }

    /// The device that it learns on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// One optimiser step on these worlds; the statistics and the gradient's norm.
    fn learn(&mut self, advantages: &[f32], returns: &[f32], worlds: &[usize]) -> Result<[f64; 6]> {
        let experience = self.rollout.experience();
        let (mean, scale, count) = moments(experience, advantages, worlds, self.config.advantage_epsilon);
        let (mean, scale) = if self.config.normalise_advantages { (mean, scale) } else { (0.0, 1.0) };
        let each = worlds.len() / self.descent.count();
        let config = &self.config;
        let policy = self.policy.as_ref();
        let entropy = config.entropy_coefficient * config.entropy_schedule.factor(self.progress());
        let numbers = [config.clip, config.value_clip, config.value_coefficient, entropy];
        let (seed, updates, steps) = (self.seed, self.descent.updates(), self.steps);
        let fill = |i: usize, learner: &mut Program| -> Result<()> {
            let own = &worlds[i * each..(i + 1) * each];
            experience.fill(learner, own)?;
            if let Some(input) = learner.find_input_u32("entropy key") {
                input.copy_from_slice(&mixed_key([seed, updates], i as u64));
            }
            neighbours::fill(learner, policy, [experience.time, experience.agents, each])?;
            learner.input_mut("numbers")?.copy_from_slice(&numbers);
            let rows = experience.time * experience.agents;
            let mut put = |name: &str, of: &dyn Fn(usize) -> f32| {
                // Without a limit on values nothing asks for the old ones.
                let Some(input) = learner.find_input(name) else { return };
                for row in 0..rows {
                    for (j, &world) in own.iter().enumerate() {
                        input[row * each + j] = of(row * experience.worlds + world);
                    }
                }
            };
            put("advantages", &|lane| (advantages[lane] - mean) * scale);
            put("returns", &|lane| returns[lane]);
            put("old values", &|lane| experience.values[lane]);
            put("old log-probabilities", &|lane| experience.log_probabilities[lane]);
            put("weights", &|lane| experience.weights[lane] / count);
            Ok(())
        };
        let look = |learners: &[Program]| statistics(learners, &STATISTICS, steps);
        let limit = config.max_gradient_norm;
        let ([policy, value, entropy, kl, clipped], norm) =
            self.descent.step(self.learning_rate, limit, fill, look)?;
        finite("gradient", norm, self.steps)?;
        Ok([policy, value, entropy, kl, clipped, norm])
    }

    /// How much of the training is done, 0 to 1.
    fn progress(&self) -> f64 {
        self.steps as f64 / self.budget.max(1) as f64
    }
}

/// Builds the loss of one of so many shards of a minibatch.
fn shard_loss<'a>(
    config: &'a PpoConfig,
    policy: &'a dyn Policy,
    spec: &'a Spec,
    shards: usize,
) -> impl for<'g> Fn(&'g Graph, &[Optimiser]) -> Result<Loss<'g>> + 'a {
    let sizes = (spec.agents(), spec.worlds / config.minibatches / shards);
    move |graph, optimisers| loss(graph, policy, config, sizes, spec, &optimisers[0])
}

/// Mean and inverse deviation of the advantages of these worlds, and how many there are.
fn moments(experience: &Experience, advantages: &[f32], worlds: &[usize], epsilon: f32) -> (f32, f32, f32) {
    let (mut count, mut sum, mut squares) = (0f64, 0f64, 0f64);
    for row in 0..experience.time * experience.agents {
        for &world in worlds {
            let lane = row * experience.worlds + world;
            if experience.weights[lane] > 0.0 {
                let advantage = f64::from(advantages[lane]);
                count += 1.0;
                sum += advantage;
                squares += advantage * advantage;
            }
        }
    }
    let count = count.max(1.0);
    let mean = sum / count;
    let deviation = (squares / count - mean * mean).max(0.0).sqrt();
    (mean as f32, (1.0 / (deviation + f64::from(epsilon))) as f32, count as f32)
}

impl Trainer for Ppo {
    fn learning(&self) -> Option<(Summary, usize)> {
        Some((self.descent.summary(), self.descent.count()))
    }

    fn set_reduce(&mut self, reduce: Arc<dyn Reduce>) -> Result<()> {
        if let Some(curiosity) = &mut self.curiosity {
            curiosity.set_reduce(&self.device, reduce.clone())?;
        }
        let loss = shard_loss(&self.config, self.policy.as_ref(), &self.spec, self.descent.count());
        self.descent.set_reduce(&self.device, reduce, loss)
    }

    fn step(&mut self) -> Result<Report> {
        self.rollout.collect()?;
        let absorbed = match &mut self.curiosity {
            Some(curiosity) => Some(curiosity.absorb(self.rollout.experience())?),
            None => None,
        };
        if let Some(absorbed) = &absorbed {
            let rewards = &mut self.rollout.experience_mut().rewards;
            rewards.iter_mut().zip(&absorbed.bonuses).for_each(|(reward, bonus)| *reward += bonus);
        }
        let influence = match &mut self.influence {
            Some(influence) => {
                Some(influence.rewards(self.policy.as_ref(), self.rollout.experience(), self.iteration)?)
            }
            None => None,
        };
        if let Some(influence) = &influence {
            let rewards = &mut self.rollout.experience_mut().rewards;
            rewards.iter_mut().zip(influence).for_each(|(reward, bonus)| *reward += bonus);
        }
        let (gamma, lambda) = (self.config.gamma, self.config.gae_lambda);
        let (advantages, returns, value) = match (&mut self.credit, &mut self.values) {
            (Some(credit), _) => {
                let experience = self.rollout.experience_mut();
                credit.advantages(self.policy.as_ref(), experience, [gamma, lambda])?
            }
            (None, Some(values)) => values.advantages(self.rollout.experience_mut(), gamma, lambda)?,
            (None, None) => {
                let experience = self.rollout.experience();
                let (advantages, returns) = experience.advantages(gamma, lambda)?;
                let sum = experience.values.iter().map(|v| f64::from(*v)).sum::<f64>();
                (advantages, returns, sum / experience.values.len() as f64)
            }
        };
        let experience = self.rollout.experience();
        let lived: f64 = experience.weights.iter().map(|w| f64::from(*w)).sum();
        let worlds = experience.worlds;
        self.steps += (experience.time * experience.agents * worlds) as u64;
        self.iteration += 1;
        let batch = worlds / self.config.minibatches;
        let progress = self.progress();
        if self.config.kl_target == 0.0 {
            self.learning_rate = self.config.learning_rate * self.config.schedule.factor(progress);
        }
        let mut sums = [0f64; 6];
        let mut updates = 0;
        for epoch in 0..self.config.epochs {
            let mut order: Vec<usize> = (0..worlds).collect();
            let mut stream = Stream::new(self.seed ^ (self.iteration << 20) ^ epoch as u64);
            for i in (1..worlds).rev() {
                order.swap(i, stream.below(i + 1));
            }
            for minibatch in order.chunks_exact(batch) {
                let statistics = self.learn(&advantages, &returns, minibatch)?;
                for (sum, value) in sums.iter_mut().zip(statistics) {
                    *sum += value;
                }
                updates += 1;
            }
        }
        if let Some(credit) = &mut self.credit {
            credit.follow(self.policy.as_ref(), self.descent.updates())?;
        }
        if let Some(normaliser) = &mut self.normaliser {
            normaliser.absorb(self.policy.as_ref(), self.rollout.experience())?;
        }
        let means = sums.map(|s| s / f64::from(updates));
        let used_rate = self.learning_rate;
        if self.config.kl_target > 0.0 {
            let highest = self.config.highest_learning_rate * self.config.schedule.factor(progress);
            let adaptive =
                KlAdaptive { target: self.config.kl_target, lowest: 1e-6, highest: highest.max(1e-6) };
            self.learning_rate = adaptive.next(self.learning_rate, means[3] as f32);
        }
        let mut values = episodes(&self.rollout.take_reports());
        values.extend(STATISTICS.iter().zip(means).map(|(name, mean)| (name.to_string(), mean)));
        if let Some(absorbed) = absorbed {
            values.push(("intrinsic_reward".into(), absorbed.mean));
            values.push(("loss/curiosity".into(), absorbed.loss));
        }
        if let Some(influence) = influence {
            let sum: f64 = influence.iter().map(|bonus| f64::from(*bonus)).sum();
            values.push(("influence".into(), sum / influence.len().max(1) as f64));
        }
        values.push(("gradient_norm".into(), means[5]));
        values.push(("value".into(), value));
        values.push(("learning_rate".into(), f64::from(used_rate)));
        values.push(("active".into(), lived / (self.config.rollout * self.rollout.lanes()) as f64));
        Ok(Report { steps: self.steps, updates: self.descent.updates(), values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = agent_checkpoint(self.policy.as_ref())?;
        self.descent.save(&mut checkpoint)?;
        self.rollout.save(&mut checkpoint)?;
        if let Some(curiosity) = &self.curiosity {
            curiosity.save(&mut checkpoint)?;
        }
        if let Some(values) = &self.values {
            checkpoint.insert("trainer/values", TensorData::f64(&[3], &values.numbers())?);
        }
        if let Some(normaliser) = &self.normaliser {
            normaliser.save(&mut checkpoint)?;
        }
        if let Some(credit) = &self.credit {
            credit.save(self.policy.as_ref(), &mut checkpoint)?;
        }
        checkpoint.insert("trainer/counters", TensorData::u64(&[2], &[self.steps, self.iteration])?);
        checkpoint.insert("trainer/learning_rate", TensorData::f32(&[1], &[self.learning_rate])?);
        Ok(checkpoint)
    }

    fn save_agent(&self) -> Result<Checkpoint> {
        let mut checkpoint = agent_checkpoint(self.policy.as_ref())?;
        if let Some(curiosity) = &self.curiosity {
            curiosity.save(&mut checkpoint)?;
        }
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.check_architecture(&self.policy.architecture())?;
        take_up(self, checkpoint, |trainer, from| {
            let rate = from.tensor("trainer/learning_rate")?.to_f32()?;
            trainer.rollout.load(from)?;
            trainer.policy.parameters().load("agent", from)?;
            trainer.descent.load(from)?;
            if let Some(curiosity) = &mut trainer.curiosity {
                curiosity.load(from)?;
            }
            if let Some(values) = &mut trainer.values {
                values.take(&from.tensor("trainer/values")?.to_f64()?)?;
            }
            if let Some(normaliser) = &mut trainer.normaliser {
                normaliser.load(from)?;
            }
            if let Some(credit) = &mut trainer.credit {
                credit.load(trainer.policy.as_ref(), from)?;
            }
            let counters = from.counters("trainer/counters", 2)?;
            (trainer.steps, trainer.iteration) = (counters[0], counters[1]);
            trainer.learning_rate = rate[0];
            Ok(())
        })
    }
}
