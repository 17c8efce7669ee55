//! A factory as a drawing: sensors above, machines with their wear below them, then actuators, then processors with
//! the orders that wait.

use super::config::FactoryConfig;
use super::floor::{Floor, Status};
use super::{COMMANDS, NAMES};
use crate::env::drawing::{DISC, Drawing, LINE, Role};

/// Cells from one to the next in a row.
const APART: f32 = 2.0;
/// Heights of the rows of sensors, machines, actuators and processors.
const ROWS: [f32; 4] = [0.7, 2.5, 4.6, 6.4];
/// Half of the side of a machine.
const HALF: f32 = 0.55;

/// The middle of the `number`-th of `count` in a row.
fn place(row: usize, number: usize, count: usize, width: f32) -> [f32; 2] {
    [width * (number as f32 + 0.5) / count as f32, ROWS[row]]
}

pub(super) fn floor(config: &FactoryConfig, floor: &Floor) -> Drawing {
    let c = config;
    let widest = c.machines.max(c.sensors).max(c.processors).max(c.actuators).max(2);
    let width = widest as f32 * APART;
    let mut drawing = Drawing::new(width, 8.0);
    let machine = |number| place(1, number, c.machines, width);
    let sensor = |number| place(0, number, c.sensors, width);
    let actuator = |number| place(2, number, c.actuators, width);
    let processor = |number| place(3, number, c.processors, width);
    for number in 0..c.machines {
        drawing.line(Role::Ground, sensor(number % c.sensors), machine(number), LINE / 2.0);
        drawing.line(Role::Ground, machine(number), actuator(number % c.actuators), LINE / 2.0);
    }
    let top = (c.wear_levels - 1) as f32;
    for (number, state) in floor.machines.iter().enumerate() {
        let [x, y] = machine(number);
        let role = match state.status() {
            Status::Idle => Role::Thing,
            Status::Running => Role::Good,
            Status::Faulty => Role::Bad,
            Status::InRepair => Role::Goal,
        };
        drawing.rectangle(role, [x - HALF, y - HALF], [2.0 * HALF, 2.0 * HALF]);
        let worn = state.wear as f32 / top;
        *drawing.rectangle(Role::Ink, [x - HALF, y + HALF + 0.1], [2.0 * HALF * worn, 0.15]) = 0.6;
        let command = NAMES[state.command as usize % COMMANDS];
        drawing.label(Role::Ink, [x, y], 0.3, command);
    }
    for number in 0..c.sensors {
        drawing.disc(Role::Agent(number), sensor(number), DISC);
    }
    for (number, orders) in floor.queues.iter().enumerate() {
        let [x, y] = processor(number);
        drawing.disc(Role::Agent(c.sensors + number), [x, y], DISC);
        drawing.label(Role::Ink, [x, y + 0.8], 0.4, format!("{} waiting", orders.waiting));
    }
    for number in 0..c.actuators {
        drawing.disc(Role::Agent(c.sensors + c.processors + number), actuator(number), DISC);
    }
    drawing.note = format!("step {} of {}, paid {:.2}", floor.step, c.horizon, floor.counts.paid);
    drawing
}
