//! The chain of Kulkarni et al. (2016, section 4.1): what the end pays depends on where one has been before.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("chain")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: the first action of every agent
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{Cells, DISC, Drawing, RING, Role, middle, names};
use super::goals::Goal;
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::Result;

/// Many chains at once.
pub type Chain = Vectorised<ChainConfig>;

/// The settings of [`Chain`].
///
/// States stand in a row; an episode starts in the second and ends in the first. Action 0 goes left; action 1 goes
/// right with the chance `right`, else left (at the right end it stays). The end pays 1 where the last state was
/// visited before, else 1/100. Observation: one-hot state, `[states]`, which does not say where one has been. With the
/// paper's six states and even chances the most there is is 1/5 + 4/5 x 1/100 = .208 on average, by going right until
/// the last state is reached. Reports have `visited`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChainConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// States in a row.
    #[schemars(range(min = 3, max = 4096))]
    pub states: usize,
    /// The chance that a step to the right succeeds.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub right: f64,
    /// Steps after which an episode is truncated.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub max_episode_steps: usize,
}

crate::env::config::world!(
    ChainConfig => Chain,
    "chain",
    "a row of states whose end pays for where one has been",
    fn goals(&self) -> Vec<Goal> {
        self.goals()
    }
);

impl Default for ChainConfig {
    /// The paper's, 64 worlds, at most 500 steps.
    fn default() -> Self {
        ChainConfig { worlds: 64, states: 6, right: 0.5, max_episode_steps: 500 }
    }
}

/// Where one is, and whether one has been at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walker {
    state: u32,
    visited: bool,
}

impl ChainConfig {
    /// Reaching each of the states; none where the settings are out of range.
    pub fn goals(&self) -> Vec<Goal> {
        if self.check().is_err() {
            return Vec::new();
        }
        (0..self.states).map(|i| Goal::all_of(format!("state {}", i + 1), &[i])).collect()
    }
}

impl Rules for ChainConfig {
    type World = Walker;
    const NAME: &'static str = "chain";
    const METRICS: &'static [&'static str] = &["visited"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("walker", 1, self.states, 2)]
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Walker {
        Walker { state: 1, visited: false }
    }

    fn reset(&self, world: &mut Walker, _episode: u64, _random: &mut Pcg64) {
        *world = self.blank();
    }

    fn step(&self, world: &mut Walker, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(0);
        let last = self.states as u32 - 1;
        if actions[0] == 1 && random.bernoulli(self.right) {
            world.state = (world.state + 1).min(last);
        } else {
            world.state = world.state.saturating_sub(1);
        }
        world.visited |= world.state == last;
        if world.state > 0 {
            return Outcome::GoesOn;
        }
        pay.rewards[0] = if world.visited { 1.0 } else { 0.01 };
        Outcome::Ends
    }

    fn observe(&self, world: &Walker, view: &mut View) {
        let seen = view.observation(0, 0);
        seen.fill(0.0);
        seen[world.state as usize] = 1.0;
    }

    fn metrics(&self, world: &Walker) -> Vec<f64> {
        vec![f64::from(u8::from(world.visited))]
    }

    fn draw(&self, world: &Walker) -> Option<Drawing> {
        let (columns, rows) = (self.states, 1);
        let mut drawing =
            Drawing::of_cells(Cells { columns, rows, blocked: vec![false; columns], role: Role::Wall });
        drawing.rectangle(Role::Ground, [0.06, 0.06], [0.88, 0.88]);
        drawing.frame[3] = 1.6;
        drawing.label(Role::Ink, [0.5, 1.3], 0.36, "end");
        drawing.ring(Role::Goal, middle(0, columns - 1), RING, if world.visited { 0.5 } else { 0.0 });
        drawing.disc(Role::Agent(0), middle(0, world.state as usize), DISC);
        drawing.note = if world.visited { "the end pays 1" } else { "the end pays 1/100" }.to_owned();
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["left", "right"])
    }

    fn visit(&self, world: &mut Walker, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.state)?;
        codec.one(&mut world.visited)
    }

    fn valid(&self, world: &Walker) -> bool {
        (world.state as usize) < self.states
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Buffers, VecEnv};

    /// Going right all the way is worth .208, going left at once .01.
    #[test]
    fn play_is_worth_what_is_known() {
        for (action, expected, most) in [(1, 0.208, 0.012), (0, 0.01, 1e-6)] {
            let mut chain = Chain::new(ChainConfig { worlds: 20_000, ..ChainConfig::default() }, 3).unwrap();
            let mut out = Buffers::new(chain.spec());
            chain.reset(&vec![true; 20_000], &mut out).unwrap();
            while out.ended.contains(&false) {
                chain.step(&vec![action; 20_000].into(), &mut out).unwrap();
            }
            let returns: Vec<f64> =
                chain.take_reports().iter().filter_map(|report| report.value("return")).collect();
            let mean = returns.iter().sum::<f64>() / returns.len() as f64;
            // Four standard errors of the mean of 20,000.
            assert!((mean - expected).abs() < most, "{mean}");
        }
    }
}
