//! The lever game of CommNet (arXiv 1605.07736, section 4.1): who is drawn must agree on a lever each, without a
//! word unless the agents have a way to talk.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("lever")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: all pull the first lever
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{Drawing, LINE, Role};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View, within};
use crate::error::Result;

/// Many lever games at once.
pub type Lever = Vectorised<LeverConfig>;

/// The settings of [`Lever`]. An episode is one step: `agents` of `population` are drawn, each sees which it is
/// (one-hot) and pulls one of `levers`; all are paid the number of different levers pulled over `levers`. With 5
/// agents and levers, play at random gets .6723 and agents that sort themselves get 1. The state for a centralised
/// critic is who was drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LeverConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// From how many agents are drawn.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub population: usize,
    /// Agents drawn.
    pub agents: usize,
    /// Levers.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub levers: usize,
}

crate::env::config::world!(LeverConfig => Lever, "lever", "CommNet's lever game");

impl Default for LeverConfig {
    /// CommNet's: 5 of 500 agents, 5 levers; 64 worlds.
    fn default() -> Self {
        LeverConfig { worlds: 64, population: 500, agents: 5, levers: 5 }
    }
}

/// Agents, and levers, that a picture has room for.
const MOST_DRAWN: usize = 24;

/// Who was drawn.
#[derive(Debug, Clone)]
pub struct Draw {
    drawn: Vec<u32>,
    /// What each agent pulled, for pictures; empty before, and after loading.
    pulled: Vec<u32>,
}

impl Draw {
    /// Which of the population each agent is.
    pub fn drawn(&self) -> &[u32] {
        &self.drawn
    }
}

impl Rules for LeverConfig {
    type World = Draw;
    const NAME: &'static str = "lever";

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        within("agents", self.agents, 1, self.population.min(1 << 12))?;
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("agent", self.agents, self.population, self.levers)]
    }

    fn state(&self) -> usize {
        self.population
    }

    fn blank(&self) -> Draw {
        Draw { drawn: (0..self.agents as u32).collect(), pulled: Vec::with_capacity(self.agents) }
    }

    fn reset(&self, world: &mut Draw, _episode: u64, random: &mut Pcg64) {
        // Floyd's sampling without replacement draws as often as there are agents; then a fair order.
        world.drawn.clear();
        world.pulled.clear();
        for top in self.population - self.agents..self.population {
            let drawn = random.below(top as u32 + 1);
            let taken = world.drawn.contains(&drawn);
            world.drawn.push(if taken { top as u32 } else { drawn });
        }
        random.shuffle(&mut world.drawn);
    }

    fn step(&self, world: &mut Draw, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(0);
        world.pulled.clear();
        world.pulled.extend_from_slice(actions);
        let mut pulled = vec![false; self.levers];
        for action in actions {
            pulled[*action as usize] = true;
        }
        let different = pulled.iter().filter(|pulled| **pulled).count();
        pay.rewards.fill(different as f32 / self.levers as f32);
        Outcome::Ends
    }

    fn observe(&self, world: &Draw, view: &mut View) {
        let seen = view.observations(0);
        seen.fill(0.0);
        for (seen, drawn) in seen.chunks_exact_mut(self.population).zip(&world.drawn) {
            seen[*drawn as usize] = 1.0;
        }
        let state = view.state();
        state.fill(0.0);
        for drawn in &world.drawn {
            state[*drawn as usize] = 1.0;
        }
    }

    /// Agents above, levers below, a line from each agent to the lever that it pulled.
    fn draw(&self, world: &Draw) -> Option<Drawing> {
        let (agents, levers) = (self.agents.min(MOST_DRAWN), self.levers.min(MOST_DRAWN));
        let columns = 1.5 * agents.max(levers).max(4) as f32;
        let mut drawing = Drawing::new(columns, 4.5);
        let place = |i: usize, of: usize| (i as f32 + 0.5) * columns / of as f32;
        for lever in 0..levers {
            let x = place(lever, levers);
            let pulls = world.pulled.iter().filter(|pulled| **pulled as usize == lever).count();
            drawing.rectangle(Role::Thing, [x - 0.4, 3.0], [0.8, 0.8]);
            if pulls > 0 {
                drawing.rectangle(Role::Good, [x - 0.4, 3.0], [0.8, 0.8]);
            }
            drawing.label(Role::Ink, [x, 4.15], 0.36, lever.to_string());
        }
        for (agent, drawn) in world.drawn.iter().enumerate().take(agents) {
            let x = place(agent, agents);
            if let Some(lever) = world.pulled.get(agent).filter(|lever| (**lever as usize) < levers) {
                let to = [place(*lever as usize, levers), 3.0];
                drawing.line(Role::Agent(agent), [x, 1.2], to, LINE);
            }
            drawing.disc(Role::Agent(agent), [x, 1.2], 0.36);
            drawing.label(Role::Ink, [x, 0.45], 0.36, drawn.to_string());
        }
        if !world.pulled.is_empty() {
            let mut pulled = world.pulled.clone();
            pulled.sort_unstable();
            pulled.dedup();
            drawing.note = format!("{} different levers", pulled.len());
        }
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        (0..self.levers).map(|lever| format!("lever {lever}")).collect()
    }

    fn visit(&self, world: &mut Draw, codec: &mut Codec) -> Result<()> {
        codec.all(&mut world.drawn)
    }

    fn valid(&self, world: &Draw) -> bool {
        let mut sorted = world.drawn.clone();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() == self.agents && sorted.iter().all(|drawn| (*drawn as usize) < self.population)
    }
}
