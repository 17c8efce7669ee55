//! A package that is too heavy for one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mechanics::{Body, Mechanics, Pose, Scene, Shape, sphere_on_box};
use super::{MAX_STEPS, draw, pushes, write};
use crate::action::ActionSpace;
use crate::env::pathfinding::Pcg64;
use crate::env::plane::{length, minus};
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::env::{AgentKind, Drawing};
use crate::error::Result;

/// Many transport worlds at once.
pub type Transport = Vectorised<TransportConfig>;

const RADIUS: f64 = 0.03;
const GOAL_RADIUS: f64 = 0.15;
const SIDE: f64 = 0.15;
const PACKAGE: Shape = Shape::Box(SIDE, SIDE);
/// The force of a full action.
const FORCE: f64 = 0.6;
/// What coming nearer by a unit of length pays.
const PAY: f64 = 100.0;
const LENGTH: usize = 11;

/// The settings of [`Transport`] (VMAS's `transport` with one package).
///
/// An action is a push of -1 to 1 to the right and upwards. Every step pays all 100 times how much nearer the package
/// came to its goal, and nothing once it is there, which ends the episode. Observation: position, velocity, the package
/// less its goal, the package less oneself, its velocity, whether it is on its goal.
///
/// Reports have `delivered`: 1 where the package is on its goal at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransportConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents.
    #[schemars(range(min = 1, max = 64))]
    pub agents: usize,
    /// The package's; that of an agent is 1.
    #[schemars(range(min = 0.01, max = 1e6))]
    pub package_mass: f64,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    TransportConfig => Transport,
    "transport",
    "VMAS: a package that is too heavy for one"
);

impl Default for TransportConfig {
    /// VMAS's: 4 agents, a mass of 50; 500 steps, 64 worlds.
    fn default() -> Self {
        TransportConfig { worlds: 64, agents: 4, package_mass: 50.0, max_episode_steps: 500 }
    }
}

impl TransportConfig {
    fn mechanics(&self) -> Mechanics<1> {
        let package = Body { mass: self.package_mass, ..Body::new(PACKAGE) };
        let agent = Body::new(Shape::Sphere(RADIUS));
        Mechanics { reach: [1.0 + 2.0 * RADIUS + SIDE; 2], ..Mechanics::new(agent, [package]) }
    }

    fn delivered(scene: &Scene) -> bool {
        sphere_on_box(GOAL_RADIUS, scene.goals[0], PACKAGE, &scene.landmarks[0])
    }

    fn far(scene: &Scene) -> f64 {
        length(minus(scene.landmarks[0].position, scene.goals[0]))
    }
}

impl Rules for TransportConfig {
    type World = Scene;
    const NAME: &'static str = "transport";
    const METRICS: &'static [&'static str] = &["delivered"];

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
        Scene::blank(self.agents, 1, 1)
    }

    fn reset(&self, scene: &mut Scene, _episode: u64, random: &mut Pcg64) {
        scene.scatter(1.0, 2.0 * RADIUS, random);
        let mut others: Vec<[f64; 2]> = scene.agents.iter().map(|pose| pose.position).collect();
        // Half the package's diagonal, the goal's radius and a little.
        let apart = SIDE * std::f64::consts::FRAC_1_SQRT_2 + GOAL_RADIUS + 0.01;
        scene.goals[0] = Scene::draw(1.0, apart, &others, random);
        others.push(scene.goals[0]);
        scene.landmarks[0] = Pose::at(Scene::draw(1.0, apart, &others, random));
    }

    fn step(&self, scene: &mut Scene, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let before = Self::far(scene);
        scene.push(actions, FORCE);
        self.mechanics().advance(scene);
        if Self::delivered(scene) {
            return Outcome::Ends;
        }
        pay.rewards.fill((PAY * (before - Self::far(scene))) as f32);
        Outcome::GoesOn
    }

    fn observe(&self, scene: &Scene, view: &mut View) {
        let package = &scene.landmarks[0];
        let off = minus(package.position, scene.goals[0]);
        let delivered = f64::from(u8::from(Self::delivered(scene)));
        for (pose, seen) in scene.agents.iter().zip(view.observations(0).chunks_exact_mut(LENGTH)) {
            let away = minus(package.position, pose.position);
            let vectors = [pose.position, pose.velocity, off, away, package.velocity];
            write(seen, vectors.iter().flatten().chain([&delivered]));
        }
        view.state_of_observations();
    }

    fn metrics(&self, scene: &Scene) -> Vec<f64> {
        vec![f64::from(u8::from(Self::delivered(scene)))]
    }

    fn draw(&self, scene: &Scene) -> Option<Drawing> {
        Some(draw::scene(scene, &self.mechanics(), GOAL_RADIUS, 1.3))
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
