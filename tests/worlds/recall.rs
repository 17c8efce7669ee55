//! What is shown to one agent is asked of another, and can be known by all that was shown before.

use std::collections::HashMap;

use synod::env::recall::{Recall, RecallConfig};
use synod::env::{Buffers, VecEnv};

use crate::random::Random;

/// What an agent's row says.
struct Row {
    told: bool,
    asked: bool,
    key: Option<usize>,
    value: Option<usize>,
    of_all: bool,
    group: usize,
}

fn read(row: &[f32], config: &RecallConfig) -> Row {
    let facts = config.others + 1;
    let one = |row: &[f32]| row.iter().position(|x| *x == 1.0);
    let behind = &row[2 + facts + config.values..];
    assert!(row.iter().all(|x| *x == 0.0 || *x == 1.0));
    Row {
        told: row[0] == 1.0,
        asked: row[1] == 1.0,
        key: one(&row[2..2 + facts]),
        value: one(&row[2 + facts..2 + facts + config.values]),
        of_all: behind.first() == Some(&1.0),
        group: behind.get(1..).and_then(one).unwrap_or(0),
    }
}

/// Whoever notes down all that any agent is shown answers every question, and agents are asked for what they were not shown.
#[test]
fn all_that_is_asked_was_shown_to_somebody_else() {
    let random = Random::fresh();
    let seed = random.seed();
    for config in [
        RecallConfig { worlds: 50, agents: 3, others: 1, values: 2, ..RecallConfig::default() },
        RecallConfig { worlds: 20, agents: 5, others: 16, ..RecallConfig::default() },
        RecallConfig { worlds: 20, agents: 4, others: 5, practice: false, ..RecallConfig::default() },
        RecallConfig { worlds: 20, agents: 12, others: 3, groups: 4, ..RecallConfig::default() },
    ] {
        let (worlds, agents, steps) = (config.worlds, config.agents, config.others + 2);
        let mut env = Recall::new(config.clone(), seed).unwrap();
        let mut out = Buffers::new(env.spec());
        env.reset(&vec![true; worlds], &mut out).unwrap();
        // By world: the value at (group or all, key), and to whom it was shown.
        let mut known: Vec<HashMap<(usize, usize), (usize, usize)>> = vec![HashMap::new(); worlds];
        let width = out.observations.len() / (worlds * agents);
        for step in 0..steps {
            let mut actions = env.spec().actions();
            let (mut right, mut told) = (0, vec![0; worlds]);
            let mut shown = Vec::new();
            for (lane, row) in out.observations.chunks_exact(width).enumerate() {
                let (world, agent) = (lane / agents, lane % agents);
                let row = read(row, &config);
                let owner = if row.of_all { config.groups } else { row.group };
                assert!(!(row.told && row.asked) && row.key.is_some() == (row.told || row.asked));
                assert_eq!(row.value.is_some(), row.told);
                if let (Some(key), Some(value)) = (row.key, row.value) {
                    shown.push((world, (owner, key), (value, agent)));
                    told[world] += 1;
                } else if let Some(key) = row.key {
                    let (value, to) = known[world][&(owner, key)];
                    assert_ne!(to, agent, "seed {seed}: asked for what it was shown");
                    actions.discrete[lane] = value as u32;
                    right += 1;
                }
                assert!(config.practice || step == steps - 1 || !row.asked);
            }
            for (world, at, fact) in shown {
                assert!(known[world].insert(at, fact).is_none(), "seed {seed}: shown twice");
            }
            let each = if config.groups == 1 { 1 } else { config.groups + 1 };
            assert!(told.iter().all(|told| *told == if step < steps - 1 { each } else { 0 }), "seed {seed}");
            assert_eq!(out.ended, vec![false; worlds]);
            env.step(&actions, &mut out).unwrap();
            assert_eq!(out.rewards.iter().sum::<f32>(), right as f32, "seed {seed}");
        }
        assert_eq!(out.ended, vec![true; worlds]);
        assert!(out.terminated.iter().all(|ended| *ended));
        let reports = env.take_reports();
        assert!(
            reports.len() == worlds && reports.iter().all(|r| r.value("success") == Some(1.0)),
            "seed {seed}"
        );
    }
}

/// An answer out of the blue is right in one of `values` cases.
#[test]
fn what_is_not_known_is_guessed() {
    let config = RecallConfig { worlds: 500, agents: 4, others: 8, values: 5, ..RecallConfig::default() };
    let mut env = Recall::new(config, 3).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 500], &mut out).unwrap();
    while !out.ended[0] {
        env.step(&env.spec().actions(), &mut out).unwrap();
    }
    let reports = env.take_reports();
    let mean = reports.iter().map(|r| r.value("success").unwrap()).sum::<f64>() / 500.0;
    // 2,000 answers: a deviation of .009.
    assert!((mean - 0.2).abs() < 0.045, "{mean}");
}

#[test]
fn groups_are_of_equally_many() {
    for (agents, groups) in [(4, 3), (4, 4), (6, 4), (4, 8)] {
        let config = RecallConfig { agents, groups, ..RecallConfig::default() };
        let message = Recall::new(config, 0).err().unwrap().to_string();
        assert!(message.contains("world.groups"), "{message}");
    }
}
