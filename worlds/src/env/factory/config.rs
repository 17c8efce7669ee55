//! The settings of the factory, and who has which machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Commands to one machine; an actuator's action is one of these for each of its machines.
pub const COMMANDS: usize = 4;
/// A command: stand still.
pub const OFF: u32 = 0;
/// A command: run and finish one order a step.
pub const LOW: u32 = 1;
/// A command: run and finish two orders a step.
pub const HIGH: u32 = 2;
/// A command: be repaired.
pub const REPAIR: u32 = 3;

/// Machines of an actuator at most, since its action is a choice of `4^machines` options.
pub const MOST_MACHINES: usize = 4;

/// The largest price.
const MOST: f64 = 1e3;

/// The settings of [`Factory`](super::Factory).
///
/// Machine `m` is watched by sensor `m mod sensors`, works off the orders of processor `m mod processors` and is set
/// by actuator `m mod actuators`. Each sensor and each processor has one action, `nothing`; an actuator gives each of
/// its machines a command, 0 `off`, 1 `low`, 2 `high`, 3 `repair`, and its action is the number whose digits to the
/// base of 4 these are, the command to its first machine the lowest.
///
/// A machine is sound with a wear from 0 to `wear_levels - 1`, faulty, or in repair. A step has these parts, in their
/// order:
///
/// 1. Each machine does what it was told, with `w` for its wear and `W` for `wear_levels - 1`. One in repair goes on
///    with that, whatever it is told. Told `repair`, any other pays `repair_cost` and is in repair for this step and
///    the `repair_steps - 1` that follow; then it is sound with wear 0. A faulty one does nothing else. A sound one
///    told to run pays `energy_low` or `energy_high`; with probability `fault_new + (fault_worn - fault_new) w / W`
///    it fails, pays `fault_cost` and is faulty with wear `W`; otherwise it is ready for 1 order (`low`) or 2
///    (`high`) and, below `W`, its wear rises by 1 with probability `wear_low` or `wear_high`. It runs, wears and
///    pays whether there are orders or not.
/// 2. Of the `n` orders that wait at a processor, as many are finished as its machines are ready for, each paid
///    `revenue`. Each of the rest costs `late_cost`, and is withdrawn with probability `withdrawal`, which costs
///    `lost_cost`.
/// 3. At each processor `batch` orders arrive with probability `arrival`. Those for which there is no room (`queue`)
///    are lost and cost `lost_cost` each.
///
/// What all that pays together is the reward of every agent. An episode begins with machines that are off and not
/// worn and with no orders, and ends after `horizon` steps.
///
/// No kind of agent sees enough to act alone. A `sensor` sees of each of its machines its status (idle, running,
/// faulty, in repair: a row with a one), its wear (likewise), and two readings: the temperature, which moves half of
/// the way to the rate (0, .5 or 1) in each step, and the vibration, `w / W` times the rate, off by up to .1 either
/// way. A `processor` sees how many orders wait (a row with a one) and which part of the episode is over. An
/// `actuator` sees its own last command to each machine (a row with a one) and nothing else. Who has fewer machines
/// than others of its kind sees zeros in their places, and its commands for them are ignored. The state for a
/// centralised critic is what all agents see.
///
/// Reports have `optimum_share`, the episode's return over the best expected one where the factory is so small that
/// it can be computed ([`optimum`](super::optimum)), else 0; `scripted_share`, the return over the mean one of a rule
/// with tuned thresholds that sees everything ([`scripted`](super::scripted)); and the numbers of `orders` finished,
/// `lost` and of `faults`. A share is 0 where what it is over is not positive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FactoryConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Machines in each world.
    #[schemars(range(min = 1, max = 64))]
    pub machines: usize,
    /// Agents that see machines; at most as many as machines.
    #[schemars(range(min = 1, max = 64))]
    pub sensors: usize,
    /// Agents that see orders, a queue each; at most as many as machines.
    #[schemars(range(min = 1, max = 64))]
    pub processors: usize,
    /// Agents that command machines; at most as many as machines, and enough that none has more than four.
    #[schemars(range(min = 1, max = 64))]
    pub actuators: usize,
    /// Levels of wear, that of a new machine included.
    #[schemars(range(min = 2, max = 16))]
    pub wear_levels: usize,
    /// The probability that a machine at the low rate wears by a level in a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub wear_low: f64,
    /// The same at the high rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub wear_high: f64,
    /// The probability that a running machine without wear fails in a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fault_new: f64,
    /// The same for one of the highest wear.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fault_worn: f64,
    /// Steps that a repair takes.
    #[schemars(range(min = 1, max = 16))]
    pub repair_steps: usize,
    /// Orders that a processor has room for.
    #[schemars(range(min = 1, max = 64))]
    pub queue: usize,
    /// The probability that orders arrive at a processor in a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub arrival: f64,
    /// Orders that arrive together.
    #[schemars(range(min = 1, max = 64))]
    pub batch: usize,
    /// The probability that an order that waits is withdrawn in a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub withdrawal: f64,
    /// What a finished order pays.
    #[schemars(range(min = 0.0, max = MOST))]
    pub revenue: f64,
    /// What a step at the low rate costs.
    #[schemars(range(min = 0.0, max = MOST))]
    pub energy_low: f64,
    /// What a step at the high rate costs.
    #[schemars(range(min = 0.0, max = MOST))]
    pub energy_high: f64,
    /// What a repair costs.
    #[schemars(range(min = 0.0, max = MOST))]
    pub repair_cost: f64,
    /// What a fault costs.
    #[schemars(range(min = 0.0, max = MOST))]
    pub fault_cost: f64,
    /// What an order that waits costs in a step.
    #[schemars(range(min = 0.0, max = MOST))]
    pub late_cost: f64,
    /// What an order costs that is withdrawn or finds no room.
    #[schemars(range(min = 0.0, max = MOST))]
    pub lost_cost: f64,
    /// Steps of an episode.
    #[schemars(range(min = 1, max = 4096))]
    pub horizon: usize,
}

impl Default for FactoryConfig {
    /// [`FactoryConfig::small`].
    fn default() -> Self {
        Self::small()
    }
}

impl FactoryConfig {
    /// Two machines, a sensor, a processor and an actuator: small enough for its optimum to be computed.
    pub fn small() -> Self {
        FactoryConfig {
            worlds: 64,
            machines: 2,
            sensors: 1,
            processors: 1,
            actuators: 1,
            wear_levels: 3,
            wear_low: 0.4,
            wear_high: 0.7,
            fault_new: 0.1,
            fault_worn: 1.0,
            repair_steps: 2,
            queue: 4,
            arrival: 0.6,
            batch: 2,
            withdrawal: 0.8,
            revenue: 2.0,
            energy_low: 0.1,
            energy_high: 0.3,
            repair_cost: 1.5,
            fault_cost: 2.0,
            late_cost: 0.1,
            lost_cost: 0.1,
            horizon: 30,
        }
    }

    /// Four machines, three sensors, two processors and four actuators.
    pub fn large() -> Self {
        FactoryConfig { machines: 4, sensors: 3, processors: 2, actuators: 4, ..Self::small() }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Config`] with the first that is out of range.
    pub fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        let kinds =
            [("sensors", self.sensors), ("processors", self.processors), ("actuators", self.actuators)];
        for (key, count) in kinds {
            if count > self.machines {
                let message = format!("expected at most one for each of the {} machines", self.machines);
                return Err(Error::config(format!("world.{key}"), message));
            }
        }
        if self.each(self.actuators) > MOST_MACHINES {
            let least = self.machines.div_ceil(MOST_MACHINES);
            let message =
                format!("expected at least {least}: an actuator has at most {MOST_MACHINES} machines");
            return Err(Error::config("world.actuators", message));
        }
        Ok(())
    }

    /// Machines of one of so many agents of a kind, at most.
    pub(super) fn each(&self, agents: usize) -> usize {
        self.machines.div_ceil(agents.max(1))
    }

    /// The probability that a running machine of that wear fails.
    pub(super) fn fails(&self, wear: usize) -> f64 {
        self.fault_new + (self.fault_worn - self.fault_new) * wear as f64 / (self.wear_levels - 1) as f64
    }

    /// What running at a rate means: its energy, the probability of wear, the orders it is ready for.
    pub(super) fn rate(&self, command: u32) -> Option<(f64, f64, usize)> {
        match command {
            LOW => Some((self.energy_low, self.wear_low, 1)),
            HIGH => Some((self.energy_high, self.wear_high, 2)),
            _ => None,
        }
    }
}
