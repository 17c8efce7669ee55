//! How much each message counts: what a hearer would do, and expect, had one speaker been silent, or said what it
//! says at other times (counterfactuals, as in Jaques et al. 2019, arXiv 1810.08647, section 3, with messages in
//! place of actions).
//!
//! Every policy can be asked: a speaker is silenced by taking it out of its world for a step, and made to say something
//! else by showing it, in a copy of the world, what it saw and remembered at another step. Where who hears whom follows
//! from what agents see (positions), it hears and is heard there as at that step. All copies are worlds of one program.

use std::ops::Range;

use super::{
    Mode, Policy, Sequence, WORLD_STATE, fill_noise, masks_input, neighbours, noise_key, state_inputs,
};
use crate::Device;
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
    /// The same against the policy with the message drawn from what the speaker says at other moments: the mixture of
    /// what the hearer would do then. Of continuous actions the mean divergence over these, which is no less than that
    /// from their mixture.
    pub marginal: Vec<f32>,
    /// The hearer's value with the message less that without it. Of Q-learners the highest value of an action.
    pub value: Vec<f32>,
}

/// How importances are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counterfactuals {
    /// Whether the policy's numbers are values of options (Q-learners): their softmax is taken for what it would do.
    pub values: bool,
    /// Other moments that stand for what a speaker might have said; those in which it is there, and all of them where
    /// there are no more.
    pub samples: usize,
    /// What draws these moments.
    pub seed: u64,
}

/// Agents at most: what is computed grows with the square of their number.
pub const MOST_AGENTS: usize = 64;

/// Other moments at most.
const MOST_SAMPLES: usize = 2048;

/// Pairs of agents in all copies of a world at most, unless a single speaker needs more: a program has numbers for
/// each.
const MOST_PAIRS: usize = 1 << 17;

/// The importance of every message at the moments `asked`, which are some of `moments`: those of one or more whole
/// episodes, one episode after another. What speakers say at the others is what they might have said.
///
/// # Errors
/// Several kinds of agent that are not made uniform, or more than [`MOST_AGENTS`]; moments of other sizes; `asked` that
/// are not among them; or what the device reports.
pub fn of_messages(
    device: &Device,
    policy: &dyn Policy,
    spec: &Spec,
    moments: &[Moment],
    asked: Range<usize>,
    how: &Counterfactuals,
) -> Result<Importance> {
    let kind = spec.only_kind("the importance of messages")?;
    let agents = kind.count;
    if agents > MOST_AGENTS {
        let message =
            format!("importances are computed for up to {MOST_AGENTS} agents, and there are {agents}");
        return Err(Error::Usage(message));
    }
    if asked.start > asked.end || asked.end > moments.len() {
        let message = format!("moments {asked:?} are not among the {} that there are", moments.len());
        return Err(Error::Usage(message));
    }
    moments.iter().try_for_each(|moment| moment.check(spec, kind))?;
    // Once through all for what everybody remembers; the first moment of an episode has ages 0, by which it is
    // forgotten.
    let mut one = Copies::new(device, policy, spec, 1, how.values)?;
    let mut before = vec![one.blank()];
    for (step, moment) in moments.iter().enumerate() {
        let after =
            if one.state.is_empty() { Vec::new() } else { one.follow(policy, moment, &before[step], step)? };
        before.push(after);
    }
    let samples = how.samples.min(moments.len().saturating_sub(1)).min(MOST_SAMPLES);
    let each = 1 + samples;
    let speakers = (MOST_PAIRS / (agents * agents).max(1) / each).clamp(1, agents.max(1));
    let mut copies = Copies::new(device, policy, spec, 1 + speakers * each, how.values)?;
    let none = vec![0.0; asked.len() * agents * agents];
    let mut all = Importance { removed: none.clone(), marginal: none.clone(), value: none };
    let mut stream = Stream::new(how.seed);
    for (row, step) in asked.enumerate() {
        let moment = &moments[step];
        for first in (0..agents).step_by(speakers) {
            copies.fill(moment, &before[step], step)?;
            let mut blocks = Vec::with_capacity(speakers);
            for (place, speaker) in (first..agents.min(first + speakers)).enumerate() {
                if moment.present[speaker] <= 0.0 {
                    continue;
                }
                let lane = 1 + place * each;
                copies.silence(speaker, lane);
                let others = others(moments, speaker, step, samples, &mut stream);
                for (i, &other) in others.iter().enumerate() {
                    copies.show(&moments[other], &before[other], speaker, Some(lane + 1 + i));
                }
                blocks.push((speaker, lane, others.len()));
            }
            if blocks.is_empty() {
                continue;
            }
            copies.run(policy)?;
            copies.compare(moment, &blocks, row, &mut all);
        }
    }
    Ok(all)
}

/// So many moments other than `step` in which a speaker is there, each once; all where there are no more.
fn others(
    moments: &[Moment],
    speaker: usize,
    step: usize,
    samples: usize,
    stream: &mut Stream,
) -> Vec<usize> {
    let there = |at: &usize| *at != step && moments[*at].present[speaker] > 0.0;
    let mut pool: Vec<usize> = (0..moments.len()).filter(there).collect();
    if pool.len() > samples {
        for i in 0..samples {
            let from = i + stream.below(pool.len() - i);
            pool.swap(i, from);
        }
        pool.truncate(samples);
    }
    pool
}

impl Moment {
    fn check(&self, spec: &Spec, kind: &AgentKind) -> Result<()> {
        let agents = kind.count;
        let observation: usize = kind.observation.iter().product();
        // A world without masks may have none.
        let masks = if self.masks.is_empty() && !spec.masked { 0 } else { agents * kind.actions.options() };
        let sizes = [
            ("observations", self.observations.len(), agents * observation),
            ("ages", self.ages.len(), agents),
            ("present", self.present.len(), agents),
            ("masks", self.masks.len(), masks),
            ("state", self.state.len(), spec.state),
        ];
        match sizes.into_iter().find(|(_, found, expected)| found != expected) {
            Some((name, found, expected)) => {
                let message = format!("a moment's {name} are {found} numbers where its world has {expected}");
                Err(Error::Usage(message))
            }
            None => Ok(()),
        }
    }
}

/// One world in many copies: `[agents, copies]` are the lanes of a program.
struct Copies {
    program: Program,
    kind: AgentKind,
    copies: usize,
    /// For one agent, part by part: the name and the numbers of its state.
    state: Vec<(String, usize)>,
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
        let logarithms = of.choices().unwrap_or_else(|| graph.full([0], 0.0));
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
        Ok(Copies { program, kind, copies, state })
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
    fn show(&mut self, moment: &Moment, state: &[Vec<f32>], agent: usize, copy: Option<usize>) {
        for (name, values, size) in self.rows(moment) {
            match values.get(agent * size..(agent + 1) * size) {
                Some(row) => self.put(name, row, agent, copy),
                // A world without masks has none.
                None => self.put(name, &vec![1.0; size], agent, copy),
            }
        }
        for (part, values) in state.iter().enumerate() {
            let size = self.state[part].1;
            self.put(&format!("state{part}"), &values[agent * size..][..size], agent, copy);
        }
    }

    /// The moment itself in all copies.
    fn fill(&mut self, moment: &Moment, state: &[Vec<f32>], step: usize) -> Result<()> {
        for agent in 0..self.kind.count {
            self.show(moment, state, agent, None);
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

    /// A speaker says nothing in a copy, and nothing of its is under way.
    fn silence(&mut self, speaker: usize, copy: usize) {
        self.put("present", &[0.0], speaker, Some(copy));
        let under_way = self.state.iter().position(|(name, _)| name == super::talk::UNDER_WAY);
        if let Some(part) = under_way {
            let none = vec![0.0; self.state[part].1];
            self.put(&format!("state{part}"), &none, speaker, Some(copy));
        }
    }

    fn run(&mut self, policy: &dyn Policy) -> Result<()> {
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
        self.run(policy)?;
        let outputs = self.program.outputs();
        let of = |(part, (_, size)): (usize, &(String, usize))| {
            let all = outputs.f32(3 + part);
            (0..self.kind.count).flat_map(|a| all[a * self.copies * size..][..*size].to_vec()).collect()
        };
        Ok(self.state.iter().enumerate().map(of).collect())
    }

    /// Compares copies with the first, hearer by hearer: for each speaker that was changed the copy in which it is
    /// silent, behind which so many follow in which it says something else.
    fn compare(&self, moment: &Moment, blocks: &[(usize, usize, usize)], row: usize, all: &mut Importance) {
        let agents = self.kind.count;
        let outputs = self.program.outputs();
        let (logarithms, divergences, values) = (outputs.f32(0), outputs.f32(1), outputs.f32(2));
        let options = self.kind.actions.options();
        let continuous = self.kind.actions.floats() > 0;
        for hearer in (0..agents).filter(|hearer| moment.present[*hearer] > 0.0) {
            let lane = |copy: usize| hearer * self.copies + copy;
            let chances = |copy: usize| &logarithms[lane(copy) * options..][..options];
            let from = |copies: Range<usize>| {
                let mut sums = vec![0.0; options];
                for copy in copies.clone() {
                    sums.iter_mut().zip(chances(copy)).for_each(|(sum, log)| *sum += f64::from(*log).exp());
                }
                divergence(chances(0), &sums, copies.len())
            };
            // What is not a choice has no mixture: its divergences alone are averaged.
            let rest = |copy: usize| match continuous {
                true => f64::from(divergences[lane(copy)]) - from(copy..copy + 1),
                false => 0.0,
            };
            for &(speaker, silent, count) in blocks.iter().filter(|(speaker, ..)| *speaker != hearer) {
                let at = (row * agents + hearer) * agents + speaker;
                let removed = from(silent..silent + 1) + rest(silent);
                all.removed[at] = removed.max(0.0) as f32;
                all.value[at] = values[lane(0)] - values[lane(silent)];
                if count > 0 {
                    let copies = silent + 1..silent + 1 + count;
                    let mixed = from(copies.clone());
                    let rest = copies.map(rest).sum::<f64>() / count as f64;
                    all.marginal[at] = (mixed + rest).max(0.0) as f32;
                }
            }
        }
    }
}

/// The divergence of choices with log-probabilities `of` from a mixture, whose probabilities were summed over `count` rows.
/// Several choices are independent: their options stand one after another, and their divergences add up.
pub(crate) fn divergence(of: &[f32], sums: &[f64], count: usize) -> f64 {
    let term = |(log, sum): (&f32, &f64)| {
        let own = f64::from(*log).exp();
        // Of equal ones exactly 0.
        if own > 1e-12 { own * (own / (sum / count as f64).max(1e-30)).ln() } else { 0.0 }
    };
    of.iter().zip(sums).map(term).sum()
}
