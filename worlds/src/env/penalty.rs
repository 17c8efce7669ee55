//! The penalty game (Claus and Boutilier, AAAI 1998): of three actions two are best where both agents take the same
//! one of them, and cost a penalty where they take one each; the third is safe.
//!
//! ```
//! use synod_worlds::env::penalty::PenaltyConfig;
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::new(PenaltyConfig { worlds: 1, k: -30.0, rounds: 1 }).build(0)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true], &mut out)?;
//! env.step(&[0, 0].into(), &mut out)?; // one for the first, one for the second: they have missed each other
//! assert_eq!(out.rewards, [-30.0, -30.0]);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matrix_game::{MatrixGame, MatrixGameConfig};
use super::{VecEnv, WorldConfig, WorldSettings};
use crate::error::Result;
use crate::registry::Member;

/// The settings of the penalty game: [`MatrixGameConfig::penalty`] with its penalty as a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PenaltyConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// The penalty: what agents that miss each other are paid. The papers write it as -k or as k; either way it is a
    /// loss.
    #[schemars(range(min = -1e6, max = 1e6))]
    pub k: f64,
    /// How often the game is played in an episode.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub rounds: usize,
}

impl Default for PenaltyConfig {
    /// A penalty of -10, once in an episode; 64 worlds.
    fn default() -> Self {
        PenaltyConfig { worlds: 64, k: -10.0, rounds: 1 }
    }
}

impl PenaltyConfig {
    /// The matrix game that it is.
    pub fn game(&self) -> MatrixGameConfig {
        let game = MatrixGameConfig::penalty(self.k.abs());
        MatrixGameConfig { worlds: self.worlds, rounds: self.rounds, ..game }
    }
}

impl Member for PenaltyConfig {
    const NAME: &'static str = "penalty";
    const SUMMARY: &'static str = "the penalty game, in which missing each other costs k";
}

impl WorldSettings for PenaltyConfig {
    fn worlds(&self) -> usize {
        self.worlds
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(PenaltyConfig { worlds, ..self.clone() })
    }

    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        self.check()?;
        Ok(Box::new(MatrixGame::new(self.game(), seed)?))
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }
}
