//! Multi-agent particle environments (Lowe et al. 2017, arXiv 1706.02275) with the dynamics, observations and rewards
//! of MPE2 1.1.1: spread, tag, adversary, speaker and listener, reference. A world's stream of random numbers draws
//! starts as MPE2 does: with [`Vectorised::set_random`](super::vectorised::Vectorised::set_random) and
//! `Pcg64::new(seed)` an episode starts as MPE2's `reset(seed)`. Two points at the very same place do not push each other
//! (in MPE2 they turn NaN).
//!
//! Movement actions: 0 none, 1 left, 2 right, 3 down, 4 up. Continuous ones ([`Control`]) are a number in [0, 1] for each
//! of these, and the force is that of a discrete movement times right less left and up less down. In all worlds the state
//! for a centralised critic is the agents' observations, one after another.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("simple_spread")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: nobody moves
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod adversary;
mod draw;
mod particles;
mod prey;
mod reference;
mod speaker_listener;
mod spread;
mod tag;

pub use adversary::{SimpleAdversary, SimpleAdversaryConfig};
pub use particles::{Control, Particles};
pub use reference::{SimpleReference, SimpleReferenceConfig};
pub use speaker_listener::{SimpleSpeakerListener, SimpleSpeakerListenerConfig};
pub use spread::{SimpleSpread, SimpleSpreadConfig};
pub use tag::{Prey, SimpleTag, SimpleTagConfig};
