//! Several presets trained for the same budget with several seeds, and what came of it in numbers.
//!
//! Every run is a run folder of its own, so that a comparison that was stopped goes on where it was, and single runs can
//! be looked at, evaluated again or resumed. Runs share nothing; each has one thread, and as many go at a time as there
//! are threads.

use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::{Evaluation, Measure, Row, Settings, Watch, evaluate, evaluate_maps, mean};
use crate::Device;
use crate::env::pathfinding::PathfindingConfig;
use crate::error::{Error, Result};
use crate::picture::plot::{Axes, Series, lines_svg};
use crate::run::driver::{self, Options};
use crate::run::folder::{Folder, config_of, write_atomically};
use crate::run::metrics::{self, described};
use crate::run::progress::{Progress, Status};
use crate::run::statistics::{bootstrap_interval, interquartile_mean};
use crate::run::table::{Cell, Table};

/// Seeds of one comparison at most.
const MOST_SEEDS: u64 = 10_000;

/// One row of a comparison.
#[derive(Debug, Clone)]
pub struct Contender {
    /// The settings, whose seed is replaced.
    pub settings: Settings,
    /// What sets it apart from the preset of its name, in words for the table; empty where nothing does.
    pub with: String,
}

/// What to compare.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The rows.
    pub contenders: Vec<Contender>,
    /// Seeds of each.
    pub seeds: RangeInclusive<u64>,
    /// Agent-steps of every run; `None` for each preset's own.
    pub steps: Option<u64>,
    /// Episodes that each trained run is evaluated on.
    pub episodes: usize,
    /// Where runs, tables and plots go.
    pub folder: PathBuf,
}

/// What one run came to.
#[derive(Debug, Clone)]
struct Outcome {
    seed: u64,
    /// The evaluation, the score first.
    measures: Vec<Measure>,
    /// Agent-steps of training: whole iterations, so they may be more than was asked for.
    steps: u64,
    /// Agent-steps a second of training, on one thread.
    rate: f64,
    parameters: usize,
    /// Bytes planned by a learning step, all shards together.
    bytes: u64,
    /// Points of the learning curve.
    curve: Vec<(f64, f64)>,
}

/// All runs of one preset.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The preset.
    pub name: String,
    /// What sets it apart from the preset ([`Contender::with`]).
    pub with: String,
    /// What the score is: the world's own measure.
    pub score: String,
    /// Numbers that an agent lets others have in a step.
    pub said: usize,
    runs: Vec<Outcome>,
}

impl Entry {
    /// The score of every seed.
    pub fn scores(&self) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.measures.first()).map(|m| m.mean).collect()
    }
}

/// Steps of a run, added to those of all.
struct Share<'a> {
    all: &'a AtomicU64,
    tell: &'a (dyn Fn(u64) + Sync),
    before: u64,
}

impl Progress for Share<'_> {
    fn update(&mut self, status: &Status<'_>) {
        let steps = status.steps.min(status.total);
        let all = self.all.fetch_add(steps - self.before, Ordering::Relaxed) + steps - self.before;
        self.before = steps;
        (self.tell)(all);
    }

    fn message(&mut self, _: &str) {}
}

/// Trains and evaluates everything; `progress` is told of agent-steps done and to do, from several threads. `None` where
/// `stop` was set: what was done is kept, and the same call goes on from it.
///
/// # Errors
/// Nothing to compare, a folder that holds a run with other settings, or what a run reports.
pub fn compare(
    device: &Device,
    comparison: &Comparison,
    stop: &AtomicBool,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Option<Vec<Entry>>> {
    let jobs = comparison.jobs()?;
    let total = jobs.iter().map(|job| job.settings.steps).sum();
    let (all, next) = (AtomicU64::new(0), AtomicUsize::new(0));
    let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(vec![None; jobs.len()]);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let give_up = AtomicBool::new(false);
    let tell = |done: u64| {
        progress(done, total);
        // Runs that are under way look at `stop` alone.
        if give_up.load(Ordering::Relaxed) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    tell(0);
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else { return };
            let share = Share { all: &all, tell: &tell, before: 0 };
            match job.run(device, comparison.episodes, stop, share) {
                Ok(outcome) => lock(&outcomes)[at] = outcome,
                Err(error) => {
                    lock(&failure).get_or_insert(error);
                    give_up.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    let pools: Vec<rayon::ThreadPool> = (0..rayon::current_num_threads().min(jobs.len()))
        .map(|_| rayon::ThreadPoolBuilder::new().num_threads(1).build())
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| Error::Usage(format!("no thread to train on: {e}")))?;
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| pool.install(work));
        }
    });
    if let Some(error) = lock(&failure).take() {
        return Err(error);
    }
    let Some(outcomes) = lock(&outcomes).drain(..).collect::<Option<Vec<Outcome>>>() else { return Ok(None) };
    let mut outcomes = outcomes.into_iter();
    let entries = comparison.contenders.iter().map(|Contender { settings, with }| {
        let runs: Vec<Outcome> = outcomes.by_ref().take(comparison.seeds.clone().count()).collect();
        Entry {
            name: settings.preset.clone(),
            with: with.clone(),
            score: runs[0].measures.first().map(|m| m.name.clone()).unwrap_or_default(),
            said: settings.agent.said(),
            runs,
        }
    });
    Ok(Some(entries.collect()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A run to be made.
struct Job {
    settings: Settings,
    path: PathBuf,
}

impl Comparison {
    /// What the folders of a row's runs are called: its preset, what sets it apart, and its place where that is not
    /// enough to tell it from others.
    fn label(&self, index: usize) -> String {
        let Contender { settings, with } = &self.contenders[index];
        let plain: String =
            with.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        let name =
            if with.is_empty() { settings.preset.clone() } else { format!("{}-{plain}", settings.preset) };
        let same = |other: &&Contender| other.settings.preset == settings.preset && other.with == *with;
        match self.contenders.iter().filter(same).count() {
            1 => name,
            _ => format!("{name}-{}", index + 1),
        }
    }

    fn jobs(&self) -> Result<Vec<Job>> {
        if self.contenders.is_empty() || self.seeds.is_empty() || self.episodes == 0 {
            return Err(Error::Usage("a comparison needs presets, seeds and episodes".into()));
        }
        let (first, last) = (self.seeds.start(), self.seeds.end());
        if last - first >= MOST_SEEDS {
            return Err(Error::Usage(format!("at most {MOST_SEEDS} seeds, got {first} to {last}")));
        }
        let mut jobs = Vec::new();
        for (i, contender) in self.contenders.iter().enumerate() {
            // Before any of them is trained.
            contender.settings.check()?;
            let label = self.label(i);
            for seed in self.seeds.clone() {
                let mut settings = contender.settings.clone();
                settings.steps = self.steps.unwrap_or(settings.steps);
                settings.seed = seed;
                jobs.push(Job { settings, path: self.folder.join(format!("{label}-{seed}")) });
            }
        }
        Ok(jobs)
    }
}

impl Job {
    /// Trains from where the run's folder is, and evaluates. `None` where it was stopped.
    fn run(
        &self,
        device: &Device,
        episodes: usize,
        stop: &AtomicBool,
        mut share: Share<'_>,
    ) -> Result<Option<Outcome>> {
        let settings = &self.settings;
        let mut trainer = settings.trainer(device)?;
        let planned = trainer.learning().map_or(0, |(program, shards)| program.planned_bytes * shards as u64);
        let folder = match config_of(&self.path).is_file() {
            true => {
                let folder = Folder::open(&self.path)?;
                if Settings::load(&folder.config(), &[])? != *settings {
                    return Err(Error::Usage(format!(
                        "{} holds a run with other settings: choose another folder",
                        self.path.display()
                    )));
                }
                folder
            }
            false => Folder::create(&self.path, &settings.to_toml()?)?,
        };
        let mut options = Options::new(settings.steps, folder.path());
        options.checkpoint_every = settings.checkpoint_every;
        let outcome = driver::drive(trainer.as_mut(), &folder, &options, &mut share, stop)?;
        share.update(&Status { steps: outcome.steps, total: settings.steps, rate: 0.0, values: &[] });
        if !outcome.done {
            return Ok(None);
        }
        drop(trainer);
        let watch = &mut |_: u64, _: u64| match stop.load(Ordering::Relaxed) {
            true => Err(Error::Usage("the comparison was stopped".into())),
            false => Ok(()),
        };
        let (measures, parameters) =
            match judge(device, settings, &folder.directory().here(), episodes, watch) {
                Err(_) if stop.load(Ordering::Relaxed) => return Ok(None),
                judged => judged?,
            };
        let score = measures.first().map(|m| m.name.clone()).unwrap_or_default();
        Ok(Some(Outcome {
            seed: settings.seed,
            measures,
            steps: outcome.steps,
            rate: outcome.steps as f64 / outcome.seconds.max(1e-9),
            parameters,
            bytes: planned,
            curve: metrics::read_in(folder.directory())?.points(&score),
        }))
    }
}

/// What a trained run achieves, its score first, and how many parameters it has.
fn judge(
    device: &Device,
    settings: &Settings,
    run: &Path,
    episodes: usize,
    watch: Watch<'_>,
) -> Result<(Vec<Measure>, usize)> {
    let policy = settings.trained_policy(device, run)?;
    let parameters = policy.parameters().count();
    if settings.world.get::<PathfindingConfig>().is_none() {
        let seed = settings.seed;
        return Ok((evaluate(device, settings, policy.as_ref(), episodes, seed, false, watch)?, parameters));
    }
    let evaluation = Evaluation {
        maps: Vec::new(),
        agents: Vec::new(),
        episodes,
        steps: None,
        seed: settings.seed,
        instance_seed: None,
        collision: None,
        choice: settings.choice(false),
    };
    let rows = evaluate_maps(device, settings, policy.as_ref(), &evaluation, watch)?;
    let total = mean(&rows);
    let values = [("csr", total.csr), ("throughput", total.throughput), ("isr", total.isr)];
    let measure = |name: &str, of: &Row, value: Option<f64>| {
        Some(Measure { name: name.into(), episodes: of.episodes, mean: value?, error: None })
    };
    let all = values.into_iter().filter_map(|(name, value)| measure(name, &total, value));
    let bands = bands(&rows);
    let bands = bands.iter().filter_map(|(name, row)| measure(name, row, row.csr));
    Ok((all.chain(bands).collect(), parameters))
}

/// The success rates of bottlenecks by the length of the corridor: as short as in training, longer, and much longer.
fn bands(rows: &[Row]) -> Vec<(String, Row)> {
    let length = |row: &Row| row.map.strip_prefix("bottleneck-").and_then(|text| text.parse::<usize>().ok());
    let band = |first: usize, last: usize| {
        let inside = |row: &&Row| length(row).is_some_and(|length| (first..=last).contains(&length));
        let rows: Vec<Row> = rows.iter().filter(inside).cloned().collect();
        (!rows.is_empty()).then(|| (format!("csr {first} to {last}"), mean(&rows)))
    };
    [(3, 50), (100, 400), (500, 1000)].into_iter().filter_map(|(first, last)| band(first, last)).collect()
}

/// The table of a comparison: a row a preset.
pub fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new([
        "preset",
        "with",
        "measure",
        "score",
        "low",
        "high",
        "seeds",
        "steps",
        "steps/s",
        "parameters",
        "MB",
        "said",
    ]);
    for entry in entries {
        let scores = entry.scores();
        let interval = bootstrap_interval(&scores);
        let count = entry.runs.len() as f64;
        let average = |get: fn(&Outcome) -> f64| entry.runs.iter().map(get).sum::<f64>() / count;
        table.row([
            entry.name.clone().into(),
            entry.with.clone().into(),
            entry.score.clone().into(),
            Cell::number(interquartile_mean(&scores)),
            Cell::number(interval.map(|i| i.0)),
            Cell::number(interval.map(|i| i.1)),
            entry.runs.len().into(),
            entry.runs.iter().map(|run| run.steps).max().unwrap_or(0).into(),
            Cell::Number(average(|run| run.rate), 0),
            Cell::Number(average(|run| run.parameters as f64), 0),
            Cell::Number(average(|run| run.bytes as f64 / 1e6), 2),
            entry.said.into(),
        ]);
    }
    table
}

/// The measures of each seed: a row a preset and measure, a column a seed, and the least of them.
pub fn by_seed(entries: &[Entry]) -> Table {
    let seeds = entries.first().map(|entry| entry.runs.iter().map(|run| run.seed.to_string()));
    let seeds: Vec<String> = seeds.into_iter().flatten().collect();
    let columns = ["preset", "with", "measure"].into_iter().chain(seeds.iter().map(String::as_str));
    let mut table = Table::new(columns.chain(["least"]));
    for entry in entries {
        let names = entry.runs.first().map(|run| run.measures.iter().map(|m| m.name.as_str()));
        for name in names.into_iter().flatten() {
            let of = |run: &Outcome| run.measures.iter().find(|m| m.name == name).map(|m| m.mean);
            let values: Vec<Option<f64>> = entry.runs.iter().map(of).collect();
            let least = values.iter().flatten().copied().reduce(f64::min);
            let mut cells = vec![entry.name.as_str().into(), entry.with.as_str().into(), name.into()];
            cells.extend(values.into_iter().chain([least]).map(Cell::number));
            table.row(cells);
        }
    }
    table
}

/// Every measure of every run, for other programs.
fn csv(entries: &[Entry]) -> String {
    let mut text = String::from(
        "preset,with,seed,measure,mean,standard_error,episodes,steps,steps_per_second,parameters,bytes,said\n",
    );
    for entry in entries {
        for run in &entry.runs {
            let seed = run.seed;
            for m in &run.measures {
                let error = m.error.map(|e| e.to_string()).unwrap_or_default();
                let (name, rate, parameters, bytes) = (&entry.name, run.rate, run.parameters, run.bytes);
                // A quoted field: several settings stand with commas between them.
                let with = entry.with.replace('"', "\"\"");
                text += &format!("{name},\"{with}\",{seed},{},{},{error},{},", m.name, m.mean, m.episodes);
                text += &format!("{},{rate:.1},{parameters},{bytes},{}\n", run.steps, entry.said);
            }
        }
    }
    text
}

/// Writes `comparison.md`, `comparison.csv` and a plot of learning curves a measure.
///
/// # Errors
/// A file that cannot be written.
pub fn write(folder: &Path, entries: &[Entry], episodes: usize) -> Result<()> {
    let page = format!(
        "{}\n{}\nThe score is the interquartile mean over seeds of the mean over {episodes} episodes, with the 95 % bootstrap \
         interval; steps are the agent-steps made, in whole iterations; steps/s are agent-steps a second of one thread; \
         MB is what a learning step plans; said is how many \
         numbers an agent lets others have in a step.\n",
        table(entries).to_markdown(),
        by_seed(entries).to_markdown()
    );
    for (name, text) in [("comparison.md", page), ("comparison.csv", csv(entries))] {
        write_atomically(&folder.join(name), |file| file.write_all(text.as_bytes()))?;
    }
    let mut scores: Vec<&str> = entries.iter().map(|entry| entry.score.as_str()).collect();
    scores.sort_unstable();
    scores.dedup();
    for score in scores {
        let series: Vec<Series> = entries
            .iter()
            .filter(|entry| entry.score == score)
            .map(|entry| {
                let curves: Vec<Vec<(f64, f64)>> = entry.runs.iter().map(|run| run.curve.clone()).collect();
                let name = [entry.name.as_str(), entry.with.as_str()].join(" ");
                Series::of_runs(name.trim_end(), &curves, 200)
            })
            .filter(|series| !series.points.is_empty())
            .collect();
        if !series.is_empty() {
            let title = format!("{score}: mean over seeds, with the band from the lowest to the highest");
            let axes = Axes::new(&title, "agent-steps", &described(score));
            let svg = lines_svg(&axes, &series)?;
            write_atomically(&folder.join(format!("{score}.svg")), |file| file.write_all(svg.as_bytes()))?;
        }
    }
    Ok(())
}
