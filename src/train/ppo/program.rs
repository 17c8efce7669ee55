//! PPO's program: the loss and gradient of a shard.

use super::PpoConfig;
use crate::action::Action;
use crate::agent::{Mode, Policy, Sequence, masks_input, state_inputs};
use crate::env::Spec;
use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::optim::Optimiser;
use crate::train::reduce::Loss;

/// Statistics of a minibatch, in the order in which the program gives them.
pub(super) const STATISTICS: [&str; 5] = ["loss/policy", "loss/value", "entropy", "kl", "clipped"];

/// Loss and gradient of a shard of so many agents and worlds, with the [`STATISTICS`].
pub(super) fn loss<'g>(
    graph: &'g Graph,
    policy: &dyn Policy,
    config: &PpoConfig,
    (agents, worlds): (usize, usize),
    spec: &Spec,
    optimiser: &Optimiser,
) -> Result<Loss<'g>> {
    let lanes = [config.rollout, agents, worlds];
    let weights = policy.parameters().weights(graph);
    let kind = &spec.kinds[0];
    let sequence = Sequence::input(graph, policy, lanes, &kind.observation, Mode::Learning);
    let state = state_inputs(graph, policy, [agents, worlds]);
    let unrolled = policy.unroll(graph, &weights, sequence, &state)?;
    let input = |name: &str| graph.input(name, lanes);
    let (advantages, returns, old_values) = (input("advantages"), input("returns"), input("old values"));
    let (old, share) = (input("old log-probabilities"), input("weights"));
    let numbers = graph.input("numbers", [4]);
    let number = |i: usize| numbers.slice(0, i, 1);
    let (clip, value_clip) = (number(0), number(1));

    let masks = masks_input(graph, spec.masked, kind, &lanes);
    let of = kind.actions.distribution(unrolled.parameters, masks, policy.bounded())?;
    let actions = Action::input(graph, &kind.actions, &lanes);
    let log_ratio = of.log_probability(actions)? - old;
    let ratio = log_ratio.exp();
    let clipped = ratio.maximum(1.0 - clip).minimum(1.0 + clip);
    // Schulman et al. 2017, equation 7.
    let policy_loss = -((ratio * advantages).minimum(clipped * advantages) * share).sum_all();
    let values = match policy.counterfactual() {
        Some(critic) => critic.taken(critic.values(&weights, &sequence, actions)?, actions)?,
        None => unrolled.values,
    };
    let error = (values - returns).square();
    let value_error = if config.value_clip > 0.0 {
        let difference = values - old_values;
        let near = old_values + difference.maximum(-value_clip).minimum(value_clip);
        error.maximum((near - returns).square())
    } else {
        error
    };
    let value_loss = (value_error * share).sum_all();
    let entropy = (of.entropy(graph.input_u32("entropy key", [2]))? * share).sum_all();
    let mut loss = policy_loss + (value_loss * number(2) - entropy * number(3)).reshape([]);
    if let Some(price) = unrolled.price {
        // All shards of a minibatch together pay it once.
        loss = loss + price.reshape([]) * (worlds as f32 * config.minibatches as f32 / spec.worlds as f32);
    }
    let gradient = optimiser.gradient(loss, &weights)?;
    // (r - 1) - log r: an estimate without bias and of little variance (Schulman 2020).
    let divergence = ((ratio - 1.0 - log_ratio) * share).sum_all();
    let beyond = ((ratio - 1.0).abs().greater(clip) * share).sum_all();
    let statistics: Vec<Tensor<'_>> =
        [policy_loss, value_loss, entropy, divergence, beyond].iter().map(|s| s.reshape([1])).collect();
    Ok(Loss { gradient, outputs: vec![graph.concat(&statistics, 0)] })
}
