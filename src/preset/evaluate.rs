//! What trained agents achieve on maps: a row for each map and number of agents.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::Settings;
use super::settings::other_number;
use crate::Device;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::env::pathfinding::{Collision, Instance, Map, Order, PathfindingConfig, Source};
use crate::env::{EpisodeReport, Spec, WorldConfig};
use crate::error::{Error, Result};
use crate::train::player::Player;

/// The most agents (of all worlds) that act at once.
const LANES: usize = 8192;

/// What to evaluate on.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Map files and folders; empty for the preset's own test maps.
    pub maps: Vec<PathBuf>,
    /// Numbers of agents; empty for the preset's own.
    pub agents: Vec<usize>,
    /// Episodes on each map with each number of agents.
    pub episodes: usize,
    /// The limit of an episode; `None` for the preset's own.
    pub steps: Option<usize>,
    /// The seed of starts, targets and actions.
    pub seed: u64,
    /// With given maps: draw the starts and targets of episode `k` as POGEMA does with seed `instance_seed + k`,
    /// in place of seeds that follow from `seed`. pogema-benchmark's instances are those of seed 0.
    pub instance_seed: Option<u64>,
    /// How collisions are settled; `None` for the preset's own.
    pub collision: Option<Collision>,
    /// How actions are chosen.
    pub choice: Choice,
}

impl Evaluation {
    /// Checks that there are maps to draw instances on where a seed of instances is given.
    pub(super) fn check_instance_seed(&self) -> Result<()> {
        if self.instance_seed.is_some() && self.maps.is_empty() {
            return Err(Error::Usage("a seed of instances needs maps to draw them on".into()));
        }
        Ok(())
    }
}

/// Means over the episodes on one map with one number of agents.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The map's name.
    pub map: String,
    /// Agents on it.
    pub agents: usize,
    /// Episodes.
    pub episodes: usize,
    /// Cooperative success rate: the share of episodes in which every agent arrived.
    pub csr: Option<f64>,
    /// Individual success rate: the share of agents that arrived.
    pub isr: Option<f64>,
    /// Sum of the steps at which the agents arrived.
    pub soc: Option<f64>,
    /// The step at which the last one arrived.
    pub makespan: Option<f64>,
    /// Goals reached in a step, by all agents together.
    pub throughput: Option<f64>,
}

/// Mean of rows; of each number over the rows that have it.
pub fn mean(rows: &[Row]) -> Row {
    let of = |get: fn(&Row) -> Option<f64>| {
        let values: Vec<f64> = rows.iter().filter_map(get).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Row {
        map: "mean".into(),
        agents: rows.first().filter(|f| rows.iter().all(|r| r.agents == f.agents)).map_or(0, |r| r.agents),
        episodes: rows.iter().map(|r| r.episodes).sum(),
        csr: of(|r| r.csr),
        isr: of(|r| r.isr),
        soc: of(|r| r.soc),
        makespan: of(|r| r.makespan),
        throughput: of(|r| r.throughput),
    }
}

/// Is told of episodes done and to do; an error of its ends the evaluation.
pub type Watch<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

/// Worlds that are played together.
struct Task {
    world: PathfindingConfig,
    /// Which rounds these are: their numbers make their seeds.
    rounds: Range<usize>,
}

/// Plays `policy` on maps.
///
/// # Errors
/// A world of another kind, maps that cannot be read or have too few free cells, numbers out of range, or what the device
/// or `progress` reports.
pub fn evaluate_maps(
    device: &Device,
    settings: &Settings,
    policy: &dyn Policy,
    evaluation: &Evaluation,
    progress: Watch<'_>,
) -> Result<Vec<Row>> {
    Ok(rows(&play_maps(device, settings, policy, evaluation, progress)?))
}

/// As [`evaluate_maps`], with the world's report of each episode.
///
/// # Errors
/// As [`evaluate_maps`].
pub fn play_maps(
    device: &Device,
    settings: &Settings,
    policy: &dyn Policy,
    evaluation: &Evaluation,
    progress: Watch<'_>,
) -> Result<Vec<EpisodeReport>> {
    if evaluation.episodes == 0 {
        return Err(Error::Usage("an evaluation needs at least one episode".into()));
    }
    evaluation.check_instance_seed()?;
    let tasks = tasks(settings, evaluation)?;
    let total: u64 = tasks.iter().map(|t| (t.world.worlds * t.rounds.len()) as u64).sum();
    let mut done = 0;
    progress(done, total)?;
    let mut reports = Vec::new();
    // Tasks of the same sizes share their programs.
    let mut player: Option<(Spec, Player)> = None;
    for task in tasks {
        for round in task.rounds {
            let seed = evaluation.seed.wrapping_add((round as u64) << 32);
            let mut world = task.world.clone();
            if let (Some(first), Source::Maps { maps }) = (evaluation.instance_seed, &task.world.source) {
                world.source = instances(maps, world.agents, first.wrapping_add(round as u64))?;
            }
            let mut environment = settings.worlds(&WorldConfig::new(world), seed)?;
            let player = match &mut player {
                Some((spec, player)) if spec == environment.spec() => player,
                other => {
                    let own = Player::new(device, policy, environment.as_ref(), evaluation.choice, false)?;
                    &mut other.insert((environment.spec().clone(), own)).1
                }
            };
            reports.extend(player.play(environment.as_mut(), seed, |_, _, _| Ok(()))?);
            done += task.world.worlds as u64;
            progress(done, total)?;
        }
    }
    Ok(reports)
}

/// Means over the episodes on each map with each number of agents, in the order in which they first occur.
pub fn rows(reports: &[EpisodeReport]) -> Vec<Row> {
    let mut order: Vec<(&str, usize)> = Vec::new();
    let mut groups: BTreeMap<(&str, usize), Vec<&EpisodeReport>> = BTreeMap::new();
    for report in reports {
        let key = (report.label.as_str(), report.agents);
        let group = groups.entry(key).or_default();
        if group.is_empty() {
            order.push(key);
        }
        group.push(report);
    }
    order
        .into_iter()
        .map(|key| {
            let reports = &groups[&key];
            let of = |name: &str| {
                let values: Vec<f64> = reports.iter().filter_map(|r| r.value(name)).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            };
            Row {
                map: key.0.to_string(),
                agents: key.1,
                episodes: reports.len(),
                csr: of("csr"),
                isr: of("isr"),
                soc: of("soc"),
                makespan: of("makespan"),
                throughput: of("throughput"),
            }
        })
        .collect()
}

/// The settings of a world of pathfinding.
pub(super) fn maps_of(settings: &Settings) -> Result<&PathfindingConfig> {
    settings.world.get().ok_or_else(|| {
        let kind = settings.world.name();
        Error::Usage(format!("maps are for pathfinding; this run's world is `{kind}`"))
    })
}

fn tasks(settings: &Settings, evaluation: &Evaluation) -> Result<Vec<Task>> {
    let mut base = maps_of(settings)?.clone();
    base.collision = evaluation.collision.unwrap_or(base.collision);
    base.order = Order::Cycle;
    base.spread_first_episodes = false;
    if let Some(steps) = evaluation.steps {
        base.max_episode_steps = steps;
    }
    let maps = maps(&evaluation.maps)?;
    let agents = match &evaluation.agents[..] {
        [] => vec![at_most_fixed(&maps, base.agents)],
        given => given.to_vec(),
    };
    if let Some(other) = agents.iter().find(|agents| **agents != base.agents)
        && let Some(reason) = settings.counts_agents()
    {
        return Err(other_number(base.agents, *other, reason));
    }
    let mut tasks = Vec::new();
    for agents in agents {
        let base = PathfindingConfig { agents, ..base.clone() };
        if evaluation.maps.is_empty() {
            own_tasks(&base, evaluation, &mut tasks)?;
            continue;
        }
        let at_once = (LANES / agents.max(1)).max(1);
        for chunk in maps.chunks(at_once) {
            let source = Source::Maps { maps: chunk.to_vec() };
            let world = PathfindingConfig { worlds: chunk.len(), source, ..base.clone() };
            world.check()?;
            tasks.push(Task { world, rounds: 0..evaluation.episodes });
        }
    }
    Ok(tasks)
}

/// The maps of files and folders.
pub(super) fn maps(paths: &[PathBuf]) -> Result<Vec<Map>> {
    let mut maps = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => maps.extend(Map::load_folder(path)?),
            false => maps.push(Map::load(path)?),
        }
    }
    Ok(maps)
}

/// So many agents, or as many as there are on the map that fixes the fewest: a scenario of less than the preset's number.
pub(super) fn at_most_fixed(maps: &[Map], agents: usize) -> usize {
    maps.iter().map(|map| map.agents.len()).filter(|fixed| *fixed > 0).fold(agents, usize::min)
}

/// POGEMA's instances of `seed` on these maps.
pub(super) fn instances(maps: &[Map], agents: usize, seed: u64) -> Result<Source> {
    let place = |map: &Map| Instance::place(&Arc::new(map.clone()), agents, seed);
    Ok(Source::Instances { instances: maps.iter().map(place).collect::<Result<_>>()? })
}

/// The preset's own test maps: for bottlenecks the paper's lengths, else fresh maps of the kind it was trained on.
fn own_tasks(base: &PathfindingConfig, evaluation: &Evaluation, tasks: &mut Vec<Task>) -> Result<()> {
    let at_once = (LANES / base.agents.max(1)).max(1);
    let (rounds, rest) = (evaluation.episodes / at_once, evaluation.episodes % at_once);
    let mut push = |source: Source| -> Result<()> {
        for (worlds, rounds) in [(at_once, 0..rounds), (rest, rounds..rounds + 1)] {
            if worlds > 0 && !rounds.is_empty() {
                let world = PathfindingConfig { source: source.clone(), worlds, ..base.clone() };
                world.check()?;
                tasks.push(Task { world, rounds });
            }
        }
        Ok(())
    };
    if let Source::Bottleneck { .. } = base.source {
        let limit_by_length = evaluation.steps.is_none();
        for length in (3..=50).chain((100..=1000).step_by(100)) {
            push(Source::Bottleneck { lengths: vec![length], limit_by_length })?;
        }
        return Ok(());
    }
    push(base.source.clone())
}
