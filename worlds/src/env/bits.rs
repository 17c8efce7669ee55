//! Independent bits: every agent chooses 0 or 1, and all are paid how many chose 1. Nobody's choice depends on the others',
//! and yet what each is paid scatters with what they do: the plainest problem of credit among many.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("bits")?.with_worlds(1).with_agents(3)?.build(0)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true], &mut out)?;
//! env.step(&[1, 0, 1].into(), &mut out)?;
//! assert_eq!(out.rewards, [2.0; 3]);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::Result;

/// Many worlds of bits at once.
pub type Bits = Vectorised<BitsConfig>;

/// The settings of [`Bits`].
///
/// An episode is one step, and all are alike: agents see a 1, and the state for a centralised critic is a 1. Reports have
/// `ones`, the share of agents that chose 1.
///
/// With even bits an episode's gradient by an agent's logit, `(bit - 1/2) x pay`, has the mean 1/4 and the variance
/// `(agents^2 + agents - 1) / 16`; with the mean pay taken off as a baseline `(agents - 1) / 16` is left, and nothing where
/// what the others are paid for is taken off too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BitsConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents of a world.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub agents: usize,
}

crate::env::config::world!(BitsConfig => Bits, "bits", "independent bits: all are paid how many agents chose 1");

impl Default for BitsConfig {
    /// 64 agents; 64 worlds.
    fn default() -> Self {
        BitsConfig { worlds: 64, agents: 64 }
    }
}

impl Rules for BitsConfig {
    type World = u32;
    const NAME: &'static str = "bits";
    const METRICS: &'static [&'static str] = &["ones"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("agent", self.agents, 1, 2)]
    }

    fn state(&self) -> usize {
        1
    }

    fn longest(&self) -> u32 {
        1
    }

    fn blank(&self) -> u32 {
        0
    }

    fn reset(&self, ones: &mut u32, _episode: u64, _random: &mut Pcg64) {
        *ones = 0;
    }

    fn step(&self, ones: &mut u32, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        *ones = actions.discrete(0).iter().sum();
        pay.rewards.fill(*ones as f32);
        Outcome::Ends
    }

    fn observe(&self, _ones: &u32, view: &mut View) {
        view.observations(0).fill(1.0);
        view.state().fill(1.0);
    }

    fn metrics(&self, ones: &u32) -> Vec<f64> {
        vec![f64::from(*ones) / self.agents as f64]
    }

    fn visit(&self, ones: &mut u32, codec: &mut Codec) -> Result<()> {
        codec.one(ones)
    }

    fn valid(&self, ones: &u32) -> bool {
        *ones as usize <= self.agents
    }
}
