//! One step of a team in one world, from what its agents see to what they do: encoder, talk over a graph of the four
//! nearest (found anew inside the measured time) or with everybody, heads. With graphs the work grows with the agents
//! and their edges; with targeted attention between all, with the square of their number. Beside it a
//! hundred vehicles on a grid of roads: what they do, and a step of their world. Last, tables that learn.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synod::Device;
use synod::agent::actors::{Actors, Choice, Seen};
use synod::agent::team::{Team, TeamConfig};
use synod::comm::Neighbours;
use synod::comm::{Communication, GatConfig, GatV2Config, TarMacConfig};
use synod::env::gridworld::GridworldConfig;
use synod::env::roads::{NetworkConfig, RoadsConfig};
use synod::env::{Buffers, WorldConfig};
use synod::preset::Settings;

fn benches(criterion: &mut Criterion) {
    for way in ["none", "gat", "gatv2", "tarmac"] {
        for agents in [10, 100, 1000] {
            // As crowded with any number of agents.
            let side = (agents as f64 * 20.0).sqrt().ceil() as usize;
            let world = GridworldConfig {
                worlds: 1,
                agents,
                targets: agents,
                width: side,
                height: side,
                coordinates: true,
                ..GridworldConfig::default()
            };
            let mut env = WorldConfig::new(world).build(1).expect("the settings are in range");
            let spec = env.spec().clone();
            let mut out = Buffers::new(&spec);
            env.reset(&[true], &mut out).expect("it can be reset");
            let size = spec.kinds[0].observation[0];
            let neighbours =
                Neighbours { positions: vec![size - 2, size - 1], radius: 0.0, nearest: 4, itself: true };
            let communication = match way {
                "gat" => Communication::new(GatConfig { heads: 4, neighbours }),
                "gatv2" => Communication::new(GatV2Config { heads: 4, neighbours }),
                "tarmac" => Communication::new(TarMacConfig { heads: 4, gated: false }),
                _ => Communication::named(way).expect("a known way"),
            };
            let config = TeamConfig { identity: false, communication, ..TeamConfig::default() };
            let device = Device::cpu();
            let team = Team::new(&device, &config, &spec, false, 0).expect("the settings are in range");
            let mut actors =
                Actors::new(&device, &team, &spec, 1, Choice::Greedy, false).expect("the network fits");
            let (ages, present) = (vec![1.0; agents], vec![1.0; agents]);
            let mut group = criterion.benchmark_group(format!("team/{way}"));
            group.throughput(Throughput::Elements(agents as u64));
            group.sample_size(30).measurement_time(Duration::from_secs(2));
            group.bench_function(agents.to_string(), |bencher| {
                bencher.iter(|| {
                    let seen = Seen {
                        observations: &out.observations,
                        ages: &ages,
                        present: &present,
                        masks: &out.masks,
                        state: &out.state,
                    };
                    actors.act(seen, [0, 0]).expect("what is seen fits");
                });
            });
            group.finish();
        }
    }
}

/// A hundred vehicles, all slots taken, on sixteen junctions: acting, then a step of the world.
fn roads(criterion: &mut Criterion) {
    let agents = 100;
    let network =
        NetworkConfig::Grid { columns: 4, rows: 4, lanes: 1, spacing: 120.0, entry: 80.0, exit: 50.0 };
    let world = RoadsConfig {
        worlds: 1,
        agents,
        network,
        demand: 900.0,
        max_episode_steps: 1 << 20,
        ..Default::default()
    };
    let mut env = WorldConfig::new(world).build(1).expect("the settings are in range");
    let spec = env.spec().clone();
    let mut out = Buffers::new(&spec);
    env.reset(&[true], &mut out).expect("it can be reset");
    let mut actions = spec.actions();
    actions.discrete.fill(4);
    while out.active.contains(&false) {
        env.step(&actions, &mut out).expect("there is such an option");
    }
    let device = Device::cpu();
    let config = TeamConfig { identity: false, ..TeamConfig::default() };
    let team = Team::new(&device, &config, &spec, false, 0).expect("the settings are in range");
    let mut actors = Actors::new(&device, &team, &spec, 1, Choice::Greedy, false).expect("the network fits");
    let (ages, present) = (vec![1.0; agents], vec![1.0; agents]);
    let mut group = criterion.benchmark_group("roads");
    group.throughput(Throughput::Elements(agents as u64));
    group.sample_size(30).measurement_time(Duration::from_secs(2));
    group.bench_function("act/100", |bencher| {
        bencher.iter(|| {
            let seen = Seen {
                observations: &out.observations,
                ages: &ages,
                present: &present,
                masks: &out.masks,
                state: &out.state,
            };
            actors.act(seen, [0, 0]).expect("what is seen fits");
        });
    });
    group.bench_function("step/100", |bencher| {
        bencher.iter(|| env.step(&actions, &mut out).expect("there is such an option"));
    });
    group.finish();
}

/// A hundred steps of tables: two agents learn a matrix game of 25 rounds, with thousands of seeds side by side. An
/// element is one step of one table, choosing and the step of the world included.
fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tables");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    for seeds in [1_000, 8_000] {
        let items =
            [format!("world.worlds={seeds}"), format!("agent.seeds={seeds}"), "world.rounds=25".to_string()];
        let settings = Settings::with_items("climbing-iql", &items).expect("settings in range");
        let mut trainer = settings.trainer(&Device::cpu()).expect("the tables fit");
        group.throughput(Throughput::Elements(seeds * 2 * 100));
        group.bench_function(seeds.to_string(), |bencher| {
            bencher.iter(|| trainer.step().expect("all values are finite"));
        });
    }
    group.finish();
}

criterion_group!(agents, benches, roads, tables);
criterion_main!(agents);
