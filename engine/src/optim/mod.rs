//! What turns gradients into steps: SGD, Adam, AdamW and RMSprop over the flat vector of a model's parameters, groups
//! of parameters with rates of their own, clipping by the global norm, and schedules. The numbers of a step are an
//! input of the program, so that nothing is baked in; the moments are variables on the device.
//!
//! ```
//! use synod_engine::nn::{Builder, Linear};
//! use synod_engine::optim::{Optimiser, Rule, STEP_INPUT};
//! use synod_engine::{Device, Graph};
//! let device = Device::cpu();
//! let mut builder = Builder::new(0);
//! let layer = Linear::new(&mut builder, "layer", 2, 1, 1.0);
//! let parameters = builder.build(&device)?;
//! let mut optimiser = Optimiser::new(&device, &parameters, Rule::adam(1e-8))?;
//! let g = Graph::new();
//! let weights = parameters.weights(&g);
//! let x = g.constant([2, 2], &[1.0, 0.0, 0.0, 1.0]);
//! let loss = (layer.forward(&weights, x) - 3.0).square().mean_all();
//! optimiser.update(&g, parameters.gradient(loss, &weights)?);
//! let mut step = device.compile(&g, &[loss])?;
//! for _ in 0..500 {
//!     let numbers = optimiser.advance(0.05);
//!     step.run(&[(STEP_INPUT, &numbers)])?;
//! }
//! assert!(step.outputs().scalar(0) < 1e-3);
//! # Ok::<(), synod_engine::Error>(())
//! ```

mod schedule;

pub use schedule::{KlAdaptive, Schedule};

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::error::Result;
use crate::graph::{Graph, Tensor, Variable};
use crate::nn::{Parameters, Weights};
use crate::op::adam::AdamScalars;
use crate::shape::TensorType;
use crate::tensors::{Checkpoint, TensorData};

/// The name of the program input with the numbers of a step.
pub const STEP_INPUT: &str = "optimiser";

/// Numbers of a step for each group.
const NUMBERS: usize = 7;

/// The rule of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// `velocity = momentum velocity + gradient; parameter -= rate velocity` (Sutskever et al. 2013, as in PyTorch).
    Sgd {
        /// Decay of the velocity; 0 for none.
        momentum: f32,
    },
    /// Kingma and Ba 2015; with weight decay AdamW (Loshchilov and Hutter 2019).
    Adam {
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added outside the root.
        epsilon: f32,
        /// Decoupled weight decay; 0 for plain Adam.
        weight_decay: f32,
    },
    /// `square = decay square + (1 - decay) gradient^2; parameter -= rate gradient / (sqrt(square) + epsilon)`
    /// (Tieleman and Hinton 2012, as in PyTorch).
    RmsProp {
        /// Decay of the mean square.
        decay: f32,
        /// Added outside the root.
        epsilon: f32,
    },
}

impl Rule {
    /// Adam with the decays of its paper.
    pub fn adam(epsilon: f32) -> Self {
        Rule::Adam { beta1: 0.9, beta2: 0.999, epsilon, weight_decay: 0.0 }
    }

    /// Vectors of state.
    fn moments(&self) -> usize {
        match self {
            Rule::Adam { .. } => 2,
            Rule::Sgd { .. } | Rule::RmsProp { .. } => 1,
        }
    }

    /// The numbers of step `step` (from 1) at a learning rate.
    fn numbers(&self, step: u64, learning_rate: f32, decay_factor: f32) -> [f32; NUMBERS] {
        match *self {
            Rule::Sgd { momentum } => [learning_rate, momentum, 0.0, 0.0, 0.0, 0.0, 0.0],
            Rule::Adam { beta1, beta2, epsilon, weight_decay } => {
                let weight_decay = weight_decay * decay_factor;
                AdamScalars { learning_rate, beta1, beta2, epsilon, weight_decay }.at(step)
            }
            Rule::RmsProp { decay, epsilon } => [learning_rate, decay, epsilon, 0.0, 0.0, 0.0, 0.0],
        }
    }
}

/// Parameters that are treated alike: those whose names begin with `prefix`.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    prefix: String,
    rate: f32,
    decay: f32,
}

/// A rule with its state for one model.
pub struct Optimiser {
    rule: Rule,
    parameters: Parameters,
    moments: Vec<Variable>,
    /// The first group is for all parameters that no other one names.
    groups: Vec<Group>,
    step: u64,
}

impl Optimiser {
    /// A rule for these parameters, its state all zeros.
    ///
    /// # Errors
    /// The device has no room.
    pub fn new(device: &Device, parameters: &Parameters, rule: Rule) -> Result<Self> {
        let zeros = vec![0.0f32; parameters.length()];
        let moments = (0..rule.moments())
            .map(|i| device.variable(&format!("moment{}", i + 1), TensorType::f32([zeros.len()]), &zeros))
            .collect::<Result<_>>()?;
        let groups = vec![Group { prefix: String::new(), rate: 1.0, decay: 1.0 }];
        Ok(Optimiser { rule, parameters: parameters.clone(), moments, groups, step: 0 })
    }

    /// Treats the parameters whose names begin with `prefix` as a group: learning rate and weight decay times these
    /// factors. A later group wins over an earlier one. A rate of 0 freezes the group: its parameters and moments keep
    /// their bits.
    pub fn with_group(mut self, prefix: &str, rate: f32, decay: f32) -> Self {
        self.groups.push(Group { prefix: prefix.to_string(), rate, decay });
        self
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Counts a step, and gives what the program's input [`STEP_INPUT`] must hold for it: `[groups, 7]`.
    pub fn advance(&mut self, learning_rate: f32) -> Vec<f32> {
        self.step += 1;
        let of = |g: &Group| self.rule.numbers(self.step, learning_rate * g.rate, g.decay);
        self.groups.iter().flat_map(of).collect()
    }

    /// The group of a parameter.
    fn group_of(&self, name: &str) -> usize {
        self.groups.iter().rposition(|group| name.starts_with(&group.prefix)).unwrap_or(0)
    }

    /// Whether a parameter of that name keeps its bits.
    fn is_frozen(&self, name: &str) -> bool {
        self.groups[self.group_of(name)].rate == 0.0
    }

    /// Whether all parameters keep their bits.
    pub fn is_all_frozen(&self) -> bool {
        self.parameters.iter().all(|(name, _)| self.is_frozen(name))
    }

    /// The gradient of `loss` for [`Optimiser::update`], `[length]`: [`Parameters::gradient`] with zeros for what is
    /// frozen, of whose gradient nothing is computed and nothing counts in the norm.
    ///
    /// # Errors
    /// As [`Parameters::gradient`], of what is not frozen. Where all is frozen there is none.
    pub fn gradient<'g>(&self, loss: Tensor<'g>, weights: &Weights<'g>) -> Result<Tensor<'g>> {
        if self.is_all_frozen() {
            return Ok(weights.graph().full([self.parameters.length()], 0.0));
        }
        self.parameters.gradient_of(loss, weights, |name| !self.is_frozen(name))
    }

    /// Builds the step for a gradient `[length]` laid out like [`Parameters::flat`]: at the end of a run the parameters
    /// and the moments have changed. The program then has the input [`STEP_INPUT`].
    pub fn update<'g>(&self, graph: &'g Graph, gradient: Tensor<'g>) {
        update_all(graph, &[self], gradient);
    }

    /// As [`Optimiser::update`] by a part of a longer gradient and of the numbers of more groups, which begin there.
    fn update_by<'g>(
        &self,
        graph: &'g Graph,
        (gradient, at): (Tensor<'g>, usize),
        (numbers, groups): (Tensor<'g>, usize),
    ) {
        let flat = graph.variable(self.parameters.flat());
        let moments: Vec<Tensor<'g>> = self.moments.iter().map(|m| graph.variable(m)).collect();
        let mut pieces: Vec<Vec<Tensor<'g>>> = vec![Vec::new(); 1 + moments.len()];
        for (first, length, group) in self.segments() {
            let cut = |x: Tensor<'g>| x.slice(0, first, length);
            let moments: Vec<Tensor<'g>> = moments.iter().map(|m| cut(*m)).collect();
            let stepped = if self.groups[group].rate == 0.0 {
                [&[cut(flat)], &moments[..]].concat()
            } else {
                let numbers = numbers.slice(0, groups + group, 1).reshape([NUMBERS]);
                self.one_step(cut(flat), gradient.slice(0, at + first, length), &moments, numbers)
            };
            for (piece, tensor) in pieces.iter_mut().zip(stepped) {
                piece.push(tensor);
            }
        }
        let variables = std::iter::once(self.parameters.flat()).chain(&self.moments);
        for (variable, piece) in variables.zip(&pieces) {
            graph.assign(variable, if piece.len() == 1 { piece[0] } else { graph.concat(piece, 0) });
        }
    }

    /// New parameters and moments.
    fn one_step<'g>(
        &self,
        parameters: Tensor<'g>,
        gradient: Tensor<'g>,
        moments: &[Tensor<'g>],
        numbers: Tensor<'g>,
    ) -> Vec<Tensor<'g>> {
        let number = |i: usize| numbers.slice(0, i, 1);
        match self.rule {
            Rule::Adam { .. } => parameters.adam(gradient, [moments[0], moments[1]], numbers).to_vec(),
            Rule::Sgd { .. } => {
                let velocity = moments[0] * number(1) + gradient;
                vec![parameters - velocity * number(0), velocity]
            }
            Rule::RmsProp { .. } => {
                let square = moments[0] * number(1) + gradient * gradient * (1.0 - number(1));
                vec![parameters - gradient * number(0) / (square.sqrt() + number(2)), square]
            }
        }
    }

    /// Runs of the flat vector with their group: first element, length, group.
    fn segments(&self) -> Vec<(usize, usize, usize)> {
        let mut segments: Vec<(usize, usize, usize)> = Vec::new();
        for (name, first, end) in self.parameters.extents() {
            let group = self.group_of(name);
            match segments.last_mut() {
                Some((_, length, last)) if *last == group => *length += end - first,
                _ => segments.push((first, end - first, group)),
            }
        }
        segments
    }

    /// Writes step and moments into a checkpoint.
    ///
    /// # Errors
    /// The device is lost.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        for moment in &self.moments {
            self.parameters.save_flat(moment, &format!("optimiser/{}", moment.name()), checkpoint)?;
        }
        checkpoint.insert("optimiser/step", TensorData::u64(&[1], &[self.step])?);
        Ok(())
    }

    /// Takes up what [`Optimiser::save`] wrote.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let step = checkpoint.counter("optimiser/step")?;
        for moment in &self.moments {
            self.parameters.load_flat(moment, &format!("optimiser/{}", moment.name()), checkpoint)?;
        }
        self.step = step;
        Ok(())
    }
}

/// Builds the steps of several models from their gradients one after another, `[lengths together]`. The program's input
/// [`STEP_INPUT`] is then `[groups of all, 7]`: what [`Optimiser::advance`] gives of one after another.
pub fn update_all<'g>(graph: &'g Graph, optimisers: &[&Optimiser], gradient: Tensor<'g>) {
    let groups = optimisers.iter().map(|optimiser| optimiser.groups.len()).sum::<usize>();
    let numbers = graph.input(STEP_INPUT, [groups, NUMBERS]);
    let (mut at, mut group) = (0, 0);
    for optimiser in optimisers {
        optimiser.update_by(graph, (gradient, at), (numbers, group));
        at += optimiser.parameters.length();
        group += optimiser.groups.len();
    }
}

/// A gradient scaled down to a Euclidean norm of at most `limit` (a scalar), and the norm it had (Pascanu et al. 2013).
pub fn clip_by_global_norm<'g>(gradient: Tensor<'g>, limit: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
    let g = gradient.graph();
    let axes: Vec<isize> = (0..gradient.shape().len() as isize).collect();
    let norm = gradient.norm(&axes);
    let factor = (limit / (norm + 1e-6)).minimum(g.scalar(1.0));
    (gradient * factor, norm)
}
