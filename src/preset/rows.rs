//! Results for other programs: where they come from, and a row an episode.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Settings;
use crate::env::EpisodeReport;
use crate::error::{Error, Result};
use crate::run::{checkpoint, folder};

/// What was evaluated: said in every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    run: String,
    seed: u64,
    step: u64,
    evaluation_seed: u64,
    world: &'static str,
}

impl Provenance {
    /// The run, or the checkpoint file, in `path`, evaluated with a seed.
    ///
    /// # Errors
    /// A checkpoint that cannot be read, or does not say at which step it was made.
    pub fn of(settings: &Settings, path: &Path, evaluation_seed: u64) -> Result<Self> {
        let file = folder::checkpoint_at(path);
        let texts = checkpoint::read_metadata(&file)?;
        let step = texts.get("synod.step").and_then(|text| text.parse().ok());
        Ok(Provenance {
            run: file.parent().unwrap_or(path).display().to_string(),
            seed: settings.seed,
            step: step.ok_or_else(|| Error::file(&file, None, "does not say at which step it was made"))?,
            evaluation_seed,
            world: settings.world.name(),
        })
    }

    /// `run`, `seed` (that the run was trained with), `step`, `version` (of this program), `evaluation_seed`, `world`.
    pub fn fields(&self) -> Map<String, Value> {
        let fields = json!({
            "run": self.run,
            "seed": self.seed,
            "step": self.step,
            "version": env!("CARGO_PKG_VERSION"),
            "evaluation_seed": self.evaluation_seed,
            "world": self.world,
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// A row an episode: the [`Provenance::fields`], `map` (empty where all worlds are alike), `agents`, `episode` (counted on
    /// each map with each number of agents), and every measure of the world.
    pub fn episodes(&self, reports: &[EpisodeReport]) -> Vec<Value> {
        let mut played: HashMap<(&str, usize), u64> = HashMap::new();
        reports
            .iter()
            .map(|report| {
                let episode = played.entry((&report.label, report.agents)).or_default();
                let mut row = self.fields();
                row.insert("map".into(), report.label.as_str().into());
                row.insert("agents".into(), report.agents.into());
                row.insert("episode".into(), (*episode).into());
                row.extend(report.values.iter().map(|(name, value)| ((*name).to_string(), json!(value))));
                *episode += 1;
                Value::Object(row)
            })
            .collect()
    }
}
