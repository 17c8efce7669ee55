//! Cutting work into pieces for several threads. The pieces depend on the work alone, never on the number of threads,
//! so a result does not depend on it either.
//!
//! ```
//! use synod_cpu::{Parallel, for_each_chunk_mut};
//! let mut squares = vec![0; 1000];
//! for_each_chunk_mut(Parallel::Pool, &mut squares, 1, 64, |range, part| {
//!     for (i, square) in range.zip(part) {
//!         *square = i * i;
//!     }
//! });
//! assert_eq!(squares[999], 998_001);
//! ```

use super::crew;
use std::ops::Range;

/// Whether a kernel may use the thread pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parallel {
    /// One thread: the caller runs inside the pool already, or the work is known to be small.
    #[default]
    Serial,
    /// Several threads, where the work is large enough to pay for it.
    Pool,
}

impl Parallel {
    /// `self` where `work` (in multiply-adds or a like unit of about 0.1 ns) is worth sharing, else
    /// [`Parallel::Serial`]. Handing out work costs 0.2 to 0.5 us while the crew is awake, 5 us and more after a pause.
    pub fn above(self, work: usize, threshold: usize) -> Parallel {
        if work >= threshold { self } else { Parallel::Serial }
    }
}

/// Calls `body` on the ranges `0..chunk`, `chunk..2 * chunk`, ... of `0..items`, the last one shorter where it does
/// not divide; on the pool in no particular order, or in order on this thread. `chunk` of 0 counts as 1.
pub fn for_each_chunk(
    parallel: Parallel,
    items: usize,
    chunk: usize,
    body: impl Fn(Range<usize>) + Sync + Send,
) {
    let chunk = chunk.max(1);
    let count = items.div_ceil(chunk);
    let piece = |i: usize| body(i * chunk..items.min((i + 1).saturating_mul(chunk)));
    match parallel {
        Parallel::Pool if count > 1 => crew::for_each(count, piece),
        _ => (0..count).for_each(piece),
    }
}

/// As [`for_each_chunk`], and hands every chunk its part of `out`, which holds `width` values an item.
pub fn for_each_chunk_mut<T: Send>(
    parallel: Parallel,
    out: &mut [T],
    width: usize,
    chunk: usize,
    body: impl Fn(Range<usize>, &mut [T]) + Sync + Send,
) {
    let (chunk, width) = (chunk.max(1), width.max(1));
    let (length, size) = (out.len(), chunk.saturating_mul(width));
    let start = SharedPointer(out.as_mut_ptr());
    for_each_chunk(parallel, length.div_ceil(size), 1, |range| {
        for i in range {
            let (from, to) = (i * size, length.min((i + 1).saturating_mul(size)));
            // SAFETY: the pieces lie in `out`, apart from each other, and it is borrowed until all are done.
            let part = unsafe { std::slice::from_raw_parts_mut(start.get().add(from), to - from) };
            body(i * chunk..i * chunk + part.len().div_ceil(width), part);
        }
    });
}

/// Calls `body` with every item and its index, each as a piece of its own on the pool; gives what it gave, in order.
pub fn map_mut<T: Send, U: Send>(items: &mut [T], body: impl Fn(usize, &mut T) -> U + Sync + Send) -> Vec<U> {
    let mut pieces: Vec<(&mut T, Option<U>)> = items.iter_mut().map(|item| (item, None)).collect();
    for_each_chunk_mut(Parallel::Pool, &mut pieces, 1, 1, |range, piece| {
        for (i, (item, given)) in range.zip(piece) {
            *given = Some(body(i, item));
        }
    });
    pieces.into_iter().filter_map(|(_, given)| given).collect()
}

/// A pointer that pieces of a parallel loop may share; each piece writes only where no other does. It is no more than a
/// pointer: whoever dereferences it vouches for the memory and for being alone there.
pub struct SharedPointer<T = f32>(pub *mut T);

impl<T> Clone for SharedPointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedPointer<T> {}

// SAFETY: sending a pointer does nothing by itself; dereferencing it is unsafe, and whoever does vouches that no other
// thread is at the same place. What lies there may be used by another thread, as it is `Send`.
unsafe impl<T: Send> Send for SharedPointer<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedPointer<T> {}

impl<T> SharedPointer<T> {
    /// The pointer itself. A method, so that closures capture the whole wrapper.
    pub fn get(self) -> *mut T {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn chunks_cover_everything_once() {
        for parallel in [Parallel::Serial, Parallel::Pool] {
            for (items, chunk) in [(0, 4), (1, 4), (4, 4), (17, 5), (100, 0)] {
                let seen = Mutex::new(vec![0; items]);
                for_each_chunk(parallel, items, chunk, |range| {
                    assert!(range.len() <= chunk.max(1));
                    range.for_each(|i| seen.lock().unwrap()[i] += 1);
                });
                assert!(seen.into_inner().unwrap().iter().all(|&n| n == 1));
                let mut out = vec![0; items * 3];
                for_each_chunk_mut(parallel, &mut out, 3, chunk, |range, part| {
                    assert_eq!(part.len(), range.len() * 3);
                    range.zip(part.chunks_mut(3)).for_each(|(i, row)| row.fill(i + 1));
                });
                assert!(out.iter().enumerate().all(|(i, &x)| x == i / 3 + 1));
            }
        }
    }

    #[test]
    fn items_are_mapped_in_order() {
        let mut items: Vec<usize> = (0..50).collect();
        let given = map_mut(&mut items, |i, item| {
            *item += 1;
            i * *item
        });
        assert_eq!(given, (0..50).map(|i| i * (i + 1)).collect::<Vec<_>>());
        assert_eq!(items, (1..51).collect::<Vec<_>>());
    }
}
