//! What trained agents achieve in a world: the mean of everything that it reports of an episode.

use serde::Serialize;

use super::{Settings, Watch};
use crate::Device;
use crate::agent::Policy;
use crate::env::EpisodeReport;
use crate::error::{Error, Result};
use crate::train::player::Player;

/// Mean of a measure over episodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measure {
    /// Its name, as the world reports it.
    pub name: String,
    /// Episodes that had it.
    pub episodes: usize,
    /// The mean over them.
    pub mean: f64,
    /// The standard error of the mean; none for a single episode.
    pub error: Option<f64>,
}

/// Plays `policy` for so many episodes; the mean of every measure that the world reports.
///
/// Q-learners take their best action. Policies draw theirs, or with `greedy` take the most probable one.
///
/// # Errors
/// No episodes, or what the device, the worlds or `progress` report.
pub fn evaluate(
    device: &Device,
    settings: &Settings,
    policy: &dyn Policy,
    episodes: usize,
    seed: u64,
    greedy: bool,
    progress: Watch<'_>,
) -> Result<Vec<Measure>> {
    if episodes == 0 {
        return Err(Error::Usage("an evaluation needs at least one episode".into()));
    }
    let choice = settings.choice(greedy);
    let at_once = episodes.min(64);
    let (rounds, rest) = (episodes / at_once, episodes % at_once);
    let mut reports = Vec::new();
    // What is left after the full rounds is played by fewer worlds, of seeds of their own.
    for (worlds, rounds) in [(at_once, 0..rounds), (rest, rounds..rounds + 1)] {
        if worlds == 0 {
            continue;
        }
        // Other episodes than those of training.
        let first = (rounds.start as u64) << 32;
        let mut world = settings.judging_worlds(worlds, seed.wrapping_add(first) ^ 0x6576_616c)?;
        let mut player = Player::new(device, policy, world.as_ref(), choice, false)?;
        for round in rounds {
            let seed = seed.wrapping_add((round as u64) << 32);
            reports.extend(player.play(world.as_mut(), seed, |_, _, _| Ok(()))?);
            progress(reports.len() as u64, episodes as u64)?;
        }
    }
    Ok(measures(&reports))
}

/// Mean and standard error of every value, in the order in which they first occur.
fn measures(reports: &[EpisodeReport]) -> Vec<Measure> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in reports.iter().flat_map(|r| &r.values) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let values: Vec<f64> = reports.iter().filter_map(|r| r.value(name)).collect();
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
            let error = (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
            Measure { name: name.to_string(), episodes: values.len(), mean, error }
        })
        .collect()
}
