//! Where two ways over a junction come so close that two vehicles would touch.

use super::path::Path;

/// How two ways over a junction meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// They cross.
    Crossing,
    /// They end in the same lane.
    Merging,
    /// They begin in the same lane.
    Diverging,
}

/// A conflict of a way over a junction with another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conflict {
    /// The lane of the other way.
    pub with: u32,
    /// How they meet.
    pub meeting: Meeting,
    /// From where to where, in metres along the own way, its middle line is too close to the other.
    pub own: [f64; 2],
    /// The same along the other way.
    pub other: [f64; 2],
}

/// Metres between places that are looked at.
const STEP: f64 = 0.5;

/// The parts of two lines in which they are closer than `clearance`; `None` where they never are.
pub fn zone(a: &Path, b: &Path, clearance: f64) -> Option<[[f64; 2]; 2]> {
    let bounds = |path: &Path| {
        path.points().iter().fold([f64::MAX, f64::MAX, f64::MIN, f64::MIN], |r, p| {
            [r[0].min(p[0]), r[1].min(p[1]), r[2].max(p[0]), r[3].max(p[1])]
        })
    };
    let (one, two) = (bounds(a), bounds(b));
    if (0..2).any(|i| one[i] > two[i + 2] + clearance || two[i] > one[i + 2] + clearance) {
        return None;
    }
    let places = |path: &Path| -> Vec<(f64, [f64; 2])> {
        let pieces = (path.length() / STEP).ceil().max(1.0);
        let along = (0..=pieces as usize).map(|i| path.length() * i as f64 / pieces);
        along.map(|s| (s, path.at(s).at)).collect()
    };
    let (mut own, mut other) = ([f64::MAX, f64::MIN], [f64::MAX, f64::MIN]);
    let others = places(b);
    for (s, [x, y]) in places(a) {
        for (t, [u, v]) in &others {
            if (x - u).powi(2) + (y - v).powi(2) < clearance * clearance {
                own = [own[0].min(s), own[1].max(s)];
                other = [other[0].min(*t), other[1].max(*t)];
            }
        }
    }
    // What lies between two places that were looked at belongs to it.
    let widened =
        |[from, to]: [f64; 2], path: &Path| [(from - STEP).max(0.0), (to + STEP).min(path.length())];
    (own[0] <= own[1]).then(|| [widened(own, a), widened(other, b)])
}
