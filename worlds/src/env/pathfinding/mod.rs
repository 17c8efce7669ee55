//! Multi-agent pathfinding on grids: POGEMA's rules, observations and instances (pypi `pogema` 1.4.0), SRMT's
//! observations and rewards (arXiv 2501.13200), maps and their files, generators. Many worlds are stepped at once.
//!
//! Cells are (row, column). Actions: 0 stay, 1 up, 2 down, 3 left, 4 right. A step moves the agents, pays them, hides
//! or retargets those that arrived, and then shows the world to them.

// Agents are counted through several arrays at once, where an index reads better than nested zips.
#![allow(clippy::needless_range_loop)]

mod collision;
mod config;
mod congestion;
mod files;
pub mod generate;
mod instance;
mod map;
mod observe;
mod pcg64;
mod plan;
mod reward;
mod scenario;
mod source;
mod state;
mod world;

pub use config::{Collision, Observation, OnTarget, Order, PathfindingConfig, Planner, Source};
pub use files::MAX_FILE_BYTES;
pub(super) use files::read_up_to;
pub use instance::Instance;
pub use map::{Cell, MAX_SIDE, Map};
pub use pcg64::Pcg64;
pub use reward::{RewardTable, Rewards};
pub use scenario::{Scenario, ScenarioEntry};

use std::ops::Range;
use std::sync::Mutex;

use super::drawing::{Cells, DISC, Drawing, Role, Shape, middle, names};
use super::{AgentKind, Buffers, EpisodeReport, Spec, VecEnv, memory};
use crate::action::{ActionSpace, Actions};
use crate::cpu::map_mut;
use crate::error::{Error, Result};
use plan::{NO_STEP, after};
use source::Draws;
use world::{Memory, Rows, Rules, World};

/// Actions of an agent: stay, up, down, left, right.
pub const ACTIONS: usize = 5;

/// Agents in a chunk of worlds that one task steps. Smaller chunks would cost more to hand out than to step.
const CHUNK_AGENTS: usize = 256;

/// Many pathfinding worlds stepped at once.
///
/// ```
/// use synod_worlds::env::{Buffers, VecEnv, pathfinding::{Pathfinding, PathfindingConfig}};
/// let mut env = Pathfinding::new(PathfindingConfig::bottleneck(4))?;
/// let mut out = Buffers::new(env.spec());
/// env.reset(&[true; 4], &mut out)?;
/// env.step(&[2, 1, 2, 1, 2, 1, 2, 1].into(), &mut out)?;
/// assert_eq!(out.observations.len(), 4 * 2 * 3 * 5 * 5);
/// # Ok::<(), synod_worlds::Error>(())
/// ```
#[derive(Debug)]
pub struct Pathfinding {
    config: PathfindingConfig,
    spec: Spec,
    draws: Draws,
    fingerprint: u64,
    worlds: Vec<Option<World>>,
    /// One for each chunk of worlds.
    memories: Vec<Memory>,
    reports: Vec<EpisodeReport>,
}

/// One world as a picture shows it.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// The map.
    pub map: &'a Map,
    /// What reports call the instance.
    pub label: &'a str,
    /// Steps since the episode began.
    pub step: usize,
    /// The step at which the episode is truncated.
    pub limit: usize,
    /// Whether the episode has ended.
    pub ended: bool,
    /// Where each agent is, or was last.
    pub positions: Vec<Cell>,
    /// Where each agent has to go.
    pub targets: Vec<Cell>,
    /// Whether each agent is on the map.
    pub active: Vec<bool>,
    /// Each agent's planned path from its own cell to its target, both included; empty where there is none.
    pub paths: Vec<Vec<Cell>>,
}

impl Pathfinding {
    /// Worlds as `config` says. Nothing is on them until the first [`VecEnv::reset`].
    ///
    /// # Errors
    /// A setting out of range, a map that is broken or has too little room.
    pub fn new(config: PathfindingConfig) -> Result<Pathfinding> {
        config.check()?;
        let side = 2 * config.radius + 1;
        let numbers = config.worlds.checked_mul(config.agents).and_then(|n| n.checked_mul(3 * side * side));
        memory::require("world.worlds", numbers.and_then(|n| n.checked_mul(size_of::<f32>())))?;
        let draws = Draws::new(&config)?;
        let kind = AgentKind::new("agent", config.agents, &[3, side, side], ActionSpace::Discrete(ACTIONS));
        let spec =
            Spec { worlds: config.worlds, kinds: vec![kind], state: 0, masked: false, limit: u32::MAX };
        let worlds = (0..config.worlds).map(|_| None).collect();
        let fingerprint = state::fingerprint(&config, &draws);
        let memories = (0..config.worlds.div_ceil(chunk(&config))).map(|_| Memory::default()).collect();
        Ok(Pathfinding { config, spec, draws, fingerprint, worlds, memories, reports: Vec::new() })
    }

    /// The settings.
    pub fn config(&self) -> &PathfindingConfig {
        &self.config
    }

    /// What a world's current instance is called (`bottleneck-12`, `maze-77`, a map's file name); `None` before its
    /// first reset or where there is no such world.
    pub fn label(&self, world: usize) -> Option<&str> {
        Some(&self.worlds.get(world)?.as_ref()?.instance.label)
    }

    /// The instance that a world's episode began with; `None` as for [`Pathfinding::label`].
    pub fn instance(&self, world: usize) -> Option<&Instance> {
        Some(&self.worlds.get(world)?.as_ref()?.instance)
    }

    /// What a picture of a world shows; `None` as for [`Pathfinding::label`].
    pub fn view(&self, world: usize) -> Option<View<'_>> {
        let world = self.worlds.get(world)?.as_ref()?;
        let ground = &world.ground;
        let places = |cells: &[u32]| cells.iter().map(|c| ground.place(*c)).collect();
        let mut search = plan::Search::default();
        let mut steps = Vec::new();
        let paths = (0..world.positions.len())
            .map(|agent| {
                let (mut cell, target) = (world.positions[agent] as usize, world.targets[agent] as usize);
                let steps = match self.config.planner {
                    // Made at every step.
                    Planner::Follower | Planner::Congestion if !world.steps[agent].is_empty() => {
                        &world.steps[agent]
                    }
                    _ => {
                        search.label(&ground.blocked, ground.stride, target, &mut steps);
                        &steps
                    }
                };
                if world.gone(agent) || (cell != target && steps[cell] == NO_STEP) {
                    return Vec::new();
                }
                let mut path = vec![ground.place(cell as u32)];
                while cell != target {
                    cell = after(cell, steps[cell], ground.stride);
                    path.push(ground.place(cell as u32));
                }
                path
            })
            .collect();
        Some(View {
            map: &ground.map,
            label: &world.instance.label,
            step: world.step as usize,
            limit: world.limit as usize,
            ended: world.ended,
            positions: places(&world.positions),
            targets: places(&world.targets),
            active: world.present.clone(),
            paths,
        })
    }
}

/// Worlds in a chunk; a function of the configuration, never of the threads.
fn chunk(config: &PathfindingConfig) -> usize {
    (CHUNK_AGENTS / config.agents).max(1)
}

/// The rows of some worlds that follow one another.
fn rows_of(worlds: Range<usize>, agents: usize, out: &mut Buffers) -> Rows<'_> {
    let lane = out.observations.len() / out.ended.len();
    let part = |each: usize| worlds.start * each..worlds.end * each;
    Rows {
        observations: &mut out.observations[part(lane)],
        masks: &mut out.masks[part(agents * ACTIONS)],
        rewards: &mut out.rewards[part(agents)],
        terminated: &mut out.terminated[part(agents)],
        truncated: &mut out.truncated[part(agents)],
        active: &mut out.active[part(agents)],
        ended: &mut out.ended[part(1)],
    }
}

/// Calls `each` with every world (its index, itself, its rows), chunks of worlds in parallel; gives what it gave.
fn for_worlds<T: Send>(
    worlds: &mut [Option<World>],
    memories: &mut [Memory],
    agents: usize,
    chunk: usize,
    out: &mut Buffers,
    each: impl Fn(usize, &mut Option<World>, &mut Memory, Rows) -> Option<T> + Sync,
) -> Vec<T> {
    let count = worlds.len();
    let lane = out.observations.len() / count;
    let mut chunks: Vec<_> = worlds
        .chunks_mut(chunk)
        .zip(memories)
        .zip(out.observations.chunks_mut(chunk * lane))
        .zip(out.masks.chunks_mut(chunk * agents * ACTIONS))
        .zip(out.rewards.chunks_mut(chunk * agents))
        .zip(out.terminated.chunks_mut(chunk * agents))
        .zip(out.truncated.chunks_mut(chunk * agents))
        .zip(out.active.chunks_mut(chunk * agents))
        .zip(out.ended.chunks_mut(chunk))
        .map(|(chunks, ended)| {
            let ((chunks, truncated), active) = chunks;
            let (((((worlds, memory), observations), masks), rewards), terminated) = chunks;
            (worlds, memory, Rows { observations, masks, rewards, terminated, truncated, active, ended })
        })
        .collect();
    let given = map_mut(&mut chunks, |number, (worlds, memory, rows)| {
        let rows = rows
            .observations
            .chunks_exact_mut(lane)
            .zip(rows.masks.chunks_exact_mut(agents * ACTIONS))
            .zip(rows.rewards.chunks_exact_mut(agents))
            .zip(rows.terminated.chunks_exact_mut(agents))
            .zip(rows.truncated.chunks_exact_mut(agents))
            .zip(rows.active.chunks_exact_mut(agents))
            .zip(rows.ended.chunks_exact_mut(1));
        let mut given = Vec::new();
        for (at, (world, rows)) in worlds.iter_mut().zip(rows).enumerate() {
            let ((((((observations, masks), rewards), terminated), truncated), active), ended) = rows;
            let rows = Rows { observations, masks, rewards, terminated, truncated, active, ended };
            given.extend(each(number * chunk + at, world, memory, rows));
        }
        given
    });
    given.into_iter().flatten().collect()
}

impl VecEnv for Pathfinding {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        if which.len() != self.config.worlds {
            let (got, expected) = (which.len(), self.config.worlds);
            return Err(Error::Usage(format!("reset: {got} marks for {expected} worlds")));
        }
        out.check(&self.spec)?;
        let (config, draws) = (&self.config, &self.draws);
        let rules = Rules::new(config);
        let marked: Vec<usize> = (0..which.len()).filter(|world| which[*world]).collect();
        let chunk = chunk(&self.config);
        let worlds = &mut self.worlds;
        let episode = |world: &Option<World>| world.as_ref().map_or(0, |w| w.episode + 1);
        let mut wanted: Vec<(usize, u64)> =
            marked.iter().map(|index| (*index, episode(&worlds[*index]))).collect();
        // All instances first: if one cannot be drawn, no world has been touched.
        let few = marked.len() * config.agents <= CHUNK_AGENTS;
        let drawn = map_mut(&mut wanted, |_, (index, episode)| draws.draw(config, *index, *episode));
        let drawn = drawn.into_iter().collect::<Result<Vec<_>>>()?;
        let start =
            |index: usize, world: &mut Option<World>, memory: &mut Memory, (instance, ground), rows: Rows| {
                let started =
                    World::start(index, episode(world), instance, ground, &rules, memory, world.take());
                started.write_start(&rules, rows);
                *world = Some(started);
            };
        if few {
            for (index, drawn) in marked.into_iter().zip(drawn) {
                start(
                    index,
                    &mut worlds[index],
                    &mut self.memories[0],
                    drawn,
                    rows_of(index..index + 1, config.agents, out),
                );
            }
            return Ok(());
        }
        let mut slots: Vec<Mutex<Option<_>>> = which.iter().map(|_| Mutex::new(None)).collect();
        for (index, drawn) in marked.into_iter().zip(drawn) {
            slots[index] = Mutex::new(Some(drawn));
        }
        for_worlds(worlds, &mut self.memories, config.agents, chunk, out, |index, world, memory, rows| {
            if let Some(drawn) = slots[index].lock().ok().and_then(|mut slot| slot.take()) {
                start(index, world, memory, drawn, rows);
            }
            None::<()>
        });
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        let agents = self.config.agents;
        let lanes = self.config.worlds * agents;
        actions.expect("step", lanes, 0, lanes)?;
        let actions = &actions.discrete[..];
        out.check(&self.spec)?;
        for (index, (world, actions)) in self.worlds.iter().zip(actions.chunks_exact(agents)).enumerate() {
            let Some(world) = world else {
                return Err(Error::Usage(format!("step: world {index} has never been reset")));
            };
            if actions.iter().any(|a| *a as usize >= ACTIONS) {
                for (agent, action) in actions.iter().enumerate() {
                    if *action as usize >= ACTIONS && !world.ended && !world.gone(agent) {
                        return Err(Error::Usage(format!(
                            "step: action {action} of agent {agent} in world {index}; actions go from 0 to 4"
                        )));
                    }
                }
            }
        }
        let chunk = chunk(&self.config);
        let rules = Rules::new(&self.config);
        let reports = for_worlds(
            &mut self.worlds,
            &mut self.memories,
            agents,
            chunk,
            out,
            |index, world, memory, rows| {
                world.as_mut()?.advance(&rules, memory, &actions[index * agents..][..agents], rows)
            },
        );
        self.reports.extend(reports);
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        std::mem::take(&mut self.reports)
    }

    fn save(&self) -> Vec<u8> {
        state::save(self.fingerprint, &self.worlds, &self.reports)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        (self.worlds, self.reports) = state::load(bytes, self.fingerprint, &self.config, &self.draws)?;
        Ok(())
    }

    /// Rings are targets, dots the planned paths. An agent that has finished vanishes, and its target is filled.
    fn draw(&self, world: usize) -> Option<Drawing> {
        let view = self.view(world)?;
        let (columns, rows, blocked) = (view.map.width(), view.map.height(), view.map.cells().to_vec());
        let mut drawing = Drawing::of_cells(Cells { columns, rows, blocked, role: Role::Wall });
        drawing.title = view.label.to_owned();
        let agents = view.positions.len();
        for (agent, path) in view.paths.iter().enumerate().filter(|(agent, _)| view.active[*agent]) {
            // Paths of neighbours in the list are drawn side by side, so that both can be seen.
            let aside = match agents {
                1 => 0.0,
                2 => 0.2 * agent as f32 - 0.1,
                _ => 0.14 * ((agent % 3) as f32 - 1.0),
            };
            let points = path.iter().map(|(row, column)| middle(*row, *column).map(|x| x + aside)).collect();
            *drawing.add(Role::Agent(agent), Shape::Way { points }) = 0.55;
        }
        for (agent, (position, target)) in view.positions.iter().zip(&view.targets).enumerate() {
            let here = view.active[agent];
            drawing.target(Role::Agent(agent), middle(target.0, target.1), !here);
            if here {
                drawing.disc(Role::Agent(agent), middle(position.0, position.1), DISC);
            }
        }
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["stay", "up", "down", "left", "right"])
    }
}
