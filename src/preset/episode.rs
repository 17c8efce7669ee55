//! One episode of trained agents as a scene to look at.

use super::Settings;
use super::evaluate::{Evaluation, at_most_fixed, instances, maps, maps_of};
use crate::Device;
use crate::agent::Policy;
use crate::env::EpisodeReport;
use crate::env::pathfinding::{Pathfinding, PathfindingConfig, Source};
use crate::error::{Error, Result};
use crate::run::picture::{AgentView, Frame, Scene};
use crate::train::player::Player;

/// A recorded episode.
pub struct Episode {
    /// What happened, frame by frame.
    pub scene: Scene,
    /// What it amounted to.
    pub report: EpisodeReport,
}

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
    let mut environment = Pathfinding::new(world)?;
    let mut player = Player::new(device, policy, &environment, evaluation.choice, true)?;
    let mut frames = Vec::new();
    let mut ground = None;
    let reports =
        player.play(&mut environment, evaluation.seed, |environment: &Pathfinding, actors, step| {
            let Some(view) = environment.view(0) else { return Ok(()) };
            ground.get_or_insert_with(|| (view.map.height(), view.map.width(), view.map.cells().to_vec()));
            let count = view.positions.len();
            // [agents, 1, heads, agents]: the mean over heads.
            let heads = actors.attention.len() / (count * count);
            let agents = (0..count)
                .map(|i| AgentView {
                    row: view.positions[i].0,
                    column: view.positions[i].1,
                    target: view.targets[i],
                    active: view.active[i],
                    path: view.paths[i].clone(),
                    attention: (0..if heads == 0 { 0 } else { count })
                        .map(|j| {
                            let of = |h: usize| actors.attention[(i * heads + h) * count + j];
                            (0..heads).map(of).sum::<f32>() / heads as f32
                        })
                        .collect(),
                })
                .collect();
            frames.push(Frame { agents, caption: format!("{}  step {step}", view.label) });
            Ok(())
        })?;
    let report = reports.into_iter().next();
    match (ground, report) {
        (Some((height, width, obstacles)), Some(report)) => {
            Ok(Episode { scene: Scene { width, height, obstacles, frames }, report })
        }
        _ => Err(Error::Usage("the episode ended before it began".into())),
    }
}
