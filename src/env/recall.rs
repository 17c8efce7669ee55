//! A task of memory between agents: a fact that one of them was shown is needed by another that never met it.
//!
//! ```
//! use synod::env::{Buffers, VecEnv, WorldConfig};
//! let mut env = WorldConfig::named("recall")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?;
//! # Ok::<(), synod::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drawing::{DISC, Drawing, RING, Role};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use super::{AgentKind, Fact};
use crate::error::{Error, Result};

/// Many tasks of recall at once.
pub type Recall = Vectorised<RecallConfig>;

/// The settings of [`Recall`].
///
/// There are `others + 1` facts: each says which of so many `values`, drawn evenly, stands at a key of its own. At each of
/// the first `others + 1` steps one fact is shown to one agent, drawn evenly. At the last step every agent is asked for the
/// value at a key that was shown, drawn evenly from those that it was not shown itself; only this step counts for
/// `success`. With `practice` agents to whom nothing is shown are asked in this way at every step before, too. A right answer
/// pays 1.
///
/// An agent sees whether a key is shown to it, whether one is asked, the key (one-hot), and the value that is shown
/// (one-hot). What it is asked for it has never seen: without a memory that agents share, or messages, an answer is right
/// in `1 / values` of the cases, whatever an agent remembers itself. Reports have `success`, the share of right answers at
/// the last step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecallConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents.
    #[schemars(range(min = 2, max = 4096))]
    pub agents: usize,
    /// Facts that are shown beside the one that is asked for (k).
    #[schemars(range(min = 1, max = 1023))]
    pub others: usize,
    /// Values that a fact can have.
    #[schemars(range(min = 2, max = 1024))]
    pub values: usize,
    /// Agents are asked while facts are still being shown, too.
    pub practice: bool,
}

crate::env::config::world!(
    RecallConfig => Recall,
    "recall",
    "facts that one agent is shown are asked of others later: a task for memory that agents share"
);

impl Default for RecallConfig {
    /// 4 agents, 4 other facts, 8 values; 64 worlds.
    fn default() -> Self {
        RecallConfig { worlds: 64, agents: 4, others: 4, values: 8, practice: true }
    }
}

/// Nobody, or nothing.
const NONE: u32 = u32::MAX;

/// One world between two steps.
#[derive(Debug, Clone)]
pub struct Facts {
    step: u32,
    /// In the order in which they are shown: the key, the value, and to whom.
    keys: Vec<u32>,
    values: Vec<u32>,
    told: Vec<u32>,
    /// The fact that each agent is asked for now, by its place in that order; or nothing.
    asked: Vec<u32>,
    /// Answers that were right at the last step, and all there.
    right: u32,
    answers: u32,
}

/// Keys that a picture names one under another.
const MOST_DRAWN: usize = 24;

impl RecallConfig {
    fn facts(&self) -> usize {
        self.others + 1
    }

    fn width(&self) -> usize {
        2 + self.facts() + self.values
    }

    /// Draws what agents are asked at the step that begins.
    fn ask(&self, world: &mut Facts, random: &mut Pcg64) {
        let step = world.step as usize;
        let known = step.min(self.facts());
        for agent in 0..self.agents {
            let told_now = world.told.get(step).is_some_and(|told| *told == agent as u32);
            let unknown = || (0..known).filter(|fact| world.told[*fact] != agent as u32);
            let count = unknown().count() as u32;
            let asks = !told_now && count > 0 && (self.practice || step == self.facts());
            world.asked[agent] = match asks {
                true => unknown().nth(random.below(count) as usize).map_or(NONE, |fact| fact as u32),
                false => NONE,
            };
        }
    }
}

impl Rules for RecallConfig {
    type World = Facts;
    const NAME: &'static str = "recall";
    const METRICS: &'static [&'static str] = &["success"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        let numbers = self.agents.saturating_mul(self.width());
        if numbers > MOST_NUMBERS {
            let message =
                format!("worlds that show at most {MOST_NUMBERS} numbers, this one shows {numbers}");
            return Err(Error::config("world.agents", message));
        }
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("agent", self.agents, self.width(), self.values)]
    }

    fn limit(&self) -> u32 {
        self.facts() as u32 + 1
    }

    fn blank(&self) -> Facts {
        let facts = vec![0; self.facts()];
        Facts {
            step: 0,
            keys: facts.clone(),
            values: facts.clone(),
            told: facts,
            asked: vec![NONE; self.agents],
            right: 0,
            answers: 0,
        }
    }

    fn reset(&self, world: &mut Facts, _episode: u64, random: &mut Pcg64) {
        (world.step, world.right, world.answers) = (0, 0, 0);
        for (i, key) in world.keys.iter_mut().enumerate() {
            *key = i as u32;
        }
        for i in (1..self.facts()).rev() {
            world.keys.swap(i, random.below(i as u32 + 1) as usize);
        }
        world.values.iter_mut().for_each(|value| *value = random.below(self.values as u32));
        world.told.iter_mut().for_each(|agent| *agent = random.below(self.agents as u32));
        self.ask(world, random);
    }

    fn step(&self, world: &mut Facts, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let last = world.step as usize == self.facts();
        for (agent, said) in actions.discrete(0).iter().enumerate() {
            let Some(value) = world.values.get(world.asked[agent] as usize) else { continue };
            let right = said == value;
            pay.rewards[agent] = f32::from(u8::from(right));
            if last {
                world.answers += 1;
                world.right += u32::from(right);
            }
        }
        world.step += 1;
        if last {
            return Outcome::Ends;
        }
        self.ask(world, random);
        Outcome::GoesOn
    }

    fn observe(&self, world: &Facts, view: &mut View) {
        let (rows, width) = (view.observations(0), self.width());
        rows.fill(0.0);
        let step = world.step as usize;
        for (agent, row) in rows.chunks_exact_mut(width).enumerate() {
            if world.told.get(step) == Some(&(agent as u32)) {
                row[0] = 1.0;
                row[2 + world.keys[step] as usize] = 1.0;
                row[2 + self.facts() + world.values[step] as usize] = 1.0;
            } else if let Some(key) = world.keys.get(world.asked[agent] as usize) {
                row[1] = 1.0;
                row[2 + *key as usize] = 1.0;
            }
        }
    }

    fn metrics(&self, world: &Facts) -> Vec<f64> {
        vec![f64::from(world.right) / f64::from(world.answers.max(1))]
    }

    /// Agents in a row; below, the facts that have been shown, by key, value and to whom.
    fn draw(&self, world: &Facts) -> Option<Drawing> {
        let shown = self.facts().min(MOST_DRAWN);
        let columns = self.agents.min(MOST_DRAWN);
        let mut drawing = Drawing::new(columns.max(6) as f32, 1.4 + 0.5 * shown as f32);
        let step = world.step as usize;
        for agent in 0..columns {
            let at = [agent as f32 + 0.5, 0.5];
            let told = world.told.get(step) == Some(&(agent as u32));
            drawing.ring(Role::Agent(agent), at, RING, if told { 0.5 } else { 0.0 });
            drawing.disc(Role::Agent(agent), at, DISC);
            if let Some(key) = world.keys.get(world.asked[agent] as usize) {
                drawing.label(Role::Ink, [at[0], at[1] + 0.6], 0.25, format!("{key}?"));
            }
        }
        for fact in 0..shown.min(step + 1) {
            let text = format!("{} = {}", world.keys[fact], world.values[fact]);
            let at = [1.5, 1.6 + 0.5 * fact as f32];
            drawing.disc(Role::Agent(world.told[fact] as usize), [0.5, at[1]], 0.15);
            drawing.label(Role::Ink, at, 0.3, text);
        }
        Some(drawing)
    }

    fn action_names(&self, _: usize) -> Vec<String> {
        super::signals::answers(self.values)
    }

    /// Key and value of what an agent is shown.
    fn facts(&self) -> Vec<Fact> {
        vec![Fact::new("key", RecallConfig::facts(self)), Fact::new("value", self.values)]
    }

    fn fact_values(&self, world: &Facts, agent: usize) -> Vec<Option<u32>> {
        let step = world.step as usize;
        match world.told.get(step) == Some(&(agent as u32)) {
            true => vec![Some(world.keys[step]), Some(world.values[step])],
            false => vec![None, None],
        }
    }

    fn visit(&self, world: &mut Facts, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.step)?;
        codec.all(&mut world.keys)?;
        codec.all(&mut world.values)?;
        codec.all(&mut world.told)?;
        codec.all(&mut world.asked)?;
        codec.one(&mut world.right)?;
        codec.one(&mut world.answers)
    }

    fn valid(&self, world: &Facts) -> bool {
        let facts = RecallConfig::facts(self) as u32;
        world.step <= facts
            && world.keys.iter().all(|key| *key < facts)
            && world.values.iter().all(|value| (*value as usize) < self.values)
            && world.told.iter().all(|agent| (*agent as usize) < self.agents)
            && world.asked.iter().all(|fact| *fact < facts || *fact == NONE)
            && world.right <= world.answers
            && world.answers as usize <= self.agents
    }
}

/// That the agents of a world see together.
const MOST_NUMBERS: usize = 1 << 22;
