//! Rounds of communication between all agents of a team, of whatever kinds: within a step, or from one step to a later one.

use super::ports::Ports;
use super::team::TeamConfig;
use super::{Sequence, StatePart};
use crate::comm::{Company, Heard, Hearing, Layer, Spoken};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, Weights};

/// The part of a state that is said and not yet heard.
pub(super) const UNDER_WAY: &str = "said";

/// How the agents of a team talk.
pub(super) struct Talk {
    layers: Vec<Box<dyn Layer>>,
    ports: Ports,
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
        // Maps of features are for those who talk.
        let networks = if layers.is_empty() { &[] } else { networks };
        let ports = Ports::new(builder, all, networks, ["into_talk", "out_of_talk"]);
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

    fn hearing<'g>(sequence: &Sequence<'g>, key: Tensor<'g>) -> Hearing<'g> {
        let Sequence { present, edges, mode, .. } = *sequence;
        Hearing { observations: sequence.flat(), present, edges, watch: sequence.watched(), key, mode }
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
        let mut x = self.ports.join(weights, parts);
        let mut rounds = Vec::with_capacity(self.layers.len());
        for (layer, key) in self.layers.iter().zip(keys) {
            let hearing = Self::hearing(sequence, *key);
            let mut heard = layer.exchange(weights, x, hearing)?;
            heard.said = heard.said.or(hearing.watch.then_some(x));
            let heard = self.settle(x, heard, &hearing);
            x = heard.features;
            rounds.push(heard);
        }
        Ok((self.ports.part(weights, parts, x), rounds))
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
        let x = self.ports.join(weights, parts);
        let heard = layer.hear(weights, x, said, hearing)?;
        let heard = self.settle(x, heard, &hearing);
        Ok((self.ports.part(weights, parts, heard.features), vec![heard]))
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
        let Spoken { said, price } = layer.speak(weights, self.ports.join(weights, parts), hearing)?;
        let said = (said * here).reshape([shape[1], shape[2], 1, layer.width()]);
        let said = match self.delay {
            1 => said,
            delay => graph.concat(&[under_way.slice(2, 1, delay - 1), said], 2),
        };
        Ok(Spoken { said, price })
    }
}
