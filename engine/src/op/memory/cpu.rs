//! Writes to a memory, and their gradient, on processors: lanes are independent, agents within a lane go in order.
//! Limited by memory: every slot is read and written once, and little is computed.

use super::Plan;
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::{Parallel, for_each_chunk};

/// Elements of a task of the pool, about 100 us.
const TASK: usize = 1 << 18;

impl Plan {
    /// Where lane `index` of each operand starts.
    fn offsets(&self, index: usize) -> [usize; 5] {
        let (mut rest, mut at) = (index, [0; 5]);
        for d in (0..self.lanes.len()).rev() {
            let i = rest % self.lanes[d];
            rest /= self.lanes[d];
            for (at, strides) in at.iter_mut().zip(&self.strides) {
                *at += i * strides[d];
            }
        }
        at
    }

    /// The operands of one lane.
    fn lane<'a>(&self, inputs: [&'a [f32]; 5], index: usize) -> [&'a [f32]; 5] {
        let (at, sizes) = (self.offsets(index), self.sizes());
        let mut lane = inputs;
        for i in 0..5 {
            lane[i] = &inputs[i][at[i]..at[i] + sizes[i]];
        }
        lane
    }

    /// Elements of one lane of each operand.
    fn sizes(&self) -> [usize; 5] {
        let Plan { slots, features, agents, .. } = *self;
        [slots * features, slots, agents * features, agents, agents]
    }

    fn for_each_lane(&self, parallel: Parallel, body: impl Fn(usize) + Sync + Send) {
        let work = (self.slots + 4 * self.agents) * self.features + self.slots * self.agents;
        let lanes = self.lanes.elements();
        let parallel = parallel.above(work * lanes, 2 * TASK);
        for_each_chunk(parallel, lanes, TASK.div_ceil(work), |range| range.for_each(&body));
    }
}

/// Part `index` of memory cut into parts of `size`.
///
/// # Safety
/// The part exists and nobody else uses it.
unsafe fn part<'a>(pointer: SharedPointer, index: usize, size: usize) -> &'a mut [f32] {
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts_mut(pointer.get().add(index * size), size) }
}

pub(super) fn write(
    plan: &Plan,
    threshold: f32,
    inputs: [&[f32]; 5],
    memory: &mut [f32],
    importance: &mut [f32],
    taken: &mut [u32],
    parallel: Parallel,
) {
    let sizes = plan.sizes();
    let outputs = [memory, importance].map(|o| SharedPointer(o.as_mut_ptr()));
    let taken = SharedPointer(taken.as_mut_ptr().cast());
    plan.for_each_lane(parallel, |lane| {
        let [before, ranks, candidates, gates, importances] = plan.lane(inputs, lane);
        // SAFETY: every lane has its own part of each output.
        let (memory, importance, taken) = unsafe {
            (part(outputs[0], lane, sizes[0]), part(outputs[1], lane, sizes[1]), part(taken, lane, sizes[3]))
        };
        memory.copy_from_slice(before);
        importance.copy_from_slice(ranks);
        for (i, &gate) in gates.iter().enumerate() {
            let slot = if gate > threshold { least(importance) } else { plan.slots };
            taken[i] = f32::from_bits(slot as u32);
            if slot < plan.slots {
                let row = &mut memory[slot * plan.features..][..plan.features];
                dispatch(Blend { gate, row, with: &candidates[i * plan.features..][..plan.features] });
                importance[slot] = (1.0 - gate) * importance[slot] + gate * importances[i];
            }
        }
    });
}

/// The first of the least elements.
fn least(importance: &[f32]) -> usize {
    let mut best = 0;
    for (j, &r) in importance.iter().enumerate() {
        if r < importance[best] {
            best = j;
        }
    }
    best
}

/// `row <- (1 - gate) row + gate with`.
struct Blend<'a> {
    gate: f32,
    row: &'a mut [f32],
    with: &'a [f32],
}

impl Kernel for Blend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (gate, rest) = (s.splat(self.gate), s.splat(1.0 - self.gate));
        for (row, with) in self.row.chunks_mut(S::LANES).zip(self.with.chunks(S::LANES)) {
            let y = s.mul_add(rest, s.load_slice(row), s.mul(gate, s.load_slice(with)));
            s.store_slice(row, y);
        }
    }
}

pub(super) fn gradient(
    plan: &Plan,
    inputs: [&[f32]; 5],
    taken: &[u32],
    cotangents: [&[f32]; 2],
    outputs: [&mut [f32]; 5],
    parallel: Parallel,
) {
    let sizes = plan.sizes();
    let features = plan.features;
    let outputs = outputs.map(|o| SharedPointer(o.as_mut_ptr()));
    plan.for_each_lane(parallel, |lane| {
        let [before, ranks, candidates, gates, importances] = plan.lane(inputs, lane);
        let taken = &taken[lane * plan.agents..][..plan.agents];
        // SAFETY: every lane has its own part of each output.
        let [memory, importance, of_candidates, of_gates, of_importances] =
            [0, 1, 2, 3, 4].map(|i| unsafe { part(outputs[i], lane, sizes[i]) });
        // What each agent found in its slot, kept where its gradients go later.
        memory.copy_from_slice(before);
        importance.copy_from_slice(ranks);
        for (i, &slot) in taken.iter().enumerate() {
            let slot = slot as usize;
            if slot == plan.slots {
                continue;
            }
            let row = &mut memory[slot * features..][..features];
            of_candidates[i * features..][..features].copy_from_slice(row);
            of_importances[i] = importance[slot];
            dispatch(Blend { gate: gates[i], row, with: &candidates[i * features..][..features] });
            importance[slot] = (1.0 - gates[i]) * importance[slot] + gates[i] * importances[i];
        }
        memory.copy_from_slice(&cotangents[0][lane * sizes[0]..][..sizes[0]]);
        importance.copy_from_slice(&cotangents[1][lane * sizes[1]..][..sizes[1]]);
        for (i, &slot) in taken.iter().enumerate().rev() {
            let slot = slot as usize;
            let found = &mut of_candidates[i * features..][..features];
            if slot == plan.slots {
                found.fill(0.0);
                (of_gates[i], of_importances[i]) = (0.0, 0.0);
                continue;
            }
            let gate = gates[i];
            let with = &candidates[i * features..][..features];
            let d = &mut memory[slot * features..][..features];
            let e = importance[slot];
            of_gates[i] =
                dispatch(Unblend { gate, with, found, d }) + e * (importances[i] - of_importances[i]);
            of_importances[i] = gate * e;
            importance[slot] = (1.0 - gate) * e;
        }
    });
}

/// One agent's step back. `found` holds what was in the slot and becomes the candidate's gradient, `d` the slot's
/// cotangent. Gives `d . (with - found)`.
struct Unblend<'a> {
    gate: f32,
    with: &'a [f32],
    found: &'a mut [f32],
    d: &'a mut [f32],
}

impl Kernel for Unblend<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let (gate, rest) = (s.splat(self.gate), s.splat(1.0 - self.gate));
        let mut sum = s.zero();
        let rows = self.with.chunks(S::LANES).zip(self.found.chunks_mut(S::LANES));
        for ((with, found), d) in rows.zip(self.d.chunks_mut(S::LANES)) {
            let c = s.load_slice(d);
            sum = s.mul_add(c, s.sub(s.load_slice(with), s.load_slice(found)), sum);
            s.store_slice(found, s.mul(gate, c));
            s.store_slice(d, s.mul(rest, c));
        }
        s.reduce_add(sum)
    }
}
