//! Recorded episodes: those of the data that is shared, with gymnasium 1.4.0 under MuJoCo 4.0.0 and 3.17.0, and those that
//! `record.py` made.

use std::path::{Path, PathBuf};

use synod_worlds::env::mujoco::{Body, Mujoco, MujocoConfig, MujocoRules, Partition, Version};
use synod_worlds::env::{Buffers, VecEnv, WorldConfig};

use crate::json::Json;
use crate::version;

/// Everything may be this far off, in parts of itself where it is larger than 1.
const NEAR: f64 = 1e-6;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

fn read(file: &Path) -> (String, Json) {
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    (name, Json::read(&std::fs::read_to_string(file).unwrap()))
}

/// `$SYNOD_DATA`, else `../shared/data` beside the repository; `None` outside CI where it may be missing.
fn data(below: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SYNOD_DATA").map(PathBuf::from);
    let path =
        root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")).join(below);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing, and in CI it must be there", path.display());
    println!("SKIPPED: {} is missing, so nothing was compared", path.display());
    None
}

fn config(name: &str) -> MujocoConfig {
    let (body, rest) = name.split_once('-').unwrap();
    let body = match body {
        "HalfCheetah" => Body::HalfCheetah,
        "Ant" => Body::Ant,
        "Humanoid" => Body::Humanoid,
        "Hopper" => Body::Hopper,
        "Walker2d" => Body::Walker2d,
        "Swimmer" => Body::Swimmer,
        "InvertedPendulum" => Body::InvertedPendulum,
        other => panic!("{other}: no such body"),
    };
    let number = if rest.contains("mj3.17.0") { "3.17.0" } else { "4.0.0" };
    let gymnasium = if rest.starts_with("v4") { Version::V4 } else { Version::V5 };
    let (gravity, mass) = match rest {
        "v5-gravity0.5" => (0.5, 1.0),
        "v5-mass2" => (1.0, 2.0),
        _ => (1.0, 1.0),
    };
    let folder = version(number);
    MujocoConfig { worlds: 1, body, version: gymnasium, gravity, mass, folder, ..MujocoConfig::default() }
}

fn close(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        let scale = b.abs().max(1.0);
        assert!((a - b).abs() <= NEAR * scale, "{what}: number {i} is {a}, not {b}");
    }
}

/// Follows a whole episode: starts, states, observations, rewards, falls.
fn follow(name: &str, trace: &Json) {
    let rules = MujocoRules::new(&config(name)).unwrap();
    let mut env = Mujoco::new(MujocoRules::new(&config(name)).unwrap(), 1).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true], &mut out).unwrap();
    let start = [trace.get("qpos0").numbers(), trace.get("qvel0").numbers()].concat();
    let creature = env.world_mut(0).unwrap();
    rules.put(creature, &start).unwrap();
    close(
        creature.seen(),
        &trace.get("observations").get("0").numbers(),
        &format!("{name}: the start is seen"),
    );
    let actions = trace.get("actions").list();
    let (rewards, ends) = (trace.get("rewards").numbers(), trace.get("terminated").list());
    let mut compared = 0;
    // The same episode through the vectorised world, for as long as it lasts there.
    let mut alive = true;
    let mut other = creature.clone();
    for (step, action) in actions.iter().enumerate() {
        let what = format!("{name}, step {}", step + 1);
        let moment = rules.act(&mut other, &action.numbers()).unwrap();
        close(&[moment.reward], &rewards[step..step + 1], &format!("{what}: reward"));
        assert_eq!(moment.fallen, ends[step].flag(), "{what}: fallen");
        if let Json::List(state) = trace.get("states").get(&(step + 1).to_string()) {
            let state: Vec<f64> = state.iter().flat_map(Json::numbers).collect();
            close(other.moving(), &state, &format!("{what}: state"));
            compared += 1;
        }
        if let Json::List(seen) = trace.get("observations").get(&(step + 1).to_string()) {
            let seen: Vec<f64> = seen.iter().map(Json::number).collect();
            close(other.seen(), &seen, &format!("{what}: what is seen"));
        }
        if alive {
            let numbers: Vec<f32> = action.numbers().iter().map(|number| *number as f32).collect();
            env.step(&numbers.into(), &mut out).unwrap();
            assert_eq!(env.world(0).unwrap().moving(), other.moving(), "{what}: the vectorised world");
            assert_eq!(out.rewards[0], moment.reward as f32, "{what}");
            assert_eq!((out.terminated[0], out.ended[0]), (moment.fallen, moment.fallen), "{what}");
            let seen: Vec<f32> = other.seen().iter().map(|number| *number as f32).collect();
            assert_eq!((&out.observations, &out.state), (&seen, &seen), "{what}");
            alive = !moment.fallen;
        }
    }
    assert!(compared >= 20 && actions.len() >= 100, "{name}: {compared} states of {} steps", actions.len());
}

#[test]
fn recorded_episodes_are_followed() {
    let Some(folder) = data("mujoco-traces") else { return };
    let all = files(&folder);
    assert!(all.len() >= 15, "only {} episodes", all.len());
    for file in all {
        let (name, trace) = read(&file);
        follow(&name, &trace);
    }
}

#[test]
fn own_extracts_are_followed() {
    let all = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mujoco"));
    assert_eq!(all.len(), 10);
    for file in all {
        let (name, trace) = read(&file);
        follow(&name, &trace);
    }
}

/// Which numbers each agent of a divided body sees and moves, against gymnasium-robotics.
#[test]
fn bodies_are_divided_as_gymnasium_robotics_divides_them() {
    let Some(file) = data("mamujoco/factorizations.json") else { return };
    let (_, all) = read(&file);
    let mut compared = 0;
    for map in all.get("maps").list() {
        let body = match map.get("scenario").text() {
            "HalfCheetah" => Body::HalfCheetah,
            "Ant" => Body::Ant,
            _ => continue,
        };
        let partition = match map.get("conf") {
            Json::Text(text) if text == "2x3" => Partition::TwoByThree,
            Json::Text(text) if text == "6x1" => Partition::SixByOne,
            Json::Text(text) if text == "4x2" => Partition::FourByTwo,
            _ => continue,
        };
        let reach = map.get("obsk").number() as usize;
        let parts = partition.parts(body, Version::V5, reach).unwrap();
        assert_eq!(parts.len(), map.get("action").table().len());
        for (agent, part) in parts.iter().enumerate() {
            let whole = |of: &str| -> Vec<usize> {
                let numbers = map.get(of).get(&format!("agent_{agent}")).numbers();
                numbers.iter().map(|number| *number as usize).collect()
            };
            assert_eq!(
                part.observation,
                whole("observation"),
                "{body:?} {partition:?}, {reach}: agent {agent}"
            );
            assert_eq!(part.actions, whole("action"), "{body:?} {partition:?}: agent {agent}");
        }
        compared += 1;
    }
    assert_eq!(compared, 6);
}

/// A divided body is the whole one: the same actions move it the same, all are paid that, and each sees its numbers.
#[test]
fn a_divided_body_moves_like_the_whole() {
    for (body, partition) in [
        (Body::HalfCheetah, Partition::TwoByThree),
        (Body::HalfCheetah, Partition::SixByOne),
        (Body::Ant, Partition::FourByTwo),
    ] {
        let whole = MujocoConfig { body, worlds: 2, ..crate::one() };
        let divided = MujocoConfig { partition, ..whole.clone() };
        let parts = partition.parts(body, Version::V5, 1).unwrap();
        let [mut one, mut many] = [whole, divided].map(|config| WorldConfig::new(config).build(5).unwrap());
        let [mut seen, mut shares] = [&one, &many].map(|env| Buffers::new(env.spec()));
        one.reset(&[true; 2], &mut seen).unwrap();
        many.reset(&[true; 2], &mut shares).unwrap();
        let actuators = one.spec().kinds[0].actions.floats();
        for step in 0..30 {
            let action = |world: usize, i: usize| ((step * 7 + world * 3 + i * 5) as f32).sin();
            let own: Vec<f32> = (0..2 * actuators).map(|i| action(i / actuators, i % actuators)).collect();
            let told: Vec<f32> = parts
                .iter()
                .flat_map(|part| (0..2).flat_map(|world| part.actions.iter().map(move |i| action(world, *i))))
                .collect();
            one.step(&own.into(), &mut seen).unwrap();
            many.step(&told.into(), &mut shares).unwrap();
            assert_eq!(seen.state, shares.state, "{body:?} {partition:?}");
            for (world, reward) in seen.rewards.iter().enumerate() {
                assert!(shares.rewards[world * parts.len()..][..parts.len()].iter().all(|own| own == reward));
            }
            let width = seen.state.len() / 2;
            let expected: Vec<f32> = parts
                .iter()
                .flat_map(|part| {
                    let rows = seen.state.chunks(width);
                    rows.flat_map(|row| part.observation.iter().map(|i| row[*i])).collect::<Vec<f32>>()
                })
                .collect();
            assert_eq!(shares.observations, expected);
            if seen.ended.contains(&true) {
                break;
            }
        }
    }
}
