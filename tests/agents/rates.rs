//! Learning rates of their own for parts of an agent.

use synod::preset::Settings;
use synod::tensors::Checkpoint;
use synod::train::{Report, Trainer};
use synod::{Device, Result};

fn settings(preset: &str, items: &[&str]) -> Result<Settings> {
    let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
    Settings::with_items(preset, &items)
}

fn trainer(preset: &str, items: &[&str]) -> Result<Box<dyn Trainer>> {
    settings(preset, items)?.trainer(&Device::cpu())
}

/// Steps until so many updates are done.
fn updated(trainer: &mut dyn Trainer, updates: u64) -> Result<Report> {
    loop {
        let report = trainer.step()?;
        if report.updates >= updates {
            return Ok(report);
        }
    }
}

fn numbers(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    checkpoint.tensors[name].to_f32().unwrap()
}

/// What is frozen keeps its bits, its moments stay at nothing, and all else changes: under every learner, with one shard
/// and with several.
#[test]
fn a_frozen_part_keeps_its_bits() -> Result<()> {
    for (preset, part, items) in [
        ("spread-ippo", "encoder", &["learner.rates.encoder=0"][..]),
        ("spread-ippo", "encoder", &["learner.rates.encoder=0", "learner.learning_shards=1"]),
        ("spread-ippo", "actor", &["learner=a2c", "learner.rates={actor=0}"]),
        ("two-step-qmix", "encoder", &["learner.rates.encoder=0", "learner.warmup=32"]),
        ("two-step-qmix", "mixer", &["learner.rates.mixer=0", "learner.warmup=32"]),
        ("two-step-qmix", "mixer/first", &["learner.rates.mixer/first=0", "learner.warmup=32"]),
        (
            "chain-hierarchical",
            "encoder",
            &["learner.worker.rates.encoder=0", "learner.worker.warmup=32", "learner.manager.warmup=32"],
        ),
    ] {
        let mut trainer = trainer(preset, items)?;
        let before = trainer.save()?;
        updated(trainer.as_mut(), 4)?;
        let after = trainer.save()?;
        let level = if preset == "chain-hierarchical" { "worker/" } else { "" };
        let mut counts = [0; 2];
        for name in before.tensors.keys() {
            let Some((of, rest)) = name.split_once('/') else { continue };
            let learned = matches!(of, "agent" | "team") || rest.contains("moment");
            if !learned || !rest.starts_with(level) {
                continue;
            }
            let own = rest.trim_start_matches(level);
            let own = own.trim_start_matches("moment1/").trim_start_matches("moment2/");
            let frozen = own.starts_with(part);
            // Biases of the second layer of a mixer's absolute values may have no gradient: some parameter must move.
            let same = before.tensors[name] == after.tensors[name];
            assert!(same || !frozen, "{preset} {items:?}: {name} moved");
            counts[usize::from(frozen)] += usize::from(same == frozen);
        }
        assert!(counts[0] > 4 && counts[1] > 0, "{preset} {items:?}: {counts:?}");
    }
    Ok(())
}

/// The first step of Adam by hand, in f64 from the moments that it left: every parameter moved by its part's share of
/// the rate.
#[test]
fn a_factor_is_that_of_the_step() -> Result<()> {
    let items = [
        "learner.learning_rate=0.01",
        "learner.schedule=constant",
        "learner.epochs=1",
        "learner.minibatches=1",
    ];
    let rates = ["learner.rates.encoder=0.5", "learner.rates.encoder/1=2", "learner.rates.actor=0.1"];
    let mut trainer = trainer("spread-ippo", &[&items[..], &rates].concat())?;
    let before = trainer.save()?;
    updated(trainer.as_mut(), 1)?;
    let after = trainer.save()?;
    let mut seen = std::collections::BTreeSet::new();
    for name in before.tensors.keys().filter_map(|name| name.strip_prefix("agent/")) {
        let factor = match name {
            _ if name.starts_with("encoder/1") => 2.0,
            _ if name.starts_with("encoder") => 0.5,
            _ if name.starts_with("actor") => 0.1,
            _ => 1.0,
        };
        seen.insert((factor * 10.0) as u32);
        let first = numbers(&after, &format!("optimiser/moment1/{name}"));
        let second = numbers(&after, &format!("optimiser/moment2/{name}"));
        let (old, new) =
            (numbers(&before, &format!("agent/{name}")), numbers(&after, &format!("agent/{name}")));
        for i in 0..old.len() {
            // The corrections of the first step are 1 - 0.9 and 1 - 0.999.
            let (m, v) = (f64::from(first[i]) / 0.1, f64::from(second[i]) / 0.001);
            let expected = f64::from(old[i]) - 0.01 * factor * m / (v.sqrt() + 1e-5);
            let found = f64::from(new[i]);
            assert!((found - expected).abs() < 2e-6, "{name}[{i}]: {found}, by hand {expected}");
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 5, 10, 20]);
    Ok(())
}

#[test]
fn rates_of_1_change_nothing() -> Result<()> {
    let mut plain = trainer("spread-ippo", &[])?;
    let mut with = trainer("spread-ippo", &["learner.rates={encoder=1, actor=1.0}"])?;
    assert_eq!(plain.step()?, with.step()?);
    assert!(plain.save()?.tensors == with.save()?.tensors);
    Ok(())
}

#[test]
fn a_run_with_rates_goes_on_to_the_bit() -> Result<()> {
    for (preset, items) in [
        ("spread-ippo", &["learner.rates={encoder=0, actor=0.1}"][..]),
        ("two-step-qmix", &["learner.rates={encoder=0.1, mixer=0}", "learner.warmup=32"]),
    ] {
        let mut whole = trainer(preset, items)?;
        updated(whole.as_mut(), 4)?;
        let mut resumed = trainer(preset, items)?;
        resumed.load(&whole.save()?)?;
        for _ in 0..3 {
            assert_eq!(whole.step()?, resumed.step()?);
        }
        assert!(whole.save()? == resumed.save()?, "{preset}");
    }
    Ok(())
}

#[test]
fn rates_that_cannot_be_are_refused_by_name() {
    for (preset, item, said) in [
        ("spread-ippo", "learner.rates.decoder=0.1", &["learner.rates.decoder", "encoder", "actor"][..]),
        ("two-step-qmix", "learner.rates.decoder=0.1", &["learner.rates.decoder", "encoder", "mixer"]),
        ("chain-hierarchical", "learner.manager.rates.core=0", &["learner.manager.rates.core", "encoder"]),
        ("spread-ippo", "learner.rates.encoder=-0.1", &["learner.rates.encoder", "0 to 1000"]),
        ("spread-ippo", "learner.rates.encoder=1e39", &["learner.rates.encoder", "1e+39"]),
        ("spread-ippo", "learner.rates.encoder=slow", &["learner.rates.encoder", "slow"]),
        ("spread-ippo", "learner.rates=0.1", &["learner.rates", "a table"]),
        ("spread-ippo", "learner.rates={encoder=0, actor=0, critic=0, core=0}", &["learner.rates"]),
    ] {
        let error = trainer(preset, &[item]).err().unwrap_or_else(|| panic!("{item} was taken"));
        let error = error.to_string();
        assert!(said.iter().all(|word| error.contains(word)), "{item}: {error}");
    }
    let parts = settings("spread-ippo", &[]).unwrap().policy(&Device::cpu()).unwrap();
    let mut all: Vec<&str> =
        parts.parameters().iter().filter_map(|(name, _)| name.split('/').next()).collect();
    all.dedup();
    let frozen: Vec<String> = all.iter().map(|part| format!("learner.rates.{part}=0")).collect();
    let frozen: Vec<&str> = frozen.iter().map(String::as_str).collect();
    let error = trainer("spread-ippo", &frozen).err().unwrap().to_string();
    assert!(error.contains("nothing learns"), "{error}");
}

/// They stand in configurations and among the settings that are shown.
#[test]
fn rates_are_settings_like_any_other() -> Result<()> {
    let some = settings("spread-ippo", &["learner.rates.encoder/0=0.5", "learner.rates.actor=0"])?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, some.to_toml()?).unwrap();
    assert_eq!(Settings::load(&path, &[])?, some);
    let shown = synod::preset::describe(&some)?;
    let of = |key: &str| shown.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("{key}"));
    assert_eq!(of("learner.rates.encoder/0").value, 0.5);
    assert_eq!(of("learner.rates.actor").range, "0 to 1000");
    let plain = synod::preset::describe(&settings("spread-ippo", &[])?)?;
    let none = plain.iter().find(|setting| setting.key == "learner.rates").unwrap();
    assert_eq!(none.range, "for each name 0 to 1000");
    Ok(())
}
