//! The rules of the road.

use serde::Serialize;

use super::cacc::Cacc;
use super::config::{Driver, PlatoonConfig, RoadConfig, Task, VehicleConfig};
use super::draw;
use super::driver::{Idm, Integration};
use super::traffic::{EMERGENCY, JAM, Layout, NOBODY, Traffic, energy};
use crate::action::ActionSpace;
use crate::env::drawing::{Drawing, names};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::env::{AgentKind, Fact};
use crate::error::{Error, Result};

/// Many roads at once.
pub type Road = Vectorised<RoadRules>;

/// The names of the kinds.
pub(super) const KINDS: [&str; 3] = ["truck", "car", "emergency"];
/// Numbers of an observation about the vehicle itself, and about each lane that it sees.
const OWN: usize = 8;
const LANE: usize = 7;
/// Numbers of the state about each vehicle.
const STATE: usize = 6;
/// The column of an observation in which an emergency vehicle's criticality stands.
pub const CRITICALITY: usize = 5;
/// A change of lanes is meant beyond this.
const THRESHOLD: f32 = 0.5;
/// Values of the fact `criticality`.
const LEVELS: usize = 5;

/// The settings with what follows from them.
#[derive(Debug, Clone, Serialize)]
pub struct RoadRules {
    config: PlatoonConfig,
    #[serde(skip)]
    layout: Layout,
}

impl RoadRules {
    /// The rules for these settings.
    ///
    /// # Errors
    /// As [`PlatoonConfig::check`]; or the task is another one.
    pub fn new(config: PlatoonConfig) -> Result<Self> {
        config.check()?;
        let Task::Road(road) = &config.task else {
            return Err(Error::config("world.task.kind", "expected road"));
        };
        let layout = Layout::new(&config, road);
        Ok(RoadRules { layout, config })
    }

    /// The settings.
    pub fn config(&self) -> &PlatoonConfig {
        &self.config
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The kind of a vehicle: 0 for trucks, 1 for cars, 2 for emergency vehicles.
    pub fn kind(&self, vehicle: usize) -> usize {
        self.layout.kinds[vehicle]
    }

    /// What a vehicle is like.
    pub fn body(&self, vehicle: usize) -> &VehicleConfig {
        self.layout.body(vehicle)
    }

    /// The gap from a vehicle to the next ahead in its lane, and how fast it closes.
    pub fn ahead(&self, traffic: &Traffic, vehicle: usize) -> Option<(f64, f64)> {
        let ahead = traffic.ahead(vehicle)?;
        let closing = traffic.vehicles[vehicle].speed - traffic.vehicles[ahead].speed;
        Some((self.layout.gap(traffic, vehicle, ahead), closing))
    }

    /// The number in [-1, 1] by which an agent asks for an acceleration; what is beyond its limits is held to them.
    pub fn action(&self, vehicle: usize, acceleration: f64) -> f32 {
        let body = self.body(vehicle);
        let part =
            if acceleration < 0.0 { acceleration / body.braking } else { acceleration / body.acceleration };
        part.clamp(-1.0, 1.0) as f32
    }

    /// The published driver model ([`Idm`]) with what a vehicle can do and wants.
    pub fn idm(&self, vehicle: usize) -> Idm {
        let body = self.body(vehicle);
        Idm {
            desired_speed: body.desired_speed,
            time_gap: self.road().time_gap,
            jam_distance: JAM,
            acceleration: body.acceleration,
            braking: Idm::PUBLISHED.braking,
        }
    }

    fn road(&self) -> &RoadConfig {
        &self.layout.road
    }

    fn lanes_seen(&self) -> usize {
        if self.road().lanes > 1 { 3 } else { 1 }
    }

    fn floats(&self) -> usize {
        if self.road().lanes > 1 { 2 } else { 1 }
    }

    fn length(&self) -> usize {
        OWN + self.lanes_seen() * LANE
    }

    /// The lane to the left (1) or right (2) of a vehicle, if there is one; its own for 0.
    fn lane(&self, own: usize, side: usize) -> Option<usize> {
        let lane = [Some(own), Some(own + 1), own.checked_sub(1)][side];
        lane.filter(|lane| *lane < self.road().lanes)
    }

    /// Whether a vehicle that goes to a lane, and the one it comes before, can both avoid who is then ahead of them.
    pub(super) fn safe_lane(&self, traffic: &Traffic, vehicle: usize, lane: usize) -> bool {
        let [ahead, behind] = traffic.neighbours_in(vehicle, lane);
        ahead.is_none_or(|ahead| self.layout.pair(traffic, vehicle, ahead).safe())
            && behind.is_none_or(|behind| self.layout.pair(traffic, behind, vehicle).safe())
    }

    /// Lets agents that ask for it change lanes, one after another.
    fn change_lanes(&self, traffic: &mut Traffic, actions: Chosen) {
        let mut changed = false;
        for (vehicle, (_, floats)) in actions.each().enumerate() {
            let own = traffic.vehicles[vehicle];
            let side = match floats {
                [_, side] if *side > THRESHOLD => 1,
                [_, side] if *side < -THRESHOLD => 2,
                _ => continue,
            };
            let Some(lane) = self.lane(own.lane, side).filter(|_| own.pause <= 0.0) else { continue };
            if self.road().assist && !self.safe_lane(traffic, vehicle, lane) {
                continue;
            }
            traffic.vehicles[vehicle].lane = lane;
            traffic.vehicles[vehicle].pause = self.road().pause;
            traffic.costs[vehicle] += self.road().pay.change;
            changed = true;
        }
        if changed {
            traffic.look();
        }
    }

    /// What a vehicle that is no agent is told by its driver.
    fn driven(&self, traffic: &Traffic, vehicle: usize) -> f64 {
        let own = &traffic.vehicles[vehicle];
        let idm = self.idm(vehicle);
        match (self.road().driver, traffic.ahead(vehicle)) {
            (Driver::Cacc, Some(ahead)) => {
                let other = &traffic.vehicles[ahead];
                let gap = self.layout.gap(traffic, vehicle, ahead);
                let cacc = Cacc { time_gap: self.road().time_gap, standstill: JAM, ..Cacc::PUBLISHED };
                let (moves, space) = ([own.speed, own.acceleration], [gap, own.speed - other.speed]);
                let told = cacc.command(own.told, other.told, moves, space, self.config.step);
                // Cruise control keeps its set speed where it would have to go faster to follow.
                told.min(idm.acceleration(own.speed, None).max(-1.0))
            }
            _ => idm.acceleration(own.speed, self.ahead(traffic, vehicle)),
        }
    }

    /// What takes the leader along its profile; back to it as a car can, where it was held up.
    fn leads(&self, traffic: &Traffic) -> f64 {
        let (seconds, leader) = (self.config.step, self.layout.leader());
        let now = traffic.offset + f64::from(traffic.steps) * seconds;
        let [due, next] = [now, now + seconds].map(|t| self.road().leader.speed(t));
        let speed = traffic.vehicles[leader].speed;
        let wanted = (next - speed) / seconds;
        match (speed - due).abs() < 1e-6 {
            true => wanted,
            false => wanted.clamp(-self.layout.braking(leader), self.body(leader).acceleration),
        }
    }

    /// The accelerations of all vehicles in this step.
    fn accelerate(&self, traffic: &mut Traffic, actions: Chosen) {
        let (seconds, leader) = (self.config.step, self.layout.leader());
        let mut accelerations = std::mem::take(&mut traffic.accelerations);
        let mut floats = actions.each();
        for (vehicle, acceleration) in accelerations.iter_mut().enumerate() {
            let body = self.body(vehicle);
            let chosen = floats.next().and_then(|(_, floats)| floats.first());
            let told = match chosen.map(|part| f64::from(*part)) {
                Some(part) if part < 0.0 => part * body.braking,
                Some(part) => part * body.acceleration,
                None if vehicle == leader => self.leads(traffic),
                None => self.driven(traffic, vehicle),
            };
            let fastest = (body.top_speed - traffic.vehicles[vehicle].speed) / seconds;
            // The leader does what its profile asks for.
            let (told, mut held) = match vehicle == leader {
                true => (told, told),
                false => {
                    let told = told.clamp(-body.braking, body.acceleration);
                    (told, told.min(fastest))
                }
            };
            if let (true, Some(ahead)) = (self.road().assist, traffic.ahead(vehicle)) {
                held = held.min(self.layout.pair(traffic, vehicle, ahead).highest_acceleration(seconds));
            }
            traffic.vehicles[vehicle].told = told;
            *acceleration = held;
        }
        traffic.accelerations = accelerations;
    }

    /// Moves everybody; what they take, and what that costs them.
    fn advance(&self, traffic: &mut Traffic) {
        let (seconds, leader) = (self.config.step, self.layout.leader());
        let (road, pay, usual) = (self.road(), &self.road().pay, self.road().leader.usual());
        let before = f64::from(traffic.steps) * seconds;
        for vehicle in 0..traffic.vehicles.len() {
            let (body, asked) = (self.body(vehicle), traffic.accelerations[vehicle]);
            let own = &mut traffic.vehicles[vehicle];
            let (way, speed) = Integration::Ballistic.step(own.speed, asked, seconds);
            // What it was on average: less than asked where the vehicle came to rest.
            let acceleration = (speed - own.speed) / seconds;
            let jerk = (acceleration - own.acceleration).abs() / seconds;
            let taken = energy(body, (own.speed + speed) / 2.0, acceleration, seconds);
            let came = own.position - own.start;
            if own.arrived < 0.0 && came + way >= road.distance {
                let part = if way > 0.0 { (road.distance - came) / way } else { 0.0 };
                own.arrived = before + seconds * part.clamp(0.0, 1.0);
            }
            own.position += way;
            (own.speed, own.acceleration) = (speed, acceleration);
            own.pause = (own.pause - seconds).max(0.0);
            own.peak = own.peak.max((speed - usual).abs());
            if vehicle == leader {
                continue;
            }
            traffic.energy += taken;
            traffic.driven += way;
            traffic.jerk += jerk;
            let lacks = (body.desired_speed - speed).abs() / body.desired_speed;
            let usual_energy = energy(body, body.desired_speed, 0.0, seconds).max(1e-9);
            traffic.costs[vehicle] +=
                pay.speed * lacks + pay.jerk * jerk / 10.0 + pay.energy * taken / usual_energy;
        }
    }

    /// Counts collisions and gaps, of who was ahead of whom in this step; whether there was a collision. `before` are the
    /// gaps at its start.
    fn collide(&self, traffic: &mut Traffic, before: &[f64]) -> bool {
        let road = self.road();
        let mut any = false;
        for vehicle in 0..traffic.vehicles.len() {
            let Some(ahead) = traffic.ahead(vehicle) else { continue };
            let gap = self.layout.gap(traffic, vehicle, ahead);
            let smallest = gap.min(before[vehicle]);
            traffic.smallest_gap = traffic.smallest_gap.min(smallest);
            if smallest < 0.0 {
                any = true;
                traffic.collisions += 1;
                traffic.costs[vehicle] += road.pay.collision;
                traffic.costs[ahead] += road.pay.collision;
            }
            let wanted = JAM + road.time_gap * traffic.vehicles[vehicle].speed;
            traffic.costs[vehicle] += road.pay.gap * (1.0 - gap / wanted).clamp(0.0, 1.0);
        }
        any
    }

    /// What all pay for emergency vehicles that are not as fast as they want to be.
    fn urgency(&self, traffic: &Traffic) -> f64 {
        let emergency = || (0..self.layout.agents).filter(|n| self.kind(*n) == EMERGENCY);
        let desired = self.road().emergency_vehicle.desired_speed;
        let lacks = |n: usize| match &traffic.vehicles[n] {
            vehicle if vehicle.arrived >= 0.0 => 0.0,
            vehicle => vehicle.criticality * (1.0 - vehicle.speed / desired).max(0.0),
        };
        emergency().map(lacks).sum::<f64>() / emergency().count().max(1) as f64
    }
}

/// A gap as a number from 0 to 1: a half at 30 m.
fn near(gap: f64) -> f32 {
    let gap = gap.max(0.0);
    (gap / (gap + 30.0)) as f32
}

impl Rules for RoadRules {
    type World = Traffic;
    const NAME: &'static str = "platoon";
    const METRICS: &'static [&'static str] =
        &["collisions", "smallest_gap", "energy", "jerk", "string_stability", "emergency_travel_time"];

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    fn check(&self) -> Result<()> {
        self.config.check()
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let actions = || ActionSpace::uniform(self.floats(), -1.0, 1.0);
        let kinds = KINDS.iter().zip(self.config.counts()).filter(|(_, count)| *count > 0);
        kinds.map(|(name, count)| AgentKind::new(name, count, &[self.length()], actions())).collect()
    }

    fn state(&self) -> usize {
        1 + STATE * self.layout.kinds.len()
    }

    fn limit(&self) -> u32 {
        self.config.max_episode_steps as u32
    }

    fn blank(&self) -> Traffic {
        Traffic::blank(self.layout.kinds.len(), self.road().lanes)
    }

    fn reset(&self, world: &mut Traffic, _episode: u64, random: &mut Pcg64) {
        self.layout.reset(world, random);
    }

    fn step(&self, world: &mut Traffic, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.costs.fill(0.0);
        self.change_lanes(world, actions);
        self.accelerate(world, actions);
        // Lane changes may have put vehicles upon others.
        let before: Vec<f64> = (0..world.vehicles.len())
            .map(|n| world.ahead(n).map_or(f64::INFINITY, |ahead| self.layout.gap(world, n, ahead)))
            .collect();
        self.advance(world);
        let collided = self.collide(world, &before);
        world.steps += 1;
        world.look();
        let common = self.road().pay.emergency * self.urgency(world);
        for (reward, cost) in pay.rewards.iter_mut().zip(&world.costs) {
            *reward = -(cost + common) as f32;
        }
        if collided { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, world: &Traffic, view: &mut View) {
        let road = self.road();
        let leader = &world.vehicles[self.layout.leader()];
        let furthest = (road.lanes - 1).max(1) as f32;
        let mut vehicle = 0;
        let counts = self.config.counts().into_iter().filter(|count| *count > 0);
        for (kind, count) in counts.enumerate() {
            for number in 0..count {
                let (own, body) = (&world.vehicles[vehicle], self.body(vehicle));
                let seen = view.observation(kind, number);
                let emergency = self.kind(vehicle) == EMERGENCY;
                let rest = 1.0 - (own.position - own.start) / road.distance;
                seen[..OWN].copy_from_slice(&[
                    ((own.position - leader.position) / 100.0) as f32,
                    own.lane as f32 / furthest,
                    (own.speed / 30.0) as f32,
                    (own.acceleration / 5.0) as f32,
                    ((body.desired_speed - own.speed) / 10.0) as f32,
                    own.criticality as f32,
                    if own.pause > 0.0 { 0.0 } else { 1.0 },
                    if emergency { rest.clamp(0.0, 1.0) as f32 } else { 0.0 },
                ]);
                for (side, part) in seen[OWN..].chunks_exact_mut(LANE).enumerate() {
                    let Some(_) = self.lane(own.lane, side) else {
                        part.fill(0.0);
                        continue;
                    };
                    let (ahead, behind) =
                        (world.around[vehicle].ahead[side], world.around[vehicle].behind[side]);
                    part.copy_from_slice(&[1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
                    for (at, other, sight) in [(1, ahead, road.sight), (4, behind, road.sight_behind)] {
                        let Some(other) = Some(other).filter(|n| *n != NOBODY).map(|n| n as usize) else {
                            continue;
                        };
                        let gap = match at {
                            1 => self.layout.gap(world, vehicle, other),
                            _ => self.layout.gap(world, other, vehicle),
                        };
                        if gap <= sight && (at == 1 || sight > 0.0) {
                            let closing = (own.speed - world.vehicles[other].speed) / 10.0;
                            part[at..at + 3].copy_from_slice(&[near(gap), closing as f32, 1.0]);
                        }
                    }
                }
                vehicle += 1;
            }
        }
        let state = view.state();
        state[0] = (f64::from(world.steps) / self.config.max_episode_steps as f64) as f32;
        for (vehicle, part) in world.vehicles.iter().zip(state[1..].chunks_exact_mut(STATE)) {
            part.copy_from_slice(&[
                ((vehicle.position - leader.position) / 100.0) as f32,
                vehicle.lane as f32 / furthest,
                (vehicle.speed / 30.0) as f32,
                (vehicle.acceleration / 5.0) as f32,
                vehicle.criticality as f32,
                if vehicle.arrived >= 0.0 { 1.0 } else { 0.0 },
            ]);
        }
    }

    fn metrics(&self, world: &Traffic) -> Vec<f64> {
        self.layout.measures(world, self.config.step)
    }

    fn draw(&self, world: &Traffic) -> Option<Drawing> {
        Some(draw::road(self, world))
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["acceleration", "lane change"][..self.floats()])
    }

    fn facts(&self) -> Vec<Fact> {
        if self.config.emergency > 0 { vec![Fact::new("criticality", LEVELS)] } else { Vec::new() }
    }

    /// Criticality in so many equal parts, of emergency vehicles alone.
    fn fact_values(&self, world: &Traffic, agent: usize) -> Vec<Option<u32>> {
        let emergency = agent < self.layout.agents && self.kind(agent) == EMERGENCY;
        let level = |criticality: f64| ((criticality * LEVELS as f64) as u32).min(LEVELS as u32 - 1);
        vec![emergency.then(|| level(world.vehicles[agent].criticality))]
    }

    fn visit(&self, world: &mut Traffic, codec: &mut Codec) -> Result<()> {
        self.layout.visit(world, codec)
    }

    fn valid(&self, world: &Traffic) -> bool {
        self.layout.valid(world) && world.steps as usize <= self.config.max_episode_steps
    }
}
