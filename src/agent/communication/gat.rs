//! Graph attention (Velickovic et al. 2018; Brody, Alon and Yahav 2022).

use super::{Heard, Hearing, Layer, edges_of, exchange_lanes};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, GraphAttention, GraphScore, Weights};

/// `h' = elu(concatenation over heads of sum of alpha_ij W h_j)` (equation 5 of the first paper), the scores as the
/// [`GraphScore`] says. The graph should have an edge from each node to itself.
pub struct Gat {
    layer: GraphAttention,
}

impl Gat {
    /// Over so many features in `heads` heads, a divisor of them.
    pub fn new(builder: &mut Builder, name: &str, features: usize, heads: usize, score: GraphScore) -> Self {
        Gat { layer: GraphAttention::new(builder, name, features, features / heads.max(1), heads, score) }
    }
}

impl Layer for Gat {
    fn exchange<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        hearing: Hearing<'g>,
    ) -> Result<Heard<'g>> {
        let edges = edges_of(&hearing, "gat")?;
        let (x, edge_weights) = self.layer.forward(weights, exchange_lanes(features), edges);
        let x = exchange_lanes(x);
        let zero = weights.graph().scalar(0.0);
        let features = x.greater(zero).select(x, x.minimum(zero).expm1());
        Ok(Heard { edge_weights: hearing.watch.then_some(edge_weights), ..features.into() })
    }
}
