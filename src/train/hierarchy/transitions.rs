//! The transitions that a level learns from: a ring for every agent, drawn evenly.

use crate::env::{Spec, memory};
use crate::error::{Error, Result};
use crate::nn::initial::Stream;
use crate::program::Program;
use crate::train::{Checkpoint, TensorData};

/// A step of this level.
pub(super) struct Transition<'a> {
    pub agent: usize,
    /// What was seen.
    pub before: &'a [f32],
    /// The goal that stands behind what is seen, before and after; of no meaning where a level has none.
    pub goal: u32,
    pub action: u32,
    /// The discounted sum of its rewards.
    pub returns: f32,
    /// What the value of what was seen after it counts for.
    pub bootstrap: f32,
    pub after: &'a [f32],
    /// What was allowed after it.
    pub allowed: &'a [f32],
}

/// Transitions, `[agents, replay, ..]`.
pub(super) struct Transitions {
    /// Of the level.
    name: &'static str,
    /// Numbers that are seen, without the goal.
    observation: usize,
    /// Goals behind what is seen.
    goals: usize,
    actions: usize,
    /// Transitions that are kept of each agent.
    replay: usize,
    /// How many each agent has had.
    written: Vec<u64>,
    before: Vec<f32>,
    after: Vec<f32>,
    goal: Vec<u32>,
    action: Vec<u32>,
    returns: Vec<f32>,
    bootstraps: Vec<f32>,
    allowed: Vec<u8>,
}

impl Transitions {
    /// Room for `replay` transitions of each agent of these worlds; the last `goals` numbers of an observation are the
    /// goal's.
    pub fn new(name: &'static str, spec: &Spec, goals: usize, replay: usize) -> Result<Self> {
        let kind = &spec.kinds[0];
        let observation = kind.observation.iter().product::<usize>() - goals;
        let actions = kind.actions.one_choice("a level of a hierarchy")?;
        let key = if name == "manager" { "learner.manager.replay" } else { "learner.worker.replay" };
        let rows = kind.count.checked_mul(replay);
        let numbers = rows.and_then(|rows| rows.checked_mul(2 * observation + actions + 8));
        let Some(rows) = rows.filter(|_| numbers.is_some_and(|n| n <= 1 << 36)) else {
            return Err(Error::config(key, "less than 2^36 numbers in all"));
        };
        memory::require(key, numbers.and_then(|numbers| numbers.checked_mul(4)))?;
        Ok(Transitions {
            name,
            observation,
            goals,
            actions,
            replay,
            written: vec![0; kind.count],
            before: vec![0.0; rows * observation],
            after: vec![0.0; rows * observation],
            goal: vec![0; rows],
            action: vec![0; rows],
            returns: vec![0.0; rows],
            bootstraps: vec![0.0; rows],
            allowed: vec![0; rows * actions],
        })
    }

    pub fn add(&mut self, step: &Transition<'_>) {
        let row = step.agent * self.replay + (self.written[step.agent] % self.replay as u64) as usize;
        self.written[step.agent] += 1;
        let size = self.observation;
        self.before[row * size..][..size].copy_from_slice(step.before);
        self.after[row * size..][..size].copy_from_slice(step.after);
        self.goal[row] = step.goal;
        self.action[row] = step.action;
        self.returns[row] = step.returns;
        self.bootstraps[row] = step.bootstrap;
        for (to, from) in self.allowed[row * self.actions..][..self.actions].iter_mut().zip(step.allowed) {
            *to = u8::from(*from != 0.0);
        }
    }

    /// Whether every agent has had its share of `warmup` transitions.
    pub fn is_ready(&self, warmup: usize) -> bool {
        let least = (warmup as u64).div_ceil(self.written.len() as u64).max(1);
        self.written.iter().all(|written| *written >= least)
    }

    /// Rows of `batch` transitions of each agent, `[agents, batch]`.
    pub fn draw(&self, batch: usize, stream: &mut Stream) -> Vec<usize> {
        let mut rows = Vec::with_capacity(self.written.len() * batch);
        for (agent, written) in self.written.iter().enumerate() {
            let there = (*written).min(self.replay as u64) as usize;
            rows.extend((0..batch).map(|_| agent * self.replay + stream.below(there)));
        }
        rows
    }

    /// Writes transitions into the learner's inputs: `[before or after, agents, batch, ..]`.
    pub fn fill(&self, learner: &mut Program, rows: &[usize]) -> Result<()> {
        let (size, goals, actions) = (self.observation, self.goals, self.actions);
        let width = size + goals;
        let input = learner.input_mut("observations")?;
        input.fill(0.0);
        let (first, second) = input.split_at_mut(rows.len() * width);
        for (half, source) in [(first, &self.before), (second, &self.after)] {
            for (to, row) in half.chunks_exact_mut(width).zip(rows) {
                to[..size].copy_from_slice(&source[row * size..][..size]);
                if goals > 0 {
                    to[size + self.goal[*row] as usize] = 1.0;
                }
            }
        }
        let input = learner.input_mut_u32("actions")?;
        input.fill(0);
        for (to, row) in input.iter_mut().zip(rows) {
            *to = self.action[*row];
        }
        // Not there where everything is always allowed.
        if let Some(input) = learner.find_input("masks") {
            // What was allowed before does not matter to the learner.
            input.fill(1.0);
            for (to, row) in input[rows.len() * actions..].chunks_exact_mut(actions).zip(rows) {
                for (to, from) in to.iter_mut().zip(&self.allowed[row * actions..][..actions]) {
                    *to = f32::from(*from);
                }
            }
        }
        for (name, source) in [("returns", &self.returns), ("bootstraps", &self.bootstraps)] {
            for (to, row) in learner.input_mut(name)?.iter_mut().zip(rows) {
                *to = source[*row];
            }
        }
        let share = 1.0 / rows.len() as f32;
        learner.input_mut("weights")?.fill(share);
        learner.input_mut("shares")?.fill(share);
        Ok(())
    }

    fn arrays(&self) -> [(&'static str, &Vec<f32>); 4] {
        [
            ("before", &self.before),
            ("after", &self.after),
            ("returns", &self.returns),
            ("bootstraps", &self.bootstraps),
        ]
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.written.fill(0);
    }

    pub fn save(&self, own: &mut Checkpoint) -> Result<()> {
        for (name, values) in self.arrays() {
            own.insert(format!("replay/{name}"), TensorData::f32(&[values.len()], values)?);
        }
        own.insert("replay/goals", TensorData::u32(&[self.goal.len()], &self.goal)?);
        own.insert("replay/actions", TensorData::u32(&[self.action.len()], &self.action)?);
        own.insert("replay/allowed", TensorData::u8(&[self.allowed.len()], &self.allowed)?);
        own.insert("replay/written", TensorData::u64(&[self.written.len()], &self.written)?);
        Ok(())
    }

    /// Takes up what [`Transitions::save`] wrote, of tensors whose sizes were compared before.
    ///
    /// # Errors
    /// An action or a goal is out of range.
    pub fn load(&mut self, own: &Checkpoint) -> Result<()> {
        let below = |name: &str, limit: usize| -> Result<Vec<u32>> {
            let values = own.tensor(name)?.to_u32()?;
            match values.iter().all(|value| (*value as usize) < limit.max(1)) {
                true => Ok(values),
                false => {
                    let name = name.replace('/', &format!("/{}/", self.name));
                    Err(Error::Usage(format!("the checkpoint's `{name}` holds a number beyond {limit}")))
                }
            }
        };
        let (goal, action) = (below("replay/goals", self.goals)?, below("replay/actions", self.actions)?);
        let floats = |name: &str| own.tensor(&format!("replay/{name}"))?.to_f32();
        let [before, after] = [floats("before")?, floats("after")?];
        let [returns, bootstraps] = [floats("returns")?, floats("bootstraps")?];
        let allowed = own.tensor("replay/allowed")?.to_u8()?;
        let written = own.counters("replay/written", self.written.len())?;
        (self.goal, self.action, self.allowed, self.written) = (goal, action, allowed, written);
        (self.before, self.after, self.returns, self.bootstraps) = (before, after, returns, bootstraps);
        Ok(())
    }
}
