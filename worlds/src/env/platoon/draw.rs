//! What platoons look like from above.

use super::regulator::{Errors, RegulatorRules};
use super::road::RoadRules;
use super::traffic::{EMERGENCY, Traffic};
use crate::env::drawing::{DISC, Drawing, LINE, RING, Role};

/// Metres in a cell.
const METRES: f64 = 8.0;
/// Cells before and behind the leader.
const BEFORE: f32 = 20.0;
const BEHIND: f32 = 45.0;

/// The road moves with the leader; who is further off than the picture goes is at its edge. Emergency vehicles have a
/// ring, filled by how urgent their way is.
pub(super) fn road(rules: &RoadRules, world: &Traffic) -> Drawing {
    let layout = rules.layout();
    let lanes = layout.road.lanes as f32;
    let (width, top) = (BEFORE + BEHIND, 0.5);
    let mut drawing = Drawing::new(width, lanes + 2.0 * top);
    for line in 0..=layout.road.lanes {
        let y = top + line as f32;
        drawing.line(Role::Ground, [0.1, y], [width - 0.1, y], LINE);
    }
    let leader = layout.leader();
    let front = world.vehicles[leader].position;
    for (number, vehicle) in world.vehicles.iter().enumerate() {
        let length = ((layout.body(number).length / METRES) as f32).max(0.5);
        let x = BEHIND + ((vehicle.position - front) / METRES) as f32 - length;
        let x = x.clamp(RING + LINE, width - length - RING - LINE);
        // Lane 0 is the one to the right of those who drive to the right of the picture: the lowest.
        let y = top + (lanes - 1.0 - vehicle.lane as f32) + 0.5;
        let role = if number < layout.agents { Role::Agent(number) } else { Role::Thing };
        *drawing.rectangle(role, [x, y - 0.22], [length, 0.44]) = 0.6;
        let middle = [x + length / 2.0, y];
        match number {
            number if number >= layout.agents => {}
            number if layout.kinds[number] == EMERGENCY => {
                drawing.disc(role, middle, DISC);
                drawing.ring(Role::Bad, middle, RING, vehicle.criticality as f32);
            }
            _ => *drawing.disc(role, middle, 0.2) = 0.9,
        }
    }
    drawing.note = format!("{:.1} m is the smallest gap, {} collided", world.smallest_gap, world.collisions);
    drawing
}

/// Vehicles from the leader to the left, three cells apart where gaps are as they should be; what is far off is at the
/// edge. A line shows the error of the speed.
pub(super) fn regulator(rules: &RegulatorRules, world: &Errors) -> Drawing {
    let vehicles = rules.config().agents();
    let each = world.state().len() / vehicles;
    let sizes = rules.regulator();
    let width = 3.0 * vehicles as f32 + 4.0;
    let mut drawing = Drawing::new(width, 2.0);
    drawing.line(Role::Ground, [0.1, 1.0], [width - 0.1, 1.0], LINE);
    drawing.disc(Role::Thing, [width - 2.0, 1.0], DISC);
    let mut place = width - 2.0;
    for (number, errors) in world.state().chunks_exact(each).enumerate() {
        place -= 3.0 + (errors[0] / sizes.start_gap) as f32;
        let at = place.clamp(1.0, width - 1.0);
        let speed = (errors[1] / sizes.start_speed).clamp(-1.0, 1.0) as f32;
        let (from, to) = (at.min(at + 0.9 * speed), at.max(at + 0.9 * speed));
        drawing.ring(Role::Goal, [width - 2.0 - 3.0 * (number + 1) as f32, 1.0], RING, 0.0);
        drawing.line(Role::Agent(number), [from, 0.4], [to, 0.4], LINE);
        drawing.disc(Role::Agent(number), [at, 1.0], DISC);
    }
    drawing.note = format!("cost {:.3}, at least {:.3}", world.cost(), world.least());
    drawing
}
