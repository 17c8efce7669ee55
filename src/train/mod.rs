//! How agents learn: one file an algorithm, all behind [`Trainer`].
//!
//! A trainer owns its worlds, its agent and its optimiser, and turns time into [`Report`]s. It knows nothing about the
//! terminal or the disk: progress bars, metric files, checkpoint files and ^C live in `run`. What crosses between the
//! two is [`Report`] on the way out and [`Checkpoint`] both ways.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::with_items("two-step-vdn", &["learner.warmup=16".to_string()])?;
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! let report = trainer.step()?;
//! assert!(report.steps > 0);
//! # Ok::<(), synod::Error>(())
//! ```

pub mod a2c;
pub mod coma;
mod config;
pub mod curiosity;
pub mod dqn;
mod drawn;
mod experience;
pub mod exploration;
pub mod facmac;
pub mod hierarchy;
pub mod influence;
mod inherit;
pub mod maddpg;
pub mod matd3;
pub mod meta;
pub mod mixer;
mod moments;
mod normaliser;
pub mod off_policy;
pub mod player;
pub mod ppo;
mod rates;
pub mod reduce;
pub mod replay;
pub mod rollout;
pub mod sac;
mod sum_tree;
pub mod supervised;
pub mod tabular;
pub mod td3;

pub use config::{LearnerConfig, LearnerSettings, Learners, Making, check_actions, check_normalised};
pub use inherit::{Inherited, Taken};
pub use rates::Rates;

pub use crate::tensors::{Checkpoint, ElementType, TensorData};

use std::sync::Arc;

use crate::Device;
use crate::agent::Policy;
use crate::cpu::Parallel;
use crate::env::EpisodeReport;
use crate::error::{Error, Result};
use crate::program::{Program, Summary};

/// What one call of [`Trainer::step`] did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Agent-steps since training began (worlds x agents x time), not only those of this call.
    pub steps: u64,
    /// Optimiser updates since training began.
    pub updates: u64,
    /// Named numbers in the order they should be shown: `return`, `csr`, `loss/policy`. A name may be absent from
    /// some reports (no episode ended); a value that could not be measured is left out rather than given as NaN.
    pub values: Vec<(String, f64)>,
}

impl Report {
    /// The value of that name, where this report has it.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }
}

/// One way of learning, with all its state.
///
/// The same sequence of calls from the same state gives the same bits, so that `save`, a new process, `load` and then
/// `step` equals `step` without the interruption. Wall-clock time must not enter a report or a decision.
pub trait Trainer: Send {
    /// One iteration: a rollout and the updates that follow from it.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where a loss or a parameter is not finite (its `checkpoint`
    /// field may be left empty: the run fills it in); whatever the device or the worlds report.
    fn step(&mut self) -> Result<Report>;

    /// Everything that is needed to go on exactly: parameters, optimiser state, recurrent state, memories, replay,
    /// the worlds and the counters of random numbers.
    ///
    /// # Errors
    /// What the device reports when its variables are read.
    fn save(&self) -> Result<Checkpoint>;

    /// What acts, and what pictures of it need, without what only training needs: the text `architecture` and the tensors
    /// under `agent/` and `curiosity/`. Trainers for which [`save`](Self::save) is dear have a shorter way than this one.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    fn save_agent(&self) -> Result<Checkpoint> {
        let mut agent = self.save()?;
        agent.tensors.retain(|name, _| name.starts_with("agent/") || name.starts_with("curiosity/"));
        Ok(agent)
    }

    /// Takes up the state that [`save`](Self::save) gave.
    ///
    /// # Errors
    /// An error that names the missing, superfluous and mis-shaped tensors ([`Checkpoint::check`] gives it). The
    /// trainer is unchanged then.
    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()>;

    /// Puts `reduce` between the gradients of the shards and the optimisers' steps, where otherwise they are summed
    /// ([`reduce`]): in every set of parameters that the trainer learns, at every update from now on.
    ///
    /// # Errors
    /// A trainer that has no such place, or what compilation reports.
    fn set_reduce(&mut self, reduce: Arc<dyn reduce::Reduce>) -> Result<()> {
        drop(reduce);
        Err(Error::Usage("this learner lets nobody at its gradients".into()))
    }

    /// What the program of one learning shard is made of, and how many such shards there are: by that `--device auto`
    /// chooses. `None` where there is no such program; then it is the CPU.
    fn learning(&self) -> Option<(Summary, usize)> {
        None
    }
}

/// Takes up a checkpoint's state by `take`, which need not care what it leaves behind where it refuses: the trainer is then
/// given back what it had.
///
/// # Errors
/// The tensors are not those that the trainer itself saves, or what `take` reports.
pub fn take_up<T: Trainer>(
    trainer: &mut T,
    checkpoint: &Checkpoint,
    take: impl Fn(&mut T, &Checkpoint) -> Result<()>,
) -> Result<()> {
    let own = trainer.save()?;
    // The worlds' own state may have another length: they check it themselves.
    checkpoint.check_like(&own, &["worlds/state"])?;
    take(trainer, checkpoint).or_else(|error| {
        take(trainer, &own)?;
        Err(error)
    })
}

/// A checkpoint of what acts: the text `architecture` and the tensors under `agent/`.
///
/// # Errors
/// The device is lost.
fn agent_checkpoint(policy: &dyn Policy) -> Result<Checkpoint> {
    let mut checkpoint = Checkpoint::new();
    checkpoint.set("architecture", policy.architecture());
    policy.parameters().save("agent", &mut checkpoint)?;
    Ok(checkpoint)
}

/// How many shards act and learn, as settings have it. Shards are for threads: a GPU takes the whole batch at once, and its
/// gradients never leave it.
fn shard_counts(device: &Device, acting: usize, learning: usize) -> (usize, usize) {
    if device.is_cpu() { (acting, learning) } else { (1, 1) }
}

/// The sums over shards of what their loss programs give second, which are called so; reached after so many agent-steps.
///
/// # Errors
/// One is not finite.
fn statistics<const N: usize>(shards: &[Program], names: &[&str; N], step: u64) -> Result<[f64; N]> {
    let mut sums = [0f64; N];
    for shard in shards {
        sums.iter_mut().zip(shard.outputs().f32(1)).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    names.iter().zip(sums).try_for_each(|(name, sum)| finite(name, sum, step))?;
    Ok(sums)
}

/// Programs for so many shards of a batch, from that of the first. They are spread over threads; alone, a shard may use
/// them all.
pub fn shards(first: Program, count: usize) -> Result<Vec<Program>> {
    let mut programs = vec![first];
    while programs.len() < count {
        programs.push(programs[0].fork()?);
    }
    for program in &mut programs {
        program.set_parallel(if count > 1 { Parallel::Serial } else { Parallel::Pool });
    }
    Ok(programs)
}

/// Refuses a number that is not finite, reached after so many agent-steps.
pub fn finite(name: &str, value: f64, step: u64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::NotFinite { step, tensor: name.to_string(), checkpoint: String::new() })
}

/// Means over the episodes that ended, by name.
pub fn episodes(reports: &[EpisodeReport]) -> Vec<(String, f64)> {
    let mut sums: Vec<(&str, f64, f64)> = Vec::new();
    for report in reports {
        for (place, &(name, value)) in report.values.iter().enumerate() {
            // Reports of one world have the same names at the same places.
            let found = match sums.get(place) {
                Some((own, ..)) if *own == name => Some(place),
                _ => sums.iter().position(|(own, ..)| *own == name),
            };
            let at = found.unwrap_or_else(|| {
                sums.push((name, 0.0, 0.0));
                sums.len() - 1
            });
            sums[at].1 += value;
            sums[at].2 += 1.0;
        }
    }
    let mut values: Vec<(String, f64)> =
        sums.into_iter().map(|(name, sum, count)| (name.to_string(), sum / count)).collect();
    if !values.is_empty() {
        values.push(("episodes".into(), reports.len() as f64));
    }
    values
}
