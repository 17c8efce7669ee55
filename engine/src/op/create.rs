//! Tensors made from nothing but sizes, and what keeps a triangle of a matrix.

use crate::error::Error;
use crate::graph::{Graph, Tensor};

/// The largest number below which every whole number is a float.
const WHOLE: usize = 1 << 24;

impl Graph {
    /// The whole numbers from 0 to below `length`, u32 `[length]`; as floats with [`Tensor::to_f32`].
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let mut program = Device::cpu().compile(&g, &[g.arange(4), g.eye(2, 3)])?;
    /// let outputs = program.run(&[])?;
    /// assert_eq!(outputs.u32(0), [0, 1, 2, 3]);
    /// assert_eq!(outputs.f32(1), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    /// # Ok(()) }
    /// ```
    pub fn arange(&self, length: usize) -> Tensor<'_> {
        if length > WHOLE {
            // They are a constant of the program.
            return self.fail(Error::Graph(format!("arange of {length} numbers: at most {WHOLE} are made")));
        }
        let numbers: Vec<u32> = (0..length as u32).collect();
        self.constant_u32([length], &numbers)
    }

    /// The numbers of the rows `[rows, 1]` and of the columns `[1, columns]`, as floats.
    fn places(&self, rows: usize, columns: usize) -> [Tensor<'_>; 2] {
        [self.arange(rows).to_f32().reshape([rows, 1]), self.arange(columns).to_f32().reshape([1, columns])]
    }

    /// `[rows, columns]` with ones on the main diagonal and zeros elsewhere.
    pub fn eye(&self, rows: usize, columns: usize) -> Tensor<'_> {
        let [row, column] = self.places(rows, columns);
        row.equal(column)
    }
}

impl<'g> Tensor<'g> {
    fn triangle(self, op: &str, diagonal: isize, lower: bool) -> Tensor<'g> {
        let shape = self.shape();
        let [.., rows, columns] = shape[..] else {
            return self.refuse(op, "takes [.., rows, columns]".into());
        };
        let g = self.graph();
        let [row, column] = g.places(rows, columns);
        // Beyond these all elements are on one side; within them floats count exactly.
        let from = row + diagonal.clamp(-(WHOLE as isize), WHOLE as isize) as f32;
        let kept = if lower { column.less_equal(from) } else { column.greater_equal(from) };
        kept.select(self, g.scalar(0.0))
    }

    /// The lower triangle of each matrix `[.., rows, columns]`: elements `(i, j)` with `j <= i + diagonal`, zeros
    /// elsewhere.
    pub fn tril(self, diagonal: isize) -> Tensor<'g> {
        self.triangle("tril", diagonal, true)
    }

    /// The upper triangle of each matrix `[.., rows, columns]`: elements `(i, j)` with `j >= i + diagonal`, zeros
    /// elsewhere.
    pub fn triu(self, diagonal: isize) -> Tensor<'g> {
        self.triangle("triu", diagonal, false)
    }
}
