//! What the world makes of the library: starts, changes of the body, tasks, copies, what is saved, pictures.

use synod_worlds::env::drawing::{Role, Shape};
use synod_worlds::env::mujoco::{Body, Goal, Mujoco, MujocoConfig, MujocoRules, Partition, Task, Version};
use synod_worlds::env::vectorised::Vectorised;
use synod_worlds::env::{Buffers, VecEnv, WorldConfig};

use crate::one;

const BODIES: [Body; 7] = [
    Body::HalfCheetah,
    Body::Ant,
    Body::Humanoid,
    Body::Hopper,
    Body::Walker2d,
    Body::Swimmer,
    Body::InvertedPendulum,
];

fn build(config: &MujocoConfig, seed: u64) -> Mujoco {
    Vectorised::new(MujocoRules::new(config).unwrap(), seed).unwrap()
}

/// Started, with its buffers.
fn started(config: &MujocoConfig, seed: u64) -> (Mujoco, Buffers) {
    let mut env = build(config, seed);
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; config.worlds], &mut out).unwrap();
    (env, out)
}

/// Steps with actions that differ from each other.
fn wave(env: &mut dyn VecEnv, out: &mut Buffers, step: usize) {
    let mut actions = env.spec().actions();
    let numbers = actions.continuous.iter_mut().enumerate();
    numbers.for_each(|(i, number)| *number = ((step * 13 + i * 7) as f32).sin());
    env.step(&actions, out).unwrap();
    if out.ended.contains(&true) {
        let ended = out.ended.clone();
        env.reset(&ended, out).unwrap();
    }
}

/// Starts lie within Gymnasium's noise of the model's own, and are not all the same.
#[test]
fn starts_have_gymnasiums_noise() {
    for (body, noise, bound) in [
        (Body::HalfCheetah, 0.1, 0.8),
        (Body::Ant, 0.1, 0.8),
        (Body::Humanoid, 0.01, 0.01),
        (Body::Hopper, 0.005, 0.005),
        (Body::Walker2d, 0.005, 0.005),
        (Body::Swimmer, 0.1, 0.1),
        (Body::InvertedPendulum, 0.01, 0.01),
    ] {
        let config = MujocoConfig { body, worlds: 40, ..one() };
        let (env, out) = started(&config, 3);
        let all: Vec<Vec<f64>> = (0..40).map(|w| env.world(w).unwrap().moving().to_vec()).collect();
        let coordinates = match body {
            Body::HalfCheetah | Body::Walker2d => 9,
            Body::Ant => 15,
            Body::Humanoid => 24,
            Body::Hopper => 6,
            Body::Swimmer => 5,
            Body::InvertedPendulum => 2,
        };
        for i in 0..all[0].len() {
            let column: Vec<f64> = all.iter().map(|moving| moving[i]).collect();
            let (low, high) =
                column.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
            let most = if i < coordinates { noise } else { bound };
            assert!(high - low <= 2.0 * most && high - low > noise, "{body:?}: {i} from {low} to {high}");
        }
        assert!(out.observations.iter().all(|number| number.is_finite()));
    }
}

#[test]
fn masses_and_gravity_are_multiplied() {
    for (mass, expected) in [(1.0, 14.0), (0.5, 7.0), (2.0, 28.0)] {
        let (env, _) = started(&MujocoConfig { mass, ..one() }, 1);
        let total: f64 = env.world(0).unwrap().masses().iter().sum();
        assert!((total - expected).abs() < 1e-9, "{total} kg");
    }
    // Thrown up by nothing, a hopper held in the air falls by g t^2 / 2.
    for gravity in [0.5, 1.0, 1.5] {
        let config = MujocoConfig { body: Body::Hopper, gravity, ..one() };
        let (mut env, _) = started(&config, 1);
        let rules = MujocoRules::new(&config).unwrap();
        let creature = env.world_mut(0).unwrap();
        let mut start = vec![0.0; 12];
        start[1] = 10.0;
        rules.put(creature, &start).unwrap();
        let steps = 25;
        for _ in 0..steps {
            rules.act(creature, &[0.0; 3]).unwrap();
        }
        let seconds = rules.seconds() * f64::from(steps);
        let fallen = 10.0 - creature.moving()[1];
        let expected = 9.81 * gravity * seconds * seconds / 2.0;
        assert!((fallen / expected - 1.0).abs() < 1e-6, "{fallen} m, not {expected}");
    }
}

#[test]
fn a_dead_actuator_does_nothing_and_still_costs() {
    for dead in ["bthigh", "0"] {
        let config = MujocoConfig { dead: dead.into(), ..one() };
        let [mut lame, mut still] = [config, one()].map(|config| started(&config, 4).0);
        let [lame_rules, rules] =
            [lame.rules(), still.rules()].map(|rules| MujocoRules::new(&config_of(rules)).unwrap());
        let action = [1.0, 0.3, -0.2, 0.1, 0.5, -0.6];
        let mut other = action;
        other[0] = 0.0;
        for _ in 0..10 {
            let a = lame_rules.act(lame.world_mut(0).unwrap(), &action).unwrap();
            let b = rules.act(still.world_mut(0).unwrap(), &other).unwrap();
            assert_eq!(lame.world(0).unwrap().moving(), still.world(0).unwrap().moving());
            assert!((b.reward - a.reward - 0.1).abs() < 1e-12);
        }
    }
    let error =
        WorldConfig::new(MujocoConfig { dead: "tail".into(), ..one() }).build(1).err().unwrap().to_string();
    assert!(error.contains("world.dead") && error.contains("bthigh"), "{error}");
}

fn config_of(rules: &MujocoRules) -> MujocoConfig {
    serde_json::from_value(serde_json::to_value(rules).unwrap()).unwrap()
}

/// Tasks pay what they say, worked out from the recorded motion.
#[test]
fn tasks_pay_for_directions_and_velocities() {
    let place = |env: &Mujoco, world: usize| env.world(world).unwrap().moving()[0];
    for (task, goal) in [
        (Task::Direction, Goal::Episode {}),
        (Task::Direction, Goal::World {}),
        (Task::Velocity, Goal::Episode {}),
        (Task::Velocity, Goal::Given { value: 1.25 }),
    ] {
        let config = MujocoConfig { task, goal, worlds: 12, max_episode_steps: 5, ..one() };
        let (mut env, mut out) = started(&config, 9);
        let mut goals = Vec::new();
        for episode in 0..4 {
            goals.push((0..12).map(|world| env.world(world).unwrap().goal()).collect::<Vec<f64>>());
            for step in 0..5 {
                let before: Vec<f64> = (0..12).map(|world| place(&env, world)).collect();
                let mut actions = env.spec().actions();
                let numbers = actions.continuous.iter_mut().enumerate();
                numbers.for_each(|(i, number)| *number = ((episode * 5 + step * 3 + i) as f32).cos());
                env.step(&actions, &mut out).unwrap();
                for world in 0..12 {
                    let velocity = (place(&env, world) - before[world]) / 0.05;
                    let own = &actions.continuous[6 * world..6 * world + 6];
                    let effort: f64 = own.iter().map(|number| f64::from(*number).powi(2)).sum();
                    let goal = env.world(world).unwrap().goal();
                    let moved = match task {
                        Task::Direction => goal * velocity,
                        _ => -(velocity - goal).abs(),
                    };
                    let expected = moved - 0.05 * effort;
                    assert!((f64::from(out.rewards[world]) - expected).abs() < 1e-5, "{task:?}");
                }
            }
            assert_eq!(out.truncated, [true; 12]);
            env.reset(&[true; 12], &mut out).unwrap();
        }
        let all: Vec<f64> = goals.iter().flatten().copied().collect();
        match (task, goal) {
            (_, Goal::Given { value }) => assert!(all.iter().all(|goal| *goal == value)),
            (Task::Direction, _) => assert!(all.contains(&1.0) && all.contains(&-1.0)),
            _ => assert!(all.iter().all(|goal| (0.0..2.0).contains(goal))),
        }
        let stays = goals.iter().all(|of_episode| *of_episode == goals[0]);
        assert_eq!(stays, goal != (Goal::Episode {}), "{task:?} {goal:?}");
    }
}

/// What is saved goes on to the bit, with contacts, warm starts and lagging positions; for all bodies and both libraries.
#[test]
fn saved_worlds_go_on_to_the_bit() {
    for number in ["4.0.0", "3.17.0"] {
        for body in BODIES {
            let config = MujocoConfig { body, worlds: 3, folder: crate::version(number), ..one() };
            let (mut env, mut out) = started(&config, 8);
            (0..60).for_each(|step| wave(&mut env, &mut out, step));
            let bytes = env.save();
            let mut copy = build(&config, 8);
            copy.load(&bytes).unwrap();
            let mut copied = out.clone();
            for step in 60..160 {
                wave(&mut env, &mut out, step);
                wave(&mut copy, &mut copied, step);
                assert_eq!(out.observations, copied.observations, "{body:?} {number} {step}");
                assert_eq!(out.rewards, copied.rewards, "{body:?} {number} {step}");
            }
            assert_eq!(env.save(), copy.save());
            // Cut short and damaged bytes are refused or taken, without a panic, and do no harm.
            assert!(copy.load(&bytes[..bytes.len() - 1]).is_err());
            for at in (0..bytes.len()).step_by(bytes.len() / 97 + 1) {
                let mut changed = bytes.clone();
                changed[at] ^= 0x55;
                let mut other = build(&config, 8);
                if other.load(&changed).is_ok() {
                    let mut seen = copied.clone();
                    (0..3).for_each(|step| wave(&mut other, &mut seen, step));
                }
            }
        }
    }
}

#[test]
fn a_goal_stays_for_the_episodes_of_its_task() {
    let config = MujocoConfig { worlds: 6, task: Task::Velocity, episodes: 3, ..one() };
    let mut env = build(&config, 4);
    assert_eq!(env.task_episodes(), 3);
    let mut out = Buffers::new(env.spec());
    let goals: Vec<Vec<f64>> = (0..6)
        .map(|_| {
            env.reset(&[true; 6], &mut out).unwrap();
            (0..6).map(|world| env.world(world).unwrap().goal()).collect()
        })
        .collect();
    assert!(goals[0] == goals[1] && goals[1] == goals[2] && goals[3] == goals[5]);
    assert!(goals[2].iter().zip(&goals[3]).all(|(before, after)| before != after));
}

/// The same for any number of threads: one world at a time in one, all in many.
#[test]
fn threads_change_nothing() {
    let config = MujocoConfig { worlds: 5, body: Body::Ant, ..one() };
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut env, mut out) = started(&config, 2);
            (0..50).for_each(|step| wave(&mut env, &mut out, step));
            (out.observations, env.save())
        })
    };
    assert!(run(1) == run(4));
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let base = one();
    for (config, key) in [
        (MujocoConfig { partition: Partition::FourByTwo, ..base.clone() }, "world.partition"),
        (
            MujocoConfig { body: Body::Hopper, partition: Partition::TwoByThree, ..base.clone() },
            "world.partition",
        ),
        (MujocoConfig { body: Body::InvertedPendulum, task: Task::Direction, ..base.clone() }, "world.task"),
        (
            MujocoConfig { task: Task::Direction, goal: Goal::Given { value: 0.5 }, ..base.clone() },
            "world.goal.value",
        ),
        (
            MujocoConfig { task: Task::Velocity, goal: Goal::Given { value: f64::NAN }, ..base.clone() },
            "world.goal",
        ),
        (MujocoConfig { episodes: 2, ..base.clone() }, "world.episodes"),
        (MujocoConfig { mass: 0.0, ..base.clone() }, "world.mass"),
        (MujocoConfig { gravity: f64::NAN, ..base.clone() }, "world.gravity"),
        (MujocoConfig { max_episode_steps: 0, ..base.clone() }, "world.max_episode_steps"),
        (MujocoConfig { dead: "6".into(), ..base.clone() }, "world.dead"),
        (MujocoConfig { worlds: 0, ..base.clone() }, "world.worlds"),
        (MujocoConfig { worlds: 1 << 20, body: Body::Humanoid, ..base.clone() }, "world.worlds"),
    ] {
        let error = WorldConfig::new(config).build(1).err().unwrap().to_string();
        assert!(error.contains(key), "{error}");
    }
}

/// Every body draws itself within its frame, its parts in their agents' colours.
#[test]
fn bodies_draw_themselves() {
    for body in BODIES {
        let config = MujocoConfig { body, ..one() };
        let (mut env, mut out) = started(&config, 6);
        let first = env.draw(0).unwrap();
        for step in 0..40 {
            wave(&mut env, &mut out, step);
            let drawing = env.draw(0).unwrap();
            assert_eq!(drawing.marks.len(), first.marks.len(), "{body:?}");
            let limbs = drawing.marks.iter().filter(|mark| matches!(mark.role, Role::Agent(_))).count();
            assert!(limbs >= 3 && drawing.place(0).is_some(), "{body:?}: {limbs}");
            for mark in &drawing.marks {
                if let Shape::Line { from, to, .. } = &mark.shape {
                    for [x, y] in [from, to] {
                        assert!((0.0..=drawing.frame[2]).contains(x) && (0.0..=drawing.frame[3]).contains(y));
                    }
                }
            }
        }
        assert_eq!(drawing_title(&env), "mujoco");
    }
    let config = MujocoConfig { partition: Partition::SixByOne, version: Version::V4, ..one() };
    let (env, _) = started(&config, 6);
    let drawing = env.draw(0).unwrap();
    assert!((0..6).all(|agent| drawing.place(agent).is_some()));
    assert_eq!(env.action_names(3), ["fthigh"]);
}

fn drawing_title(env: &Mujoco) -> String {
    env.draw(0).unwrap().title
}
