//! SRMT: the shared recurrent memory transformer for multi-agent pathfinding (Sagirova, Kuratov and Burtsev,
//! arXiv 2501.13200), and its ablations.
//!
//! An agent encodes its observation with a small residual network. Its core is one pre-norm transformer block over
//! `[its memory, its 8 last encodings, its current encoding]`: self-attention, then cross-attention to the memories of
//! all agents of its world, then a feed-forward layer. The block's output at the current encoding gives action and
//! value, its output at the memory gives the next memory, by a linear map. All agents read the memories of the step
//! before and then all write theirs, so that the order of agents does not matter.
//!
//! As in the paper: full attention, and gradients that flow through the memories of all agents over the whole rollout.
//! (The public code masks causally, so that the memory cannot see the observations, and discards the learner's memory,
//! so that its head is never trained; the first is a switch here, [`SrmtConfig::causal`].) Where the paper is silent:
//! encodings from before an episode began are masked out, and so are the memories of agents that have left the world.
//!
//! Only the outputs at the memory and at the current encoding are ever used, so queries, feed-forward layer and
//! everything behind the first attention are computed for these two tokens only: the same numbers for a fifth of the
//! work. Keys and values of encodings do not depend on the memory, and are computed for all steps of a rollout at once;
//! what must wait for the memory is one token a step.

use serde::{Deserialize, Serialize};

use super::{Policy, Sequence, StatePart, Unrolled};
use crate::Device;
use crate::error::{Error, Result, within};
use crate::graph::{Graph, Tensor};
use crate::nn::{
    Activation, Builder, Conv2d, Gru, Initial, LayerNorm, Linear, Mlp, MultiHeadAttention, Parameter,
    Parameters, RELU_GAIN, Weights,
};

/// Past encodings that the core sees beside the current one.
pub const HISTORY: usize = 8;

/// Which of the paper's networks this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Core {
    /// Shared memory: each agent attends to the memories of all.
    Srmt,
    /// Each agent has a memory that only it reads (the recurrent memory transformer).
    Rmt,
    /// Attention over the last encodings, no memory.
    Attention,
    /// A gated recurrent unit in place of the transformer.
    Gru,
    /// Encoder and heads, nothing between them.
    Plain,
}

/// The sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SrmtConfig {
    /// Which network.
    pub core: Core,
    /// Channels of the encoder (F).
    pub channels: usize,
    /// Residual blocks of the encoder (R).
    pub blocks: usize,
    /// Features of encodings and memories (H).
    pub features: usize,
    /// Attention heads.
    pub heads: usize,
    /// Mask self-attention causally, as the public code does: the memory then sees only itself.
    pub causal: bool,
}

impl SrmtConfig {
    /// The paper's network for the bottleneck task.
    pub fn bottleneck() -> Self {
        SrmtConfig { core: Core::Srmt, channels: 8, blocks: 1, features: 16, heads: 4, causal: false }
    }

    /// The paper's network for lifelong pathfinding.
    pub fn lifelong() -> Self {
        SrmtConfig { core: Core::Srmt, channels: 64, blocks: 8, features: 512, heads: 8, causal: false }
    }
}

/// Two convolutions beside an identity.
struct Residual(Conv2d, Conv2d);

struct Encoder {
    first: Conv2d,
    blocks: Vec<Residual>,
    last: Linear,
}

struct Transformer {
    positions: Parameter,
    norms: [LayerNorm; 4],
    own: MultiHeadAttention,
    /// To the memories of all agents; none in the ablations.
    shared: Option<MultiHeadAttention>,
    feed_forward: Mlp,
    /// From the block's output to the next memory; none without memory.
    memory: Option<Linear>,
}

enum CoreLayers {
    Transformer(Box<Transformer>),
    Gru(Gru),
    Plain,
}

/// The network with its parameters.
pub struct Srmt {
    config: SrmtConfig,
    observation: [usize; 3],
    actions: usize,
    encoder: Encoder,
    core: CoreLayers,
    actor: Linear,
    critic: Linear,
    parameters: Parameters,
}

impl Srmt {
    /// A network for observations `[channels, height, width]`, its initial parameters drawn from `seed`; with `lanes`,
    /// each of so many agents has parameters of its own.
    ///
    /// # Errors
    /// Sizes of 0, features that are no multiple of the heads, or no room on the device.
    pub fn new(
        device: &Device,
        config: SrmtConfig,
        observation: &[usize],
        actions: usize,
        lanes: Option<usize>,
        seed: u64,
    ) -> Result<Self> {
        let &[planes, height, width] = observation else {
            return Err(Error::config(
                "agent",
                format!("SRMT sees [channels, height, width], not {observation:?}"),
            ));
        };
        for (key, value, most) in [
            ("agent.channels", config.channels, 1024),
            ("agent.features", config.features, 8192),
            ("agent.heads", config.heads, 1024),
        ] {
            within(key, value, 1, most)?;
        }
        within("agent.blocks", config.blocks, 0, 64)?;
        if !config.features.is_multiple_of(config.heads) {
            let message = format!("a divisor of agent.features ({}), got {}", config.features, config.heads);
            return Err(Error::config("agent.heads", message));
        }
        let features = config.features;
        let mut builder = match lanes {
            Some(lanes) => Builder::with_lanes(seed, lanes),
            None => Builder::new(seed),
        };
        let encoder = builder.within("encoder", |b| Encoder {
            first: Conv2d::new(b, "first", (planes, config.channels), 3, 1, 1),
            blocks: (0..config.blocks)
                .map(|i| {
                    b.within(&i.to_string(), |b| {
                        let channels = (config.channels, config.channels);
                        Residual(
                            Conv2d::new(b, "a", channels, 3, 1, 1),
                            Conv2d::new(b, "b", channels, 3, 1, 1),
                        )
                    })
                })
                .collect(),
            last: Linear::new(b, "last", config.channels * height * width, features, RELU_GAIN),
        });
        let core = builder.within("core", |b| match config.core {
            Core::Plain => CoreLayers::Plain,
            Core::Gru => CoreLayers::Gru(Gru::new(b, "gru", features, features)),
            core => CoreLayers::Transformer(Box::new(Transformer {
                positions: b.parameter(
                    "positions",
                    [HISTORY + 2, features],
                    Initial::Normal { deviation: 0.02 },
                ),
                norms: [0, 1, 2, 3].map(|i| LayerNorm::new(b, &format!("norm{i}"), features)),
                own: MultiHeadAttention::new(b, "own", features, config.heads),
                shared: (core == Core::Srmt)
                    .then(|| MultiHeadAttention::new(b, "shared", features, config.heads)),
                feed_forward: {
                    let sizes = [features, 4 * features, features];
                    Mlp::new(b, "feed_forward", &sizes, Activation::Gelu, 1.0)
                },
                memory: (core != Core::Attention)
                    .then(|| Linear::without_bias(b, "memory", features, features, 1.0)),
            })),
        });
        // A policy that starts near uniform explores evenly (Andrychowicz et al. 2021).
        let actor = Linear::new(&mut builder, "actor", features, actions, 0.01);
        let critic = Linear::new(&mut builder, "critic", features, 1, 1.0);
        let parameters = builder.build(device)?;
        let observation = [planes, height, width];
        Ok(Srmt { config, observation, actions, encoder, core, actor, critic, parameters })
    }

    /// The sizes of the network.
    pub fn config(&self) -> &SrmtConfig {
        &self.config
    }

    /// Observations `[.., channels, height, width]` to encodings `[.., features]`.
    fn encode<'g>(&self, weights: &Weights<'g>, observations: Tensor<'g>) -> Tensor<'g> {
        let shape = observations.shape();
        let rank = shape.len();
        // Kernels want channels last.
        let mut order: Vec<usize> = (0..rank - 3).collect();
        order.extend([rank - 2, rank - 1, rank - 3]);
        let mut x = self.encoder.first.forward(weights, observations.transpose(&order));
        for Residual(a, b) in &self.encoder.blocks {
            x = x + b.forward(weights, a.forward(weights, x.relu()).relu());
        }
        let mut flat = shape[..rank - 3].to_vec();
        // Where the graph holds an error (a size over a limit), its tensors have other ranks.
        flat.push(x.shape().get(rank - 3..).unwrap_or_default().iter().product());
        self.encoder.last.forward(weights, x.relu().reshape(flat)).relu()
    }

    /// Features of the current token at every step, `[time, agents, worlds, features]`, the state after the last, and
    /// the attention of the last.
    fn transform<'g>(
        &self,
        layers: &Transformer,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        encodings: Tensor<'g>,
        state: &[Tensor<'g>],
    ) -> Features<'g> {
        let graph = weights.graph();
        let shape = encodings.shape();
        let (time, agents, worlds, features) = (shape[0], shape[1], shape[2], shape[3]);
        let has_memory = layers.memory.is_some();

        // The encodings of the rollout behind those before it: [HISTORY + time, agents, worlds, features].
        let all = graph.concat(&[state[0].transpose(&[2, 0, 1, 3]), encodings], 0);
        // At each step the window of 9 encodings, the current one last: [time, agents, worlds, 9, features].
        let windows: Vec<Tensor<'g>> = (0..=HISTORY)
            .map(|j| all.slice(0, j, time).reshape([time, agents, worlds, 1, features]))
            .collect();
        let positions = weights.get_for(layers.positions, 5);
        let position = |first: usize, count: usize| positions.slice(-2, first, count);
        let tokens = graph.concat(&windows, 3) + position(1, HISTORY + 1);
        let normed = layers.norms[0].forward(weights, tokens);
        let keys = layers.own.key.forward(weights, normed);
        let values = layers.own.value.forward(weights, normed);
        let current = tokens.slice(3, HISTORY, 1);
        let current_query = layers.own.query.forward(weights, normed.slice(3, HISTORY, 1));

        // An encoding `d` steps back belongs to this episode once it is `d` steps old; so does the memory at 1.
        let ages = sequence.ages.reshape([time, agents, worlds, 1, 1]);
        let mut needed: Vec<f32> = (0..=HISTORY).map(|j| (HISTORY - j) as f32).collect();
        if has_memory {
            needed.insert(0, 1.0);
        }
        let count = needed.len();
        let mut mask = ages.greater_equal(graph.constant([count], &needed));
        if has_memory {
            // The memory's own query looks at the same tokens; causally it sees itself alone.
            let memory_row = match self.config.causal {
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
                let normed = layers.norms[0].forward(weights, token);
                x = graph.concat(&[token, x], 3);
                query = graph.concat(&[layers.own.query.forward(weights, normed), query], 3);
                key = graph.concat(&[layers.own.key.forward(weights, normed), key], 3);
                value = graph.concat(&[layers.own.value.forward(weights, normed), value], 3);
            }
            let mixed = query.attention(key, value, layers.own.heads, Some(now(mask)), false);
            x = x + layers.own.output.forward(weights, mixed);
            if let (Some(shared), Some(memory)) = (&layers.shared, memory) {
                let query = shared.query.forward(weights, layers.norms[1].forward(weights, x));
                let source = memory.transpose(&[0, 2, 1, 3]).reshape([1, 1, worlds, agents, features]);
                let (key, value) =
                    (shared.key.forward(weights, source), shared.value.forward(weights, source));
                let read = query.attention(key, value, shared.heads, Some(now(present)), false);
                // There is no memory to read at an episode's first step.
                x = x + shared.output.forward(weights, read) * now(started);
                if time == 1 {
                    let query = query.slice(3, 1, 1);
                    let looks = query.attention_weights(key, shared.heads, Some(now(present)), false);
                    attention = Some(looks.reshape([agents, worlds, shared.heads, agents]));
                }
            }
            x = x + layers.feed_forward.forward(weights, layers.norms[2].forward(weights, x));
            x = layers.norms[3].forward(weights, x);
            let token = |i: usize| x.slice(3, i, 1).reshape([1, agents, worlds, features]);
            let output = token(x.shape()[3] - 1);
            outputs.push(output);
            if let (Some(head), Some(_)) = (&layers.memory, memory) {
                let started = now(started).reshape([1, agents, worlds, 1]);
                memory = Some(head.forward(weights, started.select(token(0), output)));
            }
        }
        let mut state = vec![all.slice(0, time, HISTORY).transpose(&[1, 2, 0, 3])];
        state.extend(memory.map(|m| m.reshape([agents, worlds, features])));
        Features { features: graph.concat(&outputs, 0), state, attention }
    }

    /// A gated recurrent unit over the encodings.
    fn recur<'g>(
        &self,
        layer: &Gru,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        encodings: Tensor<'g>,
        state: &[Tensor<'g>],
    ) -> Features<'g> {
        let shape = encodings.shape();
        let (time, agents, worlds, features) = (shape[0], shape[1], shape[2], shape[3]);
        let resets = sequence.ages.equal(weights.graph().scalar(0.0));
        // Agents come first: whether they share weights or not, they are lanes.
        let hidden = layer.forward(
            weights,
            encodings.transpose(&[1, 0, 2, 3]),
            state[0],
            Some(resets.transpose(&[1, 0, 2])),
        );
        let last = hidden.slice(1, time - 1, 1).reshape([agents, worlds, features]);
        Features { features: hidden.transpose(&[1, 0, 2, 3]), state: vec![last], attention: None }
    }
}

struct Features<'g> {
    features: Tensor<'g>,
    state: Vec<Tensor<'g>>,
    attention: Option<Tensor<'g>>,
}

impl Policy for Srmt {
    fn architecture(&self) -> String {
        let SrmtConfig { core, channels, blocks, features, heads, causal } = self.config;
        let core = match core {
            Core::Srmt => "srmt",
            Core::Rmt => "rmt",
            Core::Attention => "attention",
            Core::Gru => "gru",
            Core::Plain => "plain",
        };
        let [planes, height, width] = self.observation;
        format!(
            "{core} channels={channels} blocks={blocks} features={features} heads={heads} causal={causal} \
             observation={planes}x{height}x{width} actions={}",
            self.actions
        )
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn state(&self) -> Vec<StatePart> {
        let features = self.config.features;
        let history = StatePart { name: "history", shape: vec![HISTORY, features] };
        match self.config.core {
            Core::Srmt | Core::Rmt => vec![history, StatePart { name: "memory", shape: vec![features] }],
            Core::Attention => vec![history],
            Core::Gru => vec![StatePart { name: "hidden", shape: vec![features] }],
            Core::Plain => Vec::new(),
        }
    }

    fn unroll<'g>(
        &self,
        graph: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        let shape = sequence.observations.shape();
        if shape.len() != 6 || shape[3..] != self.observation || state.len() != self.state().len() {
            return Err(Error::Graph(format!(
                "SRMT takes observations [time, agents, worlds, {:?}] and {} parts of state, and was given {shape:?} \
                 and {}",
                self.observation,
                self.state().len(),
                state.len()
            )));
        }
        let encodings = self.encode(weights, sequence.observations);
        graph.check()?;
        let core = match &self.core {
            CoreLayers::Transformer(layers) => self.transform(layers, weights, sequence, encodings, state),
            CoreLayers::Gru(layer) => self.recur(layer, weights, sequence, encodings, state),
            CoreLayers::Plain => Features { features: encodings, state: Vec::new(), attention: None },
        };
        let parameters = self.actor.forward(weights, core.features);
        let values = self.critic.forward(weights, core.features).reshape(&shape[..3]);
        Ok(Unrolled { parameters, values, state: core.state, attention: core.attention })
    }
}
