//! Agents that look up what to do: a table with a row for every observation that was met and a number for each option.
//! How its numbers are learned lives in `train::tabular`; here they are only looked up, as any other policy acts.
//!
//! Tables of many seeds stand side by side: world `w` is played by the tables of seed `w % seeds`, so that thousands of
//! independent runs are learned and judged as one.
//!
//! ```
//! use synod::preset::Settings;
//! let settings = Settings::preset("climbing-hysteretic")?;
//! let policy = settings.policy(&synod::Device::cpu())?;
//! assert_eq!(policy.seeds(), 1000);
//! # Ok::<(), synod::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgentSettings, Policy, Sequence, StatePart, Unrolled};
use crate::Device;
use crate::env::{Spec, memory};
use crate::error::{Error, Result};
use crate::graph::{CpuCall, GpuCall, GpuPlan, Graph, Op, Tensor, VjpCall};
use crate::nn::initial::Initial;
use crate::nn::{Builder, Parameter, Parameters, Weights};
use crate::registry::Member;
use crate::schema;
use crate::shape::{DType, MAXIMUM_ELEMENTS, TensorType};

/// The settings of tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TableConfig {
    /// Independent runs that are learned side by side, each with tables of its own: world `w` belongs to run `w %
    /// seeds`. Must divide the number of worlds.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub seeds: usize,
    /// Observations that there is room for. A world that shows more of them ends the training.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub states: usize,
}

impl Default for TableConfig {
    fn default() -> Self {
        TableConfig { seeds: 1, states: 4096 }
    }
}

impl Member for TableConfig {
    const NAME: &'static str = "table";
    const SUMMARY: &'static str = "a table of what to do in each observation, for tabular learning";
}

impl AgentSettings for TableConfig {
    fn policy(&self, device: &Device, spec: &Spec, separate: bool, _seed: u64) -> Result<Box<dyn Policy>> {
        Ok(Box::new(Table::new(device, self, spec, separate)?))
    }
}

/// Sizes of the tables of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSizes {
    /// Runs side by side.
    pub seeds: usize,
    /// Tables of a run: one for each agent, or one that all share.
    pub tables: usize,
    /// Rows of a table.
    pub states: usize,
    /// Numbers of a row.
    pub options: usize,
}

impl TableSizes {
    /// The sizes that these settings give.
    ///
    /// # Errors
    /// Several kinds of agent, actions that are not one discrete choice, settings out of range, or more cells than
    /// there is room for.
    pub fn of(config: &TableConfig, spec: &Spec, separate: bool) -> Result<TableSizes> {
        schema::check("agent", config)?;
        let kind = spec.only_kind("a table")?;
        let options = kind.actions.one_choice("a table")?;
        let tables = if separate { kind.count } else { 1 };
        let sizes = TableSizes { seeds: config.seeds, tables, states: config.states, options };
        sizes.check("numbers", options)?;
        Ok(sizes)
    }

    /// Refuses tables with rows of so many numbers that are together more than [`MAXIMUM_ELEMENTS`] cells, or more
    /// than the machine has memory for.
    ///
    /// # Errors
    /// [`Error::Config`] with their size.
    pub fn check(&self, what: &str, row: usize) -> Result<()> {
        let TableSizes { seeds, tables, states, .. } = *self;
        let cells = [seeds, tables, states, row].iter().fold(1u128, |all, n| all.saturating_mul(*n as u128));
        if cells > MAXIMUM_ELEMENTS as u128 {
            let message = format!(
                "tables of less than 2^31 cells together: {seeds} seeds x {tables} tables x {states} states x {row} \
                 {what} are {cells}"
            );
            return Err(Error::config("agent.states", message));
        }
        memory::require("agent.states", Some(cells as usize * size_of::<f32>()))
    }
}

/// Tables as a policy.
pub struct Table {
    sizes: TableSizes,
    agents: usize,
    observation: Vec<usize>,
    parameters: Parameters,
    keys: Parameter,
    values: Parameter,
}

impl Table {
    /// Empty tables for the agents of such worlds; with `separate`, each agent has its own.
    ///
    /// # Errors
    /// As [`TableSizes::of`], or no room on the device.
    pub fn new(device: &Device, config: &TableConfig, spec: &Spec, separate: bool) -> Result<Table> {
        let sizes = TableSizes::of(config, spec, separate)?;
        let kind = spec.only_kind("a table")?;
        let mut builder = Builder::new(0);
        let keys = builder.parameter("keys", [sizes.states, KEY], Initial::Zeros);
        let shape = [sizes.seeds, sizes.tables, sizes.states, sizes.options];
        let values = builder.parameter("values", shape, Initial::Zeros);
        let parameters = builder.build(device)?;
        let (agents, observation) = (kind.count, kind.observation.clone());
        Ok(Table { sizes, agents, observation, parameters, keys, values })
    }
}

impl Policy for Table {
    fn architecture(&self) -> String {
        let TableSizes { seeds, tables, states, options } = self.sizes;
        format!(
            "table seeds={seeds} tables={tables} states={states} options={options} agents={} observation={:?}",
            self.agents, self.observation
        )
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn state(&self) -> Vec<StatePart> {
        Vec::new()
    }

    fn seeds(&self) -> usize {
        self.sizes.seeds
    }

    fn unroll<'g>(
        &self,
        graph: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        _: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        let operands = [sequence.flat(), weights.get(self.keys), weights.get(self.values)];
        let parameters = graph.apply_one(LookUp, &operands);
        let values = parameters.max(&[-1]).reshape(sequence.present.shape());
        Ok(Unrolled { parameters, values, state: Vec::new(), attention: None, price: None })
    }
}

/// Numbers of a key: 24 bits of the observation's hash each, of which the first is one more, so that it is never 0.
pub const KEY: usize = 2;

/// The key of an observation, and the row at which the search for it begins.
pub fn key(observation: &[f32], states: usize) -> ([f32; KEY], usize) {
    // FNV-1a by words, then the finish of splitmix64, so that every bit depends on every number. 0 and -0 are one
    // number.
    let hash = observation.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, x| {
        (hash ^ u64::from((x + 0.0).to_bits())).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let hash = hash ^ (hash >> 31);
    let part = |shift: u32| (hash >> shift & 0xff_ffff) as f32;
    // The upper half as a share of the rows: a division would cost more than all the rest.
    ([part(0) + 1.0, part(24)], (((hash >> 32) * states as u64) >> 32) as usize)
}

/// The row of an observation among `keys` (`[states, 2]`, zeros where a row is free).
///
/// # Errors
/// It has none; with the key that it would have, and the free row where that would lie, if there is one.
pub fn row(keys: &[f32], observation: &[f32]) -> Result<usize, ([f32; KEY], Option<usize>)> {
    let states = keys.len() / KEY;
    let (key, first) = key(observation, states);
    for step in 0..states {
        let at = if first + step < states { first + step } else { first + step - states };
        let there = &keys[at * KEY..][..KEY];
        if there == key {
            return Ok(at);
        }
        if there[0] == 0.0 {
            return Err((key, Some(at)));
        }
    }
    Err((key, None))
}

/// Rows of tables: observations `[time, agents, worlds, numbers]`, keys `[states, 2]` and values `[seeds, tables,
/// states, options]` give `[time, agents, worlds, options]`; zeros for what was never met.
#[derive(Debug)]
struct LookUp;

impl Op for LookUp {
    fn name(&self) -> &'static str {
        "look_up"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let [observations, keys, values] = operands else { return Err("takes three operands".into()) };
        let fits = match (&observations.shape[..], &keys.shape[..], &values.shape[..]) {
            ([_, agents, ..], [rows, KEY], [_, tables, states, _]) if observations.shape.len() == 4 => {
                rows == states && (*tables == 1 || tables == agents)
            }
            _ => false,
        };
        if !fits || operands.iter().any(|of| of.dtype != DType::F32) {
            return Err(
                "takes observations [time, agents, worlds, numbers], keys [states, 2] and values [seeds, \
                        tables, states, options], with one table or one an agent"
                    .into(),
            );
        }
        let shape = [&observations.shape[..3], &values.shape[3..]].concat();
        Ok(vec![TensorType::f32(shape)])
    }

    fn vjp<'g>(&self, _: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let message =
            "tables have no gradient: agent.kind = \"table\" is learned by learner.kind = \"tabular\"";
        Err(Error::NoGradient { op: self.name().into(), message: message.into() })
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        let (shape, table) = (call.inputs[0].shape(), call.inputs[2].shape());
        let (agents, worlds, numbers) = (shape[1], shape[2], shape[3]);
        let [seeds, tables, states, options] = [table[0], table[1], table[2], table[3]];
        let [observations, keys, values] = [0, 1, 2].map(|i| call.inputs[i].f32());
        let out = call.outputs[0].f32();
        for (lane, to) in out.chunks_exact_mut(options).enumerate() {
            let (agent, world) = (lane / worlds % agents, lane % worlds);
            match row(keys, &observations[lane * numbers..][..numbers]) {
                Ok(state) => {
                    let first = ((world % seeds * tables + agent % tables) * states + state) * options;
                    to.copy_from_slice(&values[first..first + options]);
                }
                Err(_) => to.fill(0.0),
            }
        }
        Ok(())
    }

    fn gpu(&self, _: &GpuCall<'_>) -> Result<GpuPlan> {
        Err(Error::config("device", "`cpu`: tables are looked up by the processor"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_have_rows_of_their_own_until_none_is_free() {
        let states = 37;
        let mut keys = vec![0.0; states * KEY];
        let seen = |i: usize| [i as f32, -0.5, (i % 3) as f32];
        for i in 0..states {
            let (key, free) = row(&keys, &seen(i)).expect_err("never met");
            keys[free.expect("a free row") * KEY..][..KEY].copy_from_slice(&key);
        }
        let mut rows: Vec<usize> = (0..states).map(|i| row(&keys, &seen(i)).expect("met")).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..states).collect::<Vec<_>>());
        assert_eq!(row(&keys, &seen(states)).expect_err("never met").1, None);
        assert_eq!(key(&[0.0, 1.0], states), key(&[-0.0, 1.0], states));
        assert_ne!(key(&[0.0, 1.0], 1 << 30).1, key(&[1.0, 0.0], 1 << 30).1);
    }
}
