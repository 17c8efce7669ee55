//! A heavy line that is to turn at one speed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mechanics::{Body, Mechanics, Pose, Scene, Shape};
use super::{MAX_STEPS, draw, pushes, write};
use crate::action::ActionSpace;
use crate::env::pathfinding::Pcg64;
use crate::env::plane::minus;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::env::{AgentKind, Drawing};
use crate::error::Result;

/// Many wheel worlds at once.
pub type Wheel = Vectorised<WheelConfig>;

const RADIUS: f64 = 0.03;
/// The force of a full action.
const FORCE: f64 = 0.6;
const LENGTH: usize = 13;

/// The settings of [`Wheel`] (VMAS's `wheel`).
///
/// An action is a push of -1 to 1 to the right and upwards. A line that cannot leave its place turns as it is pushed,
/// and all pay by how much its speed (radians per second, either way) differs from the one that is wanted. Observation:
/// position, velocity, the line's middle and its two ends less oneself, its angle within half a turn, its speed, and
/// what that differs by.
///
/// Reports have `speed`, the line's at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WheelConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents.
    #[schemars(range(min = 1, max = 64))]
    pub agents: usize,
    /// The line's length.
    #[schemars(range(min = 0.1, max = 10.0))]
    pub line_length: f64,
    /// The line's mass; that of an agent is 1.
    #[schemars(range(min = 0.01, max = 1e6))]
    pub line_mass: f64,
    /// The speed that is wanted, in radians per second.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub wanted: f64,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    WheelConfig => Wheel,
    "wheel",
    "VMAS: a heavy line that is to turn at one speed"
);

impl Default for WheelConfig {
    /// VMAS's: 4 agents, a line of length 2 and mass 30, .05 radians a second; 100 steps, 64 worlds.
    fn default() -> Self {
        let (line_length, line_mass) = (2.0, 30.0);
        WheelConfig { worlds: 64, agents: 4, line_length, line_mass, wanted: 0.05, max_episode_steps: 100 }
    }
}

impl WheelConfig {
    fn mechanics(&self) -> Mechanics<1> {
        let line = Body::new(Shape::Line(self.line_length));
        let line = Body { mass: self.line_mass, movable: false, rotatable: true, ..line };
        Mechanics::new(Body::new(Shape::Sphere(RADIUS)), [line])
    }

    fn off(&self, scene: &Scene) -> f64 {
        (scene.landmarks[0].spin.abs() - self.wanted).abs()
    }
}

impl Rules for WheelConfig {
    type World = Scene;
    const NAME: &'static str = "wheel";
    const METRICS: &'static [&'static str] = &["speed"];

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
        Scene::blank(self.agents, 1, 0)
    }

    fn reset(&self, scene: &mut Scene, _episode: u64, random: &mut Pcg64) {
        scene.scatter(1.0, 0.0, random);
        let rotation = std::f64::consts::PI * (random.double() - 0.5);
        scene.landmarks[0] = Pose { rotation, ..Pose::default() };
    }

    fn step(&self, scene: &mut Scene, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        scene.push(actions, FORCE);
        self.mechanics().advance(scene);
        pay.rewards.fill(-self.off(scene) as f32);
        Outcome::GoesOn
    }

    fn observe(&self, scene: &Scene, view: &mut View) {
        let line = &scene.landmarks[0];
        let end = line.axis().map(|part| part * self.line_length / 2.0);
        let angle = line.rotation.rem_euclid(std::f64::consts::PI);
        let turning = [angle, line.spin.abs(), self.off(scene)];
        for (pose, seen) in scene.agents.iter().zip(view.observations(0).chunks_exact_mut(LENGTH)) {
            let to = |place| minus(place, pose.position);
            let ends = [to(line.position), to(end), to(end.map(|part| -part))];
            let vectors = [pose.position, pose.velocity, ends[0], ends[1], ends[2]];
            write(seen, vectors.iter().flatten().chain(&turning));
        }
        view.state_of_observations();
    }

    fn metrics(&self, scene: &Scene) -> Vec<f64> {
        vec![scene.landmarks[0].spin.abs()]
    }

    fn draw(&self, scene: &Scene) -> Option<Drawing> {
        Some(draw::scene(scene, &self.mechanics(), 0.0, 1.2))
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
