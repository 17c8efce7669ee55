//! Vehicles that share a road network, each an agent that chooses its acceleration: junctions, roundabouts, merges
//! and grids of them, generated or read from a file. Arrivals are random; who leaves makes room for another.
//!
//! Roads ([`network`], [`generate`], [`files`]) know nothing of vehicles; signals ([`control`]) nothing of either's
//! state but the time; what vehicles do in a tick is in parts of [`Layout`]: who is ahead of whom (`traffic`), rules
//! of driving (`driver`, `reservation`), the safeguard (`safeguard`), what comes of it (`tick`), sight ([`observe`]).
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("roads")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: everybody brakes
//! assert!(out.rewards.iter().all(|reward| *reward == 0.0)); // nobody was there to act
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod arrive;
mod config;
pub mod control;
pub(in crate::env) mod draw;
mod driver;
pub mod files;
pub mod generate;
pub mod lights;
mod meeting;
mod motion;
pub mod network;
pub mod observe;
mod path;
mod reservation;
mod safeguard;
mod saved;
mod tick;
mod touch;
mod traffic;
pub mod way;
mod world;

pub use config::{
    ActionKind, CarConfig, ControlConfig, Driver, Model, NetworkConfig, PayConfig, Plan, RoadsConfig,
};
pub use control::{Signals, turning_flows, uniform_delay, webster_cycle, webster_delay};
pub use lights::{Light, Stages};
pub use meeting::{Conflict, Meeting};
pub use motion::FreeFlow;
pub use network::Network;
pub use path::{Path, Pose};
pub use reservation::Approach;
pub use tick::steered;
pub use touch::touch;
pub use traffic::{Counts, Layout, Traffic, Vehicle};
pub use way::{Turn, Way};
pub use world::RoadsRules;

use super::vectorised::Vectorised;
use super::{VecEnv, WorldConfig, WorldSettings};
use crate::error::Result;
use crate::registry::Member;

/// Many road networks at once.
pub type Roads = Vectorised<RoadsRules>;

impl Member for RoadsConfig {
    const NAME: &'static str = "roads";
    const SUMMARY: &'static str = "vehicles that share junctions, roundabouts, merges and grids of roads";
}

impl WorldSettings for RoadsConfig {
    fn worlds(&self) -> usize {
        self.worlds
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(Self { worlds, ..self.clone() })
    }

    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        Ok(Box::new(Vectorised::<RoadsRules>::new(RoadsRules::new(self.clone())?, seed)?))
    }

    fn check(&self) -> Result<()> {
        RoadsConfig::check(self)
    }
}
