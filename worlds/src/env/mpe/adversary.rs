//! Go where the adversary does not think you want to be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::{Sheet, moves};
use super::particles::{Body, Control, MAX_STEPS, Particles, Pen, minus};
use crate::env::AgentKind;
use crate::env::drawing::{Drawing, Role};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::Result;

/// Many adversary worlds at once.
pub type SimpleAdversary = Vectorised<SimpleAdversaryConfig>;

/// Nothing here touches anything.
const BODY: Body = Body { size: 0.15, acceleration: 5.0, max_speed: f64::INFINITY };

/// The settings of [`SimpleAdversary`] (MPE2's `simple_adversary_v3`).
///
/// One `adversary`, then the good agents (`agent`); as many landmarks as good agents, one of them the goal. The
/// adversary is paid minus its distance to the goal; good agents that distance minus the one of the nearest of them.
/// Observation: landmarks, other agents; for good agents the goal before them. Reports have `return_adversary` and
/// `return_agent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleAdversaryConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Good agents, and landmarks.
    #[schemars(range(min = 1, max = 255))]
    pub good: usize,
    /// How agents are steered: `discrete` or `continuous`.
    pub actions: Control,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    SimpleAdversaryConfig => SimpleAdversary,
    "simple_adversary",
    "MPE: keep a goal from an adversary"
);

impl Default for SimpleAdversaryConfig {
    /// MPE2's: 2 good agents, 25 steps; 64 worlds.
    fn default() -> Self {
        SimpleAdversaryConfig { worlds: 64, good: 2, actions: Control::Discrete, max_episode_steps: 25 }
    }
}

impl Rules for SimpleAdversaryConfig {
    type World = Particles;
    const NAME: &'static str = "simple_adversary";
    const METRICS: &'static [&'static str] = &["return_adversary", "return_agent"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let kind =
            |name: &str, count, length| AgentKind::new(name, count, &[length], self.actions.space(true, 0));
        vec![kind("adversary", 1, 4 * self.good), kind("agent", self.good, 2 + 4 * self.good)]
    }

    fn state(&self) -> usize {
        4 * self.good + self.good * (2 + 4 * self.good)
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Particles {
        Particles::blank(1 + self.good, self.good, 1, 0)
    }

    fn reset(&self, world: &mut Particles, _episode: u64, random: &mut Pcg64) {
        world.draw_goals(self.good, random);
        world.scatter(1.0, random);
    }

    fn step(&self, world: &mut Particles, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.push(actions, |_| BODY);
        world.advance(|_| BODY);
        let goal = usize::from(world.goals[0]);
        let adversary = world.to_landmark(0, goal).sqrt();
        let nearest =
            (1..=self.good).map(|agent| world.to_landmark(agent, goal)).fold(f64::INFINITY, f64::min);
        pay.rewards.fill((adversary - nearest.sqrt()) as f32);
        pay.rewards[0] = -adversary as f32;
        world.sums[0] -= adversary;
        world.sums[1] += adversary - nearest.sqrt();
        Outcome::GoesOn
    }

    fn observe(&self, world: &Particles, view: &mut View) {
        for agent in 0..=self.good {
            let here = world.agents()[agent];
            let mut pen = Pen::new(view.observation(usize::from(agent > 0), agent.saturating_sub(1)));
            if agent > 0 {
                pen.vector(minus(world.landmarks()[usize::from(world.goals[0])], here));
            }
            pen.landmarks(world, here);
            pen.others(world, agent);
        }
        view.state_of_observations();
    }

    fn metrics(&self, world: &Particles) -> Vec<f64> {
        vec![world.sums[0], world.sums[1]]
    }

    fn draw(&self, world: &Particles) -> Option<Drawing> {
        let mut sheet = Sheet::new(world, |_| BODY.size);
        sheet.landmarks(Role::Thing, 0.08);
        sheet.ring(Role::Goal, world.landmarks()[usize::from(world.goals[0])], 0.12);
        sheet.ring(Role::Bad, world.agents()[0], BODY.size + 0.035);
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
