//! The rules of the world.

use serde::Serialize;

use super::config::{Cars, SignalConfig, TrafficConfig};
use super::control::STANDING;
use crate::env::AgentKind;
use crate::env::drawing::{Drawing, names};
use crate::env::pathfinding::Pcg64;
use crate::env::roads::draw;
use crate::env::roads::lights::MOST_STAGES;
use crate::env::roads::network::NONE;
use crate::env::roads::{FreeFlow, Layout, Signals, Traffic, Turn, Vehicle, Way, turning_flows};
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, View};
use crate::error::Result;

/// Options of a car: four turns, two speeds, two gaps.
const CAR_OPTIONS: usize = 16;
/// Cars that lose all their time make up a unit of a signal's pay.
const UNIT: f64 = 10.0;

/// A junction with its lanes, in the order of its movements.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossing {
    /// Those that lead to it.
    pub incoming: Vec<u32>,
    /// Those that lead away.
    pub outgoing: Vec<u32>,
}

/// A city between two steps.
#[derive(Debug, Clone)]
pub struct City {
    /// The roads, their cars and lights.
    pub roads: Traffic,
    /// Cars that stood or waited outside at the ends of steps so far.
    stood: f64,
    /// Roads between junctions that were full then.
    full: f64,
    /// Times that a light changed.
    changes: u64,
    steps: u64,
}

/// The settings with what follows from them.
#[derive(Debug, Clone, Serialize)]
pub struct TrafficRules {
    config: TrafficConfig,
    #[serde(skip)]
    layout: Layout,
    #[serde(skip)]
    crossings: Vec<Crossing>,
    /// Lanes between junctions.
    #[serde(skip)]
    links: Vec<u32>,
}

impl TrafficRules {
    /// The rules for these settings.
    ///
    /// # Errors
    /// As [`TrafficConfig::check`] and [`RoadsConfig::roads`](crate::env::roads::RoadsConfig::roads).
    pub fn new(config: TrafficConfig) -> Result<Self> {
        config.check()?;
        let roads = config.roads();
        let network = roads.roads()?;
        let free = FreeFlow::new(&roads, &network)?;
        let ratios = config.ratios();
        let signals = match (config.signals, ratios) {
            (SignalConfig::Fixed { .. }, Some(ratios)) => {
                Signals::timed(&roads.control, &network, &turning_flows(&network, &ratios))
            }
            (SignalConfig::Fixed { .. }, None) => Signals::new(&roads.control, &network),
            _ => Some(Signals::chosen(&network, config.stages, config.amber, config.clearance)),
        };
        let distinct = |lanes: &mut dyn Iterator<Item = u32>| {
            lanes.fold(Vec::new(), |mut all, lane| {
                if !all.contains(&lane) {
                    all.push(lane);
                }
                all
            })
        };
        let crossings = network
            .junctions()
            .iter()
            .map(|junction| {
                let over = || junction.movements.iter().map(|m| network.lane(*m));
                Crossing {
                    incoming: distinct(&mut over().map(|lane| lane.previous[0])),
                    outgoing: distinct(&mut over().map(|lane| lane.next[0])),
                }
            })
            .collect();
        let between = |lane: &u32| {
            let lane = network.lane(*lane);
            lane.junction == NONE && !lane.previous.is_empty() && !lane.next.is_empty()
        };
        let links = (0..network.lanes().len() as u32).filter(between).collect();
        let layout = Layout { config: roads, network, signals, free, ratios, every_tick: true };
        Ok(TrafficRules { config, layout, crossings, links })
    }

    /// The settings.
    pub fn config(&self) -> &TrafficConfig {
        &self.config
    }

    /// The roads.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The junctions.
    pub fn crossings(&self) -> &[Crossing] {
        &self.crossings
    }

    /// Lanes that lead to and from any junction at most.
    pub(super) fn widest(&self) -> [usize; 2] {
        let most = |lanes: fn(&Crossing) -> usize| self.crossings.iter().map(lanes).max().unwrap_or(0);
        [most(|crossing| crossing.incoming.len()), most(|crossing| crossing.outgoing.len())]
    }

    /// Stages of any junction at most.
    pub(super) fn most_stages(&self) -> usize {
        let count = |junction| self.layout.stages(junction).len();
        (0..self.crossings.len()).map(count).max().unwrap_or(0).clamp(1, MOST_STAGES)
    }

    /// Metres that a car takes up in a queue.
    pub(super) fn room(&self) -> f64 {
        self.config.car.length + self.config.car.jam_distance
    }

    /// Agents of the kind `signal`.
    fn signals(&self) -> usize {
        match (self.config.signals, self.config.cars) {
            (SignalConfig::Agents, _) | (_, Cars::Rules) => self.crossings.len().max(1),
            _ => 0,
        }
    }

    /// The place of the kind `car`, where there is one.
    fn cars(&self) -> Option<usize> {
        (self.config.cars == Cars::Agents).then_some(usize::from(self.signals() > 0))
    }

    fn chooses(&self) -> bool {
        self.config.signals == SignalConfig::Agents
    }

    /// Does what a car chose.
    fn steer(&self, own: &mut Vehicle, option: u32) {
        let (turn, slow, close) = (option / 4, option / 2 % 2 == 1, option % 2 == 1);
        own.pace = if slow { self.config.choice.pace } else { 1.0 };
        own.time_gap = if close { self.config.choice.time_gap } else { self.config.car.time_gap };
        if let Some(turn) = turn.checked_sub(1).map(|turn| Turn::ALL[turn as usize])
            && self.can_turn(own, turn)
        {
            own.way = Way::quickest(own.way.exit).turning(0, turn);
        }
    }

    /// The lights of all junctions as they change or not.
    fn changing(&self, traffic: &Traffic) -> u64 {
        let changes = |junction| self.layout.light(traffic, junction).is_some_and(|light| light.changes());
        (0..self.crossings.len()).filter(|junction| changes(*junction)).count() as u64
    }

    /// Counts queues and full roads at the end of a step.
    fn count(&self, city: &mut City) {
        let (layout, traffic) = (&self.layout, &city.roads);
        let standing = traffic.here().filter(|(_, car)| car.speed < STANDING).count();
        let outside: usize =
            layout.network.entries().iter().map(|lane| traffic.waiting_at(layout, *lane)).sum();
        let full = |lane: &&u32| {
            let last = traffic.on(**lane).last().map(|car| &traffic.vehicles()[*car as usize]);
            last.is_some_and(|last| {
                last.offset - self.config.car.length < self.room() && last.speed < STANDING
            })
        };
        let full = self.links.iter().filter(full).count();
        city.stood += (standing + outside) as f64;
        city.full += full as f64 / self.links.len().max(1) as f64;
        city.steps += 1;
    }
}

impl Rules for TrafficRules {
    type World = City;
    const NAME: &'static str = "traffic";
    const METRICS: &'static [&'static str] = &[
        "mean_delay",
        "flow",
        "mean_travel_time",
        "queue",
        "spill_back",
        "changes",
        "collisions",
        "refused",
    ];

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    fn check(&self) -> Result<()> {
        self.config.check()
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let options = if self.chooses() { self.most_stages() } else { 1 };
        let mut kinds = Vec::new();
        if self.signals() > 0 {
            kinds.push(AgentKind::discrete("signal", self.signals(), self.signal_length(), options));
        }
        if self.cars().is_some() {
            kinds.push(AgentKind::discrete("car", self.config.vehicles, Self::car_length(), CAR_OPTIONS));
        }
        kinds
    }

    fn masked(&self) -> bool {
        self.chooses() || self.cars().is_some()
    }

    fn limit(&self) -> u32 {
        self.config.max_episode_steps as u32
    }

    fn blank(&self) -> City {
        City { roads: Traffic::blank(&self.layout), stood: 0.0, full: 0.0, changes: 0, steps: 0 }
    }

    fn reset(&self, city: &mut City, _episode: u64, random: &mut Pcg64) {
        self.layout.restart(&mut city.roads, random);
        (city.stood, city.full, city.changes, city.steps) = (0.0, 0.0, 0, 0);
    }

    fn step(&self, city: &mut City, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        city.roads.begin_step();
        if let Some(kind) = self.cars() {
            let options = actions.discrete(kind);
            city.roads.drive(|number, own| self.steer(own, options[number]));
        }
        let before = self.changing(&city.roads);
        if self.chooses() {
            for (junction, stage) in actions.discrete(0).iter().enumerate() {
                if self.free(&city.roads, junction) {
                    self.layout.choose(&mut city.roads, junction, *stage);
                }
            }
        }
        city.changes += self.changing(&city.roads) - before;
        for tick in 0..self.config.ticks {
            let before = self.changing(&city.roads);
            self.control(&mut city.roads);
            city.changes += self.changing(&city.roads) - before;
            self.layout.tick(&mut city.roads, actions, tick, random);
        }
        self.count(city);
        self.pay(city, pay);
        Outcome::GoesOn
    }

    fn active(&self, city: &City, active: &mut [bool]) {
        if self.cars().is_some() {
            for (active, car) in active[self.signals()..].iter_mut().zip(city.roads.vehicles()) {
                *active = car.here;
            }
        }
    }

    fn observe(&self, city: &City, view: &mut View) {
        let stages = self.most_stages();
        if self.signals() > 0 {
            view.observations(0).fill(0.0);
            for junction in 0..self.crossings.len() {
                self.see_signal(city, junction, view.observation(0, junction));
                if !self.chooses() {
                    continue;
                }
                let free = self.free(&city.roads, junction);
                let kept = self.layout.light(&city.roads, junction).map_or(0, |light| light.next as usize);
                let known = self.layout.stages(junction).len();
                let masks = &mut view.masks(0)[junction * stages..][..stages];
                for (stage, mask) in masks.iter_mut().enumerate() {
                    *mask = f32::from(u8::from(stage == kept || (free && stage < known)));
                }
            }
        }
        let Some(kind) = self.cars() else { return };
        for (number, car) in city.roads.vehicles().iter().enumerate() {
            let seen = view.observation(kind, number);
            if !car.here {
                seen.fill(0.0);
                continue;
            }
            self.see_car(city, number, seen);
            let masks = &mut view.masks(kind)[number * CAR_OPTIONS..][..CAR_OPTIONS];
            for (option, mask) in masks.iter_mut().enumerate() {
                let open = option < 4 || self.can_turn(car, Turn::ALL[option / 4 - 1]);
                *mask = f32::from(u8::from(open));
            }
        }
    }

    fn metrics(&self, city: &City) -> Vec<f64> {
        let [flow, travel, delay] = self.layout.measures(&city.roads);
        let steps = city.steps.max(1) as f64;
        let hours = city.roads.seconds(&self.layout).max(1e-9) / 3600.0;
        let counts = city.roads.counts();
        vec![
            delay,
            flow,
            travel,
            city.stood / steps,
            city.full / steps,
            city.changes as f64 / hours / self.crossings.len().max(1) as f64,
            counts.collisions as f64,
            counts.refused as f64,
        ]
    }

    fn draw(&self, city: &City) -> Option<Drawing> {
        Some(draw::roads(&self.layout, &city.roads, self.cars().map(|_| self.signals())))
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        if agent < self.signals() {
            return match self.chooses() {
                true => (0..self.most_stages()).map(|stage| format!("stage {stage}")).collect(),
                false => names(&["nothing"]),
            };
        }
        let turns = ["as planned", "left", "straight on", "right"];
        let manners = ["", ", close", ", slow", ", slow, close"];
        turns.iter().flat_map(|turn| manners.iter().map(move |manner| format!("{turn}{manner}"))).collect()
    }

    fn visit(&self, city: &mut City, codec: &mut Codec) -> Result<()> {
        self.layout.visit(&mut city.roads, codec)?;
        codec.one(&mut city.stood)?;
        codec.one(&mut city.full)?;
        codec.one(&mut city.changes)?;
        codec.one(&mut city.steps)
    }

    fn valid(&self, city: &City) -> bool {
        let sums = [city.stood, city.full].iter().all(|sum| (0.0..=1e18).contains(sum));
        sums && city.steps <= self.config.max_episode_steps as u64
            && city.changes <= 1 << 48
            && self.layout.valid(&city.roads)
    }
}

impl TrafficRules {
    /// What a step pays.
    fn pay(&self, city: &City, pay: &mut Pay) {
        let (step, shared, first) = (self.config.step, self.config.shared, self.signals());
        let network = &self.layout.network;
        let lost = |lane: u32| city.roads.lost_on(lane);
        let paid: Vec<f64> = network
            .junctions()
            .iter()
            .zip(&self.crossings)
            .map(|(junction, crossing)| {
                let lanes = crossing.incoming.iter().chain(&junction.movements);
                -lanes.map(|lane| lost(*lane)).sum::<f64>() / (step * UNIT)
            })
            .collect();
        let mix = |own: f64, mean: f64| ((1.0 - shared) * own + shared * mean) as f32;
        if self.signals() > 0 {
            let mean = paid.iter().sum::<f64>() / paid.len().max(1) as f64;
            for (reward, own) in pay.rewards.iter_mut().zip(&paid) {
                *reward = mix(*own, mean);
            }
        }
        if self.cars().is_some() {
            let results = city.roads.results();
            let acting = results.clone().filter(|result| result.acted).count();
            let mean = results.clone().map(|r| r.paid).sum::<f64>() / step / acting.max(1) as f64;
            for (number, result) in results.enumerate() {
                pay.terminated[first + number] = result.gone;
                if result.acted {
                    pay.rewards[first + number] = mix(result.paid / step, mean);
                }
            }
        }
    }
}
