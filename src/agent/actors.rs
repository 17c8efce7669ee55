//! Agents at work: a policy compiled for acting in many worlds at once.
//!
//! Worlds are cut into shards, a fixed number whatever the machine. Each shard has a program and a recurrent state of
//! its own, a thread runs whole programs, and nothing is synchronised inside a step.
//!
//! ```
//! use synod::agent::actors::{Actors, Choice, Seen};
//! use synod::agent::{AgentConfig, Policy};
//! use synod::env::{Buffers, WorldConfig};
//! let device = synod::Device::cpu();
//! let mut world = WorldConfig::named("repeat_previous")?.with_worlds(2).build(0)?;
//! let spec = world.spec().clone();
//! let policy = AgentConfig::named("team")?.policy(&device, &spec, false, 7)?;
//! let mut actors = Actors::new(&device, policy.as_ref(), &spec, 1, Choice::Sample, false)?;
//! let mut out = Buffers::new(&spec);
//! world.reset(&[true, true], &mut out)?;
//! let (ages, present) = ([0.0; 2], [1.0; 2]);
//! // One agent a world: arrays `[worlds, agents]` and `[agents, worlds]` are the same.
//! let seen = Seen { observations: &out.observations, ages: &ages, present: &present, masks: &out.masks, state: &[] };
//! actors.act(seen, [1, 0])?;
//! let mut actions = spec.actions();
//! actors.tell(&mut actions)?;
//! world.step(&actions, &mut out)?;
//! # Ok::<(), synod::Error>(())
//! ```

use super::neighbours;
use super::{Mode, Policy, Sequence, Unrolled, WORLD_STATE, fill_noise, masks_input, mixed_key, noise_key};
use crate::Device;
use crate::action::{Action, Actions, allowed};
use crate::comm::Neighbours;
use crate::cpu::{Parallel, map_mut};
use crate::env::{AgentKind, Buffers, Spec};
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor, Variable};
use crate::program::Program;
use crate::shape::TensorType;

/// How an action is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Drawn from the policy.
    Sample,
    /// The most probable option; the mean, of what is continuous.
    Greedy,
    /// Options drawn from the policy; the mean, of what is continuous.
    SampleOptions,
    /// For actions of one discrete choice: the option of the highest value among those allowed; with the chance
    /// [`Actors::epsilon`] any of those allowed, all alike.
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
    /// `[worlds, agents, options]`, as worlds write it: 1 where an option is allowed.
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

struct Shard {
    act: Program,
    value: Program,
    first: usize,
    worlds: usize,
    state: Vec<Variable>,
    neighbours: Option<Neighbours>,
    outputs: Places,
}

/// Where the program that acts has what it gives beside values and log-probabilities.
#[derive(Default)]
struct Places {
    discrete: Option<usize>,
    continuous: Option<usize>,
    attention: Option<usize>,
}

/// A policy acting in many worlds. What it did last lies in the public arrays, `[agents, worlds]` each.
pub struct Actors {
    shards: Vec<Shard>,
    agents: usize,
    worlds: usize,
    observation: usize,
    options: usize,
    /// Parts of the state that are importances of slots.
    importances: Vec<usize>,
    /// The chance of an action at random, for [`Choice::EpsilonGreedy`]; 0 at first.
    pub epsilon: f32,
    /// The critic's values.
    pub values: Vec<f32>,
    /// Log-probabilities of the actions.
    pub log_probabilities: Vec<f32>,
    /// The actions: `[agents, worlds, integers]` and `[agents, worlds, floats]`, as they were drawn: floats may lie beyond
    /// the bounds to which worlds hold them. [`Actors::tell`] has them in the order of worlds.
    pub actions: Actions,
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
        Self::of(device, policy, spec, shards, (choice, Mode::Acting), watch)
    }

    /// As [`Actors::new`], for a policy that learns from what it does: it acts with the noise that it learns with
    /// ([`Mode::Exploring`]).
    ///
    /// # Errors
    /// As there.
    pub fn exploring(
        device: &Device,
        policy: &dyn Policy,
        spec: &Spec,
        shards: usize,
        choice: Choice,
    ) -> Result<Self> {
        Self::of(device, policy, spec, shards, (choice, Mode::Exploring), false)
    }

    fn of(
        device: &Device,
        policy: &dyn Policy,
        spec: &Spec,
        shards: usize,
        how: (Choice, Mode),
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
            .map(|i| Shard::new(device, policy, spec, [i * each, each], how, watch))
            .collect::<Result<Vec<_>>>()?;
        let (agents, lanes) = (kind.count, kind.count * worlds);
        let attention = shards[0].outputs.attention;
        let per_world = attention.map_or(0, |at| shards[0].act.outputs().f32(at).len() / each);
        Ok(Actors {
            shards,
            agents,
            worlds,
            observation: kind.observation.iter().product(),
            options: kind.actions.options(),
            importances: policy.slot_importances(),
            epsilon: 0.0,
            values: vec![0.0; lanes],
            log_probabilities: vec![0.0; lanes],
            actions: Actions::zeros(&kind.actions, lanes),
            attention: vec![0.0; per_world * worlds],
        })
    }

    /// Acts on what is seen, and moves the recurrent state on. `key` makes the random numbers.
    ///
    /// # Errors
    /// An array that the policy reads has another length than its worlds, or what the device reports.
    pub fn act(&mut self, seen: Seen<'_>, key: [u64; 2]) -> Result<()> {
        self.run(seen, key, true)
    }

    /// Values what is seen, and leaves the recurrent state and the other arrays as they are. With the key of the next
    /// [`Actors::act`] a network with noise of its own gives the value that it gives then.
    ///
    /// # Errors
    /// As [`Actors::act`].
    pub fn value(&mut self, seen: Seen<'_>, key: [u64; 2]) -> Result<()> {
        self.run(seen, key, false)
    }

    /// Writes the last actions as worlds take them: `[worlds, agents, integers]` and `[worlds, agents, floats]`.
    ///
    /// # Errors
    /// There is room for other actions.
    pub fn tell(&self, to: &mut Actions) -> Result<()> {
        fn turn<T: Copy>(from: &[T], to: &mut [T], agents: usize, worlds: usize) {
            let size = from.len() / (agents * worlds).max(1);
            for agent in 0..agents {
                for world in 0..worlds {
                    let (from_at, to_at) = ((agent * worlds + world) * size, (world * agents + agent) * size);
                    to[to_at..to_at + size].copy_from_slice(&from[from_at..from_at + size]);
                }
            }
        }
        let (agents, worlds, own) = (self.agents, self.worlds, &self.actions);
        to.expect("tell", own.discrete.len(), own.continuous.len(), agents * worlds)?;
        turn(&own.discrete, &mut to.discrete, agents, worlds);
        turn(&own.continuous, &mut to.continuous, agents, worlds);
        Ok(())
    }

    fn run(&mut self, seen: Seen<'_>, key: [u64; 2], acts: bool) -> Result<()> {
        let (agents, worlds, size) = (self.agents, self.worlds, self.observation);
        let (options, epsilon) = (self.options, self.epsilon);
        let done = map_mut(&mut self.shards, |index, shard| -> Result<()> {
            let (first, each) = (shard.first, shard.worlds);
            let program = if acts { &mut shard.act } else { &mut shard.value };
            for (name, source, size) in
                [("observations", seen.observations, size), ("masks", seen.masks, options)]
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
            if let Some(input) = program.find_input_u32("key") {
                input.copy_from_slice(&mixed_key(key, index as u64));
            }
            fill_noise(program, each, |_, world| noise_key(key, first + world));
            program.run(&[]).map(|_| ())
        });
        done.into_iter().collect::<Result<()>>()?;
        for shard in &self.shards {
            let outputs = if acts { shard.act.outputs() } else { shard.value.outputs() };
            let Places { discrete, continuous, attention } = shard.outputs;
            for agent in 0..agents {
                let own = agent * shard.worlds..(agent + 1) * shard.worlds;
                let at = agent * worlds + shard.first;
                let whole = at..at + shard.worlds;
                self.values[whole.clone()].copy_from_slice(&outputs.f32(0)[own.clone()]);
                if !acts {
                    continue;
                }
                self.log_probabilities[whole.clone()].copy_from_slice(&outputs.f32(1)[own.clone()]);
                let rows =
                    |size: usize| (own.start * size..own.end * size, whole.start * size..whole.end * size);
                let lanes = agents * worlds;
                if let Some(at) = discrete {
                    let (from, to) = rows(self.actions.discrete.len() / lanes);
                    self.actions.discrete[to].copy_from_slice(&outputs.u32(at)[from]);
                }
                if let Some(at) = continuous {
                    let (from, to) = rows(self.actions.continuous.len() / lanes);
                    self.actions.continuous[to].copy_from_slice(&outputs.f32(at)[from]);
                }
                if let Some(at) = attention {
                    let (from, to) = rows(self.attention.len() / lanes);
                    self.attention[to].copy_from_slice(&outputs.f32(at)[from]);
                }
            }
        }
        // A network whose weights are not finite must not go on acting.
        if acts && self.log_probabilities.iter().any(|p| p.is_nan()) {
            return Err(Error::Graph("the log-probability of an action is not a number".into()));
        }
        Ok(())
    }

    /// The recurrent state, part by part, `[agents, worlds, shape...]`.
    ///
    /// # Errors
    /// What the device reports.
    pub fn state(&self) -> Result<Vec<Vec<f32>>> {
        (0..self.shards[0].state.len()).map(|part| self.state_part(part)).collect()
    }

    /// A part of the recurrent state, `[agents, worlds, shape...]`.
    fn state_part(&self, part: usize) -> Result<Vec<f32>> {
        let lanes = self.agents * self.worlds;
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
    }

    /// Slots of a shared memory that are in use, world by world; `None` where agents share none.
    ///
    /// # Errors
    /// What the device reports.
    pub fn slots_in_use(&self) -> Result<Option<Vec<usize>>> {
        if self.importances.is_empty() {
            return Ok(None);
        }
        let mut in_use = vec![0; self.worlds];
        for part in &self.importances {
            let values = self.state_part(*part)?;
            let share = values.len() / (self.agents * self.worlds).max(1);
            for (row, values) in values.chunks(share.max(1)).enumerate() {
                in_use[row % self.worlds] += values.iter().filter(|importance| **importance > 0.0).count();
            }
        }
        Ok(Some(in_use))
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

/// A policy unrolled over one step of `[agents, worlds]` from `before`. What it gives is checked: it may be foreign.
///
/// # Errors
/// What the policy reports, or shapes that are not those of its agents and their actions.
pub(crate) fn see<'g>(
    graph: &'g Graph,
    policy: &dyn Policy,
    kind: &AgentKind,
    [agents, worlds]: [usize; 2],
    before: &[Tensor<'g>],
    mode: Mode,
) -> Result<Unrolled<'g>> {
    let weights = policy.parameters().weights(graph);
    let lanes = [1, agents, worlds];
    let sequence = Sequence::input(graph, policy, lanes, &kind.observation, mode);
    let unrolled = policy.unroll(graph, &weights, sequence, before)?;
    graph.check()?;
    let parameters = [&lanes[..], &[kind.actions.parameters()]].concat();
    for (name, tensor, shape) in
        [("values", unrolled.values, lanes.to_vec()), ("parameters", unrolled.parameters, parameters)]
    {
        if tensor.tensor_type() != TensorType::f32(&shape) {
            let found = tensor.tensor_type();
            return Err(Error::Graph(format!("a policy's {name} are {found}, not f32{shape:?}")));
        }
    }
    if unrolled.attention.is_some_and(|a| !a.tensor_type().elements().is_multiple_of(agents * worlds)) {
        return Err(Error::Graph("a policy's attention is not that of its agents".into()));
    }
    Ok(unrolled)
}

/// What agents do about what they made of a step, and its log-probability. Inputs: `masks` where there are some, `key`
/// for what is drawn, and where they explore `epsilon`, the chance of any option.
///
/// # Errors
/// A distribution that the numbers are not for.
pub(crate) fn choose<'g>(
    graph: &'g Graph,
    policy: &dyn Policy,
    spec: &Spec,
    unrolled: &Unrolled<'g>,
    choice: Choice,
    explores: bool,
) -> Result<(Action<'g>, Tensor<'g>)> {
    let kind = &spec.kinds[0];
    let lanes = unrolled.values.shape();
    let masks = masks_input(graph, spec.masked, kind, &lanes);
    let of = kind.actions.distribution(unrolled.parameters, masks, policy.bounded())?;
    let key = graph.input_u32("key", [2]);
    let action = match choice {
        Choice::Sample => of.sample(key),
        Choice::Greedy => of.mode(),
        Choice::SampleOptions => {
            Action { discrete: of.sample(key).discrete, continuous: of.mode().continuous }
        }
        Choice::EpsilonGreedy => {
            let values = allowed(unrolled.parameters, masks);
            let mut option = values.argmax();
            if explores {
                let keys = key.split_key(2);
                let key = |i: usize| keys.slice(0, i, 1).reshape([2]);
                let even = graph.full(values.shape(), 0.0);
                let any = allowed(even, masks).categorical(key(0));
                let explore = key(1).random_uniform(&lanes).less(graph.input("epsilon", []));
                option = explore.select(any.to_f32(), option.to_f32()).to_u32();
            }
            Action { discrete: Some(option.reshape([&lanes[..], &[1]].concat())), continuous: None }
        }
    };
    Ok((action, of.log_probability(action)?))
}

impl Shard {
    fn new(
        device: &Device,
        policy: &dyn Policy,
        spec: &Spec,
        [first, worlds]: [usize; 2],
        (choice, mode): (Choice, Mode),
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
        if choice == Choice::EpsilonGreedy {
            kind.actions.one_choice("an epsilon-greedy choice")?;
        }
        let mut places = Places::default();
        let mut build = |act: bool| -> Result<Program> {
            let graph = Graph::new();
            let before: Vec<_> = state.iter().map(|v| graph.variable(v)).collect();
            let unrolled = see(&graph, policy, kind, [agents, worlds], &before, mode)?;
            let mut outputs = vec![unrolled.values];
            if act {
                let explores = choice == Choice::EpsilonGreedy;
                let (action, log_probability) = choose(&graph, policy, spec, &unrolled, choice, explores)?;
                outputs.push(log_probability);
                let mut add = |tensor: Option<_>| {
                    outputs.extend(tensor);
                    tensor.map(|_| outputs.len() - 1)
                };
                places = Places {
                    discrete: add(action.discrete),
                    continuous: add(action.continuous),
                    attention: add(unrolled.attention.filter(|_| watch)),
                };
                for (variable, value) in state.iter().zip(&unrolled.state) {
                    graph.assign(variable, *value);
                }
            }
            let mut program = device.compile(&graph, &outputs)?;
            program.set_parallel(Parallel::Serial);
            Ok(program)
        };
        let (act, value) = (build(true)?, build(false)?);
        let neighbours = policy.neighbours().cloned();
        Ok(Shard { act, value, first, worlds, state, neighbours, outputs: places })
    }
}
