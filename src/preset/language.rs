//! Agents that invent a language.

use super::Settings;
use crate::agent::core::{CoreConfig, GruConfig};
use crate::agent::team::TeamConfig;
use crate::comm::{Channel, Communication, CommunicatorConfig};
use crate::env::WorldConfig;
use crate::env::spoken::SpokenConfig;
use crate::env::switch::SwitchConfig;
use crate::optim::Schedule;
use crate::train::dqn::DqnConfig;

/// The column in which prisoners see that they are in the room.
const INSIDE: Option<usize> = Some(0);

fn riddle(agents: usize) -> SwitchConfig {
    SwitchConfig { worlds: 32, agents, ..SwitchConfig::default() }
}

/// Whole episodes are learned from, so that gradients go back through every message.
fn riddle_learner(agents: usize) -> DqnConfig {
    let days = 4 * agents - 6;
    DqnConfig {
        rollout: days,
        updates: 2,
        batch: 64,
        sequence: days,
        replay: 20_000,
        warmup: 1_000,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.05 },
        gamma: 1.0,
        target_every: 100,
        epsilon_end: 0.02,
        epsilon_fraction: 0.3,
        acting_shards: 2,
        ..DqnConfig::default()
    }
}

/// DIAL in the switch riddle: a bit from who is in the room to who is there the next day.
pub(super) fn riddle_dial(agents: usize) -> Settings {
    let communication = Communication::new(CommunicatorConfig {
        message: 1,
        hidden: 64,
        channel: Channel::Binary { noise: 2.0 },
        delay: 1,
        speaks_where: INSIDE,
        hears_where: INSIDE,
        ..CommunicatorConfig::default()
    });
    let core = CoreConfig::new(GruConfig {});
    let agent = TeamConfig { features: 64, core, communication, ..TeamConfig::default() };
    Settings {
        steps: 6_000_000,
        show_last_action: true,
        ..Settings::new(riddle(agents), agent, riddle_learner(agents))
    }
}

/// The same without a gradient through the bit: it is a part of the action.
pub(super) fn riddle_rial(agents: usize) -> Settings {
    let world = WorldConfig::new(riddle(agents));
    let world = SpokenConfig { world, words: 2, speaks_where: INSIDE, hears_where: INSIDE };
    let agent = TeamConfig { features: 64, core: CoreConfig::new(GruConfig {}), ..TeamConfig::default() };
    Settings {
        steps: 6_000_000,
        show_last_action: true,
        ..Settings::new(world, agent, riddle_learner(agents))
    }
}
