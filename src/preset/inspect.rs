//! One episode of a trained team, looked into: what its agents attend to, say, want and expect.

use std::path::Path;

use serde_json::{Map, json};

use super::Settings;
use super::settings::take_parameters;
use crate::Device;
use crate::action::distribution::Factor;
use crate::action::{ActionSpace, Actions};
use crate::agent::actors::{Choice, next_age};
use crate::agent::neighbours;
use crate::agent::team::Team;
use crate::agent::{Mode, Policy, Sequence, WORLD_STATE, fill_noise, masks_input, noise_key};
use crate::comm::Neighbours;
use crate::comm::{CommNetConfig, Communication, GcnConfig, Silence};
use crate::cpu::Parallel;
use crate::env::{AgentKind, Buffers, Drawing, EpisodeReport, Fact, Spec, VecEnv};
use crate::error::{Error, Result};
use crate::graph::{Graph, Variable};
use crate::picture::inspect::{Link, Links, MOST_LISTENERS, Page, Recording, Round, pages};
use crate::program::Program;
use crate::registry::Member;
use crate::run::{checkpoint, folder};
use crate::shape::TensorType;
use crate::train::curiosity::{CuriosityConfig, episode_bonuses};
use crate::train::player::Player;

/// Numbers that may be recorded of the messages, the attention and the observations of an episode, each.
const MOST_NUMBERS: usize = 1 << 26;

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

/// Plays one episode with the policy of the run, or of the checkpoint file, in `run` and draws what went on in the team.
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
    let team = trained_team(device, settings, run)?;
    let (tape, report) = play(device, settings, &team, inspection)?;
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
        values_of_actions: settings.choice(true) == Choice::EpsilonGreedy,
        ..Recording::default()
    };
    recording.about = about(settings, &team, inspection, &recording, report.as_ref());
    tape.copy(&mut recording);
    watch(device, &team, &tape, &mut recording)?;
    recording.bonuses = bonuses(device, settings, run, &tape, kind)?;
    let pages = pages(&recording, inspection.clusters)?;
    let omitted = omitted(settings, &team.config().communication, &recording, &pages);
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

/// A world that notes all that it shows and is told, until so many steps are noted: then it ends.
struct Tape {
    inner: Box<dyn VecEnv>,
    /// What was seen before each step and after the last.
    shown: Vec<Buffers>,
    actions: Vec<Actions>,
    limit: usize,
}

impl VecEnv for Tape {
    fn spec(&self) -> &Spec {
        self.inner.spec()
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        self.inner.reset(which, out)?;
        (self.shown, self.actions) = (vec![out.clone()], Vec::new());
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        self.inner.step(actions, out)?;
        self.actions.push(actions.clone());
        if self.actions.len() >= self.limit {
            out.ended.fill(true);
        }
        self.shown.push(out.clone());
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    fn save(&self) -> Vec<u8> {
        self.inner.save()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.load(bytes)
    }

    fn draw(&self, world: usize) -> Option<Drawing> {
        self.inner.draw(world)
    }

    fn facts(&self) -> Vec<Fact> {
        self.inner.facts()
    }

    fn fact_values(&self, world: usize, agent: usize) -> Vec<Option<u32>> {
        self.inner.fact_values(world, agent)
    }

    fn useful_links(&self) -> Option<Vec<(u32, u32)>> {
        self.inner.useful_links()
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        self.inner.action_names(agent)
    }

    fn agent_name(&self, agent: usize) -> String {
        self.inner.agent_name(agent)
    }
}

impl Tape {
    /// What the world says of the episode.
    fn copy(&self, recording: &mut Recording) {
        for (before, after) in self.shown.iter().zip(&self.shown[1..]) {
            recording.present.extend(&before.active);
            recording.rewards.extend(&after.rewards);
            recording.allowed.extend(before.masks.iter().map(|mask| *mask > 0.0));
        }
        let mut actions = self.all_actions();
        actions.hold(&self.inner.spec().kinds[0].actions.bounds());
        Actions { discrete: recording.taken, continuous: recording.numbers } = actions;
    }

    /// The actions of all steps, one after another.
    fn all_actions(&self) -> Actions {
        Actions {
            discrete: self.actions.iter().flat_map(|actions| &actions.discrete).copied().collect(),
            continuous: self.actions.iter().flat_map(|actions| &actions.continuous).copied().collect(),
        }
    }
}

/// One world plays to its end, or to the last step that is recorded.
fn play(
    device: &Device,
    settings: &Settings,
    team: &Team,
    inspection: &Inspection,
) -> Result<(Tape, Option<EpisodeReport>)> {
    let choice = settings.choice(inspection.greedy);
    let seed = inspection.seed.wrapping_add(u64::from(inspection.episode) << 32);
    // Other episodes than those of training.
    let inner = settings.judging_worlds(1, seed ^ 0x6576_616c)?;
    let each = {
        let spec = inner.spec();
        let agents = spec.agents();
        let agent = team.config();
        let said = agent.rounds * agents * agent.features;
        let heard = agent.rounds * agents * agents.min(MOST_LISTENERS) * agent.communication.heads();
        said.max(heard).max(spec.observation_length() + spec.mask_length()).max(1)
    };
    if each > MOST_NUMBERS {
        return Err(Error::Usage(format!("{each} numbers a step are too many to be recorded")));
    }
    let limit = inspection.steps.min(MOST_NUMBERS / each);
    let mut tape = Tape { inner, shown: Vec::new(), actions: Vec::new(), limit };
    let mut player = Player::new(device, team, &tape, choice, false)?;
    let reports = player.play(&mut tape, seed, |_, _, _| Ok(()))?;
    if tape.actions.is_empty() {
        return Err(Error::Usage("the episode ended before it began".into()));
    }
    Ok((tape, reports.into_iter().next()))
}

/// The outputs of a program over one step that belong to a round of communication.
struct Outputs {
    said: Option<usize>,
    attention: Option<usize>,
    edge_weights: Option<usize>,
    gates: Option<usize>,
}

/// Goes through the episode once more with a program that shows what acting does not.
fn watch(device: &Device, team: &Team, tape: &Tape, recording: &mut Recording) -> Result<()> {
    let spec = tape.inner.spec();
    let agents = spec.kinds[0].count;
    let space = &spec.kinds[0].actions;
    let (mut program, rounds) = program(device, team, spec, recording.values_of_actions)?;
    let communication = &team.config().communication;
    let (heads, features) = (communication.heads(), team.config().features);
    let learned = communication.name() != GcnConfig::NAME;
    recording.rounds = rounds
        .iter()
        .map(|round| {
            let heads = if round.attention.is_some() || round.edge_weights.is_some() { heads } else { 1 };
            Round { features, heads, ..Round::default() }
        })
        .collect();
    recording.graph =
        team.neighbours().map(|of| Links { dimensions: of.positions.len(), learned, ..Links::default() });
    let mut ages = vec![0.0; agents];
    for (step, shown) in tape.shown[..tape.actions.len()].iter().enumerate() {
        if step > 0 {
            let before = &tape.shown[step - 1].active;
            for (agent, age) in ages.iter_mut().enumerate() {
                *age = next_age(*age, false, before[agent], shown, agent);
            }
        }
        let present: Vec<f32> = shown.active.iter().map(|a| f32::from(u8::from(*a))).collect();
        let inputs = [
            ("observations", &shown.observations),
            ("ages", &ages),
            ("present", &present),
            (WORLD_STATE, &shown.state),
            ("masks", &shown.masks),
        ];
        for (name, values) in inputs {
            // A network has no input that it has no use for.
            if let Some(input) = program.find_input(name) {
                input.copy_from_slice(values);
            }
        }
        neighbours::fill(&mut program, team, [1, agents, 1])?;
        fill_noise(&mut program, 1, |_, world| noise_key([0, step as u64], world));
        let outputs = program.run(&[])?;
        judge(recording, space, outputs.f32(0), outputs.f32(1), &shown.masks);
        for (round, at) in recording.rounds.iter_mut().zip(&rounds) {
            let of = |at: Option<usize>| at.map_or(&[][..], |at| outputs.f32(at));
            round.said.extend(of(at.said));
            round.gates.extend(of(at.gates));
            // [agents, heads, agents] to [heads, agents, agents]; the absent listen to nobody.
            let attention = of(at.attention);
            if agents <= MOST_LISTENERS && !attention.is_empty() {
                for head in 0..round.heads {
                    for listener in 0..agents {
                        let row = &attention[(listener * round.heads + head) * agents..][..agents];
                        round.attention.extend(row.iter().map(|w| w * present[listener]));
                    }
                }
            }
        }
        if let (Some(links), Some(of)) = (&mut recording.graph, team.neighbours()) {
            let weights: Vec<&[f32]> =
                rounds.iter().filter_map(|at| at.edge_weights).map(|at| outputs.f32(at)).collect();
            link(links, of, &shown.observations, &present, &weights, heads);
        }
    }
    Ok(())
}

/// The team over one step of one world: probabilities or values of all options, values of what is seen, and what rounds
/// of communication made.
fn program(
    device: &Device,
    team: &Team,
    spec: &Spec,
    values_of_actions: bool,
) -> Result<(Program, Vec<Outputs>)> {
    let kind = &spec.kinds[0];
    let agents = kind.count;
    let state = team
        .state()
        .iter()
        .map(|part| {
            let of = TensorType::f32([&[agents, 1], &part.shape[..]].concat());
            device.variable(&part.name, of.clone(), &vec![0.0f32; of.elements()])
        })
        .collect::<Result<Vec<Variable>>>()?;
    let graph = Graph::new();
    let weights = team.parameters().weights(&graph);
    let lanes = [1, agents, 1];
    let sequence = Sequence::input(&graph, team, lanes, &kind.observation, Mode::Acting);
    let before: Vec<_> = state.iter().map(|v| graph.variable(v)).collect();
    let (unrolled, heard) = team.watch(&weights, sequence, &before)?;
    let preferences = if values_of_actions {
        unrolled.parameters
    } else {
        let masks = masks_input(&graph, spec.masked, kind, &lanes);
        let of = kind.actions.distribution(unrolled.parameters, masks, team.bounded())?;
        let choices = of.factors().iter().filter_map(|factor| match factor {
            Factor::Categorical(choice) => Some(choice.log_probabilities().exp()),
            _ => None,
        });
        match choices.collect::<Vec<_>>() {
            choices if choices.is_empty() => graph.full([0], 0.0),
            choices => graph.concat(&choices, -1),
        }
    };
    let mut outputs = vec![preferences, unrolled.values];
    let rounds = heard
        .iter()
        .map(|round| {
            let mut add = |tensor: Option<_>| {
                outputs.extend(tensor);
                tensor.map(|_| outputs.len() - 1)
            };
            Outputs {
                said: add(round.said),
                attention: add(round.attention),
                edge_weights: add(round.edge_weights),
                gates: add(round.gates),
            }
        })
        .collect();
    for (variable, value) in state.iter().zip(&unrolled.state) {
        graph.assign(variable, *value);
    }
    let mut program = device.compile(&graph, &outputs)?;
    program.set_parallel(Parallel::Serial);
    Ok((program, rounds))
}

/// Notes what agents prefer and expect at a step, from probabilities or values of options `[agents, options]`.
fn judge(recording: &mut Recording, space: &ActionSpace, preferences: &[f32], values: &[f32], masks: &[f32]) {
    recording.preferences.extend(preferences);
    if !recording.values_of_actions {
        recording.values.extend(values);
        return;
    }
    let options = space.options().max(1);
    let allowed = |(value, mask): (&f32, &f32)| if *mask > 0.0 { *value } else { f32::NEG_INFINITY };
    for (values, masks) in preferences.chunks(options).zip(masks.chunks(options)) {
        recording.values.push(values.iter().zip(masks).map(allowed).fold(f32::NEG_INFINITY, f32::max));
    }
}

/// Notes positions and edges of a step. `weights` are those of attention, `[edges, heads]` for each round; without them
/// an edge has the weight that graph convolution gives it.
fn link(
    links: &mut Links,
    of: &Neighbours,
    observations: &[f32],
    present: &[f32],
    weights: &[&[f32]],
    heads: usize,
) {
    let agents = present.len();
    let size = observations.len() / agents.max(1);
    let first = links.positions.len();
    for agent in 0..agents {
        let row = &observations[agent * size..][..size];
        links.positions.extend(of.positions.iter().map(|c| row.get(*c).copied().unwrap_or(0.0)));
    }
    // Sorted by listener already: the order that programs have their edges in.
    let edges = of.edges(&links.positions[first..], of.positions.len(), present);
    let mut degrees = vec![0usize; agents];
    edges.iter().for_each(|(_, to)| degrees[*to as usize] += 1);
    let weight = |k: usize, (from, to): (u32, u32)| -> Vec<f32> {
        if links.learned {
            return weights.iter().flat_map(|of| &of[k * heads..][..heads]).copied().collect();
        }
        let degree = |agent: u32| degrees[agent as usize].max(1) as f32;
        vec![1.0 / (degree(from) * degree(to)).sqrt()]
    };
    let edges = edges
        .iter()
        .enumerate()
        .map(|(k, &(from, to))| Link { from, to, weights: weight(k, (from, to)) })
        .collect();
    links.edges.push(edges);
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
    [("attention", attention), ("graph", graph), ("intrinsic", curiosity), ("messages", messages)]
        .into_iter()
        .filter(|(name, _)| !pages.iter().any(|page| page.name == *name))
        .collect()
}
