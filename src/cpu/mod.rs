//! Kernels for processors: vectors of any instruction set ([`simd`]), functions over slices ([`vector_math`]),
//! products of matrices ([`gemm`]), convolution ([`conv`]) and the cutting of work into pieces ([`pool`]) for
//! the threads that share it (`crew`).
//!
//! Kernels here know slices, sizes and strides; tensors, shapes and gradients do not live here but with the ops, and
//! neither do the kernels of one op alone (attention, LSTM, scans), which are built on these.

pub mod conv;
mod crew;
pub mod gemm;
pub mod pool;
pub mod simd;
pub mod vector_math;

pub(crate) use pool::map_mut;
pub use pool::{Parallel, for_each_chunk, for_each_chunk_mut};
