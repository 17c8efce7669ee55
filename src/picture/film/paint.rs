//! Pixels: states of a film painted over a palette that all pictures share.

use std::collections::HashMap;

use super::track::{Key, between, glides, keyed};
use super::{
    AGENTS, BAR, BAR_HEIGHT, CAPTION, CURVE_WIDTH, Colour, DOT, Film, Frame, GAP, GRID, GROUND, HALO, Layout,
    OBSTACLE, THING, colour, font,
};
use crate::env::drawing::{LINE, Mark, Role, Shape};
use crate::picture::PAGE;

/// The palette's place for "as before". No pixel of a whole picture has it.
pub(super) const CLEAR: u8 = 255;
/// Steps from the ground to an agent's full colour.
const SHADES: usize = 14;
/// Steps from the page to the obstacles' colour.
const GREYS: usize = 25;
/// Steps of opacity.
const OPACITIES: usize = 32;

/// What is painted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink(usize);

/// The colours of all inks: those of agents, then these.
const OTHERS: [Colour; 5] = [PAGE, GRID, OBSTACLE, THING, GROUND];
const INKS: usize = AGENTS.len() + OTHERS.len();

impl Ink {
    pub const PAGE: Ink = Ink(AGENTS.len());
    pub const GRID: Ink = Ink(AGENTS.len() + 1);
    pub const TEXT: Ink = Ink(AGENTS.len() + 2);

    pub fn of(role: Role) -> Ink {
        let tone = colour(role);
        let same = |inks: &[Colour]| inks.iter().position(|ink| *ink == tone);
        match role {
            Role::Agent(agent) => Ink(agent % AGENTS.len()),
            _ => Ink(same(&AGENTS).or_else(|| Some(AGENTS.len() + same(&OTHERS)?)).unwrap_or(Ink::TEXT.0)),
        }
    }
}

/// 255 colours and what comes of painting an ink over each of them.
pub(super) struct Palette {
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
        inks[AGENTS.len()..].copy_from_slice(&OTHERS);
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
    pub fn bytes(&self) -> Vec<u8> {
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
    fn mix(&mut self, Ink(ink): Ink, opacity: f32, under: u8) -> u8 {
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

pub(super) struct Painter<'a> {
    film: &'a Film,
    pub layout: Layout,
    pub palette: Palette,
    /// The ground without anything that moves.
    ground: Vec<u8>,
    /// The picture, `[height, width]`.
    pub pixels: Vec<u8>,
    /// How much of each pixel the present line covers, all 0 between lines; and where it is not 0.
    cover: Vec<f32>,
    covered: Vec<usize>,
    /// Pixels a dot of a caption takes.
    dot: usize,
}

impl<'a> Painter<'a> {
    pub fn new(film: &'a Film) -> Painter<'a> {
        let layout = Layout::of(film);
        let palette = Palette::new();
        let (page, free) = (palette.nearest(PAGE), palette.nearest(GROUND));
        let mut pixels = vec![page; layout.width * layout.height];
        for y in 0..layout.map_height {
            let start = (layout.top + y) * layout.width + layout.left;
            pixels[start..start + layout.map_width].fill(free);
        }
        let longest = film.frames.iter().map(|frame| frame.caption.chars().count()).max().unwrap_or(0);
        let dot = if 2 * font::ADVANCE * longest <= layout.caption().1 { 2 } else { 1 };
        let cover = vec![0.0; pixels.len()];
        let covered = Vec::new();
        let mut painter = Painter { film, layout, palette, ground: Vec::new(), pixels, cover, covered, dot };
        painter.map();
        painter.ground = painter.pixels.clone();
        painter
    }

    fn dab(&mut self, x: usize, y: usize, ink: Ink, opacity: f32) {
        let at = y * self.layout.width + x;
        self.pixels[at] = self.palette.mix(ink, opacity, self.pixels[at]);
    }

    /// Grid and obstacles.
    fn map(&mut self) {
        let film = self.film;
        let Some(cells) = film.cells() else { return };
        let Layout { cell, low, left, top, map_width, map_height, .. } = self.layout;
        let (width, height) = (cells.columns, cells.rows);
        let ink = Ink::of(cells.role);
        let blocked = |row: Option<usize>, column: Option<usize>| match (row, column) {
            (Some(row), Some(column)) if row < height && column < width => {
                cells.blocked[row * width + column]
            }
            _ => false,
        };
        let radius = if cell >= 8.0 { 0.16 * cell } else { 0.0 };
        for y in 0..map_height {
            let down = (y as f32 + 0.5) / cell + low[1];
            for x in 0..map_width {
                let along = (x as f32 + 0.5) / cell + low[0];
                if down < 0.0 || along < 0.0 {
                    continue;
                }
                let (row, column) = (down as usize, along as usize);
                if row >= height || column >= width {
                    continue;
                }
                let (u, v) = ((along - column as f32) * cell, (down - row as f32) * cell);
                let line = (column > 0 && u < 1.0) || (row > 0 && v < 1.0);
                if cell >= 8.0 && line {
                    self.dab(left + x, top + y, Ink::GRID, 1.0);
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
                self.dab(left + x, top + y, ink, share);
            }
        }
    }

    /// The picture at a time in states; a fraction is on the way from one state to the next.
    pub fn paint(&mut self, time: f32) {
        self.pixels.clone_from(&self.ground);
        let film = self.film;
        let state = (time as usize).min(film.frames.len() - 1);
        let share = time - state as f32;
        let now = &film.frames[state];
        let then = film.frames.get(state + 1).unwrap_or(now);
        let next: HashMap<Key, &Mark> = match share > 0.0 {
            true => keyed(&then.drawing).into_iter().collect(),
            false => HashMap::new(),
        };
        let mut below = true;
        for (key, mark) in keyed(&now.drawing) {
            if below && key.is_above_curves() {
                self.attention(now, then, share);
                below = false;
            }
            let then = next.get(&key).filter(|then| glides(&mark.shape, &then.shape, film.reach(1)));
            let shape =
                then.map_or_else(|| mark.shape.clone(), |then| between(&mark.shape, &then.shape, share));
            let follows = match (&mark.shape, then.map(|then| &then.shape)) {
                // It goes on along the way that it is on.
                (Shape::Way { points }, Some(Shape::Way { points: on })) => points.get(1) == on.first(),
                _ => false,
            };
            self.mark(&shape, mark.role, mark.opacity, if follows { share } else { 0.0 });
        }
        self.foot(time, &now.caption);
    }

    /// `passed` is the part of a way's first piece that is behind.
    fn mark(&mut self, shape: &Shape, role: Role, opacity: f32, passed: f32) {
        let cell = self.layout.cell;
        let ink = Ink::of(role);
        match shape {
            Shape::Box { at, size } => {
                let [x, y] = self.layout.pixel(*at);
                let half = [size[0] * cell / 2.0, size[1] * cell / 2.0];
                let middle = [x + half[0], y + half[1]];
                let reach = [half[0] + 1.0, half[1] + 1.0];
                self.shape(middle, reach, ink, opacity, |x, y| (x.abs() - half[0]).max(y.abs() - half[1]));
            }
            Shape::Line { from, to, width } => {
                let ends = [self.layout.pixel(*from), self.layout.pixel(*to)];
                self.pieces(&ends, (width * cell / 2.0).max(0.5), ink, opacity);
            }
            Shape::Way { points } => self.way(points, passed, ink, opacity),
            Shape::Ring { at, radius, fill } => {
                let at = self.layout.pixel(*at);
                let radius = (radius * cell).max(1.5);
                if *fill > 0.0 {
                    self.disc(at, radius, ink, fill * opacity);
                }
                let width = (LINE * cell).max(1.0);
                let reach = radius + width + 1.0;
                let ring = |x: f32, y: f32| (x.hypot(y) - radius).abs() - width / 2.0;
                self.shape(at, [reach; 2], ink, opacity, ring);
            }
            Shape::Disc { at, radius } => {
                let at = self.layout.pixel(*at);
                let radius = (radius * cell).max(1.5);
                if cell >= 12.0 && matches!(role, Role::Agent(_)) {
                    self.disc(at, radius + HALO * cell, Ink::PAGE, 1.0);
                }
                self.disc(at, radius, ink, opacity);
            }
            Shape::Label { at, size, text } => self.label(*at, *size, text, ink, opacity),
        }
    }

    /// The dots of a way, two a cell, from half a cell ahead to the ring at its end.
    fn way(&mut self, points: &[[f32; 2]], passed: f32, ink: Ink, opacity: f32) {
        let cell = self.layout.cell;
        if cell < 8.0 {
            return;
        }
        let last = points.len().saturating_sub(1);
        for (i, pair) in points.windows(2).enumerate() {
            for half in [0.0, 0.5] {
                let along = i as f32 + half;
                if along < 0.5 + passed || along > last as f32 - 0.4 {
                    continue;
                }
                let at = [0, 1].map(|axis| pair[0][axis] + (pair[1][axis] - pair[0][axis]) * half);
                self.disc(self.layout.pixel(at), (DOT * cell).max(1.0), ink, opacity);
            }
        }
    }

    /// The strongest curves of both states, on the way from one to the other.
    fn attention(&mut self, now: &Frame, then: &Frame, share: f32) {
        let film = self.film;
        let mut curves: Vec<_> = film.strongest(now);
        curves.iter_mut().for_each(|curve| curve.strength *= 1.0 - share);
        for other in if share > 0.0 { film.strongest(then) } else { Vec::new() } {
            let same = curves.iter_mut().find(|c| (c.reader, c.read) == (other.reader, other.read));
            match same {
                Some(curve) => curve.strength += share * other.strength,
                // One that begins appears between where the two are now.
                None => curves.push(super::Curve { strength: share * other.strength, ..other }),
            }
        }
        let place = |agent: usize| -> Option<[f32; 2]> {
            let from = now.drawing.place(agent)?;
            let to = then.drawing.place(agent).unwrap_or(from);
            let near = (from[0] - to[0]).hypot(from[1] - to[1]) <= film.reach(1);
            Some(
                [0, 1]
                    .map(|axis| if near { from[axis] + (to[axis] - from[axis]) * share } else { from[axis] }),
            )
        };
        for curve in curves {
            if let (Some(from), Some(to)) = (place(curve.reader), place(curve.read)) {
                let handle = self.layout.bend(from, to);
                let [from, handle, to] = [from, handle, to].map(|at| self.layout.pixel(at));
                self.curve([from, handle, to], Ink::of(Role::Agent(curve.reader)), curve.strength);
            }
        }
    }

    /// Paints where `distance` (in pixels, negative inside) says, with soft edges, in the rectangle around `at`.
    fn shape(
        &mut self,
        at: [f32; 2],
        reach: [f32; 2],
        ink: Ink,
        opacity: f32,
        distance: impl Fn(f32, f32) -> f32,
    ) {
        let (xs, ys) = self.span(at[0] - reach[0], at[1] - reach[1], at[0] + reach[0], at[1] + reach[1]);
        for y in ys {
            for x in xs.clone() {
                let share = (0.5 - distance(x as f32 + 0.5 - at[0], y as f32 + 0.5 - at[1])).clamp(0.0, 1.0);
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

    fn disc(&mut self, at: [f32; 2], radius: f32, ink: Ink, opacity: f32) {
        self.shape(at, [radius + 1.0; 2], ink, opacity, |x, y| x.hypot(y) - radius);
    }

    fn curve(&mut self, [from, handle, to]: [[f32; 2]; 3], ink: Ink, opacity: f32) {
        const PIECES: usize = 16;
        let point = |i: usize| {
            let t = i as f32 / PIECES as f32;
            let mix =
                |a: f32, b: f32, c: f32| a * (1.0 - t) * (1.0 - t) + 2.0 * b * t * (1.0 - t) + c * t * t;
            [0, 1].map(|axis| mix(from[axis], handle[axis], to[axis]))
        };
        let points: Vec<[f32; 2]> = (0..=PIECES).map(point).collect();
        self.pieces(&points, (CURVE_WIDTH * self.layout.cell / 2.0).max(0.5), ink, opacity);
    }

    /// A line in one opacity throughout, though it is made of straight pieces that overlap.
    fn pieces(&mut self, points: &[[f32; 2]], half: f32, ink: Ink, opacity: f32) {
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
            let length = (dx * dx + dy * dy).max(1e-9);
            let reach = half + 1.0;
            let (xs, ys) = self.span(
                a[0].min(b[0]) - reach,
                a[1].min(b[1]) - reach,
                a[0].max(b[0]) + reach,
                a[1].max(b[1]) + reach,
            );
            for y in ys {
                for x in xs.clone() {
                    let (px, py) = (x as f32 + 0.5 - a[0], y as f32 + 0.5 - a[1]);
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

    /// Words about their middle, in the largest letters that are not higher than they should be.
    fn label(&mut self, at: [f32; 2], size: f32, text: &str, ink: Ink, opacity: f32) {
        // Capitals have .72 of a letter's height.
        let dot = ((0.72 * size * self.layout.cell / font::HEIGHT as f32).round() as usize).clamp(1, 64);
        let count = text.chars().count();
        let [x, y] = self.layout.pixel(at);
        let left = x - (count * font::ADVANCE * dot).saturating_sub(dot) as f32 / 2.0;
        let top = y - (font::HEIGHT * dot) as f32 / 2.0;
        self.letters([left.round() as isize, top.round() as isize], dot, text, ink, opacity);
    }

    /// Words from their upper left corner; what is outside of the picture is left out.
    fn letters(&mut self, [left, top]: [isize; 2], dot: usize, text: &str, ink: Ink, opacity: f32) {
        let (width, height) = (self.layout.width, self.layout.height);
        for (i, character) in text.chars().enumerate() {
            let left = left + (i * font::ADVANCE * dot) as isize;
            if left >= width as isize {
                break;
            }
            for (row, bits) in font::rows(character).into_iter().enumerate() {
                for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                    for (dx, dy) in (0..dot * dot).map(|i| (i % dot, i / dot)) {
                        let x = usize::try_from(left + (column * dot + dx) as isize);
                        let y = usize::try_from(top + (row * dot + dy) as isize);
                        if let (Ok(x), Ok(y)) = (x, y)
                            && x < width
                            && y < height
                        {
                            self.dab(x, y, ink, opacity);
                        }
                    }
                }
            }
        }
    }

    /// Progress bar and caption.
    fn foot(&mut self, time: f32, caption: &str) {
        let Layout { left, top, map_width, map_height, .. } = self.layout;
        let bar = top + map_height + BAR - BAR_HEIGHT;
        let steps = self.film.frames.len().saturating_sub(1).max(1);
        let done = (time / steps as f32 * map_width as f32).round() as usize;
        for y in bar..bar + BAR_HEIGHT {
            for x in 0..map_width {
                let (ink, opacity) = if x < done { (Ink::TEXT, 0.55) } else { (Ink::GRID, 1.0) };
                self.dab(left + x, y, ink, opacity);
            }
        }
        let (start, room) = self.layout.caption();
        let line = top + map_height + BAR + GAP + (CAPTION - font::HEIGHT * self.dot) / 2;
        let shown: String = caption.chars().take(room / (font::ADVANCE * self.dot)).collect();
        self.letters([start as isize, line as isize], self.dot, &shown, Ink::TEXT, 1.0);
    }
}
