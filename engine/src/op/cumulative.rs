//! Cumulative sums and products: linear recurrences (`scan`) with factors of one, or with terms of zero. The gradient
//! is that of the recurrence, so that it is right at zeros of a product too, in any order.

use crate::graph::Tensor;
use crate::shape::Shape;

impl<'g> Tensor<'g> {
    /// `[t, d]` or `[outer, t, d]` with `axis` as `t`, and the way back from a tensor of that shape; `None` where there
    /// is nothing to add up.
    fn with_time(self, op: &str, axis: isize) -> Option<(Tensor<'g>, impl Fn(Tensor<'g>) -> Tensor<'g>)> {
        let axis = self.axis(op, axis)?;
        let shape = self.shape();
        if shape.elements() == 0 {
            return None;
        }
        let outer: usize = shape[..axis].iter().product();
        let inner: usize = shape[axis + 1..].iter().product();
        // Many short rows side by side go through vectors; one channel alone does not.
        let turned = inner == 1 && outer > 1;
        let (time, rows) = (shape[axis], Shape::from([outer, shape[axis]]));
        let x = match turned {
            true => self.reshape(&rows).transpose(&[1, 0]),
            false => self.reshape([outer, time, inner]),
        };
        Some((x, move |y: Tensor<'g>| if turned { y.transpose(&[1, 0]) } else { y }.reshape(&shape)))
    }

    /// The sums of all elements up to each along `axis` (negative ones count from the end), itself included. Added up one
    /// after the other, so that rounding grows with the length.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let x = g.input("x", [4]);
    /// let mut program = Device::cpu().compile(&g, &[x.cumsum(0), x.cumprod(0)])?;
    /// let outputs = program.run(&[("x", &[1.0f32, 2.0, 3.0, 4.0])])?;
    /// assert_eq!(outputs.f32(0), [1.0, 3.0, 6.0, 10.0]);
    /// assert_eq!(outputs.f32(1), [1.0, 2.0, 6.0, 24.0]);
    /// # Ok(()) }
    /// ```
    pub fn cumsum(self, axis: isize) -> Tensor<'g> {
        let Some((x, back)) = self.with_time("cumsum", axis) else { return self };
        let (g, channels) = (self.graph(), x.shape().last().copied().unwrap_or(1));
        back(x.linear_scan(g.full([1, channels], 1.0), g.full([channels], 0.0), None))
    }

    /// The products of all elements up to each along `axis` (negative ones count from the end), itself included.
    pub fn cumprod(self, axis: isize) -> Tensor<'g> {
        let Some((x, back)) = self.with_time("cumprod", axis) else { return self };
        let (g, shape) = (self.graph(), x.shape());
        let [.., time, channels] = shape[..] else { return self };
        let (zeros, ones) = (g.full([time, channels], 0.0), g.full([channels], 1.0));
        back(zeros.linear_scan(x, ones, None))
    }
}
