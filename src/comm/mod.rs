//! How agents of a team tell each other things: one file a way, each a layer from the agents' features to features that
//! know of what was heard, behind [`Layer`]. Gradients flow through what is said into who said it. What an agent makes
//! of the result (recurrence, heads) lives in `agent::team`; ops on graphs live in `op::message`.
//!
//! The [`communicator`](CommunicatorConfig) is put together from parts that stand in files of their own: a [`Channel`], who
//! hears whom ([`Hearers`], with a [`LearnedGraph`]), a [`Gate`], [`Urgency`], a [`Superposition`].
//!
//! ```
//! use synod::comm::{Communication, TarMacConfig};
//! use synod::agent::team::TeamConfig;
//! let communication = Communication::new(TarMacConfig { heads: 4, ..TarMacConfig::default() });
//! let team = TeamConfig { communication, rounds: 2, ..TeamConfig::default() };
//! assert_eq!(team.communication.name(), "tarmac");
//! ```

mod channel;
mod commnet;
mod communicator;
mod gat;
mod gate;
mod gcn;
mod hearers;
mod ic3net;
pub mod meaning;
pub mod neighbours;
mod superposition;
mod tarmac;
mod urgency;

pub use channel::{Channel, Line};
pub use commnet::{CommNet, CommNetConfig};
pub use communicator::{Combine, Communicator, CommunicatorConfig};
pub use gat::{Gat, GatConfig, GatV2Config, GraphAttentionConfig};
pub use gate::Gate;
pub use gcn::{Gcn, GcnConfig};
pub use hearers::{Between, Hearers, LearnedGraph};
pub use ic3net::{Ic3Net, Ic3NetConfig};
pub use neighbours::Neighbours;
pub use superposition::{Measured, Superposition};
pub use tarmac::{TarMac, TarMacConfig};
pub use urgency::{Urgency, pass};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Device;
use crate::env::Spec;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::nn::{Builder, Parameters, Weights};
use crate::op::message::Edges;
use crate::registry::{Kind, Member, Table, family};
use crate::schema;

/// Settings of a way to communicate, and the layers that they build.
pub trait CommunicationSettings: Table {
    /// One round among these agents; `None` where nobody hears anybody. The settings have been checked.
    fn layer(&self, builder: &mut Builder, name: &str, company: &Company) -> Option<Box<dyn Layer>>;

    /// Settings that other parameters or another meaning of them follow from, in words for checkpoints.
    fn describe(&self) -> String {
        String::new()
    }

    /// Numbers that an agent sends in one round over so many features.
    fn said(&self, features: usize) -> usize {
        features
    }

    /// Heads of its attention; 1 where it has none.
    fn heads(&self) -> usize {
        1
    }

    /// How the graph that it goes over is made; `None` where all hear all.
    fn neighbours(&self) -> Option<&Neighbours> {
        None
    }

    /// Steps between saying and hearing.
    fn delay(&self) -> usize {
        0
    }

    /// Checks the settings against the agents that are to talk.
    ///
    /// # Errors
    /// The first setting out of range.
    fn check(&self, company: &Company) -> Result<()> {
        self.neighbours().map_or(Ok(()), |neighbours| neighbours.check(company.observation))
    }
}

/// The agents that a way of communicating is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    /// Features of each agent.
    pub features: usize,
    /// The kinds of agent in a world and how many there are of each, in the order of agents.
    pub kinds: Vec<(String, usize)>,
    /// Numbers of an agent's (flat) observation.
    pub observation: usize,
    /// The step after which an episode ends at the latest; `u32::MAX` where that is not known.
    pub limit: u32,
}

impl Company {
    /// The agents of worlds with these sizes, with so many features each.
    ///
    /// # Errors
    /// There are several kinds, and they were not made alike ([`Uniform`](crate::env::uniform::Uniform)).
    pub fn of(spec: &Spec, features: usize) -> Result<Self> {
        let kind = spec.only_kind("a way to communicate")?;
        Ok(Company {
            features,
            kinds: kind.unlike().iter().map(|member| (member.name.clone(), member.count)).collect(),
            observation: kind.observation.iter().product(),
            limit: spec.limit,
        })
    }

    /// So many agents of one kind, with so many features, that see so many numbers.
    pub fn alike(agents: usize, features: usize, observation: usize) -> Self {
        Company { features, kinds: vec![("agent".into(), agents)], observation, limit: u32::MAX }
    }

    /// Agents in a world.
    pub fn agents(&self) -> usize {
        self.kinds.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The number of the kind of each agent.
    fn kind_of_each(&self) -> Vec<usize> {
        let of = |(kind, (_, count)): (usize, &(String, usize))| std::iter::repeat_n(kind, *count);
        self.kinds.iter().enumerate().flat_map(of).collect()
    }
}

/// Every way of this crate.
const COMMUNICATIONS: &[Kind<Communications>] = &[
    Kind::<Communications>::of::<Silence>(),
    Kind::<Communications>::of::<CommNetConfig>(),
    Kind::<Communications>::of::<Ic3NetConfig>(),
    Kind::<Communications>::of::<TarMacConfig>(),
    Kind::<Communications>::of::<GcnConfig>(),
    Kind::<Communications>::of::<GatConfig>(),
    Kind::<Communications>::of::<GatV2Config>(),
    Kind::<Communications>::of::<CommunicatorConfig>(),
];

family! {
    /// The settings of a way to communicate of any kind, told apart by `kind`.
    Communication, Communications = "communication", CommunicationSettings, COMMUNICATIONS
}

/// Nobody hears anybody.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Silence {}

impl Member for Silence {
    const NAME: &'static str = "none";
    const SUMMARY: &'static str = "nobody hears anybody";
}

impl CommunicationSettings for Silence {
    fn layer(&self, _: &mut Builder, _: &str, _: &Company) -> Option<Box<dyn Layer>> {
        None
    }

    fn said(&self, _: usize) -> usize {
        0
    }
}

/// What a network is unrolled for: what it does with noise may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To act for good.
    Acting,
    /// To act in training, and to value what is seen then: noise that learning needs is there already.
    Exploring,
    /// To learn from what was done.
    Learning,
}

/// Checks settings with heads of attention, which must divide the features.
fn check_heads(settings: &(impl JsonSchema + Table), heads: usize, features: usize) -> Result<()> {
    schema::check("agent.communication", settings)?;
    if !features.is_multiple_of(heads) {
        let message = format!("a divisor of agent.features ({features}), got {heads}");
        return Err(Error::config("agent.communication.heads", message));
    }
    Ok(())
}

/// Who there is to be heard.
#[derive(Clone, Copy)]
pub struct Hearing<'g> {
    /// `[time, agents, worlds, numbers]`: what each agent sees.
    pub observations: Tensor<'g>,
    /// `[time, agents, worlds]`: 1 where the agent is in its world. Others say nothing.
    pub present: Tensor<'g>,
    /// A graph over the agents for each step and world, leading dimensions `[time, worlds]`; layers over neighbours
    /// want it.
    pub edges: Option<Edges<'g>>,
    /// Whether it is of interest how it comes about: attention, gates, what is said.
    pub watch: bool,
    /// The round's own keys of random numbers, u32 `[time, worlds, 2]`, for what comes between who speaks and who hears: noise
    /// in the channel, relaxed words, messages that are lost ([`drawn`]).
    pub key: Tensor<'g>,
    /// Whether it is for acting or for learning.
    pub mode: Mode,
}

/// What a layer makes of features, and where it was asked for, how.
#[derive(Clone, Copy)]
pub struct Heard<'g> {
    /// `[time, agents, worlds, features]`.
    pub features: Tensor<'g>,
    /// `[time, agents, worlds, heads, agents]`: how much each agent attends to each, where the layer has attention over
    /// all agents and it was asked for.
    pub attention: Option<Tensor<'g>>,
    /// `[time, worlds, edges, heads]`: the attention weight of every edge of the graph of neighbours, in the order of
    /// [`Edges::sources`], where the layer has attention over such a graph and it was asked for.
    pub edge_weights: Option<Tensor<'g>>,
    /// `[time, agents, worlds, 1]`: 1 where an agent lets others hear it, where the layer has gates and they were asked
    /// for.
    pub gates: Option<Tensor<'g>>,
    /// `[time, agents, worlds, features]`: what each agent says, where that is not the features that it was given and it
    /// was asked for.
    pub said: Option<Tensor<'g>>,
    /// `[time, agents, worlds, 1]`: how urgent each agent's message is, 0 to 1, where the layer has priorities and they
    /// were asked for.
    pub priorities: Option<Tensor<'g>>,
    /// A number that the loss grows by, where what is said has a price.
    pub price: Option<Tensor<'g>>,
}

impl<'g> From<Tensor<'g>> for Heard<'g> {
    fn from(features: Tensor<'g>) -> Self {
        Heard {
            features,
            attention: None,
            edge_weights: None,
            gates: None,
            said: None,
            priorities: None,
            price: None,
        }
    }
}

/// What agents say.
#[derive(Clone, Copy)]
pub struct Spoken<'g> {
    /// `[time, agents, worlds, width]`: what stands for it until it is heard.
    pub said: Tensor<'g>,
    /// A number that the loss grows by, where saying it has a price.
    pub price: Option<Tensor<'g>>,
}

/// One round of communication.
pub trait Layer: Send + Sync {
    /// Features `[time, agents, worlds, features]` to features of the same shape.
    ///
    /// # Errors
    /// The layer wants a graph of neighbours and was given none.
    fn exchange<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        hearing: Hearing<'g>,
    ) -> Result<Heard<'g>>;

    /// Numbers by which what an agent says is kept until it is heard; 0 for a layer whose messages cannot be kept.
    fn width(&self) -> usize {
        0
    }

    /// The first half of an exchange: what each agent says.
    ///
    /// # Errors
    /// The layer's messages cannot be kept.
    fn speak<'g>(&self, _: &Weights<'g>, _: Tensor<'g>, _: Hearing<'g>) -> Result<Spoken<'g>> {
        Err(Error::Graph("this way of communicating knows no delay".into()))
    }

    /// The second half: features that know of what was `said`. What was not sent is all zeros.
    ///
    /// # Errors
    /// As [`Layer::speak`] and [`Layer::exchange`].
    fn hear<'g>(
        &self,
        _weights: &Weights<'g>,
        _features: Tensor<'g>,
        _said: Tensor<'g>,
        _hearing: Hearing<'g>,
    ) -> Result<Heard<'g>> {
        Err(Error::Graph("this way of communicating knows no delay".into()))
    }

    /// Who hears whom, as pairs (speaker, hearer) sorted by the second, where that never changes and is not simply all.
    /// [`Heard::edge_weights`] is in this order.
    fn links(&self) -> Option<&[(u32, u32)]> {
        None
    }

    /// Takes notice that the parameters, which are on `device`, are trained: what follows from them alone is worked out once, and
    /// programs of acting that are made later need less.
    ///
    /// # Errors
    /// What the device reports.
    fn settle(&mut self, _device: &Device, _parameters: &Parameters) -> Result<()> {
        Ok(())
    }
}

/// The mean over the others of what they say, `[time, agents, worlds, features]` to the same: the sum of all less one's
/// own, so that the work grows with the agents and not with their square. Others with `present` 0 count for nothing.
fn mean_of_others<'g>(said: Tensor<'g>, present: Tensor<'g>) -> Tensor<'g> {
    let shape = present.shape();
    let here = present.reshape([&shape[..], &[1]].concat());
    let said = said * here;
    let one = said.graph().scalar(1.0);
    let others = (here.sum(&[1]).reshape([shape[0], 1, shape[2], 1]) - here).maximum(one);
    let mut all = said.shape().to_vec();
    all[1] = 1;
    (said.sum(&[1]).reshape(all) - said) / others
}

/// `[time, agents, worlds, ..]` to `[time, worlds, agents, ..]`, and back.
fn exchange_lanes(x: Tensor<'_>) -> Tensor<'_> {
    let mut order: Vec<usize> = (0..x.shape().len()).collect();
    order.swap(1, 2);
    x.transpose(&order)
}

/// So many keys of random numbers from keys `[.., 2]`, of their shape.
pub fn keys<'g>(key: Tensor<'g>, count: usize) -> Vec<Tensor<'g>> {
    let all = key.split_key(count);
    (0..count).map(|i| all.slice(0, i, 1).reshape(key.shape())).collect()
}

/// Random numbers `[time, agents, worlds, ..]` by keys `[time, worlds, 2]`: `draw` is given them with the rest of the
/// shape. What a world's agents draw at a step follows from its key then alone, whatever other worlds are in the program.
pub fn drawn<'g>(
    key: Tensor<'g>,
    shape: &[usize],
    draw: impl FnOnce(Tensor<'g>, Vec<usize>) -> Tensor<'g>,
) -> Tensor<'g> {
    match shape {
        [_, agents, _, rest @ ..] if key.shape().len() == 3 => {
            exchange_lanes(draw(key, [&[*agents], rest].concat()))
        }
        _ => draw(key, shape.to_vec()),
    }
}

fn edges_of<'g>(hearing: &Hearing<'g>, layer: &str) -> Result<Edges<'g>> {
    hearing.edges.ok_or_else(|| Error::Graph(format!("{layer} wants a graph of neighbours")))
}
