//! The axis of a chart: where numbers lie on it, and which of them are written beside it.

use std::ops::Range;

/// An axis from its lowest number to its highest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    logarithmic: bool,
    /// About how many numbers stand beside it.
    about: usize,
}

impl Axis {
    /// Even steps. The range is not empty.
    pub fn linear(range: Range<f64>, about: usize) -> Axis {
        Axis { low: range.start, high: range.end, logarithmic: false, about }
    }

    /// Even ratios, for numbers above zero.
    pub fn logarithmic(range: Range<f64>, about: usize) -> Axis {
        let high = range.end.max(1e-99);
        Axis { low: range.start.max(high * 1e-30).max(1e-100), high, logarithmic: true, about }
    }

    /// How far along a number lies, from 0 to 1; what lies outside is at the nearer end.
    pub fn share(&self, value: f64) -> f32 {
        let value = value.clamp(self.low, self.high);
        let share = match self.logarithmic {
            true => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
            false => (value - self.low) / (self.high - self.low),
        };
        if share.is_finite() { share as f32 } else { 0.5 }
    }

    /// The numbers beside the axis, with their words; no two alike.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let mut ticks = if self.logarithmic { self.decades() } else { Vec::new() };
        if ticks.len() < 2 {
            ticks = self.steps();
        }
        ticks
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    fn steps(&self) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / self.about as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|by| by * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let (first, last) = ((self.low / step).ceil(), (self.high / step).floor());
        // Where the range is so narrow that steps cannot be told apart, its ends have to do.
        if !step.is_normal() || last - first > 100.0 || !(first.is_finite() && last.is_finite()) {
            return [self.low, self.high].map(|end| (end, format!("{end:.3e}"))).to_vec();
        }
        let count = (last - first).max(0.0) as usize;
        let largest = first.abs().max(last.abs()) * step;
        let values = (0..=count).map(|i| (first + i as f64) * step);
        values.map(|value| (value, words(value, step, largest))).collect()
    }

    /// Powers of ten; with few of them also twice and five times these.
    fn decades(&self) -> Vec<(f64, String)> {
        let (low, high) = (self.low.log10(), self.high.log10());
        let every = ((high - low) / self.about as f64).ceil().max(1.0) as i32;
        let between: &[f64] = if high - low < 2.9 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = (low.floor() as i32..=high.ceil() as i32).filter(|power| power % every == 0);
        decades
            .flat_map(|power| between.iter().map(move |by| by * 10f64.powi(power)))
            .filter(|value| (self.low..=self.high).contains(value))
            .map(|value| (value, words(value, value, value)))
            .collect()
    }
}

/// A number whose neighbours are `step` away, with as many digits as tell it from them and the unit that the largest of
/// all wants: `0.25`, `1.5 M`, `2e-7`.
fn words(value: f64, step: f64, largest: f64) -> String {
    let size = value.abs();
    if size < step * 1e-6 {
        return "0".into();
    }
    // Tenths of a step are rounding errors.
    let digits = |unit: f64| (-(step / unit * 1.0001).log10().floor()).max(0.0) as usize;
    let (unit, name) = match largest.max(step) {
        n if !(1e-3..1e12).contains(&n) => {
            let digits = (size.log10().floor() - (step * 1.0001).log10().floor()).clamp(0.0, 12.0);
            return format!("{value:.*e}", digits as usize);
        }
        n if n < 1e4 => (1.0, ""),
        n if n < 1e6 => (1e3, " k"),
        n if n < 1e9 => (1e6, " M"),
        _ => (1e9, " G"),
    };
    format!("{:.*}{name}", digits(unit).min(12), value / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_round_within_the_range_and_told_apart() {
        let ranges = [
            (0.0, 1.0),
            (-0.05, 1.05),
            (0.0, 2e7),
            (-3e-5, 4e-5),
            (999.0, 1001.0),
            (1e6, 1.00001e6),
            (-1e300, 1e300),
            (5e-324, 1e-300),
            (0.9999999, 1.0000001),
        ];
        for (low, high) in ranges {
            let axis = Axis::linear(low..high, 7);
            let ticks = axis.ticks();
            assert!((2..=15).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            let mut all: Vec<&str> = ticks.iter().map(|(_, words)| words.as_str()).collect();
            all.dedup();
            assert_eq!(all.len(), ticks.len(), "{ticks:?}");
            assert!(ticks.iter().all(|(value, _)| (0.0..=1.0).contains(&axis.share(*value))));
        }
        let words: Vec<String> = Axis::linear(0.0..2e7, 8).ticks().into_iter().map(|(_, w)| w).collect();
        assert_eq!(words, ["0", "5 M", "10 M", "15 M", "20 M"]);
        let words: Vec<String> = Axis::linear(0.0..1.0, 7).ticks().into_iter().map(|(_, w)| w).collect();
        assert_eq!(words, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    }

    #[test]
    fn logarithmic_axes_have_decades() {
        for (low, high, expected) in [
            (1.0, 1000.0, &["1", "10", "100", "1000"][..]),
            (30.0, 600.0, &["50", "100", "200", "500"]),
            (1e-100, 1e100, &["1e-99"]),
        ] {
            let axis = Axis::logarithmic(low..high, 8);
            let ticks = axis.ticks();
            assert!(ticks.len() >= 2, "{ticks:?}");
            if expected.len() > 1 {
                assert_eq!(ticks.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>(), expected);
            }
        }
        let axis = Axis::logarithmic(1.0..100.0, 8);
        assert_eq!((axis.share(10.0), axis.share(0.0), axis.share(1e9)), (0.5, 0.0, 1.0));
    }
}
