//! Transformers over an agent's last encodings, with a memory or without: SRMT, the shared recurrent memory transformer
//! (Sagirova, Kuratov and Burtsev, arXiv 2501.13200), and its ablations.
//!
//! One pre-norm block over `[the agent's memory, its last encodings, its current encoding]`: self-attention, then
//! cross-attention to the memories of all agents of its world, then a feed-forward layer. The block's output at the
//! current encoding is what the heads see, its output at the memory gives the next memory, by a linear map. All agents
//! read the memories of the step before and then all write theirs, so that the order of agents does not matter.
//!
//! As in the paper: full attention, and gradients that flow through the memories of all agents over the whole rollout.
//! (The public code masks causally, so that the memory cannot see the observations, and discards the learner's memory,
//! so that its head is never trained; the first is a switch here, [`MemoryConfig::causal`].) Where the paper is silent:
//! encodings from before an episode began are masked out, and so are the memories of agents that have left the world.
//!
//! Only the outputs at the memory and at the current encoding are ever used, so queries, feed-forward layer and
//! everything behind the first attention are computed for these two tokens only: the same numbers for a fifth of the
//! work. Keys and values of encodings do not depend on the memory, and are computed for all steps of a rollout at once;
//! what must wait for the memory is one token a step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Core, CoreSettings, Remembered};
use crate::agent::{Sequence, StatePart};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::memory::read_vectors;
use crate::nn::{
    Activation, Builder, Initial, LayerNorm, Linear, Mlp, MultiHeadAttention, Parameter, Weights,
};
use crate::registry::{Member, Table};
use crate::schema;

/// Attention over the last encodings, without a memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttentionConfig {
    /// Attention heads; must divide the features.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: usize,
    /// Past encodings that are seen beside the current one.
    #[schemars(range(min = 1, max = 1024))]
    pub history: usize,
}

/// A transformer with a memory, which with `SHARED` all agents read and else its own agent alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig<const SHARED: bool> {
    /// Attention heads; must divide the features.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: usize,
    /// Past encodings that are seen beside the current one.
    #[schemars(range(min = 1, max = 1024))]
    pub history: usize,
    /// Mask self-attention causally, as SRMT's public code does: the memory then sees only itself.
    pub causal: bool,
}

/// A memory that only its agent reads: the recurrent memory transformer (Bulatov et al. 2022).
pub type RmtConfig = MemoryConfig<false>;

/// Shared memory: each agent attends to the memories of all.
pub type SrmtCoreConfig = MemoryConfig<true>;

impl Default for AttentionConfig {
    fn default() -> Self {
        AttentionConfig { heads: 4, history: 8 }
    }
}

impl<const SHARED: bool> Default for MemoryConfig<SHARED> {
    fn default() -> Self {
        MemoryConfig { heads: 4, history: 8, causal: false }
    }
}

impl Member for AttentionConfig {
    const NAME: &'static str = "attention";
    const SUMMARY: &'static str = "attention over the last encodings, no memory";
}

impl<const SHARED: bool> Member for MemoryConfig<SHARED> {
    const NAME: &'static str = if SHARED { "srmt" } else { "rmt" };
    const SUMMARY: &'static str = match SHARED {
        true => "the same with memories that all agents read (shared recurrent memory transformer)",
        false => "the same with a memory of the agent's own (recurrent memory transformer)",
    };
}

impl CoreSettings for AttentionConfig {
    fn core(&self, builder: &mut Builder, features: usize) -> Option<Box<dyn Core>> {
        let kind = Memory::None;
        Some(Box::new(Transformer::new(builder, features, self.heads, self.history, kind, false)))
    }

    fn describe(&self) -> String {
        format!("heads={} history={}", self.heads, self.history)
    }

    fn check(&self, features: usize) -> Result<()> {
        check(self, self.heads, features)
    }
}

impl<const SHARED: bool> CoreSettings for MemoryConfig<SHARED> {
    fn core(&self, builder: &mut Builder, features: usize) -> Option<Box<dyn Core>> {
        let kind = if SHARED { Memory::Shared } else { Memory::Own };
        Some(Box::new(Transformer::new(builder, features, self.heads, self.history, kind, self.causal)))
    }

    fn describe(&self) -> String {
        format!("heads={} history={} causal={}", self.heads, self.history, self.causal)
    }

    fn said(&self, features: usize) -> usize {
        if SHARED { features } else { 0 }
    }

    fn check(&self, features: usize) -> Result<()> {
        check(self, self.heads, features)
    }
}

fn check(core: &(impl JsonSchema + Table), heads: usize, features: usize) -> Result<()> {
    schema::check("agent.core", core)?;
    if !features.is_multiple_of(heads) {
        let message = format!("a divisor of agent.features ({features}), got {heads}");
        return Err(Error::config("agent.core.heads", message));
    }
    Ok(())
}

/// Who reads an agent's memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    None,
    Own,
    Shared,
}

struct Transformer {
    features: usize,
    history: usize,
    causal: bool,
    positions: Parameter,
    norms: [LayerNorm; 4],
    own: MultiHeadAttention,
    /// To the memories of all agents; none in the ablations.
    shared: Option<MultiHeadAttention>,
    feed_forward: Mlp,
    /// From the block's output to the next memory; none without memory.
    memory: Option<Linear>,
}

impl Transformer {
    fn new(
        b: &mut Builder,
        features: usize,
        heads: usize,
        history: usize,
        memory: Memory,
        causal: bool,
    ) -> Self {
        Transformer {
            features,
            history,
            causal,
            positions: b.parameter("positions", [history + 2, features], Initial::Normal { deviation: 0.02 }),
            norms: [0, 1, 2, 3].map(|i| LayerNorm::new(b, &format!("norm{i}"), features)),
            own: MultiHeadAttention::new(b, "own", features, heads),
            shared: (memory == Memory::Shared).then(|| MultiHeadAttention::new(b, "shared", features, heads)),
            feed_forward: {
                let sizes = [features, 4 * features, features];
                Mlp::new(b, "feed_forward", &sizes, Activation::Gelu, 1.0)
            },
            memory: (memory != Memory::None)
                .then(|| Linear::without_bias(b, "memory", features, features, 1.0)),
        }
    }
}

impl Core for Transformer {
    fn state(&self) -> Vec<StatePart> {
        let history = StatePart { name: "history".into(), shape: vec![self.history, self.features] };
        let memory = StatePart { name: "memory".into(), shape: vec![self.features] };
        std::iter::once(history).chain(self.memory.is_some().then_some(memory)).collect()
    }

    fn run<'g>(
        &self,
        weights: &Weights<'g>,
        encodings: Tensor<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Remembered<'g> {
        let graph = weights.graph();
        let shape = encodings.shape();
        let (time, agents, worlds, features) = (shape[0], shape[1], shape[2], shape[3]);
        let has_memory = self.memory.is_some();

        // The encodings of the rollout behind those before it: [history + time, agents, worlds, features].
        let all = graph.concat(&[state[0].transpose(&[2, 0, 1, 3]), encodings], 0);
        // At each step the window of encodings, the current one last: [time, agents, worlds, history + 1, features].
        let windows: Vec<Tensor<'g>> = (0..=self.history)
            .map(|j| all.slice(0, j, time).reshape([time, agents, worlds, 1, features]))
            .collect();
        let positions = weights.get_for(self.positions, 5);
        let position = |first: usize, count: usize| positions.slice(-2, first, count);
        let tokens = graph.concat(&windows, 3) + position(1, self.history + 1);
        let normed = self.norms[0].forward(weights, tokens);
        let keys = self.own.key.forward(weights, normed);
        let values = self.own.value.forward(weights, normed);
        let current = tokens.slice(3, self.history, 1);
        let current_query = self.own.query.forward(weights, normed.slice(3, self.history, 1));

        // An encoding `d` steps back belongs to this episode once it is `d` steps old; so does the memory at 1.
        let ages = sequence.ages.reshape([time, agents, worlds, 1, 1]);
        let mut needed: Vec<f32> = (0..=self.history).map(|j| (self.history - j) as f32).collect();
        if has_memory {
            needed.insert(0, 1.0);
        }
        let count = needed.len();
        let mut mask = ages.greater_equal(graph.constant([count], &needed));
        if has_memory {
            // The memory's own query looks at the same tokens; causally it sees itself alone.
            let memory_row = match self.causal {
                true => {
                    let mut only_itself = vec![0.0; count];
                    only_itself[0] = 1.0;
                    mask * graph.constant([count], &only_itself)
                }
                false => mask,
            };
            mask = graph.concat(&[memory_row, mask], 3);
        }
        let started = ages.greater(graph.scalar(0.0));
        let present = sequence.present.transpose(&[0, 2, 1]).reshape([time, 1, worlds, 1, agents]);

        let mut memory = state.get(1).map(|m| m.reshape([1, agents, worlds, features]));
        let mut outputs = Vec::with_capacity(time);
        let mut attention = None;
        for t in 0..time {
            // Every tensor of a step keeps a leading dimension of 1 for time.
            let now = |x: Tensor<'g>| x.slice(0, t, 1);
            let (mut x, mut query, mut key, mut value) =
                (now(current), now(current_query), now(keys), now(values));
            if let Some(memory) = memory {
                let token = memory.reshape([1, agents, worlds, 1, features]) + position(0, 1);
                let normed = self.norms[0].forward(weights, token);
                x = graph.concat(&[token, x], 3);
                query = graph.concat(&[self.own.query.forward(weights, normed), query], 3);
                key = graph.concat(&[self.own.key.forward(weights, normed), key], 3);
                value = graph.concat(&[self.own.value.forward(weights, normed), value], 3);
            }
            let mixed = query.attention(key, value, self.own.heads, Some(now(mask)), false);
            x = x + self.own.output.forward(weights, mixed);
            if let (Some(shared), Some(memory)) = (&self.shared, memory) {
                let query = shared.query.forward(weights, self.norms[1].forward(weights, x));
                let [read, key] = read_vectors(weights, shared, query, memory, now(present));
                // There is no memory to read at an episode's first step.
                x = x + shared.output.forward(weights, read) * now(started);
                if time == 1 {
                    let query = query.slice(3, 1, 1);
                    let looks = query.attention_weights(key, shared.heads, Some(now(present)), false);
                    attention = Some(looks.reshape([agents, worlds, shared.heads, agents]));
                }
            }
            x = x + self.feed_forward.forward(weights, self.norms[2].forward(weights, x));
            x = self.norms[3].forward(weights, x);
            let token = |i: usize| x.slice(3, i, 1).reshape([1, agents, worlds, features]);
            let output = token(usize::from(memory.is_some()));
            outputs.push(output);
            if let (Some(head), Some(_)) = (&self.memory, memory) {
                let started = now(started).reshape([1, agents, worlds, 1]);
                memory = Some(head.forward(weights, started.select(token(0), output)));
            }
        }
        let mut state = vec![all.slice(0, time, self.history).transpose(&[1, 2, 0, 3])];
        state.extend(memory.map(|m| m.reshape([agents, worlds, features])));
        Remembered { features: graph.concat(&outputs, 0), state, attention }
    }
}
