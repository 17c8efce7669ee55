//! Tabular learning against answers that are known: games solved by hand, a chain whose values follow from its
//! equations.

use std::collections::BTreeMap;

use synod::agent::AgentConfig;
use synod::agent::table::TableConfig;
use synod::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use synod::env::{AgentKind, Pcg64, VecEnv};
use synod::preset::{Settings, evaluate};
use synod::train::tabular::{Next, Rule, TabularConfig};
use synod::train::{Checkpoint, LearnerConfig, Making, Trainer};
use synod::{Device, Result};

fn settings(preset: &str, items: &[&str]) -> Settings {
    let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
    Settings::with_items(preset, &items).unwrap()
}

/// Trains as the settings say; what its trained agents reach in an episode with each seed.
fn trained(settings: &Settings) -> Result<BTreeMap<String, f64>> {
    let device = Device::cpu();
    let mut trainer = settings.trainer(&device)?;
    let mut steps = 0;
    while steps < settings.steps {
        steps = trainer.step()?.steps;
    }
    let policy = settings.policy(&device)?;
    policy.parameters().load("agent", &trainer.save_agent()?)?;
    let measures = evaluate(&device, settings, policy.as_ref(), 1, 0, false, &mut |_, _| Ok(()))?;
    Ok(measures.into_iter().map(|measure| (measure.name, measure.mean)).collect())
}

/// So many seeds of a preset in place of its own.
fn seeds(preset: &str, count: u64, items: &[&str]) -> Settings {
    let own = Settings::preset(preset).unwrap();
    let steps = own.steps / own.world.worlds() as u64 * count;
    let sized = [
        format!("world.worlds={count}"),
        format!("agent.seeds={count}"),
        format!("steps={steps}"),
        "seed=3".to_string(),
    ];
    let all: Vec<&str> = sized.iter().map(String::as_str).chain(items.iter().copied()).collect();
    settings(preset, &all)
}

/// The shares of seeds that find the best pair of actions, in 1,000 seeds of another program: climbing .000 and 1.000,
/// penalty of 10 .907 and 1.000, of 100 .001 and .994. 200 seeds deviate from .907 by .02.
#[test]
fn hysteretic_learners_find_what_independent_ones_miss() -> Result<()> {
    let optimal = |preset: &str, items: &[&str]| trained(&seeds(preset, 200, items)).map(|of| of["optimal"]);
    assert_eq!(optimal("climbing-iql", &[])?, 0.0);
    assert!(optimal("climbing-hysteretic", &[])? >= 0.99);
    let near = optimal("penalty-iql", &[])?;
    assert!((near - 0.907).abs() < 0.08, "{near}");
    assert!(optimal("penalty-hysteretic", &[])? >= 0.98);
    assert!(optimal("penalty-iql", &["world.k=-100"])? <= 0.02);
    assert!(optimal("penalty-hysteretic", &["world.k=-100"])? >= 0.96);
    Ok(())
}

/// Lenience forgives the penalty as hysteresis does, as long as it lasts.
#[test]
fn lenient_learners_find_it_too() -> Result<()> {
    let items = ["learner.rule={ kind = \"lenient\" }"];
    let found = trained(&seeds("climbing-iql", 100, &items))?["optimal"];
    assert!(found >= 0.95, "{found}");
    let items = ["learner.rule={ kind = \"lenient\", temperature = 0.0 }"];
    assert_eq!(trained(&seeds("climbing-iql", 100, &items))?["optimal"], 0.0);
    Ok(())
}

/// Matching pennies: the only equilibrium is two even coins.
#[test]
fn pennies_come_to_even_coins_by_minimax_and_wolf() -> Result<()> {
    assert!(trained(&settings("pennies-minimax", &[]))?["distance"] <= 1e-3);
    // A side that is worth three is shown in a third of the rounds.
    let dear = ["world.games=[[[3.0, -1.0], [-1.0, 1.0]]]", "world.second=[[[-3.0, 1.0], [1.0, -1.0]]]"];
    assert!(trained(&settings("pennies-minimax", &dear))?["distance"] <= 1e-3);
    let wolf = trained(&settings("pennies-wolf", &["seed=4"]))?["distance"];
    assert!(wolf <= 0.02, "{wolf}");
    Ok(())
}

/// Independent Q-learners run after each other: the first wants the same side, the second the other, so that their
/// best actions go round (0, 0) -> (0, 1) -> (1, 1) -> (1, 0) without end.
#[test]
fn independent_learners_cycle_in_pennies() -> Result<()> {
    let items = ["learner.rule=independent", "learner.rollout=1", "learner.schedule=constant"];
    let items =
        [&items[..], &["learner.learning_rate=0.1", "learner.epsilon_start=0.1", "learner.epsilon_end=0.1"]]
            .concat();
    let settings = seeds("pennies-wolf", 1, &items);
    let mut trainer = settings.trainer(&Device::cpu())?;
    let mut turns = [0; 2];
    let mut last = None;
    for _ in 0..4_000 {
        trainer.step()?;
        let values = trainer.save_agent()?.tensor("agent/values")?.to_f32()?;
        let best = |of: &[f32]| usize::from(of[1] > of[0]);
        // Places on the round.
        let at = [[0, 1], [3, 2]][best(&values[..2])][best(&values[2..])];
        if let Some(before) = last.filter(|before| *before != at) {
            match (at + 4 - before) % 4 {
                1 => turns[0] += 1,
                3 => turns[1] += 1,
                _ => {}
            }
        }
        last = Some(at);
    }
    // Ten rounds at least, and hardly ever back.
    assert!(turns[0] >= 40 && turns[1] * 10 < turns[0], "{turns:?}");
    Ok(())
}

/// An inspector finds a worker who shirks, if he looks. Nobody can be sure: the worker shirks in half of the rounds,
/// the inspector looks in a quarter, where both actions of the other pay alike.
#[test]
fn nash_learners_play_an_equilibrium_of_a_general_game() -> Result<()> {
    let items = [
        "learner.rule=nash",
        "world.games=[[[1.0, -1.0], [0.0, 0.0]]]",
        "world.second=[[[-4.0, -1.0], [0.0, -1.0]]]",
        "steps=20000",
    ];
    assert!(trained(&settings("pennies-minimax", &items))?["distance"] < 1e-2);
    // In the prisoners' dilemma they tell on each other, whatever else pays.
    let dilemma = ["learner.rule=nash", "world.games=[[[3.0, 0.0], [5.0, 1.0]]]", "learner.gamma=0.9"];
    let dilemma =
        settings("pennies-minimax", &[&dilemma[..], &["world.second=[[[3.0, 5.0], [0.0, 1.0]]]"]].concat());
    assert_eq!(trained(&dilemma)?["return"], 1.0);
    Ok(())
}

/// Joint-action learners know the game, and value their own actions by what the others did.
#[test]
fn joint_action_learners_know_the_game_and_count_the_others() -> Result<()> {
    let settings = seeds("climbing-iql", 2, &["learner.rule=joint_action", "learner.epsilon_end=0.5"]);
    let mut trainer = settings.trainer(&Device::cpu())?;
    for _ in 0..50 {
        trainer.step()?;
    }
    let saved = trainer.save()?;
    let read = |name: &str| saved.tensor(name).unwrap().to_f32().unwrap();
    let (values, counts, acting) = (read("tabular/values"), read("tabular/more"), read("agent/values"));
    let game = [[11.0, -30.0, 0.0], [-30.0, 7.0, 6.0], [0.0, 0.0, 5.0f32]];
    assert_eq!(counts.iter().sum::<f32>(), 2.0 * 2.0 * 5_000.0);
    for lane in 0..4 {
        let counts = &counts[lane * 3..][..3];
        for own in 0..3 {
            let mut worth = 0.0;
            for other in 0..3 {
                let pays = if lane % 2 == 0 { game[own][other] } else { game[other][own] };
                let found = values[lane * 9 + own * 3 + other];
                assert!((found - pays).abs() < 1e-3, "{found}, not {pays}");
                worth += pays * counts[other] / counts.iter().sum::<f32>();
            }
            assert!((acting[lane * 3 + own] - worth).abs() < 2e-3);
        }
    }
    Ok(())
}

/// Three places in a row between a cliff (-1) and a goal (1). Left or right.
#[derive(Debug, Clone, serde::Serialize)]
struct Cliff {
    worlds: usize,
    /// What the goal pays.
    goal: f32,
    agents: usize,
}

impl Rules for Cliff {
    type World = u32;
    const NAME: &'static str = "cliff";

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("walker", self.agents, 1, 2)]
    }

    fn blank(&self) -> u32 {
        0
    }

    fn reset(&self, world: &mut u32, _: u64, random: &mut Pcg64) {
        *world = random.below(3);
    }

    fn step(&self, world: &mut u32, actions: Chosen, _: &mut Pcg64, pay: &mut Pay) -> Outcome {
        match (*world, actions.discrete(0)[0]) {
            (2, 1) => {
                pay.rewards.fill(self.goal);
                Outcome::Ends
            }
            (0, 0) => {
                pay.rewards.fill(-1.0);
                Outcome::Ends
            }
            (at, step) => {
                *world = at + 2 * step - 1;
                Outcome::GoesOn
            }
        }
    }

    fn observe(&self, world: &u32, view: &mut View) {
        for agent in 0..self.agents {
            view.observation(0, agent)[0] = *world as f32;
        }
    }

    fn visit(&self, world: &mut u32, codec: &mut Codec) -> Result<()> {
        codec.one(world)
    }

    fn valid(&self, world: &u32) -> bool {
        *world < 3
    }
}

/// A trainer of these settings in a world of the test's own.
fn learner(world: Cliff, table: TableConfig, learner: TabularConfig, steps: u64) -> Result<Box<dyn Trainer>> {
    let device = Device::cpu();
    let agent = AgentConfig::new(table);
    let making = Making {
        device: &device,
        agent: &agent,
        separate_parameters: true,
        goals: Vec::new(),
        steps,
        seed: 5,
        save_replay: true,
        inherited: None,
    };
    let world: Box<dyn VecEnv> = Box::new(Vectorised::<Cliff>::new(world, 9)?);
    LearnerConfig::new(learner).trainer(&making, world)
}

/// The mean over seeds of `[place, action]`, and the largest standard error.
fn cliff_values(saved: &Checkpoint, seeds: usize) -> ([[f64; 2]; 3], f64) {
    let keys = saved.tensor("agent/keys").unwrap().to_f32().unwrap();
    let values = saved.tensor("agent/values").unwrap().to_f32().unwrap();
    let (mut mean, mut error) = ([[0.0; 2]; 3], 0f64);
    for (place, of_place) in mean.iter_mut().enumerate() {
        let row = synod::agent::table::row(&keys, &[place as f32]).expect("it was met");
        for (action, mean) in of_place.iter_mut().enumerate() {
            let states = keys.len() / 2;
            let all: Vec<f64> =
                (0..seeds).map(|seed| f64::from(values[(seed * states + row) * 2 + action])).collect();
            *mean = all.iter().sum::<f64>() / seeds as f64;
            let squares: f64 = all.iter().map(|value| (value - *mean).powi(2)).sum();
            error = error.max((squares / seeds as f64 / seeds as f64).sqrt());
        }
    }
    (mean, error)
}

/// What the actions are worth to one who goes right but for a chance `epsilon` of either, by their equations.
fn exact(gamma: f64, epsilon: f64) -> [[f64; 2]; 3] {
    let mut q = [[0.0; 2]; 3];
    for _ in 0..1_000 {
        let v = |q: &[f64; 2]| epsilon / 2.0 * q[0] + (1.0 - epsilon / 2.0) * q[1];
        let [v0, v1, v2] = [v(&q[0]), v(&q[1]), v(&q[2])];
        q = [[-1.0, gamma * v1], [gamma * v0, gamma * v2], [gamma * v1, 1.0]];
    }
    q
}

#[test]
fn sarsa_values_what_is_done_and_q_learning_what_is_best() -> Result<()> {
    let (gamma, epsilon, seeds) = (0.9, 0.4, 400);
    let of = |next: Next| -> Result<([[f64; 2]; 3], f64)> {
        let config = TabularConfig {
            next,
            gamma: gamma as f32,
            epsilon_start: epsilon as f32,
            epsilon_end: epsilon as f32,
            ..TabularConfig::default()
        };
        let world = Cliff { worlds: seeds, goal: 1.0, agents: 1 };
        let mut trainer = learner(world, TableConfig { seeds, states: 5 }, config, 1)?;
        for _ in 0..40 {
            trainer.step()?;
        }
        Ok(cliff_values(&trainer.save()?, seeds))
    };
    let best = [[-1.0, 0.81], [0.729, 0.9], [0.81, 1.0]];
    let done = exact(gamma, epsilon);
    assert!((done[1][1] - best[1][1]).abs() > 0.05, "the two are not the same");
    let near = |found: [[f64; 2]; 3], known: [[f64; 2]; 3], bound: f64| {
        for (found, known) in found.as_flattened().iter().zip(known.as_flattened()) {
            assert!((found - known).abs() < bound, "{found}, not {known} (within {bound})");
        }
    };
    // The world and what is expected of it are not random.
    near(of(Next::Best)?.0, best, 1e-3);
    near(of(Next::Expected)?.0, done, 1e-3);
    let (taken, error) = of(Next::Taken)?;
    assert!(error > 1e-3, "what is done next is random");
    near(taken, done, 5.0 * error);
    Ok(())
}

/// Agents that share a table learn twice as much of it, and of separate ones each its own.
#[test]
fn tables_are_shared_or_not_and_learn_whatever_the_threads_do() -> Result<()> {
    for rule in ["independent", "hysteretic", "lenient", "joint_action", "minimax", "nash", "wolf_phc"] {
        let rule = format!("learner.rule={rule}");
        for next in ["best", "taken", "expected"] {
            let plain = ["independent", "hysteretic", "lenient"].iter().any(|name| rule.ends_with(name));
            if next != "best" && !plain {
                continue;
            }
            let next = format!("learner.next={next}");
            let items = [&rule[..], &next, "world.world.worlds=12", "agent.seeds=6", "learner.rollout=20"];
            let settings = settings("signal-tabular", &items);
            let with = |threads: usize, stop: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| -> Result<(Vec<_>, Checkpoint)> {
                    let mut trainer = settings.trainer(&Device::cpu())?;
                    let mut reports = Vec::new();
                    for step in 0..6 {
                        if step == stop {
                            let saved = trainer.save()?;
                            trainer = settings.trainer(&Device::cpu())?;
                            trainer.load(&saved)?;
                        }
                        reports.push(trainer.step()?);
                    }
                    Ok((reports, trainer.save()?))
                })
            };
            if rule.ends_with("nash") {
                let error = with(1, 9).unwrap_err().to_string();
                assert!(error.contains("learner.rule") && error.contains("16 options"), "{error}");
                continue;
            }
            let (one, two) = (with(1, 9)?, with(2, 3)?);
            assert!(one.0 == two.0, "{rule} {next}: other reports");
            assert!(one.1 == two.1, "{rule} {next}: another checkpoint");
        }
    }
    Ok(())
}

/// Words are a part of what is done and of what is seen. Without them nothing is better than chance.
#[test]
fn agents_find_words_in_tables() -> Result<()> {
    assert_eq!(trained(&settings("signal-tabular", &["seed=7"]))?["success"], 1.0);
    let device = Device::cpu();
    let silent = settings("signal-tabular", &["seed=7", "world.words=1"]);
    let mut trainer = silent.trainer(&device)?;
    let mut sum = 0.0;
    for _ in 0..400 {
        sum += trainer.step()?.value("success").unwrap();
    }
    // 400,000 episodes, of which a quarter: the deviation of their mean is .0007.
    assert!((sum / 400.0 - 0.25).abs() < 5e-3, "{}", sum / 400.0);
    Ok(())
}

#[test]
fn what_tables_cannot_do_is_said() {
    let refused = |preset: &str, items: &[&str], words: &[&str]| {
        let error = match settings(preset, items).trainer(&Device::cpu()) {
            Ok(_) => panic!("{preset} {items:?} was taken"),
            Err(error) => error.to_string(),
        };
        for word in words {
            assert!(error.contains(word), "{preset} {items:?}: `{word}` is not in {error}");
        }
    };
    let tables = ["agent=table", "learner=tabular"];
    refused("lqr-ppo", &tables, &["learner.kind", "one of", "ppo", "a2c", "`tabular` does not learn"]);
    refused("climbing-iql", &["agent.states=1000000"], &["agent.states", "2^31", "6000000000"]);
    let joint = ["learner.rule=joint_action", "agent.states=300000"];
    refused("climbing-iql", &joint, &["agent.states", "2^31", "5400000000"]);
    refused("climbing-iql", &["agent.seeds=300"], &["agent.seeds", "divisor", "1000", "300"]);
    refused("climbing-iql", &["agent=team"], &["agent.kind", "`table`"]);
    refused("climbing-iql", &["learner=ppo"], &["table", "learner.kind = \"tabular\""]);
    refused("pennies-minimax", &["separate_parameters=false"], &["separate_parameters", "minimax"]);
    refused("pennies-minimax", &["learner.next=taken"], &["learner.next", "minimax"]);
    refused(
        "spread-ippo",
        &[&tables[..], &["learner.rule=nash", "separate_parameters=true"]].concat(),
        &["learner.rule", "3 agents"],
    );
    // A world that shows more than there is room for.
    let mut small = settings("signal-tabular", &["agent.states=7"]).trainer(&Device::cpu()).unwrap();
    let error = (0..50).find_map(|_| small.step().err()).expect("there is no room").to_string();
    assert!(error.contains("agent.states") && error.contains("more than 7 observations"), "{error}");
}

/// Payments that are no numbers leave games without a solution; what is seen there is named.
#[test]
fn a_game_without_a_solution_names_its_state() {
    for rule in [Rule::Minimax, Rule::Nash] {
        let world = Cliff { worlds: 3, goal: f32::NAN, agents: 2 };
        let config = TabularConfig { rule, ..TabularConfig::default() };
        let mut trainer = learner(world, TableConfig { seeds: 3, states: 3 }, config, 1).unwrap();
        let error = trainer.step().unwrap_err().to_string();
        assert!(error.contains(rule.name()) && error.contains("the state that shows [2.0]"), "{error}");
    }
}
