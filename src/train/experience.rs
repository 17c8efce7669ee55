//! Experience: what a rollout saw and did, and what it was worth.

use crate::action::distribution::ACTION_INPUTS;
use crate::action::{ActionSpace, Actions};
use crate::agent::{WORLD_STATE, fill_noise, noise_key};
use crate::error::{Error, Result};
use crate::program::Program;

/// What one rollout saw and did. Arrays are `[time, agents, worlds]`, with more dimensions behind where named.
pub struct Experience {
    /// Steps.
    pub time: usize,
    /// Agents of a world.
    pub agents: usize,
    /// Worlds.
    pub worlds: usize,
    /// Numbers in an observation.
    pub observation: usize,
    /// What an agent can do.
    pub space: ActionSpace,
    /// `[time, agents, worlds, observation]`.
    pub observations: Vec<f32>,
    /// Steps since the agent's episode began.
    pub ages: Vec<f32>,
    /// 1 where the agent was in its world.
    pub present: Vec<f32>,
    /// 1 where the step counts as experience.
    pub weights: Vec<f32>,
    /// What was done: `[time, agents, worlds, integers]` and `[time, agents, worlds, floats]`.
    pub actions: Actions,
    /// What would have been right, laid out as actions are, where the rollout keeps it ([`Rollout::keep_answers`]), else
    /// nothing.
    ///
    /// [`Rollout::keep_answers`]: super::rollout::Rollout::keep_answers
    pub answers: Actions,
    /// 1 where the world knew what would be right; empty where answers are not kept.
    pub answered: Vec<f32>,
    /// With which log-probability.
    pub log_probabilities: Vec<f32>,
    /// The critic's value; `[time + 1, agents, worlds]`.
    pub values: Vec<f32>,
    /// What it paid.
    pub rewards: Vec<f32>,
    /// The agent's episode ended by the rules.
    pub terminated: Vec<bool>,
    /// The agent's episode was cut off.
    pub truncated: Vec<bool>,
    /// `[time, agents, worlds, options]`: 1 where an option was allowed. Empty where all always are.
    pub masks: Vec<f32>,
    /// `[time, worlds, state]`: the worlds' states for centralised learners, else nothing.
    pub world_state: Vec<f32>,
    /// The recurrent state at the start, part by part: `[agents, worlds, shape...]`.
    pub state: Vec<Vec<f32>>,
    /// The seed and the counter of steps at the first of them: what makes the keys of the network's noise.
    pub noise: [u64; 2],
}

/// Rows `[rows, all worlds, size]` of these worlds.
fn take<T: Copy>(to: &mut [T], from: &[T], rows: usize, all: usize, worlds: &[usize]) {
    let size = from.len() / (rows * all);
    for row in 0..rows {
        for (j, &world) in worlds.iter().enumerate() {
            let (start, end) = ((row * all + world) * size, (row * worlds.len() + j) * size);
            to[end..end + size].copy_from_slice(&from[start..start + size]);
        }
    }
}

impl Experience {
    pub(super) fn new([time, agents, worlds]: [usize; 3], observation: usize, space: &ActionSpace) -> Self {
        let lanes = time * agents * worlds;
        Experience {
            time,
            agents,
            worlds,
            observation,
            space: space.clone(),
            observations: vec![0.0; lanes * observation],
            ages: vec![0.0; lanes],
            present: vec![0.0; lanes],
            weights: vec![0.0; lanes],
            actions: Actions::zeros(space, lanes),
            answers: Actions::default(),
            answered: Vec::new(),
            log_probabilities: vec![0.0; lanes],
            values: vec![0.0; lanes + agents * worlds],
            rewards: vec![0.0; lanes],
            terminated: vec![false; lanes],
            truncated: vec![false; lanes],
            masks: Vec::new(),
            world_state: Vec::new(),
            state: Vec::new(),
            noise: [0; 2],
        }
    }

    /// Refuses arrays that have not the lengths that time, agents, worlds and observation give them.
    ///
    /// # Errors
    /// [`Error::Usage`] with the name of the array.
    pub fn check(&self) -> Result<()> {
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        let lanes = product(&[self.time, self.agents, self.worlds]);
        let after = self.time.checked_add(1).and_then(|time| product(&[time, self.agents, self.worlds]));
        for (name, found, expected) in [
            ("observations", self.observations.len(), lanes.and_then(|n| product(&[n, self.observation]))),
            ("ages", self.ages.len(), lanes),
            ("present", self.present.len(), lanes),
            ("weights", self.weights.len(), lanes),
            (
                "actions",
                self.actions.discrete.len(),
                lanes.and_then(|n| product(&[n, self.space.integers()])),
            ),
            (
                "continuous actions",
                self.actions.continuous.len(),
                lanes.and_then(|n| product(&[n, self.space.floats()])),
            ),
            ("log-probabilities", self.log_probabilities.len(), lanes),
            ("values", self.values.len(), after),
            ("rewards", self.rewards.len(), lanes),
            ("terminated", self.terminated.len(), lanes),
            ("truncated", self.truncated.len(), lanes),
        ] {
            if expected != Some(found) {
                let sizes = [self.time, self.agents, self.worlds];
                return Err(Error::Usage(format!(
                    "`{name}` of a rollout of {sizes:?} steps, agents and worlds has {found} elements"
                )));
            }
        }
        Ok(())
    }

    /// Writes what the agents of these worlds saw and did into the inputs of a program over them, by name: those of
    /// [`Sequence::input`](crate::agent::Sequence::input), [`state_inputs`](crate::agent::state_inputs),
    /// [`masks_input`](crate::agent::masks_input) and [`Action::input`](crate::action::Action::input), with the keys of noise
    /// with which they did it. Inputs that the program has no use for are left out.
    ///
    /// # Errors
    /// A world that there is not, or a program over another number of worlds or steps.
    pub fn fill(&self, program: &mut Program, worlds: &[usize]) -> Result<()> {
        let rows = self.time * self.agents;
        let lanes = rows * worlds.len();
        let fits = |input: &mut [f32]| input.len() == lanes * self.observation;
        if !program.find_input("observations").is_none_or(fits) || worlds.iter().any(|w| *w >= self.worlds) {
            let message = format!("the program is not one over {} of {} worlds", worlds.len(), self.worlds);
            return Err(Error::Usage(message));
        }
        let all = self.worlds;
        // What agents said they say again.
        let [seed, first] = self.noise;
        fill_noise(program, worlds.len(), |t, j| noise_key([seed, first.wrapping_add(t as u64)], worlds[j]));
        let mut copy = |name: &str, source: &[f32], rows: usize| {
            if let Some(input) = program.find_input(name) {
                take(input, source, rows, all, worlds);
            }
        };
        copy("observations", &self.observations, rows);
        copy("ages", &self.ages, rows);
        copy("present", &self.present, rows);
        copy("masks", &self.masks, rows);
        copy(WORLD_STATE, &self.world_state, self.time);
        copy(ACTION_INPUTS[1], &self.actions.continuous, rows);
        for (i, part) in self.state.iter().enumerate() {
            copy(&format!("state{i}"), part, self.agents);
        }
        if let Some(input) = program.find_input_u32(ACTION_INPUTS[0]) {
            take(input, &self.actions.discrete, rows, all, worlds);
        }
        Ok(())
    }

    /// As [`Experience::fill`], with what would have been right in place of what they did.
    ///
    /// # Errors
    /// As [`Experience::fill`], or answers that were not kept.
    pub fn fill_answers(&self, program: &mut Program, worlds: &[usize]) -> Result<()> {
        self.fill(program, worlds)?;
        let lengths = |actions: &Actions| (actions.discrete.len(), actions.continuous.len());
        if self.answered.is_empty() || lengths(&self.answers) != lengths(&self.actions) {
            return Err(Error::Usage("the rollout has not kept what would have been right".into()));
        }
        let rows = self.time * self.agents;
        if let Some(input) = program.find_input_u32(ACTION_INPUTS[0]) {
            take(input, &self.answers.discrete, rows, self.worlds, worlds);
        }
        if let Some(input) = program.find_input(ACTION_INPUTS[1]) {
            take(input, &self.answers.continuous, rows, self.worlds, worlds);
        }
        Ok(())
    }

    /// Advantages by generalised advantage estimation (Schulman et al. 2016, equation 16) and returns
    /// (advantage + value), both `[time, agents, worlds]`. A terminated episode is worth nothing more, a truncated one
    /// what the critic says of its last observation.
    ///
    /// # Errors
    /// As [`Experience::check`].
    pub fn advantages(&self, gamma: f32, lambda: f32) -> Result<(Vec<f32>, Vec<f32>)> {
        self.check()?;
        let lanes = self.agents * self.worlds;
        let mut advantages = vec![0.0; self.time * lanes];
        let mut returns = vec![0.0; self.time * lanes];
        for lane in 0..lanes {
            let mut later = 0.0;
            for t in (0..self.time).rev() {
                let i = t * lanes + lane;
                if self.weights[i] == 0.0 {
                    later = 0.0;
                    continue;
                }
                let next = if self.terminated[i] { 0.0 } else { self.values[i + lanes] };
                let difference = self.rewards[i] + gamma * next - self.values[i];
                let goes_on = !self.terminated[i] && !self.truncated[i];
                later = difference + if goes_on { gamma * lambda * later } else { 0.0 };
                advantages[i] = later;
                returns[i] = later + self.values[i];
            }
        }
        Ok((advantages, returns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One lane, by hand: gamma .5, lambda .5.
    #[test]
    fn advantages_follow_the_definition_at_every_kind_of_end() {
        let mut e = Experience::new([6, 1, 1], 1, &ActionSpace::Discrete(2));
        e.values = vec![1.0, 2.0, 4.0, 8.0, 1.0, 2.0, 4.0];
        e.rewards = vec![1.0; 6];
        e.weights = vec![1.0, 1.0, 1.0, 0.0, 1.0, 1.0];
        // The third step is cut off, the fourth only values the last observation, the fifth terminates.
        e.truncated[2] = true;
        e.terminated[4] = true;
        let (advantages, returns) = e.advantages(0.5, 0.5).unwrap();
        let a5 = 1.0 + 0.5 * 4.0 - 2.0;
        let a4 = 1.0 - 1.0;
        let a2 = 1.0 + 0.5 * 8.0 - 4.0;
        let a1 = 1.0 + 0.5 * 4.0 - 2.0 + 0.25 * a2;
        let a0 = 1.0 + 0.5 * 2.0 - 1.0 + 0.25 * a1;
        assert_eq!(advantages, [a0, a1, a2, 0.0, a4, a5]);
        assert_eq!(returns[..3], [a0 + 1.0, a1 + 2.0, a2 + 4.0]);
    }
}
