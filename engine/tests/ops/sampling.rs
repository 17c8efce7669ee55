//! What is drawn: frequencies, ranges, orders, and dropout with its gradient.

use crate::common::{Random, devices};
use synod_engine::Graph;

/// Runs a graph on every device with a fresh key and gives what `read` takes from the outputs.
fn drawn(
    build: impl for<'g> Fn(&'g Graph, synod_engine::Tensor<'g>) -> Vec<synod_engine::Tensor<'g>>,
) -> Vec<Vec<Vec<u32>>> {
    let mut random = Random::fresh();
    let key = [random.bits() as u32, random.bits() as u32];
    devices()
        .iter()
        .map(|device| {
            let g = Graph::new();
            let outputs = build(&g, g.input_u32("key", [2]));
            let mut program = device.compile(&g, &outputs).unwrap();
            let out = program.run(&[("key", &key)]).unwrap();
            (0..outputs.len()).map(|i| out.u32(i).to_vec()).collect()
        })
        .collect()
}

fn mean(bits: &[u32]) -> f64 {
    bits.iter().map(|&b| f64::from(f32::from_bits(b))).sum::<f64>() / bits.len() as f64
}

#[test]
fn truth_values_are_as_frequent_as_asked() {
    let n = 40_000;
    for out in drawn(|g, key| {
        vec![
            g.full([n], 0.3).bernoulli(key),
            g.full([n], 0.0).bernoulli(key),
            g.full([n], 1.0).bernoulli(key),
        ]
    }) {
        // Five standard deviations.
        assert!((mean(&out[0]) - 0.3).abs() < 5.0 * (0.21 / n as f64).sqrt(), "{}", mean(&out[0]));
        assert_eq!((mean(&out[1]), mean(&out[2])), (0.0, 1.0));
    }
}

#[test]
fn dropout_keeps_the_mean_and_masks_the_gradient() {
    let n = 40_000;
    for out in drawn(|g, key| {
        let x = g.full([n], 2.0) + g.full([n], 0.0);
        let y = x.dropout(key, 0.25);
        let gradient = g.grad(y.sum_all(), &[x]).unwrap()[0];
        vec![
            y,
            gradient,
            x.dropout(key, 0.0),
            x.dropout(key, 1.0),
            g.grad(x.dropout(key, 1.0).sum_all(), &[x]).unwrap()[0],
        ]
    }) {
        assert!((mean(&out[0]) - 2.0).abs() < 5.0 * (4.0 / 3.0 / n as f64).sqrt(), "{}", mean(&out[0]));
        for (y, d) in out[0].iter().zip(&out[1]) {
            assert_eq!(f32::from_bits(*y), 2.0 * f32::from_bits(*d));
        }
        assert_eq!((mean(&out[2]), mean(&out[3]), mean(&out[4])), (2.0, 0.0, 0.0));
    }
    let g = Graph::new();
    g.input("x", [3]).dropout(g.key(1), 1.5);
    assert!(g.check().unwrap_err().to_string().contains("dropout"));
}

#[test]
fn whole_numbers_fill_their_range() {
    let n = 60_000;
    let all = drawn(|_, key| {
        vec![
            key.random_integers(-2, 4, [n]),
            key.random_integers(i32::MIN, i32::MAX, [n]),
            key.random_integers(7, 8, [9]),
        ]
    });
    assert!(all.iter().all(|out| *out == all[0]), "devices differ");
    for out in &all {
        let mut counts = [0; 6];
        for &x in &out[0] {
            counts[(x as i32 + 2) as usize] += 1;
        }
        let spread = 5.0 * (n as f64 * 5.0 / 36.0).sqrt();
        assert!(counts.iter().all(|&c| (f64::from(c) - n as f64 / 6.0).abs() < spread), "{counts:?}");
        let negative = out[1].iter().filter(|&&x| (x as i32) < 0).count() as f64;
        assert!((negative - n as f64 / 2.0).abs() < 5.0 * (n as f64 / 4.0).sqrt());
        assert_eq!(out[2], [7; 9]);
    }
    let g = Graph::new();
    g.key(1).random_integers(3, 3, [2]);
    assert!(g.check().unwrap_err().to_string().contains("random_integers"));
}

#[test]
fn permutations_hold_every_number_once_and_each_place_equally_often() {
    let all = drawn(|g, key| {
        let keys = key.split_key(6000);
        let _ = g;
        vec![key.random_permutation(3000), keys.random_permutation(3), key.random_permutation(1)]
    });
    assert!(all.iter().all(|out| *out == all[0]), "devices differ");
    let mut sorted = all[0][0].clone();
    sorted.sort_unstable();
    assert!(sorted.iter().copied().eq(0..3000) && sorted != all[0][0]);
    let mut counts = [0; 27];
    for order in all[0][1].chunks(3) {
        counts[(order[0] * 9 + order[1] * 3 + order[2]) as usize] += 1;
    }
    let seen: Vec<i32> = counts.into_iter().filter(|c| *c > 0).collect();
    let spread = 5.0 * (6000.0f64 * 5.0 / 36.0).sqrt();
    assert!(seen.len() == 6 && seen.iter().all(|&c| (f64::from(c) - 1000.0).abs() < spread), "{seen:?}");
    assert_eq!(all[0][2], [0]);
}
