//! A tick: everybody decides, the safeguard holds them back, everybody moves, vehicles come and go.

use super::config::{ActionKind, Driver, Model};
use super::generate::WIDTH;
use super::motion::{TRAIL, highest_by_limits};
use super::network::NONE;
use super::path::Pose;
use super::touch::touch;
use super::traffic::{LINE, Layout, Traffic, Vehicle};
use crate::env::pathfinding::Pcg64;
use crate::env::platoon::Integration;
use crate::env::vectorised::Chosen;

/// The parts that discrete options stand for.
pub(super) const PARTS: [f64; 5] = [-1.0, -0.5, 0.0, 0.5, 1.0];
/// A change of lanes is meant beyond this.
const THRESHOLD: f64 = 0.5;
/// Rounding in comparisons of accelerations, in m/s^2.
pub(super) const SAME: f64 = 1e-6;

/// What a vehicle is told by its agent: parts from -1 to 1 of the acceleration and of the steering angle or a change
/// of lanes.
pub(super) fn told(layout: &Layout, actions: Chosen, agent: usize) -> [f64; 2] {
    let (mut integers, mut floats) = (actions.discrete(0), actions.continuous(0));
    let count = layout.config.agents;
    integers = &integers[agent * (integers.len() / count)..][..integers.len() / count];
    floats = &floats[agent * (floats.len() / count)..][..floats.len() / count];
    match layout.config.actions {
        ActionKind::Continuous => {
            [f64::from(floats[0]), floats.get(1).map_or(0.0, |second| f64::from(*second))]
        }
        ActionKind::Discrete => {
            let second = match (integers.get(1), layout.config.model) {
                (Some(option), Model::Bicycle) => PARTS[*option as usize],
                (Some(option), Model::Lane) => f64::from(*option) - 1.0,
                (None, _) => 0.0,
            };
            [PARTS[integers[0] as usize], second]
        }
    }
}

impl Layout {
    /// The accelerations that are wanted, within what the vehicles can do and the limits.
    fn want(&self, traffic: &mut Traffic, actions: Chosen) {
        let (car, tick) = (&self.config.car, self.config.tick());
        for number in 0..traffic.vehicles.len() {
            let own = traffic.vehicles[number];
            if !own.here {
                continue;
            }
            let (wanted, goes) = match self.config.driver {
                Driver::Agents => {
                    let [part, _] = told(self, actions, number);
                    (part * if part < 0.0 { car.braking } else { car.acceleration }, true)
                }
                Driver::Rules => {
                    let decision = self.decide(traffic, number);
                    (decision.acceleration, decision.goes)
                }
            };
            let limit =
                highest_by_limits(&self.network, own.way, self.front(&own), own.speed, car.comfort, tick);
            traffic.caps[number] = limit;
            traffic.wanted[number] = wanted.min(limit).clamp(-car.braking, car.acceleration);
            // What stops at the line of the next junction, for who must not pass it; infinite where nothing has to.
            let next = self.next_movement(&own).filter(|next| next.1 < self.config.sight && !own.granted);
            let stop = next.map(|(_, before)| self.stop_within(own.speed, before - LINE));
            traffic.lines[number] = stop.unwrap_or(f64::INFINITY);
            match self.config.safeguard {
                false if self.config.driver == Driver::Rules => {
                    // Who goes by rules alone holds the junction as soon as it could not stop any more.
                    let past = stop.is_some_and(|stop| traffic.wanted[number] > stop + SAME);
                    traffic.vehicles[number].granted |= goes && past;
                }
                true if !goes => traffic.wanted[number] = traffic.wanted[number].min(traffic.lines[number]),
                _ => {}
            }
        }
    }

    /// Lets those that ask for it change lanes, one after another.
    fn change_lanes(&self, traffic: &mut Traffic, actions: Chosen) {
        if self.config.model == Model::Bicycle {
            return;
        }
        for number in 0..traffic.vehicles.len() {
            let own = traffic.vehicles[number];
            if !own.here || own.granted || own.offset < self.config.car.length {
                continue;
            }
            let beside = self.network.lane(own.lane).beside;
            let lane = match self.config.driver {
                Driver::Rules => self.wanted_lane(&own).unwrap_or(NONE),
                Driver::Agents => match told(self, actions, number)[1] {
                    side if side > THRESHOLD => beside[0],
                    side if side < -THRESHOLD => beside[1],
                    _ => NONE,
                },
            };
            if lane == NONE {
                continue;
            }
            let ratio = self.network.lane(lane).length / self.network.lane(own.lane).length;
            let offset = (own.offset * ratio).min(self.network.lane(lane).length - 1e-3);
            let vehicle = &mut traffic.vehicles[number];
            (vehicle.lane, vehicle.offset, vehicle.trail) = (lane, offset, [NONE; TRAIL]);
            vehicle.arrival = -1.0;
            vehicle.pose = self.behind(vehicle, self.config.car.length / 2.0);
            self.lose_way(vehicle);
            traffic.look(self);
            let careful = self.config.safeguard || self.config.driver == Driver::Rules;
            if careful && !self.fits(traffic, number) {
                traffic.vehicles[number] = own;
                traffic.look(self);
            }
        }
    }

    /// Whether a vehicle is at a safe gap behind who is ahead, can stop before the next junction, and whether those
    /// whose next it is are safe behind it.
    fn fits(&self, traffic: &Traffic, number: usize) -> bool {
        let own = &traffic.vehicles[number];
        let mut safe = true;
        self.followed(traffic, number, |gap, speed| safe &= self.pair(own.speed, gap, speed).safe());
        let stops = own.speed * own.speed / (2.0 * self.config.car.braking);
        safe && self.next_movement(own).is_none_or(|(_, before)| stops + LINE <= before)
            && traffic.here().filter(|(other, _)| *other != number).all(|(other, its)| {
                let next = self.ahead(traffic, other).filter(|(ahead, _)| *ahead == number);
                next.is_none_or(|(_, gap)| !its.relied_on && self.pair(its.speed, gap, own.speed).safe())
            })
    }

    /// A vehicle on a lane from which its exit cannot be reached goes to the nearest that can.
    fn lose_way(&self, vehicle: &mut Vehicle) {
        if self.network.step(vehicle.way.exit, vehicle.lane).seconds.is_finite() {
            return;
        }
        let exits = self.network.destinations(usize::from(vehicle.entry)).iter().copied();
        let seconds = |exit: &u16| self.network.step(*exit, vehicle.lane).seconds;
        if let Some(exit) = exits.min_by(|a, b| seconds(a).total_cmp(&seconds(b))) {
            vehicle.way.exit = exit;
        }
    }

    /// Moves everybody; who has left is marked as gone.
    fn advance(&self, traffic: &mut Traffic, actions: Chosen) {
        let (tick, car, now) = (self.config.tick(), &self.config.car, traffic.seconds(self));
        for number in 0..traffic.vehicles.len() {
            let mut own = traffic.vehicles[number];
            if !own.here {
                continue;
            }
            let before = own;
            let (metres, speed) = Integration::Ballistic.step(own.speed, traffic.wanted[number], tick);
            own.acceleration = (speed - own.speed) / tick;
            own.speed = speed;
            match self.config.model {
                Model::Lane => own.offset += metres,
                Model::Bicycle => {
                    let angle = match self.config.driver {
                        Driver::Agents => told(self, actions, number)[1] * car.steering,
                        Driver::Rules => self.pursuit(&own).clamp(-car.steering, car.steering),
                    };
                    own.pose = steered(own.pose, angle, metres, car.length);
                    self.project(&mut own, metres);
                }
            }
            own.driven += own.offset - before.offset;
            let left = self.pass_on(&mut own);
            if self.config.model == Model::Lane {
                own.pose = self.behind(&own, car.length / 2.0);
            }
            if left {
                // What it drove beyond the end does not count, nor the time that took.
                let beyond = own.offset - self.network.lane(own.lane).length;
                let part = (1.0 - beyond / metres.max(1e-9)).clamp(0.0, 1.0);
                let whole = self.free.whole(own.entry, own.way.exit, own.driven - beyond);
                let seconds = now + part * tick - own.due;
                traffic.counts.left += 1;
                traffic.counts.travel += seconds;
                traffic.counts.delay += seconds - whole;
                let free = whole - self.free.seconds(own.entry, own.way.exit, before.driven);
                traffic.pay[number] -= self.config.pay.delay * (part * tick - free);
                traffic.lost[before.lane as usize] += part * tick - free;
                traffic.gone[number] = true;
                own = Vehicle::default();
            } else {
                let free = |driven: f64| self.free.seconds(own.entry, own.way.exit, driven);
                let lost = tick - (free(own.driven) - free(before.driven));
                traffic.lost[before.lane as usize] += lost;
                let effort = (own.acceleration / car.acceleration).powi(2);
                let pay = &self.config.pay;
                traffic.pay[number] -= pay.delay * lost + pay.comfort * effort * tick;
            }
            traffic.vehicles[number] = own;
        }
        for (entry, lane) in self.network.entries().iter().enumerate() {
            traffic.lost[*lane as usize] += f64::from(traffic.queues[entry]) * tick;
        }
        traffic.ticks += 1;
    }

    /// Takes a vehicle into the lanes that its front has come to; whether it has come to the end of an exit.
    fn pass_on(&self, own: &mut Vehicle) -> bool {
        loop {
            let length = self.network.lane(own.lane).length;
            if own.offset < length {
                return false;
            }
            self.lose_way(own);
            let (next, way) = self.network.onward(own.way, own.lane);
            if next == NONE {
                return true;
            }
            own.trail.rotate_right(1);
            own.trail[0] = own.lane;
            own.offset -= length;
            (own.lane, own.way) = (next, way);
            if self.network.is_movement(next) {
                (own.granted, own.arrival) = (false, -1.0);
            }
            self.lose_way(own);
        }
    }

    /// Finds where along its lanes a vehicle is that was steered so many metres.
    fn project(&self, own: &mut Vehicle, metres: f64) {
        let half = self.config.car.length / 2.0;
        own.offset += metres;
        for _ in 0..3 {
            let on = self.behind(own, half);
            let [x, y] = [own.pose.at[0] - on.at[0], own.pose.at[1] - on.at[1]];
            own.offset += (x * on.towards[0] + y * on.towards[1]).clamp(-metres, metres);
        }
        own.offset = own.offset.max(0.0);
    }

    /// How far a vehicle's middle is to the left of its lane's, in metres, and the sine of the angle to it.
    pub fn aside(&self, own: &Vehicle) -> [f64; 2] {
        let on = self.behind(own, self.config.car.length / 2.0);
        let [x, y] = [own.pose.at[0] - on.at[0], own.pose.at[1] - on.at[1]];
        let [u, v] = own.pose.towards;
        [y * on.towards[0] - x * on.towards[1], v * on.towards[0] - u * on.towards[1]]
    }

    /// Removes who has collided or left the road.
    fn collide(&self, traffic: &mut Traffic) {
        let (car, price) = (&self.config.car, self.config.pay.collision);
        let count = traffic.vehicles.len();
        let mut hit = vec![false; count];
        // Who is so far to the east of another touches neither it nor anybody to the west of it.
        let mut order: Vec<usize> = traffic.here().map(|(number, _)| number).collect();
        let east = |number: &usize| traffic.vehicles[*number].pose.at[0];
        order.sort_unstable_by(|a, b| east(a).total_cmp(&east(b)).then(a.cmp(b)));
        let mut touching = Vec::new();
        for (at, a) in order.iter().enumerate() {
            let one = &traffic.vehicles[*a].pose;
            for b in &order[at + 1..] {
                let two = &traffic.vehicles[*b].pose;
                if two.at[0] - one.at[0] > car.length + car.width {
                    break;
                }
                if touch(one, two, car.length, car.width) {
                    touching.push([*a, *b]);
                }
            }
        }
        traffic.counts.collisions += touching.len() as u64;
        for number in touching.into_iter().flatten() {
            hit[number] = true;
            traffic.pay[number] -= price;
        }
        for number in 0..count {
            let own = &traffic.vehicles[number];
            if own.here && self.config.model == Model::Bicycle && self.aside(own)[0].abs() > WIDTH / 2.0 {
                hit[number] = true;
                traffic.counts.off_road += 1;
                traffic.pay[number] -= price;
            }
        }
        let now = traffic.seconds(self);
        for number in (0..count).filter(|number| hit[*number]) {
            let own = std::mem::take(&mut traffic.vehicles[number]);
            traffic.counts.lost += 1;
            traffic.counts.delay += now - own.due - self.free.seconds(own.entry, own.way.exit, own.driven);
            traffic.gone[number] = true;
        }
    }

    /// Counts who comes to be in a near miss.
    fn watch(&self, traffic: &mut Traffic) {
        let threshold = self.config.near_miss;
        if threshold == 0.0 {
            return;
        }
        for number in 0..traffic.vehicles.len() {
            let own = traffic.vehicles[number];
            if !own.here {
                continue;
            }
            let mut soon = false;
            self.followed(traffic, number, |gap, speed| {
                soon |= own.speed > speed && gap < threshold * (own.speed - speed);
            });
            soon |= self.meets(traffic, number, threshold);
            traffic.counts.near_misses += u64::from(soon && !own.endangered);
            traffic.vehicles[number].endangered = soon;
        }
    }

    /// Whether a vehicle would, within so many seconds, be where its way crosses another's at the same time as who is
    /// on that, if both kept their speed.
    fn meets(&self, traffic: &Traffic, number: usize, threshold: f64) -> bool {
        let own = &traffic.vehicles[number];
        let length = self.config.car.length;
        let on = self.network.is_movement(own.lane).then_some((own.lane, own.offset));
        let next = self.next_movement(own).map(|(movement, before)| (movement, -before));
        on.into_iter().chain(next).any(|(movement, front)| {
            let crossing = |c: &&super::Conflict| c.meeting == super::Meeting::Crossing;
            self.network.lane(movement).conflicts.iter().filter(crossing).any(|conflict| {
                let when = |front: f64, speed: f64, [from, to]: [f64; 2]| {
                    let speed = speed.max(1e-3);
                    [(from - front) / speed, (to + length - front) / speed]
                };
                let mine = when(front, own.speed, conflict.own);
                mine[1] > 0.0
                    && traffic.near(conflict.with).iter().any(|other| {
                        // Counted once for the two of them.
                        let its = &traffic.vehicles[other.vehicle as usize];
                        let theirs = when(other.front, its.speed, conflict.other);
                        let both = [mine[0].max(theirs[0]).max(0.0), mine[1].min(theirs[1])];
                        (other.vehicle as usize) > number && both[0] < both[1] && both[0] < threshold
                    })
            })
        })
    }

    /// The tick of that number in a step.
    pub(in crate::env) fn tick(
        &self,
        traffic: &mut Traffic,
        actions: Chosen,
        number: usize,
        random: &mut Pcg64,
    ) {
        if number == 0 || self.every_tick {
            self.change_lanes(traffic, actions);
        }
        self.turn_lights(traffic);
        self.reserve(traffic);
        self.want(traffic, actions);
        if self.config.safeguard {
            self.safeguard(traffic);
        }
        self.advance(traffic, actions);
        self.collide(traffic);
        traffic.look(self);
        self.watch(traffic);
        // Who comes in has an agent from the next step on.
        if number + 1 == self.config.ticks || self.every_tick {
            self.arrive(traffic, random);
        }
    }
}

/// Where a kinematic bicycle comes to (Kong, Pfeiffer, Schildbach and Borrelli 2015, with the middle of the vehicle
/// halfway between the axles, as highway-env has it): `beta = atan(tan(angle)/2)`, along the heading plus `beta`,
/// while the heading turns by `metres sin(beta)/(length/2)`.
pub fn steered(pose: Pose, angle: f64, metres: f64, length: f64) -> Pose {
    let beta = (angle.tan() / 2.0).atan();
    let [c, s] = pose.towards;
    let (cos, sin) = (beta.cos(), beta.sin());
    let at = [pose.at[0] + metres * (c * cos - s * sin), pose.at[1] + metres * (s * cos + c * sin)];
    let (turn_sin, turn_cos) = (metres * sin / (length / 2.0)).sin_cos();
    let towards = [c * turn_cos - s * turn_sin, s * turn_cos + c * turn_sin];
    let norm = towards[0].hypot(towards[1]);
    Pose { at, towards: [towards[0] / norm, towards[1] / norm] }
}
