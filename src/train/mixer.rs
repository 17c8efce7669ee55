//! How the values of single agents become the value of their team: sums (VDN) and monotonic networks (QMIX). What a
//! mixed value is learned from lives in `train::dqn`.
//!
//! ```
//! use synod::train::mixer::{Qmix, QmixConfig};
//! use synod::{Device, Graph};
//! let device = Device::cpu();
//! let mixer = Qmix::new(&device, 2, 3, QmixConfig::default(), 0)?;
//! let g = Graph::new();
//! let weights = mixer.parameters().weights(&g);
//! // `[time, agents, batch]` and `[time, batch, state]` to `[time, 1, batch]`.
//! let team = mixer.forward(&weights, g.input("values", [5, 2, 8]), g.input("state", [5, 8, 3]));
//! assert_eq!(team.shape()[..], [5, 1, 8]);
//! # Ok::<(), synod::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Device;
use crate::env::Spec;
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Activation, Builder, Linear, Mlp, Parameters, Weights};

/// Which mixer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Mixing {
    /// None: each agent learns the value of its own rewards (independent Q-learning).
    None,
    /// The sum of the agents' values (Sunehag et al. 2018).
    Vdn,
    /// A network over the agents' values that never falls when one of them rises (Rashid et al. 2018).
    Qmix(QmixConfig),
}

/// The settings of QMIX's mixing network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QmixConfig {
    /// Width of the mixing network.
    #[schemars(range(min = 1, max = 4096))]
    pub features: usize,
    /// Width of the networks that make its weights.
    #[schemars(range(min = 1, max = 4096))]
    pub hidden: usize,
    /// Gain of those networks' last layers at the start: with a small one the mixing begins all but linear, with a large
    /// one values far below zero are lost in the flat part of elu.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub scale: f32,
}

impl Default for QmixConfig {
    fn default() -> Self {
        QmixConfig { features: 32, hidden: 64, scale: 1.0 }
    }
}

/// The mixing network of QMIX (Rashid et al. 2018, section 4.1 and appendix):
/// `elu(q |W1(s)| + b1(s)) |w2(s)| + V(s)`, where `W1`, `w2` and `V` are two-layer networks over the world's state `s`
/// and `b1` a linear map.
///
/// Weights are absolute values, so that the mixed value rises with each agent's; biases are free.
pub struct Qmix {
    agents: usize,
    features: usize,
    first: Mlp,
    first_bias: Linear,
    second: Mlp,
    value: Mlp,
    parameters: Parameters,
}

impl Qmix {
    /// For so many agents and numbers of state.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(device: &Device, agents: usize, state: usize, config: QmixConfig, seed: u64) -> Result<Self> {
        let QmixConfig { features, hidden, scale } = config;
        let mut builder = Builder::new(seed ^ 0x716d_6978);
        let mut mlp = |name: &str, sizes: &[usize]| {
            builder.within("mixer", |b| Mlp::new(b, name, sizes, Activation::Relu, scale))
        };
        let first = mlp("first", &[state, hidden, agents * features]);
        let second = mlp("second", &[state, hidden, features]);
        let value = mlp("value", &[state, features, 1]);
        let first_bias = builder.within("mixer", |b| Linear::new(b, "first_bias", state, features, scale));
        let parameters = builder.build(device)?;
        Ok(Qmix { agents, features, first, first_bias, second, value, parameters })
    }

    /// Its parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Values `[time, agents, batch]` at states `[time, batch, state]` to the team's, `[time, 1, batch]`.
    pub fn forward<'g>(&self, weights: &Weights<'g>, values: Tensor<'g>, state: Tensor<'g>) -> Tensor<'g> {
        let shape = values.shape();
        let (time, batch) = (shape[0], shape[2]);
        let row = [time, batch, 1, self.agents];
        let own = values.transpose(&[0, 2, 1]).reshape(row);
        let matrix =
            self.first.forward(weights, state).abs().reshape([time, batch, self.agents, self.features]);
        let bias = self.first_bias.forward(weights, state).reshape([time, batch, 1, self.features]);
        let mixed = own.matmul(matrix) + bias;
        let zero = weights.graph().scalar(0.0);
        let bent = mixed.greater(zero).select(mixed, mixed.minimum(zero).expm1());
        let last = self.second.forward(weights, state).abs().reshape([time, batch, 1, self.features]);
        let total = (bent * last).sum(&[-1]).reshape([time, batch, 1]);
        (total + self.value.forward(weights, state)).transpose(&[0, 2, 1])
    }
}

/// A mixer with its parameters.
pub(super) enum Mixer {
    None,
    Vdn,
    Qmix(Box<Qmix>),
}

impl Mixer {
    /// For the agents of such worlds, where they have no state of their own over what all agents see.
    ///
    /// # Errors
    /// Several kinds of agent, or no room on the device.
    pub fn new(device: &Device, of: Mixing, spec: &Spec, seed: u64) -> Result<Self> {
        Ok(match of {
            Mixing::None => Mixer::None,
            Mixing::Vdn => Mixer::Vdn,
            Mixing::Qmix(mixing) => {
                let kind = spec.only_kind("a mixer")?;
                let all = kind.count * kind.observation.iter().product::<usize>();
                let state = if spec.state == 0 { all } else { spec.state };
                Mixer::Qmix(Box::new(Qmix::new(device, kind.count, state, mixing, seed)?))
            }
        })
    }

    pub fn parameters(&self) -> Option<&Parameters> {
        match self {
            Mixer::Qmix(qmix) => Some(qmix.parameters()),
            _ => None,
        }
    }

    /// Agents' values `[time, agents, batch]` to those that learning is about: the same, or `[time, 1, batch]`.
    pub fn mix<'g>(
        &self,
        weights: Option<&Weights<'g>>,
        values: Tensor<'g>,
        state: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        match (self, weights, state) {
            (Mixer::Qmix(qmix), Some(weights), Some(state)) => qmix.forward(weights, values, state),
            (Mixer::None, ..) => values,
            _ => {
                let shape = values.shape();
                values.sum(&[1]).reshape([shape[0], 1, shape[2]])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::nn::initial::Stream;

    /// The paper's formula in plain loops over f64, and that no agent's value ever lowers the team's.
    #[test]
    fn qmix_is_its_formula_and_monotonic() {
        let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        let mut stream = Stream::new(seed);
        let device = Device::cpu();
        let (time, agents, batch, state, features, hidden) = (3, 4, 5, 7, 6, 8);
        let qmix =
            Qmix::new(&device, agents, state, QmixConfig { features, hidden, scale: 1.0 }, seed).unwrap();
        let graph = Graph::new();
        let weights = qmix.parameters().weights(&graph);
        let q = graph.input("q", [time, agents, batch]);
        let s = graph.input("s", [time, batch, state]);
        let total = qmix.forward(&weights, q, s);
        let slope = graph.grad(total.sum_all(), &[q]).unwrap()[0];
        let mut outputs = vec![total, slope];
        outputs.extend(weights.tensors().iter().map(|w| *w * 1.0));
        let mut program = device.compile(&graph, &outputs).unwrap();
        let mut draw = |n: usize| (0..n).map(|_| stream.normal() as f32).collect::<Vec<f32>>();
        let (qs, states) = (draw(time * agents * batch), draw(time * batch * state));
        let out = program.run(&[("q", &qs), ("s", &states)]).unwrap();
        let names: Vec<String> = qmix.parameters().iter().map(|(name, _)| name.to_string()).collect();
        let parameter = |name: &str| -> Vec<f64> {
            let i = names.iter().position(|n| n == name).unwrap();
            out.f32(2 + i).iter().map(|w| f64::from(*w)).collect()
        };
        let linear = |x: &[f64], name: &str| -> Vec<f64> {
            let (w, b) = (parameter(&format!("{name}/weight")), parameter(&format!("{name}/bias")));
            (0..b.len())
                .map(|j| b[j] + x.iter().enumerate().map(|(i, x)| x * w[i * b.len() + j]).sum::<f64>())
                .collect()
        };
        let two = |x: &[f64], name: &str| -> Vec<f64> {
            let inner: Vec<f64> = linear(x, &format!("mixer/{name}/0")).iter().map(|v| v.max(0.0)).collect();
            linear(&inner, &format!("mixer/{name}/1"))
        };
        for t in 0..time {
            for b in 0..batch {
                let at = (t * batch + b) * state;
                let s: Vec<f64> = states[at..at + state].iter().map(|x| f64::from(*x)).collect();
                let (first, second) = (two(&s, "first"), two(&s, "second"));
                let bias = linear(&s, "mixer/first_bias");
                let mut expected = two(&s, "value")[0];
                for f in 0..features {
                    let own = |a: usize| f64::from(qs[(t * agents + a) * batch + b]);
                    let sum =
                        bias[f] + (0..agents).map(|a| own(a) * first[a * features + f].abs()).sum::<f64>();
                    expected += second[f].abs() * if sum > 0.0 { sum } else { sum.exp_m1() };
                }
                let found = f64::from(out.f32(0)[t * batch + b]);
                let close = (found - expected).abs() < 1e-4 * (1.0 + expected.abs());
                assert!(close, "{found} is not {expected} (seed {seed})");
            }
        }
        assert!(out.f32(1).iter().all(|slope| *slope >= 0.0), "seed {seed}");
    }
}
