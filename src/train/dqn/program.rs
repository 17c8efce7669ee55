//! The program of Q-learning: loss and gradient of a shard.

use super::config::DqnConfig;
use crate::action::allowed;
use crate::action::distribution::ACTION_INPUTS;
use crate::agent::Policy;
use crate::comm::keys;
use crate::env::AgentKind;
use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::nn::Weights;
use crate::optim::Optimiser;
use crate::train::drawn::{Drawn, Learned};
use crate::train::mixer::Mixer;
use crate::train::reduce::Loss;

/// Statistics of an update, in the order in which the loss program gives them.
pub(in crate::train) const STATISTICS: [&str; 3] = ["loss", "q", "td_error"];

/// What the loss is made from.
pub(in crate::train) struct Parts<'a> {
    pub config: &'a DqnConfig,
    pub policy: &'a dyn Policy,
    pub kind: &'a AgentKind,
    pub mixer: &'a Mixer,
    /// Numbers in a world's state; 0 where there is none, and the agents' observations stand in for it.
    pub world_state: usize,
    /// Whether actions are at times not allowed.
    pub masked: bool,
    /// The agent's parameters, then those of the mixer where it has some.
    pub learned: &'a [Learned],
}

/// Loss and gradient of `batch` sequences, with the [`STATISTICS`] and the size of every error `[sequence, units, batch]`.
/// The optimisers are those of the parameters that learn.
///
/// # Errors
/// Actions are not of one discrete choice, or what the network reports.
pub(in crate::train) fn loss<'g>(
    graph: &'g Graph,
    parts: &Parts<'_>,
    batch: usize,
    optimisers: &[Optimiser],
) -> Result<Loss<'g>> {
    let Parts { config, policy, kind, mixer, .. } = parts;
    kind.actions.one_choice("Q-learning")?;
    let window = config.window();
    let how = (config.stored_state, parts.masked);
    let drawn = Drawn::input(graph, *policy, kind, window, batch, how);
    // Noise of its own for each of the two networks.
    let keys = keys(drawn.sequence.key, 2);
    let weights: Vec<[Weights<'_>; 2]> = parts.learned.iter().map(|l| l.weights(graph)).collect();
    // From here on time begins after the burn-in. The last steps are only bootstrapped from, the first only learned.
    let (first, count) = (1, config.sequence + config.n_step - 1);
    let all = config.sequence + config.n_step;
    let double = config.double;
    let learning = drawn.unroll(&weights[0][0], keys[0], (0, if double { all } else { config.sequence }))?;
    let (learning, price) = (learning.parameters, learning.price);
    let target = drawn.unroll(&weights[0][1], keys[1], (first, count))?.parameters;
    let actions = graph.input_u32(ACTION_INPUTS[0], [window.length(), kind.count, batch]);
    let actions = drawn.cut(actions, 0, config.sequence);
    let chosen = learning.slice(0, 0, config.sequence).take_along_last(actions);
    let masks = drawn.masks(first, count);
    let best = allowed(if double { learning.slice(0, first, count) } else { target }, masks).argmax();
    let next = target.take_along_last(best);

    let world =
        |first, count| matches!(mixer, Mixer::Qmix(_)).then(|| drawn.world(parts.world_state, first, count));
    let own: [Option<&Weights<'_>>; 2] = [0, 1].map(|which| weights.get(1).map(|w| &w[which]));
    let chosen = drawn.mix(mixer, own[0], chosen, 0, world(0, config.sequence));
    let next = drawn.mix(mixer, own[1], next, first, world(first, count));

    let error = chosen - drawn.goal(next);
    let size = error.abs();
    let loss = if config.huber > 0.0 { error.huber(config.huber) } else { error.square() * 0.5 };
    let [share, plain] = drawn.shares(chosen.shape()[1]);
    let mut loss = (loss * share).sum_all();
    if let Some(price) = price {
        // All shards of a batch together pay it once.
        loss = loss + price.reshape([]) * (batch as f32 / config.batch as f32);
    }
    let gradients = optimisers
        .iter()
        .zip(&weights)
        .map(|(optimiser, [own, _])| optimiser.gradient(loss, own))
        .collect::<Result<Vec<_>>>()?;
    let statistics: Vec<Tensor<'_>> =
        [loss, (chosen * plain).sum_all(), (size * plain).sum_all()].iter().map(|s| s.reshape([1])).collect();
    Ok(Loss { gradient: graph.concat(&gradients, 0), outputs: vec![graph.concat(&statistics, 0), size] })
}
