//! A run on disk and on the terminal: configurations, the run folder, metrics, checkpoint files, the loop that drives a
//! trainer and draws its learning curves, and tables.
//!
//! This room knows trainers only as [`Trainer`](crate::train::Trainer); which presets exist and which agent meets which
//! world is decided above it, in the command line. Files that replace others
//! are written beside them, flushed and renamed ([`directory::Directory::write`]), so that a run can be killed at any
//! moment.

pub mod checkpoint;
pub mod config;
pub mod directory;
pub mod driver;
pub mod folder;
pub mod metrics;
pub mod progress;
pub mod signal;
pub mod statistics;
pub mod table;
pub mod tensorboard;
