//! A diagonal state space model for every feature.

use super::{StateSpace, StateSpaceOutput};
use crate::graph::Tensor;
use crate::nn::initial::Initial;
use crate::nn::parameters::{Builder, Parameter, Weights};
use crate::shape::Shape;

/// A diagonal linear state space model for every feature (S4D with the initialisation S4D-Real: Gu, Gupta, Goel and Ré
/// 2022, arXiv 2206.11893, section 4), discretised with a zero-order hold. Features do not mix: a linear layer behind
/// does that.
///
/// ```text
/// x' = -rate x + u, rate_n = n + 1 at the start      y = sum over states of c x, + d u
/// a = exp(-step rate)   b = (1 - a) / rate           step log-uniform in 0.001..0.1 at the start
/// ```
#[derive(Debug, Clone)]
pub struct DiagonalSsm {
    features: usize,
    states: usize,
    log_rate: Parameter,
    log_step: Parameter,
    readout: Parameter,
    skip: Parameter,
}

impl DiagonalSsm {
    /// For `features` features with `states` states each.
    pub fn new(builder: &mut Builder, name: &str, features: usize, states: usize) -> Self {
        let bound = 10f32.ln();
        builder.within(name, |b| DiagonalSsm {
            features,
            states,
            // Over what they start from.
            log_rate: b.parameter("log_rate", [features, states], Initial::Zeros),
            log_step: b.parameter("log_step", [features], Initial::Uniform { bound }),
            readout: b.parameter("readout", [features, states], Initial::Normal { deviation: 1.0 }),
            skip: b.parameter("skip", [features], Initial::Constant(1.0)),
        })
    }
}

impl StateSpace for DiagonalSsm {
    fn state(&self) -> Vec<(&'static str, Vec<usize>)> {
        vec![("state", vec![self.features, self.states])]
    }

    fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Tensor<'g>,
        state: &[Tensor<'g>],
        resets: Option<Tensor<'g>>,
    ) -> StateSpaceOutput<'g> {
        let rank = sequence.shape().len();
        let matrix = |parameter: Parameter| weights.get_for(parameter, rank);
        let numbers: Vec<f32> = (1..=self.states).map(|n| (n as f32).ln()).collect();
        let start = weights.graph().constant([self.states], &numbers);
        let rate = (matrix(self.log_rate) + start).exp();
        let step = weights.get_for(self.log_step, rank - 1);
        let step = step.reshape(Shape::from([&step.shape()[..], &[1]].concat()));
        let passed = -(rate * (step + 0.01f32.ln()).exp());
        // Where a step is short, 1 - a would have lost its digits.
        let (a, b) = (passed.exp(), -passed.expm1() / rate);
        let d = weights.get_for(self.skip, rank - 1);
        let out = sequence.diagonal_ssm([a, b, matrix(self.readout)], d, state.first().copied(), resets);
        StateSpaceOutput { outputs: out.outputs, state: vec![out.state] }
    }
}
