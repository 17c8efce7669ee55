//! The replay against a record of everything that ever happened.

use super::*;
use crate::Device;
use crate::graph::Graph;

const AGENTS: usize = 2;
const WORLDS: usize = 3;
const ACTIONS: usize = 3;
const TIME: usize = 4;
const PRIORITY: Priority = Priority { alpha: 0.7, beta: 0.5 };

fn sizes(stored: bool) -> Sizes {
    Sizes {
        steps: 24,
        agents: AGENTS,
        worlds: WORLDS,
        observation: 2,
        actions: ActionSpace::Discrete(ACTIONS),
        masked: true,
        world_state: 1,
        state: if stored { vec![2] } else { vec![] },
        stride: if stored { TIME } else { 1 },
        length: 7,
    }
}

fn random_rollout(stream: &mut Stream, first: u64) -> Experience {
    let mut e = Experience::new([TIME, AGENTS, WORLDS], 2, &ActionSpace::Discrete(ACTIONS));
    let lanes = AGENTS * WORLDS;
    for i in 0..TIME * lanes {
        // What is seen says when and where it was.
        e.observations[2 * i] = (first + (i / lanes) as u64) as f32;
        e.observations[2 * i + 1] = (i % lanes) as f32;
        e.ages[i] = stream.below(5) as f32;
        e.present[i] = f32::from(u8::from(stream.below(8) > 0));
        e.weights[i] = f32::from(u8::from(stream.below(5) > 0));
        e.actions.discrete[i] = stream.below(ACTIONS) as u32;
        e.rewards[i] = stream.normal() as f32;
        e.terminated[i] = stream.below(6) == 0;
        e.truncated[i] = stream.below(6) == 0;
    }
    e.masks = (0..TIME * lanes * ACTIONS).map(|_| stream.below(2) as f32).collect();
    e.world_state = (0..TIME * WORLDS).map(|i| (first * 100 + i as u64) as f32).collect();
    e.state = vec![(0..2 * lanes).map(|i| (first * 1000 + i as u64) as f32).collect()];
    e
}

#[test]
fn drawn_sequences_are_what_happened() {
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
    let mut stream = Stream::new(seed);
    for (stored, prioritised) in [(true, false), (true, true), (false, false), (false, true)] {
        let sizes = Sizes { state: if stored { vec![2] } else { vec![] }, ..sizes(stored) };
        let length = sizes.length;
        let mut replay = Replay::new(sizes.clone(), prioritised).unwrap();
        let graph = Graph::new();
        let lanes = [length, AGENTS, 5];
        let outputs = [
            graph.input("observations", [length, AGENTS, 5, 2]),
            graph.input("masks", [length, AGENTS, 5, ACTIONS]),
            graph.input("world state", [length, 5, 1]),
            graph.input("state0", [AGENTS, 5, 2]),
            graph.input_u32("actions", lanes).to_f32(),
        ]
        .map(|x| x * 1.0);
        let mut program = Device::cpu().compile(&graph, &outputs).unwrap();
        program.input_mut("state0").unwrap().fill(0.0);
        let mut history: Vec<Experience> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..11u64 {
            let rollout = random_rollout(&mut stream, round * TIME as u64);
            replay.add(&rollout).unwrap();
            history.push(rollout);
            if !replay.is_ready() {
                assert!(history.len() * TIME < length && replay.draw(1, PRIORITY, &mut stream).is_err());
                continue;
            }
            for _ in 0..20 {
                let draws = replay.draw(5, PRIORITY, &mut stream).unwrap();
                replay.fill(&mut program, &draws).unwrap();
                program.run(&[]).unwrap();
                let out = program.outputs();
                for (j, draw) in draws.iter().enumerate() {
                    // The first observation tells the step from which on all must agree.
                    let first = out.f32(0)[2 * j] as usize;
                    let oldest = (history.len() * TIME).saturating_sub(24);
                    assert!(first >= oldest && first + length <= history.len() * TIME, "seed {seed}");
                    assert!(first.is_multiple_of(sizes.stride));
                    seen.insert((round, first, draw.world));
                    for t in 0..length {
                        let (past, at) = (&history[(first + t) / TIME], (first + t) % TIME);
                        for agent in 0..AGENTS {
                            let to = (t * AGENTS + agent) * 5 + j;
                            let from = (at * AGENTS + agent) * WORLDS + draw.world;
                            assert_eq!(out.f32(0)[2 * to..2 * to + 2], past.observations[2 * from..][..2]);
                            assert_eq!(out.f32(1)[3 * to..3 * to + 3], past.masks[3 * from..3 * from + 3]);
                            assert_eq!(out.f32(4)[to], past.actions.discrete[from] as f32);
                        }
                        assert_eq!(out.f32(2)[t * 5 + j], past.world_state[at * WORLDS + draw.world]);
                    }
                    if stored {
                        for agent in 0..AGENTS {
                            let from = (agent * WORLDS + draw.world) * 2;
                            let part = &history[first / TIME].state[0][from..from + 2];
                            assert_eq!(out.f32(3)[(agent * 5 + j) * 2..][..2], *part);
                        }
                    }
                }
                let errors: Vec<f32> = draws.iter().map(|_| stream.uniform() as f32 * 3.0).collect();
                replay.set_priorities(&draws, &errors, PRIORITY).unwrap();
            }
        }
        let last: Vec<_> = seen.iter().filter(|(round, ..)| *round == 10).collect();
        let most = (24 - length) / sizes.stride * WORLDS + WORLDS;
        assert!(last.len() > most / 2 && last.len() <= most, "{} of {most}, seed {seed}", last.len());
    }
}

/// One lane by hand: gamma .5, two steps. Rewards 1, 2, 4, 8, .. at the steps.
#[test]
fn returns_stop_at_every_kind_of_end() {
    let sizes = Sizes {
        steps: 16,
        agents: 2,
        worlds: 1,
        observation: 1,
        actions: ActionSpace::Discrete(1),
        masked: true,
        world_state: 0,
        state: vec![],
        stride: 1,
        length: 8,
    };
    let mut replay = Replay::new(sizes, false).unwrap();
    let mut e = Experience::new([8, 2, 1], 1, &ActionSpace::Discrete(1));
    for t in 0..8 {
        for agent in 0..2 {
            e.rewards[2 * t + agent] = (1 << t) as f32 * if agent == 0 { 1.0 } else { 3.0 };
            e.weights[2 * t + agent] = 1.0;
        }
    }
    // Agent 0: step 1 is cut off, step 2 only values what was seen last, step 4 terminates.
    (e.truncated[2], e.weights[4], e.terminated[8]) = (true, 0.0, true);
    // Agent 1 leaves by the rules at step 2 and is away at 3.
    (e.terminated[5], e.weights[7]) = (true, 0.0);
    e.masks = vec![1.0; 16];
    replay.add(&e).unwrap();
    let draw = Draw { world: 0, slot: 0, weight: 1.0 };
    let of = |team, unit: usize, units: usize| {
        let t = replay.targets(draw, (0, 6), 2, 0.5, team, &|_, _| 0.0).unwrap();
        let row = |x: &[f32]| x.iter().skip(unit).step_by(units).copied().collect::<Vec<f32>>();
        (row(&t.returns), row(&t.bootstraps[..6 * units]), row(&t.bootstraps[6 * units..]), row(&t.weights))
    };
    let (returns, one, two, weights) = of(false, 0, 2);
    assert_eq!(returns, [1.0 + 1.0, 2.0, 0.0, 8.0 + 8.0, 16.0, 32.0 + 32.0]);
    assert_eq!(one, [0.0, 0.5, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(two, [0.25, 0.0, 0.0, 0.0, 0.0, 0.25]);
    assert_eq!(weights, [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
    let (returns, one, two, weights) = of(false, 1, 2);
    assert_eq!(returns, [3.0 + 3.0, 6.0 + 6.0, 12.0, 0.0, 48.0 + 48.0, 96.0 + 96.0]);
    assert_eq!((one, two), (vec![0.0; 6], vec![0.25, 0.0, 0.0, 0.0, 0.25, 0.25]));
    assert_eq!(weights, [1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    // As one: cut off at 1; at 2 only agent 1 counts, and it terminates; at 4 agent 1 goes on.
    let (returns, one, two, weights) = of(true, 0, 1);
    assert_eq!(returns, [2.0 + 2.0, 4.0, 6.0, 4.0 + 16.0, 32.0 + 32.0, 64.0 + 64.0]);
    assert_eq!((one, two), (vec![0.0, 0.5, 0.0, 0.0, 0.0, 0.0], vec![0.25, 0.0, 0.0, 0.25, 0.25, 0.25]));
    assert_eq!(weights, [1.0; 6]);
}

#[test]
fn weights_make_up_for_uneven_drawing() {
    let sizes = Sizes { length: 1, ..sizes(false) };
    let mut replay = Replay::new(sizes, true).unwrap();
    let mut stream = Stream::new(3);
    for round in 0..6 {
        replay.add(&random_rollout(&mut stream, round * TIME as u64)).unwrap();
    }
    let all: Vec<Draw> =
        (0..24 * WORLDS).map(|i| Draw { world: i % WORLDS, slot: i / WORLDS, weight: 1.0 }).collect();
    let errors: Vec<f32> = (0..all.len()).map(|i| 1.0 + i as f32).collect();
    let full = Priority { alpha: 1.0, beta: 1.0 };
    replay.set_priorities(&all, &errors, full).unwrap();
    let draws = replay.draw(30_000, full, &mut stream).unwrap();
    // The weighted mean of any quantity is then that of even drawing.
    let (mut sum, mut weights) = (0.0, 0.0);
    for draw in &draws {
        let place = (draw.slot * WORLDS + draw.world) as f64;
        sum += place * f64::from(draw.weight);
        weights += f64::from(draw.weight);
    }
    let expected = (all.len() - 1) as f64 / 2.0;
    assert!((sum / weights - expected).abs() < 1.0, "{} against {expected}", sum / weights);
    let plain = draws.iter().map(|d| (d.slot * WORLDS + d.world) as f64).sum::<f64>() / draws.len() as f64;
    assert!(plain > expected + 10.0, "{plain}");
}
