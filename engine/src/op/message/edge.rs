//! Between values of nodes and values of edges: the plain ops that message passing is made of.
//!
//! Limit: memory. Each value is read once and written once, 8 bytes for at most one operation.

use super::super::lanes::{common_lead, stretch, with_lead};
use super::{Dispatch, Edges, POOL_WORK, Side, TASK, check_types, last, last_but_one, part};
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Op, Tensor, VjpCall};
use crate::shape::TensorType;

/// An end of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

/// What a node keeps of the values of its edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// The largest.
    Maximum,
}

/// Every edge gets the value of the node at one of its ends. Operands: values `[.., nodes, d]`, the five arrays of
/// [`Edges`]. Output `[.., e, d]`, in the order of `sources`; 0 behind the last edge.
#[derive(Debug, Clone)]
pub struct EdgeSpread {
    /// At which end.
    pub end: End,
}

/// Every node gets the sum or the maximum of the values of the edges that it is an end of, 0 where there are none.
/// Operands: values `[.., e, d]` in the order of `sources`, the five arrays. Output `[.., nodes, d]`.
#[derive(Debug, Clone)]
pub struct EdgeReduce {
    /// What is kept.
    pub reduction: Reduction,
    /// At which end the node is.
    pub end: End,
}

/// Sizes that the arrays tell: destinations, sources, edges.
fn sizes(arrays: &[TensorType]) -> Result<[usize; 3], String> {
    let [offsets, sources, other_offsets, destinations, edges] = arrays else {
        return Err("takes values and the five arrays of edges".into());
    };
    if [destinations, edges].iter().any(|a| last(a) != last(sources)) {
        return Err("the arrays of edges must be of one length".into());
    }
    if last(offsets) < 2 || last(other_offsets) < 2 {
        return Err("there are no nodes".into());
    }
    Ok([last(offsets) - 1, last(other_offsets) - 1, last(sources)])
}

fn infer(
    operands: &[TensorType],
    size: impl Fn([usize; 3]) -> [usize; 2],
) -> Result<Vec<TensorType>, String> {
    if operands.len() != 6 {
        return Err("takes values and the five arrays of edges".into());
    }
    check_types(operands, 5)?;
    let lead = common_lead(operands.iter().zip([2, 1, 1, 1, 1, 1]))?;
    let [from, to] = size(sizes(&operands[1..])?);
    if last_but_one(&operands[0]) != from {
        return Err(format!("the values must have {from} rows"));
    }
    Ok(vec![TensorType::f32(with_lead(&lead, &[to, last(&operands[0])]))])
}

impl Op for EdgeSpread {
    fn name(&self) -> &'static str {
        "edge_spread"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        infer(operands, |[destinations, sources, edges]| match self.end {
            End::Source => [sources, edges],
            End::Destination => [destinations, edges],
        })
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let v = call.operands[0];
        let op = EdgeReduce { reduction: Reduction::Sum, end: self.end };
        let operands = [&[call.cotangent(0)], &call.operands[1..]].concat();
        let mut gradients = vec![None; 6];
        gradients[0] = Some(v.graph().apply_one(op, &operands).sum_to(v.shape()));
        Ok(gradients)
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let [v, offsets, sources, other_offsets] = [0, 1, 2, 3].map(|i| call.inputs[i]);
        let of = call.outputs[0].of;
        let lead = of.shape.leading(2);
        let (edges, channels) = (last_but_one(of), last(of));
        let side = Side::checked("edge_spread", offsets, sources, last(other_offsets.of) - 1, lead)?;
        let out = SharedPointer(call.outputs[0].f32().as_mut_ptr());
        for lane in 0..lead.iter().product() {
            let (rows, v) = (side.rows(lane), part(&v, 2, lead, lane));
            let parallel = call.parallel.above(edges * channels, POOL_WORK);
            let start = lane * edges * channels;
            let nodes = rows.offsets.len() - 1;
            for_each_chunk(parallel, nodes, TASK, |range| {
                for node in range {
                    for edge in rows.of(node) {
                        let from = match self.end {
                            End::Source => rows.ends[edge] as usize,
                            End::Destination => node,
                        };
                        // SAFETY: an edge lies in the row of one node, and below `edges` (checked).
                        let row = unsafe {
                            std::slice::from_raw_parts_mut(out.get().add(start + edge * channels), channels)
                        };
                        row.copy_from_slice(&v[from * channels..][..channels]);
                    }
                }
            });
            let used = rows.offsets[nodes] as usize;
            call.outputs[0].f32()[start + used * channels..start + edges * channels].fill(0.0);
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let of = &call.outputs[0];
        let lead = of.shape.leading(2);
        let numbers = [
            last(&call.operands[1]) - 1,
            last(of),
            lead.iter().product(),
            last(&call.operands[3]) - 1,
            last_but_one(of),
            usize::from(self.end == End::Source),
        ];
        Ok(Dispatch {
            entry: "edge_spread",
            floats: &[Binding::Input(0)],
            rows: [1, 2],
            extra: None,
            out: Binding::Output(0),
            numbers: &numbers,
            maps: &[(0, 2), (1, 1), (2, 1)],
            lead,
            items: of.elements(),
        }
        .launch(call)
        .into())
    }
}

impl Op for EdgeReduce {
    fn name(&self) -> &'static str {
        match self.reduction {
            Reduction::Sum => "edge_sum",
            Reduction::Maximum => "edge_max",
        }
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        infer(operands, |[destinations, sources, edges]| match self.end {
            End::Source => [edges, sources],
            End::Destination => [edges, destinations],
        })
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let (v, c) = (call.operands[0], call.cotangent(0));
        let edges = Edges::of(&call.operands[1..]);
        let dv = match self.reduction {
            Reduction::Sum => spread(c, edges, self.end),
            // Equal maxima share the gradient evenly.
            Reduction::Maximum => {
                let hit = v.equal(spread(call.outputs[0], edges, self.end));
                let number = reduce(hit, edges, Reduction::Sum, self.end);
                spread(c / number.maximum(c.graph().scalar(1.0)), edges, self.end) * hit
            }
        };
        let mut gradients = vec![None; 6];
        gradients[0] = Some(dv.sum_to(v.shape()));
        Ok(gradients)
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let v = call.inputs[0];
        let of = call.outputs[0].of;
        let lead = of.shape.leading(2);
        let (nodes, channels) = (last_but_one(of), last(of));
        let edges = last_but_one(v.of);
        // By source, the edges of a node are named by an array; by destination they stand side by side.
        let side = match self.end {
            End::Source => Side::checked(self.name(), call.inputs[3], call.inputs[5], edges, lead)?,
            End::Destination => {
                Side::checked(self.name(), call.inputs[1], call.inputs[2], last(call.inputs[3].of) - 1, lead)?
            }
        };
        let out = SharedPointer(call.outputs[0].f32().as_mut_ptr());
        for lane in 0..lead.iter().product() {
            let (rows, v) = (side.rows(lane), part(&v, 2, lead, lane));
            let parallel = call.parallel.above(edges * channels, POOL_WORK);
            for_each_chunk(parallel, nodes, TASK, |range| {
                for node in range {
                    let start = (lane * nodes + node) * channels;
                    // SAFETY: this task alone writes the rows of its nodes.
                    let row = unsafe { std::slice::from_raw_parts_mut(out.get().add(start), channels) };
                    row.fill(0.0);
                    for (i, at) in rows.of(node).enumerate() {
                        let edge = match self.end {
                            End::Source => rows.ends[at] as usize,
                            End::Destination => at,
                        };
                        let values = &v[edge * channels..][..channels];
                        match self.reduction {
                            _ if i == 0 => row.copy_from_slice(values),
                            Reduction::Sum => row.iter_mut().zip(values).for_each(|(sum, x)| *sum += x),
                            Reduction::Maximum => row.iter_mut().zip(values).for_each(|(best, &x)| {
                                // A NaN stays.
                                if x > *best || x.is_nan() {
                                    *best = x;
                                }
                            }),
                        }
                    }
                }
            });
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let of = &call.outputs[0];
        let lead = of.shape.leading(2);
        let (offsets, ends) = match self.end {
            End::Source => (3, 5),
            End::Destination => (1, 2),
        };
        let numbers = [
            last_but_one(of),
            last(of),
            lead.iter().product(),
            last_but_one(of),
            last_but_one(&call.operands[0]),
            usize::from(self.end == End::Source),
            usize::from(self.reduction == Reduction::Maximum),
        ];
        Ok(Dispatch {
            entry: "edge_reduce",
            floats: &[Binding::Input(0)],
            rows: [offsets, ends],
            extra: None,
            out: Binding::Output(0),
            numbers: &numbers,
            maps: &[(0, 2), (offsets, 1), (ends, 1)],
            lead,
            items: of.elements(),
        }
        .launch(call)
        .into())
    }
}

pub(super) fn spread<'g>(v: Tensor<'g>, edges: Edges<'g>, end: End) -> Tensor<'g> {
    let mut operands = vec![v];
    operands.extend(edges.arrays());
    stretch(&mut operands, &[2, 1, 1, 1, 1, 1]);
    v.graph().apply_one(EdgeSpread { end }, &operands)
}

pub(super) fn reduce<'g>(v: Tensor<'g>, edges: Edges<'g>, reduction: Reduction, end: End) -> Tensor<'g> {
    let mut operands = vec![v];
    operands.extend(edges.arrays());
    stretch(&mut operands, &[2, 1, 1, 1, 1, 1]);
    v.graph().apply_one(EdgeReduce { reduction, end }, &operands)
}

impl<'g> Edges<'g> {
    /// Every edge gets the value of its source: `[.., m, d]` to `[.., e, d]`.
    pub fn from_sources(self, values: Tensor<'g>) -> Tensor<'g> {
        spread(values, self, End::Source)
    }

    /// Every edge gets the value of its destination: `[.., n, d]` to `[.., e, d]`.
    pub fn from_destinations(self, values: Tensor<'g>) -> Tensor<'g> {
        spread(values, self, End::Destination)
    }

    /// The sum over the out-edges of every node: `[.., e, d]` to `[.., m, d]`.
    pub fn sum_at_sources(self, values: Tensor<'g>) -> Tensor<'g> {
        reduce(values, self, Reduction::Sum, End::Source)
    }

    /// The sum over the in-edges of every node: `[.., e, d]` to `[.., n, d]`.
    pub fn sum_at_destinations(self, values: Tensor<'g>) -> Tensor<'g> {
        reduce(values, self, Reduction::Sum, End::Destination)
    }

    /// The maximum over the in-edges of every node, 0 where there are none: `[.., e, d]` to `[.., n, d]`.
    pub fn max_at_destinations(self, values: Tensor<'g>) -> Tensor<'g> {
        reduce(values, self, Reduction::Maximum, End::Destination)
    }
}
