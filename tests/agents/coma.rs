//! COMA against its definition, and on bits whose gradients are known.

use std::collections::BTreeMap;

use synod::action::Action;
use synod::agent::{Mode, Sequence};
use synod::preset::{Settings, evaluate};
use synod::{Device, Graph, Result};

fn settings(preset: &str, items: &[&str]) -> Settings {
    let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
    Settings::with_items(preset, &items).unwrap()
}

/// Trains for so many iterations; what the trained agents' measures are.
fn trained(settings: &Settings, iterations: usize) -> Result<BTreeMap<String, f64>> {
    let device = Device::cpu();
    let mut trainer = settings.trainer(&device)?;
    for _ in 0..iterations {
        trainer.step()?;
    }
    let policy = settings.policy(&device)?;
    policy.parameters().load("agent", &trainer.save_agent()?)?;
    let measures = evaluate(&device, settings, policy.as_ref(), 32, 0, false, &mut |_, _| Ok(()))?;
    Ok(measures.into_iter().map(|measure| (measure.name, measure.mean)).collect())
}

/// Even bits of n agents: REINFORCE scatters by `(n^2 + n - 1) / 16`, with a baseline by `(n - 1) / 16`, COMA not at
/// all.
#[test]
fn variances_of_bits_are_those_of_the_formulas() -> Result<()> {
    let items = ["world.agents=5", "seed=3", "steps=2560000", "learner.learning_rate=0.02"];
    let found = trained(&settings("coma-bits", &items), 400)?;
    let near = |name: &str, expected: f64| {
        let share = found[name] / expected;
        assert!((share - 1.0).abs() < 0.05, "{name}: {}, not {expected}", found[name]);
    };
    near("variance_reinforce", 29.0 / 16.0);
    near("variance_value", 4.0 / 16.0);
    assert!(found["variance_coma"] < 1e-3, "{}", found["variance_coma"]);
    // A critic that has learned nothing does not do that.
    let fresh = trained(&settings("coma-bits", &items), 0)?;
    assert!(fresh["variance_coma"] > 1e-3, "{}", fresh["variance_coma"]);
    Ok(())
}

/// Sixteen agents whose pay is mostly others' doing.
#[test]
fn agents_learn_what_is_their_own_doing() -> Result<()> {
    let items = [
        "world.agents=16",
        "steps=1000000",
        "learner.rates={ encoder = 1.0, actor = 1.0, critic = 1.0 }",
        "learner.entropy_coefficient=0.0",
    ];
    let ones = trained(&settings("coma-bits", &items), 120)?["ones"];
    assert!(ones > 0.95, "{ones}");
    Ok(())
}

/// What an agent's options are worth does not depend on which of them it took, and does on what the others did.
#[test]
fn the_critic_is_blind_to_ones_own_action_alone() -> Result<()> {
    let device = Device::cpu();
    for preset in ["speaker-listener-coma", "coma-bits"] {
        // Worlds with a state and worlds without one.
        let items: &[&str] = if preset == "coma-bits" { &["world.agents=3"] } else { &[] };
        let settings = settings(preset, items);
        let policy = settings.policy(&device)?;
        let critic = policy.counterfactual().expect("it has one");
        let world = settings.judging_worlds(2, 1)?;
        let kind = &world.spec().kinds[0];
        let lanes = [1, kind.count, 2];
        let graph = Graph::new();
        let weights = policy.parameters().weights(&graph);
        let sequence = Sequence::input(&graph, policy.as_ref(), lanes, &kind.observation, Mode::Learning);
        let actions = Action::input(&graph, &kind.actions, &lanes);
        let values = critic.values(&weights, &sequence, actions)?;
        let taken = critic.taken(values, actions)?;
        let mut program = device.compile(&graph, &[values, taken])?;
        for name in ["observations", "world state"] {
            if let Some(input) = program.find_input(name) {
                input.iter_mut().enumerate().for_each(|(i, x)| *x = (i as f32 * 0.7).sin());
            }
        }
        let mut run = |done: &[u32]| -> Result<[Vec<f32>; 2]> {
            program.find_input_u32("actions").expect("actions are asked for").copy_from_slice(done);
            let outputs = program.run(&[])?;
            Ok([0, 1].map(|i| outputs.f32(i).to_vec()))
        };
        let options = kind.actions.options();
        let before = vec![0; kind.count * 2];
        let [old, old_taken] = run(&before)?;
        for agent in 0..kind.count {
            let mut done = before.clone();
            done[agent * 2] = 1;
            let [new, new_taken] = run(&done)?;
            for other in 0..kind.count {
                for at_world in 0..2 {
                    let lane = other * 2 + at_world;
                    let row = lane * options..(lane + 1) * options;
                    let same = old[row.clone()] == new[row.clone()];
                    assert_eq!(
                        same,
                        other == agent || at_world == 1,
                        "{preset}: {agent}, {other}, {at_world}"
                    );
                    assert_eq!(new_taken[lane], new[row.start + done[lane] as usize]);
                }
            }
            assert_eq!(old_taken[agent * 2], old[agent * 2 * options]);
        }
    }
    Ok(())
}

#[test]
fn a_resumed_run_goes_on_with_its_target() -> Result<()> {
    let items = ["world.worlds=8", "learner.target_every=2", "seed=4"];
    let settings = settings("speaker-listener-coma", &items);
    let device = Device::cpu();
    let (mut whole, mut resumed) = (settings.trainer(&device)?, settings.trainer(&device)?);
    for _ in 0..3 {
        whole.step()?;
    }
    let saved = whole.save()?;
    let of = |name: &str| saved.tensors.iter().filter(|(n, _)| n.contains(name)).count();
    assert!(of("target/agent/counterfactual") > 0);
    // The copy is one update behind.
    let weight = "agent/counterfactual/0/weight";
    assert!(saved.tensor(weight)? != saved.tensor(&format!("target/{weight}"))?);
    resumed.load(&saved)?;
    for _ in 0..3 {
        assert_eq!(whole.step()?, resumed.step()?);
    }
    assert!(whole.save()? == resumed.save()?);
    Ok(())
}

#[test]
fn continuous_worlds_are_refused_with_the_learners_that_fit() {
    let error = settings("lqr-ppo", &["learner=coma"]).trainer(&Device::cpu()).err().unwrap().to_string();
    for word in ["learner.kind", "ppo", "a2c", "`coma` does not learn"] {
        assert!(error.contains(word), "{error}");
    }
    assert!(!error.contains("dqn"), "{error}");
}
