//! Products of strided matrices in plain loops.

use crate::Result;
use crate::cpu::Parallel;

#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a [f32],
    pub row_stride: usize,
    pub column_stride: usize,
}
impl<'a> Matrix<'a> {
    pub fn row_major(data: &'a [f32], columns: usize) -> Self {
        Matrix { data, row_stride: columns, column_stride: 1 }
    }
    pub fn transposed(self) -> Self {
        Matrix { data: self.data, row_stride: self.column_stride, column_stride: self.row_stride }
    }
}
#[derive(Clone, Copy, Default)]
pub(crate) struct Batch {
    pub count: usize,
    pub a: usize,
    pub b: usize,
    pub c: usize,
    pub bias: usize,
}
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    None,
    Relu,
    Tanh,
    Sigmoid,
    Gelu,
}
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn gemm_batched(
    batch: Batch,
    m: usize,
    n: usize,
    k: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
    ldc: usize,
    accumulate: bool,
    epilogue: Epilogue<'_>,
    _parallel: Parallel,
) -> Result<()> {
    for lane in 0..batch.count {
        let (a_at, b_at, c_at) = (lane * batch.a, lane * batch.b, lane * batch.c);
        for i in 0..m {
            let row = &mut c[c_at + i * ldc..c_at + i * ldc + n];
            if !accumulate {
                row.fill(0.0);
            }
            for p in 0..k {
                let x = a.data[a_at + i * a.row_stride + p * a.column_stride];
                if b.column_stride == 1 {
                    let other = &b.data[b_at + p * b.row_stride..][..n];
                    row.iter_mut().zip(other).for_each(|(y, b)| *y += x * b);
                } else {
                    for (j, y) in row.iter_mut().enumerate() {
                        *y += x * b.data[b_at + p * b.row_stride + j * b.column_stride];
                    }
                }
            }
            if let Some(bias) = epilogue.bias {
                row.iter_mut().zip(&bias[lane * batch.bias..]).for_each(|(y, b)| *y += b);
            }
            for y in row {
                *y = match epilogue.activation {
                    Activation::None => *y,
                    Activation::Relu => y.max(0.0),
                    Activation::Tanh => y.tanh(),
                    Activation::Sigmoid => 1.0 / (1.0 + (-*y).exp()),
                    Activation::Gelu => {
                        0.5 * *y * (1.0 + (0.797_884_6 * (*y + 0.044_715 * *y * *y * *y)).tanh())
                    }
                };
            }
        }
    }
    Ok(())
}
