//! The door for host programs: a team that was exported or trained acts as it acts in its worlds.

use std::path::{Path, PathBuf};

use synod::action::Actions;
use synod::agent::actors::{Actors, Choice, Seen as Shown};
use synod::door::{Memory, Seen, Team, export};
use synod::env::Buffers;
use synod::preset::Settings;
use synod::{Device, Error};

fn settings(preset: &str, items: &[&str]) -> Settings {
    let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
    Settings::with_items(preset, &items).unwrap()
}

/// A team with its initial parameters, as a file.
fn exported(folder: &Path, settings: &Settings) -> PathBuf {
    let path = folder.join(format!("{}.synod", settings.preset));
    export(settings, None, &path).unwrap();
    path
}

/// Whole episodes in worlds, by the actors that trainers and evaluations use, greedily; every step the door must do the
/// same: networks with memories, graphs, masks, several kinds, last actions, central critics, two levels.
#[test]
fn a_team_does_what_it_does_in_its_worlds() {
    let folder = tempfile::tempdir().unwrap();
    for (preset, items) in [
        ("bottleneck", &[][..]),
        ("bottleneck", &["agent.core=gru", "separate_parameters=true"]),
        ("spread-mappo", &[]),
        ("grid-gat", &["world.agents=3", "world.targets=3"]),
        ("junction-tarmac", &[]),
        ("switch", &[]),
        ("tag", &[]),
        ("taxi-dqn", &[]),
        ("taxi-hierarchical", &[]),
        ("climbing-hysteretic", &[]),
        ("speaker-listener-coma", &[]),
        ("pendulum-sac", &[]),
        ("speaker-listener-maddpg", &[]),
        ("repeat-s5", &["world.lag=3"]),
        ("spread-ippo", &["agent.core=ssm", "agent.core.model=mamba", "separate_parameters=true"]),
        ("spread-ippo", &["world.actions=continuous", "show_last_action=true", "agent.bounded=tanh"]),
    ] {
        let settings = settings(preset, items);
        let path = exported(folder.path(), &settings);
        let mut team = Team::load(&path).unwrap();
        let device = Device::cpu();
        let policy = settings.policy(&device).unwrap();
        let worlds = 3;
        let mut env = settings.judging_worlds(worlds, 7).unwrap();
        let spec = env.spec().clone();
        let (agents, space) = (spec.agents(), spec.kinds[0].actions.clone());
        let choice = settings.choice(true);
        let mut actors = Actors::new(&device, policy.as_ref(), &spec, 1, choice, false).unwrap();
        let mut memory = team.memory(worlds).unwrap();
        let mut out = Buffers::new(&spec);
        env.reset(&vec![true; worlds], &mut out).unwrap();
        let (mut ages, mut present) = (vec![0.0; worlds * agents], vec![0.0; worlds * agents]);
        let mut told = spec.actions();
        let width = spec.kinds[0].observation.iter().product::<usize>();
        let own = if settings.show_last_action { space.options() + space.floats() } else { 0 };
        for step in 0..8 {
            let place = |lane: usize| lane % worlds * agents + lane / worlds;
            for lane in 0..worlds * agents {
                present[lane] = f32::from(u8::from(out.active[place(lane)]));
                if step > 0 {
                    let was = ages[lane] + 1.0;
                    // A new agent in an old one's place.
                    let another = out.active[place(lane)] && out.terminated[place(lane)];
                    ages[lane] = if another { 0.0 } else { was };
                    if another {
                        memory.forget_agent(lane % worlds, lane / worlds).unwrap();
                    }
                }
            }
            let shown = Shown {
                observations: &out.observations,
                ages: &ages,
                present: &present,
                masks: &out.masks,
                state: &out.state,
            };
            actors.act(shown, [3, step]).unwrap();
            actors.tell(&mut told).unwrap();
            // The host shows what the world does; what the agents did last is the team's own affair.
            let seen: Vec<f32> =
                out.observations.chunks(width).flat_map(|row| &row[..width - own]).copied().collect();
            let seen = Seen { observations: &seen, masks: Some(&out.masks), present: Some(&out.active) };
            let did = team.act_greedily(seen, &mut memory).unwrap();
            let here: Vec<usize> = (0..worlds * agents).filter(|lane| out.active[*lane]).collect();
            let of = |actions: &Actions, lane: usize| {
                let (i, f) = (space.integers(), space.floats());
                (actions.discrete[lane * i..][..i].to_vec(), actions.continuous[lane * f..][..f].to_vec())
            };
            for lane in here {
                assert_eq!(of(did, lane), of(&told, lane), "{preset} {items:?}, step {step}, agent {lane}");
            }
            env.step(&told, &mut out).unwrap();
            if out.ended.contains(&true) {
                break;
            }
        }
    }
}

fn decide(team: &mut Team, memory: &mut Memory, seen: &[f32]) -> Vec<u32> {
    team.act(seen, memory).unwrap().discrete.clone()
}

#[test]
fn memories_are_apart_and_can_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut team = Team::load(exported(folder.path(), &settings("bottleneck", &[]))).unwrap();
    let numbers: usize = team.kind().observation.iter().product();
    let seen: Vec<f32> = (0..4 * numbers).map(|i| (i % 7) as f32 - 3.0).collect();
    // Two worlds of two, one of four: the network takes any number of agents.
    let (mut two, mut four) = (team.memory(2).unwrap(), team.memory_of(1, 4).unwrap());
    let first = decide(&mut team, &mut two, &seen);
    let other = decide(&mut team, &mut four, &seen);
    assert_eq!((first.len(), other.len()), (4, 4));
    // What happens elsewhere changes nothing here: a kept memory goes on as the first did.
    let mut kept = two.clone();
    let next: Vec<Vec<u32>> = (0..20).map(|_| decide(&mut team, &mut two, &seen)).collect();
    decide(&mut team, &mut four, &seen);
    assert_eq!(next, (0..20).map(|_| decide(&mut team, &mut kept, &seen)).collect::<Vec<_>>());
    assert_eq!(two, kept);
    // A fresh one begins as the first began; a forgotten one remembers nothing but where its random numbers stand.
    let mut fresh = team.memory(2).unwrap();
    assert_eq!(decide(&mut team, &mut fresh, &seen), first);
    two.forget();
    two.reseed(0);
    assert_eq!(decide(&mut team, &mut two, &seen), first);
    assert!(two.forget_agent(2, 0).is_err() && two.forget_world(9).is_err());
    // Another thread may have it.
    std::thread::spawn(move || team.act(&seen, &mut two).map(drop)).join().unwrap().unwrap();
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_the_memory_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = exported(folder.path(), &settings("spread-ippo", &[]));
    let mut team = Team::load(&path).unwrap();
    let mut memory = team.memory(2).unwrap();
    let numbers: usize = team.kind().observation.iter().product();
    let seen = vec![0.5; 6 * numbers];
    team.act(&seen, &mut memory).unwrap();
    let before = memory.clone();
    let masks = vec![1.0; 3];
    for seen in [
        Seen::from(&seen[1..]),
        Seen { observations: &seen, masks: Some(&masks), present: None },
        Seen { observations: &seen, masks: None, present: Some(&[true]) },
        Seen::from(&vec![f32::NAN; 6 * numbers]),
    ] {
        assert!(team.act(seen, &mut memory).is_err());
        assert_eq!(memory, before);
    }
    assert!(team.memory(0).is_err() && team.memory(usize::MAX).is_err() && team.memory_of(1, 0).is_err());
    // Agents that see their number are as many as they were.
    let mut more = team.memory_of(1, 5).unwrap();
    assert!(matches!(team.act(&vec![0.0; 5 * numbers], &mut more), Err(Error::Graph(_))));

    // The memory of another team.
    let mut other = Team::load(exported(folder.path(), &settings("spread-mappo", &[]))).unwrap();
    let mut foreign = other.memory(2).unwrap();
    let error = team.act(&seen, &mut foreign).unwrap_err().to_string();
    assert!(error.contains("another team"), "{error}");
    assert!(other.act(&seen, &mut memory).is_err());

    // Files that are none, or of which something was changed or cut away.
    let bytes = std::fs::read(&path).unwrap();
    let other = folder.path().join("other.synod");
    for end in [0, 7, 8, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&other, &bytes[..end]).unwrap();
        assert!(Team::load(&other).is_err(), "cut to {end}");
    }
    for at in (0..bytes.len()).step_by(bytes.len() / 97) {
        let mut changed = bytes.clone();
        changed[at] ^= 16;
        std::fs::write(&other, &changed).unwrap();
        let _ = Team::load(&other);
    }
    std::fs::write(&other, String::from_utf8_lossy(&bytes).replace("\\\"count\\\":3", "\\\"count\\\":9"))
        .unwrap();
    assert!(Team::load(&other).is_err());
    assert!(Team::load(folder.path().join("missing")).is_err());
    assert!(Team::load(folder.path()).is_err());
}

/// A run and what was exported of it are the same team, and what is exported is small.
#[test]
fn a_run_and_its_export_act_alike() {
    let folder = tempfile::tempdir().unwrap();
    let call = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_synod"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    call(&["train", "two-step-qmix", "--steps", "4000", "--out", "run", "--device", "cpu"]);
    call(&["export", "run", "-o", "team.synod"]);
    let (run, file) = (folder.path().join("run"), folder.path().join("team.synod"));
    let [mut run_team, mut team] = [Team::load(&run).unwrap(), Team::load(&file).unwrap()];
    assert_eq!(run_team.origin(), team.origin());
    assert_eq!((team.origin().preset.as_str(), team.origin().steps), ("two-step-qmix", 4000));
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(size(&file) * 3 < size(&run.join("checkpoint.safetensors")));
    let numbers: usize = team.kind().observation.iter().product();
    let (mut a, mut b) = (run_team.memory(1).unwrap(), team.memory(1).unwrap());
    for i in 0..10 {
        let seen: Vec<f32> = (0..2 * numbers).map(|j| ((i * 5 + j * 3) % 11) as f32 - 5.0).collect();
        assert_eq!(run_team.act(&seen, &mut a).unwrap(), team.act(&seen, &mut b).unwrap());
    }
    assert_eq!(settings("two-step-qmix", &[]).choice(false), Choice::EpsilonGreedy);
}
