//! `synod export`.

use std::path::PathBuf;

use clap::Args;

use super::note;
use crate::door;
use crate::preset::Settings;
use crate::run::folder;
use crate::{Error, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  synod export runs/bottleneck-0 -o bottleneck.synod

The file holds the network, what its agents see and do, and where it comes from; a program loads it with
synod::Team::load. It has no replay and no worlds, and need not know them.")]
pub struct Export {
    /// The run's folder
    run: PathBuf,
    /// The file to write; must not exist
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Export {
    pub fn run(self) -> Result<()> {
        folder::require_run(&self.run)?;
        if self.output.exists() {
            return Err(Error::Usage(format!("{} exists already", self.output.display())));
        }
        let settings = Settings::load(&folder::config_of(&self.run), &[])?;
        door::export(&settings, Some(&self.run), &self.output)?;
        let size = std::fs::metadata(&self.output).map_or(0, |file| file.len());
        note(format_args!("{}: {:.1} kB", folder::shell_quoted(&self.output), size as f64 / 1e3));
        Ok(())
    }
}
