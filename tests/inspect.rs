//! `synod inspect`: what it draws of a trained team, and that the numbers beside the pictures are those of the episode.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn synod(arguments: &[&str], folder: &Path, threads: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.args(arguments).current_dir(folder).env("RAYON_NUM_THREADS", threads).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Trains a small run.
fn train(folder: &Path, preset: &str, name: &str, settings: &[&str]) {
    let mut arguments = vec!["train", preset, "--out", name, "--device", "cpu"];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    let output = synod(&arguments, folder, "2");
    assert!(output.status.success(), "{}", words(&output));
}

const SPREAD: [&str; 9] = [
    "steps=4800",
    "world.worlds=8",
    "agent.features=16",
    "learner.batch=8",
    "learner.warmup=200",
    "learner.replay=4000",
    "learner.rollout=25",
    "learner.learning_shards=2",
    "learner.acting_shards=2",
];

/// Every page, by its name; checks that there are these and no others, and that pictures are pictures.
fn pages(folder: &Path, names: &[&str]) -> BTreeMap<String, Value> {
    let mut expected: Vec<String> =
        names.iter().flat_map(|n| [format!("{n}.json"), format!("{n}.svg")]).collect();
    expected.sort();
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, expected);
    names
        .iter()
        .map(|name| {
            let svg = std::fs::read_to_string(folder.join(format!("{name}.svg"))).unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
            let numbers = svg.replace("information", "");
            assert!(!numbers.contains("NaN") && !numbers.contains("inf"), "{name}");
            let json = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
            (name.to_string(), serde_json::from_slice(&json).unwrap())
        })
        .collect()
}

/// The numbers of nested arrays of this shape.
fn numbers(value: &Value, shape: &[usize]) -> Vec<f64> {
    let Some((count, rest)) = shape.split_first() else { return vec![value.as_f64().unwrap()] };
    let parts = value.as_array().unwrap_or_else(|| panic!("{value} is no array of {shape:?}"));
    assert_eq!(parts.len(), *count, "{shape:?}");
    parts.iter().flat_map(|part| numbers(part, rest)).collect()
}

fn best(row: &[f64]) -> usize {
    (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a))).unwrap()
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found} is not {expected}");
}

/// 3 agents, 25 steps, 5 actions: the best action is taken, and rewards make up the episode's return.
fn check_values(page: &Value, preference: &str) {
    let (steps, agents, actions) = (25, 3, 5);
    assert_eq!(page["preference"], preference);
    assert_eq!(page["complete"], true);
    let preferences = numbers(&page["preferences"], &[steps, agents, actions]);
    let taken = numbers(&page["actions"], &[steps, agents]);
    let values = numbers(&page["values"], &[steps, agents]);
    for (i, row) in preferences.chunks(actions).enumerate() {
        // What was looked into is what acted, memory included.
        assert_eq!(best(row), taken[i] as usize, "{row:?}");
        match preference {
            "value" => near(values[i], row[best(row)]),
            _ => near(row.iter().sum(), 1.0),
        }
    }
    let rewards: f64 = numbers(&page["rewards"], &[steps, agents]).iter().sum();
    near(rewards / agents as f64, page["measures"]["return"].as_f64().unwrap());
}

fn check_messages(page: &Value, rounds: usize) {
    let parts = page["rounds"].as_array().unwrap();
    assert_eq!((parts.len(), page["features"].as_u64()), (rounds, Some(16)));
    for round in parts {
        let messages = round["messages"].as_array().unwrap();
        assert_eq!(messages.len(), 75);
        let clusters = round["clusters"].as_array().unwrap();
        assert!((1..=4).contains(&clusters.len()));
        for (i, cluster) in clusters.iter().enumerate() {
            let own: Vec<&Value> = messages.iter().filter(|m| m["cluster"] == i).collect();
            assert_eq!(cluster["count"], own.len());
            for (key, of) in [("by_agent", 3), ("by_action", 5)] {
                assert_eq!(numbers(&cluster[key], &[of]).iter().sum::<f64>(), own.len() as f64);
            }
            // The middle of a cluster on the plane is that of its members there.
            let centre = numbers(&cluster["centre"], &[2]);
            for axis in 0..2 {
                let sum: f64 = own.iter().map(|m| m["at"][axis].as_f64().unwrap()).sum();
                near(sum / own.len() as f64, centre[axis]);
            }
        }
        let variance = numbers(&round["variance"], &[2]);
        assert!(variance[0] >= variance[1] - 1e-6 && variance[0] + variance[1] < 1.0 + 1e-6);
    }
}

/// Means over steps and hearers are those of the numbers of steps; nobody counts for itself. All agents are there.
fn check_importance(page: &Value, steps: usize, agents: usize) {
    for name in ["marginal", "removed", "value"] {
        let all = numbers(&page[name]["steps"], &[steps, agents, agents]);
        let mut of_speaker = vec![0.0; agents];
        for hearer in 0..agents {
            for speaker in 0..agents {
                let of = |step: usize| all[(step * agents + hearer) * agents + speaker];
                let mean = (0..steps).map(of).sum::<f64>() / steps as f64;
                let written = &page[name]["edges"][hearer][speaker];
                if hearer == speaker {
                    assert!(written.is_null() && mean == 0.0, "{name}");
                    continue;
                }
                near(written.as_f64().unwrap(), mean);
                of_speaker[speaker] += mean / (agents as f64 - 1.0);
                assert!(name == "value" || (0..steps).all(|step| of(step) >= 0.0), "{name}");
            }
        }
        let written = numbers(&page[name]["speakers"], &[agents]);
        written.iter().zip(of_speaker).for_each(|(found, expected)| near(*found, expected));
    }
}

/// The mutual information of a table, in bits, from its definition.
fn information(table: &Value) -> f64 {
    let rows = table.as_array().unwrap();
    let rows: Vec<Vec<f64>> = rows.iter().map(|row| numbers(row, &[row.as_array().unwrap().len()])).collect();
    let total: f64 = rows.iter().flatten().sum();
    let column = |value: usize| rows.iter().map(|row| row[value]).sum::<f64>();
    let mut bits = 0.0;
    for row in &rows {
        for (value, count) in row.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let independent = row.iter().sum::<f64>() * column(value) / total;
            bits += count / total * (count / independent).log2();
        }
    }
    bits
}

/// What holds of anything that is said.
fn check_meaning(page: &Value) {
    for speech in page["speech"].as_array().unwrap() {
        let of = |key: &str| speech[key].as_f64().unwrap();
        let symbols = speech["symbols"].as_array().unwrap().len();
        let counts = numbers(&speech["counts"], &[symbols]);
        assert_eq!(counts.iter().sum::<f64>(), of("sent"));
        let entropy: f64 =
            counts.iter().filter(|c| **c > 0.0).map(|c| -c / of("sent") * (c / of("sent")).log2()).sum();
        near(of("entropy"), entropy);
        near(of("rate"), entropy * of("sent") / of("times"));
        near(
            speech["positive_signalling"]["information"].as_f64().unwrap(),
            information(&speech["positive_signalling"]["table"]),
        );
        for fact in speech["facts"].as_array().unwrap() {
            let found = fact["information"].as_f64().unwrap();
            near(found, information(&fact["table"]));
            assert!(found <= fact["entropy"].as_f64().unwrap() + 1e-9 && found <= entropy + 1e-9);
        }
    }
}

/// Words for states: the table is that of a code, and the receiver hears it.
#[test]
fn words_that_name_states_mean_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = ["steps=300_000", "world.states=4", "agent.team.communication.message=4"];
    let more = ["agent.team.features=32", "agent.team.communication.hidden=32"];
    train(at, "lewis", "run", &[&small[..], &more].concat());
    let output = synod(&["inspect", "run", "-o", "out", "--episodes", "200", "--device", "cpu"], at, "2");
    assert!(output.status.success(), "{}", words(&output));
    let found = pages(&at.join("out"), &["attention", "importance", "meaning", "messages", "values"]);
    // The sender is heard by the receiver, and by nobody else.
    assert_eq!(numbers(&found["attention"]["weights"], &[1, 1, 1, 2, 2]), [0.0, 0.0, 1.0, 0.0]);
    assert_eq!(found["messages"]["features"], 4);
    check_importance(&found["importance"], 1, 2);
    let heard = numbers(&found["importance"]["marginal"]["steps"], &[1, 2, 2]);
    assert!(heard[2] > 0.01 && heard[1] == 0.0, "{heard:?}");
    let page = &found["meaning"];
    check_meaning(page);
    let [speech] = &page["speech"].as_array().unwrap()[..] else { panic!("{}", page["speech"]) };
    assert_eq!((&speech["kind"], &speech["symbols_are"]), (&"sender".into(), &"words".into()));
    assert_eq!((&page["episodes_looked_at"], &speech["sent"]), (&200.into(), &200.into()));
    assert_eq!(speech["capacity"], 2.0);
    let fact = &speech["facts"][0];
    assert_eq!((&fact["name"], &fact["pairs"]), (&"state".into(), &200.into()));
    // A code of at least three words.
    assert!(fact["information"].as_f64().unwrap() > 1.4, "{fact}");
    // A sender has one action only.
    assert_eq!(speech["positive_signalling"]["information"], 0.0);
    assert!(page["positive_listening"]["mean_marginal_importance"].as_f64().unwrap() > 0.01, "{page}");
}

/// What stands in slots, who wrote it and who looks there; vectors that only are read.
#[test]
fn a_shared_memory_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = ["steps=4000", "agent.features=16", "world.worlds=16"];
    let slots = ["agent.memory.memory_size=6", "agent.memory.memory_dim=8", "agent.memory.own_slots=2"];
    train(at, "recall-4", "slots", &[&small[..], &slots].concat());
    train(at, "recall-4", "vectors", &[&small[..], &["agent.memory=vectors"]].concat());
    let look = |run: &str| {
        let out = format!("of-{run}");
        let output = synod(&["inspect", run, "-o", &out, "--device", "cpu"], at, "2");
        assert!(output.status.success(), "{run}: {}", words(&output));
        pages(&at.join(out), &["memory", "values"])["memory"].clone()
    };
    let page = look("slots");
    // Six steps of four agents; two slots of each agent's own below six of all.
    let (steps, agents, all) = (6, 4, 14);
    assert_eq!(page["levels"][0]["slots"], 8);
    let reads = numbers(&page["reads"], &[steps, agents, all]);
    for row in reads.chunks(all) {
        let (own, common): (f64, f64) = (row[..8].iter().sum(), row[8..].iter().sum());
        assert!((own - 1.0).abs() < 1e-4 && (common - 1.0).abs() < 1e-4, "{row:?}");
    }
    // Nobody looks into what is another's own.
    for (lane, row) in reads.chunks(all).enumerate() {
        let agent = lane % agents;
        let others = (0..8).filter(|slot| slot / 2 != agent).map(|slot| row[slot]);
        assert_eq!(others.sum::<f64>(), 0.0);
    }
    let kept = numbers(&page["kept"], &[steps, all]);
    let written = page["written"].as_array().unwrap();
    assert_eq!(written.len(), steps);
    for (step, of_agents) in written.iter().enumerate() {
        for (agent, levels) in of_agents.as_array().unwrap().iter().enumerate() {
            if let Some(slot) = levels[0].as_u64() {
                assert_eq!(slot as usize / 2, agent);
                assert!(kept[step * all + slot as usize] > 0.0);
            }
        }
    }
    let vectors = look("vectors");
    assert_eq!((&vectors["levels"][0]["slots"], &vectors["kept"]), (&4.into(), &serde_json::Value::Null));
}

/// Bits that are heard a step later by who is in the room; edges that a graph has learned; gates for each feature.
#[test]
fn the_communicator_is_shown_in_all_its_forms() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    train(at, "riddle-dial", "riddle", &["steps=4000", "agent.features=16", "learner.warmup=200"]);
    let team = "agent.team.features=16";
    train(at, "planted-graph", "planted", &["steps=20_000", team, "world.worlds=16"]);
    let few = ["steps=10_000", team, "world.agents=6", "world.worlds=16"];
    train(at, "noise-gated", "gated", &few);
    let urgent = ["agent.team.communication.bandwidth=2", "agent.team.communication.hearers=all"];
    train(at, "noise-sum", "urgent", &[&few[..], &urgent].concat());
    let names = ["attention", "importance", "meaning", "messages", "values"];
    let look = |run: &str| {
        let out = format!("of-{run}");
        let output = synod(&["inspect", run, "-o", &out, "--episodes", "40", "--device", "cpu"], at, "2");
        assert!(output.status.success(), "{run}: {}", words(&output));
        let found = pages(&at.join(out), &names);
        check_meaning(&found["meaning"]);
        found
    };
    let riddle = look("riddle");
    let size = |key: &str| riddle["values"][key].as_u64().unwrap() as usize;
    let (steps, agents) = (size("steps"), size("agents"));
    let gates = numbers(&riddle["attention"]["gates"], &[1, steps, agents]);
    // What one in the room says is heard a day later: nothing on the first day, then one message a day.
    let each: Vec<f64> = gates.chunks(agents).map(|day| day.iter().sum()).collect();
    assert_eq!(each[0], 0.0);
    assert!(each[1..].iter().all(|count| *count == 1.0), "{each:?}");
    assert_eq!(riddle["messages"]["features"], 1);
    let speech = &riddle["meaning"]["speech"][0];
    assert_eq!((&speech["symbols_are"], &speech["capacity"]), (&"bits".into(), &1.0.into()));
    assert!(speech["rate"].as_f64().unwrap() <= 1.0 / agents as f64 + 1e-9, "{speech}");

    let planted = look("planted");
    let agents = planted["values"]["agents"].as_u64().unwrap() as usize;
    let weights = numbers(&planted["attention"]["weights"], &[1, 1, 1, agents, agents]);
    assert!(weights.iter().all(|weight| (0.0..=1.0).contains(weight)) && weights.iter().any(|w| *w > 0.0));
    assert!((0..agents).all(|agent| weights[agent * agents + agent] == 0.0));
    let heard = numbers(&planted["importance"]["removed"]["steps"], &[1, agents, agents]);
    // Where there is no edge nothing counts.
    weights.iter().zip(&heard).for_each(|(weight, heard)| assert!(*weight > 0.0 || *heard < 1e-9));
    assert_eq!(planted["messages"]["features"], 16);

    let gated = look("gated");
    let weights = numbers(&gated["attention"]["weights"], &[1, 1, 1, 6, 6]);
    assert!(weights[..30].iter().all(|weight| *weight == 0.0));
    assert!(weights[30..35].iter().all(|weight| *weight > 0.0 && *weight < 1.0), "{weights:?}");
    assert_eq!(gated["meaning"]["speech"][0]["symbols_are"], "groups");
    // One sender of five knows the class.
    assert_eq!(gated["meaning"]["speech"][0]["facts"][0]["pairs"], 40);

    let urgent = look("urgent");
    let gates = numbers(&urgent["attention"]["gates"], &[1, 1, 6]);
    let priorities = numbers(&urgent["attention"]["priorities"], &[1, 1, 6]);
    assert_eq!(gates.iter().sum::<f64>(), 2.0);
    let order = |agent: &usize| gates[*agent] > 0.0;
    let least = (0..6).filter(order).map(|a| priorities[a]).fold(1.0, f64::min);
    assert!((0..6).filter(|a| !order(a)).all(|a| priorities[a] <= least), "{gates:?}, {priorities:?}");
    assert!(urgent["attention"]["weights"].is_null());
    let sent = urgent["messages"]["rounds"][0]["messages"].as_array().unwrap();
    assert_eq!(sent.len(), 2);
}

#[test]
fn a_graph_team_with_curiosity_has_every_page() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let parts = [
        "agent.communication=gatv2",
        "agent.communication.neighbours.positions=[2,3]",
        "agent.communication.neighbours.nearest=1",
    ];
    let more = ["agent.communication.heads=2", "learner.curiosity=rnd"];
    train(at, "spread-vdn", "run", &[&SPREAD[..], &parts, &more].concat());
    let call = |name: &str, threads: &str| {
        let output = synod(&["inspect", "run", "-o", name, "--device", "cpu"], at, threads);
        assert!(output.status.success(), "{}", words(&output));
        assert!(words(&output).contains("25 steps, return "), "{}", words(&output));
    };
    call("a/new", "2");
    std::fs::create_dir(at.join("empty")).unwrap();
    call("empty", "1");
    let names = ["attention", "graph", "importance", "intrinsic", "meaning", "messages", "values"];
    let (found, again) = (pages(&at.join("a/new"), &names), pages(&at.join("empty"), &names));
    assert_eq!(found, again, "the number of threads changed a number");

    check_values(&found["values"], "value");
    check_messages(&found["messages"], 1);
    check_importance(&found["importance"], 25, 3);
    let bonuses = numbers(&found["intrinsic"]["bonuses"], &[25, 3]);
    assert!(bonuses.iter().all(|b| *b >= 0.0) && bonuses.iter().any(|b| *b > 0.0));
    let weights = numbers(&found["attention"]["weights"], &[1, 25, 2, 3, 3]);
    let positions = numbers(&found["graph"]["positions"], &[25, 3, 2]);
    for (step, edges) in found["graph"]["edges"].as_array().unwrap().iter().enumerate() {
        let edges = edges.as_array().unwrap();
        // Each hears itself and the nearest other.
        assert_eq!(edges.len(), 6);
        for edge in edges {
            let end = |key: &str| edge[key].as_u64().unwrap() as usize;
            let (from, to) = (end("from"), end("to"));
            let of_edge = numbers(&edge["weights"], &[1, 2]);
            for head in 0..2 {
                assert_eq!(of_edge[head], weights[((step * 2 + head) * 3 + to) * 3 + from]);
            }
            let far = |other: usize| -> f64 {
                let place = |i: usize| &positions[(step * 3 + i) * 2..][..2];
                place(other).iter().zip(place(to)).map(|(a, b)| (a - b).powi(2)).sum()
            };
            let nearest = (0..3).filter(|i| *i != to).map(&far).fold(f64::INFINITY, f64::min);
            assert!(from == to || far(from) <= nearest + 1e-5, "step {step}: {from} to {to}");
        }
    }
    weights.chunks(3).for_each(|row| near(row.iter().sum(), 1.0));
}

#[test]
fn targeted_attention_and_probabilities_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let parts = [
        "agent.communication=tarmac",
        "agent.communication.heads=2",
        "agent.rounds=2",
        "agent.critic=central",
        "learner=ppo",
        "learner.rollout=25",
    ];
    train(at, "spread-vdn", "run", &[&SPREAD[..3], &parts].concat());
    let call = ["inspect", "run", "-o", "out", "--greedy", "--episode", "2", "--device", "cpu"];
    let output = synod(&call, at, "2");
    let message = words(&output);
    assert!(output.status.success(), "{message}");
    assert!(message.contains("no graph.svg: tarmac") && message.contains("no intrinsic.svg"), "{message}");
    let found = pages(&at.join("out"), &["attention", "importance", "meaning", "messages", "values"]);
    check_values(&found["values"], "probability");
    check_messages(&found["messages"], 2);
    let weights = numbers(&found["attention"]["weights"], &[2, 25, 2, 3, 3]);
    for (i, row) in weights.chunks(3).enumerate() {
        near(row.iter().sum(), 1.0);
        assert_eq!(row[i % 3], 0.0, "an agent listens to itself");
    }
    let short = ["inspect", "run", "-o", "other", "--greedy", "--steps", "4", "--episodes", "0"];
    let other = synod(&short, at, "2");
    assert!(words(&other).contains("no meaning.svg: no more episodes"), "{}", words(&other));
    assert!(words(&other).contains("the end of the episode was not recorded"), "{}", words(&other));
    let short = pages(&at.join("other"), &["attention", "importance", "messages", "values"]);
    assert_eq!((&short["values"]["complete"], &short["values"]["steps"]), (&false.into(), &4.into()));
    assert!(short["values"]["rewards"][0] != found["values"]["rewards"][0], "two episodes are one");
}

#[test]
fn agents_that_are_absent_neither_listen_nor_count() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = ["steps=1000", "agent.features=16", "agent.rounds=1", "agent.communication.heads=1"];
    train(at, "junction-tarmac", "run", &small);
    let output = synod(&["inspect", "run", "-o", "out", "--device", "cpu"], at, "2");
    assert!(output.status.success(), "{}", words(&output));
    let found = pages(&at.join("out"), &["attention", "importance", "meaning", "messages", "values"]);
    let size = |key: &str| found["values"][key].as_u64().unwrap() as usize;
    let (steps, agents) = (size("steps"), size("agents"));
    let weights = numbers(&found["attention"]["weights"], &[1, steps, 1, agents, agents]);
    let (mut came, mut absent) = (0, 0);
    for step in 0..steps {
        let here = |agent: usize| !found["values"]["actions"][step][agent].is_null();
        let count = (0..agents).filter(|agent| here(*agent)).count();
        came += count;
        for agent in 0..agents {
            let row = &weights[(step * agents + agent) * agents..][..agents];
            near(row.iter().sum(), if here(agent) && count > 1 { 1.0 } else { 0.0 });
            assert!((0..agents).all(|other| here(other) || row[other] == 0.0), "{row:?}");
            absent += usize::from(!here(agent));
        }
    }
    assert!(absent > 0, "every car is there all the time");
    assert_eq!(found["messages"]["rounds"][0]["messages"].as_array().unwrap().len(), came);
}

#[test]
fn gates_are_shown_and_what_does_not_apply_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = ["steps=2560", "world.worlds=8", "agent.features=16", "agent.rounds=1"];
    train(at, "lever-commnet", "gated", &[&small[..], &["agent.communication=ic3net"]].concat());
    train(at, "lever-commnet", "plain", &small);
    train(at, "two-step-vdn", "silent", &["steps=1600"]);
    train(at, "bottleneck", "maps", &["steps=512", "world.worlds=32", "learner.minibatches=4"]);
    train(at, "chain-hierarchical", "levels", &["steps=640"]);
    let call = |run: &str| synod(&["inspect", run, "-o", &format!("of-{run}"), "--device", "cpu"], at, "2");
    assert!(call("gated").status.success());
    let found = pages(&at.join("of-gated"), &["attention", "importance", "meaning", "messages", "values"]);
    let agents = found["values"]["agents"].as_u64().unwrap() as usize;
    let gates = numbers(&found["attention"]["gates"], &[1, 1, agents]);
    assert!(gates.iter().all(|gate| *gate == 0.0 || *gate == 1.0));

    let message = words(&call("plain"));
    assert!(message.contains("no attention.svg: CommNet hears the mean"), "{message}");
    pages(&at.join("of-plain"), &["importance", "meaning", "messages", "values"]);
    let message = words(&call("silent"));
    assert!(message.contains("no messages.svg: agents do not communicate"), "{message}");
    let values = &pages(&at.join("of-silent"), &["values"])["values"];
    assert!(values["preferences"][0][0].as_array().is_some_and(|row| !row.is_empty()));

    // Agents on maps are a team like any other.
    let message = words(&call("maps"));
    assert!(message.contains("csr") && message.contains("values"), "{message}");
    pages(&at.join("of-maps"), &["values"]);

    // Nothing is overwritten, and bad requests say what is wrong with them.
    let before = std::fs::read(at.join("of-silent/values.json")).unwrap();
    for (arguments, word) in [
        (&["inspect", "silent", "-o", "of-silent"][..], "not empty"),
        (&["inspect", "silent", "-o", "of-silent/values.json"], "not a folder"),
        (&["inspect", "levels", "-o", "new"], "hierarchical"),
        (&["inspect", "nowhere", "-o", "new"], "nowhere"),
        (&["inspect", "plain", "-o", "new", "--clusters", "0"], "clusters"),
        (&["inspect", "plain", "-o", "new", "--steps", "0"], "step"),
        (&["inspect", "plain", "-o", "new", "--episodes", "99999999"], "episodes"),
    ] {
        let output = synod(arguments, at, "2");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", words(&output));
        assert!(words(&output).contains(word), "{arguments:?}: {}", words(&output));
        assert!(!at.join("new").exists(), "{arguments:?}");
    }
    assert_eq!(std::fs::read(at.join("of-silent/values.json")).unwrap(), before);
    let help = String::from_utf8(synod(&["inspect", "--help"], at, "2").stdout).unwrap();
    assert!(help.contains("Examples:"));
}
