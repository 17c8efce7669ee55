//! The floor of a factory between two steps, and what a step makes of it.

use super::config::{FactoryConfig, OFF, REPAIR};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::Codec;
use crate::error::Result;

/// How far the vibration is off, either way.
const NOISE: f32 = 0.1;

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It stands still and could run.
    Idle,
    /// It ran in the last step.
    Running,
    /// It has to be repaired.
    Faulty,
    /// It is being repaired.
    InRepair,
}

/// A machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    pub(super) wear: u32,
    pub(super) faulty: bool,
    /// Steps of its repair that are still to come.
    pub(super) left: u32,
    pub(super) command: u32,
    /// It ran in the last step, and did not fail.
    pub(super) ran: bool,
    pub(super) temperature: f32,
    pub(super) vibration: f32,
}

impl Machine {
    const NEW: Machine = Machine {
        wear: 0,
        faulty: false,
        left: 0,
        command: OFF,
        ran: false,
        temperature: 0.0,
        vibration: 0.0,
    };

    /// Its wear, from 0.
    pub fn wear(&self) -> usize {
        self.wear as usize
    }

    /// Steps of its repair that are still to come; 0 where it is not in repair.
    pub fn repair_left(&self) -> usize {
        self.left as usize
    }

    /// The last command that it was given.
    pub fn command(&self) -> u32 {
        self.command
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        match (self.left, self.faulty, self.ran) {
            (1.., _, _) => Status::InRepair,
            (_, true, _) => Status::Faulty,
            (_, _, true) => Status::Running,
            _ => Status::Idle,
        }
    }

    /// One step of it: what it pays, and the orders that it is ready for.
    fn advance(
        &mut self,
        config: &FactoryConfig,
        command: u32,
        random: &mut Pcg64,
        counts: &mut Counts,
    ) -> (f64, usize) {
        (self.command, self.ran) = (command, false);
        let (mut paid, mut ready, mut speed) = (0.0, 0, 0.0);
        if self.left > 0 {
            self.left -= 1;
            if self.left == 0 {
                self.wear = 0;
            }
        } else if command == REPAIR {
            paid -= config.repair_cost;
            counts.repairs += 1;
            self.faulty = false;
            self.left = config.repair_steps as u32 - 1;
            if self.left == 0 {
                self.wear = 0;
            }
        } else if let Some((energy, wears, orders)) = config.rate(command).filter(|_| !self.faulty) {
            paid -= energy;
            speed = orders as f32 / 2.0;
            if random.double() < config.fails(self.wear()) {
                paid -= config.fault_cost;
                counts.faults += 1;
                self.faulty = true;
                self.wear = config.wear_levels as u32 - 1;
            } else {
                (self.ran, ready) = (true, orders);
                let worn = random.double() < wears;
                self.wear = (self.wear + u32::from(worn)).min(config.wear_levels as u32 - 1);
            }
        }
        self.temperature += (speed - self.temperature) / 2.0;
        let off = NOISE * (2.0 * random.double() as f32 - 1.0);
        self.vibration = self.wear as f32 / (config.wear_levels - 1) as f32 * speed + off;
        (paid, ready)
    }
}

/// The orders at a processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    pub(super) waiting: u32,
}

impl Orders {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting as usize
    }

    /// One step of them, where machines are ready for so many: what it pays.
    fn advance(
        &mut self,
        config: &FactoryConfig,
        ready: usize,
        random: &mut Pcg64,
        counts: &mut Counts,
    ) -> f64 {
        let made = self.waiting.min(ready as u32);
        let rest = self.waiting - made;
        let mut paid = config.revenue * f64::from(made) - config.late_cost * f64::from(rest);
        let withdrawn = (0..rest).filter(|_| random.double() < config.withdrawal).count() as u32;
        let arrived = if random.double() < config.arrival { config.batch as u32 } else { 0 };
        let all = rest - withdrawn + arrived;
        self.waiting = all.min(config.queue as u32);
        let lost = withdrawn + all - self.waiting;
        paid -= config.lost_cost * f64::from(lost);
        counts.orders += u64::from(made);
        counts.lost += u64::from(lost);
        paid
    }
}

/// What an episode is judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    pub paid: f64,
    pub orders: u64,
    pub lost: u64,
    pub faults: u64,
    pub repairs: u64,
}

/// A factory between two steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Floor {
    pub(super) machines: Vec<Machine>,
    pub(super) queues: Vec<Orders>,
    pub(super) step: u32,
    pub(super) counts: Counts,
    /// Room for what the machines of each processor are ready for.
    ready: Vec<usize>,
}

impl Floor {
    /// A factory at the start of an episode.
    pub fn new(config: &FactoryConfig) -> Floor {
        Floor {
            machines: vec![Machine::NEW; config.machines],
            queues: vec![Orders::default(); config.processors],
            step: 0,
            counts: Counts::default(),
            ready: vec![0; config.processors],
        }
    }

    /// The machines.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The orders at each processor.
    pub fn queues(&self) -> &[Orders] {
        &self.queues
    }

    /// Steps of the episode that are over.
    pub fn steps(&self) -> usize {
        self.step as usize
    }

    /// Back to the start of an episode.
    pub(super) fn restart(&mut self) {
        self.machines.fill(Machine::NEW);
        self.queues.fill(Orders::default());
        (self.step, self.counts) = (0, Counts::default());
    }

    /// One step with a command for each machine; what it pays.
    pub(super) fn advance(
        &mut self,
        config: &FactoryConfig,
        commands: impl Iterator<Item = u32>,
        random: &mut Pcg64,
    ) -> f64 {
        let Floor { machines, queues, step, counts, ready } = self;
        let mut paid = 0.0;
        ready.fill(0);
        for (number, (machine, command)) in machines.iter_mut().zip(commands).enumerate() {
            let (pays, orders) = machine.advance(config, command, random, counts);
            paid += pays;
            ready[number % config.processors] += orders;
        }
        for (orders, ready) in queues.iter_mut().zip(ready) {
            paid += orders.advance(config, *ready, random, counts);
        }
        *step += 1;
        counts.paid += paid;
        paid
    }

    /// Writes or reads all of it.
    pub(super) fn visit(&mut self, codec: &mut Codec) -> Result<()> {
        for machine in &mut self.machines {
            codec.one(&mut machine.wear)?;
            codec.one(&mut machine.faulty)?;
            codec.one(&mut machine.left)?;
            codec.one(&mut machine.command)?;
            codec.one(&mut machine.ran)?;
            codec.one(&mut machine.temperature)?;
            codec.one(&mut machine.vibration)?;
        }
        for orders in &mut self.queues {
            codec.one(&mut orders.waiting)?;
        }
        codec.one(&mut self.step)?;
        let Counts { paid, orders, lost, faults, repairs } = &mut self.counts;
        codec.one(paid)?;
        [orders, lost, faults, repairs].into_iter().try_for_each(|count| codec.one(count))
    }

    /// Whether such a floor can be stepped on.
    pub(super) fn valid(&self, config: &FactoryConfig) -> bool {
        let top = config.wear_levels as u32 - 1;
        let machine = |machine: &Machine| {
            machine.wear <= top
                && machine.left < config.repair_steps as u32
                && machine.command <= REPAIR
                && !(machine.faulty && (machine.left > 0 || machine.wear < top))
                && !(machine.ran && (machine.faulty || machine.left > 0))
                && (0.0..=1.0).contains(&machine.temperature)
                && (-1.0..=2.0).contains(&machine.vibration)
        };
        let orders = |orders: &Orders| orders.waiting <= config.queue as u32;
        let counts = &self.counts;
        let few = [counts.orders, counts.lost, counts.faults, counts.repairs].iter().all(|n| *n < 1 << 40);
        self.machines.iter().all(machine)
            && self.queues.iter().all(orders)
            && self.step as usize <= config.horizon
            && counts.paid.abs() < 1e12
            && few
    }
}
