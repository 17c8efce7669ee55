//! Graph attention from five agents to a hundred: agents with targets of their own cross a cluttered grid and hear their
//! four nearest (GATv2, Brody et al. 2022). The graph is made anew at each step from where they are, so the same weights
//! serve any number of them.
//!
//! `cargo run --release --example graph` (about a minute on two cores)

use synod::agent::Policy;
use synod::agent::actors::Choice;
use synod::agent::core::CoreConfig;
use synod::agent::team::{Team, TeamConfig};
use synod::comm::Neighbours;
use synod::comm::{Communication, GatV2Config};
use synod::env::WorldConfig;
use synod::env::gridworld::GridworldConfig;
use synod::optim::Schedule;
use synod::train::Trainer;
use synod::train::player::Player;
use synod::train::ppo::{Ppo, PpoConfig};
use synod::{Device, Result};

const STEPS: u64 = 1_500_000;

/// As crowded with any number of agents.
fn grid(agents: usize, side: usize, worlds: usize) -> WorldConfig {
    WorldConfig::new(GridworldConfig {
        worlds,
        agents,
        targets: agents,
        width: side,
        height: side,
        density: 0.2,
        radius: 2,
        coordinates: true,
        max_episode_steps: 8 * side,
        ..GridworldConfig::default()
    })
}

fn main() -> Result<()> {
    let device = Device::cpu();
    let world = grid(5, 10, 64).build(0)?;
    // The last two numbers of an observation say where the agent is.
    let size = world.spec().kinds[0].observation[0];
    let neighbours =
        Neighbours { positions: vec![size - 2, size - 1], radius: 0.0, nearest: 4, itself: true };
    let network = TeamConfig {
        identity: false,
        core: CoreConfig::named("gru")?,
        communication: Communication::new(GatV2Config { heads: 4, neighbours }),
        residual: true,
        ..TeamConfig::default()
    };
    let team = Team::new(&device, &network, world.spec(), false, 0)?;
    let settings = PpoConfig {
        rollout: 32,
        epochs: 2,
        minibatches: 4,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.0 },
        kl_target: 0.0,
        gamma: 0.98,
        entropy_coefficient: 0.01,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    let mut trainer = Ppo::new(&device, Box::new(team), world, settings, STEPS, 0)?;
    while trainer.step()?.steps < STEPS {}

    for (agents, side) in [(5, 10), (20, 20), (100, 45)] {
        let mut world = grid(agents, side, 16).build(1)?;
        let larger = Team::new(&device, &network, world.spec(), false, 0)?;
        larger.parameters().flat().write(&trainer.policy().parameters().flat().read()?)?;
        let mut player = Player::new(&device, &larger, world.as_ref(), Choice::Sample, false)?;
        let reports = player.play(world.as_mut(), 0, |_, _, _| Ok(()))?;
        let mean = reports.iter().filter_map(|r| r.value("reached")).sum::<f64>() / reports.len() as f64;
        println!("{agents:3} agents: {:.1} % of the targets reached", 100.0 * mean);
    }
    Ok(())
}
