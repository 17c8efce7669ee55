//! A game with a planted graph: it is known who has to hear whom, so that a graph that agents learn can be judged.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("planted")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // the receiver names answer 0
//! assert!(out.rewards.iter().all(|reward| *reward == 0.0 || *reward == 1.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drawing::Drawing;
use super::pathfinding::Pcg64;
use super::signals::{self, MAX_STEPS, MOST_ANSWERS, Round, Sender};
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use super::{AgentKind, Fact};
use crate::error::{Error, Result};

/// Many games with a planted graph at once.
pub type Planted = Vectorised<PlantedConfig>;

/// Senders of one sort.
const MOST_SENDERS: usize = 1 << 10;

/// The settings of [`Planted`].
///
/// The answer has `useful` parts, each one of `values`, all drawn evenly and independently. Sender number `p` of the
/// kind `useful` sees part `p`: its value one-hot, then `p` one-hot. Those of the kind `useless` see a value and a
/// number of a part that are drawn evenly and have nothing to do with the answer; they cannot be told from useful ones
/// by what they see, only by who they are. Those of the kind `mute` see zeros. All this stays for the episode. Senders
/// have one action, which does nothing.
///
/// The `receiver`, the last agent, sees nothing but whether its choice counts now, which is on the last of `steps`:
/// then all are paid 1 where it names the answer, one of `values ^ useful` (part 0 counts single, part 1 `values`
/// times, and so on), else 0. So the receiver has to hear every useful sender, and nobody has to hear anybody else.
/// Without one useful sender success is at most `1 / values`, without all `1 / values ^ useful`. A kind without agents
/// is left out. The state for a centralised critic is the answer and whether the choice counts now. Reports have
/// `success`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlantedConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Senders that see a part of the answer each.
    #[schemars(range(min = 1, max = 12))]
    pub useful: usize,
    /// Senders that see noise.
    #[schemars(range(min = 0, max = MOST_SENDERS))]
    pub useless: usize,
    /// Senders that see nothing.
    #[schemars(range(min = 0, max = MOST_SENDERS))]
    pub mute: usize,
    /// Values of a part.
    #[schemars(range(min = 2, max = 64))]
    pub values: usize,
    /// Steps of an episode; the receiver's choice counts on the last.
    #[schemars(range(min = 1, max = MAX_STEPS))]
    pub steps: usize,
}

crate::env::config::world!(
    PlantedConfig => Planted,
    "planted",
    "useful, useless and mute senders: it is known who has to be heard"
);

impl Default for PlantedConfig {
    /// 2 useful senders with 3 values each, 2 useless and 2 mute ones, 1 step; 64 worlds.
    fn default() -> Self {
        PlantedConfig { worlds: 64, useful: 2, useless: 2, mute: 2, values: 3, steps: 1 }
    }
}

impl PlantedConfig {
    /// Answers to choose from; `None` beyond [`MOST_ANSWERS`].
    fn answers(&self) -> Option<usize> {
        self.values.checked_pow(self.useful as u32).filter(|answers| *answers <= MOST_ANSWERS)
    }

    /// As many as there are, after the check.
    fn options(&self) -> usize {
        self.answers().unwrap_or(MOST_ANSWERS)
    }

    /// Numbers that a sender sees.
    fn length(&self) -> usize {
        self.values + self.useful
    }

    fn senders(&self) -> usize {
        self.useful + self.useless + self.mute
    }

    /// The kinds of sender that have agents.
    fn sorts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let sorts = [("useful", self.useful), ("useless", self.useless), ("mute", self.mute)];
        sorts.into_iter().filter(|(_, count)| *count > 0)
    }
}

impl Rules for PlantedConfig {
    type World = Round;
    const NAME: &'static str = "planted";
    const METRICS: &'static [&'static str] = &["success"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        if self.answers().is_none() {
            let expected = format!(
                "expected values ^ useful of at most {MOST_ANSWERS}, got {} ^ {}",
                self.values, self.useful
            );
            return Err(Error::config("world.values", expected));
        }
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let senders = self.sorts().map(|(name, count)| AgentKind::discrete(name, count, self.length(), 1));
        senders.chain([AgentKind::discrete("receiver", 1, 1, self.options())]).collect()
    }

    fn useful_links(&self) -> Option<Vec<(u32, u32)>> {
        let receiver = (self.useful + self.useless + self.mute) as u32;
        Some((0..self.useful as u32).map(|sender| (sender, receiver)).collect())
    }

    fn state(&self) -> usize {
        self.options() + 1
    }

    fn limit(&self) -> u32 {
        self.steps as u32
    }

    fn blank(&self) -> Round {
        Round::blank(self.options(), self.senders() * self.length())
    }

    fn reset(&self, world: &mut Round, _episode: u64, random: &mut Pcg64) {
        let answer = random.below(self.options() as u32);
        let (values, mut rest) = (self.values as u32, answer);
        let rows = world.begin(answer).chunks_exact_mut(self.length());
        for (sender, row) in rows.take(self.useful + self.useless).enumerate() {
            let (value, part) = row.split_at_mut(self.values);
            if sender < self.useful {
                value[(rest % values) as usize] = 1.0;
                part[sender] = 1.0;
                rest /= values;
            } else {
                value[random.below(values) as usize] = 1.0;
                part[random.below(self.useful as u32) as usize] = 1.0;
            }
        }
    }

    fn step(&self, world: &mut Round, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.name(actions.discrete(self.sorts().count())[0], self.steps, pay)
    }

    fn observe(&self, world: &Round, view: &mut View) {
        world.show(self.sorts().count(), self.steps, view);
    }

    fn metrics(&self, world: &Round) -> Vec<f64> {
        vec![f64::from(u8::from(world.solved()))]
    }

    /// Senders above, the receiver below; a line for each edge of the planted graph.
    fn draw(&self, world: &Round) -> Option<Drawing> {
        let rows = world.shown().chunks_exact(self.length());
        let sender = |(number, row): (usize, &[f32])| Sender {
            knows: number < self.useful,
            sees: signals::letters(&row[..self.values]),
        };
        let senders: Vec<_> = rows.enumerate().map(sender).collect();
        Some(world.draw(&senders, self.steps))
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        if agent < self.senders() { signals::silent() } else { signals::answers(self.options()) }
    }

    /// The value of its part of the answer, for every useful sender.
    fn facts(&self) -> Vec<Fact> {
        vec![Fact::new("part", self.values)]
    }

    fn fact_values(&self, world: &Round, agent: usize) -> Vec<Option<u32>> {
        let useful = agent < self.useful;
        vec![useful.then(|| world.answer() / (self.values as u32).pow(agent as u32) % self.values as u32)]
    }

    fn visit(&self, world: &mut Round, codec: &mut Codec) -> Result<()> {
        world.visit(codec)
    }

    fn valid(&self, world: &Round) -> bool {
        world.valid(self.steps)
    }
}
