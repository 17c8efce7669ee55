//! Cells that carry a state from step to step: GRU (Cho et al. 2014) and LSTM (Hochreiter and Schmidhuber 1997).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Core, CoreSettings, Remembered};
use crate::agent::{Sequence, StatePart};
use crate::graph::Tensor;
use crate::nn::{Builder, Gru, Lstm, Weights};
use crate::registry::Member;

/// A gated recurrent unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GruConfig {}

/// Long short-term memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LstmConfig {}

impl Member for GruConfig {
    const NAME: &'static str = "gru";
    const SUMMARY: &'static str = "a gated recurrent unit";
}

impl Member for LstmConfig {
    const NAME: &'static str = "lstm";
    const SUMMARY: &'static str = "long short-term memory";
}

impl CoreSettings for GruConfig {
    fn core(&self, builder: &mut Builder, features: usize) -> Option<Box<dyn Core>> {
        let separate = builder.has_lanes();
        Some(Box::new(Cell {
            layer: Layer::Gru(Gru::new(builder, "gru", features, features)),
            features,
            separate,
        }))
    }
}

impl CoreSettings for LstmConfig {
    fn core(&self, builder: &mut Builder, features: usize) -> Option<Box<dyn Core>> {
        let separate = builder.has_lanes();
        Some(Box::new(Cell {
            layer: Layer::Lstm(Lstm::new(builder, "lstm", features, features)),
            features,
            separate,
        }))
    }
}

enum Layer {
    Gru(Gru),
    Lstm(Lstm),
}

struct Cell {
    layer: Layer,
    features: usize,
    /// Every agent has weights of its own.
    separate: bool,
}

impl Core for Cell {
    fn state(&self) -> Vec<StatePart> {
        let names: &[&str] = match self.layer {
            Layer::Gru(_) => &["hidden"],
            Layer::Lstm(_) => &["hidden", "cell"],
        };
        names.iter().map(|name| StatePart { name: (*name).into(), shape: vec![self.features] }).collect()
    }

    fn run<'g>(
        &self,
        weights: &Weights<'g>,
        x: Tensor<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Remembered<'g> {
        let shape = x.shape();
        let (time, agents, worlds, features) = (shape[0], shape[1], shape[2], shape[3]);
        let resets = sequence.ages.equal(weights.graph().scalar(0.0));
        // With weights of their own agents are lanes and come first; else they are so many more rows.
        let (inputs, resets, rows) = if self.separate {
            (x.transpose(&[1, 0, 2, 3]), resets.transpose(&[1, 0, 2]), vec![agents, worlds])
        } else {
            let rows = agents * worlds;
            (x.reshape([time, rows, features]), resets.reshape([time, rows]), vec![rows])
        };
        let axis = isize::from(self.separate);
        let before = |i: usize| state[i].reshape([&rows[..], &[features]].concat());
        let back = |y: Tensor<'g>| match self.separate {
            true => y.transpose(&[1, 0, 2, 3]),
            false => y.reshape([time, agents, worlds, features]),
        };
        let last = |y: Tensor<'g>| y.slice(axis, time - 1, 1).reshape([agents, worlds, features]);
        let (features, state) = match &self.layer {
            Layer::Gru(layer) => {
                let hidden = layer.forward(weights, inputs, before(0), Some(resets));
                (back(hidden), vec![last(hidden)])
            }
            Layer::Lstm(layer) => {
                let out = layer.forward(weights, inputs, [before(0), before(1)], Some(resets));
                (back(out.hidden), vec![last(out.hidden), last(out.cells)])
            }
        };
        Remembered { features, state, attention: None }
    }
}
