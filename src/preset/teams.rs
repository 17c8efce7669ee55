//! Presets of teams in worlds with known answers.

use super::team::{Algorithm, TeamSettings};
use crate::agent::communication::Communication;
use crate::agent::neighbours::Neighbours;
use crate::agent::team::{Critic, Recurrent, TeamConfig};
use crate::env::WorldConfig;
use crate::env::chain::ChainConfig;
use crate::env::deep_sea::DeepSeaConfig;
use crate::env::gridworld::GridworldConfig;
use crate::env::lever::LeverConfig;
use crate::env::matrix_game::MatrixGameConfig;
use crate::env::mpe::{
    SimpleAdversaryConfig, SimpleReferenceConfig, SimpleSpeakerListenerConfig, SimpleSpreadConfig,
    SimpleTagConfig,
};
use crate::env::repeat_previous::RepeatPreviousConfig;
use crate::env::switch::SwitchConfig;
use crate::env::taxi::TaxiConfig;
use crate::env::traffic_junction::TrafficJunctionConfig;
use crate::optim::Schedule;
use crate::train::curiosity::{CuriosityConfig, CuriosityKind};
use crate::train::dqn::DqnConfig;
use crate::train::hierarchy::HierarchyConfig;
use crate::train::mixer::Mixing;
use crate::train::ppo::PpoConfig;

/// A preset's name, what it is, and its settings.
pub(super) struct TeamPreset {
    pub name: &'static str,
    pub summary: &'static str,
    pub settings: fn() -> TeamSettings,
}

/// All presets of teams.
pub(super) const TEAMS: &[TeamPreset] = &[
    TeamPreset {
        name: "two-step-vdn",
        summary: "QMIX's two-step game from random play: a sum of values learns 7",
        settings: || two_step("two-step-vdn", Mixing::Vdn),
    },
    TeamPreset {
        name: "two-step-qmix",
        summary: "the same with QMIX, which learns 8",
        settings: || two_step("two-step-qmix", Mixing::Qmix),
    },
    TeamPreset {
        name: "climbing",
        summary: "the climbing game, 25 rounds, independent Q-learning (dqn.mixer = vdn or qmix for others)",
        settings: || matrix("climbing", MatrixGameConfig::climbing()),
    },
    TeamPreset {
        name: "penalty",
        summary: "the penalty game, k = -100, 25 rounds, independent Q-learning",
        settings: || matrix("penalty", MatrixGameConfig::penalty(-100.0)),
    },
    TeamPreset {
        name: "repeat-drqn",
        summary: "a recurrent Q-network repeats the symbol of three steps ago",
        settings: repeat,
    },
    TeamPreset {
        name: "lever-commnet",
        summary: "CommNet's lever game, by reward alone (PPO)",
        settings: lever,
    },
    TeamPreset {
        name: "junction-tarmac",
        summary: "cars that see their own cell only pass a junction (easy), TarMAC in two rounds",
        settings: || junction("junction-tarmac", Communication::TarMac, 2),
    },
    TeamPreset {
        name: "junction-ic3net",
        summary: "the same with IC3Net",
        settings: || junction("junction-ic3net", Communication::Ic3Net, 1),
    },
    TeamPreset {
        name: "junction-commnet",
        summary: "the same with CommNet",
        settings: || junction("junction-commnet", Communication::CommNet, 1),
    },
    TeamPreset {
        name: "junction-silent",
        summary: "the same without a word",
        settings: || junction("junction-silent", Communication::None, 1),
    },
    TeamPreset {
        name: "switch",
        summary: "three prisoners, one lamp: recurrent Q-learners find a code (the switch riddle)",
        settings: || switch("switch", true),
    },
    TeamPreset {
        name: "switch-dark",
        summary: "the same without the lamp",
        settings: || switch("switch-dark", false),
    },
    TeamPreset {
        name: "deep-sea-rnd",
        summary: "a treasure that chance does not find, by Q-learning and random network distillation",
        settings: || deep_sea("deep-sea-rnd", CuriosityKind::Rnd),
    },
    TeamPreset {
        name: "deep-sea-icm",
        summary: "the same with the intrinsic curiosity module",
        settings: || deep_sea("deep-sea-icm", CuriosityKind::Icm),
    },
    TeamPreset {
        name: "corners-rnd",
        summary: "a target in the far corner of a grid, paid for when reached only, random network distillation",
        settings: || corners("corners-rnd", CuriosityKind::Rnd),
    },
    TeamPreset {
        name: "corners-icm",
        summary: "the same with the intrinsic curiosity module (curiosity.kind = none for plain Q-learning)",
        settings: || corners("corners-icm", CuriosityKind::Icm),
    },
    TeamPreset {
        name: "grid-gat",
        summary: "five agents with targets of their own in a cluttered grid hear their neighbours by graph attention",
        settings: || grid("grid-gat", Communication::GatV2),
    },
    TeamPreset {
        name: "grid-silent",
        summary: "the same without a word",
        settings: || grid("grid-silent", Communication::None),
    },
    TeamPreset {
        name: "taxi-dqn",
        summary: "the taxi by plain Q-learning; the most there is is 7.930 on average",
        settings: taxi,
    },
    TeamPreset {
        name: "taxi-hierarchical",
        summary: "the same by a manager that sets goals and a worker that is paid for reaching them",
        settings: taxi_hierarchical,
    },
    TeamPreset {
        name: "chain-hierarchical",
        summary: "Kulkarni's chain in two levels; the most there is is .208 on average",
        settings: chain_hierarchical,
    },
    TeamPreset {
        name: "spread-vdn",
        summary: "three recurrent agents cover three landmarks (MPE simple_spread), VDN",
        settings: || spread("spread-vdn", Mixing::Vdn),
    },
    TeamPreset {
        name: "spread-qmix",
        summary: "the same with QMIX",
        settings: || spread("spread-qmix", Mixing::Qmix),
    },
    TeamPreset {
        name: "spread-ippo",
        summary: "the same without memory, each for itself, by PPO",
        settings: || spread_ppo("spread-ippo", Critic::Own),
    },
    TeamPreset {
        name: "spread-mappo",
        summary: "the same by PPO, recurrent, with a critic that sees the whole world",
        settings: || spread_ppo("spread-mappo", Critic::Central),
    },
    TeamPreset {
        name: "speaker-listener",
        summary: "one agent knows where to go and talks, another hears and goes, by PPO with a central critic",
        settings: || {
            let world = SimpleSpeakerListenerConfig { worlds: 64, ..SimpleSpeakerListenerConfig::default() };
            particles("speaker-listener", WorldConfig::SimpleSpeakerListener(world), Critic::Central)
        },
    },
    TeamPreset {
        name: "reference",
        summary: "two agents tell each other where to go",
        settings: || {
            let world = SimpleReferenceConfig { worlds: 64, ..SimpleReferenceConfig::default() };
            particles("reference", WorldConfig::SimpleReference(world), Critic::Central)
        },
    },
    TeamPreset {
        name: "tag",
        summary: "three hunters and their prey learn against each other, all with networks of their own",
        settings: || {
            let world = SimpleTagConfig { worlds: 64, ..SimpleTagConfig::default() };
            particles("tag", WorldConfig::SimpleTag(world), Critic::Own)
        },
    },
    TeamPreset {
        name: "adversary",
        summary: "two agents keep their goal from an adversary, all with networks of their own",
        settings: || {
            let world = SimpleAdversaryConfig { worlds: 64, ..SimpleAdversaryConfig::default() };
            particles("adversary", WorldConfig::SimpleAdversary(world), Critic::Own)
        },
    },
];

fn base(preset: &str, world: WorldConfig, agent: TeamConfig) -> TeamSettings {
    TeamSettings {
        preset: preset.into(),
        seed: 0,
        steps: 100_000,
        checkpoint_every: 1_000_000,
        device: "auto".into(),
        separate_parameters: false,
        show_last_action: false,
        algorithm: Algorithm::Dqn,
        agent,
        world,
        curiosity: CuriosityConfig::default(),
        dqn: DqnConfig::default(),
        hierarchy: HierarchyConfig::default(),
        ppo: PpoConfig {
            minibatches: 4,
            kl_target: 0.0,
            learning_rate: 5e-4,
            gamma: 0.99,
            clip: 0.2,
            value_clip: 0.0,
            entropy_coefficient: 0.01,
            max_gradient_norm: 0.5,
            adam_epsilon: 1e-5,
            ..PpoConfig::default()
        },
    }
}

/// The paper's data are random: epsilon stays at 1.
fn two_step(name: &str, mixer: Mixing) -> TeamSettings {
    let world = WorldConfig::MatrixGame(MatrixGameConfig { worlds: 8, ..MatrixGameConfig::two_step() });
    TeamSettings {
        steps: 50_000,
        dqn: DqnConfig {
            rollout: 2,
            batch: 32,
            replay: 500,
            warmup: 64,
            target_every: 50,
            learning_rate: 2e-3,
            epsilon_end: 1.0,
            mixer,
            ..DqnConfig::default()
        },
        ..base(name, world, TeamConfig { features: 32, ..TeamConfig::default() })
    }
}

fn matrix(name: &str, game: MatrixGameConfig) -> TeamSettings {
    let world = WorldConfig::MatrixGame(MatrixGameConfig { worlds: 8, ..game });
    TeamSettings {
        steps: 200_000,
        separate_parameters: true,
        dqn: DqnConfig {
            rollout: 5,
            batch: 32,
            replay: 10_000,
            warmup: 200,
            target_every: 50,
            learning_rate: 1e-3,
            epsilon_fraction: 0.5,
            ..DqnConfig::default()
        },
        ..base(name, world, TeamConfig { features: 32, identity: false, ..TeamConfig::default() })
    }
}

fn repeat() -> TeamSettings {
    let world = RepeatPreviousConfig { worlds: 16, ..RepeatPreviousConfig::default() };
    let agent = TeamConfig {
        features: 64,
        identity: false,
        recurrent: Recurrent::Gru,
        dueling: true,
        ..TeamConfig::default()
    };
    TeamSettings {
        steps: 600_000,
        dqn: DqnConfig {
            rollout: 52,
            batch: 16,
            sequence: 51,
            replay: 50_000,
            warmup: 2_000,
            learning_rate: 2e-3,
            schedule: Schedule::Linear { last: 0.1 },
            gamma: 0.0,
            target_every: 50,
            epsilon_end: 0.02,
            epsilon_fraction: 0.5,
            ..DqnConfig::default()
        },
        ..base("repeat-drqn", WorldConfig::RepeatPrevious(world), agent)
    }
}

fn lever() -> TeamSettings {
    let world = LeverConfig { worlds: 256, ..LeverConfig::default() };
    let agent = TeamConfig {
        features: 128,
        identity: false,
        communication: Communication::CommNet,
        rounds: 2,
        ..TeamConfig::default()
    };
    let settings = base("lever-commnet", WorldConfig::Lever(world), agent);
    TeamSettings {
        steps: 8_000_000,
        algorithm: Algorithm::Ppo,
        ppo: PpoConfig {
            rollout: 2,
            epochs: 2,
            minibatches: 2,
            learning_rate: 1e-3,
            schedule: Schedule::Linear { last: 0.05 },
            entropy_coefficient: 0.01,
            entropy_schedule: Schedule::Linear { last: 0.0 },
            learning_shards: 2,
            acting_shards: 2,
            ..settings.ppo
        },
        ..settings
    }
}

fn deep_sea(name: &str, kind: CuriosityKind) -> TeamSettings {
    // Few worlds: with one policy they would all go the same way.
    let world = DeepSeaConfig { worlds: 4, ..DeepSeaConfig::default() };
    let agent = TeamConfig { identity: false, ..TeamConfig::default() };
    TeamSettings {
        steps: 400_000,
        curiosity: CuriosityConfig { kind, learning_rate: 3e-4, ..CuriosityConfig::default() },
        dqn: DqnConfig {
            rollout: 20,
            updates: 4,
            batch: 64,
            n_step: 3,
            replay: 100_000,
            warmup: 2_000,
            learning_rate: 1e-3,
            target_every: 100,
            epsilon_start: 0.05,
            epsilon_end: 0.01,
            epsilon_fraction: 0.2,
            learning_shards: 1,
            ..DqnConfig::default()
        },
        ..base(name, WorldConfig::DeepSea(world), agent)
    }
}

/// 22 steps of 30 must lead right or down.
fn corners(name: &str, kind: CuriosityKind) -> TeamSettings {
    let world = GridworldConfig {
        worlds: 4,
        agents: 1,
        targets: 1,
        width: 12,
        height: 12,
        density: 0.0,
        corners: true,
        radius: 11,
        project_targets: false,
        shaping: 0.0,
        max_episode_steps: 30,
        ..GridworldConfig::default()
    };
    let settings = deep_sea(name, kind);
    TeamSettings { world: WorldConfig::Gridworld(world), ..settings }
}

fn grid(name: &str, communication: Communication) -> TeamSettings {
    let world = GridworldConfig {
        agents: 5,
        targets: 5,
        density: 0.2,
        radius: 2,
        coordinates: true,
        ..GridworldConfig::default()
    };
    // Numbers of the observation that say where an agent is: the last two.
    let window = 3 * 5 * 5;
    let agent = TeamConfig {
        identity: false,
        recurrent: Recurrent::Gru,
        communication,
        heads: 4,
        neighbours: Neighbours { positions: vec![window, window + 1], radius: 0.0, nearest: 4, itself: true },
        ..TeamConfig::default()
    };
    let settings = base(name, WorldConfig::Gridworld(world), agent);
    TeamSettings {
        steps: 5_000_000,
        algorithm: Algorithm::Ppo,
        ppo: PpoConfig {
            rollout: 32,
            epochs: 2,
            minibatches: 4,
            learning_rate: 1e-3,
            schedule: Schedule::Linear { last: 0.0 },
            gamma: 0.98,
            learning_shards: 2,
            acting_shards: 2,
            ..settings.ppo
        },
        ..settings
    }
}

fn taxi() -> TeamSettings {
    let world = TaxiConfig { worlds: 16, ..TaxiConfig::default() };
    let agent = TeamConfig { features: 128, layers: 2, identity: false, ..TeamConfig::default() };
    TeamSettings {
        steps: 400_000,
        dqn: DqnConfig {
            rollout: 4,
            updates: 4,
            batch: 64,
            replay: 100_000,
            warmup: 5_000,
            learning_rate: 1e-3,
            schedule: Schedule::Linear { last: 0.05 },
            target_every: 100,
            epsilon_end: 0.05,
            epsilon_fraction: 0.8,
            learning_shards: 1,
            ..DqnConfig::default()
        },
        ..base("taxi-dqn", WorldConfig::Taxi(world), agent)
    }
}

fn taxi_hierarchical() -> TeamSettings {
    let settings = taxi();
    TeamSettings {
        preset: "taxi-hierarchical".into(),
        algorithm: Algorithm::Hierarchical,
        dqn: DqnConfig {
            gamma: 0.9,
            huber: 1.0,
            target_every: 200,
            epsilon_fraction: 0.4,
            ..settings.dqn.clone()
        },
        hierarchy: HierarchyConfig {
            pretraining: 0.5,
            // Goals alone would let the worker try what is not possible, which the manager then pays for.
            extrinsic: 0.05,
            manager: DqnConfig {
                replay: 10_000,
                warmup: 1_000,
                epsilon_start: 0.5,
                epsilon_fraction: 0.5,
                ..settings.dqn.clone()
            },
            ..HierarchyConfig::default()
        },
        ..settings
    }
}

fn chain_hierarchical() -> TeamSettings {
    let world = ChainConfig { worlds: 16, ..ChainConfig::default() };
    let agent = TeamConfig { features: 32, identity: false, ..TeamConfig::default() };
    let level = DqnConfig {
        rollout: 4,
        batch: 32,
        replay: 5_000,
        warmup: 500,
        learning_rate: 2e-3,
        schedule: Schedule::Linear { last: 0.05 },
        target_every: 50,
        epsilon_end: 0.1,
        epsilon_fraction: 0.5,
        learning_shards: 1,
        ..DqnConfig::default()
    };
    TeamSettings {
        steps: 100_000,
        algorithm: Algorithm::Hierarchical,
        dqn: DqnConfig { gamma: 0.9, ..level.clone() },
        hierarchy: HierarchyConfig { every: 100, manager: level, ..HierarchyConfig::default() },
        ..base("chain-hierarchical", WorldConfig::Chain(world), agent)
    }
}

/// A rollout is an episode, its 25 steps and the one that values the last observation.
fn spread(name: &str, mixer: Mixing) -> TeamSettings {
    let world = SimpleSpreadConfig { worlds: 32, ..SimpleSpreadConfig::default() };
    let agent = TeamConfig { recurrent: Recurrent::Gru, ..TeamConfig::default() };
    TeamSettings {
        steps: 3_000_000,
        dqn: DqnConfig {
            rollout: 26,
            updates: 4,
            batch: 32,
            sequence: 25,
            replay: 130_000,
            warmup: 3_000,
            learning_rate: if mixer == Mixing::Qmix { 5e-3 } else { 1e-2 },
            schedule: Schedule::Linear { last: 0.0 },
            gamma: 0.9,
            target_every: 200,
            epsilon_fraction: 0.1,
            mixer,
            mixer_scale: 0.01,
            learning_shards: 2,
            acting_shards: 2,
            ..DqnConfig::default()
        },
        ..base(name, WorldConfig::SimpleSpread(world), agent)
    }
}

/// JaxMARL's sizes: 16 worlds, rollouts of 128 steps, four passes in four minibatches.
fn spread_ppo(name: &str, critic: Critic) -> TeamSettings {
    let world = SimpleSpreadConfig { worlds: 16, ..SimpleSpreadConfig::default() };
    let central = critic == Critic::Central;
    let agent = TeamConfig {
        features: if central { 128 } else { 64 },
        layers: if central { 1 } else { 2 },
        recurrent: if central { Recurrent::Gru } else { Recurrent::None },
        critic,
        ..TeamConfig::default()
    };
    let settings = base(name, WorldConfig::SimpleSpread(world), agent);
    TeamSettings {
        steps: if central { 3_000_000 } else { 30_000_000 },
        algorithm: Algorithm::Ppo,
        ppo: PpoConfig {
            rollout: 128,
            epochs: 4,
            minibatches: 4,
            learning_rate: if central { 2e-3 } else { 1e-3 },
            schedule: Schedule::Linear { last: 0.0 },
            learning_shards: 2,
            acting_shards: 2,
            ..settings.ppo
        },
        ..settings
    }
}

/// Unlike agents. Those that play against each other share neither parameters nor a critic.
fn particles(name: &str, world: WorldConfig, critic: Critic) -> TeamSettings {
    let agent = TeamConfig { features: 64, layers: 2, critic, ..TeamConfig::default() };
    let settings = base(name, world, agent);
    TeamSettings {
        steps: 5_000_000,
        separate_parameters: critic == Critic::Own,
        algorithm: Algorithm::Ppo,
        ppo: PpoConfig {
            rollout: 26,
            epochs: 4,
            minibatches: 4,
            learning_rate: 1e-3,
            schedule: Schedule::Linear { last: 0.0 },
            gamma: 0.95,
            learning_shards: 2,
            acting_shards: 2,
            ..settings.ppo
        },
        ..settings
    }
}

/// A rollout is an episode; what a car meets depends on the next few steps only.
fn junction(name: &str, communication: Communication, rounds: usize) -> TeamSettings {
    let world = TrafficJunctionConfig { worlds: 128, ..TrafficJunctionConfig::easy() };
    let agent = TeamConfig {
        features: 64,
        identity: false,
        recurrent: Recurrent::Lstm,
        communication,
        rounds,
        ..TeamConfig::default()
    };
    let settings = base(name, WorldConfig::TrafficJunction(world), agent);
    TeamSettings {
        steps: 20_000_000,
        algorithm: Algorithm::Ppo,
        ppo: PpoConfig {
            rollout: 21,
            epochs: 4,
            minibatches: 4,
            learning_rate: 1e-3,
            schedule: Schedule::Linear { last: 0.0 },
            gamma: 0.95,
            // A collision pays -10: the critic's errors are large numbers.
            value_coefficient: 0.02,
            entropy_coefficient: 0.01,
            entropy_schedule: Schedule::Linear { last: 0.0 },
            learning_shards: 2,
            acting_shards: 2,
            ..settings.ppo
        },
        ..settings
    }
}

/// Six days and a closing step fit a rollout of six: who tells ends the episode earlier.
fn switch(name: &str, lamp: bool) -> TeamSettings {
    let world = SwitchConfig { worlds: 32, lamp, ..SwitchConfig::default() };
    let agent = TeamConfig { features: 64, recurrent: Recurrent::Gru, ..TeamConfig::default() };
    TeamSettings {
        steps: 2_000_000,
        dqn: DqnConfig {
            rollout: 6,
            updates: 1,
            batch: 64,
            sequence: 6,
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
        },
        ..base(name, WorldConfig::Switch(world), agent)
    }
}
