//! What a world looks like at one moment, as it says so itself: cells, discs, lines, words, with roles in place of
//! colours. What becomes of that (files, pixels, colours) is decided elsewhere.
//!
//! Lengths are in cells: x to the right, y downwards, an agent about half a cell wide. Worlds without cells choose a
//! scale that makes it so.

use std::sync::Arc;

/// A world at one moment.
///
/// ```
/// use synod_worlds::env::drawing::{DISC, Drawing, Role};
/// let mut drawing = Drawing::new(3.0, 1.0);
/// drawing.target(Role::Agent(0), [2.5, 0.5], false);
/// drawing.disc(Role::Agent(0), [0.5, 0.5], DISC);
/// assert_eq!(drawing.place(0), Some([0.5, 0.5]));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawing {
    /// What the world, or its instance, is called.
    pub title: String,
    /// A few words about this moment; may be empty.
    pub note: String,
    /// Left, top, right and bottom. All marks lie within.
    pub frame: [f32; 4],
    /// Free and blocked cells, where there are cells. They stay the same throughout an episode.
    pub cells: Option<Arc<Cells>>,
    /// What is there. The n-th mark of a sort and role in one drawing is the n-th of these in the next: it moves from
    /// there to here.
    pub marks: Vec<Mark>,
}

/// The ground of a grid, its upper left corner at (0, 0).
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// Cells from left to right.
    pub columns: usize,
    /// Cells from top to bottom.
    pub rows: usize,
    /// Which are blocked, row by row.
    pub blocked: Vec<bool>,
    /// What blocks them.
    pub role: Role,
}

/// What something is; a picture gives each role a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The agent of this number: itself, its target, its words.
    Agent(usize),
    /// What blocks the way.
    Wall,
    /// What lies there: landmarks, what is beside a road.
    Thing,
    /// A part of the ground.
    Ground,
    /// What is wanted.
    Goal,
    /// What went well.
    Good,
    /// What went wrong.
    Bad,
    /// Words.
    Ink,
}

/// Something in a drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// What it is.
    pub role: Role,
    /// How much of it is seen, from 0 to 1.
    pub opacity: f32,
    /// Its shape and place.
    pub shape: Shape,
}

/// A shape at its place.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A rectangle from its upper left corner.
    Box {
        /// The corner.
        at: [f32; 2],
        /// Width and height.
        size: [f32; 2],
    },
    /// A straight line.
    Line {
        /// One end.
        from: [f32; 2],
        /// The other.
        to: [f32; 2],
        /// How thick it is.
        width: f32,
    },
    /// Where something is going to go, as dots; from where it is to where it ends.
    Way {
        /// The corners of the way.
        points: Vec<[f32; 2]>,
    },
    /// A circle.
    Ring {
        /// Its middle.
        at: [f32; 2],
        /// Its radius, without the line's own width.
        radius: f32,
        /// How strongly it is filled, from 0 to 1.
        fill: f32,
    },
    /// A disc. The first disc of an agent's role is where the agent is.
    Disc {
        /// Its middle.
        at: [f32; 2],
        /// Its radius.
        radius: f32,
    },
    /// Words in one line.
    Label {
        /// Their middle.
        at: [f32; 2],
        /// The height of the letters.
        size: f32,
        /// The words.
        text: String,
    },
}

/// The width of a ring's line, and of lines that are not said to be thicker.
pub const LINE: f32 = 0.085;
/// The radius of a disc that stands for an agent in a cell, and of a ring round it.
pub const DISC: f32 = 0.29;
/// See [`DISC`].
pub const RING: f32 = 0.38;
/// The width of a letter in parts of its height.
pub const LETTER: f32 = 0.6;

impl Drawing {
    /// An empty drawing of so many cells from (0, 0) to the right and downwards.
    pub fn new(columns: f32, rows: f32) -> Drawing {
        Drawing { frame: [0.0, 0.0, columns, rows], ..Drawing::default() }
    }

    /// An empty drawing of these cells.
    pub fn of_cells(cells: Cells) -> Drawing {
        let drawing = Drawing::new(cells.columns as f32, cells.rows as f32);
        Drawing { cells: Some(Arc::new(cells)), ..drawing }
    }

    /// Adds something; its opacity, to be changed where it is not whole.
    pub fn add(&mut self, role: Role, shape: Shape) -> &mut f32 {
        self.marks.push(Mark { role, opacity: 1.0, shape });
        let last = self.marks.len() - 1;
        &mut self.marks[last].opacity
    }

    /// Adds a disc.
    pub fn disc(&mut self, role: Role, at: [f32; 2], radius: f32) -> &mut f32 {
        self.add(role, Shape::Disc { at, radius })
    }

    /// Adds a ring, filled that strongly.
    pub fn ring(&mut self, role: Role, at: [f32; 2], radius: f32, fill: f32) -> &mut f32 {
        self.add(role, Shape::Ring { at, radius, fill })
    }

    /// Adds a rectangle.
    pub fn rectangle(&mut self, role: Role, at: [f32; 2], size: [f32; 2]) -> &mut f32 {
        self.add(role, Shape::Box { at, size })
    }

    /// Adds a line.
    pub fn line(&mut self, role: Role, from: [f32; 2], to: [f32; 2], width: f32) -> &mut f32 {
        self.add(role, Shape::Line { from, to, width })
    }

    /// Adds words.
    pub fn label(&mut self, role: Role, at: [f32; 2], size: f32, text: impl Into<String>) -> &mut f32 {
        self.add(role, Shape::Label { at, size, text: text.into() })
    }

    /// Adds an agent's target: a ring, which is pale and filled once the agent is `done`.
    pub fn target(&mut self, role: Role, at: [f32; 2], done: bool) {
        let (fill, opacity) = if done { (0.5, 0.45) } else { (0.0, 1.0) };
        *self.ring(role, at, RING, fill) = opacity;
    }

    /// Where an agent is; `None` where it is not seen.
    pub fn place(&self, agent: usize) -> Option<[f32; 2]> {
        self.marks.iter().find_map(|mark| match mark.shape {
            Shape::Disc { at, .. } if mark.role == Role::Agent(agent) => Some(at),
            _ => None,
        })
    }
}

impl Shape {
    /// The smallest rectangle that holds it: left, top, right, bottom. Words are taken as wide as their letters.
    pub fn bounds(&self) -> [f32; 4] {
        let around = |[x, y]: [f32; 2], across: f32, up: f32| [x - across, y - up, x + across, y + up];
        match self {
            Shape::Box { at, size } => [at[0], at[1], at[0] + size[0], at[1] + size[1]],
            Shape::Line { from, to, width } => {
                let half = width / 2.0;
                [
                    from[0].min(to[0]) - half,
                    from[1].min(to[1]) - half,
                    from[0].max(to[0]) + half,
                    from[1].max(to[1]) + half,
                ]
            }
            Shape::Way { points } => {
                let empty = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
                points
                    .iter()
                    .fold(empty, |b, [x, y]| [b[0].min(*x), b[1].min(*y), b[2].max(*x), b[3].max(*y)])
            }
            Shape::Ring { at, radius, .. } => around(*at, radius + LINE / 2.0, radius + LINE / 2.0),
            Shape::Disc { at, radius } => around(*at, *radius, *radius),
            Shape::Label { at, size, text } => {
                around(*at, LETTER * size * text.chars().count() as f32 / 2.0, size / 2.0)
            }
        }
    }
}

/// The middle of a cell.
pub(super) fn middle(row: usize, column: usize) -> [f32; 2] {
    [column as f32 + 0.5, row as f32 + 0.5]
}

/// Names of actions as worlds give them.
pub(super) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
