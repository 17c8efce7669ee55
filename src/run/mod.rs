//! A run on disk and on the terminal: configurations, the run folder, metrics, checkpoint files, the loop that drives a
//! trainer, has it evaluated and draws its learning curves, and tables.
//!
//! This room knows trainers only as [`Trainer`](crate::train::Trainer); which presets exist and which agent meets which
//! world is decided above it, in `preset`. Files that replace others are written beside them, flushed
//! and renamed ([`directory::Directory::write`]), so that a run can be killed at any moment.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use synod::preset::Settings;
//! use synod::run::driver::{Options, drive};
//! use synod::run::folder::Folder;
//! use synod::run::progress::Silent;
//! let parent = tempfile::tempdir().expect("a folder");
//! let settings = Settings { steps: 400, ..Settings::preset("two-step-vdn")? };
//! let mut trainer = settings.trainer(&synod::Device::cpu())?;
//! let folder = Folder::create(parent.path().join("run"), &settings.to_toml()?)?;
//! let options = Options::new(settings.steps, folder.path());
//! let outcome = drive(trainer.as_mut(), &folder, &options, &mut Silent, &AtomicBool::new(false))?;
//! assert!(outcome.done && outcome.checkpoint.exists());
//! # Ok::<(), synod::Error>(())
//! ```

pub mod best;
pub mod checkpoint;
pub mod config;
pub mod curves;
pub mod directory;
pub mod driver;
pub mod folder;
pub mod journal;
pub mod metrics;
pub mod progress;
mod resume;
pub mod signal;
pub mod statistics;
pub mod table;
pub mod tensorboard;
