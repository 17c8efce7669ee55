//! What agents of a task adapt by, and what the start learns by.

use super::agent::Adaptation;
use super::batch::{Inputs, Sizes};
use super::config::{Estimator, MetaConfig, Method, Objective};
use crate::action::Distribution;
use crate::agent::Policy;
use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::nn::Weights;
use crate::optim::Optimiser;
use crate::train::reduce::Loss;

/// The input with the rate of a step of adaptation.
pub(super) const INNER_RATE: &str = "inner rate";

/// The loss of what adapted agents did is called so, and that of what they adapted by.
pub(super) const STATISTICS: [&str; 2] = ["loss/query", "loss/support"];

/// A loss by which agents adapt: the sum over all tasks of their own means, `[]`.
pub(super) fn support_loss<'g>(
    config: &MetaConfig,
    policy: &dyn Policy,
    sizes: &Sizes,
    weights: &Weights<'g>,
    inputs: &Inputs<'g>,
) -> Result<Tensor<'g>> {
    match config.objective {
        Objective::Supervised => answer_loss(policy, sizes, weights, inputs),
        Objective::Reinforcement => {
            let log_probabilities = log_probability(policy, sizes, weights, inputs)?;
            Ok(-(surrogate(config.estimator, log_probabilities, inputs) * inputs.share).sum_all())
        }
    }
}

/// How wrong answers are: the squared error of continuous numbers and the negative log-likelihood of choices.
pub(super) fn answer_loss<'g>(
    policy: &dyn Policy,
    sizes: &Sizes,
    weights: &Weights<'g>,
    inputs: &Inputs<'g>,
) -> Result<Tensor<'g>> {
    Ok((of(policy, sizes, weights, inputs)?.error(inputs.actions)? * inputs.share).sum_all())
}

/// The log-probabilities of what was done.
fn log_probability<'g>(
    policy: &dyn Policy,
    sizes: &Sizes,
    weights: &Weights<'g>,
    inputs: &Inputs<'g>,
) -> Result<Tensor<'g>> {
    of(policy, sizes, weights, inputs)?.log_probability(inputs.actions)
}

/// What a policy with these weights would do.
fn of<'g>(
    policy: &dyn Policy,
    sizes: &Sizes,
    weights: &Weights<'g>,
    inputs: &Inputs<'g>,
) -> Result<Distribution<'g>> {
    let unrolled = policy.unroll(weights.graph(), weights, inputs.sequence, &[])?;
    sizes.space.distribution(unrolled.parameters, None, policy.bounded())
}

/// What stands for a step in a policy gradient: its value is the advantage, and its derivatives are those of what policies
/// are worth, weighted by how much more probable what was done is now than when it was done.
fn surrogate<'g>(estimator: Estimator, log_probabilities: Tensor<'g>, inputs: &Inputs<'g>) -> Tensor<'g> {
    match estimator {
        Estimator::Lvc => (log_probabilities - inputs.log_probabilities).exp() * inputs.advantages,
        Estimator::Dice => {
            // All that was done in the episode up to now: sums that begin anew where ages do.
            let shape = log_probabilities.shape();
            let (time, lanes) = (shape[0], shape[1..].iter().product::<usize>());
            let flat = |x: Tensor<'g>| x.reshape([time, lanes]);
            let goes_on = inputs.sequence.ages.minimum(log_probabilities.graph().scalar(1.0));
            let change = flat(log_probabilities - inputs.log_probabilities);
            let nothing = log_probabilities.graph().full([lanes], 0.0);
            let up_to_now = change.linear_scan(flat(goes_on), nothing, None);
            let before = up_to_now - change;
            let deed = up_to_now.exp() - before.exp();
            deed.reshape(&shape[..]) * inputs.advantages
        }
    }
}

/// Loss and gradient of a shard of tasks.
pub(super) fn outer<'g>(
    graph: &'g Graph,
    config: &MetaConfig,
    policy: &dyn Policy,
    sizes: &Sizes,
    (times, tasks): ([usize; 2], usize),
    optimiser: &Optimiser,
) -> Result<Loss<'g>> {
    let parameters = policy.parameters();
    let adaptation = Adaptation::new(config, parameters)?;
    let start = parameters.weights(graph);
    let mut weights = start.over_lanes(tasks)?;
    let rate = graph.input(INNER_RATE, []);
    let supports: Vec<Inputs<'g>> = (0..config.supports())
        .map(|i| Inputs::new(graph, &support_name(i), sizes, [times[0], tasks]))
        .collect();
    let mut first = None;
    for step in 0..config.inner_steps {
        let inputs = &supports[step.min(supports.len() - 1)];
        let loss = support_loss(config, policy, sizes, &weights, inputs)?;
        first.get_or_insert(loss);
        weights = adaptation.step(&weights, loss, rate)?;
    }
    let query = Inputs::new(graph, QUERY, sizes, [times[1], tasks]);
    // Each task counts alike, and all shards together are one mean.
    let part = 1.0 / sizes.tasks as f32;
    let loss = match config.objective {
        Objective::Supervised => answer_loss(policy, sizes, &weights, &query)?,
        Objective::Reinforcement => {
            let ratio = (log_probability(policy, sizes, &weights, &query)? - query.log_probabilities).exp();
            let clip = graph.input("clip", []);
            let clipped = ratio.maximum(1.0 - clip).minimum(1.0 + clip);
            let better = (ratio * query.advantages).minimum(clipped * query.advantages);
            -(better * query.share).sum_all()
        }
    } * part;
    let gradient = match config.method {
        Method::Reptile => {
            let away: Vec<Tensor<'g>> = start
                .tensors()
                .iter()
                .zip(weights.tensors())
                .map(|(start, adapted)| (*start * tasks as f32 - adapted.sum(&[0])) * part)
                .collect();
            parameters.flatten(graph, &away)?
        }
        _ => optimiser.gradient(loss, &start)?,
    };
    let before = first.unwrap_or(loss) * part;
    let statistics = graph.concat(&[loss.reshape([1]), before.reshape([1])], 0);
    Ok(Loss { gradient, outputs: vec![statistics] })
}

/// What the inputs of the batch that adapted agents are judged by begin with.
pub(super) const QUERY: &str = "query";

/// What the inputs of the batch of a step of adaptation begin with.
pub(super) fn support_name(step: usize) -> String {
    format!("support {step}")
}
