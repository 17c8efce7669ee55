//! `synod eval`.

use clap::Args;
use serde_json::json;
use synod::Result;
use synod::preset::{Row, evaluate, mean};
use synod::run::progress::Counter;

use super::Where;

#[derive(Args)]
#[command(after_help = "Examples:
  synod eval runs/bottleneck-0                          the preset's own test maps
  synod eval runs/mazes-0 --maps maps/ --agents 8,32,64
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
        let evaluation = self.which.evaluation(self.episodes)?;
        let device = self.which.device()?;
        let policy = settings.trained_policy(&device, &self.which.run)?;
        let bar = Counter::on_stderr("episodes");
        let rows =
            evaluate(&device, &settings, &policy, &evaluation, &mut |done, total| bar.show(done, total))?;
        bar.finish();
        if self.json {
            println!("{:#}", json!({ "rows": rows, "mean": mean(&rows) }));
            return Ok(());
        }
        let mut all = rows.clone();
        // One mean for each number of agents, then one over everything.
        let mut counts: Vec<usize> = rows.iter().map(|r| r.agents).collect();
        counts.sort_unstable();
        counts.dedup();
        if counts.len() > 1 {
            for agents in counts {
                all.push(mean(&rows.iter().filter(|r| r.agents == agents).cloned().collect::<Vec<Row>>()));
            }
        }
        all.push(mean(&rows));
        print!("{}", table(&all));
        Ok(())
    }
}

fn table(rows: &[Row]) -> String {
    let header = ["map", "agents", "episodes", "CSR", "ISR", "SoC", "makespan", "throughput"];
    let number = |x: Option<f64>, digits: usize| x.map_or("-".to_string(), |x| format!("{x:.digits$}"));
    let mut cells: Vec<Vec<String>> = vec![header.map(String::from).to_vec()];
    for row in rows {
        cells.push(vec![
            row.map.clone(),
            if row.agents == 0 { "all".into() } else { row.agents.to_string() },
            row.episodes.to_string(),
            number(row.csr, 3),
            number(row.isr, 3),
            number(row.soc, 1),
            number(row.makespan, 1),
            number(row.throughput, 3),
        ]);
    }
    let widths: Vec<usize> =
        (0..header.len()).map(|c| cells.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in cells {
        for (c, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[c] - cell.chars().count());
            let gap = if c == 0 { "" } else { "  " };
            text += &if c == 0 { format!("{gap}{cell}{pad}") } else { format!("{gap}{pad}{cell}") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}
