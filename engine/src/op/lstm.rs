//! Long short-term memory over whole sequences, with resets inside them.
//!
//! Limit: arithmetic, `8 h (i + h)` operations a step and row, from weights that stay in the second-level cache. The
//! input products of all steps are one product; a step is one product with the weights of the state, and a pass over
//! the gates while they are in the first-level cache (CPU) or in registers (GPU). The gradient runs back through the
//! steps in the same way and takes the gradients of all weights as one product each at the end.

use super::lanes::with_lead;
pub use super::lstm_gradient::LstmGradient;
use super::recurrent::{
    POOL_WORK, ScaleRows, Sizes, complete, flat, multiply, parameters, product, slice_mut, slice_of, tiles,
};
use crate::cpu::gemm::{Matrix, Panels};
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::vector_math as vm;
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, through_decomposition};
use crate::shape::TensorType;

/// Ops of this family.
pub const NAMES: &[&str] = &["lstm", "lstm_gradient"];

/// WGSL of the steps.
pub(crate) const SHADER: &str = include_str!("../../shaders/lstm.wgsl");

/// A layer of long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000) over a
/// sequence. The gates stand in PyTorch's order: input, forget, cell, output.
///
/// ```text
/// i, f, g, o = sigma, sigma, tanh, sigma of (x_t w_x + h_{t-1} w_h + bias)
/// c_t = f c_{t-1} + i g        h_t = o tanh(c_t)
/// ```
///
/// Operands: `x` `[.., t, b, i]`, `h0` and `c0` `[.., b, h]`, `w_x` `[.., i, 4h]`, `w_h` `[.., h, 4h]`, `bias` `[.., 4h]`,
/// and with `resets` as many `[.., t, b]`: 1 where state and cell are forgotten before the step, 0 elsewhere (no gradient
/// passes). Outputs: the states and the cells `[.., t, b, h]`, and the gates `[.., t, b, 4h]`, which the gradient needs.
#[derive(Debug, Clone)]
pub struct Lstm {
    /// Whether there are resets.
    pub resets: bool,
}

pub(super) const TAILS: [usize; 7] = [3, 2, 2, 2, 2, 1, 2];

impl Op for Lstm {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != 6 + usize::from(self.resets) {
            return Err("takes x, h0, c0, two weights, a bias, and resets where it has them".into());
        }
        let (lead, [time, batch, hidden]) = Sizes::infer(operands, &TAILS, 2, 1, 4)?;
        let of = |width| TensorType::f32(with_lead(&lead, &[time, batch, width]));
        Ok(vec![of(hidden), of(hidden), of(4 * hidden)])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        if call.cotangents[2].is_some() {
            let plain = self.decompose(call.operands).unwrap_or_default();
            return through_decomposition(&plain, call);
        }
        let cotangents = [0, 1].map(|i| call.cotangents[i].is_some());
        let mut operands: Vec<Tensor<'g>> = call.operands.to_vec();
        operands.extend(call.outputs);
        operands.extend(call.cotangents[..2].iter().flatten());
        let out = call.operands[0].graph().apply(LstmGradient { resets: self.resets, cotangents }, &operands);
        let mut gradients: Vec<Option<Tensor<'g>>> =
            (0..6).map(|i| Some(out[i].sum_to(call.operands[i].shape()))).collect();
        gradients.resize(call.operands.len(), None);
        Ok(gradients)
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let of = self.infer(&types).ok()?;
        let sizes = Sizes::of(&types[0], &of[0]);
        let g = operands[0].graph();
        let full = |width: usize| with_lead(&sizes.lead, &[sizes.batch, width]);
        let (mut h, mut c) = (operands[1], operands[2]);
        let bias = operands[5].shape();
        let bias = operands[5].reshape(with_lead(bias.leading(1), &[1, 4 * sizes.hidden]));
        let mut out = [Vec::new(), Vec::new(), Vec::new()];
        for t in 0..sizes.time {
            let at_time = |x: Tensor<'g>, tail: &[usize]| {
                let x = x.slice(-(tail.len() as isize) - 1, t, 1);
                let shape = x.shape();
                x.reshape(with_lead(shape.leading(tail.len() + 1), tail))
            };
            if let Some(&resets) = operands.get(6) {
                let reset = at_time(resets, &[sizes.batch]);
                let kept = 1.0 - reset.reshape(with_lead(&reset.shape(), &[1]));
                (h, c) = (h * kept, c * kept);
            }
            let x = at_time(operands[0], &[sizes.batch, sizes.input]);
            let z = x.matmul(operands[3]) + h.matmul(operands[4]) + bias;
            let gate = |k: usize| z.slice(-1, k * sizes.hidden, sizes.hidden);
            let (i, f, o) = (gate(0).sigmoid(), gate(1).sigmoid(), gate(3).sigmoid());
            let n = gate(2).tanh();
            c = (f * c + i * n).broadcast_to(full(sizes.hidden));
            h = (o * c.tanh()).broadcast_to(full(sizes.hidden));
            out[0].push(h);
            out[1].push(c);
            out[2].push(g.concat(&[i, f, n, o], -1).broadcast_to(full(4 * sizes.hidden)));
        }
        Some(out.iter().map(|steps| g.stack(steps, -3)).collect())
    }

    fn cpu_scratch(&self, operands: &[TensorType], outputs: &[TensorType]) -> usize {
        let sizes = Sizes::of(&operands[0], &outputs[0]);
        let masked = if self.resets { sizes.lanes * sizes.batch * sizes.hidden } else { 0 };
        sizes.lanes * Panels::room(sizes.hidden, 4 * sizes.hidden) + masked
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let sizes = Sizes::of(call.inputs[0].of, call.outputs[0].of);
        let Sizes { time, batch, input, hidden, .. } = sizes;
        let [hs, cs, gates] = [0, 1, 2].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        let room = Panels::room(hidden, 4 * hidden);
        let (packed, masked) = call.scratch.split_at_mut(sizes.lanes * room);
        let [packed, masked] = [packed, masked].map(|s| SharedPointer(s.as_mut_ptr()));
        let inputs = call.inputs;
        let parallel = call.parallel.above(sizes.work(4), POOL_WORK);
        sizes.for_each_lane(parallel, |lane, parallel| {
            let [x, w] = [(0, 3), (3, 2)].map(|(i, tail)| sizes.part(inputs[i], tail, lane));
            let bias = Some(sizes.part(inputs[5], 1, lane));
            let (a, b) = (Matrix::row_major(x, input), Matrix::row_major(w, 4 * hidden));
            let rows = time * batch;
            // SAFETY: the gates of one lane, which this call alone writes.
            let out = unsafe { slice_mut(gates, lane * rows * 4 * hidden, rows * 4 * hidden) };
            multiply((rows, 4 * hidden, input), a, b, out, 4 * hidden, false, bias, parallel)?;
            let w = Matrix::row_major(sizes.part(inputs[4], 2, lane), 4 * hidden);
            // SAFETY: the panels of this lane, which this call alone writes.
            let room = unsafe { slice_mut(packed, lane * room, room) };
            Panels::pack(hidden, 4 * hidden, w, room, parallel)?;
            Ok(())
        })?;
        sizes.for_each_block(parallel, |lane, start, rows| {
            let [h0, c0] = [1, 2].map(|i| sizes.part(inputs[i], 2, lane));
            // SAFETY: packed by the loop before, and nobody writes them now.
            let panels = Panels::of(hidden, 4 * hidden, unsafe { slice_of(packed, lane * room, room) });
            let resets = inputs.get(6).map(|&r| sizes.part(r, 2, lane));
            let count = rows * hidden;
            for t in 0..time {
                let at = ((lane * time + t) * batch + start) * hidden;
                let before = |first: &'_ [f32], all: SharedPointer| -> *const f32 {
                    match t {
                        0 => first[start * hidden..].as_ptr(),
                        _ => all.get().wrapping_add(at - batch * hidden).cast_const(),
                    }
                };
                let resets = resets.map(|r| &r[t * batch + start..][..rows]);
                // SAFETY: these rows of the step before were written by this task, or are those of the first state; the
                // rows of this step, and the part of the scratch memory, are this task's alone.
                let (mut h, c, z, h_out, c_out) = unsafe {
                    (
                        std::slice::from_raw_parts(before(h0, hs), count),
                        std::slice::from_raw_parts(before(c0, cs), count),
                        slice_mut(gates, 4 * at, 4 * count),
                        slice_mut(hs, at, count),
                        slice_mut(cs, at, count),
                    )
                };
                if let Some(resets) = resets.filter(|r| r.iter().any(|&r| r != 0.0)) {
                    // SAFETY: as above.
                    let to = unsafe { slice_mut(masked, (lane * batch + start) * hidden, count) };
                    dispatch(ScaleRows { from: h, factors: Some(resets), width: hidden, to: &mut *to });
                    h = to;
                }
                let h = Matrix::row_major(h, hidden);
                panels.multiply(rows, h, z, 4 * hidden, true, None)?;
                dispatch(Cells { z, c, resets, hidden, h_out, c_out });
            }
            Ok(())
        })
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let sizes = Sizes::of(&call.operands[0], &call.outputs[0]);
        let mut plan = GpuPlan::default();
        let gates = Binding::Output(2);
        product(
            &mut plan,
            call,
            (false, false),
            [(Binding::Input(0), flat(&call.operands[0])), (Binding::Input(3), call.operands[3].clone())],
            (gates, flat(&call.outputs[2])),
        )?;
        let resets = if self.resets { 6 } else { 5 };
        for step in 0..sizes.time {
            plan.launches.push(Launch {
                shader: SHADER.into(),
                entry: "lstm_step",
                constants: Vec::new(),
                bindings: [4, 5, 1, 2, resets]
                    .map(Binding::Input)
                    .into_iter()
                    .chain([0, 1, 2].map(Binding::Output))
                    .collect(),
                parameters: parameters(
                    &sizes,
                    [step, usize::from(self.resets), 0, 0],
                    &[
                        sizes.lane(&call.operands[4], 2),
                        sizes.lane(&call.operands[5], 1),
                        sizes.lane(&call.operands[1], 2),
                        sizes.lane(&call.operands[2], 2),
                        sizes.lane(&call.operands[resets], if self.resets { 2 } else { 1 }),
                    ],
                ),
                workgroups: tiles(self, call, &sizes)?,
            });
        }
        Ok(plan)
    }

    fn operations(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        2 * Sizes::of(&operands[0], &outputs[0]).work(4) as u64
    }
}

/// One step of some rows, from the sums before the gates.
struct Cells<'a> {
    /// `[rows, 4h]`: becomes the gates.
    z: &'a mut [f32],
    c: &'a [f32],
    resets: Option<&'a [f32]>,
    hidden: usize,
    h_out: &'a mut [f32],
    c_out: &'a mut [f32],
}

impl Kernel for Cells<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let hidden = self.hidden;
        for row in 0..self.c.len() / hidden {
            let z = &mut self.z[row * 4 * hidden..(row + 1) * 4 * hidden];
            let kept = s.splat(1.0 - self.resets.map_or(0.0, |r| r[row]));
            let forget = s.eq(kept, s.zero());
            let mut j = 0;
            while j < hidden {
                let count = S::LANES.min(hidden - j);
                let at = row * hidden + j;
                let i = vm::sigmoid(s, s.load_slice(&z[j..][..count]));
                let f = vm::sigmoid(s, s.load_slice(&z[hidden + j..][..count]));
                let g = vm::tanh(s, s.load_slice(&z[2 * hidden + j..][..count]));
                let o = vm::sigmoid(s, s.load_slice(&z[3 * hidden + j..][..count]));
                let before = s.mul(s.load_slice(&self.c[at..][..count]), kept);
                let before = s.select(forget, s.zero(), before);
                let c = s.mul_add(f, before, s.mul(i, g));
                s.store_slice(&mut z[j..][..count], i);
                s.store_slice(&mut z[hidden + j..][..count], f);
                s.store_slice(&mut z[2 * hidden + j..][..count], g);
                s.store_slice(&mut z[3 * hidden + j..][..count], o);
                s.store_slice(&mut self.c_out[at..][..count], c);
                s.store_slice(&mut self.h_out[at..][..count], s.mul(o, vm::tanh(s, c)));
                j += S::LANES;
            }
        }
    }
}

/// What a sequence of a recurrent layer gives.
#[derive(Debug, Clone, Copy)]
pub struct LstmOutput<'g> {
    /// The states `[.., t, b, h]`.
    pub hidden: Tensor<'g>,
    /// The cells `[.., t, b, h]`.
    pub cells: Tensor<'g>,
}

impl<'g> Tensor<'g> {
    /// [`Lstm`] over this sequence `[.., t, b, i]`, from the state `h0` and the cell `c0` `[.., b, h]`. Weights are `w_x`
    /// `[.., i, 4h]` and `w_h` `[.., h, 4h]`, the gates in the order input, forget, cell, output, and `bias` `[.., 4h]`.
    /// `resets` `[.., t, b]`: 1 where the state is forgotten before the step. Leading dimensions broadcast.
    pub fn lstm(
        self,
        [h0, c0]: [Tensor<'g>; 2],
        [w_x, w_h, bias]: [Tensor<'g>; 3],
        resets: Option<Tensor<'g>>,
    ) -> LstmOutput<'g> {
        let mut operands = vec![self, h0, c0, w_x, w_h, bias];
        operands.extend(resets);
        complete(&mut operands, &TAILS, 3);
        let out = self.graph().apply(Lstm { resets: resets.is_some() }, &operands);
        LstmOutput { hidden: out[0], cells: out[1] }
    }

    /// One step of [`Tensor::lstm`]: this input is `[.., b, i]`, and the new state and cell are `[.., b, h]`.
    pub fn lstm_cell(self, state: [Tensor<'g>; 2], weights: [Tensor<'g>; 3]) -> [Tensor<'g>; 2] {
        let shape = self.shape();
        if shape.len() < 2 {
            self.refuse("lstm", "takes an input of [.., batch, features]".into());
            return [self, self];
        }
        let (lead, tail) = shape.split_at(shape.len() - 2);
        let sequence = self.reshape([lead, &[1], tail].concat());
        let out = sequence.lstm(state, weights, None);
        [out.hidden, out.cells].map(|y| {
            let shape = y.shape();
            match shape.len() {
                0..3 => y,
                rank => y.reshape(with_lead(&shape[..rank - 3], &shape[rank - 2..])),
            }
        })
    }
}
