//! Options under way: which goal every agent has, since when, and what it has paid (Sutton et al. 1999).

use crate::error::{Error, Result};
use crate::train::{Checkpoint, TensorData};

/// What an option came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Closed {
    /// Its goal.
    pub goal: u32,
    /// Its steps.
    pub length: u32,
    /// The discounted sum of the world's rewards over it.
    pub returns: f32,
    /// What the value of the state after it counts for: the discount to the power of its steps, 0 after an end.
    pub bootstrap: f32,
}

/// What a step of the world did to an agent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Event {
    /// What the world paid.
    pub reward: f32,
    /// The goal holds now.
    pub reached: bool,
    /// The agent's episode ended by the rules.
    pub terminated: bool,
    /// It was cut off.
    pub truncated: bool,
}

/// The options of all lanes.
pub(super) struct Options {
    every: u32,
    gamma: f32,
    goals: Vec<u32>,
    clocks: Vec<u32>,
    returns: Vec<f32>,
    discounts: Vec<f32>,
    /// `[lanes, observation]`: what was seen as it began.
    starts: Vec<f32>,
    observation: usize,
}

/// No option.
const NONE: u32 = u32::MAX;

impl Options {
    pub fn new(lanes: usize, observation: usize, every: usize, gamma: f32) -> Self {
        Options {
            every: every as u32,
            gamma,
            goals: vec![NONE; lanes],
            clocks: vec![0; lanes],
            returns: vec![0.0; lanes],
            discounts: vec![1.0; lanes],
            starts: vec![0.0; lanes * observation],
            observation,
        }
    }

    pub fn goal(&self, lane: usize) -> Option<u32> {
        Some(self.goals[lane]).filter(|goal| *goal != NONE)
    }

    pub fn start(&self, lane: usize) -> &[f32] {
        &self.starts[lane * self.observation..][..self.observation]
    }

    pub fn begin(&mut self, lane: usize, goal: u32, observation: &[f32]) {
        self.goals[lane] = goal;
        (self.clocks[lane], self.returns[lane], self.discounts[lane]) = (0, 0.0, 1.0);
        self.starts[lane * self.observation..][..self.observation].copy_from_slice(observation);
    }

    /// Goes on by a step; what the option came to where it is over with it: its goal holds, its time is up, or the
    /// episode ended.
    pub fn step(&mut self, lane: usize, event: Event) -> Option<Closed> {
        let goal = self.goal(lane)?;
        self.returns[lane] += self.discounts[lane] * event.reward;
        self.discounts[lane] *= self.gamma;
        self.clocks[lane] += 1;
        let ended = event.terminated || event.truncated;
        if !(event.reached || ended || self.clocks[lane] >= self.every) {
            return None;
        }
        self.goals[lane] = NONE;
        Some(Closed {
            goal,
            length: self.clocks[lane],
            returns: self.returns[lane],
            bootstrap: if event.terminated { 0.0 } else { self.discounts[lane] },
        })
    }

    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        let lanes = self.goals.len();
        checkpoint.insert("options/goals", TensorData::u32(&[lanes], &self.goals)?);
        checkpoint.insert("options/clocks", TensorData::u32(&[lanes], &self.clocks)?);
        checkpoint.insert("options/returns", TensorData::f32(&[lanes], &self.returns)?);
        checkpoint.insert("options/discounts", TensorData::f32(&[lanes], &self.discounts)?);
        checkpoint.insert("options/starts", TensorData::f32(&[self.starts.len()], &self.starts)?);
        Ok(())
    }

    /// Takes up what [`Options::save`] wrote, of tensors whose sizes were compared before.
    ///
    /// # Errors
    /// There is no such goal. Nothing is changed then.
    pub fn load(&mut self, checkpoint: &Checkpoint, count: usize) -> Result<()> {
        let goals = checkpoint.tensor("options/goals")?.to_u32()?;
        if goals.iter().any(|goal| *goal != NONE && *goal as usize >= count) {
            return Err(Error::Usage(format!(
                "the checkpoint's `options/goals` names a goal beyond {count}"
            )));
        }
        let clocks = checkpoint.tensor("options/clocks")?.to_u32()?;
        if clocks.iter().any(|clock| *clock > self.every) {
            return Err(Error::Usage("the checkpoint's `options/clocks` are beyond an option's time".into()));
        }
        let returns = checkpoint.tensor("options/returns")?.to_f32()?;
        let discounts = checkpoint.tensor("options/discounts")?.to_f32()?;
        self.starts = checkpoint.tensor("options/starts")?.to_f32()?;
        (self.goals, self.clocks, self.returns, self.discounts) = (goals, clocks, returns, discounts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::initial::Stream;

    /// Random lives of several lanes, noted whole; then every option's target from the notes, in f64.
    #[test]
    fn targets_are_semi_markov() {
        let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        println!("seed {seed}");
        let mut stream = Stream::new(seed);
        const LANES: usize = 3;
        for every in [1, 2, 7] {
            let gamma = 0.5 + 0.5 * stream.uniform();
            let mut options = Options::new(LANES, 1, every, gamma as f32);
            let mut events = vec![Vec::new(); LANES];
            // (lane, its first step, goal)
            let mut begun = [(0, 0); LANES];
            let mut closed = 0;
            for t in 0..400 {
                for lane in 0..LANES {
                    if options.goal(lane).is_none() {
                        begun[lane] = (t, stream.below(5) as u32);
                        options.begin(lane, begun[lane].1, &[t as f32]);
                    }
                    let event = Event {
                        reward: stream.normal() as f32,
                        reached: stream.below(9) == 0,
                        terminated: stream.below(11) == 0,
                        truncated: stream.below(13) == 0,
                    };
                    events[lane].push(event);
                    let (first, goal) = begun[lane];
                    let own: &[Event] = &events[lane][first..];
                    let ends = |e: &Event| e.reached || e.terminated || e.truncated;
                    let over = own.iter().any(ends) || own.len() == every;
                    let result = options.step(lane, event);
                    assert_eq!(result.is_some(), over);
                    let Some(result) = result else { continue };
                    closed += 1;
                    let returns: f64 =
                        own.iter().enumerate().map(|(k, e)| gamma.powi(k as i32) * f64::from(e.reward)).sum();
                    let bootstrap = if event.terminated { 0.0 } else { gamma.powi(own.len() as i32) };
                    assert_eq!((result.goal, result.length), (goal, own.len() as u32));
                    assert_eq!(options.start(lane), [first as f32]);
                    assert!((f64::from(result.returns) - returns).abs() < 1e-5);
                    assert!((f64::from(result.bootstrap) - bootstrap).abs() < 1e-6);
                }
            }
            assert!(closed > 100);
        }
    }
}
