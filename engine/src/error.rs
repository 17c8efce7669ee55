//! The one error type. Every variant names the thing at fault: the op and its shapes, the file and line, the key
//! of a configuration and what was expected, the device and what it lacks.

use std::path::{Path, PathBuf};

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Operands whose shapes or element types an op cannot take.
    #[error("{op}: {message} (operands {operands})")]
    Shape {
        /// The op, by its registry name.
        op: String,
        /// The operands as `f32[2, 3], u32[4]`.
        operands: String,
        /// Which rule was broken.
        message: String,
    },
    /// A derivative that does not exist, or that nobody has written.
    #[error("no gradient: {op}: {message}")]
    NoGradient {
        /// The op, by its registry name.
        op: String,
        /// Why there is none.
        message: String,
    },
    /// A graph that cannot be built or run as asked (tensors of two graphs, an unknown input, a wrong length).
    #[error("graph: {0}")]
    Graph(String),
    /// A size over what the device offers.
    #[error("{op}: {what} of {needed} is over this device's limit of {limit} (operands {operands})")]
    Limit {
        /// The op, by its registry name.
        op: String,
        /// The quantity, with its unit.
        what: String,
        /// How much the op needs.
        needed: u64,
        /// How much the device has.
        limit: u64,
        /// The operands as `f32[2, 3], u32[4]`.
        operands: String,
    },
    /// A device that is missing, lost, or lacks something.
    #[error("device {device}: {message}")]
    Device {
        /// The device as the user named it or as it names itself.
        device: String,
        /// What it lacks or what it reported.
        message: String,
    },
    /// A file whose content is not what it should be.
    #[error("{}{}: {message}", path.display(), line.map(|l| format!(":{l}")).unwrap_or_default())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong with it.
        message: String,
    },
    /// A setting that is unknown or out of range.
    #[error("setting `{key}`: {message}")]
    Config {
        /// The key, dotted (`learner.clip`).
        key: String,
        /// What was expected, with the nearest known key where there is one.
        message: String,
    },
    /// A number that is not finite during training.
    #[error("step {step}: `{tensor}` is not finite; the last good checkpoint is {checkpoint}")]
    NotFinite {
        /// The training step.
        step: u64,
        /// The tensor, by its name.
        tensor: String,
        /// The last good checkpoint, or a word that there is none.
        checkpoint: String,
    },
    /// Bad arguments to a function or on the command line.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A result with synod's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<crate::cpu::Misfit> for Error {
    fn from(misfit: crate::cpu::Misfit) -> Self {
        Error::Usage(misfit.0)
    }
}

impl Error {
    /// A file error at a line (from 1) or for the file as a whole.
    pub fn file(path: impl AsRef<Path>, line: Option<usize>, message: impl Into<String>) -> Self {
        Error::File { path: path.as_ref().to_path_buf(), line, message: message.into() }
    }

    /// An input or output error with the path it happened at.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().to_path_buf(), source }
    }

    /// A setting that is unknown or out of range.
    pub fn config(key: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Config { key: key.into(), message: message.into() }
    }
}

/// Checks that a setting lies between two ends, both allowed.
///
/// # Errors
/// [`Error::Config`] with what was expected and what was given; a NaN lies nowhere.
pub fn within<T>(key: impl Into<String>, value: T, low: T, high: T) -> Result<()>
where
    T: PartialOrd + std::fmt::Display + std::fmt::LowerExp,
{
    if value >= low && value <= high {
        return Ok(());
    }
    // The largest float has 39 digits.
    let end = |x: T| match x.to_string() {
        short if short.len() <= 20 => short,
        _ => format!("{x:e}"),
    };
    let (low, high) = (end(low), end(high));
    Err(Error::config(key, format!("expected {low} to {high}, got {value}")))
}

/// The known name nearest to `name`, for "did you mean" in errors; `None` where nothing is near.
///
/// ```
/// assert_eq!(synod_engine::error::nearest("botleneck", ["bottleneck", "mazes"]), Some("bottleneck"));
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .filter(|(distance, k)| *distance <= 1 + k.len().max(name.len()) / 3)
        .min()
        .map(|(_, k)| k)
}
