//! What is made of several ops: activations, logic, statistics, cumulative sums, losses and the like, each against f64
//! with its derivatives.

use crate::common::{Case, Input, Kind, devices, erf, floats, indices, integers, mask, signed, uniform};
use synod_engine::nn::{Activation, Builder, Embedding, RmsNorm};
use synod_engine::{Graph, Tensor};

/// `f` of every element of one operand or two of one shape.
fn each(
    label: &str,
    inputs: Vec<Input>,
    build: for<'g> fn(&[Tensor<'g>]) -> Tensor<'g>,
    f: fn(f64, f64) -> f64,
) -> Case {
    Case::composition(
        label,
        inputs,
        move |_, x| vec![build(x)],
        move |x| {
            let second = x.get(1).unwrap_or(&x[0]);
            vec![x[0].iter().zip(second).map(|(a, b)| f(*a, *b)).collect()]
        },
    )
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[test]
fn activations() {
    let x = || vec![uniform([7, 19], -5.0..5.0)];
    each("silu", x(), |x| x[0].silu(), |x, _| x * sigmoid(x)).check();
    each("log_sigmoid", x(), |x| x[0].log_sigmoid(), |x, _| -softplus(-x)).check();
    let gelu = |x: f64, _: f64| 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2));
    each("gelu_exact", x(), |x| x[0].gelu_exact(), gelu).check();
    each("ceil", x(), |x| x[0].ceil(), |x, _| x.ceil()).outputs_only().check();
    each(
        "log_sigmoid far out",
        vec![floats([3], &[-200.0, 90.0, 18.0])],
        |x| x[0].log_sigmoid(),
        |x, _| -softplus(-x),
    )
    .tolerance(1e-6)
    .outputs_only()
    .check();
}

#[test]
fn logic() {
    let two = || vec![mask([5, 9]), mask([5, 9])];
    type Build = for<'g> fn(&[Tensor<'g>]) -> Tensor<'g>;
    let case = |label: &str, build: Build, f: fn(f64, f64) -> f64, x: Vec<Input>| {
        each(label, x, build, f).outputs_only().check();
    };
    case("and", |x| x[0].logical_and(x[1]), |a, b| f64::from(u8::from(a != 0.0 && b != 0.0)), two());
    case("or", |x| x[0].logical_or(x[1]), |a, b| f64::from(u8::from(a != 0.0 || b != 0.0)), two());
    case("xor", |x| x[0].logical_xor(x[1]), |a, b| f64::from(u8::from((a != 0.0) != (b != 0.0))), two());
    case("not", |x| x[0].logical_not(), |a, _| f64::from(u8::from(a == 0.0)), two());
    let whole = || vec![Input { kind: Kind::Whole(3), ..uniform([40], 0.0..1.0) }; 2];
    case("not_equal", |x| x[0].not_equal(x[1]), |a, b| f64::from(u8::from(a != b)), whole());
}

/// Rows of `[outer, n, inner]` along the middle: `f` makes of each row another.
fn along(x: &[f64], n: usize, inner: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let outer = x.len() / n / inner;
    let at = |o: usize, i: usize, k: usize| x[(o * n + i) * inner + k];
    let rows: Vec<Vec<f64>> = (0..outer * inner)
        .map(|r| f(&(0..n).map(|i| at(r / inner, i, r % inner)).collect::<Vec<_>>()))
        .collect();
    let m = rows[0].len();
    (0..outer * m * inner).map(|i| rows[i / (m * inner) * inner + i % inner][i / inner % m]).collect()
}

fn sums(row: &[f64]) -> Vec<f64> {
    row.iter()
        .scan(0.0, |sum, x| {
            Some({
                *sum += x;
                *sum
            })
        })
        .collect()
}

fn products(row: &[f64]) -> Vec<f64> {
    row.iter()
        .scan(1.0, |product, x| {
            Some({
                *product *= x;
                *product
            })
        })
        .collect()
}

#[test]
fn cumulative_sums_and_products() {
    for (shape, axis, n, inner) in [
        (&[13][..], 0, 13, 1),
        (&[3, 11], -1, 11, 1),
        (&[3, 11], 0, 3, 11),
        (&[2, 5, 3], 1, 5, 3),
        (&[1, 1], 0, 1, 1),
    ] {
        let x = || vec![signed(shape, 0.5..1.5)];
        let sum = move |x: &[Vec<f64>]| vec![along(&x[0], n, inner, sums)];
        Case::composition("cumsum", x(), move |_, x| vec![x[0].cumsum(axis)], sum).check();
        let product = move |x: &[Vec<f64>]| vec![along(&x[0], n, inner, products)];
        Case::composition("cumprod", x(), move |_, x| vec![x[0].cumprod(axis)], product).check();
    }
    // A zero, whose derivative is the product of the others.
    let zero = floats([4], &[0.5, 0.0, -1.5, 2.0]);
    Case::composition(
        "cumprod with a zero",
        vec![zero],
        |_, x| vec![x[0].cumprod(0)],
        |x| vec![products(&x[0])],
    )
    .check();
    Case::composition(
        "a long cumsum",
        vec![uniform([3, 5000], -1.0..1.0)],
        |_, x| vec![x[0].cumsum(1)],
        |x| vec![along(&x[0], 5000, 1, sums)],
    )
    .scale(30.0)
    .outputs_only()
    .check();
}

#[test]
fn cumulative_sums_and_products_never_lose_what_is_not_finite() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    // Longer than what a GPU computes in one go.
    let long: Vec<f32> = (0..400)
        .map(|i| {
            if i == 3 {
                nan
            } else if i % 7 == 5 {
                0.0
            } else {
                1.0
            }
        })
        .collect();
    for device in devices() {
        for values in [
            &[2.0, nan, 0.0, 3.0][..],
            &[infinity, 0.0, 1.0],
            &[infinity, -infinity, 1.0],
            &[0.0, -2.0],
            &long,
        ] {
            let g = Graph::new();
            let x = g.input("x", [values.len()]);
            let mut program = device.compile(&g, &[x.cumsum(0), x.cumprod(0)]).unwrap();
            let out = program.run(&[("x", &values)]).unwrap();
            let (mut sum, mut product) = (0.0, 1.0);
            for (i, x) in values.iter().enumerate() {
                sum += x;
                product *= x;
                for (got, want) in [(out.f32(0)[i], sum), (out.f32(1)[i], product)] {
                    let same = got == want || got.is_nan() && want.is_nan();
                    assert!(same, "{}: element {i} of {values:?} is {got}, expected {want}", device.name());
                }
            }
        }
    }
}

fn variance(row: &[f64]) -> f64 {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n
}

#[test]
fn statistics() {
    for (shape, axis, n, inner) in [(&[17][..], 0, 17, 1), (&[4, 9], -1, 9, 1), (&[2, 5, 3], 1, 5, 3)] {
        let x = || vec![uniform(shape, -2.0..3.0)];
        let reference = move |x: &[Vec<f64>]| vec![along(&x[0], n, inner, |row| vec![variance(row)])];
        Case::composition("variance", x(), move |_, x| vec![x[0].variance(&[axis])], reference).check();
        let norm = |row: &[f64]| vec![row.iter().map(|x| x * x).sum::<f64>().sqrt()];
        let reference = move |x: &[Vec<f64>]| vec![along(&x[0], n, inner, norm)];
        Case::composition("norm", x(), move |_, x| vec![x[0].norm(&[axis])], reference).check();
    }
    // Digits that the mean of the squares would lose.
    let far = uniform([3, 400], 0.0..1.0);
    Case::composition(
        "variance far from 0",
        vec![far],
        |_, x| vec![(x[0] + 1000.0).variance(&[-1])],
        |x| {
            vec![
                x[0].chunks(400)
                    .map(|row| {
                        variance(&row.iter().map(|x| f64::from((x + 1000.0) as f32)).collect::<Vec<_>>())
                    })
                    .collect(),
            ]
        },
    )
    .outputs_only()
    .check();
    Case::composition(
        "rms_norm",
        vec![uniform([5, 13], -2.0..2.0), uniform([13], 0.5..1.5)],
        |_, x| vec![x[0].rms_norm(x[1], 0.01)],
        |x| {
            let row = |row: &[f64]| {
                let root = (row.iter().map(|x| x * x).sum::<f64>() / 13.0 + f64::from(0.01f32)).sqrt();
                row.iter().zip(&x[1]).map(|(x, scale)| x / root * scale).collect::<Vec<_>>()
            };
            vec![x[0].chunks(13).flat_map(row).collect()]
        },
    )
    .check();
    Case::composition(
        "argmin",
        vec![Input { kind: Kind::Whole(4), ..uniform([6, 7], 0.0..1.0) }],
        |_, x| vec![x[0].argmin()],
        |x| {
            let least = |row: &[f64]| {
                row.iter().enumerate().fold(0, |best, (i, v)| if *v < row[best] { i } else { best })
            };
            vec![x[0].chunks(7).map(|row| least(row) as f64).collect()]
        },
    )
    .outputs_only()
    .check();
}

#[test]
fn a_norm_of_zeros_has_a_gradient_of_zeros() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [2, 3]);
        let norm = x.norm(&[1]);
        let gradient = g.grad(norm.sum_all(), &[x]).unwrap()[0];
        let mut program = device.compile(&g, &[norm, gradient]).unwrap();
        let out = program.run(&[("x", &[0.0f32, 0.0, 0.0, 3.0, 0.0, 4.0])]).unwrap();
        assert_eq!(out.f32(0), [0.0, 5.0], "{}", device.name());
        for (got, want) in out.f32(1).iter().zip([0.0, 0.0, 0.0, 0.6, 0.0, 0.8]) {
            assert!((got - want).abs() < 1e-6, "{}: {got} instead of {want}", device.name());
        }
        let out = program.run(&[("x", &[f32::NAN, 0.0, 0.0, f32::INFINITY, 0.0, 4.0])]).unwrap();
        assert!(out.f32(0)[0].is_nan() && out.f32(0)[1] == f32::INFINITY, "{}", device.name());
        let out = program.run(&[("x", &[3e30f32, 4e30, 0.0, 3e-30, 0.0, -4e-30])]).unwrap();
        for (got, want) in out.f32(0).iter().zip([5e30, 5e-30]) {
            assert!((got / want - 1.0).abs() < 1e-6, "{}: {got} instead of {want}", device.name());
        }
    }
}

#[test]
fn losses() {
    Case::composition(
        "cross_entropy",
        vec![uniform([4, 3, 7], -3.0..3.0), indices([4, 3], 7)],
        |_, x| vec![x[0].cross_entropy(x[1])],
        |x| {
            let one = |(row, class): (&[f64], &f64)| {
                row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[*class as usize]
            };
            vec![x[0].chunks(7).zip(&x[1]).map(one).collect()]
        },
    )
    .check();
    let inputs = vec![uniform([5, 11], -4.0..4.0), uniform([5, 11], 0.0..1.0)];
    let reference = |x: f64, t: f64| t * softplus(-x) + (1.0 - t) * softplus(x);
    each("binary_cross_entropy", inputs, |x| x[0].binary_cross_entropy(x[1]), reference).check();
    // A sure answer that is right costs its tail, not 0.
    for device in devices() {
        let g = Graph::new();
        let loss = g.input("x", [2]).binary_cross_entropy(g.input("t", [2]));
        let mut program = device.compile(&g, &[loss]).unwrap();
        let out = program.run(&[("x", &[30.0f32, -30.0]), ("t", &[1.0f32, 0.0])]).unwrap();
        for loss in out.f32(0) {
            assert!((loss / (-30f32).exp() - 1.0).abs() < 1e-4, "{}: {loss}", device.name());
        }
    }
    let reference = |x: f64, _: f64| if x.abs() <= 1.5 { x * x / 2.0 } else { 1.5 * (x.abs() - 0.75) };
    each("huber within", vec![signed([17], 0.1..1.3)], |x| x[0].huber(1.5), reference).check();
    each("huber beyond", vec![signed([17], 1.7..4.0)], |x| x[0].huber(1.5), reference).check();
}

#[test]
fn what_is_made_from_sizes() {
    Case::composition(
        "arange and eye",
        vec![uniform([3, 4], -1.0..1.0)],
        |g, x| vec![g.arange(5), x[0] + g.eye(3, 4), g.eye(4, 2)],
        |x| {
            let eye = |rows: usize, columns: usize| {
                (0..rows * columns)
                    .map(|i| f64::from(u8::from(i / columns == i % columns)))
                    .collect::<Vec<_>>()
            };
            let sum = x[0].iter().zip(eye(3, 4)).map(|(a, b)| a + b).collect();
            vec![vec![0.0, 1.0, 2.0, 3.0, 4.0], sum, eye(4, 2)]
        },
    )
    .check();
    for diagonal in [-2isize, 0, 1, 9, isize::MIN, isize::MAX] {
        let reference = move |x: &[Vec<f64>]| {
            let keep = |lower: bool| {
                let one = |(i, x): (usize, &f64)| {
                    let (row, column) = (i / 5 % 4, i % 5);
                    let from = (row as isize).saturating_add(diagonal);
                    let kept = if lower { column as isize <= from } else { column as isize >= from };
                    if kept { *x } else { 0.0 }
                };
                x[0].iter().enumerate().map(one).collect::<Vec<_>>()
            };
            vec![keep(true), keep(false)]
        };
        Case::composition(
            format!("triangles from {diagonal}"),
            vec![uniform([2, 4, 5], -2.0..2.0)],
            move |_, x| vec![x[0].tril(diagonal), x[0].triu(diagonal)],
            reference,
        )
        .check();
    }
}

#[test]
fn order_along_an_axis() {
    let rolled = |row: &[f64], shift: isize| -> Vec<f64> {
        let n = row.len() as isize;
        (0..n).map(|i| row[(i - shift).rem_euclid(n) as usize]).collect()
    };
    for shift in [0isize, 1, -2, 7, 5, isize::MIN] {
        Case::composition(
            format!("roll by {shift}"),
            vec![uniform([2, 5, 3], -2.0..2.0)],
            move |_, x| vec![x[0].roll(1, shift)],
            move |x| vec![along(&x[0], 5, 3, |row| rolled(row, shift.rem_euclid(5)))],
        )
        .check();
    }
}

#[test]
fn parts_by_index() {
    for (shape, axis, n, inner) in
        [(&[7][..], 0, 7, 1), (&[3, 7], 1, 7, 1), (&[5, 2, 3], 0, 5, 6), (&[2, 5, 3], -2, 5, 3)]
    {
        let chosen = [4u32, 0, 4, 1];
        let pick = move |row: &[f64]| chosen.iter().map(|&i| row[i as usize]).collect::<Vec<_>>();
        Case::composition(
            "index_select",
            vec![uniform(shape, -2.0..2.0), integers([4], &chosen)],
            move |_, x| vec![x[0].index_select(axis, x[1])],
            move |x| vec![along(&x[0], n, inner, pick)],
        )
        .check();
        for (start, length, step) in [(0, 3, 2), (1, 2, 3), (4, 1, 9), (0, 5, 1), (2, 2, 2)] {
            let pick = move |row: &[f64]| (0..length).map(|i| row[start + i * step]).collect::<Vec<_>>();
            Case::composition(
                format!("strided_slice {start}, {length}, {step}"),
                vec![uniform(shape, -2.0..2.0)],
                move |_, x| vec![x[0].strided_slice(axis, start, length, step)],
                move |x| vec![along(&x[0], n, inner, pick)],
            )
            .check();
        }
    }
    for (rows, columns) in [(4, 4), (5, 2), (2, 5), (1, 1)] {
        Case::composition(
            "diagonal",
            vec![uniform([3, rows, columns], -2.0..2.0)],
            |_, x| vec![x[0].diagonal()],
            move |x| {
                let each = |m: &[f64]| (0..rows.min(columns)).map(|i| m[i * columns + i]).collect::<Vec<_>>();
                vec![x[0].chunks(rows * columns).flat_map(each).collect()]
            },
        )
        .check();
    }
    for refused in [(4, 2, 2), (6, 0, 1), (0, 2, 0), (0, 3, usize::MAX), (usize::MAX, 1, 1)] {
        let g = Graph::new();
        g.input("x", [5]).strided_slice(0, refused.0, refused.1, refused.2);
        assert!(g.check().unwrap_err().to_string().contains("strided_slice"), "{refused:?}");
    }
}

#[test]
fn layers_of_tables_and_norms() {
    let count = 5;
    for (lanes, things, shape) in [(None, [6, 1], [6, 3]), (Some(2), [3, 2], [6, 3])] {
        for device in devices() {
            let mut builder = match lanes {
                None => Builder::new(1),
                Some(lanes) => Builder::with_lanes(1, lanes),
            };
            let table = Embedding::new(&mut builder, "table", count, 3);
            let norm = RmsNorm::new(&mut builder, "norm", 3);
            let parameters = builder.build(&device).unwrap();
            let g = Graph::new();
            let weights = parameters.weights(&g);
            let chosen = [4u32, 0, 1, 4, 3, 2];
            let rows = table.forward(&weights, g.constant_u32(things, &chosen));
            let y = Activation::Silu.apply(norm.forward(&weights, rows));
            assert_eq!(rows.shape()[..], [&things[..], &[3]].concat());
            let gradient = parameters.gradient(rows.sum_all(), &weights).unwrap();
            let mut program = device.compile(&g, &[rows.reshape(shape), y.reshape(shape), gradient]).unwrap();
            let out = program.run(&[]).unwrap();
            let flat = parameters.flat().read().unwrap();
            for (i, &thing) in chosen.iter().enumerate() {
                // Each agent has its own table, one after the other.
                let own = lanes.map_or(0, |lanes| i % lanes) * count * 3;
                let row = &flat[own + thing as usize * 3..][..3];
                assert_eq!(&out.f32(0)[3 * i..][..3], row, "{}", device.name());
                let root = (row.iter().map(|x| x * x).sum::<f32>() / 3.0 + 1e-5).sqrt();
                for (got, x) in out.f32(1)[3 * i..].iter().zip(row) {
                    let want = x / root * sigmoid(f64::from(x / root)) as f32;
                    assert!((got - want).abs() < 1e-5, "{}: {got} instead of {want}", device.name());
                }
            }
            // Thing 4 was asked for twice, by one table or by two.
            let twice = out.f32(2)[4 * 3];
            assert_eq!(twice, if lanes.is_none() { 2.0 } else { 1.0 }, "{}", device.name());
        }
    }
}
