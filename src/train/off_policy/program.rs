//! The programs of actor-critics that learn from a replay: loss and gradient of a shard, of the critic and of the actor.

use super::config::{Entropy, OffPolicyConfig, View};
use super::critic::Critics;
use crate::action::Action;
use crate::action::distribution::{Factor, GumbelSoftmax};
use crate::agent::Policy;
use crate::comm::keys;
use crate::env::Spec;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::nn::{Parameters, Weights};
use crate::optim::Optimiser;
use crate::train::drawn::{Drawn, Learned};
use crate::train::mixer::Mixer;
use crate::train::reduce::Loss;

/// Statistics of an update of the critic, in the order in which its program gives them.
pub(super) const CRITIC_STATISTICS: [&str; 3] = ["loss/critic", "q", "td_error"];

/// Statistics of an update of the actor.
pub(super) const ACTOR_STATISTICS: [&str; 3] = ["loss/actor", "entropy", "temperature"];

/// The input with the key of the actions that are drawn in an update, u32 `[2]`.
pub(super) const ACTION_KEY: &str = "action key";

/// What the losses are made from.
pub(super) struct Parts<'a> {
    pub config: &'a OffPolicyConfig,
    pub policy: &'a dyn Policy,
    pub spec: &'a Spec,
    pub critics: &'a Critics,
    pub mixer: &'a Mixer,
    /// The actor's parameters, the critics', and those of the mixer where it has some.
    pub learned: &'a [Learned],
    /// The logarithm of what a nat of entropy is worth, where that is learned.
    pub temperature: Option<&'a Parameters>,
}

/// What the policy does, as critics see it.
struct Acted<'g> {
    /// `[steps, agents, batch, options + floats]`, as [`Action::features`] has actions.
    features: Tensor<'g>,
    /// `[steps, agents, batch]`, where actions are drawn.
    log_probability: Option<Tensor<'g>>,
}

impl<'a> Parts<'a> {
    fn inputs<'g>(&self, graph: &'g Graph, batch: usize) -> Drawn<'a, 'g> {
        let (config, spec) = (self.config, self.spec);
        let how = (config.stored_state, spec.masked);
        Drawn::input(graph, self.policy, &spec.kinds[0], config.window(), batch, how)
    }

    /// What the replay holds of these steps' actions.
    fn replayed<'g>(&self, graph: &'g Graph, drawn: &Drawn<'_, 'g>, batch: usize) -> Result<Tensor<'g>> {
        let kind = &self.spec.kinds[0];
        let lanes = [self.config.window().length(), kind.count, batch];
        let all = Action::input(graph, &kind.actions, &lanes);
        let cut = |x: Tensor<'g>| drawn.cut(x, 0, self.config.sequence);
        Action { discrete: all.discrete.map(cut), continuous: all.continuous.map(cut) }
            .features(&kind.actions)
    }

    /// What critics see at these steps, `[steps, agents or 1, batch, numbers]`.
    fn view<'g>(&self, drawn: &Drawn<'_, 'g>, first: usize, count: usize) -> Tensor<'g> {
        match self.config.critic {
            View::Own => {
                let all = drawn.sequence.flat();
                drawn.cut(all, first, count)
            }
            View::Central => {
                let all = drawn.world(self.spec.state, first, count);
                let shape = all.shape();
                all.reshape([shape[0], 1, shape[1], shape[2]])
            }
        }
    }

    /// The state of the worlds for the mixer, where it wants one.
    fn world<'g>(&self, drawn: &Drawn<'_, 'g>, first: usize, count: usize) -> Option<Tensor<'g>> {
        matches!(self.mixer, Mixer::Qmix(_)).then(|| drawn.world(self.spec.state, first, count))
    }

    /// What the actor does by its numbers: options by a relaxed draw, straight through (Jang et al. 2017); floats by their
    /// mean, or drawn where drawing is worth something. `smooth` is the deviation of noise on them and where it ends.
    fn act<'g>(
        &self,
        parameters: Tensor<'g>,
        masks: Option<Tensor<'g>>,
        key: Tensor<'g>,
        smooth: (f32, f32),
    ) -> Result<Acted<'g>> {
        let graph = parameters.graph();
        let actions = &self.spec.kinds[0].actions;
        let of = actions.distribution(parameters, masks, self.policy.bounded())?;
        let keys = keys(key, of.factors().len().max(1));
        let (mut options, mut floats) = (Vec::new(), Vec::new());
        let logarithms: f32 = actions.half_widths().iter().map(|half| half.ln()).sum();
        let mut log_probability: Option<Tensor<'g>> = None;
        for (factor, key) in of.factors().iter().zip(keys) {
            match factor {
                Factor::Categorical(choice) => {
                    let temperature = graph.scalar(self.config.relaxation);
                    let relaxed = GumbelSoftmax::new(choice.log_probabilities(), temperature, true);
                    options.push(relaxed.sample(key));
                }
                Factor::TanhGaussian(squashed) if self.config.entropy != Entropy::None => {
                    let before = squashed.inner().sample(key);
                    floats.push(before.tanh());
                    // Of actions between -1 and 1, so that a target means the same whatever the bounds are.
                    let own = squashed.log_probability_before(before) + logarithms;
                    log_probability = Some(log_probability.map_or(own, |other| other + own));
                }
                Factor::TanhGaussian(squashed) => {
                    let (deviation, limit) = smooth;
                    let mut mean = squashed.inner().mean().tanh();
                    if deviation > 0.0 {
                        let noise = key.random_normal(mean.shape()) * deviation;
                        mean = (mean + noise.clamp(-limit, limit)).clamp(-1.0, 1.0);
                    }
                    floats.push(mean);
                }
                _ => return Err(Error::Graph("an actor-critic of actions without bounds".into())),
            }
        }
        options.extend(floats);
        Ok(Acted { features: graph.concat(&options, -1), log_probability })
    }

    /// What a nat of entropy is worth, `[1]`, and its logarithm with its weights where that is learned.
    fn temperature<'g>(&self, graph: &'g Graph) -> (Option<Tensor<'g>>, Option<(Tensor<'g>, Weights<'g>)>) {
        match (self.config.entropy, self.temperature) {
            (Entropy::Learned { .. }, Some(parameters)) => {
                let weights = parameters.weights(graph);
                let logarithm = weights.tensors()[0].reshape([1]);
                (Some(logarithm.exp()), Some((logarithm, weights)))
            }
            (Entropy::Fixed { temperature }, _) => (Some(graph.full([1], temperature)), None),
            _ => (None, None),
        }
    }
}

/// The lesser of what several critics say.
fn least<'g>(values: &[Tensor<'g>]) -> Tensor<'g> {
    values[1..].iter().fold(values[0], |least, other| least.minimum(*other))
}

/// Loss and gradient of the critics over `batch` sequences, with the [`CRITIC_STATISTICS`]: the squared distance to
/// `r + gamma min_k Q'_k(x', mu'(x'))` (Lowe et al. 2017, equation 6; Fujimoto et al. 2018, equations 10 and 14), less what
/// the entropy is worth where actions are drawn (Haarnoja et al. 2018, equation 3).
pub(super) fn critic_loss<'g>(
    graph: &'g Graph,
    parts: &Parts<'_>,
    batch: usize,
    optimisers: &[Optimiser],
) -> Result<Loss<'g>> {
    let Parts { config, critics, mixer, .. } = parts;
    let drawn = parts.inputs(graph, batch);
    let weights: Vec<[Weights<'_>; 2]> = parts.learned.iter().map(|l| l.weights(graph)).collect();
    let (first, count) = (1, config.sequence + config.n_step - 1);
    let stochastic = config.entropy != Entropy::None;
    // Policies that draw have no target (Haarnoja et al. 2018).
    let actor = &weights[0][if stochastic { 0 } else { 1 }];
    let unrolled = drawn.unroll(actor, drawn.sequence.key, (first, count))?;
    let key = graph.input_u32(ACTION_KEY, [2]);
    let smooth = (config.target_noise, config.target_noise_limit);
    let next = parts.act(unrolled.parameters, drawn.masks(first, count), key, smooth)?;
    let values =
        critics.values(&weights[1][1], parts.view(&drawn, first, count), critics.done(next.features, None));
    let own: [Option<&Weights<'_>>; 2] = [0, 1].map(|which| weights.get(2).map(|w| &w[which]));
    let mixed: Vec<Tensor<'_>> = values
        .iter()
        .map(|v| drawn.mix(mixer, own[1], *v, first, parts.world(&drawn, first, count)))
        .collect();
    let mut next_value = least(&mixed);
    if let (Some(temperature), Some(log_probability)) = (parts.temperature(graph).0, next.log_probability) {
        next_value = next_value - log_probability * temperature;
    }
    let goal = drawn.goal(next_value).detach();
    let replayed = parts.replayed(graph, &drawn, batch)?;
    let chosen =
        critics.values(&weights[1][0], parts.view(&drawn, 0, config.sequence), critics.done(replayed, None));
    let world = parts.world(&drawn, 0, config.sequence);
    let chosen: Vec<Tensor<'_>> = chosen.iter().map(|v| drawn.mix(mixer, own[0], *v, 0, world)).collect();
    let [share, plain] = drawn.shares(chosen[0].shape()[1]);
    let mut loss = graph.scalar(0.0);
    for value in &chosen {
        loss = loss + ((*value - goal).square() * 0.5 * share).sum_all();
    }
    let gradients = optimisers
        .iter()
        .zip(&weights[1..])
        .map(|(optimiser, [own, _])| optimiser.gradient(loss, own))
        .collect::<Result<Vec<_>>>()?;
    let error = ((chosen[0] - goal).abs() * plain).sum_all();
    let statistics: Vec<Tensor<'_>> =
        [loss, (chosen[0] * plain).sum_all(), error].iter().map(|s| s.reshape([1])).collect();
    Ok(Loss { gradient: graph.concat(&gradients, 0), outputs: vec![graph.concat(&statistics, 0)] })
}

/// Loss and gradient of the actor over `batch` sequences, with the [`ACTOR_STATISTICS`]: minus what the critic says of what
/// the actor would do (Lowe et al. 2017, equation 5), plus what its numbers cost; where actions are drawn, of the lesser
/// critic and less what the entropy is worth (Haarnoja et al. 2018, equation 7), with the temperature's own loss (equation
/// 18).
pub(super) fn actor_loss<'g>(
    graph: &'g Graph,
    parts: &Parts<'_>,
    batch: usize,
    optimisers: &[Optimiser],
) -> Result<Loss<'g>> {
    let Parts { config, critics, mixer, .. } = parts;
    let drawn = parts.inputs(graph, batch);
    let weights: Vec<[Weights<'_>; 2]> = parts.learned.iter().map(|l| l.weights(graph)).collect();
    let steps = config.sequence;
    let unrolled = drawn.unroll(&weights[0][0], drawn.sequence.key, (0, steps))?;
    let key = graph.input_u32(ACTION_KEY, [2]);
    let acted = parts.act(unrolled.parameters, drawn.masks(0, steps), key, (0.0, 0.0))?;
    let done = match config.critic == View::Own || config.together {
        true => critics.done(acted.features, None),
        false => critics.done(parts.replayed(graph, &drawn, batch)?, Some(acted.features)),
    };
    let values = critics.values(&weights[1][0], parts.view(&drawn, 0, steps), done);
    let value = match config.entropy {
        Entropy::None => values[0],
        _ => least(&values),
    };
    let mixing = weights.get(2).map(|w| &w[0]);
    let value = drawn.mix(mixer, mixing, value, 0, parts.world(&drawn, 0, steps));
    let [_, share] = drawn.shares(value.shape()[1]);
    let objective = (value * share).sum_all();
    let mut loss = -objective;
    if config.regularisation > 0.0 {
        // All shards of a batch together pay it once.
        let part = batch as f32 / config.batch as f32;
        let axes: Vec<isize> = (0..4).collect();
        loss = loss + unrolled.parameters.square().mean(&axes).reshape([]) * (config.regularisation * part);
    }
    if let Some(price) = unrolled.price {
        loss = loss + price.reshape([]) * (batch as f32 / config.batch as f32);
    }
    let (temperature, learned) = parts.temperature(graph);
    let mut entropy = graph.scalar(0.0);
    if let (Some(temperature), Some(log_probability)) = (temperature, acted.log_probability) {
        loss = loss + (log_probability * temperature.detach() * share).sum_all();
        entropy = -(log_probability * share).sum_all();
        if let (Some((logarithm, _)), Entropy::Learned { target, .. }) = (&learned, config.entropy) {
            let floats = parts.spec.kinds[0].actions.floats() as f32;
            let short = (log_probability + target * floats).detach() * share;
            loss = loss - (*logarithm * short.sum_all().reshape([1])).sum_all();
        }
    }
    let mut gradients = vec![optimisers[0].gradient(loss, &weights[0][0])?];
    if let (Some(optimiser), Some((_, weights))) = (optimisers.get(1), &learned) {
        gradients.push(optimiser.gradient(loss, weights)?);
    }
    let share = batch as f32 / config.batch as f32;
    let temperature = temperature.map_or(graph.scalar(0.0), |t| t.reshape([]) * share);
    let statistics: Vec<Tensor<'_>> =
        [-objective, entropy, temperature].iter().map(|s| s.reshape([1])).collect();
    Ok(Loss { gradient: graph.concat(&gradients, 0), outputs: vec![graph.concat(&statistics, 0)] })
}
