//! Machines learn one instance by heart, and do as well there as the best of six dispatch rules.

use synod::agent::Policy;
use synod::env::job_shop::{Alternative, Instance, Rule};
use synod::preset::{Settings, evaluate};
use synod::{Device, Result};

/// Six jobs on six machines, drawn once.
fn instance() -> Instance {
    Instance::random(6, 6, [1, 99], 1, &mut synod::env::Pcg64::new(4)).unwrap()
}

fn file(instance: &Instance) -> String {
    let pair = |able: &Vec<Alternative>| serde_json::json!([able[0].machine, able[0].duration]);
    let job = |job: &Vec<Vec<Alternative>>| job.iter().map(pair).collect::<Vec<_>>();
    serde_json::json!({ "jobs": instance.jobs().iter().map(job).collect::<Vec<_>>() }).to_string()
}

#[test]
fn one_instance_is_dispatched_as_well_as_by_the_best_rule() -> Result<()> {
    let instance = instance();
    let makespans: Vec<u32> =
        Rule::ALL.iter().map(|rule| rule.schedule(&instance).check(&instance).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.json");
    std::fs::write(&path, file(&instance)).unwrap();
    let items = [
        "world.worlds=32".to_string(),
        "world.source.kind=files".into(),
        format!("world.source.paths=[{:?}]", path.display().to_string()),
        "steps=150000".into(),
        "learner.rollout=32".into(),
    ];
    let settings = Settings::with_items("job-shop", &items)?;
    let device = Device::cpu();
    let makespan = |policy: &dyn Policy, episodes: usize, greedy: bool| -> Result<f64> {
        let measures = evaluate(&device, &settings, policy, episodes, 3, greedy, &mut |_, _| Ok(()))?;
        Ok(measures.iter().find(|m| m.name == "makespan").map_or(f64::NAN, |m| m.mean))
    };
    let policy = settings.policy(&device)?;
    let untrained = makespan(policy.as_ref(), 64, false)?;
    let mut trainer = settings.trainer(&device)?;
    while trainer.step()?.steps < settings.steps {}
    policy.parameters().load("agent", &trainer.save_agent()?)?;
    let learned = makespan(policy.as_ref(), 1, true)?;
    let best = f64::from(*makespans.iter().min().unwrap());
    println!("rules {makespans:?}, untrained {untrained}, learned {learned}, bound {}", instance.bound());
    assert!(learned <= 1.02 * best && learned >= f64::from(instance.bound()));
    assert!(untrained >= 1.08 * best);
    Ok(())
}
