//! Fusion for caches: ops that work row by row and feed one another become one step that takes a block of rows through
//! all of them, where their tensors are too large to wait in a cache.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::compile::{Work, WorkNode, schedule};
use super::fuse::{clusters, levels};
use super::plan::{self, Interval};
use crate::graph::{ByRows, Op, Source, ValueId, is_own};
use crate::op::row_chain::{Place, Placed, RowChain};
use crate::shape::TensorType;

/// Elements of a tensor from which on chains pay: half a megabyte, a core's share of the caches.
const LEAST: usize = 1 << 17;
/// Elements of all operands, outputs and values between of a block of rows, about: 128 KiB.
const BLOCK: usize = 1 << 15;
/// Ops of one chain.
const LONGEST: usize = 16;

/// Replaces what belongs together by chains.
pub(super) fn chains(work: &mut Work) {
    let order = schedule(work);
    let members: HashMap<u32, ByRows> = work
        .nodes
        .iter()
        .filter(|(_, node)| node.outputs[0].shape.len() > 1 && node.outputs[0].elements() >= LEAST)
        .filter_map(|(&id, node)| {
            let Source::Op(op) = &node.source else { return None };
            // Those of other packages work alone: nothing tells that they do for some rows what they do for all.
            let op = is_own(op.as_ref()).then_some(op)?;
            Some((id, op.by_rows(&work.operands(node), &node.outputs)?))
        })
        .collect();
    let nodes = &work.nodes;
    // Both work on the same rows, and the second reads those of the first row by row.
    let joins = |from: u32, to: u32| {
        let (Some(_), Some(reader)) = (members.get(&from), members.get(&to)) else { return false };
        let lead = |id: u32| nodes[&id].outputs[0].shape.leading(1);
        let read = || nodes[&to].inputs.iter().zip(&reader.sliced).filter(|(value, _)| value.node == from);
        lead(from) == lead(to) && (from == to || read().all(|(_, sliced)| *sliced))
    };
    let level = levels(work, &order, joins);
    let at: HashMap<u32, usize> = order.iter().enumerate().map(|(i, id)| (*id, i)).collect();
    let mut readers: HashMap<ValueId, Vec<u32>> = HashMap::new();
    for (id, node) in nodes {
        for value in &node.inputs {
            readers.entry(*value).or_default().push(*id);
        }
    }
    let roots: HashSet<ValueId> = work.roots.iter().copied().collect();
    let mut replacements = Vec::new();
    for mut group in clusters(nodes, &order, &level, joins, LONGEST) {
        if group.len() > 1 {
            group.sort_unstable_by_key(|id| at[id]);
            let own: HashSet<u32> = group.iter().copied().collect();
            let read_outside = |value: &ValueId| {
                let by_others = |all: &Vec<u32>| all.iter().any(|reader| !own.contains(reader));
                roots.contains(value) || readers.get(value).is_some_and(by_others)
            };
            replacements.extend(build(work, &group, &members, read_outside));
        }
    }
    let mut renamed = HashMap::new();
    for (place, node, outputs) in replacements {
        for (i, value) in outputs.into_iter().enumerate() {
            renamed.insert(value, ValueId { node: place, output: i as u32 });
        }
        work.nodes.insert(place, node);
    }
    work.rename(&renamed);
}

/// The number of the last member, the chain in its place, and which values its outputs are.
fn build(
    work: &Work,
    group: &[u32],
    members: &HashMap<u32, ByRows>,
    read_outside: impl Fn(&ValueId) -> bool,
) -> Option<(u32, WorkNode, Vec<ValueId>)> {
    let own: HashSet<u32> = group.iter().copied().collect();
    let shape = &work.nodes[group.first()?].outputs[0].shape;
    let rows: usize = shape.leading(1).iter().product();
    let of = |value: &ValueId| &work.nodes[&value.node].outputs[value.output as usize];
    let width = |value: &ValueId| of(value).elements() / rows;

    // Every value of the chain: from the step that makes it to the last one that reads it.
    let mut lives: BTreeMap<(usize, u32), (ValueId, usize)> = BTreeMap::new();
    let (mut inputs, mut outputs): (Vec<ValueId>, Vec<ValueId>) = (Vec::new(), Vec::new());
    for (step, id) in group.iter().enumerate() {
        let node = &work.nodes[id];
        for value in &node.inputs {
            match group.iter().position(|id| *id == value.node) {
                Some(maker) => {
                    if let Some((_, last)) = lives.get_mut(&(maker, value.output)) {
                        *last = step;
                    }
                }
                None if inputs.contains(value) => {}
                None => inputs.push(*value),
            }
        }
        for output in 0..node.outputs.len() as u32 {
            let value = ValueId { node: *id, output };
            match read_outside(&value) {
                true => outputs.push(value),
                false => drop(lives.insert((step, output), (value, step))),
            }
        }
    }
    let inner: usize = lives.values().map(|(value, _)| width(value)).sum();
    let outer: usize = inputs.iter().chain(&outputs).map(|v| width(v).max(1)).sum();
    let block = (BLOCK / (inner + outer).max(1)).clamp(1, rows);
    let intervals: Vec<Interval> = lives
        .iter()
        .map(|((first, _), (value, last))| Interval {
            elements: width(value) * block,
            first: *first,
            last: *last,
        })
        .collect();
    let (offsets, between) = plan::offsets(&intervals);
    let offset: HashMap<ValueId, usize> = lives.values().map(|(value, _)| *value).zip(offsets).collect();

    let made = |value: &ValueId| match offset.get(value) {
        Some(offset) => Some(Place::Between(*offset, width(value))),
        None => Some(Place::Output(outputs.iter().position(|v| v == value)?, width(value))),
    };
    let mut placed: Vec<Placed> = Vec::new();
    let mut operations = 0;
    for id in group {
        let (node, by_rows) = (&work.nodes[id], &members[id]);
        let read = node.inputs.iter().zip(&by_rows.sliced).map(|(value, sliced)| {
            if own.contains(&value.node) {
                return made(value);
            }
            let index = inputs.iter().position(|v| v == value)?;
            Some(if *sliced {
                Place::Operand(index, width(value))
            } else {
                Place::Whole(index, of(value).clone())
            })
        });
        let read = read.collect::<Option<Vec<Place>>>()?;
        let written = (0..node.outputs.len() as u32).map(|output| made(&ValueId { node: *id, output }));
        placed.push((by_rows.op.clone(), read, written.collect::<Option<Vec<Place>>>()?));
        if let Source::Op(op) = &node.source {
            operations = u64::saturating_add(operations, op.operations(&work.operands(node), &node.outputs));
        }
    }
    let types: Vec<TensorType> = outputs.iter().map(|v| of(v).clone()).collect();
    let chain: Arc<dyn Op> =
        Arc::new(RowChain::new([rows, block, between], placed, types.clone(), operations));
    Some((*group.last()?, WorkNode { source: Source::Op(chain), inputs, outputs: types }, outputs))
}
