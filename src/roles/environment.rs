//! The role that draws tasks: those on which most is learned at the time come up most often.
//!
//! Learning progress is the change of a task's score from one time to the next, in absolute value, so that what is being
//! forgotten comes up again too (Matiisen, Oliver, Cohen and Schulman 2017, arXiv 1707.00183, the online algorithm:
//! `Q <- rate |score - last score| + (1 - rate) Q`, a task in proportion to `Q`, with a small chance any). What the model of
//! the world cannot foresee yet counts as progress to be made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::broker::{Envelope, Message};
use super::config::{RoleMaking, RoleSettings};
use super::messages::{Assignment, Done, Drawn, Surprise};
use super::meta_learner::{optional, taken_optional};
use super::role::{Outbox, Proposal, Role, View};
use crate::env::Pcg64;
use crate::error::Result;
use crate::registry::Member;
use crate::schema;
use crate::tensors::{Checkpoint, TensorData};

/// The settings of [`EnvironmentManager`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EnvironmentConfig {
    /// The chance of any task, whatever was learned.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub explore: f64,
    /// How fast old progress is forgotten.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rate: f64,
    /// What a wholly unforeseen task counts, as a part of the largest progress.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub novelty: f64,
}

impl Default for EnvironmentConfig {
    /// One task in five is any, three tenths forgotten a time, novelty half of the largest progress.
    fn default() -> Self {
        EnvironmentConfig { explore: 0.2, rate: 0.3, novelty: 0.5 }
    }
}

impl Member for EnvironmentConfig {
    const NAME: &'static str = "environment";
    const SUMMARY: &'static str = "draws tasks by learning progress, and keeps the budget";
}

impl RoleSettings for EnvironmentConfig {
    fn works(&self) -> bool {
        false
    }

    fn check(&self) -> Result<()> {
        schema::check("environment", self)
    }

    fn role(&self, making: &RoleMaking) -> Result<Box<dyn Role>> {
        self.check()?;
        let workshop = (making.workshop)()?;
        let tasks = workshop.tasks().len();
        Ok(Box::new(EnvironmentManager::new(self.clone(), tasks, workshop.targets().to_vec(), making.seed)))
    }
}

/// Draws tasks.
pub struct EnvironmentManager {
    config: EnvironmentConfig,
    targets: Vec<usize>,
    seed: u64,
    /// Tasks drawn so far, and agent-steps given away in the present round with the round's number.
    drawn: u64,
    round: u64,
    given: u64,
    last: Vec<Option<f64>>,
    progress: Vec<Option<f64>>,
    /// How little of the task the model of the world foresees, from 0 to 1.
    surprise: Vec<f64>,
    /// The lowest and the highest score of each task.
    lowest: Vec<Option<f64>>,
    highest: Vec<Option<f64>>,
}

impl EnvironmentManager {
    /// For so many tasks, of which these count in the end.
    pub fn new(config: EnvironmentConfig, tasks: usize, targets: Vec<usize>, seed: u64) -> Self {
        let none = vec![None; tasks];
        EnvironmentManager {
            config,
            targets,
            seed,
            drawn: 0,
            round: 0,
            given: 0,
            last: none.clone(),
            progress: none.clone(),
            surprise: vec![0.0; tasks],
            lowest: none.clone(),
            highest: none,
        }
    }

    /// How much a task is worth now; infinite where nothing is known of it.
    pub fn interest(&self, task: usize) -> f64 {
        let largest = self.progress.iter().flatten().copied().fold(0.0, f64::max);
        match self.progress[task] {
            Some(progress) => progress + self.config.novelty * self.surprise[task] * largest,
            None => f64::INFINITY,
        }
    }

    /// One of these tasks.
    fn draw(&mut self, among: &[usize]) -> usize {
        // A stream a draw: nothing of it has to be kept.
        let mut random =
            Pcg64::new(self.seed.rotate_left(17) ^ self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.drawn += 1;
        let interests: Vec<f64> = among.iter().map(|task| self.interest(*task)).collect();
        if let Some(unknown) = interests.iter().position(|interest| interest.is_infinite()) {
            return among[unknown];
        }
        let any = among[random.below(among.len() as u32) as usize];
        let sum: f64 = interests.iter().sum();
        if random.double() < self.config.explore || sum <= 0.0 {
            return any;
        }
        let mut left = random.double() * sum;
        for (task, interest) in among.iter().zip(&interests) {
            left -= interest;
            if left < 0.0 {
                return *task;
            }
        }
        any
    }

    /// Takes notice of a score of a task.
    fn learn(&mut self, task: usize, score: f64) {
        if task >= self.last.len() || !score.is_finite() {
            return;
        }
        if let Some(last) = self.last[task] {
            let (change, rate) = ((score - last).abs(), self.config.rate);
            self.progress[task] = Some(match self.progress[task] {
                Some(progress) if progress > 0.0 => rate * change + (1.0 - rate) * progress,
                _ => change,
            });
        } else {
            self.progress[task] = Some(0.0);
        }
        self.last[task] = Some(score);
        self.lowest[task] = Some(self.lowest[task].map_or(score, |low| low.min(score)));
        self.highest[task] = Some(self.highest[task].map_or(score, |high| high.max(score)));
    }
}

impl Role for EnvironmentManager {
    fn name(&self) -> &str {
        EnvironmentConfig::NAME
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![Assignment::TOPIC, Done::TOPIC, Surprise::TOPIC]
    }

    fn handle(&mut self, message: &Envelope, view: &View) -> Result<Outbox> {
        let mut outbox = Outbox::new();
        if let Some(Assignment { role, steps, on_target }) = message.read()? {
            if self.round != view.round {
                (self.round, self.given) = (view.round, 0);
            }
            let left = view.budget.saturating_sub(view.used).saturating_sub(self.given);
            let steps = steps.min(left);
            if steps > 0 {
                self.given += steps;
                let among: Vec<usize> =
                    if on_target { self.targets.clone() } else { (0..self.last.len()).collect() };
                outbox.publish(&Drawn { role, task: self.draw(&among), steps })?;
            }
        }
        if let Some(Done { task, before, after, .. }) = message.read()? {
            before.into_iter().chain(after).for_each(|score| self.learn(task, score));
        }
        if let Some(Surprise { task, error }) = message.read()?
            && let Some(surprise) = self.surprise.get_mut(task)
        {
            *surprise = error.clamp(0.0, 1.0);
        }
        Ok(outbox)
    }

    /// The change of the score as a part of all that it ever changed in this task.
    fn score(&mut self, work: &Done, _proposals: &[Proposal], _view: &View) -> Result<Option<f64>> {
        let (Some(before), Some(after)) = (work.before, work.after) else { return Ok(None) };
        let range = |of: &[Option<f64>]| of.get(work.task).copied().flatten();
        let (Some(low), Some(high)) = (range(&self.lowest), range(&self.highest)) else { return Ok(None) };
        let spread = (high - low).max((after - before).abs());
        Ok((spread > 0.0).then(|| (after - before) / spread))
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("counters", TensorData::u64(&[3], &[self.drawn, self.round, self.given])?);
        for (name, numbers) in self.tables() {
            checkpoint.insert(name, optional(numbers)?);
        }
        checkpoint.insert("surprise", TensorData::f64(&[self.surprise.len()], &self.surprise)?);
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let counters = checkpoint.counters("counters", 3)?;
        let tasks = self.last.len();
        let surprise = checkpoint.tensor("surprise")?.to_f64()?;
        let table = |name: &str| taken_optional(checkpoint, name, tasks);
        let (last, progress) = (table("last")?, table("progress")?);
        let (lowest, highest) = (table("lowest")?, table("highest")?);
        if surprise.len() != tasks {
            return Err(crate::Error::Usage("the checkpoint's `surprise` is of other tasks".into()));
        }
        (self.last, self.progress, self.lowest, self.highest) = (last, progress, lowest, highest);
        (self.surprise, self.drawn, self.round, self.given) =
            (surprise, counters[0], counters[1], counters[2]);
        Ok(())
    }
}

impl EnvironmentManager {
    fn tables(&self) -> [(&'static str, &[Option<f64>]); 4] {
        [
            ("last", &self.last),
            ("progress", &self.progress),
            ("lowest", &self.lowest),
            ("highest", &self.highest),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_on_which_most_is_learned_comes_up_most_often() {
        let config = EnvironmentConfig { explore: 0.1, ..EnvironmentConfig::default() };
        let mut manager = EnvironmentManager::new(config, 3, vec![0], 7);
        // Each is tried once before any is tried twice.
        for expected in 0..3 {
            let task = manager.draw(&[0, 1, 2]);
            assert_eq!(task, expected);
            manager.learn(task, 0.0);
        }
        // One is learned, one stays as it is, one is forgotten slowly.
        for time in 1..20 {
            for (task, pace) in [(0, 1.0), (1, 0.0), (2, -0.25)] {
                manager.learn(task, pace * f64::from(time));
            }
        }
        let mut counts = [0; 3];
        (0..2000).for_each(|_| counts[manager.draw(&[0, 1, 2])] += 1);
        // 0.9 in proportion to 1, 0 and 0.25, and 0.1 evenly: 0.753, 0.033, 0.213.
        for (count, expected) in counts.iter().zip([1507.0, 67.0, 427.0]) {
            assert!((f64::from(*count) - expected).abs() < 0.05 * 2000.0, "{counts:?}");
        }
        assert_eq!(manager.draw(&[2]), 2);
    }

    #[test]
    fn it_gives_no_more_than_there_is_and_comes_back() -> Result<()> {
        let mut manager = EnvironmentManager::new(EnvironmentConfig::default(), 2, vec![1], 0);
        let view = View { used: 900, budget: 1000, ..View::default() };
        let mut asked = |steps: u64| -> Result<Vec<u64>> {
            let body = serde_json::to_value(Assignment { role: "x".into(), steps, on_target: true }).unwrap();
            let envelope =
                Envelope { sequence: 0, topic: "assignment".into(), from: "y".into(), answers: None, body };
            let outbox = manager.handle(&envelope, &view)?;
            Ok(outbox.messages.iter().filter_map(|(_, body)| body["steps"].as_u64()).collect())
        };
        assert_eq!((asked(70)?, asked(70)?, asked(70)?), (vec![70], vec![30], vec![]));
        let mut other = EnvironmentManager::new(EnvironmentConfig::default(), 2, vec![1], 0);
        other.load(&manager.save()?)?;
        assert_eq!(other.save()?, manager.save()?);
        assert!((0..50).all(|_| other.draw(&[0, 1]) == manager.draw(&[0, 1])));
        Ok(())
    }
}
