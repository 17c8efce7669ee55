//! The place between the shards' gradients and the optimisers' steps.

use std::sync::{Arc, Mutex};

use synod::preset::Settings;
use synod::tensors::Checkpoint;
use synod::train::Trainer;
use synod::train::reduce::{Gradients, Reduce, sum};
use synod::{Device, Error, Result};

fn trainer(preset: &str, items: &[&str]) -> Result<Box<dyn Trainer>> {
    let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
    Settings::with_items(preset, &items)?.trainer(&Device::cpu())
}

/// Every trainer of the crate, with one shard and with several, and whose gradients each has.
const TRAINERS: [(&str, &[&str], &[&str], usize); 6] = [
    ("spread-ippo", &["learner.learning_shards=4"], &["agent"], 4),
    ("spread-ippo", &["learner.learning_shards=1"], &["agent"], 1),
    ("spread-ippo", &["learner=a2c", "learner.learning_shards=2"], &["agent"], 2),
    ("two-step-qmix", &["learner.warmup=32", "learner.learning_shards=2"], &["agent"], 2),
    ("deep-sea-dqn", &["learner.curiosity=icm", "learner.warmup=32"], &["agent", "curiosity"], 1),
    (
        "chain-hierarchical",
        &["learner.worker.warmup=32", "learner.manager.warmup=32"],
        &["manager", "worker"],
        1,
    ),
];

/// What was seen of each call: whose, which update, shards, length.
#[derive(Default)]
struct Watch(Mutex<Vec<(&'static str, u64, usize, usize)>>);

impl Reduce for Watch {
    fn reduce(&self, gradients: &Gradients<'_>, total: &mut [f32]) -> Result<()> {
        assert!(gradients.shards.iter().all(|shard| shard.len() == total.len()));
        let seen = (gradients.of, gradients.update, gradients.shards.len(), total.len());
        self.0.lock().unwrap().push(seen);
        sum(gradients.shards, total);
        Ok(())
    }
}

/// Somebody who only looks changes no bit, also where loss and step were one program before; and sees every update of
/// every set of parameters.
#[test]
fn a_sum_from_outside_is_the_sum_inside() -> Result<()> {
    for (preset, items, sets, shards) in TRAINERS {
        let (mut plain, mut watched) = (trainer(preset, items)?, trainer(preset, items)?);
        // Both paths go on from one state.
        while plain.step()?.updates < 4 {}
        watched.load(&plain.save()?)?;
        let watch = Arc::new(Watch::default());
        watched.set_reduce(watch.clone())?;
        for _ in 0..6 {
            assert_eq!(plain.step()?, watched.step()?, "{preset} {items:?}");
        }
        assert!(plain.save()? == watched.save()?, "{preset} {items:?}");
        let seen = watch.0.lock().unwrap();
        for set in sets {
            let own: Vec<_> = seen.iter().filter(|(of, ..)| of == set).collect();
            assert!(own.len() > 1, "{preset}: {set}");
            assert!(own.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1 && pair[0].3 == pair[1].3));
            assert_eq!(own[0].2, shards, "{preset}: {set}");
        }
        assert!(seen.iter().all(|(of, ..)| sets.contains(of)), "{preset}");
    }
    Ok(())
}

/// Fills the gradient with a number, or fails.
struct Instead(Option<f32>);

impl Reduce for Instead {
    fn reduce(&self, _: &Gradients<'_>, total: &mut [f32]) -> Result<()> {
        match self.0 {
            Some(number) => total.fill(number),
            None => return Err(Error::Usage("the others are gone".into())),
        }
        Ok(())
    }
}

/// What it gives is what is stepped by, and what cannot be stepped by changes nothing.
#[test]
fn the_step_is_by_what_the_reduction_gives() -> Result<()> {
    for (preset, items, ..) in TRAINERS {
        for (number, said) in [(Some(0.0), None), (Some(f32::NAN), Some("gradient")), (None, Some("gone"))] {
            let mut trainer = trainer(preset, items)?;
            trainer.set_reduce(Arc::new(Instead(number)))?;
            let agent = |trainer: &dyn Trainer| -> Result<Checkpoint> {
                let mut agent = trainer.save_agent()?;
                agent.tensors.retain(|name, _| name.starts_with("agent/"));
                Ok(agent)
            };
            let before = agent(trainer.as_ref())?;
            let end = (0..200).map(|_| trainer.step()).find(|step| match step {
                Ok(report) => report.updates >= 4,
                Err(_) => true,
            });
            match (end.unwrap_or_else(|| panic!("{preset} never learned")), said) {
                (Ok(_), None) => {}
                (Err(error), Some(word)) => assert!(error.to_string().contains(word), "{preset}: {error}"),
                (end, _) => panic!("{preset} with {number:?}: {end:?}"),
            }
            // Adam's step by a gradient that is always 0 is 0.
            assert!(before == agent(trainer.as_ref())?, "{preset} with {number:?}");
        }
    }
    Ok(())
}
