//! The worlds of synod: vectorised environments, what agents can do in them, and the settings that build them.
//!
//! A world is a value of settings that builds an [`env::VecEnv`]: many copies stepped at once, over threads. The
//! packages above, agents and learners, are compiled without it being compiled again; `synod` gives out these modules as
//! its own.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("lever")?.build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&vec![true; env.spec().worlds], &mut out)?;
//! # Ok::<(), synod_worlds::Error>(())
//! ```

pub mod action;
pub mod env;
pub mod registry;
pub mod schema;

pub use synod_engine::{Error, Result};

#[cfg(test)]
use synod_engine::nn;
use synod_engine::{cpu, error, graph};
