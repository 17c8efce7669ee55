//! The memory plan: buffers whose lives do not overlap share memory.

/// Elements in a cache line. Buffers start on one.
const ALIGNMENT: usize = 16;

/// A buffer's size, and the first and last step at which it holds a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval {
    pub elements: usize,
    pub first: usize,
    pub last: usize,
}

impl Interval {
    fn overlaps(&self, other: &Interval) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Offsets in one arena, and the arena's length: largest first, each at the lowest place that is free for all its
/// life.
pub(crate) fn offsets(intervals: &[Interval]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..intervals.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(intervals[i].elements), intervals[i].first, i));
    let mut offsets = vec![0; intervals.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut arena = 0;
    for &i in &order {
        let size = intervals[i].elements.next_multiple_of(ALIGNMENT);
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| intervals[j].overlaps(&intervals[i]))
            .map(|&j| (offsets[j], offsets[j] + intervals[j].elements.next_multiple_of(ALIGNMENT)))
            .collect();
        taken.sort_unstable();
        let mut at = 0;
        for (start, end) in taken {
            if start >= at + size {
                break;
            }
            at = at.max(end);
        }
        offsets[i] = at;
        arena = arena.max(at + size);
        placed.push(i);
    }
    (offsets, arena)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_buffers_never_overlap_and_dead_ones_are_reused() {
        let mut state = 12345u64;
        let mut random = |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        for _ in 0..50 {
            let intervals: Vec<Interval> = (0..40)
                .map(|_| {
                    let first = random(30);
                    Interval { elements: 1 + random(500), first, last: first + random(8) }
                })
                .collect();
            let (offsets, arena) = offsets(&intervals);
            let mut total = 0;
            for (i, a) in intervals.iter().enumerate() {
                total += a.elements;
                assert!(offsets[i] + a.elements <= arena && offsets[i] % ALIGNMENT == 0);
                for (j, b) in intervals.iter().enumerate().take(i) {
                    let apart =
                        offsets[i] + a.elements <= offsets[j] || offsets[j] + b.elements <= offsets[i];
                    assert!(apart || !a.overlaps(b), "{a:?} at {} and {b:?} at {}", offsets[i], offsets[j]);
                }
            }
            assert!(arena < total, "nothing was reused");
        }
    }
}
