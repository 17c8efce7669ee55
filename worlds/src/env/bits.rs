//! Independent bits: every agent chooses 0 or 1, and all are paid how many chose 1. Nobody's choice depends on the
//! others', and yet what each is paid scatters with what they do: the plainest problem of credit among many.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("bits")?.with_worlds(1).with_agents(3)?.build(0)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true], &mut out)?;
//! env.step(&[1, 0, 1].into(), &mut out)?;
//! assert_eq!(out.rewards, [2.0; 3]);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{DISC, Drawing, Role};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::Result;

/// Many worlds of bits at once.
pub type Bits = Vectorised<BitsConfig>;

/// The settings of [`Bits`].
///
/// An episode is one step, and all are alike: agents see a 1, and the state for a centralised critic is a 1. Reports
/// have
/// `ones`, the share of agents that chose 1.
///
/// With even bits an episode's gradient by an agent's logit, `(bit - 1/2) x pay`, has the mean 1/4 and the variance
/// `(agents^2 + agents - 1) / 16`; with the mean pay taken off as a baseline `(agents - 1) / 16` is left, and nothing
/// where what the others are paid for is taken off too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BitsConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents of a world.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub agents: usize,
}

crate::env::config::world!(BitsConfig => Bits, "bits", "independent bits: all are paid how many agents chose 1");

impl Default for BitsConfig {
    /// 64 agents; 64 worlds.
    fn default() -> Self {
        BitsConfig { worlds: 64, agents: 64 }
    }
}

/// Agents that a picture has room for.
const MOST_DRAWN: usize = 1024;

impl Rules for BitsConfig {
    /// What each agent chose last.
    type World = Vec<u32>;
    const NAME: &'static str = "bits";
    const METRICS: &'static [&'static str] = &["ones"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("agent", self.agents, 1, 2)]
    }

    fn state(&self) -> usize {
        1
    }

    fn longest(&self) -> u32 {
        1
    }

    fn blank(&self) -> Vec<u32> {
        vec![0; self.agents]
    }

    fn reset(&self, chosen: &mut Vec<u32>, _episode: u64, _random: &mut Pcg64) {
        chosen.fill(0);
    }

    fn step(&self, chosen: &mut Vec<u32>, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        chosen.copy_from_slice(actions.discrete(0));
        pay.rewards.fill(chosen.iter().sum::<u32>() as f32);
        Outcome::Ends
    }

    fn observe(&self, _chosen: &Vec<u32>, view: &mut View) {
        view.observations(0).fill(1.0);
        view.state().fill(1.0);
    }

    fn metrics(&self, chosen: &Vec<u32>) -> Vec<f64> {
        vec![f64::from(chosen.iter().sum::<u32>()) / self.agents as f64]
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        ["zero", "one"].map(String::from).into()
    }

    /// Agents in rows, those that chose 1 on a mark.
    fn draw(&self, chosen: &Vec<u32>) -> Option<Drawing> {
        if self.agents > MOST_DRAWN {
            return None;
        }
        let side = (self.agents as f32).sqrt().ceil() as usize;
        let mut drawing = Drawing::new(side as f32, self.agents.div_ceil(side) as f32);
        for (agent, bit) in chosen.iter().enumerate() {
            let [x, y] = [agent % side, agent / side].map(|place| place as f32);
            if *bit == 1 {
                drawing.rectangle(Role::Goal, [x + 0.05, y + 0.05], [0.9, 0.9]);
            }
            drawing.disc(Role::Agent(agent), [x + 0.5, y + 0.5], DISC);
        }
        drawing.note = format!("{} ones", chosen.iter().sum::<u32>());
        Some(drawing)
    }

    fn visit(&self, chosen: &mut Vec<u32>, codec: &mut Codec) -> Result<()> {
        codec.all(chosen)
    }

    fn valid(&self, chosen: &Vec<u32>) -> bool {
        chosen.iter().all(|bit| *bit <= 1)
    }
}
