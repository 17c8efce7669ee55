//! How a body starts, moves, sees and is paid.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::body::{Facts, Healthy, More, Place};
use super::config::{Goal, MujocoConfig, Task};
use super::library::Library;
use super::model::{Data, Model};
use super::{Body, Part, Version};
use crate::action::ActionSpace;
use crate::env::lqr::normal;
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, View};
use crate::env::{AgentKind, Drawing, memory};
use crate::error::Result;

/// The settings of a body, with its model: the rules of [`Mujoco`](super::Mujoco).
#[derive(Debug)]
pub struct MujocoRules {
    pub(super) config: MujocoConfig,
    pub(super) facts: Facts,
    pub(super) parts: Vec<Part>,
    steps: usize,
    dead: Option<usize>,
    /// Coordinates and velocities without noise.
    start: Vec<f64>,
    /// What every world begins as a copy of.
    first: Creature,
}

/// Rules are told apart by their settings.
impl Serialize for MujocoRules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.config.serialize(serializer)
    }
}

/// A body between two steps.
#[derive(Debug, Clone)]
pub struct Creature {
    pub(super) data: Data,
    /// Coordinates, then velocities.
    moving: Vec<f64>,
    /// What the whole body sees.
    seen: Vec<f64>,
    /// Where it is, as far as velocity is paid, in m.
    place: f64,
    /// The goal of its task.
    goal: f64,
    drawn: bool,
}

/// What a step of a body came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// What the step pays.
    pub reward: f64,
    /// Whether the body has fallen.
    pub fallen: bool,
}

impl Creature {
    /// Coordinates, then velocities, in MuJoCo's order and units.
    pub fn moving(&self) -> &[f64] {
        &self.moving
    }

    /// What the whole body sees.
    pub fn seen(&self) -> &[f64] {
        &self.seen
    }

    /// The direction (1 or -1) or velocity in m/s that its task asks for; 0 where it has none.
    pub fn goal(&self) -> f64 {
        self.goal
    }

    /// Masses of the body's parts in kg, the world's first.
    pub fn masses(&self) -> Vec<f64> {
        self.data.model_of().masses().to_vec()
    }

    fn place(&self, facts: &Facts) -> f64 {
        match facts.place {
            Place::Joint => self.moving[0],
            Place::Torso => self.data.frames()[3],
            Place::Mass => {
                let masses = self.data.model_of().masses();
                let moments = masses.iter().zip(self.data.centres().chunks(3)).map(|(mass, at)| mass * at[0]);
                moments.sum::<f64>() / masses.iter().sum::<f64>()
            }
            Place::Nowhere => 0.0,
        }
    }

    fn healthy(&self, facts: &Facts) -> bool {
        let moving = &self.moving;
        match facts.healthy {
            Healthy::Always => true,
            Healthy::Between { coordinate, ends: [low, high], inclusive } => {
                let at = moving[coordinate];
                let within = if inclusive { low <= at && at <= high } else { low < at && at < high };
                within && moving.iter().all(|number| number.is_finite())
            }
            Healthy::Upright { height: [low, high], angle, all } => {
                let near = |number: &f64| number.abs() < all;
                low < moving[1] && moving[1] < high && moving[2].abs() < angle && moving[2..].iter().all(near)
            }
        }
    }

    /// Writes down what it sees: coordinates, velocities, and what else this body sees.
    fn look(&mut self, facts: &Facts, version: Version) {
        let [coordinates, ..] = facts.sizes;
        let (angles, velocities) = self.moving.split_at(coordinates);
        let bound = facts.velocity_bound;
        let seen = &mut self.seen;
        seen.clear();
        seen.extend(&angles[facts.hidden..]);
        seen.extend(velocities.iter().map(|velocity| velocity.clamp(-bound, bound)));
        // Rows of the world itself, and forces of the free joint, are always 0; v4 shows them nevertheless.
        let whole = version == Version::V4;
        let skipped = |width: usize| if whole { 0 } else { width };
        match facts.more {
            More::Nothing => {}
            More::Contacts => {
                seen.extend(self.data.contact_forces()[6..].iter().map(|force| force.clamp(-1.0, 1.0)));
            }
            More::Inertias => {
                seen.extend(&self.data.inertias()[skipped(10)..]);
                seen.extend(&self.data.velocities()[skipped(6)..]);
                seen.extend(&self.data.actuator_forces()[skipped(6)..]);
                seen.extend(&self.data.contact_forces()[skipped(6)..]);
            }
        }
    }
}

impl MujocoRules {
    /// The rules of these settings: the library is loaded, the model read and changed.
    ///
    /// # Errors
    /// A setting out of range; no library, or one of an unknown version; a model that is missing or that MuJoCo does not
    /// take.
    pub fn new(config: &MujocoConfig) -> Result<Self> {
        config.check()?;
        let facts = config.body.facts(config.version);
        let library = Library::find(&config.folder)?;
        let model = Arc::new(Model::load(library, &facts, config.gravity, config.mass)?);
        let start = model.start()?;
        let data = Data::new(model)?;
        memory::require("world.worlds", data.bytes().checked_mul(config.worlds))?;
        let parts = config.partition.parts(config.body, config.version, config.reach).unwrap_or_default();
        let seen = vec![0.0; config.body.seen(config.version)];
        let first = Creature { data, moving: start.clone(), seen, place: 0.0, goal: 0.0, drawn: false };
        let steps = if config.frame_skip == 0 { facts.frame_skip } else { config.frame_skip };
        let dead = config.dead_actuator()?;
        Ok(MujocoRules { config: config.clone(), facts, parts, steps, dead, start, first })
    }

    /// Seconds of a step.
    pub fn seconds(&self) -> f64 {
        self.facts.timestep * self.steps as f64
    }

    /// Starts a body from these coordinates and velocities, as a reset does without noise.
    ///
    /// # Errors
    /// They are not as many as it has.
    pub fn put(&self, creature: &mut Creature, moving: &[f64]) -> Result<()> {
        creature.data.start(moving)?;
        creature.moving.copy_from_slice(moving);
        creature.place = creature.place(&self.facts);
        creature.look(&self.facts, self.config.version);
        Ok(())
    }

    /// One step with an action of the whole body, whether it has fallen or not.
    ///
    /// # Errors
    /// There are not as many numbers as actuators, or MuJoCo gives up.
    pub fn act(&self, creature: &mut Creature, action: &[f64]) -> Result<Moment> {
        let facts = &self.facts;
        let mut controls = action.to_vec();
        if let Some(control) = self.dead.and_then(|dead| controls.get_mut(dead)) {
            *control = 0.0;
        }
        creature.data.step(&controls, self.steps, facts.more != More::Nothing)?;
        creature.moving = creature.data.moving();
        let place = creature.place(facts);
        let velocity = (place - creature.place) / self.seconds();
        creature.place = place;
        creature.look(facts, self.config.version);
        let healthy = creature.healthy(facts);
        let alive = if healthy || self.config.version == Version::V4 { facts.alive } else { 0.0 };
        let moved = match self.config.task {
            Task::Forward => facts.forward * velocity,
            Task::Direction => creature.goal * velocity,
            Task::Velocity => -(velocity - creature.goal).abs(),
        };
        let cheetah = self.config.body == Body::HalfCheetah;
        let price = if self.config.task != Task::Forward && cheetah { 0.05 } else { facts.control };
        let effort = price * action.iter().map(|number| number * number).sum::<f64>();
        Ok(Moment { reward: moved + alive - effort - self.contact_cost(creature), fallen: !healthy })
    }

    fn contact_cost(&self, creature: &Creature) -> f64 {
        let [price, most] = self.facts.contact;
        if price == 0.0 {
            return 0.0;
        }
        let bound = if self.facts.more == More::Contacts { 1.0 } else { f64::INFINITY };
        let squares = creature.data.contact_forces().iter().map(|force| force.clamp(-bound, bound).powi(2));
        (price * squares.sum::<f64>()).min(most)
    }

    /// Draws the goal of a task.
    fn aim(&self, random: &mut Pcg64) -> f64 {
        match (self.config.task, self.config.goal) {
            (Task::Forward, _) => 0.0,
            (_, Goal::Given { value }) => value,
            (Task::Direction, _) => [-1.0, 1.0][random.below(2) as usize],
            (Task::Velocity, _) => self.config.fastest * random.double(),
        }
    }
}

impl Rules for MujocoRules {
    type World = Creature;
    const NAME: &'static str = "mujoco";
    /// A step of one costs more than handing it out.
    const CHUNK_AGENTS: usize = 1;

    fn worlds(&self) -> usize {
        self.config.worlds
    }

    fn check(&self) -> Result<()> {
        self.config.check()
    }

    /// One kind for each part of the body.
    fn kinds(&self) -> Vec<AgentKind> {
        let range = self.facts.range as f32;
        let kind = |part: &Part| {
            let space = ActionSpace::uniform(part.actions.len(), -range, range);
            AgentKind::new(&part.name, 1, &[part.observation.len()], space)
        };
        self.parts.iter().map(kind).collect()
    }

    fn state(&self) -> usize {
        self.first.seen.len()
    }

    fn limit(&self) -> u32 {
        self.config.max_episode_steps as u32
    }

    fn blank(&self) -> Creature {
        self.first.clone()
    }

    fn task_episodes(&self) -> u32 {
        self.config.episodes as u32
    }

    fn reset(&self, creature: &mut Creature, episode: u64, random: &mut Pcg64) {
        let another = episode.is_multiple_of(u64::from(self.task_episodes()));
        if !creature.drawn || (another && self.config.goal == (Goal::Episode {})) {
            creature.goal = self.aim(random);
            creature.drawn = true;
        }
        let [coordinates, ..] = self.facts.sizes;
        let [places, velocities] = self.facts.noise;
        let mut moving = self.start.clone();
        for (i, number) in moving.iter_mut().enumerate() {
            *number += match i < coordinates {
                true => places * (2.0 * random.double() - 1.0),
                false if self.facts.normal => velocities * normal(random),
                false => velocities * (2.0 * random.double() - 1.0),
            };
        }
        if let Err(error) = self.put(creature, &moving) {
            tracing::error!("{error}; the body lies where it was");
        }
    }

    fn step(&self, creature: &mut Creature, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let mut action = vec![0.0; self.facts.sizes[2]];
        for (kind, part) in self.parts.iter().enumerate() {
            for (index, number) in part.actions.iter().zip(actions.continuous(kind)) {
                action[*index] = f64::from(*number);
            }
        }
        match self.act(creature, &action) {
            Ok(moment) => {
                pay.rewards.fill(moment.reward as f32);
                if moment.fallen { Outcome::Ends } else { Outcome::GoesOn }
            }
            Err(error) => {
                tracing::error!("{error}; the episode ends here");
                Outcome::Ends
            }
        }
    }

    fn observe(&self, creature: &Creature, view: &mut View) {
        for (kind, part) in self.parts.iter().enumerate() {
            let row = view.observations(kind).iter_mut();
            row.zip(&part.observation).for_each(|(to, index)| *to = creature.seen[*index] as f32);
        }
        view.state().iter_mut().zip(&creature.seen).for_each(|(to, number)| *to = *number as f32);
    }

    fn draw(&self, creature: &Creature) -> Option<Drawing> {
        super::draw::draw(self, creature)
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        let own = self.parts.get(agent).map_or(&[][..], |part| &part.actions);
        own.iter().map(|index| self.facts.actuators[*index].to_owned()).collect()
    }

    fn visit(&self, creature: &mut Creature, codec: &mut Codec) -> Result<()> {
        let mut whole = creature.data.whole();
        codec.all(&mut whole)?;
        creature.data.set_whole(&whole)?;
        codec.all(&mut creature.moving)?;
        codec.all(&mut creature.seen)?;
        codec.one(&mut creature.place)?;
        codec.one(&mut creature.goal)?;
        codec.one(&mut creature.drawn)
    }

    fn valid(&self, creature: &Creature) -> bool {
        let asked = match self.config.task {
            Task::Forward => creature.goal == 0.0,
            Task::Direction => creature.goal.abs() == 1.0,
            Task::Velocity => creature.goal.abs() <= 100.0,
        };
        asked && creature.drawn
    }
}
