//! A warehouse where robots bring shelves that are requested to goals, and put them back: the rules of RWARE 2.0.0
//! (Papoudakis, Christianos, Schäfer and Albrecht 2021, "Benchmarking Multi-Agent Deep Reinforcement Learning
//! Algorithms in Cooperative Tasks", arXiv 2006.07869). Starts and requests are drawn as there: with
//! [`Vectorised::set_random`](super::vectorised::Vectorised::set_random) and `Pcg64::new(seed)` an episode is that of
//! RWARE's `reset(seed)`. Batteries, stations that take their time and requests of unlike worth can be had beside them.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("warehouse")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&vec![1; 8].into(), &mut out)?; // all drive forward
//! assert!(out.rewards.iter().all(|reward| *reward >= 0.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod config;
mod draw;
mod floor;
mod ground;
mod layout;
mod observe;
mod ties;
mod traffic;
mod world;

pub use config::{Battery, Difficulty, Priorities, Reward, Ties, WarehouseConfig};
pub use floor::Floor;
pub use layout::{Layout, LayoutSource, MAX_SIDE};
pub use world::Warehouse;

/// Many warehouses at once.
pub type Warehouses = super::vectorised::Vectorised<Warehouse>;
