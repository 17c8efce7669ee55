//! What stands in a slot: the candidate itself, or a code of it that is decoded when it is read. The code goes through a
//! bottleneck, `dim -> dim / 2 -> dim ratio` and back (Hinton and Salakhutdinov 2006, "Reducing the dimensionality of
//! data with neural networks"), learned by the task and, where wanted, by reconstruction. It can be rounded to 8 bits, or
//! to words of codebooks (product quantisation: Jégou, Douze and Schmid 2011; learned as by van den Oord, Vinyals and
//! Kavukcuoglu 2017, arXiv 1711.00937, equation 3). Gradients go straight through both roundings (Bengio, Léonard and
//! Courville 2013, arXiv 1308.3432).
//!
//! Rounded codes are computed with as floats: they *can* be kept in fewer bytes, and that is what is counted; a device
//! holds them as floats.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::nn::{Builder, Initial, Linear, Parameter, RELU_GAIN, Weights};

/// What stands in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Compression {
    /// The candidate as it is, between -1 and 1.
    #[default]
    None,
    /// A code.
    Bottleneck {
        /// Numbers of a code for each number of a candidate.
        #[serde(default = "ratio")]
        #[schemars(range(min = 0.0, max = 1.0))]
        compression_ratio: f32,
        /// Codes are rounded to 8 bits.
        #[serde(default)]
        eight_bits: bool,
        /// Weight of the mean squared error of reconstruction in the loss.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1e3))]
        reconstruction: f32,
    },
    /// A code whose parts are words of codebooks.
    Product {
        /// Numbers of a code for each number of a candidate.
        #[serde(default = "ratio")]
        #[schemars(range(min = 0.0, max = 1.0))]
        compression_ratio: f32,
        /// Parts of a code, each with a codebook of its own.
        #[serde(default = "parts")]
        #[schemars(range(min = 1, max = 4096))]
        parts: usize,
        /// Words of each codebook.
        #[serde(default = "words")]
        #[schemars(range(min = 2, max = 65536))]
        words: usize,
        /// Weight of the mean squared error of reconstruction in the loss.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1e3))]
        reconstruction: f32,
    },
}

fn ratio() -> f32 {
    0.1
}

fn parts() -> usize {
    5
}

fn words() -> usize {
    256
}

/// How far codes are drawn to their words, over how far words are drawn to them (van den Oord et al. 2017).
const COMMITMENT: f32 = 0.25;

impl Compression {
    /// Numbers that stand in a slot for candidates of `dim` numbers.
    pub(super) fn width(&self, dim: usize) -> usize {
        match *self {
            Compression::None => dim,
            Compression::Bottleneck { compression_ratio: ratio, .. }
            | Compression::Product { compression_ratio: ratio, .. } => {
                ((dim as f64 * f64::from(ratio)).round() as usize).clamp(1, dim)
            }
        }
    }

    /// Bits that a slot can be kept in.
    pub(super) fn bits(&self, dim: usize) -> usize {
        match *self {
            Compression::Bottleneck { eight_bits: true, .. } => 8 * self.width(dim),
            Compression::Product { parts, words, .. } => {
                parts * words.next_power_of_two().trailing_zeros() as usize
            }
            _ => 32 * self.width(dim),
        }
    }

    pub(super) fn check(&self, dim: usize) -> Result<()> {
        const AT: &str = "agent.memory.compression";
        let (Compression::Bottleneck { compression_ratio: ratio, .. }
        | Compression::Product { compression_ratio: ratio, .. }) = *self
        else {
            return Ok(());
        };
        if !(ratio > 0.0 && ratio <= 1.0) {
            let message = format!("more than 0 and at most 1, got {ratio}");
            return Err(Error::config(format!("{AT}.compression_ratio"), message));
        }
        if let Compression::Product { parts, .. } = *self
            && !self.width(dim).is_multiple_of(parts)
        {
            let message = format!("a divisor of the {} numbers of a code, got {parts}", self.width(dim));
            return Err(Error::config(format!("{AT}.parts"), message));
        }
        Ok(())
    }

    /// In words for checkpoints.
    pub(super) fn describe(&self, dim: usize) -> String {
        match *self {
            Compression::None => String::new(),
            Compression::Bottleneck { eight_bits, .. } => {
                format!(" code={}{}", self.width(dim), if eight_bits { " bits=8" } else { "" })
            }
            Compression::Product { parts, words, .. } => {
                format!(" code={} parts={parts} words={words}", self.width(dim))
            }
        }
    }
}

/// Encoder and decoder with their parameters.
pub(super) struct Codec {
    how: Compression,
    /// Down and up again; none without compression.
    maps: Option<[Linear; 4]>,
    /// `[parts, words, numbers of a part]`.
    codebooks: Option<Parameter>,
}

impl Codec {
    pub fn new(builder: &mut Builder, how: Compression, dim: usize) -> Codec {
        let (width, half) = (how.width(dim), dim.div_ceil(2));
        let maps = (how != Compression::None).then(|| {
            [
                Linear::new(builder, "encode", dim, half, RELU_GAIN),
                Linear::new(builder, "code", half, width, 1.0),
                Linear::new(builder, "decode", width, half, RELU_GAIN),
                Linear::new(builder, "decoded", half, dim, 1.0),
            ]
        });
        let codebooks = match how {
            Compression::Product { parts, words, .. } => {
                let shape = [parts, words, width / parts];
                Some(builder.parameter("codebooks", shape, Initial::Uniform { bound: 1.0 }))
            }
            _ => None,
        };
        Codec { how, maps, codebooks }
    }

    /// What of candidates `[.., dim]` goes into slots, `[.., width]`, between -1 and 1.
    pub fn encode<'g>(&self, weights: &Weights<'g>, candidates: Tensor<'g>) -> Tensor<'g> {
        match &self.maps {
            None => candidates.tanh(),
            Some([encode, code, ..]) => {
                code.forward(weights, encode.forward(weights, candidates).relu()).tanh()
            }
        }
    }

    /// What slots `[.., width]` say, `[.., dim]`.
    pub fn decode<'g>(&self, weights: &Weights<'g>, slots: Tensor<'g>) -> Tensor<'g> {
        match &self.maps {
            None => slots,
            Some([.., decode, decoded]) => decoded.forward(weights, decode.forward(weights, slots).relu()),
        }
    }

    /// What the loss grows by for candidates that their codes do not give back.
    pub fn reconstruction<'g>(
        &self,
        weights: &Weights<'g>,
        candidates: Tensor<'g>,
        codes: Tensor<'g>,
    ) -> Option<Tensor<'g>> {
        let (Compression::Bottleneck { reconstruction, .. } | Compression::Product { reconstruction, .. }) =
            self.how
        else {
            return None;
        };
        (reconstruction > 0.0).then(|| {
            // Candidates are not drawn to what codes can say: they would all become alike.
            let error = self.decode(weights, codes) - candidates.detach();
            error.square().mean_all() * reconstruction
        })
    }

    /// Slots `[.., slots, width]` as they can be kept, and what the loss grows by for the words of codebooks.
    pub fn kept<'g>(&self, weights: &Weights<'g>, slots: Tensor<'g>) -> (Tensor<'g>, Option<Tensor<'g>>) {
        match (self.how, self.codebooks) {
            (Compression::Bottleneck { eight_bits: true, .. }, _) => {
                let levels = 127.0;
                let rounded = (slots * levels).round() * (1.0 / levels);
                (slots + (rounded - slots).detach(), None)
            }
            (Compression::Product { parts, words, .. }, Some(codebooks)) => {
                let books = weights.get(codebooks);
                let shape = slots.shape().to_vec();
                let rows: usize = shape[..shape.len() - 1].iter().product();
                let part = shape[shape.len() - 1] / parts;
                // [parts, rows, part]
                let codes = slots.reshape([rows, parts, part]).transpose(&[1, 0, 2]);
                let half = books.square().sum(&[-1]).reshape([parts, 1, words]) * 0.5;
                let nearest = (codes.detach().matmul(books.detach().swap(-1, -2)) - half.detach()).argmax();
                let found = nearest.one_hot(words).matmul(books);
                let price = (found - codes.detach()).square().mean_all()
                    + (codes - found.detach()).square().mean_all() * COMMITMENT;
                let kept = codes + (found - codes).detach();
                (kept.transpose(&[1, 0, 2]).reshape(shape), Some(price))
            }
            _ => (slots, None),
        }
    }
}
