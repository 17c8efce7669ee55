//! What ops say of themselves, checked: ops of other packages may say anything, and what executes a program relies on it.
//!
//! [`claims`] looks at single ops before a graph is rewritten, so that the error names the op and the answer. [`sound`]
//! looks at the result whatever came between: every operand and output lies within its memory, no step writes where it
//! reads, and every op meets the types that its shape rule is about.

use std::ops::Range;

use super::compile::{Compiled, Location, Root, Work, WorkNode};
use crate::error::{Error, Result};
use crate::graph::{Op, Source, WithoutElements, is_own};
use crate::shape::{DType, TensorType, list};

fn fault(op: &dyn Op, operands: &[TensorType], what: impl std::fmt::Display) -> Error {
    Error::Graph(format!("{}: {what} (operands {})", op.name(), list(operands)))
}

/// Checks what every op says of itself.
pub(super) fn claims(work: &Work) -> Result<()> {
    for node in work.nodes.values() {
        if let Source::Op(op) = &node.source
            && !is_own(op.as_ref())
        {
            claim(op.as_ref(), &work.operands(node), node)?;
        }
    }
    Ok(())
}

fn claim(op: &dyn Op, operands: &[TensorType], node: &WorkNode) -> Result<()> {
    let outputs = &node.outputs;
    let fault = |what: String| Err(fault(op, operands, what));
    if let Some(offset) = op.alias(operands) {
        let inside = |of: &TensorType| {
            let end = offset.checked_add(outputs[0].elements());
            of.dtype == outputs[0].dtype && end.is_some_and(|end| end <= of.elements())
        };
        if outputs.len() != 1 || !operands.first().is_some_and(inside) {
            return fault(format!(
                "`alias` says that the output ({}) lies in the first operand from element {offset} on",
                list(outputs)
            ));
        }
    }
    if op.without_elements() == WithoutElements::Others && outputs.len() != 1 {
        return fault(format!(
            "`without_elements` says that {} are those of the other operands",
            list(outputs)
        ));
    }
    if let Some(function) = op.scalar() {
        let reads = |of: &TensorType| {
            of.dtype == DType::F32 && of.shape.broadcast_strides(&outputs[0].shape).is_some()
        };
        let floats = outputs.len() == 1 && outputs[0].dtype == DType::F32;
        if !floats || operands.len() != function.arity() || !operands.iter().all(reads) {
            return fault(format!(
                "`scalar` says that {function:?} of the operands' elements makes {}",
                list(outputs)
            ));
        }
    }
    for &(operand, output) in op.in_place() {
        if operands.get(operand).is_none_or(|of| Some(of) != outputs.get(output)) {
            return fault(format!("`in_place` says that operand {operand} may become output {output}"));
        }
    }
    if op.concatenates(&outputs[0]) {
        let elements = operands.iter().fold(0, |sum: usize, of| sum.saturating_add(of.elements()));
        let alike = operands.iter().all(|of| of.dtype == outputs[0].dtype);
        if outputs.len() != 1 || !alike || elements != outputs[0].elements() {
            return fault(format!("`concatenates` says that the operands together are {}", list(outputs)));
        }
    }
    Ok(())
}

/// Checks a compiled program.
pub(super) fn sound(compiled: &Compiled) -> Result<()> {
    let elements = |root: Root| match root {
        Root::Input(i) => compiled.inputs[i].1.elements(),
        Root::Constant(i) => compiled.constants[i].len(),
        Root::Variable(i) => compiled.variables[i].tensor_type().elements(),
        Root::Buffer(i) => compiled.buffers[i].elements,
    };
    let range = |at: &Location| -> Option<Range<usize>> {
        let end = at.offset.checked_add(at.of.elements())?;
        (end <= elements(at.root)).then_some(at.offset..end)
    };
    for step in &compiled.steps {
        let op = step.op.as_ref();
        let fault = |what: &str| Err(fault(op, &step.input_types, what));
        let types = |locations: &[Location]| locations.iter().map(|at| at.of.clone()).collect::<Vec<_>>();
        if types(&step.inputs) != step.input_types || types(&step.outputs) != step.output_types {
            return fault("an operand or an output is not what it was when the op was traced");
        }
        match op.infer(&step.input_types) {
            Ok(made) if made == step.output_types => {}
            Ok(made) => {
                let (made, planned) = (list(&made), list(&step.output_types));
                return fault(&format!("makes {made} where {planned} is needed"));
            }
            Err(message) => return fault(&message),
        }
        let mut written: Vec<(Root, Range<usize>)> = Vec::new();
        for output in &step.outputs {
            let Some(range) = range(output) else { return fault("an output does not lie in its memory") };
            if matches!(output.root, Root::Input(_) | Root::Constant(_))
                || meets(&written, output.root, &range)
            {
                return fault("outputs overlap what is not to be written");
            }
            written.push((output.root, range));
        }
        for input in &step.inputs {
            let Some(range) = range(input) else { return fault("an operand does not lie in its memory") };
            // A variable that is written in place is taken from the list of operands.
            if !matches!(input.root, Root::Variable(_)) && meets(&written, input.root, &range) {
                return fault("an output overlaps an operand");
            }
        }
    }
    let variables = compiled.assignments.iter().map(|(i, at)| (at, compiled.variables[*i].tensor_type()));
    for (at, of) in compiled.outputs.iter().map(|(at, of)| (at, of)).chain(variables) {
        if at.of != *of || range(at).is_none() {
            return Err(Error::Graph(format!("a value that is to be {of} is {} after compilation", at.of)));
        }
    }
    Ok(())
}

fn meets(written: &[(Root, Range<usize>)], root: Root, range: &Range<usize>) -> bool {
    written.iter().any(|(of, own)| *of == root && own.start < range.end && range.start < own.end)
}
