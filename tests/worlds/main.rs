//! Worlds against recorded episodes and known play.

#[allow(dead_code)] // Other tests use the rest.
#[path = "../../engine/tests/common/random.rs"]
mod random;

mod configurations;
mod congestion;
mod drawing;
mod factory;
mod foraging;
mod games;
mod job_shop;
mod job_shop_files;
mod mpe;
mod platoon;
mod platoon_records;
mod recall;
mod roads;
mod signals;
mod tasks;
mod traffic;
mod traffic_junction;
mod vmas;
mod warehouse;
