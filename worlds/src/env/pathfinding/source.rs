//! Draws the instance of every episode: a function of the configuration, the world and the number of the episode
//! alone, so that neither threads nor interruptions change it.

use std::sync::Arc;

use super::config::{Order, PathfindingConfig, Planner, Source};
use super::congestion::MAX_CELLS;
use super::generate;
use super::instance::{Instance, out_of_range, stream};
use super::map::Map;
use super::pcg64::Pcg64;
use super::world::Ground;
use crate::error::Result;

/// How often a generator is asked again when its map has too few places.
const ATTEMPTS: usize = 100;

/// The maps of a configuration, made ready.
#[derive(Debug)]
pub(super) struct Draws {
    /// One for each entry of the source's list; empty for generators.
    grounds: Vec<Arc<Ground>>,
}

impl Draws {
    pub fn new(config: &PathfindingConfig) -> Result<Draws> {
        let maps: Vec<Arc<Map>> = match &config.source {
            Source::Maps { maps } => maps.iter().cloned().map(Arc::new).collect(),
            Source::Files { paths } => super::files::load_all(paths)?.into_iter().map(Arc::new).collect(),
            Source::Bottleneck { lengths, .. } => {
                lengths.iter().map(|l| generate::bottleneck(*l).map(Arc::new)).collect::<Result<_>>()?
            }
            Source::Warehouse { rows, columns, shelf_length, margin } => {
                vec![Arc::new(generate::warehouse(*rows, *columns, *shelf_length, *margin)?)]
            }
            Source::Instances { instances } => instances.iter().map(|i| Arc::clone(&i.map)).collect(),
            Source::Random { .. } | Source::Pogema { .. } | Source::Maze { .. } => Vec::new(),
        };
        if matches!(config.source, Source::Maps { .. } | Source::Files { .. } | Source::Warehouse { .. }) {
            for map in &maps {
                // Fails early, and names the map, where it has too few places.
                Instance::place(map, config.agents, 0)?.check()?;
            }
        }
        if config.planner == Planner::Follower {
            for map in &maps {
                let free = map.cells().iter().filter(|blocked| !**blocked).count();
                if free > MAX_CELLS {
                    let message = format!(
                        "`shortest` or `congestion` for `{}` with {free} free cells (`follower`: at most {MAX_CELLS}); \
                         --set world.planner=shortest",
                        map.name
                    );
                    return Err(out_of_range("planner", &message));
                }
            }
        }
        let mut grounds: Vec<Arc<Ground>> = Vec::with_capacity(maps.len());
        for map in maps {
            match grounds.last() {
                Some(last) if Arc::ptr_eq(&last.map, &map) => grounds.push(Arc::clone(last)),
                _ => grounds.push(Arc::new(Ground::new(map, config))),
            }
        }
        Ok(Draws { grounds })
    }

    /// The maps of the source's list, in its order.
    pub fn maps(&self) -> impl Iterator<Item = &Map> {
        self.grounds.iter().map(|g| g.map.as_ref())
    }

    /// The instance of an episode.
    pub fn draw(
        &self,
        config: &PathfindingConfig,
        world: usize,
        episode: u64,
    ) -> Result<(Instance, Arc<Ground>)> {
        let mut random = stream(config.seed, world, episode);
        let agents = config.agents;
        let choose = |random: &mut Pcg64, count: usize| match config.order {
            Order::Sampled => random.below(count as u32) as usize,
            Order::Cycle => {
                ((world as u128 + episode as u128 * config.worlds as u128) % count as u128) as usize
            }
        };
        let fresh = |instance: Instance| {
            let ground = Arc::new(Ground::new(Arc::clone(&instance.map), config));
            (instance, ground)
        };
        match &config.source {
            Source::Random { size, density } => {
                attempt(&mut random, |seed| Instance::random(*size, *size, *density, agents, seed)).map(fresh)
            }
            Source::Pogema { seeds, size, density } => {
                let seed = seeds[choose(&mut random, seeds.len())];
                Instance::random(*size, *size, *density, agents, seed).map(fresh)
            }
            Source::Maze { size, wall_components, density } => {
                let between = |random: &mut Pcg64, [low, high]: [usize; 2]| {
                    low + random.below((high - low + 1) as u32) as usize
                };
                let size = between(&mut random, *size);
                let wall_components = between(&mut random, *wall_components);
                let density = density[0] + (density[1] - density[0]) * random.double();
                attempt(&mut random, |seed| {
                    Instance::place(
                        &Arc::new(generate::maze(size, wall_components, density, seed)?),
                        agents,
                        seed,
                    )
                })
                .map(fresh)
            }
            Source::Maps { .. } | Source::Files { .. } | Source::Warehouse { .. } => {
                let ground = &self.grounds[choose(&mut random, self.grounds.len())];
                let instance = Instance::place(&ground.map, agents, random.below(i32::MAX as u32) as u64)?;
                Ok((instance, Arc::clone(ground)))
            }
            Source::Bottleneck { lengths, limit_by_length } => {
                let number = choose(&mut random, lengths.len());
                let length = lengths[number];
                let ground = &self.grounds[number];
                let (starts, targets) = generate::bottleneck_places(length, agents, &mut random);
                let instance = Instance {
                    map: Arc::clone(&ground.map),
                    starts,
                    targets,
                    further_targets: Vec::new(),
                    seed: random.below(i32::MAX as u32) as u64,
                    label: ground.map.name.clone(),
                    max_episode_steps: limit_by_length.then_some(2 * length + 100),
                };
                Ok((instance, Arc::clone(ground)))
            }
            Source::Instances { instances } => {
                let number = choose(&mut random, instances.len());
                let mut instance = instances[number].clone();
                if instance.label.is_empty() {
                    instance.label = instance.map.name.clone();
                }
                Ok((instance, Arc::clone(&self.grounds[number])))
            }
        }
    }
}

/// The first seed of the stream whose instance has room for all agents.
fn attempt(random: &mut Pcg64, make: impl Fn(u64) -> Result<Instance>) -> Result<Instance> {
    let mut made = make(random.below(i32::MAX as u32) as u64);
    for _ in 1..ATTEMPTS {
        if made.is_ok() {
            break;
        }
        made = make(random.below(i32::MAX as u32) as u64);
    }
    made
}
