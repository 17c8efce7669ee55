//! The traffic junction of CommNet (arXiv 1605.07736, section 4.2) with the rules of IC3Net's code (arXiv 1812.09755):
//! cars that see next to nothing pass each other at junctions. How agents talk does not live here.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("traffic_junction")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: gas
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod routes;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{Cells, DISC, Drawing, RING, Role, Shape, middle, names};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::{Error, Result};
use routes::{Cell, Roads};

/// An action: move one cell along the way.
pub const GAS: u32 = 0;
/// An action: stay.
pub const BRAKE: u32 = 1;

/// The layouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Difficulty {
    /// 7 x 7, two one-way roads, one junction, 2 ways.
    Easy,
    /// 14 x 14, two two-way roads, one junction of 2 x 2 cells, 12 ways.
    Medium,
    /// 18 x 18, four two-way roads, four junctions, 56 ways.
    Hard,
}

/// How a car sees where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Last action, way over the number of ways, row and column over the side; then for each cell in view whether it
    /// is road, and its cars (itself too).
    Scalar,
    /// Last action, way over the number of ways; then for each cell in view which cell of the roads it is (one-hot,
    /// with one place for outside), and its cars.
    OneHot,
}

/// The settings of [`TrafficJunction`].
///
/// Each slot for a car is an agent. At every step, after the cars have moved, each arrival point gets a car with
/// probability `arrival_rate` while there are free slots: any free slot, on any way from that point. Gas moves a car
/// one cell along its way, brake leaves it; at the end of the way it is gone (terminated) and its slot free. A car
/// that has been here for `t` steps pays `0.01 t` a step, and 10 where it shares its cell with another. Cars drive on
/// after a collision. A slot without a car takes no part; it comes back with its next car in the same episode. What
/// a new car meets on its first cell is counted, but nothing is paid for it: it could not have acted.
///
/// Reports have `success` (1 where no cars collided in the whole episode), `collisions` (cars that shared a cell,
/// summed over steps) and `passed` (cars that reached the end of their way).
///
/// The state for a centralised critic is, per slot: whether there is a car, row, column, way and last action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrafficJunctionConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// The layout.
    pub difficulty: Difficulty,
    /// Slots for cars.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub agents: usize,
    /// The probability of a car at each arrival point at a step, in [0, 1].
    #[schemars(range(min = 0.0, max = 1.0))]
    pub arrival_rate: f64,
    /// A curriculum: this probability until a world's episode number `curriculum_start`, then evenly up to
    /// `arrival_rate` at `curriculum_end`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub first_arrival_rate: f64,
    /// See `first_arrival_rate`.
    pub curriculum_start: u64,
    /// See `first_arrival_rate`; 0 for no curriculum.
    pub curriculum_end: u64,
    /// How far a car sees in each direction, in cells.
    #[schemars(range(min = 0, max = 64))]
    pub vision: usize,
    /// How it sees where it is.
    pub encoding: Encoding,
    /// Let no car in where one stands. In the published rules one is put on top of the other, a collision.
    pub wait_at_entry: bool,
    /// Steps in an episode.
    #[schemars(range(min = 1, max = 1 << 24))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    TrafficJunctionConfig => TrafficJunction,
    "traffic_junction",
    "CommNet's and IC3Net's traffic junction",
    fn after_curriculum(&self) -> Option<crate::env::WorldConfig> {
        Some(crate::env::WorldConfig::new(Self { curriculum_end: 0, ..self.clone() }))
    }
);

impl Default for TrafficJunctionConfig {
    /// [`TrafficJunctionConfig::easy`].
    fn default() -> Self {
        Self::easy()
    }
}

impl TrafficJunctionConfig {
    /// IC3Net's easy task: 5 cars, rate .3, 20 steps, own cell in view; 64 worlds, no curriculum.
    pub fn easy() -> Self {
        TrafficJunctionConfig {
            worlds: 64,
            difficulty: Difficulty::Easy,
            agents: 5,
            arrival_rate: 0.3,
            first_arrival_rate: 0.1,
            curriculum_start: 0,
            curriculum_end: 0,
            vision: 0,
            encoding: Encoding::OneHot,
            wait_at_entry: false,
            max_episode_steps: 20,
        }
    }

    /// IC3Net's medium task: 10 cars, rate .2, 40 steps.
    pub fn medium() -> Self {
        TrafficJunctionConfig {
            difficulty: Difficulty::Medium,
            agents: 10,
            arrival_rate: 0.2,
            first_arrival_rate: 0.05,
            max_episode_steps: 40,
            ..Self::easy()
        }
    }

    /// IC3Net's hard task: 20 cars, rate .05, 80 steps.
    pub fn hard() -> Self {
        TrafficJunctionConfig {
            difficulty: Difficulty::Hard,
            agents: 20,
            arrival_rate: 0.05,
            first_arrival_rate: 0.02,
            max_episode_steps: 80,
            ..Self::easy()
        }
    }

    /// The rate in a world's episode of this number, from 0.
    pub fn rate(&self, episode: u64) -> f64 {
        let (start, end) = (self.curriculum_start, self.curriculum_end);
        if episode >= end {
            return self.arrival_rate;
        }
        let done = episode.saturating_sub(start) as f64 / (end - start) as f64;
        self.first_arrival_rate + (self.arrival_rate - self.first_arrival_rate) * done
    }
}

/// The settings with their roads.
#[derive(Debug, Clone, Serialize)]
pub struct TrafficJunctionRules {
    config: TrafficJunctionConfig,
    #[serde(skip)]
    roads: Roads,
    #[serde(skip)]
    ways: Vec<Vec<Cell>>,
}

/// Many traffic junctions at once.
pub type TrafficJunction = Vectorised<TrafficJunctionRules>;

impl From<TrafficJunctionConfig> for TrafficJunctionRules {
    fn from(config: TrafficJunctionConfig) -> Self {
        Self::new(config)
    }
}

/// A slot for a car.
#[derive(Debug, Clone, Copy, Default)]
struct Car {
    here: bool,
    way: u16,
    /// How far along its way it is.
    along: u16,
    /// Steps since it came.
    wait: u32,
    braked: bool,
}

/// A junction between two steps.
#[derive(Debug, Clone)]
pub struct Traffic {
    cars: Vec<Car>,
    rate: f64,
    collisions: u64,
    passed: u64,
    /// Cars on each cell; follows from the cars.
    count: Vec<u16>,
}

impl TrafficJunctionRules {
    /// The rules for these settings.
    pub fn new(config: TrafficJunctionConfig) -> Self {
        let roads = Roads::new(config.difficulty);
        let ways = roads.ways();
        TrafficJunctionRules { config, roads, ways }
    }

    /// The settings.
    pub fn config(&self) -> &TrafficJunctionConfig {
        &self.config
    }

    /// Where each car is (row, column); `None` for a slot without one.
    pub fn positions(&self, world: &Traffic) -> Vec<Option<(usize, usize)>> {
        let place = |car: &Car| {
            let (row, column) = self.place(car);
            (usize::from(row), usize::from(column))
        };
        world.cars.iter().map(|car| car.here.then(|| place(car))).collect()
    }

    /// The cells of each car's way that lie before it; empty for a slot without one.
    pub fn ahead(&self, world: &Traffic, agent: usize) -> Vec<(usize, usize)> {
        let Some(car) = world.cars.get(agent).filter(|car| car.here) else { return Vec::new() };
        let rest = &self.ways[usize::from(car.way)][usize::from(car.along) + 1..];
        rest.iter().map(|(row, column)| (usize::from(*row), usize::from(*column))).collect()
    }

    fn place(&self, car: &Car) -> Cell {
        self.ways[usize::from(car.way)][usize::from(car.along)]
    }

    fn cell(&self, car: &Car) -> usize {
        let (row, column) = self.place(car);
        usize::from(row) * self.roads.side + usize::from(column)
    }

    /// Numbers per cell in view.
    fn vocabulary(&self) -> usize {
        match self.config.encoding {
            Encoding::Scalar => 2,
            Encoding::OneHot => self.roads.cells + 2,
        }
    }

    fn length(&self) -> usize {
        let head = if self.config.encoding == Encoding::Scalar { 4 } else { 2 };
        head + (2 * self.config.vision + 1).pow(2) * self.vocabulary()
    }

    fn recount(&self, world: &mut Traffic) {
        world.count.fill(0);
        for car in world.cars.iter().filter(|car| car.here) {
            world.count[self.cell(car)] += 1;
        }
    }

    fn add_cars(&self, world: &mut Traffic, random: &mut Pcg64) {
        let mut first = 0;
        for ways in &self.roads.arrivals {
            let (from, count) = (first, ways.len());
            first += count;
            let free = world.cars.iter().filter(|car| !car.here).count();
            if free == 0 {
                return;
            }
            if random.double() >= world.rate {
                continue;
            }
            let slot = random.below(free as u32) as usize;
            let way = (from + random.below(count as u32) as usize) as u16;
            let new = Car { here: true, way, ..Car::default() };
            let cell = self.cell(&new);
            if self.config.wait_at_entry && world.count[cell] > 0 {
                continue;
            }
            if let Some(car) = world.cars.iter_mut().filter(|car| !car.here).nth(slot) {
                *car = new;
                world.count[cell] += 1;
            }
        }
    }
}

impl Rules for TrafficJunctionRules {
    type World = Traffic;
    const NAME: &'static str = "traffic_junction";
    const METRICS: &'static [&'static str] = &["success", "collisions", "passed"];

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    fn check(&self) -> Result<()> {
        let config = &self.config;
        crate::schema::check("world", config)?;
        if config.curriculum_end > 0 && config.curriculum_start >= config.curriculum_end {
            let message = format!("expected less than curriculum_end, {}", config.curriculum_end);
            return Err(Error::config("world.curriculum_start", message));
        }
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("car", self.config.agents, self.length(), 2)]
    }

    fn state(&self) -> usize {
        5 * self.config.agents
    }

    fn limit(&self) -> u32 {
        self.config.max_episode_steps as u32
    }

    fn blank(&self) -> Traffic {
        Traffic {
            cars: vec![Car::default(); self.config.agents],
            rate: 0.0,
            collisions: 0,
            passed: 0,
            count: vec![0; self.roads.side * self.roads.side],
        }
    }

    fn reset(&self, world: &mut Traffic, episode: u64, _random: &mut Pcg64) {
        world.cars.fill(Car::default());
        world.rate = self.config.rate(episode);
        (world.collisions, world.passed) = (0, 0);
        world.count.fill(0);
    }

    fn step(&self, world: &mut Traffic, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(0);
        for (agent, car) in world.cars.iter_mut().enumerate().filter(|(_, car)| car.here) {
            car.wait += 1;
            car.braked = actions[agent] == BRAKE;
            if car.braked {
                continue;
            }
            car.along += 1;
            if usize::from(car.along) == self.ways[usize::from(car.way)].len() {
                *car = Car::default();
                pay.terminated[agent] = true;
                world.passed += 1;
            }
        }
        self.recount(world);
        self.add_cars(world, random);
        for (agent, car) in world.cars.iter().enumerate().filter(|(_, car)| car.here) {
            let shared = world.count[self.cell(car)] > 1;
            world.collisions += u64::from(shared);
            if car.wait > 0 {
                pay.rewards[agent] = -0.01 * car.wait as f32 - if shared { 10.0 } else { 0.0 };
            }
        }
        Outcome::GoesOn
    }

    fn active(&self, world: &Traffic, active: &mut [bool]) {
        for (active, car) in active.iter_mut().zip(&world.cars) {
            *active = car.here;
        }
    }

    fn observe(&self, world: &Traffic, view: &mut View) {
        let (side, vision, vocabulary) = (self.roads.side, self.config.vision, self.vocabulary());
        let most = (side - 1) as f32;
        let number = |flag: bool| f32::from(u8::from(flag));
        let way_of = |car: &Car| f32::from(car.way) / (self.ways.len() - 1) as f32;
        for (agent, car) in world.cars.iter().enumerate() {
            let seen = view.observation(0, agent);
            seen.fill(0.0);
            if !car.here {
                continue;
            }
            let (row, column) = self.place(car);
            (seen[0], seen[1]) = (number(car.braked), way_of(car));
            let window = if self.config.encoding == Encoding::Scalar {
                (seen[2], seen[3]) = (f32::from(row) / most, f32::from(column) / most);
                &mut seen[4..]
            } else {
                &mut seen[2..]
            };
            for (at, part) in window.chunks_exact_mut(vocabulary).enumerate() {
                let r = (usize::from(row) + at / (2 * vision + 1)).checked_sub(vision);
                let c = (usize::from(column) + at % (2 * vision + 1)).checked_sub(vision);
                let cell = r.zip(c).filter(|(r, c)| *r < side && *c < side).map(|(r, c)| r * side + c);
                let ground = cell.map_or(0, |cell| self.roads.ground[cell]);
                match self.config.encoding {
                    Encoding::Scalar => part[0] = number(ground > 0),
                    Encoding::OneHot => part[usize::from(ground)] = 1.0,
                }
                part[vocabulary - 1] = cell.map_or(0.0, |cell| f32::from(world.count[cell]));
            }
        }
        for (car, part) in world.cars.iter().zip(view.state().chunks_exact_mut(5)) {
            part.fill(0.0);
            if car.here {
                let (row, column) = self.place(car);
                let (row, column) = (f32::from(row) / most, f32::from(column) / most);
                part.copy_from_slice(&[1.0, row, column, way_of(car), number(car.braked)]);
            }
        }
    }

    fn metrics(&self, world: &Traffic) -> Vec<f64> {
        let success = f64::from(u8::from(world.collisions == 0));
        vec![success, world.collisions as f64, world.passed as f64]
    }

    fn draw(&self, world: &Traffic) -> Option<Drawing> {
        let side = self.roads.side;
        let blocked = self.roads.ground.iter().map(|cell| *cell == 0).collect();
        let mut drawing = Drawing::of_cells(Cells { columns: side, rows: side, blocked, role: Role::Thing });
        for (agent, car) in world.cars.iter().enumerate().filter(|(_, car)| car.here) {
            let (row, column) = self.place(car);
            let at = middle(usize::from(row), usize::from(column));
            let ahead = self.ahead(world, agent).into_iter().map(|(row, column)| middle(row, column));
            let points = std::iter::once(at).chain(ahead).collect();
            drawing.add(Role::Agent(agent), Shape::Way { points });
            drawing.disc(Role::Agent(agent), at, DISC);
            if world.count[self.cell(car)] > 1 {
                drawing.ring(Role::Bad, at, RING, 0.0);
            }
        }
        drawing.note = format!("{} passed, {} collided", world.passed, world.collisions);
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["gas", "brake"])
    }

    fn visit(&self, world: &mut Traffic, codec: &mut Codec) -> Result<()> {
        for car in &mut world.cars {
            codec.one(&mut car.here)?;
            codec.one(&mut car.way)?;
            codec.one(&mut car.along)?;
            codec.one(&mut car.wait)?;
            codec.one(&mut car.braked)?;
            if self.ways.get(usize::from(car.way)).is_none_or(|way| usize::from(car.along) >= way.len()) {
                return Err(Error::Usage("the saved worlds are damaged".to_owned()));
            }
        }
        codec.one(&mut world.rate)?;
        codec.one(&mut world.collisions)?;
        codec.one(&mut world.passed)?;
        self.recount(world);
        Ok(())
    }

    fn valid(&self, world: &Traffic) -> bool {
        let steps = self.config.max_episode_steps;
        let most = (steps * self.config.agents) as u64;
        (0.0..=1.0).contains(&world.rate)
            && world.cars.iter().all(|car| car.wait as usize <= steps)
            && world.collisions <= most
            && world.passed <= most
    }
}
