//! The rules of the world.

use serde::Serialize;

use super::config::{ActionKind, ControlConfig, Driver, Model, RoadsConfig};
use super::control::Signals;
use super::draw;
use super::motion::FreeFlow;
use super::observe::{OTHER, OWN};
use super::tick::PARTS;
use super::traffic::{Layout, Traffic};
use crate::action::ActionSpace;
use crate::env::AgentKind;
use crate::env::drawing::{Drawing, names};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, View};
use crate::error::Result;

/// The settings with what follows from them.
#[derive(Debug, Clone, Serialize)]
pub struct RoadsRules {
    config: RoadsConfig,
    #[serde(skip)]
    layout: Layout,
}

impl RoadsRules {
    /// The rules for these settings.
    ///
    /// # Errors
    /// As [`RoadsConfig::check`] and [`RoadsConfig::roads`].
    pub fn new(config: RoadsConfig) -> Result<Self> {
        config.check()?;
        let network = config.roads()?;
        let free = FreeFlow::new(&config, &network)?;
        let signals = Signals::new(&config.control, &network);
        let layout =
            Layout { config: config.clone(), network, signals, free, ratios: None, every_tick: false };
        Ok(RoadsRules { layout, config })
    }

    /// The settings with the roads.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Numbers or choices of an action.
    fn parts(&self) -> usize {
        let beside = self.layout.network.lanes().iter().any(|lane| lane.beside != [super::network::NONE; 2]);
        if self.config.model == Model::Bicycle || beside { 2 } else { 1 }
    }

    fn length(&self) -> usize {
        OWN + self.config.others * OTHER
    }
}

impl Rules for RoadsRules {
    type World = Traffic;
    const NAME: &'static str = "roads";
    const METRICS: &'static [&'static str] =
        &["flow", "mean_travel_time", "mean_delay", "collisions", "near_misses", "off_road", "refused"];

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    fn check(&self) -> Result<()> {
        self.config.check()
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let actions = match (self.config.driver, self.config.actions, self.config.model) {
            (Driver::Rules, ..) => ActionSpace::Discrete(1),
            (_, ActionKind::Continuous, _) => ActionSpace::uniform(self.parts(), -1.0, 1.0),
            (_, ActionKind::Discrete, _) if self.parts() == 1 => ActionSpace::Discrete(PARTS.len()),
            (_, ActionKind::Discrete, Model::Bicycle) => {
                ActionSpace::MultiDiscrete(vec![PARTS.len(), PARTS.len()])
            }
            (_, ActionKind::Discrete, Model::Lane) => ActionSpace::MultiDiscrete(vec![PARTS.len(), 3]),
        };
        vec![AgentKind::new("vehicle", self.config.agents, &[self.length()], actions)]
    }

    fn limit(&self) -> u32 {
        self.config.max_episode_steps as u32
    }

    fn blank(&self) -> Traffic {
        Traffic::blank(&self.layout)
    }

    fn reset(&self, world: &mut Traffic, _episode: u64, random: &mut Pcg64) {
        self.layout.restart(world, random);
    }

    fn step(&self, world: &mut Traffic, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.begin_step();
        let acting = world.here().count();
        for tick in 0..self.config.ticks {
            self.layout.tick(world, actions, tick, random);
        }
        let shared = self.config.pay.shared;
        let mean = world.pay.iter().sum::<f64>() / acting.max(1) as f64;
        for (agent, reward) in pay.rewards.iter_mut().enumerate() {
            pay.terminated[agent] = world.gone[agent];
            if world.acted[agent] {
                *reward = ((1.0 - shared) * world.pay[agent] + shared * mean) as f32;
            }
        }
        Outcome::GoesOn
    }

    fn active(&self, world: &Traffic, active: &mut [bool]) {
        for (active, vehicle) in active.iter_mut().zip(&world.vehicles) {
            *active = vehicle.here;
        }
    }

    fn observe(&self, world: &Traffic, view: &mut View) {
        let mut found = Vec::new();
        for (agent, vehicle) in world.vehicles.iter().enumerate() {
            let seen = view.observation(0, agent);
            match vehicle.here {
                true => self.layout.see(world, agent, seen, &mut found),
                false => seen.fill(0.0),
            }
        }
    }

    fn metrics(&self, world: &Traffic) -> Vec<f64> {
        let counts = &world.counts;
        let [flow, travel, delay] = self.layout.measures(world);
        vec![
            flow,
            travel,
            delay,
            counts.collisions as f64,
            counts.near_misses as f64,
            counts.off_road as f64,
            counts.refused as f64,
        ]
    }

    fn draw(&self, world: &Traffic) -> Option<Drawing> {
        Some(draw::roads(&self.layout, world, Some(0)))
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        let accelerations = ["brake hard", "brake", "keep", "accelerate", "accelerate hard"];
        match (self.config.driver, self.config.actions, self.config.model) {
            (Driver::Rules, ..) => names(&["nothing"]),
            (_, ActionKind::Continuous, Model::Bicycle) => names(&["acceleration", "steering"]),
            (_, ActionKind::Continuous, Model::Lane) => {
                names(&["acceleration", "lane change"][..self.parts()])
            }
            (_, ActionKind::Discrete, _) if self.parts() == 1 => names(&accelerations),
            (_, ActionKind::Discrete, Model::Bicycle) => {
                let angles = ["right", "slightly right", "straight", "slightly left", "left"];
                names(&[accelerations, angles].concat())
            }
            (_, ActionKind::Discrete, Model::Lane) => {
                names(&[&accelerations[..], &["to the right", "stay", "to the left"]].concat())
            }
        }
    }

    fn visit(&self, world: &mut Traffic, codec: &mut Codec) -> Result<()> {
        self.layout.visit(world, codec)
    }

    fn valid(&self, world: &Traffic) -> bool {
        self.layout.valid(world)
    }
}

impl RoadsConfig {
    /// Whether vehicles reserve.
    pub fn reserves(&self) -> bool {
        matches!(self.control, ControlConfig::Reservation { .. })
    }
}
