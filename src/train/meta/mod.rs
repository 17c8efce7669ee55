//! Meta-learning: agents start from parameters that were learned so that a few examples of a task are enough.
//!
//! A world is a task: a sine wave to be learned from points, a goal that is not shown. In each batch every task is met
//! by agents that begin alike; they adapt by a step or more of gradient descent along what they saw, each task with
//! weights of its own (lanes of one program), and what they do then says in which direction the start should have
//! been. Which of the algorithms that is, is a setting ([`Method`]). Where agents learn from what they are paid, the
//! gradient by which they adapt is made so that its own gradient is right too ([`Estimator`]).
//!
//! What adapts agents stands in `agent`, what is learned by in `loss`, tasks and episodes in `batch`, adapted weights
//! between programs in `adapted`, how a start is judged in `measure`.
//!
//! ```
//! use synod::preset::Settings;
//! let items = ["meta.batches=2".to_string()];
//! let mut trainer = Settings::with_items("sinusoid-maml", &items)?.trainer(&synod::Device::cpu())?;
//! assert_eq!(trainer.step()?.updates, 2);
//! # Ok::<(), synod::Error>(())
//! ```

mod adapted;
mod agent;
mod batch;
mod config;
mod loss;
mod measure;
#[cfg(test)]
mod tests;
mod trainer;

pub use config::{Estimator, MetaConfig, Method, Objective};
