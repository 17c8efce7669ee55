//! A sheet to draw on, and the few things that all pictures here share: colours of numbers, strips, scales.

use crate::picture::number::significant;
use crate::picture::svg::{Anchor, Path, Svg, width_of};
use crate::picture::{Colour, GRID, TEXT, cut};

/// The width of every sheet, and what lies left of what is drawn on it.
pub(super) const WIDTH: f32 = 1000.0;
pub(super) const LEFT: f32 = 24.0;
/// The height of the heading.
pub(super) const HEAD: f32 = 64.0;
/// Where there is no number.
pub(super) const NOTHING: Colour = [226, 226, 226];
pub(super) const ACCENT: Colour = [0xE8, 0x5D, 0x2C];

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

/// A sheet with its heading; the height is known when it is done ([`finish`]).
pub(super) fn sheet(title: &str, subtitle: &str) -> Svg {
    let mut svg = Svg::default();
    svg.text([LEFT, 30.0], 19.0, Anchor::Start, title);
    // No more words than the sheet is wide.
    let subtitle = cut(subtitle, 180);
    let size = (12.5 * (WIDTH - 2.0 * LEFT) / width_of(&subtitle, 12.5)).min(12.5);
    svg.text([LEFT, 50.0], size, Anchor::Start, &subtitle);
    svg
}

/// The sheet as a file.
pub(super) fn finish(svg: Svg, height: f32) -> String {
    svg.finish([WIDTH, height])
}

impl Svg {
    /// What the colours mean: a bar from `low` to `high`, its right end at `right`.
    pub(super) fn scale(&mut self, right: f32, y: f32, (low, high): (f32, f32), label: &str) {
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
    pub(super) fn cells(
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
    pub(super) fn steps_below(&mut self, [x, y]: [f32; 2], width: f32, steps: &[usize]) {
        let every = (steps.len().div_ceil(12)).max(1);
        for (i, step) in steps.iter().enumerate().step_by(every) {
            let at = x + (i as f32 + 0.5) * width;
            self.line([at, y], [at, y + 3.0], TEXT, 1.0);
            self.text([at, y + 14.0], 10.5, Anchor::Middle, &step.to_string());
        }
    }

    /// A line of numbers over a strip's width, with the ends of its own scale; `bars` draws each from 0.
    pub(super) fn curve(
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
        let mut path = Path::default();
        let mut down = false;
        for (i, value) in values.iter().enumerate() {
            if !value.is_finite() {
                down = false;
                continue;
            }
            let middle = x + (i as f32 + 0.5) * width;
            if bars {
                let half = (0.35 * width).max(0.4);
                path = path.rectangle([middle - half, up(0.0)], [2.0 * half, up(*value) - up(0.0)]);
            } else if down {
                path = path.to([middle, up(*value)]);
            } else {
                // A number that stands alone is a dot.
                path = path.jump([middle, up(*value)]).to([middle + 0.01, up(*value)]);
                down = true;
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
}
