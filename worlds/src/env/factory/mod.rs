//! A factory whose machines wear and fail, and whose agents are of three kinds that need each other: sensors see the
//! machines, processors see the orders, actuators command the machines and see neither.
//!
//! The machines are those of the theory of maintenance (Derman 1963, "On optimal replacement rules when changes of
//! state are Markovian"): wear is a Markov chain, worn machines fail, and what is to be chosen is when to repair. The
//! orders are queues with impatient customers (Palm 1957; Erlang-A). Agents have no talk of their own in this world:
//! what they tell each other is a matter of the agent's settings.
//!
//! ```
//! use synod_worlds::env::factory::{FactoryConfig, Optimum, Silent};
//! let config = FactoryConfig { horizon: 5, ..FactoryConfig::small() };
//! let (best, silent) = (Optimum::new(&config)?.value(), Silent::new(&config)?);
//! assert!(silent.least <= silent.most && silent.most < best);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

mod config;
mod draw;
mod floor;
mod model;
pub mod optimum;
pub mod scripted;

use std::sync::OnceLock;

use serde::Serialize;

use super::drawing::{Drawing, names};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use super::{AgentKind, Fact};
use crate::error::Result;
pub use config::{COMMANDS, FactoryConfig, HIGH, LOW, MOST_MACHINES, OFF, REPAIR};
pub use floor::{Floor, Machine, Orders, Status};
pub use model::Model;
pub use optimum::{Optimum, Silent, Told, bound, late};
pub use scripted::{HighRate, Script};

/// Many factories at once.
pub type Factory = Vectorised<FactoryRules>;

crate::env::config::world!(
    FactoryConfig => Factory,
    "factory",
    "machines that wear, orders that come: sensors, processors and actuators that need each other"
);

/// Kinds of agent, in their order.
const SENSOR: usize = 0;
const PROCESSOR: usize = 1;
const ACTUATOR: usize = 2;

/// Statuses of a machine that a sensor tells apart.
const STATUSES: usize = 4;

/// What the commands are called.
const NAMES: [&str; COMMANDS] = ["off", "low", "high", "repair"];

/// The settings, and what returns are measured by: computed when an episode is first reported.
#[derive(Debug, Clone, Serialize)]
pub struct FactoryRules {
    config: FactoryConfig,
    #[serde(skip)]
    yardsticks: OnceLock<[f64; 2]>,
}

impl From<FactoryConfig> for FactoryRules {
    fn from(config: FactoryConfig) -> Self {
        FactoryRules { config, yardsticks: OnceLock::new() }
    }
}

impl FactoryRules {
    /// The settings.
    pub fn config(&self) -> &FactoryConfig {
        &self.config
    }

    /// The best expected return, 0 where it is not known, and the mean return of the tuned rule.
    pub fn yardsticks(&self) -> [f64; 2] {
        *self.yardsticks.get_or_init(|| {
            let best = Optimum::new(&self.config).map_or(0.0, |optimum| optimum.value());
            [best, Script::tuned(&self.config).value(&self.config)]
        })
    }

    /// The actions of the actuators that give these commands to the machines.
    pub fn actions(&self, commands: &[u32]) -> Vec<u32> {
        let mut actions = vec![0; self.config.actuators];
        for (number, command) in commands.iter().enumerate() {
            let (actuator, place) = self.actuator(number);
            actions[actuator] += place * command;
        }
        actions
    }

    /// Who commands a machine, and the place of its command in the action.
    fn actuator(&self, machine: usize) -> (usize, u32) {
        let actuators = self.config.actuators;
        (machine % actuators, (COMMANDS as u32).pow((machine / actuators) as u32))
    }

    /// Numbers that a sensor sees of a machine.
    fn sensed(&self) -> usize {
        STATUSES + self.config.wear_levels + 2
    }
}

impl Rules for FactoryRules {
    type World = Floor;
    const NAME: &'static str = "factory";
    const METRICS: &'static [&'static str] = &["optimum_share", "scripted_share", "orders", "lost", "faults"];

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    fn check(&self) -> Result<()> {
        self.config.check()
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let c = &self.config;
        let commanded = c.each(c.actuators);
        vec![
            AgentKind::discrete("sensor", c.sensors, c.each(c.sensors) * self.sensed(), 1),
            AgentKind::discrete("processor", c.processors, c.queue + 2, 1),
            AgentKind::discrete(
                "actuator",
                c.actuators,
                commanded * COMMANDS,
                COMMANDS.pow(commanded as u32),
            ),
        ]
    }

    fn state(&self) -> usize {
        self.kinds().iter().map(|kind| kind.count * kind.observation[0]).sum()
    }

    fn limit(&self) -> u32 {
        self.config.horizon as u32
    }

    fn blank(&self) -> Floor {
        Floor::new(&self.config)
    }

    fn reset(&self, world: &mut Floor, _episode: u64, _random: &mut Pcg64) {
        world.restart();
    }

    fn step(&self, world: &mut Floor, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(ACTUATOR);
        let commands = (0..self.config.machines).map(|machine| {
            let (actuator, place) = self.actuator(machine);
            actions[actuator] / place % COMMANDS as u32
        });
        let paid = world.advance(&self.config, commands, random);
        pay.rewards.fill(paid as f32);
        if world.steps() >= self.config.horizon { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, world: &Floor, view: &mut View) {
        let c = &self.config;
        for kind in [SENSOR, PROCESSOR, ACTUATOR] {
            view.observations(kind).fill(0.0);
        }
        for (number, machine) in world.machines.iter().enumerate() {
            let (length, place) = (self.sensed(), number / c.sensors);
            let seen = &mut view.observation(SENSOR, number % c.sensors)[place * length..][..length];
            seen[machine.status() as usize] = 1.0;
            seen[STATUSES + machine.wear()] = 1.0;
            seen[length - 2..].copy_from_slice(&[machine.temperature, machine.vibration]);
            let (actuator, place) = (number % c.actuators, number / c.actuators);
            view.observation(ACTUATOR, actuator)[place * COMMANDS + machine.command as usize] = 1.0;
        }
        for (number, orders) in world.queues.iter().enumerate() {
            let seen = view.observation(PROCESSOR, number);
            seen[orders.waiting()] = 1.0;
            seen[c.queue + 1] = world.step as f32 / c.horizon as f32;
        }
        view.state_of_observations();
    }

    fn metrics(&self, world: &Floor) -> Vec<f64> {
        let counts = &world.counts;
        let share = |whole: f64| if whole > 0.0 { counts.paid / whole } else { 0.0 };
        let [best, scripted] = self.yardsticks().map(share);
        vec![best, scripted, counts.orders as f64, counts.lost as f64, counts.faults as f64]
    }

    fn draw(&self, world: &Floor) -> Option<Drawing> {
        Some(draw::floor(&self.config, world))
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        let c = &self.config;
        if agent < c.sensors + c.processors {
            return names(&["nothing"]);
        }
        let commanded = c.each(c.actuators) as u32;
        let name = |action: usize| {
            let each = (0..commanded).map(|place| NAMES[action / COMMANDS.pow(place) % COMMANDS]);
            each.collect::<Vec<_>>().join(", ")
        };
        (0..COMMANDS.pow(commanded)).map(name).collect()
    }

    /// What sensors know of each of their machines, and what processors know: `status 0`, `wear 0`, .., `orders`;
    /// without numbers where no sensor has several machines.
    fn facts(&self) -> Vec<Fact> {
        let places = self.config.each(self.config.sensors);
        let name = |name: &str, place| if places == 1 { name.to_owned() } else { format!("{name} {place}") };
        let of_machine = |place| {
            [
                Fact::new(&name("status", place), STATUSES),
                Fact::new(&name("wear", place), self.config.wear_levels),
            ]
        };
        let mut facts: Vec<Fact> = (0..places).flat_map(of_machine).collect();
        facts.push(Fact::new("orders", self.config.queue + 1));
        facts
    }

    fn fact_values(&self, world: &Floor, agent: usize) -> Vec<Option<u32>> {
        let c = &self.config;
        let mut values = vec![None; 2 * c.each(c.sensors) + 1];
        if agent < c.sensors {
            for (place, machine) in world.machines.iter().skip(agent).step_by(c.sensors).enumerate() {
                values[2 * place] = Some(machine.status() as u32);
                values[2 * place + 1] = Some(machine.wear);
            }
        } else if let Some(last) = values.last_mut() {
            *last = world.queues.get(agent - c.sensors).map(|orders| orders.waiting);
        }
        values
    }

    fn visit(&self, world: &mut Floor, codec: &mut Codec) -> Result<()> {
        world.visit(codec)
    }

    fn valid(&self, world: &Floor) -> bool {
        world.valid(&self.config)
    }
}
