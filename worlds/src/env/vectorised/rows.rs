//! The caller's buffers, cut into what belongs to some worlds, and to one.

use std::ops::Range;

use crate::action::{Actions, hold};
use crate::env::{Buffers, Spec};

/// Lengths of one world's part of each buffer, and what its agents can do.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub agents: usize,
    state: usize,
    /// Per kind: agents, numbers in an observation, options.
    kinds: Vec<[usize; 3]>,
    acts: Vec<Acts>,
    /// Bounds of the floats of one agent of each kind, kind after kind; empty where there are no floats.
    pub bounds: Vec<[f32; 2]>,
}

/// What an agent of a kind does, and where in the arrays.
#[derive(Debug, Clone)]
struct Acts {
    count: usize,
    /// Integers and floats of all agents of the kind in one world.
    each: [usize; 2],
    /// The options of each integer.
    sizes: Vec<u32>,
    bounds: Vec<[f32; 2]>,
    /// Where the kind's blocks begin, and how long they are for all worlds.
    discrete: [usize; 2],
    continuous: [usize; 2],
}

impl Layout {
    pub fn new(spec: &Spec) -> Self {
        let kinds = spec
            .kinds
            .iter()
            .map(|k| [k.count, k.observation.iter().product(), k.actions.options()])
            .collect();
        let mut at = [0, 0];
        let acts: Vec<Acts> = spec
            .kinds
            .iter()
            .map(|kind| {
                let lanes = spec.worlds * kind.count;
                let lengths = [lanes * kind.actions.integers(), lanes * kind.actions.floats()];
                let first = at;
                at = [at[0] + lengths[0], at[1] + lengths[1]];
                Acts {
                    count: kind.count,
                    each: [kind.count * kind.actions.integers(), kind.count * kind.actions.floats()],
                    sizes: kind.actions.sizes().iter().map(|size| *size as u32).collect(),
                    bounds: kind.actions.bounds(),
                    discrete: [first[0], lengths[0]],
                    continuous: [first[1], lengths[1]],
                }
            })
            .collect();
        let bounds = acts.iter().flat_map(|acts| &acts.bounds).copied().collect();
        Layout { agents: spec.agents(), state: spec.state, kinds, acts, bounds }
    }

    /// Whether every integer is an option and every float is finite, also of those who take no part.
    pub fn all_valid(&self, actions: &Actions) -> bool {
        self.acts.iter().all(|acts| {
            let discrete = &actions.discrete[acts.discrete[0]..][..acts.discrete[1]];
            match acts.sizes[..] {
                [] => true,
                [size] => discrete.iter().all(|action| *action < size),
                _ => {
                    let mut rows = discrete.chunks_exact(acts.sizes.len());
                    rows.all(|row| row.iter().zip(&acts.sizes).all(|(action, size)| action < size))
                }
            }
        }) && actions.continuous.iter().all(|number| number.is_finite())
    }

    /// Holds all floats to their bounds ([`Actions::hold`]).
    pub fn bound(&self, continuous: &mut [f32]) {
        for acts in &self.acts {
            hold(&mut continuous[acts.continuous[0]..][..acts.continuous[1]], &acts.bounds);
        }
    }

    /// Where an agent's integers and floats lie in the arrays of actions. Agents are counted through all kinds.
    pub fn actions_of(&self, world: usize, agent: usize) -> [Range<usize>; 2] {
        let mut at = agent;
        for acts in &self.acts {
            if at < acts.count {
                return [
                    ([acts.discrete[0], acts.each[0]], acts.sizes.len()),
                    ([acts.continuous[0], acts.each[1]], acts.bounds.len()),
                ]
                .map(|([first, each], size)| {
                    let start = first + world * each + at * size;
                    start..start + size
                });
            }
            at -= acts.count;
        }
        [0..0, 0..0]
    }

    /// For every agent of a world the options of each of its integers, and the bounds of each of its floats.
    pub fn spaces(&self) -> impl Iterator<Item = (&[u32], &[[f32; 2]])> {
        self.acts.iter().flat_map(|acts| std::iter::repeat_n((&acts.sizes[..], &acts.bounds[..]), acts.count))
    }
}

/// What the agents of one world do in a step.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    actions: &'a Actions,
    layout: &'a Layout,
    world: usize,
}

impl<'a> Chosen<'a> {
    pub(super) fn new(actions: &'a Actions, layout: &'a Layout, world: usize) -> Self {
        Chosen { actions, layout, world }
    }

    /// Kinds of agent.
    #[inline]
    pub fn kinds(&self) -> usize {
        self.layout.acts.len()
    }

    /// Agents of a kind.
    #[inline]
    pub fn count(&self, kind: usize) -> usize {
        self.layout.acts[kind].count
    }

    /// The integers of all agents of a kind: `[count, integers]`.
    #[inline]
    pub fn discrete(&self, kind: usize) -> &'a [u32] {
        let acts = &self.layout.acts[kind];
        let [size, _] = acts.each;
        &self.actions.discrete[acts.discrete[0] + self.world * size..][..size]
    }

    /// The floats of all agents of a kind, within their bounds: `[count, floats]`.
    #[inline]
    pub fn continuous(&self, kind: usize) -> &'a [f32] {
        let acts = &self.layout.acts[kind];
        let [_, size] = acts.each;
        &self.actions.continuous[acts.continuous[0] + self.world * size..][..size]
    }

    /// The integers and the floats of each agent, kind after kind.
    pub fn each(self) -> impl Iterator<Item = (&'a [u32], &'a [f32])> {
        self.layout.acts.iter().enumerate().flat_map(move |(kind, acts)| {
            let (discrete, continuous) = (self.discrete(kind), self.continuous(kind));
            let (integers, floats) = (acts.sizes.len(), acts.bounds.len());
            (0..acts.count).map(move |agent| {
                (&discrete[agent * integers..][..integers], &continuous[agent * floats..][..floats])
            })
        })
    }
}

/// The rows of worlds that follow one another.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    /// Per kind.
    observations: Vec<&'a mut [f32]>,
    /// Per kind.
    masks: Vec<&'a mut [f32]>,
    rewards: &'a mut [f32],
    terminated: &'a mut [bool],
    truncated: &'a mut [bool],
    active: &'a mut [bool],
    ended: &'a mut [bool],
    state: &'a mut [f32],
}

/// Cuts `length` off the front of `from`, or what there is.
fn cut<'a, T>(from: &mut &'a mut [T], length: usize) -> &'a mut [T] {
    let all = std::mem::take(from);
    let (head, tail) = all.split_at_mut(length.min(all.len()));
    *from = tail;
    head
}

impl<'a> Rows<'a> {
    /// The buffers of `worlds` worlds, cut into chunks of `chunk` worlds. Their lengths have been checked.
    pub fn chunks(out: &'a mut Buffers, layout: &Layout, worlds: usize, chunk: usize) -> Vec<Rows<'a>> {
        let by_kind = |from: &'a mut [f32], each: &dyn Fn(&[usize; 3]) -> usize| {
            let mut rest = from;
            layout.kinds.iter().map(|kind| cut(&mut rest, worlds * each(kind))).collect::<Vec<_>>()
        };
        let observation = |kind: &[usize; 3]| kind[0] * kind[1];
        let mask = |kind: &[usize; 3]| kind[0] * kind[2];
        let mut observations = by_kind(&mut out.observations, &observation);
        let mut masks = by_kind(&mut out.masks, &mask);
        let mut rewards = &mut out.rewards[..];
        let (mut terminated, mut truncated) = (&mut out.terminated[..], &mut out.truncated[..]);
        let (mut active, mut ended) = (&mut out.active[..], &mut out.ended[..]);
        let mut state = &mut out.state[..];
        let lanes = chunk * layout.agents;
        (0..worlds.div_ceil(chunk))
            .map(|_| Rows {
                observations: observations
                    .iter_mut()
                    .zip(&layout.kinds)
                    .map(|(rest, kind)| cut(rest, chunk * observation(kind)))
                    .collect(),
                masks: masks
                    .iter_mut()
                    .zip(&layout.kinds)
                    .map(|(rest, kind)| cut(rest, chunk * mask(kind)))
                    .collect(),
                rewards: cut(&mut rewards, lanes),
                terminated: cut(&mut terminated, lanes),
                truncated: cut(&mut truncated, lanes),
                active: cut(&mut active, lanes),
                ended: cut(&mut ended, chunk),
                state: cut(&mut state, chunk * layout.state),
            })
            .collect()
    }
}

/// The rows of one world.
#[derive(Debug)]
pub struct View<'a, 'b> {
    rows: &'a mut Rows<'b>,
    layout: &'a Layout,
    at: usize,
}

impl<'a, 'b> View<'a, 'b> {
    pub(super) fn new(rows: &'a mut Rows<'b>, layout: &'a Layout, at: usize) -> Self {
        View { rows, layout, at }
    }

    /// What all agents of a kind see: `[count, observation...]`.
    #[inline]
    pub fn observations(&mut self, kind: usize) -> &mut [f32] {
        let [count, length, _] = self.layout.kinds[kind];
        &mut self.rows.observations[kind][self.at * count * length..][..count * length]
    }

    /// What one agent sees; agents are counted within their kind.
    #[inline]
    pub fn observation(&mut self, kind: usize, agent: usize) -> &mut [f32] {
        let length = self.layout.kinds[kind][1];
        &mut self.observations(kind)[agent * length..][..length]
    }

    /// Which options all agents of a kind may take: `[count, options]`, 1 or 0.
    #[inline]
    pub fn masks(&mut self, kind: usize) -> &mut [f32] {
        let [count, _, actions] = self.layout.kinds[kind];
        &mut self.rows.masks[kind][self.at * count * actions..][..count * actions]
    }

    /// The state for a centralised critic.
    #[inline]
    pub fn state(&mut self) -> &mut [f32] {
        &mut self.rows.state[self.at * self.layout.state..][..self.layout.state]
    }

    /// Makes the state all observations, kind after kind; where it is at least as long.
    pub fn state_of_observations(&mut self) {
        let layout = self.layout;
        let mut state = &mut self.rows.state[self.at * layout.state..][..layout.state];
        for ([count, length, _], observations) in layout.kinds.iter().zip(&self.rows.observations) {
            let part = cut(&mut state, count * length);
            part.copy_from_slice(&observations[self.at * count * length..][..part.len()]);
        }
    }

    #[inline]
    pub(super) fn all_masks(&mut self) {
        for kind in 0..self.layout.kinds.len() {
            self.masks(kind).fill(1.0);
        }
    }

    #[inline]
    pub(super) fn active(&mut self) -> &mut [bool] {
        &mut self.rows.active[self.at * self.layout.agents..][..self.layout.agents]
    }

    #[inline]
    pub(super) fn set_ended(&mut self, ended: bool) {
        self.rows.ended[self.at] = ended;
    }

    /// Rewards, terminated, truncated, active.
    #[inline]
    pub(super) fn lanes(&mut self) -> (&mut [f32], &mut [bool], &mut [bool], &mut [bool]) {
        let part = self.at * self.layout.agents..(self.at + 1) * self.layout.agents;
        let rows = &mut *self.rows;
        (
            &mut rows.rewards[part.clone()],
            &mut rows.terminated[part.clone()],
            &mut rows.truncated[part.clone()],
            &mut rows.active[part],
        )
    }

    /// No rewards, no ends.
    #[inline]
    pub(super) fn clear(&mut self) {
        let (rewards, terminated, truncated, _) = self.lanes();
        rewards.fill(0.0);
        terminated.fill(false);
        truncated.fill(false);
    }
}
