//! Two levels of decision (h-DQN, Kulkarni et al. 2016): walking right leads to the end of a chain by chance only, and the
//! start pays a hundred times more to those who have been there. A manager sets goals, a worker is paid for reaching them.
//!
//! `cargo run --release --example levels`

use synod::agent::hierarchy::Hierarchy;
use synod::agent::team::TeamConfig;
use synod::env::WorldConfig;
use synod::env::chain::ChainConfig;
use synod::optim::Schedule;
use synod::train::Trainer;
use synod::train::dqn::DqnConfig;
use synod::train::hierarchy::{HierarchicalDqn, HierarchyConfig};
use synod::{Device, Result};

const STEPS: u64 = 100_000;

fn main() -> Result<()> {
    let device = Device::cpu();
    let chain = WorldConfig::new(ChainConfig { worlds: 16, ..ChainConfig::default() });
    let world = chain.build(0)?;
    let level = DqnConfig {
        rollout: 4,
        batch: 32,
        replay: 5_000,
        warmup: 500,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.05 },
        target_every: 50,
        epsilon_end: 0.1,
        epsilon_fraction: 0.5,
        learning_shards: 1,
        ..DqnConfig::default()
    };
    let worker = DqnConfig { gamma: 0.9, ..level.clone() };
    let config = HierarchyConfig { every: 100, worker, manager: level, ..HierarchyConfig::default() };
    let observation = world.spec().kinds[0].observation.iter().product();
    // The world names its goals: to be in each of its states.
    let goals = config.goals(chain.goals(), observation)?;
    let network = TeamConfig { features: 32, identity: false, ..TeamConfig::default() };
    let agent = Hierarchy::new(&device, &network, world.spec(), goals, config.every, false, 0)?;
    let mut trainer = HierarchicalDqn::new(&device, agent, world, &config, STEPS, 0)?;
    loop {
        let report = trainer.step()?;
        if report.steps % 20_000 < 64 {
            let paid = report.value("return").unwrap_or(0.0);
            println!("{:6} steps: return {paid:.3} (the most there is: .208 on average)", report.steps);
        }
        if report.steps >= STEPS {
            return Ok(());
        }
    }
}
