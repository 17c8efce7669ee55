//! What agents tell each other: against plain loops in f64, and by its meaning.

use std::collections::HashMap;

use synod::comm::Neighbours;
use synod::comm::{Communication, Company, GatConfig, GatV2Config, Hearing, TarMacConfig};
use synod::nn::{Builder, GraphAttention, GraphScore, Parameters};
use synod::op::message::{Csr, Edges};
use synod::{Device, Graph};

const ALL: [&str; 6] = ["commnet", "ic3net", "tarmac", "gcn", "gat", "gatv2"];
const FEATURES: usize = 6;
const HEADS: usize = 2;

/// A way of that name, with [`HEADS`] where it has heads.
fn way(name: &str, gated: bool) -> Communication {
    let (heads, neighbours) = (HEADS, Neighbours::default());
    match name {
        "gat" => Communication::new(GatConfig { heads, neighbours }),
        "gatv2" => Communication::new(GatV2Config { heads, neighbours }),
        "tarmac" => Communication::new(TarMacConfig { heads, gated }),
        other => Communication::named(other).unwrap(),
    }
}

fn on_graph(name: &str) -> bool {
    way(name, false).neighbours().is_some()
}

struct Random(u64);

impl Random {
    fn fresh() -> Self {
        Random(rand::random())
    }
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
    fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (2.0 * self.next() - 1.0) as f32).collect()
    }
}

/// A layer with its parameters as numbers.
struct Run {
    out: Vec<f32>,
    attention: Vec<f32>,
    /// The gradient of the sum of what agent 0 makes of it, for the features.
    slope: Vec<f32>,
    parameters: HashMap<String, Vec<f64>>,
}

/// One step of `worlds` worlds; features and presences are `[agents, worlds, ..]`, edges the same in every world.
fn run(
    kind: &str,
    gated: bool,
    features: &[f32],
    present: &[f32],
    edges: &[(u32, u32)],
    (agents, worlds): (usize, usize),
    change: impl Fn(&str, &mut [f32]),
) -> Run {
    let device = Device::cpu();
    let mut builder = Builder::new(11);
    let layer = way(kind, gated).layer(&mut builder, "layer", &Company::alike(agents, FEATURES, 0)).unwrap();
    let parameters: Parameters = builder.build(&device).unwrap();
    let mut checkpoint = synod::train::Checkpoint::new();
    parameters.save("p", &mut checkpoint).unwrap();
    let mut numbers = HashMap::new();
    for (name, shape) in parameters.iter() {
        let mut values = checkpoint.tensor(&format!("p/{name}")).unwrap().to_f32().unwrap();
        change(name, &mut values);
        numbers.insert(
            name.strip_prefix("layer/").unwrap().to_string(),
            values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>(),
        );
        checkpoint.insert(format!("p/{name}"), synod::train::TensorData::f32(shape, &values).unwrap());
    }
    parameters.load("p", &checkpoint).unwrap();
    let graph = Graph::new();
    let weights = parameters.weights(&graph);
    let x = graph.input("x", [1, agents, worlds, FEATURES]);
    let csr = Csr::from_edges(agents, edges).unwrap();
    let hearing = Hearing {
        observations: x,
        present: graph.input("present", [1, agents, worlds]) * 1.0,
        edges: on_graph(kind).then(|| Edges::constant(&graph, &csr)),
        watch: true,
        key: graph.key(1),
        mode: synod::agent::Mode::Learning,
    };
    let heard = layer.exchange(&weights, x, hearing).unwrap();
    let first = heard.features.slice(1, 0, 1).sum_all();
    let mut outputs = vec![heard.features, graph.grad(first, &[x]).unwrap()[0]];
    outputs.extend(heard.attention);
    outputs.push(hearing.present);
    let mut program = device.compile(&graph, &outputs).unwrap();
    let out = program.run(&[("x", &features), ("present", &present)]).unwrap();
    let attention = if outputs.len() > 3 { out.f32(2).to_vec() } else { Vec::new() };
    Run { out: out.f32(0).to_vec(), slope: out.f32(1).to_vec(), attention, parameters: numbers }
}

fn linear(run: &Run, name: &str, x: &[f64]) -> Vec<f64> {
    let weight = &run.parameters[&format!("{name}/weight")];
    let bias = run.parameters.get(&format!("{name}/bias"));
    let outputs = weight.len() / x.len();
    (0..outputs)
        .map(|j| {
            let sum: f64 = x.iter().enumerate().map(|(i, x)| x * weight[i * outputs + j]).sum();
            sum + bias.map_or(0.0, |b| b[j])
        })
        .collect()
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().fold(f64::MIN, |m, s| m.max(*s));
    let powers: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

/// The papers' formulas, agent by agent.
fn reference(
    kind: &str,
    gated: bool,
    run: &Run,
    h: &[Vec<f64>],
    present: &[f32],
    edges: &[(u32, u32)],
) -> Vec<Vec<f64>> {
    let agents = h.len();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let elu = |x: f64| if x > 0.0 { x } else { x.exp_m1() };
    let sum_in = |i: usize| edges.iter().filter(move |e| e.1 as usize == i).map(|e| e.0 as usize);
    let tanh_of = |own: &[f64], heard: &[f64]| -> Vec<f64> {
        let (a, b) = (linear(run, "own", own), linear(run, "heard", heard));
        a.iter().zip(b).map(|(a, b)| (a + b).tanh()).collect()
    };
    (0..agents)
        .map(|i| {
            let others: Vec<usize> = (0..agents).filter(|&j| j != i && present[j] > 0.0).collect();
            match kind {
                "commnet" | "ic3net" => {
                    let mut c = [0.0; FEATURES];
                    for &j in &others {
                        let open = match kind {
                            "ic3net" => f64::from(u8::from(linear(run, "gate", &h[j])[0] > 0.0)),
                            _ => 1.0,
                        };
                        (0..FEATURES).for_each(|f| c[f] += open * h[j][f] / others.len() as f64);
                    }
                    tanh_of(&h[i], &c)
                }
                "tarmac" => {
                    let width = FEATURES / HEADS;
                    let q = linear(run, "query", &h[i]);
                    let mut c = [0.0; FEATURES];
                    for head in 0..HEADS {
                        let of = |x: &[f64]| x[head * width..(head + 1) * width].to_vec();
                        let scores: Vec<f64> = others
                            .iter()
                            .map(|&j| {
                                let k = of(&linear(run, "signature", &h[j]));
                                let dot: f64 = of(&q).iter().zip(&k).map(|(a, b)| a * b).sum();
                                dot / (width as f64).sqrt()
                            })
                            .collect();
                        for (a, &j) in softmax(&scores).iter().zip(&others) {
                            let v = of(&linear(run, "value", &h[j]));
                            (0..width).for_each(|f| c[head * width + f] += a * v[f]);
                        }
                    }
                    if gated {
                        let (a, b) = (linear(run, "gate_own", &h[i]), linear(run, "gate_heard", &c));
                        (0..FEATURES).for_each(|f| c[f] *= sigmoid(a[f] + b[f]));
                    }
                    tanh_of(&h[i], &c)
                }
                "gcn" => {
                    let degree = |i: usize| (sum_in(i).count() as f64).max(1.0);
                    let mut c = [0.0; FEATURES];
                    for j in sum_in(i) {
                        (0..FEATURES).for_each(|f| c[f] += h[j][f] / (degree(i) * degree(j)).sqrt());
                    }
                    linear(run, "layer", &c).iter().map(|x| x.max(0.0)).collect()
                }
                _ => {
                    let width = FEATURES / HEADS;
                    let a = &run.parameters["attention"];
                    let bend = |x: f64| if x > 0.0 { x } else { 0.2 * x };
                    let mut c = [0.0; FEATURES];
                    let heard: Vec<usize> = sum_in(i).collect();
                    for head in 0..HEADS {
                        let scores: Vec<f64> = heard
                            .iter()
                            .map(|&j| {
                                let (s, own) = (linear(run, "source", &h[j]), linear(run, "source", &h[i]));
                                let columns = head * width..(head + 1) * width;
                                if kind == "gat" {
                                    bend(columns.map(|f| a[f] * s[f] + a[FEATURES + f] * own[f]).sum())
                                } else {
                                    let d = linear(run, "destination", &h[i]);
                                    columns.map(|f| a[f] * bend(s[f] + d[f])).sum()
                                }
                            })
                            .collect();
                        for (alpha, &j) in softmax(&scores).iter().zip(&heard) {
                            let s = linear(run, "source", &h[j]);
                            (0..width).for_each(|f| c[head * width + f] += alpha * s[head * width + f]);
                        }
                    }
                    c.iter().map(|x| elu(*x)).collect()
                }
            }
        })
        .collect()
}

fn some_edges(random: &mut Random, agents: usize) -> Vec<(u32, u32)> {
    let mut edges = Vec::new();
    for to in 0..agents as u32 {
        edges.push((to, to));
        edges.extend((0..agents as u32).filter(|&from| from != to && random.next() < 0.4).map(|f| (f, to)));
    }
    edges
}

#[test]
fn every_way_is_its_papers_formula() {
    let mut random = Random::fresh();
    let seed = random.0;
    for (kind, gated) in ALL.iter().map(|k| (*k, false)).chain([("tarmac", true)]) {
        for (agents, worlds) in [(1, 1), (2, 3), (5, 2)] {
            let features = random.numbers(agents * worlds * FEATURES);
            let mut present = vec![1.0; agents * worlds];
            if agents > 2 && !on_graph(kind) {
                present[worlds] = 0.0;
            }
            let edges = some_edges(&mut random, agents);
            let run = run(kind, gated, &features, &present, &edges, (agents, worlds), |_, _| ());
            for world in 0..worlds {
                let of = |i: usize| &features[(i * worlds + world) * FEATURES..][..FEATURES];
                let h: Vec<Vec<f64>> =
                    (0..agents).map(|i| of(i).iter().map(|x| f64::from(*x)).collect()).collect();
                let here: Vec<f32> = (0..agents).map(|i| present[i * worlds + world]).collect();
                let expected = reference(kind, gated, &run, &h, &here, &edges);
                for i in 0..agents {
                    for f in 0..FEATURES {
                        let found = f64::from(run.out[(i * worlds + world) * FEATURES + f]);
                        let close = (found - expected[i][f]).abs() < 2e-5;
                        assert!(close, "{kind}: {found}, expected {} (seed {seed})", expected[i][f]);
                    }
                }
            }
        }
    }
}

#[test]
fn the_order_of_agents_does_not_matter() {
    let mut random = Random::fresh();
    let seed = random.0;
    let agents = 6;
    let order = [3, 0, 5, 1, 4, 2];
    for kind in ALL {
        let features = random.numbers(agents * FEATURES);
        let edges = some_edges(&mut random, agents);
        let present = vec![1.0; agents];
        let plain = run(kind, false, &features, &present, &edges, (agents, 1), |_, _| ());
        let mixed: Vec<f32> =
            order.iter().flat_map(|&i| features[i * FEATURES..(i + 1) * FEATURES].to_vec()).collect();
        let place = |i: u32| order.iter().position(|&o| o == i as usize).unwrap() as u32;
        let edges: Vec<(u32, u32)> = edges.iter().map(|&(a, b)| (place(a), place(b))).collect();
        let other = run(kind, false, &mixed, &present, &edges, (agents, 1), |_, _| ());
        for (to, &from) in order.iter().enumerate() {
            for f in 0..FEATURES {
                let (a, b) = (other.out[to * FEATURES + f], plain.out[from * FEATURES + f]);
                assert!((a - b).abs() < 1e-5, "{kind}: {a} and {b} (seed {seed})");
            }
        }
    }
}

#[test]
fn who_is_heard_and_who_is_not() {
    let mut random = Random::fresh();
    let agents = 4;
    let features = random.numbers(agents * FEATURES);
    // Agent 3 has left; over graphs it has no edges, and agent 2 has none to agent 0.
    let present = [1.0, 1.0, 1.0, 0.0];
    let edges = [(0, 0), (1, 0), (1, 1), (2, 2), (2, 1), (0, 2)];
    for kind in ALL {
        let open = |name: &str, values: &mut [f32]| {
            match name {
                "layer/gate/bias" => values.fill(100.0),
                // Else it may be that all features that an agent hears are on the flat side of the rectifier.
                name if kind == "gcn" && name.ends_with("bias") => values.fill(20.0),
                _ => {}
            }
        };
        let run = run(kind, false, &features, &present, &edges, (agents, 1), open);
        let listens = |j: usize| run.slope[j * FEATURES..(j + 1) * FEATURES].iter().any(|s| *s != 0.0);
        // Gradients flow through what is said into who said it.
        assert!(listens(0) && listens(1), "{kind}");
        assert!(!listens(3), "{kind}: the absent are heard");
        assert_eq!(listens(2), !on_graph(kind), "{kind}");
        if kind == "tarmac" {
            for to in 0..agents {
                for head in 0..HEADS {
                    let row = &run.attention[(to * HEADS + head) * agents..][..agents];
                    assert_eq!((row[to], row[3]), (0.0, 0.0), "an agent hears itself, or the absent");
                    assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                }
            }
        }
    }
}

#[test]
fn a_shut_gate_lets_nothing_through() {
    let mut random = Random::fresh();
    let agents = 3;
    let features = random.numbers(agents * FEATURES);
    let gate = |bias: f32| {
        move |name: &str, values: &mut [f32]| {
            if name == "layer/gate/bias" {
                values.fill(bias);
            }
        }
    };
    let of = |features: &[f32], bias: f32| {
        run("ic3net", false, features, &[1.0; 3], &[(0, 0)], (agents, 1), gate(bias)).out
    };
    let mut other = features.clone();
    other[FEATURES..].iter_mut().for_each(|x| *x += 0.5);
    // Another agent says something else: with its gate shut the first agent does not notice.
    assert_eq!(of(&features, -100.0)[..FEATURES], of(&other, -100.0)[..FEATURES]);
    assert_ne!(of(&features, 100.0)[..FEATURES], of(&other, 100.0)[..FEATURES]);
}

/// Brody et al. 2022, section 4.1: keys with an attribute and a value each, queries with an attribute each; a query must
/// name the value of the key of its attribute, out of all keys, by one layer with one head. The share of right answers
/// in training, which is what the paper shows GAT to fail at.
fn dictionary_lookup(score: GraphScore, k: usize, iterations: usize, seed: u64) -> f64 {
    const BATCH: usize = 16;
    let (width, device) = (128, Device::cpu());
    let mut builder = Builder::new(seed);
    let deviation = 1.0;
    let normal = synod::nn::Initial::Normal { deviation };
    let attributes = builder.parameter("attributes", [k, width], normal);
    let values = builder.parameter("values", [k, width], normal);
    let layer = GraphAttention::new(&mut builder, "layer", width, width, 1, score);
    let head = synod::nn::Mlp::new(&mut builder, "head", &[width, width, k], Default::default(), 1.0);
    let parameters = builder.build(&device).unwrap();
    let graph = Graph::new();
    let weights = parameters.weights(&graph);
    // Key i has attribute i and a value that the batch says; query i has attribute i.
    let chosen = graph.input_u32("values", [BATCH, k]);
    let every = graph.constant_u32([k], &(0..k as u32).collect::<Vec<_>>());
    let named = weights.get(attributes).gather(every).reshape([1, k, width]);
    let keys = named + weights.get(values).gather(chosen);
    let queries = named.broadcast_to([BATCH, k, width]);
    let edges: Vec<(u32, u32)> =
        (0..k as u32).flat_map(|q| (0..k as u32).map(move |key| (key, k as u32 + q))).collect();
    let edges = Edges::constant(&graph, &Csr::from_edges(2 * k, &edges).unwrap());
    let (x, _) = layer.forward(&weights, graph.concat(&[keys, queries], 1), edges);
    let logits = head.forward(&weights, x.slice(1, k, k).relu());
    let loss = -logits.log_softmax(-1).take_along_last(chosen).mean_all();
    let optimiser = synod::optim::Optimiser::new(&device, &parameters, synod::optim::Rule::adam(1e-8));
    let mut optimiser = optimiser.unwrap();
    optimiser.update(&graph, parameters.gradient(loss, &weights).unwrap());
    let mut program = device.compile(&graph, &[logits.argmax().to_f32()]).unwrap();
    let mut random = Random(seed);
    let (mut right, mut count) = (0, 0);
    for iteration in 0..iterations {
        let mut chosen = Vec::new();
        for _ in 0..BATCH {
            let mut row: Vec<u32> = (0..k as u32).collect();
            (1..k).rev().for_each(|i| row.swap(i, (random.next() * (i + 1) as f64) as usize));
            chosen.extend(row);
        }
        let rate = 2e-3 * (1.0 - 0.9 * iteration as f32 / iterations as f32);
        let numbers = optimiser.advance(rate);
        let out = program.run(&[("values", &chosen), (synod::optim::STEP_INPUT, &numbers)]).unwrap();
        if iteration + 100 >= iterations {
            right += out.f32(0).iter().zip(&chosen).filter(|(a, b)| **a as u32 == **b).count();
            count += chosen.len();
        }
    }
    right as f64 / count as f64
}

#[test]
fn gatv2_looks_up_a_dictionary_and_gat_cannot() {
    let dynamic = dictionary_lookup(GraphScore::Dynamic, 10, 800, 1);
    assert!(dynamic > 0.99, "GATv2 {dynamic}");
    let additive = dictionary_lookup(GraphScore::Additive, 10, 800, 1);
    assert!(additive < 0.5, "GAT {additive}");
}

/// `cargo test --release --test agents -- --ignored --nocapture dictionary`
#[test]
#[ignore = "a minute: the table of DictionaryLookup"]
fn table_of_dictionary_lookup() {
    for k in [5, 10, 20] {
        for score in [GraphScore::Dynamic, GraphScore::Additive] {
            let found: Vec<f64> = [1, 2, 3].map(|seed| dictionary_lookup(score, k, 2000, seed)).to_vec();
            println!("k = {k}, {score:?}: {found:.3?}");
            if score == GraphScore::Dynamic {
                assert!(found.iter().all(|f| *f > 0.99));
            }
        }
    }
}
