//! The commands of the README and of the guide in `docs/`, each of which is run, with few steps, in one folder and in the
//! order in which they stand, and those of `--help`; configurations are loaded. What is written and what the program does
//! cannot drift apart. (The guide's Rust is compiled by the doc tests of `src/guide.rs`.)

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The pages in the order in which one reads them.
const PAGES: [&str; 15] = [
    "README.md",
    "docs/install.md",
    "docs/train.md",
    "docs/evaluate.md",
    "docs/embed.md",
    "docs/EXTENDING.md",
    "docs/worlds.md",
    "docs/agents.md",
    "docs/roles.md",
    "docs/engine.md",
    "docs/results.md",
    "docs/design.md",
    "docs/bottleneck.md",
    "docs/seeds.md",
    "BENCHMARKS.md",
];

/// Agent-steps of a training here.
const STEPS: &str = "4096";

/// What is not run, and why. It is checked that what it names is there.
const NOT_RUN: [(&str, &str); 6] = [
    ("./test", "runs this test"),
    ("cargo install", "builds the program that is tested here once more"),
    ("cargo build", "likewise"),
    ("cargo bench", "takes minutes; CI runs benches in small"),
    ("cargo test", "the test is run beside this one"),
    ("cargo run --release --example", "without arguments: takes minutes, and its parts are tested"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of a page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"));
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => {
                // ```rust,no_run is Rust.
                let name = info.split(',').next().unwrap_or_default().trim();
                open = Some((name == language, String::new()));
            }
            (Some(_), Some(_)) => {
                if let Some((true, block)) = open.take() {
                    blocks.push(block);
                }
            }
            (Some((_, block)), None) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block that does not end");
    blocks
}

/// The commands of a block: lines that end in `\` go on, comments are left out, `&&` separates.
fn commands(block: &str) -> Vec<Vec<String>> {
    let joined = block.replace("\\\n", " ");
    joined
        .lines()
        .flat_map(|line| words(line).split(|word| word == "&&").map(<[_]>::to_vec).collect::<Vec<_>>())
        .filter(|command| !command.is_empty())
        .collect()
}

/// The words of a line of shell, as far as the guide uses it: quotes, comments.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote that does not end: {line}");
    words.extend(word);
    words
}

/// Gives a flag another value, or the flag itself where it is not there.
fn set(arguments: &mut Vec<String>, flag: &str, value: &str) {
    match arguments.iter().position(|word| word == flag) {
        Some(at) => arguments[at + 1] = value.into(),
        None => arguments.extend([flag.to_string(), value.to_string()]),
    }
}

/// The command with few steps, episodes and seeds.
fn small(arguments: &[String], folder: &Path) -> Vec<String> {
    let mut small = arguments.to_vec();
    let has = |flag: &str| arguments.iter().any(|word| word == flag);
    match arguments.first().map(String::as_str) {
        Some("train") => {
            match has("--resume") {
                true if !has("--steps") => {}
                true => set(&mut small, "--steps", "8192"),
                false => set(&mut small, "--steps", STEPS),
            }
            // Evaluated once, with few episodes, so that there is a best checkpoint.
            if !has("--resume") {
                for (key, value) in [("eval_every=", STEPS), ("eval_episodes=", "2")] {
                    let item = format!("{key}{value}");
                    match small.iter_mut().find(|word| word.starts_with(key)) {
                        Some(word) => *word = item,
                        None => small.extend(["--set".to_string(), item]),
                    }
                }
            }
            if !has("--device") {
                set(&mut small, "--device", "cpu");
            }
        }
        Some("compare") => {
            let seeds =
                arguments.iter().position(|word| word == "--seeds").map(|at| arguments[at + 1].as_str());
            let first = seeds.and_then(|seeds| seeds.split_once("..")).map(|(first, _)| first);
            let few = first.map_or("1".to_string(), |first| format!("{first}..{first}"));
            set(&mut small, "--seeds", &few);
            set(&mut small, "--steps", STEPS);
            set(&mut small, "--episodes", "1");
        }
        Some("collaborate") => {
            if !has("--resume") {
                set(&mut small, "--steps", STEPS);
            }
            set(&mut small, "--episodes", "2");
        }
        Some("emergence") => {
            set(&mut small, "--seeds", "1");
            set(&mut small, "--steps", STEPS);
            set(&mut small, "--episodes", "2");
            if has("--learn") {
                set(&mut small, "--learn", "9");
                set(&mut small, "--learn-seeds", "1");
            }
        }
        Some(command @ ("eval" | "render")) => {
            let config = folder.join(&arguments[1]).join("config.toml");
            let config =
                std::fs::read_to_string(&config).unwrap_or_else(|e| panic!("{}: {e}", config.display()));
            if config.contains("kind = \"pathfinding\"") {
                set(&mut small, "--steps", "8");
            }
            if command == "eval" {
                set(&mut small, "--episodes", "2");
            }
        }
        Some("inspect") => {
            set(&mut small, "--steps", "20");
            set(&mut small, "--episodes", "4");
        }
        _ => {}
    }
    small
}

/// The program and its arguments, if it is one of ours.
fn program(command: &[String]) -> Option<(PathBuf, Vec<String>)> {
    let synod = PathBuf::from(env!("CARGO_BIN_EXE_synod"));
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match &words[..] {
        ["synod", ..] => Some((synod, command[1..].to_vec())),
        ["cargo", "run", "--release", "--", ..] => Some((synod, command[4..].to_vec())),
        ["cargo", "run", "--release", "--example", name, "--", ..] => {
            let tests = std::env::current_exe().expect("the path of this test");
            let folder = tests.ancestors().nth(2).expect("the folder of what is built").join("examples");
            let example = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            assert!(example.exists(), "{} is not built: cargo build --examples", example.display());
            Some((example, command[6..].to_vec()))
        }
        _ => None,
    }
}

/// Runs a command, which must end well.
fn run(page: &str, command: &[String], folder: &Path) {
    let shown = command.join(" ");
    let assignments = command.iter().take_while(|word| {
        word.split_once('=').is_some_and(|(key, _)| {
            !key.is_empty() && key.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
    });
    let environment: Vec<(&str, &str)> = assignments.filter_map(|word| word.split_once('=')).collect();
    let mut command = command[environment.len()..].to_vec();
    let to = command
        .iter()
        .position(|word| word == ">")
        .map(|at| folder.join(command.split_off(at).swap_remove(1)));
    let Some((program, arguments)) = program(&command) else {
        return is_there(page, &command);
    };
    let arguments = small(&arguments, folder);
    let output = Command::new(program)
        .args(&arguments)
        .envs(environment)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{page}: {shown}: {e}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{page}: {shown}\nas {arguments:?}: {error}");
    if let Some(path) = to {
        std::fs::write(path, &output.stdout).expect("room on the disk");
    }
}

/// What a command that is not run names is there.
fn is_there(page: &str, command: &[String]) {
    let shown = command.join(" ");
    assert!(
        NOT_RUN.iter().any(|(start, _)| shown == *start || shown.starts_with(&format!("{start} "))),
        "{page}: {shown}: neither run nor among what is not, with the reason"
    );
    let root = root();
    if command[0].starts_with("./") {
        assert!(root.join(&command[0]).exists(), "{page}: {shown}");
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("the manifest");
    for pair in command.windows(2) {
        let name = &pair[1];
        let places = match pair[0].as_str() {
            "--example" => vec![root.join(format!("examples/{name}.rs"))],
            "--test" => ["", "engine/", "cpu/"]
                .iter()
                .flat_map(|of| [format!("{of}tests/{name}.rs"), format!("{of}tests/{name}/main.rs")])
                .map(|path| root.join(path))
                .collect(),
            "--bench" => {
                assert!(manifest.contains(&format!("[[bench]]\nname = \"{name}\"")), "{page}: {shown}");
                continue;
            }
            "--path" => vec![root.join(name).join("Cargo.toml")],
            _ => continue,
        };
        assert!(places.iter().any(|place| place.exists()), "{page}: {shown}: no {name}");
    }
}

/// Maps for the commands that want some: rooms with a few walls and place for 64 agents.
fn make_maps(folder: &Path) {
    for name in ["maps", "MAZES", "RANDOM"] {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).expect("a new folder");
        for number in 0..2 {
            let mut text = "type octile\nheight 20\nwidth 20\nmap\n".to_string();
            for row in 0..20 {
                text.extend(
                    (0..20).map(|column| if row % 4 == 1 && column % 5 == number { '@' } else { '.' }),
                );
                text.push('\n');
            }
            std::fs::write(folder.join(format!("room-{number}.map")), text).expect("room on the disk");
        }
    }
}

/// Job shops for the commands that want some, of the two sizes that the preset has room for.
fn make_job_shops(folder: &Path) {
    let folder = folder.join("jobshop");
    std::fs::create_dir(&folder).expect("a new folder");
    for (jobs, machines) in [(6, 6), (10, 5)] {
        // Every job visits all machines, each from another one on.
        let operation = |job: usize, k: usize| [(job + k) % machines, 1 + (7 * job + 3 * k) % 11];
        let job = |job: usize| (0..machines).map(|k| operation(job, k)).collect::<Vec<_>>();
        let text = serde_json::json!({ "jobs": (0..jobs).map(job).collect::<Vec<_>>() }).to_string();
        std::fs::write(folder.join(format!("{jobs}-{machines}.json")), text).expect("room on the disk");
    }
}

#[test]
fn every_command_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    make_maps(folder.path());
    make_job_shops(folder.path());
    let mut count = 0;
    for page in PAGES {
        for block in blocks(page, "sh") {
            for command in commands(&block) {
                let start = std::time::Instant::now();
                run(page, &command, folder.path());
                println!("{:5.1} s  {page}: {}", start.elapsed().as_secs_f64(), command.join(" "));
                count += 1;
            }
        }
    }
    assert!(count > 50, "only {count} commands were found");
}

/// The examples that the program itself gives: `  synod COMMAND ...`, and after some blanks what it is for.
fn help_examples() -> Vec<Vec<String>> {
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_synod")).args(arguments).output().expect("it starts");
        String::from_utf8(output.stdout).expect("text")
    };
    let all = help(&["--help"]);
    let list = all.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let names = list.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let texts: Vec<String> = names.map(|name| help(&[name, "--help"])).chain([all.clone()]).collect();
    let lines = texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("  synod "));
    lines.map(|line| words(&format!("synod {}", line.split("  ").next().unwrap_or_default()))).collect()
}

#[test]
fn examples_in_the_help_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    make_maps(at);
    for name in ["large.map", "maze.map"] {
        std::fs::copy(at.join("maps/room-0.map"), at.join(name)).expect("room on the disk");
    }
    let synod = |line: &str| run("before the examples", &words(line), at);
    std::fs::create_dir(at.join("runs")).expect("a new folder");
    ["a", "b"]
        .iter()
        .for_each(|name| synod(&format!("synod settings two-step-vdn --toml > runs/{name}.toml")));
    let examples = help_examples();
    assert!(examples.len() > 25, "only {} examples were found", examples.len());
    for example in &examples {
        // Runs that an example takes up are there: `runs/PRESET-0`.
        for word in example.iter().filter(|word| !at.join(word).exists()) {
            if let Some(preset) = word.strip_prefix("runs/").and_then(|run| run.strip_suffix("-0")) {
                synod(&format!("synod train {preset} --out {word}"));
            }
        }
        // Each stands for itself: what one before it wrote is not in its way.
        if let Some(written) = example.windows(2).find(|pair| pair[0] == "-o").map(|pair| at.join(&pair[1])) {
            let _ = std::fs::remove_dir_all(&written);
            let _ = std::fs::remove_file(&written);
        }
        run("an example of --help", example, at);
    }
}

/// Commands within the text: the presets that they name, and the settings that they change, are there.
#[test]
fn commands_within_the_text_name_what_is_there() {
    let mut count = 0;
    for page in PAGES {
        let text = std::fs::read_to_string(root().join(page)).expect("a page");
        let spans = text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2));
        for span in spans.filter(|span| span.starts_with("synod train ")) {
            let words = words(&span.replace('\n', " "));
            let preset = &words[2];
            if !preset.chars().all(|c| c.is_ascii_lowercase() || c == '-') || preset.starts_with('-') {
                continue;
            }
            let mut command = vec!["settings", preset];
            for pair in words.windows(2).filter(|pair| pair[0] == "--set") {
                command.extend(["--set", &pair[1]]);
            }
            let output =
                Command::new(env!("CARGO_BIN_EXE_synod")).args(&command).output().expect("it starts");
            assert!(output.status.success(), "{page}: `{span}`: {}", String::from_utf8_lossy(&output.stderr));
            count += 1;
        }
    }
    assert!(count > 3, "only {count} commands were found");
}

#[test]
fn every_configuration_is_one() -> synod::Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    let mut count = 0;
    for page in PAGES {
        for block in blocks(page, "toml") {
            if block.starts_with("# Cargo.toml") {
                let manifest: toml::Table = block.parse().unwrap_or_else(|e| panic!("{page}: {e}\n{block}"));
                assert!(manifest.contains_key("dependencies"), "{page}: {block}");
                continue;
            }
            std::fs::write(&path, &block).expect("room on the disk");
            let settings = synod::preset::Settings::load(&path, &[])?;
            settings.check()?;
            count += 1;
        }
    }
    assert!(count > 1, "only {count} configurations were found");
    Ok(())
}

/// The pages link to pages, and to headings in them, that are there.
#[test]
fn links_lead_somewhere() {
    let anchor = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-')
            .collect::<String>()
            .replace(' ', "-")
    };
    for page in PAGES {
        let path = root().join(page);
        let text = std::fs::read_to_string(&path).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{page}: {link}");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&target).expect("a page");
                let found = text.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(found, "{page}: {link}");
            }
        }
    }
}

#[test]
fn the_readme_is_short() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("the README");
    assert!(text.lines().count() <= 150, "{} lines", text.lines().count());
}
