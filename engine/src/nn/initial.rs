//! Initial values of parameters.
//!
//! ```
//! use synod_engine::nn::initial::Stream;
//! let (mut one, mut other) = (Stream::new(5), Stream::new(5));
//! assert_eq!(one.uniform(), other.uniform());
//! assert!(one.below(10) < 10);
//! ```

use nalgebra::DMatrix;

use crate::shape::Shape;

/// How a parameter starts. The last dimension of a weight is its output, all before it its input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// All 0.
    Zeros,
    /// All the same.
    Constant(f32),
    /// Independent normal numbers.
    Normal {
        /// Their standard deviation.
        deviation: f32,
    },
    /// Independent numbers, uniform in `-bound..bound`.
    Uniform {
        /// The largest magnitude.
        bound: f32,
    },
    /// Orthonormal rows or columns, times a gain (Saxe et al. 2014).
    Orthogonal {
        /// The factor.
        gain: f32,
    },
    /// Uniform in `+-sqrt(6 / (inputs + outputs))` (Glorot and Bengio 2010).
    Glorot,
}

impl Initial {
    /// The values of a parameter of this shape, row-major; none where it has none, or more than a tensor may have.
    pub fn values(self, shape: &Shape, stream: &mut Stream) -> Vec<f32> {
        let count = shape.checked_elements().unwrap_or(0);
        if count == 0 {
            return Vec::new();
        }
        let outputs = shape.last().copied().unwrap_or(1).max(1);
        let inputs = count / outputs;
        match self {
            Initial::Zeros => vec![0.0; count],
            Initial::Constant(value) => vec![value; count],
            Initial::Normal { deviation } => (0..count).map(|_| stream.normal() as f32 * deviation).collect(),
            Initial::Uniform { bound } => {
                (0..count).map(|_| (2.0 * stream.uniform() - 1.0) as f32 * bound).collect()
            }
            Initial::Orthogonal { gain } => orthogonal(inputs, outputs, gain, stream),
            Initial::Glorot => {
                let bound = (6.0 / (inputs + outputs) as f64).sqrt() as f32;
                Initial::Uniform { bound }.values(shape, stream)
            }
        }
    }
}

/// A row-major `[inputs, outputs]` matrix whose shorter side is orthonormal, drawn evenly from all such matrices.
fn orthogonal(inputs: usize, outputs: usize, gain: f32, stream: &mut Stream) -> Vec<f32> {
    let (long, short) = (inputs.max(outputs), inputs.min(outputs));
    let gaussian = DMatrix::from_fn(long, short, |_, _| stream.normal());
    let decomposition = gaussian.qr();
    let (mut q, r) = (decomposition.q(), decomposition.r());
    // Signs as in Mezzadri (2007): without them the draw is not uniform.
    for j in 0..short {
        if r[(j, j)] < 0.0 {
            q.column_mut(j).neg_mut();
        }
    }
    let at = |i: usize, j: usize| if inputs >= outputs { q[(i, j)] } else { q[(j, i)] };
    (0..inputs * outputs).map(|k| at(k / outputs, k % outputs) as f32 * gain).collect()
}

/// Counter-based random numbers for initial values (SplitMix64: Steele, Lea and Flood 2014).
#[derive(Clone)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// Numbers that follow from `seed` alone.
    pub fn new(seed: u64) -> Self {
        Stream { state: seed ^ 0x6a09_e667_f3bc_c909 }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In 0..1.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// In `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_matrices_are_orthogonal() {
        for (inputs, outputs) in [(1, 1), (7, 3), (3, 7), (16, 16)] {
            let gain = 1.3;
            let w = Initial::Orthogonal { gain }.values(&[inputs, outputs].into(), &mut Stream::new(4));
            let m = DMatrix::from_row_slice(inputs, outputs, &w).map(f64::from);
            let gram = if inputs >= outputs { m.transpose() * &m } else { &m * m.transpose() };
            let expected = DMatrix::identity(gram.nrows(), gram.ncols()) * f64::from(gain).powi(2);
            assert!((gram - expected).norm() < 1e-5);
        }
    }
}
