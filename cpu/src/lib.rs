//! Kernels for processors: vectors of any instruction set ([`simd`]), functions over slices ([`vector_math`]),
//! products of matrices ([`gemm`]), convolution ([`conv`]) and the cutting of work into pieces ([`pool`]) for
//! the threads that share it (`crew`).
//!
//! Kernels here know slices, sizes and strides; tensors, shapes and gradients do not live here but with the ops, and
//! neither do the kernels of one op alone (attention, LSTM, scans), which are built on these.
//!
//! ```
//! use synod_cpu::vector_math::exp_in_place;
//! let mut x = [0.0, 1.0];
//! exp_in_place(&mut x);
//! assert!((x[1] - std::f32::consts::E).abs() < 1e-6);
//! ```

pub mod conv;
mod crew;
pub mod gemm;
pub mod pool;
pub mod simd;
pub mod vector_math;

pub use pool::{Parallel, for_each_chunk, for_each_chunk_mut, map_mut};

/// Operands that do not fit the sizes that a kernel was called with: which, and the sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit(pub String);

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misfit {}

type Result<T, E = Misfit> = std::result::Result<T, E>;
