//! Programs in C and C++ that use the library: compiled with warnings as errors, under AddressSanitizer, and with eight
//! threads under ThreadSanitizer. They must do what a team does in Rust, to the bit.

use std::path::{Path, PathBuf};
use std::process::Command;

use synod::door::{Seen, Team, export};
use synod::preset::Settings;

/// Worlds, steps and the seed of a recording.
const PLAYED: [usize; 3] = [2, 6, 11];

/// A team with its initial parameters, and a recording of what it sees and does: see `programs/steps.h`.
fn recorded(folder: &Path, preset: &str, items: &[&str]) -> [PathBuf; 2] {
    let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
    let settings = Settings::with_items(preset, &items).unwrap();
    let path = folder.join(format!("{preset}.synod"));
    export(&settings, None, &path).unwrap();
    let mut team = Team::load(&path).unwrap();
    let [worlds, steps, seed] = PLAYED;
    let lanes = worlds * team.agents();
    let mut memory = team.memory(worlds).unwrap();
    memory.reseed(seed as u64);
    let options = team.kind().actions.options();
    let mut bytes = Vec::new();
    for number in [worlds, team.agents(), steps, seed] {
        bytes.extend((number as u64).to_le_bytes());
    }
    let mut word = 1u32;
    let mut drawn = move || {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        word >> 8
    };
    for _ in 0..steps {
        let observations: Vec<f32> =
            (0..lanes * team.observation_size()).map(|_| (drawn() % 100) as f32 / 50.0 - 1.0).collect();
        // The first option is always allowed.
        let masks: Vec<f32> =
            (0..lanes * options).map(|i| f32::from(i % options == 0 || drawn().is_multiple_of(2))).collect();
        let present: Vec<bool> = (0..lanes).map(|_| !drawn().is_multiple_of(5)).collect();
        let seen = Seen { observations: &observations, masks: Some(&masks), present: Some(&present) };
        let actions = team.act(seen, &mut memory).unwrap();
        bytes.extend(observations.iter().chain(&masks).flat_map(|x| x.to_le_bytes()));
        bytes.extend((0..lanes.next_multiple_of(4)).map(|i| u8::from(present.get(i) == Some(&true))));
        bytes.extend(actions.discrete.iter().flat_map(|x| x.to_le_bytes()));
        bytes.extend(actions.continuous.iter().flat_map(|x| x.to_le_bytes()));
    }
    let recording = folder.join(format!("{preset}.steps"));
    std::fs::write(&recording, bytes).unwrap();
    [path, recording]
}

/// The folder of the libraries that cargo made beside this test.
fn libraries() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_path_buf()
}

/// Puts the shared library under its own name beside a program, and gives the folder.
fn beside(program: &Path) -> &Path {
    let folder = program.parent().unwrap();
    // There already where a program ran before.
    let _ = std::os::unix::fs::symlink(libraries().join("libsynod_c.so"), folder.join("libsynod_c.so.1"));
    folder
}

/// Compiles a program of this package.
fn compiled(compiler: &[&str], source: &str, libraries: &[&str], to: &Path) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(compiler[0]);
    command.args(&compiler[1..]).args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-g", "-O1"]);
    command.arg("-I").arg(here.join("../include")).arg(here.join(source));
    command.args(libraries).arg("-o").arg(to);
    let done = command.output().unwrap_or_else(|e| panic!("{} is needed for this test: {e}", compiler[0]));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn runs(program: &Path, [team, recording]: &[PathBuf; 2]) {
    let done = Command::new(program)
        .args([team, recording])
        .env("LD_LIBRARY_PATH", beside(program))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && done.stdout == b"well\n", "{}: {words}", program.display());
}

#[test]
fn programs_in_c_do_what_a_team_does_in_rust() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        recorded(folder.path(), "bottleneck", &[]),
        recorded(folder.path(), "junction-tarmac", &[]),
        recorded(folder.path(), "taxi-dqn", &[]),
        recorded(folder.path(), "pendulum-sac", &["show_last_action=true"]),
    ];
    let libraries = libraries();
    let fixed = libraries.join("libsynod_c.a");
    let fixed = fixed.to_str().unwrap();
    let needed = ["-lpthread", "-lm", "-ldl"];
    let shared = format!("-L{}", libraries.display());
    let [c, cpp, threads] = ["c", "cpp", "threads"].map(|name| folder.path().join(name));
    compiled(
        &["gcc", "-std=c11", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
        "tests/programs/door.c",
        &[&[fixed][..], &needed].concat(),
        &c,
    );
    compiled(&["g++", "-std=c++14"], "tests/programs/door.cpp", &[&shared, "-lsynod_c"], &cpp);
    compiled(
        &["gcc", "-std=c11", "-D_GNU_SOURCE", "-fsanitize=thread"],
        "tests/programs/threads.c",
        &[&[fixed][..], &needed].concat(),
        &threads,
    );
    for case in &cases {
        [&c, &cpp, &threads].into_iter().for_each(|program| runs(program, case));
    }
}

/// The loop of the example, whose physics are its own, with a team that has learned nothing.
#[test]
fn the_example_plays() {
    let folder = tempfile::tempdir().unwrap();
    let [team, _] = recorded(folder.path(), "pendulum-sac", &[]);
    let shared = format!("-L{}", libraries().display());
    let game = folder.path().join("game");
    compiled(&["gcc", "-std=c99"], "examples/game.c", &[&shared, "-lsynod_c", "-lm"], &game);
    let play = |team: &Path| {
        let mut command = Command::new(&game);
        command.arg(team).env("LD_LIBRARY_PATH", beside(&game)).output().unwrap()
    };
    let done = play(&team);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(String::from_utf8_lossy(&done.stdout).contains("cost of 200 steps"));
    let [other, _] = recorded(folder.path(), "bottleneck", &[]);
    for (team, words) in [(other.as_path(), "no team for a pendulum"), (Path::new("nowhere"), "nowhere: ")] {
        let done = play(team);
        assert!(!done.status.success() && String::from_utf8_lossy(&done.stderr).contains(words));
    }
}
