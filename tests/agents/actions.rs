//! Actions of every kind at once, and noise of the network's own, along the whole path from world to checkpoint.

use synod::action::{ActionSpace, Bounded};
use synod::agent::actors::{Actors, Choice, Seen};
use synod::agent::core::{CoreConfig, GruConfig};
use synod::agent::hierarchy::Hierarchy;
use synod::agent::team::{Team, TeamConfig};
use synod::agent::{Mode, NOISE_KEY, Policy, Sequence, StatePart, Unrolled};
use synod::comm::{Communication, CommunicationSettings, Company, Heard, Hearing, Layer, drawn};
use synod::env::goals::Goals;
use synod::env::pathfinding::Pcg64;
use synod::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use synod::env::{AgentKind, Buffers, Spec, VecEnv};
use synod::nn::{Builder, Linear, Parameters, Weights};
use synod::registry::Member;
use synod::train::Trainer;
use synod::train::curiosity::{CuriosityConfig, IcmConfig};
use synod::train::dqn::{Dqn, DqnConfig};
use synod::train::ppo::{Ppo, PpoConfig};
use synod::{Device, Graph, Result, Tensor};

/// Two agents that choose one of three options, of which some are closed, one of two and one of four, and two numbers.
/// The last open option, options 1 and 2, and the numbers 0.3 and -3 by the sign that is shown pay 1 each at most.
#[derive(Debug, serde::Serialize)]
struct Everything {
    worlds: usize,
}

#[derive(Debug, Clone)]
struct Shown {
    signs: [f32; 2],
    open: [u8; 2],
    step: u32,
}

impl Everything {
    fn space() -> ActionSpace {
        let numbers = ActionSpace::Continuous { low: vec![-1.0, -10.0], high: vec![1.0, 10.0] };
        let choices = ActionSpace::MultiDiscrete(vec![2, 4]);
        ActionSpace::Product(vec![ActionSpace::Discrete(3), choices, numbers])
    }

    fn draw(world: &mut Shown, random: &mut Pcg64) {
        for agent in 0..2 {
            world.signs[agent] = if random.below(2) == 0 { -1.0 } else { 1.0 };
            world.open[agent] = 1 + random.below(7) as u8;
        }
    }
}

impl Rules for Everything {
    type World = Shown;
    const NAME: &'static str = "everything";

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let actions = Everything::space();
        vec![AgentKind::new("agent", 2, &[4], actions)]
    }

    fn masked(&self) -> bool {
        true
    }

    fn limit(&self) -> u32 {
        5
    }

    fn blank(&self) -> Shown {
        Shown { signs: [1.0; 2], open: [7; 2], step: 0 }
    }

    fn reset(&self, world: &mut Shown, _episode: u64, random: &mut Pcg64) {
        world.step = 0;
        Everything::draw(world, random);
    }

    fn step(&self, world: &mut Shown, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let (choices, numbers) = (actions.discrete(0), actions.continuous(0));
        for agent in 0..2 {
            let ([first, second, third], [small, large]) =
                (&choices[3 * agent..][..3], &numbers[2 * agent..][..2])
            else {
                return Outcome::Ends;
            };
            assert!(world.open[agent] >> first & 1 == 1, "option {first} is closed");
            assert!(small.abs() <= 1.0 && large.abs() <= 10.0, "{small} and {large} lie beyond their bounds");
            let last = 7 - world.open[agent].leading_zeros();
            let right = [*first == last, *second == 1, *third == 2];
            let off = |number: f32, goal: f32, width: f32| 1.0 - ((number - goal) / width).powi(2);
            pay.rewards[agent] = right.iter().map(|right| f32::from(u8::from(*right))).sum::<f32>()
                + off(*small, 0.3 * world.signs[agent], 1.0)
                + off(*large, -3.0 * world.signs[agent], 10.0);
        }
        world.step += 1;
        Everything::draw(world, random);
        Outcome::GoesOn
    }

    fn observe(&self, world: &Shown, view: &mut View) {
        for agent in 0..2 {
            let open = |option: usize| f32::from(world.open[agent] >> option & 1);
            let row = [world.signs[agent], open(0), open(1), open(2)];
            view.observation(0, agent).copy_from_slice(&row);
            let masks = &mut view.masks(0)[9 * agent..][..9];
            masks.fill(1.0);
            masks[..3].copy_from_slice(&row[1..]);
        }
    }

    fn visit(&self, world: &mut Shown, codec: &mut Codec) -> Result<()> {
        codec.all(&mut world.signs)?;
        codec.all(&mut world.open)?;
        codec.one(&mut world.step)
    }
}

pub(super) fn world(worlds: usize, seed: u64) -> Box<dyn VecEnv> {
    Box::new(Vectorised::<Everything>::new(Everything { worlds }, seed).unwrap())
}

pub(super) fn team(bounded: Bounded, recurrent: bool, spec: &Spec, seed: u64) -> Box<Team> {
    let base = TeamConfig { features: 32, bounded, ..TeamConfig::default() };
    let config = match recurrent {
        true => TeamConfig { core: CoreConfig::new(GruConfig {}), ..base },
        false => base,
    };
    Box::new(Team::new(&Device::cpu(), &config, spec, false, seed).unwrap())
}

fn settings() -> PpoConfig {
    PpoConfig {
        rollout: 12,
        minibatches: 2,
        learning_rate: 3e-3,
        gamma: 0.0,
        entropy_coefficient: 0.0,
        learning_shards: 2,
        acting_shards: 2,
        ..PpoConfig::default()
    }
}

fn ppo(policy: Box<dyn Policy>, config: PpoConfig, seed: u64) -> Ppo {
    Ppo::new(&Device::cpu(), policy, world(16, seed), config, 1_000_000, seed).unwrap()
}

/// 5 in a step is the most, and 25 in an episode.
#[test]
fn every_part_of_an_action_is_learned() {
    for (bounded, seed) in [(Bounded::Gaussian, 1), (Bounded::Tanh, 2)] {
        let spec = world(1, 1).spec().clone();
        let mut trainer = ppo(team(bounded, false, &spec, seed), settings(), seed);
        let returns: Vec<f64> = (0..150).map(|_| trainer.step().unwrap().value("return").unwrap()).collect();
        let last = returns[140..].iter().sum::<f64>() / 10.0;
        println!("{bounded:?}: {:.2} at first, {last:.2} of 25 in the end", returns[0]);
        assert!(returns[0] < 17.0 && last > 23.5, "{bounded:?}: {} to {last}", returns[0]);
    }
}

/// Acting step by step and unrolling a rollout agree on the log-probability of what was done; what was saved goes on to the
/// bit; curiosity learns from such actions.
#[test]
fn learning_sees_what_acting_did_and_goes_on_exactly() {
    for bounded in [Bounded::Gaussian, Bounded::Tanh] {
        let spec = world(1, 1).spec().clone();
        let make = |learning_rate: f32| {
            let icm = CuriosityConfig::Icm(IcmConfig { features: 8, ..IcmConfig::default() });
            let config = PpoConfig { learning_rate, curiosity: icm, ..settings() };
            ppo(team(bounded, true, &spec, 3), config, 3)
        };
        let mut still = make(0.0);
        for _ in 0..3 {
            let report = still.step().unwrap();
            let divergence = report.value("kl").unwrap();
            assert!(divergence.abs() < 1e-7, "{bounded:?}: {divergence}");
            assert!(report.value("intrinsic_reward").unwrap() > 0.0);
            assert!(report.value("loss/curiosity").unwrap().is_finite());
        }
        let mut whole = make(3e-3);
        (0..3).for_each(|_| drop(whole.step().unwrap()));
        let middle = whole.save().unwrap();
        let mut resumed = make(3e-3);
        resumed.load(&middle).unwrap();
        for _ in 0..3 {
            assert_eq!(whole.step().unwrap(), resumed.step().unwrap(), "{bounded:?}");
        }
        assert!(whole.save().unwrap() == resumed.save().unwrap());
    }
}

#[test]
fn what_takes_one_choice_says_so() {
    let device = Device::cpu();
    let spec = world(4, 1).spec().clone();
    let expected = "takes actions of one discrete set, not (3, 2x4, [-1..1, -10..10])";
    let policy = team(Bounded::Gaussian, false, &spec, 1);
    let error = Dqn::new(&device, policy, world(4, 1), DqnConfig::default(), 1, 1).err().unwrap();
    assert!(error.to_string().contains(&format!("Q-learning {expected}")), "{error}");
    let goals = Goals::unnamed(2).unwrap();
    let config = TeamConfig::default();
    let error = Hierarchy::new(&device, &config, &spec, goals, 5, false, 1).err().unwrap();
    assert!(error.to_string().contains(&format!("a hierarchy {expected}")), "{error}");
    let config = TeamConfig { dueling: true, ..TeamConfig::default() };
    let error = Team::new(&device, &config, &spec, false, 1).err().unwrap();
    assert!(error.to_string().contains("agent.dueling"), "{error}");
    let kind = AgentKind::discrete("agent", 2, 4, 3);
    let config = TeamConfig { bounded: Bounded::Tanh, ..TeamConfig::default() };
    let error = config.check(&Spec { kinds: vec![kind], ..spec.clone() }, false).unwrap_err();
    assert!(error.to_string().contains("agent.bounded"), "{error}");
}

/// A network that adds noise of its own to its value, and says with 100 more whether it was unrolled for learning.
struct Noisy {
    actor: Linear,
    critic: Linear,
    parameters: Parameters,
    noisy: bool,
}

impl Noisy {
    fn new(noisy: bool) -> Self {
        let mut builder = Builder::new(1);
        let actor = Linear::new(&mut builder, "actor", 4, Everything::space().parameters(), 0.01);
        let critic = Linear::new(&mut builder, "critic", 4, 1, 0.01);
        Noisy { actor, critic, parameters: builder.build(&Device::cpu()).unwrap(), noisy }
    }
}

impl Policy for Noisy {
    fn architecture(&self) -> String {
        "noisy".into()
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn state(&self) -> Vec<StatePart> {
        Vec::new()
    }

    fn unroll<'g>(
        &self,
        _graph: &'g Graph,
        weights: &Weights<'g>,
        sequence: Sequence<'g>,
        _state: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        let parameters = self.actor.forward(weights, sequence.observations);
        let shape = sequence.present.shape();
        let mut values = self.critic.forward(weights, sequence.observations).reshape(&shape[..]);
        if self.noisy {
            values = values + drawn(sequence.key, &shape[..], |key, of| key.random_normal(of));
        }
        if sequence.mode == Mode::Learning {
            values = values + 100.0;
        }
        Ok(Unrolled { parameters, values, state: Vec::new(), attention: None, price: None })
    }
}

#[test]
fn noise_follows_the_key() {
    let device = Device::cpu();
    let mut env = world(4, 1);
    let spec = env.spec().clone();
    let mut out = Buffers::new(&spec);
    env.reset(&[true; 4], &mut out).unwrap();
    let (ages, present) = (vec![0.0; 8], vec![1.0; 8]);
    let seen = Seen {
        observations: &out.observations,
        ages: &ages,
        present: &present,
        masks: &out.masks,
        state: &out.state,
    };
    let mut actors = Actors::new(&device, &Noisy::new(true), &spec, 2, Choice::Sample, false).unwrap();
    let mut values = |key: [u64; 2], acts: bool| {
        match acts {
            true => actors.act(seen, key).unwrap(),
            false => actors.value(seen, key).unwrap(),
        }
        actors.values.clone()
    };
    let first = values([7, 1], true);
    // Every lane has noise of its own, in both shards.
    let mut sorted = first.clone();
    sorted.sort_by(f32::total_cmp);
    assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]), "{first:?}");
    assert_eq!(values([7, 1], true), first);
    assert_eq!(values([7, 1], false), first, "a value is the one that acting would give");
    assert!(values([7, 2], true) != first && values([8, 1], true) != first);
    assert!(first.iter().all(|value| value.abs() < 50.0), "{first:?}");
}

/// The parts of a sequence have the keys of their steps, and a program whose network draws nothing has no key.
#[test]
fn who_draws_nothing_has_no_key() {
    let device = Device::cpu();
    for noisy in [true, false] {
        let policy = Noisy::new(noisy);
        let graph = Graph::new();
        let weights = policy.parameters().weights(&graph);
        let sequence = Sequence::input(&graph, &policy, [4, 2, 3], &[4], Mode::Acting);
        let parts = [sequence, sequence.steps(0, 2), sequence.steps(2, 2)];
        let values = parts.map(|part| policy.unroll(&graph, &weights, part, &[]).unwrap().values);
        let mut program = device.compile(&graph, &values).unwrap();
        assert_eq!(program.find_input_u32(NOISE_KEY).is_some(), noisy);
        program.input_mut("observations").unwrap().fill(0.0);
        if noisy {
            let keys: Vec<u32> = (0..4 * 3 * 2).collect();
            let out = program.run(&[(NOISE_KEY, &keys)]).unwrap();
            assert!(out.f32(1) != out.f32(2) && out.f32(1) == &out.f32(0)[..12]);
        }
    }
}

/// Hears nothing but noise while acting, and nothing at all while learning.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, synod::schemars::JsonSchema)]
#[schemars(crate = "synod::schemars")]
struct Static {}

impl Member for Static {
    const NAME: &'static str = "static";
    const SUMMARY: &'static str = "noise";
}

impl CommunicationSettings for Static {
    fn layer(&self, _: &mut Builder, _: &str, _: &Company) -> Option<Box<dyn Layer>> {
        Some(Box::new(Static {}))
    }
}

impl Layer for Static {
    fn exchange<'g>(&self, _: &Weights<'g>, x: Tensor<'g>, hearing: Hearing<'g>) -> Result<Heard<'g>> {
        let features = match hearing.mode {
            Mode::Learning => x * 0.0,
            _ => drawn(hearing.key, &x.shape(), |key, of| key.random_normal(of)),
        };
        Ok(features.into())
    }
}

/// Rounds of communication have keys of their own, which follow that of the sequence, and know what they are for.
#[test]
fn channels_have_noise_of_their_own() {
    let device = Device::cpu();
    let communication = Communication::new(Static {});
    let config = TeamConfig { features: 8, communication, rounds: 2, ..TeamConfig::default() };
    let team = Team::new(&device, &config, world(3, 1).spec(), false, 1).unwrap();
    let heard = |mode: Mode, key: [u32; 2]| -> Vec<Vec<f32>> {
        let graph = Graph::new();
        let weights = team.parameters().weights(&graph);
        let sequence = Sequence::input(&graph, &team, [1, 2, 3], &[4], mode);
        let rounds = team.watch(&weights, sequence, &[]).unwrap().rounds;
        let outputs: Vec<Tensor<'_>> = rounds.iter().map(|round| round.features).collect();
        let mut program = device.compile(&graph, &outputs).unwrap();
        program.find_input("observations").into_iter().for_each(|input| input.fill(0.5));
        program.input_mut("present").unwrap().fill(1.0);
        program
            .find_input_u32(NOISE_KEY)
            .into_iter()
            .for_each(|input| input.chunks_exact_mut(2).for_each(|to| to.copy_from_slice(&key)));
        let out = program.run(&[]).unwrap();
        (0..outputs.len()).map(|i| out.f32(i).to_vec()).collect()
    };
    let first = heard(Mode::Acting, [1, 2]);
    assert!(first.len() == 2 && first[0] != first[1]);
    assert_eq!(heard(Mode::Acting, [1, 2]), first);
    assert!(heard(Mode::Acting, [1, 3]).iter().zip(&first).all(|(a, b)| a != b));
    assert!(heard(Mode::Learning, [1, 2]).iter().flatten().all(|x| *x == 0.0));
}

/// Learning draws what acting drew: every pass over a rollout sees the same noise, whatever the shards and minibatches, and
/// the next rollout other noise; all of it is the same again after a resumption.
#[test]
fn learning_draws_what_acting_drew() {
    let config = || PpoConfig { learning_rate: 0.0, epochs: 1, minibatches: 1, ..settings() };
    let losses = |noisy: bool| -> Vec<f64> {
        let mut trainer = ppo(Box::new(Noisy::new(noisy)), config(), 5);
        let middle = trainer.save().unwrap();
        let mut again = || {
            let report = trainer.step().unwrap();
            trainer.load(&middle).unwrap();
            report.value("loss/value").unwrap()
        };
        vec![again(), again()]
    };
    let plain = losses(false);
    assert_eq!(plain[0], plain[1]);
    // The learner's network is told that it learns.
    assert!(plain[0] > 100.0, "{plain:?}");
    let noisy = losses(true);
    assert_eq!(noisy[0], noisy[1], "the same counter gives the same key");
    let mean = |settings: PpoConfig| {
        let mut trainer = ppo(Box::new(Noisy::new(true)), settings, 5);
        [0, 1].map(|_| trainer.step().unwrap().value("loss/value").unwrap())
    };
    let once = mean(config());
    assert!((once[0] - noisy[0]).abs() < 1e-9 * once[0] && once[0] != once[1], "{once:?}");
    let near = |other: [f64; 2]| other.iter().zip(once).all(|(a, b)| (a - b).abs() < 1e-5 * b);
    assert!(near(mean(PpoConfig { epochs: 2, ..config() })));
    let cut = PpoConfig { minibatches: 2, acting_shards: 2, learning_shards: 1, ..config() };
    assert!(near(mean(cut)), "{once:?}");
}
