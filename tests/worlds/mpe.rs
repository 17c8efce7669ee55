//! Particle worlds against recorded episodes of MPE2 1.1.1, and what known play is paid.

use std::path::{Path, PathBuf};

use crate::random::Random;
use serde_json::Value;
use synod::action::{ActionSpace, Actions};
use synod::env::mpe::{
    Control, Particles, SimpleAdversary, SimpleAdversaryConfig, SimpleReference, SimpleReferenceConfig,
    SimpleSpeakerListener, SimpleSpeakerListenerConfig, SimpleSpread, SimpleSpreadConfig, SimpleTag,
    SimpleTagConfig,
};
use synod::env::vectorised::{Rules, Vectorised};
use synod::env::{Buffers, Pcg64, VecEnv};

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

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn close(got: &[f64], expected: &Value, what: &str) {
    let expected: Vec<f64> = expected.as_array().unwrap().iter().map(float).collect();
    assert_eq!(got.len(), expected.len(), "{what}: length");
    for (got, expected) in got.iter().zip(&expected) {
        assert!((got - expected).abs() <= 1e-5, "{what}: {got}, expected {expected}");
    }
}

/// The world as recorded: positions, velocities, goals.
fn compare(world: &Particles, state: &Value, what: &str) {
    for (agent, recorded) in state["agents"].as_array().unwrap().iter().enumerate() {
        close(&world.agents()[agent], &recorded["pos"], &format!("{what}: position of {agent}"));
        close(&world.velocities()[agent], &recorded["vel"], &format!("{what}: velocity of {agent}"));
    }
    assert_eq!(world.agents().len(), state["agents"].as_array().unwrap().len());
    assert_eq!(world.landmarks().len(), state["landmarks"].as_array().unwrap().len());
    for (landmark, recorded) in state["landmarks"].as_array().unwrap().iter().enumerate() {
        close(&world.landmarks()[landmark], &recorded["pos"], &format!("{what}: landmark {landmark}"));
    }
}

/// Recorded episodes with the names of their files.
fn traces() -> Vec<(String, Value)> {
    let Some(folder) = data("mpe-traces") else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    let read = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
    };
    // Whatever stands there, and no less than was recorded at first.
    assert!(files.len() >= 15, "only {} traces", files.len());
    files.iter().map(read).collect()
}

/// Replays every episode of a world, whose rules follow from its agents and its length.
fn replay<R: Rules<World = Particles>>(world: &str, rules: impl Fn(&Value, usize, usize) -> R) {
    let traces = traces();
    let known =
        ["simple_spread", "simple_tag", "simple_adversary", "simple_speaker_listener", "simple_reference"];
    for (name, trace) in &traces {
        assert!(known.iter().any(|known| trace["env"] == *known), "{name}: no test replays {}", trace["env"]);
    }
    let own: Vec<_> = traces.into_iter().filter(|(_, trace)| trace["env"] == world).collect();
    for (name, trace) in &own {
        // In the file, or at the end of its name.
        let named = || name.rsplit('-').next().and_then(|number| number.parse().ok());
        let seed = trace["seed"].as_u64().or_else(named).unwrap_or_else(|| panic!("{name} has no seed"));
        let steps = trace["actions"].as_array().unwrap().len();
        let agents = trace["action_spaces"].as_object().unwrap().len();
        let mut env = Vectorised::<R>::new(rules(trace, agents, steps), 99).unwrap();
        // The first state comes out of the seed, as in MPE2.
        env.set_random(0, Pcg64::new(seed)).unwrap();
        let spec = env.spec().clone();
        let mut out = Buffers::new(&spec);
        env.reset(&[true], &mut out).unwrap();
        let names: Vec<String> = trace["action_spaces"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(names.len(), spec.agents());
        let spaces: Vec<&ActionSpace> =
            spec.kinds.iter().flat_map(|kind| vec![&kind.actions; kind.count]).collect();
        for (name, space) in names.iter().zip(&spaces) {
            let options = trace["action_spaces"][name].as_u64().unwrap() as usize;
            match space.floats() {
                0 => assert_eq!(space.options(), options),
                // Movements, words, or both.
                floats => assert!(floats == options || (options == 50 && floats == 15)),
            }
        }
        assert!(steps > 0 && trace["states"].as_array().unwrap().len() == steps + 1);
        for step in 0..=steps {
            let what = format!("{name}, step {step}");
            compare(env.world(0).unwrap(), &trace["states"][step], &what);
            let mut rest = &out.observations[..];
            for (number, kind) in spec.kinds.iter().flat_map(|kind| vec![kind; kind.count]).enumerate() {
                let (seen, after) = rest.split_at(kind.observation[0]);
                rest = after;
                let seen: Vec<f64> = seen.iter().map(|v| f64::from(*v)).collect();
                close(
                    &seen,
                    &trace["observations"][step][&names[number]],
                    &format!("{what}: agent {number}"),
                );
            }
            assert!(rest.is_empty() && out.state == out.observations);
            if step == steps {
                break;
            }
            let actions: Vec<u32> =
                names.iter().map(|name| trace["actions"][step][name].as_u64().unwrap() as u32).collect();
            let actions: Actions = match spaces[0].floats() {
                0 => actions.into(),
                // What is chosen is wholly done, and said as loud as can be.
                _ => {
                    let one_hot = |(action, space): (&u32, &&ActionSpace)| {
                        let mut row = vec![0.0f32; space.floats()];
                        let (action, moves) = (*action as usize, row.len().min(5));
                        row[action % moves] = 1.0;
                        if row.len() > 5 {
                            row[5 + action / 5] = 1.0;
                        }
                        row
                    };
                    actions.iter().zip(&spaces).flat_map(one_hot).collect::<Vec<f32>>().into()
                }
            };
            env.step(&actions, &mut out).unwrap();
            for (number, name) in names.iter().enumerate() {
                let (got, expected) = (f64::from(out.rewards[number]), float(&trace["rewards"][step][name]));
                assert!((got - expected).abs() <= 1e-5, "{what}: {got} paid to {name}, expected {expected}");
            }
            let cut = trace["truncated"][step].as_bool().unwrap();
            assert_eq!((out.ended[0], cut), (step + 1 == steps, step + 1 == steps));
            assert!(out.truncated.iter().all(|t| *t == cut) && out.terminated.iter().all(|t| !t));
        }
    }
}

/// With discrete actions, and with the same as continuous ones.
const CONTROLS: [Control; 2] = [Control::Discrete, Control::Continuous];

#[test]
fn simple_spread_is_replayed() {
    for actions in CONTROLS {
        replay("simple_spread", |trace, agents, max_episode_steps| {
            let base =
                SimpleSpreadConfig { worlds: 1, agents, actions, max_episode_steps, ..Default::default() };
            let local_ratio = trace["local_ratio"].as_f64().unwrap_or(base.local_ratio);
            SimpleSpreadConfig { local_ratio, ..base }
        });
    }
}

#[test]
fn simple_tag_is_replayed() {
    for actions in CONTROLS {
        replay("simple_tag", |_, _, max_episode_steps| SimpleTagConfig {
            worlds: 1,
            actions,
            max_episode_steps,
            ..Default::default()
        });
    }
}

#[test]
fn simple_adversary_is_replayed() {
    for actions in CONTROLS {
        replay("simple_adversary", |_, _, max_episode_steps| SimpleAdversaryConfig {
            worlds: 1,
            actions,
            max_episode_steps,
            ..Default::default()
        });
    }
}

#[test]
fn simple_speaker_listener_is_replayed() {
    for actions in CONTROLS {
        replay("simple_speaker_listener", |_, _, max_episode_steps| SimpleSpeakerListenerConfig {
            worlds: 1,
            actions,
            max_episode_steps,
        });
    }
}

#[test]
fn simple_reference_is_replayed() {
    for actions in CONTROLS {
        replay("simple_reference", |trace, _, max_episode_steps| {
            let base = SimpleReferenceConfig { worlds: 1, actions, max_episode_steps, ..Default::default() };
            let local_ratio = trace["local_ratio"].as_f64().unwrap_or(base.local_ratio);
            SimpleReferenceConfig { local_ratio, ..base }
        });
    }
}

/// MPE2's `_set_action` with `continuous_actions=True`: the force is the sensitivity (5, or the agent's own acceleration)
/// times right less left and up less down; words are heard as loud as they were said; beyond 0 and 1 nothing counts.
#[test]
fn continuous_actions_push_and_speak_in_proportion() {
    let mut random = Random::fresh();
    println!("seed {}", random.seed());
    let mut draw =
        |count: usize| -> Vec<f32> { (0..count).map(|_| random.below(1400) as f32 / 1000.0 - 0.2).collect() };
    let held = |x: f32| x.clamp(0.0, 1.0);
    let config = SimpleReferenceConfig { worlds: 3, actions: Control::Continuous, ..Default::default() };
    let mut env = SimpleReference::new(config, 1).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 3], &mut out).unwrap();
    for _ in 0..20 {
        let actions = draw(3 * 2 * 15);
        let before: Vec<Vec<[f64; 2]>> =
            (0..3).map(|w| env.world(w).unwrap().velocities().to_vec()).collect();
        env.step(&actions.clone().into(), &mut out).unwrap();
        for (lane, action) in actions.chunks(15).enumerate() {
            let (world, agent) = (lane / 2, lane % 2);
            let axes = [held(action[2]) - held(action[1]), held(action[4]) - held(action[3])];
            for axis in 0..2 {
                let expected = 0.75 * before[world][agent][axis] + 0.1 * 5.0 * f64::from(axes[axis]);
                let found = env.world(world).unwrap().velocities()[agent][axis];
                assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
            }
            // The other hears the ten words at the end of what it sees.
            let heard = &out.observations[(world * 2 + 1 - agent) * 21 + 11..][..10];
            let said: Vec<f32> = action[5..].iter().map(|x| held(*x)).collect();
            assert_eq!(heard, said);
        }
    }
    let bytes = env.save();
    env.load(&bytes).unwrap();
    assert_eq!(env.save(), bytes);

    // Hunters have an acceleration of 3, their prey of 4; at the first step nobody touches anybody else's velocity.
    let config = SimpleTagConfig {
        worlds: 50,
        adversaries: 1,
        obstacles: 0,
        actions: Control::Continuous,
        ..Default::default()
    };
    let mut env = SimpleTag::new(config, 1).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 50], &mut out).unwrap();
    let actions = draw(2 * 50 * 5);
    env.step(&actions.clone().into(), &mut out).unwrap();
    for (kind, acceleration) in [(0, 3.0), (1, 4.0)] {
        for world in 0..50 {
            let places = env.world(world).unwrap().agents();
            // Contacts have a force of their own.
            if (places[0][0] - places[1][0]).hypot(places[0][1] - places[1][1]) < 0.3 {
                continue;
            }
            let action = &actions[(kind * 50 + world) * 5..][..5];
            let axes = [held(action[2]) - held(action[1]), held(action[4]) - held(action[3])];
            for axis in 0..2 {
                let expected = 0.1 * acceleration * f64::from(axes[axis]);
                let found = env.world(world).unwrap().velocities()[kind][axis];
                assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
            }
        }
    }
}

/// Means of an episode's values over `worlds` worlds played to the end.
fn play<R: Rules<World = Particles>>(
    env: &mut Vectorised<R>,
    mut act: impl FnMut(&Particles) -> Vec<u32>,
) -> Vec<(&'static str, f64)> {
    let worlds = env.spec().worlds;
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; worlds], &mut out).unwrap();
    while out.ended.contains(&false) {
        let chosen: Vec<Vec<u32>> = (0..worlds).map(|world| act(env.world(world).unwrap())).collect();
        let (mut actions, mut first) = (Vec::new(), 0);
        for kind in &env.spec().kinds {
            actions.extend(chosen.iter().flat_map(|own| &own[first..first + kind.count]).copied());
            first += kind.count;
        }
        env.step(&actions.into(), &mut out).unwrap();
    }
    let reports = env.take_reports();
    assert_eq!(reports.len(), worlds);
    let mut means = reports[0].values.clone();
    for (name, value) in &mut means {
        *value = reports.iter().map(|report| report.value(name).unwrap()).sum::<f64>() / worlds as f64;
    }
    means
}

fn value(means: &[(&'static str, f64)], name: &str) -> f64 {
    means.iter().find(|(n, _)| *n == name).unwrap().1
}

/// The movement that brings a point nearest to a place.
fn towards(position: [f64; 2], velocity: [f64; 2], place: [f64; 2]) -> u32 {
    let moves = [[0.0, 0.0], [-5.0, 0.0], [5.0, 0.0], [0.0, -5.0], [0.0, 5.0]];
    let off = |force: [f64; 2]| {
        // Where the point comes to rest: all later velocities are three quarters of the one before.
        let rest = |axis: usize| {
            position[axis] + 0.1 * velocity[axis] + 0.4 * (0.75 * velocity[axis] + 0.1 * force[axis])
                - place[axis]
        };
        rest(0).powi(2) + rest(1).powi(2)
    };
    (0..5).min_by(|a, b| off(moves[*a]).total_cmp(&off(moves[*b]))).unwrap() as u32
}

/// Published figures are sums over three agents of 300 episodes; here 4,000 worlds, within four of their deviations.
#[test]
fn known_play_of_simple_spread_is_paid_as_measured() {
    let mut random = Random::fresh();
    println!("seed {}", random.seed());
    let config = SimpleSpreadConfig { worlds: 4000, ..Default::default() };
    let mut env = SimpleSpread::new(config, random.bits()).unwrap();
    let total = 3.0 * value(&play(&mut env, |_| (0..3).map(|_| random.below(5) as u32).collect()), "return");
    assert!((total + 80.9).abs() < 4.0 * 1.4, "random play: {total}");
    let total = 3.0 * value(&play(&mut env, |_| vec![0; 3]), "return");
    assert!((total + 76.2).abs() < 4.0 * 1.4, "no-op: {total}");
    // The assignment of agents to landmarks with the least sum of distances.
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let far = |world: &Particles, order: &[usize; 3]| {
        let apart = |agent: usize| {
            let (a, b) = (world.agents()[agent], world.landmarks()[order[agent]]);
            (a[0] - b[0]).hypot(a[1] - b[1])
        };
        apart(0) + apart(1) + apart(2)
    };
    let means = play(&mut env, |world| {
        let order = orders.iter().min_by(|a, b| far(world, a).total_cmp(&far(world, b))).unwrap();
        let agent = |agent: usize| {
            towards(world.agents()[agent], world.velocities()[agent], world.landmarks()[order[agent]])
        };
        (0..3).map(agent).collect()
    });
    let total = 3.0 * value(&means, "return");
    println!("assignment: {total}, covered {}", value(&means, "covered"));
    assert!((total + 26.8).abs() < 4.0 * 0.6, "assignment: {total}");
    // Where two landmarks are nearer than two agents are wide, one stays uncovered.
    assert!((0.7..0.9).contains(&value(&means, "covered")));
}

#[test]
fn random_play_elsewhere_is_paid_as_measured() {
    let mut random = Random::fresh();
    println!("seed {}", random.seed());
    let seed = random.bits();
    let mut any = |count: usize, actions: usize| (0..count).map(|_| random.below(actions) as u32).collect();
    let check = |what: &str, got: f64, expected: f64, slack: f64| {
        assert!((got - expected).abs() < slack, "{what}: {got}, expected {expected}");
    };
    let mut env = SimpleTag::new(SimpleTagConfig { worlds: 3000, ..Default::default() }, seed).unwrap();
    let means = play(&mut env, |_| any(4, 5));
    check("adversaries", value(&means, "return_adversary"), 4.27, 3.0);
    check("prey", value(&means, "return_agent"), -16.4, 6.0);
    let mut env =
        SimpleAdversary::new(SimpleAdversaryConfig { worlds: 3000, ..Default::default() }, seed).unwrap();
    let means = play(&mut env, |_| any(3, 5));
    check("good", value(&means, "return_agent"), 6.84, 3.0);
    check("adversary", value(&means, "return_adversary"), -28.3, 3.0);
    let config = SimpleSpeakerListenerConfig { worlds: 3000, ..Default::default() };
    let mut env = SimpleSpeakerListener::new(config, seed).unwrap();
    let means = play(&mut env, |_| vec![any(1, 3)[0], any(1, 5)[0]]);
    check("speaker and listener", value(&means, "return"), -39.3, 5.0);
    let config = SimpleReferenceConfig { worlds: 3000, ..Default::default() };
    let mut env = SimpleReference::new(config, seed).unwrap();
    let means = play(&mut env, |_| any(2, 50));
    check("reference", value(&means, "return"), -28.3, 3.0);
}

/// More agents than MPE2's default: contacts come in pairs, so the middle of all velocities falls by damping alone.
#[test]
fn contacts_keep_the_sum_of_velocities() {
    let seed = Random::fresh().bits();
    println!("seed {seed}");
    let config = SimpleSpreadConfig { worlds: 1, agents: 12, ..Default::default() };
    let mut env = SimpleSpread::new(config, seed).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true], &mut out).unwrap();
    for _ in 0..25 {
        let sum = |env: &SimpleSpread, axis: usize| -> f64 {
            env.world(0).unwrap().velocities().iter().map(|v| v[axis]).sum()
        };
        let before = [sum(&env, 0), sum(&env, 1)];
        env.step(&[2; 12].into(), &mut out).unwrap();
        assert!((sum(&env, 0) - (0.75 * before[0] + 12.0 * 0.5)).abs() < 1e-9);
        assert!((sum(&env, 1) - 0.75 * before[1]).abs() < 1e-9);
    }
}
