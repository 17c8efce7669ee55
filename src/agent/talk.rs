//! Rounds of communication between all agents of a team, of whatever kinds: within a step, or from one step to a later one.

use super::team::TeamConfig;
use super::{Sequence, StatePart};
use crate::comm::{Company, Heard, Hearing, Layer, Spoken};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, RELU_GAIN, Weights};

/// The part of a state that is said and not yet heard.
pub(super) const UNDER_WAY: &str = "said";

/// Where the agents of a kind stand among all, and how their features become the team's where theirs are of another
/// number: on the way in and on the way out.
struct Port {
    agents: [usize; 2],
    maps: Option<[Linear; 2]>,
}

/// How the agents of a team talk.
pub(super) struct Talk {
    layers: Vec<Box<dyn Layer>>,
    ports: Vec<Port>,
    residual: bool,
    /// Before the core, not after it.
    pub first: bool,
    /// Steps between saying and hearing.
    pub delay: usize,
}

impl Talk {
    /// Layers as the settings say for the agents of `company`. `networks` have the name, the first of the agents and their
    /// number, and the features of each network that talks. The settings have been checked.
    pub fn new(
        builder: &mut Builder,
        config: &TeamConfig,
        company: &Company,
        networks: &[(&str, [usize; 2], usize)],
    ) -> Self {
        let (way, all) = (&config.communication, company.features);
        let layers: Vec<_> = (0..config.rounds)
            .filter_map(|i| way.layer(builder, &format!("{}{i}", way.name()), company))
            .collect();
        let mut port = |&(name, agents, own): &(&str, [usize; 2], usize)| {
            let maps = (own != all && !layers.is_empty()).then(|| {
                builder.within(name, |b| {
                    [
                        Linear::new(b, "into_talk", own, all, RELU_GAIN),
                        Linear::new(b, "out_of_talk", all, own, 1.0),
                    ]
                })
            });
            Port { agents, maps }
        };
        let ports = networks.iter().map(&mut port).collect();
        Talk { layers, ports, residual: config.residual, first: config.talk_first, delay: way.delay() }
    }

    /// Rounds in a step.
    pub fn rounds(&self) -> usize {
        self.layers.len()
    }

    /// The layers.
    pub fn layers(&self) -> &[Box<dyn Layer>] {
        &self.layers
    }

    /// The layers, to be changed.
    pub fn layers_mut(&mut self) -> &mut [Box<dyn Layer>] {
        &mut self.layers
    }

    /// What is under way from a step to the next ones, the oldest first.
    pub fn state(&self) -> Option<StatePart> {
        let layer = self.layers.first().filter(|_| self.delay > 0)?;
        Some(StatePart { name: UNDER_WAY.into(), shape: vec![self.delay, layer.width()] })
    }

    /// Features of the kinds as those of all agents, `[time, agents, worlds, features]`.
    fn join<'g>(&self, weights: &Weights<'g>, parts: &[Tensor<'g>]) -> Tensor<'g> {
        let into = |(x, port): (&Tensor<'g>, &Port)| match &port.maps {
            Some([into, _]) => into.forward(weights, *x).relu(),
            None => *x,
        };
        match parts {
            [only] => into((only, &self.ports[0])),
            _ => weights.graph().concat(&parts.iter().zip(&self.ports).map(into).collect::<Vec<_>>(), 1),
        }
    }

    /// And back: the features that the kinds had, with what came of them.
    fn part<'g>(&self, weights: &Weights<'g>, before: &[Tensor<'g>], all: Tensor<'g>) -> Vec<Tensor<'g>> {
        let back = |(x, port): (&Tensor<'g>, &Port)| {
            let [first, count] = port.agents;
            let own = if before.len() == 1 { all } else { all.slice(1, first, count) };
            match &port.maps {
                Some([_, out]) => *x + out.forward(weights, own),
                None => own,
            }
        };
        before.iter().zip(&self.ports).map(back).collect()
    }

    fn hearing<'g>(sequence: &Sequence<'g>, key: Tensor<'g>) -> Hearing<'g> {
        let Sequence { observations, present, edges, mode, .. } = *sequence;
        let shape = present.shape();
        let numbers = observations.shape().get(3..).unwrap_or_default().iter().product();
        let observations = observations.reshape([&shape[..], &[numbers]].concat());
        Hearing { observations, present, edges, watch: shape[0] == 1, key, mode }
    }

    /// What a layer made of features, made the next features: the absent neither hear nor say anything.
    fn settle<'g>(&self, x: Tensor<'g>, mut heard: Heard<'g>, hearing: &Hearing<'g>) -> Heard<'g> {
        let here = hearing.present.reshape([&hearing.present.shape()[..], &[1]].concat());
        let features = if self.residual { x + heard.features } else { heard.features };
        heard.features = features * here;
        heard
    }

    /// All rounds within a step, a key for each: the features after the last, and what each round made, watched where a
    /// single step is looked at. What nobody says otherwise are the features that a round was given.
    pub fn exchange<'g>(
        &self,
        weights: &Weights<'g>,
        sequence: &Sequence<'g>,
        keys: &[Tensor<'g>],
        parts: &[Tensor<'g>],
    ) -> Result<(Vec<Tensor<'g>>, Vec<Heard<'g>>)> {
        if self.layers.is_empty() {
            return Ok((parts.to_vec(), Vec::new()));
        }
        let mut x = self.join(weights, parts);
        let mut rounds = Vec::with_capacity(self.layers.len());
        for (layer, key) in self.layers.iter().zip(keys) {
            let hearing = Self::hearing(sequence, *key);
            let mut heard = layer.exchange(weights, x, hearing)?;
            heard.said = heard.said.or(hearing.watch.then_some(x));
            let heard = self.settle(x, heard, &hearing);
            x = heard.features;
            rounds.push(heard);
        }
        Ok((self.part(weights, parts, x), rounds))
    }

    /// Hears at one step what was said some steps ago; `under_way` is `[agents, worlds, delay, width]`.
    pub fn hear<'g>(
        &self,
        weights: &Weights<'g>,
        step: &Sequence<'g>,
        parts: &[Tensor<'g>],
        under_way: Tensor<'g>,
    ) -> Result<(Vec<Tensor<'g>>, Vec<Heard<'g>>)> {
        let Some(layer) = self.layers.first() else { return Ok((parts.to_vec(), Vec::new())) };
        let graph = weights.graph();
        let hearing = Self::hearing(step, step.key);
        let shape = hearing.present.shape();
        // What was said in an agent's last episode is forgotten.
        let old_enough = step.ages.greater_equal(graph.scalar(self.delay as f32));
        let said = under_way.slice(2, 0, 1).reshape([shape[0], shape[1], shape[2], layer.width()]);
        let said = said * old_enough.reshape([&shape[..], &[1]].concat());
        let x = self.join(weights, parts);
        let heard = layer.hear(weights, x, said, hearing)?;
        let heard = self.settle(x, heard, &hearing);
        Ok((self.part(weights, parts, heard.features), vec![heard]))
    }

    /// Says at one step what will be heard later: what is under way after it.
    pub fn speak<'g>(
        &self,
        weights: &Weights<'g>,
        step: &Sequence<'g>,
        parts: &[Tensor<'g>],
        under_way: Tensor<'g>,
    ) -> Result<Spoken<'g>> {
        let Some(layer) = self.layers.first() else { return Ok(Spoken { said: under_way, price: None }) };
        let graph = weights.graph();
        let hearing = Self::hearing(step, step.key);
        let shape = hearing.present.shape();
        let here = hearing.present.reshape([&shape[..], &[1]].concat());
        let Spoken { said, price } = layer.speak(weights, self.join(weights, parts), hearing)?;
        let said = (said * here).reshape([shape[1], shape[2], 1, layer.width()]);
        let said = match self.delay {
            1 => said,
            delay => graph.concat(&[under_way.slice(2, 1, delay - 1), said], 2),
        };
        Ok(Spoken { said, price })
    }
}
