//! Advantage actor-critic: against a game with a known answer, against PPO, and against its definition.

use synod::action::Action;
use synod::agent::{Mode, Sequence, masks_input, neighbours, state_inputs};
use synod::preset::Settings;
use synod::train::ppo::{Ppo, PpoConfig};
use synod::train::rollout::Rollout;
use synod::train::{LearnerConfig, Trainer};
use synod::{Device, Graph, Result};

fn settings(preset: &str, items: &[&str]) -> Settings {
    let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
    Settings::with_items(preset, &items).unwrap()
}

/// The climbing game pays -30 for half of the best pair of actions: random play is paid about -3 a round, and 25 rounds of
/// what is safe 125 or more.
#[test]
fn it_learns_the_climbing_game() -> Result<()> {
    for seed in [1, 2, 3] {
        let seed = format!("seed={seed}");
        let items =
            ["learner=a2c", "learner.rollout=25", "learner.learning_rate=0.005", "world.worlds=32", &seed];
        let mut trainer = settings("climbing", &items).trainer(&Device::cpu())?;
        let mut last = f64::NAN;
        for _ in 0..250 {
            last = trainer.step()?.value("return").unwrap_or(last);
        }
        assert!(last > 100.0, "{seed}: {last}");
    }
    Ok(())
}

/// Huang et al. 2022: PPO with one epoch of one minibatch, advantages as they are and a clip that nothing reaches.
#[test]
fn its_updates_are_those_of_ppo_with_one_epoch_and_no_clip() -> Result<()> {
    for preset in ["spread-ippo", "lever-commnet"] {
        let mut a2c = settings(preset, &["learner=a2c"]).trainer(&Device::cpu())?;
        let ppo = PpoConfig {
            rollout: 8,
            epochs: 1,
            minibatches: 1,
            learning_rate: 1e-3,
            gae_lambda: 1.0,
            clip: 100.0,
            normalise_advantages: false,
            ..PpoConfig::default()
        };
        let with = |ppo: PpoConfig| {
            let learner = LearnerConfig::new(ppo);
            Settings { learner, ..settings(preset, &[]) }.trainer(&Device::cpu())
        };
        let two_epochs = PpoConfig { epochs: 2, ..ppo.clone() };
        let (mut ppo, mut other) = (with(ppo)?, with(two_epochs)?);
        for _ in 0..3 {
            let own = a2c.step()?;
            assert_eq!(own, ppo.step()?);
            assert_eq!(own.value("clipped"), Some(0.0));
        }
        assert!(a2c.save()?.tensors == ppo.save()?.tensors, "{preset}");
        // What makes PPO another algorithm makes other numbers.
        while other.step()?.updates < 6 {}
        assert!(a2c.save()?.tensors != other.save()?.tensors, "{preset}");
    }
    Ok(())
}

/// The gradient of `-(log pi(a) A - c (V - R)^2 + b H)`, written down anew, over the same rollout.
#[test]
fn its_gradient_is_that_of_its_definition() -> Result<()> {
    let device = Device::cpu();
    let settings = settings("spread-ippo", &["learner=a2c", "world.worlds=8", "learner.learning_shards=1"]);
    let world = || settings.worlds(&settings.world, 5);
    let policy = || settings.policy(&device);
    let config = PpoConfig { acting_shards: 1, ..synod::train::a2c::A2cConfig::default().as_ppo() };
    let (gamma, rollout) = (config.gamma, config.rollout);
    let mut trainer = Ppo::new(&device, policy()?, world()?, config, 1, 5)?;
    let report = trainer.step()?;

    let (world, policy) = (world()?, policy()?);
    let spec = world.spec().clone();
    let kind = &spec.kinds[0];
    let mut acting = Rollout::new(&device, policy.as_ref(), world, rollout, 1, 5)?;
    let experience = acting.collect()?;
    let (advantages, returns) = experience.advantages(gamma, 1.0)?;
    let graph = Graph::new();
    let lanes = [rollout, kind.count, spec.worlds];
    let weights = policy.parameters().weights(&graph);
    let sequence = Sequence::input(&graph, policy.as_ref(), lanes, &kind.observation, Mode::Learning);
    let state = state_inputs(&graph, policy.as_ref(), [kind.count, spec.worlds]);
    let unrolled = policy.unroll(&graph, &weights, sequence, &state)?;
    let masks = masks_input(&graph, spec.masked, kind, &lanes);
    let of = kind.actions.distribution(unrolled.parameters, masks, policy.bounded())?;
    let chosen = of.log_probability(Action::input(&graph, &kind.actions, &lanes))?;
    // Of choices it needs no random numbers.
    let entropy = of.entropy(graph.constant_u32([2], &[0, 0]))?;
    let gain = chosen * graph.input("advantages", lanes) + entropy * 0.01;
    let error = (unrolled.values - graph.input("returns", lanes)).square() * 0.5;
    let loss = ((error - gain) * graph.input("weights", lanes)).sum_all();
    let gradient = policy.parameters().gradient(loss, &weights)?;
    let mut program = device.compile(&graph, &[gradient])?;
    experience.fill(&mut program, &(0..spec.worlds).collect::<Vec<_>>())?;
    neighbours::fill(&mut program, policy.as_ref(), [rollout, kind.count, spec.worlds])?;
    let lived: f32 = experience.weights.iter().sum();
    let weights: Vec<f32> = experience.weights.iter().map(|weight| weight / lived).collect();
    program.run(&[("advantages", &advantages), ("returns", &returns), ("weights", &weights)])?;
    let norm = program.outputs().f32(0).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let found = report.value("gradient_norm").unwrap();
    assert!((found / norm - 1.0).abs() < 1e-5, "{found}, by its definition {norm}");
    Ok(())
}

#[test]
fn settings_that_mean_nothing_to_it_are_not_its_own() {
    for item in ["learner.epochs=2", "learner.clip=0.1", "learner.kl_target=0.01"] {
        let items = ["learner=a2c".to_string(), item.to_string()];
        let error = Settings::with_items("spread-ippo", &items).err().unwrap().to_string();
        assert!(error.contains("no such setting"), "{error}");
    }
    let error = settings("spread-ippo", &["learner=a2c", "learner.learning_shards=5"]).check().err();
    assert!(error.unwrap().to_string().contains("learner.learning_shards"));
}
