//! One level: a Q-network over single transitions of any length, with those that it learns from. What a transition is
//! worth is decided where it is made (see `options`), where it is kept and drawn in `transitions`; here it is learned.

use std::sync::Arc;

use super::super::dqn::program::{Parts, loss};
use super::super::drawn::{Learned, target_program};
use super::transitions::{Transition, Transitions};
use crate::Device;
use crate::agent::{Policy, fill_noise, noise_key};
use crate::env::Spec;
use crate::error::Result;
use crate::nn::initial::Stream;
use crate::optim::Rule;
use crate::program::{Program, Summary};
use crate::train::Checkpoint;
use crate::train::dqn::DqnConfig;
use crate::train::mixer::Mixer;
use crate::train::reduce::{Descent, Reduce};

/// Mean over the batch of what an update reports: loss, value, size of the error, norm of the gradient.
pub(super) const STATISTICS: [&str; 4] = ["loss", "q", "td_error", "gradient_norm"];

pub(super) struct Level {
    name: &'static str,
    config: DqnConfig,
    spec: Spec,
    learned: [Learned; 1],
    descent: Descent,
    target: Program,
    seed: u64,
    kept: Transitions,
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
        let kept = Transitions::new(name, spec, goals, config.replay)?;
        let rates = format!("learner.{name}.rates");
        let rule = Rule::adam(config.adam_epsilon);
        let optimisers = config.rates.optimisers(&rates, device, &[policy.parameters()], rule)?;
        let learned = [Learned::new(device, policy.parameters())?];
        let parts = parts(config, policy, spec, &learned);
        let descent = Descent::new(device, name, optimisers, 1, |graph, optimisers| {
            loss(graph, &parts, config.batch, optimisers)
        })?;
        Ok(Level {
            name,
            config: config.clone(),
            spec: spec.clone(),
            descent,
            target: target_program(device, &learned)?,
            learned,
            seed,
            kept,
        })
    }

    pub fn summary(&self) -> Summary {
        self.descent.summary()
    }

    /// Puts `reduce` before the step; `policy` is the one that the level was made with.
    pub fn set_reduce(
        &mut self,
        device: &Device,
        policy: &dyn Policy,
        reduce: Arc<dyn Reduce>,
    ) -> Result<()> {
        let parts = parts(&self.config, policy, &self.spec, &self.learned);
        self.descent.set_reduce(device, reduce, |graph, optimisers| {
            loss(graph, &parts, self.config.batch, optimisers)
        })
    }

    pub fn config(&self) -> &DqnConfig {
        &self.config
    }

    pub fn updates(&self) -> u64 {
        self.descent.updates()
    }

    /// Whether there is enough to learn from.
    pub fn is_ready(&self) -> bool {
        self.kept.is_ready(self.config.warmup)
    }

    pub fn add(&mut self, step: &Transition<'_>) {
        self.kept.add(step);
    }

    /// One update; the [`STATISTICS`].
    pub fn learn(&mut self, learning_rate: f32) -> Result<[f64; 4]> {
        let batch = self.config.batch;
        let mut stream = Stream::new(self.seed ^ 0x6c65_7665_6c73 ^ self.updates().rotate_left(20));
        let rows = self.kept.draw(batch, &mut stream);
        let updates = self.updates();
        let (seed, limit) = (self.seed, self.config.max_gradient_norm);
        let kept = &self.kept;
        let fill = |_: usize, learner: &mut Program| {
            fill_noise(learner, batch, |t, j| noise_key([seed, updates], t * batch + j));
            kept.fill(learner, &rows)
        };
        let look = |learners: &[Program]| {
            let sums = learners[0].outputs().f32(1);
            Ok([sums[0], sums[1], sums[2]].map(f64::from))
        };
        let ([loss, q, error], norm) = self.descent.step(learning_rate, limit, fill, look)?;
        let statistics = [loss, q, error, norm];
        if self.updates().is_multiple_of(self.config.target_every as u64) {
            self.target.run(&[("rate", &[self.config.target_rate])])?;
        }
        Ok(statistics)
    }

    /// Forgets what it has to learn from.
    pub fn clear(&mut self) {
        self.kept.clear();
    }

    /// Writes everything into a checkpoint, what it has to learn from where that is wanted. The level's name comes second
    /// in the names of tensors, so that parameters lie under `agent/manager` and `agent/worker`.
    pub fn save(&self, checkpoint: &mut Checkpoint, with_replay: bool) -> Result<()> {
        let mut own = Checkpoint::new();
        self.learned[0].save(&mut own, "agent")?;
        self.descent.save(&mut own)?;
        if with_replay {
            self.kept.save(&mut own)?;
        }
        for (name, tensor) in own.tensors {
            if let Some((first, rest)) = name.split_once('/') {
                checkpoint.insert(format!("{first}/{}/{rest}", self.name), tensor);
            }
        }
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
            self.kept.load(&own)?;
        }
        self.learned[0].load(&own, "agent")?;
        self.descent.load(&own)
    }
}

/// What the loss of a level is made from.
fn parts<'a>(
    config: &'a DqnConfig,
    policy: &'a dyn Policy,
    spec: &'a Spec,
    learned: &'a [Learned],
) -> Parts<'a> {
    let (kind, masked) = (&spec.kinds[0], spec.masked);
    Parts { config, policy, kind, mixer: &Mixer::None, world_state: 0, masked, learned }
}
