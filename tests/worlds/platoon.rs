//! Platoons: on the road, and as a regulator.

use crate::games::fresh;
use crate::random::Random;
use synod::env::platoon::{
    Driver, Idm, PayConfig, PlatoonConfig, Profile, Regulator, RegulatorConfig, RegulatorRules, Road,
    RoadConfig, RoadRules, Sight, Task, Traffic,
};
use synod::env::{Buffers, EpisodeReport, VecEnv, WorldConfig, WorldSettings};

/// A world of cars on one lane that nothing holds up but the leader.
fn column(cars: usize, step: f64, seconds: f64, leader: Profile) -> PlatoonConfig {
    PlatoonConfig {
        worlds: 1,
        trucks: 0,
        cars,
        emergency: 0,
        step,
        max_episode_steps: (seconds / step) as usize,
        task: Task::Road(Box::new(RoadConfig {
            lanes: 1,
            leader,
            spread: 0.0,
            assist: false,
            ..RoadConfig::default()
        })),
    }
}

fn road(config: PlatoonConfig, seed: u64) -> (Road, Buffers) {
    let worlds = config.worlds;
    let env = Road::new(RoadRules::new(config).unwrap(), seed).unwrap();
    let mut out = Buffers::new(env.spec());
    let mut env = env;
    env.reset(&vec![true; worlds], &mut out).unwrap();
    (env, out)
}

/// Lets every agent of every world act by `act`.
fn actions(env: &Road, mut act: impl FnMut(&RoadRules, &Traffic, usize) -> Vec<f32>) -> Vec<f32> {
    let spec = env.spec();
    let (mut all, mut first) = (Vec::new(), 0);
    for kind in &spec.kinds {
        for world in 0..spec.worlds {
            for number in first..first + kind.count {
                all.extend(act(env.rules(), env.world(world).unwrap(), number));
            }
        }
        first += kind.count;
    }
    all
}

fn drive(env: &mut Road, out: &mut Buffers, act: impl FnMut(&RoadRules, &Traffic, usize) -> Vec<f32>) {
    let actions = actions(env, act);
    env.step(&actions.into(), out).unwrap();
}

fn mean(reports: &[EpisodeReport], name: &str) -> f64 {
    reports.iter().map(|report| report.value(name).unwrap()).sum::<f64>() / reports.len() as f64
}

/// The amplitude of a wave of that angular frequency in speeds that are `step` seconds apart, over whole waves.
fn amplitude(speeds: &[f64], frequency: f64, step: f64) -> f64 {
    let mean = speeds.iter().sum::<f64>() / speeds.len() as f64;
    let part = |turn: fn(f64) -> f64| {
        let each = speeds.iter().enumerate().map(|(i, v)| (v - mean) * turn(frequency * i as f64 * step));
        each.sum::<f64>()
    };
    2.0 * part(f64::sin).hypot(part(f64::cos)) / speeds.len() as f64
}

/// The ratio of a small wave's amplitude in the second car behind the leader to that in the first, driven in the world.
fn ratio(idm: Idm, speed: f64, frequency: f64, step: f64) -> f64 {
    let period = std::f64::consts::TAU / frequency;
    let (settle, waves) = (600.0, (60.0 / period).ceil());
    let leader = Profile::Sinusoid { speed, amplitude: 0.02, period };
    let (mut env, mut out) = road(column(2, step, settle + waves * period + 2.0, leader), 1);
    let mut speeds = [const { Vec::new() }; 2];
    let last = ((settle + waves * period) / step).round() as usize;
    for i in 0..last {
        drive(&mut env, &mut out, |rules, traffic, n| {
            let acceleration = idm.acceleration(traffic.vehicles()[n].speed, rules.ahead(traffic, n));
            vec![rules.action(n, acceleration)]
        });
        if i >= (settle / step) as usize {
            let traffic = env.world(0).unwrap();
            // Which of the two is ahead was drawn.
            let first = usize::from(traffic.ahead(0) == Some(1));
            speeds[0].push(traffic.vehicles()[first].speed);
            speeds[1].push(traffic.vehicles()[1 - first].speed);
        }
    }
    amplitude(&speeds[1], frequency, step) / amplitude(&speeds[0], frequency, step)
}

fn idm(acceleration: f64) -> Idm {
    Idm { desired_speed: 30.0, time_gap: 1.5, jam_distance: 2.0, acceleration, braking: 1.5 }
}

/// Equilibrium gaps, and margins of string stability for a = .3, 1 and 2.
const KNOWN: [(f64, f64, [f64; 3]); 5] = [
    (5.0, 9.5037, [-0.07256, -0.04908, 0.32669]),
    (10.0, 17.1059, [-0.03845, -0.02879, 0.14754]),
    (15.0, 25.3035, [-0.02266, -0.00770, 0.12125]),
    (20.0, 35.7220, [-0.01033, 0.01728, 0.13874]),
    (25.0, 54.8957, [0.00015, 0.03817, 0.15512]),
];

/// The frequency at which waves grow most, or fade least, of those from .02 to 1.
fn worst(idm: Idm, speed: f64) -> f64 {
    let frequencies = (0..200).map(|i| 0.02 * 50f64.powf(f64::from(i) / 199.0));
    frequencies.max_by(|a, b| idm.amplification(speed, *a).total_cmp(&idm.amplification(speed, *b))).unwrap()
}

#[test]
fn waves_grow_where_the_margin_is_below_0_and_fade_above() {
    for (speed, gap, margins) in KNOWN {
        for (a, margin) in [0.3, 1.0, 2.0].into_iter().zip(margins) {
            let idm = idm(a);
            assert!((idm.equilibrium_gap(speed) - gap).abs() < 1e-4);
            let balance = idm.acceleration(speed, Some((idm.equilibrium_gap(speed), 0.0)));
            assert!(balance.abs() < 1e-12, "{balance}");
            assert!((idm.margin(speed) - margin).abs() < 1e-5, "{a} {speed}: {}", idm.margin(speed));
            // The derivatives against differences.
            let at = |gap: f64, v: f64, closing: f64| idm.acceleration(v, Some((gap, closing)));
            let (g, h) = (idm.equilibrium_gap(speed), 1e-5);
            let differences = [
                at(g + h, speed, 0.0) - at(g - h, speed, 0.0),
                at(g, speed + h, 0.0) - at(g, speed - h, 0.0),
                at(g, speed, h) - at(g, speed, -h),
            ];
            for (formula, difference) in idm.derivatives(speed).into_iter().zip(differences) {
                assert!((formula - difference / (2.0 * h)).abs() < 1e-6);
            }
            // Where the limit is at low frequencies, waves that are slow enough to tell take too long to drive.
            let frequency = worst(idm, speed).max(0.05);
            let known = idm.amplification(speed, frequency);
            let driven = ratio(idm, speed, frequency, 0.005);
            println!(
                "a {a}, {speed} m/s, margin {margin}: {driven:.5} at {frequency:.4}, by formula {known:.5}"
            );
            assert!((driven - known).abs() < 5e-4, "{driven} for {known}");
            assert_eq!(driven > 1.0, margin < 0.0, "{driven} where the margin is {margin}");
        }
    }
    // Steps of .02 s, as long as those of the record.
    for (a, known) in [(0.3, 0.9059), (1.0, 0.9582), (2.0, 0.9275)] {
        let driven = ratio(idm(a), 15.0, 0.2, 0.02);
        assert!((driven - known).abs() < 1e-3, "{driven} for {known}");
    }
}

#[test]
fn the_worlds_measure_of_stability_is_that_of_its_drivers() {
    // Waves of 31 s at 10 m/s: .3 m/s^2 lets them grow, 2 m/s^2 does not.
    for (a, grows) in [(0.3, true), (2.0, false)] {
        let idm = idm(a);
        let leader = Profile::Sinusoid { speed: 10.0, amplitude: 0.5, period: 50.0 };
        let (mut env, mut out) = road(column(5, 0.1, 300.0, leader), 3);
        while !out.ended[0] {
            drive(&mut env, &mut out, |rules, traffic, n| {
                vec![rules.action(n, idm.acceleration(traffic.vehicles()[n].speed, rules.ahead(traffic, n)))]
            });
        }
        let stability = env.take_reports()[0].value("string_stability").unwrap();
        assert_eq!(stability > 1.0, grows, "{stability}");
    }
}

/// Driven by nobody, driven by chance, driven as hard as can be: the assistant keeps all apart, also kinds that brake
/// differently and a leader that brakes hard.
#[test]
fn the_assistant_lets_nobody_collide() {
    let mut random = fresh();
    let stops = Profile::StopAndGo { speed: 25.0, go: 8.0, hold: 2.0, braking: 9.0, acceleration: 3.0 };
    for (step, lanes, leader) in
        [(0.1, 1, stops), (0.5, 3, stops), (1.0, 2, stops), (0.5, 2, Profile::Constant { speed: 22.0 })]
    {
        let task =
            RoadConfig { lanes, leader, offset: 30.0, spread: 0.0, time_gap: 0.1, ..RoadConfig::default() };
        for mode in 0..3 {
            let config = PlatoonConfig {
                worlds: 60,
                trucks: 4,
                cars: 5,
                emergency: 2,
                step,
                max_episode_steps: 150,
                task: Task::Road(Box::new(RoadConfig { driven_cars: 2, driven_trucks: 1, ..task.clone() })),
            };
            let (mut env, mut out) = road(config, random.bits());
            while out.ended.contains(&false) {
                drive(&mut env, &mut out, |rules, _, _| {
                    let numbers = if rules.config().emergency > 0 && lanes > 1 { 2 } else { 1 };
                    (0..numbers)
                        .map(|_| match mode {
                            0 => 1.0,
                            1 => random.uniform(-1.0, 1.0) as f32,
                            _ => {
                                if random.below(2) == 0 {
                                    -1.0
                                } else {
                                    1.0
                                }
                            }
                        })
                        .collect()
                });
            }
            let reports = env.take_reports();
            assert_eq!(mean(&reports, "collisions"), 0.0, "step {step}, {lanes} lanes, mode {mode}");
            let smallest = reports.iter().map(|r| r.value("smallest_gap").unwrap()).fold(1e9, f64::min);
            assert!(smallest > 0.99, "{smallest}");
        }
    }
}

/// Without it whoever does not brake runs into the leader, and the episode ends there.
#[test]
fn without_the_assistant_collisions_are_counted() {
    let leader = Profile::Constant { speed: 5.0 };
    let (mut env, mut out) = road(column(3, 0.5, 200.0, leader), 1);
    let mut steps = 0;
    while !out.ended[0] {
        drive(&mut env, &mut out, |_, _, _| vec![1.0]);
        steps += 1;
    }
    let reports = env.take_reports();
    assert!(steps < 60 && out.terminated[0] && reports[0].value("collisions") >= Some(1.0));
    assert!(reports[0].value("smallest_gap") < Some(0.0));
}

/// A vehicle by itself on a flat road: positions, energy and time by hand.
#[test]
fn a_drive_by_hand() {
    let mut config = column(0, 0.5, 50.0, Profile::Constant { speed: 20.0 });
    config.emergency = 1;
    if let Task::Road(road) = &mut config.task {
        road.lanes = 2;
    }
    // It starts in one of two lanes, and here not in the leader's.
    let started = (0..).map(|seed| road(config.clone(), seed));
    let (mut env, mut out) =
        started.into_iter().find(|(env, _)| env.world(0).unwrap().vehicles()[0].lane == 1).unwrap();
    let (mut position, mut speed, mut energy, mut jerk, mut before) = (0.0, 20.0f64, 0.0, 0.0, 0.0f64);
    let mut arrived = None;
    for step in 0..100 {
        // Half of 2.5 m/s^2 for 10 s, then half of braking (4 m/s^2) for 1 s, then nothing.
        let (part, a) = match step {
            0..20 => (0.5f32, 1.25),
            20..22 => (-0.5, -4.0),
            _ => (0.0, 0.0),
        };
        drive(&mut env, &mut out, |_, _, _| vec![part, 0.0]);
        let middle = speed + a * 0.25;
        let force = 3500.0 * a + 0.5 * 1.225 * 1.6 * middle * middle + 3500.0 * 9.81 * 0.012;
        energy += (force * middle).max(0.0) * 0.5;
        jerk += (a - before).abs() / 0.5;
        before = a;
        if arrived.is_none() && position + middle * 0.5 >= 1000.0 {
            arrived = Some(f64::from(step) * 0.5 + (1000.0 - position) / middle);
        }
        (position, speed) = (position + middle * 0.5, speed + a * 0.5);
        let vehicle = env.world(0).unwrap().vehicles()[0];
        assert!((vehicle.speed - speed).abs() < 1e-6 && vehicle.acceleration == a);
        assert!((f64::from(out.observations[2]) - speed / 30.0).abs() < 1e-6);
        let Task::Road(road) = &config.task else { unreachable!() };
        let PayConfig { speed: by_speed, jerk: by_jerk, .. } = road.pay;
        assert!(by_speed == 1.0 && by_jerk == 0.1);
        if step == 30 {
            // Steady: its own speed, energy against that at 36 m/s, its urgency.
            let lacks = (36.0 - speed) / 36.0;
            let resists = |v: f64| (0.5 * 1.225 * 1.6 * v * v + 3500.0 * 9.81 * 0.012) * v;
            let due = lacks + 0.02 * resists(speed) / resists(36.0) + 2.0 * vehicle.criticality * lacks;
            assert!((f64::from(out.rewards[0]) + due).abs() < 1e-5, "{} {due}", out.rewards[0]);
        }
    }
    let report = &env.take_reports()[0];
    let close = |name: &str, known: f64| {
        let value = report.value(name).unwrap();
        assert!((value / known - 1.0).abs() < 1e-6, "{name}: {value} for {known}");
    };
    close("energy", energy / 1e6 / (position / 1e3));
    close("jerk", jerk / 100.0);
    close("emergency_travel_time", arrived.unwrap());
}

#[test]
fn vehicles_see_their_lanes_and_criticality_is_the_emergency_vehicles_own() {
    let mut random = fresh();
    let config = PlatoonConfig { worlds: 40, ..PlatoonConfig::default() };
    let (mut env, mut out) = road(config, random.bits());
    let mut sides = [0; 3];
    for _ in 0..60 {
        let spec = env.spec().clone();
        let mut rows = out.observations.chunks(spec.kinds[0].observation[0]);
        let mut first = 0;
        for kind in &spec.kinds {
            for world in 0..spec.worlds {
                let traffic = env.world(world).unwrap();
                for n in first..first + kind.count {
                    let seen = rows.next().unwrap();
                    let own = traffic.vehicles()[n];
                    let critical = if kind.name == "emergency" { own.criticality as f32 } else { 0.0 };
                    assert_eq!(seen[synod::env::platoon::CRITICALITY], critical);
                    for (side, lane) in
                        [Some(own.lane), Some(own.lane + 1), own.lane.checked_sub(1)].iter().enumerate()
                    {
                        let part = &seen[8 + 7 * side..][..7];
                        let Some(lane) = lane.filter(|lane| *lane < 2) else {
                            assert_eq!(part, [0.0; 7]);
                            continue;
                        };
                        // The nearest ahead and behind, by looking at all.
                        let mut nearest = [(f64::INFINITY, 0.0); 2];
                        for (other, vehicle) in traffic.vehicles().iter().enumerate() {
                            if other == n || vehicle.lane != lane {
                                continue;
                            }
                            let away = vehicle.position - own.position;
                            let is_ahead = away > 0.0 || (away == 0.0 && other < n);
                            let length = env.rules().body(if is_ahead { other } else { n }).length;
                            let at = usize::from(!is_ahead);
                            if away.abs() - length < nearest[at].0 {
                                nearest[at] = (away.abs() - length, own.speed - vehicle.speed);
                            }
                        }
                        for ((gap, closing), (at, sight)) in nearest.into_iter().zip([(1, 150.0), (4, 20.0)])
                        {
                            let known = if gap <= sight {
                                sides[side] += 1;
                                let gap = gap.max(0.0);
                                [(gap / (gap + 30.0)) as f32, (closing / 10.0) as f32, 1.0]
                            } else {
                                [1.0, 0.0, 0.0]
                            };
                            assert_eq!(part[at..at + 3], known, "{} {n}, side {side}", kind.name);
                        }
                    }
                }
            }
            first += kind.count;
        }
        drive(&mut env, &mut out, |_, _, _| (0..2).map(|_| random.uniform(-1.0, 1.0) as f32).collect());
    }
    assert!(sides.iter().all(|seen| *seen > 1000), "{sides:?}");
}

/// Rules with full information: what learned driving is measured against. Emergency vehicles that nobody makes room for
/// are slower.
#[test]
fn rules_that_make_room_let_emergency_vehicles_pass() {
    let seed = fresh().bits();
    let time = |makes_room: bool| {
        let (mut env, mut out) = road(PlatoonConfig { worlds: 1000, ..PlatoonConfig::default() }, seed);
        while out.ended.contains(&false) {
            drive(&mut env, &mut out, |rules, traffic, n| rules.scripted(traffic, n, makes_room));
        }
        let reports = env.take_reports();
        assert_eq!((reports.len(), mean(&reports, "collisions")), (1000, 0.0));
        let time = mean(&reports, "emergency_travel_time");
        let apart = |report: &EpisodeReport| (report.value("emergency_travel_time").unwrap() - time).powi(2);
        println!("{time:.2} +- {:.2} s", (reports.iter().map(apart).sum::<f64>() / 999_000.0).sqrt());
        time
    };
    let (with, without) = (time(true), time(false));
    println!("emergency vehicles take {with:.2} s where others make room, {without:.2} s where none do");
    assert!(with + 0.5 < without, "{with} and {without}");
}

#[test]
fn cruise_control_follows_closer_than_drivers_and_in_peace() {
    let leader = Profile::Sinusoid { speed: 20.0, amplitude: 2.0, period: 30.0 };
    let run = |driver: Driver| {
        let mut config = column(1, 0.1, 200.0, leader);
        if let Task::Road(road) = &mut config.task {
            (road.driven_cars, road.driver, road.assist, road.time_gap) = (6, driver, true, 1.2);
        }
        let (mut env, mut out) = road(config, 4);
        while !out.ended[0] {
            drive(&mut env, &mut out, |rules, traffic, n| {
                let wanted = rules.idm(n).acceleration(traffic.vehicles()[n].speed, rules.ahead(traffic, n));
                vec![rules.action(n, wanted)]
            });
        }
        let report = env.take_reports().remove(0);
        assert_eq!(report.value("collisions"), Some(0.0));
        report.value("string_stability").unwrap()
    };
    let (idm, cacc) = (run(Driver::Idm), run(Driver::Cacc));
    assert!(cacc < 1.0, "{cacc} with words, {idm} without");
}

fn regulated(vehicles: [usize; 3], lag: f64, sight: Sight) -> PlatoonConfig {
    let [trucks, cars, emergency] = vehicles;
    let task = Task::Regulator(RegulatorConfig { lag, sight, ..RegulatorConfig::default() });
    PlatoonConfig { worlds: 50, trucks, cars, emergency, step: 0.25, max_episode_steps: 40, task }
}

/// Plays the recursion's gains, changed by `change`; the cost ratios.
fn ratios(config: PlatoonConfig, seed: u64, change: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let worlds = config.worlds;
    let mut env = Regulator::new(RegulatorRules::new(config.clone()).unwrap(), seed).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; worlds], &mut out).unwrap();
    for step in 0..config.max_episode_steps {
        let best: Vec<Vec<f64>> =
            (0..worlds).map(|world| env.rules().best(step, env.world(world).unwrap().state())).collect();
        let (mut actions, mut first) = (Vec::new(), 0);
        for count in config.counts() {
            for best in &best {
                actions.extend((first..first + count).map(|n| change(n, best[n]) as f32));
            }
            first += count;
        }
        env.step(&actions.into(), &mut out).unwrap();
    }
    let reports = env.take_reports();
    assert!(out.terminated.iter().all(|ended| *ended) && reports.len() == worlds);
    reports.iter().map(|report| report.value("cost_ratio").unwrap()).collect()
}

#[test]
fn the_best_control_costs_what_the_recursion_says_and_any_other_more() {
    let seed = fresh().bits();
    for (vehicles, lag) in [([0, 4, 0], 0.0), ([2, 2, 1], 0.5), ([1, 0, 0], 0.1), ([3, 0, 3], 2.0)] {
        let config = regulated(vehicles, lag, Sight::Full);
        for ratio in ratios(config.clone(), seed, |_, best| best) {
            assert!((ratio - 1.0).abs() < 1e-4, "{ratio}");
        }
        // All gains too large or too small, or those of one vehicle alone.
        let others: [&dyn Fn(usize, f64) -> f64; 4] = [
            &|_, best| 1.05 * best,
            &|_, best| 0.95 * best,
            &|n, best| if n == 0 { 0.9 * best } else { best },
            &|_, _| 0.0,
        ];
        for other in others {
            let ratios = ratios(config.clone(), seed, other);
            assert!(ratios.iter().all(|ratio| *ratio > 1.0 - 1e-6), "{ratios:?}");
            assert!(ratios.iter().sum::<f64>() / 50.0 > 1.0001, "{ratios:?}");
        }
    }
}

/// The step of the regulator against small steps of the equations, lag included.
#[test]
fn the_regulators_step_is_exact() {
    for lag in [0.0, 0.4] {
        let config = PlatoonConfig { worlds: 1, ..regulated([0, 3, 0], lag, Sight::Ahead) };
        let mut env = Regulator::new(RegulatorRules::new(config).unwrap(), 5).unwrap();
        let mut out = Buffers::new(env.spec());
        env.reset(&[true], &mut out).unwrap();
        let each = if lag > 0.0 { 3 } else { 2 };
        for round in 0..3 {
            let mut state = env.world(0).unwrap().state().to_vec();
            let told = [2.0, -4.0, 0.8 * f64::from(round)];
            let small = 0.25 / 10_000.0;
            for _ in 0..10_000 {
                let speeds: Vec<f64> = state.chunks(each).map(|v| v[1]).collect();
                for n in 0..3 {
                    let ahead = if n > 0 { speeds[n - 1] } else { 0.0 };
                    let a = if lag > 0.0 { state[each * n + 2] } else { told[n] };
                    state[each * n] += small * (ahead - speeds[n]);
                    state[each * n + 1] += small * a;
                    if lag > 0.0 {
                        state[each * n + 2] += small * (told[n] - a) / lag;
                    }
                }
            }
            env.step(&told.map(|u| u as f32).to_vec().into(), &mut out).unwrap();
            let now = env.world(0).unwrap().state();
            assert!(state.iter().zip(now).all(|(a, b)| (a - b).abs() < 1e-3), "{state:?} {now:?}");
            // What the last sees: its own errors, those of the one ahead, the time.
            let seen = &out.observations[2 * (2 * each + 1)..];
            let sizes = [2.0, 1.0, 8.0];
            let scaled = |n: usize| (0..each).map(move |i| (now[each * n + i] / sizes[i]) as f32);
            let known: Vec<f32> = scaled(2).chain(scaled(1)).chain([(round + 1) as f32 / 40.0]).collect();
            assert_eq!(seen, known);
        }
    }
}

#[test]
fn settings_that_do_not_fit_are_refused_by_name() {
    let base = PlatoonConfig::default();
    let with = |change: &dyn Fn(&mut PlatoonConfig, &mut RoadConfig)| {
        let (mut config, mut road) = (base.clone(), RoadConfig::default());
        change(&mut config, &mut road);
        PlatoonConfig { task: Task::Road(Box::new(road)), ..config }
    };
    let regulator = |change: &dyn Fn(&mut PlatoonConfig, &mut RegulatorConfig)| {
        let (mut config, mut regulator) = (base.clone(), RegulatorConfig::default());
        change(&mut config, &mut regulator);
        PlatoonConfig { task: Task::Regulator(regulator), ..config }
    };
    let wave = |amplitude: f64| Profile::Sinusoid { speed: 5.0, amplitude, period: 10.0 };
    for (config, key) in [
        (with(&|c, _| (c.trucks, c.cars, c.emergency) = (0, 0, 0)), "world.cars"),
        (with(&|c, _| c.trucks = usize::MAX), "world.trucks"),
        (with(&|c, _| c.emergency = 65), "world.emergency"),
        (with(&|c, _| c.step = 0.0), "world.step"),
        (with(&|c, _| c.step = f64::NAN), "world.step"),
        (with(&|c, _| c.max_episode_steps = 0), "world.max_episode_steps"),
        (with(&|c, _| c.worlds = usize::MAX), "world.worlds"),
        (with(&|_, r| r.lanes = 0), "world.task.lanes"),
        (with(&|_, r| r.lanes = 1 << 40), "world.task.lanes"),
        (with(&|_, r| r.driven_cars = 65), "world.task.driven_cars"),
        (with(&|_, r| r.truck.mass = -1.0), "world.task.truck.mass"),
        (with(&|_, r| r.car.braking = 0.0), "world.task.car.braking"),
        (with(&|_, r| r.car.desired_speed = 50.0), "world.task.car.desired_speed"),
        (with(&|_, r| r.leader = wave(6.0)), "world.task.leader.amplitude"),
        (with(&|_, r| r.leader = wave(f64::INFINITY)), "world.task.leader.amplitude"),
        (with(&|_, r| r.pay.emergency = -1.0), "world.task.pay.emergency"),
        (with(&|_, r| r.sight = 0.0), "world.task.sight"),
        (regulator(&|c, _| c.cars = 40), "world.cars"),
        (regulator(&|c, _| c.max_episode_steps = 1001), "world.max_episode_steps"),
        (regulator(&|_, r| r.control_cost = 0.0), "world.task.control_cost"),
        (regulator(&|_, r| r.start_gap = 0.0), "world.task.start_gap"),
        (regulator(&|_, r| r.lag = -1.0), "world.task.lag"),
    ] {
        let error = WorldSettings::build(&config, 1).err().expect(key).to_string();
        assert!(error.contains(&format!("`{key}`")), "{error}, expected {key}");
    }
    // The ends of every range build and can be driven.
    let mut random = Random::seeded(3);
    for (config, steps) in [
        (with(&|c, r| (c.trucks, c.cars, c.emergency, c.worlds, r.lanes) = (64, 64, 64, 2, 16)), 20),
        (with(&|c, r| (c.step, c.worlds, r.car.braking, r.truck.braking) = (1e-3, 3, 0.5, 15.0)), 50),
        (regulator(&|c, r| (c.worlds, r.control_cost, r.gap_cost, r.lag) = (2, 1e-3, 1e3, 5.0)), 40),
    ] {
        let mut env = WorldConfig::new(config).build(1).unwrap();
        let mut out = Buffers::new(env.spec());
        env.reset(&vec![true; env.spec().worlds], &mut out).unwrap();
        for _ in 0..steps {
            let actions = crate::games::play(&*env, &out, &mut random);
            env.step(&actions, &mut out).unwrap();
            assert!(out.observations.iter().chain(&out.rewards).all(|x| x.is_finite()));
        }
    }
}
