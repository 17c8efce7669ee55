//! Agents that see in units of what was seen: the statistics, what networks make of them, and where they are kept.

use std::sync::{Arc, Mutex};

use synod::action::Actions;
use synod::agent::actors::{Actors, Choice, Seen};
use synod::agent::encoder::EncoderConfig;
use synod::agent::team::{Critic, TeamConfig};
use synod::agent::{AgentSettings, Policy};
use synod::env::pendulum::{Pendulum, PendulumConfig};
use synod::env::{Buffers, EpisodeReport, Spec, VecEnv};
use synod::preset::Settings;
use synod::train::ppo::{Ppo, PpoConfig};
use synod::train::{Checkpoint, Trainer};
use synod::{Device, Result};

/// Pendulums, and everything that they showed to who then acted.
struct Recorder {
    inner: Pendulum,
    shown: Arc<Mutex<Vec<f32>>>,
}

impl VecEnv for Recorder {
    fn spec(&self) -> &Spec {
        self.inner.spec()
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        self.inner.reset(which, out)
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        self.shown.lock().unwrap().extend(&out.observations);
        self.inner.step(actions, out)
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    fn save(&self) -> Vec<u8> {
        self.inner.save()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.load(bytes)
    }
}

const WORLDS: usize = 8;

fn agent() -> TeamConfig {
    TeamConfig {
        features: 16,
        encoder: EncoderConfig::Tanh { layers: 2 },
        critic: Critic::Own,
        identity: false,
        normalise: true,
        own_deviation: true,
        ..TeamConfig::default()
    }
}

fn trainer(device: &Device) -> (Ppo, Arc<Mutex<Vec<f32>>>) {
    let inner = Pendulum::new(PendulumConfig { worlds: WORLDS, ..PendulumConfig::default() }, 3).unwrap();
    let shown = Arc::new(Mutex::new(Vec::new()));
    let world = Recorder { inner, shown: shown.clone() };
    let policy = agent().policy(device, world.spec(), false, 3).unwrap();
    let config = PpoConfig { rollout: 16, minibatches: 4, epochs: 2, ..PpoConfig::default() };
    (Ppo::new(device, policy, Box::new(world), config, 1000, 3).unwrap(), shown)
}

fn numbers(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    checkpoint.tensor(name).unwrap().to_f32().unwrap()
}

#[test]
fn what_is_seen_is_shifted_and_scaled_by_what_was_shown() {
    let (mut ppo, shown) = trainer(&Device::cpu());
    let fresh = ppo.save_agent().unwrap();
    assert_eq!(numbers(&fresh, "agent/seen/mean"), [0.0; 3]);
    assert_eq!(numbers(&fresh, "agent/seen/scale"), [1.0; 3]);
    for iteration in 1..=3 {
        ppo.step().unwrap();
        let shown = shown.lock().unwrap();
        assert_eq!(shown.len(), iteration * 16 * WORLDS * 3);
        let agent = ppo.save_agent().unwrap();
        let [mean, scale] = ["agent/seen/mean", "agent/seen/scale"].map(|name| numbers(&agent, name));
        for column in 0..3 {
            let column_of = || shown.iter().skip(column).step_by(3).map(|x| f64::from(*x));
            let count = column_of().count() as f64;
            let middle = column_of().sum::<f64>() / count;
            let variance = column_of().map(|x| (x - middle).powi(2)).sum::<f64>() / count;
            assert!((f64::from(mean[column]) - middle).abs() < 1e-5, "{iteration}: {mean:?}");
            assert!(
                (f64::from(scale[column]) * variance.sqrt() - 1.0).abs() < 1e-4,
                "{iteration}: {scale:?}"
            );
        }
    }
}

/// The same network without normalisation, shown what the other makes of things, acts and values the same.
#[test]
fn a_network_sees_deviations_from_the_mean() {
    let device = Device::cpu();
    let (mut ppo, _) = trainer(&device);
    (0..2).for_each(|_| drop(ppo.step().unwrap()));
    let saved = ppo.save_agent().unwrap();
    let spec = Pendulum::new(PendulumConfig { worlds: WORLDS, ..PendulumConfig::default() }, 3).unwrap();
    let spec = spec.spec().clone();
    let plain = TeamConfig { normalise: false, ..agent() }.policy(&device, &spec, false, 9).unwrap();
    let own = agent().policy(&device, &spec, false, 9).unwrap();
    for policy in [&plain, &own] {
        policy.parameters().load("agent", &saved).unwrap();
    }
    let [mean, scale] = ["agent/seen/mean", "agent/seen/scale"].map(|name| numbers(&saved, name));
    // The last is 40 deviations away, and taken for 10.
    let seen: Vec<f32> = (0..WORLDS * 3)
        .map(|i| if i == 23 { mean[2] + 40.0 / scale[2] } else { (i as f32 * 0.7).sin() })
        .collect();
    let turned: Vec<f32> =
        seen.iter().enumerate().map(|(i, x)| ((x - mean[i % 3]) * scale[i % 3]).clamp(-10.0, 10.0)).collect();
    assert_eq!(turned[23], 10.0);
    let act = |policy: &dyn Policy, observations: &[f32]| {
        let mut actors = Actors::new(&device, policy, &spec, 1, Choice::Greedy, false).unwrap();
        let lanes = [0.0; WORLDS];
        let (ages, present) = (&lanes[..], &[1.0; WORLDS][..]);
        actors.act(Seen { observations, ages, present, masks: &[], state: &[] }, [1, 1]).unwrap();
        (actors.actions.continuous.clone(), actors.values.clone())
    };
    let (a, b) = (act(own.as_ref(), &seen), act(plain.as_ref(), &turned));
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(near(&a.0, &b.0) && near(&a.1, &b.1), "{a:?}, not {b:?}");
    assert!(a.0.iter().any(|action| (action - a.0[0]).abs() > 1e-6), "they all act alike");
}

#[test]
fn statistics_go_on_to_the_bit_with_their_run() {
    let device = Device::cpu();
    let (mut whole, _) = trainer(&device);
    (0..2).for_each(|_| drop(whole.step().unwrap()));
    let middle = whole.save().unwrap();
    let (mut resumed, _) = trainer(&device);
    resumed.load(&middle).unwrap();
    for _ in 0..2 {
        assert_eq!(whole.step().unwrap(), resumed.step().unwrap());
    }
    assert!(whole.save().unwrap() == resumed.save().unwrap());
}

/// Unlike agents have statistics each of what they see, whatever pads the common rows.
#[test]
fn kinds_have_statistics_of_their_own() {
    let items = [
        "agent=kinds",
        "separate_parameters=false",
        "agent.team.normalise=true",
        "agent.team.encoder.kind=tanh",
        "world.worlds=8",
        "learner.rollout=4",
    ];
    let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
    let settings = Settings::with_items("tag", &items).unwrap();
    let mut trainer = settings.trainer(&Device::cpu()).unwrap();
    trainer.step().unwrap();
    let saved = trainer.save_agent().unwrap();
    for (kind, width) in [("adversary", 16), ("agent", 14)] {
        let [mean, scale] = ["mean", "scale"].map(|end| numbers(&saved, &format!("agent/{kind}/seen/{end}")));
        assert_eq!((mean.len(), scale.len()), (width, width), "{kind}");
        assert!(scale.iter().all(|scale| *scale > 0.0 && scale.is_finite()));
        assert!(mean.iter().filter(|mean| **mean != 0.0).count() > width / 2, "{kind}: {mean:?}");
    }
}

#[test]
fn settings_without_an_effect_are_refused() {
    for (preset, items, words) in [
        ("pendulum-td3", &["agent.normalise=true"][..], &["agent.normalise", "ppo, a2c", "`td3`"][..]),
        ("spread-ippo", &["agent.own_deviation=true"], &["agent.own_deviation", "continuous"]),
    ] {
        let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
        let trained = Settings::with_items(preset, &items).and_then(|s| s.trainer(&Device::cpu()).map(drop));
        let error = trained.unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
