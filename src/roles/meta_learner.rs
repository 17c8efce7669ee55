//! The role that finds where to start from: parameters from which every task is soon learned.
//!
//! Reptile (Nichol, Achiam and Schulman 2018, arXiv 1803.02999, algorithm 1): learn a task from the start for a while, with
//! whatever learner the run has, and move the start a part of the way to where that led.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::broker::{Envelope, Message};
use super::config::{RoleMaking, RoleSettings};
use super::messages::{Done, Drawn};
use super::role::{Outbox, Role, View};
use super::trainers::Trainers;
use super::workshop::{Workshop, between};
use crate::error::{Error, Result};
use crate::registry::Member;
use crate::schema;
use crate::tensors::{Checkpoint, TensorData};

/// The variable of the blackboard that holds the start.
pub const START: &str = "start";

/// The settings of [`MetaLearner`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetaConfig {
    /// How far the start moves towards what was learned from it, at the run's beginning. It shrinks to `last_step` at the
    /// run's end.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub step_size: f32,
    /// How far it moves at the end.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub last_step: f32,
}

impl Default for MetaConfig {
    /// All the way at first, a tenth at last.
    fn default() -> Self {
        MetaConfig { step_size: 1.0, last_step: 0.1 }
    }
}

impl Member for MetaConfig {
    const NAME: &'static str = "meta";
    const SUMMARY: &'static str = "finds parameters from which every task is soon learned (Reptile)";
}

impl RoleSettings for MetaConfig {
    fn check(&self) -> Result<()> {
        schema::check("meta", self)
    }

    fn role(&self, making: &RoleMaking) -> Result<Box<dyn Role>> {
        self.check()?;
        let workshop = (making.workshop)()?;
        let tasks = workshop.tasks().len();
        let (config, before) = (self.clone(), vec![None; tasks]);
        // It begins again from the start each time: its learners' rates do not end with the first tasks.
        let trainers = Trainers::new(tasks, making.budget);
        Ok(Box::new(MetaLearner { config, workshop, trainers, before }))
    }
}

/// Finds the start, from whatever task it is given, and shares it as [`START`].
pub struct MetaLearner {
    config: MetaConfig,
    workshop: Box<dyn Workshop>,
    trainers: Trainers,
    /// How well the start did on a task when it last came up.
    before: Vec<Option<f64>>,
}

impl MetaLearner {
    fn work(&mut self, work: &Drawn, view: &View) -> Result<Outbox> {
        let start = match view.board.get(START) {
            Some(start) => start.value.clone(),
            None => self.workshop.initial()?,
        };
        let score = self.workshop.score_name().to_string();
        let apprentice = self.trainers.of(work.task, self.workshop.as_ref())?;
        apprentice.take(&start)?;
        let learned = apprentice.train(&score, work.steps)?;
        let MetaConfig { step_size, last_step } = self.config;
        let share = step_size + (last_step - step_size) * view.progress() as f32;
        let mut outbox = Outbox::new();
        outbox.propose(START, between(&start, &apprentice.agent()?, share)?, learned.last.unwrap_or(0.0));
        // What the start alone is worth on this task, against when it last came up, is what meta-learning came to.
        let gain = match (self.before[work.task], learned.first) {
            (Some(before), Some(now)) => now - before,
            _ => 0.0,
        };
        self.before[work.task] = learned.first.or(self.before[work.task]);
        outbox.publish(&Done {
            role: self.name().into(),
            task: work.task,
            steps: learned.steps,
            updates: learned.updates,
            before: learned.first,
            after: learned.last,
            gain,
        })?;
        Ok(outbox)
    }
}

impl Role for MetaLearner {
    fn name(&self) -> &str {
        MetaConfig::NAME
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![Drawn::TOPIC]
    }

    fn handle(&mut self, message: &Envelope, view: &View) -> Result<Outbox> {
        match message.read::<Drawn>()? {
            Some(work) if work.role == self.name() => self.work(&work, view),
            _ => Ok(Outbox::new()),
        }
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        self.trainers.save(&mut checkpoint)?;
        checkpoint.insert("before", optional(&self.before)?);
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.before = taken_optional(checkpoint, "before", self.before.len())?;
        self.trainers.load(checkpoint, self.workshop.as_ref())
    }
}

/// Numbers that may be missing, as `[count, 2]`: whether it is there, and the number.
pub(super) fn optional(numbers: &[Option<f64>]) -> Result<TensorData> {
    let pairs = |n: &Option<f64>| [f64::from(u8::from(n.is_some())), n.unwrap_or(0.0)];
    TensorData::f64(&[numbers.len(), 2], &numbers.iter().flat_map(pairs).collect::<Vec<f64>>())
}

/// What [`optional`] wrote.
pub(super) fn taken_optional(checkpoint: &Checkpoint, name: &str, count: usize) -> Result<Vec<Option<f64>>> {
    let numbers = checkpoint.tensor(name)?.to_f64()?;
    if numbers.len() != 2 * count {
        return Err(Error::Usage(format!("the checkpoint's `{name}` is of other tasks")));
    }
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0] != 0.0).then_some(pair[1])).collect())
}
