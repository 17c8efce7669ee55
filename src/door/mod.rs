//! Small doors for programs that have a team of trained agents act. Nothing here trains, logs, prints or starts a thread.

mod file;
mod team;

pub use file::export;
pub use team::{Memory, Seen, Team};
