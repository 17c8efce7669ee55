//! The gradient of a selective state space model.

use super::{Plan, SelectiveScan, TASK, load_rate, part};
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::vector_math::expm1;
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Op, Tensor, VjpCall, through_decomposition};
use crate::shape::TensorType;

/// The gradient of [`SelectiveScan`] by the cotangent of `y`. Operands: those of the scan, the states, the cotangent.
/// Outputs: gradients of `u`, `step`, `rate` (with all leading dimensions), `write`, `read` and the first state.
///
/// ```text
/// g_t = read_t dy_t + exp(rate step_{t+1}) (1 - reset_{t+1}) g_{t+1}
/// ```
#[derive(Debug, Clone)]
pub struct SelectiveScanGradient {
    pub(super) resets: bool,
}

impl Op for SelectiveScanGradient {
    fn name(&self) -> &'static str {
        "selective_scan_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let scan = SelectiveScan { resets: self.resets };
        let count = scan.count();
        if operands.len() != count + 2 {
            return Err("takes the operands of selective_scan, its states and a cotangent".into());
        }
        let forward = scan.infer(&operands[..count])?;
        if operands[count] != forward[1] || operands[count + 1] != forward[0] {
            return Err("states and cotangent must have the shapes of what selective_scan gives".into());
        }
        let [u, step, write, read, state] = [0, 1, 3, 4, 5].map(|i| operands[i].clone());
        Ok(vec![u, step, state.clone(), write, read, state])
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let outputs = self.infer(&types).ok()?;
        let scan = SelectiveScan { resets: self.resets };
        let count = scan.count();
        let mut own = operands[..count].to_vec();
        // So that each lane has a gradient of its own.
        own[2] = own[2].broadcast_to(&outputs[2].shape);
        let plain = scan.decompose(&own)?;
        let call = VjpCall {
            operands: &own,
            outputs: &plain,
            cotangents: &[Some(operands[count + 1]), None],
            wanted: &vec![true; own.len()],
        };
        let gradients = through_decomposition(&plain, &call).ok()?;
        let g = operands[0].graph();
        let all = gradients.iter().zip(&outputs);
        Some(all.map(|(d, of)| d.unwrap_or_else(|| g.full(&of.shape, 0.0))).collect())
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let inputs = call.inputs;
        let plan = Plan::of(inputs[0].of, inputs[2].of);
        let Plan { lanes, time, states, channels, .. } = plan;
        let count = SelectiveScan { resets: self.resets }.count();
        let out: Vec<SharedPointer> =
            call.outputs.iter_mut().map(|o| SharedPointer(o.f32().as_mut_ptr())).collect();
        let size = states * channels;
        let parallel = call.parallel.above(lanes * time * size, 2 * TASK);
        for_each_chunk(parallel, lanes, TASK.div_ceil((time * size).max(1)), |range| {
            for lane in range {
                let to = |i: usize, size: usize| {
                    // SAFETY: the part of an output for one lane, which this task alone writes.
                    unsafe { std::slice::from_raw_parts_mut(out[i].get().add(lane * size), size) }
                };
                dispatch(Backward {
                    sizes: [time, states, channels],
                    u: part(inputs[0], lane, lanes),
                    step: part(inputs[1], lane, lanes),
                    rate: &inputs[2].f32()[plan.rate.of(lane) * size..][..size],
                    write: part(inputs[3], lane, lanes),
                    read: part(inputs[4], lane, lanes),
                    initial: part(inputs[5], lane, lanes),
                    resets: self.resets.then(|| part(inputs[6], lane, lanes)),
                    h: part(inputs[count], lane, lanes),
                    dy: part(inputs[count + 1], lane, lanes),
                    du: to(0, time * channels),
                    dstep: to(1, time * channels),
                    drate: to(2, size),
                    dwrite: to(3, time * states),
                    dread: to(4, time * states),
                    carried: to(5, size),
                });
            }
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = Plan::of(&call.operands[0], &call.operands[2]);
        let count = SelectiveScan { resets: self.resets }.count();
        let [u, step, rate, write, read, initial] = [0, 1, 2, 3, 4, 5].map(Binding::Input);
        let resets = Binding::Input(if self.resets { 6 } else { 0 });
        let [h, dy] = [count, count + 1].map(Binding::Input);
        let out = Binding::Output;
        let (g, q) = (0, 1);
        let [made, kept] = [Binding::ScratchRead(g), Binding::ScratchRead(q)];
        let (rows, per_step) = (plan.lanes * plan.channels, plan.lanes * plan.time * plan.states);
        let (all, each) = (rows * plan.states, per_step * plan.channels);
        let launch = |entry, bindings, items| plan.launch(call, entry, self.resets, bindings, items);
        let back = vec![step, rate, read, dy, resets, Binding::Scratch(g), out(5)];
        Ok(GpuPlan {
            launches: vec![
                launch("selective_back", back, all),
                launch("selective_kept", vec![made, h, initial, resets, Binding::Scratch(q)], each),
                launch("selective_rate", vec![step, rate, u, write, made, kept, out(2)], all),
                launch(
                    "selective_inputs",
                    vec![step, rate, u, write, made, kept, out(0), out(1)],
                    rows * plan.time,
                ),
                launch("selective_write", vec![step, rate, u, made, out(3)], per_step),
                launch("selective_dread", vec![dy, h, out(4)], per_step),
            ],
            scratch: vec![each; 2],
        })
    }

    fn gpu_rounds(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        Plan::of(&operands[0], &operands[2]).rounds()
    }

    fn operations(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        let states = Plan::of(&operands[0], &operands[2]).states;
        50 * (outputs[0].elements() * states) as u64
    }
}

/// The way back through the steps of a lane.
struct Backward<'a> {
    sizes: [usize; 3],
    u: &'a [f32],
    step: &'a [f32],
    rate: &'a [f32],
    write: &'a [f32],
    read: &'a [f32],
    initial: &'a [f32],
    resets: Option<&'a [f32]>,
    h: &'a [f32],
    dy: &'a [f32],
    du: &'a mut [f32],
    dstep: &'a mut [f32],
    drate: &'a mut [f32],
    dwrite: &'a mut [f32],
    dread: &'a mut [f32],
    /// What comes to a state from the step after it; in the end the gradient of the first state.
    carried: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [time, states, channels] = self.sizes;
        let size = states * channels;
        for all in [&mut *self.du, &mut *self.dstep, &mut *self.drate, &mut *self.carried] {
            all.fill(0.0);
        }
        for t in (0..time).rev() {
            let keep = self.resets.map_or(1.0, |resets| 1.0 - resets[t]);
            let before = if t == 0 { self.initial } else { &self.h[(t - 1) * size..][..size] };
            for k in 0..states {
                let (write, read) = (self.write[t * states + k], self.read[t * states + k]);
                let (mut of_write, mut of_read) = (s.zero(), s.zero());
                let mut i = 0;
                while i < channels {
                    let count = S::LANES.min(channels - i);
                    let (at, row) = (k * channels + i, t * channels + i);
                    let (step, u) =
                        (s.load_slice(&self.step[row..][..count]), s.load_slice(&self.u[row..][..count]));
                    let dy = s.load_slice(&self.dy[row..][..count]);
                    let rate = load_rate(s, &self.rate[at..][..count]);
                    let inverse = s.div(s.splat(1.0), rate);
                    let kept = match keep {
                        0.0 => s.zero(),
                        keep => s.mul(s.load_slice(&before[at..][..count]), s.splat(keep)),
                    };
                    let change = expm1(s, s.mul(step, rate));
                    let (factor, held) = (s.add(change, s.splat(1.0)), s.mul(change, inverse));
                    let carried = &mut self.carried[at..][..count];
                    let g = s.mul_add(s.splat(read), dy, s.load_slice(carried));
                    of_read = s.mul_add(dy, s.load_slice(&self.h[t * size + at..][..count]), of_read);
                    of_write = s.mul_add(s.mul(g, held), u, of_write);
                    let written = s.mul(g, s.splat(write));
                    let du = &mut self.du[row..][..count];
                    s.store_slice(du, s.mul_add(written, held, s.load_slice(du)));
                    // Of the exponent, and of what is divided by.
                    let driven = s.mul(s.mul(written, u), inverse);
                    let exponent = s.mul(s.mul_add(g, kept, driven), factor);
                    let dstep = &mut self.dstep[row..][..count];
                    s.store_slice(dstep, s.mul_add(exponent, rate, s.load_slice(dstep)));
                    let drate = &mut self.drate[at..][..count];
                    let sum = s.mul_add(exponent, step, s.load_slice(drate));
                    s.store_slice(drate, s.neg_mul_add(driven, held, sum));
                    let next = if keep == 0.0 { s.zero() } else { s.mul(s.mul(g, factor), s.splat(keep)) };
                    s.store_slice(carried, next);
                    i += S::LANES;
                }
                self.dwrite[t * states + k] = s.reduce_add(of_write);
                self.dread[t * states + k] = s.reduce_add(of_read);
            }
        }
    }
}
