//! Agent-steps a second of small worlds, observations included. Episodes that end are reset inside the measured
//! time, as a trainer would.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synod::action::Actions;
use synod::env::{Buffers, Pcg64, WorldConfig};

/// Steps with random actions that the masks allow at the start, drawn beforehand.
fn steps(criterion: &mut Criterion, group: &str, kind: &str, worlds: usize) {
    let config = WorldConfig::named(kind).expect("a known kind").with_worlds(worlds);
    let mut env = config.build(1).expect("the settings are in range");
    let spec = env.spec().clone();
    let mut random = Pcg64::new(1);
    let mut draw = || {
        let choices = spec.kinds.iter().filter(|kind| kind.actions.integers() > 0);
        let each = choices.flat_map(|k| vec![k.actions.options() as u32; worlds * k.count]);
        let discrete = each.map(|options| random.below(options)).collect();
        let [_, floats] = spec.action_lengths();
        let continuous = (0..floats).map(|_| 2.0 * random.double() as f32 - 1.0).collect();
        Actions { discrete, continuous }
    };
    let actions: Vec<Actions> = (0..32).map(|_| draw()).collect();
    let mut out = Buffers::new(&spec);
    env.reset(&vec![true; worlds], &mut out).expect("it can be reset");
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements((worlds * spec.agents()) as u64));
    group.sample_size(30).measurement_time(Duration::from_secs(4));
    let mut at = 0;
    group.bench_function(kind, |bencher| {
        bencher.iter(|| {
            env.step(&actions[at % actions.len()], &mut out).expect("actions are in range");
            at += 1;
            if out.ended.contains(&true) {
                let ended = out.ended.clone();
                env.reset(&ended, &mut out).expect("it can be reset");
                env.take_reports();
            }
            black_box(&out.observations);
        });
    });
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    for kind in
        ["simple_spread", "simple_tag", "simple_adversary", "simple_speaker_listener", "simple_reference"]
    {
        steps(criterion, "env/mpe", kind, 4096);
    }
    for kind in ["warehouse", "foraging"] {
        steps(criterion, "env/grids", kind, 1024);
    }
    for kind in ["navigation", "transport", "wheel", "kinematic_bicycle", "give_way"] {
        steps(criterion, "env/vmas", kind, 1024);
    }
    for kind in ["matrix_game", "repeat_previous", "switch", "taxi"] {
        steps(criterion, "env/small", kind, 4096);
    }
}

criterion_group!(worlds, benches);
criterion_main!(worlds);
