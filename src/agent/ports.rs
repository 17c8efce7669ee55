//! How features of unlike networks become features of one size for what all agents have in common, and back.

use crate::graph::Tensor;
use crate::nn::{Builder, Linear, RELU_GAIN, Weights};

/// Where the agents of a network stand among all, and how their features become the team's where theirs are of another
/// number: on the way in and on the way out.
struct Port {
    agents: [usize; 2],
    maps: Option<[Linear; 2]>,
}

/// The ports of all networks of a team.
pub(super) struct Ports(Vec<Port>);

impl Ports {
    /// For networks with a name, the first of their agents and their number, and their features, to `features` in common.
    /// `names` are those of the maps in and out.
    pub fn new(
        builder: &mut Builder,
        features: usize,
        networks: &[(&str, [usize; 2], usize)],
        names: [&str; 2],
    ) -> Ports {
        let mut port = |&(name, agents, own): &(&str, [usize; 2], usize)| {
            let maps = (own != features).then(|| {
                builder.within(name, |b| {
                    [
                        Linear::new(b, names[0], own, features, RELU_GAIN),
                        Linear::new(b, names[1], features, own, 1.0),
                    ]
                })
            });
            Port { agents, maps }
        };
        Ports(networks.iter().map(&mut port).collect())
    }

    /// Features of the networks as those of all agents, `[time, agents, worlds, features]`.
    pub fn join<'g>(&self, weights: &Weights<'g>, parts: &[Tensor<'g>]) -> Tensor<'g> {
        let into = |(x, port): (&Tensor<'g>, &Port)| match &port.maps {
            Some([into, _]) => into.forward(weights, *x).relu(),
            None => *x,
        };
        match parts {
            [only] => into((only, &self.0[0])),
            _ => weights.graph().concat(&parts.iter().zip(&self.0).map(into).collect::<Vec<_>>(), 1),
        }
    }

    /// And back: the features that the networks had, with what came of them.
    pub fn part<'g>(&self, weights: &Weights<'g>, before: &[Tensor<'g>], all: Tensor<'g>) -> Vec<Tensor<'g>> {
        let back = |(x, port): (&Tensor<'g>, &Port)| {
            let [first, count] = port.agents;
            let own = if before.len() == 1 { all } else { all.slice(1, first, count) };
            match &port.maps {
                Some([_, out]) => *x + out.forward(weights, own),
                None => own,
            }
        };
        before.iter().zip(&self.0).map(back).collect()
    }
}
