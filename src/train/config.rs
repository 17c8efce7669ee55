//! The list of learners, and the settings of one of any kind.

use super::Trainer;
use super::a2c::A2cConfig;
use super::coma::ComaConfig;
use super::curiosity::CuriosityConfig;
use super::dqn::DqnConfig;
use super::facmac::FacmacConfig;
use super::hierarchy::HierarchyConfig;
use super::inherit::Inherited;
use super::maddpg::MaddpgConfig;
use super::matd3::Matd3Config;
use super::meta::MetaConfig;
use super::ppo::PpoConfig;
use super::sac::SacConfig;
use super::supervised::SupervisedConfig;
use super::tabular::TabularConfig;
use super::td3::Td3Config;
use crate::Device;
use crate::action::ActionSpace;
use crate::agent::actors::Choice;
use crate::agent::{AgentConfig, Policy};
use crate::env::goals::Goal;
use crate::env::{Spec, VecEnv};
use crate::error::{Error, Result};
use crate::registry::{Family, Kind, Table, family};

/// What a learner is given beside its own settings.
pub struct Making<'a> {
    /// Where everything is computed.
    pub device: &'a Device,
    /// The agent that learns.
    pub agent: &'a AgentConfig,
    /// Every agent of a world has parameters of its own.
    pub separate_parameters: bool,
    /// The goals that the world names.
    pub goals: Vec<Goal>,
    /// Agent-steps of the whole training, at which schedules end.
    pub steps: u64,
    /// The seed of parameters and actions.
    pub seed: u64,
    /// Whether checkpoints hold what the learner keeps to learn from again.
    pub save_replay: bool,
    /// What the agent takes of another run's weights.
    pub inherited: Option<&'a Inherited>,
}

impl Making<'_> {
    /// The agent with initial parameters, drawn or taken from another run.
    ///
    /// # Errors
    /// Settings out of range, worlds that it is not made for, parameters of another shape, or no room on the device.
    pub fn policy(&self, spec: &Spec) -> Result<Box<dyn Policy>> {
        let policy = self.agent.policy(self.device, spec, self.separate_parameters, self.seed)?;
        self.inherit(policy.as_ref())?;
        Ok(policy)
    }

    /// Takes what a policy is to have of another run's parameters, where it is to have some.
    ///
    /// # Errors
    /// Parameters of another shape.
    pub fn inherit(&self, policy: &dyn Policy) -> Result<()> {
        match self.inherited {
            Some(inherited) => {
                inherited.check(policy)?;
                inherited.load("agent", policy.parameters())
            }
            None => Ok(()),
        }
    }
}

/// Settings of a learner, and what they build.
pub trait LearnerSettings: Table {
    /// Checks every setting against the number of worlds.
    ///
    /// # Errors
    /// The first setting out of range, with what was expected.
    fn check(&self, worlds: usize) -> Result<()>;

    /// Whether it learns actions of that space.
    fn takes(&self, _actions: &ActionSpace) -> bool {
        true
    }

    /// What acts when trained: the agent with initial parameters, or one built around it.
    ///
    /// # Errors
    /// An agent that this learner does not take, with the reason; or as [`Making::policy`].
    fn policy(&self, making: &Making<'_>, spec: &Spec) -> Result<Box<dyn Policy>> {
        making.policy(spec)
    }

    /// The trainer, ready for its first step.
    ///
    /// # Errors
    /// As [`LearnerSettings::check`] and [`LearnerSettings::policy`], or what the device and the worlds report.
    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>>;

    /// Whether [`LearnerSettings::policy`] is the agent itself, and not one built around it.
    fn trains_the_agent_itself(&self) -> bool {
        true
    }

    /// Whether it tells agents the statistics of what they see, for those that normalise it.
    fn normalises(&self) -> bool {
        false
    }

    /// Whether it keeps what it was shown to learn from it again, and has that in checkpoints unless
    /// [`Making::save_replay`] is off.
    fn keeps_replay(&self) -> bool {
        false
    }

    /// Rewards of the agents' own, beside those of the worlds.
    fn curiosity(&self) -> &CuriosityConfig {
        &CuriosityConfig::None
    }

    /// What is to be said of what was learned beside the episodes that it plays, by name; `worlds` makes so many of
    /// those that it is judged in.
    ///
    /// # Errors
    /// What the device or the worlds report.
    fn measures(
        &self,
        _device: &Device,
        _policy: &dyn Policy,
        _worlds: &dyn Fn(usize) -> Result<Box<dyn VecEnv>>,
        _seed: u64,
    ) -> Result<Vec<(&'static str, f64)>> {
        Ok(Vec::new())
    }

    /// How trained agents act: policies draw their action unless `greedy`.
    fn choice(&self, greedy: bool) -> Choice {
        if greedy { Choice::Greedy } else { Choice::Sample }
    }
}

/// Every learner of this crate.
const LEARNERS: &[Kind<Learners>] = &[
    Kind::<Learners>::of::<PpoConfig>(),
    Kind::<Learners>::of::<A2cConfig>(),
    Kind::<Learners>::of::<ComaConfig>(),
    Kind::<Learners>::of::<DqnConfig>(),
    Kind::<Learners>::of::<HierarchyConfig>(),
    Kind::<Learners>::of::<MaddpgConfig>(),
    Kind::<Learners>::of::<Matd3Config>(),
    Kind::<Learners>::of::<FacmacConfig>(),
    Kind::<Learners>::of::<Td3Config>(),
    Kind::<Learners>::of::<SacConfig>(),
    Kind::<Learners>::of::<TabularConfig>(),
    Kind::<Learners>::of::<SupervisedConfig>(),
    Kind::<Learners>::of::<MetaConfig>(),
];

family! {
    /// The settings of a learner of any kind, told apart by `kind`.
    LearnerConfig, Learners = "learner", LearnerSettings, LEARNERS
}

/// Refuses a learner that does not learn the actions of some agent of such worlds.
///
/// # Errors
/// [`Error::Config`] with the learners that do.
pub fn check_actions(learner: &LearnerConfig, spec: &Spec) -> Result<()> {
    let Some(kind) = spec.kinds.iter().find(|kind| !learner.takes(&kind.actions)) else { return Ok(()) };
    let takes = |other: &Kind<Learners>| other.default().is_ok_and(|other| other.takes(&kind.actions));
    let fits: Vec<&str> = Learners::registry().kinds().iter().filter(|k| takes(k)).map(|k| k.name).collect();
    let (all, own, actions) = (fits.join(", "), learner.name(), &kind.actions);
    Err(Error::config("learner.kind", format!("one of {all}: `{own}` does not learn actions of {actions}")))
}

/// Refuses an agent that normalises what it sees under a learner that gathers no statistics of it.
///
/// # Errors
/// [`Error::Config`] with the learners that do.
pub fn check_normalised(learner: &LearnerConfig, agent: &AgentConfig) -> Result<()> {
    if !agent.normalises() || learner.normalises() {
        return Ok(());
    }
    let does = |kind: &Kind<Learners>| kind.default().is_ok_and(|other| other.normalises());
    let fits: Vec<&str> = Learners::registry().kinds().iter().filter(|k| does(k)).map(|k| k.name).collect();
    let message =
        format!("false, or learner.kind one of {}: `{}` does not gather it", fits.join(", "), learner.name());
    Err(Error::config("agent.normalise", message))
}

/// Refuses a setting that differs from its default where it does nothing, with the reason.
pub(super) fn idle<T: PartialEq>(key: &str, value: T, default: T, reason: &str) -> Result<()> {
    if value == default {
        return Ok(());
    }
    Err(Error::config(key, format!("its default: it does nothing {reason}")))
}

/// So many parts of so many things; 0 for the most of up to `most` that divide them.
///
/// # Errors
/// A number that does not divide them, with those that do.
pub(super) fn parts(key: &str, of: &str, count: usize, wanted: usize, most: usize) -> Result<usize> {
    match wanted {
        0 => Ok((1..=most.max(1)).rev().find(|parts| count.is_multiple_of(*parts)).unwrap_or(1)),
        wanted if count.is_multiple_of(wanted) => Ok(wanted),
        wanted => {
            let fits: Vec<String> =
                (1..=count.min(256)).filter(|n| count.is_multiple_of(*n)).map(|n| n.to_string()).collect();
            let message = format!("a divisor of {of} ({count}): {}; got {wanted}", fits.join(", "));
            Err(Error::config(key, message))
        }
    }
}
