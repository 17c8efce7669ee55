//! LSTM and GRU layers against plain loops in double precision.

use crate::common::{Case, Input, check_covers, mask, uniform};
use synod_engine::{Device, Error, Graph, Tensor};

const COVERS: &[&str] = &["lstm", "lstm_gradient", "gru", "gru_gradient"];

#[derive(Clone, Copy)]
struct Sizes {
    lanes: usize,
    time: usize,
    batch: usize,
    input: usize,
    hidden: usize,
    /// How many parts each operand has: one without a leading dimension, or one a lane.
    parts: [usize; 8],
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `x[row] w + bias`, column `j`, where `w` has `columns`.
fn dot(x: &[f64], w: &[f64], columns: usize, j: usize) -> f64 {
    x.iter().enumerate().map(|(k, x)| x * w[k * columns + j]).sum()
}

/// Part of an operand for a lane.
fn part(data: &[f64], parts: usize, lane: usize) -> &[f64] {
    let size = data.len() / parts;
    &data[lane % parts * size..][..size]
}

/// PyTorch's LSTM: gates i, f, g, o.
fn lstm_reference(sizes: &Sizes, data: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Sizes { lanes, time, batch, input, hidden, parts } = *sizes;
    let (mut hs, mut cs) = (Vec::new(), Vec::new());
    for lane in 0..lanes {
        let operand = |i: usize| part(&data[i], parts[i], lane);
        let (mut h, mut c) = (operand(1).to_vec(), operand(2).to_vec());
        for t in 0..time {
            for row in 0..batch {
                let state = row * hidden..(row + 1) * hidden;
                if data.len() > 6 {
                    let keep = 1.0 - operand(6)[t * batch + row];
                    h[state.clone()].iter_mut().chain(&mut c[state.clone()]).for_each(|x| *x *= keep);
                }
                let x = &operand(0)[(t * batch + row) * input..][..input];
                let before = h[state.clone()].to_vec();
                let z = |gate: usize, j: usize| {
                    let j = gate * hidden + j;
                    dot(x, operand(3), 4 * hidden, j)
                        + dot(&before, operand(4), 4 * hidden, j)
                        + operand(5)[j]
                };
                for j in 0..hidden {
                    let at = row * hidden + j;
                    c[at] = sigmoid(z(1, j)) * c[at] + sigmoid(z(0, j)) * z(2, j).tanh();
                    h[at] = sigmoid(z(3, j)) * c[at].tanh();
                }
            }
            hs.extend_from_slice(&h);
            cs.extend_from_slice(&c);
        }
    }
    vec![hs, cs]
}

/// PyTorch's GRU: gates r, z, n, the reset gate after the product.
fn gru_reference(sizes: &Sizes, data: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Sizes { lanes, time, batch, input, hidden, parts } = *sizes;
    let mut hs = Vec::new();
    for lane in 0..lanes {
        let operand = |i: usize| part(&data[i], parts[i], lane);
        let mut h = operand(1).to_vec();
        for t in 0..time {
            for row in 0..batch {
                let state = row * hidden..(row + 1) * hidden;
                if data.len() > 6 {
                    let keep = 1.0 - operand(6)[t * batch + row];
                    h[state.clone()].iter_mut().for_each(|x| *x *= keep);
                }
                let x = &operand(0)[(t * batch + row) * input..][..input];
                let before = h[state].to_vec();
                let of_x = |j: usize| dot(x, operand(2), 3 * hidden, j) + operand(4)[j];
                let of_h = |j: usize| dot(&before, operand(3), 3 * hidden, j) + operand(5)[j];
                for j in 0..hidden {
                    let r = sigmoid(of_x(j) + of_h(j));
                    let z = sigmoid(of_x(hidden + j) + of_h(hidden + j));
                    let n = (of_x(2 * hidden + j) + r * of_h(2 * hidden + j)).tanh();
                    h[row * hidden + j] = (1.0 - z) * n + z * before[j];
                }
            }
            hs.extend_from_slice(&h);
        }
    }
    vec![hs]
}

fn operands(sizes: &Sizes, tails: &[Vec<usize>], resets: bool) -> Vec<Input> {
    let shape = |i: usize, tail: &[usize]| match sizes.parts[i] {
        1 => tail.to_vec(),
        n => [&[n], tail].concat(),
    };
    let mut inputs: Vec<Input> = tails
        .iter()
        .enumerate()
        // Weights as a layer has them, so that gates are neither shut nor open.
        .map(|(i, tail)| uniform(shape(i, tail), if tail.len() == 3 { -1.5..1.5 } else { -0.6..0.6 }))
        .collect();
    if resets {
        inputs.push(mask(shape(6, &[sizes.time, sizes.batch])));
    }
    inputs
}

fn lstm_case(op: &'static str, sizes: Sizes, resets: bool) -> Case {
    let Sizes { time, batch, input, hidden, .. } = sizes;
    let tails = [
        vec![time, batch, input],
        vec![batch, hidden],
        vec![batch, hidden],
        vec![input, 4 * hidden],
        vec![hidden, 4 * hidden],
        vec![4 * hidden],
    ];
    Case::new(
        op,
        operands(&sizes, &tails, resets),
        |_, x| {
            let out = x[0].lstm([x[1], x[2]], [x[3], x[4], x[5]], x.get(6).copied());
            vec![out.hidden, out.cells]
        },
        move |data| lstm_reference(&sizes, data),
    )
    .tolerance(1e-5)
    .fusion_may_round()
}

fn gru_case(op: &'static str, sizes: Sizes, resets: bool) -> Case {
    let Sizes { time, batch, input, hidden, .. } = sizes;
    let tails = [
        vec![time, batch, input],
        vec![batch, hidden],
        vec![input, 3 * hidden],
        vec![hidden, 3 * hidden],
        vec![3 * hidden],
        vec![3 * hidden],
    ];
    Case::new(
        op,
        operands(&sizes, &tails, resets),
        |_, x| vec![x[0].gru(x[1], [x[2], x[3], x[4], x[5]], x.get(6).copied())],
        move |data| gru_reference(&sizes, data),
    )
    .tolerance(1e-5)
    .fusion_may_round()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (lanes, time, batch, input, hidden, parts) in [
        (1, 1, 1, 1, 1, [1; 8]),
        (1, 3, 2, 5, 7, [1; 8]),
        (1, 2, 33, 3, 17, [1; 8]),
        (2, 3, 3, 2, 5, [2; 8]),
        (3, 2, 2, 3, 4, [3, 1, 1, 1, 1, 1, 1, 1]),
        (2, 3, 2, 3, 4, [1, 2, 1, 1, 2, 1, 2, 1]),
    ] {
        let sizes = Sizes { lanes, time, batch, input, hidden, parts };
        for (i, resets) in [false, true].into_iter().enumerate() {
            cases.push(lstm_case(["lstm", "lstm_gradient"][i], sizes, resets));
            cases.push(gru_case(["gru", "gru_gradient"][i], sizes, resets));
        }
    }
    cases
}

#[test]
fn layers_follow_their_definition() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn large_layers_are_cut_on_threads() {
    let sizes = Sizes { lanes: 1, time: 5, batch: 65, input: 31, hidden: 48, parts: [1; 8] };
    lstm_case("lstm", sizes, true).first_order().check();
    gru_case("gru", sizes, true).first_order().check();
}

#[test]
fn a_cell_is_a_sequence_of_one() {
    for device in crate::common::devices() {
        let g = Graph::new();
        let inputs = [
            g.input("x", [2, 3, 4]),
            g.input("h", [3, 5]),
            g.input("c", [3, 5]),
            g.input("wx", [4, 20]),
            g.input("wh", [5, 20]),
            g.input("b", [20]),
        ];
        let [x, h, c, wx, wh, b] = inputs;
        let cell = x.lstm_cell([h, c], [wx, wh, b]);
        let sequence = x.reshape([2, 1, 3, 4]).lstm([h, c], [wx, wh, b], None);
        let gru =
            x.gru_cell(h, [wx.slice(-1, 0, 15), wh.slice(-1, 0, 15), b.slice(0, 0, 15), b.slice(0, 5, 15)]);
        let mut program =
            device.compile(&g, &[cell[0], cell[1], sequence.hidden, sequence.cells, gru]).unwrap();
        let mut random = crate::common::Random::fresh();
        let data: Vec<Vec<f32>> =
            inputs.iter().map(|t| random.floats(t.shape().elements(), -1.0, 1.0)).collect();
        let given: Vec<(&str, &dyn synod_engine::Data)> =
            ["x", "h", "c", "wx", "wh", "b"].into_iter().zip(data.iter().map(|d| d as _)).collect();
        let out = program.run(&given).unwrap();
        assert_eq!(out.f32(0), out.f32(2));
        assert_eq!(out.f32(1), out.f32(3));
        assert_eq!(&*out.tensor_type(0).unwrap().shape, [2, 3, 5]);
        assert_eq!(&*out.tensor_type(4).unwrap().shape, [2, 3, 5]);
    }
}

#[test]
fn mistakes_are_named() {
    let good: [Vec<usize>; 7] =
        [vec![3, 2, 4], vec![2, 5], vec![2, 5], vec![4, 20], vec![5, 20], vec![20], vec![3, 2]];
    for wrong in 0..7 {
        let g = Graph::new();
        let x: Vec<Tensor> = good
            .iter()
            .enumerate()
            .map(|(i, shape)| {
                let mut shape = shape.clone();
                if i == wrong {
                    *shape.last_mut().unwrap() += 3;
                }
                g.input(&format!("x{i}"), shape)
            })
            .collect();
        let out = x[0].lstm([x[1], x[2]], [x[3], x[4], x[5]], Some(x[6]));
        assert!(matches!(g.check(), Err(Error::Shape { op, .. }) if op == "lstm"), "operand {wrong}");
        assert!(Device::cpu().compile(&g, &[out.hidden]).is_err());
    }
    let g = Graph::new();
    let x = g.input("x", [4]);
    x.lstm_cell([x, x], [x, x, x]);
    x.gru_cell(x, [x, x, x, x]);
    assert!(g.check().is_err());
}
