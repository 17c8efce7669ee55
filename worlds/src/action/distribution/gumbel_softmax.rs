//! Nearly one of several options, so that gradients pass through what is drawn.

use super::Categorical;
use crate::graph::Tensor;

/// What counts as 0 where the logarithm of a part of a draw is asked for.
const NOTHING: f32 = 1e-30;

/// The Gumbel-softmax or concrete distribution (Jang et al. 2017, arXiv 1611.01144; Maddison et al. 2017, arXiv
/// 1611.00712). Draws are f32 `[lanes.., options]` that are not negative and add up to 1; the lower the temperature, the
/// nearer to a row with a one.
///
/// Straight through, a draw *is* a row with a one (whose option has exactly the categorical probability), and only its
/// gradient is that of the relaxed draw. Log-probability, entropy and divergence are the categorical's then; else they
/// are those of the density on the simplex.
#[derive(Clone, Copy)]
pub struct GumbelSoftmax<'g> {
    logits: Tensor<'g>,
    temperature: Tensor<'g>,
    straight_through: bool,
}

impl<'g> GumbelSoftmax<'g> {
    /// From log-probabilities up to a constant, `[lanes.., options]`, and a temperature above 0 that broadcasts against
    /// them (a scalar, or `[lanes.., 1]`).
    pub fn new(logits: Tensor<'g>, temperature: Tensor<'g>, straight_through: bool) -> Self {
        GumbelSoftmax { logits, temperature, straight_through }
    }

    fn categorical(&self) -> Categorical<'g> {
        Categorical::new(self.logits, None)
    }

    /// Numbers of a draw.
    pub fn options(&self) -> usize {
        self.logits.shape().last().copied().unwrap_or(1)
    }

    /// The logarithm of a relaxed draw: finite, also where the draw itself is 0.
    fn log_relaxed(&self, key: Tensor<'g>) -> Tensor<'g> {
        ((self.logits + key.random_gumbel(self.logits.shape())) / self.temperature).log_softmax(-1)
    }

    /// A draw, through which gradients reach the logits and the temperature.
    pub fn sample(&self, key: Tensor<'g>) -> Tensor<'g> {
        let relaxed = self.log_relaxed(key).exp();
        if !self.straight_through {
            return relaxed;
        }
        // The difference is exactly 0, and its gradient that of the relaxed draw.
        relaxed.argmax().one_hot(self.options()) + (relaxed - relaxed.detach())
    }

    /// The most probable option as a row with a one: where the mode goes as the temperature falls.
    pub fn mode(&self) -> Tensor<'g> {
        self.logits.argmax().one_hot(self.options())
    }

    /// The log-density at `x` `[lanes.., options]` (Maddison et al. 2017, equation 6), by its first `options - 1` numbers.
    /// Straight through, the log-probability of the option that `x` has a one for.
    pub fn log_probability(&self, x: Tensor<'g>) -> Tensor<'g> {
        match self.straight_through {
            true => (self.categorical().log_probabilities() * x).sum(&[-1]),
            false => self.density(x.maximum(x.graph().scalar(NOTHING)).log()),
        }
    }

    /// The log-density where the logarithms of the numbers are `log`.
    fn density(&self, log: Tensor<'g>) -> Tensor<'g> {
        let options = self.options();
        let others = options.saturating_sub(1) as f32;
        let permutations: f64 = (2..options).map(|k| (k as f64).ln()).sum();
        let terms = self.logits - log * (self.temperature + 1.0);
        let together = (self.logits - log * self.temperature).logsumexp(-1);
        // One for each lane, whether there is one temperature or one a lane.
        let temperature = self.temperature.log().broadcast_to(log.shape()).slice(-1, 0, 1);
        let temperature = temperature.reshape(together.shape());
        terms.sum(&[-1]) - together * options as f32 + temperature * others + permutations as f32
    }

    /// The entropy: an estimate without bias from one draw, or straight through the categorical's own.
    pub fn entropy(&self, key: Tensor<'g>) -> Tensor<'g> {
        match self.straight_through {
            true => self.categorical().entropy(),
            false => -self.density(self.log_relaxed(key)),
        }
    }

    /// The divergence from this to another over the same options: an estimate without bias from one draw of this, or
    /// straight through that of the categorical distributions.
    pub fn kl(&self, other: &Self, key: Tensor<'g>) -> Tensor<'g> {
        if self.straight_through {
            return self.categorical().kl(&other.categorical());
        }
        let log = self.log_relaxed(key);
        self.density(log) - other.density(log)
    }
}
