//! Message passing on graphs whose edges are arrays: sums, means, maxima and attention-weighted sums over the in-edges
//! of every node. The arrays ([`Csr`], [`Edges`]) hold the edges sorted by destination and by source, so that every
//! kernel, gradients included, gathers and none scatters: no atomics, and sums in a fixed order.
//!
//! Layers with weights (graph attention, graph convolution) live in `nn`; a dense masked product for few nodes is
//! ordinary `matmul`.
//!
//! ```
//! use synod_engine::op::message::{Csr, Edges};
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let edges = Edges::constant(&g, &Csr::from_edges(3, &[(0, 2), (1, 2)])?);
//! let said = g.constant([3, 1], &[1.0, 10.0, 100.0]);
//! let mut program = Device::cpu().compile(&g, &[said.message_sum(edges)])?;
//! assert_eq!(program.run(&[])?.f32(0), [0.0, 0.0, 11.0]);
//! # Ok::<(), synod_engine::Error>(())
//! ```

mod attention;
mod attention_gradient;
mod csr;
mod edge;
mod maximum;
mod sum;
mod weighted;

pub use attention::{MessageAttention, Scores};
pub use attention_gradient::MessageAttentionGradient;
pub use csr::{Csr, Edges};
pub use edge::{EdgeReduce, EdgeSpread, End, Reduction};
pub use maximum::{MessageMax, MessageSelect};
pub use sum::{MessageSum, Scale};

use super::lanes::{Lane, lane_of};
use crate::error::{Error, Result};
use crate::graph::{Binding, CpuInput, GpuCall, Launch};
use crate::shape::{DType, TensorType};

/// Ops of this family.
pub const NAMES: &[&str] = &[
    "message_sum",
    "message_max",
    "message_select",
    "message_attention",
    "message_attention_gradient",
    "edge_spread",
    "edge_sum",
    "edge_max",
];

/// WGSL of message passing.
pub(crate) const SHADER: &str =
    concat!(include_str!("../../../shaders/special.wgsl"), include_str!("../../../shaders/message.wgsl"));

/// Nodes of one task on the CPU.
const TASK: usize = 64;
/// Numbers read and added from which on the pool is worth its price.
const POOL_WORK: usize = 128 * 1024;

/// The rows of a sparse matrix: which nodes are at the other end of each node's edges.
#[derive(Clone, Copy)]
struct Rows<'a> {
    offsets: &'a [u32],
    ends: &'a [u32],
}

impl Rows<'_> {
    fn of(&self, node: usize) -> std::ops::Range<usize> {
        self.offsets[node] as usize..self.offsets[node + 1] as usize
    }
}

/// The rows of every lane, once they are known to be sound.
#[derive(Clone, Copy)]
struct Side<'a> {
    offsets: CpuInput<'a>,
    ends: CpuInput<'a>,
    offsets_lane: Lane,
    ends_lane: Lane,
}

impl<'a> Side<'a> {
    /// Looks through both arrays: offsets start at 0, do not fall and stay within the edges, and every end is below
    /// `nodes`.
    fn checked(
        op: &str,
        offsets: CpuInput<'a>,
        ends: CpuInput<'a>,
        nodes: usize,
        lead: &[usize],
    ) -> Result<Self> {
        let side = Side {
            offsets,
            ends,
            offsets_lane: lane_of(offsets.of, 1, lead),
            ends_lane: lane_of(ends.of, 1, lead),
        };
        let shared = side.offsets_lane.modulus == 1 && side.ends_lane.modulus == 1;
        let lanes = if shared { 1 } else { lead.iter().product() };
        for lane in 0..lanes {
            let Rows { offsets, ends } = side.rows(lane);
            let used = offsets.last().map_or(0, |&o| o as usize);
            if offsets.first() != Some(&0) || offsets.windows(2).any(|w| w[0] > w[1]) || used > ends.len() {
                return Err(Error::Graph(format!(
                    "{op}: offsets must rise from 0 to at most {} edges, and end at {used}",
                    ends.len()
                )));
            }
            // The largest first: a loop that the compiler can make wide.
            let largest = ends[..used].iter().fold(0, |m, &end| m.max(end));
            if used > 0 && largest as usize >= nodes {
                return Err(Error::Graph(format!("{op}: an edge names node {largest} of {nodes}")));
            }
        }
        Ok(side)
    }

    fn rows(&self, lane: usize) -> Rows<'a> {
        let (size, edges) = (last(self.offsets.of), last(self.ends.of));
        Rows {
            offsets: &self.offsets.u32()[self.offsets_lane.of(lane) * size..][..size],
            ends: &self.ends.u32()[self.ends_lane.of(lane) * edges..][..edges],
        }
    }
}

/// The part of an operand that a lane reads: its last `tail` dimensions.
fn part<'a>(input: &CpuInput<'a>, tail: usize, lead: &[usize], lane: usize) -> &'a [f32] {
    let shape = input.shape();
    let size: usize = shape[shape.len() - tail..].iter().product();
    &input.f32()[lane_of(input.of, tail, lead).of(lane) * size..][..size]
}

fn last(of: &TensorType) -> usize {
    of.shape.last().copied().unwrap_or(1)
}

fn last_but_one(of: &TensorType) -> usize {
    of.shape[of.shape.len() - 2]
}

/// Element types of operands: floats first, then so many arrays of integers.
fn check_types(operands: &[TensorType], integers: usize) -> Result<(), String> {
    let floats = operands.len() - integers;
    let right = operands.iter().enumerate().all(|(i, t)| (t.dtype == DType::F32) == (i < floats));
    if right {
        Ok(())
    } else {
        Err(format!("takes {floats} f32 operands and {integers} u32 arrays of edges"))
    }
}

/// The most operands of one dispatch that have a lane map.
const MAPS: usize = 8;

/// A dispatch of `message.wgsl`, whose kernels all have the same places for buffers.
struct Dispatch<'a> {
    entry: &'static str,
    /// Arrays of floats that are read, at most four.
    floats: &'a [Binding],
    /// Operands that hold offsets and ends.
    rows: [usize; 2],
    /// A third array of integers that is read, or a second one of floats that is written.
    extra: Option<Binding>,
    out: Binding,
    /// Nodes, channels, lanes, nodes at the other end, edges, and up to three numbers of the kernel's own.
    numbers: &'a [usize],
    /// Operands with the number of their dimensions that are not leading ones, in the order of the kernel's lane maps.
    maps: &'a [(usize, usize)],
    lead: &'a [usize],
    items: usize,
}

impl Dispatch<'_> {
    fn launch(self, call: &GpuCall<'_>) -> Launch {
        let first = self.floats[0];
        let mut bindings: Vec<Binding> = self.floats.to_vec();
        bindings.resize(4, first);
        bindings.extend(self.rows.map(Binding::Input));
        bindings.extend([self.extra.unwrap_or(first), self.out]);
        let mut parameters: Vec<u32> = self.numbers.iter().map(|&n| n as u32).collect();
        parameters.resize(8, 0);
        for i in 0..MAPS {
            let map = self.maps.get(i);
            let map =
                map.map_or([1, 1], |&(o, tail)| lane_of(&call.operands[o], tail, self.lead).parameters());
            parameters.extend(map);
        }
        Launch {
            shader: SHADER.into(),
            entry: self.entry,
            constants: Vec::new(),
            bindings,
            parameters,
            workgroups: call.groups(self.items, 256),
        }
    }
}
