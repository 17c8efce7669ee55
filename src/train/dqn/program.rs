//! The programs of Q-learning: loss and gradient of a shard, and the target network's step.

use super::config::DqnConfig;
use crate::Device;
use crate::action::allowed;
use crate::action::distribution::ACTION_INPUTS;
use crate::agent::{Mode, Policy, Sequence, StatePart, Unrolled, WORLD_STATE, masks_input, state_inputs};
use crate::comm::keys;
use crate::env::AgentKind;
use crate::error::Result;
use crate::graph::{Graph, Tensor, Variable};
use crate::nn::{Parameters, Weights};
use crate::optim::Optimiser;
use crate::program::Program;
use crate::shape::TensorType;
use crate::train::Checkpoint;
use crate::train::mixer::Mixer;
use crate::train::reduce::Loss;

/// Statistics of an update, in the order in which the loss program gives them.
pub(in crate::train) const STATISTICS: [&str; 3] = ["loss", "q", "td_error"];

/// A set of parameters that learns, with a copy that targets come from.
pub(in crate::train) struct Learned {
    pub parameters: Parameters,
    pub target: Variable,
}

impl Learned {
    pub fn new(device: &Device, parameters: &Parameters) -> Result<Self> {
        let values = parameters.flat().read()?;
        Ok(Learned {
            target: device.variable("target", TensorType::f32([values.len()]), &values)?,
            parameters: parameters.clone(),
        })
    }

    /// The parameters themselves, and their copy.
    fn weights<'g>(&self, graph: &'g Graph) -> [Weights<'g>; 2] {
        let target = graph.variable(&self.target);
        [self.parameters.weights(graph), self.parameters.weights_of(graph, target)]
    }

    pub fn save(&self, checkpoint: &mut Checkpoint, prefix: &str) -> Result<()> {
        self.parameters.save(prefix, checkpoint)?;
        self.parameters.save_flat(&self.target, &format!("target/{prefix}"), checkpoint)
    }

    pub fn load(&mut self, checkpoint: &Checkpoint, prefix: &str) -> Result<()> {
        self.parameters.load(prefix, checkpoint)?;
        self.parameters.load_flat(&self.target, &format!("target/{prefix}"), checkpoint)
    }
}

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
    let (length, agents) = (config.length(), kind.count);
    let lanes = [length, agents, batch];
    let sequence = Sequence::input(graph, *policy, lanes, &kind.observation, Mode::Learning);
    // Noise of its own for each of the two networks.
    let keys = keys(sequence.key, 2);
    let kept = policy.state();
    let zeros = |part: &StatePart| graph.full([&[agents, batch], &part.shape[..]].concat(), 0.0);
    let state: Vec<Tensor<'_>> = match config.stored_state {
        true => state_inputs(graph, *policy, [agents, batch]),
        false => kept.iter().map(zeros).collect(),
    };
    let weights: Vec<[Weights<'_>; 2]> = parts.learned.iter().map(|l| l.weights(graph)).collect();

    let values = |which: usize| -> Result<Unrolled<'_>> {
        let weights = &weights[0][which];
        let sequence = Sequence { key: keys[which], ..sequence };
        let burn_in = config.burn_in;
        if burn_in == 0 {
            return policy.unroll(graph, weights, sequence, &state);
        }
        let before = policy.unroll(graph, weights, sequence.steps(0, burn_in), &state)?;
        let state: Vec<Tensor<'_>> = before.state.iter().map(|s| s.detach()).collect();
        policy.unroll(graph, weights, sequence.steps(burn_in, length - burn_in), &state)
    };
    // From here on time begins after the burn-in.
    let (learning, target) = (values(0)?, values(1)?.parameters);
    let (learning, price) = (learning.parameters, learning.price);
    let steps = length - config.burn_in;
    let window = (config.burn_in, steps);
    let actions = graph.input_u32(ACTION_INPUTS[0], lanes).slice(0, config.burn_in, config.sequence);
    let chosen = learning.slice(0, 0, config.sequence).take_along_last(actions);
    let masks = masks_input(graph, parts.masked, kind, &lanes).map(|masks| cut(masks, window));
    let best = allowed(if config.double { learning } else { target }, masks).argmax();
    let next = target.take_along_last(best);

    // The absent count for nothing in their team's value.
    let present = cut(sequence.present, window);
    let world = matches!(mixer, Mixer::Qmix(_)).then(|| match parts.world_state {
        0 => {
            let size: usize = kind.observation.iter().product();
            let all = cut(sequence.observations, window).reshape([steps, agents, batch, size]);
            all.transpose(&[0, 2, 1, 3]).reshape([steps, batch, agents * size])
        }
        size => {
            let all = sequence.world.unwrap_or_else(|| graph.input(WORLD_STATE, [length, batch, size]));
            cut(all, window)
        }
    });
    let own: [Option<&Weights<'_>>; 2] = [0, 1].map(|which| weights.get(1).map(|w| &w[which]));
    let chosen = mix(mixer, own[0], chosen, present, world);
    let next = mix(mixer, own[1], next, present, world);

    let units = chosen.shape()[1];
    let rows = [config.sequence, units, batch];
    let bootstraps = graph.input("bootstraps", [&[config.n_step], &rows[..]].concat());
    let mut goal = graph.input("returns", rows);
    for m in 0..config.n_step {
        let value = next.slice(0, m + 1, config.sequence);
        goal = goal + bootstraps.slice(0, m, 1).reshape(rows) * value;
    }
    let error = chosen - goal;
    let size = error.abs();
    let loss = if config.huber > 0.0 { error.huber(config.huber) } else { error.square() * 0.5 };
    // Each step's share of the batch times the weight of its sequence; and its share alone.
    let (share, plain) = (graph.input("weights", rows), graph.input("shares", rows));
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

fn cut<'g>(x: Tensor<'g>, (first, count): (usize, usize)) -> Tensor<'g> {
    x.slice(0, first, count)
}

/// Agents' values `[steps, agents, batch]` mixed; the presences and states may be of more steps.
fn mix<'g>(
    mixer: &Mixer,
    weights: Option<&Weights<'g>>,
    values: Tensor<'g>,
    present: Tensor<'g>,
    world: Option<Tensor<'g>>,
) -> Tensor<'g> {
    let window = (0, values.shape()[0]);
    match mixer {
        Mixer::None => values,
        _ => mixer.mix(weights, values * cut(present, window), world.map(|w| cut(w, window))),
    }
}

/// Moves the targets towards the parameters by the input `rate`. Output: that rate.
pub(in crate::train) fn target_program(device: &Device, learned: &[Learned]) -> Result<Program> {
    let graph = Graph::new();
    let rate = graph.input("rate", [1]);
    for learned in learned {
        let (own, target) = (graph.variable(learned.parameters.flat()), graph.variable(&learned.target));
        // Written so that a rate of 1 is an exact copy.
        graph.assign(&learned.target, own * rate + target * (1.0 - rate));
    }
    device.compile(&graph, &[rate])
}
