//! synod: a multi-agent learning engine.

pub mod agent;
pub mod cpu;
mod device;
pub mod env;
pub mod error;
#[cfg(feature = "gpu")]
mod gpu;
pub mod graph;
pub mod nn;
pub mod op;
pub mod optim;
pub mod preset;
mod program;
pub mod run;
pub mod shape;
pub mod train;

pub use device::{Adapter, Device};
pub use error::{Error, Result};
pub use graph::{Data, Graph, Tensor, Variable};
pub use program::{CompileOptions, HostTime, Outputs, Program, Summary};
pub use shape::{DType, Shape, TensorType};
