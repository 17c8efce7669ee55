//! Deep Q-learning for teams: DQN (Mnih et al. 2015) with double and dueling networks, n-step returns and priorities;
//! DRQN and R2D2 for agents with recurrent state (Hausknecht and Stone 2015; Kapturowski et al. 2019); VDN and QMIX for
//! values of the whole team. Which of them it is, is a matter of settings.
//!
//! An iteration is a rollout of all worlds, kept in a replay, and then some updates from sequences drawn there. An
//! update is cut into a fixed number of shards as in `train::ppo`. The programs stand in `program`, the settings in
//! `config`; what is kept and drawn is `train::replay`'s affair, the mixers' `train::mixer`'s.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("two-step-qmix", &["learner.prioritised=true".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! let report = trainer.step()?;
//! assert!(report.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

mod config;
pub(super) mod program;

pub use config::DqnConfig;

use std::sync::Arc;

use super::curiosity::Curiosity;
use super::drawn::{Kept, Learned, fill_targets, target_program};
use super::mixer::{Mixer, Mixing};
use super::reduce::{Descent, Reduce};
use super::replay::{Priority, Replay, Targets};
use super::rollout::Rollout;
use super::{
    Checkpoint, Report, TensorData, Trainer, agent_checkpoint, episodes, finite, shard_counts, statistics,
    take_up,
};
use crate::Device;
use crate::agent::actors::Choice;
use crate::agent::{Policy, fill_noise, neighbours, noise_key};
use crate::env::{Spec, VecEnv};
use crate::error::Result;
use crate::nn::Parameters;
use crate::nn::initial::Stream;
use crate::optim::Rule;
use crate::program::{Program, Summary};
use program::{Parts, STATISTICS, loss};

/// Q-learning for one kind of agent.
pub struct Dqn {
    config: DqnConfig,
    device: Device,
    policy: Box<dyn Policy>,
    rollout: Rollout,
    replay: Replay,
    spec: Spec,
    mixer: Mixer,
    learned: Vec<Learned>,
    descent: Descent,
    target: Program,
    curiosity: Option<Curiosity>,
    saves_replay: bool,
    agents: usize,
    worlds: usize,
    budget: u64,
    steps: u64,
    seed: u64,
}

impl Dqn {
    /// A trainer for `policy` (its parameters are the values of options) in `environment`. `budget` is the number of
    /// agent-steps that schedules end at.
    ///
    /// # Errors
    /// Settings out of range, kinds of agent that differ, actions of more than one discrete choice, or what compilation
    /// reports.
    pub fn new(
        device: &Device,
        policy: Box<dyn Policy>,
        environment: Box<dyn VecEnv>,
        config: DqnConfig,
        budget: u64,
        seed: u64,
    ) -> Result<Self> {
        let spec = environment.spec().clone();
        spec.only_kind("Q-learning")?.actions.one_choice("Q-learning")?;
        config.check(spec.worlds)?;
        let (acting, learning) = shard_counts(device, config.acting_shards, config.learning_shards);
        let mut rollout = Rollout::exploring(
            device,
            policy.as_ref(),
            environment,
            config.rollout,
            acting,
            seed,
            Choice::EpsilonGreedy,
        )?;
        if matches!(config.mixer, Mixing::Qmix(_)) {
            rollout.keep_world_state();
        }
        let world_state = rollout.experience().world_state.len() / (config.rollout * spec.worlds);
        let kind = &spec.kinds[0];
        let kept = Kept { steps: config.replay, rollout: config.rollout, stored_state: config.stored_state };
        let sizes = kept.sizes(config.window(), policy.as_ref(), &spec, world_state);
        let replay = Replay::new(sizes, config.prioritised)?;
        let mixer = Mixer::new(device, config.mixer, &spec, seed)?;
        let rule = Rule::adam(config.adam_epsilon);
        let sets: Vec<&Parameters> =
            [Some(policy.parameters()), mixer.parameters()].into_iter().flatten().collect();
        let optimisers = config.rates.optimisers("learner.rates", device, &sets, rule)?;
        let learned = sets.iter().map(|set| Learned::new(device, set)).collect::<Result<Vec<_>>>()?;
        let parts = loss_parts(&config, policy.as_ref(), &spec, &mixer, &learned);
        let batch = config.batch / learning;
        let descent = Descent::new(device, "agent", optimisers, learning, |graph, optimisers| {
            loss(graph, &parts, batch, optimisers)
        })?;
        let target = target_program(device, &learned)?;
        let (agents, worlds) = (kind.count, spec.worlds);
        let steps = [config.rollout, agents, worlds];
        // Drawn sequences are valued afresh.
        let drawn = Some([config.length(), agents, config.batch]);
        let curiosity = Curiosity::new(device, &config.curiosity, kind, steps, drawn, config.gamma, seed)?;
        Ok(Dqn {
            config,
            device: device.clone(),
            policy,
            rollout,
            replay,
            spec,
            mixer,
            learned,
            descent,
            target,
            curiosity,
            saves_replay: true,
            agents,
            worlds,
            budget,
            steps: 0,
            seed,
        })
    }

    /// Leaves the replay out of checkpoints, or not. A trainer that goes on from one without it begins with an empty
    /// replay, and learns again once that holds `warmup` steps.
    pub fn set_saves_replay(&mut self, saves: bool) {
        self.saves_replay = saves;
    }

    /// The agent that learns.
    pub fn policy(&self) -> &dyn Policy {
        self.policy.as_ref()
    }

    /// The device that it learns on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Updates so far.
    fn updates(&self) -> u64 {
        self.descent.updates()
    }

    /// How much of the training is done, 0 to 1.
    fn progress(&self) -> f64 {
        self.steps as f64 / self.budget.max(1) as f64
    }

    fn priority(&self) -> Priority {
        let (alpha, beta) = (self.config.priority_alpha, self.config.priority_beta);
        Priority { alpha, beta: beta + (1.0 - beta) * self.progress().min(1.0) as f32 }
    }

    /// One update; the statistics and the gradient's norm.
    fn learn(&mut self, learning_rate: f32) -> Result<[f64; 4]> {
        let config = &self.config;
        let team = config.mixer != Mixing::None;
        let units = if team { 1 } else { self.agents };
        let mut stream = Stream::new(self.seed ^ 0x7265_706c_6179 ^ self.updates().rotate_left(20));
        let draws = self.replay.draw(config.batch, self.priority(), &mut stream)?;
        let bonuses = match &mut self.curiosity {
            Some(curiosity) => curiosity.assess(|program| self.replay.fill(program, &draws))?,
            None => Vec::new(),
        };
        let targets: Vec<Targets> = draws
            .iter()
            .enumerate()
            .map(|(j, draw)| {
                let steps = (config.burn_in, config.sequence);
                let bonus = |t: usize, agent: usize| {
                    bonuses.get((t * self.agents + agent) * config.batch + j).copied().unwrap_or(0.0)
                };
                self.replay.targets(*draw, steps, config.n_step, config.gamma, team, &bonus)
            })
            .collect::<Result<_>>()?;
        let counted: f64 = targets.iter().flat_map(|t| &t.weights).map(|w| f64::from(*w)).sum();
        let share = (1.0 / counted.max(1.0)) as f32;
        let each = config.batch / self.descent.count();
        let (seed, updates, steps) = (self.seed, self.updates(), self.steps);
        let (config, replay, policy, agents) =
            (&self.config, &self.replay, self.policy.as_ref(), self.agents);
        let fill = |i: usize, learner: &mut Program| -> Result<()> {
            let own = i * each..(i + 1) * each;
            replay.fill(learner, &draws[own.clone()])?;
            let length = config.length();
            fill_noise(learner, each, |t, j| noise_key([seed, updates], (i * each + j) * length + t));
            neighbours::fill(learner, policy, [config.length(), agents, each])?;
            fill_targets(learner, &draws[own.clone()], &targets[own], share);
            Ok(())
        };
        let look = |learners: &[Program]| statistics(learners, &STATISTICS, steps);
        let ([loss, q, error], norm) =
            self.descent.step(learning_rate, config.max_gradient_norm, fill, look)?;
        finite("gradient", norm, self.steps)?;
        let errors: Vec<f32> = (0..self.config.batch)
            .map(|i| {
                let errors = self.descent.shards()[i / each].outputs().f32(2);
                sequence_error(errors, &targets[i].weights, self.config.sequence * units, each, i % each)
            })
            .collect();
        let priority = self.priority();
        self.replay.set_priorities(&draws, &errors, priority)?;
        if self.updates().is_multiple_of(self.config.target_every as u64) {
            self.target.run(&[("rate", &[self.config.target_rate])])?;
        }
        Ok([loss, q, error, norm])
    }

    /// Names of the sets of parameters in checkpoints.
    fn prefixes(&self) -> impl Iterator<Item = &'static str> {
        ["agent", "team"].into_iter().take(self.learned.len())
    }
}

/// What the loss of these is made from.
fn loss_parts<'a>(
    config: &'a DqnConfig,
    policy: &'a dyn Policy,
    spec: &'a Spec,
    mixer: &'a Mixer,
    learned: &'a [Learned],
) -> Parts<'a> {
    let (kind, world_state, masked) = (&spec.kinds[0], spec.state, spec.masked);
    Parts { config, policy, kind, mixer, world_state, masked, learned }
}

/// The error of a whole sequence: 0.9 of the largest and 0.1 of the mean (Kapturowski et al. 2019, section 2.3).
fn sequence_error(errors: &[f32], weights: &[f32], rows: usize, each: usize, draw: usize) -> f32 {
    let (mut largest, mut sum, mut count) = (0f32, 0f32, 0f32);
    for row in 0..rows {
        if weights[row] > 0.0 {
            let error = errors[row * each + draw];
            largest = largest.max(error);
            sum += error;
            count += 1.0;
        }
    }
    0.9 * largest + 0.1 * sum / count.max(1.0)
}

impl Trainer for Dqn {
    fn learning(&self) -> Option<(Summary, usize)> {
        Some((self.descent.summary(), self.descent.count()))
    }

    fn set_reduce(&mut self, reduce: Arc<dyn Reduce>) -> Result<()> {
        if let Some(curiosity) = &mut self.curiosity {
            curiosity.set_reduce(&self.device, reduce.clone())?;
        }
        let batch = self.config.batch / self.descent.count();
        let parts = loss_parts(&self.config, self.policy.as_ref(), &self.spec, &self.mixer, &self.learned);
        self.descent
            .set_reduce(&self.device, reduce, |graph, optimisers| loss(graph, &parts, batch, optimisers))
    }

    fn step(&mut self) -> Result<Report> {
        let epsilon = self.config.epsilon(self.progress());
        self.rollout.set_epsilon(epsilon);
        let experience = self.rollout.collect()?;
        let rows = experience.weights.len();
        let lived: f64 = experience.weights.iter().map(|w| f64::from(*w)).sum();
        self.replay.add(experience)?;
        let absorbed = match &mut self.curiosity {
            Some(curiosity) => Some(curiosity.absorb(experience)?),
            None => None,
        };
        self.steps += (self.config.rollout * self.agents * self.worlds) as u64;
        let learning_rate = self.config.learning_rate * self.config.schedule.factor(self.progress());
        let mut sums = [0f64; 4];
        let full = self.replay.len() * self.worlds >= self.config.warmup && self.replay.is_ready();
        let updates = if full { self.config.updates } else { 0 };
        for _ in 0..updates {
            for (sum, value) in sums.iter_mut().zip(self.learn(learning_rate)?) {
                *sum += value;
            }
        }
        let mut values = episodes(&self.rollout.take_reports());
        if updates > 0 {
            let mean = |i: usize| sums[i] / updates as f64;
            values.extend(STATISTICS.iter().enumerate().map(|(i, name)| (name.to_string(), mean(i))));
            values.push(("gradient_norm".into(), mean(3)));
            values.push(("learning_rate".into(), f64::from(learning_rate)));
        }
        if let Some(absorbed) = absorbed {
            values.push(("intrinsic_reward".into(), absorbed.mean));
            values.push(("loss/curiosity".into(), absorbed.loss));
        }
        values.push(("epsilon".into(), f64::from(epsilon)));
        values.push(("active".into(), lived / rows as f64));
        Ok(Report { steps: self.steps, updates: self.updates(), values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("architecture", self.policy.architecture());
        for (learned, prefix) in self.learned.iter().zip(self.prefixes()) {
            learned.save(&mut checkpoint, prefix)?;
        }
        self.descent.save(&mut checkpoint)?;
        self.rollout.save(&mut checkpoint)?;
        if self.saves_replay {
            self.replay.save(&mut checkpoint)?;
        }
        if let Some(curiosity) = &self.curiosity {
            curiosity.save(&mut checkpoint)?;
        }
        checkpoint.insert("trainer/counters", TensorData::u64(&[1], &[self.steps])?);
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
            trainer.steps = from.counter("trainer/counters")?;
            if trainer.saves_replay {
                trainer.replay.load(from)?;
                trainer.replay.check_written(trainer.steps)?;
            }
            trainer.rollout.load(from)?;
            let prefixes: Vec<&str> = trainer.prefixes().collect();
            for (learned, prefix) in trainer.learned.iter_mut().zip(prefixes) {
                learned.load(from, prefix)?;
            }
            trainer.descent.load(from)?;
            if let Some(curiosity) = &mut trainer.curiosity {
                curiosity.load(from)?;
            }
            Ok(())
        })?;
        if !self.saves_replay {
            self.replay.clear();
        }
        Ok(())
    }
}
