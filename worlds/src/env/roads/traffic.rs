//! Vehicles on the roads between two ticks: where they are, who is ahead of whom, who is on or before which junction.

use super::config::RoadsConfig;
use super::control::Signals;
use super::lights::Light;
use super::meeting::Meeting;
use super::motion::{FreeFlow, Place, TRAIL, behind};
use super::network::{NONE, Network};
use super::path::Pose;
use super::way::Way;
use crate::env::pathfinding::Pcg64;
use crate::env::platoon::{MARGIN, Pair};

/// Vehicles that can wait outside at an entry.
pub const MOST_WAITING: usize = 64;
/// How far before the line of a junction vehicles are stopped that may not pass it, in metres: rounding takes nobody
/// over.
pub const LINE: f64 = 0.2;

/// A slot, and the vehicle in it if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Vehicle {
    /// Whether there is one.
    pub here: bool,
    /// Where it came in, by its place in [`Network::entries`].
    pub entry: u16,
    /// Where it wants to leave, and how.
    pub way: Way,
    /// The lane of its front.
    pub lane: u32,
    /// How far along that its front is, in metres.
    pub offset: f64,
    /// m/s.
    pub speed: f64,
    /// m/s^2, in the last tick.
    pub acceleration: f64,
    /// Where its middle is, and which way it looks.
    pub pose: Pose,
    /// Whether it holds the next junction on its way.
    pub granted: bool,
    /// The time at which it has reserved to come to that junction, in seconds; below 0 for none.
    pub arrival: f64,
    /// When it came to the entry, in seconds.
    pub due: f64,
    /// Metres that its front has driven.
    pub driven: f64,
    /// Whether somebody holds a junction because this one will have passed: then it does not slow down.
    pub relied_on: bool,
    /// Whether it is in a near miss now.
    pub endangered: bool,
    /// The part of limits that it drives at, where it drives by rules.
    pub pace: f64,
    /// The gap in time that it keeps then, in seconds.
    pub time_gap: f64,
    /// The lanes that it has just left, the last one first.
    pub(super) trail: [u32; TRAIL],
}

/// A vehicle on or before a movement over a junction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The movement.
    pub movement: u32,
    /// The vehicle.
    pub vehicle: u32,
    /// How far along the movement its front is: below 0 before it.
    pub front: f64,
    /// Whether it is on it, or holds the junction.
    pub committed: bool,
}

/// What is counted in an episode.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Vehicles that came to an entry.
    pub came: u64,
    /// Vehicles that left at an exit.
    pub left: u64,
    /// Vehicles that collided or left the road.
    pub lost: u64,
    /// Pairs that collided.
    pub collisions: u64,
    /// Times that two nearly did.
    pub near_misses: u64,
    /// Vehicles that left the road.
    pub off_road: u64,
    /// Vehicles for which there was no room outside.
    pub refused: u64,
    /// Seconds of those that left.
    pub travel: f64,
    /// Seconds lost by those that left, collided or went off the road.
    pub delay: f64,
}

/// What a step came to for a slot.
#[derive(Debug, Clone, Copy)]
pub(in crate::env) struct StepOf {
    /// Whether there was a vehicle in it at the start.
    pub acted: bool,
    /// Whether a vehicle left it.
    pub gone: bool,
    /// What it was paid.
    pub paid: f64,
}

/// The roads between two ticks.
#[derive(Debug, Clone)]
pub struct Traffic {
    pub(super) vehicles: Vec<Vehicle>,
    /// Ticks since the start of the episode.
    pub(super) ticks: u64,
    /// When the next vehicle comes to each entry, in seconds.
    pub(super) coming: Vec<f64>,
    /// When those that wait outside came, the first first: `[entries, MOST_WAITING]`.
    pub(super) waiting: Vec<f64>,
    /// How many those are.
    pub(super) queues: Vec<u32>,
    pub(super) counts: Counts,
    /// One a junction where green is chosen, else none.
    pub(super) lights: Vec<Light>,
    // What follows from these.
    order: Vec<u32>,
    rank: Vec<u32>,
    spans: Vec<[u32; 2]>,
    near: Vec<Near>,
    near_spans: Vec<[u32; 2]>,
    // Room for a tick.
    pub(super) wanted: Vec<f64>,
    pub(super) lines: Vec<f64>,
    pub(super) caps: Vec<f64>,
    pub(super) asking: Vec<(f64, u32)>,
    pub(super) pay: Vec<f64>,
    /// Seconds lost on each lane, and outside it, in a step so far.
    pub(super) lost: Vec<f64>,
    pub(super) gone: Vec<bool>,
    pub(super) acted: Vec<bool>,
}

/// The settings with what follows from them.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The settings.
    pub config: RoadsConfig,
    /// The roads.
    pub network: Network,
    /// The signals, where there are any.
    pub signals: Option<Signals>,
    /// Times on free roads.
    pub free: FreeFlow,
    /// How likely vehicles turn left, go straight on and turn right where they are free to; `None` where they draw
    /// their exits evenly and take the quickest ways.
    pub ratios: Option<[f64; 3]>,
    /// Whether vehicles come in and change lanes at every tick, and not at one of every step.
    pub every_tick: bool,
}

impl Traffic {
    /// The slots.
    pub fn vehicles(&self) -> &[Vehicle] {
        &self.vehicles
    }

    /// Before the first tick of a step.
    pub(in crate::env) fn begin_step(&mut self) {
        self.pay.fill(0.0);
        self.lost.fill(0.0);
        self.gone.fill(false);
        for (acted, vehicle) in self.acted.iter_mut().zip(&self.vehicles) {
            *acted = vehicle.here;
        }
    }

    /// Calls `each` with every vehicle and its number.
    pub(in crate::env) fn drive(&mut self, mut each: impl FnMut(usize, &mut Vehicle)) {
        for (number, vehicle) in self.vehicles.iter_mut().enumerate().filter(|(_, vehicle)| vehicle.here) {
            each(number, vehicle);
        }
    }

    /// What the step came to for each slot.
    pub(in crate::env) fn results(&self) -> impl Iterator<Item = StepOf> + Clone {
        let each =
            |number| StepOf { acted: self.acted[number], gone: self.gone[number], paid: self.pay[number] };
        (0..self.vehicles.len()).map(each)
    }

    /// Seconds lost in the step on a lane, and by those that wait outside it.
    pub fn lost_on(&self, lane: u32) -> f64 {
        self.lost[lane as usize]
    }

    /// Vehicles that wait outside at a lane.
    pub fn waiting_at(&self, layout: &Layout, lane: u32) -> usize {
        let entry = layout.network.entries().iter().position(|entry| *entry == lane);
        entry.map_or(0, |entry| self.queues[entry] as usize)
    }

    /// What was counted since the episode began.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Seconds since it began.
    pub fn seconds(&self, layout: &Layout) -> f64 {
        self.ticks as f64 * layout.config.tick()
    }

    /// Empty roads.
    pub(in crate::env) fn blank(layout: &Layout) -> Traffic {
        let (slots, lanes) = (layout.config.agents, layout.network.lanes().len());
        let entries = layout.network.entries().len();
        Traffic {
            vehicles: vec![Vehicle::default(); slots],
            ticks: 0,
            coming: vec![0.0; entries],
            waiting: vec![0.0; entries * MOST_WAITING],
            queues: vec![0; entries],
            counts: Counts::default(),
            lights: layout.signals.as_ref().map_or(Vec::new(), Signals::lights),
            order: Vec::new(),
            rank: vec![0; slots],
            spans: vec![[0, 0]; lanes],
            near: Vec::new(),
            near_spans: vec![[0, 0]; lanes],
            wanted: vec![0.0; slots],
            lines: vec![0.0; slots],
            caps: vec![0.0; slots],
            asking: Vec::new(),
            pay: vec![0.0; slots],
            lost: vec![0.0; lanes],
            gone: vec![false; slots],
            acted: vec![false; slots],
        }
    }

    /// The vehicles that there are.
    pub fn here(&self) -> impl Iterator<Item = (usize, &Vehicle)> {
        self.vehicles.iter().enumerate().filter(|(_, vehicle)| vehicle.here)
    }

    /// The vehicles on a lane, from the front.
    pub fn on(&self, lane: u32) -> &[u32] {
        let [from, to] = self.spans[lane as usize];
        &self.order[from as usize..to as usize]
    }

    /// The place of a vehicle among those on its lane, from the front.
    pub fn place(&self, vehicle: usize) -> usize {
        (self.rank[vehicle] - self.spans[self.vehicles[vehicle].lane as usize][0]) as usize
    }

    /// The vehicles on and before a movement.
    pub fn near(&self, movement: u32) -> &[Near] {
        let [from, to] = self.near_spans[movement as usize];
        &self.near[from as usize..to as usize]
    }

    /// Finds out who is ahead of whom, and near which junction.
    pub(super) fn look(&mut self, layout: &Layout) {
        self.order.clear();
        self.spans.iter_mut().for_each(|span| *span = [0, 0]);
        let vehicles = &self.vehicles;
        self.order.extend((0..vehicles.len() as u32).filter(|n| vehicles[*n as usize].here));
        self.order.sort_unstable_by(|a, b| {
            let [one, two] = [a, b].map(|n| &vehicles[*n as usize]);
            one.lane.cmp(&two.lane).then(two.offset.total_cmp(&one.offset)).then(a.cmp(b))
        });
        for (at, number) in self.order.iter().enumerate() {
            let span = &mut self.spans[vehicles[*number as usize].lane as usize];
            if span[1] == 0 {
                span[0] = at as u32;
            }
            span[1] = at as u32 + 1;
            self.rank[*number as usize] = at as u32;
        }
        self.approach(layout);
    }

    /// Lists who is on or before which movement.
    pub(super) fn approach(&mut self, layout: &Layout) {
        self.near_spans.iter_mut().for_each(|span| *span = [0, 0]);
        self.near.clear();
        let (network, length) = (&layout.network, layout.config.car.length);
        for number in &self.order {
            let own = &self.vehicles[*number as usize];
            let mut add = |movement: u32, front: f64, committed: bool| {
                self.near.push(Near { movement, vehicle: *number, front, committed });
            };
            if let Some((movement, distance)) = network.movement_after(own.way, own.lane) {
                let before = distance - own.offset;
                if before < layout.config.sight {
                    add(movement, -before, own.granted);
                }
            }
            if network.is_movement(own.lane) {
                add(own.lane, own.offset, true);
            }
            let mut front = own.offset;
            for lane in own.trail.into_iter().take_while(|lane| *lane != NONE) {
                if front >= length {
                    break;
                }
                front += network.lane(lane).length;
                if network.is_movement(lane) {
                    add(lane, front, true);
                }
            }
        }
        self.near.sort_by_key(|near| near.movement);
        for (at, near) in self.near.iter().enumerate() {
            let span = &mut self.near_spans[near.movement as usize];
            if span[1] == 0 {
                span[0] = at as u32;
            }
            span[1] = at as u32 + 1;
        }
    }
}

impl Layout {
    /// Empty roads at the start of an episode.
    pub(in crate::env) fn restart(&self, traffic: &mut Traffic, random: &mut Pcg64) {
        traffic.vehicles.fill(Vehicle::default());
        (traffic.ticks, traffic.counts) = (0, Counts::default());
        traffic.waiting.fill(0.0);
        traffic.queues.fill(0);
        traffic.lights.fill(Light::default());
        for entry in 0..traffic.coming.len() {
            traffic.coming[entry] = self.pause(entry, random);
        }
        traffic.look(self);
    }

    /// Vehicles an hour that left, the mean travel time of those in seconds, and the mean delay in seconds of all that
    /// came to an entry, those on their way and those that wait outside too.
    pub fn measures(&self, traffic: &Traffic) -> [f64; 3] {
        let counts = &traffic.counts;
        let seconds = traffic.seconds(self);
        let under_way: f64 = traffic.here().map(|(_, vehicle)| self.lost(traffic, vehicle)).sum();
        let outside: f64 = (0..traffic.queues.len())
            .flat_map(|entry| &traffic.waiting[entry * MOST_WAITING..][..traffic.queues[entry] as usize])
            .map(|due| seconds - due)
            .sum();
        let counted = counts.came - counts.refused;
        [
            counts.left as f64 * 3600.0 / seconds.max(1e-9),
            counts.travel / counts.left.max(1) as f64,
            (counts.delay + under_way + outside) / counted.max(1) as f64,
        ]
    }

    /// Where a vehicle's front is.
    pub fn front(&self, vehicle: &Vehicle) -> Place {
        Place { lane: vehicle.lane, offset: vehicle.offset }
    }

    /// The place so many metres behind a vehicle's front, along its lanes.
    pub fn behind(&self, vehicle: &Vehicle, back: f64) -> Pose {
        behind(&self.network, self.front(vehicle), &vehicle.trail, back)
    }

    /// The next movement on a vehicle's way, and how far its front is before it, in metres.
    pub fn next_movement(&self, vehicle: &Vehicle) -> Option<(u32, f64)> {
        let next = self.network.movement_after(vehicle.way, vehicle.lane);
        next.map(|(movement, distance)| (movement, distance - vehicle.offset))
    }

    /// The next vehicle on a vehicle's way within sight: its number and the gap, in metres.
    pub fn ahead(&self, traffic: &Traffic, vehicle: usize) -> Option<(usize, f64)> {
        let own = &traffic.vehicles[vehicle];
        let gap = |other: u32, distance: f64| {
            distance + traffic.vehicles[other as usize].offset - self.config.car.length
        };
        let place = traffic.place(vehicle);
        if place > 0 {
            let other = traffic.on(own.lane)[place - 1];
            return Some((other as usize, gap(other, -own.offset)));
        }
        let (mut lane, mut way) = (own.lane, own.way);
        let mut distance = -own.offset;
        loop {
            distance += self.network.lane(lane).length;
            (lane, way) = self.network.onward(way, lane);
            if lane == NONE || distance > self.config.sight {
                return None;
            }
            if let Some(other) = traffic.on(lane).last() {
                return (*other as usize != vehicle).then(|| (*other as usize, gap(*other, distance)));
            }
        }
    }

    /// Calls `tell` with the gap to, and the speed of, everybody that a vehicle has to follow: the next on its way,
    /// who has just turned off it, and who merges ahead of it where both hold the junction.
    pub fn followed(&self, traffic: &Traffic, vehicle: usize, mut tell: impl FnMut(f64, f64)) {
        let own = &traffic.vehicles[vehicle];
        if let Some((other, gap)) = self.ahead(traffic, vehicle) {
            tell(gap, traffic.vehicles[other].speed);
        }
        let next = self.next_movement(own).filter(|(_, before)| *before < self.config.sight);
        let next = next.map(|(lane, before)| (lane, -before, own.granted));
        let on = self.network.is_movement(own.lane).then_some((own.lane, own.offset, true));
        for (movement, front, committed) in on.into_iter().chain(next) {
            for conflict in &self.network.lane(movement).conflicts {
                if conflict.meeting == Meeting::Crossing {
                    continue;
                }
                for other in traffic.near(conflict.with).iter().filter(|n| n.vehicle as usize != vehicle) {
                    let gap = match conflict.meeting {
                        Meeting::Diverging => {
                            let rear = other.front - self.config.car.length;
                            let turned_off = other.front > front.max(0.0) && rear < conflict.other[1];
                            turned_off.then_some(rear - front)
                        }
                        _ if committed && other.committed => self
                            .merging_gap(movement, front, vehicle, other)
                            .filter(|gap| gap.1)
                            .map(|gap| gap.0),
                        _ => None,
                    };
                    if let Some(gap) = gap {
                        tell(gap, traffic.vehicles[other.vehicle as usize].speed);
                    }
                }
            }
        }
    }

    /// Of two vehicles whose ways merge, the gap between them counted from where they do, and whether the other is
    /// the one ahead; `None` where the other's front is beyond it.
    pub(super) fn merging_gap(
        &self,
        movement: u32,
        front: f64,
        vehicle: usize,
        other: &Near,
    ) -> Option<(f64, bool)> {
        let own = front - self.network.lane(movement).length;
        let its = other.front - self.network.lane(other.movement).length;
        if its > 0.0 {
            return None;
        }
        let ahead = its > own || (its == own && (other.vehicle as usize) < vehicle);
        Some(((its - own).abs() - self.config.car.length, ahead))
    }

    /// A vehicle of a speed behind another, as far as stopping goes.
    pub fn pair(&self, speed: f64, gap: f64, speed_ahead: f64) -> Pair {
        let braking = self.config.car.braking;
        Pair { speed, braking, gap, speed_ahead, hardest: braking }
    }

    /// The largest acceleration with which a vehicle still stops within so many metres.
    pub fn stop_within(&self, speed: f64, metres: f64) -> f64 {
        self.pair(speed, metres + MARGIN, 0.0).highest_acceleration(self.config.tick())
    }
}
