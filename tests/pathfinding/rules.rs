//! Corner cases of collisions, targets, observations and rewards.

use crate::{fresh_seed, world};
use synod::env::pathfinding::{
    Collision, Instance, Map, Observation, OnTarget, Pathfinding, PathfindingConfig, Pcg64, Planner,
    RewardTable, Rewards, Source,
};
use synod::env::{Buffers, VecEnv};

const ALL: [Collision; 3] = [Collision::Priority, Collision::BlockBoth, Collision::Soft];
const STAY: u32 = 0;
const UP: u32 = 1;
const DOWN: u32 = 2;
const LEFT: u32 = 3;
const RIGHT: u32 = 4;

/// Which agents moved in one step on `text`; nobody starts on a target, so `finish` hides none that did not arrive.
fn moved(text: &str, collision: Collision, actions: &[u32]) -> Vec<bool> {
    let config =
        PathfindingConfig { collision, on_target: OnTarget::Nothing, radius: 2, ..Default::default() };
    let (mut env, mut out) = world(text, config);
    let before = env.view(0).unwrap().positions;
    env.step(&actions.into(), &mut out).unwrap();
    let after = env.view(0).unwrap().positions;
    before.iter().zip(&after).map(|(a, b)| a != b).collect()
}

fn check(text: &str, actions: &[u32], expected: [&[bool]; 3]) {
    for (collision, expected) in ALL.into_iter().zip(expected) {
        assert_eq!(moved(text, collision, actions), expected, "{collision:?} on {text}");
    }
}

#[test]
fn following() {
    // The leader has the higher index, then the lower.
    check("ab.\nAB.", &[RIGHT, RIGHT], [&[false, true], &[false, true], &[true, true]]);
    check("ba.\nAB.", &[RIGHT, RIGHT], [&[true, true], &[true, false], &[true, true]]);
    // A line whose head runs into an obstacle or out of the map.
    for text in ["abc#\nABC.", "abc\nABC"] {
        check(text, &[RIGHT; 3], [&[false; 3], &[false; 3], &[false; 3]]);
    }
    check("cba.\nABC.", &[RIGHT; 3], [&[true; 3], &[true, false, false], &[true; 3]]);
}

#[test]
fn rotation() {
    let stay: &[bool] = &[false; 4];
    check("ab..\ndc..\nABCD", &[RIGHT, DOWN, LEFT, UP], [stay, stay, &[true; 4]]);
}

#[test]
fn swap() {
    let stay: &[bool] = &[false; 2];
    check("ab\nAB", &[RIGHT, LEFT], [stay, stay, stay]);
    check("ba\nAB", &[LEFT, RIGHT], [stay, stay, stay]);
    // Someone follows one of the swapping pair: nobody moves.
    let stay: &[bool] = &[false; 3];
    for text in ["abc\nABC", "bac\nABC", "cba\nABC"] {
        let actions: Vec<u32> = match text.as_bytes()[0] {
            b'a' => vec![RIGHT, RIGHT, LEFT],
            b'b' => vec![RIGHT, RIGHT, LEFT],
            _ => vec![LEFT, RIGHT, RIGHT],
        };
        check(text, &actions, [stay, stay, stay]);
    }
}

#[test]
fn two_claim_one_cell() {
    check("a.b\nA.B", &[RIGHT, LEFT], [&[true, false], &[false, false], &[true, false]]);
    check("b.a\nA.B", &[LEFT, RIGHT], [&[true, false], &[false, false], &[true, false]]);
    // The loser's follower is sent back too; with `priority` it never had a chance.
    check("a.bc\nA.BC", &[RIGHT, LEFT, LEFT], [&[true, false, false], &[false; 3], &[true, false, false]]);
    // A cell that someone stays in is nobody else's.
    check("ab.\nAB.", &[RIGHT, STAY], [&[false; 2], &[false; 2], &[false; 2]]);
    check("ba.\nAB.", &[STAY, RIGHT], [&[false; 2], &[false; 2], &[false; 2]]);
}

/// On crowded maps with random actions: nobody stands on an obstacle or another agent, nobody swaps, and the
/// occupancy channel shows exactly the agents.
#[test]
fn nobody_collides() {
    let seed = fresh_seed();
    let mut random = Pcg64::new(seed);
    for round in 0..30 {
        for collision in ALL {
            for on_target in [OnTarget::Finish, OnTarget::Nothing, OnTarget::Restart] {
                let radius = 1 + round % 6;
                let config = PathfindingConfig {
                    worlds: 2,
                    agents: 20,
                    radius,
                    collision,
                    on_target,
                    max_episode_steps: 40,
                    source: Source::Random { size: 8, density: 0.15 },
                    seed: random.bits64(),
                    ..Default::default()
                };
                let mut env = Pathfinding::new(config).unwrap();
                let mut out = Buffers::new(env.spec());
                env.reset(&[true; 2], &mut out).unwrap();
                while !out.ended.contains(&true) {
                    let before = [0, 1].map(|w| env.view(w).unwrap().positions);
                    let actions: Vec<u32> = (0..40).map(|_| random.below(5)).collect();
                    env.step(&actions[..].into(), &mut out).unwrap();
                    for (number, before) in before.iter().enumerate() {
                        let view = env.view(number).unwrap();
                        for a in 0..20 {
                            assert!(!view.map.is_blocked(view.positions[a]));
                            for b in (0..a).filter(|b| view.active[a] && view.active[*b]) {
                                assert_ne!(view.positions[a], view.positions[b], "{collision:?}");
                                let swap = view.positions[a] == before[b] && view.positions[b] == before[a];
                                assert!(!swap, "{collision:?}: agents {a} and {b} swapped");
                            }
                        }
                        check_observation(&view, radius, number, &out);
                    }
                }
            }
        }
    }
}

/// Compares `Pogema` observations with what follows from a view, cell by cell.
fn check_observation(view: &synod::env::pathfinding::View, radius: usize, number: usize, out: &Buffers) {
    let (side, agents) = (2 * radius + 1, view.positions.len());
    let radius = radius as isize;
    let (height, width) = (view.map.height() as isize, view.map.width() as isize);
    let mut occupied = vec![false; (height * width) as usize];
    for agent in (0..agents).filter(|a| view.active[*a]) {
        let (row, column) = view.positions[agent];
        occupied[row * width as usize + column] = true;
    }
    for agent in 0..agents {
        let seen = &out.observations[(number * agents + agent) * 3 * side * side..][..3 * side * side];
        if !view.active[agent] {
            assert!(seen.iter().all(|v| *v == 0.0));
            continue;
        }
        let (row, column) = view.positions[agent];
        let (target_row, target_column) = view.targets[agent];
        let clamp = |t: usize, p: usize| (t as isize - p as isize).clamp(-radius, radius);
        for y in -radius..=radius {
            for x in -radius..=radius {
                let at = (y + radius) as usize * side + (x + radius) as usize;
                let (r, c) = (row as isize + y, column as isize + x);
                let inside = (0..height).contains(&r) && (0..width).contains(&c);
                let ring = !inside && (-1..=height).contains(&r) && (-1..=width).contains(&c);
                let obstacle = ring || inside && view.map.is_blocked((r as usize, c as usize));
                let agent_here = inside && occupied[(r * width + c) as usize];
                let target = (y, x) == (clamp(target_row, row), clamp(target_column, column));
                for (plane, expected) in [obstacle, agent_here, target].into_iter().enumerate() {
                    assert_eq!(
                        seen[plane * side * side + at],
                        expected as u8 as f32,
                        "plane {plane} at {y}, {x}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_follower_of_pogema_1_4_0_is_invisible_for_a_step() {
    for (faulty, seen) in [(true, 1), (false, 2)] {
        let config = PathfindingConfig { on_target: OnTarget::Nothing, radius: 2, ..Default::default() };
        let (mut env, mut out) =
            world("ab..\nAB..", PathfindingConfig { invisible_follower: faulty, ..config });
        let count = |out: &Buffers| out.observations[75 + 25..75 + 50].iter().filter(|v| **v == 1.0).count();
        env.step(&[RIGHT, RIGHT].into(), &mut out).unwrap();
        assert_eq!(count(&out), seen);
        env.step(&[STAY, STAY].into(), &mut out).unwrap();
        assert_eq!(count(&out), 2);
    }
}

#[test]
fn finish_pays_once_and_removes() {
    let config = PathfindingConfig {
        on_target: OnTarget::Finish,
        max_episode_steps: 9,
        radius: 1,
        ..Default::default()
    };
    let (mut env, mut out) = world("aA.b\n...B", config);
    env.step(&[RIGHT, STAY].into(), &mut out).unwrap();
    assert_eq!((out.rewards.as_slice(), out.terminated.as_slice()), (&[1.0, 0.0][..], &[true, false][..]));
    assert_eq!((out.active.as_slice(), out.ended[0]), (&[false, true][..], false));
    // The cell is free again, and the action of the gone agent does not matter, whatever it is.
    env.step(&[77, LEFT].into(), &mut out).unwrap();
    env.step(&[77, LEFT].into(), &mut out).unwrap();
    assert_eq!(env.view(0).unwrap().positions[1], (0, 1));
    assert_eq!(out.terminated, [false, false]);
    env.step(&[0, RIGHT].into(), &mut out).unwrap();
    env.step(&[0, RIGHT].into(), &mut out).unwrap();
    assert!(env.take_reports().is_empty());
    env.step(&[0, DOWN].into(), &mut out).unwrap();
    assert_eq!((out.rewards[1], out.terminated[1], out.truncated[1], out.ended[0]), (1.0, true, false, true));
    let report = env.take_reports().remove(0);
    let values: Vec<f64> =
        ["csr", "isr", "soc", "makespan", "length", "return"].map(|n| report.value(n).unwrap()).to_vec();
    assert_eq!(values, [1.0, 1.0, 7.0, 6.0, 6.0, 1.0]);
    assert_eq!((report.label.as_str(), report.agents, report.world), ("test", 2, 0));
    // An ended world stays as it is.
    env.step(&[4, 4].into(), &mut out).unwrap();
    assert_eq!((out.rewards.as_slice(), out.ended[0]), (&[0.0, 0.0][..], true));
    assert!(env.take_reports().is_empty());
}

#[test]
fn nothing_pays_all_when_all_are_there() {
    let config = PathfindingConfig {
        on_target: OnTarget::Nothing,
        max_episode_steps: 9,
        radius: 1,
        ..Default::default()
    };
    let (mut env, mut out) = world("aA.\nbB.", config);
    env.step(&[RIGHT, STAY].into(), &mut out).unwrap();
    assert_eq!((out.rewards.as_slice(), out.ended[0]), (&[0.0, 0.0][..], false));
    env.step(&[RIGHT, RIGHT].into(), &mut out).unwrap();
    assert!(!out.ended[0]);
    env.step(&[LEFT, STAY].into(), &mut out).unwrap();
    assert_eq!((out.rewards.as_slice(), out.terminated.as_slice()), (&[1.0, 1.0][..], &[true, true][..]));
    let report = env.take_reports().remove(0);
    // Agent 0 left its target again, so that its time is that of its second arrival.
    assert_eq!(["csr", "soc", "makespan"].map(|n| report.value(n).unwrap()), [1.0, 5.0, 3.0]);
}

#[test]
fn restart_gives_listed_targets_in_turn() {
    let map = std::sync::Arc::new(Map::from_text("....", "line").unwrap());
    let mut instance = Instance::new(map, vec![(0, 0)], vec![(0, 1)]).unwrap();
    instance.further_targets = vec![vec![(0, 2), (0, 3)]];
    let config = PathfindingConfig {
        worlds: 1,
        agents: 1,
        radius: 1,
        max_episode_steps: 5,
        source: Source::Instances { instances: vec![instance] },
        ..Default::default()
    };
    let mut env = Pathfinding::new(config).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true], &mut out).unwrap();
    for next in [(0, 2), (0, 3), (0, 1)] {
        env.step(&[RIGHT].into(), &mut out).unwrap();
        assert_eq!(out.rewards, [1.0]);
        assert_eq!(env.view(0).unwrap().targets, [next]);
    }
    env.step(&[LEFT].into(), &mut out).unwrap();
    env.step(&[LEFT].into(), &mut out).unwrap();
    assert_eq!((out.truncated[0], out.terminated[0], out.ended[0]), (true, false, true));
    assert_eq!(env.take_reports()[0].value("throughput"), Some(4.0 / 5.0));
}

#[test]
fn planned_path_observation() {
    let config = PathfindingConfig {
        observation: Observation::PlannedPath,
        on_target: OnTarget::Nothing,
        radius: 2,
        ..Default::default()
    };
    // Agent 0's way leads down, along the bottom and up again, out of its window at its fourth column.
    let (_, out) = world("a#.b.\n.#.#A\n...#.\n.....\n....B", config);
    let rows = |plane: usize| -> Vec<String> {
        let letter = |v: &f32| match *v {
            1.0 => '+',
            -1.0 => '-',
            _ => '.',
        };
        out.observations[plane * 25..][..25].chunks(5).map(|row| row.iter().map(letter).collect()).collect()
    };
    // A shortest path: right is tried before down at every cell.
    assert_eq!(rows(0), [".....", ".----", ".-+-.", ".-+-.", ".-+++"]);
    assert_eq!(rows(1), [".....", ".....", "..+..", ".....", "....."]);
    assert_eq!(rows(2), [".....", ".....", ".....", ".....", "....."]);
    // Agent 1 sees agent 0's target and not its own.
    assert_eq!(rows(5), [".....", ".....", ".....", "...+.", "....."]);
}

#[test]
fn planned_paths_are_shortest_and_stop_where_there_is_no_way() {
    let mut random = Pcg64::new(fresh_seed());
    for _ in 0..20 {
        let config = PathfindingConfig {
            worlds: 1,
            agents: 12,
            observation: Observation::PlannedPath,
            source: Source::Random { size: 16, density: 0.35 },
            seed: random.bits64(),
            ..Default::default()
        };
        let mut env = Pathfinding::new(config).unwrap();
        let mut out = Buffers::new(env.spec());
        env.reset(&[true], &mut out).unwrap();
        let view = env.view(0).unwrap();
        let agents: Vec<_> = view.positions.iter().copied().zip(view.targets.iter().copied()).collect();
        // The scenario's lengths come from another search.
        let scenario = synod::env::pathfinding::Scenario::new(view.map, &agents).unwrap();
        for (agent, path) in view.paths.iter().enumerate() {
            assert_eq!(path.len() as f64 - 1.0, scenario.entries[agent].optimal_length);
            assert_eq!((path[0], *path.last().unwrap()), agents[agent]);
            for pair in path.windows(2) {
                assert_eq!(pair[0].0.abs_diff(pair[1].0) + pair[0].1.abs_diff(pair[1].1), 1);
                assert!(!view.map.is_blocked(pair[1]));
            }
        }
    }
    let config = PathfindingConfig { observation: Observation::PlannedPath, radius: 1, ..Default::default() };
    let (env, out) = world("a#A", config);
    assert!(env.view(0).unwrap().paths[0].is_empty());
    assert_eq!(out.observations[..9], [-1.0, -1.0, -1.0, -1.0, 0.0, -1.0, -1.0, -1.0, -1.0]);
}

/// Agent a wants to pass b, which never moves: the plan leads through b's cell until it was seen there too often, and
/// starts afresh once b is out of sight.
#[test]
fn planners_give_way_to_whom_an_agent_has_seen() {
    for planner in [Planner::Follower, Planner::Congestion] {
        let config = PathfindingConfig {
            observation: Observation::PlannedPath,
            planner,
            on_target: OnTarget::Nothing,
            radius: 2,
            ..Default::default()
        };
        let (mut env, mut out) = world("a..b...A\n.######.\n........\nB#######", config);
        let through_b = |env: &Pathfinding| env.view(0).unwrap().paths[0].contains(&(0, 3));
        // b stands three cells away and is not seen.
        for _ in 0..20 {
            assert!(through_b(&env));
            env.step(&[STAY, STAY].into(), &mut out).unwrap();
        }
        env.step(&[RIGHT, STAY].into(), &mut out).unwrap();
        let mut waited = 0;
        while through_b(&env) {
            env.step(&[STAY, STAY].into(), &mut out).unwrap();
            waited += 1;
            assert!(waited < 20, "the plan never changed");
        }
        // The way round is 6 cells longer; with Follower's static costs a cell costs between 1 and 2.
        match planner {
            Planner::Congestion => assert!((5..=6).contains(&waited), "after {waited} steps"),
            _ => assert!(waited > 4, "after {waited} steps"),
        }
        assert_eq!(env.view(0).unwrap().paths[0].len(), 13);
    }
}

#[test]
fn reward_tables() {
    // Along the path, off it by moving, blocked, waiting, goal.
    let run = |rewards: Rewards| -> Vec<f32> {
        let config =
            PathfindingConfig { rewards, on_target: OnTarget::Finish, radius: 1, ..Default::default() };
        let (mut env, mut out) = world("..a.A\n.....", config);
        [RIGHT, LEFT, UP, STAY, RIGHT, RIGHT]
            .map(|action| {
                env.step(&[action].into(), &mut out).unwrap();
                out.rewards[0]
            })
            .to_vec()
    };
    assert_eq!(run(Rewards::Pogema), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(run(Rewards::Sparse), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(run(Rewards::Dense), [-0.01, -0.01, -0.01, -0.01, -0.01, 1.0]);
    assert_eq!(run(Rewards::Directional), [0.005, 0.0, 0.0, 0.0, 0.005, 1.0]);
    assert_eq!(run(Rewards::DirectionalNegative), [-0.005, -0.01, -0.01, -0.01, -0.005, 1.0]);
    assert_eq!(run(Rewards::MovingNegative), [-0.01, -0.01, -0.01, -0.005, -0.01, 1.0]);
    assert_eq!(run(Rewards::Lifelong), [0.01, 0.0, 0.0, 0.0, 0.01, 0.01]);
    let table = RewardTable { goal: Some(5.0), along_path: 1.0, moving: 2.0, waiting: 3.0 };
    assert_eq!(run(Rewards::Table(table)), [1.0, 2.0, 2.0, 3.0, 1.0, 5.0]);
    let rewards = Rewards::Table(RewardTable { goal: Some(f32::NAN), ..table });
    assert!(Pathfinding::new(PathfindingConfig { rewards, ..Default::default() }).is_err());
}
