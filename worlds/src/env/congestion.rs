//! Route choice with congestion (Wardrop 1952; Rosenthal 1973): everybody takes a route of a network whose links are
//! the slower the more take them. With linear delays the selfish equilibrium is at most 4/3 as slow as the optimum
//! (Roughgarden and Tardos 2002), and Pigou's and Braess's networks reach that.
//!
//! ```
//! use synod_worlds::env::congestion::CongestionConfig;
//! let braess = CongestionConfig::braess();
//! let [selfish, best] = [braess.equilibrium(), braess.optimum()].map(|flow| braess.mean_delay(&flow));
//! assert!((selfish / best - 4.0 / 3.0).abs() < 1e-9);
//! ```

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{Drawing, Role};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View, within};
use crate::error::{Error, Result};

/// Many such networks at once.
pub type Congestion = Vectorised<CongestionRules>;

/// Links and routes of a network at most.
const MOST: usize = 64;
/// Shifts of flow until an equilibrium counts as found, whatever is left to gain.
const SHIFTS: usize = 100_000;
/// Seconds below which nobody changes his route.
const SAME: f64 = 1e-12;

/// The settings of [`Congestion`].
///
/// At every step each agent chooses a route. A link takes `constant + slope x` seconds, `x` the part of all agents
/// whose routes lead over it, and a route what its links take together. An agent pays the seconds of its route,
/// `shared` of them as the mean of all: with 0 everybody is for himself, with 1 they are a team. Agents see what each
/// route took at the step before, in parts of the slowest that there can be, and which they took themselves
/// (one-hot); zeros at first.
///
/// Reports: `mean_delay`, seconds of a route, the mean over agents and steps; `anarchy`, that over the least there is
/// for flows that can be divided at will.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CongestionConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// Agents.
    #[schemars(range(min = 1, max = 4096))]
    pub agents: usize,
    /// The links.
    pub links: Vec<Link>,
    /// The routes from start to end, each as the places of its links.
    pub routes: Vec<Vec<usize>>,
    /// Which part of its pay is the mean of all.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub shared: f64,
    /// Steps of an episode.
    #[schemars(range(min = 1, max = 1 << 20))]
    pub rounds: usize,
}

/// A link.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Seconds where nobody is.
    pub constant: f64,
    /// Seconds more where all are.
    pub slope: f64,
}

impl Default for CongestionConfig {
    /// [`CongestionConfig::braess`].
    fn default() -> Self {
        Self::braess()
    }
}

impl CongestionConfig {
    fn of(links: &[[f64; 2]], routes: &[&[usize]]) -> Self {
        CongestionConfig {
            worlds: 64,
            agents: 20,
            links: links
                .iter()
                .map(|[constant, slope]| Link { constant: *constant, slope: *slope })
                .collect(),
            routes: routes.iter().map(|route| route.to_vec()).collect(),
            shared: 0.0,
            rounds: 10,
        }
    }

    /// Pigou's network (1920): a link that always takes a second, and one that takes as much where all take it. Who is
    /// for himself takes the second; best is half and half.
    pub fn pigou() -> Self {
        Self::of(&[[1.0, 0.0], [0.0, 1.0]], &[&[0], &[1]])
    }

    /// Braess's network (1968): two routes of a link that always takes a second and one that takes as much where all
    /// take it, and a link between them that takes no time, over which a third leads. Who is for himself takes the
    /// third, 2 s; best is half and half on the others, 1.5 s.
    pub fn braess() -> Self {
        let links = [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]];
        Self::of(&links, &[&[0, 1], &[2, 3], &[0, 4, 3]])
    }

    /// Seconds of every route where those parts of all take each.
    pub fn delays(&self, flow: &[f64]) -> Vec<f64> {
        self.seconds(flow, 1.0)
    }

    /// The mean seconds of all.
    pub fn mean_delay(&self, flow: &[f64]) -> f64 {
        self.delays(flow).iter().zip(flow).map(|(seconds, part)| seconds * part).sum()
    }

    /// The flow at which nobody gains by another route (user equilibrium), where it can be divided at will.
    pub fn equilibrium(&self) -> Vec<f64> {
        self.balanced(1.0)
    }

    /// The flow of the least mean delay: an equilibrium where everybody also pays for what he costs others, the
    /// marginal costs `constant + 2 slope x`.
    pub fn optimum(&self) -> Vec<f64> {
        self.balanced(2.0)
    }

    fn seconds(&self, flow: &[f64], slopes: f64) -> Vec<f64> {
        let mut on = vec![0.0; self.links.len()];
        for (route, part) in self.routes.iter().zip(flow) {
            route.iter().for_each(|link| on[*link] += part);
        }
        let links: Vec<f64> =
            self.links.iter().zip(&on).map(|(link, x)| link.constant + slopes * link.slope * x).collect();
        self.routes.iter().map(|route| route.iter().map(|link| links[*link]).sum()).collect()
    }

    /// The flow at which all routes that are taken take the same and none less, with slopes so many times as steep:
    /// flow is shifted from the slowest route that is taken to the quickest until they are alike, again and again
    /// (Dafermos and Sparrow 1969).
    fn balanced(&self, slopes: f64) -> Vec<f64> {
        let count = self.routes.len();
        let mut flow = vec![1.0 / count as f64; count];
        for _ in 0..SHIFTS {
            let seconds = self.seconds(&flow, slopes);
            let by = |a: &usize, b: &usize| seconds[*a].total_cmp(&seconds[*b]);
            let slow = (0..count).filter(|route| flow[*route] > 0.0).max_by(by);
            let (Some(slow), Some(quick)) = (slow, (0..count).min_by(by)) else { break };
            let gained = seconds[slow] - seconds[quick];
            if gained <= SAME {
                break;
            }
            // Links that only one of the two leads over.
            let only = |one: usize, other: usize| {
                let own = self.routes[one].iter().filter(move |link| !self.routes[other].contains(link));
                own.map(|link| slopes * self.links[*link].slope).sum::<f64>()
            };
            let steepness = only(slow, quick) + only(quick, slow);
            let shifted = if steepness > 0.0 { (gained / steepness).min(flow[slow]) } else { flow[slow] };
            flow[quick] += shifted;
            flow[slow] = if shifted < flow[slow] { flow[slow] - shifted } else { 0.0 };
        }
        flow
    }
}

/// The settings with what returns are measured by: computed when an episode is first reported.
#[derive(Debug, Clone, Serialize)]
pub struct CongestionRules {
    config: CongestionConfig,
    #[serde(skip)]
    least: OnceLock<f64>,
}

impl From<CongestionConfig> for CongestionRules {
    fn from(config: CongestionConfig) -> Self {
        CongestionRules { config, least: OnceLock::new() }
    }
}

crate::env::config::world!(
    CongestionConfig => Congestion,
    "congestion",
    "route choice where links slow down: Braess's and Pigou's networks"
);

/// A game between two steps.
#[derive(Debug, Clone)]
pub struct Rounds {
    /// The routes that were taken, or as many as there are before the first step.
    pub taken: Vec<u32>,
    /// Seconds of every route then.
    pub seconds: Vec<f64>,
    total: f64,
    step: u32,
}

impl CongestionRules {
    /// Seconds of the slowest route if all took every link.
    fn slowest(&self) -> f64 {
        let all = |route: &Vec<usize>| {
            route.iter().map(|link| self.config.links[*link].constant + self.config.links[*link].slope).sum()
        };
        self.config.routes.iter().map(all).fold(0.0, f64::max).max(f64::MIN_POSITIVE)
    }

    /// The part of all that took each route.
    fn flow(&self, taken: &[u32]) -> Vec<f64> {
        let mut flow = vec![0.0; self.config.routes.len()];
        taken.iter().for_each(|route| flow[*route as usize] += 1.0);
        flow.iter().map(|count| count / taken.len() as f64).collect()
    }
}

impl Rules for CongestionRules {
    type World = Rounds;
    const NAME: &'static str = "congestion";
    const METRICS: &'static [&'static str] = &["mean_delay", "anarchy"];

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", &self.config)?;
        let CongestionConfig { links, routes, .. } = &self.config;
        within("links", links.len(), 1, MOST)?;
        within("routes", routes.len(), 1, MOST)?;
        let fits = |seconds: f64| (0.0..=1e6).contains(&seconds);
        if let Some(at) = links.iter().position(|link| !fits(link.constant) || !fits(link.slope)) {
            let message = format!("expected seconds of 0 to 1000000 of link {at}");
            return Err(Error::config("world.links", message));
        }
        for (at, route) in routes.iter().enumerate() {
            let twice = (1..route.len()).any(|link| route[..link].contains(&route[link]));
            if route.is_empty() || twice || route.iter().any(|link| *link >= links.len()) {
                let message = format!(
                    "expected one link or more of route {at}, each from 0 to {} and once",
                    links.len() - 1
                );
                return Err(Error::config("world.routes", message));
            }
        }
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let routes = self.config.routes.len();
        vec![AgentKind::discrete("agent", self.config.agents, 2 * routes, routes)]
    }

    fn limit(&self) -> u32 {
        self.config.rounds as u32
    }

    fn blank(&self) -> Rounds {
        let routes = self.config.routes.len();
        Rounds {
            taken: vec![routes as u32; self.config.agents],
            seconds: vec![0.0; routes],
            total: 0.0,
            step: 0,
        }
    }

    fn reset(&self, world: &mut Rounds, _episode: u64, _random: &mut Pcg64) {
        *world = self.blank();
    }

    fn step(&self, world: &mut Rounds, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        world.taken.copy_from_slice(actions.discrete(0));
        let flow = self.flow(&world.taken);
        world.seconds = self.config.delays(&flow);
        let (mean, shared) = (self.config.mean_delay(&flow), self.config.shared);
        for (reward, route) in pay.rewards.iter_mut().zip(&world.taken) {
            *reward = -((1.0 - shared) * world.seconds[*route as usize] + shared * mean) as f32;
        }
        world.total += mean;
        world.step += 1;
        if world.step as usize >= self.config.rounds { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, world: &Rounds, view: &mut View) {
        let (routes, scale) = (self.config.routes.len(), self.slowest());
        for (agent, seen) in view.observations(0).chunks_exact_mut(2 * routes).enumerate() {
            for (route, seconds) in world.seconds.iter().enumerate() {
                seen[route] = (seconds / scale) as f32;
                seen[routes + route] = f32::from(u8::from(world.taken[agent] as usize == route));
            }
        }
    }

    fn metrics(&self, world: &Rounds) -> Vec<f64> {
        let mean = world.total / f64::from(world.step.max(1));
        let least = *self.least.get_or_init(|| self.config.mean_delay(&self.config.optimum()));
        vec![mean, if least > 0.0 { mean / least } else { 1.0 }]
    }

    /// A bar a route: how many take it, and how long it takes.
    fn draw(&self, world: &Rounds) -> Option<Drawing> {
        let routes = self.config.routes.len();
        let mut drawing = Drawing::new(10.0, routes as f32);
        if world.step == 0 {
            return Some(drawing);
        }
        let quickest = world.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        for (route, (part, seconds)) in self.flow(&world.taken).iter().zip(&world.seconds).enumerate() {
            let (row, links) = (route as f32, &self.config.routes[route]);
            let role = if *seconds <= quickest + SAME { Role::Good } else { Role::Bad };
            drawing.rectangle(Role::Ground, [0.0, row + 0.1], [10.0, 0.8]);
            drawing.rectangle(role, [0.0, row + 0.1], [10.0 * *part as f32, 0.8]);
            let text = format!("links {links:?}: {:.0} %, {seconds:.3} s", 100.0 * part);
            drawing.label(Role::Ink, [5.0, row + 0.5], 0.3, text);
        }
        drawing.note =
            format!("round {}: {:.3} s on average", world.step, world.total / f64::from(world.step));
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        (0..self.config.routes.len()).map(|route| format!("route {route}")).collect()
    }

    fn visit(&self, world: &mut Rounds, codec: &mut Codec) -> Result<()> {
        codec.all(&mut world.taken)?;
        codec.all(&mut world.seconds)?;
        codec.one(&mut world.total)?;
        codec.one(&mut world.step)
    }

    fn valid(&self, world: &Rounds) -> bool {
        let routes = self.config.routes.len() as u32;
        let most = if world.step == 0 { routes } else { routes - 1 };
        world.step as usize <= self.config.rounds
            && world.taken.iter().all(|route| *route <= most)
            && world.seconds.iter().chain([&world.total]).all(|seconds| (0.0..=1e18).contains(seconds))
    }
}
