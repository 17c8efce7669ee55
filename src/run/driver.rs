//! The loop that drives a trainer to its number of steps, and everything that happens around it: metrics, checkpoints,
//! curves, progress, a clean stop.
//!
//! When to log and when to save is measured in agent-steps, never in time, and what a checkpoint holds does not depend
//! on when earlier ones were taken: a run that was killed or stopped and resumed therefore ends in the same bytes as one
//! that was not.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::folder::{CHECKPOINT, DAMAGED, Folder, shell_quoted};
use super::metrics::{Interval, Metrics};
use super::progress::{Progress, Status, duration};
use super::tensorboard::Events;
use super::{checkpoint, metrics};
use crate::error::{Error, Result};
use crate::picture::number::short;
use crate::picture::plot::{Axes, Series, lines_svg};
use crate::train::{Checkpoint, Report, Trainer};

/// The tensor in which trainers keep what they count, agent-steps first.
const COUNTERS: &str = "trainer/counters";

/// How a run is driven.
#[derive(Clone, Debug)]
pub struct Options {
    /// The run ends with the first iteration that reaches this many agent-steps.
    pub steps: u64,
    /// Agent-steps between checkpoints; a kill loses at most these.
    pub checkpoint_every: u64,
    /// Agent-steps between rows of metrics; 0 for one an iteration.
    pub log_every: u64,
    /// Which reported values the progress bar shows, where they are there.
    pub shown: Vec<String>,
    /// The run goes on from a checkpoint: it is an error where there is none. Otherwise it then starts at step 0.
    pub resume: bool,
    /// What `config.toml` is to say from now on, once the checkpoint is loaded; `None` to leave it.
    pub config: Option<String>,
    /// The command that goes on with the run, for the message after a stop.
    pub resume_command: String,
}

impl Options {
    /// The usual options for a run of so many agent-steps in a folder: a checkpoint every fiftieth of it, a row an
    /// iteration.
    pub fn new(steps: u64, folder: &Path) -> Self {
        Options {
            steps,
            checkpoint_every: (steps / 50).max(1),
            log_every: 0,
            shown: ["return", "csr", "isr", "throughput"].map(str::to_string).to_vec(),
            resume: false,
            config: None,
            resume_command: resume_command(folder),
        }
    }
}

fn resume_command(folder: &Path) -> String {
    format!("synod train --resume {}", shell_quoted(folder))
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whether all steps were made; otherwise it was stopped and can be resumed.
    pub done: bool,
    /// Agent-steps in all.
    pub steps: u64,
    /// Optimiser updates in all.
    pub updates: u64,
    /// Seconds of training in all, pauses left out.
    pub seconds: f64,
    /// The checkpoint that holds the end.
    pub checkpoint: PathBuf,
}

/// Drives `trainer` to `options.steps`, from the folder's checkpoint where it has one and from the start where not. Where
/// the latest checkpoint is missing or damaged the one before it is taken, with a warning.
///
/// A run is made of whole iterations: it ends with the first that reaches `options.steps`, and the message at the end says
/// how many agent-steps that were.
///
/// Set `stop` (see [`stop_on_signal`](super::signal::stop_on_signal)) and the present iteration is finished, a checkpoint saved and the function
/// left with `done: false`.
///
/// # Errors
/// - [`Error::Usage`] for zero steps or a zero checkpoint interval;
/// - [`Error::File`] where there is no checkpoint and `options.resume` wants one, where it is damaged and there is none
///   before it, holds a parameter that is not finite, or belongs to another architecture: nothing is changed then;
/// - [`Error::NotFinite`] with the step, the name and the last good checkpoint, which is left as it is;
/// - [`Error::Io`] where a file cannot be written; the last checkpoint is whole, and the run can be resumed from it;
/// - whatever the trainer reports.
pub fn drive(
    trainer: &mut dyn Trainer,
    folder: &Folder,
    options: &Options,
    progress: &mut dyn Progress,
    stop: &AtomicBool,
) -> Result<Outcome> {
    if options.steps == 0 {
        return Err(Error::Usage("a run needs at least one step".into()));
    }
    if options.checkpoint_every == 0 {
        return Err(Error::Usage("a checkpoint every 0 steps would never let the run begin".into()));
    }
    let result = Run::begin(trainer, folder, options, progress).and_then(|mut run| run.go(stop));
    progress.finish();
    let outcome = result?;
    let at = format!("{} steps, {}", short(outcome.steps as f64), duration(outcome.seconds));
    let beyond = match outcome.steps.saturating_sub(options.steps) {
        0 => String::new(),
        more => format!(" ({} in whole iterations: {more} more than {})", outcome.steps, options.steps),
    };
    let moved = folder.directory().moved_to();
    if let Some(now) = &moved {
        progress.message(&format!("{} was moved; its run is in {}", folder.path().display(), now.display()));
    }
    let go_on = moved.as_deref().map_or_else(|| options.resume_command.clone(), resume_command);
    progress.message(&match outcome.done {
        true => format!("done: {at}{beyond}; {}", folder.directory().here().display()),
        false => format!("stopped and saved: {at}; go on with: {go_on}"),
    });
    Ok(outcome)
}

/// A run under way.
struct Run<'a> {
    trainer: &'a mut dyn Trainer,
    folder: &'a Folder,
    options: &'a Options,
    progress: &'a mut dyn Progress,
    metrics: Metrics<'a>,
    events: Events,
    interval: Interval,
    steps: u64,
    updates: u64,
    /// The step of the checkpoint on disk.
    saved: Option<u64>,
    shown: Vec<(String, f64)>,
    seconds_before: f64,
    began: Instant,
    row: (Instant, u64),
    recent: VecDeque<(Instant, u64)>,
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

impl<'a> Run<'a> {
    fn begin(
        trainer: &'a mut dyn Trainer,
        folder: &'a Folder,
        options: &'a Options,
        progress: &'a mut dyn Progress,
    ) -> Result<Self> {
        let found = find(folder)?;
        let (mut steps, mut updates, mut interval, mut saved) = (0, 0, Interval::default(), None);
        match found {
            Some(Found { state, name, damaged }) => {
                let path = folder.path().join(&name);
                (steps, updates, interval) = load(trainer, &state, &path)?;
                saved = Some(steps);
                if damaged {
                    // Out of the way, or the next save would keep it as the previous one.
                    let aside = folder.directory().rename(CHECKPOINT, DAMAGED);
                    aside.map_err(|e| Error::io(folder.checkpoint(), e))?;
                }
                progress.message(&format!(
                    "going on from {} steps ({})",
                    short(steps as f64),
                    path.display()
                ));
            }
            None if options.resume => {
                let config = shell_quoted(&folder.config());
                let message =
                    format!("there is no checkpoint to go on from; start anew with: synod train {config}");
                return Err(Error::file(folder.checkpoint(), None, message));
            }
            None if folder.directory().has("metrics.csv") => {
                tracing::warn!("{} has no checkpoint: it begins again at step 0", folder.path().display());
            }
            None => {}
        }
        // Only now are files touched: a checkpoint that cannot be loaded leaves everything as it was.
        if let Some(config) = &options.config {
            folder.write_config(config)?;
        }
        let metrics = Metrics::open(folder.directory(), steps)?;
        let events = Events::resume(&folder.directory().make_inside("events")?, steps, unix_seconds())?;
        let now = Instant::now();
        Ok(Run {
            trainer,
            folder,
            options,
            progress,
            seconds_before: metrics.seconds(),
            metrics,
            events,
            interval,
            steps,
            updates,
            saved,
            shown: Vec::new(),
            began: now,
            row: (now, steps),
            recent: VecDeque::from([(now, steps)]),
        })
    }

    fn go(&mut self, stop: &AtomicBool) -> Result<Outcome> {
        while self.steps < self.options.steps {
            if stop.load(Ordering::Relaxed) {
                self.save()?;
                return Ok(self.outcome(false));
            }
            let report = self.trainer.step().map_err(|e| self.with_checkpoint(e))?;
            self.check(&report)?;
            let before = self.steps;
            (self.steps, self.updates) = (report.steps, report.updates);
            self.interval.add(&report);
            self.show(&report);
            let crossed = |every: u64| before / every.max(1) < self.steps / every.max(1);
            let (log, save) = (crossed(self.options.log_every), crossed(self.options.checkpoint_every));
            if log {
                self.write_row()?;
            }
            if save && self.steps < self.options.steps {
                self.save()?;
            }
        }
        if !self.interval.is_empty() {
            self.write_row()?;
        }
        self.save()?;
        Ok(self.outcome(true))
    }

    fn outcome(&self, done: bool) -> Outcome {
        Outcome {
            done,
            steps: self.steps,
            updates: self.updates,
            seconds: self.seconds(),
            checkpoint: self.folder.checkpoint(),
        }
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }

    fn last_good(&self) -> String {
        match self.saved {
            Some(step) => format!("{} (step {step})", self.folder.checkpoint().display()),
            None => "none yet".into(),
        }
    }

    fn with_checkpoint(&self, error: Error) -> Error {
        match error {
            Error::NotFinite { step, tensor, .. } => {
                Error::NotFinite { step, tensor, checkpoint: self.last_good() }
            }
            other => other,
        }
    }

    /// Stops at a value that is not finite and at a trainer that does not move.
    fn check(&self, report: &Report) -> Result<()> {
        if let Some((name, _)) = report.values.iter().find(|(_, value)| !value.is_finite()) {
            let checkpoint = self.last_good();
            return Err(Error::NotFinite { step: report.steps, tensor: name.clone(), checkpoint });
        }
        if report.steps <= self.steps {
            return Err(Error::Usage(format!(
                "the trainer reports {} steps after {}; an iteration must make at least one",
                report.steps, self.steps
            )));
        }
        Ok(())
    }

    fn show(&mut self, report: &Report) {
        for name in &self.options.shown {
            let Some(value) = report.value(name) else { continue };
            match self.shown.iter_mut().find(|(n, _)| n == name) {
                Some((_, mean)) => *mean += 0.1 * (value - *mean),
                None => self.shown.push((name.clone(), value)),
            }
        }
        // The rate of the last half minute: a long run that slows down should say so.
        let now = Instant::now();
        if self.recent.back().is_none_or(|(then, _)| (now - *then).as_secs_f64() > 0.5) {
            self.recent.push_back((now, self.steps));
            if self.recent.len() > 60 {
                self.recent.pop_front();
            }
        }
        let (then, steps) = self.recent.front().copied().unwrap_or((self.began, 0));
        let elapsed = (now - then).as_secs_f64();
        let rate = if elapsed > 0.0 { (self.steps - steps) as f64 / elapsed } else { 0.0 };
        let total = self.options.steps;
        self.progress.update(&Status { steps: self.steps, total, rate, values: &self.shown });
    }

    fn write_row(&mut self) -> Result<()> {
        let values = self.interval.take();
        let now = Instant::now();
        let (then, steps) = std::mem::replace(&mut self.row, (now, self.steps));
        let rate = (self.steps - steps) as f64 / (now - then).as_secs_f64().max(1e-9);
        self.metrics
            .row(self.steps, self.updates, self.seconds(), rate, &values)
            .map_err(|e| self.cannot_write(e))?;
        let rate = ("wall/steps_per_second", rate);
        let scalars = values.iter().map(|(n, v)| (n.as_str(), *v)).chain([rate]);
        self.events.scalars(self.steps, unix_seconds(), scalars).map_err(|e| self.cannot_write(e))
    }

    fn save(&mut self) -> Result<()> {
        if self.saved == Some(self.steps) {
            return Ok(());
        }
        let mut state = self.trainer.save().map_err(|e| self.with_checkpoint(e))?;
        state.set("synod.step", self.steps);
        state.set("synod.updates", self.updates);
        if !self.interval.is_empty() {
            state.set("synod.interval", self.interval.to_text());
        }
        // The rows up to a checkpoint are on the disk before it is.
        self.metrics.sync().map_err(|e| self.cannot_write(e))?;
        self.events.sync().map_err(|e| self.cannot_write(e))?;
        checkpoint::write_in(self.folder.directory(), CHECKPOINT, &state)
            .map_err(|e| self.cannot_write(e))?;
        self.saved = Some(self.steps);
        // Curves are a convenience: they can be drawn again from the metrics, so they stop nothing.
        if let Err(error) = draw_curves(self.folder) {
            tracing::warn!("no curves: {error}");
        }
        Ok(())
    }

    /// Says what a full or unwritable disk means for the run.
    fn cannot_write(&self, error: Error) -> Error {
        match error {
            Error::Io { path, source } => {
                let resume = match self.saved {
                    Some(_) => format!("; once that is mended go on with: {}", self.options.resume_command),
                    None => String::new(),
                };
                let message = format!(
                    "{source}; the run stops at step {}; the last good checkpoint is {}{resume}",
                    self.steps,
                    self.last_good()
                );
                Error::Io { path, source: std::io::Error::new(source.kind(), message) }
            }
            other => other,
        }
    }
}

/// A checkpoint of a folder that can be read.
struct Found {
    state: Checkpoint,
    /// Its name in the folder.
    name: PathBuf,
    /// The latest is there and damaged, and this is the one before it.
    damaged: bool,
}

/// The latest checkpoint of a folder, or the one before it where that is missing or damaged; none where there is neither.
fn find(folder: &Folder) -> Result<Option<Found>> {
    let directory = folder.directory();
    let names = directory.names().map_err(|e| Error::io(folder.path(), e))?;
    let there = |name: &Path| names.iter().any(|n| n == name.as_os_str());
    let (latest, previous) = (PathBuf::from(CHECKPOINT), checkpoint::previous_of(Path::new(CHECKPOINT)));
    let fault = match there(&latest) {
        true => match checkpoint::read_in(directory, &latest) {
            Ok(state) => return Ok(Some(Found { state, name: latest, damaged: false })),
            Err(Error::Io { path, source }) if source.kind() == ErrorKind::PermissionDenied => {
                return Err(Error::Io { path, source });
            }
            Err(error) => Some(error),
        },
        false => None,
    };
    if !there(&previous) {
        return fault.map_or(Ok(None), Err);
    }
    let damaged = fault.is_some();
    let why = match &fault {
        Some(error) => error.to_string(),
        None => format!("{} is missing", folder.checkpoint().display()),
    };
    match checkpoint::read_in(directory, &previous) {
        Ok(state) => {
            tracing::warn!(
                "{why}: the checkpoint before it is taken, {}",
                directory.join(&previous).display()
            );
            Ok(Some(Found { state, name: previous, damaged }))
        }
        Err(error) => Err(fault.unwrap_or(error)),
    }
}

/// Loads a checkpoint into a trainer: its steps, its updates, and what was reported since the last row.
fn load(trainer: &mut dyn Trainer, state: &Checkpoint, path: &Path) -> Result<(u64, u64, Interval)> {
    let fault = |message: String| Error::file(path, None, message);
    let in_file = |error: Error| match error {
        Error::Usage(message) => fault(message),
        other => other,
    };
    let own = trainer.save()?;
    if let (Some(theirs), Some(ours)) = (state.metadata.get("architecture"), own.metadata.get("architecture"))
        && theirs != ours
    {
        return Err(fault(format!("belongs to the architecture `{theirs}`; this run has `{ours}`")));
    }
    state.check_finite().map_err(in_file)?;
    let number = |name: &str| state.get::<u64>(name).map_err(in_file);
    let (steps, updates) = (number("synod.step")?, number("synod.updates")?);
    // Trainers begin their counters with their agent-steps.
    if let Some(counters) = state.tensors.get(COUNTERS)
        && let [counted, ..] = counters.to_u64().map_err(in_file)?[..]
        && counted != steps
    {
        return Err(fault(format!(
            "contradicts itself: `synod.step` is {steps}, `{COUNTERS}` has {counted}"
        )));
    }
    let interval = match state.metadata.get("synod.interval") {
        Some(text) => {
            Interval::from_text(text).ok_or_else(|| fault("has a broken `synod.interval`".into()))?
        }
        None => Interval::default(),
    };
    trainer.load(state).map_err(in_file)?;
    Ok((steps, updates, interval))
}

/// Draws a learning curve for every column of a run's metrics into `plots/`.
///
/// # Errors
/// Where the metrics cannot be read or the pictures not be written.
pub fn draw_curves(folder: &Folder) -> Result<()> {
    let rows = metrics::read_in(folder.directory())?;
    let plots = folder.directory().make_inside("plots")?;
    for (column, points) in rows.columns.iter().zip(rows.curves(600)).skip(2) {
        if points.is_empty() || column == "wall/seconds" {
            continue;
        }
        let name: String =
            column.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
        let axes = Axes::new(column, "agent-steps", &metrics::described(column));
        let svg = lines_svg(&axes, &[Series::new(column, points)])?;
        plots.write(format!("{name}.svg"), |file| file.write_all(svg.as_bytes()))?;
    }
    Ok(())
}
