//! The one writer of SVG: elements with attributes, numbers with no more digits than a picture needs, words made safe.

use std::fmt::{Display, Write};

use super::{Colour, PAGE, TEXT};

/// What all pictures are written in.
pub(super) const FONT: &str = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif";

/// The frame of a strip or a panel.
const FRAME: Colour = [176, 182, 192];

/// The value of an attribute.
pub(super) trait Value {
    fn write(&self, to: &mut String);
}

// Writing into a String cannot fail, here and below.
impl Value for f32 {
    fn write(&self, to: &mut String) {
        to.push_str(&short(*self));
    }
}

impl Value for usize {
    fn write(&self, to: &mut String) {
        let _ = write!(to, "{self}");
    }
}

impl Value for Colour {
    fn write(&self, to: &mut String) {
        let _ = write!(to, "#{:02x}{:02x}{:02x}", self[0], self[1], self[2]);
    }
}

impl Value for &str {
    fn write(&self, to: &mut String) {
        escape(self, to);
    }
}

impl Value for &String {
    fn write(&self, to: &mut String) {
        escape(self, to);
    }
}

/// A number with no more digits than a picture needs: four places tell even 1000 states apart on a time line.
pub(super) fn short(value: f32) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// Words as text of XML, which has no place for control characters.
fn escape(words: &str, to: &mut String) {
    for character in words.chars() {
        match character {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => to.push(' '),
            other => to.push(other),
        }
    }
}

/// About how wide words of this size are.
pub(super) fn width_of(words: &str, size: f32) -> f32 {
    0.56 * size * words.chars().count() as f32
}

/// Where a text begins.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture, or a part of one.
#[derive(Default)]
pub(super) struct Svg {
    body: String,
}

/// An element that has been begun. It is written by one of [`Element::end`], [`Element::text`], [`Element::holding`].
#[must_use]
pub(super) struct Element<'a> {
    svg: &'a mut Svg,
    name: &'static str,
}

impl Element<'_> {
    pub fn set(self, attribute: &str, value: impl Value) -> Self {
        let _ = write!(self.svg.body, " {attribute}=\"");
        value.write(&mut self.svg.body);
        self.svg.body.push('"');
        self
    }

    /// What two attributes say of a place.
    pub fn at(self, [x, y]: [f32; 2]) -> Self {
        self.set("x", x).set("y", y)
    }

    /// A line round it, or the line that it is.
    pub fn stroke(self, colour: Colour, width: f32) -> Self {
        self.set("stroke", colour).set("stroke-width", width)
    }

    pub fn end(self) {
        self.svg.body.push_str("/>\n");
    }

    pub fn text(self, words: &str) {
        self.words(words, |_| {});
    }

    /// With words, and elements before them.
    pub fn words(self, words: &str, before: impl FnOnce(&mut Svg)) {
        self.svg.body.push('>');
        before(self.svg);
        escape(words, &mut self.svg.body);
        let _ = writeln!(self.svg.body, "</{}>", self.name);
    }

    /// With elements inside; empty where there are none.
    pub fn holding(self, inside: impl FnOnce(&mut Svg)) {
        let (svg, name) = (self.svg, self.name);
        svg.body.push('>');
        inside(svg);
        let _ = writeln!(svg.body, "</{name}>");
    }
}

impl Svg {
    pub fn element(&mut self, name: &'static str) -> Element<'_> {
        let _ = write!(self.body, "<{name}");
        Element { svg: self, name }
    }

    pub fn rect(&mut self, at: [f32; 2], size: [f32; 2], fill: Colour) {
        self.element("rect").at(at).set("width", size[0]).set("height", size[1]).set("fill", fill).end();
    }

    pub fn frame(&mut self, at: [f32; 2], size: [f32; 2]) {
        let frame = self.element("rect").at(at).set("width", size[0]).set("height", size[1]);
        frame.set("fill", "none").set("stroke", FRAME).end();
    }

    pub fn disc(&mut self, [x, y]: [f32; 2], radius: f32, fill: Colour, opacity: f32) {
        let disc = self.element("circle").set("cx", x).set("cy", y).set("r", radius).set("fill", fill);
        disc.set("fill-opacity", opacity).end();
    }

    /// Any line.
    pub fn path(&mut self, path: &Path, colour: Colour, width: f32, opacity: f32) {
        let path = self.element("path").set("d", &path.0).set("fill", "none").stroke(colour, width);
        path.set("stroke-opacity", opacity).set("stroke-linejoin", "round").end();
    }

    /// Any area.
    pub fn area(&mut self, path: &Path, colour: Colour, opacity: f32) {
        self.element("path").set("d", &path.0).set("fill", colour).set("fill-opacity", opacity).end();
    }

    pub fn line(&mut self, from: [f32; 2], to: [f32; 2], colour: Colour, width: f32) {
        self.path(&Path::from(from).to(to), colour, width, 1.0);
    }

    pub fn text(&mut self, at: [f32; 2], size: f32, anchor: Anchor, words: &str) {
        self.coloured_text(at, size, anchor, words, TEXT);
    }

    pub fn coloured_text(&mut self, at: [f32; 2], size: f32, anchor: Anchor, words: &str, colour: Colour) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = self.element("text").at(at).set("font-size", size).set("text-anchor", anchor);
        text.set("fill", colour).text(words);
    }

    /// Text from below to above.
    pub fn upright(&mut self, [x, y]: [f32; 2], size: f32, words: &str) {
        let turn = format!("translate({} {}) rotate(-90)", short(x), short(y));
        let text = self.element("text").set("transform", &turn).set("font-size", size);
        text.set("text-anchor", "middle").set("fill", TEXT).text(words);
    }

    /// The whole file, on a page of this size.
    pub fn finish(self, [width, height]: [f32; 2]) -> String {
        let [width, height] = [width.ceil(), height.ceil()];
        let view = format!("0 0 {} {}", short(width), short(height));
        let mut page = Svg::default();
        let root = page.element("svg").set("xmlns", "http://www.w3.org/2000/svg").set("width", width);
        root.set("height", height).set("viewBox", &view).set("font-family", FONT).holding(|svg| {
            svg.body.push('\n');
            svg.rect([0.0, 0.0], [width, height], PAGE);
            svg.body.push_str(&self.body);
        });
        page.body
    }
}

/// What a path is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Path(String);

impl Path {
    pub fn from(at: [f32; 2]) -> Path {
        Path::default().jump(at)
    }

    fn add(mut self, command: char, numbers: &[f32]) -> Path {
        self.0.push(command);
        for (i, number) in numbers.iter().enumerate() {
            if i > 0 {
                self.0.push(' ');
            }
            self.0.push_str(&short(*number));
        }
        self
    }

    /// On from another place.
    pub fn jump(self, at: [f32; 2]) -> Path {
        self.add('M', &at)
    }

    pub fn to(self, at: [f32; 2]) -> Path {
        self.add('L', &at)
    }

    /// A curve that a handle bends.
    pub fn curve(self, handle: [f32; 2], to: [f32; 2]) -> Path {
        self.add('Q', &[handle[0], handle[1], to[0], to[1]])
    }

    /// A circle round a place, from its left.
    pub fn circle(self, [x, y]: [f32; 2], radius: f32) -> Path {
        let (r, two) = (radius, 2.0 * radius);
        let half = |path: Path, across: f32| path.add('a', &[r, r, 0.0, 1.0, 1.0, across, 0.0]);
        half(half(self.jump([x - r, y]), two), -two)
    }

    /// A rectangle.
    pub fn rectangle(self, at: [f32; 2], [width, height]: [f32; 2]) -> Path {
        self.jump(at).add('h', &[width]).add('v', &[height]).add('h', &[-width]).close()
    }

    pub fn close(mut self) -> Path {
        self.0.push('Z');
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value for &Path {
    fn write(&self, to: &mut String) {
        to.push_str(&self.0);
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
