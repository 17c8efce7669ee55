//! A team of roles in a program, at its simplest: two roles learn to bring two carts to rest, and the agent that comes of it
//! plays.
//!
//! ```sh
//! cargo run --release --example team
//! ```

use synod::preset::Settings;
use synod::preset::collaborate::Plan;
use synod::roles::broker::MemoryLog;
use synod::roles::workshop::{Workshop, mean_score};
use synod::train::Trainer;
use synod::{Device, Result};

fn main() -> Result<()> {
    let device = Device::cpu();
    let settings = Settings { steps: 60_000, ..Settings::preset("lqr-ppo")? };
    let plan = Plan::new(&settings, &["meta", "adapt"].map(String::from), None, false)?;
    let mut team = plan.team(&device, &settings, Box::<MemoryLog>::default())?;
    loop {
        // A round: work is given out, done, judged and settled.
        let report = team.step()?;
        println!("{:>7} agent-steps: {:?}", report.steps, report.values);
        if report.steps >= settings.steps {
            break;
        }
    }
    let mut workshop = plan.family(&device, &settings)?.workshop();
    let episodes = workshop.play(0, &team.agent(0)?, 50, 1)?;
    println!("return of 50 other episodes: {:.2} (the optimum is -7.94)", mean_score(&episodes));
    Ok(())
}
