//! The linear-quadratic regulator: linear dynamics, a quadratic cost, an optimum that a recursion gives in closed form
//! (Kalman 1960), for agents whose actions are continuous.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("lqr")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: no control
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use std::sync::Arc;

use nalgebra::{DMatrix, DVector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{DISC, Drawing, LINE, RING, Role};
use super::pathfinding::Pcg64;
use super::riccati::{Optimum, Step};
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View, within};
use crate::action::ActionSpace;
use crate::error::{Error, Result};

/// Many regulators at once.
pub type Lqr = Vectorised<LqrConfig>;

/// The largest number in a matrix, and the largest bound.
const MOST: f64 = 1e3;

/// A state is held to this, so that no cost can overflow.
const FURTHEST: f64 = 1e6;

/// The settings of [`Lqr`].
///
/// A state `x` becomes `A x + B u + w` by an action `u`, with independent normal `w` of deviation `noise`. A step pays
/// `-(x'Qx + u'Ru)`, the last of `horizon` steps also `-x'Qx` of the state that it leads to, and there the episode ends.
/// Starts are uniform in `[-start, start]` on every axis. Observation: the state, and which part of the horizon is over.
/// Reports have `cost`, what was paid without the sign, and `cost_ratio`, that over the least expected from its start. States
/// beyond a million are held there.
///
/// With `P` after the last step `Q` and, going back, `P <- Q + A'PA - A'PB (R + B'PB)^-1 B'PA`, the least expected cost
/// from `x` on is `x'Px`, and with noise the sum of the traces of all later `P` times its variance more, as long as the
/// best action lies within `bound`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LqrConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// A: what the state becomes by itself, row by row.
    pub dynamics: Vec<Vec<f64>>,
    /// B: what an action does, a row for each number of the state.
    pub control: Vec<Vec<f64>>,
    /// Q: what a state costs, row by row.
    pub state_cost: Vec<Vec<f64>>,
    /// R: what an action costs, row by row.
    pub control_cost: Vec<Vec<f64>>,
    /// How far from 0 an episode may start on each axis.
    #[schemars(range(min = 0.0, max = MOST))]
    pub start: f64,
    /// The deviation of what disturbs each number of the state in a step.
    #[schemars(range(min = 0.0, max = MOST))]
    pub noise: f64,
    /// Each number of an action lies between minus this and this.
    #[schemars(range(min = 1e-3, max = MOST))]
    pub bound: f64,
    /// Steps of an episode.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub horizon: usize,
}

crate::env::config::world!(
    LqrConfig => Lqr,
    "lqr",
    "linear dynamics, quadratic cost, continuous actions; the optimum is known"
);

impl LqrConfig {
    /// The optimum over an episode; the matrices fit together.
    fn optimum(&self) -> Option<Optimum> {
        let [a, b, q, r] =
            [&self.dynamics, &self.control, &self.state_cost, &self.control_cost].map(|rows| matrix(rows));
        Step { a, b, q, r }.optimum(self.horizon)
    }

    /// Two carts on a line with a spring of 0.5 between them and a force on each, in steps of 0.2 s: four numbers of state
    /// (two positions, two speeds), two of action, 25 steps; 64 worlds. The least cost is 7.94 on average, and the best
    /// force never exceeds 2.7.
    pub fn two_carts() -> Self {
        LqrConfig {
            dynamics: vec![
                vec![1.0, 0.0, 0.2, 0.0],
                vec![0.0, 1.0, 0.0, 0.2],
                vec![-0.1, 0.1, 1.0, 0.0],
                vec![0.1, -0.1, 0.0, 1.0],
            ],
            control: vec![vec![0.0, 0.0], vec![0.0, 0.0], vec![0.2, 0.0], vec![0.0, 0.2]],
            state_cost: vec![
                vec![1.0, 0.0, 0.0, 0.0],
                vec![0.0, 1.0, 0.0, 0.0],
                vec![0.0, 0.0, 0.1, 0.0],
                vec![0.0, 0.0, 0.0, 0.1],
            ],
            control_cost: vec![vec![0.5, 0.0], vec![0.0, 0.5]],
            bound: 3.0,
            ..LqrConfig::default()
        }
    }
}

impl Default for LqrConfig {
    /// A mass that a force pushes along a line, in steps of 0.2 s: position and velocity, 25 steps, no noise; 64 worlds.
    /// The least cost is 2.08 on average, doing nothing costs 83, and the best force never exceeds 4.8.
    fn default() -> Self {
        LqrConfig {
            worlds: 64,
            dynamics: vec![vec![1.0, 0.2], vec![0.0, 1.0]],
            control: vec![vec![0.02], vec![0.2]],
            state_cost: vec![vec![1.0, 0.0], vec![0.0, 0.1]],
            control_cost: vec![vec![0.1]],
            start: 1.0,
            noise: 0.0,
            bound: 5.0,
            horizon: 25,
        }
    }
}

/// A state on its way.
#[derive(Debug, Clone)]
pub struct Plant {
    state: Vec<f64>,
    step: u32,
    cost: f64,
    /// The least that is to be expected from the start.
    least: f64,
    /// Room for the next state.
    next: Vec<f64>,
    optimum: Option<Arc<Optimum>>,
}

impl Plant {
    /// The state.
    pub fn state(&self) -> &[f64] {
        &self.state
    }
}

/// `v'Mv`.
fn quadratic(matrix: &[Vec<f64>], v: impl Fn(usize) -> f64) -> f64 {
    let row =
        |(i, row): (usize, &Vec<f64>)| v(i) * row.iter().enumerate().map(|(j, m)| m * v(j)).sum::<f64>();
    matrix.iter().enumerate().map(row).sum()
}

/// Rows of numbers as a matrix; the settings have been checked.
fn matrix(rows: &[Vec<f64>]) -> DMatrix<f64> {
    DMatrix::from_row_iterator(rows.len(), rows[0].len(), rows.iter().flatten().copied())
}

/// A number of the standard normal distribution (Box and Muller 1958).
pub(super) fn normal(random: &mut Pcg64) -> f64 {
    let radius = (-2.0 * (1.0 - random.double()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.double()).cos()
}

impl Rules for LqrConfig {
    type World = Plant;
    const NAME: &'static str = "lqr";
    const METRICS: &'static [&'static str] = &["cost", "cost_ratio"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        let states = self.dynamics.len();
        within("dynamics", states, 1, 64)?;
        let actions = self.control[..].first().map_or(0, Vec::len);
        within("control", actions, 1, 64)?;
        for (key, matrix, rows, columns) in [
            ("dynamics", &self.dynamics, states, states),
            ("control", &self.control, states, actions),
            ("state_cost", &self.state_cost, states, states),
            ("control_cost", &self.control_cost, actions, actions),
        ] {
            let fits = matrix.len() == rows && matrix.iter().all(|row| row.len() == columns);
            if !fits || matrix.iter().flatten().any(|number| !(-MOST..=MOST).contains(number)) {
                let expected = format!("expected {rows} rows of {columns} numbers of at most {MOST}");
                return Err(Error::config(format!("world.{key}"), expected));
            }
        }
        if self.optimum().is_none() {
            let message = "costs that are positive for every action: the optimum has no solution";
            return Err(Error::config("world.control_cost", message));
        }
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let bound = self.bound as f32;
        let actions = ActionSpace::uniform(self.control[0].len(), -bound, bound);
        let observation = vec![self.dynamics.len() + 1];
        vec![AgentKind::new("regulator", 1, &observation, actions)]
    }

    fn state(&self) -> usize {
        self.dynamics.len() + 1
    }

    fn blank(&self) -> Plant {
        let zeros = vec![0.0; self.dynamics.len()];
        let optimum = self.optimum().map(Arc::new);
        Plant { state: zeros.clone(), step: 0, cost: 0.0, least: 1.0, next: zeros, optimum }
    }

    fn reset(&self, world: &mut Plant, _episode: u64, random: &mut Pcg64) {
        for number in &mut world.state {
            *number = self.start * (2.0 * random.double() - 1.0);
        }
        (world.step, world.cost) = (0, 0.0);
        let state = DVector::from_column_slice(&world.state);
        let least = |of: &Arc<Optimum>| state.dot(&(&of.value * &state)) + self.noise.powi(2) * of.disturbed;
        world.least = world.optimum.as_ref().map_or(f64::NAN, least).max(1e-12);
    }

    fn step(&self, world: &mut Plant, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let force = actions.continuous(0);
        let force = |i: usize| f64::from(force[i]);
        let Plant { state, next, .. } = world;
        let mut cost = quadratic(&self.state_cost, |i| state[i]) + quadratic(&self.control_cost, force);
        for ((next, own), pushed) in next.iter_mut().zip(&self.dynamics).zip(&self.control) {
            let drift: f64 = own.iter().zip(&*state).map(|(a, x)| a * x).sum();
            let push: f64 = pushed.iter().enumerate().map(|(i, b)| b * force(i)).sum();
            let disturbed = if self.noise > 0.0 { self.noise * normal(random) } else { 0.0 };
            *next = (drift + push + disturbed).clamp(-FURTHEST, FURTHEST);
        }
        std::mem::swap(state, next);
        world.step += 1;
        let last = world.step as usize == self.horizon;
        if last {
            cost += quadratic(&self.state_cost, |i| world.state[i]);
        }
        world.cost += cost;
        pay.rewards[0] = -cost as f32;
        if last { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, world: &Plant, view: &mut View) {
        let seen = view.observation(0, 0);
        for (to, from) in seen.iter_mut().zip(&world.state) {
            *to = *from as f32;
        }
        seen[world.state.len()] = world.step as f32 / self.horizon as f32;
        view.state_of_observations();
    }

    fn metrics(&self, world: &Plant) -> Vec<f64> {
        vec![world.cost, world.cost / world.least]
    }

    /// The first two numbers of the state on a plane, the first to the right and the second upwards, with a ring where
    /// they should be. What is far off is at the edge.
    fn draw(&self, world: &Plant) -> Option<Drawing> {
        let mut drawing = Drawing::new(10.0, 10.0);
        let widest = if self.start > 0.0 { 1.5 * self.start } else { 1.0 };
        let along = |number: f64| (number / widest).clamp(-1.0, 1.0) as f32 * 4.5;
        let second = world.state.get(1).copied().unwrap_or(0.0);
        drawing.line(Role::Ground, [0.3, 5.0], [9.7, 5.0], LINE);
        drawing.line(Role::Ground, [5.0, 0.3], [5.0, 9.7], LINE);
        drawing.ring(Role::Goal, [5.0, 5.0], RING, 0.0);
        drawing.disc(Role::Agent(0), [5.0 + along(world.state[0]), 5.0 - along(second)], DISC);
        drawing.note = format!("cost {:.3}", world.cost);
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        let forces = self.control[0].len();
        (0..forces).map(|i| if forces == 1 { "force".to_owned() } else { format!("force {i}") }).collect()
    }

    fn visit(&self, world: &mut Plant, codec: &mut Codec) -> Result<()> {
        codec.all(&mut world.state)?;
        codec.one(&mut world.step)?;
        codec.one(&mut world.cost)?;
        codec.one(&mut world.least)
    }

    fn valid(&self, world: &Plant) -> bool {
        world.state.iter().all(|number| number.abs() <= FURTHEST)
            && (world.step as usize) <= self.horizon
            && world.cost.abs() < 1e100
            && (1e-12..1e100).contains(&world.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Buffers, VecEnv};

    /// The double integrator by hand: two steps, the second the last.
    #[test]
    fn steps_and_pay_by_hand() -> Result<()> {
        let config = LqrConfig { worlds: 1, horizon: 2, bound: 2.0, ..LqrConfig::default() };
        let mut env = Lqr::new(config, 3)?;
        let mut out = Buffers::new(env.spec());
        env.reset(&[true], &mut out)?;
        let start = env.world(0).map(|plant| plant.state().to_vec()).unwrap_or_default();
        let (mut x, mut v) = (start[0], start[1]);
        let mut total = 0.0;
        // The first force lies beyond its bound.
        for (force, held, step) in [(-7.0f32, -2.0, 1), (0.5, 0.5, 2)] {
            let mut cost = x * x + 0.1 * v * v + 0.1 * held * held;
            (x, v) = (x + 0.2 * v + 0.02 * held, v + 0.2 * held);
            if step == 2 {
                cost += x * x + 0.1 * v * v;
            }
            total += cost;
            env.step(&vec![force].into(), &mut out)?;
            assert!((f64::from(out.rewards[0]) + cost).abs() < 1e-6);
            let seen = [x as f32, v as f32, step as f32 / 2.0];
            assert!(out.observations.iter().zip(seen).all(|(a, b)| (a - b).abs() < 1e-6));
            assert_eq!((out.terminated[0], out.ended[0]), (step == 2, step == 2));
        }
        let cost = env.take_reports()[0].value("cost");
        assert!(cost.is_some_and(|cost| (cost - total).abs() < 1e-12));
        Ok(())
    }

    #[test]
    fn noise_has_its_deviation() -> Result<()> {
        let config = LqrConfig { worlds: 20_000, start: 0.0, noise: 0.3, ..LqrConfig::default() };
        let mut env = Lqr::new(config, 1)?;
        let mut out = Buffers::new(env.spec());
        env.reset(&[true; 20_000], &mut out)?;
        env.step(&env.spec().actions(), &mut out)?;
        let squares: f64 = out.observations.chunks(3).map(|row| f64::from(row[0]).powi(2)).sum();
        assert!(((squares / 20_000.0).sqrt() / 0.3 - 1.0).abs() < 0.03, "{squares}");
        Ok(())
    }

    #[test]
    fn matrices_that_do_not_fit_are_refused() {
        let base = LqrConfig::default();
        for (config, key) in [
            (LqrConfig { dynamics: vec![], ..base.clone() }, "world.dynamics"),
            (LqrConfig { dynamics: vec![vec![1.0, 0.0]], ..base.clone() }, "world.dynamics"),
            (LqrConfig { control: vec![vec![]; 2], ..base.clone() }, "world.control"),
            (LqrConfig { control: vec![vec![1.0]], ..base.clone() }, "world.control"),
            (LqrConfig { state_cost: vec![vec![f64::NAN; 2]; 2], ..base.clone() }, "world.state_cost"),
            (LqrConfig { control_cost: vec![vec![1.0; 2]; 2], ..base.clone() }, "world.control_cost"),
            (LqrConfig { bound: 0.0, ..base.clone() }, "world.bound"),
            (LqrConfig { horizon: 0, ..base.clone() }, "world.horizon"),
        ] {
            let error = Lqr::new(config, 1).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
