//! `synod train`.

use std::path::{Path, PathBuf};

use crate::env::pathfinding::PathfindingConfig;
use crate::preset::Settings;
use crate::preset::choice::{self, Choice};
use crate::run::driver::{self, Options};
use crate::run::folder::{self, Folder};
use crate::run::{checkpoint, progress, signal};
use crate::{Error, Result, Summary};
use clap::Args;

use super::note;

#[derive(Args)]
#[command(after_help = "Examples:
  synod train bottleneck
  synod train bottleneck --seed 1 --steps 20000000 --out runs/long
  synod train bottleneck --set agent.core=gru --set learner.learning_rate=3e-4
  synod train two-step-qmix --set agent.core=lstm
  synod train runs/long/config.toml --out runs/again
  synod train --resume runs/long")]
pub struct Train {
    /// A preset (see `synod list`) or a config file
    #[arg(required_unless_present = "resume", value_name = "PRESET|CONFIG.toml")]
    what: Option<String>,
    /// Where to compute: auto, cpu or gpu
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// The seed of parameters, worlds and actions
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Agent-steps of the whole run
    #[arg(long, value_name = "N", value_parser = super::steps)]
    steps: Option<u64>,
    /// The run's folder; must not exist [default: runs/PRESET-SEED]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a setting; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Go on with a run that was stopped or killed
    #[arg(long, value_name = "DIR", conflicts_with_all = ["what", "out", "seed", "set"])]
    resume: Option<PathBuf>,
}

impl Train {
    pub fn run(self) -> Result<()> {
        let stop = signal::stop_on_signal()?;
        let (mut settings, folder, config) = match &self.resume {
            Some(path) => self.resumed(path)?,
            None => self.fresh()?,
        };
        let (Choice { device, reason }, mut trainer) = choice::choose(&mut settings)?;
        note(format_args!("on {}: {reason}", device.name()));
        if let Some((program, shards)) = trainer.learning() {
            note(learning_step(&program, shards));
        }
        let folder = match folder {
            Target::Open(folder) => folder,
            // The folder is made last: settings that cannot run leave nothing behind.
            Target::Create(path) => Folder::create(&path, &settings.to_toml()?)?,
        };
        let mut options = Options::new(settings.steps, folder.path());
        options.checkpoint_every = settings.checkpoint_every;
        (options.resume, options.config) = (self.resume.is_some(), config);
        let title = format!("{} seed {} on {}", settings.preset, settings.seed, device.name());
        let mut progress = progress::on_stderr(&title);
        let outcome = driver::drive(trainer.as_mut(), &folder, &options, progress.as_mut(), stop)?;
        if outcome.done {
            let run = folder::shell_quoted(&folder.directory().here());
            note(format_args!("curves in {run}/plots. Next:"));
            note(format_args!("  synod eval {run}"));
            if settings.world.get::<PathfindingConfig>().is_some() {
                note(format_args!("  synod render {run} -o episode.gif"));
            }
        }
        Ok(())
    }

    fn fresh(&self) -> Result<(Settings, Target, Option<String>)> {
        let what = self.what.as_deref().unwrap_or_default();
        let mut items = self.set.clone();
        items.extend(self.seed.map(|seed| format!("seed={seed}")));
        items.extend(self.steps.map(|steps| format!("steps={steps}")));
        items.extend(self.device.as_ref().map(|device| format!("device={device:?}")));
        let settings = match what.ends_with(".toml") || Path::new(what).is_file() {
            true => Settings::load(Path::new(what), &items)?,
            false => Settings::with_items(what, &items)?,
        };
        let path = match &self.out {
            Some(path) => path.clone(),
            None => super::free_folder(Path::new(&format!("runs/{}-{}", settings.preset, settings.seed))),
        };
        folder::require_free(&path)?;
        Ok((settings, Target::Create(path), None))
    }

    /// The settings of the run in `path`, and what its `config.toml` is to say from now on where that is something else.
    fn resumed(&self, path: &Path) -> Result<(Settings, Target, Option<String>)> {
        let folder = Folder::open(path)?;
        let before = Settings::load(&folder.config(), &[])?;
        let mut settings = before.clone();
        if let Some(steps) = self.steps {
            settings.steps = steps;
        }
        // What `auto` took is written in the run, and stays.
        if let Some(device) = self.device.as_ref().filter(|device| *device != "auto") {
            settings.device = device.clone();
        }
        if settings.steps == 0 {
            return Err(Error::Usage("--steps: at least 1".into()));
        }
        // A checkpoint that cannot be read is met again, and told, when the run begins.
        let made = checkpoint::read_metadata(&folder.checkpoint())
            .ok()
            .and_then(|texts| texts.get("synod.step")?.parse::<u64>().ok());
        if let (Some(steps), Some(made)) = (self.steps, made)
            && steps < made.min(before.steps)
        {
            return Err(Error::Usage(format!(
                "--steps {steps}: the run has made {made} agent-steps already"
            )));
        }
        let config = match settings == before {
            true => None,
            false => Some(changed(&folder, &before, &settings, made.unwrap_or(0))?),
        };
        Ok((settings, Target::Open(folder), config))
    }
}

/// The settings of a run that goes on with others than it began with, and a comment that says so: run again from the
/// start, they are another run.
fn changed(folder: &Folder, before: &Settings, settings: &Settings, made: u64) -> Result<String> {
    let path = folder.config();
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
    let mut comments: String =
        text.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    comments += &format!("# until step {made}: steps = {}, device = {:?}\n", before.steps, before.device);
    Ok(comments + &settings.to_toml()?)
}

/// What a learning step is made of, in words.
fn learning_step(program: &Summary, shards: usize) -> String {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let on_gpu = match program.dispatches {
        0 => String::new(),
        // Dispatches of a level do not wait for each other.
        count => format!(" in {count} dispatches and {} levels", program.levels),
    };
    format!(
        "a learning step: {shards} x {} kernels{on_gpu}, {:.1} MFLOP, {:.2} MB planned ({:.2} MB live at once)",
        program.steps,
        program.operations as f64 / 1e6,
        megabytes(program.planned_bytes),
        megabytes(program.live_bytes)
    )
}

enum Target {
    Open(Folder),
    Create(PathBuf),
}
