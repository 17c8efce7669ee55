//! One episode of trained agents to look at.

use super::Settings;
use super::evaluate::{Evaluation, at_most_fixed, instances, maps, maps_of};
use super::filming::{Episode, film_episode};
use crate::Device;
use crate::agent::Policy;
use crate::env::WorldConfig;
use crate::env::pathfinding::{PathfindingConfig, Source};
use crate::error::Result;

/// Plays one episode of the world that a run was trained in, and films it. Of pathfinding the map is the first of
/// `evaluation.maps`, or one of the preset's own; for bottlenecks `length` is the corridor's.
///
/// # Errors
/// A map that cannot be read, numbers out of range, a world that does not draw itself, or what the device reports.
pub fn record(
    device: &Device,
    settings: &Settings,
    policy: &dyn Policy,
    evaluation: &Evaluation,
    length: usize,
) -> Result<Episode> {
    evaluation.check_instance_seed()?;
    if settings.world.get::<PathfindingConfig>().is_none() {
        // Other episodes than those of training.
        let mut world = settings.judging_worlds(1, evaluation.seed ^ 0x6576_616c)?;
        return film_episode(device, world.as_mut(), policy, evaluation.choice, evaluation.seed);
    }
    let mut world = PathfindingConfig { worlds: 1, seed: evaluation.seed, ..maps_of(settings)?.clone() };
    world.collision = evaluation.collision.unwrap_or(world.collision);
    let maps = maps(&evaluation.maps[..evaluation.maps.len().min(1)])?;
    world.agents = evaluation.agents.first().copied().unwrap_or_else(|| at_most_fixed(&maps, world.agents));
    world.max_episode_steps = evaluation.steps.unwrap_or(world.max_episode_steps);
    if !maps.is_empty() {
        world.source = match evaluation.instance_seed {
            Some(seed) => instances(&maps[..1], world.agents, seed)?,
            None => Source::Maps { maps },
        };
    } else if let Source::Bottleneck { lengths, limit_by_length } = &mut world.source {
        (*lengths, *limit_by_length) = (vec![length], evaluation.steps.is_none());
    }
    let mut environment = settings.worlds(&WorldConfig::new(world), evaluation.seed)?;
    film_episode(device, environment.as_mut(), policy, evaluation.choice, evaluation.seed)
}
