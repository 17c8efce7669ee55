//! How much the gradient of a policy scatters, by three ways to weigh what was done.

use super::{program, run};
use crate::Device;
use crate::agent::Policy;
use crate::env::VecEnv;
use crate::error::Result;
use crate::train::rollout::Rollout;

/// Steps that an episode is followed for at most.
const MOST_STEPS: u32 = 128;

/// Episodes that are played, where they begin and end together.
const EPISODES: usize = 16_384;

/// Episodes that are played at once.
const AT_ONCE: usize = 256;

/// The variance over episodes of one episode's gradient by the logit of an option at the first step, the mean over
/// agents and their options. The gradient is the score, `1 - p` of what was done and `-p` of what was not, times the
/// discounted return (`variance_reinforce`), that less its mean over episodes (`variance_value`: the value of worlds
/// that begin alike), or the counterfactual advantage (`variance_coma`).
///
/// Nothing where agents have no counterfactual critic.
///
/// # Errors
/// What the device or the worlds report.
pub(super) fn variances(
    device: &Device,
    policy: &dyn Policy,
    worlds: &dyn Fn(usize) -> Result<Box<dyn VecEnv>>,
    gamma: f32,
    seed: u64,
) -> Result<Vec<(&'static str, f64)>> {
    let Some(agent) = policy.counterfactual() else { return Ok(Vec::new()) };
    let worlds = worlds(AT_ONCE)?;
    let spec = worlds.spec().clone();
    let (agents, count) = (spec.agents(), spec.worlds);
    let options = spec.only_kind("COMA")?.actions.options();
    let time = spec.limit.clamp(1, MOST_STEPS) as usize;
    let mut rollout = Rollout::new(device, policy, worlds, time, 1, seed)?;
    let mut credit = program(device, agent, &spec, time, None)?;
    // For each option of each agent, of the score s, the return R and the advantage A.
    let mut sums = vec![Sums::default(); agents * options];
    for round in 0..EPISODES.div_ceil(count) {
        let experience = rollout.collect()?;
        let (lanes, steps) = (agents * count, experience.rewards.len());
        if round > 0 && experience.ages[..lanes].iter().any(|age| *age > 0.0) {
            // Episodes of other lengths: only the first rollout begins with all of them.
            break;
        }
        run(&mut credit, policy, experience)?;
        let (advantages, chances) = (credit.outputs().f32(0), credit.outputs().f32(2));
        for lane in (0..lanes).filter(|lane| experience.weights[*lane] > 0.0) {
            let (mut paid, mut discount) = (0.0, 1.0);
            for t in (lane..steps).step_by(lanes) {
                paid += discount * f64::from(experience.rewards[t]);
                discount *= f64::from(gamma);
                if experience.terminated[t] || experience.truncated[t] {
                    break;
                }
            }
            let done = experience.actions.discrete[lane] as usize;
            for option in 0..options {
                let score = f64::from(u8::from(option == done)) - f64::from(chances[lane * options + option]);
                sums[lane / count * options + option].add(score, paid, f64::from(advantages[lane]));
            }
        }
    }
    let seen: Vec<&Sums> = sums.iter().filter(|of| of.count > 0.0).collect();
    let mean = |of: &dyn Fn(&Sums) -> f64| seen.iter().map(|sums| of(sums)).sum::<f64>() / seen.len() as f64;
    Ok(vec![
        ("variance_reinforce", mean(&|of| of.variance(0.0))),
        ("variance_value", mean(&|of| of.variance(of.paid / of.count))),
        ("variance_coma", mean(&|of| of.advantages[1] / of.count - (of.advantages[0] / of.count).powi(2))),
    ])
}

/// Sums over episodes.
#[derive(Clone, Default)]
struct Sums {
    count: f64,
    /// Of R.
    paid: f64,
    /// Of s, s R.
    first: [f64; 2],
    /// Of s^2, s^2 R, s^2 R^2.
    second: [f64; 3],
    /// Of s A, s^2 A^2.
    advantages: [f64; 2],
}

impl Sums {
    fn add(&mut self, score: f64, paid: f64, advantage: f64) {
        self.count += 1.0;
        self.paid += paid;
        let square = score * score;
        let add = |sums: &mut [f64], more: &[f64]| sums.iter_mut().zip(more).for_each(|(sum, x)| *sum += x);
        add(&mut self.first, &[score, score * paid]);
        add(&mut self.second, &[square, square * paid, square * paid * paid]);
        add(&mut self.advantages, &[score * advantage, square * advantage * advantage]);
    }

    /// The variance of `s (R - baseline)`.
    fn variance(&self, baseline: f64) -> f64 {
        let [s, sr] = self.first.map(|sum| sum / self.count);
        let [ss, ssr, ssrr] = self.second.map(|sum| sum / self.count);
        ssrr - 2.0 * baseline * ssr + baseline * baseline * ss - (sr - baseline * s).powi(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variances_are_those_of_their_definition() {
        let all = [(0.5, 3.0), (-0.5, 1.0), (0.5, 2.0), (-0.5, -4.0), (0.25, 7.0)];
        let mut sums = Sums::default();
        all.iter().for_each(|(score, paid)| sums.add(*score, *paid, *paid));
        for baseline in [0.0, 1.8, -3.0] {
            let of: Vec<f64> = all.iter().map(|(score, paid)| score * (paid - baseline)).collect();
            let mean = of.iter().sum::<f64>() / of.len() as f64;
            let expected = of.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / of.len() as f64;
            assert!((sums.variance(baseline) - expected).abs() < 1e-12);
        }
    }
}
