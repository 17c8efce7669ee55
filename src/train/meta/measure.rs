//! What a start is worth: how well agents do in tasks that they have not met, before and after steps of adaptation.

use super::adapted::Adapted;
use super::batch::{Batch, Inputs, Sizes, examples};
use super::config::{MetaConfig, Objective};
use super::loss::{QUERY, answer_loss};
use crate::Device;
use crate::agent::Policy;
use crate::agent::actors::Choice;
use crate::env::{Buffers, VecEnv};
use crate::error::Result;
use crate::graph::Graph;

/// Tasks that adapt at once at most.
const AT_ONCE: usize = 100;
/// Steps of adaptation after which agents that learn what is right are judged.
const AFTER: [(usize, &str); 3] = [(0, "loss_after_0"), (1, "loss_after_1"), (10, "loss_after_10")];
/// Points at which they are asked.
const POINTS: usize = 100;

/// Losses after no step, one and ten, at points that agents have not seen; or mean returns of episodes before the first and
/// after the last step of adaptation.
///
/// # Errors
/// What the device or the worlds report.
pub(super) fn measures(
    config: &MetaConfig,
    device: &Device,
    policy: &dyn Policy,
    worlds: &dyn Fn(usize) -> Result<Box<dyn VecEnv>>,
    seed: u64,
) -> Result<Vec<(&'static str, f64)>> {
    let tasks = config.judged_tasks.min(AT_ONCE);
    let rounds = config.judged_tasks.div_ceil(tasks);
    let mut environment = worlds(tasks)?;
    let sizes = Sizes::of(environment.spec())?;
    let mut buffers = Buffers::new(environment.spec());
    let mut adapted = Adapted::new(device, policy, &sizes, Choice::Sample, seed)?;
    let counts = config.each(sizes.agents)?;
    let shots = counts[0];
    let environment = environment.as_mut();
    match config.objective {
        Objective::Supervised => {
            let room = (environment.spec().limit as usize).saturating_sub(shots);
            let points = (POINTS / sizes.agents).clamp(1, room.max(1));
            let mut step = adapted.step_of(device, config, policy, shots)?;
            let mut judge = {
                let graph = Graph::new();
                let inputs = Inputs::new(&graph, QUERY, &sizes, [points, tasks]);
                let weights = adapted.weights().weights(&graph);
                device.compile(&graph, &[answer_loss(policy, &sizes, &weights, &inputs)?])?
            };
            let mut losses = [0.0; AFTER.len()];
            for _ in 0..rounds {
                environment.reset(&vec![true; tasks], &mut buffers)?;
                let support = examples(environment, &mut buffers, &sizes, shots)?;
                let query = examples(environment, &mut buffers, &sizes, points)?;
                query.fill(&mut judge, QUERY, &sizes, [0, tasks]);
                adapted.begin()?;
                let mut done = 0;
                for ((after, _), sum) in AFTER.iter().zip(&mut losses) {
                    while done < *after {
                        adapted.step(&mut step, &support)?;
                        done += 1;
                    }
                    *sum += f64::from(judge.run(&[])?.scalar(0)) / (tasks * rounds) as f64;
                }
            }
            Ok(AFTER.iter().map(|(_, name)| *name).zip(losses).collect())
        }
        Objective::Reinforcement => {
            let time = shots * config.unit(environment.spec());
            let mut step = adapted.step_of(device, config, policy, time)?;
            let (mut counter, mut returns) = (0, [0.0; 2]);
            for _ in 0..rounds {
                let (supports, query) =
                    adapted.trial(config, environment, &mut buffers, counts, &mut step, &mut counter)?;
                let seen = [&supports[0], &query].map(Batch::mean_return);
                returns.iter_mut().zip(seen).for_each(|(sum, one)| *sum += one / rounds as f64);
            }
            Ok(vec![("return_after_0", returns[0]), ("return_after_1", returns[1])])
        }
    }
}
