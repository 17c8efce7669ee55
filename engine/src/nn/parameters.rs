//! All parameters of a model in one flat variable. One buffer means one optimiser kernel for all of them, one
//! norm to clip by, one tensor to copy for a target network; a parameter is a slice of it and costs nothing to name.

use super::initial::{Initial, Stream};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor, Variable};
use crate::shape::{MAXIMUM_ELEMENTS, Shape, TensorType};
use crate::tensors::{Checkpoint, TensorData};

/// Parameters start at multiples of so many elements: 256 bytes, the alignment that GPUs want of a binding.
const ALIGNMENT: usize = 64;

/// A parameter of a model: an index into its [`Weights`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    index: usize,
    /// All agents have it in common, though they have others of their own ([`Builder::common`]).
    common: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    shape: Shape,
    offset: usize,
}

/// Collects the parameters of a model while its layers are made.
///
/// A builder made with [`Builder::with_lanes`] gives every agent parameters of its own: each parameter has one more
/// leading dimension, and the same layers run over all agents in one go.
pub struct Builder {
    stream: Stream,
    lanes: Option<usize>,
    /// Whether what is declared now belongs to all lanes at once.
    common: bool,
    prefix: Vec<String>,
    entries: Vec<Entry>,
    values: Vec<f32>,
    failure: Option<String>,
}

impl Builder {
    /// Initial values depend on `seed` alone.
    pub fn new(seed: u64) -> Self {
        let (prefix, entries, values) = Default::default();
        Builder {
            stream: Stream::new(seed),
            lanes: None,
            common: false,
            prefix,
            entries,
            values,
            failure: None,
        }
    }

    /// What goes on from the parameters of a model: they come first, as they are now, so that its layers run with what is
    /// built of this. `seed` is for what is declared beside them.
    ///
    /// # Errors
    /// The device is lost.
    pub fn after(parameters: &Parameters, seed: u64) -> Result<Self> {
        let (entries, values) = (parameters.entries.clone(), parameters.flat.read()?);
        Ok(Builder { lanes: parameters.lanes, entries, values, ..Self::new(seed) })
    }

    /// As [`Builder::new`], with parameters of their own for each of `lanes` agents. Layers then expect the agents as
    /// the second dimension of whatever they are given: `[time, agents, ..]`.
    pub fn with_lanes(seed: u64, lanes: usize) -> Self {
        Builder { lanes: Some(lanes), ..Self::new(seed) }
    }

    /// Whether every agent gets parameters of its own ([`Builder::with_lanes`]).
    pub fn has_lanes(&self) -> bool {
        self.own_lanes().is_some()
    }

    /// The lanes that what is declared now has.
    fn own_lanes(&self) -> Option<usize> {
        self.lanes.filter(|_| !self.common)
    }

    /// Makes whatever `build` makes with parameters that all agents have in common, even where they have others of their
    /// own ([`Builder::with_lanes`]).
    pub fn common<T>(&mut self, build: impl FnOnce(&mut Builder) -> T) -> T {
        let before = std::mem::replace(&mut self.common, true);
        let made = build(self);
        self.common = before;
        made
    }

    /// Declares a parameter. Names are joined with slashes: `encoder/convolution/weight`. One without elements, or with more
    /// than a tensor may have, is kept as a mistake, which [`Builder::build`] reports.
    pub fn parameter(&mut self, name: &str, shape: impl Into<Shape>, initial: Initial) -> Parameter {
        let shape = shape.into();
        self.parameter_by(name, shape.clone(), |stream| initial.values(&shape, stream))
    }

    /// As [`Builder::parameter`], with values by a rule of its own, row-major. Where each agent has its own, the rule is
    /// asked once for each. One that gives another number of values is a mistake.
    pub fn parameter_by(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        values: impl Fn(&mut Stream) -> Vec<f32>,
    ) -> Parameter {
        let mut shape = shape.into();
        let mut path = self.prefix.clone();
        path.push(name.to_string());
        let offset = self.values.len();
        let lanes = self.own_lanes().unwrap_or(1);
        let elements = shape.elements().saturating_mul(lanes);
        let end = offset.saturating_add(elements).saturating_add(ALIGNMENT);
        if elements == 0 || end > MAXIMUM_ELEMENTS {
            let name = path.join("/");
            self.failure.get_or_insert(format!("parameter `{name}` of {lanes} x {shape:?} elements"));
            return Parameter { index: usize::MAX, common: self.common };
        }
        for _ in 0..lanes {
            self.values.extend(values(&mut self.stream));
        }
        if self.values.len() != offset + elements {
            let (name, found) = (path.join("/"), self.values.len() - offset);
            self.failure.get_or_insert(format!("parameter `{name}`: {found} values for {lanes} x {shape:?}"));
            self.values.resize(offset + elements, 0.0);
        }
        if let Some(lanes) = self.own_lanes() {
            shape = [&[lanes], &shape[..]].concat().into();
        }
        self.values.resize(self.values.len().next_multiple_of(ALIGNMENT), 0.0);
        self.entries.push(Entry { name: path.join("/"), shape, offset });
        Parameter { index: self.entries.len() - 1, common: self.common && self.lanes.is_some() }
    }

    /// Makes whatever `build` makes, with `name` put before the names of its parameters.
    pub fn within<T>(&mut self, name: &str, build: impl FnOnce(&mut Builder) -> T) -> T {
        self.prefix.push(name.to_string());
        let made = build(self);
        self.prefix.pop();
        made
    }

    /// Makes two that start from the same random numbers, and learn apart.
    pub fn twins<T>(
        &mut self,
        first: impl FnOnce(&mut Builder) -> T,
        second: impl FnOnce(&mut Builder) -> T,
    ) -> [T; 2] {
        let before = self.stream.clone();
        let first = first(self);
        let after = std::mem::replace(&mut self.stream, before);
        let second = second(self);
        self.stream = after;
        [first, second]
    }

    /// Puts the parameters on a device.
    ///
    /// # Errors
    /// There are none, one is out of range, or the device has no room.
    pub fn build(self, device: &Device) -> Result<Parameters> {
        if let Some(what) = self.failure {
            return Err(Error::Graph(format!("a model cannot have the {what}")));
        }
        if self.values.is_empty() {
            return Err(Error::Graph("a model has no parameters".into()));
        }
        let flat = device.variable("parameters", TensorType::f32([self.values.len()]), &self.values)?;
        Ok(Parameters { entries: self.entries, lanes: self.lanes, flat })
    }
}

/// The parameters of a model on a device.
#[derive(Clone)]
pub struct Parameters {
    entries: Vec<Entry>,
    lanes: Option<usize>,
    flat: Variable,
}

impl Parameters {
    /// All of them in one vector, `[length]`, with some padding of zeros between them.
    pub fn flat(&self) -> &Variable {
        &self.flat
    }

    /// Length of the flat vector.
    pub fn length(&self) -> usize {
        self.flat.tensor_type().elements()
    }

    /// Number of trainable numbers.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|e| e.shape.elements()).sum()
    }

    /// Names and shapes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.entries.iter().map(|e| (e.name.as_str(), &e.shape))
    }

    /// Each parameter's name and its extent in the flat vector, padding included: together they cover all of it.
    pub fn extents(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.entries.iter().enumerate().map(|(i, e)| {
            let end = self.entries.get(i + 1).map_or(self.length(), |next| next.offset);
            (e.name.as_str(), e.offset, end)
        })
    }

    /// The parameters as tensors of `graph`, for the forward functions of layers.
    pub fn weights<'g>(&self, graph: &'g Graph) -> Weights<'g> {
        self.weights_of(graph, graph.variable(&self.flat))
    }

    /// As [`Parameters::weights`], from a vector laid out like [`Parameters::flat`], e.g. a target network's.
    pub fn weights_of<'g>(&self, graph: &'g Graph, flat: Tensor<'g>) -> Weights<'g> {
        let tensors = self
            .entries
            .iter()
            .map(|e| flat.slice(0, e.offset, e.shape.elements()).reshape(&e.shape))
            .collect();
        Weights { graph, lanes: self.lanes, tensors }
    }

    /// The same parameters once for each of so many lanes ([`Weights::over_lanes`]), all zeros: where adapted ones are kept
    /// between programs.
    ///
    /// # Errors
    /// There are lanes already, or the device has no room.
    pub fn over_lanes(&self, device: &Device, lanes: usize) -> Result<Parameters> {
        if let Some(own) = self.lanes {
            let message = format!("parameters of {own} agents of their own cannot have lanes again");
            return Err(Error::Graph(message));
        }
        let mut builder = Builder::with_lanes(0, lanes);
        for entry in &self.entries {
            builder.parameter(&entry.name, entry.shape.clone(), Initial::Zeros);
        }
        builder.build(device)
    }

    /// One vector laid out like [`Parameters::flat`] of such tensors, one a parameter, with zeros between them.
    ///
    /// # Errors
    /// There are more or fewer of them, or one has another size.
    pub fn flatten<'g>(&self, graph: &'g Graph, tensors: &[Tensor<'g>]) -> Result<Tensor<'g>> {
        let fits = |(entry, tensor): (&Entry, &Tensor<'g>)| {
            entry.shape.elements() == tensor.tensor_type().elements()
        };
        if tensors.len() != self.entries.len() || !self.entries.iter().zip(tensors).all(fits) {
            return Err(Error::Graph("tensors that are not those of a model's parameters".into()));
        }
        Ok(self.joined(graph, tensors.iter().map(|tensor| Some(*tensor))))
    }

    /// Pieces one after another, with zeros for gaps and for what there is none of, joined where they touch.
    fn joined<'g>(&self, graph: &'g Graph, tensors: impl Iterator<Item = Option<Tensor<'g>>>) -> Tensor<'g> {
        let mut pieces = Vec::new();
        let (mut at, mut zeros) = (0, 0);
        for (entry, tensor) in self.entries.iter().zip(tensors) {
            zeros += entry.offset - at;
            let length = entry.shape.elements();
            at = entry.offset + length;
            match tensor {
                Some(tensor) => {
                    if zeros > 0 {
                        pieces.push(graph.full([zeros], 0.0));
                        zeros = 0;
                    }
                    pieces.push(tensor.reshape([length]));
                }
                None => zeros += length,
            }
        }
        zeros += self.length() - at;
        if zeros > 0 {
            pieces.push(graph.full([zeros], 0.0));
        }
        graph.concat(&pieces, 0)
    }

    /// The gradient of `loss` as one vector laid out like [`Parameters::flat`]; zeros for parameters that the loss does
    /// not use.
    ///
    /// # Errors
    /// An op on the way has no gradient, or the loss uses none of the parameters.
    pub fn gradient<'g>(&self, loss: Tensor<'g>, weights: &Weights<'g>) -> Result<Tensor<'g>> {
        self.gradient_of(loss, weights, |_| true)
    }

    /// As [`Parameters::gradient`] for the parameters whose names are wanted; zeros for the others, of whose gradients
    /// nothing is computed.
    ///
    /// # Errors
    /// As [`Parameters::gradient`], of the parameters that are wanted.
    pub fn gradient_of<'g>(
        &self,
        loss: Tensor<'g>,
        weights: &Weights<'g>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Tensor<'g>> {
        let graph = weights.graph;
        let seed = graph.full(loss.shape(), 1.0);
        let is_wanted: Vec<bool> = self.entries.iter().map(|entry| wanted(&entry.name)).collect();
        let targets: Vec<Tensor<'g>> = weights
            .tensors
            .iter()
            .zip(&is_wanted)
            .filter(|(_, is)| **is)
            .map(|(tensor, _)| *tensor)
            .collect();
        let mut found = graph.vjp(&[loss], &[seed], &targets)?.into_iter();
        let gradients: Vec<Option<Tensor<'g>>> =
            is_wanted.iter().map(|is| if *is { found.next().flatten() } else { None }).collect();
        if gradients.iter().all(Option::is_none) {
            return Err(Error::NoGradient {
                op: "grad".into(),
                message: "the loss depends on none of the model's parameters that are to change".into(),
            });
        }
        Ok(self.joined(graph, gradients.into_iter()))
    }

    /// Writes every parameter into a checkpoint under `prefix/name`.
    ///
    /// # Errors
    /// The device is lost.
    pub fn save(&self, prefix: &str, checkpoint: &mut Checkpoint) -> Result<()> {
        self.save_flat(&self.flat, prefix, checkpoint)
    }

    /// Writes a vector laid out like the parameters (an optimiser's moments) as one tensor a parameter.
    ///
    /// # Errors
    /// The device is lost, or the vector has another length.
    pub fn save_flat(&self, flat: &Variable, prefix: &str, checkpoint: &mut Checkpoint) -> Result<()> {
        let values = flat.read()?;
        for entry in &self.entries {
            let end = entry.offset + entry.shape.elements();
            let piece = values
                .get(entry.offset..end)
                .ok_or_else(|| Error::Graph(format!("{prefix} is too short")))?;
            checkpoint.insert(format!("{prefix}/{}", entry.name), TensorData::f32(&entry.shape, piece)?);
        }
        Ok(())
    }

    /// Reads every parameter from a checkpoint.
    ///
    /// # Errors
    /// One is missing or has another shape.
    pub fn load(&self, prefix: &str, checkpoint: &Checkpoint) -> Result<()> {
        self.load_flat(&self.flat, prefix, checkpoint)
    }

    /// Reads a vector laid out like the parameters.
    ///
    /// # Errors
    /// A tensor is missing or has another shape, or the vector another length. The vector is unchanged then.
    pub fn load_flat(&self, flat: &Variable, prefix: &str, checkpoint: &Checkpoint) -> Result<()> {
        let mut values = flat.read()?;
        for entry in &self.entries {
            let name = format!("{prefix}/{}", entry.name);
            let tensor = checkpoint.tensor(&name)?;
            if tensor.shape() != &entry.shape[..] {
                let (found, own) = (tensor.shape(), &entry.shape);
                return Err(Error::Usage(format!(
                    "the checkpoint's `{name}` is {found:?}, the model's is {own:?}"
                )));
            }
            let piece = tensor.to_f32()?;
            let own = values.get_mut(entry.offset..entry.offset + piece.len());
            own.ok_or_else(|| Error::Graph(format!("{prefix} is too short")))?.copy_from_slice(&piece);
        }
        flat.write(&values)
    }
}

/// The parameters of a model as tensors. Layers read them from here, so that the same layer runs with its own
/// parameters, with a target network's, or with parameters adapted inside the graph.
#[derive(Clone)]
pub struct Weights<'g> {
    graph: &'g Graph,
    lanes: Option<usize>,
    tensors: Vec<Tensor<'g>>,
}

impl<'g> Weights<'g> {
    /// The graph they are tensors of.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The tensor of a parameter.
    pub fn get(&self, parameter: Parameter) -> Tensor<'g> {
        match self.tensors.get(parameter.index) {
            Some(tensor) => *tensor,
            None => {
                self.graph.fail(Error::Graph("a layer was run with the parameters of another model".into()))
            }
        }
    }

    /// The tensor of a parameter, for an operand of `rank` dimensions. Where each agent has its own, it is given
    /// dimensions of 1 between the agents and its own, so that it broadcasts against `[time, agents, ..]`.
    pub fn get_for(&self, parameter: Parameter, rank: usize) -> Tensor<'g> {
        let tensor = self.get(parameter);
        if self.lanes.is_none() || parameter.common {
            return tensor;
        }
        let shape = tensor.shape();
        // What stands for a mistake has no dimensions.
        let Some((lanes, own)) = shape.split_first() else { return tensor };
        let mut wide = vec![*lanes];
        wide.resize(1 + rank.saturating_sub(2 + own.len()), 1);
        wide.extend(own);
        tensor.reshape(wide)
    }

    /// All of them, in order.
    pub fn tensors(&self) -> &[Tensor<'g>] {
        &self.tensors
    }

    /// The same model with other tensors in place of its parameters, e.g. after a step of adaptation (MAML).
    ///
    /// # Errors
    /// There are more or fewer of them, or one has another shape than that in whose place it stands.
    pub fn with(&self, tensors: Vec<Tensor<'g>>) -> Result<Weights<'g>> {
        if tensors.len() != self.tensors.len() {
            let (found, own) = (tensors.len(), self.tensors.len());
            return Err(Error::Graph(format!("{found} tensors in place of a model's {own} parameters")));
        }
        let differs = |(own, other): &(&Tensor<'g>, &Tensor<'g>)| own.tensor_type() != other.tensor_type();
        if let Some((own, other)) = self.tensors.iter().zip(&tensors).find(differs) {
            let (found, own) = (other.tensor_type(), own.tensor_type());
            return Err(Error::Graph(format!("{found} in place of a parameter of {own}")));
        }
        Ok(Weights { graph: self.graph, lanes: self.lanes, tensors })
    }

    /// The same weights once for each of so many lanes, the second dimension of what layers are given
    /// (`[time, lanes, ..]`): the tasks of an inner loop, each of which then goes on with weights of its own by
    /// [`Weights::with`]. The gradient of what is made of them sums over the lanes.
    ///
    /// # Errors
    /// There are lanes already (agents with parameters of their own), or none are asked for.
    pub fn over_lanes(&self, lanes: usize) -> Result<Weights<'g>> {
        if let Some(own) = self.lanes {
            return Err(Error::Graph(format!(
                "weights of {own} agents of their own cannot have lanes again"
            )));
        }
        if lanes == 0 {
            return Err(Error::Graph("weights over no lanes".into()));
        }
        let wide = |x: &Tensor<'g>| x.broadcast_to([&[lanes], &x.shape()[..]].concat());
        let tensors = self.tensors.iter().map(wide).collect();
        Ok(Weights { graph: self.graph, lanes: Some(lanes), tensors })
    }

    /// The lanes, where each has weights of its own.
    pub fn lanes(&self) -> Option<usize> {
        self.lanes
    }
}
