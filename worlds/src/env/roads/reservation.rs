//! First come, first served: vehicles reserve the time at which they come to a junction, such that nobody whose way
//! crosses theirs is there at the same time (Dresner and Stone 2008, with the places where ways cross in place of
//! tiles), and drive so that they come at that time and as fast as they can.

use super::config::ControlConfig;
use super::driver::Decision;
use super::meeting::Meeting;
use super::traffic::{Layout, Near, Traffic, Vehicle};
use crate::env::platoon::MARGIN;

/// How late a vehicle may be before its reservation is cancelled, in seconds.
const LATE: f64 = 0.3;
/// What is added to the time between two vehicles of a lane, in seconds.
const SPARE: f64 = 0.2;
/// The slowest approach that is planned, in m/s.
const SLOWEST: f64 = 0.2;
/// Times that are tried for a reservation.
const TRIES: usize = 400;

/// Driving so many metres: from a speed to one that is kept in between, and from that to the one at the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Approach {
    /// Metres.
    pub metres: f64,
    /// m/s now.
    pub speed: f64,
    /// m/s at the end.
    pub last: f64,
    /// The largest acceleration, in m/s^2.
    pub acceleration: f64,
    /// How hard it brakes, in m/s^2.
    pub braking: f64,
}

impl Approach {
    fn rate(&self, from: f64, to: f64) -> f64 {
        if to >= from { self.acceleration } else { self.braking }
    }

    /// Metres that the change from one speed to another takes.
    fn way(&self, from: f64, to: f64) -> f64 {
        (to * to - from * from).abs() / (2.0 * self.rate(from, to))
    }

    /// Seconds with that speed in between; `None` where there is no room for it.
    pub fn seconds(&self, between: f64) -> Option<f64> {
        let rest = self.metres - self.way(self.speed, between) - self.way(between, self.last);
        let change = |from: f64, to: f64| (to - from).abs() / self.rate(from, to);
        (rest >= 0.0)
            .then(|| change(self.speed, between) + change(between, self.last) + rest / between.max(SLOWEST))
    }

    /// The largest speed in between that there is room for, at most `limit`; `None` where there is no room for any.
    pub fn fastest(&self, limit: f64) -> Option<f64> {
        let least = self.speed.min(self.last).max(SLOWEST);
        self.seconds(limit).map(|_| limit).or_else(|| {
            self.seconds(least)?;
            let (mut low, mut high) = (least, limit);
            for _ in 0..40 {
                let middle = (low + high) / 2.0;
                if self.seconds(middle).is_some() { low = middle } else { high = middle }
            }
            Some(low)
        })
    }

    /// The speed in between with which it takes so many seconds, or as near to that as can be.
    pub fn between(&self, seconds: f64, limit: f64) -> Option<f64> {
        let (mut low, mut high) = (SLOWEST, self.fastest(limit)?);
        if self.seconds(high)? >= seconds {
            return Some(high);
        }
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            // Where there is no room to slow down so far it has to be done later, from a lower speed.
            match self.seconds(middle) {
                Some(time) if time < seconds => high = middle,
                _ => low = middle,
            }
        }
        Some(high)
    }
}

impl Layout {
    fn reserves(&self) -> Option<(f64, f64)> {
        match self.config.control {
            ControlConfig::Reservation { buffer, range } => Some((buffer, range)),
            _ => None,
        }
    }

    /// The way to the line of a movement, at the end of which a vehicle is as fast as it can be there.
    fn approach(&self, speed: f64, before: f64, movement: u32) -> Approach {
        let car = &self.config.car;
        let reached = (speed * speed + 2.0 * car.acceleration * before.max(0.0)).sqrt();
        let last = self.network.lane(movement).limit.min(reached);
        // Braking for slower lanes follows the limits, in comfort.
        Approach {
            metres: before.max(0.0),
            speed,
            last,
            acceleration: car.acceleration,
            braking: car.comfort,
        }
    }

    /// The earliest time from now to the line.
    fn earliest(&self, approach: &Approach, limit: f64) -> f64 {
        let fastest = approach.fastest(limit).and_then(|speed| approach.seconds(speed));
        fastest.unwrap_or_else(|| 2.0 * approach.metres / (approach.speed + approach.last).max(SLOWEST))
    }

    /// Seconds from the line until the front is so many metres behind it, for who comes there at that speed.
    fn since_line(&self, movement: u32, speed: f64, metres: f64) -> f64 {
        self.seconds_for(speed, metres, self.network.lane(movement).limit)
    }

    /// When another vehicle is in a part of its movement: from when to when, in seconds.
    fn occupies(&self, traffic: &Traffic, other: &Near, [from, to]: [f64; 2]) -> Option<[f64; 2]> {
        let now = traffic.seconds(self);
        let its = &traffic.vehicles[other.vehicle as usize];
        let length = self.config.car.length;
        if other.front >= 0.0 {
            let rest = to + length - other.front;
            let limit = self.network.lane(other.movement).limit;
            return (rest > 0.0).then(|| [now, now + self.seconds_for(its.speed, rest, limit)]);
        }
        if its.arrival < 0.0 {
            return None;
        }
        let speed = self.approach(its.speed, -other.front, other.movement).last;
        let at = |metres: f64| its.arrival.max(now) + self.since_line(other.movement, speed, metres);
        Some([at(from), at(to + length)])
    }

    /// Reserves for all who come into range with nobody before them on their lane who has not; cancels where a time
    /// can no longer be kept.
    pub(super) fn reserve(&self, traffic: &mut Traffic) {
        let Some((buffer, range)) = self.reserves() else { return };
        let now = traffic.seconds(self);
        let mut asking = std::mem::take(&mut traffic.asking);
        asking.clear();
        for number in 0..traffic.vehicles.len() {
            let own = traffic.vehicles[number];
            if !own.here {
                continue;
            }
            let next = self.next_movement(&own).filter(|next| {
                // Others have to see it from then on.
                next.1 <= range && next.1 < self.config.sight
            });
            let Some((movement, before)) = next else {
                traffic.vehicles[number].arrival = -1.0;
                continue;
            };
            if own.arrival >= 0.0 {
                let limit = self.network.lane(own.lane).limit;
                let can_stop = own.speed * own.speed / (2.0 * self.config.car.braking) < before;
                let approach = self.approach(own.speed, before, movement);
                // Whoever is ahead may have had to reserve again.
                let after = self.after_first(traffic, number, movement, &approach).unwrap_or(f64::INFINITY);
                let earliest = after.max(now + self.earliest(&approach, limit));
                if can_stop && !own.granted && earliest > own.arrival + LATE {
                    traffic.vehicles[number].arrival = -1.0;
                }
            }
            if traffic.vehicles[number].arrival < 0.0 {
                asking.push((before, number as u32));
            }
        }
        asking.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (before, number) in &asking {
            if let Some(arrival) = self.free_time(traffic, *number as usize, *before, buffer) {
                traffic.vehicles[*number as usize].arrival = arrival;
            }
        }
        traffic.asking = asking;
    }

    /// The earliest time at which a vehicle can come to the line and meet nobody.
    fn free_time(&self, traffic: &Traffic, number: usize, before: f64, buffer: f64) -> Option<f64> {
        let own = &traffic.vehicles[number];
        let (movement, _) = self.next_movement(own)?;
        let (now, car) = (traffic.seconds(self), &self.config.car);
        let limit = self.network.lane(own.lane).limit;
        let approach = self.approach(own.speed, before, movement);
        let mut time = now + self.earliest(&approach, limit);
        time = time.max(self.after_first(traffic, number, movement, &approach)?);
        for _ in 0..TRIES {
            let mut later = time;
            for conflict in &self.network.lane(movement).conflicts {
                if conflict.meeting == Meeting::Diverging {
                    continue;
                }
                let at = |metres: f64| time + self.since_line(movement, approach.last, metres);
                let (from, to) = (at(conflict.own[0]) - buffer, at(conflict.own[1] + car.length) + buffer);
                for other in traffic.near(conflict.with).iter().filter(|n| n.vehicle as usize != number) {
                    let Some([start, end]) = self.occupies(traffic, other, conflict.other) else { continue };
                    let [mine, theirs] = match conflict.meeting {
                        Meeting::Merging => {
                            [self.slows(movement, conflict.with), self.slows(conflict.with, movement)]
                        }
                        _ => [0.0; 2],
                    };
                    if from - mine < end && start - theirs < to {
                        later = later.max(time + end - (from - mine) + 1e-6);
                    }
                }
            }
            if later == time {
                return Some(time);
            }
            time = later;
        }
        None
    }

    /// The earliest time at which a vehicle can come to the line behind the one ahead of it on its lane, 0 where
    /// there is none; `None` where that has not reserved.
    fn after_first(
        &self,
        traffic: &Traffic,
        number: usize,
        movement: u32,
        approach: &Approach,
    ) -> Option<f64> {
        let length = self.config.car.length;
        let before_line = |(_, gap): &(usize, f64)| gap + length <= approach.metres;
        let Some((ahead, _)) = self.ahead(traffic, number).filter(before_line) else { return Some(0.0) };
        let first = &traffic.vehicles[ahead];
        let Some((its, before)) = self.next_movement(first) else { return Some(0.0) };
        let headway = self.headway(movement, approach.last, first, its, before);
        (first.arrival >= 0.0).then_some(first.arrival + headway)
    }

    /// By how much sooner than it comes itself a vehicle that merges behind a slower one needs the place, in seconds:
    /// so as to come down to its speed.
    fn slows(&self, behind: u32, ahead: u32) -> f64 {
        let [fast, slow] = [behind, ahead].map(|lane| self.network.lane(lane).limit);
        (fast * fast - slow * slow).max(0.0) / (2.0 * self.config.car.comfort) / fast
    }

    /// Seconds from when a vehicle comes to the line of its movement until the next can come there at a speed and be
    /// at a safe gap behind it, or find it turned off.
    fn headway(&self, movement: u32, speed: f64, first: &Vehicle, its: u32, before: f64) -> f64 {
        let car = &self.config.car;
        let slower = self.approach(first.speed, before, its).last;
        let stops = (speed * speed - slower * slower).max(0.0) / (2.0 * car.braking);
        let mut metres = (car.length + MARGIN + stops).max(car.length + car.jam_distance);
        let mut conflicts = self.network.lane(movement).conflicts.iter();
        if let Some(parting) = conflicts.find(|c| c.with == its && c.meeting == Meeting::Diverging) {
            metres = metres.min(parting.other[1] + car.length);
        }
        self.since_line(its, slower, metres) + SPARE
    }

    /// Drives so as to come to the line at the reserved time; without one, so as to stop there.
    pub(super) fn keeps_time(&self, traffic: &Traffic, vehicle: usize) -> Decision {
        let own = &traffic.vehicles[vehicle];
        let (tick, limit) = (self.config.tick(), self.network.lane(own.lane).limit);
        let mut acceleration = (limit - own.speed) / tick;
        self.followed(traffic, vehicle, |gap, speed| {
            acceleration = acceleration.min(self.pair(own.speed, gap, speed).highest_acceleration(tick));
        });
        let Some((movement, before)) = self.next_movement(own).filter(|next| next.1 < self.config.sight)
        else {
            return Decision { acceleration, goes: false };
        };
        if own.arrival < 0.0 {
            let gap = before + self.config.car.jam_distance - 0.5;
            let idm = self.idm(limit);
            let stop = idm.acceleration(own.speed, Some((gap, own.speed)));
            return Decision { acceleration: acceleration.min(stop), goes: false };
        }
        let approach = self.approach(own.speed, before, movement);
        let left = own.arrival - traffic.seconds(self);
        let wanted = match approach.between(left, limit) {
            Some(between) if (between - own.speed).abs() > 1e-3 => (between - own.speed) / tick,
            // At the speed in between: until the last part has to begin.
            Some(between) if approach.way(between, approach.last) < approach.metres - between * tick => 0.0,
            Some(_) => (approach.last - own.speed) / tick,
            None => acceleration,
        };
        Decision { acceleration: acceleration.min(wanted), goes: true }
    }
}
