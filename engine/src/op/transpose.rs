//! Transposition: any permutation of the dimensions.
//!
//! ```
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let x = g.constant([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
//! let mut program = Device::cpu().compile(&g, &[x.transpose(&[1, 0])])?;
//! assert_eq!(program.run(&[])?.f32(0), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

use super::movement::{MAXIMUM_RANK, Rows, SHADER, check_rank, copy_rows, only, strided_launch};
use crate::cpu::pool::SharedPointer;
use crate::cpu::{Parallel, for_each_chunk};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, WithoutElements};
use crate::shape::{Shape, TensorType};

/// Ops of this file.
pub(super) const NAMES: &[&str] = &["transpose"];

/// Output dimension `i` is operand dimension `order[i]`.
#[derive(Debug, Clone)]
pub struct Transpose(pub Vec<usize>);

/// The output's dimensions with the strides at which they are read from the operand: sizes of 1 left out, neighbours
/// that are read as one merged.
#[derive(Debug, Clone, Copy)]
struct Layout {
    dimensions: [(usize, usize); MAXIMUM_RANK],
    rank: usize,
}

impl Layout {
    fn new(shape: &Shape, order: &[usize]) -> Layout {
        let mut strides = [1; MAXIMUM_RANK];
        for i in (0..shape.len().saturating_sub(1)).rev() {
            strides[i] = strides[i + 1] * shape[i + 1];
        }
        let mut layout = Layout { dimensions: [(1, 0); MAXIMUM_RANK], rank: 0 };
        for &from in order {
            let (size, stride) = (shape[from], strides[from]);
            if size == 1 {
                continue;
            }
            if layout.rank > 0 {
                let (outer, outer_stride) = &mut layout.dimensions[layout.rank - 1];
                if *outer_stride == size * stride {
                    *outer *= size;
                    *outer_stride = stride;
                    continue;
                }
            }
            layout.dimensions[layout.rank] = (size, stride);
            layout.rank += 1;
        }
        layout
    }

    fn dimensions(&self) -> &[(usize, usize)] {
        &self.dimensions[..self.rank]
    }

    /// `[batches, rows, columns]` of the operand where nothing but its last two dimensions change places.
    fn matrices(&self) -> Option<(usize, usize, usize)> {
        match *self.dimensions() {
            [(columns, 1), (rows, stride)] if stride == columns => Some((1, rows, columns)),
            [(batches, all), (columns, 1), (rows, stride)] if stride == columns && all == rows * columns => {
                Some((batches, rows, columns))
            }
            _ => None,
        }
    }
}

/// Side of the tiles in which elements change places: a tile's lines fit the first-level cache on both sides.
const TILE: usize = 16;
/// Elements that one task of the pool moves.
const TASK: usize = 32 * 1024;

fn permute(parallel: Parallel, layout: &Layout, from: &[u32], to: &mut [u32]) {
    let dimensions = layout.dimensions();
    let Some((&(inner, stride), outer)) = dimensions.split_last() else {
        to.copy_from_slice(from);
        return;
    };
    if outer.is_empty() {
        let all = Rows { start: 0, stride: 0 };
        copy_rows(parallel, (1, from.len()), (from, all), (to, all));
        return;
    }
    let parallel = parallel.above(to.len(), 4 * TASK);
    let total = to.len();
    let to = SharedPointer(to.as_mut_ptr());
    let start_of = |mut index: usize, skip: usize| {
        // Where a row of the output starts in the operand, and how many elements of the output lie before it.
        let (mut at, mut before, mut step) = (0, 0, inner);
        for (d, &(size, stride)) in outer.iter().enumerate().rev() {
            if d != skip {
                at += index % size * stride;
                before += index % size * step;
                index /= size;
            }
            step *= size;
        }
        (at, before)
    };
    if stride == 1 {
        let rows = total / inner;
        for_each_chunk(parallel, rows, TASK.div_ceil(inner), |range| {
            for row in range {
                let (at, before) = start_of(row, usize::MAX);
                let source = &from[at..at + inner];
                // SAFETY: rows of the output lie within it, do not overlap, and each belongs to one piece.
                let target = unsafe { std::slice::from_raw_parts_mut(to.get().add(before), inner) };
                if inner < 16 {
                    for (o, i) in target.iter_mut().zip(source) {
                        *o = *i;
                    }
                } else {
                    target.copy_from_slice(source);
                }
            }
        });
        return;
    }
    // The dimension whose elements lie side by side in the operand; the merged layout has exactly one.
    let side = outer.iter().position(|&(_, stride)| stride == 1).unwrap_or(0);
    let (side_size, side_in) = outer[side];
    let side_out: usize = inner * outer[side + 1..].iter().map(|d| d.0).product::<usize>();
    let bands = side_size.div_ceil(TILE);
    let planes = total / (inner * side_size);
    for_each_chunk(parallel, planes * bands, TASK.div_ceil(TILE * inner), |range| {
        for task in range {
            let (at, before) = start_of(task / bands, side);
            let first = task % bands * TILE;
            let last = side_size.min(first + TILE);
            for column in (0..inner).step_by(TILE) {
                let end = inner.min(column + TILE);
                for i in first..last {
                    for j in column..end {
                        // SAFETY: every coordinate is below its dimension's size, so both lie within their tensors;
                        // no two tasks share an output element.
                        unsafe {
                            let value = *from.get_unchecked(at + j * stride + i * side_in);
                            *to.get().add(before + i * side_out + j) = value;
                        }
                    }
                }
            }
        }
    });
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        check_rank(operands)?;
        let operand = only(operands)?;
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..operand.shape.len()) {
            return Err(format!("{:?} is not an order of its dimensions", self.0));
        }
        let shape: Vec<usize> = self.0.iter().map(|&i| operand.shape[i]).collect();
        Ok(vec![TensorType { shape: shape.into(), dtype: operand.dtype }])
    }

    fn without_elements(&self) -> WithoutElements {
        WithoutElements::NothingOnly
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let mut inverse = vec![0; self.0.len()];
        for (i, &from) in self.0.iter().enumerate() {
            inverse[from] = i;
        }
        Ok(vec![call.cotangents[0].map(|c| c.transpose(&inverse))])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let layout = Layout::new(&call.inputs[0].of.shape, &self.0);
        permute(call.parallel, &layout, call.inputs[0].u32(), call.outputs[0].u32());
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let layout = Layout::new(&call.operands[0].shape, &self.0);
        if let Some((batches, rows, columns)) = layout.matrices()
            && rows.min(columns) >= 8
        {
            let tiles = batches * rows.div_ceil(32) * columns.div_ceil(32);
            return Ok(Launch {
                shader: SHADER.into(),
                entry: "transpose",
                constants: Vec::new(),
                bindings: vec![Binding::Input(0), Binding::Output(0)],
                parameters: vec![batches as u32, rows as u32, columns as u32, tiles as u32],
                workgroups: call.groups(tiles, 1),
            }
            .into());
        }
        let mut dimensions: Vec<(usize, usize, usize)> = Vec::new();
        let mut step = 1;
        for &(size, stride) in layout.dimensions().iter().rev() {
            dimensions.insert(0, (size, stride, step));
            step *= size;
        }
        Ok(strided_launch(call, 0, &dimensions, (0, 0), 0).into())
    }

    fn alias(&self, operands: &[TensorType]) -> Option<usize> {
        // Moving dimensions of size 1 moves no element.
        (Layout::new(&operands[0].shape, &self.0).rank <= 1).then_some(0)
    }
}

impl<'g> Tensor<'g> {
    /// The dimensions in another order: dimension `i` of the result is dimension `order[i]` of this tensor.
    pub fn transpose(self, order: &[usize]) -> Tensor<'g> {
        if order.iter().copied().eq(0..self.shape().len()) {
            return self;
        }
        self.graph().apply_one(Transpose(order.to_vec()), &[self])
    }

    /// Two dimensions in each other's place; negative ones count from the end.
    pub fn swap(self, a: isize, b: isize) -> Tensor<'g> {
        let (Some(a), Some(b)) = (self.axis("transpose", a), self.axis("transpose", b)) else { return self };
        let mut order: Vec<usize> = (0..self.shape().len()).collect();
        order.swap(a, b);
        self.transpose(&order)
    }
}
