//! Find a goal that is not shown: a point in the plane that learns from what it is paid where its goal lies (Finn et al. 2017,
//! MAML, arXiv 1703.03400, section 5.3, "2D navigation").
//!
//! ```
//! use synod_worlds::env::{Buffers, WorldConfig};
//! let mut env = WorldConfig::named("point_navigation")?.with_worlds(2).build(1)?;
//! let mut out = Buffers::new(env.spec());
//! env.reset(&[true, true], &mut out)?;
//! env.step(&env.spec().actions(), &mut out)?;
//! assert!(out.rewards.iter().all(|reward| *reward <= 0.0));
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{DISC, Drawing, LINE, Role};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View};
use crate::action::ActionSpace;
use crate::error::Result;

/// Many such planes at once.
pub type PointNavigation = Vectorised<PointNavigationConfig>;

/// A goal's coordinates lie between this and its negative.
const FARTHEST: f64 = 0.5;
/// The longest move along an axis.
const MOST_MOVE: f32 = 0.1;

/// The settings of [`PointNavigation`].
///
/// Each agent is a point that starts at the origin; a step moves it by its action, at most .1 along each axis, and pays minus
/// its distance from the goal, which is uniform in the square between -.5 and .5 and the same for all agents of a world. Agents see
/// where they are and not the goal. An oracle gets -.504 in 100 steps on average, the best policy that does not know the
/// goal (staying at the origin) -38.1.
///
/// In a trial (`trial = true`) the episodes of a task are one long episode: points jump back to the origin after each
/// `length` steps, and agents see what they were paid last and whether they have just begun anew, so that a recurrent
/// agent can find out and use where the goal is (RL^2, Duan et al. 2016, arXiv 1611.02779).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PointNavigationConfig {
    /// Worlds stepped at once: the tasks.
    pub worlds: usize,
    /// Agents in each world, with the same goal. They do not see each other.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub agents: usize,
    /// Steps in an episode.
    #[schemars(range(min = 1, max = 1 << 16))]
    pub length: usize,
    /// Episodes of a task, after which another goal is drawn.
    #[schemars(range(min = 1, max = 1 << 12))]
    pub episodes: usize,
    /// The episodes of a task are one.
    pub trial: bool,
}

crate::env::config::world!(
    PointNavigationConfig => PointNavigation,
    "point_navigation",
    "find a goal in the plane by what is paid (MAML's 2D navigation)"
);

impl Default for PointNavigationConfig {
    /// 20 tasks of two episodes of 100 steps, 20 agents each.
    fn default() -> Self {
        PointNavigationConfig { worlds: 20, agents: 20, length: 100, episodes: 2, trial: false }
    }
}

/// A plane between two steps.
#[derive(Debug, Clone)]
pub struct Plane {
    step: u32,
    goal: [f64; 2],
    /// One an agent.
    places: Vec<[f64; 2]>,
    /// What each agent was paid last.
    paid: Vec<f32>,
    /// `[episodes]`: the sums of what all agents were paid.
    sums: Vec<f64>,
}

impl Plane {
    /// The goal.
    pub fn goal(&self) -> [f64; 2] {
        self.goal
    }
}

impl PointNavigationConfig {
    /// Episodes that are one in a trial.
    fn parts(&self) -> usize {
        if self.trial { self.episodes } else { 1 }
    }
}

impl Rules for PointNavigationConfig {
    type World = Plane;
    const NAME: &'static str = "point_navigation";
    /// In a trial, the return of its first episode and that of its last.
    const METRICS: &'static [&'static str] = &["first_return", "last_return"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let step = ActionSpace::uniform(2, -MOST_MOVE, MOST_MOVE);
        let seen = if self.trial { 4 } else { 2 };
        vec![AgentKind::new("point", self.agents, &[seen], step)]
    }

    fn limit(&self) -> u32 {
        // Both have been checked: at most 2^28.
        (self.length * self.parts()) as u32
    }

    fn task_episodes(&self) -> u32 {
        if self.trial { 1 } else { self.episodes as u32 }
    }

    fn blank(&self) -> Plane {
        let (places, paid) = (vec![[0.0; 2]; self.agents], vec![0.0; self.agents]);
        Plane { step: 0, goal: [0.0; 2], places, paid, sums: vec![0.0; self.parts()] }
    }

    fn reset(&self, world: &mut Plane, episode: u64, random: &mut Pcg64) {
        if episode.is_multiple_of(u64::from(self.task_episodes())) {
            world.goal = std::array::from_fn(|_| FARTHEST * (2.0 * random.double() - 1.0));
        }
        world.step = 0;
        world.places.fill([0.0; 2]);
        world.paid.fill(0.0);
        world.sums.fill(0.0);
    }

    fn step(&self, world: &mut Plane, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let part = world.step as usize / self.length;
        for (agent, moved) in actions.continuous(0).chunks_exact(2).enumerate() {
            let place = &mut world.places[agent];
            place.iter_mut().zip(moved).for_each(|(x, by)| *x += f64::from(*by));
            let paid = -(place[0] - world.goal[0]).hypot(place[1] - world.goal[1]);
            pay.rewards[agent] = paid as f32;
            world.paid[agent] = paid as f32;
            if let Some(sum) = world.sums.get_mut(part) {
                *sum += paid;
            }
        }
        world.step += 1;
        if (world.step as usize).is_multiple_of(self.length) && world.step < self.limit() {
            world.places.fill([0.0; 2]);
        }
        Outcome::GoesOn
    }

    fn observe(&self, world: &Plane, view: &mut View) {
        let size = if self.trial { 4 } else { 2 };
        let begins = f32::from(u8::from((world.step as usize).is_multiple_of(self.length)));
        for (agent, seen) in view.observations(0).chunks_exact_mut(size).enumerate() {
            let [x, y] = world.places[agent];
            (seen[0], seen[1]) = (x as f32, y as f32);
            if let [_, _, paid, began] = seen {
                (*paid, *began) = (world.paid[agent], begins);
            }
        }
    }

    fn metrics(&self, world: &Plane) -> Vec<f64> {
        let mean = |sum: Option<&f64>| sum.map_or(0.0, |sum| sum / self.agents as f64);
        vec![mean(world.sums.first()), mean(world.sums.last())]
    }

    /// The square of goals, the goal, and the points.
    fn draw(&self, world: &Plane) -> Option<Drawing> {
        let mut drawing = Drawing::new(10.0, 10.0);
        let place = |[x, y]: [f64; 2]| [5.0 + 7.0 * x as f32, 5.0 - 7.0 * y as f32];
        let corners = [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]];
        for (i, corner) in corners.iter().enumerate() {
            drawing.line(Role::Ground, place(*corner), place(corners[(i + 1) % 4]), LINE);
        }
        drawing.ring(Role::Goal, place(world.goal), DISC, 0.0);
        for (agent, at) in world.places.iter().enumerate() {
            drawing.disc(Role::Agent(agent), place(at.map(|x| x.clamp(-0.65, 0.65))), 0.4 * DISC);
        }
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        vec!["right".to_owned(), "up".to_owned()]
    }

    fn visit(&self, world: &mut Plane, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.step)?;
        codec.all(&mut world.goal)?;
        world.places.iter_mut().try_for_each(|place| codec.all(place))?;
        codec.all(&mut world.paid)?;
        codec.all(&mut world.sums)
    }

    fn valid(&self, world: &Plane) -> bool {
        world.goal.iter().all(|x| x.abs() <= FARTHEST)
            && world.places.iter().flatten().all(|x| x.is_finite())
            && world.paid.iter().all(|paid| paid.is_finite())
            && world.sums.iter().all(|sum| sum.is_finite())
            && world.step <= self.limit()
    }
}
