//! Sums, means and extremes.

use crate::common::{Case, Random, check_covers, floats, uniform};
use synod_engine::{Device, Graph};

const COVERS: &[&str] = &["sum", "max", "min"];

/// Folds `x` of `shape` over `axes`.
fn reduce(x: &[f64], shape: &[usize], axes: &[usize], start: f64, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let kept: Vec<usize> = (0..shape.len()).filter(|i| !axes.contains(i)).collect();
    let mut out = vec![start; kept.iter().map(|&i| shape[i]).product()];
    for (at, &value) in x.iter().enumerate() {
        let mut rest = at;
        let mut index = vec![0; shape.len()];
        for i in (0..shape.len()).rev() {
            index[i] = rest % shape[i];
            rest /= shape[i];
        }
        let to = kept.iter().fold(0, |to, &i| to * shape[i] + index[i]);
        out[to] = f(out[to], value);
    }
    out
}

fn case(op: &'static str, shape: &[usize], axes: &[usize]) -> Case {
    let (shape, axes) = (shape.to_vec(), axes.to_vec());
    let signed: Vec<isize> = axes.iter().map(|&a| a as isize - shape.len() as isize).collect();
    let label = format!("{shape:?} over {axes:?}");
    let elements: usize = shape.iter().product();
    let input = if op == "sum" || elements > 1100 {
        // All of one sign: the error is relative to the sum.
        uniform(&shape, 0.2..2.0)
    } else {
        // Far enough apart that a finite difference never changes which of them is the extreme one.
        let mut values: Vec<f32> = (0..elements).map(|i| 0.2 + 0.005 * i as f32).collect();
        let mut random = Random::fresh();
        for i in (1..elements).rev() {
            values.swap(i, random.below(i + 1));
        }
        floats(shape.as_slice(), &values)
    };
    Case::new(
        op,
        vec![input],
        move |_, x| {
            vec![match op {
                "sum" => x[0].sum(&signed),
                "max" => x[0].max(&signed),
                _ => x[0].min(&signed),
            }]
        },
        move |x| {
            vec![match op {
                "sum" => reduce(&x[0], &shape, &axes, 0.0, |a, b| a + b),
                "max" => reduce(&x[0], &shape, &axes, f64::NEG_INFINITY, f64::max),
                _ => reduce(&x[0], &shape, &axes, f64::INFINITY, f64::min),
            }]
        },
    )
    .label(label)
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["sum", "max", "min"] {
        // Rows, columns and everything, with sizes about those of vectors and tiles.
        for (shape, axes) in [
            (&[1][..], &[0][..]),
            (&[7], &[0]),
            (&[5, 3], &[1]),
            (&[5, 3], &[0]),
            (&[3, 17], &[1]),
            (&[17, 3], &[0]),
            (&[33, 31], &[0]),
            (&[2, 65], &[1]),
            (&[65, 2], &[0]),
            (&[4, 7, 5], &[0, 1, 2]),
            (&[4, 7, 5], &[1]),
            (&[4, 7, 5], &[0, 2]),
            (&[4, 7, 5], &[0, 1]),
            (&[2, 3, 5, 7], &[1, 3]),
            (&[2, 3, 5, 7], &[0, 2]),
            (&[3, 1, 5], &[1]),
            (&[3, 1, 5], &[0, 1]),
        ] {
            cases.push(case(op, shape, axes));
        }
        // Too many for finite differences.
        for (shape, axes) in [
            (&[1024, 16][..], &[0][..]),
            (&[1021, 67], &[0]),
            (&[3, 131, 129], &[1]),
            (&[37, 4099], &[1]),
            (&[5, 8200], &[0]),
            (&[9, 300, 11], &[0, 2]),
            (&[70_001], &[0]),
            (&[70_001, 2], &[0]),
            (&[2, 70_001], &[1]),
            (&[5000, 31], &[0]),
            (&[3, 2100, 40], &[1]),
        ] {
            cases.push(case(op, shape, axes).outputs_only());
        }
    }
    cases
}

#[test]
fn cases_agree_with_references() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn a_million_numbers_sum_to_five_digits() {
    let mut random = Random::fresh();
    let n = 1 << 20;
    let x = random.floats(n, 0.0, 1.0);
    let want: f64 = x.iter().map(|&x| f64::from(x)).sum();
    for device in crate::common::devices() {
        for shape in [vec![n], vec![n / 16, 16], vec![n / 2, 2]] {
            let g = Graph::new();
            let sum = g.input("x", &shape).sum(&[0]);
            let mut program = device.compile(&g, &[sum]).unwrap();
            let out = program.run(&[("x", &x)]).unwrap();
            let got: f64 = out.f32(0).iter().map(|&x| f64::from(x)).sum();
            assert!((got / want - 1.0).abs() < 1e-6, "{shape:?}: {got} and {want}, seed {}", random.seed());
        }
    }
}

#[test]
fn means_divide_and_nan_is_not_lost() {
    let g = Graph::new();
    let x = g.input("x", [3, 5]);
    let outputs = [x.mean(&[-1]), x.mean_all(), x.max(&[0]), x.min(&[1]), x.max(&[0, 1]), x.sum(&[])];
    let mut program = Device::cpu().compile(&g, &outputs).unwrap();
    let mut values: Vec<f32> = (0..15).map(|i| i as f32).collect();
    {
        let out = program.run(&[("x", &values)]).unwrap();
        assert_eq!(out.f32(0), [2.0, 7.0, 12.0]);
        assert_eq!(out.f32(1), [7.0]);
        assert_eq!(out.f32(4), [14.0]);
        assert_eq!(out.f32(5), values);
    }
    values[7] = f32::NAN;
    let out = program.run(&[("x", &values)]).unwrap();
    assert!(out.f32(2)[2].is_nan() && out.f32(2)[1] == 11.0);
    assert!(out.f32(3)[1].is_nan() && out.f32(3)[2] == 10.0);
    assert!(out.f32(4)[0].is_nan());
}

#[test]
fn a_nan_anywhere_in_a_long_row_or_column_is_found() {
    for n in [1usize, 5, 16, 17, 64, 100, 1500] {
        for width in [1usize, 3, 40] {
            let g = Graph::new();
            let x = g.input("x", [n, width]);
            let mut program =
                Device::cpu().compile(&g, &[x.max(&[0]), x.min(&[0]), x.swap(0, 1).max(&[1])]).unwrap();
            for at in [0, n / 2, n - 1] {
                let mut values = vec![1.0f32; n * width];
                values[at * width] = f32::NAN;
                let out = program.run(&[("x", &values)]).unwrap();
                for i in 0..3 {
                    assert!(out.f32(i)[0].is_nan(), "output {i} of {n} x {width}, NaN at {at}");
                    assert!(out.f32(i)[1..].iter().all(|&v| v == 1.0));
                }
            }
        }
    }
}

#[test]
fn wrong_axes_are_refused() {
    for axes in [&[2isize][..], &[-3], &[0, 0], &[0, -2]] {
        let g = Graph::new();
        let y = g.input("x", [2, 3]).sum(axes);
        let message = Device::cpu().compile(&g, &[y]).err().unwrap().to_string();
        assert!(message.contains("axes") && message.contains("f32[2, 3]"), "{message}");
    }
}
