//! Worlds against recorded episodes and known play.

#[path = "../common/mod.rs"]
mod common;

mod games;
mod mpe;
mod traffic_junction;
