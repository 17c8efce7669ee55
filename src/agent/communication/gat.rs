//! Graph attention (Velickovic et al. 2018; Brody, Alon and Yahav 2022).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommunicationSettings, Heard, Hearing, Layer, check_heads, edges_of, exchange_lanes};
use crate::agent::neighbours::Neighbours;
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

/// The settings of [`Gat`] with additive scores (Velickovic et al. 2018).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatConfig {
    /// Heads of attention; must divide the features.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: usize,
    /// Who is a neighbour.
    pub neighbours: Neighbours,
}

impl Default for GatConfig {
    fn default() -> Self {
        GatConfig { heads: 1, neighbours: Neighbours::default() }
    }
}

impl Member for GatConfig {
    const NAME: &'static str = "gat";
    const SUMMARY: &'static str = "graph attention over neighbours (GAT)";
}

impl CommunicationSettings for GatConfig {
    fn layer(&self, builder: &mut Builder, name: &str, features: usize) -> Option<Box<dyn Layer>> {
        Some(Box::new(Gat::new(builder, name, features, self.heads, GraphScore::Additive)))
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

    fn check(&self, features: usize, observation: usize) -> Result<()> {
        check_heads(self, self.heads, features)?;
        self.neighbours.check(observation)
    }
}

/// The settings of [`Gat`] with dynamic scores (Brody et al. 2022).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatV2Config {
    /// Heads of attention; must divide the features.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: usize,
    /// Who is a neighbour.
    pub neighbours: Neighbours,
}

impl Default for GatV2Config {
    fn default() -> Self {
        GatV2Config { heads: 1, neighbours: Neighbours::default() }
    }
}

impl Member for GatV2Config {
    const NAME: &'static str = "gatv2";
    const SUMMARY: &'static str = "the same with dynamic scores (GATv2)";
}

impl CommunicationSettings for GatV2Config {
    fn layer(&self, builder: &mut Builder, name: &str, features: usize) -> Option<Box<dyn Layer>> {
        Some(Box::new(Gat::new(builder, name, features, self.heads, GraphScore::Dynamic)))
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

    fn check(&self, features: usize, observation: usize) -> Result<()> {
        check_heads(self, self.heads, features)?;
        self.neighbours.check(observation)
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
