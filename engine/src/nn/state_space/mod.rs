//! State space models: layers that carry a linear recurrence from step to step, so that a whole sequence is one scan and
//! a single step costs the same at every place. One file a model; [`StateSpaceBlock`] makes layers of a network of them.
//!
//! ```
//! use synod_engine::nn::{Builder, S5, StateSpace};
//! use synod_engine::{Device, Graph};
//! # fn main() -> synod_engine::Result<()> {
//! let device = Device::cpu();
//! let mut builder = Builder::new(0);
//! let layer = S5::new(&mut builder, "layer", 8, 4);
//! let parameters = builder.build(&device)?;
//! let g = Graph::new();
//! let weights = parameters.weights(&g);
//! let (x, zeros) = (g.input("x", [5, 8]), g.full([8], 0.0));
//! let whole = layer.forward(&weights, x, &[zeros], None);
//! // The same in two pieces.
//! let front = layer.forward(&weights, x.slice(0, 0, 3), &[zeros], None);
//! let back = layer.forward(&weights, x.slice(0, 3, 2), &front.state, None);
//! let mut program = device.compile(&g, &[whole.outputs.slice(0, 3, 2), back.outputs])?;
//! let out = program.run(&[("x", &[0.5f32; 40])])?;
//! assert!(out.f32(0).iter().zip(out.f32(1)).all(|(a, b)| (a - b).abs() < 1e-5));
//! # Ok(()) }
//! ```

mod hippo;
mod lru;
mod mamba;
mod s4d;
mod s5;

pub use hippo::{Hippo, hippo_normal};
pub use lru::{Lru, Ring};
pub use mamba::Mamba;
pub use s4d::DiagonalSsm;
pub use s5::S5;

use super::layers::{LayerNorm, Linear};
use super::parameters::{Builder, Parameter, Weights};
use crate::graph::Tensor;
use crate::shape::Shape;

/// What a sequence through a state space model gives.
#[derive(Debug, Clone)]
pub struct StateSpaceOutput<'g> {
    /// `[.., time, features]`.
    pub outputs: Tensor<'g>,
    /// The state after the last step, in the order of [`StateSpace::state`], `[.., own...]`: the state that what follows
    /// starts from.
    pub state: Vec<Tensor<'g>>,
}

/// A layer with a linear recurrence over time.
pub trait StateSpace: Send + Sync {
    /// The names and shapes of its state's parts; it starts as zeros.
    fn state(&self) -> Vec<(&'static str, Vec<usize>)>;

    /// A sequence `[.., time, features]` from `state` `[.., own...]` on. `resets` `[.., time]`: 1 where the state is
    /// forgotten before the step. With parameters of their own for each agent, agents are the second dimension:
    /// `[batch, agents, time, features]`.
    fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Tensor<'g>,
        state: &[Tensor<'g>],
        resets: Option<Tensor<'g>>,
    ) -> StateSpaceOutput<'g>;
}

/// A layer of a deep state space model: what the model makes of the normalised features is added to them
/// (Smith et al. 2023, arXiv 2208.04933, appendix G.1).
///
/// ```text
/// y = model(norm(x))      gated: h = gelu(y), x + h sigmoid(h W + b)      else: x + y
/// ```
pub struct StateSpaceBlock {
    norm: LayerNorm,
    model: Box<dyn StateSpace>,
    gate: Option<Linear>,
}

impl StateSpaceBlock {
    /// Around `model` over so many features. Models that have a gate of their own ([`Mamba`]) want none here.
    pub fn new(
        builder: &mut Builder,
        name: &str,
        features: usize,
        gated: bool,
        model: impl FnOnce(&mut Builder) -> Box<dyn StateSpace>,
    ) -> Self {
        builder.within(name, |b| StateSpaceBlock {
            norm: LayerNorm::new(b, "norm", features),
            model: model(b),
            gate: gated.then(|| Linear::new(b, "gate", features, features, 1.0)),
        })
    }
}

impl StateSpace for StateSpaceBlock {
    fn state(&self) -> Vec<(&'static str, Vec<usize>)> {
        self.model.state()
    }

    fn forward<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Tensor<'g>,
        state: &[Tensor<'g>],
        resets: Option<Tensor<'g>>,
    ) -> StateSpaceOutput<'g> {
        let normal = self.norm.forward(weights, sequence);
        let mut out = self.model.forward(weights, normal, state, resets);
        if let Some(gate) = &self.gate {
            let h = out.outputs.gelu();
            out.outputs = h * gate.forward(weights, h).sigmoid();
        }
        out.outputs = sequence + out.outputs;
        out
    }
}

/// The zero-order hold of `x' = lambda x + u` over a `step`, of complex numbers as pairs of tensors: the factor of the
/// state, `exp(lambda step)`, and that of the input, `(exp(lambda step) - 1) / lambda`.
///
/// The difference loses its digits where a step is short (at 1e-5 an error of 1e-3 in single precision), so it is not
/// formed: `exp(x + i y) - 1 = expm1(x) cos y - 2 sin^2(y / 2) + i exp(x) sin y`.
pub fn zero_order_hold<'g>(lambda: [Tensor<'g>; 2], step: Tensor<'g>) -> [[Tensor<'g>; 2]; 2] {
    let [re, im] = lambda;
    let (x, y) = (re * step, im * step);
    let (size, sine, cosine) = (x.exp(), y.sin(), y.cos());
    let half = (y * 0.5).sin();
    let (d_re, d_im) = (x.expm1() * cosine - half.square() * 2.0, size * sine);
    // Divided by lambda.
    let square = re.square() + im.square();
    let input = [(d_re * re + d_im * im) / square, (d_im * re - d_re * im) / square];
    [[size * cosine, size * sine], input]
}

/// A parameter over `own` numbers as a row that broadcasts against the rows of `[.., time, own]` of `rank` dimensions.
fn row<'g>(weights: &Weights<'g>, parameter: Parameter, rank: usize) -> Tensor<'g> {
    let tensor = weights.get_for(parameter, rank);
    match tensor.shape().len() {
        1 => tensor.reshape([1, tensor.shape()[0]]),
        _ => tensor,
    }
}

/// A matrix `[features, 2 d]` of complex columns (real parts, and imaginary ones behind) times a complex row
/// `[1, d]` each.
fn scale_columns<'g>(matrix: Tensor<'g>, factor: [Tensor<'g>; 2]) -> Tensor<'g> {
    let d = matrix.shape().last().map_or(0, |all| all / 2);
    let (re, im) = (matrix.slice(-1, 0, d), matrix.slice(-1, d, d));
    let [f_re, f_im] = factor;
    matrix.graph().concat(&[re * f_re - im * f_im, re * f_im + im * f_re], -1)
}

/// A model of diagonal complex states over a sequence `[.., time, features]`: into the states by `input`
/// `[features, 2 d]`, through time by `factor` (two rows `[1, d]`), out of them by `readout` `[2 d, features]`, and past
/// them by `skip` `[1, features]`.
fn complex_states<'g>(
    sequence: Tensor<'g>,
    input: Tensor<'g>,
    factor: [Tensor<'g>; 2],
    readout: Tensor<'g>,
    skip: Tensor<'g>,
    state: Option<&Tensor<'g>>,
    resets: Option<Tensor<'g>>,
) -> StateSpaceOutput<'g> {
    let g = sequence.graph();
    let driven = sequence.matmul(input);
    let shape = driven.shape();
    let (time, width) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let initial = state.copied().unwrap_or_else(|| g.full([width], 0.0));
    let states = driven.complex_scan(g.concat(&factor, -1), initial, resets);
    let last = states.slice(-2, time - 1, 1).reshape(Shape::from([shape.leading(2), &[width]].concat()));
    StateSpaceOutput { outputs: states.matmul(readout) + sequence * skip, state: vec![last] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Graph};

    /// Against double precision, where the difference is formed as it stands; and that single precision may not do so.
    #[test]
    fn a_zero_order_hold_keeps_its_digits_where_steps_are_short() {
        let naive = ((1e-5f32).exp() - 1.0) / 1e-5;
        assert!((naive - 1.0).abs() > 1e-3, "{naive}");
        let cases: Vec<[f32; 3]> = vec![
            [-1.0, 0.0, 1e-5],
            [-0.5, 4.6, 1e-5],
            [-0.5, 0.5565, 1e-3],
            [-1e-3, 1e-3, 1e-2],
            [-0.5, 19.857, 0.1],
            [-40.0, 300.0, 0.1],
        ];
        for device in [Device::cpu()] {
            let g = Graph::new();
            let column = |i: usize| {
                let of: Vec<f32> = cases.iter().map(|case| case[i]).collect();
                g.constant([cases.len()], &of)
            };
            let [factor, input] = zero_order_hold([column(0), column(1)], column(2));
            let mut program = device.compile(&g, &[factor, input].concat()).unwrap();
            let out = program.run(&[]).unwrap();
            for (i, case) in cases.iter().enumerate() {
                let [re, im, step] = case.map(f64::from);
                let (size, angle) = ((re * step).exp(), im * step);
                let factor = [size * angle.cos(), size * angle.sin()];
                // The series, of which nothing cancels, or the definition where the step is long.
                let (mut term, mut sum) = ([step, 0.0], [step, 0.0]);
                for k in 2..400 {
                    let [x, y] = term;
                    let scale = step / f64::from(k);
                    term = [(x * re - y * im) * scale, (x * im + y * re) * scale];
                    sum = [sum[0] + term[0], sum[1] + term[1]];
                }
                if (re * step).hypot(angle) > 5.0 {
                    let (d, square) = ([factor[0] - 1.0, factor[1]], re * re + im * im);
                    sum = [(d[0] * re + d[1] * im) / square, (d[1] * re - d[0] * im) / square];
                }
                let expected = [factor[0], factor[1], sum[0], sum[1]];
                for (k, expected) in expected.into_iter().enumerate() {
                    let scale = expected.abs().max(expected.hypot(0.0)).max(1e-2 * sum[0].hypot(sum[1]));
                    let found = f64::from(out.f32(k)[i]);
                    assert!(
                        (found - expected).abs() < 1e-5 * scale.max(1e-9),
                        "{case:?} {k}: {found} {expected}"
                    );
                }
            }
        }
    }
}
