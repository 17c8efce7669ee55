//! Whole episodes played by a policy that does not learn: for evaluation and for pictures.
//!
//! ```
//! use synod::agent::actors::Choice;
//! use synod::preset::Settings;
//! use synod::train::player::Player;
//! let device = synod::Device::cpu();
//! let settings = Settings::preset("lever-commnet")?;
//! let policy = settings.policy(&device)?;
//! let mut worlds = settings.judging_worlds(4, 0)?;
//! let mut player = Player::new(&device, policy.as_ref(), worlds.as_ref(), Choice::Sample, false)?;
//! assert_eq!(player.play(worlds.as_mut(), 0, |_, _, _| Ok(()))?.len(), 4); // an episode in each
//! # Ok::<(), synod::Error>(())
//! ```

use crate::Device;
use crate::action::Actions;
use crate::agent::Policy;
use crate::agent::actors::{Actors, Choice, Seen, next_age};
use crate::env::{Buffers, EpisodeReport, VecEnv};
use crate::error::{Error, Result};

/// The seed of actions, and of a network's own noise, in episodes that are played by `seed`: their counter is the step.
pub fn acting_seed(seed: u64) -> u64 {
    seed ^ 0x5e1f
}

/// Policies compiled for worlds of one size: one, or several that decide together.
pub struct Player {
    actors: Vec<Actors>,
}

impl Player {
    /// For the worlds of `environment`. With `watch` the attention of agents is computed too.
    ///
    /// # Errors
    /// Kinds of agent that differ, or what compilation reports.
    pub fn new(
        device: &Device,
        policy: &dyn Policy,
        environment: &dyn VecEnv,
        choice: Choice,
        watch: bool,
    ) -> Result<Self> {
        let spec = environment.spec();
        // Whose table plays a world is told by its number, which only the whole knows.
        let most = if policy.seeds() > 1 { 1 } else { 8 };
        let shards = (1..=most).rev().find(|s| spec.worlds.is_multiple_of(*s)).unwrap_or(1);
        let actors = Actors::new(device, policy, spec, shards, choice, watch)?;
        Ok(Player { actors: vec![actors] })
    }

    /// Several policies of which each sees all: continuous actions are the mean of theirs, of options the one is taken that
    /// most of them choose, of equally many the lowest.
    ///
    /// # Errors
    /// No policy, or as [`Player::new`].
    pub fn committee(
        device: &Device,
        policies: &[&dyn Policy],
        environment: &dyn VecEnv,
        choice: Choice,
    ) -> Result<Self> {
        let members = policies.iter().map(|policy| Player::new(device, *policy, environment, choice, false));
        let mut actors = Vec::new();
        for member in members {
            actors.extend(member?.actors);
        }
        match actors.is_empty() {
            true => Err(Error::Usage("a committee needs at least one policy".into())),
            false => Ok(Player { actors }),
        }
    }

    /// One episode in every world. `watch` is called before each step with the actors' last outputs (of a committee those
    /// of its first member), and after the last, with the steps made.
    ///
    /// # Errors
    /// What the device or the worlds report.
    pub fn play<E: VecEnv + ?Sized>(
        &mut self,
        environment: &mut E,
        seed: u64,
        mut watch: impl FnMut(&E, &Actors, usize) -> Result<()>,
    ) -> Result<Vec<EpisodeReport>> {
        self.run(environment, seed, |environment, actors, _, _, step| watch(environment, actors, step))
    }

    /// One episode in every world. `watch` is called before each step with what the worlds show and what is about to be done,
    /// in the order of worlds, and after the last step with what they show then and no actions.
    ///
    /// # Errors
    /// As [`Player::play`].
    pub fn follow<E: VecEnv + ?Sized>(
        &mut self,
        environment: &mut E,
        seed: u64,
        mut watch: impl FnMut(&Buffers, Option<&Actions>) -> Result<()>,
    ) -> Result<Vec<EpisodeReport>> {
        self.run(environment, seed, |_, _, buffers, actions, _| watch(buffers, actions))
    }

    fn run<E: VecEnv + ?Sized>(
        &mut self,
        environment: &mut E,
        seed: u64,
        mut watch: impl FnMut(&E, &Actors, &Buffers, Option<&Actions>, usize) -> Result<()>,
    ) -> Result<Vec<EpisodeReport>> {
        let spec = environment.spec().clone();
        let (worlds, agents) = (spec.worlds, spec.agents());
        let mut buffers = Buffers::new(&spec);
        environment.reset(&vec![true; worlds], &mut buffers)?;
        for actors in &mut self.actors {
            let zeros: Vec<Vec<f32>> = actors.state()?.iter().map(|part| vec![0.0; part.len()]).collect();
            actors.set_state(&zeros)?;
        }
        let mut present = vec![0.0; worlds * agents];
        let mut actions = spec.actions();
        let mut told = vec![spec.actions(); if self.actors.len() > 1 { self.actors.len() } else { 0 }];
        let mut ages = vec![0.0; worlds * agents];
        let mut step = 0usize;
        while buffers.ended.contains(&false) {
            for lane in 0..worlds * agents {
                let at = lane % worlds * agents + lane / worlds;
                if step > 0 {
                    ages[lane] = next_age(ages[lane], false, present[lane] > 0.0, &buffers, at);
                }
                present[lane] = f32::from(u8::from(buffers.active[at]));
            }
            let seen = Seen {
                observations: &buffers.observations,
                ages: &ages,
                present: &present,
                masks: &buffers.masks,
                state: &buffers.state,
            };
            for (member, actors) in self.actors.iter_mut().enumerate() {
                // Members draw apart, or they would all err alike.
                actors.act(seen, [acting_seed(seed) ^ (member as u64) << 48, step as u64])?;
            }
            match told.is_empty() {
                true => self.actors[0].tell(&mut actions)?,
                false => {
                    self.actors.iter().zip(&mut told).try_for_each(|(actors, told)| actors.tell(told))?;
                    decide(&told, &mut actions);
                }
            }
            watch(environment, &self.actors[0], &buffers, Some(&actions), step)?;
            environment.step(&actions, &mut buffers)?;
            step += 1;
        }
        watch(environment, &self.actors[0], &buffers, None, step)?;
        Ok(environment.take_reports())
    }
}

/// What several decide together.
fn decide(told: &[Actions], actions: &mut Actions) {
    for (at, chosen) in actions.discrete.iter_mut().enumerate() {
        let votes = |option: u32| told.iter().filter(|one| one.discrete[at] == option).count();
        let options = told.iter().map(|one| one.discrete[at]);
        *chosen = options.max_by_key(|option| (votes(*option), std::cmp::Reverse(*option))).unwrap_or(0);
    }
    for (at, mean) in actions.continuous.iter_mut().enumerate() {
        *mean = told.iter().map(|one| one.continuous[at]).sum::<f32>() / told.len() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committee_takes_means_and_majorities() {
        let of = |option: u32, number: f32| Actions { discrete: vec![option], continuous: vec![number] };
        let mut actions = of(0, 0.0);
        decide(&[of(3, 1.0), of(1, 2.0), of(3, 6.0)], &mut actions);
        assert_eq!((actions.discrete[0], actions.continuous[0]), (3, 3.0));
        decide(&[of(2, 0.0), of(1, 0.0)], &mut actions);
        assert_eq!(actions.discrete[0], 1);
    }
}
