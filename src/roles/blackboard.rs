//! What roles share beside messages: named tensors (policies, models, statistics) with versions, changed by compare and
//! swap, with a bounded history.
//!
//! ```
//! use synod::roles::blackboard::Blackboard;
//! use synod::tensors::{Checkpoint, TensorData};
//! let board = Blackboard::new(4)?;
//! let mut start = Checkpoint::new();
//! start.insert("weight", TensorData::f32(&[1], &[1.0])?);
//! assert_eq!(board.compare_and_swap("start", 0, "meta", start.clone())?, 1);
//! // Whoever has seen nothing of version 1 does not overwrite it.
//! assert!(board.compare_and_swap("start", 0, "adapter", start).is_err());
//! # Ok::<(), synod::Error>(())
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::role::{pack, unpack};
use crate::error::{Error, Result};
use crate::tensors::Checkpoint;

/// Names on a board at most.
const MOST_NAMES: usize = 1 << 12;
/// The text in which a checkpoint lists what its board holds.
const LIST: &str = "blackboard";

/// One version of a variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// From 1, without gaps.
    pub number: u64,
    /// Who wrote it.
    pub by: String,
    /// Its tensors and texts.
    pub value: Checkpoint,
}

type Entries = BTreeMap<String, VecDeque<Arc<Version>>>;

/// Named tensors that several roles read and write.
#[derive(Debug)]
pub struct Blackboard {
    entries: RwLock<Entries>,
    history: usize,
}

/// What a board held at one moment. Its versions are shared with the board and not copied.
#[derive(Debug, Clone, Default)]
pub struct Snapshot(Entries);

/// How a version is listed in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Listed {
    name: String,
    number: u64,
    by: String,
}

impl Blackboard {
    /// A board that keeps so many versions of each variable.
    ///
    /// # Errors
    /// A history of 0.
    pub fn new(history: usize) -> Result<Self> {
        if history == 0 {
            return Err(Error::config("history", "at least 1 version"));
        }
        Ok(Blackboard { entries: RwLock::default(), history })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest version of a variable.
    pub fn get(&self, name: &str) -> Option<Arc<Version>> {
        self.read().get(name)?.back().cloned()
    }

    /// Everything as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.read().clone())
    }

    /// Writes a variable whose latest version is `expected` (0 where there is none): the number of the new version.
    ///
    /// # Errors
    /// Another version is the latest, with who wrote it; a name with other characters than letters, digits, `_`, `-` and
    /// `.`; too many names.
    pub fn compare_and_swap(&self, name: &str, expected: u64, by: &str, value: Checkpoint) -> Result<u64> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
            return Err(Error::Usage(format!("`{name}` is no name for a variable on the blackboard")));
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let latest = entries.get(name).and_then(|versions| versions.back());
        let found = latest.map_or(0, |version| version.number);
        if found != expected {
            let writer = latest.map_or("nobody", |version| version.by.as_str());
            return Err(Error::Usage(format!(
                "`{name}` on the blackboard is at version {found} (by {writer}), not at {expected} as {by} believes"
            )));
        }
        if latest.is_none() && entries.len() >= MOST_NAMES {
            return Err(Error::Usage(format!(
                "the blackboard has {MOST_NAMES} variables, and room for no more"
            )));
        }
        let versions = entries.entry(name.to_string()).or_default();
        versions.push_back(Arc::new(Version { number: expected + 1, by: by.to_string(), value }));
        while versions.len() > self.history {
            versions.pop_front();
        }
        Ok(expected + 1)
    }

    /// Adds everything that it holds to a checkpoint, the tensors under `board/NAME/NUMBER/`.
    ///
    /// # Errors
    /// None of its own; serde's where a text has no form.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        let mut list = Vec::new();
        for (name, versions) in self.read().iter() {
            for version in versions {
                let Version { number, by, value } = &**version;
                list.push(Listed { name: name.clone(), number: *number, by: by.clone() });
                pack(checkpoint, &format!("board/{name}/{number}"), value.clone())?;
            }
        }
        let list = serde_json::to_string(&list).map_err(|e| Error::Usage(e.to_string()))?;
        checkpoint.set(LIST, list);
        Ok(())
    }

    /// Takes up what [`Blackboard::save`] gave.
    ///
    /// # Errors
    /// The list is missing or damaged. The board is unchanged then.
    pub fn load(&self, checkpoint: &Checkpoint) -> Result<()> {
        let damaged = |why: String| Error::Usage(format!("the checkpoint's blackboard is damaged: {why}"));
        let list: Vec<Listed> =
            serde_json::from_str(&checkpoint.get::<String>(LIST)?).map_err(|e| damaged(e.to_string()))?;
        let mut entries = Entries::new();
        for Listed { name, number, by } in list {
            let value = unpack(checkpoint, &format!("board/{name}/{number}"))?;
            let versions = entries.entry(name.clone()).or_default();
            if versions.back().is_some_and(|before| before.number + 1 != number) || number == 0 {
                return Err(damaged(format!("`{name}` has no version before {number}")));
            }
            versions.push_back(Arc::new(Version { number, by, value }));
        }
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = entries;
        Ok(())
    }
}

impl Snapshot {
    /// The latest version of a variable.
    pub fn get(&self, name: &str) -> Option<&Version> {
        Some(self.0.get(name)?.back()?)
    }

    /// The number of the latest version; 0 where there is none.
    pub fn version(&self, name: &str) -> u64 {
        self.get(name).map_or(0, |version| version.number)
    }

    /// The versions of a variable that are kept, the oldest first.
    pub fn history(&self, name: &str) -> impl Iterator<Item = &Version> {
        self.0.get(name).into_iter().flatten().map(|version| &**version)
    }

    /// The variables' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors::TensorData;

    fn value(number: u64) -> Checkpoint {
        let mut value = Checkpoint::new();
        value.insert("count", TensorData::u64(&[1], &[number]).unwrap());
        value.set("about", format!("number {number}"));
        value
    }

    #[test]
    fn of_many_who_add_one_no_addition_is_lost() {
        let board = Blackboard::new(3).unwrap();
        board.compare_and_swap("sum", 0, "nobody", value(0)).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let board = &board;
                scope.spawn(move || {
                    let mut added = 0;
                    while added < 50 {
                        let seen = board.get("sum").unwrap();
                        let next = value(seen.value.counter("count").unwrap() + 1);
                        let by = format!("writer{writer}");
                        added += usize::from(board.compare_and_swap("sum", seen.number, &by, next).is_ok());
                    }
                });
            }
        });
        let last = board.get("sum").unwrap();
        assert_eq!((last.number, last.value.counter("count").unwrap()), (201, 200));
        let numbers: Vec<u64> = board.snapshot().history("sum").map(|version| version.number).collect();
        assert_eq!(numbers, [199, 200, 201]);
    }

    #[test]
    fn a_conflict_names_who_was_first() {
        let board = Blackboard::new(1).unwrap();
        board.compare_and_swap("start", 0, "meta", value(1)).unwrap();
        let error = board.compare_and_swap("start", 0, "adapter", value(2)).unwrap_err().to_string();
        for part in ["`start`", "version 1", "meta", "adapter"] {
            assert!(error.contains(part), "{part} not in {error}");
        }
        for name in ["", "a/b", "a b"] {
            assert!(board.compare_and_swap(name, 0, "x", value(0)).is_err());
        }
        assert!(Blackboard::new(0).is_err());
    }

    #[test]
    fn it_comes_back_whole_and_a_damaged_one_changes_nothing() {
        let board = Blackboard::new(2).unwrap();
        for i in 0..4 {
            board.compare_and_swap("a", i, "x", value(i)).unwrap();
        }
        board.compare_and_swap("b.c", 0, "y", value(9)).unwrap();
        let mut saved = Checkpoint::new();
        board.save(&mut saved).unwrap();
        let other = Blackboard::new(2).unwrap();
        other.load(&saved).unwrap();
        let all = |board: &Blackboard| -> Vec<(String, Vec<Version>)> {
            let snapshot = board.snapshot();
            let versions = |name: &str| snapshot.history(name).cloned().collect();
            snapshot.names().map(|name| (name.to_string(), versions(name))).collect()
        };
        assert_eq!(all(&other), all(&board));
        saved.set(LIST, "[{\"name\":\"a\"}]");
        assert!(other.load(&saved).unwrap_err().to_string().contains("damaged"));
        assert_eq!(all(&other), all(&board));
    }
}
