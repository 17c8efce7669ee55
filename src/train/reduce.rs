//! From the gradients of shards to one step of the optimisers: the one place where they meet, for every trainer.
//!
//! A batch is cut into shards, each of which has a program that gives its gradient as one flat vector. [`Reduce`] makes
//! one vector of all of them ([`sum`], in the order of the shards, where nobody says otherwise), and the optimisers step
//! by that. What takes part in other processes (an all-reduce), or must see gradients before they are mixed (clipping and
//! noise of differential privacy), is a [`Reduce`] that [`Trainer::set_reduce`](super::Trainer::set_reduce) puts here.
//!
//! With one shard and nobody to look at its gradient, loss, clipping and step are one program: the gradient is not copied
//! out and in again, on a GPU it never leaves the card. The bits are those of the two programs apart.
//!
//! ```
//! use std::sync::Arc;
//! use synod::preset::Settings;
//! use synod::train::reduce::{Gradients, Reduce, sum};
//!
//! /// Half of every gradient.
//! struct Half;
//!
//! impl Reduce for Half {
//!     fn reduce(&self, gradients: &Gradients<'_>, total: &mut [f32]) -> synod::Result<()> {
//!         sum(gradients.shards, total);
//!         total.iter_mut().for_each(|x| *x *= 0.5);
//!         Ok(())
//!     }
//! }
//!
//! let settings = Settings::with_items("lever-commnet", &["learner.rollout=2".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! trainer.set_reduce(Arc::new(Half))?;
//! println!("{:?}", trainer.step()?);
//! # Ok::<(), synod::Error>(())
//! ```

use std::sync::Arc;

use super::{Checkpoint, shards};
use crate::Device;
use crate::cpu::map_mut;
use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::optim::{Optimiser, STEP_INPUT, clip_by_global_norm, update_all};
use crate::program::{Program, Summary};

/// The program's input with the norm that gradients are clipped to.
const LIMIT: &str = "gradient limit";

/// The gradients of one update.
pub struct Gradients<'a> {
    /// Whose: `agent`, `critic`, `manager`, `worker` or `curiosity`. A trainer that has several calls for each in turn.
    pub of: &'static str,
    /// Updates before this one: for the keys of random numbers, which then are the same in a run that was resumed.
    pub update: u64,
    /// One flat vector a shard, `[shards, length]`, in order. Each is the shard's part of the gradient of the mean loss of
    /// the batch, so that their sum is the whole.
    pub shards: &'a [&'a [f32]],
}

/// What makes one gradient of those of the shards.
pub trait Reduce: Send + Sync {
    /// Writes the gradient to step by, `[length]`, into `total`, which holds anything before.
    ///
    /// # Errors
    /// What it reports ends the training; no parameter has changed then.
    fn reduce(&self, gradients: &Gradients<'_>, total: &mut [f32]) -> Result<()>;
}

/// The sum of the shards' gradients, added in their order, so that it is the same bits every time.
pub fn sum(shards: &[&[f32]], total: &mut [f32]) {
    let Some((first, others)) = shards.split_first() else { return total.fill(0.0) };
    total.copy_from_slice(first);
    for shard in others {
        total.iter_mut().zip(*shard).for_each(|(sum, x)| *sum += x);
    }
}

/// What the program of a shard computes.
pub struct Loss<'g> {
    /// The gradients of all models that learn, one after another ([`Optimiser::gradient`]).
    pub gradient: Tensor<'g>,
    /// What else is read: outputs 1, 2, .. of the program.
    pub outputs: Vec<Tensor<'g>>,
}

/// The programs of a batch's shards with the optimisers that step by their gradients.
pub struct Descent {
    of: &'static str,
    optimisers: Vec<Optimiser>,
    shards: Vec<Program>,
    /// The step apart; none where one shard's program does it all.
    update: Option<Program>,
    reduce: Option<Arc<dyn Reduce>>,
}

impl Descent {
    /// So many shards whose loss `loss` builds; it is given the optimisers.
    ///
    /// # Errors
    /// What `loss` or compilation reports.
    pub fn new(
        device: &Device,
        of: &'static str,
        optimisers: Vec<Optimiser>,
        shards: usize,
        loss: impl for<'g> Fn(&'g Graph, &[Optimiser]) -> Result<Loss<'g>>,
    ) -> Result<Self> {
        let (shards, update) = compile(device, &optimisers, shards, false, &loss)?;
        Ok(Descent { of, optimisers, shards, update, reduce: None })
    }

    /// Has `reduce` make one gradient of those of the shards; `loss` is the one that [`Descent::new`] was given.
    ///
    /// # Errors
    /// As [`Descent::new`].
    pub fn set_reduce(
        &mut self,
        device: &Device,
        reduce: Arc<dyn Reduce>,
        loss: impl for<'g> Fn(&'g Graph, &[Optimiser]) -> Result<Loss<'g>>,
    ) -> Result<()> {
        if self.update.is_none() {
            (self.shards, self.update) = compile(device, &self.optimisers, self.shards.len(), true, &loss)?;
        }
        self.reduce = Some(reduce);
        Ok(())
    }

    /// Number of shards.
    pub fn count(&self) -> usize {
        self.shards.len()
    }

    /// The programs of the shards, to read their outputs after a step.
    pub fn shards(&self) -> &[Program] {
        &self.shards
    }

    /// The programs of the shards, to write inputs that stay from step to step.
    pub fn shards_mut(&mut self) -> &mut [Program] {
        &mut self.shards
    }

    /// What the program of one shard is made of.
    pub fn summary(&self) -> Summary {
        self.shards[0].summary()
    }

    /// Steps so far.
    pub fn updates(&self) -> u64 {
        self.optimisers[0].steps()
    }

    /// One step at a learning rate, the gradient's norm clipped to `limit`: `fill` writes the inputs of each shard, which
    /// run side by side; `look` reads their outputs. Gives what `look` did and the norm before clipping. Where the two are
    /// programs apart no parameter has changed when `look` is called, and none changes by a norm that is not finite.
    ///
    /// # Errors
    /// What `fill`, `look`, the reduction or the device reports.
    pub fn step<T>(
        &mut self,
        learning_rate: f32,
        limit: f32,
        fill: impl Fn(usize, &mut Program) -> Result<()> + Sync + Send,
        look: impl FnOnce(&[Program]) -> Result<T>,
    ) -> Result<(T, f64)> {
        let whole = self.update.is_none().then(|| self.advance(learning_rate));
        let run = |shard: usize, program: &mut Program| -> Result<()> {
            fill(shard, program)?;
            match &whole {
                Some(numbers) => program.run(&[(STEP_INPUT, numbers), (LIMIT, &limit)]).map(drop),
                None => program.run(&[]).map(drop),
            }
        };
        match &mut self.shards[..] {
            [only] => run(0, only)?,
            several => map_mut(several, run).into_iter().collect::<Result<()>>()?,
        }
        let seen = look(&self.shards)?;
        let updates = self.updates();
        let Some(update) = &mut self.update else {
            return Ok((seen, f64::from(self.shards[0].outputs().scalar(0))));
        };
        let gradients: Vec<&[f32]> = self.shards.iter().map(|program| program.outputs().f32(0)).collect();
        let total = update.input_mut("gradient")?;
        match &self.reduce {
            Some(reduce) => {
                reduce.reduce(&Gradients { of: self.of, update: updates, shards: &gradients }, total)?;
            }
            None => sum(&gradients, total),
        }
        let norm = total.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return Ok((seen, norm));
        }
        let numbers = self.advance(learning_rate);
        let Some(update) = &mut self.update else { return Ok((seen, norm)) };
        let outputs = update.run(&[(STEP_INPUT, &numbers), (LIMIT, &limit)])?;
        Ok((seen, f64::from(outputs.scalar(0))))
    }

    /// Counts a step of every optimiser; their numbers one after another.
    fn advance(&mut self, learning_rate: f32) -> Vec<f32> {
        self.optimisers.iter_mut().flat_map(|optimiser| optimiser.advance(learning_rate)).collect()
    }

    /// Writes the optimisers' state into a checkpoint.
    ///
    /// # Errors
    /// The device is lost.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        self.optimisers.iter().try_for_each(|optimiser| optimiser.save(checkpoint))
    }

    /// Takes up what [`Descent::save`] wrote.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.optimisers.iter_mut().try_for_each(|optimiser| optimiser.load(checkpoint))
    }
}

/// The programs of the shards, and that of the step where it is apart.
fn compile(
    device: &Device,
    optimisers: &[Optimiser],
    count: usize,
    apart: bool,
    loss: &impl for<'g> Fn(&'g Graph, &[Optimiser]) -> Result<Loss<'g>>,
) -> Result<(Vec<Program>, Option<Program>)> {
    let all: Vec<&Optimiser> = optimisers.iter().collect();
    let apart = apart || count > 1;
    let graph = Graph::new();
    let Loss { gradient, outputs } = loss(&graph, optimisers)?;
    let first = if apart { gradient } else { clipped_step(&all, gradient) };
    let program = device.compile(&graph, &[&[first], &outputs[..]].concat())?;
    let length = gradient.shape().iter().product::<usize>();
    let update = apart.then(|| {
        let graph = Graph::new();
        let norm = clipped_step(&all, graph.input("gradient", [length]));
        device.compile(&graph, &[norm])
    });
    Ok((shards(program, count)?, update.transpose()?))
}

/// Builds the optimisers' step by the gradient, clipped as one; gives its norm before that.
fn clipped_step<'g>(optimisers: &[&Optimiser], gradient: Tensor<'g>) -> Tensor<'g> {
    let graph = gradient.graph();
    let (gradient, norm) = clip_by_global_norm(gradient, graph.input(LIMIT, []));
    update_all(graph, optimisers, gradient);
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_added_in_their_order() {
        let mut total = [9.0; 2];
        sum(&[&[1e8, 1.0], &[1.0, 2.0], &[-1e8, 3.0]], &mut total);
        // (1e8 + 1) - 1e8 in single precision, which another order would make 1.
        assert_eq!(total, [0.0, 6.0]);
        sum(&[], &mut total);
        assert_eq!(total, [0.0, 0.0]);
    }
}
