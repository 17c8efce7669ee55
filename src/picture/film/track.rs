//! Which mark of one state is which of the next, and where it is in between.

use std::collections::HashMap;

use crate::env::drawing::{Drawing, Mark, Role, Shape};

/// What lies above what. Curves of attention go below agents, above the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Layer {
    Boxes,
    Lines,
    Ways,
    Things,
    Agents,
    Labels,
}

impl Layer {
    pub fn of(mark: &Mark) -> Layer {
        match (&mark.shape, mark.role) {
            (Shape::Box { .. }, _) => Layer::Boxes,
            (Shape::Line { .. }, _) => Layer::Lines,
            (Shape::Way { .. }, _) => Layer::Ways,
            (Shape::Disc { .. }, Role::Agent(_)) => Layer::Agents,
            (Shape::Ring { .. } | Shape::Disc { .. }, _) => Layer::Things,
            (Shape::Label { .. }, _) => Layer::Labels,
        }
    }
}

/// What tells a mark from others of its state: its sort, its role, and the how many-th of these it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    layer: Layer,
    ring: bool,
    role: Role,
    number: u32,
}

impl Key {
    /// Whether curves of attention lie below it.
    pub fn is_above_curves(&self) -> bool {
        self.layer >= Layer::Agents
    }
}

/// The marks of a drawing with their keys, in the order that they are drawn.
pub(super) fn keyed(drawing: &Drawing) -> Vec<(Key, &Mark)> {
    let mut counts: HashMap<Key, u32> = HashMap::new();
    let mut marks: Vec<(Key, &Mark)> = drawing
        .marks
        .iter()
        .map(|mark| {
            let ring = matches!(mark.shape, Shape::Ring { .. });
            let first = Key { layer: Layer::of(mark), ring, role: mark.role, number: 0 };
            let count = counts.entry(first).or_default();
            *count += 1;
            (Key { number: *count - 1, ..first }, mark)
        })
        .collect();
    // The sort is stable: within a layer drawings decide.
    marks.sort_by_key(|(key, _)| key.layer);
    marks
}

/// A mark through all states that are shown.
pub(super) struct Track<'a> {
    pub layer: Layer,
    /// The number of a shown state, and the mark there.
    pub marks: Vec<(usize, &'a Mark)>,
}

/// Everything that is ever there, in the order that it is drawn.
pub(super) fn tracks<'a>(shown: impl Iterator<Item = &'a Drawing>) -> Vec<Track<'a>> {
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut tracks: Vec<Track> = Vec::new();
    for (state, drawing) in shown.enumerate() {
        for (key, mark) in keyed(drawing) {
            let place = *places.entry(key).or_insert_with(|| {
                tracks.push(Track { layer: key.layer, marks: Vec::new() });
                tracks.len() - 1
            });
            tracks[place].marks.push((state, mark));
        }
    }
    tracks.sort_by_key(|track| track.layer);
    tracks
}

/// The place that tells how far a mark has moved.
pub(super) fn anchor(shape: &Shape) -> [f32; 2] {
    match shape {
        Shape::Box { at, .. } | Shape::Ring { at, .. } | Shape::Disc { at, .. } | Shape::Label { at, .. } => {
            *at
        }
        Shape::Line { from, .. } => *from,
        Shape::Way { points } => points.first().copied().unwrap_or_default(),
    }
}

/// Whether a mark moves so little that it glides. The other end of a line counts too.
pub(super) fn glides(now: &Shape, then: &Shape, reach: f32) -> bool {
    let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) <= reach;
    let ends = match (now, then) {
        (Shape::Line { to: a, .. }, Shape::Line { to: b, .. }) => near(*a, *b),
        _ => true,
    };
    ends && near(anchor(now), anchor(then))
}

/// The shape on its way from one state to the next; words and ways are those of the first.
pub(super) fn between(now: &Shape, then: &Shape, share: f32) -> Shape {
    let mix = |a: f32, b: f32| a + (b - a) * share;
    let on = |a: [f32; 2], b: [f32; 2]| [mix(a[0], b[0]), mix(a[1], b[1])];
    match (now, then) {
        (Shape::Box { at, size }, Shape::Box { at: at2, size: size2 }) => {
            Shape::Box { at: on(*at, *at2), size: on(*size, *size2) }
        }
        (Shape::Line { from, to, width }, Shape::Line { from: from2, to: to2, width: width2 }) => {
            Shape::Line { from: on(*from, *from2), to: on(*to, *to2), width: mix(*width, *width2) }
        }
        (Shape::Ring { at, radius, fill }, Shape::Ring { at: at2, radius: radius2, .. }) => {
            Shape::Ring { at: on(*at, *at2), radius: mix(*radius, *radius2), fill: *fill }
        }
        (Shape::Disc { at, radius }, Shape::Disc { at: at2, radius: radius2 }) => {
            Shape::Disc { at: on(*at, *at2), radius: mix(*radius, *radius2) }
        }
        (Shape::Label { at, size, text }, Shape::Label { at: at2, .. }) => {
            Shape::Label { at: on(*at, *at2), size: *size, text: text.clone() }
        }
        _ => now.clone(),
    }
}
