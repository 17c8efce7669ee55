//! Machines learn one instance by heart, beyond what dispatch rules make of it.

use synod::env::job_shop::{Alternative, Instance, Rule};
use synod::preset::{Settings, evaluate};
use synod::{Device, Result};

/// Six jobs on six machines, drawn once; no rule is within a tenth of the bound.
fn instance() -> Instance {
    Instance::random(6, 6, [1, 99], 1, &mut synod::env::Pcg64::new(4)).unwrap()
}

fn file(instance: &Instance) -> String {
    let pair = |able: &Vec<Alternative>| serde_json::json!([able[0].machine, able[0].duration]);
    let job = |job: &Vec<Vec<Alternative>>| job.iter().map(pair).collect::<Vec<_>>();
    serde_json::json!({ "jobs": instance.jobs().iter().map(job).collect::<Vec<_>>() }).to_string()
}

#[test]
fn one_instance_is_dispatched_better_than_by_every_rule() -> Result<()> {
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
    let mut trainer = settings.trainer(&device)?;
    while trainer.step()?.steps < settings.steps {}
    let policy = settings.policy(&device)?;
    policy.parameters().load("agent", &trainer.save_agent()?)?;
    let measures = evaluate(&device, &settings, policy.as_ref(), 1, 3, true, &mut |_, _| Ok(()))?;
    let makespan = measures.iter().find(|m| m.name == "makespan").map(|m| m.mean).unwrap();
    println!("rules {makespans:?}, learned {makespan}, bound {}", instance.bound());
    assert!(makespan < f64::from(*makespans.iter().min().unwrap()));
    assert!(makespan >= f64::from(instance.bound()));
    Ok(())
}
