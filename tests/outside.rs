//! What other crates add: a world, an agent and a learner from the examples, each with the whole command line.

use std::path::PathBuf;
use std::process::{Command, Output};

/// A program of `examples/`, which `cargo test` builds beside the tests.
fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let folder: PathBuf = tests.ancestors().nth(2).unwrap().join("examples");
    let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not built: cargo build --examples", program.display());
    Command::new(program)
}

fn run(name: &str, folder: &std::path::Path, arguments: &[&str]) -> Output {
    example(name).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn done(name: &str, folder: &std::path::Path, arguments: &[&str]) -> String {
    let output = run(name, folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The measure of that name of a trained run.
fn measure(name: &str, folder: &std::path::Path, run: &str, measure: &str) -> f64 {
    let json: serde_json::Value =
        serde_json::from_str(&done(name, folder, &["eval", run, "--episodes", "50", "--json"])).unwrap();
    let all = json["measures"].as_array().unwrap();
    all.iter().find(|m| m["name"] == measure).unwrap()["mean"].as_f64().unwrap()
}

#[test]
fn a_world_from_outside_has_the_whole_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let name = "own_world";
    assert!(done(name, at, &["list", "--worlds"]).contains("thermostat"));
    assert!(done(name, at, &["settings", "thermostat", "world.leak"]).contains("0 to 1"));
    for seed in ["1", "2", "3"] {
        done(name, at, &["train", "thermostat", "--seed", seed, "--device", "cpu", "--steps", "150000"]);
        let comfort = measure(name, at, &format!("runs/thermostat-{seed}"), "comfort");
        // Who waits is comfortable for a quarter of the time.
        assert!(comfort > 0.8, "seed {seed}: {comfort}");
    }
    done(name, at, &["train", "--resume", "runs/thermostat-1", "--steps", "160000"]);
    let config = std::fs::read_to_string(at.join("runs/thermostat-1/config.toml")).unwrap();
    assert!(config.contains("kind = \"thermostat\"") && config.contains("leak = 0.1"), "{config}");
    // A run that needs what is not there says so: the plain program does not know this preset.
    let plain = Command::new(env!("CARGO_BIN_EXE_synod"))
        .args(["eval", "runs/thermostat-1"])
        .current_dir(at)
        .output()
        .unwrap();
    assert!(text(&plain.stderr).contains("unknown preset `thermostat`"), "{}", text(&plain.stderr));
    let refused = run(name, at, &["train", "thermostat", "--set", "world.leak=2"]);
    assert!(text(&refused.stderr).contains("world.leak"), "{}", text(&refused.stderr));
    done(name, at, &["compare", "thermostat", "--seeds", "2", "--steps", "4000", "--episodes", "4"]);
    done(name, at, &["inspect", "runs/thermostat-2", "-o", "pictures"]);
    assert!(std::fs::read_to_string(at.join("pictures/values.svg")).unwrap().contains(">cool<"));
    done(name, at, &["render", "runs/thermostat-2", "-o", "room.svg"]);
    assert!(std::fs::read_to_string(at.join("room.svg")).unwrap().contains("thermostat, step 50, reward "));
}

#[test]
fn an_agent_from_outside_learns_under_two_learners() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let name = "own_agent";
    for seed in ["1", "2", "3"] {
        let agent = ["--set", "agent=random_features", "--seed", seed, "--device", "cpu"];
        done(name, at, &[&["train", "two-step-vdn"][..], &agent].concat());
        assert_eq!(measure(name, at, &format!("runs/two-step-vdn-{seed}"), "return"), 7.0, "seed {seed}");
    }
    let other = ["train", "spread-ippo", "--set", "agent=random_features", "--steps", "20000"];
    done(name, at, &[&other[..], &["--device", "cpu"]].concat());
    // Levels are made of a team's parts.
    let refused = run(name, at, &["train", "taxi-hierarchical", "--set", "agent=random_features"]);
    assert!(text(&refused.stderr).contains("agent.kind"), "{}", text(&refused.stderr));
}

#[test]
fn a_learner_from_outside_learns_and_resumes_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let name = "own_learner";
    let call = |out: &str, steps: &str, seed: &str| {
        done(
            name,
            at,
            &[
                "train",
                "climbing",
                "--set",
                "learner=actor_critic",
                "--set",
                "learner.rollout=25",
                "--set",
                "world.worlds=32",
                "--set",
                "learner.learning_rate=0.005",
                "--seed",
                seed,
                "--steps",
                steps,
                "--out",
                out,
                "--device",
                "cpu",
            ],
        )
    };
    for seed in ["1", "2", "3"] {
        call(&format!("a{seed}"), "400000", seed);
        let paid = measure(name, at, &format!("a{seed}"), "return");
        // Random play is paid about -3 a round in the climbing game; 25 rounds of what is safe 125 or more.
        assert!(paid > 100.0, "seed {seed}: {paid}");
    }
    call("whole", "16000", "4");
    call("part", "8000", "4");
    done(name, at, &["train", "--resume", "part", "--steps", "16000"]);
    let last = |run: &str| {
        let csv = std::fs::read_to_string(at.join(run).join("metrics.csv")).unwrap();
        let row = csv.lines().last().unwrap().to_string();
        // All but the clock.
        row.split(',')
            .enumerate()
            .filter(|(i, _)| ![2, 3].contains(i))
            .map(|(_, v)| v.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(last("whole"), last("part"));
}
