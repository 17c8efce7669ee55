//! What roles say to each other: the protocol of a round.
//!
//! ```text
//! supervisor   Round       a round begins, with so many agent-steps to give away
//! coordinator  Assignment  so many of them are yours
//! environment  Drawn       work on that task
//! a role       Done        what was done, and what it came to
//! others       Score       what they think of it
//! supervisor   Restarted, Conflict
//! state        Surprise    how well the model foresees a task
//! state        Imagined    what candidates come to in the model
//! ```

use serde::{Deserialize, Serialize};

use super::broker::Message;

/// Gives messages their topics, and lists them.
macro_rules! topics {
    ($($message:ident = $topic:literal;)*) => {
        $(impl Message for $message {
            const TOPIC: &'static str = $topic;
        })*

        /// The topics of all messages here.
        pub const TOPICS: &[&str] = &[$($topic),*];
    };
}

topics! {
    Round = "round";
    Assignment = "assignment";
    Drawn = "drawn";
    Done = "done";
    Score = "score";
    Restarted = "restarted";
    Conflict = "conflict";
    Surprise = "surprise";
    Imagined = "imagined";
}

/// A round begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its number, from 0.
    pub number: u64,
    /// Agent-steps that may be given away in it.
    pub steps: u64,
}

/// So many agent-steps for a role in this round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Who is to work.
    pub role: String,
    /// Agent-steps to use.
    pub steps: u64,
    /// The work is for the tasks that count in the end, and not for those that one only learns from.
    pub on_target: bool,
}

/// A task for an assignment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// Who is to work.
    pub role: String,
    /// On which task.
    pub task: usize,
    /// Agent-steps to use.
    pub steps: u64,
}

/// Work that was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// By whom.
    pub role: String,
    /// On which task.
    pub task: usize,
    /// Agent-steps used, evaluations included.
    pub steps: u64,
    /// Optimiser updates made.
    pub updates: u64,
    /// The score before the work; more is better.
    pub before: Option<f64>,
    /// The score after it.
    pub after: Option<f64>,
    /// What the work is worth by the role's own measure, in units of the task's score.
    pub gain: f64,
}

/// What a role thinks of another's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Whose work.
    pub of: String,
    /// From -1 (it did harm) over 0 (it changed nothing) to 1.
    pub value: f64,
}

/// A role failed, and goes on from its last good version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restarted {
    /// Which role.
    pub role: String,
    /// Why.
    pub cause: String,
}

/// Several proposals for one variable of the blackboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// The variable.
    pub name: String,
    /// Whose proposal was taken.
    pub kept: String,
    /// Whose were not.
    pub dropped: Vec<String>,
}

/// How well the world model foresees what happens in a task that it was shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surprise {
    /// The task.
    pub task: usize,
    /// The error of the next observation on episodes that it had not seen, as a part of the error of expecting no change.
    pub error: f64,
}

/// What several agents come to in the model of the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imagined {
    /// In which task.
    pub task: usize,
    /// The variables of the blackboard that hold them, and the reward of an imagined episode.
    pub candidates: Vec<(String, f64)>,
}
