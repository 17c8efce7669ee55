//! Recorded platoons of highway-env 1.12.1, and what is known of cruise control.

use serde_json::Value;
use synod::env::platoon::{Cacc, HighwayIdm, Integration, Loop};

fn rows(value: &Value) -> Vec<Vec<f64>> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

/// Every episode from its first state to its end: positions, speeds and accelerations.
#[test]
fn recorded_platoons_are_followed_to_their_end() {
    let Some(folder) = crate::mpe::data("platoon") else { return };
    let mut episodes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("highway-idm-") {
            continue;
        }
        let trace: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let number = |key: &str| trace[key].as_f64().unwrap();
        let idm = HighwayIdm::default();
        assert_eq!([idm.jam_distance, idm.time_gap], [number("jam_distance"), number("time_gap")]);
        assert_eq!([idm.limit, idm.speed_limit], [number("acc_max"), number("speed_limit")]);
        assert_eq!(
            [idm.acceleration, -idm.braking],
            [0, 1].map(|i| trace["comfort_acc"][i].as_f64().unwrap())
        );
        let [places, speeds, accelerations] = ["x", "speed", "acceleration"].map(|key| rows(&trace[key]));
        let changes = rows(&trace["leader_target_speeds"]);
        let (mut x, mut v) = (places[0].clone(), speeds[0].clone());
        let mut furthest = 0.0f64;
        for step in 0..accelerations.len() {
            let chosen: Vec<f64> = (0..x.len())
                .map(|n| match n {
                    0 => {
                        let last = changes.iter().rev().find(|change| change[0] as usize <= step);
                        idm.acceleration(v[0], last.map_or(number("target_speed"), |change| change[1]), None)
                    }
                    n => {
                        let ahead = (x[n - 1] - x[n], v[n] - v[n - 1]);
                        idm.acceleration(v[n], number("target_speed"), Some(ahead))
                    }
                })
                .collect();
            for n in 0..x.len() {
                let (way, speed) = Integration::Euler.step(v[n], chosen[n], number("dt"));
                (x[n], v[n]) = (x[n] + way, speed);
                let errors = [
                    chosen[n] - accelerations[step][n],
                    x[n] - places[step + 1][n],
                    v[n] - speeds[step + 1][n],
                ];
                furthest = errors.iter().fold(furthest, |most, error| most.max(error.abs()));
            }
        }
        println!("{name}: {} steps, at most {furthest:.1e} off", accelerations.len());
        assert!(furthest < 1e-5 && accelerations.len() >= 450, "{name}: {furthest}");
        episodes += 1;
    }
    assert!(episodes >= 4, "{episodes} episodes stand there");
}

/// The smallest time gaps that are string stable, with a lag of .1 s and a delay of .2 s and the published gains.
#[test]
fn the_smallest_time_gaps_are_those_known() {
    let known = [
        (None, 3.1622),
        (Some(0.0), 0.0),
        (Some(0.02), 0.2522),
        (Some(0.05), 0.3999),
        (Some(0.15), 0.6991),
        (Some(0.3), 1.0015),
    ];
    for (heard_after, smallest) in known {
        let vehicle = Loop { lag: 0.1, delay: 0.2, heard_after };
        let found = vehicle.smallest_time_gap(&Cacc::PUBLISHED);
        assert!((found - smallest).abs() < 3e-4, "{heard_after:?}: {found} for {smallest}");
    }
    // Where all is heard at once only the spacing remains.
    let vehicle = Loop { lag: 0.1, delay: 0.2, heard_after: Some(0.0) };
    for frequency in [0.01, 0.3, 2.0, 40.0] {
        let gamma = vehicle.gamma(&Cacc::PUBLISHED, frequency).norm();
        let spacing = 1.0 / (0.7 * frequency).hypot(1.0);
        assert!((gamma - spacing).abs() < 1e-12);
    }
}

/// Cars under the controller whose drives have no lag: with words a wave shrinks as `1/|1 + i h w|` says, and from a time
/// gap below sqrt(2/kp) on it grows without them.
#[test]
fn waves_under_cruise_control_are_those_of_the_formula() {
    let (step, frequency) = (0.002, 0.35);
    for (time_gap, heard) in [(0.7, true), (1.0, false), (4.0, false)] {
        let controller = Cacc { time_gap, ..Cacc::PUBLISHED };
        let heard_after = heard.then_some(0.0);
        let known = Loop { lag: 0.0, delay: 0.0, heard_after }.gamma(&controller, frequency).norm();
        // Leader and two followers about 20 m/s.
        let (mut x, mut v, mut told) = ([0.0; 3], [20.0; 3], [0.0; 3]);
        for n in 1..3 {
            x[n] = x[n - 1] - (controller.standstill + time_gap * 20.0);
        }
        let mut most = [0.0f64; 3];
        let seconds = 400.0;
        for i in 0..(seconds / step) as usize {
            let t = i as f64 * step;
            told[0] = 0.1 * frequency * (frequency * t).cos();
            let before = (x, v, told);
            for n in 1..3 {
                let ahead = if heard { before.2[n - 1] } else { 0.0 };
                let gap = before.0[n - 1] - before.0[n];
                let space = [gap, before.1[n] - before.1[n - 1]];
                told[n] = controller.command(before.2[n], ahead, [before.1[n], before.2[n]], space, step);
            }
            for n in 0..3 {
                let (way, speed) = Integration::Ballistic.step(v[n], told[n], step);
                (x[n], v[n]) = (x[n] + way, speed);
                if t > seconds - 40.0 {
                    most[n] = most[n].max((v[n] - 20.0).abs());
                }
            }
        }
        let driven = most[2] / most[1];
        assert!((driven - known).abs() < 0.01, "h {time_gap}, heard {heard}: {driven} for {known}");
        assert_eq!(driven > 1.0, !heard && time_gap < 10f64.sqrt());
    }
}
