//! What a run goes on from: the checkpoint of its folder that can be read, loaded into its trainer.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::best::Best;
use super::checkpoint;
use super::folder::{CHECKPOINT, Folder};
use super::metrics::Interval;
use crate::error::{Error, Result};
use crate::train::{Checkpoint, Trainer};

/// The tensor in which trainers keep what they count, agent-steps first.
const COUNTERS: &str = "trainer/counters";

/// A checkpoint of a folder that can be read.
pub(super) struct Found {
    pub state: Checkpoint,
    /// Its name in the folder.
    pub name: PathBuf,
    /// The latest is there and damaged, and this is the one before it.
    pub damaged: bool,
}

/// The latest checkpoint of a folder, or the one before it where that is missing or damaged; none where there is neither.
pub(super) fn find(folder: &Folder) -> Result<Option<Found>> {
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

/// What a checkpoint says of its run.
#[derive(Default)]
pub(super) struct Loaded {
    pub steps: u64,
    pub updates: u64,
    /// What was reported since the last row.
    pub interval: Interval,
    pub best: Option<Best>,
}

/// Loads a checkpoint into a trainer.
pub(super) fn load(trainer: &mut dyn Trainer, state: &Checkpoint, path: &Path) -> Result<Loaded> {
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
    let best = match state.metadata.get("synod.best") {
        Some(text) => {
            Some(Best::from_text(text, steps).ok_or_else(|| fault("has a broken `synod.best`".into()))?)
        }
        None => None,
    };
    trainer.load(state).map_err(in_file)?;
    Ok(Loaded { steps, updates, interval, best })
}
