//! Memories that agents share: where what one of them has seen waits until another needs it. A store is read before an
//! agent's core and written after it (and after agents have talked), step by step, in the worlds' order of agents;
//! gradients flow from what is read back through the store to whoever wrote it.
//!
//! What lives here: the stores. Slots that all read and write (`slots`), in levels (`level`), as they are or as codes
//! (`compression`); a vector of each agent's own that all may read (`vectors`). An agent's private memory is its core, in
//! `agent::core`.
//!
//! ```
//! use synod::memory::{MemoryConfig, SlotsConfig};
//! let memory = MemoryConfig::new(SlotsConfig { memory_size: 32, memory_dim: 64, ..SlotsConfig::default() });
//! assert_eq!(memory.name(), "slots");
//! # Ok::<(), synod::Error>(())
//! ```

mod compression;
mod level;
mod settings;
mod slots;
mod vectors;

pub use compression::Compression;
pub use level::Groups;
pub use settings::{Allocation, SlotsConfig};
pub use vectors::VectorsConfig;
pub(crate) use vectors::read_vectors;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::comm::{Company, Mode};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, Weights};
use crate::registry::{Kind, Member, Table, family};

/// A part of an agent's recurrent state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePart {
    /// Its name in checkpoints.
    pub name: String,
    /// Its shape for one agent; for all it is `[agents, worlds, shape...]`.
    pub shape: Vec<usize>,
}

/// A step of all agents.
#[derive(Clone, Copy)]
pub struct Scene<'g> {
    /// `[1, agents, worlds, numbers]`: what each agent sees.
    pub observations: Tensor<'g>,
    /// `[1, agents, worlds]`: steps since an agent's episode began. A world's episode begins where all are 0.
    pub ages: Tensor<'g>,
    /// `[1, agents, worlds]`: 1 where an agent is in its world.
    pub present: Tensor<'g>,
    /// Keys of random numbers, u32 `[1, worlds, 2]`.
    pub key: Tensor<'g>,
    /// What the network is unrolled for.
    pub mode: Mode,
    /// Whether somebody looks on: [`Glance`] is made.
    pub watch: bool,
}

/// What is to be seen of a memory in a step.
#[derive(Clone, Copy)]
pub struct Glance<'g> {
    /// `[agents, worlds, heads, slots]`: how much each agent reads of each slot, over all levels.
    pub reads: Tensor<'g>,
    /// `[agents, worlds, levels]`: with what importance each agent writes to each level.
    pub importance: Option<Tensor<'g>>,
    /// `[agents, worlds, levels]`: the number of the slot that each agent's writing went to, counted over all slots; -1
    /// where it went nowhere.
    pub written: Option<Tensor<'g>>,
    /// `[worlds, slots]`: the importance that each slot has after the step.
    pub kept: Option<Tensor<'g>>,
}

/// A memory with its parameters.
///
/// What it holds during a run of steps are tensors of the store's own layout: [`Store::open`] makes them of the agents'
/// state, [`Store::close`] makes a state of them again.
pub trait Store: Send + Sync {
    /// Its state, spread over the agents; a state starts as zeros.
    fn state(&self) -> Vec<StatePart>;

    /// What it holds at the first step, of the state `[agents, worlds, ..]`.
    fn open<'g>(&self, weights: &Weights<'g>, state: &[Tensor<'g>]) -> Vec<Tensor<'g>>;

    /// The features `[1, agents, worlds, features]` of the agents joined by what they read.
    fn read<'g>(
        &self,
        weights: &Weights<'g>,
        scene: &Scene<'g>,
        features: Tensor<'g>,
        held: &mut Vec<Tensor<'g>>,
    ) -> Recalled<'g>;

    /// Writes what the agents have to say in view of their features after the step.
    fn write<'g>(
        &self,
        weights: &Weights<'g>,
        scene: &Scene<'g>,
        features: Tensor<'g>,
        held: &mut Vec<Tensor<'g>>,
    ) -> Noted<'g>;

    /// The state after the last step, for so many agents.
    fn close<'g>(&self, weights: &Weights<'g>, held: Vec<Tensor<'g>>, agents: usize) -> Vec<Tensor<'g>>;

    /// The parts of its state in which each number is the importance of a slot: it is in use where that is above 0.
    fn importances(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Names of its levels, and the slots of all rooms of each for so many agents, in the order in which [`Glance`] counts
    /// them.
    fn levels(&self, agents: usize) -> Vec<(&'static str, usize)>;

    /// Whether it works for so many agents, which are not as many as it was made for.
    fn fits(&self, _agents: usize) -> bool {
        true
    }
}

/// What came of reading.
pub struct Recalled<'g> {
    /// `[1, agents, worlds, features]`.
    pub features: Tensor<'g>,
    /// A number that the loss grows by.
    pub price: Option<Tensor<'g>>,
    /// `[agents, worlds, heads, slots]`, where the step is looked at.
    pub reads: Option<Tensor<'g>>,
}

/// What came of writing.
#[derive(Default)]
pub struct Noted<'g> {
    /// A number that the loss grows by.
    pub price: Option<Tensor<'g>>,
    /// As [`Glance::importance`], where the step is looked at.
    pub importance: Option<Tensor<'g>>,
    /// As [`Glance::written`].
    pub written: Option<Tensor<'g>>,
    /// As [`Glance::kept`].
    pub kept: Option<Tensor<'g>>,
}

/// Settings of a store, and what they build.
pub trait MemorySettings: Table {
    /// The store for such agents, its parameters taken from `builder`; `None` where there is no memory.
    fn store(&self, builder: &mut Builder, company: &Company) -> Option<Box<dyn Store>>;

    /// Settings that other parameters or another meaning of them follow from, in words for checkpoints.
    fn describe(&self) -> String {
        String::new()
    }

    /// Numbers that an agent lets others read at each step.
    fn said(&self, _features: usize) -> usize {
        0
    }

    /// Bytes that a world's memory takes, codes counted as they can be stored.
    fn bytes(&self, _company: &Company) -> usize {
        0
    }

    /// Checks the settings against the agents that are to share it.
    ///
    /// # Errors
    /// The first setting out of range.
    fn check(&self, _company: &Company) -> Result<()> {
        Ok(())
    }
}

/// Every store of this crate.
const MEMORIES: &[Kind<Memories>] = &[
    Kind::<Memories>::of::<NoMemory>(),
    Kind::<Memories>::of::<SlotsConfig>(),
    Kind::<Memories>::of::<VectorsConfig>(),
];

family! {
    /// The settings of a memory that agents share, told apart by `kind`.
    MemoryConfig, Memories = "memory", MemorySettings, MEMORIES
}

/// No memory but the agents' own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoMemory {}

impl Member for NoMemory {
    const NAME: &'static str = "none";
    const SUMMARY: &'static str = "agents share no memory";
}

impl MemorySettings for NoMemory {
    fn store(&self, _: &mut Builder, _: &Company) -> Option<Box<dyn Store>> {
        None
    }
}

/// Numbers `[agents, worlds, share, width]` that are spread over agents as `[worlds, rows, width]`: agent 0 holds the
/// first rows, and so on.
fn gathered<'g>(spread: Tensor<'g>, rows: usize) -> Tensor<'g> {
    let shape = spread.shape();
    let (agents, worlds, share, width) = (shape[0], shape[1], shape[2], shape[3]);
    spread.transpose(&[1, 0, 2, 3]).reshape([worlds, agents * share, width]).slice(1, 0, rows)
}

/// The other way, each agent with room for `share` rows: [`gathered`] finds them again for any number of agents.
fn spread<'g>(gathered: Tensor<'g>, agents: usize, share: usize) -> Tensor<'g> {
    let shape = gathered.shape();
    let (worlds, rows, width) = (shape[0], shape[1], shape[2]);
    gathered.pad(1, 0, agents * share - rows).reshape([worlds, agents, share, width]).transpose(&[1, 0, 2, 3])
}
