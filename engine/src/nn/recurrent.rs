//! Recurrent layers over whole sequences.

use super::initial::Initial;
use super::parameters::{Builder, Parameter, Weights};
use crate::graph::Tensor;
use crate::op::lstm::LstmOutput;

/// A gated recurrent unit (Cho et al. 2014, in the form with the reset gate behind the product). Weights start
/// orthogonal, biases at 0.
///
/// With parameters of their own for each agent, sequences have the agents as their first dimension.
#[derive(Debug, Clone)]
pub struct Gru {
    inputs: Parameter,
    hidden: Parameter,
    input_bias: Parameter,
    hidden_bias: Parameter,
}

impl Gru {
    /// From `inputs` features to a state of `features`.
    pub fn new(builder: &mut Builder, name: &str, inputs: usize, features: usize) -> Self {
        let gain = 1.0;
        builder.within(name, |b| Gru {
            inputs: b.parameter("inputs", [inputs, features.saturating_mul(3)], Initial::Orthogonal { gain }),
            hidden: b.parameter(
                "hidden",
                [features, features.saturating_mul(3)],
                Initial::Orthogonal { gain },
            ),
            input_bias: b.parameter("input_bias", [features.saturating_mul(3)], Initial::Zeros),
            hidden_bias: b.parameter("hidden_bias", [features.saturating_mul(3)], Initial::Zeros),
        })
    }

    /// A sequence `[.., time, batch, inputs]` from `state` `[.., batch, features]` to the states
    /// `[.., time, batch, features]`. `resets` `[.., time, batch]`: 1 where the state is forgotten before the step.
    pub fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Tensor<'g>,
        state: Tensor<'g>,
        resets: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let parameters =
            [self.inputs, self.hidden, self.input_bias, self.hidden_bias].map(|p| weights.get(p));
        sequence.gru(state, parameters, resets)
    }
}

/// A long short-term memory layer (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000, whose bias
/// starts at 1 as in Jozefowicz et al. 2015). Weights start orthogonal.
///
/// With parameters of their own for each agent, sequences have the agents as their first dimension.
#[derive(Debug, Clone)]
pub struct Lstm {
    inputs: Parameter,
    hidden: Parameter,
    bias: Parameter,
}

impl Lstm {
    /// From `inputs` features to a state and a cell of `features` each.
    pub fn new(builder: &mut Builder, name: &str, inputs: usize, features: usize) -> Self {
        let gain = 1.0;
        builder.within(name, |b| Lstm {
            inputs: b.parameter("inputs", [inputs, features.saturating_mul(4)], Initial::Orthogonal { gain }),
            hidden: b.parameter(
                "hidden",
                [features, features.saturating_mul(4)],
                Initial::Orthogonal { gain },
            ),
            bias: b.parameter("bias", [features.saturating_mul(4)], Initial::Zeros),
        })
    }

    /// A sequence `[.., time, batch, inputs]` from the state and the cell `[.., batch, features]` to the states and the
    /// cells `[.., time, batch, features]`. `resets` `[.., time, batch]`: 1 where both are forgotten before the step.
    pub fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Tensor<'g>,
        state: [Tensor<'g>; 2],
        resets: Option<Tensor<'g>>,
    ) -> LstmOutput<'g> {
        // The forget gate is the second of four.
        let bias = weights.get(self.bias);
        let features = bias.shape().last().map_or(0, |gates| gates / 4);
        let mut start = vec![0.0; 4 * features];
        start[features..2 * features].fill(1.0);
        let bias = bias + weights.graph().constant([4 * features], &start);
        sequence.lstm(state, [weights.get(self.inputs), weights.get(self.hidden), bias], resets)
    }
}
