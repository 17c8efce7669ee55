//! Chains of ops that work row by row, on tensors large enough for them.

use crate::common::{Case, check_covers, uniform};
use synod_engine::{CompileOptions, Device, Graph, Tensor};

const COVERS: &[&str] = &["row_chain"];

/// Rows and columns: over what a cache takes, with a last block that is shorter.
const SIZES: [usize; 2] = [523, 257];

/// `softmax(x w + b)^2 + x`, `w` of one column and `b` of one row; and the softmax itself.
fn expression<'g>(x: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let y = (x[0] * x[1] + x[2]).softmax(-1);
    vec![y.square() + x[0], y]
}

fn reference(x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = SIZES[1];
    let (mut sums, mut weights) = (Vec::new(), Vec::new());
    for (row, w) in x[0].chunks(n).zip(&x[1]) {
        let raised: Vec<f64> = row.iter().zip(&x[2]).map(|(x, b)| (x * w + b).exp()).collect();
        let total: f64 = raised.iter().sum();
        sums.extend(raised.iter().zip(row).map(|(r, x)| (r / total).powi(2) + x));
        weights.extend(raised.iter().map(|r| r / total));
    }
    vec![sums, weights]
}

/// Layer norm between elementwise ops, with what the gradient needs of it.
fn norm<'g>(x: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    vec![(x[0] * 2.0).layer_norm(x[1], x[2], 0.1).tanh()]
}

fn norm_reference(x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = SIZES[1];
    let one = |row: &[f64]| -> Vec<f64> {
        let mean = row.iter().map(|x| 2.0 * x).sum::<f64>() / n as f64;
        let variance = row.iter().map(|x| (2.0 * x - mean).powi(2)).sum::<f64>() / n as f64;
        let normal = row.iter().map(|x| (2.0 * x - mean) / (variance + 0.1).sqrt());
        normal.zip(x[1].iter().zip(&x[2])).map(|(y, (scale, bias))| (y * scale + bias).tanh()).collect()
    };
    vec![x[0].chunks(n).flat_map(one).collect()]
}

#[test]
fn chains_of_rows() {
    let [m, n] = SIZES;
    let cases = [
        Case::new(
            "row_chain",
            vec![uniform([m, n], -1.0..1.0), uniform([m, 1], 0.5..2.0), uniform([n], -1.0..1.0)],
            |_, x| expression(x),
            reference,
        ),
        Case::new(
            "row_chain",
            vec![uniform([m, n], -1.0..1.0), uniform([n], 0.5..2.0), uniform([n], -1.0..1.0)],
            |_, x| norm(x),
            norm_reference,
        )
        .tolerance(1e-4),
    ];
    check_covers(COVERS, &cases);
    cases.into_iter().for_each(|case| case.first_order().check());
}

#[test]
fn a_chain_is_made_where_it_pays_and_spares_memory() {
    let device = Device::cpu();
    let plan = |rows: usize, fusion: bool| {
        let g = Graph::new();
        let x = g.input("x", [rows, SIZES[1]]);
        let y = x.softmax(-1).square().sum_all();
        let gradient = g.grad(y, &[x]).unwrap()[0];
        let program = device.compile_with(&g, &[gradient], CompileOptions { fusion }).unwrap();
        program.summary()
    };
    let chains =
        |rows| plan(rows, true).kernels.iter().filter(|(kernel, _)| kernel == "row_chain").map(|k| k.1).sum();
    let counts: [usize; 2] = [SIZES[0], 64].map(chains);
    assert_eq!(counts, [1, 0]);
    // The gradient alone is left of four tensors.
    let tensor = 4 * (SIZES[0] * SIZES[1]) as u64;
    let [fused, plain] = [true, false].map(|fusion| plan(SIZES[0], fusion).planned_bytes);
    assert!(fused <= tensor + 64 && plain >= 2 * tensor, "{fused} and {plain} bytes for tensors of {tensor}");
}

#[test]
fn rows_of_several_dimensions() {
    // Rows over several leading dimensions, weights of a bias with ones in front, and a value that two members read.
    let device = Device::cpu();
    let g = Graph::new();
    let x = g.input("x", [4, 100, 400]);
    let bias = g.input("bias", [1, 1, 400]);
    let y = (x + bias).softmax(-1);
    let z = (y * 3.0).log_softmax(-1) - y;
    let numbers: Vec<f32> = (0..160_000).map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
    let shifts: Vec<f32> = (0..400).map(|i| i as f32 / 400.0).collect();
    let run = |fusion| {
        let mut program = device.compile_with(&g, &[z], CompileOptions { fusion }).unwrap();
        let given: [(&str, &dyn synod_engine::Data); 2] = [("x", &numbers), ("bias", &shifts)];
        let chained = program.summary().kernels.iter().any(|(kernel, _)| kernel == "row_chain");
        (chained, program.run(&given).unwrap().f32(0).to_vec())
    };
    let (fused, plain) = (run(true), run(false));
    assert!(fused.0 && !plain.0);
    assert!(fused.1.iter().zip(&plain.1).all(|(a, b)| a.to_bits() == b.to_bits()));
}
