//! Graphs, gradients and programs, on the smallest ops.

mod foreign;
mod lanes;
mod refusals;

use std::time::Instant;

use synod_engine::{CompileOptions, Device, Graph, TensorType};

#[test]
fn a_gradient_is_a_graph_that_can_be_differentiated_again() {
    let g = Graph::new();
    let x = g.input("x", [3]);
    let y = (x * x * x * 1.7).sum_all();
    let first = g.grad(y, &[x]).unwrap()[0];
    let second = g.grad((first * first).sum_all(), &[x]).unwrap()[0];
    let mut program = Device::cpu().compile(&g, &[y, first, second]).unwrap();
    let values = [0.5f32, -1.25, 2.0];
    let out = program.run(&[("x", &values)]).unwrap();
    for (i, v) in values.iter().enumerate() {
        assert!((out.f32(1)[i] - 3.0 * 1.7 * v * v).abs() < 1e-4);
        // d/dx (5.1 x^2)^2 = 2 * 5.1^2 * 2 x^3
        assert!((out.f32(2)[i] - 4.0 * 26.01 * v.powi(3)).abs() < 1e-2);
    }
}

#[test]
fn broadcasting_and_its_transpose() {
    let g = Graph::new();
    let (a, b) = (g.input("a", [2, 3]), g.input("b", [3]));
    let c = g.input("c", [2, 1]);
    let loss = ((a + b) * c * 2.0).sum_all();
    let grads = g.grad(loss, &[a, b, c]).unwrap();
    for fusion in [true, false] {
        let options = CompileOptions { fusion };
        let mut program = Device::cpu().compile_with(&g, &grads, options).unwrap();
        let out = program
            .run(&[
                ("a", &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]),
                ("b", &[10.0f32, 20.0, 30.0]),
                ("c", &[1.5f32, -1.0]),
            ])
            .unwrap();
        assert_eq!(out.f32(0), [3.0, 3.0, 3.0, -2.0, -2.0, -2.0]);
        assert_eq!(out.f32(1), [1.0, 1.0, 1.0]);
        assert_eq!(out.f32(2), [132.0, 150.0]);
    }
}

#[test]
fn elementwise_chains_become_one_kernel() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [1000]), g.input("y", [1000]));
    let mut z = x;
    for _ in 0..10 {
        z = (z * y + 1.0).maximum(x) - 0.5;
    }
    let program = Device::cpu().compile(&g, &[z]).unwrap();
    assert_eq!(program.summary().steps, 1);
}

#[test]
fn variables_change_together_at_the_end_of_a_run() {
    let device = Device::cpu();
    let a = device.variable("a", synod_engine::TensorType::f32([2]), &[1.0f32, 2.0]).unwrap();
    let b = device.variable("b", synod_engine::TensorType::f32([2]), &[3.0f32, 4.0]).unwrap();
    let g = Graph::new();
    let (ta, tb) = (g.variable(&a), g.variable(&b));
    g.assign(&a, tb);
    g.assign(&b, ta);
    let mut swap = device.compile(&g, &[ta]).unwrap();
    assert_eq!(swap.run(&[]).unwrap().f32(0), [1.0, 2.0]);
    assert_eq!(a.read().unwrap(), [3.0, 4.0]);
    assert_eq!(b.read().unwrap(), [1.0, 2.0]);
}

#[test]
fn mistakes_name_the_op_and_the_shapes() {
    let g = Graph::new();
    let bad = g.input("a", [2, 3]) + g.input("b", [4]);
    let message = Device::cpu().compile(&g, &[bad]).err().unwrap().to_string();
    assert!(message.contains("add") && message.contains("f32[2, 3], f32[4]"), "{message}");

    let g = Graph::new();
    let x = g.input("x", [2]);
    let message = g.grad(x.sign().sum_all(), &[x]).err().unwrap().to_string();
    assert!(message.contains("does not depend"), "{message}");

    let g = Graph::new();
    let mut program = Device::cpu().compile(&g, &[g.input("observation", [2])]).unwrap();
    let message = program.run(&[("obsevation", &[0.0f32; 2])]).err().unwrap().to_string();
    assert!(message.contains("did you mean `observation`"), "{message}");
    let message = program.run(&[("observation", &[0.0f32; 3])]).err().unwrap().to_string();
    assert!(message.contains("3 elements"), "{message}");
}

/// The last step may write to a variable itself; what else takes the same value, whole or in part, must not miss it.
#[test]
fn a_value_may_be_assigned_to_several_variables() {
    let device = Device::cpu();
    let variable =
        |name: &str, n: usize| device.variable(name, TensorType::f32([n]), &vec![9.0f32; n]).unwrap();
    let (a, b, part) = (variable("a", 4), variable("b", 4), variable("part", 2));
    let g = Graph::new();
    let value = g.input("x", [4]).tanh() + 1.0;
    g.assign(&a, value);
    g.assign(&b, value);
    g.assign(&part, value.slice(0, 0, 2));
    let mut program = device.compile(&g, &[]).unwrap();
    program.run(&[("x", &[0.0f32; 4])]).unwrap();
    for variable in [a, b, part] {
        assert!(variable.read().unwrap().iter().all(|x| *x == 1.0), "{}", variable.name());
    }
}

#[test]
fn an_input_that_nothing_needs_is_checked_and_ignored() {
    let g = Graph::new();
    let (x, _unused) = (g.input("x", [2]), g.input_i32("unused", [3]));
    let mut program = Device::cpu().compile(&g, &[x * 2.0]).unwrap();
    assert_eq!(program.inputs().count(), 1);
    let out = program.run(&[("x", &[1.0f32, 2.0]), ("unused", &[1i32, 2, 3])]).unwrap();
    assert_eq!(out.f32(0), [2.0, 4.0]);
    // What is given for it must be of its type all the same, and other names stay unknown.
    let message = program.run(&[("unused", &[1i32, 2])]).err().unwrap().to_string();
    assert!(message.contains("i32[3]") && message.contains("2 elements"), "{message}");
    let message = program.run(&[("unuse", &[1i32, 2, 3])]).err().unwrap().to_string();
    assert!(message.contains("did you mean `unused`"), "{message}");
}

#[test]
fn a_gradient_of_zeros_where_it_is_asked_for() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [2]), g.input("y", [3]));
    let loss = (x * x).sum_all();
    assert!(g.grad(loss, &[x, y]).is_err());
    let gradients = g.grad_or_zeros(loss, &[x, y]).unwrap();
    let mut program = Device::cpu().compile(&g, &gradients).unwrap();
    let out = program.run(&[("x", &[1.5f32, -2.0])]).unwrap();
    assert_eq!((out.f32(0), out.f32(1)), (&[3.0f32, -4.0][..], &[0.0f32; 3][..]));
    let whole = g.input_u32("whole", [2]);
    assert!(g.grad_or_zeros(loss, &[whole]).unwrap_err().to_string().contains("integers"));
    assert!(g.grad_or_zeros(x, &[x]).is_err(), "a loss of two numbers");
}

#[test]
fn variables_hold_signed_integers() {
    let device = Device::cpu();
    let count = device.variable("count", TensorType::i32([2]), &[-5i32, i32::MAX]).unwrap();
    let g = Graph::new();
    g.assign(&count, g.variable(&count) + g.constant_i32([], &[1]));
    device.compile(&g, &[]).unwrap().run(&[]).unwrap();
    assert_eq!(count.read_i32().unwrap(), [-4, i32::MIN]);
    assert!(count.read().is_err() && count.read_u32().is_err());
}

#[test]
fn outputs_are_those_of_the_last_run() {
    let g = Graph::new();
    let x = g.input("x", [3]);
    let mut program = Device::cpu().compile(&g, &[x.reshape([1, 3]), x]).unwrap();
    program.run(&[("x", &[1.0f32, 2.0, 3.0])]).unwrap();
    program.input_mut("x").unwrap()[0] = 9.0;
    for i in 0..2 {
        assert_eq!(program.outputs().f32(i), [1.0, 2.0, 3.0]);
    }
    assert_eq!(program.run(&[]).unwrap().f32(0), [9.0, 2.0, 3.0]);
}

#[test]
fn a_refused_run_takes_no_input() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [1]), g.input("y", [1]));
    let mut program = Device::cpu().compile(&g, &[x + y]).unwrap();
    program.run(&[("x", &[1.0f32]), ("y", &[2.0f32])]).unwrap();
    assert!(program.run(&[("x", &[10.0f32]), ("y", &[1.0f32, 2.0])]).is_err());
    assert!(program.run(&[("x", &[10.0f32]), ("z", &[1.0f32])]).is_err());
    assert_eq!(program.run(&[]).unwrap().scalar(0), 3.0);
}

/// Sixteen times as many nodes take about sixteen times as long, and not 256 times. The bound is loose, since other work on
/// the machine counts as well.
#[test]
fn compilation_is_linear_in_the_nodes() {
    let chain = |n: usize| {
        let g = Graph::new();
        let w = g.constant([2, 2], &[0.6, 0.8, -0.8, 0.6]);
        let y = (0..n).fold(g.input("x", [2, 2]), |y, _| y.matmul(w));
        let start = Instant::now();
        Device::cpu().compile(&g, &[y]).unwrap();
        start.elapsed().as_secs_f64()
    };
    let concatenation = |n: usize| {
        let g = Graph::new();
        let x = g.input("x", [n, 3]);
        let parts: Vec<_> = (0..n).map(|i| x.slice(0, n - 1 - i, 1).square()).collect();
        let y = g.concat(&parts, 1);
        let start = Instant::now();
        Device::cpu().compile(&g, &[y]).unwrap();
        start.elapsed().as_secs_f64()
    };
    for (name, compile) in [("products", &chain as &dyn Fn(usize) -> f64), ("parts", &concatenation)] {
        let best = |n: usize| (0..3).map(|_| compile(n)).fold(f64::INFINITY, f64::min);
        let (few, many) = (best(1000), best(16_000));
        assert!(many < 100.0 * few, "{name}: {few} s for 1,000, {many} s for 16,000");
    }
}
