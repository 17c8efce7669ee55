//! Selective state space models (Mamba): what a step keeps and writes depends on what is seen. Factors of the recurrence
//! are made where they are used; of all states and steps nothing but the states themselves is written.
//!
//! Limit: arithmetic, about 30 operations a state and step (an exponential and a division among them), and as many twice
//! for the gradient; 4 bytes a state and step are written, and read once by the gradient.

mod gradient;

pub use gradient::SelectiveScanGradient;

use super::lanes::{Lane, common_lead, lane_of, with_lead};
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::vector_math::expm1;
use crate::error::Result;
use crate::graph::{
    Binding, CpuCall, CpuInput, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, through_decomposition,
};
use crate::shape::{DType, TensorType};

/// Ops of this family.
pub const NAMES: &[&str] = &["selective_scan", "selective_scan_gradient"];

/// WGSL of the scans.
const SHADER: &str = concat!(
    include_str!("../../../shaders/special.wgsl"),
    include_str!("../../../shaders/elementwise.wgsl"),
    include_str!("../../../shaders/selective.wgsl"),
);

/// Channels of one task on the CPU, and updates of states of one task at least.
const BLOCK: usize = 64;
const TASK: usize = 8 * 1024;
/// Invocations of a workgroup.
const GROUP: usize = 64;

/// The recurrence of Mamba (Gu and Dao 2023, arXiv 2312.00752, algorithm 2) with a zero-order hold (equation 4):
///
/// ```text
/// h_t = exp(rate step_t) (1 - reset_t) h_{t-1} + (exp(rate step_t) - 1) / rate write_t u_t      y_t = sum of read_t h_t
/// ```
///
/// Operands: `u` and `step` `[.., t, c]`, `rate` (below 0) `[.., n, c]`, `write` and `read` `[.., t, n]`, the state before
/// the first step `[.., n, c]`, and with `resets` `[.., t]`: 1 where the state is forgotten before the step, 0 elsewhere (no
/// gradient passes). Leading dimensions are the same, but for those of `rate`, which broadcast. Outputs: `y`
/// `[.., t, c]`, and the states after each step `[.., t, n, c]`, which the gradient needs.
#[derive(Debug, Clone)]
pub struct SelectiveScan {
    /// Whether there are resets.
    pub resets: bool,
}

/// Sizes, and where the rates of a lane lie.
struct Plan {
    lanes: usize,
    time: usize,
    states: usize,
    channels: usize,
    rate: Lane,
}

impl Plan {
    /// From the types of `u` and `rate`.
    fn of(u: &TensorType, rate: &TensorType) -> Plan {
        let lead = u.shape.leading(2);
        let (time, channels) = (u.shape[lead.len()], u.shape[lead.len() + 1]);
        let states = rate.shape[rate.shape.len() - 2];
        Plan { lanes: lead.iter().product(), time, states, channels, rate: lane_of(rate, 2, lead) }
    }

    fn parameters(&self, resets: bool) -> Vec<u32> {
        let [divisor, modulus] = self.rate.parameters();
        let sizes = [self.time, self.channels, self.states, self.lanes].map(|n| n as u32);
        sizes.into_iter().chain([divisor, modulus, u32::from(resets), 0]).collect()
    }

    fn launch(
        &self,
        call: &GpuCall<'_>,
        entry: &'static str,
        resets: bool,
        bindings: Vec<Binding>,
        items: usize,
    ) -> Launch {
        Launch {
            shader: SHADER.into(),
            entry,
            constants: Vec::new(),
            bindings,
            parameters: self.parameters(resets),
            workgroups: call.groups(items, GROUP),
        }
    }

    /// Rounds of the longest loop.
    fn rounds(&self) -> u64 {
        self.time.max(self.states).max(self.channels) as u64
    }
}

/// The part of an operand for a lane, of so many.
fn part<'a>(input: CpuInput<'a>, lane: usize, lanes: usize) -> &'a [f32] {
    let all = input.f32();
    let size = all.len() / lanes.max(1);
    &all[lane * size..][..size]
}

impl SelectiveScan {
    fn count(&self) -> usize {
        6 + usize::from(self.resets)
    }
}

impl Op for SelectiveScan {
    fn name(&self) -> &'static str {
        "selective_scan"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != self.count() {
            return Err("takes u, step, rate, write, read, a state, and resets where it has them".into());
        }
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        let tails = [2, 2, 2, 2, 2, 2, 1];
        let lead = common_lead(operands.iter().zip(tails))?;
        let (u, rate) = (&operands[0].shape, &operands[2].shape);
        let (time, channels) = (u[u.len() - 2], u[u.len() - 1]);
        let states = rate[rate.len() - 2];
        let expected = [
            vec![time, channels],
            vec![time, channels],
            vec![states, channels],
            vec![time, states],
            vec![time, states],
            vec![states, channels],
            vec![time],
        ];
        for (i, (operand, tail)) in operands.iter().zip(&expected).enumerate() {
            let own = operand.shape.leading(tail.len());
            if operand.shape[own.len()..] != tail[..] || (i != 2 && *own != lead[..]) {
                let names = ["u", "step", "rate", "write", "read", "the state", "resets"];
                return Err(format!("{} must be [.., {tail:?}] with the leading dimensions of u", names[i]));
            }
        }
        let of = |tail: &[usize]| TensorType::f32(with_lead(&lead, tail));
        Ok(vec![of(&[time, channels]), of(&[time, states, channels])])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        if call.cotangents[1].is_some() {
            let plain = self.decompose(call.operands).unwrap_or_default();
            return through_decomposition(&plain, call);
        }
        let mut operands: Vec<Tensor<'g>> = call.operands.to_vec();
        operands.extend([call.outputs[1], call.cotangent(0)]);
        let out = call.operands[0].graph().apply(SelectiveScanGradient { resets: self.resets }, &operands);
        let mut gradients: Vec<Option<Tensor<'g>>> =
            (0..6).map(|i| Some(out[i].sum_to(call.operands[i].shape()))).collect();
        gradients.resize(call.operands.len(), None);
        Ok(gradients)
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let of = self.infer(&types).ok()?;
        let Plan { time, states, channels, .. } = Plan::of(&types[0], &types[2]);
        let lead = of[0].shape.leading(2);
        let shaped = |x: Tensor<'g>, tail: &[usize]| x.reshape(with_lead(lead, tail));
        let [u, step] = [0, 1].map(|i| shaped(operands[i], &[time, 1, channels]));
        let [write, read] = [3, 4].map(|i| shaped(operands[i], &[time, states, 1]));
        let own = operands[2].shape();
        let rate = operands[2].reshape(with_lead(own.leading(2), &[1, states, channels]));
        let change = (step * rate).expm1();
        let driven = shaped(change / rate * write * u, &[time, states * channels]);
        let factor = shaped(change + 1.0, &[time, states * channels]);
        let initial = shaped(operands[5], &[states * channels]);
        let h = driven.linear_scan(factor, initial, operands.get(6).copied());
        let h = shaped(h, &[time, states, channels]);
        let y = (h * read).sum(&[-2]);
        Some(vec![shaped(y, &[time, channels]), h])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let inputs = call.inputs;
        let plan = Plan::of(inputs[0].of, inputs[2].of);
        let Plan { lanes, time, states, channels, .. } = plan;
        let [y, h] = [0, 1].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        let (size, blocks) = (states * channels, channels.div_ceil(BLOCK));
        let item = (time * states * channels.min(BLOCK)).max(1);
        let parallel = call.parallel.above(lanes * time * size, 4 * TASK);
        for_each_chunk(parallel, lanes * blocks, TASK.div_ceil(item), |range| {
            for i in range {
                let (lane, start) = (i / blocks, i % blocks * BLOCK);
                dispatch(Forward {
                    sizes: [time, states, channels],
                    range: [start, channels.min(start + BLOCK)],
                    u: part(inputs[0], lane, lanes),
                    step: part(inputs[1], lane, lanes),
                    rate: &inputs[2].f32()[plan.rate.of(lane) * size..][..size],
                    write: part(inputs[3], lane, lanes),
                    read: part(inputs[4], lane, lanes),
                    initial: part(inputs[5], lane, lanes),
                    resets: inputs.get(6).map(|r| part(*r, lane, lanes)),
                    y: y.get().wrapping_add(lane * time * channels),
                    h: h.get().wrapping_add(lane * time * size),
                });
            }
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = Plan::of(&call.operands[0], &call.operands[2]);
        let input = Binding::Input;
        let resets = input(if self.resets { 6 } else { 0 });
        let (y, h) = (Binding::Output(0), Binding::Output(1));
        let run = vec![input(0), input(1), input(2), input(3), input(5), resets, h];
        let (rows, all) = (plan.lanes * plan.channels, plan.lanes * plan.channels * plan.states);
        Ok(GpuPlan {
            launches: vec![
                plan.launch(call, "selective_states", self.resets, run, all),
                plan.launch(call, "selective_read", self.resets, vec![input(4), h, y], rows * plan.time),
            ],
            scratch: Vec::new(),
        })
    }

    fn gpu_rounds(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        Plan::of(&operands[0], &operands[2]).rounds()
    }

    fn operations(&self, _operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        30 * outputs[1].elements() as u64
    }
}

/// The steps of a lane, over channels `range`.
struct Forward<'a> {
    sizes: [usize; 3],
    range: [usize; 2],
    u: &'a [f32],
    step: &'a [f32],
    rate: &'a [f32],
    write: &'a [f32],
    read: &'a [f32],
    initial: &'a [f32],
    resets: Option<&'a [f32]>,
    y: *mut f32,
    h: *mut f32,
}

/// What a lane that is not there does not divide by.
#[inline(always)]
fn load_rate<S: Simd>(s: S, rate: &[f32]) -> S::V {
    let rate = s.load_slice(rate);
    s.select(s.eq(rate, s.zero()), s.splat(-1.0), rate)
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [time, states, channels] = self.sizes;
        let [start, end] = self.range;
        for t in 0..time {
            let keep = self.resets.map_or(1.0, |resets| 1.0 - resets[t]);
            let mut i = start;
            while i < end {
                let count = S::LANES.min(end - i);
                let (step, u) = (
                    s.load_slice(&self.step[t * channels + i..][..count]),
                    s.load_slice(&self.u[t * channels + i..][..count]),
                );
                let mut y = s.zero();
                for k in 0..states {
                    let at = k * channels + i;
                    let rate = load_rate(s, &self.rate[at..][..count]);
                    let (write, read) = (self.write[t * states + k], self.read[t * states + k]);
                    // SAFETY: this task alone writes these channels of this lane; the row of the step before was written
                    // by it one step ago.
                    let (to, before) = unsafe {
                        let to = self.h.add(t * states * channels + at);
                        let before = match t {
                            0 => &self.initial[at..][..count],
                            _ => std::slice::from_raw_parts(to.sub(states * channels).cast_const(), count),
                        };
                        (std::slice::from_raw_parts_mut(to, count), before)
                    };
                    let before = match keep {
                        // Forgets even what is not finite.
                        0.0 => s.zero(),
                        keep => s.mul(s.load_slice(before), s.splat(keep)),
                    };
                    let change = expm1(s, s.mul(step, rate));
                    let driven = s.div(s.mul(s.splat(write), u), rate);
                    let h = s.mul_add(change, s.add(before, driven), before);
                    s.store_slice(to, h);
                    y = s.mul_add(s.splat(read), h, y);
                }
                // SAFETY: as above.
                s.store_slice(
                    unsafe { std::slice::from_raw_parts_mut(self.y.add(t * channels + i), count) },
                    y,
                );
                i += S::LANES;
            }
        }
    }
}

/// What a sequence of a selective model gives.
#[derive(Debug, Clone, Copy)]
pub struct SelectiveOutput<'g> {
    /// The outputs `[.., t, c]`.
    pub outputs: Tensor<'g>,
    /// The state after the last step `[.., n, c]`: the initial state of what follows.
    pub state: Tensor<'g>,
}

impl<'g> Tensor<'g> {
    /// [`SelectiveScan`] over this sequence `u` `[.., t, c]`, with the `step` of each channel `[.., t, c]`, a `rate` below 0
    /// `[.., n, c]`, what is written and read `[.., t, n]`, from the state `initial` `[.., n, c]`. `resets` `[.., t]`: 1 where
    /// the state is forgotten before the step.
    pub fn selective_scan(
        self,
        step: Tensor<'g>,
        rate: Tensor<'g>,
        [write, read]: [Tensor<'g>; 2],
        initial: Tensor<'g>,
        resets: Option<Tensor<'g>>,
    ) -> SelectiveOutput<'g> {
        let mut operands = vec![self, step, rate, write, read, initial];
        operands.extend(resets);
        let out = self.graph().apply(SelectiveScan { resets: resets.is_some() }, &operands);
        let shape = out[1].shape();
        // What stands for a mistake has no dimensions.
        let [.., time, _, _] = shape[..] else { return SelectiveOutput { outputs: out[0], state: out[1] } };
        let last = out[1].slice(-3, time.saturating_sub(1), 1);
        let own = with_lead(shape.leading(3), &shape[shape.len() - 2..]);
        SelectiveOutput { outputs: out[0], state: last.reshape(own) }
    }
}
