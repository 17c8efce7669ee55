//! Distributions over actions, as graphs: built from the numbers that a network gives, one file a kind.
//!
//! All are over the last dimension and keep the others, the lanes. Everything they give can be differentiated by what
//! they were built from. Keys are u32 `[2]`, as `Tensor::random_normal` takes them; what needs no random numbers leaves
//! the key alone, and a program then has no input for it.
//!
//! ```
//! use synod_worlds::action::{ActionSpace, Bounded};
//! use synod_engine::{Device, Graph};
//! let g = Graph::new();
//! let space = ActionSpace::Discrete(3);
//! let logits = g.constant([1, 3], &[0.0, 30.0, 0.0]);
//! let chances = space.distribution(logits, None, Bounded::Gaussian)?;
//! let drawn = chances.sample(g.key(1));
//! let certain = chances.log_probability(drawn)?;
//! let mut program = Device::cpu().compile(&g, &[drawn.discrete.expect("a choice"), certain])?;
//! let outputs = program.run(&[])?;
//! assert_eq!(outputs.u32(0), [1]);
//! assert!(outputs.f32(1)[0].abs() < 1e-6);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod categorical;
mod gaussian;
mod gumbel_softmax;
mod tanh_gaussian;

pub use categorical::{Categorical, allowed};
pub use gaussian::Gaussian;
pub use gumbel_softmax::GumbelSoftmax;
pub use tanh_gaussian::TanhGaussian;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ActionSpace;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};

/// What stands for continuous actions with bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bounded {
    /// A diagonal Gaussian; worlds hold what lies beyond a bound to it. Its entropy has a closed form.
    #[default]
    Gaussian,
    /// A Gaussian squashed between the bounds by tanh (Haarnoja et al. 2018); both bounds must be finite.
    Tanh,
}

/// Actions as tensors of a graph.
#[derive(Clone, Copy)]
pub struct Action<'g> {
    /// u32 `[lanes.., integers]`; none where the space has no discrete part.
    pub discrete: Option<Tensor<'g>>,
    /// `[lanes.., floats]`; none where the space has no continuous part.
    pub continuous: Option<Tensor<'g>>,
}

/// The inputs of programs that take actions, the integers and the floats.
pub const ACTION_INPUTS: [&str; 2] = ["actions", "continuous actions"];

impl<'g> Action<'g> {
    /// The inputs [`ACTION_INPUTS`] of a program, as far as the space has such parts.
    pub fn input(graph: &'g Graph, space: &ActionSpace, lanes: &[usize]) -> Self {
        let shape = |each: usize| [lanes, &[each]].concat();
        let (integers, floats) = (space.integers(), space.floats());
        let [discrete, continuous] = ACTION_INPUTS;
        Action {
            discrete: (integers > 0).then(|| graph.input_u32(discrete, shape(integers))),
            continuous: (floats > 0).then(|| graph.input(continuous, shape(floats))),
        }
    }

    /// Every part of the action as numbers that a network can take, `[lanes.., options + floats]`: choices as rows with a
    /// one, floats scaled to -1 and 1 at their bounds (as they are where a bound is infinite).
    ///
    /// # Errors
    /// It is no action of that space.
    pub fn features(&self, space: &ActionSpace) -> Result<Tensor<'g>> {
        let mut parts = Vec::new();
        if let Some(discrete) = self.discrete {
            let sizes = space.sizes();
            parts.extend(sizes.iter().enumerate().map(|(i, size)| column(discrete, i).one_hot(*size)));
        }
        if let Some(continuous) = self.continuous {
            let Scale { middle, half } = Scale::of(&space.bounds());
            let graph = continuous.graph();
            let middle = graph.constant([middle.len()], &middle);
            let inverse: Vec<f32> = half.iter().map(|half| 1.0 / half).collect();
            parts.push((continuous - middle) * graph.constant([inverse.len()], &inverse));
        }
        match parts[..] {
            [] => Err(Error::Graph("an action without parts".into())),
            [only] => Ok(only),
            _ => Ok(parts[0].graph().concat(&parts, -1)),
        }
    }
}

/// Column `i` of `[lanes.., columns]`, without that dimension.
fn column<'g>(x: Tensor<'g>, i: usize) -> Tensor<'g> {
    let shape = x.shape();
    let lanes = shape[..shape.len().saturating_sub(1)].to_vec();
    let only = shape.last() == Some(&1);
    if only { x } else { x.slice(-1, i, 1) }.reshape(lanes)
}

/// Middle and half the width of bounds; 0 and 1 where one is infinite.
struct Scale {
    middle: Vec<f32>,
    half: Vec<f32>,
}

impl Scale {
    fn of(bounds: &[[f32; 2]]) -> Self {
        let finite = |[low, high]: &[f32; 2]| low.is_finite() && high.is_finite();
        // Halved before they are added: bounds may be as large as an f32 can be.
        let middle = |b: &[f32; 2]| if finite(b) { b[0] * 0.5 + b[1] * 0.5 } else { 0.0 };
        let half = |b: &[f32; 2]| if finite(b) { b[1] * 0.5 - b[0] * 0.5 } else { 1.0 };
        Scale { middle: bounds.iter().map(middle).collect(), half: bounds.iter().map(half).collect() }
    }
}

/// One kind of distribution: over an integer, or over a row of floats.
#[derive(Clone)]
pub enum Factor<'g> {
    /// One of several options.
    Categorical(Categorical<'g>),
    /// Real numbers, each with a mean and a deviation of its own.
    Gaussian(Gaussian<'g>),
    /// The same, squashed between bounds.
    TanhGaussian(TanhGaussian<'g>),
    /// Nearly one of several options, so that gradients pass through what is drawn.
    GumbelSoftmax(GumbelSoftmax<'g>),
}

/// A distribution over actions: a product of factors, often of one. They are independent of each other, so that
/// log-probabilities, entropies and divergences add up.
#[derive(Clone)]
pub struct Distribution<'g>(Vec<Factor<'g>>);

impl ActionSpace {
    /// Half the width between the bounds of every float, 1 where one is infinite: the unit in which networks speak of it.
    pub fn half_widths(&self) -> Vec<f32> {
        Scale::of(&self.bounds()).half
    }

    /// The distribution that `parameters` `[lanes.., parameters]` stand for, part after part: the logits of a choice; for
    /// floats all means, then all deviations. `masks` `[lanes.., options]` are 1 where an option is allowed.
    ///
    /// Means and deviations are in units of half the width between the bounds (of 1 where one is infinite), means from
    /// the middle; the logarithm of a deviation is `log(1/2) + 4 tanh(x / 4)` of the network's number `x`. So a network
    /// that gives zeros explores half the room, no deviation leaves the range from 0.009 to 27 half widths, and the
    /// gradient never dies at an end of that range.
    ///
    /// # Errors
    /// It is no space ([`ActionSpace::check`]), the sizes are others, or `bounded` is tanh and a bound infinite.
    pub fn distribution<'g>(
        &self,
        parameters: Tensor<'g>,
        masks: Option<Tensor<'g>>,
        bounded: Bounded,
    ) -> Result<Distribution<'g>> {
        self.check()?;
        let sizes = [(Some(parameters), self.parameters()), (masks, self.options())];
        for (tensor, expected) in sizes {
            let shape = tensor.map(|t| t.shape());
            if shape.as_ref().is_some_and(|shape| shape.last() != Some(&expected)) {
                return Err(Error::Graph(format!(
                    "a distribution over {self} takes {expected} numbers a lane, not {shape:?}"
                )));
            }
        }
        let mut parts = Vec::new();
        self.parts(&mut Cursor { parameters, masks, at: 0, option: 0 }, bounded, &mut parts)?;
        Ok(Distribution(parts))
    }

    fn parts<'g>(&self, from: &mut Cursor<'g>, bounded: Bounded, to: &mut Vec<Factor<'g>>) -> Result<()> {
        match self {
            ActionSpace::Discrete(options) => to.push(from.categorical(*options)),
            ActionSpace::MultiDiscrete(sizes) => to.extend(sizes.iter().map(|n| from.categorical(*n))),
            ActionSpace::Continuous { low, .. } if low.is_empty() => {}
            ActionSpace::Continuous { low, high } => {
                let bounds = self.bounds();
                let graph = from.parameters.graph();
                let mean = from.take(low.len());
                let log_deviation = (from.take(low.len()) * 0.25).tanh() * 4.0 - std::f32::consts::LN_2;
                to.push(match bounded {
                    Bounded::Gaussian => {
                        let Scale { middle, half } = Scale::of(&bounds);
                        let logarithms: Vec<f32> = half.iter().map(|half| half.ln()).collect();
                        let row = |values: &[f32]| graph.constant([values.len()], values);
                        Factor::Gaussian(Gaussian::new(
                            mean * row(&half) + row(&middle),
                            log_deviation + row(&logarithms),
                        ))
                    }
                    Bounded::Tanh => {
                        let inner = Gaussian::new(mean, log_deviation);
                        Factor::TanhGaussian(TanhGaussian::new(inner, low, high)?)
                    }
                });
            }
            ActionSpace::Product(parts) => {
                parts.iter().try_for_each(|part| part.parts(from, bounded, to))?;
            }
        }
        Ok(())
    }
}

/// Takes parameters and masks part by part.
struct Cursor<'g> {
    parameters: Tensor<'g>,
    masks: Option<Tensor<'g>>,
    at: usize,
    option: usize,
}

impl<'g> Cursor<'g> {
    fn take(&mut self, count: usize) -> Tensor<'g> {
        self.at += count;
        cut(self.parameters, self.at - count, count)
    }

    fn categorical(&mut self, options: usize) -> Factor<'g> {
        let logits = self.take(options);
        let masks = self.masks.map(|masks| cut(masks, self.option, options));
        self.option += options;
        Factor::Categorical(Categorical::new(logits, masks))
    }
}

/// Columns `first..first + count`; the tensor itself where that is all of it.
fn cut<'g>(x: Tensor<'g>, first: usize, count: usize) -> Tensor<'g> {
    if x.shape().last() == Some(&count) { x } else { x.slice(-1, first, count) }
}

impl<'g> Factor<'g> {
    /// The most probable option, or the mean.
    fn mode(&self) -> Tensor<'g> {
        match self {
            Factor::Categorical(of) => of.mode(),
            Factor::Gaussian(of) => of.mode(),
            Factor::TanhGaussian(of) => of.mode(),
            Factor::GumbelSoftmax(of) => of.mode(),
        }
    }

    /// Floats of its value; none where that is an integer.
    fn floats(&self) -> Option<usize> {
        match self {
            Factor::Categorical(_) => None,
            Factor::Gaussian(gaussian) => Some(gaussian.dimensions()),
            Factor::TanhGaussian(tanh) => Some(tanh.dimensions()),
            Factor::GumbelSoftmax(gumbel) => Some(gumbel.options()),
        }
    }
}

impl<'g> From<Factor<'g>> for Distribution<'g> {
    fn from(factor: Factor<'g>) -> Self {
        Distribution(vec![factor])
    }
}

impl<'g> Distribution<'g> {
    /// The product of several.
    ///
    /// # Errors
    /// There are none.
    pub fn product(of: impl IntoIterator<Item = Distribution<'g>>) -> Result<Self> {
        let factors: Vec<Factor<'g>> = of.into_iter().flat_map(|distribution| distribution.0).collect();
        match factors.is_empty() {
            true => Err(Error::Graph("a product without factors".into())),
            false => Ok(Distribution(factors)),
        }
    }

    /// Its factors, in the order of an action's parts.
    pub fn factors(&self) -> &[Factor<'g>] {
        &self.0
    }

    /// The log-probabilities of the options of all choices, one choice after another, `[lanes.., options]`; `None` where there
    /// is no choice.
    pub fn choices(&self) -> Option<Tensor<'g>> {
        let of = |factor: &Factor<'g>| match factor {
            Factor::Categorical(choice) => Some(choice.log_probabilities()),
            _ => None,
        };
        let all: Vec<_> = self.0.iter().filter_map(of).collect();
        Some(all.first()?.graph().concat(&all, -1))
    }

    /// A key for each factor; the key itself where there is one.
    fn keys(&self, key: Tensor<'g>) -> Vec<Tensor<'g>> {
        let count = self.0.len();
        if count == 1 {
            return vec![key];
        }
        let keys = key.split_key(count);
        (0..count).map(|i| keys.slice(0, i, 1).reshape([2])).collect()
    }

    /// Joins what each factor gives: an integer a lane, or a row of floats.
    fn join(&self, values: impl Iterator<Item = Tensor<'g>>) -> Action<'g> {
        let (mut discrete, mut continuous) = (Vec::new(), Vec::new());
        for (factor, value) in self.0.iter().zip(values) {
            match factor.floats() {
                None => discrete.push(value.reshape([&value.shape()[..], &[1]].concat())),
                Some(_) => continuous.push(value),
            }
        }
        let all = |parts: Vec<Tensor<'g>>| match parts[..] {
            [] => None,
            [only] => Some(only),
            _ => Some(parts[0].graph().concat(&parts, -1)),
        };
        Action { discrete: all(discrete), continuous: all(continuous) }
    }

    /// A draw. Gradients reach the parameters through floats (they are reparametrised), not through integers.
    pub fn sample(&self, key: Tensor<'g>) -> Action<'g> {
        let keys = self.keys(key);
        self.join(self.0.iter().zip(keys).map(|(factor, key)| match factor {
            Factor::Categorical(of) => of.sample(key),
            Factor::Gaussian(of) => of.sample(key),
            Factor::TanhGaussian(of) => of.sample(key),
            Factor::GumbelSoftmax(of) => of.sample(key),
        }))
    }

    /// The most probable option, the mean of a Gaussian, tanh of it where it is squashed.
    pub fn mode(&self) -> Action<'g> {
        self.join(self.0.iter().map(Factor::mode))
    }

    /// The sum over the factors of what `of` makes of each with its part of an action, `[lanes..]`.
    fn with_parts(
        &self,
        action: Action<'g>,
        of: impl Fn(&Factor<'g>, Tensor<'g>) -> Tensor<'g>,
    ) -> Result<Tensor<'g>> {
        let absent = |what: &str| Error::Graph(format!("a distribution was given an action without {what}"));
        let (mut integer, mut float) = (0, 0);
        let mut parts = Vec::with_capacity(self.0.len());
        for factor in &self.0 {
            let part = match factor.floats() {
                None => {
                    integer += 1;
                    column(action.discrete.ok_or_else(|| absent("integers"))?, integer - 1)
                }
                Some(floats) => {
                    float += floats;
                    cut(action.continuous.ok_or_else(|| absent("floats"))?, float - floats, floats)
                }
            };
            parts.push(of(factor, part));
        }
        total(parts)
    }

    /// The logarithm of an action's probability, or of its density where it has floats, `[lanes..]`.
    ///
    /// # Errors
    /// It is no action of that kind: integers or floats are missing.
    pub fn log_probability(&self, action: Action<'g>) -> Result<Tensor<'g>> {
        self.with_parts(action, |factor, part| match factor {
            Factor::Categorical(of) => of.log_probability(part),
            Factor::Gaussian(of) => of.log_probability(part),
            Factor::TanhGaussian(of) => of.log_probability(part),
            Factor::GumbelSoftmax(of) => of.log_probability(part),
        })
    }

    /// How wrong it is where that action would have been right, `[lanes..]`: the cross entropy of its choices, and the squared
    /// difference between what it holds likeliest ([`Distribution::mode`]) and the floats. How widely floats are drawn does
    /// not matter.
    ///
    /// # Errors
    /// As [`Distribution::log_probability`].
    pub fn error(&self, right: Action<'g>) -> Result<Tensor<'g>> {
        self.with_parts(right, |factor, part| match factor {
            Factor::Categorical(of) => -of.log_probability(part),
            other => (other.mode() - part).square().sum(&[-1]),
        })
    }

    /// The entropy in nats (of densities, where there are floats), `[lanes..]`. Closed forms but for the tanh-squashed
    /// Gaussian and the relaxed Gumbel-softmax, which have none: there it is an estimate without bias from one draw by
    /// `key`, through which gradients pass.
    ///
    /// # Errors
    /// None in practice: there is a factor.
    pub fn entropy(&self, key: Tensor<'g>) -> Result<Tensor<'g>> {
        let parts = self.0.iter().zip(self.keys(key)).map(|(factor, key)| match factor {
            Factor::Categorical(of) => of.entropy(),
            Factor::Gaussian(of) => of.entropy(),
            Factor::TanhGaussian(of) => of.entropy(key),
            Factor::GumbelSoftmax(of) => of.entropy(key),
        });
        total(parts.collect())
    }

    /// The Kullback-Leibler divergence from this to `other` in nats, `[lanes..]`. A closed form but for the relaxed
    /// Gumbel-softmax, where it is an estimate without bias from one draw of this by `key`.
    ///
    /// # Errors
    /// The other is of another kind.
    pub fn kl(&self, other: &Distribution<'g>, key: Tensor<'g>) -> Result<Tensor<'g>> {
        let unlike = || Error::Graph("a divergence between distributions of different kinds".into());
        if self.0.len() != other.0.len() {
            return Err(unlike());
        }
        let pairs = self.0.iter().zip(&other.0).zip(self.keys(key));
        let parts = pairs.map(|((a, b), key)| match (a, b) {
            (Factor::Categorical(a), Factor::Categorical(b)) => Ok(a.kl(b)),
            (Factor::Gaussian(a), Factor::Gaussian(b)) => Ok(a.kl(b)),
            (Factor::TanhGaussian(a), Factor::TanhGaussian(b)) => Ok(a.kl(b)),
            (Factor::GumbelSoftmax(a), Factor::GumbelSoftmax(b)) => Ok(a.kl(b, key)),
            _ => Err(unlike()),
        });
        total(parts.collect::<Result<_>>()?)
    }
}

/// The sum of what the factors give.
fn total(parts: Vec<Tensor<'_>>) -> Result<Tensor<'_>> {
    let sum = parts.into_iter().reduce(|sum, part| sum + part);
    sum.ok_or_else(|| Error::Graph("a product without factors".into()))
}

#[cfg(test)]
mod tests;
