//! The role that adapts in deployment: from the shared start it learns the tasks that count, and keeps of what it learns only
//! what is better.
//!
//! Its guard plays the same episodes, which training never sees, before and after. What lost more than chance explains (the
//! mean of the differences, episode by episode, lies so many of its standard errors below 0) is undone. The best agent of
//! every task stands on the blackboard as `policy.TASK`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::broker::{Envelope, Message};
use super::config::{RoleMaking, RoleSettings};
use super::messages::{Done, Drawn, Imagined};
use super::meta_learner::START;
use super::role::{Outbox, Role, View, pack, unpack};
use super::trainers::Trainers;
use super::workshop::{Trajectory, Workshop, agent_steps};
use crate::error::{Error, Result};
use crate::registry::Member;
use crate::schema;
use crate::tensors::{Checkpoint, TensorData};

/// The seed of the guard's episodes differs by this from the run's.
const GUARD: u64 = 0x6775_6172_6400;

/// The variable of the blackboard that holds the best agent of a task.
pub fn policy_of(task: usize) -> String {
    format!("policy.{task}")
}

/// The settings of [`Adapter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdapterConfig {
    /// Episodes that the guard plays.
    #[schemars(range(min = 2, max = 4096))]
    pub guard_episodes: usize,
    /// Standard errors of the mean difference below which what was learned is undone.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub confidence: f64,
    /// After so many slices of work on a task it is looked whether another start is better by now; 0 for never again after the
    /// first.
    #[schemars(range(max = 1 << 20))]
    pub look_around: u64,
}

impl Default for AdapterConfig {
    /// Sixteen episodes, two standard errors, a look around every fourth time.
    fn default() -> Self {
        AdapterConfig { guard_episodes: 16, confidence: 2.0, look_around: 4 }
    }
}

impl Member for AdapterConfig {
    const NAME: &'static str = "adapt";
    const SUMMARY: &'static str =
        "learns the tasks that count from the shared start, and undoes what made it worse";
}

impl RoleSettings for AdapterConfig {
    fn on_target(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        schema::check("adapt", self)
    }

    fn role(&self, making: &RoleMaking) -> Result<Box<dyn Role>> {
        self.check()?;
        let workshop = (making.workshop)()?;
        let tasks = workshop.tasks().len();
        Ok(Box::new(Adapter {
            config: self.clone(),
            seed: making.seed ^ GUARD,
            // A role's even share of the run, for each task that counts.
            trainers: Trainers::new(tasks, making.even_share() / workshop.targets().len().max(1) as u64),
            best: (0..tasks).map(|_| None).collect(),
            imagined: vec![None; tasks],
            workshop,
        }))
    }
}

/// What is best for a task so far.
struct Best {
    agent: Checkpoint,
    /// The score of each of the guard's episodes.
    scores: Vec<f64>,
    /// Slices of work on the task.
    slices: u64,
}

/// Adapts to the tasks that count.
pub struct Adapter {
    config: AdapterConfig,
    seed: u64,
    workshop: Box<dyn Workshop>,
    trainers: Trainers,
    best: Vec<Option<Best>>,
    /// The variable that the model of the world thinks most of, for each task.
    imagined: Vec<Option<String>>,
}

/// The mean of the differences `after - before` and its standard error, episode by episode.
fn difference(before: &[f64], after: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    let count = differences.len().max(1) as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let squares: f64 = differences.iter().map(|d| (d - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0) / count).sqrt())
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

impl Adapter {
    /// The scores of the guard's episodes with an agent, and what they took.
    fn guard(&mut self, task: usize, agent: &Checkpoint) -> Result<(Vec<f64>, u64)> {
        let episodes: Vec<Trajectory> =
            self.workshop.play(task, agent, self.config.guard_episodes, self.seed)?;
        Ok((episodes.iter().map(|episode| episode.score).collect(), agent_steps(&episodes)))
    }

    /// The agent to try for a task: what the model of the world thinks most of, else the shared start.
    fn candidate(&self, task: usize, view: &View) -> Result<Checkpoint> {
        let imagined = self.imagined[task].as_deref().and_then(|name| view.board.get(name));
        match imagined.or_else(|| view.board.get(START)) {
            Some(version) => Ok(version.value.clone()),
            None => self.workshop.initial(),
        }
    }

    fn work(&mut self, work: &Drawn, view: &View) -> Result<Outbox> {
        let task = work.task;
        if task >= self.best.len() {
            return Err(Error::Usage(format!("there is no task {task} among {}", self.best.len())));
        }
        let mut used = 0;
        let slices = self.best[task].as_ref().map_or(0, |best| best.slices);
        // Of 0 the first slice alone is a multiple.
        let look = slices.is_multiple_of(self.config.look_around);
        if look {
            let agent = self.candidate(task, view)?;
            let (scores, steps) = self.guard(task, &agent)?;
            used += steps;
            // Another start has to be better beyond chance, or what was learned is lost to luck.
            let better = self.best[task].as_ref().is_none_or(|best| {
                let (mean, error) = difference(&best.scores, &scores);
                mean > self.config.confidence * error
            });
            if better {
                self.trainers.of(task, self.workshop.as_ref())?.take(&agent)?;
                self.best[task] = Some(Best { agent, scores, slices });
            }
        }
        let score = self.workshop.score_name().to_string();
        let apprentice = self.trainers.of(task, self.workshop.as_ref())?;
        let learned = apprentice.train(&score, work.steps.saturating_sub(used))?;
        let agent = apprentice.agent()?;
        let (scores, steps) = self.guard(task, &agent)?;
        used += learned.steps + steps;
        let Some(best) = &mut self.best[task] else {
            return Err(Error::Usage(format!("nothing is known of task {task}")));
        };
        let before = mean(&best.scores);
        let (change, error) = difference(&best.scores, &scores);
        best.slices += 1;
        if change > 0.0 {
            (best.agent, best.scores) = (agent, scores);
        } else if change < -self.config.confidence * error {
            self.trainers.of(task, self.workshop.as_ref())?.take(&best.agent)?;
        }
        let after = mean(&best.scores);
        let mut outbox = Outbox::new();
        if after > before || slices == 0 {
            outbox.propose(policy_of(task), best.agent.clone(), after);
        }
        outbox.publish(&Done {
            role: AdapterConfig::NAME.into(),
            task,
            steps: used,
            updates: learned.updates,
            before: Some(before),
            after: Some(after),
            gain: after - before,
        })?;
        Ok(outbox)
    }
}

impl Role for Adapter {
    fn name(&self) -> &str {
        AdapterConfig::NAME
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![Drawn::TOPIC, Imagined::TOPIC]
    }

    fn handle(&mut self, message: &Envelope, view: &View) -> Result<Outbox> {
        if let Some(Imagined { task, candidates }) = message.read()? {
            let best = candidates.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            if let (Some(place), Some((name, _))) = (self.imagined.get_mut(task), best) {
                *place = Some(name.clone());
            }
        }
        match message.read::<Drawn>()? {
            Some(work) if work.role == self.name() => self.work(&work, view),
            _ => Ok(Outbox::new()),
        }
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        self.trainers.save(&mut checkpoint)?;
        for (task, best) in self.best.iter().enumerate() {
            if let Some(name) = &self.imagined[task] {
                checkpoint.set(format!("imagined{task}"), name);
            }
            let Some(Best { agent, scores, slices }) = best else { continue };
            let mut state = agent.clone();
            state.insert("guard", TensorData::f64(&[scores.len()], scores)?);
            state.set("slices", slices);
            pack(&mut checkpoint, &format!("best{task}"), state)?;
        }
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        for task in 0..self.best.len() {
            self.imagined[task] = checkpoint.metadata.get(&format!("imagined{task}")).cloned();
            let name = format!("best{task}");
            self.best[task] = None;
            if !checkpoint.metadata.contains_key(&name) {
                continue;
            }
            let mut agent = unpack(checkpoint, &name)?;
            let (scores, slices) = (agent.tensor("guard")?.to_f64()?, agent.get("slices")?);
            if scores.len() != self.config.guard_episodes {
                return Err(Error::Usage(format!("the checkpoint's `{name}` is of another guard")));
            }
            agent.tensors.remove("guard");
            agent.metadata.remove("slices");
            self.best[task] = Some(Best { agent, scores, slices });
        }
        self.trainers.load(checkpoint, self.workshop.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_taken_episode_by_episode() {
        // 1, 3, 2: mean 2, deviation 1, over the root of three.
        let (mean, error) = difference(&[0.0, 10.0, -5.0], &[1.0, 13.0, -3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (error - 1.0 / 3f64.sqrt()).abs() < 1e-12);
    }
}
