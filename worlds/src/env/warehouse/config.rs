//! The settings of the warehouse.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layout::LayoutSource;
use super::world::Warehouse;
use crate::env::vectorised::Vectorised;
use crate::env::{VecEnv, WorldConfig, WorldSettings};
use crate::error::{Error, Result};
use crate::registry::Member;

/// How many requests there are at a time, in parts of the robots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Difficulty {
    /// Two for each robot.
    Easy,
    /// One for each.
    Normal,
    /// One for two.
    Hard,
}

/// Who is paid for a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reward {
    /// Who brought the shelf: 1.
    Individual,
    /// Everybody: 1.
    Global,
    /// Who brought the shelf: .5, and .5 more when it next sets a shelf down.
    TwoStage,
}

/// Which of equally long queues for the same cell goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// That of the robot with the lower index.
    Lowest,
    /// That which RWARE 2.0.0 takes (an order that comes of its graph library), so that its episodes can be replayed.
    Original,
}

/// Batteries: a robot that is empty stands still until it is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Battery {
    /// What a battery holds, and has at the start; 0 for robots that need none.
    #[schemars(range(min = 0, max = 1 << 20))]
    pub capacity: u32,
    /// What a step takes in which a robot does nothing.
    #[schemars(range(min = 0, max = 1 << 20))]
    pub idle: u32,
    /// What a step takes in which it does something.
    #[schemars(range(min = 0, max = 1 << 20))]
    pub acting: u32,
    /// What a step takes more with a shelf.
    #[schemars(range(min = 0, max = 1 << 20))]
    pub carrying: u32,
    /// What a step at a charging cell gives.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub charging: u32,
}

impl Default for Battery {
    /// Off; else nothing for standing, 1 for an action, 1 more with a shelf, 10 back in a step of charging.
    fn default() -> Self {
        Battery { capacity: 0, idle: 0, acting: 1, carrying: 1, charging: 10 }
    }
}

/// Requests that differ in what they pay and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Priorities {
    /// What a request is worth, each as likely; empty for 1. At most 64 numbers from 0 to 1,000.
    pub weights: Vec<f32>,
    /// The fewest and the most steps until its deadline; `[0, 0]` for none.
    pub deadline: [u32; 2],
    /// The part of its worth that is paid after the deadline.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub late: f32,
}

impl Default for Priorities {
    /// Off; nothing for what is late.
    fn default() -> Self {
        Priorities { weights: Vec::new(), deadline: [0, 0], late: 0.0 }
    }
}

impl Priorities {
    /// Whether requests differ at all.
    pub(super) fn on(&self) -> bool {
        !self.weights.is_empty() || self.deadline[1] > 0
    }

    /// The most that a request can be worth.
    pub(super) fn highest(&self) -> f32 {
        self.weights.iter().copied().reduce(f32::max).unwrap_or(1.0)
    }
}

/// The settings of [`Warehouse`](super::Warehouse): RWARE's rules (Papoudakis et al. 2021, arXiv 2006.07869), those of
/// `rware` 2.0.0.
///
/// Actions: 0 nothing, 1 forward, 2 turn left, 3 turn right, 4 take up or set down a shelf; with message bits a choice
/// of two for each bit after it. Shelves are not set down on lanes, and a robot that carries one does not drive under
/// another. A requested shelf on a goal is delivered and another is requested in its place, which may not be one that
/// is. Robots drive at the same time: a queue into an empty cell moves together, rings of three or more turn, two do
/// not swap, and of the queues for one cell the longest goes.
///
/// An episode is truncated after `max_episode_steps`, so that learners value what would come after; RWARE calls it
/// terminated. `max_inactivity_steps` terminates.
///
/// Observation: x and y, whether it carries a shelf, its direction (up, down, left, right), whether it is on a lane;
/// with batteries its charge and whether it stands where it is charged; with `service` over 1 for each goal the part of
/// the service that is done and the robots, in parts of all, whose requested shelf is nearest to it. Then the cells
/// within `sensor_range`, row by row: whether there is a robot, its direction (up where there is none), its message,
/// whether there is a shelf, whether it is requested; with priorities its worth in parts of the highest, and the part
/// of the longest deadline that is left. The state for a centralised critic is all observations.
///
/// The `return` of reports is the sum over robots, as it is published for RWARE. They have `deliveries`, `late` (deliveries
/// after their deadline), `blocked` (times that a robot could not drive forward), `queued` (those with a requested shelf),
/// `empty` (robots without charge at the end).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WarehouseConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Robots in each world.
    #[schemars(range(min = 1, max = 1024))]
    pub agents: usize,
    /// The ground: `tiny`, `small`, `medium`, `large`, `blocks`, `text` or `file`.
    pub layout: LayoutSource,
    /// How many requests there are at a time, in parts of the robots.
    pub difficulty: Difficulty,
    /// How many requests there are at a time; 0 for as many as the difficulty says.
    #[schemars(range(min = 0, max = 1 << 16))]
    pub requests: usize,
    /// Who is paid for a delivery.
    pub reward: Reward,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub max_episode_steps: usize,
    /// Steps in a row without a delivery after which an episode ends; 0 for any number.
    #[schemars(range(min = 0, max = 1 << 30))]
    pub max_inactivity_steps: usize,
    /// How far a robot sees in each direction, in cells.
    #[schemars(range(min = 0, max = 16))]
    pub sensor_range: usize,
    /// Bits that a robot shows to those who see it.
    #[schemars(range(min = 0, max = 16))]
    pub message_bits: usize,
    /// Whether x and y are seen as parts of the largest there is, not as numbers of cells.
    pub normalised_coordinates: bool,
    /// Which of equally long queues for the same cell goes.
    pub ties: Ties,
    /// Batteries; off where the capacity is 0.
    pub battery: Battery,
    /// Steps that a requested shelf has to stand on a goal: goals are picking stations, and others have to wait.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub service: u32,
    /// What requests are worth, and until when.
    pub priorities: Priorities,
}

impl Default for WarehouseConfig {
    /// `rware-tiny-4ag-v2`; 64 worlds.
    fn default() -> Self {
        WarehouseConfig {
            worlds: 64,
            agents: 4,
            layout: LayoutSource::Tiny {},
            difficulty: Difficulty::Normal,
            requests: 0,
            reward: Reward::Individual,
            max_episode_steps: 500,
            max_inactivity_steps: 0,
            sensor_range: 1,
            message_bits: 0,
            normalised_coordinates: false,
            ties: Ties::Lowest,
            battery: Battery::default(),
            service: 1,
            priorities: Priorities::default(),
        }
    }
}

impl WarehouseConfig {
    /// The rules of the world: the settings with the layout that they name.
    ///
    /// # Errors
    /// A setting out of range, a layout that is none, more robots than cells or more requests than shelves.
    pub fn warehouse(&self) -> Result<Warehouse> {
        crate::schema::check("world", self)?;
        let layout = self.layout.layout()?;
        let cells = layout.width() * layout.height();
        if self.agents > cells {
            let message = format!("expected at most {cells}, one for each cell, got {}", self.agents);
            return Err(Error::config("world.agents", message));
        }
        let (requests, shelves) = (self.requested(), layout.shelves().len());
        if requests >= shelves {
            let key = if self.requests > 0 { "world.requests" } else { "world.agents" };
            let message = format!("expected fewer requests than the {shelves} shelves, got {requests}");
            return Err(Error::config(key, message));
        }
        if self.battery.capacity == 0 {
            let off = Battery::default();
            let keys = [
                ("idle", self.battery.idle, off.idle),
                ("acting", self.battery.acting, off.acting),
                ("carrying", self.battery.carrying, off.carrying),
                ("charging", self.battery.charging, off.charging),
            ];
            if let Some((key, _, default)) = keys.iter().find(|(_, got, default)| got != default) {
                let message = format!("{default}: it does nothing where world.battery.capacity is 0");
                return Err(Error::config(format!("world.battery.{key}"), message));
            }
        } else if !layout.has_charging() {
            return Err(Error::config("world.layout", "expected a cell to charge at (`c`) for batteries"));
        }
        self.check_priorities()?;
        Ok(Warehouse::new(self.clone(), layout, requests))
    }

    fn check_priorities(&self) -> Result<()> {
        let Priorities { weights, deadline: [soonest, latest], late } = &self.priorities;
        let weight = |weight: &f32| (0.0..=1000.0).contains(weight);
        if weights.len() > 64 || !weights.iter().all(weight) || weights.contains(&0.0) {
            let message = "expected at most 64 numbers above 0 and up to 1000";
            return Err(Error::config("world.priorities.weights", message));
        }
        if soonest > latest || *latest > 1 << 20 || (*soonest == 0 && *latest > 0) {
            let message = format!("expected two of 1 to {} in order, or [0, 0]", 1 << 20);
            return Err(Error::config("world.priorities.deadline", message));
        }
        if *latest == 0 && *late != 0.0 {
            let message = "0: it does nothing where world.priorities.deadline is [0, 0]";
            return Err(Error::config("world.priorities.late", message));
        }
        Ok(())
    }

    /// Requests at a time.
    fn requested(&self) -> usize {
        match (self.requests, self.difficulty) {
            (0, Difficulty::Easy) => 2 * self.agents,
            (0, Difficulty::Normal) => self.agents,
            (0, Difficulty::Hard) => self.agents / 2,
            (requests, _) => requests,
        }
    }
}

impl Member for WarehouseConfig {
    const NAME: &'static str = "warehouse";
    const SUMMARY: &'static str = "RWARE: robots bring requested shelves to goals and put them back";
}

impl WorldSettings for WarehouseConfig {
    fn worlds(&self) -> usize {
        self.worlds
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(Self { worlds, ..self.clone() })
    }

    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        Ok(Box::new(Vectorised::<Warehouse>::new(self.warehouse()?, seed)?))
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }
}
