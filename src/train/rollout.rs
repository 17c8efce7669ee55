//! Rollouts: worlds and agents stepped together for a fixed time, and what they did ([`Experience`]).
//!
//! Ends of episodes: a world that ended by its own rules starts its next episode at once. A world that was cut off by
//! the limit of steps stays for one more step, in which the critic values its last observation (with the recurrent
//! state that belongs to it); that step does not count as experience, and then the world starts again.
//!
//! ```
//! use synod::agent::{AgentConfig, Policy};
//! use synod::env::WorldConfig;
//! use synod::train::rollout::Rollout;
//! let device = synod::Device::cpu();
//! let world = WorldConfig::named("simple_spread")?.with_worlds(4).build(0)?;
//! let policy = AgentConfig::named("team")?.policy(&device, world.spec(), false, 7)?;
//! let mut rollout = Rollout::new(&device, policy.as_ref(), world, 16, 1, 7)?;
//! let experience = rollout.collect()?;
//! let (advantages, _returns) = experience.advantages(0.99, 0.95)?;
//! assert_eq!(advantages.len(), 16 * 3 * 4); // [time, agents, worlds]
//! # Ok::<(), synod::Error>(())
//! ```

pub use super::experience::Experience;

use crate::Device;
use crate::action::Actions;
use crate::agent::Policy;
use crate::agent::actors::{Actors, Choice, Seen, next_age};
use crate::env::{Buffers, EpisodeReport, VecEnv};
use crate::error::{Error, Result};
use crate::train::exploration::Exploration;
use crate::train::{Checkpoint, TensorData};

/// Worlds with the agents that act in them.
pub struct Rollout {
    environment: Box<dyn VecEnv>,
    buffers: Buffers,
    actors: Actors,
    agents: usize,
    worlds: usize,
    observation: usize,
    state_size: usize,
    explores: bool,
    exploration: Option<Exploration>,
    masked: bool,
    /// The last actions as the worlds take them.
    told: Actions,
    /// What would be right now as the worlds say it, where that is kept, and of whom they know it.
    right: Option<(Actions, Vec<bool>)>,
    /// The worlds go on by what would be right.
    follows: bool,
    /// `[agents, worlds]`.
    ages: Vec<f32>,
    present: Vec<f32>,
    /// Worlds that were cut off and wait for their last observation to be valued.
    closing: Vec<bool>,
    seed: u64,
    /// Steps taken, which is also the counter of the random numbers.
    steps: u64,
    experience: Experience,
}

fn bits_of(flags: &[bool]) -> Vec<u8> {
    flags.iter().map(|&f| u8::from(f)).collect()
}

impl Rollout {
    /// Programs for `policy` in `environment` (agents of one kind), `time` steps a rollout, in `shards` shards.
    ///
    /// # Errors
    /// Kinds of agent that differ, shards that do not divide the worlds, or what compilation reports.
    pub fn new(
        device: &Device,
        policy: &dyn Policy,
        environment: Box<dyn VecEnv>,
        time: usize,
        shards: usize,
        seed: u64,
    ) -> Result<Self> {
        Self::with_choice(device, policy, environment, time, shards, seed, Choice::Sample)
    }

    /// As [`Rollout::new`], with actions by `choice`; nothing is valued after the last step.
    ///
    /// # Errors
    /// As [`Rollout::new`].
    pub fn exploring(
        device: &Device,
        policy: &dyn Policy,
        environment: Box<dyn VecEnv>,
        time: usize,
        shards: usize,
        seed: u64,
        choice: Choice,
    ) -> Result<Self> {
        let rollout = Self::with_choice(device, policy, environment, time, shards, seed, choice)?;
        Ok(Rollout { explores: true, ..rollout })
    }

    /// Has continuous actions disturbed from now on.
    pub fn set_exploration(&mut self, exploration: Exploration) {
        self.exploration = Some(exploration);
    }

    /// What disturbs continuous actions.
    pub fn exploration_mut(&mut self) -> Option<&mut Exploration> {
        self.exploration.as_mut()
    }

    fn with_choice(
        device: &Device,
        policy: &dyn Policy,
        mut environment: Box<dyn VecEnv>,
        time: usize,
        shards: usize,
        seed: u64,
        choice: Choice,
    ) -> Result<Self> {
        let spec = environment.spec().clone();
        let kind = spec.only_kind("this trainer")?;
        let (agents, worlds) = (kind.count, spec.worlds);
        let actors = Actors::exploring(device, policy, &spec, shards, choice)?;
        let observation = kind.observation.iter().product();
        let mut buffers = Buffers::new(&spec);
        environment.reset(&vec![true; worlds], &mut buffers)?;
        let mut rollout = Rollout {
            experience: Experience::new([time, agents, worlds], observation, &kind.actions),
            told: spec.actions(),
            right: None,
            follows: false,
            ages: vec![0.0; agents * worlds],
            present: vec![0.0; agents * worlds],
            closing: vec![false; worlds],
            steps: 0,
            environment,
            buffers,
            actors,
            agents,
            worlds,
            observation,
            state_size: spec.state,
            explores: false,
            exploration: None,
            masked: spec.masked,
            seed,
        };
        if rollout.masked {
            rollout.experience.masks = vec![0.0; time * agents * worlds * kind.actions.options()];
        }
        if policy.world_state().is_some() {
            rollout.keep_world_state();
        }
        for lane in 0..agents * worlds {
            rollout.present[lane] = f32::from(u8::from(rollout.buffers.active[rollout.in_buffers(lane)]));
        }
        Ok(rollout)
    }

    /// Has the worlds' states in the experience from now on, for learners that read them; policies that do so
    /// ([`Policy::world_state`]) have them without asking.
    pub fn keep_world_state(&mut self) {
        self.experience.world_state = vec![0.0; self.experience.time * self.buffers.state.len()];
    }

    /// Has what would have been right in the experience from now on ([`VecEnv::answers`]). With `follows` the worlds go on by
    /// that, where they know it, and else by what the agents do.
    ///
    /// # Errors
    /// The worlds do not say what is right.
    pub fn keep_answers(&mut self, follows: bool) -> Result<()> {
        let (mut right, mut known) = (self.told.clone(), vec![false; self.lanes()]);
        self.environment.answers(&mut right, &mut known)?;
        let experience = &mut self.experience;
        experience.answers = Actions::zeros(&experience.space, experience.time * known.len());
        experience.answered = vec![0.0; experience.time * known.len()];
        (self.right, self.follows) = (Some((right, known)), follows);
        Ok(())
    }

    /// Notes what would be right at step `t`.
    fn ask(&mut self, t: usize) -> Result<()> {
        let Some((right, known)) = &mut self.right else { return Ok(()) };
        // What is not known is zeros, whatever was known before.
        right.discrete.fill(0);
        right.continuous.fill(0.0);
        self.environment.answers(right, known)?;
        let lanes = self.agents * self.worlds;
        let [integers, floats] = [right.discrete.len() / lanes, right.continuous.len() / lanes];
        for lane in 0..lanes {
            let (from, to) = (lane % self.worlds * self.agents + lane / self.worlds, t * lanes + lane);
            self.experience.answered[to] = f32::from(u8::from(known[from]));
            let answers = &mut self.experience.answers;
            answers.discrete[to * integers..][..integers]
                .copy_from_slice(&right.discrete[from * integers..][..integers]);
            answers.continuous[to * floats..][..floats]
                .copy_from_slice(&right.continuous[from * floats..][..floats]);
        }
        Ok(())
    }

    /// Where lane `agent * worlds + world` lies in the world's own order.
    fn in_buffers(&self, lane: usize) -> usize {
        lane % self.worlds * self.agents + lane / self.worlds
    }

    /// Steps for the length of a rollout.
    ///
    /// # Errors
    /// What the device or the worlds report.
    pub fn collect(&mut self) -> Result<&Experience> {
        self.experience.state = self.actors.state()?;
        self.experience.noise = [self.seed, self.steps];
        let lanes = self.lanes();
        for t in 0..self.experience.time {
            self.observe(t);
            self.ask(t)?;
            self.actors.act(seen(&self.buffers, &self.ages, &self.present), [self.seed, self.steps])?;
            if let Some(exploration) = &mut self.exploration {
                exploration.disturb(&mut self.actors.actions.continuous, &self.ages, self.steps);
            }
            let (experience, now) = (&mut self.experience, t * lanes..(t + 1) * lanes);
            experience.values[now.clone()].copy_from_slice(&self.actors.values);
            experience.log_probabilities[now].copy_from_slice(&self.actors.log_probabilities);
            let Actions { discrete, continuous } = &self.actors.actions;
            experience.actions.discrete[t * discrete.len()..][..discrete.len()].copy_from_slice(discrete);
            let kept = &mut experience.actions.continuous[t * continuous.len()..];
            kept[..continuous.len()].copy_from_slice(continuous);
            self.advance(t * lanes)?;
        }
        if self.explores {
            return Ok(&self.experience);
        }
        // What comes after the last step is valued with the state that belongs to it.
        self.actors.value(seen(&self.buffers, &self.ages, &self.present), [self.seed, self.steps])?;
        let end = self.experience.time * lanes;
        self.experience.values[end..].copy_from_slice(&self.actors.values);
        Ok(&self.experience)
    }

    /// The rollout that [`Rollout::collect`] filled last.
    pub fn experience(&self) -> &Experience {
        &self.experience
    }

    /// The same, to add rewards of the agents' own.
    pub fn experience_mut(&mut self) -> &mut Experience {
        &mut self.experience
    }

    /// Agents in all worlds.
    pub fn lanes(&self) -> usize {
        self.agents * self.worlds
    }

    /// Episodes that ended since the last call.
    pub fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.environment.take_reports()
    }

    /// Notes what is seen at step `t`.
    fn observe(&mut self, t: usize) {
        let lanes = self.agents * self.worlds;
        let size = self.observation;
        let base = t * lanes;
        for lane in 0..lanes {
            let from = self.in_buffers(lane) * size;
            let to = (base + lane) * size;
            self.experience.observations[to..to + size]
                .copy_from_slice(&self.buffers.observations[from..from + size]);
        }
        self.experience.ages[base..base + lanes].copy_from_slice(&self.ages);
        self.experience.present[base..base + lanes].copy_from_slice(&self.present);
        if self.masked {
            let size = self.experience.space.options();
            for lane in 0..lanes {
                let from = self.in_buffers(lane) * size;
                let to = (base + lane) * size;
                self.experience.masks[to..to + size].copy_from_slice(&self.buffers.masks[from..from + size]);
            }
        }
        if !self.experience.world_state.is_empty() {
            let size = self.buffers.state.len();
            self.experience.world_state[t * size..(t + 1) * size].copy_from_slice(&self.buffers.state);
        }
    }

    /// The chance of a random action from now on, where the rollout explores.
    pub fn set_epsilon(&mut self, epsilon: f32) {
        self.actors.epsilon = epsilon;
    }

    /// Steps the worlds with the actors' actions, notes what came of it at `base`, and starts new episodes where old ones
    /// are over.
    fn advance(&mut self, base: usize) -> Result<()> {
        let lanes = self.agents * self.worlds;
        self.actors.tell(&mut self.told)?;
        if let Some((right, known)) = self.right.as_ref().filter(|_| self.follows) {
            let each = |all: usize| all / known.len().max(1);
            let (integers, floats) = (each(right.discrete.len()), each(right.continuous.len()));
            for at in (0..known.len()).filter(|at| known[*at]) {
                let (own, answers) = (at * integers..(at + 1) * integers, at * floats..(at + 1) * floats);
                self.told.discrete[own.clone()].copy_from_slice(&right.discrete[own]);
                self.told.continuous[answers.clone()].copy_from_slice(&right.continuous[answers]);
            }
        }
        let closed = std::mem::take(&mut self.closing);
        self.environment.step(&self.told, &mut self.buffers)?;
        self.steps += 1;
        self.closing = vec![false; self.worlds];
        for lane in 0..lanes {
            let (world, i) = (lane % self.worlds, self.in_buffers(lane));
            let counts = self.present[lane] > 0.0 && !closed[world];
            let experience = &mut self.experience;
            experience.weights[base + lane] = f32::from(u8::from(counts));
            experience.rewards[base + lane] = if counts { self.buffers.rewards[i] } else { 0.0 };
            experience.terminated[base + lane] = counts && self.buffers.terminated[i];
            experience.truncated[base + lane] = counts && self.buffers.truncated[i];
            if experience.truncated[base + lane] && !experience.terminated[base + lane] {
                self.closing[world] = true;
            }
        }
        let restart: Vec<bool> =
            (0..self.worlds).map(|w| closed[w] || (self.buffers.ended[w] && !self.closing[w])).collect();
        if restart.contains(&true) {
            self.environment.reset(&restart, &mut self.buffers)?;
        }
        for lane in 0..lanes {
            let (world, i) = (lane % self.worlds, self.in_buffers(lane));
            let here = self.present[lane] > 0.0;
            self.ages[lane] = next_age(self.ages[lane], restart[world], here, &self.buffers, i);
            // A world that is cut off keeps its agents for the step in which they are valued.
            if !self.closing[world] {
                self.present[lane] = f32::from(u8::from(self.buffers.active[i]));
            }
        }
        Ok(())
    }

    /// Writes the worlds, what the agents see, and their state into a checkpoint.
    ///
    /// # Errors
    /// The device is lost.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        let world = self.environment.save();
        checkpoint.insert("worlds/state", TensorData::u8(&[world.len()], &world)?);
        let flat = |values: &[f32]| TensorData::f32(&[values.len()], values);
        let flags = |values: &[bool]| TensorData::u8(&[values.len()], &bits_of(values));
        checkpoint.insert("rollout/observations", flat(&self.buffers.observations)?);
        checkpoint.insert("rollout/active", flags(&self.buffers.active)?);
        checkpoint.insert("rollout/ended", flags(&self.buffers.ended)?);
        checkpoint.insert("rollout/ages", flat(&self.ages)?);
        checkpoint.insert("rollout/present", flat(&self.present)?);
        checkpoint.insert("rollout/closing", flags(&self.closing)?);
        checkpoint.insert("rollout/steps", TensorData::u64(&[1], &[self.steps])?);
        if self.masked {
            checkpoint.insert("rollout/masks", flat(&self.buffers.masks)?);
        }
        if self.state_size > 0 {
            checkpoint.insert("rollout/world_state", flat(&self.buffers.state)?);
        }
        for (i, part) in self.actors.state()?.iter().enumerate() {
            checkpoint.insert(format!("rollout/state{i}"), flat(part)?);
        }
        if let Some(exploration) = &self.exploration {
            checkpoint.insert("rollout/noise", flat(exploration.state())?);
        }
        Ok(())
    }

    /// Takes up what [`Rollout::save`] wrote.
    ///
    /// # Errors
    /// A tensor is missing or has another length, or the worlds refuse theirs.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let floats = |name: &str, length: usize| -> Result<Vec<f32>> {
            let values = checkpoint.tensor(name)?.to_f32()?;
            expect_length(name, values.len(), length)?;
            Ok(values)
        };
        let flags = |name: &str, length: usize| -> Result<Vec<bool>> {
            let values = checkpoint.tensor(name)?.to_u8()?;
            expect_length(name, values.len(), length)?;
            Ok(values.into_iter().map(|v| v != 0).collect())
        };
        let lanes = self.agents * self.worlds;
        let observations = floats("rollout/observations", self.buffers.observations.len())?;
        let active = flags("rollout/active", lanes)?;
        let ended = flags("rollout/ended", self.worlds)?;
        let ages = floats("rollout/ages", lanes)?;
        let present = floats("rollout/present", lanes)?;
        let closing = flags("rollout/closing", self.worlds)?;
        let masks = match self.masked {
            true => floats("rollout/masks", self.buffers.masks.len())?,
            false => self.buffers.masks.clone(),
        };
        let world_state = match self.state_size {
            0 => Vec::new(),
            _ => floats("rollout/world_state", self.buffers.state.len())?,
        };
        let steps = checkpoint.counter("rollout/steps")?;
        let mut state = Vec::new();
        for (part, own) in self.actors.state()?.iter().enumerate() {
            state.push(floats(&format!("rollout/state{part}"), own.len())?);
        }
        if let Some(exploration) = &mut self.exploration {
            let noise = floats("rollout/noise", exploration.state().len())?;
            exploration.set_state(&noise);
        }
        self.environment.load(checkpoint.tensor("worlds/state")?.bytes())?;
        self.actors.set_state(&state)?;
        (self.buffers.masks, self.buffers.state) = (masks, world_state);
        self.buffers.observations = observations;
        self.buffers.active = active;
        self.buffers.ended = ended;
        (self.ages, self.present, self.closing, self.steps) = (ages, present, closing, steps);
        Ok(())
    }
}

fn expect_length(name: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Usage(format!("the checkpoint's `{name}` has {found} elements, expected {expected}")))
}

fn seen<'a>(buffers: &'a Buffers, ages: &'a [f32], present: &'a [f32]) -> Seen<'a> {
    Seen { observations: &buffers.observations, ages, present, masks: &buffers.masks, state: &buffers.state }
}
