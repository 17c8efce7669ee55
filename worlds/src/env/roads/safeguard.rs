//! The safeguard: holds the accelerations of all vehicles, whoever drives them, to what is safe, and gives junctions
//! to those who need them.
//!
//! Before a junction a vehicle is held to what stops at its line until it holds the junction. With whom its way
//! crosses that needs proof, of one of two kinds: he has left the place where they cross; or he will have, before the
//! vehicle can be there. The second is so if he holds the junction himself, nobody on his way can make him slow down
//! before (whatever those ahead do, he can pass and then still stop), and he does not slow down by himself: from then
//! on he is relied on, and the safeguard sees to that.

use super::config::Model;
use super::control::Colour;
use super::meeting::{Conflict, Meeting};
use super::network::NONE;
use super::tick::SAME;
use super::traffic::{LINE, Layout, Near, Traffic};
use crate::env::platoon::MARGIN;

/// Who is slower than this is not relied on, in m/s.
const SLOWEST: f64 = 1.0;

impl Layout {
    /// Holds accelerations to what is safe, and gives junctions to those who need them, the nearest first.
    pub(super) fn safeguard(&self, traffic: &mut Traffic) {
        let mut asking = std::mem::take(&mut traffic.asking);
        asking.clear();
        for number in 0..traffic.vehicles.len() {
            let own = &mut traffic.vehicles[number];
            if !own.here {
                continue;
            }
            let over =
                own.granted || self.network.is_movement(own.lane) || own.offset < self.config.car.length;
            own.relied_on &= over;
            let own = *own;
            self.hold(traffic, number);
            if traffic.wanted[number] > traffic.lines[number] + SAME
                && let Some((_, before)) = self.next_movement(&own)
            {
                asking.push((before, number as u32));
            }
        }
        asking.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut given = false;
        for (before, number) in &asking {
            let number = *number as usize;
            let Some((movement, _)) = self.next_movement(&traffic.vehicles[number]) else { continue };
            if self.may_hold(traffic, number, movement, *before) {
                traffic.vehicles[number].granted = true;
                traffic.approach(self);
                self.rely(traffic, number, movement);
                given = true;
            } else {
                traffic.wanted[number] = traffic.lines[number].min(traffic.wanted[number]);
            }
        }
        if given {
            // Who merges with a vehicle that got the junction only now has to follow it.
            for (_, number) in &asking {
                self.follow_again(traffic, *number as usize);
            }
        }
        traffic.asking = asking;
    }

    /// Marks those who have not passed yet where a vehicle's way crosses theirs.
    fn rely(&self, traffic: &mut Traffic, number: usize, movement: u32) {
        for conflict in
            self.network.lane(movement).conflicts.iter().filter(|c| c.meeting == Meeting::Crossing)
        {
            for at in 0..traffic.near(conflict.with).len() {
                let other = traffic.near(conflict.with)[at];
                if other.committed && other.vehicle as usize != number && !self.has_left(&other, conflict) {
                    traffic.vehicles[other.vehicle as usize].relied_on = true;
                    self.hold(traffic, other.vehicle as usize);
                }
            }
        }
    }

    /// Holds the accelerations of a vehicle and of those that merge with it to what is safe behind each other.
    fn follow_again(&self, traffic: &mut Traffic, number: usize) {
        let own = traffic.vehicles[number];
        let Some((movement, _)) = self.next_movement(&own).filter(|_| own.granted) else { return };
        let conflicts = self.network.lane(movement).conflicts.iter();
        let others =
            conflicts.flat_map(|conflict| traffic.near(conflict.with)).map(|near| near.vehicle as usize);
        let all: Vec<usize> = others.chain([number]).collect();
        all.into_iter().for_each(|vehicle| self.hold(traffic, vehicle));
    }

    /// Holds the acceleration of a vehicle to what is safe behind everybody that it follows; who is relied on does
    /// not slow down but for that and for limits.
    fn hold(&self, traffic: &mut Traffic, vehicle: usize) {
        let (own, braking) = (traffic.vehicles[vehicle], self.config.car.braking);
        let mut held = traffic.wanted[vehicle];
        if own.relied_on {
            held = held.max(traffic.caps[vehicle].clamp(-braking, 0.0));
        }
        self.followed(traffic, vehicle, |gap, speed| {
            held = held.min(self.pair(own.speed, gap, speed).highest_acceleration(self.config.tick()));
        });
        traffic.wanted[vehicle] = held.max(-braking);
    }

    /// Whether a vehicle that is `before` metres before a movement may hold its junction: it is safe with everybody
    /// whose way crosses its own or merges with it, there is room behind, and it is not red.
    pub fn may_hold(&self, traffic: &Traffic, vehicle: usize, movement: u32, before: f64) -> bool {
        // Who still comes in amber cannot stop.
        if self.colour(traffic, movement).0 == Colour::Red {
            return false;
        }
        for conflict in &self.network.lane(movement).conflicts {
            let others = traffic.near(conflict.with).iter();
            for other in others.filter(|n| n.committed && n.vehicle as usize != vehicle) {
                let free = match conflict.meeting {
                    Meeting::Diverging => true,
                    Meeting::Crossing => self.crosses_safely(traffic, vehicle, before, conflict, other),
                    Meeting::Merging => self.merges_safely(traffic, vehicle, movement, before, other),
                };
                if !free {
                    return false;
                }
            }
        }
        self.has_room(traffic, vehicle, movement)
    }

    /// Whether a vehicle on the other way of a conflict is past it.
    pub(super) fn has_left(&self, other: &Near, conflict: &Conflict) -> bool {
        other.front - self.config.car.length >= conflict.other[1]
    }

    /// Whether somebody who is on his way over a junction will have left the place where a vehicle's way crosses his
    /// before that can be there.
    pub fn crosses_safely(
        &self,
        traffic: &Traffic,
        vehicle: usize,
        before: f64,
        conflict: &Conflict,
        other: &Near,
    ) -> bool {
        if self.has_left(other, conflict) {
            return true;
        }
        if !self.config.safeguard || self.config.model == Model::Bicycle {
            return false;
        }
        let own = &traffic.vehicles[vehicle];
        let mut limit = own.speed;
        let (mut lane, mut way) = (own.lane, own.way);
        while lane != NONE && lane != conflict.with {
            limit = limit.max(self.network.lane(lane).limit);
            if self.network.is_movement(lane) && lane != own.lane {
                break;
            }
            (lane, way) = self.network.onward(way, lane);
        }
        let earliest = self.seconds_for(own.speed, before + conflict.own[0], limit);
        self.passes_by(traffic, other, conflict.other[1])
            .is_some_and(|last| last + self.config.tick() <= earliest)
    }

    /// The seconds after which a vehicle that does not slow down by itself has surely left the part of its movement
    /// up to `end`; `None` where somebody could make it slow down before.
    fn passes_by(&self, traffic: &Traffic, other: &Near, end: f64) -> Option<f64> {
        let (car, its) = (&self.config.car, &traffic.vehicles[other.vehicle as usize]);
        let rest = end + car.length - other.front;
        let (mut slowest, mut fastest) = (its.speed, its.speed);
        // As far as it drives until then, and as it has to slow down for limits that come after.
        let mut left = rest + its.speed * its.speed / (2.0 * car.comfort) + its.offset;
        let (mut lane, mut way) = (its.lane, its.way);
        while lane != NONE && left > 0.0 {
            let on = self.network.lane(lane);
            if lane != its.lane && on.demand.is_some() {
                return None;
            }
            slowest = slowest.min(on.limit);
            fastest = fastest.max(on.limit);
            left -= on.length;
            (lane, way) = self.network.onward(way, lane);
        }
        // Whatever those ahead do, it can drive on so far and then still stop.
        let needed = rest + fastest * self.config.tick() + fastest * fastest / (2.0 * car.braking);
        // Turns are those from here on; of who is not on the movement yet, from there on.
        let beyond = match other.front < 0.0 {
            true => self.network.way_from(its.way, its.lane, other.movement),
            false => its.way,
        };
        let after = self.network.movement_after(beyond, other.movement);
        let line = after.map_or(f64::INFINITY, |(_, distance)| distance - other.front);
        let mut free = needed + LINE <= line && needed + car.length + MARGIN <= self.config.sight;
        self.followed(traffic, other.vehicle as usize, |gap, speed| {
            free &= gap + speed * speed / (2.0 * car.braking) - MARGIN >= needed;
        });
        (free && slowest >= SLOWEST).then(|| rest / slowest)
    }

    /// Whether two vehicles whose ways merge are at a safe gap, whichever of them is the first; who is relied on is
    /// not slowed down by another before it.
    pub fn merges_safely(
        &self,
        traffic: &Traffic,
        vehicle: usize,
        movement: u32,
        before: f64,
        other: &Near,
    ) -> bool {
        let (own, its) = (&traffic.vehicles[vehicle], &traffic.vehicles[other.vehicle as usize]);
        match self.merging_gap(movement, -before, vehicle, other) {
            None => true,
            Some((gap, true)) => self.pair(own.speed, gap, its.speed).safe(),
            Some((gap, false)) => !its.relied_on && self.pair(its.speed, gap, own.speed).safe(),
        }
    }

    /// Whether there is room behind a junction for a vehicle and all that are on their way there; for two more where
    /// the way has to give way to others, so that a roundabout never fills up.
    fn has_room(&self, traffic: &Traffic, vehicle: usize, movement: u32) -> bool {
        let lane = self.network.lane(movement);
        let Some(next) = lane.next.first().map(|next| self.network.lane(*next)) else { return true };
        let room = match traffic.on(lane.next[0]).last().map(|n| &traffic.vehicles[*n as usize]) {
            Some(last) => {
                let stops = last.speed * last.speed / (2.0 * self.config.car.braking);
                last.offset - self.config.car.length + stops
            }
            None if next.next.is_empty() => return true,
            None => next.length,
        };
        let each = self.config.car.length + MARGIN;
        let coming = |movement: u32| {
            let length = self.network.lane(movement).length;
            let is = |n: &&Near| n.committed && n.vehicle as usize != vehicle && n.front < length;
            traffic.near(movement).iter().filter(is).count()
        };
        let mut vehicles: usize = 1 + coming(movement);
        let mut gives_way = false;
        for conflict in lane.conflicts.iter().filter(|conflict| conflict.meeting == Meeting::Merging) {
            vehicles += coming(conflict.with);
            gives_way |= self.network.lane(conflict.with).priority > lane.priority;
        }
        room >= (vehicles + usize::from(gives_way)) as f64 * each
    }
}
