//! The settings of the roads.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::generate::{Builder, Ends};
use super::network::Network;
use crate::error::{Error, Result};

/// The settings of [`Roads`](super::Roads).
///
/// **Roads.** Lanes lead into each other; where they part, meet or cross, a junction's lanes (movements) lie between
/// them, and it follows from their middle lines which of them are in each other's way, and where. Vehicles come in at
/// entries by independent Poisson processes of `demand` vehicles an hour, wait outside while there is no room, want
/// to an exit drawn evenly from those that can be reached, take the quickest way and leave at its end. All follow the
/// speed limits: accelerations are held to what keeps the limit, and reaches those ahead with braking of
/// `car.comfort`.
///
/// **Agents** are slots for vehicles. One without a vehicle takes no part; a vehicle that leaves, or collides, ends
/// its agent's episode. With `driver` at `rules` vehicles drive themselves and agents have one action, `nothing`.
///
/// **Actions.** With `model` at `lane` the acceleration, as a part of the largest one or, below 0, of the hardest
/// braking; and where lanes can be changed, a change to the left (above 1/2) or right (below -1/2), which is done
/// within a tick. With `bicycle` the acceleration and the steering angle in parts of `car.steering`; the vehicle is
/// where that takes it, and leaves the road (a collision) where its middle is further than half a lane from the
/// lane's. With `actions` at `discrete` each number is one of -1, -.5, 0, .5 and 1 (a change of lanes: right, none,
/// left).
///
/// **The safeguard** (`safeguard`) holds the accelerations of all vehicles alike, whoever drives them: to what keeps
/// a gap that is safe whatever the vehicle ahead does (Gipps 1981; the rule of the platoons), where ways merge too;
/// and before a junction to what stops at its line, until the vehicle holds the junction. It asks for that at the
/// moment at which it would no longer stop, and gets it if everybody whose way crosses its own and who holds a place
/// on it has left that, or surely will have left before the vehicle can be there; if who merges with it is at a safe
/// gap; if there is room for it behind the junction; and if no signal is red. On whom another relies to be gone does
/// not slow down until he is. Whoever asks first gets it. No two vehicles collide under it if lanes can be kept
/// (`model` at `lane`). Without it nothing holds agents but speed limits.
///
/// **Sight.** See [`observe`](super::observe).
///
/// **Pay.** See [`PayConfig`].
///
/// **Reports.** `flow`, vehicles that left, an hour; `mean_travel_time` of those, in seconds from when they came to
/// the entry; `mean_delay`, seconds lost against the same way on a free road, the mean over all that came to an
/// entry, also those on their way or still waiting outside, so that a queue counts; `collisions`, pairs of vehicles
/// that touched; `near_misses`, times that two vehicles came to be less than `near_miss` seconds from touching if
/// both kept their speed; `off_road`, vehicles that left the road; `refused`, vehicles for which there was no room
/// outside either (64 at an entry).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoadsConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Slots for vehicles.
    #[schemars(range(min = 1, max = 1024))]
    pub agents: usize,
    /// The roads.
    pub network: NetworkConfig,
    /// The seed of what generated networks are free to choose: the lengths of their roads.
    pub network_seed: u64,
    /// By which part such lengths are longer or shorter.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub variation: f64,
    /// The speed limit of generated roads, in m/s; bends over junctions are driven as fast as 3 m/s^2 sideways allow.
    #[schemars(range(min = 1.0, max = 60.0))]
    pub limit: f64,
    /// Vehicles an hour at each entry of a generated network.
    #[schemars(range(min = 0.0, max = 1e4))]
    pub demand: f64,
    /// The speed at which vehicles come in, in parts of the limit; slower where there is no room for it.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub entry_speed: f64,
    /// What vehicles are like.
    pub car: CarConfig,
    /// How they move.
    pub model: Model,
    /// Whether agents choose numbers or options.
    pub actions: ActionKind,
    /// Who drives.
    pub driver: Driver,
    /// What governs junctions.
    pub control: ControlConfig,
    /// The emergency brake and the right to enter a junction.
    pub safeguard: bool,
    /// Seconds of a step.
    #[schemars(range(min = 0.05, max = 2.0))]
    pub step: f64,
    /// Ticks of a step: in each of them everybody moves, rules decide and the safeguard holds.
    #[schemars(range(min = 1, max = 16))]
    pub ticks: usize,
    /// Steps of an episode.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub max_episode_steps: usize,
    /// How far a vehicle sees, in metres.
    #[schemars(range(min = 10.0, max = 500.0))]
    pub sight: f64,
    /// Vehicles on conflicting ways that it sees.
    #[schemars(range(min = 0, max = 32))]
    pub others: usize,
    /// The time to a collision below which two vehicles nearly had one, in seconds.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub near_miss: f64,
    /// What is paid.
    pub pay: PayConfig,
}

/// The roads there are. Generated ones have every end of a road as an entry and an exit, and traffic on the right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NetworkConfig {
    /// Two roads that cross.
    FourWay {
        /// Lanes of each road in each direction; from the first vehicles turn left, from the last right.
        #[serde(default = "one")]
        #[schemars(range(min = 1, max = 4))]
        lanes: usize,
        /// Metres from an entry to the junction.
        #[serde(default = "entry")]
        #[schemars(range(min = 20.0, max = 2000.0))]
        entry: f64,
        /// Metres from the junction to an exit.
        #[serde(default = "exit")]
        #[schemars(range(min = 20.0, max = 2000.0))]
        exit: f64,
    },
    /// Several roads from south to north and from west to east.
    Grid {
        /// Roads from south to north.
        #[serde(default = "three")]
        #[schemars(range(min = 1, max = 10))]
        columns: usize,
        /// Roads from west to east.
        #[serde(default = "three")]
        #[schemars(range(min = 1, max = 10))]
        rows: usize,
        /// Lanes of each road in each direction.
        #[serde(default = "one")]
        #[schemars(range(min = 1, max = 4))]
        lanes: usize,
        /// Metres between the middles of junctions.
        #[serde(default = "spacing")]
        #[schemars(range(min = 40.0, max = 2000.0))]
        spacing: f64,
        /// Metres from an entry to the first junction.
        #[serde(default = "entry")]
        #[schemars(range(min = 20.0, max = 2000.0))]
        entry: f64,
        /// Metres from the last junction to an exit.
        #[serde(default = "exit")]
        #[schemars(range(min = 20.0, max = 2000.0))]
        exit: f64,
    },
    /// A ring that goes first.
    Roundabout {
        /// Roads that lead to it.
        #[serde(default = "four")]
        #[schemars(range(min = 3, max = 6))]
        arms: usize,
        /// The radius of the ring's lane, in metres.
        #[serde(default = "radius")]
        #[schemars(range(min = 20.0, max = 60.0))]
        radius: f64,
        /// Metres from an entry to the ring.
        #[serde(default = "entry")]
        #[schemars(range(min = 20.0, max = 2000.0))]
        entry: f64,
        /// Metres from the ring to an exit.
        #[serde(default = "exit")]
        #[schemars(range(min = 20.0, max = 2000.0))]
        exit: f64,
    },
    /// A ramp that joins the last lane of a road in one direction.
    Merge {
        /// Lanes of the road.
        #[serde(default = "one")]
        #[schemars(range(min = 1, max = 4))]
        lanes: usize,
        /// Metres from the entries to where they meet.
        #[serde(default = "entry")]
        #[schemars(range(min = 20.0, max = 2000.0))]
        entry: f64,
        /// Metres from there to the exit.
        #[serde(default = "exit")]
        #[schemars(range(min = 20.0, max = 2000.0))]
        exit: f64,
    },
    /// Read from a file ([`Network::load`]); limits and demands stand in it.
    File {
        /// The file.
        path: PathBuf,
    },
}

fn one() -> usize {
    1
}

fn three() -> usize {
    3
}

fn four() -> usize {
    4
}

fn entry() -> f64 {
    100.0
}

fn exit() -> f64 {
    50.0
}

fn spacing() -> f64 {
    150.0
}

fn radius() -> f64 {
    22.0
}

/// What vehicles are like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CarConfig {
    /// Metres from bumper to bumper.
    #[schemars(range(min = 1.0, max = 16.0))]
    pub length: f64,
    /// Metres from side to side.
    #[schemars(range(min = 0.5, max = 2.4))]
    pub width: f64,
    /// The largest acceleration, in m/s^2.
    #[schemars(range(min = 0.1, max = 15.0))]
    pub acceleration: f64,
    /// The hardest braking, in m/s^2.
    #[schemars(range(min = 0.5, max = 15.0))]
    pub braking: f64,
    /// Braking that is comfortable, in m/s^2; at most `braking`.
    #[schemars(range(min = 0.5, max = 15.0))]
    pub comfort: f64,
    /// The time gap that drivers by rules keep, in seconds.
    #[schemars(range(min = 0.1, max = 10.0))]
    pub time_gap: f64,
    /// The gap that they keep in a queue that stands, in metres.
    #[schemars(range(min = 1.1, max = 10.0))]
    pub jam_distance: f64,
    /// The largest angle of the front wheels, in radians.
    #[schemars(range(min = 0.05, max = 1.2))]
    pub steering: f64,
}

impl Default for CarConfig {
    fn default() -> Self {
        CarConfig {
            length: 5.0,
            width: 2.0,
            acceleration: 2.0,
            braking: 8.0,
            comfort: 2.0,
            time_gap: 1.0,
            jam_distance: 2.0,
            steering: 0.7,
        }
    }
}

/// How vehicles move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Along the middle of their lanes.
    Lane,
    /// As a kinematic bicycle (Kong et al. 2015), wherever they steer.
    Bicycle,
}

/// What agents choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Numbers from -1 to 1.
    Continuous,
    /// Options.
    Discrete,
}

/// Who drives the vehicles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// The agents.
    Agents,
    /// Rules: the intelligent driver model, with gap acceptance at junctions, or the times that they reserved there.
    Rules,
}

/// What governs junctions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlConfig {
    /// Nothing.
    Open,
    /// Signals of a fixed cycle, as Webster (1958) times them for the demand.
    Signals {
        /// Which lanes are green together.
        #[serde(default = "plan")]
        plan: Plan,
        /// Seconds of a cycle; 0 for Webster's.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 600.0))]
        cycle: f64,
        /// Seconds of amber after each green, in which who can stop does.
        #[serde(default = "amber")]
        #[schemars(range(min = 0.0, max = 20.0))]
        amber: f64,
        /// Seconds after it in which all are red.
        #[serde(default = "clearance")]
        #[schemars(range(min = 0.0, max = 20.0))]
        clearance: f64,
        /// Vehicles an hour that a green lane lets through (the saturation flow).
        #[serde(default = "saturation_flow")]
        #[schemars(range(min = 100.0, max = 4000.0))]
        saturation_flow: f64,
    },
    /// First come, first served: vehicles reserve the times at which they pass the places where ways cross (Dresner
    /// and Stone 2008, Journal of Artificial Intelligence Research 31, 591). For drivers by rules.
    Reservation {
        /// Seconds that a place stays free before and after a vehicle.
        #[serde(default = "buffer")]
        #[schemars(range(min = 0.0, max = 5.0))]
        buffer: f64,
        /// How far before a junction vehicles reserve, in metres.
        #[serde(default = "range")]
        #[schemars(range(min = 10.0, max = 500.0))]
        range: f64,
    },
}

fn plan() -> Plan {
    Plan::Arms
}

fn amber() -> f64 {
    3.0
}

fn clearance() -> f64 {
    1.0
}

fn saturation_flow() -> f64 {
    1450.0
}

fn buffer() -> f64 {
    0.4
}

fn range() -> f64 {
    100.0
}

/// Which lanes of a junction are green together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// One road after the other: no ways cross.
    Arms,
    /// Roads that face each other together; who turns left waits for a gap.
    Axes,
}

/// What a step pays a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PayConfig {
    /// The price of a second that is lost against the way on a free road.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub delay: f64,
    /// The price of a second at the largest acceleration; it grows with the square of the acceleration.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub comfort: f64,
    /// The price of a collision, of each of the two, and of leaving the road.
    #[schemars(range(min = 0.0, max = 1e4))]
    pub collision: f64,
    /// Which part of its pay is the mean of what all vehicles are paid.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub shared: f64,
}

impl Default for PayConfig {
    fn default() -> Self {
        PayConfig { delay: 1.0, comfort: 0.02, collision: 20.0, shared: 0.5 }
    }
}

impl Default for RoadsConfig {
    /// A four-way junction, 24 slots, agents that choose accelerations, the safeguard on; 5 minutes in steps of half
    /// a second, 32 worlds.
    fn default() -> Self {
        RoadsConfig {
            worlds: 32,
            agents: 24,
            network: NetworkConfig::FourWay { lanes: one(), entry: entry(), exit: exit() },
            network_seed: 0,
            variation: 0.0,
            limit: 13.9,
            demand: 252.0,
            entry_speed: 1.0,
            car: CarConfig::default(),
            model: Model::Lane,
            actions: ActionKind::Discrete,
            driver: Driver::Agents,
            control: ControlConfig::Open,
            safeguard: true,
            step: 0.5,
            ticks: 2,
            max_episode_steps: 600,
            sight: 100.0,
            others: 4,
            near_miss: 1.0,
            pay: PayConfig::default(),
        }
    }
}

impl RoadsConfig {
    /// Checks every setting but what is in files.
    ///
    /// # Errors
    /// [`Error::Config`] with the first out of range, or that does not fit another.
    pub fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        if self.car.comfort > self.car.braking {
            let message = format!("expected at most braking, {}, got {}", self.car.braking, self.car.comfort);
            return Err(Error::config("world.car.comfort", message));
        }
        if matches!(self.control, ControlConfig::Reservation { .. }) && self.driver == Driver::Agents {
            let message =
                "expected open or signals: only drivers by rules (world.driver = \"rules\") reserve";
            return Err(Error::config("world.control.kind", message));
        }
        if self.driver == Driver::Rules && self.actions != ActionKind::Discrete {
            let message = "expected discrete: where rules drive, agents have one option";
            return Err(Error::config("world.actions", message));
        }
        Ok(())
    }

    /// Seconds of a tick.
    pub fn tick(&self) -> f64 {
        self.step / self.ticks as f64
    }

    /// The roads.
    ///
    /// # Errors
    /// A file that cannot be read or is broken; lengths that do not fit together.
    pub fn roads(&self) -> Result<Network> {
        let clearance = self.car.width + 1.0;
        let builder = || Builder::new(self.limit, self.demand, self.variation, self.network_seed);
        let built = match &self.network {
            NetworkConfig::File { path } => return Network::load(path, clearance),
            NetworkConfig::FourWay { lanes, entry, exit } => {
                builder().grid([1, 1], *lanes, 0.0, Ends { entry: *entry, exit: *exit })
            }
            NetworkConfig::Grid { columns, rows, lanes, spacing, entry, exit } => {
                builder().grid([*columns, *rows], *lanes, *spacing, Ends { entry: *entry, exit: *exit })
            }
            NetworkConfig::Roundabout { arms, radius, entry, exit } => {
                builder().roundabout(*arms, *radius, Ends { entry: *entry, exit: *exit })
            }
            NetworkConfig::Merge { lanes, entry, exit } => {
                builder().merge(*lanes, Ends { entry: *entry, exit: *exit })
            }
        };
        Network::new(built.lanes, built.junctions, clearance).map_err(|fault| {
            let message = format!("the network does not fit together: `{}`: {}", fault.key, fault.message);
            Error::config("world.network.kind", message)
        })
    }
}
