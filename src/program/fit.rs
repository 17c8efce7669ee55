//! Ops that a device has no kernel for, because a size is over one of its limits, in terms of simpler ones.

use std::collections::{BTreeMap, HashMap};

use super::compile::{Work, WorkNode};
use crate::graph::{Graph, Op, Source, Tensor, ValueId};
use crate::shape::TensorType;

/// Whether a device can run an op on operands and outputs of these types.
pub(crate) type Fits<'a> = dyn Fn(&dyn Op, &[TensorType], &[TensorType]) -> bool + 'a;

/// Replaces every op that does not fit by its decomposition, where it has one that does.
pub(super) fn fit(work: &mut Work, fits: &Fits<'_>) {
    let mut nodes: BTreeMap<u32, WorkNode> = BTreeMap::new();
    let mut places: HashMap<ValueId, ValueId> = HashMap::new();
    let mut replaced = false;
    for (&id, node) in &work.nodes {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|v| places[v]).collect();
        let types: Vec<TensorType> =
            inputs.iter().map(|v| nodes[&v.node].outputs[v.output as usize].clone()).collect();
        let simpler = match &node.source {
            Source::Op(op) if !runs(op.as_ref(), &types, &node.outputs, fits) => {
                decomposed(op.as_ref(), &types, fits)
            }
            _ => None,
        };
        let value = |output: usize| ValueId { node: id, output: output as u32 };
        let outputs = match simpler {
            Some((graph, outputs)) => {
                replaced = true;
                insert(&graph, &inputs, &outputs, &mut nodes)
            }
            None => {
                let at = nodes.len() as u32;
                nodes.insert(at, WorkNode { inputs, ..node.clone() });
                (0..node.outputs.len()).map(|i| ValueId { node: at, output: i as u32 }).collect()
            }
        };
        places.extend(outputs.into_iter().enumerate().map(|(i, new)| (value(i), new)));
    }
    if replaced {
        work.roots.iter_mut().for_each(|root| *root = places[root]);
        work.nodes = nodes;
    }
}

/// A view of its operand needs no kernel.
fn runs(op: &dyn Op, operands: &[TensorType], outputs: &[TensorType], fits: &Fits<'_>) -> bool {
    op.alias(operands).is_some() || fits(op, operands, outputs)
}

/// A graph whose first nodes are the operands, and the values in it that are the op's outputs; `None` where there is none
/// that fits.
fn decomposed(op: &dyn Op, operands: &[TensorType], fits: &Fits<'_>) -> Option<(Graph, Vec<ValueId>)> {
    let graph = Graph::new();
    let outputs: Vec<ValueId> = {
        let inputs: Vec<Tensor<'_>> =
            operands.iter().enumerate().map(|(i, of)| graph.input_of(&i.to_string(), of.clone())).collect();
        op.decompose(&inputs)?.iter().map(|t| t.id()).collect()
    };
    graph.check().ok()?;
    let all = {
        let nodes = graph.nodes();
        let of = |v: &ValueId| nodes[v.node as usize].outputs[v.output as usize].clone();
        nodes.iter().all(|node| match &node.source {
            Source::Op(op) => {
                let types: Vec<TensorType> = node.inputs.iter().map(of).collect();
                runs(op.as_ref(), &types, &node.outputs, fits)
            }
            _ => true,
        })
    };
    all.then_some((graph, outputs))
}

/// Adds the nodes of `graph` behind its operands, which are `inputs`; gives where `outputs` lie now.
fn insert(
    graph: &Graph,
    inputs: &[ValueId],
    outputs: &[ValueId],
    nodes: &mut BTreeMap<u32, WorkNode>,
) -> Vec<ValueId> {
    let mut places: HashMap<ValueId, ValueId> = HashMap::new();
    for (i, node) in graph.nodes().iter().enumerate() {
        let value = |output: usize| ValueId { node: i as u32, output: output as u32 };
        if let Some(input) = inputs.get(i) {
            places.insert(value(0), *input);
            continue;
        }
        let at = nodes.len() as u32;
        let inputs = node.inputs.iter().map(|v| places[v]).collect();
        nodes.insert(at, WorkNode { source: node.source.clone(), inputs, outputs: node.outputs.clone() });
        for output in 0..node.outputs.len() {
            places.insert(value(output), ValueId { node: at, output: output as u32 });
        }
    }
    outputs.iter().map(|v| places[v]).collect()
}
