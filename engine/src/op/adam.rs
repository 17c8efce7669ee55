//! Adam and AdamW over one flat vector: the whole optimiser step in one pass.
//!
//! Limit: memory. An element costs 28 bytes (parameter, gradient and two moments read, three written) for about 12
//! operations, so on any processor the bus decides once the vectors are larger than the caches.

use crate::cpu::pool::{SharedPointer, for_each_chunk};
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::error::{Error, Result};
use crate::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, Tensor, VjpCall};
use crate::shape::{DType, TensorType};

/// Ops of this family.
pub const NAMES: &[&str] = &["adam"];

/// WGSL of the step.
pub(crate) const SHADER: &str = include_str!("../../shaders/adam.wgsl");

/// Numbers that a step takes, see [`AdamScalars`].
pub const ADAM_SCALARS: usize = 7;

/// Elements of one task of the pool: 28 bytes each, several times the price of a fork.
const TASK: usize = 64 * 1024;

/// The settings of Adam, from which the numbers of a step follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamScalars {
    /// Learning rate (alpha).
    pub learning_rate: f32,
    /// Decay of the first moment, in `[0, 1)`.
    pub beta1: f32,
    /// Decay of the second moment, in `[0, 1)`.
    pub beta2: f32,
    /// Added outside the root.
    pub epsilon: f32,
    /// Decoupled weight decay, a fraction of the parameter per unit of learning rate; 0 gives plain Adam.
    pub weight_decay: f32,
}

impl Default for AdamScalars {
    /// The settings of Kingma & Ba 2015, without weight decay.
    fn default() -> Self {
        AdamScalars { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl AdamScalars {
    /// The numbers of step `step`, counted from 1: learning rate, beta1, beta2, epsilon, weight decay,
    /// `1 - beta1^step`, `1 - beta2^step`. The corrections are computed in double precision from the betas as they are
    /// in single precision, which is what the moments are decayed by.
    pub fn at(&self, step: u64) -> [f32; ADAM_SCALARS] {
        let correction = |beta: f32| (-(step.max(1) as f64 * f64::from(beta).ln()).exp_m1()) as f32;
        [
            self.learning_rate,
            self.beta1,
            self.beta2,
            self.epsilon,
            self.weight_decay,
            correction(self.beta1),
            correction(self.beta2),
        ]
    }
}

/// One step of Adam (Kingma & Ba 2015, algorithm 1) with decoupled weight decay (AdamW, Loshchilov & Hutter 2019,
/// algorithm 2).
///
/// Operands: parameters, gradient, first moment, second moment, all `[.., n]` alike, and the scalars `[7]`, or
/// `[.., 7]` with the same leading dimensions, for settings that differ from lane to lane (see [`AdamScalars::at`] for
/// their order). Outputs: new parameters, first and second moment, `[.., n]`.
///
/// ```text
/// m' = beta1 m + (1 - beta1) g        v' = beta2 v + (1 - beta2) g^2
/// p' = p (1 - rate decay) - (rate / correction1) m' / (sqrt(v' / correction2) + epsilon)
/// ```
#[derive(Debug, Clone)]
pub struct Adam;

impl Op for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [parameters, gradient, first, second, scalars] = operands else {
            return Err("takes parameters, gradient, first and second moment, and scalars".into());
        };
        if operands.iter().any(|t| t.dtype != DType::F32) {
            return Err("takes f32 operands".into());
        }
        if parameters.shape.is_empty() {
            return Err("takes parameters of at least one dimension".into());
        }
        if [gradient, first, second].iter().any(|t| t.shape != parameters.shape) {
            return Err("parameters, gradient and moments must have one shape".into());
        }
        let lead = scalars.shape.leading(1);
        if scalars.shape.last() != Some(&ADAM_SCALARS)
            || !(lead.is_empty() || lead == parameters.shape.leading(1))
        {
            return Err(format!(
                "scalars must be [{ADAM_SCALARS}], or that with the leading dimensions of the parameters"
            ));
        }
        Ok(vec![parameters.clone(); 3])
    }

    fn vjp<'g>(&self, _call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Err(Error::NoGradient {
            op: "adam".into(),
            message: "an optimiser step has none; to differentiate through an update, write it in plain ops"
                .into(),
        })
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0), (2, 1), (3, 2)]
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.expect_own()?;
        let [p, g, m, v, scalars] = [0, 1, 2, 3, 4].map(|i| call.inputs[i].f32());
        let lane = call.inputs[0].shape().last().copied().unwrap_or(1);
        let lanes = g.len() / lane;
        let stride = if scalars.len() == ADAM_SCALARS { 0 } else { ADAM_SCALARS };
        let [p_out, m_out, v_out] = [0, 1, 2].map(|i| SharedPointer(call.outputs[i].f32().as_mut_ptr()));
        let parallel = call.parallel.above(g.len(), 2 * TASK);
        for_each_chunk(parallel, g.len(), TASK, |range| {
            for at in range.start / lane..lanes {
                let (start, end) = (range.start.max(at * lane), range.end.min((at + 1) * lane));
                if start >= end {
                    break;
                }
                // SAFETY: the ranges of the chunks are disjoint, and the outputs are as long as `g`.
                let out = |pointer: SharedPointer| unsafe {
                    std::slice::from_raw_parts_mut(pointer.get().add(start), end - start)
                };
                // Without elements of its own an operand lies in its output.
                let [p, m, v] = [p, m, v].map(|x| x.get(start..end));
                dispatch(Step {
                    p,
                    g: &g[start..end],
                    m,
                    v,
                    scalars: &scalars[at * stride..at * stride + ADAM_SCALARS],
                    p_out: out(p_out),
                    m_out: out(m_out),
                    v_out: out(v_out),
                });
            }
        });
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let parameters = &call.operands[0];
        let elements = parameters.elements();
        let lane = parameters.shape.last().copied().unwrap_or(1);
        let stride = if call.operands[4].elements() == ADAM_SCALARS { 0 } else { ADAM_SCALARS };
        Ok(Launch {
            shader: SHADER.into(),
            entry: "adam",
            constants: Vec::new(),
            bindings: (0..5).map(Binding::Input).chain((0..3).map(Binding::Output)).collect(),
            parameters: vec![elements as u32, lane as u32, stride as u32],
            workgroups: call.groups(elements, 256),
        }
        .into())
    }

    fn operations(&self, operands: &[TensorType], _outputs: &[TensorType]) -> u64 {
        12 * operands[0].elements() as u64
    }
}

/// Parameters and moments are read from the outputs where they are none of their own.
struct Step<'a> {
    p: Option<&'a [f32]>,
    g: &'a [f32],
    m: Option<&'a [f32]>,
    v: Option<&'a [f32]>,
    scalars: &'a [f32],
    p_out: &'a mut [f32],
    m_out: &'a mut [f32],
    v_out: &'a mut [f32],
}

impl Kernel for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let &[rate, beta1, beta2, epsilon, decay, correction1, correction2] = self.scalars else { return };
        let (b1, c1) = (s.splat(beta1), s.splat(1.0 - beta1));
        let (b2, c2) = (s.splat(beta2), s.splat(1.0 - beta2));
        let (keep, rate) = (s.splat(1.0 - rate * decay), s.splat(rate / correction1));
        let (unbias, epsilon) = (s.splat(1.0 / correction2), s.splat(epsilon));
        let mut i = 0;
        while i < self.g.len() {
            let g = s.load_slice(&self.g[i..]);
            let m = s.load_slice(&self.m.unwrap_or(self.m_out)[i..]);
            let m = s.mul_add(b1, m, s.mul(c1, g));
            let v = s.load_slice(&self.v.unwrap_or(self.v_out)[i..]);
            let v = s.mul_add(b2, v, s.mul(c2, s.mul(g, g)));
            let root = s.add(s.sqrt(s.mul(v, unbias)), epsilon);
            let p = s.mul(s.load_slice(&self.p.unwrap_or(self.p_out)[i..]), keep);
            s.store_slice(&mut self.p_out[i..], s.neg_mul_add(rate, s.div(m, root), p));
            s.store_slice(&mut self.m_out[i..], m);
            s.store_slice(&mut self.v_out[i..], v);
            i += S::LANES;
        }
    }
}

impl<'g> Tensor<'g> {
    /// One step of [`Adam`] on these parameters `[.., n]`: new parameters, first moment and second moment, in this
    /// order. `moments` are the first and the second, zeros before the first step; `scalars` `[7]` or `[.., 7]` are
    /// the numbers of [`AdamScalars::at`].
    pub fn adam(
        self,
        gradient: Tensor<'g>,
        moments: [Tensor<'g>; 2],
        scalars: Tensor<'g>,
    ) -> [Tensor<'g>; 3] {
        let out = self.graph().apply(Adam, &[self, gradient, moments[0], moments[1], scalars]);
        [out[0], out[1], out[2]]
    }
}
