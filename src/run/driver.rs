//! The loop that drives a trainer to its number of steps, and everything that happens around it: metrics, evaluations,
//! checkpoints, curves, progress, a clean stop.
//!
//! When to log, to evaluate and to save is measured in agent-steps, never in time, and what a checkpoint holds does not depend
//! on when earlier ones were taken: a run that was killed or stopped and resumed therefore ends in the same bytes as one
//! that was not.
//!
//! ```
//! use synod::run::driver::Options;
//! let options = Options { log_every: 10_000, ..Options::new(1_000_000, "runs/mine".as_ref()) };
//! assert_eq!(options.checkpoint_every, 20_000);
//! ```

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::best::{Best, Evaluate};
use super::checkpoint;
use super::curves::draw_curves;
use super::folder::{CHECKPOINT, DAMAGED, Folder, shell_quoted};
use super::metrics::{Interval, Metrics};
use super::progress::{Progress, Status, duration};
use super::resume::{Found, Loaded, find, load};
use super::tensorboard::Events;
use crate::error::{Error, Result};
use crate::picture::number::short;
use crate::train::{Report, Trainer};

/// How a run is driven.
#[derive(Clone, Debug)]
pub struct Options {
    /// The run ends with the first iteration that reaches this many agent-steps.
    pub steps: u64,
    /// Agent-steps between checkpoints; a kill loses at most these.
    pub checkpoint_every: u64,
    /// Agent-steps between rows of metrics; 0 for one an iteration.
    pub log_every: u64,
    /// Agent-steps between evaluations, where something evaluates ([`drive_and_evaluate`]); 0 for none. A run is evaluated
    /// after the iteration that reaches a multiple of them.
    pub eval_every: u64,
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
            eval_every: 0,
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
    /// Seconds of training in all, pauses and evaluations left out.
    pub seconds: f64,
    /// The best evaluation, where there was one.
    pub best: Option<Best>,
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
    drive_and_evaluate(trainer, None, folder, options, progress, stop)
}

/// As [`drive`], and has what was learned evaluated every `options.eval_every` agent-steps. What `evaluator` gives is
/// reported with `eval/` before its names; the agent of the best evaluation is kept as `best.safetensors`. The training is
/// the same to the bit with and without.
///
/// # Errors
/// As [`drive`], and whatever the evaluation reports.
pub fn drive_and_evaluate(
    trainer: &mut dyn Trainer,
    evaluator: Option<&mut dyn Evaluate>,
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
    // For no longer than `progress` is lent.
    let evaluator = evaluator.map(|evaluator| evaluator as &mut dyn Evaluate);
    let result = Run::begin(trainer, evaluator, folder, options, progress).and_then(|mut run| run.go(stop));
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
    evaluator: Option<&'a mut dyn Evaluate>,
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
    best: Option<Best>,
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
        evaluator: Option<&'a mut dyn Evaluate>,
        folder: &'a Folder,
        options: &'a Options,
        progress: &'a mut dyn Progress,
    ) -> Result<Self> {
        let found = find(folder)?;
        let Loaded { mut steps, mut updates, mut interval, mut best } = Loaded::default();
        let mut saved = None;
        match found {
            Some(Found { state, name, damaged }) => {
                let path = folder.path().join(&name);
                Loaded { steps, updates, interval, best } = load(trainer, &state, &path)?;
                best = Best::resume(folder.directory(), best);
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
            evaluator,
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
            best,
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
            if self.options.eval_every > 0 && crossed(self.options.eval_every) {
                self.evaluate()?;
            }
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
            best: self.best,
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
        self.check_finite(report.steps, &report.values)?;
        if report.steps <= self.steps {
            return Err(Error::Usage(format!(
                "the trainer reports {} steps after {}; an iteration must make at least one",
                report.steps, self.steps
            )));
        }
        Ok(())
    }

    fn check_finite(&self, step: u64, values: &[(String, f64)]) -> Result<()> {
        match values.iter().find(|(_, value)| !value.is_finite()) {
            Some((name, _)) => {
                Err(Error::NotFinite { step, tensor: name.clone(), checkpoint: self.last_good() })
            }
            None => Ok(()),
        }
    }

    /// Has what was learned evaluated, and keeps the agent where none before it was better.
    fn evaluate(&mut self) -> Result<()> {
        let Some(evaluator) = &mut self.evaluator else { return Ok(()) };
        let began = Instant::now();
        let agent = self.trainer.save_agent()?;
        let values = evaluator.evaluate(&agent).map_err(|e| self.with_checkpoint(e))?;
        let values: Vec<(String, f64)> =
            values.into_iter().map(|(name, value)| (format!("eval/{name}"), value)).collect();
        self.check_finite(self.steps, &values)?;
        if let Some((name, score)) = values.first() {
            match self.shown.iter_mut().find(|(shown, _)| shown == name) {
                Some((_, value)) => *value = *score,
                None => self.shown.push((name.clone(), *score)),
            }
            if self.best.is_none_or(|best| best.is_beaten_by(*score)) {
                let best = Best { step: self.steps, score: *score };
                best.keep(self.folder.directory(), agent).map_err(|e| self.cannot_write(e))?;
                self.best = Some(best);
            }
        }
        self.interval.add(&Report { values, ..Report::default() });
        // Seconds and rates are those of training alone.
        let took = began.elapsed();
        self.began += took;
        self.row.0 += took;
        self.recent.iter_mut().for_each(|(then, _)| *then += took);
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
        if let Some(best) = self.best {
            state.set("synod.best", best.to_text());
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
