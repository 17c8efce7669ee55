//! What is done with runs beside training them: evaluations on the way, the best checkpoint, weights for another run,
//! lean checkpoints, rows of episodes, other numbers of agents.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use synod::Device;
use synod::agent::core::{CoreConfig, GruConfig};
use synod::agent::team::TeamConfig;
use synod::env::WorldConfig;
use synod::preset::Settings;
use synod::run::best::Evaluate;
use synod::run::{checkpoint, folder::Folder, metrics};
use synod::train::Checkpoint;
use synod::train::ppo::PpoConfig;

fn synod(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_synod")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it says on stderr.
fn works(arguments: &[&str], folder: &Path) -> String {
    let output = synod(arguments, folder);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

fn json(arguments: &[&str], folder: &Path) -> Value {
    let output = synod(arguments, folder);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refuses(arguments: &[&str], folder: &Path, words: &[&str]) {
    let output = synod(arguments, folder);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(!message.contains("panicked") && output.stdout.is_empty(), "{arguments:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{arguments:?}: `{word}` is not in: {message}");
    }
}

/// A small run of the two-step game: 64 agent-steps an iteration or so.
fn train(folder: &Path, name: &str, more: &[&str]) -> String {
    let small = ["train", "two-step-qmix", "--steps", "4800", "--device", "cpu", "--out", name];
    works(&[&small[..], &["--set", "checkpoint_every=320"], more].concat(), folder)
}

fn read(folder: &Path, file: &str) -> Checkpoint {
    checkpoint::read(&folder.join(file)).unwrap()
}

#[test]
fn a_run_is_evaluated_on_its_way_and_keeps_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let said = train(at, "run", &["--set", "eval_every=800", "--set", "eval_episodes=8"]);
    assert!(said.contains("the best evaluation: ") && said.contains("synod eval run --best"), "{said}");
    let rows = metrics::read(&at.join("run/metrics.csv")).unwrap();
    let scores = rows.points("eval/return");
    assert_eq!(scores.len(), 6);
    // Without exploration the game pays one of these.
    assert!(scores.iter().all(|(_, score)| [0.0, 1.0, 7.0, 8.0].contains(score)), "{scores:?}");
    train(at, "plain", &["--set", "eval_every=0"]);
    let (run, plain) = (read(at, "run/checkpoint.safetensors"), read(at, "plain/checkpoint.safetensors"));
    assert!(run.tensors == plain.tensors, "evaluations changed the training");
    let best = read(at, "run/best.safetensors");
    assert!(best.tensors.keys().all(|name| name.starts_with("agent/")) && !best.tensors.is_empty());
    let step: u64 = best.get("synod.step").unwrap();

    // From the checkpoint before the last on: the same bytes again.
    let bytes = |name: &str| std::fs::read(at.join("run").join(name)).unwrap();
    let files = ["checkpoint.safetensors", "best.safetensors"];
    let end = files.map(bytes);
    std::fs::copy(at.join("run/checkpoint.previous.safetensors"), at.join("run/checkpoint.safetensors"))
        .unwrap();
    works(&["train", "--resume", "run"], at);
    assert!(files.map(bytes) == end, "the resumed run ended elsewhere");

    let of_best = json(&["eval", "run", "--best", "--json", "--episodes", "8"], at);
    assert_eq!((&of_best["step"], &of_best["run"]), (&step.into(), &"run".into()));
    let highest = scores.iter().map(|point| point.1).fold(f64::MIN, f64::max);
    assert_eq!(of_best["measures"][0]["mean"], highest, "the game is the same at every start");
    let of_last = json(&["eval", "run", "--json", "--episodes", "8"], at);
    assert_eq!(of_last["measures"][0]["mean"], scores[5].1);
    assert_eq!(of_last["step"], run.get::<u64>("synod.step").unwrap());
    works(&["inspect", "run", "-o", "pictures", "--best"], at);
    works(&["export", "run", "--best", "-o", "best.synod"], at);
    let exported = read(at, "best.synod");
    assert!(exported.tensors == best.tensors, "another team was exported");
    for command in [
        &["eval", "plain", "--best"][..],
        &["inspect", "plain", "-o", "none", "--best"],
        &["export", "plain", "-o", "none", "--best"],
    ] {
        refuses(command, at, &["plain has no best.safetensors", "eval_every"]);
    }
    assert!(!at.join("none").exists());
    // A best that is no checkpoint is refused like any.
    std::fs::write(at.join("run/best.safetensors"), &end[1][..end[1].len() - 4]).unwrap();
    refuses(&["eval", "run", "--best"], at, &["best.safetensors", "cut short"]);
}

#[test]
fn pathfinding_is_evaluated_in_the_worlds_that_it_is_trained_in() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small =
        ["world.worlds=16", "learner.rollout=8", "learner.minibatches=2", "world.max_episode_steps=24"];
    let mut arguments = vec!["train", "bottleneck", "--steps", "1024", "--device", "cpu", "--out", "run"];
    let evaluated =
        ["eval_every=512", "eval_episodes=4", "learner.learning_shards=2", "learner.acting_shards=2"];
    arguments.extend(small.iter().chain(&evaluated).flat_map(|item| ["--set", item]));
    works(&arguments, at);
    let rows = metrics::read(&at.join("run/metrics.csv")).unwrap();
    let (lengths, successes) = (rows.points("eval/length"), rows.points("eval/csr"));
    assert_eq!((lengths.len(), successes.len()), (2, 2));
    for ((_, length), (_, csr)) in lengths.into_iter().zip(successes) {
        // Training cuts the first episode of each world short; these end at the limit or at the goal.
        assert!(length == 24.0 || csr > 0.0, "{length} steps, {csr} with success");
    }
    works(&["render", "run", "-o", "best.svg", "--best", "--steps", "4"], at);

    let maps = ["eval", "run", "--json", "--rows", "--episodes", "2", "--steps", "4", "--seed", "3"];
    let result = json(&maps, at);
    assert_eq!(result["episodes"].as_array().unwrap().len(), 2 * result["rows"].as_array().unwrap().len());
    let row = &result["episodes"][1];
    let expected = [
        ("run", Value::from("run")),
        ("seed", 0.into()),
        ("step", 1024.into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("evaluation_seed", 3.into()),
        ("world", "pathfinding".into()),
        ("map", "bottleneck-3".into()),
        ("agents", 2.into()),
        ("episode", 1.into()),
    ];
    for (key, value) in expected {
        assert_eq!(row[key], value, "{key} of {row}");
    }
    // The rows are those that the means are of.
    let mean = (0..2).map(|i| result["episodes"][i]["soc"].as_f64().unwrap()).sum::<f64>() / 2.0;
    assert_eq!(result["rows"][0]["soc"], mean);
    refuses(&["eval", "run", "--rows"], at, &["--json"]);
}

#[test]
fn a_run_starts_from_the_weights_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    train(at, "source", &["--set", "eval_every=2400"]);
    let source = read(at, "source/checkpoint.safetensors");
    let start = |items: &[&str]| {
        let path = at.join("source").display().to_string();
        let mut items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
        items.push("seed=5".into());
        let mut settings = Settings::with_items("two-step-qmix", &items).unwrap();
        settings.init_from = Some(path.into());
        settings
    };
    let device = Device::cpu();
    let drawn = Settings { init_from: None, ..start(&[]) }.trainer(&device).unwrap().save().unwrap();
    let whole = start(&[]).trainer(&device).unwrap().save().unwrap();
    let part = start(&["init_only=encoder"]).trainer(&device).unwrap().save().unwrap();
    let mut counts = [0; 2];
    for name in whole.tensors.keys().filter(|name| name.starts_with("agent/")) {
        assert_eq!(whole.tensors[name], source.tensors[name], "{name}");
        // Targets begin as copies.
        assert_eq!(whole.tensors[&format!("target/{name}")], source.tensors[name], "target/{name}");
        let taken = name.starts_with("agent/encoder");
        let expected = if taken { &source } else { &drawn };
        assert_eq!(part.tensors[name], expected.tensors[name], "{name}");
        counts[usize::from(taken)] += 1;
    }
    assert!(counts[0] > 0 && counts[1] > 0);
    let taken = start(&["init_only=encoder"]).taken(&device).unwrap().unwrap();
    assert_eq!((taken.left.len(), taken.tensors), (counts[0], counts[1]));

    fn from<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["train", "two-step-qmix", "--steps", "640", "--device", "cpu", "--init-from"], more].concat()
    }
    let said = works(&from(&["source", "--only", "encoder", "--out", "part"]), at);
    assert!(said.contains("from source: ") && said.contains("left as drawn: "), "{said}");
    let config = std::fs::read_to_string(at.join("part/config.toml")).unwrap();
    assert!(config.contains("init_from = \"source\"") && config.contains("init_only = \"encoder\""));
    // What was taken may be frozen.
    let frozen = ["source", "--only", "encoder", "--set", "learner.rates.encoder=0", "--set"];
    works(&from(&[&frozen[..], &["learner.warmup=32", "--out", "frozen"]].concat()), at);
    let end = read(at, "frozen/checkpoint.safetensors");
    let stays = |name: &&String| end.tensors[*name] == source.tensors[*name];
    assert!(end.tensors.keys().filter(|name| name.starts_with("agent/encoder")).all(|name| stays(&name)));
    assert!(!end.tensors.keys().filter(|name| name.starts_with("agent/actor")).any(|name| stays(&name)));
    works(&from(&["source/best.safetensors", "--out", "best"]), at);
    // It goes on from its own weights, with or without the other run.
    let end = std::fs::read(at.join("best/checkpoint.safetensors")).unwrap();
    std::fs::rename(at.join("source/best.safetensors"), at.join("source/aside")).unwrap();
    std::fs::copy(at.join("best/checkpoint.safetensors"), at.join("best/checkpoint.previous.safetensors"))
        .unwrap();
    works(&["train", "--resume", "best", "--steps", "1280"], at);
    assert!(std::fs::read(at.join("best/checkpoint.safetensors")).unwrap() != end);

    refuses(&from(&["source", "--only", "decoder", "--out", "x"]), at, &["`decoder`", "encoder", "actor"]);
    let wide = ["source", "--set", "agent.features=24", "--out", "x"];
    refuses(&from(&wide), at, &["features=32", "features=24", "--only"]);
    refuses(&from(&[&wide[..], &["--only", "actor"]].concat()), at, &["agent/actor", "of another shape"]);
    refuses(&from(&["nowhere", "--out", "x"]), at, &["nowhere"]);
    refuses(&["train", "two-step-qmix", "--only", "encoder"], at, &["--init-from"]);
    refuses(&["train", "two-step-qmix", "--set", "init_only=actor"], at, &["init_only"]);
    assert!(!at.join("x").exists());
}

#[test]
fn both_levels_of_a_hierarchy_are_taken_and_their_replays_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = ["train", "chain-hierarchical", "--steps", "2000", "--device", "cpu"];
    works(&[&small[..], &["--out", "source", "--set", "eval_every=1000"]].concat(), at);
    let source = read(at, "source/checkpoint.safetensors");
    let best = read(at, "source/best.safetensors");
    assert!(best.tensors.keys().all(|name| name.starts_with("agent/")));
    let agent = |name: &&String| name.starts_with("agent/");
    assert!(best.tensors.keys().eq(source.tensors.keys().filter(agent)));
    works(&["eval", "source", "--best"], at);

    let mut settings = Settings::preset("chain-hierarchical").unwrap();
    (settings.init_from, settings.seed) = (Some(at.join("source")), 9);
    let start = settings.trainer(&Device::cpu()).unwrap().save().unwrap();
    for name in source.tensors.keys().filter(agent) {
        assert_eq!(start.tensors[name], source.tensors[name], "{name}");
    }
    settings.init_only = Some("worker".into());
    let start = settings.trainer(&Device::cpu()).unwrap().save().unwrap();
    let drawn = Settings { init_from: None, init_only: None, ..settings };
    let drawn = drawn.trainer(&Device::cpu()).unwrap().save().unwrap();
    for name in source.tensors.keys().filter(agent) {
        let from = if name.starts_with("agent/worker") { &source } else { &drawn };
        assert_eq!(start.tensors[name], from.tensors[name], "{name}");
    }

    works(&[&small[..], &["--out", "lean", "--no-replay"]].concat(), at);
    let lean = read(at, "lean/checkpoint.safetensors");
    assert!(!lean.tensors.keys().any(|name| name.starts_with("replay/")));
    let said = works(&["train", "--resume", "lean", "--steps", "3000"], at);
    assert!(said.contains("the replay begins empty"), "{said}");
}

#[test]
fn a_lean_checkpoint_holds_no_replay_and_a_run_goes_on_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    train(at, "whole", &[]);
    train(at, "lean", &["--no-replay"]);
    let config = std::fs::read_to_string(at.join("lean/config.toml")).unwrap();
    assert!(config.contains("save_replay = false"), "{config}");
    let (whole, lean) = (read(at, "whole/checkpoint.safetensors"), read(at, "lean/checkpoint.safetensors"));
    for (name, tensor) in &lean.tensors {
        assert_eq!(whole.tensors[name], *tensor, "the training is the same: {name}");
    }
    assert!(whole.tensors.keys().all(|name| lean.tensors.contains_key(name) || name.starts_with("replay/")));
    let size = |run: &str| std::fs::metadata(at.join(run).join("checkpoint.safetensors")).unwrap().len();
    let replay = whole.tensors.iter().filter(|(name, _)| name.starts_with("replay/"));
    let replay: usize = replay.map(|(_, tensor)| tensor.bytes().len()).sum();
    assert!(replay > 10_000 && size("lean") + replay as u64 <= size("whole"));
    let said = works(&["train", "--resume", "lean", "--steps", "9600"], at);
    assert!(said.contains("the replay begins empty"), "{said}");
    let updates = metrics::read(&at.join("lean/metrics.csv")).unwrap().points("updates");
    assert!(updates.last().unwrap().1 > lean.get::<f64>("synod.updates").unwrap(), "nothing was learned");
    // A checkpoint of the one kind is none for a run of the other.
    std::fs::copy(at.join("lean/checkpoint.safetensors"), at.join("whole/checkpoint.safetensors")).unwrap();
    refuses(&["train", "--resume", "whole", "--steps", "20000"], at, &["missing: replay/"]);
    refuses(&["train", "bottleneck", "--no-replay"], at, &["save_replay", "ppo"]);
}

/// A small team in a few such worlds, that learns by PPO.
fn small(world: &WorldConfig, team: TeamConfig) -> Settings {
    let first = synod::env::lever::LeverConfig::default();
    let learner = PpoConfig { rollout: 8, minibatches: 1, ..PpoConfig::default() };
    Settings {
        world: world.with_worlds(4),
        device: "cpu".into(),
        ..Settings::new(first, TeamConfig { features: 8, ..team }, learner)
    }
}

/// A run of that world that has made no step, with a team that does not know its members apart, or one that does.
fn untrained(at: &Path, name: &str, world: &WorldConfig, identity: bool) {
    let settings = small(world, TeamConfig { identity, ..TeamConfig::default() });
    let folder = Folder::create(at.join(name), &settings.to_toml().unwrap()).unwrap();
    let mut state = settings.trainer(&Device::cpu()).unwrap().save().unwrap();
    state.set("synod.step", 0);
    state.set("synod.updates", 0);
    checkpoint::write(&folder.checkpoint(), &state).unwrap();
}

/// Actions are drawn and teams remember, and still the same agent gets the same numbers each time it is evaluated.
#[test]
fn an_evaluation_is_the_same_each_time() {
    let device = Device::cpu();
    // MuJoCo's bodies need a library from elsewhere.
    for (name, _) in WorldConfig::kinds().into_iter().filter(|(name, _)| *name != "mujoco") {
        let mut world = WorldConfig::named(name).unwrap();
        if name == "pathfinding" {
            world = world.with_agents(3).unwrap();
        }
        let core = CoreConfig::new(GruConfig {});
        let mut settings = small(&world, TeamConfig { core, ..TeamConfig::default() });
        (settings.eval_every, settings.eval_episodes) = (1, if name == "lever" { 70 } else { 3 });
        settings.show_last_action = true;
        let mut trainer = settings.trainer(&device).unwrap();
        let mut judge = settings.judge(&device, trainer.as_ref()).unwrap().unwrap();
        let agent = trainer.save_agent().unwrap();
        let first = judge.evaluate(&agent).unwrap();
        assert!(!first.is_empty() && judge.evaluate(&agent).unwrap() == first, "{name}");
        trainer.step().unwrap();
        judge.evaluate(&trainer.save_agent().unwrap()).unwrap();
        assert_eq!(judge.evaluate(&agent).unwrap(), first, "{name}");
        let mut other = settings.judge(&device, trainer.as_ref()).unwrap().unwrap();
        assert_eq!(other.evaluate(&agent).unwrap(), first, "{name}");
    }
}

#[test]
fn every_world_with_a_number_of_agents_is_played_with_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut tried = Vec::new();
    for (name, _) in WorldConfig::kinds() {
        let world = WorldConfig::named(name).unwrap();
        let Ok(world) = world.with_agents(3) else { continue };
        tried.push(name);
        untrained(at, name, &world, false);
        let agents: &[&str] = &["--agents", "2,4"];
        let short = if name == "pathfinding" { &["--steps", "8"][..] } else { &[] };
        let eval = [&["eval", name, "--json", "--rows", "--episodes", "2"], agents, short].concat();
        // What its agents see grows with their number.
        if ["simple_spread", "foraging"].contains(&name) {
            refuses(&eval, at, &["trained for 3 agents cannot act for 2", "sees"]);
        } else {
            let result = json(&eval, at);
            let counts: Vec<u64> = result["episodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["agents"].as_u64().unwrap())
                .collect();
            assert_eq!(counts, [2, 2, 4, 4], "{name}");
        }
        let knowing = format!("{name}-knowing");
        untrained(at, &knowing, &world, true);
        let eval = [&["eval", knowing.as_str(), "--episodes", "2"], agents, short].concat();
        refuses(&eval, at, &["trained for 3 agents cannot act for 2", "agent.identity = true"]);
        if name != "pathfinding" {
            let set = ["eval", &knowing, "--set", "world.agents=4", "--set", "world.targets=4"];
            let set = if name == "gridworld" { &set[..] } else { &set[..4] };
            refuses(set, at, &["cannot act for 4", "agent.identity = true"]);
        }
    }
    let expected = [
        "pathfinding",
        "congestion",
        "recall",
        "repeat_previous",
        "bits",
        "lever",
        "switch",
        "sinusoid",
        "point_navigation",
        "simple_spread",
        "gridworld",
        "traffic_junction",
        "roads",
        "noise",
        "warehouse",
        "foraging",
        "navigation",
        "transport",
        "wheel",
        "kinematic_bicycle",
    ];
    assert_eq!(tried, expected);
    untrained(at, "taxi", &WorldConfig::named("taxi").unwrap(), false);
    refuses(&["eval", "taxi", "--agents", "2"], at, &["no setting of the world `taxi`"]);
    refuses(&["eval", "lever", "--agents", "0"], at, &["at least one agent"]);
}
