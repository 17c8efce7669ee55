//! The settings of a city.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::env::roads::{
    CarConfig, ControlConfig, Driver, NetworkConfig, PayConfig, Plan, RoadsConfig, Stages,
};
use crate::error::{Error, Result};

/// The settings of [`Traffic`](super::Traffic).
///
/// **Roads and cars** are those of [`RoadsConfig`]: cars come to entries by Poisson processes, wait outside while there
/// is no room, drive by rules (the intelligent driver model) in ticks, under the safeguard, and leave at exits. Where a
/// road is full nobody drives onto the junction before it (spill-back). Where cars want to is drawn as `trips` says.
///
/// **Agents.** Kind `signal`, one a junction, with `signals` at `agents`: at every step each chooses one of its
/// stages (`stages`). If that is not the one that is green, what is not green in both becomes amber and then red for
/// all, and the new stage green after that. A stage stays for `least_green` seconds; until then, and while a light
/// changes, it has no other choice. Kind `car`, one for each of `vehicles` slots, with `cars` at `agents`: at every
/// step each chooses how to turn at the next junction (as planned, left, straight on, right; only ways to its exit
/// that are at most `choice.detour` longer than the quickest, and not once it holds the junction), its speed (that of
/// the limits, or `choice.pace` of it) and the gap in time that it keeps (`car.time_gap`, or `choice.time_gap`):
/// option `4 turn + 2 slow + close`. A slot without a car takes no part. Where neither are agents, signals have one
/// option, `nothing`.
///
/// **Sight.** See `observe`.
///
/// **Pay.** A signal pays a tenth of the seconds, a second of the step, that were lost by cars on the lanes that lead
/// to its junction, over it, and outside those that are entries. A car pays the seconds that it lost, a second of the
/// step. Seconds are lost against the quickest way on a free road. `shared` of it is the mean of all of the kind.
///
/// **Reports.** `mean_delay`, seconds lost by a car against the quickest way on a free road, the mean over all that
/// came, also those that are still on their way or wait outside; `flow`, cars an hour that left; `mean_travel_time` of
/// those, in seconds; `queue`, cars that stand or wait outside, the mean over time; `spill_back`, the part of the roads
/// between junctions that had no room for another car, the mean over time; `changes`, times that a light changed, a
/// junction and hour; `collisions`; `refused`, cars for which there was no room outside either (64 at an entry).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrafficConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Cars on the roads at most.
    #[schemars(range(min = 1, max = 4096))]
    pub vehicles: usize,
    /// The roads.
    pub network: NetworkConfig,
    /// The seed of what generated networks are free to choose: the lengths of their roads.
    pub network_seed: u64,
    /// By which part such lengths are longer or shorter.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub variation: f64,
    /// The speed limit of generated roads, in m/s.
    #[schemars(range(min = 1.0, max = 60.0))]
    pub limit: f64,
    /// Cars an hour at each entry of a generated network.
    #[schemars(range(min = 0.0, max = 1e4))]
    pub demand: f64,
    /// Where cars want to.
    pub trips: TripConfig,
    /// What cars are like.
    pub car: CarConfig,
    /// Who chooses how they turn, how fast they drive and which gap they keep.
    pub cars: Cars,
    /// What cars that are agents can choose beside what is usual.
    pub choice: ChoiceConfig,
    /// Who chooses what is green.
    pub signals: SignalConfig,
    /// What can be green together.
    pub stages: Stages,
    /// Seconds of amber after each green.
    #[schemars(range(min = 0.0, max = 20.0))]
    pub amber: f64,
    /// Seconds after it in which all are red.
    #[schemars(range(min = 0.0, max = 20.0))]
    pub clearance: f64,
    /// Seconds that a stage is green at least.
    #[schemars(range(min = 0.0, max = 120.0))]
    pub least_green: f64,
    /// Seconds of a step.
    #[schemars(range(min = 0.1, max = 60.0))]
    pub step: f64,
    /// Ticks of a step: in each of them everybody moves, rules decide and the safeguard holds.
    #[schemars(range(min = 1, max = 120))]
    pub ticks: usize,
    /// Steps of an episode.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub max_episode_steps: usize,
    /// How far a car sees, in metres.
    #[schemars(range(min = 10.0, max = 500.0))]
    pub sight: f64,
    /// Which part of its pay is the mean of what all of its kind are paid.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub shared: f64,
}

/// Where cars want to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TripConfig {
    /// To an exit that is drawn evenly from those that can be reached, by the quickest way.
    Exits,
    /// At every junction they turn by these ratios, of the ways that there are; not over a junction twice.
    Turns {
        /// To the left.
        #[serde(default = "left")]
        #[schemars(range(min = 0.0, max = 1.0))]
        left: f64,
        /// Straight on.
        #[serde(default = "straight")]
        #[schemars(range(min = 0.0, max = 1.0))]
        straight: f64,
        /// To the right.
        #[serde(default = "right")]
        #[schemars(range(min = 0.0, max = 1.0))]
        right: f64,
    },
}

fn left() -> f64 {
    0.1
}

fn straight() -> f64 {
    0.6
}

fn right() -> f64 {
    0.3
}

/// Who chooses for cars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cars {
    /// Agents.
    Agents,
    /// Nobody: they drive as planned, at the limits, with the usual gap.
    Rules,
}

/// What cars that are agents can choose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChoiceConfig {
    /// The other gap in time, in seconds.
    #[schemars(range(min = 0.1, max = 10.0))]
    pub time_gap: f64,
    /// The other speed, in parts of the limit.
    #[schemars(range(min = 0.1, max = 1.0))]
    pub pace: f64,
    /// By how many seconds on a free road a way may be longer than the quickest from where they are.
    #[schemars(range(min = 0.0, max = 1e4))]
    pub detour: f64,
}

impl Default for ChoiceConfig {
    fn default() -> Self {
        ChoiceConfig { time_gap: 0.8, pace: 0.85, detour: 10.0 }
    }
}

/// Who chooses what is green.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SignalConfig {
    /// Agents.
    Agents,
    /// A fixed cycle for the demand (Webster 1958). With `stages` at `both` roads that face each other are green
    /// together.
    Fixed {
        /// Seconds of a cycle; 0 for Webster's.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 600.0))]
        cycle: f64,
        /// Cars an hour that a green lane lets through.
        #[serde(default = "saturation_flow")]
        #[schemars(range(min = 100.0, max = 4000.0))]
        saturation_flow: f64,
    },
    /// Full actuation: a stage stays until no car is within `gap` seconds of a green line, for `longest` seconds at
    /// most, and only while somebody waits elsewhere does it end; then the next stage in turn at which somebody does.
    Actuated {
        /// Seconds.
        #[serde(default = "gap")]
        #[schemars(range(min = 0.1, max = 20.0))]
        gap: f64,
        /// Seconds.
        #[serde(default = "longest")]
        #[schemars(range(min = 1.0, max = 600.0))]
        longest: f64,
    },
    /// Every `interval` seconds of green the stage of the greatest pressure (Varaiya 2013, Transportation Research C
    /// 36, 177, equations 7 to 9): the sum over its movements of the cars that want over each, less those on the lane
    /// behind it, weighted by how they turn there.
    MaxPressure {
        /// Seconds.
        #[serde(default = "interval")]
        #[schemars(range(min = 1.0, max = 600.0))]
        interval: f64,
    },
}

fn saturation_flow() -> f64 {
    1450.0
}

fn gap() -> f64 {
    2.5
}

fn longest() -> f64 {
    40.0
}

fn interval() -> f64 {
    10.0
}

impl Default for TrafficConfig {
    /// Four roads by four, signals as agents in steps of five seconds, twenty minutes, 8 worlds.
    fn default() -> Self {
        TrafficConfig {
            worlds: 8,
            vehicles: 320,
            network: NetworkConfig::Grid {
                columns: 4,
                rows: 4,
                lanes: 1,
                spacing: 200.0,
                entry: 150.0,
                exit: 50.0,
            },
            network_seed: 0,
            variation: 0.0,
            limit: 13.9,
            demand: 400.0,
            trips: TripConfig::Turns { left: left(), straight: straight(), right: right() },
            car: CarConfig::default(),
            cars: Cars::Rules,
            choice: ChoiceConfig::default(),
            signals: SignalConfig::Agents,
            stages: Stages::Both,
            amber: 3.0,
            clearance: 1.0,
            least_green: 5.0,
            step: 5.0,
            ticks: 10,
            max_episode_steps: 240,
            sight: 100.0,
            shared: 0.0,
        }
    }
}

impl TrafficConfig {
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
        if self.tick() > 2.0 {
            let message = format!("expected ticks of at most 2 s, got {} s", self.tick());
            return Err(Error::config("world.ticks", message));
        }
        if self.ratios().is_some_and(|ratios| ratios.iter().sum::<f64>() <= 0.0) {
            return Err(Error::config("world.trips.straight", "expected ratios that are not all 0"));
        }
        Ok(())
    }

    /// Seconds of a tick.
    pub fn tick(&self) -> f64 {
        self.step / self.ticks as f64
    }

    /// The turning ratios, where there are any.
    pub fn ratios(&self) -> Option<[f64; 3]> {
        match self.trips {
            TripConfig::Exits => None,
            TripConfig::Turns { left, straight, right } => Some([left, straight, right]),
        }
    }

    /// The roads and their cars.
    pub fn roads(&self) -> RoadsConfig {
        let (cycle, saturation_flow) = match self.signals {
            SignalConfig::Fixed { cycle, saturation_flow } => (cycle, saturation_flow),
            _ => (0.0, saturation_flow()),
        };
        let plan = if self.stages == Stages::Arms { Plan::Arms } else { Plan::Axes };
        let (amber, clearance) = (self.amber, self.clearance);
        RoadsConfig {
            worlds: self.worlds,
            agents: self.vehicles,
            network: self.network.clone(),
            network_seed: self.network_seed,
            variation: self.variation,
            limit: self.limit,
            demand: self.demand,
            car: self.car,
            driver: Driver::Rules,
            control: ControlConfig::Signals { plan, cycle, amber, clearance, saturation_flow },
            safeguard: true,
            step: self.step,
            ticks: self.ticks,
            max_episode_steps: self.max_episode_steps,
            sight: self.sight,
            others: 0,
            near_miss: 0.0,
            pay: PayConfig { delay: 1.0, comfort: 0.0, collision: 20.0, shared: 0.0 },
            ..RoadsConfig::default()
        }
    }
}
