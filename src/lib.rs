//! synod: a multi-agent learning engine.
//!
//! Its autodiff ([`graph`], [`op`], [`nn`], [`optim`]) is a package of its own below this one, `synod-engine`.

pub mod action;
pub mod agent;
pub mod command;
pub mod door;
pub mod env;
pub mod picture;
pub mod preset;
pub mod registry;
pub mod run;
pub mod schema;
pub mod train;

pub use door::Team;
pub use schemars;
pub use serde;
use synod_engine::program;
pub use synod_engine::{
    Adapter, CompileOptions, DType, Data, Device, Error, Graph, HostTime, Outputs, Program, Result, Shape,
    Summary, Tensor, TensorType, Variable, cpu, error, graph, nn, op, optim, shape, tensors,
};
