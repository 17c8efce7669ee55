//! `metrics.csv`: what a run reports, one row a logging interval.
//!
//! The first columns are `step` (agent-steps), `updates`, `wall/seconds` (of training, pauses left out) and
//! `wall/steps_per_second`; then one a reported name, in the order of first appearance. A name that appears later
//! adds a column at the end, for which the file is rewritten in one step; earlier rows are empty there. A row holds
//! the mean of what was reported since the row before; a name that was not reported leaves its field empty.
//!
//! A resumed run first cuts the rows past its checkpoint, so that in the end the file equals that of an undisturbed
//! run but for the `wall/` columns.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::folder;
use crate::error::{Error, Result};
use crate::train::Report;

/// The columns that every row has.
const FIXED: [&str; 4] = ["step", "updates", "wall/seconds", "wall/steps_per_second"];
/// The largest file that is read back, in bytes.
const LARGEST_FILE: u64 = 1 << 30;

/// A table of numbers with gaps, as `metrics.csv` holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<Option<f64>>>,
}

impl Rows {
    /// The points `(step, value)` of a column, gaps left out.
    pub fn points(&self, column: &str) -> Vec<(f64, f64)> {
        let at = |name: &str| self.columns.iter().position(|c| c == name);
        let (Some(x), Some(y)) = (at("step"), at(column)) else { return Vec::new() };
        self.rows.iter().filter_map(|row| Some((row[x]?, row[y]?))).collect()
    }
}

/// Reads a `metrics.csv` up to its first incomplete row.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::File`] where it is no such table.
pub fn read(path: &Path) -> Result<Rows> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut text = String::new();
    file.take(LARGEST_FILE + 1).read_to_string(&mut text).map_err(|e| Error::io(path, e))?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(Error::file(path, None, "is larger than 1 GiB"));
    }
    let mut rows = Rows::default();
    // A row counts once its line break is written.
    for (i, line) in text.split_inclusive('\n').filter_map(|l| l.strip_suffix('\n')).enumerate() {
        if i == 0 {
            rows.columns = line.split(',').map(str::to_string).collect();
            if !line.starts_with(&FIXED.join(",")) {
                return Err(Error::file(path, Some(1), "is not the metrics of a run"));
            }
            continue;
        }
        let row: Option<Vec<Option<f64>>> = line
            .split(',')
            .map(|field| if field.is_empty() { Some(None) } else { field.parse().ok().map(Some) })
            .collect();
        match row.filter(|row| row.len() == rows.columns.len() && row[0].is_some()) {
            Some(row) => rows.rows.push(row),
            None => return Err(Error::file(path, Some(i + 1), "is not a row of metrics")),
        }
    }
    Ok(rows)
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
pub struct Metrics {
    path: PathBuf,
    file: File,
    columns: Vec<String>,
    seconds: f64,
}

impl Metrics {
    /// Goes on with a file after cutting the rows past `step`, and begins one where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`] with the path.
    pub fn open(path: &Path, step: u64) -> Result<Metrics> {
        let mut rows = match read(path) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Rows::default(),
            other => other?,
        };
        if rows.columns.is_empty() {
            rows.columns = FIXED.map(str::to_string).to_vec();
        }
        rows.rows.retain(|row| row[0].is_some_and(|s| s <= step as f64));
        let seconds = rows.rows.last().and_then(|row| row[2]).unwrap_or(0.0);
        rewrite(path, &rows)?;
        Ok(Metrics { path: path.to_path_buf(), file: append(path)?, columns: rows.columns, seconds })
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
            let mut rows = read(&self.path)?;
            rows.columns.clone_from(&self.columns);
            rows.rows.iter_mut().for_each(|row| row.resize(self.columns.len(), None));
            rewrite(&self.path, &rows)?;
            self.file = append(&self.path)?;
        }
        Ok(())
    }
}

/// A name without what would break a row.
fn plain(name: &str) -> String {
    name.replace([',', '"', '\n', '\r'], "_")
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new().append(true).open(path).map_err(|e| Error::io(path, e))
}

fn rewrite(path: &Path, rows: &Rows) -> Result<()> {
    folder::write_atomically(path, |file| {
        writeln!(file, "{}", rows.columns.join(","))?;
        for row in &rows.rows {
            let fields: Vec<String> = row
                .iter()
                .enumerate()
                .map(|(i, field)| match (i, field) {
                    (_, None) => String::new(),
                    (2, Some(seconds)) => format!("{seconds:.3}"),
                    (3, Some(rate)) => format!("{rate:.1}"),
                    (_, Some(value)) => value.to_string(),
                })
                .collect();
            writeln!(file, "{}", fields.join(","))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
        pairs.iter().map(|(n, v)| (n.to_string(), *v)).collect()
    }

    #[test]
    fn late_names_add_columns_and_a_cut_is_as_if_it_had_never_been() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let write = |metrics: &mut Metrics, steps: std::ops::Range<u64>| {
            for step in steps {
                let mut row = values(&[("loss/a,b", step as f64 / 3.0)]);
                if step >= 5 {
                    row.push(("return".into(), 1e-300 * step as f64));
                }
                metrics.row(step * 10, step, step as f64, 10.0, &row).unwrap();
            }
        };
        write(&mut Metrics::open(&path, 0).unwrap(), 1..10);
        let whole = std::fs::read_to_string(&path).unwrap();
        assert!(whole.starts_with(
            "step,updates,wall/seconds,wall/steps_per_second,loss/a_b,return\n10,1,1.000,10.0,0.3"
        ));
        for (step, torn) in [(70, ""), (70, "75,7,0."), (30, ""), (0, "x")] {
            let mut file = append(&path).unwrap();
            file.write_all(torn.as_bytes()).unwrap();
            let mut metrics = Metrics::open(&path, step).unwrap();
            assert_eq!(metrics.seconds(), (step / 10) as f64);
            write(&mut metrics, step / 10 + 1..10);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), whole, "cut at {step}");
        }
        assert_eq!(read(&path).unwrap().points("return")[0], (50.0, 5e-300));
    }

    #[test]
    fn what_is_no_metrics_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        assert!(Metrics::open(&path, 0).is_err());
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
