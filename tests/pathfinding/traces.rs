//! Whole episodes of POGEMA 1.4.0, replayed: the instance must come out of the seed, and every step must be equal.

use std::path::{Path, PathBuf};

use serde_json::Value;
use synod::env::pathfinding::{
    Collision, Map, Observation, OnTarget, Order, Pathfinding, PathfindingConfig, Source,
};
use synod::env::{Buffers, VecEnv};

/// A folder of `$SYNOD_DATA`, else of `../shared/data`; `None` outside CI where it may be missing.
pub fn data(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SYNOD_DATA").map(PathBuf::from);
    let path =
        root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")).join(folder);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing, and in CI it must be there", path.display());
    println!("SKIPPED: {} is missing, so nothing was compared", path.display());
    None
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("not a whole number: {value}")) as usize
}

fn cells(value: &Value) -> Vec<(usize, usize)> {
    value.as_array().unwrap().iter().map(|cell| (number(&cell[0]), number(&cell[1]))).collect()
}

fn flags(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|flag| flag.as_bool().unwrap()).collect()
}

fn replay(path: &Path, invisible_follower: bool) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let agents = number(&trace["num_agents"]);
    let radius = number(&trace["obs_radius"]);
    let limit = number(&trace["max_episode_steps"]);
    let on_target: OnTarget = serde_json::from_value(trace["on_target"].clone()).unwrap();
    let collision: Collision = serde_json::from_value(trace["collision"].clone()).unwrap();
    let mut env = Pathfinding::new(PathfindingConfig {
        worlds: 1,
        agents,
        radius,
        collision,
        on_target,
        max_episode_steps: limit,
        observation: Observation::Pogema,
        invisible_follower,
        source: Source::Pogema {
            seeds: vec![number(&trace["seed"]) as u64],
            size: number(&trace["size"]),
            density: trace["density"].as_f64().unwrap(),
        },
        order: Order::Cycle,
        ..PathfindingConfig::default()
    })
    .unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true], &mut out).unwrap();

    let view = env.view(0).unwrap();
    let rows: Vec<&str> = trace["map"].as_array().unwrap().iter().map(|row| row.as_str().unwrap()).collect();
    assert_eq!(view.map.to_text().lines().collect::<Vec<_>>(), rows, "{name}: map");
    assert_eq!(view.positions, cells(&trace["positions"][0]), "{name}: starts");
    assert_eq!(view.targets, cells(&trace["targets"][0]), "{name}: targets");
    let seen: String = out.observations.iter().map(|v| if *v == 1.0 { '1' } else { '0' }).collect();
    assert!(out.observations.iter().all(|v| *v == 0.0 || *v == 1.0));
    let first: Vec<&str> = trace["first_observation"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|agent| agent.as_array().unwrap().iter().map(|row| row.as_str().unwrap()))
        .collect();
    assert_eq!(seen, first.concat(), "{name}: first observation");

    let steps = trace["actions"].as_array().unwrap().len();
    let mut finished = vec![false; agents];
    for step in 0..steps {
        let actions: Vec<u32> =
            trace["actions"][step].as_array().unwrap().iter().map(|a| number(a) as u32).collect();
        let playing = out.active.clone();
        env.step(&actions[..].into(), &mut out).unwrap();
        let view = env.view(0).unwrap();
        assert_eq!(
            view.positions,
            cells(&trace["positions"][step + 1]),
            "{name}: positions after step {step}"
        );
        assert_eq!(view.targets, cells(&trace["targets"][step + 1]), "{name}: targets after step {step}");
        let rewards: Vec<f32> =
            trace["rewards"][step].as_array().unwrap().iter().map(|r| r.as_f64().unwrap() as f32).collect();
        assert_eq!(out.rewards, rewards, "{name}: rewards of step {step}");
        // POGEMA repeats an agent's end at every later step, and marks a truncation on agents that have ended too;
        // here an end is told once, to agents that played.
        for (agent, finished) in finished.iter_mut().enumerate() {
            *finished |= out.terminated[agent];
            assert!(playing[agent] || !out.terminated[agent], "{name}: agent {agent} ended twice");
        }
        assert_eq!(finished, flags(&trace["terminated"][step]), "{name}: terminated at step {step}");
        for (agent, truncated) in flags(&trace["truncated"][step]).into_iter().enumerate() {
            let expected = truncated && playing[agent] && !out.terminated[agent];
            assert_eq!(out.truncated[agent], expected, "{name}: truncated at step {step}, agent {agent}");
        }
    }
    assert!(out.ended[0], "{name}: the episode goes on after its last step");

    let reports = env.take_reports();
    assert_eq!(reports.len(), 1, "{name}");
    let metrics = trace["metrics"].as_object().unwrap();
    assert!(!metrics.is_empty(), "{name}: no metrics to compare");
    for (metric, expected) in metrics {
        let value =
            |name: &str| reports[0].value(name).unwrap_or_else(|| panic!("no `{name}` in the report"));
        let got = match (metric.as_str(), on_target) {
            ("ISR", _) => value("isr"),
            ("CSR", _) => value("csr"),
            ("SoC", _) => value("soc"),
            ("makespan", _) => value("makespan"),
            ("avg_throughput", _) => value("throughput"),
            // With `finish` POGEMA calls the mean time of arrival by this name.
            ("ep_length", OnTarget::Finish) => value("soc") / agents as f64,
            ("ep_length", _) => value("length"),
            _ => panic!("{name}: unknown metric {metric}"),
        };
        let expected = expected.as_f64().unwrap();
        assert!((got - expected).abs() < 1e-12, "{name}: {metric} is {got}, expected {expected}");
    }
}

#[test]
fn every_trace_of_pogema_is_replayed_exactly() {
    let Some(folder) = data("pogema-traces") else { return };
    let mut traces: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    traces.retain(|path| path.extension().is_some_and(|e| e == "json"));
    traces.sort();
    // Whatever stands there, and no less than was recorded at first.
    assert!(traces.len() >= 36, "only {} traces", traces.len());
    for trace in &traces {
        // The fault of 1.4.0 touches what is seen, never what happens.
        replay(trace, true);
        replay(trace, false);
    }
}

#[test]
fn every_map_of_the_data_is_read_and_written_back() {
    let Some(folder) = data("maps") else { return };
    let mut read = 0;
    for folder in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir())
    {
        for map in Map::load_folder(folder).unwrap() {
            let text = std::fs::read_to_string(map.path.as_ref().unwrap()).unwrap();
            let written = map.to_movingai();
            assert_eq!(Map::from_movingai(&written, "").unwrap().cells(), map.cells(), "{}", map.name);
            // Files of the two letters that are written come out as they were.
            if text.lines().skip(4).all(|line| line.chars().all(|c| c == '.' || c == '@')) {
                assert_eq!(written.trim_end(), text.trim_end(), "{}", map.name);
            }
            assert_eq!(Map::from_text(&map.to_text(), "").unwrap().cells(), map.cells(), "{}", map.name);
            read += 1;
        }
    }
    assert!(read >= 128 + 128 + 40, "only {read} maps");
}
