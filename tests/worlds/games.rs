//! What every kind of world keeps: saving, threads, ends, wrong use. And what small worlds pay to play that is known.

use crate::configurations::configurations;
use crate::random::Random;
use synod::action::Actions;
use synod::env::deep_sea::{DeepSea, DeepSeaConfig};
use synod::env::lever::{Lever, LeverConfig};
use synod::env::matrix_game::{MatrixGame, MatrixGameConfig};
use synod::env::penalty::PenaltyConfig;
use synod::env::repeat_previous::{RepeatPrevious, RepeatPreviousConfig};
use synod::env::switch::{NOTHING, Switch, SwitchConfig, TELL};
use synod::env::{Buffers, EpisodeReport, VecEnv, WorldConfig};

/// A fresh seed, shown where a test fails.
pub fn fresh() -> Random {
    let random = Random::fresh();
    println!("seed {}", random.seed());
    random
}

/// Actions that the masks allow, evenly.
pub fn play(env: &dyn VecEnv, out: &Buffers, random: &mut Random) -> Actions {
    let spec = env.spec();
    let (mut actions, mut mask_at) = (Actions::default(), 0);
    for kind in &spec.kinds {
        for _ in 0..spec.worlds * kind.count {
            for options in kind.actions.sizes() {
                let mask = &out.masks[mask_at..mask_at + options];
                mask_at += options;
                let allowed: Vec<u32> = (0..options as u32).filter(|a| mask[*a as usize] == 1.0).collect();
                assert!(!allowed.is_empty() && mask.iter().all(|m| *m == 0.0 || *m == 1.0));
                actions.discrete.push(allowed[random.below(allowed.len())]);
            }
            // Some beyond their bounds.
            for [low, high] in kind.actions.bounds() {
                let share = random.below(1000) as f32 / 800.0 - 0.125;
                // Where there is no bound, some number.
                let (low, high) = (low.max(-10.0), high.min(10.0));
                actions.continuous.push(low + share * (high - low));
            }
        }
    }
    actions
}

/// Steps and resets what ended; all that was written.
fn run(env: &mut dyn VecEnv, out: &mut Buffers, random: &mut Random, steps: usize) -> Vec<Buffers> {
    let mut seen = Vec::new();
    for _ in 0..steps {
        let actions = play(env, out, random);
        env.step(&actions, out).unwrap();
        seen.push(out.clone());
        let ended = out.ended.clone();
        env.reset(&ended, out).unwrap();
        seen.push(out.clone());
    }
    seen
}

/// What must be equal to the bit.
fn bits(buffers: &Buffers) -> impl PartialEq + use<> {
    let floats = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    (
        [&buffers.observations, &buffers.masks, &buffers.rewards, &buffers.state].map(|v| floats(v)),
        [&buffers.terminated, &buffers.truncated, &buffers.active, &buffers.ended].map(Vec::clone),
    )
}

fn equal(a: &[Buffers], b: &[Buffers], what: &str) {
    assert_eq!(a.len(), b.len());
    for (step, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(bits(a) == bits(b), "{what}: different at {step}");
    }
}

fn started(config: &WorldConfig, seed: u64) -> (Box<dyn VecEnv>, Buffers) {
    let mut env = config.build(seed).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; config.worlds()], &mut out).unwrap();
    (env, out)
}

#[test]
fn a_loaded_world_goes_on_exactly() {
    let mut random = fresh();
    for config in configurations() {
        let seed = random.bits();
        let (mut env, mut out) = started(&config, seed);
        let mut reported = false;
        // In the middle of episodes with reports waiting; then with ended worlds that wait for a reset.
        for part in 0..2 {
            run(&mut *env, &mut out, &mut random, 37);
            if part == 1 {
                for _ in 0..3 {
                    let actions = play(&*env, &out, &mut random);
                    env.step(&actions, &mut out).unwrap();
                }
            }
            let bytes = env.save();
            let mut other = config.build(seed).unwrap();
            other.load(&bytes).unwrap();
            assert!(other.save() == bytes, "{}: saved again, other bytes", config.name());
            let (mut other_out, other_seed) = (out.clone(), random.bits());
            let seen = run(&mut *env, &mut out, &mut Random::seeded(other_seed), 40);
            let again = run(&mut *other, &mut other_out, &mut Random::seeded(other_seed), 40);
            equal(&seen, &again, config.name());
            let reports: Vec<EpisodeReport> = env.take_reports();
            assert_eq!(reports, other.take_reports());
            reported |= !reports.is_empty();
        }
        assert!(reported || config.worlds() < 10, "{}: no episode ended", config.name());
    }
}

#[test]
fn threads_change_nothing() {
    let mut random = fresh();
    for config in configurations() {
        let config = config.with_worlds(150);
        let (seed, play_seed) = (random.bits(), random.bits());
        let with = |threads: usize| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let (mut env, mut out) = started(&config, seed);
                let seen = run(&mut *env, &mut out, &mut Random::seeded(play_seed), 20);
                (seen, env.take_reports(), env.save())
            })
        };
        let (one, two) = (with(1), with(2));
        equal(&one.0, &two.0, config.name());
        assert!(one.1 == two.1 && one.2 == two.2, "{}", config.name());
        // Another seed, another course, where anything is drawn at all.
        let drawn = !["matrix_game", "penalty", "bits", "deep_sea", "congestion"].contains(&config.name());
        let mut other = started(&config, seed ^ 1);
        let seen = run(&mut *other.0, &mut other.1, &mut Random::seeded(play_seed), 20);
        let same = seen.iter().zip(&one.0).all(|(a, b)| bits(a) == bits(b));
        assert!(same != drawn, "{}: seeds", config.name());
    }
}

#[test]
fn hostile_bytes_are_refused() {
    let mut random = fresh();
    for config in configurations() {
        let seed = random.bits();
        let (mut env, mut out) = started(&config, seed);
        run(&mut *env, &mut out, &mut random, 11);
        let bytes = env.save();
        for length in [0, 1, 7, 8, 15, 20, 30, bytes.len() / 2, bytes.len() - 1] {
            assert!(env.load(&bytes[..length]).is_err(), "{}: cut to {length}", config.name());
        }
        let mut long = bytes.clone();
        long.push(0);
        assert!(env.load(&long).is_err());
        assert!(env.save() == bytes, "a refused load left a trace");
        // Changed bytes: refused, or taken as another possible state; never a panic, then or later.
        for _ in 0..300 {
            let mut changed = bytes.clone();
            for _ in 0..1 + random.below(3) {
                let at = random.below(changed.len());
                changed[at] = random.bits() as u8;
            }
            let mut other = config.build(seed).unwrap();
            if other.load(&changed).is_ok() {
                let mut other_out = out.clone();
                run(&mut *other, &mut other_out, &mut random, 4);
            }
        }
        for (name, _) in
            WorldConfig::kinds().iter().filter(|(name, _)| ![config.name(), "mujoco"].contains(name))
        {
            assert!(WorldConfig::named(name).unwrap().build(seed).unwrap().load(&bytes).is_err());
        }
        let error = config.build(seed ^ 1).unwrap().load(&bytes).unwrap_err().to_string();
        assert!(error.contains("other settings"), "{error}");
    }
}

#[test]
fn every_number_is_written_and_ends_agree() {
    let mut random = fresh();
    for config in configurations() {
        let mut env = config.build(random.bits()).unwrap();
        let spec = env.spec().clone();
        let agents = spec.agents();
        // Whose returns are published as sums.
        let shares = if ["warehouse", "foraging"].contains(&config.name()) { 1 } else { agents };
        let mut out = Buffers::new(&spec);
        let mut totals = vec![(0.0f64, 0usize); spec.worlds];
        for step in 0..400 {
            let before = out.clone();
            let reset = step == 0;
            for buffer in [&mut out.observations, &mut out.masks, &mut out.rewards, &mut out.state] {
                buffer.fill(f32::NAN);
            }
            for buffer in [&mut out.terminated, &mut out.truncated, &mut out.active, &mut out.ended] {
                buffer.iter_mut().for_each(|flag| *flag = random.below(2) == 0);
            }
            if reset {
                env.reset(&vec![true; spec.worlds], &mut out).unwrap();
            } else {
                let actions = play(&*env, &before, &mut random);
                env.step(&actions, &mut out).unwrap();
            }
            for buffer in [&out.observations, &out.masks, &out.rewards, &out.state] {
                assert!(buffer.iter().all(|v| v.is_finite()), "{}: step {step}", config.name());
            }
            for world in 0..spec.worlds {
                let lanes = world * agents..(world + 1) * agents;
                for lane in lanes.clone() {
                    assert!(!(out.terminated[lane] && out.truncated[lane]));
                    assert!(!out.active[lane] || !out.ended[world]);
                    if reset || !before.active[lane] {
                        assert!(out.rewards[lane] == 0.0 && !out.terminated[lane] && !out.truncated[lane]);
                    } else if out.ended[world] {
                        assert!(out.terminated[lane] || out.truncated[lane], "{}", config.name());
                    }
                }
                if !reset && !before.ended[world] {
                    totals[world].0 += out.rewards[lanes].iter().map(|r| f64::from(*r)).sum::<f64>();
                    totals[world].1 += 1;
                }
            }
            for report in env.take_reports() {
                let (total, length) = std::mem::take(&mut totals[report.world]);
                assert!((report.value("return").unwrap() - total / shares as f64).abs() < 1e-6);
                assert_eq!(report.value("length"), Some(length as f64));
                assert!(out.ended[report.world] && report.agents == agents);
            }
            // An ended world first waits a step.
            if !reset {
                let again: Vec<bool> = before.ended.iter().zip(&out.ended).map(|(a, b)| *a && *b).collect();
                env.reset(&again, &mut out).unwrap();
            }
        }
    }
}

#[test]
fn wrong_use_is_an_error() {
    for config in configurations() {
        let worlds = config.worlds();
        let mut env = config.build(1).unwrap();
        let mut out = Buffers::new(env.spec());
        let lanes = out.rewards.len();
        let fails = |result: synod::Result<()>, part: &str| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(part), "expected `{part}` in `{error}`");
        };
        let none = env.spec().actions();
        fails(env.step(&none, &mut out), "never been reset");
        fails(env.reset(&vec![true; worlds + 1], &mut out), "marks for");
        fails(env.reset(&vec![true; worlds], &mut Buffers::default()), "observations has 0 entries");
        env.reset(&vec![true; worlds], &mut out).unwrap();
        let mut more = none.clone();
        more.discrete.push(0);
        fails(env.step(&more, &mut out), "actions for");
        let mut more = none.clone();
        more.continuous.push(0.0);
        fails(env.step(&more, &mut out), "continuous numbers for");
        let active = out.active.iter().position(|active| *active);
        if let Some(active) = active {
            let (mut actions, each) = (none.clone(), none.continuous.len() / lanes);
            if let Some(action) = actions.discrete.get_mut(active) {
                *action = u32::MAX;
                fails(env.step(&actions, &mut out), "go from 0 to");
            } else {
                actions.continuous[active * each] = f32::NAN;
                fails(env.step(&actions, &mut out), "is not finite");
            }
        }
        assert!(config.clone().with_worlds(0).build(1).is_err());
        assert!(config.clone().with_worlds(usize::MAX).build(1).is_err());
        // Settings are written and read back whole; an unknown key is refused.
        // TOML has no word for nothing.
        let mut fields = serde_json::to_value(&config).unwrap();
        let Some(table) = fields.as_object_mut() else { panic!("{fields}") };
        table.retain(|_, value| !value.is_null());
        let text = toml::to_string(&fields).unwrap();
        assert_eq!(toml::from_str::<WorldConfig>(&text).unwrap(), config);
        assert!(toml::from_str::<WorldConfig>(&format!("unheard_of = 1\n{text}")).is_err());
    }
    let error = WorldConfig::named("levers").unwrap_err().to_string();
    assert!(error.contains("did you mean `lever`"), "{error}");
}

/// Plays until every world has ended once; the reports.
pub fn episodes<E: VecEnv>(env: &mut E, mut act: impl FnMut(&E, &Buffers) -> Vec<u32>) -> Vec<EpisodeReport> {
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; env.spec().worlds], &mut out).unwrap();
    while out.ended.contains(&false) {
        let actions = act(env, &out);
        env.step(&actions[..].into(), &mut out).unwrap();
    }
    let mut reports = env.take_reports();
    reports.sort_by_key(|report| report.world);
    reports
}

pub fn mean(reports: &[EpisodeReport], name: &str) -> f64 {
    reports.iter().map(|report| report.value(name).unwrap()).sum::<f64>() / reports.len() as f64
}

#[test]
fn matrix_games_pay_what_is_published() {
    let returns = |config: MatrixGameConfig, pairs: &[[u32; 2]]| {
        let mut env = MatrixGame::new(MatrixGameConfig { worlds: 1, ..config }, 0).unwrap();
        let mut at = 0;
        let reports = episodes(&mut env, |_, _| {
            at += 1;
            pairs[(at - 1) % pairs.len()].to_vec()
        });
        (mean(&reports, "return"), mean(&reports, "optimal"))
    };
    assert_eq!(returns(MatrixGameConfig::climbing(), &[[0, 0]]), (275.0, 1.0));
    assert_eq!(returns(MatrixGameConfig::climbing(), &[[1, 1]]), (175.0, 0.0));
    assert_eq!(returns(MatrixGameConfig::climbing(), &[[2, 1]]), (150.0, 0.0));
    assert_eq!(returns(MatrixGameConfig::climbing_claus(), &[[1, 2]]), (6.0, 0.0));
    assert_eq!(returns(MatrixGameConfig::climbing_claus(), &[[0, 0]]), (11.0, 1.0));
    for k in [0.0, 25.0, 100.0] {
        assert_eq!(returns(MatrixGameConfig::penalty(k), &[[0, 2]]), (250.0, 1.0));
        assert_eq!(returns(MatrixGameConfig::penalty(k), &[[1, 1]]), (50.0, 0.0));
        assert_eq!(returns(MatrixGameConfig::penalty(k), &[[2, 2]]), (-25.0 * k, 0.0));
    }
    for second in 0..2 {
        assert_eq!(returns(MatrixGameConfig::two_step(), &[[0, second], [1, second]]), (7.0, 0.0));
    }
    assert_eq!(returns(MatrixGameConfig::two_step(), &[[1, 0], [0, 1]]), (1.0, 0.0));
    assert_eq!(returns(MatrixGameConfig::two_step(), &[[1, 0], [1, 1]]), (8.0, 1.0));
    // What one wins the other loses.
    assert_eq!(returns(MatrixGameConfig::pennies(), &[[1, 1]]), (0.0, 1.0));
    // The penalty game by its number, with either sign.
    for k in [-10.0, 10.0] {
        let config = PenaltyConfig { k, ..PenaltyConfig::default() };
        assert_eq!(returns(config.game(), &[[0, 0]]), (-10.0, 0.0));
        assert_eq!(returns(config.game(), &[[2, 0]]), (10.0, 1.0));
    }
}

#[test]
fn bits_pay_all_how_many_chose_one() {
    let mut env =
        WorldConfig::named("bits").unwrap().with_worlds(1).with_agents(4).unwrap().build(0).unwrap();
    let mut out = Buffers::new(env.spec());
    for (done, ones) in [([0, 0, 0, 0], 0.0), ([1, 0, 1, 1], 3.0)] {
        env.reset(&[true], &mut out).unwrap();
        env.step(&done.into(), &mut out).unwrap();
        assert_eq!((&out.rewards[..], out.ended[0]), (&[ones; 4][..], true));
        assert_eq!(env.take_reports()[0].value("ones"), Some(f64::from(ones) / 4.0));
    }
}

#[test]
fn a_game_of_two_actions_names_its_equilibrium() {
    let of = |first: [[f64; 2]; 2], second: [[f64; 2]; 2]| {
        let rows = |game: [[f64; 2]; 2]| vec![game.iter().map(|row| row.to_vec()).collect()];
        let game =
            MatrixGameConfig { games: rows(first), second: rows(second), ..MatrixGameConfig::default() };
        MatrixGame::new(game, 0).unwrap().equilibrium()
    };
    let even = vec![0.5, 0.5];
    let pennies = MatrixGame::new(MatrixGameConfig::pennies(), 0).unwrap();
    assert_eq!(pennies.equilibrium(), Some(vec![even.clone(), even.clone()]));
    // Pennies of which one side is worth three: both show it in a third of the rounds.
    let (own, other) = ([[3.0, -1.0], [-1.0, 1.0]], [[-3.0, 1.0], [1.0, -1.0]]);
    for of_agent in of(own, other).unwrap() {
        assert!((of_agent[0] - 1.0 / 3.0).abs() < 1e-12 && (of_agent[1] - 2.0 / 3.0).abs() < 1e-12);
    }
    assert_eq!(of([[3.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]), Some(vec![even, vec![0.25, 0.75]]));
    // The prisoners' dilemma is settled by actions, and so is a game that is settled twice.
    assert_eq!(of([[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]]), None);
    assert_eq!(of([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]]), None);
    assert_eq!(MatrixGame::new(MatrixGameConfig::climbing(), 0).unwrap().equilibrium(), None);
    let short = MatrixGameConfig { second: vec![vec![vec![1.0; 2]; 3]], ..MatrixGameConfig::climbing() };
    let error = MatrixGame::new(short, 0).unwrap_err().to_string();
    assert!(error.contains("world.second") && error.contains("as many payoffs"), "{error}");
}

#[test]
fn repeating_the_previous_pays_one() {
    let mut random = fresh();
    // POPGym's easy, medium and hard tasks have these lengths.
    for (lag, length) in [(0, 52), (1, 52), (3, 52), (31, 104), (63, 156)] {
        let config = RepeatPreviousConfig { worlds: 2000, agents: 2, lag, ..Default::default() };
        let mut env = RepeatPrevious::new(config.clone(), random.bits()).unwrap();
        let mut shown: Vec<Vec<u32>> = Vec::new();
        let reports = episodes(&mut env, |_, out| {
            let symbol = |seen: &[f32]| seen.iter().position(|v| *v == 1.0).unwrap() as u32;
            shown.push(out.observations.chunks_exact(4).map(symbol).collect());
            shown[(shown.len() - 1).saturating_sub(lag)].clone()
        });
        assert_eq!(shown.len(), length);
        assert!((mean(&reports, "return") - 1.0).abs() < 1e-5 && mean(&reports, "success") == 1.0);
        let mut env = RepeatPrevious::new(config, random.bits()).unwrap();
        let reports =
            episodes(&mut env, |_, out| (0..out.rewards.len()).map(|_| random.below(4) as u32).collect());
        // Deviation of an answer sqrt(3)/2; 4000 sequences of at least 21 answers.
        assert!((mean(&reports, "return") + 0.5).abs() < 5.0 * 0.866 / (4000.0f64 * 21.0).sqrt());
    }
}

#[test]
fn levers_at_random_and_sorted() {
    let mut random = fresh();
    let config = LeverConfig { worlds: 40_000, population: 20, ..Default::default() };
    let mut env = Lever::new(config.clone(), random.bits()).unwrap();
    let reports =
        episodes(&mut env, |_, out| (0..out.rewards.len()).map(|_| random.below(5) as u32).collect());
    // Deviation of a game below .15.
    assert!((mean(&reports, "return") - 0.67232).abs() < 5.0 * 0.15 / 200.0, "{}", mean(&reports, "return"));
    let mut drawn = [0usize; 20];
    let reports = episodes(&mut env, |env, _| {
        let rank = |all: &[u32], one: u32| all.iter().filter(|other| **other < one).count() as u32;
        (0..40_000)
            .flat_map(|world| {
                let all = env.world(world).unwrap().drawn().to_vec();
                all.iter().for_each(|one| drawn[*one as usize] += 1);
                all.iter().map(|one| rank(&all, *one)).collect::<Vec<_>>()
            })
            .collect()
    });
    assert_eq!(mean(&reports, "return"), 1.0);
    // Each is drawn in a quarter of the games.
    assert!(drawn.iter().all(|n| n.abs_diff(10_000) < 5 * 87), "{drawn:?}");
}

#[test]
fn the_riddles_oracle_reaches_what_is_known() {
    let mut random = fresh();
    for (agents, known) in [(3, 0.7407), (4, 0.7806)] {
        let config = SwitchConfig { worlds: 40_000, agents, ..Default::default() };
        let mut env = Switch::new(config.clone(), random.bits()).unwrap();
        let act = |env: &Switch, told: bool| {
            let mut actions = vec![NOTHING; 40_000 * agents];
            for world in 0..40_000 {
                let days = env.world(world).unwrap();
                if told || days.been().iter().all(|been| *been) {
                    actions[world * agents + days.inside()] = TELL;
                }
            }
            actions
        };
        let reports = episodes(&mut env, |env, _| act(env, false));
        let mean_return = mean(&reports, "return");
        assert!((mean_return - known).abs() < 5.0 * 0.44 / 200.0, "{mean_return}");
        assert_eq!(mean_return, mean(&reports, "solved"));
        // Telling on the first day is always wrong; never telling pays nothing, after 4n - 6 days.
        let reports = episodes(&mut env, |env, _| act(env, true));
        assert_eq!((mean(&reports, "return"), mean(&reports, "length")), (-1.0, 1.0));
        let reports = episodes(&mut env, |_, out| vec![NOTHING; out.rewards.len()]);
        assert_eq!((mean(&reports, "return"), mean(&reports, "length")), (0.0, (4 * agents - 6) as f64));
        // What those outside do is ignored.
        let reports = episodes(&mut env, |env, _| {
            let mut actions = vec![TELL; 40_000 * agents];
            (0..40_000).for_each(|w| actions[w * agents + env.world(w).unwrap().inside()] = NOTHING);
            actions
        });
        assert_eq!(mean(&reports, "return"), 0.0);
    }
}

#[test]
fn the_lamp_shows_what_was_left() {
    let config = SwitchConfig { worlds: 50, lamp: true, ..Default::default() };
    let mut env = Switch::new(config, fresh().bits()).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 50], &mut out).unwrap();
    for left in [3u32, 3, 2, 3, 2] {
        env.step(&[left; 150].into(), &mut out).unwrap();
        for world in 0..50 {
            let inside = env.world(world).unwrap().inside();
            for agent in 0..3 {
                let here = f32::from(u8::from(agent == inside));
                let seen = &out.observations[(world * 3 + agent) * 2..][..2];
                assert_eq!(seen, [here, here * (left - 2) as f32]);
            }
        }
    }
}

#[test]
fn only_the_right_way_finds_the_treasure() {
    for mapping_seed in [0, 42, 7] {
        let config = DeepSeaConfig { worlds: 2, size: 20, mapping_seed };
        let mut env = DeepSea::new(config.clone(), 0).unwrap();
        let mut row = 0;
        let reports = episodes(&mut env, |_, out| {
            let column = out.observations[..400].iter().position(|v| *v == 1.0).unwrap() - 20 * row;
            assert_eq!(column, row);
            row += 1;
            let right = config.right(row - 1, column);
            // The second diver turns left once, at the third row.
            vec![
                right,
                if row == 3 { 1 - right } else { config.right(row - 1, column - 2 * usize::from(row > 3)) },
            ]
        });
        assert!((reports[0].values[0].1 - 0.99).abs() < 1e-6);
        assert_eq!(reports[0].value("found"), Some(1.0));
        assert!((reports[1].values[0].1 + 0.0095).abs() < 1e-6, "{:?}", reports[1]);
        assert_eq!(reports[1].value("length"), Some(20.0));
    }
    // Both actions are right somewhere.
    let config = DeepSeaConfig::default();
    let ones: u32 = (0..400).map(|cell| config.right(cell / 20, cell % 20)).sum();
    assert!((140..260).contains(&ones), "{ones}");
}
