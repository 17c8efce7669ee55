//! Losses, one number an element or a row: the caller takes the mean, or weighs them first.

use crate::graph::Tensor;

impl<'g> Tensor<'g> {
    /// The cross entropy of the softmax of each row of these logits `[.., n]` with the class that `classes`, u32 `[..]`,
    /// names: `-log_softmax(x)[class]`, `[..]`. Leading dimensions broadcast.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let loss = g.input("logits", [1, 2]).cross_entropy(g.input_u32("class", [1]));
    /// let mut program = Device::cpu().compile(&g, &[loss])?;
    /// let outputs = program.run(&[("logits", &[0.0f32, 0.0]), ("class", &[1u32])])?;
    /// assert!((outputs.scalar(0) - 2f32.ln()).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    pub fn cross_entropy(self, classes: Tensor<'g>) -> Tensor<'g> {
        -self.log_softmax(-1).take_along_last(classes)
    }

    /// The cross entropy of `sigmoid(x)` with `targets` from 0 to 1, which broadcast against these logits:
    /// `t softplus(-x) + (1 - t) softplus(x)`, exact where either is small.
    pub fn binary_cross_entropy(self, targets: Tensor<'g>) -> Tensor<'g> {
        targets * (-self).softplus() + (1.0 - targets) * self.softplus()
    }

    /// Huber's loss of these errors (Huber 1964): `x^2 / 2` up to a magnitude of `delta`, from there on
    /// `delta (|x| - delta / 2)`.
    pub fn huber(self, delta: f32) -> Tensor<'g> {
        let size = self.abs();
        let near = size.minimum(self.graph().scalar(delta));
        near.square() * 0.5 + (size - near) * delta
    }
}
