//! Level-based foraging: food is taken by players next to it whose levels together reach its own. The rules are those
//! of `lbforaging` 2.0.0 (Christianos, Schäfer and Albrecht 2020, "Shared Experience Actor-Critic for Multi-Agent
//! Reinforcement Learning", arXiv 2006.07169; Papoudakis et al. 2021, arXiv 2006.07869). Starts are drawn as there:
//! with [`Vectorised::set_random`](super::vectorised::Vectorised::set_random) and `Pcg64::new(seed)` an episode is that
//! of its `reset(seed)`, and those that follow are those of `reset()`.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("foraging")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&vec![1; 4].into(), &mut out)?; // all go north
//! assert!(out.rewards.iter().all(|reward| *reward == 0.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod config;
mod rules;

pub use config::ForagingConfig;
pub use rules::{Field, Food, Player};

/// Many fields at once.
pub type Foraging = super::vectorised::Vectorised<ForagingConfig>;
