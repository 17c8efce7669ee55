//! Settings for teams put together from parts, in any world, and what a trained one achieves there.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Device;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::agent::hierarchy::Hierarchy;
use crate::agent::team::{Critic, Team, TeamConfig};
use crate::env::last_action::LastAction;
use crate::env::uniform::Uniform;
use crate::env::{EpisodeReport, Spec, VecEnv, WorldConfig};
use crate::error::{Error, Result};
use crate::run::config;
use crate::train::curiosity::{CuriosityConfig, CuriosityKind};
use crate::train::dqn::{Dqn, DqnConfig};
use crate::train::hierarchy::{HierarchicalDqn, HierarchyConfig};
use crate::train::player::Player;
use crate::train::ppo::{Ppo, PpoConfig};

use super::{Learner, Watch, trained};

/// How a team learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Q-learning: the network's heads are the values of actions.
    Dqn,
    /// Q-learning in two levels: a manager sets goals, a worker acts towards them.
    Hierarchical,
    /// Proximal policy optimisation: they are the logits of a policy.
    Ppo,
}

/// Everything about a training run of a team. Written as `config.toml`, it runs again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamSettings {
    /// The preset that these settings started from.
    pub preset: String,
    /// The seed of parameters, worlds and actions.
    pub seed: u64,
    /// Agent-steps of the whole run.
    pub steps: u64,
    /// Agent-steps between checkpoints.
    pub checkpoint_every: u64,
    /// Where it runs: `auto`, `cpu` or `gpu`.
    pub device: String,
    /// Give every agent parameters of its own; otherwise all share one set.
    pub separate_parameters: bool,
    /// Agents see what they last did, beside what their world shows them.
    pub show_last_action: bool,
    /// Which of the trainers below learns.
    pub algorithm: Algorithm,
    /// The network.
    pub agent: TeamConfig,
    /// The worlds to train in.
    pub world: WorldConfig,
    /// Rewards of the agents' own, beside those of the worlds.
    pub curiosity: CuriosityConfig,
    /// Q-learning's settings.
    pub dqn: DqnConfig,
    /// The manager's settings, where there are two levels; the worker's are Q-learning's.
    pub hierarchy: HierarchyConfig,
    /// PPO's settings.
    pub ppo: PpoConfig,
}

/// Mean of a measure over episodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measure {
    /// Its name, as the world reports it.
    pub name: String,
    /// Episodes that had it.
    pub episodes: usize,
    /// The mean over them.
    pub mean: f64,
    /// The standard error of the mean; none for a single episode.
    pub error: Option<f64>,
}

impl TeamSettings {
    /// Settings as in a file, with items `key=value` over those of the preset.
    pub(super) fn apply(&self, changes: &config::Changes) -> Result<TeamSettings> {
        changes.apply(self)
    }

    /// Checks what can be checked before anything is made.
    ///
    /// # Errors
    /// The first setting out of range.
    pub fn check(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::config("steps", "at least 1"));
        }
        if self.checkpoint_every == 0 {
            return Err(Error::config("checkpoint_every", "at least 1"));
        }
        if self.algorithm != Algorithm::Ppo && self.agent.critic != Critic::Shared {
            return Err(Error::config("agent.critic", "shared: Q-learning has no critic"));
        }
        match self.algorithm {
            Algorithm::Dqn => self.dqn.check(self.world.worlds()),
            Algorithm::Hierarchical => self.hierarchy.check(&self.dqn, self.world.worlds()),
            Algorithm::Ppo => self.ppo.check(self.world.worlds()),
        }
    }

    /// So many of the worlds that trained agents are judged in.
    pub(super) fn worlds(&self, count: usize, seed: u64) -> Result<Box<dyn VecEnv>> {
        self.prepared(&self.world.clone().after_curriculum().with_worlds(count), seed)
    }

    /// Worlds as the agents see them. Agents of several kinds are made alike ([`Uniform`]).
    fn prepared(&self, world: &WorldConfig, seed: u64) -> Result<Box<dyn VecEnv>> {
        let worlds = Uniform::of(world.build(seed)?)?;
        Ok(if self.show_last_action { Box::new(LastAction::new(worlds)?) } else { worlds })
    }

    fn team(&self, device: &Device, spec: &Spec) -> Result<Team> {
        Team::new(device, &self.agent, spec, self.separate_parameters, self.seed)
    }

    fn two_levels(&self, device: &Device, spec: &Spec) -> Result<Hierarchy> {
        let observation = spec.kinds.first().map_or(0, |kind| kind.observation.iter().product());
        let goals = self.hierarchy.goals(self.world.goals(), observation)?;
        let (every, separate) = (self.hierarchy.every, self.separate_parameters);
        Hierarchy::new(device, &self.agent, spec, goals, every, separate, self.seed)
    }

    /// The network with the parameters of a run's checkpoint.
    ///
    /// # Errors
    /// A damaged checkpoint, or one of another network.
    pub fn trained_policy(&self, device: &Device, run: &Path) -> Result<Box<dyn Policy>> {
        if self.algorithm != Algorithm::Hierarchical {
            return Ok(Box::new(self.trained_team(device, run)?));
        }
        let world = self.worlds(1, self.seed)?;
        Ok(Box::new(trained(self.two_levels(device, world.spec())?, run)?))
    }

    /// The same, for what looks into a team; an agent of two levels is none.
    pub(super) fn trained_team(&self, device: &Device, run: &Path) -> Result<Team> {
        if self.algorithm == Algorithm::Hierarchical {
            return Err(Error::Usage("agents of two levels cannot be looked into yet".into()));
        }
        let world = self.worlds(1, self.seed)?;
        trained(self.team(device, world.spec())?, run)
    }

    /// The trainer, ready for its first step.
    ///
    /// # Errors
    /// Settings out of range, or what the device reports.
    pub fn trainer(&self, device: &Device) -> Result<Box<dyn Learner>> {
        self.check()?;
        let world = self.prepared(&self.world, self.seed)?;
        let policy = || -> Result<Box<Team>> { Ok(Box::new(self.team(device, world.spec())?)) };
        Ok(match self.algorithm {
            Algorithm::Hierarchical => {
                if self.curiosity.kind != CuriosityKind::None {
                    return Err(Error::config(
                        "curiosity.kind",
                        "`none`: goals pay the worker of a hierarchy",
                    ));
                }
                let agent = self.two_levels(device, world.spec())?;
                let (worker, config) = (&self.dqn, &self.hierarchy);
                Box::new(HierarchicalDqn::new(device, agent, world, worker, config, self.steps, self.seed)?)
            }
            Algorithm::Dqn => {
                let policy = policy()?;
                let trainer = Dqn::new(device, policy, world, self.dqn.clone(), self.steps, self.seed)?;
                Box::new(trainer.with_curiosity(&self.curiosity)?)
            }
            Algorithm::Ppo => {
                let policy = policy()?;
                let trainer = Ppo::new(device, policy, world, self.ppo.clone(), self.steps, self.seed)?;
                Box::new(trainer.with_curiosity(&self.curiosity)?)
            }
        })
    }

    /// How trained agents act: Q-learners take their best action, policies draw theirs unless `greedy`.
    pub(super) fn choice(&self, greedy: bool) -> Choice {
        match (self.algorithm, greedy) {
            (Algorithm::Dqn | Algorithm::Hierarchical, _) => Choice::EpsilonGreedy,
            (Algorithm::Ppo, true) => Choice::Greedy,
            (Algorithm::Ppo, false) => Choice::Sample,
        }
    }

    /// Plays `policy` for so many episodes; the mean of every measure that the world reports.
    ///
    /// Q-learners take their best action. Policies draw theirs, or with `greedy` take the most probable one.
    ///
    /// # Errors
    /// No episodes, or what the device, the worlds or `progress` report.
    pub fn evaluate(
        &self,
        device: &Device,
        policy: &dyn Policy,
        episodes: usize,
        seed: u64,
        greedy: bool,
        progress: Watch<'_>,
    ) -> Result<Vec<Measure>> {
        if episodes == 0 {
            return Err(Error::Usage("an evaluation needs at least one episode".into()));
        }
        let choice = self.choice(greedy);
        let at_once = episodes.min(64);
        let (rounds, rest) = (episodes / at_once, episodes % at_once);
        let mut reports = Vec::new();
        // What is left after the full rounds is played by fewer worlds, of seeds of their own.
        for (worlds, rounds) in [(at_once, 0..rounds), (rest, rounds..rounds + 1)] {
            if worlds == 0 {
                continue;
            }
            // Other episodes than those of training.
            let first = (rounds.start as u64) << 32;
            let mut world = self.worlds(worlds, seed.wrapping_add(first) ^ 0x6576_616c)?;
            let mut player = Player::new(device, policy, world.as_ref(), choice, false)?;
            for round in rounds {
                let seed = seed.wrapping_add((round as u64) << 32);
                reports.extend(player.play(world.as_mut(), seed, |_, _, _| Ok(()))?);
                progress(reports.len() as u64, episodes as u64)?;
            }
        }
        Ok(measures(&reports))
    }
}

/// Mean and standard error of every value, in the order in which they first occur.
fn measures(reports: &[EpisodeReport]) -> Vec<Measure> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in reports.iter().flat_map(|r| &r.values) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let values: Vec<f64> = reports.iter().filter_map(|r| r.value(name)).collect();
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
            let error = (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
            Measure { name: name.to_string(), episodes: values.len(), mean, error }
        })
        .collect()
}
