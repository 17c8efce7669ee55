//! `synod render`.

use std::io::Write;
use std::path::PathBuf;

use crate::env::pathfinding::PathfindingConfig;
use crate::picture::film::Arcs;
use crate::preset::record;
use crate::run::folder::write_atomically;
use crate::{Error, Result};
use clap::Args;

use super::{Where, note};

#[derive(Args)]
#[command(after_help = "Examples:
  synod render runs/bottleneck-0 -o episode.gif --length 10
  synod render runs/mazes-0 -o episode.svg --maps maze.map --agents 16 --steps 64
  synod render runs/spread-ippo-0 -o episode.svg --seed 3")]
pub struct Render {
    #[command(flatten)]
    which: Where,
    /// The picture to write: .gif or .svg
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The corridor's length, for bottlenecks
    #[arg(long, default_value_t = 8, value_name = "N")]
    length: usize,
    /// Curves of attention drawn for each agent: the strongest
    #[arg(long, default_value_t = Arcs::default().most, value_name = "N")]
    arcs: usize,
    /// The least weight of a curve, in even shares: 1 is what each gets where all get the same
    #[arg(long, default_value_t = Arcs::default().least, value_name = "X")]
    arcs_from: f32,
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
            self.which.only_general_flags()?;
        }
        let evaluation = self.which.evaluation(&settings, 1)?;
        let device = self.which.device()?;
        let policy = settings.trained_policy(&device, &self.which.run)?;
        let mut episode = record(&device, &settings, policy.as_ref(), &evaluation, self.length)?;
        episode.film.arcs = Arcs { most: self.arcs, least: self.arcs_from };
        let bytes = match extension {
            "gif" => episode.film.gif()?,
            _ => episode.film.svg()?.into_bytes(),
        };
        write_atomically(&self.output, |file| file.write_all(&bytes))?;
        let values: Vec<String> =
            episode.report.values.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        let last = episode.film.frames.last().map(|frame| frame.drawing.title.as_str()).unwrap_or_default();
        note(format_args!("{}: {last} ({})", self.output.display(), values.join(", ")));
        Ok(())
    }
}
