use synod::agent::kinds::KindsConfig;
use synod::agent::team::{Team, TeamConfig};
use synod::agent::{Mode, Policy, Sequence};
use synod::comm::{Between, Communication, CommunicatorConfig, Hearers, pass};
use synod::env::planted::PlantedConfig;
use synod::env::uniform::Uniform;
use synod::env::{VecEnv, WorldConfig};
use synod::train::{Checkpoint, TensorData};
use synod::{Device, Graph};

use crate::random::Random;

/// Two useful senders, two useless, two mute, a receiver: seven agents of four kinds.
fn team(hearers: Hearers, gated: bool) -> (Team, Box<dyn VecEnv>) {
    let world = WorldConfig::new(PlantedConfig { worlds: 3, ..PlantedConfig::default() });
    let world = Uniform::of(world.build(1).unwrap()).unwrap();
    let talk = CommunicatorConfig { message: 3, hidden: 8, hearers, gated, ..CommunicatorConfig::default() };
    let parts = TeamConfig { features: 8, communication: Communication::new(talk), ..TeamConfig::default() };
    let config = KindsConfig { team: parts, ..KindsConfig::default() };
    (Team::of_kinds(&Device::cpu(), &config, world.spec(), false, 5).unwrap(), world)
}

/// Puts numbers into a parameter.
fn set(team: &Team, name: &str, change: impl Fn(usize, f32) -> f32) {
    let mut checkpoint = Checkpoint::new();
    team.parameters().save("p", &mut checkpoint).unwrap();
    let shape = team.parameters().iter().find(|(n, _)| *n == name).unwrap().1.clone();
    let key = format!("p/{name}");
    let old = checkpoint.tensor(&key).unwrap().to_f32().unwrap();
    let new: Vec<f32> = old.iter().enumerate().map(|(i, x)| change(i, *x)).collect();
    checkpoint.insert(key, TensorData::f32(&shape, &new).unwrap());
    team.parameters().load("p", &checkpoint).unwrap();
}

/// Parameters of actions, and the price, of what random agents see.
fn run(team: &Team, world: &dyn VecEnv, mode: Mode, seed: u64) -> (Vec<f32>, Option<f32>) {
    let (graph, spec) = (Graph::new(), world.spec());
    let weights = team.parameters().weights(&graph);
    let kind = &spec.kinds[0];
    let sequence = Sequence::input(&graph, team, [1, kind.count, 3], &kind.observation, mode);
    let unrolled = team.unroll(&graph, &weights, sequence, &[]).unwrap();
    let outputs: Vec<_> = [unrolled.parameters].into_iter().chain(unrolled.price).collect();
    let mut program = Device::cpu().compile(&graph, &outputs).unwrap();
    let mut random = Random::seeded(9);
    for name in ["observations", "present"] {
        if let Some(input) = program.find_input(name) {
            let size = input.len();
            let values = if name == "present" { vec![1.0; size] } else { random.floats(size, -1.0, 1.0) };
            input.copy_from_slice(&values);
        }
    }
    let mut keys = Random::seeded(seed);
    if let Some(input) = program.find_input_u32(synod::agent::NOISE_KEY) {
        input.iter_mut().for_each(|key| *key = keys.bits() as u32);
    }
    let out = program.run(&[]).unwrap();
    (out.f32(0).to_vec(), (outputs.len() > 1).then(|| out.f32(1)[0]))
}

fn learned(between: Between) -> Hearers {
    Hearers::Learned { between, start: 0.7, threshold: 0.3, price: 0.5 }
}

/// The price is the paper's expected number of open gates; in acting a gate below the threshold is shut; settled agents act
/// alike with fewer edges.
#[test]
fn a_learned_graph_is_priced_cut_and_left_out() {
    for between in [Between::Agents, Between::Kinds] {
        let (mut team, world) = team(learned(between), false);
        // Of agents all pairs but oneself; of kinds all but the receiver with itself (the others are two each).
        let standing = if between == Between::Agents { 42 } else { 15 };
        let a = (2.0f64 / 3.0 / (1.0 / 3.0)).ln();
        let open = |a: f64| 1.0 / (1.0 + (-(a - 2.0 / 3.0 * (0.1f64 / 1.1).ln())).exp());
        let (_, price) = run(&team, world.as_ref(), Mode::Learning, 1);
        let expected = 0.5 * open(a) * f64::from(standing);
        assert!((f64::from(price.unwrap()) - expected).abs() < 1e-3, "{price:?} {expected}");
        assert_eq!(run(&team, world.as_ref(), Mode::Acting, 1).1, None);
        // Every other gate far down.
        set(&team, "communicator0/graph/gates", |i, x| if i % 2 == 0 { -4.0 } else { x });
        let (before, _) = run(&team, world.as_ref(), Mode::Acting, 1);
        assert!(Policy::links(&team).is_none());
        team.settle(&Device::cpu()).unwrap();
        let (after, _) = run(&team, world.as_ref(), Mode::Acting, 1);
        let near = before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near && before.len() == after.len());
        let links = Policy::links(&team).unwrap().to_vec();
        let kinds = [0, 0, 1, 1, 2, 2, 3];
        let group = |from: usize, to: usize| match between {
            Between::Agents => to * 7 + from,
            Between::Kinds => kinds[to] * 4 + kinds[from],
        };
        let all = (0..7).flat_map(|to| (0..7).map(move |from| (from, to))).filter(|(from, to)| from != to);
        let kept: Vec<(u32, u32)> =
            all.filter(|(f, t)| group(*f, *t) % 2 == 1).map(|(f, t)| (f as u32, t as u32)).collect();
        assert_eq!(links, kept);
        // With nothing left nobody hears anything, and all still act.
        let mut team = self::team(learned(between), false).0;
        set(&team, "communicator0/graph/gates", |_, _| -9.0);
        let (before, _) = run(&team, world.as_ref(), Mode::Acting, 1);
        team.settle(&Device::cpu()).unwrap();
        assert_eq!(Policy::links(&team), Some(&[][..]));
        let (after, _) = run(&team, world.as_ref(), Mode::Acting, 1);
        assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}

/// In learning gates are drawn: shut, open and in between as often as the stretched concrete distribution says.
#[test]
fn gates_are_drawn_from_the_hard_concrete() {
    // What one gate between a single speaker and hearer lets through shows in how far the hearer's numbers move.
    let (team, world) = team(learned(Between::Kinds), false);
    set(&team, "communicator0/own/bias", |_, _| 5.0);
    // The receiver's row, world by world.
    let of = |seed: u64, mode: Mode| -> Vec<f32> {
        let (all, _) = run(&team, world.as_ref(), mode, seed);
        all[all.len() / 7 * 6..].to_vec()
    };
    for a in [-1.0f64, 0.3] {
        let draws = 300;
        set(&team, "communicator0/graph/gates", |_, _| -60.0);
        let shut = of(0, Mode::Acting);
        // From the first kind to the receiver.
        set(&team, "communicator0/graph/gates", |i, _| if i == 3 * 4 { a as f32 } else { -60.0 });
        let closed: usize = (0..draws)
            .map(|seed| {
                let row = of(seed, Mode::Learning);
                row.chunks(row.len() / 3).zip(shut.chunks(row.len() / 3)).filter(|(x, y)| x == y).count()
            })
            .sum();
        let expected = 1.0 / (1.0 + (a - 2.0 / 3.0 * (0.1f64 / 1.1).ln()).exp());
        let count = 3.0 * draws as f64;
        let share = closed as f64 / count;
        let error = (expected * (1.0 - expected) / count).sqrt();
        assert!((share - expected).abs() < 5.0 * error, "a = {a}: {share} of gates shut, not {expected}");
    }
}

/// The hard choice and its relaxation.
#[test]
fn the_most_urgent_pass() {
    let scores = [[0.5f32, 3.0, -1.0, 3.0, 2.0], [1.0, 1.0, 1.0, 1.0, 1.0]];
    let sent = [[1.0f32, 1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0, 1.0]];
    let run = |limit: usize, mode: Mode, seed: u32| -> (Vec<f32>, Vec<f32>) {
        let graph = Graph::new();
        let (x, y) = (graph.input("scores", [1, 5, 2, 1]), graph.input("sent", [1, 5, 2, 1]));
        let key = graph.input_u32("key", [1, 2, 2]);
        let passed = pass(x, y, limit, key, mode);
        let slopes: Vec<f32> = (0..10).map(|i| if i == 0 { 2.0 } else { 0.0 }).collect();
        let loss = (passed * graph.constant([1, 5, 2, 1], &slopes)).sum_all();
        let slope = graph.grad_or_zeros(loss, &[x]).unwrap()[0];
        let mut program = Device::cpu().compile(&graph, &[passed, slope]).unwrap();
        // Agents before worlds.
        let turned = |rows: &[[f32; 5]; 2]| -> Vec<f32> { (0..10).map(|i| rows[i % 2][i / 2]).collect() };
        if let Some(input) = program.find_input("scores") {
            input.copy_from_slice(&turned(&scores));
        }
        program.input_mut("sent").unwrap().copy_from_slice(&turned(&sent));
        program.find_input_u32("key").into_iter().for_each(|k| k.copy_from_slice(&[seed, 1, seed, 2]));
        let out = program.run(&[]).unwrap();
        (out.f32(0).to_vec(), out.f32(1).to_vec())
    };
    let of = |passed: &[f32], world: usize| -> Vec<f32> { (0..5).map(|a| passed[a * 2 + world]).collect() };
    let (two, _) = run(2, Mode::Acting, 1);
    assert_eq!(of(&two, 0), [0.0, 1.0, 0.0, 1.0, 0.0]);
    // Of equal ones the first; what is not sent takes no place.
    assert_eq!(of(&two, 1), [0.0, 1.0, 0.0, 1.0, 0.0]);
    let (three, slope) = run(3, Mode::Acting, 1);
    assert_eq!(of(&three, 0), [0.0, 1.0, 0.0, 1.0, 1.0]);
    // sigmoid' at 0.5 below the middle of 2 and 0.5, times 2.
    let soft = 1.0 / (1.0 + 0.75f32.exp());
    assert!((slope[0] - 2.0 * soft * (1.0 - soft)).abs() < 1e-5, "{slope:?}");
    assert_eq!(of(&run(9, Mode::Acting, 1).0, 1), sent[1]);
    // In learning the choice is drawn, the urgent ones oftener; never more than there is room for.
    let mut passes = [0usize; 5];
    for seed in 0..400 {
        let (drawn, _) = run(1, Mode::Learning, seed);
        for world in 0..2 {
            assert_eq!(of(&drawn, world).iter().sum::<f32>(), 1.0);
        }
        of(&drawn, 0).iter().zip(&mut passes).for_each(|(p, n)| *n += *p as usize);
        assert_eq!(of(&drawn, 1)[0] + of(&drawn, 1)[2], 0.0);
    }
    let sum: f64 = scores[0].iter().map(|s| f64::from(*s).exp()).sum();
    for (count, score) in passes.iter().zip(scores[0]) {
        let chance = f64::from(score).exp() / sum;
        let error = (400.0 * chance * (1.0 - chance)).sqrt();
        assert!((*count as f64 - 400.0 * chance).abs() < 5.0 * error + 1.0, "{passes:?}");
    }
}
