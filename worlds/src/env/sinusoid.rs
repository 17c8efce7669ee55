//! Sine waves to be learned from a few points: Finn et al. 2017 (MAML, arXiv 1703.03400), section 5.1.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("sinusoid")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! let (mut right, mut known) = (env.spec().actions(), vec![false; env.spec().agents() * 2]);
//! env.answers(&mut right, &mut known)?;
//! env.step(&right, &mut out)?;
//! assert!(known.iter().all(|known| *known) && out.rewards.iter().all(|reward| *reward == 0.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{Drawing, LINE, Role};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::action::ActionSpace;
use crate::error::Result;

/// Many sine waves at once.
pub type Sinusoid = Vectorised<SinusoidConfig>;

/// Points lie between this and its negative.
const FARTHEST: f64 = 5.0;
/// The most that an answer loses, so that sums of what is paid stay numbers.
const MOST_LOST: f32 = 1e12;

/// The settings of [`Sinusoid`].
///
/// Each episode is a task: `y = amplitude sin(x - phase)` with an amplitude uniform in .1..5 and a phase uniform in 0..pi. Each step
/// shows an agent a point x, uniform in -5..5, each agent points of its own; its action names y and pays `-(action - y)^2`, a million
/// million at the most. The world says what would have been right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SinusoidConfig {
    /// Worlds stepped at once: the tasks.
    pub worlds: usize,
    /// Agents in each world, which see points of the same wave.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub agents: usize,
    /// Steps in an episode.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub length: usize,
}

crate::env::config::world!(
    SinusoidConfig => Sinusoid,
    "sinusoid",
    "learn a sine wave from a few of its points (MAML's regression)"
);

impl Default for SinusoidConfig {
    /// 25 waves, five points a step, 40 steps.
    fn default() -> Self {
        SinusoidConfig { worlds: 25, agents: 5, length: 40 }
    }
}

/// A wave, and the points that are asked for now.
#[derive(Debug, Clone)]
pub struct Wave {
    step: u32,
    amplitude: f64,
    phase: f64,
    /// One an agent.
    points: Vec<f64>,
    /// What each agent answered last and where, for pictures; empty before, and after loading.
    answered: Vec<[f64; 2]>,
}

impl Wave {
    /// The wave at a point.
    pub fn at(&self, x: f64) -> f64 {
        self.amplitude * (x - self.phase).sin()
    }
}

impl SinusoidConfig {
    fn draw_points(world: &mut Wave, random: &mut Pcg64) {
        for x in &mut world.points {
            // Held as agents see it, so that what is right is right for what is seen.
            *x = f64::from((FARTHEST * (2.0 * random.double() - 1.0)) as f32);
        }
    }
}

impl Rules for SinusoidConfig {
    type World = Wave;
    const NAME: &'static str = "sinusoid";

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let answer = ActionSpace::uniform(1, f32::NEG_INFINITY, f32::INFINITY);
        vec![AgentKind::new("learner", self.agents, &[1], answer)]
    }

    fn limit(&self) -> u32 {
        self.length as u32
    }

    fn blank(&self) -> Wave {
        let (points, answered) = (vec![0.0; self.agents], Vec::with_capacity(self.agents));
        Wave { step: 0, amplitude: 1.0, phase: 0.0, points, answered }
    }

    fn reset(&self, world: &mut Wave, _episode: u64, random: &mut Pcg64) {
        world.step = 0;
        world.amplitude = 0.1 + 4.9 * random.double();
        world.phase = std::f64::consts::PI * random.double();
        world.answered.clear();
        Self::draw_points(world, random);
    }

    fn step(&self, world: &mut Wave, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.answered.clear();
        for (agent, (reward, answer)) in pay.rewards.iter_mut().zip(actions.continuous(0)).enumerate() {
            let x = world.points[agent];
            // In single precision, so that the right answer costs nothing.
            *reward = -(answer - world.at(x) as f32).powi(2).min(MOST_LOST);
            world.answered.push([x, f64::from(*answer)]);
        }
        world.step += 1;
        Self::draw_points(world, random);
        Outcome::GoesOn
    }

    fn observe(&self, world: &Wave, view: &mut View) {
        for (seen, x) in view.observations(0).iter_mut().zip(&world.points) {
            *seen = *x as f32;
        }
    }

    fn answers(&self) -> bool {
        true
    }

    fn answer(&self, world: &Wave, agent: usize, _: &mut [u32], continuous: &mut [f32]) -> bool {
        continuous[0] = world.at(world.points[agent]) as f32;
        true
    }

    /// The wave, and what agents answered last.
    fn draw(&self, world: &Wave) -> Option<Drawing> {
        let mut drawing = Drawing::new(12.0, 8.0);
        let place = |x: f64, y: f64| [6.0 + x as f32, 4.0 - 0.7 * y as f32];
        drawing.line(Role::Ground, place(-FARTHEST, 0.0), place(FARTHEST, 0.0), LINE);
        let steps = 60;
        let x = |i: usize| FARTHEST * (2.0 * i as f64 / steps as f64 - 1.0);
        for i in 0..steps {
            let [from, to] = [x(i), x(i + 1)].map(|x| place(x, world.at(x)));
            drawing.line(Role::Goal, from, to, 2.0 * LINE);
        }
        for (agent, [x, y]) in world.answered.iter().enumerate() {
            drawing.disc(Role::Agent(agent), place(*x, y.clamp(-5.0, 5.0)), 0.12);
        }
        drawing.note = format!("amplitude {:.2}, phase {:.2}", world.amplitude, world.phase);
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        vec!["answer".to_owned()]
    }

    fn visit(&self, world: &mut Wave, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.step)?;
        codec.one(&mut world.amplitude)?;
        codec.one(&mut world.phase)?;
        codec.all(&mut world.points)
    }

    fn valid(&self, world: &Wave) -> bool {
        (0.1..=5.0).contains(&world.amplitude)
            && (0.0..=std::f64::consts::PI).contains(&world.phase)
            && world.points.iter().all(|x| x.abs() <= FARTHEST)
    }
}
