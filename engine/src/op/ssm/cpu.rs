//! The kernels of state space models on the CPU.
//!
//! Lanes of a vector are channels, so that the sum over states needs no horizontal sums; the states of a group stay in
//! registers over all steps, and more states than fit go through the sequence again. Without an initial state the
//! factor `b` moves behind the recurrence: `x = b s`, `s_t = a s_{t-1} + u_t`, `y_t = sum((b c) s_t)`, two fused
//! multiply-adds a state and step with two vectors from the first-level cache, which two ports of either kind balance.
//!
//! The gradients of weights need no states of earlier steps and no way back: a state depends on its own decay alone, so
//! `z_t = dx_t / da = a z_{t-1} + x_{t-1}` runs along with the state (Williams and Zipser 1989, where it is too dear for
//! dense recurrences), and `da = c sum(dy_t z_t)`. With `s` as above `db = c sum(dy_t s_t)` and `dc = sum(dy_t x_t)`: four
//! fused multiply-adds. The gradient of `u` is the model itself, backwards, with `b` and `c` exchanged: two.

use std::ops::Range;

use super::super::lanes::Lane;
use super::Plan;
use crate::cpu::Parallel;
use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::cpu::simd::{Kernel, Simd, dispatch};

/// Updates of states between two turns of the weights at least, and of one task at least.
const TURN: usize = 16 * 1024;
const TASK: usize = 128 * 1024;
/// Lanes of the widest vector.
const WIDEST: usize = 16;

/// An operand, and which part of it a lane reads.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub values: &'a [f32],
    pub lane: Lane,
    /// Elements of a part.
    pub size: usize,
}

impl<'a> Part<'a> {
    #[inline(always)]
    fn of(&self, lane: usize) -> &'a [f32] {
        &self.values[self.lane.of(lane) * self.size..][..self.size]
    }
}

/// The recurrence and its readout. With `reverse` it runs from the last step to the first, a reset takes effect after
/// its step, and `last` is the state after one more decay: which makes it the gradient of `u` and of the initial state.
#[derive(Clone, Copy)]
pub(super) struct Recurrence<'a> {
    pub reverse: bool,
    pub u: Part<'a>,
    pub a: Part<'a>,
    pub b: Part<'a>,
    pub c: Part<'a>,
    pub d: Part<'a>,
    pub initial: Option<Part<'a>>,
    pub resets: Option<Part<'a>>,
    pub y: SharedPointer,
    pub last: Option<SharedPointer>,
}

/// The gradients of weights.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub u: Part<'a>,
    pub dy: Part<'a>,
    pub a: Part<'a>,
    pub b: Part<'a>,
    pub c: Part<'a>,
    pub initial: Option<Part<'a>>,
    pub resets: Option<Part<'a>>,
    /// The gradient of the last state.
    pub dlast: Option<Part<'a>>,
    pub da: SharedPointer,
    pub db: SharedPointer,
    pub dc: SharedPointer,
    pub dd: SharedPointer,
}

/// The number of lanes of a vector: channels of a block.
struct Width;

impl Kernel for Width {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _s: S) -> usize {
        S::LANES
    }
}

/// A block of channels, for some lanes.
struct Task<'a, W> {
    work: &'a W,
    lanes: Range<usize>,
    time: usize,
    channels: usize,
    states: usize,
    /// The first channel of the block, and how many it has.
    start: usize,
    count: usize,
}

/// Computes outputs and last states.
pub(super) fn run_recurrence(plan: &Plan, recurrence: &Recurrence, parallel: Parallel) {
    for_each_block(plan, parallel, recurrence, |task| match recurrence.initial {
        None => dispatch(Scan::<true>(task)),
        Some(_) => dispatch(Scan::<false>(task)),
    });
}

/// Computes gradients of weights.
pub(super) fn run_weights(plan: &Plan, weights: &Weights, parallel: Parallel) {
    for_each_block(plan, parallel, weights, |task| match weights.initial {
        None => dispatch(Sensitivity::<true>(task)),
        Some(_) => dispatch(Sensitivity::<false>(task)),
    });
}

fn for_each_block<W: Sync>(
    plan: &Plan,
    parallel: Parallel,
    work: &W,
    body: impl Fn(Task<'_, W>) + Sync + Send,
) {
    let Plan { lanes, time, channels, states, .. } = *plan;
    let width = dispatch(Width);
    let blocks = channels.div_ceil(width);
    // So many lanes of a block go together that weights are seldom turned. Otherwise the blocks of a lane follow each
    // other, while its rows are in the second-level cache.
    let block = (time * states * width).max(1);
    let together = TURN.div_ceil(block).min(lanes).max(1);
    let item = TASK.div_ceil(together * block);
    let parallel = parallel.above(lanes * time * channels * states / 4, TASK / 2);
    for_each_chunk(parallel, lanes.div_ceil(together) * blocks, item, |range| {
        for i in range {
            let (first, start) = (i / blocks * together, i % blocks * width);
            body(Task {
                work,
                lanes: first..lanes.min(first + together),
                time,
                channels,
                states,
                start,
                count: width.min(channels - start),
            });
        }
    });
}

impl<W> Task<'_, W> {
    /// States `first..first + G` of the block's channels, from a part `[channels, n]`: one vector a state.
    #[inline(always)]
    fn load_states<S: Simd, const G: usize>(&self, s: S, from: &[f32], first: usize) -> [S::V; G] {
        let mut turned = [[0f32; WIDEST]; G];
        let from = &from[self.start * self.states..(self.start + self.count) * self.states];
        if G == S::LANES && self.count == S::LANES {
            // SAFETY: `from` has `LANES` rows of `states >= first + LANES` numbers, `turned` as many rows of `WIDEST`.
            unsafe {
                s.transpose(from.as_ptr().add(first), self.states, turned.as_mut_ptr().cast(), WIDEST);
            }
        } else {
            for channel in 0..self.count {
                for j in 0..G {
                    turned[j][channel] = from[channel * self.states + first + j];
                }
            }
        }
        let mut out = [s.zero(); G];
        for j in 0..G {
            out[j] = s.load_slice(&turned[j][..S::LANES]);
        }
        out
    }

    /// The other way: writes vectors to a part `[channels, n]` of the output for a lane.
    #[inline(always)]
    fn store_states<S: Simd, const G: usize>(
        &self,
        s: S,
        values: [S::V; G],
        to: SharedPointer,
        lane: usize,
        first: usize,
    ) {
        let mut turned = [[0f32; WIDEST]; G];
        for j in 0..G {
            s.store_slice(&mut turned[j][..S::LANES], values[j]);
        }
        let at = (lane * self.channels + self.start) * self.states;
        // SAFETY: this task alone writes to its channels of its lanes, and they lie within the output.
        let to = unsafe { std::slice::from_raw_parts_mut(to.get().add(at), self.count * self.states) };
        for channel in 0..self.count {
            for j in 0..G {
                to[channel * self.states + first + j] = turned[j][channel];
            }
        }
    }

    /// The block's channels of a step, from `[t, channels]`.
    #[inline(always)]
    fn load_step<S: Simd>(&self, s: S, from: &[f32], t: usize) -> S::V {
        s.load_slice(&from[t * self.channels + self.start..][..self.count])
    }
}

/// Vectors times a factor; a factor of 0 forgets even what is not finite.
#[inline(always)]
fn keep_states<S: Simd, const G: usize>(s: S, x: &mut [S::V; G], keep: f32) {
    for x in x.iter_mut() {
        *x = if keep == 0.0 { s.zero() } else { s.mul(*x, s.splat(keep)) };
    }
}

/// Calls `$group::<.., G>(s, first)` until all states are done, with as many at a time as `$most` and no more than
/// there are.
macro_rules! for_each_group {
    ($self:ident, $s:ident, $group:ident, $($size:literal if $allowed:expr),+) => {
        let mut first = 0;
        while first < $self.0.states {
            let left = $self.0.states - first;
            $(
                if $allowed && left >= $size {
                    $self.$group::<S, $size>($s, first);
                    first += $size;
                    continue;
                }
            )+
            $self.$group::<S, 1>($s, first);
            first += 1;
        }
    };
}

/// [`Recurrence`]; with `FOLD` from zeros.
struct Scan<'a, const FOLD: bool>(Task<'a, Recurrence<'a>>);

impl<const FOLD: bool> Kernel for Scan<'_, FOLD> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for_each_group!(self, s, group, 16 if S::REGISTERS >= 32, 8 if S::REGISTERS < 32, 4 if true);
    }
}

impl<const FOLD: bool> Scan<'_, FOLD> {
    #[inline(always)]
    fn group<S: Simd, const G: usize>(&self, s: S, first: usize) {
        let task = &self.0;
        let work = task.work;
        let mut parts = None;
        let (mut a, mut b, mut read) = ([s.zero(); G], [s.zero(); G], [s.zero(); G]);
        for lane in task.lanes.clone() {
            let own = [work.a, work.b, work.c];
            let here = [own[0].lane.of(lane), own[1].lane.of(lane), own[2].lane.of(lane)];
            if parts != Some(here) {
                parts = Some(here);
                a = task.load_states(s, own[0].of(lane), first);
                b = task.load_states(s, own[1].of(lane), first);
                read = task.load_states(s, own[2].of(lane), first);
                if FOLD {
                    for j in 0..G {
                        read[j] = s.mul(read[j], b[j]);
                    }
                }
            }
            let u = work.u.of(lane);
            let d = s.load_slice(&work.d.of(lane)[task.start..][..task.count]);
            let mut x = match work.initial {
                Some(initial) => task.load_states(s, initial.of(lane), first),
                None => [s.zero(); G],
            };
            // SAFETY: this task alone writes to its channels of this lane.
            let y = unsafe { work.y.get().add(lane * task.time * task.channels + task.start) };
            for step in 0..task.time {
                let t = if work.reverse { task.time - 1 - step } else { step };
                let keep = match work.resets {
                    Some(resets) => 1.0 - resets.of(lane)[t],
                    None => 1.0,
                };
                if keep != 1.0 && !work.reverse {
                    keep_states(s, &mut x, keep);
                }
                let input = task.load_step(s, u, t);
                // SAFETY: `count` channels from here on are this task's.
                let row = unsafe { y.add(t * task.channels) };
                // Two sums, so that one need not wait for the other.
                let mut sums = [s.zero(); 2];
                sums[0] = if first == 0 {
                    s.mul(d, input)
                } else {
                    // SAFETY: as above; the group before has written it.
                    unsafe { s.load_partial(row, task.count) }
                };
                if !FOLD && work.reverse && step == 0 {
                    // The gradient of the last state arrives after the last decay.
                    for j in 0..G {
                        x[j] = s.mul_add(b[j], input, x[j]);
                        sums[j % 2] = s.mul_add(read[j], x[j], sums[j % 2]);
                    }
                } else {
                    for j in 0..G {
                        let driven = if FOLD { input } else { s.mul(b[j], input) };
                        x[j] = s.mul_add(a[j], x[j], driven);
                        sums[j % 2] = s.mul_add(read[j], x[j], sums[j % 2]);
                    }
                }
                let sum = s.add(sums[0], sums[1]);
                // SAFETY: as above.
                unsafe {
                    if task.count == S::LANES {
                        s.store(row, sum);
                    } else {
                        s.store_partial(row, sum, task.count);
                    }
                }
                if keep != 1.0 && work.reverse {
                    keep_states(s, &mut x, keep);
                }
            }
            if let Some(last) = work.last {
                for j in 0..G {
                    if FOLD {
                        x[j] = s.mul(b[j], x[j]);
                    }
                    if work.reverse {
                        x[j] = s.mul(a[j], x[j]);
                    }
                }
                task.store_states(s, x, last, lane, first);
            }
        }
    }
}

/// [`Weights`]; with `FOLD` from zeros, where `x` below is the state over `b`.
struct Sensitivity<'a, const FOLD: bool>(Task<'a, Weights<'a>>);

impl<const FOLD: bool> Kernel for Sensitivity<'_, FOLD> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for_each_group!(self, s, group, 4 if S::REGISTERS >= 32, 2 if S::REGISTERS < 32);
    }
}

impl<const FOLD: bool> Sensitivity<'_, FOLD> {
    #[inline(always)]
    fn group<S: Simd, const G: usize>(&self, s: S, first: usize) {
        let task = &self.0;
        let work = task.work;
        let mut parts = None;
        let none = [s.zero(); G];
        let (mut a, mut b, mut c) = (none, none, none);
        for lane in task.lanes.clone() {
            let own = [work.a, work.b, work.c];
            let here = [own[0].lane.of(lane), own[1].lane.of(lane), own[2].lane.of(lane)];
            if parts != Some(here) {
                parts = Some(here);
                a = task.load_states(s, own[0].of(lane), first);
                b = task.load_states(s, own[1].of(lane), first);
                c = task.load_states(s, own[2].of(lane), first);
            }
            let (u, dy) = (work.u.of(lane), work.dy.of(lane));
            let mut x = match work.initial {
                Some(initial) => task.load_states(s, initial.of(lane), first),
                None => none,
            };
            // Derivatives of the state by `a` and by `b`.
            let (mut z, mut driven) = (none, none);
            let (mut sum_z, mut sum_x, mut sum_driven, mut sum_d) = (none, none, none, s.zero());
            for t in 0..task.time {
                if let Some(resets) = work.resets {
                    let keep = 1.0 - resets.of(lane)[t];
                    if keep != 1.0 {
                        keep_states(s, &mut x, keep);
                        keep_states(s, &mut z, keep);
                        keep_states(s, &mut driven, keep);
                    }
                }
                let (input, slope) = (task.load_step(s, u, t), task.load_step(s, dy, t));
                sum_d = s.mul_add(slope, input, sum_d);
                for j in 0..G {
                    z[j] = s.mul_add(a[j], z[j], x[j]);
                    let fed = if FOLD { input } else { s.mul(b[j], input) };
                    x[j] = s.mul_add(a[j], x[j], fed);
                    sum_z[j] = s.mul_add(slope, z[j], sum_z[j]);
                    sum_x[j] = s.mul_add(slope, x[j], sum_x[j]);
                    if !FOLD {
                        driven[j] = s.mul_add(a[j], driven[j], input);
                        sum_driven[j] = s.mul_add(slope, driven[j], sum_driven[j]);
                    }
                }
            }
            let (mut da, mut db, mut dc) = (none, none, none);
            for j in 0..G {
                da[j] = s.mul(c[j], sum_z[j]);
                db[j] = s.mul(c[j], if FOLD { sum_x[j] } else { sum_driven[j] });
                dc[j] = sum_x[j];
            }
            if let Some(dlast) = work.dlast {
                let dlast: [S::V; G] = task.load_states(s, dlast.of(lane), first);
                for j in 0..G {
                    da[j] = s.mul_add(dlast[j], z[j], da[j]);
                    db[j] = s.mul_add(dlast[j], if FOLD { x[j] } else { driven[j] }, db[j]);
                }
            }
            if FOLD {
                for j in 0..G {
                    da[j] = s.mul(b[j], da[j]);
                    dc[j] = s.mul(b[j], dc[j]);
                }
            }
            task.store_states(s, da, work.da, lane, first);
            task.store_states(s, db, work.db, lane, first);
            task.store_states(s, dc, work.dc, lane, first);
            if first == 0 {
                // SAFETY: this task alone writes to its channels of this lane.
                unsafe {
                    let dd = work.dd.get().add(lane * task.channels + task.start);
                    s.store_partial(dd, sum_d, task.count);
                }
            }
        }
    }
}
