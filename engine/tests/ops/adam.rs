//! Adam against its definition in double precision.

use crate::common::{Case, Random, check_covers, compare, uniform};
use synod_engine::nn::{Builder, Linear};
use synod_engine::op::adam::AdamScalars;
use synod_engine::optim::{Optimiser, Rule, STEP_INPUT};
use synod_engine::tensors::{Checkpoint, TensorData};
use synod_engine::{Error, Graph};

const COVERS: &[&str] = &["adam"];

fn settings(random: &mut Random) -> AdamScalars {
    AdamScalars {
        learning_rate: random.uniform(1e-4, 1e-1) as f32,
        beta1: random.uniform(0.0, 0.95) as f32,
        beta2: 0.999,
        epsilon: random.uniform(1e-8, 1e-3) as f32,
        weight_decay: random.uniform(0.0, 0.1) as f32,
    }
}

/// Kingma & Ba 2015, algorithm 1, with the decay of Loshchilov & Hutter 2019, algorithm 2.
fn step(scalars: &[f64], p: &mut f64, g: f64, m: &mut f64, v: &mut f64) {
    let &[rate, b1, b2, epsilon, decay, c1, c2] = scalars else { panic!("seven scalars") };
    *m = b1 * *m + (1.0 - b1) * g;
    *v = b2 * *v + (1.0 - b2) * g * g;
    *p = *p - rate * decay * *p - rate * (*m / c1) / ((*v / c2).sqrt() + epsilon);
}

/// Parameters `[lanes, n]`; the settings are of all lanes alike or of each lane its own.
fn case(lanes: usize, n: usize, own_settings: bool) -> Case {
    let rows = if own_settings { lanes } else { 1 };
    let mut scalars = uniform([rows, 7], 0.0..1.0);
    scalars.kind = crate::common::Kind::Values({
        let mut random = Random::fresh();
        let mut values = Vec::new();
        for row in 0..rows {
            values.extend(settings(&mut random).at(row as u64 + 3).map(f64::from));
        }
        values
    });
    let mut inputs: Vec<_> =
        [-2.0..2.0, -1.0..1.0, -1.0..1.0, 0.0..1.0].map(|r| uniform([lanes, n], r)).to_vec();
    if !own_settings {
        scalars.of.shape = [7].into();
    }
    inputs.push(scalars);
    let case = Case::new(
        "adam",
        inputs,
        |_, x| x[0].adam(x[1], [x[2], x[3]], x[4]).to_vec(),
        move |data| {
            let mut out = [data[0].clone(), data[2].clone(), data[3].clone()];
            for i in 0..lanes * n {
                let scalars = &data[4][(i / n % rows) * 7..][..7];
                let [p, m, v] = &mut out;
                step(scalars, &mut p[i], data[1][i], &mut m[i], &mut v[i]);
            }
            out.to_vec()
        },
    );
    case.outputs_only()
}

#[test]
fn a_step_follows_the_definition() {
    let cases = [case(1, 1, false), case(3, 31, true), case(2, 257, false), case(5, 40_000, true)];
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn a_run_of_steps_follows_the_definition() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let settings = settings(&mut random);
    for device in crate::common::devices() {
        let n = 31;
        let g = Graph::new();
        let [p, d, m, v] = ["p", "d", "m", "v"].map(|name| g.input(name, [n]));
        let mut program = device.compile(&g, &p.adam(d, [m, v], g.input("s", [7]))).unwrap();
        let mut state = [random.floats(n, -2.0, 2.0), vec![0.0; n], vec![0.0; n]];
        let mut truth = state.clone().map(|x| x.into_iter().map(f64::from).collect::<Vec<f64>>());
        for at in 1..=20 {
            let gradient = random.floats(n, -1.0, 1.0);
            let scalars = settings.at(at);
            let [p, m, v] = &state;
            let outputs =
                program.run(&[("p", p), ("d", &gradient), ("m", m), ("v", v), ("s", &scalars)]).unwrap();
            state = [0, 1, 2].map(|i| outputs.f32(i).to_vec());
            let scalars = scalars.map(f64::from);
            let [p, m, v] = &mut truth;
            for i in 0..n {
                step(&scalars, &mut p[i], f64::from(gradient[i]), &mut m[i], &mut v[i]);
            }
            for (got, want) in state.iter().zip(&truth) {
                let got: Vec<f64> = got.iter().map(|&x| f64::from(x)).collect();
                if let Err(message) = compare(&got, want, 1e-5) {
                    panic!("step {at} on {}: {message}; SYNOD_TEST_SEED={seed}", device.name());
                }
            }
        }
    }
}

#[test]
fn corrections_keep_their_digits() {
    let settings = AdamScalars::default();
    for step in [1u64, 2, 10, 1000, 1_000_000] {
        let numbers = settings.at(step);
        for (beta, correction) in [(numbers[1], numbers[5]), (numbers[2], numbers[6])] {
            let exact = 1.0 - f64::from(beta).powf(step as f64);
            assert!((f64::from(correction) - exact).abs() <= 1e-7 * exact, "step {step}, beta {beta}");
        }
    }
}

#[test]
fn mistakes_are_named() {
    let graph = Graph::new();
    let p = graph.input("p", [3]);
    let out = p.adam(p, [p, p], graph.input("s", [7]));
    match graph.grad(out[0].sum_all(), &[p]) {
        Err(Error::NoGradient { op, .. }) => assert_eq!(op, "adam"),
        other => panic!("{other:?}"),
    }
    for (gradient, scalars) in [(vec![4], vec![7]), (vec![3], vec![6]), (vec![3], vec![2, 7])] {
        let graph = Graph::new();
        let p = graph.input("p", [3]);
        p.adam(graph.input("g", gradient), [p, p], graph.input("s", scalars));
        assert!(matches!(graph.check(), Err(Error::Shape { op, .. }) if op == "adam"));
    }
}

/// Steps that write to the variables themselves and steps whose results are copied there end in the same bits; crossed
/// assignments are never taken in place.
#[test]
fn a_step_in_place_equals_a_step_beside() {
    let device = synod_engine::Device::cpu();
    let mut random = Random::fresh();
    let n = 1000;
    let mut values = |low, high| -> Vec<f32> { (0..n).map(|_| random.uniform(low, high) as f32).collect() };
    let (start, first, second, gradient) =
        (values(-1.0, 1.0), values(-1.0, 1.0), values(0.0, 1.0), values(-1.0, 1.0));
    let scalars = AdamScalars::default();
    let run = |beside: bool, crossed: bool| {
        let of = synod_engine::shape::TensorType::f32([n]);
        let variable = |name: &str, values: &Vec<f32>| device.variable(name, of.clone(), values).unwrap();
        let state = [variable("p", &start), variable("m", &first), variable("v", &second)];
        let graph = Graph::new();
        let [p, m, v] = [0, 1, 2].map(|i| graph.variable(&state[i]));
        let mut new = p.adam(graph.input("g", [n]), [m, v], graph.input("scalars", [7]));
        if crossed {
            new.swap(0, 1);
        }
        for (variable, value) in state.iter().zip(new) {
            graph.assign(variable, value);
        }
        let outputs = if beside { new.to_vec() } else { Vec::new() };
        let mut program = device.compile(&graph, &outputs).unwrap();
        for step in 1..4 {
            program.run(&[("g", &gradient), ("scalars", &scalars.at(step))]).unwrap();
        }
        (state.map(|s| s.read().unwrap()), program.summary().planned_bytes)
    };
    for crossed in [false, true] {
        let (inside, bytes) = run(false, crossed);
        let (beside, more) = run(true, crossed);
        assert!(inside == beside, "crossed: {crossed}");
        assert!(bytes < more, "{bytes} and {more} bytes");
    }
}

/// Groups have learning rates of their own, the last that names a parameter counts, and the rest goes on as before.
#[test]
fn groups_of_parameters_have_their_own_rates() {
    for device in crate::common::devices() {
        let mut builder = Builder::new(Random::fresh().seed());
        for name in ["body.first", "body.last", "head"] {
            Linear::new(&mut builder, name, 3, 2, 1.0);
        }
        let parameters = builder.build(&device).unwrap();
        let rule = Rule::Sgd { momentum: 0.0 };
        let optimiser = Optimiser::new(&device, &parameters, rule).unwrap();
        let mut optimiser = optimiser.with_group("body", 0.0, 1.0).with_group("body.last", 3.0, 1.0);
        let before = parameters.flat().read().unwrap();
        let graph = Graph::new();
        optimiser.update(&graph, graph.full([before.len()], 1.0));
        let mut program = device.compile(&graph, &[]).unwrap();
        program.run(&[(STEP_INPUT, &optimiser.advance(0.25))]).unwrap();
        let after = parameters.flat().read().unwrap();
        let steps: Vec<f32> = before.iter().zip(&after).map(|(b, a)| b - a).collect();
        let each = before.len() / 3;
        for (i, rate) in [0.0, 0.75, 0.25].into_iter().enumerate() {
            let own = &steps[i * each..(i + 1) * each];
            assert!(own.iter().all(|s| (s - rate).abs() < 1e-6), "{}: group {i}: {own:?}", device.name());
        }
    }
}

/// A frozen group keeps every bit of its parameters and moments, whatever the rule, and counts for nothing in the norm;
/// the rest goes on as it would alone.
#[test]
fn a_frozen_group_keeps_its_bits() {
    for device in crate::common::devices() {
        for rule in [
            Rule::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 },
            Rule::Sgd { momentum: 0.9 },
            Rule::RmsProp { decay: 0.9, epsilon: 1e-8 },
        ] {
            let mut builder = Builder::new(3);
            let body = Linear::new(&mut builder, "body", 3, 4, 1.0);
            let head = Linear::new(&mut builder, "head", 4, 2, 1.0);
            let parameters = builder.build(&device).unwrap();
            // Zeros with a sign are bits too.
            let mut values = parameters.flat().read().unwrap();
            values[0] = -0.0;
            parameters.flat().write(&values).unwrap();
            let mut optimiser =
                Optimiser::new(&device, &parameters, rule).unwrap().with_group("body", 0.0, 1.0);
            let graph = Graph::new();
            let weights = parameters.weights(&graph);
            let x = graph.constant([5, 3], &[0.5; 15]);
            let y = head.forward(&weights, body.forward(&weights, x).tanh());
            let gradient = optimiser.gradient((y - 1.0).square().sum_all(), &weights).unwrap();
            optimiser.update(&graph, gradient);
            let mut program = device.compile(&graph, &[gradient]).unwrap();
            // Moments that stand at something.
            let mut state = Checkpoint::new();
            optimiser.save(&mut state).unwrap();
            for (name, tensor) in &mut state.tensors {
                if name.contains("moment") {
                    let quarter = vec![0.25; tensor.shape().iter().product()];
                    *tensor = TensorData::f32(tensor.shape(), &quarter).unwrap();
                }
            }
            optimiser.load(&state).unwrap();
            for _ in 0..3 {
                program.run(&[(STEP_INPUT, &optimiser.advance(0.1))]).unwrap();
            }
            let after = parameters.flat().read().unwrap();
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            for (name, start, end) in parameters.extents() {
                let own = start..end;
                let same = bits(&after[own.clone()]) == bits(&values[own.clone()]);
                assert_eq!(same, name.starts_with("body"), "{name} under {rule:?} on {}", device.name());
                let gradient = &program.outputs().f32(0)[own];
                assert_eq!(gradient.iter().all(|g| *g == 0.0), name.starts_with("body"), "{name}");
            }
            let mut later = Checkpoint::new();
            optimiser.save(&mut later).unwrap();
            for (name, tensor) in state.tensors.iter().filter(|(name, _)| name.contains("moment")) {
                assert_eq!(later.tensors[name] == *tensor, name.contains("/body/"), "{name} under {rule:?}");
            }
        }
    }
}
