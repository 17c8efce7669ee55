//! What robots see.

use super::floor::{CODES, Floor, REQUESTED, ROBOT, Robot, SHELF};
use super::world::Warehouse;
use crate::env::vectorised::View;

/// Numbers about a robot itself, and about each cell, where no setting adds any.
const SELF: usize = 8;
const CELL: usize = 7;

/// What a cell of each code looks like: a robot, its direction, a shelf, a requested one.
static LOOKS: [[f32; CELL]; CODES] = {
    let mut looks = [[0.0; CELL]; CODES];
    let mut code = 0;
    while code < CODES {
        let (robot, direction) = (code & ROBOT as usize != 0, (code >> 1) & 3);
        looks[code][0] = if robot { 1.0 } else { 0.0 };
        // An empty cell shows the direction up, as in RWARE.
        looks[code][1 + if robot { direction } else { 0 }] = 1.0;
        looks[code][5] = if code & SHELF as usize != 0 { 1.0 } else { 0.0 };
        looks[code][6] = if code & REQUESTED as usize != 0 { 1.0 } else { 0.0 };
        code += 1;
    }
    looks
};

/// Numbers about each cell.
fn cell_length(rules: &Warehouse) -> usize {
    CELL + rules.config.message_bits + if rules.config.priorities.on() { 2 } else { 0 }
}

/// Numbers about a robot itself.
fn self_length(rules: &Warehouse) -> usize {
    let charge = if rules.config.battery.capacity > 0 { 2 } else { 0 };
    let stations = if rules.config.service > 1 { 2 * rules.ground.goals.len() } else { 0 };
    SELF + charge + stations
}

/// Numbers in a robot's observation.
pub(super) fn length(rules: &Warehouse) -> usize {
    let side = 2 * rules.config.sensor_range + 1;
    self_length(rules) + side * side * cell_length(rules)
}

pub(super) fn observe(rules: &Warehouse, floor: &Floor, view: &mut View) {
    let (own_length, cell_length) = (self_length(rules), cell_length(rules));
    let stations = if rules.config.service > 1 { stations(rules, floor) } else { Vec::new() };
    let side = 2 * rules.config.sensor_range + 1;
    let scale = match rules.config.normalised_coordinates {
        true => [rules.layout.width(), rules.layout.height()].map(|side| (side.max(2) - 1) as f32),
        false => [1.0; 2],
    };
    let rows = view.observations(0).chunks_exact_mut(own_length + side * side * cell_length);
    for (robot, seen) in floor.robots.iter().zip(rows) {
        let (own, window) = seen.split_at_mut(own_length);
        about(rules, robot, scale, own);
        own[own_length - stations.len()..].copy_from_slice(&stations);
        let stride = rules.ground.stride();
        let corner = robot.at as usize - rules.config.sensor_range * (stride + 1);
        for (row, seen) in window.chunks_exact_mut(side * cell_length).enumerate() {
            let first = corner + row * stride;
            let codes = &floor.codes[first..first + side];
            if cell_length == CELL {
                for (code, cell) in codes.iter().zip(seen.chunks_exact_mut(CELL)) {
                    cell.copy_from_slice(&LOOKS[usize::from(*code) % CODES]);
                }
            } else {
                for (at, cell) in seen.chunks_exact_mut(cell_length).enumerate() {
                    look(rules, floor, first + at, cell);
                }
            }
        }
    }
    view.state_of_observations();
}

/// What a robot knows of itself.
fn about(rules: &Warehouse, robot: &Robot, scale: [f32; 2], own: &mut [f32]) {
    let [x, y] = rules.ground.place(robot.at);
    own[0] = x as f32 / scale[0];
    own[1] = y as f32 / scale[1];
    own[2] = f32::from(u8::from(robot.carries > 0));
    own[3..7].fill(0.0);
    own[3 + usize::from(robot.direction & 3)] = 1.0;
    own[7] = f32::from(u8::from(rules.ground.is_highway(robot.at)));
    let capacity = rules.config.battery.capacity;
    if capacity > 0 {
        own[8] = robot.charge as f32 / capacity as f32;
        own[9] = f32::from(u8::from(rules.ground.charges(robot.at)));
    }
}

/// A cell with messages or what requests are worth.
fn look(rules: &Warehouse, floor: &Floor, at: usize, cell: &mut [f32]) {
    let looks = &LOOKS[usize::from(floor.codes[at]) % CODES];
    let bits = rules.config.message_bits;
    cell[..5].copy_from_slice(&looks[..5]);
    let message = floor.robots.get(floor.robot_at[at] as usize).map_or(0, |robot| robot.message);
    for (bit, shown) in cell[5..5 + bits].iter_mut().enumerate() {
        *shown = (message >> bit & 1) as f32;
    }
    cell[5 + bits..CELL + bits].copy_from_slice(&looks[5..]);
    if let [worth, left] = &mut cell[CELL + bits..] {
        let slot = (floor.shelf_at[at] as usize).checked_sub(1).map_or(0, |shelf| floor.slots[shelf]);
        let request = (slot as usize).checked_sub(1).map(|slot| &floor.requests[slot]);
        let priorities = &rules.config.priorities;
        *worth = request.map_or(0.0, |request| rules.worth(request) / priorities.highest());
        let longest = priorities.deadline[1].max(1) as f32;
        *left = request.map_or(0.0, |request| request.due.saturating_sub(floor.step) as f32 / longest);
    }
}

/// For each goal the part of the service that is done, and the part of the robots that are on their way to it.
fn stations(rules: &Warehouse, floor: &Floor) -> Vec<f32> {
    let goals = &rules.ground.goals;
    let mut seen: Vec<f32> =
        floor.served.iter().flat_map(|steps| [*steps as f32 / rules.config.service as f32, 0.0]).collect();
    let places: Vec<[usize; 2]> = goals.iter().map(|goal| rules.ground.place(*goal)).collect();
    for robot in &floor.robots {
        let requested = (robot.carries as usize).checked_sub(1).is_some_and(|shelf| floor.slots[shelf] > 0);
        let [x, y] = rules.ground.place(robot.at);
        let far = |goal: &usize| places[*goal][0].abs_diff(x) + places[*goal][1].abs_diff(y);
        if let Some(nearest) = (0..goals.len()).min_by_key(far).filter(|_| requested) {
            seen[2 * nearest + 1] += 1.0 / floor.robots.len() as f32;
        }
    }
    seen
}
