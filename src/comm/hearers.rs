//! Who hears whom: all, those near by, kinds that are named, or a graph that is learned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Company, Hearing, Mode, Neighbours};
use crate::Device;
use crate::error::{Error, Result, nearest};
use crate::graph::{Graph, Tensor};
use crate::nn::{Builder, Initial, Parameter, Parameters, Weights};
use crate::op::message::{Csr, Edges};

/// The graph of who hears whom.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Hearers {
    /// Everyone hears every other.
    #[default]
    All,
    /// Everyone hears those near by.
    Near {
        /// Who is near.
        #[serde(default)]
        neighbours: Neighbours,
    },
    /// Kinds of agents hear kinds of agents.
    Kinds {
        /// Pairs of names: who speaks, then who hears: `[["sensor", "actuator"]]`.
        hear: Vec<[String; 2]>,
    },
    /// Everyone hears those whom it is of use to hear: a graph of gates that learn ([`LearnedGraph`]).
    Learned {
        /// What the gates stand between.
        #[serde(default)]
        between: Between,
        /// The gates' value before learning.
        #[serde(default = "start")]
        #[schemars(range(min = 0.01, max = 0.99))]
        start: f32,
        /// In acting an edge whose gate is below this is left out.
        #[serde(default = "threshold")]
        #[schemars(range(min = 0.0, max = 1.0))]
        threshold: f32,
        /// What an open gate costs: the weight of the expected number of open gates in the loss.
        #[serde(default = "price")]
        #[schemars(range(min = 0.0, max = 1e3))]
        price: f32,
    },
}

/// What the gates of a learned graph stand between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Between {
    /// One for each pair of kinds: their agents may be of any number.
    Kinds,
    /// One for each pair of agents.
    #[default]
    Agents,
}

fn start() -> f32 {
    0.7
}

fn threshold() -> f32 {
    0.3
}

fn price() -> f32 {
    1e-3
}

/// Edges between agents at most.
const MOST_EDGES: usize = 1 << 24;

impl Hearers {
    /// Checks the settings against the agents that there are. Where all hear all, edges are there for `gated` messages only.
    ///
    /// # Errors
    /// A kind that there is not, a graph without edges or with too many.
    pub(super) fn check(&self, company: &Company, gated: bool) -> Result<()> {
        const AT: &str = "agent.communication.hearers";
        match self {
            Hearers::Near { neighbours } => {
                return neighbours.check_at(&format!("{AT}.neighbours"), company.observation);
            }
            Hearers::Kinds { hear } => {
                let names = || company.kinds.iter().map(|(name, _)| name.as_str());
                if hear.is_empty() {
                    return Err(Error::config(format!("{AT}.hear"), "at least one pair of kinds"));
                }
                if let Some(unknown) = hear.iter().flatten().find(|name| names().all(|known| known != *name))
                {
                    let hint = nearest(unknown, names()).map(|near| format!("; did you mean `{near}`?"));
                    let (known, hint) = (names().collect::<Vec<_>>().join(", "), hint.unwrap_or_default());
                    let message = format!("`{unknown}`: the kinds of this world are {known}{hint}");
                    return Err(Error::config(format!("{AT}.hear"), message));
                }
            }
            Hearers::All | Hearers::Learned { .. } => {}
        }
        let agents = company.agents();
        if matches!(self, Hearers::All) && !gated {
            return Ok(());
        }
        if agents.saturating_mul(agents) > MOST_EDGES {
            let message = format!("`all` or `near`: pairs of {agents} agents are more than {MOST_EDGES}");
            return Err(Error::config(format!("{AT}.kind"), message));
        }
        if self.pairs(company).is_empty() {
            let message = format!("`{self:?}` joins no two agents of this world");
            return Err(Error::config(AT, message));
        }
        Ok(())
    }

    /// In words for checkpoints: what other parameters follow from.
    pub(super) fn describe(&self) -> String {
        match self {
            Hearers::Learned { between: Between::Kinds, .. } => "learned between kinds".into(),
            Hearers::Learned { between: Between::Agents, .. } => "learned between agents".into(),
            _ => String::new(),
        }
    }

    /// The edges (from, to) of a graph that does not change; none for [`Hearers::Near`].
    pub(super) fn pairs(&self, company: &Company) -> Vec<(u32, u32)> {
        let kinds = company.kind_of_each();
        let agents = kinds.len();
        let heard = |from: usize, to: usize| match self {
            Hearers::All | Hearers::Learned { .. } => true,
            Hearers::Near { .. } => false,
            Hearers::Kinds { hear } => {
                let name = |agent: usize| &company.kinds[kinds[agent]].0;
                hear.iter().any(|[speaker, hearer]| speaker == name(from) && hearer == name(to))
            }
        };
        let from = |to: usize| {
            (0..agents)
                .filter(move |from| *from != to && heard(*from, to))
                .map(move |f| (f as u32, to as u32))
        };
        (0..agents).flat_map(from).collect()
    }
}

/// The exponent's temperature and the ends of the stretched interval, as in the paper.
const TEMPERATURE: f32 = 2.0 / 3.0;
const LOW: f32 = -0.1;
const HIGH: f32 = 1.1;

/// A graph of hard-concrete gates (Louizos, Welling and Kingma 2018, arXiv 1712.01312).
///
/// In learning a gate is `min(1, max(0, s (1.1 - -.1) - .1))` with `s = sigmoid((log u - log(1 - u) + a) / (2/3))`, `u`
/// uniform (equations 10 and 11); in acting the same with `s = sigmoid(a)` (equation 13), and 0 below the threshold. The
/// loss grows by the price times the expected number of open gates, `sum of sigmoid(a - 2/3 log(.1 / 1.1))` (equation 12).
/// What comes over an edge is scaled by its gate. Once it learns no more ([`Layer::settle`](super::Layer::settle)) edges below the
/// threshold are not in the computation at all.
pub struct LearnedGraph {
    gates: Parameter,
    pairs: Vec<(u32, u32)>,
    /// The gate of each pair.
    group: Vec<u32>,
    groups: usize,
    threshold: f32,
    price: f32,
    settled: Option<(Vec<(u32, u32)>, Vec<f32>)>,
}

impl LearnedGraph {
    fn new(
        builder: &mut Builder,
        company: &Company,
        pairs: &[(u32, u32)],
        learned: &Hearers,
    ) -> Option<Self> {
        let Hearers::Learned { between, start, threshold, price } = *learned else { return None };
        let kinds = company.kind_of_each();
        let (count, place): (usize, Vec<usize>) = match between {
            Between::Kinds => (company.kinds.len(), kinds),
            Between::Agents => (kinds.len(), (0..kinds.len()).collect()),
        };
        let group: Vec<u32> = pairs
            .iter()
            .map(|(from, to)| (place[*to as usize] * count + place[*from as usize]) as u32)
            .collect();
        let inside = (start - LOW) / (HIGH - LOW);
        let first = Initial::Constant((inside / (1.0 - inside)).ln());
        let gates = builder.parameter("gates", [count * count], first);
        let pairs = pairs.to_vec();
        Some(LearnedGraph { gates, pairs, group, groups: count * count, threshold, price, settled: None })
    }

    fn stretched(s: Tensor<'_>) -> Tensor<'_> {
        let graph = s.graph();
        (s * (HIGH - LOW) + LOW).maximum(graph.scalar(0.0)).minimum(graph.scalar(1.0))
    }

    /// The gates' values in acting, 0 below the threshold, `[groups]`.
    fn acting<'g>(&self, weights: &Weights<'g>) -> Tensor<'g> {
        let open = Self::stretched(weights.get(self.gates).sigmoid());
        open * open.greater_equal(weights.graph().scalar(self.threshold))
    }

    /// The gate of every edge `[time, worlds, edges, 1]` or `[edges, 1]`; in learning each world draws its own at each step.
    fn strengths<'g>(&self, weights: &Weights<'g>, key: Tensor<'g>, mode: Mode) -> Tensor<'g> {
        let graph = weights.graph();
        let of_groups = match mode {
            Mode::Acting => self.acting(weights),
            _ => {
                let u = key.random_uniform([self.groups]) * (1.0 - 2e-6) + 1e-6;
                let logit = u.log() - (1.0 - u).log();
                Self::stretched(((logit + weights.get(self.gates)) * (1.0 / TEMPERATURE)).sigmoid())
            }
        };
        let mut shape = of_groups.shape().to_vec();
        shape.pop();
        let group = graph.constant_u32([self.group.len()], &self.group);
        of_groups.index_select(-1, group).reshape([&shape[..], &[self.group.len(), 1]].concat())
    }

    /// What open gates cost.
    fn cost<'g>(&self, weights: &Weights<'g>) -> Tensor<'g> {
        let graph = weights.graph();
        let shift = TEMPERATURE * (-LOW / HIGH).ln();
        let open = (weights.get(self.gates) - shift).sigmoid();
        // Only of gates that stand on an edge.
        let mut used = vec![0.0; self.groups];
        self.group.iter().for_each(|group| used[*group as usize] = 1.0);
        (open * graph.constant([self.groups], &used)).sum_all() * self.price
    }

    fn settle(&mut self, device: &Device, parameters: &Parameters) -> Result<()> {
        let graph = Graph::new();
        let weights = parameters.weights(&graph);
        let mut program = device.compile(&graph, &[self.acting(&weights)])?;
        let outputs = program.run(&[])?;
        let values = outputs.f32(0);
        let kept = || self.pairs.iter().zip(&self.group).filter(|(_, group)| values[**group as usize] > 0.0);
        let strengths = kept().map(|(_, group)| values[*group as usize]).collect();
        self.settled = Some((kept().map(|(pair, _)| *pair).collect(), strengths));
        Ok(())
    }
}

/// The edges that messages go over in a graph.
pub struct Routes<'g> {
    /// As ops take them.
    pub edges: Edges<'g>,
    /// `[.., edges, 1]`: what comes over each is multiplied by this; `None` for 1.
    pub strengths: Option<Tensor<'g>>,
    /// What the loss grows by.
    pub price: Option<Tensor<'g>>,
}

/// Who hears whom, with what there is to learn.
pub struct Map {
    pairs: Vec<(u32, u32)>,
    near: bool,
    learned: Option<LearnedGraph>,
    agents: usize,
}

impl Map {
    /// For these agents. The settings have been checked.
    pub fn new(builder: &mut Builder, hearers: &Hearers, company: &Company) -> Self {
        let near = matches!(hearers, Hearers::Near { .. });
        let pairs = hearers.pairs(company);
        let learned = builder.within("graph", |b| LearnedGraph::new(b, company, &pairs, hearers));
        Map { pairs, near, learned, agents: company.agents() }
    }

    /// The edges (from, to) that there are, where they are the same at every step; of a learned graph once it is settled.
    pub fn links(&self) -> Option<&[(u32, u32)]> {
        match &self.learned {
            Some(learned) => learned.settled.as_ref().map(|(pairs, _)| &pairs[..]),
            None => (!self.near).then_some(&self.pairs[..]),
        }
    }

    /// As [`super::Layer::settle`].
    pub fn settle(&mut self, device: &Device, parameters: &Parameters) -> Result<()> {
        self.learned.as_mut().map_or(Ok(()), |learned| learned.settle(device, parameters))
    }

    /// Edges for the agents of a sequence. With no edge left there is nothing to hear: `None`.
    ///
    /// # Errors
    /// A graph of neighbours is wanted and none was given.
    pub fn routes<'g>(
        &self,
        weights: &Weights<'g>,
        hearing: &Hearing<'g>,
        key: Tensor<'g>,
    ) -> Result<Option<Routes<'g>>> {
        let graph = weights.graph();
        if self.near {
            let edges = super::edges_of(hearing, "communicator")?;
            return Ok(Some(Routes { edges, strengths: None, price: None }));
        }
        let csr = |pairs: &[(u32, u32)]| Csr::from_edges(self.agents, pairs);
        let settled = self.learned.as_ref().filter(|_| hearing.mode == Mode::Acting);
        if let Some((pairs, strengths)) = settled.and_then(|learned| learned.settled.as_ref()) {
            if pairs.is_empty() {
                return Ok(None);
            }
            let edges = Edges::constant(graph, &csr(pairs)?);
            let strengths = Some(graph.constant([strengths.len(), 1], strengths));
            return Ok(Some(Routes { edges, strengths, price: None }));
        }
        // Pairs are sorted by who hears: their order is that of the arrays.
        let edges = Edges::constant(graph, &csr(&self.pairs)?);
        let strengths = self.learned.as_ref().map(|l| l.strengths(weights, key, hearing.mode));
        let learns = self.learned.as_ref().filter(|_| hearing.mode == Mode::Learning);
        let price = learns.map(|learned| learned.cost(weights));
        Ok(Some(Routes { edges, strengths, price }))
    }
}
