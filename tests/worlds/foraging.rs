//! Level-based foraging against recorded episodes of `lbforaging` 2.0.0, and known play.

use crate::games::fresh;
use crate::random::Random;
use crate::warehouse::{episodes, floats, list, whole, wholes};
use serde_json::Value;
use synod::env::foraging::{Foraging, ForagingConfig};
use synod::env::{Buffers, Pcg64, VecEnv};

/// The settings of a recorded world.
fn recorded(trace: &Value) -> ForagingConfig {
    let size = whole(&trace["field"][0]);
    let sight = whole(&trace["sight"]);
    // All players, and all foods, are recorded with the same levels.
    let same = |key: &str| {
        let all = wholes(&trace[key]);
        assert!(all.iter().all(|level| *level == all[0]));
        all[0] as u32
    };
    ForagingConfig {
        worlds: 1,
        agents: whole(&trace["players"]),
        size,
        foods: whole(&trace["max_num_food"]),
        sight: if sight == size { 0 } else { sight },
        cooperative: trace["force_coop"].as_bool().unwrap(),
        player_levels: [same("min_player_level"), same("max_player_level")],
        lowest_food: same("min_food_level"),
        highest_food: trace["max_food_level"].as_u64().unwrap_or(0) as u32,
        penalty: trace["penalty"].as_f64().unwrap(),
        normalised: trace["normalize_reward"].as_bool().unwrap(),
        show_levels: trace["observe_agent_levels"].as_bool().unwrap(),
        max_episode_steps: whole(&trace["max_episode_steps"]),
    }
}

#[test]
fn recorded_episodes_are_replayed() {
    for (name, trace) in episodes("lbf-traces", 28) {
        let config = recorded(&trace);
        let agents = config.agents;
        let mut env = Foraging::new(config.clone(), 99).unwrap();
        env.set_random(0, Pcg64::new(whole(&trace["seed"]) as u64)).unwrap();
        let mut out = Buffers::new(env.spec());
        let length = out.observations.len() / agents;
        assert!(list(&trace["episodes"]).len() >= 4);
        for (number, episode) in list(&trace["episodes"]).iter().enumerate() {
            // The first by the seed, those that follow by what the stream goes on with.
            env.reset(&[true], &mut out).unwrap();
            let steps = list(&episode["actions"]).len();
            assert_eq!(list(&episode["positions"]).len(), steps + 1);
            for step in 0..=steps {
                let what = format!("{name}, episode {number}, step {step}");
                let field = env.world(0).unwrap();
                let place = |place: [i32; 2]| place.map(|at| at as usize).to_vec();
                let places: Vec<Vec<usize>> = field.players().iter().map(|p| place(p.place)).collect();
                let levels: Vec<usize> = field.players().iter().map(|p| p.level as usize).collect();
                let foods = field.foods().iter().map(|f| [place(f.place), vec![f.level as usize]].concat());
                let all = |key: &str| list(&episode[key][step]).iter().map(wholes).collect::<Vec<_>>();
                assert_eq!(places, all("positions"), "{what}");
                assert_eq!(levels, wholes(&episode["levels"]), "{what}");
                assert_eq!(foods.collect::<Vec<_>>(), all("foods"), "{what}");
                assert_eq!(field.spawned() as usize, whole(&episode["food_spawned"]), "{what}");
                if let Some(seen) = episode["observations"][step].as_array() {
                    for (agent, expected) in seen.iter().enumerate() {
                        let got = &out.observations[agent * length..][..length];
                        assert_eq!(got, floats(expected), "{what}: player {agent}");
                    }
                }
                if step == steps {
                    break;
                }
                let actions: Vec<u32> =
                    wholes(&episode["actions"][step]).into_iter().map(|action| action as u32).collect();
                env.step(&actions.into(), &mut out).unwrap();
                for (got, expected) in out.rewards.iter().zip(floats(&episode["rewards"][step])) {
                    assert!((got - expected).abs() < 1e-6, "{what}: {got} paid, not {expected}");
                }
                assert_eq!(whole(&episode["terminated"][step]), usize::from(out.ended[0]), "{what}");
                assert_eq!(out.ended[0], step + 1 == steps, "{what}");
                // What `lbforaging` calls terminated at the limit of steps is truncated here, unless all is eaten.
                let left = !env.world(0).unwrap().foods().is_empty();
                assert!(out.truncated.iter().all(|cut| *cut == (out.ended[0] && left)), "{what}");
                assert!(out.terminated.iter().all(|end| *end == (out.ended[0] && !left)), "{what}");
            }
            let report = env.take_reports().remove(0);
            let paid: f64 = list(&episode["rewards"]).iter().flat_map(floats).map(f64::from).sum();
            assert!((report.value("return").unwrap() - paid).abs() < 1e-5, "{name}");
        }
    }
}

/// Both go to the first food that is left by whatever brings them nearer, and load beside it. Whoever stands in the way
/// of the other, or of itself, now and then takes a step aside.
fn together(env: &Foraging, worlds: usize, random: &mut Random) -> Vec<u32> {
    let mut actions = Vec::new();
    for world in 0..worlds {
        let field = env.world(world).unwrap();
        for player in field.players() {
            let Some(food) = field.foods().first() else {
                actions.push(0);
                continue;
            };
            let far = |[row, column]: [i32; 2]| (food.place[0] - row).abs() + (food.place[1] - column).abs();
            let taken = |place| {
                field.players().iter().any(|other| other.place == place)
                    || field.foods().iter().any(|food| food.place == place)
            };
            let moves = [(1, [-1, 0]), (2, [1, 0]), (3, [0, -1]), (4, [0, 1])];
            let better = moves.iter().find(|(_, by)| {
                let to = [player.place[0] + by[0], player.place[1] + by[1]];
                far(to) < far(player.place) && !taken(to)
            });
            actions.push(match better {
                _ if far(player.place) == 1 => 5,
                Some((action, _)) if random.below(5) > 0 => *action,
                _ => 1 + random.below(4) as u32,
            });
        }
    }
    actions
}

#[test]
fn whoever_loads_together_shares_everything() {
    let worlds = 400;
    let config = ForagingConfig { worlds, cooperative: true, ..ForagingConfig::default() };
    let mut random = fresh();
    let mut env = Foraging::new(config, random.bits()).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; worlds], &mut out).unwrap();
    while out.ended.contains(&false) {
        let actions = together(&env, worlds, &mut random);
        env.step(&actions.into(), &mut out).unwrap();
    }
    let reports = env.take_reports();
    // Some get stuck behind the other; all others eat everything, and share exactly 1.
    let all: Vec<_> = reports.iter().filter(|report| report.value("eaten") == Some(1.0)).collect();
    assert!(all.len() > worlds / 5, "{}", all.len());
    assert!(all.iter().all(|report| (report.value("return").unwrap() - 1.0).abs() < 1e-6));
    assert!(reports.iter().all(|report| report.value("return").unwrap() < 1.0 + 1e-6));
}

#[test]
fn impossible_settings_are_refused_in_words() {
    let refuses = |config: ForagingConfig, words: &[&str]| {
        let error = Foraging::new(config, 1).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "`{word}` is not in `{error}`"));
    };
    let base = ForagingConfig::default;
    refuses(ForagingConfig { player_levels: [3, 2], ..base() }, &["world.player_levels", "[3, 2]"]);
    refuses(ForagingConfig { player_levels: [0, 2], ..base() }, &["world.player_levels"]);
    refuses(ForagingConfig { lowest_food: 3, ..base() }, &["world.lowest_food", "at most 2"]);
    refuses(
        ForagingConfig { lowest_food: 2, cooperative: true, ..base() },
        &["world.lowest_food", "cooperative"],
    );
    refuses(ForagingConfig { agents: 20, size: 5, ..base() }, &["world.agents", "at most 16"]);
    refuses(ForagingConfig { foods: 0, ..base() }, &["world.foods", "1 to 64"]);
    refuses(ForagingConfig { penalty: f64::NAN, ..base() }, &["world.penalty"]);
    // Fields too small for all food have less of it, and end all the same.
    let config = ForagingConfig { worlds: 50, agents: 16, size: 5, foods: 64, ..base() };
    let mut env = Foraging::new(config, 1).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 50], &mut out).unwrap();
    for _ in 0..50 {
        env.step(&vec![5; 800].into(), &mut out).unwrap();
    }
    assert!(out.ended.iter().all(|ended| *ended));
}
