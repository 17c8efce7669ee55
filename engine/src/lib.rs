//! The engine of synod: everything that is computed is a traced graph.
//!
//! Model code builds a [`Graph`] with ordinary expressions; [`Graph::grad`] extends it; [`Device::compile`] turns it into
//! a [`Program`], which runs on the CPU or a GPU as often as wanted. Worlds, agents and trainers live in the package
//! above, `synod`, which gives out these modules as its own; kernels for processors in the one below, [`cpu`].
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.input("x", [3]);
//! let y = (x * x).sum_all();
//! let gradient = g.grad(y, &[x])?[0]; // a node like any other
//! let mut program = Device::cpu().compile(&g, &[y, gradient])?;
//! let outputs = program.run(&[("x", &[1.0f32, 2.0, 3.0])])?;
//! assert_eq!(outputs.scalar(0), 14.0);
//! assert_eq!(outputs.f32(1), [2.0, 4.0, 6.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

pub use synod_cpu as cpu;

mod device;
pub mod error;
#[cfg(feature = "gpu")]
mod gpu;
pub mod graph;
mod memory;
pub mod nn;
pub mod op;
pub mod optim;
pub mod program;
pub mod shape;
pub mod tensors;

pub use device::{Adapter, Device};
pub use error::{Error, Result};
pub use graph::{Data, Graph, Tensor, Variable};
pub use program::{CompileOptions, HostTime, Outputs, Program, Summary};
pub use shape::{DType, Shape, TensorType};
