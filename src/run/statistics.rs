//! What a few runs say of an algorithm: interquartile means and bootstrap intervals (Agarwal et al. 2021, *Deep
//! Reinforcement Learning at the Edge of the Statistical Precipice*, arXiv 2108.13264, section 4).
//!
//! ```
//! use synod::run::statistics::{bootstrap_interval, interquartile_mean};
//! let seeds = [0.1, 0.5, 0.5, 0.9];
//! assert_eq!(interquartile_mean(&seeds), Some(0.5)); // the lowest and the highest are left out
//! let (low, high) = bootstrap_interval(&seeds).expect("more than one value");
//! assert!(low <= 0.5 && 0.5 <= high);
//! ```

use crate::env::Pcg64;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;

/// The mean of the middle half of the values: the lowest and the highest quarter are left out, a value that lies across a
/// quarter's end counts with the part that is inside. `None` of no values.
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| of_sorted(&sorted))
}

fn of_sorted(sorted: &[f64]) -> f64 {
    let count = sorted.len() as f64;
    let (low, high) = (count / 4.0, count * 3.0 / 4.0);
    let inside = |i: usize| ((i as f64 + 1.0).min(high) - (i as f64).max(low)).max(0.0);
    sorted.iter().enumerate().map(|(i, value)| inside(i) * value).sum::<f64>() / (high - low)
}

/// The 95 % interval of the interquartile mean by the percentile bootstrap over the values; the same every time. `None` of
/// fewer than two values, which say nothing of their spread.
pub fn bootstrap_interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mut random = Pcg64::new(0);
    let mut sample = vec![0.0; values.len()];
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            sample.fill_with(|| values[random.below(values.len() as u32) as usize]);
            sample.sort_by(f64::total_cmp);
            of_sorted(&sample)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    Some((at(0.025), at(0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_counts() {
        assert_eq!(interquartile_mean(&[]), None);
        assert_eq!(interquartile_mean(&[3.0]), Some(3.0));
        assert_eq!(interquartile_mean(&[100.0, 1.0, 2.0, -50.0]), Some(1.5));
        // Of five values, a quarter is 1.25: the second and the fourth count by three quarters.
        let mean = interquartile_mean(&[1.0, 2.0, 4.0, 8.0, 16.0]).unwrap();
        assert!((mean - (0.75 * 2.0 + 4.0 + 0.75 * 8.0) / 2.5).abs() < 1e-12);
    }

    #[test]
    fn an_interval_holds_the_mean_and_narrows_with_more_values() {
        assert_eq!(bootstrap_interval(&[1.0]), None);
        assert_eq!(bootstrap_interval(&[2.0; 5]), Some((2.0, 2.0)));
        let spread = |count: usize| {
            let values: Vec<f64> = (0..count).map(|i| (i * 37 % count) as f64 / count as f64).collect();
            let (low, high) = bootstrap_interval(&values).unwrap();
            let mean = interquartile_mean(&values).unwrap();
            assert!(low <= mean && mean <= high, "{low} {mean} {high}");
            high - low
        };
        let (few, many) = (spread(8), spread(200));
        // The standard error of a mean of n uniform numbers, or somewhat more, falls with the root of n.
        assert!(many < 0.35 * few && many > 0.05, "{few} {many}");
    }
}
