//! The list of worlds, and the settings of one of any kind.

use super::VecEnv;
use super::bits::BitsConfig;
use super::chain::ChainConfig;
use super::congestion::CongestionConfig;
use super::deep_sea::DeepSeaConfig;
use super::factory::FactoryConfig;
use super::foraging::ForagingConfig;
use super::goals::Goal;
use super::gridworld::GridworldConfig;
use super::job_shop::JobShopConfig;
use super::lever::LeverConfig;
use super::lewis::LewisConfig;
use super::lqr::LqrConfig;
use super::matrix_game::MatrixGameConfig;
use super::mpe::{
    SimpleAdversaryConfig, SimpleReferenceConfig, SimpleSpeakerListenerConfig, SimpleSpreadConfig,
    SimpleTagConfig,
};
use super::mujoco::MujocoConfig;
use super::noise::NoiseConfig;
use super::pathfinding::PathfindingConfig;
use super::penalty::PenaltyConfig;
use super::pendulum::PendulumConfig;
use super::planted::PlantedConfig;
use super::platoon::PlatoonConfig;
use super::point_navigation::PointNavigationConfig;
use super::recall::RecallConfig;
use super::repeat_previous::RepeatPreviousConfig;
use super::roads::RoadsConfig;
use super::sinusoid::SinusoidConfig;
use super::spoken::SpokenConfig;
use super::switch::SwitchConfig;
use super::taxi::TaxiConfig;
use super::traffic::TrafficConfig;
use super::traffic_junction::TrafficJunctionConfig;
use super::vmas::{GiveWayConfig, KinematicBicycleConfig, NavigationConfig, TransportConfig, WheelConfig};
use super::warehouse::WarehouseConfig;
use crate::error::{Error, Result};
use crate::registry::{Kind, Table, family};

/// Settings of a world, and what they build.
pub trait WorldSettings: Table {
    /// Worlds stepped at once.
    fn worlds(&self) -> usize;

    /// The same world, as many times.
    fn with_worlds(&self, worlds: usize) -> WorldConfig;

    /// The worlds, all random numbers from `seed`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range; for pathfinding also those of its maps.
    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>>;

    /// Checks what can be checked before anything is made.
    ///
    /// # Errors
    /// The first setting out of range.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The same world as it is when its curriculum is over: what trained agents are judged in; `None` where it is always
    /// the same.
    fn after_curriculum(&self) -> Option<WorldConfig> {
        None
    }

    /// Settings that have to follow where `agents` becomes so many, with what they become: targets of the agents' own.
    fn follows_agents(&self, _agents: usize) -> Vec<(&'static str, usize)> {
        Vec::new()
    }

    /// The goals that the world names, for agents that learn in levels; empty where it names none.
    fn goals(&self) -> Vec<Goal> {
        Vec::new()
    }
}

/// Every world of this crate.
const WORLDS: &[Kind<Worlds>] = &[
    Kind::<Worlds>::of::<PathfindingConfig>(),
    Kind::<Worlds>::of::<MatrixGameConfig>(),
    Kind::<Worlds>::of::<CongestionConfig>(),
    Kind::<Worlds>::of::<PenaltyConfig>(),
    Kind::<Worlds>::of::<RecallConfig>(),
    Kind::<Worlds>::of::<RepeatPreviousConfig>(),
    Kind::<Worlds>::of::<BitsConfig>(),
    Kind::<Worlds>::of::<LeverConfig>(),
    Kind::<Worlds>::of::<SwitchConfig>(),
    Kind::<Worlds>::of::<SpokenConfig>(),
    Kind::<Worlds>::of::<DeepSeaConfig>(),
    Kind::<Worlds>::of::<ChainConfig>(),
    Kind::<Worlds>::of::<TaxiConfig>(),
    Kind::<Worlds>::of::<LqrConfig>(),
    Kind::<Worlds>::of::<PendulumConfig>(),
    Kind::<Worlds>::of::<SinusoidConfig>(),
    Kind::<Worlds>::of::<PointNavigationConfig>(),
    Kind::<Worlds>::of::<SimpleSpreadConfig>(),
    Kind::<Worlds>::of::<SimpleTagConfig>(),
    Kind::<Worlds>::of::<SimpleAdversaryConfig>(),
    Kind::<Worlds>::of::<SimpleSpeakerListenerConfig>(),
    Kind::<Worlds>::of::<SimpleReferenceConfig>(),
    Kind::<Worlds>::of::<GridworldConfig>(),
    Kind::<Worlds>::of::<TrafficJunctionConfig>(),
    Kind::<Worlds>::of::<PlatoonConfig>(),
    Kind::<Worlds>::of::<RoadsConfig>(),
    Kind::<Worlds>::of::<TrafficConfig>(),
    Kind::<Worlds>::of::<LewisConfig>(),
    Kind::<Worlds>::of::<NoiseConfig>(),
    Kind::<Worlds>::of::<PlantedConfig>(),
    Kind::<Worlds>::of::<JobShopConfig>(),
    Kind::<Worlds>::of::<FactoryConfig>(),
    Kind::<Worlds>::of::<WarehouseConfig>(),
    Kind::<Worlds>::of::<ForagingConfig>(),
    Kind::<Worlds>::of::<NavigationConfig>(),
    Kind::<Worlds>::of::<TransportConfig>(),
    Kind::<Worlds>::of::<WheelConfig>(),
    Kind::<Worlds>::of::<GiveWayConfig>(),
    Kind::<Worlds>::of::<KinematicBicycleConfig>(),
    Kind::<Worlds>::of::<MujocoConfig>(),
];

family! {
    /// The settings of a world of any kind, told apart by `kind`.
    ///
    /// ```
    /// use synod_worlds::env::{Buffers, WorldConfig};
    /// let mut env = WorldConfig::named("lever")?.build(1)?;
    /// let mut out = Buffers::new(env.spec());
    /// env.reset(&vec![true; env.spec().worlds], &mut out)?;
    /// # Ok::<(), synod_worlds::Error>(())
    /// ```
    WorldConfig, Worlds = "world", WorldSettings, WORLDS
}

impl WorldConfig {
    /// The same world with so many agents.
    ///
    /// # Errors
    /// Their number is no setting of it.
    pub fn with_agents(&self, agents: usize) -> Result<WorldConfig> {
        if !self.fields()?.contains_key("agents") {
            let message = format!("the number of agents is no setting of the world `{}`", self.name());
            return Err(Error::Usage(message));
        }
        let mut changes = serde_json::Map::new();
        for (key, count) in [("agents", agents)].into_iter().chain(self.follows_agents(agents)) {
            changes.insert(key.into(), count.into());
        }
        self.with(changes)
    }
}

/// Enters the settings of a world into the list: `world!(LeverConfig => Lever, "lever", "CommNet's lever game")`. The
/// world is made by `new(config, seed)`; further methods of [`WorldSettings`] may follow.
macro_rules! world {
    ($config:ty => $env:ty, $name:literal, $summary:literal $(, $more:item)*) => {
        impl crate::registry::Member for $config {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
        }

        impl crate::env::WorldSettings for $config {
            fn worlds(&self) -> usize {
                self.worlds
            }

            fn with_worlds(&self, worlds: usize) -> crate::env::WorldConfig {
                crate::env::WorldConfig::new(Self { worlds, ..self.clone() })
            }

            fn build(&self, seed: u64) -> crate::Result<Box<dyn crate::env::VecEnv>> {
                Ok(Box::new(<$env>::new(self.clone(), seed)?))
            }

            $($more)*
        }
    };
}
pub(super) use world;
