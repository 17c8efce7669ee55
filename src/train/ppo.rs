//! Proximal policy optimisation (Schulman et al. 2017) for teams of agents with recurrent state.
//!
//! An iteration is a rollout and then some epochs over it in minibatches of whole worlds: a minibatch holds every
//! step and every agent of its worlds, so that gradients flow through time and between the agents that read one
//! another's memories. Each minibatch is cut into a fixed number of shards; a thread runs a whole program on its shard,
//! the gradients are summed in a fixed order, and one optimiser step follows.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::curiosity::{Curiosity, CuriosityConfig};
use super::rollout::{Experience, Rollout};
use super::{Checkpoint, Report, TensorData, Trainer};
use crate::agent::actors::allowed;
use crate::agent::{Policy, Sequence, WORLD_STATE, neighbours};
use crate::cpu::Parallel;
use crate::device::Device;
use crate::env::{AgentKind, Spec, VecEnv};
use crate::error::{Error, Result};
use crate::graph::{Data, Graph, Tensor};
use crate::nn::initial::Stream;
use crate::optim::{KlAdaptive, Optimiser, Rule, STEP_INPUT, Schedule, clip_by_global_norm};
use crate::program::{Program, Summary};

/// The settings of PPO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PpoConfig {
    /// Steps of a rollout, and so how far gradients reach through time.
    pub rollout: usize,
    /// Passes over a rollout.
    pub epochs: usize,
    /// Minibatches of a pass; must divide the number of worlds.
    pub minibatches: usize,
    /// Adam's learning rate at the start.
    pub learning_rate: f32,
    /// How the learning rate (where it adapts, its upper bound) goes down over training.
    pub schedule: Schedule,
    /// Adapt the learning rate so that the policy moves by this divergence (in nats) in an iteration; 0 for not.
    pub kl_target: f32,
    /// The upper bound of an adapted learning rate.
    pub highest_learning_rate: f32,
    /// Adam's epsilon.
    pub adam_epsilon: f32,
    /// Discount of a step.
    pub gamma: f32,
    /// Lambda of generalised advantage estimation.
    pub gae_lambda: f32,
    /// How far the ratio of probabilities may move from 1 before its gradient stops.
    pub clip: f32,
    /// How far a value may move from the old one before its gradient stops; 0 for no limit.
    pub value_clip: f32,
    /// Advantages are divided by their deviation over the minibatch and this. More than a trace: where nothing is
    /// paid yet, the critic's errors are not blown up to the size of a signal.
    pub advantage_epsilon: f32,
    /// Weight of the value loss.
    pub value_coefficient: f32,
    /// Weight of the entropy bonus at the start.
    pub entropy_coefficient: f32,
    /// How the weight of the entropy bonus goes down over training.
    pub entropy_schedule: Schedule,
    /// The gradient's norm is clipped to this.
    pub max_gradient_norm: f32,
    /// Shards of a minibatch while learning. Part of the result: sums are taken shard by shard.
    pub learning_shards: usize,
    /// Shards of the worlds while acting; must divide the number of worlds.
    pub acting_shards: usize,
}

impl Default for PpoConfig {
    /// The SRMT paper's settings for the bottleneck task (arXiv 2501.13200, table 1).
    fn default() -> Self {
        PpoConfig {
            rollout: 8,
            epochs: 1,
            minibatches: 16,
            learning_rate: 1.3e-4,
            schedule: Schedule::Constant,
            kl_target: 0.008,
            highest_learning_rate: 1e-2,
            adam_epsilon: 1e-6,
            gamma: 0.9716,
            gae_lambda: 0.95,
            clip: 0.2,
            value_clip: 1.0,
            advantage_epsilon: 1e-5,
            value_coefficient: 0.5,
            entropy_coefficient: 0.0156,
            entropy_schedule: Schedule::Constant,
            max_gradient_norm: 4.0,
            learning_shards: 4,
            acting_shards: 4,
        }
    }
}

impl PpoConfig {
    /// Checks every setting against the number of worlds.
    ///
    /// # Errors
    /// The first setting out of range, with what was expected.
    pub fn check(&self, worlds: usize) -> Result<()> {
        let positive =
            [("rollout", self.rollout), ("epochs", self.epochs), ("minibatches", self.minibatches)];
        for (key, value) in positive {
            if !(1..=1 << 20).contains(&value) {
                return Err(Error::config(format!("ppo.{key}"), format!("at least 1, got {value}")));
            }
        }
        if !worlds.is_multiple_of(self.minibatches) {
            let message = format!("a divisor of the number of worlds ({worlds}), got {}", self.minibatches);
            return Err(Error::config("ppo.minibatches", message));
        }
        let batch = worlds / self.minibatches;
        if self.learning_shards == 0 || !batch.is_multiple_of(self.learning_shards) {
            let message =
                format!("a divisor of the worlds of a minibatch ({batch}), got {}", self.learning_shards);
            return Err(Error::config("ppo.learning_shards", message));
        }
        if self.acting_shards == 0 || !worlds.is_multiple_of(self.acting_shards) {
            let message = format!("a divisor of the number of worlds ({worlds}), got {}", self.acting_shards);
            return Err(Error::config("ppo.acting_shards", message));
        }
        let numbers = [
            ("learning_rate", self.learning_rate, 0.0, 1.0),
            ("kl_target", self.kl_target, 0.0, 1e3),
            ("highest_learning_rate", self.highest_learning_rate, 1e-6, 1.0),
            ("adam_epsilon", self.adam_epsilon, 0.0, 1.0),
            ("gamma", self.gamma, 0.0, 1.0),
            ("gae_lambda", self.gae_lambda, 0.0, 1.0),
            ("clip", self.clip, 0.0, 1e3),
            ("value_clip", self.value_clip, 0.0, f32::MAX),
            ("advantage_epsilon", self.advantage_epsilon, 1e-12, f32::MAX),
            ("value_coefficient", self.value_coefficient, 0.0, f32::MAX),
            ("entropy_coefficient", self.entropy_coefficient, 0.0, f32::MAX),
            ("max_gradient_norm", self.max_gradient_norm, 0.0, f32::MAX),
        ];
        for (key, value, low, high) in numbers {
            if !(low..=high).contains(&value) {
                return Err(Error::config(format!("ppo.{key}"), format!("{low} to {high:e}, got {value}")));
            }
        }
        Ok(())
    }
}

/// Statistics of a minibatch, in the order in which the loss program gives them.
const STATISTICS: [&str; 5] = ["loss/policy", "loss/value", "entropy", "kl", "clipped"];

/// PPO for one kind of agent.
pub struct Ppo {
    config: PpoConfig,
    device: Device,
    policy: Box<dyn Policy>,
    rollout: Rollout,
    optimiser: Optimiser,
    learners: Vec<Program>,
    /// The optimiser step; none where there is one shard, whose program does it all.
    update: Option<Program>,
    curiosity: Option<Curiosity>,
    kind: AgentKind,
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
        config.check(spec.worlds)?;
        // Shards are for threads. A GPU takes the whole batch at once, and its gradients never leave it.
        let (acting, learning) =
            if device.is_cpu() { (config.acting_shards, config.learning_shards) } else { (1, 1) };
        let rollout = Rollout::new(device, policy.as_ref(), environment, config.rollout, acting, seed)?;
        let optimiser = Optimiser::new(device, policy.parameters(), Rule::adam(config.adam_epsilon))?;
        let sizes = (spec.agents(), spec.worlds / config.minibatches / learning);
        let whole = (learning == 1).then_some(&optimiser);
        let first = loss_program(device, policy.as_ref(), &config, sizes, &spec, whole)?;
        let mut learners = vec![first];
        while learners.len() < learning {
            learners.push(learners[0].fork()?);
        }
        for learner in &mut learners {
            // Shards are spread over threads; alone, a shard may use them all.
            learner.set_parallel(if learning > 1 { Parallel::Serial } else { Parallel::Pool });
        }
        let update = match learning {
            1 => None,
            shards => Some(update_program(device, policy.as_ref(), &optimiser, shards)?),
        };
        let learning_rate = config.learning_rate;
        let kind = spec.kinds[0].clone();
        let device = device.clone();
        let (steps, iteration) = (0, 0);
        Ok(Ppo {
            config,
            device,
            policy,
            rollout,
            optimiser,
            learners,
            update,
            curiosity: None,
            kind,
            learning_rate,
            budget,
            steps,
            iteration,
            seed,
        })
    }

    /// The same with rewards of its own for what it could not foresee, added to those of the worlds.
    ///
    /// # Errors
    /// Settings out of range, or what compilation reports.
    pub fn with_curiosity(mut self, config: &CuriosityConfig) -> Result<Self> {
        let experience = self.rollout.experience();
        let lanes = [experience.time, experience.agents, experience.worlds];
        let gamma = self.config.gamma;
        self.curiosity = Curiosity::new(&self.device, config, &self.kind, lanes, None, gamma, self.seed)?;
        Ok(self)
    }

    /// The agent that learns.
    pub fn policy(&self) -> &dyn Policy {
        self.policy.as_ref()
    }

    /// What the program of one learning shard is made of, and how many such shards there are.
    pub fn learning(&self) -> (Summary, usize) {
        (self.learners[0].summary(), self.learners.len())
    }

    /// The device that it learns on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// One optimiser step on these worlds; the statistics and the gradient's norm.
    fn learn(&mut self, advantages: &[f32], returns: &[f32], worlds: &[usize]) -> Result<[f64; 6]> {
        let experience = self.rollout.experience();
        let (mean, scale, count) = moments(experience, advantages, worlds, self.config.advantage_epsilon);
        let each = worlds.len() / self.learners.len();
        let config = &self.config;
        let policy = self.policy.as_ref();
        let entropy = config.entropy_coefficient * config.entropy_schedule.factor(self.progress());
        let step = self.update.is_none().then(|| self.optimiser.advance(self.learning_rate));
        self.learners.par_iter_mut().enumerate().try_for_each(|(i, learner)| -> Result<()> {
            let own = &worlds[i * each..(i + 1) * each];
            fill(learner, experience, own)?;
            neighbours::fill(learner, policy, [experience.time, experience.agents, each])?;
            let rows = experience.time * experience.agents;
            let mut put = |name: &str, of: &dyn Fn(usize) -> f32| -> Result<()> {
                // Without a limit on values nothing asks for the old ones.
                let Ok(input) = learner.input_mut(name) else { return Ok(()) };
                for row in 0..rows {
                    for (j, &world) in own.iter().enumerate() {
                        input[row * each + j] = of(row * experience.worlds + world);
                    }
                }
                Ok(())
            };
            put("advantages", &|lane| (advantages[lane] - mean) * scale)?;
            put("returns", &|lane| returns[lane])?;
            put("old values", &|lane| experience.values[lane])?;
            put("old log-probabilities", &|lane| experience.log_probabilities[lane])?;
            put("weights", &|lane| experience.weights[lane] / count)?;
            let numbers = [config.clip, config.value_clip, config.value_coefficient, entropy];
            let limit = config.max_gradient_norm;
            match &step {
                Some(step) => {
                    let inputs: [(&str, &dyn Data); 3] =
                        [("numbers", &numbers), (STEP_INPUT, step), ("gradient limit", &limit)];
                    learner.run(&inputs).map(|_| ())
                }
                None => learner.run(&[("numbers", &numbers)]).map(|_| ()),
            }
        })?;
        let mut statistics = [0f64; 6];
        for learner in &self.learners {
            for (sum, value) in statistics.iter_mut().zip(learner.outputs().f32(1)) {
                *sum += f64::from(*value);
            }
        }
        for (name, value) in STATISTICS.iter().zip(statistics) {
            self.finite(name, value)?;
        }
        statistics[5] = match &mut self.update {
            None => f64::from(self.learners[0].outputs().scalar(0)),
            Some(update) => {
                let length = self.policy.parameters().length();
                let input = update.input_mut("gradients")?;
                for (learner, row) in self.learners.iter().zip(input.chunks_exact_mut(length)) {
                    row.copy_from_slice(learner.outputs().f32(0));
                }
                // The gradient is looked at before the parameters change.
                let norm = input.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                if !norm.is_finite() {
                    return self.finite("gradient", norm).map(|()| statistics);
                }
                let numbers = self.optimiser.advance(self.learning_rate);
                let limit = self.config.max_gradient_norm;
                f64::from(update.run(&[(STEP_INPUT, &numbers), ("gradient limit", &limit)])?.scalar(0))
            }
        };
        self.finite("gradient", statistics[5])?;
        Ok(statistics)
    }

    /// How much of the training is done, 0 to 1.
    fn progress(&self) -> f64 {
        self.steps as f64 / self.budget.max(1) as f64
    }

    fn finite(&self, name: &str, value: f64) -> Result<()> {
        if value.is_finite() {
            return Ok(());
        }
        Err(Error::NotFinite { step: self.steps, tensor: name.to_string(), checkpoint: String::new() })
    }
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

/// Writes what the agents of these worlds saw and did into the inputs of a loss program.
fn fill(learner: &mut Program, experience: &Experience, worlds: &[usize]) -> Result<()> {
    let each = worlds.len();
    let rows = experience.time * experience.agents;
    let mut copy = |name: &str, source: &[f32], rows: usize, size: usize| -> Result<()> {
        let Ok(input) = learner.input_mut(name) else { return Ok(()) };
        for row in 0..rows {
            for (j, &world) in worlds.iter().enumerate() {
                let from = (row * experience.worlds + world) * size;
                let to = (row * each + j) * size;
                input[to..to + size].copy_from_slice(&source[from..from + size]);
            }
        }
        Ok(())
    };
    copy("observations", &experience.observations, rows, experience.observation)?;
    copy("ages", &experience.ages, rows, 1)?;
    copy("present", &experience.present, rows, 1)?;
    let lanes = rows * experience.worlds;
    copy("masks", &experience.masks, rows, experience.masks.len() / lanes)?;
    let size = experience.world_state.len() / (experience.time * experience.worlds);
    copy(WORLD_STATE, &experience.world_state, experience.time, size)?;
    for (i, part) in experience.state.iter().enumerate() {
        let size = part.len() / (experience.agents * experience.worlds);
        copy(&format!("state{i}"), part, experience.agents, size)?;
    }
    let actions = learner.input_mut_u32("actions")?;
    for row in 0..rows {
        for (j, &world) in worlds.iter().enumerate() {
            actions[row * each + j] = experience.actions[row * experience.worlds + world];
        }
    }
    Ok(())
}

/// Loss and gradient of a shard of so many agents and worlds. Outputs: the gradient, flat; the [`STATISTICS`]. With an
/// optimiser its step is part of the program, and the first output is the gradient's norm.
fn loss_program(
    device: &Device,
    policy: &dyn Policy,
    config: &PpoConfig,
    (agents, worlds): (usize, usize),
    spec: &Spec,
    optimiser: Option<&Optimiser>,
) -> Result<Program> {
    let graph = Graph::new();
    let lanes = [config.rollout, agents, worlds];
    let weights = policy.parameters().weights(&graph);
    let kind = &spec.kinds[0];
    let sequence = Sequence::input(&graph, policy, lanes, &kind.observation);
    let state: Vec<Tensor<'_>> = policy
        .state()
        .iter()
        .enumerate()
        .map(|(i, part)| graph.input(&format!("state{i}"), [&[agents, worlds], &part.shape[..]].concat()))
        .collect();
    let unrolled = policy.unroll(&graph, &weights, sequence, &state)?;
    let input = |name: &str| graph.input(name, lanes);
    let (advantages, returns, old_values) = (input("advantages"), input("returns"), input("old values"));
    let (old, share) = (input("old log-probabilities"), input("weights"));
    let numbers = graph.input("numbers", [4]);
    let number = |i: usize| numbers.slice(0, i, 1);
    let (clip, value_clip) = (number(0), number(1));

    let masks = spec.masked.then(|| graph.input("masks", [&lanes[..], &[kind.actions]].concat()));
    let log_probabilities = allowed(unrolled.logits, masks).log_softmax(-1);
    let chosen = log_probabilities.take_along_last(graph.input_u32("actions", lanes));
    let log_ratio = chosen - old;
    let ratio = log_ratio.exp();
    let clipped = ratio.maximum(1.0 - clip).minimum(1.0 + clip);
    // Schulman et al. 2017, equation 7.
    let policy_loss = -((ratio * advantages).minimum(clipped * advantages) * share).sum_all();
    let error = (unrolled.values - returns).square();
    let value_error = if config.value_clip > 0.0 {
        let difference = unrolled.values - old_values;
        let near = old_values + difference.maximum(-value_clip).minimum(value_clip);
        error.maximum((near - returns).square())
    } else {
        error
    };
    let value_loss = (value_error * share).sum_all();
    let entropy = -((log_probabilities.exp() * log_probabilities).sum(&[-1]) * share).sum_all();
    let loss = policy_loss + (value_loss * number(2) - entropy * number(3)).reshape([]);
    let gradient = policy.parameters().gradient(loss, &weights)?;
    // (r - 1) - log r: an estimate without bias and of little variance (Schulman 2020).
    let divergence = ((ratio - 1.0 - log_ratio) * share).sum_all();
    let beyond = ((ratio - 1.0).abs().greater(clip) * share).sum_all();
    let statistics: Vec<Tensor<'_>> =
        [policy_loss, value_loss, entropy, divergence, beyond].iter().map(|s| s.reshape([1])).collect();
    let first = match optimiser {
        Some(optimiser) => {
            let (gradient, norm) = clip_by_global_norm(gradient, graph.input("gradient limit", []));
            optimiser.update(&graph, gradient);
            norm
        }
        None => gradient,
    };
    device.compile(&graph, &[first, graph.concat(&statistics, 0)])
}

/// The optimiser step from the gradients of all shards. Output: the gradient's norm before clipping.
fn update_program(
    device: &Device,
    policy: &dyn Policy,
    optimiser: &Optimiser,
    shards: usize,
) -> Result<Program> {
    let graph = Graph::new();
    let gradients = graph.input("gradients", [shards, policy.parameters().length()]);
    let (gradient, norm) = clip_by_global_norm(gradients.sum(&[0]), graph.input("gradient limit", []));
    optimiser.update(&graph, gradient);
    device.compile(&graph, &[norm])
}

impl Trainer for Ppo {
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
        let experience = self.rollout.experience();
        let (advantages, returns) = experience.advantages(self.config.gamma, self.config.gae_lambda);
        let lived: f64 = experience.weights.iter().map(|w| f64::from(*w)).sum();
        let value =
            experience.values.iter().map(|v| f64::from(*v)).sum::<f64>() / experience.values.len() as f64;
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
        values.push(("gradient_norm".into(), means[5]));
        values.push(("value".into(), value));
        values.push(("learning_rate".into(), f64::from(used_rate)));
        values.push(("active".into(), lived / (self.config.rollout * self.rollout.lanes()) as f64));
        Ok(Report { steps: self.steps, updates: self.optimiser.steps(), values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("architecture", self.policy.architecture());
        self.policy.parameters().save("agent", &mut checkpoint)?;
        self.optimiser.save(&mut checkpoint)?;
        self.rollout.save(&mut checkpoint)?;
        if let Some(curiosity) = &self.curiosity {
            curiosity.save(&mut checkpoint)?;
        }
        checkpoint.insert("trainer/counters", TensorData::u64(&[2], &[self.steps, self.iteration])?);
        checkpoint.insert("trainer/learning_rate", TensorData::f32(&[1], &[self.learning_rate])?);
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        check_architecture(self.policy.as_ref(), checkpoint)?;
        let own = self.save()?;
        // The worlds' own state may have another length: they check it themselves.
        let expected = own.tensors.iter().map(|(name, own)| {
            let shape = match checkpoint.tensors.get(name) {
                Some(found) if name == "worlds/state" => found.shape(),
                _ => own.shape(),
            };
            (name.as_str(), own.element_type(), shape)
        });
        checkpoint.check(expected)?;
        let counters = checkpoint.tensor("trainer/counters")?.to_u64()?;
        let rate = checkpoint.tensor("trainer/learning_rate")?.to_f32()?;
        self.rollout.load(checkpoint)?;
        self.policy.parameters().load("agent", checkpoint)?;
        self.optimiser.load(checkpoint)?;
        if let Some(curiosity) = &mut self.curiosity {
            curiosity.load(checkpoint)?;
        }
        (self.steps, self.iteration) = (counters[0], counters[1]);
        self.learning_rate = rate[0];
        Ok(())
    }
}

/// Refuses a checkpoint of another network.
///
/// # Errors
/// Both architectures, in words.
pub fn check_architecture(policy: &dyn Policy, checkpoint: &Checkpoint) -> Result<()> {
    let (found, own): (String, _) = (checkpoint.get("architecture")?, policy.architecture());
    if found == own {
        return Ok(());
    }
    Err(Error::Usage(format!("the checkpoint is of another network: it holds `{found}`, expected `{own}`")))
}

/// Means over the episodes that ended, by name.
pub(super) fn episodes(reports: &[crate::env::EpisodeReport]) -> Vec<(String, f64)> {
    let mut sums: Vec<(&str, f64, f64)> = Vec::new();
    for report in reports {
        for &(name, value) in &report.values {
            match sums.iter_mut().find(|(n, _, _)| *n == name) {
                Some((_, sum, count)) => {
                    *sum += value;
                    *count += 1.0;
                }
                None => sums.push((name, value, 1.0)),
            }
        }
    }
    let mut values: Vec<(String, f64)> =
        sums.into_iter().map(|(name, sum, count)| (name.to_string(), sum / count)).collect();
    if !values.is_empty() {
        values.push(("episodes".into(), reports.len() as f64));
    }
    values
}
