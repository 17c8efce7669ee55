//! Learning in two levels, h-DQN (Kulkarni et al. 2016, arXiv 1604.06057): a manager sets goals, a worker acts towards
//! them, and each learns by deep Q-learning from a replay of its own.
//!
//! - The manager's step is a whole option: it is paid the discounted sum of the world's rewards over the option's k
//!   steps, and bootstraps with the discount to the power of k (a semi-Markov decision process: Sutton et al. 1999,
//!   section 3; the paper leaves that power out). It may not set a goal that holds already.
//! - The worker's step is a step of the world. It is paid `intrinsic` where its goal holds after it, and `extrinsic`
//!   times what the world pays. Reaching the goal ends its task; where the goal's time is up it bootstraps as if the
//!   goal had stayed.
//!
//! Which goals there are and when they hold is the world's to say (`env::goals`); the agent as it acts is
//! `agent::hierarchy`, the loss and its programs are `train::dqn`'s. Settings stand in `config`, the options under way
//! in `options`, a level's network in `level` and what it learns from in `transitions`.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("chain-hierarchical", &["learner.every=4".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! let report = trainer.step()?;
//! assert!(report.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

mod config;
mod level;
mod options;
mod transitions;

pub use config::HierarchyConfig;

use std::sync::Arc;

use super::reduce::Reduce;
use super::{Checkpoint, Report, TensorData, Trainer, episodes, finite, take_up};
use crate::Device;
use crate::action::Actions;
use crate::agent::Policy;
use crate::agent::actors::{Actors, Choice, Seen};
use crate::agent::hierarchy::{Hierarchy, levels};
use crate::env::{Buffers, VecEnv};
use crate::error::Result;
use crate::program::Summary;
use level::{Level, STATISTICS};
use options::{Event, Options};
use transitions::Transition;

/// Q-learning in two levels for one kind of agent.
pub struct HierarchicalDqn {
    config: HierarchyConfig,
    device: Device,
    agent: Hierarchy,
    environment: Box<dyn VecEnv>,
    buffers: Buffers,
    managers: Actors,
    workers: Actors,
    manager: Level,
    worker: Level,
    options: Options,
    saves_replay: bool,
    agents: usize,
    worlds: usize,
    budget: u64,
    /// Agent-steps, and steps of the worlds, which count random numbers.
    steps: u64,
    world_steps: u64,
    seed: u64,
    /// `[worlds, agents, observation + goals]`: what workers see.
    seen: Vec<f32>,
    /// What the worlds were told last.
    told: Actions,
}

/// What a rollout was like.
#[derive(Default)]
struct Tally {
    options: f64,
    reached: f64,
    steps: f64,
}

impl HierarchicalDqn {
    /// A trainer for `agent` in `environment`. `budget` is the number of agent-steps that schedules end at.
    ///
    /// # Errors
    /// Settings out of range, kinds of agent that differ, or what compilation reports.
    pub fn new(
        device: &Device,
        agent: Hierarchy,
        mut environment: Box<dyn VecEnv>,
        config: &HierarchyConfig,
        budget: u64,
        seed: u64,
    ) -> Result<Self> {
        let spec = environment.spec().clone();
        config.check(spec.worlds)?;
        let worker = &config.worker;
        let (agents, worlds) = (spec.agents(), spec.worlds);
        let goals = agent.goals().count();
        let sizes = levels(&spec, agent.goals())?;
        let shards = if device.is_cpu() { worker.acting_shards } else { 1 };
        let actors = |policy: &dyn Policy, spec| {
            Actors::exploring(device, policy, spec, shards, Choice::EpsilonGreedy)
        };
        let (managers, workers) = (actors(agent.manager(), &sizes[0])?, actors(agent.worker(), &sizes[1])?);
        let level = |name, policy: &dyn Policy, spec, goals, settings, mark: u64| {
            Level::new(device, name, policy, spec, goals, settings, seed ^ mark)
        };
        let manager = level("manager", agent.manager(), &sizes[0], 0, &config.manager, 0x6d61_6e61_6765)?;
        let worker = level("worker", agent.worker(), &sizes[1], goals, worker, 0)?;
        let size = sizes[0].kinds[0].observation[0];
        let mut buffers = Buffers::new(&spec);
        environment.reset(&vec![true; worlds], &mut buffers)?;
        Ok(HierarchicalDqn {
            options: Options::new(agents * worlds, size, agent.every(), config.manager.gamma),
            config: config.clone(),
            device: device.clone(),
            agent,
            environment,
            buffers,
            managers,
            workers,
            manager,
            worker,
            saves_replay: true,
            agents,
            worlds,
            budget,
            steps: 0,
            world_steps: 0,
            seed,
            seen: vec![0.0; agents * worlds * (size + goals)],
            told: spec.actions(),
        })
    }

    /// Leaves the replays out of checkpoints, or not. A trainer that goes on from one without them begins with empty ones,
    /// and learns again once they hold `warmup` steps.
    pub fn set_saves_replay(&mut self, saves: bool) {
        self.saves_replay = saves;
    }

    /// The agent as it would act now.
    ///
    /// # Errors
    /// The device is lost.
    pub fn agent(&self) -> Result<&Hierarchy> {
        self.agent.gather()?;
        Ok(&self.agent)
    }

    /// The device that it learns on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn progress(&self) -> f64 {
        self.steps as f64 / self.budget.max(1) as f64
    }

    /// Numbers in an observation, and goals.
    fn sizes(&self) -> (usize, usize) {
        let lanes = self.agents * self.worlds;
        (self.buffers.observations.len() / lanes, self.agent.goals().count())
    }

    /// Where the actors' outputs `[agents, worlds]` hold a lane of the worlds' order `[worlds, agents]`.
    fn in_actors(&self, lane: usize) -> usize {
        lane % self.agents * self.worlds + lane / self.agents
    }

    /// Sets a goal for every agent that has none.
    fn set_goals(&mut self, ages: &[f32], present: &[f32]) -> Result<()> {
        let (size, goals) = self.sizes();
        let lanes = self.agents * self.worlds;
        let wanted: Vec<bool> =
            (0..lanes).map(|i| self.buffers.active[i] && self.options.goal(i).is_none()).collect();
        if !wanted.contains(&true) {
            return Ok(());
        }
        let mut open = vec![1.0; lanes * goals];
        let observations = self.buffers.observations.chunks_exact(size);
        for (lane, (seen, open)) in observations.zip(open.chunks_exact_mut(goals)).enumerate() {
            if wanted[lane] {
                self.agent.goals().open(seen, open);
            }
        }
        let seen = Seen {
            observations: &self.buffers.observations,
            ages,
            present,
            masks: &open,
            state: &self.buffers.state,
        };
        self.managers.act(seen, [self.seed ^ 0x676f_616c, self.world_steps])?;
        for lane in (0..lanes).filter(|lane| wanted[*lane]) {
            let goal = self.managers.actions.discrete[self.in_actors(lane)];
            self.options.begin(lane, goal, &self.buffers.observations[lane * size..][..size]);
        }
        Ok(())
    }

    /// One step of all worlds.
    fn step_worlds(&mut self, ages: &[f32], present: &[f32], tally: &mut Tally) -> Result<()> {
        self.set_goals(ages, present)?;
        let (size, goals) = self.sizes();
        let lanes = self.agents * self.worlds;
        self.seen.fill(0.0);
        let observations = self.buffers.observations.chunks_exact(size);
        for (lane, (to, from)) in self.seen.chunks_exact_mut(size + goals).zip(observations).enumerate() {
            to[..size].copy_from_slice(from);
            if let Some(goal) = self.options.goal(lane) {
                to[size + goal as usize] = 1.0;
            }
        }
        let seen = Seen {
            observations: &self.seen,
            ages,
            present,
            masks: &self.buffers.masks,
            state: &self.buffers.state,
        };
        self.workers.act(seen, [self.seed, self.world_steps])?;
        self.workers.tell(&mut self.told)?;
        self.environment.step(&self.told, &mut self.buffers)?;
        self.world_steps += 1;

        let choices = self.buffers.masks.len() / lanes;
        let mut open = vec![0.0; goals];
        for lane in 0..lanes {
            let Some(goal) = self.options.goal(lane) else { continue };
            let after = &self.buffers.observations[lane * size..][..size];
            let event = Event {
                reward: self.buffers.rewards[lane],
                reached: self.agent.goals().holds(goal as usize, after),
                terminated: self.buffers.terminated[lane],
                truncated: self.buffers.truncated[lane],
            };
            let reached = if event.reached { self.config.intrinsic } else { 0.0 };
            let goes_on = !event.reached && !event.terminated;
            let agent = lane % self.agents;
            self.worker.add(&Transition {
                agent,
                before: &self.seen[lane * (size + goals)..][..size],
                goal,
                action: self.told.discrete[lane],
                returns: reached + self.config.extrinsic * event.reward,
                bootstrap: if goes_on { self.worker.config().gamma } else { 0.0 },
                after,
                allowed: &self.buffers.masks[lane * choices..][..choices],
            });
            tally.steps += 1.0;
            let Some(closed) = self.options.step(lane, event) else { continue };
            tally.options += 1.0;
            tally.reached += f64::from(u8::from(event.reached));
            self.agent.goals().open(after, &mut open);
            self.manager.add(&Transition {
                agent,
                before: self.options.start(lane),
                goal: 0,
                action: closed.goal,
                returns: closed.returns,
                bootstrap: closed.bootstrap,
                after,
                allowed: &open,
            });
        }
        if self.buffers.ended.contains(&true) {
            let ended = self.buffers.ended.clone();
            self.environment.reset(&ended, &mut self.buffers)?;
        }
        Ok(())
    }

    fn finite(&self, level: &str, statistics: &[f64; 4]) -> Result<()> {
        let mut named = STATISTICS.iter().zip(statistics);
        named.try_for_each(|(name, value)| finite(&format!("{level}/{name}"), *value, self.steps))
    }
}

impl Trainer for HierarchicalDqn {
    fn learning(&self) -> Option<(Summary, usize)> {
        Some((self.worker.summary(), 1))
    }

    fn set_reduce(&mut self, reduce: Arc<dyn Reduce>) -> Result<()> {
        self.manager.set_reduce(&self.device, self.agent.manager(), reduce.clone())?;
        self.worker.set_reduce(&self.device, self.agent.worker(), reduce)
    }

    fn step(&mut self) -> Result<Report> {
        let progress = self.progress();
        let alone = f64::from(self.config.pretraining);
        let together = progress >= alone;
        let joint = (progress - alone) / (1.0 - alone);
        let managing = if together { self.manager.config().epsilon(joint) } else { 1.0 };
        let epsilons = [managing, self.worker.config().epsilon(progress)];
        [self.managers.epsilon, self.workers.epsilon] = epsilons;
        let lanes = self.agents * self.worlds;
        // Networks without memory and talk have no use for these.
        let (ages, present) = (vec![0.0; lanes], vec![1.0; lanes]);
        let mut tally = Tally::default();
        for _ in 0..self.worker.config().rollout {
            self.step_worlds(&ages, &present, &mut tally)?;
        }
        self.steps += (self.worker.config().rollout * lanes) as u64;
        let mut values = episodes(&self.environment.take_reports());
        for (name, epsilon) in ["manager", "worker"].into_iter().zip(epsilons) {
            let level = if name == "manager" { &mut self.manager } else { &mut self.worker };
            let config = level.config();
            let (learns, time) = if name == "manager" { (together, joint) } else { (true, progress) };
            let (updates, factor) = (config.updates, config.schedule.factor(time));
            let learning_rate = config.learning_rate * factor;
            values.push((format!("{name}/epsilon"), f64::from(epsilon)));
            if !learns || !level.is_ready() {
                continue;
            }
            let mut sums = [0f64; 4];
            for _ in 0..updates {
                for (sum, value) in sums.iter_mut().zip(level.learn(learning_rate)?) {
                    *sum += value;
                }
            }
            self.finite(name, &sums)?;
            let named = STATISTICS.iter().zip(sums);
            values.extend(named.map(|(value, sum)| (format!("{name}/{value}"), sum / updates as f64)));
        }
        if tally.options > 0.0 {
            values.push(("option_length".into(), tally.steps / tally.options));
            values.push(("reached".into(), tally.reached / tally.options));
        }
        Ok(Report { steps: self.steps, updates: self.worker.updates() + self.manager.updates(), values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("architecture", self.agent.architecture());
        for level in [&self.manager, &self.worker] {
            level.save(&mut checkpoint, self.saves_replay)?;
        }
        self.options.save(&mut checkpoint)?;
        let world = self.environment.save();
        let flat = |values: &[f32]| TensorData::f32(&[values.len()], values);
        let active: Vec<u8> = self.buffers.active.iter().map(|active| u8::from(*active)).collect();
        checkpoint.insert("worlds/state", TensorData::u8(&[world.len()], &world)?);
        checkpoint.insert("rollout/observations", flat(&self.buffers.observations)?);
        checkpoint.insert("rollout/world_state", flat(&self.buffers.state)?);
        checkpoint.insert("rollout/masks", flat(&self.buffers.masks)?);
        checkpoint.insert("rollout/active", TensorData::u8(&[active.len()], &active)?);
        checkpoint.insert("trainer/counters", TensorData::u64(&[2], &[self.steps, self.world_steps])?);
        Ok(checkpoint)
    }

    fn save_agent(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.set("architecture", self.agent.architecture());
        self.agent.manager().parameters().save("agent/manager", &mut checkpoint)?;
        self.agent.worker().parameters().save("agent/worker", &mut checkpoint)?;
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.check_architecture(&self.agent.architecture())?;
        take_up(self, checkpoint, |trainer, from| {
            trainer.options.load(from, trainer.agent.goals().count())?;
            let with_replay = trainer.saves_replay;
            trainer.manager.load(from, with_replay)?;
            trainer.worker.load(from, with_replay)?;
            trainer.environment.load(from.tensor("worlds/state")?.bytes())?;
            trainer.buffers.observations = from.tensor("rollout/observations")?.to_f32()?;
            trainer.buffers.state = from.tensor("rollout/world_state")?.to_f32()?;
            trainer.buffers.masks = from.tensor("rollout/masks")?.to_f32()?;
            let active = from.tensor("rollout/active")?.to_u8()?;
            trainer.buffers.active = active.into_iter().map(|active| active != 0).collect();
            let counters = from.counters("trainer/counters", 2)?;
            (trainer.steps, trainer.world_steps) = (counters[0], counters[1]);
            Ok(())
        })?;
        if !self.saves_replay {
            self.manager.clear();
            self.worker.clear();
        }
        Ok(())
    }
}
