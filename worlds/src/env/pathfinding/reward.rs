//! What agents are paid, as data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::instance::out_of_range;
use crate::error::Result;

/// What one agent is paid in one step. A goal is reached as [`OnTarget`](super::OnTarget) says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RewardTable {
    /// Paid for a goal, in place of the rest; `None` where a goal is a step like any other.
    pub goal: Option<f32>,
    /// Paid for moving to the next cell of the agent's planned path.
    pub along_path: f32,
    /// Paid for any other step in which the agent chose to move, whether the move succeeded or not.
    pub moving: f32,
    /// Paid for any other step in which the agent chose to stay.
    pub waiting: f32,
}

/// Published tables (SRMT, arXiv 2501.13200, table 2), or one's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rewards {
    /// +1 for a goal.
    Pogema,
    /// +1 for a goal; the same as [`Rewards::Pogema`], by SRMT's name.
    Sparse,
    /// +1 for a goal, -0.01 for any other step.
    Dense,
    /// +1 for a goal, +0.005 for a step along the planned path.
    Directional,
    /// +1 for a goal, -0.005 for a step along the planned path, -0.01 for any other.
    DirectionalNegative,
    /// +1 for a goal, -0.01 for a step in which the agent chose to move, -0.005 for one in which it chose to stay.
    MovingNegative,
    /// +0.01 for a step along the planned path, the last one to the target included; nothing for the goal itself, as
    /// in SRMT's and Follower's lifelong training.
    Lifelong,
    /// One's own.
    Table(RewardTable),
}

impl Rewards {
    /// The numbers.
    pub fn table(&self) -> RewardTable {
        let table =
            |along_path, moving, waiting| RewardTable { goal: Some(1.0), along_path, moving, waiting };
        match *self {
            Rewards::Pogema | Rewards::Sparse => table(0.0, 0.0, 0.0),
            Rewards::Dense => table(-0.01, -0.01, -0.01),
            Rewards::Directional => table(0.005, 0.0, 0.0),
            Rewards::DirectionalNegative => table(-0.005, -0.01, -0.01),
            Rewards::MovingNegative => table(-0.01, -0.01, -0.005),
            Rewards::Lifelong => RewardTable { goal: None, ..table(0.01, 0.0, 0.0) },
            Rewards::Table(table) => table,
        }
    }
}

impl RewardTable {
    /// Whether the table needs planned paths.
    pub(super) fn needs_path(&self) -> bool {
        self.along_path != self.moving
    }

    pub(super) fn check(&self) -> Result<()> {
        let finite = [self.goal.unwrap_or(0.0), self.along_path, self.moving, self.waiting]
            .iter()
            .all(|v| v.is_finite());
        if finite { Ok(()) } else { Err(out_of_range("rewards", "finite numbers")) }
    }

    /// The pay of one agent's step.
    pub(super) fn pay(&self, goal: bool, along_path: bool, moving: bool) -> f32 {
        match self.goal {
            Some(value) if goal => value,
            _ if along_path => self.along_path,
            _ if moving => self.moving,
            _ => self.waiting,
        }
    }
}
