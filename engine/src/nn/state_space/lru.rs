//! The linear recurrent unit.

use super::{StateSpace, StateSpaceOutput, complex_states, row, scale_columns};
use crate::graph::Tensor;
use crate::nn::initial::{Initial, Stream};
use crate::nn::parameters::{Builder, Parameter, Weights};

/// Where the factors of a [`Lru`] start: evenly on the part of a ring in the complex plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ring {
    /// The least size of a factor, 0 to below 1.
    pub least: f64,
    /// The largest, above `least` and below 1.
    pub most: f64,
    /// The largest angle, in radians, above 0.
    pub angle: f64,
}

impl Default for Ring {
    /// Sizes of 0.9 to 0.999 over the whole circle.
    fn default() -> Self {
        Ring { least: 0.9, most: 0.999, angle: std::f64::consts::TAU }
    }
}

impl Ring {
    /// A size, evenly over the ring's area (Orvieto et al. 2023, lemma 3.2).
    fn size(self, random: &mut Stream) -> f64 {
        let (least, most) = (self.least.powi(2), self.most.powi(2));
        (random.uniform() * (most - least) + least).sqrt().clamp(1e-4, 1.0 - 1e-6)
    }
}

/// A linear recurrent unit (Orvieto et al. 2023, arXiv 2303.06349): complex factors, learned as they are and stable at any
/// value of their parameters, and inputs scaled so that states of slow parts do not grow.
///
/// ```text
/// lambda = exp(-exp(nu) + i exp(theta))      x_t = lambda x_{t-1} + exp(gamma) B u_t      y = Re(C x) + D u
/// gamma starts at log(sqrt(1 - |lambda|^2))
/// ```
#[derive(Debug, Clone)]
pub struct Lru {
    states: usize,
    nu: Parameter,
    theta: Parameter,
    gamma: Parameter,
    input: Parameter,
    readout: Parameter,
    skip: Parameter,
}

impl Lru {
    /// Over `features` features with `states` complex states, which start on `ring`.
    pub fn new(builder: &mut Builder, name: &str, features: usize, states: usize, ring: Ring) -> Self {
        let sizes = |random: &mut Stream| (0..states).map(|_| ring.size(random)).collect::<Vec<f64>>();
        builder.within(name, |b| {
            // The same draws for both: gamma is of the size that nu gives.
            let [nu, gamma] = b.twins(
                |b| {
                    b.parameter_by("nu", [states], |random| {
                        sizes(random).iter().map(|size| (-size.ln()).ln() as f32).collect()
                    })
                },
                |b| {
                    b.parameter_by("gamma", [states], |random| {
                        sizes(random).iter().map(|size| (1.0 - size * size).sqrt().ln() as f32).collect()
                    })
                },
            );
            let deviation = |of: usize| Initial::Normal { deviation: 1.0 / (of as f32).sqrt() };
            Lru {
                states,
                nu,
                gamma,
                theta: b.parameter_by("theta", [states], |random| {
                    (0..states).map(|_| (ring.angle * random.uniform()).max(1e-4).ln() as f32).collect()
                }),
                input: b.parameter("input", [features, 2 * states], deviation(2 * features)),
                readout: b.parameter("readout", [2 * states, features], deviation(states)),
                skip: b.parameter("skip", [features], Initial::Normal { deviation: 1.0 }),
            }
        })
    }
}

impl StateSpace for Lru {
    fn state(&self) -> Vec<(&'static str, Vec<usize>)> {
        vec![("state", vec![2 * self.states])]
    }

    fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Tensor<'g>,
        state: &[Tensor<'g>],
        resets: Option<Tensor<'g>>,
    ) -> StateSpaceOutput<'g> {
        let rank = sequence.shape().len();
        let size = (-row(weights, self.nu, rank).exp()).exp();
        let angle = row(weights, self.theta, rank).exp();
        let gamma = row(weights, self.gamma, rank).exp();
        let factor = [size * angle.cos(), size * angle.sin()];
        let zeros = weights.graph().full(gamma.shape(), 0.0);
        let input = scale_columns(weights.get_for(self.input, rank), [gamma, zeros]);
        let readout = weights.get_for(self.readout, rank);
        let skip = row(weights, self.skip, rank);
        complex_states(sequence, input, factor, readout, skip, state.first(), resets)
    }
}
