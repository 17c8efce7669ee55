//! Concatenations without a copy: what is put one after another is computed where it is to lie.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::compile::{Work, WorkNode, schedule};
use crate::graph::{Source, ValueId};
use crate::op::movement::Copy;
use crate::op::slice::Concat;
use crate::shape::TensorType;

/// Where values lie that are computed inside of a concatenation of theirs.
pub(super) struct Concatenations {
    /// The concatenation that a value is a part of, and its offset there, in elements.
    within: HashMap<ValueId, (ValueId, usize)>,
    /// Concatenations of which all parts are in place.
    done: HashSet<u32>,
}

impl Concatenations {
    /// Those among nodes in this order whose parts are all computed by steps of their own, start at multiples of
    /// `alignment` elements, and are not read while others are written: a buffer is read or written by a step, not both.
    pub fn new(work: &Work, order: &[u32], alignment: usize) -> Self {
        let mut all = Concatenations { within: HashMap::new(), done: HashSet::new() };
        // What is computed inside of each.
        let mut inside: HashMap<ValueId, Vec<ValueId>> = HashMap::new();
        for &id in order {
            let node = &work.nodes[&id];
            if node.inputs.len() < 2 || !concatenates(work, id) {
                continue;
            }
            let whole = ValueId { node: id, output: 0 };
            if let Some(parts) = all.parts(work, &node.inputs, alignment) {
                let own = parts.iter().flat_map(|(part, _)| {
                    let inner = inside.get(part).map_or(&[][..], |inner| inner);
                    std::iter::once(*part).chain(inner.iter().copied())
                });
                let own: Vec<ValueId> = own.collect();
                if !reads_itself(work, &own, &all.done) {
                    all.within.extend(parts.into_iter().map(|(part, offset)| (part, (whole, offset))));
                    all.done.insert(id);
                    inside.insert(whole, own);
                }
            }
        }
        all
    }

    /// The values behind the operands of a concatenation with their offsets, where each can be computed in place.
    fn parts(&self, work: &Work, operands: &[ValueId], alignment: usize) -> Option<Vec<(ValueId, usize)>> {
        let mut parts: Vec<(ValueId, usize)> = Vec::new();
        let mut own = HashSet::new();
        let mut offset = 0usize;
        for operand in operands {
            let part = whole_maker(work, *operand)?;
            let taken = self.within.contains_key(&part) || !own.insert(part);
            if taken || !offset.is_multiple_of(alignment) {
                return None;
            }
            parts.push((part, offset));
            offset += work.nodes[&part.node].outputs[part.output as usize].elements();
        }
        Some(parts)
    }

    /// The outermost concatenation that a value is computed in (itself where there is none), and its offset there.
    pub fn place(&self, value: ValueId) -> (ValueId, usize) {
        let (mut at, mut offset) = (value, 0);
        while let Some((whole, start)) = self.within.get(&at) {
            at = *whole;
            offset += start;
        }
        (at, offset)
    }

    /// Whether nothing is left to be done for this node.
    pub fn is_done(&self, node: u32) -> bool {
        self.done.contains(&node)
    }
}

/// Makes concatenations for which a device has no kernel into such as need none: parts that cannot be computed in place are
/// copied, namely what lies elsewhere for good, is a part of several, or is read while its neighbours are written.
pub(super) fn copy_parts(work: &mut Work, too_large: impl Fn(&TensorType) -> bool) {
    let large: Vec<u32> = schedule(work)
        .into_iter()
        .filter(|id| too_large(&work.nodes[id].outputs[0]) && concatenates(work, *id))
        .collect();
    // Concatenations of concatenations are one: the parts of an inner one may be parts of several.
    for &id in &large {
        let mut operands = Vec::new();
        for operand in &work.nodes[&id].inputs {
            match whole_maker(work, *operand).filter(|inner| large.contains(&inner.node)) {
                Some(inner) => operands.extend_from_slice(&work.nodes[&inner.node].inputs),
                None => operands.push(*operand),
            }
        }
        if let Some(node) = work.nodes.get_mut(&id) {
            (node.source, node.inputs) = (Source::Op(Arc::new(Concat(0))), operands);
        }
    }
    work.sweep();
    let left = large.into_iter().filter(|id| work.nodes.contains_key(id)).collect::<Vec<_>>();
    let mut uses: HashMap<ValueId, usize> = HashMap::new();
    for operand in left.iter().flat_map(|id| &work.nodes[id].inputs) {
        if let Some(part) = whole_maker(work, *operand) {
            *uses.entry(part).or_default() += 1;
        }
    }
    let mut next = work.nodes.keys().next_back().map_or(0, |id| id + 1);
    for id in left {
        let operands = work.nodes[&id].inputs.clone();
        let parts: Vec<Option<ValueId>> =
            operands.iter().map(|operand| whole_maker(work, *operand)).collect();
        let known: Vec<ValueId> = parts.iter().flatten().copied().collect();
        let tangled = reads_itself(work, &known, &HashSet::new());
        for (i, (operand, part)) in operands.into_iter().zip(parts).enumerate() {
            if !tangled && part.is_some_and(|part| uses[&part] == 1) {
                continue;
            }
            let outputs = vec![work.nodes[&operand.node].outputs[operand.output as usize].clone()];
            let copy = WorkNode { source: Source::Op(Arc::new(Copy)), inputs: vec![operand], outputs };
            work.nodes.insert(next, copy);
            if let Some(node) = work.nodes.get_mut(&id) {
                node.inputs[i] = ValueId { node: next, output: 0 };
            }
            next += 1;
        }
    }
}

fn concatenates(work: &Work, id: u32) -> bool {
    let node = &work.nodes[&id];
    matches!(&node.source, Source::Op(op) if op.concatenates(&node.outputs[0]))
}

/// The value that a kernel writes of which `value` is a view, where it is one of all of it.
fn whole_maker(work: &Work, value: ValueId) -> Option<ValueId> {
    let elements = |of: ValueId| work.nodes[&of.node].outputs[of.output as usize].elements();
    let (part, start) = maker(work, value)?;
    (start == 0 && elements(part) == elements(value)).then_some(part)
}

/// The value that a kernel writes of which `value` is a view, and where the view starts. `None` for inputs, constants and
/// variables.
fn maker(work: &Work, value: ValueId) -> Option<(ValueId, usize)> {
    let (mut at, mut start) = (value, 0);
    loop {
        let node = &work.nodes[&at.node];
        let Source::Op(op) = &node.source else { return None };
        match op.alias(&work.operands(node)) {
            Some(offset) => (at, start) = (node.inputs[0], start + offset),
            None => return Some((at, start)),
        }
    }
}

/// Whether one of these values is read where another is computed; nothing is where a concatenation is `done`.
fn reads_itself(work: &Work, values: &[ValueId], done: &HashSet<u32>) -> bool {
    let own: HashSet<ValueId> = values.iter().copied().collect();
    let makers: HashSet<u32> = values.iter().map(|value| value.node).collect();
    makers
        .iter()
        .filter(|id| !done.contains(id))
        .flat_map(|id| &work.nodes[id].inputs)
        .any(|input| maker(work, *input).is_some_and(|(value, _)| own.contains(&value)))
}
