//! The vectorised environment: saving, threads, wrong use.

use crate::fresh_seed;
use synod::env::pathfinding::{
    Collision, Observation, OnTarget, Order, Pathfinding, PathfindingConfig, Pcg64, Planner, Rewards, Source,
};
use synod::env::{Buffers, EpisodeReport, VecEnv};

/// Configurations that between them use every part of the state.
fn configurations(seed: u64) -> Vec<PathfindingConfig> {
    let base = PathfindingConfig {
        worlds: 9,
        agents: 40,
        radius: 3,
        max_episode_steps: 30,
        source: Source::Random { size: 14, density: 0.2 },
        seed,
        ..Default::default()
    };
    vec![
        base.clone(),
        PathfindingConfig { invisible_follower: true, collision: Collision::Soft, ..base.clone() },
        PathfindingConfig {
            observation: Observation::PlannedPath,
            rewards: Rewards::Lifelong,
            collision: Collision::Priority,
            source: Source::Maze { size: [13, 16], wall_components: [2, 5], density: [0.2, 0.6] },
            ..base.clone()
        },
        PathfindingConfig {
            observation: Observation::PlannedPath,
            rewards: Rewards::Directional,
            agents: 2,
            worlds: 300,
            source: Source::Bottleneck { lengths: vec![3, 5, 9], limit_by_length: true },
            order: Order::Cycle,
            ..PathfindingConfig::bottleneck(300)
        },
        PathfindingConfig { on_target: OnTarget::Nothing, collision: Collision::BlockBoth, ..base.clone() },
        PathfindingConfig {
            observation: Observation::PlannedPath,
            planner: Planner::Follower,
            rewards: Rewards::DirectionalNegative,
            spread_first_episodes: true,
            ..base
        },
    ]
}

/// Steps with the actions of `random`, resetting what ended; all that was seen.
fn run(env: &mut Pathfinding, out: &mut Buffers, random: &mut Pcg64, steps: usize) -> Vec<Buffers> {
    let lanes = out.rewards.len();
    let mut seen = Vec::new();
    for _ in 0..steps {
        let actions: Vec<u32> = (0..lanes).map(|_| random.below(5)).collect();
        env.step(&actions[..].into(), out).unwrap();
        seen.push(out.clone());
        let ended = out.ended.clone();
        env.reset(&ended, out).unwrap();
        seen.push(out.clone());
    }
    seen
}

fn equal(a: &[Buffers], b: &[Buffers]) {
    assert_eq!(a.len(), b.len());
    for (step, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(a.observations == b.observations, "observations at {step}");
        assert_eq!(a.rewards, b.rewards, "rewards at {step}");
        assert_eq!((&a.terminated, &a.truncated), (&b.terminated, &b.truncated), "ends at {step}");
        assert_eq!((&a.active, &a.ended, &a.masks), (&b.active, &b.ended, &b.masks), "flags at {step}");
    }
}

#[test]
fn a_loaded_environment_goes_on_exactly() {
    let seed = fresh_seed();
    for (number, config) in configurations(seed).into_iter().enumerate() {
        let mut env = Pathfinding::new(config.clone()).unwrap();
        let mut out = Buffers::new(env.spec());
        let mut random = Pcg64::new(seed ^ number as u64);
        env.reset(&vec![true; config.worlds], &mut out).unwrap();
        // In the middle of episodes, with reports waiting, and (second time) between a step and its reset.
        for part in 0..2 {
            run(&mut env, &mut out, &mut random, 41);
            if part == 1 {
                for _ in 0..25 {
                    env.step(&vec![0u32; out.rewards.len()].into(), &mut out).unwrap();
                }
                assert!(number == 3 || out.ended.contains(&true), "configuration {number}");
            }
            let bytes = env.save();
            let mut other = Pathfinding::new(config.clone()).unwrap();
            other.load(&bytes).unwrap();
            assert!(other.save() == bytes, "configuration {number}: saved again, other bytes");
            let mut other_out = out.clone();
            let mut other_random = random.clone();
            let seen = run(&mut env, &mut out, &mut random, 45);
            let other_seen = run(&mut other, &mut other_out, &mut other_random, 45);
            equal(&seen, &other_seen);
            let reports: Vec<EpisodeReport> = env.take_reports();
            assert!(number == 3 || !reports.is_empty(), "configuration {number}");
            assert_eq!(reports, other.take_reports());
        }
    }
}

#[test]
fn hostile_bytes_are_refused() {
    let seed = fresh_seed();
    let mut random = Pcg64::new(seed);
    for config in configurations(seed) {
        let mut env = Pathfinding::new(config.clone()).unwrap();
        let mut out = Buffers::new(env.spec());
        env.reset(&vec![true; config.worlds], &mut out).unwrap();
        run(&mut env, &mut out, &mut random, 20);
        let bytes = env.save();
        for length in [0, 1, 7, 8, 20, 24, 30, bytes.len() / 2, bytes.len() - 1] {
            assert!(env.load(&bytes[..length]).is_err(), "cut to {length}");
        }
        let mut long = bytes.clone();
        long.push(0);
        assert!(env.load(&long).is_err());
        // A refused load leaves everything as it was.
        assert!(env.save() == bytes);
        // Changed bytes: refused, or taken as another possible state; never a panic, then or later.
        for _ in 0..40 {
            let mut changed = bytes.clone();
            for _ in 0..1 + random.below(3) {
                let at = random.below(changed.len() as u32) as usize;
                changed[at] = random.below(256) as u8;
            }
            let mut other = Pathfinding::new(config.clone()).unwrap();
            if other.load(&changed).is_ok() {
                run(&mut other, &mut out, &mut random, 5);
            }
        }
        let other = PathfindingConfig { seed: config.seed ^ 1, ..config };
        let error = Pathfinding::new(other).unwrap().load(&bytes).unwrap_err().to_string();
        assert!(error.contains("other settings"), "{error}");
    }
}

#[test]
fn threads_change_nothing() {
    let seed = fresh_seed();
    for (number, config) in configurations(seed).into_iter().enumerate() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut env = Pathfinding::new(config.clone()).unwrap();
                let mut out = Buffers::new(env.spec());
                env.reset(&vec![true; config.worlds], &mut out).unwrap();
                let seen = run(&mut env, &mut out, &mut Pcg64::new(seed), 40);
                (seen, env.take_reports(), env.save())
            })
        };
        let (one, two) = (with(1), with(2));
        equal(&one.0, &two.0);
        assert_eq!(one.1, two.1, "configuration {number}");
        assert!(one.2 == two.2, "configuration {number}");
    }
}

#[test]
fn worlds_differ_and_seeds_matter() {
    let config = PathfindingConfig { worlds: 4, agents: 3, seed: fresh_seed(), ..Default::default() };
    let starts = |config: &PathfindingConfig| {
        let mut env = Pathfinding::new(config.clone()).unwrap();
        let mut out = Buffers::new(env.spec());
        env.reset(&[true; 4], &mut out).unwrap();
        let first: Vec<_> = (0..4).map(|w| env.instance(w).unwrap().starts.clone()).collect();
        // Only world 2 starts anew.
        env.reset(&[false, false, true, false], &mut out).unwrap();
        let second: Vec<_> = (0..4).map(|w| env.instance(w).unwrap().starts.clone()).collect();
        assert_eq!(
            first.iter().zip(&second).map(|(a, b)| a == b).collect::<Vec<_>>(),
            [true, true, false, true]
        );
        first
    };
    let first = starts(&config);
    assert_eq!(first, starts(&config));
    assert_ne!(first, starts(&PathfindingConfig { seed: config.seed + 1, ..config }));
    assert!(first[0] != first[1] && first[1] != first[2] && first[2] != first[3]);
}

#[test]
fn wrong_use_is_an_error() {
    let config = PathfindingConfig { worlds: 2, agents: 2, radius: 1, ..Default::default() };
    let mut env = Pathfinding::new(config.clone()).unwrap();
    let mut out = Buffers::new(env.spec());
    let fails = |result: synod::Result<()>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "expected `{part}` in `{error}`");
    };
    assert!(env.view(0).is_none() && env.label(5).is_none());
    fails(env.step(&[0; 4].into(), &mut out), "never been reset");
    fails(env.reset(&[true], &mut out), "1 marks for 2 worlds");
    fails(env.reset(&[true; 2], &mut Buffers::default()), "observations has 0 entries");
    env.reset(&[true; 2], &mut out).unwrap();
    fails(env.step(&[0; 3].into(), &mut out), "3 actions for 4 agents");
    fails(env.step(&[0, 0, 0, 5].into(), &mut out), "action 5 of agent 1 in world 1");
    fails(env.step(&[0, 0, 0, u32::MAX].into(), &mut out), "actions go from 0 to 4");
    env.step(&[0; 4].into(), &mut out).unwrap();

    let bad = [
        (PathfindingConfig { worlds: 0, ..config.clone() }, "world.worlds"),
        (PathfindingConfig { agents: 0, ..config.clone() }, "world.agents"),
        (PathfindingConfig { radius: 0, ..config.clone() }, "world.radius"),
        (PathfindingConfig { radius: 129, ..config.clone() }, "world.radius"),
        (PathfindingConfig { max_episode_steps: 0, ..config.clone() }, "world.max_episode_steps"),
        (PathfindingConfig { worlds: 1 << 20, agents: 1 << 20, ..config.clone() }, "world.worlds"),
        (
            PathfindingConfig { source: Source::Random { size: 1, density: 0.1 }, ..config.clone() },
            "world.source.size",
        ),
        (
            PathfindingConfig { source: Source::Random { size: 9, density: f64::NAN }, ..config.clone() },
            "world.source.density",
        ),
        (PathfindingConfig { source: Source::Maps { maps: vec![] }, ..config.clone() }, "world.source.maps"),
        (PathfindingConfig { agents: 3, ..PathfindingConfig::bottleneck(2) }, "world.agents"),
        (
            PathfindingConfig {
                source: Source::Maze { size: [9, 8], wall_components: [1, 1], density: [0.0; 2] },
                ..config.clone()
            },
            "world.source.size",
        ),
    ];
    for (config, key) in bad {
        let error = Pathfinding::new(config).unwrap_err().to_string();
        assert!(error.contains(key), "expected `{key}` in `{error}`");
    }
    // Too full to place the agents: told at the reset, and no world is touched.
    let full = PathfindingConfig { agents: 40, source: Source::Random { size: 8, density: 0.2 }, ..config };
    let mut env = Pathfinding::new(full).unwrap();
    let mut out = Buffers::new(env.spec());
    assert!(env.reset(&[true; 2], &mut out).unwrap_err().to_string().contains("of 40 agents"));
    assert!(env.view(0).is_none());
}
