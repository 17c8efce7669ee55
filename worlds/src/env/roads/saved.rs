//! Roads written to bytes and read back, which are not trusted.

use super::network::NONE;
use super::traffic::{Counts, Layout, MOST_WAITING, Traffic, Vehicle};
use crate::env::vectorised::Codec;
use crate::error::Result;

impl Layout {
    /// Writes or reads all that changes.
    pub(in crate::env) fn visit(&self, traffic: &mut Traffic, codec: &mut Codec) -> Result<()> {
        for vehicle in &mut traffic.vehicles {
            codec.one(&mut vehicle.here)?;
            codec.one(&mut vehicle.entry)?;
            codec.one(&mut vehicle.way.exit)?;
            codec.one(&mut vehicle.way.turns)?;
            codec.one(&mut vehicle.lane)?;
            codec.all(&mut vehicle.trail)?;
            codec.one(&mut vehicle.granted)?;
            codec.one(&mut vehicle.relied_on)?;
            codec.one(&mut vehicle.endangered)?;
            let Vehicle { offset, speed, acceleration, pose, arrival, due, driven, pace, time_gap, .. } =
                vehicle;
            for number in [offset, speed, acceleration, arrival, due, driven, pace, time_gap] {
                codec.one(number)?;
            }
            codec.all(&mut pose.at)?;
            codec.all(&mut pose.towards)?;
            if !self.can_be(vehicle) {
                return Err(crate::Error::Usage("the saved worlds are damaged".to_owned()));
            }
        }
        codec.one(&mut traffic.ticks)?;
        codec.all(&mut traffic.coming)?;
        codec.all(&mut traffic.waiting)?;
        codec.all(&mut traffic.queues)?;
        let Counts { came, left, lost, collisions, near_misses, off_road, refused, travel, delay } =
            &mut traffic.counts;
        for count in [came, left, lost, collisions, near_misses, off_road, refused] {
            codec.one(count)?;
        }
        codec.one(travel)?;
        codec.one(delay)?;
        for light in &mut traffic.lights {
            light.visit(codec)?;
        }
        traffic.look(self);
        Ok(())
    }

    /// Whether a vehicle can be where it says.
    fn can_be(&self, vehicle: &Vehicle) -> bool {
        let network = &self.network;
        let (lanes, entries) = (network.lanes().len(), network.entries().len());
        if !vehicle.here {
            return true;
        }
        let limits = [vehicle.speed, vehicle.acceleration, vehicle.arrival, vehicle.due, vehicle.driven];
        usize::from(vehicle.entry) < entries
            && network.destinations(usize::from(vehicle.entry)).contains(&vehicle.way.exit)
            && (vehicle.lane as usize) < lanes
            && (0.0..network.lane(vehicle.lane).length).contains(&vehicle.offset)
            && vehicle.trail.iter().all(|lane| *lane == NONE || (*lane as usize) < lanes)
            && (0.0..=200.0).contains(&vehicle.speed)
            && (0.01..=1.0).contains(&vehicle.pace)
            && (0.0..=100.0).contains(&vehicle.time_gap)
            && limits.iter().chain(&vehicle.pose.at).all(|x| x.abs() <= 1e9)
            && (vehicle.pose.towards[0].hypot(vehicle.pose.towards[1]) - 1.0).abs() < 1e-3
    }

    /// Whether what was read can be stepped.
    pub(in crate::env) fn valid(&self, traffic: &Traffic) -> bool {
        let most = (self.config.max_episode_steps * self.config.ticks) as u64;
        let counts = &traffic.counts;
        let whole = [counts.came, counts.left, counts.lost, counts.collisions, counts.near_misses];
        traffic.ticks <= most
            && counts.refused <= counts.came
            && self.lights_can_be(traffic)
            && traffic.queues.iter().all(|queue| *queue as usize <= MOST_WAITING)
            && traffic.waiting.iter().chain(&traffic.coming).all(|x| (0.0..=1e18).contains(x))
            && whole.iter().chain([&counts.off_road, &counts.refused]).all(|count| *count <= 1 << 48)
            && [counts.travel, counts.delay].iter().all(|sum| sum.abs() <= 1e18)
    }
}
