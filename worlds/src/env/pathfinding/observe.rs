//! Writing observations: rows of padded grids copied whole, then a few points set.

use super::config::Observation;
use super::plan::{NO_STEP, after};
use super::world::World;

impl World {
    /// Writes what every agent sees to `out` `[agents, 3, 2r + 1, 2r + 1]`; zeros for agents that have left.
    pub(super) fn observe(&self, style: Observation, radius: usize, out: &mut [f32]) {
        // The usual radii get loops over constant rows, which become plain vector moves.
        match radius {
            1 => self.observe_with::<3>(style, 3, out),
            2 => self.observe_with::<5>(style, 5, out),
            3 => self.observe_with::<7>(style, 7, out),
            4 => self.observe_with::<9>(style, 9, out),
            5 => self.observe_with::<11>(style, 11, out),
            _ => self.observe_with::<0>(style, 2 * radius + 1, out),
        }
    }

    /// `SIDE` is the window's side, or 0 where only `side` knows it.
    fn observe_with<const SIDE: usize>(&self, style: Observation, side: usize, out: &mut [f32]) {
        let side = if SIDE == 0 { side } else { SIDE };
        let plane = side * side;
        for (agent, out) in out.chunks_exact_mut(3 * plane).enumerate() {
            if self.gone(agent) {
                out.fill(0.0);
                continue;
            }
            let position = self.positions[agent] as usize;
            let corner = position - (side / 2) * (self.ground.stride + 1);
            let (obstacles, rest) = out.split_at_mut(plane);
            let (agents, targets) = rest.split_at_mut(plane);
            self.copy::<SIDE>(&self.ground.seen, corner, side, obstacles);
            self.copy::<SIDE>(&self.occupied, corner, side, agents);
            match style {
                Observation::Pogema => {
                    targets.fill(0.0);
                    targets[self.clamped_target(agent, side)] = 1.0;
                }
                Observation::PlannedPath => {
                    self.copy::<SIDE>(&self.target_seen, corner, side, targets);
                    let target = self.targets[agent] as usize;
                    if let Some(at) = self.in_window(target, position, side) {
                        targets[at] = if self.target_count[target] > 1 { 1.0 } else { 0.0 };
                    }
                    self.draw_path(agent, side, obstacles);
                }
            }
        }
    }

    #[inline]
    fn copy<const SIDE: usize>(&self, grid: &[f32], corner: usize, side: usize, out: &mut [f32]) {
        let stride = self.ground.stride;
        if SIDE == 0 {
            for (row, out) in out.chunks_exact_mut(side).enumerate() {
                out.copy_from_slice(&grid[corner + row * stride..][..side]);
            }
        } else {
            // One bound for the whole window; the rows then need none.
            let grid = &grid[corner..corner + (SIDE - 1) * stride + SIDE];
            for row in 0..SIDE {
                let from: &[f32; SIDE] =
                    grid[row * stride..].first_chunk().expect("the slice holds every row");
                out[row * SIDE..][..SIDE].copy_from_slice(from);
            }
        }
    }

    /// Where the own target stands in the window, moved to its nearest cell.
    fn clamped_target(&self, agent: usize, side: usize) -> usize {
        let stride = self.ground.stride;
        let (position, target) = (self.positions[agent] as usize, self.targets[agent] as usize);
        let radius = (side / 2) as isize;
        let away = |of: fn(usize, usize) -> usize| {
            let difference = of(target, stride) as isize - of(position, stride) as isize;
            (difference.clamp(-radius, radius) + radius) as usize
        };
        away(|cell, stride| cell / stride) * side + away(|cell, stride| cell % stride)
    }

    /// Where a cell stands in the window about `position`, if it does.
    fn in_window(&self, cell: usize, position: usize, side: usize) -> Option<usize> {
        let stride = self.ground.stride;
        let row = (cell / stride + side / 2).wrapping_sub(position / stride);
        let column = (cell % stride + side / 2).wrapping_sub(position % stride);
        (row < side && column < side).then(|| row * side + column)
    }

    /// Sets the agent's planned path to +1 until it leaves the window.
    fn draw_path(&self, agent: usize, side: usize, obstacles: &mut [f32]) {
        let steps = &self.steps[agent];
        let (mut cell, target) = (self.positions[agent] as usize, self.targets[agent] as usize);
        if steps[cell] == NO_STEP && cell != target {
            return;
        }
        let (mut row, mut column) = (side / 2, side / 2);
        while row < side && column < side {
            obstacles[row * side + column] = 1.0;
            let action = steps[cell];
            match action {
                1 => row = row.wrapping_sub(1),
                2 => row += 1,
                3 => column = column.wrapping_sub(1),
                4 => column += 1,
                _ => return,
            }
            cell = after(cell, action, self.ground.stride);
        }
    }
}
