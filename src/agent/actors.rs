//! Agents at work: a policy compiled for acting in many worlds at once.
//!
//! Worlds are cut into shards, a fixed number whatever the machine. Each shard has a program and a recurrent state of
//! its own, a thread runs whole programs, and nothing is synchronised inside a step.

use super::neighbours::{self, Neighbours};
use super::{Policy, Sequence, WORLD_STATE};
use crate::Device;
use crate::cpu::{Parallel, map_mut};
use crate::env::{Buffers, Spec};
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor, Variable};
use crate::program::Program;
use crate::shape::TensorType;

/// How an action is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Drawn from the policy.
    Sample,
    /// The most probable one.
    Greedy,
    /// The one of the highest value among those allowed; with the chance [`Actors::epsilon`] any of those allowed, all
    /// alike.
    EpsilonGreedy,
}

/// What agents see at one step.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// `[worlds, agents, observation...]`, as worlds write it.
    pub observations: &'a [f32],
    /// `[agents, worlds]`: steps since the agent's episode began.
    pub ages: &'a [f32],
    /// `[agents, worlds]`: 1 where the agent is in its world.
    pub present: &'a [f32],
    /// `[worlds, agents, actions]`, as worlds write it: 1 where an action is allowed.
    pub masks: &'a [f32],
    /// `[worlds, state]`: for a central critic.
    pub state: &'a [f32],
}

/// The age of an agent after a step, from its age before: 0 where its world starts anew, and where its world has put
/// another in its place. `at` is its place in the buffers.
pub fn next_age(age: f32, restarted: bool, was_present: bool, after: &Buffers, at: usize) -> f32 {
    let is = |marks: &[bool]| marks.get(at).copied().unwrap_or(false);
    let another = is(&after.active) && (is(&after.terminated) || !was_present);
    if restarted || another { 0.0 } else { age + 1.0 }
}

/// What stands in for the value of an action that is not allowed.
const FORBIDDEN: f32 = -1e9;

/// Logits or values of actions `[.., actions]` with those far down that the masks, where there are some, do not allow.
pub fn allowed<'g>(values: Tensor<'g>, masks: Option<Tensor<'g>>) -> Tensor<'g> {
    match masks {
        Some(masks) => masks.select(values, values.graph().scalar(FORBIDDEN)),
        None => values,
    }
}

struct Shard {
    act: Program,
    value: Program,
    first: usize,
    worlds: usize,
    state: Vec<Variable>,
    neighbours: Option<Neighbours>,
}

/// A policy acting in many worlds. What it did last lies in the public arrays, `[agents, worlds]` each.
pub struct Actors {
    shards: Vec<Shard>,
    agents: usize,
    worlds: usize,
    observation: usize,
    action_count: usize,
    /// The chance of an action at random, for [`Choice::EpsilonGreedy`]; 0 at first.
    pub epsilon: f32,
    /// The critic's values.
    pub values: Vec<f32>,
    /// Log-probabilities of the actions.
    pub log_probabilities: Vec<f32>,
    /// The actions.
    pub actions: Vec<u32>,
    /// `[agents, worlds, heads, agents]`: attention to memories, where that was asked for and the policy has it;
    /// else empty.
    pub attention: Vec<f32>,
}

impl Actors {
    /// Programs for `policy` in worlds of these sizes, in `shards` shards.
    ///
    /// With `watch`, [`Actors::attention`] is computed too.
    ///
    /// # Errors
    /// Agents of several kinds, shards that do not divide the worlds, or what compilation reports.
    pub fn new(
        device: &Device,
        policy: &dyn Policy,
        spec: &Spec,
        shards: usize,
        choice: Choice,
        watch: bool,
    ) -> Result<Self> {
        let kind = spec.only_kind("a policy")?;
        let worlds = spec.worlds;
        if shards == 0 || !worlds.is_multiple_of(shards) {
            let message = format!("a divisor of the number of worlds ({worlds}), got {shards}");
            return Err(Error::config("learner.acting_shards", message));
        }
        let each = worlds / shards;
        let shards = (0..shards)
            .map(|i| Shard::new(device, policy, spec, [i * each, each], choice, watch))
            .collect::<Result<Vec<_>>>()?;
        let (agents, lanes) = (kind.count, kind.count * worlds);
        let per_world = shards[0].act.outputs().f32(3).len() / each;
        Ok(Actors {
            shards,
            agents,
            worlds,
            observation: kind.observation.iter().product(),
            action_count: kind.actions,
            epsilon: 0.0,
            values: vec![0.0; lanes],
            log_probabilities: vec![0.0; lanes],
            actions: vec![0; lanes],
            attention: vec![0.0; per_world * worlds],
        })
    }

    /// Acts on what is seen, and moves the recurrent state on. `key` makes the random numbers.
    ///
    /// # Errors
    /// An array that the policy reads has another length than its worlds, or what the device reports.
    pub fn act(&mut self, seen: Seen<'_>, key: [u64; 2]) -> Result<()> {
        self.run(seen, Some(key))
    }

    /// Values what is seen, and leaves the recurrent state and the other arrays as they are.
    ///
    /// # Errors
    /// As [`Actors::act`].
    pub fn value(&mut self, seen: Seen<'_>) -> Result<()> {
        self.run(seen, None)
    }

    fn run(&mut self, seen: Seen<'_>, key: Option<[u64; 2]>) -> Result<()> {
        let (agents, worlds, size) = (self.agents, self.worlds, self.observation);
        let (action_count, epsilon) = (self.action_count, self.epsilon);
        let done = map_mut(&mut self.shards, |index, shard| -> Result<()> {
            let (first, each) = (shard.first, shard.worlds);
            let program = if key.is_some() { &mut shard.act } else { &mut shard.value };
            for (name, source, size) in
                [("observations", seen.observations, size), ("masks", seen.masks, action_count)]
            {
                let Some(input) = program.find_input(name) else { continue };
                expect(name, source, agents * worlds * size)?;
                for agent in 0..agents {
                    for world in 0..each {
                        let from = ((first + world) * agents + agent) * size;
                        let to = (agent * each + world) * size;
                        input[to..to + size].copy_from_slice(&source[from..from + size]);
                    }
                }
            }
            for (name, source) in [("ages", seen.ages), ("present", seen.present)] {
                // A network without memory has no use for these.
                let Some(input) = program.find_input(name) else { continue };
                expect(name, source, agents * worlds)?;
                for agent in 0..agents {
                    let from = agent * worlds + first;
                    input[agent * each..(agent + 1) * each].copy_from_slice(&source[from..from + each]);
                }
            }
            if let Some(input) = program.find_input(WORLD_STATE) {
                let size = input.len() / each;
                expect(WORLD_STATE, seen.state, worlds * size)?;
                input.copy_from_slice(&seen.state[first * size..(first + each) * size]);
            }
            if let Some(input) = program.find_input("epsilon") {
                input.fill(epsilon);
            }
            if let Some(of) = &shard.neighbours {
                neighbours::fill_by(program, of, [1, agents, each])?;
            }
            // Greedy choice needs no random numbers.
            if let (Some(key), Some(input)) = (key, program.find_input_u32("key")) {
                input.copy_from_slice(&mixed_key(key, index as u64));
            }
            program.run(&[]).map(|_| ())
        });
        done.into_iter().collect::<Result<()>>()?;
        for shard in &self.shards {
            let outputs = if key.is_some() { shard.act.outputs() } else { shard.value.outputs() };
            for agent in 0..agents {
                let own = agent * shard.worlds..(agent + 1) * shard.worlds;
                let at = agent * worlds + shard.first;
                let whole = at..at + shard.worlds;
                self.values[whole.clone()].copy_from_slice(&outputs.f32(0)[own.clone()]);
                if key.is_some() {
                    self.log_probabilities[whole.clone()].copy_from_slice(&outputs.f32(1)[own.clone()]);
                    self.actions[whole.clone()].copy_from_slice(&outputs.u32(2)[own.clone()]);
                    let size = self.attention.len() / (agents * worlds);
                    let attention = &outputs.f32(3)[own.start * size..own.end * size];
                    self.attention[whole.start * size..whole.end * size].copy_from_slice(attention);
                }
            }
        }
        // A network whose weights are not finite must not go on acting.
        if key.is_some() && self.log_probabilities.iter().any(|p| p.is_nan()) {
            return Err(Error::Graph("the log-probability of an action is not a number".into()));
        }
        Ok(())
    }

    /// The recurrent state, part by part, `[agents, worlds, shape...]`.
    ///
    /// # Errors
    /// What the device reports.
    pub fn state(&self) -> Result<Vec<Vec<f32>>> {
        let lanes = self.agents * self.worlds;
        (0..self.shards[0].state.len())
            .map(|part| {
                let size = self.shards[0].state[part].tensor_type().elements() / (lanes / self.shards.len());
                let mut whole = vec![0.0; lanes * size];
                for shard in &self.shards {
                    let values = shard.state[part].read()?;
                    let row = shard.worlds * size;
                    for agent in 0..self.agents {
                        let to = (agent * self.worlds + shard.first) * size;
                        whole[to..to + row].copy_from_slice(&values[agent * row..(agent + 1) * row]);
                    }
                }
                Ok(whole)
            })
            .collect()
    }

    /// Replaces the recurrent state by one that [`Actors::state`] gave.
    ///
    /// # Errors
    /// Another length, or what the device reports.
    pub fn set_state(&mut self, state: &[Vec<f32>]) -> Result<()> {
        let lanes = self.agents * self.worlds;
        let own = self.shards.first().map_or(0, |shard| shard.state.len());
        if state.len() != own {
            return Err(Error::Usage(format!("a recurrent state of {} parts, not {own}", state.len())));
        }
        for shard in &self.shards {
            for (variable, whole) in shard.state.iter().zip(state) {
                let size = variable.tensor_type().elements() / (self.agents * shard.worlds);
                expect(variable.name(), whole, lanes * size)?;
            }
        }
        for shard in &self.shards {
            for (variable, whole) in shard.state.iter().zip(state) {
                let size = whole.len() / lanes;
                let row = size * shard.worlds;
                let mut own = Vec::with_capacity(self.agents * row);
                for agent in 0..self.agents {
                    let from = (agent * self.worlds + shard.first) * size;
                    own.extend_from_slice(&whole[from..from + row]);
                }
                variable.write(&own)?;
            }
        }
        Ok(())
    }
}

/// Refuses an array of another length.
fn expect(name: &str, array: &[f32], length: usize) -> Result<()> {
    if array.len() == length {
        return Ok(());
    }
    Err(Error::Usage(format!("actors were given {} numbers of `{name}`, not {length}", array.len())))
}

/// A key of the generator that no other seed, step or shard shares, up to a chance of 2^-64.
fn mixed_key([seed, step]: [u64; 2], shard: u64) -> [u32; 2] {
    let mut z = seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ shard.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    [z as u32, (z >> 32) as u32]
}

impl Shard {
    fn new(
        device: &Device,
        policy: &dyn Policy,
        spec: &Spec,
        [first, worlds]: [usize; 2],
        choice: Choice,
        watch: bool,
    ) -> Result<Self> {
        let kind = &spec.kinds[0];
        let agents = kind.count;
        let state = policy
            .state()
            .iter()
            .map(|part| {
                let of = TensorType::f32([&[agents, worlds], &part.shape[..]].concat());
                device.variable(&part.name, of.clone(), &vec![0.0f32; of.elements()])
            })
            .collect::<Result<Vec<_>>>()?;
        let build = |act: bool| -> Result<Program> {
            let graph = Graph::new();
            let weights = policy.parameters().weights(&graph);
            let sequence = Sequence::input(&graph, policy, [1, agents, worlds], &kind.observation);
            let before: Vec<_> = state.iter().map(|v| graph.variable(v)).collect();
            let unrolled = policy.unroll(&graph, &weights, sequence, &before)?;
            graph.check()?;
            let expected = [("values", unrolled.values, vec![1, agents, worlds])];
            let logits = ("logits", unrolled.logits, vec![1, agents, worlds, kind.actions]);
            for (name, tensor, shape) in expected.into_iter().chain([logits]) {
                if tensor.tensor_type() != TensorType::f32(&shape) {
                    let found = tensor.tensor_type();
                    return Err(Error::Graph(format!("a policy's {name} are {found}, not f32{shape:?}")));
                }
            }
            if unrolled.attention.is_some_and(|a| !a.tensor_type().elements().is_multiple_of(agents * worlds))
            {
                return Err(Error::Graph("a policy's attention is not that of its agents".into()));
            }
            let mut outputs = vec![unrolled.values];
            if act {
                let lanes = [1, agents, worlds];
                let masks = spec.masked.then(|| graph.input("masks", [&lanes[..], &[kind.actions]].concat()));
                let logits = allowed(unrolled.logits, masks);
                let log_probabilities = logits.log_softmax(-1);
                let actions = match choice {
                    Choice::Sample => logits.categorical(graph.input_u32("key", [2])),
                    Choice::Greedy => logits.argmax(),
                    Choice::EpsilonGreedy => {
                        let keys = graph.input_u32("key", [2]).split_key(2);
                        let key = |i: usize| keys.slice(0, i, 1).reshape([2]);
                        let best = logits.argmax();
                        let even = graph.full(logits.shape(), 0.0);
                        let any = allowed(even, masks).categorical(key(0));
                        let explore = key(1).random_uniform(lanes).less(graph.input("epsilon", []));
                        explore.select(any.to_f32(), best.to_f32()).to_u32()
                    }
                };
                outputs.push(log_probabilities.take_along_last(actions));
                outputs.push(actions);
                outputs.extend(unrolled.attention.filter(|_| watch));
                for (variable, value) in state.iter().zip(&unrolled.state) {
                    graph.assign(variable, *value);
                }
            }
            let mut program = device.compile(&graph, &outputs)?;
            program.set_parallel(Parallel::Serial);
            Ok(program)
        };
        Ok(Shard {
            act: build(true)?,
            value: build(false)?,
            first,
            worlds,
            state,
            neighbours: policy.neighbours().cloned(),
        })
    }
}
