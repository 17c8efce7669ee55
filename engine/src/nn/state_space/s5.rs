//! S5: one state space model with many inputs and outputs.

use super::hippo::{Hippo, hippo_normal};
use super::{StateSpace, StateSpaceOutput, complex_states, row, scale_columns, zero_order_hold};
use crate::graph::Tensor;
use crate::nn::initial::Initial;
use crate::nn::parameters::{Builder, Parameter, Weights};

/// A simplified state space layer (S5: Smith, Warrington and Linderman 2023, arXiv 2208.04933): all features drive one
/// state, whose parts turn and fade each for itself.
///
/// ```text
/// x' = lambda x + B u      y = 2 Re(C x) + D u      discretised by a zero-order hold of a learned step for each part
/// ```
///
/// It starts from HiPPO-N of twice as many states, which come in conjugate pairs of which one is kept:
/// `lambda = -1/2 + i w`, and `B = V* B0`, `C = C0 V` in the basis of its eigenvectors `V`, from normal `B0` and `C0` of
/// variance 1 over what they sum over. Steps start log-uniform in 0.001..0.1, `D` standard normal.
#[derive(Debug, Clone)]
pub struct S5 {
    states: usize,
    log_rate: Parameter,
    frequency: Parameter,
    log_step: Parameter,
    input: Parameter,
    readout: Parameter,
    skip: Parameter,
}

impl S5 {
    /// Over `features` features with `states` complex states.
    pub fn new(builder: &mut Builder, name: &str, features: usize, states: usize) -> Self {
        let Hippo { frequencies, vectors } = hippo_normal(2 * states);
        let [log_least, log_most] = [0.001f64.ln(), 0.1f64.ln()];
        builder.within(name, |b| S5 {
            states,
            log_rate: b.parameter("log_rate", [states], Initial::Constant(0.5f32.ln())),
            frequency: b
                .parameter_by("frequency", [states], |_| frequencies.iter().map(|w| *w as f32).collect()),
            log_step: b.parameter_by("log_step", [states], |random| {
                (0..states).map(|_| (log_least + (log_most - log_least) * random.uniform()) as f32).collect()
            }),
            // [features, real parts and imaginary ones].
            input: b.parameter_by("input", [features, 2 * states], |random| {
                let scale = 1.0 / (features as f64).sqrt();
                let mut rows = Vec::with_capacity(features.saturating_mul(2 * states));
                for _ in 0..features {
                    let drawn: Vec<f64> = (0..2 * states).map(|_| random.normal() * scale).collect();
                    let sums: Vec<_> = (0..states)
                        .map(|k| vectors.column(k).iter().zip(&drawn).map(|(v, x)| v.conj() * *x).sum())
                        .collect::<Vec<nalgebra::Complex<f64>>>();
                    rows.extend(sums.iter().map(|sum| sum.re as f32));
                    rows.extend(sums.iter().map(|sum| sum.im as f32));
                }
                rows
            }),
            // [real parts and imaginary ones, features]: those for the imaginary parts with the minus of the real part of
            // a product.
            readout: b.parameter_by("readout", [2 * states, features], |random| {
                let scale = 1.0 / (2.0 * states as f64).sqrt();
                let mut rows = vec![0.0; (2 * states).saturating_mul(features)];
                for feature in 0..features {
                    let drawn: Vec<f64> = (0..2 * states).map(|_| random.normal() * scale).collect();
                    for k in 0..states {
                        let sum: nalgebra::Complex<f64> =
                            vectors.column(k).iter().zip(&drawn).map(|(v, x)| *v * *x).sum();
                        rows[k * features + feature] = sum.re as f32;
                        rows[(states + k) * features + feature] = -sum.im as f32;
                    }
                }
                rows
            }),
            skip: b.parameter("skip", [features], Initial::Normal { deviation: 1.0 }),
        })
    }
}

impl StateSpace for S5 {
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
        let rate = -row(weights, self.log_rate, rank).exp();
        let step = row(weights, self.log_step, rank).exp();
        let [factor, held] = zero_order_hold([rate, row(weights, self.frequency, rank)], step);
        let input = scale_columns(weights.get_for(self.input, rank), held);
        let readout = weights.get_for(self.readout, rank) * 2.0;
        let skip = row(weights, self.skip, rank);
        complex_states(sequence, input, factor, readout, skip, state.first(), resets)
    }
}
