//! Checks of an op against a reference in f64: values, gradients and second derivatives, on fresh random inputs.
#![allow(dead_code)]

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use synod::{CompileOptions, Device, Graph, Result, Tensor};

/// An operand of a case: its shape, the range of its elements, and whether a gradient is asked for.
pub struct Operand {
    pub shape: Vec<usize>,
    pub low: f64,
    pub high: f64,
    pub differentiable: bool,
    /// Elements are 0 or 1.
    pub binary: bool,
}

pub fn operand(shape: &[usize]) -> Operand {
    Operand { shape: shape.to_vec(), low: -1.5, high: 1.5, differentiable: true, binary: false }
}

pub fn mask(shape: &[usize]) -> Operand {
    Operand { differentiable: false, binary: true, ..operand(shape) }
}

pub struct Case<'a> {
    pub name: String,
    pub operands: Vec<Operand>,
    pub build: &'a dyn for<'g> Fn(&[Tensor<'g>]) -> Tensor<'g>,
    pub reference: &'a dyn Fn(&[Vec<f64>]) -> Vec<f64>,
    /// Whether gradients are checked too (they cost two evaluations an element, second ones four).
    pub gradients: bool,
    pub tolerance: f64,
}

pub fn seed() -> u64 {
    std::env::var("SYNOD_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random)
}

/// `||a - b|| / ||b||`, or the plain distance where the reference is tiny.
pub fn distance(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let d: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
    let n: f64 = b.iter().map(|b| b * b).sum::<f64>().sqrt();
    if d.is_nan() { f64::INFINITY } else { d / n.max(1e-3) }
}

pub fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    if cfg!(feature = "gpu") {
        devices.push(Device::gpu().expect("the gpu feature is tested on a machine with an adapter"));
    }
    devices
}

fn run(
    device: &Device,
    g: &Graph,
    outputs: &[Tensor<'_>],
    values: &[Vec<f64>],
    fusion: bool,
) -> Result<Vec<Vec<f32>>> {
    let mut program = device.compile_with(g, outputs, CompileOptions { fusion })?;
    let names: Vec<String> = (0..values.len()).map(|i| format!("x{i}")).collect();
    let data: Vec<Vec<f32>> = values.iter().map(|v| v.iter().map(|&x| x as f32).collect()).collect();
    let needed: Vec<String> = program.inputs().map(|(n, _)| n.to_string()).collect();
    let inputs: Vec<(&str, &dyn synod::Data)> = names
        .iter()
        .zip(&data)
        .filter(|(n, _)| needed.contains(n))
        .map(|(n, d)| (n.as_str(), d as &dyn synod::Data))
        .collect();
    let out = program.run(&inputs)?;
    Ok((0..outputs.len()).map(|i| out.f32(i).to_vec()).collect())
}

pub fn check(case: &Case<'_>) {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let context = |what: &str| format!("{}: {what} (SYNOD_TEST_SEED={seed})", case.name);
    let values: Vec<Vec<f64>> = case
        .operands
        .iter()
        .map(|o| {
            (0..o.shape.iter().product::<usize>())
                .map(|_| match o.binary {
                    true => f64::from(u8::from(rng.random::<f64>() < 0.6)),
                    // As the op will see it.
                    false => f64::from((o.low + (o.high - o.low) * rng.random::<f64>()) as f32),
                })
                .collect()
        })
        .collect();
    let expected = (case.reference)(&values);
    let weights: Vec<f32> = (0..expected.len()).map(|_| rng.random::<f32>() - 0.4).collect();
    let loss = |v: &[Vec<f64>]| -> f64 {
        let y = (case.reference)(v);
        y.iter().zip(&weights).map(|(y, w)| f64::from(*w) * (1.7 * y + 0.25 * y * y)).sum()
    };
    // A direction for second derivatives, in f32 exactly.
    let direction: Vec<Vec<f32>> = case
        .operands
        .iter()
        .zip(&values)
        .map(|(o, v)| {
            v.iter().map(|_| if o.differentiable { rng.random::<f32>() - 0.5 } else { 0.0 }).collect()
        })
        .collect();

    let g = Graph::new();
    let tensors: Vec<Tensor<'_>> =
        case.operands.iter().enumerate().map(|(i, o)| g.input(&format!("x{i}"), o.shape.clone())).collect();
    let y = (case.build)(&tensors);
    g.check().unwrap_or_else(|e| panic!("{}", context(&e.to_string())));
    assert_eq!(y.shape().elements(), expected.len(), "{}", context("elements"));
    let mut outputs = vec![y];
    let differentiable: Vec<usize> =
        (0..case.operands.len()).filter(|&i| case.gradients && case.operands[i].differentiable).collect();
    let wrt: Vec<Tensor<'_>> = differentiable.iter().map(|&i| tensors[i]).collect();
    if case.gradients {
        let w = g.constant(y.shape(), &weights);
        let total = (w * (y * 1.7 + y * y * 0.25)).sum_all();
        let first = g.grad(total, &wrt).unwrap_or_else(|e| panic!("{}", context(&e.to_string())));
        let mut along = g.scalar(0.0);
        for (&i, &d) in differentiable.iter().zip(&first) {
            along = along + (d * g.constant(d.shape(), &direction[i])).sum_all();
        }
        let second = g.grad(along, &wrt).unwrap_or_else(|e| panic!("{}", context(&e.to_string())));
        outputs.extend(first);
        outputs.extend(second);
    }
    let step = 1e-3;
    let moved = |along: f64, coordinate: Option<(usize, usize, f64)>| -> f64 {
        let mut v: Vec<Vec<f64>> = values.clone();
        for (v, d) in v.iter_mut().zip(&direction) {
            v.iter_mut().zip(d).for_each(|(v, d)| *v += along * f64::from(*d));
        }
        if let Some((i, j, by)) = coordinate {
            v[i][j] += by;
        }
        loss(&v)
    };
    let mut references = vec![expected];
    if case.gradients {
        for &i in &differentiable {
            references.push(
                (0..values[i].len())
                    .map(|j| {
                        (moved(0.0, Some((i, j, step))) - moved(0.0, Some((i, j, -step)))) / (2.0 * step)
                    })
                    .collect(),
            );
        }
        for &i in &differentiable {
            let difference =
                |along: f64, j: usize| moved(along, Some((i, j, step))) - moved(along, Some((i, j, -step)));
            references.push(
                (0..values[i].len())
                    .map(|j| (difference(step, j) - difference(-step, j)) / (4.0 * step * step))
                    .collect(),
            );
        }
    }
    for device in devices() {
        for fusion in [true, false] {
            let results = run(&device, &g, &outputs, &values, fusion)
                .unwrap_or_else(|e| panic!("{}", context(&e.to_string())));
            for (i, (result, reference)) in results.iter().zip(&references).enumerate() {
                let kind = match i {
                    0 => "value".to_string(),
                    i if i <= differentiable.len() => format!("gradient {}", differentiable[i - 1]),
                    i => format!("second derivative {}", differentiable[i - 1 - differentiable.len()]),
                };
                let off = distance(result, reference);
                let tolerance = case.tolerance * if i > differentiable.len() { 10.0 } else { 1.0 };
                assert!(
                    off < tolerance,
                    "{}",
                    context(&format!("{kind} on {}, fusion {fusion}, is off by {off:e}", device.name()))
                );
            }
        }
    }
}
