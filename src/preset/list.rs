//! The list of presets: an entry each, the settings in one file a family.

use super::foraging::Sight;
use super::named::Preset;
use super::{
    adaptation, city, continuous, credit, exploration, factory, foraging, games, jobshop, language, mazes,
    memory, mujoco, particles, platoon, roads, tabular, traffic, warehouse,
};
use crate::agent::core::{CoreConfig, GruConfig, SsmConfig};
use crate::agent::team::Critic;
use crate::comm::{Channel, CommNetConfig, Communication, Ic3NetConfig, Silence, TarMacConfig};
use crate::env::factory::FactoryConfig;
use crate::env::matrix_game::MatrixGameConfig;
use crate::env::mpe::{
    SimpleAdversaryConfig, SimpleReferenceConfig, SimpleSpeakerListenerConfig, SimpleTagConfig,
};
use crate::env::mujoco::Body;
use crate::env::pathfinding::Rewards;
use crate::env::vmas::{KinematicBicycleConfig, NavigationConfig};
use crate::env::warehouse::LayoutSource;
use crate::train::curiosity::CuriosityConfig;
use crate::train::maddpg::MaddpgConfig;
use crate::train::matd3::Matd3Config;
use crate::train::meta::Method;
use crate::train::mixer::{Mixing, QmixConfig};
use crate::train::tabular::Rule;

/// Every preset of this crate.
pub(super) const PRESETS: &[Preset] = &[
    Preset {
        name: "bottleneck",
        summary: "two SRMT agents learn to let each other pass in a corridor (dense reward)",
        settings: || mazes::bottleneck(Rewards::Dense),
    },
    Preset {
        name: "bottleneck-sparse",
        summary: "the same task, paid only at the goal, with the paper's settings",
        settings: || mazes::bottleneck(Rewards::Sparse),
    },
    Preset {
        name: "mazes",
        summary: "16 SRMT agents run errands in generated mazes (lifelong), sized for two CPU cores",
        settings: mazes::mazes,
    },
    Preset {
        name: "lifelong",
        summary: "the paper's 9-million-parameter network for lifelong pathfinding; wants a large GPU",
        settings: mazes::lifelong,
    },
    Preset {
        name: "two-step-vdn",
        summary: "QMIX's two-step game from random play: a sum of values learns 7",
        settings: || games::two_step(Mixing::Vdn),
    },
    Preset {
        name: "two-step-qmix",
        summary: "the same with QMIX, which learns 8",
        settings: || games::two_step(Mixing::Qmix(QmixConfig::default())),
    },
    Preset {
        name: "climbing",
        summary: "the climbing game, 25 rounds, independent Q-learning (learner.mixer = vdn or qmix for others)",
        settings: || games::matrix(MatrixGameConfig::climbing()),
    },
    Preset {
        name: "penalty",
        summary: "the penalty game, k = 100, 25 rounds, independent Q-learning",
        settings: || games::matrix(MatrixGameConfig::penalty(100.0)),
    },
    Preset {
        name: "climbing-iql",
        summary: "the climbing game once, in tables: independent Q-learning, a thousand seeds, none is best",
        settings: || tabular::climbing(Rule::Independent),
    },
    Preset {
        name: "climbing-hysteretic",
        summary: "the same by hysteretic Q-learning: all do",
        settings: || tabular::climbing(Rule::Hysteretic { beta: 0.01 }),
    },
    Preset {
        name: "penalty-iql",
        summary: "the penalty game once (world.k), by tables of independent Q-learning: a thousand seeds",
        settings: || tabular::penalty(Rule::Independent),
    },
    Preset {
        name: "penalty-hysteretic",
        summary: "the same by hysteretic Q-learning",
        settings: || tabular::penalty(Rule::Hysteretic { beta: 0.01 }),
    },
    Preset {
        name: "pennies-minimax",
        summary: "matching pennies by minimax-Q; reports have the distance of strategies from even coins",
        settings: || tabular::pennies(Rule::Minimax),
    },
    Preset {
        name: "pennies-wolf",
        summary: "the same by WoLF-PHC",
        settings: || tabular::pennies(Rule::WolfPhc { win: 1e-4, lose: 1e-3 }),
    },
    Preset {
        name: "signal-tabular",
        summary: "a sender and a receiver find words for four states, in tables (world.words = 1 for chance)",
        settings: tabular::signal,
    },
    Preset {
        name: "repeat-drqn",
        summary: "a recurrent Q-network repeats the symbol of three steps ago",
        settings: games::repeat,
    },
    Preset {
        name: "repeat-s5",
        summary: "S5 repeats the symbol of 31 steps ago (world.lag for others), learned from right answers",
        settings: || games::repeat_supervised(CoreConfig::new(SsmConfig::default())),
    },
    Preset {
        name: "repeat-gru",
        summary: "the same by a gated recurrent unit",
        settings: || games::repeat_supervised(CoreConfig::new(GruConfig {})),
    },
    Preset {
        name: "repeat-ppo",
        summary: "S5 repeats the symbol of 31 steps ago by reward alone (agent.core=gru for what gates make of it)",
        settings: games::repeat_ppo,
    },
    Preset {
        name: "lever-commnet",
        summary: "CommNet's lever game, by reward alone (PPO)",
        settings: games::lever,
    },
    Preset {
        name: "lqr-ppo",
        summary: "PPO with continuous actions brings a mass to rest (LQR); the least cost there is is 2.08 on average",
        settings: continuous::lqr_ppo,
    },
    Preset { name: "lqr-td3", summary: "the same by TD3", settings: continuous::lqr_td3 },
    Preset { name: "lqr-sac", summary: "the same by soft actor-critic", settings: continuous::lqr_sac },
    Preset {
        name: "pendulum-td3",
        summary: "swing up a pendulum by TD3, 20,000 steps",
        settings: continuous::pendulum_td3,
    },
    Preset {
        name: "pendulum-sac",
        summary: "swing up a pendulum by soft actor-critic, 20,000 steps",
        settings: continuous::pendulum_sac,
    },
    Preset {
        name: "spread-maddpg",
        summary: "simple_spread with continuous actions by MADDPG",
        settings: || {
            particles::continuous_spread(MaddpgConfig(particles::off_policy(MaddpgConfig::default().0)))
        },
    },
    Preset {
        name: "spread-matd3",
        summary: "the same by MATD3",
        settings: || {
            particles::continuous_spread(Matd3Config(particles::off_policy(Matd3Config::default().0)))
        },
    },
    Preset {
        name: "spread-facmac",
        summary: "the same by FACMAC, the critics' values summed",
        settings: particles::spread_facmac,
    },
    Preset {
        name: "spread-mappo-continuous",
        summary: "the same by MAPPO",
        settings: particles::continuous_spread_mappo,
    },
    Preset {
        name: "speaker-listener-maddpg",
        summary: "a speaker and a listener learn words by MADDPG",
        settings: particles::speaker_listener_maddpg,
    },
    Preset {
        name: "tag-maddpg",
        summary: "three hunters learn together against a prey that has learned to flee, by MADDPG",
        settings: particles::tag_maddpg,
    },
    Preset {
        name: "junction-tarmac",
        summary: "cars that see their own cell only pass a junction (easy), TarMAC in two rounds",
        settings: || traffic::junction(Communication::new(TarMacConfig::default()), 2),
    },
    Preset {
        name: "junction-ic3net",
        summary: "the same with IC3Net",
        settings: || traffic::junction(Communication::new(Ic3NetConfig {}), 2),
    },
    Preset {
        name: "junction-commnet",
        summary: "the same with CommNet",
        settings: || traffic::junction(Communication::new(CommNetConfig {}), 2),
    },
    Preset {
        name: "junction-silent",
        summary: "the same without a word",
        settings: || traffic::junction(Communication::new(Silence {}), 1),
    },
    Preset {
        name: "platoon-lqr",
        summary: "three vehicles learn to keep their gaps by PPO; what that costs at least is known (cost_ratio 1)",
        settings: platoon::regulator,
    },
    Preset {
        name: "platoon",
        summary: "trucks and cars make room for an emergency vehicle, whose messages tell of it",
        settings: || platoon::road(true),
    },
    Preset { name: "platoon-silent", summary: "the same without a word", settings: || platoon::road(false) },
    Preset {
        name: "traffic",
        summary: "the signals of sixteen junctions and the cars between them learn together (PPO)",
        settings: city::learned,
    },
    Preset {
        name: "traffic-fixed",
        summary: "the same city with signals of a fixed cycle; nothing is learned",
        settings: city::fixed,
    },
    Preset {
        name: "traffic-actuated",
        summary: "the same with actuated signals; nothing is learned",
        settings: city::actuated,
    },
    Preset {
        name: "traffic-max-pressure",
        summary: "the same with max-pressure signals; nothing is learned",
        settings: city::max_pressure,
    },
    Preset {
        name: "roads-junction",
        summary: "vehicles learn to cross a four-way junction without signals, all by one network (PPO)",
        settings: roads::junction,
    },
    Preset {
        name: "roads-signals",
        summary: "the same junction under fixed-time signals (Webster), driven by rules: nothing is learned",
        settings: roads::signals,
    },
    Preset {
        name: "roads-reservation",
        summary: "the same junction, first come first served by reservations, driven by rules: nothing is learned",
        settings: roads::reservation,
    },
    Preset {
        name: "roads-gaps",
        summary: "the same junction, driven by rules that accept gaps (IDM): nothing is learned",
        settings: roads::gaps,
    },
    Preset {
        name: "switch",
        summary: "three prisoners, one lamp: recurrent Q-learners find a code (the switch riddle)",
        settings: || games::switch(true),
    },
    Preset { name: "switch-dark", summary: "the same without the lamp", settings: || games::switch(false) },
    Preset {
        name: "riddle-dial",
        summary: "the switch riddle with a bit that gradients go back through (DIAL)",
        settings: || language::riddle_dial(3),
    },
    Preset {
        name: "riddle-dial-4",
        summary: "the same with four prisoners",
        settings: || language::riddle_dial(4),
    },
    Preset {
        name: "riddle-rial",
        summary: "the switch riddle with a bit that is a part of the action (RIAL)",
        settings: || language::riddle_rial(3),
    },
    Preset {
        name: "lewis",
        summary: "Lewis's signalling game: a sender and a receiver agree on words for eight states",
        settings: language::lewis,
    },
    Preset {
        name: "noise-gated",
        summary: "one informative sender among 30 that send noise; messages come in through gates",
        settings: || language::noise(true),
    },
    Preset {
        name: "noise-sum",
        summary: "the same without gates: the plain sum",
        settings: || language::noise(false),
    },
    Preset {
        name: "planted-graph",
        summary: "a learned graph finds which senders are worth hearing",
        settings: language::planted,
    },
    Preset {
        name: "superposition",
        summary: "32 states in one number: eight encodings in superposition",
        settings: || {
            language::superposition(Channel::Superposition { states: 8, measured: Default::default() }, 64)
        },
    },
    Preset {
        name: "superposition-mixture",
        summary: "the same with eight encodings mixed by a softmax, and as many parameters",
        settings: || {
            language::superposition(Channel::Mixture { states: 8, measured: Default::default() }, 68)
        },
    },
    Preset {
        name: "superposition-plain",
        summary: "the same with one encoding, and as many parameters",
        settings: || language::superposition(Channel::default(), 76),
    },
    Preset {
        name: "sinusoid-maml",
        summary: "learn sine waves from ten points each, from a start learned by MAML",
        settings: || adaptation::sinusoid(Method::Maml),
    },
    Preset {
        name: "sinusoid-fomaml",
        summary: "the same by first-order MAML",
        settings: || adaptation::sinusoid(Method::Fomaml),
    },
    Preset {
        name: "navigation-maml",
        summary: "find hidden goals in the plane after one step of adaptation, by MAML",
        settings: || adaptation::navigation(Method::Maml),
    },
    Preset {
        name: "recall-1",
        summary: "a fact that one agent is shown, among one other, is asked of those that never met it: shared slots",
        settings: || memory::recall(1),
    },
    Preset { name: "recall-4", summary: "the same among four other facts", settings: || memory::recall(4) },
    Preset { name: "recall-16", summary: "the same among sixteen", settings: || memory::recall(16) },
    Preset { name: "recall-64", summary: "the same among sixty-four", settings: || memory::recall(64) },
    Preset {
        name: "recall-groups",
        summary: "facts of eight groups and of all, in a memory of two levels",
        settings: || memory::groups(true),
    },
    Preset {
        name: "recall-groups-flat",
        summary: "the same facts in as many slots of one level",
        settings: || memory::groups(false),
    },
    Preset {
        name: "deep-sea-rnd",
        summary: "a treasure that chance does not find, by Q-learning and random network distillation",
        settings: || exploration::deep_sea(exploration::rnd(1e-3)),
    },
    Preset {
        name: "deep-sea-icm",
        summary: "the same with the intrinsic curiosity module",
        settings: || exploration::deep_sea(exploration::icm()),
    },
    Preset {
        name: "deep-sea-dqn",
        summary: "the same by Q-learning alone, which does not find it",
        settings: || exploration::deep_sea(CuriosityConfig::None),
    },
    Preset {
        name: "sparse-rnd",
        summary: "one target in the far corner of a cluttered grid, paid for when reached only, by Q-learning and RND",
        settings: || exploration::sparse(exploration::rnd(3e-4)),
    },
    Preset {
        name: "sparse-icm",
        summary: "the same with the intrinsic curiosity module",
        settings: || exploration::sparse(exploration::icm()),
    },
    Preset {
        name: "sparse-dqn",
        summary: "the same by Q-learning alone, which finds it by luck only",
        settings: || exploration::sparse(CuriosityConfig::None),
    },
    Preset {
        name: "grid-gat",
        summary: "five agents with targets of their own in a cluttered grid hear their neighbours by graph attention",
        settings: || traffic::grid(true),
    },
    Preset { name: "grid-silent", summary: "the same without a word", settings: || traffic::grid(false) },
    Preset {
        name: "taxi-dqn",
        summary: "the taxi by plain Q-learning; the most there is is 7.930 on average",
        settings: exploration::taxi,
    },
    Preset {
        name: "taxi-hierarchical",
        summary: "the same by a manager that sets goals and a worker that is paid for reaching them",
        settings: exploration::taxi_hierarchical,
    },
    Preset {
        name: "chain-hierarchical",
        summary: "Kulkarni's chain in two levels; the most there is is .208 on average",
        settings: exploration::chain_hierarchical,
    },
    Preset {
        name: "job-shop",
        summary: "machines learn to dispatch on random job shops, PPO, one network for all",
        settings: jobshop::job_shop,
    },
    Preset {
        name: "spread-vdn",
        summary: "three recurrent agents cover three landmarks (MPE simple_spread), VDN",
        settings: || particles::spread(Mixing::Vdn),
    },
    Preset {
        name: "spread-qmix",
        summary: "the same with QMIX",
        settings: || particles::spread(particles::gentle_qmix()),
    },
    Preset {
        name: "spread-ippo",
        summary: "the same without memory, each for itself, by PPO",
        settings: || particles::spread_ppo(Critic::Own),
    },
    Preset {
        name: "spread-mappo",
        summary: "the same by PPO, recurrent, with a critic that sees the whole world",
        settings: || particles::spread_ppo(Critic::Central),
    },
    Preset {
        name: "speaker-listener",
        summary: "one agent knows where to go and talks, another hears and goes, by PPO with a central critic",
        settings: || {
            let world = SimpleSpeakerListenerConfig { worlds: 64, ..SimpleSpeakerListenerConfig::default() };
            particles::particles(world, Critic::Central)
        },
    },
    Preset {
        name: "speaker-listener-coma",
        summary: "the same by counterfactual policy gradients (COMA)",
        settings: credit::speaker_listener,
    },
    Preset {
        name: "coma-bits",
        summary: "64 independent bits: reports have how much the gradient scatters by three ways to give credit",
        settings: credit::bits,
    },
    Preset {
        name: "reference",
        summary: "two agents tell each other where to go",
        settings: || {
            let world = SimpleReferenceConfig { worlds: 64, ..SimpleReferenceConfig::default() };
            particles::particles(world, Critic::Central)
        },
    },
    Preset {
        name: "tag",
        summary: "three hunters and their prey learn against each other, all with networks of their own",
        settings: || {
            let world = SimpleTagConfig { worlds: 64, ..SimpleTagConfig::default() };
            particles::particles(world, Critic::Own)
        },
    },
    Preset {
        name: "adversary",
        summary: "two agents keep their goal from an adversary, all with networks of their own",
        settings: || {
            let world = SimpleAdversaryConfig { worlds: 64, ..SimpleAdversaryConfig::default() };
            particles::particles(world, Critic::Own)
        },
    },
    Preset {
        name: "factory-small",
        summary: "a sensor, a processor and an actuator run two machines; reports have their share of the known optimum",
        settings: || factory::factory(FactoryConfig::small(), true, 6_000_000),
    },
    Preset {
        name: "factory-small-silent",
        summary: "the same without a word; no play without one reaches more than .252 of the optimum",
        settings: || factory::factory(FactoryConfig::small(), false, 2_000_000),
    },
    Preset {
        name: "factory",
        summary: "three sensors, two processors and four actuators run four machines",
        settings: || factory::factory(FactoryConfig::large(), true, 12_000_000),
    },
    Preset {
        name: "rware-tiny-2ag",
        summary: "two robots bring requested shelves to goals and put them back (RWARE's tiny warehouse)",
        settings: || warehouse::rware(LayoutSource::Tiny {}, 2, 12_000_000),
    },
    Preset {
        name: "rware-tiny-4ag",
        summary: "four robots in the same warehouse",
        settings: || warehouse::rware(LayoutSource::Tiny {}, 4, 12_000_000),
    },
    Preset {
        name: "rware-small-4ag",
        summary: "four robots in one twice as large",
        settings: || warehouse::rware(LayoutSource::Small {}, 4, 40_000_000),
    },
    Preset {
        name: "lbf-coop",
        summary: "two players load food that neither can load alone, seen from everywhere (level-based foraging)",
        settings: || foraging::cooperative(Sight::Everything, 6_000_000),
    },
    Preset {
        name: "lbf-2s-coop",
        summary: "the same where players see two cells far, and remember",
        settings: || foraging::cooperative(Sight::Near(2), 8_000_000),
    },
    Preset {
        name: "navigation-mappo",
        summary: "four agents push themselves to their goals without touching each other (VMAS)",
        settings: || {
            let world = NavigationConfig { worlds: 64, ..NavigationConfig::default() };
            particles::vehicles(world, Critic::Central, 4_000_000)
        },
    },
    Preset {
        name: "bicycle-ippo",
        summary: "two vehicles steer to their goals (VMAS's kinematic bicycle)",
        settings: || {
            let goals =
                KinematicBicycleConfig { worlds: 64, goals: true, ..KinematicBicycleConfig::default() };
            particles::vehicles(goals, Critic::Own, 2_000_000)
        },
    },
    Preset {
        name: "half-cheetah-ppo",
        summary: "HalfCheetah runs (MuJoCo; build with the feature mujoco), by PPO with CleanRL's settings",
        settings: || mujoco::ppo(Body::HalfCheetah),
    },
    Preset {
        name: "half-cheetah-sac",
        summary: "the same by soft actor-critic",
        settings: mujoco::half_cheetah_sac,
    },
    Preset {
        name: "half-cheetah-maml",
        summary: "HalfCheetah finds out in one step of adaptation which way to run, by MAML",
        settings: mujoco::half_cheetah_maml,
    },
    Preset { name: "ant-ppo", summary: "Ant walks, by PPO", settings: || mujoco::ppo(Body::Ant) },
    Preset {
        name: "humanoid-ppo",
        summary: "Humanoid keeps upright and walks, by PPO",
        settings: || mujoco::ppo(Body::Humanoid),
    },
];
