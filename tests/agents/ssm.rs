//! State space models as the cores of agents.

use synod::preset::Settings;
use synod::{Device, Result};

const MODELS: [&str; 4] = ["s4d", "s5", "lru", "mamba"];

fn settings(preset: &str, items: &[&str]) -> Result<Settings> {
    let items: Vec<String> = items.iter().map(|item| (*item).to_string()).collect();
    Settings::with_items(preset, &items)
}

/// Acting goes step by step from a carried state, learning unrolls a rollout by one scan: they agree on what was done,
/// across the ends of episodes and from one rollout to the next. With a learning rate of 0 the divergence between them is
/// all there is.
#[test]
fn a_scan_over_a_rollout_is_what_was_done_step_by_step() -> Result<()> {
    for model in MODELS {
        for separate in [false, true] {
            let (model, separate) =
                (format!("agent.core.model={model}"), format!("separate_parameters={separate}"));
            let items = [
                "agent.core=ssm",
                &model,
                &separate,
                "agent.features=16",
                "agent.core.states=4",
                "learner.rollout=10",
                "learner.learning_rate=0",
                "world.worlds=8",
                "world.max_episode_steps=7",
            ];
            let mut trainer = settings("spread-ippo", &items)?.trainer(&Device::cpu())?;
            for _ in 0..3 {
                let report = trainer.step()?;
                let divergence = report.value("kl").unwrap_or(f64::NAN);
                assert!(divergence.abs() < 1e-9, "{model}, {separate}: {divergence}");
                assert!(report.value("entropy").is_some_and(|entropy| entropy > 0.5), "{model}");
            }
        }
    }
    Ok(())
}

/// Every model gets a state of its own parts, layer by layer.
#[test]
fn states_are_those_of_the_models() -> Result<()> {
    for (model, expected) in [
        ("s4d", vec![vec![16, 5]; 2]),
        ("s5", vec![vec![10]; 2]),
        ("lru", vec![vec![10]; 2]),
        ("mamba", vec![vec![5, 32], vec![3, 32], vec![5, 32], vec![3, 32]]),
    ] {
        let model = format!("agent.core.model={model}");
        let items =
            ["agent.core=ssm", &model, "agent.core.states=5", "agent.features=16", "agent.critic=shared"];
        let policy = settings("spread-ippo", &items)?.policy(&Device::cpu())?;
        let state = policy.state();
        assert_eq!(state.iter().map(|part| part.shape.clone()).collect::<Vec<_>>(), expected, "{model}");
        let mut names: Vec<&str> = state.iter().map(|part| part.name.as_str()).collect();
        names.dedup();
        assert_eq!(names.len(), expected.len(), "{names:?}");
    }
    Ok(())
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    for (item, key) in [
        ("agent.core.layers=0", "agent.core.layers"),
        ("agent.core.states=100000", "agent.core.states"),
        ("agent.core.model=s6", "agent.core.model"),
        // An agent cannot know what comes later.
        ("agent.core.bidirectional=true", "agent.core.bidirectional"),
    ] {
        let made = settings("spread-ippo", &["agent.core=ssm", item])
            .and_then(|settings| settings.trainer(&Device::cpu()).map(drop));
        let error = made.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(key), "{item}: {error:?}");
    }
}
