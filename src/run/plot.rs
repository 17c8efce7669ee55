//! Line charts as SVG: learning curves of one run, curves of several with the band over their seeds, any lines at all.

use std::ops::Range;
use std::path::Path;

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::folder;
use super::progress::short;
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
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(70, 70, 70),
];
const SIZE: (u32, u32) = (760, 440);
const INK: RGBColor = RGBColor(40, 44, 52);

/// Draws lines into an SVG file. Values that are not finite are left out.
///
/// # Errors
/// [`Error::Usage`] where there is not one point to draw; [`Error::Io`] where the file cannot be written.
pub fn lines(path: &Path, axes: &Axes, series: &[Series]) -> Result<()> {
    let svg = lines_svg(axes, series)?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
    }
    folder::write_atomically(path, |file| std::io::Write::write_all(file, svg.as_bytes()))
}

/// The same as text.
///
/// # Errors
/// [`Error::Usage`] where there is not one point to draw.
pub fn lines_svg(axes: &Axes, series: &[Series]) -> Result<String> {
    let drawn = |x: f64| x.is_finite() && (!axes.log_x || x > 0.0);
    let series: Vec<Series> = series
        .iter()
        .map(|s| Series {
            name: s.name.clone(),
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
    let mut x = extent(series.iter().flat_map(|s| s.points.iter().map(|p| p.0)));
    if axes.log_x {
        x = x.start.max(x.end * 1e-30).max(1e-100)..x.end.max(1e-99);
    }
    let values = series
        .iter()
        .flat_map(|s| s.points.iter().map(|p| p.1).chain(s.band.iter().flat_map(|b| [b.1, b.2])));
    let y = match axes.y_range.filter(|(low, high)| low < high && (high - low).is_finite()) {
        Some((low, high)) => low..high,
        None => {
            let y = extent(values);
            let margin = 0.05 * (y.end - y.start);
            y.start - margin..y.end + margin
        }
    };
    // plotters neither clips nor survives coordinates outside of the chart, and its ticks want spans near one.
    let x_unit = if axes.log_x { 1.0 } else { unit(&x) };
    let y_unit = unit(&y);
    let mut series = series;
    for one in &mut series {
        let across = |v: f64| v.clamp(x.start, x.end) / x_unit;
        let up = |v: f64| v.clamp(y.start, y.end) / y_unit;
        one.points.iter_mut().for_each(|p| *p = (across(p.0), up(p.1)));
        one.band.iter_mut().for_each(|b| *b = (across(b.0), up(b.1), up(b.2)));
    }
    let scaled =
        Scaled { x: x.start / x_unit..x.end / x_unit, y: y.start / y_unit..y.end / y_unit, x_unit, y_unit };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let drawn = match axes.log_x {
            true => draw(&root, axes, &series, scaled.x.clone().log_scale(), &scaled),
            false => draw(&root, axes, &series, scaled.x.clone(), &scaled),
        };
        drawn.and_then(|()| root.present()).map_err(|e| Error::Usage(format!("`{}`: {e}", axes.title)))?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn<'a> = std::result::Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// The ranges of the axes in units of powers of ten.
struct Scaled {
    x: Range<f64>,
    y: Range<f64>,
    x_unit: f64,
    y_unit: f64,
}

fn unit(range: &Range<f64>) -> f64 {
    10f64.powf((range.end - range.start).log10().floor())
}

fn draw<'a, X>(root: &Area<'a>, axes: &Axes, series: &[Series], coord: X, scaled: &Scaled) -> Drawn<'a>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let Scaled { x, y, x_unit, y_unit } = scaled;
    root.fill(&WHITE)?;
    let text = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(root)
        .caption(&axes.title, text(21))
        .margin(14)
        .margin_right(24)
        .x_label_area_size(46)
        .y_label_area_size(66)
        .build_cartesian_2d(coord, y.clone())?;
    chart
        .configure_mesh()
        .x_desc(&axes.x_label)
        .y_desc(&axes.y_label)
        .axis_desc_style(text(16))
        .label_style(text(14))
        .axis_style(INK.mix(0.6))
        .bold_line_style(INK.mix(0.13))
        .light_line_style(TRANSPARENT)
        .x_labels(8)
        .y_labels(7)
        .x_label_formatter(&|v| tick(*v * x_unit, (x.end - x.start) * x_unit))
        .y_label_formatter(&|v| tick(*v * y_unit, (y.end - y.start) * y_unit))
        .draw()?;
    for (i, one) in series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        if one.band.len() > 1 {
            let edge = one.band.iter().map(|b| (b.0, b.2)).chain(one.band.iter().rev().map(|b| (b.0, b.1)));
            chart.draw_series([Polygon::new(edge.collect::<Vec<_>>(), colour.mix(0.18).filled())])?;
        }
    }
    for (i, one) in series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let line = chart.draw_series(LineSeries::new(one.points.iter().copied(), colour.stroke_width(2)))?;
        if series.len() > 1 {
            line.label(&one.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
        }
        if one.points.len() <= 30 {
            chart.draw_series(one.points.iter().map(|p| Circle::new(*p, 3, colour.filled())))?;
        }
    }
    if series.len() > 1 {
        chart
            .configure_series_labels()
            .position(emptiest_corner(series, axes.log_x, x, y))
            .label_font(text(15))
            .background_style(WHITE.mix(0.85))
            .border_style(INK.mix(0.25))
            .margin(10)
            .draw()?;
    }
    Ok(())
}

/// Where a legend hides the least of the lines.
fn emptiest_corner(series: &[Series], log_x: bool, x: &Range<f64>, y: &Range<f64>) -> SeriesLabelPosition {
    let scale = |v: f64| if log_x { v.ln() } else { v };
    let mut hidden = [0usize; 4];
    for (px, py) in series.iter().flat_map(|s| s.points.iter().copied()) {
        let across = (scale(px) - scale(x.start)) / (scale(x.end) - scale(x.start));
        let up = (py - y.start) / (y.end - y.start);
        if !(0.35..=0.65).contains(&across) && !(0.4..=0.6).contains(&up) {
            hidden[usize::from(across > 0.5) + 2 * usize::from(up < 0.5)] += 1;
        }
    }
    let corners = [
        SeriesLabelPosition::UpperLeft,
        SeriesLabelPosition::UpperRight,
        SeriesLabelPosition::LowerLeft,
        SeriesLabelPosition::LowerRight,
    ];
    let best = (0..4).min_by_key(|i| hidden[*i]).unwrap_or(0);
    corners.into_iter().nth(best).unwrap_or(SeriesLabelPosition::UpperLeft)
}

/// A number beside an axis whose range is `span`.
fn tick(value: f64, span: f64) -> String {
    if value.abs() < span * 1e-9 {
        return "0".into();
    }
    if value.abs() >= 1e4 {
        return short(value).replace(".00 ", " ").replace(".0 ", " ");
    }
    if value.abs() < 1e-3 {
        return format!("{value:.1e}");
    }
    let digits = (2.0 - span.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
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

    #[test]
    fn every_series_word_and_band_is_drawn() {
        let curve =
            |k: f64| (0..200).map(|i| (i as f64 * 1e5, (1.0 - (-k * i as f64 / 60.0).exp()))).collect();
        let runs: Vec<Vec<(f64, f64)>> = [0.7, 1.0, 1.4].map(curve).to_vec();
        let series = [Series::of_runs("srmt <a>", &runs, 100), Series::new("no memory", curve(0.4))];
        let svg = lines_svg(&Axes::new("Tasks & \"goals\"", "agent-steps", "CSR (share)"), &series).unwrap();
        for part in
            ["srmt &lt;a&gt;", "no memory", "Tasks &amp;", "agent-steps", "CSR (share)", "<polygon", "10 M"]
        {
            assert!(svg.contains(part), "{part} is not in the picture");
        }
        assert_eq!(svg.matches("stroke-width=\"2\"").count(), 2, "two lines");
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
