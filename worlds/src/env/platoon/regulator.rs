//! A platoon as a linear-quadratic regulator: what the best control of all vehicles at once costs is known (Levine and
//! Athans 1966, "On the optimal error regulation of a string of moving vehicles", IEEE Transactions on Automatic Control
//! 11, 355).

use nalgebra::{DMatrix, DVector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::riccati::Step;
use super::config::{PlatoonConfig, Task};
use super::draw;
use super::road::KINDS;
use crate::action::ActionSpace;
use crate::env::AgentKind;
use crate::env::drawing::{Drawing, names};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::{Error, Result};

/// Many regulated platoons at once.
pub type Regulator = Vectorised<RegulatorRules>;

/// Errors are held to this, so that no cost can overflow.
const FURTHEST: f64 = 1e6;

/// Vehicles and steps at most: the recursion multiplies matrices of three numbers a vehicle, once a step.
const MOST_VEHICLES: usize = 32;
const MOST_STEPS: usize = 1000;

/// What a vehicle sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// Its own errors, and those of the vehicle ahead of it (0 for the first).
    Ahead,
    /// The errors of all.
    Full,
}

/// Keeping gaps and speeds.
///
/// One lane; the leader keeps its speed. Of vehicle `i` (1 is the first behind the leader) `e` is its gap less the one it
/// should keep (m), `w` its speed less the leader's (m/s): `e' = w_ahead - w`, `w' = u`, or with a `lag` `w' = a`,
/// `a' = (u - a)/lag`, exactly over a step of constant `u`. An action is one number, `u`, within `bound`.
///
/// A step costs the sum over vehicles of `gap_cost e^2 + speed_cost w^2 + control_cost u^2`, the last of
/// `max_episode_steps` steps also `gap_cost e^2 + speed_cost w^2` of where it leads, and there the episode ends. All are
/// paid minus this over their number. Errors of the start are uniform in `[-start_gap, start_gap]` and
/// `[-start_speed, start_speed]`.
///
/// With `P` after the last step `Q` and, going back, `P <- Q + A'PA - A'PB (R + B'PB)^-1 B'PA`, the least cost from `x` is
/// `x'Px`. Reports have `cost_ratio`, what an episode cost over the least from its start: never below 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegulatorConfig {
    /// The lag of the drive, in seconds; 0 for none.
    #[schemars(range(min = 0.0, max = 5.0))]
    pub lag: f64,
    /// The largest error of a gap at the start, in m.
    #[schemars(range(min = 1e-3, max = 100.0))]
    pub start_gap: f64,
    /// The largest error of a speed at the start, in m/s.
    #[schemars(range(min = 1e-3, max = 100.0))]
    pub start_speed: f64,
    /// What a metre of a gap's error costs, squared.
    #[schemars(range(min = 1e-3, max = 1e3))]
    pub gap_cost: f64,
    /// What a metre a second of a speed's error costs, squared.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub speed_cost: f64,
    /// What an acceleration of one m/s^2 costs, squared.
    #[schemars(range(min = 1e-3, max = 1e3))]
    pub control_cost: f64,
    /// The largest acceleration either way, in m/s^2.
    #[schemars(range(min = 1e-2, max = 100.0))]
    pub bound: f64,
    /// What a vehicle sees: `ahead` or `full`; both with the part of the episode that is over.
    pub sight: Sight,
}

impl Default for RegulatorConfig {
    fn default() -> Self {
        RegulatorConfig {
            lag: 0.0,
            start_gap: 2.0,
            start_speed: 1.0,
            gap_cost: 1.0,
            speed_cost: 0.5,
            control_cost: 0.5,
            bound: 8.0,
            sight: Sight::Full,
        }
    }
}

impl RegulatorConfig {
    pub(super) fn check(&self, all: &PlatoonConfig) -> Result<()> {
        let vehicles = all.agents();
        if vehicles > MOST_VEHICLES {
            let message =
                format!("expected at most {MOST_VEHICLES} vehicles under a regulator, got {vehicles}");
            return Err(Error::config(if all.cars > 0 { "world.cars" } else { "world.trucks" }, message));
        }
        if all.max_episode_steps > MOST_STEPS {
            let message =
                format!("expected at most {MOST_STEPS} under a regulator, got {}", all.max_episode_steps);
            return Err(Error::config("world.max_episode_steps", message));
        }
        Ok(())
    }

    /// Numbers of the state a vehicle: gap error, speed error and, with a lag, acceleration.
    fn each(&self) -> usize {
        if self.lag > 0.0 { 3 } else { 2 }
    }

    /// The errors of all after a step of so many seconds.
    fn advance(&self, seconds: f64, state: &[f64], control: impl Fn(usize) -> f64, next: &mut [f64]) {
        // How far the vehicle ahead moved against a leader that keeps its speed.
        let mut ahead = 0.0;
        let each = self.each();
        for (vehicle, (old, new)) in state.chunks_exact(each).zip(next.chunks_exact_mut(each)).enumerate() {
            let (told, speed) = (control(vehicle), old[1]);
            let mut way = speed * seconds + told * seconds * seconds / 2.0;
            new[1] = speed + told * seconds;
            if each == 3 {
                let kept = (-seconds / self.lag).exp();
                let (behind, late) = (old[2] - told, self.lag * (1.0 - kept));
                way += behind * self.lag * (seconds - late);
                new[1] += behind * late;
                new[2] = told + behind * kept;
            }
            new[0] = old[0] + ahead - way;
            ahead = way;
        }
    }

    /// What errors cost in a step.
    fn state_cost(&self, state: &[f64]) -> f64 {
        let each = |x: &[f64]| self.gap_cost * x[0] * x[0] + self.speed_cost * x[1] * x[1];
        state.chunks_exact(self.each()).map(each).sum()
    }
}

/// The settings with the solution.
#[derive(Debug, Clone, Serialize)]
pub struct RegulatorRules {
    config: PlatoonConfig,
    #[serde(skip)]
    regulator: RegulatorConfig,
    #[serde(skip)]
    value: DMatrix<f64>,
    #[serde(skip)]
    gains: Vec<DMatrix<f64>>,
}

/// Errors on their way to 0.
#[derive(Debug, Clone)]
pub struct Errors {
    state: Vec<f64>,
    step: u32,
    cost: f64,
    least: f64,
    /// Room for the next.
    next: Vec<f64>,
}

impl Errors {
    /// For every vehicle the errors of its gap and its speed and, with a lag, its acceleration.
    pub fn state(&self) -> &[f64] {
        &self.state
    }

    /// The least that this episode could have cost from its start.
    pub fn least(&self) -> f64 {
        self.least
    }

    pub(super) fn cost(&self) -> f64 {
        self.cost
    }
}

impl RegulatorRules {
    /// The rules for these settings; solves the recursion.
    ///
    /// # Errors
    /// As [`PlatoonConfig::check`]; the task is another one, or the recursion has no solution in f64.
    pub fn new(config: PlatoonConfig) -> Result<Self> {
        config.check()?;
        let Task::Regulator(regulator) = &config.task else {
            return Err(Error::config("world.task.kind", "expected regulator"));
        };
        let regulator = regulator.clone();
        let (agents, states) = (config.agents(), config.agents() * regulator.each());
        // The columns of A and B are what becomes of a one.
        let column = |state: Option<usize>, control: Option<usize>| {
            let (mut from, mut to) = (vec![0.0; states], vec![0.0; states]);
            if let Some(at) = state {
                from[at] = 1.0;
            }
            let told = |i: usize| if control == Some(i) { 1.0 } else { 0.0 };
            regulator.advance(config.step, &from, told, &mut to);
            DVector::from_vec(to)
        };
        let columns = |count: usize, each: &dyn Fn(usize) -> DVector<f64>| {
            DMatrix::from_columns(&(0..count).map(each).collect::<Vec<_>>())
        };
        let a = columns(states, &|i| column(Some(i), None));
        let b = columns(agents, &|i| column(None, Some(i)));
        let costs = [regulator.gap_cost, regulator.speed_cost, 0.0];
        let q = DMatrix::from_diagonal(&DVector::from_fn(states, |i, _| costs[i % regulator.each()]));
        let r = DMatrix::from_diagonal_element(agents, agents, regulator.control_cost);
        let step = Step { a, b, q: q.clone(), r };
        let (mut value, mut gains) = (q, Vec::with_capacity(config.max_episode_steps));
        for _ in 0..config.max_episode_steps {
            let Some((before, gain)) = step.back(&value) else {
                return Err(Error::config("world.task.control_cost", "the recursion has no solution"));
            };
            value = before;
            gains.push(gain);
        }
        gains.reverse();
        Ok(RegulatorRules { regulator, config, value, gains })
    }

    /// The settings.
    pub fn config(&self) -> &PlatoonConfig {
        &self.config
    }

    pub(super) fn regulator(&self) -> &RegulatorConfig {
        &self.regulator
    }

    /// The best accelerations in such a state at that step, in m/s^2; all 0 after the last step.
    pub fn best(&self, step: usize, state: &[f64]) -> Vec<f64> {
        match self.gains.get(step) {
            Some(gain) if gain.ncols() == state.len() => {
                (gain * DVector::from_column_slice(state)).iter().map(|u| -u).collect()
            }
            _ => vec![0.0; self.config.agents()],
        }
    }

    fn length(&self) -> usize {
        let seen = if self.regulator.sight == Sight::Full { self.config.agents() } else { 2 };
        seen * self.regulator.each() + 1
    }

    /// A number of the state in parts of what it may be at the start.
    fn scaled(&self, state: &[f64], to: &mut [f32]) {
        let RegulatorConfig { start_gap, start_speed, bound, .. } = self.regulator;
        let sizes = [start_gap, start_speed, bound];
        for (at, (to, from)) in to.iter_mut().zip(state).enumerate() {
            *to = (from / sizes[at % self.regulator.each()]) as f32;
        }
    }
}

impl Rules for RegulatorRules {
    type World = Errors;
    const NAME: &'static str = "platoon";
    const METRICS: &'static [&'static str] = &["cost_ratio"];

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    fn check(&self) -> Result<()> {
        self.config.check()
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let kinds = KINDS.iter().zip(self.config.counts()).filter(|(_, count)| *count > 0);
        let bound = self.regulator.bound as f32;
        let space = || ActionSpace::uniform(1, -bound, bound);
        kinds.map(|(name, count)| AgentKind::new(name, count, &[self.length()], space())).collect()
    }

    fn state(&self) -> usize {
        self.value.nrows() + 1
    }

    fn limit(&self) -> u32 {
        self.config.max_episode_steps as u32
    }

    fn blank(&self) -> Errors {
        let zeros = vec![0.0; self.value.nrows()];
        Errors { state: zeros.clone(), step: 0, cost: 0.0, least: 1.0, next: zeros }
    }

    fn reset(&self, world: &mut Errors, _episode: u64, random: &mut Pcg64) {
        let RegulatorConfig { start_gap, start_speed, .. } = self.regulator;
        for vehicle in world.state.chunks_exact_mut(self.regulator.each()) {
            vehicle.fill(0.0);
            vehicle[0] = start_gap * (2.0 * random.double() - 1.0);
            vehicle[1] = start_speed * (2.0 * random.double() - 1.0);
        }
        let state = DVector::from_column_slice(&world.state);
        world.least = state.dot(&(&self.value * &state)).max(1e-12);
        (world.step, world.cost) = (0, 0.0);
    }

    fn step(&self, world: &mut Errors, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let regulator = &self.regulator;
        let controls: Vec<f64> = actions.each().map(|(_, numbers)| f64::from(numbers[0])).collect();
        let squares: f64 = controls.iter().map(|u| u * u).sum();
        let mut cost = regulator.state_cost(&world.state) + regulator.control_cost * squares;
        regulator.advance(self.config.step, &world.state, |i| controls[i], &mut world.next);
        world.next.iter_mut().for_each(|number| *number = number.clamp(-FURTHEST, FURTHEST));
        std::mem::swap(&mut world.state, &mut world.next);
        world.step += 1;
        let last = world.step as usize >= self.config.max_episode_steps;
        if last {
            cost += regulator.state_cost(&world.state);
        }
        world.cost += cost;
        pay.rewards.fill((-cost / controls.len() as f64) as f32);
        if last { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, world: &Errors, view: &mut View) {
        let each = self.regulator.each();
        let over = (f64::from(world.step) / self.config.max_episode_steps as f64) as f32;
        let mut vehicle = 0;
        let counts = self.config.counts().into_iter().filter(|count| *count > 0);
        for (kind, count) in counts.enumerate() {
            for number in 0..count {
                let seen = view.observation(kind, number);
                let last = seen.len() - 1;
                match self.regulator.sight {
                    Sight::Full => self.scaled(&world.state, &mut seen[..last]),
                    Sight::Ahead => {
                        let errors = |vehicle: usize| &world.state[vehicle * each..][..each];
                        self.scaled(errors(vehicle), &mut seen[..each]);
                        match vehicle.checked_sub(1) {
                            Some(ahead) => self.scaled(errors(ahead), &mut seen[each..last]),
                            None => seen[each..last].fill(0.0),
                        }
                    }
                }
                seen[last] = over;
                vehicle += 1;
            }
        }
        let state = view.state();
        let last = state.len() - 1;
        self.scaled(&world.state, &mut state[..last]);
        state[last] = over;
    }

    fn metrics(&self, world: &Errors) -> Vec<f64> {
        vec![world.cost / world.least]
    }

    fn draw(&self, world: &Errors) -> Option<Drawing> {
        Some(draw::regulator(self, world))
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["acceleration"])
    }

    fn visit(&self, world: &mut Errors, codec: &mut Codec) -> Result<()> {
        codec.all(&mut world.state)?;
        codec.one(&mut world.step)?;
        codec.one(&mut world.cost)?;
        codec.one(&mut world.least)
    }

    fn valid(&self, world: &Errors) -> bool {
        world.state.iter().all(|number| number.abs() <= FURTHEST)
            && (0.0..1e100).contains(&world.cost)
            && (1e-12..1e100).contains(&world.least)
            && (world.step as usize) <= self.config.max_episode_steps
    }
}
