//! One decision of a team in a host program.

use criterion::{Criterion, criterion_group, criterion_main};
use synod::door::{Team, export};
use synod::preset::Settings;

fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = criterion.benchmark_group("door");
    for (preset, worlds, agents) in
        [("bottleneck", 1, 2), ("bottleneck", 1, 4), ("bottleneck", 2, 2), ("spread-ippo", 1, 3)]
    {
        let path = folder.path().join(preset);
        let settings = Settings::preset(preset).expect("a preset");
        export(&settings, None, &path).expect("room on the disk");
        let mut team = Team::load(&path).expect("it was written just now");
        let mut memory = team.memory_of(worlds, agents).expect("a small number");
        let numbers: usize = team.kind().observation.iter().product();
        let seen = vec![0.5; worlds * agents * numbers];
        group.bench_function(format!("{preset}/{worlds}x{agents}"), |bencher| {
            bencher.iter(|| team.act(&seen, &mut memory).expect("it fits").discrete[0]);
        });
    }
    group.finish();
}

criterion_group!(door, benches);
criterion_main!(door);
