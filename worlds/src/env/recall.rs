//! A task of memory between agents: a fact that one of them was shown is needed by another that never met it.
//!
//! ```
//! use synod_worlds::env::{Buffers, VecEnv, WorldConfig};
//! let mut env = WorldConfig::named("recall")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?;
//! # Ok::<(), synod_worlds::Error>(())
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
/// With several `groups` (agents are in them in the order of their numbers) each has facts of its own, under the same keys as
/// those of all others, and there are as many facts that are of all: at each step one fact is shown in each group, and a
/// fact of all to somebody else. Agents are asked for facts of their group and of all, evenly.
///
/// An agent sees whether a key is shown to it, whether one is asked, the key (one-hot), and the value that is shown
/// (one-hot); with several groups also whether it is a fact of all, and its group (one-hot). What it is asked for it has never seen: without a memory that agents share, or messages, an answer is right
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
    /// Groups of equally many agents with facts of their own; with one there are no facts of all besides.
    #[schemars(range(min = 1, max = 1024))]
    pub groups: usize,
}

crate::env::config::world!(
    RecallConfig => Recall,
    "recall",
    "facts that one agent is shown are asked of others later: a task for memory that agents share"
);

impl Default for RecallConfig {
    /// 4 agents in one group, 4 other facts, 8 values; 64 worlds.
    fn default() -> Self {
        RecallConfig { worlds: 64, agents: 4, others: 4, values: 8, practice: true, groups: 1 }
    }
}

/// Nobody, or nothing.
const NONE: u32 = u32::MAX;

/// One world between two steps.
#[derive(Debug, Clone)]
pub struct Facts {
    step: u32,
    /// In the order in which they are shown.
    keys: Vec<u32>,
    /// Of each group, and then of all, in that order: the value, and to whom it is shown.
    values: Vec<u32>,
    told: Vec<u32>,
    /// The fact that each agent is asked for now, by its place among these; or nothing.
    asked: Vec<u32>,
    /// Answers that were right at the last step, and all there.
    right: u32,
    answers: u32,
}

/// Agents that a picture has room for.
const MOST_DRAWN: usize = 24;

impl RecallConfig {
    /// Facts of a group.
    fn facts(&self) -> usize {
        self.others + 1
    }

    /// Groups, and all where there are several.
    fn owners(&self) -> usize {
        if self.groups == 1 { 1 } else { self.groups + 1 }
    }

    fn width(&self) -> usize {
        let groups = if self.groups == 1 { 0 } else { 1 + self.groups };
        2 + self.facts() + self.values + groups
    }

    fn group(&self, agent: usize) -> usize {
        agent / (self.agents / self.groups)
    }

    /// The fact that is shown to an agent at a step.
    fn told(&self, world: &Facts, agent: usize, step: usize) -> Option<usize> {
        let now = |owner: usize| owner * self.facts() + step;
        let owners = [self.group(agent), self.owners() - 1];
        let is_told = |fact: &usize| step < self.facts() && world.told[*fact] == agent as u32;
        owners.into_iter().map(now).find(is_told)
    }

    /// Draws what agents are asked at the step that begins.
    fn ask(&self, world: &mut Facts, random: &mut Pcg64) {
        let step = world.step as usize;
        let known = step.min(self.facts());
        for agent in 0..self.agents {
            world.asked[agent] = NONE;
            let asks = self.practice || step == self.facts();
            if !asks || self.told(world, agent, step).is_some() {
                continue;
            }
            let mut owners = [self.group(agent), self.owners() - 1];
            if self.groups > 1 && random.below(2) == 1 {
                owners.swap(0, 1);
            }
            for owner in owners {
                let all = owner * self.facts()..owner * self.facts() + known;
                let unknown = || all.clone().filter(|fact| world.told[*fact] != agent as u32);
                let count = unknown().count() as u32;
                if count > 0 {
                    let which = random.below(count) as usize;
                    world.asked[agent] = unknown().nth(which).map_or(NONE, |fact| fact as u32);
                    break;
                }
            }
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
        let of_one = self.agents / self.groups;
        if !self.agents.is_multiple_of(self.groups) || self.groups > 1 && of_one < 2 {
            let message = format!("groups of equally many, and at least two, of the {} agents", self.agents);
            return Err(Error::config("world.groups", message));
        }
        let facts = self.owners().saturating_mul(self.facts());
        let numbers = self.agents.saturating_mul(self.width()).max(facts);
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
        let all = vec![0; self.owners() * self.facts()];
        Facts {
            step: 0,
            keys: vec![0; self.facts()],
            values: all.clone(),
            told: all,
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
        let of_one = (self.agents / self.groups) as u32;
        for (fact, agent) in world.told.iter_mut().take(self.groups * self.facts()).enumerate() {
            *agent = (fact / self.facts()) as u32 * of_one + random.below(of_one);
        }
        for fact in self.groups * self.facts()..world.told.len() {
            // One of those to whom nothing else is shown at that step.
            let step = fact % self.facts();
            let group = random.below(self.groups as u32);
            let taken = world.told[group as usize * self.facts() + step];
            let other = group * of_one + random.below(of_one - 1);
            world.told[fact] = other + u32::from(other >= taken);
        }
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
        let facts = RecallConfig::facts(self);
        let behind = 2 + facts + self.values;
        for (agent, row) in rows.chunks_exact_mut(width).enumerate() {
            let told = self.told(world, agent, world.step as usize);
            let about = told.unwrap_or(world.asked[agent] as usize);
            if about < world.values.len() {
                row[usize::from(told.is_none())] = 1.0;
                row[2 + world.keys[about % facts] as usize] = 1.0;
            }
            if let Some(fact) = told {
                row[2 + facts + world.values[fact] as usize] = 1.0;
            }
            if self.groups > 1 {
                row[behind] = f32::from(u8::from(about < world.values.len() && about / facts == self.groups));
                row[behind + 1 + self.group(agent)] = 1.0;
            }
        }
    }

    fn metrics(&self, world: &Facts) -> Vec<f64> {
        vec![f64::from(world.right) / f64::from(world.answers.max(1))]
    }

    /// Agents in a row; below, what is shown and asked now, by key and value, and the answer.
    fn draw(&self, world: &Facts) -> Option<Drawing> {
        let facts = RecallConfig::facts(self);
        let columns = self.agents.min(MOST_DRAWN);
        let mut drawing = Drawing::new(columns.max(6) as f32, 2.0);
        for agent in 0..columns {
            let at = [agent as f32 + 0.5, 0.5];
            let told = self.told(world, agent, world.step as usize);
            drawing.ring(Role::Agent(agent), at, RING, if told.is_some() { 0.5 } else { 0.0 });
            drawing.disc(Role::Agent(agent), at, DISC);
            let about = told.unwrap_or(world.asked[agent] as usize);
            if let Some(value) = world.values.get(about) {
                let key = world.keys[about % facts];
                let text = if told.is_some() { format!("{key} = {value}") } else { format!("{key}?") };
                drawing.label(Role::Ink, [at[0], 1.2], 0.25, text);
                if told.is_none() {
                    drawing.label(Role::Ink, [at[0], 1.6], 0.2, format!("({value})"));
                }
            }
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
        match self.told(world, agent, world.step as usize) {
            Some(fact) => {
                let key = world.keys[fact % RecallConfig::facts(self)];
                vec![Some(key), Some(world.values[fact])]
            }
            None => vec![None, None],
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
        let all = world.values.len() as u32;
        world.step <= facts
            && world.keys.iter().all(|key| *key < facts)
            && world.values.iter().all(|value| (*value as usize) < self.values)
            && world.told.iter().all(|agent| (*agent as usize) < self.agents)
            && world.asked.iter().all(|fact| *fact < all || *fact == NONE)
            && world.right <= world.answers
            && world.answers as usize <= self.agents
    }
}

/// That the agents of a world see together.
const MOST_NUMBERS: usize = 1 << 22;
