//! The differentiable communicator: encoder, channel, decoder, with the gradient through the channel into the sender, at
//! the same step or over steps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channel::{Channel, Line};
use super::gate::Gate;
use super::hearers::{Hearers, Map, Routes};
use super::urgency::{Urgency, pass};
use super::{
    CommunicationSettings, Company, Heard, Hearing, Layer, Mode, Neighbours, Spoken, drawn, exchange_lanes,
    mean_of_others,
};
use crate::Device;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::nn::{Builder, Linear, Parameters, RELU_GAIN, Weights};
use crate::registry::Member;
use crate::schema;

/// What is made of the messages that an agent hears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// Their mean: of any number of speakers.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

/// The settings of [`Communicator`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommunicatorConfig {
    /// Numbers of a message; where words are sent, the words of the vocabulary.
    #[schemars(range(min = 1, max = 4096))]
    pub message: usize,
    /// Features of the hidden layers of encoder and decoder.
    #[schemars(range(min = 1, max = 8192))]
    pub hidden: usize,
    /// What comes between who speaks and who hears.
    pub channel: Channel,
    /// Who hears whom.
    pub hearers: Hearers,
    /// What is made of all messages that an agent hears.
    pub combine: Combine,
    /// Every feature of every message comes in through a gate of its own, opened by the hearer's state and the message.
    pub gated: bool,
    /// Steps between saying and hearing; 0 for the same step. What is said then depends on all that the sender remembers,
    /// and gradients go back over time into it.
    #[schemars(range(min = 0, max = 1024))]
    pub delay: usize,
    /// The chance that a message is lost on its way.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub lost: f32,
    /// Messages of all agents of a world that pass at a step at most, the most urgent ones.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub bandwidth: usize,
    /// The column of the (flat) observation that must be above 0 for an agent's message to be sent; without it all speak.
    pub speaks_where: Option<usize>,
    /// The column of the (flat) observation that must be above 0 for an agent to hear; without it all hear.
    pub hears_where: Option<usize>,
}

impl Default for CommunicatorConfig {
    fn default() -> Self {
        CommunicatorConfig {
            message: 16,
            hidden: 128,
            channel: Channel::default(),
            hearers: Hearers::default(),
            combine: Combine::default(),
            gated: false,
            delay: 0,
            lost: 0.0,
            bandwidth: 1 << 20,
            speaks_where: None,
            hears_where: None,
        }
    }
}

impl Member for CommunicatorConfig {
    const NAME: &'static str = "communicator";
    const SUMMARY: &'static str =
        "encoder, channel (numbers, bits, words), gates, learned graph, urgency, decoder";
}

const AT: &str = "agent.communication";

impl CommunicationSettings for CommunicatorConfig {
    fn layer(&self, builder: &mut Builder, name: &str, company: &Company) -> Option<Box<dyn Layer>> {
        Some(Box::new(builder.within(name, |b| Communicator::new(b, self, company))))
    }

    fn describe(&self) -> String {
        let gate = if self.gated { " gated" } else { "" };
        let urgency = if self.is_limited() { " urgency" } else { "" };
        let hearers = self.hearers.describe();
        format!(
            "message={} hidden={} channel={} delay={}{gate}{urgency}{}{hearers}",
            self.message,
            self.hidden,
            self.channel.describe(),
            self.delay,
            if hearers.is_empty() { "" } else { " graph " }
        )
    }

    fn said(&self, _: usize) -> usize {
        self.message
    }

    fn delay(&self) -> usize {
        self.delay
    }

    fn neighbours(&self) -> Option<&Neighbours> {
        match &self.hearers {
            Hearers::Near { neighbours } => Some(neighbours),
            _ => None,
        }
    }

    fn check(&self, company: &Company) -> Result<()> {
        schema::check(AT, self)?;
        self.hearers.check(company, self.gated)?;
        for (key, column) in [("speaks_where", self.speaks_where), ("hears_where", self.hears_where)] {
            if let Some(column) = column.filter(|column| *column >= company.observation) {
                let message = format!("a column below {}, got {column}", company.observation);
                return Err(Error::config(format!("{AT}.{key}"), message));
            }
        }
        if company.limit != u32::MAX && self.delay >= company.limit as usize {
            let message = format!(
                "less than the {} steps of an episode, got {}: nothing would be heard",
                company.limit, self.delay
            );
            return Err(Error::config(format!("{AT}.delay"), message));
        }
        Ok(())
    }
}

impl CommunicatorConfig {
    fn is_limited(&self) -> bool {
        self.bandwidth < CommunicatorConfig::default().bandwidth
    }
}

/// `m_j = channel(E(h_j))`, `h'_i = relu(W h_i + b + sum or mean over j of w_ij g_ij D(m_j))`, where `E` and `D` have a
/// hidden layer each, `w` is 1 or the gate of a learned graph ([`super::LearnedGraph`]) and `g` is 1 or a gate for every
/// feature ([`Gate`]). With a delay of `d` steps `m_j` is what was said `d` steps ago.
pub struct Communicator {
    config: CommunicatorConfig,
    encoder: [Linear; 2],
    line: Line,
    decoder: [Linear; 2],
    own: Linear,
    gate: Option<Gate>,
    urgency: Option<Urgency>,
    /// `None` where all hear all and need no edges for it.
    map: Option<Map>,
}

impl Communicator {
    /// For these agents. The settings have been checked.
    pub fn new(b: &mut Builder, config: &CommunicatorConfig, company: &Company) -> Self {
        let (features, hidden, size) = (company.features, config.hidden, config.message);
        let numbers = config.channel.numbers(size);
        let encoder = [
            Linear::new(b, "encoder0", features, hidden, RELU_GAIN),
            Linear::new(b, "encoder1", hidden, numbers, 1.0),
        ];
        let line = Line::new(b, config.channel, size);
        let decoder = [
            Linear::new(b, "decoder0", size, hidden, RELU_GAIN),
            Linear::without_bias(b, "decoder1", hidden, features, 1.0),
        ];
        let own = Linear::new(b, "own", features, features, RELU_GAIN);
        let gate = config.gated.then(|| Gate::new(b, features, size));
        let urgency = config.is_limited().then(|| Urgency::new(b, features));
        let plain = matches!(config.hearers, Hearers::All) && !config.gated;
        let map = (!plain).then(|| Map::new(b, &config.hearers, company));
        Communicator { config: config.clone(), encoder, line, decoder, own, gate, urgency, map }
    }

    /// Numbers of what is kept of a message: itself, whether it was sent, its priority.
    fn kept(&self) -> usize {
        self.config.message + 2
    }

    /// 1 where a column of what agents see is above 0, `[time, agents, worlds, 1]`.
    fn marked<'g>(hearing: &Hearing<'g>, column: Option<usize>) -> Option<Tensor<'g>> {
        let column = column?;
        let seen = hearing.observations.slice(-1, column, 1);
        Some(seen.greater(seen.graph().scalar(0.0)))
    }

    fn keys<'g>(hearing: &Hearing<'g>) -> [Tensor<'g>; 4] {
        let keys = super::keys(hearing.key, 4);
        [0, 1, 2, 3].map(|i| keys[i])
    }

    /// What comes over edges, summed or averaged at those who hear.
    fn over_edges<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        [messages, decoded, sent]: [Tensor<'g>; 3],
        routes: &Routes<'g>,
    ) -> (Tensor<'g>, Tensor<'g>) {
        let edges = routes.edges;
        let turned = |x: Tensor<'g>| exchange_lanes(x);
        let mut scale = edges.from_sources(turned(sent));
        if let Some(strengths) = routes.strengths {
            scale = scale * strengths;
        }
        let mut values = edges.from_sources(turned(decoded));
        let mut weight = scale;
        if let Some(gate) = &self.gate {
            let open = gate.open(weights, turned(features), turned(messages), edges);
            values = values * open;
            weight = weight * open.mean(&[-1]).reshape(scale.shape());
        }
        let mut heard = edges.sum_at_destinations(values * scale);
        if self.config.combine == Combine::Mean {
            let count = edges.sum_at_destinations(scale);
            heard = heard / count.maximum(count.graph().scalar(1.0));
        }
        (turned(heard), weight)
    }
}

impl Layer for Communicator {
    fn exchange<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        hearing: Hearing<'g>,
    ) -> Result<Heard<'g>> {
        let Spoken { said, price } = self.speak(weights, features, hearing)?;
        let heard = self.hear(weights, features, said, hearing)?;
        let price = [price, heard.price].into_iter().flatten().reduce(|sum, price| sum + price);
        Ok(Heard { price, ..heard })
    }

    fn width(&self) -> usize {
        self.kept()
    }

    fn speak<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        hearing: Hearing<'g>,
    ) -> Result<Spoken<'g>> {
        let graph = weights.graph();
        let [noise, loss, choice, _] = Self::keys(&hearing);
        let shape = hearing.present.shape();
        let one = [&shape[..], &[1]].concat();
        let [first, second] = &self.encoder;
        let numbers = second.forward(weights, first.forward(weights, features).relu());
        let price = (hearing.mode == Mode::Learning).then(|| self.line.price(numbers)).flatten();
        let message = self.line.send(weights, numbers, noise, hearing.mode);
        let mut sent = hearing.present.reshape(&one[..]);
        if let Some(speaks) = Self::marked(&hearing, self.config.speaks_where) {
            sent = sent * speaks;
        }
        let priority = match &self.urgency {
            Some(urgency) => {
                let scores = urgency.scores(weights, features);
                sent = pass(scores, sent, self.config.bandwidth, choice, hearing.mode);
                scores.sigmoid()
            }
            None => graph.full(one.clone(), 1.0),
        };
        if self.config.lost > 0.0 {
            let luck = drawn(loss, &one, |key, of| key.random_uniform(of));
            sent = sent * luck.greater_equal(graph.scalar(self.config.lost));
        }
        Ok(Spoken { said: graph.concat(&[message, sent, priority.detach()], -1), price })
    }

    fn hear<'g>(
        &self,
        weights: &Weights<'g>,
        features: Tensor<'g>,
        said: Tensor<'g>,
        hearing: Hearing<'g>,
    ) -> Result<Heard<'g>> {
        let graph = weights.graph();
        let size = self.config.message;
        let (messages, sent) = (said.slice(-1, 0, size), said.slice(-1, size, 1));
        let [first, second] = &self.decoder;
        let decoded = second.forward(weights, first.forward(weights, messages).relu());
        let own = self.own.forward(weights, features);
        let [_, _, _, gates] = Self::keys(&hearing);
        let (mut heard, mut price, mut edge_weights) = (None, None, None);
        match &self.map {
            None => {
                let present = sent.reshape(hearing.present.shape());
                heard = Some(match self.config.combine {
                    Combine::Mean => mean_of_others(decoded, present),
                    Combine::Sum => {
                        let said = decoded * sent;
                        let mut all = said.shape().to_vec();
                        all[1] = 1;
                        said.sum(&[1]).reshape(all) - said
                    }
                });
            }
            Some(map) => {
                if let Some(routes) = map.routes(weights, &hearing, gates)? {
                    let (sum, weight) =
                        self.over_edges(weights, features, [messages, decoded, sent], &routes);
                    (heard, price) = (Some(sum), routes.price);
                    edge_weights = hearing.watch.then_some(weight);
                }
            }
        }
        if let (Some(sum), Some(hears)) = (heard, Self::marked(&hearing, self.config.hears_where)) {
            heard = Some(sum * hears);
        }
        let next = heard.map_or(own, |heard| own + heard).relu();
        let watched = |x: Tensor<'g>| hearing.watch.then_some(x);
        let sent = sent.greater(graph.scalar(0.0));
        Ok(Heard {
            gates: watched(sent),
            said: watched(messages * sent),
            priorities: self.urgency.as_ref().and_then(|_| watched(said.slice(-1, size + 1, 1))),
            edge_weights,
            price,
            ..next.into()
        })
    }

    fn links(&self) -> Option<&[(u32, u32)]> {
        self.map.as_ref().and_then(Map::links)
    }

    fn settle(&mut self, device: &Device, parameters: &Parameters) -> Result<()> {
        self.map.as_mut().map_or(Ok(()), |map| map.settle(device, parameters))
    }
}
