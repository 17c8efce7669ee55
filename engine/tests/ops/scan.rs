//! Linear scans against plain loops in double precision.

use crate::common::{Case, check_covers, mask, uniform};
use synod_engine::{Device, Error, Graph};

const COVERS: &[&str] = &["linear_scan", "linear_scan_gradient"];

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

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (lanes, time, channels, a_rows, parts) in [
        (1, 1, 1, 1, [1, 1, 1, 1]),
        (1, 2, 3, 2, [1, 1, 1, 1]),
        (1, 7, 17, 7, [1, 1, 1, 1]),
        (3, 5, 4, 1, [3, 3, 3, 3]),
        (3, 5, 31, 5, [1, 3, 1, 1]),
        (2, 6, 1, 6, [2, 1, 2, 2]),
        (2, 67, 3, 67, [2, 2, 1, 2]),
        (1, 131, 5, 1, [1, 1, 1, 1]),
    ] {
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
