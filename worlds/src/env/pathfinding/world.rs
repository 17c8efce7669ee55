//! One world: its state and its step.

use std::sync::Arc;

use super::collision::{Board, Scratch};
use super::config::{Observation, OnTarget, PathfindingConfig, Planner};
use super::congestion;
use super::instance::{Instance, target_streams};
use super::map::{Cell, Map};
use super::pcg64::Pcg64;
use super::plan::{NO_STEP, Search, after};
use super::reward::RewardTable;
use crate::env::EpisodeReport;

/// The names of what a report can hold, in their order.
pub(super) const METRICS: [&str; 7] = ["csr", "isr", "soc", "makespan", "throughput", "length", "return"];

/// An agent that has not arrived.
pub(super) const NEVER: u32 = u32::MAX;

/// A map made ready for stepping: padded by the radius on all sides, so that every window is whole rows of a grid.
#[derive(Debug)]
pub(super) struct Ground {
    pub map: Arc<Map>,
    pub pad: usize,
    pub stride: usize,
    /// Obstacles, with a ring of them round the map.
    pub blocked: Vec<bool>,
    /// The same as the obstacle channel shows it.
    pub seen: Vec<f32>,
    /// With `restart`: the component of every padded cell, and the cells of each that targets are drawn from.
    component: Vec<u32>,
    candidates: Vec<Vec<u32>>,
    /// With planners that give way: what entering a padded cell costs at least; 0 where blocked.
    pub costs: Vec<f32>,
}

impl Ground {
    pub fn new(map: Arc<Map>, config: &PathfindingConfig) -> Ground {
        let pad = config.radius;
        let stride = map.width() + 2 * pad;
        let cells = stride * (map.height() + 2 * pad);
        let obstacle = if config.observation == Observation::Pogema { 1.0 } else { -1.0 };
        let mut ground = Ground {
            pad,
            stride,
            blocked: vec![false; cells],
            seen: vec![0.0; cells],
            component: Vec::new(),
            candidates: Vec::new(),
            costs: Vec::new(),
            map: Arc::clone(&map),
        };
        for row in 0..map.height() + 2 {
            for column in 0..map.width() + 2 {
                // Row and column 0 are the ring's; cells outside the map count as blocked.
                if map.is_blocked((row.wrapping_sub(1), column.wrapping_sub(1))) {
                    let cell = (row + pad - 1) * stride + column + pad - 1;
                    ground.blocked[cell] = true;
                    ground.seen[cell] = obstacle;
                }
            }
        }
        if config.on_target == OnTarget::Restart {
            let (component, sizes) = map.components();
            ground.component = vec![0; cells];
            ground.candidates = vec![Vec::new(); sizes.len()];
            for (at, number) in component.iter().enumerate() {
                let cell = ground.cell((at / map.width(), at % map.width()));
                ground.component[cell as usize] = *number;
                if map.possible_targets.is_none() && *number != 0 {
                    ground.candidates[*number as usize].push(cell);
                }
            }
            for &cell in map.possible_targets.iter().flatten() {
                let cell = ground.cell(cell);
                let number = ground.component[cell as usize];
                ground.candidates[number as usize].push(cell);
            }
        }
        if config.planner == Planner::Congestion {
            ground.costs = ground.blocked.iter().map(|blocked| if *blocked { 0.0 } else { 1.0 }).collect();
        }
        if config.planner == Planner::Follower {
            let cells = (0..map.height()).flat_map(|row| (0..map.width()).map(move |column| (row, column)));
            let free: Vec<u32> = cells.filter(|c| !map.is_blocked(*c)).map(|c| ground.cell(c)).collect();
            ground.costs = congestion::static_costs(&ground.blocked, ground.stride, &free);
        }
        ground
    }

    /// The padded cell of a cell of the map.
    pub fn cell(&self, (row, column): Cell) -> u32 {
        ((row + self.pad) * self.stride + column + self.pad) as u32
    }

    /// The cell of the map at a padded cell inside it.
    pub fn place(&self, cell: u32) -> Cell {
        (cell as usize / self.stride - self.pad, cell as usize % self.stride - self.pad)
    }
}

/// The rows of the caller's buffers that belong to one world, or to worlds that follow one another.
pub(super) struct Rows<'a> {
    pub observations: &'a mut [f32],
    pub masks: &'a mut [f32],
    pub rewards: &'a mut [f32],
    pub terminated: &'a mut [bool],
    pub truncated: &'a mut [bool],
    pub active: &'a mut [bool],
    pub ended: &'a mut [bool],
}

/// What a step has to know beside the world.
pub(super) struct Rules<'a> {
    pub config: &'a PathfindingConfig,
    pub table: RewardTable,
}

impl<'a> Rules<'a> {
    pub fn new(config: &'a PathfindingConfig) -> Self {
        Rules { config, table: config.rewards.table() }
    }

    fn shows_targets(&self) -> bool {
        self.config.observation == Observation::PlannedPath
    }

    pub fn needs_paths(&self) -> bool {
        self.shows_targets() || self.table.needs_path()
    }

    /// Whether paths are planned anew at every step.
    pub fn replans(&self) -> bool {
        self.needs_paths() && self.config.planner.replans()
    }
}

/// Working memory that worlds stepped one after another share. Nothing in it outlasts a step.
#[derive(Debug, Default)]
pub(super) struct Memory {
    scratch: Scratch,
    search: Search,
    congestion: congestion::Search,
    /// Per agent: the next cell of its planned path before the step.
    planned: Vec<u32>,
}

/// The step after which an episode is cut off.
fn limit(world: usize, episode: u64, instance: &Instance, config: &PathfindingConfig) -> u32 {
    let limit = instance.max_episode_steps.unwrap_or(config.max_episode_steps);
    if config.spread_first_episodes && episode == 0 {
        return ((limit as u64 * (world as u64 + 1)).div_ceil(config.worlds as u64)) as u32;
    }
    limit as u32
}

/// One world in an episode.
#[derive(Debug)]
pub(super) struct World {
    pub index: usize,
    /// The number of this episode in its world, from 0.
    pub episode: u64,
    pub instance: Arc<Instance>,
    pub ground: Arc<Ground>,
    pub limit: u32,
    pub step: u32,
    pub ended: bool,
    /// Padded cells.
    pub positions: Vec<u32>,
    pub targets: Vec<u32>,
    /// Agents on the map.
    pub present: Vec<bool>,
    /// The step at which each agent arrived, from 1, or [`NEVER`].
    pub arrival: Vec<u32>,
    pub goals: u64,
    /// Sum of all agents' rewards.
    pub total: f64,
    /// How far each agent is in its list of targets.
    pub target_number: Vec<u32>,
    pub streams: Vec<Pcg64>,
    /// Occupancy channel.
    pub occupied: Vec<f32>,
    /// With planned paths: how many present agents' targets each cell is, and whether any.
    pub target_count: Vec<u32>,
    pub target_seen: Vec<f32>,
    /// Per agent: the first step of a shortest path from every cell; with planners that give way, that of the planned path
    /// from every cell on it.
    pub steps: Vec<Vec<u8>>,
    /// With planners that give way, per agent: how many times it saw another agent on each padded cell since it got its
    /// target.
    pub sightings: Vec<Vec<u16>>,
}

impl World {
    /// A world at the start of `instance`, with `old`'s memory reused.
    pub fn start(
        index: usize,
        episode: u64,
        instance: Instance,
        ground: Arc<Ground>,
        rules: &Rules,
        memory: &mut Memory,
        old: Option<World>,
    ) -> World {
        let agents = instance.starts.len();
        let cells = ground.blocked.len();
        let mut steps = old.map(|w| w.steps).unwrap_or_default();
        steps.resize(agents, Vec::new());
        let listed =
            !instance.further_targets.is_empty() && !instance.further_targets.iter().any(Vec::is_empty);
        let drawn = rules.config.on_target == OnTarget::Restart && !listed;
        let mut world = World {
            index,
            episode,
            limit: limit(index, episode, &instance, rules.config),
            step: 0,
            ended: false,
            positions: instance.starts.iter().map(|c| ground.cell(*c)).collect(),
            targets: instance.targets.iter().map(|c| ground.cell(*c)).collect(),
            present: vec![true; agents],
            arrival: vec![NEVER; agents],
            goals: 0,
            total: 0.0,
            target_number: vec![0; agents],
            streams: if drawn { target_streams(instance.seed, agents) } else { Vec::new() },
            occupied: vec![0.0; cells],
            target_count: Vec::new(),
            target_seen: Vec::new(),
            steps,
            sightings: Vec::new(),
            instance: Arc::new(instance),
            ground,
        };
        if rules.replans() {
            world.sightings = vec![vec![0; cells]; agents];
        }
        world.rebuild(rules, memory);
        world.look(rules);
        world.plan(rules, memory);
        world
    }

    /// Counts whom every agent sees about it.
    fn look(&mut self, rules: &Rules) {
        let (stride, radius) = (self.ground.stride, rules.config.radius);
        let place = |cell: u32| (cell as usize / stride, cell as usize % stride);
        for (agent, sightings) in self.sightings.iter_mut().enumerate() {
            let (row, column) = place(self.positions[agent]);
            for (other, &cell) in self.positions.iter().enumerate() {
                let (r, c) = place(cell);
                let near = r.abs_diff(row) <= radius && c.abs_diff(column) <= radius;
                if near && other != agent && self.present[other] && self.present[agent] {
                    let count = &mut sightings[cell as usize];
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    /// With planners that give way, plans every agent's path.
    pub fn plan(&mut self, rules: &Rules, memory: &mut Memory) {
        if !rules.replans() {
            return;
        }
        for agent in (0..self.positions.len()).filter(|a| self.present[*a]) {
            let (start, target) = (self.positions[agent] as usize, self.targets[agent] as usize);
            let (costs, stride) = (&self.ground.costs, self.ground.stride);
            let (seen, steps) = (&self.sightings[agent], &mut self.steps[agent]);
            memory.congestion.label(costs, seen, stride, start, target, steps);
        }
    }

    /// Builds the grids that follow from positions, targets and presence.
    pub fn rebuild(&mut self, rules: &Rules, memory: &mut Memory) {
        let cells = self.ground.blocked.len();
        self.occupied = vec![0.0; cells];
        if rules.shows_targets() {
            self.target_count = vec![0; cells];
            self.target_seen = vec![0.0; cells];
        }
        for agent in 0..self.positions.len() {
            if self.present[agent] {
                self.occupied[self.positions[agent] as usize] = 1.0;
                self.show_target(agent, rules, memory);
            }
        }
    }

    /// Whether an agent has left the map.
    pub fn gone(&self, agent: usize) -> bool {
        !self.present[agent]
    }

    fn show_target(&mut self, agent: usize, rules: &Rules, memory: &mut Memory) {
        let target = self.targets[agent] as usize;
        if rules.shows_targets() {
            self.target_count[target] += 1;
            self.target_seen[target] = 1.0;
        }
        if rules.replans() {
            self.sightings[agent].fill(0);
        } else if rules.needs_paths() {
            memory.search.label(&self.ground.blocked, self.ground.stride, target, &mut self.steps[agent]);
        }
    }

    fn hide_target(&mut self, agent: usize, rules: &Rules) {
        if rules.shows_targets() {
            let target = self.targets[agent] as usize;
            self.target_count[target] -= 1;
            if self.target_count[target] == 0 {
                self.target_seen[target] = 0.0;
            }
        }
    }

    /// Writes this world's rows at the start of an episode.
    pub fn write_start(&self, rules: &Rules, rows: Rows) {
        rows.rewards.fill(0.0);
        rows.terminated.fill(false);
        rows.truncated.fill(false);
        self.write(rules, rows);
    }

    fn write(&self, rules: &Rules, rows: Rows) {
        rows.masks.fill(1.0);
        for (active, present) in rows.active.iter_mut().zip(&self.present) {
            *active = *present && !self.ended;
        }
        rows.ended.fill(self.ended);
        self.observe(rules.config.observation, rules.config.radius, rows.observations);
    }

    /// One step; the report if the episode ended with it.
    pub fn advance(
        &mut self,
        rules: &Rules,
        memory: &mut Memory,
        actions: &[u32],
        rows: Rows,
    ) -> Option<EpisodeReport> {
        rows.terminated.fill(false);
        rows.truncated.fill(false);
        if self.ended {
            rows.rewards.fill(0.0);
            self.write(rules, rows);
            return None;
        }
        let agents = self.positions.len();
        let table = rules.table;
        let stride = self.ground.stride;
        if table.needs_path() {
            memory.planned.resize(agents, NEVER);
            for agent in 0..agents {
                let cell = self.positions[agent] as usize;
                let action = self.steps[agent][cell];
                memory.planned[agent] =
                    if action == NO_STEP { NEVER } else { after(cell, action, stride) as u32 };
            }
        }
        let mut board = Board {
            blocked: &self.ground.blocked,
            stride,
            active: &self.present,
            positions: &mut self.positions,
            occupied: &mut self.occupied,
        };
        memory.scratch.fit(self.ground.blocked.len(), agents);
        memory.scratch.resolve(rules.config.collision, rules.config.invisible_follower, &mut board, actions);
        self.step += 1;
        let at_limit = self.step >= self.limit;
        let on_target = rules.config.on_target;
        let all = on_target == OnTarget::Nothing && self.positions == self.targets;
        let mut present = 0;
        for agent in 0..agents {
            if !self.present[agent] {
                rows.rewards[agent] = 0.0;
                continue;
            }
            let there = self.positions[agent] == self.targets[agent];
            let goal = if on_target == OnTarget::Nothing { all } else { there };
            let along = table.needs_path() && self.positions[agent] == memory.planned[agent];
            let reward = table.pay(goal, along, actions[agent] != 0);
            rows.rewards[agent] = reward;
            self.total += reward as f64;
            self.goals += goal as u64;
            let ends = goal && on_target != OnTarget::Restart;
            rows.terminated[agent] = ends;
            rows.truncated[agent] = at_limit && !ends;
            match on_target {
                OnTarget::Finish if there => {
                    self.arrival[agent] = self.step;
                    self.present[agent] = false;
                    self.occupied[self.positions[agent] as usize] = 0.0;
                    self.hide_target(agent, rules);
                }
                OnTarget::Nothing if there && self.arrival[agent] == NEVER => self.arrival[agent] = self.step,
                // An agent that leaves its target has not arrived; at the very end POGEMA lets its time stand.
                OnTarget::Nothing if !there && !at_limit => self.arrival[agent] = NEVER,
                OnTarget::Restart if there => self.retarget(agent, rules, memory),
                _ => {}
            }
            present += self.present[agent] as usize;
        }
        self.ended = at_limit || present == 0 || all;
        let report = self.ended.then(|| self.report(on_target));
        self.look(rules);
        self.plan(rules, memory);
        self.write(rules, rows);
        report
    }

    fn retarget(&mut self, agent: usize, rules: &Rules, memory: &mut Memory) {
        self.hide_target(agent, rules);
        let position = self.positions[agent];
        if let Some(further) = self.instance.further_targets.get(agent).filter(|f| !f.is_empty()) {
            let number = (self.target_number[agent] as usize + 1) % (further.len() + 1);
            self.target_number[agent] = number as u32;
            let next = if number == 0 { self.instance.targets[agent] } else { further[number - 1] };
            self.targets[agent] = self.ground.cell(next);
        } else if let Some(random) = self.streams.get_mut(agent) {
            let candidates = &self.ground.candidates[self.ground.component[position as usize] as usize];
            if candidates.iter().any(|c| *c != position) {
                self.targets[agent] = loop {
                    let cell = candidates[random.below(candidates.len() as u32) as usize];
                    if cell != position {
                        break cell;
                    }
                };
            }
        }
        self.show_target(agent, rules, memory);
    }

    fn report(&self, on_target: OnTarget) -> EpisodeReport {
        let agents = self.positions.len() as f64;
        let length = self.step as f64;
        let arrived = match on_target {
            OnTarget::Nothing => self.positions.iter().zip(&self.targets).filter(|(p, t)| p == t).count(),
            _ => self.present.iter().filter(|p| !**p).count(),
        } as f64;
        let times = || self.arrival.iter().map(|t| if *t == NEVER { self.step } else { *t } as f64);
        let mut values = Vec::with_capacity(METRICS.len());
        if on_target != OnTarget::Restart {
            values.push(("csr", if arrived == agents { 1.0 } else { 0.0 }));
            values.push(("isr", arrived / agents));
            values.push(("soc", times().sum()));
            values.push(("makespan", times().fold(0.0, f64::max)));
        }
        values.push(("throughput", self.goals as f64 / length));
        values.push(("length", length));
        values.push(("return", self.total / agents));
        EpisodeReport {
            world: self.index,
            label: self.instance.label.clone(),
            agents: self.positions.len(),
            values,
        }
    }
}
