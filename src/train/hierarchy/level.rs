//! One level: a Q-network over single transitions of any length, with those that it learns from. What a transition is
//! worth is decided where it is made (see `options`); here it is kept, drawn and learned.

use super::super::dqn::program::{Learned, Parts, loss_program, target_program};
use crate::Device;
use crate::agent::{Policy, fill_noise, noise_key};
use crate::cpu::Parallel;
use crate::env::{Spec, memory};
use crate::error::{Error, Result};
use crate::graph::Data;
use crate::nn::initial::Stream;
use crate::optim::{Rule, STEP_INPUT};
use crate::program::{Program, Summary};
use crate::train::dqn::DqnConfig;
use crate::train::mixer::Mixer;
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

/// Mean over the batch of what an update reports: loss, value, size of the error, norm of the gradient.
pub(super) const STATISTICS: [&str; 4] = ["loss", "q", "td_error", "gradient_norm"];

pub(super) struct Level {
    name: &'static str,
    config: DqnConfig,
    agents: usize,
    /// Numbers that are seen, without the goal.
    observation: usize,
    /// Goals behind what is seen.
    goals: usize,
    actions: usize,
    learned: [Learned; 1],
    learner: Program,
    target: Program,
    seed: u64,
    // A ring for every agent: [agents, replay, ..].
    written: Vec<u64>,
    before: Vec<f32>,
    after: Vec<f32>,
    goal: Vec<u32>,
    action: Vec<u32>,
    returns: Vec<f32>,
    bootstraps: Vec<f32>,
    allowed: Vec<u8>,
}

impl Level {
    /// For `policy` in worlds of these sizes; the last `goals` numbers of an observation are the goal's.
    pub fn new(
        device: &Device,
        name: &'static str,
        policy: &dyn Policy,
        spec: &Spec,
        goals: usize,
        config: &DqnConfig,
        seed: u64,
    ) -> Result<Self> {
        let kind = &spec.kinds[0];
        let observation = kind.observation.iter().product::<usize>() - goals;
        let options = kind.actions.one_choice("a level of a hierarchy")?;
        let key = if name == "manager" { "learner.manager.replay" } else { "learner.worker.replay" };
        let rows = kind.count.checked_mul(config.replay);
        let numbers = rows.and_then(|rows| rows.checked_mul(2 * observation + options + 8));
        let Some(rows) = rows.filter(|_| numbers.is_some_and(|n| n <= 1 << 36)) else {
            return Err(Error::config(key, "less than 2^36 numbers in all"));
        };
        memory::require(key, numbers.and_then(|numbers| numbers.checked_mul(4)))?;
        let learned = [Learned::new(device, policy.parameters(), Rule::adam(config.adam_epsilon))?];
        let parts = Parts {
            config,
            policy,
            kind,
            mixer: &Mixer::None,
            world_state: 0,
            masked: spec.masked,
            learned: &learned,
        };
        let mut learner = loss_program(device, &parts, config.batch, true)?;
        learner.set_parallel(Parallel::Pool);
        Ok(Level {
            name,
            config: config.clone(),
            agents: kind.count,
            observation,
            goals,
            actions: options,
            learner,
            target: target_program(device, &learned)?,
            learned,
            seed,
            written: vec![0; kind.count],
            before: vec![0.0; rows * observation],
            after: vec![0.0; rows * observation],
            goal: vec![0; rows],
            action: vec![0; rows],
            returns: vec![0.0; rows],
            bootstraps: vec![0.0; rows],
            allowed: vec![0; rows * options],
        })
    }

    pub fn summary(&self) -> Summary {
        self.learner.summary()
    }

    pub fn config(&self) -> &DqnConfig {
        &self.config
    }

    pub fn updates(&self) -> u64 {
        self.learned[0].optimiser.steps()
    }

    pub fn add(&mut self, step: &Transition<'_>) {
        let replay = self.config.replay;
        let row = step.agent * replay + (self.written[step.agent] % replay as u64) as usize;
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

    /// Whether there is enough to learn from.
    pub fn is_ready(&self) -> bool {
        let least = (self.config.warmup as u64).div_ceil(self.agents as u64).max(1);
        self.written.iter().all(|written| *written >= least)
    }

    /// One update; the [`STATISTICS`].
    pub fn learn(&mut self, learning_rate: f32) -> Result<[f64; 4]> {
        let (agents, batch, replay) = (self.agents, self.config.batch, self.config.replay);
        let mut stream = Stream::new(self.seed ^ 0x6c65_7665_6c73 ^ self.updates().rotate_left(20));
        let mut rows = Vec::with_capacity(agents * batch);
        for (agent, written) in self.written.iter().enumerate() {
            let there = (*written).min(replay as u64) as usize;
            rows.extend((0..batch).map(|_| agent * replay + stream.below(there)));
        }
        self.fill(&rows)?;
        let updates = self.updates();
        fill_noise(&mut self.learner, batch, |t, j| noise_key([self.seed, updates], t * batch + j));
        let step = self.learned[0].optimiser.advance(learning_rate);
        let inputs: [(&str, &dyn Data); 2] =
            [(STEP_INPUT, &step), ("gradient limit", &self.config.max_gradient_norm)];
        self.learner.run(&inputs)?;
        let outputs = self.learner.outputs();
        let sums = outputs.f32(1);
        let statistics = [sums[0], sums[1], sums[2], outputs.scalar(0)].map(f64::from);
        if self.updates().is_multiple_of(self.config.target_every as u64) {
            self.target.run(&[("rate", &[self.config.target_rate])])?;
        }
        Ok(statistics)
    }

    /// Writes transitions into the learner's inputs: `[before or after, agents, batch, ..]`.
    fn fill(&mut self, rows: &[usize]) -> Result<()> {
        let (size, goals, actions) = (self.observation, self.goals, self.actions);
        let width = size + goals;
        let input = self.learner.input_mut("observations")?;
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
        let input = self.learner.input_mut_u32("actions")?;
        input.fill(0);
        for (to, row) in input.iter_mut().zip(rows) {
            *to = self.action[*row];
        }
        // Not there where everything is always allowed.
        if let Some(input) = self.learner.find_input("masks") {
            // What was allowed before does not matter to the learner.
            input.fill(1.0);
            for (to, row) in input[rows.len() * actions..].chunks_exact_mut(actions).zip(rows) {
                for (to, from) in to.iter_mut().zip(&self.allowed[row * actions..][..actions]) {
                    *to = f32::from(*from);
                }
            }
        }
        for (name, source) in [("returns", &self.returns), ("bootstraps", &self.bootstraps)] {
            for (to, row) in self.learner.input_mut(name)?.iter_mut().zip(rows) {
                *to = source[*row];
            }
        }
        let share = 1.0 / rows.len() as f32;
        self.learner.input_mut("weights")?.fill(share);
        self.learner.input_mut("shares")?.fill(share);
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

    /// Forgets what it has to learn from.
    pub fn clear(&mut self) {
        self.written.fill(0);
    }

    /// Writes everything into a checkpoint, what it has to learn from where that is wanted. The level's name comes second
    /// in the names of tensors, so that parameters lie under `agent/manager` and `agent/worker`.
    pub fn save(&self, checkpoint: &mut Checkpoint, with_replay: bool) -> Result<()> {
        let mut own = Checkpoint::new();
        self.learned[0].save(&mut own, "agent")?;
        if with_replay {
            self.save_replay(&mut own)?;
        }
        for (name, tensor) in own.tensors {
            if let Some((first, rest)) = name.split_once('/') {
                checkpoint.insert(format!("{first}/{}/{rest}", self.name), tensor);
            }
        }
        Ok(())
    }

    fn save_replay(&self, own: &mut Checkpoint) -> Result<()> {
        for (name, values) in self.arrays() {
            own.insert(format!("replay/{name}"), TensorData::f32(&[values.len()], values)?);
        }
        own.insert("replay/goals", TensorData::u32(&[self.goal.len()], &self.goal)?);
        own.insert("replay/actions", TensorData::u32(&[self.action.len()], &self.action)?);
        own.insert("replay/allowed", TensorData::u8(&[self.allowed.len()], &self.allowed)?);
        own.insert("replay/written", TensorData::u64(&[self.written.len()], &self.written)?);
        Ok(())
    }

    /// Takes up what [`Level::save`] wrote, of tensors whose sizes were compared before.
    ///
    /// # Errors
    /// An action or a goal is out of range.
    pub fn load(&mut self, checkpoint: &Checkpoint, with_replay: bool) -> Result<()> {
        let mut own = Checkpoint::new();
        for (name, tensor) in &checkpoint.tensors {
            let mut parts = name.splitn(3, '/');
            if let (Some(first), Some(level), Some(rest)) = (parts.next(), parts.next(), parts.next())
                && level == self.name
            {
                own.insert(format!("{first}/{rest}"), tensor.clone());
            }
        }
        if with_replay {
            self.load_replay(&own)?;
        }
        self.learned[0].load(&own, "agent")
    }

    fn load_replay(&mut self, own: &Checkpoint) -> Result<()> {
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
        let written = own.counters("replay/written", self.agents)?;
        (self.goal, self.action, self.allowed, self.written) = (goal, action, allowed, written);
        (self.before, self.after, self.returns, self.bootstraps) = (before, after, returns, bootstraps);
        Ok(())
    }
}
