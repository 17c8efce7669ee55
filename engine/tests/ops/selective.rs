//! Selective state space models against plain loops in double precision.

use crate::common::{Case, check_covers, devices, mask, uniform};
use synod_engine::{Device, Error, Graph};

const COVERS: &[&str] = &["selective_scan", "selective_scan_gradient"];

#[derive(Clone, Copy)]
struct Sizes {
    lanes: usize,
    time: usize,
    states: usize,
    channels: usize,
    /// Every lane has rates of its own.
    own_rates: bool,
    resets: bool,
}

fn reference(sizes: Sizes, data: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Sizes { lanes, time, states, channels, own_rates, resets } = sizes;
    let mut y = vec![0.0; lanes * time * channels];
    let mut last = vec![0.0; lanes * states * channels];
    for lane in 0..lanes {
        for (k, c) in (0..states).flat_map(|k| (0..channels).map(move |c| (k, c))) {
            let rate = data[2][(if own_rates { lane * states } else { 0 } + k) * channels + c];
            let mut h = data[5][(lane * states + k) * channels + c];
            for t in 0..time {
                let row = lane * time + t;
                let (u, step) = (data[0][row * channels + c], data[1][row * channels + c]);
                if resets {
                    h *= 1.0 - data[6][row];
                }
                let decay = (rate * step).exp();
                h = decay * h + (decay - 1.0) / rate * data[3][row * states + k] * u;
                y[row * channels + c] += data[4][row * states + k] * h;
            }
            last[(lane * states + k) * channels + c] = h;
        }
    }
    vec![y, last]
}

/// With the last state among the outputs, or without: then the gradient is one op.
fn case(op: &'static str, sizes: Sizes, last: bool) -> Case {
    let Sizes { lanes, time, states, channels, own_rates, resets } = sizes;
    let mut inputs = vec![
        uniform([lanes, time, channels], -1.0..1.0),
        uniform([lanes, time, channels], 0.01..1.0),
        uniform(if own_rates { vec![lanes, states, channels] } else { vec![states, channels] }, -2.0..-0.1),
        uniform([lanes, time, states], -1.0..1.0),
        uniform([lanes, time, states], -1.0..1.0),
        uniform([lanes, states, channels], -1.0..1.0),
    ];
    if resets {
        inputs.push(mask([lanes, time]));
    }
    Case::new(
        op,
        inputs,
        move |_, x| {
            let out = x[0].selective_scan(x[1], x[2], [x[3], x[4]], x[5], x.get(6).copied());
            if last { vec![out.outputs, out.state] } else { vec![out.outputs] }
        },
        move |data| {
            let mut out = reference(sizes, data);
            out.truncate(if last { 2 } else { 1 });
            out
        },
    )
    .tolerance(3e-5)
}

#[test]
fn selective_scans_follow_their_definition() {
    let mut cases = Vec::new();
    for (i, (lanes, time, states, channels)) in
        [(1, 1, 1, 1), (1, 2, 3, 7), (3, 5, 4, 2), (2, 17, 3, 17), (2, 3, 9, 33), (1, 33, 2, 5)]
            .into_iter()
            .enumerate()
    {
        for (own_rates, resets) in [(false, false), (true, true), (false, true)] {
            let sizes = Sizes { lanes, time, states, channels, own_rates, resets };
            for last in [false, true] {
                cases.push(case(COVERS[i % 2], sizes, last));
            }
        }
    }
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn many_channels_are_cut_on_threads() {
    for (lanes, time, channels) in [(2, 40, 150), (9, 33, 65)] {
        let sizes = Sizes { lanes, time, states: 16, channels, own_rates: false, resets: true };
        case("selective_scan", sizes, false).first_order().check();
    }
}

/// At rates of one step much below rounding what is written is the input times the step.
#[test]
fn short_steps_keep_their_digits() {
    for device in devices() {
        let g = Graph::new();
        let one = |value: f32| g.full([1, 1], value);
        let out = one(1.0).selective_scan(one(1e-5), one(-1.0), [one(1.0); 2], one(0.0), None);
        let mut program = device.compile(&g, &[out.outputs]).unwrap();
        let y = f64::from(program.run(&[]).unwrap().scalar(0));
        assert!((y / 1e-5 - 0.999_995).abs() < 1e-6, "{}: {y}", device.name());
    }
}

#[test]
fn a_reset_forgets_what_is_not_finite() {
    for device in devices() {
        let g = Graph::new();
        let u = g.constant([3, 1], &[f32::NAN, 1.0, 1.0]);
        let column = |value: f32| g.full([3, 1], value);
        let resets = g.constant([3], &[0.0, 1.0, 0.0]);
        let rate = g.full([1, 1], -1.0);
        let step = g.full([3, 1], 0.5);
        let read = [column(1.0), column(1.0)];
        let out = u.selective_scan(step, rate, read, g.full([1, 1], 0.0), Some(resets));
        let drate = g.grad(out.outputs.slice(0, 1, 2).sum_all(), &[step]).unwrap()[0];
        let mut program = device.compile(&g, &[out.outputs, drate]).unwrap();
        let out = program.run(&[]).unwrap();
        let held = 1.0 - (-0.5f32).exp();
        assert!(out.f32(0)[0].is_nan());
        assert!((out.f32(0)[1] - held).abs() < 1e-6 && (out.f32(0)[2] - held * (2.0 - held)).abs() < 1e-6);
        assert!(out.f32(1)[1..].iter().all(|slope| slope.is_finite()), "{:?}", out.f32(1));
    }
}

#[test]
fn mistakes_are_named() {
    let right = [vec![3, 4], vec![3, 4], vec![2, 4], vec![3, 2], vec![3, 2], vec![2, 4], vec![3]];
    for (i, wrong) in [
        (0, vec![3, 5]),
        (1, vec![2, 4]),
        (1, vec![1, 3, 4]),
        (2, vec![2, 3]),
        (3, vec![3, 3]),
        (4, vec![2]),
        (5, vec![4, 2]),
        (6, vec![4]),
    ] {
        let mut shapes = right.clone();
        shapes[i] = wrong;
        let g = Graph::new();
        let x: Vec<_> =
            shapes.iter().enumerate().map(|(k, s)| g.input(&format!("x{k}"), s.clone())).collect();
        let y = x[0].selective_scan(x[1], x[2], [x[3], x[4]], x[5], Some(x[6]));
        assert!(matches!(g.check(), Err(Error::Shape { op, .. }) if op == "selective_scan"), "{i}");
        assert!(Device::cpu().compile(&g, &[y.outputs]).is_err());
    }
}
