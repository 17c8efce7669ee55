//! Scenes as SVG: shapes once, and for each the list of its positions that SMIL plays. Lengths are in cells, scaled to
//! pixels by one group.

use std::fmt::{Display, Write};
use std::path::Path;

use super::{
    AGENTS, AgentView, BAR, BAR_HEIGHT, CAPTION, CURVE_WIDTH, Colour, DISC, DONE_TINT, DOT, GAP, GRID,
    GROUND, Layout, MARGIN, MOST_FOR_ATTENTION, MOST_FRAMES, OBSTACLE, PAGE, PATH_TINT, RING, RING_WIDTH,
    Scene, TEXT, bend, kept, lane, strength,
};
use crate::error::{Error, Result};
use crate::run::folder::write_atomically;

/// Seconds that a step takes.
const STEP: f32 = 0.25;
/// Steps that the last state stays.
pub(super) const HOLD: usize = 6;
/// Positions of all agents in all states together.
const MOST_POSITIONS: usize = 100_000;
/// Positions of all attention curves together.
const MOST_CURVES: usize = 10_000;
/// Captions; the others are skipped evenly.
const MOST_CAPTIONS: usize = 256;
/// Runs of blocked cells.
const MOST_RUNS: usize = 200_000;

pub(super) fn write(path: &Path, scene: &Scene) -> Result<()> {
    let text = text(scene)?;
    write_atomically(path, |file| std::io::Write::write_all(file, text.as_bytes()))
}

/// The whole file.
fn text(scene: &Scene) -> Result<String> {
    let layout = Layout::of(scene);
    let agents = scene.frames[0].agents.len();
    let states = kept(scene.frames.len(), (MOST_POSITIONS / agents.max(1)).clamp(16, MOST_FRAMES));
    let film = Film { scene, states, agents };
    let Layout { width, height, left, top, map_width, map_height, cell } = layout;
    let mut out = String::new();
    // Nothing here can fail: a String takes all that is written to it.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"{}\"/>\n\
         <g transform=\"translate({left} {top}) scale({cell})\">\n",
        hex(PAGE)
    );
    ground(&mut out, scene, &layout)?;
    if agents <= MOST_FOR_ATTENTION {
        film.paths(&mut out);
    }
    film.targets(&mut out);
    if agents <= MOST_FOR_ATTENTION {
        film.attention(&mut out);
    }
    film.discs(&mut out);
    out.push_str("</g>\n");
    film.foot(&mut out, (left, top + map_height + BAR - BAR_HEIGHT), map_width, width);
    out.push_str("</svg>\n");
    Ok(out)
}

pub(in crate::run) fn hex(colour: Colour) -> String {
    format!("#{:02x}{:02x}{:02x}", colour[0], colour[1], colour[2])
}

/// Free cells, the grid and the obstacles, which do not move.
fn ground(out: &mut String, scene: &Scene, layout: &Layout) -> Result<()> {
    let (width, height) = (scene.width, scene.height);
    let _ = writeln!(out, "<rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>", hex(GROUND));
    if layout.cell >= 8.0 {
        let mut lines = String::new();
        for x in 1..width {
            let _ = write!(lines, "M{x} 0v{height}");
        }
        for y in 1..height {
            let _ = write!(lines, "M0 {y}h{width}");
        }
        let thin = 1.0 / layout.cell;
        let _ = writeln!(out, "<path d=\"{lines}\" stroke=\"{}\" stroke-width=\"{thin:.3}\"/>", hex(GRID));
    }
    let mut runs = String::new();
    let mut count = 0;
    for (y, row) in scene.obstacles.chunks_exact(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run[0] {
                count += 1;
                let _ = write!(runs, "M{x} {y}h{0}v1h-{0}z", run.len());
            }
            x += run.len();
        }
        if count > MOST_RUNS {
            return Err(Error::Usage(format!(
                "a picture of {height} x {width} cells has too many obstacles for SVG; write a GIF instead"
            )));
        }
    }
    if count > 0 {
        // The stroke closes the hairlines between rows and rounds the corners.
        let _ = writeln!(
            out,
            "<path d=\"{runs}\" fill=\"{0}\" stroke=\"{0}\" stroke-width=\"0.06\" stroke-linejoin=\"round\"/>",
            hex(OBSTACLE)
        );
    }
    Ok(())
}

/// A scene with the states of it that are shown.
struct Film<'a> {
    scene: &'a Scene,
    states: Vec<usize>,
    agents: usize,
}

impl Film<'_> {
    fn view(&self, state: usize, agent: usize) -> &AgentView {
        &self.scene.frames[state].agents[agent]
    }

    /// Steps from the first state to the end of the last, which stays for a while.
    fn steps(&self) -> usize {
        self.states.len() - 1 + HOLD
    }

    fn timing(&self) -> String {
        format!("dur=\"{}s\" repeatCount=\"indefinite\"", self.steps() as f32 * STEP)
    }

    /// An attribute that runs evenly through one value for each state.
    fn run<T: Display + PartialEq>(&self, out: &mut String, attribute: &str, values: &[T]) {
        let Some(last) = values.last().filter(|last| values.iter().any(|value| value != *last)) else {
            return; // it never changes
        };
        let _ = write!(out, "<animate attributeName=\"{attribute}\" {} values=\"", self.timing());
        for value in values {
            let _ = write!(out, "{value};");
        }
        for _ in 1..HOLD {
            let _ = write!(out, "{last};");
        }
        let _ = write!(out, "{last}\"/>");
    }

    /// An attribute that jumps; of equal values in a row only the first is written.
    fn jump<T: Display + PartialEq>(&self, out: &mut String, attribute: &str, values: &[T]) {
        let mut last = None;
        let (mut list, mut times) = (String::new(), String::new());
        let mut count = 0;
        for (i, value) in values.iter().enumerate() {
            if last != Some(value) {
                let separator = if count > 0 { ";" } else { "" };
                let _ = write!(list, "{separator}{value}");
                let _ = write!(times, "{separator}{}", short(i as f32 / self.steps() as f32));
                last = Some(value);
                count += 1;
            }
        }
        if count > 1 {
            let _ = write!(
                out,
                "<animate attributeName=\"{attribute}\" {} calcMode=\"discrete\" values=\"{list}\" keyTimes=\"{times}\"/>",
                self.timing()
            );
        }
    }

    /// What each shown state says of an agent.
    fn each<T>(&self, agent: usize, value: impl Fn(&AgentView) -> T) -> Vec<T> {
        self.states.iter().map(|&state| value(self.view(state, agent))).collect()
    }

    /// The paths of the first state, dotted, until their agents vanish.
    fn paths(&self, out: &mut String) {
        for agent in 0..self.agents {
            let view = self.view(self.states[0], agent);
            if view.path.len() < 2 || !view.active {
                continue;
            }
            let aside = 0.5 + lane(agent, self.agents);
            let mut line = String::new();
            for (i, (row, column)) in view.path.iter().enumerate() {
                let letter = if i == 0 { 'M' } else { 'L' };
                let _ =
                    write!(line, "{letter}{} {}", short(*column as f32 + aside), short(*row as f32 + aside));
            }
            let _ = write!(
                out,
                "<path d=\"{line}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linecap=\"round\" \
                 stroke-dasharray=\"0 0.5\" opacity=\"{PATH_TINT}\">",
                colour(agent),
                2.0 * DOT
            );
            let shown = |view: &AgentView| if view.active { PATH_TINT } else { 0.0 };
            self.jump(out, "opacity", &self.each(agent, shown));
            out.push_str("</path>\n");
        }
    }

    /// A ring at each target, filled once its agent is no longer active.
    fn targets(&self, out: &mut String) {
        for agent in 0..self.agents {
            let xs = self.each(agent, |view| view.target.1 as f32 + 0.5);
            let ys = self.each(agent, |view| view.target.0 as f32 + 0.5);
            let fill = self.each(agent, |view| if view.active { 0.0 } else { DONE_TINT });
            let stroke = self.each(agent, |view| if view.active { 1.0 } else { 0.45 });
            let _ = write!(
                out,
                "<circle cx=\"{}\" cy=\"{}\" r=\"{RING}\" fill=\"{2}\" stroke=\"{2}\" stroke-width=\"{RING_WIDTH}\" \
                 fill-opacity=\"{3}\" stroke-opacity=\"{4}\">",
                xs[0],
                ys[0],
                colour(agent),
                fill[0],
                stroke[0]
            );
            self.jump(out, "cx", &xs);
            self.jump(out, "cy", &ys);
            self.jump(out, "fill-opacity", &fill);
            self.jump(out, "stroke-opacity", &stroke);
            out.push_str("</circle>\n");
        }
    }

    /// A curve for each pair of agents of which one ever reads the other.
    fn attention(&self, out: &mut String) {
        let mut pairs = Vec::new();
        for (reader, read) in (0..self.agents).flat_map(|i| (0..self.agents).map(move |j| (i, j))) {
            let weight = |state: usize| {
                let view = self.view(state, reader);
                let both = view.active && self.view(state, read).active;
                let weight = view.attention.get(read).copied().filter(|_| both);
                weight.and_then(|weight| strength(weight, self.agents)).unwrap_or(0.0)
            };
            let strengths: Vec<f32> = self.states.iter().map(|&state| weight(state)).collect();
            let sum: f32 = strengths.iter().sum();
            if reader != read && sum > 0.0 {
                pairs.push((sum, reader, read, strengths));
            }
        }
        // The sort is stable, so that equal sums stay in the order of the agents.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        pairs.truncate(MOST_CURVES / self.states.len());
        for (_, reader, read, strengths) in pairs {
            let curves: Vec<String> =
                self.states.iter().map(|&state| self.curve(state, reader, read)).collect();
            let opacities: Vec<String> = strengths.iter().map(|strength| short(*strength)).collect();
            let _ = write!(
                out,
                "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{CURVE_WIDTH}\" stroke-linecap=\"round\" \
                 stroke-opacity=\"{}\">",
                curves[0],
                colour(reader),
                opacities[0]
            );
            self.run(out, "d", &curves);
            self.run(out, "stroke-opacity", &opacities);
            out.push_str("</path>\n");
        }
    }

    fn curve(&self, state: usize, reader: usize, read: usize) -> String {
        let place = |agent: usize| {
            let view = self.view(state, agent);
            (view.column as f32 + 0.5, view.row as f32 + 0.5)
        };
        let (from, to) = (place(reader), place(read));
        let handle = bend(from, to);
        format!("M{} {}Q{} {} {} {}", from.0, from.1, short(handle.0), short(handle.1), to.0, to.1)
    }

    fn discs(&self, out: &mut String) {
        let halo = if Layout::of(self.scene).cell >= 12.0 {
            format!(" stroke=\"{}\" stroke-width=\"0.1\" paint-order=\"stroke\"", hex(PAGE))
        } else {
            String::new()
        };
        for agent in 0..self.agents {
            let xs = self.each(agent, |view| view.column as f32 + 0.5);
            let ys = self.each(agent, |view| view.row as f32 + 0.5);
            let shown = self.each(agent, |view| if view.active { 1 } else { 0 });
            let _ = write!(
                out,
                "<circle class=\"agent\" cx=\"{}\" cy=\"{}\" r=\"{DISC}\" fill=\"{}\" opacity=\"{}\"{halo}>",
                xs[0],
                ys[0],
                colour(agent),
                shown[0]
            );
            self.run(out, "cx", &xs);
            self.run(out, "cy", &ys);
            self.jump(out, "opacity", &shown);
            out.push_str("</circle>\n");
        }
    }

    /// The progress bar and the captions, of which one is shown at a time.
    fn foot(&self, out: &mut String, (x, y): (usize, usize), length: usize, width: usize) {
        let _ = write!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{length}\" height=\"{BAR_HEIGHT}\" rx=\"1.5\" fill=\"{}\"/>\n\
             <rect x=\"{x}\" y=\"{y}\" width=\"0\" height=\"{BAR_HEIGHT}\" rx=\"1.5\" fill=\"{}\" opacity=\"0.55\">",
            hex(GRID),
            hex(TEXT)
        );
        let steps = (self.states.len() - 1).max(1) as f32;
        let done: Vec<String> =
            (0..self.states.len()).map(|i| short(i as f32 / steps * length as f32)).collect();
        self.run(out, "width", &done);
        out.push_str("</rect>\n");

        let shown = kept(self.states.len(), MOST_CAPTIONS);
        let caption = |i: usize| self.scene.frames[self.states[shown[i]]].caption.as_str();
        let longest = (0..shown.len()).map(|i| caption(i).chars().count()).max().unwrap_or(0);
        let left = if length + 2 * MARGIN < width { MARGIN.min(x) } else { x };
        // A letter of this font is 0.6 of its size wide.
        let size = ((width - left - MARGIN) as f32 / (longest.max(1) as f32 * 0.61)).clamp(6.0, 15.0);
        let base = y + BAR_HEIGHT + GAP + CAPTION - 2;
        let _ = writeln!(
            out,
            "<g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,monospace\" font-size=\"{}\" fill=\"{}\">",
            short(size),
            hex(TEXT)
        );
        let mut i = 0;
        while i < shown.len() {
            // Equal captions in a row are one text.
            let end = (i..shown.len()).find(|&j| caption(j) != caption(i)).unwrap_or(shown.len());
            let visible: Vec<u8> = (0..self.states.len())
                .map(|state| (state >= shown[i] && shown.get(end).is_none_or(|next| state < *next)) as u8)
                .collect();
            let _ = write!(out, "<text x=\"{left}\" y=\"{base}\" opacity=\"{}\">", visible[0]);
            self.jump(out, "opacity", &visible);
            let _ = writeln!(out, "{}</text>", escaped(caption(i)));
            i = end;
        }
        out.push_str("</g>\n");
    }
}

fn colour(agent: usize) -> String {
    hex(AGENTS[agent % AGENTS.len()])
}

/// A number with no more digits than a picture needs.
pub(in crate::run) fn short(value: f32) -> String {
    let text = format!("{value:.4}");
    // Four places tell even 1000 states apart on the time line.
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// A caption as text of XML, which has no place for control characters.
pub(in crate::run) fn escaped(caption: &str) -> String {
    let mut text = String::with_capacity(caption.len());
    for character in caption.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => text.push(' '),
            other => text.push(other),
        }
    }
    text
}
