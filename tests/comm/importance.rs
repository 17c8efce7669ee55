//! The importance of messages against what follows from plain formulas and from what is known of who has to be heard.

use synod::action::ActionSpace;
use synod::agent::importance::{Counterfactuals, Importance, MOST_AGENTS, Moment, of_messages};
use synod::agent::kinds::KindsConfig;
use synod::agent::team::TeamConfig;
use synod::agent::{AgentConfig, Policy, Sequence, StatePart, Unrolled};
use synod::comm::{Communication, CommunicatorConfig};
use synod::env::{AgentKind, Buffers, Spec};
use synod::nn::{Builder, Initial, Parameters, Weights};
use synod::preset::Settings;
use synod::train::{Checkpoint, TensorData};
use synod::{Device, Error, Graph, Result, Tensor};

use crate::random::Random;

const OPTIONS: usize = 3;

/// Agent 0 says the two bits that it sees; all others choose by the softmax of what they see and of what it says.
/// Agents see two numbers each.
struct Bits {
    parameters: Parameters,
    /// `[2, options]`: what each bit adds to the scores of options.
    heard: Vec<f32>,
}

impl Bits {
    fn new(device: &Device, heard: Vec<f32>) -> Result<Self> {
        let mut builder = Builder::new(1);
        builder.parameter("unused", [1], Initial::Zeros);
        Ok(Bits { parameters: builder.build(device)?, heard })
    }

    /// The scores of options of a hearer.
    fn scores(&self, own: &[f32], bits: Option<&[f32]>) -> Vec<f64> {
        let heard = |option: usize| match bits {
            Some(bits) => {
                (0..2).map(|i| f64::from(bits[i]) * f64::from(self.heard[i * OPTIONS + option])).sum()
            }
            None => 0.0,
        };
        (0..OPTIONS)
            .map(|option| f64::from(own[option % 2]) * (option as f64 - 1.0) + heard(option))
            .collect()
    }
}

impl Policy for Bits {
    fn architecture(&self) -> String {
        "two bits".into()
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn state(&self) -> Vec<StatePart> {
        Vec::new()
    }

    fn unroll<'g>(
        &self,
        graph: &'g Graph,
        _: &Weights<'g>,
        sequence: Sequence<'g>,
        _: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        let Sequence { observations: seen, present, .. } = sequence;
        let shape = present.shape().to_vec();
        let (time, worlds) = (shape[0], shape[2]);
        let bits = seen.slice(1, 0, 1).reshape([time, 1, worlds, 2, 1]);
        let here = present.slice(1, 0, 1).reshape([time, 1, worlds, 1]);
        let heard =
            (bits * graph.constant([2, OPTIONS], &self.heard)).sum(&[3]).reshape([time, 1, worlds, OPTIONS]);
        let (even, odd) = (seen.slice(-1, 0, 1), seen.slice(-1, 1, 1));
        let own = graph.concat(&[even * -1.0, odd * 0.0, even * 1.0], -1);
        let scores = own + heard * here;
        // An expectation that hangs on the bits alone, times two for who sees more.
        let value = (bits.sum(&[3]).reshape([time, 1, worlds]) * here.reshape([time, 1, worlds]))
            * (seen.sum(&[-1]).reshape(shape) + 1.0);
        Ok(Unrolled { parameters: scores, values: value, state: Vec::new(), attention: None, price: None })
    }
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let sum: f64 = scores.iter().map(|score| score.exp()).sum();
    scores.iter().map(|score| score.exp() / sum).collect()
}

fn divergence(of: &[f64], from: &[f64]) -> f64 {
    of.iter().zip(from).map(|(p, q)| p * (p / q).ln()).sum()
}

fn spec(agents: usize, observation: usize) -> Spec {
    let kind = AgentKind::new("agent", agents, &[observation], ActionSpace::Discrete(OPTIONS));
    Spec { worlds: 1, kinds: vec![kind], state: 0, masked: false, limit: u32::MAX }
}

fn moment(observations: Vec<f32>, present: Vec<f32>) -> Moment {
    let ages = vec![0.0; present.len()];
    Moment { observations, ages, present, ..Moment::default() }
}

/// All that can be said is said once in four moments, so that the marginal policy is known: the mean over the other
/// three.
#[test]
fn importances_of_two_bits_are_those_of_enumeration() -> Result<()> {
    let mut random = Random::fresh();
    let seed = random.seed();
    let device = Device::cpu();
    let policy = Bits::new(&device, random.floats(2 * OPTIONS, -2.0, 2.0))?;
    let agents = 3;
    let moments: Vec<Moment> = (0..4)
        .map(|word: usize| {
            let mut seen = vec![(word & 1) as f32, (word >> 1) as f32];
            seen.extend(random.floats(4, -1.0, 1.0));
            // In the last moment the last agent is not there.
            moment(seen, vec![1.0, 1.0, if word == 3 { 0.0 } else { 1.0 }])
        })
        .collect();
    let how = Counterfactuals { values: false, samples: 100, seed: 1 };
    let found = of_messages(&device, &policy, &spec(agents, 2), &moments, 0..4, &how)?;
    for (step, now) in moments.iter().enumerate() {
        for hearer in 0..agents {
            for speaker in 0..agents {
                let at = (step * agents + hearer) * agents + speaker;
                let numbers = [found.removed[at], found.marginal[at], found.value[at]].map(f64::from);
                let absent = step == 3 && hearer == 2;
                if speaker != 0 || hearer == 0 || absent {
                    assert!(
                        numbers.iter().all(|x| *x < 1e-12),
                        "{numbers:?}, seed {seed}: {step}, {speaker} to {hearer}"
                    );
                    continue;
                }
                let own = &now.observations[2 * hearer..][..2];
                let told = |word: &Moment| softmax(&policy.scores(own, Some(&word.observations[..2])));
                let others: Vec<Vec<f64>> =
                    (0..4).filter(|other| *other != step).map(|other| told(&moments[other])).collect();
                let mixture: Vec<f64> =
                    (0..OPTIONS).map(|i| others.iter().map(|p| p[i]).sum::<f64>() / 3.0).collect();
                let silent = softmax(&policy.scores(own, None));
                let bits: f32 = now.observations[..2].iter().sum();
                let expected = [
                    divergence(&told(now), &silent),
                    divergence(&told(now), &mixture),
                    f64::from(bits * (own[0] + own[1] + 1.0)),
                ];
                for (found, expected) in numbers.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-4, "seed {seed}: {numbers:?} for {expected}");
                }
            }
        }
    }
    // Some of them matter, or nothing was tested.
    assert!(found.removed.iter().any(|x| *x > 1e-3) && found.marginal.iter().any(|x| *x > 1e-3));
    // Who is asked about part of the moments is told the same of them.
    let part = of_messages(&device, &policy, &spec(agents, 2), &moments, 1..3, &how)?;
    assert_eq!(part.marginal, found.marginal[agents * agents..3 * agents * agents]);
    Ok(())
}

/// Moments of whole episodes that a policy plays, one after another.
pub fn played(
    settings: &Settings,
    device: &Device,
    policy: &dyn Policy,
    episodes: usize,
) -> Result<Vec<Moment>> {
    use synod::agent::actors::{Actors, Choice, Seen};
    let mut world = settings.judging_worlds(1, settings.seed ^ 0x7465_7374)?;
    let spec = world.spec().clone();
    let agents = spec.agents();
    let mut actors = Actors::new(device, policy, &spec, 1, Choice::Sample, false)?;
    let mut out = Buffers::new(&spec);
    let mut moments = Vec::new();
    for episode in 0..episodes {
        world.reset(&[true], &mut out)?;
        let mut step = 0;
        while !out.ended[0] {
            let present: Vec<f32> = out.active.iter().map(|here| f32::from(u8::from(*here))).collect();
            let ages = vec![step as f32; agents];
            let seen = Seen {
                observations: &out.observations,
                ages: &ages,
                present: &present,
                masks: &out.masks,
                state: &out.state,
            };
            actors.act(seen, [episode as u64, step as u64])?;
            moments.push(Moment {
                observations: out.observations.clone(),
                ages,
                present,
                masks: out.masks.clone(),
                state: out.state.clone(),
            });
            let mut actions = spec.actions();
            actors.tell(&mut actions)?;
            world.step(&actions, &mut out)?;
            step += 1;
        }
    }
    Ok(moments)
}

/// Of four senders one knows what the receiver has to name; a team that has learned to find it listens to that one.
#[test]
fn the_sender_that_knows_is_the_one_that_counts() -> Result<()> {
    let device = Device::cpu();
    for seed in 0..2 {
        let items = [
            "world.agents=5",
            "world.worlds=32",
            "agent.team.features=32",
            "agent.team.communication.hidden=32",
            "steps=600_000",
        ];
        let items = items.map(String::from);
        let mut settings = Settings::with_items("noise-gated", &items)?;
        settings.seed = seed;
        let mut trainer = settings.trainer(&device)?;
        while trainer.step()?.steps < settings.steps {}
        let worlds = settings.judging_worlds(1, seed)?;
        let spec: &Spec = worlds.spec();
        let policy = settings.agent.policy(&device, spec, false, seed)?;
        policy.parameters().load("agent", &trainer.save()?)?;
        let moments = played(&settings, &device, policy.as_ref(), 64)?;
        let how = Counterfactuals { values: true, samples: 63, seed };
        let Importance { marginal, .. } =
            of_messages(&device, policy.as_ref(), spec, &moments, 0..moments.len(), &how)?;
        let (agents, size) = (5, moments[0].observations.len() / 5);
        for (moment, importance) in moments.iter().zip(marginal.chunks(agents * agents)) {
            // The receiver is the last; a sender's fifth number says that it knows.
            let knows = |sender: &usize| moment.observations[sender * size + 4] == 1.0;
            let heard = &importance[(agents - 1) * agents..];
            let most = (0..agents - 1).max_by(|a, b| heard[*a].total_cmp(&heard[*b]));
            assert_eq!(most, (0..agents - 1).find(knows), "seed {seed}: {heard:?}");
            // Nobody else hears anything.
            assert!(importance[..(agents - 1) * agents].iter().all(|x| *x == 0.0), "seed {seed}");
        }
    }
    Ok(())
}

/// With a delay of a step what counts at a step is what was said at the step before.
#[test]
fn a_message_under_way_counts_when_it_is_heard() -> Result<()> {
    let device = Device::cpu();
    let talk = CommunicatorConfig { delay: 1, message: 4, hidden: 16, ..CommunicatorConfig::default() };
    let communication = Communication::new(talk);
    let team = TeamConfig { features: 16, communication, ..TeamConfig::default() };
    let mut settings =
        Settings::with_items("lewis", &["world.steps=2".to_string(), "world.worlds=1".to_string()])?;
    settings.agent = AgentConfig::new(KindsConfig { team, ..KindsConfig::default() });
    let worlds = settings.judging_worlds(1, 5)?;
    let spec = worlds.spec();
    let policy = settings.agent.policy(&device, spec, false, 5)?;
    // At first heads hardly tell one thing from another.
    let mut checkpoint = Checkpoint::new();
    policy.parameters().save("agent", &mut checkpoint)?;
    for tensor in checkpoint.tensors.values_mut() {
        let louder: Vec<f32> = tensor.to_f32()?.iter().map(|x| 3.0 * x).collect();
        *tensor = TensorData::f32(tensor.shape(), &louder)?;
    }
    policy.parameters().load("agent", &checkpoint)?;
    let moments = played(&settings, &device, policy.as_ref(), 8)?;
    assert_eq!(moments.len(), 16, "episodes of two steps");
    let how = Counterfactuals { values: false, samples: 15, seed: 5 };
    let of = |moments: &[Moment]| of_messages(&device, policy.as_ref(), spec, moments, 0..16, &how);
    let found = of(&moments)?;
    // The receiver is the second agent; what it hears stands behind its own.
    let heard = |found: &Importance, step: usize| {
        let at = step * 4 + 2;
        [found.removed[at], found.marginal[at]]
    };
    for episode in 0..8 {
        // Nothing is heard yet that could be removed; at other moments there is something.
        assert_eq!(heard(&found, 2 * episode)[0], 0.0, "something is heard at the first step");
        let [removed, marginal] = heard(&found, 2 * episode + 1);
        assert!(removed > 1e-6 && marginal > 1e-6, "episode {episode}: {removed}, {marginal}");
    }
    // Without other moments (samples) what the sender sees while its message is heard is nothing to it.
    let how = Counterfactuals { samples: 0, ..how };
    let of = |moments: &[Moment]| of_messages(&device, policy.as_ref(), spec, moments, 0..16, &how);
    let (plain, mut now, mut then) = (of(&moments)?, moments.clone(), moments.clone());
    now[1].observations[..8].fill(-2.0);
    then[0].observations[..8].fill(-2.0);
    assert_eq!(heard(&of(&now)?, 1), heard(&plain, 1));
    assert_ne!(heard(&of(&then)?, 1), heard(&plain, 1));
    Ok(())
}

#[test]
fn what_cannot_be_computed_is_refused() -> Result<()> {
    let device = Device::cpu();
    let policy = Bits::new(&device, vec![1.0; 2 * OPTIONS])?;
    let how = Counterfactuals { values: false, samples: 4, seed: 0 };
    let good = || vec![moment(vec![0.0; 4], vec![1.0; 2]); 3];
    let of =
        |spec: &Spec, moments: &[Moment], asked| of_messages(&device, &policy, spec, moments, asked, &how);
    assert!(of(&spec(2, 2), &good(), 0..3).is_ok());
    assert_eq!(of(&spec(2, 2), &[], 0..0)?, Importance::default());
    let refused = |result: Result<Importance>, word: &str| match result {
        Err(Error::Usage(message)) => assert!(message.contains(word), "{message}"),
        other => panic!("{other:?}"),
    };
    let many = MOST_AGENTS + 1;
    refused(of(&spec(many, 2), &[moment(vec![0.0; 2 * many], vec![1.0; many])], 0..1), "64 agents");
    refused(of(&spec(2, 2), &good(), 2..4), "2..4");
    let changes: [(fn(&mut Moment), &str); 5] = [
        (|moment| _ = moment.observations.pop(), "observations"),
        (|moment| moment.ages.push(0.0), "ages"),
        (|moment| moment.present.clear(), "present"),
        (|moment| moment.masks.push(1.0), "masks"),
        (|moment| moment.state.push(1.0), "state"),
    ];
    for (change, word) in changes {
        let mut moments = good();
        change(&mut moments[1]);
        refused(of(&spec(2, 2), &moments, 0..1), word);
    }
    Ok(())
}
