//! Pooling and one-dimensional convolution.

use crate::common::{Case, Input, Random, devices, floats, uniform};
use synod_engine::Graph;

/// Pools `[outer, size, inner]` along the middle.
fn pool(x: &[f64], (size, inner): (usize, usize), window: [usize; 3], largest: bool) -> Vec<f64> {
    let [length, stride, padding] = window;
    let (outer, places) = (x.len() / size / inner, (size + 2 * padding - length) / stride + 1);
    let mut out = Vec::new();
    for o in 0..outer {
        for place in 0..places {
            for k in 0..inner {
                let elements = (0..length).filter_map(|i| {
                    let at = (place * stride + i).checked_sub(padding).filter(|at| *at < size)?;
                    Some(x[(o * size + at) * inner + k])
                });
                out.push(match largest {
                    true => elements.fold(f64::NEG_INFINITY, f64::max),
                    false => elements.sum::<f64>() / length as f64,
                });
            }
        }
    }
    out
}

/// Numbers of a shape far enough apart that a finite difference does not change which is the largest.
fn apart(shape: &[usize]) -> Input {
    let mut random = Random::fresh();
    let n: usize = shape.iter().product();
    let mut values: Vec<f32> = (0..n).map(|i| i as f32 * 4.0 / n as f32 - 2.0).collect();
    (1..n).rev().for_each(|i| values.swap(i, random.below(i + 1)));
    floats(shape, &values)
}

#[test]
fn pools_along_a_sequence() {
    for (size, window) in [
        (8, [2, 2, 0]),
        (9, [2, 2, 0]),
        (7, [3, 1, 0]),
        (7, [3, 1, 1]),
        (11, [3, 2, 1]),
        (10, [2, 3, 0]),
        (5, [5, 1, 0]),
        (5, [3, 3, 1]),
        (1, [1, 1, 0]),
        (3, [3, 7, 2]),
    ] {
        let [length, stride, padding] = window;
        for largest in [true, false] {
            let shape = [2, size, 3];
            Case::composition(
                format!("{window:?}, largest: {largest}"),
                vec![if largest { apart(&shape) } else { uniform(shape, -2.0..2.0) }],
                move |_, x| {
                    vec![match largest {
                        true => x[0].max_pool1d(length, stride, padding),
                        false => x[0].mean_pool1d(length, stride, padding),
                    }]
                },
                move |x| vec![pool(&x[0], (size, 3), window, largest)],
            )
            .check();
        }
    }
}

#[test]
fn pools_over_images() {
    for (rows, columns) in [([2, 2, 0], [2, 2, 0]), ([3, 2, 1], [2, 1, 0])] {
        let [window, stride, padding] = [0, 1, 2].map(|i| [rows[i], columns[i]]);
        for largest in [true, false] {
            let shape = [2, 6, 5, 2];
            Case::composition(
                format!("{rows:?} and {columns:?}, largest: {largest}"),
                vec![if largest { apart(&shape) } else { uniform(shape, -2.0..2.0) }],
                move |_, x| {
                    vec![match largest {
                        true => x[0].max_pool2d(window, stride, padding),
                        false => x[0].mean_pool2d(window, stride, padding),
                    }]
                },
                move |x| {
                    let vertical = pool(&x[0], (6, 10), rows, largest);
                    vec![pool(&vertical, (5, 2), columns, largest)]
                },
            )
            .check();
        }
    }
}

#[test]
fn what_is_not_finite_stays_in_its_windows() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [1, 4, 1]);
        let outputs = [x.max_pool1d(2, 2, 0), x.max_pool1d(2, 1, 0), x.max_pool1d(3, 2, 1)];
        let mut program = device.compile(&g, &outputs).unwrap();
        let out = program.run(&[("x", &[f32::NAN, 1.0, f32::NEG_INFINITY, f32::NEG_INFINITY])]).unwrap();
        assert!(out.f32(0)[0].is_nan() && out.f32(0)[1] == f32::NEG_INFINITY, "{}", device.name());
        assert!(out.f32(1)[0].is_nan() && out.f32(1)[1] == 1.0, "{}", device.name());
        assert!(out.f32(2)[0].is_nan() && out.f32(2)[1] == 1.0, "{}", device.name());
    }
}

#[test]
fn windows_that_do_not_fit_are_refused() {
    for [window, stride, padding] in [
        [0, 1, 0],
        [2, 0, 0],
        [9, 1, 1],
        [2, 1, 2],
        [1, usize::MAX, 0],
        [usize::MAX, 1, 0],
        [3, 1, usize::MAX],
    ] {
        let g = Graph::new();
        let y = g.input("x", [1, 4, 1]).max_pool1d(window, stride, padding);
        let fits = window == 1 && stride == usize::MAX;
        assert!(g.check().is_err() || fits, "{window}, {stride}, {padding} gave {y:?}");
    }
    let g = Graph::new();
    g.input("x", [4]).max_pool2d([2, 2], [2, 2], [0, 0]);
    assert!(g.check().unwrap_err().to_string().contains("max_pool2d"));
}

/// `[images, length, inputs]` with `[taps, inputs, outputs]`.
fn convolved(
    x: &[f64],
    w: &[f64],
    [length, inputs, taps, outputs]: [usize; 4],
    stride: usize,
    padding: usize,
) -> Vec<f64> {
    let (images, places) = (x.len() / length / inputs, (length + 2 * padding - taps) / stride + 1);
    let mut out = Vec::new();
    for image in 0..images {
        for place in 0..places {
            for o in 0..outputs {
                let mut sum = 0.0;
                for tap in 0..taps {
                    let Some(at) = (place * stride + tap).checked_sub(padding).filter(|at| *at < length)
                    else {
                        continue;
                    };
                    for i in 0..inputs {
                        sum += x[(image * length + at) * inputs + i] * w[(tap * inputs + i) * outputs + o];
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}

#[test]
fn one_dimensional_convolution() {
    for (sizes, stride, padding) in [([9, 3, 3, 4], 1, 1), ([8, 2, 4, 3], 2, 0), ([5, 1, 1, 2], 1, 0)] {
        let [length, inputs, taps, outputs] = sizes;
        Case::composition(
            format!("conv1d, stride {stride}, padding {padding}"),
            vec![uniform([2, length, inputs], -1.0..1.0), uniform([taps, inputs, outputs], -1.0..1.0)],
            move |_, x| vec![x[0].conv1d(x[1], stride, padding)],
            move |x| vec![convolved(&x[0], &x[1], sizes, stride, padding)],
        )
        .tolerance(1e-4)
        .check();
    }
    // Weights with lanes: each convolves its own images.
    Case::composition(
        "conv1d with lanes",
        vec![uniform([2, 3, 7, 2], -1.0..1.0), uniform([2, 3, 2, 4], -1.0..1.0)],
        |_, x| vec![x[0].conv1d(x[1], 1, 0)],
        |x| {
            let lane = |i: usize| convolved(&x[0][i * 42..][..42], &x[1][i * 24..][..24], [7, 2, 3, 4], 1, 0);
            vec![[lane(0), lane(1)].concat()]
        },
    )
    .tolerance(1e-4)
    .check();
    let g = Graph::new();
    g.input("x", [4]).conv1d(g.input("w", [3]), 1, 0);
    assert!(g.check().unwrap_err().to_string().contains("conv1d"));
}
