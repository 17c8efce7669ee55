//! Shortest paths on the whole static map, agents ignored.
//!
//! For each target one breadth-first search labels every cell with the first step of a shortest path from it. A*
//! replanned at every step, as SRMT's agents do, gives a shortest path too; where several are equally short this walk
//! takes the first neighbour that is nearer to the target in the order right, down, up, left (the order in which that
//! A* looks at neighbours), and stays on its path when the agent follows it.

use super::map::{Cell, Map};

/// What the label of a cell without a way to the target is, and that of the target.
pub(super) const NO_STEP: u8 = 0;

/// Reusable memory of the search.
#[derive(Debug, Default)]
pub(super) struct Search {
    distance: Vec<u32>,
    queue: Vec<u32>,
}

impl Search {
    /// Writes to `steps` (as long as `blocked`) the action (1 up, 2 down, 3 left, 4 right) that leads from each cell
    /// towards `target`. `blocked` is a grid with rows of `stride` cells that has a blocked ring round all cells
    /// that can be reached.
    pub(super) fn label(&mut self, blocked: &[bool], stride: usize, target: usize, steps: &mut Vec<u8>) {
        const UNSEEN: u32 = u32::MAX;
        steps.clear();
        steps.resize(blocked.len(), NO_STEP);
        self.distance.clear();
        self.distance.resize(blocked.len(), UNSEEN);
        self.queue.clear();
        self.queue.push(target as u32);
        self.distance[target] = 0;
        let mut next = 0;
        while next < self.queue.len() {
            let cell = self.queue[next] as usize;
            next += 1;
            let distance = self.distance[cell];
            let neighbours = [(cell + 1, 4), (cell + stride, 2), (cell - stride, 1), (cell - 1, 3)];
            for (neighbour, action) in neighbours {
                let reached = self.distance[neighbour];
                if reached == UNSEEN {
                    if !blocked[neighbour] {
                        self.distance[neighbour] = distance + 1;
                        self.queue.push(neighbour as u32);
                    }
                } else if reached < distance && steps[cell] == NO_STEP {
                    steps[cell] = action;
                }
            }
        }
    }
}

/// The cell that `action` leads to from `cell`.
#[inline]
pub(super) fn after(cell: usize, action: u8, stride: usize) -> usize {
    match action {
        1 => cell - stride,
        2 => cell + stride,
        3 => cell - 1,
        4 => cell + 1,
        _ => cell,
    }
}

/// The length of a shortest path between two free cells of a map, if there is one.
pub(super) fn distance(map: &Map, start: Cell, target: Cell) -> Option<u32> {
    let width = map.width();
    let mut distance = vec![u32::MAX; map.cells().len()];
    let mut queue = vec![start];
    distance[start.0 * width + start.1] = 0;
    let mut next = 0;
    while next < queue.len() {
        let (row, column) = queue[next];
        next += 1;
        let here = distance[row * width + column];
        if (row, column) == target {
            return Some(here);
        }
        let neighbours = [
            (row, column + 1),
            (row + 1, column),
            (row.wrapping_sub(1), column),
            (row, column.wrapping_sub(1)),
        ];
        for cell in neighbours {
            if !map.is_blocked(cell) && distance[cell.0 * width + cell.1] == u32::MAX {
                distance[cell.0 * width + cell.1] = here + 1;
                queue.push(cell);
            }
        }
    }
    None
}
