//! Learning in two levels on small problems with known answers.

use synod::agent::actors::Choice;
use synod::agent::core::CoreConfig;
use synod::agent::hierarchy::Hierarchy;
use synod::agent::team::TeamConfig;
use synod::env::WorldConfig;
use synod::env::chain::ChainConfig;
use synod::env::deep_sea::DeepSeaConfig;
use synod::env::goals::{Goal, Goals};
use synod::env::taxi::TaxiConfig;
use synod::train::dqn::DqnConfig;
use synod::train::hierarchy::{HierarchicalDqn, HierarchyConfig};
use synod::train::mixer::Mixing;
use synod::train::player::Player;
use synod::train::{Report, TensorData, Trainer};
use synod::{Device, Result};

fn level() -> DqnConfig {
    DqnConfig {
        rollout: 4,
        batch: 32,
        replay: 4_000,
        warmup: 300,
        learning_rate: 2e-3,
        target_every: 50,
        epsilon_end: 0.1,
        epsilon_fraction: 0.5,
        learning_shards: 1,
        ..DqnConfig::default()
    }
}

/// Goals of the world, or so many without a meaning.
fn trainer(world: &WorldConfig, config: &HierarchyConfig, budget: u64, seed: u64) -> Result<HierarchicalDqn> {
    let device = Device::cpu();
    let env = world.build(seed)?;
    let observation = env.spec().kinds[0].observation.iter().product();
    let goals = config.goals(world.goals(), observation)?;
    let network = TeamConfig { features: 32, identity: false, ..TeamConfig::default() };
    let agent = Hierarchy::new(&device, &network, env.spec(), goals, config.every, false, seed)?;
    HierarchicalDqn::new(&device, agent, env, config, budget, seed)
}

/// Mean return of the agent without random actions.
fn greedy(trainer: &HierarchicalDqn, world: &WorldConfig, worlds: usize, seed: u64) -> f64 {
    let mut env = world.clone().with_worlds(worlds).build(seed).unwrap();
    let agent = trainer.agent().unwrap();
    let mut player = Player::new(&Device::cpu(), agent, env.as_ref(), Choice::EpsilonGreedy, false).unwrap();
    let reports = player.play(env.as_mut(), 1, |_, _, _| Ok(())).unwrap();
    reports.iter().map(|r| r.value("return").unwrap()).sum::<f64>() / reports.len() as f64
}

#[test]
fn the_chain_is_solved_by_going_to_its_end_first() {
    let world = WorldConfig::new(ChainConfig { worlds: 8, ..ChainConfig::default() });
    let worker = DqnConfig { gamma: 0.9, ..level() };
    let config = HierarchyConfig { every: 100, worker, manager: level(), ..HierarchyConfig::default() };
    for seed in [1, 2, 3] {
        let budget = 60_000;
        let mut trainer = trainer(&world, &config, budget, seed).unwrap();
        while trainer.step().unwrap().steps < budget {}
        let value = greedy(&trainer, &world, 16_384, 99);
        // .208 is the most; its standard error over these episodes is .003.
        assert!((0.195..0.222).contains(&value), "seed {seed}: {value}");
    }
}

#[test]
fn goals_without_a_meaning_learn_from_what_the_world_pays() {
    let world = WorldConfig::new(DeepSeaConfig { worlds: 8, size: 4, mapping_seed: 5 });
    let config = HierarchyConfig {
        goals: 3,
        every: 2,
        extrinsic: 1.0,
        worker: level(),
        manager: level(),
        ..HierarchyConfig::default()
    };
    for seed in [1, 2, 3] {
        let budget = 30_000;
        let mut trainer = trainer(&world, &config, budget, seed).unwrap();
        let mut report = Report::default();
        while report.steps < budget {
            report = trainer.step().unwrap();
            assert!(report.value("reached").is_none_or(|reached| reached == 0.0));
        }
        let value = greedy(&trainer, &world, 8, 99);
        assert!((value - 0.99).abs() < 1e-6, "seed {seed}: {value}");
    }
}

/// The agent as one policy chooses goals and actions as its levels do in training.
#[test]
fn the_agent_acts_as_its_levels_learned() {
    let mut lengths = 0.0;
    for seed in 0..12 {
        for world in [
            WorldConfig::new(ChainConfig { worlds: 1, right: 0.9, max_episode_steps: 40, states: 5 }),
            WorldConfig::new(TaxiConfig { worlds: 1, max_episode_steps: 40 }),
        ] {
            let still = DqnConfig { rollout: 1, epsilon_start: 0.0, epsilon_end: 0.0, ..level() };
            let never = DqnConfig { warmup: 4_000, ..still };
            let config = HierarchyConfig {
                every: 3,
                worker: never.clone(),
                manager: never,
                ..HierarchyConfig::default()
            };
            let mut trainer = trainer(&world, &config, 1, seed).unwrap();
            let mut steps = 0.0;
            let value = loop {
                let report = trainer.step().unwrap();
                steps += 1.0;
                if let Some(value) = report.value("return") {
                    assert_eq!(report.value("length"), Some(steps));
                    break value;
                }
            };
            assert_eq!(greedy(&trainer, &world, 1, seed), value, "seed {seed}, {}", world.name());
            lengths += steps;
        }
    }
    assert!(lengths > 100.0);
}

fn short(threads: usize, steps: usize) -> (Vec<Report>, HierarchicalDqn) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let world = WorldConfig::new(TaxiConfig { worlds: 6, max_episode_steps: 15 });
        let small =
            DqnConfig { replay: 100, warmup: 20, batch: 8, target_every: 3, acting_shards: 2, ..level() };
        let config = HierarchyConfig {
            every: 5,
            extrinsic: 0.1,
            worker: small.clone(),
            manager: small,
            ..Default::default()
        };
        let mut trainer = trainer(&world, &config, 10_000, 4).unwrap();
        let reports = (0..steps).map(|_| trainer.step().unwrap()).collect();
        (reports, trainer)
    })
}

#[test]
fn a_trainer_that_was_saved_and_loaded_goes_on_to_the_bit() {
    let (_, mut whole) = short(1, 37);
    let middle = whole.save().unwrap();
    let (_, mut resumed) = short(1, 0);
    resumed.load(&middle).unwrap();
    for _ in 0..20 {
        assert_eq!(whole.step().unwrap(), resumed.step().unwrap());
    }
    assert!(whole.save().unwrap() == resumed.save().unwrap());

    // What is damaged is refused by name, and changes nothing.
    let before = whole.save().unwrap();
    for name in ["options/goals", "replay/manager/actions", "replay/worker/goals"] {
        let mut bad = before.clone();
        let length = bad.tensor(name).unwrap().elements();
        bad.insert(name, TensorData::u32(&[length], &vec![77; length]).unwrap());
        let error = whole.load(&bad).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert!(whole.save().unwrap() == before);
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let (one, two) = (short(1, 25), short(2, 25));
    assert_eq!(one.0, two.0);
    assert!(one.1.save().unwrap() == two.1.save().unwrap());
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let world = WorldConfig::named("taxi").unwrap();
    let base = HierarchyConfig { worker: level(), manager: level(), ..HierarchyConfig::default() };
    let manager = |manager: DqnConfig| HierarchyConfig { manager, ..base.clone() };
    let worker = |worker: DqnConfig| HierarchyConfig { worker, ..base.clone() };
    for (config, key) in [
        (HierarchyConfig { every: 0, ..base.clone() }, "learner.every"),
        (HierarchyConfig { pretraining: 1.0, ..base.clone() }, "learner.pretraining"),
        (HierarchyConfig { intrinsic: f32::NAN, ..base.clone() }, "learner.intrinsic"),
        (HierarchyConfig { goals: 4, ..base.clone() }, "learner.extrinsic"),
        (manager(DqnConfig { gamma: 2.0, ..level() }), "learner.manager.gamma"),
        (manager(DqnConfig { n_step: 3, ..level() }), "learner.manager.n_step"),
        (worker(DqnConfig { prioritised: true, ..level() }), "learner.worker.prioritised"),
        (worker(DqnConfig { mixer: Mixing::Vdn, ..level() }), "learner.worker.mixer"),
        (worker(DqnConfig { learning_shards: 2, ..level() }), "learner.worker.learning_shards"),
    ] {
        let error = trainer(&world, &config, 1, 1).err().unwrap().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
    let named = WorldConfig::named("lever").unwrap();
    let error = base.goals(named.goals(), 4).unwrap_err().to_string();
    assert!(error.contains("learner.goals"), "{error}");
    assert!(Goals::named(vec![Goal::all_of("beyond", &[4])], 4).is_err());
    let spec = world.build(1).unwrap().spec().clone();
    let recurrent = TeamConfig { core: CoreConfig::named("gru").unwrap(), ..TeamConfig::default() };
    let goals = Goals::named(world.goals(), 19).unwrap();
    let error = Hierarchy::new(&Device::cpu(), &recurrent, &spec, goals, 5, false, 1).err().unwrap();
    assert!(error.to_string().contains("agent.core.kind"), "{error}");
}
