//! Traffic management: a city whose signals, whose cars, or both are agents. Signals choose which ways are green; cars
//! choose how they turn, how fast they drive and which gaps they keep.
//!
//! Roads, cars and signals are those of [`roads`](super::roads): what a vehicle does in a tick, and what it must not
//! do, is there. Here is what is chosen and by whom ([`control`] has the rules that signals go by otherwise), what is
//! seen (`observe`) and what it pays.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("traffic")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: the first stage everywhere
//! assert!(out.rewards.iter().all(|reward| reward.is_finite())); // minus the parts of a second lost
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod config;
pub mod control;
mod observe;
mod world;

pub use config::{Cars, ChoiceConfig, SignalConfig, TrafficConfig, TripConfig};
pub use observe::{APPROACH, CAR, TURN};
pub use world::{City, Crossing, TrafficRules};

use super::vectorised::Vectorised;
use super::{VecEnv, WorldConfig, WorldSettings};
use crate::error::Result;
use crate::registry::Member;

/// Many cities at once.
pub type Traffic = Vectorised<TrafficRules>;

impl Member for TrafficConfig {
    const NAME: &'static str = "traffic";
    const SUMMARY: &'static str = "a city whose signals and cars are agents: stages, routes, speeds and gaps";
}

impl WorldSettings for TrafficConfig {
    fn worlds(&self) -> usize {
        self.worlds
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(Self { worlds, ..self.clone() })
    }

    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        Ok(Box::new(Traffic::new(TrafficRules::new(self.clone())?, seed)?))
    }

    fn check(&self) -> Result<()> {
        TrafficConfig::check(self)
    }
}
