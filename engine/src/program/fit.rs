//! Ops that a device has no kernel for, because a size is over one of its limits, in terms of simpler or smaller ones.
//!
//! What is too large to be bound at once is cut in two until it is not: operands of the halves are views, and where
//! outputs follow one another they are computed where they are to lie (see `concatenation`), so that nothing is copied.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::compile::{Work, WorkNode, schedule};
use crate::graph::{Cut, Graph, Halves, Op, Source, Tensor, ValueId};
use crate::op::elementwise::Elementwise;
use crate::shape::{Shape, TensorType};

/// What a device can do.
pub(crate) struct Fits<'a> {
    /// Whether it can run an op on operands and outputs of these types.
    pub runs: &'a dyn Fn(&dyn Op, &[TensorType], &[TensorType]) -> bool,
    /// Elements that it can bind at once.
    pub binding: usize,
}

/// Replaces every op that does not fit by smaller ones or by its decomposition, where it has some that do. Outputs may start
/// at multiples of `alignment` elements.
pub(super) fn fit(work: &mut Work, fits: &Fits<'_>, alignment: usize) {
    let mut nodes: BTreeMap<u32, WorkNode> = BTreeMap::new();
    let mut places: HashMap<ValueId, ValueId> = HashMap::new();
    for id in schedule(work) {
        let node = &work.nodes[&id];
        let inputs = node.inputs.iter().map(|v| places[v]).collect();
        let outputs = insert(WorkNode { inputs, ..node.clone() }, &mut nodes, fits, alignment);
        let value = |output: usize| ValueId { node: id, output: output as u32 };
        places.extend(outputs.into_iter().enumerate().map(|(i, new)| (value(i), new)));
    }
    work.roots.iter_mut().for_each(|root| *root = places[root]);
    work.nodes = nodes;
}

/// Adds a node, or those that it falls into; gives where its outputs lie.
fn insert(
    node: WorkNode,
    nodes: &mut BTreeMap<u32, WorkNode>,
    fits: &Fits<'_>,
    alignment: usize,
) -> Vec<ValueId> {
    let types: Vec<TensorType> =
        node.inputs.iter().map(|v| nodes[&v.node].outputs[v.output as usize].clone()).collect();
    let simpler = match &node.source {
        Source::Op(op) if !runs(op.as_ref(), &types, &node.outputs, fits) => {
            let large = types.iter().chain(&node.outputs).any(|of| of.elements() > fits.binding);
            let smaller = || halved(op, &types, &node.outputs, fits.binding, alignment);
            let plainer = || decomposed(op.as_ref(), &types, &node.outputs, fits, alignment);
            if large { smaller().or_else(plainer) } else { plainer().or_else(smaller) }
        }
        _ => None,
    };
    let Some((graph, outputs)) = simpler else {
        let at = nodes.len() as u32;
        let values = (0..node.outputs.len()).map(|i| ValueId { node: at, output: i as u32 }).collect();
        nodes.insert(at, node);
        return values;
    };
    // The first nodes of the graph are the operands.
    let mut places: HashMap<ValueId, ValueId> = HashMap::new();
    for (i, part) in graph.nodes().iter().enumerate() {
        let made = match node.inputs.get(i) {
            Some(input) => vec![*input],
            None => {
                let inputs = part.inputs.iter().map(|v| places[v]).collect();
                let (source, outputs) = (part.source.clone(), part.outputs.clone());
                insert(WorkNode { source, inputs, outputs }, nodes, fits, alignment)
            }
        };
        let value = |output: usize| ValueId { node: i as u32, output: output as u32 };
        places.extend(made.into_iter().enumerate().map(|(output, new)| (value(output), new)));
    }
    outputs.iter().map(|v| places[v]).collect()
}

/// Views of operands need no kernel, nor do operands that are computed side by side.
fn runs(op: &dyn Op, operands: &[TensorType], outputs: &[TensorType], fits: &Fits<'_>) -> bool {
    op.alias(operands).is_some() || op.concatenates(&outputs[0]) || (fits.runs)(op, operands, outputs)
}

/// A graph whose first nodes are the operands, and the values in it that are an op's outputs.
type Parts = (Graph, Vec<ValueId>);

/// A graph of operands of these types, in which `build` makes the outputs.
fn parts(
    operands: &[TensorType],
    build: impl FnOnce(&[Tensor<'_>]) -> Option<Vec<ValueId>>,
) -> Option<Parts> {
    let graph = Graph::new();
    let outputs = {
        let input = |(i, of): (usize, &TensorType)| graph.input_of(&i.to_string(), of.clone());
        build(&operands.iter().enumerate().map(input).collect::<Vec<_>>())?
    };
    graph.check().ok()?;
    Some((graph, outputs))
}

fn ids(tensors: &[Tensor<'_>]) -> Vec<ValueId> {
    tensors.iter().map(Tensor::id).collect()
}

/// An op's plainer form, where all of it fits or can be made to.
fn decomposed(
    op: &dyn Op,
    operands: &[TensorType],
    outputs: &[TensorType],
    fits: &Fits<'_>,
    alignment: usize,
) -> Option<Parts> {
    let plain = |inputs: &[Tensor<'_>]| {
        let made = op.decompose(inputs)?;
        let own = |t: &Tensor<'_>| std::ptr::eq(t.graph(), inputs[0].graph());
        let same = made.iter().map(Tensor::tensor_type).eq(outputs.iter().cloned());
        (made.iter().all(own) && same).then(|| ids(&made))
    };
    let (graph, outputs) = parts(operands, |inputs| plain(inputs).filter(|_| !inputs.is_empty()))?;
    let all = {
        let nodes = graph.nodes();
        let of = |v: &ValueId| nodes[v.node as usize].outputs[v.output as usize].clone();
        nodes.iter().all(|node| match &node.source {
            Source::Op(op) => {
                let types: Vec<TensorType> = node.inputs.iter().map(of).collect();
                runs(op.as_ref(), &types, &node.outputs, fits)
                    || halved(op, &types, &node.outputs, fits.binding, alignment).is_some()
                    || decomposed(op.as_ref(), &types, &node.outputs, fits, alignment).is_some()
            }
            _ => true,
        })
    };
    all.then_some((graph, outputs))
}

/// An op as two of half its size.
fn halved(
    op: &Arc<dyn Op>,
    operands: &[TensorType],
    outputs: &[TensorType],
    binding: usize,
    alignment: usize,
) -> Option<Parts> {
    if let Some(flat) = flattened(op, operands, outputs) {
        return Some(flat);
    }
    let over = |of: &TensorType| of.elements() > binding;
    let any = operands.iter().chain(outputs).any(over);
    let helps = |cut: &Cut| {
        let operand = operands.iter().zip(&cut.operands).any(|(of, cut)| cut.is_some() && over(of));
        let follows = |half: &Halves| matches!(half, Halves::Follow(_));
        !any || operand || outputs.iter().zip(&cut.outputs).any(|(of, half)| follows(half) && over(of))
    };
    let mut cuts = op.cuts(operands, outputs);
    cuts.retain(|cut| is_possible(cut, operands, outputs));
    cuts.iter().filter(|cut| helps(cut)).find_map(|cut| in_halves(op, cut, operands, outputs, alignment))
}

/// Whether a cut is one of these operands and outputs along dimensions of one size.
fn is_possible(cut: &Cut, operands: &[TensorType], outputs: &[TensorType]) -> bool {
    let read = operands.iter().zip(&cut.operands).filter_map(|(of, axis)| Some((of, (*axis)?)));
    let made = outputs.iter().zip(&cut.outputs).filter_map(|(of, half)| match half {
        Halves::Follow(axis) => Some((of, *axis)),
        Halves::Meet(_) => None,
    });
    let binary = |half: &Halves| !matches!(half, Halves::Meet(function) if function.arity() != 2);
    let mut sizes = read.chain(made).map(|(of, axis)| of.shape.get(axis));
    let first = sizes.next().flatten();
    cut.operands.len() == operands.len()
        && cut.outputs.len() == outputs.len()
        && cut.outputs.iter().all(binary)
        && first.is_some()
        && sizes.all(|size| size == first)
}

/// An elementwise op without broadcasting over one dimension, along which it can be cut anywhere.
fn flattened(op: &Arc<dyn Op>, operands: &[TensorType], outputs: &[TensorType]) -> Option<Parts> {
    let shape = &outputs[0].shape;
    let plain = |of: &TensorType| of.shape == *shape || of.elements() == 1;
    if op.scalar().is_none() || shape.len() < 2 || !operands.iter().all(plain) {
        return None;
    }
    let flat = TensorType::f32([shape.elements()]);
    let op = op.resized(std::slice::from_ref(&flat)).unwrap_or_else(|| op.clone());
    parts(operands, |inputs| {
        let inputs: Vec<Tensor<'_>> =
            inputs.iter().map(|t| t.reshape(Shape::from([t.shape().elements()]))).collect();
        let made = inputs[0].graph().apply_shared(op, &inputs);
        Some(ids(&[made[0].reshape(shape)]))
    })
}

/// The elements of a step along `axis`.
fn inner(of: &TensorType, axis: usize) -> usize {
    of.shape[axis + 1..].iter().product()
}

/// The op on each half of `cut`, the second of which starts where a binding may.
fn in_halves(
    op: &Arc<dyn Op>,
    cut: &Cut,
    operands: &[TensorType],
    outputs: &[TensorType],
    alignment: usize,
) -> Option<Parts> {
    let followed = outputs.iter().zip(&cut.outputs).filter_map(|(of, half)| match half {
        Halves::Follow(axis) => Some((of, *axis)),
        Halves::Meet(_) => None,
    });
    let read = || operands.iter().zip(&cut.operands).filter_map(|(of, cut)| Some((of, (*cut)?)));
    let size = followed.clone().chain(read()).map(|(of, axis)| of.shape[axis]).next()?;
    // An operand's half that starts elsewhere would be copied; an output's could not be written. Alignments are powers of 2.
    let unit = |parts: &mut dyn Iterator<Item = (&TensorType, usize)>| {
        let step = |(of, axis)| alignment >> alignment.trailing_zeros().min(inner(of, axis).trailing_zeros());
        parts.map(step).max().unwrap_or(1)
    };
    let units = [unit(&mut followed.clone().chain(read())), unit(&mut followed.clone())];
    let at =
        units.map(|unit| (size / 2).next_multiple_of(unit)).into_iter().find(|at| (1..size).contains(at))?;
    parts(operands, |inputs| {
        let graph = inputs.first()?.graph();
        let half = |start: usize, length: usize| {
            let mut own = inputs.to_vec();
            for (tensor, cut) in own.iter_mut().zip(&cut.operands) {
                if let Some(axis) = cut {
                    *tensor = tensor.slice(*axis as isize, start, length);
                }
            }
            let types: Vec<TensorType> =
                outputs.iter().zip(&cut.outputs).map(|(of, half)| with_length(of, *half, length)).collect();
            graph.apply_shared(op.resized(&types).unwrap_or_else(|| op.clone()), &own)
        };
        let (first, second) = (half(0, at), half(at, size - at));
        let together = |((half, a), b): ((&Halves, &Tensor<'_>), &Tensor<'_>)| match half {
            Halves::Follow(axis) => graph.concat(&[*a, *b], *axis as isize).id(),
            Halves::Meet(function) => graph.apply_one(Elementwise(*function), &[*a, *b]).id(),
        };
        Some(cut.outputs.iter().zip(&first).zip(&second).map(together).collect())
    })
}

/// The type of a half's output.
fn with_length(of: &TensorType, half: Halves, length: usize) -> TensorType {
    let mut of = of.clone();
    if let Halves::Follow(axis) = half {
        let mut shape = of.shape.to_vec();
        shape[axis] = length;
        of.shape = shape.into();
    }
    of
}
