//! Slow hunters, a fast prey, obstacles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::{Sheet, moves};
use super::particles::{Body, Control, MAX_STEPS, Particles, Pen};
use super::prey::{SEEN, flee};
use crate::env::AgentKind;
use crate::env::drawing::{Drawing, Role};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::{Error, Result};

/// Many tag worlds at once.
pub type SimpleTag = Vectorised<SimpleTagConfig>;

const ADVERSARY: Body = Body { size: 0.075, acceleration: 3.0, max_speed: 1.0 };
const GOOD: Body = Body { size: 0.05, acceleration: 4.0, max_speed: 1.3 };
const OBSTACLE_SIZE: f64 = 0.2;

/// Who steers the prey.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Prey {
    /// It is an agent like all others.
    #[default]
    Agent,
    /// A network that has learned to flee and learns no more: the hunters are the only agents. For three hunters, one prey
    /// and two obstacles.
    Trained,
}

/// The settings of [`SimpleTag`] (MPE2's `simple_tag_v3`).
///
/// Two kinds of agent: first `adversary`, then `agent`, the prey. Every touch between the two pays every adversary
/// 10 and costs that prey 10; prey also pays for leaving the square of side 2. Observation: velocity, position,
/// obstacles, other agents, velocities of other prey. Reports have `return_adversary` and `return_agent`, the means
/// over the agents of a kind, and `touches`, summed over steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleTagConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Hunters.
    #[schemars(range(min = 1, max = 256))]
    pub adversaries: usize,
    /// Prey.
    #[schemars(range(min = 1, max = 256))]
    pub good: usize,
    /// Round obstacles.
    #[schemars(range(min = 0, max = 256))]
    pub obstacles: usize,
    /// Who steers the prey: `agent` or `trained`.
    pub prey: Prey,
    /// How agents are steered: `discrete` or `continuous`.
    pub actions: Control,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    SimpleTagConfig => SimpleTag,
    "simple_tag",
    "MPE: slow hunters, a fast prey, obstacles"
);

impl Default for SimpleTagConfig {
    /// MPE2's: 3 adversaries, 1 prey, 2 obstacles, 25 steps; 64 worlds.
    fn default() -> Self {
        SimpleTagConfig {
            worlds: 64,
            adversaries: 3,
            good: 1,
            obstacles: 2,
            prey: Prey::Agent,
            actions: Control::Discrete,
            max_episode_steps: 25,
        }
    }
}

impl SimpleTagConfig {
    fn agents(&self) -> usize {
        self.adversaries + self.good
    }

    fn length(&self, good: bool) -> usize {
        4 + 2 * self.obstacles + 2 * (self.agents() - 1) + 2 * (self.good - usize::from(good))
    }

    /// Writes what an agent sees.
    fn look(&self, world: &Particles, agent: usize, mut pen: Pen) {
        pen.vector(world.velocities()[agent]);
        pen.vector(world.agents()[agent]);
        pen.landmarks(world, world.agents()[agent]);
        pen.others(world, agent);
        for prey in (self.adversaries..self.agents()).filter(|prey| *prey != agent) {
            pen.vector(world.velocities()[prey]);
        }
    }

    fn body(&self, agent: usize) -> Body {
        if agent < self.adversaries { ADVERSARY } else { GOOD }
    }
}

/// What being out by that much along an axis costs.
fn bound(x: f64) -> f64 {
    if x < 0.9 {
        0.0
    } else if x < 1.0 {
        (x - 0.9) * 10.0
    } else {
        (2.0 * x - 2.0).exp().min(10.0)
    }
}

impl Rules for SimpleTagConfig {
    type World = Particles;
    const NAME: &'static str = "simple_tag";
    const METRICS: &'static [&'static str] = &["return_adversary", "return_agent", "touches"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        let sizes = [self.adversaries, self.good, self.obstacles];
        if self.prey == Prey::Trained && sizes != [3, 1, 2] {
            let message = format!(
                "agent: the trained prey is one that knows three hunters and two obstacles, not {} prey, {} and {}",
                self.good, self.adversaries, self.obstacles
            );
            return Err(Error::config("world.prey", message));
        }
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let kind = |name: &str, count, good| {
            AgentKind::new(name, count, &[self.length(good)], self.actions.space(true, 0))
        };
        let mut kinds = vec![kind("adversary", self.adversaries, false)];
        if self.prey == Prey::Agent {
            kinds.push(kind("agent", self.good, true));
        }
        kinds
    }

    fn state(&self) -> usize {
        let learning = if self.prey == Prey::Agent { self.good } else { 0 };
        self.adversaries * self.length(false) + learning * self.length(true)
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Particles {
        Particles::blank(self.agents(), self.obstacles, 0, 0)
    }

    fn reset(&self, world: &mut Particles, _episode: u64, random: &mut Pcg64) {
        world.scatter(0.9, random);
    }

    fn step(&self, world: &mut Particles, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.push(actions, |agent| self.body(agent));
        if self.prey == Prey::Trained {
            let mut seen = [0.0; SEEN];
            self.look(world, self.adversaries, Pen::new(&mut seen));
            world.steer(self.adversaries, flee(&seen), GOOD.acceleration);
        }
        world.collide(|agent| self.body(agent), Some(OBSTACLE_SIZE));
        world.advance(|agent| self.body(agent));
        let mut touches = 0.0;
        for prey in self.adversaries..self.agents() {
            let touched = |hunter: &usize| world.touch(*hunter, prey, ADVERSARY.size + GOOD.size);
            let here = (0..self.adversaries).filter(touched).count() as f64;
            touches += here;
            let out: f64 = world.agents()[prey].iter().map(|x| bound(x.abs())).sum();
            let paid = (-10.0 * here - out) as f32;
            if let Some(reward) = pay.rewards.get_mut(prey) {
                *reward = paid;
            }
            world.sums[1] += f64::from(paid);
        }
        pay.rewards[..self.adversaries].fill(10.0 * touches as f32);
        world.sums[0] += 10.0 * touches;
        world.sums[2] += touches;
        Outcome::GoesOn
    }

    fn observe(&self, world: &Particles, view: &mut View) {
        for agent in 0..if self.prey == Prey::Agent { self.agents() } else { self.adversaries } {
            let good = agent >= self.adversaries;
            let seen =
                view.observation(usize::from(good), if good { agent - self.adversaries } else { agent });
            self.look(world, agent, Pen::new(seen));
        }
        view.state_of_observations();
    }

    fn metrics(&self, world: &Particles) -> Vec<f64> {
        vec![world.sums[0], world.sums[1] / self.good as f64, world.sums[2]]
    }

    fn draw(&self, world: &Particles) -> Option<Drawing> {
        let mut sheet = Sheet::new(world, |agent| self.body(agent).size);
        sheet.landmarks(Role::Wall, OBSTACLE_SIZE);
        for agent in 0..self.agents() {
            let role = if agent < self.adversaries { Role::Bad } else { Role::Good };
            sheet.ring(role, world.agents()[agent], self.body(agent).size + 0.035);
        }
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
