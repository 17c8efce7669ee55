//! Shapes and element types: what is known of a tensor before anything runs.
//!
//! ```
//! use synod_engine::Shape;
//! let (batch, bias) = (Shape::from([8, 3]), Shape::from([3]));
//! assert_eq!(batch.broadcast(&bias), Some(batch.clone()));
//! assert_eq!((batch.elements(), batch.strides()), (24, vec![3, 1]));
//! ```

use std::fmt;
use std::ops::Deref;

/// The largest number of elements one tensor may have. Offsets inside kernels are 32 bits wide on every device.
pub const MAXIMUM_ELEMENTS: usize = i32::MAX as usize;

/// The sizes of a tensor's dimensions, outermost first. Elements lie in row-major order.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Number of elements; 1 for a scalar, `usize::MAX` where it is out of range.
    pub fn elements(&self) -> usize {
        self.0.iter().fold(1, |product: usize, &size| product.saturating_mul(size))
    }

    /// Number of elements, or `None` where it, or the product of the sizes that are not 0, is over [`MAXIMUM_ELEMENTS`].
    pub fn checked_elements(&self) -> Option<usize> {
        let largest = self.0.iter().fold(1, |product: usize, &size| product.saturating_mul(size.max(1)));
        (largest <= MAXIMUM_ELEMENTS).then(|| self.elements())
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.0.len()];
        for i in (0..self.0.len().saturating_sub(1)).rev() {
            strides[i] = usize::saturating_mul(strides[i + 1], self.0[i + 1]);
        }
        strides
    }

    /// The shape that both shapes broadcast to: aligned at the last dimension, a size of 1 stretches.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.len().max(other.len());
        let mut out = vec![0; rank];
        for (i, size) in out.iter_mut().enumerate() {
            let a = dimension_from_left(self, rank, i);
            let b = dimension_from_left(other, rank, i);
            *size = if a == b || b == 1 {
                a
            } else if a == 1 {
                b
            } else {
                return None;
            };
        }
        Some(Shape(out))
    }

    /// Strides with which a tensor of this shape is read as if it had shape `target`: 0 along stretched dimensions.
    /// `None` where it does not broadcast to `target`.
    pub fn broadcast_strides(&self, target: &Shape) -> Option<Vec<usize>> {
        if self.len() > target.len() {
            return None;
        }
        let own = self.strides();
        let lead = target.len() - self.len();
        let mut strides = vec![0; target.len()];
        for i in 0..self.len() {
            if self[i] == target[lead + i] {
                strides[lead + i] = if self[i] == 1 { 0 } else { own[i] };
            } else if self[i] != 1 {
                return None;
            }
        }
        Some(strides)
    }

    /// An axis that may be counted from the end (`-1` is the last) as an index, or `None` where there is no such axis.
    pub fn axis(&self, axis: isize) -> Option<usize> {
        let rank = self.len() as isize;
        let index = if axis < 0 { axis + rank } else { axis };
        (0..rank).contains(&index).then_some(index as usize)
    }

    /// This shape without its last `count` dimensions.
    pub fn leading(&self, count: usize) -> &[usize] {
        &self.0[..self.0.len() - count.min(self.0.len())]
    }
}

fn dimension_from_left(shape: &Shape, rank: usize, i: usize) -> usize {
    let lead = rank - shape.len();
    if i < lead { 1 } else { shape[i - lead] }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl From<&[usize]> for Shape {
    fn from(dimensions: &[usize]) -> Self {
        Shape(dimensions.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dimensions: Vec<usize>) -> Self {
        Shape(dimensions)
    }
}

impl From<&Vec<usize>> for Shape {
    fn from(dimensions: &Vec<usize>) -> Self {
        Shape(dimensions.clone())
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dimensions: [usize; N]) -> Self {
        Shape(dimensions.to_vec())
    }
}

impl<const N: usize> From<&[usize; N]> for Shape {
    fn from(dimensions: &[usize; N]) -> Self {
        Shape(dimensions.to_vec())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The type of a tensor's elements. All are four bytes wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// Unsigned 32-bit integers: indices, actions, random bits.
    U32,
    /// Signed 32-bit integers.
    I32,
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::U32 => "u32",
            DType::I32 => "i32",
        })
    }
}

/// A tensor's shape and element type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Sizes of the dimensions.
    pub shape: Shape,
    /// Type of the elements.
    pub dtype: DType,
}

impl TensorType {
    /// A tensor of 32-bit floats.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::F32 }
    }

    /// A tensor of unsigned 32-bit integers.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::U32 }
    }

    /// A tensor of signed 32-bit integers.
    pub fn i32(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::I32 }
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// `f32[2, 3], u32[4]`: operands as errors show them.
pub fn list(types: &[TensorType]) -> String {
    types.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(", ")
}
