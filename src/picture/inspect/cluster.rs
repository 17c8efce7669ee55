//! Points in many dimensions brought onto a plane (principal components) and into groups (k-means).

use crate::nn::initial::Stream;

/// The seed of every start: a picture is the same each time.
const SEED: u64 = 0x636c_7573;

/// So many points of so many numbers each.
#[derive(Clone, Copy)]
pub(super) struct Points<'a> {
    pub values: &'a [f32],
    pub size: usize,
}

impl<'a> Points<'a> {
    pub fn count(&self) -> usize {
        self.values.len() / self.size.max(1)
    }

    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.size..][..self.size]
    }

    fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.size];
        for i in 0..self.count() {
            mean.iter_mut().zip(self.row(i)).for_each(|(m, x)| *m += f64::from(*x));
        }
        mean.iter_mut().for_each(|m| *m /= self.count().max(1) as f64);
        mean
    }
}

/// The two directions in which points spread the most.
pub(super) struct Plane {
    mean: Vec<f64>,
    directions: [Vec<f64>; 2],
    /// The share of the variance along each.
    pub shares: [f64; 2],
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Plane {
    /// By power iteration, the second direction kept at right angles to the first (Jolliffe 2002, chapter 1).
    pub fn of(points: Points<'_>) -> Plane {
        let mean = points.mean();
        let centred = |i: usize| -> Vec<f64> {
            points.row(i).iter().zip(&mean).map(|(x, m)| f64::from(*x) - m).collect()
        };
        let total: f64 = (0..points.count()).map(|i| dot(&centred(i), &centred(i))).sum();
        let mut directions: [Vec<f64>; 2] = Default::default();
        let mut shares = [0.0; 2];
        for which in 0..2 {
            let mut stream = Stream::new(SEED ^ which as u64);
            let mut direction: Vec<f64> = (0..points.size).map(|_| stream.normal()).collect();
            let first = directions[0].clone();
            let mut along = 0.0;
            for _ in 0..200 {
                let mut next = vec![0.0; points.size];
                for i in 0..points.count() {
                    let x = centred(i);
                    let share = dot(&x, &direction);
                    next.iter_mut().zip(&x).for_each(|(n, x)| *n += share * x);
                }
                if which == 1 {
                    let over = dot(&next, &first);
                    next.iter_mut().zip(&first).for_each(|(n, f)| *n -= over * f);
                }
                let length = dot(&next, &next).sqrt();
                // No spread is left: any coordinate along it is 0.
                if length <= 1e-12 * total.max(f64::MIN_POSITIVE) || !length.is_finite() {
                    (direction, along) = (vec![0.0; points.size], 0.0);
                    break;
                }
                next.iter_mut().for_each(|n| *n /= length);
                let turned = 1.0 - dot(&next, &direction).abs() / dot(&direction, &direction).sqrt();
                (direction, along) = (next, length);
                if turned < 1e-13 {
                    break;
                }
            }
            // A direction and its opposite are the same; take the one whose largest number is positive.
            let largest =
                direction.iter().copied().fold(0.0f64, |m, x| if x.abs() > m.abs() { x } else { m });
            if largest < 0.0 {
                direction.iter_mut().for_each(|x| *x = -*x);
            }
            shares[which] = if total > 0.0 { along / total } else { 0.0 };
            directions[which] = direction;
        }
        Plane { mean, directions, shares }
    }

    /// Where a point lies.
    pub fn place(&self, point: &[f64]) -> [f64; 2] {
        let of = |direction: &[f64]| {
            point.iter().zip(&self.mean).zip(direction).map(|((x, m), d)| (x - m) * d).sum()
        };
        [of(&self.directions[0]), of(&self.directions[1])]
    }
}

/// Groups of points, the largest first.
pub(super) struct Clusters {
    /// Which group each point is in.
    pub of: Vec<usize>,
    /// The middle of each.
    pub centres: Vec<Vec<f64>>,
}

/// Starts of k-means, of which the best is kept, and how much they may cost together.
const STARTS: usize = 10;
const MOST_WORK: usize = 1 << 31;
/// Passes of one start at most.
const PASSES: usize = 100;

/// Lloyd's k-means from starts by k-means++ (Arthur and Vassilvitskii 2007), into at most `most` groups.
pub(super) fn clusters(points: Points<'_>, most: usize) -> Clusters {
    let mut stream = Stream::new(SEED);
    let work = points.values.len().max(1).saturating_mul(most.max(1)).saturating_mul(PASSES);
    let starts = (MOST_WORK / work).clamp(1, STARTS);
    let tries = (0..starts).map(|_| attempt(points, most, &mut stream));
    // Of equal ones the first.
    let best = tries.min_by(|a, b| a.0.total_cmp(&b.0));
    let (of, centres) = best.map_or_else(Default::default, |(_, of, centres)| (of, centres));
    let members = |c: usize| of.iter().filter(|&&o| o == c).count();
    let mut order: Vec<(usize, usize)> = (0..centres.len()).map(|c| (members(c), c)).collect();
    order.retain(|(members, _)| *members > 0);
    order.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut rank = vec![0; centres.len()];
    order.iter().enumerate().for_each(|(new, (_, old))| rank[*old] = new);
    Clusters {
        of: of.iter().map(|&o| rank[o]).collect(),
        centres: order.iter().map(|(_, old)| centres[*old].clone()).collect(),
    }
}

/// One start: the sum of squared distances to the centres, whose each point is, and the centres.
fn attempt(points: Points<'_>, most: usize, stream: &mut Stream) -> (f64, Vec<usize>, Vec<Vec<f64>>) {
    let count = points.count();
    let distance = |i: usize, centre: &[f64]| -> f64 {
        points.row(i).iter().zip(centre).map(|(x, c)| (f64::from(*x) - c).powi(2)).sum()
    };
    let mut centres: Vec<Vec<f64>> = Vec::new();
    let mut nearest = vec![f64::INFINITY; count];
    while centres.len() < most && count > 0 {
        let total: f64 = nearest.iter().sum();
        let chosen = match centres.is_empty() {
            true => stream.below(count),
            // Every point is a centre already.
            false if total <= 0.0 => break,
            false => {
                let mut left = stream.uniform() * total;
                let hit = |d: &f64| {
                    left -= d;
                    left < 0.0
                };
                let last = nearest.iter().rposition(|d| *d > 0.0).unwrap_or(0);
                nearest.iter().position(hit).unwrap_or(last)
            }
        };
        let centre: Vec<f64> = points.row(chosen).iter().map(|x| f64::from(*x)).collect();
        for (i, nearest) in nearest.iter_mut().enumerate() {
            *nearest = nearest.min(distance(i, &centre));
        }
        centres.push(centre);
    }
    let mut of = vec![0; count];
    let mut sum = 0.0;
    for _ in 0..PASSES {
        let mut moved = false;
        sum = 0.0;
        for (i, of) in of.iter_mut().enumerate() {
            let all = (0..centres.len()).map(|c| (distance(i, &centres[c]), c));
            let (far, near) = all.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0));
            moved |= near != *of;
            *of = near;
            sum += far;
        }
        let mut sums = vec![vec![0.0; points.size]; centres.len()];
        let mut counts = vec![0usize; centres.len()];
        for (i, &c) in of.iter().enumerate() {
            counts[c] += 1;
            sums[c].iter_mut().zip(points.row(i)).for_each(|(s, x)| *s += f64::from(*x));
        }
        for ((centre, sum), &count) in centres.iter_mut().zip(&sums).zip(&counts) {
            if count > 0 {
                centre.iter_mut().zip(sum).for_each(|(c, s)| *c = s / count as f64);
            }
        }
        if !moved {
            break;
        }
    }
    (sum, of, centres)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (u64, Stream) {
        let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        (seed, Stream::new(seed))
    }

    #[test]
    fn the_plane_is_that_of_the_largest_eigenvalues() {
        let (seed, mut stream) = fresh();
        for (count, size) in [(40, 3), (7, 11), (200, 17)] {
            // Well apart, so that power iteration is done when it stops.
            let scale = |j: usize| [5.0, 2.5].get(j).copied().unwrap_or(0.5);
            let values: Vec<f32> =
                (0..count * size).map(|k| (stream.normal() * scale(k % size)) as f32).collect();
            let points = Points { values: &values, size };
            let plane = Plane::of(points);
            let mean = points.mean();
            let x = nalgebra::DMatrix::from_fn(count, size, |i, j| f64::from(values[i * size + j]) - mean[j]);
            let squares: Vec<f64> = x.singular_values().iter().map(|s| s * s).collect();
            let total: f64 = squares.iter().sum();
            for which in 0..2 {
                let expected = squares[which] / total;
                let share = plane.shares[which];
                assert!((share - expected).abs() < 1e-6, "seed {seed}: {share} for {expected}");
                let spread: f64 = (0..count)
                    .map(|i| {
                        let row: Vec<f64> = points.row(i).iter().map(|v| f64::from(*v)).collect();
                        plane.place(&row)[which].powi(2)
                    })
                    .sum();
                assert!((spread / total - expected).abs() < 1e-6, "seed {seed}");
            }
            assert!(dot(&plane.directions[0], &plane.directions[1]).abs() < 1e-9, "seed {seed}");
        }
    }

    #[test]
    fn heaps_that_lie_apart_are_told_apart() {
        let (seed, mut stream) = fresh();
        let heaps = [(30, [9.0, 0.0, 0.0]), (20, [0.0, 9.0, 0.0]), (10, [0.0, 0.0, 9.0])];
        let mut values = Vec::new();
        for (count, centre) in heaps {
            for _ in 0..count {
                values.extend(centre.map(|c| (c + 0.3 * stream.normal()) as f32));
            }
        }
        let points = Points { values: &values, size: 3 };
        let found = clusters(points, 3);
        let expected: Vec<usize> = heaps.iter().enumerate().flat_map(|(i, h)| vec![i; h.0]).collect();
        assert_eq!(found.of, expected, "seed {seed}");
        // No more groups than different points.
        let same = Points { values: &[1.0, 2.0, 1.0, 2.0, 3.0, 4.0], size: 2 };
        let found = clusters(same, 5);
        assert_eq!((found.of, found.centres.len()), (vec![0, 0, 1], 2));
        let plane = Plane::of(Points { values: &[1.0; 6], size: 2 });
        assert_eq!((plane.shares, plane.place(&[1.0, 1.0])), ([0.0; 2], [0.0; 2]));
    }
}
