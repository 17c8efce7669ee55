//! Encoders: from an observation to features.
//!
//! ```
//! use synod::agent::encoder::EncoderConfig;
//! let images = EncoderConfig::Convolutional { channels: 8, blocks: 1 };
//! assert!(images.check(&[3, 11, 11]).is_ok());
//! assert!(images.check(&[18]).is_err()); // no picture
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::nn::{Builder, Conv2d, Linear, Weights};

/// The settings of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EncoderConfig {
    /// Linear maps over the flat observation, each followed by a ReLU.
    Linear {
        /// How many.
        #[serde(default = "one")]
        #[schemars(range(min = 1, max = 64))]
        layers: usize,
    },
    /// Linear maps over the flat observation, each followed by a hyperbolic tangent.
    Tanh {
        /// How many.
        #[serde(default = "two")]
        #[schemars(range(min = 1, max = 64))]
        layers: usize,
    },
    /// SRMT's: a convolution over `[channels, height, width]`, residual blocks of two each, and a linear map.
    Convolutional {
        /// Channels of the convolutions (F).
        #[serde(default = "eight")]
        #[schemars(range(min = 1, max = 1024))]
        channels: usize,
        /// Residual blocks (R).
        #[serde(default = "one")]
        #[schemars(range(min = 0, max = 64))]
        blocks: usize,
    },
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

fn eight() -> usize {
    8
}

impl EncoderConfig {
    /// Checks the kind against the shape of an observation.
    ///
    /// # Errors
    /// Convolutions over what has no height and width.
    pub fn check(&self, observation: &[usize]) -> Result<()> {
        if matches!(self, EncoderConfig::Convolutional { .. }) && observation.len() != 3 {
            let message = format!(
                "linear: convolutions see [channels, height, width], and this world shows {observation:?}"
            );
            return Err(Error::config("agent.encoder.kind", message));
        }
        Ok(())
    }

    /// In words for checkpoints.
    pub fn describe(&self) -> String {
        match self {
            EncoderConfig::Linear { layers } => format!("linear layers={layers}"),
            EncoderConfig::Tanh { layers } => format!("tanh layers={layers}"),
            EncoderConfig::Convolutional { channels, blocks } => {
                format!("convolutional channels={channels} blocks={blocks}")
            }
        }
    }
}

/// Two convolutions beside an identity.
pub(super) struct Residual(Conv2d, Conv2d);

/// An encoder with its parameters.
pub(super) enum Encoder {
    /// Layers, and whether what follows each is a hyperbolic tangent, not a ReLU.
    Linear(Vec<Linear>, bool),
    Convolutional {
        first: Conv2d,
        blocks: Vec<Residual>,
        last: Linear,
    },
}

impl Encoder {
    /// For observations of that shape, joined by so many `more` numbers, into so many features, with weights of that gain at
    /// first. The settings have been checked.
    pub fn new(
        b: &mut Builder,
        (config, gain): (EncoderConfig, f32),
        observation: &[usize],
        more: usize,
        features: usize,
    ) -> Encoder {
        match (config, observation) {
            (EncoderConfig::Convolutional { channels, blocks }, &[planes, height, width]) => {
                Encoder::Convolutional {
                    first: Conv2d::new(b, "first", (planes, channels), 3, 1, 1),
                    blocks: (0..blocks)
                        .map(|i| {
                            b.within(&i.to_string(), |b| {
                                let both = (channels, channels);
                                Residual(
                                    Conv2d::new(b, "a", both, 3, 1, 1),
                                    Conv2d::new(b, "b", both, 3, 1, 1),
                                )
                            })
                        })
                        .collect(),
                    last: Linear::new(b, "last", channels * height * width + more, features, gain),
                }
            }
            (config, _) => {
                let layers = match config {
                    EncoderConfig::Linear { layers } | EncoderConfig::Tanh { layers } => layers,
                    EncoderConfig::Convolutional { blocks, .. } => 1 + blocks,
                };
                let seen = observation.iter().product::<usize>() + more;
                let layer = |i: usize| {
                    let inputs = if i == 0 { seen } else { features };
                    Linear::new(b, &i.to_string(), inputs, features, gain)
                };
                let bent = matches!(config, EncoderConfig::Tanh { .. });
                Encoder::Linear((0..layers).map(layer).collect(), bent)
            }
        }
    }

    /// Observations `[time, agents, worlds, shape...]` and more numbers `[time, agents, worlds, more]` to features
    /// `[time, agents, worlds, features]`.
    pub fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        observations: Tensor<'g>,
        more: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let shape = observations.shape();
        let lanes = &shape[..3];
        let joined = |x: Tensor<'g>| {
            // Where the graph holds an error (a size over a limit), its tensors have other ranks.
            let size = x.shape().get(3..).unwrap_or_default().iter().product();
            let flat = x.reshape([lanes, &[size]].concat());
            match more {
                Some(more) => weights.graph().concat(&[flat, more], 3),
                None => flat,
            }
        };
        match self {
            Encoder::Linear(layers, bent) => layers.iter().fold(joined(observations), |x, layer| {
                let x = layer.forward(weights, x);
                if *bent { x.tanh() } else { x.relu() }
            }),
            Encoder::Convolutional { first, blocks, last } => {
                // Kernels want channels last.
                let mut x = first.forward(weights, observations.transpose(&[0, 1, 2, 4, 5, 3]));
                for Residual(a, b) in blocks {
                    x = x + b.forward(weights, a.forward(weights, x.relu()).relu());
                }
                last.forward(weights, joined(x.relu())).relu()
            }
        }
    }
}
