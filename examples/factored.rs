//! Factored values: two agents, one payoff. The first picks which matrix is played in the second step; one pays 7 whatever
//! happens, the other 0, 1, 1 or 8. A sum of the agents' values (VDN) cannot tell what 8 needs; a monotonic mixture that
//! sees the state (QMIX, Rashid et al. 2018, section 5) can.
//!
//! `cargo run --release --example factored`

use synod::agent::actors::Choice;
use synod::agent::team::{Team, TeamConfig};
use synod::env::WorldConfig;
use synod::env::matrix_game::MatrixGameConfig;
use synod::train::Trainer;
use synod::train::dqn::{Dqn, DqnConfig};
use synod::train::mixer::{Mixing, QmixConfig};
use synod::train::player::Player;
use synod::{Device, Result};

const STEPS: u64 = 50_000;

fn main() -> Result<()> {
    let device = Device::cpu();
    for (name, mixer) in [("VDN", Mixing::Vdn), ("QMIX", Mixing::Qmix(QmixConfig::default()))] {
        let game = WorldConfig::new(MatrixGameConfig { worlds: 8, ..MatrixGameConfig::two_step() });
        let world = game.build(0)?;
        let network = TeamConfig { features: 32, ..TeamConfig::default() };
        let team = Team::new(&device, &network, world.spec(), false, 0)?;
        let settings = DqnConfig {
            rollout: 2,
            batch: 32,
            replay: 500,
            warmup: 64,
            target_every: 50,
            learning_rate: 2e-3,
            // The paper learns from random play.
            epsilon_end: 1.0,
            mixer,
            ..DqnConfig::default()
        };
        let mut trainer = Dqn::new(&device, Box::new(team), world, settings, STEPS, 0)?;
        while trainer.step()?.steps < STEPS {}

        let mut world = game.with_worlds(1).build(1)?;
        let mut player =
            Player::new(&device, trainer.policy(), world.as_ref(), Choice::EpsilonGreedy, false)?;
        let reports = player.play(world.as_mut(), 0, |_, _, _| Ok(()))?;
        println!("{name:4} learns to be paid {:.0}", reports[0].value("return").unwrap_or(f64::NAN));
    }
    Ok(())
}
