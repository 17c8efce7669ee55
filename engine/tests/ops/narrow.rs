//! Tensors larger than what a GPU can bind: the same results, with gradients, as on the CPU.

use crate::common::{self, random::Random};
use synod_engine::{Device, Error, Graph, Tensor, TensorType};

/// What is bound at most: 1,024 elements. The tensors below have up to some twenty times as many.
const BYTES: u64 = 4096;

/// A narrow GPU; `None` where the environment says that there shall be none.
fn narrow() -> Option<Device> {
    common::devices().iter().any(|d| !d.is_cpu()).then(|| Device::gpu_binding_at_most(BYTES).unwrap())
}

type Build = for<'g> fn(&[Tensor<'g>]) -> Tensor<'g>;

/// Compares `build` and the gradients of `3 sum(build^2)` for all operands of these shapes.
fn same_as_on_the_cpu(name: &str, shapes: &[&[usize]], build: Build) {
    let Some(narrow) = narrow() else { return };
    let mut numbers = Random::fresh();
    let seed = numbers.seed();
    let g = Graph::new();
    let names: Vec<String> = (0..shapes.len()).map(|i| format!("x{i}")).collect();
    let x: Vec<Tensor<'_>> = shapes.iter().zip(&names).map(|(shape, name)| g.input(name, *shape)).collect();
    let y = build(&x);
    let mut outputs = vec![y];
    outputs.extend(g.grad(y.square().sum_all() * 3.0, &x).unwrap());
    let values: Vec<Vec<f32>> =
        shapes.iter().map(|shape| numbers.floats(shape.iter().product(), -1.0, 1.0)).collect();
    let run = |device: &Device| -> Vec<Vec<f32>> {
        let mut program = device.compile(&g, &outputs).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (name, values) in names.iter().zip(&values) {
            program.input_mut(name).unwrap().copy_from_slice(values);
        }
        let made = program.run(&[]).unwrap();
        (0..outputs.len()).map(|i| made.f32(i).to_vec()).collect()
    };
    for (i, (got, want)) in run(&narrow).iter().zip(&run(&Device::cpu())).enumerate() {
        let largest = want.iter().fold(1.0f32, |a, b| a.max(b.abs()));
        for (at, (got, want)) in got.iter().zip(want).enumerate() {
            let near = (got - want).abs() <= 1e-4 * largest;
            assert!(near, "{name}, output {i}, element {at}: {got}, on the CPU {want} (seed {seed})");
        }
    }
}

#[test]
fn elementwise() {
    same_as_on_the_cpu("two of one shape", &[&[61, 83], &[61, 83]], |x| (x[0] * x[1]).tanh() + x[1]);
    same_as_on_the_cpu("an odd number of rows", &[&[9, 640], &[640]], |x| x[0] * x[1]);
    same_as_on_the_cpu("columns", &[&[128, 64], &[128, 1]], |x| x[0].sigmoid() / (x[1] + 3.0));
    same_as_on_the_cpu("lanes", &[&[6, 1, 64], &[1, 40, 64]], |x| x[0] * x[1]);
    same_as_on_the_cpu("stretched", &[&[1]], |x| x[0].broadcast_to([30, 300]));
}

#[test]
fn sums_and_extremes() {
    same_as_on_the_cpu("rows", &[&[320, 64]], |x| x[0].sum(&[-1]));
    same_as_on_the_cpu("columns", &[&[320, 64]], |x| x[0].sum(&[0]));
    same_as_on_the_cpu("all", &[&[50, 7, 30]], |x| x[0].square().sum_all());
    same_as_on_the_cpu("the largest", &[&[320, 64]], |x| x[0].max(&[0]));
    same_as_on_the_cpu("the least", &[&[320, 64]], |x| x[0].min(&[1]));
}

#[test]
fn products() {
    same_as_on_the_cpu("rows", &[&[500, 16], &[16, 24]], |x| x[0].matmul(x[1]));
    same_as_on_the_cpu("with bias", &[&[256, 16], &[16, 32], &[32]], |x| (x[0].matmul(x[1]) + x[2]).relu());
    same_as_on_the_cpu("terms", &[&[700, 12], &[700, 20]], |x| x[0].matmul_with(x[1], true, false));
    same_as_on_the_cpu("batch", &[&[40, 9, 16], &[40, 16, 8]], |x| x[0].matmul(x[1]));
    same_as_on_the_cpu("one row", &[&[1, 2048], &[2048, 4]], |x| x[0].matmul(x[1]));
}

#[test]
fn rows_of_norms_and_softmax() {
    same_as_on_the_cpu("softmax", &[&[256, 48]], |x| x[0].softmax(-1));
    same_as_on_the_cpu("log-softmax", &[&[8, 32, 48]], |x| x[0].log_softmax(-1));
    same_as_on_the_cpu("layer norm", &[&[256, 48], &[48], &[48]], |x| x[0].layer_norm(x[1], x[2], 0.1));
}

#[test]
fn attention() {
    let shapes: [&[usize]; 3] = [&[12, 16, 32], &[12, 8, 32], &[12, 8, 32]];
    same_as_on_the_cpu("lanes", &shapes, |x| x[0].attention(x[1], x[2], 4, None, false));
    let causal: [&[usize]; 3] = [&[32, 16, 16]; 3];
    same_as_on_the_cpu("causal", &causal, |x| x[0].attention(x[1], x[2], 2, None, true));
    let long: [&[usize]; 3] = [&[160, 16], &[24, 16], &[24, 16]];
    same_as_on_the_cpu("queries", &long, |x| x[0].attention(x[1], x[2], 2, None, false));
}

#[test]
fn convolution() {
    let shapes: [&[usize]; 2] = [&[16, 8, 8, 4], &[3, 3, 4, 8]];
    same_as_on_the_cpu("images", &shapes, |x| x[0].conv2d(x[1], [1, 1], [1, 1]));
}

#[test]
fn parts_and_places() {
    same_as_on_the_cpu("slice", &[&[64, 3, 32]], |x| x[0].slice(1, 1, 2).tanh());
    same_as_on_the_cpu("columns side by side", &[&[64, 32], &[64, 64]], |x| {
        x[0].graph().concat(&[x[0], x[1]], 1)
    });
    same_as_on_the_cpu("rows below each other", &[&[64, 32], &[40, 32]], |x| {
        x[0].graph().concat(&[x[0] * 2.0, x[1].tanh()], 0)
    });
    same_as_on_the_cpu("rows by index", &[&[16, 32]], |x| {
        let indices: Vec<u32> = (0..200).map(|i| i * 7 % 16).collect();
        x[0].gather(x[0].graph().constant_u32([200], &indices))
    });
}

/// The steps of a network with memory are small, its sequence is not.
#[test]
fn sequences() {
    let shapes: [&[usize]; 4] = [&[40, 8, 12], &[12, 32], &[8, 32], &[32]];
    same_as_on_the_cpu("lstm", &shapes, |x| {
        let zeros = x[0].graph().full([8, 8], 0.0);
        x[0].lstm([zeros, zeros], [x[1], x[2], x[3]], None).hidden
    });
}

/// Copies of what lies elsewhere for good are as large as that is.
#[test]
fn copies() {
    same_as_on_the_cpu("an input twice", &[&[8, 360]], |x| x[0].graph().concat(&[x[0], x[0]], 0));
    same_as_on_the_cpu("an input and what is made of it", &[&[8, 360]], |x| {
        x[0].graph().concat(&[x[0], x[0].tanh()], 0)
    });
    let Some(narrow) = narrow() else { return };
    let values: Vec<f32> = (0..2880).map(|i| i as f32).collect();
    let variable = narrow.variable("v", TensorType::f32([8, 360]), &values).unwrap();
    let g = Graph::new();
    let v = g.variable(&variable);
    g.assign(&variable, v + 1.0);
    let mut program = narrow.compile(&g, &[v]).unwrap();
    assert_eq!(program.run(&[]).unwrap().f32(0), values);
    assert_eq!(program.run(&[]).unwrap().f32(0)[7], 8.0);
}

/// What cannot be cut is named.
#[test]
fn what_cannot_be_cut_is_an_error() {
    let Some(narrow) = narrow() else { return };
    let g = Graph::new();
    let turned = g.input("x", [50, 60]).transpose(&[1, 0]) * 1.0;
    match narrow.compile(&g, &[turned]).err() {
        Some(Error::Limit { op, needed, limit, .. }) => {
            assert_eq!((op.as_str(), needed, limit), ("transpose", 4 * 50 * 60, BYTES));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn order_and_places() {
    same_as_on_the_cpu("flipped rows", &[&[320, 64]], |x| x[0].flip(1));
    same_as_on_the_cpu("flipped columns", &[&[320, 64]], |x| x[0].flip(0));
    same_as_on_the_cpu("sorted rows", &[&[320, 64]], |x| x[0].sort(1, false).0);
}

#[test]
fn integers() {
    let Some(narrow) = narrow() else { return };
    let g = Graph::new();
    let (x, y) = (g.input_i32("x", [60, 50]), g.constant_i32([50], &[7; 50]));
    let outputs = [x.modulo(y), (x + y).sum(&[1]), x.to_f32()];
    let values: Vec<i32> = (0..3000).map(|i| (i - 1500) * 1_000_003).collect();
    let run = |device: &Device| -> Vec<Vec<u32>> {
        let mut program = device.compile(&g, &outputs).unwrap();
        let made = program.run(&[("x", &values)]).unwrap();
        (0..3).map(|i| made.u32(i).to_vec()).collect()
    };
    assert_eq!(run(&narrow), run(&Device::cpu()));
}
