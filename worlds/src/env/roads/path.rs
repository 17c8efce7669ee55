//! The middle line of a lane, as straight pieces.

/// Where something is, and which way it looks (a unit vector). Metres, x to the east, y to the north.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pose {
    /// The place.
    pub at: [f64; 2],
    /// The direction.
    pub towards: [f64; 2],
}

/// A line of straight pieces.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    points: Vec<[f64; 2]>,
    /// How far each point is along the line.
    along: Vec<f64>,
    /// The direction of each piece.
    directions: Vec<[f64; 2]>,
}

/// Points closer than this are one.
const SAME: f64 = 1e-6;

impl Path {
    /// A line through these points; `None` for less than two of them, or two that follow each other in one place.
    pub fn new(points: Vec<[f64; 2]>) -> Option<Path> {
        let (mut along, mut directions) = (vec![0.0], Vec::new());
        for pair in points.windows(2) {
            let [x, y] = [pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]];
            let length = x.hypot(y);
            if length.is_nan() || length < SAME {
                return None;
            }
            along.push(along[along.len() - 1] + length);
            directions.push([x / length, y / length]);
        }
        (!directions.is_empty()).then_some(Path { points, along, directions })
    }

    /// A smooth bend (quadratic Bezier curve) that leaves a pose and comes to another; straight where they look the
    /// same way or their lines do not meet between them.
    pub fn bend(from: Pose, to: Pose) -> Option<Path> {
        let cross = from.towards[0] * to.towards[1] - from.towards[1] * to.towards[0];
        let [x, y] = [to.at[0] - from.at[0], to.at[1] - from.at[1]];
        let ahead = (x * to.towards[1] - y * to.towards[0]) / cross;
        let back = (x * from.towards[1] - y * from.towards[0]) / cross;
        if cross.abs() < 1e-3 || ahead < 0.0 || back > 0.0 {
            return Path::new(vec![from.at, to.at]);
        }
        let corner = [from.at[0] + ahead * from.towards[0], from.at[1] + ahead * from.towards[1]];
        const PIECES: usize = 12;
        let point = |i: usize| {
            let t = i as f64 / PIECES as f64;
            let mix = |a: f64, b: f64, c: f64| (1.0 - t).powi(2) * a + 2.0 * t * (1.0 - t) * b + t * t * c;
            [mix(from.at[0], corner[0], to.at[0]), mix(from.at[1], corner[1], to.at[1])]
        };
        Path::new((0..=PIECES).map(point).collect())
    }

    /// Its length in metres.
    pub fn length(&self) -> f64 {
        self.along[self.along.len() - 1]
    }

    /// The points.
    pub fn points(&self) -> &[[f64; 2]] {
        &self.points
    }

    /// So many metres along; before the start and beyond the end it goes straight on.
    pub fn at(&self, along: f64) -> Pose {
        let last = self.directions.len() - 1;
        let mut piece = 0;
        while piece < last && along >= self.along[piece + 1] {
            piece += 1;
        }
        let (towards, rest) = (self.directions[piece], along - self.along[piece]);
        let [x, y] = self.points[piece];
        Pose { at: [x + rest * towards[0], y + rest * towards[1]], towards }
    }

    /// By how much it turns from its start to its end, in radians, to the left above 0.
    pub fn turn(&self) -> f64 {
        let angle = |pair: &[[f64; 2]]| {
            let cross = pair[0][0] * pair[1][1] - pair[0][1] * pair[1][0];
            cross.atan2(pair[0][0] * pair[1][0] + pair[0][1] * pair[1][1])
        };
        self.directions.windows(2).map(angle).sum()
    }
}
