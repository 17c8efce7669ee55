//! Generators of maps. Each is a function of its parameters and a seed alone.
//!
//! ```
//! use synod_worlds::env::pathfinding::generate;
//! let corridor = generate::bottleneck(6)?;
//! let maze = generate::maze(17, 4, 0.5, 1)?;
//! println!("{} {}", corridor.name, maze.name);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use super::instance::out_of_range;
use super::map::{Cell, MAX_SIDE, Map};
use super::pcg64::Pcg64;
use crate::error::Result;

/// How often a wall of a [`maze`] goes straight on where it could turn.
const STRAIGHT: f64 = 0.65;

/// POGEMA's random map: each cell blocked with probability `density`.
///
/// # Errors
/// A side outside 1..=[`MAX_SIDE`], a density outside [0, 1].
pub fn random(height: usize, width: usize, density: f64, seed: u64) -> Result<Map> {
    if !(0.0..=1.0).contains(&density) {
        return Err(out_of_range("source.density", &format!("a number in [0, 1], got {density}")));
    }
    if !(1..=MAX_SIDE).contains(&height) || !(1..=MAX_SIDE).contains(&width) {
        return Err(out_of_range("source.size", &format!("1 to {MAX_SIDE}, got {height} x {width}")));
    }
    let mut random = Pcg64::new(seed);
    let blocked = (0..height * width).map(|_| random.bernoulli(density)).collect();
    Map::new(format!("random-{seed}"), height, width, blocked)
}

/// SRMT's bottleneck: two rooms of 2 x 9 joined at column 4 by a corridor `length` cells long; `length + 4` x 9 cells.
///
/// # Errors
/// A length outside 1..=[`MAX_SIDE`] - 4.
pub fn bottleneck(length: usize) -> Result<Map> {
    if length == 0 || length > MAX_SIDE - 4 {
        return Err(out_of_range("source.lengths", &format!("1 to {}, got {length}", MAX_SIDE - 4)));
    }
    let corridor = 2..2 + length;
    let blocked = (0..(length + 4) * 9).map(|cell| corridor.contains(&(cell / 9)) && cell % 9 != 4).collect();
    Map::new(format!("bottleneck-{length}"), length + 4, 9, blocked)
}

/// Starts and targets of the bottleneck task: agent 0 from the upper room to the lower, agent 1 the other way, each
/// cell drawn uniformly from its room.
pub(super) fn bottleneck_places(length: usize, agents: usize, random: &mut Pcg64) -> (Vec<Cell>, Vec<Cell>) {
    let mut cell = |lower: bool| {
        let row = random.below(2) as usize + if lower { 2 + length } else { 0 };
        (row, random.below(9) as usize)
    };
    let starts = (0..agents).map(|agent| cell(agent % 2 == 1)).collect();
    let targets = (0..agents).map(|agent| cell(agent % 2 == 0)).collect();
    (starts, targets)
}

/// A maze whose walls grow along a lattice of every second cell, as in the training mazes of learn-to-follow.
///
/// `density` sets how many walls are begun: `density * cells / wall_components`. Each begins at a random lattice
/// point and tries `wall_components` times to grow by two cells to a neighbouring point, which succeeds where that is
/// still free. It goes straight on with probability 0.65, which gives straight pieces and corners in the proportion
/// that the published mazes have. A wall joins at most one other, so the free cells stay connected.
///
/// # Errors
/// A size outside 5..=128, 0 or over 128 wall components, a density outside [0, 1].
pub fn maze(size: usize, wall_components: usize, density: f64, seed: u64) -> Result<Map> {
    if !(5..=128).contains(&size) {
        return Err(out_of_range("source.size", &format!("5 to 128, got {size}")));
    }
    if !(1..=128).contains(&wall_components) {
        return Err(out_of_range("source.wall_components", &format!("1 to 128, got {wall_components}")));
    }
    if !(0.0..=1.0).contains(&density) {
        return Err(out_of_range("source.density", &format!("a number in [0, 1], got {density}")));
    }
    // The lattice lives in an odd square framed by a wall on all sides. An even size has a free row and column more.
    let side = (size - 1) / 2 * 2 + 3;
    let mut wall = vec![false; side * side];
    for i in 0..side {
        for cell in [i, (side - 1) * side + i, i * side, i * side + side - 1] {
            wall[cell] = true;
        }
    }
    let mut random = Pcg64::new(seed);
    let points = side.div_ceil(2) as u32;
    let begun = (density * (side * side) as f64 / wall_components as f64) as usize;
    for _ in 0..begun {
        let (mut row, mut column) = (random.below(points) as usize * 2, random.below(points) as usize * 2);
        wall[row * side + column] = true;
        let mut straight = None;
        for _ in 0..wall_components {
            let mut next = [(0, 0); 4];
            let mut count = 0;
            for (inside, to) in [
                (row >= 2, (row.wrapping_sub(2), column)),
                (row + 2 < side, (row + 2, column)),
                (column >= 2, (row, column.wrapping_sub(2))),
                (column + 2 < side, (row, column + 2)),
            ] {
                if inside {
                    next[count] = to;
                    count += 1;
                }
            }
            let ahead = straight.filter(|to| next[..count].contains(to));
            let (to_row, to_column) = match ahead {
                Some(to) if random.double() < STRAIGHT => to,
                _ => next[random.below(count as u32) as usize],
            };
            if !wall[to_row * side + to_column] {
                wall[to_row * side + to_column] = true;
                wall[(row + to_row) / 2 * side + (column + to_column) / 2] = true;
                straight = Some(((2 * to_row).wrapping_sub(row), (2 * to_column).wrapping_sub(column)));
                (row, column) = (to_row, to_column);
            }
        }
    }
    let blocked = (0..size * size)
        .map(|cell| {
            let (row, column) = (cell / size + 1, cell % size + 1);
            row < side - 1 && column < side - 1 && wall[row * side + column]
        })
        .collect();
    Map::new(format!("maze-{seed}"), size, size, blocked)
}

/// The sides of a [`warehouse`].
pub(super) fn warehouse_sides(
    rows: usize,
    columns: usize,
    shelf_length: usize,
    margin: usize,
) -> Result<(usize, usize)> {
    let height = rows.checked_mul(3).and_then(|n| n.checked_add(1));
    let width = shelf_length
        .checked_add(1)
        .and_then(|n| n.checked_mul(columns))
        .and_then(|n| n.checked_add(margin.checked_mul(2)?.checked_sub(1)?));
    match (height, width) {
        (Some(h), Some(w))
            if rows > 0 && columns > 0 && shelf_length > 0 && h <= MAX_SIDE && w <= MAX_SIDE =>
        {
            Ok((h, w))
        }
        _ => Err(out_of_range("source", &format!("a warehouse with sides of 1 to {MAX_SIDE} cells"))),
    }
}

/// A warehouse of `rows` x `columns` blocks of shelves, each two cells high and `shelf_length` long, with aisles one
/// cell wide between them and round them, and an open strip of `margin` columns at either end. Agents start in the
/// strips; targets are the aisle cells above and below shelves. Ten rows of three blocks of 11 with margins of 5 make
/// a map of 31 x 45.
///
/// # Errors
/// A parameter of 0, or a side over [`MAX_SIDE`].
pub fn warehouse(rows: usize, columns: usize, shelf_length: usize, margin: usize) -> Result<Map> {
    let (height, width) = warehouse_sides(rows, columns, shelf_length, margin)?;
    let between = |column: usize| column >= margin && column < width - margin;
    let shelf = |column: usize| between(column) && (column - margin) % (shelf_length + 1) < shelf_length;
    let blocked: Vec<bool> =
        (0..height * width).map(|cell| (cell / width) % 3 != 0 && shelf(cell % width)).collect();
    let free = |cell: usize| (cell / width, cell % width);
    let starts = (0..height * width).filter(|c| !between(c % width)).map(free).collect();
    let targets =
        (0..height * width).filter(|c| (c / width) % 3 == 0 && shelf(c % width)).map(free).collect();
    let mut map = Map::new(format!("warehouse-{rows}x{columns}x{shelf_length}"), height, width, blocked)?;
    map.possible_starts = Some(starts);
    map.possible_targets = Some(targets);
    Ok(map)
}
