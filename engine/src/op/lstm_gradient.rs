//! The gradient of an LSTM layer: back through time.

use super::lanes::with_lead;
use super::lstm::{Lstm, SHADER};
use super::recurrent::{
    Mask, POOL_WORK, ScaleRows, Sizes, column_sums, flat, multiply, parameters, product, slice_mut, slice_of,
    tiles,
};
use super::reduce::{Reduction, reduce_gpu};
use crate::cpu::gemm::{Matrix, Panels};
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::vector_math as vm;
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, through_decomposition};
use crate::shape::TensorType;

/// The gradient of [`Lstm`].
///
/// Operands: those of the layer, its three outputs, and the cotangents of states and cells as far as there are any.
/// Outputs, with all leading dimensions: gradients of `x`, `h0`, `c0`, both weights and the bias.
#[derive(Debug, Clone)]
pub struct LstmGradient {
    pub(super) resets: bool,
    pub(super) cotangents: [bool; 2],
}

impl LstmGradient {
    /// Where the layer's outputs start among the operands.
    fn outputs(&self) -> usize {
        6 + usize::from(self.resets)
    }

    /// Which operands the cotangents are.
    fn cotangents(&self) -> [Option<usize>; 2] {
        let first = self.outputs() + 3;
        [
            self.cotangents[0].then_some(first),
            self.cotangents[1].then_some(first + usize::from(self.cotangents[0])),
        ]
    }
}

impl Op for LstmGradient {
    fn name(&self) -> &'static str {
        "lstm_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let at = self.outputs();
        let count = self.cotangents.iter().filter(|&&c| c).count();
        if operands.len() != at + 3 + count {
            return Err("takes the operands and outputs of lstm, and cotangents".into());
        }
        let forward = Lstm { resets: self.resets }.infer(&operands[..at])?;
        if operands[at..at + 3] != forward || operands[at + 3..].iter().any(|c| *c != forward[0]) {
            return Err("outputs and cotangents must be as lstm gives them".into());
        }
        let sizes = Sizes::of(&operands[0], &forward[0]);
        let (i, h) = (sizes.input, sizes.hidden);
        let of = |tail: &[usize]| TensorType::f32(with_lead(&sizes.lead, tail));
        let state = of(&[sizes.batch, h]);
        Ok(vec![
            of(&[sizes.time, sizes.batch, i]),
            state.clone(),
            state,
            of(&[i, 4 * h]),
            of(&[h, 4 * h]),
            of(&[4 * h]),
        ])
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let outputs = self.infer(&types).ok()?;
        let mut own = operands[..self.outputs()].to_vec();
        for (operand, of) in own.iter_mut().zip(&outputs) {
            *operand = operand.broadcast_to(&of.shape);
        }
        let plain = Lstm { resets: self.resets }.decompose(&own)?;
        let [dh, dc] = self.cotangents().map(|i| i.map(|i| operands[i]));
        let call = VjpCall {
            operands: &own,
            outputs: &plain,
            cotangents: &[dh, dc, None],
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

    fn cpu_scratch(&self, operands: &[TensorType], _outputs: &[TensorType]) -> usize {
        let sizes = Sizes::of(&operands[0], &operands[self.outputs()]);
        let (h, rows) = (sizes.hidden, sizes.time * sizes.batch);
        sizes.lanes * (rows * 5 * h + Panels::room(4 * h, h))
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let at = self.outputs();
        let inputs = call.inputs;
        let sizes = Sizes::of(inputs[0].of, inputs[at].of);
        let Sizes { lanes, time, batch, input, hidden, .. } = sizes;
        let [hs, cs, gates] = [0, 1, 2].map(|i| inputs[at + i].f32());
        let [dh, dc] = self.cotangents().map(|i| i.map(|i| inputs[i].f32()));
        let rows = time * batch;
        // Gradients of the sums before the gates; states before each step, after resets; panels of the
        // transposed weights.
        let (dz, rest) = call.scratch.split_at_mut(lanes * rows * 4 * hidden);
        let (befores, turned) = rest.split_at_mut(lanes * rows * hidden);
        let [dz, befores, turned] = [dz, befores, turned].map(|s| SharedPointer(s.as_mut_ptr()));
        let [dx, dh0, dc0, dw_x, dw_h, dbias] =
            [0, 1, 2, 3, 4, 5].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        let parallel = call.parallel.above(2 * sizes.work(4), POOL_WORK);
        let room = Panels::room(4 * hidden, hidden);
        sizes.for_each_lane(parallel, |lane, parallel| {
            // SAFETY: the part of this lane, which this call alone writes.
            let to = unsafe { slice_mut(turned, lane * room, room) };
            let w = Matrix::row_major(sizes.part(inputs[4], 2, lane), 4 * hidden).transposed();
            Panels::pack(4 * hidden, hidden, w, to, parallel)?;
            Ok(())
        })?;
        sizes.for_each_block(parallel, |lane, start, count| {
            let [h0, c0] = [1, 2].map(|i| sizes.part(inputs[i], 2, lane));
            let resets = inputs.get(6).filter(|_| self.resets).map(|&r| sizes.part(r, 2, lane));
            // SAFETY: the loop before has written them, and nobody writes them now.
            let turned = Panels::of(4 * hidden, hidden, unsafe { slice_of(turned, lane * room, room) });
            let width = count * hidden;
            let first = (lane * batch + start) * hidden;
            // SAFETY: these rows are this task's alone. What comes from the step after is carried in the outputs.
            let (carry_h, carry_c) = unsafe { (slice_mut(dh0, first, width), slice_mut(dc0, first, width)) };
            carry_h.fill(0.0);
            carry_c.fill(0.0);
            for t in (0..time).rev() {
                let from = ((lane * time + t) * batch + start) * hidden;
                let earlier = |first: &'_ [f32], all: &'_ [f32]| -> *const f32 {
                    if t == 0 {
                        first[start * hidden..].as_ptr()
                    } else {
                        all[from - batch * hidden..].as_ptr()
                    }
                };
                // SAFETY: the rows of the step before, or of the first state; rows of scratch memory that are this task's.
                let (h, c, before, dz) = unsafe {
                    (
                        std::slice::from_raw_parts(earlier(h0, hs), width),
                        std::slice::from_raw_parts(earlier(c0, cs), width),
                        slice_mut(befores, from, width),
                        slice_mut(dz, 4 * from, 4 * width),
                    )
                };
                let resets = resets.map(|r| &r[t * batch + start..][..count]);
                dispatch(ScaleRows { from: h, factors: resets, width: hidden, to: before });
                dispatch(CellsBack {
                    gates: &gates[4 * from..][..4 * width],
                    before: c,
                    after: &cs[from..][..width],
                    resets,
                    dh: dh.map(|d| &d[from..][..width]),
                    dc: dc.map(|d| &d[from..][..width]),
                    hidden,
                    carry_h,
                    carry_c,
                    dz,
                });
                let dz = Matrix::row_major(dz, 4 * hidden);
                turned.multiply(count, dz, carry_h, hidden, false, None)?;
                if let Some(resets) = resets {
                    dispatch(Mask { rows: carry_h, resets, width: hidden });
                }
            }
            Ok(())
        })?;
        sizes.for_each_lane(parallel, |lane, parallel| {
            let width = 4 * hidden;
            // SAFETY: the loops before have written them, and nobody writes them now.
            let (dz, before) = unsafe {
                (
                    slice_of(dz, lane * rows * width, rows * width),
                    slice_of(befores, lane * rows * hidden, rows * hidden),
                )
            };
            // SAFETY: the parts of this lane, which this call alone writes.
            let (dx, dw_x, dw_h, dbias) = unsafe {
                (
                    slice_mut(dx, lane * rows * input, rows * input),
                    slice_mut(dw_x, lane * input * width, input * width),
                    slice_mut(dw_h, lane * hidden * width, hidden * width),
                    slice_mut(dbias, lane * width, width),
                )
            };
            let of_z = Matrix::row_major(dz, width);
            let w_x = Matrix::row_major(sizes.part(inputs[3], 2, lane), width).transposed();
            let x = Matrix::row_major(sizes.part(inputs[0], 3, lane), input).transposed();
            let before = Matrix::row_major(before, hidden).transposed();
            multiply((rows, input, width), of_z, w_x, dx, input, false, None, parallel)?;
            multiply((input, width, rows), x, of_z, dw_x, width, false, None, parallel)?;
            multiply((hidden, width, rows), before, of_z, dw_h, width, false, None, parallel)?;
            column_sums(dz, width, dbias, parallel);
            Ok(())
        })
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let at = self.outputs();
        let operands = call.operands;
        let sizes = Sizes::of(&operands[0], &operands[at]);
        let states = operands[at].elements();
        let mut plan = GpuPlan { launches: Vec::new(), scratch: vec![4 * states, states, states] };
        let [dz, before_h, before_c] = [0, 1, 2];
        let resets = if self.resets { 6 } else { 5 };
        let reset_lane = sizes.lane(&operands[resets], if self.resets { 2 } else { 1 });
        let [dh, dc] = self.cotangents();
        let flags = usize::from(self.resets) + 2 * usize::from(dh.is_some()) + 4 * usize::from(dc.is_some());
        let state_lanes = [1, 2].map(|i| sizes.lane(&operands[i], 2));
        let weights_lane = sizes.lane(&operands[4], 2);
        let launch = |entry, bindings: Vec<Binding>, parameters, workgroups| Launch {
            shader: SHADER.into(),
            entry,
            constants: Vec::new(),
            bindings,
            parameters,
            workgroups,
        };
        let inputs = |list: &[usize]| list.iter().map(|&i| Binding::Input(i)).collect::<Vec<_>>();
        let mut bindings = inputs(&[1, 2, resets, at, at + 1]);
        bindings.extend([before_h, before_c].map(Binding::Scratch));
        let maps = [state_lanes[0], state_lanes[1], reset_lane];
        plan.launches.push(launch(
            "lstm_before",
            bindings,
            parameters(&sizes, [0, flags, 0, 0], &maps),
            call.groups(states, 256),
        ));
        let any = at + 2;
        for step in (0..sizes.time).rev() {
            let mut bindings = inputs(&[4, dh.unwrap_or(any), dc.unwrap_or(any), resets]);
            bindings.extend([Binding::ScratchRead(before_c), Binding::Input(at + 2)]);
            bindings.extend([Binding::Scratch(dz), Binding::Output(2)]);
            let parameters = parameters(&sizes, [step, flags, 0, 0], &[weights_lane, reset_lane]);
            plan.launches.push(launch("lstm_step_back", bindings, parameters, tiles(self, call, &sizes)?));
        }
        let mut bindings = inputs(&[4, resets]);
        bindings.extend([Binding::ScratchRead(dz), Binding::Output(1)]);
        let own = parameters(&sizes, [0, flags, 0, 0], &[weights_lane, reset_lane]);
        plan.launches.push(launch("lstm_first_back", bindings, own, tiles(self, call, &sizes)?));
        let sums = [sizes.lanes, sizes.time * sizes.batch, 4 * sizes.hidden];
        let source = (Binding::ScratchRead(dz), &sums[..], &[1usize][..]);
        reduce_gpu(call, &mut plan, Reduction::Sum, source, Binding::Output(5));
        let dz = (Binding::Scratch(dz), flat(&operands[at + 2]));
        let before = (Binding::Scratch(before_h), flat(&operands[at]));
        let x = (Binding::Input(0), flat(&operands[0]));
        let w_x = (Binding::Input(3), operands[3].clone());
        let out = |i: usize| (Binding::Output(i), call.outputs[i].clone());
        product(
            &mut plan,
            call,
            (false, true),
            [dz.clone(), w_x],
            (Binding::Output(0), flat(&call.outputs[0])),
        )?;
        product(&mut plan, call, (true, false), [x, dz.clone()], out(3))?;
        product(&mut plan, call, (true, false), [before, dz], out(4))?;
        Ok(plan)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        4 * Sizes::of(&operands[0], &operands[self.outputs()]).work(4) as u64
    }
}

/// One step of some rows, backwards: from the gradients of state and cell to those of the sums before the gates.
struct CellsBack<'a> {
    gates: &'a [f32],
    before: &'a [f32],
    after: &'a [f32],
    resets: Option<&'a [f32]>,
    dh: Option<&'a [f32]>,
    dc: Option<&'a [f32]>,
    hidden: usize,
    /// What comes from the step after.
    carry_h: &'a [f32],
    /// What comes from the step after; becomes what goes to the step before.
    carry_c: &'a mut [f32],
    dz: &'a mut [f32],
}

impl Kernel for CellsBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let hidden = self.hidden;
        let one = s.splat(1.0);
        for row in 0..self.before.len() / hidden {
            let gates = &self.gates[row * 4 * hidden..(row + 1) * 4 * hidden];
            let dz = &mut self.dz[row * 4 * hidden..(row + 1) * 4 * hidden];
            let kept = s.splat(1.0 - self.resets.map_or(0.0, |r| r[row]));
            let forget = s.eq(kept, s.zero());
            let mut j = 0;
            while j < hidden {
                let count = S::LANES.min(hidden - j);
                let at = row * hidden + j;
                let i = s.load_slice(&gates[j..][..count]);
                let f = s.load_slice(&gates[hidden + j..][..count]);
                let g = s.load_slice(&gates[2 * hidden + j..][..count]);
                let o = s.load_slice(&gates[3 * hidden + j..][..count]);
                let before = s.mul(s.load_slice(&self.before[at..][..count]), kept);
                let before = s.select(forget, s.zero(), before);
                let t = vm::tanh(s, s.load_slice(&self.after[at..][..count]));
                let mut dh = s.load_slice(&self.carry_h[at..][..count]);
                if let Some(own) = self.dh {
                    dh = s.add(dh, s.load_slice(&own[at..][..count]));
                }
                let mut dc = s.load_slice(&self.carry_c[at..][..count]);
                if let Some(own) = self.dc {
                    dc = s.add(dc, s.load_slice(&own[at..][..count]));
                }
                dc = s.mul_add(s.mul(dh, o), s.neg_mul_add(t, t, one), dc);
                let slope = |gate: S::V| s.mul(gate, s.sub(one, gate));
                let di = s.mul(s.mul(dc, g), slope(i));
                let df = s.mul(s.mul(dc, before), slope(f));
                let dg = s.mul(s.mul(dc, i), s.neg_mul_add(g, g, one));
                let d_o = s.mul(s.mul(dh, t), slope(o));
                s.store_slice(&mut dz[j..][..count], di);
                s.store_slice(&mut dz[hidden + j..][..count], df);
                s.store_slice(&mut dz[2 * hidden + j..][..count], dg);
                s.store_slice(&mut dz[3 * hidden + j..][..count], d_o);
                let carry = s.mul(s.mul(dc, f), kept);
                s.store_slice(&mut self.carry_c[at..][..count], s.select(forget, s.zero(), carry));
                j += S::LANES;
            }
        }
    }
}
