//! One of several options.

use crate::graph::Tensor;

/// What stands in for the logit of an option that is not allowed.
const FORBIDDEN: f32 = -1e9;

/// Logits or values of options `[lanes.., options]` with those far down that the masks, where there are some, do not
/// allow.
pub fn allowed<'g>(values: Tensor<'g>, masks: Option<Tensor<'g>>) -> Tensor<'g> {
    match masks {
        Some(masks) => masks.select(values, values.graph().scalar(FORBIDDEN)),
        None => values,
    }
}

/// A categorical distribution. Draws are u32 `[lanes..]`.
#[derive(Clone, Copy)]
pub struct Categorical<'g> {
    logits: Tensor<'g>,
    log_probabilities: Tensor<'g>,
}

impl<'g> Categorical<'g> {
    /// From log-probabilities up to a constant, `[lanes.., options]`, and masks of the same shape that are 1 where an
    /// option is allowed. Where none is, all are alike.
    pub fn new(logits: Tensor<'g>, masks: Option<Tensor<'g>>) -> Self {
        let logits = allowed(logits, masks);
        Categorical { logits, log_probabilities: logits.log_softmax(-1) }
    }

    /// Log-probabilities of all options, `[lanes.., options]`.
    pub fn log_probabilities(&self) -> Tensor<'g> {
        self.log_probabilities
    }

    /// A draw.
    pub fn sample(&self, key: Tensor<'g>) -> Tensor<'g> {
        self.logits.categorical(key)
    }

    /// The most probable option.
    pub fn mode(&self) -> Tensor<'g> {
        self.logits.argmax()
    }

    /// The log-probability of an option, u32 `[lanes..]`.
    pub fn log_probability(&self, action: Tensor<'g>) -> Tensor<'g> {
        self.log_probabilities.take_along_last(action)
    }

    /// The entropy.
    pub fn entropy(&self) -> Tensor<'g> {
        -(self.log_probabilities.exp() * self.log_probabilities).sum(&[-1])
    }

    /// The divergence from this to another over the same options.
    pub fn kl(&self, other: &Self) -> Tensor<'g> {
        let apart = self.log_probabilities - other.log_probabilities;
        (self.log_probabilities.exp() * apart).sum(&[-1])
    }
}
