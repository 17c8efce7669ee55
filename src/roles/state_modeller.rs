//! The role that models the world: it learns to foresee what happens in every task, tells how little of a task it foresees
//! yet, and imagines what other roles' agents would come to, which costs no step in the world.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adapter::policy_of;
use super::broker::{Envelope, Message};
use super::config::{RoleMaking, RoleSettings};
use super::dynamics::{Dynamics, DynamicsSizes};
use super::messages::{Done, Drawn, Imagined, Surprise};
use super::meta_learner::{START, optional, taken_optional};
use super::role::{Outbox, Proposal, Role, View};
use super::workshop::{Sizes, Trajectory, Workshop, agent_steps};
use crate::action::Actions;
use crate::agent::Policy;
use crate::agent::actors::{Actors, Choice, Seen};
use crate::error::{Error, Result};
use crate::registry::Member;
use crate::schema;
use crate::tensors::{Checkpoint, TensorData};

/// The seed of its episodes differs by this from the run's.
const MODEL: u64 = 0x6d6f_6465_6c00;
/// A model that foresees less than this part of what happens is not believed in what it imagines.
const BELIEVED: f64 = 0.5;

/// The settings of [`StateModeller`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StateConfig {
    /// Features of the model's layers.
    #[schemars(range(min = 1, max = 4096))]
    pub features: usize,
    /// States of each feature's state space model.
    #[schemars(range(min = 1, max = 256))]
    pub states: usize,
    /// Steps of the pieces of episodes that it learns from.
    #[schemars(range(min = 1, max = 4096))]
    pub window: usize,
    /// Pieces of a batch, and episodes that are imagined at once.
    #[schemars(range(min = 1, max = 4096))]
    pub batch: usize,
    /// Batches after every time that episodes are played.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub batches: usize,
    /// Adam's learning rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// Episodes that are played at a time.
    #[schemars(range(min = 1, max = 4096))]
    pub episodes: usize,
    /// Episodes of each task that it keeps.
    #[schemars(range(min = 1, max = 4096))]
    pub kept: usize,
    /// Steps that are imagined, at most those of an episode.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub horizon: usize,
}

impl Default for StateConfig {
    /// 32 features of 8 states; 16 pieces of 25 steps a batch, 50 batches a time; 8 episodes a time, 32 kept; 100 steps
    /// imagined.
    fn default() -> Self {
        StateConfig {
            features: 32,
            states: 8,
            window: 25,
            batch: 16,
            batches: 50,
            learning_rate: 2e-3,
            episodes: 8,
            kept: 32,
            horizon: 100,
        }
    }
}

impl Member for StateConfig {
    const NAME: &'static str = "state";
    const SUMMARY: &'static str =
        "models what happens in every task (state space models), and imagines what agents come to";
}

impl RoleSettings for StateConfig {
    fn check(&self) -> Result<()> {
        schema::check("state", self)
    }

    fn role(&self, making: &RoleMaking) -> Result<Box<dyn Role>> {
        self.check()?;
        let workshop = (making.workshop)()?;
        let (sizes, tasks) = (workshop.sizes().clone(), workshop.tasks().len());
        let model = self.sizes();
        let dynamics = Dynamics::new(workshop.device(), sizes.clone(), tasks, model, making.seed ^ MODEL)?;
        Ok(Box::new(StateModeller {
            config: self.clone(),
            seed: making.seed ^ MODEL,
            sizes,
            dynamics,
            kept: vec![VecDeque::new(); tasks],
            errors: vec![None; tasks],
            played: 0,
            stage: None,
            workshop,
        }))
    }
}

impl StateConfig {
    /// The model's sizes.
    pub fn sizes(&self) -> DynamicsSizes {
        DynamicsSizes {
            features: self.features,
            states: self.states,
            window: self.window,
            batch: self.batch,
            learning_rate: self.learning_rate,
        }
    }
}

/// Models the world.
pub struct StateModeller {
    config: StateConfig,
    seed: u64,
    workshop: Box<dyn Workshop>,
    sizes: Sizes,
    dynamics: Dynamics,
    /// Episodes of each task, the oldest first.
    kept: Vec<VecDeque<Trajectory>>,
    /// How much it did not foresee when a task was last played.
    errors: Vec<Option<f64>>,
    /// Times that episodes were played.
    played: u64,
    /// An agent that acts in imagined worlds, made when first wanted.
    stage: Option<Stage>,
}

struct Stage {
    policy: Box<dyn Policy>,
    actors: Actors,
    actions: Actions,
    masks: usize,
    state: usize,
}

impl StateModeller {
    fn work(&mut self, work: &Drawn, view: &View) -> Result<Outbox> {
        let task = work.task;
        if task >= self.kept.len() {
            return Err(Error::Usage(format!("there is no task {task} among {}", self.kept.len())));
        }
        let known = view.board.get(&policy_of(task)).or_else(|| view.board.get(START));
        let agent = match known {
            Some(version) => version.value.clone(),
            None => self.workshop.initial()?,
        };
        let (mut used, mut updates) = (0, 0);
        let before = self.errors[task];
        let mut error = 1.0;
        while used < work.steps.max(1) {
            let seed = self.seed.wrapping_add(self.played << 16);
            let episodes = self.workshop.play(task, &agent, self.config.episodes, seed)?;
            used += agent_steps(&episodes).max(1);
            // How much of what it has never seen it foresees, before it learns from it.
            let fresh: Vec<(usize, &Trajectory)> = episodes.iter().map(|episode| (task, episode)).collect();
            error = self.dynamics.error(&fresh)?;
            self.kept[task].extend(episodes);
            while self.kept[task].len() > self.config.kept {
                self.kept[task].pop_front();
            }
            let all: Vec<(usize, &Trajectory)> = self
                .kept
                .iter()
                .enumerate()
                .flat_map(|(task, episodes)| episodes.iter().map(move |episode| (task, episode)))
                .collect();
            self.dynamics.train(&all, self.config.batches, seed ^ 1)?;
            self.played += 1;
            updates += self.config.batches as u64;
        }
        self.errors[task] = Some(error);
        let mut outbox = self.imagine_all(task, view)?;
        outbox.publish(&Surprise { task, error })?;
        outbox.publish(&Done {
            role: StateConfig::NAME.into(),
            task,
            steps: used,
            updates,
            before: None,
            after: None,
            gain: before.map_or(0.0, |before| before - error),
        })?;
        Ok(outbox)
    }

    /// Whether it foresees enough of a task to be believed.
    fn believed(&self, task: usize) -> bool {
        self.errors.get(task).copied().flatten().is_some_and(|error| error < BELIEVED)
    }

    /// What every agent on the blackboard would come to in a task.
    fn imagine_all(&mut self, task: usize, view: &View) -> Result<Outbox> {
        let mut outbox = Outbox::new();
        if !self.believed(task) {
            return Ok(outbox);
        }
        let mut names = vec![START.to_string()];
        names.extend((0..self.kept.len()).map(policy_of));
        let mut candidates = Vec::new();
        for name in names {
            if let Some(version) = view.board.get(&name) {
                candidates.push((name, self.imagine(task, &version.value)?));
            }
        }
        if !candidates.is_empty() {
            outbox.publish(&Imagined { task, candidates })?;
        }
        Ok(outbox)
    }

    /// The mean reward of imagined episodes of a task with an agent.
    fn imagine(&mut self, task: usize, agent: &Checkpoint) -> Result<f64> {
        let (batch, agents, seen) = (self.config.batch, self.sizes.agents, self.sizes.seen());
        let first: Vec<f32> = self.kept[task]
            .iter()
            .cycle()
            .take(batch)
            .flat_map(|episode| episode.observations[..seen].to_vec())
            .collect();
        if self.stage.is_none() {
            let policy = self.workshop.policy(agent)?;
            let spec = self.workshop.spec(batch)?;
            let actors =
                Actors::new(self.workshop.device(), policy.as_ref(), &spec, 1, Choice::Sample, false)?;
            let (actions, masks, state) = (spec.actions(), spec.mask_length(), batch * spec.state);
            self.stage = Some(Stage { policy, actors, actions, masks, state });
        }
        let Some(stage) = &mut self.stage else { return Err(Error::Usage("nobody acts".into())) };
        stage.policy.parameters().load("agent", agent)?;
        let zeros: Vec<Vec<f32>> = stage.actors.state()?.iter().map(|part| vec![0.0; part.len()]).collect();
        stage.actors.set_state(&zeros)?;
        // Nobody leaves an imagined world, and everything is allowed there.
        let (present, masks, state) =
            (vec![1.0; batch * agents], vec![1.0; stage.masks], vec![0.0; stage.state]);
        let (sizes, key) = (self.sizes.clone(), self.seed ^ 2);
        let steps = self.config.horizon.min(sizes.limit as usize);
        let (integers, floats) = (agents * sizes.actions.integers(), agents * sizes.actions.floats());
        let sums = self.dynamics.imagine(task, &first, steps, |now, step, doing| {
            let ages = vec![step as f32; batch * agents];
            let seen =
                Seen { observations: now, ages: &ages, present: &present, masks: &masks, state: &state };
            stage.actors.act(seen, [key, step as u64])?;
            stage.actors.tell(&mut stage.actions)?;
            for (lane, row) in doing.chunks_exact_mut(sizes.done()).enumerate() {
                let discrete = &stage.actions.discrete[lane * integers..][..integers];
                sizes.encode(discrete, &stage.actions.continuous[lane * floats..][..floats], row);
            }
            Ok(())
        })?;
        Ok(sums.iter().sum::<f64>() / sums.len().max(1) as f64)
    }
}

impl Role for StateModeller {
    fn name(&self) -> &str {
        StateConfig::NAME
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![Drawn::TOPIC]
    }

    fn handle(&mut self, message: &Envelope, view: &View) -> Result<Outbox> {
        match message.read::<Drawn>()? {
            Some(work) if work.role == self.name() => self.work(&work, view),
            // Others begin on that task: what could they start from?
            Some(work) if work.task < self.kept.len() => self.imagine_all(work.task, view),
            _ => Ok(Outbox::new()),
        }
    }

    /// What a new version of an agent comes to in the model, against the one that is there.
    fn score(&mut self, work: &Done, proposals: &[Proposal], view: &View) -> Result<Option<f64>> {
        if !self.believed(work.task) {
            return Ok(None);
        }
        let offered = proposals.iter().find(|p| p.by == work.role && p.name == START);
        let (Some(offered), Some(now)) = (offered, view.board.get(START)) else { return Ok(None) };
        let old = self.imagine(work.task, &now.value)?;
        let new = self.imagine(work.task, &offered.value)?;
        let size = old.abs().max(new.abs());
        Ok((size > 0.0).then(|| (new - old) / size))
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        self.dynamics.save(&mut checkpoint)?;
        checkpoint.insert("errors", optional(&self.errors)?);
        checkpoint.insert("played", TensorData::u64(&[1], &[self.played])?);
        for (task, episodes) in self.kept.iter().enumerate() {
            let lengths: Vec<u64> = episodes.iter().map(|e| e.steps() as u64).collect();
            let floats = |get: fn(&Trajectory) -> &Vec<f32>| -> Result<TensorData> {
                let all: Vec<f32> = episodes.iter().flat_map(|e| get(e).iter().copied()).collect();
                TensorData::f32(&[all.len()], &all)
            };
            checkpoint.insert(format!("kept{task}/lengths"), TensorData::u64(&[lengths.len()], &lengths)?);
            checkpoint.insert(format!("kept{task}/observations"), floats(|e| &e.observations)?);
            checkpoint.insert(format!("kept{task}/actions"), floats(|e| &e.actions)?);
            checkpoint.insert(format!("kept{task}/rewards"), floats(|e| &e.rewards)?);
        }
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let errors = taken_optional(checkpoint, "errors", self.errors.len())?;
        let played = checkpoint.counter("played")?;
        let mut kept = Vec::new();
        for task in 0..self.kept.len() {
            kept.push(taken_episodes(checkpoint, task, &self.sizes)?);
        }
        self.dynamics.load(checkpoint)?;
        (self.errors, self.played, self.kept) = (errors, played, kept);
        Ok(())
    }
}

/// The episodes that were kept of a task. Their scores are not: nothing learns from those.
fn taken_episodes(checkpoint: &Checkpoint, task: usize, sizes: &Sizes) -> Result<VecDeque<Trajectory>> {
    let part = |name: &str| checkpoint.tensor(&format!("kept{task}/{name}"));
    let lengths = part("lengths")?.to_u64()?;
    let (observations, actions) = (part("observations")?.to_f32()?, part("actions")?.to_f32()?);
    let rewards = part("rewards")?.to_f32()?;
    let (seen, done) = (sizes.seen(), sizes.done());
    let sum = lengths.iter().try_fold(0u64, |sum, length| sum.checked_add(*length)).unwrap_or(u64::MAX);
    let fits = sum == rewards.len() as u64
        && (rewards.len() + lengths.len()) * seen == observations.len()
        && rewards.len() * done == actions.len();
    if !fits {
        return Err(Error::Usage(format!("the checkpoint's episodes of task {task} are damaged")));
    }
    let (mut o, mut a, mut r) = (&observations[..], &actions[..], &rewards[..]);
    let mut cut = |length: usize| {
        let (own, rest) = o.split_at((length + 1) * seen);
        let (acts, more) = a.split_at(length * done);
        let (pay, left) = r.split_at(length);
        (o, a, r) = (rest, more, left);
        Trajectory {
            observations: own.to_vec(),
            actions: acts.to_vec(),
            rewards: pay.to_vec(),
            ..Trajectory::default()
        }
    };
    Ok(lengths.iter().map(|length| cut(*length as usize)).collect())
}
