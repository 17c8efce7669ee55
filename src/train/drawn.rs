//! What programs over sequences from a [`replay`](super::replay) have in common, whatever is learned from them: their
//! inputs, the unrolling after a burn-in, targets by n-step returns, and copies of parameters that targets come from.

use super::Checkpoint;
use super::mixer::Mixer;
use super::replay::{Draw, Sizes, Targets};
use crate::Device;
use crate::agent::{Mode, Policy, Sequence, StatePart, Unrolled, WORLD_STATE, masks_input, state_inputs};
use crate::env::{AgentKind, Spec};
use crate::error::Result;
use crate::graph::{Graph, Tensor, Variable};
use crate::nn::{Parameters, Weights};
use crate::program::Program;
use crate::shape::TensorType;

/// A set of parameters that learns, with a copy that targets come from.
pub(super) struct Learned {
    pub parameters: Parameters,
    pub target: Variable,
}

impl Learned {
    pub fn new(device: &Device, parameters: &Parameters) -> Result<Self> {
        let values = parameters.flat().read()?;
        Ok(Learned {
            target: device.variable("target", TensorType::f32([values.len()]), &values)?,
            parameters: parameters.clone(),
        })
    }

    /// The parameters themselves, and their copy.
    pub fn weights<'g>(&self, graph: &'g Graph) -> [Weights<'g>; 2] {
        let target = graph.variable(&self.target);
        [self.parameters.weights(graph), self.parameters.weights_of(graph, target)]
    }

    pub fn save(&self, checkpoint: &mut Checkpoint, prefix: &str) -> Result<()> {
        self.parameters.save(prefix, checkpoint)?;
        self.parameters.save_flat(&self.target, &format!("target/{prefix}"), checkpoint)
    }

    pub fn load(&mut self, checkpoint: &Checkpoint, prefix: &str) -> Result<()> {
        self.parameters.load(prefix, checkpoint)?;
        self.parameters.load_flat(&self.target, &format!("target/{prefix}"), checkpoint)
    }
}

/// Moves the targets towards the parameters by the input `rate`. Output: that rate.
pub(super) fn target_program(device: &Device, learned: &[Learned]) -> Result<Program> {
    let graph = Graph::new();
    let rate = graph.input("rate", [1]);
    for learned in learned {
        let (own, target) = (graph.variable(learned.parameters.flat()), graph.variable(&learned.target));
        // Written so that a rate of 1 is an exact copy.
        graph.assign(&learned.target, own * rate + target * (1.0 - rate));
    }
    device.compile(&graph, &[rate])
}

/// The steps of a drawn sequence: those that warm up the recurrent state, those that are learned from, and those that are
/// bootstrapped from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub burn_in: usize,
    pub sequence: usize,
    pub n_step: usize,
}

impl Window {
    /// All steps.
    pub fn length(self) -> usize {
        self.burn_in + self.sequence + self.n_step
    }
}

/// What is kept to draw from.
pub(super) struct Kept {
    /// Steps of all worlds together, rounded up to whole rollouts.
    pub steps: usize,
    /// Steps of a rollout.
    pub rollout: usize,
    /// The recurrent state at the beginning of each rollout is kept too.
    pub stored_state: bool,
}

impl Kept {
    /// The replay that this takes for the agents of such worlds, of which so many numbers of state are kept.
    pub fn sizes(&self, window: Window, policy: &dyn Policy, spec: &Spec, world_state: usize) -> Sizes {
        let (kind, parts, length) = (&spec.kinds[0], policy.state(), window.length());
        let keeps = self.stored_state && !parts.is_empty();
        // Whole rollouts; room for two sequences at least.
        let steps = self.steps.div_ceil(spec.worlds).max(2 * length);
        Sizes {
            steps: steps.next_multiple_of(self.rollout),
            agents: kind.count,
            worlds: spec.worlds,
            observation: kind.observation.iter().product(),
            actions: kind.actions.clone(),
            masked: spec.masked,
            world_state,
            state: if keeps { parts.iter().map(|p| p.shape.iter().product()).collect() } else { vec![] },
            stride: if keeps { self.rollout } else { 1 },
            length,
        }
    }
}

/// The inputs of a program over `batch` drawn sequences of the agents of a kind.
pub(super) struct Drawn<'a, 'g> {
    graph: &'g Graph,
    policy: &'a dyn Policy,
    kind: &'a AgentKind,
    window: Window,
    /// All steps.
    pub sequence: Sequence<'g>,
    state: Vec<Tensor<'g>>,
    masks: Option<Tensor<'g>>,
}

impl<'a, 'g> Drawn<'a, 'g> {
    /// With the recurrent state that the agents had, where that is `stored`, and the masks of their actions where some are
    /// at times not allowed.
    pub fn input(
        graph: &'g Graph,
        policy: &'a dyn Policy,
        kind: &'a AgentKind,
        window: Window,
        batch: usize,
        (stored, masked): (bool, bool),
    ) -> Self {
        let (agents, length) = (kind.count, window.length());
        let lanes = [length, agents, batch];
        let sequence = Sequence::input(graph, policy, lanes, &kind.observation, Mode::Learning);
        let zeros = |part: &StatePart| graph.full([&[agents, batch], &part.shape[..]].concat(), 0.0);
        let state = match stored {
            true => state_inputs(graph, policy, [agents, batch]),
            false => policy.state().iter().map(zeros).collect(),
        };
        let masks = masks_input(graph, masked, kind, &lanes);
        Drawn { graph, policy, kind, window, sequence, state, masks }
    }

    /// Steps `first .. first + count` after the burn-in of what is there for all.
    pub fn cut(&self, x: Tensor<'g>, first: usize, count: usize) -> Tensor<'g> {
        x.slice(0, self.window.burn_in + first, count)
    }

    /// The masks of these steps after the burn-in.
    pub fn masks(&self, first: usize, count: usize) -> Option<Tensor<'g>> {
        self.masks.map(|masks| self.cut(masks, first, count))
    }

    /// The policy unrolled over steps `first .. first + count` after the burn-in, the noise of its network by `key`
    /// `[length, batch, 2]`. What is before them is unrolled too where the agents remember it; no gradient goes into the
    /// burn-in.
    pub fn unroll(
        &self,
        weights: &Weights<'g>,
        key: Tensor<'g>,
        (first, count): (usize, usize),
    ) -> Result<Unrolled<'g>> {
        let (policy, graph, burn_in) = (self.policy, self.graph, self.window.burn_in);
        let sequence = Sequence { key, ..self.sequence };
        if self.state.is_empty() {
            return policy.unroll(graph, weights, sequence.steps(burn_in + first, count), &[]);
        }
        let mut state = self.state.clone();
        if burn_in > 0 {
            let before = policy.unroll(graph, weights, sequence.steps(0, burn_in), &state)?;
            state = before.state.iter().map(|s| s.detach()).collect();
        }
        let mut all = policy.unroll(graph, weights, sequence.steps(burn_in, first + count), &state)?;
        if first > 0 {
            all.parameters = all.parameters.slice(0, first, count);
            all.values = all.values.slice(0, first, count);
        }
        Ok(all)
    }

    /// The states of the worlds at these steps after the burn-in, `[count, batch, state]`: of so many numbers, or with
    /// `size` 0 all that the agents of a world see.
    pub fn world(&self, size: usize, first: usize, count: usize) -> Tensor<'g> {
        let shape = self.sequence.present.shape();
        let (length, agents, batch) = (shape[0], shape[1], shape[2]);
        match size {
            0 => {
                let numbers: usize = self.kind.observation.iter().product();
                let all = self.cut(self.sequence.observations, first, count);
                let all = all.reshape([count, agents, batch, numbers]);
                all.transpose(&[0, 2, 1, 3]).reshape([count, batch, agents * numbers])
            }
            size => {
                let input = || self.graph.input(WORLD_STATE, [length, batch, size]);
                self.cut(self.sequence.world.unwrap_or_else(input), first, count)
            }
        }
    }

    /// Values `[steps, agents, batch]` of steps from `first` on after the burn-in as those that learning is about, in
    /// `world` where the mixer wants that. The absent count for nothing in their team's value.
    pub fn mix(
        &self,
        mixer: &Mixer,
        weights: Option<&Weights<'g>>,
        values: Tensor<'g>,
        first: usize,
        world: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let count = values.shape()[0];
        match mixer {
            Mixer::None => values,
            _ => mixer.mix(weights, values * self.cut(self.sequence.present, first, count), world),
        }
    }

    /// What values are to be `[sequence, units, batch]`: the inputs `returns` and `bootstraps`, and the values `next` of the
    /// steps from the second on.
    pub fn goal(&self, next: Tensor<'g>) -> Tensor<'g> {
        let shape = next.shape();
        let (units, batch) = (shape[1], shape[2]);
        let Window { sequence, n_step, .. } = self.window;
        let rows = [sequence, units, batch];
        let bootstraps = self.graph.input("bootstraps", [&[n_step], &rows[..]].concat());
        let mut goal = self.graph.input("returns", rows);
        for m in 0..n_step {
            goal = goal + bootstraps.slice(0, m, 1).reshape(rows) * next.slice(0, m, sequence);
        }
        goal
    }

    /// Each step's share of the batch `[sequence, units, batch]`, times the weight of its sequence; and alone.
    pub fn shares(&self, units: usize) -> [Tensor<'g>; 2] {
        let batch = self.sequence.present.shape()[2];
        let rows = [self.window.sequence, units, batch];
        [self.graph.input("weights", rows), self.graph.input("shares", rows)]
    }
}

/// Writes targets `[sequence, units]` of every draw into the inputs of a program; `share` is what a step counts for. Inputs
/// that the program has no use for are left out.
pub(super) fn fill_targets(program: &mut Program, draws: &[Draw], targets: &[Targets], share: f32) {
    let each = targets.len();
    let mut put = |name: &str, of: &dyn Fn(usize, usize) -> f32| {
        let Some(input) = program.find_input(name) else { return };
        for row in 0..input.len() / each.max(1) {
            for j in 0..each {
                input[row * each + j] = of(row, j);
            }
        }
    };
    put("returns", &|row, j| targets[j].returns[row]);
    put("bootstraps", &|row, j| targets[j].bootstraps[row]);
    put("weights", &|row, j| targets[j].weights[row] * draws[j].weight * share);
    put("shares", &|row, j| targets[j].weights[row] * share);
}
