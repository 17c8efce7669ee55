//! What the rules of a world are.

use std::fmt::Debug;

use serde::Serialize;

use super::{Chosen, Codec, View};
use crate::env::pathfinding::Pcg64;
use crate::env::{AgentKind, Drawing, Fact};
use crate::error::Result;

/// The rules of one world. They are shared by all worlds of an environment; what changes is in [`Rules::World`].
///
/// A step must depend on nothing but its arguments: then the outcome is the same for any number of threads.
///
/// ```
/// use synod_worlds::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
/// use synod_worlds::env::{AgentKind, Buffers, Pcg64, VecEnv};
///
/// /// Say the number that is shown.
/// #[derive(Debug, serde::Serialize)]
/// struct Echo {
///     worlds: usize,
/// }
///
/// impl Rules for Echo {
///     type World = u32;
///     const NAME: &'static str = "echo";
///
///     fn worlds(&self) -> usize {
///         self.worlds
///     }
///     fn check(&self) -> synod_worlds::Result<()> {
///         Ok(())
///     }
///     fn kinds(&self) -> Vec<AgentKind> {
///         vec![AgentKind::discrete("agent", 1, 1, 3)]
///     }
///     fn blank(&self) -> u32 {
///         0
///     }
///     fn reset(&self, shown: &mut u32, _episode: u64, random: &mut Pcg64) {
///         *shown = random.below(3);
///     }
///     fn step(&self, shown: &mut u32, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
///         pay.rewards[0] = if actions.discrete(0)[0] == *shown { 1.0 } else { 0.0 };
///         Outcome::Ends
///     }
///     fn observe(&self, shown: &u32, view: &mut View) {
///         view.observations(0)[0] = *shown as f32;
///     }
///     fn visit(&self, shown: &mut u32, codec: &mut Codec) -> synod_worlds::Result<()> {
///         codec.one(shown)
///     }
/// }
///
/// let mut env = Vectorised::<Echo>::new(Echo { worlds: 100 }, 7)?;
/// let mut out = Buffers::new(env.spec());
/// env.reset(&[true; 100], &mut out)?;
/// let actions: Vec<u32> = out.observations.iter().map(|shown| *shown as u32).collect();
/// env.step(&actions.into(), &mut out)?;
/// assert!(out.rewards.iter().all(|reward| *reward == 1.0) && env.take_reports().len() == 100);
/// # Ok::<(), synod_worlds::Error>(())
/// ```
pub trait Rules: Debug + Send + Sync + Serialize {
    /// One world between two steps.
    type World: Clone + Debug + Send + Sync;

    /// What settings and errors call this world, e.g. `matrix_game`.
    const NAME: &'static str;

    /// Names of what an episode is judged by, beside `return` and `length`.
    const METRICS: &'static [&'static str] = &[];

    /// Whether the `return` of a report is the sum over all agents, as it is published for some worlds, and not their mean.
    const SUMMED: bool = false;

    /// Whether the worlds' instances have names ([`Rules::label`]), which reports then carry.
    const LABELLED: bool = false;

    /// Agents in a chunk of worlds that one task steps, so that handing it out costs less than the steps; less than one
    /// world's stands for one world.
    const CHUNK_AGENTS: usize = 256;

    /// Worlds stepped at once.
    fn worlds(&self) -> usize;

    /// Checks the settings; [`Rules::kinds`] and all others are only called after it.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with the first setting out of range.
    fn check(&self) -> Result<()>;

    /// The kinds of agent in a world.
    fn kinds(&self) -> Vec<AgentKind>;

    /// Numbers in a world's state for a centralised critic.
    fn state(&self) -> usize {
        0
    }

    /// Whether [`Rules::observe`] ever forbids an action.
    fn masked(&self) -> bool {
        false
    }

    /// The step after which an episode is cut off (truncated).
    fn limit(&self) -> u32 {
        u32::MAX
    }

    /// Steps of the longest episode, whatever ends it; `u32::MAX` where that is not known.
    fn longest(&self) -> u32 {
        self.limit()
    }

    /// A world before its first episode, with room for everything.
    fn blank(&self) -> Self::World;

    /// Tells a blank world its number. It is told once, so it is nothing that [`Rules::visit`] has to write.
    fn number(&self, _world: &mut Self::World, _number: usize) {}

    /// Starts the world's episode number `episode` (from 0). All that the last episode left is replaced.
    fn reset(&self, world: &mut Self::World, episode: u64, random: &mut Pcg64);

    /// One step. For all agents that take part options exist, and floats lie within their bounds; what others hold is to
    /// be ignored.
    fn step(&self, world: &mut Self::World, actions: Chosen, random: &mut Pcg64, pay: &mut Pay) -> Outcome;

    /// Writes what the agents see, every number of it: the rows hold anything before. Masks are 1 unless written.
    fn observe(&self, world: &Self::World, view: &mut View);

    /// Which agents take part in the coming step; all, unless written.
    fn active(&self, _world: &Self::World, _active: &mut [bool]) {}

    /// The values of [`Rules::METRICS`] at the end of an episode, in their order.
    fn metrics(&self, _world: &Self::World) -> Vec<f64> {
        Vec::new()
    }

    /// What the world's instance is called, at the end of an episode, where [`Rules::LABELLED`] says that it has a name.
    fn label(&self, _world: &Self::World) -> String {
        String::new()
    }

    /// What the world looks like, for pictures; `None` where it does not draw itself. Without a title it gets the
    /// world's name.
    fn draw(&self, _world: &Self::World) -> Option<Drawing> {
        None
    }

    /// What an agent's actions are called: the options of its choices, then its continuous numbers; empty where they
    /// have numbers only.
    fn action_names(&self, _agent: usize) -> Vec<String> {
        Vec::new()
    }

    /// The facts that agents have values of, for instruments that ask what words mean.
    fn facts(&self) -> Vec<Fact> {
        Vec::new()
    }

    /// The value of each of [`Rules::facts`] for an agent now, in their order; `None` where it has none.
    fn fact_values(&self, _world: &Self::World, _agent: usize) -> Vec<Option<u32>> {
        Vec::new()
    }

    /// Who has to hear whom, as pairs (speaker, hearer), where that is known.
    fn useful_links(&self) -> Option<Vec<(u32, u32)>> {
        None
    }

    /// For each agent the probabilities of its options in the only equilibrium, where that is known and all steps are
    /// alike.
    fn equilibrium(&self) -> Option<Vec<Vec<f64>>> {
        None
    }

    /// Whether worlds of this kind say what would be right ([`Rules::answer`]).
    fn answers(&self) -> bool {
        false
    }

    /// Writes what an agent would rightly do now: its integers and its floats. Whether there is such an answer; where not,
    /// nothing is written. Agents are counted through all kinds.
    fn answer(
        &self,
        _world: &Self::World,
        _agent: usize,
        _discrete: &mut [u32],
        _continuous: &mut [f32],
    ) -> bool {
        false
    }

    /// Episodes of a world before it draws another task.
    fn task_episodes(&self) -> u32 {
        1
    }

    /// Writes or reads everything that [`Rules::reset`] or [`Rules::step`] can change, always in the same order.
    ///
    /// # Errors
    /// Those of the codec.
    fn visit(&self, world: &mut Self::World, codec: &mut Codec) -> Result<()>;

    /// Whether the rules can step a world that was read from bytes that are not trusted.
    fn valid(&self, _world: &Self::World) -> bool {
        true
    }
}

/// Whether an episode goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on, unless the limit of steps is reached.
    GoesOn,
    /// It ends here by the rules, for all agents.
    Ends,
}

/// What a step pays and whose episode it ends. All 0 and false before.
#[derive(Debug)]
pub struct Pay<'a> {
    /// Per agent.
    pub rewards: &'a mut [f32],
    /// Per agent: its own episode ended here by the rules. With [`Outcome::Ends`] it need not be written.
    pub terminated: &'a mut [bool],
}
