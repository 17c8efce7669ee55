//! A sheet to draw on in SVG, and the few things that all pictures here share: colours of numbers, strips, scales.

use std::fmt::Write;

use crate::run::picture::{Colour, GRID, PAGE, TEXT, escaped, hex, short};
use crate::run::progress::significant;

/// The width of every sheet, and what lies left of what is drawn on it.
pub(super) const WIDTH: f32 = 1000.0;
pub(super) const LEFT: f32 = 24.0;
/// The height of the heading.
pub(super) const HEAD: f32 = 64.0;
/// Where there is no number.
pub(super) const NOTHING: Colour = [226, 226, 226];
pub(super) const ACCENT: Colour = [0xE8, 0x5D, 0x2C];

/// Where a text begins.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The colour of a number from 0 to 1: pale to dark blue; grey for what is no number.
pub(super) fn ramp(share: f32) -> Colour {
    const STOPS: [Colour; 3] = [[246, 248, 252], [92, 152, 214], [10, 40, 92]];
    if !share.is_finite() {
        return NOTHING;
    }
    let at = share.clamp(0.0, 1.0) * 2.0;
    let first = usize::from(at >= 1.0);
    let between = at - first as f32;
    std::array::from_fn(|i| {
        let (a, b) = (f32::from(STOPS[first][i]), f32::from(STOPS[first + 1][i]));
        (a + (b - a) * between).round() as u8
    })
}

/// The lowest and the highest of the finite numbers, never equal.
pub(super) fn range(values: impl Iterator<Item = f32>) -> (f32, f32) {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for value in values.filter(|v| v.is_finite()).map(|v| v.clamp(-1e37, 1e37)) {
        (low, high) = (low.min(value), high.max(value));
    }
    if low > high {
        return (0.0, 1.0);
    }
    if high - low > 1e-6 * low.abs().max(high.abs()) {
        return (low, high);
    }
    let margin = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
    (low - margin, high + margin)
}

/// A drawing whose height is known when it is done.
pub(super) struct Canvas {
    body: String,
}

impl Canvas {
    pub fn new(title: &str, subtitle: &str) -> Canvas {
        let mut canvas = Canvas { body: String::new() };
        canvas.text([LEFT, 30.0], 19.0, Anchor::Start, title);
        canvas.text([LEFT, 50.0], 12.5, Anchor::Start, subtitle);
        canvas
    }

    // Writing into a String cannot fail.
    pub fn rect(&mut self, [x, y]: [f32; 2], [width, height]: [f32; 2], fill: Colour) {
        let (x, y, width, height) = (short(x), short(y), short(width), short(height));
        let fill = hex(fill);
        let _ = writeln!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\"/>"
        );
    }

    pub fn frame(&mut self, [x, y]: [f32; 2], [width, height]: [f32; 2]) {
        let (x, y, width, height) = (short(x), short(y), short(width), short(height));
        let stroke = hex([176, 182, 192]);
        let _ = writeln!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"{stroke}\"/>"
        );
    }

    pub fn disc(&mut self, [x, y]: [f32; 2], radius: f32, fill: Colour, opacity: f32) {
        let (x, y, radius, opacity, fill) = (short(x), short(y), short(radius), short(opacity), hex(fill));
        let _ = writeln!(
            self.body,
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>"
        );
    }

    /// Any line, by its path.
    pub fn path(&mut self, path: &str, colour: Colour, width: f32, opacity: f32) {
        let (colour, width, opacity) = (hex(colour), short(width), short(opacity));
        let _ = writeln!(
            self.body,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\" \
             stroke-linejoin=\"round\"/>"
        );
    }

    /// Any area, by its path.
    pub fn area(&mut self, path: &str, colour: Colour, opacity: f32) {
        let (colour, opacity) = (hex(colour), short(opacity));
        let _ = writeln!(self.body, "<path d=\"{path}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>");
    }

    pub fn line(&mut self, [x, y]: [f32; 2], [to_x, to_y]: [f32; 2], colour: Colour, width: f32) {
        let path = format!("M{} {}L{} {}", short(x), short(y), short(to_x), short(to_y));
        self.path(&path, colour, width, 1.0);
    }

    pub fn text(&mut self, at: [f32; 2], size: f32, anchor: Anchor, text: &str) {
        self.coloured_text(at, size, anchor, text, TEXT, false);
    }

    /// Text from below to above.
    pub fn upright(&mut self, at: [f32; 2], size: f32, text: &str) {
        self.coloured_text(at, size, Anchor::Middle, text, TEXT, true);
    }

    pub fn coloured_text(
        &mut self,
        [x, y]: [f32; 2],
        size: f32,
        anchor: Anchor,
        text: &str,
        colour: Colour,
        upright: bool,
    ) {
        let (x, y) = (short(x), short(y));
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let turn = if upright { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
        let _ = writeln!(
            self.body,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\"{turn}>{}</text>",
            short(size),
            hex(colour),
            escaped(text)
        );
    }

    /// What the colours mean: a bar from `low` to `high`, its right end at `right`.
    pub fn scale(&mut self, right: f32, y: f32, (low, high): (f32, f32), label: &str) {
        let (width, parts) = (140.0, 28);
        let left = right - width - 44.0;
        for i in 0..parts {
            let at = left + width * i as f32 / parts as f32;
            self.rect([at, y], [width / parts as f32 + 0.4, 10.0], ramp((i as f32 + 0.5) / parts as f32));
        }
        self.frame([left, y], [width, 10.0]);
        let number = |v: f32| significant(f64::from(v));
        self.text([left - 5.0, y + 9.0], 10.5, Anchor::End, &format!("{label}  {}", number(low)));
        self.text([left + width + 5.0, y + 9.0], 10.5, Anchor::Start, &number(high));
    }

    /// Rows of coloured cells from `at`; `share` gives row and column a number from 0 to 1. Equal neighbours are one
    /// rectangle.
    pub fn cells(
        &mut self,
        [x, y]: [f32; 2],
        [rows, columns]: [usize; 2],
        [width, height]: [f32; 2],
        share: impl Fn(usize, usize) -> f32,
    ) {
        for row in 0..rows {
            let mut first = 0;
            while first < columns {
                let colour = ramp(share(row, first));
                let end = (first + 1..columns).find(|&c| ramp(share(row, c)) != colour).unwrap_or(columns);
                let at = [x + first as f32 * width, y + row as f32 * height];
                self.rect(at, [(end - first) as f32 * width, height], colour);
                first = end;
            }
        }
        self.frame([x, y], [columns as f32 * width, rows as f32 * height]);
    }

    /// The numbers of steps below a strip.
    pub fn steps_below(&mut self, [x, y]: [f32; 2], width: f32, steps: &[usize]) {
        let every = (steps.len().div_ceil(12)).max(1);
        for (i, step) in steps.iter().enumerate().step_by(every) {
            let at = x + (i as f32 + 0.5) * width;
            self.line([at, y], [at, y + 3.0], TEXT, 1.0);
            self.text([at, y + 14.0], 10.5, Anchor::Middle, &step.to_string());
        }
    }

    /// A line of numbers over a strip's width, with the ends of its own scale; `bars` draws each from 0.
    pub fn curve(
        &mut self,
        [x, y]: [f32; 2],
        [width, height]: [f32; 2],
        values: &[f32],
        bars: bool,
        colour: Colour,
    ) {
        let (mut low, mut high) = range(values.iter().copied());
        if bars {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        let up = |value: f32| y + height - (value - low) / (high - low) * height;
        let all = width * values.len() as f32;
        self.rect([x, y], [all, height], [249, 250, 251]);
        if low < 0.0 && high > 0.0 {
            self.line([x, up(0.0)], [x + all, up(0.0)], GRID, 1.0);
        }
        let mut path = String::new();
        let mut pen = 'M';
        for (i, value) in values.iter().enumerate() {
            if !value.is_finite() {
                pen = 'M';
                continue;
            }
            let middle = x + (i as f32 + 0.5) * width;
            if bars {
                let (zero, top) = (short(up(0.0)), short(up(*value)));
                let half = (0.35 * width).max(0.4);
                let (from, to) = (short(middle - half), short(middle + half));
                let _ = write!(path, "M{from} {zero}V{top}H{to}V{zero}Z");
            } else {
                let _ = write!(path, "{pen}{} {}", short(middle), short(up(*value)));
                if pen == 'M' {
                    path.push_str("h0.01");
                }
                pen = 'L';
            }
        }
        match bars {
            true => self.area(&path, colour, 1.0),
            false => self.path(&path, colour, 1.6, 1.0),
        }
        let number = |v: f32| significant(f64::from(v));
        self.text([x - 5.0, y + 8.0], 9.5, Anchor::End, &number(high));
        self.text([x - 5.0, y + height], 9.5, Anchor::End, &number(low));
    }

    pub fn finish(self, height: f32) -> String {
        let (width, height) = (short(WIDTH), short(height.ceil()));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>\n{}</svg>\n",
            hex(PAGE),
            self.body
        )
    }
}
