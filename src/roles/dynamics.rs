//! A model of the worlds that a team acts in: what it sees next and what it is paid, from what it sees and does. It carries
//! a latent state from step to step, a bank of diagonal state space models.
//!
//! ```text
//! [seen, done, task (one-hot)] -> linear, GELU -> diagonal SSM, + -> GELU -> linear, GELU -> linear -> [change of seen, reward]
//! ```
//!
//! Everything is of all agents of a world together. Numbers are normalised by what the first episodes had.

use super::workshop::{Sizes, Trajectory};
use crate::Device;
use crate::env::Pcg64;
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::nn::{Builder, DiagonalSsm, Linear, Parameters, RELU_GAIN, StateSpace, Weights};
use crate::optim::{Optimiser, Rule, STEP_INPUT, clip_by_global_norm};
use crate::program::Program;
use crate::tensors::{Checkpoint, TensorData};

/// How large and how fast a model is.
#[derive(Debug, Clone, PartialEq)]
pub struct DynamicsSizes {
    /// Features of its layers.
    pub features: usize,
    /// States of each feature's state space model.
    pub states: usize,
    /// Steps of a piece of an episode that it learns from.
    pub window: usize,
    /// Pieces of a batch, and episodes that are imagined at once.
    pub batch: usize,
    /// Adam's learning rate.
    pub learning_rate: f32,
}

/// Means and deviations of what is seen, of its changes and of the rewards.
#[derive(Debug, Clone, Default, PartialEq)]
struct Scale {
    /// `[seen]` each.
    mean: Vec<f32>,
    deviation: Vec<f32>,
    change: Vec<f32>,
    /// Mean and deviation.
    reward: [f32; 2],
}

impl Scale {
    /// Of some episodes.
    fn of(episodes: &[&Trajectory], seen: usize) -> Self {
        let moments = |values: &mut dyn Iterator<Item = f32>| -> [f32; 2] {
            let (mut count, mut sum, mut squares) = (0.0f64, 0.0f64, 0.0f64);
            for value in values {
                count += 1.0;
                sum += f64::from(value);
                squares += f64::from(value) * f64::from(value);
            }
            let mean = sum / count.max(1.0);
            let variance = (squares / count.max(1.0) - mean * mean).max(0.0);
            [mean as f32, (variance.sqrt() as f32).max(1e-3)]
        };
        let mut scale = Scale::default();
        for at in 0..seen {
            let column =
                |e: &&Trajectory| e.observations.iter().skip(at).step_by(seen).copied().collect::<Vec<f32>>();
            let columns: Vec<Vec<f32>> = episodes.iter().map(column).collect();
            let [mean, deviation] = moments(&mut columns.iter().flatten().copied());
            let changes = columns.iter().flat_map(|c| c.windows(2).map(|pair| pair[1] - pair[0]));
            // Changes are measured from 0, so that their mean is learned and not taken away.
            let [drift, spread] = moments(&mut changes.clone());
            scale.mean.push(mean);
            scale.deviation.push(deviation);
            scale.change.push((drift * drift + spread * spread).sqrt());
        }
        scale.reward = moments(&mut episodes.iter().flat_map(|e| e.rewards.iter().copied()));
        scale
    }

    fn numbers(&self) -> Vec<f32> {
        [&self.mean[..], &self.deviation, &self.change, &self.reward].concat()
    }

    fn take(numbers: &[f32], seen: usize) -> Option<Self> {
        if numbers.len() != 3 * seen + 2 || numbers.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let part = |at: usize| numbers[at * seen..(at + 1) * seen].to_vec();
        Some(Scale {
            mean: part(0),
            deviation: part(1),
            change: part(2),
            reward: [numbers[3 * seen], numbers[3 * seen + 1]],
        })
    }
}

struct Layers {
    inward: Linear,
    memory: DiagonalSsm,
    hidden: Linear,
    outward: Linear,
}

impl Layers {
    /// `[time, batch, inputs]` to `[time, batch, seen + 1]` and the latent state after the last step.
    fn run<'g>(
        &self,
        weights: &Weights<'g>,
        inputs: Tensor<'g>,
        state: Tensor<'g>,
    ) -> (Tensor<'g>, Tensor<'g>) {
        let x = self.inward.forward(weights, inputs).gelu();
        let out = self.memory.forward(weights, x.swap(0, 1), &[state], None);
        let x = self.hidden.forward(weights, (x + out.outputs.swap(0, 1)).gelu()).gelu();
        (self.outward.forward(weights, x), out.state[0])
    }
}

/// The model.
pub struct Dynamics {
    sizes: Sizes,
    model: DynamicsSizes,
    tasks: usize,
    parameters: Parameters,
    optimiser: Optimiser,
    learn: Program,
    judge: Program,
    imagine: Program,
    scale: Option<Scale>,
}

/// A piece of an episode: the episode's place and the first step.
type Piece = (usize, usize);

impl Dynamics {
    /// A model that has learned nothing.
    ///
    /// # Errors
    /// Sizes out of range, or what the device reports.
    pub fn new(device: &Device, sizes: Sizes, tasks: usize, model: DynamicsSizes, seed: u64) -> Result<Self> {
        let DynamicsSizes { features, states, window, batch, .. } = model;
        let (seen, inputs) = (sizes.seen(), sizes.seen() + sizes.done() + tasks);
        let mut builder = Builder::new(seed);
        let layers = Layers {
            inward: Linear::new(&mut builder, "inward", inputs, features, RELU_GAIN),
            memory: DiagonalSsm::new(&mut builder, "memory", features, states),
            hidden: Linear::new(&mut builder, "hidden", features, features, RELU_GAIN),
            outward: Linear::new(&mut builder, "outward", features, seen + 1, 0.1),
        };
        let parameters = builder.build(device)?;
        let optimiser = Optimiser::new(device, &parameters, Rule::adam(1e-8))?;
        let graph_of = |learns: bool| -> Result<Program> {
            let g = Graph::new();
            let weights = parameters.weights(&g);
            let x = g.input("inputs", [window, batch, inputs]);
            let (foreseen, _) = layers.run(&weights, x, g.full([batch, features, states], 0.0));
            let error = (foreseen - g.input("targets", [window, batch, seen + 1])).square();
            let counts = g.input("counts", [window, batch, 1]);
            if learns {
                let loss = (error * counts).sum_all();
                let gradient = parameters.gradient(loss, &weights)?;
                let (gradient, _) = clip_by_global_norm(gradient, g.scalar(1.0));
                optimiser.update(&g, gradient);
                return device.compile(&g, &[loss]);
            }
            // The reward stands last, and is judged apart.
            let changes = (error.slice(2, 0, seen) * counts).sum_all();
            device.compile(&g, &[changes])
        };
        let (learn, judge) = (graph_of(true)?, graph_of(false)?);
        let g = Graph::new();
        let weights = parameters.weights(&g);
        let state = g.input("state", [batch, features, states]);
        let (foreseen, state) = layers.run(&weights, g.input("inputs", [1, batch, inputs]), state);
        let imagine = device.compile(&g, &[foreseen, state])?;
        Ok(Dynamics { sizes, model, tasks, parameters, optimiser, learn, judge, imagine, scale: None })
    }

    /// Trainable numbers.
    pub fn parameters(&self) -> usize {
        self.parameters.count()
    }

    fn inputs(&self) -> usize {
        self.sizes.seen() + self.sizes.done() + self.tasks
    }

    /// Writes a row of inputs.
    fn row(&self, scale: &Scale, task: usize, seen: &[f32], done: &[f32], to: &mut [f32]) {
        let (first, rest) = to.split_at_mut(seen.len());
        for (at, to) in first.iter_mut().enumerate() {
            // What lies far beyond all that was seen says nothing any more.
            *to = ((seen[at] - scale.mean[at]) / scale.deviation[at]).clamp(-10.0, 10.0);
        }
        let (second, third) = rest.split_at_mut(done.len());
        second.copy_from_slice(done);
        third.fill(0.0);
        if let Some(to) = third.get_mut(task) {
            *to = 1.0;
        }
    }

    /// Fills inputs, targets and counts `[window, batch, ..]` with pieces of episodes; the squares of the targets' changes.
    fn fill(
        &self,
        episodes: &[(usize, &Trajectory)],
        pieces: &[Piece],
        share: Option<f32>,
    ) -> ([Vec<f32>; 3], f64) {
        let DynamicsSizes { window, batch, .. } = self.model;
        let (seen, done, width) = (self.sizes.seen(), self.sizes.done(), self.inputs());
        let mut inputs = vec![0.0; window * batch * width];
        let mut targets = vec![0.0; window * batch * (seen + 1)];
        let mut counts = vec![0.0; window * batch];
        let mut squares = 0.0;
        let Some(scale) = &self.scale else { return ([inputs, targets, counts], squares) };
        let lived: usize =
            pieces.iter().map(|(episode, first)| (episodes[*episode].1.steps() - first).min(window)).sum();
        let count = share.unwrap_or(1.0 / (lived.max(1) * (seen + 1)) as f32);
        for (lane, (episode, first)) in pieces.iter().enumerate().take(batch) {
            let (task, episode) = episodes[*episode];
            for t in 0..window.min(episode.steps() - first) {
                let (step, at) = (first + t, t * batch + lane);
                let now = &episode.observations[step * seen..(step + 1) * seen];
                let next = &episode.observations[(step + 1) * seen..(step + 2) * seen];
                let acts = &episode.actions[step * done..(step + 1) * done];
                self.row(scale, task, now, acts, &mut inputs[at * width..(at + 1) * width]);
                let to = &mut targets[at * (seen + 1)..(at + 1) * (seen + 1)];
                for (i, to) in to[..seen].iter_mut().enumerate() {
                    *to = ((next[i] - now[i]) / scale.change[i]).clamp(-10.0, 10.0);
                    squares += f64::from(*to * *to);
                }
                to[seen] = (episode.rewards[step] - scale.reward[0]) / scale.reward[1];
                counts[at] = count;
            }
        }
        ([inputs, targets, counts], squares)
    }

    /// Learns from episodes of tasks, so many batches of pieces drawn by `seed`.
    ///
    /// # Errors
    /// No episode of any length, a loss that is not finite, or what the device reports.
    pub fn train(&mut self, episodes: &[(usize, &Trajectory)], batches: usize, seed: u64) -> Result<()> {
        let long: Vec<usize> = (0..episodes.len()).filter(|at| episodes[*at].1.steps() > 0).collect();
        if long.is_empty() {
            return Err(Error::Usage("a model of the world needs episodes of at least one step".into()));
        }
        if self.scale.is_none() {
            let all: Vec<&Trajectory> = episodes.iter().map(|(_, episode)| *episode).collect();
            self.scale = Some(Scale::of(&all, self.sizes.seen()));
        }
        let mut random = Pcg64::new(seed);
        for _ in 0..batches {
            let pieces: Vec<Piece> = (0..self.model.batch)
                .map(|_| {
                    let episode = long[random.below(long.len() as u32) as usize];
                    let starts = episodes[episode].1.steps().saturating_sub(self.model.window) + 1;
                    (episode, random.below(starts as u32) as usize)
                })
                .collect();
            let ([inputs, targets, counts], _) = self.fill(episodes, &pieces, None);
            let numbers = self.optimiser.advance(self.model.learning_rate);
            let out = self.learn.run(&[
                ("inputs", &inputs),
                ("targets", &targets),
                ("counts", &counts),
                (STEP_INPUT, &numbers),
            ])?;
            crate::train::finite("loss/dynamics", f64::from(out.scalar(0)), self.optimiser.steps())?;
        }
        Ok(())
    }

    /// The squared error of the changes that it foresees, as a part of the error of expecting no change; 1 before it has
    /// learned anything.
    ///
    /// # Errors
    /// What the device reports.
    pub fn error(&mut self, episodes: &[(usize, &Trajectory)]) -> Result<f64> {
        if self.scale.is_none() {
            return Ok(1.0);
        }
        let window = self.model.window;
        let pieces: Vec<Piece> = episodes
            .iter()
            .enumerate()
            .flat_map(|(at, (_, episode))| (0..episode.steps()).step_by(window).map(move |first| (at, first)))
            .collect();
        let (mut errors, mut squares) = (0.0, 0.0);
        for pieces in pieces.chunks(self.model.batch) {
            let ([inputs, targets, counts], own) = self.fill(episodes, pieces, Some(1.0));
            let out = self.judge.run(&[("inputs", &inputs), ("targets", &targets), ("counts", &counts)])?;
            errors += f64::from(out.scalar(0));
            squares += own;
        }
        Ok(if squares > 0.0 { errors / squares } else { 1.0 })
    }

    /// Episodes from these first observations `[batch, seen]` on, in which `act` is shown `[batch, seen]` and the step and
    /// writes what is done, `[batch, done]`. The reward of each, summed over so many steps.
    ///
    /// # Errors
    /// It has learned nothing yet, other sizes, or what `act` and the device report.
    pub fn imagine(
        &mut self,
        task: usize,
        first: &[f32],
        steps: usize,
        mut act: impl FnMut(&[f32], usize, &mut [f32]) -> Result<()>,
    ) -> Result<Vec<f64>> {
        let DynamicsSizes { features, states, batch, .. } = self.model;
        let (seen, done, width) = (self.sizes.seen(), self.sizes.done(), self.inputs());
        let scale = self.scale.clone();
        let scale =
            scale.ok_or_else(|| Error::Usage("the model of the world has learned nothing yet".into()))?;
        if first.len() != batch * seen {
            return Err(Error::Usage(format!(
                "{} numbers to imagine from, not {}",
                first.len(),
                batch * seen
            )));
        }
        let (mut now, mut doing) = (first.to_vec(), vec![0.0; batch * done]);
        let (mut inputs, mut state) = (vec![0.0; batch * width], vec![0.0; batch * features * states]);
        let mut sums = vec![0.0; batch];
        for step in 0..steps {
            act(&now, step, &mut doing)?;
            for lane in 0..batch {
                let (now, doing) = (&now[lane * seen..][..seen], &doing[lane * done..][..done]);
                self.row(&scale, task, now, doing, &mut inputs[lane * width..][..width]);
            }
            let out = self.imagine.run(&[("inputs", &inputs), ("state", &state)])?;
            state.copy_from_slice(out.f32(1));
            for (lane, foreseen) in out.f32(0).chunks_exact(seen + 1).enumerate() {
                for (at, now) in now[lane * seen..][..seen].iter_mut().enumerate() {
                    let (low, high) = (
                        scale.mean[at] - 10.0 * scale.deviation[at],
                        scale.mean[at] + 10.0 * scale.deviation[at],
                    );
                    *now = (*now + scale.change[at] * foreseen[at]).clamp(low, high);
                }
                sums[lane] += f64::from(scale.reward[0] + scale.reward[1] * foreseen[seen]);
            }
        }
        Ok(sums)
    }

    /// Its parameters, its optimiser and its scale.
    ///
    /// # Errors
    /// What the device reports.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        self.parameters.save("dynamics", checkpoint)?;
        let mut optimiser = Checkpoint::new();
        self.optimiser.save(&mut optimiser)?;
        checkpoint.nest("dynamics_optimiser", optimiser);
        let numbers = self.scale.as_ref().map(Scale::numbers).unwrap_or_default();
        checkpoint.insert("dynamics_scale", TensorData::f32(&[numbers.len()], &numbers)?);
        Ok(())
    }

    /// Takes up what [`Dynamics::save`] gave.
    ///
    /// # Errors
    /// It is missing or of another model.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let numbers = checkpoint.tensor("dynamics_scale")?.to_f32()?;
        let scale = Scale::take(&numbers, self.sizes.seen());
        if scale.is_none() && !numbers.is_empty() {
            return Err(Error::Usage("the checkpoint's `dynamics_scale` is damaged".into()));
        }
        self.parameters.load("dynamics", checkpoint)?;
        self.optimiser.load(&checkpoint.nested("dynamics_optimiser"))?;
        self.scale = scale;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::ActionSpace;

    /// A mass on a line that is pushed: what comes next is known.
    fn pushed(seed: u64, steps: usize) -> Trajectory {
        let mut random = Pcg64::new(seed);
        let mut even = || 2.0 * random.double() as f32 - 1.0;
        let (mut place, mut speed) = (even(), even());
        let mut episode = Trajectory { observations: vec![place, speed], ..Trajectory::default() };
        for _ in 0..steps {
            let push = even();
            episode.actions.push(push);
            episode.rewards.push(-place * place);
            (place, speed) = (place + 0.2 * speed, 0.95 * speed + 0.2 * push);
            episode.observations.extend([place, speed]);
        }
        episode
    }

    #[test]
    fn what_a_mass_does_is_foreseen_and_imagined() -> Result<()> {
        let actions = ActionSpace::uniform(1, -1.0, 1.0);
        let sizes = Sizes { agents: 1, observation: 2, actions, limit: 20 };
        let model = DynamicsSizes { features: 32, states: 4, window: 10, batch: 8, learning_rate: 3e-3 };
        let mut dynamics = Dynamics::new(&Device::cpu(), sizes, 1, model, 3)?;
        let episodes: Vec<Trajectory> = (0..24).map(|seed| pushed(seed, 20)).collect();
        let known: Vec<(usize, &Trajectory)> = episodes.iter().map(|episode| (0, episode)).collect();
        let fresh: Vec<Trajectory> = (100..108).map(|seed| pushed(seed, 20)).collect();
        let unknown: Vec<(usize, &Trajectory)> = fresh.iter().map(|episode| (0, episode)).collect();
        assert_eq!(dynamics.error(&unknown)?, 1.0);
        dynamics.train(&known, 1000, 1)?;
        let error = dynamics.error(&unknown)?;
        assert!(error < 0.02, "{error}");
        // The same pushes from the same starts come to about the same pay.
        let first: Vec<f32> = fresh.iter().flat_map(|episode| episode.observations[..2].to_vec()).collect();
        let imagined = dynamics.imagine(0, &first, 20, |_, step, doing| {
            doing.iter_mut().zip(&fresh).for_each(|(to, episode)| *to = episode.actions[step]);
            Ok(())
        })?;
        let spread = fresh.iter().map(|e| f64::from(e.rewards.iter().sum::<f32>())).collect::<Vec<f64>>();
        let mean = spread.iter().sum::<f64>() / 8.0;
        let variance: f64 = spread.iter().map(|real| (real - mean).powi(2)).sum();
        let missed: f64 =
            spread.iter().zip(&imagined).map(|(real, imagined)| (real - imagined).powi(2)).sum();
        assert!(missed < 0.1 * variance, "{missed} of {variance}");
        // It comes back to the bit, and goes on to the same.
        let mut saved = Checkpoint::new();
        dynamics.save(&mut saved)?;
        let sizes = dynamics.sizes.clone();
        let mut other = Dynamics::new(&Device::cpu(), sizes, 1, dynamics.model.clone(), 4)?;
        other.load(&saved)?;
        dynamics.train(&known, 3, 2)?;
        other.train(&known, 3, 2)?;
        assert_eq!(dynamics.error(&unknown)?, other.error(&unknown)?);
        Ok(())
    }
}
