//! `synod emergence`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::preset::Settings;
use crate::preset::collaborate::Plan;
use crate::preset::emergence::{Contest, by_task, learn_allocation, strategies, table, write};
use crate::preset::family::other_variants;
use crate::run::progress::Counter;
use crate::run::{folder, signal};
use crate::{Error, Result};
use clap::Args;

use super::collaborate::{Team, device_of};
use super::{note, print, print_json};

#[derive(Args)]
#[command(after_help = "Examples:
  synod emergence lqr-ppo
  synod emergence lqr-ppo --steps 200000 --seeds 200..204 --out runs/five
  synod emergence pendulum-sac --roles meta,adapt --task world.gravity=6 --steps 40000 --out runs/heavy
  synod emergence lqr-ppo --learn 18 --out runs/learned

A contest that was stopped goes on where it was when it is called again with the same --out.")]
pub struct Emergence {
    /// A preset (see `synod list`) or a config file
    #[arg(value_name = "PRESET|CONFIG.toml")]
    what: String,
    #[command(flatten)]
    team: Team,
    /// Seeds of each: so many from 0 on, or from the first to the last (200..204)
    #[arg(long, default_value = "5", value_name = "N|FIRST..LAST", value_parser = super::compare::seeds)]
    seeds: RangeInclusive<u64>,
    /// Agent-steps of every contestant, evaluations included [default: the preset's own]
    #[arg(long, value_name = "N", value_parser = super::steps)]
    steps: Option<u64>,
    /// Episodes of each task that all are judged by
    #[arg(long, default_value_t = 100, value_name = "N")]
    episodes: usize,
    /// Learn how to share out the work by so many tries on other tasks first, and let that take part
    #[arg(long, value_name = "TRIES")]
    learn: Option<usize>,
    /// A task to learn that on; may be given several times [default: for pendulums and regulators four others]
    #[arg(long = "learn-task", value_name = "KEY=VALUE[,KEY=VALUE]", requires = "learn")]
    learn_tasks: Vec<String>,
    /// The seeds to learn that with
    #[arg(long, default_value = "2", value_name = "N|FIRST..LAST", value_parser = super::compare::seeds)]
    learn_seeds: RangeInclusive<u64>,
    /// The folder of results
    #[arg(long, default_value = "runs/emergence", value_name = "DIR")]
    out: PathBuf,
    /// Change a setting of the preset; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

impl Emergence {
    pub fn run(self) -> Result<()> {
        let stop = signal::stop_on_signal()?;
        let mut items = self.set.clone();
        items.extend(self.steps.map(|steps| format!("steps={steps}")));
        let settings = match self.what.ends_with(".toml") || Path::new(&self.what).is_file() {
            true => Settings::load(Path::new(&self.what), &items)?,
            false => Settings::with_items(&self.what, &items)?,
        };
        let plan = self.team.plan(&settings, true)?;
        let device = device_of(&settings)?;
        let family = plan.family(&device, &settings)?;
        let out = folder::shell_quoted(&self.out);
        let stopped = || {
            note(format_args!("stopped; the same command goes on from {out}"));
            Ok(())
        };
        let learned = match self.learn {
            None => None,
            Some(tries) => {
                let tasks = match &self.learn_tasks[..] {
                    [] => other_variants(&settings),
                    named => named.to_vec(),
                };
                if tasks.is_empty() {
                    return Err(Error::Usage(
                        "--learn-task: this world has no other tasks of its own".into(),
                    ));
                }
                let training = Plan { tasks, ..plan.clone() };
                let bar = Counter::on_stderr("teams");
                let seeds = self.learn_seeds.clone();
                let show = |done: u64, total: u64| bar.show(done, total);
                let learned = learn_allocation(&device, &settings, &training, tries, seeds, stop, &show)?;
                bar.finish();
                let Some(learned) = learned else { return stopped() };
                note(format_args!("learned on other tasks: {learned:?}"));
                Some(learned)
            }
        };
        let (seeds, episodes, folder) = (self.seeds, self.episodes, self.out.clone());
        let contest = Contest { settings, plan, learned, seeds, episodes, folder };
        let bar = Counter::on_stderr("agent-steps");
        let outcomes = contest.run(&device, stop, &|done, total| bar.show(done, total))?;
        bar.finish();
        let Some(outcomes) = outcomes else { return stopped() };
        let mut found = Vec::new();
        if contest.seeds.clone().count() > 1 {
            for contestant in contest.contestants() {
                found.push((contestant, strategies(&outcomes, contestant)?));
            }
        }
        write(&contest, &family, &outcomes, &found)?;
        let (table, tasks) = (table(&contest, &outcomes, &found), by_task(&contest, &family, &outcomes));
        match self.json {
            true => {
                let found: Vec<serde_json::Value> = found
                    .iter()
                    .map(|(contestant, found)| {
                        serde_json::json!({
                            "contestant": contestant.name(),
                            "strategies": found.strategies,
                            "clusters": found.clusters,
                            "novelty": found.novelty,
                        })
                    })
                    .collect();
                print_json(&serde_json::json!({
                    "score": family.score_name(),
                    "rows": table.to_json_rows(),
                    "tasks": tasks.to_json_rows(),
                    "strategies": found,
                    "learned": contest.learned,
                }))?;
            }
            false => print(&format!("{}\n{}", table.to_text(), tasks.to_text()))?,
        }
        note(format_args!("{out}/emergence.md and emergence.svg are written"));
        Ok(())
    }
}
