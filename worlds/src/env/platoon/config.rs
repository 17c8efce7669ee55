//! The settings of the platoon world.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::profile::Profile;
use super::regulator::{RegulatorConfig, RegulatorRules};
use super::road::RoadRules;
use crate::env::vectorised::Vectorised;
use crate::env::{VecEnv, WorldConfig, WorldSettings};
use crate::error::{Error, Result};
use crate::registry::Member;

/// The settings of the platoon world: vehicles of three kinds, every one of them an agent that chooses its acceleration.
///
/// Kinds of agent are `truck`, `car` and `emergency`, those of which there are any. What they are about is the `task`:
/// to drive on a road ([`RoadConfig`]) or to bring errors to rest at the least cost ([`RegulatorConfig`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlatoonConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Trucks.
    #[schemars(range(min = 0, max = 64))]
    pub trucks: usize,
    /// Cars.
    #[schemars(range(min = 0, max = 64))]
    pub cars: usize,
    /// Emergency vehicles.
    #[schemars(range(min = 0, max = 64))]
    pub emergency: usize,
    /// Seconds of a step.
    #[schemars(range(min = 1e-3, max = 1.0))]
    pub step: f64,
    /// Steps of an episode.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub max_episode_steps: usize,
    /// What the vehicles are to do.
    pub task: Task,
}

/// What the vehicles are to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Drive on a road, together.
    Road(Box<RoadConfig>),
    /// Keep gaps and speeds at the least quadratic cost; the optimum is known.
    Regulator(RegulatorConfig),
}

/// What a kind of vehicle is like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VehicleConfig {
    /// Metres from bumper to bumper.
    #[schemars(range(min = 0.5, max = 40.0))]
    pub length: f64,
    /// Kilograms.
    #[schemars(range(min = 50.0, max = 2e5))]
    pub mass: f64,
    /// Drag coefficient times frontal area, in m^2.
    #[schemars(range(min = 0.0, max = 50.0))]
    pub drag_area: f64,
    /// The coefficient of rolling resistance.
    #[schemars(range(min = 0.0, max = 0.2))]
    pub rolling_resistance: f64,
    /// The largest acceleration, in m/s^2.
    #[schemars(range(min = 0.1, max = 15.0))]
    pub acceleration: f64,
    /// The hardest braking, in m/s^2.
    #[schemars(range(min = 0.5, max = 15.0))]
    pub braking: f64,
    /// The speed that it wants to drive, in m/s; at most `top_speed`.
    #[schemars(range(min = 1.0, max = 80.0))]
    pub desired_speed: f64,
    /// The speed that it cannot exceed, in m/s.
    #[schemars(range(min = 1.0, max = 80.0))]
    pub top_speed: f64,
}

impl VehicleConfig {
    /// A tractor with a trailer: the greatest length and mass of the European directive 96/53/EC, its speed limiter at
    /// 90 km/h (directive 92/6/EEC).
    pub fn truck() -> Self {
        VehicleConfig {
            length: 16.5,
            mass: 40_000.0,
            drag_area: 6.0,
            rolling_resistance: 0.006,
            acceleration: 0.8,
            braking: 6.0,
            desired_speed: 22.0,
            top_speed: 25.0,
        }
    }

    /// A car of middle size.
    pub fn car() -> Self {
        VehicleConfig {
            length: 5.0,
            mass: 1_500.0,
            drag_area: 0.7,
            rolling_resistance: 0.012,
            acceleration: 2.5,
            braking: 8.0,
            desired_speed: 28.0,
            top_speed: 36.0,
        }
    }

    /// An ambulance on a van's chassis.
    pub fn ambulance() -> Self {
        VehicleConfig {
            length: 6.5,
            mass: 3_500.0,
            drag_area: 1.6,
            rolling_resistance: 0.012,
            acceleration: 2.5,
            braking: 8.0,
            desired_speed: 36.0,
            top_speed: 40.0,
        }
    }
}

/// Who drives the vehicles that are no agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// The intelligent driver model, which keeps its lane.
    Idm,
    /// Cooperative adaptive cruise control, which hears what the vehicle ahead is told to do.
    Cacc,
}

/// Driving on a road.
///
/// **Road.** Lanes without end, number 0 to the right. A leader drives in lane 0 by its `leader` profile; the others start
/// behind it (in the other lanes level with it) in an order drawn each episode, trucks in lane 0, cars in any lane,
/// emergency vehicles `behind` metres behind all.
///
/// **Actions.** Two numbers in [-1, 1]: the acceleration, as a part of the kind's largest acceleration or, below 0, of its
/// hardest braking; and a change to the next lane to the left (above 1/2) or right (below -1/2). After a change a vehicle
/// keeps its lane for `pause` seconds. With one lane there is no second number. With the `assist`, a brake assistant as
/// lorries have it, accelerations are held to what keeps a gap that is safe whatever the vehicle ahead does
/// ([`Pair::highest_acceleration`](super::Pair::highest_acceleration)), and changes that leave no such gap do not happen:
/// then nothing ever collides. Without it an episode ends with the first collision.
///
/// **Sight.** A vehicle sees itself (place against the leader, speed, lane, acceleration, whether it can change lanes, what
/// it wants to drive), its own criticality if it is an emergency vehicle (0 for all others), and in its own and the lanes
/// beside it the gap and closing speed of the next vehicle ahead within `sight` and of the next behind within
/// `sight_behind`. It does not see what kind they are of. Criticality is drawn evenly from 0 to 1 each episode.
///
/// **Pay.** See [`PayConfig`].
///
/// **Reports.** `collisions`; `smallest_gap` between a vehicle and the next ahead in its lane (m, at most `sight`);
/// `energy` (MJ per vehicle and km: `v (m a + rho/2 c_d A v^2 + m g c_r)` where that is positive; Guzzella and Sciarretta,
/// Vehicle Propulsion Systems, 2013, section 2.1); `jerk` (mean of its absolute value, m/s^3); `string_stability` (peak
/// speed error, against the leader's usual speed, of a vehicle over that of the one ahead of it at the start: the
/// geometric mean over the vehicles behind the leader that are no emergency vehicles, 0 where nothing varies);
/// `emergency_travel_time`, seconds that an emergency vehicle takes for `distance` metres (mean over them, 0 where there
/// are none; for one that has not come so far, with the rest at the mean speed it had).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoadConfig {
    /// Lanes.
    #[schemars(range(min = 1, max = 16))]
    pub lanes: usize,
    /// How the leader drives.
    pub leader: Profile,
    /// Each episode starts at a moment of the profile drawn from 0 to so many seconds.
    #[schemars(range(min = 0.0, max = 1e5))]
    pub offset: f64,
    /// What trucks are like.
    pub truck: VehicleConfig,
    /// What cars, and the leader, are like.
    pub car: VehicleConfig,
    /// What emergency vehicles are like.
    pub emergency_vehicle: VehicleConfig,
    /// Trucks that are no agents.
    #[schemars(range(min = 0, max = 64))]
    pub driven_trucks: usize,
    /// Cars that are no agents.
    #[schemars(range(min = 0, max = 64))]
    pub driven_cars: usize,
    /// Who drives those.
    pub driver: Driver,
    /// The time gap of the start, in seconds; drivers that are no agents keep it, and agents are paid for it.
    #[schemars(range(min = 0.1, max = 10.0))]
    pub time_gap: f64,
    /// Gaps at the start are up to so many times longer.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub spread: f64,
    /// How far behind all others emergency vehicles start, in metres.
    #[schemars(range(min = 0.0, max = 1e4))]
    pub behind: f64,
    /// The way whose time counts for emergency vehicles, in metres.
    #[schemars(range(min = 1.0, max = 1e6))]
    pub distance: f64,
    /// How far a vehicle sees to the front, in metres.
    #[schemars(range(min = 1.0, max = 1e4))]
    pub sight: f64,
    /// How far it sees to the back, in metres.
    #[schemars(range(min = 0.0, max = 1e4))]
    pub sight_behind: f64,
    /// Seconds between two changes of lanes.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub pause: f64,
    /// The brake assistant.
    pub assist: bool,
    /// What is paid.
    pub pay: PayConfig,
}

/// What a step on the road costs: weights, each of a number that is about 1 where things are bad. An agent pays for its
/// own; the last is paid by all alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PayConfig {
    /// How far the speed is from the desired one, as a part of it.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub speed: f64,
    /// Jerk, in parts of 10 m/s^3.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub jerk: f64,
    /// Energy, in parts of what the desired speed takes on a free road.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub energy: f64,
    /// What a gap lacks of `time_gap`, as a part of it.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub gap: f64,
    /// A change of lanes.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub change: f64,
    /// A collision, of its two vehicles.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub collision: f64,
    /// What emergency vehicles lack of their desired speed, as a part of it, times their criticality: until they have
    /// come `distance` metres, the mean over them.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub emergency: f64,
}

impl Default for PayConfig {
    fn default() -> Self {
        PayConfig {
            speed: 1.0,
            jerk: 0.1,
            energy: 0.02,
            gap: 0.2,
            change: 0.02,
            collision: 10.0,
            emergency: 2.0,
        }
    }
}

impl Default for RoadConfig {
    fn default() -> Self {
        RoadConfig {
            lanes: 2,
            leader: Profile::Constant { speed: 22.0 },
            offset: 0.0,
            truck: VehicleConfig::truck(),
            car: VehicleConfig::car(),
            emergency_vehicle: VehicleConfig::ambulance(),
            driven_trucks: 0,
            driven_cars: 0,
            driver: Driver::Idm,
            time_gap: 1.5,
            spread: 0.5,
            behind: 40.0,
            distance: 1000.0,
            sight: 150.0,
            sight_behind: 20.0,
            pause: 3.0,
            assist: true,
            pay: PayConfig::default(),
        }
    }
}

impl Default for PlatoonConfig {
    /// Three trucks, three cars and an emergency vehicle on two lanes, 45 s in steps of half a second; 64 worlds.
    fn default() -> Self {
        PlatoonConfig {
            worlds: 64,
            trucks: 3,
            cars: 3,
            emergency: 1,
            step: 0.5,
            max_episode_steps: 90,
            task: Task::Road(Box::default()),
        }
    }
}

impl PlatoonConfig {
    /// The agents of each kind: trucks, cars, emergency vehicles.
    pub fn counts(&self) -> [usize; 3] {
        [self.trucks, self.cars, self.emergency]
    }

    /// Agents of all kinds.
    pub fn agents(&self) -> usize {
        self.counts().iter().sum()
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`] with the first out of range, or that does not fit another.
    pub fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        if self.agents() == 0 {
            return Err(Error::config(
                "world.cars",
                "expected at least one vehicle that is an agent, got none",
            ));
        }
        match &self.task {
            Task::Road(road) => road.check(),
            Task::Regulator(regulator) => regulator.check(self),
        }
    }
}

impl RoadConfig {
    /// What a kind is like: 0 for trucks, 1 for cars, 2 for emergency vehicles.
    pub fn body(&self, kind: usize) -> &VehicleConfig {
        match kind {
            0 => &self.truck,
            1 => &self.car,
            _ => &self.emergency_vehicle,
        }
    }

    fn check(&self) -> Result<()> {
        for (key, body) in
            [("truck", self.truck), ("car", self.car), ("emergency_vehicle", self.emergency_vehicle)]
        {
            if body.desired_speed > body.top_speed {
                let message =
                    format!("expected at most top_speed, {}, got {}", body.top_speed, body.desired_speed);
                return Err(Error::config(format!("world.task.{key}.desired_speed"), message));
            }
        }
        if let Some((key, speed)) = self.leader.fault() {
            let message = format!("expected at most the speed, {speed}");
            return Err(Error::config(format!("world.task.leader.{key}"), message));
        }
        Ok(())
    }
}

impl Member for PlatoonConfig {
    const NAME: &'static str = "platoon";
    const SUMMARY: &'static str =
        "trucks, cars and emergency vehicles behind a leader; as a regulator with a known optimum too";
}

impl WorldSettings for PlatoonConfig {
    fn worlds(&self) -> usize {
        self.worlds
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(Self { worlds, ..self.clone() })
    }

    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        Ok(match &self.task {
            Task::Road(_) => Box::new(Vectorised::<RoadRules>::new(RoadRules::new(self.clone())?, seed)?),
            Task::Regulator(_) => {
                Box::new(Vectorised::<RegulatorRules>::new(RegulatorRules::new(self.clone())?, seed)?)
            }
        })
    }

    fn check(&self) -> Result<()> {
        PlatoonConfig::check(self)
    }
}
