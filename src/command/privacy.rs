//! `synod privacy`.

use clap::Args;
use serde_json::json;

use super::{note, print, print_json};
use crate::privacy::{Plan, gaussian};
use crate::{Error, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  synod privacy --noise 1.1 --rate 0.00427 --steps 14062        what noise of 1.1 clips spends
  synod privacy --epsilon 1 --rate 0.01 --steps 10000           the noise that an epsilon takes
  synod privacy --noise 4 --rate 0.01 --steps 10000 --examples 60000 --json")]
pub struct Privacy {
    /// Deviation of the noise, in units of the norm that gradients are clipped to
    #[arg(long, value_name = "X", required_unless_present = "epsilon")]
    noise: Option<f64>,
    /// The epsilon that is to be kept: finds the noise
    #[arg(long, value_name = "X", conflicts_with = "noise")]
    epsilon: Option<f64>,
    /// The chance with which each part takes part in a step (batch / examples, drawn independently)
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    rate: f64,
    /// Steps
    #[arg(long, default_value_t = 1, value_name = "N")]
    steps: u64,
    /// The delta at which epsilon is stated
    #[arg(long, default_value_t = 1e-5, value_name = "X")]
    delta: f64,
    /// How many parts there are: warns where delta is no small part of one
    #[arg(long, value_name = "N")]
    examples: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Privacy {
    pub fn run(self) -> Result<()> {
        let plan = Plan { noise: self.noise.unwrap_or(1.0), rate: self.rate, steps: self.steps };
        plan.check()?;
        let noise = match self.epsilon {
            Some(epsilon) => plan.noise_for(epsilon, self.delta)?,
            None => plan.noise,
        };
        let plan = Plan { noise, ..plan };
        let spent = plan.spent(self.delta)?;
        if let Some(examples) = self.examples {
            if examples == 0 {
                return Err(Error::Usage("--examples: expected 1 or more".into()));
            }
            let share = 1.0 / examples as f64;
            if self.delta >= share {
                let delta = self.delta;
                note(format!(
                    "warning: delta {delta} is not below 1/{examples}: giving one of them away whole would be allowed"
                ));
            }
        }
        let once = gaussian::epsilon(noise, self.delta)?;
        if self.json {
            return print_json(&json!({
                "noise": noise,
                "rate": self.rate,
                "steps": self.steps,
                "delta": self.delta,
                "epsilon": spent.loss,
                "epsilon_rdp": spent.rdp,
                "epsilon_once": once,
            }));
        }
        print(&format!(
            "{} steps, each of a part drawn with chance {}, noise of {noise:.4} clips; delta {:e}\n\
             epsilon  {:.4}  by the distribution of the privacy loss\n\
             epsilon  {:.4}  by Rényi divergences (an upper bound)\n\
             epsilon  {once:.4}  of a single step with everybody in it\n",
            self.steps, self.rate, self.delta, spent.loss, spent.rdp
        ))
    }
}
