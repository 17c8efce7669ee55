//! Lewis's signalling game (D. Lewis, "Convention", 1969, chapter IV; Skyrms, "Signals", 2010): one sees the state of
//! the world, another has to act on it, and only a convention between them can help.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("lewis")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // the receiver names state 0
//! assert!(out.rewards.iter().all(|reward| *reward == 0.0 || *reward == 1.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drawing::Drawing;
use super::pathfinding::Pcg64;
use super::signals::{self, MAX_STEPS, MOST_ANSWERS, Round};
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use super::{AgentKind, Fact};
use crate::error::Result;

/// Many signalling games at once.
pub type Lewis = Vectorised<LewisConfig>;

/// The settings of [`Lewis`].
///
/// One of `states` is drawn evenly. A `sender` sees it: one-hot, then a 1. Of several senders one, drawn evenly, sees
/// it, and the others see zeros. Senders have one action, which does nothing. The `receiver` sees nothing but whether
/// its choice counts now, which is on the last of `steps`: then all are paid 1 where it names the state, else 0.
///
/// With one step messages have to be heard within it; with `1 + d` steps there is time for messages that are heard `d`
/// steps later. Senders see the same on every step. Who hears nothing succeeds in `1 / states` of the episodes, a
/// convention with `w` words in at most `w / states`. The state for a centralised critic is the drawn state and whether
/// the choice counts now. Reports have `success`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LewisConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// States of the world, each with its right answer.
    #[schemars(range(min = 2, max = MOST_ANSWERS))]
    pub states: usize,
    /// Senders, of which one sees the state.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub senders: usize,
    /// Steps of an episode; the receiver's choice counts on the last.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub steps: usize,
}

crate::env::config::world!(
    LewisConfig => Lewis,
    "lewis",
    "Lewis's signalling game: one sees a state, another has to name it"
);

impl Default for LewisConfig {
    /// 8 states, 1 sender, 1 step; 64 worlds.
    fn default() -> Self {
        LewisConfig { worlds: 64, states: 8, senders: 1, steps: 1 }
    }
}

impl Rules for LewisConfig {
    type World = Round;
    const NAME: &'static str = "lewis";
    const METRICS: &'static [&'static str] = &["success"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        signals::check_shown("senders", self.senders, self.states + 1)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![
            AgentKind::discrete("sender", self.senders, self.states + 1, 1),
            AgentKind::discrete("receiver", 1, 1, self.states),
        ]
    }

    fn state(&self) -> usize {
        self.states + 1
    }

    fn limit(&self) -> u32 {
        self.steps as u32
    }

    fn blank(&self) -> Round {
        Round::blank(self.states, self.senders * (self.states + 1))
    }

    fn reset(&self, world: &mut Round, _episode: u64, random: &mut Pcg64) {
        let state = random.below(self.states as u32);
        let knows = random.below(self.senders as u32) as usize;
        let row = &mut world.begin(state)[knows * (self.states + 1)..][..self.states + 1];
        row[state as usize] = 1.0;
        row[self.states] = 1.0;
    }

    fn step(&self, world: &mut Round, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.name(actions.discrete(1)[0], self.steps, pay)
    }

    fn observe(&self, world: &Round, view: &mut View) {
        world.show(1, self.steps, view);
    }

    fn metrics(&self, world: &Round) -> Vec<f64> {
        vec![f64::from(u8::from(world.solved()))]
    }

    /// Senders above, the receiver below; the sender that sees the state has a line to it.
    fn draw(&self, world: &Round) -> Option<Drawing> {
        Some(world.draw_flagged(self.steps))
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        if agent < self.senders { signals::silent() } else { signals::answers(self.states) }
    }

    /// The drawn state, for the sender that sees it.
    fn facts(&self) -> Vec<Fact> {
        vec![Fact::new("state", self.states)]
    }

    fn fact_values(&self, world: &Round, agent: usize) -> Vec<Option<u32>> {
        vec![world.known_to(agent)]
    }

    fn visit(&self, world: &mut Round, codec: &mut Codec) -> Result<()> {
        world.visit(codec)
    }

    fn valid(&self, world: &Round) -> bool {
        world.valid(self.steps)
    }
}
