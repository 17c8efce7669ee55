//! How much each message counts: what a hearer would do, and expect, had one speaker been silent, or said what it says at
//! other times (counterfactuals, as in Jaques et al. 2019, arXiv 1810.08647, section 3, with messages in place of actions).
//!
//! Every policy can be asked: a speaker is silenced by taking it out of its world for a step, and made to say something
//! else by showing it, in a copy of the world, what it saw and remembered at another step. All copies are worlds of one
//! program.

use super::{
    Mode, Policy, Sequence, WORLD_STATE, fill_noise, masks_input, neighbours, noise_key, state_inputs,
};
use crate::Device;
use crate::action::distribution::Factor;
use crate::cpu::Parallel;
use crate::env::{AgentKind, Spec};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::nn::initial::Stream;
use crate::program::Program;

/// What the agents of one world see at a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moment {
    /// `[agents, observation...]`.
    pub observations: Vec<f32>,
    /// `[agents]`: steps since the agent's episode began.
    pub ages: Vec<f32>,
    /// `[agents]`: 1 where the agent is in its world.
    pub present: Vec<f32>,
    /// `[agents, options]`: 1 where an option is allowed.
    pub masks: Vec<f32>,
    /// `[state]`: the world's state, for a central critic.
    pub state: Vec<f32>,
}

/// Importances of messages, each `[steps, hearers, speakers]`; 0 where hearer and speaker are one, or one is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Importance {
    /// The divergence `KL(with the message | without it)` of the hearer's policy, in nats.
    pub removed: Vec<f32>,
    /// The same against the policy with the message drawn from what the speaker says at other steps. Of continuous actions the
    /// mean divergence over these, which is no less than that from their mixture.
    pub marginal: Vec<f32>,
    /// The hearer's value with the message less that without it. Of Q-learners the highest value of an action.
    pub value: Vec<f32>,
}

/// Agents at most: what is computed grows with the square of their number.
pub const MOST_AGENTS: usize = 64;

/// Copies of a world at most.
const MOST_COPIES: usize = 2048;

/// The importance of every message at every one of the moments of an episode, which follow one another. A speaker's other
/// messages are those of `samples` other moments, drawn by `seed`; fewer where there would be too many copies. Of agents whose
/// numbers are `values` of options (Q-learners) the policy is taken to be their softmax.
///
/// # Errors
/// Several kinds of agent or too many, moments of other sizes, or what the device reports.
pub fn of_messages(
    device: &Device,
    policy: &dyn Policy,
    spec: &Spec,
    moments: &[Moment],
    values: bool,
    samples: usize,
    seed: u64,
) -> Result<Importance> {
    let kind = spec.only_kind("the importance of messages")?;
    let agents = kind.count;
    if agents > MOST_AGENTS {
        let message =
            format!("importances are computed for up to {MOST_AGENTS} agents, and there are {agents}");
        return Err(Error::Usage(message));
    }
    let samples = samples.min(moments.len().saturating_sub(1)).min(MOST_COPIES / agents.max(1));
    let mut copies = Copies::new(device, policy, spec, 1 + agents * (1 + samples), values)?;
    // Once through the episode for what everybody remembers at every step.
    let mut before = vec![copies.blank()];
    for (step, moment) in moments.iter().enumerate() {
        let after = copies.follow(policy, moment, &before[step], step)?;
        before.push(after);
    }
    let mut all = Importance::default();
    let mut stream = Stream::new(seed);
    for (step, moment) in moments.iter().enumerate() {
        let others: Vec<usize> =
            (0..samples).map(|_| (step + 1 + stream.below(moments.len() - 1)) % moments.len()).collect();
        copies.fill(moment, &before[step], step)?;
        for speaker in 0..agents {
            copies.silence(speaker, 1 + speaker)?;
            for (i, &other) in others.iter().enumerate() {
                let lane = 1 + agents + speaker * samples + i;
                copies.replace(speaker, lane, &moments[other], &before[other])?;
            }
        }
        copies.run(policy, step)?;
        copies.compare(moment, samples, &mut all);
    }
    Ok(all)
}

/// One world in many copies: `[agents, copies]` are the lanes of a program.
struct Copies {
    program: Program,
    kind: AgentKind,
    copies: usize,
    /// For one agent, part by part: the name and the numbers of its state.
    state: Vec<(String, usize)>,
    /// The options of each choice.
    sizes: Vec<usize>,
}

impl Copies {
    fn new(device: &Device, policy: &dyn Policy, spec: &Spec, copies: usize, values: bool) -> Result<Self> {
        let kind = spec.kinds[0].clone();
        let (graph, lanes) = (Graph::new(), [1, kind.count, copies]);
        let weights = policy.parameters().weights(&graph);
        let sequence = Sequence::input(&graph, policy, lanes, &kind.observation, Mode::Acting);
        let state = state_inputs(&graph, policy, [kind.count, copies]);
        let unrolled = policy.unroll(&graph, &weights, sequence, &state)?;
        let masks = masks_input(&graph, spec.masked, &kind, &lanes);
        let first = unrolled.parameters.slice(2, 0, 1).broadcast_to(unrolled.parameters.shape());
        let of = kind.actions.distribution(unrolled.parameters, masks, policy.bounded())?;
        let real = kind.actions.distribution(first, masks, policy.bounded())?;
        let divergence = real.kl(&of, graph.input_u32("key", [2]))?;
        let choices: Vec<_> = of
            .factors()
            .iter()
            .filter_map(|factor| match factor {
                Factor::Categorical(choice) => Some(choice.log_probabilities()),
                _ => None,
            })
            .collect();
        let logarithms = if choices.is_empty() { graph.full([0], 0.0) } else { graph.concat(&choices, -1) };
        let value = match values {
            true => crate::action::allowed(unrolled.parameters, masks).max(&[-1]).reshape(lanes),
            false => unrolled.values,
        };
        let mut outputs = vec![logarithms, divergence.reshape(lanes), value];
        outputs.extend(&unrolled.state);
        let mut program = device.compile(&graph, &outputs)?;
        program.set_parallel(Parallel::Pool);
        let numbers = |shape: &[usize]| shape.iter().product();
        let state = policy.state().into_iter().map(|part| (part.name, numbers(&part.shape))).collect();
        let sizes = kind.actions.sizes();
        Ok(Copies { program, kind, copies, state, sizes })
    }

    /// A state of zeros, part by part `[agents, numbers]`.
    fn blank(&self) -> Vec<Vec<f32>> {
        self.state.iter().map(|(_, size)| vec![0.0; self.kind.count * size]).collect()
    }

    /// Numbers of a moment by the names of inputs, with how many each agent has.
    fn rows<'a>(&self, moment: &'a Moment) -> [(&'static str, &'a [f32], usize); 4] {
        let observation = self.kind.observation.iter().product();
        [
            ("observations", &moment.observations, observation),
            ("ages", &moment.ages, 1),
            ("present", &moment.present, 1),
            ("masks", &moment.masks, self.kind.actions.options()),
        ]
    }

    /// Writes one agent's row of an input into a copy, or into all.
    fn put(&mut self, name: &str, row: &[f32], agent: usize, copy: Option<usize>) {
        // What a network has no use for it has no input for.
        let Some(input) = self.program.find_input(name) else { return };
        let (size, copies) = (row.len(), self.copies);
        for lane in copy.map_or(0..copies, |copy| copy..copy + 1) {
            if let Some(to) =
                input.get_mut((agent * copies + lane) * size..(agent * copies + lane + 1) * size)
            {
                to.copy_from_slice(row);
            }
        }
    }

    /// Writes everything that one agent sees and remembers.
    fn show(&mut self, moment: &Moment, state: &[Vec<f32>], agent: usize, copy: Option<usize>) -> Result<()> {
        for (name, values, size) in self.rows(moment) {
            // A world without masks has none.
            if values.is_empty() && name == "masks" {
                self.put(name, &vec![1.0; size], agent, copy);
                continue;
            }
            let row = values.get(agent * size..(agent + 1) * size);
            let row =
                row.ok_or_else(|| Error::Usage(format!("a moment's {name} are not those of its agents")))?;
            self.put(name, row, agent, copy);
        }
        for (part, values) in state.iter().enumerate() {
            let size = self.state[part].1;
            self.put(&format!("state{part}"), &values[agent * size..][..size], agent, copy);
        }
        Ok(())
    }

    /// The moment itself in all copies.
    fn fill(&mut self, moment: &Moment, state: &[Vec<f32>], step: usize) -> Result<()> {
        for agent in 0..self.kind.count {
            self.show(moment, state, agent, None)?;
        }
        if let Some(input) = self.program.find_input(WORLD_STATE) {
            let size = input.len() / self.copies;
            if moment.state.len() != size {
                return Err(Error::Usage("a moment's state is not that of its world".into()));
            }
            input.chunks_exact_mut(size.max(1)).for_each(|to| to.copy_from_slice(&moment.state));
        }
        // Chance is the same in all copies: what differs follows from the message alone.
        fill_noise(&mut self.program, self.copies, |_, _| noise_key([0, step as u64], 0));
        if let Some(input) = self.program.find_input_u32("key") {
            input.copy_from_slice(&noise_key([1, step as u64], 0));
        }
        Ok(())
    }

    /// A speaker says nothing in a copy.
    fn silence(&mut self, speaker: usize, copy: usize) -> Result<()> {
        self.put("present", &[0.0], speaker, Some(copy));
        let under_way = self.state.iter().position(|(name, _)| name == super::talk::UNDER_WAY);
        if let Some(part) = under_way {
            let none = vec![0.0; self.state[part].1];
            self.put(&format!("state{part}"), &none, speaker, Some(copy));
        }
        Ok(())
    }

    /// A speaker is at another moment in a copy.
    fn replace(&mut self, speaker: usize, copy: usize, moment: &Moment, state: &[Vec<f32>]) -> Result<()> {
        self.show(moment, state, speaker, Some(copy))
    }

    fn run(&mut self, policy: &dyn Policy, _step: usize) -> Result<()> {
        neighbours::fill(&mut self.program, policy, [1, self.kind.count, self.copies])?;
        self.program.run(&[]).map(|_| ())
    }

    /// The state after a moment.
    fn follow(
        &mut self,
        policy: &dyn Policy,
        moment: &Moment,
        state: &[Vec<f32>],
        step: usize,
    ) -> Result<Vec<Vec<f32>>> {
        self.fill(moment, state, step)?;
        self.run(policy, step)?;
        let outputs = self.program.outputs();
        let of = |(part, (_, size)): (usize, &(String, usize))| {
            let all = outputs.f32(3 + part);
            (0..self.kind.count).flat_map(|a| all[a * self.copies * size..][..*size].to_vec()).collect()
        };
        Ok(self.state.iter().enumerate().map(of).collect())
    }

    /// Compares the copies with the first, hearer by hearer and speaker by speaker.
    fn compare(&self, moment: &Moment, samples: usize, all: &mut Importance) {
        let agents = self.kind.count;
        let outputs = self.program.outputs();
        let (logarithms, divergences, values) = (outputs.f32(0), outputs.f32(1), outputs.f32(2));
        let options: usize = self.sizes.iter().sum();
        for hearer in 0..agents {
            let lane = |copy: usize| hearer * self.copies + copy;
            let row = |copy: usize| &logarithms[lane(copy) * options..][..options];
            for speaker in 0..agents {
                if hearer == speaker || moment.present[hearer] <= 0.0 || moment.present[speaker] <= 0.0 {
                    all.removed.push(0.0);
                    all.marginal.push(0.0);
                    all.value.push(0.0);
                    continue;
                }
                let silent = lane(1 + speaker);
                all.removed.push(divergences[silent].max(0.0));
                all.value.push(values[lane(0)] - values[silent]);
                let copies: Vec<usize> = (0..samples).map(|i| 1 + agents + speaker * samples + i).collect();
                // What is not a choice has no mixture: its divergences alone are averaged.
                let rest: f64 = copies
                    .iter()
                    .map(|&copy| {
                        f64::from(divergences[lane(copy)]) - divergence(row(0), &[row(copy)], &self.sizes)
                    })
                    .sum::<f64>()
                    / samples.max(1) as f64;
                let others: Vec<&[f32]> = copies.iter().map(|copy| row(*copy)).collect();
                let mixed = if samples > 0 { divergence(row(0), &others, &self.sizes) } else { 0.0 };
                all.marginal.push((mixed + rest).max(0.0) as f32);
            }
        }
    }
}

/// The divergence of choices with log-probabilities `of`, one after another, from the mixture of the others.
fn divergence(of: &[f32], others: &[&[f32]], sizes: &[usize]) -> f64 {
    let mut sum = 0.0;
    let mut first = 0;
    for size in sizes {
        for option in first..first + size {
            let own = f64::from(of[option]);
            let mixed =
                others.iter().map(|row| f64::from(row[option]).exp()).sum::<f64>() / others.len() as f64;
            if own.exp() > 1e-12 {
                sum += own.exp() * (own - mixed.max(1e-30).ln());
            }
        }
        first += size;
    }
    sum
}
