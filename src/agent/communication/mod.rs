//! How agents of a team tell each other things: one file a way, each a layer from the agents' features to features that
//! know of what was heard, behind [`Layer`]. Gradients flow through what is said into who said it. What an agent makes
//! of the result (recurrence, heads) lives in `agent::team`; ops on graphs live in `op::message`.

mod commnet;
mod gat;
mod gcn;
mod ic3net;
mod tarmac;

pub use commnet::CommNet;
pub use gat::Gat;
pub use gcn::Gcn;
pub use ic3net::Ic3Net;
pub use tarmac::TarMac;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::nn::{Builder, GraphScore, Weights};
use crate::op::message::Edges;

/// A way of communicating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Communication {
    /// No agent hears another.
    None,
    /// The mean of the others' features (Sukhbaatar et al. 2016).
    CommNet,
    /// CommNet with a gate that each speaker opens or shuts (Singh et al. 2019).
    Ic3Net,
    /// Targeted attention over the others (Das et al. 2019).
    TarMac,
    /// Graph convolution over neighbours (Kipf and Welling 2017).
    Gcn,
    /// Graph attention over neighbours (Velickovic et al. 2018).
    Gat,
    /// Graph attention with dynamic scores (Brody et al. 2022).
    GatV2,
}

impl Communication {
    /// Whether it goes over a graph of neighbours.
    pub fn needs_neighbours(self) -> bool {
        matches!(self, Communication::Gcn | Communication::Gat | Communication::GatV2)
    }

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Communication::None => "none",
            Communication::CommNet => "commnet",
            Communication::Ic3Net => "ic3net",
            Communication::TarMac => "tarmac",
            Communication::Gcn => "gcn",
            Communication::Gat => "gat",
            Communication::GatV2 => "gatv2",
        }
    }

    /// Numbers that an agent sends in one round over so many features.
    pub fn said(self, features: usize) -> usize {
        match self {
            Communication::None => 0,
            Communication::Ic3Net => features + 1,
            Communication::TarMac => 2 * features,
            _ => features,
        }
    }

    /// A layer of this kind over so many features; none for [`Communication::None`]. `heads` must divide the features,
    /// `gated` is TarMAC's.
    pub fn layer(
        self,
        builder: &mut Builder,
        name: &str,
        features: usize,
        heads: usize,
        gated: bool,
    ) -> Option<Box<dyn Layer>> {
        let gat = |builder: &mut Builder, score| {
            let layer: Box<dyn Layer> = Box::new(Gat::new(builder, name, features, heads, score));
            layer
        };
        Some(match self {
            Communication::None => return None,
            Communication::CommNet => Box::new(CommNet::new(builder, name, features)),
            Communication::Ic3Net => Box::new(Ic3Net::new(builder, name, features)),
            Communication::TarMac => Box::new(TarMac::new(builder, name, features, heads, gated)),
            Communication::Gcn => Box::new(Gcn::new(builder, name, features)),
            Communication::Gat => gat(builder, GraphScore::Additive),
            Communication::GatV2 => gat(builder, GraphScore::Dynamic),
        })
    }
}

/// Who there is to be heard.
#[derive(Clone, Copy)]
pub struct Hearing<'g> {
    /// `[time, agents, worlds]`: 1 where the agent is in its world. Others say nothing.
    pub present: Tensor<'g>,
    /// A graph over the agents for each step and world, leading dimensions `[time, worlds]`; layers over neighbours
    /// want it.
    pub edges: Option<Edges<'g>>,
    /// Whether it is of interest how it comes about: attention, gates, what is said.
    pub watch: bool,
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
}

impl<'g> From<Tensor<'g>> for Heard<'g> {
    fn from(features: Tensor<'g>) -> Self {
        Heard { features, attention: None, edge_weights: None, gates: None, said: None }
    }
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

fn edges_of<'g>(hearing: &Hearing<'g>, layer: &str) -> Result<Edges<'g>> {
    hearing.edges.ok_or_else(|| Error::Graph(format!("{layer} wants a graph of neighbours")))
}
