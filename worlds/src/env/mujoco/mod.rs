//! Bodies of Gymnasium's MuJoCo environments (HalfCheetah, Ant, Humanoid, Hopper, Walker2d, Swimmer, InvertedPendulum), moved
//! by the MuJoCo library itself, by one agent or by several that have a part of the body each.
//!
//! The settings ([`MujocoConfig`]) are always there. What steps the worlds is compiled with the feature `mujoco`, which
//! loads the library at run time: nothing of it is needed to build.

mod body;
mod config;
#[cfg(feature = "mujoco")]
mod draw;
#[cfg(feature = "mujoco")]
mod ffi;
#[cfg(feature = "mujoco")]
mod library;
#[cfg(feature = "mujoco")]
mod model;
mod parts;
#[cfg(feature = "mujoco")]
mod place;
#[cfg(feature = "mujoco")]
mod rules;

pub use body::{Body, Version};
pub use config::{Goal, MujocoConfig, Task};
pub use parts::{Part, Partition};
#[cfg(feature = "mujoco")]
pub use rules::{Creature, Moment, MujocoRules};

use std::path::Path;

use crate::error::Result;

/// Many bodies at once.
#[cfg(feature = "mujoco")]
pub type Mujoco = super::vectorised::Vectorised<MujocoRules>;

/// Loads the library that a world with this `folder` (see [`MujocoConfig::folder`]) would use, and says in a line which
/// version it is, where it lies and where the models are.
///
/// # Errors
/// No library, one of another version, or no models; what to do about it stands in the message. Without the feature
/// `mujoco`: how to build with it.
pub fn installation(folder: &Path) -> Result<String> {
    #[cfg(feature = "mujoco")]
    return Ok(library::Library::find(folder)?.to_string());
    #[cfg(not(feature = "mujoco"))]
    {
        let _ = folder;
        Err(without_feature())
    }
}

/// What is said where the feature is off.
#[cfg(not(feature = "mujoco"))]
fn without_feature() -> crate::Error {
    crate::Error::Usage(
        "the world `mujoco` is not in this build: build with the feature `mujoco` (cargo build --release --features mujoco)"
            .into(),
    )
}
