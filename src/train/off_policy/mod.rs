//! Actor-critics that learn from a replay, for teams and single agents: a policy goes up the gradient of what a critic says
//! of its actions (Silver et al. 2014). MADDPG, MATD3, FACMAC, TD3 and SAC are settings of it, and learners of their own
//! ([`maddpg`](super::maddpg) and so on).
//!
//! An iteration is a rollout of all worlds, kept in a replay, and then some updates from what is drawn there: the critic's,
//! at every so many the actor's, and the targets'. An update is cut into a fixed number of shards as in `train::ppo`. The
//! losses stand in `program`, the networks of critics in `critic`, the settings in `config`.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("pendulum-td3", &["learner.warmup=64".to_string(), "learner.batch=16".into()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! let report = trainer.step()?;
//! assert!(report.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

pub(super) mod config;
mod critic;
mod program;

pub use config::{Entropy, OffPolicyConfig, View};

use std::sync::Arc;

use super::drawn::{Kept, Learned, fill_targets, target_program};
use super::exploration::{Exploration, Noise};
use super::mixer::{Mixer, Mixing};
use super::reduce::{Descent, Loss, Reduce};
use super::replay::{Draw, Priority, Replay, Targets};
use super::rollout::Rollout;
use super::{
    Checkpoint, Report, TensorData, Trainer, agent_checkpoint, episodes, finite, shard_counts, statistics,
    take_up,
};
use crate::Device;
use crate::agent::{Policy, fill_noise, mixed_key, neighbours, noise_key};
use crate::env::{Spec, VecEnv};
use crate::error::Result;
use crate::graph::Graph;
use crate::nn::initial::Stream;
use crate::nn::{Builder, Initial, Parameters};
use crate::optim::{Optimiser, Rule};
use crate::program::{Program, Summary};
use critic::Critics;
use program::{ACTION_KEY, ACTOR_STATISTICS, CRITIC_STATISTICS, Parts, actor_loss, critic_loss};

/// Names of the sets of parameters in checkpoints.
const PREFIXES: [&str; 3] = ["agent", "critic", "team"];

/// An actor-critic for one kind of agent.
pub struct OffPolicy {
    config: OffPolicyConfig,
    device: Device,
    policy: Box<dyn Policy>,
    rollout: Rollout,
    replay: Replay,
    spec: Spec,
    critics: Critics,
    mixer: Mixer,
    temperature: Option<Parameters>,
    /// Of the actor, the critics, and the mixer where it has parameters.
    learned: Vec<Learned>,
    judging: Descent,
    acting: Descent,
    target: Program,
    saves_replay: bool,
    budget: u64,
    steps: u64,
    seed: u64,
}

impl OffPolicy {
    /// A trainer for `policy` in `environment`: after the settings the number of agent-steps that schedules end at, the
    /// seed, and whether each agent's critic has parameters of its own.
    ///
    /// # Errors
    /// Settings out of range, kinds of agent that differ, or what compilation reports.
    pub fn new(
        device: &Device,
        policy: Box<dyn Policy>,
        environment: Box<dyn VecEnv>,
        config: OffPolicyConfig,
        (budget, seed, separate): (u64, u64, bool),
    ) -> Result<Self> {
        let spec = environment.spec().clone();
        config.check(spec.worlds)?;
        let kind = spec.only_kind("an actor-critic")?.clone();
        let (acting, shards) = shard_counts(device, config.acting_shards, config.learning_shards);
        let choice = config.exploring();
        let mut rollout =
            Rollout::exploring(device, policy.as_ref(), environment, config.rollout, acting, seed, choice)?;
        if kind.actions.floats() > 0 {
            let lanes = kind.count * spec.worlds;
            rollout.set_exploration(Exploration::new(config.noise, &kind.actions, lanes, seed));
        }
        if config.critic == View::Central || matches!(config.mixer, Mixing::Qmix(_)) {
            rollout.keep_world_state();
        }
        let world_state = rollout.experience().world_state.len() / (config.rollout * spec.worlds);
        let kept = Kept { steps: config.replay, rollout: config.rollout, stored_state: config.stored_state };
        let sizes = kept.sizes(config.window(), policy.as_ref(), &spec, world_state);
        let replay = Replay::new(sizes, false)?;
        let critics = Critics::new(device, &config, &spec, spec.state, separate, seed)?;
        let mixer = Mixer::new(device, config.mixer, &spec, seed)?;
        let temperature = temperature(device, &config, seed)?;
        let rule = Rule::adam(config.adam_epsilon);
        let judges: Vec<&Parameters> =
            [Some(critics.parameters()), mixer.parameters()].into_iter().flatten().collect();
        let all = [policy.parameters()].into_iter().chain(judges.iter().copied());
        let learned = all.map(|set| Learned::new(device, set)).collect::<Result<Vec<_>>>()?;
        let own = |set: &&Parameters| Optimiser::new(device, set, rule);
        let judging = judges.iter().map(own).collect::<Result<Vec<_>>>()?;
        let mut acting = config.rates.optimisers("learner.rates", device, &[policy.parameters()], rule)?;
        if let (Some(parameters), Entropy::Learned { rate, .. }) = (&temperature, config.entropy) {
            acting.push(Optimiser::new(device, parameters, rule)?.with_group("", rate, 1.0));
        }
        let parts = Parts {
            config: &config,
            policy: policy.as_ref(),
            spec: &spec,
            critics: &critics,
            mixer: &mixer,
            learned: &learned,
            temperature: temperature.as_ref(),
        };
        let judging = Descent::new(device, "critic", judging, shards, shard(&parts, shards, critic_loss))?;
        let acting = Descent::new(device, "agent", acting, shards, shard(&parts, shards, actor_loss))?;
        let target = target_program(device, &learned)?;
        let (device, saves_replay, steps) = (device.clone(), true, 0);
        Ok(OffPolicy {
            config,
            device,
            policy,
            rollout,
            replay,
            spec,
            critics,
            mixer,
            temperature,
            learned,
            judging,
            acting,
            target,
            saves_replay,
            budget,
            steps,
            seed,
        })
    }

    /// Leaves the replay out of checkpoints, or not, as [`Dqn::set_saves_replay`](super::dqn::Dqn::set_saves_replay) does.
    pub fn set_saves_replay(&mut self, saves: bool) {
        self.saves_replay = saves;
    }

    /// The agent that learns.
    pub fn policy(&self) -> &dyn Policy {
        self.policy.as_ref()
    }

    /// How much of the training is done, 0 to 1.
    fn progress(&self) -> f64 {
        self.steps as f64 / self.budget.max(1) as f64
    }

    /// What is drawn for an update, and what it is to be worth.
    fn draw(&self) -> Result<(Vec<Draw>, Vec<Targets>)> {
        let config = &self.config;
        let even = Priority { alpha: 0.0, beta: 0.0 };
        let mut stream = Stream::new(self.seed ^ 0x7265_706c_6179 ^ self.judging.updates().rotate_left(20));
        let draws = self.replay.draw(config.batch, even, &mut stream)?;
        let (steps, team) = ((config.burn_in, config.sequence), config.mixer != Mixing::None);
        let targets = draws
            .iter()
            .map(|draw| self.replay.targets(*draw, steps, config.n_step, config.gamma, team, &|_, _| 0.0))
            .collect::<Result<Vec<_>>>()?;
        Ok((draws, targets))
    }

    /// One update of the critic, and where it is time of the actor and the targets; what they report with the
    /// norms of their gradients, the critic's before the actor's.
    fn learn(&mut self, factor: f32) -> Result<([f64; 4], Option<[f64; 4]>)> {
        let (draws, targets) = self.draw()?;
        let counted: f64 = targets.iter().flat_map(|t| &t.weights).map(|w| f64::from(*w)).sum();
        let share = (1.0 / counted.max(1.0)) as f32;
        let each = self.config.batch / self.judging.count();
        let (seed, update, steps, agents) =
            (self.seed, self.judging.updates(), self.steps, self.spec.agents());
        let (replay, policy, limit) = (&self.replay, self.policy.as_ref(), self.config.max_gradient_norm);
        let length = self.config.window().length();
        // Actors and critics have random numbers of their own.
        let fill = |whose: u64| {
            let (draws, targets) = (&draws, &targets);
            move |i: usize, learner: &mut Program| -> Result<()> {
                let own = i * each..(i + 1) * each;
                replay.fill(learner, &draws[own.clone()])?;
                let key = [seed ^ whose, update];
                fill_noise(learner, each, |t, j| noise_key(key, (i * each + j) * length + t));
                if let Some(input) = learner.find_input_u32(ACTION_KEY) {
                    input.copy_from_slice(&mixed_key(key, i as u64));
                }
                neighbours::fill(learner, policy, [length, agents, each])?;
                fill_targets(learner, &draws[own.clone()], &targets[own], share);
                Ok(())
            }
        };
        let look = |names: &'static [&'static str; 3]| {
            move |learners: &[Program]| statistics(learners, names, steps)
        };
        let rate = self.config.critic_learning_rate * factor;
        let ([loss, q, error], norm) = self.judging.step(rate, limit, fill(0), look(&CRITIC_STATISTICS))?;
        finite("gradient of the critic", norm, steps)?;
        let judged = [loss, q, error, norm];
        if !self.judging.updates().is_multiple_of(self.config.actor_every as u64) {
            return Ok((judged, None));
        }
        let rate = self.config.learning_rate * factor;
        let ([loss, entropy, temperature], norm) =
            self.acting.step(rate, limit, fill(1 << 40), look(&ACTOR_STATISTICS))?;
        finite("gradient", norm, steps)?;
        self.target.run(&[("rate", &[self.config.target_rate])])?;
        Ok((judged, Some([loss, entropy, temperature, norm])))
    }
}

/// Builds the loss of one of so many shards of a batch.
fn shard<'a>(
    parts: &'a Parts<'a>,
    shards: usize,
    loss: for<'g> fn(&'g Graph, &Parts<'_>, usize, &[Optimiser]) -> Result<Loss<'g>>,
) -> impl for<'g> Fn(&'g Graph, &[Optimiser]) -> Result<Loss<'g>> + 'a {
    move |graph, optimisers| loss(graph, parts, parts.config.batch / shards, optimisers)
}

/// The logarithm of what a nat is worth, where that is learned.
fn temperature(device: &Device, config: &OffPolicyConfig, seed: u64) -> Result<Option<Parameters>> {
    let Entropy::Learned { temperature, .. } = config.entropy else { return Ok(None) };
    let mut builder = Builder::new(seed);
    builder.parameter("logarithm", [1], Initial::Constant(temperature.ln()));
    builder.build(device).map(Some)
}

impl Trainer for OffPolicy {
    fn learning(&self) -> Option<(Summary, usize)> {
        Some((self.judging.summary(), self.judging.count()))
    }

    fn set_reduce(&mut self, reduce: Arc<dyn Reduce>) -> Result<()> {
        let device = self.device.clone();
        let parts = Parts {
            config: &self.config,
            policy: self.policy.as_ref(),
            spec: &self.spec,
            critics: &self.critics,
            mixer: &self.mixer,
            learned: &self.learned,
            temperature: self.temperature.as_ref(),
        };
        let count = self.judging.count();
        self.judging.set_reduce(&device, reduce.clone(), shard(&parts, count, critic_loss))?;
        self.acting.set_reduce(&device, reduce, shard(&parts, count, actor_loss))
    }

    fn step(&mut self) -> Result<Report> {
        let progress = self.progress();
        let learns =
            |replay: &Replay| replay.len() * self.spec.worlds >= self.config.warmup && replay.is_ready();
        let warm = learns(&self.replay);
        let scale = self.config.noise_schedule.factor(progress);
        if let Some(exploration) = self.rollout.exploration_mut() {
            (exploration.scale, exploration.even) = (scale, !warm);
        }
        let experience = self.rollout.collect()?;
        let rows = experience.weights.len();
        let lived: f64 = experience.weights.iter().map(|w| f64::from(*w)).sum();
        self.replay.add(experience)?;
        self.steps += (self.config.rollout * self.spec.agents() * self.spec.worlds) as u64;
        let factor = self.config.schedule.factor(self.progress());
        let updates = if learns(&self.replay) { self.config.updates } else { 0 };
        let mut sums = [(0.0, [0f64; 4]), (0.0, [0f64; 4])];
        for _ in 0..updates {
            let (judged, acted) = self.learn(factor)?;
            for ((count, sums), values) in sums.iter_mut().zip([Some(judged), acted]) {
                let Some(values) = values else { continue };
                *count += 1.0;
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
        let mut values = episodes(&self.rollout.take_reports());
        for ((count, sums), names) in sums.iter().zip([&CRITIC_STATISTICS, &ACTOR_STATISTICS]) {
            let skips = |name: &str| {
                self.config.entropy == Entropy::None && ["entropy", "temperature"].contains(&name)
            };
            if *count > 0.0 {
                let named = names.iter().zip(sums).filter(|(name, _)| !skips(name));
                values.extend(named.map(|(name, sum)| (name.to_string(), sum / count)));
            }
        }
        if updates > 0 {
            values.push(("gradient_norm".into(), sums[0].1[3] / sums[0].0));
            values.push(("learning_rate".into(), f64::from(self.config.learning_rate * factor)));
        }
        if self.config.noise != Noise::None && self.spec.kinds[0].actions.floats() > 0 {
            values.push(("noise".into(), f64::from(scale)));
        }
        values.push(("active".into(), lived / rows as f64));
        Ok(Report { steps: self.steps, updates: self.judging.updates(), values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("architecture", self.policy.architecture());
        for (learned, prefix) in self.learned.iter().zip(PREFIXES) {
            learned.save(&mut checkpoint, prefix)?;
        }
        if let Some(temperature) = &self.temperature {
            temperature.save("temperature", &mut checkpoint)?;
        }
        for (descent, name) in [(&self.judging, "judging"), (&self.acting, "acting")] {
            let mut own = Checkpoint::new();
            descent.save(&mut own)?;
            checkpoint.nest(name, own);
        }
        self.rollout.save(&mut checkpoint)?;
        if self.saves_replay {
            self.replay.save(&mut checkpoint)?;
        }
        checkpoint.insert("trainer/counters", TensorData::u64(&[1], &[self.steps])?);
        Ok(checkpoint)
    }

    fn save_agent(&self) -> Result<Checkpoint> {
        agent_checkpoint(self.policy.as_ref())
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
            for (learned, prefix) in trainer.learned.iter_mut().zip(PREFIXES) {
                learned.load(from, prefix)?;
            }
            if let Some(temperature) = &trainer.temperature {
                temperature.load("temperature", from)?;
            }
            trainer.judging.load(&from.nested("judging"))?;
            trainer.acting.load(&from.nested("acting"))
        })?;
        if !self.saves_replay {
            self.replay.clear();
        }
        Ok(())
    }
}
