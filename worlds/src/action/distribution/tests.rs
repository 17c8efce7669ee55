//! Every distribution against its formula in f64, its gradients against finite differences of that formula, densities
//! against the integral 1, draws against what they should be like.

use super::*;
use crate::nn::initial::Stream;
use synod_engine::Device;

fn fresh() -> (Stream, u64) {
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
    println!("seed {seed}");
    (Stream::new(seed), seed)
}

fn normals(stream: &mut Stream, count: usize) -> Vec<f32> {
    (0..count).map(|_| stream.normal() as f32).collect()
}

/// What is built: a value for each lane, and the random numbers that it was made with.
type Built<'g> = (Tensor<'g>, Option<Tensor<'g>>);

/// Checks a value of each of 7 lanes, built from parameters `[lanes, n]` and other numbers `[lanes, m]`, against its
/// formula in f64, and the gradient of a loss behind it by what lies before the parameters.
fn agree(
    name: &str,
    n: usize,
    others: &dyn Fn(&mut Stream) -> Vec<f32>,
    build: &dyn for<'g> Fn(Tensor<'g>, Tensor<'g>, Tensor<'g>) -> Built<'g>,
    formula: &dyn Fn(&[f64], &[f64], &[f64]) -> f64,
) {
    const LANES: usize = 7;
    let (mut stream, seed) = fresh();
    let raw = normals(&mut stream, LANES * n);
    let rows: Vec<Vec<f32>> = (0..LANES).map(|_| others(&mut stream)).collect();
    let (m, flat) = (rows[0].len(), rows.concat());
    let shares = normals(&mut stream, LANES);
    let graph = Graph::new();
    let before = graph.input("raw", [LANES, n]);
    let other = graph.input("other", [LANES, m]);
    let (value, noise) = build(before.tanh() * 2.0, other, graph.key(seed));
    let loss = (value.square() * graph.constant([LANES], &shares)).sum_all();
    let gradient = graph.grad(loss, &[before]).unwrap()[0];
    // What is not used is no input.
    let used = other.sum(&[-1]) * 1.0;
    let outputs: Vec<Tensor<'_>> = [value, gradient, used].into_iter().chain(noise).collect();
    let mut program = Device::cpu().compile(&graph, &outputs).unwrap();
    let out = program.run(&[("raw", &raw), ("other", &flat)]).unwrap();
    let wide = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
    let noise: Vec<f64> = if noise.is_some() { wide(out.f32(3)) } else { Vec::new() };
    let each = noise.len() / LANES;
    let (mut wrong, mut whole) = ([0.0; 2], [0.0; 2]);
    for lane in 0..LANES {
        let own = wide(&raw[lane * n..][..n]);
        let other = wide(&rows[lane]);
        let at = |raw: &[f64]| {
            let parameters: Vec<f64> = raw.iter().map(|x| 2.0 * x.tanh()).collect();
            formula(&parameters, &other, &noise[lane * each..][..each])
        };
        let expected = at(&own);
        let mut add = |i: usize, found: f32, expected: f64| {
            wrong[i] += (f64::from(found) - expected).powi(2);
            whole[i] += expected.powi(2);
        };
        add(0, out.f32(0)[lane], expected);
        for j in 0..n {
            let moved = |by: f64| {
                let mut raw = own.clone();
                raw[j] += by;
                f64::from(shares[lane]) * at(&raw).powi(2)
            };
            add(1, out.f32(1)[lane * n + j], (moved(1e-5) - moved(-1e-5)) / 2e-5);
        }
    }
    for (i, what) in ["value", "gradient"].into_iter().enumerate() {
        let error = (wrong[i] / whole[i].max(1e-12)).sqrt();
        assert!(error < 2e-4, "{name}: the {what} is wrong by {error} (seed {seed})");
    }
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - most).exp()).sum();
    logits.iter().map(|x| x - most - sum.ln()).collect()
}

fn entropy_of(logs: &[f64]) -> f64 {
    -logs.iter().map(|log| if *log < -1e8 { 0.0 } else { log.exp() * log }).sum::<f64>()
}

/// The log-density of a diagonal Gaussian, from means and logarithms of deviations one after another.
fn gaussian(p: &[f64], x: &[f64]) -> f64 {
    let d = x.len();
    let each = |i: usize| {
        let apart = (x[i] - p[i]) / p[d + i].exp();
        -0.5 * apart * apart - p[d + i] - 0.5 * std::f64::consts::TAU.ln()
    };
    (0..d).map(each).sum()
}

fn gaussian_kl(p: &[f64], q: &[f64]) -> f64 {
    let d = p.len() / 2;
    let each = |i: usize| {
        let (a, b) = (p[d + i].exp(), q[d + i].exp());
        (b / a).ln() + (a * a + (p[i] - q[i]).powi(2)) / (2.0 * b * b) - 0.5
    };
    (0..d).map(each).sum()
}

fn split<'g>(p: Tensor<'g>, d: usize) -> Gaussian<'g> {
    Gaussian::new(cut(p, 0, d), cut(p, d, d))
}

const LOW: [f32; 2] = [-1.0, 2.0];
const HIGH: [f32; 2] = [3.0, 2.5];

fn squashed<'g>(p: Tensor<'g>) -> TanhGaussian<'g> {
    TanhGaussian::new(split(p, 2), &LOW, &HIGH).unwrap()
}

/// The log-density of what becomes of `u` between [`LOW`] and [`HIGH`].
fn squashed_density(p: &[f64], u: &[f64]) -> f64 {
    let slope = |i: usize| f64::from(HIGH[i] - LOW[i]) / 2.0 / u[i].cosh().powi(2);
    gaussian(p, u) - (0..2).map(|i| slope(i).ln()).sum::<f64>()
}

fn squash(i: usize, u: f64) -> f64 {
    f64::from(LOW[i] + HIGH[i]) / 2.0 + f64::from(HIGH[i] - LOW[i]) / 2.0 * u.tanh()
}

#[test]
fn categorical_is_its_formula() {
    // An option, then a mask in which that option is allowed.
    let others = |stream: &mut Stream| {
        let option = stream.below(5);
        let mut row: Vec<f32> = (0..6).map(|_| stream.below(2) as f32).collect();
        (row[0], row[1 + option]) = (option as f32, 1.0);
        row
    };
    fn masked<'g>(p: Tensor<'g>, x: Tensor<'g>) -> Categorical<'g> {
        Categorical::new(p, Some(cut(x, 1, 5)))
    }
    let logs = |p: &[f64], x: &[f64]| {
        let logits: Vec<f64> = (0..5).map(|i| if x[1 + i] > 0.0 { p[i] } else { -1e9 }).collect();
        log_softmax(&logits)
    };
    agree(
        "log-probability",
        5,
        &others,
        &|p, x, _| (masked(p, x).log_probability(column(x, 0).to_u32()), None),
        &|p, x, _| logs(p, x)[x[0] as usize],
    );
    agree("entropy", 5, &others, &|p, x, _| (masked(p, x).entropy(), None), &|p, x, _| {
        entropy_of(&logs(p, x))
    });
    let plain = |stream: &mut Stream| normals(stream, 1);
    agree(
        "divergence",
        10,
        &plain,
        &|p, _, _| (Categorical::new(cut(p, 0, 5), None).kl(&Categorical::new(cut(p, 5, 5), None)), None),
        &|p, _, _| {
            let (a, b) = (log_softmax(&p[..5]), log_softmax(&p[5..]));
            a.iter().zip(&b).map(|(a, b)| a.exp() * (a - b)).sum()
        },
    );
}

#[test]
fn gaussian_is_its_formula() {
    let three = |stream: &mut Stream| normals(stream, 3);
    agree("log-density", 6, &three, &|p, x, _| (split(p, 3).log_probability(x), None), &|p, x, _| {
        gaussian(p, x)
    });
    agree("entropy", 6, &three, &|p, _, _| (split(p, 3).entropy(), None), &|p, _, _| {
        p[3..].iter().map(|log| log + 0.5 * (std::f64::consts::TAU * std::f64::consts::E).ln()).sum()
    });
    agree(
        "divergence",
        12,
        &three,
        &|p, _, _| (split(cut(p, 0, 6), 3).kl(&split(cut(p, 6, 6), 3)), None),
        &|p, _, _| gaussian_kl(&p[..6], &p[6..]),
    );
    agree(
        "draw",
        6,
        &three,
        &|p, x, key| {
            let drawn = split(p, 3).sample(key);
            ((drawn * x).sum(&[-1]), Some(key.random_normal(drawn.shape())))
        },
        &|p, x, noise| (0..3).map(|i| (p[i] + p[3 + i].exp() * noise[i]) * x[i]).sum(),
    );
}

#[test]
fn tanh_gaussian_is_its_formula() {
    // Places within the bounds, by what they were before tanh.
    let places = |stream: &mut Stream| (0..2).map(|i| squash(i, stream.normal()) as f32).collect();
    let before = |x: &[f64]| -> Vec<f64> {
        let y = |i: usize| (2.0 * x[i] - f64::from(LOW[i] + HIGH[i])) / f64::from(HIGH[i] - LOW[i]);
        (0..2).map(|i| y(i).atanh()).collect()
    };
    agree("log-density", 4, &places, &|p, x, _| (squashed(p).log_probability(x), None), &|p, x, _| {
        squashed_density(p, &before(x))
    });
    let drawn =
        |p: &[f64], noise: &[f64]| -> Vec<f64> { (0..2).map(|i| p[i] + p[2 + i].exp() * noise[i]).collect() };
    agree(
        "draw",
        4,
        &places,
        &|p, x, key| ((squashed(p).sample(key) * x).sum(&[-1]), Some(key.random_normal([7, 2]))),
        &|p, x, noise| drawn(p, noise).iter().enumerate().map(|(i, u)| squash(i, *u) * x[i]).sum(),
    );
    agree(
        "entropy by a draw",
        4,
        &places,
        &|p, _, key| (squashed(p).entropy(key), Some(key.random_normal([7, 2]))),
        &|p, _, noise| -squashed_density(p, &drawn(p, noise)),
    );
    agree(
        "divergence",
        8,
        &places,
        &|p, _, _| (squashed(cut(p, 0, 4)).kl(&squashed(cut(p, 4, 4))), None),
        &|p, _, _| gaussian_kl(&p[..4], &p[4..]),
    );
}

/// The logarithm of the density of Maddison et al., from logits and logarithms of the numbers.
fn concrete(logits: &[f64], log: &[f64], temperature: f64) -> f64 {
    let n = logits.len();
    let factorial: f64 = (1..n).map(|k| (k as f64).ln()).sum();
    let terms: f64 = (0..n).map(|k| logits[k] - (temperature + 1.0) * log[k]).sum();
    let sum: f64 = (0..n).map(|k| (logits[k] - temperature * log[k]).exp()).sum();
    factorial + (n as f64 - 1.0) * temperature.ln() + terms - n as f64 * sum.ln()
}

#[test]
fn gumbel_softmax_is_its_formula() {
    // A temperature, then a place on the simplex.
    let others = |stream: &mut Stream| {
        let logits: Vec<f64> = (0..4).map(|_| stream.normal()).collect();
        let place = log_softmax(&logits).into_iter().map(|log| log.exp() as f32);
        std::iter::once(0.5 + stream.uniform() as f32).chain(place).collect()
    };
    fn relaxed<'g>(p: Tensor<'g>, x: Tensor<'g>) -> GumbelSoftmax<'g> {
        GumbelSoftmax::new(p, cut(x, 0, 1), false)
    }
    let logs = |x: &[f64]| x[1..].iter().map(|y| y.ln()).collect::<Vec<f64>>();
    let drawn = |p: &[f64], x: &[f64], noise: &[f64]| {
        let logits: Vec<f64> = p.iter().zip(noise).map(|(p, noise)| (p + noise) / x[0]).collect();
        log_softmax(&logits)
    };
    fn noise<'g>(key: Tensor<'g>) -> Option<Tensor<'g>> {
        Some(key.random_gumbel([7, 4]))
    }
    agree(
        "log-density",
        4,
        &others,
        &|p, x, _| (relaxed(p, x).log_probability(cut(x, 1, 4)), None),
        &|p, x, _| concrete(p, &logs(x), x[0]),
    );
    agree(
        "draw",
        4,
        &others,
        &|p, x, key| ((relaxed(p, x).sample(key) * cut(x, 1, 4)).sum(&[-1]), noise(key)),
        &|p, x, noise| drawn(p, x, noise).iter().zip(&x[1..]).map(|(log, x)| log.exp() * x).sum(),
    );
    agree(
        "entropy by a draw",
        4,
        &others,
        &|p, x, key| (relaxed(p, x).entropy(key), noise(key)),
        &|p, x, noise| -concrete(p, &drawn(p, x, noise), x[0]),
    );
    agree(
        "divergence by a draw",
        8,
        &others,
        &|p, x, key| (relaxed(cut(p, 0, 4), x).kl(&relaxed(cut(p, 4, 4), x), key), noise(key)),
        &|p, x, noise| {
            let log = drawn(&p[..4], x, noise);
            concrete(&p[..4], &log, x[0]) - concrete(&p[4..], &log, x[0])
        },
    );
}

/// Straight through, a draw is a row with a one, and its gradient is that of the relaxed draw.
#[test]
fn straight_through_has_the_gradient_of_the_relaxed_draw() {
    let (mut stream, seed) = fresh();
    let graph = Graph::new();
    let logits = graph.input("logits", [50, 4]);
    let temperature = graph.scalar(0.7);
    let weights = graph.constant([50, 4], &normals(&mut stream, 200));
    let key = graph.key(seed);
    let mut outputs = Vec::new();
    for straight in [true, false] {
        let drawn = GumbelSoftmax::new(logits, temperature, straight).sample(key);
        let loss = (drawn * weights).sum_all();
        outputs.extend([drawn, graph.grad(loss, &[logits]).unwrap()[0]]);
    }
    let own = GumbelSoftmax::new(logits, temperature, true);
    let plain = Categorical::new(logits, None);
    outputs.push(own.log_probability(outputs[0]) - plain.log_probability(outputs[0].argmax()));
    outputs.push(own.entropy(key) - plain.entropy());
    let mut program = Device::cpu().compile(&graph, &outputs).unwrap();
    let out = program.run(&[("logits", &normals(&mut stream, 200))]).unwrap();
    for (hard, soft) in out.f32(0).chunks(4).zip(out.f32(2).chunks(4)) {
        assert!(hard.iter().all(|x| *x == 0.0 || *x == 1.0) && hard.iter().sum::<f32>() == 1.0);
        let most = soft.iter().copied().fold(0.0, f32::max);
        assert_eq!(hard.iter().position(|x| *x == 1.0), soft.iter().position(|x| *x == most));
    }
    for (a, b) in out.f32(1).iter().zip(out.f32(3)) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b} (seed {seed})");
    }
    assert!(out.f32(4).iter().chain(out.f32(5)).all(|apart| apart.abs() < 1e-6), "seed {seed}");
}

/// The sum of densities times the room around each place, in f64.
fn integral(
    parameters: &[f32],
    places: &[f32],
    dimensions: usize,
    room: &[f64],
    density: &dyn for<'g> Fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>,
) -> f64 {
    let graph = Graph::new();
    let p = graph.input("p", [1, parameters.len()]);
    let x = graph.input("x", [places.len() / dimensions, dimensions]);
    let mut program = Device::cpu().compile(&graph, &[density(p, x)]).unwrap();
    let out = program.run(&[("p", &parameters), ("x", &places)]).unwrap();
    out.f32(0).iter().zip(room).map(|(log, room)| f64::from(*log).exp() * room).sum()
}

#[test]
fn densities_integrate_to_one() {
    let (mut stream, seed) = fresh();
    for _ in 0..10 {
        // Even steps before tanh: each place then stands for as much room as tanh makes of its step.
        let step = 1e-3;
        let steps: Vec<f64> = (-7_000..=7_000).map(|i| f64::from(i) * step).collect();
        let places: Vec<f32> = steps.iter().map(|u| (0.5 + 2.5 * u.tanh()) as f32).collect();
        let room: Vec<f64> = steps.iter().map(|u| step * 2.5 / u.cosh().powi(2)).collect();
        let (mean, log) = (2.0 * stream.uniform() - 1.0, 1.5 * stream.uniform() - 1.0);
        let sum = integral(&[mean as f32, log as f32], &places, 1, &room, &|p, x| {
            TanhGaussian::new(split(p, 1), &[-2.0], &[3.0]).unwrap().log_probability(x)
        });
        assert!((sum - 1.0).abs() < 1e-3, "tanh: {sum} (seed {seed})");

        // A grid of logits with a third at 0.
        let step = 0.15;
        let line: Vec<f64> = (-200..=200).map(|i| f64::from(i) * step).collect();
        let (mut places, mut room) = (Vec::new(), Vec::new());
        for a in &line {
            for b in &line {
                let y: Vec<f64> = log_softmax(&[*a, *b, 0.0]).iter().map(|log| log.exp()).collect();
                room.push(step * step * y.iter().product::<f64>());
                places.extend(y.iter().map(|y| *y as f32));
            }
        }
        let temperature = 0.7 + 0.8 * stream.uniform() as f32;
        let sum = integral(&normals(&mut stream, 3), &places, 3, &room, &|p, x| {
            GumbelSoftmax::new(p, p.graph().scalar(temperature), false).log_probability(x)
        });
        assert!((sum - 1.0).abs() < 1e-3, "Gumbel-softmax at {temperature}: {sum} (seed {seed})");
    }
}

/// 20000 draws of every part of a product: shares, means and deviations are right, parts are independent, squashed
/// floats stay within bounds, and the mean of minus the log-probability is the entropy.
#[test]
fn draws_of_a_product_are_what_they_should_be() {
    const DRAWS: usize = 20_000;
    let (mut stream, seed) = fresh();
    let space = ActionSpace::Product(vec![
        ActionSpace::MultiDiscrete(vec![3, 3]),
        ActionSpace::Continuous { low: vec![-1.0, 4.0], high: vec![1.0, 5.0] },
        ActionSpace::Discrete(2),
    ]);
    for bounded in [Bounded::Gaussian, Bounded::Tanh] {
        let graph = Graph::new();
        let parameters = graph.input("parameters", [1, 12]);
        let masks = graph.input("masks", [1, 8]);
        let (p, m) = (parameters.broadcast_to([DRAWS, 12]), masks.broadcast_to([DRAWS, 8]));
        let of = space.distribution(p, Some(m), bounded).unwrap();
        assert_eq!(of.factors().len(), 4);
        let drawn = of.sample(graph.key(seed));
        let outputs = [
            drawn.discrete.unwrap(),
            drawn.continuous.unwrap(),
            of.log_probability(drawn).unwrap(),
            of.entropy(graph.key(seed ^ 1)).unwrap(),
            of.mode().discrete.unwrap(),
            of.mode().continuous.unwrap(),
        ];
        let mut program = Device::cpu().compile(&graph, &outputs).unwrap();
        let mut own = normals(&mut stream, 12);
        // Wide ones would have many draws at a bound itself, where nobody knows what they were before tanh.
        own[8..10].iter_mut().for_each(|log| *log = -log.abs() / 2.0);
        let allowed = [1.0f32, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let out = program.run(&[("parameters", &own), ("masks", &allowed)]).unwrap();
        let actions =
            crate::action::Actions { discrete: out.u32(0).to_vec(), continuous: out.f32(1).to_vec() };
        actions.expect("drawn", 3 * DRAWS, 2 * DRAWS, DRAWS).unwrap();
        actions.check_values(&space).unwrap();

        let wide: Vec<f64> = own.iter().map(|x| f64::from(*x)).collect();
        let first = log_softmax(&[wide[0], wide[1], -1e9]);
        let (second, last) = (log_softmax(&wide[3..6]), log_softmax(&wide[10..]));
        for a in 0..3 {
            for b in 0..3 {
                let both = out.u32(0).chunks(3).filter(|row| row[..2] == [a as u32, b as u32]).count();
                let (share, expected) = (both as f64 / DRAWS as f64, (first[a] + second[b]).exp());
                assert!((share - expected).abs() < 0.02, "{a} {b}: {share} and not {expected} (seed {seed})");
            }
        }
        let most =
            |logs: &[f64]| (0..logs.len()).max_by(|a, b| logs[*a].total_cmp(&logs[*b])).unwrap() as u32;
        assert_eq!(out.u32(4)[..3], [most(&first), most(&second), most(&last)], "seed {seed}");

        let (middle, half) = ([0.0, 4.5], [1.0, 0.5]);
        let mut entropy = [&first, &second, &last].map(|logs| entropy_of(logs)).iter().sum::<f64>();
        for i in 0..2 {
            let (mean, log) = (wide[6 + i], 4.0 * (wide[8 + i] / 4.0).tanh() - std::f64::consts::LN_2);
            // In units of half a width from the middle, and before tanh.
            let numbers: Vec<f64> = out.f32(1).iter().skip(i).step_by(2).map(|x| f64::from(*x)).collect();
            let before: Vec<f64> = numbers
                .iter()
                .map(|x| (x - middle[i]) / half[i])
                .map(|y| if bounded == Bounded::Tanh { y.clamp(-0.999_999, 0.999_999).atanh() } else { y })
                .collect();
            let average = before.iter().sum::<f64>() / DRAWS as f64;
            let variance = before.iter().map(|x| (x - average).powi(2)).sum::<f64>() / DRAWS as f64;
            let deviation = log.exp();
            assert!((average - mean).abs() < 0.05 * deviation, "{average} and not {mean} (seed {seed})");
            assert!((variance.sqrt() / deviation - 1.0).abs() < 0.05, "{variance} (seed {seed})");
            entropy += log + half[i].ln() + 0.5 * (std::f64::consts::TAU * std::f64::consts::E).ln();
            let centre = if bounded == Bounded::Tanh { mean.tanh() } else { mean };
            assert!((f64::from(out.f32(5)[i]) - middle[i] - half[i] * centre).abs() < 1e-5, "seed {seed}");
            if bounded == Bounded::Tanh {
                assert!(numbers.iter().all(|x| (x - middle[i]).abs() <= half[i]), "seed {seed}");
            }
        }
        let mean = |values: &[f32]| values.iter().map(|x| f64::from(*x)).sum::<f64>() / DRAWS as f64;
        let (surprise, given) = (-mean(out.f32(2)), mean(out.f32(3)));
        assert!((surprise - given).abs() < 0.1, "{surprise} and {given} (seed {seed})");
        if bounded == Bounded::Gaussian {
            assert!((given - entropy).abs() < 1e-3, "{given} and not {entropy} (seed {seed})");
        }
    }
}

/// For one choice the graph is what one writes by hand: the same bits.
#[test]
fn one_choice_is_a_masked_softmax_to_the_bit() {
    let (mut stream, seed) = fresh();
    let graph = Graph::new();
    let (x, masks) = (graph.input("x", [40, 6]), graph.input("masks", [40, 6]));
    let key = graph.key(seed);
    let of = ActionSpace::Discrete(6).distribution(x, Some(masks), Bounded::Gaussian).unwrap();
    let drawn = of.sample(key);
    let logits = masks.select(x, graph.scalar(-1e9));
    let logs = logits.log_softmax(-1);
    let pairs = [
        (drawn.discrete.unwrap().reshape([40]).to_f32(), logits.categorical(key).to_f32()),
        (of.log_probability(drawn).unwrap(), logs.take_along_last(logits.categorical(key))),
        (of.entropy(key).unwrap(), -(logs.exp() * logs).sum(&[-1])),
    ];
    let outputs: Vec<Tensor<'_>> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
    let mut program = Device::cpu().compile(&graph, &outputs).unwrap();
    let open: Vec<f32> = (0..240).map(|i| if i % 6 == 0 { 1.0 } else { stream.below(2) as f32 }).collect();
    let out = program.run(&[("x", &normals(&mut stream, 240)), ("masks", &open)]).unwrap();
    for i in 0..pairs.len() {
        assert_eq!(out.f32(2 * i), out.f32(2 * i + 1), "{i} (seed {seed})");
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let graph = Graph::new();
    let choice = ActionSpace::Discrete(3);
    let floats = ActionSpace::uniform(2, 0.0, f32::INFINITY);
    let x = |n: usize| graph.full([4, n], 0.0);
    let error = |result: Result<Distribution<'_>>| result.err().unwrap().to_string();
    assert!(error(choice.distribution(x(2), None, Bounded::Gaussian)).contains("takes 3 numbers"));
    assert!(error(choice.distribution(x(3), Some(x(2)), Bounded::Gaussian)).contains("takes 3 numbers"));
    assert!(error(floats.distribution(x(4), None, Bounded::Tanh)).contains("finite bounds"));
    assert!(error(ActionSpace::Discrete(0).distribution(x(0), None, Bounded::Gaussian)).contains("options"));
    assert!(Distribution::product([]).is_err());
    let a = choice.distribution(x(3), None, Bounded::Gaussian).unwrap();
    let b = floats.distribution(x(4), None, Bounded::Gaussian).unwrap();
    let key = graph.key(1);
    assert!(
        a.kl(&b, key).is_err()
            && a.log_probability(b.mode()).is_err()
            && b.log_probability(a.mode()).is_err()
    );
    let both = Distribution::product([a.clone(), b.clone()]).unwrap();
    assert!(both.kl(&a, key).is_err() && both.kl(&both, key).is_ok());
    graph.check().unwrap();
}

/// Choices become rows with a one, floats numbers from -1 to 1.
#[test]
fn features_of_an_action() {
    let graph = Graph::new();
    let space = ActionSpace::Product(vec![
        ActionSpace::MultiDiscrete(vec![2, 3]),
        ActionSpace::Continuous { low: vec![0.0, 0.0], high: vec![4.0, f32::INFINITY] },
    ]);
    let features = Action::input(&graph, &space, &[1]).features(&space).unwrap();
    let mut program = Device::cpu().compile(&graph, &[features]).unwrap();
    let [discrete, continuous] = ACTION_INPUTS;
    let out = program.run(&[(discrete, &[1u32, 2]), (continuous, &[4.0f32, 7.0])]).unwrap();
    assert_eq!(out.f32(0), [0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 7.0]);
    assert!(Action { discrete: None, continuous: None }.features(&space).is_err());
}
