//! A vector of each agent's own that all agents read: the memory of SRMT (Sagirova, Kuratov and Burtsev, arXiv
//! 2501.13200, section 3), as a store for any core. SRMT's own core, `srmt`, reads with the same function and has the
//! vector among its tokens besides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MemorySettings, Noted, Recalled, Scene, StatePart, Store};
use crate::comm::Company;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, MultiHeadAttention, Weights};
use crate::registry::Member;
use crate::schema;

/// The settings: vectors have `agent.features` numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VectorsConfig {
    /// Heads of the attention by which vectors are read.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: usize,
}

impl Default for VectorsConfig {
    fn default() -> Self {
        VectorsConfig { heads: 4 }
    }
}

impl Member for VectorsConfig {
    const NAME: &'static str = "vectors";
    const SUMMARY: &'static str = "each agent writes a vector of its own, and all read all (SRMT's memory)";
}

impl MemorySettings for VectorsConfig {
    fn store(&self, builder: &mut Builder, company: &Company) -> Option<Box<dyn Store>> {
        let features = company.features;
        Some(Box::new(builder.within("memory", |b| Vectors {
            features,
            shared: MultiHeadAttention::new(b, "shared", features, self.heads),
            write: Linear::without_bias(b, "write", features, features, 1.0),
        })))
    }

    fn describe(&self) -> String {
        format!("heads={}", self.heads)
    }

    fn said(&self, features: usize) -> usize {
        features
    }

    fn bytes(&self, company: &Company) -> usize {
        company.agents().saturating_mul(company.features).saturating_mul(4)
    }

    fn check(&self, company: &Company) -> Result<()> {
        schema::check("agent.memory", self)?;
        if !company.features.is_multiple_of(self.heads) {
            let message = format!("a divisor of agent.features ({}), got {}", company.features, self.heads);
            return Err(Error::config("agent.memory.heads", message));
        }
        Ok(())
    }
}

struct Vectors {
    features: usize,
    shared: MultiHeadAttention,
    write: Linear,
}

/// Attention of `query` `[1, agents, worlds, tokens, features]` (its map applied) over the vectors `[1, agents, worlds,
/// features]` of the agents that are `present` `[1, 1, worlds, 1, agents]`: what was read, its last map not applied, and
/// the keys.
pub(crate) fn read_vectors<'g>(
    weights: &Weights<'g>,
    shared: &MultiHeadAttention,
    query: Tensor<'g>,
    vectors: Tensor<'g>,
    present: Tensor<'g>,
) -> [Tensor<'g>; 2] {
    let shape = vectors.shape();
    let (agents, worlds, features) = (shape[1], shape[2], shape[3]);
    let source = vectors.transpose(&[0, 2, 1, 3]).reshape([1, 1, worlds, agents, features]);
    let (key, value) = (shared.key.forward(weights, source), shared.value.forward(weights, source));
    [query.attention(key, value, shared.heads, Some(present), false), key]
}

impl Store for Vectors {
    fn state(&self) -> Vec<StatePart> {
        vec![StatePart { name: "shared vector".into(), shape: vec![self.features] }]
    }

    fn open<'g>(&self, _: &Weights<'g>, state: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        state.to_vec()
    }

    fn read<'g>(
        &self,
        weights: &Weights<'g>,
        scene: &Scene<'g>,
        features: Tensor<'g>,
        held: &mut Vec<Tensor<'g>>,
    ) -> Recalled<'g> {
        let shape = features.shape();
        let (agents, worlds, width) = (shape[1], shape[2], shape[3]);
        let Some(vectors) = held.first().copied() else {
            return Recalled { features, price: None, reads: None };
        };
        let lanes = [1, agents, worlds, 1];
        // An agent's vector is of its own episode.
        let started = scene.ages.minimum(weights.graph().scalar(1.0)).reshape(lanes);
        let vectors = vectors.reshape([1, agents, worlds, width]) * started;
        let present = scene.present.transpose(&[0, 2, 1]).reshape([1, 1, worlds, 1, agents]);
        let query = self.shared.query.forward(weights, features).reshape([1, agents, worlds, 1, width]);
        let [read, key] = read_vectors(weights, &self.shared, query, vectors, present);
        let reads = scene.watch.then(|| {
            let looks = query.attention_weights(key, self.shared.heads, Some(present), false);
            looks.reshape([agents, worlds, self.shared.heads, agents])
        });
        let read = self.shared.output.forward(weights, read.reshape(&shape));
        Recalled { features: features + read * started, price: None, reads }
    }

    fn write<'g>(
        &self,
        weights: &Weights<'g>,
        _: &Scene<'g>,
        features: Tensor<'g>,
        held: &mut Vec<Tensor<'g>>,
    ) -> Noted<'g> {
        let shape = features.shape();
        *held = vec![self.write.forward(weights, features).reshape(&shape[1..])];
        Noted::default()
    }

    fn levels(&self, agents: usize) -> Vec<(&'static str, usize)> {
        vec![("vectors", agents)]
    }

    fn close<'g>(&self, _: &Weights<'g>, held: Vec<Tensor<'g>>, _: usize) -> Vec<Tensor<'g>> {
        held
    }
}
