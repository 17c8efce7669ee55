//! The job shop and the flexible job shop: machines are agents that choose which job comes next, and can tell each
//! other what is coming. Garey, Johnson and Sethi (1976) showed that the shortest schedule is hard to find; instances
//! with known optima (Fisher and Thompson 1963, Lawrence 1984, Brandimarte 1993) are read from files. That dispatching
//! can be learned, with a growing lower bound as the price of a step, is from Zhang et al. (2020, "Learning to Dispatch
//! for Job Shop Scheduling via Deep Reinforcement Learning", arXiv 2010.12367, section 4).
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("job_shop")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! // Whoever has something to do takes the first: most work remaining.
//! let machines = out.masks.chunks(7).map(|mask| if mask[1] == 1.0 { 1 } else { 0 });
//! let actions: Vec<u32> = machines.collect();
//! env.step(&actions.into(), &mut out)?;
//! assert!(out.rewards.iter().all(|reward| *reward <= 0.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod config;
mod draw;
mod files;
mod floor;
mod instance;
mod observe;
mod rules;
mod schedule;
mod world;

pub use config::{JobShopConfig, Source};
pub use files::MAX_FILE_BYTES;
pub use floor::Floor;
pub use instance::{Alternative, Instance, LONGEST, MOST_JOBS, MOST_MACHINES, MOST_OPERATIONS};
pub use rules::Rule;
pub use schedule::Schedule;
pub use world::{Play, Shop};

/// Many shop floors at once.
pub type JobShop = super::vectorised::Vectorised<Shop>;
