//! The same recurrences over complex numbers: state space models whose states turn while they fade.
//!
//! A row of `d` complex numbers is `2 d` floats, the real parts and behind them the imaginary ones: so a product with a
//! matrix of `2 d` columns makes such rows, and one of `2 d` rows reads them, and both parts lie as vectors want them.
//!
//! Limit: memory. A complex number costs 24 bytes (two read, one written) for 8 operations. The gradient with respect to
//! `b` is the same recurrence the other way with the conjugate factors, which makes the op closed under differentiation;
//! that with respect to `a` is a product of what both have computed.

use super::gpu::Recurrence;
use super::{Plan, for_each_block};
use crate::cpu::pool::SharedPointer;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::error::Result;
use crate::graph::{CpuCall, GpuCall, GpuPlan, Op, Tensor, VjpCall};
use crate::op::lanes::{common_lead, stretch, with_lead};
use crate::shape::{DType, TensorType};

/// `x_t = a_t (1 - reset_t) x_{t-1} + b_t` over complex numbers, with `x_{-1} = initial`; with `reverse` time runs
/// backwards, from `initial` behind the last step.
///
/// Operands: `a` `[.., t, 2 d]` (or `[.., 1, 2 d]`: the same at all times), `b` `[.., t, 2 d]`, `initial` `[.., 2 d]`, and
/// with `resets` as many `[.., t]`, 1 where the state before the step is forgotten and 0 elsewhere. No gradient passes
/// through resets. Output: `x` `[.., t, 2 d]`.
#[derive(Debug, Clone)]
pub struct ComplexScan {
    reverse: bool,
    resets: bool,
    /// The gradient of the one in the other direction: there is no initial state, and a step has the conjugate of the
    /// factor of the step before it.
    adjoint: bool,
}

impl ComplexScan {
    /// One from the first step to the last, or with `reverse` the other way.
    pub fn new(reverse: bool, resets: bool) -> Self {
        ComplexScan { reverse, resets, adjoint: false }
    }

    /// The operand with resets.
    fn resets(&self) -> Option<usize> {
        self.resets.then_some(if self.adjoint { 2 } else { 3 })
    }

    /// Dimensions of the operands that are not lanes.
    fn tails(&self) -> Vec<usize> {
        let mut tails = if self.adjoint { vec![2, 2] } else { vec![2, 2, 1] };
        tails.extend(self.resets.then_some(1));
        tails
    }

    fn plan(a: &TensorType, x: &TensorType) -> Plan {
        let mut plan = Plan::of(a, x);
        plan.channels /= 2;
        plan
    }
}

/// The real and the imaginary part of a tensor of complex rows.
fn parts(x: Tensor<'_>) -> [Tensor<'_>; 2] {
    let d = x.shape().last().map_or(0, |all| all / 2);
    [x.slice(-1, 0, d), x.slice(-1, d, d)]
}

/// `x conj(y)`, row by row.
fn times_conjugate<'g>(x: Tensor<'g>, y: Tensor<'g>) -> Tensor<'g> {
    let ([xr, xi], [yr, yi]) = (parts(x), parts(y));
    x.graph().concat(&[xr * yr + xi * yi, xi * yr - xr * yi], -1)
}

impl Op for ComplexScan {
    fn name(&self) -> &'static str {
        "complex_scan"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let tails = self.tails();
        if operands.len() != tails.len() {
            return Err("takes a, b, an initial state and resets where it has them".into());
        }
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        let lead = common_lead(operands.iter().zip(tails))?;
        let (a, b) = (&operands[0].shape, &operands[1].shape);
        let (time, width) = (b[b.len() - 2], b[b.len() - 1]);
        if width % 2 != 0 {
            return Err("rows must be real parts and as many imaginary ones behind them".into());
        }
        if ![1, time].contains(&a[a.len() - 2]) || a[a.len() - 1] != width {
            return Err("a must be [.., t, 2 d] as b is, or [.., 1, 2 d]".into());
        }
        if !self.adjoint && operands[2].shape.last() != Some(&width) {
            return Err("the initial state must have as many numbers as a row of b".into());
        }
        if self.resets().is_some_and(|i| operands[i].shape.last() != Some(&time)) {
            return Err("resets must be [.., t]".into());
        }
        Ok(vec![TensorType::f32(with_lead(&lead, &[time, width]))])
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let mut gradients = vec![None; call.operands.len()];
        let Some(c) = call.cotangents[0] else { return Ok(gradients) };
        let (a, x, g) = (call.operands[0], call.outputs[0], call.operands[0].graph());
        let resets = self.resets().map(|i| call.operands[i]);
        let shape = x.shape();
        let (lead, time, width) = (shape.leading(2), shape[shape.len() - 2], shape[shape.len() - 1]);
        let row = |count: usize| with_lead(lead, &[count, width]);
        // What a step got from the one before it, and the gradient with respect to `b`.
        let start = match self.adjoint {
            true => g.full(row(1), 0.0),
            false => {
                let of = call.operands[2].shape();
                call.operands[2].reshape(with_lead(of.leading(1), &[1, width])).broadcast_to(row(1))
            }
        };
        let before = |x: Tensor<'g>, start: Tensor<'g>, reverse: bool| match reverse {
            _ if time == 1 => start,
            true => g.concat(&[x.slice(-2, 1, time - 1), start], -2),
            false => g.concat(&[start, x.slice(-2, 0, time - 1)], -2),
        };
        let way_back = ComplexScan { reverse: !self.reverse, resets: self.resets, adjoint: !self.adjoint };
        let db = match self.adjoint {
            true => {
                let operands: Vec<Tensor<'g>> =
                    [a, c, g.full([width], 0.0)].into_iter().chain(resets).collect();
                g.apply_one(way_back, &operands)
            }
            false => g.apply_one(way_back, &[a, c].into_iter().chain(resets).collect::<Vec<_>>()),
        };
        gradients[1] = Some(db.sum_to(call.operands[1].shape()));
        // Of the two that run through time, the one that runs as the forward op does is shifted by a step.
        let mut da = match self.adjoint {
            true => times_conjugate(x, before(db, start, !self.reverse)),
            false => times_conjugate(db, before(x, start, self.reverse)),
        };
        let keep = resets.map(|r| {
            let of = r.shape();
            1.0 - r.reshape(with_lead(&of, &[1]))
        });
        if let Some(keep) = keep {
            // Forgets what is not finite.
            let forgets = keep.equal(g.scalar(0.0)).broadcast_to(da.shape());
            da = forgets.select(g.full(da.shape(), 0.0), da * keep);
        }
        gradients[0] = Some(da.sum_to(a.shape()));
        if !self.adjoint {
            let first = if self.reverse { time - 1 } else { 0 };
            let a_rows = a.shape()[a.shape().len() - 2];
            let factor = a.slice(-2, if a_rows == 1 { 0 } else { first }, 1);
            let factor = keep.map_or(factor, |k| factor * k.slice(-2, first, 1)).broadcast_to(row(1));
            let dinitial = times_conjugate(db.slice(-2, first, 1), factor);
            let flat = dinitial.reshape(with_lead(lead, &[width]));
            gradients[2] = Some(flat.sum_to(call.operands[2].shape()));
        }
        Ok(gradients)
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let plan = Self::plan(call.inputs[0].of, call.outputs[0].of);
        let [a, b] = [0, 1].map(|i| call.inputs[i]);
        let (a_lane, b_lane) = (plan.lane(a.of, 2), plan.lane(b.of, 2));
        let initial = (!self.adjoint).then(|| call.inputs[2]);
        let initial = initial.map(|i| (i.f32(), plan.lane(i.of, 1)));
        let resets = self.resets().map(|i| (call.inputs[i].f32(), plan.lane(call.inputs[i].of, 1)));
        let x = SharedPointer(call.outputs[0].f32().as_mut_ptr());
        let (time, channels) = (plan.time, plan.channels);
        let row = 2 * channels;
        for_each_block(&plan, call.parallel, |lane, start, end| {
            dispatch(Steps {
                reverse: self.reverse,
                adjoint: self.adjoint,
                time,
                channels,
                start,
                end,
                a: &a.f32()[a_lane.of(lane) * plan.a_rows * row..],
                a_stride: if plan.a_rows == 1 { 0 } else { row },
                b: &b.f32()[b_lane.of(lane) * time * row..][..time * row],
                initial: initial.map(|(i, map)| &i[map.of(lane) * row..][..row]),
                resets: resets.map(|(r, map)| &r[map.of(lane) * time..][..time]),
                x: x.get().wrapping_add(lane * time * row),
            });
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let plan = Self::plan(&call.operands[0], &call.outputs[0]);
        let recurrence = Recurrence {
            reverse: self.reverse,
            lag: self.adjoint,
            complex: true,
            a: 0,
            b: 1,
            initial: (!self.adjoint).then_some(2),
            resets: self.resets(),
            x: 0,
        };
        Ok(recurrence.plan(call, &plan))
    }

    fn operations(&self, _operands: &[TensorType], outputs: &[TensorType]) -> u64 {
        4 * outputs[0].elements() as u64
    }
}

/// The steps of a lane, over channels `start..end`.
struct Steps<'a> {
    reverse: bool,
    adjoint: bool,
    time: usize,
    channels: usize,
    start: usize,
    end: usize,
    a: &'a [f32],
    a_stride: usize,
    b: &'a [f32],
    initial: Option<&'a [f32]>,
    resets: Option<&'a [f32]>,
    x: *mut f32,
}

impl Kernel for Steps<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.end - self.start;
        // Where the parts of this block lie in a row.
        let at = [self.start, self.channels + self.start];
        for step in 0..self.time {
            let p = if self.reverse { self.time - 1 - step } else { step };
            let q = if self.reverse { p + 1 } else { p.wrapping_sub(1) };
            let of = if self.adjoint { q } else { p };
            // SAFETY: this task alone writes these columns of `time` rows of this lane; `before` are rows that it wrote in
            // the step before, or the initial state.
            let row = |t: usize, part: usize| unsafe { self.x.add(t * 2 * self.channels + at[part]) };
            let x = [0, 1].map(|part| unsafe { std::slice::from_raw_parts_mut(row(p, part), width) });
            let b = at.map(|at| &self.b[p * 2 * self.channels + at..][..width]);
            let before = match (step, self.initial) {
                (0, None) => None,
                (0, Some(initial)) => Some(at.map(|at| &initial[at..][..width])),
                _ => Some([0, 1].map(|part| unsafe {
                    // SAFETY: as above.
                    std::slice::from_raw_parts(row(q, part).cast_const(), width)
                })),
            };
            let keep = match (before, self.resets) {
                (None, _) => 0.0,
                (_, Some(resets)) => 1.0 - resets[of],
                (_, None) => 1.0,
            };
            let ([re, im], [b_re, b_im]) = (x, b);
            let Some([before_re, before_im]) = before.filter(|_| keep != 0.0) else {
                // Forgets even what is not finite.
                re.copy_from_slice(b_re);
                im.copy_from_slice(b_im);
                continue;
            };
            let [a_re, a_im] = at.map(|at| &self.a[of * self.a_stride + at..][..width]);
            let (real, imaginary) = (s.splat(keep), s.splat(if self.adjoint { -keep } else { keep }));
            let mut i = 0;
            while i < width {
                let f_re = s.mul(s.load_slice(&a_re[i..]), real);
                let f_im = s.mul(s.load_slice(&a_im[i..]), imaginary);
                let [x_re, x_im] = [before_re, before_im].map(|x| s.load_slice(&x[i..]));
                let sum = s.mul_add(f_re, x_re, s.load_slice(&b_re[i..]));
                s.store_slice(&mut re[i..], s.neg_mul_add(f_im, x_im, sum));
                let sum = s.mul_add(f_re, x_im, s.load_slice(&b_im[i..]));
                s.store_slice(&mut im[i..], s.mul_add(f_im, x_re, sum));
                i += S::LANES;
            }
        }
    }
}

impl<'g> Tensor<'g> {
    /// The recurrence `x_t = a_t (1 - reset_t) x_{t-1} + b_t` of complex numbers along the last dimension but one, from
    /// `initial`: see [`ComplexScan`]. `self` is `b` `[.., t, 2 d]`, `d` real parts with `d` imaginary ones behind them; `a`
    /// is `[.., t, 2 d]` or `[.., 1, 2 d]`, `initial` `[.., 2 d]`, `resets` `[.., t]`. Leading dimensions broadcast.
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// // One number that starts at 1 and is turned by a quarter at every step.
    /// let x = g.full([4, 2], 0.0).complex_scan(
    ///     g.constant([1, 2], &[0.0, 1.0]),
    ///     g.constant([2], &[1.0, 0.0]),
    ///     None,
    /// );
    /// let mut program = Device::cpu().compile(&g, &[x])?;
    /// assert_eq!(program.run(&[])?.f32(0), [0.0, 1.0, -1.0, 0.0, 0.0, -1.0, 1.0, 0.0]);
    /// # Ok(()) }
    /// ```
    pub fn complex_scan(self, a: Tensor<'g>, initial: Tensor<'g>, resets: Option<Tensor<'g>>) -> Tensor<'g> {
        self.complex_scan_with(a, initial, resets, false)
    }

    /// [`Tensor::complex_scan`], from the last step to the first where `reverse` is set.
    pub fn complex_scan_with(
        self,
        a: Tensor<'g>,
        initial: Tensor<'g>,
        resets: Option<Tensor<'g>>,
        reverse: bool,
    ) -> Tensor<'g> {
        let op = ComplexScan::new(reverse, resets.is_some());
        let mut operands = vec![a, self, initial];
        operands.extend(resets);
        stretch(&mut operands, &op.tails());
        self.graph().apply_one(op, &operands)
    }
}
