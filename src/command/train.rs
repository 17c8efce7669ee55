//! `synod train`.

use std::path::{Path, PathBuf};

use crate::env::pathfinding::PathfindingConfig;
use crate::picture::number::{short, significant};
use crate::preset::Settings;
use crate::preset::choice::{self, Choice};
use crate::preset::collaborate;
use crate::run::best::Evaluate;
use crate::run::driver::{self, Options};
use crate::run::folder::{self, Folder};
use crate::run::{checkpoint, progress, signal};
use crate::train::Taken;
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
  synod train bottleneck-sparse --init-from runs/bottleneck-0 --only encoder
  synod train spread-vdn --no-replay --set eval_every=100000 --set eval_episodes=64
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
    /// Start from the weights of another run's agent: its last checkpoint, or a checkpoint file
    #[arg(long, value_name = "RUN|FILE")]
    init_from: Option<PathBuf>,
    /// With --init-from: take only the weights whose names begin with this, for instance `encoder`
    #[arg(long, value_name = "PART", requires = "init_from")]
    only: Option<String>,
    /// Keep the replay out of checkpoints: small ones, from which a run goes on with an empty replay
    #[arg(long)]
    no_replay: bool,
    /// Go on with a run that was stopped or killed
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["what", "out", "seed", "set", "init_from", "only", "no_replay"]
    )]
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
        if let (Some(from), Some(taken)) = (&settings.init_from, settings.taken(&device)?) {
            note(taken_in_words(from, &taken));
        }
        let mut judge = settings.judge(&device, trainer.as_ref())?;
        let folder = match folder {
            Target::Open(folder) => folder,
            // The folder is made last: settings that cannot run leave nothing behind.
            Target::Create(path) => Folder::create(&path, &settings.to_toml()?)?,
        };
        let mut options = Options::new(settings.steps, folder.path());
        options.checkpoint_every = settings.checkpoint_every;
        options.eval_every = settings.eval_every;
        (options.resume, options.config) = (self.resume.is_some(), config);
        if options.resume && !settings.save_replay {
            note("the replay begins empty: checkpoints of this run hold none (save_replay = false)");
        }
        let title = format!("{} seed {} on {}", settings.preset, settings.seed, device.name());
        let mut progress = progress::on_stderr(&title);
        let evaluator = judge.as_mut().map(|judge| judge as &mut dyn Evaluate);
        let outcome = driver::drive_and_evaluate(
            trainer.as_mut(),
            evaluator,
            &folder,
            &options,
            progress.as_mut(),
            stop,
        )?;
        if outcome.done {
            let run = folder::shell_quoted(&folder.directory().here());
            if let Some(best) = outcome.best {
                let (score, step) = (significant(best.score), short(best.step as f64));
                note(format_args!("the best evaluation: {score} at step {step} (synod eval {run} --best)"));
            }
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
        let mut settings = match what.ends_with(".toml") || Path::new(what).is_file() {
            true => Settings::load(Path::new(what), &items)?,
            false => Settings::with_items(what, &items)?,
        };
        settings.save_replay &= !self.no_replay;
        if let Some(from) = &self.init_from {
            settings.init_from = Some(from.clone());
            settings.init_only = self.only.clone();
        }
        let path = match &self.out {
            Some(path) => path.clone(),
            None => super::free_folder(Path::new(&format!("runs/{}-{}", settings.preset, settings.seed))),
        };
        folder::require_free(&path)?;
        Ok((settings, Target::Create(path), None))
    }

    /// The settings of the run in `path`, and what its `config.toml` is to say from now on where that is something else.
    fn resumed(&self, path: &Path) -> Result<(Settings, Target, Option<String>)> {
        if path.join(collaborate::NAME).is_file() {
            return Err(Error::Usage(format!(
                "{} is a run of a team of roles; go on with: synod collaborate --resume {0}",
                folder::shell_quoted(path)
            )));
        }
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
        // Its weights come from its own checkpoint.
        (settings.init_from, settings.init_only) = (None, None);
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

/// What an agent takes of another run's weights, in words.
fn taken_in_words(from: &Path, taken: &Taken) -> String {
    const MOST: usize = 6;
    let numbers = short(taken.numbers as f64);
    let left = match &taken.left[..] {
        [] => String::new(),
        left if left.len() <= MOST => format!("; left as drawn: {}", left.join(", ")),
        left => format!("; left as drawn: {} and {} more", left[..MOST].join(", "), left.len() - MOST),
    };
    format!("from {}: {} tensors of {numbers} numbers{left}", from.display(), taken.tensors)
}

enum Target {
    Open(Folder),
    Create(PathBuf),
}
