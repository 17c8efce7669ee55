//! Messages in superposition: several encodings of what a sender has to say, each with a complex amplitude that depends on
//! the sender's state; a learned transformation lets amplitudes interfere, and what arrives is measured by the Born rule.
//! There is no canonical paper, and no claim but what the comparison with a softmax mixture and a plain encoder shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mode, drawn};
use crate::graph::Tensor;
use crate::nn::{Builder, Initial, Parameter, Weights};

/// What acting makes of encodings and their chances. Learning always takes the expectation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// The mean of all encodings, as in learning.
    #[default]
    Expectation,
    /// One, drawn by its chance.
    Sample,
    /// The likeliest.
    Likeliest,
}

impl Measured {
    /// The message `[.., size]` of `encodings` `[.., states, size]` with `chances` `[.., states]`.
    pub fn message<'g>(
        self,
        encodings: Tensor<'g>,
        chances: Tensor<'g>,
        key: Tensor<'g>,
        mode: Mode,
    ) -> Tensor<'g> {
        let shape = encodings.shape().to_vec();
        let Some((size, lead)) = shape.split_last() else { return encodings };
        let states = lead.last().copied().unwrap_or(1);
        let weights = match (self, mode) {
            (Measured::Expectation, _) | (_, Mode::Learning | Mode::Exploring) => chances,
            (Measured::Likeliest, _) => chances.argmax().one_hot(states),
            (Measured::Sample, _) => {
                // Gumbel's trick on logarithms; the floor keeps a chance of 0 finite and all but impossible.
                let scores = chances.maximum(chances.graph().scalar(1e-30)).log();
                let noise = drawn(key, &chances.shape(), |key, of| key.random_gumbel(of));
                (scores + noise).argmax().one_hot(states)
            }
        };
        let weighted = encodings * weights.reshape([lead, &[1]].concat());
        weighted.sum(&[-2]).reshape([&lead[..lead.len() - 1], &[*size]].concat())
    }
}

/// A normalised wave function over so many states. The sender gives amplitudes `a` (real parts, then imaginary ones); a
/// learned complex matrix `U` mixes them, which is where phases count; the chance of a state is
/// `|(U a)_s|^2 / sum over t of |(U a)_t|^2`.
pub struct Superposition {
    states: usize,
    real: Parameter,
    imaginary: Parameter,
}

impl Superposition {
    /// Over so many states.
    pub fn new(builder: &mut Builder, states: usize) -> Self {
        let orthogonal = Initial::Orthogonal { gain: std::f32::consts::FRAC_1_SQRT_2 };
        Superposition {
            states,
            real: builder.parameter("real", [states, states], orthogonal),
            imaginary: builder.parameter("imaginary", [states, states], orthogonal),
        }
    }

    /// The chances `[.., states]` of amplitudes `[.., 2 states]`.
    pub fn chances<'g>(&self, weights: &Weights<'g>, amplitudes: Tensor<'g>) -> Tensor<'g> {
        let graph = amplitudes.graph();
        let (a, b) = (amplitudes.slice(-1, 0, self.states), amplitudes.slice(-1, self.states, self.states));
        let rank = amplitudes.shape().len();
        let (u, v) = (weights.get_for(self.real, rank), weights.get_for(self.imaginary, rank));
        let real = a.matmul(u) - b.matmul(v);
        let imaginary = a.matmul(v) + b.matmul(u);
        // A wave function of zeros has even chances.
        let squares = real.square() + imaginary.square() + graph.scalar(1e-12);
        let mut one = squares.shape().to_vec();
        if let Some(last) = one.last_mut() {
            *last = 1;
        }
        squares / squares.sum(&[-1]).reshape(one)
    }
}
