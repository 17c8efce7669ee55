//! The gradient of a diagonal state space model.

use super::super::lanes::with_lead;
use super::{DiagonalSsm, Plan, cpu, gpu};
use crate::cpu::pool::SharedPointer;
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Op, Tensor, VjpCall, through_decomposition};
use crate::shape::TensorType;

/// The gradient of [`DiagonalSsm`].
///
/// Operands: those of the model, the cotangent of `y`, and where there is one that of the last state. Outputs, all with
/// the leading dimensions of `y`: gradients of `u`, `a`, `b`, `c`, `d` and, where there is one, of the initial state.
///
/// ```text
/// g_t = c dy_t + a (1 - reset_{t+1}) g_{t+1}     du_t = sum over states of b g_t, + d dy_t
/// da = sum over t of g_t (1 - reset_t) x_{t-1}   db = sum of g_t u_t   dc = sum of dy_t x_t   dd = sum of dy_t u_t
/// ```
#[derive(Debug, Clone)]
pub struct DiagonalSsmGradient {
    pub(super) ssm: DiagonalSsm,
    pub(super) last: bool,
}

impl DiagonalSsmGradient {
    /// Which operand is the cotangent of the last state; that of `y` comes before it.
    fn last(&self) -> Option<usize> {
        self.last.then_some(self.ssm.count() + 1)
    }
}

impl Op for DiagonalSsmGradient {
    fn name(&self) -> &'static str {
        "diagonal_ssm_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let count = self.ssm.count();
        if operands.len() != count + 1 + usize::from(self.last) {
            return Err("takes the operands of diagonal_ssm and cotangents".into());
        }
        let forward = self.ssm.infer(&operands[..count])?;
        if operands[count..].iter().zip(&forward).any(|(c, of)| c != of) {
            return Err("cotangents must have the shapes of what diagonal_ssm gives".into());
        }
        let (y, state) = (&forward[0], &forward[1]);
        let lead = y.shape.leading(2);
        let d = TensorType::f32(with_lead(lead, &y.shape[lead.len() + 1..]));
        let mut out = vec![y.clone(), state.clone(), state.clone(), state.clone(), d];
        out.extend(self.ssm.initial.then(|| state.clone()));
        Ok(out)
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let outputs = self.infer(&types).ok()?;
        let count = self.ssm.count();
        let mut own = operands[..count].to_vec();
        for (operand, of) in own.iter_mut().zip(&outputs) {
            *operand = operand.broadcast_to(&of.shape);
        }
        let plain = self.ssm.decompose(&own)?;
        let call = VjpCall {
            operands: &own,
            outputs: &plain,
            cotangents: &[Some(operands[count]), self.last().map(|i| operands[i])],
            wanted: &vec![true; own.len()],
        };
        let gradients = through_decomposition(&plain, &call).ok()?;
        let g = operands[0].graph();
        Some(
            gradients
                .iter()
                .zip(&outputs)
                .map(|(d, of)| d.unwrap_or_else(|| g.full(&of.shape, 0.0)))
                .collect(),
        )
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let inputs = call.inputs;
        let plan = Plan::of(call.outputs[0].of, inputs[1].of);
        let out: Vec<SharedPointer> =
            call.outputs.iter_mut().map(|o| SharedPointer(o.f32().as_mut_ptr())).collect();
        let [u, a, b, c] = [0, 1, 2, 3].map(|i| plan.part(inputs[i], 2));
        let resets = self.ssm.resets().map(|i| plan.part(inputs[i], 1));
        let dy = plan.part(inputs[self.ssm.count()], 2);
        let dlast = self.last().map(|i| plan.part(inputs[i], 2));
        let backward = cpu::Recurrence {
            reverse: true,
            u: dy,
            a,
            b: c,
            c: b,
            d: plan.part(inputs[4], 1),
            initial: dlast,
            resets,
            y: out[0],
            last: out.get(5).copied(),
        };
        cpu::run_recurrence(&plan, &backward, call.parallel);
        let weights = cpu::Weights {
            u,
            dy,
            a,
            b,
            c,
            initial: self.ssm.initial.then(|| plan.part(inputs[5], 2)),
            resets,
            dlast,
            da: out[1],
            db: out[2],
            dc: out[3],
            dd: out[4],
        };
        cpu::run_weights(&plan, &weights, call.parallel);
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = Plan::of(&call.outputs[0], &call.operands[1]);
        let operand = |i: usize, tail: usize| gpu::Part {
            binding: Binding::Input(i),
            lane: plan.lane(&call.operands[i], tail),
        };
        let [u, a, b, c] = [0, 1, 2, 3].map(|i| operand(i, 2));
        let dy = operand(self.ssm.count(), 2);
        let resets = self.ssm.resets().map(|i| operand(i, 1));
        let dlast = self.last().map(|i| operand(i, 2));
        let mut out = GpuPlan::default();
        // The state of the way back ends as the gradient of the initial state.
        let state = match self.ssm.initial {
            true => Binding::Output(5),
            false => {
                out.scratch.push(call.outputs[1].elements());
                Binding::Scratch(0)
            }
        };
        out.launches.extend(dlast.map(|from| gpu::copy(call, &plan, from, state)));
        let backward = gpu::Recurrence {
            reverse: true,
            carried: self.last,
            u: dy,
            a,
            b: c,
            c: b,
            d: operand(4, 1),
            resets,
            y: Binding::Output(0),
            state,
        };
        out.launches.push(backward.launch(call, &plan));
        // What a launch has no binding left for stands in what it writes.
        let (da, dc) = (Binding::Output(1), Binding::Output(3));
        out.launches.extend(dlast.map(|from| gpu::copy(call, &plan, from, da)));
        let initial = self.ssm.initial.then(|| operand(5, 2));
        out.launches.extend(initial.map(|from| gpu::copy(call, &plan, from, dc)));
        let carried = [initial.is_some(), dlast.is_some()];
        out.launches.push(gpu::decay_and_readout(call, &plan, [u, dy, a, b, c], resets, carried, [da, dc]));
        out.launches.push(gpu::drive(call, &plan, [u, dy, a, c], resets, dlast, Binding::Output(2)));
        out.launches.push(gpu::skip(call, &plan, [u, dy], Binding::Output(4)));
        Ok(out)
    }

    fn operations(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        let plan = Plan::of(&outputs[0], &operands[1]);
        let each = if self.ssm.initial { 13 } else { 8 } + if self.last { 5 } else { 4 };
        ((each * plan.states + 4) * outputs[0].elements()) as u64
    }
}
