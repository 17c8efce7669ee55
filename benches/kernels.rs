//! Times of the kernels for processors: products of matrices at the sizes of small networks, elementary functions,
//! convolution, recurrences. One thread, except where the name says `pool`. `cargo bench --bench kernels -- gemm`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use synod::cpu::Parallel;
use synod::cpu::conv::Conv2d;
use synod::cpu::gemm::{Activation, Batch, Epilogue, Matrix, gemm, gemm_batched};
use synod::cpu::vector_math;

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 37 % 101) as f32 * 0.02 - 1.0).collect()
}

/// Products; `nt` and `tn` have the second or the first operand transposed, as gradients do.
fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("gemm");
    for (m, n, k, order) in [
        (1024, 8, 32, "nn"),
        (2048, 8, 200, "nn"),
        (1024, 4, 64, "nn"),
        (1024, 16, 64, "nn"),
        (1024, 32, 32, "nn"),
        (2048, 64, 64, "nn"),
        (16, 64, 1024, "tn"),
        (1024, 64, 64, "nt"),
        (1, 256, 256, "nn"),
        (8, 512, 256, "nn"),
        (32, 64, 64, "nn"),
        (256, 64, 64, "nn"),
        (256, 256, 256, "nn"),
        (2048, 2048, 2048, "nn"),
    ] {
        let (a, b, mut out) = (values(m * k), values(k * n), vec![0.0; m * n]);
        let mut left = Matrix::row_major(&a, k);
        let mut right = Matrix::row_major(&b, n);
        if order == "tn" {
            left = Matrix::row_major(&a, m).transposed();
        }
        if order == "nt" {
            right = Matrix::row_major(&b, k).transposed();
        }
        let suffix = if order == "nn" { String::new() } else { format!("-{order}") };
        // One multiply-add counts as one element.
        group.throughput(Throughput::Elements((m * n * k) as u64));
        group.bench_function(BenchmarkId::new(format!("{m}x{n}x{k}{suffix}"), "cpu"), |bench| {
            bench.iter(|| {
                gemm(m, n, k, left, right, black_box(&mut out), n, false, Epilogue::NONE).expect("sizes fit")
            });
        });
    }
    let (m, n, k) = (512, 512, 512);
    let (a, b, mut out) = (values(m * k), values(k * n), vec![0.0; m * n]);
    let (left, right) = (Matrix::row_major(&a, k), Matrix::row_major(&b, n));
    let one = Batch { count: 1, ..Batch::default() };
    group.throughput(Throughput::Elements((m * n * k) as u64));
    group.bench_function(BenchmarkId::new(format!("{m}x{n}x{k}"), "cpu-pool"), |bench| {
        bench.iter(|| {
            let out = black_box(&mut out);
            gemm_batched(one, m, n, k, left, right, out, n, false, Epilogue::NONE, Parallel::Pool)
                .expect("sizes fit")
        });
    });
    let (m, n, k) = (1024, 64, 32);
    let (a, b, bias, mut out) = (values(m * k), values(k * n), values(n), vec![0.0; m * n]);
    let (left, right) = (Matrix::row_major(&a, k), Matrix::row_major(&b, n));
    group.throughput(Throughput::Elements((m * n * k) as u64));
    group.bench_function(BenchmarkId::new(format!("{m}x{n}x{k}-bias-tanh"), "cpu"), |bench| {
        let epilogue = Epilogue::new(Some(&bias), Activation::Tanh);
        bench
            .iter(|| gemm(m, n, k, left, right, black_box(&mut out), n, false, epilogue).expect("sizes fit"));
    });
    group.finish();
}

type Map = fn(&[f32], &mut [f32]);

/// Elementary functions over a million elements.
fn functions(c: &mut Criterion) {
    let functions: [(&str, Map); 9] = [
        ("exp", vector_math::exp_into),
        ("tanh", vector_math::tanh_into),
        ("sigmoid", vector_math::sigmoid_into),
        ("gelu", vector_math::gelu_into),
        ("softplus", vector_math::softplus_into),
        ("ln", vector_math::ln_into),
        ("sin", vector_math::sin_into),
        ("cos", vector_math::cos_into),
        ("expm1", vector_math::expm1_into),
    ];
    let x: Vec<f32> = values(1 << 20).into_iter().map(|x| x * 6.0).collect();
    let mut out = vec![0.0; x.len()];
    for (name, map) in functions {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(x.len() as u64));
        group.bench_function("1M/fwd/cpu", |bench| bench.iter(|| map(black_box(&x), black_box(&mut out))));
        group.finish();
    }
}

/// Convolutions of windows of 3 x 3 over the views of agents in grid worlds.
fn convolutions(c: &mut Criterion) {
    let mut group = c.benchmark_group("conv");
    for (size, channels_in, channels_out) in [(5, 3, 8), (5, 8, 8), (11, 3, 16), (11, 16, 16)] {
        let images = 1024;
        let (kernel, stride, padding) = ([3, 3], [1, 1], [1, 1]);
        let conv =
            Conv2d { images, height: size, width: size, channels_in, channels_out, kernel, stride, padding };
        let (x, weights) =
            (values(images * size * size * channels_in), values(9 * channels_in * channels_out));
        let mut y = values(images * size * size * channels_out);
        let (mut dx, mut dw) = (x.clone(), weights.clone());
        let name = format!("{images}x{size}x{size}x{channels_in}x{channels_out}");
        group.throughput(Throughput::Elements(
            (images * (3 * size - 2).pow(2) * channels_in * channels_out) as u64,
        ));
        group.bench_function(format!("{name}/fwd/cpu"), |bench| {
            bench.iter(|| {
                conv.forward(&x, &weights, &mut y, Epilogue::NONE, Parallel::Serial).expect("sizes fit")
            });
        });
        group.bench_function(format!("{name}/input-gradient/cpu"), |bench| {
            bench.iter(|| conv.input_gradient(&y, &weights, &mut dx, Parallel::Serial).expect("sizes fit"));
        });
        group.bench_function(format!("{name}/weight-gradient/cpu"), |bench| {
            bench.iter(|| conv.weight_gradient(&x, &y, &mut dw, Parallel::Serial).expect("sizes fit"));
        });
    }
    group.finish();
}

/// First-order recurrences over 32 sequences of 256 steps, real and complex, with their gradients. An element is a number
/// of the output; a complex one is two.
fn scans(c: &mut Criterion) {
    let (lanes, time, channels) = (32, 256, 64);
    let device = synod::Device::cpu();
    let mut group = c.benchmark_group("scan");
    for (name, complex, of_time) in [
        ("linear", false, true),
        ("linear-invariant", false, false),
        ("complex", true, true),
        ("complex-invariant", true, false),
    ] {
        let width = if complex { 2 * channels } else { channels };
        group.throughput(Throughput::Elements((lanes * time * width) as u64));
        for gradient in [false, true] {
            let graph = synod::Graph::new();
            let factors = if of_time { vec![lanes, time, width] } else { vec![1, width] };
            let a = graph.input("a", factors.clone());
            let b = graph.input("b", [lanes, time, width]);
            let zeros = graph.full([width], 0.0);
            let x = match complex {
                true => b.complex_scan(a, zeros, None),
                false => b.linear_scan(a, zeros, None),
            };
            let mut outputs = vec![x];
            if gradient {
                outputs = graph.grad((x * x).sum_all(), &[a, b]).expect("it has a gradient");
            }
            let mut program = device.compile(&graph, &outputs).expect("shapes fit");
            program.set_parallel(Parallel::Serial);
            let a: Vec<f32> = values(factors.iter().product()).iter().map(|x| 0.6 * x).collect();
            program.run(&[("a", &a), ("b", &values(lanes * time * width))]).expect("inputs fit");
            let what = if gradient { "fwdbwd" } else { "fwd" };
            group.bench_function(format!("{name}/b{lanes}_l{time}_c{channels}/{what}/cpu"), |bench| {
                bench.iter(|| program.run(black_box(&[])).map(|_| ()).expect("inputs are there"));
            });
        }
    }
    group.finish();
}

/// What a run costs beside its kernels: twenty products of 4 x 4, which nothing fuses.
fn overhead(c: &mut Criterion) {
    let device = synod::Device::cpu();
    let graph = synod::Graph::new();
    let weight = graph.input("weight", [4, 4]);
    let mut x = graph.input("x", [4, 4]);
    for _ in 0..20 {
        x = x.matmul(weight);
    }
    let mut program = device.compile(&graph, &[x]).expect("shapes fit");
    assert_eq!(program.summary().steps, 20);
    let (weight, x) = (values(16), values(16));
    program.run(&[("weight", &weight), ("x", &x)]).expect("inputs fit");
    c.bench_function("overhead/20_nodes/cpu", |bench| {
        bench.iter(|| program.run(black_box(&[])).map(|_| ()).expect("inputs are there"));
    });
}

criterion_group!(kernels, products, functions, convolutions, scans, overhead);
criterion_main!(kernels);
