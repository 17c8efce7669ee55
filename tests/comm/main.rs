//! Channels, gates, graphs, urgency, teams that talk, memories that they share: against plain formulas in f64 and by what they mean.

#[allow(dead_code)] // Other tests use the rest.
#[path = "../../engine/tests/common/random.rs"]
mod random;

mod channel;
mod hearers;
mod importance;
mod influence;
mod memory;
mod spoken;
mod team;
