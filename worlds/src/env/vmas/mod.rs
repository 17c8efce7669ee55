//! Vehicles and particles of VMAS (Bettini, Kortvelesy, Blumenkamp and Prorok 2022, "VMAS: A Vectorized Multi-Agent
//! Simulator for Collective Robot Learning", arXiv 2207.03530) with the physics, observations and rewards of `vmas`
//! 1.5.2 and continuous actions: navigation, transport, wheel, give way, and vehicles that steer like bicycles. Starts
//! are drawn from the worlds' own streams, not from torch's. What has to follow from a state follows to 1e-5. Episodes
//! are truncated after `max_episode_steps`. In all worlds the state for a centralised critic is the agents'
//! observations, one after another.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("navigation")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: nobody is pushed
//! assert!(out.rewards.iter().all(|reward| *reward == 0.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod bicycle;
mod draw;
mod give_way;
mod mechanics;
mod navigation;
mod transport;
mod wheel;

pub use bicycle::{Integration, KinematicBicycle, KinematicBicycleConfig};
pub use give_way::{GiveWay, GiveWayConfig};
pub use mechanics::{Pose, Scene};
pub use navigation::{Navigation, NavigationConfig};
pub use transport::{Transport, TransportConfig};
pub use wheel::{Wheel, WheelConfig};

use super::vectorised::Chosen;

/// The largest limit of steps.
const MAX_STEPS: usize = 1 << 30;

impl Scene {
    /// Makes what agents do their own force, so many times.
    fn push(&mut self, actions: Chosen, times: f64) {
        for (effort, chosen) in self.efforts.iter_mut().zip(actions.continuous(0).chunks_exact(2)) {
            *effort = ([0, 1].map(|axis| f64::from(chosen[axis]) * times), 0.0);
        }
    }
}

/// Writes numbers one after another.
fn write<'a>(to: &mut [f32], numbers: impl IntoIterator<Item = &'a f64>) {
    to.iter_mut().zip(numbers).for_each(|(to, number)| *to = *number as f32);
}

/// Names of the continuous actions of what is pushed.
fn pushes() -> Vec<String> {
    super::drawing::names(&["right", "up"])
}
