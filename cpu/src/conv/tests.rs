//! The convolution and its gradients against f64 loops over the definition.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn values(rng: &mut StdRng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Calls `body` with the indices into x, weights and output of every product of the definition.
fn every_product(c: &Conv2d, mut body: impl FnMut(usize, usize, usize)) {
    let (oh, ow) = (c.out_height(), c.out_width());
    for n in 0..c.images {
        for (oy, ox) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
            for (ky, kx) in (0..c.kernel[0]).flat_map(|y| (0..c.kernel[1]).map(move |x| (y, x))) {
                let (iy, ix) = (oy * c.stride[0] + ky, ox * c.stride[1] + kx);
                if iy < c.padding[0] || ix < c.padding[1] {
                    continue;
                }
                let (iy, ix) = (iy - c.padding[0], ix - c.padding[1]);
                if iy >= c.height || ix >= c.width {
                    continue;
                }
                for i in 0..c.channels_in {
                    for o in 0..c.channels_out {
                        body(
                            ((n * c.height + iy) * c.width + ix) * c.channels_in + i,
                            ((ky * c.kernel[1] + kx) * c.channels_in + i) * c.channels_out + o,
                            ((n * oh + oy) * ow + ox) * c.channels_out + o,
                        );
                    }
                }
            }
        }
    }
}

fn compare(got: &[f32], want: &[f64], what: &str) {
    let size: f64 = want.iter().map(|x| x * x).sum();
    let wrong: f64 = got.iter().zip(want).map(|(g, w)| (*g as f64 - w).powi(2)).sum();
    assert!(wrong.is_finite() && wrong <= 1e-11 * size + 1e-12, "{what}: off by {:e}", (wrong / size).sqrt());
}

fn run(isa: Isa, c: &Conv2d, seed: u64, parallel: Parallel) -> [Vec<f32>; 3] {
    let mut rng = StdRng::seed_from_u64(seed);
    let x_len = c.images * c.height * c.width * c.channels_in;
    let w_len = c.kernel[0] * c.kernel[1] * c.channels_in * c.channels_out;
    let y_len = c.images * c.out_height() * c.out_width() * c.channels_out;
    let (x, w, dy) = (values(&mut rng, x_len), values(&mut rng, w_len), values(&mut rng, y_len));
    let bias = values(&mut rng, c.channels_out);
    let activation = [Activation::None, Activation::Relu, Activation::Tanh][seed as usize % 3];
    let bias = seed.is_multiple_of(2).then_some(&bias[..]);
    let what = |part: &str| format!("{part} of {c:?} on {isa:?}, seed {seed}");

    // Whatever the outputs held before must not matter.
    let (mut y, mut dx, mut dw) = (vec![7.0; y_len], vec![7.0; x_len], vec![7.0; w_len]);
    c.forward_on(isa, &x, &w, &mut y, Epilogue::new(bias, activation), parallel).unwrap();
    c.input_gradient_on(isa, &dy, &w, &mut dx, parallel).unwrap();
    c.weight_gradient_on(isa, &x, &dy, &mut dw, parallel).unwrap();

    let (mut y_true, mut dx_true, mut dw_true) = (vec![0.0; y_len], vec![0.0; x_len], vec![0.0; w_len]);
    every_product(c, |i, k, o| {
        y_true[o] += x[i] as f64 * w[k] as f64;
        dx_true[i] += dy[o] as f64 * w[k] as f64;
        dw_true[k] += dy[o] as f64 * x[i] as f64;
    });
    for (i, y) in y_true.iter_mut().enumerate() {
        *y += bias.map_or(0.0, |bias| bias[i % c.channels_out] as f64);
        *y = match activation {
            Activation::Relu => y.max(0.0),
            Activation::Tanh => y.tanh(),
            _ => *y,
        };
    }
    compare(&y, &y_true, &what("output"));
    compare(&dx, &dx_true, &what("gradient for the input"));
    compare(&dw, &dw_true, &what("gradient for the weights"));
    [y, dx, dw]
}

#[test]
fn random_sizes_strides_and_padding() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        for _ in 0..60 {
            let seed = rand::random();
            let mut rng = StdRng::seed_from_u64(seed);
            let mut pick = |low: usize, high: usize| rng.random_range(low..=high);
            let c = Conv2d {
                images: pick(0, 2) * pick(0, 9) + pick(1, 5),
                height: pick(1, 8),
                width: pick(1, 8),
                channels_in: pick(1, 9),
                channels_out: pick(1, 19),
                kernel: [pick(1, 4), pick(1, 4)],
                stride: [pick(1, 2), pick(1, 3)],
                padding: [pick(0, 3), pick(0, 4)],
            };
            run(isa, &c, seed, Parallel::Serial);
        }
    }
}

/// The sizes of small grid worlds.
fn square(images: usize, size: usize, channels_in: usize, channels_out: usize) -> Conv2d {
    let (kernel, stride, padding) = ([3, 3], [1, 1], [1, 1]);
    Conv2d { images, height: size, width: size, channels_in, channels_out, kernel, stride, padding }
}

#[test]
fn the_pool_changes_no_bit() {
    let strided = Conv2d { stride: [2, 1], padding: [1, 0], ..square(150, 7, 5, 9) };
    for c in [square(300, 5, 3, 8), square(67, 11, 16, 16), strided] {
        let seed = rand::random();
        let serial = run(Isa::best(), &c, seed, Parallel::Serial);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let pooled = pool.install(|| run(Isa::best(), &c, seed, Parallel::Pool));
            assert!(serial == pooled, "{c:?}, seed {seed}");
        }
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let c = square(2, 5, 3, 8);
    let (x, w, mut y) = (vec![0.0; 150], vec![0.0; 216], vec![0.0; 400]);
    assert!(c.forward(&x, &w, &mut y, Epilogue::NONE, Parallel::Serial).is_ok());
    assert!(c.forward(&x[1..], &w, &mut y, Epilogue::NONE, Parallel::Serial).is_err());
    assert!(c.forward(&x, &w[1..], &mut y, Epilogue::NONE, Parallel::Serial).is_err());
    assert!(c.forward(&x, &w, &mut y[1..], Epilogue::NONE, Parallel::Serial).is_err());
    let bias = Epilogue::new(Some(&x[..7]), Activation::None);
    assert!(c.forward(&x, &w, &mut y, bias, Parallel::Serial).is_err());
    let still = Conv2d { stride: [0, 1], ..c };
    assert!(still.forward(&x, &w, &mut y, Epilogue::NONE, Parallel::Serial).is_err());
    let wild = Conv2d { padding: [usize::MAX, usize::MAX], ..c };
    assert!(wild.forward(&x, &w, &mut y, Epilogue::NONE, Parallel::Serial).is_err());
    let large = Conv2d { kernel: [9, 9], ..c };
    assert!(large.forward(&x, &[0.0; 81 * 24], &mut [], Epilogue::NONE, Parallel::Serial).is_ok());
}
