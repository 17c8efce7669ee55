//! Agents that invent a language.

use super::Settings;
use crate::agent::core::{CoreConfig, GruConfig};
use crate::agent::kinds::KindsConfig;
use crate::agent::team::TeamConfig;
use crate::comm::{Between, Channel, Combine, Communication, CommunicatorConfig, Hearers};
use crate::env::lewis::LewisConfig;
use crate::env::noise::NoiseConfig;
use crate::env::planted::PlantedConfig;
use crate::env::spoken::SpokenConfig;
use crate::env::switch::SwitchConfig;
use crate::env::{WorldConfig, WorldSettings};
use crate::optim::Schedule;
use crate::registry::Member;
use crate::train::dqn::DqnConfig;

/// The column in which prisoners see that they are in the room.
const INSIDE: Option<usize> = Some(0);

fn riddle(agents: usize) -> SwitchConfig {
    SwitchConfig { worlds: 32, agents, ..SwitchConfig::default() }
}

/// Whole episodes are learned from, so that gradients go back through every message. The paper does not discount; then waiting costs
/// nothing, and many runs end with prisoners who guess on the last day.
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
        // With four the discount does harm: fewer of them find a code.
        gamma: if agents > 3 { 1.0 } else { 0.95 },
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

/// Kinds with a network each that talk in the step. The receiver learns what each of its answers pays, whichever it tries;
/// the error of that is what senders learn from through what they say: they become as informative as can be (DIAL). With a
/// policy gradient only the answer that was given teaches them, and meanings that have fallen together stay so.
fn signalling<W: Member + WorldSettings>(
    world: W,
    communication: CommunicatorConfig,
    steps: u64,
) -> Settings {
    let communication = Communication::new(communication);
    let team = TeamConfig { features: 64, communication, ..TeamConfig::default() };
    let learner = DqnConfig {
        rollout: 4,
        updates: 2,
        batch: 256,
        replay: 20_000,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.05 },
        gamma: 0.0,
        epsilon_end: 0.3,
        ..DqnConfig::default()
    };
    Settings { steps, ..Settings::new(world, KindsConfig { team, ..KindsConfig::default() }, learner) }
}

/// Words for the states of the world.
pub(super) fn lewis() -> Settings {
    let words = CommunicatorConfig {
        message: 8,
        channel: Channel::Symbols { temperature: 1.0, signalling: 0.1, spread: 1.0 },
        hearers: senders_to_receiver(),
        ..CommunicatorConfig::default()
    };
    signalling(LewisConfig { worlds: 64, ..LewisConfig::default() }, words, 1_000_000)
}

fn senders_to_receiver() -> Hearers {
    Hearers::Kinds { hear: vec![["sender".into(), "receiver".into()]] }
}

/// One who knows among many who say anything.
pub(super) fn noise(gated: bool) -> Settings {
    let talk = CommunicatorConfig {
        gated,
        combine: Combine::Sum,
        hearers: senders_to_receiver(),
        hidden: 64,
        ..CommunicatorConfig::default()
    };
    signalling(NoiseConfig { worlds: 32, ..NoiseConfig::default() }, talk, 2_000_000)
}

/// A graph between agents of which it is known which edges are of use.
pub(super) fn planted() -> Settings {
    let hearers = Hearers::Learned { between: Between::Agents, start: 0.7, threshold: 0.3, price: 2e-3 };
    let talk =
        CommunicatorConfig { hearers, combine: Combine::Sum, hidden: 64, ..CommunicatorConfig::default() };
    signalling(PlantedConfig { worlds: 64, ..PlantedConfig::default() }, talk, 4_000_000)
}

/// Thirty-two states in one number: more than any of the three ways can say. Hidden layers make their networks of one size.
pub(super) fn superposition(channel: Channel, hidden: usize) -> Settings {
    let talk = CommunicatorConfig {
        message: 1,
        hidden,
        channel,
        hearers: senders_to_receiver(),
        ..CommunicatorConfig::default()
    };
    signalling(LewisConfig { worlds: 64, states: 32, ..LewisConfig::default() }, talk, 2_000_000)
}
