//! What signals and cars see, as numbers of about 1.
//!
//! **A signal**: for each lane that leads to its junction [`APPROACH`] numbers: cars that stand (in parts of 10), the
//! seconds lost by the first (in minutes, 3 at most), the parts of it that are taken by cars between 0, 15, 30, 50, 80
//! and 120 m before the line and beyond, cars that want to the left, straight on and to the right (in parts of 5),
//! whether the first wants to the left (who then holds up all behind until he finds a gap), those that wait outside (in
//! parts of 10), and whether it is green now. Then for each lane that leads away cars
//! that stand and the part of it that is taken. Then which stage is green, or was until it began to change (one-hot),
//! which is next, and the seconds since (in parts of 30) while it is green and while it changes.
//!
//! **A car**: its speed (these all in parts of 15 m/s), the limit, how near the line of the next junction is (`d/(d +
//! 30 m)`; 1 for none), how near the car ahead (likewise), that one's speed, cars before it on its lane and those
//! that stand (in parts of 10), whether its light is green, amber, red, and seconds since that began or began to
//! change (in parts of 30), seconds lost so far (in minutes, 3 at most), whether it drives slowly, whether it keeps
//! the small gap, whether it holds the junction: [`CAR`] numbers. Then for left, straight on and right [`TURN`]
//! numbers: whether it can turn so, whether it is going to, by how many seconds the way from there is longer than the
//! quickest on a free road (in parts of 30, 2 at most), cars on the lane behind it and those that stand there (in
//! parts of 10), and whether it is green.

use super::control::{STANDING, wanting};
use super::world::{City, Crossing, TrafficRules};
use crate::env::roads::control::Colour;
use crate::env::roads::network::NONE;
use crate::env::roads::{Traffic, Turn, Vehicle};

/// Numbers about a lane that leads to a signal's junction.
pub const APPROACH: usize = CELLS.len() + 8;
/// Where the parts of a lane begin whose cars are counted, in metres before its line.
const CELLS: [f64; 6] = [0.0, 15.0, 30.0, 50.0, 80.0, 120.0];
/// Numbers about one that leads away.
const DEPARTURE: usize = 2;
/// Numbers about a car.
pub const CAR: usize = 15;
/// Numbers about each of its turns.
pub const TURN: usize = 6;

/// Cars are in parts of this.
const MANY: f32 = 10.0;
/// Speeds are in parts of this, in m/s.
const SPEED: f64 = 15.0;
/// Times of lights and ways are in parts of this, in seconds.
const TIME: f64 = 30.0;

fn near(distance: f64) -> f32 {
    let distance = distance.max(0.0);
    (distance / (distance + 30.0)) as f32
}

fn flag(is: bool) -> f32 {
    f32::from(u8::from(is))
}

impl TrafficRules {
    /// Numbers that a signal sees.
    pub(super) fn signal_length(&self) -> usize {
        let [incoming, outgoing] = self.widest();
        incoming * APPROACH + outgoing * DEPARTURE + 2 * self.most_stages() + 2
    }

    /// Numbers that a car sees.
    pub(super) fn car_length() -> usize {
        CAR + Turn::ALL.len() * TURN
    }

    /// Minutes that a car has lost.
    fn minutes(&self, traffic: &Traffic, car: &Vehicle) -> f32 {
        (self.layout().lost(traffic, car) / 60.0).min(3.0) as f32
    }

    /// Writes what a signal sees.
    pub(super) fn see_signal(&self, city: &City, junction: usize, seen: &mut [f32]) {
        seen.fill(0.0);
        let (layout, traffic) = (self.layout(), &city.roads);
        let crossing = &self.crossings()[junction];
        let [incoming, outgoing] = self.widest();
        let (approaches, rest) = seen.split_at_mut(incoming * APPROACH);
        for (lane, seen) in crossing.incoming.iter().zip(approaches.chunks_exact_mut(APPROACH)) {
            let on = layout.network.lane(*lane);
            let cars = || traffic.on(*lane).iter().map(|car| &traffic.vehicles()[*car as usize]);
            let wants = |turn: Turn| match on.turns[turn as usize] {
                NONE => 0.0,
                movement => wanting(layout, traffic, *lane, movement) as f32 / 5.0,
            };
            let green = on.next.iter().any(|m| layout.colour(traffic, *m).0 == Colour::Green);
            let (parts, about) = seen.split_at_mut(CELLS.len());
            parts.fill(0.0);
            for car in cars() {
                let part = CELLS.partition_point(|from| *from <= on.length - car.offset).max(1) - 1;
                let end = CELLS.get(part + 1).copied().unwrap_or(on.length);
                parts[part] += (self.room() / (end.min(on.length) - CELLS[part]).max(self.room())) as f32;
            }
            about.copy_from_slice(&[
                Crossing::standing(traffic, *lane) as f32 / MANY,
                cars().next().map_or(0.0, |car| self.minutes(traffic, car)),
                wants(Turn::Left),
                wants(Turn::Straight),
                wants(Turn::Right),
                flag(cars().next().is_some_and(|car| {
                    layout.network.onward(car.way, *lane).0 == on.turns[Turn::Left as usize]
                })),
                traffic.waiting_at(layout, *lane) as f32 / MANY,
                flag(green),
            ]);
        }
        let (departures, rest) = rest.split_at_mut(outgoing * DEPARTURE);
        for (lane, seen) in crossing.outgoing.iter().zip(departures.chunks_exact_mut(DEPARTURE)) {
            let taken = traffic.on(*lane).len() as f64 * self.room() / layout.network.lane(*lane).length;
            seen.copy_from_slice(&[Crossing::standing(traffic, *lane) as f32 / MANY, taken as f32]);
        }
        let Some(light) = layout.light(traffic, junction) else { return };
        let seconds = (layout.light_seconds(traffic, junction) / TIME).min(4.0) as f32;
        let stages = self.most_stages();
        rest[light.stage as usize] = 1.0;
        rest[stages + light.next as usize] = 1.0;
        rest[2 * stages + usize::from(light.changes())] = seconds;
    }

    /// Writes what a car sees.
    pub(super) fn see_car(&self, city: &City, number: usize, seen: &mut [f32]) {
        let (layout, traffic) = (self.layout(), &city.roads);
        let own = &traffic.vehicles()[number];
        let lane = layout.network.lane(own.lane);
        let next = layout.next_movement(own);
        let colour = next.map_or(Colour::Green, |(movement, _)| layout.colour(traffic, movement).0);
        let junction =
            next.map_or(usize::MAX, |(movement, _)| layout.network.lane(movement).junction as usize);
        let ahead = layout.ahead(traffic, number);
        let before = &traffic.on(own.lane)[..traffic.place(number)];
        let standing =
            before.iter().filter(|car| traffic.vehicles()[**car as usize].speed < STANDING).count();
        let (about, turns) = seen.split_at_mut(CAR);
        about.copy_from_slice(&[
            (own.speed / SPEED) as f32,
            (lane.limit / SPEED) as f32,
            next.map_or(1.0, |(_, before)| near(before)),
            ahead.map_or(1.0, |(_, gap)| near(gap)),
            ahead.map_or(0.0, |(other, _)| (traffic.vehicles()[other].speed / SPEED) as f32),
            before.len() as f32 / MANY,
            standing as f32 / MANY,
            flag(colour == Colour::Green),
            flag(colour == Colour::Amber),
            flag(colour == Colour::Red),
            (layout.light_seconds(traffic, junction) / TIME).min(4.0) as f32,
            self.minutes(traffic, own),
            flag(own.pace < 1.0),
            flag(own.time_gap < self.config().car.time_gap),
            flag(own.granted),
        ]);
        let planned = layout.network.onward(own.way, own.lane).0;
        let least = self.seconds_behind(own, layout.network.step(own.way.exit, own.lane).lane);
        for (turn, seen) in Turn::ALL.into_iter().zip(turns.chunks_exact_mut(TURN)) {
            seen.fill(0.0);
            let movement = lane.turns[turn as usize];
            if movement == NONE {
                continue;
            }
            let behind = layout.network.lane(movement).next[0];
            // From some lanes of a road its exit is not to be reached at all.
            let longer = match self.seconds_behind(own, movement) {
                seconds if seconds.is_finite() => ((seconds - least) / TIME).clamp(0.0, 2.0),
                _ => 2.0,
            };
            seen.copy_from_slice(&[
                flag(self.can_turn(own, turn)),
                flag(planned == movement),
                longer as f32,
                traffic.on(behind).len() as f32 / MANY,
                Crossing::standing(traffic, behind) as f32 / MANY,
                flag(layout.colour(traffic, movement).0 == Colour::Green),
            ]);
        }
    }

    /// Seconds on a free road from the start of a movement to a car's exit.
    fn seconds_behind(&self, own: &Vehicle, movement: u32) -> f64 {
        if movement == NONE { 0.0 } else { self.layout().network.step(own.way.exit, movement).seconds }
    }

    /// Whether a car can turn so at the next junction: to a way to its exit that is not too long.
    pub(super) fn can_turn(&self, own: &Vehicle, turn: Turn) -> bool {
        let movement = self.layout().network.lane(own.lane).turns[turn as usize];
        if movement == NONE || own.granted {
            return false;
        }
        let quickest = self.seconds_behind(own, self.layout().network.step(own.way.exit, own.lane).lane);
        let seconds = self.seconds_behind(own, movement);
        // From some lanes of a road its exit is not to be reached by any turn.
        seconds.is_finite() && seconds - quickest <= self.config().choice.detour
    }
}
