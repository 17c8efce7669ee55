//! synod: a multi-agent learning engine.

pub mod cpu;
pub mod env;
pub mod error;
pub mod run;
pub mod train;

pub use error::{Error, Result};
