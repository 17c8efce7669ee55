//! Sums of messages with a weight for every edge and head: the inner loop of attention and of its gradient.

use std::ops::Range;

use super::Rows;
use crate::cpu::simd::{Kernel, Simd};

/// `out[node, h, :] = sum of weights[edge, h] * x[end, h, :]` over the edges of every node of `range`.
pub(super) struct WeightedSum<'a> {
    pub rows: Rows<'a>,
    /// Which edge each of the rows' is, where they do not stand in the order of the weights.
    pub index: Option<&'a [u32]>,
    /// `[edges, heads]`
    pub weights: &'a [f32],
    /// `[nodes at the other end, heads * width]`
    pub x: &'a [f32],
    pub heads: usize,
    pub width: usize,
    pub range: Range<usize>,
    /// `[nodes, heads * width]`
    pub out: *mut f32,
}

impl Kernel for WeightedSum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (heads, width) = (self.heads, self.width);
        let channels = heads * width;
        // Vectors that each lie within one head: whole rows of heads where a head is made of vectors.
        let whole = width.is_multiple_of(S::LANES);
        for node in self.range {
            let at = self.rows.of(node);
            let mut column = 0;
            while column < channels {
                // The vectors of this step, their heads and how many lanes count.
                let count = if whole { (channels - column) / S::LANES } else { 1 }.min(4);
                let head = column / width;
                let lanes = if whole { S::LANES } else { S::LANES.min((head + 1) * width - column) };
                let mut sums = [s.zero(); 4];
                for k in at.clone() {
                    let edge = self.index.map_or(k, |index| index[k] as usize);
                    let weights = &self.weights[edge * heads..][..heads];
                    let row = &self.x[self.rows.ends[k] as usize * channels..][..channels];
                    let mut v = 0;
                    while v < count {
                        let c = column + v * S::LANES;
                        let weight = weights[c / width];
                        // A masked edge has no weight, and what comes along it is not looked at.
                        if weight != 0.0 {
                            let value = s.load_slice(&row[c..c + lanes]);
                            sums[v] = s.mul_add(value, s.splat(weight), sums[v]);
                        }
                        v += 1;
                    }
                }
                let mut v = 0;
                while v < count {
                    let to = node * channels + column + v * S::LANES;
                    // SAFETY: the caller gives this range of nodes to one task, and `out` has a row for each.
                    unsafe { s.store_partial(self.out.add(to), sums[v], lanes) };
                    v += 1;
                }
                column += if whole { count * S::LANES } else { lanes };
            }
        }
    }
}
