//! Memories that agents share: who reads what of whom, when it is forgotten, and what its gradients are.

use synod::agent::core::{CoreConfig, GruConfig};
use synod::agent::kinds::KindsConfig;
use synod::agent::slots::SharedMemoryConfig;
use synod::agent::team::{Team, TeamConfig};
use synod::agent::{Mode, Policy, Sequence, state_inputs};
use synod::comm::{Communication, CommunicatorConfig};
use synod::env::uniform::Uniform;
use synod::env::{AgentKind, Spec, WorldConfig};
use synod::memory::{Allocation, Compression, Groups, MemoryConfig, SlotsConfig, VectorsConfig};
use synod::preset::Settings;
use synod::{Device, Graph, train::Checkpoint};

use crate::random::Random;
use crate::team::{AGENTS, FEATURES, SEEN, Shown, WORLDS, near, spec, steps, stepwise, whole};

fn slots() -> SlotsConfig {
    SlotsConfig { memory_size: 6, memory_dim: 16, heads: 4, ..SlotsConfig::default() }
}

fn config(memory: MemoryConfig) -> TeamConfig {
    TeamConfig { features: FEATURES, identity: false, memory, ..TeamConfig::default() }
}

fn team_of(config: &TeamConfig, separate: bool) -> Team {
    Team::new(&Device::cpu(), config, &spec(), separate, 3).unwrap()
}

fn team(memory: SlotsConfig) -> Team {
    team_of(&config(MemoryConfig::new(memory)), false)
}

fn bottleneck(eight_bits: bool) -> Compression {
    Compression::Bottleneck { compression_ratio: 0.25, eight_bits, reconstruction: 0.1 }
}

fn product() -> Compression {
    Compression::Product { compression_ratio: 0.5, parts: 4, words: 64, reconstruction: 0.1 }
}

fn dynamic(free: f32) -> Allocation {
    Allocation::Dynamic { free, kept_by_reading: 0.5 }
}

fn near_groups() -> Groups {
    Groups::Near { columns: [0, 1], bounds: [-1.0, 1.0], cells: 2 }
}

/// Every part alone, and some together.
fn memories() -> Vec<SlotsConfig> {
    let given = Groups::Given { groups: 3 };
    vec![
        slots(),
        SlotsConfig { lasting: true, ..slots() },
        SlotsConfig { compression: bottleneck(false), ..slots() },
        SlotsConfig { compression: bottleneck(true), ..slots() },
        SlotsConfig { compression: product(), ..slots() },
        SlotsConfig { allocation: dynamic(0.2), ..slots() },
        SlotsConfig { own_slots: 2, group_slots: 3, groups: given.clone(), ..slots() },
        SlotsConfig { group_slots: 2, groups: near_groups(), ..slots() },
        SlotsConfig {
            own_slots: 2,
            group_slots: 2,
            groups: near_groups(),
            compression: bottleneck(false),
            allocation: dynamic(0.2),
            ..slots()
        },
    ]
}

/// Acting step by step does what an unrolled sequence does: with every part of the memory, with parameters of each agent's
/// own, beside a core and beside messages that are heard later.
#[test]
fn steps_with_a_memory_are_those_of_a_sequence() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let mut shown = Shown::new(5, &mut random);
    // An episode that begins anew at step 2 in world 1, an agent that is away for a step.
    for row in 0..5 * AGENTS {
        let t = row / AGENTS;
        shown.ages[row * WORLDS + 1] = if t < 2 { t as f32 } else { (t - 2) as f32 };
    }
    shown.present[(AGENTS + 1) * WORLDS] = 0.0;
    let mut teams: Vec<TeamConfig> = memories().into_iter().map(|m| config(MemoryConfig::new(m))).collect();
    teams.push(config(MemoryConfig::new(VectorsConfig::default())));
    let talk = |delay| Communication::new(CommunicatorConfig { delay, ..CommunicatorConfig::default() });
    let gru = CoreConfig::new(GruConfig {});
    for (delay, talk_first) in [(0, false), (0, true), (2, false)] {
        let memory = MemoryConfig::new(slots());
        let core = gru.clone();
        teams.push(TeamConfig { core, communication: talk(delay), talk_first, ..config(memory) });
    }
    for config in &teams {
        for separate in [false, true] {
            if separate && config.communication.name() != "none" {
                continue;
            }
            let team = team_of(config, separate);
            let (all, _) = whole(&team, &shown, Mode::Acting);
            assert!(near(&all, &stepwise(&team, &shown)), "seed {seed}: {}", team.architecture());
        }
    }
}

/// A team that was made for fewer or more agents than act: what is spread over agents is found again at the next step. Where
/// there is not a slot for each room any more, that is an error.
#[test]
fn memories_serve_other_numbers_of_agents() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let shown = Shown::new(5, &mut random);
    let made_for = |memory: &SlotsConfig, agents: usize| {
        let kinds = vec![AgentKind::discrete("agent", agents, SEEN, 2)];
        let spec = Spec { kinds, ..spec() };
        Team::new(&Device::cpu(), &config(MemoryConfig::new(memory.clone())), &spec, false, 3).unwrap()
    };
    let given =
        |memory: &SlotsConfig| memory.group_slots > 0 && matches!(memory.groups, Groups::Given { .. });
    for memory in memories().iter().filter(|memory| !given(memory)) {
        for agents in [1, 2, 4, 7] {
            let team = made_for(memory, agents);
            let (all, _) = whole(&team, &shown, Mode::Acting);
            assert!(
                near(&all, &stepwise(&team, &shown)),
                "seed {seed}: made for {agents}, {}",
                team.architecture()
            );
        }
    }
    let sparse = SlotsConfig { group_slots: 1, groups: near_groups(), ..slots() };
    let team = made_for(&sparse, 12);
    let graph = Graph::new();
    let weights = team.parameters().weights(&graph);
    let sequence = Sequence::input(&graph, &team, [1, AGENTS, WORLDS], &[SEEN], Mode::Acting);
    let state = state_inputs(&graph, &team, [AGENTS, WORLDS]);
    let message = team.unroll(&graph, &weights, sequence, &state).err().unwrap().to_string();
    assert!(message.contains("team of 12"), "{message}");
}

/// What agent 1 of world 0 sees at the first step, against what agent 0 of that world does at the last of three steps.
fn reaches(team: &Team, shown: &Shown) -> bool {
    let (before, _) = whole(team, shown, Mode::Acting);
    let options = before.len() / (3 * AGENTS * WORLDS);
    let at = 2 * AGENTS * WORLDS * options;
    // Several changes: codes of few words say the same of some of them.
    [-1.0, 3.0, -3.0, 9.0].into_iter().any(|times| {
        let mut observations = shown.observations.clone();
        let row = &mut observations[WORLDS * SEEN..][..SEEN];
        // Within its region, where regions matter.
        row.iter_mut().skip(2).for_each(|x| *x = times * *x + 0.3);
        let (ages, present) = (shown.ages.clone(), shown.present.clone());
        let (after, _) = whole(team, &Shown { observations, ages, present }, Mode::Acting);
        before[at..at + options] != after[at..at + options]
    })
}

/// A team that finds whatever it writes of the highest importance, to all levels or to the lowest alone.
fn eager(memory: SlotsConfig, to_all: bool) -> Team {
    let several = memory.own_slots + memory.group_slots > 0;
    let rise = if to_all { 20.0 } else { -20.0 };
    let maps = [("importance", 20.0), ("rise", rise)].into_iter().take(1 + usize::from(several));
    let team = team(memory);
    let mut checkpoint = Checkpoint::new();
    team.parameters().save("p", &mut checkpoint).unwrap();
    for (map, bias) in maps {
        let name = format!("p/memory/{map}/bias");
        let size = checkpoint.tensor(&name).unwrap().to_f32().unwrap().len();
        checkpoint.insert(name, synod::train::TensorData::f32(&[size], &vec![bias; size]).unwrap());
    }
    team.parameters().load("p", &checkpoint).unwrap();
    team
}

#[test]
fn what_one_writes_another_reads_until_the_world_begins_anew() {
    let mut random = Random::fresh();
    let seed = random.seed();
    for memory in memories() {
        let mut shown = Shown::new(3, &mut random);
        // All in one region.
        for row in shown.observations.chunks_exact_mut(SEEN) {
            (row[0], row[1]) = (0.4, 0.7);
        }
        let lasting = memory.lasting;
        let team = eager(memory, true);
        assert!(reaches(&team, &shown), "seed {seed}: {}", team.architecture());
        // A new episode at the last step.
        shown.ages[2 * AGENTS * WORLDS..].fill(0.0);
        assert_eq!(reaches(&team, &shown), lasting, "seed {seed}: {}", team.architecture());
        // Somebody else takes the place of one agent: the world goes on.
        shown.ages[2 * AGENTS * WORLDS + WORLDS..].fill(2.0);
        assert!(reaches(&team, &shown), "seed {seed}: {}", team.architecture());
        // Who is not there writes nothing.
        shown.present[WORLDS] = 0.0;
        assert!(!reaches(&team, &shown), "seed {seed}: {}", team.architecture());
    }
}

/// Of a level's rooms an agent knows its own alone.
#[test]
fn levels_are_for_those_in_the_room() {
    let mut random = Random::fresh();
    let seed = random.seed();
    // The level of all has a slot as well, which nothing reaches.
    let base = SlotsConfig { memory_size: 1, ..slots() };
    let shown = |together: bool, random: &mut Random| {
        let mut shown = Shown::new(3, random);
        for (i, row) in shown.observations.chunks_exact_mut(SEEN).enumerate() {
            let first = (i / WORLDS).is_multiple_of(AGENTS);
            (row[0], row[1]) = if together || first { (0.4, 0.7) } else { (-0.4, 0.7) };
        }
        shown
    };
    let open = |config: SlotsConfig| eager(config, false);
    let own = open(SlotsConfig { own_slots: 2, ..base.clone() });
    assert!(!reaches(&own, &shown(true, &mut random)), "seed {seed}");
    let groups = Groups::Given { groups: 3 };
    let apart = open(SlotsConfig { group_slots: 2, groups, ..base.clone() });
    assert!(!reaches(&apart, &shown(true, &mut random)), "seed {seed}");
    let groups = Groups::Given { groups: 1 };
    let joined = open(SlotsConfig { group_slots: 2, groups, ..base.clone() });
    assert!(reaches(&joined, &shown(true, &mut random)), "seed {seed}");
    let regions = open(SlotsConfig { group_slots: 2, groups: near_groups(), ..base });
    assert!(reaches(&regions, &shown(true, &mut random)), "seed {seed}");
    assert!(!reaches(&regions, &shown(false, &mut random)), "seed {seed}");
}

/// The gradient from what agent 0 does at the third step, through slots, to what agent 1 saw at the first. (Slots that are
/// allocated, and rounded codes, have the gradients of what they stand for.)
#[test]
fn gradients_go_back_through_slots_to_who_wrote_them() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let given = Groups::Given { groups: 1 };
    for memory in [
        slots(),
        SlotsConfig { compression: bottleneck(false), ..slots() },
        SlotsConfig { own_slots: 1, group_slots: 3, groups: given, ..slots() },
    ] {
        let team = team(memory);
        let (mut checked, mut largest) = (0, 0.0f64);
        for _ in 0..4 {
            let shown = Shown::new(3, &mut random);
            let (_, slope) = whole(&team, &shown, Mode::Learning);
            for column in 0..SEEN {
                let at = WORLDS * SEEN + column;
                let moved = |by: f32| {
                    let mut observations = shown.observations.clone();
                    observations[at] += by;
                    let (ages, present) = (shown.ages.clone(), shown.present.clone());
                    let (all, _) = whole(&team, &Shown { observations, ages, present }, Mode::Learning);
                    let options = all.len() / (3 * AGENTS * WORLDS);
                    let row = &all[2 * AGENTS * WORLDS * options..][..options];
                    row.iter().map(|x| f64::from(*x)).sum::<f64>()
                };
                let by = 4e-3;
                let [far, low, here, high] = [-2.0, -1.0, 0.0, 1.0].map(|steps| moved(steps * by));
                let slope_of = |to: f64, from: f64| (to - from) / f64::from(by);
                let sides = [slope_of(low, far), slope_of(here, low), slope_of(high, here)];
                let half = (high - low) / (2.0 * f64::from(by));
                // Kinks of rectifiers, and another slot that is taken, have no slope.
                if sides.iter().any(|side| (side - half).abs() > 0.05 * half.abs() + 2e-6) {
                    continue;
                }
                checked += 1;
                largest = largest.max(half.abs());
                let own = f64::from(slope[at]);
                assert!((own - half).abs() < 0.05 * half.abs() + 5e-6, "seed {seed}: {own} against {half}");
            }
        }
        assert!(checked >= 4 && largest > 1e-5, "seed {seed}: {checked} slopes up to {largest}");
    }
}

/// Codes are kept as they can be: in steps of 1/127, or as words of the codebooks.
#[test]
fn codes_are_kept_in_few_bytes() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let shown = Shown::new(4, &mut random);
    let start = |team: &Team, name: &str| {
        let mut checkpoint = Checkpoint::new();
        team.parameters().save("p", &mut checkpoint).unwrap();
        checkpoint.tensor(&format!("p/memory/{name}")).unwrap().to_f32().unwrap()
    };
    // Six slots over three agents: two rows an agent, [agents, worlds, 2, width].
    let held = |team: &Team, width: usize| {
        let (_, state) = steps(team, &shown);
        let start = start(team, "all");
        let rows: Vec<Vec<f32>> = (0..AGENTS * WORLDS * 2)
            .map(|row| {
                let slot = row / (WORLDS * 2) * 2 + row % 2;
                (0..width).map(|i| state[0][row * width + i] + start[slot * width + i]).collect()
            })
            .collect();
        rows
    };
    let rounded = team(SlotsConfig { compression: bottleneck(true), ..slots() });
    for x in held(&rounded, 4).concat() {
        let steps = x * 127.0;
        assert!((steps - steps.round()).abs() < 1e-3, "seed {seed}: {x}");
    }
    let words = team(SlotsConfig { compression: product(), ..slots() });
    let books = start(&words, "codebooks");
    for slot in held(&words, 8) {
        for (part, code) in slot.chunks_exact(2).enumerate() {
            let book = &books[part * 128..][..128];
            let known = book.chunks_exact(2).any(|word| near(word, code));
            assert!(known, "seed {seed}: {code:?} is no word of {book:?}");
        }
    }
    let bytes = |compression: Compression| {
        let company = synod::comm::Company::of(&spec(), FEATURES).unwrap();
        MemoryConfig::new(SlotsConfig { memory_dim: 256, compression, ..SlotsConfig::default() })
            .bytes(&company)
    };
    assert_eq!(bytes(Compression::None), 1024 * 256 * 4);
    let tenth =
        |eight_bits| Compression::Bottleneck { compression_ratio: 0.1, eight_bits, reconstruction: 0.0 };
    assert_eq!((bytes(tenth(false)), bytes(tenth(true))), (1024 * 26 * 4, 1024 * 26));
}

/// Slots that are allocated: none are in use before anybody writes, never more than there are, and those that nobody reads
/// fade.
#[test]
fn slots_come_into_use_and_go() {
    let mut random = Random::fresh();
    let seed = random.seed();
    let in_use = |memory: SlotsConfig, time: usize, here: usize, random: &mut Random| {
        let mut shown = Shown::new(time, random);
        for (lane, present) in shown.present.iter_mut().enumerate() {
            *present = f32::from(u8::from(lane / (AGENTS * WORLDS) < here));
        }
        let (_, state) = steps(&team(memory), &shown);
        state[1].iter().filter(|importance| **importance > 0.0).count()
    };
    let allocated = |kept_by_reading| {
        let allocation = Allocation::Dynamic { free: 0.05, kept_by_reading };
        SlotsConfig { allocation, decay: 0.7, ..slots() }
    };
    assert_eq!(in_use(allocated(0.0), 3, 0, &mut random), 0, "seed {seed}");
    let written = in_use(allocated(0.0), 1, 1, &mut random);
    assert_eq!(written, AGENTS * WORLDS, "seed {seed}");
    assert_eq!(in_use(allocated(0.0), 40, 40, &mut random), 6 * WORLDS, "seed {seed}");
    // Nobody writes for twelve steps: .7^12 of at most 1 is less than .05.
    assert_eq!(in_use(allocated(0.0), 13, 1, &mut random), 0, "seed {seed}");
    // Reading keeps them.
    let shown = Shown::new(4, &mut random);
    let kept = |by_reading| {
        let (_, state) = steps(&team(allocated(by_reading)), &shown);
        state[1].iter().sum::<f32>()
    };
    assert!(kept(1.0) > 1.1 * kept(0.0), "seed {seed}");
}

/// Kinds with networks of other sizes share one memory.
#[test]
fn unlike_kinds_share_one_memory() {
    let world =
        Uniform::of(WorldConfig::named("simple_tag").unwrap().with_worlds(2).build(0).unwrap()).unwrap();
    let team = config(MemoryConfig::new(slots()));
    let prey = TeamConfig { features: 8, memory: TeamConfig::default().memory, ..team.clone() };
    let kinds = KindsConfig { team: team.clone(), own: [("agent".to_string(), prey)].into() };
    let built = Team::of_kinds(&Device::cpu(), &kinds, world.spec(), false, 1).unwrap();
    let names: Vec<&str> = built.parameters().iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"memory/all") && names.contains(&"agent/into_memory/weight"), "{names:?}");
    assert!(built.state().iter().any(|part| part.name == "memory of all"));
    let mut wrong = kinds;
    wrong.own.get_mut("agent").unwrap().memory = team.memory;
    let message = Team::of_kinds(&Device::cpu(), &wrong, world.spec(), false, 1).err().unwrap().to_string();
    assert!(message.contains("agent.own.agent.memory"), "{message}");
}

#[test]
fn each_agent_can_have_controllers_of_its_own() {
    let team = team_of(&config(MemoryConfig::new(slots())), true);
    let shape = |name: &str| team.parameters().iter().find(|(own, _)| *own == name).unwrap().1.to_vec();
    assert_eq!(shape("memory/query/weight"), [AGENTS, FEATURES, 16]);
    assert_eq!(shape("memory/all"), [6, 16]);
}

#[test]
fn what_does_not_fit_is_named() {
    let check = |item: &str, words: &[&str]| {
        let message = Settings::with_items("recall-4", &[item.to_string()])
            .and_then(|settings| settings.trainer(&Device::cpu()).map(|_| ()))
            .err()
            .unwrap_or_else(|| panic!("{item} was taken"))
            .to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{item}: {message}");
    };
    check("agent.memory.heads=3", &["agent.memory.heads", "64"]);
    check("agent.memory.memory_size=0", &["agent.memory.memory_size"]);
    check("agent.memory.memory_size=1000000000000", &["agent.memory.memory_size"]);
    for ratio in ["0", "1.5", "-0.1"] {
        let item = format!("agent.memory.compression={{kind=\"bottleneck\", compression_ratio={ratio}}}");
        check(&item, &["agent.memory.compression", "compression_ratio"]);
    }
    let parts = "agent.memory.compression={kind=\"product\", compression_ratio=0.5, parts=7}";
    check(parts, &["agent.memory.compression.parts", "32"]);
    check("agent.memory.groups={kind=\"given\", groups=2}", &["agent.memory.groups", "group_slots"]);
    check("agent.memory.kind=slot", &["did you mean `slots`"]);
    check("world.agents=1", &["world.agents"]);
    check("world.others=0", &["world.others"]);
}

/// A fact that one agent was shown and another is asked for: found with a memory that they share, a matter of chance without.
#[test]
fn recall_needs_the_memory() {
    let success = |more: &[&str], seed: usize| {
        let mut items =
            vec![format!("seed={seed}"), "world.worlds=128".to_string(), "world.values=4".to_string()];
        items.extend(more.iter().map(|item| item.to_string()));
        let settings = Settings::with_items("recall-1", &items).unwrap();
        let mut trainer = settings.trainer(&Device::cpu()).unwrap();
        let mut last = Vec::new();
        for _ in 0..250 {
            let report = trainer.step().unwrap();
            last.push(report.values.iter().find(|(name, _)| name == "success").unwrap().1);
        }
        last[230..].iter().sum::<f64>() / 20.0
    };
    for seed in 0..3 {
        let with = success(&[], seed);
        assert!(with > 0.95, "seed {seed}: {with}");
    }
    let without = success(&["agent.memory=none"], 0);
    assert!((without - 0.25).abs() < 0.05, "{without} without a memory");
    // Slots outlive their agents' settings: the agent without any has other parameters.
    assert_ne!(SharedMemoryConfig::default().team().memory.name(), TeamConfig::default().memory.name());
}
