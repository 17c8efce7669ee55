//! What agents did in the tasks of a batch.

use nalgebra::{DMatrix, DVector};

use crate::action::distribution::ACTION_INPUTS;
use crate::action::{Action, ActionSpace, Actions};
use crate::agent::{Mode, Sequence};
use crate::env::{Buffers, Spec, VecEnv};
use crate::error::Result;
use crate::graph::{Graph, Tensor};
use crate::program::Program;

/// Steps of all tasks. Arrays are `[time, tasks, agents]`, with more dimensions behind where named: tasks stand where a policy
/// has its agents, so that each can have weights of its own, and the agents of a task where it has its worlds.
#[derive(Debug, Clone, Default)]
pub(super) struct Batch {
    pub time: usize,
    /// `[time, tasks, agents, observation]`.
    pub observations: Vec<f32>,
    /// Steps since the episode began.
    pub ages: Vec<f32>,
    /// What was done, or would have been right: `[time, tasks, agents, integers]` and `[time, tasks, agents, floats]`.
    pub actions: Actions,
    /// The part of each step in its task's loss; those of a task sum to 1.
    pub share: Vec<f32>,
    /// With which log-probability it was done.
    pub log_probabilities: Vec<f32>,
    /// What it was worth beyond what was expected.
    pub advantages: Vec<f32>,
    /// Per task: the mean return of its agents' episodes, not discounted.
    pub returns: Vec<f64>,
}

/// The sizes of batches.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub tasks: usize,
    pub agents: usize,
    pub observation: Vec<usize>,
    pub space: ActionSpace,
}

impl Sizes {
    pub fn of(spec: &Spec) -> Result<Self> {
        let kind = spec.only_kind("meta-learning")?;
        let (observation, space) = (kind.observation.clone(), kind.actions.clone());
        Ok(Sizes { tasks: spec.worlds, agents: kind.count, observation, space })
    }

    pub fn lanes(&self) -> usize {
        self.tasks * self.agents
    }
}

/// Right answers of so many steps; the worlds have just been reset or go on.
///
/// # Errors
/// What the worlds report.
pub(super) fn examples(
    environment: &mut dyn VecEnv,
    buffers: &mut Buffers,
    sizes: &Sizes,
    time: usize,
) -> Result<Batch> {
    let lanes = sizes.lanes();
    let mut batch = Batch { time, ages: vec![0.0; time * lanes], ..Batch::default() };
    let mut known = vec![false; lanes];
    let mut right = environment.spec().actions();
    for _ in 0..time {
        environment.answers(&mut right, &mut known)?;
        batch.observations.extend(&buffers.observations);
        batch.actions.discrete.extend(&right.discrete);
        batch.actions.continuous.extend(&right.continuous);
        batch.share.extend(known.iter().map(|known| f32::from(u8::from(*known))));
        environment.step(&right, buffers)?;
    }
    batch.share_out(sizes);
    Ok(batch)
}

/// So many episodes of every task, one after another; `act` says what agents do about what is seen at the given age, and adds
/// the log-probabilities of that. Agents whose episode is over wait for the others.
///
/// # Errors
/// What `act` or the worlds report.
pub(super) fn episodes(
    environment: &mut dyn VecEnv,
    buffers: &mut Buffers,
    sizes: &Sizes,
    count: usize,
    mut act: impl FnMut(&[f32], f32, &mut Actions, &mut Vec<f32>) -> Result<()>,
) -> Result<(Batch, Vec<f32>)> {
    let (lanes, limit) = (sizes.lanes(), environment.spec().limit as usize);
    let mut batch = Batch { returns: vec![0.0; sizes.tasks], ..Batch::default() };
    let mut rewards = Vec::new();
    let mut actions = environment.spec().actions();
    for _ in 0..count {
        environment.reset(&vec![true; sizes.tasks], buffers)?;
        for age in 0..limit {
            if !buffers.ended.contains(&false) {
                break;
            }
            batch.observations.extend(&buffers.observations);
            let present: Vec<f32> = (0..lanes)
                .map(|lane| {
                    let here = buffers.active[lane] && !buffers.ended[lane / sizes.agents];
                    f32::from(u8::from(here))
                })
                .collect();
            act(&buffers.observations, age as f32, &mut actions, &mut batch.log_probabilities)?;
            batch.actions.discrete.extend(&actions.discrete);
            batch.actions.continuous.extend(&actions.continuous);
            environment.step(&actions, buffers)?;
            for (lane, paid) in buffers.rewards.iter().enumerate() {
                batch.returns[lane / sizes.agents] += f64::from(*paid) / (count * sizes.agents) as f64;
            }
            rewards.extend(buffers.rewards.iter().zip(&present).map(|(paid, here)| paid * here));
            batch.ages.extend(std::iter::repeat_n(age as f32, lanes));
            batch.share.extend(present);
            batch.time += 1;
        }
    }
    environment.take_reports();
    batch.share_out(sizes);
    Ok((batch, rewards))
}

impl Batch {
    /// Makes marks of steps that count shares of their tasks.
    fn share_out(&mut self, sizes: &Sizes) {
        let lanes = sizes.lanes();
        let mut counts = vec![0.0f32; sizes.tasks];
        for row in self.share.chunks_exact(lanes) {
            row.iter().enumerate().for_each(|(lane, share)| counts[lane / sizes.agents] += share);
        }
        for row in self.share.chunks_exact_mut(lanes) {
            for (lane, share) in row.iter_mut().enumerate() {
                *share /= counts[lane / sizes.agents].max(1.0);
            }
        }
    }

    /// The mean return over all tasks.
    pub fn mean_return(&self) -> f64 {
        self.returns.iter().sum::<f64>() / self.returns.len() as f64
    }

    /// The same with steps that do not count behind it, so that it has `time` of them.
    pub fn padded(mut self, sizes: &Sizes, time: usize) -> Batch {
        let seen: usize = sizes.observation.iter().product();
        let lanes = sizes.lanes();
        self.observations.resize(time * lanes * seen, 0.0);
        self.actions.discrete.resize(time * lanes * sizes.space.integers(), 0);
        self.actions.continuous.resize(time * lanes * sizes.space.floats(), 0.0);
        for of in [&mut self.ages, &mut self.share, &mut self.log_probabilities, &mut self.advantages] {
            of.resize(time * lanes, 0.0);
        }
        Batch { time, ..self }
    }

    /// Fills in the advantages by generalised advantage estimation against a linear baseline that is fitted to each task
    /// (Duan et al. 2016, arXiv 1604.06778, section 4.2: the observation, its squares, time to the third power and 1),
    /// normalised in each task. Episodes end where ages begin anew, and nothing comes after them.
    pub fn judge(&mut self, sizes: &Sizes, rewards: &[f32], gamma: f32, lambda: f32) {
        let (lanes, agents) = (sizes.lanes(), sizes.agents);
        let seen: usize = sizes.observation.iter().product();
        self.advantages = vec![0.0; self.time * lanes];
        let last = |t: usize, lane: usize| t + 1 == self.time || self.ages[(t + 1) * lanes + lane] == 0.0;
        let features = |t: usize, lane: usize| {
            let i = t * lanes + lane;
            let time = f64::from(self.ages[i]) / 100.0;
            let own = self.observations[i * seen..][..seen].iter().map(|x| f64::from(x.clamp(-10.0, 10.0)));
            let squares = own.clone().map(|x| x * x);
            own.chain(squares).chain([1.0, time, time.powi(2), time.powi(3)]).collect::<Vec<f64>>()
        };
        let size = 2 * seen + 4;
        for task in 0..sizes.tasks {
            let own = task * agents..(task + 1) * agents;
            let mut products = DMatrix::<f64>::identity(size, size) * 1e-5;
            let mut targets = DVector::<f64>::zeros(size);
            for lane in own.clone() {
                let mut later = 0.0;
                for t in (0..self.time).rev() {
                    let i = t * lanes + lane;
                    later =
                        f64::from(rewards[i]) + if last(t, lane) { 0.0 } else { f64::from(gamma) * later };
                    if self.share[i] > 0.0 {
                        let row = DVector::from_vec(features(t, lane));
                        targets.axpy(later, &row, 1.0);
                        products.ger(1.0, &row, &row, 1.0);
                    }
                }
            }
            // Positive definite by what was put on its diagonal; where numbers are beyond all range there is no baseline.
            let fitted = products.cholesky().map_or_else(|| DVector::zeros(size), |c| c.solve(&targets));
            let value = |t: usize, lane: usize| {
                features(t, lane).iter().zip(fitted.iter()).map(|(x, w)| x * w).sum::<f64>()
            };
            let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
            for lane in own.clone() {
                let (mut later, mut next) = (0.0, 0.0);
                for t in (0..self.time).rev() {
                    let i = t * lanes + lane;
                    if last(t, lane) {
                        (later, next) = (0.0, 0.0);
                    }
                    if self.share[i] == 0.0 {
                        continue;
                    }
                    let now = value(t, lane);
                    let difference = f64::from(rewards[i]) + f64::from(gamma) * next - now;
                    later = difference + f64::from(gamma * lambda) * later;
                    next = now;
                    self.advantages[i] = later as f32;
                    (sum, squares, count) = (sum + later, squares + later * later, count + 1.0);
                }
            }
            let mean = sum / f64::max(count, 1.0);
            let deviation = (squares / f64::max(count, 1.0) - mean * mean).max(0.0).sqrt() + 1e-8;
            for t in 0..self.time {
                for lane in own.clone() {
                    let i = t * lanes + lane;
                    if self.share[i] > 0.0 {
                        self.advantages[i] = ((f64::from(self.advantages[i]) - mean) / deviation) as f32;
                    }
                }
            }
        }
    }

    /// Writes the batch's part of some tasks, from `first` on, into the inputs of a program that are named after it.
    pub fn fill(&self, program: &mut Program, name: &str, sizes: &Sizes, [first, count]: [usize; 2]) {
        let tasks = sizes.tasks;
        let mut put = |what: &str, from: &[f32]| {
            if let Some(input) = program.find_input(&format!("{name} {what}")) {
                rows(input, from, self.time, tasks, [first, count]);
            }
        };
        put("observations", &self.observations);
        put("ages", &self.ages);
        put(ACTION_INPUTS[1], &self.actions.continuous);
        put("share", &self.share);
        put("log-probabilities", &self.log_probabilities);
        put("advantages", &self.advantages);
        if let Some(input) = program.find_input_u32(&format!("{name} {}", ACTION_INPUTS[0])) {
            rows(input, &self.actions.discrete, self.time, tasks, [first, count]);
        }
    }
}

/// Copies the columns of some tasks of `[time, tasks, ..]`.
fn rows<T: Copy>(to: &mut [T], from: &[T], time: usize, tasks: usize, [first, count]: [usize; 2]) {
    let size = from.len() / (time * tasks).max(1);
    for (to, from) in to.chunks_exact_mut((count * size).max(1)).zip(from.chunks_exact((tasks * size).max(1)))
    {
        to.copy_from_slice(&from[first * size..(first + count) * size]);
    }
}

/// The inputs of a program that [`Batch::fill`] fills, over so many steps and tasks.
pub(super) struct Inputs<'g> {
    pub sequence: Sequence<'g>,
    pub actions: Action<'g>,
    /// `[time, tasks, agents]`, as the three below.
    pub share: Tensor<'g>,
    pub log_probabilities: Tensor<'g>,
    pub advantages: Tensor<'g>,
}

impl<'g> Inputs<'g> {
    pub fn new(graph: &'g Graph, name: &str, sizes: &Sizes, [time, tasks]: [usize; 2]) -> Self {
        let lanes = [time, tasks, sizes.agents];
        let input =
            |what: &str, more: &[usize]| graph.input(&format!("{name} {what}"), [&lanes[..], more].concat());
        let space = &sizes.space;
        Inputs {
            sequence: Sequence {
                observations: input("observations", &sizes.observation),
                ages: input("ages", &[]),
                present: graph.full(lanes, 1.0),
                edges: None,
                world: None,
                key: graph.constant_u32([1, 1, 2], &[0, 0]).broadcast_to([time, sizes.agents, 2]),
                mode: Mode::Learning,
            },
            actions: Action {
                discrete: (space.integers() > 0).then(|| {
                    let shape = [&lanes[..], &[space.integers()]].concat();
                    graph.input_u32(&format!("{name} {}", ACTION_INPUTS[0]), shape)
                }),
                continuous: (space.floats() > 0).then(|| input(ACTION_INPUTS[1], &[space.floats()])),
            },
            share: input("share", &[]),
            log_probabilities: input("log-probabilities", &[]),
            advantages: input("advantages", &[]),
        }
    }
}
