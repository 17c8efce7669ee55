//! A trained team as one file: its network, what it sees and does, where it comes from. No replay, no worlds, no
//! optimiser. It is a checkpoint (safetensors with checksums) whose metadata hold the description as JSON.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Device;
use crate::agent::actors::Choice;
use crate::agent::{AgentConfig, Policy};
use crate::env::goals::Goal;
use crate::env::{AgentKind, Spec};
use crate::error::{Error, Result};
use crate::preset::Settings;
use crate::run::{checkpoint, folder};
use crate::tensors::Checkpoint;
use crate::train::{LearnerConfig, Making};

/// The metadata's key of the description.
const KEY: &str = "team";

/// Where a team comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The preset of its run.
    pub preset: String,
    /// The seed of its run.
    pub seed: u64,
    /// Agent-steps of training that it has behind it.
    pub steps: u64,
    /// The version of this crate that wrote it.
    pub version: String,
}

/// Everything but the weights. The world itself is not part of it: a host need not know the world of training.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    origin: Origin,
    agent: AgentConfig,
    learner: LearnerConfig,
    separate_parameters: bool,
    show_last_action: bool,
    kind: AgentKind,
    masked: bool,
    state: usize,
    goals: Vec<Goal>,
}

/// A team as it was read.
pub(super) struct Saved {
    pub policy: Box<dyn Policy>,
    pub spec: Spec,
    pub last_action: bool,
    /// How it acts as in training, and greedily.
    pub choices: [Choice; 2],
    pub origin: Origin,
}

impl Description {
    fn of(settings: &Settings, steps: u64) -> Result<Description> {
        let world = settings.judging_worlds(1, settings.seed)?;
        let spec = world.spec();
        Ok(Description {
            origin: Origin {
                preset: settings.preset.clone(),
                seed: settings.seed,
                steps,
                version: env!("CARGO_PKG_VERSION").into(),
            },
            agent: settings.agent.clone(),
            learner: settings.learner.clone(),
            separate_parameters: settings.separate_parameters,
            show_last_action: settings.show_last_action,
            kind: spec.only_kind("a team")?.clone(),
            masked: spec.masked,
            state: spec.state,
            goals: settings.world.goals(),
        })
    }

    /// Checks what a file may say of sizes before anything is made of them.
    fn check(&self) -> Result<()> {
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        self.kind.actions.check()?;
        let numbers = [
            ("agents", Some(self.kind.count), 1 << 20),
            ("numbers in an observation", product(&self.kind.observation), 1 << 24),
            ("numbers in a world's state", Some(self.state), 1 << 24),
        ];
        match numbers.iter().find(|(_, number, most)| number.is_none_or(|n| n > *most)) {
            Some((what, ..)) => Err(Error::Usage(format!("too many {what}"))),
            None => Ok(()),
        }
    }

    fn spec(&self) -> Spec {
        let (kinds, limit) = (vec![self.kind.clone()], u32::MAX);
        Spec { worlds: 1, kinds, state: self.state, masked: self.masked, limit }
    }

    /// The team with the parameters of a checkpoint.
    fn with(self, device: &Device, from: &Checkpoint) -> Result<Saved> {
        self.check()?;
        let spec = self.spec();
        let making = Making {
            device,
            agent: &self.agent,
            separate_parameters: self.separate_parameters,
            goals: self.goals.clone(),
            steps: 1,
            seed: self.origin.seed,
            save_replay: true,
            inherited: None,
        };
        let mut policy = self.learner.policy(&making, &spec)?;
        from.check_architecture(&policy.architecture())?;
        from.check_finite()?;
        policy.parameters().load("agent", from)?;
        policy.settle(device)?;
        let choices = [self.learner.choice(false), self.learner.choice(true)];
        Ok(Saved { policy, spec, last_action: self.show_last_action, choices, origin: self.origin })
    }
}

/// Writes the team of a run, or of a checkpoint file of one, as one file. Without a run it has its initial parameters.
///
/// # Errors
/// A run without a checkpoint, agents of settings that do not fit it, or a file that cannot be written.
pub fn export(settings: &Settings, run: Option<&Path>, to: &Path) -> Result<()> {
    let mut checkpoint = Checkpoint::new();
    let mut steps = 0;
    match run {
        Some(run) => {
            let trained = checkpoint::read_part(&folder::checkpoint_at(run), "agent/")?;
            steps = trained.get::<u64>("synod.step").unwrap_or(0);
            checkpoint.set("architecture", trained.get::<String>("architecture")?);
            checkpoint.tensors = trained.tensors;
        }
        None => {
            let policy = settings.policy(&Device::cpu())?;
            checkpoint.set("architecture", policy.architecture());
            policy.parameters().save("agent", &mut checkpoint)?;
        }
    }
    let description = Description::of(settings, steps)?;
    let text = serde_json::to_string(&description).map_err(|e| Error::config("(all)", e.to_string()))?;
    // Refused now and not where it is to be used.
    description.with(&Device::cpu(), &checkpoint)?;
    checkpoint.set(KEY, text);
    checkpoint::write(to, &checkpoint)
}

/// Reads a run's folder or an exported file.
pub(super) fn read(device: &Device, path: &Path) -> Result<Saved> {
    if path.is_dir() {
        folder::require_run(path)?;
        let settings = Settings::load(&folder::config_of(path), &[])?;
        let file = folder::checkpoint_of(path);
        let checkpoint = checkpoint::read_part(&file, "agent/")?;
        let steps = checkpoint.get::<u64>("synod.step").unwrap_or(0);
        let named = |e: Error| Error::file(&file, None, e.to_string());
        return Description::of(&settings, steps)?.with(device, &checkpoint).map_err(named);
    }
    described(device, path, &checkpoint::read_part(path, "agent/")?)
}

/// Reads an exported file that is in memory.
pub(super) fn read_bytes(device: &Device, bytes: &[u8]) -> Result<Saved> {
    let name = "the team";
    described(device, Path::new(name), &checkpoint::read_bytes(name, bytes, "agent/")?)
}

/// The team of an exported file, which errors call `path`.
fn described(device: &Device, path: &Path, checkpoint: &Checkpoint) -> Result<Saved> {
    let fault = |message: String| Error::file(path, None, message);
    let Some(text) = checkpoint.get::<String>(KEY).ok() else {
        return Err(fault("is no exported team; `synod export RUN` makes one of a run".into()));
    };
    let description: Description =
        serde_json::from_str(&text).map_err(|e| fault(format!("its description cannot be read: {e}")))?;
    description.with(device, checkpoint).map_err(|e| fault(e.to_string()))
}
