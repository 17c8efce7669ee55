//! The factory against its own table, sums by hand, and bounds that small cases can be counted out for.

use std::collections::HashMap;

use crate::games::fresh;
use synod::env::factory::{
    COMMANDS, Factory, FactoryConfig, HIGH, LOW, Model, OFF, Optimum, REPAIR, Script, Silent, Status, Told,
    bound, late,
};
use synod::env::{Buffers, VecEnv};

fn start(config: FactoryConfig, seed: u64) -> (Factory, Buffers) {
    let worlds = config.worlds;
    let mut env = Factory::new(config, seed).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; worlds], &mut out).unwrap();
    (env, out)
}

/// The actions of all agents that give each world's machines these commands.
fn actions(env: &Factory, commands: impl Fn(usize) -> Vec<u32>) -> Vec<u32> {
    let config = env.rules().config();
    let mut actions = vec![0; config.worlds * (config.sensors + config.processors)];
    (0..config.worlds).for_each(|world| actions.extend(env.rules().actions(&commands(world))));
    actions
}

/// Returns of one episode in each world.
fn returns(
    config: &FactoryConfig,
    seed: u64,
    commands: impl Fn(&Factory, usize) -> Vec<u32>,
) -> (Factory, Vec<f64>) {
    let (mut env, mut out) = start(config.clone(), seed);
    while out.ended.contains(&false) {
        let actions = actions(&env, |world| commands(&env, world));
        env.step(&actions[..].into(), &mut out).unwrap();
    }
    let returns = env.take_reports().iter().map(|report| report.value("return").unwrap()).collect();
    (env, returns)
}

/// Mean and standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

fn close(values: &[f64], expected: f64, what: &str) {
    let (mean, error) = mean(values);
    assert!((mean - expected).abs() < 4.0 * error, "{what}: {mean} +- {error}, expected {expected}");
}

/// A factory with three machines and two queues, small enough for a table.
fn three() -> FactoryConfig {
    FactoryConfig {
        machines: 3,
        sensors: 2,
        processors: 2,
        actuators: 2,
        wear_levels: 2,
        repair_steps: 1,
        queue: 2,
        batch: 1,
        withdrawal: 0.4,
        fault_worn: 0.5,
        horizon: 12,
        ..FactoryConfig::small()
    }
}

#[test]
fn what_follows_has_the_stated_probabilities() {
    let mut random = fresh();
    for config in [FactoryConfig::small(), three()] {
        let config = FactoryConfig { worlds: 4000, ..config };
        let model = Model::new(&config).unwrap();
        let (mut env, mut out) = start(config.clone(), random.bits());
        let mut seen: HashMap<(usize, usize), HashMap<u32, usize>> = HashMap::new();
        let (mut paid, mut squares) = (0.0, 0.0);
        while out.ended.contains(&false) {
            let chosen: Vec<usize> = (0..config.worlds).map(|_| random.below(model.actions())).collect();
            let before: Vec<usize> =
                (0..config.worlds).map(|world| model.state(env.world(world).unwrap())).collect();
            let actions = actions(&env, |world| model.commands(chosen[world]));
            env.step(&actions[..].into(), &mut out).unwrap();
            let agents = out.rewards.len() / config.worlds;
            for world in 0..config.worlds {
                let after = model.state(env.world(world).unwrap()) as u32;
                *seen.entry((before[world], chosen[world])).or_default().entry(after).or_default() += 1;
                let rewards = &out.rewards[world * agents..][..agents];
                assert!(rewards.iter().all(|reward| reward == &rewards[0]), "the pay is the team's");
                let off = f64::from(rewards[0]) - model.reward(before[world], chosen[world]);
                paid += off;
                squares += off * off;
            }
        }
        // Pearson's sum over all rows seen often; outcomes that are expected less than five times go together.
        let (mut sum, mut freedom) = (0.0, 0.0);
        for ((state, action), counts) in &seen {
            let outcomes = model.outcomes(*state, *action);
            let total = counts.values().sum::<usize>() as f64;
            let chances: f64 = outcomes.iter().map(|(_, p)| p).sum();
            assert!((chances - 1.0).abs() < 1e-12);
            assert!(counts.keys().all(|next| outcomes.iter().any(|(other, _)| other == next)));
            let (mut rare, mut cells) = ((0.0, 0.0), Vec::new());
            for (next, p) in outcomes {
                let count = *counts.get(next).unwrap_or(&0) as f64;
                match p * total < 5.0 {
                    true => rare = (rare.0 + count, rare.1 + p * total),
                    false => cells.push((count, p * total)),
                }
            }
            cells.extend((rare.1 >= 5.0).then_some(rare));
            // Each cell's part is 1 - p on average, whatever is left out.
            sum += cells.iter().map(|(count, expected)| (count - expected).powi(2) / expected).sum::<f64>();
            freedom += cells.iter().map(|(_, expected)| 1.0 - expected / total).sum::<f64>();
        }
        assert!(freedom > 100.0, "{freedom}");
        // Small cells add up to a fifth to the variance of 2.
        let slack = 5.0 * (2.2 * freedom).sqrt();
        assert!((sum - freedom).abs() < slack, "chi-square {sum} with {freedom} degrees of freedom");
        assert!(paid.abs() < 4.0 * squares.sqrt(), "paid {paid} more than on average");
    }
}

/// One machine, everything certain, prices that tell each other apart.
#[test]
fn a_short_episode_by_hand() {
    let config = FactoryConfig {
        worlds: 1,
        machines: 1,
        wear_levels: 2,
        wear_low: 0.0,
        wear_high: 1.0,
        fault_new: 0.0,
        fault_worn: 1.0,
        repair_steps: 2,
        queue: 3,
        arrival: 1.0,
        batch: 2,
        withdrawal: 0.0,
        revenue: 8.0,
        energy_low: 1.0,
        energy_high: 2.0,
        repair_cost: 16.0,
        fault_cost: 32.0,
        late_cost: 0.25,
        lost_cost: 0.5,
        horizon: 8,
        ..FactoryConfig::small()
    };
    let (mut env, mut out) = start(config, fresh().bits());
    let steps = [
        // Command, pay, status, wear and orders after it. Nothing waits at first, then two orders.
        (LOW, -1.0, Status::Running, 0, 2),
        // Two finished, a level of wear.
        (HIGH, 16.0 - 2.0, Status::Running, 1, 2),
        // It fails; two orders wait, two more come, one of them finds no room.
        (LOW, -1.0 - 32.0 - 0.5 - 0.5, Status::Faulty, 1, 3),
        // Faulty machines do not run, and use nothing. Three wait, two are lost.
        (HIGH, -0.75 - 1.0, Status::Faulty, 1, 3),
        // A repair of two steps, the second whatever it is told.
        (REPAIR, -16.0 - 0.75 - 1.0, Status::InRepair, 1, 3),
        (LOW, -0.75 - 1.0, Status::Idle, 0, 3),
        // One finished, two wait, one of two finds no room.
        (LOW, 8.0 - 1.0 - 0.5 - 0.5, Status::Running, 0, 3),
        (OFF, -0.75 - 1.0, Status::Idle, 0, 3),
    ];
    for (step, (command, paid, status, wear, waiting)) in steps.into_iter().enumerate() {
        env.step(&[0, 0, command].into(), &mut out).unwrap();
        assert_eq!(out.rewards, [paid; 3], "step {step}");
        let floor = env.world(0).unwrap();
        let machine = floor.machines()[0];
        assert_eq!(
            (machine.status(), machine.wear(), floor.queues()[0].waiting()),
            (status, wear, waiting),
            "step {step}"
        );
        // Sensor: status, wear, temperature, vibration. Processor: orders, part of the episode. Actuator: command.
        let (mut sensed, mut queued, mut told) = ([0.0; 6], [0.0; 5], [0.0; 4]);
        (sensed[status as usize], sensed[4 + wear]) = (1.0, 1.0);
        (queued[waiting], queued[4]) = (1.0, (step + 1) as f32 / 8.0);
        told[command as usize] = 1.0;
        assert_eq!(out.observations[..6], sensed, "step {step}");
        assert_eq!(out.observations[8..13], queued, "step {step}");
        assert_eq!(out.observations[13..], told, "step {step}");
        assert_eq!(out.state, out.observations);
        assert_eq!(out.ended[0], step == 7);
    }
    let report = &env.take_reports()[0];
    let total: f64 = steps.iter().map(|step| f64::from(step.1)).sum();
    for (name, value) in [("return", total), ("orders", 3.0), ("lost", 10.0), ("faults", 1.0)] {
        assert!((report.value(name).unwrap() - value).abs() < 1e-9, "{name}: {report:?}");
    }
}

#[test]
fn readings_follow_load_and_wear() {
    let config = FactoryConfig { worlds: 500, machines: 1, fault_new: 0.0, fault_worn: 0.0, ..three() };
    let config = FactoryConfig { sensors: 1, processors: 1, actuators: 1, wear_low: 1.0, ..config };
    let (mut env, mut out) = start(config, fresh().bits());
    let mut temperature = 0.0f32;
    // The wear is at its top after the first step.
    for (command, rate) in [(LOW, 0.5), (HIGH, 1.0), (HIGH, 1.0), (OFF, 0.0)] {
        env.step(&actions(&env, |_| vec![command])[..].into(), &mut out).unwrap();
        temperature += (rate - temperature) / 2.0;
        let mut offs = Vec::new();
        for seen in out.observations[..500 * 8].chunks_exact(8) {
            assert_eq!(seen[6], temperature);
            offs.push(f64::from(seen[7] - rate));
        }
        assert!(offs.iter().all(|off| off.abs() <= 0.1001), "{offs:?}");
        // Uniform within .1: deviation .0577.
        let (mean, error) = mean(&offs);
        assert!(mean.abs() < 4.0 * error && (error * 500f64.sqrt() - 0.0577).abs() < 0.01, "{mean} {error}");
    }
}

#[test]
fn the_best_play_and_the_others_are_worth_what_is_computed() {
    let mut random = fresh();
    let config = FactoryConfig { worlds: 20_000, ..FactoryConfig::small() };
    let best = Optimum::new(&config).unwrap();
    let (env, optimal) =
        returns(&config, random.bits(), |env, world| best.commands(env.world(world).unwrap()));
    close(&optimal, best.value(), "the optimum");
    let silent = Silent::new(&config).unwrap();
    let (_, mute) = returns(&config, random.bits(), |env, world| {
        silent.commands[env.world(world).unwrap().steps()].clone()
    });
    close(&mute, silent.least, "the best sequence that was found");
    let script = Script::tuned(&config);
    let (_, scripted) = returns(&config, random.bits(), |env, world| {
        script.commands(env.rules().config(), env.world(world).unwrap())
    });
    // The rule's value is itself a mean, of 4,096 episodes.
    let (mean, error) = mean(&scripted);
    let slack = 4.0 * error * (1.0f64 + 20_000.0 / 4096.0).sqrt();
    assert!((mean - script.value(&config)).abs() < slack, "{mean} +- {error}");
    assert!(script.value(&config) > 0.95 * best.value(), "{script:?}");
    assert_eq!(env.rules().yardsticks(), [best.value(), script.value(&config)]);
}

#[test]
fn without_a_word_little_can_be_had() {
    let config = FactoryConfig::small();
    let best = Optimum::new(&config).unwrap().value();
    let silent = Silent::new(&config).unwrap();
    let share = |value: f64| value / best;
    println!("optimum {best}, silent {} to {}", share(silent.least), share(silent.most));
    assert!(silent.least <= silent.most && share(silent.most) < 0.3);
    // Neither kind's word is enough. (Told two steps late all bounds hold little less in a short episode.)
    let short = FactoryConfig { horizon: 10, ..config };
    let best = Optimum::new(&short).unwrap().value();
    let [nothing, machines, orders] =
        [Told::Nothing, Told::Machines, Told::Orders].map(|told| bound(&short, told).unwrap() / best);
    println!("in 10 steps: silent {nothing}, told of the machines {machines}, of the orders {orders}");
    assert!(nothing < machines.min(orders) && machines < 0.7 && orders < 0.93);
}

/// What a sequence of commands is worth, all of what may happen counted.
fn sequence(model: &Model, state: usize, commands: &[usize]) -> f64 {
    let Some((first, rest)) = commands.split_first() else { return 0.0 };
    let outcomes = model.outcomes(state, *first);
    model.reward(state, *first)
        + outcomes.iter().map(|(next, p)| p * sequence(model, *next as usize, rest)).sum::<f64>()
}

#[test]
fn bounds_hold_what_can_be_counted_out() {
    // With orders from the first step on, so that there is something to do.
    let base = FactoryConfig { arrival: 0.9, ..FactoryConfig::small() };
    for horizon in [2, 3] {
        let config = FactoryConfig { horizon, ..base.clone() };
        let model = Model::new(&config).unwrap();
        let all = model.actions();
        let digits = |n: usize| (0..horizon as u32).map(|i| n / all.pow(i) % all).collect::<Vec<_>>();
        let best = (0..all.pow(horizon as u32))
            .map(|n| sequence(&model, model.start(), &digits(n)))
            .fold(f64::NEG_INFINITY, f64::max);
        let silent = Silent::new(&config).unwrap();
        assert!(silent.least <= best + 1e-9 && best <= silent.most + 1e-9, "{silent:?} {best}");
        // Told two steps late, nothing is told in time in two steps.
        assert!(horizon > 2 || (silent.most - best).abs() < 1e-9, "{silent:?} {best}");
    }
    // Told a step late, the second command is chosen with what was known before the first; and so on.
    let config = FactoryConfig { horizon: 3, ..base.clone() };
    let model = Model::new(&config).unwrap();
    let blind = |state: usize, first: usize, later: &dyn Fn(usize, usize) -> f64| {
        let worth = |second: usize| {
            model.outcomes(state, first).iter().map(|(next, p)| p * later(*next as usize, second)).sum()
        };
        let most = (0..model.actions()).map(worth).fold(f64::NEG_INFINITY, f64::max);
        model.reward(state, first) + most
    };
    let last = |state: usize, action: usize| model.reward(state, action);
    let middle: Vec<f64> = (0..model.states() * model.actions())
        .map(|row| blind(row / model.actions(), row % model.actions(), &last))
        .collect();
    let counted = (0..model.actions())
        .map(|first| blind(model.start(), first, &|state, action| middle[state * model.actions() + action]))
        .fold(f64::NEG_INFINITY, f64::max);
    assert!((late(&config, 1).unwrap() - counted).abs() < 1e-9, "told a step late: {counted}");
    let best = Optimum::new(&config).unwrap().value();
    assert!(late(&config, 2).unwrap() <= counted + 1e-9 && counted <= best + 1e-9);
    assert!(late(&config, 0).is_err() && late(&config, 9).is_err());
    // In two steps what is told of the present is all that there is.
    let config = FactoryConfig { horizon: 2, ..base };
    let model = Model::new(&config).unwrap();
    let machines = 5 * 5;
    for told in [Told::Machines, Told::Orders] {
        let seen = |state: usize| if told == Told::Machines { state % machines } else { state / machines };
        let worth = |first: usize| {
            let mut groups: HashMap<usize, Vec<f64>> = HashMap::new();
            for (next, p) in model.outcomes(model.start(), first) {
                let next = *next as usize;
                let group = groups.entry(seen(next)).or_insert_with(|| vec![0.0; model.actions()]);
                for (action, sum) in group.iter_mut().enumerate() {
                    *sum += p * model.reward(next, action);
                }
            }
            let most = |group: &Vec<f64>| group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            model.reward(model.start(), first) + groups.values().map(most).sum::<f64>()
        };
        let best = (0..model.actions()).map(worth).fold(f64::NEG_INFINITY, f64::max);
        let bound = bound(&config, told).unwrap();
        assert!((bound - best).abs() < 1e-9, "{told:?}: {bound}, counted {best}");
    }
}

#[test]
fn actuators_see_their_own_commands_only_and_reach_their_own_machines_only() {
    let mut random = fresh();
    let config = FactoryConfig {
        worlds: 1,
        machines: 5,
        sensors: 2,
        processors: 3,
        actuators: 2,
        arrival: 0.5,
        ..FactoryConfig::large()
    };
    let (mut env, mut out) = start(config.clone(), random.bits());
    let kinds = env.spec().kinds.clone();
    let sizes: Vec<_> = kinds.iter().map(|kind| (kind.count, kind.observation[0])).collect();
    // Three machines at most for each of two: statuses, wear and readings; orders and part; commands.
    assert_eq!(sizes, [(2, 3 * (4 + 3 + 2)), (3, 5 + 1), (2, 3 * 4)]);
    let options: Vec<_> = kinds.iter().map(|kind| kind.actions.options()).collect();
    assert_eq!(options, [1, 1, 64]);
    for _ in 0..config.horizon {
        let chosen = [random.below(64) as u32, random.below(64) as u32];
        env.step(&[0, 0, 0, 0, 0, chosen[0], chosen[1]].into(), &mut out).unwrap();
        let floor = env.world(0).unwrap();
        let seen = &out.observations[2 * 27 + 3 * 6..];
        for (number, machine) in floor.machines().iter().enumerate() {
            let (actuator, place) = (number % 2, number / 2);
            let command = chosen[actuator] / 4u32.pow(place as u32) % 4;
            assert_eq!(machine.command(), command);
            let row = &seen[actuator * 12 + place * COMMANDS..][..COMMANDS];
            assert!((0..4).all(|c| row[c] == f32::from(u8::from(c as u32 == command))));
            // The sensor of the machine sees it in its place.
            let row = &out.observations[actuator * 27 + place * 9..][..9];
            assert_eq!(row[machine.status() as usize], 1.0);
            assert_eq!(row[4 + machine.wear()], 1.0);
            let facts = env.fact_values(0, actuator);
            let known = [machine.status() as u32, machine.wear() as u32].map(Some);
            assert_eq!(facts[2 * place..][..2], known);
        }
        // Actuators know nothing. The second of each has two machines, and zeros in the place of a third.
        assert!(seen[12 + 8..].iter().all(|v| *v == 0.0));
        assert!(out.observations[27 + 18..54].iter().all(|v| *v == 0.0));
        for (number, orders) in floor.queues().iter().enumerate() {
            assert_eq!(out.observations[54 + number * 6 + orders.waiting()], 1.0);
            assert_eq!(env.fact_values(0, 2 + number)[6], Some(orders.waiting() as u32));
        }
    }
    let facts: Vec<_> = env.facts().into_iter().map(|fact| (fact.name, fact.values)).collect();
    assert_eq!(facts[2..4], [("status 1".to_owned(), 4), ("wear 1".to_owned(), 3)]);
    assert_eq!((facts.len(), env.fact_values(0, 5)), (7, vec![None; 7]));
    assert_eq!(env.action_names(6)[1 + 4 * 2 + 16 * 3], "low, high, repair");
    assert_eq!(env.action_names(0), ["nothing"]);
}

#[test]
fn settings_out_of_range_are_refused_with_their_keys() {
    let base = FactoryConfig::small();
    for (config, key) in [
        (FactoryConfig { machines: 0, ..base.clone() }, "world.machines"),
        (FactoryConfig { machines: usize::MAX, ..base.clone() }, "world.machines"),
        (FactoryConfig { sensors: 0, ..base.clone() }, "world.sensors"),
        (FactoryConfig { sensors: 3, ..base.clone() }, "world.sensors"),
        (FactoryConfig { processors: 3, ..base.clone() }, "world.processors"),
        (FactoryConfig { actuators: 3, ..base.clone() }, "world.actuators"),
        (FactoryConfig { machines: 5, ..base.clone() }, "world.actuators"),
        (FactoryConfig { wear_levels: 1, ..base.clone() }, "world.wear_levels"),
        (FactoryConfig { wear_low: -0.1, ..base.clone() }, "world.wear_low"),
        (FactoryConfig { fault_worn: f64::NAN, ..base.clone() }, "world.fault_worn"),
        (FactoryConfig { repair_steps: 0, ..base.clone() }, "world.repair_steps"),
        (FactoryConfig { queue: 0, ..base.clone() }, "world.queue"),
        (FactoryConfig { batch: usize::MAX, ..base.clone() }, "world.batch"),
        (FactoryConfig { revenue: f64::INFINITY, ..base.clone() }, "world.revenue"),
        (FactoryConfig { lost_cost: 1e4, ..base.clone() }, "world.lost_cost"),
        (FactoryConfig { horizon: 0, ..base.clone() }, "world.horizon"),
        (FactoryConfig { worlds: 0, ..base.clone() }, "world.worlds"),
    ] {
        let error = Factory::new(config.clone(), 1).unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
        let refused = config.worlds == 0 || Optimum::new(&config).is_err();
        assert!(refused, "{key}");
    }
    // The largest factory works, and has no optimum that could be computed.
    let largest = FactoryConfig {
        worlds: 1,
        machines: 64,
        sensors: 64,
        processors: 64,
        actuators: 16,
        wear_levels: 16,
        repair_steps: 16,
        queue: 64,
        batch: 64,
        ..base
    };
    assert!(Optimum::new(&largest).is_err() && Silent::new(&largest).is_err());
    let script = Script::tuned(&largest);
    let (env, returns) =
        returns(&largest, 1, |env, world| script.commands(&largest, env.world(world).unwrap()));
    assert!(returns[0].is_finite() && env.rules().yardsticks()[0] == 0.0);
}
