//! `synod settings`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::{print, print_json};
use crate::error::nearest;
use crate::preset::{Setting, Settings, describe};
use crate::{Error, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  synod settings bottleneck                  every setting: value, default, range, what it is for
  synod settings spread-qmix learner.mixer   one of them, or a table of them
  synod settings bottleneck --set world=taxi --set agent=team --set learner=dqn
  synod settings bottleneck --toml > my.toml a complete configuration, to be changed and trained")]
pub struct ShowSettings {
    /// A preset (see `synod list`) or a config file
    #[arg(value_name = "PRESET|CONFIG.toml")]
    what: String,
    /// A setting, or a table of settings
    key: Option<String>,
    /// Change a setting first; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the configuration as a run writes it
    #[arg(long, conflicts_with_all = ["json", "key"])]
    toml: bool,
}

impl ShowSettings {
    pub fn run(self) -> Result<()> {
        let settings = match self.what.ends_with(".toml") || Path::new(&self.what).is_file() {
            true => Settings::load(Path::new(&self.what), &self.set)?,
            false => Settings::with_items(&self.what, &self.set)?,
        };
        if self.toml {
            return print(&settings.to_toml()?);
        }
        let all = describe(&settings)?;
        let shown: Vec<&Setting> = match &self.key {
            None => all.iter().collect(),
            Some(key) => under(&all, key)?,
        };
        if self.json {
            return print_json(&json!(shown));
        }
        let mut text = String::new();
        for setting in shown {
            text += &entry(setting);
        }
        print(&text)
    }
}

/// The setting of that name, or those of the table.
fn under<'a>(all: &'a [Setting], key: &str) -> Result<Vec<&'a Setting>> {
    let table = format!("{key}.");
    let found: Vec<&Setting> =
        all.iter().filter(|setting| setting.key == key || setting.key.starts_with(&table)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_string();
    let same = all.iter().map(|setting| setting.key.as_str()).find(|other| last(other) == last(key));
    let near = same.or_else(|| nearest(key, all.iter().map(|setting| setting.key.as_str())));
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(Error::config(key, format!("there is no such setting{hint}")))
}

/// `learner.clip = 0.2   0 to 1000` and what it is for.
fn entry(setting: &Setting) -> String {
    let show = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut line = format!("{} = {}", setting.key, show(&setting.value));
    if let Some(default) = setting.default.as_ref().filter(|default| **default != setting.value) {
        line += &format!("   (default {})", show(default));
    }
    if !setting.range.is_empty() {
        line += &format!("   [{}]", setting.range);
    }
    match setting.about.is_empty() {
        true => line + "\n",
        false => format!("{line}\n    {}\n", setting.about),
    }
}
