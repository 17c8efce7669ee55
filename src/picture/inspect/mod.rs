//! What went on inside a team in one episode, as pictures (SVG) and beside each the same numbers as JSON: who listens
//! to whom, the graph of neighbours, values and actions, intrinsic rewards, clusters of messages, how much they count
//! and what they mean, and the memory that agents share.
//!
//! What is drawn is a [`Recording`]: plain arrays. This folder knows no environment and no network; whoever has played
//! an episode fills one in. Each file here makes one page; what they share is in `canvas`.
//!
//! ```
//! use synod::picture::inspect::{Recording, pages};
//! // Two steps of an agent that chooses among three.
//! let recording = Recording {
//!     title: "a short episode".into(),
//!     agents: 1,
//!     choices: vec![3],
//!     steps: 2,
//!     present: vec![true; 2],
//!     taken: vec![0, 2],
//!     rewards: vec![0.0, 1.0],
//!     values: vec![0.4, 0.9],
//!     preferences: vec![0.8, 0.1, 0.1, 0.2, 0.2, 0.6],
//!     allowed: vec![true; 6],
//!     ..Recording::default()
//! };
//! assert_eq!(pages(&recording, 4)?[0].name, "values");
//! # Ok::<(), synod::Error>(())
//! ```

mod attention;
mod canvas;
mod cluster;
mod graph;
mod importance;
mod intrinsic;
mod meaning;
mod memory;
mod messages;
#[cfg(test)]
mod tests;
mod values;

pub use importance::Counted;
pub use meaning::{FactTable, Listening, Meaning, Speech};
pub use memory::Memory;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// One recorded episode. Arrays are row-major; `steps` is the number of steps recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// What is played: the preset, its world, episode and seed, in a line above every picture.
    pub title: String,
    /// The same and whatever else belongs in front of the numbers.
    pub about: Map<String, Value>,
    /// Agents in the world.
    pub agents: usize,
    /// `[agents]`: what each is called; empty where numbers have to do.
    pub names: Vec<String>,
    /// The options of each choice that an agent makes.
    pub choices: Vec<usize>,
    /// Continuous numbers of an action.
    pub floats: usize,
    /// What options of all choices and then continuous numbers are called: `[agents]` lists, or one list for all; empty
    /// where numbers have to do.
    pub action_names: Vec<Vec<String>>,
    /// How many speakers of each listener are drawn in the graph, the strongest first, where attention weighs them.
    pub arcs: usize,
    /// Steps recorded.
    pub steps: usize,
    /// `[steps, agents]`: whether the agent is in its world.
    pub present: Vec<bool>,
    /// `[steps, agents, choices]`: what it chose.
    pub taken: Vec<u32>,
    /// `[steps, agents, floats]`: the continuous numbers of what it did.
    pub numbers: Vec<f32>,
    /// `[steps, agents]`: what its world paid for that.
    pub rewards: Vec<f32>,
    /// `[steps, agents]`: what it expected of the situation: the critic's value, or the highest value of an action.
    pub values: Vec<f32>,
    /// `[steps, agents, options]`: probabilities or values of the options of all choices, one after another.
    pub preferences: Vec<f32>,
    /// Whether these are values of actions; otherwise they are probabilities.
    pub values_of_actions: bool,
    /// `[steps, agents, options]`: whether the world allows it.
    pub allowed: Vec<bool>,
    /// `[steps, agents]`: intrinsic rewards, and the name of what pays them.
    pub bonuses: Option<(String, Vec<f32>)>,
    /// Communication, round by round.
    pub rounds: Vec<Round>,
    /// The graph of neighbours.
    pub graph: Option<Links>,
    /// How much messages count.
    pub importance: Option<Counted>,
    /// What messages mean.
    pub meaning: Option<Meaning>,
    /// The memory that agents share.
    pub memory: Option<Memory>,
}

/// One round of communication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Round {
    /// Numbers in a message.
    pub features: usize,
    /// `[steps, agents, features]`: what each agent says.
    pub said: Vec<f32>,
    /// Heads of attention.
    pub heads: usize,
    /// `[steps, heads, agents, agents]`: how much each agent (third) listens to each (fourth); empty for none.
    pub attention: Vec<f32>,
    /// `[steps, agents]`: 1 where an agent lets others hear it; empty for none.
    pub gates: Vec<f32>,
    /// `[steps, agents]`: how urgent what an agent says is, 0 to 1; empty for none.
    pub priorities: Vec<f32>,
}

/// Graphs of neighbours, one a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Links {
    /// Dimensions of a position.
    pub dimensions: usize,
    /// `[steps, agents, dimensions]`.
    pub positions: Vec<f32>,
    /// `[steps]`: the edges of each.
    pub edges: Vec<Vec<Link>>,
    /// Whether the weights are those of attention; else they are given by the graph itself.
    pub learned: bool,
}

/// An edge: `to` hears `from`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// The speaker.
    pub from: u32,
    /// The listener.
    pub to: u32,
    /// `[rounds, heads]`: how much; where weights are not those of attention, the one of the edge.
    pub weights: Vec<f32>,
}

/// A picture and its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// What its files are called, without `.svg` and `.json`.
    pub name: &'static str,
    /// The picture.
    pub svg: String,
    /// The numbers.
    pub json: Value,
}

/// Attention is drawn for up to so many agents.
pub const MOST_LISTENERS: usize = 64;

/// Every page that the recording has something for: `values`, `intrinsic`, `attention` (attention or gates; for up to
/// [`MOST_LISTENERS`] agents), `graph`, `messages`, those in so many clusters, `importance`, `meaning` and `memory`.
///
/// # Errors
/// Nothing was recorded, arrays do not fit together, or no clusters are asked for.
pub fn pages(recording: &Recording, clusters: usize) -> Result<Vec<Page>> {
    check(recording)?;
    let mut pages = vec![values::page(recording)];
    pages.extend(intrinsic::page(recording)?);
    pages.extend(attention::page(recording));
    pages.extend(graph::page(recording));
    pages.extend(messages::page(recording, clusters)?);
    pages.extend(importance::page(recording));
    pages.extend(meaning::page(recording));
    pages.extend(memory::page(recording));
    Ok(pages)
}

/// Refuses recordings whose arrays do not fit together.
fn check(recording: &Recording) -> Result<()> {
    let Recording { agents, steps, floats, .. } = *recording;
    let (choices, options) = (recording.choices.len(), recording.options());
    let lanes = steps.checked_mul(agents).filter(|lanes| *lanes > 0);
    let (Some(lanes), true) = (lanes, options > 0 || floats > 0) else {
        return Err(Error::Usage(format!("nothing to look into: {steps} steps of {agents} agents")));
    };
    let lists = recording.action_names.len();
    let mut lengths = vec![
        ("names", recording.names.len(), Some(if recording.names.is_empty() { 0 } else { agents })),
        ("action_names", lists, Some(if lists <= 1 { lists } else { agents })),
        ("present", recording.present.len(), Some(lanes)),
        ("taken", recording.taken.len(), lanes.checked_mul(choices)),
        ("numbers", recording.numbers.len(), lanes.checked_mul(floats)),
        ("rewards", recording.rewards.len(), Some(lanes)),
        ("values", recording.values.len(), Some(lanes)),
        ("preferences", recording.preferences.len(), lanes.checked_mul(options)),
        ("allowed", recording.allowed.len(), lanes.checked_mul(options)),
    ];
    if let Some((_, bonuses)) = &recording.bonuses {
        lengths.push(("bonuses", bonuses.len(), Some(lanes)));
    }
    for round in &recording.rounds {
        lengths.push(("said", round.said.len(), lanes.checked_mul(round.features)));
        if !round.attention.is_empty() {
            let all = lanes.checked_mul(agents).and_then(|n| n.checked_mul(round.heads));
            lengths.push(("attention", round.attention.len(), all));
        }
    }
    // All rounds have gates, or none; and so with priorities.
    let parts: [(&str, fn(&Round) -> usize); 2] =
        [("gates", |round| round.gates.len()), ("priorities", |round| round.priorities.len())];
    for (name, length) in parts {
        if recording.rounds.iter().any(|round| length(round) > 0) {
            lengths.extend(recording.rounds.iter().map(|round| (name, length(round), Some(lanes))));
        }
    }
    if let Some(counted) = &recording.importance {
        let parts = [&counted.removed, &counted.marginal, &counted.value];
        lengths.extend(parts.map(|part| ("importance", part.len(), lanes.checked_mul(agents))));
    }
    if let Some(memory) = &recording.memory {
        lengths.extend(memory.lengths(steps, agents));
    }
    if recording.meaning.as_ref().is_some_and(|meaning| !meaning.fits()) {
        return Err(Error::Usage("tables of messages that are not those of their symbols".into()));
    }
    if let Some(links) = &recording.graph {
        lengths.push(("positions", links.positions.len(), lanes.checked_mul(links.dimensions)));
        lengths.push(("edges", links.edges.len(), Some(steps)));
        let weights: usize = if links.learned { recording.rounds.iter().map(|r| r.heads).sum() } else { 1 };
        let end = |end: u32| (end as usize) < agents;
        let strange = |link: &&Link| !end(link.from) || !end(link.to) || link.weights.len() != weights;
        if let Some(link) = links.edges.iter().flatten().find(strange) {
            return Err(Error::Usage(format!("an edge of {agents} agents cannot be {link:?}")));
        }
    }
    match lengths.into_iter().find(|(_, found, expected)| Some(*found) != *expected) {
        Some((name, found, _)) => Err(Error::Usage(format!(
            "`{name}` has {found} numbers, which does not fit {steps} steps of {agents} agents"
        ))),
        None if !taken_exist(recording) => {
            Err(Error::Usage(format!("an option of {:?} that is not there", recording.choices)))
        }
        None => Ok(()),
    }
}

fn taken_exist(recording: &Recording) -> bool {
    let mut rows = recording.taken.chunks(recording.choices.len().max(1));
    rows.all(|row| row.iter().zip(&recording.choices).all(|(taken, options)| (*taken as usize) < *options))
}

impl Recording {
    /// Options of all choices together.
    fn options(&self) -> usize {
        self.choices.iter().fold(0, |sum, options| sum.saturating_add(*options))
    }

    /// Which of all options an agent took, at `lane` of `[steps, agents]`: one of each choice.
    fn options_taken(&self, lane: usize) -> impl Iterator<Item = usize> {
        let mut first = 0;
        let taken = &self.taken[lane * self.choices.len()..][..self.choices.len()];
        taken.iter().zip(&self.choices).map(move |(taken, options)| {
            first += options;
            first - options + *taken as usize
        })
    }

    fn is_present(&self, step: usize, agent: usize) -> bool {
        self.present[step * self.agents + agent]
    }

    /// What an agent is called.
    fn name_of(&self, agent: usize) -> String {
        self.names.get(agent).cloned().unwrap_or_else(|| format!("agent {agent}"))
    }

    fn names_of_actions(&self, agent: usize) -> &[String] {
        match &self.action_names[..] {
            [list] => list,
            lists => lists.get(agent).map_or(&[], Vec::as_slice),
        }
    }

    /// What an option of an agent is called, counted through all its choices.
    fn name_of_action(&self, agent: usize, option: usize) -> String {
        self.names_of_actions(agent).get(option).cloned().unwrap_or_else(|| option.to_string())
    }

    /// What a continuous number of an agent's action is called.
    fn name_of_number(&self, agent: usize, number: usize) -> String {
        let (names, options) = (self.names_of_actions(agent), self.options());
        // Where agents are made alike the lists of some are shorter: then options and numbers cannot be told apart.
        let whole = options == 0 || names.len() == options + self.floats;
        let name = names.get(options + number).filter(|_| whole);
        name.cloned().unwrap_or_else(|| format!("number {number}"))
    }

    /// Which numbers are of which kind, where there are several: `; 0 to 2 are adversary, 3 is agent`.
    fn kinds(&self) -> String {
        let stem =
            |name: &String| name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ').to_string();
        let mut kinds: Vec<(String, usize, usize)> = Vec::new();
        for (agent, name) in self.names.iter().enumerate() {
            match kinds.last_mut().filter(|(kind, ..)| *kind == stem(name)) {
                Some((_, _, last)) => *last = agent,
                None => kinds.push((stem(name), agent, agent)),
            }
        }
        if kinds.len() < 2 {
            return String::new();
        }
        let range = |(kind, first, last): (String, usize, usize)| match first == last {
            true => format!("{first} is {kind}"),
            false => format!("{first} to {last} are {kind}"),
        };
        format!("; {}", kinds.into_iter().map(range).collect::<Vec<_>>().join(", "))
    }

    /// The numbers of a page behind what they belong to.
    fn json(&self, own: Value) -> Value {
        let mut object = self.about.clone();
        if let Value::Object(own) = own {
            object.extend(own);
        }
        Value::Object(object)
    }

    /// `[steps, agents]` numbers, nothing where the agent is absent.
    fn of_agents(&self, values: &[f32]) -> Value {
        self.steps_and_agents(|i| number(values[i]))
    }

    /// `[steps, agents]` of anything, nothing where the agent is absent.
    fn steps_and_agents(&self, value: impl Fn(usize) -> Value) -> Value {
        let row = |step: usize| {
            let cells = (0..self.agents).map(|agent| match self.is_present(step, agent) {
                true => value(step * self.agents + agent),
                false => Value::Null,
            });
            Value::Array(cells.collect())
        };
        Value::Array((0..self.steps).map(row).collect())
    }
}

/// Which of at most so many groups (k-means) each row of `size` numbers is in, the largest first. Of many rows evenly
/// spaced ones make the groups, and the others are in the nearest.
pub(crate) fn groups(values: &[f32], size: usize, most: usize) -> Vec<usize> {
    let points = cluster::Points { values, size };
    let taken = super::kept(points.count(), messages::MOST_MESSAGES);
    let some: Vec<f32> = taken.iter().flat_map(|i| points.row(*i)).copied().collect();
    let found = cluster::clusters(cluster::Points { values: &some, size }, most);
    if taken.len() == points.count() {
        return found.of;
    }
    let distance = |row: &[f32], centre: &[f64]| -> f64 {
        row.iter().zip(centre).map(|(x, c)| (f64::from(*x) - c).powi(2)).sum()
    };
    let nearest = |row: &[f32]| {
        let all = found.centres.iter().map(|centre| distance(row, centre)).enumerate();
        all.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(group, _)| group)
    };
    (0..points.count()).map(|i| nearest(points.row(i))).collect()
}

/// A number with no more digits than tell it from its neighbours; nothing for what is not finite.
fn number(value: f32) -> Value {
    // The shortest text that reads back as this f32 is the same number to the reader of an f64.
    value.to_string().parse::<f64>().map_or(Value::Null, |v| json!(v))
}

/// Arrays within arrays.
fn nested(values: &[f32], shape: &[usize]) -> Value {
    match shape {
        [] | [_] => values.iter().map(|v| number(*v)).collect(),
        [_, rest @ ..] => {
            let size: usize = rest.iter().product();
            values.chunks_exact(size.max(1)).map(|part| nested(part, rest)).collect()
        }
    }
}
