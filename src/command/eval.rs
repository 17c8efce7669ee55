//! `synod eval`.

use crate::Result;
use crate::env::pathfinding::PathfindingConfig;
use crate::preset::{Measure, Row, Settings, evaluate, evaluate_maps, mean};
use crate::run::progress::Counter;
use crate::run::table::{Cell, Table};
use clap::Args;
use serde_json::json;

use super::{Where, print, print_json};

#[derive(Args)]
#[command(after_help = "Examples:
  synod eval runs/bottleneck-0                          the preset's own test maps
  synod eval runs/mazes-0 --maps maps/ --agents 8,32,64
  synod eval runs/mazes-0 --maps large.map --set world.planner=shortest
  synod eval runs/two-step-qmix-0                       return and the world's own measures
  synod eval runs/bottleneck-0 --json > results.json")]
pub struct Eval {
    #[command(flatten)]
    which: Where,
    /// Episodes on each map with each number of agents
    #[arg(long, default_value_t = 10, value_name = "N")]
    episodes: usize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub fn run(self) -> Result<()> {
        let settings = self.which.settings()?;
        match settings.world.get::<PathfindingConfig>() {
            Some(_) => self.maps(settings),
            None => self.team(settings),
        }
    }

    fn team(self, settings: Settings) -> Result<()> {
        self.which.only_general_flags()?;
        let device = self.which.device()?;
        let policy = settings.trained_policy(&device, &self.which.run)?;
        let bar = Counter::on_stderr("episodes");
        let (seed, greedy) = (self.which.seed, self.which.greedy);
        let watch = &mut |done, total| {
            bar.show(done, total);
            Ok(())
        };
        let measures = evaluate(&device, &settings, policy.as_ref(), self.episodes, seed, greedy, watch)?;
        bar.finish();
        match self.json {
            true => print_json(&json!({ "measures": measures })),
            false => print(&measures_table(&measures).to_text()),
        }
    }

    fn maps(self, settings: Settings) -> Result<()> {
        let evaluation = self.which.evaluation(&settings, self.episodes)?;
        let device = self.which.device()?;
        let policy = settings.trained_policy(&device, &self.which.run)?;
        let bar = Counter::on_stderr("episodes");
        let rows = evaluate_maps(&device, &settings, policy.as_ref(), &evaluation, &mut |done, total| {
            bar.show(done, total);
            Ok(())
        })?;
        bar.finish();
        if self.json {
            return print_json(&json!({ "rows": rows, "mean": mean(&rows) }));
        }
        let mut means = Vec::new();
        // One mean for each number of agents, then one over everything.
        let mut counts: Vec<usize> = rows.iter().map(|r| r.agents).collect();
        counts.sort_unstable();
        counts.dedup();
        if counts.len() > 1 {
            for agents in counts {
                let of_count: Vec<Row> = rows.iter().filter(|r| r.agents == agents).cloned().collect();
                means.push(mean(&of_count));
            }
        }
        means.push(mean(&rows));
        print(&table(&rows, &means).to_text())
    }
}

fn measures_table(measures: &[Measure]) -> Table {
    let mut table = Table::new(["measure", "episodes", "mean", "standard error"]);
    for measure in measures {
        let cell = |value: f64| Cell::Number(value, 4);
        let error = measure.error.map_or(Cell::Empty, cell);
        table.row([measure.name.as_str().into(), measure.episodes.into(), cell(measure.mean), error]);
    }
    table
}

fn table(rows: &[Row], means: &[Row]) -> Table {
    let columns = ["map", "agents", "episodes", "CSR", "ISR", "SoC", "makespan", "throughput"];
    let mut table = Table::new(columns);
    let cells = |row: &Row| {
        let agents = if row.agents == 0 { Cell::Empty } else { row.agents.into() };
        let coarse = |value: Option<f64>| value.map_or(Cell::Empty, |v| Cell::Number(v, 1));
        [
            row.map.as_str().into(),
            agents,
            row.episodes.into(),
            Cell::number(row.csr),
            Cell::number(row.isr),
            coarse(row.soc),
            coarse(row.makespan),
            Cell::number(row.throughput),
        ]
    };
    rows.iter().for_each(|row| table.row(cells(row)));
    means.iter().for_each(|row| table.foot(cells(row)));
    table
}
