//! Networks that are generated: a crossing of four roads or a grid of them, a roundabout, a ramp that joins a road.
//! Traffic keeps to the right. Lengths that are free to choose are drawn.

use super::network::{JunctionParts, LaneParts};
use super::path::{Path, Pose};
use crate::env::pathfinding::Pcg64;

/// The width of a lane, in metres.
pub const WIDTH: f64 = 3.5;
/// The sideways acceleration at which bends over junctions are driven, in m/s^2.
const SIDEWAYS: f64 = 3.0;
/// From the outermost lane to where the lanes of a junction begin, in metres.
const CORNER: f64 = 4.5;
/// Half the angle between the ways in and out of a roundabout, in radians.
const OPENING: f64 = 0.44;
/// From a roundabout's ring to where its arms begin, in metres.
const MOUTH: f64 = 12.0;
/// The length of the stretch in which a ramp joins a road, and its angle.
const JOINING: f64 = 30.0;
const RAMP_ANGLE: f64 = 0.2;

/// Lanes and junctions so far.
pub struct Builder {
    /// Lanes.
    pub lanes: Vec<LaneParts>,
    /// Junctions.
    pub junctions: Vec<JunctionParts>,
    /// The speed limit of all lanes, in m/s.
    limit: f64,
    /// Vehicles an hour at every entry.
    demand: f64,
    /// Lengths are up to this part longer or shorter.
    variation: f64,
    random: Pcg64,
}

/// What a road is like on which vehicles come in, and on which they leave, in metres.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The way in.
    pub entry: f64,
    /// The way out.
    pub exit: f64,
}

fn along([x, y]: [f64; 2], [u, v]: [f64; 2], by: f64) -> [f64; 2] {
    [x + u * by, y + v * by]
}

impl Builder {
    /// Nothing yet; free choices are drawn from `seed`.
    pub fn new(limit: f64, demand: f64, variation: f64, seed: u64) -> Builder {
        Builder {
            lanes: Vec::new(),
            junctions: Vec::new(),
            limit,
            demand,
            variation,
            random: Pcg64::new(seed),
        }
    }

    fn drawn(&mut self, length: f64) -> f64 {
        length * (1.0 + self.variation * (2.0 * self.random.double() - 1.0))
    }

    fn add(&mut self, name: String, points: Vec<[f64; 2]>, limit: f64) -> usize {
        self.lanes.push(LaneParts {
            name,
            points,
            limit,
            next: Vec::new(),
            left: None,
            demand: None,
            priority: 0,
        });
        self.lanes.len() - 1
    }

    /// Lanes side by side to the right of a straight line, the first next to it.
    fn road(
        &mut self,
        name: &str,
        from: [f64; 2],
        to: [f64; 2],
        lanes: usize,
        demand: Option<f64>,
    ) -> Vec<usize> {
        let [x, y] = [to[0] - from[0], to[1] - from[1]];
        let length = x.hypot(y);
        let right = [y / length, -x / length];
        let first = self.lanes.len();
        for lane in 0..lanes {
            let aside = (lane as f64 + 0.5) * WIDTH;
            let points = vec![along(from, right, aside), along(to, right, aside)];
            let number = self.add(format!("{name}_{lane}"), points, self.limit);
            self.lanes[number].demand = demand.map(|all| all / lanes as f64);
            self.lanes[number].left = (lane > 0).then(|| number - 1);
        }
        (first..first + lanes).collect()
    }

    fn pose(&self, lane: usize, end: bool) -> Pose {
        let points = &self.lanes[lane].points;
        let pair = if end { &points[points.len() - 2..] } else { &points[..2] };
        let [x, y] = [pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]];
        let length = x.hypot(y);
        Pose { at: pair[usize::from(end)], towards: [x / length, y / length] }
    }

    /// A lane from the end of one to the start of another, as fast as its bend allows.
    fn link(&mut self, name: String, from: usize, to: usize, priority: u8) -> usize {
        let (start, end) = (self.pose(from, true), self.pose(to, false));
        let path = Path::bend(start, end);
        let points = path.as_ref().map_or_else(|| vec![start.at, end.at], |path| path.points().to_vec());
        let limit = path.filter(|path| path.turn().abs() > 1e-3).map_or(self.limit, |path| {
            let radius = path.length() / path.turn().abs();
            (SIDEWAYS * radius).sqrt().min(self.limit)
        });
        let number = self.add(name, points, limit);
        self.lanes[number].priority = priority;
        self.lanes[number].next.push(to);
        self.lanes[from].next.push(number);
        number
    }

    /// Roads that cross at right angles; each end of them is an entry and an exit.
    pub fn grid(mut self, [columns, rows]: [usize; 2], lanes: usize, spacing: f64, ends: Ends) -> Builder {
        let half = lanes as f64 * WIDTH + CORNER;
        let mut places = |count: usize| {
            let mut at = 0.0;
            let mut all = vec![0.0];
            for _ in 1..count {
                at += self.drawn(spacing).max(2.0 * half + 10.0);
                all.push(at);
            }
            all
        };
        let (xs, ys) = (places(columns), places(rows));
        let sides: [(&str, [f64; 2]); 4] =
            [("east", [1.0, 0.0]), ("north", [0.0, 1.0]), ("west", [-1.0, 0.0]), ("south", [0.0, -1.0])];
        let mut inward = vec![[const { Vec::new() }; 4]; columns * rows];
        let mut outward = inward.clone();
        for number in 0..columns * rows {
            let (column, row) = (number % columns, number / columns);
            let middle = [xs[column], ys[row]];
            for (side, (name, towards)) in sides.iter().enumerate() {
                let neighbour = match side {
                    0 if column + 1 < columns => Some(number + 1),
                    1 if row + 1 < rows => Some(number + columns),
                    2 if column > 0 => Some(number - 1),
                    3 if row > 0 => Some(number - columns),
                    _ => None,
                };
                let edge = along(middle, *towards, half);
                if let Some(other) = neighbour {
                    let there = [xs[other % columns], ys[other / columns]];
                    let end = along(there, *towards, -half);
                    let road = self.road(&format!("{number}_to_{other}"), edge, end, lanes, None);
                    inward[other][(side + 2) % 4].clone_from(&road);
                    outward[number][side] = road;
                } else {
                    let [entry, exit] = [ends.entry, ends.exit].map(|length| self.drawn(length));
                    let (far, demand) = (along(edge, *towards, entry), Some(self.demand));
                    let name =
                        if columns * rows == 1 { name.to_string() } else { format!("{number}_{name}") };
                    inward[number][side] = self.road(&format!("{name}_in"), far, edge, lanes, demand);
                    let far = along(edge, *towards, exit);
                    outward[number][side] = self.road(&format!("{name}_out"), edge, far, lanes, None);
                }
            }
        }
        for number in 0..columns * rows {
            let mut movements = Vec::new();
            for side in 0..4 {
                let straight = (side + 2) % 4;
                for lane in 0..lanes {
                    let from = inward[number][side][lane];
                    let name = self.lanes[from].name.clone();
                    let mut link = |to: usize, what: &str| {
                        let to = outward[number][to][lane];
                        movements.push(self.link(format!("{name}_{what}"), from, to, 0));
                    };
                    link(straight, "straight");
                    if lane == 0 {
                        link((straight + 1) % 4, "left");
                    }
                    if lane == lanes - 1 {
                        link((straight + 3) % 4, "right");
                    }
                }
            }
            self.junctions.push(JunctionParts { name: format!("junction_{number}"), movements });
        }
        self
    }

    /// Arms round a ring that is driven counter-clockwise and goes first.
    pub fn roundabout(mut self, arms: usize, radius: f64, ends: Ends) -> Builder {
        let around = |angle: f64| [radius * angle.cos(), radius * angle.sin()];
        let angle = |arm: usize| std::f64::consts::TAU * arm as f64 / arms as f64;
        let arc = |from: f64, to: f64| -> Vec<[f64; 2]> {
            let pieces = ((to - from) / 0.1).ceil().max(2.0) as usize;
            (0..=pieces).map(|i| around(from + (to - from) * i as f64 / pieces as f64)).collect()
        };
        let ring = self.limit.min((SIDEWAYS * radius).sqrt());
        // From where an arm comes in to where the next one goes out.
        let segments: Vec<usize> = (0..arms)
            .map(|arm| {
                let points = arc(angle(arm) + OPENING, angle(arm + 1) - OPENING);
                self.add(format!("ring_{arm}"), points, ring)
            })
            .collect();
        for arm in 0..arms {
            let (before, after) = (segments[(arm + arms - 1) % arms], segments[arm]);
            let towards = [angle(arm).cos(), angle(arm).sin()];
            let edge = along([0.0, 0.0], towards, radius + MOUTH);
            let [entry, exit] = [ends.entry, ends.exit].map(|length| self.drawn(length));
            let (far, demand) = (along(edge, towards, entry), Some(self.demand));
            let inward = self.road(&format!("arm_{arm}_in"), far, edge, 1, demand)[0];
            let far = along(edge, towards, exit);
            let outward = self.road(&format!("arm_{arm}_out"), edge, far, 1, None)[0];
            let through =
                self.add(format!("ring_past_{arm}"), arc(angle(arm) - OPENING, angle(arm) + OPENING), ring);
            self.lanes[through].priority = 1;
            self.lanes[through].next.push(after);
            self.lanes[before].next.push(through);
            let leave = self.link(format!("arm_{arm}_leave"), before, outward, 1);
            let enter = self.link(format!("arm_{arm}_enter"), inward, after, 0);
            let movements = vec![through, leave, enter];
            self.junctions.push(JunctionParts { name: format!("arm_{arm}"), movements });
        }
        self
    }

    /// A road of several lanes to the east, and a ramp that joins it from the right.
    pub fn merge(mut self, lanes: usize, ends: Ends) -> Builder {
        let [entry, ramp, exit] = [ends.entry, ends.entry, ends.exit].map(|length| self.drawn(length));
        let demand = self.demand;
        let inward = self.road("main_in", [-JOINING - entry, 0.0], [-JOINING, 0.0], lanes, Some(demand));
        let outward = self.road("main_out", [0.0, 0.0], [exit, 0.0], lanes, None);
        let mut movements: Vec<usize> = (0..lanes)
            .map(|lane| self.link(format!("main_{lane}"), inward[lane], outward[lane], 1))
            .collect();
        let towards = [RAMP_ANGLE.cos(), RAMP_ANGLE.sin()];
        let end = [-JOINING, -(lanes as f64 + 0.5) * WIDTH];
        let number = self.add("ramp".into(), vec![along(end, towards, -ramp), end], self.limit);
        self.lanes[number].demand = Some(demand);
        movements.push(self.link("ramp_joins".into(), number, outward[lanes - 1], 0));
        self.junctions.push(JunctionParts { name: "merge".into(), movements });
        self
    }
}
