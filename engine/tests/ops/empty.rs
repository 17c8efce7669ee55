//! Tensors without elements: accepted where the result says itself, in forward and in gradient, on every device.

use crate::common::devices;
use synod_engine::{Graph, Tensor};

type Build = for<'g> fn(&'g Graph, Tensor<'g>) -> Vec<Tensor<'g>>;

/// What `build` makes of an input of `shape`, which has no elements: the shapes and the numbers.
fn run(shape: &[usize], build: Build) -> Vec<(Vec<usize>, Vec<f32>)> {
    let mut all: Vec<Vec<(Vec<usize>, Vec<f32>)>> = Vec::new();
    for device in devices() {
        let g = Graph::new();
        let outputs = build(&g, g.input("x", shape));
        let mut program = device.compile(&g, &outputs).unwrap_or_else(|e| panic!("{}: {e}", device.name()));
        let out = program.run(&[("x", &[0f32; 0])]).unwrap();
        all.push(
            outputs.iter().enumerate().map(|(i, y)| (y.shape().to_vec(), out.f32(i).to_vec())).collect(),
        );
    }
    let first = all.remove(0);
    for other in all {
        for (a, b) in first.iter().zip(&other) {
            let same = a.1.iter().zip(&b.1).all(|(x, y)| x == y || x.is_nan() && y.is_nan());
            assert!(a.0 == b.0 && a.1.len() == b.1.len() && same, "{a:?} and {b:?}");
        }
    }
    first
}

#[test]
fn what_has_no_elements_stays_so() {
    let made = run(&[0, 3], |g, x| {
        vec![
            x,
            (x * 2.0 + g.eye(1, 3)).tanh(),
            x.transpose(&[1, 0]),
            x.reshape([3, 0, 7]),
            x.softmax(-1),
            x.flip(1),
            x.slice(1, 1, 2),
            x.argmax(),
            x.cumsum(1),
            x.sort(1, false).0,
            x.matmul(g.full([3, 5], 1.0)),
            x.layer_norm(g.full([3], 1.0), g.full([3], 0.0), 1e-5),
            x.index_select(1, g.constant_u32([2], &[2, 0])),
            x.max(&[1]),
            g.key(1).random_normal([0, 4]),
            g.arange(0).to_f32(),
        ]
    });
    assert!(made.iter().all(|(_, numbers)| numbers.is_empty()));
    let shapes: Vec<&[usize]> = made.iter().map(|(shape, _)| &shape[..]).collect();
    assert_eq!(shapes[1..4], [&[0, 3][..], &[3, 0], &[3, 0, 7]]);
    assert_eq!(shapes[10..14], [&[0, 5][..], &[0, 3], &[0, 2], &[0]]);
}

#[test]
fn sums_of_nothing_are_zeros_and_the_rest_is_the_rest() {
    let made = run(&[0, 3], |g, x| {
        let ones = g.full([2, 3], 1.0);
        vec![
            x.sum(&[0]),
            x.sum_all(),
            x.mean(&[0]),
            g.full([2, 0], 1.0).matmul(x),
            g.concat(&[x, ones], 0),
            g.concat(&[ones, x, ones * 2.0], 0),
            x.pad(0, 1, 1),
            x.scatter_add(g.constant_u32([0], &[]), 2),
            ones.scatter_set(g.constant_u32([0], &[]), x),
            ones.split(0, &[0, 2])[1],
            x.variance(&[0]),
            x.to_i32().sum(&[0]).to_f32() + x.norm(&[0]),
        ]
    });
    assert_eq!(made[0], (vec![3], vec![0.0; 3]));
    assert_eq!(made[1], (vec![], vec![0.0]));
    assert!(made[2].1.len() == 3 && made[2].1.iter().all(|x| x.is_nan()));
    assert_eq!(made[3], (vec![2, 3], vec![0.0; 6]));
    assert_eq!(made[4], (vec![2, 3], vec![1.0; 6]));
    assert_eq!(made[5], (vec![4, 3], [[1.0; 6], [2.0; 6]].concat()));
    assert_eq!(made[6], (vec![2, 3], vec![0.0; 6]));
    assert_eq!(made[7], (vec![2, 3], vec![0.0; 6]));
    assert_eq!(made[8], (vec![2, 3], vec![1.0; 6]));
    assert_eq!(made[9], (vec![2, 3], vec![1.0; 6]));
    assert!(made[10].1.iter().all(|x| x.is_nan()));
    assert_eq!(made[11], (vec![3], vec![0.0; 3]));
}

#[test]
fn a_batch_of_nothing_has_gradients_of_zeros() {
    for device in devices() {
        let g = Graph::new();
        let (x, w, scale) = (g.input("x", [0, 4]), g.input("w", [4, 5]), g.input("scale", [5]));
        let y = x.matmul(w).layer_norm(scale, scale * 0.5, 1e-5).relu();
        let loss = (y.log_softmax(-1) * y).sum_all();
        let gradients = g.grad(loss, &[x, w, scale]).unwrap();
        let second = g.grad(gradients[1].square().sum_all(), &[w]).unwrap();
        let mut program =
            device.compile(&g, &[loss, gradients[0], gradients[1], gradients[2], second[0]]).unwrap();
        let out = program.run(&[("x", &[0f32; 0]), ("w", &[1f32; 20]), ("scale", &[1f32; 5])]).unwrap();
        assert_eq!(out.scalar(0), 0.0, "{}", device.name());
        assert_eq!((out.f32(1).len(), out.f32(2), out.f32(3)), (0, &[0f32; 20][..], &[0f32; 5][..]));
        assert_eq!(out.f32(4), [0.0; 20]);
    }
}

#[test]
fn what_cannot_be_made_of_nothing_is_an_error() {
    let all: [(&str, Build); 7] = [
        ("max", |_, x| vec![x.max(&[0])]),
        ("max", |_, x| vec![x.logsumexp(0)]),
        ("argmax", |_, x| vec![x.transpose(&[1, 0]).argmax()]),
        ("gather", |g, x| vec![x.gather(g.constant_u32([1], &[0]))]),
        ("linear_scan", |g, x| vec![x.linear_scan(g.full([1, 3], 1.0), g.full([3], 0.0), None)]),
        ("complex_scan", |g, x| {
            vec![x.reshape([0, 6]).complex_scan(g.full([1, 6], 1.0), g.full([6], 0.0), None)]
        }),
        ("add", |g, x| vec![x + g.full([2, 3], 1.0)]),
    ];
    for (op, build) in all {
        let g = Graph::new();
        build(&g, g.input("x", [0, 3]));
        let message = g.check().expect_err(op).to_string();
        assert!(message.contains(op), "{op}: {message}");
    }
}

#[test]
fn images_and_tokens_of_which_there_are_none() {
    for device in devices() {
        let g = Graph::new();
        let (images, weight) = (g.input("images", [0, 5, 5, 2]), g.input("weight", [3, 3, 2, 4]));
        let y = (images.conv2d(weight, [1, 1], [0, 0]) + g.full([4], 1.0)).relu();
        assert_eq!(y.shape()[..], [0, 3, 3, 4]);
        let (queries, tokens) = (g.input("queries", [2, 6]), g.input("tokens", [0, 6]));
        let read = queries.attention(tokens, tokens, 2, None, false);
        let loss = y.sum_all() + (read + queries).square().sum_all();
        let gradients = g.grad(loss, &[weight, queries, tokens]).unwrap();
        let outputs = [y, read, gradients[0], gradients[1], gradients[2]];
        let mut program = device.compile(&g, &outputs).unwrap();
        let none = [0f32; 0];
        let out = program
            .run(&[("images", &none), ("weight", &[1f32; 72]), ("queries", &[1.5f32; 12]), ("tokens", &none)])
            .unwrap();
        assert_eq!((out.f32(0), out.f32(1)), (&[][..], &[0f32; 12][..]), "{}", device.name());
        assert_eq!((out.f32(2), out.f32(3), out.f32(4)), (&[0f32; 72][..], &[3f32; 12][..], &[][..]));
    }
}
