//! Convolutions against plain loops in f64.

use crate::common::{Case, uniform};
use synod_engine::{Device, Graph, Tensor};

const COVERS: &[&str] = &["conv2d", "conv2d_input_gradient", "conv2d_weight_gradient"];

/// Lanes of images with lanes of weights: `x` of `[lanes_x, n, h, w, in]`, `weight` of `[lanes_w, rows, columns, in, out]`.
fn reference(
    (x, of_x): (&[f64], [usize; 5]),
    (weight, of_w): (&[f64], [usize; 5]),
    stride: [usize; 2],
    padding: [usize; 2],
) -> Vec<f64> {
    let [lanes_x, n, h, w, inputs] = of_x;
    let [lanes_w, rows, columns, _, outputs] = of_w;
    let height = (h + 2 * padding[0] - rows) / stride[0] + 1;
    let width = (w + 2 * padding[1] - columns) / stride[1] + 1;
    let mut y = Vec::new();
    for lane in 0..lanes_x.max(lanes_w) {
        let (lx, lw) = (lane.min(lanes_x - 1), lane.min(lanes_w - 1));
        for image in 0..n {
            for oy in 0..height {
                for ox in 0..width {
                    for o in 0..outputs {
                        let mut sum = 0.0;
                        for ky in 0..rows {
                            for kx in 0..columns {
                                let (iy, ix) = (oy * stride[0] + ky, ox * stride[1] + kx);
                                if iy < padding[0] || ix < padding[1] {
                                    continue;
                                }
                                let (iy, ix) = (iy - padding[0], ix - padding[1]);
                                if iy >= h || ix >= w {
                                    continue;
                                }
                                for i in 0..inputs {
                                    sum += x[(((lx * n + image) * h + iy) * w + ix) * inputs + i]
                                        * weight
                                            [(((lw * rows + ky) * columns + kx) * inputs + i) * outputs + o];
                                }
                            }
                        }
                        y.push(sum);
                    }
                }
            }
        }
    }
    y
}

fn five(shape: &[usize], lanes: bool) -> [usize; 5] {
    let at = shape.len() - 3;
    // Without lanes in the weight all leading dimensions are images.
    match lanes {
        true => [shape[..at - 1].iter().product(), shape[at - 1], shape[at], shape[at + 1], shape[at + 2]],
        false => [1, shape[..at].iter().product(), shape[at], shape[at + 1], shape[at + 2]],
    }
}

fn convolution(
    x: &[usize],
    weight: &[usize],
    stride: [usize; 2],
    padding: [usize; 2],
    op: &'static str,
) -> Case {
    let lanes = weight.len() > 4;
    let of_x = five(x, lanes);
    let last = &weight[weight.len() - 4..];
    let of_w = [weight[..weight.len() - 4].iter().product(), last[0], last[1], last[2], last[3]];
    let case = Case::new(
        op,
        vec![uniform(x, -1.5..1.5), uniform(weight, -1.5..1.5)],
        move |_, t| vec![t[0].conv2d(t[1], stride, padding)],
        move |v| vec![reference((&v[0], of_x), (&v[1], of_w), stride, padding)],
    )
    .tolerance(1e-5);
    let label = format!("{}, stride {stride:?}, padding {padding:?}", case.label);
    case.label(label)
}

#[test]
fn small_images_with_gradients() {
    for (x, weight, stride, padding) in [
        (&[1, 1, 1][..], &[1, 1, 1, 1][..], [1, 1], [0, 0]),
        (&[3, 4, 2], &[2, 3, 2, 3], [1, 1], [0, 0]),
        (&[2, 5, 4, 1], &[3, 3, 1, 2], [1, 1], [1, 1]),
        (&[2, 5, 6, 2], &[3, 2, 2, 2], [2, 3], [1, 0]),
        (&[2, 2, 3, 3, 2], &[2, 2, 2, 2], [1, 2], [0, 1]),
        (&[1, 2, 2, 1], &[3, 3, 1, 1], [2, 2], [2, 2]),
        // Weights of their own, images of their own, and each shared by the lanes of the other.
        (&[2, 2, 3, 3, 2], &[2, 2, 2, 2, 2], [1, 1], [1, 0]),
        (&[1, 2, 3, 3, 1], &[2, 3, 3, 1, 2], [1, 1], [1, 1]),
        (&[2, 1, 3, 3, 1], &[1, 3, 3, 1, 2], [2, 1], [1, 1]),
    ] {
        for op in ["conv2d", "conv2d_input_gradient", "conv2d_weight_gradient"] {
            convolution(x, weight, stride, padding, op).check();
        }
    }
}

#[test]
fn sizes_of_agents_and_around_tiles() {
    for (x, weight, stride, padding) in [
        (&[7, 11, 11, 3][..], &[3, 3, 3, 16][..], [1, 1], [1, 1]),
        (&[5, 5, 5, 64], &[3, 3, 64, 65], [1, 1], [1, 1]),
        (&[2, 17, 13, 9], &[5, 3, 9, 31], [2, 1], [2, 0]),
        (&[3, 1, 65, 4], &[1, 8, 4, 33], [1, 4], [0, 3]),
        (&[3, 2, 6, 6, 8], &[3, 3, 3, 8, 17], [1, 1], [1, 1]),
    ] {
        convolution(x, weight, stride, padding, "conv2d").outputs_only().check();
        // Linear in each operand: the gradients of a sum of products come out of few finite differences.
        convolution(x, weight, stride, padding, "conv2d").first_order().check();
    }
}

type Curve = (for<'g> fn(Tensor<'g>) -> Tensor<'g>, fn(f64) -> f64);

#[test]
fn bias_and_activation_join_the_convolution() {
    let curves: [Curve; 5] = [
        (|x| x, |x| x),
        (|x| x.relu(), |x| x.max(0.0)),
        (|x| x.tanh(), f64::tanh),
        (|x| x.sigmoid(), |x| 1.0 / (1.0 + (-x).exp())),
        (|x| x.gelu(), |x| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh())),
    ];
    for (curve, exact) in curves {
        let (of_x, of_w) = ([2, 5, 4, 3], [3, 3, 3, 7]);
        Case::new(
            "conv2d",
            vec![uniform(of_x, -1.0..1.0), uniform(of_w, -1.0..1.0), uniform([7], -1.0..1.0)],
            move |_, t| vec![curve(t[0].conv2d(t[1], [1, 1], [1, 1]) + t[2])],
            move |v| {
                let y = reference((&v[0], [1, 2, 5, 4, 3]), (&v[1], [1, 3, 3, 3, 7]), [1, 1], [1, 1]);
                vec![y.iter().enumerate().map(|(i, y)| exact(y + v[2][i % 7])).collect()]
            },
        )
        .tolerance(1e-5)
        .fusion_may_round()
        .outputs_only()
        .check();
    }
    let g = Graph::new();
    let y = (g.input("x", [2, 4, 4, 3]).conv2d(g.input("w", [3, 3, 3, 4]), [1, 1], [1, 1])
        + g.input("b", [4]))
    .relu();
    assert_eq!(Device::cpu().compile(&g, &[y]).unwrap().summary().steps, 1);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for (x, weight, stride, padding) in [
        (&[2, 4, 4, 3][..], &[3, 3, 4, 8][..], [1, 1], [0, 0]),
        (&[2, 2, 2, 3], &[3, 3, 3, 8], [1, 1], [0, 0]),
        (&[2, 4, 4, 3], &[3, 3, 3, 8], [0, 1], [0, 0]),
        (&[4, 4, 3], &[2, 3, 3, 3, 8], [1, 1], [0, 0]),
        (&[3, 2, 4, 4, 3], &[2, 3, 3, 3, 8], [1, 1], [0, 0]),
        (&[4, 3], &[3, 3, 3, 8], [1, 1], [0, 0]),
        (&[4, 4, 3], &[3, 3, 8], [1, 1], [0, 0]),
    ] {
        let g = Graph::new();
        let bad = g.input("x", x.to_vec()).conv2d(g.input("w", weight.to_vec()), stride, padding);
        let message = Device::cpu().compile(&g, &[bad]).err().unwrap().to_string();
        assert!(message.contains("conv2d") && message.contains("f32["), "{message}");
    }
}

/// The cases above differentiate convolutions; this is what runs when they do.
#[test]
fn gradients_of_convolutions_are_convolutions() {
    let g = Graph::new();
    let (x, w) = (g.input("x", [2, 5, 4, 3]), g.input("w", [3, 3, 3, 2]));
    let y = x.conv2d(w, [1, 1], [1, 1]);
    let mut outputs = g.grad((y * y).sum_all(), &[x, w]).unwrap();
    outputs.push(y);
    let summary = Device::cpu().compile(&g, &outputs).unwrap().summary();
    for name in COVERS {
        assert!(summary.kernels.iter().any(|(kernel, _)| kernel == name), "{name}: {:?}", summary.kernels);
    }
}
