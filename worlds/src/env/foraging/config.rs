//! The settings of level-based foraging.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Foraging;
use crate::error::{Error, Result};

/// The settings of [`Foraging`]: rules of `Foraging-{size}x{size}-{agents}p-{foods}f-v3`.
///
/// Actions: 0 none, 1 north (a row up), 2 south, 3 west, 4 east, 5 load. A move off the field or onto food, and a load
/// without food beside, are none. All move at once: a cell that two claim, or one in which somebody stays, is entered
/// by nobody; two may change places. Then those that load beside the same food take it together where their levels sum
/// to its own at least, and share its level by theirs, in parts of all levels at the start with `normalised`; otherwise
/// each pays `penalty`. The episode ends when nothing is left. It is truncated after `max_episode_steps`, so that
/// learners value what would come after; `lbforaging` calls that terminated.
///
/// Observation: the food in sight, row by row, each (row, column, level), and (-1, -1, 0) for what is missing; then
/// oneself and the others in sight in the same way. Rows and columns count from the upper left corner of the window,
/// which does not leave the field. The window of other players is `lbforaging`'s: near the upper and left edges it
/// reaches up to twice as far as that of food. The state for a centralised critic is all observations.
///
/// The `return` of reports is the sum over players, as it is published (with `normalised` and no penalty the part of the
/// food's levels that was eaten). They have `eaten`, the part of the foods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForagingConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Players.
    #[schemars(range(min = 1, max = 64))]
    pub agents: usize,
    /// Rows, and columns.
    #[schemars(range(min = 5, max = 256))]
    pub size: usize,
    /// Foods at the start; fewer where there is no room.
    #[schemars(range(min = 1, max = 64))]
    pub foods: usize,
    /// How far a player sees in each direction; 0 for the whole field.
    #[schemars(range(min = 0, max = 256))]
    pub sight: usize,
    /// Every food has the highest level: the lowest three players, or all where they are fewer, have to load it
    /// together.
    pub cooperative: bool,
    /// The lowest and the highest level of players.
    pub player_levels: [u32; 2],
    /// The lowest level of food, where `cooperative` is off.
    #[schemars(range(min = 1, max = 1000))]
    pub lowest_food: u32,
    /// The highest level of food; 0 for the sum of the three lowest players' levels, or of all where they are fewer.
    #[schemars(range(min = 0, max = 3000))]
    pub highest_food: u32,
    /// What loading in vain costs.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub penalty: f64,
    /// Whether pay is in parts of all food at the start.
    pub normalised: bool,
    /// Whether players see levels of players.
    pub show_levels: bool,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    ForagingConfig => Foraging,
    "foraging",
    "level-based foraging: players load food together"
);

impl Default for ForagingConfig {
    /// `Foraging-8x8-2p-2f-v3`; 64 worlds.
    fn default() -> Self {
        ForagingConfig {
            worlds: 64,
            agents: 2,
            size: 8,
            foods: 2,
            sight: 0,
            cooperative: false,
            player_levels: [1, 2],
            lowest_food: 1,
            highest_food: 0,
            penalty: 0.0,
            normalised: true,
            show_levels: true,
            max_episode_steps: 50,
        }
    }
}

impl ForagingConfig {
    /// What can be checked beyond ranges.
    pub(super) fn check_levels(&self) -> Result<()> {
        let [low, high] = self.player_levels;
        if low < 1 || low > high || high > 1000 {
            let message = format!("expected two of 1 to 1000 in order, got [{low}, {high}]");
            return Err(Error::config("world.player_levels", message));
        }
        // The least that the highest level can be.
        let top = if self.highest_food > 0 { self.highest_food } else { low * self.agents.min(3) as u32 };
        if !self.cooperative && self.lowest_food > top {
            let message =
                format!("expected at most {top}, the highest level of food, got {}", self.lowest_food);
            return Err(Error::config("world.lowest_food", message));
        }
        if self.cooperative && self.lowest_food != ForagingConfig::default().lowest_food {
            let message = "1: it does nothing where world.cooperative is true";
            return Err(Error::config("world.lowest_food", message));
        }
        // Room for all, and for food that nobody stands on: a third of the cells is always free.
        if 3 * self.agents > 2 * self.size * self.size {
            let most = 2 * self.size * self.size / 3;
            let message = format!("expected at most {most} on such a field, got {}", self.agents);
            return Err(Error::config("world.agents", message));
        }
        Ok(())
    }

    /// How far players see.
    pub(super) fn sight(&self) -> i32 {
        (if self.sight == 0 { self.size } else { self.sight }) as i32
    }

    /// Numbers about a player in an observation.
    pub(super) fn player_length(&self) -> usize {
        if self.show_levels { 3 } else { 2 }
    }

    /// Numbers in an observation.
    pub(super) fn length(&self) -> usize {
        3 * self.foods + self.player_length() * self.agents
    }
}
