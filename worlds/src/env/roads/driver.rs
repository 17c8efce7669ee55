//! Drivers by rules: the intelligent driver model on the road; at junctions signals and gap acceptance, or the times
//! that were reserved.

use super::config::ControlConfig;
use super::control::Colour;
use super::meeting::Meeting;
use super::network::NONE;
use super::traffic::{Layout, Near, Traffic, Vehicle};
use super::way::Turn;
use crate::env::platoon::Idm;

/// How far before a line drivers by rules stop, in metres.
const BEFORE_LINE: f64 = 0.5;
/// The least gap in time that is accepted before who goes first, in seconds.
const ACCEPTED_GAP: f64 = 2.0;
/// Speeds below this count as this, where distances become times, in m/s.
const SLOWEST: f64 = 1.0;

/// What a driver by rules does in a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// m/s^2.
    pub acceleration: f64,
    /// Whether it goes over the next junction.
    pub goes: bool,
}

impl Layout {
    /// The driver model, on a lane of that limit.
    pub fn idm(&self, limit: f64) -> Idm {
        let car = &self.config.car;
        Idm {
            desired_speed: limit,
            time_gap: car.time_gap,
            jam_distance: car.jam_distance,
            acceleration: car.acceleration,
            braking: car.comfort,
        }
    }

    /// The driver model of a vehicle where it is.
    fn idm_of(&self, own: &Vehicle) -> Idm {
        let idm = self.idm(self.network.lane(own.lane).limit);
        Idm { desired_speed: own.pace * idm.desired_speed, time_gap: own.time_gap, ..idm }
    }

    /// What the rules do for a vehicle.
    pub fn decide(&self, traffic: &Traffic, vehicle: usize) -> Decision {
        if let ControlConfig::Reservation { .. } = self.config.control {
            return self.keeps_time(traffic, vehicle);
        }
        let own = &traffic.vehicles[vehicle];
        let idm = self.idm_of(own);
        let mut acceleration = idm.acceleration(own.speed, None);
        self.followed(traffic, vehicle, |gap, speed| {
            acceleration = acceleration.min(idm.acceleration(own.speed, Some((gap, own.speed - speed))));
        });
        let Some((movement, before)) = self.next_movement(own).filter(|next| next.1 < self.config.sight)
        else {
            return Decision { acceleration, goes: false };
        };
        let goes = own.granted
            || (!self.stops_at_signal(traffic, own, movement, before)
                && self.goes(traffic, vehicle, movement, before));
        if !goes {
            let gap = before + self.config.car.jam_distance - BEFORE_LINE;
            acceleration = acceleration.min(idm.acceleration(own.speed, Some((gap, own.speed))));
        }
        Decision { acceleration, goes }
    }

    /// Whether a signal stops a vehicle: red, or amber while it can stop in comfort.
    pub(super) fn stops_at_signal(
        &self,
        traffic: &Traffic,
        own: &Vehicle,
        movement: u32,
        before: f64,
    ) -> bool {
        let comfort = self.config.car.comfort.max(self.config.car.braking / 2.0);
        let can_stop = own.speed * own.speed / (2.0 * comfort) <= before;
        match self.colour(traffic, movement).0 {
            Colour::Green => false,
            Colour::Amber => can_stop,
            Colour::Red => own.speed * own.speed / (2.0 * self.config.car.braking) <= before,
        }
    }

    /// Seconds until a vehicle has come so far, if it accelerates from now on.
    pub(super) fn seconds_for(&self, speed: f64, metres: f64, limit: f64) -> f64 {
        let a = self.config.car.acceleration;
        let until = ((limit * limit - speed * speed) / (2.0 * a)).max(0.0);
        match metres <= until {
            true => ((speed * speed + 2.0 * a * metres.max(0.0)).sqrt() - speed) / a,
            false => (limit - speed).max(0.0) / a + (metres - until) / limit.max(speed),
        }
    }

    /// Gap acceptance: whether a vehicle goes, since whoever crosses its way has passed, or comes later and lets it
    /// pass.
    fn goes(&self, traffic: &Traffic, vehicle: usize, movement: u32, before: f64) -> bool {
        let own = &traffic.vehicles[vehicle];
        let lane = self.network.lane(movement);
        let eta = before.max(0.0) / own.speed.max(SLOWEST);
        for conflict in lane.conflicts.iter().filter(|conflict| conflict.meeting != Meeting::Diverging) {
            for other in traffic.near(conflict.with).iter().filter(|n| n.vehicle as usize != vehicle) {
                if self.has_left(other, conflict) {
                    continue;
                }
                let free = match (other.committed, conflict.meeting) {
                    (true, Meeting::Merging) => self.merges_safely(traffic, vehicle, movement, before, other),
                    (true, _) => self.crosses_safely(traffic, vehicle, before, conflict, other),
                    (false, _) => {
                        let clears = before + conflict.own[1] + self.config.car.length;
                        let clear = self.seconds_for(own.speed, clears, lane.limit);
                        !self.goes_first(traffic, other, movement, (eta, vehicle), clear)
                    }
                };
                if !free {
                    return false;
                }
            }
        }
        true
    }

    /// Whether another vehicle that does not hold the junction yet goes first: on a way of higher priority, who comes
    /// before this one has passed; of the same priority, who comes first.
    fn goes_first(
        &self,
        traffic: &Traffic,
        other: &Near,
        movement: u32,
        own: (f64, usize),
        clear: f64,
    ) -> bool {
        let its = &traffic.vehicles[other.vehicle as usize];
        if self.stops_at_signal(traffic, its, other.movement, -other.front) {
            return false;
        }
        let [mine, theirs] = [movement, other.movement].map(|lane| {
            let lane = self.network.lane(lane);
            // Where signals let both go, who turns left gives way.
            let left = self.signals.is_some() && lane.turning() == Turn::Left;
            (lane.priority, !left)
        });
        let eta = (-other.front).max(0.0) / its.speed.max(SLOWEST);
        match theirs.cmp(&mine) {
            std::cmp::Ordering::Greater => eta < clear + ACCEPTED_GAP,
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => (eta, other.vehicle as usize) < own,
        }
    }

    /// The lane beside a vehicle's that the rules change to: the one on its way to its exit.
    pub fn wanted_lane(&self, vehicle: &Vehicle) -> Option<u32> {
        Some(self.network.change(vehicle.way, vehicle.lane)).filter(|lane| *lane != NONE)
    }

    /// The steering angle that brings a vehicle back to the middle of its lane (pure pursuit, Coulter 1992), in
    /// radians: of the circle to a point ahead on its way. The vehicle turns as `sin(beta)/(length/2)` with
    /// `tan(beta) = tan(angle)/2`.
    pub fn pursuit(&self, vehicle: &Vehicle) -> f64 {
        let length = self.config.car.length;
        let look = (0.6 * vehicle.speed).max(0.8 * length);
        let target = self.ahead_of(vehicle, look - length / 2.0);
        let [x, y] = [target[0] - vehicle.pose.at[0], target[1] - vehicle.pose.at[1]];
        let [c, s] = vehicle.pose.towards;
        let (forward, aside) = (x * c + y * s, y * c - x * s);
        let curvature = 2.0 * aside / (forward * forward + aside * aside).max(1.0);
        let beta = (curvature * length / 2.0).clamp(-0.9, 0.9).asin();
        (2.0 * beta.tan()).atan()
    }

    /// The point so many metres ahead of a vehicle's front on its way.
    fn ahead_of(&self, vehicle: &Vehicle, metres: f64) -> [f64; 2] {
        if metres < 0.0 {
            return self.behind(vehicle, -metres).at;
        }
        let (mut lane, mut way, mut along) = (vehicle.lane, vehicle.way, vehicle.offset + metres);
        loop {
            let (length, (next, after)) = (self.network.lane(lane).length, self.network.onward(way, lane));
            if along <= length || next == NONE {
                return self.network.lane(lane).path.at(along).at;
            }
            (lane, way, along) = (next, after, along - length);
        }
    }
}
