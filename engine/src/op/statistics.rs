//! What is made of reductions: variance, the Euclidean norm, normalisation by the root of the mean square, the place of
//! the least element.

use crate::graph::Tensor;
use crate::shape::Shape;

impl<'g> Tensor<'g> {
    /// This tensor's shape with sizes of 1 along `axes`, sorted indices.
    fn with_ones(self, axes: &[usize]) -> Shape {
        let mut shape = self.shape().to_vec();
        axes.iter().for_each(|&axis| shape[axis] = 1);
        shape.into()
    }

    /// The variance over `axes` (negative ones count from the end), which are left out of the result: the mean of the
    /// squared distances from the mean, `1 / n` of their sum. The mean is taken first, so that no digits are lost where it
    /// is large. NaN over no elements.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let y = g.input("x", [2, 2]).variance(&[1]);
    /// let mut program = Device::cpu().compile(&g, &[y])?;
    /// assert_eq!(program.run(&[("x", &[1.0f32, 3.0, 5.0, 5.0])])?.f32(0), [1.0, 0.0]);
    /// # Ok(()) }
    /// ```
    pub fn variance(self, axes: &[isize]) -> Tensor<'g> {
        let Some(indices) = self.axes("variance", axes) else { return self };
        let mean = self.mean(axes).reshape(self.with_ones(&indices));
        (self - mean).square().mean(axes)
    }

    /// The Euclidean norm over `axes` (negative ones count from the end), which are left out of the result: the root of
    /// the sum of the squares. Its gradient at 0 is 0.
    pub fn norm(self, axes: &[isize]) -> Tensor<'g> {
        let Some(indices) = self.axes("norm", axes) else { return self };
        let (g, shape) = (self.graph(), self.shape());
        if indices.iter().any(|&axis| shape[axis] == 0) {
            return self.sum(axes);
        }
        // Squares of what is divided by the largest neither overflow nor vanish. It counts as a constant: the norm does not
        // depend on it.
        let scale = self.abs().max(axes).detach().clamp(1e-30, 1e30);
        let squares = (self / scale.reshape(self.with_ones(&indices))).square().sum(axes);
        // The root has no derivative at 0, where the norm's is taken as 0.
        let nothing = squares.equal(g.scalar(0.0));
        nothing.select(g.scalar(0.0), nothing.select(g.scalar(1.0), squares).sqrt() * scale)
    }

    /// Root mean square normalisation over the last axis (Zhang and Sennrich 2019): `x [.., n]` divided by
    /// `sqrt(mean(x^2) + epsilon)`, times `scale`, which broadcasts against `x` (`[n]`, say).
    pub fn rms_norm(self, scale: Tensor<'g>, epsilon: f32) -> Tensor<'g> {
        let Some(last) = self.axis("rms_norm", -1) else { return self };
        let mean = self.square().mean(&[-1]).reshape(self.with_ones(&[last]));
        self / (mean + epsilon).sqrt() * scale
    }

    /// The index of the least element along the last axis, the first of equals: u32 `[..]`. No gradient passes.
    pub fn argmin(self) -> Tensor<'g> {
        (-self).argmax()
    }
}
