//! What ways of behaving a team has found: descriptors of episodes, their novelty against an archive, and clusters that
//! count only when they come up again with other seeds and are no accident.
//!
//! A cluster counts as a strategy when
//! - it holds at least two episodes and a tenth of the episodes of more than half of the seeds, and
//! - its mean silhouette (Rousseeuw 1987) is larger than that of any cluster in all but 1 % of surrogates: the same numbers
//!   in which nothing belongs together. Descriptors are whitened and turned at random, the values of every axis are permuted
//!   over the episodes, and all is turned and stretched back. That keeps means, deviations and correlations, and where
//!   descriptors are normal it changes nothing at all: the test is then exact (permutations of Fisher 1935 on the axes of
//!   SigClust's null, Liu et al. 2008).
//!
//! ```
//! use synod::roles::strategies::{Search, discover};
//! // Five seeds, each with episodes of one kind alone: nothing to tell apart.
//! let mut random = synod::env::Pcg64::new(1);
//! let mut normal = || (0..12).map(|_| random.double()).sum::<f64>() - 6.0;
//! let seeds: Vec<Vec<Vec<f64>>> =
//!     (0..5).map(|_| (0..8).map(|_| (0..4).map(|_| normal()).collect()).collect()).collect();
//! let search = Search { surrogates: 99, level: 0.02, ..Search::default() };
//! assert!(discover(&seeds, &search)?.strategies.is_empty());
//! # Ok::<(), synod::Error>(())
//! ```

use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};

use super::workshop::{Sizes, Trajectory};
use crate::env::Pcg64;
use crate::error::{Error, Result};

/// Products of what is seen and done that are looked at, at most.
const MOST_PRODUCTS: usize = 128;
/// Clusters that are tried, at most.
const MOST_CLUSTERS: usize = 8;
/// Episodes at most: silhouettes compare each with each.
const MOST_EPISODES: usize = 4096;

/// What an episode is described by: mean and deviation of everything that is seen and done, how much what is done changes
/// from step to step, and, where they are few enough, how what is done goes with what is seen (correlations).
pub fn descriptor(episode: &Trajectory, sizes: &Sizes) -> Vec<f64> {
    let (seen, done, steps) = (sizes.seen(), sizes.done(), episode.steps());
    let column = |values: &[f32], width: usize, at: usize| -> Vec<f64> {
        values.iter().skip(at).step_by(width.max(1)).take(steps).map(|x| f64::from(*x)).collect()
    };
    let of_seen: Vec<Vec<f64>> = (0..seen).map(|at| column(&episode.observations, seen, at)).collect();
    let of_done: Vec<Vec<f64>> = (0..done).map(|at| column(&episode.actions, done, at)).collect();
    let moments = |values: &[f64]| {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        (mean, (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt())
    };
    let mut numbers = Vec::new();
    for values in of_seen.iter().chain(&of_done) {
        let (mean, deviation) = moments(values);
        numbers.extend([mean, deviation]);
    }
    for values in &of_done {
        let changes = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>();
        numbers.push(changes / steps.saturating_sub(1).max(1) as f64);
    }
    if seen * done <= MOST_PRODUCTS {
        for x in &of_seen {
            for y in &of_done {
                let ((a, da), (b, db)) = (moments(x), moments(y));
                let product: f64 = x.iter().zip(y).map(|(x, y)| (x - a) * (y - b)).sum();
                let size = da * db * steps.max(1) as f64;
                numbers.push(if size > 1e-12 { product / size } else { 0.0 });
            }
        }
    }
    numbers
}

/// Descriptors that were met, to measure how new another is (Lehman and Stanley 2011: the mean distance to the nearest few).
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    neighbours: usize,
    threshold: f64,
    points: Vec<Vec<f64>>,
}

impl Archive {
    /// An empty archive that measures by so many neighbours and keeps what is newer than `threshold`.
    pub fn new(neighbours: usize, threshold: f64) -> Self {
        Archive { neighbours: neighbours.max(1), threshold, points: Vec::new() }
    }

    /// How new a descriptor is: infinite where nothing was met before.
    pub fn novelty(&self, point: &[f64]) -> f64 {
        let mut distances: Vec<f64> = self.points.iter().map(|other| distance(point, other)).collect();
        distances.sort_by(f64::total_cmp);
        let nearest = &distances[..self.neighbours.min(distances.len())];
        match nearest.len() {
            0 => f64::INFINITY,
            count => nearest.iter().sum::<f64>() / count as f64,
        }
    }

    /// Keeps a descriptor where it is new enough; how new it was.
    pub fn offer(&mut self, point: &[f64]) -> f64 {
        let novelty = self.novelty(point);
        if novelty > self.threshold {
            self.points.push(point.to_vec());
        }
        novelty
    }

    /// Descriptors that are kept.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// How strategies are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Surrogates of the permutation test.
    pub surrogates: usize,
    /// A strategy's p-value lies below this.
    pub level: f64,
    /// Axes of the largest variance that are kept.
    pub axes: usize,
    /// The seed of starts and permutations.
    pub seed: u64,
}

impl Default for Search {
    /// 199 surrogates, 0.01, 8 axes.
    fn default() -> Self {
        Search { surrogates: 199, level: 0.01, axes: 8, seed: 0 }
    }
}

/// A way of behaving that recurs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    /// The mean of its descriptors.
    pub centre: Vec<f64>,
    /// The part of all episodes that belong to it.
    pub share: f64,
    /// Seeds in which it comes up.
    pub seeds: usize,
    /// The mean silhouette of its episodes.
    pub silhouette: f64,
    /// The chance of a cluster as distinct where nothing belongs together.
    pub p: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discovery {
    /// The strategies, the most common first.
    pub strategies: Vec<Strategy>,
    /// Clusters, those that do not count included.
    pub clusters: usize,
    /// For each episode of all seeds, in order, its cluster.
    pub members: Vec<usize>,
    /// The mean novelty of each seed's episodes against those of the seeds before it, in deviations; none for the first.
    pub novelty: Vec<Option<f64>>,
}

/// Looks for strategies in the descriptors of several seeds' episodes: `[seeds][episodes][numbers]`.
///
/// # Errors
/// Fewer than two seeds, fewer than eight episodes, too many of them, descriptors of unlike lengths or not finite.
pub fn discover(seeds: &[Vec<Vec<f64>>], search: &Search) -> Result<Discovery> {
    let all: Vec<&Vec<f64>> = seeds.iter().flatten().collect();
    let width = all.first().map_or(0, |point| point.len());
    if seeds.len() < 2 || !(8..=MOST_EPISODES).contains(&all.len()) {
        return Err(Error::Usage(format!(
            "strategies are told from at least 2 seeds and 8 to {MOST_EPISODES} episodes, not {} and {}",
            seeds.len(),
            all.len()
        )));
    }
    if width == 0 || all.iter().any(|point| point.len() != width || point.iter().any(|x| !x.is_finite())) {
        return Err(Error::Usage("descriptors have to be as many finite numbers, each".into()));
    }
    let owner: Vec<usize> =
        seeds.iter().enumerate().flat_map(|(seed, points)| points.iter().map(move |_| seed)).collect();
    let space = Space::of(&all, search.axes);
    let novelty = novelties(&space.points, &owner, seeds.len());
    let mut discovery =
        Discovery { strategies: Vec::new(), clusters: 1, members: vec![0; all.len()], novelty };
    // Episodes that are all alike have one strategy, which is not told from any other.
    if space.deviations.is_empty() {
        return Ok(discovery);
    }
    let mut random = Pcg64::new(search.seed);
    let clusters = cluster(&space.points, &mut random);
    let mut largest: Vec<f64> = (0..search.surrogates)
        .map(|_| {
            let surrogate = cluster(&space.surrogate(&mut random), &mut random);
            surrogate.silhouettes.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max)
        })
        .collect();
    largest.sort_by(f64::total_cmp);
    for (at, silhouette) in clusters.silhouettes.iter().enumerate() {
        let Some(silhouette) = *silhouette else { continue };
        let above = largest.len() - largest.partition_point(|other| *other < silhouette);
        let p = (1 + above) as f64 / (1 + largest.len()) as f64;
        let in_seed = |seed: usize| {
            let own = owner.iter().filter(|owner| **owner == seed).count();
            let here = owner.iter().zip(&clusters.members).filter(|(o, m)| **o == seed && **m == at).count();
            here >= 2 && 10 * here >= own
        };
        let count = (0..seeds.len()).filter(|seed| in_seed(*seed)).count();
        if p < search.level && 2 * count > seeds.len() {
            let own: Vec<&&Vec<f64>> =
                all.iter().zip(&clusters.members).filter(|(_, m)| **m == at).map(|(p, _)| p).collect();
            let mean = |i: usize| own.iter().map(|point| point[i]).sum::<f64>() / own.len() as f64;
            let centre = (0..width).map(mean).collect();
            let share = own.len() as f64 / all.len() as f64;
            discovery.strategies.push(Strategy { centre, share, seeds: count, silhouette, p });
        }
    }
    discovery.strategies.sort_by(|a, b| b.share.total_cmp(&a.share));
    (discovery.clusters, discovery.members) = (clusters.silhouettes.len(), clusters.members);
    Ok(discovery)
}

/// The novelty of every seed's episodes against an archive of those before.
fn novelties(points: &[Vec<f64>], owner: &[usize], seeds: usize) -> Vec<Option<f64>> {
    let mut archive = Archive::new(5, 0.0);
    let mut means = Vec::new();
    for seed in 0..seeds {
        let own: Vec<&Vec<f64>> =
            points.iter().zip(owner).filter(|(_, o)| **o == seed).map(|(p, _)| p).collect();
        let sum: f64 = own.iter().map(|point| archive.novelty(point)).sum();
        let mean = sum / own.len().max(1) as f64;
        means.push(mean.is_finite().then_some(mean).filter(|_| seed > 0));
        for point in own {
            archive.offer(point);
        }
    }
    means
}

/// Descriptors on the axes of the largest variance.
struct Space {
    /// `[episodes][axes]`
    points: Vec<Vec<f64>>,
    /// The deviation on each axis.
    deviations: Vec<f64>,
}

impl Space {
    fn of(all: &[&Vec<f64>], axes: usize) -> Space {
        let (count, width) = (all.len(), all[0].len());
        let mut columns = Vec::new();
        for at in 0..width {
            let mean = all.iter().map(|p| p[at]).sum::<f64>() / count as f64;
            let deviation = (all.iter().map(|p| (p[at] - mean).powi(2)).sum::<f64>() / count as f64).sqrt();
            // What never differs says nothing.
            if deviation > 1e-9 * mean.abs().max(1.0) {
                columns.push(all.iter().map(|p| (p[at] - mean) / deviation).collect::<Vec<f64>>());
            }
        }
        if columns.is_empty() {
            return Space { points: vec![Vec::new(); count], deviations: Vec::new() };
        }
        let data = DMatrix::from_fn(count, columns.len(), |row, column| columns[column][row]);
        let eigen = SymmetricEigen::new(data.transpose() * &data / count as f64);
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
        // As many axes as a tenth of the episodes can say something of, and no empty ones.
        let most = axes.min((count / 10).max(2));
        order.retain(|at| eigen.eigenvalues[*at] > 1e-9);
        order.truncate(most);
        let points = (0..count)
            .map(|row| {
                let on = |axis: &usize| {
                    (0..columns.len()).map(|c| data[(row, c)] * eigen.eigenvectors[(c, *axis)]).sum()
                };
                order.iter().map(on).collect()
            })
            .collect();
        Space { points, deviations: order.iter().map(|at| eigen.eigenvalues[*at].sqrt()).collect() }
    }

    /// The same numbers in which nothing belongs together.
    fn surrogate(&self, random: &mut Pcg64) -> Vec<Vec<f64>> {
        let (count, axes) = (self.points.len(), self.deviations.len());
        // A random turn: the orthogonal part of normal numbers.
        let normal = DMatrix::from_fn(axes, axes, |_, _| (0..12).map(|_| random.double()).sum::<f64>() - 6.0);
        let turn = normal.qr().q();
        let white = DMatrix::from_fn(count, axes, |row, axis| self.points[row][axis] / self.deviations[axis]);
        let mut turned = white * &turn;
        for axis in 0..axes {
            let mut column: Vec<f64> = turned.column(axis).iter().copied().collect();
            random.shuffle(&mut column);
            turned.column_mut(axis).copy_from_slice(&column);
        }
        let back = turned * turn.transpose();
        (0..count)
            .map(|row| (0..axes).map(|axis| back[(row, axis)] * self.deviations[axis]).collect())
            .collect()
    }
}

/// A clustering.
struct Clusters {
    members: Vec<usize>,
    /// The mean silhouette of each; none of those that are too small to say anything.
    silhouettes: Vec<Option<f64>>,
}

/// k-means (Lloyd 1982, starts of Arthur and Vassilvitskii 2007), with the number of clusters of the largest mean silhouette.
fn cluster(points: &[Vec<f64>], random: &mut Pcg64) -> Clusters {
    let count = points.len();
    let apart: Vec<Vec<f64>> =
        points.iter().map(|a| points.iter().map(|b| distance(a, b)).collect()).collect();
    let mut best: Option<(f64, Clusters)> = None;
    for k in 2..=MOST_CLUSTERS.min(count / 3) {
        let starts = (0..4).map(|_| means(points, k, random));
        let Some((_, members)) = starts.min_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
        let each = silhouettes(&apart, &members, k);
        let mean = each.iter().sum::<f64>() / count as f64;
        let least = 3.max(count / 50);
        let of = |cluster: usize| {
            let own: Vec<f64> =
                each.iter().zip(&members).filter(|(_, m)| **m == cluster).map(|(s, _)| *s).collect();
            (own.len() >= least).then(|| own.iter().sum::<f64>() / own.len() as f64)
        };
        if best.as_ref().is_none_or(|(score, _)| mean > *score) {
            best = Some((mean, Clusters { silhouettes: (0..k).map(of).collect(), members }));
        }
    }
    best.map_or(Clusters { members: vec![0; count], silhouettes: vec![None] }, |(_, clusters)| clusters)
}

/// One run of k-means: the sum of squares within, and each point's cluster.
fn means(points: &[Vec<f64>], k: usize, random: &mut Pcg64) -> (f64, Vec<usize>) {
    let mut centres = vec![points[random.below(points.len() as u32) as usize].clone()];
    let mut nearest: Vec<f64> = points.iter().map(|p| distance(p, &centres[0]).powi(2)).collect();
    while centres.len() < k {
        let mut left = random.double() * nearest.iter().sum::<f64>();
        let chosen = nearest.iter().position(|square| {
            left -= square;
            left < 0.0
        });
        let centre = points[chosen.unwrap_or(points.len() - 1)].clone();
        nearest.iter_mut().zip(points).for_each(|(n, p)| *n = n.min(distance(p, &centre).powi(2)));
        centres.push(centre);
    }
    let mut members = vec![usize::MAX; points.len()];
    loop {
        let mut moved = false;
        for (member, point) in members.iter_mut().zip(points) {
            let square = |at: &usize| distance(point, &centres[*at]);
            let closest = (0..k).min_by(|a, b| square(a).total_cmp(&square(b))).unwrap_or(0);
            moved |= *member != closest;
            *member = closest;
        }
        if !moved {
            break;
        }
        for (at, centre) in centres.iter_mut().enumerate() {
            let own: Vec<&Vec<f64>> =
                points.iter().zip(&members).filter(|(_, m)| **m == at).map(|(p, _)| p).collect();
            if own.is_empty() {
                continue;
            }
            for (axis, x) in centre.iter_mut().enumerate() {
                *x = own.iter().map(|p| p[axis]).sum::<f64>() / own.len() as f64;
            }
        }
    }
    let within = points.iter().zip(&members).map(|(p, m)| distance(p, &centres[*m]).powi(2)).sum();
    (within, members)
}

/// The silhouette of every point: how much nearer its own cluster is than the next, from -1 to 1; 0 alone in a cluster.
fn silhouettes(apart: &[Vec<f64>], members: &[usize], k: usize) -> Vec<f64> {
    let mut sizes = vec![0usize; k];
    members.iter().for_each(|member| sizes[*member] += 1);
    apart
        .iter()
        .zip(members)
        .map(|(distances, own)| {
            let mut sums = vec![0.0; k];
            distances.iter().zip(members).for_each(|(d, m)| sums[*m] += d);
            if sizes[*own] < 2 {
                return 0.0;
            }
            let inside = sums[*own] / (sizes[*own] - 1) as f64;
            let others = (0..k).filter(|m| m != own && sizes[*m] > 0);
            let outside = others.map(|m| sums[m] / sizes[m] as f64).fold(f64::INFINITY, f64::min);
            let larger = inside.max(outside);
            if outside.is_finite() && larger > 0.0 { (outside - inside) / larger } else { 0.0 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::ActionSpace;

    fn normal(random: &mut Pcg64) -> f64 {
        (0..12).map(|_| random.double()).sum::<f64>() - 6.0
    }

    /// Episodes around a centre, with correlations between neighbouring numbers.
    fn around(centre: &[f64], count: usize, random: &mut Pcg64) -> Vec<Vec<f64>> {
        let mut one = || {
            let mut last = 0.0;
            let mut number = |c: &f64| {
                last = 0.6 * last + 0.8 * normal(random);
                c + last
            };
            centre.iter().map(&mut number).collect()
        };
        (0..count).map(|_| one()).collect()
    }

    #[test]
    fn planted_strategies_are_found_and_no_others() -> Result<()> {
        let mut random = Pcg64::new(5);
        let centre =
            |at: usize| -> Vec<f64> { (0..10).map(|i| if i % 4 == at { 7.0 } else { 0.0 }).collect() };
        let seeds: Vec<Vec<Vec<f64>>> = (0..5)
            .map(|seed| {
                let mut episodes = Vec::new();
                (0..3).for_each(|at| episodes.extend(around(&centre(at), 6, &mut random)));
                // One way of behaving is that of a single seed.
                if seed == 2 {
                    episodes.extend(around(&centre(3), 6, &mut random));
                }
                episodes
            })
            .collect();
        let found = discover(&seeds, &Search::default())?;
        assert_eq!((found.strategies.len(), found.clusters), (3, 4));
        for strategy in &found.strategies {
            assert!(strategy.p < 0.01 && strategy.seeds == 5, "{strategy:?}");
            let nearest =
                (0..3).map(|at| distance(&strategy.centre, &centre(at))).fold(f64::INFINITY, f64::min);
            assert!(nearest < 1.5, "{nearest}");
        }
        // The third seed has something new, the fourth has not.
        let novelty: Vec<f64> = found.novelty.iter().flatten().copied().collect();
        assert!(novelty.len() == 4 && novelty[1] > 1.3 * novelty[2], "{novelty:?}");
        Ok(())
    }

    #[test]
    fn where_none_are_planted_none_are_found() -> Result<()> {
        let search = Search { surrogates: 199, ..Search::default() };
        let mut found = 0;
        for draw in 0..10 {
            let mut random = Pcg64::new(1000 + draw);
            let seeds: Vec<Vec<Vec<f64>>> = (0..5).map(|_| around(&[0.0; 6], 10, &mut random)).collect();
            found += usize::from(!discover(&seeds, &search)?.strategies.is_empty());
        }
        assert_eq!(found, 0, "of ten draws without any");
        // Nor where all episodes are the same.
        let same = vec![vec![vec![1.0, 2.0]; 8]; 3];
        assert!(discover(&same, &search)?.strategies.is_empty());
        Ok(())
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let search = Search::default();
        assert!(discover(&[vec![vec![0.0]; 20]], &search).is_err());
        assert!(discover(&vec![vec![vec![0.0]; 2]; 2], &search).is_err());
        assert!(discover(&[vec![vec![0.0]; 8], vec![vec![0.0, 1.0]; 8]], &search).is_err());
        assert!(discover(&[vec![vec![0.0]; 8], vec![vec![f64::NAN]; 8]], &search).is_err());
    }

    #[test]
    fn descriptors_say_how_an_episode_went() {
        let actions = ActionSpace::uniform(1, -9.0, 9.0);
        let sizes = Sizes { agents: 1, observation: 1, actions, limit: 3 };
        let episode = Trajectory {
            observations: vec![1.0, 2.0, 3.0, 100.0],
            actions: vec![-2.0, -4.0, -6.0],
            rewards: vec![0.0; 3],
            ..Trajectory::default()
        };
        let deviation = (2.0f64 / 3.0).sqrt();
        let expected = [2.0, deviation, -4.0, 2.0 * deviation, 2.0, -1.0];
        let found = descriptor(&episode, &sizes);
        assert!(
            found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9) && found.len() == 6,
            "{found:?}"
        );
    }

    #[test]
    fn an_archive_keeps_what_is_new() {
        let mut archive = Archive::new(2, 1.0);
        assert_eq!(archive.offer(&[0.0]), f64::INFINITY);
        assert_eq!((archive.offer(&[0.5]), archive.len()), (0.5, 1));
        assert_eq!((archive.offer(&[3.0]), archive.len()), (3.0, 2));
        assert_eq!(archive.novelty(&[1.0]), 1.5);
    }
}
