//! The particle worlds.

use super::Settings;
use crate::action::Bounded;
use crate::agent::core::{CoreConfig, GruConfig, NoCore};
use crate::agent::encoder::EncoderConfig;
use crate::agent::team::{Critic, TeamConfig};
use crate::env::WorldSettings;
use crate::env::mpe::{Control, Prey, SimpleSpeakerListenerConfig, SimpleSpreadConfig, SimpleTagConfig};
use crate::optim::Schedule;
use crate::registry::Member;
use crate::train::LearnerSettings;
use crate::train::dqn::DqnConfig;
use crate::train::facmac::FacmacConfig;
use crate::train::maddpg::MaddpgConfig;
use crate::train::mixer::{Mixing, QmixConfig};
use crate::train::off_policy::OffPolicyConfig;
use crate::train::ppo::PpoConfig;

/// A rollout is an episode, its 25 steps and the one that values the last observation.
pub(super) fn spread(mixer: Mixing) -> Settings {
    let world = SimpleSpreadConfig { worlds: 32, ..SimpleSpreadConfig::default() };
    let agent = TeamConfig { core: CoreConfig::new(GruConfig {}), ..TeamConfig::default() };
    let learner = DqnConfig {
        rollout: 26,
        updates: 4,
        batch: 32,
        sequence: 25,
        replay: 130_000,
        warmup: 3_000,
        learning_rate: if mixer == Mixing::Vdn { 1e-2 } else { 5e-3 },
        schedule: Schedule::Linear { last: 0.0 },
        gamma: 0.9,
        target_every: 200,
        epsilon_fraction: 0.1,
        mixer,
        learning_shards: 2,
        acting_shards: 2,
        ..DqnConfig::default()
    };
    Settings { steps: 3_000_000, ..Settings::new(world, agent, learner) }
}

/// A mixing that begins all but linear.
pub(super) fn gentle_qmix() -> Mixing {
    Mixing::Qmix(QmixConfig { scale: 0.01, ..QmixConfig::default() })
}

/// JaxMARL's sizes: 16 worlds, rollouts of 128 steps, four passes in four minibatches.
pub(super) fn spread_ppo(critic: Critic) -> Settings {
    let world = SimpleSpreadConfig { worlds: 16, ..SimpleSpreadConfig::default() };
    let central = critic == Critic::Central;
    let agent = TeamConfig {
        features: if central { 128 } else { 64 },
        encoder: EncoderConfig::Linear { layers: if central { 1 } else { 2 } },
        core: if central { CoreConfig::new(GruConfig {}) } else { CoreConfig::new(NoCore {}) },
        critic,
        ..TeamConfig::default()
    };
    let learner = PpoConfig {
        rollout: 128,
        epochs: 4,
        minibatches: 4,
        learning_rate: if central { 2e-3 } else { 1e-3 },
        schedule: Schedule::Linear { last: 0.0 },
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    let steps = if central { 3_000_000 } else { 30_000_000 };
    Settings { steps, ..Settings::new(world, agent, learner) }
}

/// Actors that go up the gradient of critics which see all. Eight worlds, a rollout is an episode with the step that values its
/// last observation, and there are two updates of 1,024 for these 208 steps: the published ratio of one for a hundred.
pub(super) fn off_policy(learner: OffPolicyConfig) -> OffPolicyConfig {
    OffPolicyConfig {
        rollout: 26,
        updates: 2,
        warmup: 10_000,
        replay: 400_000,
        // A third of the paper's, down to nothing: with its .01 actors drift to the edges of what they can do.
        learning_rate: 3e-3,
        critic_learning_rate: 3e-3,
        schedule: Schedule::Linear { last: 0.0 },
        ..learner
    }
}

/// simple_spread with continuous actions.
pub(super) fn continuous_spread<L: Member + LearnerSettings>(learner: L) -> Settings {
    let world =
        SimpleSpreadConfig { worlds: 8, actions: Control::Continuous, ..SimpleSpreadConfig::default() };
    let encoder = EncoderConfig::Linear { layers: 2 };
    let agent = TeamConfig { encoder, bounded: Bounded::Tanh, ..TeamConfig::default() };
    Settings { steps: 3_000_000, ..Settings::new(world, agent, learner) }
}

/// The same by FACMAC. Values are summed: a mixing network's elu is flat where agents' values are far below 0, as they are
/// here, and actors then learn nothing.
pub(super) fn spread_facmac() -> Settings {
    let learner = off_policy(FacmacConfig::default().0);
    continuous_spread(FacmacConfig(OffPolicyConfig { mixer: Mixing::Vdn, ..learner }))
}

/// The same by MAPPO: more worlds at once, and a critic that sees all.
pub(super) fn continuous_spread_mappo() -> Settings {
    let Settings { learner, .. } = spread_ppo(Critic::Central);
    let world =
        SimpleSpreadConfig { worlds: 16, actions: Control::Continuous, ..SimpleSpreadConfig::default() };
    let encoder = EncoderConfig::Linear { layers: 2 };
    let agent = TeamConfig {
        features: 128,
        encoder,
        critic: Critic::Central,
        bounded: Bounded::Tanh,
        ..TeamConfig::default()
    };
    let learner = learner.get::<PpoConfig>().cloned().unwrap_or_default();
    Settings {
        steps: 12_000_000,
        ..Settings::new(world, agent, PpoConfig { learning_rate: 1e-3, ..learner })
    }
}

/// A speaker and a listener, each with an actor and a critic of its own.
pub(super) fn speaker_listener_maddpg() -> Settings {
    let world = SimpleSpeakerListenerConfig { worlds: 8, ..SimpleSpeakerListenerConfig::default() };
    let encoder = EncoderConfig::Linear { layers: 2 };
    let agent = TeamConfig { encoder, identity: false, ..TeamConfig::default() };
    let learner = MaddpgConfig(off_policy(MaddpgConfig::default().0));
    Settings { steps: 1_600_000, separate_parameters: true, ..Settings::new(world, agent, learner) }
}

/// Hunters against a prey that has learned to flee and learns no more.
pub(super) fn tag_maddpg() -> Settings {
    let world = SimpleTagConfig { worlds: 8, prey: Prey::Trained, ..SimpleTagConfig::default() };
    let encoder = EncoderConfig::Linear { layers: 2 };
    let agent = TeamConfig { encoder, ..TeamConfig::default() };
    let learner = MaddpgConfig(off_policy(MaddpgConfig::default().0));
    Settings { steps: 3_000_000, ..Settings::new(world, agent, learner) }
}

/// Unlike agents. Those that play against each other share neither parameters nor a critic.
pub(super) fn particles(world: impl Member + WorldSettings, critic: Critic) -> Settings {
    let encoder = EncoderConfig::Linear { layers: 2 };
    let agent = TeamConfig { features: 64, encoder, critic, ..TeamConfig::default() };
    let learner = PpoConfig {
        rollout: 26,
        epochs: 4,
        minibatches: 4,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.0 },
        gamma: 0.95,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    };
    Settings {
        steps: 5_000_000,
        separate_parameters: critic == Critic::Own,
        ..Settings::new(world, agent, learner)
    }
}

/// Vehicles that are pushed or steer, all with the same parameters; what one does counts for a second or two. Where all
/// are paid for the way of each the critic has to see all: one that sees a single agent on its goal expects what others
/// may still gain, an end takes that away, and agents learn to stop short of it.
pub(super) fn vehicles(world: impl Member + WorldSettings, critic: Critic, steps: u64) -> Settings {
    let encoder = EncoderConfig::Linear { layers: 2 };
    let agent = TeamConfig { features: 64, encoder, identity: false, critic, ..TeamConfig::default() };
    let learner = PpoConfig {
        rollout: 64,
        epochs: 4,
        minibatches: 4,
        learning_rate: 1e-3,
        schedule: Schedule::Linear { last: 0.05 },
        gamma: 0.95,
        advantage_epsilon: 1e-3,
        entropy_coefficient: 0.0,
        learning_shards: 1,
        acting_shards: 1,
        ..PpoConfig::default()
    };
    Settings { steps, ..Settings::new(world, agent, learner) }
}
