//! Elementwise ops: arithmetic, comparisons, select and the usual functions, with broadcasting. Whatever of these meet
//! in a program is fused into one kernel (see `fused`), so there is exactly one way in which they are computed. On
//! integers the same methods and operators apply the ops of `integer`.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.input("x", [3]);
//! let y = x.less(g.scalar(0.0)).select(x * 0.1, x); // leaky ReLU
//! let mut program = Device::cpu().compile(&g, &[y])?;
//! assert_eq!(program.run(&[("x", &[-10.0f32, 0.0, 2.0])])?.f32(0), [-1.0, 0.0, 2.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::Arc;

use super::fused::Fused;
use super::integer::{self, integer_op};
use crate::error::Result;
use crate::graph::{CpuCall, GpuCall, GpuPlan, Op, Scalar, Tensor, VjpCall, WithoutElements};
use crate::shape::{DType, Shape, TensorType};

/// The ops of this file.
pub(super) const NAMES: &[&str] = &[
    "identity",
    "negate",
    "exp",
    "log",
    "log1p",
    "tanh",
    "sigmoid",
    "relu",
    "gelu",
    "softplus",
    "sqrt",
    "sin",
    "cos",
    "erf",
    "expm1",
    "abs",
    "sign",
    "floor",
    "round",
    "reciprocal",
    "add",
    "subtract",
    "multiply",
    "divide",
    "pow",
    "modulo",
    "atan2",
    "maximum",
    "minimum",
    "less",
    "less_equal",
    "equal",
    "select",
    "broadcast",
];

/// A function applied to each element of its operands, which are broadcast against one another.
#[derive(Debug, Clone)]
pub struct Elementwise(pub Scalar);

impl Op for Elementwise {
    fn name(&self) -> &'static str {
        match self.0 {
            Scalar::Identity => "identity",
            Scalar::Negate => "negate",
            Scalar::Exp => "exp",
            Scalar::Log => "log",
            Scalar::Log1p => "log1p",
            Scalar::Tanh => "tanh",
            Scalar::Sigmoid => "sigmoid",
            Scalar::Relu => "relu",
            Scalar::Gelu => "gelu",
            Scalar::Softplus => "softplus",
            Scalar::Sqrt => "sqrt",
            Scalar::Sin => "sin",
            Scalar::Cos => "cos",
            Scalar::Erf => "erf",
            Scalar::Expm1 => "expm1",
            Scalar::Abs => "abs",
            Scalar::Sign => "sign",
            Scalar::Floor => "floor",
            Scalar::Round => "round",
            Scalar::Reciprocal => "reciprocal",
            Scalar::Add => "add",
            Scalar::Subtract => "subtract",
            Scalar::Multiply => "multiply",
            Scalar::Divide => "divide",
            Scalar::Power => "pow",
            Scalar::Modulo => "modulo",
            Scalar::Atan2 => "atan2",
            Scalar::Maximum => "maximum",
            Scalar::Minimum => "minimum",
            Scalar::Less => "less",
            Scalar::LessEqual => "less_equal",
            Scalar::Equal => "equal",
            Scalar::Select => "select",
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != self.0.arity() {
            return Err(format!("takes {} operands", self.0.arity()));
        }
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        let mut shape = operands[0].shape.clone();
        for operand in &operands[1..] {
            shape = shape.broadcast(&operand.shape).ok_or("the shapes do not broadcast")?;
        }
        Ok(vec![TensorType::f32(shape)])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (y, c) = (call.outputs[0], call.cotangent(0));
        let x = call.operands[0];
        let operand = |i: usize| call.operands[i];
        let zero = x.graph().scalar(0.0);
        // The derivative with respect to each operand, before broadcasting is undone.
        let derivatives: Vec<Option<Tensor<'g>>> = match self.0 {
            Scalar::Identity => vec![Some(c)],
            Scalar::Negate => vec![Some(-c)],
            Scalar::Exp => vec![Some(c * y)],
            Scalar::Log => vec![Some(c / x)],
            Scalar::Log1p => vec![Some(c / (x + 1.0))],
            Scalar::Tanh => vec![Some(c * (1.0 - y * y))],
            Scalar::Sigmoid => vec![Some(c * y * (1.0 - y))],
            Scalar::Relu => vec![Some(y.greater(zero).select(c, zero))],
            Scalar::Gelu => vec![Some(c * gelu_derivative(x))],
            Scalar::Softplus => vec![Some(c * x.sigmoid())],
            Scalar::Sqrt => vec![Some(c * 0.5 / y)],
            Scalar::Sin => vec![Some(c * x.cos())],
            Scalar::Cos => vec![Some(-(c * x.sin()))],
            Scalar::Erf => {
                // 2 / sqrt(pi).
                vec![Some(c * (-(x * x)).exp() * std::f32::consts::FRAC_2_SQRT_PI)]
            }
            Scalar::Expm1 => vec![Some(c * (y + 1.0))],
            Scalar::Abs => vec![Some(c * x.sign())],
            Scalar::Sign | Scalar::Floor | Scalar::Round => vec![None],
            Scalar::Reciprocal => vec![Some(-(c * y * y))],
            Scalar::Add => vec![Some(c), Some(c)],
            Scalar::Subtract => vec![Some(c), Some(-c)],
            Scalar::Multiply => vec![Some(c * operand(1)), Some(c * x)],
            Scalar::Divide => vec![Some(c / operand(1)), Some(-(c * y / operand(1)))],
            Scalar::Power => {
                let exponent = operand(1);
                // At a base of 0 or less the derivative with respect to the exponent is taken as 0.
                let positive = x.greater(zero);
                let one = x.graph().scalar(1.0);
                let log = positive.select(x, one).log();
                // At an exponent of 0 the factor is 0, which must not meet `0^-1`, here or in derivatives of this one.
                let lowered = exponent.select(exponent, one) - 1.0;
                vec![Some(c * exponent * x.pow(lowered)), Some(c * y * log)]
            }
            Scalar::Modulo => vec![Some(c), Some(-(c * (x / operand(1)).floor()))],
            Scalar::Atan2 => {
                let square = x * x + operand(1) * operand(1);
                vec![Some(c * operand(1) / square), Some(-(c * x / square))]
            }
            // Where both are equal each gets half, as in JAX and PyTorch.
            Scalar::Maximum => {
                let share = |a: Tensor<'g>, b: Tensor<'g>| (b.less(a) + b.less_equal(a)) * 0.5;
                vec![Some(c * share(x, operand(1))), Some(c * share(operand(1), x))]
            }
            Scalar::Minimum => {
                let share = |a: Tensor<'g>, b: Tensor<'g>| (a.less(b) + a.less_equal(b)) * 0.5;
                vec![Some(c * share(x, operand(1))), Some(c * share(operand(1), x))]
            }
            Scalar::Less | Scalar::LessEqual | Scalar::Equal => vec![None, None],
            Scalar::Select => vec![None, Some(x.select(c, zero)), Some(x.select(zero, c))],
        };
        Ok(derivatives
            .into_iter()
            .enumerate()
            .map(|(i, d)| match (d, call.wanted[i]) {
                (Some(d), true) => Some(d.sum_to(operand(i).shape())),
                _ => None,
            })
            .collect())
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        Fused::single(self.0, &call.outputs[0].of.shape).cpu(call)
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        Fused::single(self.0, &call.outputs[0].shape).gpu(call)
    }

    fn scalar(&self) -> Option<Scalar> {
        Some(self.0)
    }
}

/// The derivative of the tanh form of GELU (Hendrycks and Gimpel 2016).
fn gelu_derivative<'g>(x: Tensor<'g>) -> Tensor<'g> {
    let (k, cubic) = (0.797_884_6, 0.044_715);
    let t = (x * (1.0 + x * x * cubic) * k).tanh();
    (1.0 + t) * 0.5 + x * (1.0 - t * t) * (1.0 + x * x * (3.0 * cubic)) * (0.5 * k)
}

/// A copy of its operand stretched to a shape.
#[derive(Debug, Clone)]
pub struct Broadcast(pub Shape);

impl Op for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [operand] = operands else { return Err("takes one operand".into()) };
        match operand.shape.broadcast_strides(&self.0) {
            Some(_) => Ok(vec![TensorType { shape: self.0.clone(), dtype: operand.dtype }]),
            None => Err(format!("does not broadcast to {:?}", self.0)),
        }
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![Some(call.cotangent(0).sum_to(call.operands[0].shape()))])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        if call.inputs[0].of.dtype != DType::F32 {
            integer::run(integer::Function::Identity, call);
            return Ok(());
        }
        Fused::single(Scalar::Identity, &call.outputs[0].of.shape).cpu(call)
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        if call.operands[0].dtype != DType::F32 {
            // Floats may lose bits on their way through a GPU.
            return Ok(integer::launch(integer::Function::Identity, call));
        }
        Fused::single(Scalar::Identity, &call.outputs[0].shape).gpu(call)
    }

    fn resized(&self, outputs: &[TensorType]) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Broadcast(outputs[0].shape.clone())))
    }

    fn scalar(&self) -> Option<Scalar> {
        Some(Scalar::Identity)
    }
}

/// Applies a function to floats, or to integers where it has a form for them.
fn apply<'g>(scalar: Scalar, operands: &[Tensor<'g>]) -> Tensor<'g> {
    match integer_op(scalar, operands) {
        Some(op) => operands[0].graph().apply_one(op, operands),
        None => operands[0].graph().apply_one(Elementwise(scalar), operands),
    }
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $scalar:ident;)*) => {
        impl<'g> Tensor<'g> {$(
            $(#[$doc])*
            pub fn $name(self) -> Tensor<'g> {
                apply(Scalar::$scalar, &[self])
            }
        )*}
    };
}

unary! {
    /// e to the power of each element.
    exp => Exp;
    /// The natural logarithm.
    log => Log;
    /// `log(1 + x)`, exact near 0.
    log1p => Log1p;
    /// The hyperbolic tangent.
    tanh => Tanh;
    /// `1 / (1 + exp(-x))`.
    sigmoid => Sigmoid;
    /// `max(x, 0)`; its gradient at 0 is 0.
    relu => Relu;
    /// The Gaussian error linear unit in its tanh form (Hendrycks and Gimpel 2016).
    gelu => Gelu;
    /// `log(1 + exp(x))`, without overflow.
    softplus => Softplus;
    /// The square root.
    sqrt => Sqrt;
    /// The sine of an angle in radians.
    sin => Sin;
    /// The cosine of an angle in radians.
    cos => Cos;
    /// The error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to `x`.
    erf => Erf;
    /// `exp(x) - 1`, exact near 0.
    expm1 => Expm1;
    /// The absolute value; its gradient at 0 is 0.
    abs => Abs;
    /// -1, 0 or 1. No gradient passes.
    sign => Sign;
    /// The largest whole number that is not above. No gradient passes.
    floor => Floor;
    /// The nearest whole number; halves become even, as in IEEE 754. No gradient passes.
    round => Round;
    /// `1 / x`.
    reciprocal => Reciprocal;
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident => $scalar:ident;)*) => {
        impl<'g> Tensor<'g> {$(
            $(#[$doc])*
            pub fn $name(self, other: Tensor<'g>) -> Tensor<'g> {
                apply(Scalar::$scalar, &[self, other])
            }
        )*}
    };
}

binary! {
    /// `self` to the power of `other`.
    pow => Power;
    /// The remainder `self - n other`, with the whole number `n` that gives it the sign of `other` and a magnitude below
    /// that of `other` (as in Python and PyTorch). NaN where `other` is 0 or `self` is infinite.
    modulo => Modulo;
    /// The angle in radians, from -pi to pi, of the point whose second coordinate is `self` and whose first is `other`.
    atan2 => Atan2;
    /// The larger of the two. Where they are equal each gets half of the gradient.
    maximum => Maximum;
    /// The smaller of the two. Where they are equal each gets half of the gradient.
    minimum => Minimum;
    /// 1 where `self < other`, else 0. No gradient passes.
    less => Less;
    /// 1 where `self <= other`, else 0. No gradient passes.
    less_equal => LessEqual;
    /// 1 where both are equal, else 0. No gradient passes.
    equal => Equal;
}

impl<'g> Tensor<'g> {
    /// 1 where `self > other`, else 0. No gradient passes.
    pub fn greater(self, other: Tensor<'g>) -> Tensor<'g> {
        other.less(self)
    }

    /// 1 where `self >= other`, else 0. No gradient passes.
    pub fn greater_equal(self, other: Tensor<'g>) -> Tensor<'g> {
        other.less_equal(self)
    }

    /// `yes` where `self` is not 0, else `no`.
    pub fn select(self, yes: Tensor<'g>, no: Tensor<'g>) -> Tensor<'g> {
        apply(Scalar::Select, &[self, yes, no])
    }

    /// Each element held between two bounds.
    pub fn clamp(self, low: f32, high: f32) -> Tensor<'g> {
        let g = self.graph();
        self.maximum(g.scalar(low)).minimum(g.scalar(high))
    }

    /// Each element times itself.
    pub fn square(self) -> Tensor<'g> {
        self * self
    }

    /// A copy stretched to `shape`: sizes of 1, and missing leading dimensions, are repeated.
    pub fn broadcast_to(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let shape = shape.into();
        if self.shape() == shape {
            return self;
        }
        self.graph().apply_one(Broadcast(shape), &[self])
    }

    /// The sum over whatever broadcasting to this tensor's shape had repeated: the transpose of
    /// [`Tensor::broadcast_to`].
    pub fn sum_to(self, shape: impl Into<Shape>) -> Tensor<'g> {
        let (shape, own) = (shape.into(), self.shape());
        if own == shape {
            return self;
        }
        let lead = own.len().saturating_sub(shape.len());
        let axes: Vec<isize> = (0..own.len())
            .filter(|&i| i < lead || (shape[i - lead] == 1 && own[i] != 1))
            .map(|i| i as isize)
            .collect();
        self.sum(&axes).reshape(shape)
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $scalar:ident) => {
        impl<'g> $trait for Tensor<'g> {
            type Output = Tensor<'g>;
            fn $method(self, other: Tensor<'g>) -> Tensor<'g> {
                apply(Scalar::$scalar, &[self, other])
            }
        }
        impl<'g> $trait<f32> for Tensor<'g> {
            type Output = Tensor<'g>;
            fn $method(self, other: f32) -> Tensor<'g> {
                $trait::$method(self, self.graph().scalar(other))
            }
        }
        impl<'g> $trait<Tensor<'g>> for f32 {
            type Output = Tensor<'g>;
            fn $method(self, other: Tensor<'g>) -> Tensor<'g> {
                $trait::$method(other.graph().scalar(self), other)
            }
        }
    };
}

operator!(Add, add, Add);
operator!(Sub, sub, Subtract);
operator!(Mul, mul, Multiply);
operator!(Div, div, Divide);

impl<'g> Neg for Tensor<'g> {
    type Output = Tensor<'g>;
    fn neg(self) -> Tensor<'g> {
        apply(Scalar::Negate, &[self])
    }
}
