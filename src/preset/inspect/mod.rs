//! One episode of a trained team, looked into: what its agents attend to, say, want and expect.

mod talk;
mod tape;
mod watch;

use std::path::Path;

use serde_json::{Map, json};

use self::talk::Conversation;
use self::tape::{Stage, Tape};
use self::watch::Watcher;
use super::Settings;
use super::settings::take_parameters;
use crate::Device;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::agent::importance;
use crate::agent::team::Team;
use crate::comm::{CommNetConfig, Communication, GcnConfig, Silence};
use crate::env::{AgentKind, EpisodeReport, VecEnv};
use crate::error::{Error, Result};
use crate::picture::inspect::{MOST_LISTENERS, Page, Recording, pages};
use crate::registry::Member;
use crate::run::{checkpoint, folder};
use crate::train::curiosity::{CuriosityConfig, episode_bonuses};

/// Which episode, and how it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspection {
    /// Which of the seed's episodes.
    pub episode: u32,
    /// The seed of worlds and actions.
    pub seed: u64,
    /// Policies take their most probable action instead of drawing one.
    pub greedy: bool,
    /// Steps that are recorded at most.
    pub steps: usize,
    /// Clusters of messages.
    pub clusters: usize,
    /// Speakers that are drawn for each listener in the graph, the strongest first.
    pub arcs: usize,
    /// More episodes, behind this one, by which what is said is understood; 0 for none.
    pub episodes: u32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// The pictures with their numbers.
    pub pages: Vec<Page>,
    /// Pages that there are none of, with the reason.
    pub omitted: Vec<(&'static str, String)>,
    /// What the episode amounted to; `None` where its end was not recorded.
    pub report: Option<EpisodeReport>,
    /// Steps recorded.
    pub steps: usize,
}

/// Most of [`Inspection::episodes`].
const MOST_EPISODES: u32 = 1 << 20;

/// Plays one episode with the policy of the run, or of the checkpoint file, in `run` and draws what went on in the
/// team.
///
/// # Errors
/// Numbers out of range, a damaged checkpoint, more numbers than can be kept, or what the device or the world reports.
pub fn inspect(
    device: &Device,
    settings: &Settings,
    run: &Path,
    inspection: &Inspection,
) -> Result<Inspected> {
    if inspection.steps == 0 {
        return Err(Error::Usage("at least one step must be recorded".into()));
    }
    if inspection.episodes > MOST_EPISODES {
        return Err(Error::Usage(format!("up to {MOST_EPISODES} episodes, not {}", inspection.episodes)));
    }
    let team = trained_team(device, settings, run)?;
    let mut stage = Stage::new(device, settings, &team, inspection)?;
    let (tape, report) = stage.play(inspection.episode)?;
    let spec = tape.inner.spec();
    let kind = &spec.kinds[0];
    let mut recording = Recording {
        title: format!(
            "{} in {}, episode {} of seed {}",
            settings.preset,
            settings.world.name(),
            inspection.episode,
            inspection.seed
        ),
        agents: kind.count,
        names: (0..kind.count).map(|agent| tape.agent_name(agent)).collect(),
        choices: kind.actions.sizes(),
        floats: kind.actions.floats(),
        action_names: action_names(&tape, kind.count),
        arcs: inspection.arcs,
        steps: tape.actions.len(),
        ..Recording::default()
    };
    recording.about = about(settings, &team, inspection, &recording, report.as_ref());
    tape.copy(&mut recording);
    let values_of_actions = settings.choice(true) == Choice::EpsilonGreedy;
    let moments = tape.moments();
    let mut watcher = Watcher::new(device, &team, spec, values_of_actions)?;
    watcher.record(&tape, &moments, &mut recording)?;
    recording.bonuses = bonuses(device, settings, run, &tape, kind)?;
    if team.talks() {
        let others = Conversation::hold(&mut stage, &mut watcher, &team, inspection)?;
        let counted = talk::count(device, &team, &tape, &moments, &others.moments, &recording)?;
        let mut meaning = others.meaning(&team, kind);
        if let Some((counted, listening)) = counted {
            recording.importance = Some(counted);
            meaning.listening = (listening.pairs > 0).then_some(listening);
        }
        recording.meaning = (!meaning.speech.is_empty()).then_some(meaning);
    }
    let pages = pages(&recording, inspection.clusters)?;
    let omitted = omitted(settings, &team.config().communication, inspection, &recording, &pages);
    Ok(Inspected { pages, omitted, report, steps: recording.steps })
}

/// The team of a run with its trained parameters.
fn trained_team(device: &Device, settings: &Settings, run: &Path) -> Result<Team> {
    let world = settings.judging_worlds(1, settings.seed)?;
    let spec = world.spec();
    let itself = settings.learner.trains_the_agent_itself();
    let team = match itself {
        true => settings.agent.team(device, spec, settings.separate_parameters, settings.seed)?,
        false => None,
    };
    let Some(mut team) = team else {
        let (agent, learner) = (settings.agent.name(), settings.learner.name());
        let message = format!("agents of kind `{agent}` under `{learner}` cannot be looked into yet");
        return Err(Error::Usage(message));
    };
    take_parameters(&team, run)?;
    team.settle(device)?;
    Ok(team)
}

fn about(
    settings: &Settings,
    team: &Team,
    inspection: &Inspection,
    recording: &Recording,
    report: Option<&EpisodeReport>,
) -> Map<String, serde_json::Value> {
    let measures: Option<Map<String, serde_json::Value>> =
        report.map(|r| r.values.iter().map(|(name, value)| (name.to_string(), json!(value))).collect());
    let object = json!({
        "preset": settings.preset,
        "world": settings.world.name(),
        "communication": team.config().communication.name(),
        "episode": inspection.episode,
        "seed": inspection.seed,
        "agents": recording.agents,
        "agent_names": recording.names,
        "action_names": recording.action_names,
        "steps": recording.steps,
        "complete": report.is_some(),
        "measures": measures,
    });
    match object {
        serde_json::Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// What actions are called: one list where all agents have the same, else one for each.
fn action_names(world: &dyn VecEnv, agents: usize) -> Vec<Vec<String>> {
    let first = world.action_names(0);
    match (1..agents).all(|agent| world.action_names(agent) == first) {
        true => vec![first],
        false => (0..agents).map(|agent| world.action_names(agent)).collect(),
    }
}

/// Intrinsic rewards of the recorded steps, where the run has curiosity. A step after which an agent's episode is over
/// shows nothing new and earns none.
fn bonuses(
    device: &Device,
    settings: &Settings,
    run: &Path,
    tape: &Tape,
    kind: &AgentKind,
) -> Result<Option<(String, Vec<f32>)>> {
    let curiosity = settings.learner.curiosity();
    let name = match curiosity {
        CuriosityConfig::None => return Ok(None),
        CuriosityConfig::Icm(_) => "ICM",
        CuriosityConfig::Rnd(_) => "RND",
    };
    let path = folder::checkpoint_at(run);
    let checkpoint = checkpoint::read_part(&path, "curiosity/")?;
    let observations: Vec<f32> = tape.shown.iter().flat_map(|shown| &shown.observations).copied().collect();
    let actions = tape.all_actions();
    let worlds = settings.world.worlds();
    let bonuses = episode_bonuses(device, curiosity, kind, worlds, &checkpoint, &observations, &actions)
        .map_err(|e| Error::file(&path, None, e.to_string()))?;
    let over: Vec<bool> = tape.shown[1..].iter().flat_map(|shown| &shown.terminated).copied().collect();
    Ok(bonuses.map(|bonuses| {
        let kept = bonuses.iter().zip(over).map(|(bonus, over)| if over { 0.0 } else { *bonus });
        (name.to_string(), kept.collect())
    }))
}

/// Why there is no page of a kind.
fn omitted(
    settings: &Settings,
    communication: &Communication,
    inspection: &Inspection,
    recording: &Recording,
    pages: &[Page],
) -> Vec<(&'static str, String)> {
    let silent = communication.name() == Silence::NAME;
    let attention = match communication.name() {
        Silence::NAME => "agents do not communicate (agent.communication.kind = \"none\")".to_string(),
        CommNetConfig::NAME => "CommNet hears the mean of all others; it has no attention".to_string(),
        GcnConfig::NAME => "GCN weighs neighbours by their degrees alone: see graph.svg".to_string(),
        _ => format!("it is drawn for up to {MOST_LISTENERS} agents, and there are {}", recording.agents),
    };
    let graph = match silent {
        true => attention.clone(),
        false => format!("{} has no graph of neighbours; gcn, gat and gatv2 do", communication.name()),
    };
    let curiosity = match settings.learner.curiosity() {
        CuriosityConfig::None => "the run has no curiosity (learner.curiosity.kind = \"none\")",
        _ => "no bonus is a finite number",
    };
    let curiosity = curiosity.to_string();
    let messages = if silent { attention.clone() } else { "nobody said anything".to_string() };
    let importance = match silent {
        true => attention.clone(),
        false => format!(
            "it is computed for up to {} agents, and there are {}",
            importance::MOST_AGENTS,
            recording.agents
        ),
    };
    let meaning = match silent {
        true => attention.clone(),
        false if inspection.episodes == 0 => "no more episodes are played (--episodes 0)".to_string(),
        false => "nobody said anything in them that was heard".to_string(),
    };
    let memory = "agents share no memory (agent.memory.kind = \"none\")".to_string();
    let reasons = [
        ("attention", attention),
        ("graph", graph),
        ("importance", importance),
        ("intrinsic", curiosity),
        ("meaning", meaning),
        ("memory", memory),
        ("messages", messages),
    ];
    reasons.into_iter().filter(|(name, _)| !pages.iter().any(|page| page.name == *name)).collect()
}
