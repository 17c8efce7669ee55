//! Cover all landmarks without a clash.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::{Sheet, moves};
use super::particles::{Body, Control, MAX_STEPS, Particles, Pen};
use crate::env::AgentKind;
use crate::env::drawing::{Drawing, Role};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::Result;

/// Many spread worlds at once.
pub type SimpleSpread = Vectorised<SimpleSpreadConfig>;

const BODY: Body = Body { size: 0.15, acceleration: 5.0, max_speed: f64::INFINITY };

/// Nearer than this an agent covers a landmark (MPE2's benchmark data).
const COVERED: f64 = 0.1;

/// The settings of [`SimpleSpread`] (MPE2's `simple_spread_v3`).
///
/// As many landmarks as agents. All are paid minus the sum over landmarks of the distance to the nearest agent,
/// weighted `1 - local_ratio`; each pays 1 for every other agent it touches, weighted `local_ratio`. Observation:
/// velocity, position, landmarks, other agents, two zeros for each other agent (they are silent). Reports have
/// `covered`, the part of the landmarks with an agent nearer than .1 at the end, and `collisions`, the pairs that
/// touched, summed over steps.
///
/// A report's `return` is the mean over agents; published figures are often the sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleSpreadConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents, and landmarks.
    #[schemars(range(min = 1, max = 256))]
    pub agents: usize,
    /// The weight of what is an agent's own in its reward, in [0, 1].
    #[schemars(range(min = 0.0, max = 1.0))]
    pub local_ratio: f64,
    /// How agents are steered: `discrete` or `continuous`.
    pub actions: Control,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    SimpleSpreadConfig => SimpleSpread,
    "simple_spread",
    "MPE: cover all landmarks without a clash"
);

impl Default for SimpleSpreadConfig {
    /// MPE2's: 3 agents, ratio 0.5, 25 steps; 64 worlds.
    fn default() -> Self {
        SimpleSpreadConfig {
            worlds: 64,
            agents: 3,
            local_ratio: 0.5,
            actions: Control::Discrete,
            max_episode_steps: 25,
        }
    }
}

impl SimpleSpreadConfig {
    fn length(&self) -> usize {
        4 + 2 * self.agents + 4 * (self.agents - 1)
    }
}

impl Rules for SimpleSpreadConfig {
    type World = Particles;
    const NAME: &'static str = "simple_spread";
    const METRICS: &'static [&'static str] = &["covered", "collisions"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let (observation, actions) = (vec![self.length()], self.actions.space(true, 0));
        vec![AgentKind::new("agent", self.agents, &observation, actions)]
    }

    fn state(&self) -> usize {
        self.agents * self.length()
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Particles {
        Particles::blank(self.agents, self.agents, 0, 0)
    }

    fn reset(&self, world: &mut Particles, _episode: u64, random: &mut Pcg64) {
        world.scatter(1.0, random);
    }

    fn step(&self, world: &mut Particles, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.push(actions, |_| BODY);
        world.collide(|_| BODY, None);
        world.advance(|_| BODY);
        let mut together = 0.0;
        for landmark in 0..self.agents {
            let nearest = (0..self.agents).map(|agent| world.to_landmark(agent, landmark));
            together -= nearest.fold(f64::INFINITY, f64::min).sqrt();
        }
        pay.rewards.fill((together * (1.0 - self.local_ratio)) as f32);
        for a in 0..self.agents {
            for b in a + 1..self.agents {
                if world.touch(a, b, 2.0 * BODY.size) {
                    pay.rewards[a] -= self.local_ratio as f32;
                    pay.rewards[b] -= self.local_ratio as f32;
                    world.sums[0] += 1.0;
                }
            }
        }
        Outcome::GoesOn
    }

    fn observe(&self, world: &Particles, view: &mut View) {
        let length = self.length();
        for (agent, seen) in view.observations(0).chunks_exact_mut(length).enumerate() {
            let mut pen = Pen::new(seen);
            pen.vector(world.velocities()[agent]);
            pen.vector(world.agents()[agent]);
            pen.landmarks(world, world.agents()[agent]);
            pen.others(world, agent);
            pen.zeros(2 * (self.agents - 1));
        }
        view.state_of_observations();
    }

    fn metrics(&self, world: &Particles) -> Vec<f64> {
        let near = |landmark: &usize| {
            (0..self.agents).any(|agent| world.to_landmark(agent, *landmark).sqrt() < COVERED)
        };
        let covered = (0..self.agents).filter(near).count();
        vec![covered as f64 / self.agents as f64, world.sums[0]]
    }

    fn draw(&self, world: &Particles) -> Option<Drawing> {
        let mut sheet = Sheet::new(world, |_| BODY.size);
        sheet.landmarks(Role::Thing, 0.05);
        Some(sheet.finish())
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        moves()
    }

    fn visit(&self, world: &mut Particles, codec: &mut Codec) -> Result<()> {
        world.visit(codec)
    }

    fn valid(&self, world: &Particles) -> bool {
        world.valid(0)
    }
}
