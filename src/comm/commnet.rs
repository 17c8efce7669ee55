//! CommNet (Sukhbaatar, Szlam and Fergus 2016).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommunicationSettings, Company, Heard, Hearing, Layer, mean_of_others};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, Weights};
use crate::registry::Member;

/// `h' = tanh(H h + C c)`, where `c` is the mean of the other agents' `h` (equations 1 and 2 of the paper).
pub struct CommNet {
    own: Linear,
    heard: Linear,
}

impl CommNet {
    /// Over so many features.
    pub fn new(builder: &mut Builder, name: &str, features: usize) -> Self {
        builder.within(name, |b| CommNet {
            own: Linear::new(b, "own", features, features, 1.0),
            heard: Linear::without_bias(b, "heard", features, features, 1.0),
        })
    }
}

/// The settings of [`CommNet`]: none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommNetConfig {}

impl Member for CommNetConfig {
    const NAME: &'static str = "commnet";
    const SUMMARY: &'static str = "the mean of the others' features (CommNet)";
}

impl CommunicationSettings for CommNetConfig {
    fn layer(&self, builder: &mut Builder, name: &str, company: &Company) -> Option<Box<dyn Layer>> {
        Some(Box::new(CommNet::new(builder, name, company.features)))
    }
}

impl Layer for CommNet {
    fn exchange<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        hearing: Hearing<'g>,
    ) -> Result<Heard<'g>> {
        let heard = mean_of_others(features, hearing.present);
        Ok((self.own.forward(weights, features) + self.heard.forward(weights, heard)).tanh().into())
    }
}
