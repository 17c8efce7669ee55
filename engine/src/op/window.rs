//! Windows that move along axes: pooling, made of reshapes, slices, sums and maxima, and one-dimensional convolution,
//! which is a two-dimensional one of height 1.

use crate::graph::Tensor;

/// What a window keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Largest,
    Sum,
}

/// A window along one axis: its length, its step and what is added on each side.
#[derive(Clone, Copy)]
struct Window {
    length: usize,
    stride: usize,
    padding: usize,
}

impl<'g> Tensor<'g> {
    /// Pools along `axis`, an index.
    fn pool(self, op: &str, axis: usize, window: Window, kept: Kept) -> Tensor<'g> {
        let Window { length, stride, padding } = window;
        let shape = self.shape();
        let size = shape[axis];
        let padded = padding.checked_mul(2).and_then(|both| both.checked_add(size));
        let Some(room) = padded.and_then(|padded| padded.checked_sub(length)) else {
            return self.refuse(op, format!("a window of {length} does not fit along axis {axis}"));
        };
        if length == 0 || stride == 0 || padding >= length {
            let message = format!("a window of {length}, a stride of {stride} and a padding of {padding}: ");
            return self
                .refuse(op, message + "the padding must be less than the window, which must be at least 1");
        }
        let places = room / stride + 1;
        // As many whole steps as the windows reach over.
        let steps = (stride * (places - 1) + length).div_ceil(stride);
        let Some(all) = steps.checked_mul(stride).filter(|all| *all <= crate::shape::MAXIMUM_ELEMENTS) else {
            return self.refuse(op, format!("a stride of {stride} is too long"));
        };
        let along = axis as isize;
        let within = size.min(all - padding);
        let x = self.slice(along, 0, within).fill_around(axis, [padding, all - padding - within], kept);
        let (mut cut, mut pooled) = (shape.to_vec(), shape.to_vec());
        cut[axis] = stride;
        cut.insert(axis, steps);
        pooled[axis] = places;
        let x = x.reshape(cut);
        if length == stride {
            return match kept {
                Kept::Largest => x.max(&[along + 1]),
                Kept::Sum => x.sum(&[along + 1]),
            };
        }
        let offset = |i: usize| x.slice(along + 1, i % stride, 1).slice(along, i / stride, places);
        let together = |a: Tensor<'g>, b: Tensor<'g>| match kept {
            Kept::Largest => a.maximum(b),
            Kept::Sum => a + b,
        };
        (1..length).fold(offset(0), |all, i| together(all, offset(i))).reshape(pooled)
    }

    /// What changes nothing, before and after along an axis.
    fn fill_around(self, axis: usize, [before, after]: [usize; 2], kept: Kept) -> Tensor<'g> {
        if kept == Kept::Sum {
            return self.pad(axis as isize, before, after);
        }
        let g = self.graph();
        let fill = |size: usize| {
            let mut shape = self.shape().to_vec();
            shape[axis] = size;
            (size > 0).then(|| g.full(shape, f32::NEG_INFINITY))
        };
        let pieces: Vec<Tensor<'g>> = [fill(before), Some(self), fill(after)].into_iter().flatten().collect();
        g.concat(&pieces, axis as isize)
    }

    fn pool_axes(self, op: &str, axes: &[(isize, Window)], kept: Kept) -> Tensor<'g> {
        let mut x = self;
        for &(axis, window) in axes {
            let Some(axis) = x.axis(op, axis) else { return self };
            x = x.pool(op, axis, window, kept);
        }
        x
    }

    /// The largest of each window over images `[.., height, width, channels]`: `[.., height', width', channels]` with
    /// `height' = (height + 2 padding - window) / stride + 1`, rounded down. `window`, `stride` and `padding` are
    /// `[vertical, horizontal]`; what pads is never the largest. NaN where the window holds one. Equal maxima share the
    /// gradient.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let y = g.input("x", [2, 4, 1]).max_pool2d([2, 2], [2, 2], [0, 0]);
    /// let mut program = Device::cpu().compile(&g, &[y])?;
    /// let outputs = program.run(&[("x", &[1.0f32, 2.0, 3.0, 4.0, 8.0, 7.0, 6.0, 5.0])])?;
    /// assert_eq!(outputs.f32(0), [8.0, 6.0]);
    /// # Ok(()) }
    /// ```
    pub fn max_pool2d(self, window: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Tensor<'g> {
        self.pool_axes("max_pool2d", &vertical_and_horizontal(window, stride, padding), Kept::Largest)
    }

    /// The mean of each window over images `[.., height, width, channels]`, sizes as in [`Tensor::max_pool2d`]. What pads
    /// is zeros, which count.
    pub fn mean_pool2d(self, window: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Tensor<'g> {
        let axes = vertical_and_horizontal(window, stride, padding);
        self.pool_axes("mean_pool2d", &axes, Kept::Sum) / (window[0] as f32 * window[1] as f32)
    }

    /// The largest of each window over sequences `[.., length, channels]`, as [`Tensor::max_pool2d`].
    pub fn max_pool1d(self, window: usize, stride: usize, padding: usize) -> Tensor<'g> {
        let window = Window { length: window, stride, padding };
        self.pool_axes("max_pool1d", &[(-2, window)], Kept::Largest)
    }

    /// The mean of each window over sequences `[.., length, channels]`, as [`Tensor::mean_pool2d`].
    pub fn mean_pool1d(self, window: usize, stride: usize, padding: usize) -> Tensor<'g> {
        let of = Window { length: window, stride, padding };
        self.pool_axes("mean_pool1d", &[(-2, of)], Kept::Sum) / window as f32
    }

    /// The convolution of these sequences `[.., length, in]` with a weight `[taps, in, out]`: `[.., length', out]` with
    /// `length' = (length + 2 padding - taps) / stride + 1`, rounded down; padding is with zeros, on each side. Weights
    /// with lanes as in [`Tensor::conv2d`].
    pub fn conv1d(self, weight: Tensor<'g>, stride: usize, padding: usize) -> Tensor<'g> {
        // A height of 1 before the length, and before the taps.
        let high = |x: Tensor<'g>, own: usize| {
            let mut shape = x.shape().to_vec();
            let at = shape.len().checked_sub(own)?;
            shape.insert(at, 1);
            Some(x.reshape(shape))
        };
        let (Some(x), Some(kernel)) = (high(self, 2), high(weight, 3)) else {
            return self.refuse("conv1d", "takes [.., length, in] and a weight [taps, in, out]".into());
        };
        let y = x.conv2d(kernel, [1, stride], [0, padding]);
        let mut shape = y.shape().to_vec();
        if shape.len() >= 3 {
            shape.remove(shape.len() - 3);
        }
        y.reshape(shape)
    }
}

fn vertical_and_horizontal(
    window: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
) -> [(isize, Window); 2] {
    let one = |i: usize| Window { length: window[i], stride: stride[i], padding: padding[i] };
    [(-3, one(0)), (-2, one(1))]
}
