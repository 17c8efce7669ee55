//! `synod render`.

use std::path::PathBuf;

use crate::env::pathfinding::PathfindingConfig;
use crate::preset::record;
use crate::run::picture;
use crate::{Error, Result};
use clap::Args;

use super::{Where, note};

#[derive(Args)]
#[command(after_help = "Examples:
  synod render runs/bottleneck-0 -o episode.gif --length 10
  synod render runs/bottleneck-0 --best -o best.gif
  synod render runs/mazes-0 -o episode.svg --maps maze.map --agents 16 --steps 64")]
pub struct Render {
    #[command(flatten)]
    which: Where,
    /// The picture to write: .gif or .svg
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The corridor's length, for bottlenecks
    #[arg(long, default_value_t = 8, value_name = "N")]
    length: usize,
}

impl Render {
    pub fn run(self) -> Result<()> {
        let extension = self.output.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !matches!(extension, "gif" | "svg") {
            let shown = self.output.display();
            return Err(Error::Usage(format!("--output: a name that ends in .gif or .svg, not `{shown}`")));
        }
        let settings = self.which.settings()?;
        if settings.world.get::<PathfindingConfig>().is_none() {
            return Err(Error::Usage("only runs of pathfinding can be drawn".into()));
        }
        let evaluation = self.which.evaluation(&settings, 1)?;
        let device = self.which.device()?;
        let policy = settings.trained_policy(&device, &self.which.checkpoint()?)?;
        let episode = record(&device, &settings, policy.as_ref(), &evaluation, self.length)?;
        match extension {
            "gif" => picture::write_gif(&self.output, &episode.scene)?,
            _ => picture::write_svg(&self.output, &episode.scene)?,
        }
        let values: Vec<String> =
            episode.report.values.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        note(format_args!("{}: {} ({})", self.output.display(), episode.report.label, values.join(", ")));
        Ok(())
    }
}
