//! Weights of tasks side by side that stay between programs: where data of a step come from what the last one made.

use super::agent::Adaptation;
use super::batch::{Batch, Inputs, Sizes, episodes};
use super::config::MetaConfig;
use super::loss::{INNER_RATE, support_loss};
use crate::Device;
use crate::action::{Action, Actions};
use crate::agent::actors::Choice;
use crate::agent::{Policy, mixed_key};
use crate::env::{Buffers, VecEnv};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::nn::Parameters;
use crate::program::Program;

/// What the inputs of the batch by which weights adapt begin with.
const SUPPORT: &str = "support";
/// And those of what agents see when they act.
const SEEN: &str = "seen";

/// Weights of each task.
pub(super) struct Adapted {
    sizes: Sizes,
    weights: Parameters,
    /// Sets all to the start.
    begin: Program,
    act: Program,
    has: [bool; 2],
    seed: u64,
}

/// The program of a step of adaptation over batches of one length.
pub(super) struct Step {
    program: Program,
    rate: f32,
}

impl Adapted {
    /// Weights for tasks of these sizes.
    ///
    /// # Errors
    /// What compilation reports.
    pub fn new(
        device: &Device,
        policy: &dyn Policy,
        sizes: &Sizes,
        choice: Choice,
        seed: u64,
    ) -> Result<Self> {
        let weights = policy.parameters().over_lanes(device, sizes.tasks)?;
        let begin = {
            let graph = Graph::new();
            let start = policy.parameters().weights(&graph).over_lanes(sizes.tasks)?;
            graph.assign(weights.flat(), weights.flatten(&graph, start.tensors())?);
            device.compile(&graph, &[])?
        };
        let graph = Graph::new();
        let inputs = Inputs::new(&graph, SEEN, sizes, [1, sizes.tasks]);
        let unrolled = policy.unroll(&graph, &weights.weights(&graph), inputs.sequence, &[])?;
        let of = sizes.space.distribution(unrolled.parameters, None, policy.bounded())?;
        let action = match choice {
            Choice::Greedy => of.mode(),
            _ => of.sample(graph.input_u32("key", [2])),
        };
        let mut outputs = vec![of.log_probability(action)?];
        let Action { discrete, continuous } = action;
        let has = [discrete.is_some(), continuous.is_some()];
        outputs.extend(discrete.into_iter().chain(continuous));
        let act = device.compile(&graph, &outputs)?;
        Ok(Adapted { sizes: sizes.clone(), weights, begin, act, has, seed })
    }

    /// A step of adaptation along batches of so many steps.
    ///
    /// # Errors
    /// What compilation reports.
    pub fn step_of(
        &self,
        device: &Device,
        config: &MetaConfig,
        policy: &dyn Policy,
        time: usize,
    ) -> Result<Step> {
        let graph = Graph::new();
        let inputs = Inputs::new(&graph, SUPPORT, &self.sizes, [time, self.sizes.tasks]);
        let weights = self.weights.weights(&graph);
        let loss = support_loss(config, policy, &self.sizes, &weights, &inputs)?;
        let adaptation = Adaptation::new(config, &self.weights)?;
        let stepped = adaptation.step(&weights, loss, graph.input(INNER_RATE, []))?;
        graph.assign(self.weights.flat(), self.weights.flatten(&graph, stepped.tensors())?);
        Ok(Step { program: device.compile(&graph, &[loss])?, rate: config.inner_rate })
    }

    /// The weights, for programs that read them.
    pub fn weights(&self) -> &Parameters {
        &self.weights
    }

    /// Begins anew for all tasks.
    ///
    /// # Errors
    /// What the device reports.
    pub fn begin(&mut self) -> Result<()> {
        self.begin.run(&[]).map(drop)
    }

    /// A step of adaptation for all tasks.
    ///
    /// # Errors
    /// What the device reports.
    pub fn step(&self, step: &mut Step, batch: &Batch) -> Result<()> {
        batch.fill(&mut step.program, SUPPORT, &self.sizes, [0, self.sizes.tasks]);
        if let Some(rate) = step.program.find_input(INNER_RATE) {
            rate[0] = step.rate;
        }
        step.program.run(&[]).map(drop)
    }

    /// All tasks from the start on: episodes and a step of adaptation along them, as often as the settings say, and then
    /// episodes of those who have adapted. `counts` are the episodes of each, `counter` counts steps for random numbers.
    ///
    /// # Errors
    /// What the worlds or the device report.
    pub fn trial(
        &mut self,
        config: &MetaConfig,
        environment: &mut dyn VecEnv,
        buffers: &mut Buffers,
        [shots, query]: [usize; 2],
        step: &mut Step,
        counter: &mut u64,
    ) -> Result<(Vec<Batch>, Batch)> {
        let limit = environment.spec().limit as usize;
        self.begin()?;
        let mut supports = Vec::with_capacity(config.inner_steps);
        for _ in 0..config.inner_steps {
            let batch = self.play(config, environment, buffers, shots, counter)?;
            let batch = batch.padded(&self.sizes, shots * limit);
            self.step(step, &batch)?;
            supports.push(batch);
        }
        let batch = self.play(config, environment, buffers, query, counter)?;
        Ok((supports, batch.padded(&self.sizes, query * limit)))
    }

    /// So many episodes with the weights as they are, judged by a baseline.
    fn play(
        &mut self,
        config: &MetaConfig,
        environment: &mut dyn VecEnv,
        buffers: &mut Buffers,
        count: usize,
        counter: &mut u64,
    ) -> Result<Batch> {
        let (sizes, act, has, seed) = (&self.sizes, &mut self.act, self.has, self.seed);
        let choose = |seen: &[f32], age: f32, actions: &mut Actions, known: &mut Vec<f32>| {
            act.input_mut(&format!("{SEEN} observations"))?.copy_from_slice(seen);
            if let Some(ages) = act.find_input(&format!("{SEEN} ages")) {
                ages.fill(age);
            }
            if let Some(key) = act.find_input_u32("key") {
                key.copy_from_slice(&mixed_key([seed, *counter], 0));
            }
            *counter += 1;
            let outputs = act.run(&[])?;
            if has[0] {
                actions.discrete.copy_from_slice(outputs.u32(1));
            }
            if has[1] {
                actions.continuous.copy_from_slice(outputs.f32(1 + usize::from(has[0])));
            }
            let log_probabilities = outputs.f32(0);
            if log_probabilities.iter().any(|x| !x.is_finite()) {
                return Err(Error::NotFinite {
                    step: *counter,
                    tensor: "log-probabilities".into(),
                    checkpoint: String::new(),
                });
            }
            known.extend(log_probabilities);
            Ok(())
        };
        let (mut batch, rewards) = episodes(environment, buffers, sizes, count, choose)?;
        batch.judge(sizes, &rewards, config.gamma, config.gae_lambda);
        Ok(batch)
    }
}
