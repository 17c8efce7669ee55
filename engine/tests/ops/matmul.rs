//! Products of matrices against plain loops in f64.

use crate::common::{Case, uniform};
use synod_engine::op::matmul::{Kernel, Matmul};
use synod_engine::{Device, Graph, Tensor};

/// `op(a) op(b)` with broadcast leading dimensions.
fn reference(a: &[f64], of_a: &[usize], b: &[f64], of_b: &[usize], ta: bool, tb: bool) -> Vec<f64> {
    let sizes = |s: &[usize], t: bool| {
        let (r, c) = (s[s.len() - 2], s[s.len() - 1]);
        if t { (c, r) } else { (r, c) }
    };
    let ((m, k), (_, n)) = (sizes(of_a, ta), sizes(of_b, tb));
    let rank = of_a.len().max(of_b.len()) - 2;
    let lead = |s: &[usize]| -> Vec<usize> {
        let own = &s[..s.len() - 2];
        std::iter::repeat_n(1, rank - own.len()).chain(own.iter().copied()).collect()
    };
    let (la, lb) = (lead(of_a), lead(of_b));
    let out: Vec<usize> = la.iter().zip(&lb).map(|(a, b)| *a.max(b)).collect();
    let mut result = Vec::new();
    for lane in 0..out.iter().product::<usize>() {
        let offset = |own: &[usize]| {
            let (mut rest, mut at, mut stride) = (lane, 0, 1);
            for i in (0..rank).rev() {
                let index = rest % out[i];
                rest /= out[i];
                at += (index % own[i]) * stride;
                stride *= own[i];
            }
            at
        };
        let (a, b) = (&a[offset(&la) * m * k..], &b[offset(&lb) * k * n..]);
        for i in 0..m {
            for j in 0..n {
                let term = |p: usize| {
                    let x = if ta { a[p * m + i] } else { a[i * k + p] };
                    x * if tb { b[j * k + p] } else { b[p * n + j] }
                };
                result.push((0..k).map(term).sum());
            }
        }
    }
    result
}

/// The shape with its last two dimensions exchanged.
fn flip(shape: &[usize], by: bool) -> Vec<usize> {
    let (mut shape, rank) = (shape.to_vec(), shape.len());
    if by {
        shape.swap(rank - 2, rank - 1);
    }
    shape
}

fn product(of_a: &[usize], of_b: &[usize], ta: bool, tb: bool, gradients: bool) {
    product_by(None, of_a, of_b, ta, tb, gradients);
}

fn product_by(kernel: Option<Kernel>, of_a: &[usize], of_b: &[usize], ta: bool, tb: bool, gradients: bool) {
    // Numbers between -1.5 and 1.5 have the variance 3/4: so much is the standard deviation of a sum of products.
    let deviation = 0.75 * (of_a[of_a.len() - 1] as f64).sqrt();
    let (of_a, of_b) = (flip(of_a, ta), flip(of_b, tb));
    let inputs = vec![uniform(&of_a, -1.5..1.5), uniform(&of_b, -1.5..1.5)];
    let op = match kernel {
        Some(kernel) => Matmul::new(ta, tb).with_kernel(kernel),
        None => Matmul::new(ta, tb),
    };
    let case = Case::new(
        "matmul",
        inputs,
        move |g, t| vec![g.apply_one(op.clone(), &[t[0], t[1]])],
        move |v| vec![reference(&v[0], &of_a, &v[1], &of_b, ta, tb)],
    )
    .tolerance(1e-5)
    .scale(deviation);
    let label = format!("{}, transposed {ta} {tb}, kernel {kernel:?}", case.label);
    let case = case.label(label);
    if gradients { case.check() } else { case.outputs_only().check() }
}

#[test]
fn all_transposes_and_broadcasts_with_gradients() {
    for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
        for (a, b) in [
            (&[3, 4][..], &[4, 5][..]),
            (&[1, 1], &[1, 1]),
            (&[2, 3, 2], &[2, 4]),
            (&[3, 2], &[2, 2, 3]),
            (&[2, 1, 2, 3], &[3, 3, 2]),
            (&[2, 3, 2, 2], &[2, 1, 2, 3]),
            (&[2, 3, 1, 2], &[3, 2, 1]),
            (&[2, 2, 2, 2, 3], &[1, 2, 1, 3, 2]),
        ] {
            product(a, b, ta, tb, true);
        }
    }
}

#[test]
fn sizes_around_tiles() {
    for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
        for (m, n, k) in [
            (1, 1, 67),
            (1, 257, 31),
            (63, 65, 64),
            (64, 64, 64),
            (65, 63, 17),
            (7, 1, 300),
            (2, 129, 3),
            (128, 68, 132),
        ] {
            product(&[m, k], &[k, n], ta, tb, false);
            product(&[3, m, k], &[3, k, n], ta, tb, false);
            product(&[2, m, k], &[k, n], ta, tb, false);
        }
    }
}

/// Sizes that a kernel takes: all multiples of four (read as vectors) and none, exact fits, long sums.
fn sizes_for(kernel: Kernel) -> &'static [(usize, usize, usize)] {
    match kernel {
        Kernel::Vectors => {
            &[(1, 65, 131), (3, 36, 64), (37, 2, 130), (132, 4, 68), (2, 41, 1101), (1, 1, 2051), (3, 3, 33)]
        }
        Kernel::Thin => &[(1, 7, 1), (33, 19, 3), (12, 8, 20)],
        _ => &[(1, 1, 1), (64, 132, 36), (131, 67, 35), (33, 37, 1031)],
    }
}

const TRANSPOSES: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

#[test]
fn every_kernel_at_odd_sizes_and_transposed() {
    for kernel in Kernel::ALL {
        for (ta, tb) in TRANSPOSES {
            for &(m, n, k) in sizes_for(kernel) {
                product_by(Some(kernel), &[m, k], &[k, n], ta, tb, false);
            }
        }
    }
}

#[test]
fn every_kernel_over_lanes_that_are_shared() {
    for kernel in Kernel::ALL {
        for (ta, tb) in TRANSPOSES {
            // 18 lanes fill one workgroup of the smallest tile and begin another. Rows of `a` that meet one `b` become
            // rows of one product.
            for (m, n, k) in [(6, 3, 11), (20, 4, 36)] {
                product_by(Some(kernel), &[2, 1, m, k], &[9, k, n], ta, tb, false);
                product_by(Some(kernel), &[m, k], &[3, k, n], ta, tb, false);
                product_by(Some(kernel), &[2, 3, m, k], &[2, 1, k, n], ta, tb, false);
            }
        }
    }
}

#[test]
fn every_kernel_with_bias_and_activation() {
    for kernel in Kernel::ALL {
        // The last sum is cut into parts by most kernels.
        for (m, n, k, flipped) in [(3, 20, 40, false), (67, 3, 9, true), (2, 37, 601, false)] {
            let (of_x, of_w) = (flip(&[3, m, k], flipped), flip(&[3, k, n], flipped));
            let (x, w) = (uniform(&of_x, -1.0..1.0), uniform(&of_w, -1.0..1.0));
            let case = Case::new(
                "matmul",
                vec![x, w, uniform([n], -1.0..1.0)],
                move |g, t| {
                    let op = Matmul::new(flipped, flipped).with_kernel(kernel);
                    let y = g.apply_one(op, &[t[0], t[1]]) + t[2];
                    vec![if k == 9 { y.relu() } else { y.tanh() }]
                },
                move |v| {
                    let y = reference(&v[0], &of_x, &v[1], &of_w, flipped, flipped);
                    let exact = |y: f64| if k == 9 { y.max(0.0) } else { y.tanh() };
                    vec![y.iter().enumerate().map(|(i, y)| exact(y + v[2][i % n])).collect()]
                },
            );
            let case = case.tolerance(1e-5).fusion_may_round().outputs_only();
            case.label(format!("{kernel:?} with bias, {m} {n} {k}, transposed {flipped}")).check();
        }
    }
}

#[test]
fn a_kernel_that_does_not_fit_is_an_error() {
    let Some(device) = crate::common::devices().into_iter().find(|device| !device.is_cpu()) else { return };
    let g = Graph::new();
    let op = Matmul::new(false, false).with_kernel(Kernel::Vectors);
    let y = g.apply_one(op, &[g.input("a", [5, 3]), g.input("b", [3, 6])]);
    let message = device.compile(&g, &[y]).err().unwrap().to_string();
    assert!(message.contains("matmul") && message.contains("Vectors"), "{message}");
}

type Curve = (for<'g> fn(Tensor<'g>) -> Tensor<'g>, fn(f64) -> f64);

#[test]
fn bias_and_activation_join_the_product() {
    let curves: [Curve; 5] = [
        (|x| x, |x| x),
        (|x| x.relu(), |x| x.max(0.0)),
        (|x| x.tanh(), f64::tanh),
        (|x| x.sigmoid(), |x| 1.0 / (1.0 + (-x).exp())),
        (|x| x.gelu(), |x| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh())),
    ];
    for (i, (curve, exact)) in curves.into_iter().enumerate() {
        for (m, n, k) in [(5, 3, 4), (1, 64, 32), (70, 65, 33)] {
            let (of_x, of_w) = ([2, m, k], [k, n]);
            let case = Case::new(
                "matmul",
                vec![uniform(of_x, -1.5..1.5), uniform(of_w, -1.5..1.5), uniform([n], -1.0..1.0)],
                move |_, t| vec![curve(t[0].matmul(t[1]) + t[2])],
                move |v| {
                    let y = reference(&v[0], &of_x, &v[1], &of_w, false, false);
                    vec![y.iter().enumerate().map(|(i, y)| exact(y + v[2][i % n])).collect()]
                },
            )
            .tolerance(1e-5)
            .fusion_may_round()
            .label(format!("bias and activation {i}, {m} {n} {k}"));
            // Finite differences would straddle the kink of relu.
            if m == 5 && i > 1 { case.check() } else { case.outputs_only().check() }
        }
    }
    let g = Graph::new();
    let y = (g.input("x", [2, 3]).matmul(g.input("w", [3, 4])) + g.input("b", [4])).relu();
    assert_eq!(Device::cpu().compile(&g, &[y]).unwrap().summary().steps, 1);
}

#[test]
fn the_gradient_of_a_weight_is_one_product() {
    let g = Graph::new();
    let (x, w) = (g.input("x", [5, 3, 7, 4]), g.input("w", [4, 6]));
    let c = g.input("c", [5, 3, 7, 6]);
    let gradient = g.vjp(&[x.matmul(w)], &[c], &[w]).unwrap()[0].unwrap();
    let summary = Device::cpu().compile(&g, &[gradient]).unwrap().summary();
    assert_eq!(summary.kernels, [("matmul".to_string(), 1)]);
    assert_eq!(summary.operations, 2 * 5 * 3 * 7 * 4 * 6);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    for (a, b) in [(&[2, 3][..], &[4, 5][..]), (&[2, 3], &[3]), (&[2, 2, 3], &[3, 3, 4])] {
        let g = Graph::new();
        let bad = g.input("a", a.to_vec()).matmul(g.input("b", b.to_vec()));
        let message = Device::cpu().compile(&g, &[bad]).err().unwrap().to_string();
        assert!(message.contains("matmul") && message.contains(&format!("f32{a:?}")), "{message}");
    }
}
