//! Agent-steps a second of pathfinding worlds, observations included. Episodes that end are reset inside the
//! measured time, as a trainer would.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synod::action::Actions;
use synod::env::pathfinding::{
    Collision, Observation, OnTarget, Pathfinding, PathfindingConfig, Pcg64, Rewards, Source,
};
use synod::env::{Buffers, VecEnv};

/// Steps with random actions, drawn beforehand.
fn steps(criterion: &mut Criterion, name: &str, config: PathfindingConfig) {
    let lanes = config.worlds * config.agents;
    let mut random = Pcg64::new(1);
    let mut draw = || (0..lanes).map(|_| random.below(5)).collect::<Vec<u32>>().into();
    let actions: Vec<Actions> = (0..32).map(|_| draw()).collect();
    let mut env = Pathfinding::new(config.clone()).expect("the settings are in range");
    let mut out = Buffers::new(env.spec());
    env.reset(&vec![true; config.worlds], &mut out).expect("instances can be drawn");
    let mut group = criterion.benchmark_group("env/pathfinding");
    group.throughput(Throughput::Elements(lanes as u64));
    group.sample_size(30).measurement_time(Duration::from_secs(4));
    let mut at = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            env.step(&actions[at % actions.len()], &mut out).expect("actions are in range");
            at += 1;
            if out.ended.contains(&true) {
                let ended = out.ended.clone();
                env.reset(&ended, &mut out).expect("instances can be drawn");
                env.take_reports();
            }
            black_box(&out.observations);
        });
    });
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    let lifelong = PathfindingConfig { max_episode_steps: 512, ..PathfindingConfig::default() };
    steps(criterion, "64x32x32_a64_r5", lifelong.clone());
    for (name, collision) in [("priority", Collision::Priority), ("block_both", Collision::BlockBoth)] {
        let config = PathfindingConfig { collision, on_target: OnTarget::Nothing, ..lifelong.clone() };
        steps(criterion, &format!("64x32x32_a64_r5_{name}"), config);
    }
    let planned = PathfindingConfig {
        observation: Observation::PlannedPath,
        rewards: Rewards::Lifelong,
        ..lifelong.clone()
    };
    steps(criterion, "64x32x32_a64_r5_planned_path", planned.clone());
    let source = Source::Maze { size: [65, 65], wall_components: [2, 8], density: [0.25, 0.75] };
    steps(criterion, "maze_64x65x65_a64_r5_planned_path", PathfindingConfig { source, ..planned });
    steps(criterion, "bottleneck_1024_a2_r2", PathfindingConfig::bottleneck(1024));
}

criterion_group!(pathfinding, benches);
criterion_main!(pathfinding);
