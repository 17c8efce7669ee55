//! Each knows where the other has to go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::{Sheet, moves, words};
use super::particles::{Body, Control, MAX_STEPS, MOVES, Particles, Pen};
use crate::env::AgentKind;
use crate::env::drawing::{Drawing, Role};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::Result;

/// Many such pairs at once.
pub type SimpleReference = Vectorised<SimpleReferenceConfig>;

const BODY: Body = Body { size: 0.05, acceleration: 5.0, max_speed: f64::INFINITY };
const LANDMARKS: usize = 3;
const WORDS: usize = 10;

/// The settings of [`SimpleReference`] (MPE2's `simple_reference_v3`).
///
/// Two agents that move and say one of ten words at each step: a discrete action is movement + 5 x word. Each sees its velocity,
/// the three landmarks, the colour (3 numbers) of the landmark that is the *other's* goal, and the other's last word.
/// An agent is paid minus the distance of the other to its goal, weighted `local_ratio`, and minus the mean of both
/// distances, weighted `1 - local_ratio`. Reports have `distance`, that mean at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleReferenceConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
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
    SimpleReferenceConfig => SimpleReference,
    "simple_reference",
    "MPE: each knows where the other has to go"
);

impl Default for SimpleReferenceConfig {
    /// MPE2's: ratio 0.5, 25 steps; 64 worlds.
    fn default() -> Self {
        SimpleReferenceConfig {
            worlds: 64,
            local_ratio: 0.5,
            actions: Control::Discrete,
            max_episode_steps: 25,
        }
    }
}

/// For each agent, how far the other is from the goal that this one knows.
fn distances(world: &Particles) -> [f64; 2] {
    [0, 1].map(|agent| world.to_landmark(1 - agent, usize::from(world.goals[agent])).sqrt())
}

impl Rules for SimpleReferenceConfig {
    type World = Particles;
    const NAME: &'static str = "simple_reference";
    const METRICS: &'static [&'static str] = &["distance"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let observation = vec![2 + 2 * LANDMARKS + 3 + WORDS];
        let actions = self.actions.space(true, WORDS);
        vec![AgentKind::new("agent", 2, &observation, actions)]
    }

    fn state(&self) -> usize {
        2 * (2 + 2 * LANDMARKS + 3 + WORDS)
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Particles {
        Particles::blank(2, LANDMARKS, 2, 2).speaking(self.actions, WORDS)
    }

    fn reset(&self, world: &mut Particles, _episode: u64, random: &mut Pcg64) {
        world.draw_goals(LANDMARKS, random);
        world.scatter(1.0, random);
    }

    fn step(&self, world: &mut Particles, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.push(actions, |_| BODY);
        world.advance(|_| BODY);
        let (options, numbers) = (actions.discrete(0), actions.continuous(0));
        for speaker in 0..2 {
            let word = options.get(speaker).map(|option| option / MOVES as u32);
            world.say(speaker, word, &numbers[speaker * numbers.len() / 2..][..numbers.len() / 2]);
        }
        let apart = distances(world);
        let together = (apart[0] + apart[1]) / 2.0;
        for (reward, own) in pay.rewards.iter_mut().zip(apart) {
            *reward = -(together * (1.0 - self.local_ratio) + own * self.local_ratio) as f32;
        }
        Outcome::GoesOn
    }

    fn observe(&self, world: &Particles, view: &mut View) {
        for agent in 0..2 {
            let mut pen = Pen::new(view.observation(0, agent));
            pen.vector(world.velocities()[agent]);
            pen.landmarks(world, world.agents()[agent]);
            pen.colour(world.goals[agent], 0.25, 0.75);
            pen.word(world, 1 - agent, WORDS);
        }
        view.state_of_observations();
    }

    fn metrics(&self, world: &Particles) -> Vec<f64> {
        let apart = distances(world);
        vec![(apart[0] + apart[1]) / 2.0]
    }

    fn draw(&self, world: &Particles) -> Option<Drawing> {
        let mut sheet = Sheet::new(world, |_| BODY.size);
        sheet.landmarks(Role::Thing, 0.04);
        for agent in 0..2 {
            // What this one knows is where the other has to go.
            let goal = world.landmarks()[usize::from(world.goals[agent])];
            sheet.ring(Role::Agent(1 - agent), goal, if agent == 0 { 0.08 } else { 0.12 });
            sheet.said(agent);
        }
        Some(sheet.finish())
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        let say = |word: String| moves().into_iter().map(move |name| format!("{name}, {word}"));
        match self.actions {
            Control::Discrete => words(WORDS).into_iter().flat_map(say).collect(),
            Control::Continuous => [moves(), words(WORDS)].concat(),
        }
    }

    fn visit(&self, world: &mut Particles, codec: &mut Codec) -> Result<()> {
        world.visit(codec)
    }

    fn valid(&self, world: &Particles) -> bool {
        world.valid(WORDS)
    }
}
