//! The caller's buffers, cut into what belongs to some worlds, and to one.

use crate::env::{Buffers, Spec};

/// Lengths of one world's part of each buffer.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub agents: usize,
    /// Per agent: how many actions it has.
    pub actions: Vec<u32>,
    state: usize,
    /// Per kind: agents, numbers in an observation, actions.
    kinds: Vec<[usize; 3]>,
}

impl Layout {
    pub fn new(spec: &Spec) -> Self {
        let kinds: Vec<_> =
            spec.kinds.iter().map(|k| [k.count, k.observation.iter().product(), k.actions]).collect();
        let actions =
            spec.kinds.iter().flat_map(|k| std::iter::repeat_n(k.actions as u32, k.count)).collect();
        Layout { agents: spec.agents(), actions, state: spec.state, kinds }
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

    /// Which actions all agents of a kind may take: `[count, actions]`, 1 or 0.
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
