//! How a team is unrolled over time: encoders, memory, cores, talk and heads, in their order.

use super::team::{Part, Team};
use super::{Policy, Sequence, Unrolled};
use crate::comm::{Heard, keys};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::memory::Glance;
use crate::nn::Weights;

/// A team that is unrolled while somebody looks on.
pub struct Watched<'g> {
    /// What came of it.
    pub unrolled: Unrolled<'g>,
    /// What every round of communication made, in their order.
    pub rounds: Vec<Heard<'g>>,
    /// What is to be seen of the shared memory, in a single step.
    pub memory: Option<Glance<'g>>,
}

/// Where a team is in the middle of unrolling: features and states of its parts, and what was heard and recalled.
#[derive(Default)]
struct Now<'g> {
    features: Vec<Tensor<'g>>,
    state: Vec<Vec<Tensor<'g>>>,
    attention: Option<Tensor<'g>>,
    rounds: Vec<Heard<'g>>,
    glance: Option<Glance<'g>>,
    /// Of what was said and written over steps.
    price: Option<Tensor<'g>>,
}

impl Team {
    /// As [`Policy::unroll`], with what every round of communication made, in their order, and what is to be seen of the
    /// memory. For a single step attention, gates and messages are there where the way of communicating has them.
    ///
    /// # Errors
    /// As there.
    pub fn watch<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Result<Watched<'g>> {
        let graph = weights.graph();
        self.check_sequence(&sequence, state)?;
        // For the two cores, and for each round of communication.
        let keys = keys(sequence.key, 2 + self.talk.rounds());
        let views: Vec<Sequence<'g>> = self.parts.iter().map(|part| self.view(part, sequence)).collect();
        let key = |which: usize, part: usize| match self.kinds {
            // Noise of its own.
            true => keys[which].fold_in(graph.constant_u32([], &[part as u32])),
            false => keys[which],
        };
        let encoded: Vec<_> =
            self.parts.iter().zip(&views).map(|(part, view)| part.body.encode(weights, view)).collect();
        graph.check()?;
        let features: Vec<Tensor<'g>> = encoded.iter().map(|(x, _)| *x).collect();
        let mut now = Now { features, state: self.own_states(state), ..Now::default() };
        let mut common = Vec::new();
        if self.talk.delay > 0 || self.recall.is_some() {
            common = self.over_time(weights, sequence, &keys, state, &mut now)?;
        } else {
            let cores = |i: usize| Sequence { key: key(0, i), ..views[i] };
            if self.talk.first {
                self.exchange(weights, &sequence, &keys[2..], &mut now)?;
            }
            self.recur(weights, cores, &mut now);
            if !self.talk.first {
                self.exchange(weights, &sequence, &keys[2..], &mut now)?;
            }
        }
        let (mut parameters, mut values, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (part, (_, identities))) in self.parts.iter().zip(&encoded).enumerate() {
            let view = Sequence { key: key(1, index), ..views[index] };
            let judge = &self.states_of(part, state)[part.body.own_state()..];
            let of = part.body.conclude(weights, now.features[index], *identities, view, judge)?;
            parameters.push(self.widen(&part.space, of.parameters));
            values.push(of.values);
            let [first, count] = part.agents;
            let room = |x: &Tensor<'g>| match self.kinds {
                true => x.pad(0, first, self.agents - first - count),
                false => *x,
            };
            after.extend(now.state[index].iter().chain(&of.state).map(room));
        }
        after.extend(common);
        let joined = |parts: Vec<Tensor<'g>>| match &parts[..] {
            [only] => *only,
            parts => graph.concat(parts, 1),
        };
        let heard = now.rounds.last().and_then(|heard| heard.attention).map(|a| a.reshape(&a.shape()[1..]));
        let prices = now.rounds.iter().filter_map(|heard| heard.price).chain(now.price);
        let price = prices.reduce(|sum, price| sum + price);
        let unrolled = Unrolled {
            parameters: joined(parameters),
            values: joined(values),
            state: after,
            attention: heard.or(now.attention),
            price,
        };
        Ok(Watched { unrolled, rounds: now.rounds, memory: now.glance })
    }

    /// All rounds of talk within a step.
    fn exchange<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: &Sequence<'g>,
        keys: &[Tensor<'g>],
        now: &mut Now<'g>,
    ) -> Result<()> {
        (now.features, now.rounds) = self.talk.exchange(weights, sequence, keys, &now.features)?;
        Ok(())
    }

    /// The cores of all parts over the features.
    fn recur<'g>(&self, weights: &Weights<'g>, sequences: impl Fn(usize) -> Sequence<'g>, now: &mut Now<'g>) {
        for (index, part) in self.parts.iter().enumerate() {
            let (x, state) = (now.features[index], std::mem::take(&mut now.state[index]));
            let remembered = part.body.recur(weights, x, sequences(index), &state);
            (now.features[index], now.state[index]) = (remembered.features, remembered.state);
            if !self.kinds {
                now.attention = remembered.attention;
            }
        }
    }

    /// Step by step, where what is said is heard later, or a memory is shared: agents hear, recall, think, and then speak
    /// and write down. Gives the state of what they have in common at the end.
    fn over_time<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        keys: &[Tensor<'g>],
        state: &[Tensor<'g>],
        now: &mut Now<'g>,
    ) -> Result<Vec<Tensor<'g>>> {
        let graph = weights.graph();
        let (time, agents) = (sequence.present.shape()[0], sequence.present.shape()[1]);
        let mut common = state[self.parts.iter().map(|part| part.body.state().len()).sum()..].iter().copied();
        let mut under_way = self.talk.state().and_then(|_| common.next());
        let mut held = self
            .recall
            .as_ref()
            .map_or(Vec::new(), |recall| recall.open(weights, &common.collect::<Vec<_>>()));
        let encoded = std::mem::take(&mut now.features);
        let mut steps: Vec<Vec<Tensor<'g>>> = vec![Vec::new(); self.parts.len()];
        let mut price: Option<Tensor<'g>> = None;
        for t in 0..time {
            let voices: Vec<_> = keys[2..].iter().map(|key| key.slice(0, t, 1)).collect();
            let step = sequence.steps(t, 1);
            let step = Sequence { key: voices.first().copied().unwrap_or(step.key), ..step };
            now.features = encoded.iter().map(|x| x.slice(0, t, 1)).collect();
            if let Some(under_way) = under_way {
                (now.features, now.rounds) = self.talk.hear(weights, &step, &now.features, under_way)?;
            } else if self.talk.first {
                self.exchange(weights, &step, &voices, now)?;
            }
            let mut recalled = None;
            if let Some(recall) = &self.recall {
                (now.features, recalled, now.glance) = recall.read(weights, &step, &now.features, &mut held);
            }
            let of = |i: usize| {
                let own = self.view(&self.parts[i], Sequence { key: keys[0], ..sequence }).steps(t, 1);
                Sequence { key: own.key.fold_in(graph.constant_u32([], &[i as u32])), ..own }
            };
            self.recur(weights, of, now);
            if under_way.is_none() && !self.talk.first {
                self.exchange(weights, &step, &voices, now)?;
            }
            let mut prices: Vec<_> = now.rounds.iter_mut().filter_map(|heard| heard.price.take()).collect();
            prices.extend(recalled);
            if let Some(recall) = &self.recall {
                let glance = now.glance.as_mut();
                prices.extend(recall.write(weights, &step, &now.features, &mut held, glance));
            }
            if let Some(before) = under_way {
                let spoken = self.talk.speak(weights, &step, &now.features, before)?;
                under_way = Some(spoken.said);
                prices.extend(spoken.price);
            }
            price = price.into_iter().chain(prices).reduce(|sum, price| sum + price);
            steps.iter_mut().zip(&now.features).for_each(|(all, x)| all.push(*x));
        }
        now.price = price.map(|price| price * (1.0 / time as f32));
        now.features = steps.iter().map(|steps| graph.concat(steps, 0)).collect();
        let remembered = self.recall.as_ref().map(|recall| recall.close(weights, held, agents));
        Ok(under_way.into_iter().chain(remembered.into_iter().flatten()).collect())
    }

    /// The part of the whole state that is a kind's.
    fn states_of<'g>(&self, part: &Part, state: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        let [first, count] = part.agents;
        let own = state.iter().skip(part.first_state).take(part.body.state().len());
        own.map(|x| if self.kinds { x.slice(0, first, count) } else { *x }).collect()
    }

    /// The cores' states, part by part.
    fn own_states<'g>(&self, state: &[Tensor<'g>]) -> Vec<Vec<Tensor<'g>>> {
        let of = |part: &Part| {
            let mut own = self.states_of(part, state);
            own.truncate(part.body.own_state());
            own
        };
        self.parts.iter().map(of).collect()
    }

    fn check_sequence(&self, sequence: &Sequence<'_>, state: &[Tensor<'_>]) -> Result<()> {
        let shape = sequence.observations.shape();
        let fits = shape.len() == 3 + self.observation.len() && shape[3..] == self.observation[..];
        let bound = self.kinds || self.parts[0].body.counts_agents() || self.links(0).is_some();
        let remembers = |agents| self.recall.as_ref().is_none_or(|recall| recall.fits(agents));
        let known = shape.len() < 2 || shape[1] == self.agents || !bound && remembers(shape[1]);
        if fits && known && state.len() == self.state().len() {
            return Ok(());
        }
        Err(Error::Graph(format!(
            "this team of {} takes observations [time, agents, worlds, {:?}] and {} parts of state, and was given \
             {shape:?} and {}",
            self.agents,
            self.observation,
            self.state().len(),
            state.len()
        )))
    }
}
