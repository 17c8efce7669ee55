//! Slots that all agents read and write.
//!
//! An agent with features `x` reads by attention of several heads over the slots `M` and has `x + O(read)` from then on.
//! After its core it offers a candidate `K y` with an importance `i = sigma(w y)` between 0 and 1. Where that is above a
//! threshold, the least important slot becomes `(1 - i) M_j + i tanh(K y)` and its importance `(1 - i) r_j + i i`; agents
//! write one after another in the order of their numbers; importances fade by a factor at every step. The op is
//! [`MemoryWrite`](crate::op::memory::MemoryWrite). One importance is both what opens the way into a slot and what holds
//! the slot: the first carries the gradient that the second, a matter of which slot is replaced, cannot. Where slots are
//! allocated as needed it opens the way wholly or not at all ([`Allocation::Dynamic`]).
//!
//! Slots are held as they differ from their learned start, spread over the agents as a part of their state: so
//! checkpoints, replays, and programs that act need to know nothing of them.

use super::compression::Codec;
use super::level::Level;
use super::settings::{Allocation, SlotsConfig};
use super::{Noted, Recalled, Scene, StatePart, Store};
use crate::comm::{Company, Mode, drawn};
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, Weights};

/// What is added to how far what is written rises: at first it nearly does.
const RISING: f32 = 2.0;

/// The chance that what does not seem worth it is written in learning.
const TRIED: f32 = 0.05;

/// Keeps logarithms finite.
const LEAST: f32 = 1e-6;

/// By how much queries are larger than candidates at first.
const LOOKING_GAIN: f32 = 2.0;

/// Slots in levels, and the maps by which agents read and write.
pub(super) struct Slots {
    heads: usize,
    decay: f32,
    threshold: f32,
    lasting: bool,
    allocation: Allocation,
    levels: Vec<Level>,
    codec: Codec,
    query: Linear,
    output: Linear,
    candidate: Linear,
    importance: Linear,
    /// Which level to read, and how far what is written rises; none where there is one level.
    which: Option<[Linear; 2]>,
}

impl Slots {
    pub fn new(builder: &mut Builder, config: &SlotsConfig, company: &Company) -> Slots {
        let SlotsConfig { memory_dim: dim, heads, decay, threshold, lasting, allocation, .. } = *config;
        let (features, agents) = (company.features, company.agents().max(1));
        let width = config.compression.width(dim);
        let described = config.levels();
        let count = described.len();
        let (levels, codec) = builder.common(|b| {
            let level = |(name, rooms, slots)| Level::new(b, name, rooms, slots, width, agents);
            let levels: Vec<_> = described.into_iter().map(level).collect();
            (levels, Codec::new(b, config.compression, dim))
        });
        let seen = match allocation {
            Allocation::Fixed => features,
            Allocation::Dynamic { .. } => features + 2,
        };
        // Agents look at first for what is like what they would write: so they find what was written of what they see now,
        // and need to learn only how to tell more apart, not for each thing anew what it was written like.
        let [candidate, query] = builder.twins(
            |b| Linear::new(b, "candidate", features, dim, 1.0),
            |b| Linear::new(b, "query", features, dim, LOOKING_GAIN),
        );
        Slots {
            heads,
            decay,
            threshold,
            lasting,
            allocation,
            levels,
            codec,
            query,
            output: Linear::new(builder, "output", dim, features, 1.0),
            candidate,
            importance: Linear::new(builder, "importance", seen, 1, 1.0),
            which: (count > 1).then(|| {
                [
                    Linear::new(builder, "level", features, count, 1.0),
                    Linear::new(builder, "rise", features, count - 1, 1.0),
                ]
            }),
        }
    }

    /// Of each level what agents find in their room, `[worlds, agents, dim]`, for queries of the same shape, in what slots
    /// say; and, where wanted, `[agents, worlds, heads, slots]`, where they look.
    fn look<'g>(
        &self,
        scene: &Scene<'g>,
        query: Tensor<'g>,
        held: &[Tensor<'g>],
        watch: bool,
    ) -> (Vec<Tensor<'g>>, Vec<Tensor<'g>>) {
        let graph = query.graph();
        let (mut found, mut looks) = (Vec::new(), Vec::new());
        for (index, level) in self.levels.iter().enumerate() {
            let (importance, said) = (held[2 * index + 1], held[2 * self.levels.len() + index]);
            let members = level.members(graph, scene);
            let valid = matches!(self.allocation, Allocation::Dynamic { .. })
                .then(|| importance.greater(graph.scalar(0.0)));
            let asked = level.enter(query);
            if watch {
                let shape = importance.shape();
                let mask = valid.map(|valid| valid.reshape([shape[0], shape[1], 1, shape[2]]));
                let weights = asked.attention_weights(said, self.heads, mask, false);
                // [worlds, rooms, those in it, heads, slots]
                looks.push(level.seen(weights.swap(-3, -2), members));
            }
            found.push(level.leave(asked.memory_read(said, self.heads, valid), members));
        }
        (found, looks)
    }

    /// A step's worlds begin: what slots hold is forgotten, unless it lasts.
    fn begin<'g>(&self, scene: &Scene<'g>, held: &mut [Tensor<'g>]) {
        if self.lasting {
            return;
        }
        let graph = scene.ages.graph();
        let worlds = scene.ages.shape()[2];
        let goes_on = scene.ages.max(&[1]).minimum(graph.scalar(1.0));
        for (i, x) in held.iter_mut().enumerate() {
            let lanes: &[usize] = if i % 2 == 0 { &[worlds, 1, 1, 1] } else { &[worlds, 1, 1] };
            *x = *x * goes_on.reshape(lanes);
        }
    }

    /// Slots that are read are kept. Gives how far importances are from what is read, as a cross entropy.
    fn keep<'g>(
        &self,
        scene: &Scene<'g>,
        looks: &[Tensor<'g>],
        held: &mut [Tensor<'g>],
    ) -> Option<Tensor<'g>> {
        let Allocation::Dynamic { kept_by_reading, .. } = self.allocation else { return None };
        let graph = scene.present.graph();
        let one = graph.scalar(1.0);
        let mut price: Option<Tensor<'g>> = None;
        for (looks, importance) in looks.iter().zip(held.iter_mut().skip(1).step_by(2)) {
            let (shape, here) = (importance.shape(), scene.present.shape());
            // By agents that are there: [agents, worlds, slots].
            let each = looks.detach().mean(&[2]).reshape([here[1], here[2], shape[1] * shape[2]])
                * scene.present.reshape([here[1], here[2], 1]);
            let read = each.sum(&[0]).minimum(one).reshape(&shape);
            let in_use = importance.greater(graph.scalar(0.0));
            let entropy =
                read * (*importance + LEAST).log() + (one - read) * (one - *importance + LEAST).log();
            let mean = (entropy * in_use).sum_all() / in_use.sum_all().maximum(one);
            price = [price, Some(-mean)].into_iter().flatten().reduce(|sum, more| sum + more);
            *importance = *importance + read * (one - *importance) * in_use * kept_by_reading;
        }
        price
    }

    /// Which gates `[worlds, rooms, those in it]` open where slots are allocated, wholly or not at all: those of what will be
    /// read more than `free`, and in learning some others.
    fn opened<'g>(level: &Level, scene: &Scene<'g>, importance: Tensor<'g>, free: f32) -> Tensor<'g> {
        let graph = importance.graph();
        let worth = importance.greater(graph.scalar(free));
        if scene.mode == Mode::Acting {
            return worth;
        }
        let lanes = [1, scene.present.shape()[1], scene.present.shape()[2], 1];
        let luck = level.enter(by_world(drawn(scene.key, &lanes, |key, of| key.random_uniform(of))));
        let tried = luck.reshape(&luck.shape()[..3]).less(graph.scalar(TRIED));
        // The absent, and those in other rooms, write nothing: their importance is 0.
        worth.maximum(tried) * importance.greater(graph.scalar(0.0))
    }

    /// What an agent's importance of writing is seen by: its features and, where slots are allocated, how far memory is
    /// from its candidate, and how full it is. All are `[1, agents, worlds, ..]`.
    fn situation<'g>(
        &self,
        scene: &Scene<'g>,
        features: Tensor<'g>,
        code: Tensor<'g>,
        held: &[Tensor<'g>],
        weights: &Weights<'g>,
    ) -> Tensor<'g> {
        if self.allocation == Allocation::Fixed {
            return features;
        }
        // What the importance learns is no affair of what it is told by.
        let features = features.detach();
        let graph = features.graph();
        let shape = features.shape();
        let (agents, worlds) = (shape[1], shape[2]);
        let said = self.codec.decode(weights, code);
        let (found, _) = self.look(scene, said, held, false);
        let nearest = found.iter().map(|found| (*found - said).square().mean(&[-1]));
        let Some(error) = nearest.reduce(|a, b| a.minimum(b)) else { return features };
        let in_use = held.iter().skip(1).step_by(2).take(self.levels.len());
        let shares = in_use.map(|r| r.greater(graph.scalar(0.0)).mean(&[1, 2]).reshape([1, 1, worlds, 1]));
        let Some(pressure) = shares.reduce(|a, b| a.maximum(b)) else { return features };
        let error = error.detach().reshape([1, worlds, agents, 1]).transpose(&[0, 2, 1, 3]);
        graph.concat(&[features, error, pressure.broadcast_to([1, agents, worlds, 1])], 3)
    }
}

/// `[1, agents, worlds, numbers]` as `[worlds, agents, numbers]`.
fn by_world(x: Tensor<'_>) -> Tensor<'_> {
    let shape = x.shape();
    x.transpose(&[0, 2, 1, 3]).reshape([shape[2], shape[1], shape[3]])
}

/// And back.
fn by_agent(x: Tensor<'_>) -> Tensor<'_> {
    let shape = x.shape();
    x.reshape([1, shape[0], shape[1], shape[2]]).transpose(&[0, 2, 1, 3])
}

impl Store for Slots {
    fn state(&self) -> Vec<StatePart> {
        let part = |level: &Level| {
            let [slots, importance] = level.state();
            [
                StatePart { name: format!("memory of {}", level.name), shape: slots },
                StatePart { name: format!("importance of {}", level.name), shape: importance },
            ]
        };
        self.levels.iter().flat_map(part).collect()
    }

    fn open<'g>(&self, _: &Weights<'g>, state: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        self.levels.iter().zip(state.chunks(2)).flat_map(|(level, state)| level.open(state)).collect()
    }

    fn read<'g>(
        &self,
        weights: &Weights<'g>,
        scene: &Scene<'g>,
        features: Tensor<'g>,
        held: &mut Vec<Tensor<'g>>,
    ) -> Recalled<'g> {
        let graph = weights.graph();
        held.truncate(2 * self.levels.len());
        self.begin(scene, held);
        // What the slots say is worked out once a step.
        for (index, level) in self.levels.iter().enumerate() {
            let slots = held[2 * index];
            let start = level.start(weights, slots.shape()[2]);
            held.push(self.codec.decode(weights, slots + start));
        }
        let query = by_world(self.query.forward(weights, features));
        let dynamic = self.allocation != Allocation::Fixed;
        let (found, looks) = self.look(scene, query, held, scene.watch || dynamic);
        let price = self.keep(scene, &looks, held);
        let read = match &self.which {
            None => found[0],
            Some([which, _]) => {
                let share = by_world(which.forward(weights, features).softmax(-1));
                let part = |(i, found): (usize, &Tensor<'g>)| *found * share.slice(2, i, 1);
                found.iter().enumerate().map(part).reduce(|sum, x| sum + x).unwrap_or(found[0])
            }
        };
        let features = features + self.output.forward(weights, by_agent(read));
        Recalled { features, price, reads: scene.watch.then(|| graph.concat(&looks, 3)) }
    }

    fn write<'g>(
        &self,
        weights: &Weights<'g>,
        scene: &Scene<'g>,
        features: Tensor<'g>,
        held: &mut Vec<Tensor<'g>>,
    ) -> Noted<'g> {
        let graph = weights.graph();
        let shape = features.shape();
        let (agents, worlds) = (shape[1], shape[2]);
        let candidate = self.candidate.forward(weights, features);
        let code = self.codec.encode(weights, candidate);
        let mut price = self.codec.reconstruction(weights, candidate, code);
        let mut add = |more: Option<Tensor<'g>>| {
            price = [price, more].into_iter().flatten().reduce(|sum, more| sum + more);
        };
        let code = by_world(code);
        let seen = self.situation(scene, features, code, held, weights);
        let here = by_world(scene.present.reshape([1, agents, worlds, 1]));
        let mut importance = by_world(self.importance.forward(weights, seen).sigmoid()) * here;
        let rises = self
            .which
            .as_ref()
            .map(|[_, rise]| by_world((rise.forward(weights, features) + RISING).sigmoid()));
        let (mut all, mut written, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = 0;
        for (index, level) in self.levels.iter().enumerate() {
            if let Some(rises) = rises.filter(|_| index > 0) {
                // What is written anywhere is written everywhere at first, nearly.
                importance = importance * rises.slice(2, index - 1, 1);
            }
            let members = level.members(graph, scene);
            let mut gates = level.enter(importance);
            if let Some(members) = members {
                gates = gates * members.reshape([&members.shape()[..], &[1]].concat());
            }
            let own = gates.reshape(&gates.shape()[..3]);
            let gates = match self.allocation {
                Allocation::Fixed => own,
                Allocation::Dynamic { free, .. } => Self::opened(level, scene, own, free),
            };
            let (slots, ranks) = (held[2 * index], held[2 * index + 1]);
            let start = level.start(weights, slots.shape()[2]);
            let [now, ranks, taken] = (slots + start).memory_write(
                ranks,
                level.enter(code),
                gates,
                own,
                self.decay,
                self.threshold,
            );
            let (now, more) = self.codec.kept(weights, now);
            add(more);
            let (mut now, mut ranks) = (now - start, ranks);
            if let Allocation::Dynamic { free, .. } = self.allocation {
                let used = ranks.greater_equal(graph.scalar(free));
                now = now * used.reshape([&used.shape()[..], &[1]].concat());
                ranks = ranks * used;
            }
            if scene.watch {
                let count = ranks.shape()[2];
                all.push(importance);
                written.push(self.places(level, taken, members, [first, count]));
                kept.push(ranks.reshape([worlds, ranks.shape()[1] * count]));
                first += ranks.shape()[1] * count;
            }
            (held[2 * index], held[2 * index + 1]) = (now, ranks);
        }
        let by_agents = |x: Vec<Tensor<'g>>| scene.watch.then(|| graph.concat(&x, 2).transpose(&[1, 0, 2]));
        Noted {
            price,
            importance: by_agents(all),
            written: by_agents(written),
            kept: scene.watch.then(|| graph.concat(&kept, 1)),
        }
    }

    fn close<'g>(&self, _: &Weights<'g>, held: Vec<Tensor<'g>>, agents: usize) -> Vec<Tensor<'g>> {
        let levels = self.levels.iter().zip(held.chunks(2));
        levels.flat_map(|(level, held)| level.close([held[0], held[1]], agents)).collect()
    }

    fn importances(&self) -> Vec<usize> {
        (0..self.levels.len()).map(|level| 2 * level + 1).collect()
    }

    fn levels(&self, agents: usize) -> Vec<(&'static str, usize)> {
        self.levels.iter().map(|level| (level.name, level.count(agents) * level.slots)).collect()
    }

    fn fits(&self, agents: usize) -> bool {
        self.levels.iter().all(|level| level.fits(agents))
    }
}

impl Slots {
    /// The number of the slot that each agent wrote to, `[worlds, agents, 1]`, counted over all; -1 where it wrote nothing.
    fn places<'g>(
        &self,
        level: &Level,
        taken: Tensor<'g>,
        members: Option<Tensor<'g>>,
        [first, count]: [usize; 2],
    ) -> Tensor<'g> {
        let graph = taken.graph();
        let shape = taken.shape();
        let (worlds, rooms, inside) = (shape[0], shape[1], shape[2]);
        let taken = taken.to_f32();
        let wrote = taken.less(graph.scalar(count as f32));
        let before: Vec<f32> = (0..rooms).map(|room| (first + room * count) as f32).collect();
        // One more than the number, and 0 for none: so that rooms that an agent is not in add nothing.
        let place = (taken + graph.constant([1, rooms, 1], &before) + 1.0) * wrote;
        level.leave(place.reshape([worlds, rooms, inside, 1]), members) - 1.0
    }
}
