//! A rule that sees the whole factory and decides by thresholds, tuned for each factory: a yardstick where there are
//! too many states for the optimum.
//!
//! A processor's machines are taken in the order of their wear, the least worn first. The faulty and those worn to
//! `busy_repair` are repaired. Of the others as many are set to run as there are orders for, by one of three ways to
//! use the high rate; of those that then have nothing to do the ones worn to `idle_repair` are repaired. Nothing is
//! repaired in the last steps of an episode.

use super::config::{FactoryConfig, HIGH, LOW, OFF, REPAIR};
use super::floor::Floor;
use crate::env::pathfinding::Pcg64;

/// When machines run at the high rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HighRate {
    /// Never.
    Never,
    /// Where there are more orders than machines.
    WhereNeeded,
    /// Wherever two orders are left for a machine.
    First,
}

/// The thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// The wear from which a machine without work is repaired.
    pub idle_repair: usize,
    /// The wear from which any machine is repaired.
    pub busy_repair: usize,
    /// When machines run at the high rate.
    pub high_rate: HighRate,
    /// Steps at the end of an episode in which nothing is repaired.
    pub last: usize,
}

/// Steps of machines that tuning may take, and that the mean may take. At least a few episodes are played.
const STEPS: usize = 1 << 20;

/// Seeds of the episodes that thresholds are chosen by, and of those that the mean is taken over.
const SEEDS: [u32; 2] = [0x5eed, 0xfeed];

impl Script {
    /// The thresholds with the largest mean return over some episodes, the same for all. The first of those that are
    /// as good as each other, in a fixed order.
    pub fn tuned(config: &FactoryConfig) -> Script {
        let candidates = Self::candidates(config);
        let each = config.horizon * config.machines;
        let episodes = (STEPS / (each * candidates.len()).max(1)).clamp(4, 128);
        let mut best = (f64::NEG_INFINITY, candidates[0]);
        for script in candidates {
            let mean = script.mean(config, episodes, SEEDS[0]);
            if mean > best.0 {
                best = (mean, script);
            }
        }
        best.1
    }

    /// The mean return of the rule over episodes that were not used to tune it.
    pub fn value(&self, config: &FactoryConfig) -> f64 {
        let episodes = (STEPS / (config.horizon * config.machines)).clamp(16, 4096);
        self.mean(config, episodes, SEEDS[1])
    }

    fn candidates(config: &FactoryConfig) -> Vec<Script> {
        let stride = config.wear_levels.div_ceil(4);
        let levels = || (1..=config.wear_levels).filter(move |wear| wear % stride == 0 || *wear == 1);
        let mut all = Vec::new();
        for idle_repair in levels() {
            for busy_repair in levels().filter(|wear| *wear >= idle_repair) {
                for high_rate in [HighRate::Never, HighRate::WhereNeeded, HighRate::First] {
                    let script = |last| Script { idle_repair, busy_repair, high_rate, last };
                    all.extend([0, 1, 2, 4, 8].map(script));
                }
            }
        }
        all
    }

    fn mean(&self, config: &FactoryConfig, episodes: usize, seed: u32) -> f64 {
        let mut floor = Floor::new(config);
        let mut commands = vec![OFF; config.machines];
        let mut total = 0.0;
        for episode in 0..episodes {
            let mut random = Pcg64::from_entropy(&[seed, episode as u32]);
            floor.restart();
            for _ in 0..config.horizon {
                self.decide(config, &floor, &mut commands);
                total += floor.advance(config, commands.iter().copied(), &mut random);
            }
        }
        total / episodes as f64
    }

    /// The commands to the machines of a floor.
    pub fn commands(&self, config: &FactoryConfig, floor: &Floor) -> Vec<u32> {
        let mut commands = vec![OFF; config.machines];
        self.decide(config, floor, &mut commands);
        commands
    }

    fn decide(&self, config: &FactoryConfig, floor: &Floor, commands: &mut [u32]) {
        let repairs = floor.steps() + self.last < config.horizon;
        commands.fill(OFF);
        for (processor, orders) in floor.queues.iter().enumerate() {
            let mut free: Vec<usize> = Vec::new();
            for number in (processor..config.machines).step_by(config.processors) {
                let machine = &floor.machines[number];
                if machine.faulty || machine.wear() >= self.busy_repair && repairs {
                    commands[number] = if repairs { REPAIR } else { OFF };
                } else if machine.left == 0 {
                    free.push(number);
                }
            }
            free.sort_by_key(|number| floor.machines[*number].wear);
            let mut left = orders.waiting();
            for number in &free {
                commands[*number] = match left {
                    0 => OFF,
                    1 => LOW,
                    _ if self.high_rate == HighRate::First => HIGH,
                    _ => LOW,
                };
                left -= left.min(commands[*number] as usize);
            }
            if self.high_rate == HighRate::WhereNeeded {
                for number in free.iter().take(left) {
                    commands[*number] = HIGH;
                }
            }
            let idle = |number: &&usize| {
                commands[**number] == OFF && floor.machines[**number].wear() >= self.idle_repair
            };
            let worn: Vec<usize> = free.iter().filter(idle).filter(|_| repairs).copied().collect();
            worn.into_iter().for_each(|number| commands[number] = REPAIR);
        }
    }
}
