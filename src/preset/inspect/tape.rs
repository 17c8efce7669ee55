//! Episodes of one world, noted step by step.

use super::Inspection;
use crate::Device;
use crate::action::Actions;
use crate::agent::actors::{Choice, next_age};
use crate::agent::importance::Moment;
use crate::agent::team::Team;
use crate::env::{Buffers, EpisodeReport, Spec, VecEnv};
use crate::error::{Error, Result};
use crate::picture::inspect::{MOST_LISTENERS, Recording};
use crate::preset::Settings;
use crate::train::player::{Player, acting_seed};

/// Numbers that may be recorded of the messages, the attention and the observations of an episode, each.
pub(super) const MOST_NUMBERS: usize = 1 << 26;

/// A world that notes all that it shows and is told, until so many steps are noted: then it ends.
pub(super) struct Tape {
    pub inner: Box<dyn VecEnv>,
    /// What was seen before each step and after the last.
    pub shown: Vec<Buffers>,
    pub actions: Vec<Actions>,
    /// Before each step and after the last, `[agents, facts]`.
    pub facts: Vec<Vec<Option<u32>>>,
    /// The seed of keys of the network's noise.
    pub noise: u64,
    limit: usize,
}

impl VecEnv for Tape {
    fn spec(&self) -> &Spec {
        self.inner.spec()
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        self.inner.reset(which, out)?;
        (self.shown, self.actions) = (vec![out.clone()], Vec::new());
        self.facts = vec![self.facts_now()];
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        self.inner.step(actions, out)?;
        self.actions.push(actions.clone());
        if self.actions.len() >= self.limit {
            out.ended.fill(true);
        }
        self.shown.push(out.clone());
        self.facts.push(self.facts_now());
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    fn save(&self) -> Vec<u8> {
        self.inner.save()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.load(bytes)
    }

    fn inner(&self) -> Option<&dyn VecEnv> {
        Some(self.inner.as_ref())
    }
}

impl Tape {
    /// What the world says of the episode.
    pub fn copy(&self, recording: &mut Recording) {
        for (before, after) in self.shown.iter().zip(&self.shown[1..]) {
            recording.present.extend(&before.active);
            recording.rewards.extend(&after.rewards);
            recording.allowed.extend(before.masks.iter().map(|mask| *mask > 0.0));
        }
        let mut actions = self.all_actions();
        actions.hold(&self.inner.spec().kinds[0].actions.bounds());
        Actions { discrete: recording.taken, continuous: recording.numbers } = actions;
    }

    /// The actions of all steps, one after another.
    pub fn all_actions(&self) -> Actions {
        Actions {
            discrete: self.actions.iter().flat_map(|actions| &actions.discrete).copied().collect(),
            continuous: self.actions.iter().flat_map(|actions| &actions.continuous).copied().collect(),
        }
    }

    /// The value of every fact for every agent now.
    fn facts_now(&self) -> Vec<Option<u32>> {
        (0..self.inner.spec().agents()).flat_map(|agent| self.inner.fact_values(0, agent)).collect()
    }

    /// What agents saw before each step.
    pub fn moments(&self) -> Vec<Moment> {
        let agents = self.inner.spec().agents();
        let mut ages = vec![0.0; agents];
        let mut moments = Vec::with_capacity(self.actions.len());
        for (step, shown) in self.shown[..self.actions.len()].iter().enumerate() {
            if step > 0 {
                let before = &self.shown[step - 1].active;
                for (agent, age) in ages.iter_mut().enumerate() {
                    *age = next_age(*age, false, before[agent], shown, agent);
                }
            }
            moments.push(Moment {
                observations: shown.observations.clone(),
                ages: ages.clone(),
                present: shown.active.iter().map(|here| f32::from(u8::from(*here))).collect(),
                masks: shown.masks.clone(),
                state: shown.state.clone(),
            });
        }
        moments
    }
}

/// Where episodes are played.
pub(super) struct Stage<'a> {
    settings: &'a Settings,
    seed: u64,
    limit: usize,
    player: Player,
}

impl<'a> Stage<'a> {
    /// For the team's episodes as they are looked at.
    ///
    /// # Errors
    /// More numbers a step than can be kept, or what the device or the world reports.
    pub fn new(
        device: &Device,
        settings: &'a Settings,
        team: &Team,
        inspection: &Inspection,
    ) -> Result<Self> {
        let choice: Choice = settings.choice(inspection.greedy);
        let world = settings.judging_worlds(1, inspection.seed)?;
        let each = {
            let spec = world.spec();
            let agents = spec.agents();
            let agent = team.config();
            let said = agent.rounds * agents * agent.features.max(agent.communication.said(agent.features));
            let heard = agent.rounds * agents * agents.min(MOST_LISTENERS) * agent.communication.heads();
            let slots: usize = team.memory_levels().iter().map(|(_, slots)| slots).sum();
            let recalled = slots.saturating_mul(agents + 1);
            said.max(heard).max(recalled).max(spec.observation_length() + spec.mask_length()).max(1)
        };
        if each > MOST_NUMBERS {
            return Err(Error::Usage(format!("{each} numbers a step are too many to be recorded")));
        }
        let limit = inspection.steps.min(MOST_NUMBERS / each);
        let player = Player::new(device, team, world.as_ref(), choice, false)?;
        Ok(Stage { settings, seed: inspection.seed, limit, player })
    }

    /// One world plays an episode to its end, or to the last step that is recorded.
    ///
    /// # Errors
    /// An episode without a step, or what the device or the world reports.
    pub fn play(&mut self, episode: u32) -> Result<(Tape, Option<EpisodeReport>)> {
        let seed = self.seed.wrapping_add(u64::from(episode) << 32);
        // Other episodes than those of training.
        let inner = self.settings.judging_worlds(1, seed ^ 0x6576_616c)?;
        let (shown, actions, facts) = (Vec::new(), Vec::new(), Vec::new());
        let noise = acting_seed(seed);
        let mut tape = Tape { inner, shown, actions, facts, noise, limit: self.limit };
        let reports = self.player.play(&mut tape, seed, |_, _, _| Ok(()))?;
        if tape.actions.is_empty() {
            return Err(Error::Usage("the episode ended before it began".into()));
        }
        Ok((tape, reports.into_iter().next()))
    }
}
