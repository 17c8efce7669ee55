use synod::agent::Mode;
use synod::comm::{Channel, Line, Measured};
use synod::nn::Builder;
use synod::{Device, Graph};

use crate::random::Random;

const SHAPE: [usize; 4] = [2, 3, 4, 5];

/// What comes of numbers sent over a line, the gradient of `sum of (message x (1 + i/10))` for them, and the price with its
/// gradient.
struct Sent {
    message: Vec<f32>,
    slope: Vec<f32>,
    price: f32,
    price_slope: Vec<f32>,
}

fn send(channel: Channel, size: usize, numbers: &[f32], mode: Mode, seed: u32) -> Sent {
    let device = Device::cpu();
    let mut builder = Builder::new(3);
    let line = Line::new(&mut builder, channel, size);
    let spare = builder.parameter("spare", [1], synod::nn::Initial::Zeros);
    let parameters = builder.build(&device).unwrap();
    let graph = Graph::new();
    let weights = parameters.weights(&graph);
    let [time, agents, worlds, _] = SHAPE;
    let all = channel.numbers(size);
    let x = graph.input("x", [time, agents, worlds, all]);
    let key = graph.input_u32("key", [time, worlds, 2]);
    let message = line.send(&weights, x, key, mode);
    let slopes: Vec<f32> = (0..size).map(|i| 1.0 + i as f32 / 10.0).collect();
    let loss = (message * graph.constant([size], &slopes)).sum_all() + weights.get(spare).sum_all();
    let price = line.price(x).unwrap_or_else(|| x.sum_all() * 0.0);
    let slopes = [loss, price].map(|of| graph.grad_or_zeros(of, &[x]).unwrap()[0]);
    let outputs = [message, slopes[0], price, slopes[1]];
    let mut program = device.compile(&graph, &outputs).unwrap();
    program.input_mut("x").unwrap().copy_from_slice(numbers);
    let keys: Vec<u32> = (0..(time * worlds * 2) as u32).map(|i| i ^ (seed << 8)).collect();
    program.find_input_u32("key").into_iter().for_each(|input| input.copy_from_slice(&keys));
    let out = program.run(&[]).unwrap();
    let [message, slope, _, price_slope] = [0, 1, 2, 3].map(|i| out.f32(i).to_vec());
    Sent { message, slope, price: out.f32(2)[0], price_slope }
}

fn numbers(channel: Channel, size: usize, random: &mut Random) -> Vec<f32> {
    let [time, agents, worlds, _] = SHAPE;
    random.floats(time * agents * worlds * channel.numbers(size), -3.0, 3.0)
}

/// The bias towards saying something is `(H(m|x) - spread)^2 - H(m)`, and its gradient that of differences.
#[test]
fn the_price_of_words_is_the_papers() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let (signalling, spread) = (0.7f32, 0.4f32);
    let channel = Channel::Symbols { temperature: 1.5, signalling, spread };
    let [time, agents, worlds, size] = SHAPE;
    let x = numbers(channel, size, &mut random);
    let reference = |x: &[f64]| -> f64 {
        let entropy = |p: &[f64]| p.iter().map(|p| -p * p.max(1e-30).ln()).sum::<f64>();
        let (mut here, mut over_all) = (0.0, 0.0);
        for agent in 0..agents {
            let mut mean = vec![0.0; size];
            for t in 0..time {
                for world in 0..worlds {
                    let row = &x[((t * agents + agent) * worlds + world) * size..][..size];
                    let centre = row.iter().sum::<f64>() / size as f64;
                    let variance = row.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / size as f64;
                    let scale = 6.0 * (size as f64 - 1.0).sqrt() / size as f64 / (variance + 1.0).sqrt();
                    let powers: Vec<f64> = row.iter().map(|x| ((x - centre) * scale).exp()).collect();
                    let sum: f64 = powers.iter().sum();
                    let p: Vec<f64> = powers.iter().map(|power| power / sum).collect();
                    here += entropy(&p) / (time * agents * worlds) as f64;
                    mean.iter_mut().zip(&p).for_each(|(m, p)| *m += p / (time * worlds) as f64);
                }
            }
            over_all += entropy(&mean) / agents as f64;
        }
        ((here - f64::from(spread)).powi(2) - over_all) * f64::from(signalling)
    };
    let sent = send(channel, size, &x, Mode::Learning, 1);
    let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    assert!((f64::from(sent.price) - reference(&wide)).abs() < 1e-5, "seed {seed}");
    for i in (0..x.len()).step_by(7) {
        let at = |by: f64| {
            let mut x = wide.clone();
            x[i] += by;
            reference(&x)
        };
        let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
        let found = f64::from(sent.price_slope[i]);
        assert!((found - slope).abs() < 1e-5, "seed {seed}, {i}: {found} against {slope}");
    }
}

#[test]
fn channels_carry_what_their_formulas_say() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let size = SHAPE[3];
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let close =
        |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    let slope = |i: usize| 1.0 + (i % size) as f32 / 10.0;
    let of = |x: &[f32], f: &dyn Fn(f32) -> f32| -> Vec<f32> { x.iter().map(|x| f(*x)).collect() };

    // Real numbers: tanh, in every mode, and its slope.
    let channel = Channel::Continuous { noise: 0.0 };
    let x = numbers(channel, size, &mut random);
    for mode in [Mode::Learning, Mode::Exploring, Mode::Acting] {
        let sent = send(channel, size, &x, mode, 1);
        assert!(close(&sent.message, &of(&x, &f32::tanh)), "seed {seed}");
        let slopes: Vec<f32> =
            x.iter().enumerate().map(|(i, x)| slope(i) * (1.0 - x.tanh().powi(2))).collect();
        assert!(close(&sent.slope, &slopes), "seed {seed}");
    }
    // Bits: a sigmoid while learning, and hard in acting; noise is that of the key.
    let channel = Channel::Binary { noise: 0.0 };
    let soft = send(channel, size, &x, Mode::Learning, 1);
    assert!(close(&soft.message, &of(&x, &sigmoid)));
    let slopes: Vec<f32> =
        x.iter().enumerate().map(|(i, x)| slope(i) * sigmoid(*x) * (1.0 - sigmoid(*x))).collect();
    assert!(close(&soft.slope, &slopes));
    let channel = Channel::Binary { noise: 2.0 };
    let hard = send(channel, size, &x, Mode::Acting, 1);
    assert_eq!(hard.message, of(&x, &|x| f32::from(u8::from(x > 0.0))));
    let noisy = |seed: u32, mode: Mode| send(channel, size, &x, mode, seed).message;
    assert_eq!(noisy(1, Mode::Learning), noisy(1, Mode::Exploring), "what was said is said again");
    assert_ne!(noisy(1, Mode::Learning), noisy(2, Mode::Learning));
    // What the noise was: mean 0, deviation 2.
    let mut noise = Vec::new();
    for key in 0..60 {
        let drawn = noisy(key, Mode::Learning);
        noise.extend(
            drawn
                .iter()
                .zip(&x)
                .filter(|(m, _)| **m > 1e-4 && **m < 1.0 - 1e-4)
                .map(|(m, x)| f64::from((m / (1.0 - m)).ln() - x)),
        );
    }
    let count = noise.len() as f64;
    let mean = noise.iter().sum::<f64>() / count;
    let deviation = (noise.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / count).sqrt();
    assert!(mean.abs() < 0.15 && (deviation - 2.0).abs() < 0.1, "seed {seed}: {mean} {deviation} of {count}");
}

/// Words are one-hot whatever the rounding, drawn as often as the softmax of their scores says, and in acting the likeliest.
#[test]
fn words_are_drawn_by_their_chances() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let size = SHAPE[3];
    let channel = Channel::Symbols { temperature: 0.7, signalling: 0.0, spread: 0.3 };
    let x = numbers(channel, size, &mut random);
    let acting = send(channel, size, &x, Mode::Acting, 1);
    let rows = x.len() / size;
    let likeliest = |row: &[f32]| (0..size).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
    for (message, row) in acting.message.chunks(size).zip(x.chunks(size)) {
        assert_eq!(message.iter().sum::<f32>(), 1.0);
        assert_eq!(message[likeliest(row)], 1.0, "seed {seed}");
    }
    assert!(acting.slope.iter().all(|s| *s == 0.0));
    let draws = 600u32;
    let mut counts = vec![0.0f64; rows * size];
    for key in 0..draws {
        let sent = send(channel, size, &x, Mode::Learning, key);
        for (row, message) in sent.message.chunks(size).enumerate() {
            assert_eq!(message.iter().filter(|m| **m == 1.0).count(), 1);
            assert_eq!(message.iter().filter(|m| **m == 0.0).count(), size - 1);
            counts[row * size + likeliest(message)] += 1.0;
        }
        // The gradient is that of a softmax: it sums to nothing over words, and is something.
        assert!(sent.slope.chunks(size).all(|row| row.iter().sum::<f32>().abs() < 1e-4));
        assert!(sent.slope.iter().any(|s| s.abs() > 1e-3));
    }
    let mut surprise = 0.0;
    for (row, counts) in x.chunks(size).zip(counts.chunks(size)) {
        let mean = row.iter().sum::<f32>() / size as f32;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / size as f32;
        let scale = 6.0 * (size as f32 - 1.0).sqrt() / size as f32 / (variance + 1.0).sqrt();
        let powers: Vec<f64> = row.iter().map(|x| f64::from((x - mean) * scale).exp()).collect();
        let sum: f64 = powers.iter().sum();
        for (power, count) in powers.iter().zip(counts) {
            let expected = power / sum * f64::from(draws);
            surprise += (count - expected).powi(2) / expected.max(0.5);
        }
    }
    // Chi-square with 4 degrees of freedom a row: mean 96, deviation 14 over 24 rows.
    assert!(surprise < 96.0 + 6.0 * 14.0 + 40.0, "seed {seed}: {surprise}");
}

/// Superposition: chances by the Born rule against plain complex arithmetic, its slope by differences, and what acting makes
/// of it. The mixture beside it.
#[test]
fn superpositions_are_measured_by_the_rule() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let (size, states) = (2, 3);
    for superposed in [true, false] {
        let channel = |measured| match superposed {
            true => Channel::Superposition { states, measured },
            false => Channel::Mixture { states, measured },
        };
        let all = channel(Measured::Expectation).numbers(size);
        let x = numbers(channel(Measured::Expectation), size, &mut random);
        let (real, imaginary) = unitary(states, size, superposed);
        let chances = |row: &[f64]| -> Vec<f64> {
            let own = &row[states * size..];
            let weights: Vec<f64> = match superposed {
                false => own.iter().map(|x| x.exp()).collect(),
                true => (0..states)
                    .map(|s| {
                        let (mut re, mut im) = (0.0, 0.0);
                        for t in 0..states {
                            let (a, b) = (own[t], own[states + t]);
                            let (u, v) = (real[t * states + s], imaginary[t * states + s]);
                            re += a * u - b * v;
                            im += a * v + b * u;
                        }
                        re * re + im * im + 1e-12
                    })
                    .collect(),
            };
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|w| w / sum).collect()
        };
        let message = |row: &[f64], chances: &[f64]| -> Vec<f64> {
            (0..size).map(|i| (0..states).map(|s| chances[s] * row[s * size + i].tanh()).sum()).collect()
        };
        let sent = send(channel(Measured::Expectation), size, &x, Mode::Learning, 1);
        let acting = send(channel(Measured::Likeliest), size, &x, Mode::Acting, 1);
        let sample = send(channel(Measured::Sample), size, &x, Mode::Acting, 1);
        let again = send(channel(Measured::Sample), size, &x, Mode::Learning, 1);
        assert_eq!(again.message, sent.message, "learning takes the expectation");
        for (k, row) in x.chunks(all).enumerate() {
            let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
            let p = chances(&row);
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let (found, expected) = (&sent.message[k * size..][..size], message(&row, &p));
            let near = |a: &[f32], b: &[f64]| a.iter().zip(b).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4);
            assert!(near(found, &expected), "seed {seed}: {found:?} {expected:?}");
            let pure: Vec<Vec<f64>> =
                (0..states).map(|s| (0..size).map(|i| row[s * size + i].tanh()).collect()).collect();
            let best = (0..states).max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap();
            assert!(near(&acting.message[k * size..][..size], &pure[best]), "seed {seed}");
            assert!(pure.iter().any(|one| near(&sample.message[k * size..][..size], one)), "seed {seed}");
            if k % 5 > 0 {
                continue;
            }
            let loss = |row: &[f64]| -> f64 {
                let message = message(row, &chances(row));
                message.iter().enumerate().map(|(i, m)| m * (1.0 + i as f64 / 10.0)).sum()
            };
            for i in 0..all {
                let at = |by: f64| {
                    let mut row = row.clone();
                    row[i] += by;
                    loss(&row)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                let found = f64::from(sent.slope[k * all + i]);
                assert!((found - slope).abs() < 1e-3 * (1.0 + slope.abs()), "seed {seed}: {found} {slope}");
            }
        }
    }
}

/// The matrix that the line of [`send`] has learned nothing of yet.
fn unitary(states: usize, size: usize, superposed: bool) -> (Vec<f64>, Vec<f64>) {
    if !superposed {
        return Default::default();
    }
    let mut builder = Builder::new(3);
    let _line = Line::new(&mut builder, Channel::Superposition { states, measured: Measured::Sample }, size);
    let parameters = builder.build(&Device::cpu()).unwrap();
    let mut checkpoint = synod::train::Checkpoint::new();
    parameters.save("p", &mut checkpoint).unwrap();
    let read = |name: &str| -> Vec<f64> {
        let values = checkpoint.tensor(&format!("p/superposition/{name}")).unwrap().to_f32().unwrap();
        values.iter().map(|x| f64::from(*x)).collect()
    };
    (read("real"), read("imaginary"))
}
