//! Reverse-mode differentiation. Each op's rule gives ordinary nodes, so a gradient can be differentiated again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{Graph, Op, Source, Tensor, ValueId, VjpCall};
use crate::error::{Error, Result};
use crate::shape::{DType, TensorType};

impl Graph {
    /// Gradients of the scalar `loss` with respect to each of `wrt`, as tensors of this graph.
    ///
    /// # Errors
    /// `loss` is not a single float; an op on the way has no gradient ([`Error::NoGradient`] names it); `loss` does
    /// not depend on one of `wrt` (never a silent zero); or the graph holds an earlier mistake.
    pub fn grad<'g>(&'g self, loss: Tensor<'g>, wrt: &[Tensor<'g>]) -> Result<Vec<Tensor<'g>>> {
        self.grad_where_any(loss, wrt)?
            .into_iter()
            .zip(wrt)
            .map(|(gradient, of)| {
                gradient.ok_or_else(|| Error::NoGradient {
                    op: "grad".into(),
                    message: format!("the loss does not depend on {of:?} through anything differentiable"),
                })
            })
            .collect()
    }

    /// As [`Graph::grad`], with zeros for those of `wrt` on which `loss` does not depend: for models of which a loss uses a
    /// part only.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let (used, unused) = (g.input("used", [2]), g.input("unused", [3]));
    /// let gradients = g.grad_or_zeros(used.sum_all(), &[used, unused])?;
    /// let mut program = Device::cpu().compile(&g, &gradients)?;
    /// assert_eq!(program.run(&[])?.f32(1), [0.0; 3]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Graph::grad`], but for that; one of `wrt` holds integers.
    pub fn grad_or_zeros<'g>(&'g self, loss: Tensor<'g>, wrt: &[Tensor<'g>]) -> Result<Vec<Tensor<'g>>> {
        if let Some(integers) = wrt.iter().find(|t| t.dtype() != DType::F32) {
            return Err(Error::NoGradient {
                op: "grad".into(),
                message: format!("{integers:?} holds integers, along which there is none"),
            });
        }
        let gradients = self.grad_where_any(loss, wrt)?;
        Ok(gradients
            .into_iter()
            .zip(wrt)
            .map(|(d, of)| d.unwrap_or_else(|| self.full(of.shape(), 0.0)))
            .collect())
    }

    /// Gradients of the scalar `loss`, `None` for those of `wrt` on which it does not depend.
    fn grad_where_any<'g>(&'g self, loss: Tensor<'g>, wrt: &[Tensor<'g>]) -> Result<Vec<Option<Tensor<'g>>>> {
        self.owns("grad", &[loss]);
        self.owns("grad", wrt);
        self.check()?;
        if loss.tensor_type().elements() != 1 {
            return Err(Error::NoGradient {
                op: "grad".into(),
                message: format!("the loss must be one number, and is {}", loss.tensor_type()),
            });
        }
        let seed = self.full(loss.shape(), 1.0);
        self.vjp(&[loss], &[seed], wrt)
    }

    /// Sums over `outputs` of their derivatives with respect to `wrt`, weighted by `cotangents`; `None` for those on
    /// which the outputs do not depend.
    ///
    /// # Errors
    /// There is not one cotangent of the type of each output, a tensor is of another graph, an op on the way has no
    /// gradient, or the graph holds an earlier mistake.
    pub fn vjp<'g>(
        &'g self,
        outputs: &[Tensor<'g>],
        cotangents: &[Tensor<'g>],
        wrt: &[Tensor<'g>],
    ) -> Result<Vec<Option<Tensor<'g>>>> {
        self.pull_back(outputs, cotangents, wrt, false)
    }

    /// With `stop`, the tensors of `wrt` count as independent of one another.
    fn pull_back<'g>(
        &'g self,
        outputs: &[Tensor<'g>],
        cotangents: &[Tensor<'g>],
        wrt: &[Tensor<'g>],
        stop: bool,
    ) -> Result<Vec<Option<Tensor<'g>>>> {
        for tensors in [outputs, cotangents, wrt] {
            self.owns("vjp", tensors);
        }
        self.check()?;
        if outputs.len() != cotangents.len() {
            let (outputs, given) = (outputs.len(), cotangents.len());
            return Err(Error::Graph(format!("vjp of {outputs} outputs was given {given} cotangents")));
        }
        for (i, (output, cotangent)) in outputs.iter().zip(cotangents).enumerate() {
            let (of, given) = (output.tensor_type(), cotangent.tensor_type());
            if given != TensorType::f32(&of.shape) {
                return Err(Error::Graph(format!("vjp: output {i} is {of}, its cotangent {given}")));
            }
        }
        let targets: HashSet<ValueId> = wrt.iter().map(|t| t.id()).collect();
        let last = outputs.iter().map(|t| t.id().node).max().unwrap_or(0) as usize;

        // Which nodes depend on a target: nothing else needs a gradient.
        let mut depends = vec![false; last + 1];
        {
            let nodes = self.nodes();
            for i in 0..=last {
                let is_target = |output| targets.contains(&ValueId { node: i as u32, output });
                depends[i] = (0..nodes[i].outputs.len() as u32).any(is_target)
                    || nodes[i].inputs.iter().any(|v| depends[v.node as usize]);
            }
        }

        let mut pending: BTreeMap<ValueId, Tensor<'g>> = BTreeMap::new();
        let accumulate = |pending: &mut BTreeMap<ValueId, Tensor<'g>>, at: ValueId, value: Tensor<'g>| {
            pending.entry(at).and_modify(|sum| *sum = *sum + value).or_insert(value);
        };
        for (output, &cotangent) in outputs.iter().zip(cotangents) {
            accumulate(&mut pending, output.id(), cotangent);
        }
        let mut found: BTreeMap<ValueId, Tensor<'g>> = BTreeMap::new();

        // Nodes are numbered in the order they were built, so the largest pending one has all its consumers done.
        while let Some((&top, _)) = pending.last_key_value() {
            let node_id = top.node;
            let (op, inputs, count): (Option<Arc<dyn Op>>, Vec<ValueId>, usize) = {
                let nodes = self.nodes();
                let node = &nodes[node_id as usize];
                let op = match &node.source {
                    Source::Op(op) => Some(op.clone()),
                    _ => None,
                };
                (op, node.inputs.clone(), node.outputs.len())
            };
            let ids: Vec<ValueId> =
                (0..count as u32).map(|output| ValueId { node: node_id, output }).collect();
            let mut arrived: Vec<Option<Tensor<'g>>> = ids.iter().map(|id| pending.remove(id)).collect();
            for (id, gradient) in ids.iter().zip(&mut arrived) {
                if targets.contains(id) {
                    if let Some(gradient) = *gradient {
                        found.insert(*id, gradient);
                    }
                    if stop {
                        *gradient = None;
                    }
                }
            }
            let Some(op) = op else { continue };
            let wanted: Vec<bool> = inputs.iter().map(|v| depends[v.node as usize]).collect();
            if !wanted.contains(&true) || arrived.iter().all(Option::is_none) {
                continue;
            }
            let operands: Vec<Tensor<'g>> = inputs.iter().map(|&v| self.tensor(v)).collect();
            let results: Vec<Tensor<'g>> = ids.iter().map(|&v| self.tensor(v)).collect();
            let call =
                VjpCall { operands: &operands, outputs: &results, cotangents: &arrived, wanted: &wanted };
            let gradients = op.vjp(&call)?;
            let fault =
                |what: String| Err(Error::Graph(format!("the gradient rule of {} gave {what}", op.name())));
            if gradients.len() != operands.len() {
                return fault(format!("{} gradients for {} operands", gradients.len(), operands.len()));
            }
            if gradients.iter().flatten().any(|gradient| !std::ptr::eq(gradient.graph(), self)) {
                return fault("a tensor of another graph".into());
            }
            self.check()?;
            for (i, gradient) in gradients.into_iter().enumerate() {
                let Some(gradient) = gradient else { continue };
                let (given, of) = (gradient.tensor_type(), operands[i].tensor_type());
                if given != TensorType::f32(&of.shape) {
                    return fault(format!("{given} for operand {i}, which is {of}"));
                }
                if wanted[i] {
                    accumulate(&mut pending, inputs[i], gradient);
                }
            }
        }
        Ok(wrt.iter().map(|t| found.get(&t.id()).copied()).collect())
    }
}

/// The gradient of an op by way of the plainer ops that it is made of.
pub(crate) fn through_decomposition<'g>(
    plain: &[Tensor<'g>],
    call: &VjpCall<'_, 'g>,
) -> Result<Vec<Option<Tensor<'g>>>> {
    let Some(first) = plain.first() else { return Ok(vec![None; call.operands.len()]) };
    let types = |tensors: &[Tensor<'_>]| tensors.iter().map(Tensor::tensor_type).collect::<Vec<_>>();
    if types(plain) != types(call.outputs) {
        return Err(Error::Graph("the plainer form of an op has other outputs than the op itself".into()));
    }
    let (outputs, cotangents): (Vec<_>, Vec<_>) =
        plain.iter().zip(call.cotangents).filter_map(|(&output, &c)| c.map(|c| (output, c))).unzip();
    let mut gradients = first.graph().pull_back(&outputs, &cotangents, call.operands, true)?;
    // A tensor that is an operand twice has one gradient, which already holds both shares.
    for (i, operand) in call.operands.iter().enumerate() {
        if call.operands[..i].iter().any(|earlier| earlier.id() == operand.id()) {
            gradients[i] = None;
        }
    }
    Ok(gradients)
}
