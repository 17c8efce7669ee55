//! What happens to a result before it leaves the cache: bias and activation.

use crate::simd::{Kernel, Simd};
use crate::vector_math;

/// A function applied to every element of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The result as it is.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The tangent form of the Gaussian error linear unit ([`vector_math::gelu`]).
    Gelu,
}

impl Activation {
    /// Whether the function needs a pass of its own rather than one instruction.
    pub fn is_curved(self) -> bool {
        matches!(self, Activation::Tanh | Activation::Sigmoid | Activation::Gelu)
    }

    /// Applies the function to a vector.
    #[inline(always)]
    pub fn apply<S: Simd>(self, s: S, x: S::V) -> S::V {
        match self {
            Activation::None => x,
            Activation::Relu => s.max(s.zero(), x),
            Activation::Tanh => vector_math::tanh(s, x),
            Activation::Sigmoid => vector_math::sigmoid(s, x),
            Activation::Gelu => vector_math::gelu(s, x),
        }
    }
}

/// What is done to a product as it is stored: `activation(product + bias)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One value a column, `[n]`.
    pub bias: Option<&'a [f32]>,
    /// Applied last.
    pub activation: Activation,
}

impl<'a> Epilogue<'a> {
    /// Nothing is done.
    pub const NONE: Epilogue<'static> = Epilogue { bias: None, activation: Activation::None };

    /// Adds a bias `[n]`, then applies an activation.
    pub fn new(bias: Option<&'a [f32]>, activation: Activation) -> Self {
        Epilogue { bias, activation }
    }
}

/// An activation over a slice in place.
pub struct Curve<'a> {
    /// The function.
    pub activation: Activation,
    /// The numbers.
    pub x: &'a mut [f32],
}

impl Kernel for Curve<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        macro_rules! curve {
            ($over:path) => {{
                let x = self.x.as_mut_ptr();
                // SAFETY: the slice's own elements, in place.
                unsafe { $over(s, x, x, self.x.len()) }
            }};
        }
        match self.activation {
            Activation::None => {}
            Activation::Relu => {
                for part in self.x.chunks_mut(S::LANES) {
                    let y = s.max(s.zero(), s.load_slice(part));
                    s.store_slice(part, y);
                }
            }
            Activation::Tanh => curve!(vector_math::tanh_over),
            Activation::Sigmoid => curve!(vector_math::sigmoid_over),
            Activation::Gelu => curve!(vector_math::gelu_over),
        }
    }
}
