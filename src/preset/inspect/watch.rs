//! What goes on in a team at each step of an episode that was noted.

use super::tape::Tape;
use crate::Device;
use crate::action::ActionSpace;
use crate::agent::importance::Moment;
use crate::agent::neighbours;
use crate::agent::team::{Team, Watched};
use crate::agent::{Mode, Policy, Sequence, WORLD_STATE, fill_noise, masks_input, noise_key};
use crate::comm::{GcnConfig, Neighbours};
use crate::cpu::Parallel;
use crate::env::Spec;
use crate::error::Result;
use crate::graph::{Graph, Variable};
use crate::picture::inspect::{Link, Links, MOST_LISTENERS, Memory, Recording, Round};
use crate::program::Program;
use crate::registry::Member;
use crate::shape::TensorType;

/// Where a program over one step has what belongs to a round of communication.
#[derive(Default)]
struct Outputs {
    said: Option<usize>,
    /// Numbers in a message.
    features: usize,
    attention: Option<usize>,
    edge_weights: Option<usize>,
    gates: Option<usize>,
    priorities: Option<usize>,
}

/// And what belongs to a shared memory.
struct Recollected {
    heads: usize,
    reads: usize,
    importance: Option<usize>,
    written: Option<usize>,
    kept: Option<usize>,
}

/// A team over one step of one world, with what acting does not show.
pub(super) struct Watcher<'a> {
    team: &'a Team,
    program: Program,
    rounds: Vec<Outputs>,
    memory: Option<Recollected>,
    agents: usize,
    space: ActionSpace,
    values_of_actions: bool,
}

/// What was made in a round at one step.
#[derive(Clone, Copy, Default)]
pub(super) struct Made<'a> {
    /// `[agents, features]`.
    pub said: &'a [f32],
    pub features: usize,
    /// `[agents]`; empty for none.
    pub gates: &'a [f32],
    attention: &'a [f32],
    edge_weights: &'a [f32],
    priorities: &'a [f32],
}

/// What is to be seen of a shared memory at one step.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    heads: usize,
    /// `[agents, heads, slots]`.
    reads: &'a [f32],
    /// As in [`Memory`].
    importance: &'a [f32],
    written: &'a [f32],
    kept: &'a [f32],
}

impl Seen<'_> {
    /// Adds a step; the absent read nothing.
    fn note(&self, moment: &Moment, memory: &mut Memory) {
        let slots = memory.slots();
        for (agent, here) in moment.present.iter().enumerate() {
            let rows = &self.reads[agent * self.heads * slots..][..self.heads * slots];
            let mean = |slot: usize| {
                let sum: f32 = rows.iter().skip(slot).step_by(slots).sum();
                here * sum / self.heads as f32
            };
            memory.reads.extend((0..slots).map(mean));
        }
        memory.importance.extend(self.importance);
        memory.written.extend(self.written);
        memory.kept.extend(self.kept);
    }
}

impl<'a> Watcher<'a> {
    /// For a team in such worlds, of which `values_of_actions` learn Q-values.
    pub fn new(device: &Device, team: &'a Team, spec: &Spec, values_of_actions: bool) -> Result<Self> {
        let (program, rounds, memory) = program(device, team, spec, values_of_actions)?;
        let kind = &spec.kinds[0];
        let (agents, space) = (kind.count, kind.actions.clone());
        Ok(Watcher { team, program, rounds, memory, agents, space, values_of_actions })
    }

    /// Goes through an episode, with the noise with which it was played: `note` is told at each step the preferences,
    /// the values, what the rounds made, and what is to be seen of the memory.
    pub fn through(
        &mut self,
        tape: &Tape,
        moments: &[Moment],
        mut note: impl FnMut(&Moment, &[f32], &[f32], &[Made<'_>], Option<Seen<'_>>),
    ) -> Result<()> {
        for (step, moment) in moments.iter().enumerate() {
            let inputs = [
                ("observations", &moment.observations),
                ("ages", &moment.ages),
                ("present", &moment.present),
                (WORLD_STATE, &moment.state),
                ("masks", &moment.masks),
            ];
            for (name, values) in inputs {
                // A network has no input that it has no use for.
                if let Some(input) = self.program.find_input(name) {
                    input.copy_from_slice(values);
                }
            }
            neighbours::fill(&mut self.program, self.team, [1, self.agents, 1])?;
            fill_noise(&mut self.program, 1, |_, world| noise_key([tape.noise, step as u64], world));
            let outputs = self.program.run(&[])?;
            let of = |at: Option<usize>| at.map_or(&[][..], |at| outputs.f32(at));
            let made = |at: &Outputs| Made {
                said: of(at.said),
                features: at.features,
                gates: of(at.gates),
                attention: of(at.attention),
                edge_weights: of(at.edge_weights),
                priorities: of(at.priorities),
            };
            let made: Vec<Made<'_>> = self.rounds.iter().map(made).collect();
            let memory = self.memory.as_ref().map(|at| Seen {
                heads: at.heads,
                reads: outputs.f32(at.reads),
                importance: of(at.importance),
                written: of(at.written),
                kept: of(at.kept),
            });
            note(moment, outputs.f32(0), outputs.f32(1), &made, memory);
        }
        Ok(())
    }

    /// Goes through the recorded episode.
    pub fn record(&mut self, tape: &Tape, moments: &[Moment], recording: &mut Recording) -> Result<()> {
        let team = self.team;
        let (agents, space) = (self.agents, self.space.clone());
        let communication = &team.config().communication;
        let heads = communication.heads();
        let learned = communication.name() != GcnConfig::NAME;
        recording.values_of_actions = self.values_of_actions;
        recording.rounds = self
            .rounds
            .iter()
            .map(|round| {
                let attends = round.attention.is_some() || round.edge_weights.is_some();
                let heads = if attends { heads } else { 1 };
                Round { features: round.features, heads, ..Round::default() }
            })
            .collect();
        recording.graph =
            team.neighbours().map(|of| Links { dimensions: of.positions.len(), learned, ..Links::default() });
        recording.memory =
            self.memory.is_some().then(|| Memory { levels: team.memory_levels(), ..Memory::default() });
        self.through(tape, moments, |moment, preferences, values, made, memory| {
            if let (Some(seen), Some(memory)) = (memory, &mut recording.memory) {
                seen.note(moment, memory);
            }
            judge(recording, &space, preferences, values, &moment.masks);
            for (index, (round, made)) in recording.rounds.iter_mut().zip(made).enumerate() {
                round.said.extend(made.said);
                round.gates.extend(made.gates);
                round.priorities.extend(made.priorities);
                if agents > MOST_LISTENERS {
                    continue;
                }
                // [agents, heads, agents] to [heads, agents, agents]; the absent listen to nobody.
                if !made.attention.is_empty() {
                    for head in 0..round.heads {
                        for listener in 0..agents {
                            let row = &made.attention[(listener * round.heads + head) * agents..][..agents];
                            round.attention.extend(row.iter().map(|w| w * moment.present[listener]));
                        }
                    }
                    continue;
                }
                // A graph that stays the same, with a weight for each edge.
                if let (Some(links), None) = (team.links(index), team.neighbours()) {
                    let mut map = vec![0.0; agents * agents];
                    for (&(from, to), weight) in links.iter().zip(made.edge_weights) {
                        let (from, to) = (from as usize, to as usize);
                        map[to * agents + from] = weight * moment.present[to];
                    }
                    round.attention.extend(map);
                }
            }
            if let (Some(links), Some(of)) = (&mut recording.graph, team.neighbours()) {
                let weights: Vec<&[f32]> =
                    made.iter().map(|made| made.edge_weights).filter(|weights| !weights.is_empty()).collect();
                link(links, of, &moment.observations, &moment.present, &weights, heads);
            }
        })
    }
}

/// The team over one step of one world: probabilities or values of all options, values of what is seen, what rounds of
/// communication made, and what is to be seen of the memory.
fn program(
    device: &Device,
    team: &Team,
    spec: &Spec,
    values_of_actions: bool,
) -> Result<(Program, Vec<Outputs>, Option<Recollected>)> {
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
    let Watched { unrolled, rounds: heard, memory } = team.watch(&weights, sequence, &before)?;
    let preferences = if values_of_actions {
        unrolled.parameters
    } else {
        let masks = masks_input(&graph, spec.masked, kind, &lanes);
        let of = kind.actions.distribution(unrolled.parameters, masks, team.bounded())?;
        of.choices().map_or_else(|| graph.full([0], 0.0), |choices| choices.exp())
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
                features: round.said.and_then(|said| said.shape().last().copied()).unwrap_or(0),
                said: add(round.said),
                attention: add(round.attention),
                edge_weights: add(round.edge_weights),
                gates: add(round.gates),
                priorities: add(round.priorities),
            }
        })
        .collect();
    let memory = memory.map(|glance| {
        let mut add = |tensor| {
            outputs.push(tensor);
            outputs.len() - 1
        };
        Recollected {
            heads: glance.reads.shape().get(2).copied().unwrap_or(1).max(1),
            reads: add(glance.reads),
            importance: glance.importance.map(&mut add),
            written: glance.written.map(&mut add),
            kept: glance.kept.map(&mut add),
        }
    });
    for (variable, value) in state.iter().zip(&unrolled.state) {
        graph.assign(variable, *value);
    }
    let mut program = device.compile(&graph, &outputs)?;
    program.set_parallel(Parallel::Serial);
    Ok((program, rounds, memory))
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
