//! A driver by rules that knows everything: what learned driving is measured against.

use super::driver::Mobil;
use super::road::RoadRules;
use super::traffic::{EMERGENCY, Traffic};

/// How far behind an emergency vehicle is when it is let pass, in metres.
const HEARD: f64 = 120.0;

impl RoadRules {
    /// What a vehicle would do by the published rules with full information: follow by the intelligent driver model, change
    /// lanes by MOBIL and, where it `yields`, leave the lane of any emergency vehicle within 120 m behind. One or two
    /// numbers, an action.
    pub fn scripted(&self, traffic: &Traffic, vehicle: usize, yields: bool) -> Vec<f32> {
        let own = &traffic.vehicles[vehicle];
        let acceleration = self.idm(vehicle).acceleration(own.speed, self.ahead(traffic, vehicle));
        let mut action = vec![self.action(vehicle, acceleration)];
        if self.layout().road.lanes > 1 {
            action.push(self.side(traffic, vehicle, acceleration, yields));
        }
        action
    }

    /// -1 to the right, 1 to the left, 0 to stay.
    fn side(&self, traffic: &Traffic, vehicle: usize, now: f64, yields: bool) -> f32 {
        let own = traffic.vehicles[vehicle];
        let yields = yields && self.kind(vehicle) != EMERGENCY;
        let passes = |lane: usize| {
            let behind = |other: usize| own.position - traffic.vehicles[other].position;
            let mut others =
                (0..self.layout().agents).filter(|n| self.kind(*n) == EMERGENCY && *n != vehicle);
            others.any(|n| traffic.vehicles[n].lane == lane && (0.0..HEARD).contains(&behind(n)))
        };
        let sides = [(-1.0, own.lane.checked_sub(1)), (1.0, Some(own.lane + 1))];
        let open = sides.into_iter().filter_map(|(side, lane)| lane.map(|lane| (side, lane)));
        for (side, lane) in open.filter(|(_, lane)| *lane < self.layout().road.lanes) {
            if !self.safe_lane(traffic, vehicle, lane) {
                continue;
            }
            let leaves = yields && passes(own.lane) && !passes(lane);
            let comes = yields && passes(lane);
            if leaves || (!comes && self.gains(traffic, vehicle, lane, now)) {
                return side;
            }
        }
        0.0
    }

    /// Whether MOBIL would change to a lane.
    fn gains(&self, traffic: &Traffic, vehicle: usize, lane: usize, now: f64) -> bool {
        let follow = |behind: usize, ahead: Option<usize>| {
            let speed = traffic.vehicles[behind].speed;
            let seen = ahead.map(|ahead| {
                (self.layout().gap(traffic, behind, ahead), speed - traffic.vehicles[ahead].speed)
            });
            self.idm(behind).acceleration(speed, seen)
        };
        let [old_ahead, old_behind] = traffic.neighbours_in(vehicle, traffic.vehicles[vehicle].lane);
        let [ahead, behind] = traffic.neighbours_in(vehicle, lane);
        let then = follow(vehicle, ahead);
        let left = old_behind.map_or([0.0; 2], |n| [follow(n, Some(vehicle)), follow(n, old_ahead)]);
        let new = behind.map_or([0.0; 2], |n| [follow(n, ahead), follow(n, Some(vehicle))]);
        Mobil::PUBLISHED.changes([now, then], left, new)
    }
}
