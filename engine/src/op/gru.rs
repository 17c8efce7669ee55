//! Gated recurrent units over whole sequences, with resets inside them.
//!
//! Limit: arithmetic, `6 h (i + h)` operations a step and row; the plan is that of `lstm`.

pub use super::gru_gradient::GruGradient;
use super::lanes::with_lead;
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
pub const NAMES: &[&str] = &["gru", "gru_gradient"];

/// WGSL of the steps.
pub(crate) const SHADER: &str = include_str!("../../shaders/gru.wgsl");

/// A layer of gated recurrent units (Cho et al. 2014) over a sequence, in PyTorch's form: the gates stand in the order
/// reset, update, new, and the reset gate is applied after the product.
///
/// ```text
/// r, z = sigma of (x_t w_x + bias_x + h_{t-1} w_h + bias_h)
/// q = h_{t-1} w_h + bias_h      n = tanh(x_t w_x + bias_x + r q)      h_t = (1 - z) n + z h_{t-1}
/// ```
///
/// Operands: `x` `[.., t, b, i]`, `h0` `[.., b, h]`, `w_x` `[.., i, 3h]`, `w_h` `[.., h, 3h]`, `bias_x` and `bias_h`
/// `[.., 3h]`, and with `resets` as many `[.., t, b]`: 1 where the state is forgotten before the step, 0 elsewhere (no
/// gradient passes). Outputs: the states `[.., t, b, h]`, and `r`, `z`, `n`, `q` `[.., t, b, 4h]`, which the gradient
/// needs.
#[derive(Debug, Clone)]
pub struct Gru {
    /// Whether there are resets.
    pub resets: bool,
}

const TAILS: [usize; 7] = [3, 2, 2, 2, 1, 1, 2];

/// Floats for the panels of the state's weights: of the two gates, and of the new state.
fn rooms(hidden: usize) -> [usize; 2] {
    [2 * hidden, hidden].map(|n| Panels::room(hidden, n))
}

impl Op for Gru {
    fn name(&self) -> &'static str {
        "gru"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != 6 + usize::from(self.resets) {
            return Err("takes x, h0, two weights, two biases, and resets where it has them".into());
        }
        let (lead, [time, batch, hidden]) = Sizes::infer(operands, &TAILS, 1, 2, 3)?;
        let of = |width| TensorType::f32(with_lead(&lead, &[time, batch, width]));
        Ok(vec![of(hidden), of(4 * hidden)])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        if call.cotangents[1].is_some() {
            let plain = self.decompose(call.operands).unwrap_or_default();
            return through_decomposition(&plain, call);
        }
        let mut operands: Vec<Tensor<'g>> = call.operands.to_vec();
        operands.extend(call.outputs);
        operands.push(call.cotangent(0));
        let out = call.operands[0].graph().apply(GruGradient { resets: self.resets }, &operands);
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
        let [bias_x, bias_h] = [4, 5].map(|i| {
            let shape = &types[i].shape;
            operands[i].reshape(with_lead(shape.leading(1), &[1, 3 * sizes.hidden]))
        });
        let mut h = operands[1];
        let mut out = [Vec::new(), Vec::new()];
        for t in 0..sizes.time {
            let at_time = |x: Tensor<'g>, tail: &[usize]| {
                let x = x.slice(-(tail.len() as isize) - 1, t, 1);
                let shape = x.shape();
                x.reshape(with_lead(shape.leading(tail.len() + 1), tail))
            };
            if let Some(&resets) = operands.get(6) {
                let reset = at_time(resets, &[sizes.batch]);
                h = h * (1.0 - reset.reshape(with_lead(&reset.shape(), &[1])));
            }
            let x = at_time(operands[0], &[sizes.batch, sizes.input]).matmul(operands[2]) + bias_x;
            let own = h.matmul(operands[3]) + bias_h;
            let gate = |of: Tensor<'g>, k: usize| of.slice(-1, k * sizes.hidden, sizes.hidden);
            let r = (gate(x, 0) + gate(own, 0)).sigmoid();
            let z = (gate(x, 1) + gate(own, 1)).sigmoid();
            let q = gate(own, 2);
            let n = (gate(x, 2) + r * q).tanh();
            h = ((1.0 - z) * n + z * h).broadcast_to(full(sizes.hidden));
            out[0].push(h);
            let gates = [r, z, n, q].map(|gate| gate.broadcast_to(full(sizes.hidden)));
            out[1].push(g.concat(&gates, -1));
        }
        Some(out.iter().map(|steps| g.stack(steps, -3)).collect())
    }

    fn cpu_scratch(&self, operands: &[TensorType], outputs: &[TensorType]) -> usize {
        let sizes = Sizes::of(&operands[0], &outputs[0]);
        let masked = if self.resets { sizes.lanes * sizes.batch * sizes.hidden } else { 0 };
        sizes.lanes * rooms(sizes.hidden).iter().sum::<usize>() + masked
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let sizes = Sizes::of(call.inputs[0].of, call.outputs[0].of);
        let Sizes { time, batch, input, hidden, .. } = sizes;
        let [hs, gates] = [0, 1].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        let [room, rest] = rooms(hidden);
        let (packed, masked) = call.scratch.split_at_mut(sizes.lanes * (room + rest));
        let [packed, masked] = [packed, masked].map(|s| SharedPointer(s.as_mut_ptr()));
        let inputs = call.inputs;
        let parallel = call.parallel.above(sizes.work(3), POOL_WORK);
        sizes.for_each_lane(parallel, |lane, parallel| {
            let [x, w] = [(0, 3), (2, 2)].map(|(i, tail)| sizes.part(inputs[i], tail, lane));
            let bias = Some(sizes.part(inputs[4], 1, lane));
            let (a, b) = (Matrix::row_major(x, input), Matrix::row_major(w, 3 * hidden));
            let rows = time * batch;
            // SAFETY: the gates of one lane, which this call alone writes. The last quarter of each row stays free.
            let out = unsafe { slice_mut(gates, lane * rows * 4 * hidden, rows * 4 * hidden) };
            multiply((rows, 3 * hidden, input), a, b, out, 4 * hidden, false, bias, parallel)?;
            let w = sizes.part(inputs[3], 2, lane);
            // SAFETY: the panels of this lane, which this call alone writes.
            let (of_gates, of_new) =
                unsafe { slice_mut(packed, lane * (room + rest), room + rest) }.split_at_mut(room);
            Panels::pack(hidden, 2 * hidden, Matrix::row_major(w, 3 * hidden), of_gates, parallel)?;
            let new = Matrix::row_major(&w[2 * hidden..], 3 * hidden);
            Panels::pack(hidden, hidden, new, of_new, parallel)?;
            Ok(())
        })?;
        sizes.for_each_block(parallel, |lane, start, rows| {
            let h0 = sizes.part(inputs[1], 2, lane);
            // SAFETY: packed by the loop before, and nobody writes them now.
            let panels = unsafe { slice_of(packed, lane * (room + rest), room + rest) };
            let of_gates = Panels::of(hidden, 2 * hidden, &panels[..room]);
            let of_new = Panels::of(hidden, hidden, &panels[room..]);
            let bias = sizes.part(inputs[5], 1, lane);
            let resets = inputs.get(6).map(|&r| sizes.part(r, 2, lane));
            let count = rows * hidden;
            for t in 0..time {
                let at = ((lane * time + t) * batch + start) * hidden;
                let before = match t {
                    0 => h0[start * hidden..].as_ptr(),
                    _ => hs.get().wrapping_add(at - batch * hidden).cast_const(),
                };
                let resets = resets.map(|r| &r[t * batch + start..][..rows]);
                // SAFETY: these rows of the step before were written by this task, or are those of the first state; the
                // rows of this step, and the part of the scratch memory, are this task's alone.
                let (mut h, z, h_out) = unsafe {
                    (
                        std::slice::from_raw_parts(before, count),
                        slice_mut(gates, 4 * at, 4 * count),
                        slice_mut(hs, at, count),
                    )
                };
                if let Some(resets) = resets.filter(|r| r.iter().any(|&r| r != 0.0)) {
                    // SAFETY: as above.
                    let to = unsafe { slice_mut(masked, (lane * batch + start) * hidden, count) };
                    dispatch(ScaleRows { from: h, factors: Some(resets), width: hidden, to: &mut *to });
                    h = to;
                }
                let of_h = Matrix::row_major(h, hidden);
                of_gates.multiply(rows, of_h, z, 4 * hidden, true, None)?;
                let q = &mut z[3 * hidden..];
                of_new.multiply(rows, of_h, q, 4 * hidden, false, Some(&bias[2 * hidden..]))?;
                dispatch(Cells { z, h, bias, hidden, h_out });
            }
            Ok(())
        })
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let operands = call.operands;
        let sizes = Sizes::of(&operands[0], &call.outputs[0]);
        let rows = sizes.time * sizes.batch;
        let products = TensorType::f32(with_lead(&sizes.lead, &[rows, 3 * sizes.hidden]));
        let mut plan = GpuPlan { launches: Vec::new(), scratch: vec![products.elements()] };
        let (x, w) = ((Binding::Input(0), flat(&operands[0])), (Binding::Input(2), operands[2].clone()));
        product(&mut plan, call, (false, false), [x, w], (Binding::Scratch(0), products))?;
        let resets = if self.resets { 6 } else { 5 };
        let maps = [(3, 2), (4, 1), (5, 1), (1, 2), (resets, if self.resets { 2 } else { 1 })]
            .map(|(i, tail)| sizes.lane(&operands[i], tail));
        for step in 0..sizes.time {
            let mut bindings: Vec<Binding> = [3, 4, 5, 1, resets].map(Binding::Input).to_vec();
            bindings.extend([Binding::ScratchRead(0), Binding::Output(0), Binding::Output(1)]);
            plan.launches.push(Launch {
                shader: SHADER.into(),
                entry: "gru_step",
                constants: Vec::new(),
                bindings,
                parameters: parameters(&sizes, [step, usize::from(self.resets), 0, 0], &maps),
                workgroups: tiles(self, call, &sizes)?,
            });
        }
        Ok(plan)
    }

    fn operations(&self, operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        2 * Sizes::of(&operands[0], &outputs[0]).work(3) as u64
    }
}

/// One step of some rows, from the sums before the gates.
struct Cells<'a> {
    /// `[rows, 4h]`: becomes `r`, `z`, `n`, `q`.
    z: &'a mut [f32],
    /// The state before, after its reset.
    h: &'a [f32],
    /// The bias of the state's products.
    bias: &'a [f32],
    hidden: usize,
    h_out: &'a mut [f32],
}

impl Kernel for Cells<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let hidden = self.hidden;
        for row in 0..self.h.len() / hidden {
            let z = &mut self.z[row * 4 * hidden..(row + 1) * 4 * hidden];
            let mut j = 0;
            while j < hidden {
                let count = S::LANES.min(hidden - j);
                let at = row * hidden + j;
                let bias_r = s.load_slice(&self.bias[j..][..count]);
                let bias_z = s.load_slice(&self.bias[hidden + j..][..count]);
                let r = vm::sigmoid(s, s.add(s.load_slice(&z[j..][..count]), bias_r));
                let update = vm::sigmoid(s, s.add(s.load_slice(&z[hidden + j..][..count]), bias_z));
                let q = s.load_slice(&z[3 * hidden + j..][..count]);
                let n = vm::tanh(s, s.mul_add(r, q, s.load_slice(&z[2 * hidden + j..][..count])));
                s.store_slice(&mut z[j..][..count], r);
                s.store_slice(&mut z[hidden + j..][..count], update);
                s.store_slice(&mut z[2 * hidden + j..][..count], n);
                let h = s.load_slice(&self.h[at..][..count]);
                s.store_slice(&mut self.h_out[at..][..count], s.mul_add(update, s.sub(h, n), n));
                j += S::LANES;
            }
        }
    }
}

impl<'g> Tensor<'g> {
    /// [`Gru`] over this sequence `[.., t, b, i]` from the state `h0` `[.., b, h]`; gives the states `[.., t, b, h]`.
    /// Weights are `w_x` `[.., i, 3h]`, `w_h` `[.., h, 3h]`, and the biases `bias_x` and `bias_h` `[.., 3h]`, the gates in
    /// the order reset, update, new. `resets` `[.., t, b]`: 1 where the state is forgotten before the step. Leading
    /// dimensions broadcast.
    pub fn gru(
        self,
        h0: Tensor<'g>,
        [w_x, w_h, bias_x, bias_h]: [Tensor<'g>; 4],
        resets: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let mut operands = vec![self, h0, w_x, w_h, bias_x, bias_h];
        operands.extend(resets);
        complete(&mut operands, &TAILS, 2);
        self.graph().apply(Gru { resets: resets.is_some() }, &operands)[0]
    }

    /// One step of [`Tensor::gru`]: this input is `[.., b, i]`, and the new state is `[.., b, h]`.
    pub fn gru_cell(self, h: Tensor<'g>, weights: [Tensor<'g>; 4]) -> Tensor<'g> {
        let shape = self.shape();
        if shape.len() < 2 {
            return self.refuse("gru", "takes an input of [.., batch, features]".into());
        }
        let (lead, tail) = shape.split_at(shape.len() - 2);
        let out = self.reshape([lead, &[1], tail].concat()).gru(h, weights, None);
        let shape = out.shape();
        match shape.len() {
            0..3 => out,
            rank => out.reshape(with_lead(&shape[..rank - 3], &shape[rank - 2..])),
        }
    }
}
