//! The order of a program's dispatches. wgpu puts a barrier before each dispatch that reads what an earlier one has
//! written, or writes what an earlier one has used, and a barrier lets nothing pass: in the order of the graph almost
//! every dispatch waits for the one before. So dispatches are ordered by levels, none of which has two that wait for
//! each other, and the values that a level reads are made readable all at once (see `executor`).

use std::collections::HashMap;

/// Which buffers a dispatch uses, by their numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Access {
    pub reads: Vec<usize>,
    pub writes: Vec<usize>,
}

/// Dispatches that need not wait for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    /// The dispatches, by their place in the order of the program.
    pub dispatches: Vec<usize>,
    /// Buffers that they read and that nothing has read since they were written.
    pub fresh: Vec<usize>,
}

/// The levels of dispatches that are given in an order that is right.
pub(super) fn levels(accesses: &[Access]) -> Vec<Level> {
    /// The first levels that may read a buffer and that may write to it.
    #[derive(Clone, Copy, Default)]
    struct Free {
        read: usize,
        write: usize,
    }
    let mut free: HashMap<usize, Free> = HashMap::new();
    let mut levels: Vec<Level> = Vec::new();
    for (dispatch, Access { reads, writes }) in accesses.iter().enumerate() {
        let of = |buffer: &usize| free.get(buffer).copied().unwrap_or_default();
        let read = reads.iter().map(|b| of(b).read).max().unwrap_or(0);
        let write = writes.iter().map(|b| of(b).write).max().unwrap_or(0);
        let level = read.max(write);
        for &buffer in reads {
            let own = free.entry(buffer).or_default();
            own.write = own.write.max(level + 1);
        }
        for &buffer in writes {
            free.insert(buffer, Free { read: level + 1, write: level + 1 });
        }
        if level == levels.len() {
            levels.push(Level { dispatches: Vec::new(), fresh: Vec::new() });
        }
        levels[level].dispatches.push(dispatch);
    }
    let mut written: HashMap<usize, bool> = HashMap::new();
    for level in &mut levels {
        for &dispatch in &level.dispatches {
            for &buffer in &accesses[dispatch].reads {
                if written.insert(buffer, false) == Some(true) {
                    level.fresh.push(buffer);
                }
            }
        }
        for &dispatch in &level.dispatches {
            written.extend(accesses[dispatch].writes.iter().map(|&buffer| (buffer, true)));
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_each_other_keeps_its_order() {
        let mut state = 7u64;
        let mut random = |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        for _ in 0..100 {
            let accesses: Vec<Access> = (0..60)
                .map(|_| {
                    let write = random(20);
                    let reads = (0..random(4)).map(|_| random(20)).filter(|b| *b != write).collect();
                    Access { reads, writes: vec![write] }
                })
                .collect();
            let levels = levels(&accesses);
            let mut level_of = vec![usize::MAX; accesses.len()];
            for (number, level) in levels.iter().enumerate() {
                assert!(!level.dispatches.is_empty());
                level.dispatches.iter().for_each(|&d| level_of[d] = number);
            }
            let meet = |a: &[usize], b: &[usize]| a.iter().any(|buffer| b.contains(buffer));
            for (i, a) in accesses.iter().enumerate() {
                for (j, b) in accesses.iter().enumerate().skip(i + 1) {
                    let depends =
                        meet(&a.writes, &b.reads) || meet(&a.reads, &b.writes) || meet(&a.writes, &b.writes);
                    assert!(!depends || level_of[i] < level_of[j], "{i} and {j}: {a:?}, {b:?}");
                }
            }
        }
    }

    #[test]
    fn a_fan_has_two_levels_and_a_chain_one_for_each_link() {
        let fan: Vec<Access> = (0..9)
            .map(|i| Access { reads: vec![100], writes: vec![i] })
            .chain([Access { reads: (0..9).collect(), writes: vec![50] }])
            .collect();
        let found = levels(&fan);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], Level { dispatches: (0..9).collect(), fresh: vec![] });
        assert_eq!(found[1], Level { dispatches: vec![9], fresh: (0..9).collect() });
        let chain: Vec<Access> = (0..9).map(|i| Access { reads: vec![i, 0], writes: vec![i + 1] }).collect();
        assert_eq!(levels(&chain).len(), 9);
    }
}
