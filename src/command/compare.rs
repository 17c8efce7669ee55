//! `synod compare`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::preset::Settings;
use crate::preset::compare::{Comparison, Contender, by_seed, compare, table, write};
use crate::preset::family::items as items_between_commas;
use crate::run::progress::Counter;
use crate::run::{folder, signal};
use crate::{Device, Result};
use clap::Args;

use super::{note, print, print_json};

#[derive(Args)]
#[command(after_help = "Examples:
  synod compare two-step-vdn two-step-qmix --seeds 5
  synod compare bottleneck mazes --steps 1000000 --seeds 3 --out runs/compared
  synod compare spread-vdn spread-qmix --steps 300000 --with world.agents=5
  synod compare runs/a.toml runs/b.toml            config files, several of one preset
  synod compare bottleneck --seeds 100..119        these seeds, the last one too

A comparison that was stopped goes on where it was when it is called again with the same --out.")]
pub struct Compare {
    /// Presets (see `synod list`) or config files
    #[arg(required = true, value_name = "PRESET|CONFIG.toml")]
    what: Vec<String>,
    /// Seeds of each: so many from 0 on, or from the first to the last (100..119)
    #[arg(long, default_value = "3", value_name = "N|FIRST..LAST", value_parser = seeds)]
    seeds: RangeInclusive<u64>,
    /// Agent-steps of every run [default: each preset's own]
    #[arg(long, value_name = "N", value_parser = super::steps)]
    steps: Option<u64>,
    /// Episodes that each trained run is evaluated on
    #[arg(long, default_value_t = 100, value_name = "N")]
    episodes: usize,
    /// Where to compute: auto, cpu or gpu
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: String,
    /// The folder of runs, tables and plots
    #[arg(long, default_value = "runs/comparison", value_name = "DIR")]
    out: PathBuf,
    /// Change a setting of all; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Every preset once more with these settings changed, as a row of its own: more agents, a narrower view; may be
    /// given several times
    #[arg(long = "with", value_name = "KEY=VALUE[,KEY=VALUE]")]
    with: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub fn run(self) -> Result<()> {
        let stop = signal::stop_on_signal()?;
        let mut contenders = Vec::new();
        for with in std::iter::once("").chain(self.with.iter().map(String::as_str)) {
            for what in &self.what {
                let mut items = self.set.clone();
                items.extend(items_between_commas(with));
                let settings = match what.ends_with(".toml") || Path::new(what).is_file() {
                    true => Settings::load(Path::new(what), &items)?,
                    false => Settings::with_items(what, &items)?,
                };
                contenders.push(Contender { settings, with: with.to_string() });
            }
        }
        let device = match self.device.as_str() {
            // Runs go side by side, each on threads of its own: one GPU would be in everyone's way.
            "auto" => Device::cpu(),
            name => Device::by_name(name)?,
        };
        let comparison = Comparison {
            contenders,
            seeds: self.seeds,
            steps: self.steps,
            episodes: self.episodes,
            folder: self.out.clone(),
        };
        let bar = Counter::on_stderr("agent-steps");
        let entries = compare(&device, &comparison, stop, &|done, total| bar.show(done, total))?;
        bar.finish();
        let out = folder::shell_quoted(&self.out);
        let Some(entries) = entries else {
            note(format_args!("stopped and saved; the same command goes on from {out}"));
            return Ok(());
        };
        write(&self.out, &entries, self.episodes)?;
        let (table, seeds) = (table(&entries), by_seed(&entries));
        match self.json {
            true => {
                let (rows, seeds) = (table.to_json_rows(), seeds.to_json_rows());
                print_json(&serde_json::json!({ "rows": rows, "seeds": seeds }))?;
            }
            false => print(&format!(
                "{}
{}",
                table.to_text(),
                seeds.to_text()
            ))?,
        }
        note(format_args!("{out}/comparison.md, comparison.csv and learning curves are written"));
        Ok(())
    }
}

/// `5` for 0 to 4, `100..119` for 100 to 119.
pub(super) fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("`{text}` is not a whole number"));
    let range = match text.split_once("..") {
        Some((first, last)) => number(first)?..=number(last)?,
        None => match number(text)?.checked_sub(1) {
            Some(last) => 0..=last,
            None => return Err("at least one seed".into()),
        },
    };
    if range.is_empty() {
        return Err(format!("{text} holds no seed: the first comes before the last, as in 100..119"));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_are_a_number_or_a_range() {
        assert_eq!(super::seeds("3"), Ok(0..=2));
        assert_eq!(super::seeds("200..204"), Ok(200..=204));
        for wrong in ["0", "5..4", "a", "1..", "-1", "3..x"] {
            assert!(super::seeds(wrong).is_err(), "{wrong}");
        }
    }
}
