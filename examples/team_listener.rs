//! Advanced collaboration: all three roles over tasks that all count, with settings of their own, while a program of yours
//! listens to what they say, looks into the shared memory, stops, and goes on from a checkpoint to the same bits.
//!
//! ```sh
//! cargo run --release --example team_listener
//! ```

use std::time::Duration;

use synod::preset::Settings;
use synod::preset::collaborate::Plan;
use synod::roles::broker::{Log, MemoryLog, Overflow};
use synod::roles::messages::{Conflict, Done, Surprise};
use synod::train::Trainer;
use synod::{Device, Result};

fn main() -> Result<()> {
    let device = Device::cpu();
    let settings = Settings { steps: 90_000, ..Settings::preset("lqr-ppo")? };
    let mut plan = Plan::new(&settings, &["state", "meta", "adapt"].map(String::from), None, true)?;
    for item in ["round=9000", "meta.step_size=0.5", "state.batches=100", "coordinator.curiosity=0.4"] {
        plan.change(item)?;
    }
    let log = MemoryLog::default();
    let mut team = plan.team(&device, &settings, Box::new(log.clone()))?;
    // A reader that is slow loses what is oldest, and keeps nobody waiting.
    let work = team.broker().subscribe::<Done>("listener", 64, Overflow::DropOldest)?;
    let surprises = team.broker().subscribe::<Surprise>("listener", 64, Overflow::DropOldest)?;
    let half = loop {
        let report = team.step()?;
        while let Some((envelope, done)) = work.next(Duration::ZERO)? {
            let (from, task) = (envelope.from, done.task);
            println!(
                "{from} made {} agent-steps on task {task}: {:?} -> {:?}",
                done.steps, done.before, done.after
            );
        }
        while let Some((_, surprise)) = surprises.next(Duration::ZERO)? {
            println!("the model does not foresee {:.3} of task {}", surprise.error, surprise.task);
        }
        if report.steps >= settings.steps / 2 {
            break team.save()?;
        }
    };
    for name in team.board().snapshot().names() {
        let versions: Vec<u64> = team.board().snapshot().history(name).map(|v| v.number).collect();
        println!("{name} on the blackboard: versions {versions:?}");
    }
    let conflicts = log.messages().iter().filter(|m| matches!(m.read::<Conflict>(), Ok(Some(_)))).count();
    println!("{} messages so far, {conflicts} conflicts settled", log.messages().len());
    // Another team that takes up the checkpoint goes on as this one does. Its log begins with what was said before.
    let mut copy = MemoryLog::default();
    log.messages().iter().try_for_each(|message| copy.append(message))?;
    let mut other = plan.team(&device, &settings, Box::new(copy.clone()))?;
    other.load(&half)?;
    assert_eq!(team.step()?, other.step()?);
    assert_eq!(log.messages(), copy.messages());
    println!("the two go on alike");
    Ok(())
}
