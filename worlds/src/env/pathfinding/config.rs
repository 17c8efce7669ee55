//! The settings of [`Pathfinding`](super::Pathfinding).

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pathfinding;
use super::instance::{Instance, out_of_range};
use super::map::{MAX_SIDE, Map};
use super::reward::Rewards;
use crate::env::{VecEnv, WorldConfig, WorldSettings};
use crate::error::Result;
use crate::registry::Member;

/// How moves that get in each other's way are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Collision {
    /// Agents move one after another in index order; one moves if its cell is free of obstacle and agent by then. So
    /// an agent may follow one of a lower index, and blocks those that come later.
    Priority,
    /// A cell that an agent held at the start of the step is blocked, and so is one that two agents claim: neither
    /// gets it. No following.
    BlockBoth,
    /// Following and rotations are allowed, swapping is not; where several claim one cell and nobody stays in it, the
    /// lowest index gets it and the others stay, which sends back those that would have followed them.
    Soft,
}

/// What happens when an agent stands on its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTarget {
    /// The agent leaves the map; the goal is reached once.
    Finish,
    /// It stays on the map and may leave again; when all stand on their targets together each has reached its goal
    /// and the episode ends.
    Nothing,
    /// It has reached a goal and gets a new target at once; only the limit of steps ends the episode.
    Restart,
}

/// What an agent sees, as `[3, 2r + 1, 2r + 1]` about its cell. Outside the map there is a ring of obstacles one cell
/// wide, and nothing beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// POGEMA's: obstacles; agents, itself included; its own target, clamped to the window.
    Pogema,
    /// SRMT's (arXiv 2501.13200, section 4): obstacles as -1 with the agent's own planned path as +1, from its own
    /// cell until the path first leaves the window; agents, itself included; the other agents' targets.
    PlannedPath,
}

/// Who plans the path that an agent is shown and paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Planner {
    /// A shortest path on the map, other agents ignored (SRMT's default).
    Shortest,
    /// Follower's (arXiv 2310.01207, section 4.1): the cheapest path, where a cell costs more the more central it is
    /// and the more often another agent was seen on it since the agent got its target.
    Follower,
    /// As [`Planner::Follower`] without the cost of central cells: shortest paths that give way to whom the agent has
    /// seen.
    Congestion,
}

impl Planner {
    /// Whether plans are made anew at every step.
    pub(super) fn replans(self) -> bool {
        self != Planner::Shortest
    }
}

/// In which order a list of maps or instances is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Each episode draws one at random.
    Sampled,
    /// Episode `e` of world `w` uses number `w + e * worlds`, from the first again after the last: with as many
    /// worlds as entries every entry is used once in each round.
    Cycle,
}

/// What the fields of a [`Source`] are where a configuration names its kind alone.
mod defaults {
    pub fn size() -> usize {
        32
    }
    pub fn density() -> f64 {
        0.3
    }
    pub fn seeds() -> Vec<u64> {
        vec![0]
    }
    pub fn lengths() -> Vec<usize> {
        vec![3, 4, 5, 6, 7, 8, 12, 16, 17, 18, 20, 21, 22, 23, 24, 27]
    }
    pub fn maze_size() -> [usize; 2] {
        [17, 21]
    }
    pub fn wall_components() -> [usize; 2] {
        [2, 8]
    }
    pub fn maze_density() -> [f64; 2] {
        [0.25, 0.75]
    }
    pub fn shelves() -> usize {
        4
    }
    pub fn margin() -> usize {
        2
    }
}

/// Where instances come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A fresh random square map of `size` x `size`, each cell blocked with probability `density`.
    Random {
        /// Cells a side.
        #[serde(default = "defaults::size")]
        size: usize,
        /// The probability that a cell is blocked, in [0, 1].
        #[serde(default = "defaults::density")]
        density: f64,
    },
    /// POGEMA's instances of these seeds, equal to what `pogema_v0` makes of them, further targets included.
    Pogema {
        /// The seeds, used as [`PathfindingConfig::order`] says.
        #[serde(default = "defaults::seeds")]
        seeds: Vec<u64>,
        /// Cells a side.
        #[serde(default = "defaults::size")]
        size: usize,
        /// The probability that a cell is blocked, in [0, 1].
        #[serde(default = "defaults::density")]
        density: f64,
    },
    /// These maps, with starts and targets drawn afresh unless the map fixes them.
    Maps {
        /// The maps.
        #[serde(default)]
        #[schemars(with = "Vec<serde_json::Value>")]
        maps: Vec<Map>,
    },
    /// Maps read from these files and folders (a folder's `.map` and `.txt` files in the order of their names). A `.scen`
    /// file stands for its map with the starts and targets of its lines.
    Files {
        /// Files and folders.
        #[serde(default)]
        paths: Vec<PathBuf>,
    },
    /// SRMT's bottleneck: two rooms of 2 x 9 joined by a corridor of one of these lengths; two agents start in
    /// opposite rooms and have to change rooms.
    Bottleneck {
        /// Corridor lengths in cells.
        #[serde(default = "defaults::lengths")]
        lengths: Vec<usize>,
        /// Limit an episode to `2 * length + 100` steps, as SRMT's evaluation does, in place of
        /// [`PathfindingConfig::max_episode_steps`].
        #[serde(default)]
        limit_by_length: bool,
    },
    /// A fresh maze, in the style of learn-to-follow's training mazes; each parameter is drawn uniformly between its
    /// two bounds, both included.
    Maze {
        /// Cells a side, 5 to 128.
        #[serde(default = "defaults::maze_size")]
        size: [usize; 2],
        /// The number of pieces a wall grows by.
        #[serde(default = "defaults::wall_components")]
        wall_components: [usize; 2],
        /// How much of the maze walls are tried on, in [0, 1].
        #[serde(default = "defaults::maze_density")]
        density: [f64; 2],
    },
    /// A warehouse: blocks of shelves with aisles one cell wide between them, and open strips at its left and right
    /// ends where agents start.
    Warehouse {
        /// Rows of shelf blocks.
        #[serde(default = "defaults::shelves")]
        rows: usize,
        /// Columns of shelf blocks.
        #[serde(default = "defaults::shelves")]
        columns: usize,
        /// Length of a block of shelves, in cells.
        #[serde(default = "defaults::shelves")]
        shelf_length: usize,
        /// Width of the open strip at either end, in cells.
        #[serde(default = "defaults::margin")]
        margin: usize,
    },
    /// These very instances.
    Instances {
        /// The instances; each must have the configured number of agents.
        #[serde(default)]
        #[schemars(with = "Vec<serde_json::Value>")]
        instances: Vec<Instance>,
    },
}

/// The settings of [`Pathfinding`](super::Pathfinding).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PathfindingConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents in each world.
    pub agents: usize,
    /// How far an agent sees in each direction, in cells; 1 to 128.
    pub radius: usize,
    /// How conflicting moves are settled.
    pub collision: Collision,
    /// What happens on a target.
    pub on_target: OnTarget,
    /// The steps after which an episode is truncated.
    pub max_episode_steps: usize,
    /// Cut each world's first episode off at another step, evenly spread up to the limit. Worlds that start together
    /// and run to the limit otherwise stay in step, and what is learned at once is then all of one kind.
    pub spread_first_episodes: bool,
    /// What agents see.
    pub observation: Observation,
    /// Who plans their paths.
    pub planner: Planner,
    /// What agents are paid.
    pub rewards: Rewards,
    /// POGEMA 1.4.0's fault with `soft`: an agent that follows one of a higher index vanishes from the occupancy
    /// channel until the next step. Only for comparison with traces of that version.
    pub invisible_follower: bool,
    /// Where instances come from.
    pub source: Source,
    /// In which order `source`'s list is used.
    pub order: Order,
    /// The seed of everything. A run gives it its own: it is no key of a configuration.
    #[serde(skip)]
    pub seed: u64,
}

impl Member for PathfindingConfig {
    const NAME: &'static str = "pathfinding";
    const SUMMARY: &'static str =
        "agents with targets on a grid: bottlenecks, mazes, random maps, warehouses";
}

impl WorldSettings for PathfindingConfig {
    fn worlds(&self) -> usize {
        self.worlds
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(PathfindingConfig { worlds, ..self.clone() })
    }

    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        Ok(Box::new(Pathfinding::new(PathfindingConfig { seed, ..self.clone() })?))
    }

    fn check(&self) -> Result<()> {
        self.check()
    }

    /// Every episode is a whole one.
    fn after_curriculum(&self) -> Option<WorldConfig> {
        Some(WorldConfig::new(PathfindingConfig { spread_first_episodes: false, ..self.clone() }))
    }
}

impl Default for PathfindingConfig {
    /// 64 worlds of 32 x 32 with 64 agents, density 0.3, radius 5, `soft` and `restart`, POGEMA's observations and
    /// rewards.
    fn default() -> Self {
        PathfindingConfig {
            worlds: 64,
            agents: 64,
            radius: 5,
            collision: Collision::Soft,
            on_target: OnTarget::Restart,
            max_episode_steps: 256,
            spread_first_episodes: false,
            observation: Observation::Pogema,
            planner: Planner::Shortest,
            rewards: Rewards::Pogema,
            invisible_follower: false,
            source: Source::Random { size: 32, density: 0.3 },
            order: Order::Sampled,
            seed: 0,
        }
    }
}

impl PathfindingConfig {
    /// SRMT's bottleneck training task (arXiv 2501.13200, table 1): two agents, radius 2, `block_both`, `finish`,
    /// 512 steps, the paper's sixteen corridor lengths.
    pub fn bottleneck(worlds: usize) -> Self {
        let lengths = defaults::lengths();
        PathfindingConfig {
            worlds,
            agents: 2,
            radius: 2,
            collision: Collision::BlockBoth,
            on_target: OnTarget::Finish,
            max_episode_steps: 512,
            observation: Observation::PlannedPath,
            rewards: Rewards::Sparse,
            source: Source::Bottleneck { lengths, limit_by_length: false },
            ..Self::default()
        }
    }

    /// Checks every setting but the content of files.
    ///
    /// # Errors
    /// [`crate::Error::Config`] with the first setting out of range.
    pub fn check(&self) -> Result<()> {
        let within = |key: &str, value: usize, low: usize, high: usize| {
            let expected = format!("{low} to {high}, got {value}");
            if (low..=high).contains(&value) { Ok(()) } else { Err(out_of_range(key, &expected)) }
        };
        let some = |key: &str, what: &str, count: usize| match count {
            0 => Err(out_of_range(key, &format!("at least one {what}"))),
            _ => Ok(()),
        };
        let probability = |key: &str, value: f64| {
            let expected = format!("a number in [0, 1], got {value}");
            if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(out_of_range(key, &expected)) }
        };
        within("worlds", self.worlds, 1, 1 << 20)?;
        within("agents", self.agents, 1, 1 << 20)?;
        within("radius", self.radius, 1, 128)?;
        within("max_episode_steps", self.max_episode_steps, 1, u32::MAX as usize)?;
        let side = 2 * self.radius + 1;
        let numbers = self.worlds.checked_mul(self.agents).and_then(|n| n.checked_mul(3 * side * side));
        if numbers.is_none_or(|n| n > 1 << 34) {
            return Err(out_of_range("worlds", "worlds x agents x observation of at most 2^34 numbers"));
        }
        let generated = |size: usize| match self.planner {
            Planner::Follower if (129..=MAX_SIDE).contains(&size) => {
                let expected = format!("2 to 128 (with `world.planner=shortest`: {MAX_SIDE}), got {size}");
                Err(out_of_range("source.size", &expected))
            }
            _ => within("source.size", size, 2, MAX_SIDE),
        };
        match &self.source {
            Source::Random { size, density } => {
                generated(*size)?;
                probability("source.density", *density)?;
            }
            Source::Pogema { seeds, size, density } => {
                some("source.seeds", "seed", seeds.len())?;
                generated(*size)?;
                probability("source.density", *density)?;
            }
            Source::Maps { maps } => some("source.maps", "map", maps.len())?,
            Source::Files { paths } => some("source.paths", "file or folder of maps", paths.len())?,
            Source::Bottleneck { lengths, .. } => {
                some("source.lengths", "length", lengths.len())?;
                within("agents", self.agents, 1, 2)?;
                for length in lengths {
                    within("source.lengths", *length, 1, MAX_SIDE - 4)?;
                }
            }
            Source::Maze { size, wall_components, density } => {
                within("source.size", size[0], 5, 128)?;
                within("source.size", size[1], size[0], 128)?;
                within("source.wall_components", wall_components[0], 1, 128)?;
                within("source.wall_components", wall_components[1], wall_components[0], 128)?;
                probability("source.density", density[0])?;
                probability("source.density", density[1])?;
                if density[0] > density[1] {
                    return Err(out_of_range("source.density", "the lower bound first"));
                }
            }
            Source::Warehouse { rows, columns, shelf_length, margin } => {
                within("source.rows", *rows, 1, 1024)?;
                within("source.columns", *columns, 1, 512)?;
                within("source.shelf_length", *shelf_length, 1, 1024)?;
                within("source.margin", *margin, 1, 1024)?;
                super::generate::warehouse_sides(*rows, *columns, *shelf_length, *margin)?;
            }
            Source::Instances { instances } => {
                some("source.instances", "instance", instances.len())?;
                for (number, instance) in instances.iter().enumerate() {
                    instance.check()?;
                    if instance.starts.len() != self.agents {
                        let (has, wanted) = (instance.starts.len(), self.agents);
                        let expected =
                            format!("{wanted} agents in every instance, number {number} has {has}");
                        return Err(out_of_range("source.instances", &expected));
                    }
                    if instance.max_episode_steps.is_some_and(|s| s == 0 || s > u32::MAX as usize) {
                        return Err(out_of_range("source.instances", "a limit of at least 1 step"));
                    }
                }
            }
        }
        self.rewards.table().check()
    }
}
