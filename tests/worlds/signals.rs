//! Signalling games against play that is known, and what the riddle's oracle is paid.

use crate::games::{episodes, fresh, mean};
use crate::random::Random;
use synod::env::lewis::{Lewis, LewisConfig};
use synod::env::noise::{Noise, NoiseConfig, Sight};
use synod::env::planted::{Planted, PlantedConfig};
use synod::env::signals::Round;
use synod::env::switch::SwitchConfig;
use synod::env::vectorised::{Rules, Vectorised};
use synod::env::{Buffers, EpisodeReport, Fact, VecEnv, WorldConfig};

const WORLDS: usize = 8000;

/// Every world's receiver names what `choose` makes of what that world's senders see (row after row, which is all that
/// messages could tell); senders do nothing.
fn play<R: Rules<World = Round>>(
    config: R,
    seed: u64,
    mut choose: impl FnMut(&[Vec<f32>]) -> u32,
) -> Vec<EpisodeReport> {
    let mut env = Vectorised::<R>::new(config, seed).unwrap();
    episodes(&mut env, |env, out| {
        let spec = env.spec();
        let senders = spec.agents() - 1;
        let mut seen = vec![Vec::new(); spec.worlds];
        let mut rest = &out.observations[..];
        for kind in &spec.kinds[..spec.kinds.len() - 1] {
            let length = kind.observation[0];
            let (own, others) = rest.split_at(spec.worlds * kind.count * length);
            for (lane, row) in own.chunks_exact(length).enumerate() {
                seen[lane / kind.count].push(row.to_vec());
            }
            rest = others;
        }
        let mut actions = vec![0; spec.worlds * senders];
        actions.extend(seen.iter().map(|rows| choose(rows)));
        actions
    })
}

fn place(row: &[f32]) -> usize {
    row.iter().position(|number| *number == 1.0).unwrap()
}

/// A share of successes is what it should be, within four standard errors.
fn share(reports: &[EpisodeReport], expected: f64) {
    let (got, n) = (mean(reports, "success"), reports.len() as f64);
    let error = (expected * (1.0 - expected) / n).sqrt();
    assert!((got - expected).abs() <= 4.0 * error, "{got} for {expected}");
    assert_eq!(mean(reports, "return"), got, "success is what is paid");
}

#[test]
fn who_hears_the_sender_names_the_state() {
    let mut random = fresh();
    for (states, senders, steps) in [(8, 1, 1), (8, 6, 1), (2, 1, 3), (100, 3, 2)] {
        let config = LewisConfig { worlds: WORLDS, states, senders, steps };
        let reports = play(config.clone(), random.bits(), |rows| {
            assert_eq!(rows.iter().filter(|row| row[states] == 1.0).count(), 1);
            // Those that do not see the state see nothing.
            assert!(rows.iter().all(|row| row.iter().sum::<f32>() == 2.0 * row[states]));
            rows.iter().find(|row| row[states] == 1.0).map_or(0, |row| place(row) as u32)
        });
        assert_eq!((mean(&reports, "success"), mean(&reports, "length")), (1.0, steps as f64));
        share(&play(config.clone(), random.bits(), |_| random.below(states) as u32), 1.0 / states as f64);
        // A convention with two words: the states beyond the first are said alike.
        let reports = play(config.clone(), random.bits(), |rows| {
            let said = rows.iter().find(|row| row[states] == 1.0).map_or(0, |row| place(row).min(1));
            said as u32
        });
        share(&reports, 2.0 / states as f64);
        // The first sender alone knows in one of `senders` episodes.
        let reports = play(config, random.bits(), |rows| match rows[0][states] {
            1.0 => place(&rows[0]) as u32,
            _ => 0,
        });
        let (states, senders) = (states as f64, senders as f64);
        share(&reports, 1.0 / senders + (1.0 - 1.0 / senders) / states);
    }
}

#[test]
fn only_the_last_step_counts() {
    let mut env = Lewis::new(LewisConfig { worlds: 500, steps: 3, ..Default::default() }, 3).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 500], &mut out).unwrap();
    for step in 0..3 {
        // Right before, wrong at the end.
        let mut actions = vec![0; 500];
        let right = (0..500).map(|world| env.world(world).unwrap().answer());
        actions.extend(right.map(|answer| if step < 2 { answer } else { (answer + 1) % 8 }));
        let receiver = &out.observations[500 * 9..];
        assert!(receiver.iter().all(|last| *last == if step == 2 { 1.0 } else { 0.0 }));
        env.step(&actions.into(), &mut out).unwrap();
        assert!(out.rewards.iter().all(|reward| *reward == 0.0));
        assert!(out.ended.iter().all(|ended| *ended == (step == 2)));
    }
}

#[test]
fn one_voice_in_noise_is_told_by_its_flag_alone() {
    let mut random = fresh();
    for (agents, noise) in [(2, Sight::OneHot), (32, Sight::OneHot), (32, Sight::Gaussian)] {
        let config = NoiseConfig { worlds: WORLDS, agents, noise, ..Default::default() };
        let mut informed = vec![0usize; agents - 1];
        let reports = play(config.clone(), random.bits(), |rows| {
            let knows: Vec<usize> = (0..rows.len()).filter(|sender| rows[*sender][4] == 1.0).collect();
            assert_eq!(knows.len(), 1);
            informed[knows[0]] += 1;
            place(&rows[knows[0]]) as u32
        });
        assert_eq!(mean(&reports, "success"), 1.0);
        let each = WORLDS as f64 / (agents - 1) as f64;
        assert!(informed.iter().all(|n| (*n as f64 - each).abs() < 5.0 * each.sqrt()), "{informed:?}");
        share(&play(config.clone(), random.bits(), |_| random.below(4) as u32), 0.25);
        if noise == Sight::OneHot {
            // A sender chosen at random: right in one of `agents - 1`, else by luck.
            let reports =
                play(config, random.bits(), |rows| place(&rows[random.below(rows.len())][..4]) as u32);
            let senders = (agents - 1) as f64;
            share(&reports, 1.0 / senders + (1.0 - 1.0 / senders) / 4.0);
        }
    }
    // What is noise is a class like any other, or numbers of deviation 1.
    let config = NoiseConfig { worlds: WORLDS, noise: Sight::Gaussian, ..Default::default() };
    let (mut squares, mut sum, mut count) = (0.0, 0.0, 0.0);
    play(config, random.bits(), |rows| {
        for number in rows.iter().filter(|row| row[4] == 0.0).flat_map(|row| &row[..4]) {
            squares += f64::from(number * number);
            sum += f64::from(*number);
            count += 1.0;
        }
        0
    });
    assert!((squares / count - 1.0).abs() < 5.0 * (2.0f64 / count).sqrt(), "{squares} of {count}");
    assert!((sum / count).abs() < 5.0 / count.sqrt());
}

/// The answer by the first `heard` senders, those beyond guessed.
fn parts(rows: &[Vec<f32>], config: &PlantedConfig, heard: usize, random: &mut Random) -> u32 {
    let (mut answer, mut times) = (0, 1);
    for (part, row) in rows.iter().enumerate().take(config.useful) {
        let (value, number) = row.split_at(config.values);
        assert_eq!(place(number), part, "a useful sender says which part it sees");
        let value = if part < heard { place(value) } else { random.below(config.values) };
        answer += times * value;
        times *= config.values;
    }
    answer as u32
}

#[test]
fn every_useful_sender_is_needed_and_no_other() {
    let mut random = fresh();
    for (useful, useless, mute, values) in [(1, 0, 0, 2), (2, 2, 2, 3), (3, 5, 0, 2), (4, 0, 1, 8)] {
        let config = PlantedConfig { worlds: WORLDS, useful, useless, mute, values, ..Default::default() };
        for heard in 0..=useful {
            let reports = play(config.clone(), random.bits(), |rows| {
                assert_eq!(rows.len(), useful + useless + mute);
                parts(rows, &config, heard, &mut Random::seeded(random.bits()))
            });
            share(&reports, (values as f64).powi(heard as i32 - useful as i32));
        }
        // Useless ones look like useful ones, mute ones see zeros.
        play(config.clone(), random.bits(), |rows| {
            for row in &rows[useful..useful + useless] {
                let (value, part) = row.split_at(values);
                assert!(value.iter().sum::<f32>() == 1.0 && part.iter().sum::<f32>() == 1.0);
            }
            assert!(rows[useful + useless..].iter().flatten().all(|number| *number == 0.0));
            0
        });
    }
    // A useless sender is right by luck alone.
    let config = PlantedConfig { worlds: WORLDS, useful: 1, useless: 1, ..Default::default() };
    share(&play(config, random.bits(), |rows| place(&rows[1]) as u32), 1.0 / 3.0);
}

#[test]
fn kinds_without_agents_are_left_out() {
    let config = PlantedConfig { useless: 0, mute: 3, ..Default::default() };
    let env = Planted::new(config, 1).unwrap();
    let kinds: Vec<_> = env.spec().kinds.iter().map(|kind| (kind.name.as_str(), kind.count)).collect();
    assert_eq!(kinds, [("useful", 2), ("mute", 3), ("receiver", 1)]);
    assert_eq!(env.agent_name(5), "receiver");
    assert_eq!((env.action_names(4).len(), env.action_names(5).len()), (1, 9));
}

#[test]
fn settings_of_signalling_games_are_refused_by_name() {
    let too_many = "expected values ^ useful";
    for (config, part) in [
        (WorldConfig::new(LewisConfig { states: 1, ..Default::default() }), "world.states"),
        (WorldConfig::new(LewisConfig { states: usize::MAX, ..Default::default() }), "world.states"),
        (WorldConfig::new(LewisConfig { senders: 0, ..Default::default() }), "world.senders"),
        (WorldConfig::new(LewisConfig { steps: 0, ..Default::default() }), "world.steps"),
        (WorldConfig::new(LewisConfig { steps: usize::MAX, ..Default::default() }), "world.steps"),
        (
            WorldConfig::new(LewisConfig { senders: 4096, states: 4096, ..Default::default() }),
            "world.senders",
        ),
        (WorldConfig::new(NoiseConfig { agents: 1, ..Default::default() }), "world.agents"),
        (WorldConfig::new(NoiseConfig { agents: usize::MAX, ..Default::default() }), "world.agents"),
        (WorldConfig::new(NoiseConfig { classes: 0, ..Default::default() }), "world.classes"),
        (WorldConfig::new(NoiseConfig { agents: 4096, classes: 4096, ..Default::default() }), "world.agents"),
        (WorldConfig::new(PlantedConfig { useful: 0, ..Default::default() }), "world.useful"),
        (WorldConfig::new(PlantedConfig { useful: 12, ..Default::default() }), too_many),
        (WorldConfig::new(PlantedConfig { values: 1, ..Default::default() }), "world.values"),
        (WorldConfig::new(PlantedConfig { useless: usize::MAX, ..Default::default() }), "world.useless"),
    ] {
        let error = config.build(1).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(part), "`{part}` in `{error}`");
    }
    assert!(Noise::new(NoiseConfig::default(), 1).is_ok());
}

#[test]
fn the_riddles_oracle_is_paid_the_chance_that_all_have_been() {
    // Counted: of n^d courses those in which every agent appears, here for 3 and 4 agents and small cases by hand.
    let oracle = |agents, days| SwitchConfig { agents, days, ..Default::default() }.oracle();
    for (agents, days, exact) in [
        (1, 1, 1.0),
        (2, 1, 0.0),
        (2, 2, 0.5),
        (3, 0, 540.0 / 729.0),
        (3, 3, 6.0 / 27.0),
        (4, 0, 818_520.0 / 1_048_576.0),
        (5, 5, 120.0 / 3125.0),
        (5, 4, 0.0),
    ] {
        assert!((oracle(agents, days) - exact).abs() < 1e-12, "{agents} in {days}: {}", oracle(agents, days));
    }
    assert!((oracle(3, 0) - 0.7407).abs() < 5e-5 && (oracle(4, 0) - 0.7806).abs() < 5e-5);
    // n in n days: n! / n^n, where inclusion and exclusion cancel to nothing.
    let stirling: f64 = (1..=100).map(|k| (f64::from(k) / 100.0).ln()).sum();
    assert!((oracle(100, 100) / stirling.exp() - 1.0).abs() < 1e-9);
    // Both ways of counting meet where one takes over from the other, and nothing is beyond 0 and 1.
    for agents in [2, 7, 50, 300] {
        let all: Vec<f64> = (agents..12 * agents).map(|days| oracle(agents, days)).collect();
        assert!(all.windows(2).all(|two| two[1] - two[0] > -1e-12), "{agents}");
        assert!(all.iter().all(|chance| (0.0..=1.0 + 1e-12).contains(chance)));
    }
    assert!((oracle(4096, 1 << 24) - 1.0).abs() < 1e-12);
}

#[test]
fn the_share_of_the_oracle_is_one_for_the_oracle() {
    use synod::env::switch::{Switch, TELL};
    let config = SwitchConfig { worlds: 20_000, agents: 3, ..Default::default() };
    let mut env = Switch::new(config, fresh().bits()).unwrap();
    let reports = episodes(&mut env, |env, _| {
        let mut actions = vec![0; 60_000];
        for world in 0..20_000 {
            let days = env.world(world).unwrap();
            if days.been().iter().all(|been| *been) {
                actions[world * 3 + days.inside()] = TELL;
            }
        }
        actions
    });
    // One episode is 0 or 1 / .7407, a deviation of .59.
    let share = mean(&reports, "oracle_share");
    assert!((share - 1.0).abs() < 4.0 * 0.592 / 20_000f64.sqrt(), "{share}");
    assert!((share - mean(&reports, "return") / (540.0 / 729.0)).abs() < 1e-12);
    // Telling at once is wrong, and costs as much as telling rightly pays.
    let reports = episodes(&mut env, |_, out| vec![TELL; out.rewards.len()]);
    assert!((mean(&reports, "oracle_share") + 729.0 / 540.0).abs() < 1e-12);
}

#[test]
fn only_who_knows_has_a_value_of_the_fact() {
    let mut random = fresh();
    for config in [
        WorldConfig::new(LewisConfig { worlds: 50, senders: 3, ..Default::default() }),
        WorldConfig::new(NoiseConfig { worlds: 50, agents: 5, ..Default::default() }),
        WorldConfig::new(PlantedConfig { worlds: 50, useful: 3, values: 4, ..Default::default() }),
    ] {
        let mut env = config.build(random.bits()).unwrap();
        let mut out = Buffers::new(env.spec());
        env.reset(&[true; 50], &mut out).unwrap();
        let (kinds, planted) = (env.spec().kinds.clone(), config.name() == "planted");
        let (count, length) = (kinds[0].count, kinds[0].observation[0]);
        let values = env.facts()[0].values;
        assert!(env.facts() == [Fact::new(&env.facts()[0].name, values)] && env.spec().limit == 1);
        for world in 0..50 {
            for agent in 0..env.spec().agents() {
                let row =
                    (agent < count).then(|| &out.observations[(world * count + agent) * length..][..length]);
                let seen =
                    row.filter(|row| planted || row[values] == 1.0).map(|row| place(&row[..values]) as u32);
                assert_eq!(env.fact_values(world, agent), [seen], "{} {agent}", config.name());
            }
        }
    }
}
