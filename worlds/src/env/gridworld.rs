//! A grid with obstacles, agents and targets, seen through small windows: the plain world to try things on.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("gridworld")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: every agent stays
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{Cells, DISC, Drawing, Role, middle, names};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::action::ActionSpace;
use crate::error::{Error, Result};

/// Many grids at once.
pub type Gridworld = Vectorised<GridworldConfig>;

/// Actions: stay, up, down, left, right.
pub const ACTIONS: usize = 5;

/// Whom a target is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Assignment {
    /// Target `i` is for agent `i`; there are as many as agents.
    Own,
    /// Any agent may reach any target.
    Any,
}

/// The settings of [`Gridworld`].
///
/// Agents move one after another in the order of their indices, into a cell that is free of obstacle and agent by
/// then. An agent that stands on a target that is for it reaches it: the target is gone, and the agent's own reward
/// is 1. The episode ends when all are reached. Agents and targets stand in the largest connected part of the
/// grid. Reports have `reached`, the part of the targets, and `success`, 1 where it is all.
///
/// Observation: `[3, 2 radius + 1, 2 radius + 1]` about the agent: obstacles (what is outside too), other agents,
/// and targets that are for it and not reached; with `coordinates` flat, and then where it is. The state for a
/// centralised critic is the whole grid in the same three channels, all agents and all targets left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GridworldConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents in each world.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub agents: usize,
    /// Targets in each world.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub targets: usize,
    /// Columns.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub width: usize,
    /// Rows.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub height: usize,
    /// The part of the cells that is blocked, in [0, 1): drawn afresh for each episode, and less where it leaves too
    /// little room.
    #[schemars(range(min = 0.0, max = 0.999))]
    pub density: f64,
    /// Whether agents start in the free cells nearest the top left corner and targets lie in those furthest from it;
    /// else both are drawn.
    pub corners: bool,
    /// All episodes of all worlds are the same one, drawn from this seed; 0 to draw each afresh.
    pub layout_seed: u64,
    /// How far an agent sees in each direction, in cells.
    #[schemars(range(min = 0, max = 128))]
    pub radius: usize,
    /// Whether an agent sees in which row and column it is, as parts of the largest side, after all else. Then the
    /// observation is flat.
    pub coordinates: bool,
    /// Whether a target out of view is shown at the edge of the view that is nearest to it.
    pub project_targets: bool,
    /// Whom targets are for.
    pub assignment: Assignment,
    /// What a step nearer to the nearest target for the agent (counted along rows and columns) pays, and a step
    /// further off costs. 0 leaves only what is sparse.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub shaping: f64,
    /// What each step costs each agent.
    #[schemars(range(min = -1e6, max = 1e6))]
    pub step_cost: f64,
    /// The part of a reward that is the mean over all agents, in [0, 1]: 0 pays each its own, 1 the team alone.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub team: f64,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    GridworldConfig => Gridworld,
    "gridworld",
    "any grid, agents and targets, small views",
    fn follows_agents(&self, agents: usize) -> Vec<(&'static str, usize)> {
        match self.assignment {
            Assignment::Own => vec![("targets", agents)],
            Assignment::Any => Vec::new(),
        }
    }
);

impl Default for GridworldConfig {
    /// 3 agents with targets of their own on 10 x 10 cells, a tenth of them blocked, seen within 3 cells; a little
    /// shaping, half of the rewards the team's; 64 steps, 64 worlds.
    fn default() -> Self {
        GridworldConfig {
            worlds: 64,
            agents: 3,
            targets: 3,
            width: 10,
            height: 10,
            density: 0.1,
            corners: false,
            layout_seed: 0,
            radius: 3,
            coordinates: false,
            project_targets: true,
            assignment: Assignment::Own,
            shaping: 0.05,
            step_cost: 0.0,
            team: 0.5,
            max_episode_steps: 64,
        }
    }
}

/// A grid between two steps. Cells are counted row by row.
#[derive(Debug, Clone)]
pub struct Grid {
    blocked: Vec<bool>,
    occupied: Vec<bool>,
    agents: Vec<u32>,
    targets: Vec<u32>,
    reached: Vec<bool>,
    /// Own rewards of the step; nothing in it outlasts a step.
    own: Vec<f64>,
}

impl Grid {
    /// The agents' cells.
    pub fn agents(&self) -> &[u32] {
        &self.agents
    }

    /// The targets' cells.
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    /// Which targets have been reached.
    pub fn reached(&self) -> &[bool] {
        &self.reached
    }

    /// Which cells are blocked.
    pub fn blocked(&self) -> &[bool] {
        &self.blocked
    }
}

impl GridworldConfig {
    fn cells(&self) -> usize {
        self.width * self.height
    }

    fn place(&self, cell: u32) -> (usize, usize) {
        (cell as usize / self.width, cell as usize % self.width)
    }

    fn distance(&self, a: u32, b: u32) -> usize {
        let ((r, c), (s, d)) = (self.place(a), self.place(b));
        r.abs_diff(s) + c.abs_diff(d)
    }

    /// The targets left for an agent.
    fn left(&self, world: &Grid, agent: usize) -> impl Iterator<Item = u32> {
        let range = match self.assignment {
            Assignment::Own => agent..agent + 1,
            Assignment::Any => 0..self.targets,
        };
        range.filter(|target| !world.reached[*target]).map(|target| world.targets[target])
    }

    fn nearest(&self, world: &Grid, agent: usize) -> Option<usize> {
        self.left(world, agent).map(|target| self.distance(world.agents[agent], target)).min()
    }

    /// The cell that an action leads to, or the same at the edge.
    fn after(&self, cell: u32, action: u32) -> u32 {
        let (row, column) = self.place(cell);
        let width = self.width as u32;
        match action {
            1 if row > 0 => cell - width,
            2 if row + 1 < self.height => cell + width,
            3 if column > 0 => cell - 1,
            4 if column + 1 < self.width => cell + 1,
            _ => cell,
        }
    }

    /// The cells of the largest connected part, in order.
    fn largest_part(&self, blocked: &[bool]) -> Vec<u32> {
        let mut seen = blocked.to_vec();
        let mut largest = Vec::new();
        for start in 0..seen.len() {
            if seen[start] {
                continue;
            }
            seen[start] = true;
            let mut part = vec![start as u32];
            let mut at = 0;
            while at < part.len() {
                for action in 1..ACTIONS as u32 {
                    let next = self.after(part[at], action);
                    if !std::mem::replace(&mut seen[next as usize], true) {
                        part.push(next);
                    }
                }
                at += 1;
            }
            if part.len() > largest.len() {
                largest = part;
            }
        }
        largest.sort_unstable();
        largest
    }

    fn occupy(world: &mut Grid) {
        world.occupied.fill(false);
        for agent in &world.agents {
            if let Some(cell) = world.occupied.get_mut(*agent as usize) {
                *cell = true;
            }
        }
    }

    /// Own rewards for standing on targets.
    fn reach(&self, world: &mut Grid) {
        for agent in 0..self.agents {
            let range = match self.assignment {
                Assignment::Own => agent..agent + 1,
                Assignment::Any => 0..self.targets,
            };
            for target in range {
                if !world.reached[target] && world.targets[target] == world.agents[agent] {
                    world.reached[target] = true;
                    world.own[agent] += 1.0;
                }
            }
        }
    }

    /// One step by the agents' actions.
    fn advance(&self, world: &mut Grid, actions: &[u32], pay: &mut Pay) -> Outcome {
        for agent in 0..self.agents {
            let (from, before) = (world.agents[agent], self.nearest(world, agent));
            let to = self.after(from, actions[agent]);
            if !world.blocked[to as usize] && !world.occupied[to as usize] {
                world.occupied[from as usize] = false;
                world.occupied[to as usize] = true;
                world.agents[agent] = to;
            }
            let gain = match (before, self.nearest(world, agent)) {
                (Some(before), Some(after)) => before as f64 - after as f64,
                _ => 0.0,
            };
            world.own[agent] = self.shaping * gain - self.step_cost;
        }
        self.reach(world);
        let mean = world.own.iter().sum::<f64>() / self.agents as f64;
        for (reward, own) in pay.rewards.iter_mut().zip(&world.own) {
            *reward = ((1.0 - self.team) * own + self.team * mean) as f32;
        }
        if world.reached.iter().all(|reached| *reached) { Outcome::Ends } else { Outcome::GoesOn }
    }
}

impl Rules for GridworldConfig {
    type World = Grid;
    const NAME: &'static str = "gridworld";
    const METRICS: &'static [&'static str] = &["reached", "success"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        if self.assignment == Assignment::Own && self.targets != self.agents {
            let (got, agents) = (self.targets, self.agents);
            return Err(Error::config("world.targets", format!("expected {agents} as of agents, got {got}")));
        }
        if self.agents + self.targets > self.cells() {
            let message = format!("expected at most {} agents and targets on these cells", self.cells());
            return Err(Error::config("world.agents", message));
        }
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let side = 2 * self.radius + 1;
        let window = 3 * side * side;
        let observation = if self.coordinates { vec![window + 2] } else { vec![3, side, side] };
        let actions = ActionSpace::Discrete(ACTIONS);
        vec![AgentKind::new("agent", self.agents, &observation, actions)]
    }

    fn state(&self) -> usize {
        3 * self.cells()
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Grid {
        Grid {
            blocked: vec![false; self.cells()],
            occupied: vec![false; self.cells()],
            agents: vec![0; self.agents],
            targets: vec![0; self.targets],
            reached: vec![false; self.targets],
            own: vec![0.0; self.agents],
        }
    }

    fn reset(&self, world: &mut Grid, _episode: u64, random: &mut Pcg64) {
        let mut fixed = Pcg64::new(self.layout_seed);
        let random = if self.layout_seed > 0 { &mut fixed } else { random };
        let mut density = self.density;
        let mut free = loop {
            world.blocked.iter_mut().for_each(|cell| *cell = density > 0.0 && random.double() < density);
            let free = self.largest_part(&world.blocked);
            if free.len() >= self.agents + self.targets {
                break free;
            }
            // Ends at an empty grid, where there is room.
            density = if density > 0.01 { density / 2.0 } else { 0.0 };
        };
        let taken = self.agents + self.targets;
        if self.corners {
            // The furthest come right after the nearest.
            free.sort_by_key(|cell| (self.distance(0, *cell), *cell));
            free[self.agents..].reverse();
        }
        for place in (0..taken).filter(|_| !self.corners) {
            let other = place + random.below((free.len() - place) as u32) as usize;
            free.swap(place, other);
        }
        world.agents.copy_from_slice(&free[..self.agents]);
        world.targets.copy_from_slice(&free[self.agents..taken]);
        world.reached.fill(false);
        Self::occupy(world);
    }

    fn step(&self, world: &mut Grid, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        self.advance(world, actions.discrete(0), pay)
    }

    fn observe(&self, world: &Grid, view: &mut View) {
        let radius = self.radius;
        let side = 2 * radius + 1;
        for agent in 0..self.agents {
            let (row, column) = self.place(world.agents[agent]);
            let seen = view.observation(0, agent);
            seen.fill(0.0);
            let (obstacles, rest) = seen.split_at_mut(side * side);
            let (agents, rest) = rest.split_at_mut(side * side);
            let (targets, coordinates) = rest.split_at_mut(side * side);
            if let [down, across] = coordinates {
                let largest = self.width.max(self.height) as f32;
                (*down, *across) = (row as f32 / largest, column as f32 / largest);
            }
            obstacles.fill(1.0);
            // The rows and columns of the grid that are in view.
            let (top, bottom) = (row.saturating_sub(radius), (row + radius).min(self.height - 1));
            let (left, right) = (column.saturating_sub(radius), (column + radius).min(self.width - 1));
            for r in top..=bottom {
                for c in left..=right {
                    let (cell, at) = (r * self.width + c, (r + radius - row) * side + c + radius - column);
                    obstacles[at] = f32::from(u8::from(world.blocked[cell]));
                    agents[at] = f32::from(u8::from(world.occupied[cell]));
                }
            }
            agents[radius * side + radius] = 0.0;
            for target in self.left(world, agent) {
                let (r, c) = self.place(target);
                // Where it is in the window, or how far out on each axis.
                let clamp = |at: usize, here: usize| (at + radius).saturating_sub(here).min(2 * radius);
                let in_view = r.abs_diff(row) <= radius && c.abs_diff(column) <= radius;
                if in_view || self.project_targets {
                    targets[clamp(r, row) * side + clamp(c, column)] = 1.0;
                }
            }
        }
        let cells = self.cells();
        let state = view.state();
        for (cell, blocked) in world.blocked.iter().enumerate() {
            state[cell] = f32::from(u8::from(*blocked));
            state[cells + cell] = f32::from(u8::from(world.occupied[cell]));
            state[2 * cells + cell] = 0.0;
        }
        for (target, reached) in world.targets.iter().zip(&world.reached) {
            if !reached {
                state[2 * cells + *target as usize] = 1.0;
            }
        }
    }

    fn metrics(&self, world: &Grid) -> Vec<f64> {
        let reached = world.reached.iter().filter(|reached| **reached).count();
        vec![reached as f64 / self.targets as f64, f64::from(u8::from(reached == self.targets))]
    }

    fn draw(&self, world: &Grid) -> Option<Drawing> {
        let (columns, rows) = (self.width, self.height);
        let mut drawing =
            Drawing::of_cells(Cells { columns, rows, blocked: world.blocked.clone(), role: Role::Wall });
        let at = |cell: u32| {
            let (row, column) = self.place(cell);
            middle(row, column)
        };
        for (target, (cell, reached)) in world.targets.iter().zip(&world.reached).enumerate() {
            let role = if self.assignment == Assignment::Own { Role::Agent(target) } else { Role::Goal };
            drawing.target(role, at(*cell), *reached);
        }
        for (agent, cell) in world.agents.iter().enumerate() {
            drawing.disc(Role::Agent(agent), at(*cell), DISC);
        }
        let reached = world.reached.iter().filter(|reached| **reached).count();
        drawing.note = format!("{reached} of {} reached", self.targets);
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["stay", "up", "down", "left", "right"])
    }

    fn visit(&self, world: &mut Grid, codec: &mut Codec) -> Result<()> {
        codec.all(&mut world.blocked)?;
        codec.all(&mut world.agents)?;
        codec.all(&mut world.targets)?;
        codec.all(&mut world.reached)?;
        Self::occupy(world);
        Ok(())
    }

    fn valid(&self, world: &Grid) -> bool {
        let free = |cell: &u32| world.blocked.get(*cell as usize) == Some(&false);
        world.agents.iter().chain(&world.targets).all(free)
            && world.occupied.iter().filter(|occupied| **occupied).count() == self.agents
    }
}

#[cfg(test)]
#[path = "gridworld_tests.rs"]
mod tests;
