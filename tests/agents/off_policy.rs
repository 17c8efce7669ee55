//! Actor-critics that learn from a replay: small problems with known answers, exact resumption, what is refused.

use synod::action::Bounded;
use synod::preset::Settings;
use synod::train::exploration::Noise;
use synod::train::facmac::FacmacConfig;
use synod::train::maddpg::MaddpgConfig;
use synod::train::matd3::Matd3Config;
use synod::train::off_policy::{OffPolicy, OffPolicyConfig, View};
use synod::train::{Report, Trainer};
use synod::{Device, Result};

use super::actions::{team, world};

/// Small updates for worlds in which nothing that is done now counts for later.
fn small(config: OffPolicyConfig) -> OffPolicyConfig {
    OffPolicyConfig {
        rollout: 4,
        updates: 2,
        batch: 64,
        replay: 4_000,
        warmup: 200,
        learning_rate: 2e-3,
        critic_learning_rate: 5e-3,
        max_gradient_norm: 10.0,
        gamma: 0.0,
        critic_features: 32,
        noise: Noise::Gaussian { deviation: 0.2 },
        regularisation: 0.0,
        ..config
    }
}

fn trainer(config: OffPolicyConfig, recurrent: bool, separate: bool, seed: u64) -> Result<OffPolicy> {
    let worlds = world(16, seed);
    let policy = team(Bounded::Tanh, recurrent, worlds.spec(), seed);
    OffPolicy::new(&Device::cpu(), policy, worlds, config, (1_000_000, seed, separate))
}

/// The mean return of the last so many iterations with an episode's end.
fn last(reports: &[Report]) -> f64 {
    let returns: Vec<f64> = reports.iter().filter_map(|report| report.value("return")).collect();
    let some = &returns[returns.len().saturating_sub(20)..];
    some.iter().sum::<f64>() / some.len() as f64
}

/// Three choices, some options closed, and two numbers at once: 25 in an episode is the most, chance pays less than 12. Noise
/// of a fifth on the numbers costs .4 an episode, drawn options what is left of their entropy.
#[test]
fn every_part_of_an_action_is_learned() -> Result<()> {
    let central = small(MaddpgConfig::default().0);
    let all = [
        ("maddpg", central.clone(), false),
        ("maddpg separate", central.clone(), true),
        ("matd3", small(Matd3Config::default().0), false),
        ("facmac", small(FacmacConfig::default().0), false),
        ("own critics", OffPolicyConfig { critic: View::Own, ..central.clone() }, false),
        ("together", OffPolicyConfig { together: true, ..central }, false),
    ];
    for (name, config, separate) in all {
        for seed in [1, 2] {
            let mut trainer = trainer(config.clone(), false, separate, seed)?;
            let reports = (0..900).map(|_| trainer.step()).collect::<Result<Vec<_>>>()?;
            let (first, last) = (reports[1].value("return").unwrap_or(0.0), last(&reports));
            println!("{name}, seed {seed}: {first:.2} at first, {last:.2} of 25 in the end");
            assert!(first < 17.0 && last > 21.0, "{name}, seed {seed}: {first} to {last}");
        }
    }
    Ok(())
}

/// A pair of actions of which neither is worth anything without the other: the most there is is 2 a round, and a pair by
/// chance pays a third of 2, 1 and 1.
#[test]
fn agents_agree_on_the_best_pair() -> Result<()> {
    for learner in ["maddpg", "matd3", "facmac"] {
        for seed in 1..4 {
            let games = "world.games=[[[2.0,0.0,0.0],[0.0,1.0,0.0],[0.0,0.0,1.0]]]";
            let items = [
                &format!("learner={learner}"),
                games,
                "world.worlds=16",
                "world.rounds=10",
                "learner.rollout=10",
                "learner.batch=128",
                "learner.warmup=500",
                "learner.replay=5000",
                "learner.critic_learning_rate=0.005",
                "learner.learning_rate=0.002",
                &format!("seed={seed}"),
            ];
            let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
            let mut trainer = Settings::with_items("climbing", &items)?.trainer(&Device::cpu())?;
            let reports = (0..600).map(|_| trainer.step()).collect::<Result<Vec<_>>>()?;
            let last = last(&reports);
            println!("{learner}, seed {seed}: {last:.2} of 20");
            assert!(last > 18.0, "{learner}, seed {seed}: {last}");
        }
    }
    Ok(())
}

/// Twins, delayed actors, noise that wanders, recurrent agents, mixers, temperatures: what was saved goes on to the bit.
#[test]
fn what_was_saved_goes_on_exactly() -> Result<()> {
    let wandering = Noise::OrnsteinUhlenbeck { rate: 0.15, deviation: 0.2 };
    let recurrent = |config: OffPolicyConfig| OffPolicyConfig {
        sequence: 3,
        burn_in: 1,
        gamma: 0.9,
        actor_every: 2,
        noise: wandering,
        learning_shards: 2,
        batch: 8,
        warmup: 64,
        ..small(config)
    };
    for config in [Matd3Config::default().0, FacmacConfig::default().0] {
        let config = recurrent(config);
        let make = || -> Result<Box<dyn Trainer>> { Ok(Box::new(trainer(config.clone(), true, false, 3)?)) };
        goes_on([make()?, make()?])?;
    }
    for preset in ["lqr-sac", "lqr-td3"] {
        let items = ["learner.warmup=64", "learner.batch=8", "learner.replay=256", "agent.features=8"];
        let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
        let make = || Settings::with_items(preset, &items)?.trainer(&Device::cpu());
        goes_on([make()?, make()?])?;
    }
    Ok(())
}

fn goes_on([mut whole, mut resumed]: [Box<dyn Trainer>; 2]) -> Result<()> {
    for _ in 0..15 {
        whole.step()?;
    }
    let middle = whole.save()?;
    resumed.load(&middle)?;
    for _ in 0..5 {
        assert_eq!(whole.step()?, resumed.step()?);
    }
    assert!(whole.save()? == resumed.save()?);
    // A checkpoint with a part missing changes nothing.
    let before = resumed.save()?;
    let mut broken = middle.clone();
    broken.tensors.retain(|name, _| !name.starts_with("judging/"));
    let error = resumed.load(&broken).unwrap_err().to_string();
    assert!(error.contains("judging/"), "{error}");
    assert!(before == resumed.save()?);
    Ok(())
}

/// What a learner cannot do is said with those that can.
#[test]
fn what_does_not_fit_is_refused() {
    let refused = |preset: &str, items: &[&str], expected: &[&str]| {
        let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
        let made = Settings::with_items(preset, &items).and_then(|s| s.trainer(&Device::cpu()).map(drop));
        let error = made.unwrap_err().to_string();
        for words in expected {
            assert!(error.contains(words), "{preset} {items:?}: {error}");
        }
    };
    refused("climbing", &["learner=td3"], &["learner.kind", "ppo", "dqn", "maddpg", "`td3`"]);
    refused("climbing", &["learner=sac"], &["learner.kind", "`sac`"]);
    refused("pendulum-td3", &["learner=dqn"], &["learner.kind", "ppo", "td3", "sac", "`dqn`"]);
    refused("pendulum-td3", &["agent.bounded=gaussian"], &["agent.bounded", "tanh"]);
    refused("pendulum-td3", &["agent.critic=own"], &["agent.critic", "learner.critic"]);
    refused("spread-facmac", &["learner.critic=central"], &["learner.critic", "own"]);
    refused(
        "pendulum-sac",
        &["learner.noise.kind=gaussian", "learner.noise.deviation=0.1"],
        &["learner.noise"],
    );
    refused("pendulum-td3", &["learner.together=true"], &["learner.together"]);
    refused("pendulum-td3", &["learner.target_rate=2"], &["learner.target_rate"]);
    refused("pendulum-td3", &["learner.batch=3", "learner.learning_shards=2"], &["learner.learning_shards"]);
}
