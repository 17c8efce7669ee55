//! Scenes as GIF: pixels over a palette that all pictures share, each picture as the part that differs from the one
//! before.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use ::gif::{DisposalMethod, Encoder, EncodingError, Frame as Picture, Repeat};

use super::{
    AGENTS, AgentView, BAR, BAR_HEIGHT, CAPTION, CURVE_WIDTH, Colour, DISC, DONE_TINT, DOT, GAP, GRID,
    GROUND, Layout, MARGIN, MOST_FOR_ATTENTION, MOST_FRAMES, OBSTACLE, PAGE, PATH_TINT, RING, RING_WIDTH,
    Scene, TEXT, bend, font, kept, lane, strength,
};
use crate::error::Result;
use crate::run::folder::write_atomically;

/// Hundredths of a second that a step takes.
const STEP: usize = 24;
/// The same for the last state.
const HOLD: u16 = 150;
/// Pictures from one state to the next.
const PICTURES: usize = 3;
/// Pixels of all pictures together.
const MOST_PIXELS: usize = 300_000_000;

pub(super) fn write(path: &Path, scene: &Scene) -> Result<()> {
    let mut painter = Painter::new(scene);
    let (pictures, states) = schedule(scene, &painter.layout);
    write_atomically(path, |file| animate(file, &mut painter, pictures, &states).map_err(io_error))
}

/// How many pictures a step has and which states are shown.
pub(super) fn schedule(scene: &Scene, layout: &Layout) -> (usize, Vec<usize>) {
    // Where a cell has a few pixels only, in-between positions are not worth their size.
    let pictures = if layout.cell >= 8.0 { PICTURES } else { 1 };
    let most = (MOST_PIXELS / (layout.width * layout.height) / pictures).clamp(2, MOST_FRAMES);
    (pictures, kept(scene.frames.len(), most))
}

fn io_error(error: EncodingError) -> io::Error {
    match error {
        EncodingError::Io(error) => error,
        other => io::Error::other(other),
    }
}

fn animate<W: Write>(
    file: W,
    painter: &mut Painter,
    pictures: usize,
    states: &[usize],
) -> Result<(), EncodingError> {
    let (width, height) = (painter.layout.width, painter.layout.height);
    // Both sides are some 1000 pixels at most (Layout::of).
    let mut encoder = Encoder::new(file, width as u16, height as u16, &painter.palette.bytes())?;
    encoder.set_repeat(Repeat::Infinite)?;
    let mut before: Option<Vec<u8>> = None;
    let delay = (STEP / pictures) as u16;
    for (i, &state) in states.iter().enumerate() {
        let Some(&next) = states.get(i + 1) else {
            painter.paint(state as f32);
            return encoder.write_frame(&difference(&painter.pixels, before.as_deref(), width, height, HOLD));
        };
        for part in 0..pictures {
            painter.paint(state as f32 + (next - state) as f32 * part as f32 / pictures as f32);
            encoder.write_frame(&difference(&painter.pixels, before.as_deref(), width, height, delay))?;
            before.get_or_insert_default().clone_from(&painter.pixels);
        }
    }
    Ok(())
}

/// The rectangle that differs from the picture before; within it equal pixels are left transparent, which packs well.
fn difference<'a>(
    pixels: &'a [u8],
    before: Option<&[u8]>,
    width: usize,
    height: usize,
    delay: u16,
) -> Picture<'a> {
    let mut picture = Picture {
        delay,
        dispose: DisposalMethod::Keep,
        width: width as u16,
        height: height as u16,
        ..Picture::default()
    };
    let Some(before) = before else {
        picture.buffer = Cow::Borrowed(pixels);
        return picture;
    };
    let (mut left, mut right, mut top, mut bottom) = (width, 0, height, 0);
    for (y, (new, old)) in pixels.chunks_exact(width).zip(before.chunks_exact(width)).enumerate() {
        if new == old {
            continue;
        }
        let differs = |x: &usize| new[*x] != old[*x];
        left = left.min((0..width).find(differs).unwrap_or(width));
        right = right.max((0..width).rev().find(differs).map_or(0, |x| x + 1));
        top = top.min(y);
        bottom = y + 1;
    }
    if right == 0 {
        (left, right, top, bottom) = (0, 1, 0, 1); // nothing changed; a picture has one pixel at least
    }
    let mut buffer = Vec::with_capacity((right - left) * (bottom - top));
    for y in top..bottom {
        let row = y * width + left..y * width + right;
        buffer.extend(
            pixels[row.clone()].iter().zip(&before[row]).map(|(n, o)| if n == o { CLEAR } else { *n }),
        );
    }
    picture.left = left as u16;
    picture.top = top as u16;
    picture.width = (right - left) as u16;
    picture.height = (bottom - top) as u16;
    picture.transparent = Some(CLEAR);
    picture.buffer = Cow::Owned(buffer);
    picture
}

/// The palette's place for "as before". No pixel of a whole picture has it.
const CLEAR: u8 = 255;
/// Steps from the ground to an agent's full colour.
const SHADES: usize = 14;
/// Steps from the page to the obstacles' colour.
const GREYS: usize = 25;
/// Steps of opacity.
const OPACITIES: usize = 32;

/// What is painted with: an agent's colour or one of the four that follow.
const INK_PAGE: usize = AGENTS.len();
const INK_GRID: usize = INK_PAGE + 1;
const INK_OBSTACLE: usize = INK_PAGE + 2;
const INK_TEXT: usize = INK_PAGE + 3;
const INKS: usize = INK_PAGE + 4;

/// 255 colours and what comes of painting an ink over each of them.
struct Palette {
    colours: Vec<Colour>,
    inks: [Colour; INKS],
    /// `[inks, opacities, colours]`, filled as asked for; [`CLEAR`] is "not yet".
    mixed: Vec<u8>,
}

fn blend(under: Colour, over: Colour, share: f32) -> Colour {
    std::array::from_fn(|i| (under[i] as f32 + (over[i] as f32 - under[i] as f32) * share).round() as u8)
}

impl Palette {
    fn new() -> Palette {
        let mut inks = [PAGE; INKS];
        inks[..AGENTS.len()].copy_from_slice(&AGENTS);
        inks[INK_GRID] = GRID;
        inks[INK_OBSTACLE] = OBSTACLE;
        inks[INK_TEXT] = TEXT;
        let mut colours = vec![GROUND, PAGE, GRID];
        for agent in AGENTS {
            colours.extend((1..=SHADES).map(|i| blend(GROUND, agent, i as f32 / SHADES as f32)));
        }
        colours.extend((1..=GREYS).map(|i| blend(PAGE, OBSTACLE, i as f32 / GREYS as f32)));
        debug_assert!(colours.len() <= CLEAR as usize);
        let mixed = vec![CLEAR; INKS * (OPACITIES + 1) * (CLEAR as usize + 1)];
        Palette { colours, inks, mixed }
    }

    /// As a GIF file holds it; unused places are black.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.colours.as_flattened().to_vec();
        bytes.resize(256 * 3, 0);
        bytes
    }

    fn nearest(&self, colour: Colour) -> u8 {
        let distance = |other: &Colour| -> i32 {
            let by = |i: usize| (other[i] as i32 - colour[i] as i32).pow(2);
            // The eye tells greens best and blues worst.
            3 * by(0) + 4 * by(1) + 2 * by(2)
        };
        let places = self.colours.iter().enumerate().min_by_key(|(_, other)| distance(other));
        places.map_or(0, |(place, _)| place as u8)
    }

    /// The colour of `ink` at an opacity of 0 to 1 over `under`.
    fn mix(&mut self, ink: usize, opacity: f32, under: u8) -> u8 {
        let level = (opacity * OPACITIES as f32).round() as usize;
        if level == 0 {
            return under;
        }
        let at = (ink * (OPACITIES + 1) + level) * (CLEAR as usize + 1) + under as usize;
        if self.mixed[at] == CLEAR {
            let below = self.colours[under as usize];
            self.mixed[at] = self.nearest(blend(below, self.inks[ink], level as f32 / OPACITIES as f32));
        }
        self.mixed[at]
    }
}

struct Painter<'a> {
    scene: &'a Scene,
    layout: Layout,
    palette: Palette,
    /// The map without anything that moves.
    ground: Vec<u8>,
    /// The picture, `[height, width]`.
    pixels: Vec<u8>,
    /// How much of each pixel the present curve covers, all 0 between curves; and where it is not 0.
    cover: Vec<f32>,
    covered: Vec<usize>,
    /// Pixels a dot of the font takes.
    dot: usize,
}

impl<'a> Painter<'a> {
    fn new(scene: &'a Scene) -> Painter<'a> {
        let layout = Layout::of(scene);
        let palette = Palette::new();
        let (page, free) = (palette.nearest(PAGE), palette.nearest(GROUND));
        let mut pixels = vec![page; layout.width * layout.height];
        for y in 0..layout.map_height {
            let start = (layout.top + y) * layout.width + layout.left;
            pixels[start..start + layout.map_width].fill(free);
        }
        let longest = scene.frames.iter().map(|frame| frame.caption.chars().count()).max().unwrap_or(0);
        let dot = if 2 * font::ADVANCE * longest <= layout.width - 2 * MARGIN { 2 } else { 1 };
        let cover = vec![0.0; pixels.len()];
        let covered = Vec::new();
        let mut painter = Painter { scene, layout, palette, ground: Vec::new(), pixels, cover, covered, dot };
        painter.map();
        painter.ground = painter.pixels.clone();
        painter
    }

    fn dab(&mut self, x: usize, y: usize, ink: usize, opacity: f32) {
        let at = y * self.layout.width + x;
        self.pixels[at] = self.palette.mix(ink, opacity, self.pixels[at]);
    }

    /// Grid and obstacles.
    fn map(&mut self) {
        let Layout { cell, left, top, map_width, map_height, .. } = self.layout;
        let (width, height) = (self.scene.width, self.scene.height);
        let scene = self.scene;
        let blocked = |row: Option<usize>, column: Option<usize>| match (row, column) {
            (Some(row), Some(column)) if row < height && column < width => {
                scene.obstacles[row * width + column]
            }
            _ => false,
        };
        let radius = if cell >= 8.0 { 0.16 * cell } else { 0.0 };
        for y in 0..map_height {
            let row = ((y as f32 + 0.5) / cell) as usize;
            for x in 0..map_width {
                let column = ((x as f32 + 0.5) / cell) as usize;
                let (u, v) = (x as f32 + 0.5 - column as f32 * cell, y as f32 + 0.5 - row as f32 * cell);
                let line = (column > 0 && u < 1.0) || (row > 0 && v < 1.0);
                if cell >= 8.0 && line {
                    self.dab(left + x, top + y, INK_GRID, 1.0);
                }
                if !blocked(Some(row), Some(column)) {
                    continue;
                }
                // Corners that stick out are rounded.
                let beside = if u < cell / 2.0 { column.checked_sub(1) } else { Some(column + 1) };
                let above = if v < cell / 2.0 { row.checked_sub(1) } else { Some(row + 1) };
                let out =
                    !blocked(Some(row), beside) && !blocked(above, Some(column)) && !blocked(above, beside);
                let (du, dv) = (radius - u.min(cell - u), radius - v.min(cell - v));
                let share = if out && du > 0.0 && dv > 0.0 {
                    (radius - du.hypot(dv) + 0.5).clamp(0.0, 1.0)
                } else {
                    1.0
                };
                self.dab(left + x, top + y, INK_OBSTACLE, share);
            }
        }
    }

    /// The picture at a time in states; a fraction is on the way from one state to the next.
    fn paint(&mut self, time: f32) {
        self.pixels.clone_from(&self.ground);
        let state = (time as usize).min(self.scene.frames.len() - 1);
        let share = time - state as f32;
        let now = &self.scene.frames[state];
        let then = self.scene.frames.get(state + 1).unwrap_or(now);
        let agents = now.agents.len();
        let cell = self.layout.cell;
        for (i, view) in now.agents.iter().enumerate().filter(|(_, view)| view.active) {
            self.path(view, &then.agents[i], share, i % AGENTS.len(), lane(i, agents));
        }
        for (i, view) in now.agents.iter().enumerate() {
            let at = self.layout.centre(view.target.0 as f32, view.target.1 as f32);
            if !view.active {
                self.disc(at, RING * cell, i % AGENTS.len(), DONE_TINT);
            }
            self.ring(at, i % AGENTS.len(), if view.active { 1.0 } else { 0.45 });
        }
        let places: Vec<(f32, f32)> =
            now.agents.iter().zip(&then.agents).map(|(a, b)| self.place(a, b, share)).collect();
        if agents <= MOST_FOR_ATTENTION {
            for (i, reader) in now.agents.iter().enumerate().filter(|(_, view)| view.active) {
                for (j, _) in now.agents.iter().enumerate().filter(|(j, view)| *j != i && view.active) {
                    let weight = |view: &AgentView| view.attention.get(j).copied().unwrap_or(0.0);
                    let weight = weight(reader) * (1.0 - share) + weight(&then.agents[i]) * share;
                    if let Some(strength) = strength(weight, agents) {
                        self.curve(places[i], places[j], i, strength);
                    }
                }
            }
        }
        let radius = (DISC * cell).max(1.5);
        for (i, _) in now.agents.iter().enumerate().filter(|(_, view)| view.active) {
            if cell >= 12.0 {
                self.disc(places[i], radius + 0.05 * cell, INK_PAGE, 1.0);
            }
            self.disc(places[i], radius, i % AGENTS.len(), 1.0);
        }
        self.foot(time, &now.caption);
    }

    /// Where an agent is on its way from one state to the next. One that moves further than to the cell beside jumps.
    fn place(&self, now: &AgentView, then: &AgentView, share: f32) -> (f32, f32) {
        let beside = now.row.abs_diff(then.row) + now.column.abs_diff(then.column) <= 1;
        let share = if beside && now.active { share } else { 0.0 };
        let between = |a: usize, b: usize| a as f32 + (b as f32 - a as f32) * share;
        self.layout.centre(between(now.row, then.row), between(now.column, then.column))
    }

    /// The dots of a planned path, two a cell, from half a cell ahead of the agent to the target's ring.
    fn path(&mut self, now: &AgentView, then: &AgentView, share: f32, ink: usize, lane: f32) {
        let cell = self.layout.cell;
        if cell < 8.0 {
            return;
        }
        let follows = now.path.get(1) == Some(&(then.row, then.column));
        let passed = 0.5 + if follows { share } else { 0.0 };
        let last = now.path.len().saturating_sub(1);
        for (i, pair) in now.path.windows(2).enumerate() {
            let ((r0, c0), (r1, c1)) = (pair[0], pair[1]);
            for half in [0.0, 0.5] {
                let along = i as f32 + half;
                if along < passed || along > last as f32 - 0.4 {
                    continue;
                }
                let between = |a: usize, b: usize| a as f32 + (b as f32 - a as f32) * half + lane;
                let at = self.layout.centre(between(r0, r1), between(c0, c1));
                self.disc(at, (DOT * cell).max(1.0), ink, PATH_TINT);
            }
        }
    }

    /// Paints where `distance` (in pixels, negative inside) says, with soft edges, in the square around `at`.
    fn shape(
        &mut self,
        at: (f32, f32),
        reach: f32,
        ink: usize,
        opacity: f32,
        distance: impl Fn(f32, f32) -> f32,
    ) {
        let (xs, ys) = self.span(at.0 - reach, at.1 - reach, at.0 + reach, at.1 + reach);
        for y in ys {
            for x in xs.clone() {
                let share = (0.5 - distance(x as f32 + 0.5 - at.0, y as f32 + 0.5 - at.1)).clamp(0.0, 1.0);
                if share > 0.0 {
                    self.dab(x, y, ink, share * opacity);
                }
            }
        }
    }

    /// The pixels from one corner to the other, within the picture.
    fn span(&self, x0: f32, y0: f32, x1: f32, y1: f32) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        // From float to usize negative numbers become 0.
        let range = |from: f32, to: f32, side: usize| {
            (from.floor() as usize).min(side)..(to.ceil() as usize + 1).min(side)
        };
        (range(x0, x1, self.layout.width), range(y0, y1, self.layout.height))
    }

    fn disc(&mut self, at: (f32, f32), radius: f32, ink: usize, opacity: f32) {
        self.shape(at, radius + 1.0, ink, opacity, |x, y| x.hypot(y) - radius);
    }

    fn ring(&mut self, at: (f32, f32), ink: usize, opacity: f32) {
        let radius = (RING * self.layout.cell).max(1.5);
        let width = (RING_WIDTH * self.layout.cell).max(1.0);
        self.shape(at, radius + width + 1.0, ink, opacity, |x, y| (x.hypot(y) - radius).abs() - width / 2.0);
    }

    /// A curve in one opacity throughout, though it is made of straight pieces that overlap.
    fn curve(&mut self, from: (f32, f32), to: (f32, f32), ink: usize, opacity: f32) {
        let half = (CURVE_WIDTH * self.layout.cell / 2.0).max(0.5);
        let handle = bend(from, to);
        let point = |t: f32| {
            let mix =
                |a: f32, b: f32, c: f32| a * (1.0 - t) * (1.0 - t) + 2.0 * b * t * (1.0 - t) + c * t * t;
            (mix(from.0, handle.0, to.0), mix(from.1, handle.1, to.1))
        };
        const PIECES: usize = 16;
        for i in 0..PIECES {
            let (a, b) = (point(i as f32 / PIECES as f32), point((i + 1) as f32 / PIECES as f32));
            let (dx, dy) = (b.0 - a.0, b.1 - a.1);
            let length = (dx * dx + dy * dy).max(1e-9);
            let reach = half + 1.0;
            let (xs, ys) = self.span(
                a.0.min(b.0) - reach,
                a.1.min(b.1) - reach,
                a.0.max(b.0) + reach,
                a.1.max(b.1) + reach,
            );
            for y in ys {
                for x in xs.clone() {
                    let (px, py) = (x as f32 + 0.5 - a.0, y as f32 + 0.5 - a.1);
                    let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
                    let share = (half + 0.5 - (px - along * dx).hypot(py - along * dy)).clamp(0.0, 1.0);
                    let at = y * self.layout.width + x;
                    if share > self.cover[at] {
                        if self.cover[at] == 0.0 {
                            self.covered.push(at);
                        }
                        self.cover[at] = share;
                    }
                }
            }
        }
        for at in std::mem::take(&mut self.covered) {
            self.pixels[at] = self.palette.mix(ink, self.cover[at] * opacity, self.pixels[at]);
            self.cover[at] = 0.0;
        }
    }

    /// Progress bar and caption.
    fn foot(&mut self, time: f32, caption: &str) {
        let Layout { left, top, map_width, map_height, width, .. } = self.layout;
        let bar = top + map_height + BAR - BAR_HEIGHT;
        let steps = self.scene.frames.len().saturating_sub(1).max(1);
        let done = (time / steps as f32 * map_width as f32).round() as usize;
        for y in bar..bar + BAR_HEIGHT {
            for x in 0..map_width {
                self.dab(
                    left + x,
                    y,
                    if x < done { INK_TEXT } else { INK_GRID },
                    if x < done { 0.55 } else { 1.0 },
                );
            }
        }
        let margin = left.min(MARGIN);
        let start = if map_width + 2 * MARGIN < width { margin } else { left };
        let dot = self.dot;
        let room = (width - start - margin) / (font::ADVANCE * dot);
        let line = top + map_height + BAR + GAP + (CAPTION - font::HEIGHT * dot) / 2;
        for (i, character) in caption.chars().take(room).enumerate() {
            for (y, bits) in font::rows(character).into_iter().enumerate() {
                for x in (0..5).filter(|x| bits >> (4 - x) & 1 == 1) {
                    for (dx, dy) in (0..dot * dot).map(|i| (i % dot, i / dot)) {
                        let x = start + (i * font::ADVANCE + x) * dot + dx;
                        self.dab(x, line + y * dot + dy, INK_TEXT, 1.0);
                    }
                }
            }
        }
    }
}
