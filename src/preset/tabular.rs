//! Tables in games with known answers. Many seeds are one run.

use super::Settings;
use crate::agent::table::TableConfig;
use crate::env::WorldConfig;
use crate::env::WorldSettings;
use crate::env::lewis::LewisConfig;
use crate::env::matrix_game::MatrixGameConfig;
use crate::env::penalty::PenaltyConfig;
use crate::env::spoken::SpokenConfig;
use crate::optim::Schedule;
use crate::registry::Member;
use crate::train::tabular::{Rule, TabularConfig};

/// Every run has a world and a table for each agent; two agents play so many rounds.
fn runs(world: impl Member + WorldSettings, states: usize, rounds: u64, learner: TabularConfig) -> Settings {
    let seeds = world.worlds();
    let steps = 2 * seeds as u64 * rounds;
    Settings {
        steps,
        checkpoint_every: steps / 2,
        // Once, at the end: the greedy actions of a game that is always the same.
        eval_every: steps,
        eval_episodes: 1,
        separate_parameters: true,
        ..Settings::new(world, TableConfig { seeds, states }, learner)
    }
}

/// A thousand seeds of 5,000 plays; over the first half of them exploration goes down.
fn cooperative(world: impl Member + WorldSettings, rule: Rule) -> Settings {
    runs(world, 1, 5_000, TabularConfig { rule, ..TabularConfig::default() })
}

pub(super) fn climbing(rule: Rule) -> Settings {
    cooperative(MatrixGameConfig { worlds: 1_000, ..MatrixGameConfig::climbing_claus() }, rule)
}

pub(super) fn penalty(rule: Rule) -> Settings {
    cooperative(PenaltyConfig { worlds: 1_000, ..PenaltyConfig::default() }, rule)
}

/// Ten seeds, in which all actions go on being tried.
pub(super) fn pennies(rule: Rule) -> Settings {
    let world = MatrixGameConfig { worlds: 10, ..MatrixGameConfig::pennies() };
    let rounds = if rule.solves() { 2_000 } else { 100_000 };
    let learner = TabularConfig {
        rule,
        learning_rate: 0.5,
        schedule: Schedule::Linear { last: 0.0 },
        epsilon_start: 0.5,
        epsilon_end: 0.5,
        ..TabularConfig::default()
    };
    runs(world, 1, rounds, learner)
}

/// A sender that sees one of four states, a receiver that has to name it, and four words, said at one step and heard
/// at the next. Senders see what they said, so that the step at which it is heard is another state.
pub(super) fn signal() -> Settings {
    let lewis = LewisConfig { worlds: 20, states: 4, steps: 2, ..LewisConfig::default() };
    let sender = Some(5);
    let receiver = Some(6);
    let world = WorldConfig::new(lewis);
    let world = SpokenConfig { world, words: 4, speaks_where: sender, hears_where: receiver };
    let learner = TabularConfig {
        rule: Rule::Hysteretic { beta: 0.01 },
        gamma: 1.0,
        epsilon_episodes: 10_000,
        epsilon_end: 0.02,
        ..TabularConfig::default()
    };
    Settings { show_last_action: true, ..runs(world, 512, 40_000, learner) }
}
