//! Vehicles that steer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mechanics::{Body, Mechanics, Pose, Scene, Shape};
use super::{MAX_STEPS, draw, write};
use crate::action::ActionSpace;
use crate::env::drawing::names;
use crate::env::pathfinding::Pcg64;
use crate::env::plane::minus;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View, within};
use crate::env::{AgentKind, Drawing};
use crate::error::Result;

/// Many such worlds at once.
pub type KinematicBicycle = Vectorised<KinematicBicycleConfig>;

const GOAL_RADIUS: f64 = 0.1;

/// How the pose that a vehicle wants is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Integration {
    /// Euler's method.
    Euler,
    /// Runge and Kutta's, of fourth order.
    Rk4,
}

/// The settings of [`KinematicBicycle`] (VMAS's `kinematic_bicycle`, and the vehicles of its `road_traffic`): the
/// kinematic bicycle model (Polack et al. 2017, "The kinematic bicycle model", equation 2).
///
/// An action is a speed of -1 to 1 and an angle of steering. The model says where the vehicle would be after the step,
/// and the force and torque for that are applied; drag and limits of speed act beside, so that it does not quite get
/// there. Vehicles do not touch each other. In VMAS nothing is paid. With `goals` each vehicle has a goal, and is paid
/// how much nearer it came, and 1 when it gets within .1 of it, which is its end for this episode; vehicles that have
/// arrived take no further part.
///
/// Observation: position and velocity; with `goals` sine and cosine of the direction and the goal as seen from the
/// vehicle (ahead, to the left). Reports have `on_goal`, the part of the vehicles that have arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KinematicBicycleConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Vehicles.
    #[schemars(range(min = 1, max = 64))]
    pub agents: usize,
    /// Whether vehicles have goals.
    pub goals: bool,
    /// Seconds a step.
    #[schemars(range(min = 0.001, max = 1.0))]
    pub seconds: f64,
    /// Parts in which a step is made.
    #[schemars(range(min = 1, max = 1000))]
    pub parts: usize,
    /// From the middle to the front axle.
    #[schemars(range(min = 0.01, max = 10.0))]
    pub front: f64,
    /// From the middle to the rear axle.
    #[schemars(range(min = 0.01, max = 10.0))]
    pub rear: f64,
    /// Length and width of a vehicle.
    pub size: [f64; 2],
    /// The largest angle of steering, in degrees.
    #[schemars(range(min = 1.0, max = 80.0))]
    pub steering: f64,
    /// How far from the middle a vehicle can get along each axis.
    pub reach: [f64; 2],
    /// How the pose that a vehicle wants is found.
    pub integration: Integration,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    KinematicBicycleConfig => KinematicBicycle,
    "kinematic_bicycle",
    "VMAS: vehicles that steer like bicycles, with or without goals"
);

impl Default for KinematicBicycleConfig {
    /// VMAS's: 2 vehicles, .1 s in ten parts, axles at .1, 30 degrees, Euler's method; 100 steps, 64 worlds.
    fn default() -> Self {
        KinematicBicycleConfig {
            worlds: 64,
            agents: 2,
            goals: false,
            seconds: 0.1,
            parts: 10,
            front: 0.1,
            rear: 0.1,
            size: [0.2, 0.1],
            steering: 30.0,
            reach: [1e6; 2],
            integration: Integration::Euler,
            max_episode_steps: 100,
        }
    }
}

impl KinematicBicycleConfig {
    fn mechanics(&self) -> Mechanics<0> {
        let body = Body::new(Shape::Box(self.size[0], self.size[1]));
        let body = Body { rotatable: true, collides: false, most_speed: 1.0, ..body };
        let mechanics = Mechanics::new(body, []);
        Mechanics { seconds: self.seconds, parts: self.parts, reach: self.reach, ..mechanics }
    }

    /// By how much a vehicle's place and direction are to change in a step.
    fn change(&self, rotation: f64, speed: f64, steering: f64) -> [f64; 3] {
        let wheelbase = self.front + self.rear;
        let slip = (steering.tan() * self.rear / wheelbase).atan();
        let turn = speed / wheelbase * slip.cos() * steering.tan();
        let rate = |rotation: f64| {
            let heading = rotation + slip;
            [speed * heading.cos(), speed * heading.sin(), turn]
        };
        let span = self.seconds;
        match self.integration {
            Integration::Euler => rate(rotation).map(|part| part * span),
            Integration::Rk4 => {
                // The turn does not depend on where the vehicle is: two of the four rates are the same.
                let [first, middle, last] = [0.0, 0.5, 1.0].map(|share| rate(rotation + share * span * turn));
                [0, 1, 2].map(|i| span / 6.0 * (first[i] + 4.0 * middle[i] + last[i]))
            }
        }
    }

    fn arrived(&self, scene: &Scene, agent: usize) -> bool {
        self.goals && scene.to_goal(agent, agent) < GOAL_RADIUS
    }

    fn length(&self) -> usize {
        if self.goals { 8 } else { 4 }
    }
}

impl Rules for KinematicBicycleConfig {
    type World = Scene;
    const NAME: &'static str = "kinematic_bicycle";
    const METRICS: &'static [&'static str] = &["on_goal"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        self.size.iter().try_for_each(|side| within("size", *side, 0.01, 10.0))?;
        self.reach.iter().try_for_each(|reach| within("reach", *reach, 1.0, 1e6))
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let most = self.steering.to_radians() as f32;
        let actions = ActionSpace::Continuous { low: vec![-1.0, -most], high: vec![1.0, most] };
        vec![AgentKind::new("vehicle", self.agents, &[self.length()], actions)]
    }

    fn state(&self) -> usize {
        self.agents * self.length()
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Scene {
        Scene::blank(self.agents, 0, if self.goals { self.agents } else { 0 })
    }

    fn reset(&self, scene: &mut Scene, _episode: u64, random: &mut Pcg64) {
        scene.scatter(1.0, 0.25, random);
        if self.goals {
            for pose in &mut scene.agents {
                pose.rotation = std::f64::consts::TAU * random.double();
            }
        }
    }

    fn step(&self, scene: &mut Scene, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let body = self.mechanics().agent;
        for (agent, chosen) in actions.continuous(0).chunks_exact(2).enumerate() {
            if self.arrived(scene, agent) {
                // It has left: nothing moves it.
                scene.efforts[agent] = ([0.0; 2], 0.0);
                scene.agents[agent] = Pose { velocity: [0.0; 2], spin: 0.0, ..scene.agents[agent] };
                continue;
            }
            let pose = &scene.agents[agent];
            let [dx, dy, turn] = self.change(pose.rotation, chosen[0].into(), chosen[1].into());
            let needed = |change: f64, rate: f64| (change - self.seconds * rate) / self.seconds.powi(2);
            let force = [needed(dx, pose.velocity[0]), needed(dy, pose.velocity[1])];
            let torque = body.inertia() * needed(turn, pose.spin);
            scene.efforts[agent] = (force.map(|part| body.mass * part), torque);
            if self.goals {
                pay.rewards[agent] = scene.to_goal(agent, agent) as f32;
            }
        }
        let before: Vec<bool> = (0..self.agents).map(|agent| self.arrived(scene, agent)).collect();
        self.mechanics().advance(scene);
        for agent in (0..self.agents).filter(|agent| self.goals && !before[*agent]) {
            pay.rewards[agent] -= scene.to_goal(agent, agent) as f32;
            if self.arrived(scene, agent) {
                pay.rewards[agent] += 1.0;
                pay.terminated[agent] = true;
            }
        }
        let all = (0..self.agents).all(|agent| self.arrived(scene, agent));
        if all { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, scene: &Scene, view: &mut View) {
        for (agent, seen) in view.observations(0).chunks_exact_mut(self.length()).enumerate() {
            let pose = &scene.agents[agent];
            write(seen, pose.position.iter().chain(&pose.velocity));
            if self.goals {
                let ([cosine, sine], off) = (pose.axis(), minus(scene.goals[agent], pose.position));
                let ahead = off[0] * cosine + off[1] * sine;
                let left = off[1] * cosine - off[0] * sine;
                write(&mut seen[4..], &[sine, cosine, ahead, left]);
            }
        }
        view.state_of_observations();
    }

    fn active(&self, scene: &Scene, active: &mut [bool]) {
        for (agent, active) in active.iter_mut().enumerate() {
            *active &= !self.arrived(scene, agent);
        }
    }

    fn metrics(&self, scene: &Scene) -> Vec<f64> {
        let on_goal = (0..self.agents).filter(|agent| self.arrived(scene, *agent)).count();
        vec![on_goal as f64 / self.agents as f64]
    }

    fn draw(&self, scene: &Scene) -> Option<Drawing> {
        Some(draw::scene(scene, &self.mechanics(), GOAL_RADIUS, 1.2))
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["speed", "steering"])
    }

    fn visit(&self, scene: &mut Scene, codec: &mut Codec) -> Result<()> {
        scene.visit(codec)
    }

    fn valid(&self, scene: &Scene) -> bool {
        scene.valid()
    }
}
