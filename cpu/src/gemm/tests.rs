//! Products of every shape, order and epilogue against f64 loops.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn values(rng: &mut StdRng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// How an operand lies in memory.
#[derive(Clone, Copy, Debug)]
enum Order {
    Rows,
    Columns,
    /// Rows with room between them.
    Wide,
    /// Nothing lies next to anything.
    Sparse,
}

fn strides(order: Order, rows: usize, columns: usize) -> (usize, usize) {
    match order {
        Order::Rows => (columns, 1),
        Order::Columns => (1, rows),
        Order::Wide => (columns + 3, 1),
        Order::Sparse => (2 * columns + 5, 2),
    }
}

const ORDERS: [Order; 4] = [Order::Rows, Order::Columns, Order::Wide, Order::Sparse];
const ACTIVATIONS: [Activation; 5] =
    [Activation::None, Activation::Relu, Activation::Tanh, Activation::Sigmoid, Activation::Gelu];

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Gelu => {
            x * 0.5 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
    }
}

struct Case {
    m: usize,
    n: usize,
    k: usize,
    orders: (Order, Order),
    accumulate: bool,
    bias: bool,
    activation: Activation,
    count: usize,
    shared: (bool, bool),
}

fn run(isa: Isa, case: &Case, seed: u64, parallel: Parallel) -> Vec<f32> {
    let Case { m, n, k, count, .. } = *case;
    let mut rng = StdRng::seed_from_u64(seed);
    let (a_row, a_column) = strides(case.orders.0, m, k);
    let (b_row, b_column) = strides(case.orders.1, k, n);
    let a_size = (m.max(1) - 1) * a_row + (k.max(1) - 1) * a_column + 1;
    let b_size = (k.max(1) - 1) * b_row + (n.max(1) - 1) * b_column + 1;
    let ldc = n + seed as usize % 3;
    let batch = Batch {
        count,
        a: if case.shared.0 { 0 } else { a_size },
        b: if case.shared.1 { 0 } else { b_size },
        c: m * ldc,
        bias: n,
    };
    let a = values(&mut rng, a_size * count);
    let b = values(&mut rng, b_size * count);
    let bias = values(&mut rng, n * count);
    let before = values(&mut rng, m * ldc * count);
    let mut c = before.clone();
    let epilogue = Epilogue::new(case.bias.then_some(&bias[..]), case.activation);
    gemm_on(
        isa,
        batch,
        m,
        n,
        k,
        Matrix { data: &a, row_stride: a_row, column_stride: a_column },
        Matrix { data: &b, row_stride: b_row, column_stride: b_column },
        &mut c,
        ldc,
        case.accumulate,
        epilogue,
        parallel,
    )
    .unwrap();
    let what = || format!("{isa:?} m {m} n {n} k {k} {:?} batch {batch:?} seed {seed}", case.orders);
    let (mut wrong, mut size) = (0.0, 1e-12);
    for i in 0..count * m * ldc {
        let (q, row, column) = (i / (m * ldc), i % (m * ldc) / ldc, i % ldc);
        if column >= n {
            assert_eq!(c[i], before[i], "wrote between the rows: {}", what());
            continue;
        }
        let mut sum = if case.accumulate { before[i] as f64 } else { 0.0 };
        let mut magnitude = sum.abs();
        for p in 0..k {
            let term = a[q * batch.a + row * a_row + p * a_column] as f64
                * b[q * batch.b + p * b_row + column * b_column] as f64;
            sum += term;
            magnitude += term.abs();
        }
        let want = activate(case.activation, sum + if case.bias { bias[q * n + column] as f64 } else { 0.0 });
        wrong += (want - c[i] as f64).powi(2);
        size += magnitude * magnitude + want * want;
    }
    assert!(wrong <= 1e-12 * size, "off by {}: {}", (wrong / size).sqrt(), what());
    c
}

fn isas() -> Vec<Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
}

#[test]
fn odd_sizes_orders_and_epilogues() {
    let sizes = [1, 2, 3, 5, 7, 8, 9, 12, 13, 16, 17, 23, 24, 25, 31, 33, 47, 49, 64, 67, 97];
    let depths = [0, 1, 2, 7, 8, 16, 31, 33, 64, 255, 256, 257];
    for isa in isas() {
        for round in 0..500 {
            let seed: u64 = rand::random();
            let mut rng = StdRng::seed_from_u64(seed);
            let mut pick = |n: usize| rng.random_range(0..n);
            let case = Case {
                m: sizes[pick(sizes.len())],
                n: sizes[pick(sizes.len())],
                k: depths[pick(depths.len())],
                orders: (ORDERS[pick(4)], ORDERS[pick(4)]),
                accumulate: round % 2 == 0,
                bias: pick(2) == 0,
                activation: ACTIVATIONS[pick(5)],
                count: 1 + pick(3) * pick(2),
                shared: (pick(4) == 0, pick(2) == 0),
            };
            run(isa, &case, seed, Parallel::Serial);
        }
    }
}

#[test]
fn every_narrow_size() {
    for isa in isas() {
        for m in 1..=27 {
            for n in 1..=35 {
                let seed = rand::random();
                let orders = (ORDERS[(m + n) % 4], ORDERS[n % 4]);
                let (bias, activation) = (n % 2 == 0, Activation::None);
                let case = Case {
                    m,
                    n,
                    k: 9,
                    orders,
                    accumulate: m % 2 == 0,
                    bias,
                    activation,
                    count: 1,
                    shared: (false, false),
                };
                run(isa, &case, seed, Parallel::Serial);
            }
        }
    }
}

#[test]
fn packed_sizes() {
    for (m, n, k) in
        [(121, 300, 270), (53, 517, 65), (200, 70, 300), (121, 300, 512), (77, 259, 768), (300, 200, 130)]
    {
        for (a, b) in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 3)] {
            let seed = rand::random();
            let orders = (ORDERS[a], ORDERS[b]);
            let activation = ACTIVATIONS[(a + b) % 5];
            let case = Case {
                m,
                n,
                k,
                orders,
                accumulate: b == 0,
                bias: true,
                activation,
                count: 1,
                shared: (false, false),
            };
            run(Isa::best(), &case, seed, Parallel::Serial);
        }
    }
}

#[test]
fn the_pool_changes_no_bit() {
    for (m, n, k, count) in [
        (301, 70, 65, 1),
        (16, 63, 4100, 1),
        (13, 1100, 130, 1),
        (1, 1030, 700, 1),
        (1500, 1, 450, 1),
        (20, 20, 20, 120),
        (37, 33, 2050, 2),
    ] {
        for (a, b) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            for activation in [Activation::None, Activation::Tanh] {
                let (seed, orders) = (rand::random(), (ORDERS[a], ORDERS[b]));
                let case = Case {
                    m,
                    n,
                    k,
                    orders,
                    accumulate: a == 0,
                    bias: true,
                    activation,
                    count,
                    shared: (false, b == 0),
                };
                let serial = run(Isa::best(), &case, seed, Parallel::Serial);
                for threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let pooled = pool.install(|| run(Isa::best(), &case, seed, Parallel::Pool));
                    assert!(serial == pooled, "{m} {n} {k} {count} with {threads} threads, seed {seed}");
                }
            }
        }
    }
}

#[test]
fn interleaved_rows_of_a_batch() {
    // Heads of attention: the members' rows of C lie in turn.
    let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 10.0]);
    let mut c = [0.0; 4];
    let batch = Batch { count: 2, a: 2, b: 1, c: 1, bias: 0 };
    let (a, b) = (Matrix::row_major(&a, 1), Matrix::row_major(&b, 1));
    gemm_batched(batch, 2, 1, 1, a, b, &mut c, 2, false, Epilogue::NONE, Parallel::Pool).unwrap();
    assert_eq!(c, [1.0, 30.0, 2.0, 40.0]);
}

#[test]
fn short_operands_are_errors() {
    let x = [0.0; 12];
    let full = Matrix::row_major(&x, 4);
    let short = Matrix::row_major(&x[..11], 4);
    let batch = Batch { count: 1, ..Batch::default() };
    let product = |batch, a, b: Matrix, c: &mut [f32], ldc, bias| {
        gemm_batched(
            batch,
            3,
            3,
            4,
            a,
            b,
            c,
            ldc,
            false,
            Epilogue::new(bias, Activation::None),
            Parallel::Serial,
        )
    };
    let b = full.transposed();
    assert!(product(batch, full, b, &mut [0.0; 9], 3, None).is_ok());
    assert!(product(batch, short, b, &mut [0.0; 9], 3, None).is_err());
    assert!(product(batch, full, short.transposed(), &mut [0.0; 9], 3, None).is_err());
    assert!(product(batch, full, b, &mut [0.0; 8], 3, None).is_err());
    assert!(product(batch, full, b, &mut [0.0; 9], 2, None).is_err());
    assert!(product(batch, full, b, &mut [0.0; 9], usize::MAX, None).is_err());
    assert!(product(batch, full, b, &mut [0.0; 9], 3, Some(&x[..2])).is_err());
    let overlapping = Batch { count: 2, a: 0, b: 0, c: 2, bias: 0 };
    assert!(product(overlapping, full, b, &mut [0.0; 90], 3, None).is_err());
    let wild = Matrix { data: &x, row_stride: usize::MAX, column_stride: usize::MAX };
    assert!(product(batch, wild, b, &mut [0.0; 9], 3, None).is_err());
}
