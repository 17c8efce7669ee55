//! Weights over lanes: the tasks of an inner loop side by side in one program.

use synod_engine::nn::{Activation, Builder, Mlp, Parameters, Weights};
use synod_engine::{Device, Graph, Result, Tensor};

const TASKS: usize = 3;
const POINTS: usize = 5;
const RATE: f32 = 0.3;

fn network(seed: u64) -> (Mlp, Parameters) {
    let mut builder = Builder::new(seed);
    let mlp = Mlp::new(&mut builder, "mlp", &[2, 4, 1], Activation::Tanh, 1.0);
    (mlp, builder.build(&Device::cpu()).unwrap())
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Each lane's loss `[lanes]` for inputs `[1, lanes, points, 2]` and goals `[1, lanes, points, 1]`.
fn loss<'g>(mlp: &Mlp, weights: &Weights<'g>, x: Tensor<'g>, y: Tensor<'g>) -> Tensor<'g> {
    (mlp.forward(weights, x) - y).square().mean(&[0, 2, 3])
}

/// Losses of all tasks after a step of gradient descent each, and the gradient of their sum for what they began with.
fn adapted(lanes: usize, x: &[f32], y: &[f32], seed: u64) -> Result<(Vec<f32>, Vec<f32>)> {
    let (mlp, parameters) = network(seed);
    let graph = Graph::new();
    let weights = parameters.weights(&graph);
    let wide = weights.over_lanes(lanes)?;
    let (xs, ys) = (graph.input("x", [1, lanes, POINTS, 2]), graph.input("y", [1, lanes, POINTS, 1]));
    let before = loss(&mlp, &wide, xs, ys).sum_all();
    let steps = graph.grad(before, wide.tensors())?;
    let next = wide.tensors().iter().zip(&steps).map(|(w, g)| *w - *g * RATE).collect();
    let after = loss(&mlp, &wide.with(next)?, xs, ys);
    let gradient = parameters.gradient(after.sum_all() * 1.5, &weights)?;
    let mut program = Device::cpu().compile(&graph, &[after, gradient])?;
    let out = program.run(&[("x", &x.to_vec()), ("y", &y.to_vec())])?;
    Ok((out.f32(0).to_vec(), out.f32(1).to_vec()))
}

#[test]
fn tasks_adapt_apart_as_they_would_alone() {
    let seed = rand::random();
    let (x, y) = (numbers(TASKS * POINTS * 2, seed), numbers(TASKS * POINTS, seed ^ 9));
    let (together, gradient) = adapted(TASKS, &x, &y, 3).unwrap();
    let mut sum = vec![0.0f32; gradient.len()];
    for task in 0..TASKS {
        let own = |all: &[f32], size: usize| all[task * size..(task + 1) * size].to_vec();
        let (alone, part) = adapted(1, &own(&x, POINTS * 2), &own(&y, POINTS), 3).unwrap();
        assert!((alone[0] - together[task]).abs() < 1e-5, "seed {seed}: {} {}", alone[0], together[task]);
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    for (a, b) in sum.iter().zip(&gradient) {
        assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "seed {seed}: {a} {b}");
    }
}

/// The gradient through the step of adaptation, against differences of the whole.
#[test]
fn the_outer_gradient_goes_through_the_inner_step() {
    let seed = rand::random();
    let (x, y) = (numbers(TASKS * POINTS * 2, seed), numbers(TASKS * POINTS, seed ^ 9));
    let (_, gradient) = adapted(TASKS, &x, &y, 5).unwrap();
    // The same in f64, from the parameters themselves.
    let (_, parameters) = network(5);
    let flat: Vec<f64> = parameters.flat().read().unwrap().iter().map(|v| f64::from(*v)).collect();
    let extents: Vec<(usize, usize)> = parameters.extents().map(|(_, first, end)| (first, end)).collect();
    let whole = |flat: &[f64]| -> f64 {
        let part = |i: usize| flat[extents[i].0..extents[i].1].to_vec();
        let (w1, b1, w2, b2) = (part(0), part(1), part(2), part(3));
        (0..TASKS)
            .map(|task| {
                let rows: Vec<([f64; 2], f64)> = (0..POINTS)
                    .map(|p| {
                        let i = task * POINTS + p;
                        ([f64::from(x[2 * i]), f64::from(x[2 * i + 1])], f64::from(y[i]))
                    })
                    .collect();
                let forward = |w1: &[f64], b1: &[f64], w2: &[f64], b2: &[f64], x: [f64; 2]| {
                    let h: Vec<f64> =
                        (0..4).map(|j| (x[0] * w1[j] + x[1] * w1[4 + j] + b1[j]).tanh()).collect();
                    ((0..4).map(|j| h[j] * w2[j]).sum::<f64>() + b2[0], h)
                };
                let (mut g1, mut h1, mut g2, mut h2) = ([0.0; 8], [0.0; 4], [0.0; 4], 0.0);
                for (x, y) in &rows {
                    let (out, h) = forward(&w1, &b1, &w2, &b2, *x);
                    let e = 2.0 * (out - y) / POINTS as f64;
                    h2 += e;
                    for j in 0..4 {
                        g2[j] += e * h[j];
                        let d = e * w2[j] * (1.0 - h[j] * h[j]);
                        h1[j] += d;
                        g1[j] += d * x[0];
                        g1[4 + j] += d * x[1];
                    }
                }
                let step = |w: &[f64], g: &[f64]| -> Vec<f64> {
                    w.iter().zip(g).map(|(w, g)| w - f64::from(RATE) * g).collect()
                };
                let (w1, b1) = (step(&w1[..8], &g1), step(&b1[..4], &h1));
                let (w2, b2) = (step(&w2[..4], &g2), step(&b2[..1], &[h2]));
                rows.iter()
                    .map(|(x, y)| (forward(&w1, &b1, &w2, &b2, *x).0 - y).powi(2) / POINTS as f64)
                    .sum::<f64>()
            })
            .sum::<f64>()
            * 1.5
    };
    let step = 1e-5;
    for (first, end) in extents.iter().zip([8, 4, 4, 1]).map(|((first, _), size)| (*first, first + size)) {
        for i in first..end {
            let at = |by: f64| {
                let mut moved = flat.clone();
                moved[i] += by;
                whole(&moved)
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            let found = f64::from(gradient[i]);
            assert!((found - slope).abs() < 1e-3 * (1.0 + slope.abs()), "seed {seed}, {i}: {found} {slope}");
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let (_, parameters) = network(1);
    let graph = Graph::new();
    let weights = parameters.weights(&graph);
    let message = |result: Result<Weights<'_>>| result.err().expect("an error").to_string();
    let few = weights.tensors()[1..].to_vec();
    assert!(message(weights.with(few)).contains("3 tensors"));
    let mut other = weights.tensors().to_vec();
    other.swap(0, 1);
    assert!(message(weights.with(other)).contains("in place of"));
    // The plain ones in place of those over lanes: what was silent.
    let wide = weights.over_lanes(2).unwrap();
    assert!(message(wide.with(weights.tensors().to_vec())).contains("in place of"));
    assert!(message(wide.over_lanes(2)).contains("again"));
    assert!(message(weights.over_lanes(0)).contains("no lanes"));
    assert_eq!((weights.lanes(), wide.lanes()), (None, Some(2)));
}
