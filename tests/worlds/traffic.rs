//! Traffic: what is known of delays at signals, what rules of signals and cars do, and what agents can.

use crate::games::{fresh, play};
use crate::roads::{discharge, in_file};
use synod::env::platoon::Idm;
use synod::env::roads::{
    CarConfig, NetworkConfig, Signals, Stages, Turn, turning_flows, webster_cycle, webster_delay,
};
use synod::env::traffic::control::{pressure, wanting};
use synod::env::traffic::{
    Cars, ChoiceConfig, SignalConfig, Traffic, TrafficConfig, TrafficRules, TripConfig,
};
use synod::env::{Buffers, EpisodeReport, VecEnv, WorldConfig};

fn city(config: &TrafficConfig, seed: u64) -> (Traffic, Buffers) {
    let mut env = Traffic::new(TrafficRules::new(config.clone()).unwrap(), seed).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; config.worlds], &mut out).unwrap();
    (env, out)
}

/// One episode of every world where nobody chooses anything.
fn ruled(config: &TrafficConfig, seed: u64) -> Vec<EpisodeReport> {
    let (mut env, mut out) = city(config, seed);
    let actions = env.spec().actions();
    for _ in 0..config.max_episode_steps {
        env.step(&actions, &mut out).unwrap();
    }
    env.take_reports()
}

fn mean(reports: &[EpisodeReport], name: &str) -> f64 {
    reports.iter().map(|report| report.value(name).unwrap()).sum::<f64>() / reports.len() as f64
}

fn grid(columns: usize, rows: usize) -> NetworkConfig {
    NetworkConfig::Grid { columns, rows, lanes: 1, spacing: 150.0, entry: 150.0, exit: 50.0 }
}

/// Two roads that cross at a signal, straight on only: `demands` vehicles an hour on the one from the west and the one
/// from the south.
fn crossing(demands: [f64; 2], name: &str) -> NetworkConfig {
    let text = format!(
        "[[lane]]\nname = \"in\"\npoints = [[-600.0, 0.0], [0.0, 0.0]]\nlimit = 13.9\ndemand = {:?}\n\
         next = [\"over\"]\n\
         [[lane]]\nname = \"over\"\npoints = [[0.0, 0.0], [20.0, 0.0]]\nlimit = 13.9\nnext = [\"out\"]\n\
         [[lane]]\nname = \"out\"\npoints = [[20.0, 0.0], [320.0, 0.0]]\nlimit = 13.9\n\
         [[lane]]\nname = \"side\"\npoints = [[10.0, -610.0], [10.0, -10.0]]\nlimit = 13.9\n\
         demand = {:?}\nnext = [\"across\"]\n\
         [[lane]]\nname = \"across\"\npoints = [[10.0, -10.0], [10.0, 10.0]]\nlimit = 13.9\nnext = [\"away\"]\n\
         [[lane]]\nname = \"away\"\npoints = [[10.0, 10.0], [10.0, 310.0]]\nlimit = 13.9\n\
         [[junction]]\nname = \"middle\"\nmovements = [\"over\", \"across\"]\n",
        demands[0], demands[1]
    );
    in_file(&text, name)
}

/// An isolated signal of a fixed cycle, half for each road, in steps of half a second.
fn isolated(demand: f64, cycle: f64, seconds: f64, name: &str) -> TrafficConfig {
    TrafficConfig {
        worlds: 8,
        vehicles: 300,
        network: crossing([demand; 2], name),
        trips: TripConfig::Exits,
        signals: SignalConfig::Fixed { cycle, saturation_flow: 1800.0 },
        stages: Stages::Arms,
        step: 0.5,
        ticks: 1,
        max_episode_steps: (seconds / 0.5) as usize,
        ..TrafficConfig::default()
    }
}

/// Seconds between two cars of a queue that flows.
fn headway() -> f64 {
    let car = CarConfig::default();
    let idm = Idm {
        desired_speed: 13.9,
        time_gap: car.time_gap,
        jam_distance: car.jam_distance,
        acceleration: car.acceleration,
        braking: car.comfort,
    };
    1.0 / discharge(idm, car.length, 0.5, 0.0)
}

/// Cars that a cycle lets over each line where queues never end.
fn most_a_cycle(cycle: f64) -> f64 {
    let left = |cycles: f64| {
        let config = TrafficConfig { worlds: 1, ..isolated(4000.0, cycle, cycles * cycle, "endless.toml") };
        mean(&ruled(&config, 1), "flow") * cycles * cycle / 3600.0
    };
    (left(22.0) - left(10.0)) / 24.0
}

/// Probabilities below which no longer queue is looked at.
const LONGEST: usize = 160;

/// The mean delay at a fixed-cycle signal, in seconds, by the chain of the queue from slot to slot (the fixed-cycle
/// traffic-light queue: Darroch 1964; van Leeuwaarden 2006): a slot is a headway, `slots` are a cycle and `green` of
/// them green; in each come a number of cars by Poisson's law of mean `each`. In a green slot one leaves a queue, and
/// who comes where there is none drives on. The distribution is that which a cycle leaves as it is.
fn chain_delay(slots: usize, green: usize, each: f64, headway: f64) -> f64 {
    let mut arrivals = vec![(-each).exp()];
    while arrivals.len() < 12 {
        arrivals.push(arrivals[arrivals.len() - 1] * each / arrivals.len() as f64);
    }
    let mut queue = vec![0.0; LONGEST];
    queue[0] = 1.0;
    let mut waiting = 0.0;
    for _ in 0..4000 {
        let (before, mut sum) = (queue.clone(), 0.0);
        for slot in 0..slots {
            let mut after = vec![0.0; LONGEST];
            for (length, probability) in queue.iter().enumerate().filter(|(_, p)| **p > 0.0) {
                if slot < green && length == 0 {
                    after[0] += probability;
                    continue;
                }
                let rest = if slot < green { length - 1 } else { length };
                for (come, part) in arrivals.iter().enumerate() {
                    after[(rest + come).min(LONGEST - 1)] += probability * part;
                }
            }
            let mean = |queue: &[f64]| queue.iter().enumerate().map(|(n, p)| n as f64 * p).sum::<f64>();
            // Who leaves within a slot is there until its end; who comes has half of it to wait on average.
            let leaves: f64 = if slot < green { queue[1..].iter().sum() } else { 0.0 };
            sum += (mean(&queue) + mean(&after) + leaves) / 2.0;
            queue = after;
        }
        waiting = sum / slots as f64;
        let moved: f64 = before.iter().zip(&queue).map(|(a, b)| (a - b).abs()).sum();
        if moved < 1e-12 {
            break;
        }
    }
    assert!(queue[LONGEST - 1] < 1e-9, "the queue has no room");
    // Little's law: cars that wait over cars a second.
    waiting / (each / headway)
}

#[test]
fn the_chain_is_known_where_it_can_be_worked_out_by_hand() {
    // Always green: who comes drives on. One slot of two green, next to no arrivals: the red slot is half a cycle,
    // half of the cars wait half of it on average and a slot to leave.
    assert_eq!(chain_delay(2, 2, 0.3, 1.0), 0.0);
    let known = 0.5 * (0.5 + 1.0);
    let delay = chain_delay(2, 1, 1e-5, 1.0);
    assert!((delay - known).abs() < 1e-3, "{delay} for {known}");
}

#[test]
fn the_delay_at_a_signal_is_that_of_webster_and_of_the_chain() {
    let headway = headway();
    let slots = 32;
    // Up to the tick, so that all cycles are alike.
    let cycle = (slots as f64 * headway / 0.5).round() * 0.5;
    let green = most_a_cycle(cycle);
    println!("a car every {headway:.3} s; {green} in a cycle of {cycle} s");
    assert!((green - green.round()).abs() < 0.05 && green >= 10.0);
    let share = green * headway / cycle;
    for (degree, tolerance) in [(0.4, 0.06), (0.6, 0.06), (0.8, 0.08)] {
        let flow = degree * green / cycle;
        let config = isolated(flow * 3600.0, cycle, 7200.0, &format!("isolated-{degree}.toml"));
        // Cars that come close behind others lose a little on any road: what they lose where light is green for them
        // for ever (nobody comes from the side) is not the signal's.
        let free = TrafficConfig {
            network: crossing([flow * 3600.0, 0.0], &format!("free-{degree}.toml")),
            signals: SignalConfig::Actuated { gap: 2.5, longest: 40.0 },
            ..config.clone()
        };
        let delay = mean(&ruled(&config, 5), "mean_delay") - mean(&ruled(&free, 5), "mean_delay");
        let webster = webster_delay(cycle, share, degree, flow);
        let exact = chain_delay(slots, green.round() as usize, flow * headway, headway);
        println!("{degree}: {delay:.2} s, Webster {webster:.2}, chain {exact:.2}");
        assert!((delay / webster - 1.0).abs() < tolerance, "{delay} for Webster's {webster}");
        assert!((delay / exact - 1.0).abs() < tolerance, "{delay} for the chain's {exact}");
    }
}

#[test]
fn cars_drive_at_the_speed_and_with_the_gap_that_they_choose() {
    let choice = ChoiceConfig { time_gap: 0.7, pace: 0.5, ..ChoiceConfig::default() };
    let run = |demand: f64, option: u32| {
        let config = TrafficConfig {
            worlds: 1,
            cars: Cars::Agents,
            choice,
            ..isolated(demand, 60.0, 1200.0, &format!("manners-{demand}.toml"))
        };
        let (mut env, mut out) = city(&config, 3);
        assert_eq!(env.spec().kinds.len(), 1, "signals of a fixed cycle are no agents beside cars");
        let mut actions = env.spec().actions();
        actions.discrete.fill(option);
        let mut fastest = 0.0f64;
        for _ in 0..config.max_episode_steps {
            env.step(&actions, &mut out).unwrap();
            // Beyond the junction, where everybody is long up to speed.
            let cars = env.world(0).unwrap().roads.here().filter(|(_, car)| car.offset > 250.0);
            let out = |lane: u32| env.rules().layout().network.lane(lane).next.is_empty();
            fastest = cars.filter(|(_, car)| out(car.lane)).map(|(_, car)| car.speed).fold(fastest, f64::max);
        }
        (mean(&env.take_reports(), "flow"), fastest)
    };
    // Few cars: the fastest is at the limit, or at half of it.
    let [(_, usual), (_, slow)] = [run(60.0, 0), run(60.0, 2)];
    assert!((usual / 13.9 - 1.0).abs() < 0.01 && (slow / 6.95 - 1.0).abs() < 0.01, "{usual}, {slow}");
    // Queues that never end: more cars get through where gaps are smaller, fewer where all are slow.
    let [usual, near, slow] = [0, 1, 2].map(|option| run(4000.0, option).0);
    println!("{usual:.0}, with small gaps {near:.0}, slow {slow:.0} an hour");
    assert!(near > 1.04 * usual && slow < 0.9 * usual);
}

#[test]
fn cars_turn_by_their_ratios() {
    // One junction: every car turns once.
    let config = TrafficConfig {
        worlds: 1,
        network: grid(1, 1),
        demand: 200.0,
        trips: TripConfig::Turns { left: 0.2, straight: 0.5, right: 0.3 },
        step: 0.5,
        ticks: 1,
        max_episode_steps: 4 * 7200,
        ..TrafficConfig::default()
    };
    let (mut env, mut out) = city(&config, 11);
    let actions = env.spec().actions();
    let mut seen: std::collections::BTreeMap<u64, Turn> = Default::default();
    for step in 0..config.max_episode_steps {
        // The first stage is only one of the roads': the other's cars need green too.
        let mut actions = actions.clone();
        actions.discrete.fill(u32::from(step / 60 % 2 == 1));
        env.step(&actions, &mut out).unwrap();
        let (rules, world) = (env.rules(), env.world(0).unwrap());
        for (_, car) in world.roads.here() {
            let lane = rules.layout().network.lane(car.lane);
            if rules.layout().network.is_movement(car.lane) {
                seen.insert(car.due.to_bits(), lane.turning());
            }
        }
    }
    let count = |turn: Turn| seen.values().filter(|seen| **seen == turn).count() as f64 / seen.len() as f64;
    println!("{} cars: {:?}", seen.len(), Turn::ALL.map(count));
    assert!(seen.len() > 2000);
    for (turn, known) in Turn::ALL.into_iter().zip([0.2, 0.5, 0.3]) {
        // Four standard errors.
        let error = 4.0 * (known * (1.0 - known) / seen.len() as f64).sqrt();
        assert!((count(turn) - known).abs() < error, "{turn:?}: {} for {known}", count(turn));
    }
}

#[test]
fn flows_of_turning_cars_are_those_of_the_shares() {
    let network = TrafficConfig { network: grid(1, 1), demand: 100.0, ..TrafficConfig::default() };
    let network = network.roads().roads().unwrap();
    let flows = turning_flows(&network, &[0.2, 0.5, 0.3]);
    for lane in network.lanes() {
        let number = network.lanes().iter().position(|other| other.name == lane.name).unwrap();
        let known = match (lane.junction, lane.demand) {
            (synod::env::roads::network::NONE, _) => 100.0,
            _ => 100.0 * [0.2, 0.5, 0.3][lane.turning() as usize],
        };
        assert!((flows[number] - known).abs() < 1e-6, "{}: {} for {known}", lane.name, flows[number]);
    }
    // What comes in goes out, whatever the network.
    let network = TrafficConfig { network: grid(3, 2), demand: 100.0, ..TrafficConfig::default() };
    let network = network.roads().roads().unwrap();
    let flows = turning_flows(&network, &[0.1, 0.6, 0.3]);
    let out: f64 = network.exits().iter().map(|lane| flows[*lane as usize]).sum();
    assert!((out - 100.0 * network.entries().len() as f64).abs() < 1e-3, "{out}");
}

#[test]
fn fixed_signals_are_timed_for_the_turning_flows() {
    let config = TrafficConfig {
        network: grid(1, 1),
        demand: 300.0,
        signals: SignalConfig::Fixed { cycle: 0.0, saturation_flow: 1450.0 },
        stages: Stages::Axes,
        ..TrafficConfig::default()
    };
    let rules = TrafficRules::new(config).unwrap();
    let signals: &Signals = rules.layout().signals.as_ref().unwrap();
    let known = webster_cycle(8.0, 2.0 * 300.0 / 1450.0);
    assert!((signals.programs[0].cycle - known).abs() < 1e-6, "{} for {known}", signals.programs[0].cycle);
}

/// The stage of the only junction, and its seconds.
fn stage(env: &Traffic) -> (u32, bool, f64) {
    let (layout, roads) = (env.rules().layout(), &env.world(0).unwrap().roads);
    let light = layout.light(roads, 0).unwrap();
    (light.stage, light.changes(), layout.light_seconds(roads, 0))
}

#[test]
fn actuated_signals_stay_for_nobody_and_end_at_the_longest_green() {
    let signals = SignalConfig::Actuated { gap: 2.5, longest: 40.0 };
    let config = |demands, name: &str| TrafficConfig {
        worlds: 1,
        network: crossing(demands, name),
        trips: TripConfig::Exits,
        signals,
        stages: Stages::Arms,
        step: 0.5,
        ticks: 1,
        max_episode_steps: 1200,
        ..TrafficConfig::default()
    };
    let changes = |config: &TrafficConfig| {
        let (mut env, mut out) = city(config, 2);
        let actions = env.spec().actions();
        let (mut greens, mut last) = (Vec::new(), stage(&env));
        for _ in 0..config.max_episode_steps {
            env.step(&actions, &mut out).unwrap();
            let now = stage(&env);
            if now.1 && !last.1 {
                greens.push(last.2);
            }
            last = now;
        }
        greens
    };
    // The other road is empty: green stays where it is.
    assert!(changes(&config([600.0, 0.0], "actuated-one.toml")).is_empty());
    // Both are full: every green is the longest, to a tick.
    let full = changes(&config([4000.0; 2], "actuated-full.toml"));
    assert!(full.len() > 10);
    // The first were before anybody had come.
    assert!(full[1..].iter().all(|green| (green - 40.0).abs() <= 0.5), "{full:?}");
    // Few cars: greens end when they have passed, before the longest.
    let few = changes(&config([200.0; 2], "actuated-few.toml"));
    // Longer ones are there only where nobody waited elsewhere.
    let short = few.iter().filter(|green| **green < 40.0).count();
    assert!(few.len() > 10 && few.iter().all(|green| *green >= 5.0) && 3 * short > 2 * few.len(), "{few:?}");
}

#[test]
fn max_pressure_takes_the_stage_of_the_greatest_pressure() {
    let config = TrafficConfig {
        worlds: 1,
        network: grid(2, 1),
        demand: 400.0,
        signals: SignalConfig::MaxPressure { interval: 10.0 },
        stages: Stages::Axes,
        step: 0.5,
        ticks: 1,
        max_episode_steps: 1200,
        ..TrafficConfig::default()
    };
    let (mut env, mut out) = city(&config, 4);
    let actions = env.spec().actions();
    let (mut checked, mut changed) = (0, 0);
    for _ in 0..config.max_episode_steps {
        let before = env.world(0).unwrap().roads.clone();
        env.step(&actions, &mut out).unwrap();
        let (rules, after) = (env.rules(), &env.world(0).unwrap().roads);
        let layout = rules.layout();
        for junction in 0..2 {
            let light = *layout.light(&before, junction).unwrap();
            if light.changes() || light.ticks == 0 || light.ticks % 20 != 0 {
                continue;
            }
            // By the definition, from where cars are: those that want over each movement, less those that it sends on,
            // by the ratios.
            let cars = |lane: u32, turn: Option<Turn>| {
                let all = before.here().filter(|(_, car)| car.lane == lane);
                let wants =
                    |movement: u32| turn.is_none_or(|turn| layout.network.lane(movement).turning() == turn);
                all.filter(|(_, car)| layout.next_movement(car).is_some_and(|next| wants(next.0))).count()
                    as f64
            };
            let pressures: Vec<f64> = layout
                .stages(junction)
                .iter()
                .map(|stage| {
                    let each = stage.iter().map(|movement| {
                        let over = layout.network.lane(*movement);
                        let behind = Turn::ALL.iter().zip([0.1, 0.6, 0.3]);
                        let sent: f64 =
                            behind.map(|(turn, ratio)| ratio * cars(over.next[0], Some(*turn))).sum();
                        let own = cars(over.previous[0], Some(over.turning())) - sent;
                        assert!((own - pressure(layout, &before, *movement)).abs() < 1e-9);
                        own
                    });
                    each.sum()
                })
                .collect();
            let chosen = layout.light(after, junction).unwrap().next as usize;
            assert!(pressures.iter().all(|other| pressures[chosen] >= *other), "{pressures:?}, {chosen}");
            checked += 1;
            changed += usize::from(chosen != light.stage as usize);
        }
    }
    println!("{checked} choices, {changed} changes");
    assert!(checked > 50 && changed > 10);
}

#[test]
fn cars_turn_as_they_choose_and_signals_show_what_they_choose() {
    let config = TrafficConfig {
        worlds: 1,
        vehicles: 60,
        network: grid(3, 3),
        demand: 120.0,
        cars: Cars::Agents,
        choice: ChoiceConfig { detour: 1e4, ..ChoiceConfig::default() },
        stages: Stages::Both,
        max_episode_steps: 200,
        ..TrafficConfig::default()
    };
    let (mut env, mut out) = city(&config, 6);
    let mut random = fresh();
    let (mut turned, mut shown) = (0, 0);
    for _ in 0..config.max_episode_steps {
        let actions = play(&env, &out, &mut random);
        let before = env.world(0).unwrap().roads.clone();
        env.step(&actions, &mut out).unwrap();
        let (rules, after) = (env.rules(), &env.world(0).unwrap().roads);
        let (layout, signals) = (rules.layout(), rules.crossings().len());
        for junction in 0..signals {
            let (chosen, light) = (actions.discrete[junction], layout.light(after, junction).unwrap());
            assert_eq!(chosen, light.next);
            // A step of five seconds is longer than amber and clearance.
            assert!(!light.changes());
            shown += 1;
        }
        for (number, car) in before.here() {
            let (option, own) = (actions.discrete[signals + number], &after.vehicles()[number]);
            if option < 4 || !own.here || own.due != car.due {
                continue;
            }
            let turn = Turn::ALL[option as usize / 4 - 1];
            let movement = layout.network.lane(car.lane).turns[turn as usize];
            let behind = layout.network.lane(movement).next[0];
            match own.lane == car.lane {
                true => assert_eq!(layout.next_movement(own).unwrap().0, movement),
                false => assert!([movement, behind].contains(&own.lane), "{turn:?}"),
            }
            turned += 1;
        }
        assert!(before.here().all(|(_, car)| wanting(layout, &before, car.lane, u32::MAX - 1) == 0));
    }
    println!("{turned} turns, {shown} stages");
    assert!(turned > 200);
    assert_eq!(env.take_reports()[0].value("collisions"), Some(0.0));
}

#[test]
fn full_roads_hold_back_who_would_drive_onto_junctions() {
    // Short roads between junctions, far more cars than can pass: they spill back, nobody stands on a junction for
    // ever, nothing collides, and cars keep leaving.
    let network =
        NetworkConfig::Grid { columns: 3, rows: 1, lanes: 1, spacing: 70.0, entry: 100.0, exit: 50.0 };
    let config = TrafficConfig {
        worlds: 4,
        network,
        demand: 900.0,
        signals: SignalConfig::Fixed { cycle: 60.0, saturation_flow: 1450.0 },
        stages: Stages::Axes,
        ..TrafficConfig::default()
    };
    let reports = ruled(&config, 8);
    let [spill, queue, flow] = ["spill_back", "queue", "flow"].map(|name| mean(&reports, name));
    println!("spill-back {spill:.3}, queue {queue:.1}, flow {flow:.0}");
    assert!(spill > 0.05 && queue > 50.0 && flow > 500.0);
    assert_eq!(mean(&reports, "collisions"), 0.0);
    let calm = ruled(&TrafficConfig { demand: 100.0, ..config }, 8);
    assert!(mean(&calm, "spill_back") < 1e-2 && mean(&calm, "queue") < 10.0);
}

#[test]
fn the_pay_of_signals_adds_up_to_the_delay() {
    let config = TrafficConfig { worlds: 1, network: grid(2, 2), demand: 300.0, ..TrafficConfig::default() };
    let (mut env, mut out) = city(&config, 9);
    let mut random = fresh();
    let mut paid = 0.0;
    for _ in 0..config.max_episode_steps {
        let actions = play(&env, &out, &mut random);
        env.step(&actions, &mut out).unwrap();
        paid += out.rewards.iter().map(|reward| f64::from(*reward)).sum::<f64>();
    }
    let report = &env.take_reports()[0];
    let world = env.world(0).unwrap();
    let lost = report.value("mean_delay").unwrap() * (world.roads.counts().came as f64);
    // A unit is ten cars for a step of five seconds. Lanes that lead out of the city belong to no junction: what is
    // lost there, getting up to speed, is little.
    let seconds = -paid * 10.0 * 5.0;
    println!("{seconds:.0} s paid of {lost:.0} s lost");
    assert!(seconds <= lost * 1.001 && seconds > 0.9 * lost);
}

#[test]
fn wrong_settings_name_their_keys() {
    let refused = |config: TrafficConfig, key: &str| {
        let error = WorldConfig::new(config).build(0).err().unwrap().to_string();
        assert!(error.contains(key), "{error}");
    };
    let usual = TrafficConfig::default;
    refused(TrafficConfig { vehicles: 0, ..usual() }, "world.vehicles");
    refused(TrafficConfig { demand: f64::NAN, ..usual() }, "world.demand");
    refused(TrafficConfig { step: 5.0, ticks: 2, ..usual() }, "world.ticks");
    let signals = SignalConfig::Actuated { gap: 0.0, longest: 40.0 };
    refused(TrafficConfig { signals, ..usual() }, "world.signals.gap");
    let trips = TripConfig::Turns { left: 0.0, straight: 0.0, right: 0.0 };
    refused(TrafficConfig { trips, ..usual() }, "world.trips");
    let car = CarConfig { comfort: 9.0, ..CarConfig::default() };
    refused(TrafficConfig { car, ..usual() }, "world.car.comfort");
    refused(
        TrafficConfig { choice: ChoiceConfig { time_gap: -1.0, ..ChoiceConfig::default() }, ..usual() },
        "world.choice.time_gap",
    );
    let network = NetworkConfig::File { path: "no-such-roads.toml".into() };
    refused(TrafficConfig { network, ..usual() }, "no-such-roads.toml");
}

/// Agents of one kind, the other and both, on several networks, for what every world keeps.
pub fn configurations() -> Vec<WorldConfig> {
    let usual = || TrafficConfig {
        worlds: 5,
        vehicles: 30,
        network: grid(2, 1),
        demand: 500.0,
        max_episode_steps: 40,
        ..TrafficConfig::default()
    };
    let two_lanes =
        NetworkConfig::Grid { columns: 2, rows: 2, lanes: 2, spacing: 150.0, entry: 100.0, exit: 50.0 };
    let roundabout = NetworkConfig::Roundabout { arms: 4, radius: 22.0, entry: 80.0, exit: 50.0 };
    vec![
        WorldConfig::new(TrafficConfig { cars: Cars::Agents, shared: 0.5, network: two_lanes, ..usual() }),
        WorldConfig::new(TrafficConfig {
            cars: Cars::Agents,
            signals: SignalConfig::MaxPressure { interval: 10.0 },
            trips: TripConfig::Exits,
            ..usual()
        }),
        WorldConfig::new(TrafficConfig {
            signals: SignalConfig::Actuated { gap: 2.5, longest: 30.0 },
            network: roundabout,
            ..usual()
        }),
        WorldConfig::new(TrafficConfig {
            signals: SignalConfig::Fixed { cycle: 0.0, saturation_flow: 1450.0 },
            variation: 0.3,
            ..usual()
        }),
    ]
}
