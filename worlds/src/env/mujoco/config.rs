//! The settings of the bodies.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::Place;
use super::{Body, Partition, Version};
use crate::env::{VecEnv, WorldConfig, WorldSettings};
use crate::error::{Error, Result};
use crate::registry::Member;

/// What moving is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Speed to the right.
    Forward,
    /// Speed to the right or to the left, whichever the goal says (1 or -1).
    Direction,
    /// A speed near that of the goal, in m/s: what it is off by is lost.
    Velocity,
}

/// Where the goals of tasks come from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Goal {
    /// A new one is drawn, and stays for as many episodes as a task has.
    Episode {},
    /// One is drawn for every world before its first episode, and stays.
    World {},
    /// It is this one.
    Given {
        /// 1 or -1 for a direction, m/s for a velocity.
        value: f64,
    },
}

/// The settings of the world `mujoco`.
///
/// A step holds the actions for `frame_skip` steps of MuJoCo. It pays the forward velocity (HalfCheetah of its root, Ant of its
/// torso, Humanoid 1.25 times that of its centre of mass), for being upright (Ant, Hopper, Walker2d 1, Humanoid 5,
/// InvertedPendulum 1) and takes the squares of actions (`.1`, Ant `.5`, Hopper and Walker2d `.001`, Swimmer `.0001`) and, in
/// v5, of contact forces (Ant, Humanoid). Who falls is out (terminated); HalfCheetah and Swimmer do not. Starts and
/// observations are Gymnasium's: positions without those that moving forward changes, velocities, and what Ant and Humanoid
/// see beside. Agents that share a body are all paid the same; the state for a centralised critic is what the whole
/// body sees.
///
/// `task` replaces the forward velocity `v`: `direction` pays `goal v`, `velocity` `-|v - goal|`, and both take
/// `.05` of the squares of HalfCheetah's actions (Finn et al. 2017, arXiv 1703.03400, appendix). Agents do not see the goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MujocoConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// The body.
    pub body: Body,
    /// Gymnasium's version of its environment.
    pub version: Version,
    /// How the body is divided among agents: `none`, `2x3`, `6x1` (HalfCheetah) or `4x2` (Ant).
    pub partition: Partition,
    /// Whether agents of a divided body see the angles of the joints next to their own (1) or not (0).
    #[schemars(range(min = 0, max = 1))]
    pub reach: usize,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub max_episode_steps: usize,
    /// Steps of MuJoCo in a step of the world; 0 for the body's own number.
    #[schemars(range(min = 0, max = 1000))]
    pub frame_skip: usize,
    /// What moving is paid for: `forward`, `direction` or `velocity`.
    pub task: Task,
    /// Where a direction or a velocity comes from.
    pub goal: Goal,
    /// Episodes of a task, after which another goal is drawn.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub episodes: usize,
    /// The largest velocity that is drawn, in m/s; the smallest is 0.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub fastest: f64,
    /// What gravity is multiplied by.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub gravity: f64,
    /// What masses, and the moments of inertia with them, are multiplied by.
    #[schemars(range(min = 0.01, max = 100.0))]
    pub mass: f64,
    /// An actuator that does nothing, by its name (`bthigh`, `hip_1`) or number; empty for none.
    pub dead: String,
    /// The folder with the library and Gymnasium's models; empty to look for them: in the folder that the environment
    /// variable `SYNOD_MUJOCO` names, beside the packages of `python3`, and where the system keeps libraries.
    pub folder: PathBuf,
}

impl Default for MujocoConfig {
    /// HalfCheetah v5, whole, 8 worlds, 1000 steps, unchanged.
    fn default() -> Self {
        MujocoConfig {
            worlds: 8,
            body: Body::HalfCheetah,
            version: Version::V5,
            partition: Partition::Whole,
            reach: 1,
            max_episode_steps: 1000,
            frame_skip: 0,
            task: Task::Forward,
            goal: Goal::Episode {},
            episodes: 1,
            fastest: 2.0,
            gravity: 1.0,
            mass: 1.0,
            dead: String::new(),
            folder: PathBuf::new(),
        }
    }
}

impl MujocoConfig {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// The first that is out of range, or that another forbids.
    pub(super) fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        if self.partition.parts(self.body, self.version, self.reach).is_none() {
            let message = "expected none; 2x3 or 6x1 with half_cheetah; 4x2 with ant";
            return Err(Error::config("world.partition", message));
        }
        if self.task != Task::Forward && self.body.facts(self.version).place == Place::Nowhere {
            return Err(Error::config("world.task", "expected forward: this body has nowhere to go"));
        }
        if let (Task::Direction | Task::Velocity, Goal::Given { value }) = (self.task, self.goal) {
            let fits = match self.task {
                Task::Direction => value.abs() == 1.0,
                _ => value.abs() <= 100.0,
            };
            if !fits {
                let expected = if self.task == Task::Direction { "1 or -1" } else { "-100 to 100" };
                return Err(Error::config("world.goal.value", format!("expected {expected}, got {value}")));
            }
        }
        if self.episodes != 1 && (self.task == Task::Forward || self.goal != (Goal::Episode {})) {
            let message = "expected 1: no goals are drawn from episode to episode";
            return Err(Error::config("world.episodes", message));
        }
        self.dead_actuator().map(|_| ())
    }

    /// The number of the actuator that does nothing.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn dead_actuator(&self) -> Result<Option<usize>> {
        if self.dead.is_empty() {
            return Ok(None);
        }
        let names = self.body.facts(self.version).actuators;
        let by_name = names.iter().position(|name| *name == self.dead);
        let by_number = self.dead.parse().ok().filter(|number| *number < names.len());
        let Some(number) = by_name.or(by_number) else {
            let message = format!("expected one of {} or its number, got `{}`", names.join(", "), self.dead);
            return Err(Error::config("world.dead", message));
        };
        Ok(Some(number))
    }
}

impl Member for MujocoConfig {
    const NAME: &'static str = "mujoco";
    const SUMMARY: &'static str =
        "Gymnasium's MuJoCo bodies, whole or shared (HalfCheetah, Ant, Humanoid and others; feature mujoco)";
}

impl WorldSettings for MujocoConfig {
    fn worlds(&self) -> usize {
        self.worlds
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(Self { worlds, ..self.clone() })
    }

    #[cfg(feature = "mujoco")]
    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        Ok(Box::new(super::Mujoco::new(super::MujocoRules::new(self)?, seed)?))
    }

    #[cfg(not(feature = "mujoco"))]
    fn build(&self, _seed: u64) -> Result<Box<dyn VecEnv>> {
        MujocoConfig::check(self)?;
        Err(super::without_feature())
    }

    fn check(&self) -> Result<()> {
        MujocoConfig::check(self)
    }
}
