//! The warehouse against recorded episodes of RWARE 2.0.0, and what its settings add.

use std::path::PathBuf;

use crate::games::fresh;
use crate::mpe::data;
use serde_json::Value;
use synod::env::warehouse::{
    Battery, Difficulty, Layout, LayoutSource, Priorities, Reward, Ties, Warehouse, WarehouseConfig,
    Warehouses,
};
use synod::env::{Buffers, Pcg64, VecEnv, WorldConfig};

/// Recorded episodes with the names of their files, all there are in a folder and at least so many.
pub fn episodes(folder: &str, least: usize) -> Vec<(String, Value)> {
    let Some(folder) = data(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    assert!(files.len() >= least, "only {} episodes", files.len());
    let read = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
    };
    files.iter().map(read).collect()
}

pub fn whole(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}")) as usize
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or_else(|| panic!("no list: {value}"), Vec::as_slice)
}

pub fn wholes(value: &Value) -> Vec<usize> {
    list(value).iter().map(whole).collect()
}

pub fn floats(value: &Value) -> Vec<f32> {
    list(value).iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// The world of an episode. Its sizes are named where the recorded map is that of a size.
fn recorded(trace: &Value, ties: Ties) -> WarehouseConfig {
    let text = list(&trace["cells"]).iter().map(|row| row.as_str().unwrap()).collect::<Vec<_>>().join("\n");
    let name = trace["env"].as_str().unwrap();
    let layout = match name.split('-').next().unwrap() {
        "tiny" => LayoutSource::Tiny {},
        "small" => LayoutSource::Small {},
        "medium" => LayoutSource::Medium {},
        "large" => LayoutSource::Large {},
        _ => LayoutSource::Text { text: text.clone() },
    };
    // The formula of the sizes gives the recorded cells.
    let (of_size, of_text) = (layout.layout().unwrap(), LayoutSource::Text { text }.layout().unwrap());
    assert_eq!((of_size.shelves(), of_size.goals()), (of_text.shelves(), of_text.goals()), "{name}");
    let goals: Vec<Vec<usize>> = of_size.goals().iter().map(|cell| of_size.place(*cell).to_vec()).collect();
    assert_eq!(goals, list(&trace["goals"]).iter().map(wholes).collect::<Vec<_>>(), "{name}");
    let agents = whole(&trace["n_agents"]);
    let difficulty = match name {
        name if name.ends_with("-easy") => Difficulty::Easy,
        name if name.ends_with("-hard") => Difficulty::Hard,
        _ => Difficulty::Normal,
    };
    let expected = match difficulty {
        Difficulty::Easy => 2 * agents,
        Difficulty::Normal => agents,
        Difficulty::Hard => agents / 2,
    };
    let requests = whole(&trace["request_queue_size"]);
    WarehouseConfig {
        worlds: 1,
        agents,
        layout,
        difficulty,
        requests: if requests == expected { 0 } else { requests },
        reward: serde_json::from_value(trace["reward_type"].clone()).unwrap(),
        max_episode_steps: whole(&trace["max_steps"]),
        max_inactivity_steps: trace["max_inactivity_steps"].as_u64().unwrap_or(0) as usize,
        sensor_range: whole(&trace["sensor_range"]),
        message_bits: whole(&trace["msg_bits"]),
        normalised_coordinates: trace["normalised_coordinates"].as_bool().unwrap(),
        ties,
        ..WarehouseConfig::default()
    }
}

/// A step at which the replay leaves the recorded states, or none.
fn replay(name: &str, trace: &Value, ties: Ties) -> Option<usize> {
    let config = recorded(trace, ties);
    let (agents, limit) = (config.agents, config.max_episode_steps);
    let mut env = Warehouses::new(config.warehouse().unwrap(), 99).unwrap();
    env.set_random(0, Pcg64::new(whole(&trace["seed"]) as u64)).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true], &mut out).unwrap();
    let rules = config.warehouse().unwrap();
    assert_eq!(rules.requests(env.world(0).unwrap()), wholes(&trace["requests"]), "{name}: start");
    let steps = list(&trace["actions"]).len();
    assert!(steps > 0 && list(&trace["agents"]).len() == steps + 1);
    let mut deliveries = list(&trace["deliveries"]).iter().map(wholes);
    let length = out.observations.len() / agents;
    for step in 0..=steps {
        let what = format!("{name}, step {step}");
        let robots: Vec<Vec<usize>> = list(&trace["agents"][step]).iter().map(wholes).collect();
        if rules.robots(env.world(0).unwrap()).iter().map(|robot| robot.to_vec()).ne(robots) {
            return Some(step);
        }
        if let Some(seen) = trace["observations"].get(step.to_string()) {
            for (agent, expected) in list(seen).iter().enumerate() {
                let got = &out.observations[agent * length..][..length];
                let close = got.iter().zip(floats(expected)).all(|(a, b)| (a - b).abs() < 1e-6);
                assert!(
                    close && list(expected).len() == length,
                    "{what}: {got:?} for {agent}, not {expected}"
                );
            }
        }
        if step == steps {
            break;
        }
        let moves = wholes(&trace["actions"][step]).into_iter().enumerate();
        let with_bits = |(agent, action): (usize, usize)| {
            let bits = trace["messages"].get(step).map_or(Vec::new(), |all| wholes(&all[agent]));
            std::iter::once(action).chain(bits).map(|number| number as u32).collect::<Vec<u32>>()
        };
        let actions: Vec<u32> = moves.flat_map(with_bits).collect();
        let before = rules.requests(env.world(0).unwrap());
        env.step(&actions.into(), &mut out).unwrap();
        let mut expected = before;
        for delivery in deliveries.clone().take_while(|delivery| delivery[0] == step + 1) {
            assert_eq!(expected[delivery[3]], delivery[2], "{what}");
            expected[delivery[3]] = delivery[4];
            deliveries.next();
        }
        assert_eq!(rules.requests(env.world(0).unwrap()), expected, "{what}: requests");
        assert_eq!(out.rewards, floats(&trace["rewards"][step]), "{what}: rewards");
        let ended =
            trace["terminated"][step].as_bool().unwrap_or_else(|| whole(&trace["terminated"][step]) == 1);
        assert_eq!((out.ended[0], ended), (step + 1 == steps, step + 1 == steps), "{what}");
        // What RWARE calls terminated at the limit of steps is truncated here.
        let cut = step + 1 == limit;
        assert!(out.truncated.iter().all(|t| *t == cut), "{what}");
        assert!(out.terminated.iter().all(|t| *t == (ended && !cut)), "{what}");
    }
    assert_eq!(deliveries.next(), None, "{name}");
    let floor = env.world(0).unwrap();
    assert_eq!(rules.requests(floor), wholes(&trace["final_requests"]), "{name}");
    let shelves: Vec<Vec<usize>> = list(&trace["final_shelves"]).iter().map(wholes).collect();
    assert_eq!(
        rules.shelves(floor).iter().map(|place| place.to_vec()).collect::<Vec<_>>(),
        shelves,
        "{name}"
    );
    let report = env.take_reports().remove(0);
    let paid: f32 = list(&trace["rewards"]).iter().flat_map(floats).sum();
    assert_eq!(report.value("deliveries"), Some(list(&trace["deliveries"]).len() as f64), "{name}");
    assert_eq!(report.value("return"), Some(f64::from(paid)), "{name}");
    None
}

#[test]
fn recorded_episodes_are_replayed() {
    for (name, trace) in episodes("rware-traces", 36) {
        assert_eq!(replay(&name, &trace, Ties::Original), None, "{name}");
        // By the lower index an episode differs from where RWARE decided a tie otherwise, and never else.
        let ties = list(&trace["ties"]).iter().map(|tie| whole(&tie[0]));
        match replay(&name, &trace, Ties::Lowest) {
            None => {}
            Some(step) => assert!(ties.clone().any(|tie| tie == step), "{name}: {step}, {:?}", trace["ties"]),
        }
    }
}

/// A warehouse of one world that has been reset.
fn started(config: &WarehouseConfig, seed: u64) -> (Warehouse, Warehouses, Buffers) {
    let rules = config.warehouse().unwrap();
    let mut env = Warehouses::new(rules.clone(), seed).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; config.worlds], &mut out).unwrap();
    (rules, env, out)
}

/// A lane with a goal in the middle and a shelf at each end, one of which is requested.
fn lane(agents: usize) -> WarehouseConfig {
    let text = "xc.....g.....x".to_string();
    WarehouseConfig {
        worlds: 1,
        agents,
        layout: LayoutSource::Text { text },
        requests: 1,
        normalised_coordinates: true,
        ..WarehouseConfig::default()
    }
}

/// The action that brings one robot to a cell, where nothing is in its way.
fn towards([x, y, direction, _]: [usize; 4], [to_x, to_y]: [usize; 2]) -> u32 {
    let wanted = match () {
        () if y > to_y => 0,
        () if y < to_y => 1,
        () if x > to_x => 2,
        () if x < to_x => 3,
        () => return 4,
    };
    if direction == wanted { 1 } else { 3 }
}

/// One robot brings whatever is requested and sets it down where it was; what the episode was paid, with its report.
fn errands(config: &WarehouseConfig, seed: u64) -> (Vec<f32>, Vec<(&'static str, f64)>) {
    let (rules, mut env, mut out) = started(config, seed);
    let home = rules.shelves(env.world(0).unwrap());
    let goal = rules.layout().place(rules.layout().goals()[0]);
    let (mut paid, mut carried) = (Vec::new(), 0);
    while !out.ended[0] {
        let floor = env.world(0).unwrap();
        let robot = rules.robots(floor)[0];
        let wanted = rules.requests(floor)[0];
        // The shelf that was brought is set down before the next is fetched.
        let place = match robot[3] {
            0 => home[wanted - 1],
            shelf if shelf == wanted => goal,
            shelf => home[shelf - 1],
        };
        carried = carried.max(robot[3]);
        // It waits on the goal while its shelf is served.
        let action =
            if robot[3] == wanted && place == [robot[0], robot[1]] { 0 } else { towards(robot, place) };
        env.step(&vec![action].into(), &mut out).unwrap();
        paid.push(out.rewards[0]);
    }
    assert!(carried > 0);
    (paid, env.take_reports().remove(0).values)
}

fn value(report: &[(&'static str, f64)], name: &str) -> f64 {
    report.iter().find(|(n, _)| *n == name).unwrap().1
}

#[test]
fn stations_take_their_time() {
    let seed = fresh().bits();
    let (paid, report) = errands(&lane(1), seed);
    let (slow, slow_report) = errands(&WarehouseConfig { service: 10, ..lane(1) }, seed);
    let first = |paid: &[f32]| paid.iter().position(|reward| *reward == 1.0).unwrap();
    // The first delivery is made nine steps later, since the first step on the goal counts.
    assert_eq!(first(&slow), first(&paid) + 9);
    assert!(value(&report, "deliveries") > value(&slow_report, "deliveries"));
    assert_eq!(value(&report, "return"), f64::from(paid.iter().sum::<f32>()));

    // While its shelf is served a robot stays where it is, whatever it wants, and the goal shows how far that is.
    let config = WarehouseConfig { service: 10, ..lane(1) };
    let (rules, mut env, mut out) = started(&config, seed);
    let mut served = 0;
    let goal = [7, 0];
    for _ in 0..200 {
        let floor = env.world(0).unwrap();
        let robot = rules.robots(floor)[0];
        let wanted = rules.requests(floor)[0];
        let done = out.observations[8];
        let target = if robot[3] == wanted { goal } else { rules.shelves(floor)[wanted - 1] };
        let action = if done > 0.0 { 1 + served % 3 } else { towards(robot, target) };
        env.step(&vec![action].into(), &mut out).unwrap();
        if done > 0.0 {
            served += 1;
            let after = rules.robots(env.world(0).unwrap())[0];
            assert_eq!(&after[..3], &robot[..3], "held");
            assert!((done - served as f32 / 10.0).abs() < 1e-6);
            assert_eq!(out.rewards[0], if served == 9 { 1.0 } else { 0.0 });
            if served == 9 {
                return;
            }
        }
    }
    panic!("nothing was served");
}

#[test]
fn batteries_are_used_up_and_filled() {
    let battery = Battery { capacity: 30, charging: 4, ..Battery::default() };
    let config = WarehouseConfig { battery, ..lane(1) };
    let (rules, mut env, mut out) = started(&config, fresh().bits());
    // Turning takes 1 a step, more than nothing, until nothing is left; then the robot stands.
    let charge = |env: &Warehouses| rules.charges(env.world(0).unwrap())[0];
    let place = |env: &Warehouses| rules.robots(env.world(0).unwrap())[0];
    let drive = |env: &mut Warehouses, out: &mut Buffers, action: u32| {
        env.step(&vec![action].into(), out).unwrap();
    };
    while place(&env)[..2] != [1, 0] {
        let before = charge(&env);
        let action = towards(place(&env), [1, 0]);
        drive(&mut env, &mut out, action);
        let gain = if place(&env)[..2] == [1, 0] { 4 } else { 0 };
        assert_eq!(charge(&env), (before - 1 + gain).min(30));
        assert_eq!(out.observations[8], charge(&env) as f32 / 30.0);
        assert_eq!(out.observations[9], f32::from(u8::from(place(&env)[..2] == [1, 0])));
    }
    // Where it stands on a charging cell it is filled: 3 for a turn, 4 for standing.
    for action in [2, 0, 0] {
        let before = charge(&env);
        drive(&mut env, &mut out, action);
        assert_eq!(charge(&env), (before + if action == 0 { 4 } else { 3 }).min(30));
    }
    for _ in 0..20 {
        drive(&mut env, &mut out, 0);
    }
    assert_eq!(charge(&env), 30);
    // One cell aside it turns until it is empty.
    while place(&env)[0] != 2 {
        let action = towards(place(&env), [2, 0]);
        drive(&mut env, &mut out, action);
    }
    let left = charge(&env);
    for step in 1..=left + 5 {
        let before = place(&env);
        drive(&mut env, &mut out, 2);
        assert_eq!(charge(&env), left.saturating_sub(step));
        assert_eq!(place(&env)[2] == before[2], step > left, "an empty robot stands");
    }
    while !out.ended[0] {
        drive(&mut env, &mut out, 1);
    }
    assert_eq!(env.take_reports()[0].value("empty"), Some(1.0));
}

#[test]
fn requests_are_worth_what_is_drawn_until_their_deadline() {
    let priorities = Priorities { weights: vec![1.0, 4.0], deadline: [15, 40], late: 0.25 };
    let mut paid = Vec::new();
    let seed = fresh().bits();
    for worlds in 0..40 {
        let config = WarehouseConfig { priorities: priorities.clone(), ..lane(1) };
        let (rules, env, out) = started(&config, seed ^ worlds);
        let [(worth, Some(due))] = rules.worths(env.world(0).unwrap())[..] else { panic!("one request") };
        assert!([1.0, 4.0].contains(&worth) && (15..=40).contains(&due));
        // Where the shelf is in sight, so are its worth and its time.
        let cells = out.observations[8..].chunks_exact(9);
        for cell in cells.filter(|cell| cell[6] == 1.0) {
            assert_eq!(cell[7..], [worth / 4.0, due as f32 / 40.0]);
        }
        let (rewards, report) = errands(&config, seed ^ worlds);
        let late = rewards.iter().filter(|reward| [0.25].contains(*reward)).count();
        assert!(rewards.iter().all(|reward| [0.0, 0.25, 1.0, 4.0].contains(reward)));
        // What pays 1 is a light one in time or a heavy one that is late.
        assert!(value(&report, "late") >= late as f64);
        let first = rewards.iter().position(|reward| *reward > 0.0).unwrap();
        assert_eq!(rewards[first], if first + 1 > due as usize { 0.25 * worth } else { worth });
        paid.extend(rewards);
    }
    for expected in [0.25, 1.0, 4.0] {
        assert!(paid.contains(&expected), "{expected} was never paid");
    }
}

#[test]
fn everybody_is_paid_or_who_brings_and_puts_back() {
    let seed = fresh().bits();
    let (own, _) = errands(&lane(1), seed);
    let (halves, report) = errands(&WarehouseConfig { reward: Reward::TwoStage, ..lane(1) }, seed);
    let first = own.iter().position(|reward| *reward > 0.0).unwrap();
    assert_eq!((own[first], halves[first]), (1.0, 0.5));
    // Half at the goal, half at the shelf's place; the last may not have been put back.
    let returned = 2.0 * value(&report, "return");
    let deliveries = value(&report, "deliveries");
    assert!(returned == 2.0 * deliveries || returned == 2.0 * deliveries - 1.0, "{returned} {deliveries}");
}

#[test]
fn what_is_no_warehouse_is_refused_in_words() {
    let refuses = |config: WarehouseConfig, words: &[&str]| {
        let error = config.warehouse().unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "`{word}` is not in `{error}`"));
    };
    let of = |text: &str| WarehouseConfig {
        layout: LayoutSource::Text { text: text.into() },
        agents: 1,
        requests: 1,
        ..WarehouseConfig::default()
    };
    refuses(of("xx.\n..."), &["world.layout.text", "no goal"]);
    refuses(of("g.."), &["no shelf"]);
    refuses(of("\nxxg\nxx"), &["line 3", "2 cells", "3"]);
    refuses(of("xxg\nx?."), &["line 2", "`?`"]);
    refuses(of(""), &["world.layout.text", "rows"]);
    refuses(of(&"x".repeat(600)), &["512"]);
    refuses(WarehouseConfig { agents: 5, ..of("xxg\n") }, &["world.agents", "at most 3", "5"]);
    refuses(WarehouseConfig { requests: 2, ..of("xxg") }, &["world.requests", "2 shelves"]);
    refuses(WarehouseConfig { agents: 0, ..of("xxg") }, &["world.agents", "1 to 1024"]);
    refuses(WarehouseConfig { agents: 40, ..WarehouseConfig::default() }, &["world.agents", "32 shelves"]);
    let battery = Battery { capacity: 9, ..Battery::default() };
    refuses(WarehouseConfig { battery, ..of("xxg") }, &["world.layout", "`c`"]);
    let battery = Battery { charging: 3, ..Battery::default() };
    refuses(WarehouseConfig { battery, ..of("xxg") }, &["world.battery.charging", "capacity"]);
    for (weights, deadline, late, key) in [
        (vec![0.0], [0, 0], 0.0, "weights"),
        (vec![f32::INFINITY], [0, 0], 0.0, "weights"),
        (vec![1.0; 65], [0, 0], 0.0, "weights"),
        (vec![], [9, 3], 0.0, "deadline"),
        (vec![], [0, 3], 0.0, "deadline"),
        (vec![], [0, 0], 0.5, "late"),
    ] {
        let priorities = Priorities { weights, deadline, late };
        refuses(WarehouseConfig { priorities, ..of("xxg") }, &["world.priorities", key]);
    }
    for (rows, columns, column_height, key) in
        [(1, 2, 8, "columns"), (0, 3, 8, "rows"), (1, 3, 0, "column_height"), (200, 3, 8, "512")]
    {
        let layout = LayoutSource::Blocks { rows, columns, column_height };
        refuses(WarehouseConfig { layout, ..WarehouseConfig::default() }, &["world.layout", key]);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ground.txt");
    std::fs::write(&path, "xxg\n..y\n").unwrap();
    let error = Layout::load(&path).unwrap_err().to_string();
    assert!(error.contains("ground.txt") && error.contains('2') && error.contains("`y`"), "{error}");
    std::fs::write(&path, "xxg\n..c\n").unwrap();
    let config = WarehouseConfig { layout: LayoutSource::File { path }, agents: 6, requests: 1, ..of("") };
    assert_eq!(config.warehouse().unwrap().layout().goals(), [2]);
    let missing = LayoutSource::File { path: folder.path().join("none") };
    refuses(WarehouseConfig { layout: missing, ..of("") }, &["none"]);
    assert!(WorldConfig::new(of("xxg")).build(1).is_ok());
}
