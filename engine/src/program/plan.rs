//! The memory plan: buffers whose lives do not overlap share memory.

use std::collections::BTreeSet;

/// Elements in a cache line. Buffers start on one.
const ALIGNMENT: usize = 16;

/// A buffer's size, and the first and last step at which it holds a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval {
    pub elements: usize,
    pub first: usize,
    pub last: usize,
}

#[cfg(test)]
impl Interval {
    fn overlaps(&self, other: &Interval) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Intervals that have their place, by when they begin and by the steps that they cover: a tree over all steps, in which an
/// interval stands at the fewest nodes that cover it.
struct Placed {
    by_first: BTreeSet<(usize, usize)>,
    covering: Vec<Vec<usize>>,
}

impl Placed {
    fn new(steps: usize) -> Self {
        Placed { by_first: BTreeSet::new(), covering: vec![Vec::new(); 2 * steps] }
    }

    fn insert(&mut self, index: usize, interval: &Interval) {
        self.by_first.insert((interval.first, index));
        let steps = self.covering.len() / 2;
        let (mut low, mut high) = (interval.first + steps, interval.last + steps + 1);
        while low < high {
            if low % 2 == 1 {
                self.covering[low].push(index);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                self.covering[high].push(index);
            }
            (low, high) = (low / 2, high / 2);
        }
    }

    /// Those that overlap an interval: they hold a value when it begins, or begin while it holds one.
    fn overlapping(&self, interval: &Interval) -> impl Iterator<Item = usize> {
        let leaf = interval.first + self.covering.len() / 2;
        let above = std::iter::successors(Some(leaf), |node| (*node > 1).then_some(node / 2));
        let later = self.by_first.range((interval.first + 1, 0)..(interval.last + 1, 0));
        above.flat_map(|node| self.covering[node].iter().copied()).chain(later.map(|(_, index)| *index))
    }
}

/// Offsets in one arena, and the arena's length: largest first, each at the lowest place that is free for all its
/// life.
pub(crate) fn offsets(intervals: &[Interval]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..intervals.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(intervals[i].elements), intervals[i].first, i));
    let mut offsets = vec![0; intervals.len()];
    let mut placed = Placed::new(intervals.iter().map(|i| i.last + 1).max().unwrap_or(0));
    let mut arena = 0;
    for &i in &order {
        let size = intervals[i].elements.next_multiple_of(ALIGNMENT);
        let mut taken: Vec<(usize, usize)> = placed
            .overlapping(&intervals[i])
            .map(|j| (offsets[j], offsets[j] + intervals[j].elements.next_multiple_of(ALIGNMENT)))
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
        placed.insert(i, &intervals[i]);
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
