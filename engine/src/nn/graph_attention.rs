//! Attention over the edges of a graph.

use super::initial::Initial;
use super::layers::Linear;
use super::parameters::{Builder, Parameter, Weights};
use crate::graph::Tensor;
use crate::op::message::Edges;

/// The slope of the leaky ReLU on scores, as in both papers.
const NEGATIVE_SLOPE: f32 = 0.2;

/// How an edge is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphScore {
    /// `leaky_relu(a_s . W x_j + a_d . W x_i)` (Velickovic et al. 2018): the ranking of neighbours is the same for every
    /// node.
    Additive,
    /// `a . leaky_relu(W_s x_j + W_d x_i)` (Brody et al. 2022, GATv2): each node ranks its neighbours itself.
    Dynamic,
}

/// A graph attention layer: each node gathers from its in-edges, weighted by a softmax of their scores. A node without
/// in-edges gets zeros.
#[derive(Debug, Clone)]
pub struct GraphAttention {
    heads: usize,
    features: usize,
    source: Linear,
    destination: Option<Linear>,
    /// `[2, heads * features]` (source, destination), or `[heads * features]` for [`GraphScore::Dynamic`].
    attention: Parameter,
}

impl GraphAttention {
    /// From `inputs` features to `heads` times `features`.
    pub fn new(
        builder: &mut Builder,
        name: &str,
        inputs: usize,
        features: usize,
        heads: usize,
        score: GraphScore,
    ) -> Self {
        let width = heads.saturating_mul(features);
        builder.within(name, |b| GraphAttention {
            heads,
            features,
            source: Linear::without_bias(b, "source", inputs, width, 1.0),
            destination: (score == GraphScore::Dynamic)
                .then(|| Linear::without_bias(b, "destination", inputs, width, 1.0)),
            attention: match score {
                GraphScore::Additive => b.parameter("attention", [2, width], Initial::Glorot),
                GraphScore::Dynamic => b.parameter("attention", [1, width], Initial::Glorot),
            },
        })
    }

    /// Nodes `[.., n, inputs]` and their edges to nodes `[.., n, heads * features]`, and the weight of every edge
    /// `[.., e, heads]`.
    pub fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        x: Tensor<'g>,
        edges: Edges<'g>,
    ) -> (Tensor<'g>, Tensor<'g>) {
        let (heads, features) = (self.heads, self.features);
        // For each head the sum of its features times the attention vector: [.., rows, heads].
        let score = |x: Tensor<'g>, row: usize| {
            let vector = weights.get(self.attention).slice(0, row, 1).reshape([heads, features]);
            let mut shape = x.shape().to_vec();
            shape.pop();
            shape.extend([heads, features]);
            (x.reshape(shape) * vector).sum(&[-1])
        };
        let values = self.source.forward(weights, x);
        match &self.destination {
            None => values.message_attention(score(values, 0), score(values, 1), edges, NEGATIVE_SLOPE, None),
            Some(destination) => {
                let towards = destination.forward(weights, x);
                let sum = edges.from_sources(values) + edges.from_destinations(towards);
                let bent = sum.maximum(sum * NEGATIVE_SLOPE);
                values.message_attention_scored(score(bent, 0), edges, None)
            }
        }
    }
}
