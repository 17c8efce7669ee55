//! Tensors without elements are left out of a program: no kernel reads or writes one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::compile::{Work, WorkNode};
use crate::graph::{Op, Source, ValueId, WithoutElements};
use crate::op::elementwise::Broadcast;
use crate::shape::TensorType;

/// Replaces values without elements by constants, and ops on them by what they make of them. Gives whether there were any.
pub(super) fn leave_out(work: &mut Work) -> bool {
    let empty = |of: &TensorType| of.elements() == 0;
    if !work.nodes.values().any(|node| node.outputs.iter().any(empty)) {
        return false;
    }
    let mut nodes: BTreeMap<u32, WorkNode> = BTreeMap::new();
    let mut places: HashMap<ValueId, ValueId> = HashMap::new();
    let add = |nodes: &mut BTreeMap<u32, WorkNode>, source, inputs, outputs| -> u32 {
        let id = nodes.len() as u32;
        nodes.insert(id, WorkNode { source, inputs, outputs });
        id
    };
    let only = |node| ValueId { node, output: 0 };
    for (&id, node) in &work.nodes {
        let value = |output: usize| ValueId { node: id, output: output as u32 };
        for (i, of) in node.outputs.iter().enumerate().filter(|(_, of)| empty(of)) {
            let nothing = add(&mut nodes, Source::Constant(Arc::new([])), Vec::new(), vec![of.clone()]);
            places.insert(value(i), only(nothing));
        }
        if node.outputs.iter().all(empty) {
            continue;
        }
        let inputs: Vec<ValueId> = node.inputs.iter().map(|v| places[v]).collect();
        let type_of = |v: &ValueId| &nodes[&v.node].outputs[v.output as usize];
        let rest: Vec<ValueId> = inputs.iter().copied().filter(|v| !empty(type_of(v))).collect();
        let way = match &node.source {
            Source::Op(op) if rest.len() < inputs.len() => op.without_elements(),
            _ => WithoutElements::Refused,
        };
        let full = || node.outputs.iter().enumerate().filter(|(_, of)| !empty(of));
        match (way, &rest[..]) {
            (WithoutElements::Others, [alone]) => {
                places.insert(value(0), *alone);
            }
            (WithoutElements::Zeros, _) => {
                for (i, of) in full() {
                    let number = TensorType { shape: [].into(), dtype: of.dtype };
                    let zero = add(&mut nodes, Source::Constant(Arc::new([0])), Vec::new(), vec![number]);
                    let stretched: Arc<dyn Op> = Arc::new(Broadcast(of.shape.clone()));
                    let zeros = add(&mut nodes, Source::Op(stretched), vec![only(zero)], vec![of.clone()]);
                    places.insert(value(i), only(zeros));
                }
            }
            _ => {
                let inputs = if way == WithoutElements::Others { rest } else { inputs };
                let new = add(&mut nodes, node.source.clone(), inputs, node.outputs.clone());
                for (i, _) in full() {
                    places.insert(value(i), ValueId { node: new, output: i as u32 });
                }
            }
        }
    }
    work.roots.iter_mut().for_each(|root| *root = places[root]);
    work.nodes = nodes;
    true
}
