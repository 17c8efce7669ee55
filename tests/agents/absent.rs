//! Death masking: agents that have left their world, or are not in it yet, count for nothing in learning.

use synod::action::Actions;
use synod::env::{Buffers, EpisodeReport, Spec, VecEnv};
use synod::preset::Settings;
use synod::tensors::TensorData;
use synod::train::LearnerConfig;
use synod::train::Trainer;
use synod::train::a2c::A2cConfig;
use synod::train::ppo::{Ppo, PpoConfig};
use synod::{Device, Result};

/// Worlds that show and pay the absent this number.
struct Haunted {
    inner: Box<dyn VecEnv>,
    number: f32,
    active: Vec<bool>,
    haunted: u64,
}

impl Haunted {
    /// An agent that leaves is paid for its last step, so only those that were away before it are haunted.
    fn haunt(&mut self, out: &mut Buffers) {
        let lanes = out.active.len();
        let size = out.observations.len() / lanes;
        for lane in 0..lanes {
            if self.number != 0.0 && !out.active[lane] && !self.active[lane] {
                out.observations[lane * size..][..size].fill(self.number);
                out.rewards[lane] = self.number;
                self.haunted += 1;
            }
        }
        self.active.copy_from_slice(&out.active);
    }
}

impl VecEnv for Haunted {
    fn spec(&self) -> &Spec {
        self.inner.spec()
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        self.inner.reset(which, out)?;
        self.active.copy_from_slice(&out.active);
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        self.inner.step(actions, out)?;
        self.haunt(out);
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    /// Only how often it haunted: nothing here is resumed.
    fn save(&self) -> Vec<u8> {
        self.haunted.to_le_bytes().to_vec()
    }

    fn load(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// What was learned, and how often somebody absent was shown something.
fn learned(preset: &str, config: &PpoConfig, number: f32) -> Result<(Vec<(String, TensorData)>, u64)> {
    let items = ["world.worlds=16".to_string(), "learner=ppo".to_string()];
    let settings = Settings::with_items(preset, &items)?;
    let settings = Settings { learner: LearnerConfig::new(config.clone()), ..settings };
    let device = Device::cpu();
    let inner = settings.worlds(&settings.world, 3)?;
    let active = vec![true; inner.spec().worlds * inner.spec().agents()];
    let policy = settings.agent.policy(&device, inner.spec(), false, 3)?;
    let world = Box::new(Haunted { inner, number, active, haunted: 0 });
    let mut trainer = Ppo::new(&device, policy, world, config.clone(), 1_000_000, 3)?;
    for _ in 0..2 {
        trainer.step()?;
    }
    let all = trainer.save()?;
    let bytes = all.tensors["worlds/state"].bytes();
    let haunted = u64::from_le_bytes(bytes.try_into().expect("a number"));
    let is_learned = |name: &str| name.starts_with("agent/") || name.starts_with("optimiser/");
    Ok((all.tensors.into_iter().filter(|(name, _)| is_learned(name)).collect(), haunted))
}

#[test]
fn what_the_absent_see_and_are_paid_changes_no_bit() -> Result<()> {
    let long = PpoConfig { rollout: 40, ..PpoConfig::default() };
    let normalised = PpoConfig { normalise_values: true, ..long.clone() };
    let plain = A2cConfig { rollout: 40, ..A2cConfig::default() }.as_ppo();
    for (preset, config) in [
        ("junction-tarmac", &long),
        ("junction-ic3net", &normalised),
        ("junction-commnet", &plain),
        ("bottleneck", &long),
    ] {
        let (quiet, none) = learned(preset, config, 0.0)?;
        let (haunted, some) = learned(preset, config, 3.0)?;
        assert_eq!(none, 0);
        assert!(some > 0, "{preset}: nobody was absent");
        assert!(quiet == haunted, "{preset}: the absent were seen or paid");
    }
    Ok(())
}
