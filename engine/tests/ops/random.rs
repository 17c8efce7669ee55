//! Random numbers: the generator's published vectors, the distributions, and that keys never meet.

use crate::common::{Case, Random, check_covers, integers, uniform};
use synod_engine::op::random::threefry;
use synod_engine::{Device, Graph, Tensor};

const COVERS: &[&str] =
    &["random_bits", "random_uniform", "random_normal", "random_gumbel", "fold_in", "categorical"];

/// Threefry-2x32-20 once more, written as the paper has it: a loop over rounds and a key schedule.
fn reference(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let rotations = [13u32, 15, 26, 6, 17, 29, 16, 24];
    let schedule = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD1_1BDA];
    let mut x = [counter[0].wrapping_add(schedule[0]), counter[1].wrapping_add(schedule[1])];
    for round in 0..20 {
        x[0] = x[0].wrapping_add(x[1]);
        let by = rotations[round % 8];
        x[1] = x[1].rotate_left(by) ^ x[0];
        if round % 4 == 3 {
            let s = round / 4 + 1;
            x[0] = x[0].wrapping_add(schedule[s % 3]);
            x[1] = x[1].wrapping_add(schedule[(s + 1) % 3]).wrapping_add(s as u32);
        }
    }
    x
}

/// The words that keys `[lanes, 2]` draw, `n` each.
fn words(keys: &[f64], n: usize) -> Vec<u32> {
    keys.chunks(2)
        .flat_map(|k| {
            (0..n as u32).map(|i| reference([k[0] as u32, k[1] as u32], [i / 2, 0])[i as usize % 2])
        })
        .collect()
}

fn open(word: u32) -> f64 {
    (f64::from(word >> 9) + 0.5) / f64::from(1 << 23)
}

struct Draw {
    op: &'static str,
    of: Vec<usize>,
}

impl Draw {
    fn apply<'g>(&self, key: Tensor<'g>) -> Tensor<'g> {
        match self.op {
            "random_bits" => key.random_bits(&self.of),
            "random_uniform" => key.random_uniform(&self.of),
            "random_normal" => key.random_normal(&self.of),
            _ => key.random_gumbel(&self.of),
        }
    }
}

fn variance(x: Tensor<'_>) -> Tensor<'_> {
    (x - x.mean_all()).square().mean_all()
}

fn cases() -> Vec<Case> {
    let mut random = Random::fresh();
    let mut cases = Vec::new();
    for (lead, shape) in [
        (&[][..], &[1][..]),
        (&[], &[]),
        (&[], &[7]),
        (&[], &[2, 16]),
        (&[3], &[33]),
        (&[3], &[]),
        (&[2, 3], &[5, 3]),
        (&[], &[70_001]),
    ] {
        let keys = lead.iter().product::<usize>();
        let n = shape.iter().product::<usize>();
        let values: Vec<u32> = (0..2 * keys).map(|_| random.bits() as u32).collect();
        let key = integers([lead, &[2]].concat(), &values);
        let of = shape.to_vec();
        let draw = |op: &'static str| {
            let of = of.clone();
            let build = Draw { op, of };
            let f = move |x: &[Vec<f64>]| {
                let words = words(&x[0], n);
                let one = |(i, w): (usize, &u32)| match op {
                    "random_bits" => f64::from(*w),
                    "random_uniform" => f64::from(w >> 8) / f64::from(1 << 24),
                    "random_gumbel" => -(-open(*w).ln()).ln(),
                    _ => {
                        // The first word of a block gives the radius, the second the angle.
                        let (lane, i) = (i / n, i % n);
                        let key = [x[0][2 * lane] as u32, x[0][2 * lane + 1] as u32];
                        let [a, b] = reference(key, [i as u32 / 2, 0]);
                        let angle = f64::from(b as i32 >> 8) * std::f64::consts::TAU / f64::from(1 << 24);
                        let radius = (-2.0 * open(a).ln()).sqrt();
                        radius * if i % 2 == 0 { angle.cos() } else { angle.sin() }
                    }
                };
                vec![words.iter().enumerate().map(one).collect()]
            };
            let case = Case::new(op, vec![key.clone()], move |_, x| vec![build.apply(x[0])], f);
            // A driver's sine is good to about 2^-11 only.
            if op == "random_normal" { case.tolerance(1e-4) } else { case }
        };
        cases.extend(["random_bits", "random_uniform", "random_normal", "random_gumbel"].map(draw));
    }
    for (key_lead, data_lead) in
        [(&[][..], &[][..]), (&[], &[5]), (&[3], &[3]), (&[3], &[4, 1]), (&[2, 3], &[3])]
    {
        let mut draw = |n: usize| (0..n).map(|_| random.bits() as u32).collect::<Vec<u32>>();
        let key = integers([key_lead, &[2]].concat(), &draw(2 * key_lead.iter().product::<usize>()));
        let data = integers(data_lead, &draw(data_lead.iter().product()));
        let (keys, numbers) = (key_lead.iter().product::<usize>(), data_lead.iter().product::<usize>());
        let grid = data_lead == [4, 1];
        let count = if grid { keys * numbers } else { keys.max(numbers) };
        cases.push(Case::new(
            "fold_in",
            vec![key, data],
            |_, x| vec![x[0].fold_in(x[1])],
            move |x| {
                let one = |i: usize| {
                    let (k, d) = if grid { (i % keys, i / keys) } else { (i % keys, i % numbers) };
                    reference([x[0][2 * k] as u32, x[0][2 * k + 1] as u32], [x[1][d] as u32, 1])
                        .map(f64::from)
                };
                vec![(0..count).flat_map(one).collect()]
            },
        ));
    }
    for (lead, n) in [(&[][..], 1), (&[7], 5), (&[2, 3], 4), (&[3], 1500)] {
        let key = integers([2], &[random.bits() as u32, random.bits() as u32]);
        cases.push(
            Case::new(
                "categorical",
                vec![uniform([lead, &[n]].concat(), 50.0..53.0).fixed(), key],
                |_, x| vec![x[0].categorical(x[1])],
                move |x| {
                    let noise: Vec<f64> =
                        words(&x[1], x[0].len()).iter().map(|w| -(-open(*w).ln()).ln()).collect();
                    let largest = |row: (&[f64], &[f64])| {
                        let score = |i: &usize| row.0[*i] + row.1[*i];
                        (0..n).reduce(|a, b| if score(&b) > score(&a) { b } else { a }).unwrap_or(0) as f64
                    };
                    vec![x[0].chunks(n).zip(noise.chunks(n)).map(largest).collect()]
                },
            )
            .outputs_only(),
        );
    }
    cases
}

#[test]
fn cases_agree_with_references() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn published_vectors() {
    // Random123 1.14, tests/kat_vectors: threefry2x32, 20 rounds.
    assert_eq!(threefry([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
    assert_eq!(threefry([u32::MAX; 2], [u32::MAX; 2]), [0x1cb9_96fc, 0xbb00_2be7]);
    let pi = threefry([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
    assert_eq!(pi, [0xc492_3a9c, 0x483d_f7a0]);
    // The same through a program.
    for device in crate::common::devices() {
        let g = Graph::new();
        let bits = g.constant_u32([2], &[0, 0]).random_bits([2]);
        let mut program = device.compile(&g, &[bits]).unwrap();
        assert_eq!(program.run(&[]).unwrap().u32(0), [0x6b20_0159, 0x99ba_4efe]);
    }
}

#[test]
fn a_longer_draw_starts_as_a_shorter_one() {
    let g = Graph::new();
    let key = g.key(77);
    let outputs = [key.random_bits([9]), key.random_bits([1000])];
    let mut program = Device::cpu().compile(&g, &outputs).unwrap();
    let out = program.run(&[]).unwrap();
    assert_eq!(out.u32(0), &out.u32(1)[..9]);
}

#[test]
fn moments_and_extremes() {
    let mut random = Random::fresh();
    let n = 1 << 20;
    for device in crate::common::devices() {
        let g = Graph::new();
        let key = g.input_u32("key", [2]);
        let keys = key.split_key(3);
        let key = |i| keys.slice(0, i, 1).reshape([2]);
        let u = key(0).random_uniform([n]);
        let z = key(1).random_normal([n]);
        let e = key(2).random_gumbel([n]);
        let outputs = [
            u.mean_all(),
            u.min(&[0]),
            u.max(&[0]),
            variance(u),
            z.mean_all(),
            variance(z),
            (z * z * z).mean_all(),
            (z * z * z * z).mean_all(),
            e.mean_all(),
            variance(e),
            e.max(&[0]),
        ];
        let mut program = device.compile(&g, &outputs).unwrap();
        let seed = random.bits();
        let out = program.run(&[("key", &[(seed >> 32) as u32, seed as u32])]).unwrap();
        let value = |i: usize| f64::from(out.f32(i)[0]);
        let near = |i: usize, want: f64, by: f64| {
            assert!(
                (value(i) - want).abs() < by,
                "{i}: {} and {want}, key {seed}, {}",
                value(i),
                device.name()
            );
        };
        // Six standard errors of a million numbers.
        near(0, 0.5, 6.0 * 0.289e-3);
        assert!(value(1) >= 0.0 && value(2) < 1.0);
        near(3, 1.0 / 12.0, 6.0 * 0.075e-3);
        near(4, 0.0, 6e-3);
        near(5, 1.0, 6.0 * 1.42e-3);
        near(6, 0.0, 6.0 * 3.9e-3);
        near(7, 3.0, 6.0 * 9.8e-3);
        near(8, 0.577_215_66, 6.0 * 1.29e-3);
        near(9, std::f64::consts::PI.powi(2) / 6.0, 6.0 * 3.5e-3);
        assert!(value(10).is_finite());
    }
}

#[test]
fn categorical_samples_follow_their_logits() {
    let n = 200_000;
    for device in crate::common::devices() {
        let g = Graph::new();
        let logits = g.input("logits", [4]).broadcast_to([n, 4]);
        let sample = logits.categorical(g.key(5));
        let mut program = device.compile(&g, &[sample.one_hot(4).mean(&[0])]).unwrap();
        let p = [0.5f32, 0.3, 0.2, 0.0];
        let logits: Vec<f32> = p.iter().map(|p| p.ln() + 3.0).collect();
        let out = program.run(&[("logits", &logits)]).unwrap();
        for (got, want) in out.f32(0).iter().zip(p) {
            assert!((got - want).abs() < 6.0 * (0.25f32 / n as f32).sqrt(), "{got} and {want}");
        }
        assert_eq!(out.f32(0)[3], 0.0);
    }
}

#[test]
fn lanes_draw_what_each_would_draw_alone() {
    let g = Graph::new();
    let keys = g.key(9).split_key(3);
    let together = keys.random_normal([5]);
    let logits = g.constant([3, 5], &[0.0; 15]);
    let mut outputs = vec![together, logits.categorical(keys)];
    for i in 0..3 {
        let key = keys.slice(0, i, 1).reshape([2]);
        outputs.push(key.random_normal([5]));
        outputs.push(logits.slice(0, i, 1).reshape([5]).categorical(key));
    }
    let mut program = Device::cpu().compile(&g, &outputs).unwrap();
    let out = program.run(&[]).unwrap();
    for i in 0..3 {
        assert_eq!(&out.f32(0)[5 * i..5 * i + 5], out.f32(2 + 2 * i));
        assert_eq!(out.u32(1)[i], out.u32(3 + 2 * i)[0]);
    }
}

#[test]
fn wrong_operands_are_refused() {
    let refused = |build: for<'g> fn(&'g Graph) -> Tensor<'g>, name: &str| {
        let g = Graph::new();
        let message = Device::cpu().compile(&g, &[build(&g)]).err().expect(name).to_string();
        assert!(message.contains(name), "{name}: {message}");
    };
    refused(|g| g.input("x", [2]).random_normal([3]), "random_normal");
    refused(|g| g.input_u32("x", [3]).random_bits([3]), "random_bits");
    refused(|g| g.key(1).fold_in(g.input("x", [3])), "fold_in");
    refused(|g| g.input("x", [3, 4]).categorical(g.key(1).split_key(2)), "categorical");
    refused(|g| g.key(1).split_key(usize::MAX), "split_key");
    refused(|g| g.key(1).random_bits([1 << 20, 1 << 20]), "random_bits");
}
