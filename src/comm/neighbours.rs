//! Graphs of neighbours: who hears whom, made anew at each step from the positions that agents see of themselves.
//! Agents fall into the cells of a grid, so that the work grows with the agents and their edges, not with their square.
//!
//! ```
//! use synod::comm::neighbours::Neighbours;
//! // Three agents on a line; each hears the nearest other one.
//! let neighbours = Neighbours { positions: vec![0], nearest: 1, itself: false, ..Neighbours::default() };
//! assert_eq!(neighbours.edges(&[0.0, 1.0, 5.0], 1, &[1.0; 3]), [(1, 0), (0, 1), (1, 2)]);
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, within};

/// How neighbours are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Neighbours {
    /// The columns of the (flat) observation that hold an agent's own coordinates.
    pub positions: Vec<usize>,
    /// An agent hears those within this distance; 0 for no limit.
    #[schemars(range(min = 0.0))]
    pub radius: f32,
    /// An agent hears at most so many, the nearest (of equally near ones those of lower index).
    #[schemars(range(min = 0, max = 1 << 20))]
    pub nearest: usize,
    /// Every agent hears itself too.
    pub itself: bool,
}

impl Default for Neighbours {
    /// The first two numbers are coordinates; the eight nearest are heard, and oneself.
    fn default() -> Self {
        Neighbours { positions: vec![0, 1], radius: 0.0, nearest: 8, itself: true }
    }
}

impl Neighbours {
    /// The most edges that a graph of so many agents can have, and at least 1.
    pub fn most(&self, agents: usize) -> usize {
        let others = self.nearest.min(agents.saturating_sub(1));
        agents.saturating_mul(others + usize::from(self.itself)).max(1)
    }

    /// Checks the settings against the numbers in an observation.
    ///
    /// # Errors
    /// No columns or more than three, a column that is not there, a radius that is negative or not finite.
    pub fn check(&self, observation: usize) -> Result<()> {
        self.check_at("agent.communication.neighbours", observation)
    }

    /// As [`Neighbours::check`], for settings that stand elsewhere.
    ///
    /// # Errors
    /// As there.
    pub fn check_at(&self, at: &str, observation: usize) -> Result<()> {
        if !(1..=3).contains(&self.positions.len()) {
            let message = format!("one to three columns, got {}", self.positions.len());
            return Err(Error::config(format!("{at}.positions"), message));
        }
        if let Some(column) = self.positions.iter().find(|c| **c >= observation) {
            let message = format!("columns below {observation}, got {column}");
            return Err(Error::config(format!("{at}.positions"), message));
        }
        within(format!("{at}.nearest"), self.nearest, 0, 1 << 20)?;
        if !(self.radius >= 0.0 && self.radius.is_finite()) {
            let message = format!("0 (no limit) or more, got {}", self.radius);
            return Err(Error::config(format!("{at}.radius"), message));
        }
        Ok(())
    }

    /// The edges (from, to) among agents at `positions` `[agents, dimensions]`, sorted by destination, then by
    /// distance. Agents with `present` 0, without a place in `positions` or at one that is not finite neither speak nor
    /// hear.
    pub fn edges(&self, positions: &[f32], dimensions: usize, present: &[f32]) -> Vec<(u32, u32)> {
        let agents = present.len().min(positions.len().checked_div(dimensions).unwrap_or(0));
        let place = |i: usize| &positions[i * dimensions..(i + 1) * dimensions];
        let here: Vec<usize> =
            (0..agents).filter(|&i| present[i] > 0.0 && place(i).iter().all(|x| x.is_finite())).collect();
        let grid = Grid::new(&here, &place, dimensions, self.radius);
        let mut edges = Vec::with_capacity(self.most(agents).min(1 << 16));
        let mut found: Vec<(f32, usize)> = Vec::new();
        for &to in &here {
            if self.itself {
                edges.push((to as u32, to as u32));
            }
            grid.around(to, &place, self.radius, self.nearest, &mut found);
            edges.extend(found.iter().map(|&(_, from)| (from as u32, to as u32)));
        }
        edges
    }
}

/// Agents by the cell they stand in.
struct Grid {
    lowest: Vec<f32>,
    side: f32,
    /// Cells along each dimension.
    size: Vec<usize>,
    /// Where each cell starts in `members`.
    starts: Vec<usize>,
    members: Vec<usize>,
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

impl Grid {
    fn new<'a>(here: &[usize], place: &impl Fn(usize) -> &'a [f32], dimensions: usize, radius: f32) -> Grid {
        let mut lowest = vec![f32::MAX; dimensions];
        let mut highest = vec![f32::MIN; dimensions];
        for &i in here {
            for (d, &x) in place(i).iter().enumerate() {
                lowest[d] = lowest[d].min(x);
                highest[d] = highest[d].max(x);
            }
        }
        // About one agent a cell where there is no radius, and never more cells than a few an agent.
        let most = ((2 * here.len().max(1)) as f64).powf(1.0 / dimensions as f64).ceil() as usize;
        let extent = (0..dimensions).map(|d| highest[d] - lowest[d]).fold(0.0f32, f32::max);
        let side = (extent / most as f32).max(radius * 0.5).max(f32::MIN_POSITIVE);
        let side = if side.is_finite() { side } else { f32::MAX };
        let size: Vec<usize> =
            // An extent may be infinite though all positions are finite.
            (0..dimensions).map(|d| ((highest[d] - lowest[d]) / side).min(most as f32) as usize + 1).collect();
        let mut grid = Grid { lowest, side, size, starts: Vec::new(), members: Vec::new() };
        let cells: usize = grid.size.iter().product();
        let mut counts = vec![0usize; cells + 1];
        let of: Vec<usize> = here.iter().map(|&i| grid.index(&grid.cell(place(i)))).collect();
        of.iter().for_each(|&c| counts[c + 1] += 1);
        (0..cells).for_each(|c| counts[c + 1] += counts[c]);
        let mut next = counts.clone();
        grid.members = vec![0; here.len()];
        for (&agent, &cell) in here.iter().zip(&of) {
            grid.members[next[cell]] = agent;
            next[cell] += 1;
        }
        grid.starts = counts;
        grid
    }

    fn cell(&self, at: &[f32]) -> Vec<usize> {
        let of = |d: usize| (((at[d] - self.lowest[d]) / self.side) as usize).min(self.size[d] - 1);
        (0..at.len()).map(of).collect()
    }

    fn index(&self, cell: &[usize]) -> usize {
        cell.iter().zip(&self.size).fold(0, |index, (&c, &size)| index * size + c)
    }

    /// The `nearest` others within `radius` of agent `to`, nearest first.
    fn around<'a>(
        &self,
        to: usize,
        place: &impl Fn(usize) -> &'a [f32],
        radius: f32,
        nearest: usize,
        found: &mut Vec<(f32, usize)>,
    ) {
        found.clear();
        let own = self.cell(place(to));
        let limit = if radius > 0.0 { radius } else { f32::INFINITY };
        let widest = self.size.iter().copied().max().unwrap_or(1);
        for ring in 0..=widest {
            // What a ring holds is at least this far away, but for rounding.
            let least = ring.saturating_sub(1) as f32 * self.side * 0.999;
            if least > limit {
                break;
            }
            if found.len() >= nearest {
                found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                found.truncate(nearest);
                if nearest == 0 || found[nearest - 1].0 < least {
                    break;
                }
            }
            self.ring(&own, ring, &mut |cell| {
                for &from in &self.members[self.starts[cell]..self.starts[cell + 1]] {
                    let far = distance(place(from), place(to));
                    if from != to && far <= limit {
                        found.push((far, from));
                    }
                }
            });
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        found.truncate(nearest);
    }

    /// Calls `visit` with every cell whose largest coordinate difference from `own` is `ring`.
    fn ring(&self, own: &[usize], ring: usize, visit: &mut dyn FnMut(usize)) {
        fn walk(
            grid: &Grid,
            own: &[usize],
            ring: usize,
            cell: &mut Vec<usize>,
            edge: bool,
            visit: &mut dyn FnMut(usize),
        ) {
            let d = cell.len();
            if d == own.len() {
                if edge || ring == 0 {
                    visit(grid.index(cell));
                }
                return;
            }
            let (low, high) = (own[d].saturating_sub(ring), (own[d] + ring).min(grid.size[d] - 1));
            // The last dimension takes only the two ends, unless another one is at its end already.
            let step = if d + 1 == own.len() && !edge && ring > 0 { 2 * ring } else { 1 };
            let first = if step > 1 && own[d] < ring { own[d] + ring } else { low };
            for c in (first..=high).step_by(step.max(1)) {
                cell.push(c);
                walk(grid, own, ring, cell, edge || own[d].abs_diff(c) == ring, visit);
                cell.pop();
            }
        }
        walk(self, own, ring, &mut Vec::with_capacity(own.len()), false, visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::initial::Stream;

    /// Against all pairs, sorted.
    #[test]
    fn the_grid_finds_what_a_search_of_all_pairs_finds() {
        let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        let mut stream = Stream::new(seed);
        for case in 0..60 {
            let dimensions = 1 + case % 3;
            let agents = 1 + stream.below(90);
            let nearest = stream.below(7) + usize::from(case % 5 == 0) * 100;
            let radius = if case % 2 == 0 { 0.0 } else { stream.uniform() as f32 * 2.0 };
            let of = Neighbours { positions: vec![0; dimensions], radius, nearest, itself: case % 4 == 0 };
            // On a coarse lattice many distances are equal.
            let positions: Vec<f32> = (0..agents * dimensions)
                .map(|_| if case % 3 == 0 { stream.below(5) as f32 } else { stream.normal() as f32 })
                .collect();
            let present: Vec<f32> = (0..agents).map(|_| f32::from(u8::from(stream.below(8) > 0))).collect();
            let place = |i: usize| &positions[i * dimensions..(i + 1) * dimensions];
            let mut expected = Vec::new();
            for to in (0..agents).filter(|&i| present[i] > 0.0) {
                if of.itself {
                    expected.push((to as u32, to as u32));
                }
                let mut others: Vec<(f32, usize)> = (0..agents)
                    .filter(|&i| i != to && present[i] > 0.0)
                    .map(|i| (distance(place(i), place(to)), i))
                    .filter(|(far, _)| radius == 0.0 || *far <= radius)
                    .collect();
                others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                expected.extend(others.iter().take(nearest).map(|&(_, from)| (from as u32, to as u32)));
            }
            assert_eq!(of.edges(&positions, dimensions, &present), expected, "seed {seed}, case {case}");
            assert!(expected.len() <= of.most(agents));
        }
    }

    #[test]
    fn positions_at_the_ends_of_the_numbers_are_places_too() {
        let of = Neighbours { positions: vec![0], radius: 0.0, nearest: 1, itself: false };
        let edges = of.edges(&[f32::MAX, -f32::MAX, -1.0e38], 1, &[1.0; 3]);
        assert_eq!(edges.len(), 3, "{edges:?}");
    }
}
