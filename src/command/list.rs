//! `synod list`.

use clap::Args;
use serde_json::json;
use synod::Result;
use synod::preset::PRESETS;

#[derive(Args)]
pub struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(self) -> Result<()> {
        if self.json {
            let presets: Vec<_> =
                PRESETS.iter().map(|p| json!({ "name": p.name, "summary": p.summary })).collect();
            println!("{:#}", json!(presets));
            return Ok(());
        }
        let width = PRESETS.iter().map(|p| p.name.len()).max().unwrap_or(0);
        for preset in &PRESETS {
            println!("{:width$}  {}", preset.name, preset.summary);
        }
        Ok(())
    }
}
