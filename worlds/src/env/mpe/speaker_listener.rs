//! One knows where to go and cannot move, the other moves and does not know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::{Sheet, moves, words};
use super::particles::{Body, Control, MAX_STEPS, Particles, Pen};
use crate::env::AgentKind;
use crate::env::drawing::{Drawing, Role};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::Result;

/// Many such pairs at once.
pub type SimpleSpeakerListener = Vectorised<SimpleSpeakerListenerConfig>;

const SPEAKER: Body = Body { size: 0.075, acceleration: 0.0, max_speed: f64::INFINITY };
const LISTENER: Body = Body { size: 0.075, acceleration: 5.0, max_speed: f64::INFINITY };
const LANDMARKS: usize = 3;
const WORDS: usize = 3;

/// The settings of [`SimpleSpeakerListener`] (MPE2's `simple_speaker_listener_v4`).
///
/// The `speaker` sees the goal's colour (3 numbers) and says one of three words; the `listener` sees its velocity,
/// the three landmarks and the last word, and moves. Both are paid minus the listener's squared distance to the
/// goal. Reports have `distance`, the listener's to the goal at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleSpeakerListenerConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// How agents are steered: `discrete` or `continuous`.
    pub actions: Control,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    SimpleSpeakerListenerConfig => SimpleSpeakerListener,
    "simple_speaker_listener",
    "MPE: one knows where to go, the other moves"
);

impl Default for SimpleSpeakerListenerConfig {
    /// 64 worlds, 25 steps.
    fn default() -> Self {
        SimpleSpeakerListenerConfig { worlds: 64, actions: Control::Discrete, max_episode_steps: 25 }
    }
}

impl Rules for SimpleSpeakerListenerConfig {
    type World = Particles;
    const NAME: &'static str = "simple_speaker_listener";
    const METRICS: &'static [&'static str] = &["distance"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let kind = |name: &str, length, moves, words| {
            AgentKind::new(name, 1, &[length], self.actions.space(moves, words))
        };
        vec![kind("speaker", 3, false, WORDS), kind("listener", 2 + 2 * LANDMARKS + WORDS, true, 0)]
    }

    fn state(&self) -> usize {
        3 + 2 + 2 * LANDMARKS + WORDS
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Particles {
        Particles::blank(2, LANDMARKS, 1, 1).speaking(self.actions, WORDS)
    }

    fn reset(&self, world: &mut Particles, _episode: u64, random: &mut Pcg64) {
        world.draw_goals(LANDMARKS, random);
        world.scatter(1.0, random);
    }

    fn step(&self, world: &mut Particles, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let body = |agent| if agent == 0 { SPEAKER } else { LISTENER };
        world.push(actions, body);
        world.advance(body);
        world.say(0, actions.discrete(0).first().copied(), actions.continuous(0));
        pay.rewards.fill(-world.to_landmark(1, usize::from(world.goals[0])) as f32);
        Outcome::GoesOn
    }

    fn observe(&self, world: &Particles, view: &mut View) {
        Pen::new(view.observation(0, 0)).colour(world.goals[0], 0.15, 0.65);
        let mut pen = Pen::new(view.observation(1, 0));
        pen.vector(world.velocities()[1]);
        pen.landmarks(world, world.agents()[1]);
        pen.word(world, 0, WORDS);
        view.state_of_observations();
    }

    fn metrics(&self, world: &Particles) -> Vec<f64> {
        vec![world.to_landmark(1, usize::from(world.goals[0])).sqrt()]
    }

    fn draw(&self, world: &Particles) -> Option<Drawing> {
        let mut sheet = Sheet::new(world, |_| LISTENER.size);
        sheet.landmarks(Role::Thing, 0.04);
        sheet.ring(Role::Agent(1), world.landmarks()[usize::from(world.goals[0])], 0.09);
        sheet.said(0);
        Some(sheet.finish())
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        if agent == 0 { words(WORDS) } else { moves() }
    }

    fn visit(&self, world: &mut Particles, codec: &mut Codec) -> Result<()> {
        world.visit(codec)
    }

    fn valid(&self, world: &Particles) -> bool {
        world.valid(WORDS)
    }
}
