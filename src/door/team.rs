//! A trained team in a host program: observations in, actions out.

use std::path::Path;
use std::sync::Arc;

use super::file::{Origin, Saved, read, read_bytes};
use crate::Device;
use crate::action::Actions;
use crate::agent::actors::{Choice, choose, see};
use crate::agent::neighbours;
use crate::agent::{Mode, Policy, fill_noise, mixed_key, noise_key, state_inputs};
use crate::comm::Neighbours;
use crate::cpu::Parallel;
use crate::env::{AgentKind, Spec};
use crate::error::{Error, Result, within};
use crate::graph::{Graph, Tensor};
use crate::program::Program;

/// Agents that act at once, at most.
const MOST: usize = 1 << 20;
/// Programs for different numbers of worlds and agents that are kept.
const KEPT: usize = 8;

/// A trained team: its network, ready to act for any number of worlds.
///
/// Arrays have one layout: worlds first, then agents, then numbers, row after row. An observation is
/// `[worlds, agents, observation...]`, as the world in which the team was trained shows it ([`Team::kind`] has the shape;
/// unlike agents are made alike as [`Uniform`](crate::env::uniform::Uniform) says). Actions are
/// `[worlds, agents, integers]` and `[worlds, agents, floats]` ([`Actions`]), floats within their bounds.
///
/// What a team remembers from step to step is the host's, as a [`Memory`]: one team can play in many places. The same
/// observations, memory and seed give the same actions, whatever else the team does meanwhile.
///
/// ```
/// # fn main() -> synod::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let run = folder.path().join("team.synod");
/// # let settings = synod::preset::Settings::preset("bottleneck")?;
/// # synod::door::export(&settings, None, &run)?;
/// let mut team = synod::Team::load(&run)?;
/// let mut memory = team.memory(1)?;
/// let mut observations = vec![0.0; team.agents() * team.kind().observation.iter().product::<usize>()];
/// for _ in 0..3 {
///     // ... the host writes what its agents see into `observations`, and steps with what they do:
///     let actions = team.act(&observations, &mut memory)?;
///     println!("{:?}", actions.discrete);
/// }
/// memory.forget();
/// # Ok(())
/// # }
/// ```
///
/// A clone shares the network and has programs of its own: for each thread that has agents act, one.
pub struct Team {
    network: Arc<Network>,
    programs: Vec<Acting>,
    actions: Actions,
}

/// What does not change when a team acts.
struct Network {
    device: Device,
    policy: Box<dyn Policy>,
    spec: Spec,
    /// Agents are shown what they last did, behind what the host shows them.
    last_action: bool,
    choice: Choice,
    greedy: Choice,
    origin: Origin,
}

impl Clone for Team {
    fn clone(&self) -> Self {
        Team { network: self.network.clone(), programs: Vec::new(), actions: Actions::default() }
    }
}

/// What agents see at one step. Made from a slice or a vector of observations; the rest may be left out.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// `[worlds, agents, observation...]`.
    pub observations: &'a [f32],
    /// `[worlds, agents, options]`: 1 where an option is allowed, else 0. All are where this is `None`.
    pub masks: Option<&'a [f32]>,
    /// `[worlds, agents]`: whether the agent is in its world. All are where this is `None`.
    pub present: Option<&'a [bool]>,
}

impl<'a> From<&'a [f32]> for Seen<'a> {
    fn from(observations: &'a [f32]) -> Self {
        Seen { observations, masks: None, present: None }
    }
}

impl<'a> From<&'a Vec<f32>> for Seen<'a> {
    fn from(observations: &'a Vec<f32>) -> Self {
        observations.as_slice().into()
    }
}

/// What a team remembers of the worlds in which it acts: recurrent state, ages of agents, and where its random numbers
/// stand. Made by [`Team::memory`].
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    worlds: usize,
    agents: usize,
    seed: u64,
    steps: u64,
    /// `[agents, worlds]`: steps since the agent began.
    ages: Vec<f32>,
    /// Part by part, `[agents, worlds, shape...]`; empty for parts that acting has no use for.
    state: Vec<Vec<f32>>,
    /// What each agent did last.
    last: Actions,
}

impl Memory {
    /// Forgets everything: all agents begin anew at the next step.
    pub fn forget(&mut self) {
        self.ages.fill(0.0);
    }

    /// The agents of a world begin anew at the next step.
    ///
    /// # Errors
    /// There is no such world.
    pub fn forget_world(&mut self, world: usize) -> Result<()> {
        (0..self.agents).try_for_each(|agent| self.forget_agent(world, agent))
    }

    /// One agent begins anew at the next step: another has taken its place.
    ///
    /// # Errors
    /// There is no such agent.
    pub fn forget_agent(&mut self, world: usize, agent: usize) -> Result<()> {
        if world >= self.worlds || agent >= self.agents {
            return Err(Error::Usage(format!(
                "agent {agent} of world {world}: there are {} in each of {} worlds",
                self.agents, self.worlds
            )));
        }
        self.ages[agent * self.worlds + world] = 0.0;
        Ok(())
    }

    /// Draws other random numbers from now on. Memories begin with seed 0.
    pub fn reseed(&mut self, seed: u64) {
        (self.seed, self.steps) = (seed, 0);
    }

    /// Worlds and agents in each.
    pub fn sizes(&self) -> [usize; 2] {
        [self.worlds, self.agents]
    }
}

/// A program for so many worlds and agents.
struct Acting {
    sizes: [usize; 2],
    greedy: bool,
    program: Program,
    /// Which output has what the part of the state is after the step; none for parts that acting has no use for.
    parts: Vec<Option<usize>>,
    discrete: Option<usize>,
    continuous: Option<usize>,
}

impl Team {
    /// The team of a run's folder, or of a file that [`export`](super::export) wrote, on the CPU.
    ///
    /// # Errors
    /// A missing, damaged or foreign file.
    pub fn load(path: impl AsRef<Path>) -> Result<Team> {
        Self::load_on(&Device::cpu(), path)
    }

    /// The same on any device.
    ///
    /// # Errors
    /// As [`Team::load`], or no room on the device.
    pub fn load_on(device: &Device, path: impl AsRef<Path>) -> Result<Team> {
        Self::of(device, read(device, path.as_ref())?)
    }

    /// The team of a file's content: it was built into a program, came over a wire, lies in an archive.
    ///
    /// # Errors
    /// Damaged or foreign content, or no room on the device.
    pub fn from_bytes(device: &Device, bytes: &[u8]) -> Result<Team> {
        Self::of(device, read_bytes(device, bytes)?)
    }

    fn of(device: &Device, saved: Saved) -> Result<Team> {
        let Saved { policy, spec, last_action, choices: [choice, greedy], origin } = saved;
        spec.only_kind("a team")?;
        let device = device.clone();
        let network = Arc::new(Network { device, policy, spec, last_action, choice, greedy, origin });
        Ok(Team { network, programs: Vec::new(), actions: Actions::default() })
    }

    /// Where it comes from: preset, seed, steps and version.
    pub fn origin(&self) -> &Origin {
        &self.network.origin
    }

    /// What an agent sees and what it can do.
    pub fn kind(&self) -> &AgentKind {
        &self.network.spec.kinds[0]
    }

    /// Numbers that the host shows each agent: those of [`Team::kind`] without what the agent itself did last, which the team
    /// keeps for agents that are shown it.
    pub fn observation_size(&self) -> usize {
        self.kind().observation.iter().product::<usize>() - self.own_size()
    }

    /// Numbers that say what an agent did last, behind what the host shows it.
    fn own_size(&self) -> usize {
        let space = &self.kind().actions;
        if self.network.last_action { space.options() + space.floats() } else { 0 }
    }

    /// Whether options were at times forbidden in training, so that a host has to say which are allowed.
    pub fn masked(&self) -> bool {
        self.network.spec.masked
    }

    /// Everything that a host may want to know, as one line of JSON: `origin` (preset, seed, steps, version), `kind` (name,
    /// count, observation, actions, members), `observation_size`, `masked`.
    pub fn describe(&self) -> String {
        serde_json::json!({
            "origin": self.origin(),
            "kind": self.kind(),
            "observation_size": self.observation_size(),
            "masked": self.masked(),
        })
        .to_string()
    }

    /// Agents of a world in training.
    pub fn agents(&self) -> usize {
        self.network.spec.kinds[0].count
    }

    /// A fresh memory for so many worlds, each with as many agents as in training.
    ///
    /// # Errors
    /// No world, or too many.
    pub fn memory(&self, worlds: usize) -> Result<Memory> {
        self.memory_of(worlds, self.agents())
    }

    /// A fresh memory for worlds with another number of agents.
    ///
    /// # Errors
    /// None, or too many; whether the network takes so many agents shows when they act.
    pub fn memory_of(&self, worlds: usize, agents: usize) -> Result<Memory> {
        within("worlds", worlds, 1, MOST)?;
        within("agents", agents, 1, MOST / worlds)?;
        let lanes = worlds * agents;
        let part = |size: usize| match lanes.checked_mul(size) {
            Some(length) if length <= 1 << 30 => Ok(vec![0.0; length]),
            _ => Err(Error::Usage(format!(
                "a memory of {size} numbers for each of {lanes} agents is too large"
            ))),
        };
        let state = self
            .network
            .policy
            .state()
            .iter()
            .map(|p| part(p.shape.iter().product()))
            .collect::<Result<_>>()?;
        let last = Actions::zeros(&self.kind().actions, lanes);
        Ok(Memory { worlds, agents, seed: 0, steps: 0, ages: vec![0.0; lanes], state, last })
    }

    /// What the agents do about what they see, as they did in training: policies draw, Q-learners take the best.
    ///
    /// # Errors
    /// Arrays of other lengths than `memory` is for, a number of agents that the network does not take, or something seen or
    /// done that is not a number. `memory` is then as it was.
    pub fn act<'a>(&mut self, seen: impl Into<Seen<'a>>, memory: &mut Memory) -> Result<&Actions> {
        self.act_by(seen.into(), memory, false)
    }

    /// As [`Team::act`], with the most probable action of every agent.
    ///
    /// # Errors
    /// As there.
    pub fn act_greedily<'a>(&mut self, seen: impl Into<Seen<'a>>, memory: &mut Memory) -> Result<&Actions> {
        self.act_by(seen.into(), memory, true)
    }

    fn act_by(&mut self, seen: Seen<'_>, memory: &mut Memory, greedy: bool) -> Result<&Actions> {
        let [worlds, agents] = memory.sizes();
        // Memories are the host's, who may have those of several teams.
        let parts = self.network.policy.state();
        let sizes = parts.iter().map(|part| worlds * agents * part.shape.iter().product::<usize>());
        let last = &memory.last;
        let space = &self.kind().actions;
        let of_this_team = memory.state.iter().map(Vec::len).eq(sizes)
            && last.discrete.len() == worlds * agents * space.integers()
            && last.continuous.len() == worlds * agents * space.floats();
        if !of_this_team {
            return Err(Error::Usage("this memory is that of another team".into()));
        }
        let at = self.program([worlds, agents], greedy)?;
        let kind = &self.network.spec.kinds[0];
        let space = &kind.actions;
        let (own, width, options) = (self.own_size(), self.observation_size(), space.options());
        let lanes = worlds * agents;
        expect("observations", seen.observations.len(), lanes * width)?;
        expect("masks", seen.masks.map_or(lanes * options, <[f32]>::len), lanes * options)?;
        expect("present", seen.present.map_or(lanes, <[bool]>::len), lanes)?;
        // A network may swallow what is no number (a rectifier makes 0 of it) and go on with nonsense.
        if let Some(at) = seen.observations.iter().position(|x| !x.is_finite()) {
            let [world, agent] = [at / (agents * width), at / width % agents];
            let (number, x) = (at % width, seen.observations[at]);
            let whose = format!("number {number} of what agent {agent} of world {world} sees");
            return Err(Error::Usage(format!("{whose} is {x}")));
        }
        let acting = &mut self.programs[at];
        let program = &mut acting.program;
        let place = |lane: usize| lane % worlds * agents + lane / worlds;
        if let Some(input) = program.find_input("observations") {
            for lane in 0..lanes {
                let row = &mut input[lane * (width + own)..][..width + own];
                row[..width].copy_from_slice(&seen.observations[place(lane) * width..][..width]);
                if own > 0 {
                    memory.show_last(lane, &space.sizes(), &mut row[width..]);
                }
            }
        }
        if let Some(input) = program.find_input("masks") {
            match seen.masks {
                None => input.fill(1.0),
                Some(masks) => (0..lanes).for_each(|lane| {
                    input[lane * options..][..options]
                        .copy_from_slice(&masks[place(lane) * options..][..options]);
                }),
            }
        }
        if let Some(input) = program.find_input("present") {
            let here = |lane: usize| seen.present.is_none_or(|present| present[place(lane)]);
            input.iter_mut().enumerate().for_each(|(lane, to)| *to = f32::from(u8::from(here(lane))));
        }
        if let Some(input) = program.find_input("ages") {
            input.copy_from_slice(&memory.ages);
        }
        for (i, part) in memory.state.iter().enumerate().filter(|(i, _)| acting.parts[*i].is_some()) {
            if let Some(input) = program.find_input(STATE[i.min(STATE.len() - 1)]) {
                input.copy_from_slice(part);
            }
        }
        if let Some(of) = self.network.policy.neighbours() {
            neighbours::fill_by(program, of, [1, agents, worlds])?;
        }
        let key = [memory.seed ^ 0x646f_6f72, memory.steps];
        if let Some(input) = program.find_input_u32("key") {
            input.copy_from_slice(&mixed_key(key, 0));
        }
        fill_noise(program, worlds, |_, world| noise_key(key, world));
        let outputs = program.run(&[])?;
        // Nothing of the memory changes unless the step is good.
        if outputs.f32(0).iter().any(|p| p.is_nan()) {
            return Err(Error::Graph("the log-probability of an action is not a number".into()));
        }
        if let Some(from) = acting.discrete {
            memory.last.discrete.copy_from_slice(outputs.u32(from));
        }
        if let Some(from) = acting.continuous {
            memory.last.continuous.copy_from_slice(outputs.f32(from));
            // As worlds hold what a policy draws, and show it again.
            memory.last.hold(&space.bounds());
        }
        for (part, from) in memory.state.iter_mut().zip(&acting.parts) {
            if let Some(from) = from {
                part.copy_from_slice(outputs.f32(*from));
            }
        }
        memory.ages.iter_mut().for_each(|age| *age += 1.0);
        memory.steps += 1;
        let (integers, floats) = (space.integers(), space.floats());
        self.actions.discrete.resize(lanes * integers, 0);
        self.actions.continuous.resize(lanes * floats, 0.0);
        for lane in 0..lanes {
            let to = place(lane);
            self.actions.discrete[to * integers..][..integers]
                .copy_from_slice(&memory.last.discrete[lane * integers..][..integers]);
            self.actions.continuous[to * floats..][..floats]
                .copy_from_slice(&memory.last.continuous[lane * floats..][..floats]);
        }
        Ok(&self.actions)
    }

    /// The place of the program for so many worlds and agents, made where it is not there yet.
    fn program(&mut self, sizes: [usize; 2], greedy: bool) -> Result<usize> {
        let greedy = greedy && self.network.greedy != self.network.choice;
        let fits = |acting: &Acting| acting.sizes == sizes && acting.greedy == greedy;
        if let Some(at) = self.programs.iter().position(fits) {
            return Ok(at);
        }
        let choice = if greedy { self.network.greedy } else { self.network.choice };
        // Which parts of the state acting depends on: those of which an action does, and in turn those of which these do.
        // (A critic has a state of its own, and would want to see the whole world.)
        let mut parts = vec![false; self.network.policy.state().len()];
        let acting = loop {
            let mut acting = self.compile(sizes, choice, &parts)?;
            let needed = |i: usize, program: &mut Program| program.find_input(STATE[i]).is_some();
            let more: Vec<bool> =
                (0..parts.len()).map(|i| parts[i] || needed(i, &mut acting.program)).collect();
            if more == parts {
                break acting;
            }
            parts = more;
        };
        if self.programs.len() == KEPT {
            self.programs.remove(0);
        }
        self.programs.push(Acting { greedy, ..acting });
        Ok(self.programs.len() - 1)
    }

    fn compile(&self, [worlds, agents]: [usize; 2], choice: Choice, kept: &[bool]) -> Result<Acting> {
        let policy = self.network.policy.as_ref();
        let kind = &self.network.spec.kinds[0];
        let graph = Graph::new();
        let parts = policy.state();
        if parts.len() > STATE.len() {
            return Err(Error::Usage(format!("a recurrent state of {} parts", parts.len())));
        }
        let before = state_inputs(&graph, policy, [agents, worlds]);
        let unrolled = see(&graph, policy, kind, [agents, worlds], &before, Mode::Acting)?;
        let (action, log_probability) = choose(&graph, policy, &self.network.spec, &unrolled, choice, false)?;
        let mut outputs = vec![log_probability];
        fn add<'g>(outputs: &mut Vec<Tensor<'g>>, tensor: Option<Tensor<'g>>) -> Option<usize> {
            outputs.extend(tensor);
            tensor.map(|_| outputs.len() - 1)
        }
        let (discrete, continuous) =
            (add(&mut outputs, action.discrete), add(&mut outputs, action.continuous));
        let after = unrolled.state.iter().zip(kept);
        let parts = after.map(|(after, kept)| add(&mut outputs, kept.then_some(*after))).collect();
        let mut program = self.network.device.compile(&graph, &outputs)?;
        program.set_parallel(Parallel::Serial);
        Ok(Acting { sizes: [worlds, agents], greedy: false, program, parts, discrete, continuous })
    }

    /// How agents hear their neighbours, where they do.
    pub fn neighbours(&self) -> Option<&Neighbours> {
        self.network.policy.neighbours()
    }
}

/// Names of the inputs that take the recurrent state, made once: looking them up is part of every decision.
const STATE: [&str; 8] = ["state0", "state1", "state2", "state3", "state4", "state5", "state6", "state7"];

impl Memory {
    /// What an agent did last: its choices one-hot, then its numbers; zeros at its first step.
    fn show_last(&self, lane: usize, sizes: &[usize], row: &mut [f32]) {
        row.fill(0.0);
        if self.ages[lane] == 0.0 {
            return;
        }
        let floats = self.last.continuous.len() / self.ages.len();
        let mut first = 0;
        for (option, size) in self.last.discrete[lane * sizes.len()..].iter().zip(sizes) {
            row[first + *option as usize] = 1.0;
            first += size;
        }
        row[first..].copy_from_slice(&self.last.continuous[lane * floats..][..floats]);
    }
}

fn expect(name: &str, length: usize, expected: usize) -> Result<()> {
    if length == expected {
        return Ok(());
    }
    Err(Error::Usage(format!("a team was given {length} numbers of `{name}`, expected {expected}")))
}
