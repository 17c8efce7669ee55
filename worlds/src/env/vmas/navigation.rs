//! Everybody to a goal of its own, without touching the others, which a lidar shows.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mechanics::{Body, Mechanics, Scene, Shape};
use super::{MAX_STEPS, draw, pushes, write};
use crate::action::ActionSpace;
use crate::env::pathfinding::Pcg64;
use crate::env::plane::{length, minus, squared};
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::env::{AgentKind, Drawing};
use crate::error::Result;

/// Many navigation worlds at once.
pub type Navigation = Vectorised<NavigationConfig>;

const RADIUS: f64 = 0.1;
const GOAL_RADIUS: f64 = 0.05;
/// How far agents and goals are apart at the start.
const APART: f64 = 2.0 * RADIUS + 0.05;
const BONUS: f64 = 0.01;
const RAYS: usize = 12;
const LENGTH: usize = 6 + RAYS;

/// The directions of the rays, anticlockwise from the right.
static DIRECTIONS: LazyLock<[[f64; 2]; RAYS]> = LazyLock::new(|| {
    std::array::from_fn(|ray| {
        let angle = std::f64::consts::TAU * ray as f64 / RAYS as f64;
        [angle.cos(), angle.sin()]
    })
});

/// The settings of [`Navigation`] (VMAS's `navigation`).
///
/// An action is a force of -1 to 1 to the right and upwards. Every step pays how much nearer agents came to their
/// goals, summed over all with `shared`, and .01 where all are on them; each agent that touches another pays
/// `collision_cost`. The episode ends when all are within their own radius (.1) of their goals. Observation: position,
/// velocity, position less that of the goal, and for twelve rays by how much less than its range each sees.
///
/// Reports have `on_goal`, the part of the agents within .1 of their goals at the end, and `collisions`, pairs that
/// touch summed over steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NavigationConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents, and goals.
    #[schemars(range(min = 1, max = 16))]
    pub agents: usize,
    /// How far a ray sees.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub lidar_range: f64,
    /// Whether all are paid for the way of each.
    pub shared: bool,
    /// What touching another costs.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub collision_cost: f64,
    /// Whether nobody gets further than 1 from the middle along an axis.
    pub bounded: bool,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    NavigationConfig => Navigation,
    "navigation",
    "VMAS: everybody to a goal of its own, without touching the others"
);

impl Default for NavigationConfig {
    /// VMAS's: 4 agents, a range of .35, shared pay, a cost of 1, no bounds; 100 steps, 64 worlds.
    fn default() -> Self {
        NavigationConfig {
            worlds: 64,
            agents: 4,
            lidar_range: 0.35,
            shared: true,
            collision_cost: 1.0,
            bounded: false,
            max_episode_steps: 100,
        }
    }
}

impl NavigationConfig {
    fn mechanics(&self) -> Mechanics<0> {
        let reach = [if self.bounded { 1.0 } else { f64::INFINITY }; 2];
        Mechanics { parts: 2, reach, ..Mechanics::new(Body::new(Shape::Sphere(RADIUS)), []) }
    }

    /// How far each ray of an agent sees others.
    fn lidar(&self, scene: &Scene, agent: usize) -> [f64; RAYS] {
        let mut seen = [self.lidar_range; RAYS];
        let from = scene.agents[agent].position;
        for (other, pose) in scene.agents.iter().enumerate() {
            let off = minus(pose.position, from);
            let near = squared(off) < (self.lidar_range + RADIUS).powi(2);
            if other == agent || !near {
                continue;
            }
            for (seen, ray) in seen.iter_mut().zip(DIRECTIONS.iter()) {
                let along = off[0] * ray[0] + off[1] * ray[1];
                let aside = squared(minus(off, ray.map(|part| along * part)));
                if along > 0.0 && aside < RADIUS * RADIUS {
                    *seen = seen.min(along - (RADIUS * RADIUS - aside).sqrt());
                }
            }
        }
        seen
    }
}

impl Rules for NavigationConfig {
    type World = Scene;
    const NAME: &'static str = "navigation";
    const METRICS: &'static [&'static str] = &["on_goal", "collisions"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::new("agent", self.agents, &[LENGTH], ActionSpace::uniform(2, -1.0, 1.0))]
    }

    fn state(&self) -> usize {
        self.agents * LENGTH
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Scene {
        Scene::blank(self.agents, 0, self.agents)
    }

    fn reset(&self, scene: &mut Scene, _episode: u64, random: &mut Pcg64) {
        scene.scatter(1.0, APART, random);
    }

    fn step(&self, scene: &mut Scene, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        for (agent, reward) in pay.rewards.iter_mut().enumerate() {
            *reward = scene.to_goal(agent, agent) as f32;
        }
        scene.push(actions, 1.0);
        self.mechanics().advance(scene);
        let (mut together, mut all, mut ends) = (0.0, true, true);
        for (agent, reward) in pay.rewards.iter_mut().enumerate() {
            let far = scene.to_goal(agent, agent);
            *reward -= far as f32;
            together += *reward;
            all &= far < GOAL_RADIUS;
            ends &= far < RADIUS;
        }
        for reward in pay.rewards.iter_mut() {
            *reward = if self.shared { together } else { *reward } + if all { BONUS as f32 } else { 0.0 };
        }
        for a in 0..self.agents {
            for b in a + 1..self.agents {
                if length(minus(scene.agents[a].position, scene.agents[b].position)) <= 2.0 * RADIUS {
                    pay.rewards[a] -= self.collision_cost as f32;
                    pay.rewards[b] -= self.collision_cost as f32;
                    scene.counts[0] += 1.0;
                }
            }
        }
        if ends { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, scene: &Scene, view: &mut View) {
        for (agent, seen) in view.observations(0).chunks_exact_mut(LENGTH).enumerate() {
            let pose = &scene.agents[agent];
            let off = minus(pose.position, scene.goals[agent]);
            write(seen, pose.position.iter().chain(&pose.velocity).chain(&off));
            let lidar = self.lidar(scene, agent).map(|seen| self.lidar_range - seen);
            write(&mut seen[6..], &lidar);
        }
        view.state_of_observations();
    }

    fn metrics(&self, scene: &Scene) -> Vec<f64> {
        let on_goal = (0..self.agents).filter(|agent| scene.to_goal(*agent, *agent) < RADIUS).count();
        vec![on_goal as f64 / self.agents as f64, scene.counts[0]]
    }

    fn draw(&self, scene: &Scene) -> Option<Drawing> {
        Some(draw::scene(scene, &self.mechanics(), GOAL_RADIUS, 1.2))
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        pushes()
    }

    fn visit(&self, scene: &mut Scene, codec: &mut Codec) -> Result<()> {
        scene.visit(codec)
    }

    fn valid(&self, scene: &Scene) -> bool {
        scene.valid()
    }
}
