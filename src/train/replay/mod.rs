//! Experience that is kept and learned from again and again: the last steps of every world, in which sequences are
//! drawn evenly or by priority (Schaul et al. 2016; for sequences Kapturowski et al. 2019). It lives in host memory.
//!
//! All worlds write at once, so that one ring of steps serves them all. A sequence may run over the end of an episode:
//! agents forget where a new one begins, and nothing is bootstrapped across (see [`Replay::targets`]).
//!
//! ```
//! use synod::action::ActionSpace;
//! use synod::train::replay::{Replay, Sizes};
//! let sizes = Sizes {
//!     steps: 64,
//!     agents: 2,
//!     worlds: 4,
//!     observation: 3,
//!     actions: ActionSpace::Discrete(5),
//!     masked: false,
//!     world_state: 0,
//!     state: Vec::new(),
//!     stride: 1,
//!     length: 2,
//! };
//! let replay = Replay::new(sizes, true)?;
//! assert!(replay.is_empty() && !replay.is_ready());
//! # Ok::<(), synod::Error>(())
//! ```

mod checkpoint;

use super::rollout::Experience;
use super::sum_tree::SumTree;
use crate::action::distribution::ACTION_INPUTS;
use crate::action::{ActionSpace, Actions};
use crate::env::memory;
use crate::error::{Error, Result};
use crate::nn::initial::Stream;
use crate::program::Program;

/// The sizes of what is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes {
    /// Steps kept of each world.
    pub steps: usize,
    /// Agents of a world.
    pub agents: usize,
    /// Worlds.
    pub worlds: usize,
    /// Numbers in an observation.
    pub observation: usize,
    /// What an agent can do.
    pub actions: ActionSpace,
    /// Whether actions are at times not allowed, and masks are kept.
    pub masked: bool,
    /// Numbers in a world's state.
    pub world_state: usize,
    /// Numbers in each part of an agent's recurrent state.
    pub state: Vec<usize>,
    /// Sequences begin at multiples of so many steps, and there the recurrent state is kept.
    pub stride: usize,
    /// Steps of a sequence.
    pub length: usize,
}

/// How sequences are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Priority {
    /// The power of a sequence's error; 0 draws evenly.
    pub alpha: f32,
    /// How far the uneven drawing is made up for by weights: 0 not at all, 1 wholly.
    pub beta: f32,
}

/// A sequence: where it begins, and its weight in the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// The world.
    pub world: usize,
    /// The place in the ring at which the sequence begins.
    pub slot: usize,
    /// Its weight; 1 where sequences are drawn evenly.
    pub weight: f32,
}

/// What a step of a sequence is to be worth, for each unit (an agent, or the team as one).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets {
    /// `[time, units]`: the discounted sum of the rewards up to where it bootstraps.
    pub returns: Vec<f32>,
    /// `[n, time, units]`: what the value `1 + i` steps later counts for in row `i`.
    pub bootstraps: Vec<f32>,
    /// `[time, units]`: 1 where the step counts.
    pub weights: Vec<f32>,
}

const TERMINATED: u8 = 1;
const TRUNCATED: u8 = 2;

/// The last steps of every world.
pub struct Replay {
    sizes: Sizes,
    /// Steps written so far.
    written: u64,
    /// `[steps, agents, worlds, observation]`, and so on.
    observations: Vec<f32>,
    ages: Vec<f32>,
    present: Vec<f32>,
    weights: Vec<f32>,
    rewards: Vec<f32>,
    actions: Actions,
    ends: Vec<u8>,
    masks: Vec<u8>,
    /// `[steps, worlds, state]`.
    world_state: Vec<f32>,
    /// Part by part: `[steps / stride, agents, worlds, size]`.
    state: Vec<Vec<f32>>,
    priorities: Option<(SumTree, f64)>,
}

impl Sizes {
    /// Numbers that are kept of an agent's mask.
    fn mask(&self) -> usize {
        if self.masked { self.actions.options() } else { 0 }
    }
}

impl Replay {
    /// An empty one.
    ///
    /// # Errors
    /// No space of actions, fewer steps than two sequences take, steps that are no multiple of the stride, or more than there is memory.
    pub fn new(sizes: Sizes, prioritised: bool) -> Result<Self> {
        let fault = |message: String| Err(Error::config("learner.replay", message));
        if [sizes.agents, sizes.worlds, sizes.length].contains(&0) {
            return Err(Error::Usage("a replay needs agents, worlds and sequences".into()));
        }
        sizes.actions.check()?;
        if sizes.stride == 0 || !sizes.steps.is_multiple_of(sizes.stride) {
            return fault(format!("a multiple of {} steps a world, got {}", sizes.stride, sizes.steps));
        }
        if sizes.steps / 2 < sizes.length {
            return fault(format!("at least twice {} steps a world, got {}", sizes.length, sizes.steps));
        }
        // Numbers of one step of one world; a state is counted as if it were kept at every step.
        let each = [sizes.observation, sizes.mask(), sizes.actions.integers(), sizes.actions.floats()]
            .iter()
            .chain(&sizes.state)
            .try_fold(8usize, |sum, n| sum.checked_add(*n));
        let total = each
            .and_then(|each| each.checked_mul(sizes.agents)?.checked_add(sizes.world_state))
            .and_then(|each| each.checked_mul(sizes.worlds)?.checked_mul(sizes.steps));
        if total.is_none_or(|t| t > 1 << 36) {
            return fault("less than 2^36 numbers in all".into());
        }
        memory::require("learner.replay", total.and_then(|numbers| numbers.checked_mul(4)))?;
        let lanes = sizes.agents * sizes.worlds;
        let steps = sizes.steps * lanes;
        let mark = sizes.steps / sizes.stride;
        Ok(Replay {
            written: 0,
            observations: vec![0.0; steps * sizes.observation],
            ages: vec![0.0; steps],
            present: vec![0.0; steps],
            weights: vec![0.0; steps],
            rewards: vec![0.0; steps],
            actions: Actions::zeros(&sizes.actions, steps),
            ends: vec![0; steps],
            masks: vec![0; steps * sizes.mask()],
            world_state: vec![0.0; sizes.steps * sizes.worlds * sizes.world_state],
            state: sizes.state.iter().map(|size| vec![0.0; mark * lanes * size]).collect(),
            priorities: prioritised.then(|| (SumTree::new(mark * sizes.worlds), 1.0)),
            sizes,
        })
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.written = 0;
        let leaves = self.sizes.steps / self.sizes.stride * self.sizes.worlds;
        self.priorities = self.priorities.take().map(|_| (SumTree::new(leaves), 1.0));
    }

    /// Steps of each world that are there to be drawn from.
    pub fn len(&self) -> usize {
        (self.written as usize).min(self.sizes.steps)
    }

    /// Steps of each world that were ever written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Whether there is nothing yet.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Whether a sequence can be drawn.
    pub fn is_ready(&self) -> bool {
        let (first, count) = self.beginnings();
        count > 0 && first <= self.written
    }

    /// The first step (of all written) at which a sequence may begin, and how many such steps there are.
    fn beginnings(&self) -> (u64, usize) {
        let stride = self.sizes.stride as u64;
        let oldest = self.written.saturating_sub(self.sizes.steps as u64).next_multiple_of(stride);
        match self.written.checked_sub(self.sizes.length as u64) {
            Some(last) if last >= oldest => (oldest, ((last - oldest) / stride + 1) as usize),
            _ => (oldest, 0),
        }
    }

    fn leaf(&self, step: u64, world: usize) -> usize {
        step as usize % self.sizes.steps / self.sizes.stride * self.sizes.worlds + world
    }

    /// Adds a rollout; the oldest steps make room.
    ///
    /// # Errors
    /// Its sizes are others, or its time is no divisor of the steps that are kept and no multiple of the stride.
    pub fn add(&mut self, experience: &Experience) -> Result<()> {
        let sizes = &self.sizes;
        experience.check()?;
        let (time, lanes) = (experience.time, sizes.agents * sizes.worlds);
        let states = experience.state.iter().map(Vec::len).eq(sizes.state.iter().map(|size| lanes * size));
        let fits = experience.agents == sizes.agents
            && experience.worlds == sizes.worlds
            && experience.observation == sizes.observation
            && experience.space == sizes.actions
            && experience.masks.len() == time * lanes * sizes.mask()
            && experience.world_state.len() == time * sizes.worlds * sizes.world_state
            && time > 0
            && sizes.steps.is_multiple_of(time)
            && (time.is_multiple_of(sizes.stride))
            && (self.written as usize % sizes.steps).is_multiple_of(time)
            && (sizes.state.is_empty() || (sizes.stride == time && states));
        if !fits {
            return Err(Error::Usage("a rollout of other sizes cannot be kept in this replay".into()));
        }
        let slot = self.written as usize % sizes.steps;
        let at = slot * lanes;
        let put = |to: &mut [f32], from: &[f32], size: usize| {
            to[at * size..at * size + from.len()].copy_from_slice(from);
        };
        put(&mut self.observations, &experience.observations, sizes.observation);
        put(&mut self.ages, &experience.ages, 1);
        put(&mut self.present, &experience.present, 1);
        put(&mut self.weights, &experience.weights, 1);
        put(&mut self.rewards, &experience.rewards, 1);
        put(&mut self.actions.continuous, &experience.actions.continuous, sizes.actions.floats());
        let integers = &experience.actions.discrete;
        self.actions.discrete[at * sizes.actions.integers()..][..integers.len()].copy_from_slice(integers);
        for i in 0..time * lanes {
            self.ends[at + i] = u8::from(experience.terminated[i]) * TERMINATED
                + u8::from(experience.truncated[i]) * TRUNCATED;
        }
        for (to, from) in self.masks[at * sizes.mask()..].iter_mut().zip(&experience.masks) {
            *to = u8::from(*from != 0.0);
        }
        let size = sizes.worlds * sizes.world_state;
        self.world_state[slot * size..(slot + time) * size].copy_from_slice(&experience.world_state);
        for ((to, from), size) in self.state.iter_mut().zip(&experience.state).zip(&sizes.state) {
            let at = slot / sizes.stride * lanes * size;
            to[at..at + lanes * size].copy_from_slice(from);
        }
        let (first, count) = self.beginnings();
        let known = first + (count * sizes.stride) as u64;
        let overwritten: Vec<u64> =
            (0..time as u64).step_by(sizes.stride).map(|t| self.written + t).collect();
        self.written += time as u64;
        let (first, count) = self.beginnings();
        let end = first + (count * self.sizes.stride) as u64;
        let stride = self.sizes.stride;
        let worlds = self.sizes.worlds;
        let leaves = |replay: &Replay, step: u64| -> std::ops::Range<usize> {
            let first = replay.leaf(step, 0);
            first..first + worlds
        };
        let gone: Vec<_> = overwritten.iter().map(|&step| leaves(self, step)).collect();
        let new: Vec<_> = (known.max(first)..end).step_by(stride).map(|step| leaves(self, step)).collect();
        if let Some((tree, highest)) = &mut self.priorities {
            gone.into_iter().flatten().for_each(|leaf| tree.set(leaf, 0.0));
            // What was never learned from is as urgent as anything.
            new.into_iter().flatten().for_each(|leaf| tree.set(leaf, *highest));
        }
        Ok(())
    }

    /// Draws `count` sequences. Weights are scaled so that the largest is 1.
    ///
    /// # Errors
    /// There is none yet ([`Replay::is_ready`]).
    pub fn draw(&self, count: usize, priority: Priority, stream: &mut Stream) -> Result<Vec<Draw>> {
        let (first, beginnings) = self.beginnings();
        if beginnings == 0 {
            return Err(Error::Usage("the replay holds no whole sequence yet".into()));
        }
        let (steps, stride, worlds) = (self.sizes.steps, self.sizes.stride, self.sizes.worlds);
        let Some((tree, _)) = &self.priorities else {
            return Ok((0..count)
                .map(|_| {
                    let pick = stream.below(beginnings * worlds);
                    let step = first + (pick / worlds * stride) as u64;
                    Draw { world: pick % worlds, slot: step as usize % steps, weight: 1.0 }
                })
                .collect());
        };
        let total = tree.total();
        let items = (beginnings * worlds) as f64;
        let mut draws: Vec<Draw> = (0..count)
            .map(|i| {
                // One from each of as many parts of equal weight.
                let leaf = tree.find((i as f64 + stream.uniform()) / count as f64 * total);
                let share = tree.get(leaf) / total * items;
                let weight = share.max(f64::MIN_POSITIVE).powf(-f64::from(priority.beta)) as f32;
                Draw { world: leaf % worlds, slot: leaf / worlds * stride, weight }
            })
            .collect();
        let most = draws.iter().fold(f32::MIN_POSITIVE, |m, d| m.max(d.weight));
        draws.iter_mut().for_each(|d| d.weight /= most);
        Ok(draws)
    }

    /// Refuses sequences that do not lie in what is kept.
    fn check(&self, draws: &[Draw]) -> Result<()> {
        let Sizes { steps, worlds, .. } = self.sizes;
        match draws.iter().find(|draw| draw.world >= worlds || draw.slot >= steps) {
            None => Ok(()),
            Some(draw) => {
                Err(Error::Usage(format!("{draw:?} is not in a replay of {steps} x {worlds} steps")))
            }
        }
    }

    /// Notes how large the errors of drawn sequences were.
    ///
    /// # Errors
    /// A sequence that is not in the replay.
    pub fn set_priorities(&mut self, draws: &[Draw], errors: &[f32], priority: Priority) -> Result<()> {
        self.check(draws)?;
        let (stride, worlds) = (self.sizes.stride, self.sizes.worlds);
        if let Some((tree, highest)) = &mut self.priorities {
            for (draw, error) in draws.iter().zip(errors) {
                // Nothing is ever wholly out of reach.
                let weight = (f64::from(*error) + 1e-6).powf(f64::from(priority.alpha));
                if weight.is_finite() {
                    tree.set(draw.slot / stride * worlds + draw.world, weight);
                    *highest = highest.max(weight);
                }
            }
        }
        Ok(())
    }

    /// Writes sequences into the inputs of a program over `[length, agents, draws]`: `observations`, `ages`, `present`,
    /// `masks`, `actions`, `continuous actions`, `state0`, `state1`, .. and `world state` `[length, draws, state]`. Inputs
    /// that the program lacks are left out.
    ///
    /// # Errors
    /// An input of another size, or a sequence that is not in the replay.
    pub fn fill(&self, program: &mut Program, draws: &[Draw]) -> Result<()> {
        self.check(draws)?;
        let Sizes { steps, agents, worlds, observation, world_state, stride, length, .. } = self.sizes;
        let (options, integers) = (self.sizes.mask(), self.sizes.actions.integers());
        let each = draws.len();
        // (t, agent, draw) lies at `to` in the program and at `from` here.
        let places = |mut copy: Box<dyn FnMut(usize, usize) + '_>| {
            for t in 0..length {
                for agent in 0..agents {
                    for (j, draw) in draws.iter().enumerate() {
                        let from = ((draw.slot + t) % steps * agents + agent) * worlds + draw.world;
                        copy((t * agents + agent) * each + j, from);
                    }
                }
            }
        };
        let expect = |name: &str, found: usize, size: usize| match found == size {
            true => Ok(()),
            false => {
                Err(Error::Usage(format!("input `{name}` has {found} elements, the replay gives {size}")))
            }
        };
        let rows = length * agents * each;
        for (name, source, size) in [
            ("observations", &self.observations, observation),
            ("ages", &self.ages, 1),
            ("present", &self.present, 1),
            (ACTION_INPUTS[1], &self.actions.continuous, self.sizes.actions.floats()),
        ] {
            let Some(input) = program.find_input(name) else { continue };
            expect(name, input.len(), rows * size)?;
            places(Box::new(|to, from| {
                input[to * size..(to + 1) * size].copy_from_slice(&source[from * size..(from + 1) * size]);
            }));
        }
        if let Some(input) = program.find_input("masks") {
            expect("masks", input.len(), rows * options)?;
            places(Box::new(|to, from| {
                for a in 0..options {
                    input[to * options + a] = f32::from(self.masks[from * options + a]);
                }
            }));
        }
        if let Some(input) = program.find_input_u32(ACTION_INPUTS[0]) {
            expect(ACTION_INPUTS[0], input.len(), rows * integers)?;
            places(Box::new(|to, from| {
                let kept = &self.actions.discrete[from * integers..(from + 1) * integers];
                input[to * integers..(to + 1) * integers].copy_from_slice(kept);
            }));
        }
        if let Some(input) = program.find_input("world state") {
            expect("world state", input.len(), length * each * world_state)?;
            for t in 0..length {
                for (j, draw) in draws.iter().enumerate() {
                    let from = ((draw.slot + t) % steps * worlds + draw.world) * world_state;
                    let to = (t * each + j) * world_state;
                    input[to..to + world_state].copy_from_slice(&self.world_state[from..from + world_state]);
                }
            }
        }
        for (i, (part, &size)) in self.state.iter().zip(&self.sizes.state).enumerate() {
            let name = format!("state{i}");
            let Some(input) = program.find_input(&name) else { continue };
            expect(&name, input.len(), agents * each * size)?;
            for agent in 0..agents {
                for (j, draw) in draws.iter().enumerate() {
                    let from = ((draw.slot / stride * agents + agent) * worlds + draw.world) * size;
                    let to = (agent * each + j) * size;
                    input[to..to + size].copy_from_slice(&part[from..from + size]);
                }
            }
        }
        Ok(())
    }

    /// What the steps `first .. first + count` of a sequence are worth by `n`-step returns at a discount of `gamma`:
    /// for every agent, or with `team` for the team as one (its reward is the mean over the agents, and it goes on
    /// while one of them does).
    ///
    /// The sum of rewards stops at a step that terminates, without a bootstrap, and at one that was cut off, with the
    /// value of what was seen after it. The sequence must reach `n` steps beyond.
    ///
    /// `bonus` says what an agent pays itself for a step of the sequence, beside what its world pays; nothing for one
    /// that terminates.
    ///
    /// # Errors
    /// A sequence that is not in the replay, or that is longer than the replay.
    pub fn targets(
        &self,
        draw: Draw,
        (first, count): (usize, usize),
        n: usize,
        gamma: f32,
        team: bool,
        bonus: &dyn Fn(usize, usize) -> f32,
    ) -> Result<Targets> {
        self.check(&[draw])?;
        let end = first.checked_add(count).and_then(|end| end.checked_add(n));
        if end.is_none_or(|end| end > self.sizes.steps) {
            return Err(Error::Usage(format!(
                "{count} steps from {first} on with {n} more do not fit into a replay of {}",
                self.sizes.steps
            )));
        }
        let agents = self.sizes.agents;
        let units = if team { 1 } else { agents };
        let mut targets = Targets {
            returns: vec![0.0; count * units],
            bootstraps: vec![0.0; n * count * units],
            weights: vec![0.0; count * units],
        };
        for unit in 0..units {
            for t in 0..count {
                let at = t * units + unit;
                let Some(start) = self.happened(draw, first + t, unit, team, bonus) else { continue };
                targets.weights[at] = 1.0;
                let (mut now, mut discount) = (start, 1.0f32);
                for m in 0..n {
                    targets.returns[at] += discount * now.reward;
                    if now.terminated {
                        break;
                    }
                    discount *= gamma;
                    let next = self.happened(draw, first + t + m + 1, unit, team, bonus);
                    match next {
                        Some(next) if !now.truncated && m + 1 < n => now = next,
                        _ => {
                            targets.bootstraps[(m * count + t) * units + unit] = discount;
                            break;
                        }
                    }
                }
            }
        }
        Ok(targets)
    }

    /// What a step paid a unit and whether its episode went on; none where the step does not count.
    fn happened(
        &self,
        draw: Draw,
        t: usize,
        unit: usize,
        team: bool,
        bonus: &dyn Fn(usize, usize) -> f32,
    ) -> Option<Happened> {
        let Sizes { steps, agents, worlds, .. } = self.sizes;
        let at = |agent: usize| ((draw.slot + t) % steps * agents + agent) * worlds + draw.world;
        let units = if team { 0..agents } else { unit..unit + 1 };
        let share = units.len() as f32;
        let mut all: Option<Happened> = None;
        for agent in units {
            let i = at(agent);
            if self.weights[i] == 0.0 {
                continue;
            }
            let all = all.get_or_insert(Happened { reward: 0.0, terminated: true, truncated: false });
            let terminated = self.ends[i] & TERMINATED > 0;
            let own = if terminated { 0.0 } else { bonus(t, agent) };
            all.reward += (self.rewards[i] + own) / share;
            all.terminated &= terminated;
            all.truncated |= !terminated && self.ends[i] & TRUNCATED > 0;
        }
        all
    }
}

#[derive(Debug, Clone, Copy)]
struct Happened {
    reward: f32,
    terminated: bool,
    truncated: bool,
}

#[cfg(test)]
mod tests;
