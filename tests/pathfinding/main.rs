//! Pathfinding worlds against POGEMA's traces, their rules, files and generators.

mod environment;
mod files;
mod generators;
mod numbers;
mod rules;
mod traces;

use std::sync::Arc;

use synod::env::pathfinding::{Instance, Map, Pathfinding, PathfindingConfig, Source};
use synod::env::{Buffers, VecEnv};

/// A fresh seed, shown where a test fails.
fn fresh_seed() -> u64 {
    let seed = rand::random::<u64>() >> 1;
    println!("seed {seed}");
    seed
}

/// One world on a text map with letters for its agents.
fn world(text: &str, config: PathfindingConfig) -> (Pathfinding, Buffers) {
    let map = Arc::new(Map::from_text(text, "test").unwrap());
    let agents = map.agents.len();
    let instances = vec![Instance::place(&map, agents, 0).unwrap()];
    let source = Source::Instances { instances };
    let mut env = Pathfinding::new(PathfindingConfig { worlds: 1, agents, source, ..config }).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true], &mut out).unwrap();
    (env, out)
}
