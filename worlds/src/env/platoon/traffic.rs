//! Vehicles on lanes: who is ahead of whom, how an episode starts, what is counted.

use super::config::{PlatoonConfig, RoadConfig, VehicleConfig};
use super::driver::{MARGIN, Pair};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::Codec;
use crate::error::{Error, Result};

/// No vehicle.
pub(super) const NOBODY: u32 = u32::MAX;
/// The gap at rest that drivers keep, in metres.
pub(super) const JAM: f64 = 2.0;
/// Gravity, in m/s^2.
const GRAVITY: f64 = 9.81;
/// The density of air at 15 degrees and sea level (ISO 2533), in kg/m^3.
const AIR: f64 = 1.225;
/// No position is further, in metres.
const FURTHEST: f64 = 1e9;
/// The kind of emergency vehicles.
pub(super) const EMERGENCY: usize = 2;

/// A vehicle on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Vehicle {
    /// Where its front is along the road, in metres.
    pub position: f64,
    /// Metres a second.
    pub speed: f64,
    /// What it was in the last step, in m/s^2.
    pub acceleration: f64,
    /// Its lane; 0 is the one to the right.
    pub lane: usize,
    /// How urgent its way is, from 0 to 1; 0 for all but emergency vehicles.
    pub criticality: f64,
    /// Seconds until it may change lanes again.
    pub pause: f64,
    /// What its controller told it, within what it can do.
    pub(super) told: f64,
    /// Where it started.
    pub(super) start: f64,
    /// Seconds until it had come the way that counts; below 0 before that.
    pub(super) arrived: f64,
    /// The largest speed error so far.
    pub(super) peak: f64,
    /// The vehicle ahead of it at the start, if it is one of the leader's platoon.
    pub(super) predecessor: u32,
}

/// The next vehicles ahead and behind in the own lane, the one to the left and the one to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Around {
    pub ahead: [u32; 3],
    pub behind: [u32; 3],
}

impl Around {
    const EMPTY: Around = Around { ahead: [NOBODY; 3], behind: [NOBODY; 3] };
}

/// Traffic between two steps.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Agents in the order of their kinds, then the vehicles that are no agents, last the leader.
    pub(super) vehicles: Vec<Vehicle>,
    /// The moment of the leader's profile at which the episode started, in seconds.
    pub(super) offset: f64,
    pub(super) steps: u32,
    pub(super) collisions: u64,
    pub(super) smallest_gap: f64,
    /// Joules, and metres driven, of all but the leader.
    pub(super) energy: f64,
    pub(super) driven: f64,
    /// The sum of absolute jerks.
    pub(super) jerk: f64,
    /// Follow from the vehicles.
    pub(super) around: Vec<Around>,
    order: Vec<u32>,
    last: Vec<u32>,
    /// Room for a step: accelerations, and what agents pay.
    pub(super) accelerations: Vec<f64>,
    pub(super) costs: Vec<f64>,
}

impl Traffic {
    /// The vehicles: agents in the order of their kinds, then those that are no agents, last the leader.
    pub fn vehicles(&self) -> &[Vehicle] {
        &self.vehicles
    }

    /// The next vehicle ahead of one in its lane, by its number.
    pub fn ahead(&self, vehicle: usize) -> Option<usize> {
        self.around.get(vehicle).map(|around| around.ahead[0]).filter(|n| *n != NOBODY).map(|n| n as usize)
    }

    /// Room for so many vehicles on so many lanes.
    pub(super) fn blank(vehicles: usize, lanes: usize) -> Self {
        Traffic {
            vehicles: vec![Vehicle::default(); vehicles],
            offset: 0.0,
            steps: 0,
            collisions: 0,
            smallest_gap: 0.0,
            energy: 0.0,
            driven: 0.0,
            jerk: 0.0,
            around: vec![Around::EMPTY; vehicles],
            order: (0..vehicles as u32).collect(),
            last: vec![NOBODY; lanes],
            accelerations: vec![0.0; vehicles],
            costs: vec![0.0; vehicles],
        }
    }

    /// Finds out who is ahead of whom. Of two that are level the one of the lower number is ahead.
    pub(super) fn look(&mut self) {
        let vehicles = &self.vehicles;
        self.order.sort_unstable_by(|a, b| {
            let [x, y] = [a, b].map(|n| vehicles[*n as usize].position);
            y.total_cmp(&x).then(a.cmp(b))
        });
        // From the front every vehicle finds the last one of each lane before it; then the same from the back.
        for forward in [true, false] {
            self.last.fill(NOBODY);
            for place in 0..self.order.len() {
                let place = if forward { place } else { self.order.len() - 1 - place };
                let number = self.order[place];
                let lane = vehicles[number as usize].lane;
                let left = self.last.get(lane + 1).copied().unwrap_or(NOBODY);
                let right = lane.checked_sub(1).map_or(NOBODY, |lane| self.last[lane]);
                let found = [self.last[lane], left, right];
                let around = &mut self.around[number as usize];
                *(if forward { &mut around.ahead } else { &mut around.behind }) = found;
                self.last[lane] = number;
            }
        }
    }

    /// The next vehicles ahead of and behind a vehicle in any lane.
    pub(super) fn neighbours_in(&self, vehicle: usize, lane: usize) -> [Option<usize>; 2] {
        let own = (self.vehicles[vehicle].position, std::cmp::Reverse(vehicle));
        let (mut ahead, mut behind) = (None::<usize>, None::<usize>);
        for (number, other) in self.vehicles.iter().enumerate() {
            if number == vehicle || other.lane != lane {
                continue;
            }
            let place = |n: usize| self.vehicles[n].position;
            if (other.position, std::cmp::Reverse(number)) > own {
                if ahead.is_none_or(|n| place(n) > other.position) {
                    ahead = Some(number);
                }
            } else if behind.is_none_or(|n| place(n) < other.position) {
                behind = Some(number);
            }
        }
        [ahead, behind]
    }
}

/// The force that drag and rolling resistance oppose to a vehicle, in N.
pub(super) fn resistance(body: &VehicleConfig, speed: f64) -> f64 {
    0.5 * AIR * body.drag_area * speed * speed + body.mass * GRAVITY * body.rolling_resistance
}

/// What a vehicle takes in a step of so many seconds, in J: it gets nothing back when it brakes.
pub(super) fn energy(body: &VehicleConfig, speed: f64, acceleration: f64, seconds: f64) -> f64 {
    let force = body.mass * acceleration + resistance(body, speed);
    (force * speed).max(0.0) * seconds
}

/// The settings with what follows from them.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub road: RoadConfig,
    /// The kind of every vehicle.
    pub kinds: Vec<usize>,
    pub agents: usize,
    /// The hardest that any of them can brake, in m/s^2.
    hardest: f64,
}

impl Layout {
    pub fn new(config: &PlatoonConfig, road: &RoadConfig) -> Self {
        let counts = config.counts();
        let each = |kind: usize, count: usize| std::iter::repeat_n(kind, count);
        let kinds = (0..3)
            .flat_map(|kind| each(kind, counts[kind]))
            .chain(each(0, road.driven_trucks))
            .chain(each(1, road.driven_cars))
            .chain([1]) // The leader.
            .collect();
        let brakes = [&road.truck, &road.car, &road.emergency_vehicle].map(|body| body.braking);
        let hardest = brakes.into_iter().fold(road.leader.hardest(), f64::max);
        Layout { road: road.clone(), kinds, agents: config.agents(), hardest }
    }

    pub fn leader(&self) -> usize {
        self.kinds.len() - 1
    }

    pub fn body(&self, vehicle: usize) -> &VehicleConfig {
        self.road.body(self.kinds[vehicle])
    }

    /// The hardest that a vehicle can brake; the leader as hard as its profile asks for.
    pub fn braking(&self, vehicle: usize) -> f64 {
        let own = self.body(vehicle).braking;
        if vehicle == self.leader() { own.max(self.road.leader.hardest()) } else { own }
    }

    /// The gap from a vehicle to another ahead of it.
    pub fn gap(&self, traffic: &Traffic, vehicle: usize, ahead: usize) -> f64 {
        let [own, other] = [vehicle, ahead].map(|n| traffic.vehicles[n].position);
        other - self.body(ahead).length - own
    }

    /// A vehicle and the one ahead of it.
    pub fn pair(&self, traffic: &Traffic, vehicle: usize, ahead: usize) -> Pair {
        Pair {
            speed: traffic.vehicles[vehicle].speed,
            braking: self.braking(vehicle),
            gap: self.gap(traffic, vehicle, ahead),
            speed_ahead: traffic.vehicles[ahead].speed,
            hardest: self.hardest,
        }
    }

    /// Starts an episode.
    pub fn reset(&self, traffic: &mut Traffic, random: &mut Pcg64) {
        let road = &self.road;
        let leader = self.leader();
        traffic.offset = road.offset * random.double();
        (traffic.steps, traffic.collisions, traffic.smallest_gap) = (0, 0, road.sight);
        (traffic.energy, traffic.driven, traffic.jerk) = (0.0, 0.0, 0.0);
        let speed = road.leader.speed(traffic.offset);
        traffic.vehicles[leader] =
            Vehicle { speed, arrived: -1.0, predecessor: NOBODY, ..Vehicle::default() };
        // Drawn afresh from one order, so that an episode depends on nothing but its random numbers.
        let mut order: Vec<usize> = (0..leader).filter(|n| self.kinds[*n] != EMERGENCY).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i as u32 + 1) as usize);
        }
        let mut rear = vec![None::<usize>; road.lanes];
        rear[0] = Some(leader);
        let mut end = -self.body(leader).length;
        for number in order {
            let lane = if self.kinds[number] == 0 { 0 } else { random.below(road.lanes as u32) as usize };
            let wanted = JAM + road.time_gap * speed * (1.0 + road.spread * random.double());
            self.place(traffic, number, lane, rear[lane], [-self.body(leader).length, wanted], speed);
            traffic.vehicles[number].predecessor = match rear[lane] {
                Some(ahead) if lane == 0 => ahead as u32,
                _ => NOBODY,
            };
            rear[lane] = Some(number);
            end = end.min(traffic.vehicles[number].position - self.body(number).length);
        }
        for number in (0..self.agents).filter(|n| self.kinds[*n] == EMERGENCY) {
            let lane = random.below(road.lanes as u32) as usize;
            // Behind the end of all, whichever lane that is in.
            let ahead = rear[lane].map_or(end, |n| traffic.vehicles[n].position - self.body(n).length);
            self.place(traffic, number, lane, rear[lane], [end, ahead - end + road.behind], speed);
            traffic.vehicles[number].criticality = random.double();
            rear[lane] = Some(number);
            end = end.min(traffic.vehicles[number].position - self.body(number).length);
        }
        traffic.look();
    }

    /// Puts a vehicle behind another, or behind `free` where there is none, with the gap that is wanted or, where that is
    /// longer, the one that is safe.
    fn place(
        &self,
        traffic: &mut Traffic,
        number: usize,
        lane: usize,
        ahead: Option<usize>,
        [free, wanted]: [f64; 2],
        speed: f64,
    ) {
        let speed = speed.min(self.body(number).top_speed);
        let (mut end, mut gap) = (free, wanted.max(MARGIN + 0.1));
        if let Some(ahead) = ahead {
            end = traffic.vehicles[ahead].position - self.body(ahead).length;
            let [own, other] = [speed, traffic.vehicles[ahead].speed].map(|v| v * v / 2.0);
            let needed = own / self.body(number).braking - other / self.hardest;
            gap = gap.max(needed + MARGIN + 0.1);
        }
        let position = end - gap;
        traffic.vehicles[number] = Vehicle {
            position,
            start: position,
            speed,
            lane,
            arrived: -1.0,
            predecessor: NOBODY,
            ..Vehicle::default()
        };
    }

    /// The measures of an episode, in the order of the world's list; `seconds` is a step, `usual` the leader's speed.
    pub fn measures(&self, traffic: &Traffic, seconds: f64) -> Vec<f64> {
        let leader = self.leader();
        let counted = f64::from(traffic.steps.max(1)) * leader.max(1) as f64;
        let energy = traffic.energy / 1e6 / (traffic.driven / 1e3).max(1e-3);
        let mut ratios = (0.0, 0u32);
        for vehicle in traffic.vehicles[..leader].iter().filter(|v| v.predecessor != NOBODY) {
            let ahead = traffic.vehicles[vehicle.predecessor as usize].peak;
            if ahead > 1e-3 {
                ratios = (ratios.0 + (vehicle.peak / ahead).max(1e-6).ln(), ratios.1 + 1);
            }
        }
        let stability = if ratios.1 == 0 { 0.0 } else { (ratios.0 / f64::from(ratios.1)).exp() };
        let elapsed = f64::from(traffic.steps) * seconds;
        let emergency = || (0..self.agents).filter(|n| self.kinds[*n] == EMERGENCY);
        let time = |vehicle: &Vehicle| match vehicle.arrived {
            arrived if arrived >= 0.0 => arrived,
            _ => self.road.distance * elapsed / (vehicle.position - vehicle.start).max(1.0),
        };
        let times: f64 = emergency().map(|n| time(&traffic.vehicles[n])).sum();
        let travel = times / emergency().count().max(1) as f64;
        vec![
            traffic.collisions as f64,
            traffic.smallest_gap,
            energy,
            traffic.jerk / counted,
            stability,
            travel,
        ]
    }

    /// Writes or reads all that changes.
    pub fn visit(&self, traffic: &mut Traffic, codec: &mut Codec) -> Result<()> {
        let damaged = || Error::Usage("the saved worlds are damaged".to_owned());
        let count = traffic.vehicles.len() as u32;
        for vehicle in &mut traffic.vehicles {
            let mut lane = vehicle.lane as u32;
            codec.one(&mut lane)?;
            vehicle.lane = lane as usize;
            codec.one(&mut vehicle.predecessor)?;
            if vehicle.lane >= self.road.lanes
                || (vehicle.predecessor >= count && vehicle.predecessor != NOBODY)
            {
                return Err(damaged());
            }
            let Vehicle { position, speed, acceleration, criticality, pause, .. } = vehicle;
            for number in [position, speed, acceleration, criticality, pause] {
                codec.one(number)?;
            }
            let Vehicle { told, start, arrived, peak, .. } = vehicle;
            for number in [told, start, arrived, peak] {
                codec.one(number)?;
            }
        }
        codec.one(&mut traffic.steps)?;
        codec.one(&mut traffic.collisions)?;
        let Traffic { offset, smallest_gap, energy, driven, jerk, .. } = traffic;
        for number in [offset, smallest_gap, energy, driven, jerk] {
            codec.one(number)?;
        }
        traffic.look();
        Ok(())
    }

    /// Whether what was read can be stepped.
    pub fn valid(&self, traffic: &Traffic) -> bool {
        let vehicle = |v: &Vehicle| {
            v.position.abs() <= FURTHEST
                && v.start.abs() <= FURTHEST
                && (0.0..=200.0).contains(&v.speed)
                && v.acceleration.abs() <= 1e5
                && v.told.abs() <= 1e5
                && (0.0..=1.0).contains(&v.criticality)
                && (0.0..=1e3).contains(&v.pause)
                && (-1.0..=FURTHEST).contains(&v.arrived)
                && (0.0..=200.0).contains(&v.peak)
        };
        traffic.vehicles.iter().all(vehicle)
            && (0.0..=self.road.offset).contains(&traffic.offset)
            && traffic.smallest_gap.abs() <= FURTHEST
            && [traffic.energy, traffic.driven, traffic.jerk].iter().all(|sum| (0.0..=1e18).contains(sum))
            && traffic.collisions <= 1 << 32
    }
}
