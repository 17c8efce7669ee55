//! Agents of three kinds with a network each that talk by a communicator: one step of acting, and the gradient of a step.
//! With the eight nearest as neighbours work grows with the agents; over a learned graph with its edges: `full` has all of
//! them, `pruned` the tenth that is left when the rest have been cut.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use synod::action::ActionSpace;
use synod::agent::actors::{Actors, Choice, Seen};
use synod::agent::kinds::KindsConfig;
use synod::agent::team::{Team, TeamConfig};
use synod::agent::{Mode, NOISE_KEY, Policy, Sequence, neighbours};
use synod::comm::{Between, Communication, CommunicatorConfig, Hearers, Neighbours};
use synod::env::{AgentKind, Spec};
use synod::nn::initial::Stream;
use synod::train::{Checkpoint, TensorData};
use synod::{Device, Graph};

/// Numbers that each agent sees: two are where it is.
const SEEN: usize = 16;

fn spec(agents: usize) -> Spec {
    let actions = ActionSpace::Discrete(5);
    let third = agents / 3;
    let members = [("sensor", third), ("processor", third), ("actuator", agents - 2 * third)]
        .map(|(name, count)| AgentKind::new(name, count, &[SEEN], actions.clone()));
    let all = AgentKind { members: members.to_vec(), ..AgentKind::new("all", agents, &[SEEN + 3], actions) };
    Spec { worlds: 1, kinds: vec![all], state: 0, masked: false, limit: u32::MAX }
}

fn team(spec: &Spec, hearers: Hearers) -> Team {
    let talk = CommunicatorConfig { message: 16, hidden: 64, hearers, gated: true, ..Default::default() };
    let communication = Communication::new(talk);
    let team = TeamConfig { identity: false, communication, ..TeamConfig::default() };
    let config = KindsConfig { team, ..KindsConfig::default() };
    Team::of_kinds(&Device::cpu(), &config, spec, false, 0).expect("the settings are in range")
}

/// Shuts nine gates of ten.
fn cut(team: &Team) {
    const GATES: &str = "communicator0/graph/gates";
    let mut checkpoint = Checkpoint::new();
    team.parameters().save("p", &mut checkpoint).expect("it has parameters");
    let (_, shape) = team.parameters().iter().find(|(name, _)| *name == GATES).expect("its graph learns");
    let values: Vec<f32> = (0..shape.elements()).map(|i| if i % 10 == 0 { 4.0 } else { -9.0 }).collect();
    let tensor = TensorData::f32(shape, &values).expect("as many");
    checkpoint.insert(format!("p/{GATES}"), tensor);
    team.parameters().load("p", &checkpoint).expect("it is its own");
}

fn observations(agents: usize) -> Vec<f32> {
    let mut stream = Stream::new(1);
    (0..agents * (SEEN + 3)).map(|_| stream.uniform() as f32).collect()
}

fn act(criterion: &mut Criterion, name: &str, agents: usize, team: &Team, spec: &Spec) {
    let device = Device::cpu();
    let mut actors = Actors::new(&device, team, spec, 1, Choice::Greedy, false).expect("the network fits");
    let (seen, ages, present) = (observations(agents), vec![1.0; agents], vec![1.0; agents]);
    let mut group = criterion.benchmark_group(format!("talk/{name}"));
    group.throughput(Throughput::Elements(agents as u64));
    group.sample_size(30).measurement_time(Duration::from_secs(2));
    group.bench_function(agents.to_string(), |bencher| {
        bencher.iter(|| {
            let seen = Seen { observations: &seen, ages: &ages, present: &present, masks: &[], state: &[] };
            actors.act(seen, [0, 0]).expect("what is seen fits");
        });
    });
    group.finish();
}

fn gradient(criterion: &mut Criterion, name: &str, agents: usize, team: &Team, spec: &Spec) {
    let (device, graph) = (Device::cpu(), Graph::new());
    let weights = team.parameters().weights(&graph);
    let lanes = [1, agents, 1];
    let sequence = Sequence::input(&graph, team, lanes, &spec.kinds[0].observation, Mode::Learning);
    let unrolled = team.unroll(&graph, &weights, sequence, &[]).expect("the network fits");
    let loss = unrolled.parameters.square().sum_all() + unrolled.values.sum_all();
    let gradient = team.parameters().gradient(loss, &weights).expect("it has a gradient");
    let mut program = device.compile(&graph, &[gradient]).expect("it compiles");
    program.input_mut("observations").expect("it sees").copy_from_slice(&observations(agents));
    program.input_mut("present").expect("it is there").fill(1.0);
    program.find_input_u32(NOISE_KEY).into_iter().for_each(|keys| keys.fill(7));
    let mut group = criterion.benchmark_group(format!("talk/{name}/fwdbwd"));
    group.throughput(Throughput::Elements(agents as u64));
    group.sample_size(30).measurement_time(Duration::from_secs(2));
    group.bench_function(agents.to_string(), |bencher| {
        bencher.iter(|| {
            neighbours::fill(&mut program, team, lanes).expect("the graph fits");
            program.run(&[]).expect("it runs");
        });
    });
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    for agents in [10, 100, 1000] {
        let spec = spec(agents);
        let nearest =
            Neighbours { positions: vec![0, 1], nearest: 8, itself: false, ..Neighbours::default() };
        let near = team(&spec, Hearers::Near { neighbours: nearest });
        act(criterion, "nearest8", agents, &near, &spec);
        gradient(criterion, "nearest8", agents, &near, &spec);
        let learned = Hearers::Learned { between: Between::Agents, start: 0.7, threshold: 0.3, price: 0.0 };
        let mut learned = team(&spec, learned);
        // A million edges with a gradient each are more than such a graph is for.
        if agents <= 100 {
            act(criterion, "full", agents, &learned, &spec);
            gradient(criterion, "full", agents, &learned, &spec);
            cut(&learned);
            learned.settle(&Device::cpu()).expect("it has a device");
            act(criterion, "pruned", agents, &learned, &spec);
        }
    }
}

criterion_group!(talk, benches);
criterion_main!(talk);
