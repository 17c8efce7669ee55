//! A run on disk and on the terminal: configurations, the run folder, metrics, checkpoint files, the loop that drives a
//! trainer and has it evaluated, learning curves, pictures of episodes and of what goes on in teams, and tables.
//!
//! This room knows trainers only as [`Trainer`](crate::train::Trainer) and episodes only as [`picture::Scene`]; which
//! presets exist and which agent meets which world is decided above it, in the command line. Files that replace others
//! are written beside them, flushed and renamed ([`directory::Directory::write`]), so that a run can be killed at any
//! moment.

pub mod best;
pub mod checkpoint;
pub mod config;
pub mod curves;
pub mod directory;
pub mod driver;
pub mod folder;
pub mod inspect;
pub mod metrics;
pub mod picture;
pub mod plot;
pub mod progress;
mod resume;
pub mod signal;
pub mod statistics;
pub mod table;
pub mod tensorboard;
