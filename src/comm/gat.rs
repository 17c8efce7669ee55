//! Graph attention (Velickovic et al. 2018; Brody, Alon and Yahav 2022).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommunicationSettings, Company, Heard, Hearing, Layer, check_heads, edges_of, exchange_lanes};
use crate::comm::Neighbours;
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, GraphAttention, GraphScore, Weights};
use crate::registry::Member;

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

/// The settings of [`Gat`]; with `DYNAMIC` its scores are dynamic, else additive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphAttentionConfig<const DYNAMIC: bool> {
    /// Heads of attention; must divide the features.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: usize,
    /// Who is a neighbour.
    pub neighbours: Neighbours,
}

/// [`Gat`] with additive scores (Velickovic et al. 2018).
pub type GatConfig = GraphAttentionConfig<false>;

/// [`Gat`] with dynamic scores (Brody et al. 2022).
pub type GatV2Config = GraphAttentionConfig<true>;

impl<const DYNAMIC: bool> Default for GraphAttentionConfig<DYNAMIC> {
    fn default() -> Self {
        GraphAttentionConfig { heads: 1, neighbours: Neighbours::default() }
    }
}

impl<const DYNAMIC: bool> Member for GraphAttentionConfig<DYNAMIC> {
    const NAME: &'static str = if DYNAMIC { "gatv2" } else { "gat" };
    const SUMMARY: &'static str = match DYNAMIC {
        true => "the same with dynamic scores (GATv2)",
        false => "graph attention over neighbours (GAT)",
    };
}

impl<const DYNAMIC: bool> CommunicationSettings for GraphAttentionConfig<DYNAMIC> {
    fn layer(&self, builder: &mut Builder, name: &str, company: &Company) -> Option<Box<dyn Layer>> {
        let score = if DYNAMIC { GraphScore::Dynamic } else { GraphScore::Additive };
        Some(Box::new(Gat::new(builder, name, company.features, self.heads, score)))
    }

    fn heads(&self) -> usize {
        self.heads
    }

    fn describe(&self) -> String {
        format!("heads={}", self.heads)
    }

    fn neighbours(&self) -> Option<&Neighbours> {
        Some(&self.neighbours)
    }

    fn check(&self, company: &Company) -> Result<()> {
        check_heads(self, self.heads, company.features)?;
        self.neighbours.check(company.observation)
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
