//! The program as its users meet it: what it writes, what it refuses, and that a kill loses nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A small run: 32 worlds of 2 agents, 512 agent-steps an iteration.
const SMALL: [&str; 14] = [
    "--set",
    "world.worlds=32",
    "--set",
    "learner.minibatches=4",
    "--set",
    "learner.learning_shards=2",
    "--set",
    "learner.acting_shards=2",
    "--set",
    "checkpoint_every=1024",
    "--device",
    "cpu",
    "--set",
    "learner.rollout=8",
];

fn synod(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_synod")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Trains a small run of so many steps and gives its folder.
fn train(folder: &Path, name: &str, steps: u64) -> PathBuf {
    let steps = steps.to_string();
    let mut arguments = vec!["train", "bottleneck", "--steps", &steps, "--out", name];
    arguments.extend(SMALL);
    let output = synod(&arguments, folder);
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder.join(name)
}

#[test]
fn a_run_can_be_trained_evaluated_drawn_and_run_again_from_its_config() {
    let folder = tempfile::tempdir().unwrap();
    let run = train(folder.path(), "run", 4096);
    for file in ["config.toml", "metrics.csv", "checkpoint.safetensors"] {
        assert!(run.join(file).exists(), "{file} is missing");
    }
    let rows = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    assert_eq!(rows.lines().count(), 1 + 4096 / 512, "{rows}");

    let output = synod(&["eval", "run", "--episodes", "2", "--steps", "4", "--json"], folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 48 + 10);
    assert_eq!(rows[0]["map"], "bottleneck-3");
    assert_eq!(rows[57]["map"], "bottleneck-1000");
    for key in ["agents", "csr", "isr", "soc", "makespan", "throughput"] {
        assert!(rows[0].get(key).is_some_and(|v| v.is_number()), "{key}: {}", rows[0]);
        assert!(json["mean"].get(key).is_some(), "{key}");
    }

    for name in ["episode.gif", "episode.svg"] {
        let output = synod(&["render", "run", "-o", name, "--steps", "6"], folder.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(std::fs::metadata(folder.path().join(name)).unwrap().len() > 500);
    }
    let curves = |arguments: &[&str]| {
        let picture = folder.path().join("arcs.svg");
        let _ = std::fs::remove_file(&picture);
        let output =
            synod(&[&["render", "run", "-o", "arcs.svg", "--steps", "6"], arguments].concat(), folder.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::read_to_string(picture).unwrap().matches("class=\"attention\"").count()
    };
    // Two agents, each of which attends to the other.
    assert_eq!(
        [curves(&["--arcs", "0"]), curves(&["--arcs-from", "0.01"]), curves(&["--arcs-from", "3"])],
        [0, 2, 0]
    );

    let output = synod(&["train", "run/config.toml", "--out", "again"], folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bytes = |run: &str| std::fs::read(folder.path().join(run).join("checkpoint.safetensors")).unwrap();
    assert!(bytes("run") == bytes("again"), "the same config gave another result");
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let steps = 16 * 1024;
    let whole = train(folder.path(), "whole", steps);
    let steps = steps.to_string();
    let mut arguments = vec!["train", "bottleneck", "--steps", &steps, "--out", "killed"];
    arguments.extend(SMALL);
    let mut child = Command::new(env!("CARGO_BIN_EXE_synod"))
        .args(&arguments)
        .current_dir(folder.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let checkpoint = folder.path().join("killed/checkpoint.safetensors");
    let began = Instant::now();
    while !checkpoint.exists() && began.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(2));
    }
    // kill -9, wherever it is.
    let _ = child.kill();
    let _ = child.wait();
    let output = synod(&["train", "--resume", "killed"], folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bytes = |run: &Path| std::fs::read(run.join("checkpoint.safetensors")).unwrap();
    assert!(bytes(&whole) == bytes(&folder.path().join("killed")), "the resumed run ended elsewhere");
}

/// Exit code 2, the words on stderr, nothing on stdout, and the folder as it was.
fn refuses(folder: &Path, arguments: &[&str], words: &[&str]) {
    let listing = |folder: &Path| -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names
    };
    let before = listing(folder);
    let output = synod(arguments, folder);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
    for word in words {
        assert!(message.contains(word), "{arguments:?}: `{word}` is not in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(before, listing(folder), "{arguments:?} left something behind");
}

#[test]
fn the_seed_of_instances_alone_decides_where_agents_start_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    train(at, "run", 512);
    let map = format!("type octile\nheight 9\nwidth 9\nmap\n{}", ".........\n".repeat(9));
    std::fs::write(at.join("open.map"), map).unwrap();
    let picture = |seed: &str, instance_seed: &str| {
        let shown = ["--steps", "3", "--greedy", "--maps", "open.map", "--seed", seed];
        let name = "episode.svg";
        let _ = std::fs::remove_file(at.join(name));
        let arguments =
            [&["render", "run", "-o", name, "--instance-seed", instance_seed], &shown[..]].concat();
        let output = synod(&arguments, at);
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::read(at.join(name)).unwrap()
    };
    assert!(picture("1", "0") == picture("2", "0"));
    assert!(picture("1", "0") != picture("1", "1"));

    // Episode k is that of seed N + k.
    let soc = |seed: &str, episodes: &str| {
        let maps = ["--maps", "open.map", "--greedy", "--steps", "40", "--json", "--agents", "2"];
        let which = ["eval", "run", "--instance-seed", seed, "--episodes", episodes];
        let output = synod(&[&which[..], &maps[..]].concat(), at);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        json["mean"]["soc"].as_f64().unwrap()
    };
    let mean = (soc("0", "1") + soc("1", "1") + soc("2", "1")) / 3.0;
    assert!((soc("0", "3") - mean).abs() < 1e-9);
}

#[test]
fn bad_input_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let write = |name: &str, content: &str| std::fs::write(at.join(name), content).unwrap();
    write("typo.toml", "preset = \"bottleneck\"\n[ppo]\nlerning_rate = 1.0\n");
    write("type.toml", "preset = \"bottleneck\"\nsteps = \"many\"\n");
    write("ragged.map", "type octile\nheight 2\nwidth 3\nmap\n...\n..\n");
    write("letter.map", "type octile\nheight 1\nwidth 3\nmap\n.X.\n");
    write("tiny.map", "type octile\nheight 1\nwidth 3\nmap\n...\n");
    let huge = std::fs::File::create(at.join("huge.map")).unwrap();
    huge.set_len(10 << 30).unwrap();
    std::fs::create_dir(at.join("taken")).unwrap();
    std::fs::write(at.join("taken/notes.txt"), "mine").unwrap();
    std::fs::create_dir(at.join("empty")).unwrap();

    refuses(at, &["train", "botleneck"], &["botleneck", "did you mean `bottleneck`"]);
    refuses(at, &["train", "typo.toml"], &["typo.toml:3", "lerning_rate", "learning_rate"]);
    refuses(at, &["train", "type.toml"], &["type.toml:2", "steps"]);
    refuses(at, &["train", "missing.toml"], &["missing.toml"]);
    refuses(at, &["train", "bottleneck", "--steps", "0"], &["steps"]);
    refuses(at, &["train", "bottleneck", "--out", "taken"], &["taken", "exists"]);
    refuses(at, &["train", "bottleneck", "--set", "learner.clipp=1"], &["learner.clipp", "learner.clip"]);
    refuses(at, &["train", "bottleneck", "--set", "world.agents=3"], &["`world.agents`"]);
    refuses(
        at,
        &["train", "bottleneck", "--set", "learner.learning_rate=1e39"],
        &["learner.learning_rate", "1e+39"],
    );
    // Also where nothing uses it.
    refuses(
        at,
        &["train", "two-step-vdn", "--set", "learner.clip=0.1"],
        &["learner.clip", "no such setting"],
    );
    refuses(at, &["train", "two-step-vdn", "--set", "learner.replay=1e9"], &["learner.replay", "memory"]);
    refuses(at, &["train", "bottleneck", "--set", "agent.heads=5"], &["agent.heads"]);
    refuses(at, &["train", "bottleneck", "--device", "tpu"], &["tpu", "cpu"]);
    refuses(at, &["train", "--resume", "empty"], &["empty"]);
    refuses(at, &["eval", "nowhere"], &["nowhere"]);

    train(at, "run", 512);
    refuses(at, &["train", "--resume", "run", "--steps", "100"], &["--steps 100", "512"]);
    refuses(at, &["eval", "run", "--set", "world.radios=3"], &["world.radios", "world.radius"]);
    refuses(at, &["eval", "run", "--episodes", "0"], &["episode"]);
    refuses(at, &["eval", "run", "--steps", "0"], &["step"]);
    refuses(at, &["eval", "run", "--maps", "ragged.map"], &["ragged.map:6"]);
    refuses(at, &["eval", "run", "--maps", "letter.map"], &["letter.map:5", "X"]);
    refuses(at, &["eval", "run", "--maps", "tiny.map", "--agents", "9"], &["tiny", "9"]);
    refuses(at, &["eval", "run", "--maps", "huge.map"], &["huge.map"]);
    refuses(at, &["eval", "run", "--instance-seed", "0"], &["maps"]);
    refuses(at, &["render", "run", "-o", "episode.svg", "--instance-seed", "0"], &["maps"]);
    refuses(at, &["render", "run", "-o", "episode.png"], &[".gif"]);

    let checkpoint = at.join("run/checkpoint.safetensors");
    let whole = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &whole[..whole.len() / 2]).unwrap();
    refuses(at, &["eval", "run"], &["checkpoint.safetensors"]);
    refuses(at, &["train", "--resume", "run"], &["checkpoint.safetensors"]);
    std::fs::write(&checkpoint, &whole).unwrap();
    let config = std::fs::read_to_string(at.join("run/config.toml")).unwrap();
    std::fs::write(at.join("run/config.toml"), config.replace("features = 16", "features = 32")).unwrap();
    refuses(at, &["eval", "run"], &["checkpoint.safetensors", "features=16", "features=32"]);
}

/// Trains the guide's own maps and other generators in worlds of bottleneck's sizes.
#[test]
fn own_maps_scenarios_and_generators_are_set_on_the_command_line_and_in_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::create_dir(at.join("maps")).unwrap();
    let rows = "\u{feff}type octile\nheight 4\nwidth 5\nmap\n.....  \n.@@..\t\n..T.. # trees\n.....\n";
    std::fs::write(at.join("maps/ok.map"), rows).unwrap();
    std::fs::write(
        at.join("maps/ok.scen"),
        "version 1\n0\tok.map\t5\t4\t0\t0\t4\t3\t7.0\n0\tok.map\t5\t4\t4\t0\t0\t0\t4.0\n",
    )
    .unwrap();
    let own = "preset = \"bottleneck\"\n[world.source]\nkind = \"files\"\npaths = [\"maps\"]\n";
    std::fs::write(at.join("own.toml"), own).unwrap();
    let trained = |what: &str, name: &str, more: &[&str]| {
        let all = [&["train", what, "--steps", "512", "--out", name], &SMALL[..], more].concat();
        let output = synod(&all, at);
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        std::fs::read_to_string(at.join(name).join("config.toml")).unwrap()
    };
    assert!(trained("own.toml", "own", &[]).contains("paths = [\"maps\"]"));
    let files = ["--set", "world.source.kind=files", "--set", "world.source.paths=[\"maps/ok.scen\"]"];
    assert!(trained("bottleneck", "items", &files).contains("ok.scen"));
    let random = ["--set", "world.source.kind=random", "--set", "world.source.size=9"];
    let config = trained("own/config.toml", "random", &random);
    assert!(config.contains("kind = \"random\"") && config.contains("size = 9") && !config.contains("paths"));
    // From a complete configuration of one kind to another, and back.
    assert!(trained("random/config.toml", "back", &files).contains("ok.scen"));
    let nothing = ["train", "bottleneck", "--set", "world.source.kind=files"];
    refuses(at, &nothing, &["world.source.paths", "at least one"]);

    let eval = |maps: &str, agents: &[&str]| {
        let all =
            [&["eval", "own", "--maps", maps, "--json", "--episodes", "3", "--steps", "8"], agents].concat();
        let output = synod(&all, at);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let row = json["rows"][0].clone();
        (row["map"].as_str().unwrap().to_string(), row["agents"].as_u64(), row["episodes"].as_u64())
    };
    assert_eq!(eval("maps/ok.scen", &[]), ("ok.scen".into(), Some(2), Some(3)));
    assert_eq!(eval("maps/ok.scen", &["--agents", "1"]), ("ok.scen".into(), Some(1), Some(3)));
    assert_eq!(eval("maps", &["--agents", "4"]), ("ok.map".into(), Some(4), Some(3)));
    let output = synod(&["render", "own", "-o", "a.svg", "--maps", "maps/ok.scen", "--steps", "4"], at);
    assert!(output.status.success(), "{}", text(&output.stderr));
    refuses(at, &["eval", "own", "--maps", "maps/ok.scen", "--agents", "3"], &["ok.scen", "2 agents"]);
}

#[test]
fn a_limit_of_a_planner_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let planner = ["--set", "world.planner=follower", "--set", "world.on_target=restart"];
    let output = synod(
        &[&["train", "bottleneck", "--steps", "512", "--out", "run"], &SMALL[..], &planner[..]].concat(),
        at,
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let big =
        format!("type octile\nheight 130\nwidth 130\nmap\n{}", format!("{}\n", ".".repeat(130)).repeat(130));
    std::fs::write(at.join("big.map"), big).unwrap();
    let eval = ["eval", "run", "--maps", "big.map", "--episodes", "1", "--steps", "2"];
    refuses(at, &eval, &["`world.planner`", "big.map", "--set world.planner=shortest"]);
    let output = synod(&[&eval[..], &["--set", "world.planner=shortest"]].concat(), at);
    assert!(output.status.success() && text(&output.stdout).contains("big.map"), "{}", text(&output.stderr));
}

/// Every setting that an error names is one that can be set.
#[test]
fn errors_name_keys_that_exist() {
    use synod::preset::{Settings, presets};
    fn keys(table: &toml::Table, prefix: &str, out: &mut Vec<(String, toml::Value)>) {
        for (key, value) in table {
            let path = format!("{prefix}{key}");
            match value {
                toml::Value::Table(inner) => keys(inner, &format!("{path}."), out),
                other => out.push((path, other.clone())),
            }
        }
    }
    for preset in presets() {
        let name = preset.name;
        let mut known = Vec::new();
        let settings = Settings::preset(name).unwrap();
        keys(&settings.to_toml().unwrap().parse().unwrap(), "", &mut known);
        for (key, value) in &known {
            let tries = match value {
                toml::Value::Integer(_) | toml::Value::Float(_) => ["0", "-1", "7"],
                toml::Value::Array(_) => ["[]", "[0]", "[[]]"],
                _ => continue,
            };
            for value in tries {
                let world = |settings: &Settings| match settings.world.name() {
                    "pathfinding" => Ok(()),
                    _ => settings.world.with_worlds(2).build(0).map(drop),
                };
                let result = Settings::with_items(name, &[format!("{key}={value}")])
                    .and_then(|settings| settings.check().and_then(|()| world(&settings)));
                if let Err(synod::Error::Config { key: named, .. }) = result {
                    assert!(known.iter().any(|(k, _)| *k == named), "{name}, {key}={value}: `{named}`");
                }
            }
        }
    }
}

#[test]
#[cfg(unix)]
fn a_stopped_run_ends_as_by_its_signal_and_an_extended_one_goes_on() {
    use std::os::unix::process::ExitStatusExt;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    train(at, "run", 1024);
    let config = || std::fs::read_to_string(at.join("run/config.toml")).unwrap();
    let rows = || std::fs::read_to_string(at.join("run/metrics.csv")).unwrap().lines().count();
    let mut more = &["--steps", "900000000"][..];
    for (name, signal) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let before = rows();
        let child = Command::new(env!("CARGO_BIN_EXE_synod"))
            .args([&["train", "--resume", "run"], more].concat())
            .current_dir(at)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while rows() <= before && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        // What a shell calls 130, 143 and 129.
        assert_eq!(output.status.signal(), Some(signal), "{name}: {said}");
        assert!(said.contains("stopped and saved") && said.contains("synod train --resume run"), "{said}");
        assert!(rows() > before, "nothing was trained");
        // The command that is advised takes no length: the run knows it.
        more = &[];
        assert!(
            config().contains("steps = 900000000") && config().contains("# until step 1024: steps = 1024")
        );
    }
}

#[test]
fn a_missing_checkpoint_is_no_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let run = train(at, "run", 2000);
    let latest = run.join("checkpoint.safetensors");
    let end = std::fs::read(&latest).unwrap();
    std::fs::rename(&latest, run.join("aside")).unwrap();
    let output = synod(&["train", "--resume", "run"], at);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("checkpoint.previous.safetensors"), "{said}");
    // Whole iterations of 512 agent-steps: 2000 asked for, 2048 made, and it says so.
    assert!(said.contains("48 more than 2000"), "{said}");
    assert!(std::fs::read(&latest).unwrap() == end);
    for name in ["checkpoint.safetensors", "checkpoint.previous.safetensors"] {
        std::fs::remove_file(run.join(name)).unwrap();
    }
    refuses(at, &["train", "--resume", "run"], &["no checkpoint to go on from"]);
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let spoil = |run: &str| {
        let path = at.join(run).join("checkpoint.safetensors");
        let mut state = synod::run::checkpoint::read(&path).unwrap();
        let (name, tensor) = state.tensors.iter().find(|(name, _)| name.starts_with("agent/")).unwrap();
        let (name, mut values) = (name.clone(), tensor.to_f32().unwrap());
        values[0] = f32::NAN;
        let shape = tensor.shape().to_vec();
        state.insert(name.clone(), synod::train::TensorData::f32(&shape, &values).unwrap());
        synod::run::checkpoint::write(&path, &state).unwrap();
        name
    };
    train(at, "run", 512);
    let name = spoil("run");
    refuses(at, &["eval", "run"], &[&name, "not finite"]);
    refuses(at, &["render", "run", "-o", "a.svg"], &[&name, "not finite"]);
    let output = synod(&["train", "two-step-vdn", "--steps", "512", "--out", "team", "--device", "cpu"], at);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let name = spoil("team");
    refuses(at, &["inspect", "team", "-o", "pictures"], &[&name, "not finite"]);
    refuses(at, &["train", "--resume", "team"], &[&name, "not finite"]);
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_nobody_takes_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let call = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
        command.args(arguments).current_dir(folder.path());
        command
    };
    let output = call(&["list"]).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("synod: stdout: No space left"), "{}", text(&output.stderr));
    // A reader that went away: quiet, and no fault.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = call(&["list", "--json"]).stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    let mut train = vec!["train", "bottleneck", "--steps", "512", "--out", "run"];
    train.extend(SMALL);
    assert!(call(&train).stderr(full()).status().unwrap().success());
    let status = call(&["eval", "nowhere"]).stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn no_adapter_is_an_error_for_gpu_and_not_for_auto() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_synod"))
            .args(arguments)
            .env("SYNOD_ADAPTER", "no such adapter")
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let output = run(&["train", "bottleneck", "--device", "gpu"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("device"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
    let output = run(&["devices"]);
    assert!(output.status.success());
    let printed = text(&output.stdout);
    assert!(printed.contains("--device auto  cpu") && printed.contains("no hardware GPU"), "{printed}");
    let output = run(&["train", "two-step-vdn", "--steps", "100", "--out", "run"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    // Drivers may have said something of their own before.
    let why = |line: &str| line.starts_with("on cpu (") && line.ends_with("there is no hardware GPU");
    assert!(said.lines().any(why), "{said}");
    let config = std::fs::read_to_string(folder.path().join("run/config.toml")).unwrap();
    assert!(config.contains("device = \"cpu\""), "{config}");
}

#[test]
fn the_doctor_says_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_synod"))
            .args(arguments)
            .env("SYNOD_MUJOCO", folder.path())
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let said = text(&run(&["doctor"]).stdout);
    for line in ["processor", "threads", "adapters", "mujoco"] {
        assert!(said.lines().any(|l| l.starts_with(line)), "{said}");
    }
    let json: serde_json::Value = serde_json::from_slice(&run(&["doctor", "--json"]).stdout).unwrap();
    assert!(json["threads"].as_u64().unwrap() > 0 && json["mujoco"].is_null(), "{json}");
    // In this folder there is no library; a build without the feature says how to build with it. Both name a command.
    let (fault, command) = match cfg!(feature = "mujoco") {
        true => (json["mujoco_fault"].as_str().unwrap(), "pip install mujoco"),
        false => (json["mujoco_fault"].as_str().unwrap(), "cargo build --release --features mujoco"),
    };
    assert!(fault.contains(command), "{fault}");
    let output = run(&["train", "half-cheetah-ppo", "--device", "cpu", "--out", "run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(command), "{}", text(&output.stderr));
    assert!(!folder.path().join("run").exists());
}

#[test]
fn presets_are_listed_and_help_has_examples() {
    let folder = tempfile::tempdir().unwrap();
    let list = text(&synod(&["list"], folder.path()).stdout);
    assert!(list.contains("bottleneck") && list.contains("mazes"));
    let worlds = text(&synod(&["list", "--worlds"], folder.path()).stdout);
    assert!(worlds.contains("simple_spread") && worlds.contains("traffic_junction"));
    for command in ["train", "eval", "render"] {
        let help = text(&synod(&[command, "--help"], folder.path()).stdout);
        assert!(help.contains("Examples:"), "{help}");
    }
}

#[test]
fn a_team_is_trained_resumed_and_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = ["--set", "checkpoint_every=320", "--set", "learner.prioritised=true", "--device", "cpu"];
    let mut arguments = vec!["train", "two-step-qmix", "--steps", "4800", "--out", "run"];
    arguments.extend(small);
    let output = synod(&arguments, at);
    assert!(output.status.success(), "{}", text(&output.stderr));
    // From the checkpoint before the last on: the same bytes again.
    let bytes = |name: &str| std::fs::read(at.join("run").join(name)).unwrap();
    let end = bytes("checkpoint.safetensors");
    std::fs::copy(at.join("run/checkpoint.previous.safetensors"), at.join("run/checkpoint.safetensors"))
        .unwrap();
    let output = synod(&["train", "--resume", "run"], at);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(bytes("checkpoint.safetensors") == end, "the resumed run ended elsewhere");

    let output = synod(&["eval", "run", "--json", "--episodes", "7", "--device", "cpu"], at);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(table["measures"][0]["name"], "return");
    assert_eq!(table["measures"][0]["episodes"], 7);
    let value = table["measures"][0]["mean"].as_f64().unwrap();
    assert!([0.0, 1.0, 7.0, 8.0].contains(&value), "{value}");
    // More than are played at once: so many, and no more.
    let output = synod(&["eval", "run", "--json", "--episodes", "131", "--device", "cpu"], at);
    let table: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(table["measures"][0]["episodes"], 131);

    refuses(at, &["eval", "run", "--maps", "maze.map"], &["--maps", "pathfinding"]);
    refuses(at, &["eval", "run", "--instance-seed", "3"], &["--instance-seed", "pathfinding"]);
    refuses(at, &["render", "run", "-o", "a.gif", "--maps", "maze.map"], &["--maps", "pathfinding"]);
    for name in ["game.gif", "game.svg"] {
        let output = synod(&["render", "run", "-o", name, "--device", "cpu"], at);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(std::fs::metadata(at.join(name)).unwrap().len() > 500);
    }
    let svg = std::fs::read_to_string(at.join("game.svg")).unwrap();
    assert!(svg.contains("matrix_game, step 2, reward ") && svg.contains("game 1"), "{svg}");
    refuses(at, &["train", "two-step-vdn", "--set", "preset=taxi-dqn"], &["preset", "by its name"]);
    refuses(at, &["compare", "two-step-vdn", "--seeds", "18446744073709551615"], &["at most", "seeds"]);
    let large = ["--set", "world.width=4096", "--set", "world.height=4096"];
    refuses(
        at,
        &[&["train", "sparse-dqn", "--set", "learner.mixer=qmix"], &large[..]].concat(),
        &["learner.replay"],
    );
    refuses(at, &["train", "two-step-qmicks"], &["did you mean `two-step-qmix`"]);
    refuses(at, &["train", "two-step-vdn", "--set", "agent.heads=5"], &["agent.heads"]);
    refuses(
        at,
        &["train", "two-step-vdn", "--set", "learner.learning_shards=5"],
        &["learner.learning_shards"],
    );
}

#[test]
fn presets_are_compared_and_a_comparison_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let compare = ["compare", "two-step-vdn", "two-step-qmix", "--seeds", "2", "--episodes", "4", "--json"];
    let call = |more: &[&str]| synod(&[&compare[..], more].concat(), folder.path());
    let first = call(&["--steps", "4000", "--out", "compared"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let of = |output: &Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    let rows = of(&first)["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["preset"], "two-step-qmix");
    for row in &rows {
        let value = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row}"));
        assert!(
            value("low") <= value("score") && value("score") <= value("high") && value("parameters") > 0.0
        );
        assert_eq!((row["measure"].as_str(), value("seeds"), value("steps")), (Some("return"), 2.0, 4000.0));
    }
    let out = folder.path().join("compared");
    let csv = std::fs::read_to_string(out.join("comparison.csv")).unwrap();
    assert_eq!(csv.lines().filter(|line| line.contains(",return,")).count(), 4, "{csv}");
    assert!(std::fs::read_to_string(out.join("comparison.md")).unwrap().contains("| two-step-vdn"));
    assert!(std::fs::read_to_string(out.join("return.svg")).unwrap().contains("</svg>"));

    // A run is lost: it is made again, and the scores are the same.
    std::fs::remove_dir_all(out.join("two-step-vdn-1")).unwrap();
    let second = of(&call(&["--steps", "4000", "--out", "compared"]));
    for (before, after) in rows.iter().zip(second["rows"].as_array().unwrap()) {
        assert_eq!(before["score"], after["score"]);
    }
    // Every preset once more with other settings, in rows and folders of their own.
    let with = "learner.batch=16,learner.gamma=0.5";
    let more = of(&call(&["--steps", "4000", "--out", "compared", "--with", with]));
    let more = more["rows"].as_array().unwrap();
    assert_eq!(
        more.iter().map(|row| row["with"].as_str().unwrap_or("")).collect::<Vec<_>>(),
        ["", "", with, with]
    );
    assert_eq!(
        more[..2].iter().map(|row| &row["score"]).collect::<Vec<_>>(),
        [&rows[0]["score"], &rows[1]["score"]]
    );
    let config = out.join("two-step-qmix-learner.batch-16-learner.gamma-0.5-1/config.toml");
    assert!(std::fs::read_to_string(config).unwrap().contains("gamma = 0.5"));
    let csv = std::fs::read_to_string(out.join("comparison.csv")).unwrap();
    assert!(csv.contains("two-step-vdn,\"learner.batch=16,learner.gamma=0.5\",0,return,"), "{csv}");
    // A setting out of range is found before anything is trained.
    let wrong = call(&["--steps", "4000", "--out", "nothing", "--with", "learner.learning_shards=5"]);
    assert!(text(&wrong.stderr).contains("learner.learning_shards"), "{}", text(&wrong.stderr));
    assert!(!folder.path().join("nothing").exists());
    let other = call(&["--steps", "5000", "--out", "compared"]);
    assert!(
        !other.status.success() && text(&other.stderr).contains("other settings"),
        "{}",
        text(&other.stderr)
    );
}
