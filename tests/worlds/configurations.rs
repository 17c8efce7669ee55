//! Worlds of every kind that the tests of what all worlds keep go through.

use synod::env::WorldConfig;
use synod::env::deep_sea::DeepSeaConfig;
use synod::env::factory::FactoryConfig;
use synod::env::foraging::ForagingConfig;
use synod::env::job_shop::{JobShopConfig, Rule, Source};
use synod::env::lewis::LewisConfig;
use synod::env::matrix_game::MatrixGameConfig;
use synod::env::noise::{NoiseConfig, Sight};
use synod::env::planted::PlantedConfig;
use synod::env::platoon::{Driver, PlatoonConfig, RegulatorConfig, RoadConfig, Task};
use synod::env::point_navigation::PointNavigationConfig;
use synod::env::recall::RecallConfig;
use synod::env::repeat_previous::RepeatPreviousConfig;
use synod::env::switch::SwitchConfig;
use synod::env::vmas::KinematicBicycleConfig;
use synod::env::warehouse::{Battery, LayoutSource, Priorities, Reward, WarehouseConfig};

/// Every kind with few worlds; some kinds more than once, so that all parts of their states are in use.
pub fn configurations() -> Vec<WorldConfig> {
    let mut all: Vec<WorldConfig> = WorldConfig::kinds()
        .iter()
        // Needs a library from elsewhere; worlds/tests/mujoco has these tests for it.
        .filter(|(name, _)| *name != "mujoco")
        .map(|(name, _)| WorldConfig::named(name).unwrap().with_worlds(7))
        .collect();
    all.push(WorldConfig::new(MatrixGameConfig { worlds: 300, ..MatrixGameConfig::two_step() }));
    let games = vec![vec![vec![1.0, -2.0, 0.5]]];
    all.push(WorldConfig::new(MatrixGameConfig {
        worlds: 2,
        games,
        rounds: 3,
        ..MatrixGameConfig::default()
    }));
    all.push(WorldConfig::new(RepeatPreviousConfig {
        worlds: 130,
        agents: 3,
        symbols: 5,
        lag: 2,
        length: 9,
    }));
    all.push(WorldConfig::new(PointNavigationConfig {
        worlds: 9,
        agents: 3,
        length: 4,
        episodes: 2,
        trial: true,
    }));
    all.push(WorldConfig::new(SwitchConfig { worlds: 200, agents: 4, days: 0, lamp: true }));
    // Agents of one kind with more machines than others.
    all.push(WorldConfig::new(FactoryConfig {
        worlds: 130,
        machines: 5,
        horizon: 9,
        ..FactoryConfig::large()
    }));
    all.push(WorldConfig::new(DeepSeaConfig { worlds: 3, size: 4, mapping_seed: 0 }));
    let task = Task::Regulator(RegulatorConfig { lag: 0.3, ..RegulatorConfig::default() });
    all.push(WorldConfig::new(PlatoonConfig {
        worlds: 200,
        max_episode_steps: 12,
        task,
        ..Default::default()
    }));
    let road =
        RoadConfig { lanes: 3, assist: false, driven_cars: 2, driver: Driver::Cacc, ..RoadConfig::default() };
    all.push(WorldConfig::new(PlatoonConfig {
        worlds: 20,
        cars: 0,
        task: Task::Road(Box::new(road)),
        ..Default::default()
    }));
    all.push(WorldConfig::new(LewisConfig { worlds: 40, states: 3, senders: 5, steps: 4 }));
    let noise = Sight::Gaussian;
    all.push(WorldConfig::new(NoiseConfig { worlds: 40, agents: 9, noise, steps: 3, ..Default::default() }));
    let source = Source::Random { sizes: vec![[2, 3], [4, 2]], durations: [1, 9], alternatives: 2 };
    let waiting =
        JobShopConfig { worlds: 40, source, jobs: 5, machines: 4, may_wait: true, ..Default::default() };
    all.push(WorldConfig::new(JobShopConfig { order: Rule::Fifo, coming: 0, ..waiting }));
    all.push(WorldConfig::new(RecallConfig {
        worlds: 40,
        agents: 6,
        groups: 3,
        practice: false,
        ..Default::default()
    }));
    all.push(WorldConfig::new(PlantedConfig { worlds: 40, useless: 0, mute: 0, ..Default::default() }));
    // All that a warehouse can have, on ground so narrow that robots get into each other's way.
    all.push(WorldConfig::new(WarehouseConfig {
        worlds: 60,
        agents: 7,
        layout: LayoutSource::Text { text: "xxc.\nxg..\nxx.g\n....".into() },
        requests: 2,
        reward: Reward::TwoStage,
        max_episode_steps: 31,
        max_inactivity_steps: 29,
        sensor_range: 2,
        message_bits: 1,
        battery: Battery { capacity: 20, ..Battery::default() },
        service: 2,
        priorities: Priorities { weights: vec![1.0, 2.5], deadline: [3, 9], late: 0.5 },
        ..Default::default()
    }));
    all.push(WorldConfig::new(ForagingConfig {
        worlds: 90,
        agents: 5,
        size: 6,
        sight: 2,
        penalty: 0.25,
        show_levels: false,
        max_episode_steps: 20,
        ..Default::default()
    }));
    let vehicles = KinematicBicycleConfig { worlds: 90, agents: 3, goals: true, ..Default::default() };
    all.push(WorldConfig::new(KinematicBicycleConfig { max_episode_steps: 30, ..vehicles }));
    all.extend(crate::roads::configurations());
    all.extend(crate::traffic::configurations());
    all
}
