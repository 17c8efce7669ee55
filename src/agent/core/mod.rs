//! Cores: what an agent makes of what it sees now together with what it has seen before. One file a family, each behind
//! [`Core`], between an encoder and the heads of `agent::team`. Cells that work step by step stand in `gated`,
//! state space models in `ssm`, transformers over the last encodings (SRMT among them) in `transformer`.
//!
//! ```
//! use synod::agent::core::{CoreConfig, GruConfig};
//! use synod::agent::team::TeamConfig;
//! let team = TeamConfig { core: CoreConfig::new(GruConfig {}), ..TeamConfig::default() };
//! assert_eq!(team.core, CoreConfig::named("gru")?);
//! # Ok::<(), synod::Error>(())
//! ```

mod gated;
mod ssm;
mod transformer;

pub use gated::{GruConfig, LstmConfig};
pub use ssm::{Model, SsmConfig};
pub use transformer::{AttentionConfig, MemoryConfig, RmtConfig, SrmtCoreConfig};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Sequence, StatePart};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Builder, Weights};
use crate::registry::{Kind, Member, Table, family};

/// What a core makes of a sequence.
pub struct Remembered<'g> {
    /// `[time, agents, worlds, features]`.
    pub features: Tensor<'g>,
    /// The state after the last step, in the order of [`Core::state`].
    pub state: Vec<Tensor<'g>>,
    /// In inference of one step, where the core reads the memories of others: `[agents, worlds, heads, agents]`.
    pub attention: Option<Tensor<'g>>,
}

/// A recurrent core with its parameters.
pub trait Core: Send + Sync {
    /// Its state; a state starts as zeros.
    fn state(&self) -> Vec<StatePart>;

    /// Runs over encodings `[time, agents, worlds, features]` of a sequence from `state` on. Nothing of the state counts
    /// at an agent's first step (age 0). With weights of their own agents are the leading lanes of every parameter.
    fn run<'g>(
        &self,
        weights: &Weights<'g>,
        encodings: Tensor<'g>,
        sequence: Sequence<'g>,
        state: &[Tensor<'g>],
    ) -> Remembered<'g>;
}

/// Settings of a core, and what they build.
pub trait CoreSettings: Table {
    /// The core over so many features, its parameters taken from `builder`; `None` for an agent that sees the present
    /// only.
    fn core(&self, builder: &mut Builder, features: usize) -> Option<Box<dyn Core>>;

    /// Settings that other parameters or another meaning of them follow from, in words for checkpoints.
    fn describe(&self) -> String {
        String::new()
    }

    /// Numbers that an agent lets others read at each step.
    fn said(&self, _features: usize) -> usize {
        0
    }

    /// Checks the settings against the width of the network.
    ///
    /// # Errors
    /// The first setting out of range.
    fn check(&self, _features: usize) -> Result<()> {
        Ok(())
    }
}

/// Every core of this crate.
const CORES: &[Kind<Cores>] = &[
    Kind::<Cores>::of::<NoCore>(),
    Kind::<Cores>::of::<GruConfig>(),
    Kind::<Cores>::of::<LstmConfig>(),
    Kind::<Cores>::of::<SsmConfig>(),
    Kind::<Cores>::of::<AttentionConfig>(),
    Kind::<Cores>::of::<RmtConfig>(),
    Kind::<Cores>::of::<SrmtCoreConfig>(),
];

family! {
    /// The settings of a core of any kind, told apart by `kind`.
    CoreConfig, Cores = "core", CoreSettings, CORES
}

/// No core: the agent sees the present only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoCore {}

impl Member for NoCore {
    const NAME: &'static str = "none";
    const SUMMARY: &'static str = "the agent sees the present only";
}

impl CoreSettings for NoCore {
    fn core(&self, _: &mut Builder, _: usize) -> Option<Box<dyn Core>> {
        None
    }
}
