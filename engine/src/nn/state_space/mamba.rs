//! Mamba: a state space model that chooses by what it sees how long a step is and what is written and read.

use super::{StateSpace, StateSpaceOutput};
use crate::graph::Tensor;
use crate::nn::initial::Initial;
use crate::nn::layers::Linear;
use crate::nn::parameters::{Builder, Parameter, Weights};
use crate::op::selective::SelectiveOutput;
use crate::shape::Shape;

/// Steps that the convolution sees.
const KERNEL: usize = 4;
/// Inner features to each feature.
const EXPANSION: usize = 2;

/// A Mamba layer (Gu and Dao 2023, arXiv 2312.00752, figure 3 and algorithm 2).
///
/// ```text
/// u, z = x W                       twice as many inner features as features, each
/// u = silu(causal convolution over 4 steps of u, each feature for itself)
/// step = softplus(low(u) + bias)   B, C = linear in u; the rank of low is a sixteenth of the features, rounded up
/// h_t = exp(A step) h_{t-1} + (exp(A step) - 1) / A B u_t        A = -exp(log A), 1..n at the start
/// y = (sum over states of C h + D u) silu(z)      back to the features
/// ```
///
/// Steps start log-uniform in 0.001..0.1, `D` at 1. `B` is held over a step as `A` is (equation 4 there; the authors' code
/// has `step B` in its place). The state is that of the model and the last three inputs of the convolution.
#[derive(Debug, Clone)]
pub struct Mamba {
    inner: usize,
    states: usize,
    rank: usize,
    into: Linear,
    kernel: Parameter,
    kernel_bias: Parameter,
    select: Linear,
    low: Parameter,
    step_bias: Parameter,
    log_rate: Parameter,
    skip: Parameter,
    out: Linear,
}

impl Mamba {
    /// Over `features` features with `states` states for each of twice as many inner ones.
    pub fn new(builder: &mut Builder, name: &str, features: usize, states: usize) -> Self {
        let inner = EXPANSION.saturating_mul(features);
        let rank = features.div_ceil(16);
        let choices = rank.saturating_add(states.saturating_mul(2));
        builder.within(name, |b| Mamba {
            inner,
            states,
            rank,
            into: Linear::without_bias(b, "in", features, inner.saturating_mul(2), 1.0),
            kernel: b.parameter(
                "kernel",
                [KERNEL, inner],
                Initial::Uniform { bound: 1.0 / (KERNEL as f32).sqrt() },
            ),
            kernel_bias: b.parameter("kernel_bias", [inner], Initial::Zeros),
            select: Linear::without_bias(b, "select", inner, choices, 1.0),
            low: b.parameter("low", [rank, inner], Initial::Uniform { bound: 1.0 / (rank as f32).sqrt() }),
            step_bias: b.parameter_by("step_bias", [inner], |random| {
                let [least, most] = [0.001f64.ln(), 0.1f64.ln()];
                let steps = (0..inner).map(|_| (least + (most - least) * random.uniform()).exp());
                // The inverse of softplus.
                steps.map(|step| (step + (-(-step).exp_m1()).ln()) as f32).collect()
            }),
            log_rate: b.parameter_by("log_rate", [states, inner], |_| {
                (0..inner.saturating_mul(states)).map(|i| ((i / inner.max(1) + 1) as f32).ln()).collect()
            }),
            skip: b.parameter("skip", [inner], Initial::Constant(1.0)),
            out: Linear::without_bias(b, "out", inner, features, 1.0),
        })
    }

    /// The convolution over inputs `[.., time, inner]` with the last ones before them, `[.., 3, inner]`; and what follows
    /// them in that. Nothing from before a reset is seen after it.
    fn convolve<'g>(
        &self,
        weights: &Weights<'g>,
        inputs: Tensor<'g>,
        before: Tensor<'g>,
        resets: Option<Tensor<'g>>,
    ) -> [Tensor<'g>; 2] {
        let g = inputs.graph();
        let shape = inputs.shape();
        let (rank, time) = (shape.len(), shape[shape.len() - 2]);
        let all = g.concat(&[before, inputs], -2);
        // Whether what was seen `lag` steps ago still counts: no reset has come since.
        let mut counts = Vec::new();
        if let Some(resets) = resets {
            let of = resets.shape();
            let keep = 1.0 - resets.reshape(Shape::from([&of[..], &[1]].concat()));
            let earlier = g.full(Shape::from([of.leading(1), &[KERNEL - 1, 1]].concat()), 1.0);
            let keeps = g.concat(&[earlier, keep], -2);
            let mut all = keep;
            for lag in 1..KERNEL {
                counts.push(all);
                all = all * keeps.slice(-2, KERNEL - 1 - lag, time);
            }
        }
        let counted = |x: Tensor<'g>, keep: Tensor<'g>| {
            // Forgets what is not finite.
            keep.equal(g.scalar(0.0)).broadcast_to(x.shape()).select(g.full(x.shape(), 0.0), x)
        };
        let kernel = weights.get_for(self.kernel, rank);
        let mut sum = weights.get_for(self.kernel_bias, rank);
        for lag in 0..KERNEL {
            let mut tap = all.slice(-2, KERNEL - 1 - lag, time);
            if let Some(keep) = lag.checked_sub(1).and_then(|i| counts.get(i)) {
                tap = counted(tap, *keep);
            }
            sum = sum + tap * kernel.slice(-2, KERNEL - 1 - lag, 1);
        }
        // The input of `age` steps ago is seen from the step after the last one, unless a reset came after it.
        let kept: Vec<Tensor<'g>> = (0..KERNEL - 1)
            .rev()
            .map(|age| {
                let one = all.slice(-2, time + KERNEL - 2 - age, 1);
                match age.checked_sub(1).and_then(|i| counts.get(i)) {
                    Some(keep) => counted(one, keep.slice(-2, time - 1, 1)),
                    None => one,
                }
            })
            .collect();
        [sum, g.concat(&kept, -2)]
    }

    /// The selective recurrence over inputs `[.., time, inner]` from `before` `[.., states, inner]`.
    fn recur<'g>(
        &self,
        weights: &Weights<'g>,
        u: Tensor<'g>,
        before: Tensor<'g>,
        resets: Option<Tensor<'g>>,
    ) -> SelectiveOutput<'g> {
        let (rank, states) = (u.shape().len(), self.states);
        let chosen = self.select.forward(weights, u);
        let low = chosen.slice(-1, 0, self.rank).matmul(weights.get_for(self.low, rank));
        let step = (low + weights.get_for(self.step_bias, rank)).softplus();
        let [write, read] = [0, 1].map(|i| chosen.slice(-1, self.rank + i * states, states));
        let rate = -weights.get_for(self.log_rate, rank).exp();
        let out = u.selective_scan(step, rate, [write, read], before, resets);
        let skipped = u * weights.get_for(self.skip, rank);
        SelectiveOutput { outputs: out.outputs + skipped, state: out.state }
    }
}

impl StateSpace for Mamba {
    fn state(&self) -> Vec<(&'static str, Vec<usize>)> {
        vec![("state", vec![self.states, self.inner]), ("inputs", vec![KERNEL - 1, self.inner])]
    }

    fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Tensor<'g>,
        state: &[Tensor<'g>],
        resets: Option<Tensor<'g>>,
    ) -> StateSpaceOutput<'g> {
        let g = sequence.graph();
        let shape = sequence.shape();
        let own = |i: usize, tail: [usize; 2]| {
            let zeros = || g.full(Shape::from([shape.leading(2), &tail].concat()), 0.0);
            state.get(i).copied().unwrap_or_else(zeros)
        };
        let inner = self.into.forward(weights, sequence);
        let (u, gate) = (inner.slice(-1, 0, self.inner), inner.slice(-1, self.inner, self.inner));
        let [u, inputs] = self.convolve(weights, u, own(1, [KERNEL - 1, self.inner]), resets);
        let y = self.recur(weights, u.silu(), own(0, [self.states, self.inner]), resets);
        let outputs = self.out.forward(weights, y.outputs * gate.silu());
        StateSpaceOutput { outputs, state: vec![y.state, inputs] }
    }
}
