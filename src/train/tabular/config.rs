//! The settings of tabular learning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tabular;
use crate::action::ActionSpace;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::agent::table::TableConfig;
use crate::env::{Spec, VecEnv};
use crate::error::{Error, Result};
use crate::optim::Schedule;
use crate::registry::Member;
use crate::schema;
use crate::train::Trainer;
use crate::train::config::{LearnerSettings, Making, idle};

/// The rule by which tables learn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Independent Q-learning (Watkins 1989; Tan 1993): every agent as if it were alone.
    Independent,
    /// Hysteretic Q-learning (Matignon et al. 2007, equation 5): what is worse than expected counts less.
    Hysteretic {
        /// Learning rate where a step was worse than expected, at the start.
        #[serde(default = "hundredth")]
        #[schemars(range(min = 0.0, max = 1.0))]
        beta: f32,
    },
    /// Lenient Q-learning (Panait et al. 2006; with a temperature for each action of each state as Palmer et al. 2018,
    /// arXiv 1707.04402, equations 3 and 4): what is worse than expected is forgiven with the chance `1 -
    /// exp(-moderation * temperature)`, and the temperature falls with every visit.
    Lenient {
        /// Temperature of an action of a state before it is first tried.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0, max = 1e6))]
        temperature: f32,
        /// What a visit leaves of it.
        #[serde(default = "slow")]
        #[schemars(range(min = 0.0, max = 1.0))]
        decay: f32,
        /// How much is forgiven at a temperature.
        #[serde(default = "hundred")]
        #[schemars(range(min = 0.0, max = 1e6))]
        moderation: f32,
    },
    /// Joint-action learners (Claus and Boutilier 1998): each learns what all actions together are worth, counts what
    /// the others do in a state, and does what is best against that.
    JointAction,
    /// Minimax-Q (Littman 1994) for two: each does what is best against the worst that the other can do.
    Minimax,
    /// Nash-Q (Hu and Wellman 2003) for two: both play an equilibrium of what they have learned that each is paid.
    Nash,
    /// WoLF-PHC (Bowling and Veloso 2002, table 5): probabilities climb towards the best action, slowly while winning
    /// and fast while losing.
    WolfPhc {
        /// Step of probabilities while what is played is better than what was played on average, at the start.
        #[serde(default = "ten_thousandth")]
        #[schemars(range(min = 0.0, max = 1.0))]
        win: f32,
        /// Step of probabilities otherwise, at the start.
        #[serde(default = "thousandth")]
        #[schemars(range(min = 0.0, max = 1.0))]
        lose: f32,
    },
}

fn hundredth() -> f32 {
    0.01
}

fn one() -> f32 {
    1.0
}

fn hundred() -> f32 {
    100.0
}

fn slow() -> f32 {
    0.9995
}

fn ten_thousandth() -> f32 {
    1e-4
}

fn thousandth() -> f32 {
    1e-3
}

impl Rule {
    /// Its name in settings.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::Independent => "independent",
            Rule::Hysteretic { .. } => "hysteretic",
            Rule::Lenient { .. } => "lenient",
            Rule::JointAction => "joint_action",
            Rule::Minimax => "minimax",
            Rule::Nash => "nash",
            Rule::WolfPhc { .. } => "wolf_phc",
        }
    }

    /// Whether agents keep probabilities of their actions, and draw from these.
    pub fn draws(&self) -> bool {
        matches!(self, Rule::Minimax | Rule::Nash | Rule::WolfPhc { .. })
    }

    /// Whether values are those of the actions of all agents together.
    pub fn is_joint(&self) -> bool {
        matches!(self, Rule::JointAction | Rule::Minimax | Rule::Nash)
    }

    /// Whether it solves games between two.
    pub fn solves(&self) -> bool {
        matches!(self, Rule::Minimax | Rule::Nash)
    }
}

/// What the state after a step is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Its best action: Q-learning.
    Best,
    /// The action that is taken there, exploration included: SARSA (Rummery and Niranjan 1994).
    Taken,
    /// The mean over what may be taken there: expected SARSA (van Seijen et al. 2009).
    Expected,
}

/// The settings of tabular learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TabularConfig {
    /// Steps of all worlds between two reports.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub rollout: usize,
    /// The rule by which tables learn.
    pub rule: Rule,
    /// What the state after a step is worth: its `best` action (Q-learning), the one that is `taken` (SARSA), or what
    /// is
    /// `expected` of it (expected SARSA).
    pub next: Next,
    /// Learning rate at the start.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub learning_rate: f32,
    /// How the learning rate, and the other rates of the rule, go down over training.
    pub schedule: Schedule,
    /// Discount of a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f32,
    /// What every action of every state is worth at first; much makes agents try everything.
    #[schemars(range(min = -1e6, max = 1e6))]
    pub initial: f32,
    /// The chance of an action at random in the first episode.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon_start: f32,
    /// The chance of an action at random in the end.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon_end: f32,
    /// Episodes of a run over which that chance goes down, evenly.
    #[schemars(range(min = 0, max = 1u64 << 40))]
    pub epsilon_episodes: u64,
}

impl Default for TabularConfig {
    fn default() -> Self {
        TabularConfig {
            rollout: 100,
            rule: Rule::Independent,
            next: Next::Best,
            learning_rate: 0.1,
            schedule: Schedule::Constant,
            gamma: 0.95,
            initial: 0.0,
            epsilon_start: 1.0,
            epsilon_end: 0.05,
            epsilon_episodes: 2_500,
        }
    }
}

impl Member for TabularConfig {
    const NAME: &'static str = "tabular";
    const SUMMARY: &'static str =
        "tables: independent, hysteretic, lenient, joint-action, minimax-Q, Nash-Q, WoLF-PHC, SARSA";
}

/// Actions of each that Nash-Q goes through all sets of.
const MOST_NASH: usize = 6;

impl TabularConfig {
    /// The chance of an action at random in a run's episode of that number.
    pub fn epsilon(&self, episode: u64) -> f32 {
        if episode >= self.epsilon_episodes {
            return self.epsilon_end;
        }
        let share = episode as f64 / self.epsilon_episodes as f64;
        self.epsilon_start + (self.epsilon_end - self.epsilon_start) * share as f32
    }

    /// The tables that learn.
    pub(super) fn tables<'a>(&self, making: &Making<'a>, spec: &Spec) -> Result<&'a TableConfig> {
        schema::check("learner", self)?;
        let Some(tables) = making.agent.get::<TableConfig>() else {
            let message = format!("`table`: tabular learning has no use for `{}`", making.agent.name());
            return Err(Error::config("agent.kind", message));
        };
        let (agents, name) = (spec.agents(), self.rule.name());
        if self.rule.is_joint() {
            if !making.separate_parameters {
                let message = format!("true: by the rule `{name}` every agent has a table of its own");
                return Err(Error::config("separate_parameters", message));
            }
            let two = if self.rule.solves() { 2..=2 } else { 2..=usize::MAX };
            if !two.contains(&agents) {
                let message = format!("a rule for {agents} agents, which `{name}` is not");
                return Err(Error::config("learner.rule", message));
            }
        }
        let options = spec.only_kind("a table")?.actions.options();
        if self.rule == Rule::Nash && options > MOST_NASH {
            let message = format!("a rule for {options} options; `nash` goes through at most {MOST_NASH}");
            return Err(Error::config("learner.rule", message));
        }
        Ok(tables)
    }
}

impl LearnerSettings for TabularConfig {
    fn check(&self, _worlds: usize) -> Result<()> {
        schema::check("learner", self)?;
        if self.rule.is_joint() || self.rule.draws() {
            let reason = format!("by the rule `{}`", self.rule.name());
            idle("learner.next", self.next, Next::Best, &reason)?;
        }
        Ok(())
    }

    fn takes(&self, actions: &ActionSpace) -> bool {
        actions.one_choice("a table").is_ok()
    }

    fn policy(&self, making: &Making<'_>, spec: &Spec) -> Result<Box<dyn Policy>> {
        self.tables(making, spec)?;
        making.policy(spec)
    }

    fn trainer(&self, making: &Making<'_>, world: Box<dyn VecEnv>) -> Result<Box<dyn Trainer>> {
        Ok(Box::new(Tabular::new(making, world, self.clone())?))
    }

    /// The best action by values; by probabilities one that is drawn, or the most probable one.
    fn choice(&self, greedy: bool) -> Choice {
        match (self.rule.draws(), greedy) {
            (false, _) => Choice::EpsilonGreedy,
            (true, false) => Choice::Sample,
            (true, true) => Choice::Greedy,
        }
    }
}
