//! Products of matrices against plain loops in f64.

mod common;

use common::{Case, uniform};
use synod::{Device, Graph, Tensor};

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

fn product(of_a: &[usize], of_b: &[usize], ta: bool, tb: bool, gradients: bool) {
    let flip = |s: &[usize], t: bool| {
        let mut s = s.to_vec();
        let rank = s.len();
        if t {
            s.swap(rank - 2, rank - 1);
        }
        s
    };
    let (of_a, of_b) = (flip(of_a, ta), flip(of_b, tb));
    let inputs = vec![uniform(&of_a, -1.5..1.5), uniform(&of_b, -1.5..1.5)];
    let case = Case::new(
        "matmul",
        inputs,
        move |_, t| vec![t[0].matmul_with(t[1], ta, tb)],
        move |v| vec![reference(&v[0], &of_a, &v[1], &of_b, ta, tb)],
    )
    .tolerance(1e-5);
    let label = format!("{}, transposed {ta} {tb}", case.label);
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
