//! How a vehicle moves along lanes and keeps their limits, and how long its way takes on a free road.

use super::config::RoadsConfig;
use super::network::{NONE, Network};
use super::path::Pose;
use super::way::Way;
use crate::env::platoon::Integration;
use crate::error::{Error, Result};

/// Lanes that a vehicle has just left, as far as its end can reach back.
pub const TRAIL: usize = 4;

/// A place on a lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The lane.
    pub lane: u32,
    /// Metres from its start.
    pub offset: f64,
}

/// The largest acceleration with which a vehicle keeps the limit of its lane and reaches those of the lanes ahead, on
/// its way to an exit, by braking no harder than `comfort`. The speed `v'` after a tick `t` is the greatest with `(v
/// + v') t/2 + (v'^2 - limit^2)/(2 comfort) <= distance` for every lane ahead.
pub fn highest_by_limits(network: &Network, way: Way, at: Place, speed: f64, comfort: f64, tick: f64) -> f64 {
    let mut lane = network.lane(at.lane);
    let mut fastest = lane.limit;
    let mut distance = lane.length - at.offset;
    let reach = speed * speed / (2.0 * comfort) + (speed + lane.limit) * tick;
    let (mut next, mut way) = network.onward(way, at.lane);
    while next != NONE && distance < reach {
        lane = network.lane(next);
        let half = comfort * tick / 2.0;
        let rest = lane.limit * lane.limit + 2.0 * comfort * (distance - speed * tick / 2.0);
        // Who is no faster than the lane ahead allows need not brake for it.
        fastest = fastest.min(((half * half + rest).max(0.0).sqrt() - half).max(lane.limit));
        distance += lane.length;
        (next, way) = network.onward(way, next);
    }
    (fastest.max(0.0) - speed) / tick
}

/// The place so many metres behind a place, through the lanes that were driven (the last one first).
pub fn behind(network: &Network, at: Place, trail: &[u32; TRAIL], back: f64) -> Pose {
    let (mut lane, mut along) = (at.lane, at.offset - back);
    for before in trail {
        if along >= 0.0 || *before == NONE {
            break;
        }
        lane = *before;
        along += network.lane(lane).length;
    }
    network.lane(lane).path.at(along)
}

/// The times that ways take on a free road.
#[derive(Debug, Clone, Default)]
pub struct FreeFlow {
    exits: usize,
    tick: f64,
    /// `[entries, exits]`: metres driven after each tick; empty where an exit cannot be reached.
    driven: Vec<Vec<f64>>,
}

/// Numbers of all tables together at most.
const MOST: usize = 1 << 23;

impl FreeFlow {
    /// Drives every way alone, as fast as the limits and the car's largest acceleration allow.
    ///
    /// # Errors
    /// The ways are too many and too long to be kept.
    pub fn new(config: &RoadsConfig, network: &Network) -> Result<FreeFlow> {
        let (exits, tick) = (network.exits().len(), config.tick());
        let mut driven = Vec::with_capacity(network.entries().len() * exits);
        let mut left = MOST;
        for (entry, lane) in network.entries().iter().enumerate() {
            for exit in 0..exits as u16 {
                let reached = network.destinations(entry).contains(&exit);
                let way = if reached { drive(config, network, *lane, exit, left) } else { Some(Vec::new()) };
                let way = way.ok_or_else(|| {
                    Error::config(
                        "world.network.kind",
                        format!("expected ways of at most {MOST} ticks together"),
                    )
                })?;
                left -= way.len();
                driven.push(way);
            }
        }
        Ok(FreeFlow { exits, tick, driven })
    }

    /// Seconds until so many metres of the way from an entry to an exit are driven on a free road.
    pub fn seconds(&self, entry: u16, exit: u16, metres: f64) -> f64 {
        let way = &self.driven[usize::from(entry) * self.exits + usize::from(exit)];
        let after = way.partition_point(|driven| *driven < metres);
        let before = if after == 0 { 0.0 } else { way[after - 1] };
        let part = match way.get(after) {
            Some(driven) => (metres - before) / (driven - before),
            None => 0.0,
        };
        (after as f64 + part) * self.tick
    }

    /// Seconds of the whole way.
    pub fn whole(&self, entry: u16, exit: u16, metres: f64) -> f64 {
        let way = &self.driven[usize::from(entry) * self.exits + usize::from(exit)];
        self.seconds(entry, exit, way.last().map_or(0.0, |last| last.min(metres)))
    }
}

/// Metres driven after each tick of a way on a free road; the last are beyond its end. `None` for more than `most`.
fn drive(config: &RoadsConfig, network: &Network, lane: u32, exit: u16, most: usize) -> Option<Vec<f64>> {
    let (tick, car) = (config.tick(), &config.car);
    let mut at = Place { lane, offset: 0.0 };
    let mut speed = network.lane(lane).limit * config.entry_speed;
    let (mut way, mut driven) = (Vec::new(), 0.0);
    loop {
        if way.len() >= most {
            return None;
        }
        let change = network.step(exit, at.lane).change;
        if change != NONE {
            at.offset *= network.lane(change).length / network.lane(at.lane).length;
            at.lane = change;
        }
        let limit = highest_by_limits(network, Way::quickest(exit), at, speed, car.comfort, tick);
        let acceleration = limit.clamp(-car.braking, car.acceleration);
        let (metres, after) = Integration::Ballistic.step(speed, acceleration, tick);
        (speed, driven) = (after, driven + metres);
        at.offset += metres;
        way.push(driven);
        while at.offset >= network.lane(at.lane).length {
            at.offset -= network.lane(at.lane).length;
            at.lane = network.step(exit, at.lane).lane;
            if at.lane == NONE {
                return Some(way);
            }
        }
    }
}
