//! A gate for every feature of every message that comes in.

use crate::graph::Tensor;
use crate::nn::{Builder, Linear, Weights};
use crate::op::message::Edges;

/// `g_ij = sigmoid(W_own h_i + W_said m_j + b)`, one number for each feature of what agent `i` makes of the message of
/// `j`: what it is told counts as far as its own state and the message itself open the gate.
pub struct Gate {
    own: Linear,
    said: Linear,
}

impl Gate {
    /// Between receivers with `features`, messages of `size` numbers, and as many features of what is let in.
    pub fn new(builder: &mut Builder, features: usize, size: usize) -> Self {
        builder.within("gate", |b| Gate {
            own: Linear::new(b, "own", features, features, 1.0),
            said: Linear::without_bias(b, "said", size, features, 1.0),
        })
    }

    /// The gates `[.., edges, features]` of receivers with features `[.., agents, features]` for messages
    /// `[.., agents, size]`.
    pub fn open<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        messages: Tensor<'g>,
        edges: Edges<'g>,
    ) -> Tensor<'g> {
        let own = edges.from_destinations(self.own.forward(weights, features));
        (own + edges.from_sources(self.said.forward(weights, messages))).sigmoid()
    }
}
