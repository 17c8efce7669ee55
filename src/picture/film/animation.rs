//! Films as SVG: shapes once, and for each the list of its places that SMIL plays. Lengths are in cells, scaled to pixels
//! by one group; words are outside of it.

use super::track::{Layer, Track, glides, tracks};
use super::{
    BAR, BAR_HEIGHT, CAPTION, CURVE_WIDTH, Curve, DOT, Film, GAP, GRID, GROUND, HALO, Layout, MOST_FRAMES,
    TEXT, colour,
};
use crate::env::drawing::{LINE, Mark, Role, Shape};
use crate::error::{Error, Result};
use crate::picture::svg::{Element, Path, Svg, short};
use crate::picture::{PAGE, kept};

/// Seconds that a step takes.
const STEP: f32 = 0.25;
/// Steps that the last state stays.
pub(super) const HOLD: usize = 6;
/// Places of all things in all states together.
const MOST_PLACES: usize = 200_000;
/// Places of all attention curves together.
const MOST_CURVES: usize = 20_000;
/// Captions, and texts of labels; the others are skipped evenly.
const MOST_CAPTIONS: usize = 256;
const MOST_LABELS: usize = 4096;
/// Ways are drawn of so many things, and so many of them.
const MOST_ON_WAYS: usize = 16;
const MOST_WAYS: usize = 1024;
/// Runs of blocked cells.
const MOST_RUNS: usize = 200_000;
/// When on the way to the next state a jump is made, where others of the same thing glide.
const JUMP: f32 = 0.9;

/// The whole file.
pub(super) fn text(film: &Film) -> Result<String> {
    let layout = Layout::of(film);
    let most = film.frames.iter().map(|frame| frame.drawing.marks.len()).max().unwrap_or(0);
    let states = kept(film.frames.len(), (MOST_PLACES / most.max(1)).clamp(16, MOST_FRAMES));
    let reel = Reel { film, layout, states };
    let tracks = tracks(reel.states.iter().map(|state| &film.frames[*state].drawing));
    let Layout { width, height, left, top, cell, low, .. } = layout;
    let mut svg = Svg::default();
    let place = |by: f32| {
        let [x, y] = [left as f32 - low[0] * by, top as f32 - low[1] * by];
        format!("translate({} {}) scale({})", short(x), short(y), short(by))
    };
    let mut grounded = Ok(());
    svg.element("g").set("transform", &place(cell)).holding(|svg| {
        grounded = reel.ground(svg);
        let (below, above): (Vec<&Track>, Vec<&Track>) =
            tracks.iter().filter(|track| track.layer != Layer::Labels).partition(|t| t.layer < Layer::Agents);
        let ways = below.iter().filter(|track| track.layer == Layer::Ways).count();
        let mut room = MOST_WAYS;
        for track in below {
            match track.layer {
                Layer::Ways if ways > MOST_ON_WAYS => {}
                Layer::Ways => reel.ways(svg, track, &mut room),
                _ => reel.thing(svg, track),
            }
        }
        reel.attention(svg);
        above.iter().for_each(|track| reel.thing(svg, track));
    });
    grounded?;
    let labels: Vec<&Track> = tracks.iter().filter(|track| track.layer == Layer::Labels).collect();
    for track in &labels {
        reel.label(&mut svg, track, labels.len());
    }
    reel.foot(&mut svg);
    Ok(svg.finish([width as f32, height as f32]))
}

/// A film with the states of it that are shown.
struct Reel<'a> {
    film: &'a Film,
    layout: Layout,
    states: Vec<usize>,
}

impl Reel<'_> {
    /// Steps from the first state to the end of the last, which stays for a while.
    fn steps(&self) -> usize {
        self.states.len() - 1 + HOLD
    }

    fn begin<'s>(&self, svg: &'s mut Svg, attribute: &str) -> Element<'s> {
        // A transform has an element of its own.
        let animation = match attribute {
            "transform" => {
                svg.element("animateTransform").set("attributeName", attribute).set("type", "translate")
            }
            _ => svg.element("animate").set("attributeName", attribute),
        };
        let duration = format!("{}s", self.steps() as f32 * STEP);
        animation.set("dur", &duration).set("repeatCount", "indefinite")
    }

    /// An attribute through its values, one a state. From state `i` to the next it moves evenly where `glides(i)`, and
    /// jumps elsewhere.
    fn animate(&self, svg: &mut Svg, attribute: &str, values: &[String], glides: impl Fn(usize) -> bool) {
        let Some(last) = values.last() else { return };
        let changes: Vec<usize> = (0..values.len() - 1).filter(|i| values[*i] != values[i + 1]).collect();
        if changes.is_empty() {
            return;
        }
        let time = |states: f32| short(states / self.steps() as f32);
        if changes.iter().all(|i| glides(*i)) {
            let held = std::iter::repeat_n(last, HOLD);
            let all: Vec<&str> = values.iter().chain(held).map(String::as_str).collect();
            self.begin(svg, attribute).set("values", &all.join(";")).end();
            return;
        }
        if !changes.iter().any(|i| glides(*i)) {
            // Of equal values in a row only the first is written.
            let first: Vec<usize> = [0].into_iter().chain(changes.iter().map(|i| i + 1)).collect();
            let list: Vec<&str> = first.iter().map(|i| values[*i].as_str()).collect();
            let times: Vec<String> = first.iter().map(|i| time(*i as f32)).collect();
            let jumps = self.begin(svg, attribute).set("calcMode", "discrete").set("values", &list.join(";"));
            jumps.set("keyTimes", &times.join(";")).end();
            return;
        }
        let (mut list, mut times) = (vec![values[0].as_str()], vec![time(0.0)]);
        let mut add = |value, at: f32| {
            list.push(value);
            times.push(time(at));
        };
        let mut written = 0;
        for i in changes {
            // It rests until here.
            if i > written {
                add(values[i].as_str(), i as f32);
            }
            if !glides(i) {
                add(values[i].as_str(), i as f32 + JUMP);
            }
            add(values[i + 1].as_str(), i as f32 + 1.0);
            written = i + 1;
        }
        add(last, self.steps() as f32);
        self.begin(svg, attribute).set("values", &list.join(";")).set("keyTimes", &times.join(";")).end();
    }

    /// An attribute that jumps.
    fn jump(&self, svg: &mut Svg, attribute: &str, values: &[String]) {
        self.animate(svg, attribute, values, |_| false);
    }

    /// Free cells, the grid and the obstacles, which do not move.
    fn ground(&self, svg: &mut Svg) -> Result<()> {
        let Layout { low, high, cell, .. } = self.layout;
        svg.rect(low, [high[0] - low[0], high[1] - low[1]], GROUND);
        let Some(cells) = self.film.cells() else { return Ok(()) };
        let (width, height) = (cells.columns, cells.rows);
        if cell >= 8.0 {
            let mut lines = Path::default();
            for x in 1..width {
                lines = lines.jump([x as f32, 0.0]).to([x as f32, height as f32]);
            }
            for y in 1..height {
                lines = lines.jump([0.0, y as f32]).to([width as f32, y as f32]);
            }
            svg.element("path").set("d", &lines).stroke(GRID, 1.0 / cell).end();
        }
        let mut runs = Path::default();
        let mut count = 0;
        for (y, row) in cells.blocked.chunks_exact(width).enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                if run[0] {
                    count += 1;
                    runs = runs.rectangle([x as f32, y as f32], [run.len() as f32, 1.0]);
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
            let obstacles = svg.element("path").set("d", &runs).set("fill", colour(cells.role));
            obstacles.stroke(colour(cells.role), 0.06).set("stroke-linejoin", "round").end();
        }
        Ok(())
    }

    /// The marks of a track in every shown state, where it is absent the one before or the first; and whether it is
    /// there.
    fn dense<'t>(&self, track: &Track<'t>) -> (Vec<&'t Mark>, Vec<bool>) {
        let mut marks = track.marks.iter().peekable();
        let mut now = track.marks[0].1;
        let each = |state: usize| {
            let here = marks.next_if(|(at, _)| *at == state);
            now = here.map_or(now, |(_, mark)| *mark);
            (now, here.is_some())
        };
        (0..self.states.len()).map(each).unzip()
    }

    /// Anything but words and ways.
    fn thing(&self, svg: &mut Svg, track: &Track) {
        let (marks, here) = self.dense(track);
        let glide = |i: usize| {
            let reach = self.film.reach(self.states[i + 1] - self.states[i]);
            here[i] && here[i + 1] && glides(&marks[i].shape, &marks[i + 1].shape, reach)
        };
        let of = |shape: &Shape| -> Vec<(&'static str, f32)> {
            match shape {
                Shape::Box { at, size } => {
                    vec![("x", at[0]), ("y", at[1]), ("width", size[0]), ("height", size[1])]
                }
                Shape::Line { from, to, .. } => {
                    vec![("x1", from[0]), ("y1", from[1]), ("x2", to[0]), ("y2", to[1])]
                }
                Shape::Ring { at, radius, .. } | Shape::Disc { at, radius } => {
                    vec![("cx", at[0]), ("cy", at[1]), ("r", *radius)]
                }
                Shape::Way { .. } | Shape::Label { .. } => Vec::new(),
            }
        };
        let numbers: Vec<Vec<(&str, f32)>> = marks.iter().map(|mark| of(&mark.shape)).collect();
        let tone = colour(marks[0].role);
        let agent = matches!(marks[0].role, Role::Agent(_));
        let element = match &marks[0].shape {
            Shape::Box { .. } => svg.element("rect").set("fill", tone).set("rx", 0.06f32),
            Shape::Line { width, .. } => {
                svg.element("line").stroke(tone, *width).set("stroke-linecap", "round")
            }
            Shape::Ring { fill, .. } => {
                svg.element("circle").set("fill", tone).set("fill-opacity", *fill).stroke(tone, LINE)
            }
            Shape::Disc { .. } if agent => {
                let disc = svg.element("circle").set("class", "agent").set("fill", tone);
                match self.layout.cell >= 12.0 {
                    true => disc.stroke(PAGE, 2.0 * HALO).set("paint-order", "stroke"),
                    false => disc,
                }
            }
            _ => svg.element("circle").set("fill", tone),
        };
        let element = numbers[0].iter().fold(element, |element, (name, value)| element.set(name, *value));
        let opacity: Vec<String> = marks
            .iter()
            .zip(&here)
            .map(|(mark, here)| short(if *here { mark.opacity } else { 0.0 }))
            .collect();
        let element = if opacity[0] == "1" { element } else { element.set("opacity", &opacity[0]) };
        element.holding(|svg| {
            for (i, (name, _)) in numbers[0].iter().enumerate() {
                let values: Vec<String> = numbers.iter().map(|of| short(of[i].1)).collect();
                self.animate(svg, name, &values, glide);
            }
            if let Shape::Ring { .. } = marks[0].shape {
                let fill = |mark: &&Mark| match mark.shape {
                    Shape::Ring { fill, .. } => short(fill),
                    _ => short(0.0),
                };
                self.jump(svg, "fill-opacity", &marks.iter().map(fill).collect::<Vec<_>>());
            }
            self.jump(svg, "opacity", &opacity);
        });
    }

    /// Ways, dotted, each from where it is first seen until it leads elsewhere.
    fn ways(&self, svg: &mut Svg, track: &Track, room: &mut usize) {
        let end = |mark: &Mark| match &mark.shape {
            Shape::Way { points } => points.last().copied(),
            _ => None,
        };
        let follows = |a: &(usize, &Mark), b: &(usize, &Mark)| b.0 == a.0 + 1 && end(a.1) == end(b.1);
        for run in track.marks.chunk_by(follows) {
            let (first, mark) = run[0];
            let Shape::Way { points } = &mark.shape else { continue };
            if points.len() < 2 || *room == 0 {
                continue;
            }
            *room -= 1;
            let line = points[1..].iter().fold(Path::from(points[0]), |path, point| path.to(*point));
            let shown = |state: usize| {
                short(if state >= first && state < first + run.len() { mark.opacity } else { 0.0 })
            };
            let shown: Vec<String> = (0..self.states.len()).map(shown).collect();
            let way =
                svg.element("path").set("d", &line).set("fill", "none").stroke(colour(mark.role), 2.0 * DOT);
            let way =
                way.set("stroke-linecap", "round").set("stroke-dasharray", "0 0.5").set("opacity", &shown[0]);
            way.holding(|svg| self.jump(svg, "opacity", &shown));
        }
    }

    /// A curve for each pair of agents of which one ever attends to the other.
    fn attention(&self, svg: &mut Svg) {
        let states: Vec<Vec<Curve>> =
            self.states.iter().map(|state| self.film.strongest(&self.film.frames[*state])).collect();
        let agents = self.film.agents;
        let mut pairs: std::collections::BTreeMap<usize, Vec<(usize, &Curve)>> = Default::default();
        for (state, curves) in states.iter().enumerate() {
            for curve in curves {
                pairs.entry(curve.reader * agents + curve.read).or_default().push((state, curve));
            }
        }
        let mut pairs: Vec<(f32, Vec<(usize, &Curve)>)> = pairs
            .into_values()
            .map(|seen| (seen.iter().map(|(_, curve)| curve.strength).sum(), seen))
            .collect();
        // The sort is stable, so that equal sums stay in the order of the agents.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        pairs.truncate(MOST_CURVES / self.states.len());
        for (_, seen) in pairs {
            let mut strengths = vec![0.0; self.states.len()];
            seen.iter().for_each(|(state, curve)| strengths[*state] = curve.strength);
            let (reader, read) = (seen[0].1.reader, seen[0].1.read);
            let mut last = (seen[0].1.from, seen[0].1.to);
            let curves: Vec<String> = self
                .states
                .iter()
                .map(|state| {
                    // Also while it is not seen it goes with the two, so that it appears between them.
                    let drawing = &self.film.frames[*state].drawing;
                    if let (Some(from), Some(to)) = (drawing.place(reader), drawing.place(read)) {
                        last = (from, to);
                    }
                    Path::from(last.0).curve(self.layout.bend(last.0, last.1), last.1).to_string()
                })
                .collect();
            let opacities: Vec<String> = strengths.iter().map(|strength| short(*strength)).collect();
            let curve =
                svg.element("path").set("class", "attention").set("d", &curves[0]).set("fill", "none");
            let curve = curve.stroke(colour(Role::Agent(reader)), CURVE_WIDTH).set("stroke-linecap", "round");
            curve.set("stroke-opacity", &opacities[0]).holding(|svg| {
                self.animate(svg, "d", &curves, |_| true);
                self.animate(svg, "stroke-opacity", &opacities, |_| true);
            });
        }
    }

    /// Words that go with a place, in pixels; `count` tracks of words share what room there is.
    fn label(&self, svg: &mut Svg, track: &Track, count: usize) {
        let (marks, here) = self.dense(track);
        let place = |mark: &&Mark| match &mark.shape {
            Shape::Label { at, size, .. } => {
                let [x, y] = self.layout.pixel(*at);
                // From the middle of capitals to their foot.
                format!("{} {}", short(x), short(y + 0.36 * size * self.layout.cell))
            }
            _ => String::new(),
        };
        let glide = |i: usize| {
            let reach = self.film.reach(self.states[i + 1] - self.states[i]);
            here[i] && here[i + 1] && glides(&marks[i].shape, &marks[i + 1].shape, reach)
        };
        let places: Vec<String> = marks.iter().map(place).collect();
        let Shape::Label { size, .. } = &marks[0].shape else { return };
        let size = size * self.layout.cell;
        let group = svg.element("g").set("transform", &format!("translate({})", places[0]));
        group.set("text-anchor", "middle").set("font-size", size).set("fill", colour(marks[0].role)).holding(
            |svg| {
                self.animate(svg, "transform", &places, glide);
                let words = |i: usize| match &marks[i].shape {
                    Shape::Label { text, .. } if here[i] => (text.as_str(), short(marks[i].opacity)),
                    _ => ("", short(0.0)),
                };
                self.words(svg, (MOST_LABELS / count.max(1)).max(2), words, &[]);
            },
        );
    }

    /// Texts of which one is shown at a time: what `words` says of each state, with its opacity.
    fn words<'w>(
        &self,
        svg: &mut Svg,
        most: usize,
        words: impl Fn(usize) -> (&'w str, String),
        attributes: &[(&str, f32)],
    ) {
        let shown = kept(self.states.len(), most);
        let mut i = 0;
        while i < shown.len() {
            // Equal words in a row are one text.
            let own = words(shown[i]);
            let end = (i..shown.len()).find(|j| words(shown[*j]) != own).unwrap_or(shown.len());
            let visible = |state: usize| state >= shown[i] && shown.get(end).is_none_or(|next| state < *next);
            let opacity: Vec<String> = (0..self.states.len())
                .map(|state| if visible(state) { own.1.clone() } else { "0".into() })
                .collect();
            if !own.0.is_empty() {
                let text = svg.element("text");
                let text = attributes.iter().fold(text, |text, (name, value)| text.set(name, *value));
                text.set("opacity", &opacity[0]).words(own.0, |svg| self.jump(svg, "opacity", &opacity));
            }
            i = end;
        }
    }

    /// The progress bar and the captions, of which one is shown at a time.
    fn foot(&self, svg: &mut Svg) {
        let Layout { left, top, map_width: length, map_height, .. } = self.layout;
        let y = top + map_height + BAR - BAR_HEIGHT;
        let bar = |svg: &mut Svg, width: usize, tone, opacity: f32, inside: &dyn Fn(&mut Svg)| {
            let bar = svg.element("rect").set("x", left).set("y", y).set("width", width);
            let bar = bar.set("height", BAR_HEIGHT).set("rx", 1.5f32).set("fill", tone);
            bar.set("opacity", opacity).holding(inside);
        };
        let steps = (self.states.len() - 1).max(1) as f32;
        let done: Vec<String> =
            (0..self.states.len()).map(|i| short(i as f32 / steps * length as f32)).collect();
        bar(svg, length, GRID, 1.0, &|_| {});
        bar(svg, 0, TEXT, 0.55, &|svg| self.animate(svg, "width", &done, |_| true));

        let caption = |i: usize| self.film.frames[self.states[i]].caption.as_str();
        let longest = (0..self.states.len()).map(|i| caption(i).chars().count()).max().unwrap_or(0);
        let (start, room) = self.layout.caption();
        // A letter of this font is 0.6 of its size wide.
        let size = (room as f32 / (longest.max(1) as f32 * 0.61)).clamp(6.0, 15.0);
        let base = y + BAR_HEIGHT + GAP + CAPTION - 2;
        let font = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace";
        let group = svg.element("g").set("font-family", font).set("font-size", size).set("fill", TEXT);
        group.holding(|svg| {
            let at = [("x", start as f32), ("y", base as f32)];
            self.words(svg, MOST_CAPTIONS, |i| (caption(i), "1".into()), &at);
        });
    }
}
