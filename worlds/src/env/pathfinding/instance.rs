//! An instance: a map with a start and a target for every agent, and how further targets are drawn. The draws are
//! POGEMA's, number for number.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::map::{Cell, Map};
use super::pcg64::Pcg64;
use crate::error::{Error, Result};

/// One episode's beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The map, shared by the instances on it.
    #[serde(with = "shared_map")]
    pub map: Arc<Map>,
    /// Where each agent starts.
    pub starts: Vec<Cell>,
    /// Each agent's first target.
    pub targets: Vec<Cell>,
    /// With `restart`: the targets that follow, agent by agent, over again from the first when they are used up.
    /// Empty: they are drawn at random, as POGEMA does.
    #[serde(default)]
    pub further_targets: Vec<Vec<Cell>>,
    /// The seed of the targets drawn with `restart`.
    #[serde(default)]
    pub seed: u64,
    /// What reports call it.
    #[serde(default)]
    pub label: String,
    /// A limit of steps of its own, instead of the configuration's.
    #[serde(default)]
    pub max_episode_steps: Option<usize>,
}

mod shared_map {
    use super::*;

    pub fn serialize<S: serde::Serializer>(map: &Arc<Map>, to: S) -> Result<S::Ok, S::Error> {
        map.as_ref().serialize(to)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Arc<Map>, D::Error> {
        Map::deserialize(from).map(Arc::new)
    }
}

impl Instance {
    /// An instance with these starts and targets.
    ///
    /// # Errors
    /// See [`Instance::check`].
    pub fn new(map: Arc<Map>, starts: Vec<Cell>, targets: Vec<Cell>) -> Result<Instance> {
        let label = map.name.clone();
        let instance = Instance {
            map,
            starts,
            targets,
            further_targets: Vec::new(),
            seed: 0,
            label,
            max_episode_steps: None,
        };
        instance.check()?;
        Ok(instance)
    }

    /// Checks that every cell is free and on the map, that no two agents start on one cell, and that the lists
    /// agree in length.
    ///
    /// # Errors
    /// The first thing that is not so, with the agent (from 0).
    pub fn check(&self) -> Result<()> {
        let map = &self.map;
        let agents = self.starts.len();
        if self.targets.len() != agents {
            return Err(map.error(format!("{agents} starts but {} targets", self.targets.len())));
        }
        if !self.further_targets.is_empty() && self.further_targets.len() != agents {
            return Err(
                map.error(format!("{agents} starts but {} lists of targets", self.further_targets.len()))
            );
        }
        let mut taken = vec![None; map.height() * map.width()];
        for agent in 0..agents {
            let further = self.further_targets.get(agent).into_iter().flatten().map(|c| ("target", *c));
            for (what, cell) in
                [("start", self.starts[agent]), ("target", self.targets[agent])].into_iter().chain(further)
            {
                let (row, column) = cell;
                if row >= map.height() || column >= map.width() {
                    let (height, width) = (map.height(), map.width());
                    return Err(map.error(format!(
                        "the {what} of agent {agent} at row {row}, column {column} lies outside the {height} x {width} map"
                    )));
                }
                if map.is_blocked(cell) {
                    let message =
                        format!("the {what} of agent {agent} at row {row}, column {column} is blocked");
                    return Err(map.error(message));
                }
            }
            let (row, column) = self.starts[agent];
            let slot = &mut taken[row * map.width() + column];
            if let Some(other) = slot.replace(agent) {
                let message = format!("agents {other} and {agent} both start at row {row}, column {column}");
                return Err(map.error(message));
            }
        }
        Ok(())
    }

    /// POGEMA's instance on a map: the agents that the map fixes if it fixes any, else starts and targets drawn with
    /// `seed` from the map's possible cells, else from all free cells, every target in the component of its start.
    ///
    /// # Errors
    /// Fewer places than agents.
    pub fn place(map: &Arc<Map>, agents: usize, seed: u64) -> Result<Instance> {
        let (starts, targets) = if !map.agents.is_empty() {
            if map.agents.len() < agents {
                let fixed = map.agents.len();
                return Err(map.error(format!("the map fixes {fixed} agents, {agents} are wanted")));
            }
            map.agents[..agents].iter().copied().unzip()
        } else if let (Some(starts), Some(targets)) = (&map.possible_starts, &map.possible_targets) {
            possible_places(map, starts, targets, agents, seed)?
        } else {
            free_places(map, agents, seed)?
        };
        let label = map.name.clone();
        let map = Arc::clone(map);
        Ok(Instance {
            map,
            starts,
            targets,
            further_targets: Vec::new(),
            seed,
            label,
            max_episode_steps: None,
        })
    }

    /// POGEMA's random instance of `seed`: obstacles with probability `density`, then [`Instance::place`].
    ///
    /// # Errors
    /// Sides or a density out of range; fewer places than agents.
    pub fn random(height: usize, width: usize, density: f64, agents: usize, seed: u64) -> Result<Instance> {
        let map = super::generate::random(height, width, density, seed)?;
        Instance::place(&Arc::new(map), agents, seed)
    }
}

/// Starts and targets.
type Places = (Vec<Cell>, Vec<Cell>);

/// POGEMA's `generate_from_possible_positions`: both lists shuffled by one stream, the first of each taken.
fn possible_places(map: &Map, starts: &[Cell], targets: &[Cell], agents: usize, seed: u64) -> Result<Places> {
    for (what, list) in [("starts", starts), ("targets", targets)] {
        if list.len() < agents {
            return Err(map.error(format!("{} possible {what} are too few for {agents} agents", list.len())));
        }
    }
    let mut random = Pcg64::new(seed);
    let (mut starts, mut targets) = (starts.to_vec(), targets.to_vec());
    random.shuffle(&mut starts);
    random.shuffle(&mut targets);
    starts.truncate(agents);
    targets.truncate(agents);
    Ok((starts, targets))
}

/// POGEMA's `placing`: free cells in a shuffled order; a cell is the target of the component's last start that waits
/// for one, else a start if its component has two cells left.
fn free_places(map: &Map, agents: usize, seed: u64) -> Result<Places> {
    let width = map.width();
    let (component, mut room) = map.components();
    let mut order: Vec<u32> = (0..component.len() as u32).filter(|c| component[*c as usize] != 0).collect();
    Pcg64::new(seed).shuffle(&mut order);
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); room.len()];
    let mut starts: Vec<Cell> = Vec::with_capacity(agents);
    let mut targets: Vec<Cell> = vec![(0, 0); agents];
    let mut done = 0;
    for cell in order {
        let cell = cell as usize;
        let number = component[cell] as usize;
        let at = (cell / width, cell % width);
        if let Some(agent) = waiting[number].pop() {
            targets[agent] = at;
            done += 1;
        } else if starts.len() >= agents {
            if done >= agents {
                break;
            }
        } else if room[number] >= 2 {
            room[number] -= 2;
            waiting[number].push(starts.len());
            starts.push(at);
        }
    }
    if starts.len() < agents || done < agents {
        let free = map.free_cells();
        return Err(map.error(format!(
            "only {} of {agents} agents can be placed: {free} free cells, start and target need two of one component each",
            starts.len()
        )));
    }
    Ok((starts, targets))
}

/// One stream of further targets an agent, as POGEMA seeds them.
pub(super) fn target_streams(seed: u64, agents: usize) -> Vec<Pcg64> {
    let mut random = Pcg64::new(seed);
    (0..agents).map(|_| Pcg64::new(random.below(i32::MAX as u32) as u64)).collect()
}

/// A seed from words: the draw of instance number `episode` of a world.
pub(super) fn stream(seed: u64, world: usize, episode: u64) -> Pcg64 {
    let words = [seed, world as u64, episode].map(|w| [w as u32, (w >> 32) as u32]);
    Pcg64::from_entropy(words.as_flattened())
}

/// A setting out of range. Settings of worlds stand under `world`.
pub(super) fn out_of_range(key: &str, expected: &str) -> Error {
    Error::config(format!("world.{key}"), format!("expected {expected}"))
}
