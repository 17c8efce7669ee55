//! What trained agents achieve in a world: the mean of everything that it reports of an episode.

use std::ops::Range;

use serde::Serialize;

use super::distance::Distance;
use super::{Settings, Watch};
use crate::Device;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::env::{EpisodeReport, VecEnv};
use crate::error::{Error, Result};
use crate::train::player::Player;

/// Episodes that are played at once at most.
const AT_ONCE: usize = 64;

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
/// As [`play`].
pub fn evaluate(
    device: &Device,
    settings: &Settings,
    policy: &dyn Policy,
    episodes: usize,
    seed: u64,
    greedy: bool,
    progress: Watch<'_>,
) -> Result<Vec<Measure>> {
    let choice = settings.choice(greedy);
    Ok(measures(&play(device, settings, policy, episodes, seed, choice, progress)?))
}

/// Plays `policy` for so many episodes, and gives the world's report of each.
///
/// # Errors
/// No episodes, or what the device, the worlds or `progress` report.
pub fn play(
    device: &Device,
    settings: &Settings,
    policy: &dyn Policy,
    episodes: usize,
    seed: u64,
    choice: Choice,
    progress: Watch<'_>,
) -> Result<Vec<EpisodeReport>> {
    Episodes::new(device, settings, policy, episodes, seed, choice)?.play(policy, progress)
}

/// So many episodes in the worlds that trained agents are judged in; of a policy that was learned in several runs side
/// by side, so many with each of them. They can be played again, each time the same ones, with whatever weights the
/// agent has by then.
pub(super) struct Episodes {
    device: Device,
    settings: Settings,
    parts: Vec<Part>,
    /// How far the policy is from what its worlds call their equilibrium, where they do.
    distance: Option<Distance>,
    seed: u64,
    count: usize,
    /// What is to be said of the agents' graph and of their memory, beside every episode.
    of_agents: Vec<(&'static str, f64)>,
}

/// Worlds that play some rounds.
struct Part {
    worlds: Box<dyn VecEnv>,
    /// The worlds before their first episode.
    start: Vec<u8>,
    player: Player,
    rounds: Range<usize>,
}

impl Episodes {
    /// Worlds and programs for `count` episodes.
    ///
    /// # Errors
    /// As [`play`].
    pub fn new(
        device: &Device,
        settings: &Settings,
        policy: &dyn Policy,
        count: usize,
        seed: u64,
        choice: Choice,
    ) -> Result<Self> {
        if count == 0 {
            return Err(Error::Usage("an evaluation needs at least one episode".into()));
        }
        // Worlds belong to runs in turn: so many of them are an episode with each.
        let runs = policy.seeds();
        let at_once = count.min((AT_ONCE / runs).max(1));
        let (rounds, rest) = (count / at_once, count % at_once);
        let (count, at_once, rest) = (count * runs, at_once * runs, rest * runs);
        let mut parts = Vec::new();
        let mut of_agents = Vec::new();
        // What is left after the full rounds is played by fewer worlds, of seeds of their own.
        for (worlds, rounds) in [(at_once, 0..rounds), (rest, rounds..rounds + 1)] {
            if worlds == 0 {
                continue;
            }
            // Other episodes than those of training.
            let first = (rounds.start as u64) << 32;
            let worlds = settings.judging_worlds(worlds, seed.wrapping_add(first) ^ 0x6576_616c)?;
            let player = Player::new(device, policy, worlds.as_ref(), choice, false)?;
            if let (Some(links), Some(useful)) = (policy.links(), worlds.useful_links()) {
                of_agents = edges_cut(links, &useful, worlds.spec().agents());
            }
            parts.push(Part { start: worlds.save(), worlds, player, rounds });
        }
        let known = parts.iter().any(|part| part.worlds.equilibrium().is_some());
        let distance = known.then(|| Distance::new(device, settings, policy, choice, seed)).transpose()?;
        let bytes = policy.memory_bytes();
        of_agents.extend((bytes > 0).then_some(("memory_bytes", bytes as f64)));
        let (device, settings, distance) = (device.clone(), settings.clone(), distance.flatten());
        Ok(Episodes { device, settings, parts, distance, seed, count, of_agents })
    }

    /// Has the policy that they were made for play them.
    ///
    /// # Errors
    /// What the device, the worlds or `progress` report.
    pub fn play(&mut self, policy: &dyn Policy, progress: Watch<'_>) -> Result<Vec<EpisodeReport>> {
        let mut reports = Vec::with_capacity(self.count.min(1 << 20));
        for part in &mut self.parts {
            part.worlds.load(&part.start)?;
            for round in part.rounds.clone() {
                let seed = self.seed.wrapping_add((round as u64) << 32);
                let mut in_use: Vec<usize> = Vec::new();
                let mut played = part.player.play(part.worlds.as_mut(), seed, |_, actors, _| {
                    if let Some(now) = actors.slots_in_use()? {
                        in_use.resize(now.len(), 0);
                        in_use.iter_mut().zip(now).for_each(|(most, now)| *most = now.max(*most));
                    }
                    Ok(())
                })?;
                for report in &mut played {
                    // The most that a memory held at any step.
                    let most = in_use.get(report.world).map(|most| ("slots_in_use", *most as f64));
                    report.values.extend(most);
                }
                reports.extend(played);
                progress(reports.len() as u64, self.count as u64)?;
            }
        }
        let (settings, seed) = (&self.settings, self.seed);
        let worlds = |count: usize| settings.judging_worlds(count, seed);
        let learned = settings.learner.measures(&self.device, policy, &worlds, seed)?;
        reports.iter_mut().for_each(|report| report.values.extend(self.of_agents.iter().chain(&learned)));
        if let Some(distance) = &mut self.distance {
            let each = distance.measure()?;
            for report in &mut reports {
                report.values.push(("distance", each[report.world % each.len()]));
            }
        }
        Ok(reports)
    }
}

/// Of the edges between agents that are of use, and of all others, the share that a graph does without.
fn edges_cut(links: &[(u32, u32)], useful: &[(u32, u32)], agents: usize) -> Vec<(&'static str, f64)> {
    let kept_useful = useful.iter().filter(|edge| links.contains(edge)).count();
    let useless = (agents * agents.saturating_sub(1)).saturating_sub(useful.len());
    let kept_useless = links.len() - kept_useful;
    let cut = |kept: usize, all: usize| 1.0 - kept as f64 / all.max(1) as f64;
    vec![
        ("useless_edges_cut", cut(kept_useless, useless)),
        ("useful_edges_cut", cut(kept_useful, useful.len())),
    ]
}

/// Mean and standard error of every value, in the order in which they first occur.
pub fn measures(reports: &[EpisodeReport]) -> Vec<Measure> {
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
