//! Real numbers, each with a mean and a deviation of its own.

use crate::graph::Tensor;

/// log(2 pi)
const LOG_TAU: f32 = 1.837_877_1;

/// A diagonal Gaussian. Draws are f32 `[lanes.., dimensions]`.
#[derive(Clone, Copy)]
pub struct Gaussian<'g> {
    mean: Tensor<'g>,
    log_deviation: Tensor<'g>,
}

impl<'g> Gaussian<'g> {
    /// From means and logarithms of deviations, `[lanes.., dimensions]` each.
    pub fn new(mean: Tensor<'g>, log_deviation: Tensor<'g>) -> Self {
        Gaussian { mean, log_deviation }
    }

    /// The means.
    pub fn mean(&self) -> Tensor<'g> {
        self.mean
    }

    /// The logarithms of the deviations.
    pub fn log_deviation(&self) -> Tensor<'g> {
        self.log_deviation
    }

    /// Numbers of a draw.
    pub fn dimensions(&self) -> usize {
        self.mean.shape().last().copied().unwrap_or(1)
    }

    /// A draw, through which gradients reach mean and deviation (Kingma and Welling 2014).
    pub fn sample(&self, key: Tensor<'g>) -> Tensor<'g> {
        self.mean + self.log_deviation.exp() * key.random_normal(self.mean.shape())
    }

    /// The mean.
    pub fn mode(&self) -> Tensor<'g> {
        self.mean
    }

    /// The log-density at `x` `[lanes.., dimensions]`.
    pub fn log_probability(&self, x: Tensor<'g>) -> Tensor<'g> {
        let apart = (x - self.mean) * (-self.log_deviation).exp();
        ((apart.square() + LOG_TAU) * -0.5 - self.log_deviation).sum(&[-1])
    }

    /// The entropy.
    pub fn entropy(&self) -> Tensor<'g> {
        (self.log_deviation + (1.0 + LOG_TAU) / 2.0).sum(&[-1])
    }

    /// The divergence from this to another of as many dimensions.
    pub fn kl(&self, other: &Self) -> Tensor<'g> {
        let wider = self.log_deviation - other.log_deviation;
        let apart = (self.mean - other.mean) * (-other.log_deviation).exp();
        (((wider * 2.0).exp() + apart.square() - 1.0) * 0.5 - wider).sum(&[-1])
    }
}
