//! Animations of episodes for people to look at: [`Film::gif`] draws its own pixels, [`Film::svg`] writes shapes that
//! browsers animate.
//!
//! What is drawn is what worlds say of themselves ([`Drawing`]), state by state, with a line of words under each. A curve
//! from one agent to another says that the first attends to the second; the stronger the colour, the higher the weight.

mod animation;
mod gif;
mod paint;
#[cfg(test)]
mod tests;
mod track;

use std::sync::Arc;

use super::{AGENTS, Colour, GRID, TEXT, bend, font};
use crate::env::drawing::{Cells, Drawing, Role, Shape};
use crate::error::{Error, Result};

/// An episode to be drawn.
///
/// ```
/// use synod::env::drawing::{DISC, Drawing, Role};
/// use synod::picture::film::{Film, Frame};
/// let frames = (0..3).map(|step| {
///     let mut drawing = Drawing::new(3.0, 1.0);
///     drawing.disc(Role::Agent(0), [step as f32 + 0.5, 0.5], DISC);
///     Frame { drawing, caption: format!("step {step}"), attention: Vec::new() }
/// });
/// let film = Film { frames: frames.collect(), agents: 1, stride: 1, ..Film::default() };
/// assert!(film.svg()?.starts_with("<svg") && film.gif()?.starts_with(b"GIF89a"));
/// # Ok::<(), synod::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Film {
    /// The states from the first to the last.
    pub frames: Vec<Frame>,
    /// Agents in the world.
    pub agents: usize,
    /// Steps from one state to the next.
    pub stride: usize,
    /// Which curves of attention are drawn.
    pub arcs: Arcs,
}

/// One state of an episode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// The world.
    pub drawing: Drawing,
    /// The line under it.
    pub caption: String,
    /// `[agents, agents]`: how much each agent (first) attends to each (second); empty for none.
    pub attention: Vec<f32>,
}

/// Which curves of attention are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arcs {
    /// How many of each agent: the strongest; 0 for none.
    pub most: usize,
    /// The least weight, in what each would get if all got the same (1 / agents).
    pub least: f32,
}

impl Default for Arcs {
    /// The two strongest of each agent that are not less than half of an even share: all of few agents, and no tangle
    /// of many.
    fn default() -> Self {
        Arcs { most: 2, least: 0.5 }
    }
}

/// Sides that can be drawn, in cells.
const MOST_SIDE: f32 = 65536.0;
/// Curves of attention are drawn for up to this many agents.
const MOST_FOR_ATTENTION: usize = 64;
/// States that are shown at most.
const MOST_FRAMES: usize = 512;
/// Cells in a step up to which things glide; what moves further jumps.
const GLIDE: f32 = 1.5;

impl Film {
    /// The film as an animated GIF that loops.
    ///
    /// A step takes 0.24 s with two pictures in between, the last state stays for 1.5 s. The longer side of what is drawn
    /// has at most 960 pixels. Of an episode with more than 512 states only 512 are shown, evenly spaced with the first
    /// and the last among them; of a large picture still fewer, so that all pictures together stay within 300 million
    /// pixels. Attention is drawn for up to 64 agents.
    ///
    /// # Errors
    /// [`Error::Usage`] for a film that does not fit together.
    pub fn gif(&self) -> Result<Vec<u8>> {
        self.check()?;
        gif::bytes(self)
    }

    /// The film as an SVG file animated by SMIL, which browsers play.
    ///
    /// A step takes 0.25 s, the last state stays for 1.5 s. Planned ways are those of the first state, and are left out
    /// where there are more than 16. At most 512 states are shown (fewer of many things), evenly spaced with the first
    /// and the last among them. Attention is drawn for up to 64 agents, and in long episodes for those pairs of agents
    /// whose weights are the highest.
    ///
    /// # Errors
    /// As [`Film::gif`], and [`Error::Usage`] for a map whose obstacles would fill many megabytes.
    pub fn svg(&self) -> Result<String> {
        self.check()?;
        animation::text(self)
    }

    /// Refuses films that cannot be drawn.
    fn check(&self) -> Result<()> {
        let fail = |message: String| Err(Error::Usage(format!("an episode cannot be drawn: {message}")));
        if self.frames.is_empty() {
            return fail("it has no states".into());
        }
        for (number, frame) in self.frames.iter().enumerate() {
            let [left, top, right, bottom] = frame.drawing.frame;
            let near = [left, top, right, bottom].iter().all(|x| x.abs() <= MOST_SIDE);
            // What is no number is not near either.
            if !near || left >= right || top >= bottom {
                return fail(format!("state {number} has the frame {:?}", frame.drawing.frame));
            }
            if let Some(cells) = &frame.drawing.cells {
                let Cells { columns, rows, blocked, .. } = cells.as_ref();
                if columns.checked_mul(*rows) != Some(blocked.len()) || blocked.is_empty() {
                    return fail(format!(
                        "state {number} has {} cells for {rows} x {columns}",
                        blocked.len()
                    ));
                }
            }
            let strange = |mark: &crate::env::drawing::Mark| {
                let numbers = match &mark.shape {
                    Shape::Way { points } if points.is_empty() => return false,
                    shape => shape.bounds(),
                };
                !numbers.iter().chain([&mark.opacity]).all(|x| x.abs() <= 2.0 * MOST_SIDE)
            };
            if let Some(mark) = frame.drawing.marks.iter().find(|mark| strange(mark)) {
                return fail(format!("state {number} has {mark:?}"));
            }
            let weights = frame.attention.len();
            if weights > 0 && Some(weights) != self.agents.checked_mul(self.agents) {
                return fail(format!(
                    "state {number}: {weights} attention weights of {} agents",
                    self.agents
                ));
            }
        }
        Ok(())
    }

    /// The ground of all states.
    fn cells(&self) -> Option<&Arc<Cells>> {
        self.frames.first()?.drawing.cells.as_ref()
    }

    /// How far something may move from one state to another and still glide.
    fn reach(&self, states: usize) -> f32 {
        GLIDE * self.stride.max(1) as f32 * states as f32
    }

    /// Whose curves are drawn in a state, and how strongly (0 to 1): of each agent the strongest.
    fn strongest(&self, frame: &Frame) -> Vec<Curve> {
        let agents = self.agents;
        if frame.attention.is_empty() || agents > MOST_FOR_ATTENTION || self.arcs.most == 0 {
            return Vec::new();
        }
        let places: Vec<Option<[f32; 2]>> = (0..agents).map(|agent| frame.drawing.place(agent)).collect();
        let mut arcs = Vec::new();
        for (reader, weights) in frame.attention.chunks_exact(agents).enumerate() {
            let Some(from) = places[reader] else { continue };
            let mut own: Vec<Curve> = (0..agents)
                .filter(|read| *read != reader)
                .filter_map(|read| {
                    let weight = weights[read];
                    // As f32 from a network it may be anything.
                    let enough =
                        weight.is_finite() && weight > 0.0 && weight >= self.arcs.least / agents as f32;
                    // The root lifts the many small weights of many agents.
                    enough.then_some(Curve {
                        reader,
                        read,
                        from,
                        to: places[read]?,
                        strength: weight.min(1.0).sqrt(),
                    })
                })
                .collect();
            // The sort is stable: of equal ones the first.
            own.sort_by(|a, b| b.strength.total_cmp(&a.strength));
            arcs.extend(own.into_iter().take(self.arcs.most));
        }
        arcs
    }
}

/// A curve of attention.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Curve {
    reader: usize,
    read: usize,
    from: [f32; 2],
    to: [f32; 2],
    strength: f32,
}

/// Free cells, and whatever lies behind all else.
const GROUND: Colour = [245, 246, 248];
const OBSTACLE: Colour = [58, 66, 80];
const THING: Colour = [172, 180, 191];

fn colour(role: Role) -> Colour {
    match role {
        Role::Agent(agent) => AGENTS[agent % AGENTS.len()],
        Role::Wall => OBSTACLE,
        Role::Thing => THING,
        Role::Ground => GRID,
        Role::Goal => AGENTS[4],
        Role::Good => AGENTS[2],
        Role::Bad => AGENTS[13],
        Role::Ink => TEXT,
    }
}

// Lengths in cells, the same in both formats.
const DOT: f32 = 0.065;
const CURVE_WIDTH: f32 = 0.09;
/// The pale rim of an agent.
const HALO: f32 = 0.05;

/// Sizes in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Layout {
    /// A cell; under 1 for maps of more cells than the picture has pixels.
    cell: f32,
    /// What is drawn, in cells: its upper left and lower right corners.
    low: [f32; 2],
    high: [f32; 2],
    /// Its upper left corner on the picture.
    left: usize,
    top: usize,
    /// Its size.
    map_width: usize,
    map_height: usize,
    /// The whole picture.
    width: usize,
    height: usize,
}

const MARGIN: usize = 12;
/// From the foot of the map to that of the progress bar.
const BAR: usize = 10;
/// The height of the progress bar itself.
const BAR_HEIGHT: usize = 3;
/// From the foot of the progress bar to the top of the caption.
const GAP: usize = 9;
/// The height of a caption in letters of double size.
const CAPTION: usize = 2 * font::HEIGHT;

impl Layout {
    /// Room for everything in all states.
    fn of(film: &Film) -> Layout {
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for frame in &film.frames {
            let [left, top, right, bottom] = frame.drawing.frame;
            low = [low[0].min(left), low[1].min(top)];
            high = [high[0].max(right), high[1].max(bottom)];
        }
        let side = (high[0] - low[0]).max(high[1] - low[1]);
        let cell = match side.ceil() as usize {
            0..=16 => 36.0,
            17..=40 => 24.0,
            41..=960 => (960.0 / side).floor(),
            _ => 960.0 / side,
        };
        let pixels = |cells: f32| ((cells * cell).round() as usize).max(1);
        let (map_width, map_height) = (pixels(high[0] - low[0]), pixels(high[1] - low[1]));
        // Captions too, in small letters.
        let longest = film.frames.iter().map(|frame| frame.caption.chars().count()).max().unwrap_or(0);
        let words = (font::ADVANCE * longest).clamp(18 * MARGIN, 40 * MARGIN);
        let width = map_width.max(words) + 2 * MARGIN;
        Layout {
            cell,
            low,
            high,
            left: (width - map_width) / 2,
            top: MARGIN,
            map_width,
            map_height,
            width,
            height: MARGIN + map_height + BAR + GAP + CAPTION + MARGIN,
        }
    }

    /// A place in cells as pixels.
    fn pixel(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [self.left as f32 + (x - self.low[0]) * self.cell, self.top as f32 + (y - self.low[1]) * self.cell]
    }

    /// The middle handle of a curve of attention, in cells: the curve with its width stays in the picture.
    fn bend(&self, from: [f32; 2], to: [f32; 2]) -> [f32; 2] {
        let half = CURVE_WIDTH / 2.0;
        bend(from, to, self.low.map(|x| x + half), self.high.map(|x| x - half))
    }

    /// Where a caption begins, and what room it has.
    fn caption(&self) -> (usize, usize) {
        let margin = self.left.min(MARGIN);
        let start = if self.map_width + 2 * MARGIN < self.width { margin } else { self.left };
        (start, self.width - start - margin)
    }
}
