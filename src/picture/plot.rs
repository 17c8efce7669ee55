//! Line charts as SVG: learning curves of one run, curves of several with the band over their seeds, any lines at all.

use std::ops::Range;

use super::axis::Axis;
use super::svg::{Anchor, Path, Svg, width_of};
use super::{Colour, GRID, TEXT, cut};
use crate::error::{Error, Result};

/// A line and, where it stands for several, the band around it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// `(x, y)` in the order of the line.
    pub points: Vec<(f64, f64)>,
    /// `(x, low, high)`; empty for none.
    pub band: Vec<(f64, f64, f64)>,
}

impl Series {
    /// A line without a band.
    pub fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        Series { name: name.to_string(), points, band: Vec::new() }
    }

    /// The mean of several runs (seeds) with the band from the lowest to the highest, at `samples` places over the
    /// range of x that all of them cover. Between its points a run is taken as straight.
    pub fn of_runs(name: &str, runs: &[Vec<(f64, f64)>], samples: usize) -> Self {
        let mut series = Series::new(name, Vec::new());
        let runs: Vec<Vec<(f64, f64)>> =
            runs.iter().map(|run| finite(run)).filter(|run| !run.is_empty()).collect();
        let first = runs.iter().map(|run| run[0].0).fold(f64::NEG_INFINITY, f64::max);
        let last = runs.iter().map(|run| run[run.len() - 1].0).fold(f64::INFINITY, f64::min);
        if runs.is_empty() || first > last {
            return series;
        }
        let count = if first == last { 1 } else { samples.max(2) };
        for i in 0..count {
            let x = first + (last - first) * i as f64 / (count - 1).max(1) as f64;
            let values: Vec<f64> = runs.iter().map(|run| interpolate(run, x)).collect();
            series.points.push((x, values.iter().sum::<f64>() / values.len() as f64));
            if runs.len() > 1 {
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                series.band.push((x, low, high));
            }
        }
        series
    }
}

/// The words around a chart, and how x is laid out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axes {
    /// Above the chart.
    pub title: String,
    /// Below it, with the unit.
    pub x_label: String,
    /// Left of it, with the unit.
    pub y_label: String,
    /// Whether x is logarithmic; points at or below zero are left out then.
    pub log_x: bool,
    /// The range of y; taken from the points where there is none.
    pub y_range: Option<(f64, f64)>,
}

impl Axes {
    /// Linear axes with these words.
    pub fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        Axes { title: title.into(), x_label: x_label.into(), y_label: y_label.into(), ..Axes::default() }
    }

    /// The same with a logarithmic x.
    pub fn log_x(mut self) -> Self {
        self.log_x = true;
        self
    }
}

/// Colours that stay apart for colour-blind readers too (Okabe and Ito 2008).
const COLOURS: [Colour; 7] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [70, 70, 70],
];
/// Lines beyond the seventh come in the same colours, broken in other ways: lengths of dashes and gaps.
const DASHES: [&str; 4] = ["", "7 4", "1.5 3.5", "10 3 2 3"];
/// Words are cut at so many characters.
const MOST_LETTERS: usize = 100;
/// Lines that the legend names; the others are counted.
const MOST_NAMED: usize = 60;
/// Lines of so few points show them.
const FEW: usize = 30;

const WIDTH: f32 = 760.0;
/// The height without the legend.
const HEIGHT: f32 = 440.0;
/// Left, top, right and bottom of the plot itself.
const PLOT: [f32; 4] = [84.0, 48.0, 736.0, 384.0];
const SAMPLE: f32 = 34.0;
const LINE: f32 = 21.0;
const LETTERS: f32 = 14.0;

/// How the line of this number is drawn, so that it is told from the others: a colour, dashes (none for a whole line) and
/// the shape of its points. The first 28 have no two alike.
fn style(number: usize) -> (Colour, &'static str, Shape) {
    let round = number / COLOURS.len();
    (COLOURS[number % COLOURS.len()], DASHES[round % DASHES.len()], SHAPES[round % SHAPES.len()])
}

/// The shape of a line's points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Disc,
    Square,
    Triangle,
    Diamond,
}

const SHAPES: [Shape; 4] = [Shape::Disc, Shape::Square, Shape::Triangle, Shape::Diamond];

impl Shape {
    fn draw(self, svg: &mut Svg, [x, y]: [f32; 2], colour: Colour) {
        let corners: &[[f32; 2]] = match self {
            Shape::Disc => return svg.disc([x, y], 3.0, colour, 1.0),
            Shape::Square => &[[-2.8, -2.8], [2.8, -2.8], [2.8, 2.8], [-2.8, 2.8]],
            Shape::Triangle => &[[0.0, -3.8], [3.6, 2.8], [-3.6, 2.8]],
            Shape::Diamond => &[[0.0, -4.0], [4.0, 0.0], [0.0, 4.0], [-4.0, 0.0]],
        };
        let path = corners.iter().enumerate().fold(Path::default(), |path, (i, corner)| {
            let at = [x + corner[0], y + corner[1]];
            if i == 0 { path.jump(at) } else { path.to(at) }
        });
        svg.area(&path.close(), colour, 1.0);
    }
}

/// A chart of lines as SVG. Values that are not finite are left out. Where there are several lines, a legend below the
/// axes names them; it covers nothing.
///
/// # Errors
/// [`Error::Usage`] where there is not one point to draw.
pub fn lines_svg(axes: &Axes, series: &[Series]) -> Result<String> {
    let drawn = |x: f64| x.is_finite() && (!axes.log_x || x > 0.0);
    let series: Vec<Series> = series
        .iter()
        .map(|s| Series {
            name: cut(&s.name, MOST_LETTERS),
            points: finite(&s.points).into_iter().filter(|p| drawn(p.0)).collect(),
            band: s
                .band
                .iter()
                .copied()
                .filter(|(x, low, high)| drawn(*x) && low.is_finite() && high.is_finite())
                .collect(),
        })
        .filter(|s| !s.points.is_empty())
        .collect();
    if series.is_empty() {
        return Err(Error::Usage(format!("there is nothing to draw for `{}`", axes.title)));
    }
    let across = extent(series.iter().flat_map(|s| s.points.iter().map(|p| p.0)));
    let across = match axes.log_x {
        true => Axis::logarithmic(across, 8),
        false => Axis::linear(across, 8),
    };
    let values = series
        .iter()
        .flat_map(|s| s.points.iter().map(|p| p.1).chain(s.band.iter().flat_map(|b| [b.1, b.2])));
    let up = match axes.y_range.filter(|(low, high)| low < high && (high - low).is_finite()) {
        Some((low, high)) => low..high,
        None => {
            let y = extent(values);
            let margin = 0.05 * (y.end - y.start);
            y.start - margin..y.end + margin
        }
    };
    let chart = Chart { across, up: Axis::linear(up, 7) };
    let mut svg = Svg::default();
    chart.axes(&mut svg, axes);
    for (i, one) in series.iter().enumerate() {
        chart.band(&mut svg, one, style(i).0);
    }
    for (i, one) in series.iter().enumerate() {
        chart.curve(&mut svg, i, one, series.len());
    }
    let legend = if series.len() > 1 { legend(&mut svg, &series) } else { 0.0 };
    Ok(svg.finish([WIDTH, HEIGHT + legend]))
}

/// Where numbers are on paper.
struct Chart {
    across: Axis,
    up: Axis,
}

impl Chart {
    fn place(&self, (x, y): (f64, f64)) -> [f32; 2] {
        let [left, top, right, bottom] = PLOT;
        [left + self.across.share(x) * (right - left), bottom - self.up.share(y) * (bottom - top)]
    }

    /// Title, labels, grid and numbers.
    fn axes(&self, svg: &mut Svg, axes: &Axes) {
        let [left, top, right, bottom] = PLOT;
        let middle = (left + right) / 2.0;
        let title = cut(&axes.title, MOST_LETTERS);
        let size = (0.95 * WIDTH / width_of(&title, 1.0).max(1.0)).min(19.0);
        svg.text([WIDTH / 2.0, 30.0], size, Anchor::Middle, &title);
        svg.text([middle, bottom + 42.0], 15.0, Anchor::Middle, &cut(&axes.x_label, 80));
        let label = cut(&axes.y_label, 60);
        let size = ((bottom - top) / width_of(&label, 1.0).max(1.0)).min(15.0);
        svg.upright([24.0, (top + bottom) / 2.0], size, &label);
        for (value, words) in self.across.ticks() {
            let [x, _] = self.place((value, self.up.low));
            svg.line([x, top], [x, bottom], GRID, 1.0);
            svg.text([x, bottom + 20.0], 13.0, Anchor::Middle, &words);
        }
        for (value, words) in self.up.ticks() {
            let [_, y] = self.place((self.across.low, value));
            svg.line([left, y], [right, y], GRID, 1.0);
            svg.text([left - 8.0, y + 4.5], 13.0, Anchor::End, &words);
        }
        svg.path(&Path::from([left, top]).to([left, bottom]).to([right, bottom]), TEXT, 1.0, 0.6);
    }

    fn band(&self, svg: &mut Svg, series: &Series, colour: Colour) {
        if series.band.len() < 2 {
            return;
        }
        let edge = series.band.iter().map(|b| (b.0, b.2)).chain(series.band.iter().rev().map(|b| (b.0, b.1)));
        svg.area(&self.polyline(edge).close(), colour, 0.18);
    }

    fn polyline(&self, points: impl Iterator<Item = (f64, f64)>) -> Path {
        points.fold(Path::default(), |path, point| {
            let at = self.place(point);
            if path.is_empty() { path.jump(at) } else { path.to(at) }
        })
    }

    fn curve(&self, svg: &mut Svg, number: usize, series: &Series, of: usize) {
        let (colour, dashes, shape) = style(number);
        let path = self.polyline(series.points.iter().copied());
        let line = svg.element("path").set("d", &path).set("fill", "none").stroke(colour, 2.0);
        let line = line.set("stroke-linejoin", "round");
        if dashes.is_empty() {
            line.end()
        } else {
            line.set("stroke-dasharray", dashes).end()
        }
        let count = series.points.len();
        // Of many points some, where there are so many lines that colours come again; not the same of all lines.
        let marked: Vec<usize> = match count {
            0..=FEW => (0..count).collect(),
            _ if of > COLOURS.len() => {
                let apart = count / 8;
                (0..8).map(|k| k * apart + number * apart / of.max(1)).collect()
            }
            _ => Vec::new(),
        };
        for i in marked {
            shape.draw(svg, self.place(series.points[i]), colour);
        }
    }
}

/// Names the lines in columns below the axes; the height that it takes.
fn legend(svg: &mut Svg, series: &[Series]) -> f32 {
    let named = &series[..series.len().min(MOST_NAMED)];
    let widest = named.iter().map(|s| width_of(&s.name, LETTERS)).fold(0.0, f32::max);
    let (left, room) = (PLOT[0], WIDTH - PLOT[0] - 16.0);
    let columns = ((room / (SAMPLE + widest + 20.0)) as usize).clamp(1, named.len());
    let rows = named.len().div_ceil(columns);
    for (i, one) in named.iter().enumerate() {
        let (colour, dashes, shape) = style(i);
        // Down the columns, so that what stands together in the list does so here.
        let x = left + (i / rows) as f32 * room / columns as f32;
        let y = HEIGHT + 4.0 + (i % rows) as f32 * LINE;
        let path = Path::from([x, y]).to([x + 28.0, y]);
        let sample = svg.element("path").set("d", &path).set("fill", "none").stroke(colour, 2.5);
        if dashes.is_empty() {
            sample.end()
        } else {
            sample.set("stroke-dasharray", dashes).end()
        }
        if series.len() > COLOURS.len() {
            shape.draw(svg, [x + 14.0, y], colour);
        }
        let size = LETTERS.min(LETTERS * (room - SAMPLE) / widest.max(1.0));
        svg.text([x + SAMPLE, y + 4.5], size, Anchor::Start, &one.name);
    }
    let mut height = rows as f32 * LINE + 8.0;
    if named.len() < series.len() {
        let more = format!("and {} more", series.len() - named.len());
        svg.text([left, HEIGHT + height], LETTERS, Anchor::Start, &more);
        height += LINE;
    }
    height
}

fn finite(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
}

/// The range of the values, never empty and never too wide to be drawn.
fn extent(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        let value = value.clamp(-1e300, 1e300);
        low = low.min(value);
        high = high.max(value);
    }
    if high - low > 1e-9 * low.abs().max(high.abs()) {
        return low..high;
    }
    let margin = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
    low - margin..high + margin
}

/// The height of a line at `x`, which lies within it.
fn interpolate(run: &[(f64, f64)], x: f64) -> f64 {
    let after = run.partition_point(|p| p.0 < x).min(run.len() - 1);
    let (x1, y1) = run[after];
    let (x0, y0) = run[after.saturating_sub(1)];
    if x1 <= x0 { y1 } else { y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::xml::elements;

    #[test]
    fn every_series_word_and_band_is_drawn() {
        let curve =
            |k: f64| (0..200).map(|i| (i as f64 * 1e5, (1.0 - (-k * i as f64 / 60.0).exp()))).collect();
        let runs: Vec<Vec<(f64, f64)>> = [0.7, 1.0, 1.4].map(curve).to_vec();
        let series = [Series::of_runs("srmt <a>", &runs, 100), Series::new("no memory", curve(0.4))];
        let svg = lines_svg(&Axes::new("Tasks & \"goals\"", "agent-steps", "CSR (share)"), &series).unwrap();
        let elements = elements(&svg);
        let words: Vec<&str> = elements.iter().map(|e| e.text.as_str()).filter(|t| !t.is_empty()).collect();
        for part in ["srmt <a>", "no memory", "Tasks & \"goals\"", "agent-steps", "CSR (share)", "10 M"] {
            assert!(words.contains(&part), "{part} is not in the picture: {words:?}");
        }
        assert_eq!(svg.matches("stroke-width=\"2\"").count(), 2, "two lines");
        assert_eq!(svg.matches("fill-opacity=\"0.18\"").count(), 1, "one band");
    }

    /// Lines are told apart whatever their number, and the legend lies below the axes with all names in it.
    #[test]
    fn up_to_twenty_lines_stay_apart_and_the_legend_covers_nothing() {
        for count in [1, 7, 8, 20] {
            let name = |i: usize| format!("line {i} {}", "of many words ".repeat(i % 4));
            let curve = |i: usize| (0..50).map(|x| (x as f64, (x * i) as f64)).collect();
            let series: Vec<Series> = (0..count).map(|i| Series::new(&name(i), curve(i))).collect();
            let axes = Axes::new("many", "steps", "value (no unit)");
            let elements = elements(&lines_svg(&axes, &series).unwrap());
            let height: f32 = elements[0].number("height");
            let styles: Vec<(&str, &str)> = elements
                .iter()
                .filter(|e| e.get("stroke-width") == "2")
                .map(|e| (e.get("stroke"), e.get("stroke-dasharray")))
                .collect();
            assert_eq!(styles.len(), count);
            let mut different = styles.clone();
            different.sort_unstable();
            different.dedup();
            assert_eq!(different.len(), count, "{styles:?}");
            for i in (0..count).filter(|_| count > 1) {
                let words = elements.iter().find(|e| e.text.trim_end() == name(i).trim_end());
                let words = words.unwrap_or_else(|| panic!("{} is not named", name(i)));
                assert!(words.number("y") > HEIGHT - 10.0 && words.number("y") < height, "{words:?}");
                let right = words.number("x") + width_of(&words.text, words.number("font-size"));
                assert!(right <= WIDTH, "{words:?}");
            }
            // The same style in the legend, below the axis label.
            let samples = elements.iter().filter(|e| e.get("stroke-width") == "2.5");
            let samples: Vec<_> = samples.map(|e| (e.get("stroke"), e.get("stroke-dasharray"))).collect();
            assert_eq!(samples, if count > 1 { styles } else { Vec::new() });
        }
    }

    #[test]
    fn odd_values_are_drawn_or_refused_without_a_panic() {
        let nan = f64::NAN;
        let points = [
            vec![],
            vec![(0.0, 1.0)],
            vec![(1.0, 2.0), (2.0, 2.0)],
            vec![(nan, 1.0), (1.0, nan), (f64::INFINITY, 1.0)],
            vec![(-5.0, 1.0), (0.0, 3.0)],
            vec![(1.0, f64::MAX), (2.0, f64::MIN)],
            vec![(f64::MIN_POSITIVE, 1e-300), (f64::MAX, 1.0)],
            vec![(3.0, 1.0), (3.0, 2.0), (1.0, 0.0)],
        ];
        for (i, points) in points.into_iter().enumerate() {
            for log_x in [false, true] {
                let y_range = (i % 2 == 0).then_some((0.5, 1.5));
                let axes = Axes { log_x, y_range, ..Axes::new("t", "x", "y") };
                let series = Series {
                    band: points.iter().map(|p| (p.0, p.1, nan)).collect(),
                    ..Series::new("s", points.clone())
                };
                let drawn = lines_svg(&axes, &[series]);
                let empty = i == 0 || i == 3 || (log_x && (i == 1 || i == 4));
                assert_eq!(drawn.is_err(), empty, "{points:?}, log {log_x}: {drawn:?}");
                drawn.into_iter().for_each(|svg| _ = elements(&svg));
            }
        }
    }

    #[test]
    fn seeds_are_averaged_where_all_of_them_are() {
        let series =
            Series::of_runs("s", &[vec![(0.0, 0.0), (10.0, 10.0)], vec![(5.0, 1.0), (20.0, 1.0)]], 3);
        assert_eq!(series.points, [(5.0, 3.0), (7.5, 4.25), (10.0, 5.5)]);
        assert_eq!(series.band, [(5.0, 1.0, 5.0), (7.5, 1.0, 7.5), (10.0, 1.0, 10.0)]);
        assert!(Series::of_runs("s", &[vec![(0.0, 0.0)], vec![(5.0, 1.0)]], 3).points.is_empty());
    }
}
