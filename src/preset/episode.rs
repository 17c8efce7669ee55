//! One episode of trained agents to look at.

use super::evaluate::{Evaluation, at_most_fixed, instances, maps};
use super::filming::{Episode, film_episode};
use super::{Settings, TeamSettings};
use crate::Device;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::env::pathfinding::{Pathfinding, PathfindingConfig, Source};
use crate::error::Result;

/// Plays one episode and records it. The map is the first of `evaluation.maps`, or one of the preset's own; for
/// bottlenecks `length` is the corridor's.
///
/// # Errors
/// A map that cannot be read, numbers out of range, or what the device reports.
pub fn record(
    device: &Device,
    settings: &Settings,
    policy: &dyn Policy,
    evaluation: &Evaluation,
    length: usize,
) -> Result<Episode> {
    evaluation.check_instance_seed()?;
    let mut world = PathfindingConfig { worlds: 1, seed: evaluation.seed, ..settings.world.clone() };
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
    let mut environment = Pathfinding::new(world)?;
    film_episode(device, &mut environment, policy, evaluation.choice, evaluation.seed)
}

/// Plays one episode of the world that a team was trained in, and films it.
///
/// # Errors
/// A world that does not draw itself, or what the device or the world reports.
pub fn record_team(
    device: &Device,
    settings: &TeamSettings,
    policy: &dyn Policy,
    evaluation: &Evaluation,
) -> Result<Episode> {
    // Other episodes than those of training.
    let mut world = settings.worlds(1, evaluation.seed ^ 0x6576_616c)?;
    let choice = settings.choice(evaluation.choice == Choice::Greedy);
    film_episode(device, world.as_mut(), policy, choice, evaluation.seed)
}
