//! Animations of episodes on a grid, for people to look at: [`write_gif`] draws its own pixels, [`write_svg`] writes
//! shapes that browsers animate.
//!
//! What is drawn is a [`Scene`]: plain cells, agents, targets, planned paths and attention weights. This folder knows no
//! environment and no network; whoever has an episode turns it into a scene.
//!
//! Discs are agents, rings of the same colour their targets, dots the planned paths. A curve from one agent to another
//! says that the first reads the memory of the second; the stronger the colour, the higher the attention weight. An agent
//! that is no longer active vanishes and its target is filled lightly.

mod font;
mod gif;
mod svg;
#[cfg(test)]
mod tests;

pub(in crate::run) use svg::{escaped, hex, short};

use std::path::Path;

use crate::error::{Error, Result};

/// An episode to be drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// Columns of the map.
    pub width: usize,
    /// Rows of the map.
    pub height: usize,
    /// Which cells are blocked, row-major `[height, width]`.
    pub obstacles: Vec<bool>,
    /// The states from the first to the last, each with the same agents in the same order.
    pub frames: Vec<Frame>,
}

/// One state of an episode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// `[agents]`
    pub agents: Vec<AgentView>,
    /// The line under the map.
    pub caption: String,
}

/// One agent in one state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentView {
    /// The row it is in, from the top.
    pub row: usize,
    /// The column it is in, from the left.
    pub column: usize,
    /// Row and column of its target.
    pub target: (usize, usize),
    /// Whether it is still under way; others are not drawn.
    pub active: bool,
    /// The planned path as (row, column), from its own cell to the target; empty for none.
    pub path: Vec<(usize, usize)>,
    /// Attention weights over the memories of all agents, `[agents]`; empty for none.
    pub attention: Vec<f32>,
}

/// Writes a scene as an animated GIF that loops.
///
/// A step takes 0.24 s with two pictures in between, the last state stays for 1.5 s. The longer side of the map has at
/// most 960 pixels. Of an episode with more than 512 states only 512 are shown, evenly spaced with the first and the last
/// among them; of a large picture still fewer, so that all pictures together stay within 300 million pixels. Attention is
/// drawn for up to 16 agents.
///
/// # Errors
/// [`Error::Usage`] for a scene that does not fit together (see [`Scene`]), [`Error::Io`] where the file cannot be
/// written; a file that was there before is then left as it was.
pub fn write_gif(path: &Path, scene: &Scene) -> Result<()> {
    check(scene)?;
    gif::write(path, scene)
}

/// Writes a scene as an SVG file animated by SMIL, which browsers play.
///
/// A step takes 0.25 s, the last state stays for 1.5 s. Planned paths are those of the first state, and are left out
/// for more than 16 agents. At most 512 states are shown (fewer for more than 200 agents), evenly spaced with the first
/// and the last among them; agents glide between them in straight lines. Attention is drawn for up to 16 agents, and in
/// long episodes for those pairs of agents whose weights are the highest.
///
/// # Errors
/// As [`write_gif`], and [`Error::Usage`] for a map whose obstacles would fill many megabytes.
pub fn write_svg(path: &Path, scene: &Scene) -> Result<()> {
    check(scene)?;
    svg::write(path, scene)
}

/// Refuses scenes that cannot be drawn.
fn check(scene: &Scene) -> Result<()> {
    let (width, height) = (scene.width, scene.height);
    let fail =
        |message: String| Err(Error::Usage(format!("a picture of {height} x {width} cells: {message}")));
    if width == 0 || height == 0 {
        return fail("there is nothing to draw".into());
    }
    if width.checked_mul(height) != Some(scene.obstacles.len()) {
        return fail(format!("{} obstacle flags given", scene.obstacles.len()));
    }
    let Some(first) = scene.frames.first() else {
        return fail("no frames given".into());
    };
    let agents = first.agents.len();
    let inside = |cell: (usize, usize)| cell.0 < height && cell.1 < width;
    for (number, frame) in scene.frames.iter().enumerate() {
        if frame.agents.len() != agents {
            return fail(format!("{} agents in frame {number}, {agents} in the first", frame.agents.len()));
        }
        for (agent, view) in frame.agents.iter().enumerate() {
            let cells = [(view.row, view.column), view.target];
            if let Some(cell) = cells.iter().chain(&view.path).find(|cell| !inside(**cell)) {
                return fail(format!("frame {number}, agent {agent}: cell {cell:?} is outside"));
            }
            if !view.attention.is_empty() && view.attention.len() != agents {
                return fail(format!(
                    "frame {number}, agent {agent}: {} attention weights over {agents} agents",
                    view.attention.len()
                ));
            }
        }
    }
    Ok(())
}

pub(in crate::run) type Colour = [u8; 3];

/// The page around the map.
pub(in crate::run) const PAGE: Colour = [255, 255, 255];
/// Free cells.
const GROUND: Colour = [245, 246, 248];
/// The lines between free cells.
pub(in crate::run) const GRID: Colour = [230, 233, 238];
/// Blocked cells.
const OBSTACLE: Colour = [58, 66, 80];
/// Captions.
pub(in crate::run) const TEXT: Colour = [58, 66, 80];

/// The colours of agents; they come round again after the last. Neighbours in this list differ most, so that few agents
/// are told apart at a glance.
pub(in crate::run) const AGENTS: [Colour; 16] = [
    [0x2F, 0x6F, 0xDE],
    [0xE8, 0x5D, 0x2C],
    [0x2A, 0x9D, 0x5C],
    [0x8E, 0x44, 0xAD],
    [0xE3, 0xA6, 0x00],
    [0x11, 0xA3, 0xB8],
    [0xD6, 0x33, 0x7A],
    [0x8A, 0x5A, 0x3B],
    [0x7F, 0xB8, 0x00],
    [0x26, 0x41, 0x8F],
    [0xF2, 0x8C, 0x7B],
    [0x6B, 0x7A, 0x1E],
    [0xA7, 0x8B, 0xFA],
    [0x9B, 0x1C, 0x31],
    [0x5B, 0xB8, 0xF5],
    [0xF0, 0x9C, 0xCB],
];

/// Attention is drawn up to this many agents.
const MOST_FOR_ATTENTION: usize = 16;
/// States that are shown at most.
const MOST_FRAMES: usize = 512;

// Lengths in cells, the same in both formats.
const DISC: f32 = 0.29;
const RING: f32 = 0.38;
const RING_WIDTH: f32 = 0.085;
const DOT: f32 = 0.065;
const CURVE_WIDTH: f32 = 0.09;
/// How far a curve bends aside, in its own length, so that those of two agents who read each other stay apart.
const BEND: f32 = 0.16;
/// How strongly a path is drawn in its agent's colour, and the target of an agent that has finished.
const PATH_TINT: f32 = 0.55;
const DONE_TINT: f32 = 0.22;

/// Sizes in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Layout {
    /// A cell; under 1 for maps of more cells than the picture has pixels.
    cell: f32,
    /// The upper left corner of the map.
    left: usize,
    top: usize,
    /// The map.
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
    fn of(scene: &Scene) -> Layout {
        let side = scene.width.max(scene.height);
        let cell = match side {
            0..=16 => 36.0,
            17..=40 => 24.0,
            41..=960 => (960 / side) as f32,
            _ => 960.0 / side as f32,
        };
        let pixels = |cells: usize| ((cells as f32 * cell).round() as usize).max(1);
        let (map_width, map_height) = (pixels(scene.width), pixels(scene.height));
        let width = (map_width + 2 * MARGIN).max(240);
        Layout {
            cell,
            left: (width - map_width) / 2,
            top: MARGIN,
            map_width,
            map_height,
            width,
            height: MARGIN + map_height + BAR + GAP + CAPTION + MARGIN,
        }
    }

    /// The middle of a cell (row, column; in between where they are not whole) as x, y.
    fn centre(&self, row: f32, column: f32) -> (f32, f32) {
        (self.left as f32 + (column + 0.5) * self.cell, self.top as f32 + (row + 0.5) * self.cell)
    }
}

/// At most `most` (2 or more) of `count` states, evenly spaced, with the first and the last among them.
pub(in crate::run) fn kept(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        (0..count).collect()
    } else {
        (0..most).map(|i| i * (count - 1) / (most - 1)).collect()
    }
}

/// How far aside of the cells' middle an agent's path is drawn, so that those of neighbours in the list can both be seen.
fn lane(agent: usize, agents: usize) -> f32 {
    match agents {
        0 | 1 => 0.0,
        2 => 0.2 * agent as f32 - 0.1,
        _ => 0.14 * ((agent % 3) as f32 - 1.0),
    }
}

/// How strongly the curve of an attention weight is drawn, 0 to 1; `None` where it is too weak (under half of what each
/// gets if all get the same) or no number.
fn strength(weight: f32, agents: usize) -> Option<f32> {
    // The root lifts the many small weights of many agents; as f32 from a network it may be anything.
    (weight.is_finite() && weight >= 0.5 / agents as f32).then(|| weight.min(1.0).sqrt())
}

/// The middle handle of the curve between two points.
fn bend(from: (f32, f32), to: (f32, f32)) -> (f32, f32) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    ((from.0 + to.0) / 2.0 + 2.0 * BEND * dy, (from.1 + to.1) / 2.0 - 2.0 * BEND * dx)
}
