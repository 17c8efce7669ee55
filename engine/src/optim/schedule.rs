//! Learning rates over time.

use serde::{Deserialize, Serialize};

/// A learning rate as a function of progress.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// From the given rate down to `last` times it.
    Linear {
        /// The factor at the end.
        #[serde(default)]
        last: f32,
    },
    /// Half a cosine from the given rate down to `last` times it (Loshchilov and Hutter 2017).
    Cosine {
        /// The factor at the end.
        #[serde(default)]
        last: f32,
    },
}

impl Schedule {
    /// The factor at `progress` (0 at the start, 1 at the end).
    pub fn factor(&self, progress: f64) -> f32 {
        let progress = progress.clamp(0.0, 1.0) as f32;
        match *self {
            Schedule::Constant => 1.0,
            Schedule::Linear { last } => 1.0 + (last - 1.0) * progress,
            Schedule::Cosine { last } => {
                last + (1.0 - last) * 0.5 * (1.0 + (std::f32::consts::PI * progress).cos())
            }
        }
    }
}

/// A learning rate that follows the divergence between the policies before and after an update: over twice the target
/// it shrinks, under half of it it grows, each time by half (Schulman et al. 2017 section 4, as used by the SRMT
/// authors' trainer).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlAdaptive {
    /// The divergence aimed at, in nats.
    pub target: f32,
    /// The smallest rate.
    pub lowest: f32,
    /// The largest rate.
    pub highest: f32,
}

impl KlAdaptive {
    /// The rate after an update at `rate` that had this divergence.
    pub fn next(&self, rate: f32, divergence: f32) -> f32 {
        let factor = if divergence > 2.0 * self.target {
            1.0 / 1.5
        } else if divergence < 0.5 * self.target {
            1.5
        } else {
            1.0
        };
        (rate * factor).clamp(self.lowest, self.highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_start_at_one_and_end_where_they_should() {
        for schedule in [Schedule::Linear { last: 0.1 }, Schedule::Cosine { last: 0.1 }] {
            assert!((schedule.factor(0.0) - 1.0).abs() < 1e-6);
            assert!((schedule.factor(0.5) - 0.55).abs() < 1e-6);
            assert!((schedule.factor(2.0) - 0.1).abs() < 1e-6);
        }
        assert_eq!(Schedule::Constant.factor(0.7), 1.0);
    }

    #[test]
    fn the_adaptive_rate_moves_towards_its_target() {
        let adaptive = KlAdaptive { target: 0.01, lowest: 1e-6, highest: 1e-2 };
        assert!(adaptive.next(1e-3, 0.05) < 1e-3);
        assert!(adaptive.next(1e-3, 0.001) > 1e-3);
        assert_eq!(adaptive.next(1e-3, 0.01), 1e-3);
        assert_eq!(adaptive.next(9e-3, 0.0), 1e-2);
    }
}
