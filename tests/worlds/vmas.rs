//! The worlds of VMAS against recorded episodes of `vmas` 1.5.2: every step from the recorded state before it.

use std::f64::consts::FRAC_PI_2;

use crate::games::fresh;
use crate::warehouse::{episodes, floats, list, whole};
use serde_json::Value;
use synod::env::vectorised::{Rules, Vectorised};
use synod::env::vmas::{
    GiveWayConfig, Integration, KinematicBicycle, KinematicBicycleConfig, Navigation, NavigationConfig, Pose,
    Scene, TransportConfig, WheelConfig,
};
use synod::env::{Buffers, VecEnv};

/// What is left out of a comparison.
#[derive(Clone, Copy, PartialEq)]
enum Parts {
    All,
    /// Rewards and observations are not those of this world.
    States,
}

fn pose(state: &Value) -> Pose {
    let numbers: Vec<f64> = list(state).iter().map(|number| number.as_f64().unwrap()).collect();
    let [x, y, vx, vy, rotation, spin] = numbers[..] else { panic!("{state}") };
    Pose { position: [x, y], velocity: [vx, vy], rotation, spin }
}

/// The poses of a recorded state by what their names begin with.
fn poses(trace: &Value, step: usize, names: &[&str]) -> Vec<Pose> {
    let entities = list(&trace["entities"]).iter().zip(list(&trace["states"][step]));
    let named = |entity: &Value| names.iter().any(|name| entity["name"].as_str().unwrap().starts_with(name));
    entities.filter(|(entity, _)| named(entity)).map(|(_, state)| pose(state)).collect()
}

/// Sets a world to a recorded state.
fn put<R: Rules<World = Scene>>(env: &mut Vectorised<R>, trace: &Value, step: usize) {
    let goals: Vec<[f64; 2]> = poses(trace, step, &["goal"]).iter().map(|goal| goal.position).collect();
    let agents = poses(trace, step, &["agent", "bicycle"]);
    let landmarks = poses(trace, step, &["package", "line", "wall", "ceil", "floor"]);
    let scene = env.world_mut(0).unwrap();
    assert_eq!(scene.agents().len(), agents.len());
    assert_eq!(scene.landmarks().len(), landmarks.len());
    assert_eq!(scene.goals().len(), goals.len());
    scene.put(&agents, &landmarks, &goals);
}

fn close(got: &[f64], expected: &[f64], within: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() <= within);
    assert!(near, "{what}: {got:?} is not {expected:?}");
}

fn numbers(pose: &Pose) -> Vec<f64> {
    vec![pose.position[0], pose.position[1], pose.velocity[0], pose.velocity[1], pose.rotation, pose.spin]
}

/// Replays every recorded episode of a world; `pay` is what rewards are scaled by. `ends`: what VMAS calls done ends an
/// episode.
fn replay<R: Rules<World = Scene>>(
    world: &str,
    least: usize,
    pay: f64,
    ends: bool,
    parts: Parts,
    rules: impl Fn(&Value) -> R,
) {
    let all = episodes("vmas-traces", 36);
    let own: Vec<_> = all.into_iter().filter(|(_, trace)| trace["env"] == world).collect();
    assert!(own.len() >= least || std::env::var_os("CI").is_none(), "{world}: {}", own.len());
    for (name, trace) in &own {
        let mut env = Vectorised::<R>::new(rules(trace), 1).unwrap();
        let mut out = Buffers::new(env.spec());
        let (agents, steps) = (env.spec().agents(), list(&trace["actions"]).len());
        let length = out.observations.len() / agents;
        env.reset(&[true], &mut out).unwrap();
        assert!(steps >= 60 && list(&trace["states"]).len() == steps + 1);
        for step in 0..steps {
            let what = format!("{name}, step {step}");
            if out.ended[0] {
                env.reset(&[true], &mut out).unwrap();
            }
            put(&mut env, trace, step);
            let actions: Vec<f32> = list(&trace["actions"][step]).iter().flat_map(floats).collect();
            env.step(&actions.into(), &mut out).unwrap();
            let scene = env.world(0).unwrap();
            let after = poses(trace, step + 1, &["agent", "bicycle", "package", "line"]);
            let movable = scene.agents().iter().chain(scene.landmarks());
            for (body, expected) in movable.zip(&after) {
                close(&numbers(body), &numbers(expected), 1e-5, &what);
            }
            if parts == Parts::States {
                continue;
            }
            let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
            let paid = wide(floats(&trace["rewards"][step]));
            close(&wide(out.rewards.clone()), &paid, 1e-5 * pay, &format!("{what}: rewards"));
            let done = whole(&trace["done"][step]) == 1;
            assert_eq!(out.terminated.iter().all(|end| *end), done && ends, "{what}");
            if let Some(seen) = trace["observations"].get((step + 1).to_string()) {
                for (agent, expected) in list(seen).iter().enumerate() {
                    let got = wide(out.observations[agent * length..][..length].to_vec());
                    close(&got, &wide(floats(expected)), 1e-5, &format!("{what}: {agent} sees"));
                }
            }
        }
    }
}

fn setting(trace: &Value, key: &str, default: f64) -> f64 {
    trace["settings"].get(key).map_or(default, |value| value.as_f64().unwrap())
}

#[test]
fn every_recorded_world_is_replayed_by_a_test() {
    let known = ["navigation", "transport", "wheel", "kinematic_bicycle", "give_way", "road_traffic"];
    for (name, trace) in episodes("vmas-traces", 36) {
        assert!(known.contains(&trace["env"].as_str().unwrap()), "{name}: no test replays {}", trace["env"]);
    }
}

#[test]
fn navigation_is_replayed() {
    replay("navigation", 12, 1.0, true, Parts::All, |trace| {
        let flag = |key: &str, default| trace["settings"].get(key).map_or(default, |v| v.as_bool().unwrap());
        NavigationConfig {
            worlds: 1,
            agents: setting(trace, "n_agents", 4.0) as usize,
            lidar_range: setting(trace, "lidar_range", 0.35),
            shared: flag("shared_rew", true),
            bounded: flag("enforce_bounds", false),
            max_episode_steps: 1000,
            ..NavigationConfig::default()
        }
    });
}

#[test]
fn transport_is_replayed() {
    // Rewards are 100 times a difference of distances.
    replay("transport", 8, 10.0, true, Parts::All, |trace| TransportConfig {
        worlds: 1,
        agents: setting(trace, "n_agents", 4.0) as usize,
        package_mass: setting(trace, "package_mass", 50.0),
        max_episode_steps: 1000,
    });
}

#[test]
fn the_wheel_is_replayed() {
    let rules = |_: &Value| WheelConfig { worlds: 1, max_episode_steps: 1000, ..WheelConfig::default() };
    replay("wheel", 4, 1.0, false, Parts::All, rules);
}

#[test]
fn giving_way_is_replayed() {
    let rules = |_: &Value| GiveWayConfig { worlds: 1, max_episode_steps: 1000 };
    replay("give_way", 4, 1.0, false, Parts::All, rules);
}

/// A bicycle as a recorded vehicle says.
fn bicycle(trace: &Value) -> KinematicBicycleConfig {
    let vehicle = &trace["entities"][0];
    let number = |key: &str| vehicle[key].as_f64().unwrap();
    KinematicBicycleConfig {
        worlds: 1,
        agents: list(&trace["entities"]).len(),
        goals: false,
        seconds: trace["dt"].as_f64().unwrap(),
        parts: whole(&trace["substeps"]),
        front: number("l_f"),
        rear: number("l_r"),
        size: [number("length"), number("width")],
        steering: number("max_steering_angle").to_degrees(),
        reach: ["x_semidim", "y_semidim"].map(|key| trace[key].as_f64().unwrap_or(1e6)),
        integration: serde_json::from_value(vehicle["integration"].clone()).unwrap(),
        max_episode_steps: 1000,
    }
}

#[test]
fn bicycles_are_replayed() {
    replay("kinematic_bicycle", 4, 1.0, false, Parts::All, bicycle);
}

/// The vehicles of VMAS's road traffic are bicycles of another size; its lanes and what it pays are not here.
#[test]
fn vehicles_of_road_traffic_are_replayed() {
    replay("road_traffic", 4, 1.0, false, Parts::States, bicycle);
}

/// A bicycle that is to go a quarter of a circle, in small steps: it ends where geometry says.
#[test]
fn a_bicycle_drives_in_circles() {
    for integration in [Integration::Euler, Integration::Rk4] {
        // Without slip at the middle's own axle the radius is the wheelbase over the tangent of the steering.
        let config = KinematicBicycleConfig {
            worlds: 1,
            agents: 1,
            seconds: 0.01,
            parts: 1,
            integration,
            max_episode_steps: 100_000,
            ..KinematicBicycleConfig::default()
        };
        let mut env = KinematicBicycle::new(config, 1).unwrap();
        let mut out = Buffers::new(env.spec());
        env.reset(&[true], &mut out).unwrap();
        env.world_mut(0).unwrap().put(&[Pose::default()], &[], &[]);
        // Turns by the angle that it goes along: what a step of drag costs it does not change the circle.
        let steering = 0.3f64;
        let mut before = env.world(0).unwrap().agents()[0].rotation;
        for _ in 0..4000 {
            env.step(&vec![0.4, steering as f32].into(), &mut out).unwrap();
            let now = env.world(0).unwrap().agents()[0].rotation;
            assert!(now >= before, "it turns to the left");
            before = now;
            if now >= FRAC_PI_2 {
                break;
            }
        }
        assert!(before >= FRAC_PI_2, "{before}");
        let [x, y] = env.world(0).unwrap().agents()[0].position;
        let slip = (steering.tan() / 2.0).atan();
        let radius = 0.2 / (slip.cos() * steering.tan());
        let expected = [
            radius * ((FRAC_PI_2 + slip).sin() - slip.sin()),
            radius * (slip.cos() - (FRAC_PI_2 + slip).cos()),
        ];
        assert!(
            (x - expected[0]).abs() < 0.02 && (y - expected[1]).abs() < 0.02,
            "{x} {y}, not {expected:?}"
        );
    }
}

/// Whoever heads for its goal gets there and is paid the way, one by one or all together.
#[test]
fn known_play_of_navigation_is_paid_the_way() {
    for shared in [true, false] {
        let config = NavigationConfig { worlds: 200, shared, collision_cost: 0.0, ..Default::default() };
        let mut env = Navigation::new(config, fresh().bits()).unwrap();
        let mut out = Buffers::new(env.spec());
        env.reset(&[true; 200], &mut out).unwrap();
        let start = out.observations.clone();
        let mut paid = vec![0.0; 800];
        while out.ended.contains(&false) {
            // A spring with a damper.
            let steer = |seen: &[f32]| [0, 1].map(|axis| -2.0 * seen[4 + axis] - 1.0 * seen[2 + axis]);
            let actions: Vec<f32> = out.observations.chunks_exact(18).flat_map(steer).collect();
            env.step(&actions.into(), &mut out).unwrap();
            paid.iter_mut().zip(&out.rewards).for_each(|(sum, reward)| *sum += reward);
        }
        let reports = env.take_reports();
        let arrived = reports.iter().filter(|report| report.value("on_goal") == Some(1.0)).count();
        assert!(arrived > 150, "{arrived}");
        for (world, paid) in paid.chunks_exact(4).enumerate() {
            let far = |seen: &[f32]| seen[4].hypot(seen[5]);
            let gain: Vec<f32> = (4 * world..4 * world + 4)
                .map(|lane| far(&start[lane * 18..][..18]) - far(&out.observations[lane * 18..][..18]))
                .collect();
            let all: f32 = gain.iter().sum();
            for (paid, own) in paid.iter().zip(gain) {
                let expected = if shared { all } else { own };
                // The bonus of a hundredth a step comes on top, for the few steps between .1 and .05.
                assert!(*paid > expected - 1e-3 && *paid < expected + 0.2, "{paid}, not {expected}");
            }
        }
    }
}
