//! Graph convolution (Kipf and Welling 2017).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommunicationSettings, Company, Heard, Hearing, Layer, edges_of, exchange_lanes};
use crate::comm::Neighbours;
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, Weights};
use crate::registry::Member;

/// `h'_i = relu(W sum over j -> i of h_j / sqrt(d_i d_j) + b)` (equation 2 of the paper), `d` being the number of edges
/// into a node. The graph should have an edge from each node to itself.
pub struct Gcn {
    layer: Linear,
}

impl Gcn {
    /// Over so many features.
    pub fn new(builder: &mut Builder, name: &str, features: usize) -> Self {
        let gain = crate::nn::RELU_GAIN;
        Gcn { layer: builder.within(name, |b| Linear::new(b, "layer", features, features, gain)) }
    }
}

/// The settings of [`Gcn`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcnConfig {
    /// Who is a neighbour.
    pub neighbours: Neighbours,
}

impl Member for GcnConfig {
    const NAME: &'static str = "gcn";
    const SUMMARY: &'static str = "graph convolution over neighbours";
}

impl CommunicationSettings for GcnConfig {
    fn layer(&self, builder: &mut Builder, name: &str, company: &Company) -> Option<Box<dyn Layer>> {
        Some(Box::new(Gcn::new(builder, name, company.features)))
    }

    fn neighbours(&self) -> Option<&Neighbours> {
        Some(&self.neighbours)
    }
}

impl Layer for Gcn {
    fn exchange<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        hearing: Hearing<'g>,
    ) -> Result<Heard<'g>> {
        let edges = edges_of(&hearing, "gcn")?;
        let graph = weights.graph();
        let x = exchange_lanes(features);
        let mut one = x.shape().to_vec();
        one[3] = 1;
        let degree = graph.full(one, 1.0).message_sum(edges).maximum(graph.scalar(1.0)).sqrt();
        let gathered = exchange_lanes((x / degree).message_sum(edges) / degree);
        Ok(self.layer.forward(weights, gathered).relu().into())
    }
}
