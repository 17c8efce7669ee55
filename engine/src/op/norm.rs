//! Layer normalisation over the last axis (Ba, Kiros and Hinton 2016), fused, with a fused gradient.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.constant([1, 2], &[1.0, 3.0]);
//! let y = x.layer_norm(g.constant([2], &[1.0; 2]), g.constant([2], &[5.0; 2]), 0.0);
//! let mut program = Device::cpu().compile(&g, &[y])?;
//! assert_eq!(program.run(&[])?.f32(0), [4.0, 6.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use std::sync::Arc;

use super::group::{with_groups, with_rows};
use super::softmax::keep_last;
use crate::cpu::for_each_chunk;
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::error::Result;
use crate::graph::{
    Binding, ByRows, CpuCall, Cut, GpuCall, GpuPlan, Halves, Launch, Op, Scalar, Tensor, VjpCall,
    WithoutElements,
};
use crate::shape::{DType, TensorType};

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["layer_norm", "layer_norm_gradient"];

const SHADER: &str = include_str!("../../shaders/norm.wgsl");

/// Operands `x [.., features]`, `scale` and `bias`; outputs `y [.., features]`, and for the gradient the mean and
/// `1 / sqrt(variance + epsilon)` of every row, `[..]`.
///
/// `scale` and `bias` are `[features]`, or have leading dimensions that equal those of `x` up to some dimension and are
/// 1 from there on: each of these groups of rows has weights of its own.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// Added to the variance.
    pub epsilon: f32,
}

/// The gradient of [`LayerNorm`]: operands `x`, `scale`, `mean`, `deviation` (the reciprocal) and the gradient of `y`;
/// outputs the gradients of `x`, `scale` and `bias`.
#[derive(Debug, Clone)]
pub struct LayerNormGradient;

/// Elements that one task of the pool works on.
const TASK: usize = 8 * 1024;
/// Elements above which the pool is worth entering.
const THRESHOLD: usize = 128 * 1024;
/// A mean of more deviations than this is off by so much, for a float, that it shows in what is left when it is taken away.
const FAR: f32 = 16.0;

/// Sizes: `groups` of `rows` rows of `n` elements; `scale` has one row a group.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    groups: usize,
    rows: usize,
    n: usize,
}

impl Sizes {
    fn new(x: &TensorType, scale: &TensorType) -> Sizes {
        let n = x.shape.last().copied().unwrap_or(1);
        let groups = scale.elements() / n;
        Sizes { groups, rows: x.elements() / n / groups, n }
    }

    /// Rows whose contributions to the gradient of `scale` are added up one after another. Few enough that rounding
    /// does not show.
    fn piece(&self) -> usize {
        (TASK / self.n).clamp(8, 128)
    }

    fn pieces(&self) -> usize {
        self.rows.div_ceil(self.piece())
    }
}

/// Whether `scale` has one row for each group of consecutive rows of `x`.
fn grouped(x: &[usize], scale: &[usize]) -> bool {
    if scale.is_empty() || scale.len() > x.len() || scale.last() != x.last() {
        return false;
    }
    let lead = x.len() - scale.len();
    let of = |i: usize| if i < lead { 1 } else { scale[i - lead] };
    let equal = (0..x.len() - 1).take_while(|&i| of(i) == x[i]).count();
    (equal..x.len() - 1).all(|i| of(i) == 1)
}

struct Forward<'a> {
    sizes: Sizes,
    epsilon: f32,
    x: &'a [f32],
    scale: &'a [f32],
    bias: &'a [f32],
    y: SharedPointer,
    mean: SharedPointer,
    deviation: SharedPointer,
    range: std::ops::Range<usize>,
}

/// The sum of `f` over a row's vectors; `f` must be a macro-like expression, since closures are not compiled for the
/// instruction set.
macro_rules! sum_row {
    ($s:ident, $n:ident, |$i:ident, $count:ident| $value:expr) => {{
        let (mut even, mut odd) = ($s.zero(), $s.zero());
        let mut $i = 0;
        while $i + 2 * S::LANES <= $n {
            let $count = S::LANES;
            even = $s.add(even, $value);
            $i += S::LANES;
            odd = $s.add(odd, $value);
            $i += S::LANES;
        }
        while $i < $n {
            let $count = S::LANES.min($n - $i);
            even = $s.add(even, $value);
            $i += S::LANES;
        }
        $s.reduce_add($s.add(even, odd))
    }};
}

/// `v` in the first `count` lanes, 0 in the others.
#[inline(always)]
fn first_lanes<S: Simd>(s: S, v: S::V, count: usize) -> S::V {
    if count == S::LANES {
        return v;
    }
    let mut lanes = [0f32; 16];
    s.store_slice(&mut lanes[..count], v);
    s.load_slice(&lanes[..S::LANES])
}

/// The mean of what is left of a row when `center` is taken away.
#[inline(always)]
fn mean_of_rest<S: Simd>(s: S, x: &[f32], center: S::V) -> f32 {
    let n = x.len();
    sum_row!(s, n, |i, count| first_lanes(s, s.sub(s.load_slice(&x[i..]), center), count)) / n as f32
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Sizes { rows, n, .. } = self.sizes;
        for row in self.range {
            let x = &self.x[row * n..(row + 1) * n];
            let group = row / rows;
            let scale = &self.scale[group * n..(group + 1) * n];
            let bias = &self.bias[group * n..(group + 1) * n];
            let mut mean = sum_row!(s, n, |i, _count| s.load_slice(&x[i..])) / n as f32;
            // What the mean is more than its float says.
            let mut rest = None;
            let deviation = loop {
                let center = s.splat(mean);
                // The second pass over the row keeps the digits that `E[x^2] - E[x]^2` would lose.
                let variance = sum_row!(s, n, |i, count| {
                    let d = first_lanes(s, s.sub(s.load_slice(&x[i..]), center), count);
                    s.mul(d, d)
                }) / n as f32;
                let known: f32 = rest.unwrap_or(0.0);
                let deviation = 1.0 / (variance - known * known + self.epsilon).sqrt();
                if rest.is_some() || mean.abs() * deviation <= FAR || !deviation.is_finite() {
                    break deviation;
                }
                mean += mean_of_rest(s, x, center);
                rest = Some(mean_of_rest(s, x, s.splat(mean)));
            };
            let (center, factor) = (s.splat(mean), s.splat(deviation));
            let shift = s.splat(-rest.unwrap_or(0.0) * deviation);
            // SAFETY: rows lie within the outputs and each belongs to one task.
            let y = unsafe {
                *self.mean.get().add(row) = mean;
                *self.deviation.get().add(row) = deviation;
                std::slice::from_raw_parts_mut(self.y.get().add(row * n), n)
            };
            let mut i = 0;
            while i < n {
                let normal = s.mul_add(s.sub(s.load_slice(&x[i..]), center), factor, shift);
                let value = s.mul_add(normal, s.load_slice(&scale[i..]), s.load_slice(&bias[i..]));
                s.store_slice(&mut y[i..], value);
                i += S::LANES;
            }
        }
    }
}

struct Backward<'a> {
    sizes: Sizes,
    x: &'a [f32],
    scale: &'a [f32],
    mean: &'a [f32],
    deviation: &'a [f32],
    c: &'a [f32],
    dx: SharedPointer,
    /// For every piece the sums for `scale`, then those for `bias`.
    partial: SharedPointer,
    range: std::ops::Range<usize>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Sizes { rows, n, .. } = self.sizes;
        let (piece, pieces) = (self.sizes.piece(), self.sizes.pieces());
        for task in self.range {
            let group = task / pieces;
            let first = task % pieces * piece;
            let scale = &self.scale[group * n..(group + 1) * n];
            // SAFETY: every piece has `2 n` floats of its own.
            let partial =
                unsafe { std::slice::from_raw_parts_mut(self.partial.get().add(task * 2 * n), 2 * n) };
            partial.fill(0.0);
            let (dscale, dbias) = partial.split_at_mut(n);
            for row in group * rows + first..group * rows + rows.min(first + piece) {
                let x = &self.x[row * n..(row + 1) * n];
                let c = &self.c[row * n..(row + 1) * n];
                // SAFETY: rows lie within the output and each belongs to one task.
                let dx = unsafe { std::slice::from_raw_parts_mut(self.dx.get().add(row * n), n) };
                let (center, factor) = (s.splat(self.mean[row]), s.splat(self.deviation[row]));
                let far = self.mean[row].abs() * self.deviation[row] > FAR;
                let rest = if far { mean_of_rest(s, x, center) } else { 0.0 };
                let shift = s.splat(-rest * self.deviation[row]);
                let (mut sum, mut product) = (s.zero(), s.zero());
                let mut i = 0;
                while i < n {
                    // Lanes past the end have c = 0 and add nothing.
                    let cotangent = s.load_slice(&c[i..]);
                    let g = s.mul(cotangent, s.load_slice(&scale[i..]));
                    let normal = s.mul_add(s.sub(s.load_slice(&x[i..]), center), factor, shift);
                    sum = s.add(sum, g);
                    product = s.mul_add(g, normal, product);
                    let for_scale = s.mul_add(cotangent, normal, s.load_slice(&dscale[i..]));
                    let for_bias = s.add(cotangent, s.load_slice(&dbias[i..]));
                    s.store_slice(&mut dscale[i..], for_scale);
                    s.store_slice(&mut dbias[i..], for_bias);
                    i += S::LANES;
                }
                let sum = s.splat(s.reduce_add(sum) / n as f32);
                let product = s.splat(s.reduce_add(product) / n as f32);
                let mut i = 0;
                while i < n {
                    let g = s.mul(s.load_slice(&c[i..]), s.load_slice(&scale[i..]));
                    let normal = s.mul_add(s.sub(s.load_slice(&x[i..]), center), factor, shift);
                    let value = s.mul(factor, s.neg_mul_add(normal, product, s.sub(g, sum)));
                    s.store_slice(&mut dx[i..], value);
                    i += S::LANES;
                }
            }
        }
    }
}

/// Whether all rows share one scale and bias. Groups of rows with weights of their own would have to be cut where they end.
fn one_group(operands: &[TensorType]) -> bool {
    operands[1].elements() == operands[0].shape.last().copied().unwrap_or(1)
}

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, scale, bias] = operands else { return Err("takes x, scale and bias".into()) };
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        if scale.shape != bias.shape || !grouped(&x.shape, &scale.shape) {
            return Err(
                "scale and bias must be [features], or have one row for each group of rows of x".into()
            );
        }
        let rows = TensorType::f32(x.shape.leading(1));
        Ok(vec![x.clone(), rows.clone(), rows])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (x, scale) = (call.operands[0], call.operands[1]);
        let (mean, deviation) = (call.outputs[1], call.outputs[2]);
        let mut gradients = match call.cotangents[0] {
            Some(c) => x
                .graph()
                .apply(LayerNormGradient, &[x, scale, mean, deviation, c])
                .into_iter()
                .take(3)
                .map(Some)
                .collect(),
            None => vec![None; 3],
        };
        let n = x.shape().last().copied().unwrap_or(1) as f32;
        // Differentiating the gradient again arrives at the row's mean and deviation, too.
        let mut add = |part: Tensor<'g>| {
            gradients[0] = Some(gradients[0].map_or(part, |sum| sum + part));
        };
        if let Some(c) = call.cotangents[1] {
            add(keep_last(c * (1.0 / n)).broadcast_to(x.shape()));
        }
        if let Some(c) = call.cotangents[2] {
            let factor = c * deviation * deviation * deviation * (-1.0 / n);
            add(keep_last(factor) * (x - keep_last(mean)));
        }
        Ok(gradients)
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let [x, scale, bias] = operands else { return None };
        let mean = x.mean(&[-1]);
        let centered = *x - keep_last(mean);
        // A large mean is off by enough to show.
        let centered = centered - keep_last(centered.mean(&[-1]));
        let deviation = (centered.square().mean(&[-1]) + self.epsilon).sqrt().reciprocal();
        Some(vec![centered * keep_last(deviation) * *scale + *bias, mean, deviation])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let sizes = Sizes::new(call.inputs[0].of, call.inputs[1].of);
        let (x, scale, bias) = (call.inputs[0].f32(), call.inputs[1].f32(), call.inputs[2].f32());
        let [y, mean, deviation] = call.outputs else { return Ok(()) };
        let y = SharedPointer(y.f32().as_mut_ptr());
        let mean = SharedPointer(mean.f32().as_mut_ptr());
        let deviation = SharedPointer(deviation.f32().as_mut_ptr());
        let epsilon = self.epsilon;
        let parallel = call.parallel.above(x.len(), THRESHOLD);
        for_each_chunk(parallel, sizes.groups * sizes.rows, TASK.div_ceil(sizes.n), |range| {
            dispatch(Forward { sizes, epsilon, x, scale, bias, y, mean, deviation, range });
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let Sizes { groups, rows, n } = Sizes::new(&call.operands[0], &call.operands[1]);
        let (shader, workgroups) = with_rows(call, SHADER, groups * rows, n);
        Ok(Launch {
            shader,
            entry: "forward",
            constants: Vec::new(),
            bindings: (0..3).map(Binding::Input).chain((0..3).map(Binding::Output)).collect(),
            parameters: vec![(groups * rows) as u32, rows as u32, n as u32, self.epsilon.to_bits()],
            workgroups,
        }
        .into())
    }

    fn cuts(&self, operands: &[TensorType], outputs: &[TensorType]) -> Vec<Cut> {
        if !one_group(operands) {
            return Vec::new();
        }
        let lead = operands[0].shape.leading(1);
        Cut::along(lead, &[lead, &[], &[]], outputs.len())
    }

    fn by_rows(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Option<ByRows> {
        one_group(operands).then(|| ByRows { op: Arc::new(self.clone()), sliced: vec![true, false, false] })
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        8 * operands[0].elements() as u64
    }
}

impl Op for LayerNormGradient {
    fn name(&self) -> &'static str {
        "layer_norm_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [x, scale, mean, deviation, c] = operands else {
            return Err("takes x, scale, mean, deviation and a gradient".into());
        };
        if operands.iter().any(|t| t.dtype != DType::F32)
            || c != x
            || !grouped(&x.shape, &scale.shape)
            || mean.shape[..] != *x.shape.leading(1)
            || deviation != mean
        {
            return Err("the operands are not those of a layer norm".into());
        }
        Ok(vec![x.clone(), scale.clone(), scale.clone()])
    }

    fn without_elements(&self) -> WithoutElements {
        // Of no rows the gradients of scale and bias are sums of nothing.
        WithoutElements::Zeros
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let [x, scale, mean, deviation, c] = operands else { return None };
        let factor = keep_last(*deviation);
        let normal = (*x - keep_last(*mean)) * factor;
        let g = *c * *scale;
        let dx = factor * (g - keep_last(g.mean(&[-1])) - normal * keep_last((g * normal).mean(&[-1])));
        Some(vec![dx, (*c * normal).sum_to(scale.shape()), c.sum_to(scale.shape())])
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        if !one_group(operands) {
            return Vec::new();
        }
        let lead = operands[0].shape.leading(1);
        let mut cuts = Cut::along(lead, &[lead, &[], lead, lead, lead], 1);
        // Those of scale and bias are sums over all rows.
        cuts.iter_mut().for_each(|cut| cut.outputs.extend([Halves::Meet(Scalar::Add); 2]));
        cuts
    }

    fn cpu_scratch(&self, operands: &[TensorType], _outputs: &[TensorType]) -> usize {
        let sizes = Sizes::new(&operands[0], &operands[1]);
        sizes.groups * sizes.pieces() * 2 * sizes.n
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let sizes = Sizes::new(call.inputs[0].of, call.inputs[1].of);
        let [x, scale, mean, deviation, c] = call.inputs else { return Ok(()) };
        let (x, scale, c) = (x.f32(), scale.f32(), c.f32());
        let (mean, deviation) = (mean.f32(), deviation.f32());
        let [dx, dscale, dbias] = call.outputs else { return Ok(()) };
        let dx = SharedPointer(dx.f32().as_mut_ptr());
        let partial = SharedPointer(call.scratch.as_mut_ptr());
        let (n, pieces) = (sizes.n, sizes.pieces());
        let parallel = call.parallel.above(x.len(), THRESHOLD);
        let chunk = TASK.div_ceil(n * sizes.piece().min(sizes.rows));
        for_each_chunk(parallel, sizes.groups * pieces, chunk, |range| {
            dispatch(Backward { sizes, x, scale, mean, deviation, c, dx, partial, range });
        });
        let (dscale, dbias) = (dscale.f32(), dbias.f32());
        for group in 0..sizes.groups {
            let span = group * n..(group + 1) * n;
            let (dscale, dbias) = (&mut dscale[span.clone()], &mut dbias[span]);
            dscale.fill(0.0);
            dbias.fill(0.0);
            for piece in group * pieces..(group + 1) * pieces {
                let (a, b) = call.scratch[piece * 2 * n..(piece + 1) * 2 * n].split_at(n);
                for i in 0..n {
                    dscale[i] += a[i];
                    dbias[i] += b[i];
                }
            }
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let Sizes { groups, rows, n } = Sizes::new(&call.operands[0], &call.operands[1]);
        let inputs = || (0..5).map(Binding::Input);
        // Rows that one workgroup adds up for scale and bias.
        let piece = 256;
        let pieces = rows.div_ceil(piece);
        let tiles = groups * pieces * n.div_ceil(32);
        let sums = if pieces == 1 {
            [Binding::Output(1), Binding::Output(2)]
        } else {
            [Binding::Scratch(0), Binding::Scratch(1)]
        };
        let mut plan = GpuPlan::default();
        let (shader, workgroups) = with_rows(call, SHADER, groups * rows, n);
        plan.launches.push(Launch {
            shader,
            entry: "backward",
            constants: Vec::new(),
            bindings: inputs().chain([Binding::Output(0)]).collect(),
            parameters: vec![(groups * rows) as u32, rows as u32, n as u32, 0],
            workgroups,
        });
        plan.launches.push(Launch {
            shader: with_groups(call, SHADER),
            entry: "weights",
            constants: Vec::new(),
            bindings: [0, 2, 3, 4].map(Binding::Input).into_iter().chain(sums).collect(),
            parameters: vec![groups as u32, rows as u32, n as u32, piece as u32],
            workgroups: call.groups(tiles, 1),
        });
        if pieces > 1 {
            plan.scratch = vec![groups * pieces * n; 2];
            for i in 0..2 {
                let shape = [groups, pieces, n];
                let source = (Binding::ScratchRead(i), &shape[..], &[1usize][..]);
                let target = Binding::Output(1 + i);
                super::reduce::reduce_gpu(call, &mut plan, super::reduce::Reduction::Sum, source, target);
            }
        }
        Ok(plan)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        16 * operands[0].elements() as u64
    }
}

impl<'g> Tensor<'g> {
    /// Normalises the last axis to mean 0 and variance 1 (`epsilon` is added to the variance, 1e-5 as a rule), then
    /// multiplies by `scale` and adds `bias`: `[features]`, or with leading dimensions that broadcast to those of
    /// this tensor.
    pub fn layer_norm(self, scale: Tensor<'g>, bias: Tensor<'g>, epsilon: f32) -> Tensor<'g> {
        let g = self.graph();
        let (shape, of) = (self.shape(), scale.shape());
        if of == bias.shape() && (grouped(&shape, &of) || shape.broadcast(&of).as_ref() != Some(&shape)) {
            return g.apply_one(LayerNorm { epsilon }, &[self, scale, bias]);
        }
        let n = shape.last().copied().unwrap_or(1);
        let normal = g.apply_one(LayerNorm { epsilon }, &[self, g.full([n], 1.0), g.full([n], 0.0)]);
        normal * scale + bias
    }
}
