//! What the roads look like from above.

use super::control::Colour;
use super::traffic::{Layout, Traffic};
use crate::env::drawing::{DISC, Drawing, LINE, RING, Role};

/// Metres in a cell.
const METRES: f64 = 5.0;
/// Metres around the roads.
const AROUND: f64 = 8.0;

/// North is up. A vehicle is a line from its end to its front with a disc in the middle; the line says how fast it is
/// against the limit of its lane: as good from 2/3 of it, as bad up to 1/3. A signal is a ring at its line. Vehicles
/// are agents from number `first` on, if they are any.
pub(in crate::env) fn roads(layout: &Layout, traffic: &Traffic, first: Option<usize>) -> Drawing {
    let lanes = layout.network.lanes();
    let points = lanes.iter().flat_map(|lane| lane.path.points());
    let bounds = points.fold([f64::MAX, f64::MAX, f64::MIN, f64::MIN], |b, [x, y]| {
        [b[0].min(*x), b[1].min(*y), b[2].max(*x), b[3].max(*y)]
    });
    let [left, bottom, right, top] =
        [bounds[0] - AROUND, bounds[1] - AROUND, bounds[2] + AROUND, bounds[3] + AROUND];
    let mut drawing = Drawing::new(((right - left) / METRES) as f32, ((top - bottom) / METRES) as f32);
    // Vehicles that come in reach back beyond the edge, and are shown at it.
    let most = [((right - left) / METRES) as f32, ((top - bottom) / METRES) as f32];
    let at = |[x, y]: [f64; 2]| {
        let [x, y] = [((x - left) / METRES) as f32, ((top - y) / METRES) as f32];
        [x.clamp(RING + LINE, most[0] - RING - LINE), y.clamp(RING + LINE, most[1] - RING - LINE)]
    };
    for lane in lanes {
        for pair in lane.path.points().windows(2) {
            let width = if lane.junction == super::network::NONE { 0.5 } else { 0.12 };
            drawing.line(Role::Ground, at(pair[0]), at(pair[1]), width);
        }
    }
    if layout.signals.is_some() {
        for movement in layout.network.junctions().iter().flat_map(|junction| &junction.movements) {
            let role = match layout.colour(traffic, *movement).0 {
                Colour::Green => Role::Good,
                Colour::Amber => Role::Goal,
                Colour::Red => Role::Bad,
            };
            drawing.ring(role, at(layout.network.lane(*movement).path.at(0.0).at), RING * 0.7, 1.0);
        }
    }
    let half = layout.config.car.length / 2.0;
    for (number, vehicle) in traffic.here() {
        let [x, y] = vehicle.pose.at;
        let [c, s] = vehicle.pose.towards;
        let ends = [-half, half].map(|by| at([x + by * c, y + by * s]));
        let share = vehicle.speed / layout.network.lane(vehicle.lane).limit;
        let role = match share {
            share if share > 2.0 / 3.0 => Role::Good,
            share if share > 1.0 / 3.0 => Role::Goal,
            _ => Role::Bad,
        };
        drawing.line(role, ends[0], ends[1], 0.4);
        let who = first.map_or(Role::Ink, |first| Role::Agent(first + number));
        drawing.disc(who, at([x, y]), DISC * 0.5);
    }
    let counts = traffic.counts();
    let waiting: u32 = traffic.queues.iter().sum();
    let (seconds, left, collided) = (traffic.seconds(layout), counts.left, counts.collisions);
    drawing.note = format!("{seconds:.1} s: {left} left, {waiting} wait outside, {collided} collided");
    drawing
}
