//! Follower's planner (Skrynnik et al., "Learn to Follow", AAAI 2024, arXiv 2310.01207, section 4.1): cheapest paths
//! that keep clear of where everybody passes and of where others were seen.
//!
//! Entering a cell costs its static cost plus how many times another agent was seen on it since the agent got its
//! target. The static cost is the largest mean distance of any cell to all others, divided by this cell's: 1 in the
//! remotest corner, more in the middle. The plan is made anew at every step on the whole map.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::plan::NO_STEP;

/// Free cells of a map at most: static costs take the square of their number.
pub(super) const MAX_CELLS: usize = 1 << 14;

/// The static cost of every cell of a padded grid (0 where blocked). `blocked` has a blocked ring round all free cells.
pub(super) fn static_costs(blocked: &[bool], stride: usize, free: &[u32]) -> Vec<f32> {
    let mut mean = vec![0f32; blocked.len()];
    let mut distance = vec![u32::MAX; blocked.len()];
    let mut queue: Vec<u32> = Vec::with_capacity(free.len());
    for &start in free {
        queue.clear();
        queue.push(start);
        distance[start as usize] = 0;
        let mut sum = 0u64;
        let mut next = 0;
        while let Some(&cell) = queue.get(next) {
            next += 1;
            let cell = cell as usize;
            let beyond = distance[cell] + 1;
            for neighbour in [cell + 1, cell + stride, cell - stride, cell - 1] {
                if !blocked[neighbour] && distance[neighbour] == u32::MAX {
                    distance[neighbour] = beyond;
                    sum += u64::from(beyond);
                    queue.push(neighbour as u32);
                }
            }
        }
        // A cell without any other to go to is as remote as its neighbour would be.
        mean[start as usize] = if queue.len() > 1 { sum as f32 / (queue.len() - 1) as f32 } else { 1.0 };
        queue.iter().for_each(|cell| distance[*cell as usize] = u32::MAX);
    }
    let most = mean.iter().copied().fold(0.0, f32::max);
    mean.into_iter().map(|m| if m > 0.0 { most / m } else { 0.0 }).collect()
}

/// Reusable memory of the search.
#[derive(Debug, Default)]
pub(super) struct Search {
    cost: Vec<f32>,
    open: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Search {
    /// Writes to `steps` (as long as `costs`) the action that leads towards `target` from every cell on the cheapest
    /// path from `start`. Dijkstra's algorithm, from the target until it meets the start. Of equally cheap paths it
    /// takes the one met first; neighbours are looked at in the order right, down, up, left.
    pub fn label(
        &mut self,
        costs: &[f32],
        seen: &[u16],
        stride: usize,
        start: usize,
        target: usize,
        steps: &mut Vec<u8>,
    ) {
        steps.clear();
        steps.resize(costs.len(), NO_STEP);
        self.cost.clear();
        self.cost.resize(costs.len(), f32::INFINITY);
        self.open.clear();
        self.cost[target] = 0.0;
        // Costs are not negative, so that their bits are in their order.
        self.open.push(Reverse((0, target as u32)));
        while let Some(Reverse((bits, cell))) = self.open.pop() {
            let cell = cell as usize;
            let so_far = f32::from_bits(bits);
            if cell == start {
                return;
            }
            if so_far > self.cost[cell] {
                continue;
            }
            let entered = so_far + costs[cell] + f32::from(seen[cell]);
            for (neighbour, action) in [(cell + 1, 3), (cell + stride, 1), (cell - stride, 2), (cell - 1, 4)]
            {
                // Blocked cells have no cost.
                if costs[neighbour] > 0.0 && entered < self.cost[neighbour] {
                    self.cost[neighbour] = entered;
                    steps[neighbour] = action;
                    self.open.push(Reverse((entered.to_bits(), neighbour as u32)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grid from rows of text, without padding beyond its own ring.
    fn grid(rows: &[&str]) -> (Vec<bool>, usize, Vec<u32>) {
        let blocked: Vec<bool> = rows.concat().chars().map(|c| c == '#').collect();
        let free = (0..blocked.len() as u32).filter(|c| !blocked[*c as usize]).collect();
        (blocked, rows[0].len(), free)
    }

    #[test]
    fn a_middle_cell_costs_more_than_a_corner() {
        let (blocked, stride, free) = grid(&["#####", "#...#", "#####"]);
        let costs = static_costs(&blocked, stride, &free);
        // Mean distances 1.5, 1, 1.5.
        assert_eq!(costs[stride + 1..stride + 4], [1.0, 1.5, 1.0]);
        assert_eq!(costs.iter().filter(|c| **c > 0.0).count(), 3);
    }

    #[test]
    fn a_path_leads_round_a_cell_where_others_were_seen() {
        let (blocked, stride, free) = grid(&["#######", "#.....#", "#.###.#", "#.....#", "#######"]);
        let costs: Vec<f32> = blocked.iter().map(|b| if *b { 0.0 } else { 1.0 }).collect();
        assert_eq!(free.len(), 12);
        let (start, target) = (stride + 1, stride + 5);
        let mut search = Search::default();
        let mut steps = Vec::new();
        let mut seen = vec![0u16; blocked.len()];
        let mut walk = |seen: &[u16]| {
            search.label(&costs, seen, stride, start, target, &mut steps);
            let mut path = vec![start];
            while *path.last().unwrap() != target {
                let cell = *path.last().unwrap();
                path.push(super::super::plan::after(cell, steps[cell], stride));
            }
            path
        };
        assert_eq!(walk(&seen).len(), 5);
        // The detour is four steps longer.
        seen[stride + 3] = 4;
        assert_eq!(walk(&seen).len(), 5);
        seen[stride + 3] = 5;
        assert_eq!(walk(&seen).len(), 9);
    }
}
