//! The gradient of a GRU layer: back through time.

use super::gru::{Gru, SHADER};
use super::lanes::with_lead;
use super::recurrent::{
    Mask, POOL_WORK, ScaleRows, Sizes, column_sums, flat, multiply, parameters, product, slice_mut, slice_of,
    tiles,
};
use super::reduce::{Reduction, reduce_gpu};
use crate::cpu::gemm::{Matrix, Panels};
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall, through_decomposition};
use crate::shape::TensorType;

/// The gradient of [`Gru`].
///
/// Operands: those of the layer, its two outputs, the cotangent of the states. Outputs, with all leading dimensions:
/// gradients of `x`, `h0`, both weights and both biases.
#[derive(Debug, Clone)]
pub struct GruGradient {
    pub(super) resets: bool,
}

impl GruGradient {
    /// Where the layer's outputs start among the operands.
    fn outputs(&self) -> usize {
        6 + usize::from(self.resets)
    }
}

/// Floats for the panels of the state's transposed weights: of the two gates, and of the new state.
fn rooms(hidden: usize) -> [usize; 2] {
    [2 * hidden, hidden].map(|k| Panels::room(k, hidden))
}

impl Op for GruGradient {
    fn name(&self) -> &'static str {
        "gru_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let at = self.outputs();
        if operands.len() != at + 3 {
            return Err("takes the operands and outputs of gru, and a cotangent".into());
        }
        let forward = Gru { resets: self.resets }.infer(&operands[..at])?;
        if operands[at..at + 2] != forward || operands[at + 2] != forward[0] {
            return Err("outputs and cotangent must be as gru gives them".into());
        }
        let sizes = Sizes::of(&operands[0], &forward[0]);
        let (i, h) = (sizes.input, sizes.hidden);
        let of = |tail: &[usize]| TensorType::f32(with_lead(&sizes.lead, tail));
        Ok(vec![
            of(&[sizes.time, sizes.batch, i]),
            of(&[sizes.batch, h]),
            of(&[i, 3 * h]),
            of(&[h, 3 * h]),
            of(&[3 * h]),
            of(&[3 * h]),
        ])
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.tensor_type()).collect();
        let outputs = self.infer(&types).ok()?;
        let at = self.outputs();
        let mut own = operands[..at].to_vec();
        for (operand, of) in own.iter_mut().zip(&outputs) {
            *operand = operand.broadcast_to(&of.shape);
        }
        let plain = Gru { resets: self.resets }.decompose(&own)?;
        let cotangents = [Some(operands[at + 2]), None];
        let call = VjpCall {
            operands: &own,
            outputs: &plain,
            cotangents: &cotangents,
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
        sizes.lanes * (rows * 5 * h + rooms(h).iter().sum::<usize>())
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let at = self.outputs();
        let inputs = call.inputs;
        let sizes = Sizes::of(inputs[0].of, inputs[at].of);
        let Sizes { lanes, time, batch, input, hidden, .. } = sizes;
        let [hs, gates, dh] = [at, at + 1, at + 2].map(|i| inputs[i].f32());
        let rows = time * batch;
        let wide = 4 * hidden;
        let rooms = rooms(hidden);
        let room = rooms[0] + rooms[1];
        // Gradients of the sums before r, z and n and of q; states before each step; panels of the
        // transposed weights.
        let (dz, rest) = call.scratch.split_at_mut(lanes * rows * wide);
        let (befores, turned) = rest.split_at_mut(lanes * rows * hidden);
        let [dz, befores, turned] = [dz, befores, turned].map(|s| SharedPointer(s.as_mut_ptr()));
        let [dx, dh0, dw_x, dw_h, dbias_x, dbias_h] =
            [0, 1, 2, 3, 4, 5].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        let parallel = call.parallel.above(2 * sizes.work(3), POOL_WORK);
        sizes.for_each_lane(parallel, |lane, parallel| {
            // SAFETY: the part of this lane, which this call alone writes.
            let (of_gates, of_new) = unsafe { slice_mut(turned, lane * room, room) }.split_at_mut(rooms[0]);
            let w = sizes.part(inputs[3], 2, lane);
            let part = |from: usize| Matrix::row_major(&w[from..], 3 * hidden).transposed();
            Panels::pack(2 * hidden, hidden, part(0), of_gates, parallel)?;
            Panels::pack(hidden, hidden, part(2 * hidden), of_new, parallel)?;
            Ok(())
        })?;
        sizes.for_each_block(parallel, |lane, start, count| {
            let h0 = sizes.part(inputs[1], 2, lane);
            let resets = inputs.get(6).filter(|_| self.resets).map(|&r| sizes.part(r, 2, lane));
            // SAFETY: the loop before has written them, and nobody writes them now.
            let turned = unsafe { slice_of(turned, lane * room, room) };
            let of_gates = Panels::of(2 * hidden, hidden, &turned[..rooms[0]]);
            let of_new = Panels::of(hidden, hidden, &turned[rooms[0]..]);
            let width = count * hidden;
            // SAFETY: these rows are this task's alone. What comes from the step after is carried in the output.
            let carry = unsafe { slice_mut(dh0, (lane * batch + start) * hidden, width) };
            carry.fill(0.0);
            for t in (0..time).rev() {
                let from = ((lane * time + t) * batch + start) * hidden;
                let earlier = if t == 0 { &h0[start * hidden..] } else { &hs[from - batch * hidden..] };
                // SAFETY: rows of scratch memory that are this task's.
                let (before, dz) =
                    unsafe { (slice_mut(befores, from, width), slice_mut(dz, 4 * from, 4 * width)) };
                let resets = resets.map(|r| &r[t * batch + start..][..count]);
                dispatch(ScaleRows { from: &earlier[..width], factors: resets, width: hidden, to: before });
                dispatch(CellsBack {
                    gates: &gates[4 * from..][..4 * width],
                    before,
                    dh: &dh[from..][..width],
                    hidden,
                    carry,
                    dz,
                });
                let of = |column: usize| Matrix { data: &dz[column..], row_stride: wide, column_stride: 1 };
                of_gates.multiply(count, of(0), carry, hidden, true, None)?;
                of_new.multiply(count, of(3 * hidden), carry, hidden, true, None)?;
                if let Some(resets) = resets {
                    dispatch(Mask { rows: carry, resets, width: hidden });
                }
            }
            Ok(())
        })?;
        sizes.for_each_lane(parallel, |lane, parallel| {
            let width = 3 * hidden;
            // SAFETY: the loops before have written them, and nobody writes them now.
            let (dz, before) = unsafe {
                (
                    slice_of(dz, lane * rows * wide, rows * wide),
                    slice_of(befores, lane * rows * hidden, rows * hidden),
                )
            };
            // SAFETY: the parts of this lane, which this call alone writes.
            let (dx, dw_x, dw_h, dbias_x, dbias_h) = unsafe {
                (
                    slice_mut(dx, lane * rows * input, rows * input),
                    slice_mut(dw_x, lane * input * width, input * width),
                    slice_mut(dw_h, lane * hidden * width, hidden * width),
                    slice_mut(dbias_x, lane * width, width),
                    slice_mut(dbias_h, lane * width, width),
                )
            };
            let of = |column: usize| Matrix { data: &dz[column..], row_stride: wide, column_stride: 1 };
            let w_x = Matrix::row_major(sizes.part(inputs[2], 2, lane), width).transposed();
            let x = Matrix::row_major(sizes.part(inputs[0], 3, lane), input).transposed();
            let before = Matrix::row_major(before, hidden).transposed();
            multiply((rows, input, width), of(0), w_x, dx, input, false, None, parallel)?;
            multiply((input, width, rows), x, of(0), dw_x, width, false, None, parallel)?;
            multiply((hidden, 2 * hidden, rows), before, of(0), dw_h, width, false, None, parallel)?;
            let new = &mut dw_h[2 * hidden..];
            multiply((hidden, hidden, rows), before, of(3 * hidden), new, width, false, None, parallel)?;
            column_sums(dz, wide, dbias_x, parallel);
            dbias_h[..2 * hidden].copy_from_slice(&dbias_x[..2 * hidden]);
            column_sums(&dz[3 * hidden..], wide, &mut dbias_h[2 * hidden..], parallel);
            Ok(())
        })
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let at = self.outputs();
        let operands = call.operands;
        let sizes = Sizes::of(&operands[0], &operands[at]);
        let states = operands[at].elements();
        let mut plan = GpuPlan { launches: Vec::new(), scratch: vec![3 * states, 3 * states, states] };
        let [of_x, of_h, before] = [0, 1, 2];
        let resets = if self.resets { 6 } else { 5 };
        let reset_lane = sizes.lane(&operands[resets], if self.resets { 2 } else { 1 });
        let weights_lane = sizes.lane(&operands[3], 2);
        let flags = usize::from(self.resets);
        let launch = |entry, bindings: Vec<Binding>, parameters, workgroups| Launch {
            shader: SHADER.into(),
            entry,
            constants: Vec::new(),
            bindings,
            parameters,
            workgroups,
        };
        let own = |step: usize, maps: &[_]| parameters(&sizes, [step, flags, 0, 0], maps);
        plan.launches.push(launch(
            "gru_before",
            vec![Binding::Input(1), Binding::Input(resets), Binding::Input(at), Binding::Scratch(before)],
            own(0, &[sizes.lane(&operands[1], 2), reset_lane]),
            call.groups(states, 256),
        ));
        for step in (0..sizes.time).rev() {
            let mut bindings = [3, at + 2, resets].map(Binding::Input).to_vec();
            bindings.extend([Binding::ScratchRead(before), Binding::Input(at + 1)]);
            bindings.extend([Binding::Scratch(of_x), Binding::Scratch(of_h), Binding::Output(1)]);
            let groups = tiles(self, call, &sizes)?;
            plan.launches.push(launch(
                "gru_step_back",
                bindings,
                own(step, &[weights_lane, reset_lane]),
                groups,
            ));
        }
        let mut bindings = [3, resets].map(Binding::Input).to_vec();
        bindings.extend([Binding::ScratchRead(of_h), Binding::Output(1)]);
        let groups = tiles(self, call, &sizes)?;
        plan.launches.push(launch("gru_first_back", bindings, own(0, &[weights_lane, reset_lane]), groups));
        let width = 3 * sizes.hidden;
        let rows = sizes.time * sizes.batch;
        for (from, to) in [(of_x, 4), (of_h, 5)] {
            let sums = [sizes.lanes, rows, width];
            let source = (Binding::ScratchRead(from), &sums[..], &[1usize][..]);
            reduce_gpu(call, &mut plan, Reduction::Sum, source, Binding::Output(to));
        }
        let sums = TensorType::f32(with_lead(&sizes.lead, &[rows, width]));
        let [of_x, of_h] = [of_x, of_h].map(|s| (Binding::Scratch(s), sums.clone()));
        let before = (Binding::Scratch(before), flat(&operands[at]));
        let x = (Binding::Input(0), flat(&operands[0]));
        let w_x = (Binding::Input(2), operands[2].clone());
        let out = |i: usize| (Binding::Output(i), call.outputs[i].clone());
        let dx = (Binding::Output(0), flat(&call.outputs[0]));
        product(&mut plan, call, (false, true), [of_x.clone(), w_x], dx)?;
        product(&mut plan, call, (true, false), [x, of_x], out(2))?;
        product(&mut plan, call, (true, false), [before, of_h], out(3))?;
        Ok(plan)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        4 * Sizes::of(&operands[0], &operands[self.outputs()]).work(3) as u64
    }
}

/// One step of some rows, backwards: from the gradient of the state to those of the sums before the gates.
struct CellsBack<'a> {
    gates: &'a [f32],
    before: &'a [f32],
    dh: &'a [f32],
    hidden: usize,
    /// What comes from the step after; becomes what goes to the step before past the products.
    carry: &'a mut [f32],
    /// `[rows, 4h]`: of the sums before `r`, `z` and `n`, and of `q`.
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
            let out = &mut self.dz[row * 4 * hidden..(row + 1) * 4 * hidden];
            let mut j = 0;
            while j < hidden {
                let count = S::LANES.min(hidden - j);
                let at = row * hidden + j;
                let r = s.load_slice(&gates[j..][..count]);
                let z = s.load_slice(&gates[hidden + j..][..count]);
                let n = s.load_slice(&gates[2 * hidden + j..][..count]);
                let q = s.load_slice(&gates[3 * hidden + j..][..count]);
                let before = s.load_slice(&self.before[at..][..count]);
                let dh =
                    s.add(s.load_slice(&self.dh[at..][..count]), s.load_slice(&self.carry[at..][..count]));
                let slope = s.mul(s.sub(one, z), s.neg_mul_add(n, n, one));
                let dn = s.mul(dh, slope);
                let dz = s.mul(s.mul(dh, s.sub(before, n)), s.mul(z, s.sub(one, z)));
                let dr = s.mul(s.mul(dn, q), s.mul(r, s.sub(one, r)));
                s.store_slice(&mut out[j..][..count], dr);
                s.store_slice(&mut out[hidden + j..][..count], dz);
                s.store_slice(&mut out[2 * hidden + j..][..count], dn);
                s.store_slice(&mut out[3 * hidden + j..][..count], s.mul(dn, r));
                s.store_slice(&mut self.carry[at..][..count], s.mul(dh, z));
                j += S::LANES;
            }
        }
    }
}
