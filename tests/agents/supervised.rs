//! Supervised learning: on tasks with known answers, and against what it is said to be.

use std::sync::Arc;

use synod::agent::encoder::EncoderConfig;
use synod::agent::team::TeamConfig;
use synod::env::sinusoid::SinusoidConfig;
use synod::preset::Settings;
use synod::train::reduce::{Gradients, Reduce, sum};
use synod::train::supervised::SupervisedConfig;
use synod::train::{Report, Trainer};
use synod::{Device, Result};

fn trainer(preset: &str, items: &[&str]) -> Result<Box<dyn Trainer>> {
    let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
    Settings::with_items(preset, &items)?.trainer(&Device::cpu())
}

/// The mean of a value over the last 20 of so many steps.
fn last_mean(trainer: &mut dyn Trainer, steps: usize, name: &str) -> Result<f64> {
    let reports: Vec<Report> = (0..steps).map(|_| trainer.step()).collect::<Result<_>>()?;
    let last: Vec<f64> = reports[steps - 20..].iter().filter_map(|report| report.value(name)).collect();
    Ok(last.iter().sum::<f64>() / last.len() as f64)
}

/// The symbol of two steps ago, of four: a quarter is right by chance, all of them with a memory.
#[test]
fn agents_with_any_core_learn_what_was_shown_before() -> Result<()> {
    for core in ["gru", "s4d", "s5", "lru", "mamba", "none"] {
        for seed in [1, 2, 3] {
            let seed = format!("seed={seed}");
            let model = format!("agent.core.model={core}");
            let mut items =
                vec!["world.lag=2", "world.length=14", "world.worlds=16", "agent.features=32", &seed];
            items.push("learner.learning_rate=0.01");
            let preset = match core {
                "gru" | "none" => "repeat-gru",
                _ => "repeat-s5",
            };
            match core {
                "gru" => {}
                "none" => items.push("agent.core=none"),
                _ => items.extend([&model[..], "agent.core.states=16"]),
            }
            let right = last_mean(trainer(preset, &items)?.as_mut(), 250, "right")?;
            println!("{core} {seed}: {right}");
            match core {
                "none" => assert!((0.15..0.4).contains(&right), "without memory it was known: {right}"),
                // What it remembers fades, so that two symbols and their order are not easily told apart.
                "s4d" => assert!(right > 0.6, "{core} {seed}: {right}"),
                _ => assert!(right > 0.9, "{core} {seed}: {right}"),
            }
        }
    }
    Ok(())
}

/// Without a way to know the wave the best is the mean over waves, of which the squared error is 2.9 (Finn et al. 2017's task).
#[test]
fn numbers_are_learned_to_the_least_squared_error() -> Result<()> {
    let agent = TeamConfig { encoder: EncoderConfig::Linear { layers: 2 }, ..TeamConfig::default() };
    let learner = SupervisedConfig { learning_rate: 5e-3, ..SupervisedConfig::default() };
    let settings = Settings { seed: 3, ..Settings::new(SinusoidConfig::default(), agent, learner) };
    let mut trainer = settings.trainer(&Device::cpu())?;
    let reports: Vec<Report> = (0..300).map(|_| trainer.step()).collect::<Result<_>>()?;
    let losses: Vec<f64> = reports[150..].iter().filter_map(|report| report.value("loss/answers")).collect();
    assert_eq!(losses.len(), 150);
    let mean = losses.iter().sum::<f64>() / 150.0;
    assert!((2.4..3.4).contains(&mean), "{mean}");
    // There is no choice of which all could be right.
    assert_eq!(reports[0].value("right"), None);
    Ok(())
}

#[test]
fn worlds_can_go_on_by_the_answers() -> Result<()> {
    let items = ["world.lag=3", "world.worlds=4", "learner.rollout=52"];
    let own = trainer("repeat-s5", &items)?.step()?;
    assert!(own.value("success").is_some_and(|right| right < 0.6), "{own:?}");
    let followed = trainer("repeat-s5", &[&items[..], &["learner.follow_answers=true"]].concat())?.step()?;
    assert_eq!(followed.value("success"), Some(1.0));
    // The first three steps of 52 have no answer, and count for nothing.
    assert_eq!(followed.value("answered"), Some(49.0 / 52.0));
    Ok(())
}

/// Rollouts that end within episodes, with states to carry.
#[test]
fn a_trainer_that_was_saved_and_loaded_goes_on_to_the_bit() -> Result<()> {
    for preset in ["repeat-s5", "repeat-gru"] {
        let items = ["world.lag=3", "world.worlds=8", "learner.rollout=20"];
        let mut whole = trainer(preset, &items)?;
        for _ in 0..3 {
            whole.step()?;
        }
        let mut resumed = trainer(preset, &items)?;
        resumed.load(&whole.save()?)?;
        for _ in 0..3 {
            assert_eq!(whole.step()?, resumed.step()?);
        }
        assert!(whole.save()? == resumed.save()?, "{preset}");
    }
    Ok(())
}

/// The sum, as without it.
struct Plain;

impl Reduce for Plain {
    fn reduce(&self, gradients: &Gradients<'_>, total: &mut [f32]) -> Result<()> {
        sum(gradients.shards, total);
        Ok(())
    }
}

#[test]
fn gradients_of_shards_meet_where_those_of_other_learners_do() -> Result<()> {
    let items = ["world.lag=3", "world.worlds=8"];
    let mut own = trainer("repeat-s5", &items)?;
    let mut reduced = trainer("repeat-s5", &items)?;
    reduced.set_reduce(Arc::new(Plain))?;
    for _ in 0..2 {
        assert_eq!(own.step()?, reduced.step()?);
    }
    // And another number of shards is the same but for rounding.
    let mut one = trainer("repeat-s5", &[&items[..], &["learner.learning_shards=1"]].concat())?;
    let mut four = trainer("repeat-s5", &[&items[..], &["learner.learning_shards=4"]].concat())?;
    for _ in 0..2 {
        let (one, four) = (one.step()?, four.step()?);
        let loss = |report: &Report| report.value("loss/answers").unwrap_or(f64::NAN);
        assert!((loss(&one) - loss(&four)).abs() < 1e-4, "{one:?} {four:?}");
    }
    Ok(())
}

#[test]
fn worlds_that_do_not_say_what_is_right_are_refused() {
    let error = trainer("spread-ippo", &["learner=supervised"]).err().map(|error| error.to_string());
    let error = error.unwrap_or_default();
    assert!(error.contains("learner.kind") && error.contains("what would be right"), "{error}");
    let error = trainer("repeat-s5", &["learner.acting_shards=5"]).err().map(|error| error.to_string());
    assert!(error.unwrap_or_default().contains("learner.acting_shards"));
}
