//! Two-dimensional convolution, channels last, and its two gradients. All three are linear in each of their operands
//! and are the gradients of one another, so derivatives of any order stay within this file.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! // The sum of each 2 x 2 window of an image of ones.
//! let image = g.constant([1, 3, 3, 1], &[1.0; 9]);
//! let weight = g.constant([2, 2, 1, 1], &[1.0; 4]);
//! let sums = image.conv2d(weight, [1, 1], [0, 0]);
//! let mut program = Device::cpu().compile(&g, &[sums])?;
//! assert_eq!(program.run(&[])?.f32(0), [4.0; 4]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use std::sync::Arc;

use super::matmul::activation;
use super::product::{LANE_DIMENSIONS, OWN, Product, Tile};
use crate::cpu::conv;
use crate::cpu::gemm::Epilogue;
use crate::error::{Error, Result};
use crate::graph::{CpuCall, Cut, GpuCall, GpuPlan, Op, Scalar, Tensor, VjpCall, WithoutElements};
use crate::shape::{DType, Shape, TensorType};

/// WGSL of the convolutions.
const SHADER: &str = concat!(
    include_str!("../../shaders/special.wgsl"),
    include_str!("../../shaders/elementwise.wgsl"),
    include_str!("../../shaders/product.wgsl"),
    include_str!("../../shaders/product_tile.wgsl"),
    include_str!("../../shaders/conv.wgsl"),
);

/// Names of the ops of this family.
pub const NAMES: &[&str] = &["conv2d", "conv2d_input_gradient", "conv2d_weight_gradient"];

/// How the window moves: steps, and rows and columns of zeros around the image, each `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From one place of the window to the next.
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: [usize; 2],
}

/// `x` of `[.., height, width, in]` with `weight` of `[rows, columns, in, out]` gives `[.., height', width', out]`, where
/// `height' = (height + 2 padding - rows) / stride + 1`, rounded down. As usual in learning it is a correlation: the
/// window is not mirrored. A weight with lanes, `[lanes.., rows, columns, in, out]`, takes `x` of
/// `[lanes.., images, height, width, in]`; lanes are broadcast.
#[derive(Debug, Clone)]
pub struct Conv2d {
    window: Window,
    bias: bool,
    activation: Option<Scalar>,
}

impl Conv2d {
    /// A convolution without bias and activation; those are fused in at compilation.
    pub fn new(window: Window) -> Self {
        Conv2d { window, bias: false, activation: None }
    }
}

/// The gradient of [`Conv2d`] with respect to its input, whose height and width are `image`, from the cotangent
/// `[.., height', width', out]` and the weight.
#[derive(Debug, Clone)]
pub struct Conv2dInputGradient {
    window: Window,
    image: [usize; 2],
}

/// The gradient of [`Conv2d`] with respect to its weight, whose rows and columns are `kernel`, from the input
/// `[lanes.., images, height, width, in]` and the cotangent `[lanes.., images, height', width', out]`: the sum over
/// images, `[lanes.., rows, columns, in, out]`.
#[derive(Debug, Clone)]
pub struct Conv2dWeightGradient {
    window: Window,
    kernel: [usize; 2],
}

/// Sizes of one lane of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub images: usize,
    /// Height and width of the input.
    pub image: [usize; 2],
    pub inputs: usize,
    pub kernel: [usize; 2],
    /// Height and width of the output.
    pub output: [usize; 2],
    pub outputs: usize,
    pub window: Window,
}

impl Sizes {
    fn x(&self) -> usize {
        self.images * self.image[0] * self.image[1] * self.inputs
    }
    fn weight(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.inputs * self.outputs
    }
    fn y(&self) -> usize {
        self.images * self.output[0] * self.output[1] * self.outputs
    }
    fn operations(&self) -> u64 {
        2 * self.y() as u64 * (self.kernel[0] * self.kernel[1] * self.inputs) as u64
    }
    fn kernel(&self) -> conv::Conv2d {
        conv::Conv2d {
            images: self.images,
            height: self.image[0],
            width: self.image[1],
            channels_in: self.inputs,
            channels_out: self.outputs,
            kernel: self.kernel,
            stride: self.window.stride,
            padding: self.window.padding,
        }
    }
}

/// Which of the three products of a convolution; the numbers are the shader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Forward = 0,
    Input = 1,
    Weight = 2,
}

/// Sizes of a lane, and the offsets of the lanes.
struct Plan {
    sizes: Sizes,
    lanes: Shape,
    /// Strides, in lanes, of the operands x, weight and y.
    strides: [Vec<usize>; 3],
}

impl Plan {
    fn new(sizes: Sizes, lanes: [Shape; 3]) -> Result<Self, String> {
        let unfit = "the leading dimensions do not broadcast";
        let all = lanes[0].broadcast(&lanes[1]).and_then(|s| s.broadcast(&lanes[2])).ok_or(unfit)?;
        let strides = |i: usize| lanes[i].broadcast_strides(&all).ok_or(unfit);
        Ok(Plan { sizes, strides: [strides(0)?, strides(1)?, strides(2)?], lanes: all })
    }

    /// The launches of the product whose first and second matrix come from operands `a` and `b` of x, weight and y.
    fn gpu(
        &self,
        op: &dyn Op,
        call: &GpuCall<'_>,
        kind: Kind,
        (bias, activation): (bool, Option<Scalar>),
    ) -> Result<GpuPlan> {
        let z = self.sizes;
        if self.lanes.len() > LANE_DIMENSIONS {
            let (needed, most) = (self.lanes.len() as u64, LANE_DIMENSIONS as u64);
            return Err(call.limit(op, "dimensions of lanes", needed, most));
        }
        let taps = z.kernel[0] * z.kernel[1];
        let (places, pixels) = (z.output[0] * z.output[1], z.image[0] * z.image[1]);
        let (m, n, k, a, b) = match kind {
            Kind::Forward => (z.images * places, z.outputs, taps * z.inputs, (0, z.x()), (1, z.weight())),
            Kind::Input => (z.images * pixels, z.inputs, taps * z.outputs, (2, z.y()), (1, z.weight())),
            Kind::Weight => (taps * z.inputs, z.outputs, z.images * places, (0, z.x()), (2, z.y())),
        };
        let mut own = [[0usize; 4]; OWN];
        own[0] = [z.image[0], z.image[1], z.inputs, z.outputs];
        own[1] = [z.kernel[0], z.kernel[1], z.output[0], z.output[1]];
        own[2] = [z.window.stride[0], z.window.stride[1], z.window.padding[0], z.window.padding[1]];
        own[3] = [a.1, b.1, self.lanes.len(), 0];
        for (d, &size) in self.lanes.iter().enumerate() {
            own[4 + d] = [size, self.strides[a.0][d], self.strides[b.0][d], 0];
        }
        let flag = |by: bool| if by { 1.0 } else { 0.0 };
        let constants = vec![
            ("KIND", f64::from(kind as u32)),
            ("TERMS_BY_ROW", flag(kind != Kind::Weight)),
            ("TERMS_BY_COLUMN", flag(kind == Kind::Input)),
        ];
        let (lanes, own) = (self.lanes.elements(), own.map(|v| v.map(|x| x as u32)));
        let product = Product { m, n, k, lanes, bias, activation, operands: [0, 1], own };
        let tile = Tile { sides: [64, 64], step: 16, lanes: 1 };
        product.tiled(op, call, (SHADER.into(), "tiled"), constants, tile)
    }

    /// Calls `body` for every lane with its number in x, the weight and y.
    fn for_each_lane(&self, mut body: impl FnMut([usize; 3]) -> Result<()>) -> Result<()> {
        for lane in 0..self.lanes.elements() {
            let (mut rest, mut at) = (lane, [0; 3]);
            for d in (0..self.lanes.len()).rev() {
                let index = rest % self.lanes[d];
                rest /= self.lanes[d];
                for (at, strides) in at.iter_mut().zip(&self.strides) {
                    *at += index * strides[d];
                }
            }
            body(at)?;
        }
        Ok(())
    }
}

fn floats(operands: &[TensorType], count: usize) -> Result<(), String> {
    if operands.len() != count {
        return Err(format!("takes {count} operands"));
    }
    match operands.iter().all(|t| t.dtype == DType::F32) {
        true => Ok(()),
        false => Err("takes f32 operands".into()),
    }
}

fn moves(window: Window) -> Result<(), String> {
    if window.stride.contains(&0) { Err("the stride must be at least 1".into()) } else { Ok(()) }
}

/// Lanes, images and the last three dimensions. Without lanes in the weight all leading dimensions are images.
fn images(shape: &Shape, lanes: bool) -> Result<(Shape, usize, [usize; 3]), String> {
    let rank = shape.len();
    if rank < 3 + usize::from(lanes) {
        return Err(
            "takes images of [.., height, width, channels], and of [lanes.., images, height, width, \
                    channels] where the weight has lanes"
                .into(),
        );
    }
    let last = [shape[rank - 3], shape[rank - 2], shape[rank - 1]];
    Ok(match lanes {
        true => (Shape::from(shape.leading(4)), shape[rank - 4], last),
        false => (Shape::default(), shape.leading(3).iter().product(), last),
    })
}

/// Lanes and the last four dimensions.
fn kernels(shape: &Shape) -> Result<(Shape, [usize; 4]), String> {
    let rank = shape.len();
    if rank < 4 {
        return Err("takes a weight of [.., rows, columns, in, out]".into());
    }
    Ok((Shape::from(shape.leading(4)), [shape[rank - 4], shape[rank - 3], shape[rank - 2], shape[rank - 1]]))
}

fn places(window: Window, image: [usize; 2], kernel: [usize; 2]) -> Result<[usize; 2], String> {
    let mut output = [0; 2];
    for axis in 0..2 {
        let padded = image[axis].saturating_add(window.padding[axis].saturating_mul(2));
        let free = padded.checked_sub(kernel[axis]);
        let free = free.ok_or_else(|| format!("the window {kernel:?} is larger than the padded image"))?;
        output[axis] = free / window.stride[axis] + 1;
    }
    Ok(output)
}

/// The lead of a result that has one lane an element of `lanes`, or the lead of `like` where the weight has no lanes.
fn with_lead(plan: &Plan, like: &Shape, lanes: bool, last: [usize; 3]) -> TensorType {
    let mut shape = match lanes {
        true => [&plan.lanes[..], &[plan.sizes.images]].concat(),
        false => like.leading(3).to_vec(),
    };
    shape.extend(last);
    TensorType::f32(shape)
}

impl Conv2d {
    fn plan(&self, x: &Shape, weight: &Shape) -> Result<Plan, String> {
        moves(self.window)?;
        let (lanes, [rows, columns, inputs, outputs]) = kernels(weight)?;
        let (of_x, images, [height, width, channels]) = images(x, !lanes.is_empty())?;
        if channels != inputs {
            return Err(format!("the images have {channels} channels and the weight takes {inputs}"));
        }
        let (image, kernel) = ([height, width], [rows, columns]);
        let output = places(self.window, image, kernel)?;
        let sizes = Sizes { images, image, inputs, kernel, output, outputs, window: self.window };
        let all = of_x.broadcast(&lanes).ok_or("the leading dimensions do not broadcast")?;
        Plan::new(sizes, [of_x, lanes, all])
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        floats(operands, 2 + usize::from(self.bias))?;
        let (x, weight) = (&operands[0].shape, &operands[1].shape);
        let plan = self.plan(x, weight)?;
        let Sizes { output: [height, width], outputs, .. } = plan.sizes;
        if self.bias && *operands[2].shape != [outputs] {
            return Err(format!("the bias must have the shape [{outputs}]"));
        }
        Ok(vec![with_lead(&plan, x, weight.len() > 4, [height, width, outputs])])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Zeros
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        if self.bias || self.activation.is_some() {
            let message = "bias and activation are fused after differentiation".into();
            return Err(Error::NoGradient { op: "conv2d".into(), message });
        }
        let (x, weight, c) = (call.operands[0], call.operands[1], call.cotangent(0));
        let of_x = call.wanted[0].then(|| input_gradient(self.window, c, weight, x.shape()));
        let of_weight = call.wanted[1].then(|| weight_gradient(self.window, x, c, weight.shape()));
        Ok(vec![of_x, of_weight])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let [x, weight] = [0, 1].map(|i| call.inputs[i]);
        let plan = self.plan(&x.of.shape, &weight.of.shape).map_err(Error::Graph)?;
        let z = plan.sizes;
        let bias = self.bias.then(|| call.inputs[2].f32());
        let epilogue = Epilogue::new(bias, activation(self.activation));
        let parallel = call.parallel;
        let out = call.outputs[0].f32();
        plan.for_each_lane(|[lx, lw, ly]| {
            let x = &x.f32()[lx * z.x()..][..z.x()];
            let weight = &weight.f32()[lw * z.weight()..][..z.weight()];
            Ok(z.kernel().forward(x, weight, &mut out[ly * z.y()..][..z.y()], epilogue, parallel)?)
        })
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = self.plan(&call.operands[0].shape, &call.operands[1].shape).map_err(Error::Graph)?;
        plan.gpu(self, call, Kind::Forward, (self.bias, self.activation))
    }

    fn with_epilogue(&self, bias: bool, activation: Option<Scalar>) -> Option<Arc<dyn Op>> {
        let known =
            matches!(activation, None | Some(Scalar::Relu | Scalar::Tanh | Scalar::Sigmoid | Scalar::Gelu));
        let plain = !self.bias && self.activation.is_none();
        (known && plain).then(|| Arc::new(Conv2d { bias, activation, ..self.clone() }) as Arc<dyn Op>)
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        along_images(operands)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operations(self.plan(&operands[0].shape, &operands[1].shape))
    }
}

/// Half of the images each, where all share a weight.
fn along_images(operands: &[TensorType]) -> Vec<Cut> {
    if operands[1].shape.len() != 4 {
        return Vec::new();
    }
    let lead = operands[0].shape.leading(3);
    Cut::along(lead, &[lead, &[], &[]][..operands.len()], 1)
}

fn operations(plan: Result<Plan, String>) -> u64 {
    plan.map_or(0, |p| p.sizes.operations() * p.lanes.elements() as u64)
}

/// The gradient with respect to an input of this shape.
fn input_gradient<'g>(window: Window, c: Tensor<'g>, weight: Tensor<'g>, of: Shape) -> Tensor<'g> {
    let rank = of.len();
    let image = [of[rank - 3], of[rank - 2]];
    c.graph().apply_one(Conv2dInputGradient { window, image }, &[c, weight]).sum_to(of)
}

/// The gradient with respect to a weight of this shape.
fn weight_gradient<'g>(window: Window, x: Tensor<'g>, c: Tensor<'g>, of: Shape) -> Tensor<'g> {
    let rank = of.len();
    let op = Conv2dWeightGradient { window, kernel: [of[rank - 4], of[rank - 3]] };
    let merged = |t: Tensor<'g>| {
        let shape = t.shape();
        let last = &shape[shape.len() - 3..];
        t.reshape([&[shape.leading(3).iter().product()], last].concat())
    };
    let operands = if rank == 4 { [merged(x), merged(c)] } else { [x, c] };
    x.graph().apply_one(op, &operands).sum_to(of)
}

impl Conv2dInputGradient {
    fn plan(&self, c: &Shape, weight: &Shape) -> Result<Plan, String> {
        moves(self.window)?;
        let (lanes, [rows, columns, inputs, outputs]) = kernels(weight)?;
        let (of_c, images, [height, width, channels]) = images(c, !lanes.is_empty())?;
        let kernel = [rows, columns];
        let output = places(self.window, self.image, kernel)?;
        if channels != outputs || [height, width] != output {
            return Err(format!("the cotangent must be [.., {}, {}, {outputs}]", output[0], output[1]));
        }
        let sizes = Sizes { images, image: self.image, inputs, kernel, output, outputs, window: self.window };
        let all = of_c.broadcast(&lanes).ok_or("the leading dimensions do not broadcast")?;
        Plan::new(sizes, [all, lanes, of_c])
    }
}

impl Op for Conv2dInputGradient {
    fn name(&self) -> &'static str {
        "conv2d_input_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        floats(operands, 2)?;
        let (c, weight) = (&operands[0].shape, &operands[1].shape);
        let plan = self.plan(c, weight)?;
        let Sizes { image: [height, width], inputs, .. } = plan.sizes;
        Ok(vec![with_lead(&plan, c, weight.len() > 4, [height, width, inputs])])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Zeros
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (y, weight, c) = (call.operands[0], call.operands[1], call.cotangent(0));
        // Linear in both: the adjoint of what goes from y to x is what goes from x to y.
        let of_y = call.wanted[0].then(|| {
            let forward = Conv2d::new(self.window);
            c.graph().apply_one(forward, &[c, weight]).sum_to(y.shape())
        });
        let of_weight = call.wanted[1].then(|| weight_gradient(self.window, c, y, weight.shape()));
        Ok(vec![of_y, of_weight])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let [c, weight] = [0, 1].map(|i| call.inputs[i]);
        let plan = self.plan(&c.of.shape, &weight.of.shape).map_err(Error::Graph)?;
        let (z, parallel) = (plan.sizes, call.parallel);
        let out = call.outputs[0].f32();
        plan.for_each_lane(|[lx, lw, ly]| {
            let c = &c.f32()[ly * z.y()..][..z.y()];
            let weight = &weight.f32()[lw * z.weight()..][..z.weight()];
            Ok(z.kernel().input_gradient(c, weight, &mut out[lx * z.x()..][..z.x()], parallel)?)
        })
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = self.plan(&call.operands[0].shape, &call.operands[1].shape).map_err(Error::Graph)?;
        plan.gpu(self, call, Kind::Input, (false, None))
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        along_images(operands)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operations(self.plan(&operands[0].shape, &operands[1].shape))
    }
}

impl Conv2dWeightGradient {
    fn plan(&self, x: &Shape, c: &Shape) -> Result<Plan, String> {
        moves(self.window)?;
        let (of_x, count, [height, width, inputs]) = images(x, true)?;
        let (of_c, of_count, [rows, columns, outputs]) = images(c, true)?;
        let image = [height, width];
        let output = places(self.window, image, self.kernel)?;
        if of_count != count || [rows, columns] != output {
            return Err(format!(
                "the cotangent must be [.., {count}, {}, {}, channels]",
                output[0], output[1]
            ));
        }
        let (kernel, window) = (self.kernel, self.window);
        let sizes = Sizes { images: count, image, inputs, kernel, output, outputs, window };
        let all = of_x.broadcast(&of_c).ok_or("the leading dimensions do not broadcast")?;
        Plan::new(sizes, [of_x, all, of_c])
    }
}

impl Op for Conv2dWeightGradient {
    fn name(&self) -> &'static str {
        "conv2d_weight_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        floats(operands, 2)?;
        let plan = self.plan(&operands[0].shape, &operands[1].shape)?;
        let Sizes { kernel: [rows, columns], inputs, outputs, .. } = plan.sizes;
        Ok(vec![TensorType::f32([&plan.lanes[..], &[rows, columns, inputs, outputs]].concat())])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::Zeros
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (x, y, c) = (call.operands[0], call.operands[1], call.cotangent(0));
        let of_x = call.wanted[0].then(|| input_gradient(self.window, y, c, x.shape()));
        let of_y = call.wanted[1].then(|| {
            let forward = Conv2d::new(self.window);
            c.graph().apply_one(forward, &[x, c]).sum_to(y.shape())
        });
        Ok(vec![of_x, of_y])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let [x, c] = [0, 1].map(|i| call.inputs[i]);
        let plan = self.plan(&x.of.shape, &c.of.shape).map_err(Error::Graph)?;
        let (z, parallel) = (plan.sizes, call.parallel);
        let out = call.outputs[0].f32();
        plan.for_each_lane(|[lx, lw, ly]| {
            let x = &x.f32()[lx * z.x()..][..z.x()];
            let c = &c.f32()[ly * z.y()..][..z.y()];
            Ok(z.kernel().weight_gradient(x, c, &mut out[lw * z.weight()..][..z.weight()], parallel)?)
        })
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = self.plan(&call.operands[0].shape, &call.operands[1].shape).map_err(Error::Graph)?;
        plan.gpu(self, call, Kind::Weight, (false, None))
    }

    fn cuts(&self, operands: &[TensorType], _outputs: &[TensorType]) -> Vec<Cut> {
        let (x, c) = (&operands[0].shape, &operands[1].shape);
        if x.len() == 4 && c.len() == 4 { Cut::across(&[(x, 0), (c, 0)]) } else { Vec::new() }
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        operations(self.plan(&operands[0].shape, &operands[1].shape))
    }
}

impl<'g> Tensor<'g> {
    /// The convolution of these images `[.., height, width, in]` with a weight `[rows, columns, in, out]` (channels last,
    /// as in JAX): `[.., height', width', out]`. See [`Conv2d`] for weights with lanes. `stride` and `padding` are
    /// `[vertical, horizontal]`; padding is with zeros, on each side.
    pub fn conv2d(self, weight: Tensor<'g>, stride: [usize; 2], padding: [usize; 2]) -> Tensor<'g> {
        self.graph().apply_one(Conv2d::new(Window { stride, padding }), &[self, weight])
    }
}
