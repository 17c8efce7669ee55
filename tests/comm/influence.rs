//! Rewards for being listened to: those of who says something, those of who says nothing, and in training.

use synod::agent::{Policy, Sequence, StatePart, Unrolled};
use synod::nn::{Builder, Initial, Parameters, Weights};
use synod::preset::Settings;
use synod::train::influence::{Influence, InfluenceConfig};
use synod::train::rollout::Rollout;
use synod::{Device, Error, Graph, Result, Tensor};

const CLASSES: usize = 4;
const STRENGTH: f32 = 3.0;

/// The first agent says which class it sees, and all others prefer the option of that class; nobody else says anything.
struct OneSpeaks(Parameters);

impl Policy for OneSpeaks {
    fn architecture(&self) -> String {
        "one speaks".into()
    }

    fn parameters(&self) -> &Parameters {
        &self.0
    }

    fn state(&self) -> Vec<StatePart> {
        Vec::new()
    }

    fn talks(&self) -> bool {
        true
    }

    fn unroll<'g>(
        &self,
        graph: &'g Graph,
        _: &Weights<'g>,
        sequence: Sequence<'g>,
        _: &[Tensor<'g>],
    ) -> Result<Unrolled<'g>> {
        let [time, agents, worlds] = sequence.present.shape()[..] else { panic!("three dimensions") };
        let said = sequence.observations.slice(1, 0, 1).slice(-1, 0, CLASSES) * STRENGTH;
        // Who speaks does not listen to itself.
        let others: Vec<f32> = (0..agents).map(|agent| f32::from(u8::from(agent > 0))).collect();
        let parameters = said * graph.constant([1, agents, 1, 1], &others);
        let values = graph.full([time, agents, worlds], 0.0);
        Ok(Unrolled { parameters, values, state: Vec::new(), attention: None, price: None })
    }
}

fn noise(items: &[&str]) -> Result<Settings> {
    let mut all = vec!["world.agents=4".to_string(), "world.worlds=32".to_string()];
    all.extend(items.iter().map(|item| (*item).to_string()));
    Settings::with_items("noise-gated", &all)
}

/// `KL(softmax of one class | mean over the classes as often as they are seen)` for the receiver, by formula.
fn expected(share: &[f64], class: usize) -> f64 {
    let (high, low) = (f64::from(STRENGTH).exp(), 1.0);
    let sum = high + low * (CLASSES as f64 - 1.0);
    let chance = |said: usize, option: usize| if said == option { high / sum } else { low / sum };
    (0..CLASSES)
        .map(|option| {
            let mixture: f64 = (0..CLASSES).map(|said| share[said] * chance(said, option)).sum();
            chance(class, option) * (chance(class, option) / mixture).ln()
        })
        .sum()
}

#[test]
fn who_says_something_is_paid_and_who_is_mute_is_not() -> Result<()> {
    let device = Device::cpu();
    let settings = noise(&[])?;
    let world = settings.judging_worlds(32, 3)?;
    let spec = world.spec().clone();
    let mut builder = Builder::new(1);
    builder.parameter("unused", [1], Initial::Zeros);
    let policy = OneSpeaks(builder.build(&device)?);
    let mut rollout = Rollout::new(&device, &policy, world, 6, 1, 3)?;
    let experience = rollout.collect()?;
    let config = InfluenceConfig { weight: 0.5, samples: 64 };
    let mut influence = Influence::new(&device, &config, &policy, &spec, 3)?.expect("a weight above 0");
    let rewards = influence.rewards(&policy, experience, 0)?;
    let (agents, worlds, size) = (4, 32, experience.observation);
    let row = |t: usize, agent: usize, world: usize| (t * agents + agent) * worlds + world;
    let class = |t: usize, world: usize| {
        let seen = &experience.observations[row(t, 0, world) * size..][..CLASSES];
        seen.iter().position(|x| *x == 1.0).expect("a class")
    };
    let mut share = [0.0; CLASSES];
    (0..6).for_each(|t| (0..worlds).for_each(|world| share[class(t, world)] += 1.0 / (6 * worlds) as f64));
    let (mut found, mut known) = (0.0, 0.0);
    for t in 0..6 {
        for world in 0..worlds {
            // Senders have one action: of the three who hear only the receiver chooses.
            found += f64::from(rewards[row(t, 0, world)]);
            known += 0.5 * expected(&share, class(t, world));
            assert!((1..agents).all(|mute| rewards[row(t, mute, world)].abs() < 1e-6));
        }
    }
    // 64 of the messages stand for all: too much by up to 3 / (2 x 64) nats on average.
    let (found, known) = (found / (6 * worlds) as f64, known / (6 * worlds) as f64);
    assert!((found - known).abs() < 0.02, "{found} where {known} is due");
    assert!(known > 0.2, "{known}");
    // Another counter draws other messages; the same one the same.
    assert_eq!(influence.rewards(&policy, experience, 0)?, rewards);
    assert_ne!(influence.rewards(&policy, experience, 1)?, rewards);
    Ok(())
}

#[test]
fn training_pays_influence_and_goes_on_exactly() -> Result<()> {
    let device = Device::cpu();
    let items = [
        "learner.influence.weight=0.1",
        "learner.influence.samples=2",
        "learner=ppo",
        "learner.rollout=4",
        "agent.team.features=16",
    ];
    let settings = noise(&items)?;
    let mut trainer = settings.trainer(&device)?;
    let first = trainer.step()?;
    assert!(first.value("influence").is_some_and(|mean| mean > 0.0), "{:?}", first.value("influence"));
    let saved = trainer.save()?;
    let second = trainer.step()?;
    let mut again = settings.trainer(&device)?;
    again.load(&saved)?;
    assert_eq!(again.step()?.value("influence"), second.value("influence"));
    // Off it is nowhere.
    let mut plain = noise(&items[2..])?.trainer(&device)?;
    assert_eq!(plain.step()?.value("influence"), None);
    Ok(())
}

#[test]
fn influence_is_refused_where_there_is_none() -> Result<()> {
    let device = Device::cpu();
    let refused = |preset: &str, items: &[&str], words: [&str; 2]| {
        let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
        let made =
            Settings::with_items(preset, &items).and_then(|settings| settings.trainer(&device).map(|_| ()));
        match made {
            Err(error @ Error::Config { .. }) => {
                let message = error.to_string();
                assert!(words.iter().all(|word| message.contains(word)), "{message}");
            }
            other => panic!("{preset} {items:?}: {other:?}"),
        }
    };
    let [weight, samples] = ["learner.influence.weight", "learner.influence.samples"];
    refused("spread-ippo", &["learner.influence.weight=0.1"], [weight, "nobody talks"]);
    let continuous =
        ["learner.influence.weight=0.1", "world.actions=continuous", "agent.communication=commnet"];
    refused("spread-ippo", &continuous, [weight, "continuous"]);
    let ppo = "learner=ppo";
    refused("noise-gated", &[ppo, "learner.influence.samples=8"], [samples, "it does nothing"]);
    refused("noise-gated", &[ppo, "learner.influence.weight=-1"], [weight, "-1"]);
    refused(
        "noise-gated",
        &[ppo, "learner.influence.weight=1", "learner.influence.samples=0"],
        [samples, "0"],
    );
    Ok(())
}
