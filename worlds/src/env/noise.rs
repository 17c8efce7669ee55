//! One voice among noise: of many senders one knows the answer, the others see numbers that mean nothing. Who weighs
//! all voices alike hears next to nothing; a gate or attention that looks at what is sent has to find the one.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("noise")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // the receiver names class 0
//! assert!(out.rewards.iter().all(|reward| *reward == 0.0 || *reward == 1.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drawing::Drawing;
use super::lqr::normal;
use super::pathfinding::Pcg64;
use super::signals::{self, MAX_STEPS, MOST_ANSWERS, Round};
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use super::{AgentKind, Fact};
use crate::error::Result;

/// Many noise games at once.
pub type Noise = Vectorised<NoiseConfig>;

/// What senders see that do not know the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// A class drawn evenly, written like the right one.
    #[default]
    OneHot,
    /// Independent numbers of the standard normal distribution.
    Gaussian,
}

/// The settings of [`Noise`].
///
/// One `receiver` and `agents - 1` agents of the kind `sender`. A class is drawn evenly, and one of the senders that
/// knows it; it sees the class one-hot, then a 1. Every other sender sees numbers that have nothing to do with it
/// (`noise`), then a 0: nothing but the sender's own last number tells whether what it sees matters. All this stays for
/// the episode. Senders have one action, which does nothing. The receiver sees nothing but whether its choice counts
/// now, which is on the last of `steps`: then all are paid 1 where it names the class, else 0.
///
/// Who hears nothing succeeds in `1 / classes` of the episodes. Who names the class that most senders see, where noise
/// is one-hot, succeeds little more often with many senders. The state for a centralised critic is the class and
/// whether the choice counts now. Reports have `success`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents in each world, the receiver included.
    #[schemars(range(min = 2, max = 1 << 12))]
    pub agents: usize,
    /// Classes, of which the receiver has to name one.
    #[schemars(range(min = 2, max = MOST_ANSWERS))]
    pub classes: usize,
    /// What senders see that do not know the class: `one_hot` or `gaussian`.
    pub noise: Sight,
    /// Steps of an episode; the receiver's choice counts on the last.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub steps: usize,
}

crate::env::config::world!(
    NoiseConfig => Noise,
    "noise",
    "one voice among noise: of many senders one knows what the receiver has to name"
);

impl Default for NoiseConfig {
    /// 32 agents, 4 classes, one-hot noise, 1 step; 64 worlds.
    fn default() -> Self {
        NoiseConfig { worlds: 64, agents: 32, classes: 4, noise: Sight::OneHot, steps: 1 }
    }
}

impl Rules for NoiseConfig {
    type World = Round;
    const NAME: &'static str = "noise";
    const METRICS: &'static [&'static str] = &["success"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        signals::check_shown("agents", self.agents - 1, self.classes + 1)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![
            AgentKind::discrete("sender", self.agents - 1, self.classes + 1, 1),
            AgentKind::discrete("receiver", 1, 1, self.classes),
        ]
    }

    fn state(&self) -> usize {
        self.classes + 1
    }

    fn limit(&self) -> u32 {
        self.steps as u32
    }

    fn blank(&self) -> Round {
        Round::blank(self.classes, (self.agents - 1) * (self.classes + 1))
    }

    fn reset(&self, world: &mut Round, _episode: u64, random: &mut Pcg64) {
        let class = random.below(self.classes as u32);
        let knows = random.below(self.agents as u32 - 1) as usize;
        let rows = world.begin(class).chunks_exact_mut(self.classes + 1);
        for (sender, row) in rows.enumerate() {
            let (seen, flag) = row.split_at_mut(self.classes);
            if sender == knows {
                seen[class as usize] = 1.0;
                flag[0] = 1.0;
                continue;
            }
            match self.noise {
                Sight::OneHot => seen[random.below(self.classes as u32) as usize] = 1.0,
                Sight::Gaussian => seen.iter_mut().for_each(|number| *number = normal(random) as f32),
            }
        }
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

    /// Senders above, the receiver below; the sender that knows the class has a line to it.
    fn draw(&self, world: &Round) -> Option<Drawing> {
        Some(world.draw_flagged(self.steps))
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        if agent + 1 < self.agents { signals::silent() } else { signals::answers(self.classes) }
    }

    /// The class, for the sender that knows it.
    fn facts(&self) -> Vec<Fact> {
        vec![Fact::new("class", self.classes)]
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
