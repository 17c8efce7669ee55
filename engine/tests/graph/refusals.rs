//! Bad input to the public functions of graphs: errors, wherever it is noticed.

use synod_engine::graph::Graph;
use synod_engine::nn::{Builder, Linear, MultiHeadAttention};
use synod_engine::op::message::{Csr, Edges};
use synod_engine::tensors::Checkpoint;
use synod_engine::{Device, TensorType};

#[test]
fn tensors_of_another_graph_have_no_gradient_here() {
    let (a, b) = (Graph::new(), Graph::new());
    let x = a.input("x", [3]);
    let loss = (x.tanh() * 2.0 + x.exp()).sum_all();
    let w = b.input("w", [3]);
    assert!(b.grad(loss, &[w]).is_err());
    // `y` has the number in its graph that `x` has in another.
    let (a, b) = (Graph::new(), Graph::new());
    let x = a.input("x", [3]);
    let y = b.input("y", [3]);
    assert!(a.grad(x.tanh().sum_all(), &[y]).is_err());
    for strange in 0..3 {
        let (a, b) = (Graph::new(), Graph::new());
        let x = a.input("x", [3]);
        let one = b.input("one", [3]);
        let pick = |i: usize, own| if i == strange { one } else { own };
        let got = a.vjp(&[pick(0, x.tanh())], &[pick(1, a.full([3], 1.0))], &[pick(2, x)]);
        assert!(got.is_err(), "{strange}");
    }
}

#[test]
fn tensors_of_another_graph_are_not_assigned() {
    let device = Device::cpu();
    let v = device.variable("v", TensorType::f32([2]), &[0.0f32; 2]).unwrap();
    for deep in [false, true] {
        let (a, b) = (Graph::new(), Graph::new());
        let mut one = a.constant([2], &[1.0, 1.0]);
        if deep {
            one = one.tanh().exp();
        }
        b.constant([2], &[2.0, 2.0]);
        b.assign(&v, one);
        assert!(device.compile(&b, &[]).is_err());
        assert_eq!(v.read().unwrap(), [0.0; 2]);
    }
}

#[test]
fn cotangents_are_one_for_each_output_and_of_its_shape() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let y = x.tanh();
    let short = g.constant([3], &[1.0, 2.0, 3.0]);
    assert!(g.vjp(&[y], &[short], &[x]).is_err());
    assert!(g.vjp(&[y], &[g.constant_u32([2, 3], &[1; 6])], &[x]).is_err());
    let ones = g.full([2, 3], 1.0);
    assert!(g.vjp(&[y, x.exp()], &[ones], &[x]).is_err());
    assert!(g.vjp(&[y], &[ones, ones], &[x]).is_err());
    assert!(g.vjp(&[y], &[ones], &[x]).unwrap()[0].is_some());
}

#[test]
fn sizes_out_of_range_are_kept_as_mistakes() {
    type Build = fn(&Graph);
    let builds: [Build; 9] = [
        |g| {
            g.input("x", [6]).reshape([usize::MAX, 2]);
        },
        |g| {
            g.input("x", [usize::MAX, usize::MAX]);
        },
        |g| {
            g.constant([usize::MAX, 2], &[1.0]);
        },
        |g| {
            g.full([1 << 20, 1 << 20], 1.0);
        },
        |g| {
            g.key(0).random_normal([usize::MAX, 2]);
        },
        |g| {
            g.input_u32("x", [2]).one_hot(usize::MAX);
        },
        |g| {
            g.input("x", [2, 3]).slice(0, usize::MAX, 2);
        },
        |g| {
            g.input("x", [2, 3]).slice(0, 1, usize::MAX);
        },
        |g| {
            Edges::input(g, "e", &[], usize::MAX, usize::MAX);
        },
    ];
    for (i, build) in builds.iter().enumerate() {
        let g = Graph::new();
        build(&g);
        assert!(g.check().is_err(), "{i}");
    }
}

/// After a mistake a tensor stands for nothing, and everything may still be called on it.
#[test]
fn layers_on_a_mistake_are_no_panic() {
    let device = Device::cpu();
    for lanes in [None, Some(3)] {
        let mut builder = lanes.map_or_else(|| Builder::new(0), |n| Builder::with_lanes(0, n));
        let linear = Linear::new(&mut builder, "l", 8, 8, 1.0);
        let attention = MultiHeadAttention::new(&mut builder, "a", 8, 2);
        let parameters = builder.build(&device).unwrap();
        let g = Graph::new();
        let mistake = g.scalar(1.0).matmul(g.scalar(1.0));
        let weights = parameters.weights(&g);
        let y = linear.forward(&weights, attention.forward(&weights, mistake, mistake, None));
        assert!(g.grad(y.sum_all(), &[mistake]).is_err() && device.compile(&g, &[y]).is_err());
    }
}

#[test]
fn parameters_out_of_range_are_refused_when_they_are_built() {
    let device = Device::cpu();
    for (inputs, outputs) in [(usize::MAX, 2), (1 << 20, 1 << 20), (0, 3), (3, 0)] {
        let mut builder = Builder::new(0);
        Linear::new(&mut builder, "first", 2, 2, 1.0);
        Linear::new(&mut builder, "broken", inputs, outputs, 1.0);
        let message = builder.build(&device).err().map(|error| error.to_string());
        assert!(message.is_some_and(|m| m.contains("broken/weight")), "{inputs} x {outputs}");
    }
    assert!(Builder::with_lanes(0, 0).build(&device).is_err());
}

#[test]
fn parameters_are_not_loaded_into_a_shorter_vector() {
    let device = Device::cpu();
    let mut builder = Builder::new(0);
    Linear::new(&mut builder, "l", 8, 8, 1.0);
    let parameters = builder.build(&device).unwrap();
    let mut checkpoint = Checkpoint::new();
    parameters.save("x", &mut checkpoint).unwrap();
    let short = device.variable("short", TensorType::f32([2]), &[0.5f32; 2]).unwrap();
    assert!(parameters.load_flat(&short, "x", &checkpoint).is_err());
    assert!(parameters.save_flat(&short, "y", &mut checkpoint).is_err());
    assert_eq!(short.read().unwrap(), [0.5; 2]);
}

#[test]
fn graphs_of_very_many_nodes_are_refused() {
    for huge in [1 << 31, 1 << 40, usize::MAX] {
        assert!(Csr::from_edges(huge, &[]).is_err());
        assert!(Csr::bipartite(huge, 1, &[]).is_err());
        assert!(Csr::bipartite(1, huge, &[]).is_err());
        assert!(Csr::from_edges(2, &[(0, 1)]).unwrap().padded(huge).is_err());
    }
}
