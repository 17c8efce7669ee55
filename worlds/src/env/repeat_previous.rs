//! A test of memory: repeat the symbol that was shown some steps ago (POPGym's RepeatPrevious, arXiv 2303.01859).
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("repeat_previous")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: the first symbol
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{DISC, Drawing, Role};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View, within};
use crate::error::Result;

/// Many such tasks at once.
pub type RepeatPrevious = Vectorised<RepeatPreviousConfig>;

/// The settings of [`RepeatPrevious`]. Each step shows a fresh symbol; an action names a symbol. From the step
/// `lag` on, naming the one of `lag` steps ago pays `1 / (length - lag)`, naming another costs as much: the most is
/// 1, and play at random gets `2 / symbols - 1`.
///
/// POPGym's easy, medium and hard tasks have 4 symbols, lags of 3, 31 and 63 (it counts the step itself and says 4,
/// 32 and 64) and 52, 104 and 156 steps. Its symbols are the suits of shuffled decks; here they are independent.
/// Reports have `success`: the part of the paid answers that was right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RepeatPreviousConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents in each world, each with a sequence of its own.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub agents: usize,
    /// Different symbols.
    #[schemars(range(min = 2, max = 1 << 12))]
    pub symbols: usize,
    /// How many steps ago the wanted symbol was shown; 0 is the one on view.
    #[schemars(range(min = 0, max = 1 << 12))]
    pub lag: usize,
    /// Steps in an episode; 0 for 52, and 52 more for every 32 of lag, as POPGym has it.
    #[schemars(range(min = 0, max = 1 << 24))]
    pub length: usize,
}

crate::env::config::world!(
    RepeatPreviousConfig => RepeatPrevious,
    "repeat_previous",
    "repeat the symbol of some steps ago"
);

impl Default for RepeatPreviousConfig {
    /// POPGym's easy task, 64 worlds.
    fn default() -> Self {
        RepeatPreviousConfig { worlds: 64, agents: 1, symbols: 4, lag: 3, length: 0 }
    }
}

/// A task between two steps.
#[derive(Debug, Clone)]
pub struct Sequences {
    step: u32,
    correct: u32,
    /// `[lag + 1, agents]`: the last symbols, that of step `t` in row `t % (lag + 1)`.
    shown: Vec<u16>,
    /// What each agent said last and what was wanted of it, for pictures; empty before, and after loading.
    said: Vec<[u32; 2]>,
}

/// Agents that a picture has room for.
const MOST_DRAWN: usize = 12;

impl RepeatPreviousConfig {
    /// Steps in an episode.
    fn steps(&self) -> usize {
        match self.length {
            0 => 52 * (1 + (self.lag + 1) / 32),
            length => length,
        }
    }

    fn row(&self, step: u32) -> std::ops::Range<usize> {
        let row = step as usize % (self.lag + 1);
        row * self.agents..(row + 1) * self.agents
    }

    fn draw(&self, world: &mut Sequences, random: &mut Pcg64) {
        for symbol in &mut world.shown[self.row(world.step)] {
            *symbol = random.below(self.symbols as u32) as u16;
        }
    }
}

impl Rules for RepeatPreviousConfig {
    type World = Sequences;
    const NAME: &'static str = "repeat_previous";
    const METRICS: &'static [&'static str] = &["success"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        within("length", self.steps(), self.lag + 1, 1 << 24)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("agent", self.agents, self.symbols, self.symbols)]
    }

    fn longest(&self) -> u32 {
        self.steps() as u32
    }

    fn blank(&self) -> Sequences {
        let shown = vec![0; (self.lag + 1) * self.agents];
        Sequences { step: 0, correct: 0, shown, said: Vec::with_capacity(self.agents) }
    }

    fn reset(&self, world: &mut Sequences, _episode: u64, random: &mut Pcg64) {
        (world.step, world.correct) = (0, 0);
        world.shown.fill(0);
        world.said.clear();
        self.draw(world, random);
    }

    fn step(&self, world: &mut Sequences, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(0);
        world.said.clear();
        if world.step as usize >= self.lag {
            // The row after this one is the oldest.
            let wanted = &world.shown[self.row(world.step + 1)];
            let share = 1.0 / (self.steps() - self.lag) as f32;
            for ((reward, action), symbol) in pay.rewards.iter_mut().zip(actions).zip(wanted) {
                let right = *action == u32::from(*symbol);
                *reward = if right { share } else { -share };
                world.correct += u32::from(right);
                world.said.push([*action, u32::from(*symbol)]);
            }
        }
        world.step += 1;
        if world.step as usize == self.steps() {
            return Outcome::Ends;
        }
        self.draw(world, random);
        Outcome::GoesOn
    }

    fn observe(&self, world: &Sequences, view: &mut View) {
        // After the last step the last symbol is still on view.
        let shown = &world.shown[self.row(world.step.min(self.steps() as u32 - 1))];
        let seen = view.observations(0);
        seen.fill(0.0);
        for (seen, symbol) in seen.chunks_exact_mut(self.symbols).zip(shown) {
            seen[usize::from(*symbol)] = 1.0;
        }
    }

    fn metrics(&self, world: &Sequences) -> Vec<f64> {
        vec![f64::from(world.correct) / ((self.steps() - self.lag) * self.agents) as f64]
    }

    fn answers(&self) -> bool {
        true
    }

    fn answer(&self, world: &Sequences, agent: usize, discrete: &mut [u32], _: &mut [f32]) -> bool {
        let asked = (self.lag..self.steps()).contains(&(world.step as usize));
        if asked {
            discrete[0] = u32::from(world.shown[self.row(world.step + 1)][agent]);
        }
        asked
    }

    /// A row for each agent: what it sees now, what it said last, and what was wanted then.
    fn draw(&self, world: &Sequences) -> Option<Drawing> {
        let drawn = self.agents.min(MOST_DRAWN);
        let mut drawing = Drawing::new(7.0, drawn as f32 + 1.2);
        for (x, name) in [(2.4, "sees"), (4.2, "said"), (6.0, "wanted")] {
            drawing.label(Role::Ink, [x, 0.6], 0.34, name);
        }
        let shown = &world.shown[self.row(world.step.min(self.steps() as u32 - 1))];
        for (agent, symbol) in shown.iter().enumerate().take(drawn) {
            let y = agent as f32 + 1.6;
            drawing.disc(Role::Agent(agent), [0.8, y], DISC);
            drawing.rectangle(Role::Ground, [1.95, y - 0.4], [0.9, 0.8]);
            drawing.label(Role::Ink, [2.4, y], 0.42, symbol.to_string());
            let Some([said, wanted]) = world.said.get(agent) else { continue };
            let role = if said == wanted { Role::Good } else { Role::Bad };
            *drawing.rectangle(role, [3.75, y - 0.4], [0.9, 0.8]) = 0.35;
            drawing.label(Role::Ink, [4.2, y], 0.42, said.to_string());
            drawing.label(Role::Ink, [6.0, y], 0.42, wanted.to_string());
        }
        drawing.note = format!("{} right", world.correct);
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        (0..self.symbols).map(|symbol| format!("symbol {symbol}")).collect()
    }

    fn visit(&self, world: &mut Sequences, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.step)?;
        codec.one(&mut world.correct)?;
        codec.all(&mut world.shown)
    }

    fn valid(&self, world: &Sequences) -> bool {
        let paid = (world.step as usize).saturating_sub(self.lag) * self.agents;
        world.step as usize <= self.steps()
            && world.correct as usize <= paid
            && world.shown.iter().all(|symbol| usize::from(*symbol) < self.symbols)
    }
}
