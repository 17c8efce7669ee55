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
use crate::agent::Policy;
use crate::agent::actors::{Actors, Choice, Seen, next_age};
use crate::env::{Buffers, EpisodeReport, VecEnv};
use crate::error::Result;

/// The seed of actions, and of a network's own noise, in episodes that are played by `seed`: their counter is the step.
pub fn acting_seed(seed: u64) -> u64 {
    seed ^ 0x5e1f
}

/// A policy compiled for worlds of one size.
pub struct Player {
    actors: Actors,
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
        Ok(Player { actors })
    }

    /// One episode in every world. `watch` is called before each step with the actors' last outputs, and after the
    /// last, with the steps made.
    ///
    /// # Errors
    /// What the device or the worlds report.
    pub fn play<E: VecEnv + ?Sized>(
        &mut self,
        environment: &mut E,
        seed: u64,
        mut watch: impl FnMut(&E, &Actors, usize) -> Result<()>,
    ) -> Result<Vec<EpisodeReport>> {
        let spec = environment.spec().clone();
        let (worlds, agents) = (spec.worlds, spec.agents());
        let mut buffers = Buffers::new(&spec);
        environment.reset(&vec![true; worlds], &mut buffers)?;
        let zeros: Vec<Vec<f32>> = self.actors.state()?.iter().map(|part| vec![0.0; part.len()]).collect();
        self.actors.set_state(&zeros)?;
        let mut present = vec![0.0; worlds * agents];
        let mut actions = spec.actions();
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
            self.actors.act(seen, [acting_seed(seed), step as u64])?;
            watch(environment, &self.actors, step)?;
            self.actors.tell(&mut actions)?;
            environment.step(&actions, &mut buffers)?;
            step += 1;
        }
        watch(environment, &self.actors, step)?;
        Ok(environment.take_reports())
    }
}
