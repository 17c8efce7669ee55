//! Adam against its definition in double precision.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use synod::op::adam::AdamScalars;
use synod::{Device, Error, Graph};

fn fresh() -> (u64, StdRng) {
    let seed = rand::rng().next_u64();
    (seed, StdRng::seed_from_u64(seed))
}

fn distance(out: &[f32], reference: &[f64]) -> f64 {
    assert_eq!(out.len(), reference.len());
    let square = |x: f64| x * x;
    let apart: f64 = out.iter().zip(reference).map(|(&o, &r)| square(f64::from(o) - r)).sum();
    let size: f64 = reference.iter().map(|&r| square(r)).sum();
    (apart / size.max(1e-300)).sqrt()
}

/// Kingma & Ba 2015, algorithm 1, with the decay of Loshchilov & Hutter 2019, algorithm 2.
fn reference(settings: &AdamScalars, step: u64, p: &mut [f64], g: &[f64], m: &mut [f64], v: &mut [f64]) {
    let [rate, b1, b2, epsilon, decay] =
        [settings.learning_rate, settings.beta1, settings.beta2, settings.epsilon, settings.weight_decay]
            .map(f64::from);
    for i in 0..p.len() {
        m[i] = b1 * m[i] + (1.0 - b1) * g[i];
        v[i] = b2 * v[i] + (1.0 - b2) * g[i] * g[i];
        let m_hat = m[i] / (1.0 - b1.powi(step as i32));
        let v_hat = v[i] / (1.0 - b2.powi(step as i32));
        p[i] = p[i] - rate * decay * p[i] - rate * m_hat / (v_hat.sqrt() + epsilon);
    }
}

#[test]
fn a_run_of_steps_follows_the_definition() {
    for (lanes, n, own_settings) in
        [(1, 1, false), (1, 17, false), (3, 31, true), (2, 257, false), (5, 40_000, true)]
    {
        let (seed, mut random) = fresh();
        let settings: Vec<AdamScalars> = (0..if own_settings { lanes } else { 1 })
            .map(|_| AdamScalars {
                learning_rate: random.random_range(1e-4..1e-1),
                weight_decay: random.random_range(0.0..0.1),
                epsilon: random.random_range(1e-8..1e-3),
                beta1: random.random_range(0.0..0.95),
                ..AdamScalars::default()
            })
            .collect();
        let shape = [lanes, n];
        let graph = Graph::new();
        let [p, g, m, v] = ["p", "g", "m", "v"].map(|name| graph.input(name, shape));
        let scalars = if own_settings { graph.input("s", [lanes, 7]) } else { graph.input("s", [7]) };
        let mut program = Device::cpu().compile(&graph, &p.adam(g, [m, v], scalars)).unwrap();

        let count = lanes * n;
        let mut state: [Vec<f32>; 3] = [
            (0..count).map(|_| random.random_range(-2.0..2.0)).collect(),
            vec![0.0; count],
            vec![0.0; count],
        ];
        let mut truth: [Vec<f64>; 3] = state.clone().map(|x| x.into_iter().map(f64::from).collect());
        for step in 1..=5 {
            let gradient: Vec<f32> = (0..count).map(|_| random.random_range(-1.0..1.0)).collect();
            let numbers: Vec<f32> = settings.iter().flat_map(|s| s.at(step)).collect();
            let outputs = program
                .run(&[
                    ("p", &state[0]),
                    ("g", &gradient),
                    ("m", &state[1]),
                    ("v", &state[2]),
                    ("s", &numbers),
                ])
                .unwrap();
            state = [0, 1, 2].map(|i| outputs.f32(i).to_vec());
            let gradient: Vec<f64> = gradient.into_iter().map(f64::from).collect();
            let [p, m, v] = &mut truth;
            for lane in 0..lanes {
                let at = lane * n..(lane + 1) * n;
                let s = &settings[lane % settings.len()];
                reference(s, step, &mut p[at.clone()], &gradient[at.clone()], &mut m[at.clone()], &mut v[at]);
            }
            for (i, what) in ["parameters", "first moment", "second moment"].iter().enumerate() {
                let apart = distance(&state[i], &truth[i]);
                assert!(
                    apart < 1e-5,
                    "{what} after step {step}: {apart:e} (seed {seed}, {lanes} lanes of {n})"
                );
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
