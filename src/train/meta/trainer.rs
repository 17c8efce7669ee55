//! The trainer: batches of tasks, adaptation, and the step that makes adapted agents better.

use std::sync::Arc;

use super::adapted::{Adapted, Step};
use super::batch::{Batch, Sizes, examples};
use super::config::{MetaConfig, Objective};
use super::loss::{INNER_RATE, QUERY, STATISTICS, outer, support_name};
use crate::Device;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::env::{Buffers, VecEnv};
use crate::error::Result;
use crate::graph::Graph;
use crate::optim::{Optimiser, Rule};
use crate::program::{Program, Summary};
use crate::train::reduce::{Descent, Loss, Reduce};
use crate::train::{Checkpoint, Report, TensorData, Trainer, agent_checkpoint, finite, statistics, take_up};

/// Agents that play episodes before, between and after steps of adaptation.
struct Players {
    adapted: Adapted,
    step: Step,
}

/// A start that is learned.
pub(super) struct Meta {
    config: MetaConfig,
    device: Device,
    policy: Box<dyn Policy>,
    environment: Box<dyn VecEnv>,
    buffers: Buffers,
    sizes: Sizes,
    shards: usize,
    /// The lengths of the batches that the programs are for.
    times: [usize; 2],
    descent: Descent,
    players: Option<Players>,
    budget: u64,
    steps: u64,
    /// Steps of acting, which count random numbers.
    acted: u64,
}

impl Meta {
    pub fn new(
        device: &Device,
        policy: Box<dyn Policy>,
        environment: Box<dyn VecEnv>,
        config: MetaConfig,
        budget: u64,
        seed: u64,
    ) -> Result<Self> {
        let spec = environment.spec().clone();
        let sizes = Sizes::of(&spec)?;
        let shards = if device.is_cpu() { config.shards(sizes.tasks)? } else { 1 };
        let times = config.each(sizes.agents)?.map(|count| count * config.unit(&spec));
        let optimiser = Optimiser::new(device, policy.parameters(), Rule::adam(config.adam_epsilon))?;
        let descent = {
            let loss = shard_loss(&config, policy.as_ref(), &sizes, times, shards);
            Descent::new(device, "agent", vec![optimiser], shards, loss)?
        };
        let players = match config.objective {
            Objective::Supervised => None,
            Objective::Reinforcement => {
                let adapted = Adapted::new(device, policy.as_ref(), &sizes, Choice::Sample, seed)?;
                let step = adapted.step_of(device, &config, policy.as_ref(), times[0])?;
                Some(Players { adapted, step })
            }
        };
        Ok(Meta {
            device: device.clone(),
            buffers: Buffers::new(&spec),
            policy,
            environment,
            sizes,
            shards,
            times,
            descent,
            players,
            config,
            budget,
            steps: 0,
            acted: 0,
        })
    }

    /// One batch of tasks and the steps of the optimiser along it: the losses of [`STATISTICS`], the gradient's norm, and
    /// mean returns before and after adaptation where episodes are played.
    fn learn(&mut self) -> Result<(Vec<f64>, Option<[f64; 2]>)> {
        let everywhere = vec![true; self.sizes.tasks];
        let (mut supports, mut returns) = (Vec::new(), None);
        let counts = self.config.each(self.sizes.agents)?;
        let environment = self.environment.as_mut();
        let query = match &mut self.players {
            None => {
                environment.reset(&everywhere, &mut self.buffers)?;
                supports.push(examples(environment, &mut self.buffers, &self.sizes, counts[0])?);
                examples(environment, &mut self.buffers, &self.sizes, counts[1])?
            }
            Some(Players { adapted, step }) => {
                let (config, buffers) = (&self.config, &mut self.buffers);
                let query;
                (supports, query) =
                    adapted.trial(config, environment, buffers, counts, step, &mut self.acted)?;
                returns = Some([&supports[0], &query].map(Batch::mean_return));
                query
            }
        };
        let counted = supports.iter().map(|batch| batch.time).sum::<usize>() + query.time;
        self.steps += (counted * self.sizes.lanes()) as u64;
        let progress = self.steps as f64 / self.budget.max(1) as f64;
        let rate = self.config.learning_rate * self.config.schedule.factor(progress);
        let each = self.sizes.tasks / self.shards;
        let (sizes, config, steps) = (&self.sizes, &self.config, self.steps);
        let fill = |shard: usize, program: &mut Program| -> Result<()> {
            let tasks = [shard * each, each];
            for (i, batch) in supports.iter().enumerate() {
                batch.fill(program, &support_name(i), sizes, tasks);
            }
            query.fill(program, QUERY, sizes, tasks);
            for (name, value) in [(INNER_RATE, config.inner_rate), ("clip", config.clip)] {
                if let Some(input) = program.find_input(name) {
                    input[0] = value;
                }
            }
            Ok(())
        };
        let mut seen = Vec::new();
        for _ in 0..config.epochs {
            let look = |shards: &[Program]| statistics(shards, &STATISTICS, steps);
            let (losses, norm) = self.descent.step(rate, config.max_gradient_norm, fill, look)?;
            finite("gradient", norm, steps)?;
            seen = [&losses[..], &[norm]].concat();
        }
        Ok((seen, returns))
    }
}

/// Builds the loss of one of so many shards of a batch.
fn shard_loss<'a>(
    config: &'a MetaConfig,
    policy: &'a dyn Policy,
    sizes: &'a Sizes,
    times: [usize; 2],
    shards: usize,
) -> impl for<'g> Fn(&'g Graph, &[Optimiser]) -> Result<Loss<'g>> + 'a {
    let tasks = sizes.tasks / shards;
    move |graph, optimisers| outer(graph, config, policy, sizes, (times, tasks), &optimisers[0])
}

impl Trainer for Meta {
    fn step(&mut self) -> Result<Report> {
        let mut sums: Vec<f64> = Vec::new();
        let mut returns: Option<[f64; 2]> = None;
        let batches = self.config.batches;
        for _ in 0..batches {
            let (seen, played) = self.learn()?;
            sums.resize(seen.len(), 0.0);
            sums.iter_mut().zip(seen).for_each(|(sum, seen)| *sum += seen / batches as f64);
            if let Some(played) = played {
                let sum = returns.get_or_insert([0.0; 2]);
                sum.iter_mut().zip(played).for_each(|(sum, one)| *sum += one / batches as f64);
            }
        }
        let mut values = Vec::new();
        if let Some([before, after]) = returns {
            values.push(("return".to_string(), after));
            values.push(("return_before".to_string(), before));
        }
        let names = STATISTICS.iter().copied().chain(["gradient_norm"]);
        values.extend(names.map(str::to_string).zip(sums));
        Ok(Report { steps: self.steps, updates: self.descent.updates(), values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = self.save_agent()?;
        self.descent.save(&mut checkpoint)?;
        let worlds = self.environment.save();
        checkpoint.insert("worlds/state", TensorData::u8(&[worlds.len()], &worlds)?);
        checkpoint.insert("trainer/counters", TensorData::u64(&[2], &[self.steps, self.acted])?);
        Ok(checkpoint)
    }

    fn save_agent(&self) -> Result<Checkpoint> {
        agent_checkpoint(self.policy.as_ref())
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.check_architecture(&self.policy.architecture())?;
        take_up(self, checkpoint, |trainer, from| {
            let counters = from.counters("trainer/counters", 2)?;
            trainer.environment.load(from.tensor("worlds/state")?.bytes())?;
            trainer.policy.parameters().load("agent", from)?;
            trainer.descent.load(from)?;
            (trainer.steps, trainer.acted) = (counters[0], counters[1]);
            Ok(())
        })
    }

    fn set_reduce(&mut self, reduce: Arc<dyn Reduce>) -> Result<()> {
        let loss = shard_loss(&self.config, self.policy.as_ref(), &self.sizes, self.times, self.shards);
        self.descent.set_reduce(&self.device, reduce, loss)
    }

    fn learning(&self) -> Option<(Summary, usize)> {
        Some((self.descent.summary(), self.shards))
    }
}
