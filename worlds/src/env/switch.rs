//! The switch riddle (Foerster et al. 2016, arXiv 1605.06676, section 6.2): prisoners are led into a room one at a
//! time and must say when all have been there.
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("switch")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?; // zeros: nobody says anything
//! assert!(out.rewards.iter().all(|reward| reward.is_finite()));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{DISC, Drawing, RING, Role, names};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::error::{Error, Result};

/// Many riddles at once.
pub type Switch = Vectorised<SwitchConfig>;

/// An action: say nothing.
pub const NOTHING: u32 = 0;
/// An action of the one in the room: say that all have been there.
pub const TELL: u32 = 1;

/// The settings of [`Switch`].
///
/// Every day one agent, drawn evenly, is in the room. It alone may [`TELL`]: that ends the episode and pays all 1
/// where every agent has been in the room, else -1. After `days` the episode ends without pay. Each agent sees
/// whether it is in the room today. What it leaves behind there is up to the agents: the message of who is in the
/// room today is for who is there tomorrow (DIAL, RIAL). With `lamp` the world keeps it: the one in the room has
/// actions 2 and 3 to leave the lamp off or on and sees how it was left (others see 0).
///
/// An oracle that tells as soon as all have been there reaches .7407 with 3 agents and .7806 with 4. The state for
/// a centralised critic is who is in the room, who has been there, the lamp, and the part of the days that is over.
/// Reports have `solved`: 1 where it was told in time and rightly; and `oracle_share`: what was paid, in parts of what
/// that oracle is paid on average ([`SwitchConfig::oracle`]), so that its mean is 1 for the best there can be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents in each world.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub agents: usize,
    /// Days in an episode; 0 for the paper's `4 agents - 6`.
    #[schemars(range(min = 0, max = 1 << 24))]
    pub days: usize,
    /// Whether the room has a lamp of the world's own.
    pub lamp: bool,
}

crate::env::config::world!(SwitchConfig => Switch, "switch", "the switch riddle");

impl Default for SwitchConfig {
    /// 3 agents, 6 days, 64 worlds, no lamp.
    fn default() -> Self {
        SwitchConfig { worlds: 64, agents: 3, days: 0, lamp: false }
    }
}

/// Prisoners that a picture has room for.
const MOST_DRAWN: usize = 64;

/// A riddle between two days.
#[derive(Debug, Clone)]
pub struct Days {
    day: u32,
    inside: u32,
    been: Vec<bool>,
    lamp: bool,
    solved: bool,
    /// What the last step paid; read only at the end of it, so it is not saved.
    paid: f64,
    /// [`SwitchConfig::oracle`], once it has been needed.
    oracle: Option<f64>,
}

impl Days {
    /// Who is in the room today.
    pub fn inside(&self) -> usize {
        self.inside as usize
    }

    /// Who has been in the room, today included.
    pub fn been(&self) -> &[bool] {
        &self.been
    }
}

impl SwitchConfig {
    fn length(&self) -> u32 {
        if self.days > 0 { self.days as u32 } else { (4 * self.agents).saturating_sub(6) as u32 }
    }

    /// What an oracle is paid on average that tells as soon as all have been in the room: the chance that all of `n`
    /// agents have been there within `d` days, by inclusion and exclusion (de Moivre) `sum over k from 0 to n of (-1)^k
    /// C(n, k) (1 - k / n)^d`.
    ///
    /// Where days are so few that the terms of that sum grow and would cancel each other, the same chance comes from
    /// the chain of how many have been there, whose numbers are all positive.
    pub fn oracle(&self) -> f64 {
        let (n, days) = (self.agents as f64, self.length());
        if (days as usize) < self.agents {
            return 0.0;
        }
        // Terms are at most expected^k / k!, the expectation being of how many have not been there.
        let expected = n * (1.0 - 1.0 / n).powf(f64::from(days));
        if expected <= 1.0 {
            let (mut sum, mut choices) = (0.0, 1.0);
            for k in 0..self.agents {
                let term = choices * (1.0 - k as f64 / n).powf(f64::from(days));
                sum += if k % 2 == 0 { term } else { -term };
                if term < 1e-18 {
                    break;
                }
                choices *= (n - k as f64) / (k as f64 + 1.0);
            }
            return sum;
        }
        let mut been = vec![0.0; self.agents + 1];
        been[0] = 1.0;
        for _ in 0..days {
            for count in (1..=self.agents).rev() {
                let known = count as f64 / n;
                been[count] = been[count] * known + been[count - 1] * (1.0 - known + 1.0 / n);
            }
            been[0] = 0.0;
        }
        been[self.agents]
    }

    fn enter(&self, world: &mut Days, random: &mut Pcg64) {
        world.inside = random.below(self.agents as u32);
        world.been[world.inside as usize] = true;
    }

    fn actions(&self) -> usize {
        if self.lamp { 4 } else { 2 }
    }
}

impl Rules for SwitchConfig {
    type World = Days;
    const NAME: &'static str = "switch";
    const METRICS: &'static [&'static str] = &["solved", "oracle_share"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        if self.length() == 0 {
            return Err(Error::config("world.days", "expected at least 1 with a single agent"));
        }
        Ok(())
    }

    fn longest(&self) -> u32 {
        self.length()
    }

    fn masked(&self) -> bool {
        true
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let observation = 1 + usize::from(self.lamp);
        vec![AgentKind::discrete("agent", self.agents, observation, self.actions())]
    }

    fn state(&self) -> usize {
        2 * self.agents + 2
    }

    fn blank(&self) -> Days {
        let been = vec![false; self.agents];
        Days { day: 0, inside: 0, been, lamp: false, solved: false, paid: 0.0, oracle: None }
    }

    fn reset(&self, world: &mut Days, _episode: u64, random: &mut Pcg64) {
        world.day = 0;
        world.been.fill(false);
        (world.lamp, world.solved, world.paid) = (false, false, 0.0);
        world.oracle.get_or_insert_with(|| self.oracle());
        self.enter(world, random);
    }

    fn step(&self, world: &mut Days, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let actions = actions.discrete(0);
        let action = actions[world.inside as usize];
        world.day += 1;
        if action == TELL {
            world.solved = world.been.iter().all(|been| *been);
            world.paid = if world.solved { 1.0 } else { -1.0 };
            pay.rewards.fill(world.paid as f32);
            return Outcome::Ends;
        }
        if action > TELL {
            world.lamp = action == 3;
        }
        if world.day == self.length() {
            return Outcome::Ends;
        }
        self.enter(world, random);
        Outcome::GoesOn
    }

    fn observe(&self, world: &Days, view: &mut View) {
        let inside = world.inside as usize;
        let seen = view.observations(0);
        seen.fill(0.0);
        let length = seen.len() / self.agents;
        seen[inside * length] = 1.0;
        if self.lamp {
            seen[inside * length + 1] = f32::from(u8::from(world.lamp));
        }
        let actions = self.actions();
        for (agent, mask) in view.masks(0).chunks_exact_mut(actions).enumerate() {
            mask[1..].fill(f32::from(u8::from(agent == inside)));
        }
        let state = view.state();
        state.fill(0.0);
        state[inside] = 1.0;
        for (agent, been) in world.been.iter().enumerate() {
            state[self.agents + agent] = f32::from(u8::from(*been));
        }
        state[2 * self.agents] = f32::from(u8::from(world.lamp));
        state[2 * self.agents + 1] = world.day as f32 / self.length() as f32;
    }

    fn metrics(&self, world: &Days) -> Vec<f64> {
        // Where no oracle can be paid anything, what was paid stands for itself.
        let oracle = world.oracle.unwrap_or_else(|| self.oracle());
        let share = if oracle > 0.0 { world.paid / oracle } else { world.paid };
        vec![f64::from(u8::from(world.solved)), share]
    }

    /// The room above, the prisoners below; who has been in the room has a filled ring.
    fn draw(&self, world: &Days) -> Option<Drawing> {
        let columns = self.agents.clamp(5, 16);
        let drawn = self.agents.min(MOST_DRAWN);
        let rows = drawn.div_ceil(columns);
        let mut drawing = Drawing::new(columns as f32, 3.0 + rows as f32);
        let room = [columns as f32 / 2.0, 1.3];
        drawing.rectangle(Role::Ground, [room[0] - 1.5, 0.5], [3.0, 1.6]);
        if self.lamp {
            let lamp = [room[0] + 1.0, 1.3];
            drawing.ring(Role::Goal, lamp, 0.22, if world.lamp { 1.0 } else { 0.0 });
        }
        for (agent, been) in world.been.iter().enumerate().take(drawn) {
            let seat = [(agent % columns) as f32 + 0.5, 2.9 + (agent / columns) as f32];
            drawing.ring(Role::Agent(agent), seat, RING, if *been { 0.5 } else { 0.0 });
            let inside = agent == world.inside as usize;
            drawing.disc(Role::Agent(agent), if inside { room } else { seat }, DISC);
        }
        let told = if world.solved { ", told rightly" } else { "" };
        drawing.note = format!("day {} of {}{told}", world.day.min(self.length()), self.length());
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["nothing", "tell", "lamp off", "lamp on"][..self.actions()])
    }

    fn visit(&self, world: &mut Days, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.day)?;
        codec.one(&mut world.inside)?;
        codec.all(&mut world.been)?;
        codec.one(&mut world.lamp)?;
        codec.one(&mut world.solved)
    }

    fn valid(&self, world: &Days) -> bool {
        (world.inside as usize) < self.agents
            && world.been[world.inside as usize]
            && world.day <= self.length()
            && (self.lamp || !world.lamp)
    }
}
