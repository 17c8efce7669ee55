//! `synod eval`.

use crate::env::EpisodeReport;
use crate::env::pathfinding::PathfindingConfig;
use crate::preset::{Measure, Provenance, Row, Settings, mean, measures, play, play_maps, rows};
use crate::run::progress::Counter;
use crate::run::table::{Cell, Table};
use crate::{Device, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{Where, print, print_json};

#[derive(Args)]
#[command(after_help = "Examples:
  synod eval runs/bottleneck-0                          the preset's own test maps
  synod eval runs/mazes-0 --maps maps/ --agents 8,32,64
  synod eval runs/mazes-0 --maps large.map --set world.planner=shortest
  synod eval runs/two-step-qmix-0                       return and the world's own measures
  synod eval runs/grid-gat-0 --agents 5,20              other numbers of agents than trained
  synod eval runs/two-step-qmix-0 --best                as it was in its best evaluation
  synod eval runs/bottleneck-0 --json > results.json
  synod eval runs/bottleneck-0 --json --rows            with a row an episode")]
pub struct Eval {
    #[command(flatten)]
    which: Where,
    /// Episodes on each map with each number of agents
    #[arg(long, default_value_t = 10, value_name = "N")]
    episodes: usize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// With --json: what came of every episode too
    #[arg(long, requires = "json")]
    rows: bool,
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
        let mut reports = Vec::new();
        match &self.which.agents[..] {
            [] => reports.push(self.played(&device, &settings)?),
            counts => {
                for agents in counts {
                    reports.push(self.played(&device, &settings.with_agents(*agents)?)?);
                }
            }
        }
        let each: Vec<(usize, Vec<Measure>)> = reports
            .iter()
            .map(|reports| (reports.first().map_or(0, |report| report.agents), measures(reports)))
            .collect();
        if !self.json {
            return print(&measures_table(&each).to_text());
        }
        let mut list = Vec::new();
        for (agents, measures) in &each {
            for m in measures {
                list.push(json!({
                    "agents": agents,
                    "name": m.name,
                    "episodes": m.episodes,
                    "mean": m.mean,
                    "error": m.error,
                }));
            }
        }
        let results = Map::from_iter([("measures".to_string(), Value::from(list))]);
        self.print_json(&settings, results, &reports.concat())
    }

    /// The episodes of these settings.
    fn played(&self, device: &Device, settings: &Settings) -> Result<Vec<EpisodeReport>> {
        let policy = settings.trained_policy(device, &self.which.checkpoint()?)?;
        let bar = Counter::on_stderr("episodes");
        let choice = settings.choice(self.which.greedy);
        let watch = &mut |done, total| {
            bar.show(done, total);
            Ok(())
        };
        let reports = play(device, settings, policy.as_ref(), self.episodes, self.which.seed, choice, watch)?;
        bar.finish();
        Ok(reports)
    }

    fn maps(self, settings: Settings) -> Result<()> {
        let evaluation = self.which.evaluation(&settings, self.episodes)?;
        let device = self.which.device()?;
        let policy = settings.trained_policy(&device, &self.which.checkpoint()?)?;
        let bar = Counter::on_stderr("episodes");
        let reports = play_maps(&device, &settings, policy.as_ref(), &evaluation, &mut |done, total| {
            bar.show(done, total);
            Ok(())
        })?;
        bar.finish();
        let rows = rows(&reports);
        if self.json {
            let results = [("rows".to_string(), json!(rows)), ("mean".to_string(), json!(mean(&rows)))];
            return self.print_json(&settings, Map::from_iter(results), &reports);
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

    /// Results with where they come from, and the episodes where those are wanted.
    fn print_json(
        &self,
        settings: &Settings,
        results: Map<String, Value>,
        reports: &[EpisodeReport],
    ) -> Result<()> {
        let origin = Provenance::of(settings, &self.which.checkpoint()?, self.which.seed)?;
        let mut object = origin.fields();
        object.extend(results);
        if self.rows {
            object.insert("episodes".into(), origin.episodes(reports).into());
        }
        print_json(&object.into())
    }
}

/// A line a measure; with the number of agents where there are several.
fn measures_table(each: &[(usize, Vec<Measure>)]) -> Table {
    let columns = ["agents", "measure", "episodes", "mean", "standard error"];
    let several = each.len() > 1;
    let mut table = Table::new(columns.into_iter().skip(usize::from(!several)));
    for (agents, measures) in each {
        for measure in measures {
            let cell = |value: f64| Cell::Number(value, 4);
            let error = measure.error.map_or(Cell::Empty, cell);
            let mut cells = if several { vec![Cell::from(*agents)] } else { Vec::new() };
            cells.extend([measure.name.as_str().into(), measure.episodes.into(), cell(measure.mean), error]);
            table.row(cells);
        }
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
