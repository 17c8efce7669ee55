//! A pendulum that a weak motor has to swing up and keep upright: Gymnasium's `Pendulum-v1`, its equations and its pay.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("pendulum")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: no torque
//! assert!(out.rewards.iter().all(|reward| *reward <= 0.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use std::f64::consts::{PI, TAU};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{Drawing, LINE, Role};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::action::ActionSpace;
use crate::error::Result;

/// Many pendulums at once.
pub type Pendulum = Vectorised<PendulumConfig>;

/// Seconds of a step.
const STEP: f64 = 0.05;
/// The largest speed, in rad/s.
const MOST_SPEED: f64 = 8.0;
/// The largest torque, in N m.
const MOST_TORQUE: f64 = 2.0;
/// kg and m of the rod, a uniform one.
const MASS: f64 = 1.0;
const LENGTH: f64 = 1.0;

/// The settings of [`Pendulum`].
///
/// `angle` is 0 upright. A step pays `-(a^2 + 0.1 speed^2 + 0.001 torque^2)` of the state before it, with `a` the angle
/// between -pi and pi; then `speed += (3 g / (2 l) sin(angle) + 3 torque / (m l^2)) dt`, held to 8 rad/s either way, and
/// `angle += speed dt`, with m = 1 kg, l = 1 m and dt = 0.05 s. Starts are uniform over all angles and speeds up to 1 rad/s
/// either way. Action: the torque, within 2 N m either way. Observation: cosine and sine of the angle, and the speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PendulumConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Gravity, in m/s^2.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub gravity: f64,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    PendulumConfig => Pendulum,
    "pendulum",
    "swing up and stay upright with a weak motor (Gymnasium's Pendulum-v1)"
);

impl Default for PendulumConfig {
    /// 64 worlds, 10 m/s^2, 200 steps.
    fn default() -> Self {
        PendulumConfig { worlds: 64, gravity: 10.0, max_episode_steps: 200 }
    }
}

/// A pendulum on its way.
#[derive(Debug, Clone, Default)]
pub struct Swing {
    angle: f64,
    speed: f64,
    torque: f64,
}

impl Swing {
    /// The angle in rad, 0 upright, and the speed in rad/s.
    pub fn state(&self) -> [f64; 2] {
        [self.angle, self.speed]
    }
}

impl Rules for PendulumConfig {
    type World = Swing;
    const NAME: &'static str = "pendulum";

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let torque = ActionSpace::uniform(1, -MOST_TORQUE as f32, MOST_TORQUE as f32);
        vec![AgentKind::new("motor", 1, &[3], torque)]
    }

    fn state(&self) -> usize {
        3
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Swing {
        Swing::default()
    }

    fn reset(&self, world: &mut Swing, _episode: u64, random: &mut Pcg64) {
        let even = |random: &mut Pcg64| 2.0 * random.double() - 1.0;
        *world = Swing { angle: PI * even(random), speed: even(random), torque: 0.0 };
    }

    fn step(&self, world: &mut Swing, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let torque = f64::from(actions.continuous(0)[0]);
        let angle = (world.angle + PI).rem_euclid(TAU) - PI;
        let cost = angle.powi(2) + 0.1 * world.speed.powi(2) + 0.001 * torque.powi(2);
        pay.rewards[0] = -cost as f32;
        let pull = 1.5 * self.gravity / LENGTH * world.angle.sin() + 3.0 * torque / (MASS * LENGTH * LENGTH);
        world.speed = (world.speed + pull * STEP).clamp(-MOST_SPEED, MOST_SPEED);
        world.angle += world.speed * STEP;
        world.torque = torque;
        Outcome::GoesOn
    }

    fn observe(&self, world: &Swing, view: &mut View) {
        let seen = [world.angle.cos() as f32, world.angle.sin() as f32, world.speed as f32];
        view.observation(0, 0).copy_from_slice(&seen);
        view.state_of_observations();
    }

    /// The rod, upright at the top, and how hard the motor pulls.
    fn draw(&self, world: &Swing) -> Option<Drawing> {
        let mut drawing = Drawing::new(10.0, 10.0);
        let [x, y] = [world.angle.sin() as f32, world.angle.cos() as f32];
        drawing.ring(Role::Goal, [5.0, 1.0], 0.35, 0.0);
        drawing.line(Role::Agent(0), [5.0, 5.0], [5.0 + 4.0 * x, 5.0 - 4.0 * y], 4.0 * LINE);
        drawing.disc(Role::Ground, [5.0, 5.0], 0.2);
        drawing.note = format!("torque {:+.2}", world.torque);
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        vec!["torque".to_owned()]
    }

    fn visit(&self, world: &mut Swing, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.angle)?;
        codec.one(&mut world.speed)?;
        codec.one(&mut world.torque)
    }

    fn valid(&self, world: &Swing) -> bool {
        // A turn a step is more than the speed allows.
        world.angle.abs() <= PI + TAU * self.max_episode_steps as f64
            && world.speed.abs() <= MOST_SPEED
            && world.torque.abs() <= MOST_TORQUE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Buffers, VecEnv};

    /// Gymnasium's equations written down once more, from its source's order of operations, over whole episodes with torques
    /// beyond the bounds.
    #[test]
    fn steps_and_pay_follow_the_equations() -> Result<()> {
        let mut env = Pendulum::new(PendulumConfig { worlds: 3, ..PendulumConfig::default() }, 5)?;
        let mut out = Buffers::new(env.spec());
        env.reset(&[true; 3], &mut out)?;
        let mut states: Vec<[f64; 2]> = (0..3).filter_map(|w| env.world(w)).map(Swing::state).collect();
        for step in 0..200u32 {
            let torques: Vec<f32> = (0..3).map(|w| 3.0 * (step as f32 * 0.37 + w as f32).sin()).collect();
            env.step(&torques.clone().into(), &mut out)?;
            for (w, state) in states.iter_mut().enumerate() {
                let [th, thdot] = *state;
                let u = f64::from(torques[w].clamp(-2.0, 2.0));
                let mut near = (th + PI) % (2.0 * PI);
                if near < 0.0 {
                    near += 2.0 * PI;
                }
                near -= PI;
                let costs = near * near + 0.1 * (thdot * thdot) + 0.001 * (u * u);
                let newthdot = (thdot + (3.0 * 10.0 / 2.0 * th.sin() + 3.0 * u) * 0.05).clamp(-8.0, 8.0);
                let newth = th + newthdot * 0.05;
                *state = [newth, newthdot];
                assert!((f64::from(out.rewards[w]) + costs).abs() < 1e-5);
                let seen = [newth.cos(), newth.sin(), newthdot];
                let close = |(a, b): (&f32, f64)| (f64::from(*a) - b).abs() < 1e-5;
                assert!(out.observations[3 * w..3 * w + 3].iter().zip(seen).all(close), "step {step}");
            }
            assert_eq!(out.truncated[0], step == 199);
        }
        Ok(())
    }
}
