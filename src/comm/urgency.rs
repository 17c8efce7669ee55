//! Urgency: every message has a priority that its sender's situation decides, and where a step has room for so many
//! messages only, the most urgent ones pass.

use super::{Mode, drawn};
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, RELU_GAIN, Weights};

/// Features of the network that judges.
const HIDDEN: usize = 32;

/// How gently the relaxation passes from what is heard to what is not, in the units of scores.
const TEMPERATURE: f32 = 1.0;

/// What stands for the score of a message that nobody sends: below every score, and small enough for sums.
const LOWEST: f32 = -1e6;

/// Scores `u_j = w relu(W h_j + b) + c`; the priority is `sigmoid(u_j)`.
///
/// Of the messages of a step in a world at most `limit` pass. In acting these are the ones of the highest scores, equal
/// ones in the order of agents: the hard choice. In learning Gumbel noise is added to the scores first, so that which
/// messages pass is drawn without replacement in proportion to `exp(u_j)` (Kool, van Hoof and Welling 2019), and gradients
/// pass the choice as if it were `sigmoid((u_j - t) / T)` with `t` midway between the last score that passes and the first
/// that does not: the relaxation.
pub struct Urgency {
    hidden: Linear,
    score: Linear,
}

impl Urgency {
    /// Over so many features of a sender.
    pub fn new(builder: &mut Builder, features: usize) -> Self {
        builder.within("urgency", |b| Urgency {
            hidden: Linear::new(b, "hidden", features, HIDDEN, RELU_GAIN),
            score: Linear::new(b, "score", HIDDEN, 1, 1.0),
        })
    }

    /// Scores `[time, agents, worlds, 1]` of senders with features `[time, agents, worlds, features]`.
    pub fn scores<'g>(&self, weights: &Weights<'g>, features: Tensor<'g>) -> Tensor<'g> {
        self.score.forward(weights, self.hidden.forward(weights, features).relu())
    }
}

/// Which messages pass, `[time, agents, worlds, 1]`: 1 or 0. `sent` of that shape marks those that there are.
pub fn pass<'g>(
    scores: Tensor<'g>,
    sent: Tensor<'g>,
    limit: usize,
    key: Tensor<'g>,
    mode: Mode,
) -> Tensor<'g> {
    let graph = scores.graph();
    let shape = scores.shape().to_vec();
    let [time, agents, worlds, 1] = shape[..] else { return scores };
    if limit >= agents {
        return sent;
    }
    let scores = match mode {
        Mode::Acting => scores,
        _ => scores + drawn(key, &shape, |key, of| key.random_gumbel(of)),
    };
    // A NaN or a score of any size must not let more pass than there is room for.
    let bounded = scores.maximum(graph.scalar(LOWEST / 2.0)).minimum(graph.scalar(-LOWEST));
    let known = sent.greater(graph.scalar(0.0)).select(bounded, graph.scalar(LOWEST));
    // [time, worlds, agents]
    let rows = known.reshape([time, agents, worlds]).transpose(&[0, 2, 1]);
    let ranks = rows.detach().argsort(-1, true).argsort(-1, false).to_f32();
    let passes = graph.scalar(limit as f32).greater(ranks);
    let (highest, _) = rows.detach().top_k(limit + 1);
    let (last, next) = (highest.slice(-1, limit - 1, 1), highest.slice(-1, limit, 1));
    let soft = ((rows - (last + next) * 0.5) * (1.0 / TEMPERATURE)).sigmoid();
    let through = passes + (soft - soft.detach());
    through.transpose(&[0, 2, 1]).reshape(shape) * sent
}
