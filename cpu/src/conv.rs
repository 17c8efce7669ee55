//! Convolution in two dimensions over many small images, channels last, and its two gradients.
//!
//! Nothing is unrolled into a matrix of windows. At one place of the output the windows of all images lie a fixed
//! stride apart, and a row of a window is one run of memory in the image as in the weights; so a tile of the matrix
//! product ([`super::gemm`]) with images for rows and output channels for columns computes the place, with as many
//! runs as the window has rows inside the image. Taps outside the image are never touched.
//!
//! Sums go over the rows, the columns and the channels of the window in this order; those of the weights' gradient
//! over the images in blocks of a fixed size. The number of threads changes no bit.
//!
//! ```
//! use synod_cpu::Parallel;
//! use synod_cpu::conv::Conv2d;
//! use synod_cpu::gemm::Epilogue;
//! // The sums of the 2 x 2 windows of one image of 3 x 3 ones.
//! let conv = Conv2d {
//!     images: 1,
//!     height: 3,
//!     width: 3,
//!     channels_in: 1,
//!     channels_out: 1,
//!     kernel: [2, 2],
//!     stride: [1, 1],
//!     padding: [0, 0],
//! };
//! let mut out = vec![0.0; conv.out_height() * conv.out_width()];
//! conv.forward(&[1.0; 9], &[1.0; 4], &mut out, Epilogue::NONE, Parallel::Serial)?;
//! assert_eq!(out, [4.0; 4]);
//! # Ok::<(), synod_cpu::Misfit>(())
//! ```

use super::gemm::micro::{Runs, Tile, panels};
use super::gemm::{Activation, Curve, Epilogue};
use super::pool::{Parallel, for_each_chunk_mut};
use super::simd::{Isa, Kernel, Simd, dispatch_on};
use crate::{Misfit, Result};
use std::cell::Cell;
use std::ops::Range;

/// Multiply-adds above which the pool is used where it may be.
const POOL_WORK: usize = 600_000;
/// Multiply-adds of a piece, about.
const PIECE_WORK: usize = 300_000;
/// Fewer images than this go pixel by pixel: there the pixels of a row take the place of the images.
const FEW_IMAGES: usize = 4;

thread_local! {
    /// Turned weights and partial sums, kept for the next run.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The sizes of a convolution of `x` `[images, height, width, channels_in]` with weights
/// `[kernel[0], kernel[1], channels_in, channels_out]` into `[images, out_height, out_width, channels_out]`. As in
/// all of deep learning it is a correlation: the kernel is not turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Images in the batch.
    pub images: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Steps of the window along rows and columns.
    pub stride: [usize; 2],
    /// Zeros added on both sides of the rows and of the columns.
    pub padding: [usize; 2],
}

/// Window positions along one direction: which taps fall inside the image.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    out: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Axis {
    /// The taps inside the image at output position `o`.
    fn taps(&self, o: usize) -> Range<usize> {
        let start = self.padding.saturating_sub(o * self.stride);
        let end = (self.size + self.padding).saturating_sub(o * self.stride).min(self.kernel);
        start..end.max(start)
    }

    /// Where tap `k` at output position `o` lies; the tap must be inside.
    fn at(&self, o: usize, k: usize) -> usize {
        o * self.stride + k - self.padding
    }

    /// The output positions at which tap `k` is inside.
    fn places(&self, k: usize) -> Range<usize> {
        let start = self.padding.saturating_sub(k).div_ceil(self.stride);
        let end = (self.size + self.padding).saturating_sub(k).div_ceil(self.stride).min(self.out);
        start..end.max(start)
    }

    /// The end of the run of output positions from `o` on with the same taps.
    fn same_taps(&self, o: usize) -> usize {
        let taps = self.taps(o);
        (o..self.out).find(|&next| self.taps(next) != taps).unwrap_or(self.out)
    }
}

impl Conv2d {
    /// Rows of the output: `(height + 2 padding - kernel) / stride + 1`, 0 where the kernel does not fit.
    pub fn out_height(&self) -> usize {
        out_size(self.height, self.kernel[0], self.stride[0], self.padding[0])
    }

    /// Columns of the output, as [`Conv2d::out_height`].
    pub fn out_width(&self) -> usize {
        out_size(self.width, self.kernel[1], self.stride[1], self.padding[1])
    }

    /// `out = activation(convolution of x with weights + bias)`.
    ///
    /// # Errors
    /// [`Misfit`] where a stride is 0 or a slice has the wrong length.
    pub fn forward(
        &self,
        x: &[f32],
        weights: &[f32],
        out: &mut [f32],
        epilogue: Epilogue,
        parallel: Parallel,
    ) -> Result<()> {
        self.forward_on(Isa::best(), x, weights, out, epilogue, parallel)
    }

    fn forward_on(
        &self,
        isa: Isa,
        x: &[f32],
        weights: &[f32],
        out: &mut [f32],
        epilogue: Epilogue,
        parallel: Parallel,
    ) -> Result<()> {
        let work = self.check(x.len(), weights.len(), out.len())?;
        if epilogue.bias.is_some_and(|bias| bias.len() != self.channels_out) {
            return Err(self.fault("the bias needs one value a channel"));
        }
        if out.is_empty() {
            return Ok(());
        }
        let y_size = out.len() / self.images;
        let x_size = x.len() / self.images;
        for_each_chunk_mut(parallel.above(work, POOL_WORK), out, y_size, self.chunk(work), |images, out| {
            let x = &x[images.start * x_size..images.end * x_size];
            dispatch_on(
                isa,
                Forward { c: Conv2d { images: images.len(), ..*self }, x, weights, out, epilogue },
            );
        });
        Ok(())
    }

    /// The gradient for `x` from that of the output: overwrites `x_gradient`.
    ///
    /// # Errors
    /// As [`Conv2d::forward`].
    pub fn input_gradient(
        &self,
        out_gradient: &[f32],
        weights: &[f32],
        x_gradient: &mut [f32],
        parallel: Parallel,
    ) -> Result<()> {
        self.input_gradient_on(Isa::best(), out_gradient, weights, x_gradient, parallel)
    }

    fn input_gradient_on(
        &self,
        isa: Isa,
        dy: &[f32],
        weights: &[f32],
        dx: &mut [f32],
        parallel: Parallel,
    ) -> Result<()> {
        let work = self.check(dx.len(), weights.len(), dy.len())?;
        if dx.is_empty() {
            return Ok(());
        }
        if dy.is_empty() {
            dx.fill(0.0);
            return Ok(());
        }
        // With a stride of 1 it is a convolution with the kernel turned and the channels exchanged.
        let turn = self.stride == [1, 1] && (0..2).all(|i| self.padding[i] < self.kernel[i]);
        let [kh, kw] = self.kernel;
        let (ci, co) = (self.channels_in, self.channels_out);
        let mut scratch = SCRATCH.take();
        scratch.clear();
        for tap in 0..kh * kw {
            let tap = if turn { kh * kw - 1 - tap } else { tap };
            let from = &weights[tap * ci * co..][..ci * co];
            for o in 0..co {
                scratch.extend((0..ci).map(|i| from[i * co + o]));
            }
        }
        let (x_size, y_size) = (dx.len() / self.images, dy.len() / self.images);
        let turned = &scratch[..];
        for_each_chunk_mut(parallel.above(work, POOL_WORK), dx, x_size, self.chunk(work), |images, dx| {
            let c = Conv2d { images: images.len(), ..*self };
            let dy = &dy[images.start * y_size..images.end * y_size];
            if turn {
                let back = Conv2d {
                    height: self.out_height(),
                    width: self.out_width(),
                    channels_in: co,
                    channels_out: ci,
                    padding: [kh - 1 - self.padding[0], kw - 1 - self.padding[1]],
                    ..c
                };
                dispatch_on(
                    isa,
                    Forward { c: back, x: dy, weights: turned, out: dx, epilogue: Epilogue::NONE },
                );
            } else {
                dx.fill(0.0);
                dispatch_on(isa, Spread { c, dy, turned, dx });
            }
        });
        SCRATCH.set(scratch);
        Ok(())
    }

    /// The gradient for the weights from `x` and the gradient of the output: overwrites `weight_gradient`.
    ///
    /// # Errors
    /// As [`Conv2d::forward`].
    pub fn weight_gradient(
        &self,
        x: &[f32],
        out_gradient: &[f32],
        weight_gradient: &mut [f32],
        parallel: Parallel,
    ) -> Result<()> {
        self.weight_gradient_on(Isa::best(), x, out_gradient, weight_gradient, parallel)
    }

    fn weight_gradient_on(
        &self,
        isa: Isa,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
        parallel: Parallel,
    ) -> Result<()> {
        let work = self.check(x.len(), dw.len(), dy.len())?;
        dw.fill(0.0);
        if dw.is_empty() || dy.is_empty() || x.is_empty() {
            return Ok(());
        }
        // Partial sums of fixed blocks of images, whoever computes them, added in order.
        let chunk = self.chunk(work).max(self.images.div_ceil(64));
        let count = self.images.div_ceil(chunk);
        let (x_size, y_size) = (x.len() / self.images, dy.len() / self.images);
        let mut partial = SCRATCH.take();
        partial.clear();
        partial.resize(count * dw.len(), 0.0);
        for_each_chunk_mut(parallel.above(work, POOL_WORK), &mut partial, dw.len(), 1, |range, dw| {
            let images = range.start * chunk..self.images.min((range.start + 1) * chunk);
            let c = Conv2d { images: images.len(), ..*self };
            let x = &x[images.start * x_size..images.end * x_size];
            let dy = &dy[images.start * y_size..images.end * y_size];
            dispatch_on(isa, WeightGradient { c, x, dy, dw });
        });
        for part in partial.chunks_exact(dw.len()) {
            dw.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
        }
        SCRATCH.set(partial);
        Ok(())
    }

    /// Images of a piece: fixed by the sizes alone.
    fn chunk(&self, work: usize) -> usize {
        let each = (work / self.images.max(1)).max(1);
        PIECE_WORK.div_ceil(each).next_multiple_of(24)
    }

    fn axes(&self) -> (Axis, Axis) {
        let axis = |size, i: usize, out| Axis {
            size,
            out,
            kernel: self.kernel[i],
            stride: self.stride[i],
            padding: self.padding[i],
        };
        (axis(self.height, 0, self.out_height()), axis(self.width, 1, self.out_width()))
    }

    fn fault(&self, what: &str) -> Misfit {
        Misfit(format!("conv2d: {what} ({self:?})"))
    }

    /// Checks strides and lengths; gives the multiply-adds, taps outside the image included.
    fn check(&self, x: usize, weights: usize, out: usize) -> Result<usize> {
        if self.stride.contains(&0) || self.kernel.contains(&0) {
            return Err(self.fault("kernel and stride must be at least 1"));
        }
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
        let padded = |i: usize| self.padding[i].checked_mul(2)?.checked_add([self.height, self.width][i]);
        if padded(0).is_none() || padded(1).is_none() {
            return Err(self.fault("the padding is out of range"));
        }
        if product(&[self.stride[0], self.width, self.channels_in]).is_none()
            || product(&[self.stride[1], self.channels_in]).is_none()
        {
            return Err(self.fault("the stride is out of range"));
        }
        let [kh, kw] = self.kernel;
        let (oh, ow) = (self.out_height(), self.out_width());
        if product(&[self.images, self.height, self.width, self.channels_in]) != Some(x) {
            return Err(self.fault(&format!("the input has {x} values")));
        }
        if product(&[kh, kw, self.channels_in, self.channels_out]) != Some(weights) {
            return Err(self.fault(&format!("the weights have {weights} values")));
        }
        if product(&[self.images, oh, ow, self.channels_out]) != Some(out) {
            return Err(self.fault(&format!("the output has {out} values")));
        }
        Ok(out.saturating_mul(kh).saturating_mul(kw).saturating_mul(self.channels_in))
    }
}

fn out_size(size: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    match size.saturating_add(padding.saturating_mul(2)).checked_sub(kernel) {
        Some(room) => (room / stride.max(1)).saturating_add(1),
        None => 0,
    }
}

/// A tile with nothing set but what every use has in common.
fn blank() -> Tile {
    Tile {
        tiles: 0,
        k: 0,
        runs: Runs::ONE,
        outer: Runs::ONE,
        a: std::ptr::null(),
        a_row: 0,
        a_column: 1,
        b: std::ptr::null(),
        b_row: 0,
        c: std::ptr::null_mut(),
        c_row: 0,
        last: 0,
        accumulate: false,
        bias: std::ptr::null(),
        relu: false,
    }
}

/// The convolution of some images.
struct Forward<'a> {
    c: Conv2d,
    x: &'a [f32],
    weights: &'a [f32],
    out: &'a mut [f32],
    epilogue: Epilogue<'a>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { c, x, weights, out, epilogue } = self;
        let (rows, columns) = c.axes();
        let [_, kw] = c.kernel;
        let (ci, co) = (c.channels_in, c.channels_out);
        let (x_size, y_size) = (c.height * c.width * ci, rows.out * columns.out * co);
        // As many images as keep the rows that a line of the output needs in the first-level cache.
        let line = c.kernel[0].saturating_mul(c.width * ci).max(1);
        let block = (6 * 1024 / line).clamp(6, 48) / 6 * 6;
        for first in (0..c.images).step_by(block) {
            let images = block.min(c.images - first);
            for oy in 0..rows.out {
                let ky = rows.taps(oy);
                let mut ox = 0;
                while ox < columns.out {
                    let kx = columns.taps(ox);
                    let mut t = blank();
                    t.b_row = co;
                    t.relu = epilogue.activation == Activation::Relu;
                    t.bias = epilogue.bias.map_or(std::ptr::null(), <[f32]>::as_ptr);
                    t.c = out.as_mut_ptr().wrapping_add(first * y_size + (oy * columns.out + ox) * co);
                    if ci > 0 && !ky.is_empty() && !kx.is_empty() {
                        let corner = (rows.at(oy, ky.start) * c.width + columns.at(ox, kx.start)) * ci;
                        t.a = x.as_ptr().wrapping_add(first * x_size + corner);
                        t.b = weights.as_ptr().wrapping_add((ky.start * kw + kx.start) * ci * co);
                        t.k = kx.len() * ci;
                        t.runs = Runs { count: ky.len(), a: c.width * ci, b: kw * ci * co };
                    }
                    if c.images < FEW_IMAGES {
                        let next = columns.same_taps(ox);
                        (t.a_row, t.c_row) = (columns.stride * ci, co);
                        for i in 0..images {
                            let mut t = t;
                            t.a = t.a.wrapping_add(i * x_size);
                            t.c = t.c.wrapping_add(i * y_size);
                            panels(s, next - ox, co, &t);
                        }
                        ox = next;
                    } else {
                        (t.a_row, t.c_row) = (x_size, y_size);
                        panels(s, images, co, &t);
                        ox += 1;
                    }
                }
            }
            if epilogue.activation.is_curved() {
                let x = &mut out[first * y_size..][..images * y_size];
                s.call(Curve { activation: epilogue.activation, x });
            }
        }
    }
}

/// The gradient for the input tap by tap, for any stride: every output place is added to the places it was
/// computed from.
struct Spread<'a> {
    c: Conv2d,
    dy: &'a [f32],
    /// `[taps, channels_out, channels_in]`.
    turned: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Spread { c, dy, turned, dx } = self;
        let (rows, columns) = c.axes();
        let (ci, co) = (c.channels_in, c.channels_out);
        let mut t = blank();
        (t.k, t.b_row, t.accumulate) = (co, ci, true);
        (t.a_row, t.c_row) = (rows.out * columns.out * co, c.height * c.width * ci);
        for oy in 0..rows.out {
            for ox in 0..columns.out {
                for ky in rows.taps(oy) {
                    for kx in columns.taps(ox) {
                        let to = (rows.at(oy, ky) * c.width + columns.at(ox, kx)) * ci;
                        t.a = dy.as_ptr().wrapping_add((oy * columns.out + ox) * co);
                        t.b = turned.as_ptr().wrapping_add((ky * c.kernel[1] + kx) * ci * co);
                        t.c = dx.as_mut_ptr().wrapping_add(to);
                        panels(s, c.images, ci, &t);
                    }
                }
            }
        }
    }
}

/// The gradient for the weights from some images.
struct WeightGradient<'a> {
    c: Conv2d,
    x: &'a [f32],
    dy: &'a [f32],
    dw: &'a mut [f32],
}

impl Kernel for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let WeightGradient { c, x, dy, dw } = self;
        let (rows, columns) = c.axes();
        let [kh, kw] = c.kernel;
        let (ci, co) = (c.channels_in, c.channels_out);
        let (x_size, y_size) = (c.height * c.width * ci, rows.out * columns.out * co);
        // Images pass once for every row of taps and side of the image: they should stay in the second-level cache.
        let block = (24 * 1024 / (x_size + y_size)).max(1);
        for first in (0..c.images).step_by(block) {
            let images = block.min(c.images - first);
            for ky in 0..kh {
                let oy = rows.places(ky);
                if oy.is_empty() {
                    continue;
                }
                let mut ox = 0;
                while ox < columns.out {
                    let (kx, next) = (columns.taps(ox), columns.same_taps(ox));
                    if kx.is_empty() {
                        ox = next;
                        continue;
                    }
                    // Rows of the product are the taps of a row and their channels, which lie next to each other in
                    // the image and in the weights; the sum runs over the places of the output.
                    let corner = (rows.at(oy.start, ky) * c.width + columns.at(ox, kx.start)) * ci;
                    let along = Runs { count: next - ox, a: columns.stride * ci, b: co };
                    let down = Runs { count: oy.len(), a: rows.stride * c.width * ci, b: columns.out * co };
                    // The longer way is the inner loop.
                    let (inner, runs) = if along.count >= 3 { (along, down) } else { (down, along) };
                    let mut t = blank();
                    t.accumulate = true;
                    (t.k, t.a_column, t.b_row, t.runs) = (inner.count, inner.a, inner.b, runs);
                    t.outer = Runs { count: images, a: x_size, b: y_size };
                    t.a_row = 1;
                    t.a = x.as_ptr().wrapping_add(first * x_size + corner);
                    t.b = dy.as_ptr().wrapping_add(first * y_size + (oy.start * columns.out + ox) * co);
                    t.c = dw.as_mut_ptr().wrapping_add((ky * kw + kx.start) * ci * co);
                    t.c_row = co;
                    panels(s, kx.len() * ci, co, &t);
                    ox = next;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
