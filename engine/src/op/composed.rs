//! Elementwise functions made of others: activations, rounding up, what is not equal, and logic on truth values. In a
//! program each is a part of one fused kernel.

use crate::graph::Tensor;

impl<'g> Tensor<'g> {
    /// `x sigmoid(x)` (Elfwing, Uchibe and Doya 2017), also called swish.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let y = g.input("x", [2]).silu();
    /// let mut program = Device::cpu().compile(&g, &[y])?;
    /// let y = program.run(&[("x", &[0.0f32, 2.0])])?.f32(0).to_vec();
    /// assert!(y[0] == 0.0 && (y[1] - 1.761_594).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    pub fn silu(self) -> Tensor<'g> {
        self * self.sigmoid()
    }

    /// `log(sigmoid(x))`, without overflow and exact where the sigmoid is near 1.
    pub fn log_sigmoid(self) -> Tensor<'g> {
        -(-self).softplus()
    }

    /// The Gaussian error linear unit itself, `x / 2 (1 + erf(x / sqrt(2)))`. [`Tensor::gelu`] is its tanh form.
    pub fn gelu_exact(self) -> Tensor<'g> {
        self * 0.5 * ((self * std::f32::consts::FRAC_1_SQRT_2).erf() + 1.0)
    }

    /// The least whole number that is not below. No gradient passes.
    pub fn ceil(self) -> Tensor<'g> {
        -(-self).floor()
    }

    /// 1 where both differ, else 0; NaN differs from everything. No gradient passes.
    pub fn not_equal(self, other: Tensor<'g>) -> Tensor<'g> {
        self.equal(other).logical_not()
    }

    /// 1 where the element is not 0 (NaN is not), else 0.
    fn truth(self) -> Tensor<'g> {
        let g = self.graph();
        self.select(g.scalar(1.0), g.scalar(0.0))
    }

    /// 1 where the element is 0, else 0. No gradient passes.
    pub fn logical_not(self) -> Tensor<'g> {
        let g = self.graph();
        self.select(g.scalar(0.0), g.scalar(1.0))
    }

    /// 1 where neither is 0, else 0. No gradient passes.
    pub fn logical_and(self, other: Tensor<'g>) -> Tensor<'g> {
        self.select(other.truth(), self.graph().scalar(0.0))
    }

    /// 1 where one of them or both are not 0, else 0. No gradient passes.
    pub fn logical_or(self, other: Tensor<'g>) -> Tensor<'g> {
        self.select(self.graph().scalar(1.0), other.truth())
    }

    /// 1 where exactly one of them is not 0, else 0. No gradient passes.
    pub fn logical_xor(self, other: Tensor<'g>) -> Tensor<'g> {
        self.select(other.logical_not(), other.truth())
    }
}
