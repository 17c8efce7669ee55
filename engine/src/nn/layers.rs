//! The layers that most models are made of: linear, multi-layer perceptron, convolution, norm, attention.

use super::initial::Initial;
use super::parameters::{Builder, Parameter, Weights};
use crate::graph::Tensor;

/// The square root of two: the gain that keeps the variance through a ReLU (He et al. 2015).
pub const RELU_GAIN: f32 = std::f32::consts::SQRT_2;

/// A function between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// The hyperbolic tangent.
    Tanh,
    /// GELU in its tanh form.
    Gelu,
    /// `x sigmoid(x)`.
    Silu,
    /// None.
    Identity,
}

impl Activation {
    /// Applies it.
    pub fn apply<'g>(self, x: Tensor<'g>) -> Tensor<'g> {
        match self {
            Activation::Relu => x.relu(),
            Activation::Tanh => x.tanh(),
            Activation::Gelu => x.gelu(),
            Activation::Silu => x.silu(),
            Activation::Identity => x,
        }
    }
}

/// `y = x W + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    /// From `inputs` to `outputs` features, weights orthogonal with a gain, bias 0.
    pub fn new(builder: &mut Builder, name: &str, inputs: usize, outputs: usize, gain: f32) -> Self {
        builder.within(name, |b| Linear {
            weight: b.parameter("weight", [inputs, outputs], Initial::Orthogonal { gain }),
            bias: Some(b.parameter("bias", [outputs], Initial::Zeros)),
        })
    }

    /// As [`Linear::new`] without the bias.
    pub fn without_bias(builder: &mut Builder, name: &str, inputs: usize, outputs: usize, gain: f32) -> Self {
        let weight =
            builder.within(name, |b| b.parameter("weight", [inputs, outputs], Initial::Orthogonal { gain }));
        Linear { weight, bias: None }
    }

    /// `[.., inputs]` to `[.., outputs]`.
    pub fn forward<'g>(&self, weights: &Weights<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let rank = x.shape().len();
        let y = x.matmul(weights.get_for(self.weight, rank));
        match self.bias {
            Some(bias) => y + weights.get_for(bias, rank),
            None => y,
        }
    }
}

/// Linear layers with an activation between them.
#[derive(Debug, Clone)]
pub struct Mlp {
    layers: Vec<Linear>,
    activation: Activation,
}

impl Mlp {
    /// `sizes` are the features from the input to the output; the last layer has gain `last_gain` and no activation.
    pub fn new(
        builder: &mut Builder,
        name: &str,
        sizes: &[usize],
        activation: Activation,
        last_gain: f32,
    ) -> Self {
        let layers = builder.within(name, |b| {
            let count = sizes.len().saturating_sub(1);
            (0..count)
                .map(|i| {
                    let gain = if i + 1 == count { last_gain } else { RELU_GAIN };
                    Linear::new(b, &i.to_string(), sizes[i], sizes[i + 1], gain)
                })
                .collect()
        });
        Mlp { layers, activation }
    }

    /// `[.., inputs]` to `[.., outputs]`.
    pub fn forward<'g>(&self, weights: &Weights<'g>, mut x: Tensor<'g>) -> Tensor<'g> {
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(weights, x);
            if i + 1 < self.layers.len() {
                x = self.activation.apply(x);
            }
        }
        x
    }
}

/// A two-dimensional convolution with bias over images with channels last.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Parameter,
    bias: Parameter,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// `kernel` x `kernel`, zero padding of `padding` on every side.
    pub fn new(
        builder: &mut Builder,
        name: &str,
        channels: (usize, usize),
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Self {
        let gain = RELU_GAIN;
        builder.within(name, |b| Conv2d {
            weight: b.parameter(
                "weight",
                [kernel, kernel, channels.0, channels.1],
                Initial::Orthogonal { gain },
            ),
            bias: b.parameter("bias", [channels.1], Initial::Zeros),
            stride,
            padding,
        })
    }

    /// `[.., height, width, channels_in]` to `[.., height', width', channels_out]`.
    pub fn forward<'g>(&self, weights: &Weights<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let rank = x.shape().len();
        x.conv2d(weights.get_for(self.weight, rank), [self.stride; 2], [self.padding; 2])
            + weights.get_for(self.bias, rank)
    }
}

/// Layer normalisation over the last dimension (Ba et al. 2016), epsilon 1e-5.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    scale: Parameter,
    bias: Parameter,
}

impl LayerNorm {
    /// Over `features`, scale 1 and bias 0.
    pub fn new(builder: &mut Builder, name: &str, features: usize) -> Self {
        builder.within(name, |b| LayerNorm {
            scale: b.parameter("scale", [features], Initial::Constant(1.0)),
            bias: b.parameter("bias", [features], Initial::Zeros),
        })
    }

    /// `[.., features]` to the same.
    pub fn forward<'g>(&self, weights: &Weights<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let rank = x.shape().len();
        x.layer_norm(weights.get_for(self.scale, rank), weights.get_for(self.bias, rank), 1e-5)
    }
}

/// Root mean square normalisation over the last dimension (Zhang and Sennrich 2019), epsilon 1e-5.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    scale: Parameter,
}

impl RmsNorm {
    /// Over `features`, scale 1.
    pub fn new(builder: &mut Builder, name: &str, features: usize) -> Self {
        builder.within(name, |b| RmsNorm { scale: b.parameter("scale", [features], Initial::Constant(1.0)) })
    }

    /// `[.., features]` to the same.
    pub fn forward<'g>(&self, weights: &Weights<'g>, x: Tensor<'g>) -> Tensor<'g> {
        x.rms_norm(weights.get_for(self.scale, x.shape().len()), 1e-5)
    }
}

/// A table of vectors, one for each of a number of things (words, actions, agents).
#[derive(Debug, Clone)]
pub struct Embedding {
    table: Parameter,
}

impl Embedding {
    /// `count` vectors of `features` independent normal numbers of variance 1.
    pub fn new(builder: &mut Builder, name: &str, count: usize, features: usize) -> Self {
        let initial = Initial::Normal { deviation: 1.0 };
        builder.within(name, |b| Embedding { table: b.parameter("table", [count, features], initial) })
    }

    /// The vectors of things, u32 `[..]` (`[time, agents, ..]` where each agent has a table of its own), to
    /// `[.., features]`.
    pub fn forward<'g>(&self, weights: &Weights<'g>, things: Tensor<'g>) -> Tensor<'g> {
        let mut single = things.shape().to_vec();
        single.push(1);
        let table = weights.get_for(self.table, single.len() + 1);
        let rows = table.gather(things.reshape(single));
        // Without the dimension of one thing.
        let mut shape = rows.shape().to_vec();
        if shape.len() >= 2 {
            shape.remove(shape.len() - 2);
        }
        rows.reshape(shape)
    }
}

/// Multi-head attention with its four projections (Vaswani et al. 2017).
#[derive(Debug, Clone)]
pub struct MultiHeadAttention {
    /// Number of heads.
    pub heads: usize,
    /// Makes queries.
    pub query: Linear,
    /// Makes keys.
    pub key: Linear,
    /// Makes values.
    pub value: Linear,
    /// Mixes the heads.
    pub output: Linear,
}

impl MultiHeadAttention {
    /// Over `features`, which must be a multiple of `heads`.
    pub fn new(builder: &mut Builder, name: &str, features: usize, heads: usize) -> Self {
        builder.within(name, |b| MultiHeadAttention {
            heads,
            query: Linear::new(b, "query", features, features, 1.0),
            key: Linear::new(b, "key", features, features, 1.0),
            value: Linear::new(b, "value", features, features, 1.0),
            output: Linear::new(b, "output", features, features, 1.0),
        })
    }

    /// Queries `[.., queries, features]` over `source` `[.., tokens, features]`, where `mask` (broadcast to
    /// `[.., queries, tokens]`) is not 0. A query that may attend to nothing gets the output projection's bias.
    pub fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        queries: Tensor<'g>,
        source: Tensor<'g>,
        mask: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let q = self.query.forward(weights, queries);
        let (k, v) = (self.key.forward(weights, source), self.value.forward(weights, source));
        self.output.forward(weights, q.attention(k, v, self.heads, mask, false))
    }
}
