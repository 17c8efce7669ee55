//! Softmax and its logarithm over the last axis, as fused ops with fused gradients.
//!
//! Masks are added by the caller (a large negative number where nothing may go). A row of nothing but minus infinity
//! has no softmax and gives NaN.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.input("x", [2, 4]);
//! let mut program = Device::cpu().compile(&g, &[x.softmax(-1), x.logsumexp(-1)])?;
//! let outputs = program.run(&[("x", &[1.0f32; 8])])?;
//! assert_eq!(outputs.f32(0), [0.25; 8]);
//! assert!((outputs.f32(1)[0] - (1.0 + 4f32.ln())).abs() < 1e-6);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use std::sync::Arc;

use super::group::{with_groups, with_rows};
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::{for_each_chunk, vector_math as vm};
use crate::error::Result;
use crate::graph::{
    Binding, ByRows, CpuCall, Cut, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, WithoutElements,
};
use crate::shape::{DType, TensorType};

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["softmax", "log_softmax", "softmax_gradient", "log_softmax_gradient"];

const SHADER: &str = include_str!("../../shaders/softmax.wgsl");

/// `exp(x) / sum(exp(x))` over the last axis, or its logarithm.
#[derive(Debug, Clone)]
pub struct Softmax {
    /// Whether the logarithm is given.
    pub log: bool,
}

/// The gradient of [`Softmax`] from its output `y` and the gradient `c` of that output: `y (c - sum(c y))`, for the
/// logarithm `c - exp(y) sum(c)`.
#[derive(Debug, Clone)]
pub struct SoftmaxGradient {
    /// Whether `y` is the logarithm.
    pub log: bool,
}

/// Elements that one task of the pool works on.
const TASK: usize = 8 * 1024;
/// Elements above which the pool is worth entering.
const THRESHOLD: usize = 64 * 1024;

/// The last size and the number of rows.
fn rows(of: &TensorType) -> (usize, usize) {
    let n = of.shape.last().copied().unwrap_or(1);
    (n, of.elements() / n)
}

fn check(operands: &[TensorType], count: usize) -> Result<Vec<TensorType>, String> {
    if operands.len() != count {
        return Err(format!("takes {count} operands"));
    }
    let first = &operands[0];
    if first.dtype != DType::F32 || operands.iter().any(|t| t != first) {
        return Err("takes f32 operands of one shape".into());
    }
    if first.shape.is_empty() {
        return Err("takes operands of at least one dimension".into());
    }
    Ok(vec![first.clone()])
}

/// Loads a vector, with minus infinity in lanes past the end.
#[inline(always)]
fn load_or_nothing<S: Simd>(s: S, x: &[f32]) -> S::V {
    if x.len() >= S::LANES {
        return s.load_slice(x);
    }
    let mut lanes = [f32::NEG_INFINITY; 16];
    for (lane, value) in lanes.iter_mut().zip(x) {
        *lane = *value;
    }
    s.load_slice(&lanes[..S::LANES])
}

struct Forward<'a> {
    log: bool,
    n: usize,
    x: &'a [f32],
    y: SharedPointer,
    range: std::ops::Range<usize>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let n = self.n;
        for row in self.range {
            let x = &self.x[row * n..(row + 1) * n];
            // SAFETY: rows lie within the output and each belongs to one task.
            let y = unsafe { std::slice::from_raw_parts_mut(self.y.get().add(row * n), n) };
            let mut largest = s.splat(f32::NEG_INFINITY);
            let mut i = 0;
            while i < n {
                largest = s.max(largest, load_or_nothing(s, &x[i..]));
                i += S::LANES;
            }
            let largest = s.reduce_max(largest);
            // SAFETY: both rows have `n` elements.
            let sum = unsafe { vm::exp_and_sum(s, x.as_ptr(), y.as_mut_ptr(), n, 1.0, largest) };
            let (scale, shift, largest) = (s.splat(1.0 / sum), s.splat(sum.ln()), s.splat(largest));
            let mut i = 0;
            while i < n {
                let value = match self.log {
                    true => s.sub(s.sub(s.load_slice(&x[i..]), largest), shift),
                    false => s.mul(s.load_slice(&y[i..]), scale),
                };
                s.store_slice(&mut y[i..], value);
                i += S::LANES;
            }
        }
    }
}

struct Backward<'a> {
    log: bool,
    n: usize,
    y: &'a [f32],
    c: &'a [f32],
    dx: SharedPointer,
    range: std::ops::Range<usize>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let n = self.n;
        for row in self.range {
            let y = &self.y[row * n..(row + 1) * n];
            let c = &self.c[row * n..(row + 1) * n];
            // SAFETY: rows lie within the output and each belongs to one task.
            let dx = unsafe { std::slice::from_raw_parts_mut(self.dx.get().add(row * n), n) };
            let mut sum = s.zero();
            let mut i = 0;
            while i < n {
                let cotangent = s.load_slice(&c[i..]);
                sum = match self.log {
                    true => s.add(sum, cotangent),
                    false => s.mul_add(cotangent, s.load_slice(&y[i..]), sum),
                };
                i += S::LANES;
            }
            let sum = s.splat(s.reduce_add(sum));
            let mut i = 0;
            while i < n {
                let (value, cotangent) = (s.load_slice(&y[i..]), s.load_slice(&c[i..]));
                let gradient = match self.log {
                    true => s.neg_mul_add(vm::exp(s, value), sum, cotangent),
                    false => s.mul(value, s.sub(cotangent, sum)),
                };
                s.store_slice(&mut dx[i..], gradient);
                i += S::LANES;
            }
        }
    }
}

/// Rows up to this length are computed by one invocation each.
const SHORT: usize = 32;

fn launch(call: &GpuCall<'_>, log: bool, gradient: bool) -> Launch {
    let (n, rows) = rows(&call.operands[0]);
    let (entry, (shader, workgroups)) = match (gradient, n <= SHORT) {
        (false, true) => ("short", (with_groups(call, SHADER), call.groups(rows, 128))),
        (false, false) => ("long", with_rows(call, SHADER, rows, n)),
        (true, true) => ("short_gradient", (with_groups(call, SHADER), call.groups(rows, 128))),
        (true, false) => ("long_gradient", with_rows(call, SHADER, rows, n)),
    };
    let bindings = (0..call.operands.len()).map(Binding::Input).chain([Binding::Output(0)]).collect();
    Launch {
        shader,
        entry,
        constants: vec![("LOG", f64::from(u8::from(log)))],
        bindings,
        parameters: vec![rows as u32, n as u32],
        workgroups,
    }
}

/// Half of the rows each.
fn along_rows(operands: &[TensorType]) -> Vec<Cut> {
    let lead = operands[0].shape.leading(1);
    Cut::along(lead, &vec![lead; operands.len()], 1)
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check(operands, 1)
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (y, c) = (call.outputs[0], call.cotangent(0));
        Ok(vec![Some(y.graph().apply_one(SoftmaxGradient { log: self.log }, &[y, c]))])
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let x = operands[0];
        let shifted = x - keep_last(x.max(&[-1]).detach());
        let sum = keep_last(shifted.exp().sum(&[-1]));
        Some(vec![if self.log { shifted - sum.log() } else { shifted.exp() / sum }])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (n, rows) = rows(call.inputs[0].of);
        let (log, x) = (self.log, call.inputs[0].f32());
        let y = SharedPointer(call.outputs[0].f32().as_mut_ptr());
        let parallel = call.parallel.above(n * rows, THRESHOLD);
        for_each_chunk(parallel, rows, TASK.div_ceil(n), |range| dispatch(Forward { log, n, x, y, range }));
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        Ok(launch(call, self.log, false).into())
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        along_rows(operands)
    }

    fn by_rows(&self, _operands: &[TensorType], _outputs: &[TensorType]) -> Option<ByRows> {
        Some(ByRows { op: Arc::new(self.clone()), sliced: vec![true] })
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        // An exponential is about ten operations.
        14 * operands[0].elements() as u64
    }
}

impl Op for SoftmaxGradient {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax_gradient" } else { "softmax_gradient" }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check(operands, 2)
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let (y, c) = (operands[0], operands[1]);
        Some(vec![match self.log {
            true => c - y.exp() * keep_last(c.sum(&[-1])),
            false => y * (c - keep_last((c * y).sum(&[-1]))),
        }])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let (n, rows) = rows(call.inputs[0].of);
        let (log, y, c) = (self.log, call.inputs[0].f32(), call.inputs[1].f32());
        let dx = SharedPointer(call.outputs[0].f32().as_mut_ptr());
        let parallel = call.parallel.above(n * rows, THRESHOLD);
        for_each_chunk(parallel, rows, TASK.div_ceil(n), |range| {
            dispatch(Backward { log, n, y, c, dx, range });
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        Ok(launch(call, self.log, true).into())
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        along_rows(operands)
    }

    fn by_rows(&self, _operands: &[TensorType], _outputs: &[TensorType]) -> Option<ByRows> {
        Some(ByRows { op: Arc::new(self.clone()), sliced: vec![true; 2] })
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        let each = if self.log { 14 } else { 4 };
        each * operands[0].elements() as u64
    }
}

/// With a last dimension of 1 appended.
pub(crate) fn keep_last<'g>(x: Tensor<'g>) -> Tensor<'g> {
    let mut shape = x.shape().to_vec();
    shape.push(1);
    x.reshape(shape)
}

impl<'g> Tensor<'g> {
    fn softmax_of(self, log: bool, axis: isize) -> Tensor<'g> {
        let op = Softmax { log };
        let Some(axis) = self.axis(op.name(), axis) else { return self };
        let last = self.shape().len() as isize - 1;
        let turned = self.swap(axis as isize, last);
        self.graph().apply_one(op, &[turned]).swap(axis as isize, last)
    }

    /// `exp(x) / sum(exp(x))` over `axis` (negative ones count from the end; the last is the fastest).
    pub fn softmax(self, axis: isize) -> Tensor<'g> {
        self.softmax_of(false, axis)
    }

    /// The logarithm of [`Tensor::softmax`], exact also where a probability is tiny.
    pub fn log_softmax(self, axis: isize) -> Tensor<'g> {
        self.softmax_of(true, axis)
    }

    /// `log(sum(exp(x)))` over `axis`, which is left out of the result, without overflow. Of nothing but minus infinity
    /// it is minus infinity, with gradient 0.
    pub fn logsumexp(self, axis: isize) -> Tensor<'g> {
        let Some(index) = self.axis("logsumexp", axis) else { return self };
        let (g, axis) = (self.graph(), index as isize);
        let largest = self.max(&[axis]).detach();
        let mut kept = self.shape().to_vec();
        kept[index] = 1;
        // An infinity would be taken from itself.
        let finite = largest.abs().less_equal(g.scalar(f32::MAX));
        let shift = finite.select(largest, g.scalar(0.0));
        let sum = (self - shift.reshape(kept)).exp().sum(&[axis]);
        // Where every term is 0, `1 / sum` must not arise in the gradient.
        let nothing = sum.equal(g.scalar(0.0));
        let logarithm = nothing.select(g.scalar(1.0), sum).log();
        nothing.select(g.scalar(f32::NEG_INFINITY), logarithm + shift)
    }
}
