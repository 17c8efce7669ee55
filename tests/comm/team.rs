use synod::agent::core::{CoreConfig, GruConfig};
use synod::agent::kinds::KindsConfig;
use synod::agent::team::{Team, TeamConfig};
use synod::agent::{Mode, Policy, Sequence, state_inputs};
use synod::comm::{Combine, Communication, CommunicatorConfig, Hearers, Neighbours};
use synod::env::lewis::LewisConfig;
use synod::env::switch::SwitchConfig;
use synod::env::uniform::Uniform;
use synod::env::{AgentKind, Spec, WorldConfig};
use synod::preset::Settings;
use synod::{Device, Graph, Tensor};

use crate::random::Random;

pub const AGENTS: usize = 3;
pub const WORLDS: usize = 2;
pub const SEEN: usize = 4;
pub const FEATURES: usize = 32;

pub fn spec() -> Spec {
    let kinds = vec![AgentKind::discrete("agent", AGENTS, SEEN, 2)];
    Spec { worlds: WORLDS, kinds, state: 0, masked: false, limit: 9 }
}

fn team(talk: CommunicatorConfig, core: bool) -> Team {
    let communication = Communication::new(CommunicatorConfig { message: 3, hidden: 24, ..talk });
    let core = if core { CoreConfig::new(GruConfig {}) } else { TeamConfig::default().core };
    let config = TeamConfig { features: FEATURES, core, communication, ..TeamConfig::default() };
    Team::new(&Device::cpu(), &config, &spec(), false, 3).unwrap()
}

/// What a team is shown over some steps: `[time, agents, worlds, ..]`.
pub struct Shown {
    pub observations: Vec<f32>,
    pub ages: Vec<f32>,
    pub present: Vec<f32>,
}

impl Shown {
    pub fn new(time: usize, random: &mut Random) -> Self {
        let lanes = time * AGENTS * WORLDS;
        let ages = (0..lanes).map(|lane| (lane / (AGENTS * WORLDS)) as f32).collect();
        let observations = random.floats(lanes * SEEN, -1.0, 1.0);
        Shown { observations, ages, present: vec![1.0; lanes] }
    }
}

/// Parameters of actions over all steps at once, and the slope of the last step's sum for every observation.
pub fn whole(team: &Team, shown: &Shown, mode: Mode) -> (Vec<f32>, Vec<f32>) {
    let time = shown.ages.len() / (AGENTS * WORLDS);
    let graph = Graph::new();
    let weights = team.parameters().weights(&graph);
    let sequence = Sequence::input(&graph, team, [time, AGENTS, WORLDS], &[SEEN], mode);
    let zeros: Vec<Tensor<'_>> = team
        .state()
        .iter()
        .map(|part| graph.full([&[AGENTS, WORLDS], &part.shape[..]].concat(), 0.0))
        .collect();
    let parameters = team.unroll(&graph, &weights, sequence, &zeros).unwrap().parameters;
    let last = parameters.slice(0, time - 1, 1).slice(1, 0, 1).slice(2, 0, 1).sum_all();
    let slope = graph.grad_or_zeros(last, &[sequence.observations]).unwrap()[0];
    let mut program = Device::cpu().compile(&graph, &[parameters, slope]).unwrap();
    for (name, values) in
        [("observations", &shown.observations), ("ages", &shown.ages), ("present", &shown.present)]
    {
        if let Some(input) = program.find_input(name) {
            input.copy_from_slice(values);
        }
    }
    program.find_input_u32(synod::agent::NOISE_KEY).into_iter().for_each(|keys| keys.fill(5));
    let out = program.run(&[]).unwrap();
    (out.f32(0).to_vec(), out.f32(1).to_vec())
}

/// The same step by step, each from the state that the last one left.
pub fn stepwise(team: &Team, shown: &Shown) -> Vec<f32> {
    steps(team, shown).0
}

/// The same, with the state after the last step.
pub fn steps(team: &Team, shown: &Shown) -> (Vec<f32>, Vec<Vec<f32>>) {
    let graph = Graph::new();
    let weights = team.parameters().weights(&graph);
    let sequence = Sequence::input(&graph, team, [1, AGENTS, WORLDS], &[SEEN], Mode::Acting);
    let before = state_inputs(&graph, team, [AGENTS, WORLDS]);
    let unrolled = team.unroll(&graph, &weights, sequence, &before).unwrap();
    let outputs: Vec<_> = [unrolled.parameters].into_iter().chain(unrolled.state).collect();
    let mut program = Device::cpu().compile(&graph, &outputs).unwrap();
    let lanes = AGENTS * WORLDS;
    let parts = team.state().len();
    let mut state: Vec<Vec<f32>> =
        team.state().iter().map(|p| vec![0.0; lanes * p.shape.iter().product::<usize>()]).collect();
    let mut all = Vec::new();
    for t in 0..shown.ages.len() / lanes {
        for (name, values, size) in [
            ("observations", &shown.observations, SEEN),
            ("ages", &shown.ages, 1),
            ("present", &shown.present, 1),
        ] {
            if let Some(input) = program.find_input(name) {
                input.copy_from_slice(&values[t * lanes * size..][..lanes * size]);
            }
        }
        for (i, part) in state.iter().enumerate() {
            if let Some(input) = program.find_input(&format!("state{i}")) {
                input.copy_from_slice(part);
            }
        }
        let out = program.run(&[]).unwrap();
        all.extend_from_slice(out.f32(0));
        state = (0..parts).map(|i| out.f32(1 + i).to_vec()).collect();
    }
    (all, state)
}

pub fn near(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

/// Acting step by step does what an unrolled sequence does, for every delay, with a core and without.
#[test]
fn steps_are_those_of_a_sequence() {
    let mut random = Random::fresh();
    for delay in [0, 1, 2, 3] {
        for core in [false, true] {
            let team = team(CommunicatorConfig { delay, ..CommunicatorConfig::default() }, core);
            let mut shown = Shown::new(5, &mut random);
            // An episode that begins anew at step 2 in world 1, an agent that is away for a step.
            (0..5 * AGENTS).for_each(|row| {
                let t = row / AGENTS;
                shown.ages[row * WORLDS + 1] = if t < 2 { t as f32 } else { (t - 2) as f32 };
            });
            shown.present[(AGENTS + 1) * WORLDS] = 0.0;
            let (all, _) = whole(&team, &shown, Mode::Acting);
            assert!(near(&all, &stepwise(&team, &shown)), "seed {}, delay {delay}", random.seed());
        }
    }
}

/// What is said at a step is heard so many steps later and at no other (and passed on), not after a new beginning, and gradients go back
/// over time into who said it: against finite differences.
#[test]
fn messages_arrive_after_their_delay_and_gradients_go_back() {
    let mut random = Random::fresh();
    let seed = random.seed();
    for delay in [1, 2, 3] {
        // Without a core nothing else carries anything over time.
        let team = team(CommunicatorConfig { delay, ..CommunicatorConfig::default() }, false);
        let shown = Shown::new(5, &mut random);
        let (base, slope) = whole(&team, &shown, Mode::Learning);
        let size = base.len() / (5 * AGENTS * WORLDS);
        // The parameters of agent 0 in world 0 at the last step, by what the others saw at each step.
        let last = |shown: &Shown| {
            whole(&team, shown, Mode::Learning).0[4 * AGENTS * WORLDS * size..][..size].to_vec()
        };
        let sum = |x: &[f32]| x.iter().map(|x| f64::from(*x)).sum::<f64>();
        for t in 0..5 {
            for agent in 0..AGENTS {
                let at = ((t * AGENTS + agent) * WORLDS) * SEEN;
                // What was heard is passed on: after two delays everyone has heard of it, oneself too.
                let (rounds, rest) = ((4 - t) / delay, (4 - t) % delay);
                let heard = rest == 0 && (rounds > 1 || (rounds == 1) == (agent > 0));
                if heard && rounds > 1 {
                    // Little is left of it by then.
                    continue;
                }
                let moved = |by: f32| {
                    let mut other = Shown {
                        observations: shown.observations.clone(),
                        ages: shown.ages.clone(),
                        present: shown.present.clone(),
                    };
                    other.observations[at + 1] += by;
                    last(&other)
                };
                // A sum of all less one's own leaves the rounding of one's own.
                let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-7);
                let differs = apart(&moved(2.0), &last(&shown));
                assert_eq!(differs, heard, "seed {seed}, delay {delay}, step {t}, agent {agent}");
                let difference = (sum(&moved(5e-3)) - sum(&moved(-5e-3))) / 1e-2;
                let found = f64::from(slope[at + 1]);
                // A kink of a ReLU may lie in between.
                assert!((found - difference).abs() < 2e-3 + 0.05 * difference.abs(), "{found} {difference}");
                assert!(
                    if heard { found != 0.0 } else { found.abs() < 1e-5 },
                    "seed {seed}, delay {delay}, step {t}, agent {agent}"
                );
            }
        }
        // Episodes that begin after it was said hear nothing of it.
        let mut anew = Shown::new(5, &mut random);
        (0..AGENTS * WORLDS).for_each(|lane| anew.ages[4 * AGENTS * WORLDS + lane] = 0.0);
        let (_, slope) = whole(&team, &anew, Mode::Learning);
        assert!(slope[..4 * AGENTS * WORLDS * SEEN].iter().all(|s| *s == 0.0), "seed {seed}");
    }
}

/// Who may not speak is not heard, who may not hear hears nothing; the absent say nothing; lost messages are.
#[test]
fn who_speaks_and_who_hears_is_a_matter_of_columns() {
    let mut random = Random::fresh();
    let talk = |change: fn(&mut CommunicatorConfig)| {
        let mut config = CommunicatorConfig::default();
        change(&mut config);
        team(config, false)
    };
    let shown = |random: &mut Random, speaks: [f32; AGENTS], hears: [f32; AGENTS]| {
        let mut shown = Shown::new(1, random);
        for lane in 0..AGENTS * WORLDS {
            shown.observations[lane * SEEN] = speaks[lane / WORLDS];
            shown.observations[lane * SEEN + 1] = hears[lane / WORLDS];
        }
        shown
    };
    let reaches = |team: &Team, shown: &Shown, from: usize, to: usize| -> bool {
        let of = |shown: &Shown| {
            let (all, _) = whole(team, shown, Mode::Acting);
            all[to * WORLDS * 2..][..2].to_vec()
        };
        let mut other = Shown {
            observations: shown.observations.clone(),
            ages: shown.ages.clone(),
            present: shown.present.clone(),
        };
        other.observations[from * WORLDS * SEEN + 2] += 0.7;
        of(&other) != of(shown)
    };
    let columns = talk(|c| (c.speaks_where, c.hears_where) = (Some(0), Some(1)));
    let now = shown(&mut random, [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]);
    assert!(reaches(&columns, &now, 0, 1) && reaches(&columns, &now, 2, 0));
    assert!(!reaches(&columns, &now, 1, 0) && !reaches(&columns, &now, 0, 2));
    let plain = talk(|_| ());
    let mut now = shown(&mut random, [1.0; 3], [1.0; 3]);
    assert!(reaches(&plain, &now, 1, 0));
    now.present[WORLDS] = 0.0;
    assert!(!reaches(&plain, &now, 1, 0) && reaches(&plain, &now, 2, 0));
    let lossy = talk(|c| c.lost = 1.0);
    let now = shown(&mut random, [1.0; 3], [1.0; 3]);
    assert!(!reaches(&lossy, &now, 1, 0) && reaches(&lossy, &now, 0, 0));
}

/// The whole layer against plain loops in f64: sums and means, with gates and over graphs.
#[test]
fn a_round_is_what_its_formula_says() {
    let mut random = Random::fresh();
    let seed = random.seed();
    for (gated, combine, near_by) in [
        (false, Combine::Mean, false),
        (false, Combine::Sum, false),
        (true, Combine::Sum, false),
        (true, Combine::Mean, true),
        (false, Combine::Sum, true),
    ] {
        let neighbours =
            Neighbours { positions: vec![0], nearest: 1, itself: false, ..Neighbours::default() };
        let hearers = if near_by { Hearers::Near { neighbours: neighbours.clone() } } else { Hearers::All };
        let team =
            team(CommunicatorConfig { gated, combine, hearers, ..CommunicatorConfig::default() }, false);
        let mut checkpoint = synod::train::Checkpoint::new();
        team.parameters().save("p", &mut checkpoint).unwrap();
        let read = |name: &str| -> Vec<f64> {
            let name = format!("p/communicator0/{name}");
            checkpoint
                .tensor(&name)
                .map_or(Vec::new(), |t| t.to_f32().unwrap().iter().map(|x| f64::from(*x)).collect())
        };
        let linear = |name: &str, x: &[f64]| -> Vec<f64> {
            let (weight, bias) = (read(&format!("{name}/weight")), read(&format!("{name}/bias")));
            let outputs = weight.len() / x.len();
            let sum = |j: usize| x.iter().enumerate().map(|(i, x)| x * weight[i * outputs + j]).sum::<f64>();
            (0..outputs).map(|j| sum(j) + bias.get(j).copied().unwrap_or(0.0)).collect()
        };
        let relu = |x: Vec<f64>| -> Vec<f64> { x.into_iter().map(|x| x.max(0.0)).collect() };

        let shown = Shown::new(1, &mut random);
        let graph = Graph::new();
        let weights = team.parameters().weights(&graph);
        let sequence = Sequence::input(&graph, &team, [1, AGENTS, WORLDS], &[SEEN], Mode::Acting);
        let rounds = team.watch(&weights, sequence, &[]).unwrap().rounds;
        let mut outputs = vec![rounds[0].features, rounds[0].said.unwrap()];
        outputs.extend(rounds[0].edge_weights);
        let mut program = Device::cpu().compile(&graph, &outputs).unwrap();
        program.input_mut("observations").unwrap().copy_from_slice(&shown.observations);
        program.find_input("present").into_iter().for_each(|p| p.fill(1.0));
        synod::agent::neighbours::fill(&mut program, &team, [1, AGENTS, WORLDS]).unwrap();
        let out = program.run(&[]).unwrap();
        let (features, said) = (out.f32(0).to_vec(), out.f32(1).to_vec());
        // The encoder of the team, by hand.
        let encoder = |agent: usize, world: usize| -> Vec<f64> {
            let row = &shown.observations[(agent * WORLDS + world) * SEEN..][..SEEN];
            let mut x: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
            x.extend((0..AGENTS).map(|i| f64::from(u8::from(i == agent))));
            let of = |part: &str| -> Vec<f64> {
                let name = format!("p/encoder/0/{part}");
                checkpoint.tensor(&name).unwrap().to_f32().unwrap().iter().map(|x| f64::from(*x)).collect()
            };
            let (weight, bias) = (of("weight"), of("bias"));
            (0..FEATURES)
                .map(|j| {
                    (bias[j] + x.iter().enumerate().map(|(i, x)| x * weight[i * FEATURES + j]).sum::<f64>())
                        .max(0.0)
                })
                .collect()
        };
        for world in 0..WORLDS {
            let h: Vec<Vec<f64>> = (0..AGENTS).map(|agent| encoder(agent, world)).collect();
            let m: Vec<Vec<f64>> = h
                .iter()
                .map(|h| linear("encoder1", &relu(linear("encoder0", h))).iter().map(|x| x.tanh()).collect())
                .collect();
            let positions: Vec<f32> =
                (0..AGENTS).map(|a| shown.observations[(a * WORLDS + world) * SEEN]).collect();
            let edges = match near_by {
                true => neighbours.edges(&positions, 1, &[1.0; AGENTS]),
                false => (0..AGENTS as u32)
                    .flat_map(|to| (0..AGENTS as u32).filter(move |f| *f != to).map(move |f| (f, to)))
                    .collect(),
            };
            for agent in 0..AGENTS {
                let mut heard = vec![0.0; FEATURES];
                let mut count = 0.0;
                for (from, _) in edges.iter().filter(|(_, to)| *to as usize == agent) {
                    let from = *from as usize;
                    let decoded = linear("decoder1", &relu(linear("decoder0", &m[from])));
                    let gate: Vec<f64> = match gated {
                        false => vec![1.0; FEATURES],
                        true => linear("gate/own", &h[agent])
                            .iter()
                            .zip(linear("gate/said", &m[from]))
                            .map(|(a, b)| 1.0 / (1.0 + (-a - b).exp()))
                            .collect(),
                    };
                    heard.iter_mut().zip(decoded.iter().zip(&gate)).for_each(|(h, (d, g))| *h += d * g);
                    count += 1.0;
                }
                if combine == Combine::Mean {
                    heard.iter_mut().for_each(|h| *h /= f64::max(count, 1.0));
                }
                let expected =
                    relu(linear("own", &h[agent]).iter().zip(&heard).map(|(a, b)| a + b).collect());
                let lane = agent * WORLDS + world;
                for (found, expected) in features[lane * FEATURES..][..FEATURES].iter().zip(&expected) {
                    assert!((f64::from(*found) - expected).abs() < 1e-4, "seed {seed}: {found} {expected}");
                }
                for (found, expected) in said[lane * 3..][..3].iter().zip(&m[agent]) {
                    assert!((f64::from(*found) - expected).abs() < 1e-5, "seed {seed}");
                }
            }
        }
    }
}

/// Kinds of other sizes than the team's talk through it, and gradients of the receiver reach the sender's network.
#[test]
fn kinds_of_unlike_sizes_talk() {
    let world = WorldConfig::new(LewisConfig { worlds: 4, ..LewisConfig::default() });
    let world = Uniform::of(world.build(1).unwrap()).unwrap();
    let config: KindsConfig = serde_json::from_value(serde_json::json!({
        "team": { "features": 16, "communication": { "kind": "communicator", "message": 4, "hidden": 8 } },
        "own": { "sender": { "features": 5, "core": { "kind": "gru" } }, "receiver": { "features": 9 } },
    }))
    .unwrap();
    let team = Team::of_kinds(&Device::cpu(), &config, world.spec(), false, 2).unwrap();
    let kind = &world.spec().kinds[0];
    let graph = Graph::new();
    let weights = team.parameters().weights(&graph);
    let sequence = Sequence::input(&graph, &team, [2, 2, 4], &kind.observation, Mode::Learning);
    let state = state_inputs(&graph, &team, [2, 4]);
    let unrolled = team.unroll(&graph, &weights, sequence, &state).unwrap();
    // The receiver is the second agent.
    let loss = unrolled.parameters.slice(1, 1, 1).square().sum_all();
    let gradient = team.parameters().gradient(loss, &weights).unwrap();
    let mut program = Device::cpu().compile(&graph, &[gradient]).unwrap();
    let mut random = Random::fresh();
    for name in ["observations", "present", "ages", "state0"] {
        if let Some(input) = program.find_input(name) {
            let values = random.floats(input.len(), 0.5, 1.5);
            input.copy_from_slice(&values);
        }
    }
    let gradient = program.run(&[]).unwrap().f32(0).to_vec();
    let reached = |prefix: &str| {
        let named = team.parameters().extents().filter(|(name, ..)| name.starts_with(prefix));
        named.map(|(_, first, end)| gradient[first..end].iter().map(|g| g.abs()).sum::<f32>()).sum::<f32>()
    };
    for prefix in [
        "sender/encoder",
        "sender/core",
        "sender/into_talk",
        "receiver/out_of_talk",
        "communicator0/encoder1",
    ] {
        assert!(reached(prefix) > 0.0, "{prefix}: seed {}", random.seed());
    }
    assert_eq!(reached("sender/actor"), 0.0);
    assert!(team.architecture().contains("talking by communicator(message=4"), "{}", team.architecture());
}

/// What cannot be is refused with its key.
#[test]
fn what_cannot_be_is_refused_by_name() {
    let check = |preset: &str, item: &str, words: &[&str]| {
        let error = Settings::with_items(preset, &[item.to_string()])
            .and_then(|settings| settings.policy(&Device::cpu()).map(drop))
            .expect_err(item)
            .to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{item}: {error}");
    };
    check("lewis", "agent.team.communication.message=0", &["agent.team.communication.message", "1"]);
    check("lewis", "agent.team.communication.bandwidth=0", &["bandwidth", "1"]);
    check("riddle-dial", "agent.communication.delay=6", &["agent.communication.delay", "6 steps"]);
    check("riddle-dial", "agent.communication.delay=1000000", &["delay"]);
    check("riddle-dial", "agent.communication.speaks_where=99", &["speaks_where", "99"]);
    check("riddle-dial", "agent.rounds=2", &["agent.rounds"]);
    check("riddle-dial", "separate_parameters=true", &["separate_parameters"]);
    check(
        "lewis",
        "agent.team.communication.hearers.hear=[[\"sender\",\"reciever\"]]",
        &["reciever", "did you mean `receiver`"],
    );
    check("lewis", "agent.team.communication.hearers.hear=[]", &["hearers.hear"]);
    check("lewis", "world.senders=0", &["world.senders"]);
    check("riddle-rial", "world.words=0", &["world.words"]);
    check("riddle-rial", "world.hears_where=7", &["world.hears_where"]);
    let alone = SwitchConfig { agents: 1, days: 4, ..SwitchConfig::default() };
    let spec = WorldConfig::new(alone).build(1).unwrap().spec().clone();
    let hearers = Hearers::Learned { between: Default::default(), start: 0.5, threshold: 0.3, price: 0.0 };
    let communication = Communication::new(CommunicatorConfig { hearers, ..CommunicatorConfig::default() });
    let config = TeamConfig { communication, ..TeamConfig::default() };
    let error = Team::new(&Device::cpu(), &config, &spec, false, 1).err().unwrap().to_string();
    assert!(error.contains("joins no two agents"), "{error}");
}
