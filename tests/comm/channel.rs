use synod::agent::Mode;
use synod::comm::{Channel, Line};
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
