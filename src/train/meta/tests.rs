//! The gradient of the gradient by which agents adapt to what they are paid, against differences of the exact return.

use super::agent::Adaptation;
use super::batch::{Batch, Inputs, Sizes};
use super::config::{Estimator, MetaConfig, Objective};
use super::loss::{INNER_RATE, support_loss};
use crate::Device;
use crate::action::{ActionSpace, Actions};
use crate::agent::team::TeamConfig;
use crate::agent::{AgentConfig, Policy};
use crate::env::{AgentKind, Spec};
use crate::graph::Graph;

/// Two places, two moves, three steps: what is paid depends on both, and where one goes on the move.
const HORIZON: usize = 3;
const PAID: [[f32; 2]; 2] = [[1.0, -0.5], [0.3, 2.0]];
const NEXT: [[usize; 2]; 2] = [[0, 1], [1, 0]];

/// All ways to move, with where they lead and what is paid.
fn plays() -> Vec<([usize; HORIZON], [usize; HORIZON], [f32; HORIZON])> {
    (0..1 << HORIZON)
        .map(|bits: usize| {
            let (mut at, mut places, mut paid) = (0, [0; HORIZON], [0.0; HORIZON]);
            let moves: [usize; HORIZON] = std::array::from_fn(|t| bits >> t & 1);
            for t in 0..HORIZON {
                (places[t], paid[t]) = (at, PAID[at][moves[t]]);
                at = NEXT[at][moves[t]];
            }
            (moves, places, paid)
        })
        .collect()
}

fn spec() -> Spec {
    let kind = AgentKind::new("agent", 1, &[2], ActionSpace::Discrete(2));
    Spec { worlds: 1, kinds: vec![kind], state: 0, masked: false, limit: HORIZON as u32 }
}

/// The exact return of a softmax policy whose logits are `weight [2, 2]` and `bias [2]`.
fn exact(weights: &[f64; 6]) -> f64 {
    plays()
        .iter()
        .map(|(moves, places, paid)| {
            let mut probability = 1.0;
            for t in 0..HORIZON {
                let logit = |m: usize| weights[2 * places[t] + m] + weights[4 + m];
                let e = [logit(0).exp(), logit(1).exp()];
                probability *= e[moves[t]] / (e[0] + e[1]);
            }
            probability * f64::from(paid.iter().sum::<f32>())
        })
        .sum()
}

/// A batch that holds every play, each with the share that is its probability under the policy: what is estimated from
/// it is the expectation itself. Advantages are what is paid from a step on.
fn expectation(weights: &[f64; 6], sizes: &Sizes) -> Batch {
    let mut batch = Batch { time: HORIZON * 8, ..Batch::default() };
    batch.actions = Actions::of_lengths([HORIZON * 8, 0]);
    for (play, (moves, places, paid)) in plays().iter().enumerate() {
        let mut probability = 1.0;
        for t in 0..HORIZON {
            let logit = |m: usize| weights[2 * places[t] + m] + weights[4 + m];
            let e = [logit(0).exp(), logit(1).exp()];
            let own = e[moves[t]] / (e[0] + e[1]);
            probability *= own;
            batch.observations.extend((0..2).map(|place| f32::from(u8::from(place == places[t]))));
            batch.ages.push(t as f32);
            batch.actions.discrete[play * HORIZON + t] = moves[t] as u32;
            batch.log_probabilities.push(own.ln() as f32);
            batch.advantages.push(paid[t..].iter().sum());
        }
        batch.share.extend([probability as f32; HORIZON]);
    }
    assert_eq!(batch.share.len(), batch.time * sizes.lanes());
    batch
}

/// Gradient and Hessian times a vector of the surrogate, at a policy without hidden layers.
fn derivatives(estimator: Estimator, weights: &[f64; 6], along: &[f64; 6]) -> ([f64; 6], [f64; 6]) {
    let device = Device::cpu();
    // A linear layer of logits is what a team's last layer is; its encoder is left out by building from the parameters alone.
    let team = TeamConfig { features: 2, identity: false, ..TeamConfig::default() };
    let policy = AgentConfig::new(team).policy(&device, &spec(), false, 0).unwrap();
    // Features pass through an encoder that is the identity: observations are not below 0.
    let mut flat = policy.parameters().flat().read().unwrap();
    let mut places = Vec::new();
    for (name, first, _) in policy.parameters().extents() {
        let put: &[f32] = match name {
            "encoder/0/weight" => &[1.0, 0.0, 0.0, 1.0],
            "encoder/0/bias" => &[0.0, 0.0],
            "actor/weight" => {
                places.extend(first..first + 4);
                &[0.0; 4]
            }
            "actor/bias" => {
                places.extend(first..first + 2);
                &[0.0; 2]
            }
            _ => continue,
        };
        flat[first..first + put.len()].copy_from_slice(put);
    }
    places.iter().zip(weights).for_each(|(at, weight)| flat[*at] = *weight as f32);
    policy.parameters().flat().write(&flat).unwrap();

    let sizes = Sizes::of(&spec()).unwrap();
    let config =
        MetaConfig { estimator, objective: Objective::Reinforcement, shots: 8, ..MetaConfig::default() };
    let batch = expectation(weights, &sizes);
    let graph = Graph::new();
    let inputs = Inputs::new(&graph, "support", &sizes, [batch.time, 1]);
    let start = policy.parameters().weights(&graph);
    let wide = start.over_lanes(1).unwrap();
    let loss = support_loss(&config, policy.as_ref(), &sizes, &wide, &inputs).unwrap();
    let gradient = policy.parameters().gradient(-loss, &start).unwrap();
    let along_flat = {
        let mut wide = vec![0.0; flat.len()];
        places.iter().zip(along).for_each(|(at, x)| wide[*at] = *x as f32);
        graph.constant([flat.len()], &wide)
    };
    let curved = policy.parameters().gradient((gradient * along_flat).sum_all(), &start).unwrap();
    let mut program = device.compile(&graph, &[gradient, curved]).unwrap();
    batch.fill(&mut program, "support", &sizes, [0, 1]);
    let out = program.run(&[]).unwrap();
    [0, 1]
        .map(|i| places.iter().map(|at| f64::from(out.f32(i)[*at])).collect::<Vec<_>>())
        .map(|v| {
            let six: [f64; 6] = v.try_into().unwrap();
            six
        })
        .into()
}

#[test]
fn dice_has_the_gradient_and_the_hessian_of_the_exact_return() {
    for seed in 0..5u64 {
        let mut stream = crate::nn::initial::Stream::new(seed);
        let weights: [f64; 6] = std::array::from_fn(|_| stream.normal());
        let along: [f64; 6] = std::array::from_fn(|_| stream.normal());
        let (gradient, curved) = derivatives(Estimator::Dice, &weights, &along);
        let step = 1e-4;
        let slope = |at: &[f64; 6], i: usize| {
            let moved = |by: f64| {
                let mut other = *at;
                other[i] += by;
                exact(&other)
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        };
        for i in 0..6 {
            let expected = slope(&weights, i);
            assert!(
                (gradient[i] - expected).abs() < 1e-4 * (1.0 + expected.abs()),
                "{gradient:?} {expected}"
            );
            let shifted = |by: f64| std::array::from_fn(|k| weights[k] + by * along[k]);
            let expected = (slope(&shifted(1e-3), i) - slope(&shifted(-1e-3), i)) / 2e-3;
            assert!(
                (curved[i] - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                "{curved:?} {i} {expected}"
            );
        }
    }
}

/// Its first derivative is right too; its second is another where steps of an episode depend on each other.
#[test]
fn the_low_variance_estimator_has_the_exact_gradient_and_another_hessian() {
    let weights = [0.4, -0.3, 0.2, 0.9, -0.1, 0.3];
    let along = [1.0, 0.5, -0.5, 0.3, 0.2, -1.0];
    let (dice, dice_curved) = derivatives(Estimator::Dice, &weights, &along);
    let (lvc, lvc_curved) = derivatives(Estimator::Lvc, &weights, &along);
    let far = |a: &[f64; 6], b: &[f64; 6]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far(&dice, &lvc) < 1e-5, "{dice:?} {lvc:?}");
    assert!(far(&dice_curved, &lvc_curved) > 1e-2, "{dice_curved:?} {lvc_curved:?}");
}

/// Shares of two tasks with agents that drop out, and advantages by hand where the baseline knows nothing.
#[test]
fn steps_share_their_task_and_advantages_are_normal_in_each() {
    let kind = AgentKind::new("agent", 2, &[1], ActionSpace::Discrete(2));
    let spec = Spec { worlds: 2, kinds: vec![kind], state: 0, masked: false, limit: 4 };
    let sizes = Sizes::of(&spec).unwrap();
    let lanes = sizes.lanes();
    let mut stream = crate::nn::initial::Stream::new(3);
    let mut batch = Batch { time: 8, ..Batch::default() };
    batch.observations = (0..8 * lanes).map(|_| stream.normal() as f32).collect();
    batch.ages = (0..8).flat_map(|t| vec![(t % 4) as f32; lanes]).collect();
    batch.share = vec![1.0 / 16.0; 8 * lanes];
    // The second task's first agent is out after two steps of its second episode.
    for t in 6..8 {
        batch.share[t * lanes + 2] = 0.0;
    }
    let rewards: Vec<f32> = (0..8 * lanes).map(|_| stream.normal() as f32).collect();
    batch.judge(&sizes, &rewards, 0.9, 1.0);
    for task in 0..2 {
        let own: Vec<f64> = (0..8 * lanes)
            .filter(|i| i % lanes / 2 == task && batch.share[*i] > 0.0)
            .map(|i| f64::from(batch.advantages[i]))
            .collect();
        let mean = own.iter().sum::<f64>() / own.len() as f64;
        let square = own.iter().map(|x| x * x).sum::<f64>() / own.len() as f64;
        assert!(mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-4, "{mean} {square}");
    }
    assert_eq!(batch.advantages[6 * lanes + 2], 0.0);
    let padded = batch.padded(&sizes, 12);
    assert_eq!((padded.time, padded.share.len(), padded.observations.len()), (12, 12 * lanes, 12 * lanes));
}

/// What ANIL adapts is the last layer alone, and rates that are learned are not adapted themselves.
#[test]
fn what_adapts_is_what_the_method_says() {
    let config = |method| MetaConfig { method, ..MetaConfig::default() };
    let device = Device::cpu();
    let team = TeamConfig { features: 3, identity: false, ..TeamConfig::default() };
    let agent = || AgentConfig::new(team.clone()).policy(&device, &spec(), false, 0).unwrap();
    let stepped = |method, policy: &dyn Policy| {
        let adaptation = Adaptation::new(&config(method), policy.parameters()).unwrap();
        let graph = Graph::new();
        let weights = policy.parameters().weights(&graph).over_lanes(2).unwrap();
        let loss = weights.tensors().iter().fold(graph.scalar(0.0), |sum, x| sum + x.sum_all());
        let next = adaptation.step(&weights, loss, graph.input(INNER_RATE, [])).unwrap();
        let differ: Vec<_> = weights.tensors().iter().zip(next.tensors()).map(|(a, b)| *b - *a).collect();
        let mut program = device.compile(&graph, &differ).unwrap();
        if let Some(rate) = program.find_input(INNER_RATE) {
            rate[0] = 0.5;
        }
        let out = program.run(&[]).unwrap();
        let names = policy.parameters().iter().enumerate();
        names.map(|(i, (name, _))| (name.to_string(), out.f32(i)[0])).collect::<Vec<_>>()
    };
    for (name, by) in stepped(super::Method::Anil, agent().as_ref()) {
        let expected = if name.starts_with("actor") { -0.5 } else { 0.0 };
        assert!((by - expected).abs() < 1e-6, "{name}: {by}");
    }
    let own = super::agent::Adaptable::new(&device, agent(), 0.25).unwrap();
    for (name, by) in stepped(super::Method::MetaSgd, &own) {
        let expected = if name.starts_with("inner_rate") { 0.0 } else { -0.25 };
        assert!((by - expected).abs() < 1e-6, "{name}: {by}");
    }
}
