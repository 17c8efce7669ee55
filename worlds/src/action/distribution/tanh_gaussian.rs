//! A Gaussian squashed between bounds.

use super::{Gaussian, Scale};
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// How near to a bound (in half widths) an action counts as when its density is asked for: an f32 at the bound itself
/// does not tell any more where before tanh it was.
const NEAREST: f32 = 1e-6;

/// The distribution of `middle + half tanh(u)` for a Gaussian `u` (Haarnoja et al. 2018, appendix C). Draws are f32
/// `[lanes.., dimensions]` within the bounds.
#[derive(Clone, Copy)]
pub struct TanhGaussian<'g> {
    inner: Gaussian<'g>,
    middle: Tensor<'g>,
    half: Tensor<'g>,
    log_half: Tensor<'g>,
}

impl<'g> TanhGaussian<'g> {
    /// From the Gaussian before tanh, and the bounds of each dimension.
    ///
    /// # Errors
    /// There are not as many bounds as dimensions, or one is infinite.
    pub fn new(inner: Gaussian<'g>, low: &[f32], high: &[f32]) -> Result<Self> {
        let bounds: Vec<[f32; 2]> = low.iter().zip(high).map(|(low, high)| [*low, *high]).collect();
        let finite = bounds.iter().flatten().all(|bound| bound.is_finite());
        if !finite || low.len() != high.len() || low.len() != inner.dimensions() {
            return Err(Error::Graph(format!(
                "a squashed Gaussian of {} dimensions takes as many finite bounds, not {low:?} and {high:?}",
                inner.dimensions()
            )));
        }
        let Scale { middle, half } = Scale::of(&bounds);
        let logarithms: Vec<f32> = half.iter().map(|half| half.ln()).collect();
        let row = |values: &[f32]| inner.mean().graph().constant([values.len()], values);
        Ok(TanhGaussian { inner, middle: row(&middle), half: row(&half), log_half: row(&logarithms) })
    }

    /// The Gaussian before tanh.
    pub fn inner(&self) -> &Gaussian<'g> {
        &self.inner
    }

    /// Numbers of a draw.
    pub fn dimensions(&self) -> usize {
        self.inner.dimensions()
    }

    /// A draw, through which gradients reach the Gaussian.
    pub fn sample(&self, key: Tensor<'g>) -> Tensor<'g> {
        self.squash(self.inner.sample(key))
    }

    /// A draw with its log-density, which is exact up to the bounds: it is computed from what was drawn before tanh.
    pub fn sample_with_log_probability(&self, key: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
        let before = self.inner.sample(key);
        (self.squash(before), self.log_probability_before(before))
    }

    /// Tanh of the Gaussian's mean: the median of each dimension. (The density itself may have its peaks at the bounds.)
    pub fn mode(&self) -> Tensor<'g> {
        self.squash(self.inner.mean())
    }

    fn squash(&self, before: Tensor<'g>) -> Tensor<'g> {
        before.tanh() * self.half + self.middle
    }

    /// The log-density of what becomes of `u`, a draw of the Gaussian before tanh: the Gaussian's, less the logarithm of
    /// the slope `half (1 - tanh(u)^2)`, in a form without cancellation.
    pub fn log_probability_before(&self, u: Tensor<'g>) -> Tensor<'g> {
        let slope = (std::f32::consts::LN_2 - u - (u * -2.0).softplus()) * 2.0 + self.log_half;
        self.inner.log_probability(u) - slope.sum(&[-1])
    }

    /// The log-density at `x` `[lanes.., dimensions]`. Nearer to a bound than a millionth of half the width counts as a
    /// millionth.
    pub fn log_probability(&self, x: Tensor<'g>) -> Tensor<'g> {
        let y = ((x - self.middle) / self.half).clamp(NEAREST - 1.0, 1.0 - NEAREST);
        self.log_probability_before((y.log1p() - (-y).log1p()) * 0.5)
    }

    /// An estimate of the entropy without bias, from one draw: there is no closed form.
    pub fn entropy(&self, key: Tensor<'g>) -> Tensor<'g> {
        -self.sample_with_log_probability(key).1
    }

    /// The divergence from this to another with the same bounds: that of the Gaussians, since both are squashed alike.
    pub fn kl(&self, other: &Self) -> Tensor<'g> {
        self.inner.kl(&other.inner)
    }
}
