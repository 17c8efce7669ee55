//! Diagonal state space models against plain loops in double precision.

use crate::common::{Case, check_covers, mask, uniform};
use synod_engine::op::ssm::{DiagonalSsm, DiagonalSsmOutput};
use synod_engine::{Device, Error, Graph};

const COVERS: &[&str] = &["diagonal_ssm", "diagonal_ssm_gradient"];

#[derive(Clone)]
struct Sizes {
    lanes: usize,
    time: usize,
    channels: usize,
    states: usize,
    /// How many parts there are of u, a, b, c, d, the initial state and resets: as many as lanes, or 1.
    parts: [usize; 7],
    initial: bool,
    resets: bool,
}

fn reference(sizes: &Sizes, data: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Sizes { lanes, time, channels, states, parts, initial, resets } = *sizes;
    let (mut y, mut last) = (vec![0.0; lanes * time * channels], vec![0.0; lanes * channels * states]);
    for lane in 0..lanes {
        for channel in 0..channels {
            let weight = |i: usize, k: usize| data[i][(lane % parts[i] * channels + channel) * states + k];
            for k in 0..states {
                let mut x = if initial { weight(5, k) } else { 0.0 };
                for t in 0..time {
                    let u = data[0][(lane % parts[0] * time + t) * channels + channel];
                    let out = &mut y[(lane * time + t) * channels + channel];
                    if k == 0 {
                        *out += data[4][lane % parts[4] * channels + channel] * u;
                    }
                    if resets {
                        x *= 1.0 - data[5 + usize::from(initial)][lane % parts[6] * time + t];
                    }
                    x = weight(1, k) * x + weight(2, k) * u;
                    *out += weight(3, k) * x;
                }
                last[(lane * channels + channel) * states + k] = x;
            }
        }
    }
    vec![y, last]
}

/// A case with operands of so many parts; one part has no leading dimension.
fn case(op: &'static str, sizes: Sizes) -> Case {
    let Sizes { time, channels, states, parts, initial, resets, .. } = sizes;
    let lead = |i: usize, tail: &[usize]| match parts[i] {
        1 => tail.to_vec(),
        n => [&[n], tail].concat(),
    };
    let mut inputs = vec![
        uniform(lead(0, &[time, channels]), -1.0..1.0),
        uniform(lead(1, &[channels, states]), -0.95..0.95),
        uniform(lead(2, &[channels, states]), -1.0..1.0),
        uniform(lead(3, &[channels, states]), -0.5..0.5),
        uniform(lead(4, &[channels]), -1.0..1.0),
    ];
    if initial {
        inputs.push(uniform(lead(5, &[channels, states]), -1.0..1.0));
    }
    if resets {
        inputs.push(mask(lead(6, &[time])));
    }
    Case::new(
        op,
        inputs,
        move |_, x| {
            let resets = resets.then(|| x[5 + usize::from(initial)]);
            let out: DiagonalSsmOutput =
                x[0].diagonal_ssm([x[1], x[2], x[3]], x[4], initial.then(|| x[5]), resets);
            vec![out.outputs, out.state]
        },
        move |data| reference(&sizes, data),
    )
    .tolerance(3e-5)
}

/// Only the outputs: the gradient of the last state does not exist then.
fn outputs_alone(mut case: Case) -> Case {
    let (build, reference) = (case.build, case.reference);
    case.build = Box::new(move |g, x| build(g, x)[..1].to_vec());
    case.reference = Box::new(move |data| reference(data)[..1].to_vec());
    case
}

/// Only the last state: the outputs have no gradient then.
fn state_alone(mut case: Case) -> Case {
    let (build, reference) = (case.build, case.reference);
    // The readout has no part in it, and no gradient.
    for i in [3, 4] {
        case.inputs[i] = case.inputs[i].clone().fixed();
    }
    case.build = Box::new(move |g, x| build(g, x)[1..].to_vec());
    case.reference = Box::new(move |data| reference(data)[1..].to_vec());
    case
}

#[test]
fn models_follow_their_definition() {
    let mut cases = Vec::new();
    let one = [1; 7];
    for (i, (lanes, time, channels, states, parts)) in [
        (1, 1, 1, 1, one),
        (1, 2, 7, 3, one),
        (3, 5, 4, 2, [3; 7]),
        (3, 4, 8, 5, [3, 1, 1, 1, 1, 1, 3]),
        (2, 17, 9, 3, [2, 2, 1, 1, 2, 2, 1]),
        (2, 3, 2, 17, [1, 1, 2, 1, 1, 1, 1]),
        (2, 33, 1, 16, [2, 1, 1, 2, 1, 1, 2]),
        (3, 2, 1, 4, [1, 1, 1, 3, 1, 1, 1]),
    ]
    .into_iter()
    .enumerate()
    {
        for (k, (initial, resets)) in
            [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate()
        {
            // The only operand with leading dimensions must be there.
            let sizes = Sizes { lanes, time, channels, states, parts, initial, resets };
            let case = || case(COVERS[(i + k) % 2], sizes.clone());
            cases.push(case());
            match (i + k) % 3 {
                0 => cases.push(outputs_alone(case())),
                1 => cases.push(state_alone(case())),
                _ => {}
            }
        }
    }
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn many_channels_and_states_are_cut_into_blocks_and_groups() {
    let parts = [2, 1, 1, 1, 1, 2, 2];
    for (time, channels, states) in [(17, 65, 16), (33, 16, 17), (2, 65, 31)] {
        for (initial, resets) in [(false, false), (true, true)] {
            let sizes = Sizes { lanes: 2, time, channels, states, parts, initial, resets };
            case("diagonal_ssm", sizes).first_order().check();
        }
    }
}

#[test]
fn long_sequences_are_cut_on_threads() {
    let parts = [5, 1, 1, 1, 1, 1, 5];
    let sizes = Sizes { lanes: 5, time: 160, channels: 65, states: 20, parts, initial: false, resets: true };
    case("diagonal_ssm", sizes).first_order().check();
}

#[test]
fn leading_dimensions_that_repeat_in_the_middle_are_stretched() {
    let sizes =
        Sizes { lanes: 1, time: 3, channels: 2, states: 3, parts: [1; 7], initial: false, resets: false };
    let case = Case::new(
        "diagonal_ssm",
        vec![
            uniform([2, 2, 2, 3, 2], -1.0..1.0),
            uniform([2, 1, 2, 2, 3], -0.9..0.9),
            uniform([2, 3], -1.0..1.0),
            uniform([2, 1, 2, 3], -1.0..1.0),
            uniform([2], -1.0..1.0),
        ],
        |_, x| {
            let out = x[0].diagonal_ssm([x[1], x[2], x[3]], x[4], None, None);
            vec![out.outputs, out.state]
        },
        move |data| {
            let mut out = vec![Vec::new(), Vec::new()];
            for lane in 0..8 {
                let (a, c) = (lane / 4 * 2 + lane % 2, lane / 2 % 2);
                let one =
                    [(0, lane), (1, a), (2, 0), (3, c)].map(|(i, part)| data[i][part * 6..][..6].to_vec());
                let one = [&one[..], &[data[4].clone()]].concat();
                for (out, part) in out.iter_mut().zip(reference(&sizes, &one)) {
                    out.extend(part);
                }
            }
            out
        },
    );
    case.tolerance(3e-5).check();
}

#[test]
fn pieces_with_the_state_carried_equal_the_whole() {
    for device in crate::common::devices() {
        let g = Graph::new();
        let u = g.input("u", [2, 7, 3]);
        let weight = |name: &str| g.input(name, [3, 5]).tanh();
        let [a, b, c] = ["a", "b", "c"].map(weight);
        let d = g.full([3], 0.5);
        let whole = u.diagonal_ssm([a, b, c], d, None, None);
        let front = u.slice(-2, 0, 4).diagonal_ssm([a, b, c], d, None, None);
        let back = u.slice(-2, 4, 3).diagonal_ssm([a, b, c], d, Some(front.state), None);
        let pieces = g.concat(&[front.outputs, back.outputs], -2);
        let mut program = device.compile(&g, &[whole.outputs, pieces, whole.state, back.state]).unwrap();
        let mut random = crate::common::Random::fresh();
        let numbers: Vec<Vec<f32>> = [42, 15, 15, 15].map(|n| random.floats(n, -1.0, 1.0)).into();
        let out = program
            .run(&[("u", &numbers[0]), ("a", &numbers[1]), ("b", &numbers[2]), ("c", &numbers[3])])
            .unwrap();
        for (whole, pieces) in [(0, 1), (2, 3)] {
            for (x, y) in out.f32(whole).iter().zip(out.f32(pieces)) {
                assert!((x - y).abs() < 1e-5, "{}: {x} and {y}, seed {}", device.name(), random.seed());
            }
        }
    }
}

#[test]
fn a_reset_forgets_what_is_not_finite() {
    for device in crate::common::devices() {
        let g = Graph::new();
        let u = g.constant([4, 1], &[f32::NAN, 1.0, 2.0, 3.0]);
        let half = g.full([1, 1], 0.5);
        let one = g.full([1, 1], 1.0);
        let y = u.diagonal_ssm([half, one, one], g.full([1], 0.0), None, Some(g.input("resets", [4])));
        let mut program = device.compile(&g, &[y.outputs]).unwrap();
        let outputs = program.run(&[("resets", &[0.0f32, 1.0, 0.0, 0.0])]).unwrap();
        assert!(outputs.f32(0)[0].is_nan());
        assert_eq!(outputs.f32(0)[1..], [1.0, 2.5, 4.25]);
    }
}

#[test]
fn mistakes_are_named() {
    let right = [vec![3, 4], vec![4, 2], vec![4, 2], vec![4, 2], vec![4], vec![4, 2], vec![3]];
    for (i, wrong) in [
        (0, vec![3, 5]),
        (0, vec![4]),
        (1, vec![3, 2]),
        (1, vec![4, 3]),
        (2, vec![4, 1]),
        (3, vec![5, 4, 3]),
        (4, vec![3]),
        (5, vec![4, 3]),
        (6, vec![4]),
        (6, vec![]),
    ] {
        let mut shapes = right.clone();
        shapes[i] = wrong;
        let g = Graph::new();
        let x: Vec<_> =
            shapes.iter().enumerate().map(|(k, s)| g.input(&format!("x{k}"), s.clone())).collect();
        let y = x[0].diagonal_ssm([x[1], x[2], x[3]], x[4], Some(x[5]), Some(x[6]));
        assert!(matches!(g.check(), Err(Error::Shape { op, .. }) if op == "diagonal_ssm"), "{i}");
        assert!(Device::cpu().compile(&g, &[y.outputs]).is_err());
    }
    // The op itself, with an operand too few.
    let g = Graph::new();
    let x = g.input("x", [3, 4]);
    g.apply(DiagonalSsm { initial: true, resets: false }, &[x; 5]);
    assert!(g.check().is_err());
}
