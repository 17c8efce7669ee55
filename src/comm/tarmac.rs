//! TarMAC: targeted multi-agent communication (Das et al. 2019).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommunicationSettings, Company, Heard, Hearing, Layer, check_heads, exchange_lanes};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, Weights};
use crate::registry::Member;

/// Each agent sends a signature and a value; each attends with its query to the signatures of the others,
/// `alpha = softmax(q . k / sqrt(d))`, hears `c = sum of alpha v` (equations 1 and 2), and goes on with
/// `h' = tanh(W [c, h])` (equation 3), head by head where there are several. An agent does not hear itself, and one that
/// is alone hears nothing (0).
pub struct TarMac {
    heads: usize,
    signature: Linear,
    value: Linear,
    query: Linear,
    own: Linear,
    heard: Linear,
    /// From `[h, c]`: how much of what is heard is let in, feature by feature.
    gate: Option<[Linear; 2]>,
}

impl TarMac {
    /// Over so many features, in `heads` heads, a divisor of them. With `gated`, `c` is first multiplied by
    /// `sigmoid(U h + V c)`.
    pub fn new(builder: &mut Builder, name: &str, features: usize, heads: usize, gated: bool) -> Self {
        builder.within(name, |b| TarMac {
            heads,
            signature: Linear::new(b, "signature", features, features, 1.0),
            value: Linear::new(b, "value", features, features, 1.0),
            query: Linear::new(b, "query", features, features, 1.0),
            own: Linear::new(b, "own", features, features, 1.0),
            heard: Linear::without_bias(b, "heard", features, features, 1.0),
            gate: gated.then(|| {
                [
                    Linear::new(b, "gate_own", features, features, 1.0),
                    Linear::without_bias(b, "gate_heard", features, features, 1.0),
                ]
            }),
        })
    }
}

/// The settings of [`TarMac`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TarMacConfig {
    /// Heads of attention; must divide the features.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: usize,
    /// What is heard is let in through a gate.
    pub gated: bool,
}

impl Default for TarMacConfig {
    fn default() -> Self {
        TarMacConfig { heads: 1, gated: false }
    }
}

impl Member for TarMacConfig {
    const NAME: &'static str = "tarmac";
    const SUMMARY: &'static str = "targeted attention over the others (TarMAC)";
}

impl CommunicationSettings for TarMacConfig {
    fn layer(&self, builder: &mut Builder, name: &str, company: &Company) -> Option<Box<dyn Layer>> {
        Some(Box::new(TarMac::new(builder, name, company.features, self.heads, self.gated)))
    }

    fn heads(&self) -> usize {
        self.heads
    }

    fn describe(&self) -> String {
        format!("heads={} gated={}", self.heads, self.gated)
    }

    fn said(&self, features: usize) -> usize {
        2 * features
    }

    fn check(&self, company: &Company) -> Result<()> {
        check_heads(self, self.heads, company.features)
    }
}

impl Layer for TarMac {
    fn exchange<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        hearing: Hearing<'g>,
    ) -> Result<Heard<'g>> {
        let graph = weights.graph();
        let shape = hearing.present.shape();
        let (time, agents, worlds) = (shape[0], shape[1], shape[2]);
        let of = |layer: &Linear| exchange_lanes(layer.forward(weights, features));
        let (signatures, values, queries) = (of(&self.signature), of(&self.value), of(&self.query));
        let mut others = vec![1.0; agents * agents];
        (0..agents).for_each(|i| others[i * agents + i] = 0.0);
        let there = hearing.present.transpose(&[0, 2, 1]).reshape([time, worlds, 1, agents]);
        let mask = there * graph.constant([agents, agents], &others);
        let mut heard = exchange_lanes(queries.attention(signatures, values, self.heads, Some(mask), false));
        if let Some([own, other]) = &self.gate {
            heard = heard * (own.forward(weights, features) + other.forward(weights, heard)).sigmoid();
        }
        let next = (self.own.forward(weights, features) + self.heard.forward(weights, heard)).tanh();
        let attention = hearing.watch.then(|| {
            // [time, worlds, heads, agents, agents] to [time, agents, worlds, heads, agents]
            queries.attention_weights(signatures, self.heads, Some(mask), false).transpose(&[0, 3, 1, 2, 4])
        });
        let said = hearing.watch.then(|| exchange_lanes(values));
        Ok(Heard { attention, said, ..next.into() })
    }
}
