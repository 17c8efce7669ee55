//! What the machine can do at most with the threads of the pool: fused multiply-adds on registers alone, and a copy of
//! more memory than caches hold.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;
use synod::cpu::simd::{Kernel, Simd, dispatch};

/// Independent sums: enough to hide the latency of a multiply-add, and few enough for 16 registers.
const SUMS: usize = 12;
const ROUNDS: usize = 4_000_000;
/// Floats that are copied, 256 MiB.
const COPIED: usize = 64 << 20;
const REPEATS: usize = 7;

struct MultiplyAdds;

impl Kernel for MultiplyAdds {
    /// Operations that were done.
    type Output = f64;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        let (factor, term) = (s.splat(black_box(0.5)), s.splat(black_box(1.0)));
        let mut sums = [s.zero(); SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = s.mul_add(*sum, factor, term);
            }
        }
        let mut total = s.zero();
        for sum in sums {
            total = s.add(total, sum);
        }
        black_box(s.reduce_add(total));
        2.0 * (ROUNDS * SUMS * S::LANES) as f64
    }
}

/// Operations in a second, all threads together: the best of some tries.
pub fn operations_per_second() -> f64 {
    best(|| {
        let done: f64 = rayon::broadcast(|_| dispatch(MultiplyAdds)).into_iter().sum();
        done
    })
}

/// Bytes read and written in a second by a copy, all threads together: the best of some tries.
pub fn bytes_per_second() -> f64 {
    let (from, mut to) = (vec![1.0f32; COPIED], vec![0.0f32; COPIED]);
    let piece = COPIED.div_ceil(rayon::current_num_threads());
    best(|| {
        to.par_chunks_mut(piece).zip(from.par_chunks(piece)).for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&to);
        8.0 * COPIED as f64
    })
}

fn best(mut work: impl FnMut() -> f64) -> f64 {
    (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            let done = work();
            done / start.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max)
}
