//! Linear scans against plain loops in double precision.

use crate::common::{Case, check_covers, mask, uniform};
use synod_engine::{Device, Error, Graph};

const COVERS: &[&str] = &["linear_scan", "linear_scan_gradient"];
const COVERS_COMPLEX: &[&str] = &["complex_scan"];

struct Sizes {
    lanes: usize,
    time: usize,
    channels: usize,
    a_rows: usize,
    /// How many parts of each operand there are: as many as lanes, or 1.
    parts: [usize; 4],
}

fn reference(sizes: &Sizes, reverse: bool, data: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Sizes { lanes, time, channels, a_rows, parts } = *sizes;
    let mut out = vec![0.0; lanes * time * channels];
    for lane in 0..lanes {
        let at = parts.map(|p| lane % p);
        for channel in 0..channels {
            let mut x = data[2][at[2] * channels + channel];
            for step in 0..time {
                let t = if reverse { time - 1 - step } else { step };
                let keep = data.get(3).map_or(1.0, |r| 1.0 - r[at[3] * time + t]);
                let a = data[0][(at[0] * a_rows + if a_rows == 1 { 0 } else { t }) * channels + channel];
                x = a * keep * x + data[1][(at[1] * time + t) * channels + channel];
                out[(lane * time + t) * channels + channel] = x;
            }
        }
    }
    vec![out]
}

/// A case with operands of so many parts; one part has no leading dimension.
fn case(op: &'static str, sizes: Sizes, reverse: bool, resets: bool) -> Case {
    let Sizes { time, channels, a_rows, parts, .. } = sizes;
    let lead = |i: usize, tail: &[usize]| match parts[i] {
        1 => tail.to_vec(),
        n => [&[n], tail].concat(),
    };
    let mut inputs = vec![
        uniform(lead(0, &[a_rows, channels]), -0.95..0.95),
        uniform(lead(1, &[time, channels]), -1.0..1.0),
        uniform(lead(2, &[channels]), -1.0..1.0),
    ];
    if resets {
        inputs.push(mask(lead(3, &[time])));
    }
    Case::new(
        op,
        inputs,
        move |_, x| vec![x[1].linear_scan_with(x[0], x[2], x.get(3).copied(), reverse)],
        move |data| reference(&sizes, reverse, data),
    )
}

/// Lanes, steps, channels, rows of factors, and lanes of each operand.
const SIZES: [(usize, usize, usize, usize, [usize; 4]); 8] = [
    (1, 1, 1, 1, [1, 1, 1, 1]),
    (1, 2, 3, 2, [1, 1, 1, 1]),
    (1, 7, 17, 7, [1, 1, 1, 1]),
    (3, 5, 4, 1, [3, 3, 3, 3]),
    (3, 5, 31, 5, [1, 3, 1, 1]),
    (2, 6, 1, 6, [2, 1, 2, 2]),
    (2, 67, 3, 67, [2, 2, 1, 2]),
    (1, 131, 5, 1, [1, 1, 1, 1]),
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (lanes, time, channels, a_rows, parts) in SIZES {
        for (i, (reverse, resets)) in [(false, false), (true, true), (false, true)].into_iter().enumerate() {
            let sizes = Sizes { lanes, time, channels, a_rows, parts };
            cases.push(case(COVERS[i % 2], sizes, reverse, resets));
        }
    }
    // Lanes that repeat in the middle.
    cases.push(Case::new(
        "linear_scan",
        vec![
            uniform([2, 1, 2, 3, 2], -0.9..0.9),
            uniform([2, 2, 2, 3, 2], -1.0..1.0),
            uniform([2, 1, 2], -1.0..1.0),
        ],
        |_, x| vec![x[1].linear_scan(x[0], x[2], None)],
        |data| {
            let mut out = Vec::new();
            for lane in 0..8 {
                let (a, b, i) = (lane / 4 * 2 + lane % 2, lane, lane / 2 % 2);
                let one = [&data[0][a * 6..][..6], &data[1][b * 6..][..6], &data[2][i * 2..][..2]]
                    .map(<[f64]>::to_vec);
                let sizes = Sizes { lanes: 1, time: 3, channels: 2, a_rows: 3, parts: [1; 4] };
                out.extend(reference(&sizes, false, &one).remove(0));
            }
            vec![out]
        },
    ));
    cases
}

/// As [`reference`] with rows of real parts and imaginary ones behind them.
fn complex_reference(sizes: &Sizes, reverse: bool, data: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Sizes { lanes, time, channels, a_rows, parts } = *sizes;
    let mut out = vec![0.0; lanes * time * 2 * channels];
    for lane in 0..lanes {
        let at = parts.map(|p| lane % p);
        for channel in 0..channels {
            let number = |data: &[f64], row: usize| {
                let at = row * 2 * channels + channel;
                [data[at], data[at + channels]]
            };
            let mut x = number(&data[2], at[2]);
            for step in 0..time {
                let t = if reverse { time - 1 - step } else { step };
                let keep = data.get(3).map_or(1.0, |r| 1.0 - r[at[3] * time + t]);
                let a = number(&data[0], at[0] * a_rows + if a_rows == 1 { 0 } else { t });
                let b = number(&data[1], at[1] * time + t);
                let [re, im] = [a[0] * x[0] - a[1] * x[1], a[0] * x[1] + a[1] * x[0]];
                x = [keep * re + b[0], keep * im + b[1]];
                let place = (lane * time + t) * 2 * channels + channel;
                (out[place], out[place + channels]) = (x[0], x[1]);
            }
        }
    }
    vec![out]
}

/// As [`case`], over complex numbers.
fn complex_case(sizes: Sizes, reverse: bool, resets: bool) -> Case {
    let Sizes { time, channels, a_rows, parts, .. } = sizes;
    let lead = |i: usize, tail: &[usize]| match parts[i] {
        1 => tail.to_vec(),
        n => [&[n], tail].concat(),
    };
    let mut inputs = vec![
        uniform(lead(0, &[a_rows, 2 * channels]), -0.68..0.68),
        uniform(lead(1, &[time, 2 * channels]), -1.0..1.0),
        uniform(lead(2, &[2 * channels]), -1.0..1.0),
    ];
    if resets {
        inputs.push(mask(lead(3, &[time])));
    }
    Case::new(
        "complex_scan",
        inputs,
        move |_, x| vec![x[1].complex_scan_with(x[0], x[2], x.get(3).copied(), reverse)],
        move |data| complex_reference(&sizes, reverse, data),
    )
}

#[test]
fn complex_scans_follow_their_definition() {
    let mut cases = Vec::new();
    for (lanes, time, channels, a_rows, parts) in SIZES {
        for (reverse, resets) in [(false, false), (true, true), (false, true)] {
            let sizes = Sizes { lanes, time, channels, a_rows, parts };
            cases.push(complex_case(sizes, reverse, resets));
        }
    }
    check_covers(COVERS_COMPLEX, &cases);
    cases.iter().for_each(Case::check);
}

/// What a scan over time is where factors stay the same: a convolution with their powers.
#[test]
fn a_complex_scan_is_a_convolution_with_powers() {
    let (time, channels) = (37, 3);
    for device in crate::common::devices() {
        let mut random = crate::common::Random::fresh();
        let a = random.floats(2 * channels, -0.69, 0.69);
        let b = random.floats(time * 2 * channels, -1.0, 1.0);
        let g = Graph::new();
        let x = g.constant([time, 2 * channels], &b).complex_scan(
            g.constant([1, 2 * channels], &a),
            g.full([2 * channels], 0.0),
            None,
        );
        let mut program = device.compile(&g, &[x]).unwrap();
        let out = program.run(&[]).unwrap();
        for (t, channel) in (0..time).flat_map(|t| (0..channels).map(move |c| (t, c))) {
            let a = [a[channel], a[channel + channels]].map(f64::from);
            let (size, angle) = (a[0].hypot(a[1]), a[1].atan2(a[0]));
            let mut sum = [0.0; 2];
            for k in 0..=t {
                let place = (t - k) * 2 * channels + channel;
                let b = [b[place], b[place + channels]].map(f64::from);
                let (length, turn) = (size.powi(k as i32), angle * k as f64);
                let power = [length * turn.cos(), length * turn.sin()];
                sum[0] += power[0] * b[0] - power[1] * b[1];
                sum[1] += power[0] * b[1] + power[1] * b[0];
            }
            for (part, expected) in sum.into_iter().enumerate() {
                let found = f64::from(out.f32(0)[t * 2 * channels + part * channels + channel]);
                let seed = random.seed();
                assert!(
                    (found - expected).abs() < 2e-5,
                    "{}: {found} {expected}, seed {seed}",
                    device.name()
                );
            }
        }
    }
}

#[test]
fn scans_follow_their_definition() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn long_sequences_are_cut_on_threads() {
    let sizes = Sizes { lanes: 2, time: 60, channels: 1100, a_rows: 60, parts: [2, 2, 1, 1] };
    case("linear_scan", sizes, false, true).first_order().check();
    let sizes = Sizes { lanes: 2, time: 60, channels: 1100, a_rows: 60, parts: [2, 2, 1, 1] };
    complex_case(sizes, false, true).first_order().check();
}

#[test]
fn a_reset_forgets_what_is_not_finite() {
    for device in crate::common::devices() {
        let g = Graph::new();
        let x = g.constant([4, 1], &[f32::NAN, 1.0, 2.0, 3.0]).linear_scan(
            g.full([1, 1], 0.5),
            g.full([1], 0.0),
            Some(g.input("resets", [4])),
        );
        let mut program = device.compile(&g, &[x]).unwrap();
        let outputs = program.run(&[("resets", &[0.0f32, 1.0, 0.0, 0.0])]).unwrap();
        assert!(outputs.f32(0)[0].is_nan());
        assert_eq!(outputs.f32(0)[1..], [1.0, 2.5, 4.25]);
    }
    for device in crate::common::devices() {
        let g = Graph::new();
        // Enough steps for chunks on a GPU.
        let b: Vec<f32> = (0..80).flat_map(|t| if t == 0 { [f32::NAN, 0.0] } else { [0.0, 1.0] }).collect();
        let b = g.constant([80, 2], &b);
        let resets: Vec<f32> = (0..80).map(|t| f32::from(u8::from(t == 1))).collect();
        let (half, zero) = (g.constant([1, 2], &[0.5, 0.0]), g.full([2], 0.0));
        let x = b.complex_scan(half, zero, Some(g.constant([80], &resets)));
        let dhalf = g.grad(x.slice(0, 1, 79).sum_all(), &[half]).unwrap()[0];
        let mut program = device.compile(&g, &[x, dhalf]).unwrap();
        let outputs = program.run(&[]).unwrap();
        assert!(outputs.f32(0)[0].is_nan());
        assert_eq!(outputs.f32(0)[2..6], [0.0, 1.0, 0.0, 1.5]);
        assert!(outputs.f32(1).iter().all(|slope| slope.is_finite()), "{:?}", outputs.f32(1));
    }
}

#[test]
fn mistakes_are_named() {
    for (a, b, initial, resets) in [
        (vec![3, 4], vec![2, 4], vec![4], vec![2]),
        (vec![2, 4], vec![2, 3], vec![3], vec![2]),
        (vec![2, 4], vec![2, 4], vec![3], vec![2]),
        (vec![2, 4], vec![2, 4], vec![4], vec![3]),
        (vec![4], vec![2, 4], vec![4], vec![2]),
        (vec![3, 2, 4], vec![2, 2, 4], vec![4], vec![2]),
    ] {
        let g = Graph::new();
        let [a, b, initial, resets] =
            [("a", a), ("b", b), ("i", initial), ("r", resets)].map(|(name, shape)| g.input(name, shape));
        let x = b.linear_scan(a, initial, Some(resets));
        assert!(matches!(g.check(), Err(Error::Shape { op, .. }) if op == "linear_scan"));
        assert!(Device::cpu().compile(&g, &[x]).is_err());
    }
}

#[test]
fn mistakes_of_complex_scans_are_named() {
    for (a, b, initial, resets) in [
        (vec![3, 4], vec![2, 4], vec![4], vec![2]),
        (vec![2, 3], vec![2, 3], vec![3], vec![2]),
        (vec![2, 4], vec![2, 4], vec![2], vec![2]),
        (vec![2, 4], vec![2, 4], vec![4], vec![3]),
        (vec![4], vec![2, 4], vec![4], vec![2]),
    ] {
        let g = Graph::new();
        let [a, b, initial, resets] =
            [("a", a), ("b", b), ("i", initial), ("r", resets)].map(|(name, shape)| g.input(name, shape));
        let x = b.complex_scan(a, initial, Some(resets));
        assert!(matches!(g.check(), Err(Error::Shape { op, .. }) if op == "complex_scan"));
        assert!(Device::cpu().compile(&g, &[x]).is_err());
    }
}
