//! Softmax, its logarithm, and layer norm.

use crate::common::{Case, check_covers, uniform};
use synod_engine::{Device, Graph, Tensor};

const COVERS: &[&str] = &[
    "softmax",
    "log_softmax",
    "softmax_gradient",
    "log_softmax_gradient",
    "layer_norm",
    "layer_norm_gradient",
];

fn softmax(x: &[f64], n: usize, log: bool) -> Vec<f64> {
    x.chunks(n)
        .flat_map(|row| {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
            row.iter()
                .map(|x| if log { x - largest - sum.ln() } else { (x - largest).exp() / sum })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn softmax_gradient(y: &[f64], c: &[f64], n: usize, log: bool) -> Vec<f64> {
    let mut out = Vec::new();
    for (y, c) in y.chunks(n).zip(c.chunks(n)) {
        let sum: f64 = y.iter().zip(c).map(|(y, c)| if log { *c } else { c * y }).sum();
        out.extend(y.iter().zip(c).map(|(y, c)| if log { c - y.exp() * sum } else { y * (c - sum) }));
    }
    out
}

/// `scale` and `bias` have one row for each `rows` rows of `x`.
fn layer_norm(x: &[f64], scale: &[f64], bias: &[f64], n: usize, rows: usize) -> Vec<Vec<f64>> {
    let (mut y, mut means, mut deviations) = (Vec::new(), Vec::new(), Vec::new());
    for (r, row) in x.chunks(n).enumerate() {
        let mean = row.iter().sum::<f64>() / n as f64;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n as f64;
        let deviation = 1.0 / (variance + EPSILON).sqrt();
        let group = r / rows * n;
        y.extend((0..n).map(|i| (row[i] - mean) * deviation * scale[group + i] + bias[group + i]));
        means.push(mean);
        deviations.push(deviation);
    }
    vec![y, means, deviations]
}

/// Large, so that the derivatives of short rows stay tame.
const EPSILON: f64 = 0.1;

fn norm_case(x: &[usize], scale: &[usize]) -> Case {
    let n = x[x.len() - 1];
    let rows = x.iter().product::<usize>() / scale.iter().product::<usize>();
    Case::new(
        "layer_norm",
        vec![uniform(x, -2.0..2.0), uniform(scale, -2.0..2.0), uniform(scale, -1.0..1.0)],
        |_, x| vec![x[0].layer_norm(x[1], x[2], EPSILON as f32)],
        move |x| layer_norm(&x[0], &x[1], &x[2], n, rows)[..1].to_vec(),
    )
    .tolerance(1e-4)
}

fn norm_gradient_case(x: &[usize], scale: &[usize]) -> Case {
    let n = x[x.len() - 1];
    let rows = x.iter().product::<usize>() / scale.iter().product::<usize>();
    let lead = &x[..x.len() - 1];
    Case::new(
        "layer_norm_gradient",
        vec![
            uniform(x, -2.0..2.0),
            uniform(scale, -2.0..2.0),
            uniform(lead, -0.5..0.5),
            uniform(lead, 0.5..1.5),
            uniform(x, -2.0..2.0),
        ],
        |g, x| g.apply(synod_engine::op::norm::LayerNormGradient, x),
        move |v| {
            let (x, scale, mean, deviation, c) = (&v[0], &v[1], &v[2], &v[3], &v[4]);
            let mut dx = vec![0.0; x.len()];
            let (mut dscale, mut dbias) = (vec![0.0; scale.len()], vec![0.0; scale.len()]);
            for r in 0..mean.len() {
                let group = r / rows * n;
                let normal: Vec<f64> = (0..n).map(|i| (x[r * n + i] - mean[r]) * deviation[r]).collect();
                let g: Vec<f64> = (0..n).map(|i| c[r * n + i] * scale[group + i]).collect();
                let sum = g.iter().sum::<f64>() / n as f64;
                let product = g.iter().zip(&normal).map(|(g, h)| g * h).sum::<f64>() / n as f64;
                for i in 0..n {
                    dx[r * n + i] = deviation[r] * (g[i] - sum - normal[i] * product);
                    dscale[group + i] += c[r * n + i] * normal[i];
                    dbias[group + i] += c[r * n + i];
                }
            }
            vec![dx, dscale, dbias]
        },
    )
    .tolerance(1e-4)
}

fn softmax_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for log in [false, true] {
        for shape in [&[1][..], &[5], &[3, 5], &[2, 3, 16], &[2, 17], &[3, 31], &[2, 33], &[2, 130], &[65, 5]]
        {
            let n = shape[shape.len() - 1];
            let name = if log { "log_softmax" } else { "softmax" };
            let mut case = Case::new(
                name,
                vec![uniform(shape, -4.0..4.0)],
                move |_, x| vec![if log { x[0].log_softmax(-1) } else { x[0].softmax(-1) }],
                move |x| vec![softmax(&x[0], n, log)],
            );
            // A row of one number has no derivative to speak of.
            if n == 1 {
                case = case.outputs_only();
            }
            // Second derivatives on both sides of the length at which GPU kernels change.
            let second = matches!(shape, [3, 5] | [2, 33]);
            let order = |case: Case| if second { case } else { case.first_order() };
            cases.push(order(case.tolerance(2e-5)));
            let name = if log { "log_softmax_gradient" } else { "softmax_gradient" };
            let case = Case::new(
                name,
                vec![uniform(shape, -2.0..0.0), uniform(shape, -2.0..2.0)],
                move |g, x| g.apply(synod_engine::op::softmax::SoftmaxGradient { log }, x),
                move |x| vec![softmax_gradient(&x[0], &x[1], n, log)],
            );
            let case = case.tolerance(2e-5);
            cases.push(if n == 5 { case.first_order() } else { case.outputs_only() });
        }
    }
    // Another axis, and the sum alone.
    cases.push(
        Case::new(
            "softmax",
            vec![uniform([3, 4, 2], -3.0..3.0)],
            |_, x| vec![x[0].softmax(1), x[0].logsumexp(1)],
            |x| {
                let (mut y, mut sums) = (vec![0.0; 24], vec![0.0; 6]);
                for (a, b) in (0..3).flat_map(|a| (0..2).map(move |b| (a, b))) {
                    let sum: f64 = (0..4).map(|i| x[0][a * 8 + i * 2 + b].exp()).sum();
                    sums[a * 2 + b] = sum.ln();
                    for i in 0..4 {
                        y[a * 8 + i * 2 + b] = x[0][a * 8 + i * 2 + b].exp() / sum;
                    }
                }
                vec![y, sums]
            },
        )
        .tolerance(2e-5)
        .label("the middle axis, and logsumexp"),
    );
    let large = |shape: [usize; 2]| {
        Case::new(
            "softmax",
            vec![uniform(shape, -30.0..30.0)],
            |_, x| vec![x[0].softmax(-1), x[0].log_softmax(-1)],
            move |x| vec![softmax(&x[0], shape[1], false), softmax(&x[0], shape[1], true)],
        )
        .tolerance(2e-5)
        .outputs_only()
    };
    cases.extend([large([700, 101]), large([3, 20_011]), large([20_011, 3])]);
    cases
}

fn norm_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (x, scale) in [
        (&[5][..], &[5][..]),
        (&[3, 7], &[7]),
        (&[2, 3, 16], &[16]),
        (&[2, 33], &[33]),
        (&[2, 3, 5], &[2, 1, 5]),
        (&[2, 3, 5], &[2, 3, 5]),
        (&[2, 3, 5], &[1, 1, 5]),
        (&[1, 3, 5], &[5]),
    ] {
        let (forward, backward) = (norm_case(x, scale), norm_gradient_case(x, scale));
        match x {
            [3, 7] => cases.extend([forward, backward]),
            [2, 3, 5] => cases.extend([forward, backward.first_order()]),
            _ => cases.extend([forward.first_order(), backward.outputs_only()]),
        }
    }
    for (x, scale) in [
        (&[1000, 16][..], &[16][..]),
        (&[301, 130], &[130]),
        (&[3, 700, 64], &[3, 1, 64]),
        (&[2, 5000], &[5000]),
    ] {
        cases.push(norm_case(x, scale).outputs_only());
        cases.push(norm_gradient_case(x, scale).outputs_only());
    }
    // Weights that vary along an inner leading dimension only: composed of plain ops.
    cases.push(
        Case::new(
            "layer_norm",
            vec![uniform([3, 2, 5], -2.0..2.0), uniform([2, 5], -2.0..2.0), uniform([2, 5], -1.0..1.0)],
            |_, x| vec![x[0].layer_norm(x[1], x[2], EPSILON as f32)],
            |x| {
                let rows = |w: &[f64]| w.iter().copied().cycle().take(30).collect::<Vec<f64>>();
                layer_norm(&x[0], &rows(&x[1]), &rows(&x[2]), 5, 1)[..1].to_vec()
            },
        )
        .tolerance(1e-4)
        .label("weights along an inner dimension"),
    );
    // The mean and the deviation are outputs like others.
    cases.push(
        Case::new(
            "layer_norm",
            vec![uniform([3, 7], -2.0..2.0), uniform([7], -2.0..2.0), uniform([7], -1.0..1.0)],
            |g, x| g.apply(synod_engine::op::norm::LayerNorm { epsilon: EPSILON as f32 }, x),
            |x| layer_norm(&x[0], &x[1], &x[2], 7, 3),
        )
        .tolerance(1e-4)
        .label("all three outputs"),
    );
    cases
}

#[test]
fn cases_agree_with_references() {
    let mut cases = softmax_cases();
    cases.extend(norm_cases());
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn fused_ops_equal_their_decompositions() {
    use synod_engine::graph::Op;
    use synod_engine::op::norm::{LayerNorm, LayerNormGradient};
    use synod_engine::op::softmax::{Softmax, SoftmaxGradient};

    let mut random = crate::common::Random::fresh();
    let shapes = |names: &[&str]| -> Vec<(String, Vec<usize>)> {
        let of = |n: &&str| match *n {
            "scale" | "bias" => vec![2, 1, 19],
            "mean" | "deviation" => vec![2, 5],
            _ => vec![2, 5, 19],
        };
        names.iter().map(|n| (n.to_string(), of(n))).collect()
    };
    let mut check = |name: &str, names: &[&str], op: fn() -> Box<dyn Apply>| {
        let g = Graph::new();
        let named = shapes(names);
        let operands: Vec<Tensor> = named.iter().map(|(n, s)| g.input(n, s)).collect();
        let fused = op().apply(&g, &operands);
        let plain = op().decompose(&operands);
        assert_eq!(fused.len(), plain.len(), "{name}");
        let outputs: Vec<Tensor> = fused.iter().chain(&plain).copied().collect();
        let mut program = Device::cpu().compile(&g, &outputs).unwrap();
        let data: Vec<(String, Vec<f32>)> =
            named.iter().map(|(n, s)| (n.clone(), random.floats(s.iter().product(), 0.2, 2.0))).collect();
        let given: Vec<(&str, &dyn synod_engine::Data)> =
            data.iter().map(|(n, d)| (n.as_str(), d as &dyn synod_engine::Data)).collect();
        let out = program.run(&given).unwrap();
        for i in 0..fused.len() {
            for (a, b) in out.f32(i).iter().zip(out.f32(fused.len() + i)) {
                assert!((a - b).abs() < 1e-4, "{name} output {i}: {a} and {b}, seed {}", random.seed());
            }
        }
    };

    /// An op that is applied once and taken apart once.
    trait Apply {
        fn apply<'g>(self: Box<Self>, g: &'g Graph, operands: &[Tensor<'g>]) -> Vec<Tensor<'g>>;
        fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Vec<Tensor<'g>>;
    }
    impl<T: Op> Apply for T {
        fn apply<'g>(self: Box<Self>, g: &'g Graph, operands: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
            g.apply(*self, operands)
        }
        fn decompose<'g>(&self, operands: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
            Op::decompose(self, operands).unwrap()
        }
    }

    check("softmax", &["x"], || Box::new(Softmax { log: false }));
    check("log_softmax", &["x"], || Box::new(Softmax { log: true }));
    check("softmax_gradient", &["y", "c"], || Box::new(SoftmaxGradient { log: false }));
    check("log_softmax_gradient", &["y", "c"], || Box::new(SoftmaxGradient { log: true }));
    check("layer_norm", &["x", "scale", "bias"], || Box::new(LayerNorm { epsilon: 0.1 }));
    check("layer_norm_gradient", &["x", "scale", "mean", "deviation", "c"], || Box::new(LayerNormGradient));
}

#[test]
fn large_and_masked_numbers() {
    let g = Graph::new();
    let x = g.input("x", [2, 4]);
    let mut program =
        Device::cpu().compile(&g, &[x.softmax(-1), x.log_softmax(-1), x.logsumexp(-1)]).unwrap();
    let out = program.run(&[("x", &[1e30f32, -1e30, 1e30, 0.0, f32::NEG_INFINITY, 0.0, -1e9, 0.0])]).unwrap();
    assert_eq!(out.f32(0), [0.5, 0.0, 0.5, 0.0, 0.0, 0.5, 0.0, 0.5]);
    assert!((out.f32(1)[0] + 2f32.ln()).abs() < 1e-6);
    assert_eq!(out.f32(1)[4], f32::NEG_INFINITY);
    assert!((out.f32(2)[1] - 2f32.ln()).abs() < 1e-6);
}

#[test]
fn wrong_operands_are_refused() {
    let g = Graph::new();
    let y = g.input("x", [2, 3]).layer_norm(g.input("s", [4]), g.input("b", [4]), 1e-5);
    let message = Device::cpu().compile(&g, &[y]).err().unwrap().to_string();
    assert!(message.contains("layer_norm") && message.contains("f32[2, 3], f32[4]"), "{message}");
    let g = Graph::new();
    let message = Device::cpu().compile(&g, &[g.input("x", [2]).softmax(1)]).err().unwrap().to_string();
    assert!(message.contains("softmax") && message.contains("axes"), "{message}");
}
