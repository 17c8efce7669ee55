//! The trainers of a role: one a task, made when the task first comes up, and kept with its optimiser and its worlds.

use super::role::{pack, unpack};
use super::workshop::{Workshop, agent_of};
use crate::error::{Error, Result};
use crate::tensors::Checkpoint;
use crate::train::Trainer;

/// A trainer and what it has made so far.
pub(super) struct Apprentice {
    trainer: Box<dyn Trainer>,
    steps: u64,
    updates: u64,
}

/// What training came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Learned {
    /// Agent-steps made.
    pub steps: u64,
    /// Updates made.
    pub updates: u64,
    /// The first score that was reported.
    pub first: Option<f64>,
    /// The last one.
    pub last: Option<f64>,
}

impl Apprentice {
    /// Trains for at least so many agent-steps.
    pub fn train(&mut self, score: &str, steps: u64) -> Result<Learned> {
        let mut learned = Learned::default();
        while learned.steps < steps.max(1) {
            let report = self.trainer.step()?;
            if report.steps <= self.steps {
                return Err(Error::Usage(format!(
                    "the trainer reports {} steps after {}",
                    report.steps, self.steps
                )));
            }
            learned.steps += report.steps - self.steps;
            learned.updates += report.updates.saturating_sub(self.updates);
            (self.steps, self.updates) = (report.steps, report.updates);
            let value = report.value(score);
            (learned.first, learned.last) = (learned.first.or(value), value.or(learned.last));
        }
        Ok(learned)
    }

    /// Takes the parameters of an agent. Its optimiser, its worlds and whatever it remembers stay.
    pub fn take(&mut self, agent: &Checkpoint) -> Result<()> {
        let mut state = self.trainer.save()?;
        for (name, tensor) in &agent.tensors {
            match state.tensors.get_mut(name) {
                Some(own) if own.shape() == tensor.shape() => *own = tensor.clone(),
                _ => return Err(Error::Usage(format!("the trainer's agent has no `{name}` of that shape"))),
            }
        }
        self.trainer.load(&state)
    }

    /// The agent as it is now.
    pub fn agent(&self) -> Result<Checkpoint> {
        Ok(agent_of(&self.trainer.save_agent()?))
    }
}

/// One trainer a task, as far as they were wanted.
pub(super) struct Trainers {
    all: Vec<Option<Apprentice>>,
    /// Agent-steps after which their schedules end.
    schedule: u64,
}

impl Trainers {
    /// None yet, of so many tasks.
    pub fn new(tasks: usize, schedule: u64) -> Self {
        Trainers { all: (0..tasks).map(|_| None).collect(), schedule }
    }

    /// The trainer of a task.
    pub fn of(&mut self, task: usize, workshop: &dyn Workshop) -> Result<&mut Apprentice> {
        let tasks = self.all.len();
        let Some(place) = self.all.get_mut(task) else {
            return Err(Error::Usage(format!("there is no task {task} among {tasks}")));
        };
        if place.is_none() {
            *place =
                Some(Apprentice { trainer: workshop.trainer(task, self.schedule)?, steps: 0, updates: 0 });
        }
        place.as_mut().ok_or_else(|| Error::Usage(format!("there is no trainer for task {task}")))
    }

    /// Adds those that there are.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        for (task, apprentice) in self.all.iter().enumerate() {
            if let Some(Apprentice { trainer, steps, updates }) = apprentice {
                let mut state = trainer.save()?;
                state.set("made", format!("{steps} {updates}"));
                pack(checkpoint, &format!("trainer{task}"), state)?;
            }
        }
        Ok(())
    }

    /// Those that were there when it was saved, and no others.
    pub fn load(&mut self, checkpoint: &Checkpoint, workshop: &dyn Workshop) -> Result<()> {
        for (task, place) in self.all.iter_mut().enumerate() {
            let name = format!("trainer{task}");
            *place = None;
            if !checkpoint.metadata.contains_key(&name) {
                continue;
            }
            let mut state = unpack(checkpoint, &name)?;
            let made = state.metadata.remove("made").unwrap_or_default();
            let numbers: Vec<u64> = made.split(' ').filter_map(|n| n.parse().ok()).collect();
            let [steps, updates] = numbers[..] else {
                return Err(Error::Usage(format!("the checkpoint's `{name}` does not say what it has made")));
            };
            let mut trainer = workshop.trainer(task, self.schedule)?;
            trainer.load(&state)?;
            *place = Some(Apprentice { trainer, steps, updates });
        }
        Ok(())
    }
}
