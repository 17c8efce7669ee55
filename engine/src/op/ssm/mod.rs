//! Diagonal linear state space models over whole sequences, with their readout: the states never leave the processor.
//! Here stand the shape rule, the plain form and the methods; `cpu` has the kernels and `gradient` the gradient. For a
//! recurrence whose states are themselves the result see `scan`.
//!
//! Limit: arithmetic, 4 operations a state and step (two fused multiply-adds) where nothing is carried in, 6 otherwise;
//! 8 bytes a channel and step go to memory. The gradient costs 12 operations a state and step and 28 bytes a channel and
//! step. Nothing of the size of all states is ever written.

mod cpu;
mod gpu;
mod gradient;

use super::lanes::{Lane, common_lead, lane_of, stretch, with_lead};
use crate::cpu::pool::SharedPointer;
use crate::error::Result;
use crate::graph::{Binding, CpuCall, CpuInput, GpuCall, GpuPlan, Op, Tensor, VjpCall};
use crate::shape::{DType, TensorType};
pub use gradient::DiagonalSsmGradient;

/// Ops of this family.
pub const NAMES: &[&str] = &["diagonal_ssm", "diagonal_ssm_gradient"];

/// WGSL of the models.
pub(crate) const SHADER: &str = include_str!("../../../shaders/ssm.wgsl");

/// A diagonal linear state space model (S4D: Gu, Gupta, Goel and Ré 2022, arXiv 2206.11893; DSS: Gupta, Gu and Berant
/// 2022, arXiv 2203.14343), with real states, in its discrete form. Every channel has `n` states of its own:
///
/// ```text
/// x_t = a (1 - reset_t) x_{t-1} + b u_t        y_t = sum over states of c x_t, + d u_t        x_{-1} = initial or 0
/// ```
///
/// Operands: `u` `[.., t, channels]`, `a` (the decay of a step itself, as `exp(step * rate)`), `b` and `c`
/// `[.., channels, n]`, `d` `[.., channels]`, with `initial` the state before the first step `[.., channels, n]`, and
/// with `resets` `[.., t]`: 1 where the states are forgotten before the step, 0 elsewhere (no gradient passes). Outputs:
/// `y` `[.., t, channels]` and the last state `[.., channels, n]`.
#[derive(Debug, Clone)]
pub struct DiagonalSsm {
    /// Whether there is an initial state.
    pub initial: bool,
    /// Whether there are resets.
    pub resets: bool,
}

impl DiagonalSsm {
    /// How many operands there are.
    fn count(&self) -> usize {
        5 + usize::from(self.initial) + usize::from(self.resets)
    }

    /// Which operand holds resets.
    fn resets(&self) -> Option<usize> {
        self.resets.then_some(5 + usize::from(self.initial))
    }

    /// Dimensions of each operand that are not leading ones.
    fn tails(&self) -> Vec<usize> {
        let mut tails = vec![2, 2, 2, 2, 1];
        tails.extend(self.initial.then_some(2));
        tails.extend(self.resets.then_some(1));
        tails
    }
}

/// Sizes, and where operands lie.
struct Plan {
    lead: Vec<usize>,
    lanes: usize,
    time: usize,
    channels: usize,
    states: usize,
}

impl Plan {
    /// From `y` `[.., t, channels]` and a weight `[.., channels, n]`.
    fn of(y: &TensorType, weight: &TensorType) -> Plan {
        let lead = y.shape.leading(2).to_vec();
        let (time, channels) = (y.shape[lead.len()], y.shape[lead.len() + 1]);
        let states = weight.shape[weight.shape.len() - 1];
        Plan { lanes: lead.iter().product(), lead, time, channels, states }
    }

    fn lane(&self, of: &TensorType, tail: usize) -> Lane {
        lane_of(of, tail, &self.lead)
    }

    /// An operand with the number of elements of its part for a lane, and which part that is.
    fn part<'a>(&self, input: CpuInput<'a>, tail: usize) -> cpu::Part<'a> {
        let shape = input.shape();
        let size = shape[shape.len() - tail..].iter().product();
        cpu::Part { values: input.f32(), lane: self.lane(input.of, tail), size }
    }
}

impl Op for DiagonalSsm {
    fn name(&self) -> &'static str {
        "diagonal_ssm"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != self.count() {
            return Err("takes u, a, b, c, d, and an initial state and resets where it has them".into());
        }
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        let tails = self.tails();
        let lead = common_lead(operands.iter().zip(tails.iter().copied()))?;
        let end = |i: usize| &operands[i].shape[operands[i].shape.len() - tails[i]..];
        let (time, channels, states) = (end(0)[0], end(0)[1], end(1)[1]);
        if [1, 2, 3].iter().any(|&i| *end(i) != [channels, states]) {
            return Err(format!("a, b and c must be [.., {channels}, n], with u [.., t, {channels}]"));
        }
        if *end(4) != [channels] {
            return Err(format!("d must be [.., {channels}]"));
        }
        if self.initial && *end(5) != [channels, states] {
            return Err(format!("the initial state must be [.., {channels}, {states}]"));
        }
        if self.resets().is_some_and(|i| *end(i) != [time]) {
            return Err(format!("resets must be [.., {time}]"));
        }
        Ok(vec![
            TensorType::f32(with_lead(&lead, &[time, channels])),
            TensorType::f32(with_lead(&lead, &[channels, states])),
        ])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let op = DiagonalSsmGradient { ssm: self.clone(), last: call.cotangents[1].is_some() };
        let mut operands: Vec<Tensor<'g>> = call.operands.to_vec();
        operands.push(call.cotangent(0));
        operands.extend(call.cotangents[1]);
        let out = call.operands[0].graph().apply(op, &operands);
        let mut gradients: Vec<Option<Tensor<'g>>> =
            out.iter().zip(call.operands).map(|(d, x)| Some(d.sum_to(x.shape()))).collect();
        gradients.resize(call.operands.len(), None);
        Ok(gradients)
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let of = self.infer(&types).ok()?;
        let Plan { lead, time, channels, states, .. } = Plan::of(&of[0], &types[1]);
        let g = operands[0].graph();
        let all = channels * states;
        // A weight `[.., channels, n]` as `[.., rows.., channels * n]`.
        let flat = |x: Tensor<'g>, rows: &[usize]| {
            let shape = x.shape();
            x.reshape(with_lead(shape.leading(2), &[rows, &[all]].concat()))
        };
        let u = operands[0];
        let own = u.shape();
        let wide = u.reshape(with_lead(own.leading(2), &[time, channels, 1]));
        let wide = wide.broadcast_to(with_lead(own.leading(2), &[time, channels, states]));
        let wide = wide.reshape(with_lead(own.leading(2), &[time, all]));
        let driven = wide * flat(operands[2], &[1]);
        let initial = match self.initial {
            true => flat(operands[5], &[]),
            false => g.full([all], 0.0),
        };
        let resets = self.resets().map(|i| operands[i]);
        let x = driven.linear_scan(flat(operands[1], &[1]), initial, resets);
        let scanned = x.shape();
        let read = x * flat(operands[3], &[1]);
        let read_lead = read.shape();
        let read = read.reshape(with_lead(read_lead.leading(2), &[time, channels, states])).sum(&[-1]);
        let d = operands[4].shape();
        let d = operands[4].reshape(with_lead(d.leading(1), &[1, channels]));
        let y = (read + u * d).broadcast_to(&of[0].shape);
        let last = x.slice(-2, time - 1, 1);
        let last = last.reshape(with_lead(scanned.leading(2), &[channels, states]));
        Some(vec![y, last.broadcast_to(with_lead(&lead, &[channels, states]))])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let plan = Plan::of(call.outputs[0].of, call.inputs[1].of);
        let [y, last] = [0, 1].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        let inputs = call.inputs;
        let recurrence = cpu::Recurrence {
            reverse: false,
            u: plan.part(inputs[0], 2),
            a: plan.part(inputs[1], 2),
            b: plan.part(inputs[2], 2),
            c: plan.part(inputs[3], 2),
            d: plan.part(inputs[4], 1),
            initial: self.initial.then(|| plan.part(inputs[5], 2)),
            resets: self.resets().map(|i| plan.part(inputs[i], 1)),
            y,
            last: Some(last),
        };
        cpu::run_recurrence(&plan, &recurrence, call.parallel);
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = Plan::of(&call.outputs[0], &call.operands[1]);
        let operand = |i: usize, tail: usize| gpu::Part {
            binding: Binding::Input(i),
            lane: plan.lane(&call.operands[i], tail),
        };
        let mut launches = GpuPlan::default();
        let state = Binding::Output(1);
        if self.initial {
            launches.launches.push(gpu::copy(call, &plan, operand(5, 2), state));
        }
        let recurrence = gpu::Recurrence {
            reverse: false,
            carried: self.initial,
            u: operand(0, 2),
            a: operand(1, 2),
            b: operand(2, 2),
            c: operand(3, 2),
            d: operand(4, 1),
            resets: self.resets().map(|i| operand(i, 1)),
            y: Binding::Output(0),
            state,
        };
        launches.launches.push(recurrence.launch(call, &plan));
        Ok(launches)
    }

    fn operations(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        let plan = Plan::of(&outputs[0], &operands[1]);
        let each = if self.initial { 5 } else { 4 };
        ((each * plan.states + 2) * outputs[0].elements()) as u64
    }
}

/// What a sequence of a state space model gives.
#[derive(Debug, Clone, Copy)]
pub struct DiagonalSsmOutput<'g> {
    /// The outputs `[.., t, channels]`.
    pub outputs: Tensor<'g>,
    /// The state after the last step `[.., channels, n]`: the initial state of what follows.
    pub state: Tensor<'g>,
}

impl<'g> Tensor<'g> {
    /// [`DiagonalSsm`] over this sequence `u` `[.., t, channels]`: `x_t = a x_{t-1} + b u_t`, `y_t = sum(c x_t) + d u_t`.
    /// `a`, `b` and `c` are `[.., channels, n]`, `d` is `[.., channels]`. It starts from `initial` `[.., channels, n]`, or
    /// from zeros. `resets` `[.., t]`: 1 where the state is forgotten before the step. Leading dimensions broadcast.
    pub fn diagonal_ssm(
        self,
        [a, b, c]: [Tensor<'g>; 3],
        d: Tensor<'g>,
        initial: Option<Tensor<'g>>,
        resets: Option<Tensor<'g>>,
    ) -> DiagonalSsmOutput<'g> {
        let op = DiagonalSsm { initial: initial.is_some(), resets: resets.is_some() };
        let mut operands = vec![self, a, b, c, d];
        operands.extend(initial);
        operands.extend(resets);
        stretch(&mut operands, &op.tails());
        let out = self.graph().apply(op, &operands);
        DiagonalSsmOutput { outputs: out[0], state: out[1] }
    }
}
