//! A layer of diagonal state space models over whole sequences.

use super::initial::Initial;
use super::parameters::{Builder, Parameter, Weights};
use crate::graph::Tensor;
use crate::op::ssm::DiagonalSsmOutput;
use crate::shape::Shape;

/// A diagonal linear state space model for every feature (S4D with the initialisation S4D-Real: Gu, Gupta, Goel and Ré
/// 2022, arXiv 2206.11893, section 4), discretised with a zero-order hold. Features do not mix: a linear layer behind
/// does that.
///
/// ```text
/// x' = -rate x + u, rate_n = n + 1 at the start      y = sum over states of c x, + d u
/// a = exp(-step rate)   b = (1 - a) / rate           step log-uniform in 0.001..0.1 at the start
/// ```
///
/// With parameters of their own for each agent, sequences have the agents as their first dimension.
#[derive(Debug, Clone)]
pub struct DiagonalSsm {
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
            // Over what they start from.
            log_rate: b.parameter("log_rate", [features, states], Initial::Zeros),
            log_step: b.parameter("log_step", [features], Initial::Uniform { bound }),
            readout: b.parameter("readout", [features, states], Initial::Normal { deviation: 1.0 }),
            skip: b.parameter("skip", [features], Initial::Constant(1.0)),
        })
    }

    /// A sequence `[.., time, batch, features]` to outputs of the same shape and the state after the last step
    /// `[.., batch, features, states]`, from `state` of that shape or from zeros. `resets` `[.., time, batch]`: 1 where
    /// the state is forgotten before the step.
    pub fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Tensor<'g>,
        state: Option<Tensor<'g>>,
        resets: Option<Tensor<'g>>,
    ) -> DiagonalSsmOutput<'g> {
        // Parameters `[.., own]` as `[.., 1.., own, 1..]`: the batch is in front of the features.
        let shaped = |parameter: Parameter, own: usize, behind: usize| {
            let tensor = weights.get(parameter);
            let shape = tensor.shape();
            let (lead, tail) = shape.split_at(shape.len().saturating_sub(own));
            tensor.reshape(Shape::from([lead, &[1], tail, &vec![1; behind]].concat()))
        };
        let states = weights.get(self.log_rate).shape().last().copied().unwrap_or(1);
        let numbers: Vec<f32> = (1..=states).map(|n| (n as f32).ln()).collect();
        let start = weights.graph().constant([states], &numbers);
        let rate = (shaped(self.log_rate, 2, 0) + start).exp();
        let step = (shaped(self.log_step, 1, 1) + 0.01f32.ln()).exp();
        let passed = -(rate * step);
        // Where a step is short, 1 - a would have lost its digits.
        let (a, b) = (passed.exp(), -passed.expm1() / rate);
        let (c, d) = (shaped(self.readout, 2, 0), shaped(self.skip, 1, 0));
        let resets = resets.map(|r| r.swap(-2, -1));
        let out = sequence.swap(-3, -2).diagonal_ssm([a, b, c], d, state, resets);
        DiagonalSsmOutput { outputs: out.outputs.swap(-3, -2), state: out.state }
    }
}
