//! Points with mass that are pushed about: what all particle worlds share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::ActionSpace;
use crate::env::pathfinding::Pcg64;
use crate::env::plane::repulsion;
pub(super) use crate::env::plane::{Vector, minus, squared};
use crate::env::vectorised::{Chosen, Codec};
use crate::error::Result;

/// Seconds a step.
const TIME: f64 = 0.1;
/// The part of a velocity that a step takes.
const DAMPING: f64 = 0.25;
/// The strength of a contact.
const CONTACT_FORCE: f64 = 100.0;

/// Movement actions.
pub(super) const MOVES: usize = 5;

/// How agents of particle worlds are steered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// One movement, one word (MPE2's `continuous_actions=False`).
    #[default]
    Discrete,
    /// Numbers in [0, 1] (`continuous_actions=True`): no movement, left, right, down, up; then how loud each word is, which
    /// is what the others hear.
    Continuous,
}

impl Control {
    /// What an agent that can move, and say one of so many words, can do.
    pub(super) fn space(self, moves: bool, words: usize) -> ActionSpace {
        let moves = if moves { MOVES } else { 0 };
        match self {
            Control::Discrete => ActionSpace::Discrete(moves.max(1) * words.max(1)),
            Control::Continuous => ActionSpace::uniform(moves + words, 0.0, 1.0),
        }
    }
}

/// The largest limit of steps.
pub(super) const MAX_STEPS: usize = 1 << 30;

/// What one kind of agent is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    pub size: f64,
    /// The force of a movement action.
    pub acceleration: f64,
    pub max_speed: f64,
}

/// The force of a movement of that strength.
fn movement(option: u32, strength: f64) -> Vector {
    match option as usize % MOVES {
        1 => [-strength, 0.0],
        2 => [strength, 0.0],
        3 => [0.0, -strength],
        4 => [0.0, strength],
        _ => [0.0; 2],
    }
}

/// A particle world between two steps.
#[derive(Debug, Clone)]
pub struct Particles {
    /// Agents, then landmarks.
    positions: Vec<Vector>,
    velocities: Vec<Vector>,
    /// Which landmark is whose goal.
    pub(super) goals: Vec<u8>,
    /// Per agent that speaks: 0 before the first word, else the word + 1.
    pub(super) said: Vec<u8>,
    /// Per agent that speaks how loud it said each word, where words are continuous.
    pub(super) spoken: Vec<f32>,
    /// What reports are made of.
    pub(super) sums: [f64; 3],
    forces: Vec<Vector>,
}

impl Particles {
    pub(super) fn blank(agents: usize, landmarks: usize, goals: usize, speakers: usize) -> Self {
        Particles {
            positions: vec![[0.0; 2]; agents + landmarks],
            velocities: vec![[0.0; 2]; agents],
            goals: vec![0; goals],
            said: vec![0; speakers],
            spoken: Vec::new(),
            sums: [0.0; 3],
            forces: vec![[0.0; 2]; agents],
        }
    }

    /// With continuous words, of which there are so many.
    pub(super) fn speaking(mut self, control: Control, words: usize) -> Self {
        if control == Control::Continuous {
            self.spoken = vec![0.0; self.said.len() * words];
        }
        self
    }

    /// The agents' positions.
    #[inline]
    pub fn agents(&self) -> &[[f64; 2]] {
        &self.positions[..self.velocities.len()]
    }

    /// The landmarks' positions.
    #[inline]
    pub fn landmarks(&self) -> &[[f64; 2]] {
        &self.positions[self.velocities.len()..]
    }

    /// The agents' velocities.
    #[inline]
    pub fn velocities(&self) -> &[[f64; 2]] {
        &self.velocities
    }

    /// Which landmark is whose goal; one for all in `simple_adversary`, none in `simple_spread` and `simple_tag`.
    pub fn goals(&self) -> &[u8] {
        &self.goals
    }

    /// Draws positions as NumPy's `uniform(-reach, reach, 2)` does; nothing moves and nothing has been said. Goals,
    /// where there are any, have been drawn before.
    pub(super) fn scatter(&mut self, landmark_reach: f64, random: &mut Pcg64) {
        let agents = self.velocities.len();
        for (number, position) in self.positions.iter_mut().enumerate() {
            let reach = if number < agents { 1.0 } else { landmark_reach };
            *position = [0; 2].map(|_| -reach + (reach + reach) * random.double());
        }
        self.velocities.fill([0.0; 2]);
        self.said.fill(0);
        self.spoken.fill(0.0);
        self.sums = [0.0; 3];
    }

    /// Draws goals as `integers(landmarks)` does.
    pub(super) fn draw_goals(&mut self, landmarks: usize, random: &mut Pcg64) {
        for goal in &mut self.goals {
            *goal = random.below(landmarks as u32) as u8;
        }
    }

    /// Sets the forces of the agents' movement actions. What cannot move has a body without acceleration.
    pub(super) fn push(&mut self, actions: Chosen, body: impl Fn(usize) -> Body) {
        let mut first = 0;
        for kind in 0..actions.kinds() {
            let (options, numbers) = (actions.discrete(kind), actions.continuous(kind));
            let count = actions.count(kind);
            let forces = self.forces[first..first + count].iter_mut().enumerate();
            if numbers.is_empty() {
                for ((agent, force), option) in forces.zip(options) {
                    *force = movement(*option, body(first + agent).acceleration);
                }
            } else {
                for ((agent, force), numbers) in forces.zip(numbers.chunks_exact(numbers.len() / count)) {
                    let strength = body(first + agent).acceleration;
                    *force = match numbers {
                        // MPE2 takes the difference in f32 and what follows in f64.
                        [_, left, right, down, up, ..] => {
                            [right - left, up - down].map(|part| f64::from(part) * strength)
                        }
                        // Who cannot move has words only.
                        _ => [0.0; 2],
                    };
                }
            }
            first += count;
        }
    }

    /// Sets the force of one agent's movement.
    pub(super) fn steer(&mut self, agent: usize, option: u32, strength: f64) {
        self.forces[agent] = movement(option, strength);
    }

    /// Notes what a speaker says: the word itself, or how loud each is.
    pub(super) fn say(&mut self, speaker: usize, word: Option<u32>, loudness: &[f32]) {
        if let Some(word) = word {
            self.said[speaker] = 1 + word as u8;
        }
        let words = self.spoken.len() / self.said.len();
        self.spoken[speaker * words..][..words].copy_from_slice(&loudness[loudness.len() - words..]);
    }

    /// Adds the forces of contacts between agents, and with landmarks of a size.
    pub(super) fn collide(&mut self, body: impl Fn(usize) -> Body, landmark_size: Option<f64>) {
        let agents = self.velocities.len();
        let count = if landmark_size.is_some() { self.positions.len() } else { agents };
        for a in 0..agents {
            let size = body(a).size;
            for b in a + 1..count {
                let apart = minus(self.positions[a], self.positions[b]);
                let other_size = if b < agents { body(b).size } else { landmark_size.unwrap_or(0.0) };
                let Some(force) = repulsion(apart, size + other_size, CONTACT_FORCE) else { continue };
                for axis in 0..2 {
                    self.forces[a][axis] += force[axis];
                    if b < agents {
                        self.forces[b][axis] -= force[axis];
                    }
                }
            }
        }
    }

    /// Moves the agents: positions by the old velocities, velocities by the forces.
    pub(super) fn advance(&mut self, body: impl Fn(usize) -> Body) {
        let agents = self.positions.iter_mut().zip(&mut self.velocities).zip(&self.forces);
        for (agent, ((position, velocity), force)) in agents.enumerate() {
            for axis in 0..2 {
                position[axis] += velocity[axis] * TIME;
                velocity[axis] = velocity[axis] * (1.0 - DAMPING) + force[axis] * TIME;
            }
            let most = body(agent).max_speed;
            let speed = squared(*velocity).sqrt();
            if speed > most {
                *velocity = velocity.map(|part| part / speed * most);
            }
        }
    }

    /// The squared distance of an agent to a landmark.
    #[inline]
    pub(super) fn to_landmark(&self, agent: usize, landmark: usize) -> f64 {
        squared(minus(self.agents()[agent], self.landmarks()[landmark]))
    }

    /// Whether two agents of these sizes touch.
    #[inline]
    pub(super) fn touch(&self, a: usize, b: usize, sizes: f64) -> bool {
        squared(minus(self.positions[a], self.positions[b])).sqrt() < sizes
    }

    pub(super) fn visit(&mut self, codec: &mut Codec) -> Result<()> {
        for vector in self.positions.iter_mut().chain(&mut self.velocities) {
            codec.all(vector)?;
        }
        codec.all(&mut self.goals)?;
        codec.all(&mut self.said)?;
        codec.all(&mut self.spoken)?;
        codec.all(&mut self.sums)
    }

    /// Whether goals and words are in range, and nothing is so far off that a step could overflow.
    pub(super) fn valid(&self, words: usize) -> bool {
        let near = |vector: &Vector| vector.iter().all(|part| part.abs() < 1e12);
        self.positions.iter().chain(&self.velocities).all(near)
            && self.sums.iter().all(|sum| sum.abs() < 1e30)
            && self.goals.iter().all(|goal| usize::from(*goal) < self.landmarks().len())
            && self.said.iter().all(|word| usize::from(*word) <= words)
            && self.spoken.iter().all(|loudness| (0.0..=1.0).contains(loudness))
    }
}

/// Writes one observation after another.
pub(super) struct Pen<'a> {
    to: &'a mut [f32],
    at: usize,
}

impl<'a> Pen<'a> {
    pub fn new(to: &'a mut [f32]) -> Self {
        Pen { to, at: 0 }
    }

    #[inline]
    pub fn vector(&mut self, vector: Vector) {
        self.to[self.at..self.at + 2].copy_from_slice(&[vector[0] as f32, vector[1] as f32]);
        self.at += 2;
    }

    /// The landmarks as seen from a place.
    #[inline]
    pub fn landmarks(&mut self, world: &Particles, from: Vector) {
        for landmark in world.landmarks() {
            self.vector(minus(*landmark, from));
        }
    }

    /// The other agents as seen by one.
    #[inline]
    pub fn others(&mut self, world: &Particles, agent: usize) {
        let from = world.agents()[agent];
        for (other, position) in world.agents().iter().enumerate() {
            if other != agent {
                self.vector(minus(*position, from));
            }
        }
    }

    /// A landmark's colour: three numbers, `strong` at the landmark's own.
    pub fn colour(&mut self, landmark: u8, weak: f32, strong: f32) {
        let part = &mut self.to[self.at..self.at + 3];
        part.fill(weak);
        part[usize::from(landmark)] = strong;
        self.at += 3;
    }

    /// What a speaker said last: a word, one-hot, or how loud each was; all 0 before the first.
    pub fn word(&mut self, world: &Particles, speaker: usize, words: usize) {
        let part = &mut self.to[self.at..self.at + words];
        self.at += words;
        if let Some(loudness) = world.spoken.get(speaker * words..(speaker + 1) * words) {
            part.copy_from_slice(loudness);
            return;
        }
        part.fill(0.0);
        let said = usize::from(world.said[speaker]);
        if let Some(heard) = said.checked_sub(1).and_then(|word| part.get_mut(word)) {
            *heard = 1.0;
        }
    }

    pub fn zeros(&mut self, count: usize) {
        self.to[self.at..self.at + count].fill(0.0);
        self.at += count;
    }
}
