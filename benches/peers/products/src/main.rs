//! Products of matrices on one thread, in turns with the crates gemm, matrixmultiply, faer and rten-gemm. Prints GFLOP/s,
//! the best of many turns for each, and synod's share of the best of the others.

use std::hint::black_box;
use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_tensor::NdTensorView;
use synod::cpu::gemm::{Epilogue, Matrix};

/// `m`, `k`, `n` of `[m, k] [k, n]`.
const SIZES: [[usize; 3]; 6] =
    [[32, 64, 64], [256, 64, 64], [8, 512, 256], [1, 256, 256], [256, 256, 256], [2048, 2048, 2048]];
const TURNS: usize = 40;
/// Seconds that a turn takes at least.
const TURN: f64 = 1e-3;

/// The least seconds of each, taken in turns.
fn race(works: &mut [Box<dyn FnMut() + '_>]) -> Vec<f64> {
    let time = |work: &mut dyn FnMut(), count: usize| {
        let start = Instant::now();
        (0..count).for_each(|_| work());
        start.elapsed().as_secs_f64()
    };
    let counts: Vec<usize> = works
        .iter_mut()
        .map(|work| (0..).map(|doubled| 1 << doubled).find(|&count| time(work, count) >= TURN).unwrap_or(1))
        .collect();
    let mut least = vec![f64::INFINITY; works.len()];
    for _ in 0..TURNS {
        for ((work, &count), least) in works.iter_mut().zip(&counts).zip(&mut least) {
            *least = least.min(time(work, count) / count as f64);
        }
    }
    least
}

fn numbers(count: usize, modulus: usize) -> Vec<f32> {
    (0..count).map(|i| (i % modulus) as f32 * 0.1 - 0.7).collect()
}

fn main() {
    // SAFETY: no other thread has been started.
    unsafe {
        std::env::set_var("RTEN_NUM_THREADS", "1");
        std::env::set_var("RAYON_NUM_THREADS", "1");
    }
    let rten = GemmExecutor::<f32, f32, f32>::default();
    println!("| m x k x n | synod | gemm | matrixmultiply | faer | rten-gemm | of the best |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for [m, k, n] in SIZES {
        let (a, b) = (numbers(m * k, 17), numbers(k * n, 13));
        let mut outputs = vec![vec![0f32; m * n]; 5];
        let [c1, c2, c3, c4, c5] = &mut outputs[..] else { unreachable!("five were made") };
        let (rows, columns) = (k as isize, n as isize);
        let mut works: Vec<Box<dyn FnMut() + '_>> = vec![
            Box::new(|| {
                let (a, b) = (Matrix::row_major(&a, k), Matrix::row_major(&b, n));
                synod::cpu::gemm::gemm(m, n, k, a, b, black_box(c1), n, false, Epilogue::NONE)
                    .expect("sizes fit");
            }),
            // SAFETY: the strides are those of row-major matrices of these sizes.
            Box::new(|| unsafe {
                let c = black_box(&mut *c2).as_mut_ptr();
                let none = gemm::Parallelism::None;
                let (a, b) = (a.as_ptr(), b.as_ptr());
                gemm::gemm(
                    m, n, k, c, 1, columns, false, a, 1, rows, b, 1, columns, 0.0, 1.0, false, false, false,
                    none,
                );
            }),
            // SAFETY: as above.
            Box::new(|| unsafe {
                let c = black_box(&mut *c3).as_mut_ptr();
                let (a, b) = (a.as_ptr(), b.as_ptr());
                matrixmultiply::sgemm(m, k, n, 1.0, a, rows, 1, b, columns, 1, 0.0, c, columns, 1);
            }),
            Box::new(|| {
                let c = MatMut::from_row_major_slice_mut(black_box(c4), m, n);
                let (a, b) = (MatRef::from_row_major_slice(&a, m, k), MatRef::from_row_major_slice(&b, k, n));
                matmul(c, Accum::Replace, a, b, 1.0, Par::Seq);
            }),
            Box::new(|| {
                let (a, b) =
                    (NdTensorView::from_data([m, k], &a[..]), NdTensorView::from_data([k, n], &b[..]));
                let (a, b) = (GemmInputA::Unpacked(a), GemmInputB::Unpacked(b));
                rten.gemm(black_box(c5), a, b, GemmOptions::default()).expect("sizes fit");
            }),
        ];
        let rates: Vec<f64> =
            race(&mut works).iter().map(|seconds| 2e-9 * (m * n * k) as f64 / seconds).collect();
        drop(works);
        for other in &outputs[1..] {
            let apart = other.iter().zip(&outputs[0]).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(apart <= 1e-3 * k as f32, "the products differ by {apart}");
        }
        let best = rates[1..].iter().copied().fold(0.0, f64::max);
        let cells: Vec<String> = rates.iter().map(|rate| format!("{rate:.1}")).collect();
        println!("| {m} x {k} x {n} | {} | {:.0} % |", cells.join(" | "), 100.0 * rates[0] / best);
    }
}
