//! What is drawn by way of the generator of `random`: truth values, whole numbers, orders, and dropout.

use crate::graph::Tensor;
use crate::shape::Shape;

impl<'g> Tensor<'g> {
    /// The dimensions that each key of `key [lead.., 2]` draws for this tensor, whose first dimensions must be `lead`.
    pub(super) fn drawn_by(self, op: &str, key: Tensor<'g>) -> Option<Shape> {
        let (shape, of) = (self.shape(), key.shape());
        let lead = of.leading(1);
        match shape.len() >= lead.len() && shape[..lead.len()] == *lead {
            true => Some(Shape::from(&shape[lead.len()..])),
            false => {
                self.refuse(op, format!("the first dimensions are not those of the key {of:?}"));
                None
            }
        }
    }

    /// 1 with the probability that each element of this tensor is, else 0 (Bernoulli). A key `[lead.., 2]` needs
    /// probabilities whose first dimensions are `lead`. No gradient passes.
    pub fn bernoulli(self, key: Tensor<'g>) -> Tensor<'g> {
        match self.drawn_by("bernoulli", key) {
            Some(shape) => key.random_uniform(shape).less(self),
            None => self,
        }
    }

    /// This tensor with each element 0 with the probability `rate`, from 0 to 1, and else divided by `1 - rate`, so that the
    /// mean stays (Srivastava et al. 2014). A key `[lead.., 2]` needs a tensor whose first dimensions are `lead`. For
    /// acting, leave it out.
    pub fn dropout(self, key: Tensor<'g>, rate: f32) -> Tensor<'g> {
        if !(0.0..=1.0).contains(&rate) {
            return self.refuse("dropout", format!("a rate of {rate} is not within 0 and 1"));
        }
        let Some(shape) = self.drawn_by("dropout", key) else { return self };
        let g = self.graph();
        let kept = key.random_uniform(shape).greater_equal(g.scalar(rate));
        // With a rate of 1 nothing is kept, and nothing may become 0 / 0.
        let scale = if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 };
        kept.select(self * scale, g.scalar(0.0))
    }

    /// Whole numbers from `low` to below `high`, by this key: i32; `[2]` draws `shape`, `[.., 2]` draws `[.., shape]`. Some
    /// are likelier than others by at most `(high - low) / 2^32`.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let dice = g.key(7).random_integers(1, 7, [100]);
    /// let mut program = Device::cpu().compile(&g, &[dice])?;
    /// assert!(program.run(&[])?.i32(0).iter().all(|x| (1..=6).contains(x)));
    /// # Ok(()) }
    /// ```
    pub fn random_integers(self, low: i32, high: i32, shape: impl Into<Shape>) -> Tensor<'g> {
        let g = self.graph();
        if low >= high {
            return self.refuse("random_integers", format!("there is no number from {low} to below {high}"));
        }
        let span = high.wrapping_sub(low) as u32;
        let offset = self.random_bits(shape).modulo(g.constant_u32([], &[span]));
        // Both wrap around, and the sum is in range again.
        offset.to_i32() + g.constant_i32([], &[low])
    }

    /// The numbers from 0 to below `n` in a random order, by this key: u32; `[2]` draws `[n]`, `[.., 2]` draws `[.., n]`.
    /// They are sorted by random words, as often as it takes for equal words not to show.
    pub fn random_permutation(self, n: usize) -> Tensor<'g> {
        // Words of all rounds together tell 3 ln(n) digits apart, as in JAX.
        let rounds = (3.0 * (n.max(2) as f64).ln() / 2f64.powi(32).ln()).ceil() as usize;
        let keys = self.split_key(rounds);
        let shape = self.shape();
        let order = |round: usize| {
            let bits = keys.slice(0, round, 1).reshape(&shape).random_bits([n]);
            bits.argsort(-1, false)
        };
        (1..rounds).fold(order(0), |before, round| before.take_places(order(round)))
    }
}
