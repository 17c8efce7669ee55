//! Reading instances from JSON. Files are not trusted: no large one is read, every number is checked before it is used,
//! and every refusal names the file.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::instance::{Alternative, Instance, MOST_JOBS, MOST_MACHINES, MOST_OPERATIONS};
use crate::env::pathfinding::read_up_to;
use crate::error::{Error, Result};

/// The largest file of an instance, in bytes (4 MiB).
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// The most files that a folder may hold, and instances that settings may name.
pub(super) const MOST_FILES: usize = 1 << 12;

impl Instance {
    /// Reads an instance from a JSON file: an object with `jobs`, where `jobs[i]` is a list of `[machine, duration]`
    /// (job shop) or of lists of these (flexible job shop: alternatives); if it likes with `name` (else the file's name
    /// counts), `machines` (a number that no machine may reach) and `published_optimum`. Other keys are not looked at.
    ///
    /// # Errors
    /// Always with the file: it cannot be read, is larger than 4 MiB, is no JSON, or [`Instance::new`] refuses it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = read_up_to(path, MAX_FILE_BYTES)?;
        let root: Value = serde_json::from_str(&text)
            .map_err(|e| Error::file(path, Some(e.line()), format!("is no JSON: {e}")))?;
        let own = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        parse(&root, &own).map_err(|e| Instance::of_file(path, e))
    }

    /// The instances of files, and of folders (their `.json` files in the order of their names).
    ///
    /// # Errors
    /// As [`Instance::load`]; no instances at all.
    pub fn load_all(paths: &[PathBuf]) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        for path in paths {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let first = files.len();
            for entry in std::fs::read_dir(path).map_err(|e| Error::io(path, e))? {
                let file = entry.map_err(|e| Error::io(path, e))?.path();
                if file.extension().is_some_and(|e| e == "json") {
                    files.push(file);
                }
                if files.len() > MOST_FILES {
                    return Err(Error::file(path, None, format!("more than {MOST_FILES} instances")));
                }
            }
            files[first..].sort();
        }
        if files.is_empty() || files.len() > MOST_FILES {
            let message = format!("expected 1 to {MOST_FILES} instances, got {}", files.len());
            return Err(Error::config("world.source.paths", message));
        }
        files.iter().map(Instance::load).collect()
    }
}

fn fault<T>(message: String) -> Result<T> {
    Err(Error::Usage(message))
}

/// A whole number of at most `most`.
fn number(value: Option<&Value>, most: u64, at: &str) -> Result<u64> {
    match value.and_then(Value::as_u64) {
        Some(number) if number <= most => Ok(number),
        _ => {
            let got = value.map_or("nothing".into(), shortened);
            fault(format!("{at}: expected a whole number from 0 to {most}, got {got}"))
        }
    }
}

/// A list of 1 to `most` entries.
fn list<'a>(value: Option<&'a Value>, most: usize, at: &str) -> Result<&'a [Value]> {
    match value.and_then(Value::as_array) {
        Some(list) if (1..=most).contains(&list.len()) => Ok(list),
        Some(list) => fault(format!("{at}: expected 1 to {most} entries, got {}", list.len())),
        None => fault(format!("{at}: expected a list")),
    }
}

fn shortened(value: &Value) -> String {
    let text: String = value.to_string().chars().take(41).collect();
    if text.chars().count() > 40 { format!("{}...", text.chars().take(40).collect::<String>()) } else { text }
}

fn parse(root: &Value, file: &str) -> Result<Instance> {
    let name = root.get("name").and_then(Value::as_str).unwrap_or(file);
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let machines = match root.get("machines") {
        None => MOST_MACHINES as u64,
        given => number(given, MOST_MACHINES as u64, "machines")?,
    };
    let optimum = match root.get("published_optimum") {
        None | Some(Value::Null) => None,
        given => Some(number(given, u64::from(u32::MAX), "published_optimum")? as u32),
    };
    let alternative = |value: &Value, at: &str| {
        let [machine, duration] = list(Some(value), 2, at)? else {
            return fault(format!("{at}: expected [machine, duration], got {}", shortened(value)));
        };
        let machine = number(Some(machine), u64::from(u32::MAX), &format!("{at}: machine"))?;
        if machine >= machines {
            return fault(format!("{at}: machine {machine} of {machines}"));
        }
        let duration = number(Some(duration), u64::from(u32::MAX), &format!("{at}: duration"))? as u32;
        Ok(Alternative { machine: machine as usize, duration })
    };
    let mut jobs = Vec::new();
    for (i, job) in list(root.get("jobs"), MOST_JOBS, "jobs")?.iter().enumerate() {
        let mut operations = Vec::new();
        for (k, operation) in list(Some(job), MOST_OPERATIONS, &format!("jobs[{i}]"))?.iter().enumerate() {
            let at = format!("jobs[{i}][{k}]");
            let entries = list(Some(operation), MOST_MACHINES, &at)?;
            operations.push(match entries[0].is_array() {
                true => entries.iter().map(|entry| alternative(entry, &at)).collect::<Result<_>>()?,
                false => vec![alternative(operation, &at)?],
            });
        }
        jobs.push(operations);
    }
    Instance::new(&name, jobs, optimum)
}
