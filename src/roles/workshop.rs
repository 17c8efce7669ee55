//! What roles work on: tasks, trainers for them, and episodes that are played and recorded. Whoever puts a team together
//! says what that is; `preset` does so from settings.

use std::sync::Arc;

use crate::Device;
use crate::action::{ActionSpace, Actions};
use crate::agent::Policy;
use crate::env::{Buffers, EpisodeReport, Spec};
use crate::error::{Error, Result};
use crate::tensors::Checkpoint;
use crate::train::Trainer;

/// The sizes of what a team acts in, all its agents together.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes {
    /// Agents in a world.
    pub agents: usize,
    /// Numbers of one agent's observation.
    pub observation: usize,
    /// What one agent does.
    pub actions: ActionSpace,
    /// Steps of an episode at most.
    pub limit: u32,
}

impl Sizes {
    /// The sizes of worlds with one kind of agent.
    ///
    /// # Errors
    /// There are several kinds.
    pub fn of(spec: &Spec) -> Result<Self> {
        let kind = spec.only_kind("a team of roles")?;
        let observation = kind.observation.iter().product();
        Ok(Sizes { agents: kind.count, observation, actions: kind.actions.clone(), limit: spec.limit })
    }

    /// Numbers of what all agents see together.
    pub fn seen(&self) -> usize {
        self.agents * self.observation
    }

    /// Numbers of what all agents do together: options one-hot, then floats, agent by agent.
    pub fn done(&self) -> usize {
        self.agents * (self.actions.options() + self.actions.floats())
    }

    /// Writes what the agents of one world do as [`Sizes::done`] numbers. `discrete` and `continuous` are that world's rows.
    pub fn encode(&self, discrete: &[u32], continuous: &[f32], to: &mut [f32]) {
        let (sizes, floats) = (self.actions.sizes(), self.actions.floats());
        let (options, bounds) = (self.actions.options(), self.actions.bounds());
        to.fill(0.0);
        for (agent, row) in to.chunks_exact_mut((options + floats).max(1)).enumerate().take(self.agents) {
            let mut first = 0;
            for (option, size) in discrete[agent * sizes.len()..].iter().zip(&sizes) {
                if (*option as usize) < *size {
                    row[first + *option as usize] = 1.0;
                }
                first += size;
            }
            let numbers = continuous[agent * floats..].iter().zip(&bounds);
            for (to, (number, [low, high])) in row[options..].iter_mut().zip(numbers) {
                *to = number.clamp(*low, *high);
            }
        }
    }
}

/// An episode of one world, all agents together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trajectory {
    /// What the world makes of the episode; more is better.
    pub score: f64,
    /// `[steps + 1, seen]`
    pub observations: Vec<f32>,
    /// `[steps, done]`
    pub actions: Vec<f32>,
    /// `[steps]`: the mean over the agents.
    pub rewards: Vec<f32>,
    /// Agent-steps that were made.
    pub agent_steps: u64,
}

impl Trajectory {
    /// Steps of the episode.
    pub fn steps(&self) -> usize {
        self.rewards.len()
    }
}

/// Agent-steps of several episodes.
pub fn agent_steps(episodes: &[Trajectory]) -> u64 {
    episodes.iter().map(|episode| episode.agent_steps).sum()
}

/// The mean score of several episodes.
pub fn mean_score(episodes: &[Trajectory]) -> f64 {
    episodes.iter().map(|episode| episode.score).sum::<f64>() / episodes.len().max(1) as f64
}

/// Records one episode of every world while it is played.
pub struct Recorder {
    sizes: Sizes,
    episodes: Vec<Trajectory>,
    over: Vec<bool>,
    row: Vec<f32>,
}

impl Recorder {
    /// For so many worlds.
    pub fn new(sizes: Sizes, worlds: usize) -> Self {
        let row = vec![0.0; sizes.done()];
        Recorder { sizes, episodes: vec![Trajectory::default(); worlds], over: vec![false; worlds], row }
    }

    /// Takes what [`Player::follow`](crate::train::player::Player::follow) shows.
    ///
    /// # Errors
    /// None; in the form that `follow` wants.
    pub fn watch(&mut self, shown: &Buffers, actions: Option<&Actions>) -> Result<()> {
        let (agents, seen) = (self.sizes.agents, self.sizes.seen());
        let integers = agents * self.sizes.actions.integers();
        let floats = agents * self.sizes.actions.floats();
        for (world, episode) in self.episodes.iter_mut().enumerate() {
            if self.over[world] {
                continue;
            }
            let first = episode.observations.is_empty();
            episode.observations.extend_from_slice(&shown.observations[world * seen..][..seen]);
            if !first {
                let rewards = &shown.rewards[world * agents..][..agents];
                episode.rewards.push(rewards.iter().sum::<f32>() / agents as f32);
            }
            self.over[world] = shown.ended[world];
            if let (Some(actions), false) = (actions, shown.ended[world]) {
                let active = &shown.active[world * agents..][..agents];
                episode.agent_steps += active.iter().filter(|active| **active).count() as u64;
                let discrete = &actions.discrete[world * integers..][..integers];
                let continuous = &actions.continuous[world * floats..][..floats];
                self.sizes.encode(discrete, continuous, &mut self.row);
                episode.actions.extend_from_slice(&self.row);
            }
        }
        Ok(())
    }

    /// The episodes with the scores that the worlds report: the first of their values.
    ///
    /// # Errors
    /// A world that reports nothing of an episode.
    pub fn finish(self, reports: &[EpisodeReport]) -> Result<Vec<Trajectory>> {
        let mut episodes = self.episodes;
        for (world, episode) in episodes.iter_mut().enumerate() {
            let report = reports.iter().find(|report| report.world == world);
            let score = report.and_then(|report| report.values.first()).map(|(_, score)| *score);
            episode.score = score.ok_or_else(|| {
                Error::Usage("a team of roles needs worlds that say what an episode was worth".into())
            })?;
        }
        Ok(episodes)
    }
}

/// Tasks, trainers and episodes. Every role has one of its own.
pub trait Workshop: Send {
    /// What the tasks are called, in their order.
    fn tasks(&self) -> &[String];

    /// The tasks that count in the end.
    fn targets(&self) -> &[usize];

    /// What the worlds call the score of an episode; more is better.
    fn score_name(&self) -> &str;

    /// The sizes of a task's worlds, which all tasks have in common.
    fn sizes(&self) -> &Sizes;

    /// Where networks are computed.
    fn device(&self) -> &Device;

    /// The worlds' sizes where so many are played at once, for programs that act in imagined ones.
    ///
    /// # Errors
    /// Worlds that cannot be made.
    fn spec(&self, worlds: usize) -> Result<Spec>;

    /// What acts, with the parameters of an agent: the tensors under `agent/` of a checkpoint.
    ///
    /// # Errors
    /// Parameters of another network.
    fn policy(&self, agent: &Checkpoint) -> Result<Box<dyn Policy>>;

    /// An agent with parameters as they are drawn at the start.
    ///
    /// # Errors
    /// What the device reports.
    fn initial(&self) -> Result<Checkpoint>;

    /// A trainer for a task, ready for its first step. Its schedules end after about so many agent-steps.
    ///
    /// # Errors
    /// There is no such task, or what the settings, the worlds or the device report.
    fn trainer(&self, task: usize, steps: u64) -> Result<Box<dyn Trainer>>;

    /// So many episodes of a task, the same ones for the same seed.
    ///
    /// # Errors
    /// No episodes, parameters of another network, or what the worlds report.
    fn play(
        &mut self,
        task: usize,
        agent: &Checkpoint,
        episodes: usize,
        seed: u64,
    ) -> Result<Vec<Trajectory>>;
}

/// Makes workshops: one for each role, so that a role that hangs holds nothing that others need.
pub type Opening = Arc<dyn Fn() -> Result<Box<dyn Workshop>> + Send + Sync>;

/// The agent of a trainer's checkpoint: its tensors under `agent/` and which network that is.
pub fn agent_of(checkpoint: &Checkpoint) -> Checkpoint {
    let mut agent = Checkpoint::new();
    agent.tensors.extend(
        checkpoint
            .tensors
            .iter()
            .filter(|(name, _)| name.starts_with("agent/"))
            .map(|(name, tensor)| (name.clone(), tensor.clone())),
    );
    if let Some(text) = checkpoint.metadata.get("architecture") {
        agent.set("architecture", text);
    }
    agent
}

/// `from + share (to - from)` for every tensor of floats; what is not of floats is as in `to`.
///
/// # Errors
/// Agents of unlike networks.
pub fn between(from: &Checkpoint, to: &Checkpoint, share: f32) -> Result<Checkpoint> {
    use crate::tensors::{ElementType, TensorData};
    let mut agent = to.clone();
    for (name, tensor) in &mut agent.tensors {
        let before = from.tensor(name)?;
        if tensor.element_type() != ElementType::F32 {
            continue;
        }
        if before.shape() != tensor.shape() {
            return Err(Error::Usage(format!("two agents have `{name}` in other shapes")));
        }
        let (a, b) = (before.to_f32()?, tensor.to_f32()?);
        let mixed: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + share * (b - a)).collect();
        *tensor = TensorData::f32(tensor.shape(), &mixed)?;
    }
    Ok(agent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors::TensorData;

    #[test]
    fn actions_are_written_one_hot_and_within_their_bounds() {
        let discrete = Sizes { agents: 2, observation: 1, actions: ActionSpace::Discrete(3), limit: 1 };
        let mut row = vec![9.0; discrete.done()];
        discrete.encode(&[2, 0], &[], &mut row);
        assert_eq!(row, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        let actions = ActionSpace::uniform(2, -1.0, 1.0);
        let continuous = Sizes { agents: 1, observation: 1, actions, limit: 1 };
        let mut row = vec![9.0; 2];
        continuous.encode(&[], &[0.5, -3.0], &mut row);
        assert_eq!(row, [0.5, -1.0]);
    }

    #[test]
    fn an_agent_lies_between_two() -> Result<()> {
        let of = |weight: f32, steps: u64| -> Result<Checkpoint> {
            let mut agent = Checkpoint::new();
            agent.insert("agent/weight", TensorData::f32(&[1], &[weight])?);
            agent.insert("agent/steps", TensorData::u64(&[1], &[steps])?);
            Ok(agent)
        };
        assert_eq!(between(&of(1.0, 1)?, &of(3.0, 2)?, 0.25)?, of(1.5, 2)?);
        let mut other = of(0.0, 0)?;
        other.insert("agent/weight", TensorData::f32(&[2], &[0.0; 2])?);
        assert!(between(&of(1.0, 1)?, &other, 0.5).is_err());
        Ok(())
    }
}
