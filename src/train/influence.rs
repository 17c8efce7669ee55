//! Rewards for being listened to: social influence (Jaques et al. 2019, arXiv 1810.08647, equation 2, with messages in
//! place of actions).
//!
//! At every step each agent that talks is paid the sum over its hearers `k` of
//! `KL(p(a_k | what it says) | mean over what it might have said of p(a_k | that))`, times a weight. What it might have
//! said is what it says at other steps, or in other worlds, of the rollout: it is shown, in a world as it was, what it
//! saw and remembered there. What is heard later than it was said is paid when it is heard.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rollout::Experience;
use crate::Device;
use crate::agent::importance::divergence;
use crate::agent::{
    Mode, Policy, Sequence, WORLD_STATE, fill_noise, masks_input, neighbours, noise_key, state_inputs,
};
use crate::cpu::Parallel;
use crate::env::Spec;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::nn::initial::Stream;
use crate::program::Program;

/// The settings of rewards for being listened to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InfluenceConfig {
    /// What a nat of influence is paid; 0 for none.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub weight: f32,
    /// Other messages that stand for what might have been said. The work is that of acting times this and the number of
    /// agents that talk.
    #[schemars(range(min = 1, max = 64))]
    pub samples: usize,
}

impl Default for InfluenceConfig {
    fn default() -> Self {
        InfluenceConfig { weight: 0.0, samples: 4 }
    }
}

/// Tries to find another moment in which a speaker is there.
const TRIES: usize = 8;

/// What computes the rewards.
pub struct Influence {
    config: InfluenceConfig,
    /// Over one step of all worlds: log-probabilities of options, and the state after it.
    program: Program,
    /// The options of each choice.
    sizes: Vec<usize>,
    /// Whether each agent is heard by anybody.
    heard: Vec<bool>,
    seed: u64,
}

impl Influence {
    /// For agents of `policy` in such worlds; `None` where the weight is 0.
    ///
    /// # Errors
    /// Nobody talks, actions that are not choices, several kinds of agent that are not made uniform, or what
    /// compilation reports.
    pub fn new(
        device: &Device,
        config: &InfluenceConfig,
        policy: &dyn Policy,
        spec: &Spec,
        seed: u64,
    ) -> Result<Option<Self>> {
        if config.weight == 0.0 {
            return Ok(None);
        }
        let kind = spec.only_kind("influence")?;
        if !policy.talks() {
            let message = "0: nobody talks, and so nobody can be listened to";
            return Err(Error::config("learner.influence.weight", message));
        }
        if kind.actions.floats() > 0 {
            let message = "0: influence is computed for choices, and there are continuous actions";
            return Err(Error::config("learner.influence.weight", message));
        }
        let (graph, lanes) = (Graph::new(), [1, kind.count, spec.worlds]);
        let weights = policy.parameters().weights(&graph);
        let sequence = Sequence::input(&graph, policy, lanes, &kind.observation, Mode::Exploring);
        let state = state_inputs(&graph, policy, [kind.count, spec.worlds]);
        let unrolled = policy.unroll(&graph, &weights, sequence, &state)?;
        let masks = masks_input(&graph, spec.masked, kind, &lanes);
        let of = kind.actions.distribution(unrolled.parameters, masks, policy.bounded())?;
        let mut outputs = vec![of.choices().unwrap_or_else(|| graph.full([0], 0.0))];
        outputs.extend(&unrolled.state);
        let mut program = device.compile(&graph, &outputs)?;
        program.set_parallel(Parallel::Pool);
        let is_heard = |agent: usize| match policy.links() {
            Some(links) => links.iter().any(|(from, _)| *from as usize == agent),
            None => true,
        };
        let heard = (0..kind.count).map(is_heard).collect();
        Ok(Some(Influence { config: config.clone(), program, sizes: kind.actions.sizes(), heard, seed }))
    }

    /// The reward of every agent at every step of a rollout, `[time, agents, worlds]`. `counter` is another one for
    /// every rollout.
    ///
    /// # Errors
    /// What the device reports.
    pub fn rewards(
        &mut self,
        policy: &dyn Policy,
        experience: &Experience,
        counter: u64,
    ) -> Result<Vec<f32>> {
        let Experience { time, agents, worlds, .. } = *experience;
        let lanes = agents * worlds;
        let options: usize = self.sizes.iter().sum();
        // Once through the rollout: what was remembered before each step.
        let mut before = vec![experience.state.clone()];
        let mut real = Vec::with_capacity(time);
        for t in 0..time {
            self.show(experience, &before[t], t);
            self.run(policy, [1, agents, worlds])?;
            let outputs = self.program.outputs();
            real.push(outputs.f32(0).to_vec());
            before.push((0..before[t].len()).map(|part| outputs.f32(1 + part).to_vec()).collect());
        }
        let mut stream = Stream::new(self.seed ^ counter.rotate_left(20) ^ 0x696e_666c);
        let mut rewards = vec![0.0; time * lanes];
        for t in 0..time {
            self.show(experience, &before[t], t);
            for speaker in (0..agents).filter(|speaker| self.heard[*speaker]).collect::<Vec<_>>() {
                let mut mixture = vec![0.0f64; lanes * options];
                for _ in 0..self.config.samples {
                    for world in 0..worlds {
                        let other = another(experience, speaker, &mut stream).unwrap_or((t, world));
                        self.place(experience, &before, other, [speaker, world]);
                    }
                    self.run(policy, [1, agents, worlds])?;
                    let outputs = self.program.outputs();
                    mixture
                        .iter_mut()
                        .zip(outputs.f32(0))
                        .for_each(|(sum, log)| *sum += f64::from(*log).exp());
                }
                for world in 0..worlds {
                    self.place(experience, &before, (t, world), [speaker, world]);
                    let here = |agent: usize| experience.present[t * lanes + agent * worlds + world] > 0.0;
                    if !here(speaker) {
                        continue;
                    }
                    let hearers = (0..agents).filter(|hearer| *hearer != speaker && here(*hearer));
                    let sum: f64 = hearers
                        .map(|hearer| {
                            let row =
                                (hearer * worlds + world) * options..(hearer * worlds + world + 1) * options;
                            divergence(&real[t][row.clone()], &mixture[row], self.config.samples).max(0.0)
                        })
                        .sum();
                    rewards[t * lanes + speaker * worlds + world] = self.config.weight * sum as f32;
                }
            }
        }
        Ok(rewards)
    }

    fn run(&mut self, policy: &dyn Policy, lanes: [usize; 3]) -> Result<()> {
        neighbours::fill(&mut self.program, policy, lanes)?;
        self.program.run(&[]).map(|_| ())
    }

    /// What is seen and remembered at a step, by everybody.
    fn show(&mut self, experience: &Experience, state: &[Vec<f32>], t: usize) {
        let [seed, first] = experience.noise;
        // What was said is said again.
        let key = |world| noise_key([seed, first.wrapping_add(t as u64)], world);
        fill_noise(&mut self.program, experience.worlds, |_, world| key(world));
        let steps = arrays(experience).into_iter().chain([(WORLD_STATE, &experience.world_state[..])]);
        for (name, all) in steps {
            if let Some(input) = self.program.find_input(name) {
                let size = input.len();
                input.copy_from_slice(&all[t * size..][..size]);
            }
        }
        for (part, values) in state.iter().enumerate() {
            if let Some(input) = self.program.find_input(&format!("state{part}")) {
                input.copy_from_slice(values);
            }
        }
    }

    /// What an agent saw and remembered at a step of a world, put in its place in a world.
    fn place(
        &mut self,
        experience: &Experience,
        before: &[Vec<Vec<f32>>],
        (t, from): (usize, usize),
        [agent, world]: [usize; 2],
    ) {
        let Experience { agents, worlds, .. } = *experience;
        let lanes = agents * worlds;
        let (from, to) = (agent * worlds + from, agent * worlds + world);
        for (name, all) in arrays(experience) {
            if let Some(input) = self.program.find_input(name) {
                let size = input.len() / lanes;
                input[to * size..][..size].copy_from_slice(&all[(t * lanes + from) * size..][..size]);
            }
        }
        for (part, values) in before[t].iter().enumerate() {
            if let Some(input) = self.program.find_input(&format!("state{part}")) {
                let size = input.len() / lanes;
                input[to * size..][..size].copy_from_slice(&values[from * size..][..size]);
            }
        }
    }
}

/// What agents see, `[time, agents, worlds, ..]`, by the names of inputs.
fn arrays(experience: &Experience) -> [(&'static str, &[f32]); 4] {
    [
        ("observations", &experience.observations),
        ("ages", &experience.ages),
        ("present", &experience.present),
        ("masks", &experience.masks),
    ]
}

/// A step and world in which an agent is there; `None` where none is found.
fn another(experience: &Experience, agent: usize, stream: &mut Stream) -> Option<(usize, usize)> {
    let Experience { time, agents, worlds, .. } = *experience;
    (0..TRIES)
        .map(|_| (stream.below(time), stream.below(worlds)))
        .find(|(t, world)| experience.present[(t * agents + agent) * worlds + world] > 0.0)
}
