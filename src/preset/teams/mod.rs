//! Presets of teams in worlds with known answers: the list, and what all start from. The settings of each stand in one
//! file a family.

mod exploration;
mod games;
mod particles;
mod traffic;

use super::team::{Algorithm, TeamSettings};
use crate::agent::communication::Communication;
use crate::agent::team::{Critic, TeamConfig};
use crate::env::WorldConfig;
use crate::env::matrix_game::MatrixGameConfig;
use crate::env::mpe::{
    SimpleAdversaryConfig, SimpleReferenceConfig, SimpleSpeakerListenerConfig, SimpleTagConfig,
};
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
        settings: || games::two_step("two-step-vdn", Mixing::Vdn),
    },
    TeamPreset {
        name: "two-step-qmix",
        summary: "the same with QMIX, which learns 8",
        settings: || games::two_step("two-step-qmix", Mixing::Qmix),
    },
    TeamPreset {
        name: "climbing",
        summary: "the climbing game, 25 rounds, independent Q-learning (dqn.mixer = vdn or qmix for others)",
        settings: || games::matrix("climbing", MatrixGameConfig::climbing()),
    },
    TeamPreset {
        name: "penalty",
        summary: "the penalty game, k = 100, 25 rounds, independent Q-learning",
        settings: || games::matrix("penalty", MatrixGameConfig::penalty(100.0)),
    },
    TeamPreset {
        name: "repeat-drqn",
        summary: "a recurrent Q-network repeats the symbol of three steps ago",
        settings: games::repeat,
    },
    TeamPreset {
        name: "lever-commnet",
        summary: "CommNet's lever game, by reward alone (PPO)",
        settings: games::lever,
    },
    TeamPreset {
        name: "junction-tarmac",
        summary: "cars that see their own cell only pass a junction (easy), TarMAC in two rounds",
        settings: || traffic::junction("junction-tarmac", Communication::TarMac, 2),
    },
    TeamPreset {
        name: "junction-ic3net",
        summary: "the same with IC3Net",
        settings: || traffic::junction("junction-ic3net", Communication::Ic3Net, 2),
    },
    TeamPreset {
        name: "junction-commnet",
        summary: "the same with CommNet",
        settings: || traffic::junction("junction-commnet", Communication::CommNet, 2),
    },
    TeamPreset {
        name: "junction-silent",
        summary: "the same without a word",
        settings: || traffic::junction("junction-silent", Communication::None, 1),
    },
    TeamPreset {
        name: "switch",
        summary: "three prisoners, one lamp: recurrent Q-learners find a code (the switch riddle)",
        settings: || games::switch("switch", true),
    },
    TeamPreset {
        name: "switch-dark",
        summary: "the same without the lamp",
        settings: || games::switch("switch-dark", false),
    },
    TeamPreset {
        name: "deep-sea-rnd",
        summary: "a treasure that chance does not find, by Q-learning and random network distillation",
        settings: || exploration::deep_sea("deep-sea-rnd", CuriosityKind::Rnd),
    },
    TeamPreset {
        name: "deep-sea-icm",
        summary: "the same with the intrinsic curiosity module",
        settings: || exploration::deep_sea("deep-sea-icm", CuriosityKind::Icm),
    },
    TeamPreset {
        name: "deep-sea-dqn",
        summary: "the same by Q-learning alone, which does not find it",
        settings: || exploration::deep_sea("deep-sea-dqn", CuriosityKind::None),
    },
    TeamPreset {
        name: "sparse-rnd",
        summary: "one target in the far corner of a cluttered grid, paid for when reached only, by Q-learning and RND",
        settings: || exploration::sparse("sparse-rnd", CuriosityKind::Rnd),
    },
    TeamPreset {
        name: "sparse-icm",
        summary: "the same with the intrinsic curiosity module",
        settings: || exploration::sparse("sparse-icm", CuriosityKind::Icm),
    },
    TeamPreset {
        name: "sparse-dqn",
        summary: "the same by Q-learning alone, which does not find it",
        settings: || exploration::sparse("sparse-dqn", CuriosityKind::None),
    },
    TeamPreset {
        name: "grid-gat",
        summary: "five agents with targets of their own in a cluttered grid hear their neighbours by graph attention",
        settings: || traffic::grid("grid-gat", Communication::GatV2),
    },
    TeamPreset {
        name: "grid-silent",
        summary: "the same without a word",
        settings: || traffic::grid("grid-silent", Communication::None),
    },
    TeamPreset {
        name: "taxi-dqn",
        summary: "the taxi by plain Q-learning; the most there is is 7.930 on average",
        settings: exploration::taxi,
    },
    TeamPreset {
        name: "taxi-hierarchical",
        summary: "the same by a manager that sets goals and a worker that is paid for reaching them",
        settings: exploration::taxi_hierarchical,
    },
    TeamPreset {
        name: "chain-hierarchical",
        summary: "Kulkarni's chain in two levels; the most there is is .208 on average",
        settings: exploration::chain_hierarchical,
    },
    TeamPreset {
        name: "spread-vdn",
        summary: "three recurrent agents cover three landmarks (MPE simple_spread), VDN",
        settings: || particles::spread("spread-vdn", Mixing::Vdn),
    },
    TeamPreset {
        name: "spread-qmix",
        summary: "the same with QMIX",
        settings: || particles::spread("spread-qmix", Mixing::Qmix),
    },
    TeamPreset {
        name: "spread-ippo",
        summary: "the same without memory, each for itself, by PPO",
        settings: || particles::spread_ppo("spread-ippo", Critic::Own),
    },
    TeamPreset {
        name: "spread-mappo",
        summary: "the same by PPO, recurrent, with a critic that sees the whole world",
        settings: || particles::spread_ppo("spread-mappo", Critic::Central),
    },
    TeamPreset {
        name: "speaker-listener",
        summary: "one agent knows where to go and talks, another hears and goes, by PPO with a central critic",
        settings: || {
            let world = SimpleSpeakerListenerConfig { worlds: 64, ..SimpleSpeakerListenerConfig::default() };
            particles::particles(
                "speaker-listener",
                WorldConfig::SimpleSpeakerListener(world),
                Critic::Central,
            )
        },
    },
    TeamPreset {
        name: "reference",
        summary: "two agents tell each other where to go",
        settings: || {
            let world = SimpleReferenceConfig { worlds: 64, ..SimpleReferenceConfig::default() };
            particles::particles("reference", WorldConfig::SimpleReference(world), Critic::Central)
        },
    },
    TeamPreset {
        name: "tag",
        summary: "three hunters and their prey learn against each other, all with networks of their own",
        settings: || {
            let world = SimpleTagConfig { worlds: 64, ..SimpleTagConfig::default() };
            particles::particles("tag", WorldConfig::SimpleTag(world), Critic::Own)
        },
    },
    TeamPreset {
        name: "adversary",
        summary: "two agents keep their goal from an adversary, all with networks of their own",
        settings: || {
            let world = SimpleAdversaryConfig { worlds: 64, ..SimpleAdversaryConfig::default() };
            particles::particles("adversary", WorldConfig::SimpleAdversary(world), Critic::Own)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::Plan;

    #[test]
    fn every_preset_is_in_range_and_comes_back_from_its_file() -> crate::Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        for preset in TEAMS {
            let plan = Plan::preset(preset.name)?;
            assert_eq!(plan.name(), preset.name);
            plan.check()?;
            let path = folder.path().join("config.toml");
            std::fs::write(&path, plan.to_toml()?).expect("room on the disk");
            assert_eq!(Plan::load(&path, &[])?, plan, "{}", preset.name);
        }
        Ok(())
    }

    /// Agents of several kinds, and such as see what they did: a run that is taken up again goes on to the bit.
    #[test]
    fn unlike_agents_learn_and_go_on() -> crate::Result<()> {
        let device = crate::Device::cpu();
        for (name, items) in [
            ("tag", &["world.worlds=8"][..]),
            ("adversary", &["world.worlds=8", "show_last_action=true"]),
            ("speaker-listener", &["world.worlds=8"]),
            ("switch", &["world.worlds=8", "dqn.warmup=8", "dqn.batch=8"]),
        ] {
            let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
            let plan = Plan::with_items(name, &items)?;
            let mut first = plan.trainer(&device)?;
            (0..3).try_for_each(|_| first.step().map(|_| ()))?;
            let middle = first.save()?;
            let mut second = plan.trainer(&device)?;
            second.load(&middle)?;
            (0..2).try_for_each(|_| {
                assert_eq!(first.step()?, second.step()?, "{name}");
                Ok::<(), crate::Error>(())
            })?;
            assert_eq!(first.save()?, second.save()?, "{name}");
            assert_ne!(first.save()?, middle, "{name}");
        }
        Ok(())
    }
}
