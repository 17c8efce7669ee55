//! Platoons: trucks, cars and emergency vehicles that drive behind a leader, on one lane or several, each of them an agent
//! that chooses its acceleration. Emergency vehicles want to pass, more or less urgently; whoever makes room for them has
//! to know that they come. Under a [`RegulatorConfig`] the same vehicles are a linear system with a quadratic cost, whose
//! optimum is known.
//!
//! Beside the world stand the rules that others drive by: [`Idm`], [`Cacc`], [`Mobil`], with what is known of them.
//!
//! ```
//! use synod_worlds::env::platoon::Idm;
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("platoon")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: everybody keeps speed and lane
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! // A platoon of such drivers at 15 m/s damps waves.
//! let idm = Idm { desired_speed: 30.0, time_gap: 1.5, jam_distance: 2.0, acceleration: 2.0, braking: 1.5 };
//! assert!(idm.margin(15.0) > 0.0);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod cacc;
mod config;
mod draw;
mod driver;
mod profile;
mod regulator;
mod road;
mod script;
mod traffic;

pub use cacc::{Cacc, Loop};
pub use config::{Driver, PayConfig, PlatoonConfig, RoadConfig, Task, VehicleConfig};
pub use driver::{HighwayIdm, Idm, Integration, MARGIN, Mobil, Pair};
pub use profile::Profile;
pub use regulator::{Errors, Regulator, RegulatorConfig, RegulatorRules, Sight};
pub use road::{CRITICALITY, Road, RoadRules};
pub use traffic::{Traffic, Vehicle};
