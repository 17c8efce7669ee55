//! Which values share a buffer. wgpu tracks usage by whole buffers, so that a dispatch may not read one part of a
//! buffer and write another: values share a buffer one after the other, never side by side.

/// A value's size, and the first and last step at which it is needed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub bytes: u64,
    pub first: usize,
    pub last: usize,
}

/// A slot for every value: no dispatch waits for another one that reads what was in its slot before.
pub(super) fn apart(lives: &[Life]) -> (Vec<usize>, Vec<u64>) {
    ((0..lives.len()).collect(), lives.iter().map(|life| life.bytes).collect())
}

/// The slot of every value, and the size of every slot: largest value first, each into the first slot that is free
/// for all its life.
pub(super) fn assign(lives: &[Life]) -> (Vec<usize>, Vec<u64>) {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(lives[i].bytes), lives[i].first, i));
    let mut slots = vec![0; lives.len()];
    let mut sizes: Vec<u64> = Vec::new();
    // The lives in every slot, by their first step.
    let mut tenants: Vec<std::collections::BTreeMap<usize, usize>> = Vec::new();
    for i in order {
        let Life { bytes, first, last } = lives[i];
        // Lives in a slot do not overlap, so the one that starts latest before our end decides.
        let free = tenants
            .iter()
            .position(|slot| slot.range(..=last).next_back().is_none_or(|(_, &ends)| ends < first));
        let slot = free.unwrap_or_else(|| {
            tenants.push(Default::default());
            sizes.push(bytes);
            sizes.len() - 1
        });
        tenants[slot].insert(first, last);
        slots[i] = slot;
    }
    (slots, sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_live_at_once_have_slots_of_their_own() {
        let mut state = 99u64;
        let mut random = |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        for _ in 0..50 {
            let lives: Vec<Life> = (0..60)
                .map(|_| {
                    let first = random(40);
                    Life { bytes: 4 + 4 * random(300) as u64, first, last: first + random(9) }
                })
                .collect();
            let (slots, sizes) = assign(&lives);
            for (i, a) in lives.iter().enumerate() {
                assert!(a.bytes <= sizes[slots[i]]);
                for (j, b) in lives.iter().enumerate().take(i) {
                    let apart = a.last < b.first || b.last < a.first;
                    assert!(apart || slots[i] != slots[j], "{a:?} and {b:?} share a buffer");
                }
            }
            assert!(sizes.len() < lives.len(), "nothing was reused");
        }
    }
}
