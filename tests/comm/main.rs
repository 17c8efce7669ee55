//! Channels, gates, graphs, urgency, and teams that talk: against plain formulas in f64 and by what they mean.

#[allow(dead_code)] // Other tests use the rest.
#[path = "../../engine/tests/common/random.rs"]
mod random;

mod channel;
mod hearers;
mod spoken;
mod team;
