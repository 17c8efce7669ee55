//! A critic whose returns are normalised.

use synod::action::Actions;
use synod::env::{Buffers, EpisodeReport, Spec, VecEnv};
use synod::preset::Settings;
use synod::train::Trainer;
use synod::train::ppo::{Ppo, PpoConfig};
use synod::{Device, Result};

/// Worlds that pay a multiple; their reports stay as they are.
struct Paid {
    inner: Box<dyn VecEnv>,
    factor: f32,
}

impl VecEnv for Paid {
    fn spec(&self) -> &Spec {
        self.inner.spec()
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        self.inner.reset(which, out)
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        self.inner.step(actions, out)?;
        out.rewards.iter_mut().for_each(|reward| *reward *= self.factor);
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    fn save(&self) -> Vec<u8> {
        self.inner.save()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.load(bytes)
    }
}

fn trainer(preset: &str, seed: u64, factor: f32, config: &PpoConfig) -> Result<Ppo> {
    let settings = Settings { seed, ..Settings::with_items(preset, &["world.worlds=32".to_string()])? };
    let device = Device::cpu();
    let inner = settings.worlds(&settings.world, seed)?;
    let policy = settings.agent.policy(&device, inner.spec(), false, seed)?;
    Ppo::new(&device, policy, Box::new(Paid { inner, factor }), config.clone(), 1_000_000, seed)
}

fn config(normalise_values: bool) -> PpoConfig {
    PpoConfig {
        rollout: 25,
        learning_rate: 5e-3,
        // Nothing else may know the unit of rewards.
        advantage_epsilon: 1e-12,
        normalise_values,
        ..PpoConfig::default()
    }
}

/// The same learning curve, whatever the unit: with a power of two to the bit, since every product is exact, and with 1000
/// as far as rounding lets it; and it is the curve of one who learns. Without it the value loss has the unit's square.
#[test]
fn the_unit_of_rewards_does_not_matter() -> Result<()> {
    for seed in [1, 2, 3] {
        let mut units =
            [1.0, 1024.0, 1000.0].map(|factor| trainer("climbing", seed, factor, &config(true)).unwrap());
        let mut last = f64::NAN;
        for iteration in 0..60 {
            let [one, binary, decimal] = &mut units;
            let (one, binary, decimal) = (one.step()?, binary.step()?, decimal.step()?);
            for name in ["return", "loss/value", "loss/policy", "entropy"] {
                assert_eq!(one.value(name), binary.value(name), "seed {seed}, iteration {iteration}: {name}");
            }
            let (value, other) = (one.value("value").unwrap(), decimal.value("value").unwrap());
            assert!(binary.value("value") == Some(1024.0 * value));
            if iteration < 5 {
                assert!((other / value / 1000.0 - 1.0).abs() < 1e-3, "seed {seed}: {other} and {value}");
                let (a, b) = (one.value("loss/value").unwrap(), decimal.value("loss/value").unwrap());
                assert!((a / b - 1.0).abs() < 1e-3, "seed {seed}, iteration {iteration}: {a} and {b}");
            }
            last = one.value("return").unwrap_or(last);
        }
        // 25 rounds of what is safe are paid 125.
        assert!(last > 100.0, "seed {seed}: {last}");
    }
    let losses = [1.0, 1024.0].map(|factor| {
        trainer("climbing", 1, factor, &config(false)).unwrap().step().unwrap().value("loss/value").unwrap()
    });
    assert!(losses[1] > 1e5 * losses[0], "{losses:?}");
    Ok(())
}

#[test]
fn its_statistics_go_on_to_the_bit() -> Result<()> {
    let mut whole = trainer("climbing", 4, 10.0, &config(true))?;
    whole.step()?;
    let mut resumed = trainer("climbing", 4, 10.0, &config(true))?;
    resumed.load(&whole.save()?)?;
    for _ in 0..2 {
        assert_eq!(whole.step()?, resumed.step()?);
    }
    assert!(whole.save()? == resumed.save()?);
    let mut broken = whole.save()?;
    let nothing = synod::tensors::TensorData::f64(&[3], &[1.0, f64::NAN, 0.0])?;
    broken.insert("trainer/values", nothing);
    assert!(resumed.load(&broken).unwrap_err().to_string().contains("statistics"));
    Ok(())
}
