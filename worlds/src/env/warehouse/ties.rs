//! Which of two equally long queues RWARE 2.0.0 lets through. It takes the first of a node's predecessors in a copy of
//! a part of a networkx graph, whose order is that in which cells were first mentioned, or, where the part holds less
//! than half of all cells, the order of a CPython set of (x, y). Both are followed here, so that recorded episodes can
//! be.

use super::ground::Ground;
use super::traffic::Wish;

/// The cells of the graph in the order in which starts and targets mention them.
fn mentioned(wishes: &[Wish]) -> Vec<u32> {
    let mut cells = Vec::with_capacity(2 * wishes.len());
    for cell in wishes.iter().flat_map(|wish| [wish.from, wish.to]) {
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells
}

/// The cells that hang together with one, as networkx's breadth-first search finds them from `first` on: what a cell
/// leads to, then what leads to it.
fn component(wishes: &[Wish], first: u32) -> Vec<u32> {
    let mut cells = vec![first];
    let mut at = 0;
    while let Some(cell) = cells.get(at).copied() {
        let onward = wishes.iter().filter(|wish| wish.from == cell).map(|wish| wish.to);
        let back = wishes.iter().filter(|wish| wish.to == cell).map(|wish| wish.from);
        for next in onward.chain(back) {
            if !cells.contains(&next) {
                cells.push(next);
            }
        }
        at += 1;
    }
    cells
}

/// CPython's hash of the tuple `(x, y)` of small integers (xxHash's rounds).
fn hash(x: u64, y: u64) -> u64 {
    const PRIMES: [u64; 3] = [0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x27D4_EB2F_1656_67C5];
    let round = |sum: u64, lane: u64| {
        sum.wrapping_add(lane.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
    };
    let sum = round(round(PRIMES[2], x), y);
    sum.wrapping_add(2 ^ (PRIMES[2] ^ 3_527_539))
}

/// A CPython set as far as its order goes: cells in a table of open places.
struct Set<'a> {
    table: Vec<Option<u32>>,
    used: usize,
    ground: &'a Ground,
}

impl<'a> Set<'a> {
    /// The set of cells that were added one after another.
    fn of(cells: impl Iterator<Item = u32>, ground: &'a Ground) -> Self {
        let mut set = Set { table: vec![None; 8], used: 0, ground };
        for cell in cells {
            set.put(cell);
            set.used += 1;
            if set.used * 5 >= (set.table.len() - 1) * 3 {
                let size = (4 * set.used + 1).next_power_of_two().max(8);
                let old = std::mem::replace(&mut set.table, vec![None; size]);
                old.into_iter().flatten().for_each(|cell| set.put(cell));
            }
        }
        set
    }

    fn put(&mut self, cell: u32) {
        let mask = self.table.len() - 1;
        let [x, y] = self.ground.place(cell);
        let mut shifted = hash(x as u64, y as u64);
        let mut at = shifted as usize & mask;
        loop {
            let probes = if at + 9 <= mask { 9 } else { 0 };
            if let Some(free) = (at..=at + probes).find(|place| self.table[*place].is_none()) {
                self.table[free] = Some(cell);
                return;
            }
            shifted >>= 5;
            at = at.wrapping_mul(5).wrapping_add(1).wrapping_add(shifted as usize) & mask;
        }
    }

    fn cells(&self) -> impl Iterator<Item = u32> {
        self.table.iter().flatten().copied()
    }
}

/// Whether robot `a` goes before `b`.
pub(super) fn before(wishes: &[Wish], ground: &Ground, a: u32, b: u32) -> bool {
    let (a, b) = (wishes[a as usize].from, wishes[b as usize].from);
    let all = mentioned(wishes);
    let part = component(wishes, a);
    let first = all.iter().copied().find(|cell| part.contains(cell)).unwrap_or(a);
    let order: Vec<u32> = if 2 * part.len() >= all.len() {
        all
    } else {
        // The search's set, and the one that networkx makes of it.
        let found = Set::of(component(wishes, first).into_iter(), ground);
        Set::of(found.cells(), ground).cells().collect()
    };
    let place = |cell: u32| order.iter().position(|other| *other == cell);
    place(a) < place(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::warehouse::Layout;

    /// CPython 3.11: `hash((3, 4))`, and the order of a set of seven tuples added one after another.
    #[test]
    fn hashes_and_orders_are_those_of_cpython() {
        assert_eq!(hash(3, 4), 1_079_245_023_883_434_373);
        let layout = Layout::blocks(1, 3, 8).unwrap();
        let ground = Ground::new(&layout, 2);
        let cells = [[9, 2], [5, 5], [1, 9], [8, 6], [0, 3], [4, 10], [7, 7]];
        let set = Set::of(cells.iter().map(|[x, y]| ground.at(*x, *y)), &ground);
        let order: Vec<[usize; 2]> = set.cells().map(|cell| ground.place(cell)).collect();
        assert_eq!(order, [[4, 10], [5, 5], [7, 7], [0, 3], [9, 2], [8, 6], [1, 9]]);
    }
}
