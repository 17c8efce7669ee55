//! CommNet's lever game with a teacher: five of 500 agents are drawn, and each should pull the lever of its rank among
//! them (Sukhbaatar et al. 2016, section 4.1). Nobody sees who else was drawn: only talk can tell.
//!
//! `cargo run --release --example lever` trains agents that are silent, CommNet, TarMAC and graph attention, one after
//! another (minutes in all), and prints how many different levers were pulled, of five. Silence gets .672.

use synod::agent::neighbours;
use synod::agent::team::{Team, TeamConfig};
use synod::agent::{Mode, Policy, Sequence};
use synod::comm::Neighbours;
use synod::comm::{Communication, GatV2Config};
use synod::env::lever::LeverConfig;
use synod::env::{Buffers, VecEnv, WorldConfig};
use synod::optim::{Optimiser, Rule, STEP_INPUT};
use synod::{Device, Graph, Program, Result};

const WORLDS: usize = 128;
const UPDATES: usize = 6_000;

/// Draws agents anew, shows them to the program, and gives each one's rank.
fn draw(env: &mut dyn VecEnv, out: &mut Buffers, program: &mut Program, team: &Team) -> Result<Vec<u32>> {
    let (agents, population) = (env.spec().agents(), env.spec().kinds[0].observation[0]);
    env.reset(&[true; WORLDS], out)?;
    let seen = program.input_mut("observations")?;
    let mut ranks = vec![0; agents * WORLDS];
    // Worlds come first in what the environment writes, agents in what a network reads.
    for (world, rows) in out.observations.chunks_exact(agents * population).enumerate() {
        let drawn: Vec<_> =
            rows.chunks_exact(population).map(|row| row.iter().position(|x| *x > 0.0)).collect();
        for (agent, row) in rows.chunks_exact(population).enumerate() {
            let lane = agent * WORLDS + world;
            seen[lane * population..][..population].copy_from_slice(row);
            ranks[lane] = drawn.iter().filter(|other| **other < drawn[agent]).count() as u32;
        }
    }
    // Inputs that a network has no use for are not there.
    for (name, value) in [("ages", 0.0), ("present", 1.0)] {
        if let Some(input) = program.find_input(name) {
            input.fill(value);
        }
    }
    neighbours::fill(program, team, [1, agents, WORLDS])?;
    Ok(ranks)
}

fn train(way: &str, device: &Device) -> Result<f64> {
    let config = LeverConfig { worlds: WORLDS, ..LeverConfig::default() };
    let mut env = WorldConfig::new(config).build(0)?;
    let (spec, mut out) = (env.spec().clone(), Buffers::new(env.spec()));
    let kind = &spec.kinds[0];
    let lanes = [1, kind.count, WORLDS];
    // On a graph everybody is everybody's neighbour.
    let everybody = Neighbours { positions: vec![0], radius: 0.0, nearest: kind.count - 1, itself: true };
    let communication = match way {
        "gatv2" => Communication::new(GatV2Config { heads: 1, neighbours: everybody }),
        way => Communication::named(way)?,
    };
    let config = TeamConfig {
        features: 128,
        identity: false,
        rounds: if way == "none" { 1 } else { 2 },
        // Where all hear all, what they hear is the same for all.
        residual: communication.neighbours().is_some(),
        communication,
        ..TeamConfig::default()
    };
    let team = Team::new(device, &config, &spec, false, 0)?;
    let mut optimiser = Optimiser::new(device, team.parameters(), Rule::adam(1e-8))?;

    let graph = Graph::new();
    let weights = team.parameters().weights(&graph);
    let sequence = Sequence::input(&graph, &team, lanes, &kind.observation, Mode::Learning);
    let logits = team.unroll(&graph, &weights, sequence, &[])?.parameters;
    let loss = -logits.log_softmax(-1).take_along_last(graph.input_u32("ranks", lanes)).mean_all();
    optimiser.update(&graph, team.parameters().gradient(loss, &weights)?);
    let mut step = device.compile(&graph, &[loss])?;

    let graph = Graph::new();
    let weights = team.parameters().weights(&graph);
    let sequence = Sequence::input(&graph, &team, lanes, &kind.observation, Mode::Learning);
    let mut act =
        device.compile(&graph, &[team.unroll(&graph, &weights, sequence, &[])?.parameters.argmax()])?;

    for update in 0..UPDATES {
        let ranks = draw(env.as_mut(), &mut out, &mut step, &team)?;
        let numbers = optimiser.advance(1e-3 * (1.0 - update as f32 / UPDATES as f32));
        step.run(&[("ranks", &ranks), (STEP_INPUT, &numbers)])?;
    }
    let mut reports = Vec::new();
    for _ in 0..100 {
        draw(env.as_mut(), &mut out, &mut act, &team)?;
        let pulled = act.run(&[])?.u32(0).to_vec();
        let actions: Vec<u32> =
            (0..pulled.len()).map(|i| pulled[i % kind.count * WORLDS + i / kind.count]).collect();
        env.step(&actions[..].into(), &mut out)?;
        reports.extend(env.take_reports());
    }
    Ok(reports.iter().filter_map(|report| report.value("return")).sum::<f64>() / reports.len() as f64)
}

fn main() -> Result<()> {
    let device = Device::auto();
    for way in ["none", "commnet", "tarmac", "gatv2"] {
        println!("{way:8} {:.3}", train(way, &device)?);
    }
    Ok(())
}
