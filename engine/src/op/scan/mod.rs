//! First-order linear recurrences over time: what state space models, discounted sums and advantage estimates are.
//!
//! Limit: memory. An element costs 12 bytes (two read, one written) for 2 operations, its gradient 20 for 5. CPU: all
//! channels of a step at once, so that the state stays in the first-level cache. GPU: chunks of time, see
//! `shaders/scan.wgsl`.

mod complex;
mod exact;
mod gpu;

pub use complex::ComplexScan;

use super::lanes::{Lane, common_lead, lane_of, stretch, with_lead};
use crate::cpu::Parallel;
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::error::Result;
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall};
use crate::shape::{DType, TensorType};
use exact::{LONG, step_exactly};
use gpu::Recurrence;

/// Ops of this family.
pub const NAMES: &[&str] = &["linear_scan", "linear_scan_gradient", "complex_scan"];

/// WGSL of the scans.
pub(crate) const SHADER: &str =
    concat!(include_str!("../../../shaders/scan.wgsl"), include_str!("../../../shaders/complex_scan.wgsl"));

/// Channels of one task on the CPU: three rows of it are half of a first-level cache.
const BLOCK: usize = 1024;
/// Elements of one task on the CPU at least.
const TASK: usize = 32 * 1024;

/// `x_t = a_t (1 - reset_t) x_{t-1} + b_t`, with `x_{-1} = initial`; with `reverse` time runs backwards, from `initial`
/// behind the last step.
///
/// Operands: `a` `[.., t, d]` (or `[.., 1, d]`: the same at all times), `b` `[.., t, d]`, `initial` `[.., d]`, and with
/// `resets` as many `[.., t]`, 1 where the state before the step is forgotten and 0 elsewhere. No gradient passes
/// through resets. Output: `x` `[.., t, d]`.
#[derive(Debug, Clone)]
pub struct LinearScan {
    /// Whether time runs backwards.
    pub reverse: bool,
    /// Whether there are resets.
    pub resets: bool,
}

/// Sizes, and where operands lie.
struct Plan {
    lead: Vec<usize>,
    lanes: usize,
    time: usize,
    channels: usize,
    a_rows: usize,
}

impl Plan {
    fn of(a: &TensorType, x: &TensorType) -> Plan {
        let lead = x.shape.leading(2).to_vec();
        let (time, channels) = (x.shape[lead.len()], x.shape[lead.len() + 1]);
        let a_rows = a.shape[a.shape.len() - 2];
        Plan { lanes: lead.iter().product(), lead, time, channels, a_rows }
    }

    fn lane(&self, of: &TensorType, tail: usize) -> Lane {
        lane_of(of, tail, &self.lead)
    }
}

impl Op for LinearScan {
    fn name(&self) -> &'static str {
        "linear_scan"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if operands.len() != 3 + usize::from(self.resets) {
            return Err("takes a, b, an initial state and resets where it has them".into());
        }
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        let lead = common_lead(operands.iter().zip([2, 2, 1, 1]))?;
        let [a, b, initial] = [0, 1, 2].map(|i| &operands[i].shape);
        let (time, channels) = (b[b.len() - 2], b[b.len() - 1]);
        if ![1, time].contains(&a[a.len() - 2]) || a[a.len() - 1] != channels {
            return Err("a must be [.., t, d] as b is, or [.., 1, d]".into());
        }
        if initial[initial.len() - 1] != channels {
            return Err("the initial state must have as many channels as b".into());
        }
        if operands.get(3).is_some_and(|r| r.shape[r.shape.len() - 1] != time) {
            return Err("resets must be [.., t]".into());
        }
        Ok(vec![TensorType::f32(with_lead(&lead, &[time, channels]))])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(c) = call.cotangents[0] else { return Ok(vec![None; call.operands.len()]) };
        let op = LinearScanGradient { reverse: self.reverse, resets: self.resets };
        let mut operands = vec![call.operands[0], call.outputs[0], call.operands[2], c];
        operands.extend(call.operands.get(3));
        let out = call.operands[0].graph().apply(op, &operands);
        let mut gradients: Vec<Option<Tensor<'g>>> =
            (0..3).map(|i| Some(out[i].sum_to(call.operands[i].shape()))).collect();
        gradients.resize(call.operands.len(), None);
        Ok(gradients)
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let plan = Plan::of(call.inputs[0].of, call.outputs[0].of);
        let [a, b, initial] = [0, 1, 2].map(|i| call.inputs[i]);
        let (a_lane, b_lane) = (plan.lane(a.of, 2), plan.lane(b.of, 2));
        let initial_lane = plan.lane(initial.of, 1);
        let resets = call.inputs.get(3).map(|r| (r.f32(), plan.lane(r.of, 1)));
        let x = SharedPointer(call.outputs[0].f32().as_mut_ptr());
        let (time, channels) = (plan.time, plan.channels);
        for_each_block(&plan, call.parallel, |lane, start, end| {
            let kernel = Forward {
                reverse: self.reverse,
                time,
                channels,
                start,
                end,
                a: &a.f32()[a_lane.of(lane) * plan.a_rows * channels..],
                a_stride: if plan.a_rows == 1 { 0 } else { channels },
                b: &b.f32()[b_lane.of(lane) * time * channels..][..time * channels],
                initial: &initial.f32()[initial_lane.of(lane) * channels..][..channels],
                resets: resets.map(|(r, map)| &r[map.of(lane) * time..][..time]),
                x: x.get().wrapping_add(lane * time * channels),
            };
            dispatch(kernel);
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = Plan::of(&call.operands[0], &call.outputs[0]);
        let recurrence = Recurrence {
            reverse: self.reverse,
            lag: false,
            complex: false,
            a: 0,
            b: 1,
            initial: Some(2),
            resets: self.resets.then_some(3),
            x: 0,
        };
        Ok(recurrence.plan(call, &plan))
    }

    fn operations(&self, _operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        2 * outputs[0].elements() as u64
    }
}

/// Calls `body` with a lane and a range of channels, on the pool where the work is large enough.
fn for_each_block(plan: &Plan, parallel: Parallel, body: impl Fn(usize, usize, usize) + Sync + Send) {
    let blocks = plan.channels.div_ceil(BLOCK);
    let elements = plan.lanes * plan.time * plan.channels;
    let item = (plan.time * plan.channels.min(BLOCK)).max(1);
    let parallel = parallel.above(elements, 4 * TASK);
    for_each_chunk(parallel, plan.lanes * blocks, TASK.div_ceil(item), |range| {
        for i in range {
            let start = i % blocks * BLOCK;
            body(i / blocks, start, plan.channels.min(start + BLOCK));
        }
    });
}

struct Forward<'a> {
    reverse: bool,
    time: usize,
    channels: usize,
    start: usize,
    end: usize,
    a: &'a [f32],
    a_stride: usize,
    b: &'a [f32],
    initial: &'a [f32],
    resets: Option<&'a [f32]>,
    x: *mut f32,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.end - self.start;
        let long = self.time > LONG;
        let mut room;
        let mut lost: &mut [f32] = &mut [];
        if long {
            room = [0f32; BLOCK];
            lost = &mut room[..width];
        }
        for step in 0..self.time {
            let p = if self.reverse { self.time - 1 - step } else { step };
            let keep = match self.resets {
                Some(resets) => 1.0 - resets[p],
                None => 1.0,
            };
            let a = &self.a[p * self.a_stride + self.start..][..width];
            let b = &self.b[p * self.channels + self.start..][..width];
            // SAFETY: this task alone writes columns `start..end` of this lane, of `time` rows; `before` is a row that
            // it wrote in the step before, or the initial state.
            let (x, before) = unsafe {
                let x = self.x.add(p * self.channels + self.start);
                let before = if step == 0 {
                    self.initial[self.start..self.end].as_ptr()
                } else {
                    let q = if self.reverse { p + 1 } else { p - 1 };
                    self.x.add(q * self.channels + self.start).cast_const()
                };
                (std::slice::from_raw_parts_mut(x, width), std::slice::from_raw_parts(before, width))
            };
            if keep == 0.0 {
                // Forgets even what is not finite.
                x.copy_from_slice(b);
                lost.fill(0.0);
                continue;
            }
            let keep = s.splat(keep);
            let mut i = 0;
            while long && i < width {
                let factor = s.mul(s.load_slice(&a[i..]), keep);
                let [before, term] = [before, b].map(|row| s.load_slice(&row[i..]));
                let (value, rest) = step_exactly(s, factor, before, s.load_slice(&lost[i..]), term);
                s.store_slice(&mut x[i..], value);
                s.store_slice(&mut lost[i..], rest);
                i += S::LANES;
            }
            while i < width {
                let factor = s.mul(s.load_slice(&a[i..]), keep);
                let value = s.mul_add(factor, s.load_slice(&before[i..]), s.load_slice(&b[i..]));
                s.store_slice(&mut x[i..], value);
                i += S::LANES;
            }
        }
    }
}

/// The gradient of [`LinearScan`]: the same recurrence through time the other way.
///
/// Operands: `a`, the states `x`, `initial`, the cotangent of `x`, resets where there are any. Outputs, all with the
/// leading dimensions of `x`: gradients of `a` `[.., t or 1, d]`, `b` `[.., t, d]` and `initial` `[.., d]`.
///
/// ```text
/// db_t = c_t + a_{t+1} (1 - reset_{t+1}) db_{t+1}      da_t = db_t (1 - reset_t) x_{t-1}
/// ```
#[derive(Debug, Clone)]
pub struct LinearScanGradient {
    reverse: bool,
    resets: bool,
}

impl Op for LinearScanGradient {
    fn name(&self) -> &'static str {
        "linear_scan_gradient"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [a, x, initial, c, rest @ ..] = operands else { return Err("takes a, x, initial and c".into()) };
        let scan = LinearScan { reverse: self.reverse, resets: self.resets };
        let mut as_forward = vec![a.clone(), c.clone(), initial.clone()];
        as_forward.extend_from_slice(rest);
        let forward = scan.infer(&as_forward)?;
        if *c != forward[0] || *x != forward[0] {
            return Err("x and its cotangent must have the shape of the scan".into());
        }
        let lead = x.shape.leading(2);
        let (time, channels) = (a.shape[a.shape.len() - 2], x.shape[x.shape.len() - 1]);
        Ok(vec![
            TensorType::f32(with_lead(lead, &[time, channels])),
            x.clone(),
            TensorType::f32(with_lead(lead, &[channels])),
        ])
    }

    fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Option<Vec<Tensor<'g>>> {
        let [a, x, initial, c] = [0, 1, 2, 3].map(|i| operands[i]);
        let g = a.graph();
        let shape = x.shape();
        let lead = shape.leading(2);
        let (time, channels) = (shape[lead.len()], shape[lead.len() + 1]);
        let keep = operands.get(4).map(|r| {
            let of = r.shape();
            1.0 - r.reshape(with_lead(&of, &[1]))
        });
        let kept = |t: Tensor<'g>| keep.map_or(t, |k| t * k);
        let factors = kept(a).broadcast_to(&shape);
        // Where in time the first step is, where all but the first and all but the last are.
        let (first, later, earlier) = if self.reverse { (time - 1, 0, 1) } else { (0, 1, 0) };
        let row = with_lead(lead, &[1, channels]);
        let (shifted, before) = if time == 1 {
            (g.full(&shape, 0.0), None)
        } else {
            let later = factors.slice(-2, later, time - 1);
            let (front, back) = if self.reverse { (1, 0) } else { (0, 1) };
            (later.pad(-2, front, back), Some(x.slice(-2, earlier, time - 1)))
        };
        let of = initial.shape();
        let start = initial.reshape(with_lead(of.leading(1), &[1, channels])).broadcast_to(&row);
        let before = match before {
            None => start,
            Some(states) if self.reverse => g.concat(&[states, start], -2),
            Some(states) => g.concat(&[start, states], -2),
        };
        let zero = g.full([channels], 0.0);
        let db = g.apply_one(LinearScan { reverse: !self.reverse, resets: false }, &[shifted, c, zero]);
        let da = kept(db * before);
        let a_rows = a.shape()[a.shape().len() - 2];
        let da = if a_rows == time { da } else { da.sum(&[-2]).reshape(&row) };
        let dinitial =
            (factors.slice(-2, first, 1) * db.slice(-2, first, 1)).reshape(with_lead(lead, &[channels]));
        Some(vec![da, db, dinitial])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let [a, x, initial, c] = [0, 1, 2, 3].map(|i| call.inputs[i]);
        let plan = Plan::of(a.of, x.of);
        let (a_lane, initial_lane) = (plan.lane(a.of, 2), plan.lane(initial.of, 1));
        let resets = call.inputs.get(4).map(|r| (r.f32(), plan.lane(r.of, 1)));
        let [da, db, dinitial] = [0, 1, 2].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        let (time, channels) = (plan.time, plan.channels);
        for_each_block(&plan, call.parallel, |lane, start, end| {
            let kernel = Backward {
                reverse: self.reverse,
                time,
                channels,
                start,
                end,
                a: &a.f32()[a_lane.of(lane) * plan.a_rows * channels..],
                a_rows: plan.a_rows,
                x: &x.f32()[lane * time * channels..][..time * channels],
                c: &c.f32()[lane * time * channels..][..time * channels],
                initial: &initial.f32()[initial_lane.of(lane) * channels..][..channels],
                resets: resets.map(|(r, map)| &r[map.of(lane) * time..][..time]),
                da: da.get().wrapping_add(lane * plan.a_rows * channels),
                db: db.get().wrapping_add(lane * time * channels),
                dinitial: dinitial.get().wrapping_add(lane * channels),
            };
            dispatch(kernel);
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let shape = Plan::of(&call.operands[0], &call.operands[1]);
        let resets = self.resets.then_some(4);
        let recurrence = Recurrence {
            reverse: !self.reverse,
            lag: true,
            complex: false,
            a: 0,
            b: 3,
            initial: None,
            resets,
            x: 1,
        };
        let mut plan = recurrence.plan(call, &shape);
        let own = Recurrence { reverse: self.reverse, lag: false, initial: Some(2), ..recurrence };
        let steps = shape.time / shape.a_rows;
        plan.launches.extend((0..steps).step_by(gpu::MOST).map(|first| Launch {
            shader: SHADER.into(),
            entry: "gradient",
            constants: Vec::new(),
            bindings: vec![
                Binding::Input(0),
                Binding::Input(1),
                Binding::Input(2),
                Binding::Input(resets.unwrap_or(0)),
                Binding::Output(1),
                Binding::Output(0),
                Binding::Output(2),
            ],
            parameters: own.of_steps(call, &shape, first, steps.min(first + gpu::MOST)),
            workgroups: call.groups(shape.lanes * shape.a_rows * shape.channels, 256),
        }));
        Ok(plan)
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        5 * operands[1].elements() as u64
    }
}

struct Backward<'a> {
    reverse: bool,
    time: usize,
    channels: usize,
    start: usize,
    end: usize,
    a: &'a [f32],
    a_rows: usize,
    x: &'a [f32],
    c: &'a [f32],
    initial: &'a [f32],
    resets: Option<&'a [f32]>,
    da: *mut f32,
    db: *mut f32,
    dinitial: *mut f32,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (width, stride) = (self.end - self.start, if self.a_rows == 1 { 0 } else { self.channels });
        let long = self.time > LONG;
        // Of the gradient that is carried, and of the sum for `a`.
        let mut room;
        let (mut lost, mut lost_of_a): (&mut [f32], &mut [f32]) = (&mut [], &mut []);
        if long {
            room = [[0f32; BLOCK]; 2];
            let [first, second] = &mut room;
            (lost, lost_of_a) = (&mut first[..width], &mut second[..width]);
        }
        // The factor of the step that came after in time: what carries the gradient here.
        let mut after: Option<(usize, f32)> = None;
        for step in (0..self.time).rev() {
            let p = if self.reverse { self.time - 1 - step } else { step };
            let at = p * self.channels + self.start;
            let keep = match self.resets {
                Some(resets) => 1.0 - resets[p],
                None => 1.0,
            };
            let before = if step == 0 {
                &self.initial[self.start..self.end]
            } else {
                let q = if self.reverse { p + 1 } else { p - 1 };
                &self.x[q * self.channels + self.start..][..width]
            };
            // SAFETY: this task alone writes columns `start..end` of this lane; the row of `db` that is read was
            // written one step ago, and is another row than the one written now.
            let (db, db_after, da) = unsafe {
                let db_after = self.db.add(after.map_or(p, |(q, _)| q) * self.channels + self.start);
                (
                    self.db.add(at),
                    db_after.cast_const(),
                    std::slice::from_raw_parts_mut(self.da.add(p * stride + self.start), width),
                )
            };
            let c = &self.c[at..at + width];
            let carried = match after {
                Some((q, keep)) if keep != 0.0 => {
                    Some((&self.a[q * stride + self.start..][..width], s.splat(keep)))
                }
                _ => None,
            };
            let accumulate = self.a_rows != self.time && after.is_some();
            let kept = s.splat(keep);
            let mut i = 0;
            while i < width {
                let count = S::LANES.min(width - i);
                let mut g = s.load_slice(&c[i..]);
                if let Some((a, keep)) = carried {
                    let factor = s.mul(s.load_slice(&a[i..]), keep);
                    // SAFETY: `count` columns are left.
                    let g_after = unsafe { s.load_partial(db_after.add(i), count) };
                    if long {
                        let rest;
                        (g, rest) = step_exactly(s, factor, g_after, s.load_slice(&lost[i..]), g);
                        s.store_slice(&mut lost[i..], rest);
                    } else {
                        g = s.mul_add(factor, g_after, g);
                    }
                } else if long {
                    s.store_slice(&mut lost[i..], s.zero());
                }
                // SAFETY: as above.
                unsafe { s.store_partial(db.add(i), g, count) };
                let mut d = s.zero();
                if keep != 0.0 {
                    d = s.mul(s.mul(g, kept), s.load_slice(&before[i..]));
                }
                if accumulate && long {
                    let (one, sum, known) =
                        (s.splat(1.0), s.load_slice(&da[i..]), s.load_slice(&lost_of_a[i..]));
                    let rest;
                    (d, rest) = step_exactly(s, one, sum, known, d);
                    s.store_slice(&mut lost_of_a[i..], rest);
                } else if accumulate {
                    d = s.add(s.load_slice(&da[i..]), d);
                }
                s.store_slice(&mut da[i..], d);
                if step == 0 {
                    let factor = s.mul(s.load_slice(&self.a[p * stride + self.start..][i..width]), kept);
                    // SAFETY: as above.
                    unsafe { s.store_partial(self.dinitial.add(self.start + i), s.mul(factor, g), count) };
                }
                i += S::LANES;
            }
            after = Some((p, keep));
        }
    }
}

impl<'g> Tensor<'g> {
    /// The recurrence `x_t = a_t (1 - reset_t) x_{t-1} + b_t` along the last dimension but one, from `initial`: see
    /// [`LinearScan`]. `self` is `b` `[.., t, d]`, `a` is `[.., t, d]` or `[.., 1, d]`, `initial` `[.., d]`, `resets`
    /// `[.., t]`. Leading dimensions broadcast.
    pub fn linear_scan(self, a: Tensor<'g>, initial: Tensor<'g>, resets: Option<Tensor<'g>>) -> Tensor<'g> {
        self.linear_scan_with(a, initial, resets, false)
    }

    /// [`Tensor::linear_scan`], from the last step to the first where `reverse` is set.
    pub fn linear_scan_with(
        self,
        a: Tensor<'g>,
        initial: Tensor<'g>,
        resets: Option<Tensor<'g>>,
        reverse: bool,
    ) -> Tensor<'g> {
        let mut operands = vec![a, self, initial];
        operands.extend(resets);
        stretch(&mut operands, &[2, 2, 1, 1]);
        self.graph().apply_one(LinearScan { reverse, resets: resets.is_some() }, &operands)
    }
}
