//! `metrics.csv`: what a run reports, one row a logging interval.
//!
//! The first columns are `step` (agent-steps), `updates`, `wall/seconds` (of training, pauses and evaluations left out) and
//! `wall/steps_per_second`; then one a reported name, in the order of first appearance. A name that appears later
//! adds a column at the end, for which the file is rewritten in one step; earlier rows are empty there. A row holds
//! the mean of what was reported since the row before; a name that was not reported leaves its field empty. What
//! evaluations report has `eval/` before its name.
//!
//! A resumed run first cuts the rows past its checkpoint, so that in the end the file equals that of an undisturbed
//! run but for the `wall/` columns.
//!
//! ```
//! use synod::run::directory::Directory;
//! use synod::run::metrics::{Metrics, read_in};
//! let folder = tempfile::tempdir().expect("a folder");
//! let directory = Directory::open(folder.path())?;
//! let mut metrics = Metrics::open(&directory, 0)?;
//! metrics.row(512, 1, 0.5, 1024.0, &[("return".to_string(), 0.25)])?;
//! assert_eq!(read_in(&directory)?.points("return"), [(512.0, 0.25)]);
//! # Ok::<(), synod::Error>(())
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::directory::{Directory, How};
use crate::error::{Error, Result};
use crate::train::Report;

/// The file's name in a run's folder.
const NAME: &str = "metrics.csv";
/// The columns that every row has.
const FIXED: [&str; 4] = ["step", "updates", "wall/seconds", "wall/steps_per_second"];
/// The largest file that is read back, in bytes.
const LARGEST_FILE: u64 = 1 << 30;
/// Columns at most.
const MOST_COLUMNS: usize = 1 << 14;

/// A table of numbers with gaps, as `metrics.csv` holds it. Its text is kept and read again for each question, so that it
/// takes no more memory than the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// Whole and checked rows, each with its line break.
    text: String,
}

impl Rows {
    /// The rows, each with as many fields as there are columns.
    pub fn rows(&self) -> impl Iterator<Item = Vec<Option<f64>>> {
        self.text.lines().map(|line| line.split(',').map(|field| field.parse().ok()).collect())
    }

    /// The points `(step, value)` of a column, gaps left out.
    pub fn points(&self, column: &str) -> Vec<(f64, f64)> {
        let Some(at) = self.columns.iter().position(|c| c == column) else { return Vec::new() };
        let point = |line: &str| {
            let mut fields = line.split(',');
            let step = fields.clone().next()?.parse().ok()?;
            Some((step, fields.nth(at)?.parse().ok()?))
        };
        self.text.lines().filter_map(point).collect()
    }
}

impl Rows {
    /// Every column's points, at most `count` of each: means over neighbouring ones.
    pub fn curves(&self, count: usize) -> Vec<Vec<(f64, f64)>> {
        let mut sizes = vec![0usize; self.columns.len()];
        for line in self.text.lines() {
            for (field, size) in line.split(',').zip(&mut sizes) {
                *size += usize::from(!field.is_empty());
            }
        }
        sizes.iter_mut().for_each(|size| *size = size.div_ceil(count.max(1)).max(1));
        // Of each column: the points that are complete, and the sums of the next.
        let mut curves = vec![(Vec::new(), (0.0, 0.0, 0usize)); self.columns.len()];
        for line in self.text.lines() {
            let Some(step) = step_of(line) else { continue };
            for ((field, size), (points, sums)) in line.split(',').zip(&sizes).zip(&mut curves) {
                let Ok(value) = field.parse::<f64>() else { continue };
                *sums = (sums.0 + step, sums.1 + value, sums.2 + 1);
                if sums.2 == *size {
                    close(points, sums);
                }
            }
        }
        let finish = |(mut points, mut sums)| {
            close(&mut points, &mut sums);
            points
        };
        curves.into_iter().map(finish).collect()
    }
}

/// A column with the unit of its numbers, for the axis of a plot; without one where the name says all.
pub fn described(column: &str) -> String {
    let last = column.rsplit('/').next().unwrap_or(column);
    let unit = match last {
        "steps_per_second" => "agent-steps a second",
        "entropy" | "kl" => "nats",
        "length" => "steps of an episode",
        "soc" | "makespan" => "steps",
        "episodes" => "ended since the last point",
        "throughput" => "goals a step",
        "isr" => "share of agents",
        "reached" | "covered" | "right" | "answered" | "success" => "share",
        "csr" | "solved" | "optimal" | "found" | "visited" | "delivered" => "share of episodes",
        "oracle_share" => "part of what an oracle is paid",
        "collisions" | "touches" | "passed" => "an episode",
        "active" => "share of agent-steps",
        "epsilon" => "chance of a random action",
        "intrinsic_reward" => "mean of a step",
        "value" => "reward to come",
        _ if last.starts_with("return") => "reward of an episode",
        _ if column.starts_with("loss/") => "mean of the updates",
        _ => return column.to_string(),
    };
    format!("{column} ({unit})")
}

/// Adds the mean of what was summed, where there is something.
fn close(points: &mut Vec<(f64, f64)>, sums: &mut (f64, f64, usize)) {
    let (steps, values, count) = std::mem::take(sums);
    if count > 0 {
        points.push((steps / count as f64, values / count as f64));
    }
}

/// Reads a `metrics.csv` up to its first incomplete row.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::File`] where it is no such table.
pub fn read(path: &Path) -> Result<Rows> {
    read_file(path, File::open(path))
}

/// As [`read`], from a folder that is held open.
///
/// # Errors
/// As [`read`].
pub fn read_in(directory: &Directory) -> Result<Rows> {
    read_file(&directory.join(NAME), directory.file(NAME, How::Read))
}

fn read_file(path: &Path, file: std::io::Result<File>) -> Result<Rows> {
    let mut rows = Rows::default();
    let file = file.map_err(|e| Error::io(path, e))?;
    let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let short = |_| Error::file(path, None, "is larger than the memory that there is");
    rows.text.try_reserve_exact(length.min(LARGEST_FILE) as usize).map_err(short)?;
    let columns = lines(path, file, |line| {
        rows.text.push_str(line);
        Ok(())
    })?;
    rows.columns = columns;
    Ok(rows)
}

/// Goes through the whole rows of a table, each shown with its line break, and gives the columns; none where the file is
/// empty.
fn lines(path: &Path, file: File, mut show: impl FnMut(&str) -> std::io::Result<()>) -> Result<Vec<String>> {
    let io = |e| Error::io(path, e);
    if file.metadata().map_err(io)?.len() > LARGEST_FILE {
        return Err(Error::file(path, None, "is larger than 1 GiB"));
    }
    let mut reader = BufReader::new(file.take(LARGEST_FILE));
    let (mut columns, mut line) = (Vec::new(), String::new());
    for number in 1.. {
        line.clear();
        reader.read_line(&mut line).map_err(io)?;
        // A row counts once its line break is written.
        let Some(row) = line.strip_suffix('\n') else { break };
        if number == 1 {
            if !row.starts_with(&FIXED.join(",")) || row.split(',').count() > MOST_COLUMNS {
                return Err(Error::file(path, Some(1), "is not the metrics of a run"));
            }
            columns = row.split(',').map(str::to_string).collect();
            continue;
        }
        let whole = row.split(',').all(|field| field.is_empty() || field.parse::<f64>().is_ok());
        if !whole || row.split(',').count() != columns.len() || step_of(row).is_none() {
            return Err(Error::file(path, Some(number), "is not a row of metrics"));
        }
        show(&line).map_err(io)?;
    }
    Ok(columns)
}

/// The step of a row.
fn step_of(row: &str) -> Option<f64> {
    row.split(',').next()?.parse().ok()
}

/// What was reported since the last row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interval {
    /// Name, sum and count, in the order of first appearance.
    sums: Vec<(String, f64, u64)>,
}

impl Interval {
    /// Adds a report.
    pub fn add(&mut self, report: &Report) {
        for (name, value) in &report.values {
            let name = plain(name);
            match self.sums.iter_mut().find(|(n, ..)| *n == name) {
                Some((_, sum, count)) => {
                    *sum += value;
                    *count += 1;
                }
                None => self.sums.push((name, *value, 1)),
            }
        }
    }

    /// The means, and a fresh start.
    pub fn take(&mut self) -> Vec<(String, f64)> {
        self.sums.drain(..).map(|(name, sum, count)| (name, sum / count as f64)).collect()
    }

    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// As text for a checkpoint, exact to the bit.
    pub fn to_text(&self) -> String {
        let lines: Vec<String> =
            self.sums.iter().map(|(n, sum, count)| format!("{:016x} {count} {n}", sum.to_bits())).collect();
        lines.join("\n")
    }

    /// From the text of [`Interval::to_text`]; `None` where it is something else.
    pub fn from_text(text: &str) -> Option<Interval> {
        let sums = text.lines().map(|line| {
            let mut parts = line.splitn(3, ' ');
            let sum = f64::from_bits(u64::from_str_radix(parts.next()?, 16).ok()?);
            let count = parts.next()?.parse().ok()?;
            Some((parts.next()?.to_string(), sum, count))
        });
        Some(Interval { sums: sums.collect::<Option<_>>()? })
    }
}

/// The file, open for writing.
#[derive(Debug)]
pub struct Metrics<'a> {
    directory: &'a Directory,
    path: PathBuf,
    file: File,
    columns: Vec<String>,
    seconds: f64,
}

impl<'a> Metrics<'a> {
    /// Goes on with a folder's file after cutting the rows past `step`, and begins one where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`] with the path.
    pub fn open(directory: &'a Directory, step: u64) -> Result<Metrics<'a>> {
        let path = directory.join(NAME);
        let mut seconds = 0.0;
        let kept = |row: &str| {
            let kept = step_of(row).is_some_and(|s| s <= step as f64);
            if kept {
                seconds = row.split(',').nth(2).and_then(|s| s.parse().ok()).unwrap_or(0.0);
            }
            kept
        };
        let columns = rewrite(directory, &[], kept)?;
        let file = append(directory)?;
        Ok(Metrics { directory, path, file, columns, seconds })
    }

    /// Seconds of training that the file knows of.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; rows that were there are kept.
    pub fn row(
        &mut self,
        step: u64,
        updates: u64,
        seconds: f64,
        rate: f64,
        values: &[(String, f64)],
    ) -> Result<()> {
        self.widen(values)?;
        self.seconds = seconds;
        let mut fields = vec![String::new(); self.columns.len()];
        fields[0] = step.to_string();
        fields[1] = updates.to_string();
        fields[2] = format!("{seconds:.3}");
        fields[3] = format!("{rate:.1}");
        for (name, value) in values {
            let name = plain(name);
            // `widen` has just added every name.
            if let Some(at) = self.columns.iter().skip(FIXED.len()).position(|c| *c == name) {
                fields[FIXED.len() + at] = value.to_string();
            }
        }
        // One write, so that a kill leaves a whole row or the beginning of one, which readers skip.
        let line = fields.join(",") + "\n";
        self.file.write_all(line.as_bytes()).map_err(|e| Error::io(&self.path, e))
    }

    /// Flushes to the disk.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, e))
    }

    fn widen(&mut self, values: &[(String, f64)]) -> Result<()> {
        let before = self.columns.len();
        for (name, _) in values {
            let name = plain(name);
            if !self.columns[FIXED.len()..].contains(&name) {
                self.columns.push(name);
            }
        }
        if self.columns.len() > before {
            rewrite(self.directory, &self.columns[before..], |_| true)?;
            self.file = append(self.directory)?;
        }
        Ok(())
    }
}

/// A name without what would break a row.
fn plain(name: &str) -> String {
    name.replace([',', '"', '\n', '\r'], "_")
}

fn append(directory: &Directory) -> Result<File> {
    directory.file(NAME, How::Append).map_err(|e| Error::io(directory.join(NAME), e))
}

/// Writes a folder's file anew with the rows that `keep` wants and with more columns, which are empty in them. Gives the
/// columns.
fn rewrite(
    directory: &Directory,
    more: &[String],
    mut keep: impl FnMut(&str) -> bool,
) -> Result<Vec<String>> {
    let path = directory.join(NAME);
    // Read twice, since the columns stand above the rows and are known only when they are read.
    let open = || match directory.file(NAME, How::Read) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        file => file.map(Some).map_err(|e| Error::io(&path, e)),
    };
    let mut columns = match open()? {
        Some(file) => lines(&path, file, |_| Ok(()))?,
        None => Vec::new(),
    };
    if columns.is_empty() {
        columns = FIXED.map(str::to_string).to_vec();
    }
    columns.extend_from_slice(more);
    let gaps = ",".repeat(more.len());
    let mut broken = None;
    let copy = |to: &mut BufWriter<&mut File>| -> std::io::Result<()> {
        writeln!(to, "{}", columns.join(","))?;
        let Some(file) = open().map_err(std::io::Error::other)? else { return Ok(()) };
        let copied = lines(&path, file, |line| match line.strip_suffix('\n') {
            Some(row) if keep(row) => writeln!(to, "{row}{gaps}"),
            _ => Ok(()),
        });
        match copied {
            Ok(_) => Ok(()),
            Err(Error::Io { source, .. }) => Err(source),
            Err(error) => {
                broken = Some(error);
                Err(ErrorKind::InvalidData.into())
            }
        }
    };
    let written = directory.write(NAME, copy);
    match broken {
        Some(error) => Err(error),
        None => written.map(|()| columns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_described_with_their_units() {
        for (column, words) in [
            ("return", "return (reward of an episode)"),
            ("return_adversary", "return_adversary (reward of an episode)"),
            ("worker/epsilon", "worker/epsilon (chance of a random action)"),
            ("loss/policy", "loss/policy (mean of the updates)"),
            ("wall/steps_per_second", "wall/steps_per_second (agent-steps a second)"),
            ("something", "something"),
        ] {
            assert_eq!(described(column), words);
        }
    }

    fn values(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
        pairs.iter().map(|(n, v)| (n.to_string(), *v)).collect()
    }

    #[test]
    fn late_names_add_columns_and_a_cut_is_as_if_it_had_never_been() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let directory = &Directory::open(folder.path()).unwrap();
        let write = |metrics: &mut Metrics<'_>, steps: std::ops::Range<u64>| {
            for step in steps {
                let mut row = values(&[("loss/a,b", step as f64 / 3.0)]);
                if step >= 5 {
                    row.push(("return".into(), 1e-300 * step as f64));
                }
                metrics.row(step * 10, step, step as f64, 10.0, &row).unwrap();
            }
        };
        write(&mut Metrics::open(directory, 0).unwrap(), 1..10);
        let whole = std::fs::read_to_string(&path).unwrap();
        assert!(whole.starts_with(
            "step,updates,wall/seconds,wall/steps_per_second,loss/a_b,return\n10,1,1.000,10.0,0.3"
        ));
        for (step, torn) in [(70, ""), (70, "75,7,0."), (30, ""), (0, "x")] {
            let mut file = append(directory).unwrap();
            file.write_all(torn.as_bytes()).unwrap();
            let mut metrics = Metrics::open(directory, step).unwrap();
            assert_eq!(metrics.seconds(), (step / 10) as f64);
            write(&mut metrics, step / 10 + 1..10);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), whole, "cut at {step}");
        }
        let rows = read(&path).unwrap();
        assert_eq!(rows.points("return")[0], (50.0, 5e-300));
        assert_eq!((rows.rows().count(), rows.rows().next().unwrap().len()), (9, 6));
        // Nine points by fives, and five by threes.
        let curves = rows.curves(2);
        assert_eq!(curves[1], [(30.0, 3.0), (75.0, 7.5)]);
        assert_eq!(curves[5].iter().map(|p| p.0).collect::<Vec<_>>(), [60.0, 85.0]);
    }

    #[test]
    fn what_is_no_metrics_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let directory = &Directory::open(folder.path()).unwrap();
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        assert!(matches!(Metrics::open(directory, 0), Err(Error::File { .. })));
        std::fs::write(&path, format!("{}\n1,2\n", FIXED.join(","))).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("metrics.csv:2"));
    }

    #[test]
    fn an_interval_survives_as_text() {
        let mut interval = Interval::default();
        interval.add(&Report { values: values(&[("a b", 0.1), ("c", f64::MAX)]), ..Report::default() });
        interval.add(&Report { values: values(&[("a b", 0.2)]), ..Report::default() });
        assert_eq!(Interval::from_text(&interval.to_text()), Some(interval.clone()));
        assert_eq!(interval.take(), values(&[("a b", (0.1 + 0.2) / 2.0), ("c", f64::MAX)]));
        assert!(interval.is_empty() && Interval::from_text("x").is_none());
    }
}
