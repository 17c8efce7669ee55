//! `synod list`.

use clap::Args;
use serde_json::json;
use synod::Result;
use synod::env::WorldConfig;
use synod::preset::presets;

use super::{print, print_json};

#[derive(Args)]
pub struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// List the kinds of world instead of the presets
    #[arg(long)]
    worlds: bool,
}

impl List {
    pub fn run(self) -> Result<()> {
        let lines: Vec<(&str, &str)> = if self.worlds { WorldConfig::KINDS.to_vec() } else { presets() };
        if self.json {
            let lines: Vec<_> =
                lines.iter().map(|(name, summary)| json!({ "name": name, "summary": summary })).collect();
            return print_json(&json!(lines));
        }
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines: String =
            lines.iter().map(|(name, summary)| format!("{name:width$}  {summary}\n")).collect();
        print(&lines)
    }
}
