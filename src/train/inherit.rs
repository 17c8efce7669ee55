//! Weights that an agent takes from another run instead of drawing its own.

use std::path::{Path, PathBuf};

use super::Checkpoint;
use super::rates::{belongs, no_part};
use crate::agent::Policy;
use crate::error::{Error, Result};
use crate::nn::Parameters;
use crate::tensors::ElementType;

/// Where agents stand in checkpoints.
const AGENT: &str = "agent/";

/// The agent of a checkpoint, of which a new agent takes all or a part.
#[derive(Debug, Clone)]
pub struct Inherited {
    path: PathBuf,
    checkpoint: Checkpoint,
    only: Option<String>,
}

/// What a new agent takes from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Tensors taken.
    pub tensors: usize,
    /// Numbers in them.
    pub numbers: usize,
    /// The names of the tensors that stay as they were drawn.
    pub left: Vec<String>,
}

impl Inherited {
    /// The agent of a checkpoint, which `path` calls in messages; with `only`, the parameters whose names begin with it.
    pub fn new(path: &Path, checkpoint: Checkpoint, only: Option<&str>) -> Self {
        Inherited { path: path.to_path_buf(), checkpoint, only: only.map(str::to_string) }
    }

    /// Whether a parameter of that name is to be taken.
    fn takes(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| belongs(name, only))
    }

    /// Compares what is to be taken with an agent.
    ///
    /// # Errors
    /// [`Error::File`] where the whole is to be taken and is another network; where a part is, with every tensor that is
    /// missing, superfluous or of another shape; where no parameter's name begins so, or one is not finite.
    pub fn check(&self, agent: &dyn Policy) -> Result<Taken> {
        let fault = |message: String| Error::file(&self.path, None, message);
        if self.only.is_none() {
            self.checkpoint.check_architecture(&agent.architecture()).map_err(|e| {
                fault(format!("{e}; `--only PART` takes the parameters whose names begin with PART"))
            })?;
        }
        let expected: Vec<(String, &[usize])> = agent
            .parameters()
            .iter()
            .filter(|(name, _)| self.takes(name))
            .map(|(name, shape)| (format!("{AGENT}{name}"), &shape[..]))
            .collect();
        if expected.is_empty() {
            let only = self.only.as_deref().unwrap_or_default();
            return Err(Error::Usage(no_part(only, &[agent.parameters()])));
        }
        let mut theirs = Checkpoint::new();
        for (name, tensor) in &self.checkpoint.tensors {
            if name.strip_prefix(AGENT).is_some_and(|name| self.takes(name)) {
                theirs.insert(name.clone(), tensor.clone());
            }
        }
        theirs
            .check(expected.iter().map(|(name, shape)| (name.as_str(), ElementType::F32, *shape)))
            .and_then(|()| theirs.check_finite())
            .map_err(|e| fault(e.to_string()))?;
        let left = agent.parameters().iter().filter(|(name, _)| !self.takes(name));
        Ok(Taken {
            tensors: expected.len(),
            numbers: expected.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum(),
            left: left.map(|(name, _)| name.to_string()).collect(),
        })
    }

    /// Loads what is to be taken into parameters whose names stand under `prefix` in checkpoints: `agent`, or that of a
    /// level. [`Inherited::check`] comes first.
    ///
    /// # Errors
    /// A tensor is missing or has another shape, or what the device reports.
    pub fn load(&self, prefix: &str, parameters: &Parameters) -> Result<()> {
        let mut all = Checkpoint::new();
        parameters.save(prefix, &mut all)?;
        for (name, own) in &mut all.tensors {
            if name.strip_prefix(AGENT).is_some_and(|name| self.takes(name)) {
                *own = self.checkpoint.tensor(name)?.clone();
            }
        }
        parameters.load(prefix, &all)
    }
}
