//! Random small graphs over numbers that are not finite: fused or not, on a processor or a GPU, NaN stays NaN, infinities
//! stay infinities, and everything else is the same up to rounding.

use crate::common::{devices, random::Random};
use synod_engine::{CompileOptions, Device, Graph, Tensor};

/// Graphs that are tried.
const GRAPHS: usize = 40;

/// What operands hold. No product, sum or exponential of a few of them comes near the ends of the range of floats, where
/// rounding would decide whether a number is finite.
const NUMBERS: [f32; 12] =
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, -0.25, 1.5];

/// One graph: inputs `x0` to `x2` of `[rows, columns]`, `w` of `[columns, columns]` and `b` of `[columns]`.
struct Sizes {
    rows: usize,
    columns: usize,
}

/// A value that was computed, and how far it may be from 0 where it is finite.
#[derive(Clone, Copy)]
struct Value<'g> {
    tensor: Tensor<'g>,
    bound: f32,
}

/// Builds a graph of a few ops; gives some of its values. Functions that jump or have poles are applied to inputs alone,
/// which are the same on all devices.
fn build<'g>(g: &'g Graph, random: &mut Random, sizes: &Sizes) -> Vec<Tensor<'g>> {
    let shape = [sizes.rows, sizes.columns];
    let inputs: Vec<Tensor<'g>> = (0..3).map(|i| g.input(&format!("x{i}"), shape)).collect();
    let w = g.input("w", [sizes.columns, sizes.columns]);
    let b = g.input("b", [sizes.columns]);
    let mut values: Vec<Value<'g>> = inputs.iter().map(|&tensor| Value { tensor, bound: 3.0 }).collect();
    let zero = g.scalar(0.0);
    for _ in 0..4 + random.below(12) {
        let mut pick = || values[values.len() - 1 - random.below(values.len().min(5))];
        let (x, y) = (pick(), pick());
        let input = inputs[random.below(3)];
        let (a, c) = (x.tensor, y.tensor);
        let along = |t: Tensor<'g>| t.reshape([sizes.rows, 1]).broadcast_to(shape);
        let columns = sizes.columns as f32;
        let (tensor, bound) = match random.below(31) {
            0 => (a + c, x.bound + y.bound),
            1 => (a - c, x.bound + y.bound),
            2 => (a * c, x.bound * y.bound),
            3 => (a * 0.0, 0.0),
            4 => (a + 0.0, x.bound),
            5 => (-a, x.bound),
            6 => (a.abs(), x.bound),
            7 => (a.relu(), x.bound),
            8 => (a.tanh(), 1.0),
            9 => (a.sigmoid(), 1.0),
            10 => (a.gelu(), x.bound),
            11 => (a.softplus(), x.bound + 1.0),
            12 => (a.maximum(c), x.bound.max(y.bound)),
            13 => (a.minimum(c), x.bound.max(y.bound)),
            14 => (input.exp(), 21.0),
            15 => (input.log(), 2.0),
            16 => (input.sqrt(), 2.0),
            17 => (input.reciprocal(), 4.0),
            18 => (a / input, x.bound * 4.0),
            19 => (input.sign(), 1.0),
            20 => (input.select(a, c), x.bound.max(y.bound)),
            21 => (input.less(inputs[0]).select(a, c), x.bound.max(y.bound)),
            22 => (input.equal(inputs[1]) * a, x.bound),
            23 => (along(a.sum(&[1])) + c, columns * x.bound + y.bound),
            24 => (along(a.max(&[1])).maximum(c), x.bound.max(y.bound)),
            25 => (a.min(&[0]).minimum(c), x.bound.max(y.bound)),
            26 => ((a.matmul(w) + b).relu(), 3.0 * columns * x.bound + 3.0),
            27 => ((a.matmul(w) + b).tanh(), 1.0),
            28 => (a.softmax(-1), 1.0),
            29 => (a.log_softmax(-1), 2.0 * x.bound + 5.0),
            _ => (a.layer_norm(b.maximum(zero).minimum(zero) + 1.0, b, 0.1), columns.sqrt() + 3.0),
        };
        // What has grown is brought back, so that rounding stays small and nothing overflows.
        let value = match bound > 20.0 {
            true => Value { tensor: tensor * (1.0 / bound), bound: 1.0 },
            false => Value { tensor, bound },
        };
        values.push(value);
    }
    values[3..].iter().rev().take(3).map(|value| value.tensor).collect()
}

fn run(
    device: &Device,
    g: &Graph,
    outputs: &[Tensor<'_>],
    fusion: bool,
    data: &[(&str, Vec<f32>)],
) -> Vec<Vec<f32>> {
    let mut program = device.compile_with(g, outputs, CompileOptions { fusion }).expect("a program");
    for (name, values) in data {
        if let Some(input) = program.find_input(name) {
            input.copy_from_slice(values);
        }
    }
    let made = program.run(&[]).expect("a run");
    (0..outputs.len()).map(|i| made.f32(i).to_vec()).collect()
}

fn alike(a: f32, b: f32) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-3 * a.abs().max(1.0)
}

#[test]
fn what_is_not_finite_is_the_same_fused_or_not_on_every_device() {
    let mut seeds = Random::fresh();
    let start = std::time::Instant::now();
    for graph in 0..GRAPHS {
        // A slow machine tries fewer.
        if start.elapsed().as_secs() > 20 {
            break;
        }
        // The first graph is that of the seed that was asked for.
        let seed = if graph == 0 { seeds.seed() } else { seeds.bits() };
        let mut random = Random::seeded(seed);
        let sizes = Sizes { rows: 1 + random.below(6), columns: [1, 4, 7, 33, 70][random.below(5)] };
        let Sizes { rows, columns } = sizes;
        // Most numbers are finite, so that not every sum is NaN.
        let usual = random.below(2) == 0;
        let mut draw = |n: usize| -> Vec<f32> {
            let first = if usual { 3 } else { 0 };
            (0..n)
                .map(|_| match random.below(40) {
                    0 => NUMBERS[random.below(3)],
                    _ => NUMBERS[first + random.below(NUMBERS.len() - first)],
                })
                .collect()
        };
        let data = [
            ("x0", draw(rows * columns)),
            ("x1", draw(rows * columns)),
            ("x2", draw(rows * columns)),
            ("w", draw(columns * columns)),
            ("b", draw(columns)),
        ];
        let g = Graph::new();
        let outputs = build(&g, &mut random, &sizes);
        let mut first: Option<Vec<Vec<f32>>> = None;
        for device in devices() {
            for fusion in [false, true] {
                let got = run(&device, &g, &outputs, fusion, &data);
                let want = first.get_or_insert_with(|| got.clone());
                for (i, (got, want)) in got.iter().zip(want.iter()).enumerate() {
                    for (at, (got, want)) in got.iter().zip(want).enumerate() {
                        assert!(
                            alike(*got, *want),
                            "output {i} of [{rows}, {columns}], element {at}: {got} on {} with fusion {fusion}, {want} \
                             on the CPU without\nSYNOD_TEST_SEED={seed} repeats this",
                            device.name()
                        );
                    }
                }
            }
        }
    }
}
