//! Curiosity: a treasure that only ten moves to the right in a row find, and each of them costs. Chance finds it once in
//! 1,024 episodes and forgets it again; random network distillation (Burda et al. 2019) pays for what is new until it is
//! found.
//!
//! `cargo run --release --example curiosity`

use synod::agent::team::{Team, TeamConfig};
use synod::env::WorldConfig;
use synod::env::deep_sea::DeepSeaConfig;
use synod::train::Trainer;
use synod::train::curiosity::{CuriosityConfig, RndConfig};
use synod::train::dqn::{Dqn, DqnConfig};
use synod::{Device, Result};

const STEPS: u64 = 60_000;

fn main() -> Result<()> {
    let device = Device::cpu();
    let rnd = RndConfig { learning_rate: 3e-4, ..RndConfig::default() };
    for curiosity in [CuriosityConfig::None, CuriosityConfig::Rnd(rnd)] {
        println!("{curiosity:?}");
        let world = DeepSeaConfig { worlds: 4, size: 10, ..DeepSeaConfig::default() };
        let world = WorldConfig::new(world).build(0)?;
        let network = TeamConfig { identity: false, ..TeamConfig::default() };
        let team = Team::new(&device, &network, world.spec(), false, 0)?;
        let settings = DqnConfig {
            rollout: 10,
            updates: 2,
            batch: 64,
            n_step: 3,
            warmup: 1_000,
            learning_rate: 1e-3,
            epsilon_start: 0.05,
            epsilon_end: 0.01,
            curiosity,
            learning_shards: 1,
            ..DqnConfig::default()
        };
        let mut trainer = Dqn::new(&device, Box::new(team), world, settings, STEPS, 0)?;
        let (mut found, mut episodes) = (0.0, 0.0);
        loop {
            let report = trainer.step()?;
            let of = |name| report.value(name).unwrap_or(0.0);
            episodes += of("episodes");
            found += of("episodes") * of("found");
            if report.steps % 10_000 < 40 {
                println!("  {:6} steps: found in {found:.0} of {episodes:.0} episodes", report.steps);
                (found, episodes) = (0.0, 0.0);
            }
            if report.steps >= STEPS {
                break;
            }
        }
    }
    Ok(())
}
