//! Roads: what is known of free ways, queues, signals and the best way to drive, and what the safeguard keeps.

use crate::games::{fresh, play};
use crate::random::Random;
use synod::action::Actions;
use synod::env::platoon::Idm;
use synod::env::roads::{
    ActionKind, Approach, CarConfig, ControlConfig, Driver, FreeFlow, Meeting, Model, NetworkConfig,
    PayConfig, Plan, Pose, Roads, RoadsConfig, RoadsRules, Signals, steered, touch, uniform_delay,
    webster_cycle,
};
use synod::env::{Buffers, EpisodeReport, VecEnv, WorldConfig};

fn four_way() -> NetworkConfig {
    NetworkConfig::FourWay { lanes: 1, entry: 100.0, exit: 50.0 }
}

fn grid(lanes: usize) -> NetworkConfig {
    NetworkConfig::Grid { columns: 3, rows: 2, lanes, spacing: 120.0, entry: 80.0, exit: 50.0 }
}

fn roundabout() -> NetworkConfig {
    NetworkConfig::Roundabout { arms: 4, radius: 22.0, entry: 80.0, exit: 50.0 }
}

fn merge(lanes: usize) -> NetworkConfig {
    NetworkConfig::Merge { lanes, entry: 150.0, exit: 400.0 }
}

fn signals(plan: Plan, cycle: f64) -> ControlConfig {
    ControlConfig::Signals { plan, cycle, amber: 3.0, clearance: 1.0, saturation_flow: 1450.0 }
}

fn roads(config: &RoadsConfig, seed: u64) -> (Roads, Buffers) {
    let env = Roads::new(RoadsRules::new(config.clone()).unwrap(), seed).unwrap();
    let mut out = Buffers::new(env.spec());
    let mut env = env;
    env.reset(&vec![true; config.worlds], &mut out).unwrap();
    (env, out)
}

/// The reports of one episode of every world, driven by `act`.
fn episodes(
    config: &RoadsConfig,
    seed: u64,
    mut act: impl FnMut(&Roads, &Buffers) -> Actions,
) -> Vec<EpisodeReport> {
    let (mut env, mut out) = roads(config, seed);
    for _ in 0..config.max_episode_steps {
        let actions = act(&env, &out);
        env.step(&actions, &mut out).unwrap();
    }
    env.take_reports()
}

fn ruled(config: &RoadsConfig, seed: u64) -> Vec<EpisodeReport> {
    let config = RoadsConfig { driver: Driver::Rules, ..config.clone() };
    episodes(&config, seed, |env, _| env.spec().actions())
}

fn mean(reports: &[EpisodeReport], name: &str) -> f64 {
    reports.iter().map(|report| report.value(name).unwrap()).sum::<f64>() / reports.len() as f64
}

fn most(reports: &[EpisodeReport], name: &str) -> f64 {
    reports.iter().map(|report| report.value(name).unwrap()).fold(0.0, f64::max)
}

/// A road with one lane in two parts, as a file.
fn straight(limit: f64, lengths: [f64; 2], demand: f64) -> String {
    let end = lengths[0] + lengths[1];
    format!(
        "[[lane]]\nname = \"in\"\npoints = [[0.0, 0.0], [{:?}, 0.0]]\nlimit = {limit:?}\ndemand = {demand:?}\n\
         next = [\"out\"]\n\n\
         [[lane]]\nname = \"out\"\npoints = [[{:?}, 0.0], [{end:?}, 0.0]]\nlimit = {limit:?}\n",
        lengths[0], lengths[0]
    )
}

pub fn in_file(text: &str, name: &str) -> NetworkConfig {
    let folder = std::env::temp_dir().join(format!("synod-roads-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    NetworkConfig::File { path }
}

#[test]
fn on_a_free_road_a_vehicle_takes_length_over_limit() {
    let network = in_file(&straight(12.5, [100.0, 150.0], 20.0), "free.toml");
    let config =
        RoadsConfig { worlds: 4, agents: 8, network, max_episode_steps: 2000, ..RoadsConfig::default() };
    let reports = ruled(&config, 3);
    println!("{reports:?}");
    for report in &reports {
        assert!(report.value("flow").unwrap() > 0.0);
        // Rules drive one vehicle at a time at the limit; those that come close behind another lose a little.
        assert!(report.value("mean_delay").unwrap() < 0.2);
    }
    let alone = FreeFlow::new(&config, &config.roads().unwrap()).unwrap();
    assert!((alone.seconds(0, 0, 250.0) - 250.0 / 12.5).abs() < 1e-9);
    // From a standstill: to the limit at 2 m/s^2, then along; to half a tick, in which the limit is reached.
    let standing = RoadsConfig { entry_speed: 0.0, ..config };
    let from_rest = FreeFlow::new(&standing, &standing.roads().unwrap()).unwrap();
    let known = 12.5 / 2.0 + (250.0 - 12.5 * 12.5 / 4.0) / 12.5;
    assert!((from_rest.seconds(0, 0, 250.0) - known).abs() < 1e-2, "{}", from_rest.seconds(0, 0, 250.0));
}

/// The best return of one vehicle from rest over `length` metres by dynamic programming over places and speeds, both
/// of which lie on a grid: with accelerations of -2, -1, 0, 1 and 2 m/s^2 held for half a second speeds are multiples
/// of .5 m/s and places of .125 m.
struct Best {
    cells: usize,
    fastest: usize,
    /// `[cells, speeds]`: what is still paid, and the best option.
    value: Vec<(f64, usize)>,
}

const TICK: f64 = 0.5;
const SPEED: f64 = 0.5;
const CELL: f64 = 0.125;

impl Best {
    fn new(length: f64, limit: f64, pay: &PayConfig, free: f64) -> Best {
        let (cells, fastest) = ((length / CELL).round() as usize, (limit / SPEED).round() as usize);
        let mut best = Best { cells, fastest, value: vec![(f64::NEG_INFINITY, 0); cells * (fastest + 1)] };
        for cell in (0..cells).rev() {
            for speed in (0..=fastest).rev() {
                for option in 0..5 {
                    if let Some((paid, next)) = best.after(cell, speed, option, pay) {
                        // Standing still for ever is never best; it would refer to itself.
                        if next == Some((cell, speed)) {
                            continue;
                        }
                        let rest = next.map_or(free * pay.delay, |(cell, speed)| {
                            best.value[cell * (fastest + 1) + speed].0
                        });
                        let at = cell * (fastest + 1) + speed;
                        if paid + rest > best.value[at].0 {
                            best.value[at] = (paid + rest, option);
                        }
                    }
                }
            }
        }
        best
    }

    /// What a step pays but for the time that the way takes on a free road, and where it leads; `None` for what is
    /// not allowed: driving backwards or too fast.
    fn after(
        &self,
        cell: usize,
        speed: usize,
        option: usize,
        pay: &PayConfig,
    ) -> Option<(f64, Option<(usize, usize)>)> {
        let acceleration = [-2.0, -1.0, 0.0, 1.0, 2.0][option];
        let then = speed as f64 + acceleration * TICK / SPEED;
        if !(0.0..=self.fastest as f64).contains(&then) {
            return None;
        }
        let metres = (speed as f64 + then) / 2.0 * SPEED * TICK;
        let next = cell + (metres / CELL).round() as usize;
        if next >= self.cells {
            let part = (self.cells - cell) as f64 * CELL / metres;
            return Some((-pay.delay * TICK * part, None));
        }
        let effort = (acceleration / 2.0f64).powi(2);
        Some((-pay.delay * TICK - pay.comfort * effort * TICK, Some((next, then as usize))))
    }
}

#[test]
fn the_best_accelerations_of_a_vehicle_alone_pay_what_dynamic_programming_says() {
    let pay = PayConfig { delay: 1.0, comfort: 1.0, collision: 20.0, shared: 0.0 };
    let car = CarConfig { acceleration: 2.0, braking: 2.0, comfort: 2.0, ..CarConfig::default() };
    let (length, limit) = (90.0, 10.0);
    let config = RoadsConfig {
        worlds: 1,
        agents: 1,
        network: in_file(&straight(limit, [40.0, 50.0], 3600.0), "alone.toml"),
        entry_speed: 0.0,
        car,
        pay,
        step: TICK,
        ticks: 1,
        ..RoadsConfig::default()
    };
    let free = FreeFlow::new(&config, &config.roads().unwrap()).unwrap().whole(0, 0, length);
    let best = Best::new(length, limit, &pay, free);
    let (mut env, mut out) = roads(&config, 5);
    let mut actions = env.spec().actions();
    while !out.active[0] {
        env.step(&actions, &mut out).unwrap();
    }
    let (mut cell, mut speed, mut paid, mut chosen) = (0, 0, 0.0, Vec::new());
    let known = best.value[0].0;
    loop {
        let option = best.value[cell * (best.fastest + 1) + speed].1;
        chosen.push(option);
        actions.discrete[0] = option as u32;
        env.step(&actions, &mut out).unwrap();
        paid += f64::from(out.rewards[0]);
        match best.after(cell, speed, option, &pay).unwrap().1 {
            Some(next) => (cell, speed) = next,
            None => break,
        }
    }
    println!("{chosen:?}: {paid}, by dynamic programming {known}");
    assert!(out.terminated[0], "it has left");
    assert!((paid - known).abs() < 1e-4, "{paid} for {known}");
    // Neither full nor half acceleration up to the limit pays as much.
    for option in [3, 4] {
        let (mut cell, mut speed, mut paid) = (0, 0, free * pay.delay);
        loop {
            let chosen = best.after(cell, speed, option, &pay).map_or(2, |_| option);
            let (step, next) = best.after(cell, speed, chosen, &pay).unwrap();
            paid += step;
            match next {
                Some(next) => (cell, speed) = next,
                None => break,
            }
        }
        println!("always option {option}: {paid}");
        assert!(known > paid + 1e-3, "{known} for {paid}");
    }
}

#[test]
fn signals_are_timed_as_webster_says() {
    assert!((webster_cycle(8.0, 0.7) - 56.667).abs() < 1e-3);
    assert!((uniform_delay(60.0, 0.5, 0.8) - 12.5).abs() < 1e-12);
    let config = RoadsConfig { network: four_way(), demand: 252.0, ..RoadsConfig::default() };
    let network = config.roads().unwrap();
    let signals = Signals::new(&signals(Plan::Arms, 0.0), &network).unwrap();
    let program = &signals.programs[0];
    assert_eq!(program.phases.len(), 4);
    // Four roads alike: y = 252/1450 each, four times 4 s lost.
    let known = webster_cycle(16.0, 4.0 * 252.0 / 1450.0);
    assert!((program.cycle - known).abs() < 1e-9, "{} for {known}", program.cycle);
    for phase in &program.phases {
        assert!((phase.green - (known - 16.0) / 4.0).abs() < 1e-9 && phase.movements.len() == 3);
    }
    // No two ways of a phase cross.
    for phase in &program.phases {
        for movement in &phase.movements {
            let conflicts = &network.lane(*movement).conflicts;
            let inside = conflicts.iter().filter(|c| phase.movements.contains(&c.with));
            assert!(inside.clone().all(|conflict| conflict.meeting == Meeting::Diverging));
        }
    }
    let axes = Signals::new(&self::signals(Plan::Axes, 0.0), &network).unwrap();
    assert_eq!(axes.programs[0].phases.len(), 2);
}

/// How many vehicles a queue of drivers lets past a line a second once it flows: integrated here, one vehicle behind
/// the other from standstill.
pub fn discharge(idm: Idm, length: f64, tick: f64, line: f64) -> f64 {
    let count = 40;
    let mut cars: Vec<(f64, f64)> =
        (0..count).map(|n| (-(n as f64) * (length + idm.jam_distance), 0.0)).collect();
    let mut passed = vec![f64::NAN; count];
    let mut now = 0.0;
    while passed[count - 1].is_nan() {
        let accelerations: Vec<f64> = (0..count)
            .map(|n| {
                let ahead = (n > 0).then(|| (cars[n - 1].0 - length - cars[n].0, cars[n].1 - cars[n - 1].1));
                idm.acceleration(cars[n].1, ahead)
            })
            .collect();
        now += tick;
        for n in 0..count {
            let after = (cars[n].1 + accelerations[n] * tick).max(0.0);
            cars[n] = (cars[n].0 + (cars[n].1 + after) / 2.0 * tick, after);
            if passed[n].is_nan() && cars[n].0 >= line {
                passed[n] = now;
            }
        }
    }
    20.0 / (passed[count - 1] - passed[count - 21])
}

/// The greatest flow of drivers at equilibrium, `v/(s_e(v) + length)`, in vehicles a second.
fn capacity(idm: Idm, length: f64) -> f64 {
    let flow = |speed: f64| speed / (idm.equilibrium_gap(speed) + length);
    (1..1000).map(|i| flow(idm.desired_speed * f64::from(i) / 1000.0)).fold(0.0, f64::max)
}

#[test]
fn no_more_flows_than_the_formula_allows() {
    let idm = Idm { desired_speed: 30.0, time_gap: 1.5, jam_distance: 2.0, acceleration: 2.0, braking: 2.0 };
    assert!((capacity(idm, 5.0) * 3600.0 - 1798.13).abs() < 0.5);
    let car = CarConfig { time_gap: 1.5, ..CarConfig::default() };
    let network = in_file(&straight(30.0, [300.0, 700.0], 5000.0), "queue.toml");
    // From a standstill at the entry: the queue outside is what flows off.
    let config = RoadsConfig {
        worlds: 2,
        agents: 200,
        network,
        car,
        entry_speed: 0.0,
        safeguard: false,
        max_episode_steps: 1200,
        ..RoadsConfig::default()
    };
    let warm = RoadsConfig { max_episode_steps: 600, ..config.clone() };
    let flow = |reports: &[EpisodeReport], seconds: f64| mean(reports, "flow") * seconds / 3600.0;
    let (long, short) = (ruled(&config, 1), ruled(&warm, 1));
    let through = (flow(&long, 600.0) - flow(&short, 300.0)) / 300.0 * 3600.0;
    println!("{through:.1} vehicles an hour, at most 1798.1");
    assert!(through < 1798.13, "{through}");
    assert!(most(&long, "collisions") == 0.0);
    // A merge into one lane: whatever comes, no more than that leaves.
    let merging = RoadsConfig {
        network: merge(1),
        limit: 30.0,
        demand: 2000.0,
        entry_speed: 1.0,
        safeguard: true,
        ..config.clone()
    };
    let warm = RoadsConfig { max_episode_steps: 600, ..merging.clone() };
    let (long, short) = (ruled(&merging, 1), ruled(&warm, 1));
    let merged = (flow(&long, 600.0) - flow(&short, 300.0)) / 300.0 * 3600.0;
    println!("{merged:.1} vehicles an hour where two roads merge");
    assert!(merged < 1798.13 && merged > 900.0, "{merged}");
    // A queue that a signal lets go, against one that is integrated here.
    let (limit, car) = (13.9, CarConfig::default());
    let known =
        discharge(Idm { desired_speed: limit, time_gap: car.time_gap, ..idm }, 5.0, 0.01, 0.0) * 3600.0;
    let most = capacity(Idm { desired_speed: limit, time_gap: car.time_gap, ..idm }, 5.0) * 3600.0;
    println!("{known:.1} an hour from a queue, at most {most:.1}");
    // While it gains speed a little more passes than at equilibrium.
    assert!((known / most - 1.0).abs() < 0.02);
}

#[test]
fn a_green_lane_lets_through_its_saturation_flow() {
    // Straight on only: one road with a signal, so long a queue that it never ends.
    let text = "[[lane]]\nname = \"in\"\npoints = [[-400.0, 0.0], [0.0, 0.0]]\nlimit = 13.9\ndemand = 4000.0\n\
        next = [\"over\"]\n\
        [[lane]]\nname = \"over\"\npoints = [[0.0, 0.0], [20.0, 0.0]]\nlimit = 13.9\nnext = [\"out\"]\n\
        [[lane]]\nname = \"out\"\npoints = [[20.0, 0.0], [120.0, 0.0]]\nlimit = 13.9\n\
        [[lane]]\nname = \"side\"\npoints = [[10.0, -100.0], [10.0, -10.0]]\nlimit = 13.9\n\
        demand = 4000.0\nnext = [\"across\"]\n\
        [[lane]]\nname = \"across\"\npoints = [[10.0, -10.0], [10.0, 10.0]]\nlimit = 13.9\nnext = [\"away\"]\n\
        [[lane]]\nname = \"away\"\npoints = [[10.0, 10.0], [10.0, 60.0]]\nlimit = 13.9\n\
        [[junction]]\nname = \"middle\"\nmovements = [\"over\", \"across\"]\n";
    let config = RoadsConfig {
        worlds: 1,
        agents: 100,
        network: in_file(text, "signal.toml"),
        control: ControlConfig::Signals {
            plan: Plan::Arms,
            cycle: 60.0,
            amber: 3.0,
            clearance: 1.0,
            saturation_flow: 1800.0,
        },
        max_episode_steps: 2060,
        ..RoadsConfig::default()
    };
    let rules = RoadsRules::new(RoadsConfig { driver: Driver::Rules, ..config.clone() }).unwrap();
    let phases = rules.layout().signals.as_ref().unwrap().programs[0].phases.clone();
    // Both roads ask for as much: half of 60 - 8 s each.
    assert!(phases.iter().all(|phase| (phase.green - 26.0).abs() < 1e-9), "{phases:?}");
    let reports = ruled(&config, 2);
    let flow = mean(&reports, "flow");
    let car = CarConfig::default();
    let idm = Idm {
        desired_speed: 13.9,
        time_gap: car.time_gap,
        jam_distance: car.jam_distance,
        acceleration: car.acceleration,
        braking: car.comfort,
    };
    let saturation = discharge(idm, car.length, config.tick(), 0.0) * 3600.0;
    // Saturation flow times the share of the cycle that is green (of amber a part is driven through, at the start a
    // part of green is lost).
    let known = 2.0 * saturation * 26.0 / 60.0;
    println!("{flow:.1} an hour, by the formula {known:.1} ({saturation:.1} while green)");
    assert!((flow / known - 1.0).abs() < 0.1, "{flow} for {known}");
    assert_eq!(mean(&reports, "collisions"), 0.0);
}

/// Every network, with actions that know nothing.
fn wild(config: &RoadsConfig, random: &mut Random) -> Vec<EpisodeReport> {
    let mut held: Option<Actions> = None;
    let mut step = 0;
    episodes(config, random.bits(), |env, out| {
        // Held for a while, so that vehicles get somewhere.
        if step % 6 == 0 || held.is_none() {
            held = Some(play(env, out, random));
        }
        step += 1;
        held.clone().unwrap()
    })
}

#[test]
fn nothing_collides_under_the_safeguard_whatever_vehicles_do() {
    let mut random = fresh();
    let networks = [four_way(), grid(1), roundabout(), merge(1), merge(2), grid(2)];
    for network in networks {
        for control in [ControlConfig::Open, signals(Plan::Axes, 30.0)] {
            let config = RoadsConfig {
                worlds: 6,
                agents: 40,
                network: network.clone(),
                control,
                variation: 0.3,
                demand: 600.0,
                max_episode_steps: 400,
                ..RoadsConfig::default()
            };
            let reports = wild(&config, &mut random);
            println!("{network:?} {control:?}: {:?}", reports[0].values);
            assert_eq!(most(&reports, "collisions"), 0.0, "{network:?} {control:?}");
            assert!(mean(&reports, "flow") > 0.0, "{network:?} {control:?}");
        }
    }
    // Without it they do.
    let config = RoadsConfig { worlds: 6, demand: 600.0, safeguard: false, ..RoadsConfig::default() };
    assert!(mean(&wild(&config, &mut random), "collisions") > 1.0);
}

#[test]
fn drivers_by_rules_pass_every_network() {
    let mut random = fresh();
    for network in [four_way(), grid(1), grid(2), roundabout(), merge(1), merge(2)] {
        let reservation = ControlConfig::Reservation { buffer: 0.4, range: 100.0 };
        for control in [ControlConfig::Open, signals(Plan::Arms, 0.0), signals(Plan::Axes, 0.0), reservation]
        {
            for (safeguard, model) in [(true, Model::Lane), (false, Model::Lane), (true, Model::Bicycle)] {
                if model == Model::Bicycle
                    && matches!(
                        network,
                        NetworkConfig::Merge { lanes: 2, .. } | NetworkConfig::Grid { lanes: 2, .. }
                    )
                {
                    continue;
                }
                let config = RoadsConfig {
                    worlds: 2,
                    agents: 60,
                    network: network.clone(),
                    control,
                    demand: 150.0,
                    safeguard,
                    model,
                    max_episode_steps: 500,
                    ..RoadsConfig::default()
                };
                let reports = ruled(&config, random.bits());
                let [flow, delay, collisions, off_road] =
                    ["flow", "mean_delay", "collisions", "off_road"].map(|name| mean(&reports, name));
                println!(
                    "{network:?} {control:?} {safeguard} {model:?}: {flow:.0} {delay:.1} {collisions} {off_road}"
                );
                assert_eq!(off_road, 0.0);
                if safeguard && model == Model::Lane {
                    assert_eq!(collisions, 0.0);
                }
                assert!(flow > 100.0 && delay < 90.0);
            }
        }
    }
}

#[test]
fn delays_are_those_of_the_definition() {
    // Each vehicle's own time from entry to exit, less the time on a free road, followed here from outside.
    let config = RoadsConfig { worlds: 1, driver: Driver::Rules, demand: 200.0, ..RoadsConfig::default() };
    let (mut env, mut out) = roads(&config, 9);
    let layout = RoadsRules::new(config.clone()).unwrap().layout().clone();
    let free = |entry: u16, exit: u16, driven: f64| layout.free.seconds(entry, exit, driven);
    let (mut lost, mut rewards) = (0.0, 0.0);
    for _ in 0..config.max_episode_steps {
        let before = env.world(0).unwrap().clone();
        env.step(&env.spec().actions(), &mut out).unwrap();
        rewards += out.rewards.iter().map(|reward| f64::from(*reward)).sum::<f64>();
        for (number, vehicle) in env.world(0).unwrap().here() {
            let was = &before.vehicles()[number];
            if was.here && was.due == vehicle.due {
                lost += 0.5 - free(vehicle.entry, vehicle.way.exit, vehicle.driven)
                    + free(was.entry, was.way.exit, was.driven);
            }
        }
    }
    let report = &env.take_reports()[0];
    let counts = env.world(0).unwrap().counts();
    let whole = report.value("mean_delay").unwrap() * counts.came as f64;
    println!("{lost:.2} s lost before the last step of each, {whole:.2} in all, {rewards:.2} paid");
    // What is left is lost in the step in which a vehicle leaves or comes, and waiting outside.
    assert!((whole - lost).abs() < 0.5 * counts.came as f64);
    assert!(counts.left > 5 && rewards < 0.0);
}

#[test]
fn a_bicycle_turns_in_the_circle_of_its_steering_angle() {
    let mut pose = Pose { at: [0.0, 0.0], towards: [1.0, 0.0] };
    let (angle, length) = (0.3f64, 5.0);
    let beta = (angle.tan() / 2.0).atan();
    let radius = length / 2.0 / beta.sin();
    // The middle of the circle is to the left of where the middle of the vehicle moves.
    let middle = [-radius * beta.sin(), radius * beta.cos()];
    let steps = 20_000;
    for _ in 0..steps {
        pose = steered(pose, angle, 2.0 * std::f64::consts::PI * radius / steps as f64, length);
        let away = (pose.at[0] - middle[0]).hypot(pose.at[1] - middle[1]);
        assert!((away - radius).abs() < 1e-2, "{away} for {radius}");
    }
    assert!(pose.at[0].hypot(pose.at[1]) < 1e-2 && (pose.towards[0] - 1.0).abs() < 1e-6);
}

#[test]
fn rectangles_touch_as_corners_say() {
    let at = |x: f64, y: f64, angle: f64| Pose { at: [x, y], towards: [angle.cos(), angle.sin()] };
    let one = at(0.0, 0.0, 0.0);
    assert!(touch(&one, &at(4.9, 0.0, 0.0), 5.0, 2.0) && !touch(&one, &at(5.1, 0.0, 0.0), 5.0, 2.0));
    assert!(touch(&one, &at(0.0, 1.9, 0.0), 5.0, 2.0) && !touch(&one, &at(0.0, 2.1, 0.0), 5.0, 2.0));
    let quarter = std::f64::consts::FRAC_PI_2;
    assert!(touch(&one, &at(3.4, 0.0, quarter), 5.0, 2.0) && !touch(&one, &at(3.6, 0.0, quarter), 5.0, 2.0));
    // At 45 degrees a corner reaches 3.5/sqrt 2 = 2.475 m out.
    let eighth = std::f64::consts::FRAC_PI_4;
    assert!(touch(&one, &at(0.0, 3.4, eighth), 5.0, 2.0) && !touch(&one, &at(0.0, 3.6, eighth), 5.0, 2.0));
}

#[test]
fn approaches_take_the_time_that_is_wanted() {
    let approach = Approach { metres: 100.0, speed: 10.0, last: 13.9, acceleration: 2.0, braking: 2.0 };
    for seconds in [9.0, 12.0, 20.0, 30.0] {
        let between = approach.between(seconds, 13.9).unwrap();
        assert!((approach.seconds(between).unwrap() - seconds).abs() < 1e-3, "{seconds}: {between}");
    }
    // The fastest: 3.9/2 s of acceleration over 23.3 m, the rest at 13.9 m/s.
    let fastest = approach.fastest(13.9).unwrap();
    let known = 1.95 + (100.0 - (13.9f64.powi(2) - 100.0) / 4.0) / 13.9;
    assert!((fastest - 13.9).abs() < 1e-9 && (approach.seconds(fastest).unwrap() - known).abs() < 1e-9);
}

#[test]
fn files_are_not_trusted() {
    let refused = |text: &str, words: &[&str]| {
        let error =
            synod::env::roads::Network::from_text(text, "roads.toml".as_ref(), 3.0).unwrap_err().to_string();
        println!("{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{error}: expected {words:?}");
    };
    let good = straight(13.9, [100.0, 50.0], 300.0);
    let network = synod::env::roads::Network::from_text(&good, "roads.toml".as_ref(), 3.0).unwrap();
    assert_eq!((network.lanes().len(), network.entries().len(), network.exits().len()), (2, 1, 1));
    refused(
        &good.replace("next = [\"out\"]", "next = [\"aut\"]"),
        &["roads.toml:6", "next", "`aut`", "did you mean `out`"],
    );
    refused(&good.replace("13.9", "1e9"), &["roads.toml:4", "limit", "`in`"]);
    refused(&good.replace("demand = 300.0\n", ""), &["roads.toml:2", "demand", "no lane leads to it"]);
    refused(&good.replace("demand = 300.0", "demand = nan"), &["roads.toml:5", "demand"]);
    refused(
        &good.replace("[[0.0, 0.0], [100.0, 0.0]]", "[[0.0, 0.0], [90.0, 0.0]]"),
        &["roads.toml:6", "10.00 m"],
    );
    refused(
        &good.replace("[[0.0, 0.0], [100.0, 0.0]]", "[[0.0, 0.0]]"),
        &["roads.toml:3", "points", "two points"],
    );
    refused(&good.replace("name = \"out\"", "name = \"in\""), &["roads.toml:9", "already"]);
    refused(&good.replace("limit", "limits"), &["roads.toml:4", "limits"]);
    refused("lane = 3", &["roads.toml:1"]);
    refused("", &["roads.toml", "`lane`", "got 0"]);
    // Two lanes that lead into each other for ever, and an exit that nobody can reach.
    let ring = "[[lane]]\nname = \"a\"\npoints = [[0.0, 0.0], [50.0, 0.0]]\nlimit = 10.0\ndemand = 10.0\n\
        next = [\"b\"]\n\
        [[lane]]\nname = \"b\"\npoints = [[50.0, 0.0], [50.0, 50.0], [0.0, 0.0]]\nlimit = 10.0\nnext = [\"a\"]\n";
    refused(ring, &["roads.toml", "without `next`"]);
    refused(
        &format!("{good}{}", ring.replace("demand = 10.0\n", "")),
        &["roads.toml:16", "no exit can be reached"],
    );
    let lost = "[[lane]]\nname = \"lost\"\npoints = [[0.0, 9.0], [50.0, 9.0]]\nlimit = 10.0\nnext = [\"end\"]\n\
        [[lane]]\nname = \"end\"\npoints = [[50.0, 9.0], [90.0, 9.0]]\nlimit = 10.0\n";
    refused(&format!("{good}{lost}"), &["roads.toml:13", "lost", "no lane leads to it"]);
    let parts = good.replace("next = [\"out\"]", "next = [\"out\", \"off\"]")
        + "[[lane]]\nname = \"off\"\npoints = [[100.0, 0.0], [150.0, 30.0]]\nlimit = 10.0\n";
    refused(&parts, &["roads.toml:6", "next", "junction"]);
    let junction = format!("{good}[[junction]]\nname = \"j\"\nmovements = [\"in\"]\n");
    refused(&junction, &["movements", "`in`"]);
    let many = (0..5000)
        .map(|i| format!("[[lane]]\nname = \"l{i}\"\npoints = [[0.0, 0.0], [50.0, 0.0]]\nlimit = 9.0\n"));
    refused(&many.collect::<String>(), &["`lane`", "expected 1 to 4096, got 5000"]);
    // Whatever is cut off or changed: an error or a network, never a panic.
    let mut random = fresh();
    for _ in 0..300 {
        let mut bytes = format!("{parts}[[junction]]\nname = \"j\"\nmovements = [\"off\"]\n").into_bytes();
        for _ in 0..1 + random.bits() % 3 {
            let at = random.bits() as usize % bytes.len();
            bytes[at] = b" \"[]=.019-enx#\n"[random.bits() as usize % 15];
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = synod::env::roads::Network::from_text(&text, "roads.toml".as_ref(), 3.0);
    }
    let config =
        RoadsConfig { network: NetworkConfig::File { path: "nowhere.toml".into() }, ..Default::default() };
    assert!(WorldConfig::new(config).build(0).err().unwrap().to_string().contains("nowhere.toml"));
}

#[test]
fn what_slots_without_vehicles_hold_is_ignored() {
    let config = RoadsConfig { worlds: 3, demand: 900.0, max_episode_steps: 100, ..RoadsConfig::default() };
    let play = |nonsense: u32| {
        let (mut env, mut out) = roads(&config, 4);
        let mut seen = Vec::new();
        for _ in 0..100 {
            let mut actions = env.spec().actions();
            for (action, active) in actions.discrete.iter_mut().zip(&out.active) {
                *action = if *active { 4 } else { nonsense };
            }
            env.step(&actions, &mut out).unwrap();
            seen.extend_from_slice(&out.observations);
        }
        seen
    };
    assert_eq!(play(0), play(77));
}

#[test]
fn wrong_settings_name_their_keys() {
    let refused = |config: RoadsConfig, key: &str| {
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    };
    let usual = RoadsConfig::default;
    refused(RoadsConfig { agents: 0, ..usual() }, "world.agents");
    refused(RoadsConfig { demand: f64::NAN, ..usual() }, "world.demand");
    refused(
        RoadsConfig { actions: ActionKind::Continuous, driver: Driver::Rules, ..usual() },
        "world.actions",
    );
    let control = ControlConfig::Reservation { buffer: 0.4, range: 100.0 };
    refused(RoadsConfig { control, ..usual() }, "world.control.kind");
    let car = CarConfig { comfort: 9.0, ..CarConfig::default() };
    refused(RoadsConfig { car, ..usual() }, "world.car.comfort");
}

/// Networks, models, actions and drivers of every kind, for what every world keeps.
pub fn configurations() -> Vec<WorldConfig> {
    let usual = || RoadsConfig {
        worlds: 9,
        agents: 12,
        demand: 500.0,
        max_episode_steps: 60,
        ..RoadsConfig::default()
    };
    vec![
        WorldConfig::new(RoadsConfig {
            network: grid(2),
            actions: ActionKind::Continuous,
            variation: 0.2,
            control: signals(Plan::Axes, 20.0),
            ..usual()
        }),
        WorldConfig::new(RoadsConfig {
            network: roundabout(),
            model: Model::Bicycle,
            safeguard: false,
            ..usual()
        }),
        WorldConfig::new(RoadsConfig { network: merge(2), safeguard: false, ..usual() }),
        WorldConfig::new(RoadsConfig {
            network: grid(1),
            driver: Driver::Rules,
            control: ControlConfig::Reservation { buffer: 0.4, range: 60.0 },
            ..usual()
        }),
    ]
}
