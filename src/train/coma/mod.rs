//! Counterfactual multi-agent policy gradients (COMA, Foerster et al. 2018, arXiv 1705.08926).
//!
//! A central critic says what each option of an agent would be worth given what the others do. The advantage of what
//! the agent did is its worth less the mean over what it might have done by its policy (equation 4): what the others'
//! luck adds falls out. The critic learns towards TD(lambda) of a copy of itself that follows every so many updates.
//!
//! The rest is a plain step of policy gradient a rollout, and the trainer is [`Ppo`](super::ppo::Ppo) as in
//! `train::a2c`: [`Credit`] takes the place of generalised advantage estimation there, and the critic's value of what
//! was done that of the agent's own value. The agent with its critic is `agent::counterfactual`.
//!
//! ```
//! use synod::preset::Settings;
//! let items = ["learner.rollout=4", "world.worlds=8"].map(String::from);
//! let mut trainer = Settings::with_items("speaker-listener-coma", &items)?.trainer(&synod::Device::cpu())?;
//! assert_eq!(trainer.step()?.updates, 1);
//! # Ok::<(), synod::Error>(())
//! ```

mod config;
mod variance;

pub use config::ComaConfig;

use super::Checkpoint;
use super::rollout::Experience;
use crate::Device;
use crate::action::Action;
use crate::agent::counterfactual::Counterfactual;
use crate::agent::{Mode, Policy, Sequence, masks_input, neighbours, state_inputs};
use crate::cpu::Parallel;
use crate::env::Spec;
use crate::error::Result;
use crate::graph::{Graph, Variable};
use crate::program::Program;
use crate::shape::TensorType;

/// What each agent's own action was worth, and what its critic is to learn.
pub struct Credit {
    /// The critic that targets come from, with the agent: a vector like that of all parameters.
    target: Variable,
    program: Program,
    target_every: u64,
    /// Updates after which the target was copied last.
    copied: u64,
}

impl Credit {
    /// For rollouts of `time` steps of `agent` in such worlds.
    ///
    /// # Errors
    /// What compilation reports, or no room on the device.
    pub fn new(
        device: &Device,
        agent: &Counterfactual,
        spec: &Spec,
        time: usize,
        target_every: u64,
    ) -> Result<Self> {
        let values = agent.parameters().flat().read()?;
        let target = device.variable("target", TensorType::f32([values.len()]), &values)?;
        let program = program(device, agent, spec, time, Some(&target))?;
        Ok(Credit { target, program, target_every, copied: 0 })
    }

    /// Advantages and the targets of the critic, `[time, agents, worlds]`, and the mean value of what was done. Steps
    /// that cannot be learned from lose their weight in the experience.
    pub(super) fn advantages(
        &mut self,
        agent: &dyn Policy,
        experience: &mut Experience,
        [gamma, lambda]: [f32; 2],
    ) -> Result<(Vec<f32>, Vec<f32>, f64)> {
        run(&mut self.program, agent, experience)?;
        let outputs = self.program.outputs();
        let advantages = outputs.f32(0).to_vec();
        let lanes = experience.agents * experience.worlds;
        let own: f64 = outputs.f32(1).iter().map(|value| f64::from(*value)).sum();
        let value = own / advantages.len() as f64;
        let (steps, after) = experience.values.split_at_mut(advantages.len());
        steps.copy_from_slice(outputs.f32(2));
        after.fill(0.0);
        // What is done after the last step is not known yet.
        let last = advantages.len() - lanes;
        for lane in (last..last + lanes).filter(|lane| !experience.terminated[*lane]) {
            experience.weights[lane] = 0.0;
        }
        let (_, targets) = experience.advantages(gamma, lambda)?;
        Ok((advantages, targets, value))
    }

    /// Takes the critic over into its copy where it is time for that.
    pub(super) fn follow(&mut self, agent: &dyn Policy, updates: u64) -> Result<()> {
        if updates - self.copied.min(updates) < self.target_every {
            return Ok(());
        }
        self.copied = updates;
        self.target.write(&agent.parameters().flat().read()?)
    }

    pub(super) fn save(&self, agent: &dyn Policy, checkpoint: &mut Checkpoint) -> Result<()> {
        agent.parameters().save_flat(&self.target, "target/agent", checkpoint)?;
        checkpoint.insert("trainer/copied", super::TensorData::u64(&[1], &[self.copied])?);
        Ok(())
    }

    pub(super) fn load(&mut self, agent: &dyn Policy, checkpoint: &Checkpoint) -> Result<()> {
        agent.parameters().load_flat(&self.target, "target/agent", checkpoint)?;
        self.copied = checkpoint.counter("trainer/copied")?;
        Ok(())
    }
}

/// The program that credits a rollout. It gives advantages and values of what was done, and with a `target` what that
/// says of it: `[time, agents, worlds]` each. Last come the chances of options, `[time, agents, worlds, options]`.
fn program(
    device: &Device,
    agent: &Counterfactual,
    spec: &Spec,
    time: usize,
    target: Option<&Variable>,
) -> Result<Program> {
    let kind = spec.only_kind("COMA")?;
    let lanes = [time, kind.count, spec.worlds];
    let graph = Graph::new();
    let weights = agent.parameters().weights(&graph);
    // As in learning: what was said is said again.
    let sequence = Sequence::input(&graph, agent, lanes, &kind.observation, Mode::Learning);
    let state = state_inputs(&graph, agent, [kind.count, spec.worlds]);
    let unrolled = agent.unroll(&graph, &weights, sequence, &state)?;
    let masks = masks_input(&graph, spec.masked, kind, &lanes);
    let of = kind.actions.distribution(unrolled.parameters, masks, agent.bounded())?;
    // Of the options that are open: what is closed has no chance, and is no part of the mean.
    let chances = of.choices().unwrap_or(unrolled.parameters).exp();
    let actions = Action::input(&graph, &kind.actions, &lanes);
    let values = agent.values(&weights, &sequence, actions)?;
    let taken = agent.taken(values, actions)?;
    let baseline = (chances * values).sum(&[-1]).reshape(lanes);
    let mut outputs = vec![taken - baseline, taken];
    if let Some(target) = target {
        let old = agent.parameters().weights_of(&graph, graph.variable(target));
        outputs.push(agent.taken(agent.values(&old, &sequence, actions)?, actions)?);
    }
    outputs.push(chances);
    let mut program = device.compile(&graph, &outputs)?;
    program.set_parallel(Parallel::Pool);
    Ok(program)
}

fn run(program: &mut Program, agent: &dyn Policy, experience: &Experience) -> Result<()> {
    let all: Vec<usize> = (0..experience.worlds).collect();
    experience.fill(program, &all)?;
    neighbours::fill(program, agent, [experience.time, experience.agents, experience.worlds])?;
    program.run(&[]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::AgentConfig;
    use crate::env::WorldConfig;
    use crate::train::rollout::Rollout;

    /// The mean of an agent's advantages over its options, by its policy, is nothing, whatever the others did; and
    /// what is better for it by the critic has an advantage that is as much larger (equation 4).
    #[test]
    fn advantages_are_what_ones_own_action_adds() -> Result<()> {
        let device = Device::cpu();
        let world = WorldConfig::named("matrix_game")?.with_worlds(4).build(0)?;
        let spec = world.spec().clone();
        let team = AgentConfig::named("team")?.policy(&device, &spec, false, 7)?;
        let agent = Counterfactual::new(&device, team, &spec, [1, 16], 7)?;
        let mut rollout = Rollout::new(&device, &agent, world, 3, 1, 7)?;
        rollout.collect()?;
        let mut credit = program(&device, &agent, &spec, 3, None)?;
        let (lanes, options) = (3 * 2 * 4, 3);
        for who in 0..2 {
            let mut sums = vec![0.0; lanes];
            for option in 0..options {
                let mine = |lane: &usize| lane / 4 % 2 == who;
                let experience = rollout.experience_mut();
                for lane in (0..lanes).filter(mine) {
                    experience.actions.discrete[lane] = option as u32;
                }
                run(&mut credit, &agent, experience)?;
                let outputs = credit.outputs();
                let (advantages, chances) = (outputs.f32(0), outputs.f32(2));
                for lane in (0..lanes).filter(mine) {
                    sums[lane] += f64::from(chances[lane * options + option] * advantages[lane]);
                    assert!(option == 0 || advantages[lane] != 0.0);
                }
            }
            assert!(sums.iter().all(|sum| sum.abs() < 1e-6), "{sums:?}");
        }
        Ok(())
    }
}
