//! Particle worlds as drawings.

use super::particles::{Particles, Vector};
use crate::env::drawing::{Drawing, Role, names};
use crate::env::plane::{framed, place, scaled};

/// Starts lie within 1 of the middle; so much is always seen.
const NEAR: f64 = 1.3;

/// A drawing under way.
pub(super) struct Sheet<'a> {
    world: &'a Particles,
    size: Box<dyn Fn(usize) -> f64 + 'a>,
    drawing: Drawing,
}

impl<'a> Sheet<'a> {
    /// Agents of such radii.
    pub fn new(world: &'a Particles, size: impl Fn(usize) -> f64 + 'a) -> Self {
        Sheet { world, size: Box::new(size), drawing: Drawing::default() }
    }

    pub fn landmarks(&mut self, role: Role, radius: f64) {
        for landmark in self.world.landmarks() {
            self.drawing.disc(role, place(*landmark), scaled(radius));
        }
    }

    pub fn ring(&mut self, role: Role, at: Vector, radius: f64) {
        self.drawing.ring(role, place(at), scaled(radius), 0.0);
    }

    /// The word that a speaker said last, or the loudest of several, above it. Agents who speak come first.
    pub fn said(&mut self, speaker: usize) {
        let words = self.world.spoken.len() / self.world.said.len().max(1);
        let spoken = &self.world.spoken[speaker * words..][..words];
        let loudest = (0..words).max_by(|a, b| spoken[*a].total_cmp(&spoken[*b]).then(b.cmp(a)));
        let loudest = loudest.filter(|word| spoken[*word] > 0.0);
        let said = usize::from(self.world.said[speaker]);
        if let Some(word) = said.checked_sub(1).or(loudest) {
            let [x, y] = place(self.world.agents()[speaker]);
            let above = y - scaled((self.size)(speaker)) - 0.4;
            self.drawing.label(Role::Agent(speaker), [x, above], 0.5, format!("\"{word}\""));
        }
    }

    /// The agents on top, and the frame about all of it.
    pub fn finish(mut self) -> Drawing {
        for (agent, at) in self.world.agents().iter().enumerate() {
            self.drawing.disc(Role::Agent(agent), place(*at), scaled((self.size)(agent)));
        }
        framed(self.drawing, NEAR)
    }
}

/// Names of the movement actions.
pub(super) fn moves() -> Vec<String> {
    names(&["none", "left", "right", "down", "up"])
}

/// Names of so many words.
pub(super) fn words(count: usize) -> Vec<String> {
    (0..count).map(|word| format!("word {word}")).collect()
}
