//! What comes between a sender and those who hear it: each channel turns the numbers that a sender wants to say into the
//! message that arrives, with a gradient back into the sender.
//!
//! ```
//! use synod::comm::Channel;
//! let words = Channel::Symbols { temperature: 1.0, signalling: 0.0, spread: 0.3 };
//! assert_eq!(words.numbers(8), 8); // a score for each of eight words
//! assert_eq!(Channel::Superposition { states: 4, measured: Default::default() }.numbers(8), 4 * 8 + 2 * 4);
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::superposition::{Measured, Superposition};
use super::{Mode, drawn};
use crate::graph::Tensor;
use crate::nn::{Builder, Weights};

/// How far the score of one word can stand above those of all others: a word that seems wrong now keeps a chance of about
/// `exp(-6)` to be tried.
const GAP: f32 = 6.0;

/// The settings of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Channel {
    /// Real numbers: `tanh` of what the sender wants to say, and Gaussian noise.
    Continuous {
        /// The deviation of noise that the channel adds, in learning and in acting.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1e3))]
        noise: f32,
    },
    /// Bits: the discretise/regularise unit of DIAL (Foerster et al. 2016, arXiv 1605.06676, section 5.2).
    /// `sigmoid(m + noise)` in learning, so that a sender must speak up to be understood; `1 if m > 0 else 0` in acting.
    Binary {
        /// The deviation of the noise in learning; the paper's is 2.
        #[serde(default = "two")]
        #[schemars(range(min = 0.0, max = 1e3))]
        noise: f32,
    },
    /// A word of a vocabulary: in learning drawn by Gumbel's trick, and taken backwards as its softmax of this temperature
    /// (straight-through; Jang, Gu and Poole 2017, arXiv 1611.01144); in acting the likeliest.
    Symbols {
        /// The temperature of the softmax.
        #[serde(default = "one")]
        #[schemars(range(min = 1e-3, max = 1e3))]
        temperature: f32,
        /// The weight in the loss of a bias towards saying something (positive signalling; Eccles et al. 2019, arXiv 1912.05676,
        /// equation 1): the entropy of an agent's words over everything that it sees, less the square of how far that of its
        /// words where it sees one thing is from `spread`. Without it two meanings that fall on one word seldom part again.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1e3))]
        signalling: f32,
        /// The entropy, in nats, of an agent's words in one situation that the bias asks for.
        #[serde(default = "third")]
        #[schemars(range(min = 0.0, max = 10.0))]
        spread: f32,
    },
    /// Several encodings at once with complex amplitudes, measured by the Born rule ([`Superposition`]).
    Superposition {
        /// Encodings.
        #[serde(default = "eight")]
        #[schemars(range(min = 1, max = 1024))]
        states: usize,
        /// What acting makes of them.
        #[serde(default)]
        measured: Measured,
    },
    /// Several encodings mixed by a softmax: what [`Channel::Superposition`] is compared with.
    Mixture {
        /// Encodings.
        #[serde(default = "eight")]
        #[schemars(range(min = 1, max = 1024))]
        states: usize,
        /// What acting makes of them.
        #[serde(default)]
        measured: Measured,
    },
}

fn one() -> f32 {
    1.0
}

fn third() -> f32 {
    0.3
}

fn two() -> f32 {
    2.0
}

fn eight() -> usize {
    8
}

/// Scores about their mean, divided by the root of one more than their variance, so that they keep their order and a single
/// one never stands out by more than [`GAP`]. Unlike those of a `tanh`, gradients do not vanish where that is reached.
fn bounded(scores: Tensor<'_>) -> Tensor<'_> {
    let mut one = scores.shape().to_vec();
    let words = one.last().copied().unwrap_or(1) as f32;
    if let Some(last) = one.last_mut() {
        *last = 1;
    }
    let centred = scores - scores.mean(&[-1]).reshape(&one[..]);
    let variance = centred.square().mean(&[-1]).reshape(one);
    // A single one that stands out by `d` has a variance of `d^2 (words - 1) / words^2`.
    centred / (variance + 1.0).sqrt() * (GAP * (words - 1.0).max(1.0).sqrt() / words)
}

impl Default for Channel {
    /// Real numbers without noise.
    fn default() -> Self {
        Channel::Continuous { noise: 0.0 }
    }
}

impl Channel {
    /// Numbers that a sender must give for a message of `size` numbers (or of so many words).
    pub fn numbers(&self, size: usize) -> usize {
        match self {
            Channel::Superposition { states, .. } => states.saturating_mul(size.saturating_add(2)),
            Channel::Mixture { states, .. } => states.saturating_mul(size.saturating_add(1)),
            _ => size,
        }
    }

    /// In words for checkpoints: what other parameters, or another meaning of them, follow from.
    pub(super) fn describe(&self) -> String {
        match self {
            Channel::Continuous { .. } => "continuous".into(),
            Channel::Binary { .. } => "binary".into(),
            Channel::Symbols { .. } => "symbols".into(),
            Channel::Superposition { states, .. } => format!("superposition states={states}"),
            Channel::Mixture { states, .. } => format!("mixture states={states}"),
        }
    }

    /// The bits that a message of `size` numbers can carry; `None` for real numbers.
    pub fn capacity(&self, size: usize) -> Option<f64> {
        match self {
            Channel::Binary { .. } => Some(size as f64),
            Channel::Symbols { .. } => Some((size.max(1) as f64).log2()),
            _ => None,
        }
    }
}

/// A channel with what it has to learn.
pub struct Line {
    channel: Channel,
    size: usize,
    superposition: Option<Superposition>,
}

impl Line {
    /// For messages of `size` numbers.
    pub fn new(builder: &mut Builder, channel: Channel, size: usize) -> Self {
        let superposition = match channel {
            Channel::Superposition { states, .. } => {
                Some(builder.within("superposition", |b| Superposition::new(b, states)))
            }
            _ => None,
        };
        Line { channel, size, superposition }
    }

    /// What the loss grows by for the sender's `numbers` `[.., Channel::numbers]`, where it does.
    pub fn price<'g>(&self, numbers: Tensor<'g>) -> Option<Tensor<'g>> {
        let Channel::Symbols { signalling, spread, .. } = self.channel else { return None };
        let [_, agents, _, words] = numbers.shape()[..] else { return None };
        (signalling > 0.0).then(|| {
            let graph = numbers.graph();
            let entropy = |chances: Tensor<'g>| {
                let logarithms = chances.maximum(graph.scalar(1e-30)).log();
                -(chances * logarithms).sum(&[-1])
            };
            let chances = bounded(numbers).softmax(-1);
            let over_all = entropy(chances.mean(&[0, 2]).reshape([agents, words])).mean_all();
            let here = entropy(chances).mean_all();
            ((here - spread).square() - over_all) * signalling
        })
    }

    /// The message `[.., size]` that arrives, from the sender's `numbers` `[.., Channel::numbers]`.
    pub fn send<'g>(
        &self,
        weights: &Weights<'g>,
        numbers: Tensor<'g>,
        key: Tensor<'g>,
        mode: Mode,
    ) -> Tensor<'g> {
        let graph = numbers.graph();
        let noise =
            |deviation: f32| drawn(key, &numbers.shape(), |key, of| key.random_normal(of)) * deviation;
        match (self.channel, mode) {
            (Channel::Continuous { noise: 0.0 }, _) => numbers.tanh(),
            (Channel::Continuous { noise: deviation }, _) => numbers.tanh() + noise(deviation),
            (Channel::Binary { .. }, Mode::Acting) => numbers.greater(graph.scalar(0.0)),
            (Channel::Binary { noise: 0.0 }, _) => numbers.sigmoid(),
            (Channel::Binary { noise: deviation }, _) => (numbers + noise(deviation)).sigmoid(),
            (Channel::Symbols { .. }, Mode::Acting) => numbers.argmax().one_hot(self.size),
            (Channel::Symbols { temperature, .. }, _) => {
                let drawn = bounded(numbers) + drawn(key, &numbers.shape(), |key, of| key.random_gumbel(of));
                let soft = (drawn * (1.0 / temperature)).softmax(-1);
                // Exactly one-hot: `soft - soft` is 0 whatever the rounding.
                drawn.argmax().one_hot(self.size) + (soft - soft.detach())
            }
            (Channel::Superposition { states, measured } | Channel::Mixture { states, measured }, _) => {
                let (encodings, amplitudes) = self.parts(numbers, states);
                let chances = match &self.superposition {
                    Some(superposition) => superposition.chances(weights, amplitudes),
                    None => amplitudes.softmax(-1),
                };
                measured.message(encodings.tanh(), chances, key, mode)
            }
        }
    }

    /// Encodings `[.., states, size]` and what their weights are made from.
    fn parts<'g>(&self, numbers: Tensor<'g>, states: usize) -> (Tensor<'g>, Tensor<'g>) {
        let lead = numbers.shape().to_vec();
        let (encoded, all) = (states * self.size, self.channel.numbers(self.size));
        let mut shape = lead[..lead.len().saturating_sub(1)].to_vec();
        shape.extend([states, self.size]);
        (numbers.slice(-1, 0, encoded).reshape(shape), numbers.slice(-1, encoded, all - encoded))
    }
}
