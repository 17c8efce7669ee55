//! Recurrent Q-learning (DRQN, Hausknecht and Stone 2015): say the symbol that was shown three steps ago. Without a memory
//! there is nothing better than a guess.
//!
//! `cargo run --release --example memory`

use synod::agent::actors::Choice;
use synod::agent::core::CoreConfig;
use synod::agent::team::{Team, TeamConfig};
use synod::env::WorldConfig;
use synod::env::repeat_previous::RepeatPreviousConfig;
use synod::optim::Schedule;
use synod::train::Trainer;
use synod::train::dqn::{Dqn, DqnConfig};
use synod::train::player::Player;
use synod::{Device, Result};

const STEPS: u64 = 600_000;

fn main() -> Result<()> {
    let device = Device::cpu();
    for core in ["none", "gru"] {
        let task = RepeatPreviousConfig { worlds: 16, ..RepeatPreviousConfig::default() };
        let task = WorldConfig::new(task);
        let world = task.build(0)?;
        let core = CoreConfig::named(core)?;
        let network = TeamConfig { identity: false, core, dueling: true, ..TeamConfig::default() };
        let team = Team::new(&device, &network, world.spec(), false, 0)?;
        let settings = DqnConfig {
            rollout: 52,
            // Whole episodes are drawn, so that gradients reach as far back as memory must.
            sequence: 51,
            batch: 16,
            replay: 50_000,
            warmup: 2_000,
            learning_rate: 2e-3,
            schedule: Schedule::Linear { last: 0.1 },
            // What is said now changes nothing later.
            gamma: 0.0,
            target_every: 50,
            epsilon_end: 0.02,
            epsilon_fraction: 0.5,
            ..DqnConfig::default()
        };
        let mut trainer = Dqn::new(&device, Box::new(team), world, settings, STEPS, 0)?;
        while trainer.step()?.steps < STEPS {}

        let mut world = task.with_worlds(64).build(1)?;
        let mut player =
            Player::new(&device, trainer.policy(), world.as_ref(), Choice::EpsilonGreedy, false)?;
        let reports = player.play(world.as_mut(), 0, |_, _, _| Ok(()))?;
        let mean = reports.iter().filter_map(|r| r.value("return")).sum::<f64>() / reports.len() as f64;
        println!("{}: return {mean:.3} of 1", network.core.name());
    }
    Ok(())
}
