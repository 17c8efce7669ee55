//! What a vehicle sees, as numbers of about 1.
//!
//! First itself, [`OWN`] numbers: its speed (these all in parts of 15 m/s), its acceleration in parts of the largest,
//! the limits of its lane and of the next way over a junction, how near that is (`d/(d + 30 m)`; 1 for none) and
//! whether it leads left or right, whether the vehicle holds that junction, is on one, whether a signal there is red
//! or amber and for how long (in minutes), seconds it has lost so far (in parts of 30), how near the vehicle ahead is
//! (likewise; 1 for none), that one's speed and whether there is one, how many follow on its lane (in parts of 5),
//! whether the lane to the left or right is the better one, and for steering how far its middle is from its lane's
//! (m), the sine of the angle to it, and how the way bends within the next 5 and 15 m (sines).
//!
//! Then for each of the `others` vehicles on ways that cross, merge or part at its next or its present junction,
//! those first that come first to where they do, [`OTHER`] numbers: whether there is one, whether the ways cross,
//! whether it holds the junction, the seconds after which it is there and leaves it, and after which the vehicle
//! itself is and does (in parts of 10), its speed, and the seconds that it has lost.

use super::control::Colour;
use super::meeting::Meeting;
use super::network::NONE;
use super::traffic::{Layout, Traffic, Vehicle};
use super::way::Turn;

/// Numbers about the vehicle itself.
pub const OWN: usize = 22;
/// Numbers about each of the others.
pub const OTHER: usize = 9;

/// Speeds are in parts of this, in m/s.
const SPEED: f64 = 15.0;
/// Seconds lost are in parts of this.
const LOST: f64 = 30.0;
/// Times are in parts of this, in seconds, and at most twice it.
const TIME: f64 = 10.0;

fn near(distance: f64) -> f32 {
    let distance = distance.max(0.0);
    (distance / (distance + 30.0)) as f32
}

fn flag(is: bool) -> f32 {
    f32::from(u8::from(is))
}

impl Layout {
    /// Seconds that a vehicle has lost so far.
    pub fn lost(&self, traffic: &Traffic, vehicle: &Vehicle) -> f64 {
        traffic.seconds(self)
            - vehicle.due
            - self.free.seconds(vehicle.entry, vehicle.way.exit, vehicle.driven)
    }

    /// Writes what a vehicle sees. `found` is room for others.
    pub(super) fn see(
        &self,
        traffic: &Traffic,
        vehicle: usize,
        seen: &mut [f32],
        found: &mut Vec<[f32; OTHER]>,
    ) {
        let own = &traffic.vehicles[vehicle];
        let lane = self.network.lane(own.lane);
        let next = self.next_movement(own).filter(|next| next.1 < self.config.sight);
        let movement = next.map(|(movement, _)| self.network.lane(movement));
        let (colour, seconds) =
            next.map_or((Colour::Green, 0.0), |(movement, _)| self.colour(traffic, movement));
        let ahead = self.ahead(traffic, vehicle);
        let behind = traffic.on(own.lane).len() - traffic.place(vehicle) - 1;
        let change = self.network.change(own.way, own.lane);
        let better = |side: usize| change != NONE && lane.beside[side] == change;
        let [aside, angle] = self.aside(own);
        seen[..OWN].copy_from_slice(&[
            (own.speed / SPEED) as f32,
            (own.acceleration / self.config.car.acceleration) as f32,
            (lane.limit / SPEED) as f32,
            movement.map_or(0.0, |lane| (lane.limit / SPEED) as f32),
            next.map_or(1.0, |(_, before)| near(before)),
            flag(movement.is_some_and(|lane| lane.turning() == Turn::Left)),
            flag(movement.is_some_and(|lane| lane.turning() == Turn::Right)),
            flag(own.granted),
            flag(self.network.is_movement(own.lane)),
            flag(colour != Colour::Green),
            (seconds / 60.0) as f32,
            (self.lost(traffic, own) / LOST).min(4.0) as f32,
            ahead.map_or(1.0, |(_, gap)| near(gap)),
            ahead.map_or(0.0, |(other, _)| (traffic.vehicles[other].speed / SPEED) as f32),
            flag(ahead.is_some()),
            behind as f32 / 5.0,
            flag(better(0)),
            flag(better(1)),
            aside as f32,
            angle as f32,
            self.bends(own, 5.0),
            self.bends(own, 15.0),
        ]);
        found.clear();
        if self.config.others > 0 {
            let on = self.network.is_movement(own.lane).then_some((own.lane, own.offset));
            let next = next.map(|(movement, before)| (movement, -before));
            for (movement, front) in on.into_iter().chain(next) {
                self.find(traffic, vehicle, movement, front, found);
            }
        }
        found.sort_by(|a, b| a[3].total_cmp(&b[3]));
        for (place, part) in seen[OWN..].chunks_exact_mut(OTHER).enumerate() {
            match found.get(place) {
                Some(other) => part.copy_from_slice(other),
                None => part.fill(0.0),
            }
        }
    }

    /// How the way bends: the sine of the angle from where a vehicle looks to how its way runs so many metres ahead.
    fn bends(&self, own: &Vehicle, metres: f64) -> f32 {
        let (mut lane, mut way, mut along) = (own.lane, own.way, own.offset + metres);
        while along > self.network.lane(lane).length {
            let (next, after) = self.network.onward(way, lane);
            if next == NONE {
                break;
            }
            along -= self.network.lane(lane).length;
            (lane, way) = (next, after);
        }
        let towards = self.network.lane(lane).path.at(along).towards;
        let [c, s] = own.pose.towards;
        (c * towards[1] - s * towards[0]) as f32
    }

    /// Finds those who meet a vehicle on a movement, before or behind whose start its front is.
    fn find(
        &self,
        traffic: &Traffic,
        vehicle: usize,
        movement: u32,
        front: f64,
        found: &mut Vec<[f32; OTHER]>,
    ) {
        let own = &traffic.vehicles[vehicle];
        let length = self.config.car.length;
        let when = |metres: f64, speed: f64| ((metres / speed.max(1.0)).clamp(0.0, 2.0 * TIME) / TIME) as f32;
        for conflict in &self.network.lane(movement).conflicts {
            if front - length >= conflict.own[1] {
                continue;
            }
            for other in traffic.near(conflict.with).iter().filter(|n| n.vehicle as usize != vehicle) {
                let leaves = conflict.other[1] + length - other.front;
                let parted = conflict.meeting == Meeting::Diverging && other.front <= 0.0;
                if leaves <= 0.0 || parted {
                    continue;
                }
                let its = &traffic.vehicles[other.vehicle as usize];
                found.push([
                    1.0,
                    flag(conflict.meeting == Meeting::Crossing),
                    flag(other.committed),
                    when(conflict.other[0] - other.front, its.speed),
                    when(leaves, its.speed),
                    when(conflict.own[0] - front, own.speed),
                    when(conflict.own[1] + length - front, own.speed),
                    (its.speed / SPEED) as f32,
                    (self.lost(traffic, its) / LOST).min(4.0) as f32,
                ]);
            }
        }
    }
}
