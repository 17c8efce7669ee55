//! Two agents in a corridor for one, with room to give way at one place.

use std::f64::consts::FRAC_PI_2;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mechanics::{Body, Mechanics, Pose, Scene, Shape};
use super::{MAX_STEPS, draw, write};
use crate::action::ActionSpace;
use crate::env::drawing::names;
use crate::env::pathfinding::Pcg64;
use crate::env::plane::{Vector, length, minus};
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::env::{AgentKind, Drawing};
use crate::error::Result;

/// Many such corridors at once.
pub type GiveWay = Vectorised<GiveWayConfig>;

const AGENTS: usize = 2;
const RADIUS: f64 = 0.16;
const GOAL_RADIUS: f64 = RADIUS / 2.0;
/// The most speed along an axis, and the most that can be wanted.
const SPEED: f64 = 0.5;
/// Less than this is nothing.
const LEAST: f64 = 0.08;
const FRICTION: f64 = 0.1;
const FORCE: f64 = 1.0 + FRICTION;
const SECONDS: f64 = 0.05;
const BONUS: f64 = 0.01;
const LENGTH: usize = 4;

/// The gain of the controller, how long it takes for its sum of errors to count, and how far it looks ahead.
const CONTROL: [f64; 3] = [2.0, 6.0, 0.002];

/// Middle, angle and length of every wall: the ends, the ceiling's halves, the room to give way, the floor.
const WALLS: [([f64; 2], f64, f64); 8] = [
    ([-2.5, 0.0], FRAC_PI_2, 0.4),
    ([2.5, 0.0], FRAC_PI_2, 0.4),
    ([1.35, 0.2], 0.0, 2.3),
    ([-1.35, 0.2], 0.0, 2.3),
    ([-0.2, 0.44], FRAC_PI_2, 0.48),
    ([0.2, 0.44], FRAC_PI_2, 0.48),
    ([0.0, 0.68], 0.0, 0.4),
    ([0.0, -0.2], 0.0, 5.0),
];

/// The settings of [`GiveWay`] (VMAS's `give_way`).
///
/// An action is the velocity that is wanted, from -.5 to .5 to the right and upwards; what is faster in all is held to
/// .5, and what is slower than .08 is nothing. A controller (proportional, integral, differential) makes forces of it.
/// Both are paid how much nearer both came to their goals at the other end, and .01 a step while both are there.
/// Nothing ends an episode before its limit. Observation: position and velocity; the other is not seen.
///
/// Reports have `on_goal`, the part of the agents on their goals at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GiveWayConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    GiveWayConfig => GiveWay,
    "give_way",
    "VMAS: two agents in a corridor for one, with room to give way"
);

impl Default for GiveWayConfig {
    /// 300 steps (15 s), 64 worlds.
    fn default() -> Self {
        GiveWayConfig { worlds: 64, max_episode_steps: 300 }
    }
}

impl GiveWayConfig {
    fn mechanics() -> Mechanics<8> {
        let agent = Body {
            friction: FRICTION,
            most_force: FORCE,
            most_velocity: SPEED,
            ..Body::new(Shape::Sphere(RADIUS))
        };
        let wall = |(_, _, long)| Body { movable: false, ..Body::new(Shape::Line(long)) };
        let mechanics = Mechanics::new(agent, WALLS.map(wall));
        Mechanics { seconds: SECONDS, parts: 5, drag: 0.0, strength: 500.0, ..mechanics }
    }
}

/// The force by which an agent comes to the velocity that it wants. It remembers the sum of its errors and the last
/// one.
fn control(wanted: Vector, velocity: Vector, [sum, last]: &mut [Vector; 2]) -> Vector {
    let [gain, slow, ahead] = CONTROL;
    // The sum alone may ask for half the most force.
    let most = 0.5 * FORCE * slow / (SECONDS * gain);
    let speed = length(wanted);
    let wanted = match speed {
        speed if speed > SPEED => wanted.map(|part| part / speed * SPEED),
        speed if speed < LEAST => {
            (*sum, *last) = ([0.0; 2], [0.0; 2]);
            [0.0; 2]
        }
        _ => wanted,
    };
    let error = minus(wanted, velocity);
    let force = [0, 1].map(|axis| {
        sum[axis] = (sum[axis] + SECONDS * error[axis]).clamp(-most, most);
        let rate = ahead * (error[axis] - last[axis]) / SECONDS;
        gain * (error[axis] + sum[axis] / slow + rate)
    });
    *last = error;
    force
}

impl Rules for GiveWayConfig {
    type World = Scene;
    const NAME: &'static str = "give_way";
    const METRICS: &'static [&'static str] = &["on_goal"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::new("agent", AGENTS, &[LENGTH], ActionSpace::uniform(2, -SPEED as f32, SPEED as f32))]
    }

    fn state(&self) -> usize {
        AGENTS * LENGTH
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Scene {
        let mut scene = Scene::blank(AGENTS, WALLS.len(), AGENTS);
        scene.errors = vec![[[0.0; 2]; 2]; AGENTS];
        scene
    }

    fn reset(&self, scene: &mut Scene, _episode: u64, random: &mut Pcg64) {
        for (agent, side) in [-1.0, 1.0].into_iter().enumerate() {
            let [x, y] = Scene::draw(0.02, 0.0, &[], random);
            scene.agents[agent] = Pose::at([2.0 * side + x, y]);
            scene.goals[agent] = [-2.29 * side, 0.0];
        }
        for (wall, (position, rotation, _)) in scene.landmarks.iter_mut().zip(WALLS) {
            *wall = Pose { rotation, ..Pose::at(position) };
        }
        scene.errors.fill([[0.0; 2]; 2]);
        scene.counts = [0.0; 2];
    }

    fn step(&self, scene: &mut Scene, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let far = |scene: &Scene| [0, 1].map(|agent| scene.to_goal(agent, agent));
        let before = far(scene);
        scene.push(actions, 1.0);
        for agent in 0..AGENTS {
            let velocity = scene.agents[agent].velocity;
            let (effort, _) = &mut scene.efforts[agent];
            *effort = control(*effort, velocity, &mut scene.errors[agent]);
        }
        Self::mechanics().advance(scene);
        let after = far(scene);
        let bonus = if after.iter().all(|far| *far < GOAL_RADIUS) { BONUS } else { 0.0 };
        pay.rewards.fill((before[0] - after[0] + before[1] - after[1] + bonus) as f32);
        Outcome::GoesOn
    }

    fn observe(&self, scene: &Scene, view: &mut View) {
        for (pose, seen) in scene.agents.iter().zip(view.observations(0).chunks_exact_mut(LENGTH)) {
            write(seen, pose.position.iter().chain(&pose.velocity));
        }
        view.state_of_observations();
    }

    fn metrics(&self, scene: &Scene) -> Vec<f64> {
        let on_goal = (0..AGENTS).filter(|agent| scene.to_goal(*agent, *agent) < GOAL_RADIUS).count();
        vec![on_goal as f64 / AGENTS as f64]
    }

    fn draw(&self, scene: &Scene) -> Option<Drawing> {
        Some(draw::scene(scene, &Self::mechanics(), GOAL_RADIUS, 0.8))
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["speed right", "speed up"])
    }

    fn visit(&self, scene: &mut Scene, codec: &mut Codec) -> Result<()> {
        scene.visit(codec)
    }

    fn valid(&self, scene: &Scene) -> bool {
        scene.valid()
    }
}
