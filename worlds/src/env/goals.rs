//! Goals that a world names, for agents that learn in levels: what must be seen for a goal to hold. They are data and
//! not code, so that the host and a program ask the same question.
//!
//! ```
//! use synod_worlds::env::goals::{Goal, Goals};
//! let goals = Goals::named(vec![Goal::all_of("aboard", &[14])], 19)?;
//! assert_eq!(goals.count(), 1);
//! assert!(Goals::named(vec![Goal::all_of("elsewhere", &[19])], 19).is_err());
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, within};

/// A goal: it holds where, for one of the lists, all columns of the observation that the list names are 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// What it is called.
    pub name: String,
    /// Lists of columns of the flat observation.
    pub any_of: Vec<Vec<usize>>,
}

impl Goal {
    /// A goal that holds where all of these columns are 1.
    pub fn all_of(name: impl Into<String>, columns: &[usize]) -> Self {
        Goal { name: name.into(), any_of: vec![columns.to_vec()] }
    }
}

/// The goals that agents may be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goals {
    goals: Vec<Goal>,
}

impl Goals {
    /// These ones, for an observation of so many numbers.
    ///
    /// # Errors
    /// There are none or more than 4,096, or a column is not in the observation.
    pub fn named(goals: Vec<Goal>, observation: usize) -> Result<Self> {
        within("learner.goals", goals.len(), 1, 4096)?;
        for goal in &goals {
            if let Some(column) = goal.any_of.iter().flatten().find(|column| **column >= observation) {
                return Err(Error::config(
                    "learner.goals",
                    format!("goal `{}` names column {column} of an observation of {observation}", goal.name),
                ));
            }
        }
        Ok(Goals { goals })
    }

    /// So many goals without a meaning of their own: none of them ever holds.
    ///
    /// # Errors
    /// None, or more than 4,096.
    pub fn unnamed(count: usize) -> Result<Self> {
        let goals = (0..count.min(4097)).map(|i| Goal { name: i.to_string(), any_of: Vec::new() });
        Self::named(goals.collect(), 0)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.goals.len()
    }

    /// Whether reaching them means something.
    pub fn have_meaning(&self) -> bool {
        self.goals.iter().any(|goal| !goal.any_of.is_empty())
    }

    /// The goals themselves.
    pub fn all(&self) -> &[Goal] {
        &self.goals
    }

    /// Whether a goal holds in an observation.
    pub fn holds(&self, goal: usize, observation: &[f32]) -> bool {
        let seen = |columns: &Vec<usize>| {
            columns.iter().all(|column| observation.get(*column).is_some_and(|value| *value > 0.5))
        };
        self.goals.get(goal).is_some_and(|goal| goal.any_of.iter().any(seen))
    }

    /// Writes 1 for every goal that may be set in an observation: those that do not hold there already, and all where
    /// each of them does.
    pub fn open(&self, observation: &[f32], mask: &mut [f32]) {
        for (goal, open) in mask.iter_mut().enumerate() {
            *open = f32::from(u8::from(!self.holds(goal, observation)));
        }
        if mask.iter().all(|open| *open == 0.0) {
            mask.fill(1.0);
        }
    }
}
