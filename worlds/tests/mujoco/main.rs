//! Bodies of MuJoCo against recorded episodes of Gymnasium, with both versions of the library that they were recorded with,
//! and what the world makes of the library beyond that.
//!
//! `worlds/tests/mujoco/install` fetches both into `target/mujoco`; `SYNOD_MUJOCO_VERSIONS` names another folder.

mod episodes;
mod json;
mod library;
mod worlds;

use std::path::{Path, PathBuf};

use synod_worlds::env::mujoco::MujocoConfig;

/// The folder of a version of the library.
fn version(version: &str) -> PathBuf {
    let root = std::env::var_os("SYNOD_MUJOCO_VERSIONS").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/mujoco"));
    let folder = root.join(version);
    assert!(folder.is_dir(), "{} is missing: run worlds/tests/mujoco/install", folder.display());
    folder
}

/// One world of half a cheetah with the newest library.
fn one() -> MujocoConfig {
    MujocoConfig { worlds: 1, folder: version("4.0.0"), ..MujocoConfig::default() }
}
